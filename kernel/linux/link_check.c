// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * link_check.c - the portable core alone as a module
 *
 * Made by scripts/kernel-check.sh to prove that kernel/core and kernel/bricks compile
 * unchanged in the kernel and that every symbol they use is exported to modules.
 * Loading it starts the core without any brick that reaches a device; unloading stops
 * it.  It is not installed.
 */
#include <linux/module.h>

#include "core/brick.h"

static int __init link_check_init(void)
{
	return mars_core_init();
}

static void __exit link_check_exit(void)
{
	mars_core_exit();
}

module_init(link_check_init);
module_exit(link_check_exit);

MODULE_DESCRIPTION("mars: portable core, link check");
MODULE_LICENSE("GPL");
