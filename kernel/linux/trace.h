/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace.h - tracepoints, system "mars"
 *
 * Their meaning stands in core/trace.h, which includes this file.  Names and fields are
 * stable: new ones are appended.  brick is the name of the brick; of a request, that of
 * the brick it is given to, and rq tells requests in flight apart.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM mars

#if !defined(_MARS_LINUX_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _MARS_LINUX_TRACE_H

#include <linux/string.h>
#include <linux/tracepoint.h>

#include "core/brick.h"
#include "core/xio.h"

/* A name is copied whole: it is zero behind its end. */
#define BRICK_FIELD	__array(char, brick, MARS_NAME_MAX)
#define BRICK_ASSIGN(b)	memcpy(__entry->brick, (b)->name, MARS_NAME_MAX)

TRACE_EVENT(mars_switch,
	TP_PROTO(const struct mars_brick *brick, bool on),
	TP_ARGS(brick, on),
	TP_STRUCT__entry(
		BRICK_FIELD
		__field(bool, on)
	),
	TP_fast_assign(
		BRICK_ASSIGN(brick);
		__entry->on = on;
	),
	TP_printk("brick=%s on=%d", __entry->brick, __entry->on)
);

TRACE_EVENT(mars_lamps,
	TP_PROTO(const struct mars_brick *brick, bool on, bool off),
	TP_ARGS(brick, on, off),
	TP_STRUCT__entry(
		BRICK_FIELD
		__field(bool, on)
		__field(bool, off)
	),
	TP_fast_assign(
		BRICK_ASSIGN(brick);
		__entry->on = on;
		__entry->off = off;
	),
	TP_printk("brick=%s on=%d off=%d", __entry->brick, __entry->on, __entry->off)
);

TRACE_EVENT(mars_wire,
	TP_PROTO(const struct mars_brick *brick, unsigned int input,
		 const struct mars_brick *to),
	TP_ARGS(brick, input, to),
	TP_STRUCT__entry(
		BRICK_FIELD
		__field(unsigned int, input)
		__array(char, to, MARS_NAME_MAX)
	),
	TP_fast_assign(
		BRICK_ASSIGN(brick);
		__entry->input = input;
		if (to)
			memcpy(__entry->to, to->name, MARS_NAME_MAX);
		else
			memset(__entry->to, 0, MARS_NAME_MAX);
	),
	TP_printk("brick=%s input=%u to=%s", __entry->brick, __entry->input, __entry->to)
);

TRACE_EVENT(mars_state,
	TP_PROTO(const struct mars_brick *brick, u8 state, int error),
	TP_ARGS(brick, state, error),
	TP_STRUCT__entry(
		BRICK_FIELD
		__field(u8, state)
		__field(int, error)
	),
	TP_fast_assign(
		BRICK_ASSIGN(brick);
		__entry->state = state;
		__entry->error = error;
	),
	TP_printk("brick=%s state=%u error=%d", __entry->brick, __entry->state, __entry->error)
);

TRACE_EVENT(mars_log_begin,
	TP_PROTO(const struct mars_brick *brick, u64 number, unsigned int slot, u64 prev_end),
	TP_ARGS(brick, number, slot, prev_end),
	TP_STRUCT__entry(
		BRICK_FIELD
		__field(u64, number)
		__field(unsigned int, slot)
		__field(u64, prev_end)
	),
	TP_fast_assign(
		BRICK_ASSIGN(brick);
		__entry->number = number;
		__entry->slot = slot;
		__entry->prev_end = prev_end;
	),
	TP_printk("brick=%s number=%llu slot=%u prev_end=%llu", __entry->brick,
		  __entry->number, __entry->slot, __entry->prev_end)
);

TRACE_EVENT(mars_durable,
	TP_PROTO(const struct mars_brick *brick, u64 number, u64 pos, u64 seq, u32 nr),
	TP_ARGS(brick, number, pos, seq, nr),
	TP_STRUCT__entry(
		BRICK_FIELD
		__field(u64, number)
		__field(u64, pos)
		__field(u64, seq)
		__field(u32, nr)
	),
	TP_fast_assign(
		BRICK_ASSIGN(brick);
		__entry->number = number;
		__entry->pos = pos;
		__entry->seq = seq;
		__entry->nr = nr;
	),
	TP_printk("brick=%s number=%llu pos=%llu seq=%llu nr=%u", __entry->brick,
		  __entry->number, __entry->pos, __entry->seq, __entry->nr)
);

TRACE_EVENT(mars_checkpoint,
	TP_PROTO(const struct mars_brick *brick, u64 number, u64 pos),
	TP_ARGS(brick, number, pos),
	TP_STRUCT__entry(
		BRICK_FIELD
		__field(u64, number)
		__field(u64, pos)
	),
	TP_fast_assign(
		BRICK_ASSIGN(brick);
		__entry->number = number;
		__entry->pos = pos;
	),
	TP_printk("brick=%s number=%llu pos=%llu", __entry->brick, __entry->number,
		  __entry->pos)
);

TRACE_EVENT(mars_replay_stop,
	TP_PROTO(const struct mars_brick *brick, u64 number, u64 pos, unsigned int verdict),
	TP_ARGS(brick, number, pos, verdict),
	TP_STRUCT__entry(
		BRICK_FIELD
		__field(u64, number)
		__field(u64, pos)
		__field(unsigned int, verdict)
	),
	TP_fast_assign(
		BRICK_ASSIGN(brick);
		__entry->number = number;
		__entry->pos = pos;
		__entry->verdict = verdict;
	),
	TP_printk("brick=%s number=%llu pos=%llu verdict=%u", __entry->brick,
		  __entry->number, __entry->pos, __entry->verdict)
);

DECLARE_EVENT_CLASS(mars_rq,
	TP_PROTO(const struct xio_request *rq),
	TP_ARGS(rq),
	TP_STRUCT__entry(
		BRICK_FIELD
		__field(const void *, rq)
		__field(u8, op)
		__field(u8, flags)
		__field(u64, pos)
		__field(u64, len)
		__field(int, status)
	),
	TP_fast_assign(
		BRICK_ASSIGN(rq->route->top->brick);
		__entry->rq = rq;
		__entry->op = rq->op;
		__entry->flags = rq->flags;
		__entry->pos = rq->pos;
		__entry->len = rq->len;
		__entry->status = rq->status;
	),
	TP_printk("brick=%s rq=%p op=%s flags=%s pos=%llu len=%llu status=%d", __entry->brick,
		  __entry->rq,
		  __print_symbolic(__entry->op,
			{ XIO_READ, "read" }, { XIO_WRITE, "write" }, { XIO_FLUSH, "flush" },
			{ XIO_DISCARD, "discard" }, { XIO_WRITE_ZEROES, "zeroes" }),
		  __print_flags(__entry->flags, "|",
			{ XIO_FUA, "fua" }, { XIO_NOUNMAP, "nounmap" },
			{ XIO_PRIO_LOW, "low" }, { XIO_MAY_SLEEP, "may-sleep" }),
		  __entry->pos, __entry->len, __entry->status)
);

DEFINE_EVENT(mars_rq, mars_rq_submit, TP_PROTO(const struct xio_request *rq), TP_ARGS(rq));
DEFINE_EVENT(mars_rq, mars_rq_end, TP_PROTO(const struct xio_request *rq), TP_ARGS(rq));
DEFINE_EVENT(mars_rq, mars_rq_error, TP_PROTO(const struct xio_request *rq), TP_ARGS(rq));

#undef BRICK_FIELD
#undef BRICK_ASSIGN

#endif /* _MARS_LINUX_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
