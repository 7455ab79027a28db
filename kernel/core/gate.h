/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate.h - counting what is inside a brick, so that "off" means nothing in flight
 *
 * One atomic: bit 0 says closed, the rest counts those inside in steps of 2.  Whoever
 * makes it "closed and nobody inside" calls the empty function, which is always exactly
 * one caller per closing: the closer itself or the last to leave.
 *
 * A brick enters for each request it takes (or starts by itself) and leaves as the
 * last thing it does with it.  The empty function may report the brick off, after
 * which the brick may vanish: nothing is touched behind it.
 *
 * Any context.  open and close are serialised by their caller (power methods are).
 */
#ifndef _MARS_GATE_H
#define _MARS_GATE_H

#include <linux/atomic.h>
#include <linux/bug.h>

struct mars_gate {
	atomic_t state;
	void (*empty)(struct mars_gate *gate);	/* constant */
};

/** mars_gate_init - the gate begins closed, with nobody inside */
static inline void mars_gate_init(struct mars_gate *gate,
				  void (*empty)(struct mars_gate *gate))
{
	atomic_set(&gate->state, 1);
	gate->empty = empty;
}

/** mars_gate_open - let them in; only when closed and empty */
static inline void mars_gate_open(struct mars_gate *gate)
{
	WARN_ON(atomic_read(&gate->state) != 1);
	atomic_set(&gate->state, 0);
}

/** mars_gate_close - nobody enters from now on; empty() comes now or later */
static inline void mars_gate_close(struct mars_gate *gate)
{
	int state = atomic_add_return(1, &gate->state);

	WARN_ON(!(state & 1));		/* was closed already */
	if (state == 1)
		gate->empty(gate);
}

/** mars_gate_enter - true: inside, mars_gate_leave() must follow; false: closed */
static inline bool mars_gate_enter(struct mars_gate *gate)
{
	int state = atomic_read(&gate->state);

	do {
		if (state & 1)
			return false;
	} while (!atomic_try_cmpxchg(&gate->state, &state, state + 2));
	return true;
}

/** mars_gate_hold - one more inside, by somebody who is inside; works when closed too */
static inline void mars_gate_hold(struct mars_gate *gate)
{
	atomic_add(2, &gate->state);
}

/** mars_gate_leave - the brick may be gone behind this */
static inline void mars_gate_leave(struct mars_gate *gate)
{
	if (atomic_sub_return(2, &gate->state) == 1)
		gate->empty(gate);
}

#endif /* _MARS_GATE_H */
