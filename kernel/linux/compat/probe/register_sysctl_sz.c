// SPDX-License-Identifier: GPL-2.0-or-later
/* Does a sysctl table come with its size (6.6)?  Before, an empty entry ended it. */
#include <linux/sysctl.h>

struct ctl_table_header *probe(struct ctl_table *table);
struct ctl_table_header *probe(struct ctl_table *table)
{
	return register_sysctl_sz("probe", table, 1);
}
