/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bdev_brick.h - the bdev brick: a block device as data disk
 *
 * Private to bdev.c (opening, what a request may reach) and
 * bdev_io.c (bios).
 *
 * How it lives stands in lower.h; bdev is constant for whoever is inside the gate.
 */
#ifndef _MARS_LINUX_BDEV_BRICK_H
#define _MARS_LINUX_BDEV_BRICK_H

#include <linux/bio.h>

#include "compat/blkdev.h"
#include "lower.h"
#include "types.h"

enum {
	BDEV_IO,		/* READ, WRITE, FLUSH of those who must not sleep */
	BDEV_CLEAR,		/* DISCARD, WRITE_ZEROES: wait for the device */
	BDEV_LANES
};

struct bdev_brick {
	struct mars_lower low;		/* first */
	struct lower_bdev dev;		/* the open device */
	struct mars_lane lane[BDEV_LANES];
};

/* The bio of a request; its segments are those of the request. */
struct bdev_aspect {
	struct bio bio;
};

static inline struct bdev_brick *to_bdev(struct mars_brick *brick)
{
	return container_of(brick, struct bdev_brick, low.brick);
}

/* bdev_io.c */

/** bdev_start - begin a READ, WRITE or FLUSH; may sleep */
void bdev_start(struct bdev_brick *bb, struct xio_request *rq);
/** bdev_io_work, bdev_clear_work - what the lanes do */
void bdev_io_work(struct kthread_work *work);
void bdev_clear_work(struct kthread_work *work);

#endif /* _MARS_LINUX_BDEV_BRICK_H */
