// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_fault_test.c - the logger when memory, log space, or disks fail; in simulation
 */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "logger_rig.h"

#define MS	1000000ull
#define WRITES	(FAULTY_OP(XIO_WRITE) | FAULTY_OP(XIO_DISCARD) | FAULTY_OP(XIO_WRITE_ZEROES))

static u64 val(unsigned int nr)
{
	return rig_status().val[nr];
}

/* Data that is durable and replaced by data that is not must not be skipped by a replay. */
static void replaced_but_not_durable(void)
{
	struct rig *r = rig_new(1 << 20, 64 << 20);
	u64 start;

	rig_param(r, MARS_K_LOGGER_DELAY, 1000000);
	rig_on(r);
	start = ktime_get_ns();
	rig_do(r, XIO_WRITE, XIO_FUA, 65536, 4096);	/* its writeback makes the fifo move */
	rig_do(r, XIO_WRITE, XIO_FUA, 8192, 4096);
	rig_until(r, ktime_get_ns() >= start + 700 * MS);
	rig_do(r, XIO_WRITE, 0, 8192, 4096);
	while (val(MARS_V_LOGGER_DURABLE) < 4096 + 3 * 8192) {
		rig_check_crash(r);
		CHECK(rig_step(r));
	}
	CHECK(ktime_get_ns() >= start + 1600 * MS);
	rig_off(r, true);
	rig_free(r);
}

/* Writers wait for memory, readers and flushes don't, order stays, all go on in the end. */
static void credits_exhausted(void)
{
	struct rig *r = rig_new(16 << 20, 256 << 20);
	unsigned int i;

	rig_param(r, MARS_K_LOGGER_CREDITS, LG_RESERVE);
	rig_on(r);
	CHECK_EQ(faulty_fail_range(r->data, WRITES, 0, 16 << 20, -EIO), 0);
	for (i = 0; i < 20; i++)
		rig_start(r, XIO_WRITE, 0, i * 512000ull, 500224);
	rig_until(r, val(MARS_V_LOGGER_WAITERS) >= 10 &&
		  rig_status().state == MARS_S_DATA_WRITE_ERROR);
	CHECK_EQ(rig_busy(r), val(MARS_V_LOGGER_WAITERS));
	CHECK_EQ(rig_do(r, XIO_READ, 0, 0, 512000), 0);
	CHECK_EQ(rig_do(r, XIO_READ, 0, 15 << 20, 512000), 0);
	CHECK_EQ(rig_do(r, XIO_FLUSH, 0, 0, 0), 0);
	CHECK(val(MARS_V_LOGGER_PEAK) <= LG_RESERVE);
	CHECK_EQ(val(MARS_V_LOGGER_CKPT), MARS_LOG_BLOCK);
	rig_check_crash(r);
	faulty_heal(r->data);
	rig_idle(r);
	rig_until(r, rig_status().state == MARS_S_OK);
	CHECK(val(MARS_V_LOGGER_PEAK) <= LG_RESERVE);
	rig_check_all(r);
	rig_off(r, true);
	rig_check_order(r);
	rig_free(r);
}

/* A disk with a few bad blocks: everything else is written, the checkpoint waits. */
static void bad_blocks(void)
{
	struct rig *r = rig_new(2 << 20, 256 << 20);
	unsigned int i;

	rig_on(r);
	CHECK_EQ(faulty_fail_range(r->data, WRITES, 1 << 20, 512, -EIO), 0);
	for (i = 0; i < 512; i++)
		rig_start(r, XIO_WRITE, 0, i * 4096, 4096);
	rig_idle(r);
	brick_set_value("lg", MARS_K_LOGGER_CHECKPOINT, 0);
	rig_until(r, rig_status().state == MARS_S_DATA_WRITE_ERROR);
	rig_until(r, val(MARS_V_LOGGER_USED) == 4096);
	CHECK_EQ(rig_status().error, -EIO);
	rig_check_crash(r);
	rig_check_all(r);
	faulty_heal(r->data);
	rig_until(r, rig_status().state == MARS_S_OK && !val(MARS_V_LOGGER_DIRTY));
	rig_off(r, true);
	rig_free(r);
}

