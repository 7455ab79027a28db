/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * topology.h - what brick.c, route.c and event.c share, not for bricks
 *
 * Locking order: mars_topology_lock, then input->lock or event_lock (never both).
 */
#ifndef _MARS_TOPOLOGY_H
#define _MARS_TOPOLOGY_H

#include <linux/mutex.h>

#include "brick.h"

extern struct mutex mars_topology_lock;

/* --- brick.c --- */

/* Fill all of @st but the header; mars_topology_lock held. */
void mars_status_fill(struct mars_brick *brick, struct mars_ctl_status *st);
/* The button and the lamp say off. */
bool mars_brick_is_off(struct mars_brick *brick);

/* --- route.c; mars_topology_lock held except for init and exit --- */

int mars_route_init(void);	/* mars_io_wq too */
void mars_route_exit(void);	/* waits until every route is released */
void mars_input_init(struct mars_input *input, struct mars_brick *brick, unsigned int nr);
/* Would a wire from @from down to @to close a cycle? */
bool mars_closes_loop(struct mars_brick *from, struct mars_brick *to);
/* Point @input at @to (NULL = disconnect); 0 or -errno with *reason, then nothing changed. */
int mars_rewire(struct mars_input *input, struct mars_brick *to, enum mars_reason *reason);

/* --- event.c --- */

struct mars_leds {
	bool on, off;
};

struct mars_leds mars_leds_read(struct mars_brick *brick);
void mars_event_init(struct mars_brick *brick);
void mars_event_forget(struct mars_brick *brick);

#endif /* _MARS_TOPOLOGY_H */
