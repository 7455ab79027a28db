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

/* Writes in flight overlap each other: one order in log, memory and disk. */
static void overlapping(void)
{
	unsigned int round, i;

	for (round = 0; round < 3; round++) {
		struct rig *r = rig_new(256 << 10, 256 << 20);

		r->overlap = true;
		rig_param(r, MARS_K_LOGGER_CREDITS, LG_RESERVE);
		rig_on(r);
		for (i = 0; i < 1500; i++) {
			rig_random(r, 65536);
			if (exec_random(100) == 0)
				rig_check_crash(r);
			if (exec_random(20) == 0)
				exec_advance(exec_random(1500) * 1000000ull);
		}
		CHECK_EQ(rig_do(r, XIO_FLUSH, 0, 0, 0), 0);
		rig_idle(r);
		CHECK_EQ(rig_do(r, XIO_FLUSH, 0, 0, 0), 0);
		memcpy(r->model, r->replayed, r->size);
		r->overlap = false;
		rig_check_all(r);
		rig_off(r, true);
		rig_check_order(r);
		rig_free(r);
	}
}

/* Rotation as often as it is allowed, under load; a crash at any time is survived. */
static void rotation(void)
{
	unsigned int round, i;

	for (round = 0; round < 4; round++) {
		struct rig *r = rig_new(1 << 20, 24 << 20);
		struct mars_ctl_status st;

		if (round % 2)
			rig_param(r, MARS_K_LOGGER_CREDITS, LG_RESERVE);
		rig_on(r);
		for (i = 0; i < 1500 && r->nr_logs < 30; i++) {
			rig_random(r, 65536);
			if (exec_random(4) == 0)
				rig_rotate(r);
			if (exec_random(40) == 0)
				rig_check_crash(r);
			if (exec_random(10) == 0)
				exec_advance(exec_random(1500) * 1000000ull);
		}
		CHECK(r->nr_logs > 10);
		rig_idle(r);
		rig_until(r, rig_status().val[MARS_V_LOGGER_NUMBER] == r->nr_logs &&
			  !rig_status().val[MARS_V_LOGGER_OLD_SLOT]);
		rig_scan(r);
		st = rig_status();
		CHECK_EQ(st.val[MARS_V_LOGGER_PREV_END], r->log[r->nr_logs - 2].cur.offset);
		CHECK_MEM(st.digest2, r->log[r->nr_logs - 2].cur.digest, sizeof(st.digest2));
		rig_check_all(r);
		rig_off(r, true);
		rig_check_order(r);
		rig_free(r);
	}
}

/* One rotation, a crash after each step of it. */
static void rotation_steps(void)
{
	unsigned int round, i;

	for (round = 0; round < 4; round++) {
		struct rig *r = rig_new(256 << 10, 24 << 20);

		rig_on(r);
		for (i = 0; i < 20; i++)
			rig_random(r, 16384);
		CHECK(rig_rotate(r));
		while (rig_status().val[MARS_V_LOGGER_NUMBER] != 2 ||
		       rig_status().val[MARS_V_LOGGER_OLD_SLOT]) {
			CHECK(rig_step(r));
			rig_check_crash(r);
			while (rig_busy(r) < 4 && r->nr_writes < 300)
				rig_start(r, XIO_WRITE, XIO_FUA, 4096 * exec_random(64), 4096);
		}
		rig_idle(r);
		rig_check_all(r);
		rig_off(r, true);
		rig_check_order(r);
		rig_free(r);
	}
}

/* Switching off at any step of a rotation. */
static void off_while_rotating(void)
{
	unsigned int steps;

	for (steps = 0; steps < 60; steps++) {
		struct rig *r = rig_new(256 << 10, 24 << 20);
		unsigned int i;

		rig_on(r);
		for (i = 0; i < 10; i++)
			rig_start(r, XIO_WRITE, 0, 4096 * exec_random(64), 4096);
		rig_idle(r);
		CHECK(rig_rotate(r));
		for (i = 0; i < steps && rig_step(r); i++)
			;
		rig_off(r, true);
		rig_check_crash(r);
		rig_free(r);
	}
}

/* The data disk has grown: visible with the next log, which can record writes there. */
static void device_grows(void)
{
	struct rig *r = rig_new(2 << 20, 64 << 20);
	enum mars_reason reason;
	struct xio_info info;
	u8 *buf = r->op[0].buf;

	rig_on(r);
	CHECK_EQ(mars_input_info(&r->src->input[0], &info), 0);
	CHECK_EQ(info.size, 2 << 20);
	CHECK(info.volatile_cache);
	r->may_fail = true;
	CHECK_EQ(source_io(r->src, XIO_WRITE, 0, (2 << 20) - 4096, buf, 8192), -EINVAL);
	brick_create("mem", "bigger");
	brick_set_value("bigger", MARS_K_MEM_SIZE, 3 << 20);
	brick_on("bigger");
	CHECK_EQ(mars_brick_connect("lg", 0, "bigger", &reason), 0);
	CHECK_EQ(source_io(r->src, XIO_WRITE, 0, (2 << 20) - 4096, buf, 8192), -EINVAL);
	CHECK(rig_rotate(r));
	rig_until(r, rig_status().val[MARS_V_LOGGER_NUMBER] == 2);
	CHECK_EQ(mars_input_info(&r->src->input[0], &info), 0);
	CHECK_EQ(info.size, 3 << 20);
	memset(buf, 0x77, 8192);
	CHECK_EQ(source_io(r->src, XIO_WRITE, XIO_FUA, (3 << 20) - 8192, buf, 8192), 0);
	faulty_peek(r->log[1].disk, 0, buf, 4096, true);
	CHECK_EQ(le64_to_cpu(((struct mars_log_header *)buf)->device_size), 3 << 20);
	rig_param(r, MARS_K_LOGGER_DURABILITY, 1);
	CHECK_EQ(mars_input_info(&r->src->input[0], &info), 0);
	CHECK(!info.volatile_cache);
	rig_free(r);
}

