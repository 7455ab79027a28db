// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file.c - the file brick: parameters and power, submission
 *
 * A request is checked here and then queued to the lane of its kind; nothing orders two
 * requests in flight, as on any disk.
 *
 * Range rules: a data image has a fixed size and refuses what lies outside.  Held
 * exclusively (EXCL), it shows FILE_SIZE bytes even when there are more.  A log file
 * (APPEND, or RDONLY without EXCL) grows under its readers, so it reads as zeros behind
 * its end; only an APPEND file can be written there.
 *
 * Failure: errors go to the initiator and show as MARS_S_IO_ERROR until the next
 * success.  A failed flush is final until the brick was off (file_sync.c).
 *
 * Off means closed: the work item of power off is a kernel thread, and may close the file
 * at once instead of leaving that to whoever returns to user space next.  So when led_off
 * is lit the file system can be unmounted and the lock is free.
 *
 * Context: set, power, status and get_info under mars_topology_lock; submit anywhere.
 */
#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/gfp.h>
#include <linux/string.h>

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
	if (write && fb->flags & MARS_FILE_RDONLY)
		return -EROFS;
	if (rq->pos > (u64)S64_MAX || rq->len > (u64)S64_MAX - rq->pos)
		return -EINVAL;
	if ((rq->pos | rq->len) & (fb->align - 1))
		return -EINVAL;
	if (write && rq->flags & XIO_FUA && READ_ONCE(fb->lost))
		return -EIO;
	if (rq->pos + rq->len <= file_size(fb))
		return 0;
	if (write ? fb->flags & MARS_FILE_APPEND : fb->log)
		return 0;
	return write ? -ENOSPC : -EIO;
}

static void file_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct file_brick *fb = to_file(brick);
	struct file_aspect *a = xio_aspect(rq);
	int err;

	if (!mars_gate_enter(&fb->gate)) {
		xio_complete(rq, -ESHUTDOWN);
		return;
	}
	err = file_check(fb, rq);
	if (err) {
		xio_complete(rq, err);
		mars_gate_leave(&fb->gate);
		return;
	}
	atomic64_inc(&fb->nr[rq->op]);
	a->rq = rq;
	a->done = 0;
	if (rq->op == XIO_FLUSH && fb->flags & MARS_FILE_RDONLY)
		file_done(fb, rq, 0);
	else if (rq->op == XIO_FLUSH)
		mars_lane_add(&fb->sync, rq);
	else if (rq->op >= XIO_DISCARD)
		mars_lane_add(&fb->clear, rq);
	else
		mars_lane_add(file_lane_of(fb, rq), rq);
}

static void file_note(struct file_brick *fb, int status)
{
	/* a refusal says nothing about the health of the disk */
	if (status == -EINVAL || status == -EOPNOTSUPP)
		return;
	if (!status && READ_ONCE(fb->lost))
		return;
	if (READ_ONCE(fb->error) != status && xchg(&fb->error, status) != status)
		mars_brick_event(&fb->brick, MARS_EV_STATE);
}

void file_done(struct file_brick *fb, struct xio_request *rq, int status)
{
	if (!status && rq->op == XIO_READ)
		atomic64_add(rq->len, &fb->bytes_read);
	else if (!status && rq->op == XIO_WRITE)
		atomic64_add(rq->len, &fb->bytes_written);
	file_note(fb, status);
	xio_complete(rq, status);
	mars_gate_leave(&fb->gate);
}

/* --- parameters --- */

static int refuse(enum mars_reason *reason, enum mars_reason why, int err)
{
	*reason = why;
	return err;
}

/* A new size while the file is open: show more of it, grow it, or cut a log file. */
static int file_set_size(struct file_brick *fb, u64 value, enum mars_reason *reason)
{
	u64 size = file_real_size(fb);
	int err;

	if (fb->flags & MARS_FILE_EXCL && !(fb->flags & MARS_FILE_APPEND)) {
		if (size < value)
			return refuse(reason, MARS_R_TOO_SMALL, -ENOSPC);
		if (value < file_size(fb))
			return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
	} else if (fb->flags & MARS_FILE_RDONLY) {
		if (size < value)
			return refuse(reason, MARS_R_TOO_SMALL, -ENOSPC);
	} else if (size > value && !(fb->flags & MARS_FILE_APPEND)) {
		return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
	} else if (size != value) {
		err = file_grow(fb, value, reason);
		if (err)
			return err;
	}
	atomic64_set(&fb->want, value);
	mars_brick_event(&fb->brick, MARS_EV_PROGRESS);
	return 0;
}

