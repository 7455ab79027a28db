// SPDX-License-Identifier: GPL-2.0-or-later
/* Compiles when disks are opened and released as a gendisk, with a mode of their own. */
#include <linux/blkdev.h>

extern int probe_open(struct gendisk *disk, blk_mode_t mode);
extern void probe_release(struct gendisk *disk);
extern const struct block_device_operations probe_ops;

const struct block_device_operations probe_ops = {
	.open = probe_open,
	.release = probe_release,
};
