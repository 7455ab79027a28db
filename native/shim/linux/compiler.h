/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compiler.h - attributes, branch hints, single accesses and barriers
 *
 * READ_ONCE and WRITE_ONCE are relaxed atomic accesses, so that the thread
 * sanitizer sees what the kernel memory model promises.
 */
#ifndef _SHIM_LINUX_COMPILER_H
#define _SHIM_LINUX_COMPILER_H

#include <linux/types.h>

/* debug checks of locks and of sleeping go with the sanitizers */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHIM_DEBUG 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHIM_DEBUG 1
#endif
#endif

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

#ifndef __always_inline
#define __always_inline	inline __attribute__((__always_inline__))
#endif
#ifndef __must_check
#define __must_check	__attribute__((__warn_unused_result__))
#endif
#define __maybe_unused	__attribute__((__unused__))
#define __printf(a, b)	__attribute__((__format__(printf, a, b)))
#define __aligned(x)	__attribute__((__aligned__(x)))
#define __packed	__attribute__((__packed__))
#define __cold		__attribute__((__cold__))
#define noinline	__attribute__((__noinline__))
#define fallthrough	__attribute__((__fallthrough__))
#define ____cacheline_aligned __aligned(64)
#define ____cacheline_aligned_in_smp __aligned(64)
#define __init
#define __exit
#define __user
#define __force
#define __acquires(x)
#define __releases(x)
#define __must_hold(x)

#define barrier()	__asm__ __volatile__("" : : : "memory")

#define READ_ONCE(x)	__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, val) __atomic_store_n(&(x), (val), __ATOMIC_RELAXED)

#define smp_load_acquire(p)	__atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)	__atomic_store_n((p), (v), __ATOMIC_RELEASE)

#ifdef __SANITIZE_THREAD__
/* the thread sanitizer does not know fences: order through one location */
extern int shim_fence_word;
#define smp_mb() ((void)__atomic_fetch_add(&shim_fence_word, 0, __ATOMIC_SEQ_CST))
#else
#define smp_mb()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif
#define smp_rmb()	smp_mb()
#define smp_wmb()	smp_mb()
#define smp_mb__before_atomic() smp_mb()
#define smp_mb__after_atomic()	smp_mb()

#ifdef __x86_64__
#define cpu_relax()	__builtin_ia32_pause()
#else
#define cpu_relax()	barrier()
#endif

#endif /* _SHIM_LINUX_COMPILER_H */
