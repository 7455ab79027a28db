// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * check.c - a referee for any wire, inserted and removed under load
 *
 * Every request is sent down as a clone of its own; the original is ended when the
 * clone ends.  The clone is kept a little longer with a trap as its completion, so a
 * lower brick that ends a request twice hits the trap, not the bricks above.
 * Further checks: buffers of a WRITE are the same at the end as at submit (crc32c),
 * changes in flight don't overlap, range, alignment and memory fit.  On demand it
 * fails or delays requests.  Violations are counted, see enum mars_val_check, and the
 * first of a kind raises MARS_EV_STATE; which of them matter depends on the wire.
 *
 * Locking: check->lock (spinlock, irqsave) covers the index of changes in flight, the
 * delay FIFO, the trap FIFO and the injection.  No request moves under it.
 *
 * Memory: one clone per request from the pool of the route.  When there is none the
 * request passes unchecked, which is counted too.
 */
#include <linux/atomic.h>
#include <linux/crc32c.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/string.h>
#include <linux/workqueue.h>

#include "../core/extent.h"
#include "../core/gate.h"
#include "../core/types.h"
#include "../core/xio.h"

#define TRAP_MAX	256		/* clones kept behind their end */
#define TRAP_KEEP_US	10000		/* for one to two times this long */
#define DELAY_MAX_US	10000000ull
#define OP_ANY		XIO_NR_OPS

struct check_inject {
	u32 op;				/* enum xio_op or OP_ANY */
	int error;			/* -errno */
	u64 skip, count;
};

struct check_brick {
	struct mars_brick brick;
	struct mars_gate gate;			/* one per original and per kept clone */
	struct xio_info info;			/* of the brick below; set at power-on */
	spinlock_t lock;
	struct mars_extent_index changes;	/* in flight; lock */
	struct check_inject inject;		/* lock */
	struct list_head delayed;		/* originals, by due time; lock */
	struct list_head traps;			/* clones that ended lately, oldest first; lock */
	struct list_head old_traps;		/* ... and some time ago; lock */
	unsigned int nr_traps;			/* in both; lock */
	bool closing;				/* keep nothing longer than needed; lock */
	u64 delay_ns;				/* lock */
	struct delayed_work delay_work;
	struct delayed_work trap_work;
	atomic64_t val[MARS_V_CHECK_UNGUARDED + 1];
};

/* State of one original; lives in its aspect. */
struct check_aspect {
	struct check_brick *check;
	struct mars_extent change;
	bool in_index;
	u32 crc;
	u64 due;
	struct xio_end end;		/* only when passing unguarded */
};

static inline struct check_brick *to_check(struct mars_brick *brick)
{
	return container_of(brick, struct check_brick, brick);
}

static void check_count(struct check_brick *check, enum mars_val_check what)
{
	bool violation = what >= MARS_V_CHECK_TWICE && what <= MARS_V_CHECK_VEC;

	if (atomic64_inc_return(&check->val[what]) == 1 && violation)
		mars_brick_event(&check->brick, MARS_EV_STATE);
}

static inline bool is_change(const struct xio_request *rq)
{
	return rq->op == XIO_WRITE || rq->op == XIO_DISCARD || rq->op == XIO_WRITE_ZEROES;
}

static void crc_piece(void *mem, size_t len, void *ctx)
{
	u32 *crc = ctx;

	*crc = crc32c(*crc, mem, len);
}

/* Returns the crc of the buffer; *@missing = bytes the vector lacks. */
static u32 check_crc(const struct xio_request *rq, size_t *missing)
{
	u32 crc = ~0u;

	*missing = xio_walk(rq, 0, rq->len, crc_piece, &crc);
	return crc;
}

static void no_piece(void *mem, size_t len, void *ctx)
{
}

/* --- what is verified at submit --- */

static bool check_memory(struct check_brick *check, struct xio_request *rq,
			 struct check_aspect *a)
{
	size_t missing = 0;

	if (rq->op == XIO_WRITE)
		a->crc = check_crc(rq, &missing);
	else if (rq->op == XIO_READ)
		missing = xio_walk(rq, 0, rq->len, no_piece, NULL);
	if (missing)
		check_count(check, MARS_V_CHECK_VEC);
	return !missing;
}

static void check_range(struct check_brick *check, const struct xio_request *rq)
{
	const struct xio_info *info = &check->info;
	bool io = rq->op == XIO_READ || rq->op == XIO_WRITE;

	if (rq->op == XIO_FLUSH)
		return;
	if (info->size && (rq->pos > info->size || rq->len > info->size - rq->pos))
		check_count(check, MARS_V_CHECK_RANGE);
	if ((info->align > 1 && ((rq->pos | rq->len) & (info->align - 1))) ||
	    (io && info->max_io && rq->len > info->max_io))
		check_count(check, MARS_V_CHECK_ALIGN);
}

