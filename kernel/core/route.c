// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * route.c - wires and the route snapshots above them
 *
 * Rewiring under load, step by step, under mars_topology_lock:
 *   1. set the new wire in the graph, which only the control path looks at;
 *   2. collect every input whose route passes there, walking upwards;
 *   3. build a new route for each of them, and ask those bricks whether it fits them; on
 *      failure undo step 1 and throw all new routes away: the IO path saw nothing yet;
 *   4. publish: swap each input->route and put the reference of the old one.
 * Requests in flight hold their own references, so the old route is released when
 * the last of them is freed; that happens in any context, so then the release itself
 * (pool, users of the bricks) is a work item.  With nothing in flight, rewiring has
 * released it when it returns.
 *
 * Layout: depth first, each brick's aspect directly behind that of the brick
 * above; inputs of one brick are alternatives for a request, so they share space.
 *
 * Locking: see topology.h.  The release work takes mars_topology_lock.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/slab.h>

#include "topology.h"
#include "trace.h"
#include "xio.h"

#define ASPECT_ALIGN	16u
#define ROUTE_RESERVE	16	/* requests that can always be had, per route */

static struct workqueue_struct *route_wq;
struct workqueue_struct *mars_io_wq;	/* constant between init and exit */

/* --- the life of a route --- */

static void route_free(struct mars_route *route)
{
	mempool_destroy(route->pool);
	kfree(route);
}

/* Nobody refers to a replaced route any more; mars_topology_lock held. */
static void route_release(struct mars_route *route)
{
	unsigned int i;

	for (i = 0; i < route->nr; i++) {
		struct mars_brick *brick = route->hop[i].brick;

		brick->users--;
		if (!--brick->retiring)
			mars_brick_event(brick, MARS_EV_GONE);
	}
	route_free(route);
}

static void route_release_work(struct work_struct *work)
{
	mutex_lock(&mars_topology_lock);
	route_release(container_of(work, struct mars_route, release));
	mutex_unlock(&mars_topology_lock);
}

struct mars_route *mars_route_get(struct mars_input *input)
{
	struct mars_route *route;
	unsigned long flags;

	spin_lock_irqsave(&input->lock, flags);
	route = input->route;
	if (route)
		refcount_inc(&route->ref);
	spin_unlock_irqrestore(&input->lock, flags);
	return route;
}

void mars_route_put(struct mars_route *route)
{
	if (refcount_dec_and_test(&route->ref))
		queue_work(route_wq, &route->release);
}

/* Lay out @brick and all below it behind @offset.  Recursion is bounded by the hop table. */
static int hop_build(struct mars_route *route, struct mars_brick *brick, u32 offset,
		     const struct mars_hop **out)
{
	const struct mars_brick_type *type = brick->type;
	struct mars_hop *hop;
	unsigned int i;
	int err;

	if (route->nr == MARS_MAX_HOPS)
		return -ELOOP;
	hop = &route->hop[route->nr++];
	hop->brick = brick;
	hop->aspect = offset;
	offset = ALIGN(offset + (u32)type->aspect_size, ASPECT_ALIGN);
	route->size = max(route->size, offset);
	for (i = 0; i < type->nr_inputs; i++) {
		if (!(type->forwards & (1u << i)) || !brick->input[i].to)
			continue;
		err = hop_build(route, brick->input[i].to, offset, &hop->below[i]);
		if (err)
			return err;
	}
	*out = hop;
	return 0;
}

static int route_create(struct mars_input *input, struct mars_route **out,
			enum mars_reason *reason)
{
	struct mars_route *route;
	int err;

	route = kzalloc(sizeof(*route), GFP_KERNEL);
	if (!route)
		return mars_refuse(reason, MARS_R_NO_MEMORY);
	refcount_set(&route->ref, 1);
	INIT_WORK(&route->release, route_release_work);
	route->input = input;
	err = hop_build(route, input->to, ALIGN((u32)sizeof(struct xio_request), ASPECT_ALIGN),
			&route->top);
	if (!err) {
		route->pool = mempool_create_kmalloc_pool(ROUTE_RESERVE, route->size);
		if (!route->pool)
			err = -ENOMEM;
	}
	if (err) {
		kfree(route);
		return mars_refuse(reason, err == -ELOOP ? MARS_R_TOO_DEEP : MARS_R_NO_MEMORY);
	}
	*out = route;
	return 0;
}

/* --- wires --- */

void mars_input_init(struct mars_input *input, struct mars_brick *brick, unsigned int nr)
{
	input->brick = brick;
	input->nr = nr;
	INIT_LIST_HEAD(&input->up);
	INIT_LIST_HEAD(&input->rewire);
	spin_lock_init(&input->lock);
}

