// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * replay.c - brick type, control and work loop of the replay brick
 *
 * One run of the work item takes several rounds; in each round completed io is
 * collected, the log is read and verified, records are issued, and a checkpoint is
 * started if one is due.  The loop ends when a round changed nothing: whatever it
 * waits for (a completion, the timer, a new end position, the button) queues the
 * work again.
 *
 * Locking: see replay.h.  Completions queue the work under replay->lock, so that
 * the brick can't be taken apart between handing the io over and queueing.
 *
 * Failure behaviour: a log or disk that fails is retried for ever, with back-off,
 * and reported as a state; the published position never passes what is flushed.
 * The end of the valid log before the end position is a final state until the
 * brick is switched off.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "core/trace.h"
#include "core/types.h"
#include "replay.h"

#define ROUNDS		8		/* of one run of the work item */

/* --- requests --- */

static void io_end(struct xio_request *rq, struct xio_end *end)
{
	struct replay_io *io = rq->private;
	struct replay *r = io->replay;
	unsigned long flags;

	io->status = rq->status;
	xio_free(rq);
	spin_lock_irqsave(&r->lock, flags);
	list_add_tail(&io->link, &r->done);
	queue_work(r->wq, &r->work);
	spin_unlock_irqrestore(&r->lock, flags);
}

static void io_submit(struct replay *r, struct replay_io *io)
{
	struct xio_request *rq = xio_alloc(&r->brick.input[io->input], GFP_NOWAIT);

	if (!rq) {
		r->starved = true;
		return;
	}
	rq->op = io->op;
	rq->flags = io->flags;
	rq->pos = io->pos;
	rq->len = io->len;
	if (io->op == XIO_READ || io->op == XIO_WRITE) {
		rq->vec = &r->vec[io->block];
		rq->nr_vec = DIV_ROUND_UP(io->skip + (u32)io->len, MARS_LOG_BLOCK);
		rq->skip = io->skip;
	}
	rq->private = io;
	io->state = REPLAY_IO_BUSY;
	r->nr_busy++;
	r->progress = true;
	xio_submit(rq, io_end);
}

typedef void (*io_fn)(struct replay *r, struct replay_io *io);

static void for_each_io(struct replay *r, io_fn fn)
{
	u32 i;

	for (i = 0; i < REPLAY_NR_READS; i++)
		fn(r, &r->read[i]);
	for (i = 0; i < REPLAY_NR_WRITES; i++)
		fn(r, &r->write[i]);
	fn(r, &r->flush);
}

static void submit_ready(struct replay *r, struct replay_io *io)
{
	if (io->state == REPLAY_IO_READY && !r->starved)
		io_submit(r, io);
}

/* --- retries --- */

void replay_io_failed(struct replay_io *io, struct replay_retry *retry, u64 now)
{
	io->state = REPLAY_IO_FAILED;
	if (!io->failed)
		retry->nr++;
	io->failed = true;
	retry->error = io->status;
	if (!retry->at)
		retry->at = now + (u64)retry->delay_ms * NSEC_PER_MSEC;
}

void replay_io_succeeded(struct replay_io *io, struct replay_retry *retry)
{
	io->state = REPLAY_IO_FREE;
	if (io->failed)
		retry->nr--;
	io->failed = false;
}

static void retry_reset(struct replay_retry *retry)
{
	memset(retry, 0, sizeof(*retry));
	retry->delay_ms = REPLAY_RETRY_MS;
}

static bool retry_due(struct replay_retry *retry, u64 now)
{
	if (!retry->at || now < retry->at)
		return false;
	retry->at = 0;
	retry->delay_ms = min(2 * retry->delay_ms, REPLAY_RETRY_MAX_MS);
	return true;
}

static void retry_io(struct replay_io *io, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (io[i].state == REPLAY_IO_FAILED)
			io[i].state = REPLAY_IO_READY;
}

static void retry_what_is_due(struct replay *r, u64 now)
{
	if (retry_due(&r->read_retry, now)) {
		retry_io(r->read, REPLAY_NR_READS);
		r->progress = true;
	}
	if (!r->rewind && retry_due(&r->write_retry, now)) {
		retry_io(r->write, REPLAY_NR_WRITES);
		r->progress = true;
	}
}

/* --- what is published --- */

static enum mars_state state_of(const struct replay *r, int *error)
{
	bool settled = r->ckpt.offset == r->cur.offset;