/* Switching off while the data disk refuses: ends, and the log has what is missing. */
static void off_while_failing(void)
{
	struct rig *r = rig_new(2 << 20, 256 << 20);

	rig_on(r);
	CHECK_EQ(rig_do(r, XIO_WRITE, 0, 0, 65536), 0);
	brick_set_value("lg", MARS_K_LOGGER_CHECKPOINT, 0);
	rig_until(r, !val(MARS_V_LOGGER_DIRTY));
	CHECK_EQ(faulty_fail_range(r->data, WRITES, 8192, 4096, -EIO), 0);
	CHECK_EQ(rig_do(r, XIO_WRITE, 0, 4096, 16384), 0);
	CHECK_EQ(rig_do(r, XIO_DISCARD, 0, 1 << 20, 65536), 0);
	rig_off(r, false);
	CHECK_EQ(rig_status().state, MARS_S_DATA_WRITE_ERROR);
	CHECK(val(MARS_V_LOGGER_DIRTY) > 0);
	rig_check_crash(r);
	CHECK_MEM(r->replayed, r->model, r->size);
	rig_free(r);
}

/*
 * The same with more extents than one sweep looks at, and more shadows than are dropped
 * in one go: nothing can be written, then some can't.
 */
static void off_with_much_refused(void)
{
	const u64 nr = 3000;
	struct rig *r;
	unsigned int part;
	u64 i;

	for (part = 1; part <= 2; part++) {
		r = rig_new(2 * nr * 4096, 256 << 20);
		rig_param(r, MARS_K_LOGGER_CREDITS, 32 << 20);
		rig_on(r);
		CHECK_EQ(faulty_fail_range(r->data, WRITES, 0, 2 * nr * 4096 / part, -EIO), 0);
		for (i = 0; i < nr; i++)	/* with holes: no two become one */
			CHECK_EQ(rig_do(r, XIO_WRITE, 0, 8192 * i, 4096), 0);
		rig_off(r, false);
		CHECK_EQ(rig_status().state, MARS_S_DATA_WRITE_ERROR);
		CHECK(val(MARS_V_LOGGER_DIRTY) > nr * 4096);
		CHECK_EQ(val(MARS_V_LOGGER_USED), 0);
		CHECK(val(MARS_V_LOGGER_WRITEBACKS) >= (part == 2 ? nr / 2 : 1));
		rig_check_crash(r);
		CHECK_MEM(r->replayed, r->model, r->size);
		rig_free(r);
	}
}

/* Data errors that come and go under random load. */
static void transient_data_errors(void)
{
	struct rig *r = rig_new(2 << 20, 256 << 20);
	unsigned int i;

	rig_param(r, MARS_K_LOGGER_CREDITS, LG_RESERVE);
	rig_on(r);
	for (i = 0; i < 1200; i++) {
		rig_random(r, 100000);
		if (exec_random(20) == 0)
			faulty_fail_nth(r->data, WRITES, exec_random(10), 1 + exec_random(4), -EIO);
		if (exec_random(60) == 0)
			rig_check_crash(r);
		if (exec_random(20) == 0)
			exec_advance(exec_random(2000) * MS);
	}
	faulty_heal(r->data);
	rig_idle(r);
	rig_check_all(r);
	rig_until(r, rig_status().state == MARS_S_OK);
	rig_off(r, true);
	rig_check_order(r);
	rig_free(r);
}

/* After a failed flush of the data disk, its checkpoint is frozen. */
static void flush_error(void)
{
	struct rig *r = rig_new(2 << 20, 256 << 20);

	rig_on(r);
	CHECK_EQ(rig_do(r, XIO_WRITE, 0, 0, 65536), 0);
	faulty_fail_nth(r->data, FAULTY_OP(XIO_FLUSH), 0, 1, -EIO);
	brick_set_value("lg", MARS_K_LOGGER_CHECKPOINT, 0);
	rig_until(r, rig_status().state == MARS_S_DATA_WRITE_ERROR);
	CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 65536, 65536), 0);
	rig_check_all(r);
	rig_off(r, false);
	CHECK_EQ(val(MARS_V_LOGGER_CKPT), MARS_LOG_BLOCK);
	rig_check_crash(r);
	rig_free(r);
}

