/* SPDX-License-Identifier: GPL-2.0-or-later */
/* kernel.h - small things used everywhere */
#ifndef _SHIM_LINUX_KERNEL_H
#define _SHIM_LINUX_KERNEL_H

#include_next <linux/kernel.h>
#include <stdarg.h>
#include <stdio.h>
#include <linux/types.h>
#include <linux/errno.h>
#include <linux/limits.h>
#include <linux/compiler.h>
#include <linux/align.h>
#include <linux/math.h>
#include <linux/container_of.h>
#include <linux/build_bug.h>
#include <linux/bitops.h>
#include <linux/lockdep.h>
#include <linux/printk.h>
#ifndef __cplusplus
#include <linux/minmax.h>
#endif

#define ARRAY_SIZE(arr)	(sizeof(arr) / sizeof((arr)[0]))
#define upper_32_bits(n) ((u32)(((n) >> 16) >> 16))
#define lower_32_bits(n) ((u32)((n) & 0xffffffff))

/** scnprintf - like snprintf, but returns what was really written */
__printf(3, 4) int scnprintf(char *buf, size_t size, const char *fmt, ...);
__printf(2, 3) char *kasprintf(gfp_t gfp, const char *fmt, ...);

/** kstrtou64 - whole string to number: 0, -EINVAL or -ERANGE; base 0 = guess */
int kstrtoull(const char *s, unsigned int base, unsigned long long *res);
int kstrtoll(const char *s, unsigned int base, long long *res);
int kstrtouint(const char *s, unsigned int base, unsigned int *res);
int kstrtoint(const char *s, unsigned int base, int *res);
#define kstrtou64(s, base, res)	kstrtoull(s, base, res)
#define kstrtos64(s, base, res)	kstrtoll(s, base, res)
#define kstrtou32(s, base, res)	kstrtouint(s, base, res)

#endif /* _SHIM_LINUX_KERNEL_H */