	*error = 0;
	if (r->phase == REPLAY_REFUSED) {
		*error = r->verdict == MARS_LOG_OK ? -ENOSPC : -EBADMSG;
		return MARS_S_REPLAY_MISMATCH;
	}
	if (r->write_retry.error) {
		*error = r->write_retry.error;
		return MARS_S_DATA_WRITE_ERROR;
	}
	if (r->read_retry.error) {
		*error = r->read_retry.error;
		return MARS_S_READ_ERROR;
	}
	if (r->phase == REPLAY_STOPPED && settled) {
		if (r->verdict == MARS_LOG_CLEAN_END)
			return MARS_S_REPLAY_CLEAN;
		*error = -EBADMSG;
		return MARS_S_REPLAY_TORN;
	}
	if (r->phase == REPLAY_RUN && !r->to_eof && r->ckpt.offset == r->limit)
		return MARS_S_REPLAY_END;
	return MARS_S_OK;
}

static void publish(struct replay *r)
{
	struct replay_facts f = {
		.number = r->number,
		.parsed = r->cur.offset,
		.applied = r->applied.offset,
		.ckpt = r->ckpt.offset,
		.records = r->records,
		.bytes = r->bytes,
		.lamport = r->lamport,
		.verdict = r->verdict,
	};
	unsigned long flags;
	u32 events = 0;

	memcpy(f.digest, r->cur.digest, sizeof(f.digest));
	memcpy(f.digest2, r->ckpt.digest, sizeof(f.digest2));
	f.state = state_of(r, &f.error);
	spin_lock_irqsave(&r->lock, flags);
	if (f.state != r->facts.state || f.error != r->facts.error) {
		events |= MARS_EV_STATE;
		trace_mars_state(&r->brick, f.state, f.error);
	}
	if (f.parsed != r->facts.parsed || f.applied != r->facts.applied || f.ckpt != r->facts.ckpt)
		events |= MARS_EV_PROGRESS;
	r->facts = f;
	spin_unlock_irqrestore(&r->lock, flags);
	if (events)
		mars_brick_event(&r->brick, events);
}

/* --- the work item --- */

static void collect(struct replay *r, u64 now)
{
	struct replay_io *io, *next;
	unsigned long flags;
	LIST_HEAD(done);

	spin_lock_irqsave(&r->lock, flags);
	list_splice_init(&r->done, &done);
	r->stopping = r->stop;
	r->to_eof = r->end == ~0ull;
	r->limit = round_down(r->to_eof ? r->log_size : r->end, MARS_LOG_BLOCK);
	spin_unlock_irqrestore(&r->lock, flags);

	list_for_each_entry_safe(io, next, &done, link) {
		list_del(&io->link);
		r->nr_busy--;
		r->progress = true;
		if (io->op == XIO_READ)
			replay_read_done(r, io, now);
		else
			replay_data_done(r, io, now);
	}
	if (!r->read_retry.nr)
		r->read_retry.error = 0;
}

/* When stopping: what is not under way will not be tried any more. */
static void give_up(struct replay *r, struct replay_io *io)
{
	if (io != &r->flush &&
	    (io->state == REPLAY_IO_READY || io->state == REPLAY_IO_FAILED))
		io->state = REPLAY_IO_FREE;
}

static void round_stopping(struct replay *r, u64 now)
{
	for_each_io(r, give_up);
	r->write_retry.at = 0;
	replay_retire(r, now);
	replay_checkpoint(r, now);
}

static void round_running(struct replay *r, u64 now)
{
	if (r->rewind && !r->nr_busy)
		replay_rewind(r);
	retry_what_is_due(r, now);
	replay_read_ahead(r);
	replay_parse(r);
	replay_issue(r);
	replay_retire(r, now);
	replay_checkpoint(r, now);
}

static void one_round(struct replay *r)
{
	u64 now = ktime_get_ns();

	r->progress = false;
	r->starved = false;
	collect(r, now);
	if (r->stopping)
		round_stopping(r, now);
	else
		round_running(r, now);
	for_each_io(r, submit_ready);
}

static bool is_finished(const struct replay *r)
{
	return r->stopping && !r->nr_busy && r->flush.state == REPLAY_IO_FREE &&
	       (r->rewind || r->applied.offset == r->ckpt.offset);
}

static void earliest(u64 *when, u64 at)
{
	if (at && (!*when || at < *when))
		*when = at;
}

static void arm_timer(struct replay *r)
{
	u64 now = ktime_get_ns(), when = 0;

	earliest(&when, r->read_retry.at);
	earliest(&when, r->write_retry.at);
	earliest(&when, replay_checkpoint_due(r));
	if (r->starved)
		earliest(&when, now + REPLAY_NOMEM_NS);
	if (!when)
		return;
	when = when > now ? (when - now) / NSEC_PER_USEC + 1 : 0;
	mod_delayed_work(r->wq, &r->timer, usecs_to_jiffies(when));
}

