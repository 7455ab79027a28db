/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * brick.h - bricks, wires, routes, switch and lamps
 *
 * A *brick* is a run-time instance of a brick type, known by name.  It has up to
 * MARS_MAX_INPUTS inputs and at most one output; a *wire* joins an input to the
 * output of a lower brick.  The graph is free of cycles.
 *
 * A *route* is an immutable snapshot of everything reachable below one input:
 * a small tree of *hops*, one per brick, each with the fixed offset of that
 * brick's aspect (its private state) in a request.  A request is one allocation
 * from its route's pool; an aspect access is one addition.  Requests hold a
 * reference on their route.  Rewiring builds new snapshots for every input above
 * the change, publishes them, and lets requests in flight finish on the old
 * ones: nothing in flight ever changes its wire.
 *
 * Locking: the topology (names, wires, hops under construction) belongs to
 * mars_topology_lock, a mutex taken by the control path only.  input->route is
 * read under input->lock.  Leds and events: event_lock.  The IO path takes no
 * lock of this file except input->lock for the length of a pointer copy.
 */
#ifndef _MARS_BRICK_H
#define _MARS_BRICK_H

#include <linux/types.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/refcount.h>
#include <linux/mempool.h>
#include <linux/workqueue.h>

#include "../uapi/mars.h"

#define MARS_MAX_INPUTS	3
#define MARS_MAX_HOPS	16

struct mars_brick;
struct xio_request;
struct xio_info;

/**
 * struct mars_hop - one brick on a route
 * @brick: the brick; pinned by the route (brick->users)
 * @aspect: byte offset of this brick's aspect in a request of this route
 * @below: hops reached through each input; NULL where not connected
 */
struct mars_hop {
	struct mars_brick *brick;
	u32 aspect;
	const struct mars_hop *below[MARS_MAX_INPUTS];
};

/**
 * struct mars_route - immutable snapshot of the wiring below an input
 * @ref: one for the publishing input, one per request
 * @input: where requests of this route are born; not to be followed once the
 *	owner may be gone
 * @size: bytes of a request including all aspects on the deepest path
 * @pool: requests
 * @top: first hop (the brick the input is connected to)
 * @nr: hops used
 * @release: frees the route in process context after the last put
 */
struct mars_route {
	refcount_t ref;
	struct mars_input *input;
	u32 size;
	mempool_t *pool;
	const struct mars_hop *top;
	unsigned int nr;
	struct work_struct release;
	struct mars_hop hop[MARS_MAX_HOPS];
};

struct mars_input {
	struct mars_brick *brick;	/* owner; constant */
	unsigned int nr;		/* index in owner; constant */
	struct mars_brick *to;		/* mars_topology_lock */
	struct list_head up;		/* in to->above; mars_topology_lock */
	struct list_head rewire;	/* of one rewiring; mars_topology_lock */
	struct mars_route *next;	/* being built; mars_topology_lock */
	spinlock_t lock;
	struct mars_route *route;	/* lock; NULL = not connected */
};

