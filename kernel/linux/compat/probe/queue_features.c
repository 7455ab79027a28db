// SPDX-License-Identifier: GPL-2.0-or-later
/* Compiles when the features of a queue are part of its limits. */
#include <linux/blkdev.h>

void probe(struct queue_limits *lim);

void probe(struct queue_limits *lim)
{
	lim->features = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA;
	lim->flags = BLK_FLAG_WRITE_CACHE_DISABLED;
}
