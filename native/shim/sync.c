// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sync.c - lock debugging and completions
 */
#include <time.h>
#include <linux/kernel.h>
#include <linux/completion.h>
#include <linux/spinlock.h>

#include "exec_internal.h"

#ifdef SHIM_DEBUG
static __thread int atomic_depth;

unsigned long shim_self(void)
{
	return (unsigned long)&atomic_depth;
}

int shim_atomic_depth(int n)
{
	return atomic_depth += n;
}
#endif

void shim_spin_lock_init(spinlock_t *lock)
{
	*lock = (spinlock_t)__SPIN_LOCK_UNLOCKED(lock);
}

/* --- completions --- */

void init_completion(struct completion *x)
{
	*x = (struct completion)COMPLETION_INITIALIZER(*x);
}

void reinit_completion(struct completion *x)
{
	pthread_mutex_lock(&x->mutex);
	x->done = 0;
	pthread_mutex_unlock(&x->mutex);
}

/* Broadcast inside the lock: a waiter may free the completion once it has the lock. */
static void raise_done(struct completion *x, bool all)
{
	pthread_mutex_lock(&x->mutex);
	if (all)
		x->done = UINT_MAX;
	else if (x->done != UINT_MAX)
		x->done++;
	pthread_cond_broadcast(&x->cond);
	pthread_mutex_unlock(&x->mutex);
}

void complete(struct completion *x)
{
	raise_done(x, false);
}

void complete_all(struct completion *x)
{
	raise_done(x, true);
}

static bool take(struct completion *x)
{
	if (!x->done)
		return false;
	if (x->done != UINT_MAX)
		x->done--;
	return true;
}

bool try_wait_for_completion(struct completion *x)
{
	bool done;

	pthread_mutex_lock(&x->mutex);
	done = take(x);
	pthread_mutex_unlock(&x->mutex);
	return done;
}

bool completion_done(struct completion *x)
{
	bool done;

	pthread_mutex_lock(&x->mutex);
	done = x->done != 0;
	pthread_mutex_unlock(&x->mutex);
	return done;
}

static bool simulating(void)
{
	return exec_running() && exec_current_mode() == EXEC_SIM;
}

static void worker_blocks(bool begin)
{
	pthread_mutex_lock(&exec.lock);
	if (begin)
		exec_pool_block_begin();
	else
		exec_pool_block_end();
	pthread_mutex_unlock(&exec.lock);
}

/* The condition variable has the system clock: turn monotonic into system time. */
static struct timespec deadline_of(u64 until)
{
	u64 now = ktime_get_ns();
	struct timespec ts;
	u64 ns;

	clock_gettime(CLOCK_REALTIME, &ts);
	ns = (u64)ts.tv_nsec + (until > now ? until - now : 0);
	ts.tv_sec += (time_t)(ns / NSEC_PER_SEC);
	ts.tv_nsec = (long)(ns % NSEC_PER_SEC);
	return ts;
}

static bool wait_threaded(struct completion *x, u64 until)
{
	bool in_work = exec_my_current != NULL, done;

	if (try_wait_for_completion(x))
		return true;
	if (in_work)
		worker_blocks(true);
	pthread_mutex_lock(&x->mutex);
	while (!(done = take(x))) {
		struct timespec ts;

		if (until == U64_MAX) {
			pthread_cond_wait(&x->cond, &x->mutex);
			continue;
		}
		if (ktime_get_ns() >= until)
			break;
		ts = deadline_of(until);
		pthread_cond_timedwait(&x->cond, &x->mutex, &ts);
	}
	pthread_mutex_unlock(&x->mutex);
	if (in_work)
		worker_blocks(false);
	return done;
}

static bool wait_simulated(struct completion *x, u64 until)
{
	while (!try_wait_for_completion(x)) {
		if (ktime_get_ns() >= until)
			return false;
		if (exec_sim_step(min(until, U64_MAX - 1)))
			continue;
		if (until == U64_MAX)
			shim_bug(__FILE__, __LINE__, "a completion that can never come");
		exec_advance(until - ktime_get_ns());
	}
	return true;
}

static bool wait_until(struct completion *x, u64 until)
{
	might_sleep();
	return simulating() ? wait_simulated(x, until) : wait_threaded(x, until);
}

void wait_for_completion(struct completion *x)
{
	wait_until(x, U64_MAX);
}

unsigned long wait_for_completion_timeout(struct completion *x, unsigned long timeout)
{
	u64 ns = (u64)min(timeout, MAX_JIFFY_OFFSET / 1000) * (NSEC_PER_SEC / HZ);
	u64 until = ktime_get_ns() + ns, now;

	if (!wait_until(x, until))
		return 0;
	now = ktime_get_ns();
	return now < until ? max(1UL, (unsigned long)((until - now) / NSEC_PER_USEC)) : 1;
}
