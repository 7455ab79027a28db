/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bdev_brick.h - the bdev brick: a block device as data disk
 *
 * Private to bdev.c (parameters, opening, power, what a request may reach) and
 * bdev_io.c (bios).
 *
 * Life: power on opens the device and then the gate; power off closes the gate.  When
 * the last request has left, a work item closes the device and lights led_off.  So
 * lower is constant for whoever is inside the gate.
 */
#ifndef _MARS_LINUX_BDEV_BRICK_H
#define _MARS_LINUX_BDEV_BRICK_H

#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/workqueue.h>

#include "compat/blkdev.h"
#include "core/brick.h"
#include "core/gate.h"
#include "core/xio.h"
#include "lane.h"
#include "types.h"

struct bdev_brick {
	struct mars_brick brick;

	/* parameters; mars_topology_lock; path and flags only change while closed */
	char path[MARS_TEXT_MAX + 1];
	u32 flags;			/* MARS_FILE_* */
	atomic64_t want;		/* bytes to show of an EXCL device, 0 = all */

	struct lower_bdev lower;	/* the open device; see above */
	bool open;			/* lower is valid; release by the closer, acquire */
	struct mars_gate gate;		/* open while on; every request is inside */
	struct work_struct close;

	struct mars_lane io;		/* READ, WRITE, FLUSH of those who must not sleep */
	struct mars_lane clear;		/* DISCARD, WRITE_ZEROES: wait for the device */

	int error;			/* READ_ONCE/xchg: last failure, 0 = healthy */
	atomic64_t nr[XIO_NR_OPS];
	atomic64_t bytes_read, bytes_written;
};

/* The bio of a request; its segments are those of the request. */
struct bdev_aspect {
	struct bio bio;
};

static inline struct bdev_brick *to_bdev(struct mars_brick *brick)
{
	return container_of(brick, struct bdev_brick, brick);
}

/* bdev_io.c */

/** bdev_start - begin a READ, WRITE or FLUSH; may sleep */
void bdev_start(struct bdev_brick *bb, struct xio_request *rq);
/** bdev_done - complete a request, which leaves the gate; any context */
void bdev_done(struct bdev_brick *bb, struct xio_request *rq, int status);
/** bdev_io_work, bdev_clear_work - the work items of the lanes */
void bdev_io_work(struct work_struct *work);
void bdev_clear_work(struct work_struct *work);

#endif /* _MARS_LINUX_BDEV_BRICK_H */
