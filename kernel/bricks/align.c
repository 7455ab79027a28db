// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * align.c - requests of any position and length onto a device of blocks
 *
 * A request is cut into at most three parts: a head and a tail inside one block each,
 * and the aligned middle.  The middle goes down with the memory of the request itself;
 * an edge goes through a bounce page: READ reads the block and copies out; WRITE,
 * DISCARD and WRITE_ZEROES read the block, change their part and write it back.
 * The parts are done one after the other by the request itself, with its position,
 * length and memory replaced below and restored before it ends, so nothing is
 * allocated on the way.  FLUSH and aligned reads pass as they are.
 *
 * Read-modify-write must not lose what somebody else changes in the same block:
 * each changing request locks the blocks it touches for its whole life.  Who finds a
 * block locked, or no bounce page free, stands in one FIFO; a later request does not
 * overtake an earlier one that wants the same block.
 *
 * Locking: align->lock (spinlock, irqsave) covers block locks, pages and the FIFO.
 * No request moves under it.
 *
 * Failure: the first part that fails ends the request with its error; parts before
 * it are done, as with any torn request.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "../core/extent.h"
#include "../core/gate.h"
#include "../core/types.h"
#include "../core/xio.h"

#define BLOCK_MIN	512u
#define BLOCK_MAX	4096u
#define NR_BOUNCE	16		/* unaligned requests at work */

struct align_brick {
	struct mars_brick brick;
	struct mars_gate gate;
	u32 wanted;			/* parameter; 0 = ask below; set while off */
	u32 block;			/* while on */
	u64 size;			/* while on */
	spinlock_t lock;
	struct mars_extent_index locked;	/* block ranges; lock */
	struct list_head waiting;		/* requests in order; lock */
	struct list_head ready;			/* admitted, to be started; lock */
	bool starting;				/* somebody is at it; lock */
	struct page *bounce[NR_BOUNCE];		/* free ones first; lock */
	unsigned int nr_bounce;			/* free; lock */
	u64 passed, split, waited;		/* lock */
};

enum align_step { STEP_WHOLE, STEP_READ_EDGE, STEP_WRITE_EDGE };

/* State of one request; everything but range and the flags only while it is split. */
struct align_aspect {
	struct align_brick *align;
	struct xio_end end;
	struct mars_extent range;	/* blocks touched */
	bool locks;			/* @range is in the index */
	bool edges;			/* needs a bounce page */
	enum align_step step;
	struct page *page;
	struct bio_vec bounce;
	u64 done;			/* bytes finished */
	u64 part;			/* bytes of the part at work */
	/* the request as it came */
	u8 op;
	u16 nr_vec;
	struct bio_vec *vec;
	u64 pos, len, skip;
};

static inline struct align_brick *to_align(struct mars_brick *brick)
{
	return container_of(brick, struct align_brick, brick);
}

static void align_next(struct xio_request *rq);

/* --- admission; align->lock held --- */

static bool ranges_overlap(const struct mars_extent *a, const struct mars_extent *b)
{
	return a->pos < mars_extent_end(b) && b->pos < mars_extent_end(a);
}

/* Does an earlier waiter (before @stop, NULL = any) want a block of @a? */
static bool waiter_before(struct align_brick *align, struct align_aspect *a,
			  struct xio_request *stop)
{
	struct xio_request *rq;

	list_for_each_entry(rq, &align->waiting, link) {
		struct align_aspect *other = xio_aspect(rq);

		if (rq == stop)
			return false;
		if (a->locks && other->locks && ranges_overlap(&a->range, &other->range))
			return true;
		if (a->edges && other->edges)
			return true;	/* pages are handed out in order */
	}
	return false;
}

static bool align_admit(struct align_brick *align, struct xio_request *rq,
			struct xio_request *stop)
{
	struct align_aspect *a = xio_aspect(rq);

