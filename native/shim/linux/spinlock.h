/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * spinlock.h - spinlocks on mutexes of the thread library
 *
 * User space can be preempted anywhere, so true spinning would waste whole time
 * slices; adaptive mutexes spin shortly, then wait.  There are no interrupts:
 * the _irq variants are the plain ones.
 */
#ifndef _SHIM_LINUX_SPINLOCK_H
#define _SHIM_LINUX_SPINLOCK_H

#include <pthread.h>
#include <linux/types.h>
#include <linux/compiler.h>
#include <linux/lockdep.h>

typedef struct spinlock {
	pthread_mutex_t shim_mutex;
#ifdef SHIM_DEBUG
	unsigned long owner;
#endif
} spinlock_t;

#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
#define __SPIN_LOCK_UNLOCKED(name) { .shim_mutex = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP }
#else
#define __SPIN_LOCK_UNLOCKED(name) { .shim_mutex = PTHREAD_MUTEX_INITIALIZER }
#endif
#define DEFINE_SPINLOCK(x)	spinlock_t x = __SPIN_LOCK_UNLOCKED(x)

void shim_spin_lock_init(spinlock_t *lock);
#define spin_lock_init(lock)	shim_spin_lock_init(lock)

static inline void spin_lock(spinlock_t *lock)
{
#ifdef SHIM_DEBUG
	lockdep_assert_not_held(lock);
#endif
	BUG_ON(pthread_mutex_lock(&lock->shim_mutex) != 0);
#ifdef SHIM_DEBUG
	__atomic_store_n(&lock->owner, shim_self(), __ATOMIC_RELAXED);
	shim_atomic_depth(1);
#endif
}

static inline int spin_trylock(spinlock_t *lock)
{
	if (pthread_mutex_trylock(&lock->shim_mutex) != 0)
		return 0;
#ifdef SHIM_DEBUG
	__atomic_store_n(&lock->owner, shim_self(), __ATOMIC_RELAXED);
	shim_atomic_depth(1);
#endif
	return 1;
}

static inline void spin_unlock(spinlock_t *lock)
{
#ifdef SHIM_DEBUG
	lockdep_assert_held(lock);
	__atomic_store_n(&lock->owner, 0, __ATOMIC_RELAXED);
	shim_atomic_depth(-1);
#endif
	BUG_ON(pthread_mutex_unlock(&lock->shim_mutex) != 0);
}

#define spin_lock_irq(lock)	spin_lock(lock)
#define spin_unlock_irq(lock)	spin_unlock(lock)
#define spin_lock_bh(lock)	spin_lock(lock)
#define spin_unlock_bh(lock)	spin_unlock(lock)
#define spin_lock_nested(lock, sub) spin_lock(lock)
#define spin_lock_irqsave(lock, flags) \
	do { (flags) = 0; (void)(flags); spin_lock(lock); } while (0)
#define spin_lock_irqsave_nested(lock, flags, sub) spin_lock_irqsave(lock, flags)
#define spin_unlock_irqrestore(lock, flags) \
	do { (void)(flags); spin_unlock(lock); } while (0)
#define spin_trylock_irqsave(lock, flags) \
	({ (flags) = 0; (void)(flags); spin_trylock(lock); })

#define assert_spin_locked(lock) lockdep_assert_held(lock)

#endif /* _SHIM_LINUX_SPINLOCK_H */
