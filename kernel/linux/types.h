/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * types.h - brick types that exist in the kernel only
 *
 * A new one: declare it here, add a line to the table in module.c, done.
 */
#ifndef _MARS_LINUX_TYPES_H
#define _MARS_LINUX_TYPES_H

#include "core/brick.h"

extern const struct mars_brick_type bdev_brick_type;	/* bdev.c */
extern const struct mars_brick_type file_brick_type;	/* file.c */
extern const struct mars_brick_type if_brick_type;	/* if.c */

#endif /* _MARS_LINUX_TYPES_H */