static void change_enter(struct check_brick *check, const struct xio_request *rq,
			 struct check_aspect *a)
{
	struct mars_extent *other;
	unsigned long flags;
	bool overlap;

	a->in_index = false;
	if (!is_change(rq))
		return;
	a->change.pos = rq->pos;
	a->change.len = rq->len;
	a->change.owner = a;
	spin_lock_irqsave(&check->lock, flags);
	other = mars_extent_find(&check->changes, rq->pos);
	overlap = other && other->pos < rq->pos + rq->len;
	if (!overlap)
		/* Nothing is cut, so no callback is needed. */
		mars_extent_insert(&check->changes, &a->change, NULL, NULL, NULL);
	a->in_index = !overlap;
	spin_unlock_irqrestore(&check->lock, flags);
	if (overlap)
		check_count(check, MARS_V_CHECK_OVERLAP);
}

static void change_leave(struct check_brick *check, struct check_aspect *a)
{
	unsigned long flags;

	if (!a->in_index)
		return;
	spin_lock_irqsave(&check->lock, flags);
	mars_extent_erase(&check->changes, &a->change);
	spin_unlock_irqrestore(&check->lock, flags);
}

/* --- clones and traps --- */

static void check_trap(struct xio_request *clone, struct xio_end *end)
{
	struct check_brick *check = clone->private;

	clone->end = end;	/* stay armed */
	check_count(check, MARS_V_CHECK_TWICE);
}

static void trap_free(struct check_brick *check, struct xio_request *clone)
{
	clone->end = NULL;
	xio_free(clone);
	mars_gate_leave(&check->gate);
}

static struct xio_request *trap_oldest(struct check_brick *check)
{
	struct list_head *list = list_empty(&check->old_traps) ? &check->traps :
								 &check->old_traps;

	return list_first_entry(list, struct xio_request, link);
}

static void trap_arm(struct check_brick *check, struct xio_request *clone)
{
	struct xio_request *oldest = NULL;
	unsigned long flags, delay;

	mars_gate_hold(&check->gate);
	clone->private = check;
	clone->base.fn = check_trap;
	clone->end = &clone->base;
	spin_lock_irqsave(&check->lock, flags);
	list_add_tail(&clone->link, &check->traps);
	if (++check->nr_traps > TRAP_MAX) {
		oldest = trap_oldest(check);
		list_del_init(&oldest->link);
		check->nr_traps--;
	}
	delay = check->closing ? 0 : usecs_to_jiffies(TRAP_KEEP_US);
	spin_unlock_irqrestore(&check->lock, flags);
	queue_delayed_work(mars_io_wq, &check->trap_work, delay);
	if (oldest)
		trap_free(check, oldest);
}

static void trap_work_fn(struct work_struct *work)
{
	struct check_brick *check = container_of(to_delayed_work(work), struct check_brick,
						 trap_work);
	struct xio_request *clone, *tmp;
	unsigned long flags;
	unsigned int nr = 0;
	LIST_HEAD(done);
	bool again;

	spin_lock_irqsave(&check->lock, flags);
	list_splice_init(&check->old_traps, &done);
	list_splice_tail_init(&check->traps, check->closing ? &done : &check->old_traps);
	list_for_each_entry(clone, &done, link)
		nr++;
	check->nr_traps -= nr;
	again = check->nr_traps;
	spin_unlock_irqrestore(&check->lock, flags);
	/* Before the last clone leaves the gate: behind that the brick may be gone. */
	if (again)
		queue_delayed_work(mars_io_wq, &check->trap_work, usecs_to_jiffies(TRAP_KEEP_US));
	list_for_each_entry_safe(clone, tmp, &done, link)
		trap_free(check, clone);
}

/* --- the way of a request --- */

static void check_finish(struct check_brick *check, struct xio_request *rq, int status)
{
	atomic64_dec(&check->val[MARS_V_CHECK_IN_FLIGHT]);
	xio_complete(rq, status);
	mars_gate_leave(&check->gate);
}

/* The buffer must still be what it was when the request came. */
static void check_buffer(struct check_brick *check, struct xio_request *rq)
{
	struct check_aspect *a = xio_aspect(rq);
	size_t missing;

	if (rq->op == XIO_WRITE && check_crc(rq, &missing) != a->crc)
		check_count(check, MARS_V_CHECK_BUFFER);
}

static void check_clone_end(struct xio_request *clone, struct xio_end *end)
{
	struct xio_request *rq = clone->private;
	struct check_aspect *a = xio_aspect(rq);
	struct check_brick *check = a->check;
	int status = clone->status;

	check_buffer(check, rq);
	change_leave(check, a);
	trap_arm(check, clone);
	check_finish(check, rq, status);
}

