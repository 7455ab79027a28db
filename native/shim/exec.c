// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * exec.c - start and stop of the executor, clocks, waiting, simulation
 *
 * Simulation: one step takes the work that is due, lets the generator choose,
 * and runs it; each step costs a microsecond of virtual time.  When nothing is
 * runnable the clock jumps to the next timer.
 */
#include <time.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/bug.h>

#include "exec_internal.h"

#define SIM_START_NS	(1000 * (u64)NSEC_PER_SEC)		/* monotonic clock */
#define SIM_REAL_NS	(1800000000 * (u64)NSEC_PER_SEC)	/* system clock then */
#define SIM_STEP_NS	1000u
#define DRAIN_LIMIT	100000000L

struct exec_state exec = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};
__thread struct exec_current *exec_my_current;

static u64 random_state;	/* atomic */
static s64 real_offset;		/* atomic; from exec_clock_jump() */

int exec_init(enum exec_mode mode, unsigned int threads, u64 seed)
{
	int ret;

	if (mode != EXEC_THREADED && mode != EXEC_SIM)
		return -EINVAL;
	pthread_mutex_lock(&exec.lock);
	if (exec.running) {
		pthread_mutex_unlock(&exec.lock);
		return -EALREADY;
	}
	exec.mode = mode;
	INIT_LIST_HEAD(&exec.run[0]);
	INIT_LIST_HEAD(&exec.run[1]);
	INIT_LIST_HEAD(&exec.current_items);
	INIT_LIST_HEAD(&exec.queues);
	exec.timers = RB_ROOT_CACHED;
	exec.seq = 0;
	__atomic_store_n(&exec.virtual_ns, SIM_START_NS, __ATOMIC_SEQ_CST);
	__atomic_store_n(&random_state, seed, __ATOMIC_SEQ_CST);
	__atomic_store_n(&real_offset, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&exec.running, true, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&exec.lock);

	ret = exec_queues_init();
	if (!ret && mode == EXEC_THREADED) {
		pthread_mutex_lock(&exec.lock);
		ret = exec_pool_start(threads);
		pthread_mutex_unlock(&exec.lock);
	}
	if (ret)
		exec_exit();
	return ret;
}

static bool nothing_runs(void *arg)
{
	return list_empty(&exec.run[0]) && list_empty(&exec.run[1]) &&
	       list_empty(&exec.current_items);
}

void exec_exit(void)
{
	if (!exec_running())
		return;
	exec_wait(nothing_runs, NULL);
	pthread_mutex_lock(&exec.lock);
	exec_drop_timers();
	if (exec.mode == EXEC_THREADED)
		exec_pool_stop();
	pthread_mutex_unlock(&exec.lock);
	exec_queues_exit();
	__atomic_store_n(&exec.running, false, __ATOMIC_SEQ_CST);
}

bool exec_running(void)
{
	return __atomic_load_n(&exec.running, __ATOMIC_SEQ_CST);
}

enum exec_mode exec_current_mode(void)
{
	return exec.mode;
}

/* --- random numbers and clocks --- */

/* SplitMix64: one addition, then mixing; lock-free, and the same for any compiler. */
u64 exec_random(u64 below)
{
	const u64 gamma = 0x9e3779b97f4a7c15ULL;
	u64 z = __atomic_add_fetch(&random_state, gamma, __ATOMIC_RELAXED);

	BUG_ON(!below);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	z ^= z >> 31;
	return (u64)((unsigned __int128)z * below >> 64);
}

static bool simulating(void)
{
	return exec_running() && exec.mode == EXEC_SIM;
}

static u64 clock_ns(clockid_t id)
{
	struct timespec ts;

	BUG_ON(clock_gettime(id, &ts) != 0);
	return (u64)ts.tv_sec * NSEC_PER_SEC + (u64)ts.tv_nsec;
}

u64 ktime_get_ns(void)
{
	return simulating() ? READ_ONCE(exec.virtual_ns) : clock_ns(CLOCK_MONOTONIC);
}

u64 ktime_get_real_ns(void)
{
	u64 now = simulating() ? READ_ONCE(exec.virtual_ns) - SIM_START_NS + SIM_REAL_NS :
				 clock_ns(CLOCK_REALTIME);

	return now + (u64)READ_ONCE(real_offset);
}

void exec_clock_jump(s64 ns)
{
	__atomic_fetch_add(&real_offset, ns, __ATOMIC_SEQ_CST);
}

/* --- simulation --- */

static void set_virtual_time(u64 ns)
{
	if (ns > READ_ONCE(exec.virtual_ns))
		__atomic_store_n(&exec.virtual_ns, ns, __ATOMIC_SEQ_CST);
}

bool exec_sim_step(u64 limit)
{
	struct work_struct *work;
	bool ran = false;
	u64 next;

	BUG_ON(!simulating());
	pthread_mutex_lock(&exec.lock);
	exec_fire_timers(exec.virtual_ns);
	work = exec_pick(true);
	if (!work) {
		next = exec_next_timer();
		if (next != U64_MAX && next <= limit) {
			set_virtual_time(next);
			exec_fire_timers(next);
			work = exec_pick(true);
		}
	}
	if (work) {
		set_virtual_time(exec.virtual_ns + SIM_STEP_NS);
		exec_run(work);
		ran = true;
	}
	pthread_mutex_unlock(&exec.lock);
	return ran;
}

bool exec_step(void)
{
	return exec_sim_step(U64_MAX - 1);
}

void exec_drain(void)
{
	long steps = 0;

	while (exec_step())
		BUG_ON(++steps > DRAIN_LIMIT);
}

void exec_drain_now(void)
{
	long steps = 0;

	while (exec_sim_step(0))
		BUG_ON(++steps > DRAIN_LIMIT);
}

void exec_advance(u64 ns)
{
	BUG_ON(!simulating());
	pthread_mutex_lock(&exec.lock);
	set_virtual_time(exec.virtual_ns + ns);
	exec_fire_timers(exec.virtual_ns);
	pthread_mutex_unlock(&exec.lock);
}

/* --- waiting --- */

static void wait_stepping(bool (*over)(void *arg), void *arg)
{
	while (!over(arg)) {
		bool ran;

		pthread_mutex_unlock(&exec.lock);
		ran = exec_step();
		pthread_mutex_lock(&exec.lock);
		if (!ran && !over(arg))
			shim_bug(__FILE__, __LINE__, "a wait that can never end");
	}
}

static void wait_sleeping(bool (*over)(void *arg), void *arg)
{
	/* count first, then look: exec_notify() changes first, then looks at the count */
	__atomic_fetch_add(&exec.waiters, 1, __ATOMIC_SEQ_CST);
	if (!over(arg)) {
		exec_pool_block_begin();
		do {
			pthread_cond_wait(&exec.changed, &exec.lock);
		} while (!over(arg));
		exec_pool_block_end();
	}
	__atomic_fetch_sub(&exec.waiters, 1, __ATOMIC_SEQ_CST);
}

void exec_wait(bool (*over)(void *arg), void *arg)
{
	might_sleep();
	pthread_mutex_lock(&exec.lock);
	if (simulating())
		wait_stepping(over, arg);
	else
		wait_sleeping(over, arg);
	pthread_mutex_unlock(&exec.lock);
}

void exec_notify(void)
{
	smp_mb();
	if (likely(!__atomic_load_n(&exec.waiters, __ATOMIC_SEQ_CST)))
		return;
	pthread_mutex_lock(&exec.lock);
	pthread_cond_broadcast(&exec.changed);
	pthread_mutex_unlock(&exec.lock);
}
