// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_read.c - reads: newest shadow wins, the rest comes from the data disk
 *
 * A read that meets no shadow goes straight down on the caller's context.  Any other
 * is walked from front to back: bytes in the index are copied out of their shadow,
 * each gap is read from the data disk by the request itself, narrowed to the gap for
 * that time.  Each step looks the index up again: a byte that is not there at that
 * moment has its newest data on the disk.  Nothing is allocated, nothing is waited for.
 *
 * When the gap's IO ends inside the forward, the loop goes on; when it ends later, the
 * end function continues the loop: whoever of both is second (aspect.turn).
 */
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#include "logger.h"

/* Copy from a pinned shadow; no lock: its data never changes. */
static void copy_out(struct xio_request *rq, u64 off, const struct lg_shadow *s, u64 pos, u64 len)
{
	if (s->type == MARS_LOG_WRITE)
		xio_copy_out(rq, off, (char *)s->mem + s->pos % PAGE_SIZE + (pos - s->pos), len);
	else
		xio_zero_out(rq, off, len);
}

/*
 * Serve shadow bytes from a->done on.  Returns the length of the gap that follows, 0 at
 * the end.  Lock held, dropped for copying.
 */
static u64 serve_hits(struct logger *lg, struct xio_request *rq, struct lg_aspect *a,
		      unsigned long *flags)
{
	u64 end = a->pos + a->len;

	while (a->done < a->len) {
		u64 pos = a->pos + a->done, len;
		struct mars_extent *ext = mars_extent_find(&lg->index, pos);
		struct lg_shadow *s;

		if (!ext || ext->pos >= end)
			return end - pos;
		if (ext->pos > pos)
			return ext->pos - pos;
		len = min(mars_extent_end(ext), end) - pos;
		s = ext->owner;
		lg_get(s);
		spin_unlock_irqrestore(&lg->lock, *flags);
		copy_out(rq, a->done, s, pos, len);
		a->done += len;
		spin_lock_irqsave(&lg->lock, *flags);
		lg_put(lg, s);
		if (!s->refs)
			lg_retire(lg);
	}
	return 0;
}

static void read_walk(struct logger *lg, struct xio_request *rq);

/* The request is whole again. */
static void widen(struct xio_request *rq, const struct lg_aspect *a)
{
	rq->pos = a->pos;
	rq->len = a->len;
	rq->skip = a->skip;
}

static void gap_end(struct xio_request *rq, struct xio_end *end)
{
	struct lg_aspect *a = container_of(end, struct lg_aspect, end);
	struct logger *lg = lg_of(rq->hop->brick);

	if (atomic_inc_return(&a->turn) == 2)
		read_walk(lg, rq);
}

/* Read @gap bytes at a->done from the data disk; true: it has ended already. */
static bool read_gap(struct xio_request *rq, struct lg_aspect *a, u64 gap)
{
	rq->pos = a->pos + a->done;
	rq->len = gap;
	rq->skip = a->skip + a->done;
	a->done += gap;
	atomic_set(&a->turn, 0);
	xio_push(rq, &a->end, gap_end);
	xio_forward(rq, LG_DATA);
	return atomic_inc_return(&a->turn) == 2;
}

/* Go on behind a->done; the gap before it, if any, has ended. */
static void read_walk(struct logger *lg, struct xio_request *rq)
{
	struct lg_aspect *a = xio_aspect(rq);
	unsigned long flags;
	u64 gap;

	do {
		widen(rq, a);
		if (rq->status) {
			xio_complete(rq, rq->status);
			return;
		}
		spin_lock_irqsave(&lg->lock, flags);
		gap = serve_hits(lg, rq, a, &flags);
		spin_unlock_irqrestore(&lg->lock, flags);
		if (!gap) {
			xio_complete(rq, 0);
			return;
		}
	} while (read_gap(rq, a, gap));
}

/** lg_submit_read - never waits for memory or for the log */
void lg_submit_read(struct logger *lg, struct xio_request *rq)
{
	struct lg_aspect *a = xio_aspect(rq);
	const struct mars_extent *ext;
	unsigned long flags;
	bool on, hit;

	spin_lock_irqsave(&lg->lock, flags);
	on = lg->on;
	ext = mars_extent_find(&lg->index, rq->pos);
	hit = ext && ext->pos < rq->pos + rq->len;
	lg->nr_reads++;
	lg->nr_hits += hit;
	spin_unlock_irqrestore(&lg->lock, flags);
	if (!on) {
		xio_complete(rq, -ENODEV);
	} else if (!hit) {
		xio_forward(rq, LG_DATA);
	} else {
		a->pos = rq->pos;
		a->len = rq->len;
		a->skip = rq->skip;
		a->done = 0;
		read_walk(lg, rq);
	}
}
