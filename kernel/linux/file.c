// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file.c - the file brick: size, submission
 *
 * A request is checked here and then queued to the lane of its kind; nothing orders two
 * requests in flight, as on any disk.
 *
 * Range rules: a data image has a fixed size and refuses what lies outside.  Held
 * exclusively (EXCL), it shows FILE_SIZE bytes even when there are more.  A log file
 * (APPEND, or RDONLY without EXCL) grows under its readers, so it reads as zeros behind
 * its end; only an APPEND file can be written there.
 *
 * Failure: see lower.h; a failed flush is final until the brick was off (file_sync.c).
 *
 * Off means closed: the work item of power off is a kernel thread, and may close the file
 * at once instead of leaving that to whoever returns to user space next.  So when led_off
 * is lit the file system can be unmounted and the lock is free.
 *
 * Context: see lower.h; get_info under mars_topology_lock; submit anywhere.
 */
#include <linux/blkdev.h>
#include <linux/errno.h>
#include <linux/fs.h>

#include "file_brick.h"

/* --- submission --- */

/* May this request go to the file?  0 or -errno. */
static int file_check(struct file_brick *fb, const struct xio_request *rq)
{
	bool write = rq->op != XIO_READ;

	if (rq->op >= XIO_NR_OPS)
		return -EOPNOTSUPP;
	if (rq->op == XIO_FLUSH)
		return 0;
	if (write && fb->low.flags & MARS_FILE_RDONLY)
		return -EROFS;
	if (rq->pos > (u64)S64_MAX || rq->len > (u64)S64_MAX - rq->pos)
		return -EINVAL;
	if ((rq->pos | rq->len) & (fb->low.align - 1))
		return -EINVAL;
	if (write && rq->flags & XIO_FUA && READ_ONCE(fb->low.lost))
		return -EIO;
	if (rq->pos + rq->len <= file_size(&fb->low))
		return 0;
	if (write ? fb->low.flags & MARS_FILE_APPEND : fb->log)
		return 0;
	return write ? -ENOSPC : -EIO;
}

static void file_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct file_brick *fb = to_file(brick);
	struct file_aspect *a = xio_aspect(rq);
	struct mars_lower *low = &fb->low;
	int err;

	if (!mars_gate_enter(&low->gate)) {
		xio_complete(rq, -ESHUTDOWN);
		return;
	}
	err = file_check(fb, rq);
	if (err) {
		mars_lower_refuse(low, rq, err);
		return;
	}
	atomic64_inc(&low->nr[rq->op]);
	a->rq = rq;
	a->done = 0;
	if (rq->op == XIO_FLUSH && low->flags & MARS_FILE_RDONLY)
		mars_lower_done(low, rq, 0);
	else if (rq->op == XIO_FLUSH)
		mars_lane_add(&fb->lane[FILE_SYNC], rq);
	else if (rq->op >= XIO_DISCARD)
		mars_lane_add(&fb->lane[FILE_CLEAR], rq);
	else
		mars_lane_add(file_lane_of(fb, rq), rq);
}

/* --- size while open --- */

/* Growing takes as long as the file system takes. */
static int grow(struct file_brick *fb, u64 size, enum mars_reason *reason)
{
	int err;

	mars_brick_slow_begin(&fb->low.brick);
	err = file_grow(fb, size, reason);
	mars_brick_slow_end(&fb->low.brick);
	return err;
}

/* Show more of the file, grow it, or cut a log file. */
static int file_resize(struct mars_lower *low, u64 value, enum mars_reason *reason)
{
	struct file_brick *fb = to_file(&low->brick);
	u64 size = file_real_size(fb);

	if (low->flags & MARS_FILE_EXCL && !(low->flags & MARS_FILE_APPEND)) {
		if (size < value)
			return mars_refuse(reason, MARS_R_TOO_SMALL);
		return value < file_size(low) ? mars_refuse(reason, MARS_R_NOT_NOW) : 0;
	}
	if (low->flags & MARS_FILE_RDONLY)
		return size < value ? mars_refuse(reason, MARS_R_TOO_SMALL) : 0;
	if (size > value && !(low->flags & MARS_FILE_APPEND))
		return mars_refuse(reason, MARS_R_NOT_NOW);
	return size != value ? grow(fb, value, reason) : 0;
}

static const struct mars_lower_ops file_ops = {
	.flags = MARS_FILE_ALL,
	.open = file_open,
	.resize = file_resize,
	.close = file_close,
	.size = file_size,
};

/* --- the rest of the type --- */

static int file_construct(struct mars_brick *brick)
{
	struct file_brick *fb = to_file(brick);
	unsigned int i;

	mars_lane_init(&fb->lane[FILE_SYNC], fb, file_sync_work);
	mars_lane_init(&fb->lane[FILE_CLEAR], fb, file_clear_work);
	mars_lane_init(&fb->lane[FILE_BOUNCE_LANE], fb, file_bounce_work);
	mars_lane_init(&fb->lane[FILE_WRITER], fb, file_io_work);
	for (i = FILE_READER; i < FILE_LANES; i++)
		mars_lane_init(&fb->lane[i], fb, file_io_work);
	mars_lower_init(&fb->low, &file_ops, fb->lane, FILE_LANES);
	return 0;
}

static bool file_rotational(const struct file_brick *fb)
{
	struct block_device *bdev = file_inode(fb->file)->i_sb->s_bdev;

	return bdev && !bdev_nonrot(bdev);
}

static int file_get_info(struct mars_brick *brick, struct xio_info *info)
{
	struct file_brick *fb = to_file(brick);

	if (!mars_gate_enter(&fb->low.gate))
		return -ESHUTDOWN;
	info->size = file_size(&fb->low);
	info->align = fb->low.align;
	info->max_io = XIO_MAX_IO;
	info->volatile_cache = true;
	info->rotational = file_rotational(fb);
	info->read_only = fb->low.flags & MARS_FILE_RDONLY;
	mars_gate_leave(&fb->low.gate);
	return 0;
}

const struct mars_brick_type file_brick_type = {
	.name = "file",
	.has_output = true,
	.size = sizeof(struct file_brick),
	.aspect_size = sizeof(struct file_aspect),
	.construct = file_construct,
	.set = mars_lower_set,
	.power = mars_lower_power,
	.submit = file_submit,
	.get_info = file_get_info,
	.status = mars_lower_status,
};
