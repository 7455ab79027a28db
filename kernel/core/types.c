// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * types.c - the table of all brick types that exist in both homes of the core
 *
 * A new portable type: declare its struct mars_brick_type in types.h, add a line to the
 * table, done.  Types that exist in one home only (gendisk, nbd, ...) are
 * registered by that home, behind mars_core_init().
 */
#include <linux/kernel.h>

#include "types.h"

const struct mars_brick_type *const mars_portable_types[] = {
	&check_brick_type,
	&limit_brick_type,
	&align_brick_type,
	&logger_brick_type,
	&replay_brick_type,
};

const unsigned int mars_nr_portable_types = ARRAY_SIZE(mars_portable_types);
