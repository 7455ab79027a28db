/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * work.h - the worker for device IO, and what keeps the module loaded
 */
#ifndef _MARS_LINUX_WORK_H
#define _MARS_LINUX_WORK_H

#include <linux/workqueue.h>

/**
 * mars_submit_wq - for work that submits IO to devices and files, which may sleep
 *
 * Goes on when memory is short (WQ_MEM_RECLAIM).  Work on it does not take
 * mars_topology_lock and allocates with GFP_NOIO at most, from a mempool where a
 * request depends on it.
 */
extern struct workqueue_struct *mars_submit_wq;

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
