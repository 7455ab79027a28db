/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lockdep.h - lock assertions
 *
 * With sanitizers on, every spinlock and mutex knows its owner; taking a lock
 * twice, releasing it from elsewhere or waiting with a spinlock held aborts.
 */
#ifndef _SHIM_LINUX_LOCKDEP_H
#define _SHIM_LINUX_LOCKDEP_H

#include <linux/compiler.h>
#include <linux/bug.h>

#ifdef SHIM_DEBUG
/* a value of its own for each thread, never 0 */
unsigned long shim_self(void);
/* spinlocks held by this thread change by @n; returns how many are held now */
int shim_atomic_depth(int n);
#define lockdep_assert_held(l) BUG_ON(__atomic_load_n(&(l)->owner, __ATOMIC_RELAXED) != shim_self())
#define lockdep_assert_not_held(l) \
	BUG_ON(__atomic_load_n(&(l)->owner, __ATOMIC_RELAXED) == shim_self())
#define might_sleep()	BUG_ON(shim_atomic_depth(0) != 0)
#else
#define lockdep_assert_held(l)		((void)(l))
#define lockdep_assert_not_held(l)	((void)(l))
#define might_sleep()			((void)0)
#endif

#define might_sleep_if(cond)	do { if (cond) might_sleep(); } while (0)

#endif /* _SHIM_LINUX_LOCKDEP_H */