/* The last thing done before the brick may vanish. */
static void finish(struct replay *r)
{
	unsigned long flags;

	publish(r);
	replay_window_free(r);
	spin_lock_irqsave(&r->lock, flags);
	r->active = false;
	spin_unlock_irqrestore(&r->lock, flags);
	mars_brick_leds(&r->brick, false, true);
}

static void replay_work(struct work_struct *work)
{
	struct replay *r = container_of(work, struct replay, work);
	unsigned long flags;
	bool active;
	int i;

	spin_lock_irqsave(&r->lock, flags);
	active = r->active;
	spin_unlock_irqrestore(&r->lock, flags);
	if (!active)
		return;			/* queued by a timer that came late */
	for (i = 0; i < ROUNDS; i++) {
		one_round(r);
		if (is_finished(r)) {
			finish(r);
			return;
		}
		if (!r->progress)
			break;
	}
	publish(r);
	if (r->progress)
		queue_work(r->wq, &r->work);
	else
		arm_timer(r);
}

static void replay_timer(struct work_struct *work)
{
	struct replay *r = container_of(to_delayed_work(work), struct replay, timer);

	queue_work(r->wq, &r->work);
}

/* --- control --- */

/* Stays true or false for the length of a control call, as those are serialised ... */
static bool is_off(struct replay *r)
{
	unsigned long flags;
	bool off;

	/* ... except that an orderly stop may end meanwhile */
	spin_lock_irqsave(&r->lock, flags);
	off = !r->active;
	spin_unlock_irqrestore(&r->lock, flags);
	return off;
}

static int set_ident(struct replay *r, const char *text, u32 len, enum mars_reason *reason)
{
	struct mars_log_ident id;

	if (!is_off(r))
		return mars_refuse(reason, MARS_R_NOT_NOW);
	if (len != sizeof(id))
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	memcpy(&id, text, sizeof(id));
	if (id.pad || strnlen(id.origin, MARS_HOST_MAX) == MARS_HOST_MAX ||
	    strnlen(id.prev_origin, MARS_HOST_MAX) == MARS_HOST_MAX)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	r->ident = id;
	r->have_ident = true;
	return 0;
}

static int set_start(struct replay *r, u64 value, enum mars_reason *reason)
{
	if (!is_off(r))
		return mars_refuse(reason, MARS_R_NOT_NOW);
	if (value % MARS_LOG_BLOCK || value > S64_MAX)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	r->start = value;
	return 0;
}

/* While on, the end may only grow, and "up to the first bad group" is no position. */
static int set_end(struct replay *r, u64 value, enum mars_reason *reason)
{
	bool off = is_off(r), ok;
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	ok = off ? value == ~0ull || value <= S64_MAX
		 : value == r->end || (value > r->end && value <= S64_MAX);
	if (ok) {
		r->end = value;
		if (!off)
			queue_work(r->wq, &r->work);
	}
	spin_unlock_irqrestore(&r->lock, flags);
	return ok ? 0 : mars_refuse(reason, MARS_R_BAD_VALUE);
}

static int replay_set(struct mars_brick *brick, u32 key, u64 value, const char *text, u32 len,
		      enum mars_reason *reason)
{
	struct replay *r = to_replay(brick);

	if (key == MARS_K_REPLAY_IDENT)
		return value ? mars_refuse(reason, MARS_R_BAD_VALUE) :
			       set_ident(r, text, len, reason);
	if (key != MARS_K_REPLAY_START && key != MARS_K_REPLAY_END)
		return mars_refuse(reason, MARS_R_NO_KEY);
	if (len)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	return key == MARS_K_REPLAY_START ? set_start(r, value, reason) :
					    set_end(r, value, reason);
}

static int look_below(struct replay *r, enum mars_reason *reason)
{
	struct xio_info data, log;
	int err;

	memset(&data, 0, sizeof(data));
	memset(&log, 0, sizeof(log));
	err = mars_input_info(&r->brick.input[REPLAY_IN_DATA], &data);
	if (!err)
		err = mars_input_info(&r->brick.input[REPLAY_IN_LOG], &log);
	if (err)
		return mars_refuse(reason, err == -ENOTCONN ? MARS_R_NOT_CONNECTED : MARS_R_IO);
	if (data.read_only)
		return mars_refuse(reason, MARS_R_DENIED);
	/* coarser disks need an align brick in between: records have sector granularity */
	if (data.align > 512 || log.align > MARS_LOG_BLOCK)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	r->data_size = data.size;
	r->data_max_io = round_down(min_t(u32, data.max_io, XIO_MAX_IO), 512);
	r->log_size = log.size;
	r->log_max_io = round_down(min_t(u32, log.max_io, XIO_MAX_IO), MARS_LOG_BLOCK);
	if (!r->data_max_io || !r->log_max_io)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	return 0;
}