	if (a->edges && !align->nr_bounce)
		return false;
	if (a->locks) {
		struct mars_extent *other = mars_extent_find(&align->locked, a->range.pos);

		if (other && ranges_overlap(other, &a->range))
			return false;
	}
	if (waiter_before(align, a, stop))
		return false;
	if (a->locks)
		mars_extent_insert(&align->locked, &a->range, NULL, NULL, NULL);
	if (a->edges)
		a->page = align->bounce[--align->nr_bounce];
	return true;
}

/* --- end of a request --- */

/* Give back locks and page, and find who may go now. */
static void align_release(struct align_brick *align, struct align_aspect *a)
{
	struct xio_request *rq, *tmp;
	unsigned long flags;

	spin_lock_irqsave(&align->lock, flags);
	if (a->locks)
		mars_extent_erase(&align->locked, &a->range);
	if (a->edges)
		align->bounce[align->nr_bounce++] = a->page;
	list_for_each_entry_safe(rq, tmp, &align->waiting, link)
		if (align_admit(align, rq, rq))
			list_move_tail(&rq->link, &align->ready);
	spin_unlock_irqrestore(&align->lock, flags);
}

/* One starter at a time, so that inline completions don't nest without end. */
static void align_start_ready(struct align_brick *align)
{
	struct xio_request *rq;
	unsigned long flags;

	spin_lock_irqsave(&align->lock, flags);
	if (!align->starting) {
		align->starting = true;
		while (!list_empty(&align->ready)) {
			rq = list_first_entry(&align->ready, struct xio_request, link);
			list_del_init(&rq->link);
			spin_unlock_irqrestore(&align->lock, flags);
			align_next(rq);
			spin_lock_irqsave(&align->lock, flags);
		}
		align->starting = false;
	}
	spin_unlock_irqrestore(&align->lock, flags);
}

static void align_finish(struct xio_request *rq, int status)
{
	struct align_aspect *a = xio_aspect(rq);
	struct align_brick *align = a->align;

	rq->op = a->op;
	rq->pos = a->pos;
	rq->len = a->len;
	rq->vec = a->vec;
	rq->nr_vec = a->nr_vec;
	rq->skip = a->skip;
	align_release(align, a);
	xio_complete(rq, status);
	align_start_ready(align);
	mars_gate_leave(&align->gate);
}

/* --- the parts --- */

static void part_end(struct xio_request *rq, struct xio_end *end);

static void part_send(struct xio_request *rq, u8 op, u64 pos, u64 len)
{
	struct align_aspect *a = xio_aspect(rq);

	rq->op = op;
	rq->pos = pos;
	rq->len = len;
	xio_push(rq, &a->end, part_end);
	xio_forward(rq, 0);
}

static void edge_send(struct xio_request *rq, enum align_step step)
{
	struct align_aspect *a = xio_aspect(rq);
	u64 block = a->align->block;
	u64 pos = a->pos + a->done;

	a->step = step;
	a->bounce.bv_page = a->page;
	a->bounce.bv_offset = 0;
	a->bounce.bv_len = block;
	rq->vec = &a->bounce;
	rq->nr_vec = 1;
	rq->skip = 0;
	part_send(rq, step == STEP_READ_EDGE ? XIO_READ : XIO_WRITE, pos & ~(block - 1), block);
}

static void whole_send(struct xio_request *rq)
{
	struct align_aspect *a = xio_aspect(rq);

	a->step = STEP_WHOLE;
	rq->vec = a->vec;
	rq->nr_vec = a->nr_vec;
	rq->skip = a->skip + a->done;
	part_send(rq, a->op, a->pos + a->done, a->part);
}

/* The block is in the bounce page: copy between it and the request. */
static void edge_copy(struct xio_request *rq)
{
	struct align_aspect *a = xio_aspect(rq);
	char *mem = page_address(a->page);

	mem += (a->pos + a->done) & (a->align->block - 1);
	rq->vec = a->vec;
	rq->nr_vec = a->nr_vec;
	rq->skip = a->skip;
	if (a->op == XIO_READ)
		xio_copy_out(rq, a->done, mem, a->part);
	else if (a->op == XIO_WRITE)
		xio_copy_in(rq, a->done, mem, a->part);
	else
		memset(mem, 0, a->part);
}

