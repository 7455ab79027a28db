// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_log.c - log files: allocation ahead, header, rotation, zeroes ahead
 *
 * Log space is allocated one segment ahead (WRITE_ZEROES | NOUNMAP behind the end) and
 * requests are admitted only into space that is there, so an acknowledged write never
 * fails for lack of it.  When the log disk is full, smaller steps are tried, then
 * requests wait and the tick tries again, for ever.
 *
 * Rotation goes through enum lg_step, driven by the work item, one IO at a time:
 *   CHECK   the new file must begin with zeros: never write into existing content
 *   GROW    allocate until everything admitted fits into it
 *   DRAIN   from now on new space is that of the new log; groups in flight end
 *   HEADER  its header, holding the end digest of the old log, becomes durable
 * and then groups go to the new log.  Writers only queue meanwhile, flushes wait for
 * the last two steps.  Power-on is the same from no log at all, without DRAIN.  Before
 * DRAIN a rotation can be abandoned: the old log is intact and goes on.
 *
 * Zeroes ahead: a commit into blocks that were written before is much cheaper for a
 * file system than one into blocks only allocated.  With many small commits in a row,
 * zeros are written some way ahead; the commit engine does not enter a range where
 * they are in flight.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "core/lamport.h"
#include "core/trace.h"
#include "logger.h"

#define LG_ROOM		(4ULL << 20)	/* space for new requests a log must begin with */
#define LG_ZERO_GAP	(128ULL << 10)	/* zeros begin that far ahead: commits go on meanwhile */
#define LG_ZERO_AHEAD	(6ULL << 20)

/* The log that new requests will go to. */
static struct lg_log *target(const struct logger *lg)
{
	return lg->step >= LG_NEXT_DRAIN || !lg->cur ? lg->next : lg->cur;
}

/** lg_space - log bytes that may still be reserved */
u64 lg_space(const struct logger *lg)
{
	const struct lg_log *log = target(lg);
	u64 used;

	if (!log)
		return 0;
	used = (log == lg->cur ? log->cursor.offset : MARS_LOG_BLOCK) + lg->reserved;
	return log->alloc > used ? log->alloc - used : 0;
}

/** lg_wants_space - less than a segment is left and growth may be tried */
bool lg_wants_space(const struct logger *lg)
{
	return lg->cur && !lg->growing && !lg->grow_wait && !lg->log_error &&
	       lg_space(lg) < lg->segment;
}

/* One request of ours to a log; NULL: the tick will try again. */
static struct xio_request *log_request(struct logger *lg, const struct lg_log *log)
{
	struct xio_request *rq = xio_alloc(&lg->brick.input[log->input], GFP_NOWAIT);

	if (rq) {
		lg->nr_io++;
	} else {
		lg->nomem = true;
		lg_arm_tick(lg);
	}
	return rq;
}

static struct logger *log_request_end(struct xio_request *rq)
{
	struct logger *lg = lg_of(rq->route->input->brick);

	xio_free(rq);
	return lg;
}

/* --- growth --- */

/* Lock held: the result of growing; after a failure a smaller step comes next. */
static void grow_settle(struct logger *lg, int status)
{
	lg->growing = false;
	if (!status) {
		lg->grow_log->alloc += lg->grow_step;
		lg->grow_step = min(2 * lg->grow_step, lg->segment);
		lg->grow_failed = false;
		lg->grow_error = 0;
	} else if (lg->grow_step > LG_GROW_MIN) {
		lg->grow_step = max(lg->grow_step / 2 & ~(u64)(MARS_LOG_BLOCK - 1), LG_GROW_MIN);
	} else {
		lg->grow_failed = true;
		lg->grow_wait = true;
		lg->grow_error = status;
		lg_arm_tick(lg);
	}
}

static void grow_end(struct xio_request *rq, struct xio_end *end)
{
	int status = rq->status;
	struct logger *lg = log_request_end(rq);
	unsigned long flags;

	spin_lock_irqsave(&lg->lock, flags);
	grow_settle(lg, status);
	lg_kick(lg);
	spin_unlock_irqrestore(&lg->lock, flags);
	lg_report(lg, 0);
	lg_io_end(lg);
}

