// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bdev.c - the bdev brick: opening, submission
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
 * Context: see lower.h; get_info under mars_topology_lock; submit anywhere.
 */
#include <linux/errno.h>

#include "bdev.h"
#include "bdev_brick.h"
#include "own_disk.h"

/* The bytes to show now; inside the gate or under mars_topology_lock while open. */
static u64 bdev_size(struct mars_lower *low)
{
	u64 size = bdev_nr_bytes(to_bdev(&low->brick)->dev.bdev);
	u64 want = atomic64_read(&low->want);

	return low->flags & MARS_FILE_EXCL && want ? min(size, want) : size;
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
	if (rq->op != XIO_READ && bb->low.flags & MARS_FILE_RDONLY)
		return -EROFS;
	if ((rq->pos | rq->len) & (bdev_logical_block_size(bb->dev.bdev) - 1))
		return -EINVAL;
	size = bdev_size(&bb->low);
	if (rq->pos <= size && rq->len <= size - rq->pos)
		return 0;
	return rq->op == XIO_READ ? -EIO : -ENOSPC;
}

static void bdev_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct bdev_brick *bb = to_bdev(brick);
	struct mars_lower *low = &bb->low;
	int err;

	if (!mars_gate_enter(&low->gate)) {
		xio_complete(rq, -ESHUTDOWN);
		return;
	}
	if (!bdev_nr_bytes(bb->dev.bdev)) {		/* pulled out */
		mars_lower_done(low, rq, -ENODEV);
		return;
	}
	err = bdev_check(bb, rq);
	if (err) {
		mars_lower_refuse(low, rq, err);
		return;
	}
	atomic64_inc(&low->nr[rq->op]);
	if (rq->op == XIO_FLUSH && low->flags & MARS_FILE_RDONLY)
		mars_lower_done(low, rq, 0);
	else if (rq->op >= XIO_DISCARD)
		mars_lane_add(&bb->lane[BDEV_CLEAR], rq);
	else if (rq->flags & XIO_MAY_SLEEP)
		bdev_start(bb, rq);
	else
		mars_lane_add(&bb->lane[BDEV_IO], rq);
}

/* --- opening --- */

static void *holder_of(struct bdev_brick *bb)
{
	return bb->low.flags & MARS_FILE_EXCL ? bb : NULL;
}

/* Is what was opened fit for its purpose? */
static int bdev_inspect(struct bdev_brick *bb, enum mars_reason *reason)
{
	struct block_device *bdev = bb->dev.bdev;

	if (mars_is_own_disk(bdev))
		return mars_refuse(reason, MARS_R_LOOP);
	/* a zone is written in rising order only; writeback goes round and round */
	if (bdev_is_zoned(bdev))
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	if (bdev_nr_bytes(bdev) < atomic64_read(&bb->low.want))
		return mars_refuse(reason, MARS_R_TOO_SMALL);
	/* what was written through the page cache must not land on top of us later */
	if (!(bb->low.flags & MARS_FILE_RDONLY) && sync_blockdev(bdev))
		return mars_refuse(reason, MARS_R_IO);
	invalidate_bdev(bdev);
	return 0;
}

static int start_lanes(struct bdev_brick *bb)
{
	unsigned int i;
	int err = 0;

	for (i = 0; !err && i < BDEV_LANES; i++)
		err = mars_lane_start(&bb->lane[i], bb->low.brick.name);
	return err;
}

/* Takes as long as the device takes. */
static int bdev_open(struct mars_lower *low, enum mars_reason *reason)
{
	struct bdev_brick *bb = to_bdev(&low->brick);
	int err;

	low->direct = true;
	err = lower_bdev_open(&bb->dev, low->path, low->flags & MARS_FILE_RDONLY, holder_of(bb));
	if (err)
		return mars_refuse(reason, mars_open_reason(err));
	low->align = bdev_logical_block_size(bb->dev.bdev);
	err = bdev_inspect(bb, reason);
	if (!err)
		err = start_lanes(bb);
	if (err)
		lower_bdev_abort(&bb->dev, holder_of(bb));
	return err;
}

static void bdev_close(struct mars_lower *low)
{
	struct bdev_brick *bb = to_bdev(&low->brick);

	lower_bdev_close(&bb->dev, holder_of(bb));
}

/* A new size while the device is open: it can only show more of what is there. */
static int bdev_resize(struct mars_lower *low, u64 size, enum mars_reason *reason)
{
	struct bdev_brick *bb = to_bdev(&low->brick);

	if (bdev_nr_bytes(bb->dev.bdev) < size)
		return mars_refuse(reason, MARS_R_TOO_SMALL);
	if (low->flags & MARS_FILE_EXCL && size < bdev_size(low))
		return mars_refuse(reason, MARS_R_NOT_NOW);
	return 0;
}

static const struct mars_lower_ops bdev_ops = {
	.flags = MARS_FILE_EXCL | MARS_FILE_RDONLY | MARS_FILE_DIRECT,
	.open = bdev_open,
	.resize = bdev_resize,
	.close = bdev_close,
	.size = bdev_size,
};

/* --- the rest of the type --- */

static int bdev_construct(struct mars_brick *brick)
{
	struct bdev_brick *bb = to_bdev(brick);

	mars_lane_init(&bb->lane[BDEV_IO], bb, bdev_io_work);
	mars_lane_init(&bb->lane[BDEV_CLEAR], bb, bdev_clear_work);
	mars_lower_init(&bb->low, &bdev_ops, bb->lane, BDEV_LANES);
	return 0;
}

static int bdev_get_info(struct mars_brick *brick, struct xio_info *info)
{
	struct bdev_brick *bb = to_bdev(brick);
	struct block_device *bdev;

	if (!mars_gate_enter(&bb->low.gate))
		return -ESHUTDOWN;
	bdev = bb->dev.bdev;
	info->size = bdev_size(&bb->low);
	info->align = bb->low.align;
	info->max_io = XIO_MAX_IO;
	info->volatile_cache = bdev_write_cache(bdev);
	info->rotational = !bdev_nonrot(bdev);
	info->read_only = bb->low.flags & MARS_FILE_RDONLY || bdev_read_only(bdev);
	mars_gate_leave(&bb->low.gate);
	return 0;
}

struct block_device *mars_bdev_of(struct mars_brick *brick, bool *claimed)
{
	struct bdev_brick *bb = to_bdev(brick);

	*claimed = false;
	if (brick->type != &bdev_brick_type || !brick->button || !smp_load_acquire(&bb->low.open))
		return NULL;
	*claimed = holder_of(bb);
	return bb->dev.bdev;
}

const struct mars_brick_type bdev_brick_type = {
	.name = "bdev",
	.has_output = true,
	.size = sizeof(struct bdev_brick),
	.aspect_size = sizeof(struct bdev_aspect),
	.construct = bdev_construct,
	.set = mars_lower_set,
	.power = mars_lower_power,
	.submit = bdev_submit,
	.get_info = bdev_get_info,
	.status = mars_lower_status,
};
