// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bdev_io.c - requests of a bdev brick as bios
 *
 * The bio lives in the aspect and its segments are those of the request, from rq->skip
 * on, as in a clone: READ, WRITE and FLUSH allocate nothing, copy nothing, and the block
 * layer splits what the device can't take at once.
 *
 * Who may sleep submits at once; below a bio-based device the block layer only queues
 * such a bio until that device's submission has returned, so nothing recurses.  All
 * others go through a lane, whose work item submits what has gathered under one plug, so
 * that a sorted writeback merges.
 *
 * DISCARD must leave zeros behind, which a device's own discard does not promise.  So it
 * is a write of zeros that may free the space; where the device has none, zeros are
 * written.  This takes bios from the kernel's reserve and may wait for many of them: it
 * has a lane of its own, with one request at a time.
 *
 * Failure: the status goes to the initiator and shows as MARS_S_IO_ERROR until the next
 * success.  What a failed flush may have lost is up to the bricks above: logger and
 * replay go back to their last checkpoint.
 */
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/sched/mm.h>

#include "bdev_brick.h"

static void bdev_note(struct bdev_brick *bb, int status)
{
	/* a refusal says nothing about the health of the disk */
	if (status == -EINVAL || status == -EOPNOTSUPP)
		return;
	if (READ_ONCE(bb->error) != status && xchg(&bb->error, status) != status)
		mars_brick_event(&bb->brick, MARS_EV_STATE);
}

void bdev_done(struct bdev_brick *bb, struct xio_request *rq, int status)
{
	if (!status && rq->op == XIO_READ)
		atomic64_add(rq->len, &bb->bytes_read);
	else if (!status && rq->op == XIO_WRITE)
		atomic64_add(rq->len, &bb->bytes_written);
	bdev_note(bb, status);
	xio_complete(rq, status);
	mars_gate_leave(&bb->gate);
}

/* --- bios --- */

static void bdev_end_io(struct bio *bio)
{
	struct xio_request *rq = bio->bi_private;
	struct bdev_brick *bb = to_bdev(rq->hop->brick);
	int status = blk_status_to_errno(bio->bi_status);

	bio_uninit(bio);
	bdev_done(bb, rq, status);
}

static blk_opf_t opf_of(const struct xio_request *rq)
{
	blk_opf_t opf = rq->op == XIO_READ ? REQ_OP_READ : REQ_OP_WRITE;

	if (rq->op == XIO_FLUSH)
		return REQ_OP_WRITE | REQ_PREFLUSH | REQ_SYNC;
	if (rq->op == XIO_WRITE && rq->flags & XIO_FUA)
		opf |= REQ_FUA;
	if (!(rq->flags & XIO_PRIO_LOW))
		opf |= REQ_SYNC;
	return opf;
}

/* The bytes of the request as they lie in rq->vec; like the iterator of a cloned bio. */
static void set_data(struct bio *bio, const struct xio_request *rq)
{
	u64 skip = rq->skip;
	unsigned int i = 0;

	while (i < rq->nr_vec && skip >= rq->vec[i].bv_len)
		skip -= rq->vec[i++].bv_len;
	bio_set_flag(bio, BIO_CLONED);
	bio->bi_iter.bi_sector = rq->pos >> SECTOR_SHIFT;
	bio->bi_iter.bi_size = rq->len;
	bio->bi_iter.bi_idx = i;
	bio->bi_iter.bi_bvec_done = skip;
}

void bdev_start(struct bdev_brick *bb, struct xio_request *rq)
{
	struct bdev_aspect *a = xio_aspect(rq);
	struct bio *bio = &a->bio;

	bio_init(bio, bb->lower.bdev, rq->op == XIO_FLUSH ? NULL : rq->vec, 0, opf_of(rq));
	if (rq->op != XIO_FLUSH)
		set_data(bio, rq);
	bio->bi_private = rq;
	bio->bi_end_io = bdev_end_io;
	submit_bio_noacct(bio);
}

void bdev_io_work(struct work_struct *work)
{
	struct mars_lane *lane = container_of(work, struct mars_lane, work);
	unsigned int noio = memalloc_noio_save();
	struct xio_request *rq, *next;
	struct blk_plug plug;
	LIST_HEAD(batch);

	mars_lane_all(lane, &batch);
	blk_start_plug(&plug);
	list_for_each_entry_safe(rq, next, &batch, link) {
		list_del_init(&rq->link);
		bdev_start(lane->owner, rq);
	}
	blk_finish_plug(&plug);
	memalloc_noio_restore(noio);
}

/* --- zeros --- */

static int bdev_clear(struct bdev_brick *bb, const struct xio_request *rq)
{
	bool keep = rq->op == XIO_WRITE_ZEROES && rq->flags & XIO_NOUNMAP;
	int err;

	err = blkdev_issue_zeroout(bb->lower.bdev, rq->pos >> SECTOR_SHIFT, rq->len >> SECTOR_SHIFT,
				   GFP_NOIO, keep ? BLKDEV_ZERO_NOUNMAP : 0);
	if (!err && rq->flags & XIO_FUA)
		err = blkdev_issue_flush(bb->lower.bdev);
	return err;
}

void bdev_clear_work(struct work_struct *work)
{
	struct mars_lane *lane = container_of(work, struct mars_lane, work);
	unsigned int noio = memalloc_noio_save();
	struct bdev_brick *bb = lane->owner;
	struct xio_request *rq;

	while ((rq = mars_lane_next(lane)))
		bdev_done(bb, rq, bdev_clear(bb, rq));
	memalloc_noio_restore(noio);
}
