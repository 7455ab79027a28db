/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * minmax.h - min, max, clamp, swap
 *
 * Both sides must have one type, as older kernels demand: what compiles without
 * a warning here does so there.
 */
#ifndef _SHIM_LINUX_MINMAX_H
#define _SHIM_LINUX_MINMAX_H

#define __shim_same_type(x, y)	((void)(sizeof((typeof(x) *)1 == (typeof(y) *)1)))

#define __shim_cmp(x, y, op, a, b) ({					\
	__shim_same_type(x, y);						\
	typeof(x) a = (x);						\
	typeof(y) b = (y);						\
	a op b ? a : b; })

#define __shim_paste2(a, b)	a##b
#define __shim_paste(a, b)	__shim_paste2(a, b)
#define __shim_id(p)		__shim_paste(p, __COUNTER__)

#define min(x, y)	__shim_cmp(x, y, <, __shim_id(__a), __shim_id(__b))
#define max(x, y)	__shim_cmp(x, y, >, __shim_id(__a), __shim_id(__b))
#define min3(x, y, z)	min((typeof(x))min(x, y), z)
#define max3(x, y, z)	max((typeof(x))max(x, y), z)
#define min_t(type, x, y) __shim_cmp((type)(x), (type)(y), <, __shim_id(__a), __shim_id(__b))
#define max_t(type, x, y) __shim_cmp((type)(x), (type)(y), >, __shim_id(__a), __shim_id(__b))
#define min_not_zero(x, y) ({						\
	typeof(x) __x = (x);						\
	typeof(y) __y = (y);						\
	__x == 0 ? __y : (__y == 0 ? __x : min(__x, __y)); })
#define clamp(val, lo, hi) min((typeof(val))max(val, lo), hi)
#define clamp_t(type, val, lo, hi) min_t(type, max_t(type, val, lo), hi)
#define clamp_val(val, lo, hi) clamp_t(typeof(val), val, lo, hi)

#define swap(a, b) \
	do { typeof(a) __tmp = (a); (a) = (b); (b) = __tmp; } while (0)

#endif /* _SHIM_LINUX_MINMAX_H */
