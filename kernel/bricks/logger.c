// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger.c - the logger brick: type, switch, parameters, status, work item
 *
 * See logger.h for how the parts act together.  Everything that is rare or waits for
 * a clock is driven by one work function on an ordered queue: it looks at all there is
 * and does what is due.  The tick runs it every LG_TICK_MS while anything is pending.
 *
 * Power-on: reserve memory, check that the log file of input 1 has no content, allocate
 * its first segment, write the header; then the lamp goes on.  If that fails, the lamps
 * say off and the state says why.
 * Power-off: commit, write everything back, flush, publish; what a failing disk refuses
 * is left to the log: the published position is behind it.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "core/trace.h"
#include "core/types.h"
#include "logger.h"

#define LG_CREDITS_DEFAULT	(64ULL << 20)
#define LG_CREDITS_MIN		LG_RESERVE
#define LG_SEGMENT_DEFAULT	(64ULL << 20)
#define LG_DELAY_DEFAULT_US	2000
#define LG_DELAY_MAX_US		1000000

/* --- small helpers for all --- */

void lg_kick(struct logger *lg)
{
	queue_work(lg->wq, &lg->work);
}

void lg_arm_tick(struct logger *lg)
{
	if (lg->tick_armed)
		return;
	lg->tick_armed = true;
	queue_delayed_work(lg->wq, &lg->tick, msecs_to_jiffies(LG_TICK_MS));
}

bool lg_engine_start(struct lg_engine *e)
{
	e->again = e->running;
	if (e->running)
		return false;
	e->running = true;
	return true;
}

bool lg_engine_more(struct lg_engine *e)
{
	e->running = e->again;
	e->again = false;
	return e->running;
}

void lg_io_end(struct logger *lg)
{
	unsigned long flags;

	spin_lock_irqsave(&lg->lock, flags);
	lg->nr_io--;
	if (lg->closing)
		lg_kick(lg);
	spin_unlock_irqrestore(&lg->lock, flags);
}

/* --- state --- */

/* Lock held. */
static u8 state_now(const struct logger *lg, int *error)
{
	*error = lg->log_error;
	if (*error)
		return MARS_S_LOG_WRITE_ERROR;
	if (lg->nr_suspect || lg->ckpt_frozen) {
		*error = lg->data_error;
		return MARS_S_DATA_WRITE_ERROR;
	}
	*error = lg->grow_error;
	if (lg->nr_stalled && lg->stalled_for_space && lg->grow_failed)
		return MARS_S_LOG_SPACE_FULL;
	if (lg->starting && lg->grow_failed)
		return MARS_S_LOG_SPACE_FULL;
	if (lg->grow_failed && lg_space(lg) < lg->segment)
		return MARS_S_LOG_SPACE_LOW;
	*error = lg->next_error;
	return lg->next_error ? MARS_S_BAD_LOG : MARS_S_OK;
}

void lg_report(struct logger *lg, u32 events)
{
	unsigned long flags;
	int error;
	u8 state;

	spin_lock_irqsave(&lg->lock, flags);
	state = state_now(lg, &error);
	if (state != lg->state) {
		events |= MARS_EV_STATE;
		trace_mars_state(&lg->brick, state, error);
	}
	lg->state = state;
	spin_unlock_irqrestore(&lg->lock, flags);
	if (events)
		mars_brick_event(&lg->brick, events);
}

/* Log bytes behind the published position, in all logs.  Lock held. */
static u64 dirty(const struct logger *lg)
{
	u64 end = lg->cur ? lg->cur->cursor.offset : lg->durable.pos;

	if (lg->ckpt.number == lg->durable.number)
		return end - lg->ckpt.pos;
	return lg->prev_end - lg->ckpt.pos + end - MARS_LOG_BLOCK;
}