static void check_unguarded_end(struct xio_request *rq, struct xio_end *end)
{
	struct check_aspect *a = container_of(end, struct check_aspect, end);
	struct check_brick *check = a->check;

	check_buffer(check, rq);
	change_leave(check, a);
	check_finish(check, rq, rq->status);
}

static void check_start(struct check_brick *check, struct xio_request *rq)
{
	struct check_aspect *a = xio_aspect(rq);
	struct xio_request *clone;

	if (!check_memory(check, rq, a)) {
		check_finish(check, rq, -EINVAL);
		return;
	}
	check_range(check, rq);
	change_enter(check, rq, a);
	clone = xio_alloc(&check->brick.input[0], GFP_NOWAIT);
	if (!clone) {
		check_count(check, MARS_V_CHECK_UNGUARDED);
		xio_push(rq, &a->end, check_unguarded_end);
		xio_forward(rq, 0);
		return;
	}
	clone->op = rq->op;
	clone->flags = rq->flags;
	clone->pos = rq->pos;
	clone->len = rq->len;
	clone->vec = rq->vec;
	clone->nr_vec = rq->nr_vec;
	clone->skip = rq->skip;
	clone->private = rq;
	xio_submit(clone, check_clone_end);
}

/* Returns the -errno to fail @rq with, or 0. */
static int inject_hit(struct check_brick *check, const struct xio_request *rq)
{
	struct check_inject *inject = &check->inject;
	unsigned long flags;
	int err = 0;

	spin_lock_irqsave(&check->lock, flags);
	if (inject->count && (inject->op == OP_ANY || inject->op == rq->op)) {
		if (inject->skip) {
			inject->skip--;
		} else {
			inject->count--;
			err = inject->error;
		}
	}
	spin_unlock_irqrestore(&check->lock, flags);
	if (err)
		check_count(check, MARS_V_CHECK_INJECTED);
	return err;
}

static bool delay_put(struct check_brick *check, struct xio_request *rq)
{
	struct check_aspect *a = xio_aspect(rq);
	unsigned long flags;
	u64 delay;

	spin_lock_irqsave(&check->lock, flags);
	delay = check->delay_ns;
	if (delay) {
		a->due = ktime_get_ns() + delay;
		rq->flags &= ~XIO_MAY_SLEEP;
		list_add_tail(&rq->link, &check->delayed);
		/* Under the lock: behind it @rq may pass and the brick vanish. */
		queue_delayed_work(mars_io_wq, &check->delay_work,
				   usecs_to_jiffies(div_u64(delay, 1000)));
	}
	spin_unlock_irqrestore(&check->lock, flags);
	return delay;
}

static void delay_work_fn(struct work_struct *work)
{
	struct check_brick *check = container_of(to_delayed_work(work), struct check_brick,
						 delay_work);
	u64 now = ktime_get_ns();
	struct xio_request *rq, *tmp;
	unsigned long flags;
	LIST_HEAD(due);

	spin_lock_irqsave(&check->lock, flags);
	list_for_each_entry_safe(rq, tmp, &check->delayed, link) {
		struct check_aspect *a = xio_aspect(rq);

		/* A shorter delay set meanwhile frees the longer ones too. */
		if (a->due > now && a->due - now <= check->delay_ns) {
			queue_delayed_work(mars_io_wq, &check->delay_work,
					   usecs_to_jiffies(div_u64(a->due - now, 1000) + 1));
			break;
		}
		list_move_tail(&rq->link, &due);
	}
	spin_unlock_irqrestore(&check->lock, flags);
	list_for_each_entry_safe(rq, tmp, &due, link) {
		list_del_init(&rq->link);
		check_start(check, rq);
	}
}

static void check_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct check_brick *check = to_check(brick);
	struct check_aspect *a = xio_aspect(rq);
	int err;

	if (!mars_gate_enter(&check->gate)) {
		xio_complete(rq, -ESHUTDOWN);
		return;
	}
	a->check = check;
	check_count(check, MARS_V_CHECK_REQUESTS);
	check_count(check, MARS_V_CHECK_IN_FLIGHT);
	err = inject_hit(check, rq);
	if (err)
		check_finish(check, rq, err);
	else if (!delay_put(check, rq))
		check_start(check, rq);
}

/* --- parameters --- */

static const char *const op_words[] = {
	[XIO_READ] = "read", [XIO_WRITE] = "write", [XIO_FLUSH] = "flush",
	[XIO_DISCARD] = "discard", [XIO_WRITE_ZEROES] = "zeroes", [OP_ANY] = "any",
};

static const char *parse_op(const char *text, u32 *op)
{
	for (*op = 0; *op < ARRAY_SIZE(op_words); (*op)++) {
		size_t len = strlen(op_words[*op]);

		if (!strncmp(text, op_words[*op], len))
			return text + len;
	}
	return NULL;
}