/*
 * Lock held: a request that allocates the next part of @log, or NULL.  It leaves room for
 * the beginning of a log: the current log can't be deleted, so it must be possible to leave
 * it, on a full disk too.  Only a log that begins uses that room, in the smallest steps.
 */
static struct xio_request *grow_begin(struct logger *lg, struct lg_log *log, bool begins)
{
	struct xio_request *rq = log_request(lg, log);
	bool leaves_room = !begins || lg->grow_step > LG_GROW_MIN;

	if (!rq)
		return NULL;
	lg->growing = true;
	lg->grow_log = log;
	rq->op = XIO_WRITE_ZEROES;
	rq->flags = XIO_NOUNMAP | (leaves_room ? XIO_PRIO_LOW : 0);
	rq->pos = log->alloc;
	rq->len = lg->grow_step;
	return rq;
}

/* --- the steps --- */

/* Lock held: give up the next log; the current one, if any, goes on. */
static void next_abandon(struct logger *lg, int error)
{
	lg->next_error = error;
	lg->next = NULL;
	lg->step = LG_NEXT_NONE;
	lg->starting = false;
	lg_kick(lg);
}

static void check_end(struct xio_request *rq, struct xio_end *end)
{
	int status = rq->status;
	struct logger *lg = log_request_end(rq);
	unsigned long flags;

	spin_lock_irqsave(&lg->lock, flags);
	lg->step_busy = false;
	if (!status && memchr_inv(lg->block, 0, MARS_LOG_BLOCK))
		status = -EEXIST;
	if (status)
		next_abandon(lg, status);
	else
		lg->step = LG_NEXT_GROW;
	lg_kick(lg);
	spin_unlock_irqrestore(&lg->lock, flags);
	lg_report(lg, 0);
	lg_io_end(lg);
}

static struct xio_request *check_begin(struct logger *lg)
{
	struct xio_request *rq = log_request(lg, lg->next);

	if (!rq)
		return NULL;
	lg->step_busy = true;
	rq->op = XIO_READ;
	rq->len = MARS_LOG_BLOCK;
	bvec_set_virt(&lg->block_vec, lg->block, MARS_LOG_BLOCK);
	rq->vec = &lg->block_vec;
	rq->nr_vec = 1;
	return rq;
}

/* Lock held: the new log begins. */
static void switch_log(struct logger *lg)
{
	struct lg_log *old = lg->cur, *log = lg->next;

	if (old) {
		lg->prev_end = old->cursor.offset;
		memcpy(lg->prev_digest, lg->durable_digest, MARS_DIGEST_SIZE);
		lg->old_input = old->input;
	} else {
		lg->prev_end = log->ident.prev_length;
		memcpy(lg->prev_digest, log->ident.prev_digest, MARS_DIGEST_SIZE);
		lg->durable_lamport = log->cursor.lamport;
		lg->ckpt.number = log->ident.number;
		lg->ckpt.pos = MARS_LOG_BLOCK;
		lg->on = !lg->closing;
	}
	lg->cur = log;
	lg->next = NULL;
	lg->step = LG_NEXT_NONE;
	lg->starting = false;
	lg->next_error = 0;
	lg->small = 0;
	lg->size = lg->next_size;
	lg->durable.number = log->ident.number;
	lg->durable.pos = MARS_LOG_BLOCK;
	trace_mars_log_begin(&lg->brick, log->ident.number, log->input, lg->prev_end);
	memcpy(lg->durable_digest, log->cursor.digest, MARS_DIGEST_SIZE);
}