static void logger_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct logger *lg = lg_of(brick);
	const struct lg_pool *pool = &lg->pool;
	unsigned long flags;
	u64 *val = st->val;
	int error;

	spin_lock_irqsave(&lg->lock, flags);
	st->state = state_now(lg, &error);
	st->error = error;
	st->nr_val = MARS_V_LOGGER_SLOT + 1;
	val[MARS_V_LOGGER_NUMBER] = lg->durable.number;
	val[MARS_V_LOGGER_POS] = lg->cur ? lg->cur->cursor.offset : lg->durable.pos;
	val[MARS_V_LOGGER_DURABLE_NUMBER] = lg->durable.number;
	val[MARS_V_LOGGER_DURABLE] = lg->durable.pos;
	val[MARS_V_LOGGER_CKPT_NUMBER] = lg->ckpt.number;
	val[MARS_V_LOGGER_CKPT] = lg->ckpt.pos;
	val[MARS_V_LOGGER_DIRTY] = dirty(lg);
	val[MARS_V_LOGGER_CREDITS] = lg->credits;
	val[MARS_V_LOGGER_USED] = pool->used * PAGE_SIZE;
	val[MARS_V_LOGGER_PEAK] = pool->peak * PAGE_SIZE;
	val[MARS_V_LOGGER_WAITERS] = lg->nr_stalled;
	val[MARS_V_LOGGER_WRITES] = lg->nr_writes;
	val[MARS_V_LOGGER_READS] = lg->nr_reads;
	val[MARS_V_LOGGER_FLUSHES] = lg->nr_flushes;
	val[MARS_V_LOGGER_GROUPS] = lg->nr_groups;
	val[MARS_V_LOGGER_RECORDS] = lg->nr_records;
	val[MARS_V_LOGGER_SHADOW_HITS] = lg->nr_hits;
	val[MARS_V_LOGGER_WRITEBACKS] = lg->nr_writebacks;
	val[MARS_V_LOGGER_LAMPORT] = lg->durable_lamport;
	val[MARS_V_LOGGER_OLD_SLOT] = lg->old_input;
	val[MARS_V_LOGGER_PREV_END] = lg->prev_end;
	val[MARS_V_LOGGER_SLOT] = lg->cur ? lg->cur->input : 0;
	memcpy(st->digest, lg->durable_digest, MARS_DIGEST_SIZE);
	memcpy(st->digest2, lg->prev_digest, MARS_DIGEST_SIZE);
	spin_unlock_irqrestore(&lg->lock, flags);
}

/* --- the work item --- */

/* The slot of the log before is free when nothing will ever touch or name it again. */
static void release_old_slot(struct logger *lg)
{
	const struct lg_log *old;
	unsigned long flags;
	u32 events = 0;

	spin_lock_irqsave(&lg->lock, flags);
	old = &lg->log[lg->old_input];
	if (lg->old_input && lg->cur && lg->ckpt.number == lg->cur->ident.number &&
	    !(lg->growing && lg->grow_log == old) && !(lg->zeroing && lg->zero_log == old)) {
		lg->old_input = 0;
		events = MARS_EV_PROGRESS;
	}
	spin_unlock_irqrestore(&lg->lock, flags);
	lg_report(lg, events);
}

static void free_buffers(struct logger *lg)
{
	unsigned int i;

	for (i = 0; lg->group && i < LG_GROUPS; i++)
		if (lg->group[i].desc)
			free_pages_exact(lg->group[i].desc, MARS_LOG_MAX_DESC);
	kvfree(lg->group);
	kvfree(lg->unit);
	if (lg->block)
		free_pages_exact(lg->block, MARS_LOG_BLOCK);
	if (lg->zeros)
		free_pages_exact(lg->zeros, LG_ZERO_BYTES);
	lg->group = NULL;
	lg->unit = NULL;
	lg->block = NULL;
	lg->zeros = NULL;
}

/** lg_drained - power-off: everything that can be written back is; lock held */
bool lg_drained(struct logger *lg)
{
	return !lg->nr_stalled && list_empty(&lg->waiters) && !lg->next && !lg_may_retire(lg) &&
	       (lg->log_error || list_empty(&lg->queue)) && lg_writeback_idle(lg);
}

