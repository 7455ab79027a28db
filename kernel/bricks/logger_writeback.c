// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_writeback.c - durable shadows go to the data disk, in position order
 *
 * Starts lazily: when memory fills up, when data gets old, when a checkpoint or the
 * switch wants it; at full pressure while requests wait for memory.  The index is
 * swept in one direction (C-SCAN); neighbours are merged into one request.
 *
 * Three rules keep the disk right.  Only durable shadows are written.  Only what the
 * index names is written, so the newest version; older ones under it never.  No two
 * requests in flight touch the same byte, so an older version on its way is never
 * overtaken.  What a finished request wrote leaves the index, except where newer data
 * came in between.
 *
 * Failure: a shadow the disk refuses stays in memory and in the index, is left alone
 * until the retry, and is then written by itself, so that one bad block does not hold
 * back its neighbours.  State DATA_WRITE_ERROR until none is left.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/mm.h>

#include "logger.h"

#define LG_SCAN_MAX	1024UL		/* extents looked at in one go, lock held */
#define LG_RETRY_NS	(100ULL * 1000 * 1000)

/* Lock held: how full memory and structures are decides, with hysteresis. */
static bool filling(struct logger *lg)
{
	const struct lg_pool *pool = &lg->pool;
	unsigned long structs = pool->nr_shadows - pool->nr_spare;

	if (pool->used >= pool->limit / 4 || structs >= pool->max_shadows / 4)
		lg->wb_on = true;
	else if (pool->used < pool->limit / 8 && structs < pool->max_shadows / 8)
		lg->wb_on = false;
	return lg->wb_on;
}

/* Lock held: is there a reason to write back? */
static bool wanted(struct logger *lg)
{
	const struct lg_shadow *head;

	if (list_empty(&lg->fifo))
		return false;
	if (lg->closing || filling(lg) || (lg->nr_stalled && !lg->stalled_for_space))
		return true;
	head = list_first_entry(&lg->fifo, struct lg_shadow, fifo);
	return lg_clean(lg).seq < lg->ckpt_goal || ktime_get_ns() - head->entered >= LG_AGE_NS;
}

static bool in_flight(const struct logger *lg, const struct mars_extent *ext)
{
	unsigned int i;

	for (i = 0; lg->units_busy && i < LG_UNITS; i++) {
		const struct lg_unit *u = &lg->unit[i];

		if (u->nr && ext->pos < u->pos + u->len && u->pos < mars_extent_end(ext))
			return true;
	}
	return false;
}

static bool eligible(const struct logger *lg, const struct mars_extent *ext)
{
	const struct lg_shadow *s = ext->owner;

	return s->seq <= lg->durable.seq && s->failed != lg->retry_epoch && !in_flight(lg, ext);
}

/** lg_rescan - an extent may have become eligible: the sweep goes round again */
void lg_rescan(struct logger *lg)
{
	lg->scan_left = lg->index.nr + 1;
}

/*
 * Lock held: the next extent to write at or behind the cursor.  When a whole round found
 * none, there is nothing to look for until lg_rescan().  A round is made in pieces; one
 * that the switch waits for goes on at once, others with the next event or tick.
 */
static struct mars_extent *candidate(struct logger *lg)
{
	unsigned long left = min(lg->scan_left, LG_SCAN_MAX);
	struct mars_extent *ext;

	if (!left)
		return NULL;
	lg->scan_left -= left;
	ext = mars_extent_find(&lg->index, lg->cursor);
	for (; left && lg->index.nr; left--) {
		if (!ext)
			ext = mars_extent_first(&lg->index);
		if (eligible(lg, ext)) {
			lg_rescan(lg);
			return ext;
		}
		ext = mars_extent_next(ext);
	}
	lg->cursor = ext ? ext->pos : 0;
	if (lg->closing)
		lg_kick(lg);
	return NULL;
}

static void unit_add_vec(struct lg_unit *u, void *mem, u32 len)
{
	struct bio_vec *last = u->nr_vec ? &u->vec[u->nr_vec - 1] : NULL;

	if (last && (char *)bvec_virt(last) + last->bv_len == mem)
		last->bv_len += len;
	else
		bvec_set_virt(&u->vec[u->nr_vec++], mem, len);
}

static void unit_add(struct lg_unit *u, const struct mars_extent *ext)
{
	struct lg_shadow *s = ext->owner;

	lg_get(s);
	u->piece[u->nr].shadow = s;
	u->piece[u->nr].len = ext->len;
	u->nr++;
	u->len += ext->len;
	if (s->type == MARS_LOG_WRITE)
		unit_add_vec(u, (char *)s->mem + s->pos % PAGE_SIZE + (ext->pos - s->pos),
			     ext->len);
}

static bool may_join(const struct logger *lg, const struct lg_unit *u,
		     const struct mars_extent *ext)
{
	const struct lg_shadow *s = ext->owner;

	return ext->pos == u->pos + u->len && u->nr < LG_UNIT_PIECES &&
	       u->len + ext->len <= XIO_MAX_IO && s->type == MARS_LOG_WRITE && !s->suspect &&
	       eligible(lg, ext);
}

