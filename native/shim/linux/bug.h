/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bug.h - WARN and BUG
 *
 * WARN prints the place and counts (exec_warn_count() in exec.h); BUG prints the
 * place and aborts.  MARS_WARN_ABORT=1 in the environment makes WARN abort too.
 */
#ifndef _SHIM_LINUX_BUG_H
#define _SHIM_LINUX_BUG_H

#include <linux/compiler.h>
#include <linux/printk.h>

__cold __printf(3, 4) void shim_warn(const char *file, int line, const char *fmt, ...);
__cold __attribute__((__noreturn__)) void shim_bug(const char *file, int line, const char *what);

#define BUG()		shim_bug(__FILE__, __LINE__, "BUG")
#define BUG_ON(cond)	do { if (unlikely(cond)) shim_bug(__FILE__, __LINE__, #cond); } while (0)

#define WARN(cond, fmt, ...) ({						\
	bool __c = !!(cond);						\
	if (unlikely(__c))						\
		shim_warn(__FILE__, __LINE__, fmt, ##__VA_ARGS__);	\
	unlikely(__c); })
#define WARN_ON(cond)	WARN(cond, "%s", #cond)

#define WARN_ONCE(cond, fmt, ...) ({					\
	static bool __warned;						\
	bool __c = !!(cond);						\
	if (unlikely(__c) && !__atomic_exchange_n(&__warned, true, __ATOMIC_RELAXED)) \
		shim_warn(__FILE__, __LINE__, fmt, ##__VA_ARGS__);	\
	unlikely(__c); })
#define WARN_ON_ONCE(cond) WARN_ONCE(cond, "%s", #cond)

#endif /* _SHIM_LINUX_BUG_H */
