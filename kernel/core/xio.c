// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xio.c - moving requests down a route and unwinding them
 *
 * Nothing here takes a lock: at any time exactly one party holds a request.
 *
 * Guard rails: rq->end is NULL exactly while the request is with its initiator.
 * So a second completion and freeing in flight are seen, warned of, and refused
 * (a leaked request is better than a reused one).
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "trace.h"
#include "xio.h"

struct xio_request *xio_alloc(struct mars_input *input, gfp_t gfp)
{
	struct mars_route *route = mars_route_get(input);
	struct xio_request *rq;

	if (!route)
		return NULL;
	rq = mempool_alloc(route->pool, gfp);
	if (!rq) {
		mars_route_put(route);
		return NULL;
	}
	memset(rq, 0, sizeof(*rq));	/* not the aspects */
	rq->route = route;
	INIT_LIST_HEAD(&rq->link);
	return rq;
}

void xio_free(struct xio_request *rq)
{
	struct mars_route *route = rq->route;

	if (WARN_ON(rq->end || !route))
		return;
	rq->route = NULL;
	mempool_free(rq, route->pool);
	mars_route_put(route);
}

static void xio_deliver(struct xio_request *rq, const struct mars_hop *hop)
{
	rq->hop = hop;
	hop->brick->type->submit(hop->brick, rq);
}

/* What every brick may rely on; positions are checked by those who know the size. */
static bool xio_well_formed(const struct xio_request *rq)
{
	if (rq->flags & ~XIO_FLAGS_ALL)
		return false;
	switch (rq->op) {
	case XIO_READ:
	case XIO_WRITE:
		return rq->len && rq->len <= XIO_MAX_IO && rq->vec && rq->nr_vec &&
		       rq->pos + rq->len > rq->pos;
	case XIO_FLUSH:
		return !rq->pos && !rq->len;
	case XIO_DISCARD:
	case XIO_WRITE_ZEROES:
		return rq->len && rq->pos + rq->len > rq->pos;
	}
	return false;
}

void xio_submit(struct xio_request *rq, xio_end_fn fn)
{
	if (WARN_ON(rq->end))
		return;
	rq->status = 0;
	rq->hop = NULL;
	rq->base.fn = fn;
	rq->base.next = NULL;
	rq->base.hop = NULL;
	rq->end = &rq->base;
	trace_mars_rq_submit(rq);
	if (xio_well_formed(rq))
		xio_deliver(rq, rq->route->top);
	else
		xio_complete(rq, -EINVAL);
}

void xio_forward(struct xio_request *rq, unsigned int nr)
{
	const struct mars_hop *below = rq->hop->below[nr];

	if (below)
		xio_deliver(rq, below);
	else
		xio_complete(rq, -ENOTCONN);
}

void xio_push(struct xio_request *rq, struct xio_end *end, xio_end_fn fn)
{
	end->fn = fn;
	end->hop = rq->hop;
	end->next = rq->end;
	rq->end = end;
}

void xio_complete(struct xio_request *rq, int status)
{
	struct xio_end *end = rq->end;

	if (WARN_ON(!end))
		return;
	WARN_ON(status > 0);
	rq->status = status;
	rq->flags &= ~XIO_MAY_SLEEP;
	rq->end = end->next;
	rq->hop = end->hop;
	if (!rq->end) {
		trace_mars_rq_end(rq);
		if (status)
			trace_mars_rq_error(rq);
	}
	end->fn(rq, end);
}

/* --- the memory of a request --- */

size_t xio_walk(const struct xio_request *rq, u64 off, size_t len, xio_walk_fn fn, void *ctx)
{
	const struct bio_vec *bv = rq->vec;
	const struct bio_vec *end = bv + rq->nr_vec;

	off += rq->skip;
	for (; len && bv < end; bv++) {
		size_t part;

		if (off >= bv->bv_len) {
			off -= bv->bv_len;
			continue;
		}
		part = min_t(size_t, bv->bv_len - off, len);
		fn(bvec_virt((struct bio_vec *)bv) + off, part, ctx);
		len -= part;
		off = 0;
	}
	return len;
}

static void piece_in(void *mem, size_t len, void *ctx)
{
	char **dst = ctx;

	memcpy(*dst, mem, len);
	*dst += len;
}

static void piece_out(void *mem, size_t len, void *ctx)
{
	const char **src = ctx;

	memcpy(mem, *src, len);
	*src += len;
}

static void piece_zero(void *mem, size_t len, void *ctx)
{
	memset(mem, 0, len);
}

void xio_copy_in(const struct xio_request *rq, u64 off, void *dst, size_t len)
{
	WARN_ON(xio_walk(rq, off, len, piece_in, &dst));
}

void xio_copy_out(struct xio_request *rq, u64 off, const void *src, size_t len)
{
	WARN_ON(xio_walk(rq, off, len, piece_out, &src));
}

void xio_zero_out(struct xio_request *rq, u64 off, size_t len)
{
	WARN_ON(xio_walk(rq, off, len, piece_zero, NULL));
}
