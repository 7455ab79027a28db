// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * engine_test.c - start and stop of the embedded engine
 */
#include <linux/completion.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/workqueue.h>

#include "core/brick.h"
#include "core/xio.h"
#include "engine/engine.h"
#include "test.h"

/* --- a brick that takes its time to get off, and may refuse --- */

struct slow {
	struct mars_brick brick;
	struct delayed_work off;
};

static bool slow_refuses;

static struct slow *to_slow(struct mars_brick *brick)
{
	return container_of(brick, struct slow, brick);
}

static void slow_is_off(struct work_struct *work)
{
	struct slow *slow = container_of(to_delayed_work(work), struct slow, off);

	mars_brick_leds(&slow->brick, false, true);
}

static int slow_construct(struct mars_brick *brick)
{
	INIT_DELAYED_WORK(&to_slow(brick)->off, slow_is_off);
	return 0;
}

/* The last act of the brick is in the work item: wait until it has returned. */
static void slow_destruct(struct mars_brick *brick)
{
	flush_delayed_work(&to_slow(brick)->off);
}

static int slow_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	if (!on && slow_refuses) {
		*reason = MARS_R_OPEN;
		return -EBUSY;
	}
	if (on) {
		mars_brick_leds(brick, true, false);
		return 0;
	}
	mars_brick_leds(brick, false, false);
	queue_delayed_work(system_wq, &to_slow(brick)->off, usecs_to_jiffies(500));
	return 0;
}

static void slow_submit(struct mars_brick *brick, struct xio_request *rq)
{
	xio_complete(rq, -EIO);
}

static const struct mars_brick_type slow_brick_type = {
	.name = "slow",
	.nr_inputs = 1,
	.input_name = { "below" },
	.has_output = true,
	.size = sizeof(struct slow),
	.construct = slow_construct,
	.destruct = slow_destruct,
	.power = slow_power,
	.submit = slow_submit,
};

/* --- cases --- */

static const enum exec_mode modes[] = { EXEC_THREADED, EXEC_SIM };

static void start_stop(void)
{
	long live = exec_live_allocs();

	for (int i = 0; i < 6; i++) {
		CHECK_EQ(mars_engine_init(modes[i % 2], 0, test_seed()), 0);
		CHECK_EQ(mars_engine_init(modes[i % 2], 0, 0), -EALREADY);
		CHECK_EQ(mars_engine_exit(), 0);
		CHECK_EQ(mars_engine_exit(), 0);
		CHECK_EQ(exec_live_allocs(), live);
	}
}

static void must(int ret, enum mars_reason reason, const char *what)
{
	if (ret)
		test_fail(__FILE__, __LINE__, "%s: %d, reason %d", what, ret, reason);
}

/* Names such that neither order of names is the order of the stack. */
static void build_stack(void)
{
	static const char *const stack[] = { "m", "b", "z", "a", "y" };	/* lowest first */
	enum mars_reason reason;

	must(mars_type_register(&slow_brick_type), 0, "register");
	for (size_t i = 0; i < ARRAY_SIZE(stack); i++) {
		must(mars_brick_create("slow", stack[i], &reason), reason, "create");
		if (i)
			must(mars_brick_connect(stack[i], 0, stack[i - 1], &reason), reason,
			     "connect");
		must(mars_brick_switch(stack[i], true, &reason), reason, "switch");
	}
}

static void exit_takes_stack_down(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		long live = exec_live_allocs();

		CHECK_EQ(mars_engine_init(modes[i], 0, test_seed()), 0);
		build_stack();
		CHECK_EQ(mars_engine_exit(), 0);
		CHECK_EQ(exec_live_allocs(), live);
	}
}

static unsigned int wakeups;

static void note_wakeup(void)
{
	wakeups++;
}

static void exit_is_refused(void)
{
	int old = exec_log_level(0);

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		CHECK_EQ(mars_engine_init(modes[i], 0, test_seed()), 0);
		build_stack();
		mars_event_hook = note_wakeup;
		wakeups = 0;
		slow_refuses = true;
		CHECK_EQ(mars_engine_exit(), -EBUSY);
		CHECK(mars_event_hook == note_wakeup);
		CHECK(wakeups);		/* news that came meanwhile is not left lying */
		CHECK(mars_brick_find("y") && mars_brick_find("m"));
		slow_refuses = false;
		CHECK_EQ(mars_engine_exit(), 0);
		CHECK(!mars_event_hook);
	}
	exec_log_level(old);
}

static void allocation_fails(void)
{
	long live = exec_live_allocs(), n;

	for (n = 1;; n++) {
		int ret;

		exec_fail_alloc_at(n);
		ret = mars_engine_init(EXEC_SIM, 0, 1);
		if (!exec_fail_alloc_fired()) {
			CHECK_EQ(ret, 0);
			break;
		}
		CHECK_EQ(ret, -ENOMEM);
		CHECK_EQ(exec_live_allocs(), live);
	}
	exec_fail_alloc_at(-1);
	CHECK(n > 4);
	CHECK_EQ(mars_engine_exit(), 0);
}

int main(void)
{
	RUN(start_stop);
	RUN(exit_takes_stack_down);
	RUN(exit_is_refused);
	RUN(allocation_fails);
	return test_done();
}
