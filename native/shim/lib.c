// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lib.c - messages, warnings, strings and numbers
 *
 * Messages are one write each, so that lines of several threads do not mix.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/slab.h>
#include <linux/ktime.h>
#include <linux/bug.h>

#include "exec.h"

#ifdef __SANITIZE_THREAD__
int shim_fence_word;
#endif

static int log_level = -1;	/* atomic; -1 = ask the environment */
static long warn_count;		/* atomic */

int exec_log_level(int level)
{
	int old = __atomic_exchange_n(&log_level, level, __ATOMIC_RELAXED);

	return old;
}

long exec_warn_count(void)
{
	return __atomic_load_n(&warn_count, __ATOMIC_SEQ_CST);
}

static bool wanted(int level)
{
	int limit = READ_ONCE(log_level);

	if (limit < 0) {
		const char *env = getenv("MARS_LOG_LEVEL");

		limit = env && isdigit((unsigned char)*env) ? atoi(env) : SHIM_LOG_WARN;
		WRITE_ONCE(log_level, limit);
	}
	return level <= limit;
}

static void put_line(const char *prefix, const char *fmt, va_list ap)
{
	char line[1024];
	int len = snprintf(line, sizeof(line), "%s", prefix);
	int more = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);

	len += clamp(more, 0, (int)sizeof(line) - len - 2);
	if (line[len - 1] != '\n')
		line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return;		/* nowhere left to complain */
}

void shim_printk(int level, const char *fmt, ...)
{
	va_list ap;

	if (!wanted(level))
		return;
	va_start(ap, fmt);
	put_line("mars: ", fmt, ap);
	va_end(ap);
}

bool shim_ratelimit(u64 *window)
{
	const u64 span = 5 * NSEC_PER_SEC;
	u64 now = ktime_get_ns() / span, old = READ_ONCE(*window), next;

	/* number of the window above, messages in it in the low byte */
	do {
		next = old >> 8 == now ? old + 1 : now << 8 | 1;
		if ((next & 0xff) > 10)
			return false;
	} while (!__atomic_compare_exchange_n(window, &old, next, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

void shim_warn(const char *file, int line, const char *fmt, ...)
{
	char prefix[128];
	const char *env;
	va_list ap;

	snprintf(prefix, sizeof(prefix), "mars: WARNING at %s:%d: ", file, line);
	va_start(ap, fmt);
	put_line(prefix, fmt, ap);
	va_end(ap);
	__atomic_fetch_add(&warn_count, 1, __ATOMIC_SEQ_CST);
	env = getenv("MARS_WARN_ABORT");
	if (env && *env == '1')
		abort();
}

void shim_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "mars: BUG at %s:%d: %s\n", file, line, what);
	abort();
}

int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int len;

	if (!size)
		return 0;
	va_start(ap, fmt);
	len = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return len < (int)size ? len : (int)size - 1;
}

char *kasprintf(gfp_t gfp, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = kmalloc(len + 1, gfp);
	if (!p)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, len + 1, fmt, ap);
	va_end(ap);
	return p;
}

ssize_t strscpy(char *dst, const char *src, size_t count)
{
	size_t len;

	if (!count)
		return -E2BIG;
	len = strnlen(src, count);
	if (len == count) {
		memcpy(dst, src, count - 1);
		dst[count - 1] = '\0';
		return -E2BIG;
	}
	memcpy(dst, src, len + 1);
	return (ssize_t)len;
}

void *memchr_inv(const void *start, int c, size_t bytes)
{
	const u8 *p = start, *end = p + bytes;
	u64 word, pattern = 0x0101010101010101ULL * (u8)c;

	for (; end - p >= 8; p += 8) {
		memcpy(&word, p, 8);
		if (word != pattern)
			break;
	}
	for (; p < end; p++)
		if (*p != (u8)c)
			return (void *)p;
	return NULL;
}

void *kmemdup(const void *src, size_t len, gfp_t gfp)
{
	void *p = kmalloc(len, gfp);

	return p ? memcpy(p, src, len) : NULL;
}

char *kstrndup(const char *s, size_t max, gfp_t gfp)
{
	size_t len;
	char *p;

	if (!s)
		return NULL;
	len = strnlen(s, max);
	p = kmalloc(len + 1, gfp);
	if (!p)
		return NULL;
	memcpy(p, s, len);
	p[len] = '\0';
	return p;
}

char *kstrdup(const char *s, gfp_t gfp)
{
	return s ? kmemdup(s, strlen(s) + 1, gfp) : NULL;
}

/* The kernel takes no leading space and one trailing newline. */
int kstrtoull(const char *s, unsigned int base, unsigned long long *res)
{
	unsigned long long value;
	char *end;

	if (*s == '+')
		s++;
	if (!isxdigit((unsigned char)*s))
		return -EINVAL;
	errno = 0;
	value = strtoull(s, &end, (int)base);
	if (end == s)
		return -EINVAL;
	if (errno == ERANGE)
		return -ERANGE;
	if (*end == '\n')
		end++;
	if (*end)
		return -EINVAL;
	*res = value;
	return 0;
}

int kstrtoll(const char *s, unsigned int base, long long *res)
{
	unsigned long long value;
	bool negative = *s == '-';
	int ret = kstrtoull(negative ? s + 1 : s, base, &value);

	if (ret)
		return ret;
	if (negative && s[1] == '+')
		return -EINVAL;
	if (value > (unsigned long long)S64_MAX + negative)
		return -ERANGE;
	*res = negative ? (long long)(0 - value) : (long long)value;
	return 0;
}

int kstrtouint(const char *s, unsigned int base, unsigned int *res)
{
	unsigned long long value;
	int ret = kstrtoull(s, base, &value);

	if (ret)
		return ret;
	if (value > U32_MAX)
		return -ERANGE;
	*res = (unsigned int)value;
	return 0;
}

int kstrtoint(const char *s, unsigned int base, int *res)
{
	long long value;
	int ret = kstrtoll(s, base, &value);

	if (ret)
		return ret;
	if (value > S32_MAX || value < S32_MIN)
		return -ERANGE;
	*res = (int)value;
	return 0;
}
