/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * atomic.h - atomic_t, atomic64_t and friends on the compiler's builtins
 *
 * Ordering as in the kernel: operations that return a value are fully ordered,
 * the others and _relaxed are not ordered at all, _acquire and _release say it.
 */
#ifndef _SHIM_LINUX_ATOMIC_H
#define _SHIM_LINUX_ATOMIC_H

#include <linux/types.h>
#include <linux/compiler.h>

#define ATOMIC_INIT(i)		{ (i) }
#define ATOMIC64_INIT(i)	{ (i) }

#define SHIM_ATOMIC_OPS(pfx, type, val_t)						\
static inline val_t pfx##_read(const type *v)						\
{ return __atomic_load_n(&v->counter, __ATOMIC_RELAXED); }				\
static inline val_t pfx##_read_acquire(const type *v)					\
{ return __atomic_load_n(&v->counter, __ATOMIC_ACQUIRE); }				\
static inline void pfx##_set(type *v, val_t i)						\
{ __atomic_store_n(&v->counter, i, __ATOMIC_RELAXED); }					\
static inline void pfx##_set_release(type *v, val_t i)					\
{ __atomic_store_n(&v->counter, i, __ATOMIC_RELEASE); }					\
static inline void pfx##_add(val_t i, type *v)						\
{ __atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED); }				\
static inline void pfx##_sub(val_t i, type *v)						\
{ __atomic_fetch_sub(&v->counter, i, __ATOMIC_RELAXED); }				\
static inline void pfx##_inc(type *v) { pfx##_add(1, v); }				\
static inline void pfx##_dec(type *v) { pfx##_sub(1, v); }				\
static inline void pfx##_or(val_t i, type *v)						\
{ __atomic_fetch_or(&v->counter, i, __ATOMIC_RELAXED); }				\
static inline void pfx##_and(val_t i, type *v)						\
{ __atomic_fetch_and(&v->counter, i, __ATOMIC_RELAXED); }				\
static inline void pfx##_andnot(val_t i, type *v) { pfx##_and(~i, v); }			\
static inline val_t pfx##_fetch_add(val_t i, type *v)					\
{ return __atomic_fetch_add(&v->counter, i, __ATOMIC_SEQ_CST); }			\
static inline val_t pfx##_fetch_sub(val_t i, type *v)					\
{ return __atomic_fetch_sub(&v->counter, i, __ATOMIC_SEQ_CST); }			\
static inline val_t pfx##_fetch_add_relaxed(val_t i, type *v)				\
{ return __atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED); }			\
static inline val_t pfx##_fetch_inc(type *v) { return pfx##_fetch_add(1, v); }		\
static inline val_t pfx##_fetch_dec(type *v) { return pfx##_fetch_sub(1, v); }		\
static inline val_t pfx##_fetch_or(val_t i, type *v)					\
{ return __atomic_fetch_or(&v->counter, i, __ATOMIC_SEQ_CST); }				\
static inline val_t pfx##_fetch_and(val_t i, type *v)					\
{ return __atomic_fetch_and(&v->counter, i, __ATOMIC_SEQ_CST); }			\
static inline val_t pfx##_fetch_andnot(val_t i, type *v)				\
{ return pfx##_fetch_and(~i, v); }							\
static inline val_t pfx##_add_return(val_t i, type *v)					\
{ return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST); }			\
static inline val_t pfx##_sub_return(val_t i, type *v)					\
{ return __atomic_sub_fetch(&v->counter, i, __ATOMIC_SEQ_CST); }			\
static inline val_t pfx##_inc_return(type *v) { return pfx##_add_return(1, v); }	\
static inline val_t pfx##_dec_return(type *v) { return pfx##_sub_return(1, v); }	\
static inline bool pfx##_dec_and_test(type *v) { return pfx##_dec_return(v) == 0; }	\
static inline bool pfx##_inc_and_test(type *v) { return pfx##_inc_return(v) == 0; }	\
static inline bool pfx##_sub_and_test(val_t i, type *v)					\
{ return pfx##_sub_return(i, v) == 0; }							\
static inline val_t pfx##_xchg(type *v, val_t new_val)					\
{ return __atomic_exchange_n(&v->counter, new_val, __ATOMIC_SEQ_CST); }			\
static inline val_t pfx##_cmpxchg(type *v, val_t old, val_t new_val)			\
{											\
	__atomic_compare_exchange_n(&v->counter, &old, new_val, false,			\
				    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);		\
	return old;									\
}											\
static inline bool pfx##_try_cmpxchg(type *v, val_t *old, val_t new_val)		\
{											\
	return __atomic_compare_exchange_n(&v->counter, old, new_val, false,		\
					   __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);		\
}											\
static inline bool pfx##_add_unless(type *v, val_t a, val_t u)				\
{											\
	val_t c = pfx##_read(v);							\
	do {										\
		if (c == u)								\
			return false;							\
	} while (!pfx##_try_cmpxchg(v, &c, c + a));					\
	return true;									\
}											\
static inline bool pfx##_inc_not_zero(type *v) { return pfx##_add_unless(v, 1, 0); }

SHIM_ATOMIC_OPS(atomic, atomic_t, int)
SHIM_ATOMIC_OPS(atomic64, atomic64_t, s64)

#undef SHIM_ATOMIC_OPS

typedef atomic64_t atomic_long_t;
#define ATOMIC_LONG_INIT(i)	ATOMIC64_INIT(i)
#define atomic_long_read(v)	((long)atomic64_read(v))
#define atomic_long_set(v, i)	atomic64_set(v, i)
#define atomic_long_add(i, v)	atomic64_add(i, v)
#define atomic_long_sub(i, v)	atomic64_sub(i, v)
#define atomic_long_inc(v)	atomic64_inc(v)
#define atomic_long_dec(v)	atomic64_dec(v)
#define atomic_long_inc_return(v) ((long)atomic64_inc_return(v))
#define atomic_long_add_return(i, v) ((long)atomic64_add_return(i, v))

#define xchg(ptr, v)	__atomic_exchange_n((ptr), (v), __ATOMIC_SEQ_CST)
#define cmpxchg(ptr, old, new_val) ({					\
	typeof(*(ptr)) __old = (old);					\
	__atomic_compare_exchange_n((ptr), &__old, (new_val), false,	\
				    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED); \
	__old; })
#define try_cmpxchg(ptr, oldp, new_val)					\
	__atomic_compare_exchange_n((ptr), (oldp), (new_val), false,	\
				    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)

#endif /* _SHIM_LINUX_ATOMIC_H */
