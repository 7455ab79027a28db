// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * brick_test.c - registry, wires, routes, switch and lamps, events, failures
 */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "engine/engine.h"
#include "source.h"
#include "test.h"
#include "testbricks.h"

static enum mars_reason reason;

#define CHECK_REFUSED(call, why) do {					\
	reason = MARS_R_NONE;						\
	CHECK_EQ((call), mars_reason_errno(why));			\
	CHECK_EQ(reason, why);						\
} while (0)

static void begin(void)
{
	CHECK_EQ(mars_engine_init(EXEC_SIM, 0, test_seed()), 0);
	source_register();
	testbricks_register();
}

static void end(void)
{
	mars_engine_exit();
	CHECK_EQ(exec_live_allocs(), 0);
}

static void connect(const char *name, unsigned int input, const char *to)
{
	CHECK_EQ(mars_brick_connect(name, input, to, &reason), 0);
}

static void create_mem(const char *name)
{
	brick_create("mem", name);
	brick_set_value(name, MARS_K_MEM_SIZE, 1 << 20);
	brick_on(name);
}

static void create_tap(const char *name, const char *to)
{
	brick_create("tap", name);
	connect(name, 0, to);
	brick_on(name);
}

/* --- registry --- */

static void types_are_checked(void)
{
	static const struct mars_brick_type good = { .name = "mem",
		.size = sizeof(struct mars_brick) };
	struct mars_brick_type bad = good;

	begin();
	CHECK_EQ(mars_type_register(&good), -EEXIST);
	bad.name = "a-name-that-is-too-long-for-a-type";
	CHECK_EQ(mars_type_register(&bad), -EINVAL);
	bad = good;
	bad.name = "bad";
	bad.size--;
	CHECK_EQ(mars_type_register(&bad), -EINVAL);
	bad = good;
	bad.name = "bad";
	bad.nr_inputs = MARS_MAX_INPUTS + 1;
	CHECK_EQ(mars_type_register(&bad), -EINVAL);
	bad = good;
	bad.name = "bad";
	bad.has_output = true;			/* without submit */
	CHECK_EQ(mars_type_register(&bad), -EINVAL);
	bad = good;
	bad.name = "bad";
	bad.forwards = 1;			/* an input it has not */
	CHECK_EQ(mars_type_register(&bad), -EINVAL);
	end();
}

static void create_and_destroy(void)
{
	char name[MARS_NAME_MAX + 1];

	begin();
	memset(name, 'x', sizeof(name));
	name[MARS_NAME_MAX] = 0;
	CHECK_REFUSED(mars_brick_create("mem", name, &reason), MARS_R_BAD_NAME);
	CHECK_REFUSED(mars_brick_create("mem", "", &reason), MARS_R_BAD_NAME);
	CHECK_REFUSED(mars_brick_create("none", "a", &reason), MARS_R_NO_TYPE);
	name[MARS_NAME_MAX - 1] = 0;
	brick_create("mem", name);
	brick_create("mem", "a");
	CHECK_REFUSED(mars_brick_create("tap", "a", &reason), MARS_R_EXISTS);
	CHECK_STR(brick_status("a").type, "mem");
	CHECK_REFUSED(mars_brick_destroy("b", &reason), MARS_R_NO_BRICK);
	brick_set_value("a", MARS_K_MEM_SIZE, 4096);
	brick_on("a");
	CHECK_REFUSED(mars_brick_destroy("a", &reason), MARS_R_BUSY_ON);
	brick_off("a");
	brick_destroy("a");
	CHECK(!mars_brick_find("a"));
	brick_create("tap", "a");
	CHECK_STR(brick_status("a").type, "tap");
	end();
}

static void parameters(void)
{
	begin();
	brick_create("mem", "m");
	brick_create("tap", "t");
	CHECK_REFUSED(mars_brick_set("x", MARS_K_MEM_SIZE, 1, "", 0, &reason), MARS_R_NO_BRICK);
	CHECK_REFUSED(mars_brick_set("t", MARS_K_MEM_SIZE, 1, "", 0, &reason), MARS_R_NO_KEY);
	CHECK_REFUSED(mars_brick_set("m", 9999, 1, "", 0, &reason), MARS_R_NO_KEY);
	CHECK_REFUSED(mars_brick_set("m", MARS_K_MEM_SIZE, 0, "", 0, &reason),
		      MARS_R_BAD_VALUE);
	CHECK_REFUSED(mars_brick_switch("m", true, &reason), MARS_R_MISSING);
	CHECK(!brick_status("m").button);
	brick_set_value("m", MARS_K_MEM_SIZE, 4096);
	brick_on("m");
	CHECK_REFUSED(mars_brick_set("m", MARS_K_MEM_SIZE, 1, "", 0, &reason), MARS_R_NOT_NOW);
	end();
}

