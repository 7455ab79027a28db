/* SPDX-License-Identifier: GPL-2.0-or-later */
/* build_bug.h - assertions at compile time */
#ifndef _SHIM_LINUX_BUILD_BUG_H
#define _SHIM_LINUX_BUILD_BUG_H

#include <linux/compiler.h>

#ifndef __cplusplus
#include <assert.h>
#undef static_assert
#define static_assert(expr, ...) __static_assert(expr, ##__VA_ARGS__, #expr)
#define __static_assert(expr, msg, ...) _Static_assert(expr, msg)
#define BUILD_BUG_ON_MSG(cond, msg) _Static_assert(!(cond), msg)
#define BUILD_BUG_ON(cond)	BUILD_BUG_ON_MSG(cond, "BUILD_BUG_ON: " #cond)
#endif

#endif /* _SHIM_LINUX_BUILD_BUG_H */