/* Lock held: may the lamp say off? */
static bool may_stop(struct logger *lg)
{
	struct lg_mark clean = lg_clean(lg);

	if (!lg->powered || lg->nr_io || lg->commit.running || lg->wb.running)
		return false;
	if (!lg->closing)		/* the first log could not be begun */
		return !lg->on && !lg->starting;
	return lg_drained(lg) && (lg->ckpt_frozen || (clean.number == lg->ckpt.number &&
						       clean.pos == lg->ckpt.pos));
}

static void try_stop(struct logger *lg)
{
	LIST_HEAD(dropped);
	unsigned long flags;
	bool stop;

	spin_lock_irqsave(&lg->lock, flags);
	stop = may_stop(lg);
	if (stop) {
		if (lg->nr_suspect)
			lg->ckpt_frozen = true;	/* the state outlives the run */
		lg_forget(lg, &dropped);
		WRITE_ONCE(lg->powered, false);
		lg->on = false;
		lg->cur = NULL;
		lg->old_input = 0;
	}
	spin_unlock_irqrestore(&lg->lock, flags);
	if (!stop)
		return;
	lg_drop(lg, &dropped);
	lg_pool_exit(lg);
	free_buffers(lg);
	lg_report(lg, MARS_EV_PROGRESS);
	mars_brick_leds(&lg->brick, false, true);
}

static void retire_all(struct logger *lg)
{
	unsigned long flags;
	bool more;

	do {
		spin_lock_irqsave(&lg->lock, flags);
		more = lg_retire_some(lg);
		spin_unlock_irqrestore(&lg->lock, flags);
		cond_resched();
	} while (more);
}

static void do_work(struct logger *lg)
{
	if (!READ_ONCE(lg->powered))
		return;
	retire_all(lg);
	lg_serve(lg);
	lg_log_work(lg);
	lg_commit(lg);
	lg_writeback(lg);
	lg_checkpoint(lg);
	release_old_slot(lg);
	try_stop(lg);
}

static void work_fn(struct work_struct *work)
{
	do_work(container_of(work, struct logger, work));
}

static void tick_fn(struct work_struct *work)
{
	struct logger *lg = container_of(to_delayed_work(work), struct logger, tick);
	LIST_HEAD(unused);
	unsigned long flags;
	struct lg_mark clean;

	spin_lock_irqsave(&lg->lock, flags);
	lg->tick_armed = false;
	lg->nomem = false;
	lg->grow_wait = false;
	lg_retry(lg);
	clean = lg_clean(lg);
	if (lg->powered && (!list_empty(&lg->fifo) || lg->nr_stalled || lg->next ||
			    lg->grow_failed ||
			    (!lg->ckpt_frozen && (clean.number != lg->ckpt.number ||
						   clean.pos != lg->ckpt.pos))))
		lg_arm_tick(lg);
	else if (lg->powered && lg_pool_trim(lg, &unused))
		lg_arm_tick(lg);
	spin_unlock_irqrestore(&lg->lock, flags);
	lg_pool_free(&unused);
	do_work(lg);
}

static void delay_fn(struct work_struct *work)
{
	struct logger *lg = container_of(to_delayed_work(work), struct logger, delay);
	unsigned long flags;

	spin_lock_irqsave(&lg->lock, flags);
	lg->delay_armed = false;
	lg->commit_seq = lg->seq;
	spin_unlock_irqrestore(&lg->lock, flags);
	lg_commit(lg);
}

/* --- switch --- */