/* Start the part at a->done, or end the request. */
static void align_next(struct xio_request *rq)
{
	struct align_aspect *a = xio_aspect(rq);
	u64 block = a->align->block;
	u64 in_block = (a->pos + a->done) & (block - 1);
	u64 left = a->len - a->done;

	if (!left) {
		align_finish(rq, 0);
	} else if (!in_block && left >= block) {
		a->part = left & ~(block - 1);
		whole_send(rq);
	} else {
		a->part = min(left, block - in_block);
		edge_send(rq, STEP_READ_EDGE);
	}
}

/* Recursion through inline completions is bounded: five parts at most. */
static void part_end(struct xio_request *rq, struct xio_end *end)
{
	struct align_aspect *a = container_of(end, struct align_aspect, end);

	if (rq->status) {
		align_finish(rq, rq->status);
		return;
	}
	if (a->step == STEP_READ_EDGE) {
		edge_copy(rq);
		if (a->op != XIO_READ) {
			edge_send(rq, STEP_WRITE_EDGE);
			return;
		}
	}
	a->done += a->part;
	align_next(rq);
}

/* --- entrance --- */

static void align_prepare(struct align_brick *align, struct xio_request *rq)
{
	struct align_aspect *a = xio_aspect(rq);
	u64 mask = align->block - 1;

	a->align = align;
	a->edges = ((rq->pos | rq->len) & mask) != 0;
	a->locks = rq->op != XIO_READ;
	a->range.pos = rq->pos & ~mask;
	a->range.len = ((rq->pos + rq->len + mask) & ~mask) - a->range.pos;
	a->range.owner = a;
	a->page = NULL;
	a->done = 0;
	a->op = rq->op;
	a->pos = rq->pos;
	a->len = rq->len;
	a->vec = rq->vec;
	a->nr_vec = rq->nr_vec;
	a->skip = rq->skip;
}

static void pass_end(struct xio_request *rq, struct xio_end *end)
{
	struct align_brick *align = container_of(end, struct align_aspect, end)->align;

	xio_complete(rq, rq->status);
	mars_gate_leave(&align->gate);
}

static void align_pass(struct align_brick *align, struct xio_request *rq)
{
	struct align_aspect *a = xio_aspect(rq);

	a->align = align;
	xio_push(rq, &a->end, pass_end);
	xio_forward(rq, 0);
}

static void align_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct align_brick *align = to_align(brick);
	struct align_aspect *a = xio_aspect(rq);
	unsigned long flags;
	bool simple, go = true;

	if (!mars_gate_enter(&align->gate)) {
		xio_complete(rq, -ESHUTDOWN);
		return;
	}
	if (rq->pos > align->size || rq->len > align->size - rq->pos) {
		xio_complete(rq, rq->op == XIO_READ ? -EIO : -ENOSPC);
		mars_gate_leave(&align->gate);
		return;
	}
	align_prepare(align, rq);
	simple = rq->op == XIO_FLUSH || (rq->op == XIO_READ && !a->edges);
	spin_lock_irqsave(&align->lock, flags);
	if (a->edges)
		align->split++;
	else
		align->passed++;
	if (!simple) {
		go = align_admit(align, rq, NULL);
		if (!go) {
			rq->flags &= ~XIO_MAY_SLEEP;
			list_add_tail(&rq->link, &align->waiting);
			align->waited++;
		}
	}
	spin_unlock_irqrestore(&align->lock, flags);
	if (simple)
		align_pass(align, rq);
	else if (go)
		align_next(rq);
}

/* --- parameters and life --- */

