// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_write.c - requests that modify or flush: admit, record, acknowledge
 *
 * A modification is admitted when memory and log space for the worst case are at
 * hand; then it can't fail for lack of either.  Otherwise it waits in one FIFO, and
 * everything that comes later waits behind it; reads and flushes pass.  After
 * admission the data is copied and summed outside the lock, then the records get
 * their place in the log and become visible in one step, and the request completes:
 * at once, or when its record is durable (FUA, or durability=always).
 *
 * A change without payload (discard, zeroes) may cover any number of shadows, which its
 * record replaces.  It is recorded in pieces that replace a bounded number each, with the
 * lock free in between; who writes there meanwhile comes before or behind, as for any two
 * requests in flight.  If a piece can't be admitted, the rest waits at the head of the FIFO.
 *
 * A flush waits for the records queued before it.  It does not wait for requests in
 * the FIFO: those have not completed, so no promise was given.
 *
 * Failure: a log that can't be written fails everything here with -EIO, for good.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "core/lamport.h"
#include "logger.h"

#define LG_CUT_MAX	512U	/* extents one record may replace, lock held */

/* lock held */
static int write_status(const struct logger *lg, const struct xio_request *rq)
{
	if (!lg->on)
		return -ENODEV;
	if (rq->pos + rq->len > lg->size)
		return -EINVAL;
	return lg->log_error ? -EIO : 0;
}

/* Lock held: how far from @pos on does one record without payload reach? */
static u64 piece_len(const struct logger *lg, u64 pos, u64 len)
{
	const struct mars_extent *ext = mars_extent_find(&lg->index, pos);
	unsigned int left = LG_CUT_MAX;

	for (; ext && ext->pos < pos + len; ext = mars_extent_next(ext))
		if (!left--)
			return ext->pos - pos;
	return len;
}

/*
 * Lock held.  Log space is asked for as if each page became a record and a group of
 * its own; what is reserved then is as if each record became a group of its own.
 */
static bool admit(struct logger *lg, struct xio_request *rq, struct list_head *shadows)
{
	const struct lg_aspect *a = xio_aspect(rq);
	bool payload = rq->op == XIO_WRITE;
	u64 worst = payload ? 2ULL * mars_log_span(rq->pos, rq->len) : MARS_LOG_BLOCK;
	u64 pos = rq->pos + a->done, len = rq->len - a->done;
	struct lg_shadow *s;

	lg->stalled_for_space = lg_space(lg) < worst;
	if (lg->stalled_for_space)
		return false;
	if (!payload)
		len = piece_len(lg, pos, len);
	if (!lg_take(lg, pos, len, payload, shadows))
		return false;
	list_for_each_entry(s, shadows, queue)
		lg->reserved += s->pages * PAGE_SIZE + MARS_LOG_BLOCK;
	return true;
}

/* lock held */
static void unreserve(struct logger *lg, struct list_head *shadows)
{
	struct lg_shadow *s;

	list_for_each_entry(s, shadows, queue)
		lg->reserved -= s->pages * PAGE_SIZE + MARS_LOG_BLOCK;
	lg_put_back(lg, shadows);
}

/* Fill the records: private to us until they are inserted. */
static void fill(const struct xio_request *rq, struct list_head *shadows)
{
	struct lg_shadow *s;

	list_for_each_entry(s, shadows, queue) {
		u32 head = s->pos % PAGE_SIZE;
		u32 span = s->pages * PAGE_SIZE;
		char *mem = s->mem;

		s->type = rq->op == XIO_WRITE ? MARS_LOG_WRITE :
			  rq->op == XIO_DISCARD ? MARS_LOG_DISCARD : MARS_LOG_ZEROES;
		if (s->type == MARS_LOG_ZEROES && (rq->flags & XIO_NOUNMAP))
			s->flags = MARS_LOG_NOUNMAP;
		if (!mem)
			continue;
		memset(mem, 0, head);
		xio_copy_in(rq, s->pos - rq->pos, mem + head, s->len);
		memset(mem + head + s->len, 0, span - head - s->len);
		s->crc = mars_log_crc(0, mem, span);
	}
}

/* Lock held: does the commit engine have a reason to run? */
static bool commit_due(struct logger *lg)
{
	if (lg->queued >= LG_COMMIT_BYTES || lg->closing)
		lg->commit_seq = lg->seq;
	if (lg->commit_seq == lg->seq)
		return true;
	lg_arm_delay(lg);
	return false;
}

/* Lock held: the records get their place in the log and become visible. */
static void insert(struct logger *lg, struct lg_aspect *a, struct list_head *shadows)
{
	u64 lamport = mars_lamport_now();
	struct lg_shadow *s, *tmp;

	list_for_each_entry_safe(s, tmp, shadows, queue) {
		s->lamport = lamport;
		a->done += s->len;
		lg_insert(lg, s);
	}
	INIT_LIST_HEAD(shadows);
}

