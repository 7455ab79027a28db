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
#include "core/log_format.h"
#include "control_dev.h"
#include "proc.h"
#include "types.h"
#include "version.h"
#include "work.h"

static const struct mars_brick_type *const kernel_types[] = {
	&bdev_brick_type,
	&file_brick_type,
	&if_brick_type,
	NULL
};

static int register_types(void)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && kernel_types[i]; i++)
		err = mars_type_register(kernel_types[i]);
	return err;
}

/*
 * The log format rests on the standard CRC-32C.  A kernel whose crc32c() means something
 * else would write logs nobody can read.
 */
static int __init check_crc(void)
{
	if (mars_log_crc(0, "123456789", 9) == 0xe3069283)
		return 0;
	pr_err("mars: crc32c() of this kernel is not CRC-32C, the module can't be used\n");
	return -ENODEV;
}

/* Everything with a beginning and an end, in this order and backwards. */
static const struct {
	int (*init)(void);
	void (*exit)(void);
} parts[] = {
	{ mars_work_init, mars_work_exit },
	{ mars_core_init, mars_core_exit },
	{ register_types, NULL },
	{ mars_sysfs_init, mars_sysfs_exit },
	{ mars_sysctl_init, mars_sysctl_exit },
	{ mars_control_dev_init, mars_control_dev_exit },	/* last: control calls come */
};

static void exit_parts(unsigned int nr)
{
	while (nr--)
		if (parts[nr].exit)
			parts[nr].exit();
}

static int __init mars_init(void)
{
	unsigned int i;
	int err = check_crc();

	for (i = 0; !err && i < ARRAY_SIZE(parts); i++)
		err = parts[i].init();
	if (err) {
		exit_parts(i ? i - 1 : 0);
		return err;
	}
	pr_info("mars: version " MARS_VERSION " loaded\n");
	return 0;
}

static void __exit mars_exit(void)
{
	unsigned int nr = ARRAY_SIZE(parts);

	parts[--nr].exit();		/* no control calls any more */
	while (mars_teardown())
		pr_warn("mars: still waiting for bricks to stop\n");
	exit_parts(nr);
}

module_init(mars_init);
module_exit(mars_exit);

MODULE_DESCRIPTION("Asynchronous block replication with anytime consistency");
MODULE_AUTHOR("the mars developers");
MODULE_LICENSE("GPL");
MODULE_VERSION(MARS_VERSION);