static int alloc_buffers(struct logger *lg)
{
	unsigned int i;

	lg->group = kvzalloc(LG_GROUPS * sizeof(*lg->group), GFP_KERNEL);
	lg->unit = kvzalloc(LG_UNITS * sizeof(*lg->unit), GFP_KERNEL);
	lg->block = alloc_pages_exact(MARS_LOG_BLOCK, GFP_KERNEL);
	lg->zeros = alloc_pages_exact(LG_ZERO_BYTES, GFP_KERNEL | __GFP_ZERO);
	if (!lg->group || !lg->unit || !lg->block || !lg->zeros)
		return -ENOMEM;
	for (i = 0; i < LG_GROUPS; i++) {
		lg->group[i].desc = alloc_pages_exact(MARS_LOG_MAX_DESC, GFP_KERNEL);
		if (!lg->group[i].desc)
			return -ENOMEM;
	}
	for (i = 0; i < LG_ZERO_VECS; i++)
		bvec_set_virt(&lg->zero_vec[i], lg->zeros, LG_ZERO_BYTES);
	return 0;
}

/* Forget the last run; off, nobody is inside. */
static void reset(struct logger *lg)
{
	struct lg_mark none = { 0 };

	lg->closing = false;
	lg->size = 0;
	mars_extent_index_init(&lg->index);
	INIT_LIST_HEAD(&lg->fifo);
	INIT_LIST_HEAD(&lg->stalled);
	INIT_LIST_HEAD(&lg->waiters);
	INIT_LIST_HEAD(&lg->queue);
	INIT_LIST_HEAD(&lg->inflight);
	lg->seq = 0;
	lg->reserved = 0;
	lg->queued = 0;
	lg->commit_seq = 0;
	lg->small = 0;
	lg->log_error = 0;
	lg->durable = none;
	lg->ckpt = none;
	lg->ckpt_goal = 0;
	lg->ckpt_time = ktime_get_ns();
	lg->ckpt_frozen = false;
	lg->data_error = 0;
	lg->nr_suspect = 0;
	lg->retry_at = 0;
	lg->retry_ns = 0;
	lg->wb_on = false;
	lg->scan_left = 0;
	lg->retry_epoch = 1;
	lg->cursor = 0;
	lg->cur = NULL;
	lg->old_input = 0;
	lg->grow_failed = false;
	lg->grow_wait = false;
	lg->grow_error = 0;
	lg->grow_step = lg->segment;
	lg->next_error = 0;
	lg->stalled_for_space = false;
	lg->nomem = false;
}

static int power_on(struct logger *lg, enum mars_reason *reason)
{
	struct xio_info data, log;
	unsigned long flags;
	int err;

	if (mars_input_info(&lg->brick.input[LG_DATA], &data) ||
	    mars_input_info(&lg->brick.input[1], &log))
		return mars_refuse(reason, MARS_R_NOT_CONNECTED);
	if (data.read_only)
		return mars_refuse(reason, MARS_R_DENIED);
	if (!lg->have_ident)
		return mars_refuse(reason, MARS_R_MISSING);
	spin_lock_irqsave(&lg->lock, flags);	/* a late tick may look */
	reset(lg);
	spin_unlock_irqrestore(&lg->lock, flags);
	*reason = MARS_R_NO_MEMORY;
	err = alloc_buffers(lg);
	if (!err)
		err = lg_pool_init(lg);
	if (err) {
		free_buffers(lg);
		return err;
	}
	*reason = MARS_R_NONE;
	spin_lock_irqsave(&lg->lock, flags);
	WRITE_ONCE(lg->powered, true);
	lg->starting = true;
	spin_unlock_irqrestore(&lg->lock, flags);
	mars_brick_leds(&lg->brick, false, false);
	return lg_rotate(lg, 1, &lg->first_ident, data.size, log.size < MARS_LOG_BLOCK, reason);
}

static void power_off(struct logger *lg)
{
	unsigned long flags;
	bool on;

	/*
	 * Before it may stop, as that lights the other lamp at once.  One that was never on
	 * shows none, or has stopped by itself.
	 */
	spin_lock_irqsave(&lg->lock, flags);
	on = lg->on;
	spin_unlock_irqrestore(&lg->lock, flags);
	if (on)
		mars_brick_leds(&lg->brick, false, false);
	spin_lock_irqsave(&lg->lock, flags);
	lg->closing = lg->powered;
	lg->commit_seq = lg->seq;
	spin_unlock_irqrestore(&lg->lock, flags);
	lg_kick(lg);
}

