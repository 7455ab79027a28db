// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * brick.c - registry of brick types and bricks, switch and lamps, parameters
 *
 * Every operation validates first and changes afterwards; what is refused leaves a
 * reason and no trace.  Bricks live in an rbtree by name, which makes lookups cheap
 * and gives LIST an order that stays meaningful while bricks come and go.
 *
 * Rules of the switch: a brick that is on stands on bricks that are on.  So on needs
 * everything directly below on, off needs everything directly above fully off and no
 * replaced route in use, and an input of a brick that is on is connected only to a
 * brick that is on.  What a working brick needs below it can't be taken away.
 *
 * Locking: mars_topology_lock for everything here.  construct and destruct run
 * outside of it, on an instance nobody else can find.  A method that waits for a device
 * gives it back meanwhile; brick->slow keeps that brick for the method alone.
 */
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "lamport.h"
#include "topology.h"
#include "trace.h"
#include "types.h"
#include "xio.h"

#define TYPES_MAX	32
#define ASPECT_MAX	4096

DEFINE_MUTEX(mars_topology_lock);

static const struct mars_brick_type *types[TYPES_MAX];	/* mars_topology_lock */
static unsigned int nr_types;				/* mars_topology_lock */
static struct rb_root bricks = RB_ROOT;			/* by name; mars_topology_lock */

int mars_refuse(enum mars_reason *reason, enum mars_reason why)
{
	*reason = why;
	return mars_reason_errno(why);
}

/* A method refused: make sure that a reason stands beside the errno. */
static int method_result(int err, enum mars_reason *reason)
{
	if (!err)
		*reason = MARS_R_NONE;
	else if (*reason == MARS_R_NONE)
		*reason = err == -ENOMEM ? MARS_R_NO_MEMORY : MARS_R_IO;
	return err;
}

/* --- types --- */

static const struct mars_brick_type *type_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < nr_types; i++)
		if (!strcmp(types[i]->name, name))
			return types[i];
	return NULL;
}

static bool type_sane(const struct mars_brick_type *type)
{
	return type->name && type->name[0] && strlen(type->name) < MARS_TYPE_MAX &&
	       type->nr_inputs <= MARS_MAX_INPUTS && !(type->forwards >> type->nr_inputs) &&
	       type->size >= sizeof(struct mars_brick) && type->aspect_size <= ASPECT_MAX &&
	       type->has_output == !!type->submit && (type->has_output || !type->forwards);
}

int mars_type_register(const struct mars_brick_type *type)
{
	int err = 0;

	if (!type_sane(type))
		return -EINVAL;
	mutex_lock(&mars_topology_lock);
	if (type_find(type->name))
		err = -EEXIST;
	else if (nr_types == TYPES_MAX)
		err = -ENOSPC;
	else
		types[nr_types++] = type;
	mutex_unlock(&mars_topology_lock);
	return err;
}

/* --- bricks by name --- */

static inline struct mars_brick *to_brick(struct rb_node *node)
{
	return node ? rb_entry(node, struct mars_brick, by_name) : NULL;
}

/* First brick with a name >= @name, or > @name when @behind. */
static struct mars_brick *brick_lower_bound(const char *name, bool behind)
{
	struct rb_node *node = bricks.rb_node;
	struct mars_brick *found = NULL;

