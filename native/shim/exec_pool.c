// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * exec_pool.c - the threads of the threaded executor
 *
 * A worker runs work until none is left, then becomes idle.  One idle worker is
 * the timekeeper: it sleeps until the next timer is due; the others sleep until
 * they are kicked.  Waking prefers plain idle workers, the last idle first.
 *
 * A worker that queues work on a bound queue wakes nobody: it will run the work
 * itself when its present one is done, as in the kernel, which saves a context
 * switch.  A worker that blocks in exec_wait() is replaced for that time.
 *
 * All state is under exec.lock.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/kernel.h>
#include <linux/bug.h>

#include "exec_internal.h"

#define DEFAULT_THREADS	2
#define MAX_THREADS	64

struct worker {
	struct list_head idle;		/* pool.idle, or empty */
	pthread_cond_t cond;
	pthread_t thread;
	bool kicked;
};

static struct {
	struct worker worker[MAX_THREADS];
	unsigned int nr;		/* threads started */
	unsigned int target;		/* threads that should be neither blocked nor missing */
	unsigned int blocked;		/* in exec_wait() */
	struct list_head idle;
	struct worker *timekeeper;
	bool stop;
} pool;

static __thread struct worker *self;

static bool work_to_do(void)
{
	return !list_empty(&exec.run[0]) || !list_empty(&exec.run[1]);
}

static void kick(struct worker *w)
{
	if (pool.timekeeper == w)
		pool.timekeeper = NULL;
	list_del_init(&w->idle);
	w->kicked = true;
	pthread_cond_signal(&w->cond);
}

static void wait_for_kick(struct worker *w)
{
	list_add(&w->idle, &pool.idle);
	while (!w->kicked)
		pthread_cond_wait(&w->cond, &exec.lock);
}

static void keep_time(struct worker *w, u64 until)
{
	struct timespec ts = {
		.tv_sec = (time_t)(until / NSEC_PER_SEC),
		.tv_nsec = (long)(until % NSEC_PER_SEC),
	};

	pool.timekeeper = w;
	while (!w->kicked && ktime_get_ns() < until)
		pthread_cond_timedwait(&w->cond, &exec.lock, &ts);
	if (pool.timekeeper == w)
		pool.timekeeper = NULL;
}

static void be_idle(struct worker *w)
{
	u64 next = exec_next_timer();

	w->kicked = false;
	if (!pool.timekeeper && next != U64_MAX)
		keep_time(w, next);
	else
		wait_for_kick(w);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct work_struct *work;

	self = w;
	pthread_mutex_lock(&exec.lock);
	while (!pool.stop) {
		if (exec_next_timer() != U64_MAX)
			exec_fire_timers(ktime_get_ns());
		work = exec_pick(false);
		if (work)
			exec_run(work);
		else
			be_idle(w);
	}
	pthread_mutex_unlock(&exec.lock);
	return NULL;
}

static int init_cond(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	int ret = pthread_condattr_init(&attr);

	if (ret)
		return ret;
	ret = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!ret)
		ret = pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
	return ret;
}

/* Signals belong to the program around us: the new thread blocks them all. */
static int start_thread(struct worker *w)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	ret = pthread_sigmask(SIG_SETMASK, &all, &old);
	if (ret)
		return ret;
	ret = pthread_create(&w->thread, NULL, worker_main, w);
	BUG_ON(pthread_sigmask(SIG_SETMASK, &old, NULL) != 0);
	return ret;
}

static int add_worker(void)
{
	struct worker *w = &pool.worker[pool.nr];
	int ret;

	if (pool.nr == MAX_THREADS)
		return EAGAIN;
	memset(w, 0, sizeof(*w));
	INIT_LIST_HEAD(&w->idle);
	ret = init_cond(&w->cond);
	if (ret)
		return ret;
	ret = start_thread(w);
	if (ret) {
		pthread_cond_destroy(&w->cond);
		return ret;
	}
	pool.nr++;
	return 0;
}

int exec_pool_start(unsigned int threads)
{
	int ret = 0;

	pool.nr = 0;
	pool.blocked = 0;
	pool.timekeeper = NULL;
	pool.stop = false;
	pool.target = clamp(threads ? threads : DEFAULT_THREADS, 1u, MAX_THREADS / 2u);
	INIT_LIST_HEAD(&pool.idle);
	while (!ret && pool.nr < pool.target)
		ret = add_worker();
	return -ret;
}

void exec_pool_stop(void)
{
	pool.stop = true;
	for (unsigned int i = 0; i < pool.nr; i++)
		kick(&pool.worker[i]);
	for (unsigned int i = 0; i < pool.nr; i++) {
		pthread_mutex_unlock(&exec.lock);
		BUG_ON(pthread_join(pool.worker[i].thread, NULL) != 0);
		pthread_mutex_lock(&exec.lock);
		BUG_ON(pthread_cond_destroy(&pool.worker[i].cond) != 0);
	}
	pool.nr = 0;
}

/* Get somebody who is not at work to look at the run lists and timers. */
static void wake_somebody(void)
{
	struct worker *w = list_first_entry_or_null(&pool.idle, struct worker, idle);

	if (!w)
		w = pool.timekeeper;
	if (w)
		kick(w);
	else if (pool.nr - pool.blocked < pool.target)
		(void)add_worker();	/* without: those at work will come to it */
}

void exec_pool_work_added(struct workqueue_struct *wq)
{
	if (!self || wq->flags & WQ_UNBOUND)
		wake_somebody();
}

void exec_pool_timer_added(void)
{
	if (pool.timekeeper)
		kick(pool.timekeeper);	/* it sleeps too long now */
	else if (!list_empty(&pool.idle))
		kick(list_first_entry(&pool.idle, struct worker, idle));
}

void exec_pool_block_begin(void)
{
	if (!self)
		return;
	pool.blocked++;
	if (work_to_do() || (exec_next_timer() != U64_MAX && !pool.timekeeper))
		wake_somebody();
}

void exec_pool_block_end(void)
{
	if (self)
		pool.blocked--;
}