static int logger_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	if (on)
		return power_on(lg_of(brick), reason);
	power_off(lg_of(brick));
	return 0;
}

/* --- parameters --- */

/* Is it an identity a header can be made of?  MARS_R_NONE if so. */
static enum mars_reason ident_check(const char *text, u32 len, struct mars_log_ident *ident)
{
	struct mars_log_header *h;
	bool ok;

	if (len != sizeof(*ident))
		return MARS_R_BAD_VALUE;
	memcpy(ident, text, sizeof(*ident));
	h = kzalloc(sizeof(*h), GFP_KERNEL);
	if (!h)
		return MARS_R_NO_MEMORY;
	mars_log_header_make(h, ident, 0, 0);
	ok = ident->origin[MARS_HOST_MAX - 1] == 0 &&
	     mars_log_header_check(h, NULL, NULL) == MARS_LOG_OK;
	kfree(h);
	return ok ? MARS_R_NONE : MARS_R_BAD_VALUE;
}

static int set_rotate(struct logger *lg, u64 input, const char *text, u32 len,
		      enum mars_reason *reason)
{
	struct mars_log_ident ident;
	struct xio_info data, log;

	if (input != 1 && input != 2)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	*reason = ident_check(text, len, &ident);
	if (*reason)
		return mars_reason_errno(*reason);
	if (mars_input_info(&lg->brick.input[input], &log) ||
	    mars_input_info(&lg->brick.input[LG_DATA], &data))
		return mars_refuse(reason, MARS_R_NOT_CONNECTED);
	return lg_rotate(lg, input, &ident, data.size, log.size < MARS_LOG_BLOCK, reason);
}

static void set_checkpoint(struct logger *lg)
{
	unsigned long flags;

	spin_lock_irqsave(&lg->lock, flags);
	lg->ckpt_goal = lg->seq;
	lg->commit_seq = lg->seq;
	lg->grow_wait = false;
	spin_unlock_irqrestore(&lg->lock, flags);
	lg_kick(lg);
}

static int set_ident(struct logger *lg, const char *text, u32 len, enum mars_reason *reason)
{
	struct mars_log_ident ident;

	if (READ_ONCE(lg->powered))
		return mars_refuse(reason, MARS_R_NOT_NOW);
	*reason = ident_check(text, len, &ident);
	if (*reason)
		return mars_reason_errno(*reason);
	lg->first_ident = ident;
	lg->have_ident = true;
	return 0;
}

/* A number within its range, and only while off if @off. */
static int set_number(struct logger *lg, u64 *field, u64 value, u64 lo, u64 hi, bool off,
		      enum mars_reason *reason)
{
	unsigned long flags;

	if (value < lo || value > hi)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	if (off && READ_ONCE(lg->powered))
		return mars_refuse(reason, MARS_R_NOT_NOW);
	spin_lock_irqsave(&lg->lock, flags);
	*field = value;
	spin_unlock_irqrestore(&lg->lock, flags);
	return 0;
}

static int logger_set(struct mars_brick *brick, u32 key, u64 value, const char *text, u32 len,
		      enum mars_reason *reason)
{
	struct logger *lg = lg_of(brick);

