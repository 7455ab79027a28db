// SPDX-License-Identifier: GPL-2.0-or-later
/* Compiles when file locks have a header of their own: since 6.3. */
#include <linux/filelock.h>

void probe(struct file_lock *fl);

void probe(struct file_lock *fl)
{
	locks_init_lock(fl);
}
