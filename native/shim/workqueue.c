// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * workqueue.c - work items, delayed work and their queues
 *
 * A pending item is in exactly one place: among the timers (armed), in the list
 * of its queue (held back by max_active) or in a run list (active).  Taking it
 * out of a run list makes it running: its function is called without the lock,
 * and afterwards the item is not touched, since the function may free it.
 *
 * Everything here is under exec.lock.
 */
#include <stdarg.h>
#include <stdio.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/bug.h>

#include "exec_internal.h"

struct workqueue_struct *system_wq;
struct workqueue_struct *system_highpri_wq;
struct workqueue_struct *system_long_wq;
struct workqueue_struct *system_unbound_wq;

static void lock(void)
{
	BUG_ON(pthread_mutex_lock(&exec.lock) != 0);
}

static void unlock(void)
{
	BUG_ON(pthread_mutex_unlock(&exec.lock) != 0);
}

static void wake_waiters(void)
{
	if (__atomic_load_n(&exec.waiters, __ATOMIC_RELAXED))
		pthread_cond_broadcast(&exec.changed);
}

/* --- run lists --- */

static void activate(struct workqueue_struct *wq, struct work_struct *work)
{
	wq->nr_active++;
	work->active = true;
	list_add_tail(&work->entry, &exec.run[wq->flags & WQ_HIGHPRI ? 1 : 0]);
	if (exec.mode == EXEC_THREADED)
		exec_pool_work_added(wq);
}

/* One active item less: another one may follow. */
static void deactivate_one(struct workqueue_struct *wq)
{
	struct work_struct *work;

	wq->nr_active--;
	work = list_first_entry_or_null(&wq->inactive, struct work_struct, entry);
	if (!work || wq->nr_active >= wq->max_active)
		return;
	list_del_init(&work->entry);
	activate(wq, work);
}

static void enqueue(struct workqueue_struct *wq, struct work_struct *work)
{
	work->pending = true;
	work->wq = wq;
	work->seq = ++exec.seq;
	wq->nr_total++;
	if (wq->nr_active < wq->max_active)
		activate(wq, work);
	else
		list_add_tail(&work->entry, &wq->inactive);
}

/* Take a queued item back. */
static void dequeue(struct work_struct *work)
{
	struct workqueue_struct *wq = work->wq;

	list_del_init(&work->entry);
	work->pending = false;
	wq->nr_total--;
	if (work->active) {
		work->active = false;
		deactivate_one(wq);
	}
	wake_waiters();
}

static const struct exec_current *find_current(const struct work_struct *work)
{
	struct exec_current *cur;

	list_for_each_entry(cur, &exec.current_items, link)
		if (cur->work == work)
			return cur;
	return NULL;
}

static struct work_struct *pick_oldest(void)
{
	struct work_struct *work;

	for (int prio = 1; prio >= 0; prio--)
		list_for_each_entry(work, &exec.run[prio], entry)
			if (!find_current(work))
				return work;
	return NULL;
}

struct work_struct *exec_pick(bool random)
{
	struct work_struct *work;
	u64 candidates = 0, chosen;

	if (!random)
		return pick_oldest();
	for (int prio = 0; prio < 2; prio++)
		list_for_each_entry(work, &exec.run[prio], entry)
			candidates += !find_current(work);
	if (!candidates)
		return NULL;
	chosen = exec_random(candidates);
	for (int prio = 0; prio < 2; prio++)
		list_for_each_entry(work, &exec.run[prio], entry)
			if (!find_current(work) && chosen-- == 0)
				return work;
	BUG();
}

void exec_run(struct work_struct *work)
{
	struct exec_current cur = {
		.work = work, .wq = work->wq, .seq = work->seq, .outer = exec_my_current,
	};
	work_func_t func = work->func;

	list_del_init(&work->entry);
	work->pending = false;
	work->active = false;
	list_add(&cur.link, &exec.current_items);
	exec_my_current = &cur;
	unlock();
	func(work);
	might_sleep();		/* a spinlock must not stay behind */
	lock();
	exec_my_current = cur.outer;
	list_del(&cur.link);
	cur.wq->nr_total--;
	deactivate_one(cur.wq);
	wake_waiters();
}

/* --- timers --- */

static bool fires_before(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct delayed_work, timer)->expires <
	       rb_entry(b, const struct delayed_work, timer)->expires;
}

