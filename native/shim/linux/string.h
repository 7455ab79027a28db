/* SPDX-License-Identifier: GPL-2.0-or-later */
/* string.h - strings and memory */
#ifndef _SHIM_LINUX_STRING_H
#define _SHIM_LINUX_STRING_H

#include <string.h>
#include <linux/types.h>
#include <linux/gfp.h>

/** strscpy - copy with termination; length copied, or -E2BIG when cut */
ssize_t strscpy(char *dst, const char *src, size_t count);
/** memchr_inv - first byte that is not @c, or NULL */
void *memchr_inv(const void *start, int c, size_t bytes);
char *kstrdup(const char *s, gfp_t gfp);
char *kstrndup(const char *s, size_t max, gfp_t gfp);
void *kmemdup(const void *src, size_t len, gfp_t gfp);

static inline void memzero_explicit(void *s, size_t count)
{
	memset(s, 0, count);
	__asm__ __volatile__("" : : "r"(s) : "memory");
}

static inline bool strstarts(const char *str, const char *prefix)
{
	return strncmp(str, prefix, strlen(prefix)) == 0;
}

#endif /* _SHIM_LINUX_STRING_H */
