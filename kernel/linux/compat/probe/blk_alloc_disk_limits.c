// SPDX-License-Identifier: GPL-2.0-or-later
/* Compiles when a disk is allocated with its limits. */
#include <linux/blkdev.h>

struct gendisk *probe(struct queue_limits *lim);

struct gendisk *probe(struct queue_limits *lim)
{
	return blk_alloc_disk(lim, NUMA_NO_NODE);
}
