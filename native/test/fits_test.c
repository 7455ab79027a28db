// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fits_test.c - a brick that made promises about what is below is asked before a rewiring
 *
 * The type "picky" stands for a disk that was shown with a size: while it is on, the way
 * down must lead to a device of at least that size, and it can't be cut.
 */
#include <linux/errno.h>

#include "engine/engine.h"
#include "core/xio.h"
#include "source.h"
#include "test.h"
#include "testbricks.h"

#define SMALL	(1u << 20)
#define LARGE	(2u << 20)

static enum mars_reason reason;
static unsigned int asked;

static bool picky_needs(struct mars_brick *brick, unsigned int nr)
{
	return true;
}

static int picky_fits(struct mars_brick *brick, unsigned int nr, enum mars_reason *reason)
{
	struct xio_info info;

	asked++;
	CHECK_EQ(mars_input_info(&brick->input[nr], &info), 0);
	return info.size < LARGE ? mars_refuse(reason, MARS_R_TOO_SMALL) : 0;
}

static const struct mars_brick_type picky_type = {
	.name = "picky",
	.nr_inputs = 1,
	.input_name = { "disk" },
	.size = sizeof(struct mars_brick),
	.needs = picky_needs,
	.fits = picky_fits,
};

static void create_mem(const char *name, u64 size)
{
	brick_create("mem", name);
	brick_set_value(name, MARS_K_MEM_SIZE, size);
	brick_on(name);
}

static int connect(const char *name, const char *to)
{
	reason = MARS_R_NONE;
	return mars_brick_connect(name, 0, to, &reason);
}

/* p - c - large, and beside it small, other (as large). */
static void begin(void)
{
	CHECK_EQ(mars_engine_init(EXEC_SIM, 0, test_seed()), 0);
	CHECK_EQ(mars_type_register(&picky_type), 0);
	testbricks_register();
	create_mem("large", LARGE);
	create_mem("other", LARGE);
	create_mem("small", SMALL);
	brick_create("check", "c");
	CHECK_EQ(connect("c", "large"), 0);
	brick_on("c");
	brick_create("picky", "p");
	CHECK_EQ(connect("p", "c"), 0);
	brick_on("p");
	asked = 0;
}

static void end(void)
{
	mars_engine_exit();
	CHECK_EQ(exec_live_allocs(), 0);
}

/* Which brick do requests of p reach at the end of their way? */
static const char *reached(void)
{
	struct mars_input *input = &mars_brick_find("p")->input[0];
	struct mars_route *route = mars_route_get(input);
	const struct mars_hop *hop = route->top;
	const char *name;

	while (hop->below[0])
		hop = hop->below[0];
	name = hop->brick->name;
	mars_route_put(route);
	return name;
}

static void what_does_not_fit_changes_nothing(void)
{
	begin();
	CHECK_EQ(connect("c", "small"), mars_reason_errno(MARS_R_TOO_SMALL));
	CHECK_EQ(reason, MARS_R_TOO_SMALL);
	CHECK_EQ(connect("p", "small"), mars_reason_errno(MARS_R_TOO_SMALL));
	CHECK_EQ(asked, 2);
	CHECK(!strcmp(reached(), "large"));
	/* the wire is the old one too: what is below stays in use */
	CHECK_EQ(mars_brick_switch("large", false, &reason), mars_reason_errno(MARS_R_BUSY_USERS));
	CHECK_EQ(mars_brick_switch("small", false, &reason), 0);
	end();
}

static void what_fits_goes_on(void)
{
	begin();
	CHECK_EQ(connect("c", "other"), 0);
	CHECK(!strcmp(reached(), "other"));
	CHECK_EQ(connect("p", "large"), 0);
	CHECK(!strcmp(reached(), "large"));
	CHECK_EQ(asked, 2);
	end();
}

static void who_is_off_is_not_asked(void)
{
	begin();
	CHECK_EQ(mars_brick_switch("p", false, &reason), 0);
	CHECK_EQ(connect("c", "small"), 0);
	CHECK_EQ(asked, 0);
	CHECK(!strcmp(reached(), "small"));
	end();
}

static void the_way_down_is_not_cut(void)
{
	begin();
	CHECK_EQ(mars_brick_disconnect("p", 0, &reason), mars_reason_errno(MARS_R_NOT_NOW));
	CHECK_EQ(mars_brick_disconnect("c", 0, &reason), mars_reason_errno(MARS_R_NOT_NOW));
	CHECK_EQ(mars_brick_switch("p", false, &reason), 0);
	CHECK_EQ(mars_brick_disconnect("c", 0, &reason), 0);
	CHECK_EQ(mars_brick_disconnect("p", 0, &reason), 0);
	end();
}

int main(void)
{
	RUN(what_does_not_fit_changes_nothing);
	RUN(what_fits_goes_on);
	RUN(who_is_off_is_not_asked);
	RUN(the_way_down_is_not_cut);
	return test_done();
}
