/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * completion.h - wait for an event, process context only
 *
 * In simulation waiting means stepping the executor until the event comes; when
 * nothing is left to run the wait can never end, which is a bug and aborts.
 */
#ifndef _SHIM_LINUX_COMPLETION_H
#define _SHIM_LINUX_COMPLETION_H

#include <pthread.h>
#include <linux/types.h>
#include <linux/jiffies.h>

struct completion {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	unsigned int done;	/* mutex; UINT_MAX = complete_all */
};

void init_completion(struct completion *x);
void reinit_completion(struct completion *x);
void complete(struct completion *x);
void complete_all(struct completion *x);
void wait_for_completion(struct completion *x);
/** wait_for_completion_timeout - 0 = timed out, else jiffies left (at least 1) */
unsigned long wait_for_completion_timeout(struct completion *x, unsigned long timeout);
bool try_wait_for_completion(struct completion *x);
bool completion_done(struct completion *x);

#define COMPLETION_INITIALIZER(x) \
	{ PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 }
#define COMPLETION_INITIALIZER_ONSTACK(x) COMPLETION_INITIALIZER(x)
#define DECLARE_COMPLETION(x)	struct completion x = COMPLETION_INITIALIZER(x)
#define DECLARE_COMPLETION_ONSTACK(x) DECLARE_COMPLETION(x)

#endif /* _SHIM_LINUX_COMPLETION_H */
