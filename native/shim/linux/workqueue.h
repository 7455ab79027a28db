/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * workqueue.h - deferred work, run by the executors of exec.h
 *
 * As in the kernel: a work item pending is not queued again; one queued while it
 * runs is run again afterwards, never by two threads at once; its function may
 * free it; at most max_active items of a queue run at once and an ordered queue
 * runs them in the order of queueing; cancel_*_sync() returns when the item is
 * neither pending nor running and keeps it from queueing itself meanwhile.
 */
#ifndef _SHIM_LINUX_WORKQUEUE_H
#define _SHIM_LINUX_WORKQUEUE_H

#include <linux/types.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/jiffies.h>
#include <linux/container_of.h>

struct workqueue_struct;
struct work_struct;
typedef void (*work_func_t)(struct work_struct *work);

/* All fields but func belong to the executor and its lock. */
struct work_struct {
	struct list_head entry;
	work_func_t func;
	struct workqueue_struct *wq;	/* where pending */
	u64 seq;			/* order of queueing */
	unsigned int canceling;		/* callers inside cancel_*_sync() */
	bool pending;			/* in a queue, or timer armed */
	bool active;			/* in the executor's run list, not held back by max_active */
};

struct delayed_work {
	struct work_struct work;
	struct rb_node timer;		/* in the executor's timers while armed */
	struct workqueue_struct *timer_wq;
	u64 expires;			/* monotonic clock, ns */
	bool armed;
};

#define WQ_UNBOUND		(1u << 1)
#define WQ_FREEZABLE		(1u << 2)
#define WQ_MEM_RECLAIM		(1u << 3)
#define WQ_HIGHPRI		(1u << 4)
#define WQ_CPU_INTENSIVE	(1u << 5)
#define WQ_SYSFS		(1u << 6)
#define __WQ_ORDERED		(1u << 17)
#define WQ_MAX_ACTIVE		512
#define WQ_DFL_ACTIVE		(WQ_MAX_ACTIVE / 2)

extern struct workqueue_struct *system_wq;
extern struct workqueue_struct *system_highpri_wq;
extern struct workqueue_struct *system_long_wq;
extern struct workqueue_struct *system_unbound_wq;

__attribute__((__format__(printf, 1, 4)))
struct workqueue_struct *alloc_workqueue(const char *fmt, unsigned int flags,
					 int max_active, ...);
#define alloc_ordered_workqueue(fmt, flags, args...) \
	alloc_workqueue(fmt, WQ_UNBOUND | __WQ_ORDERED | (flags), 1, ##args)
void destroy_workqueue(struct workqueue_struct *wq);
void flush_workqueue(struct workqueue_struct *wq);
void drain_workqueue(struct workqueue_struct *wq);

#define __WORK_INITIALIZER(n, f) {					\
	.entry = { &(n).entry, &(n).entry }, .func = (f) }
#define DECLARE_WORK(n, f)	struct work_struct n = __WORK_INITIALIZER(n, f)
#define DECLARE_DELAYED_WORK(n, f) \
	struct delayed_work n = { .work = __WORK_INITIALIZER((n).work, f) }

void shim_init_work(struct work_struct *work, work_func_t func);
void shim_init_delayed_work(struct delayed_work *dwork, work_func_t func);
#define INIT_WORK(w, f)			shim_init_work((w), (f))
#define INIT_DELAYED_WORK(w, f)		shim_init_delayed_work((w), (f))
#define INIT_WORK_ONSTACK(w, f)		shim_init_work((w), (f))
#define INIT_DELAYED_WORK_ONSTACK(w, f)	shim_init_delayed_work((w), (f))
#define destroy_work_on_stack(w)	((void)(w))
#define destroy_delayed_work_on_stack(w) ((void)(w))

bool queue_work(struct workqueue_struct *wq, struct work_struct *work);
bool flush_work(struct work_struct *work);
bool cancel_work(struct work_struct *work);
bool cancel_work_sync(struct work_struct *work);
bool work_pending(struct work_struct *work);

bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork,
			unsigned long delay);
bool mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork,
		      unsigned long delay);
bool flush_delayed_work(struct delayed_work *dwork);
bool cancel_delayed_work(struct delayed_work *dwork);
bool cancel_delayed_work_sync(struct delayed_work *dwork);
bool delayed_work_pending(struct delayed_work *dwork);

#define schedule_work(work)		queue_work(system_wq, work)
#define schedule_delayed_work(dw, delay) queue_delayed_work(system_wq, dw, delay)

static inline struct delayed_work *to_delayed_work(struct work_struct *work)
{
	return container_of(work, struct delayed_work, work);
}

#endif /* _SHIM_LINUX_WORKQUEUE_H */
