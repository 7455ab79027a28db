// SPDX-License-Identifier: GPL-2.0-or-later
/* Is the table of a sysctl handler const (6.11)? */
#include <linux/sysctl.h>

int probe(const struct ctl_table *table, int write, void *buf, size_t *len, loff_t *pos);
proc_handler *handler(void);
proc_handler *handler(void)
{
	return probe;
}