static struct lg_unit *free_unit(struct logger *lg)
{
	unsigned int i;

	for (i = 0; lg->units_busy < LG_UNITS && i < LG_UNITS; i++)
		if (!lg->unit[i].nr)
			return &lg->unit[i];
	return NULL;
}

/* Lock held: compose the next writeback, or NULL. */
static struct lg_unit *unit_take(struct logger *lg)
{
	struct lg_unit *u = free_unit(lg);
	struct mars_extent *ext = u && wanted(lg) ? candidate(lg) : NULL;
	const struct lg_shadow *s;

	if (!ext)
		return NULL;
	s = ext->owner;
	u->op = s->type == MARS_LOG_WRITE ? XIO_WRITE :
		s->type == MARS_LOG_DISCARD ? XIO_DISCARD : XIO_WRITE_ZEROES;
	u->flags = XIO_PRIO_LOW | ((s->flags & MARS_LOG_NOUNMAP) ? XIO_NOUNMAP : 0);
	u->pos = ext->pos;
	u->len = 0;
	u->nr_vec = 0;
	unit_add(u, ext);
	if (u->op == XIO_WRITE && !s->suspect)
		while ((ext = mars_extent_next(ext)) && may_join(lg, u, ext))
			unit_add(u, ext);
	lg->cursor = u->pos + u->len;
	lg->units_busy++;
	return u;
}

/* Lock held: take the result of @u into the books and free it. */
static void unit_settle(struct logger *lg, struct lg_unit *u, int status)
{
	u64 pos = u->pos;
	unsigned int i;

	for (i = 0; i < u->nr; i++) {
		struct lg_shadow *s = u->piece[i].shadow;

		if (!status) {
			lg_written(lg, s, pos, u->piece[i].len);
		} else {
			lg->nr_suspect += !s->suspect;
			s->suspect = true;
			s->failed = lg->retry_epoch;
		}
		pos += u->piece[i].len;
		lg_put(lg, s);
	}
	u->nr = 0;
	lg->units_busy--;
	lg_rescan(lg);
	if (status)
		lg->data_error = status;
	if (status && !lg->retry_at) {
		lg->retry_ns = lg->retry_ns ? min(2 * lg->retry_ns, LG_RETRY_MAX_NS) : LG_RETRY_NS;
		lg->retry_at = ktime_get_ns() + lg->retry_ns;
		lg_arm_tick(lg);
	}
	lg_retire(lg);
}

static void unit_end(struct xio_request *rq, struct xio_end *end)
{
	struct lg_unit *u = rq->private;
	struct logger *lg = lg_of(rq->route->input->brick);
	int status = rq->status;
	unsigned long flags;

	xio_free(rq);
	spin_lock_irqsave(&lg->lock, flags);
	unit_settle(lg, u, status);
	if (lg_wants_checkpoint(lg))
		lg_kick(lg);
	spin_unlock_irqrestore(&lg->lock, flags);
	lg_writeback(lg);
	if (status)
		lg_report(lg, 0);
	lg_io_end(lg);
}

static void unit_submit(struct lg_unit *u, struct xio_request *rq)
{
	rq->private = u;
	rq->op = u->op;
	rq->flags = u->flags;
	rq->pos = u->pos;
	rq->len = u->len;
	rq->vec = u->vec;
	rq->nr_vec = u->nr_vec;
	xio_submit(rq, unit_end);
}

/** lg_writeback - keep the data disk busy while there is a reason; any context */
void lg_writeback(struct logger *lg)
{
	struct xio_request *rq;
	struct lg_unit *u;
	unsigned long flags;

	spin_lock_irqsave(&lg->lock, flags);
	if (!lg_engine_start(&lg->wb))
		goto out;
	do {
		while (lg->cur && !lg->nomem && (u = unit_take(lg))) {
			rq = xio_alloc(&lg->brick.input[LG_DATA], GFP_NOWAIT);
			if (!rq) {
				lg->nomem = true;
				lg_arm_tick(lg);
				while (u->nr)
					lg_put(lg, u->piece[--u->nr].shadow);
				lg->units_busy--;
				break;
			}
			lg->nr_io++;
			lg->nr_writebacks++;
			spin_unlock_irqrestore(&lg->lock, flags);
			unit_submit(u, rq);
			spin_lock_irqsave(&lg->lock, flags);
		}
	} while (lg_engine_more(&lg->wb));
out:
	spin_unlock_irqrestore(&lg->lock, flags);
}

/** lg_writeback_idle - nothing is in flight, and nothing can be begun */
bool lg_writeback_idle(struct logger *lg)
{
	return !lg->units_busy && (!lg->scan_left || mars_extent_empty(&lg->index));
}

/** lg_retry - look at the clock: may what failed be tried again? */
void lg_retry(struct logger *lg)
{
	if (lg->retry_at && ktime_get_ns() >= lg->retry_at) {
		lg->retry_at = 0;
		lg->retry_epoch++;
		lg_rescan(lg);
	}
	if (!lg->nr_suspect && !lg->ckpt_frozen) {
		lg->retry_ns = 0;
		lg->data_error = 0;
	}
}