static void prepare_io(struct replay *r, struct replay_io *io)
{
	memset(io, 0, sizeof(*io));
	io->replay = r;
}

/* Everything below "work" in struct replay, as at the beginning of a log. */
static void prepare(struct replay *r)
{
	struct mars_log_cursor zero;

	memset(&zero, 0, sizeof(zero));
	for_each_io(r, prepare_io);
	retry_reset(&r->read_retry);
	retry_reset(&r->write_retry);
	r->applied = zero;
	r->ckpt = zero;
	r->phase = REPLAY_HEADER;
	r->number = r->ident.number;
	r->stopping = false;
	r->rewind = false;
	r->flush_failed = false;
	r->nr_busy = 0;
	r->flush_at = 0;
	r->records = 0;
	r->bytes = 0;
	r->lamport = 0;
	replay_log_reset(r, &zero);
}

static int power_on(struct replay *r, enum mars_reason *reason)
{
	unsigned long flags;
	int err;

	if (!r->have_ident)
		return mars_refuse(reason, MARS_R_MISSING);
	if (r->end < r->start)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	err = look_below(r, reason);
	if (err)
		return err;
	/* whatever an earlier life left in the queue must not run into this one */
	cancel_delayed_work_sync(&r->timer);
	cancel_work_sync(&r->work);
	err = replay_window_alloc(r);
	if (err)
		return mars_refuse(reason, MARS_R_NO_MEMORY);
	prepare(r);
	mars_brick_leds(&r->brick, true, false);
	spin_lock_irqsave(&r->lock, flags);
	memset(&r->facts, 0, sizeof(r->facts));
	r->facts.number = r->number;
	r->stop = false;
	r->active = true;
	queue_work(r->wq, &r->work);
	spin_unlock_irqrestore(&r->lock, flags);
	return 0;
}

static void power_off(struct replay *r)
{
	unsigned long flags;

	mars_brick_leds(&r->brick, false, false);
	spin_lock_irqsave(&r->lock, flags);
	r->stop = true;
	queue_work(r->wq, &r->work);
	spin_unlock_irqrestore(&r->lock, flags);
}

static int replay_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct replay *r = to_replay(brick);

	if (on)
		return power_on(r, reason);
	power_off(r);
	return 0;
}

static void replay_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct replay *r = to_replay(brick);
	unsigned long flags;

	spin_lock_irqsave(&r->lock, flags);
	st->state = r->facts.state;
	st->error = r->facts.error;
	st->val[MARS_V_REPLAY_NUMBER] = r->facts.number;
	st->val[MARS_V_REPLAY_PARSED] = r->facts.parsed;
	st->val[MARS_V_REPLAY_APPLIED] = r->facts.applied;
	st->val[MARS_V_REPLAY_CKPT] = r->facts.ckpt;
	st->val[MARS_V_REPLAY_END] = r->end;
	st->val[MARS_V_REPLAY_RECORDS] = r->facts.records;
	st->val[MARS_V_REPLAY_BYTES] = r->facts.bytes;
	st->val[MARS_V_REPLAY_LAMPORT] = r->facts.lamport;
	st->val[MARS_V_REPLAY_VERDICT] = r->facts.verdict;
	memcpy(st->digest, r->facts.digest, sizeof(st->digest));
	memcpy(st->digest2, r->facts.digest2, sizeof(st->digest2));
	spin_unlock_irqrestore(&r->lock, flags);
	st->nr_val = MARS_V_REPLAY_VERDICT + 1;
}

static bool replay_needs(struct mars_brick *brick, unsigned int nr)
{
	return true;
}

static int replay_construct(struct mars_brick *brick)
{
	struct replay *r = to_replay(brick);

	spin_lock_init(&r->lock);
	INIT_LIST_HEAD(&r->done);
	INIT_WORK(&r->work, replay_work);
	INIT_DELAYED_WORK(&r->timer, replay_timer);
	r->wq = alloc_workqueue("mars_replay", WQ_UNBOUND, 0);
	return r->wq ? 0 : -ENOMEM;
}

static void replay_destruct(struct mars_brick *brick)
{
	struct replay *r = to_replay(brick);

	cancel_delayed_work_sync(&r->timer);
	cancel_work_sync(&r->work);
	destroy_workqueue(r->wq);
}

const struct mars_brick_type replay_brick_type = {
	.name		= "replay",
	.nr_inputs	= 2,
	.input_name	= { "data", "log" },
	.size		= sizeof(struct replay),
	.construct	= replay_construct,
	.destruct	= replay_destruct,
	.set		= replay_set,
	.power		= replay_power,
	.status		= replay_status,
	.needs		= replay_needs,
};
