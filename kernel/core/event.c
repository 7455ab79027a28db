// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * event.c - lamps of bricks, and the queue of bricks that have news
 *
 * A brick with pending events stands once in a FIFO; its event bits pile up until
 * somebody takes them together with a fresh status.  So the queue needs no memory
 * of its own and can't overflow, and a slow reader sees the newest facts.
 *
 * Locking: event_lock, a spinlock taken with interrupts off, covers lamps, event
 * bits and the FIFO.  The last touch of a brick in mars_brick_leds() is under
 * event_lock; destroying takes the same lock, so a brick may report "off" as its
 * very last act.
 */
#include <linux/compiler.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "topology.h"
#include "trace.h"

static DEFINE_SPINLOCK(event_lock);
static LIST_HEAD(event_queue);		/* brick->event_link; event_lock */

void (*mars_event_hook)(void);

/* Returns whether the brick had nothing pending before; event_lock held. */
static bool event_add(struct mars_brick *brick, u32 events)
{
	bool first = !brick->events && events;

	brick->events |= events;
	if (first)
		list_add_tail(&brick->event_link, &event_queue);
	return first;
}

static void event_call_hook(bool first)
{
	void (*hook)(void) = READ_ONCE(mars_event_hook);

	if (first && hook)
		hook();
}

void mars_brick_event(struct mars_brick *brick, u32 events)
{
	unsigned long flags;
	bool first;

	spin_lock_irqsave(&event_lock, flags);
	first = event_add(brick, events);
	spin_unlock_irqrestore(&event_lock, flags);
	event_call_hook(first);
}

void mars_brick_leds(struct mars_brick *brick, bool on, bool off)
{
	unsigned long flags;
	bool first = false;

	spin_lock_irqsave(&event_lock, flags);
	if (brick->led_on != on || brick->led_off != off) {
		brick->led_on = on;
		brick->led_off = off;
		first = event_add(brick, MARS_EV_LED);
		trace_mars_lamps(brick, on, off);
	}
	spin_unlock_irqrestore(&event_lock, flags);
	event_call_hook(first);
}

struct mars_leds mars_leds_read(struct mars_brick *brick)
{
	struct mars_leds leds;
	unsigned long flags;

	spin_lock_irqsave(&event_lock, flags);
	leds.on = brick->led_on;
	leds.off = brick->led_off;
	spin_unlock_irqrestore(&event_lock, flags);
	return leds;
}

void mars_event_init(struct mars_brick *brick)
{
	INIT_LIST_HEAD(&brick->event_link);
	brick->events = 0;
	brick->led_on = false;
	brick->led_off = true;
}

void mars_event_forget(struct mars_brick *brick)
{
	unsigned long flags;

	spin_lock_irqsave(&event_lock, flags);
	list_del_init(&brick->event_link);
	brick->events = 0;
	spin_unlock_irqrestore(&event_lock, flags);
}

bool mars_event_pending(void)
{
	unsigned long flags;
	bool pending;

	spin_lock_irqsave(&event_lock, flags);
	pending = !list_empty(&event_queue);
	spin_unlock_irqrestore(&event_lock, flags);
	return pending;
}

bool mars_event_next(struct mars_ctl_status *st)
{
	struct mars_brick *brick;
	unsigned long flags;
	u32 events = 0;

	/* The mutex keeps the brick alive between the queue and its status. */
	mutex_lock(&mars_topology_lock);
	spin_lock_irqsave(&event_lock, flags);
	brick = list_first_entry_or_null(&event_queue, struct mars_brick, event_link);
	if (brick) {
		list_del_init(&brick->event_link);
		events = brick->events;
		brick->events = 0;
	}
	spin_unlock_irqrestore(&event_lock, flags);
	if (brick) {
		mars_status_fill(brick, st);
		st->events = events;
	}
	mutex_unlock(&mars_topology_lock);
	return brick;
}
