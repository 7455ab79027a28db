/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exec_internal.h - what the parts of the executor share
 *
 * One lock, exec.lock, guards run lists, timers, queues and threads.  It is
 * innermost but for mempool locks; no work function runs under it.
 */
#ifndef _SHIM_EXEC_INTERNAL_H
#define _SHIM_EXEC_INTERNAL_H

#include <pthread.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/workqueue.h>

#include "exec.h"

/* A work function that is running; lives on the stack of its thread. */
struct exec_current {
	struct list_head link;		/* exec.current_items */
	struct work_struct *work;	/* compared only: may be freed already */
	struct workqueue_struct *wq;
	u64 seq;
	struct exec_current *outer;	/* nested steps in simulation */
};

struct workqueue_struct {
	struct list_head link;		/* exec.queues */
	struct list_head inactive;	/* work held back by max_active */
	unsigned int flags;
	int max_active;
	int nr_active;			/* in a run list or running */
	long nr_total;			/* pending or running, without armed timers */
	char name[24];
};

struct exec_state {
	pthread_mutex_t lock;
	pthread_cond_t changed;		/* a condition of exec_wait() may have come true */
	unsigned int waiters;		/* threads in exec_wait(); written under lock */
	bool running;			/* atomic */
	enum exec_mode mode;
	struct list_head run[2];	/* runnable work: normal, high priority */
	struct list_head current_items;
	struct rb_root_cached timers;	/* armed delayed work by expires */
	struct list_head queues;
	u64 seq;
	u64 virtual_ns;			/* atomic; simulation's monotonic clock */
};

extern struct exec_state exec;
extern __thread struct exec_current *exec_my_current;

/* --- workqueue.c; exec.lock held --- */

/* Next work to run; @random: any of them, else the oldest.  NULL = none. */
struct work_struct *exec_pick(bool random);
/* Run what exec_pick() gave; drops the lock meanwhile. */
void exec_run(struct work_struct *work);
/* Make work runnable whose time has come; false = no timer was due. */
bool exec_fire_timers(u64 now);
/* When the next timer is due; U64_MAX = no timers. */
u64 exec_next_timer(void);
void exec_drop_timers(void);
int exec_queues_init(void);
void exec_queues_exit(void);

/* --- exec_pool.c; exec.lock held --- */

int exec_pool_start(unsigned int threads);
void exec_pool_stop(void);
/* Work became runnable on @wq: see that somebody runs it. */
void exec_pool_work_added(struct workqueue_struct *wq);
/* A timer became the first. */
void exec_pool_timer_added(void);
/* This thread is about to wait, or has waited: others must do its work. */
void exec_pool_block_begin(void);
void exec_pool_block_end(void);

/* --- exec.c --- */

/*
 * Wait until @over(@arg) says so; process context, exec.lock not held.  @over is
 * called under exec.lock; who makes it true calls exec_notify() afterwards.
 */
void exec_wait(bool (*over)(void *arg), void *arg);
void exec_notify(void);
/* One step of the simulation; timers beyond @limit ns stay. */
bool exec_sim_step(u64 limit);

#endif /* _SHIM_EXEC_INTERNAL_H */
