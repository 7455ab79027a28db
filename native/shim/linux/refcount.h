/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * refcount.h - reference counts that saturate instead of wrapping
 *
 * Misuse (increment from zero, decrement below zero, overflow) warns and pins
 * the count at REFCOUNT_SATURATED: the object leaks instead of being reused.
 */
#ifndef _SHIM_LINUX_REFCOUNT_H
#define _SHIM_LINUX_REFCOUNT_H

#include <linux/atomic.h>
#include <linux/bug.h>
#include <linux/limits.h>

typedef struct refcount_struct {
	atomic_t refs;
} refcount_t;

#define REFCOUNT_INIT(n)	{ .refs = ATOMIC_INIT(n) }
#define REFCOUNT_MAX		INT_MAX
#define REFCOUNT_SATURATED	(INT_MIN / 2)

static inline void shim_refcount_saturate(refcount_t *r, const char *why)
{
	atomic_set(&r->refs, REFCOUNT_SATURATED);
	WARN(true, "refcount: %s", why);
}

static inline void refcount_set(refcount_t *r, int n)
{
	atomic_set(&r->refs, n);
}

static inline unsigned int refcount_read(const refcount_t *r)
{
	return (unsigned int)atomic_read(&r->refs);
}

static inline void refcount_add(int i, refcount_t *r)
{
	int old = atomic_fetch_add_relaxed(i, &r->refs);

	if (unlikely(!old))
		shim_refcount_saturate(r, "addition on 0; use-after-free");
	else if (unlikely(old < 0 || old > INT_MAX - i))
		shim_refcount_saturate(r, "saturated; leaking memory");
}

static inline void refcount_inc(refcount_t *r)
{
	refcount_add(1, r);
}

static inline __must_check bool refcount_inc_not_zero(refcount_t *r)
{
	int old = atomic_read(&r->refs);

	do {
		if (!old)
			return false;
	} while (!atomic_try_cmpxchg(&r->refs, &old,
				     old == INT_MAX ? REFCOUNT_SATURATED : old + 1));
	if (unlikely(old < 0 || old == INT_MAX))
		shim_refcount_saturate(r, "saturated; leaking memory");
	return true;
}

static inline __must_check bool refcount_sub_and_test(int i, refcount_t *r)
{
	int old = atomic_fetch_sub(i, &r->refs);

	if (old == i)
		return true;
	if (unlikely(old < i))
		shim_refcount_saturate(r, "underflow; use-after-free");
	return false;
}

static inline __must_check bool refcount_dec_and_test(refcount_t *r)
{
	return refcount_sub_and_test(1, r);
}

static inline void refcount_dec(refcount_t *r)
{
	if (unlikely(atomic_fetch_sub(1, &r->refs) <= 1))
		shim_refcount_saturate(r, "decrement hit 0; leaking memory");
}

#endif /* _SHIM_LINUX_REFCOUNT_H */
