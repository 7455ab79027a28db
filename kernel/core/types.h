/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * types.h - the table of portable brick types (types.c)
 */
#ifndef _MARS_TYPES_H
#define _MARS_TYPES_H

#include "brick.h"

extern const struct mars_brick_type *const mars_portable_types[];
extern const unsigned int mars_nr_portable_types;

#endif /* _MARS_TYPES_H */
