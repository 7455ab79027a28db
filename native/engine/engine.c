// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * engine.c - start and stop of the embedded engine
 *
 * Stop works like an operator: it lists the bricks, presses every button it may,
 * destroys what is off and unused, and waits for events in between.  It relies on
 * nothing but the control calls, so it needs no lock of its own.  While it runs,
 * mars_event_hook is its own.
 */
#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>

#include "core/brick.h"
#include "engine.h"

#define STUCK_MS	10000u	/* no progress while some brick is on its way to off */
#define REFUSED_MS	500u	/* no progress while bricks only refuse */

extern const struct mars_brick_type mem_brick_type;
extern const struct mars_brick_type file_brick_type;
extern const struct mars_brick_type faulty_brick_type;
extern const struct mars_brick_type nbd_brick_type;

static const struct mars_brick_type *const native_types[] = {
	&mem_brick_type,
	&file_brick_type,
	&faulty_brick_type,
	&nbd_brick_type,
};

static DECLARE_COMPLETION(event_seen);

int mars_engine_init(enum exec_mode mode, unsigned int threads, u64 seed)
{
	int ret = exec_init(mode, threads, seed);

	if (ret)
		return ret;
	ret = mars_core_init();
	if (ret)
		goto stop_exec;
	for (size_t i = 0; !ret && i < ARRAY_SIZE(native_types); i++)
		ret = mars_type_register(native_types[i]);
	if (!ret)
		return 0;
	mars_core_exit();
stop_exec:
	exec_exit();
	return ret;
}

/* Status of the first brick behind @name in the order of names. */
static bool next_brick(const char *name, struct mars_ctl_status *st)
{
	memset(st, 0, sizeof(*st));
	st->hdr.size = sizeof(*st);
	st->hdr.version = MARS_ABI_VERSION;
	st->hdr.verb = MARS_VERB_LIST;
	strscpy(st->name, name, sizeof(st->name));
	return mars_control(st, sizeof(*st)) == 0 && st->name[0];
}

struct pass {
	unsigned int left;	/* bricks that exist */
	unsigned int moved;	/* buttons pressed, bricks destroyed */
	unsigned int moving;	/* bricks on their way to off */
};

static void take_down(const struct mars_ctl_status *st, struct pass *pass)
{
	enum mars_reason reason;

	if (st->button && mars_brick_switch(st->name, false, &reason) == 0) {
		pass->moved++;
		pass->moving++;
	} else if (!st->button && !st->led_off) {
		pass->moving++;
	}
	if (mars_brick_destroy(st->name, &reason) == 0)
		pass->moved++;
	else
		pass->left++;
}

static struct pass take_down_all(void)
{
	struct pass pass = { .left = 0 };
	struct mars_ctl_status st;
	char name[MARS_NAME_MAX] = "";

	while (next_brick(name, &st)) {
		strscpy(name, st.name, sizeof(name));
		take_down(&st, &pass);
	}
	return pass;
}

static void forget_events(void)
{
	struct mars_ctl_status st;

	do {
		memset(&st, 0, sizeof(st));
	} while (mars_event_next(&st));
}

static void note_event(void)
{
	complete(&event_seen);
}

int mars_engine_exit(void)
{
	void (*hook)(void) = READ_ONCE(mars_event_hook);
	struct pass pass;

	if (!exec_running())
		return 0;
	WRITE_ONCE(mars_event_hook, note_event);
	for (;;) {
		reinit_completion(&event_seen);
		forget_events();
		pass = take_down_all();
		if (!pass.left)
			break;
		if (pass.moved)
			continue;
		if (!wait_for_completion_timeout(&event_seen,
				msecs_to_jiffies(pass.moving ? STUCK_MS : REFUSED_MS))) {
			pr_err("engine: %u bricks can't be stopped\n", pass.left);
			WRITE_ONCE(mars_event_hook, hook);
			return -EBUSY;
		}
	}
	WRITE_ONCE(mars_event_hook, NULL);
	mars_core_exit();
	exec_exit();
	return 0;
}