static void arm(struct workqueue_struct *wq, struct delayed_work *dwork, unsigned long delay)
{
	if (!delay) {
		enqueue(wq, &dwork->work);
		return;
	}
	delay = min(delay, MAX_JIFFY_OFFSET / 1000);
	dwork->expires = ktime_get_ns() + (u64)delay * (NSEC_PER_SEC / HZ);
	dwork->timer_wq = wq;
	dwork->armed = true;
	dwork->work.pending = true;
	if (rb_add_cached(&dwork->timer, &exec.timers, fires_before) &&
	    exec.mode == EXEC_THREADED)
		exec_pool_timer_added();
}

static void disarm(struct delayed_work *dwork)
{
	rb_erase_cached(&dwork->timer, &exec.timers);
	dwork->armed = false;
	dwork->work.pending = false;
}

static struct delayed_work *first_timer(void)
{
	struct rb_node *node = rb_first_cached(&exec.timers);

	return node ? rb_entry(node, struct delayed_work, timer) : NULL;
}

u64 exec_next_timer(void)
{
	struct delayed_work *dwork = first_timer();

	return dwork ? dwork->expires : U64_MAX;
}

bool exec_fire_timers(u64 now)
{
	struct delayed_work *dwork;
	bool fired = false;

	while ((dwork = first_timer()) && dwork->expires <= now) {
		disarm(dwork);
		enqueue(dwork->timer_wq, &dwork->work);
		fired = true;
	}
	return fired;
}

void exec_drop_timers(void)
{
	struct delayed_work *dwork;

	while ((dwork = first_timer())) {
		WARN(true, "delayed work %p still armed at exit", (void *)dwork->work.func);
		disarm(dwork);
	}
}

/* --- queues --- */

struct workqueue_struct *alloc_workqueue(const char *fmt, unsigned int flags,
					 int max_active, ...)
{
	struct workqueue_struct *wq;
	va_list ap;

	if (WARN_ON(!exec_running()))
		return NULL;
	wq = kzalloc(sizeof(*wq), GFP_KERNEL);
	if (!wq)
		return NULL;
	va_start(ap, max_active);
	vsnprintf(wq->name, sizeof(wq->name), fmt, ap);
	va_end(ap);
	INIT_LIST_HEAD(&wq->inactive);
	wq->flags = flags;
	wq->max_active = flags & __WQ_ORDERED ? 1 :
			 clamp(max_active ? max_active : (int)WQ_DFL_ACTIVE, 1, WQ_MAX_ACTIVE);
	lock();
	list_add_tail(&wq->link, &exec.queues);
	unlock();
	return wq;
}

static bool queue_empty(void *arg)
{
	struct workqueue_struct *wq = arg;

	return wq->nr_total == 0;
}

void drain_workqueue(struct workqueue_struct *wq)
{
	exec_wait(queue_empty, wq);
}

void destroy_workqueue(struct workqueue_struct *wq)
{
	struct rb_node *node;

	drain_workqueue(wq);
	lock();
	for (node = rb_first_cached(&exec.timers); node; node = rb_next(node))
		WARN(rb_entry(node, struct delayed_work, timer)->timer_wq == wq,
		     "workqueue %s destroyed with delayed work armed", wq->name);
	list_del(&wq->link);
	unlock();
	kfree(wq);
}

struct flush {
	struct workqueue_struct *wq;
	struct work_struct *work;
	u64 seq;		/* wait for what was queued up to here */
};

static bool list_has_older(const struct list_head *list, const struct flush *f)
{
	struct work_struct *work;

	list_for_each_entry(work, list, entry)
		if (work->wq == f->wq && work->seq <= f->seq)
			return true;
	return false;
}

static bool queue_flushed(void *arg)
{
	struct flush *f = arg;
	struct exec_current *cur;

	list_for_each_entry(cur, &exec.current_items, link)
		if (cur->wq == f->wq && cur->seq <= f->seq)
			return false;
	return !list_has_older(&f->wq->inactive, f) && !list_has_older(&exec.run[0], f) &&
	       !list_has_older(&exec.run[1], f);
}

void flush_workqueue(struct workqueue_struct *wq)
{
	struct flush f = { .wq = wq };

	lock();
	f.seq = exec.seq;
	unlock();
	exec_wait(queue_flushed, &f);
}

int exec_queues_init(void)
{
	system_wq = alloc_workqueue("events", 0, 0);
	system_highpri_wq = alloc_workqueue("events_highpri", WQ_HIGHPRI, 0);
	system_long_wq = alloc_workqueue("events_long", 0, 0);
	system_unbound_wq = alloc_workqueue("events_unbound", WQ_UNBOUND, 0);
	return system_wq && system_highpri_wq && system_long_wq && system_unbound_wq ? 0 : -ENOMEM;
}

