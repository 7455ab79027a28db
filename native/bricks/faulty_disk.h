/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faulty_disk.h - inside the simulated disk; private to faulty*.c
 *
 * State is three things: the durable image, the view (what reads see) and the
 * cache: a list of units, the changes that make the view out of the image, in
 * the order in which they were taken.  Executing a write updates the view and
 * appends units; a flush applies the front of the list to the image.
 *
 * Locking: disk->lock covers everything, also the buffers of requests in flight
 * as far as they are looked at here.  Completions run without it.
 *
 * Memory comes from malloc(), not from the shim, so that the disk stays out of
 * the way of injected allocation failures; running out of it aborts the test.
 */
#ifndef _MARS_FAULTY_DISK_H
#define _MARS_FAULTY_DISK_H

#include <stdlib.h>

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "core/gate.h"
#include "faulty.h"

#define FAULTY_RANGES	8

/* A cached change: part of one sector, or a growth of the disk. */
struct unit {
	struct list_head link;
	u64 seq;		/* submission of its request */
	u64 done;		/* completion of its request */
	u64 pos;		/* or the new size */
	u32 len;		/* 0 = growth */
	u8 data[];
};

struct fault {
	unsigned int ops;
	u64 pos, len;
	int err;
};

struct faulty_aspect {
	u64 seq;
	u64 upto;		/* FLUSH: completions before its submission */
};

struct faulty_disk {
	struct mars_brick brick;
	spinlock_t lock;
	struct faulty_image *image;	/* lock: durable */
	u8 *view;			/* lock: capacity bytes */
	u64 size;			/* lock: size of the view */
	u64 capacity;			/* lock: may be below image->capacity */
	u64 room;			/* lock: faulty_set_room() */
	bool grows;			/* constant once the image is there */
	struct faulty_config config;	/* constant once the image is there */
	struct list_head cache;		/* lock: units, oldest first */
	struct list_head pending;	/* lock: requests in flight */
	unsigned int nr_pending;	/* lock */
	unsigned int in_flight;		/* lock: submitted and not yet completed */
	u64 seq, done, executed;	/* lock: submissions, completions, executions */
	u64 nr[XIO_NR_OPS];		/* lock */
	unsigned int nth_ops;		/* lock: faulty_fail_nth() */
	u64 nth_skip, nth_count;	/* lock */
	int nth_err;			/* lock */
	u64 failed;			/* lock: scripted errors so far */
	struct fault range[FAULTY_RANGES]; /* lock; ops = 0 is free */
	bool frozen, dead;		/* lock */
	struct mars_gate gate;
	struct delayed_work work;
};

static inline struct faulty_disk *to_disk(struct mars_brick *brick)
{
	return container_of(brick, struct faulty_disk, brick);
}

static inline void *faulty_must(void *p)
{
	if (!p)
		abort();
	return p;
}

/** faulty_piece - bytes of the sector at @pos, up to @end */
u32 faulty_piece(const struct faulty_disk *disk, u64 pos, u64 end);
struct unit *faulty_unit_new(u64 seq, u64 pos, u32 len);
/** faulty_unit_fill - the new contents of a piece of a request */
void faulty_unit_fill(struct unit *unit, const struct xio_request *rq);
void faulty_image_apply(struct faulty_image *image, const struct unit *unit);
/** faulty_may_grow - is there room for @rq, which ends at @end, behind the disk's end? */
bool faulty_may_grow(const struct faulty_disk *disk, const struct xio_request *rq, u64 end);
/** faulty_stopped - nothing may be executed; with disk->lock held */
bool faulty_stopped(struct faulty_disk *disk);
/** faulty_schedule - go on with what is pending; with disk->lock held */
void faulty_schedule(struct faulty_disk *disk);

#endif /* _MARS_FAULTY_DISK_H */
