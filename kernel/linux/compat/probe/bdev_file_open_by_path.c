// SPDX-License-Identifier: GPL-2.0-or-later
/* Compiles when a block device is opened as a file: since 6.9. */
#include <linux/blkdev.h>

struct file *probe(const char *path, void *holder);

struct file *probe(const char *path, void *holder)
{
	return bdev_file_open_by_path(path, BLK_OPEN_READ, holder, NULL);
}
