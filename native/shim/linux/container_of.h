/* SPDX-License-Identifier: GPL-2.0-or-later */
/* container_of.h - from a member to the structure around it */
#ifndef _SHIM_LINUX_CONTAINER_OF_H
#define _SHIM_LINUX_CONTAINER_OF_H

#include <linux/stddef.h>

#define typeof_member(T, m)	typeof(((T *)0)->m)

#define container_of(ptr, type, member) ({				\
	const typeof(((type *)0)->member) *__mptr = (ptr);		\
	(type *)((char *)__mptr - offsetof(type, member)); })

#endif /* _SHIM_LINUX_CONTAINER_OF_H */