/* --- wires --- */

static void wires_are_checked(void)
{
	begin();
	create_mem("m");
	brick_create("tap", "a");
	brick_create("tap", "b");
	brick_create("tap", "c");
	brick_create("source", "s");
	CHECK_REFUSED(mars_brick_connect("x", 0, "m", &reason), MARS_R_NO_BRICK);
	CHECK_REFUSED(mars_brick_connect("a", 0, "x", &reason), MARS_R_NO_BRICK);
	CHECK_REFUSED(mars_brick_connect("a", 3, "m", &reason), MARS_R_NO_INPUT);
	CHECK_REFUSED(mars_brick_connect("a", 0, "s", &reason), MARS_R_NO_OUTPUT);
	CHECK_REFUSED(mars_brick_connect("a", 0, "a", &reason), MARS_R_LOOP);
	connect("a", 1, "b");
	connect("b", 2, "c");
	CHECK_REFUSED(mars_brick_connect("c", 0, "a", &reason), MARS_R_LOOP);
	CHECK_REFUSED(mars_brick_connect("b", 0, "a", &reason), MARS_R_LOOP);
	connect("a", 0, "c");		/* a diamond is no loop */
	connect("a", 0, "c");		/* again: nothing to do */
	CHECK_REFUSED(mars_brick_disconnect("c", 0, &reason), MARS_R_NOT_CONNECTED);
	CHECK_REFUSED(mars_brick_disconnect("c", 7, &reason), MARS_R_NO_INPUT);
	CHECK_REFUSED(mars_brick_disconnect("x", 0, &reason), MARS_R_NO_BRICK);
	CHECK_REFUSED(mars_brick_destroy("c", &reason), MARS_R_BUSY_USERS);
	CHECK_EQ(mars_brick_disconnect("a", 0, &reason), 0);
	CHECK_EQ(mars_brick_disconnect("b", 2, &reason), 0);
	brick_destroy("c");
	end();
}

static void depth_is_limited(void)
{
	struct mars_brick *src;
	char name[8], below[8] = "m";
	unsigned int i;

	begin();
	create_mem("m");
	for (i = 1; i < MARS_MAX_HOPS; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		create_tap(name, below);
		strcpy(below, name);
	}
	src = source_create("src", below);
	CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
	/* One more at the very bottom is refused, and everything is as it was. */
	create_mem("m2");
	create_tap("low", "m2");
	CHECK_REFUSED(mars_brick_connect("t1", 0, "low", &reason), MARS_R_TOO_DEEP);
	CHECK_REFUSED(mars_brick_connect("t1", 1, "m2", &reason), MARS_R_TOO_DEEP);
	CHECK_EQ(mars_brick_find("t1")->input[0].to, mars_brick_find("m"));
	CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
	exec_drain();
	CHECK_EQ(mars_brick_find("low")->users, 0);
	CHECK_EQ(mars_brick_find("m2")->users, 1);
	connect("t1", 0, "m2");		/* same depth: fine */
	CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
	end();
}

/* A request in flight ends on the route it was born on. */
static void in_flight_keeps_its_route(void)
{
	struct mars_brick *src, *hold, *m1, *m2;
	struct source_io old, new;
	struct mars_ctl_status st;
	int told;

	begin();
	create_mem("m1");
	create_mem("m2");
	brick_create("hold", "hold");
	connect("hold", 0, "m1");
	brick_on("hold");
	create_tap("top", "hold");
	hold = mars_brick_find("hold");
	m1 = mars_brick_find("m1");
	m2 = mars_brick_find("m2");
	src = source_create("src", "top");
	source_start(src, &old, XIO_FLUSH, 0, 0, NULL, 0);
	CHECK_EQ(hold_count(hold), 1);
	CHECK_EQ(m1->users, 3);		/* seen from src, top and hold */
	connect("hold", 0, "m2");
	exec_drain();
	CHECK_EQ(m1->users, 1);		/* the old route of src, held by the request */
	CHECK_REFUSED(mars_brick_switch("m1", false, &reason), MARS_R_NOT_NOW);
	CHECK_EQ(m2->users, 3);
	while (mars_event_next(&st))
		;
	source_start(src, &new, XIO_FLUSH, 0, 0, NULL, 0);
	hold_forward(hold);
	CHECK_EQ(brick_status("m1").val[MARS_V_FILE_FLUSHES], 1);
	CHECK_EQ(brick_status("m2").val[MARS_V_FILE_FLUSHES], 0);
	CHECK_EQ(source_wait(&old), 0);
	exec_drain();
	CHECK_EQ(m1->users, 0);		/* released, and told so */
	CHECK(mars_event_next(&st));
	CHECK_EQ(st.events, MARS_EV_GONE);
	for (told = 0; !told && st.name[0]; told += !strcmp(st.name, "m1"))
		CHECK(!strcmp(st.name, "m1") || mars_event_next(&st));
	while (mars_event_next(&st))
		CHECK_EQ(st.events, MARS_EV_GONE);
	hold_forward(hold);
	CHECK_EQ(brick_status("m2").val[MARS_V_FILE_FLUSHES], 1);
	CHECK_EQ(source_wait(&new), 0);
	brick_off("m1");
	brick_destroy("m1");
	end();
}

