/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * errno.h - error numbers; libc includes this file too, so it adds nothing but
 * the one kernel-only number that portable code uses
 */
#ifndef _SHIM_LINUX_ERRNO_H
#define _SHIM_LINUX_ERRNO_H

#include_next <linux/errno.h>

#ifndef ENOTSUPP
#define ENOTSUPP	524	/* operation is not supported */
#endif

#endif /* _SHIM_LINUX_ERRNO_H */
