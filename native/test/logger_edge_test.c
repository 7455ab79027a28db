// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_edge_test.c - the logger at its edges: what is refused, what idles, who is last
 */
#include <stdlib.h>
#include <unistd.h>

#include <linux/errno.h>
#include <linux/kernel.h>

#include "logger_rig.h"

#define MS	1000000ull

/* A log that could not name its predecessor would have no header: refused, nothing moved. */
static void rotation_goes_forward(void)
{
	struct rig *r = rig_new(1 << 20, 64 << 20);
	struct mars_log_ident id = r->log[0].ident;
	enum mars_reason reason;

	brick_create("mem", "fresh");
	brick_set_value("fresh", MARS_K_MEM_SIZE, 64 << 20);
	brick_on("fresh");
	CHECK_EQ(mars_brick_connect("lg", 2, "fresh", &reason), 0);
	CHECK(mars_brick_set("lg", MARS_K_LOGGER_ROTATE, 2, (char *)&id, sizeof(id), &reason) < 0);
	CHECK_EQ(reason, MARS_R_NOT_NOW);	/* it is off */
	rig_on(r);
	CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 0, 65536), 0);
	CHECK(mars_brick_set("lg", MARS_K_LOGGER_ROTATE, 2, (char *)&id, sizeof(id), &reason) < 0);
	CHECK_EQ(reason, MARS_R_BAD_VALUE);
	CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 65536, 65536), 0);
	CHECK_EQ(rig_status().val[MARS_V_LOGGER_NUMBER], 1);
	CHECK_EQ(rig_status().val[MARS_V_LOGGER_OLD_SLOT], 0);
	CHECK(rig_status().val[MARS_V_LOGGER_SLOT]);
	rig_check_all(r);
	rig_off(r, true);
	rig_check_order(r);
	rig_free(r);
}

/* An identity that is refused leaves the one it was to replace. */
static void refused_identity_changes_nothing(void)
{
	struct rig *r = rig_new(1 << 20, 64 << 20);
	struct mars_log_ident bad = r->log[0].ident;
	enum mars_reason reason;

	memset(bad.origin, 'x', sizeof(bad.origin));
	CHECK_EQ(mars_brick_set("lg", MARS_K_LOGGER_IDENT, 0, (char *)&bad, sizeof(bad), &reason),
		 mars_reason_errno(MARS_R_BAD_VALUE));
	CHECK_EQ(reason, MARS_R_BAD_VALUE);
	rig_on(r);
	CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 0, 65536), 0);
	rig_check_crash(r);
	rig_off(r, true);
	rig_free(r);
}

/* What can't be written back must not be promised. */
static void needs_a_writable_disk(void)
{
	char path[] = "/tmp/mars-logger-XXXXXX";
	struct rig *r = rig_new(1 << 20, 64 << 20);
	int fd = mkstemp(path);
	enum mars_reason reason;

	CHECK(fd >= 0 && !ftruncate(fd, 1 << 20));
	brick_create("file", "fixed");
	CHECK_EQ(mars_brick_set("fixed", MARS_K_FILE_PATH, 0, path, strlen(path), &reason), 0);
	brick_set_value("fixed", MARS_K_FILE_FLAGS, MARS_FILE_RDONLY);
	brick_on("fixed");
	CHECK_EQ(mars_brick_connect("lg", 0, "fixed", &reason), 0);
	CHECK_EQ(mars_brick_switch("lg", true, &reason), mars_reason_errno(MARS_R_DENIED));
	CHECK_EQ(reason, MARS_R_DENIED);
	CHECK(rig_status().led_off);
	CHECK_EQ(mars_brick_connect("lg", 0, "watch", &reason), 0);
	rig_on(r);
	rig_off(r, true);
	rig_free(r);
	close(fd);
	unlink(path);
}

static void check_cut(const char *name, unsigned int input, enum mars_reason expected)
{
	enum mars_reason reason;

	CHECK_EQ(mars_brick_disconnect(name, input, &reason), mars_reason_errno(expected));
	CHECK_EQ(reason, expected);
}

