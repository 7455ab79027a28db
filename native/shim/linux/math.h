/* SPDX-License-Identifier: GPL-2.0-or-later */
/* math.h - division and rounding */
#ifndef _SHIM_LINUX_MATH_H
#define _SHIM_LINUX_MATH_H

#include <stdlib.h>		/* before abs becomes a macro */
#include <linux/types.h>

#undef roundup
#undef rounddown

#define DIV_ROUND_UP(n, d)	(((n) + (d) - 1) / (d))
#define DIV_ROUND_UP_ULL(n, d)	DIV_ROUND_UP((unsigned long long)(n), (d))
#define DIV_ROUND_CLOSEST(x, d)	(((x) + (d) / 2) / (d))

#define __round_mask(x, y)	((typeof(x))((y) - 1))
#define round_up(x, y)		((((x) - 1) | __round_mask(x, y)) + 1)
#define round_down(x, y)	((x) & ~__round_mask(x, y))
#define roundup(x, y)		((((x) + ((y) - 1)) / (y)) * (y))
#define rounddown(x, y)		((x) - ((x) % (y)))

#ifndef __cplusplus
#undef abs
#define abs(x) ({ typeof(x) __x = (x); __x < 0 ? -__x : __x; })
#endif

#endif /* _SHIM_LINUX_MATH_H */
