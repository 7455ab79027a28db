/* SPDX-License-Identifier: GPL-2.0-or-later */
/* overflow.h - arithmetic that reports or saturates on overflow */
#ifndef _SHIM_LINUX_OVERFLOW_H
#define _SHIM_LINUX_OVERFLOW_H

#include <linux/types.h>
#include <linux/limits.h>
#include <linux/compiler.h>

#define check_add_overflow(a, b, d)	unlikely(__builtin_add_overflow(a, b, d))
#define check_sub_overflow(a, b, d)	unlikely(__builtin_sub_overflow(a, b, d))
#define check_mul_overflow(a, b, d)	unlikely(__builtin_mul_overflow(a, b, d))

static inline size_t __must_check size_mul(size_t a, size_t b)
{
	size_t r;

	return check_mul_overflow(a, b, &r) ? SIZE_MAX : r;
}

static inline size_t __must_check size_add(size_t a, size_t b)
{
	size_t r;

	return check_add_overflow(a, b, &r) ? SIZE_MAX : r;
}

#define array_size(a, b)	size_mul(a, b)
#define flex_array_size(p, member, count) size_mul(count, sizeof(*(p)->member))
#define struct_size(p, member, count) \
	size_add(sizeof(*(p)), flex_array_size(p, member, count))

#endif /* _SHIM_LINUX_OVERFLOW_H */
