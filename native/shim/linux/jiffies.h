/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jiffies.h - ticks
 *
 * One jiffy is one microsecond here; portable code converts with
 * msecs_to_jiffies() and usecs_to_jiffies() and never assumes a value of HZ.
 */
#ifndef _SHIM_LINUX_JIFFIES_H
#define _SHIM_LINUX_JIFFIES_H

#include <linux/types.h>
#include <linux/ktime.h>

#undef HZ
#define HZ	1000000UL
#define jiffies	((unsigned long)(ktime_get_ns() / NSEC_PER_USEC))
#define get_jiffies_64() ((u64)jiffies)
#define MAX_JIFFY_OFFSET ((~0UL >> 1) - 1)

static inline unsigned long usecs_to_jiffies(const unsigned int u)
{
	return u;
}

static inline unsigned long msecs_to_jiffies(const unsigned int m)
{
	return (unsigned long)m * 1000;
}

static inline unsigned long nsecs_to_jiffies(u64 n)
{
	return (unsigned long)(n / NSEC_PER_USEC);
}

static inline unsigned int jiffies_to_msecs(const unsigned long j)
{
	return (unsigned int)(j / 1000);
}

static inline unsigned int jiffies_to_usecs(const unsigned long j)
{
	return (unsigned int)j;
}

#define time_after(a, b)	((long)((b) - (a)) < 0)
#define time_before(a, b)	time_after(b, a)
#define time_after_eq(a, b)	((long)((a) - (b)) >= 0)
#define time_before_eq(a, b)	time_after_eq(b, a)

#endif /* _SHIM_LINUX_JIFFIES_H */
