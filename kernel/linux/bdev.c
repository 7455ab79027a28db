// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bdev.c - the bdev brick: parameters, opening and power, submission
 *
 * The device is opened with the brick as holder (EXCL), so mkfs, mount and other bricks
 * are refused meanwhile.  Others may still open it without a claim; what they read
 * through the page cache of the device may be old, as bios go past it.
 *
 * Size: the device may grow at any time, requests see it at once.  With EXCL and
 * FILE_SIZE only that many bytes are shown.
 *
 * A device made by this module is refused (MARS_R_LOOP): under memory pressure each
 * level would wait for the workers of the other.  A stack with something in between
 * (LVM, a file system) is not recognised, and as bad an idea.
 *
 * Context: set, power, status and get_info under mars_topology_lock; submit anywhere.
 */
#include <linux/module.h>
#include <linux/string.h>

#include "bdev.h"
#include "bdev_brick.h"
#include "open_reason.h"
#include "own_disk.h"

/* The bytes to show now; inside the gate or under mars_topology_lock while open. */
static u64 bdev_size(struct bdev_brick *bb)
{
	u64 size = bdev_nr_bytes(bb->lower.bdev), want = atomic64_read(&bb->want);

	return bb->flags & MARS_FILE_EXCL && want ? min(size, want) : size;
}

/* --- submission --- */

/* May this request go to the device?  0 or -errno. */
static int bdev_check(struct bdev_brick *bb, const struct xio_request *rq)
{
	u64 size;

	if (rq->op >= XIO_NR_OPS)
		return -EOPNOTSUPP;
	if (rq->op == XIO_FLUSH)
		return 0;
	if (rq->op != XIO_READ && bb->flags & MARS_FILE_RDONLY)
		return -EROFS;
	if ((rq->pos | rq->len) & (bdev_logical_block_size(bb->lower.bdev) - 1))
		return -EINVAL;
	size = bdev_size(bb);
	if (rq->pos <= size && rq->len <= size - rq->pos)
		return 0;
	return rq->op == XIO_READ ? -EIO : -ENOSPC;
}

static void bdev_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct bdev_brick *bb = to_bdev(brick);
	int err;

	if (!mars_gate_enter(&bb->gate)) {
		xio_complete(rq, -ESHUTDOWN);
		return;
	}
	if (!bdev_nr_bytes(bb->lower.bdev)) {		/* pulled out */
		bdev_done(bb, rq, -ENODEV);
		return;
	}
	err = bdev_check(bb, rq);
	if (err) {
		xio_complete(rq, err);
		mars_gate_leave(&bb->gate);
		return;
	}
	atomic64_inc(&bb->nr[rq->op]);
	if (rq->op == XIO_FLUSH && bb->flags & MARS_FILE_RDONLY)
		bdev_done(bb, rq, 0);
	else if (rq->op >= XIO_DISCARD)
		mars_lane_add(&bb->clear, rq);
	else if (rq->flags & XIO_MAY_SLEEP)
		bdev_start(bb, rq);
	else
		mars_lane_add(&bb->io, rq);
}

/* --- parameters --- */

static int refuse(enum mars_reason *reason, enum mars_reason why, int err)
{
	*reason = why;
	return err;
}

/* A new size while the device is open: it can only show more of what is there. */
static int bdev_set_size(struct bdev_brick *bb, u64 value, enum mars_reason *reason)
{
	if (bdev_nr_bytes(bb->lower.bdev) < value)
		return refuse(reason, MARS_R_TOO_SMALL, -ENOSPC);
	if (bb->flags & MARS_FILE_EXCL && value < bdev_size(bb))
		return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
	atomic64_set(&bb->want, value);
	mars_brick_event(&bb->brick, MARS_EV_PROGRESS);
	return 0;
}

static int bdev_set(struct mars_brick *brick, u32 key, u64 value, const char *text,
		    u32 len, enum mars_reason *reason)
{
	struct bdev_brick *bb = to_bdev(brick);
	bool open = brick->button || smp_load_acquire(&bb->open);

	switch (key) {
	case MARS_K_FILE_PATH:
		if (open)
			return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
		if (!len || len > MARS_TEXT_MAX || memchr(text, 0, len) || text[0] != '/')
			return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
		memcpy(bb->path, text, len);
		bb->path[len] = 0;
		return 0;
	case MARS_K_FILE_FLAGS:
		if (open)
			return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
		if (value & ~(u64)(MARS_FILE_EXCL | MARS_FILE_RDONLY | MARS_FILE_DIRECT))
			return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
		bb->flags = value;
		return 0;
	case MARS_K_FILE_SIZE:
		if (value > (u64)S64_MAX)
			return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
		if (brick->button)
			return bdev_set_size(bb, value, reason);
		atomic64_set(&bb->want, value);
		return 0;
	}
	return refuse(reason, MARS_R_NO_KEY, -EINVAL);
}

/* --- opening and power --- */

static void *holder_of(struct bdev_brick *bb)
{
	return bb->flags & MARS_FILE_EXCL ? bb : NULL;
}

static int bdev_open(struct bdev_brick *bb, enum mars_reason *reason)
{
	int err = lower_bdev_open(&bb->lower, bb->path, bb->flags & MARS_FILE_RDONLY,
				  holder_of(bb));

	return err ? refuse(reason, mars_open_reason(err), err) : 0;
}