/* --- switch and lamps --- */

static void switch_rules(void)
{
	begin();
	brick_create("mem", "m");
	brick_set_value("m", MARS_K_MEM_SIZE, 4096);
	brick_create("tap", "t");
	connect("t", 0, "m");
	CHECK_REFUSED(mars_brick_switch("x", true, &reason), MARS_R_NO_BRICK);
	CHECK_REFUSED(mars_brick_switch("t", true, &reason), MARS_R_BELOW_OFF);
	brick_on("m");
	brick_on("t");
	brick_on("t");			/* pressed again */
	CHECK(brick_status("t").button && brick_status("t").led_on);
	CHECK_REFUSED(mars_brick_switch("m", false, &reason), MARS_R_BUSY_USERS);
	brick_create("mem", "m2");
	CHECK_REFUSED(mars_brick_connect("t", 1, "m2", &reason), MARS_R_BELOW_OFF);
	brick_off("t");
	connect("t", 1, "m2");		/* both off: allowed */
	CHECK_REFUSED(mars_brick_switch("t", true, &reason), MARS_R_BELOW_OFF);
	brick_off("m");
	CHECK(brick_status("m").led_off && !brick_status("m").led_on);
	end();
}

/* Off is reported only when nothing is in flight; below stays busy so long. */
static void off_waits_for_the_last_request(void)
{
	struct mars_brick *src, *hold;
	struct mars_ctl_status st;
	struct source_io io;

	begin();
	brick_create("hold", "hold");
	hold = mars_brick_find("hold");
	brick_on("hold");
	create_tap("t", "hold");
	src = source_create("src", "t");
	source_start(src, &io, XIO_FLUSH, 0, 0, NULL, 0);
	brick_off("src");		/* a test source does not count its requests */
	while (mars_event_next(&st))
		;
	CHECK_EQ(mars_brick_switch("t", false, &reason), 0);
	st = brick_status("t");
	CHECK(!st.button && !st.led_on && !st.led_off);
	CHECK_REFUSED(mars_brick_switch("hold", false, &reason), MARS_R_BUSY_USERS);
	CHECK_REFUSED(mars_brick_destroy("t", &reason), MARS_R_BUSY_ON);
	CHECK_REFUSED(mars_brick_switch("t", true, &reason), MARS_R_NOT_NOW);
	CHECK(mars_event_next(&st));
	CHECK_EQ(st.events, MARS_EV_LED);
	hold_end(hold, 0);
	CHECK_EQ(source_wait(&io), 0);
	CHECK(mars_event_next(&st));
	CHECK_STR(st.name, "t");
	CHECK(st.led_off && !st.led_on);
	CHECK_EQ(st.events, MARS_EV_LED);
	/* Late requests are answered, not lost. */
	CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), -ESHUTDOWN);
	brick_off("hold");
	end();
}

static void events_pile_up_once(void)
{
	struct mars_brick *a, *b;
	struct mars_ctl_status st;

	begin();
	brick_create("tap", "a");
	brick_create("tap", "b");
	a = mars_brick_find("a");
	b = mars_brick_find("b");
	CHECK(!mars_event_next(&st));
	mars_brick_event(b, MARS_EV_PROGRESS);
	mars_brick_event(a, MARS_EV_STATE);
	mars_brick_event(b, MARS_EV_OPEN);
	CHECK(mars_event_next(&st));
	CHECK_STR(st.name, "b");	/* first come, first served */
	CHECK_EQ(st.events, MARS_EV_PROGRESS | MARS_EV_OPEN);
	brick_destroy("a");		/* takes its events with it */
	CHECK(!mars_event_next(&st));
	end();
}

