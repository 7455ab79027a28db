/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bdev.h - what the disk shown above (if) asks the bdev brick at the bottom
 */
#ifndef _MARS_LINUX_BDEV_H
#define _MARS_LINUX_BDEV_H

#include <linux/types.h>

struct block_device;
struct mars_brick;

/**
 * mars_bdev_of - the block device a bdev brick has open, or NULL
 * @claimed: out: it is held exclusively, until the brick is switched off
 *
 * NULL too for a brick of another type.  Under mars_topology_lock; behind that the
 * caller holds the device itself (get_device on bd_device) if it goes on using it.
 */
struct block_device *mars_bdev_of(struct mars_brick *brick, bool *claimed);

#endif /* _MARS_LINUX_BDEV_H */
