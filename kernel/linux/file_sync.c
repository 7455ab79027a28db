// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file_sync.c - flushes and zeros of a file brick
 *
 * A flush makes durable what had completed when it was submitted, so all that wait share
 * one fsync, and nothing waits for them: they have a lane of their own.
 *
 * A failed flush is final until the brick was off: the system drops the dirty pages it
 * could not write, tells so once, and would report success the next time.
 *
 * DISCARD and WRITE_ZEROES are fallocate(), or zeros by hand where the file system can't.
 * It waits until direct transfers of the file have ended, and lets new ones wait for it;
 * that is the file system's rule.  The logger allocates far ahead for that reason.
 */
#include <linux/bvec.h>
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/statfs.h>

#include "file_brick.h"

#define FILE_ZERO_VECS	16

/* --- flush --- */

static int sync_file(struct file_brick *fb)
{
	int err;

	/* pages lost by an earlier failure are clean by now: success would be a lie */
	if (READ_ONCE(fb->low.lost))
		return -EIO;
	err = vfs_fsync_range(fb->file, 0, LLONG_MAX, 1);
	if (err)
		WRITE_ONCE(fb->low.lost, true);
	return err;
}

void file_sync_work(struct kthread_work *work)
{
	struct mars_lane *lane = container_of(work, struct mars_lane, work);
	unsigned int noio = memalloc_noio_save();
	struct file_brick *fb = lane->owner;
	struct xio_request *rq, *next;
	LIST_HEAD(batch);
	int err;

	mars_lane_all(lane, &batch);
	err = list_empty(&batch) ? 0 : sync_file(fb);
	list_for_each_entry_safe(rq, next, &batch, link) {
		list_del_init(&rq->link);
		mars_lower_done(&fb->low, rq, err);
	}
	memalloc_noio_restore(noio);
}

/* --- zeros --- */

static int write_zeros(struct file_brick *fb, u64 pos, u64 len)
{
	struct bio_vec vec[FILE_ZERO_VECS];
	unsigned int i;

	for (i = 0; i < FILE_ZERO_VECS; i++) {
		vec[i].bv_page = ZERO_PAGE(0);
		vec[i].bv_len = PAGE_SIZE;
		vec[i].bv_offset = 0;
	}
	while (len) {
		size_t part = min_t(u64, len, FILE_ZERO_VECS * PAGE_SIZE);
		ssize_t got = file_move(fb, vec, FILE_ZERO_VECS, pos, part, true, false);

		if (got <= 0)
			return got ? file_errno(got) : -ENOSPC;
		pos += got;
		len -= got;
	}
	return 0;
}

static int allocate(struct file_brick *fb, int mode, u64 pos, u64 len)
{
	int err;

	if (!len)
		return 0;
	err = file_errno(vfs_fallocate(fb->file, mode, pos, len));
	if (err == -EOPNOTSUPP || err == -ENOSYS || err == -EINVAL)
		err = write_zeros(fb, pos, len);
	return err;
}

/* May a log take @len bytes more of its file system?  @low: it gives way to the next one. */
static int check_space(struct file_brick *fb, u64 len, bool low)
{
	u64 leave = MARS_FILE_SPARE + (low ? MARS_FILE_ROOM : 0);
	struct kstatfs st;
	int err;

	if (!len || !(fb->low.flags & MARS_FILE_APPEND))
		return 0;
	err = vfs_statfs(&fb->file->f_path, &st);
	if (err)
		return err;
	return st.f_bavail * st.f_bsize < len + leave ? -ENOSPC : 0;
}

static int clear(struct file_brick *fb, const struct xio_request *rq)
{
	u64 end = rq->pos + rq->len, inside;
	bool keep = rq->op == XIO_WRITE_ZEROES && rq->flags & XIO_NOUNMAP;
	int mode = keep ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;
	int err;

	inside = clamp(file_real_size(fb), rq->pos, end);
	err = allocate(fb, mode | FALLOC_FL_KEEP_SIZE, rq->pos, inside - rq->pos);
	/* behind its end a log reads as zeros already, and allocating there is quick */
	if (!err && keep)
		err = check_space(fb, end - inside, rq->flags & XIO_PRIO_LOW);
	if (!err && keep)
		err = allocate(fb, 0, inside, end - inside);
	if (!err && rq->flags & XIO_FUA)
		err = sync_file(fb);
	return err;
}

void file_clear_work(struct kthread_work *work)
{
	struct mars_lane *lane = container_of(work, struct mars_lane, work);
	unsigned int flags = file_worker_enter();
	struct file_brick *fb = lane->owner;
	struct xio_request *rq;

	while ((rq = mars_lane_next(lane)))
		mars_lower_done(&fb->low, rq, clear(fb, rq));
	file_worker_leave(flags);
}