/* The log can't be written: writes fail, reads go on, nothing not durable is written back. */
static void log_error(void)
{
	unsigned int skip, i;

	for (skip = 0; skip < 12; skip++) {
		struct rig *r = rig_new(1 << 20, 64 << 20);
		u64 durable;

		rig_on(r);
		r->may_fail = true;
		rig_until(r, val(MARS_V_LOGGER_NUMBER) == 1 && !r->lg->growing);
		faulty_fail_nth(r->log[0].disk, FAULTY_OP(XIO_WRITE), skip, 1000, -EIO);
		for (i = 0; i < 2000 && rig_status().state == MARS_S_OK; i++)
			rig_start(r, XIO_WRITE, exec_random(3) ? 0 : XIO_FUA,
				  4096 * exec_random(256), 4096);
		rig_idle(r);
		CHECK_EQ(rig_status().state, MARS_S_LOG_WRITE_ERROR);
		CHECK(rig_do(r, XIO_WRITE, 0, 0, 4096) == -EIO);
		CHECK(rig_do(r, XIO_DISCARD, 0, 0, 4096) == -EIO);
		CHECK(rig_do(r, XIO_FLUSH, 0, 0, 0) == -EIO);
		durable = val(MARS_V_LOGGER_DURABLE);
		r->overlap = true;	/* failed writes may be visible or not */
		CHECK_EQ(rig_do(r, XIO_READ, 0, 0, 1 << 20), 0);
		rig_check_crash(r);
		rig_off(r, false);
		CHECK_EQ(val(MARS_V_LOGGER_DURABLE), durable);
		rig_check_crash(r);
		rig_check_order(r);
		rig_free(r);
	}
}

/* The log disk is full: writers wait, readers don't, and it goes on when there is room. */
static void log_full(void)
{
	struct rig *r = rig_new(8 << 20, 64 << 20);
	unsigned int i;

	faulty_set_capacity(r->log[0].disk, 10 << 20);
	rig_on(r);
	for (i = 0; i < 20; i++)
		rig_start(r, XIO_WRITE, 0, exec_random(8) * 500224, 500224);
	rig_until(r, rig_status().state == MARS_S_LOG_SPACE_FULL);
	CHECK(val(MARS_V_LOGGER_WAITERS) > 0);
	CHECK_EQ(rig_status().error, -ENOSPC);
	CHECK(val(MARS_V_LOGGER_POS) <= 10 << 20);
	CHECK_EQ(rig_do(r, XIO_READ, 0, 4 << 20, 65536), 0);
	CHECK_EQ(rig_do(r, XIO_FLUSH, 0, 0, 0), 0);
	brick_set_value("lg", MARS_K_LOGGER_CHECKPOINT, 0);
	rig_until(r, !val(MARS_V_LOGGER_DIRTY));
	rig_check_crash(r);
	faulty_set_capacity(r->log[0].disk, 64 << 20);
	rig_idle(r);
	rig_until(r, rig_status().state == MARS_S_OK);
	rig_check_all(r);
	rig_off(r, true);
	rig_check_order(r);
	rig_free(r);
}

