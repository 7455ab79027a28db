/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trace.h - what happens, told to whoever listens
 *
 * In the kernel these are tracepoints (linux/trace.h; events mars:mars_*), a no-op while
 * nobody listens; the embedded engine has none.  Any context, also under spinlocks.
 */
#ifndef _MARS_CORE_TRACE_H
#define _MARS_CORE_TRACE_H

#ifdef __KERNEL__

#include "../linux/trace.h"

#else

#include <linux/types.h>

struct mars_brick;
struct xio_request;

/* the button was pressed */
static inline void trace_mars_switch(const struct mars_brick *brick, bool on)
{
}

/* the lamps changed */
static inline void trace_mars_lamps(const struct mars_brick *brick, bool on, bool off)
{
}

/* an input points to another brick; NULL = to none */
static inline void trace_mars_wire(const struct mars_brick *brick, unsigned int input,
				   const struct mars_brick *to)
{
}

/* enum mars_state and the error behind it changed */
static inline void trace_mars_state(const struct mars_brick *brick, u8 state, int error)
{
}

/* logger: header of log @number is durable; the one before ends at @prev_end */
static inline void trace_mars_log_begin(const struct mars_brick *brick, u64 number,
					unsigned int slot, u64 prev_end)
{
}

/* logger: the log is durable up to @pos, record @seq; @nr records came with this group */
static inline void trace_mars_durable(const struct mars_brick *brick, u64 number, u64 pos,
				      u64 seq, u32 nr)
{
}

/* logger, replay: the data disk holds everything before, flushed */
static inline void trace_mars_checkpoint(const struct mars_brick *brick, u64 number, u64 pos)
{
}

/* replay: the valid log ended at @pos, enum mars_log_verdict says why */
static inline void trace_mars_replay_stop(const struct mars_brick *brick, u64 number, u64 pos,
					  unsigned int verdict)
{
}

/* a request leaves its initiator */
static inline void trace_mars_rq_submit(const struct xio_request *rq)
{
}

/* a request is back at its initiator */
static inline void trace_mars_rq_end(const struct xio_request *rq)
{
}

/* ... with an error */
static inline void trace_mars_rq_error(const struct xio_request *rq)
{
}

#endif /* __KERNEL__ */

#endif /* _MARS_CORE_TRACE_H */
