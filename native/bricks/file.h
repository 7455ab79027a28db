/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.h - the file brick: a regular file or block device as a disk
 *
 * Private to file.c (the brick: parameters, opening, power, submission),
 * file_queue.c (the worker threads and what they do next) and file_io.c (the
 * blocking system calls).
 *
 * Life: power on opens the file, starts one worker and opens the gate; power off
 * closes the gate.  Once the last request has left, the workers are told to go
 * home, and the last of them closes the file and lights led_off.  So fd, bypass_fd, direct,
 * block, log and align are constant for whoever is inside the gate.
 */
#ifndef _MARS_FILE_H
#define _MARS_FILE_H

#include <pthread.h>

#include <linux/types.h>
#include <linux/list.h>

#include "core/brick.h"
#include "core/gate.h"
#include "core/xio.h"

#define FILE_WORKERS	4

struct file_brick {
	struct mars_brick brick;

	/* parameters; mars_topology_lock; path and flags only change while off */
	char path[MARS_TEXT_MAX + 1];
	u32 flags;			/* MARS_FILE_* */
	u64 want;			/* atomic: bytes asked for, 0 = whatever is there */

	/* the open file; see above */
	int fd;				/* atomic; -1 = closed */
	bool direct;			/* O_DIRECT is in effect */
	bool block;			/* block device, not a regular file */
	bool log;			/* regular file that grows; reads zeros behind its end */
	bool nowait;			/* reads may be tried inline; atomic, only ever cleared */
	int bypass_fd;			/* the same with O_DIRECT, for long writes; -1 = none */
	bool bypass;			/* use it; atomic, only ever cleared */
	u32 align;
	u64 size;			/* atomic */
	struct mars_gate gate;		/* open while on; every request is inside */

	pthread_mutex_t lock;		/* innermost; never held across a system call on fd */
	pthread_cond_t wake;
	struct list_head queue;		/* lock: FILE_FREE requests in order of arrival */
	struct list_head writes;	/* lock: the others */
	bool buffered;			/* lock: a worker executes a FILE_BUFFERED batch */
	unsigned int bypasses;		/* lock: how many execute a FILE_BYPASS batch */
	unsigned int idle;		/* lock: workers waiting on wake */
	bool waking;			/* lock: one worker was signalled and has not run yet */
	bool stop;			/* lock: leave once the queue is empty */
	unsigned int running;		/* lock: workers not yet gone */
	unsigned int started;		/* lock: slots of thread[] to join */
	pthread_t thread[FILE_WORKERS];	/* lock */

	int error;			/* atomic: last failure, 0 = healthy */
	pthread_mutex_t sync;		/* held by whoever flushes the file; no other inside */
	bool lost;			/* atomic: a flush failed; no later one may succeed */
	u64 nr[XIO_NR_OPS];		/* atomic counters */
	u64 bytes_read, bytes_written;	/* atomic counters */
};

/* What may run beside a request, see file_queue.c. */
enum file_kind {
	FILE_FREE,
	FILE_BUFFERED,
	FILE_BYPASS,
};

struct file_aspect {
	enum file_kind kind;
};

extern const struct mars_brick_type file_brick_type;

static inline struct file_brick *to_file(struct mars_brick *brick)
{
	return container_of(brick, struct file_brick, brick);
}

static inline bool file_closed(struct file_brick *fb)
{
	return __atomic_load_n(&fb->fd, __ATOMIC_ACQUIRE) < 0;
}

/* file_queue.c */

/** file_workers_start - first worker; -errno when no thread can be had */
int file_workers_start(struct file_brick *fb);
/** file_workers_join - wait until all workers have left; they were told to */
void file_workers_join(struct file_brick *fb);
/** file_workers_stop - go home when the queue is empty; the last closes the file */
void file_workers_stop(struct file_brick *fb);
/** file_queue - hand a request, which is inside the gate, to the workers */
void file_queue(struct file_brick *fb, struct xio_request *rq);

/* file_io.c */

/** file_execute - carry out requests that share a system call, @len bytes in all */
void file_execute(struct file_brick *fb, struct list_head *batch, u64 len);
/** file_read_inline - try a read from the page cache; false = needs a worker */
bool file_read_inline(struct file_brick *fb, struct xio_request *rq);
/** file_done - complete a request, which leaves the gate */
void file_done(struct file_brick *fb, struct xio_request *rq, int status);
/** file_resize_seen - the file is now at least @end bytes long */
void file_resize_seen(struct file_brick *fb, u64 end);
/** file_measure - ask the system for the size now; 0 or -errno */
int file_measure(struct file_brick *fb);

#endif /* _MARS_FILE_H */
