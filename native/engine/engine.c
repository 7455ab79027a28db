// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * engine.c - start and stop of the embedded engine
 */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "core/brick.h"
#include "engine.h"

extern const struct mars_brick_type mem_brick_type;
extern const struct mars_brick_type file_brick_type;
extern const struct mars_brick_type faulty_brick_type;
extern const struct mars_brick_type nbd_brick_type;

static const struct mars_brick_type *const native_types[] = {
	&mem_brick_type,
	&file_brick_type,
	&faulty_brick_type,
	&nbd_brick_type,
};

int mars_engine_init(enum exec_mode mode, unsigned int threads, u64 seed)
{
	int ret = exec_init(mode, threads, seed);

	if (ret)
		return ret;
	ret = mars_core_init();
	if (ret)
		goto stop_exec;
	for (size_t i = 0; !ret && i < ARRAY_SIZE(native_types); i++)
		ret = mars_type_register(native_types[i]);
	if (!ret)
		return 0;
	mars_core_exit();
stop_exec:
	exec_exit();
	return ret;
}

int mars_engine_exit(void)
{
	if (!exec_running())
		return 0;
	if (mars_teardown())
		return -EBUSY;
	mars_core_exit();
	exec_exit();
	return 0;
}
