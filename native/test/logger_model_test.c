// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_model_test.c - the logger against its model, in simulation
 */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "logger_rig.h"

static void basics(void)
{
	struct rig *r = rig_new(4 << 20, 64 << 20);
	struct mars_ctl_status st;

	rig_on(r);
	CHECK_EQ(rig_do(r, XIO_WRITE, 0, 4096, 4096), 0);
	CHECK_EQ(rig_do(r, XIO_READ, 0, 4096, 4096), 0);
	CHECK_EQ(rig_do(r, XIO_READ, 0, 0, 16384), 0);
	CHECK_EQ(rig_do(r, XIO_FLUSH, 0, 0, 0), 0);
	st = rig_status();
	CHECK_EQ(st.val[MARS_V_LOGGER_DURABLE], 4096 + 8192);
	CHECK_EQ(st.val[MARS_V_LOGGER_RECORDS], 1);
	CHECK(!memcmp(st.digest, r->log[0].cur.digest, sizeof(st.digest)));
	CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 512, 512), 0);
	CHECK_EQ(rig_do(r, XIO_DISCARD, 0, 6144, 1 << 20), 0);
	CHECK_EQ(rig_do(r, XIO_WRITE, 0, 3584, XIO_MAX_IO), 0);
	CHECK_EQ(rig_do(r, XIO_WRITE_ZEROES, XIO_NOUNMAP, 8192, 512), 0);
	rig_check_all(r);
	rig_check_crash(r);
	rig_off(r, true);
	rig_free(r);
}

/* Random requests, never two that touch the same byte at the same time. */
static void random_mix(void)
{
	unsigned int round, i;

	for (round = 0; round < 6; round++) {
		struct rig *r = rig_new(2 << 20, 256 << 20);

		if (round % 2)
			rig_param(r, MARS_K_LOGGER_CREDITS, LG_RESERVE);
		if (round == 4)
			rig_param(r, MARS_K_LOGGER_DURABILITY, 1);
		rig_on(r);
		for (i = 0; i < 1500; i++) {
			rig_random(r, round < 3 ? 16384 : 200000);
			if (exec_random(200) == 0)
				rig_check_crash(r);
			if (exec_random(50) == 0)
				exec_advance(exec_random(2000) * 1000000ull);
			if (exec_random(100) == 0)
				brick_set_value("lg", MARS_K_LOGGER_CHECKPOINT, 0);
		}
		rig_idle(r);
		rig_check_all(r);
		rig_check_crash(r);
		rig_off(r, true);
		CHECK_MEM(r->replayed, r->model, r->size);
		rig_check_order(r);
		rig_free(r);
	}
}

int main(void)
{
	RUN(basics);
	RUN(random_mix);
	return test_done();
}
