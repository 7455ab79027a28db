// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * if_io.c - bios in, requests out
 *
 * Each bio, split to the limits, becomes one request; its segments are used in place.
 * The disk is bio-based, so flushes are ours to order: a bio with PREFLUSH and data is a
 * FLUSH and then the write, by the same request.  Above a logger one durable write does
 * for both: a log is durable in order, so a durable record says that all that completed
 * before it are.
 *
 * Write cache off (queue/write_cache, by the operator): the block layer then takes FLUSH
 * and FUA away, as nobody needs them; so every change is made durable by itself here.
 *
 * REQ_NOWAIT is honoured: memory is asked for without waiting, and nobody below may sleep
 * in the caller's context (no XIO_MAY_SLEEP).  Waiting for credits or log space happens
 * after submission, as in any disk's queue, which is as long as IF_CHANGES allows.
 *
 * Memory pressure: a bio takes at most one split bio (from the disk's own set), room among
 * the changes inside and one request (from the route's pool), in this order, and holds
 * none while it waits for another of the same kind.  What it starts below is only put on current->bio_list by
 * the block layer when it does device IO at once, and that list is worked off, lower
 * devices first, before this function is called again in the same context.  So whoever
 * waits here waits for requests that are on their way, and these allocate nothing more.
 *
 * Context: if_submit_bio() in process context without locks; if_end() in any.
 */
#include <linux/bio.h>

#include "core/types.h"
#include "if.h"

/* Requests carry memory by kernel address: xio_walk(). */
static_assert(!IS_ENABLED(CONFIG_HIGHMEM));

unsigned int if_in_flight(struct if_brick *ifb)
{
	return (unsigned int)atomic_read(&ifb->gate.state) >> 1;
}

/* The bio is done; nothing of the brick is touched behind this. */
static void if_done(struct if_brick *ifb, struct bio *bio, blk_status_t status)
{
	bio->bi_status = status;
	bio_endio(bio);
	mars_gate_leave(&ifb->gate);
}

static void if_count(struct if_brick *ifb, const struct bio *bio, u8 op)
{
	atomic64_inc(&ifb->nr[op]);
	if (op == XIO_READ)
		atomic64_add(bio->bi_iter.bi_size, &ifb->bytes_read);
	else if (op == XIO_WRITE)
		atomic64_add(bio->bi_iter.bi_size, &ifb->bytes_written);
}

/* --- room for changes --- */

static bool is_change(const struct bio *bio)
{
	return bio_sectors(bio) && op_is_write(bio_op(bio));
}

static bool take_room(struct if_brick *ifb)
{
	return atomic_add_unless(&ifb->changes, 1, IF_CHANGES);
}

static void give_room(struct if_brick *ifb)
{
	atomic_dec(&ifb->changes);
	if (wq_has_sleeper(&ifb->room))
		wake_up(&ifb->room);
}

/* The request is through. */
static void if_end(struct xio_request *rq, struct xio_end *end)
{
	struct if_brick *ifb = to_if(rq->route->input->brick);
	unsigned long started = rq->cookie;
	struct bio *bio = rq->private;
	int status = rq->status;

	xio_free(rq);
	if (is_change(bio))
		give_room(ifb);
	if (bio_sectors(bio))
		bio_end_io_acct(bio, started);
	if_done(ifb, bio, errno_to_blk_status(status));
}

/* --- from bio to request --- */

/* The request's memory is the bio's, from where its iterator stands. */
static void set_memory(struct xio_request *rq, struct bio *bio)
{
	const struct bvec_iter *iter = &bio->bi_iter;
	u64 left = (u64)iter->bi_bvec_done + iter->bi_size;

	rq->vec = __bvec_iter_bvec(bio->bi_io_vec, *iter);
	rq->skip = iter->bi_bvec_done;
	for (rq->nr_vec = 0; left; rq->nr_vec++)
		left -= min_t(u64, left, rq->vec[rq->nr_vec].bv_len);
}

/* Which operation; -1 = none that we offer. */
static int op_of(const struct bio *bio)
{
	switch (bio_op(bio)) {
	case REQ_OP_READ:
		return XIO_READ;
	case REQ_OP_WRITE:
		return bio_sectors(bio) ? XIO_WRITE : XIO_FLUSH;
	case REQ_OP_DISCARD:
		return XIO_DISCARD;
	case REQ_OP_WRITE_ZEROES:
		return XIO_WRITE_ZEROES;
	default:
		return -1;
	}
}

static u8 flags_of(const struct bio *bio, u8 op)
{
	u8 flags = 0;

	if (op == XIO_READ || op == XIO_FLUSH)
		return 0;
	if (bio->bi_opf & REQ_FUA || !bdev_write_cache(bio->bi_bdev))
		flags |= XIO_FUA;
	if (op == XIO_WRITE_ZEROES && bio->bi_opf & REQ_NOUNMAP)
		flags |= XIO_NOUNMAP;
	return flags;
}

/* All but what a flush in front would need otherwise. */
static void fill(struct xio_request *rq, struct bio *bio, u8 op)
{
	rq->op = op;
	rq->flags = flags_of(bio, op);
	if (op == XIO_FLUSH)
		return;
	rq->pos = (u64)bio->bi_iter.bi_sector << SECTOR_SHIFT;
	rq->len = bio->bi_iter.bi_size;
	if (op == XIO_READ || op == XIO_WRITE)
		set_memory(rq, bio);
}

/* --- flush in front of a write --- */

/* Does a durable write say that all writes completed before it are durable? */
static bool durable_in_order(const struct xio_request *rq)
{
	return rq->route->top->brick->type == &logger_brick_type;
}

static void if_preflush_end(struct xio_request *rq, struct xio_end *end)
{
	if (rq->status) {
		if_end(rq, end);
		return;
	}
	fill(rq, rq->private, op_of(rq->private));
	xio_submit(rq, if_end);
}

static bool needs_preflush(struct xio_request *rq, const struct bio *bio)
{
	if (!(bio->bi_opf & REQ_PREFLUSH) || rq->op == XIO_FLUSH)
		return false;
	if (!durable_in_order(rq))
		return true;
	rq->flags |= XIO_FUA;
	return false;
}

static void if_start(struct xio_request *rq, struct bio *bio, u8 op)
{
	bool may_sleep = !(bio->bi_opf & REQ_NOWAIT);

	rq->private = bio;
	fill(rq, bio, op);
	if (bio_sectors(bio))
		rq->cookie = bio_start_io_acct(bio);
	if (needs_preflush(rq, bio)) {
		rq->op = XIO_FLUSH;
		rq->flags = may_sleep ? XIO_MAY_SLEEP : 0;
		rq->pos = 0;
		rq->len = 0;
		xio_submit(rq, if_preflush_end);
		return;
	}
	if (may_sleep)
		rq->flags |= XIO_MAY_SLEEP;
	xio_submit(rq, if_end);
}

/* What the block layer leaves to drivers; BLK_STS_OK = go on. */
static blk_status_t check(const struct bio *bio, int op)
{
	unsigned int block = bdev_logical_block_size(bio->bi_bdev) >> SECTOR_SHIFT;

	if (op < 0)
		return BLK_STS_NOTSUPP;
	if (op == XIO_READ || op == XIO_FLUSH)
		return BLK_STS_OK;
	if (bdev_read_only(bio->bi_bdev))
		return BLK_STS_IOERR;
	/* a record that the data disk can't take must not get into a log */
	if ((bio->bi_iter.bi_sector | bio_sectors(bio)) & (block - 1))
		return BLK_STS_IOERR;
	return BLK_STS_OK;
}

/* A request for @bio, with room for it; NULL = there is no memory or the bio must not wait. */
static struct xio_request *request_for(struct if_brick *ifb, const struct bio *bio)
{
	bool nowait = bio->bi_opf & REQ_NOWAIT, change = is_change(bio);
	struct xio_request *rq;

	if (change && !take_room(ifb)) {
		if (nowait)
			return NULL;
		io_wait_event(ifb->room, take_room(ifb));
	}
	rq = xio_alloc(&ifb->brick.input[0], nowait ? GFP_NOWAIT | __GFP_NOWARN : GFP_NOIO);
	if (!rq && change)
		give_room(ifb);
	return rq;
}

void if_submit_bio(struct bio *bio)
{
	struct if_brick *ifb = bio->bi_bdev->bd_disk->private_data;
	struct xio_request *rq;
	blk_status_t status;
	int op;

	bio = bio_split_to_limits(bio);
	if (!bio)
		return;
	if (!mars_gate_enter(&ifb->gate)) {
		bio_io_error(bio);
		return;
	}
	op = op_of(bio);
	status = check(bio, op);
	if (status != BLK_STS_OK) {
		if_done(ifb, bio, status);
		return;
	}
	rq = request_for(ifb, bio);
	if (!rq) {
		if_done(ifb, bio, bio->bi_opf & REQ_NOWAIT ? BLK_STS_AGAIN : BLK_STS_IOERR);
		return;
	}
	if_count(ifb, bio, op);
	if_start(rq, bio, op);
}
