/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane.h - a queue of requests with the work item that carries them out
 *
 * Submission may come from any context, device IO may sleep: a lane takes requests on
 * one side and hands them out, in order, to its own work item on mars_submit_wq.  A
 * brick has one lane for each kind of work that must not hold up another.
 *
 * Locking: lane->lock, irqs off, innermost.
 */
#ifndef _MARS_LINUX_LANE_H
#define _MARS_LINUX_LANE_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "core/xio.h"
#include "work.h"

struct mars_lane {
	struct work_struct work;
	spinlock_t lock;
	struct list_head queue;		/* lock: requests, by rq->link */
	void *owner;			/* constant: the brick */
};

static inline void mars_lane_init(struct mars_lane *lane, void *owner, work_func_t fn)
{
	INIT_WORK(&lane->work, fn);
	spin_lock_init(&lane->lock);
	INIT_LIST_HEAD(&lane->queue);
	lane->owner = owner;
}

/** mars_lane_add - queue @rq; any context */
static inline void mars_lane_add(struct mars_lane *lane, struct xio_request *rq)
{
	unsigned long flags;

	rq->flags &= ~XIO_MAY_SLEEP;	/* spoke of the caller, not of the worker */
	spin_lock_irqsave(&lane->lock, flags);
	list_add_tail(&rq->link, &lane->queue);
	/* inside: once somebody else has seen the request, the lane may be gone */
	queue_work(mars_submit_wq, &lane->work);
	spin_unlock_irqrestore(&lane->lock, flags);
}

/** mars_lane_next - the first request, or NULL; by the work item */
static inline struct xio_request *mars_lane_next(struct mars_lane *lane)
{
	struct xio_request *rq;
	unsigned long flags;

	spin_lock_irqsave(&lane->lock, flags);
	rq = list_first_entry_or_null(&lane->queue, struct xio_request, link);
	if (rq)
		list_del_init(&rq->link);
	spin_unlock_irqrestore(&lane->lock, flags);
	return rq;
}

/** mars_lane_all - move all requests to @batch; by the work item */
static inline void mars_lane_all(struct mars_lane *lane, struct list_head *batch)
{
	unsigned long flags;

	spin_lock_irqsave(&lane->lock, flags);
	list_splice_tail_init(&lane->queue, batch);
	spin_unlock_irqrestore(&lane->lock, flags);
}

/**
 * mars_lane_stop - wait until the work item has run out
 *
 * The lane is empty, nobody adds any more.  Also from work on mars_submit_wq.
 */
static inline void mars_lane_stop(struct mars_lane *lane)
{
	cancel_work_sync(&lane->work);
	WARN_ON(!list_empty(&lane->queue));
}

#endif /* _MARS_LINUX_LANE_H */
