/* SPDX-License-Identifier: GPL-2.0-or-later */
/* mutex.h - sleeping locks; see lockdep.h for the checks */
#ifndef _SHIM_LINUX_MUTEX_H
#define _SHIM_LINUX_MUTEX_H

#include <pthread.h>
#include <linux/types.h>
#include <linux/compiler.h>
#include <linux/lockdep.h>

struct mutex {
	pthread_mutex_t shim_mutex;
#ifdef SHIM_DEBUG
	unsigned long owner;
#endif
};

#define DEFINE_MUTEX(m)	struct mutex m = { .shim_mutex = PTHREAD_MUTEX_INITIALIZER }

static inline void mutex_init(struct mutex *m)
{
	BUG_ON(pthread_mutex_init(&m->shim_mutex, NULL) != 0);
#ifdef SHIM_DEBUG
	m->owner = 0;
#endif
}

static inline void mutex_destroy(struct mutex *m)
{
	BUG_ON(pthread_mutex_destroy(&m->shim_mutex) != 0);
}

static inline void mutex_lock(struct mutex *m)
{
	might_sleep();
#ifdef SHIM_DEBUG
	lockdep_assert_not_held(m);
#endif
	BUG_ON(pthread_mutex_lock(&m->shim_mutex) != 0);
#ifdef SHIM_DEBUG
	__atomic_store_n(&m->owner, shim_self(), __ATOMIC_RELAXED);
#endif
}

static inline int mutex_trylock(struct mutex *m)
{
	if (pthread_mutex_trylock(&m->shim_mutex) != 0)
		return 0;
#ifdef SHIM_DEBUG
	__atomic_store_n(&m->owner, shim_self(), __ATOMIC_RELAXED);
#endif
	return 1;
}

static inline void mutex_unlock(struct mutex *m)
{
#ifdef SHIM_DEBUG
	lockdep_assert_held(m);
	__atomic_store_n(&m->owner, 0, __ATOMIC_RELAXED);
#endif
	BUG_ON(pthread_mutex_unlock(&m->shim_mutex) != 0);
}

#define mutex_lock_nested(m, sub) mutex_lock(m)

static inline bool mutex_is_locked(struct mutex *m)
{
	if (pthread_mutex_trylock(&m->shim_mutex) != 0)
		return true;
	pthread_mutex_unlock(&m->shim_mutex);
	return false;
}

#endif /* _SHIM_LINUX_MUTEX_H */
