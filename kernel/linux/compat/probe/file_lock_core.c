// SPDX-License-Identifier: GPL-2.0-or-later
/* Compiles when leases and locks share struct file_lock_core: since 6.9. */
#include <linux/filelock.h>

void probe(struct file_lock *fl);

void probe(struct file_lock *fl)
{
	fl->c.flc_type = F_WRLCK;
}
