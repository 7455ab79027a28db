/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lane.h - a queue of requests with the kernel thread that carries them out
 *
 * Submission may come from any context, device IO may sleep: a lane takes requests on
 * one side and hands them out, in order, to its thread.  A brick has one lane for each
 * kind of work that must not hold up another.
 *
 * A thread of its own instead of a workqueue, for three reasons.  It exists from the
 * moment the brick is on, so writing goes on when no memory can be had for a new worker.
 * What runs in it is also file system code, which may wait for work of queues that give
 * no such promise: that is forbidden in a queue that does (WQ_MEM_RECLAIM).  And no limit
 * is shared with anybody: a disk that hangs keeps its own threads and no others.
 *
 * Locking: lane->lock, irqs off; only the lock of the thread's list is taken inside.
 */
#ifndef _MARS_LINUX_LANE_H
#define _MARS_LINUX_LANE_H

#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

#include "compat/kthread.h"
#include "core/xio.h"

struct mars_lane {
	struct kthread_worker *thread;	/* between start and stop, else NULL */
	struct kthread_work work;
	spinlock_t lock;
	struct list_head queue;		/* lock: requests, by rq->link */
	void *owner;			/* constant: the brick */
};

static inline void mars_lane_init(struct mars_lane *lane, void *owner, kthread_work_func_t fn)
{
	lane->thread = NULL;
	kthread_init_work(&lane->work, fn);
	spin_lock_init(&lane->lock);
	INIT_LIST_HEAD(&lane->queue);
	lane->owner = owner;
}

/** mars_lane_start - make the thread; process context; 0 or -errno */
static inline int mars_lane_start(struct mars_lane *lane, const char *brick)
{
	struct kthread_worker *thread = kthread_run_worker(0, "mars/%s", brick);

	if (IS_ERR(thread))
		return PTR_ERR(thread);
	set_user_nice(thread->task, MIN_NICE);
	lane->work.worker = NULL;	/* that of an earlier start, which is gone */
	lane->thread = thread;
	return 0;
}

/**
 * mars_lane_stop - wait until the thread has run out and end it
 *
 * The lane is empty, nobody adds any more.  Not from the thread of a lane.  Nothing
 * happens when it was not started.
 */
static inline void mars_lane_stop(struct mars_lane *lane)
{
	if (!lane->thread)
		return;
	kthread_destroy_worker(lane->thread);
	lane->thread = NULL;
	WARN_ON(!list_empty(&lane->queue));
}

/** mars_lane_add - queue @rq; any context */
static inline void mars_lane_add(struct mars_lane *lane, struct xio_request *rq)
{
	unsigned long flags;

	rq->flags &= ~XIO_MAY_SLEEP;	/* spoke of the caller, not of the thread */
	spin_lock_irqsave(&lane->lock, flags);
	list_add_tail(&rq->link, &lane->queue);
	/* inside: once somebody else has seen the request, the lane may be gone */
	kthread_queue_work(lane->thread, &lane->work);
	spin_unlock_irqrestore(&lane->lock, flags);
}

/** mars_lane_next - the first request, or NULL; by the thread */
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

/** mars_lane_all - move all requests to @batch; by the thread */
static inline void mars_lane_all(struct mars_lane *lane, struct list_head *batch)
{
	unsigned long flags;

	spin_lock_irqsave(&lane->lock, flags);
	list_splice_tail_init(&lane->queue, batch);
	spin_unlock_irqrestore(&lane->lock, flags);
}

#endif /* _MARS_LINUX_LANE_H */
