/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * printk.h - messages, to standard error
 *
 * Shown when their level is at most the limit: MARS_LOG_LEVEL in the environment
 * (0 emergency ... 7 debug, default 4 warning), or exec_log_level() in exec.h.
 */
#ifndef _SHIM_LINUX_PRINTK_H
#define _SHIM_LINUX_PRINTK_H

#include <linux/compiler.h>

#define SHIM_LOG_ERR	3
#define SHIM_LOG_WARN	4
#define SHIM_LOG_NOTICE	5
#define SHIM_LOG_INFO	6
#define SHIM_LOG_DEBUG	7

__printf(2, 3) void shim_printk(int level, const char *fmt, ...);

#ifndef pr_fmt
#define pr_fmt(fmt) fmt
#endif

#define pr_emerg(fmt, ...)	shim_printk(0, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_alert(fmt, ...)	shim_printk(1, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_crit(fmt, ...)	shim_printk(2, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_err(fmt, ...)	shim_printk(SHIM_LOG_ERR, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_warn(fmt, ...)	shim_printk(SHIM_LOG_WARN, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_notice(fmt, ...)	shim_printk(SHIM_LOG_NOTICE, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_info(fmt, ...)	shim_printk(SHIM_LOG_INFO, pr_fmt(fmt), ##__VA_ARGS__)
#define pr_debug(fmt, ...)	shim_printk(SHIM_LOG_DEBUG, pr_fmt(fmt), ##__VA_ARGS__)

#define __shim_once(call) do {						\
	static bool __said;						\
	if (!__atomic_exchange_n(&__said, true, __ATOMIC_RELAXED))	\
		call;							\
} while (0)
#define pr_err_once(fmt, ...)	__shim_once(pr_err(fmt, ##__VA_ARGS__))
#define pr_warn_once(fmt, ...)	__shim_once(pr_warn(fmt, ##__VA_ARGS__))
#define pr_info_once(fmt, ...)	__shim_once(pr_info(fmt, ##__VA_ARGS__))

/* at most 10 messages in 5 seconds for each place in the code */
bool shim_ratelimit(u64 *window);
#define __shim_limited(call) do {					\
	static u64 __window;						\
	if (shim_ratelimit(&__window))					\
		call;							\
} while (0)
#define pr_err_ratelimited(fmt, ...)	__shim_limited(pr_err(fmt, ##__VA_ARGS__))
#define pr_warn_ratelimited(fmt, ...)	__shim_limited(pr_warn(fmt, ##__VA_ARGS__))
#define pr_notice_ratelimited(fmt, ...)	__shim_limited(pr_notice(fmt, ##__VA_ARGS__))
#define pr_info_ratelimited(fmt, ...)	__shim_limited(pr_info(fmt, ##__VA_ARGS__))

#endif /* _SHIM_LINUX_PRINTK_H */
