/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kthread.h - a thread with a list of work, made and started
 */
#ifndef _MARS_COMPAT_KTHREAD_H
#define _MARS_COMPAT_KTHREAD_H

#include <linux/kthread.h>

#include "probes.h"

/* Before 6.14 creating it started it. */
#ifndef HAVE_KTHREAD_RUN_WORKER
#define kthread_run_worker kthread_create_worker
#endif

#endif /* _MARS_COMPAT_KTHREAD_H */