static int align_set(struct mars_brick *brick, u32 key, u64 value, const char *text, u32 len,
		     enum mars_reason *reason)
{
	struct align_brick *align = to_align(brick);

	if (key != MARS_K_ALIGN_BLOCK)
		return mars_refuse(reason, MARS_R_NO_KEY);
	if (value < BLOCK_MIN || value > BLOCK_MAX || (value & (value - 1)) || len)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	if (brick->button || !brick->led_off)
		return mars_refuse(reason, MARS_R_NOT_NOW);
	align->wanted = value;
	return 0;
}

static void bounce_free(struct align_brick *align)
{
	while (align->nr_bounce)
		__free_page(align->bounce[--align->nr_bounce]);
}

static void align_empty(struct mars_gate *gate)
{
	struct align_brick *align = container_of(gate, struct align_brick, gate);

	mars_brick_leds(&align->brick, false, true);
}

static int align_construct(struct mars_brick *brick)
{
	struct align_brick *align = to_align(brick);

	mars_gate_init(&align->gate, align_empty);
	spin_lock_init(&align->lock);
	INIT_LIST_HEAD(&align->waiting);
	INIT_LIST_HEAD(&align->ready);
	mars_extent_index_init(&align->locked);
	while (align->nr_bounce < NR_BOUNCE) {
		struct page *page = alloc_page(GFP_KERNEL);

		if (!page) {
			bounce_free(align);
			return -ENOMEM;
		}
		align->bounce[align->nr_bounce++] = page;
	}
	return 0;
}

static void align_destruct(struct mars_brick *brick)
{
	bounce_free(to_align(brick));
}

/* Block size and size we work with on what is below; 0 or -errno. */
static int align_measure(struct align_brick *align, u32 *block, u64 *size)
{
	struct xio_info info;
	int err = mars_input_info(&align->brick.input[0], &info);

	if (err)
		return err;
	*block = align->wanted ? align->wanted : max(info.align, BLOCK_MIN);
	if (*block > BLOCK_MAX || *block % max(info.align, 1u))
		return -EINVAL;
	*size = info.size & ~((u64)*block - 1);
	return 0;
}

static int align_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct align_brick *align = to_align(brick);
	int err;

	if (!on) {
		mars_brick_leds(brick, false, false);
		mars_gate_close(&align->gate);
		return 0;
	}
	err = align_measure(align, &align->block, &align->size);
	if (err) {
		*reason = err == -EINVAL ? MARS_R_BAD_VALUE : MARS_R_IO;
		return err;
	}
	mars_gate_open(&align->gate);
	mars_brick_leds(brick, true, false);
	return 0;
}

static int align_get_info(struct mars_brick *brick, struct xio_info *info)
{
	u32 block;
	u64 size;
	int err = align_measure(to_align(brick), &block, &size);

	if (err)
		return err;
	err = mars_input_info(&brick->input[0], info);
	info->size = size;
	info->align = 1;
	return err;
}

static void align_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct align_brick *align = to_align(brick);
	unsigned long flags;

	spin_lock_irqsave(&align->lock, flags);
	st->val[MARS_V_ALIGN_PASSED] = align->passed;
	st->val[MARS_V_ALIGN_SPLIT] = align->split;
	st->val[MARS_V_ALIGN_WAITED] = align->waited;
	spin_unlock_irqrestore(&align->lock, flags);
	st->nr_val = MARS_V_ALIGN_WAITED + 1;
}

const struct mars_brick_type align_brick_type = {
	.name		= "align",
	.nr_inputs	= 1,
	.input_name	= { "below" },
	.has_output	= true,
	.forwards	= 1u << 0,
	.size		= sizeof(struct align_brick),
	.aspect_size	= sizeof(struct align_aspect),
	.construct	= align_construct,
	.destruct	= align_destruct,
	.set		= align_set,
	.power		= align_power,
	.submit		= align_submit,
	.get_info	= align_get_info,
	.status		= align_status,
};