/**
 * struct mars_brick_type - a class of bricks; static, registered in one table
 * @name: type name for MARS_VERB_CREATE
 * @nr_inputs: number of inputs
 * @input_name: their names, for messages
 * @has_output: whether an input can be connected to it
 * @forwards: bit k set: requests entering the output may travel down input k
 *	(so their layout must hold the aspects below that input)
 * @size: sizeof the instance, which starts with struct mars_brick
 * @aspect_size: bytes of private state per request passing through
 * @construct: initialise a zeroed instance (may be NULL); process context
 * @destruct: undo @construct; called when off and without users
 * @set: change a parameter; 0 or -errno, sets *reason
 * @power: the button changed; asynchronous: the brick reports with
 *	mars_brick_leds() when done.  On: leds become (on=1, off=0).  Off: first
 *	(0,0), then (0,1) once nothing is in flight.  Only called on a change; on
 *	comes only when fully off, off may come while on is still under way.
 *	Returning -errno (with *reason) refuses the change.  NULL: always works.
 * @submit: a request enters the output; never sleeps; ends in xio_complete().
 *	A brick that is off answers too, with -ESHUTDOWN (mars_gate_enter() in
 *	gate.h makes that simple).
 * @get_info: size and limits; -errno when unknown
 * @status: fill val[], nr_val, state, error, digests; the frame is done
 * @needs: may input @nr not be cut off now?  Asked while the brick is not fully off.
 *	NULL: where requests are forwarded, it is up to those above
 * @fits: may the way down from input @nr become what the wires show now?  Asked when the
 *	input or a wire further down was changed, while requests still take the old way and
 *	the brick is not fully off; 0, or -errno with *reason: all stays as it was.
 *	NULL: whatever it is
 *
 * One instance's set/power/status/get_info/needs/fits calls are serialised by
 * mars_topology_lock.  submit runs concurrently from any context.
 *
 * A set or power that must wait for a device does so between mars_brick_slow_begin() and
 * mars_brick_slow_end(), with the lock free for others.
 */
struct mars_brick_type {
	const char *name;
	unsigned int nr_inputs;
	const char *input_name[MARS_MAX_INPUTS];
	bool has_output;
	unsigned int forwards;
	size_t size;
	size_t aspect_size;
	int (*construct)(struct mars_brick *brick);
	void (*destruct)(struct mars_brick *brick);
	int (*set)(struct mars_brick *brick, u32 key, u64 value,
		   const char *text, u32 len, enum mars_reason *reason);
	int (*power)(struct mars_brick *brick, bool on, enum mars_reason *reason);
	void (*submit)(struct mars_brick *brick, struct xio_request *rq);
	int (*get_info)(struct mars_brick *brick, struct xio_info *info);
	void (*status)(struct mars_brick *brick, struct mars_ctl_status *st);
	bool (*needs)(struct mars_brick *brick, unsigned int nr);
	int (*fits)(struct mars_brick *brick, unsigned int nr, enum mars_reason *reason);
};

struct mars_brick {
	const struct mars_brick_type *type;	/* constant */
	char name[MARS_NAME_MAX];		/* constant */
	struct mars_input input[MARS_MAX_INPUTS];
	struct rb_node by_name;			/* mars_topology_lock */
	struct list_head above;			/* inputs wired to us; mars_topology_lock */
	struct list_head walk;			/* of one graph walk; mars_topology_lock */
	unsigned int users;			/* routes leading here; mars_topology_lock */
	unsigned int retiring;			/* of them, replaced ones; mars_topology_lock */
	bool button;				/* the wish; mars_topology_lock to change */
	bool slow;				/* set or power waits unlocked; mars_topology_lock */
	bool led_on, led_off;			/* the facts; event_lock */
	u32 events;				/* pending MARS_EV_*; event_lock */
	struct list_head event_link;		/* event_lock */
};

/* --- registry and topology: process context, used by control.c and tests --- */

/*
 * All return 0 or -errno with *reason.  They take mars_topology_lock, so a
 * brick's own methods must not call them.
 */

/** mars_type_register - add a type to the table; -EEXIST, -ENOSPC, -EINVAL */
int mars_type_register(const struct mars_brick_type *type);
/** mars_brick_find - by name, or NULL; the caller keeps it from being destroyed */
struct mars_brick *mars_brick_find(const char *name);
int mars_brick_create(const char *type, const char *name, enum mars_reason *reason);
/** mars_brick_destroy - must be off and without routes above; cuts its own wires */
int mars_brick_destroy(const char *name, enum mars_reason *reason);
/**
 * mars_brick_connect - wire or rewire an input, also under load
 *
 * When the upper brick is on, the lower one must be on too.  All or nothing: on
 * failure the old wiring is untouched.  Connecting to the same brick is a no-op.
 */
