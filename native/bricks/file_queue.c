// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file_queue.c - what a file brick does next, and the threads that do it
 *
 * Requests queue in order of arrival.  A worker takes the head, together with
 * what can share its system call: writes that continue it, or every flush that
 * waits.  One worker exists from power on; a worker that leaves something to do
 * while nobody is idle starts the next, up to FILE_WORKERS.
 *
 * Buffered writes to one regular file exclude each other inside the system.  So
 * only one worker does them, others would just wait with it.
 *
 * Long aligned writes to a data disk bypass the page cache, through a second
 * descriptor: they are the bulk of a writeback, and copying them would only cost
 * memory bandwidth.  Short ones are better off in the page cache, and so are reads.
 * The system keeps both views alike, but can't drop a page that is being made
 * dirty when a direct write to its neighbourhood ends; so nothing dirties pages
 * while a bypass is under way.  Requests bound by such rules are FILE_BUFFERED
 * or FILE_BYPASS and have a queue of their own, in order.
 *
 * Wakeups are chained: submission signals at most one worker, and that one
 * signals the next when there is still something to do.  A burst of submissions
 * costs one wakeup, not one each.
 *
 * Locking: fb->lock covers the queues only.  System calls and completions run
 * without it.
 */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <linux/kernel.h>

#include "file.h"

#define FILE_BATCH	64		/* requests per batch */
#define FILE_BYPASS_MIN	(128U << 10)	/* shorter writes go to the page cache */
#define FILE_BYPASS_ALIGN 4096U
#define FILE_BYPASSES	2		/* at a time; leaves workers for the others */

/* Can the system take this without copying it? */
static bool may_bypass(const struct file_brick *fb, const struct xio_request *rq)
{
	u64 skip = rq->skip, left = rq->len;
	unsigned int i;

	if (rq->len < FILE_BYPASS_MIN || (rq->pos | rq->len) & (FILE_BYPASS_ALIGN - 1) ||
	    !__atomic_load_n(&fb->bypass, __ATOMIC_RELAXED))
		return false;
	for (i = 0; i < rq->nr_vec && left; i++) {
		u64 len = rq->vec[i].bv_len;

		if (skip < len) {
			len = min(len - skip, left);
			if (((uintptr_t)bvec_virt(&rq->vec[i]) + skip) & (FILE_BYPASS_ALIGN - 1) ||
			    len & (FILE_BYPASS_ALIGN - 1))
				return false;
			left -= len;
			skip = 0;
		} else {
			skip -= len;
		}
	}
	return true;
}

static enum file_kind kind_of(const struct file_brick *fb, const struct xio_request *rq)
{
	if (fb->direct || rq->op == XIO_READ || rq->op == XIO_FLUSH)
		return FILE_FREE;
	if (fb->bypass_fd < 0)
		return rq->op == XIO_WRITE && !fb->block ? FILE_BUFFERED : FILE_FREE;
	/* discards and zeroes may dirty pages too, where they begin and end */
	return rq->op == XIO_WRITE && may_bypass(fb, rq) ? FILE_BYPASS : FILE_BUFFERED;
}

static enum file_kind kind_known(struct xio_request *rq)
{
	struct file_aspect *a = xio_aspect(rq);

	return a->kind;
}

/* May the first of the writes run now?  Called with fb->lock held. */
static bool file_may_write(struct file_brick *fb)
{
	struct xio_request *rq = list_first_entry_or_null(&fb->writes, struct xio_request, link);

	if (!rq || fb->buffered)
		return false;
	return fb->bypasses < (kind_known(rq) == FILE_BYPASS ? FILE_BYPASSES : 1);
}

/* Is there something to do now?  Called with fb->lock held. */
static bool file_runnable(struct file_brick *fb)
{
	return !list_empty(&fb->queue) || file_may_write(fb);
}

/* Begin or end a batch of a kind.  Called with fb->lock held. */
static void file_count(struct file_brick *fb, enum file_kind kind, bool begin)
{
	if (kind == FILE_BUFFERED)
		fb->buffered = begin;
	else if (kind == FILE_BYPASS)
		fb->bypasses += begin ? 1 : -1;
}