/* --- failing allocations --- */

static unsigned int users_of(const char *name)
{
	struct mars_brick *brick = mars_brick_find(name);

	return brick ? brick->users : ~0u;
}

static void create_under_failures(void)
{
	static const char *const types[] = { "mem", "check", "limit", "align", "tap", "hold" };
	unsigned int i;
	long n, live;
	int err;

	begin();
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		for (n = 1;; n++) {
			live = exec_live_allocs();
			exec_fail_alloc_at(n);
			err = mars_brick_create(types[i], "x", &reason);
			exec_fail_alloc_at(-1);
			if (!err)
				break;
			CHECK_EQ(err, -ENOMEM);
			CHECK_EQ(reason, MARS_R_NO_MEMORY);
			CHECK(!mars_brick_find("x"));
			CHECK_EQ(exec_live_allocs(), live);
		}
		CHECK(n > 1);
		brick_destroy("x");
	}
	end();
}

/* The n-th allocation of a rewiring below three others fails: nothing changes. */
static void rewire_under_failures(void)
{
	struct mars_route *before[3], *now;
	struct mars_brick *src, *top, *mid;
	struct mars_input *input[3];
	long n, live;
	int i, err;

	begin();
	create_mem("m1");
	create_mem("m2");
	create_tap("mid", "m1");
	create_tap("top", "mid");
	src = source_create("src", "top");
	top = mars_brick_find("top");
	mid = mars_brick_find("mid");
	input[0] = &src->input[0];
	input[1] = &top->input[0];
	input[2] = &mid->input[0];
	exec_drain();
	for (n = 1;; n++) {
		live = exec_live_allocs();
		for (i = 0; i < 3; i++)
			before[i] = input[i]->route;
		exec_fail_alloc_at(n);
		err = mars_brick_connect("mid", 0, "m2", &reason);
		exec_fail_alloc_at(-1);
		if (!err)
			break;
		CHECK_EQ(err, -ENOMEM);
		CHECK_EQ(reason, MARS_R_NO_MEMORY);
		for (i = 0; i < 3; i++)
			CHECK_EQ(input[i]->route, before[i]);
		CHECK(mid->input[0].to == mars_brick_find("m1"));
		CHECK_EQ(users_of("m1"), 3);
		CHECK_EQ(users_of("m2"), 0);
		CHECK_EQ(exec_live_allocs(), live);
		CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
	}
	CHECK(n > 3 * 3);		/* route, pool, reserve; three times */
	exec_drain();
	CHECK_EQ(users_of("m1"), 0);
	CHECK_EQ(users_of("m2"), 3);
	for (n = 1;; n++) {
		now = src->input[0].route;
		exec_fail_alloc_at(n);
		err = mars_brick_disconnect("mid", 0, &reason);
		exec_fail_alloc_at(-1);
		if (!err)
			break;
		CHECK_EQ(reason, MARS_R_NO_MEMORY);
		CHECK_EQ(src->input[0].route, now);
		CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
	}
	CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), -ENOTCONN);
	exec_drain();
	CHECK_EQ(users_of("m2"), 0);
	end();
}

/* --- many bricks --- */

static void list_in_name_order(void)
{
	struct mars_ctl_status st = { 0 };
	char name[16], prev[MARS_NAME_MAX] = "";
	unsigned int i, nr = 0;

	begin();
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "b%u", (i * 7919) % 500);
		brick_create("tap", name);
	}
	while (mars_brick_status_next(prev, &st)) {
		CHECK(strcmp(prev, st.name) < 0);
		strcpy(prev, st.name);
		nr++;
		/* Who is asked about may be gone before the next question. */
		if (nr % 3 == 0)
			brick_destroy(st.name);
	}
	CHECK_EQ(nr, 500);
	for (nr = 0, prev[0] = 0; mars_brick_status_next(prev, &st); nr++)
		strcpy(prev, st.name);
	CHECK_EQ(nr, 500 - 500 / 3);
	end();
}

int main(void)
{
	RUN(types_are_checked);
	RUN(create_and_destroy);
	RUN(parameters);
	RUN(wires_are_checked);
	RUN(depth_is_limited);
	RUN(in_flight_keeps_its_route);
	RUN(switch_rules);
	RUN(off_waits_for_the_last_request);
	RUN(events_pile_up_once);
	RUN(create_under_failures);
	RUN(rewire_under_failures);
	RUN(list_in_name_order);
	return test_done();
}
