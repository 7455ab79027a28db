/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sched.h - giving way: nothing to do where threads are preempted anyway
 */
#ifndef _SHIM_LINUX_SCHED_H
#define _SHIM_LINUX_SCHED_H

static inline void cond_resched(void)
{
}

#endif
