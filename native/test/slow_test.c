// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * slow_test.c - a method that waits for a device holds up nobody but its own brick
 *
 * The type "slow" waits in power and set, as for a disk that hangs in open(), until the
 * test lets it go.  If mars_topology_lock were held meanwhile, the calls below would wait
 * for ever: the alarm ends the test.
 */
#include <pthread.h>
#include <unistd.h>

#include <linux/completion.h>
#include <linux/errno.h>
#include <linux/kernel.h>

#include "engine/engine.h"
#include "source.h"
#include "test.h"
#include "testbricks.h"

#define LIMIT_S	60	/* far beyond any honest run */

static struct completion waiting, go;
static int result;			/* what the device answers */

static int wait_for_device(struct mars_brick *brick)
{
	mars_brick_slow_begin(brick);
	complete(&waiting);
	wait_for_completion(&go);
	mars_brick_slow_end(brick);
	return result;
}

static int slow_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	int err = on ? wait_for_device(brick) : 0;

	if (!err)
		mars_brick_leds(brick, on, !on);
	return err;
}

static int slow_set(struct mars_brick *brick, u32 key, u64 value, const char *text, u32 len,
		    enum mars_reason *reason)
{
	return wait_for_device(brick);
}

static const struct mars_brick_type slow_type = {
	.name = "slow",
	.size = sizeof(struct mars_brick),
	.power = slow_power,
	.set = slow_set,
};

struct call {
	pthread_t thread;
	bool set;			/* a parameter, not the switch */
	enum mars_reason reason;
	int err;
};

static void *call_fn(void *arg)
{
	struct call *call = arg;

	if (call->set)
		call->err = mars_brick_set("s", 1, 0, "", 0, &call->reason);
	else
		call->err = mars_brick_switch("s", true, &call->reason);
	return NULL;
}

/* Returns when the method waits. */
static void call_begin(struct call *call, bool set)
{
	call->set = set;
	CHECK_EQ(pthread_create(&call->thread, NULL, call_fn, call), 0);
	wait_for_completion(&waiting);
}

static int call_end(struct call *call, int answer)
{
	result = answer;
	complete(&go);
	CHECK_EQ(pthread_join(call->thread, NULL), 0);
	return call->err;
}

static void begin(void)
{
	CHECK_EQ(mars_engine_init(EXEC_THREADED, 2, test_seed()), 0);
	CHECK_EQ(mars_type_register(&slow_type), 0);
	init_completion(&waiting);
	init_completion(&go);
	brick_create("slow", "s");
	alarm(LIMIT_S);
}

static void end(void)
{
	alarm(0);
	mars_engine_exit();
	CHECK_EQ(exec_live_allocs(), 0);
}

/* All control calls of another brick, from its birth to its end. */
static void others_go_on(void)
{
	struct mars_ctl_status st;
	enum mars_reason reason;

	brick_create("mem", "m");
	brick_set_value("m", MARS_K_MEM_SIZE, 1 << 20);
	brick_on("m");
	brick_create("check", "c");
	CHECK_EQ(mars_brick_connect("c", 0, "m", &reason), 0);
	brick_on("c");
	CHECK_EQ(mars_brick_status("m", &st, &reason), 0);
	CHECK_EQ(mars_brick_switch("c", false, &reason), 0);
	CHECK_EQ(mars_brick_destroy("c", &reason), 0);
	CHECK_EQ(mars_brick_switch("m", false, &reason), 0);
	CHECK_EQ(mars_brick_destroy("m", &reason), 0);
}

#define CHECK_NOT_NOW(call) do {					\
	enum mars_reason reason = MARS_R_NONE;				\
	CHECK_EQ((call), mars_reason_errno(MARS_R_NOT_NOW));		\
	CHECK_EQ(reason, MARS_R_NOT_NOW);				\
} while (0)

static void nothing_else_is_asked(void)
{
	CHECK_NOT_NOW(mars_brick_switch("s", false, &reason));
	CHECK_NOT_NOW(mars_brick_switch("s", true, &reason));
	CHECK_NOT_NOW(mars_brick_set("s", 1, 0, "", 0, &reason));
	CHECK_NOT_NOW(mars_brick_destroy("s", &reason));
}

static struct mars_ctl_status status(void)
{
	struct mars_ctl_status st;
	enum mars_reason reason;

	CHECK_EQ(mars_brick_status("s", &st, &reason), 0);
	return st;
}

static void switching_on_holds_up_nobody(void)
{
	struct call call;
	enum mars_reason reason;

	begin();
	call_begin(&call, false);
	CHECK(status().button && !status().led_on);
	others_go_on();
	nothing_else_is_asked();
	CHECK_EQ(call_end(&call, 0), 0);
	CHECK(status().button && status().led_on);
	CHECK_EQ(mars_brick_switch("s", false, &reason), 0);
	end();
}

static void what_fails_after_a_wait_is_off(void)
{
	struct call call;

	begin();
	call_begin(&call, false);
	CHECK_EQ(call_end(&call, -EIO), -EIO);
	CHECK_EQ(call.reason, MARS_R_IO);
	CHECK(!status().button && status().led_off);
	end();
}

static void setting_holds_up_nobody(void)
{
	struct call call;

	begin();
	call_begin(&call, true);
	others_go_on();
	nothing_else_is_asked();
	CHECK_EQ(call_end(&call, -ENOMEM), -ENOMEM);
	CHECK_EQ(call.reason, MARS_R_NO_MEMORY);
	call_begin(&call, true);
	CHECK_EQ(call_end(&call, 0), 0);
	end();
}

int main(void)
{
	RUN(switching_on_holds_up_nobody);
	RUN(what_fails_after_a_wait_is_off);
	RUN(setting_holds_up_nobody);
	return test_done();
}
