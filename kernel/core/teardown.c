// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * teardown.c - the end of all bricks: switch off, destroy, wait for events in between
 *
 * Works like an operator: looks at every brick, presses the button if that is allowed,
 * destroys what is off and unused, and begins again while that changes something.  It
 * relies on nothing but the control calls, so it needs no lock of its own.  While it
 * runs, mars_event_hook is its own and events are lost: nobody else should be there.
 *
 * Failure: bricks that refuse for good, or don't get off in time, are left as they are.
 */
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/string.h>

#include "brick.h"

#define STUCK_MS	10000u	/* no progress while some brick is on its way to off */
#define REFUSED_MS	500u	/* no progress while bricks only refuse */

static DECLARE_COMPLETION(event_seen);
static struct mars_ctl_status st;	/* too large for the stack; one teardown at a time */

struct pass {
	unsigned int left;	/* bricks that exist */
	unsigned int moved;	/* buttons pressed, bricks destroyed */
	unsigned int moving;	/* bricks on their way to off */
};

static void take_down(struct pass *pass)
{
	enum mars_reason reason;

	if (st.button && mars_brick_switch(st.name, false, &reason) == 0) {
		pass->moved++;
		pass->moving++;
	} else if (!st.button && !st.led_off) {
		pass->moving++;
	}
	if (mars_brick_destroy(st.name, &reason) == 0)
		pass->moved++;
	else
		pass->left++;
}

static struct pass take_down_all(void)
{
	struct pass pass = { .left = 0 };
	char name[MARS_NAME_MAX] = "";

	while (mars_brick_status_next(name, &st)) {
		strscpy(name, st.name, sizeof(name));
		take_down(&pass);
	}
	return pass;
}

static void note_event(void)
{
	complete(&event_seen);
}

int mars_teardown(void)
{
	void (*hook)(void) = READ_ONCE(mars_event_hook);
	unsigned int patience;
	struct pass pass;

	WRITE_ONCE(mars_event_hook, note_event);
	for (;;) {
		reinit_completion(&event_seen);
		while (mars_event_next(&st))
			;
		pass = take_down_all();
		if (!pass.left)
			break;
		if (pass.moved)
			continue;
		patience = pass.moving ? STUCK_MS : REFUSED_MS;
		if (!wait_for_completion_timeout(&event_seen, msecs_to_jiffies(patience))) {
			pr_err("mars: %u bricks can't be stopped\n", pass.left);
			WRITE_ONCE(mars_event_hook, hook);
			if (hook)
				hook();		/* what came meanwhile did not call it */
			return -EBUSY;
		}
	}
	WRITE_ONCE(mars_event_hook, NULL);
	return 0;
}
