// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * limit.c - limit bytes and requests per second on a wire
 *
 * A token bucket in its virtual-clock form: for each of the two limits only the time
 * is kept at which all that has passed would be paid for.  A request may pass while
 * that time is at most BURST_NS ahead of now, and pushes it further by its own cost.
 * So there is nothing to refill, a single big request may always pass, and the rate is
 * exact in the long run.  READ and WRITE cost their bytes; every request costs one op.
 *
 * Who must wait stands in one FIFO; one delayed work lets them through in order.
 * While switching off, everything passes without waiting.
 *
 * Locking: limit->lock (spinlock, irqsave) covers the FIFO, the clocks and the rates.
 * No request moves under it.  Nothing is allocated.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/workqueue.h>

#include "../core/gate.h"
#include "../core/types.h"
#include "../core/xio.h"

#define BURST_NS	50000000ull		/* 50 ms */
#define RATE_MAX	(1ull << 40)
#define NS_PER_SEC	1000000000ull
#define WAIT_MAX_US	1000000ull

struct limit_rate {
	u64 per_sec;		/* 0 = no limit */
	u64 paid;		/* when all that passed is paid for, ns monotonic */
};

struct limit_brick {
	struct mars_brick brick;
	struct mars_gate gate;
	spinlock_t lock;
	struct limit_rate bytes, ops;		/* lock */
	struct list_head waiting;		/* requests in order; lock */
	u64 nr_waiting;				/* lock */
	bool closing;				/* lock */
	u64 passed_ops, passed_bytes, delayed;	/* lock */
	struct delayed_work work;
};

struct limit_aspect {
	struct xio_end end;
	struct limit_brick *limit;
};

static inline struct limit_brick *to_limit(struct mars_brick *brick)
{
	return container_of(brick, struct limit_brick, brick);
}

/* --- clocks; limit->lock held --- */

/* ns until this limit lets something pass; 0 = now. */
static u64 rate_wait(const struct limit_rate *rate, u64 now)
{
	if (!rate->per_sec || rate->paid <= now + BURST_NS)
		return 0;
	return rate->paid - now - BURST_NS;
}

static void rate_charge(struct limit_rate *rate, u64 now, u64 amount)
{
	if (rate->per_sec)
		rate->paid = max(rate->paid, now) + div64_u64(amount * NS_PER_SEC, rate->per_sec);
}

static u64 limit_wait(const struct limit_brick *limit, u64 now)
{
	if (limit->closing)
		return 0;
	return max(rate_wait(&limit->bytes, now), rate_wait(&limit->ops, now));
}

/* Look again in @wait ns; in a second if that is long, as delays have 32 bits of us. */
static void limit_arm(struct limit_brick *limit, u64 wait)
{
	u64 us = min(div_u64(wait, 1000) + 1, WAIT_MAX_US);

	queue_delayed_work(mars_io_wq, &limit->work, usecs_to_jiffies(us));
}

static void limit_charge(struct limit_brick *limit, const struct xio_request *rq, u64 now)
{
	u64 bytes = rq->op == XIO_READ || rq->op == XIO_WRITE ? rq->len : 0;

	rate_charge(&limit->bytes, now, bytes);
	rate_charge(&limit->ops, now, 1);
	limit->passed_bytes += bytes;
	limit->passed_ops++;
}

/* --- requests --- */

static void limit_end(struct xio_request *rq, struct xio_end *end)
{
	struct limit_brick *limit = container_of(end, struct limit_aspect, end)->limit;

	xio_complete(rq, rq->status);
	mars_gate_leave(&limit->gate);
}

static void limit_pass(struct limit_brick *limit, struct xio_request *rq)
{
	struct limit_aspect *a = xio_aspect(rq);

	a->limit = limit;
	xio_push(rq, &a->end, limit_end);
	xio_forward(rq, 0);
}

static void limit_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct limit_brick *limit = to_limit(brick);
	u64 now, wait = 0;
	unsigned long flags;
	bool pass;

	if (!mars_gate_enter(&limit->gate)) {
		xio_complete(rq, -ESHUTDOWN);
		return;
	}
	spin_lock_irqsave(&limit->lock, flags);
	now = ktime_get_ns();
	pass = list_empty(&limit->waiting);
	if (pass) {
		wait = limit_wait(limit, now);
		pass = !wait;
	}
	if (pass) {
		limit_charge(limit, rq, now);
	} else {
		rq->flags &= ~XIO_MAY_SLEEP;
		list_add_tail(&rq->link, &limit->waiting);
		limit->nr_waiting++;
		limit->delayed++;
		/* Already pending unless we are the first in the FIFO. */
		limit_arm(limit, wait);
	}
	spin_unlock_irqrestore(&limit->lock, flags);
	if (pass)
		limit_pass(limit, rq);
}