/* Rotation makes room too, and switching off ends writers that wait for space. */
static void log_full_ways_out(void)
{
	struct rig *r = rig_new(8 << 20, 64 << 20);
	enum mars_reason reason;
	unsigned int i;

	faulty_set_capacity(r->log[0].disk, 10 << 20);
	rig_on(r);
	for (i = 0; i < 20; i++)
		rig_start(r, XIO_WRITE, 0, exec_random(8) * 500224, 500224);
	rig_until(r, rig_status().state == MARS_S_LOG_SPACE_FULL);
	CHECK(rig_rotate(r));
	rig_until(r, val(MARS_V_LOGGER_NUMBER) == 2);
	rig_idle(r);
	rig_check_all(r);
	rig_until(r, rig_status().state == MARS_S_OK);

	faulty_set_capacity(r->log[1].disk, val(MARS_V_LOGGER_POS) + (6 << 20));
	r->may_fail = true;
	r->overlap = true;
	for (i = 0; i < 20; i++)
		rig_start(r, XIO_WRITE, 0, i % 7 << 20, XIO_MAX_IO);
	rig_until(r, rig_status().state == MARS_S_LOG_SPACE_FULL);
	CHECK(val(MARS_V_LOGGER_WAITERS) > 0);
	CHECK_EQ(mars_brick_switch("src", false, &reason), 0);
	CHECK_EQ(mars_brick_switch("lg", false, &reason), 0);
	rig_until(r, rig_status().led_off);
	CHECK(!rig_busy(r));
	CHECK(r->nr_errors > 0);
	CHECK_EQ(val(MARS_V_LOGGER_DIRTY), 0);
	rig_check_crash(r);
	rig_free(r);
}

/* A log may begin in the room that is kept for it, but takes no more of that than it needs. */
static void log_begins_small(void)
{
	const u64 segment = 16 << 20, room = 8 << 20, few = 6 << 20, some = 20 << 20;
	struct rig *r = rig_new(8 << 20, 64 << 20);

	rig_param(r, MARS_K_LOGGER_SEGMENT, segment);
	rig_on(r);
	CHECK(rig_rotate(r));
	faulty_set_capacity(r->log[1].disk, some);
	faulty_set_room(r->log[1].disk, room);
	rig_until(r, val(MARS_V_LOGGER_NUMBER) == 2);
	CHECK_EQ(rig_do(r, XIO_WRITE, 0, 0, 65536), 0);
	rig_until(r, rig_status().state == MARS_S_LOG_SPACE_LOW);
	CHECK(faulty_size(r->log[1].disk) <= some - room);

	rig_until(r, rig_rotate(r));
	faulty_set_capacity(r->log[2].disk, few);
	faulty_set_room(r->log[2].disk, room);
	rig_until(r, val(MARS_V_LOGGER_NUMBER) == 3);
	CHECK_EQ(rig_do(r, XIO_WRITE, 0, 0, 65536), 0);
	faulty_set_capacity(r->log[2].disk, 64 << 20);
	rig_until(r, rig_status().state == MARS_S_OK);
	rig_off(r, true);
	rig_check_order(r);
	rig_free(r);
}

/* Less than a segment left, but nobody waits yet. */
static void log_low(void)
{
	struct rig *r = rig_new(8 << 20, 64 << 20);

	faulty_set_capacity(r->log[0].disk, 7 << 20);
	rig_on(r);
	CHECK_EQ(rig_do(r, XIO_WRITE, 0, 0, 1 << 20), 0);
	CHECK_EQ(rig_do(r, XIO_WRITE, 0, 0, 1 << 20), 0);
	CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 0, 1 << 20), 0);
	rig_until(r, rig_status().state == MARS_S_LOG_SPACE_LOW);
	faulty_set_capacity(r->log[0].disk, 64 << 20);
	rig_until(r, rig_status().state == MARS_S_OK);
	rig_off(r, true);
	rig_free(r);
}

static int alloc_failures_once(long n)
{
	struct rig *r = rig_new(1 << 20, 64 << 20);
	enum mars_reason reason = MARS_R_NONE;
	int err;

	exec_fail_alloc_at(n);
	err = mars_brick_switch("lg", true, &reason);
	if (err) {
		CHECK_EQ(err, -ENOMEM);
		CHECK_EQ(reason, MARS_R_NO_MEMORY);
		CHECK(rig_status().led_off);
		exec_fail_alloc_at(-1);
		rig_on(r);
	} else {
		rig_until(r, rig_status().led_on);
		exec_fail_alloc_at(-1);
		r->src = source_create("src", "lg");
	}
	CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 0, 65536), 0);
	rig_off(r, true);
	rig_free(r);
	return err;
}

