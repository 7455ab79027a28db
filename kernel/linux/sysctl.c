// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sysctl.c - /proc/sys/mars/lamport_clock: both clocks
 *
 * Seconds since the epoch with nine decimals, read at one moment:
 *
 *	CURRENT_TIME=1699999999.123456789
 *	lamport_now=1700000001.000000017
 *
 * Each read makes a new Lamport stamp, later than any before on this node.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/time64.h>

#include "core/lamport.h"
#include "compat/sysctl.h"
#include "proc.h"

static int show_clock(sysctl_arg_t *table, int write, void *buf, size_t *len, loff_t *pos)
{
	struct timespec64 real, lamport;
	char text[96];
	struct ctl_table answer = { .data = text, .maxlen = sizeof(text) };

	if (write)
		return -EPERM;
	real = ns_to_timespec64(ktime_get_real_ns());
	lamport = ns_to_timespec64(mars_lamport_now());
	scnprintf(text, sizeof(text), "CURRENT_TIME=%lld.%09ld\nlamport_now=%lld.%09ld",
		  real.tv_sec, real.tv_nsec, lamport.tv_sec, lamport.tv_nsec);
	return proc_dostring(&answer, 0, buf, len, pos);
}

static struct ctl_table table[] = {
	{
		.procname	= "lamport_clock",
		.mode		= 0444,
		.proc_handler	= show_clock,
	},
	{ }
};

static struct ctl_table_header *header;		/* constant between init and exit */

int mars_sysctl_init(void)
{
	header = register_sysctl_sz("mars", table, ARRAY_SIZE(table) - 1);
	return header ? 0 : -ENOMEM;
}

void mars_sysctl_exit(void)
{
	unregister_sysctl_table(header);
}
