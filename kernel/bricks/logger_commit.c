// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_commit.c - group commit: queued records become durable, in order
 *
 * A group is one request to the log: a descriptor and the shadow pages themselves,
 * nothing is copied.  It is begun at once when somebody waits or enough is queued,
 * otherwise when the commit delay is over.  At most LG_GROUPS are in flight; what
 * comes meanwhile gathers for the next, so the cost per record falls with the load.
 *
 * Groups may end in any order; durable advances over the ended prefix only.  After
 * a failed one nothing advances ever again (LOG_WRITE_ERROR): the log ends there,
 * because nothing may be appended behind a group whose fate is unknown.
 *
 * The engine owns the cursor of the current log (sequence, digest) while it runs.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "core/lamport.h"
#include "core/trace.h"
#include "logger.h"

/** lg_arm_delay - commit what is queued after the commit delay at the latest */
void lg_arm_delay(struct logger *lg)
{
	if (lg->delay_armed)
		return;
	lg->delay_armed = true;
	queue_delayed_work(lg->wq, &lg->delay, usecs_to_jiffies(lg->delay_us));
}

/* Lock held: may and should a group be begun? */
static bool commit_ready(const struct logger *lg)
{
	const struct lg_shadow *s;

	if (list_empty(&lg->queue) || lg->log_error || !lg->cur || lg->step >= LG_NEXT_DRAIN)
		return false;
	/* zeros on their way ahead of us must not land on the group */
	if (lg->zeroing && lg->cur->cursor.offset + MARS_LOG_MAX_DESC +
			   min_t(u64, lg->queued, LG_GROUP_PAYLOAD) > lg->zero_pos)
		return false;
	s = list_first_entry(&lg->queue, struct lg_shadow, queue);
	return s->seq <= lg->commit_seq || lg->queued >= LG_COMMIT_BYTES;
}

/*
 * Lock held: will the clock get the rest of the queue going?  What is due already waits
 * for a group, zeros or a header, whose end looks at the queue, or for the tick.
 */
static bool delay_helps(const struct logger *lg)
{
	return !list_empty(&lg->queue) && !lg->log_error &&
	       list_first_entry(&lg->queue, struct lg_shadow, queue)->seq > lg->commit_seq;
}

static struct lg_group *free_group(struct logger *lg)
{
	unsigned int i;

	for (i = 0; i < LG_GROUPS; i++)
		if (!lg->group[i].rq)
			return &lg->group[i];
	return NULL;
}

/*
 * Would @s overfill a group that has @nr records and @payload bytes?  The records of
 * one request stay together when they fit in a group at all.
 */
static bool group_full(const struct lg_shadow *s, u32 nr, u32 payload)
{
	u32 span = s->pages * PAGE_SIZE, more = 1;

	if (nr && s->batch > 1 && s->batch <= MARS_LOG_MAX_RECORDS &&
	    s->batch_span <= LG_GROUP_PAYLOAD) {
		span = s->batch_span;
		more = s->batch;
	}
	return nr + more > MARS_LOG_MAX_RECORDS || payload + span > LG_GROUP_PAYLOAD;
}

/* Lock held: move records from the queue into @g and give it its place in the log. */
static void group_take(struct logger *lg, struct lg_group *g)
{
	struct lg_log *log = lg->cur;
	struct lg_shadow *s, *tmp;
	u32 payload = 0;

	INIT_LIST_HEAD(&g->shadows);
	g->nr = 0;
	g->done = false;
	g->pos = log->cursor.offset;
	list_for_each_entry_safe(s, tmp, &lg->queue, queue) {
		if (group_full(s, g->nr, payload))
			break;
		list_move_tail(&s->queue, &g->shadows);
		s->log_number = log->ident.number;
		s->log_pos = g->pos;
		s->group_seq = list_first_entry(&g->shadows, struct lg_shadow, queue)->seq;
		payload += s->pages * PAGE_SIZE;
		g->seq = s->seq;
		g->lamport = s->lamport;
		g->nr++;
	}
	g->size = mars_log_desc_size(g->nr) + payload;
	lg->queued -= payload;
	lg->reserved -= payload + (u64)g->nr * MARS_LOG_BLOCK;
	log->cursor.offset += g->size;
	log->zeroed = max(log->zeroed, log->cursor.offset);
	WARN_ON(log->cursor.offset > log->alloc);
	lg->small = g->size <= LG_SMALL_GROUP ? lg->small + 1 : 0;
	lg->nr_groups++;
	lg->nr_records += g->nr;
	list_add_tail(&g->link, &lg->inflight);
}

/* Add @s to the segments of @g; neighbours in memory share one. */
static void group_add_vec(struct xio_request *rq, const struct lg_shadow *s)
{
	struct bio_vec *last = &rq->vec[rq->nr_vec - 1];
	u32 len = s->pages * PAGE_SIZE;

	if (!len)
		return;
	if (rq->nr_vec > 1 && (char *)bvec_virt(last) + last->bv_len == (char *)s->mem)
		last->bv_len += len;
	else
		bvec_set_virt(&rq->vec[rq->nr_vec++], s->mem, len);
}

