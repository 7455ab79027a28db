// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_checkpoint.c - the replay position
 *
 * The clean mark is the start of the first group that holds a shadow not retired: a
 * replay from there on rebuilds everything the data disk may lack.  It is published
 * only after a flush of the data disk that began after the mark was taken.
 *
 * A failed flush freezes the checkpoint until the next power-on: after it nobody knows
 * which of the finished writes are on the medium, and a later flush that succeeds does
 * not say so either.  The log has them all; replay from the frozen position heals.
 */
#include <linux/errno.h>
#include <linux/ktime.h>

#include "core/trace.h"
#include "logger.h"

/** lg_clean - everything before is written to the data disk (flushed or not) */
struct lg_mark lg_clean(struct logger *lg)
{
	struct lg_mark mark = { 0 };
	const struct lg_shadow *head;

	if (!lg->cur)
		return lg->ckpt;
	head = list_first_entry_or_null(&lg->fifo, struct lg_shadow, fifo);
	if (head && head->log_pos) {
		mark.number = head->log_number;
		mark.pos = head->log_pos;
		mark.seq = head->group_seq - 1;
	} else {
		mark.number = lg->cur->ident.number;
		mark.pos = lg->cur->cursor.offset;
		mark.seq = head ? head->seq - 1 : lg->seq;
	}
	return mark;
}

static bool moved(const struct logger *lg, const struct lg_mark *clean)
{
	return clean->number != lg->ckpt.number || clean->pos != lg->ckpt.pos;
}

/** lg_wants_checkpoint - there is a reason for a checkpoint besides the clock */
bool lg_wants_checkpoint(struct logger *lg)
{
	struct lg_mark clean = lg_clean(lg);

	if (lg->closing)
		return true;
	if (lg->flushing || lg->ckpt_frozen || !moved(lg, &clean))
		return false;
	return (lg->ckpt_goal > lg->ckpt.seq && clean.seq >= lg->ckpt_goal) ||
	       clean.number != lg->ckpt.number ||	/* the old log's slot becomes free */
	       clean.pos >= lg->ckpt.pos + LG_CKPT_BYTES;
}

/* Lock held: is it time to publish @clean? */
static bool due(struct logger *lg, const struct lg_mark *clean)
{
	if (!lg->cur || lg->flushing || lg->ckpt_frozen || !moved(lg, clean))
		return false;
	if (lg->closing)
		return lg_drained(lg);
	return lg_wants_checkpoint(lg) || ktime_get_ns() - lg->ckpt_time >= LG_CKPT_NS;
}

static void flush_end(struct xio_request *rq, struct xio_end *end)
{
	struct logger *lg = lg_of(rq->route->input->brick);
	int status = rq->status;
	unsigned long flags;

	xio_free(rq);
	spin_lock_irqsave(&lg->lock, flags);
	lg->flushing = false;
	lg->ckpt_time = ktime_get_ns();
	if (status) {
		lg->ckpt_frozen = true;
		lg->data_error = status;
	} else {
		lg->ckpt = lg->ckpt_new;
		trace_mars_checkpoint(&lg->brick, lg->ckpt.number, lg->ckpt.pos);
	}
	lg_kick(lg);
	spin_unlock_irqrestore(&lg->lock, flags);
	lg_report(lg, MARS_EV_PROGRESS);
	lg_io_end(lg);
}

/** lg_checkpoint - begin one when it is due; from the work item */
void lg_checkpoint(struct logger *lg)
{
	struct xio_request *rq = NULL;
	struct lg_mark clean;
	unsigned long flags;

	spin_lock_irqsave(&lg->lock, flags);
	clean = lg_clean(lg);
	if (due(lg, &clean)) {
		rq = xio_alloc(&lg->brick.input[LG_DATA], GFP_NOWAIT);
		if (rq) {
			lg->flushing = true;
			lg->ckpt_new = clean;
			lg->nr_io++;
		} else {
			lg->nomem = true;
			lg_arm_tick(lg);
		}
	}
	spin_unlock_irqrestore(&lg->lock, flags);
	if (rq) {
		rq->op = XIO_FLUSH;
		xio_submit(rq, flush_end);
	}
}
