// SPDX-License-Identifier: GPL-2.0-or-later
/* Compiles when a block device is opened as a handle: 6.7 and 6.8. */
#include <linux/blkdev.h>

struct block_device *probe(const char *path, void *holder);

struct block_device *probe(const char *path, void *holder)
{
	struct bdev_handle *handle = bdev_open_by_path(path, BLK_OPEN_READ, holder, NULL);

	return handle->bdev;
}