/* The graph only; routes still show the old wiring. */
static void input_point(struct mars_input *input, struct mars_brick *to)
{
	list_del_init(&input->up);
	input->to = to;
	if (to)
		list_add_tail(&input->up, &to->above);
}

/* A plain work list instead of recursion: wires that don't forward have no depth limit. */
bool mars_closes_loop(struct mars_brick *from, struct mars_brick *to)
{
	struct mars_brick *brick, *tmp;
	bool found = false;
	LIST_HEAD(seen);
	unsigned int i;

	list_add_tail(&to->walk, &seen);
	list_for_each_entry(brick, &seen, walk) {
		if (brick == from) {
			found = true;
			break;
		}
		for (i = 0; i < brick->type->nr_inputs; i++) {
			struct mars_brick *below = brick->input[i].to;

			if (below && list_empty(&below->walk))
				list_add_tail(&below->walk, &seen);
		}
	}
	list_for_each_entry_safe(brick, tmp, &seen, walk)
		list_del_init(&brick->walk);
	return found;
}

/* @input and every input whose route passes through it. */
static void rewire_collect(struct mars_input *input, struct list_head *list)
{
	struct mars_input *pos, *upper;

	list_add_tail(&input->rewire, list);
	list_for_each_entry(pos, list, rewire) {
		if (!(pos->brick->type->forwards & (1u << pos->nr)))
			continue;
		list_for_each_entry(upper, &pos->brick->above, up)
			if (list_empty(&upper->rewire))
				list_add_tail(&upper->rewire, list);
	}
}

static int rewire_prepare(struct list_head *list, enum mars_reason *reason)
{
	struct mars_input *input;
	int err;

	list_for_each_entry(input, list, rewire) {
		if (!input->to)
			continue;
		err = route_create(input, &input->next, reason);
		if (err)
			return err;
	}
	return 0;
}

/* Does everybody agree with what the wires show now? */
static int rewire_ask(struct list_head *list, enum mars_reason *reason)
{
	struct mars_input *input;

	list_for_each_entry(input, list, rewire) {
		struct mars_brick *brick = input->brick;
		int err;

		if (!input->to || !brick->type->fits || mars_brick_is_off(brick))
			continue;
		err = brick->type->fits(brick, input->nr, reason);
		if (err)
			return err;
	}
	return 0;
}

static void rewire_abandon(struct list_head *list)
{
	struct mars_input *input, *tmp;

	list_for_each_entry_safe(input, tmp, list, rewire) {
		list_del_init(&input->rewire);
		if (input->next)
			route_free(input->next);
		input->next = NULL;
	}
}

static void rewire_publish(struct list_head *list)
{
	struct mars_input *input, *tmp;
	struct mars_route *old;
	unsigned long flags;
	unsigned int i;

	list_for_each_entry_safe(input, tmp, list, rewire) {
		struct mars_route *new = input->next;

		list_del_init(&input->rewire);
		input->next = NULL;
		for (i = 0; new && i < new->nr; i++)
			new->hop[i].brick->users++;
		for (i = 0; input->route && i < input->route->nr; i++)
			input->route->hop[i].brick->retiring++;
		spin_lock_irqsave(&input->lock, flags);
		old = input->route;
		input->route = new;
		spin_unlock_irqrestore(&input->lock, flags);
		/* With nothing in flight the old route is released at once. */
		if (old && refcount_dec_and_test(&old->ref))
			route_release(old);
	}
}

int mars_rewire(struct mars_input *input, struct mars_brick *to, enum mars_reason *reason)
{
	struct mars_brick *old = input->to;
	LIST_HEAD(list);
	int err;

	input_point(input, to);
	rewire_collect(input, &list);
	err = rewire_prepare(&list, reason);
	if (!err)
		err = rewire_ask(&list, reason);
	if (err) {
		rewire_abandon(&list);
		input_point(input, old);
		return err;
	}
	rewire_publish(&list);
	trace_mars_wire(input->brick, input->nr, to);
	return 0;
}

int mars_route_init(void)
{
	route_wq = alloc_workqueue("mars_route", WQ_UNBOUND, 0);
	mars_io_wq = alloc_workqueue("mars_io", WQ_MEM_RECLAIM, 0);
	return route_wq && mars_io_wq ? 0 : -ENOMEM;
}

void mars_route_exit(void)
{
	if (mars_io_wq)
		destroy_workqueue(mars_io_wq);
	if (route_wq)
		destroy_workqueue(route_wq);
	mars_io_wq = NULL;
	route_wq = NULL;
}