	switch (key) {
	case MARS_K_LOGGER_CREDITS:
		return set_number(lg, &lg->credits, value, LG_CREDITS_MIN, LG_CREDITS_MAX, true,
				  reason);
	case MARS_K_LOGGER_DURABILITY:
		return set_number(lg, &lg->always, value, 0, 1, false, reason);
	case MARS_K_LOGGER_DELAY:
		return set_number(lg, &lg->delay_us, value, 0, LG_DELAY_MAX_US, false, reason);
	case MARS_K_LOGGER_SEGMENT:
		if (value % MARS_LOG_BLOCK)
			return mars_refuse(reason, MARS_R_BAD_VALUE);
		return set_number(lg, &lg->segment, value, LG_SEGMENT_MIN, LG_SEGMENT_MAX, true,
				  reason);
	case MARS_K_LOGGER_IDENT:
		return set_ident(lg, text, len, reason);
	case MARS_K_LOGGER_ROTATE:
		return set_rotate(lg, value, text, len, reason);
	case MARS_K_LOGGER_CHECKPOINT:
		set_checkpoint(lg);
		return 0;
	}
	return mars_refuse(reason, MARS_R_NO_KEY);
}

/* --- type --- */

static void logger_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct logger *lg = lg_of(brick);

	switch (rq->op) {
	case XIO_READ:
		lg_submit_read(lg, rq);
		break;
	case XIO_FLUSH:
		lg_submit_flush(lg, rq);
		break;
	case XIO_WRITE:
	case XIO_DISCARD:
	case XIO_WRITE_ZEROES:
		lg_submit_write(lg, rq);
		break;
	default:
		xio_complete(rq, -EOPNOTSUPP);
	}
}

static int logger_get_info(struct mars_brick *brick, struct xio_info *info)
{
	struct logger *lg = lg_of(brick);
	int err = mars_input_info(&brick->input[LG_DATA], info);
	unsigned long flags;

	if (err)
		return err;
	spin_lock_irqsave(&lg->lock, flags);
	if (lg->size)
		info->size = lg->size;	/* growth shows with the next log */
	info->volatile_cache = !lg->always;
	spin_unlock_irqrestore(&lg->lock, flags);
	info->max_io = XIO_MAX_IO;
	info->read_only = false;
	return 0;
}

/* The data disk always, a log while it is written, begun or not yet checkpointed. */
static bool logger_needs(struct mars_brick *brick, unsigned int nr)
{
	struct logger *lg = lg_of(brick);
	unsigned long flags;
	bool needed;

	spin_lock_irqsave(&lg->lock, flags);
	needed = nr == LG_DATA || nr == lg->old_input || (lg->cur && nr == lg->cur->input) ||
		 (lg->next && nr == lg->next->input);
	spin_unlock_irqrestore(&lg->lock, flags);
	return needed;
}

static int logger_construct(struct mars_brick *brick)
{
	struct logger *lg = lg_of(brick);

	spin_lock_init(&lg->lock);
	lg->wq = alloc_ordered_workqueue("mars_logger", WQ_MEM_RECLAIM);
	if (!lg->wq)
		return -ENOMEM;
	INIT_WORK(&lg->work, work_fn);
	INIT_DELAYED_WORK(&lg->tick, tick_fn);
	INIT_DELAYED_WORK(&lg->delay, delay_fn);
	lg->credits = LG_CREDITS_DEFAULT;
	lg->segment = LG_SEGMENT_DEFAULT;
	lg->delay_us = LG_DELAY_DEFAULT_US;
	reset(lg);
	return 0;
}

static void logger_destruct(struct mars_brick *brick)
{
	struct logger *lg = lg_of(brick);

	cancel_delayed_work_sync(&lg->tick);
	cancel_delayed_work_sync(&lg->delay);
	cancel_work_sync(&lg->work);
	destroy_workqueue(lg->wq);
}

const struct mars_brick_type logger_brick_type = {
	.name		= "logger",
	.nr_inputs	= LG_INPUTS,
	.input_name	= { "data", "log-a", "log-b" },
	.has_output	= true,
	.forwards	= 1u << LG_DATA,
	.size		= sizeof(struct logger),
	.aspect_size	= sizeof(struct lg_aspect),
	.construct	= logger_construct,
	.destruct	= logger_destruct,
	.set		= logger_set,
	.power		= logger_power,
	.submit		= logger_submit,
	.get_info	= logger_get_info,
	.status		= logger_status,
	.needs		= logger_needs,
};