	while (node) {
		struct mars_brick *brick = to_brick(node);
		int cmp = strcmp(brick->name, name);

		if (cmp > 0 || (!cmp && !behind)) {
			found = brick;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

static struct mars_brick *brick_lookup(const char *name)
{
	struct mars_brick *brick = brick_lower_bound(name, false);

	return brick && !strcmp(brick->name, name) ? brick : NULL;
}

static void brick_link(struct mars_brick *new)
{
	struct rb_node **link = &bricks.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		if (strcmp(new->name, to_brick(parent)->name) < 0)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&new->by_name, parent, link);
	rb_insert_color(&new->by_name, &bricks);
}

struct mars_brick *mars_brick_find(const char *name)
{
	struct mars_brick *brick;

	mutex_lock(&mars_topology_lock);
	brick = brick_lookup(name);
	mutex_unlock(&mars_topology_lock);
	return brick;
}

/* --- create and destroy --- */

static struct mars_brick *brick_alloc(const struct mars_brick_type *type, const char *name)
{
	struct mars_brick *brick = kvzalloc(type->size, GFP_KERNEL);
	unsigned int i;

	if (!brick)
		return NULL;
	brick->type = type;
	strscpy(brick->name, name, sizeof(brick->name));
	INIT_LIST_HEAD(&brick->above);
	INIT_LIST_HEAD(&brick->walk);
	for (i = 0; i < MARS_MAX_INPUTS; i++)
		mars_input_init(&brick->input[i], brick, i);
	mars_event_init(brick);
	return brick;
}

static void brick_free(struct mars_brick *brick)
{
	if (brick->type->destruct)
		brick->type->destruct(brick);
	kvfree(brick);
}

int mars_brick_create(const char *type_name, const char *name, enum mars_reason *reason)
{
	const struct mars_brick_type *type;
	struct mars_brick *brick;
	bool exists;
	int err;

	if (!name[0] || strlen(name) >= MARS_NAME_MAX)
		return mars_refuse(reason, MARS_R_BAD_NAME);
	mutex_lock(&mars_topology_lock);
	type = type_find(type_name);
	exists = brick_lookup(name);
	mutex_unlock(&mars_topology_lock);
	if (!type)
		return mars_refuse(reason, MARS_R_NO_TYPE);
	if (exists)
		return mars_refuse(reason, MARS_R_EXISTS);

	brick = brick_alloc(type, name);
	if (!brick)
		return mars_refuse(reason, MARS_R_NO_MEMORY);
	*reason = MARS_R_NONE;
	err = type->construct ? type->construct(brick) : 0;
	if (err) {
		kvfree(brick);
		return method_result(err, reason);
	}
	mutex_lock(&mars_topology_lock);
	exists = brick_lookup(name);
	if (!exists)
		brick_link(brick);
	mutex_unlock(&mars_topology_lock);
	if (exists) {
		brick_free(brick);
		return mars_refuse(reason, MARS_R_EXISTS);
	}
	return 0;
}

static int destroy_check(struct mars_brick *brick, enum mars_reason *reason)
{
	if (brick->slow)
		return mars_refuse(reason, MARS_R_NOT_NOW);
	if (brick->button || !mars_leds_read(brick).off)
		return mars_refuse(reason, MARS_R_BUSY_ON);
	if (brick->users || !list_empty(&brick->above))
		return mars_refuse(reason, MARS_R_BUSY_USERS);
	return 0;
}

int mars_brick_destroy(const char *name, enum mars_reason *reason)
{
	struct mars_brick *brick;
	unsigned int i;
	int err;

	*reason = MARS_R_NONE;
	mutex_lock(&mars_topology_lock);
	brick = brick_lookup(name);
	err = brick ? destroy_check(brick, reason) : mars_refuse(reason, MARS_R_NO_BRICK);
	if (err) {
		mutex_unlock(&mars_topology_lock);
		return err;
	}
	/* Nothing is above, so cutting our own wires builds no route and can't fail. */
	for (i = 0; i < brick->type->nr_inputs; i++)
		WARN_ON(mars_rewire(&brick->input[i], NULL, reason));
	rb_erase(&brick->by_name, &bricks);
	mars_event_forget(brick);
	mutex_unlock(&mars_topology_lock);
	brick_free(brick);
	return 0;
}

/* --- wires --- */

static bool brick_is_on(struct mars_brick *brick)
{
	return brick->button && mars_leds_read(brick).on;
}

bool mars_brick_is_off(struct mars_brick *brick)
{
	return !brick->button && mars_leds_read(brick).off;
}

/*
 * Would cutting the wire break somebody's work?  A brick that only forwards has no need
 * of its own, but those above it may.  The depth is bounded by that of routes.
 */
static bool input_needed(const struct mars_input *input)
{
	struct mars_brick *brick = input->brick;
	const struct mars_brick_type *type = brick->type;
	const struct mars_input *upper;

	if (!input->to || mars_brick_is_off(brick))
		return false;
	if (type->needs)
		return type->needs(brick, input->nr);
	if (!(type->forwards & (1u << input->nr)))
		return false;
	list_for_each_entry(upper, &brick->above, up)
		if (input_needed(upper))
			return true;
	return false;
}

static int connect_locked(const char *name, unsigned int nr, const char *to_name,
			  enum mars_reason *reason)
{
	struct mars_brick *brick = brick_lookup(name);
	struct mars_brick *to = brick_lookup(to_name);

	if (!brick || !to)
		return mars_refuse(reason, MARS_R_NO_BRICK);
	if (nr >= brick->type->nr_inputs)
		return mars_refuse(reason, MARS_R_NO_INPUT);
	if (!to->type->has_output)
		return mars_refuse(reason, MARS_R_NO_OUTPUT);
	if (brick->input[nr].to == to)
		return 0;
	if (mars_closes_loop(brick, to))
		return mars_refuse(reason, MARS_R_LOOP);
	if (!mars_brick_is_off(brick) && !brick_is_on(to))
		return mars_refuse(reason, MARS_R_BELOW_OFF);
	return mars_rewire(&brick->input[nr], to, reason);
}

int mars_brick_connect(const char *name, unsigned int nr, const char *to,
		       enum mars_reason *reason)
{
	int err;

	*reason = MARS_R_NONE;
	mutex_lock(&mars_topology_lock);
	err = connect_locked(name, nr, to, reason);
	mutex_unlock(&mars_topology_lock);
	return err;
}

int mars_brick_disconnect(const char *name, unsigned int nr, enum mars_reason *reason)
{
	struct mars_brick *brick;
	int err;

	*reason = MARS_R_NONE;
	mutex_lock(&mars_topology_lock);
	brick = brick_lookup(name);
	if (!brick)
		err = mars_refuse(reason, MARS_R_NO_BRICK);
	else if (nr >= brick->type->nr_inputs)
		err = mars_refuse(reason, MARS_R_NO_INPUT);
	else if (!brick->input[nr].to)
		err = mars_refuse(reason, MARS_R_NOT_CONNECTED);
	else if (input_needed(&brick->input[nr]))
		err = mars_refuse(reason, MARS_R_NOT_NOW);
	else
		err = mars_rewire(&brick->input[nr], NULL, reason);
	mutex_unlock(&mars_topology_lock);
	return err;
}

/* --- switch --- */

static int switch_check(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct mars_input *upper;
	unsigned int i;

	if (!on) {
		list_for_each_entry(upper, &brick->above, up)
			if (!mars_brick_is_off(upper->brick))
				return mars_refuse(reason, MARS_R_BUSY_USERS);
		/* Requests born before a rewiring may still be on their way here. */
		return brick->retiring ? mars_refuse(reason, MARS_R_NOT_NOW) : 0;
	}
	if (!mars_leds_read(brick).off)
		return mars_refuse(reason, MARS_R_NOT_NOW);
	for (i = 0; i < brick->type->nr_inputs; i++)
		if (brick->input[i].to && !brick_is_on(brick->input[i].to))
			return mars_refuse(reason, MARS_R_BELOW_OFF);
	return 0;
}

/* The default for types without a power method: nothing of their own to start. */
static int power_trivial(struct mars_brick *brick, bool on)
{
	mars_brick_leds(brick, on, !on);
	return 0;
}

static int switch_locked(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	int err;

	if (brick->slow)
		return mars_refuse(reason, MARS_R_NOT_NOW);
	if (brick->button == on)
		return 0;
	err = switch_check(brick, on, reason);
	if (err)
		return err;
	brick->button = on;
	trace_mars_switch(brick, on);
	err = brick->type->power ? brick->type->power(brick, on, reason) :
				   power_trivial(brick, on);
	if (err)
		brick->button = !on;
	else
		mars_brick_event(brick, MARS_EV_LED);
	return method_result(err, reason);
}

int mars_brick_switch(const char *name, bool on, enum mars_reason *reason)
{
	struct mars_brick *brick;
	int err;

	*reason = MARS_R_NONE;
	mutex_lock(&mars_topology_lock);
	brick = brick_lookup(name);
	err = brick ? switch_locked(brick, on, reason) : mars_refuse(reason, MARS_R_NO_BRICK);
	mutex_unlock(&mars_topology_lock);
	return err;
}

void mars_brick_slow_begin(struct mars_brick *brick)
{
	WARN_ON(brick->slow);
	brick->slow = true;
	mutex_unlock(&mars_topology_lock);
}

void mars_brick_slow_end(struct mars_brick *brick)
{
	mutex_lock(&mars_topology_lock);
	brick->slow = false;
}

/* --- parameters and status --- */

int mars_brick_set(const char *name, u32 key, u64 value, const char *text, u32 len,
		   enum mars_reason *reason)
{
	struct mars_brick *brick;
	int err;

	*reason = MARS_R_NONE;
	mutex_lock(&mars_topology_lock);
	brick = brick_lookup(name);
	if (!brick)
		err = mars_refuse(reason, MARS_R_NO_BRICK);
	else if (brick->slow)
		err = mars_refuse(reason, MARS_R_NOT_NOW);
	else if (!brick->type->set)
		err = mars_refuse(reason, MARS_R_NO_KEY);
	else
		err = method_result(brick->type->set(brick, key, value, text, len, reason),
				    reason);
	mutex_unlock(&mars_topology_lock);
	return err;
}

/* All but the header. */
static void status_clear(struct mars_ctl_status *st)
{
	memset((char *)st + sizeof(st->hdr), 0, sizeof(*st) - sizeof(st->hdr));
}

void mars_status_fill(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct mars_leds leds = mars_leds_read(brick);

	status_clear(st);
	strscpy(st->name, brick->name, sizeof(st->name));
	strscpy(st->type, brick->type->name, sizeof(st->type));
	st->button = brick->button;
	st->led_on = leds.on;
	st->led_off = leds.off;
	if (brick->type->status)
		brick->type->status(brick, st);
	if (WARN_ON(st->nr_val > MARS_VAL_MAX))
		st->nr_val = MARS_VAL_MAX;
}

int mars_brick_status(const char *name, struct mars_ctl_status *st, enum mars_reason *reason)
{
	struct mars_brick *brick;
	int err = 0;

	*reason = MARS_R_NONE;
	mutex_lock(&mars_topology_lock);
	brick = brick_lookup(name);
	if (brick)
		mars_status_fill(brick, st);	/* @name may point into it: over from here on */
	else
		err = mars_refuse(reason, MARS_R_NO_BRICK);
	mutex_unlock(&mars_topology_lock);
	return err;
}

bool mars_brick_status_next(const char *prev, struct mars_ctl_status *st)
{
	struct mars_brick *brick;

	mutex_lock(&mars_topology_lock);
	brick = brick_lower_bound(prev, true);
	if (brick)
		mars_status_fill(brick, st);
	else
		status_clear(st);
	mutex_unlock(&mars_topology_lock);
	return brick;
}

static int brick_info(struct mars_brick *brick, struct xio_info *info)
{
	memset(info, 0, sizeof(*info));
	return brick->type->get_info ? brick->type->get_info(brick, info) : -EOPNOTSUPP;
}

int mars_brick_info(const char *name, struct xio_info *info)
{
	struct mars_brick *brick;
	int err;

	mutex_lock(&mars_topology_lock);
	brick = brick_lookup(name);
	err = brick ? brick_info(brick, info) : -ENOENT;
	mutex_unlock(&mars_topology_lock);
	return err;
}

int mars_input_info(struct mars_input *input, struct xio_info *info)
{
	return input->to ? brick_info(input->to, info) : -ENOTCONN;
}

/* --- start and stop --- */

int mars_core_init(void)
{
	unsigned int i;
	int err;

	mars_lamport_reset();
	err = mars_route_init();
	for (i = 0; !err && i < mars_nr_portable_types; i++)
		err = mars_type_register(mars_portable_types[i]);
	if (err)
		mars_core_exit();
	return err;
}

void mars_core_exit(void)
{
	mars_route_exit();
	mutex_lock(&mars_topology_lock);
	WARN_ON(!RB_EMPTY_ROOT(&bricks));
	nr_types = 0;
	mutex_unlock(&mars_topology_lock);
}
