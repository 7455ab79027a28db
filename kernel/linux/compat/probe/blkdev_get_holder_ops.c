// SPDX-License-Identifier: GPL-2.0-or-later
/* Compiles when blkdev_get_by_path() takes holder operations: 6.5 and 6.6. */
#include <linux/blkdev.h>

struct block_device *probe(const char *path, void *holder);

struct block_device *probe(const char *path, void *holder)
{
	struct block_device *bdev = blkdev_get_by_path(path, BLK_OPEN_READ, holder, NULL);

	blkdev_put(bdev, holder);
	return bdev;
}
