// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file_io.c - reads and writes of a file brick
 *
 * A transfer is a kiocb in the aspect; the segments are those of the request.  Direct
 * ones end asynchronously: the thread starts the next while they are under way, so
 * a lane is no longer than the file system's submission.  Buffered ones end before the
 * file system returns.  FUA is IOCB_DSYNC: on blocks that were written before, the file
 * system makes it one write-through, without a flush or a journal commit.
 *
 * File system code never runs on the submitter's context, may it sleep or not: that may
 * be inside a transaction of another file system.
 *
 * Memory a direct transfer can't take goes through the brick's bounce buffer, piece by
 * piece, in a lane of its own.  What bricks send here is aligned; this is for others.
 *
 * The threads allocate with GFP_NOIO only, and are not throttled for pages dirtied
 * elsewhere: somebody who is throttled may be waiting for them (as in the loop driver).
 *
 * Page cache: a log file that had to be opened buffered (a replay reads what was just
 * received from the network) is used once, so its pages are dropped behind.
 */
#include <linux/blkdev.h>
#include <linux/bvec.h>
#include <linux/fadvise.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/uio.h>

#include "compat/file.h"
#include "file_brick.h"

#define FILE_DROP_LAG	(4ULL << 20)	/* bytes that stay in the page cache */

/* --- which lane --- */

static bool memory_aligned(const struct file_brick *fb, const struct xio_request *rq)
{
	u64 skip = rq->skip, left = rq->len;
	unsigned int i;

	for (i = 0; i < rq->nr_vec && left; i++) {
		const struct bio_vec *bv = &rq->vec[i];
		u64 len;

		if (skip >= bv->bv_len) {
			skip -= bv->bv_len;
			continue;
		}
		len = min(bv->bv_len - skip, left);
		if ((bv->bv_offset + skip) & (fb->mem_align - 1) || len & (fb->low.align - 1))
			return false;
		left -= len;
		skip = 0;
	}
	return true;
}

struct mars_lane *file_lane_of(struct file_brick *fb, const struct xio_request *rq)
{
	unsigned int turn;

	if (fb->low.direct && !memory_aligned(fb, rq))
		return &fb->lane[FILE_BOUNCE_LANE];
	if (rq->op == XIO_WRITE)
		return &fb->lane[FILE_WRITER];
	turn = atomic_inc_return(&fb->turn);
	return &fb->lane[FILE_READER + turn % fb->readers];
}

/* --- one transfer --- */

/* Did the transfer end at the end of the file?  It may have grown since. */
static bool at_end(const struct file_brick *fb, const struct xio_request *rq, u64 done,
		   ssize_t got)
{
	return !got || (fb->low.direct && done & (fb->low.align - 1)) ||
	       rq->pos + done >= file_real_size(fb);
}

/* The result of a transfer as a whole; true: nothing more is to be moved. */
static bool settled(const struct file_brick *fb, const struct xio_request *rq, u64 done,
		    ssize_t got, int *status)
{
	*status = 0;
	if (got < 0)
		*status = file_errno(got);
	else if (done == rq->len)
		return true;
	else if (rq->op == XIO_READ && at_end(fb, rq, done, got))
		*status = fb->log ? 0 : -EIO;
	else if (rq->op == XIO_WRITE && !got)
		*status = -ENOSPC;
	else if (fb->low.direct && done & (fb->low.align - 1))
		*status = -EIO;		/* no place to go on from */
	else
		return false;
	return true;
}

/* All that can be moved was. */
static void transfer_end(struct file_brick *fb, struct xio_request *rq, u64 done, int status)
{
	if (!status && done < rq->len)
		xio_zero_out(rq, done, rq->len - done);		/* behind the end of a log */
	/* the error may stem from other pages, and is reported only once */
	if (status && rq->op == XIO_WRITE && rq->flags & XIO_FUA)
		WRITE_ONCE(fb->low.lost, true);
	mars_lower_done(&fb->low, rq, status);
}

static void iocb_done(struct file_brick *fb, struct file_aspect *a, ssize_t got)
{
	struct xio_request *rq = a->rq;
	int status;

	if (rq->op == XIO_WRITE)
		kiocb_end_write(&a->iocb);
	if (got > 0)
		a->done += got;
	if (settled(fb, rq, a->done, got, &status))
		transfer_end(fb, rq, a->done, status);
	else
		mars_lane_add(&fb->lane[rq->op == XIO_WRITE ? FILE_WRITER : FILE_READER], rq);
}

/*
 * One holder of an asynchronous transfer is through with it.  It may end before the file
 * system has returned to who started it, and be looked at until then (ext4 after a read):
 * the request, which the iocb is part of, must not go before both are through.
 */
static void iocb_put(struct file_brick *fb, struct file_aspect *a)
{
	if (atomic_dec_and_test(&a->holders))
		iocb_done(fb, a, a->got);
}

/* End of an asynchronous one; any context. */
static void iocb_complete(struct kiocb *iocb, long got)
{
	struct file_aspect *a = container_of(iocb, struct file_aspect, iocb);

	a->got = got;
	iocb_put(to_file(a->rq->hop->brick), a);
}

