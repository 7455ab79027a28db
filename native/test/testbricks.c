// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * testbricks.c - three brick types for tests of wiring and requests
 *
 * Locking: the list of held requests has its own spinlock; taps need none.
 */
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/spinlock.h>

#include "core/gate.h"
#include "test.h"
#include "testbricks.h"

struct tap_aspect {
	struct xio_end end;
	struct tap_brick *tap;
	unsigned char pattern[TAP_ASPECT_PATTERN];
};

struct tap_brick {
	struct mars_brick brick;
	struct mars_gate gate;
};

struct hold_brick {
	struct mars_brick brick;
	spinlock_t lock;
	struct list_head held;		/* lock */
	unsigned int nr;		/* lock */
};

static atomic64_t seen = ATOMIC64_INIT(0);

u64 tap_seen(void)
{
	return atomic64_read(&seen);
}

/* --- tap --- */

static unsigned char tap_byte(const struct tap_aspect *a, unsigned int i)
{
	return (unsigned char)(((unsigned long)a >> 4) + i * 7);
}

static void tap_end(struct xio_request *rq, struct xio_end *end)
{
	struct tap_aspect *a = container_of(end, struct tap_aspect, end);
	struct tap_brick *tap = a->tap;
	unsigned int i;

	CHECK(xio_aspect(rq) == a);
	for (i = 0; i < TAP_ASPECT_PATTERN; i++)
		CHECK_EQ(a->pattern[i], tap_byte(a, i));
	atomic64_inc(&seen);
	xio_complete(rq, rq->status);
	mars_gate_leave(&tap->gate);
}

static void tap_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct tap_brick *tap = container_of(brick, struct tap_brick, brick);
	struct tap_aspect *a = xio_aspect(rq);
	unsigned int i, nr = rq->pos % 4096;

	if (!mars_gate_enter(&tap->gate)) {
		xio_complete(rq, -ESHUTDOWN);
		return;
	}
	a->tap = tap;
	for (i = 0; i < TAP_ASPECT_PATTERN; i++)
		a->pattern[i] = tap_byte(a, i);
	xio_push(rq, &a->end, tap_end);
	xio_forward(rq, nr < 3 && rq->hop->below[nr] ? nr : 0);
}

static void tap_empty(struct mars_gate *gate)
{
	mars_brick_leds(&container_of(gate, struct tap_brick, gate)->brick, false, true);
}

static int tap_construct(struct mars_brick *brick)
{
	mars_gate_init(&container_of(brick, struct tap_brick, brick)->gate, tap_empty);
	return 0;
}

static int tap_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct tap_brick *tap = container_of(brick, struct tap_brick, brick);

	mars_brick_leds(brick, on, false);
	if (on)
		mars_gate_open(&tap->gate);
	else
		mars_gate_close(&tap->gate);
	return 0;
}

static int tap_get_info(struct mars_brick *brick, struct xio_info *info)
{
	return mars_input_info(&brick->input[0], info);
}

static const struct mars_brick_type tap_type = {
	.name		= "tap",
	.nr_inputs	= 3,
	.input_name	= { "a", "b", "c" },
	.has_output	= true,
	.forwards	= 7,
	.size		= sizeof(struct tap_brick),
	.aspect_size	= sizeof(struct tap_aspect),
	.construct	= tap_construct,
	.power		= tap_power,
	.submit		= tap_submit,
	.get_info	= tap_get_info,
};

/* --- hold --- */

static int hold_construct(struct mars_brick *brick)
{
	struct hold_brick *hold = container_of(brick, struct hold_brick, brick);

	spin_lock_init(&hold->lock);
	INIT_LIST_HEAD(&hold->held);
	return 0;
}

static void hold_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct hold_brick *hold = container_of(brick, struct hold_brick, brick);
	unsigned long flags;

	spin_lock_irqsave(&hold->lock, flags);
	list_add_tail(&rq->link, &hold->held);
	hold->nr++;
	spin_unlock_irqrestore(&hold->lock, flags);
}

static struct xio_request *hold_take(struct mars_brick *brick)
{
	struct hold_brick *hold = container_of(brick, struct hold_brick, brick);
	struct xio_request *rq;
	unsigned long flags;

	spin_lock_irqsave(&hold->lock, flags);
	CHECK(hold->nr);
	rq = list_first_entry(&hold->held, struct xio_request, link);
	list_del_init(&rq->link);
	hold->nr--;
	spin_unlock_irqrestore(&hold->lock, flags);
	return rq;
}

unsigned int hold_count(struct mars_brick *brick)
{
	struct hold_brick *hold = container_of(brick, struct hold_brick, brick);
	unsigned long flags;
	unsigned int nr;

	spin_lock_irqsave(&hold->lock, flags);
	nr = hold->nr;
	spin_unlock_irqrestore(&hold->lock, flags);
	return nr;
}

void hold_end(struct mars_brick *brick, int status)
{
	xio_complete(hold_take(brick), status);
}

void hold_end_times(struct mars_brick *brick, int status, int times)
{
	struct xio_request *rq = hold_take(brick);

	while (times--)
		xio_complete(rq, status);
}

void hold_forward(struct mars_brick *brick)
{
	xio_forward(hold_take(brick), 0);
}

static int hold_get_info(struct mars_brick *brick, struct xio_info *info)
{
	if (brick->input[0].to)
		return mars_input_info(&brick->input[0], info);
	info->size = HOLD_SIZE;
	info->align = GRID_BLOCK;
	info->max_io = 64 << 10;
	return 0;
}

static const struct mars_brick_type hold_type = {
	.name		= "hold",
	.nr_inputs	= 1,
	.input_name	= { "below" },
	.has_output	= true,
	.forwards	= 1,
	.size		= sizeof(struct hold_brick),
	.construct	= hold_construct,
	.submit		= hold_submit,
	.get_info	= hold_get_info,
};

/* --- grid --- */

static void grid_submit(struct mars_brick *brick, struct xio_request *rq)
{
	if ((rq->pos | rq->len) % GRID_BLOCK)
		xio_complete(rq, -EINVAL);
	else
		xio_forward(rq, 0);
}

static int grid_get_info(struct mars_brick *brick, struct xio_info *info)
{
	int err = mars_input_info(&brick->input[0], info);

	info->align = GRID_BLOCK;
	return err;
}

static const struct mars_brick_type grid_type = {
	.name		= "grid",
	.nr_inputs	= 1,
	.input_name	= { "below" },
	.has_output	= true,
	.forwards	= 1,
	.size		= sizeof(struct mars_brick),
	.submit		= grid_submit,
	.get_info	= grid_get_info,
};

void testbricks_register(void)
{
	CHECK_EQ(mars_type_register(&tap_type), 0);
	CHECK_EQ(mars_type_register(&hold_type), 0);
	CHECK_EQ(mars_type_register(&grid_type), 0);
}
