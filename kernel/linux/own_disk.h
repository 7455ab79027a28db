/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * own_disk.h - recognising the disks this module shows
 */
#ifndef _MARS_LINUX_OWN_DISK_H
#define _MARS_LINUX_OWN_DISK_H

#include <linux/blkdev.h>
#include <linux/string.h>

#define MARS_DISK_PREFIX "mars/"	/* what all their names begin with */

/** mars_is_own_disk - @bdev, or the disk it is a partition of, was made by an if brick */
static inline bool mars_is_own_disk(const struct block_device *bdev)
{
	return !strncmp(bdev->bd_disk->disk_name, MARS_DISK_PREFIX, strlen(MARS_DISK_PREFIX));
}

#endif /* _MARS_LINUX_OWN_DISK_H */
