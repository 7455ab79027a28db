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
 * others go through a lane, whose thread submits what has gathered under one plug, so
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

/* --- bios --- */

static void bdev_end_io(struct bio *bio)
{
	struct xio_request *rq = bio->bi_private;
	struct bdev_brick *bb = to_bdev(rq->hop->brick);
	int status = blk_status_to_errno(bio->bi_status);

	bio_uninit(bio);
	mars_lower_done(&bb->low, rq, status);
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

	bio_init(bio, bb->dev.bdev, rq->op == XIO_FLUSH ? NULL : rq->vec, 0, opf_of(rq));
	if (rq->op != XIO_FLUSH)
		set_data(bio, rq);
	bio->bi_private = rq;
	bio->bi_end_io = bdev_end_io;
	submit_bio_noacct(bio);
}

void bdev_io_work(struct kthread_work *work)
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

	err = blkdev_issue_zeroout(bb->dev.bdev, rq->pos >> SECTOR_SHIFT, rq->len >> SECTOR_SHIFT,
				   GFP_NOIO, keep ? BLKDEV_ZERO_NOUNMAP : 0);
	if (!err && rq->flags & XIO_FUA)
		err = blkdev_issue_flush(bb->dev.bdev);
	return err;
}

void bdev_clear_work(struct kthread_work *work)
{
	struct mars_lane *lane = container_of(work, struct mars_lane, work);
	unsigned int noio = memalloc_noio_save();
	struct bdev_brick *bb = lane->owner;
	struct xio_request *rq;

	while ((rq = mars_lane_next(lane)))
		mars_lower_done(&bb->low, rq, bdev_clear(bb, rq));
	memalloc_noio_restore(noio);
}
