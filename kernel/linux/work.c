// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * work.c - the worker that closes, and what keeps the module loaded
 *
 * Who drops the last reference on a module must not run code of the module behind it.
 * So holds are given back by a work item, and mars_work_exit() waits for it.  Between
 * the drop and that wait rmmod may already be on its way; new holds can't come then,
 * because holds are taken by control calls, and the open control device holds too.
 *
 * Locking: none; the number of holds to give back is an atomic.
 */
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/module.h>

#include "work.h"

struct workqueue_struct *mars_close_wq;	/* constant between init and exit */

static atomic_t to_put = ATOMIC_INIT(0);	/* holds released, references not yet dropped */

static void put_fn(struct work_struct *work)
{
	int nr = atomic_xchg(&to_put, 0);

	while (nr-- > 0)
		module_put(THIS_MODULE);
}

static DECLARE_WORK(put_work, put_fn);

void mars_module_hold(void)
{
	__module_get(THIS_MODULE);
}

void mars_module_release(void)
{
	atomic_inc(&to_put);
	queue_work(mars_close_wq, &put_work);
}

int mars_work_init(void)
{
	mars_close_wq = alloc_workqueue("mars_close", WQ_UNBOUND, 0);
	return mars_close_wq ? 0 : -ENOMEM;
}

void mars_work_exit(void)
{
	destroy_workqueue(mars_close_wq);
}