/*
 * Drop what was used once from the page cache, a little later: by the first time what was
 * read has settled, by the second what was still dirty then has been written.
 */
static void drop_behind(struct file_brick *fb, u64 pos, u64 len)
{
	if (fb->drop && pos >= FILE_DROP_LAG)
		vfs_fadvise(fb->file, pos - FILE_DROP_LAG, len, POSIX_FADV_DONTNEED);
	if (fb->drop && pos >= 4 * FILE_DROP_LAG)
		vfs_fadvise(fb->file, pos - 4 * FILE_DROP_LAG, len, POSIX_FADV_DONTNEED);
}

/* Start the transfer, or go on behind a->done. */
static void transfer(struct file_brick *fb, struct xio_request *rq)
{
	struct file_aspect *a = xio_aspect(rq);
	const struct file_operations *op = fb->file->f_op;
	bool write = rq->op == XIO_WRITE;
	u64 pos = rq->pos, len = rq->len;
	struct iov_iter iter;
	ssize_t got;

	init_sync_kiocb(&a->iocb, fb->file);
	a->iocb.ki_pos = rq->pos + a->done;
	if (fb->low.direct) {
		a->iocb.ki_complete = iocb_complete;
		atomic_set(&a->holders, 2);
	}
	if (write)
		a->iocb.ki_flags |= IOCB_WRITE;	/* overlayfs asks at the end which way it was */
	if (write && rq->flags & XIO_FUA)
		a->iocb.ki_flags |= IOCB_DSYNC;
	iov_iter_bvec(&iter, write ? ITER_SOURCE : ITER_DEST, rq->vec, rq->nr_vec,
		      rq->skip + rq->len);
	iov_iter_advance(&iter, rq->skip + a->done);

	if (write)
		kiocb_start_write(&a->iocb);
	got = write ? op->write_iter(&a->iocb, &iter) : op->read_iter(&a->iocb, &iter);
	if (got == -EIOCBQUEUED) {
		iocb_put(fb, a);
		return;
	}
	if (got > 0)
		drop_behind(fb, pos, len);
	iocb_done(fb, a, got);
}

unsigned int file_worker_enter(void)
{
	unsigned int flags = current->flags & (PF_LOCAL_THROTTLE | PF_MEMALLOC_NOIO);

	current->flags |= PF_LOCAL_THROTTLE | PF_MEMALLOC_NOIO;
	return flags;
}

void file_worker_leave(unsigned int flags)
{
	current->flags &= ~(PF_LOCAL_THROTTLE | PF_MEMALLOC_NOIO);
	current->flags |= flags;
}

void file_io_work(struct kthread_work *work)
{
	struct mars_lane *lane = container_of(work, struct mars_lane, work);
	unsigned int flags = file_worker_enter();
	struct xio_request *rq;
	struct blk_plug plug;

	blk_start_plug(&plug);
	while ((rq = mars_lane_next(lane)))
		transfer(lane->owner, rq);
	blk_finish_plug(&plug);
	file_worker_leave(flags);
}

/* --- synchronous transfers --- */

ssize_t file_move(struct file_brick *fb, struct bio_vec *vec, unsigned int nr_vec, u64 pos,
		  size_t len, bool write, bool dsync)
{
	const struct file_operations *op = fb->file->f_op;
	struct iov_iter iter;
	struct kiocb iocb;
	ssize_t got;

	init_sync_kiocb(&iocb, fb->file);
	iocb.ki_pos = pos;
	if (dsync)
		iocb.ki_flags |= IOCB_DSYNC;
	iov_iter_bvec(&iter, write ? ITER_SOURCE : ITER_DEST, vec, nr_vec, len);
	if (!write)
		return op->read_iter(&iocb, &iter);
	file_start_write(fb->file);
	got = op->write_iter(&iocb, &iter);
	file_end_write(fb->file);
	return got;
}

/* Next piece of a request through the bounce buffer. */
static ssize_t bounce_piece(struct file_brick *fb, struct xio_request *rq, u64 done)
{
	size_t len = min_t(u64, rq->len - done, FILE_BOUNCE);
	bool write = rq->op == XIO_WRITE;
	struct bio_vec bv;
	ssize_t got;

	bvec_set_virt(&bv, fb->bounce, len);
	if (write)
		xio_copy_in(rq, done, fb->bounce, len);
	got = file_move(fb, &bv, 1, rq->pos + done, len, write, rq->flags & XIO_FUA);
	if (!write && got > 0)
		xio_copy_out(rq, done, fb->bounce, got);
	return got;
}

static void bounce_transfer(struct file_brick *fb, struct xio_request *rq)
{
	ssize_t got;
	u64 done = 0;
	int status;

	do {
		got = bounce_piece(fb, rq, done);
		if (got > 0)
			done += got;
	} while (!settled(fb, rq, done, got, &status));
	transfer_end(fb, rq, done, status);
}

void file_bounce_work(struct kthread_work *work)
{
	struct mars_lane *lane = container_of(work, struct mars_lane, work);
	unsigned int flags = file_worker_enter();
	struct xio_request *rq;

	while ((rq = mars_lane_next(lane)))
		bounce_transfer(lane->owner, rq);
	file_worker_leave(flags);
}