/* Is what was opened fit for its purpose? */
static int bdev_inspect(struct bdev_brick *bb, enum mars_reason *reason)
{
	struct block_device *bdev = bb->lower.bdev;

	if (mars_is_own_disk(bdev))
		return refuse(reason, MARS_R_LOOP, -ELOOP);
	if (bdev_nr_bytes(bdev) < atomic64_read(&bb->want))
		return refuse(reason, MARS_R_TOO_SMALL, -ENOSPC);
	/* what was written through the page cache must not land on top of us later */
	if (!(bb->flags & MARS_FILE_RDONLY) && sync_blockdev(bdev))
		return refuse(reason, MARS_R_IO, -EIO);
	invalidate_bdev(bdev);
	return 0;
}

static int bdev_power_on(struct bdev_brick *bb, enum mars_reason *reason)
{
	int err;

	if (!bb->path[0])
		return refuse(reason, MARS_R_MISSING, -EINVAL);
	err = bdev_open(bb, reason);
	if (err)
		return err;
	err = bdev_inspect(bb, reason);
	if (err) {
		lower_bdev_abort(&bb->lower, holder_of(bb));
		return err;
	}
	WRITE_ONCE(bb->error, 0);
	smp_store_release(&bb->open, true);
	mars_module_hold();
	mars_gate_open(&bb->gate);
	mars_brick_leds(&bb->brick, true, false);
	return 0;
}

static int bdev_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct bdev_brick *bb = to_bdev(brick);

	if (on)
		return bdev_power_on(bb, reason);
	mars_brick_leds(brick, false, false);
	mars_gate_close(&bb->gate);
	return 0;
}

/* The last request has left; any context. */
static void bdev_empty(struct mars_gate *gate)
{
	struct bdev_brick *bb = container_of(gate, struct bdev_brick, gate);

	queue_work(mars_submit_wq, &bb->close);
}

static void bdev_close_work(struct work_struct *work)
{
	struct bdev_brick *bb = container_of(work, struct bdev_brick, close);

	mars_lane_stop(&bb->io);
	mars_lane_stop(&bb->clear);
	lower_bdev_close(&bb->lower, holder_of(bb));
	smp_store_release(&bb->open, false);
	mars_module_release();
	mars_brick_leds(&bb->brick, false, true);	/* the brick may be gone behind this */
}

/* --- the rest of the type --- */

static int bdev_construct(struct mars_brick *brick)
{
	struct bdev_brick *bb = to_bdev(brick);

	mars_gate_init(&bb->gate, bdev_empty);
	INIT_WORK(&bb->close, bdev_close_work);
	mars_lane_init(&bb->io, bb, bdev_io_work);
	mars_lane_init(&bb->clear, bb, bdev_clear_work);
	return 0;
}

static int bdev_get_info(struct mars_brick *brick, struct xio_info *info)
{
	struct bdev_brick *bb = to_bdev(brick);
	struct block_device *bdev;

	if (!mars_gate_enter(&bb->gate))
		return -ESHUTDOWN;
	bdev = bb->lower.bdev;
	info->size = bdev_size(bb);
	info->align = bdev_logical_block_size(bdev);
	info->max_io = XIO_MAX_IO;
	info->volatile_cache = bdev_write_cache(bdev);
	info->rotational = !bdev_nonrot(bdev);
	info->read_only = bb->flags & MARS_FILE_RDONLY || bdev_read_only(bdev);
	mars_gate_leave(&bb->gate);
	return 0;
}

static void bdev_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct bdev_brick *bb = to_bdev(brick);

	if (mars_gate_enter(&bb->gate)) {
		st->val[MARS_V_FILE_SIZE] = bdev_size(bb);
		st->val[MARS_V_FILE_DIRECT] = 1;
		mars_gate_leave(&bb->gate);
	}
	st->val[MARS_V_FILE_READS] = atomic64_read(&bb->nr[XIO_READ]);
	st->val[MARS_V_FILE_WRITES] = atomic64_read(&bb->nr[XIO_WRITE]);
	st->val[MARS_V_FILE_FLUSHES] = atomic64_read(&bb->nr[XIO_FLUSH]);
	st->val[MARS_V_FILE_BYTES_READ] = atomic64_read(&bb->bytes_read);
	st->val[MARS_V_FILE_BYTES_WRITTEN] = atomic64_read(&bb->bytes_written);
	st->nr_val = MARS_V_FILE_DIRECT + 1;
	st->error = READ_ONCE(bb->error);
	st->state = st->error ? MARS_S_IO_ERROR : MARS_S_OK;
}

struct block_device *mars_bdev_of(struct mars_brick *brick)
{
	struct bdev_brick *bb = to_bdev(brick);

	return brick->type == &bdev_brick_type && brick->button ? bb->lower.bdev : NULL;
}

const struct mars_brick_type bdev_brick_type = {
	.name = "bdev",
	.has_output = true,
	.size = sizeof(struct bdev_brick),
	.aspect_size = sizeof(struct bdev_aspect),
	.construct = bdev_construct,
	.set = bdev_set,
	.power = bdev_power,
	.submit = bdev_submit,
	.get_info = bdev_get_info,
	.status = bdev_status,
};