int mars_brick_connect(const char *name, unsigned int input, const char *to,
		       enum mars_reason *reason);
/** mars_brick_disconnect - cut a wire; MARS_R_NOT_NOW while the input is needed */
int mars_brick_disconnect(const char *name, unsigned int input,
			  enum mars_reason *reason);
/**
 * mars_brick_switch - press the button
 *
 * On: every connected lower brick must be on, and the brick fully off before.
 * Off: every brick directly above must be fully off (else MARS_R_BUSY_USERS), and no
 * request may be in flight on a replaced route through the brick (else MARS_R_NOT_NOW;
 * MARS_EV_GONE tells when the last one has passed).  Pressing it again is a no-op.
 */
int mars_brick_switch(const char *name, bool on, enum mars_reason *reason);
/** mars_brick_set - @text must have a NUL behind @len bytes */
int mars_brick_set(const char *name, u32 key, u64 value, const char *text,
		   u32 len, enum mars_reason *reason);
/** mars_brick_status - fill @st */
int mars_brick_status(const char *name, struct mars_ctl_status *st,
		      enum mars_reason *reason);
/** mars_brick_status_next - status of the first brick behind @prev in name order; false = none */
bool mars_brick_status_next(const char *prev, struct mars_ctl_status *st);
/** mars_brick_info - get_info of a brick by name */
int mars_brick_info(const char *name, struct xio_info *info);

/**
 * mars_input_info - get_info of the brick an input is connected to
 *
 * Only from a brick's own set, power, status or get_info method, where
 * mars_topology_lock is held.  -ENOTCONN when not connected.
 */
int mars_input_info(struct mars_input *input, struct xio_info *info);

/**
 * mars_brick_slow_begin - wait for a device without holding up control calls of others
 *
 * Only from the set or power method of @brick, followed by mars_brick_slow_end() there.
 * In between mars_topology_lock is free: status and get_info of this brick may be called
 * and wires may change; set, switch and destroy of it are refused (MARS_R_NOT_NOW).
 */
void mars_brick_slow_begin(struct mars_brick *brick);
/** mars_brick_slow_end - the method goes on under mars_topology_lock */
void mars_brick_slow_end(struct mars_brick *brick);

/* --- lamps and events: any context --- */

void mars_brick_leds(struct mars_brick *brick, bool on, bool off);
void mars_brick_event(struct mars_brick *brick, u32 events);
/** mars_event_next - fill @st for the next brick with pending events; false = none */
bool mars_event_next(struct mars_ctl_status *st);
/** mars_event_pending - has some brick news?  May be over when the caller looks */
bool mars_event_pending(void);
/**
 * mars_event_hook - called when a brick without pending events gets some
 *
 * Any context; mars_topology_lock may be held, so it only wakes somebody, who then
 * calls mars_event_next() until it says false.
 */
extern void (*mars_event_hook)(void);

/* --- routes: any context --- */

struct mars_route *mars_route_get(struct mars_input *input);
void mars_route_put(struct mars_route *route);

/* --- control dispatcher (control.c) --- */

int mars_control(void *arg, size_t size);

/* --- start and stop of the whole core --- */

int mars_core_init(void);	/* registers all portable brick types (types.c) */
void mars_core_exit(void);	/* refuses nothing: caller has destroyed all bricks */

/**
 * mars_teardown - switch off and destroy every brick (teardown.c)
 *
 * Process context, while nobody makes control calls.  -EBUSY: some brick can't be stopped;
 * what is below it stays as well.
 */
int mars_teardown(void);

/** mars_reason_errno - the -errno that goes with a reason; 0 for MARS_R_NONE */
int mars_reason_errno(enum mars_reason reason);
/** mars_refuse - set *@reason and return the -errno that goes with it */
int mars_refuse(enum mars_reason *reason, enum mars_reason why);

#endif /* _MARS_BRICK_H */