/* What was admitted of a modification is recorded; true: more of it is to be admitted. */
static bool record(struct logger *lg, struct xio_request *rq, struct list_head *shadows)
{
	struct lg_aspect *a = xio_aspect(rq);
	bool more, wait, due;
	unsigned long flags;

	fill(rq, shadows);
	spin_lock_irqsave(&lg->lock, flags);
	if (lg->log_error) {
		unreserve(lg, shadows);
		spin_unlock_irqrestore(&lg->lock, flags);
		xio_complete(rq, -EIO);
		return false;
	}
	insert(lg, a, shadows);
	more = a->done < rq->len;
	wait = !more && (lg->always || (rq->flags & XIO_FUA));
	if (wait) {
		a->seq = lg->seq;
		lg->commit_seq = lg->seq;
		list_add_tail(&rq->link, &lg->waiters);
		lg->nr_io++;		/* once durable, @rq does not hold the logger for us */
	}
	due = commit_due(lg);
	lg_arm_tick(lg);
	if (lg_wants_space(lg))
		lg_kick(lg);
	spin_unlock_irqrestore(&lg->lock, flags);

	if (due)
		lg_commit(lg);
	if (wait)
		lg_io_end(lg);
	else if (!more)
		xio_complete(rq, 0);	/* nothing behind: the logger may go off */
	return more;
}

/* The second half of a modification whose beginning, at least, was admitted. */
static void record_all(struct logger *lg, struct xio_request *rq, struct list_head *shadows)
{
	unsigned long flags;
	bool admitted = true;

	while (admitted && record(lg, rq, shadows)) {
		spin_lock_irqsave(&lg->lock, flags);
		admitted = admit(lg, rq, shadows);
		if (!admitted) {
			list_add(&rq->link, &lg->stalled);	/* it was here first */
			lg->nr_stalled++;
			lg_kick(lg);
		}
		spin_unlock_irqrestore(&lg->lock, flags);
	}
}

/** lg_submit_write - WRITE, DISCARD, WRITE_ZEROES */
void lg_submit_write(struct logger *lg, struct xio_request *rq)
{
	struct lg_aspect *a = xio_aspect(rq);
	LIST_HEAD(shadows);
	unsigned long flags;
	int status;

	a->done = 0;
	spin_lock_irqsave(&lg->lock, flags);
	status = write_status(lg, rq);
	if (status) {
		spin_unlock_irqrestore(&lg->lock, flags);
		xio_complete(rq, status);
		return;
	}
	lg->nr_writes++;
	if (lg->nr_stalled || !admit(lg, rq, &shadows)) {
		list_add_tail(&rq->link, &lg->stalled);
		lg->nr_stalled++;
		lg_kick(lg);
		spin_unlock_irqrestore(&lg->lock, flags);
		return;
	}
	spin_unlock_irqrestore(&lg->lock, flags);
	record_all(lg, rq, &shadows);
}

/** lg_submit_flush - complete when everything accepted before is durable */
void lg_submit_flush(struct logger *lg, struct xio_request *rq)
{
	struct lg_aspect *a = xio_aspect(rq);
	unsigned long flags;
	int status;

	spin_lock_irqsave(&lg->lock, flags);
	status = !lg->on ? -ENODEV : lg->log_error ? -EIO : 0;
	if (!status)
		lg->nr_flushes++;
	if (status || lg->durable.seq == lg->seq) {
		spin_unlock_irqrestore(&lg->lock, flags);
		xio_complete(rq, status);
		return;
	}
	a->seq = lg->seq;
	lg->commit_seq = lg->seq;
	list_add_tail(&rq->link, &lg->waiters);
	lg->nr_io++;
	spin_unlock_irqrestore(&lg->lock, flags);
	lg_commit(lg);
	lg_io_end(lg);
}

/* Lock held: the head of the FIFO if it can go on, with its records or an error. */
static struct xio_request *next_stalled(struct logger *lg, struct list_head *shadows, int *error)
{
	struct xio_request *rq;

	if (!lg->nr_stalled)
		return NULL;
	rq = list_first_entry(&lg->stalled, struct xio_request, link);
	*error = lg->log_error ? -EIO : 0;
	if (!*error && !admit(lg, rq, shadows)) {
		/* log space won't come while the logger is being switched off */
		if (!lg->closing || !lg->stalled_for_space)
			return NULL;
		*error = -ENOSPC;
	}
	list_del_init(&rq->link);
	lg->nr_stalled--;
	return rq;
}

/** lg_serve - let waiting requests go on, in order; only from the work item */
void lg_serve(struct logger *lg)
{
	struct xio_request *rq;
	unsigned long flags;
	int error;

	for (;;) {
		LIST_HEAD(shadows);

		spin_lock_irqsave(&lg->lock, flags);
		rq = next_stalled(lg, &shadows, &error);
		spin_unlock_irqrestore(&lg->lock, flags);
		if (!rq)
			break;
		if (error)
			xio_complete(rq, error);
		else
			record_all(lg, rq, &shadows);
	}
}

/** lg_wake - move the requests that waited for what is durable now to @done */
void lg_wake(struct logger *lg, struct list_head *done)
{
	while (!list_empty(&lg->waiters)) {
		struct xio_request *rq = list_first_entry(&lg->waiters, struct xio_request, link);
		struct lg_aspect *a = xio_aspect(rq);

		if (a->seq > lg->durable.seq)
			break;
		list_move_tail(&rq->link, done);
	}
}

/** lg_complete_list - complete requests taken off the lists above; lock not held */
void lg_complete_list(struct list_head *list, int status)
{
	struct xio_request *rq, *tmp;

	list_for_each_entry_safe(rq, tmp, list, link) {
		list_del_init(&rq->link);
		xio_complete(rq, status);
	}
}