/*
 * Move the first request that may run, and its companions, to @batch; returns
 * their bytes.  There is one.  Called with fb->lock held.
 */
static u64 file_take(struct file_brick *fb, struct list_head *batch, enum file_kind *kind)
{
	struct list_head *from = file_may_write(fb) ? &fb->writes : &fb->queue;
	struct xio_request *first = list_first_entry(from, struct xio_request, link), *rq, *next;
	u64 pos = first->pos, len = 0;
	unsigned int n = 0;

	*kind = kind_known(first);
	list_for_each_entry_safe(rq, next, from, link) {
		if (rq == first) {
			;
		} else if (first->op == XIO_FLUSH) {
			if (rq->op != XIO_FLUSH)
				continue;
		} else if (first->op != XIO_WRITE || rq->op != XIO_WRITE || kind_known(rq) != *kind ||
			   rq->pos != pos + len || (rq->flags ^ first->flags) & XIO_FUA ||
			   len + rq->len > XIO_MAX_IO) {
			break;
		}
		list_move_tail(&rq->link, batch);
		len += rq->len;
		if (++n == FILE_BATCH)
			break;
	}
	return len;
}

/* --- workers --- */

static void *file_worker(void *arg);

/* Called with fb->lock held. */
static int file_spawn(struct file_brick *fb)
{
	sigset_t all, old;
	int err;

	/* signals are for the threads of the host program */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&fb->thread[fb->started], NULL, file_worker, fb);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	fb->started++;
	fb->running++;
	return 0;
}

/* More hands if there is more to do; called with fb->lock held. */
static void file_kick(struct file_brick *fb)
{
	if (fb->waking || !fb->idle || !file_runnable(fb))
		return;
	fb->waking = true;
	pthread_cond_signal(&fb->wake);
}

static void *file_worker(void *arg)
{
	struct file_brick *fb = arg;
	bool last;

	pthread_setname_np(pthread_self(), "mars-file");
	pthread_mutex_lock(&fb->lock);
	for (;;) {
		LIST_HEAD(batch);
		enum file_kind kind;
		u64 len;

		while (!file_runnable(fb) && !fb->stop) {
			fb->idle++;
			pthread_cond_wait(&fb->wake, &fb->lock);
			fb->idle--;
			fb->waking = false;
		}
		if (!file_runnable(fb))
			break;
		len = file_take(fb, &batch, &kind);
		file_count(fb, kind, true);
		file_kick(fb);
		/* without another worker we only do it alone, later */
		if (file_runnable(fb) && !fb->idle && fb->started < FILE_WORKERS)
			file_spawn(fb);
		pthread_mutex_unlock(&fb->lock);
		file_execute(fb, &batch, len);
		pthread_mutex_lock(&fb->lock);
		file_count(fb, kind, false);
	}
	last = --fb->running == 0;
	pthread_mutex_unlock(&fb->lock);
	if (last) {
		if (fb->bypass_fd >= 0)
			close(fb->bypass_fd);
		fb->bypass_fd = -1;
		close(fb->fd);
		__atomic_store_n(&fb->fd, -1, __ATOMIC_RELEASE);
		mars_brick_leds(&fb->brick, false, true);
	}
	return NULL;
}

void file_queue(struct file_brick *fb, struct xio_request *rq)
{
	struct file_aspect *a = xio_aspect(rq);

	a->kind = kind_of(fb, rq);
	pthread_mutex_lock(&fb->lock);
	list_add_tail(&rq->link, a->kind == FILE_FREE ? &fb->queue : &fb->writes);
	file_kick(fb);
	pthread_mutex_unlock(&fb->lock);
}

void file_workers_stop(struct file_brick *fb)
{
	pthread_mutex_lock(&fb->lock);
	fb->stop = true;
	pthread_cond_broadcast(&fb->wake);
	pthread_mutex_unlock(&fb->lock);
}

int file_workers_start(struct file_brick *fb)
{
	int err;

	pthread_mutex_lock(&fb->lock);
	fb->stop = false;
	fb->waking = false;
	err = file_spawn(fb);
	pthread_mutex_unlock(&fb->lock);
	return err;
}

void file_workers_join(struct file_brick *fb)
{
	while (fb->started)
		pthread_join(fb->thread[--fb->started], NULL);
}