static void limit_work_fn(struct work_struct *work)
{
	struct limit_brick *limit = container_of(to_delayed_work(work), struct limit_brick, work);
	u64 now = ktime_get_ns(), wait = 0;
	struct xio_request *rq, *tmp;
	unsigned long flags;
	LIST_HEAD(pass);

	spin_lock_irqsave(&limit->lock, flags);
	list_for_each_entry_safe(rq, tmp, &limit->waiting, link) {
		wait = limit_wait(limit, now);
		if (wait)
			break;
		limit_charge(limit, rq, now);
		limit->nr_waiting--;
		list_move_tail(&rq->link, &pass);
	}
	if (wait)
		limit_arm(limit, wait);
	spin_unlock_irqrestore(&limit->lock, flags);
	list_for_each_entry_safe(rq, tmp, &pass, link) {
		list_del_init(&rq->link);
		limit_pass(limit, rq);
	}
}

/* --- parameters and life --- */

static int limit_set(struct mars_brick *brick, u32 key, u64 value, const char *text, u32 len,
		     enum mars_reason *reason)
{
	struct limit_brick *limit = to_limit(brick);
	struct limit_rate *rate;
	unsigned long flags;

	if (key != MARS_K_LIMIT_BYTES && key != MARS_K_LIMIT_OPS)
		return mars_refuse(reason, MARS_R_NO_KEY);
	if (value > RATE_MAX || len)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	rate = key == MARS_K_LIMIT_BYTES ? &limit->bytes : &limit->ops;
	spin_lock_irqsave(&limit->lock, flags);
	rate->per_sec = value;
	rate->paid = 0;			/* debts at the old rate are forgiven */
	spin_unlock_irqrestore(&limit->lock, flags);
	mod_delayed_work(mars_io_wq, &limit->work, 0);
	return 0;
}

static void limit_empty(struct mars_gate *gate)
{
	struct limit_brick *limit = container_of(gate, struct limit_brick, gate);

	mars_brick_leds(&limit->brick, false, true);
}

static int limit_construct(struct mars_brick *brick)
{
	struct limit_brick *limit = to_limit(brick);

	mars_gate_init(&limit->gate, limit_empty);
	spin_lock_init(&limit->lock);
	INIT_LIST_HEAD(&limit->waiting);
	INIT_DELAYED_WORK(&limit->work, limit_work_fn);
	return 0;
}

static void limit_destruct(struct mars_brick *brick)
{
	cancel_delayed_work_sync(&to_limit(brick)->work);
}

static int limit_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct limit_brick *limit = to_limit(brick);
	unsigned long flags;

	spin_lock_irqsave(&limit->lock, flags);
	limit->closing = !on;
	spin_unlock_irqrestore(&limit->lock, flags);
	if (on) {
		mars_gate_open(&limit->gate);
		mars_brick_leds(brick, true, false);
	} else {
		mars_brick_leds(brick, false, false);
		mod_delayed_work(mars_io_wq, &limit->work, 0);
		mars_gate_close(&limit->gate);
	}
	return 0;
}

static int limit_get_info(struct mars_brick *brick, struct xio_info *info)
{
	return mars_input_info(&brick->input[0], info);
}

static void limit_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct limit_brick *limit = to_limit(brick);
	unsigned long flags;

	spin_lock_irqsave(&limit->lock, flags);
	st->val[MARS_V_LIMIT_OPS] = limit->passed_ops;
	st->val[MARS_V_LIMIT_BYTES] = limit->passed_bytes;
	st->val[MARS_V_LIMIT_DELAYED] = limit->delayed;
	st->val[MARS_V_LIMIT_WAITING] = limit->nr_waiting;
	spin_unlock_irqrestore(&limit->lock, flags);
	st->nr_val = MARS_V_LIMIT_WAITING + 1;
}

const struct mars_brick_type limit_brick_type = {
	.name		= "limit",
	.nr_inputs	= 1,
	.input_name	= { "below" },
	.has_output	= true,
	.forwards	= 1u << 0,
	.size		= sizeof(struct limit_brick),
	.aspect_size	= sizeof(struct limit_aspect),
	.construct	= limit_construct,
	.destruct	= limit_destruct,
	.set		= limit_set,
	.power		= limit_power,
	.submit		= limit_submit,
	.get_info	= limit_get_info,
	.status		= limit_status,
};
