/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ktime.h - clocks; virtual in simulation
 */
#ifndef _SHIM_LINUX_KTIME_H
#define _SHIM_LINUX_KTIME_H

#include <linux/types.h>

#define NSEC_PER_USEC	1000L
#define NSEC_PER_MSEC	1000000L
#define NSEC_PER_SEC	1000000000L
#define USEC_PER_MSEC	1000L
#define USEC_PER_SEC	1000000L
#define MSEC_PER_SEC	1000L

typedef s64 ktime_t;

/** ktime_get_ns - monotonic clock, ns */
u64 ktime_get_ns(void);
/** ktime_get_real_ns - system clock, ns since the epoch */
u64 ktime_get_real_ns(void);

#define ktime_get()		((ktime_t)ktime_get_ns())
#define ktime_get_real()	((ktime_t)ktime_get_real_ns())
#define ktime_to_ns(kt)		((s64)(kt))
#define ns_to_ktime(ns)		((ktime_t)(ns))
#define ktime_sub(a, b)		((a) - (b))
#define ktime_add_ns(kt, ns)	((kt) + (s64)(ns))
#define ktime_to_us(kt)		((s64)(kt) / NSEC_PER_USEC)
#define ktime_to_ms(kt)		((s64)(kt) / NSEC_PER_MSEC)

#endif /* _SHIM_LINUX_KTIME_H */