/* The n-th allocation fails at power-on: refused cleanly or survived. */
static void alloc_failures_on(void)
{
	long n, refused = 0, live = exec_live_allocs();

	for (n = 1; n < 120; n++) {
		refused += alloc_failures_once(n) != 0;
		CHECK_EQ(exec_live_allocs(), live);
	}
	CHECK(refused > 20);
}

/* ... and under load: no request fails, nothing is lost. */
static void alloc_failures_load(void)
{
	struct rig *r = rig_new(1 << 20, 256 << 20);
	unsigned int i;

	rig_on(r);
	for (i = 0; i < 1500; i++) {
		rig_random(r, 32768);
		exec_fail_alloc_at(10 + exec_random(30));
		if (i % 50 == 0) {
			exec_fail_alloc_at(-1);
			if (i % 500 == 0)
				rig_rotate(r);
		}
		/* the rig's own allocations must not be hit */
		while (exec_random(4) && rig_step(r))
			;
		exec_fail_alloc_at(-1);
	}
	rig_idle(r);
	rig_check_all(r);
	rig_off(r, true);
	rig_check_order(r);
	rig_free(r);
}

/* A log file with content is never written into. */
static void used_log(void)
{
	struct rig *r = rig_new(1 << 20, 64 << 20);
	enum mars_reason reason;
	struct mars_log_ident id;
	u64 end;

	rig_on(r);
	CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 0, 65536), 0);
	rig_off(r, true);
	end = val(MARS_V_LOGGER_DURABLE);

	/* the same file again */
	brick_on("lg");
	rig_until(r, rig_status().led_off && rig_status().state == MARS_S_BAD_LOG);
	CHECK_EQ(rig_status().error, -EEXIST);
	brick_off("lg");
	rig_scan(r);
	CHECK_EQ(r->log[0].cur.offset, end);

	/* a fresh one, then rotation into the used one */
	id = r->log[0].ident;
	id.number = 2;
	id.prev_number = 1;
	id.prev_length = end;
	memcpy(id.prev_digest, r->log[0].cur.digest, sizeof(id.prev_digest));
	strcpy(id.prev_origin, "hosta");
	brick_create("mem", "fresh");
	brick_set_value("fresh", MARS_K_MEM_SIZE, 64 << 20);
	brick_on("fresh");
	CHECK_EQ(mars_brick_connect("lg", 1, "fresh", &reason), 0);
	CHECK_EQ(mars_brick_set("lg", MARS_K_LOGGER_IDENT, 0, (char *)&id, sizeof(id), &reason), 0);
	rig_on(r);
	CHECK_EQ(mars_brick_connect("lg", 2, "log-1", &reason), 0);
	id.number = 3;
	id.prev_length = 0;
	id.prev_number = 0;
	memset(id.prev_digest, 0, sizeof(id.prev_digest));
	memset(id.prev_origin, 0, sizeof(id.prev_origin));
	CHECK_EQ(mars_brick_set("lg", MARS_K_LOGGER_ROTATE, 2, (char *)&id, sizeof(id), &reason), 0);
	CHECK(mars_brick_set("lg", MARS_K_LOGGER_ROTATE, 2, (char *)&id, sizeof(id), &reason) == -EAGAIN);
	CHECK_EQ(reason, MARS_R_NOT_NOW);
	rig_until(r, rig_status().state == MARS_S_BAD_LOG);
	CHECK_EQ(val(MARS_V_LOGGER_NUMBER), 2);
	CHECK_EQ(rig_do(r, XIO_READ, 0, 0, 65536), 0);
	rig_free(r);
}

int main(void)
{
	RUN(replaced_but_not_durable);
	RUN(credits_exhausted);
	RUN(bad_blocks);
	RUN(off_while_failing);
	RUN(off_with_much_refused);
	RUN(transient_data_errors);
	RUN(flush_error);
	RUN(log_error);
	RUN(log_full);
	RUN(log_full_ways_out);
	RUN(log_begins_small);
	RUN(log_low);
	RUN(alloc_failures_on);
	RUN(alloc_failures_load);
	RUN(used_log);
	return test_done();
}
