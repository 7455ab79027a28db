/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * engine.h - the embedded engine: the C core inside a process
 *
 * Start it, then drive it with mars_control() of kernel/core/brick.h, exactly as
 * mars.ko is driven by ioctl.  mars_event_hook tells when events are pending.
 * Start and stop belong to one thread.
 */
#ifndef _MARS_ENGINE_H
#define _MARS_ENGINE_H

#include "exec.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * mars_engine_init - start executor and core, register all brick types
 * @mode: EXEC_THREADED, or EXEC_SIM for tests
 * @threads: size of the thread pool, 0 = default
 * @seed: for exec_random()
 *
 * Return: 0, -EALREADY when it runs, or -ENOMEM, -EAGAIN.
 */
int mars_engine_init(enum exec_mode mode, unsigned int threads, u64 seed);

/**
 * mars_engine_exit - switch off and destroy all bricks, stop everything
 *
 * Bricks go from the top down, each as soon as nothing stands on it.  A brick
 * may refuse (an export still open) or never get off; when nothing has moved for
 * a while this gives up and the engine goes on running.
 *
 * Return: 0, or -EBUSY when bricks are left.
 */
int mars_engine_exit(void);

#ifdef __cplusplus
}
#endif

#endif /* _MARS_ENGINE_H */
