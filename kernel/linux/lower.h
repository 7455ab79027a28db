/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lower.h - what the bricks at the bottom, bdev and file, have in common
 *
 * Parameters, the way on and off, counting, the last error.  What differs stands in
 * struct mars_lower_ops.
 *
 * Life: power on opens the device or file, starts the lanes and then opens the gate;
 * power off closes the gate.  When the last request has left, a work item stops the
 * lanes, closes what was open, and lights led_off.  So what open() found is constant for
 * whoever is inside the gate.
 *
 * Opening and growing take as long as the device takes: they run without
 * mars_topology_lock (mars_brick_slow_begin), so a device that hangs there holds up no
 * other brick.
 */
#ifndef _MARS_LINUX_LOWER_H
#define _MARS_LINUX_LOWER_H

#include <linux/atomic.h>
#include <linux/workqueue.h>

#include "core/brick.h"
#include "core/gate.h"
#include "core/xio.h"
#include "lane.h"

struct mars_lower;

/**
 * struct mars_lower_ops - what a kind of lower brick does its own way
 * @flags: MARS_FILE_* it knows
 * @open: open and inspect; 0 or -errno with *reason, and nothing is open then.  Starts the
 *	lanes that will be needed; those of a failed open are stopped by the caller
 * @resize: FILE_SIZE while open; 0 or -errno with *reason; records the size itself when it
 *	is to be shown
 * @close: undo @open, in a kernel thread; lanes have stopped
 * @size: bytes to show; inside the gate, or while open under mars_topology_lock
 */
struct mars_lower_ops {
	u32 flags;
	int (*open)(struct mars_lower *low, enum mars_reason *reason);
	int (*resize)(struct mars_lower *low, u64 size, enum mars_reason *reason);
	void (*close)(struct mars_lower *low);
	u64 (*size)(struct mars_lower *low);
};

struct mars_lower {
	struct mars_brick brick;
	const struct mars_lower_ops *ops;	/* constant */
	struct mars_lane *lane;			/* constant: array in the brick */
	unsigned int nr_lanes;			/* constant */

	/* parameters; path and flags change under mars_topology_lock while closed */
	char path[MARS_TEXT_MAX + 1];
	u32 flags;			/* MARS_FILE_* */
	atomic64_t want;		/* bytes asked for, 0 = whatever is there */

	bool open;			/* what open() found is valid; release by the closer */
	bool direct;			/* past the page cache; set by open() */
	u32 align;			/* of positions and lengths, 1 = any; set by open() */
	struct mars_gate gate;		/* open while on; every request is inside */
	struct work_struct close;

	int error;			/* READ_ONCE/xchg: last failure, 0 = healthy */
	bool lost;			/* READ_ONCE: a flush failed, and no later one may succeed */
	atomic64_t nr[XIO_NR_OPS];
	atomic64_t bytes_read, bytes_written;
};

static inline struct mars_lower *to_lower(struct mars_brick *brick)
{
	return container_of(brick, struct mars_lower, brick);
}

/** mars_lower_init - from construct; the lanes are initialised by the caller */
void mars_lower_init(struct mars_lower *low, const struct mars_lower_ops *ops,
		     struct mars_lane *lane, unsigned int nr_lanes);

/* Methods of the brick type. */
int mars_lower_set(struct mars_brick *brick, u32 key, u64 value, const char *text, u32 len,
		   enum mars_reason *reason);
int mars_lower_power(struct mars_brick *brick, bool on, enum mars_reason *reason);
void mars_lower_status(struct mars_brick *brick, struct mars_ctl_status *st);

/** mars_lower_done - complete a request, which leaves the gate; any context */
void mars_lower_done(struct mars_lower *low, struct xio_request *rq, int status);
/** mars_lower_refuse - complete a request that never began; it leaves the gate */
void mars_lower_refuse(struct mars_lower *low, struct xio_request *rq, int err);

/** mars_open_reason - the reason that goes with the -errno of an open */
enum mars_reason mars_open_reason(int err);

#endif /* _MARS_LINUX_LOWER_H */
