/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * types.h - brick types that exist in the kernel only
 *
 * A new one: declare it here, add a line to the table in module.c, done.
 */
#ifndef _MARS_LINUX_TYPES_H
#define _MARS_LINUX_TYPES_H

#include "core/brick.h"

#endif /* _MARS_LINUX_TYPES_H */