static void header_end(struct xio_request *rq, struct xio_end *end)
{
	int status = rq->status;
	struct logger *lg = log_request_end(rq);
	LIST_HEAD(waiters);
	unsigned long flags;
	bool first;

	spin_lock_irqsave(&lg->lock, flags);
	first = lg->starting;
	lg->step_busy = false;
	if (!status) {
		switch_log(lg);
	} else {
		/* it may be there or not: no way back to the old log */
		lg->log_error = status;
		list_splice_tail_init(&lg->waiters, &waiters);
		next_abandon(lg, 0);
	}
	first = first && lg->on;
	lg_kick(lg);
	spin_unlock_irqrestore(&lg->lock, flags);
	if (first)
		mars_brick_leds(&lg->brick, true, false);
	lg_commit(lg);
	lg_complete_list(&waiters, -EIO);
	lg_report(lg, MARS_EV_PROGRESS);
	lg_io_end(lg);
}

/* Lock held: all groups of the current log are durable. */
static struct xio_request *header_begin(struct logger *lg)
{
	struct lg_log *log = lg->next, *old = lg->cur;
	struct xio_request *rq = log_request(lg, log);

	if (!rq)
		return NULL;
	if (old) {
		log->ident.prev_number = old->ident.number;
		log->ident.prev_length = old->cursor.offset;
		memcpy(log->ident.prev_digest, lg->durable_digest, MARS_DIGEST_SIZE);
		memcpy(log->ident.prev_origin, old->ident.origin, MARS_HOST_MAX);
	}
	mars_log_header_make(lg->block, &log->ident, mars_lamport_now(), lg->next_size);
	WARN_ON_ONCE(mars_log_header_check(lg->block, NULL, &log->cursor) != MARS_LOG_OK);
	lg->step_busy = true;
	rq->op = XIO_WRITE;
	rq->flags = XIO_FUA;
	rq->len = MARS_LOG_BLOCK;
	bvec_set_virt(&lg->block_vec, lg->block, MARS_LOG_BLOCK);
	rq->vec = &lg->block_vec;
	rq->nr_vec = 1;
	return rq;
}

/* Lock held: may the next log take over what is admitted? */
static bool next_has_room(const struct logger *lg)
{
	return lg->next->alloc >= MARS_LOG_BLOCK + lg->reserved + LG_ROOM;
}

/*
 * Lock held: decide the next IO of the rotation, NULL = none now.  At most one is in
 * flight; @fn is its end function.
 */
static struct xio_request *next_step(struct logger *lg, xio_end_fn *fn)
{
	if (!lg->next || lg->step_busy)
		return NULL;
	/*
	 * From DRAIN on there is no way back: requests were admitted into the new space.
	 * Unless the log can't be written: then they all fail.
	 */
	if (lg->closing && (lg->step < LG_NEXT_DRAIN || lg->log_error)) {
		if (!lg->growing || lg->grow_log != lg->next)
			next_abandon(lg, 0);
		return NULL;
	}
	if (lg->log_error)
		return NULL;
	if (lg->step == LG_NEXT_CHECK) {
		*fn = check_end;
		return check_begin(lg);
	}
	if (lg->step == LG_NEXT_GROW && next_has_room(lg))
		lg->step = lg->cur ? LG_NEXT_DRAIN : LG_NEXT_HEADER;
	if (lg->step == LG_NEXT_GROW) {
		*fn = grow_end;
		return lg->growing || lg->grow_wait ? NULL : grow_begin(lg, lg->next, true);
	}
	if (lg->step == LG_NEXT_DRAIN && list_empty(&lg->inflight))
		lg->step = LG_NEXT_HEADER;
	if (lg->step == LG_NEXT_HEADER) {
		*fn = header_end;
		return header_begin(lg);
	}
	return NULL;
}

/* --- zeroes ahead --- */

static void zero_done(struct xio_request *rq, struct xio_end *end)
{
	int status = rq->status;
	struct logger *lg = log_request_end(rq);
	unsigned long flags;

	spin_lock_irqsave(&lg->lock, flags);
	lg->zeroing = false;
	if (!status)
		lg->zero_log->zeroed = max(lg->zero_log->zeroed, lg->zero_end);
	else
		lg->small = 0;	/* not worth an alarm: the commits will tell */
	lg_kick(lg);
	spin_unlock_irqrestore(&lg->lock, flags);
	lg_commit(lg);
	lg_io_end(lg);
}