static int file_set(struct mars_brick *brick, u32 key, u64 value, const char *text,
		    u32 len, enum mars_reason *reason)
{
	struct file_brick *fb = to_file(brick);
	bool open = brick->button || smp_load_acquire(&fb->open);

	switch (key) {
	case MARS_K_FILE_PATH:
		if (open)
			return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
		if (!len || len > MARS_TEXT_MAX || memchr(text, 0, len) || text[0] != '/')
			return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
		memcpy(fb->path, text, len);
		fb->path[len] = 0;
		return 0;
	case MARS_K_FILE_FLAGS:
		if (open)
			return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
		if (value & ~(u64)MARS_FILE_ALL ||
		    (value & MARS_FILE_RDONLY && value & (MARS_FILE_CREATE | MARS_FILE_APPEND)))
			return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
		fb->flags = value;
		return 0;
	case MARS_K_FILE_SIZE:
		if (value > (u64)S64_MAX)
			return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
		if (brick->button)
			return file_set_size(fb, value, reason);
		atomic64_set(&fb->want, value);
		return 0;
	}
	return refuse(reason, MARS_R_NO_KEY, -EINVAL);
}

/* --- power --- */

static int file_power_on(struct file_brick *fb, enum mars_reason *reason)
{
	int err;

	if (!fb->path[0])
		return refuse(reason, MARS_R_MISSING, -EINVAL);
	err = file_open(fb, reason);
	if (err)
		return err;
	WRITE_ONCE(fb->error, 0);
	WRITE_ONCE(fb->lost, false);
	smp_store_release(&fb->open, true);
	mars_module_hold();
	mars_gate_open(&fb->gate);
	mars_brick_leds(&fb->brick, true, false);
	return 0;
}

static int file_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct file_brick *fb = to_file(brick);

	if (on)
		return file_power_on(fb, reason);
	mars_brick_leds(brick, false, false);
	mars_gate_close(&fb->gate);
	return 0;
}

/* The last request has left; any context. */
static void file_empty(struct mars_gate *gate)
{
	struct file_brick *fb = container_of(gate, struct file_brick, gate);

	queue_work(mars_submit_wq, &fb->close);
}

static void file_close_work(struct work_struct *work)
{
	struct file_brick *fb = container_of(work, struct file_brick, close);
	unsigned int i;

	for (i = 0; i < FILE_READERS; i++)
		mars_lane_stop(&fb->reader[i]);
	mars_lane_stop(&fb->writer);
	mars_lane_stop(&fb->bounce_lane);
	mars_lane_stop(&fb->sync);
	mars_lane_stop(&fb->clear);
	__fput_sync(fb->file);
	if (fb->bounce)
		free_pages_exact(fb->bounce, FILE_BOUNCE);
	smp_store_release(&fb->open, false);
	mars_module_release();
	mars_brick_leds(&fb->brick, false, true);	/* the brick may be gone behind this */
}

/* --- the rest of the type --- */

static int file_construct(struct mars_brick *brick)
{
	struct file_brick *fb = to_file(brick);
	unsigned int i;

	mars_gate_init(&fb->gate, file_empty);
	INIT_WORK(&fb->close, file_close_work);
	for (i = 0; i < FILE_READERS; i++)
		mars_lane_init(&fb->reader[i], fb, file_io_work);
	mars_lane_init(&fb->writer, fb, file_io_work);
	mars_lane_init(&fb->bounce_lane, fb, file_bounce_work);
	mars_lane_init(&fb->sync, fb, file_sync_work);
	mars_lane_init(&fb->clear, fb, file_clear_work);
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

	if (!mars_gate_enter(&fb->gate))
		return -ESHUTDOWN;
	info->size = file_size(fb);
	info->align = fb->align;
	info->max_io = XIO_MAX_IO;
	info->volatile_cache = true;
	info->rotational = file_rotational(fb);
	info->read_only = fb->flags & MARS_FILE_RDONLY;
	mars_gate_leave(&fb->gate);
	return 0;
}

static void file_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct file_brick *fb = to_file(brick);

	if (mars_gate_enter(&fb->gate)) {
		st->val[MARS_V_FILE_SIZE] = file_size(fb);
		st->val[MARS_V_FILE_DIRECT] = fb->direct;
		mars_gate_leave(&fb->gate);
	}
	st->val[MARS_V_FILE_READS] = atomic64_read(&fb->nr[XIO_READ]);
	st->val[MARS_V_FILE_WRITES] = atomic64_read(&fb->nr[XIO_WRITE]);
	st->val[MARS_V_FILE_FLUSHES] = atomic64_read(&fb->nr[XIO_FLUSH]);
	st->val[MARS_V_FILE_BYTES_READ] = atomic64_read(&fb->bytes_read);
	st->val[MARS_V_FILE_BYTES_WRITTEN] = atomic64_read(&fb->bytes_written);
	st->nr_val = MARS_V_FILE_DIRECT + 1;
	st->error = READ_ONCE(fb->error);
	st->state = st->error ? MARS_S_IO_ERROR : MARS_S_OK;
}

const struct mars_brick_type file_brick_type = {
	.name = "file",
	.has_output = true,
	.size = sizeof(struct file_brick),
	.aspect_size = sizeof(struct file_aspect),
	.construct = file_construct,
	.set = file_set,
	.power = file_power,
	.submit = file_submit,
	.get_info = file_get_info,
	.status = file_status,
};