/* What it works with is not taken away, be it cut above or below a brick in between. */
static void keeps_its_wires(void)
{
	struct rig *r = rig_new(1 << 20, 64 << 20);
	enum mars_reason reason;
	int i;

	check_cut("lg", 2, MARS_R_NOT_CONNECTED);
	rig_on(r);
	check_cut("lg", 0, MARS_R_NOT_NOW);
	check_cut("watch", 0, MARS_R_NOT_NOW);
	check_cut("lg", 1, MARS_R_NOT_NOW);
	CHECK_EQ(rig_do(r, XIO_WRITE, 0, 0, 65536), 0);
	CHECK(rig_rotate(r));
	check_cut("lg", 1, MARS_R_NOT_NOW);
	check_cut("lg", 2, MARS_R_NOT_NOW);
	rig_until(r, rig_status().val[MARS_V_LOGGER_NUMBER] == 2);
	if (rig_status().val[MARS_V_LOGGER_OLD_SLOT])
		check_cut("lg", 1, MARS_R_NOT_NOW);	/* not checkpointed yet */
	rig_param(r, MARS_K_LOGGER_CHECKPOINT, 0);
	rig_until(r, !rig_status().val[MARS_V_LOGGER_OLD_SLOT]);
	check_cut("lg", 1, MARS_R_NONE);
	check_cut("lg", 2, MARS_R_NOT_NOW);
	check_cut("lg", 0, MARS_R_NOT_NOW);
	CHECK_EQ(rig_do(r, XIO_WRITE, XIO_FUA, 65536, 65536), 0);
	rig_check_all(r);
	rig_off(r, true);
	for (i = 0; i < 3; i++)
		if (i != 1)
			check_cut("lg", i, MARS_R_NONE);
	CHECK_EQ(mars_brick_connect("lg", 0, "watch", &reason), 0);
	CHECK_EQ(mars_brick_connect("lg", 2, "log-2", &reason), 0);
	rig_check_order(r);
	rig_free(r);
}

/* While the log does not answer, the logger waits for it and not for the clock. */
static void silent_log(void)
{
	struct rig *r = rig_new(1 << 20, 64 << 20);
	unsigned int i;
	u64 start;

	rig_param(r, MARS_K_LOGGER_DELAY, 0);
	rig_on(r);
	rig_until(r, !r->lg->growing);
	r->may_fail = true;
	faulty_freeze(r->log[0].disk);
	for (i = 0; i < 4; i++)
		rig_start(r, XIO_WRITE, XIO_FUA, i * 4096, 4096);
	start = ktime_get_ns();
	for (i = 0; i < 1000 && exec_step(); i++)
		;
	CHECK(ktime_get_ns() - start >= 1000 * MS);
	CHECK_EQ(rig_busy(r), 4);
	faulty_kill(r->log[0].disk);
	rig_idle(r);
	CHECK_EQ(rig_status().state, MARS_S_LOG_WRITE_ERROR);
	rig_free(r);
}

#define BLOCKS	2048u		/* shadows, far more than one record may replace */

/* A shadow every 4096 bytes. */
static void many_shadows(struct rig *r)
{
	u64 i;

	for (i = 0; i < BLOCKS; i++)
		CHECK_EQ(rig_do(r, XIO_WRITE, 0, i * 4096, 512), 0);
	CHECK(r->lg->index.nr >= BLOCKS / 2);
}

static struct rig *rig_of_many(u64 log)
{
	struct rig *r = rig_new(BLOCKS * 4096ull, log);

	rig_param(r, MARS_K_LOGGER_CREDITS, 256 << 20);
	rig_on(r);
	return r;
}

/* What replaces many shadows becomes several records, and one request all the same. */
static void discard_in_pieces(void)
{
	struct rig *r = rig_of_many(64 << 20);
	u64 seq;

	many_shadows(r);
	seq = r->lg->seq;
	CHECK_EQ(rig_do(r, XIO_DISCARD, XIO_FUA, 0, r->size), 0);
	CHECK(r->lg->seq - seq >= 2);
	CHECK(r->lg->seq - seq <= BLOCKS / 512);
	rig_check_all(r);
	rig_check_crash(r);
	/* where little is replaced it stays one */
	seq = r->lg->seq;
	CHECK_EQ(rig_do(r, XIO_WRITE_ZEROES, 0, 0, r->size), 0);
	CHECK_EQ(r->lg->seq - seq, 1);
	rig_check_all(r);
	rig_off(r, true);
	rig_check_order(r);
	rig_free(r);
}

/* The rest of it waits for log space, in front of everybody else. */
static void discard_waits_for_space(void)
{
	struct rig *r = rig_of_many(40 << 20);
	struct rig_op *op, *later;
	u64 i, seq;

	many_shadows(r);
	for (i = 0; lg_space(r->lg) >= 4 * MARS_LOG_BLOCK; i++)
		CHECK_EQ(rig_do(r, XIO_WRITE, 0, i % BLOCKS * 4096, 512), 0);
	seq = r->lg->seq;
	op = rig_start(r, XIO_DISCARD, 0, 0, r->size);
	r->overlap = true;
	later = rig_start(r, XIO_WRITE, 0, r->size - 4096, 512);
	rig_until(r, r->lg->nr_stalled == 2);
	CHECK(r->lg->seq > seq);
	CHECK(op->busy && later->busy);
	rig_until(r, rig_rotate(r));
	rig_until(r, !op->busy);
	rig_idle(r);
	rig_check_all(r);
	rig_check_crash(r);
	rig_off(r, true);
	rig_check_order(r);
	rig_free(r);
}

int main(void)
{
	RUN(rotation_goes_forward);
	RUN(refused_identity_changes_nothing);
	RUN(needs_a_writable_disk);
	RUN(keeps_its_wires);
	RUN(silent_log);
	RUN(discard_in_pieces);
	RUN(discard_waits_for_space);
	return test_done();
}