/* Descriptor, seal, segments.  The records belong to the group; no lock. */
static void group_fill(struct lg_group *g, struct lg_log *log)
{
	struct mars_log_group *d = g->desc;
	struct mars_log_record *r = (struct mars_log_record *)(d + 1);
	u32 desc_size = mars_log_desc_size(g->nr), off = 0;
	struct xio_request *rq = g->rq;
	struct lg_shadow *s;

	memset(d, 0, desc_size);
	rq->vec = g->vec;
	rq->nr_vec = 1;
	bvec_set_virt(&g->vec[0], d, desc_size);
	list_for_each_entry(s, &g->shadows, queue) {
		r->type = cpu_to_le16(s->type);
		r->flags = cpu_to_le16(s->flags);
		r->payload_off = cpu_to_le32(s->pages ? off : 0);
		r->pos = cpu_to_le64(s->pos);
		r->len = cpu_to_le64(s->len);
		r->lamport = cpu_to_le64(s->lamport);
		r->crc = cpu_to_le32(s->crc);
		group_add_vec(rq, s);
		off += s->pages * PAGE_SIZE;
		r++;
	}
	d->magic = cpu_to_le32(MARS_LOG_GROUP_MAGIC);
	d->desc_size = cpu_to_le32(desc_size);
	d->payload_size = cpu_to_le32(off);
	d->raw_payload_size = cpu_to_le32(off);
	d->offset = cpu_to_le64(g->pos);
	d->sequence = cpu_to_le64(log->cursor.sequence++);
	memcpy(d->salt, log->cursor.salt, sizeof(d->salt));
	d->lamport = cpu_to_le64(mars_lamport_now());
	d->nr_records = cpu_to_le32(g->nr);
	mars_log_group_seal(d, log->cursor.digest);
	memcpy(g->digest, log->cursor.digest, MARS_DIGEST_SIZE);
	rq->op = XIO_WRITE;
	rq->flags = XIO_FUA;
	rq->pos = g->pos;
	rq->len = g->size;
}

/* Lock held: @g ended well and nothing before it is missing. */
static void group_durable(struct logger *lg, struct lg_group *g)
{
	struct lg_shadow *s, *tmp;

	list_del(&g->link);
	lg->durable.number = lg->cur->ident.number;
	lg->durable.pos = g->pos + g->size;
	lg->durable.seq = g->seq;
	lg->durable_lamport = g->lamport;
	trace_mars_durable(&lg->brick, lg->durable.number, lg->durable.pos, g->seq, g->nr);
	memcpy(lg->durable_digest, g->digest, MARS_DIGEST_SIZE);
	list_for_each_entry_safe(s, tmp, &g->shadows, queue)
		lg_put(lg, s);
	lg_rescan(lg);
	g->rq = NULL;
}

/* Lock held: account for the end of @g and collect the requests that may complete. */
static void group_settle(struct logger *lg, struct lg_group *g, int status,
			 struct list_head *waiters)
{
	g->done = !status;
	if (status && !lg->log_error)
		lg->log_error = status;
	while (!lg->log_error && !list_empty(&lg->inflight)) {
		g = list_first_entry(&lg->inflight, struct lg_group, link);
		if (!g->done)
			break;
		group_durable(lg, g);
	}
	if (lg->log_error)
		list_splice_tail_init(&lg->waiters, waiters);
	else
		lg_wake(lg, waiters);
	lg_retire(lg);
	if (lg->log_error || lg->step == LG_NEXT_DRAIN || lg_wants_space(lg) ||
	    lg_wants_zeros(lg))
		lg_kick(lg);
}

static void group_end(struct xio_request *rq, struct xio_end *end)
{
	struct lg_group *g = rq->private;
	struct logger *lg = lg_of(rq->route->input->brick);
	int status = rq->status, error;
	LIST_HEAD(waiters);
	unsigned long flags;

	xio_free(rq);
	spin_lock_irqsave(&lg->lock, flags);
	group_settle(lg, g, status, &waiters);
	error = lg->log_error ? -EIO : 0;
	spin_unlock_irqrestore(&lg->lock, flags);

	lg_commit(lg);			/* keep the log busy first */
	lg_complete_list(&waiters, error);
	lg_writeback(lg);
	lg_report(lg, MARS_EV_PROGRESS);
	lg_io_end(lg);
}

/** lg_commit - begin as many groups as are due; any context */
void lg_commit(struct logger *lg)
{
	struct xio_request *rq;
	struct lg_group *g;
	unsigned long flags;

	spin_lock_irqsave(&lg->lock, flags);
	if (!lg_engine_start(&lg->commit))
		goto out;
	do {
		while (commit_ready(lg) && (g = free_group(lg))) {
			rq = xio_alloc(&lg->brick.input[lg->cur->input], GFP_NOWAIT);
			if (!rq) {
				lg->nomem = true;
				lg_arm_tick(lg);
				break;
			}
			rq->private = g;
			g->rq = rq;
			group_take(lg, g);
			lg->nr_io++;
			spin_unlock_irqrestore(&lg->lock, flags);
			group_fill(g, lg->cur);	/* cur can't change: we are in flight */
			xio_submit(rq, group_end);
			spin_lock_irqsave(&lg->lock, flags);
		}
	} while (lg_engine_more(&lg->commit));
	if (delay_helps(lg))
		lg_arm_delay(lg);
out:
	spin_unlock_irqrestore(&lg->lock, flags);
}
