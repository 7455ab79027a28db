/* SPDX-License-Identifier: GPL-2.0-or-later */
/* limits.h - ranges of the kernel types; libc includes this file too */
#ifndef _SHIM_LINUX_LIMITS_H
#define _SHIM_LINUX_LIMITS_H

#include_next <linux/limits.h>

#define U8_MAX		((__UINT8_TYPE__)~0U)
#define S8_MAX		((__INT8_TYPE__)(U8_MAX >> 1))
#define U16_MAX		((__UINT16_TYPE__)~0U)
#define S16_MAX		((__INT16_TYPE__)(U16_MAX >> 1))
#define U32_MAX		(~0U)
#define S32_MAX		((int)(U32_MAX >> 1))
#define S32_MIN		((int)(-S32_MAX - 1))
#define U64_MAX		(~0ULL)
#define S64_MAX		((long long)(U64_MAX >> 1))
#define S64_MIN		((long long)(-S64_MAX - 1))

#ifndef INT_MAX
#define INT_MAX		__INT_MAX__
#define INT_MIN		(-INT_MAX - 1)
#define UINT_MAX	(~0U)
#endif
#ifndef LONG_MAX
#define LONG_MAX	__LONG_MAX__
#define LONG_MIN	(-LONG_MAX - 1L)
#define ULONG_MAX	(~0UL)
#endif
#ifndef SIZE_MAX
#define SIZE_MAX	(~(__SIZE_TYPE__)0)
#endif

#endif /* _SHIM_LINUX_LIMITS_H */
