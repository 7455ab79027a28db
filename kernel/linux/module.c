// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * module.c - start and end of mars.ko
 *
 * Loading starts the core and its ways in and out, nothing else: bricks are made by
 * control calls, so a module without a daemon does nothing.
 *
 * Unloading is refused by the kernel while the control device is open or a brick that
 * holds a device, disk or file is on (work.h).  So what is left at exit has no IO and
 * goes off when asked.
 */
#include <linux/kernel.h>
#include <linux/module.h>

#include "core/brick.h"
#include "control_dev.h"
#include "types.h"
#include "version.h"
#include "work.h"

static const struct mars_brick_type *const kernel_types[] = {
	NULL
};

static int __init register_types(void)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && kernel_types[i]; i++)
		err = mars_type_register(kernel_types[i]);
	return err;
}

static int __init mars_init(void)
{
	int err;

	err = mars_work_init();
	if (err)
		return err;
	err = mars_core_init();
	if (err)
		goto no_core;
	err = register_types();
	if (err)
		goto no_device;
	err = mars_control_dev_init();
	if (err)
		goto no_device;
	pr_info("mars: version " MARS_VERSION " loaded\n");
	return 0;

no_device:
	mars_core_exit();
no_core:
	mars_work_exit();
	return err;
}

static void __exit mars_exit(void)
{
	mars_control_dev_exit();
	mars_teardown();
	mars_core_exit();
	mars_work_exit();
}

module_init(mars_init);
module_exit(mars_exit);

MODULE_DESCRIPTION("Asynchronous block replication with anytime consistency");
MODULE_AUTHOR("the mars developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(MARS_VERSION);
