/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * work.h - the worker that closes, and what keeps the module loaded
 */
#ifndef _MARS_LINUX_WORK_H
#define _MARS_LINUX_WORK_H

#include <linux/workqueue.h>

/**
 * mars_close_wq - for closing devices and files, which may take as long as they take
 *
 * Nobody waits for this work in order to get memory, so it makes no promise for when
 * there is none (no WQ_MEM_RECLAIM): file systems wait here for queues that make none.
 * Work on it does not take mars_topology_lock.  Device IO runs in lanes (lane.h).
 */
extern struct workqueue_struct *mars_close_wq;

/**
 * mars_module_hold - the module can't be unloaded until mars_module_release()
 *
 * For a brick that is on and has a device, a disk or a file open.  Process context,
 * while something else (the open control device) keeps the module loaded.
 */
void mars_module_hold(void);

/**
 * mars_module_release - give back one hold; any context
 *
 * The reference is dropped by a work item, whose end the exit of the module waits for:
 * so the caller may go on running code of the module.
 */
void mars_module_release(void);

int mars_work_init(void);
void mars_work_exit(void);

#endif /* _MARS_LINUX_WORK_H */