/** lg_wants_zeros - commits are small, frequent, and about to leave the zeroed range */
bool lg_wants_zeros(const struct logger *lg)
{
	const struct lg_log *log = lg->cur;

	return log && lg->step == LG_NEXT_NONE && !lg->zeroing && lg->small >= LG_SMALL_COMMITS &&
	       !lg->closing && !lg->log_error && log->cursor.offset + LG_ZERO_GAP < log->alloc &&
	       log->zeroed < min(log->cursor.offset + LG_ZERO_AHEAD, log->alloc);
}

static struct xio_request *zero_begin(struct logger *lg)
{
	struct lg_log *log = lg->cur;
	struct xio_request *rq;
	u64 pos, end;

	if (!lg_wants_zeros(lg))
		return NULL;
	pos = max(log->zeroed, log->cursor.offset + LG_ZERO_GAP);
	end = min(pos + XIO_MAX_IO, log->alloc);
	rq = log_request(lg, log);
	if (!rq)
		return NULL;
	lg->zeroing = true;
	lg->zero_pos = pos;
	lg->zero_end = end;
	lg->zero_log = log;
	rq->op = XIO_WRITE;
	rq->flags = XIO_PRIO_LOW;
	rq->pos = pos;
	rq->len = end - pos;
	rq->vec = lg->zero_vec;
	rq->nr_vec = LG_ZERO_VECS;
	return rq;
}

/** lg_log_work - do for the logs whatever is due; only from the work item */
void lg_log_work(struct logger *lg)
{
	struct xio_request *rq;
	xio_end_fn fn = NULL;
	unsigned long flags;

	spin_lock_irqsave(&lg->lock, flags);
	rq = next_step(lg, &fn);
	spin_unlock_irqrestore(&lg->lock, flags);
	if (rq)
		xio_submit(rq, fn);

	spin_lock_irqsave(&lg->lock, flags);
	rq = !lg->closing && lg_wants_space(lg) ? grow_begin(lg, target(lg), false) : NULL;
	spin_unlock_irqrestore(&lg->lock, flags);
	if (rq)
		xio_submit(rq, grow_end);

	spin_lock_irqsave(&lg->lock, flags);
	rq = zero_begin(lg);
	spin_unlock_irqrestore(&lg->lock, flags);
	if (rq)
		xio_submit(rq, zero_done);
}

/**
 * lg_rotate - continue in the log at @input; also power-on, then without a current log
 * @lg: the logger
 * @input: 1 or 2, not the current one
 * @ident: of the new log; its predecessor is filled in when there is one
 * @size: device size from then on
 * @empty: the file is too short to hold anything
 * @reason: out: why it was refused
 *
 * Returns when the rotation has begun; MARS_V_LOGGER_NUMBER says when it is done.
 */
int lg_rotate(struct logger *lg, unsigned int input, const struct mars_log_ident *ident,
	      u64 size, bool empty, enum mars_reason *reason)
{
	struct lg_log *log = &lg->log[input];
	unsigned long flags;
	int err = 0;

	spin_lock_irqsave(&lg->lock, flags);
	if (lg->next || lg->old_input || lg->log_error || lg->closing ||
	    !(lg->on || lg->starting) || (lg->cur && lg->cur->input == input)) {
		err = mars_refuse(reason, MARS_R_NOT_NOW);
	} else if (lg->cur && ident->number <= lg->cur->ident.number) {
		/* no header could name this predecessor */
		err = mars_refuse(reason, MARS_R_BAD_VALUE);
	} else {
		memset(log, 0, sizeof(*log));
		log->input = input;
		log->ident = *ident;
		lg->next = log;
		lg->next_size = max(size, lg->size);
		lg->next_error = 0;
		lg->step = empty ? LG_NEXT_GROW : LG_NEXT_CHECK;
		lg_arm_tick(lg);
		lg_kick(lg);
	}
	spin_unlock_irqrestore(&lg->lock, flags);
	return err;
}