/* A blank and a decimal number of at most 9 digits. */
static const char *parse_number(const char *text, u64 *value)
{
	unsigned int digits = 0;

	if (*text++ != ' ')
		return NULL;
	for (*value = 0; *text >= '0' && *text <= '9'; text++) {
		*value = *value * 10 + (*text - '0');
		if (++digits > 9)
			return NULL;
	}
	return digits ? text : NULL;
}

/* "OP ERRNO SKIP COUNT", or empty for no more errors. */
static bool parse_inject(const char *text, struct check_inject *inject)
{
	u64 error = 0;

	memset(inject, 0, sizeof(*inject));
	if (!*text)
		return true;
	text = parse_op(text, &inject->op);
	text = text ? parse_number(text, &error) : NULL;
	text = text ? parse_number(text, &inject->skip) : NULL;
	text = text ? parse_number(text, &inject->count) : NULL;
	inject->error = -(int)error;
	return text && !*text && error && error <= 4095;
}

static int check_set(struct mars_brick *brick, u32 key, u64 value, const char *text, u32 len,
		     enum mars_reason *reason)
{
	struct check_brick *check = to_check(brick);
	struct check_inject inject;
	unsigned long flags;
	bool ok;

	if (key == MARS_K_CHECK_ERROR) {
		ok = !value && strlen(text) == len && parse_inject(text, &inject);
	} else if (key == MARS_K_CHECK_DELAY) {
		ok = value <= DELAY_MAX_US && !len;
	} else {
		return mars_refuse(reason, MARS_R_NO_KEY);
	}
	if (!ok)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	spin_lock_irqsave(&check->lock, flags);
	if (key == MARS_K_CHECK_ERROR)
		check->inject = inject;
	else
		check->delay_ns = value * 1000;
	spin_unlock_irqrestore(&check->lock, flags);
	if (key == MARS_K_CHECK_DELAY)
		mod_delayed_work(mars_io_wq, &check->delay_work, 0);
	return 0;
}

/* --- life --- */

static void check_empty(struct mars_gate *gate)
{
	struct check_brick *check = container_of(gate, struct check_brick, gate);

	mars_brick_leds(&check->brick, false, true);
}

static int check_construct(struct mars_brick *brick)
{
	struct check_brick *check = to_check(brick);

	mars_gate_init(&check->gate, check_empty);
	spin_lock_init(&check->lock);
	mars_extent_index_init(&check->changes);
	INIT_LIST_HEAD(&check->delayed);
	INIT_LIST_HEAD(&check->traps);
	INIT_LIST_HEAD(&check->old_traps);
	INIT_DELAYED_WORK(&check->delay_work, delay_work_fn);
	INIT_DELAYED_WORK(&check->trap_work, trap_work_fn);
	return 0;
}

static void check_destruct(struct mars_brick *brick)
{
	struct check_brick *check = to_check(brick);

	cancel_delayed_work_sync(&check->delay_work);
	cancel_delayed_work_sync(&check->trap_work);
}

static void check_set_closing(struct check_brick *check, bool closing)
{
	unsigned long flags;

	spin_lock_irqsave(&check->lock, flags);
	check->closing = closing;
	spin_unlock_irqrestore(&check->lock, flags);
}

static int check_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct check_brick *check = to_check(brick);

	if (on) {
		if (mars_input_info(&brick->input[0], &check->info))
			memset(&check->info, 0, sizeof(check->info));
		check_set_closing(check, false);
		mars_gate_open(&check->gate);
		mars_brick_leds(brick, true, false);
		return 0;
	}
	mars_brick_leds(brick, false, false);
	check_set_closing(check, true);
	mod_delayed_work(mars_io_wq, &check->trap_work, 0);
	mars_gate_close(&check->gate);
	return 0;
}

static int check_get_info(struct mars_brick *brick, struct xio_info *info)
{
	return mars_input_info(&brick->input[0], info);
}

static void check_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct check_brick *check = to_check(brick);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(check->val); i++)
		st->val[i] = atomic64_read(&check->val[i]);
	st->nr_val = ARRAY_SIZE(check->val);
}

const struct mars_brick_type check_brick_type = {
	.name		= "check",
	.nr_inputs	= 1,
	.input_name	= { "below" },
	.has_output	= true,
	.forwards	= 1u << 0,
	.size		= sizeof(struct check_brick),
	.aspect_size	= sizeof(struct check_aspect),
	.construct	= check_construct,
	.destruct	= check_destruct,
	.set		= check_set,
	.power		= check_power,
	.submit		= check_submit,
	.get_info	= check_get_info,
	.status		= check_status,
};
