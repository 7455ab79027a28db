/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * types.h - the table of portable brick types (types.c)
 */
#ifndef _MARS_TYPES_H
#define _MARS_TYPES_H

#include "brick.h"

extern const struct mars_brick_type *const mars_portable_types[];
extern const unsigned int mars_nr_portable_types;

extern const struct mars_brick_type check_brick_type;
extern const struct mars_brick_type limit_brick_type;
extern const struct mars_brick_type align_brick_type;
extern const struct mars_brick_type logger_brick_type;
extern const struct mars_brick_type replay_brick_type;

#endif /* _MARS_TYPES_H */
