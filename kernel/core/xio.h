/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xio.h - the XIO personality: block IO requests between bricks
 *
 * Life of a request: xio_alloc() on an input, fill in, xio_submit(); every brick
 * on the way may push a frame of its aspect (xio_push) before it hands the
 * request down (xio_forward); whoever finishes it calls xio_complete(), which
 * unwinds the frames in reverse order and at last calls the initiator's end
 * function.  The initiator then calls xio_free().  A request ends exactly once;
 * completion may happen inside submit, from any context that may take spinlocks
 * with interrupts off.  Nobody touches a request after completing it.
 *
 * Bricks never sleep in submit, unless the request says XIO_MAY_SLEEP: its initiator is
 * in process context without a lock, so the lowest brick may start device IO at once
 * instead of waking a worker.  The flag speaks of the present caller only: completion
 * takes it away, and a brick that puts a request off takes it away too.
 *
 * Buffers belong to the initiator and stay stable until the end function runs.
 */
#ifndef _MARS_XIO_H
#define _MARS_XIO_H

#include <linux/types.h>
#include <linux/bvec.h>
#include <linux/gfp.h>

#include "brick.h"

#define XIO_MAX_IO	(1U << 20)	/* longest READ or WRITE, bytes */

enum xio_op {
	XIO_READ	= 0,
	XIO_WRITE	= 1,
	XIO_FLUSH	= 2,	/* pos, len = 0: all completed writes become durable */
	XIO_DISCARD	= 3,	/* afterwards the range reads as zeros; space may be freed */
	XIO_WRITE_ZEROES = 4,	/* ditto; space is kept when XIO_NOUNMAP */
	XIO_NR_OPS
};

#define XIO_FUA		(1u << 0)	/* durable at completion */
#define XIO_NOUNMAP	(1u << 1)
#define XIO_PRIO_LOW	(1u << 2)	/* others go first; an allocation leaves them space */
#define XIO_MAY_SLEEP	(1u << 3)	/* the caller of submit may be put to sleep; see below */
#define XIO_FLAGS_ALL	0xfu

struct xio_end;
typedef void (*xio_end_fn)(struct xio_request *rq, struct xio_end *end);

/* A completion frame; lives in an aspect or in the request itself. */
struct xio_end {
	xio_end_fn fn;
	struct xio_end *next;
	const struct mars_hop *hop;
};

/**
 * struct xio_request - one IO
 * @route: pinned snapshot of the wiring; constant
 * @hop: where the request is now; owned by xio_submit/forward/complete
 * @end: top of the completion stack
 * @op: enum xio_op; constant from submit to end
 * @flags: XIO_*
 * @status: 0 or -errno, set by xio_complete()
 * @pos: byte position
 * @len: bytes; READ and WRITE at most XIO_MAX_IO
 * @vec: memory segments; together at least @len bytes behind @skip
 * @nr_vec: number of segments
 * @skip: bytes to skip at the front of @vec
 * @link: for whoever holds the request right now
 * @private: the initiator's
 * @cookie: ditto
 */
struct xio_request {
	struct mars_route *route;
	const struct mars_hop *hop;
	struct xio_end *end;
	struct xio_end base;
	u8 op;
	u8 flags;
	u16 nr_vec;
	int status;
	u64 pos;
	u64 len;
	struct bio_vec *vec;
	u64 skip;
	struct list_head link;
	void *private;
	unsigned long cookie;
};

/**
 * struct xio_info - what a brick says of itself
 * @size: bytes
 * @align: positions and lengths must be multiples of it (1 = any)
 * @max_io: longest READ/WRITE it takes, bytes
 * @volatile_cache: completed writes need FLUSH or FUA to become durable
 * @rotational: seeks cost
 */
struct xio_info {
	u64 size;
	u32 align;
	u32 max_io;
	bool volatile_cache;
	bool rotational;
	bool read_only;
};

/** xio_alloc - new request on @input; NULL without memory or when not connected */
struct xio_request *xio_alloc(struct mars_input *input, gfp_t gfp);
/**
 * mars_io_wq - for what a brick must put off while requests wait for it
 *
 * Goes on when memory is short (WQ_MEM_RECLAIM).  Work on it does not sleep, does not
 * take mars_topology_lock and does not allocate with anything stronger than GFP_NOWAIT.
 */
extern struct workqueue_struct *mars_io_wq;

/** xio_free - by the initiator, after its end function ran or instead of submit */
void xio_free(struct xio_request *rq);
/**
 * xio_submit - start the request; @fn runs exactly once, maybe before return
 *
 * Ends at once with -EINVAL: an unknown op or flag; READ, WRITE without length or
 * memory or longer than XIO_MAX_IO; DISCARD, WRITE_ZEROES without length; FLUSH
 * with a position or length; a range that wraps.  Whether a range lies inside the
 * device is checked by the brick that knows the size.
 */
void xio_submit(struct xio_request *rq, xio_end_fn fn);
/**
 * xio_forward - from a brick's submit or end function: hand down input @nr
 *
 * Nothing connected there on this route: the request ends with -ENOTCONN.
 */
void xio_forward(struct xio_request *rq, unsigned int nr);
/** xio_push - the brick now holding @rq wants @fn called at completion */
void xio_push(struct xio_request *rq, struct xio_end *end, xio_end_fn fn);
/** xio_complete - the request is done here with @status (0 or -errno) */
void xio_complete(struct xio_request *rq, int status);

/**
 * xio_aspect - private state of the brick now holding the request: one addition
 *
 * Aligned to 16 bytes, not initialised.  Whoever gets the request into its hands
 * again by an end function or a work item finds it as it was left.
 */
static inline void *xio_aspect(struct xio_request *rq)
{
	return (char *)rq + rq->hop->aspect;
}

typedef void (*xio_walk_fn)(void *mem, size_t len, void *ctx);

/**
 * xio_walk - call @fn for each contiguous piece of request bytes @off .. @off + @len
 *
 * Returns the bytes that @vec was too short for: 0 when all went well.
 */
size_t xio_walk(const struct xio_request *rq, u64 off, size_t len, xio_walk_fn fn, void *ctx);
/** xio_copy_in - copy @len request bytes from offset @off into @dst */
void xio_copy_in(const struct xio_request *rq, u64 off, void *dst, size_t len);
/** xio_copy_out - copy @len bytes at @src into the request at offset @off */
void xio_copy_out(struct xio_request *rq, u64 off, const void *src, size_t len);
/** xio_zero_out - zero @len bytes of the request at offset @off */
void xio_zero_out(struct xio_request *rq, u64 off, size_t len);

#endif /* _MARS_XIO_H */