/* Holds back writes of low priority, i.e. the zeros, while it is shut. */
static LIST_HEAD(held);
static bool valve_shut;

static void valve_submit(struct mars_brick *brick, struct xio_request *rq)
{
	if (valve_shut && rq->op == XIO_WRITE && (rq->flags & XIO_PRIO_LOW))
		list_add_tail(&rq->link, &held);
	else
		xio_forward(rq, 0);
}

static int valve_info(struct mars_brick *brick, struct xio_info *info)
{
	return mars_input_info(&brick->input[0], info);
}

static const struct mars_brick_type valve_type = {
	.name		= "valve",
	.nr_inputs	= 1,
	.input_name	= { "disk" },
	.has_output	= true,
	.forwards	= 1,
	.size		= sizeof(struct mars_brick),
	.submit		= valve_submit,
	.get_info	= valve_info,
};

/*
 * Zeros begin near: few commits go where nothing was written.  Small ones go on beside
 * zeros on their way, but no commit enters their range.
 */
static void zeroes_in_the_way(void)
{
	struct rig *r = rig_new(8 << 20, 64 << 20);
	enum mars_reason reason;
	struct xio_request *rq;
	unsigned int i;
	u64 end;

	CHECK_EQ(mars_type_register(&valve_type), 0);
	brick_create("valve", "valve");
	CHECK_EQ(mars_brick_connect("valve", 0, "log-1", &reason), 0);
	brick_on("valve");
	CHECK_EQ(mars_brick_connect("lg", 1, "valve", &reason), 0);
	rig_on(r);
	valve_shut = true;
	for (i = 0; list_empty(&held); i++) {
		CHECK(i < 100);
		CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 4096 * i, 4096), 0);
	}
	end = r->lg->zero_pos;
	CHECK(end <= rig_status().val[MARS_V_LOGGER_POS] + 32 * 8192);
	for (i = 0; i < 8; i++)
		CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 4096 * i, 4096), 0);
	for (i = 0; i < 7; i++)
		rig_start(r, XIO_WRITE, XIO_FUA, i << 20, XIO_MAX_IO);
	rig_until(r, rig_status().val[MARS_V_LOGGER_POS] + XIO_MAX_IO > end &&
		  list_empty(&r->lg->inflight));
	for (i = 0; i < 1000; i++)
		rig_step(r);
	CHECK(rig_busy(r));
	CHECK(rig_status().val[MARS_V_LOGGER_POS] <= end);
	valve_shut = false;
	rq = list_first_entry(&held, struct xio_request, link);
	list_del_init(&rq->link);
	xio_forward(rq, 0);
	rig_idle(r);
	rig_check_all(r);
	rig_off(r, true);
	rig_check_crash(r);
	rig_free(r);
}

/* Small commits in a row: zeros are written ahead and never over a group. */
static void zeroes_ahead(void)
{
	struct rig *r = rig_new(1 << 20, 256 << 20);
	unsigned int i;

	rig_param(r, MARS_K_LOGGER_SEGMENT, 16 << 20);
	rig_on(r);
	for (i = 0; i < 3000; i++) {
		rig_start(r, XIO_WRITE, XIO_FUA, 4096 * exec_random(256), 4096);
		if (i % 500 == 0)
			rig_check_crash(r);
	}
	rig_idle(r);
	CHECK(r->lg->cur->zeroed > r->lg->cur->cursor.offset);
	r->overlap = true;
	for (i = 0; i < 24 * 12; i++) {		/* big commits run into zeros on their way */
		if (i % 12 < 9)
			CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 4096 * exec_random(256), 4096), 0);
		else
			rig_start(r, XIO_WRITE, XIO_FUA, 0, XIO_MAX_IO);
	}
	rig_idle(r);
	rig_scan(r);
	memcpy(r->model, r->replayed, r->size);
	r->overlap = false;
	rig_check_all(r);
	rig_off(r, true);
	rig_check_order(r);
	rig_check_crash(r);
	rig_free(r);
}

int main(void)
{
	RUN(basics);
	RUN(random_mix);
	RUN(overlapping);
	RUN(rotation);
	RUN(rotation_steps);
	RUN(off_while_rotating);
	RUN(device_grows);
	RUN(zeroes_in_the_way);
	RUN(zeroes_ahead);
	return test_done();
}
