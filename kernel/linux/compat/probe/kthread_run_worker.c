// SPDX-License-Identifier: GPL-2.0-or-later
/* Compiles when creating a kthread worker and starting it are two things: 6.14. */
#include <linux/kthread.h>

struct kthread_worker *probe(void);

struct kthread_worker *probe(void)
{
	return kthread_run_worker(0, "probe");
}
