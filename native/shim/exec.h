/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * exec.h - the executors that run work items in user space, and test hooks
 *
 * Threaded: a small pool of threads runs work items and delayed work; clocks are
 * the system's.  Simulation: nothing runs by itself; the caller's thread steps,
 * one work item at a time, chosen by a seeded generator among all that may run;
 * clocks are virtual, so a seed determines everything that happens.
 *
 * exec_init() and exec_exit() belong to one thread; all else may be called from
 * any thread (in simulation there should be only one).
 */
#ifndef _SHIM_EXEC_H
#define _SHIM_EXEC_H

#include <linux/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum exec_mode { EXEC_THREADED, EXEC_SIM };

/**
 * exec_init - start an executor
 * @threads: size of the pool, 0 = default (2); ignored in simulation
 * @seed: of the generator behind exec_random()
 *
 * Return: 0, -EALREADY when one runs, -EINVAL, or -ENOMEM/-EAGAIN (threads).
 */
int exec_init(enum exec_mode mode, unsigned int threads, u64 seed);
/** exec_exit - finish pending work (not delayed work), stop; safe when not started */
void exec_exit(void);
bool exec_running(void);
enum exec_mode exec_current_mode(void);

/* --- simulation --- */

/**
 * exec_step - run one work item, or advance the clock to the next delayed one
 *
 * Return: false when nothing is left.
 */
bool exec_step(void);
/** exec_drain - step until nothing is left; aborts after 100 million steps */
void exec_drain(void);
/** exec_drain_now - step until only delayed work is left: time does not jump */
void exec_drain_now(void);
/** exec_random - 0 .. below - 1 from the seeded generator (any mode); below > 0 */
u64 exec_random(u64 below);
/** exec_advance - let virtual time go on by @ns; work that falls due becomes runnable */
void exec_advance(u64 ns);
/** exec_clock_jump - move the system clock (not the monotonic one) by @ns; any mode */
void exec_clock_jump(s64 ns);

/* --- memory --- */

/**
 * exec_fail_alloc_at - make one allocation fail
 * @n: 1 (or 0) = the next one, 2 = the one after it ...; -1 = none
 */
void exec_fail_alloc_at(long n);
/** exec_fail_alloc_fired - did the failure asked for happen? */
bool exec_fail_alloc_fired(void);
/** exec_alloc_count - allocations tried since the start of the program */
long exec_alloc_count(void);
/** exec_live_allocs - allocations not yet freed (kmalloc, pages, queues, pools) */
long exec_live_allocs(void);

/* --- messages --- */

/** exec_log_level - show messages up to @level (0..7); returns the old limit */
int exec_log_level(int level);
/** exec_warn_count - WARNs so far */
long exec_warn_count(void);

#ifdef __cplusplus
}
#endif

#endif /* _SHIM_EXEC_H */