void exec_queues_exit(void)
{
	struct workqueue_struct **all[] = {
		&system_wq, &system_highpri_wq, &system_long_wq, &system_unbound_wq,
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		if (*all[i])
			destroy_workqueue(*all[i]);
		*all[i] = NULL;
	}
	WARN(!list_empty(&exec.queues), "workqueue %s left behind",
	     list_first_entry(&exec.queues, struct workqueue_struct, link)->name);
}

/* --- work --- */

void shim_init_work(struct work_struct *work, work_func_t func)
{
	*work = (struct work_struct){ .func = func };
	INIT_LIST_HEAD(&work->entry);
}

void shim_init_delayed_work(struct delayed_work *dwork, work_func_t func)
{
	*dwork = (struct delayed_work){ .armed = false };
	shim_init_work(&dwork->work, func);
}

bool queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	bool queued;

	BUG_ON(!wq || !work->func);
	lock();
	queued = !work->pending && !work->canceling;
	if (queued)
		enqueue(wq, work);
	unlock();
	return queued;
}

bool work_pending(struct work_struct *work)
{
	bool pending;

	lock();
	pending = work->pending;
	unlock();
	return pending;
}

static bool work_flushed(void *arg)
{
	struct flush *f = arg;
	const struct exec_current *cur = find_current(f->work);

	return !(cur && cur->seq <= f->seq) && !(f->work->pending && f->work->seq <= f->seq);
}

/* Is the calling thread inside this very work function?  Waiting would never end. */
static bool running_here(const struct work_struct *work)
{
	for (struct exec_current *cur = exec_my_current; cur; cur = cur->outer)
		if (cur->work == work)
			return true;
	return false;
}

bool flush_work(struct work_struct *work)
{
	struct flush f = { .work = work };
	const struct exec_current *cur;

	BUG_ON(running_here(work));
	lock();
	cur = find_current(work);
	f.seq = work->pending ? work->seq : cur ? cur->seq : 0;
	unlock();
	if (!f.seq)
		return false;
	exec_wait(work_flushed, &f);
	return true;
}

static bool work_not_running(void *arg)
{
	return !find_current(arg);
}

/* With the item kept from being queued, wait for a run under way; drops the lock. */
static void wait_canceled(struct work_struct *work)
{
	BUG_ON(running_here(work));
	work->canceling++;
	unlock();
	exec_wait(work_not_running, work);
	lock();
	work->canceling--;
	unlock();
}

bool cancel_work(struct work_struct *work)
{
	bool pending;

	lock();
	pending = work->pending;
	if (pending)
		dequeue(work);
	unlock();
	return pending;
}

bool cancel_work_sync(struct work_struct *work)
{
	bool pending;

	might_sleep();
	lock();
	pending = work->pending;
	if (pending)
		dequeue(work);
	wait_canceled(work);
	return pending;
}

/* --- delayed work --- */

/* Neither armed nor queued afterwards; was it? */
static bool grab(struct delayed_work *dwork)
{
	if (dwork->armed)
		disarm(dwork);
	else if (dwork->work.pending)
		dequeue(&dwork->work);
	else
		return false;
	return true;
}

bool queue_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork,
			unsigned long delay)
{
	bool queued;

	BUG_ON(!wq || !dwork->work.func);
	lock();
	queued = !dwork->work.pending && !dwork->work.canceling;
	if (queued)
		arm(wq, dwork, delay);
	unlock();
	return queued;
}

bool mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *dwork,
		      unsigned long delay)
{
	bool pending = false;

	BUG_ON(!wq || !dwork->work.func);
	lock();
	if (!dwork->work.canceling) {
		pending = grab(dwork);
		arm(wq, dwork, delay);
	}
	unlock();
	return pending;
}

bool cancel_delayed_work(struct delayed_work *dwork)
{
	bool pending;

	lock();
	pending = grab(dwork);
	unlock();
	return pending;
}

bool cancel_delayed_work_sync(struct delayed_work *dwork)
{
	bool pending;

	might_sleep();
	lock();
	pending = grab(dwork);
	wait_canceled(&dwork->work);
	return pending;
}

bool flush_delayed_work(struct delayed_work *dwork)
{
	lock();
	if (dwork->armed) {
		disarm(dwork);
		enqueue(dwork->timer_wq, &dwork->work);
	}
	unlock();
	return flush_work(&dwork->work);
}

bool delayed_work_pending(struct delayed_work *dwork)
{
	return work_pending(&dwork->work);
}
