// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * replay_test.c - the replay brick on simulated disks
 *
 * In simulation a seed decides the order of all completions; a failing run prints
 * it.  Every case compares the data disk with a plain interpreter of the log.
 */
#include <stdlib.h>
#include <string.h>

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/minmax.h>

#include "replay_bed.h"
#include "test.h"

static long baseline;

static void sim_begin(u64 salt)
{
	baseline = exec_live_allocs();
	CHECK(!exec_init(EXEC_SIM, 0, test_seed() + salt));
	CHECK(!mars_core_init());
	CHECK(!mars_type_register(&faulty_brick_type));
}

static void sim_end(void)
{
	exec_drain();
	mars_core_exit();
	exec_exit();
	CHECK_EQ(exec_live_allocs(), baseline);
}

static const struct faulty_config slow = { .max_delay_us = 300 };
static const struct bed_style small = { 12, 6, 64 << 10, 6000 };

/* --- the good case --- */

static void replay_whole(const struct mklog *m, u64 end)
{
	struct faulty_image *image = bed_image();
	struct mars_ctl_status st;
	struct bed b;

	bed_open(&b, m, image, &slow, 0, end);
	CHECK(!bed_power(true));
	bed_run(end == ~0ull ? MARS_S_REPLAY_CLEAN : MARS_S_REPLAY_END);
	st = bed_status();
	CHECK_EQ(st.error, 0);
	CHECK_EQ(st.val[MARS_V_REPLAY_NUMBER], 1);
	CHECK_EQ(st.val[MARS_V_REPLAY_PARSED], m->start[m->nr_groups - 1] +
		 le32_to_cpu(mklog_group(m, m->nr_groups - 1)->desc_size) +
		 le32_to_cpu(mklog_group(m, m->nr_groups - 1)->payload_size));
	CHECK_EQ(st.val[MARS_V_REPLAY_APPLIED], st.val[MARS_V_REPLAY_PARSED]);
	CHECK_EQ(st.val[MARS_V_REPLAY_CKPT], st.val[MARS_V_REPLAY_PARSED]);
	CHECK_EQ(st.val[MARS_V_REPLAY_RECORDS], bed_nr_records(m, ~0ull));
	CHECK_EQ(st.val[MARS_V_REPLAY_END], end);
	CHECK_MEM(st.digest, m->digest, sizeof(m->digest));
	CHECK_MEM(st.digest2, m->digest, sizeof(m->digest));
	bed_expect(&b, m, ~0ull, true);
	bed_close(&b);
	faulty_image_free(image);
}

static void random_logs(void)
{
	struct mklog m;
	u32 i;

	for (i = 0; i < 20; i++) {
		sim_begin(i);
		bed_random_log(&m, NULL);
		replay_whole(&m, m.len);
		replay_whole(&m, ~0ull);
		mklog_zeros(&m, 3);
		replay_whole(&m, ~0ull);
		mklog_free(&m);
		sim_end();
	}
}

/* Several times around the ring, groups up to the limits, every size of front. */
static void long_log_with_big_groups(void)
{
	static const struct bed_style big = { 14, 12, 512 << 10, MARS_LOG_MAX_WRITE };
	static const struct bed_style crumbs = { 1000, 3, 512 << 10, 4096 };
	struct mklog m;
	u32 i;

	for (i = 0; i < 2; i++) {
		sim_begin(i);
		bed_random_log(&m, i ? &crumbs : &big);
		CHECK(m.len > 5u << 20);	/* more than the ring */
		replay_whole(&m, m.len);
		mklog_free(&m);
		sim_end();
	}
}

/* Each record overlaps the one before it; the referee sees none of them overlap in flight. */
static void deep_conflict_chain(void)
{
	struct mklog m;
	u8 data[8192];
	u32 i;

	sim_begin(0);
	mklog_init(&m, NULL, BED_DEVICE);
	for (i = 0; i < 600; i++) {
		memset(data, (int)(i % 251), sizeof(data));
		if (i % 10 == 9)
			mklog_discard(&m, i * 512, 4096);
		else
			mklog_write(&m, (i % 100) * 512, data, 1 + (i * 37) % sizeof(data));
		if (i % 7 == 6)
			mklog_commit(&m);
	}
	mklog_commit(&m);
	replay_whole(&m, m.len);
	mklog_free(&m);
	sim_end();
}

/* --- a moving end --- */

static void end_grows_step_by_step(void)
{
	struct faulty_image *image = bed_image();
	struct mklog m;
	struct bed b;
	u64 end;

	sim_begin(0);
	bed_random_log(&m, &small);
	bed_open(&b, &m, image, &slow, 0, 0);
	CHECK(!bed_power(true));
	exec_drain();
	CHECK_EQ(bed_status().state, MARS_S_OK);	/* not even the header is there */
	for (end = 4096; end <= m.len; end += 4096) {
		u64 whole = 4096;
		u32 k;

		for (k = 0; k < m.nr_groups && m.start[k] <= end; k++)
			whole = m.start[k];
		if (end == m.len)
			whole = m.len;
		CHECK(!bed_set(MARS_K_REPLAY_END, end));
		exec_drain();
		CHECK_EQ(bed_val(MARS_V_REPLAY_CKPT), whole);
		CHECK_EQ(bed_status().state, whole == end ? MARS_S_REPLAY_END : MARS_S_OK);
		bed_expect(&b, &m, whole, true);
	}
	CHECK_EQ(bed_val(MARS_V_REPLAY_RECORDS), bed_nr_records(&m, ~0ull));
	bed_close(&b);
	mklog_free(&m);
	faulty_image_free(image);
	sim_end();
}

/* --- stops and crashes --- */

static u32 random_steps(u32 most)
{
	u32 n = (u32)exec_random(most), i;

	for (i = 0; i < n && exec_step(); i++)
		;
	return n;
}

/*
 * Stop somewhere, orderly or by a crash that loses any subset of what was not
 * flushed, and start again from the published position, until the end is reached.
 */
static void restart_from_any_checkpoint(void)
{
	u32 run, lives;

	for (run = 0; run < 12; run++) {
		struct faulty_image *image = bed_image(), *after;
		struct mars_ctl_status st;
		struct mklog m;
		struct bed b;
		u64 start = 0;

		sim_begin(run);
		bed_random_log(&m, NULL);
		for (lives = 0; ; lives++) {
			bed_open(&b, &m, image, &slow, start, m.len);
			CHECK(!bed_power(true));
			if (lives == 12)
				bed_run(MARS_S_REPLAY_END);
			else
				random_steps(400);
			if (exec_random(2)) {
				CHECK(!bed_power(false));
				if (exec_random(2))
					exec_drain();
			}
			st = bed_status();
			after = faulty_crash(b.data, faulty_choose_random, NULL);
			CHECK(after);
			CHECK(st.val[MARS_V_REPLAY_CKPT] <= st.val[MARS_V_REPLAY_APPLIED]);
			CHECK(st.val[MARS_V_REPLAY_APPLIED] <= st.val[MARS_V_REPLAY_PARSED]);
			CHECK(st.val[MARS_V_REPLAY_CKPT] >= start || !st.val[MARS_V_REPLAY_CKPT]);
			bed_close(&b);
			faulty_image_free(image);
			image = after;
			start = max(start, (u64)st.val[MARS_V_REPLAY_CKPT]);
			if (st.state == MARS_S_REPLAY_END)
				break;
		}
		bed_open(&b, &m, image, NULL, start, m.len);
		bed_expect(&b, &m, ~0ull, true);
		bed_close(&b);
		faulty_image_free(image);
		mklog_free(&m);
		sim_end();
	}
}

/* An orderly stop leaves nothing behind: all that was applied is flushed. */
static void stop_flushes(void)
{
	struct faulty_image *image = bed_image();
	struct mars_ctl_status st;
	struct mklog m;
	struct bed b;

	sim_begin(0);
	bed_random_log(&m, NULL);
	bed_open(&b, &m, image, &slow, 0, m.len);
	CHECK(!bed_power(true));
	while (bed_val(MARS_V_REPLAY_APPLIED) < m.len / 2)
		CHECK(exec_step());
	CHECK(!bed_power(false));
	exec_drain();
	st = bed_status();
	CHECK(st.led_off && !st.led_on);
	CHECK(st.val[MARS_V_REPLAY_APPLIED] >= m.len / 2);
	CHECK_EQ(st.val[MARS_V_REPLAY_CKPT], st.val[MARS_V_REPLAY_APPLIED]);
	/* and on again, in the same life */
	CHECK(!bed_set(MARS_K_REPLAY_START, st.val[MARS_V_REPLAY_CKPT]));
	CHECK(!bed_power(true));
	bed_run(MARS_S_REPLAY_END);
	CHECK_MEM(bed_status().digest, m.digest, sizeof(m.digest));
	bed_expect(&b, &m, ~0ull, true);
	bed_close(&b);
	mklog_free(&m);
	faulty_image_free(image);
	sim_end();
}

/* --- errors --- */

/* Fail the n-th request of either disk, for each n: named, retried, same result. */
static void nth_request_fails(void)
{
	struct faulty_image *image = bed_image();
	enum mars_state bad[] = { MARS_S_DATA_WRITE_ERROR, MARS_S_READ_ERROR };
	struct mklog m;
	struct bed b;
	u32 n, which;

	sim_begin(0);
	bed_random_log(&m, NULL);
	for (which = 0; which < 2; which++) {
		for (n = 0; ; n += 1 + n / 8) {
			bool seen = false;
			u64 done;

			bed_open(&b, &m, image, NULL, 0, m.len);
			faulty_fail_nth(which ? b.log : b.data, FAULTY_ALL, n, 1 + n % 3, -EIO);
			CHECK(!bed_power(true));
			while (bed_status().state != MARS_S_REPLAY_END) {
				seen |= bed_status().state == bad[which];
				CHECK(exec_step());
			}
			CHECK_EQ(bed_status().error, 0);
			bed_expect(&b, &m, ~0ull, true);
			done = faulty_executed(which ? b.log : b.data);
			bed_close(&b);
			CHECK(seen || n >= done);
			if (n >= done)
				break;
		}
		CHECK(n > 2);
	}
	mklog_free(&m);
	faulty_image_free(image);
	sim_end();
}

/* Behind a failed flush nothing since the last good one is believed to be on the disk. */
static void failed_flush_starts_over(void)
{
	struct faulty_image *image = bed_image();
	struct mklog m;
	struct bed b;
	u64 records;

	sim_begin(0);
	bed_random_log(&m, NULL);
	bed_open(&b, &m, image, NULL, 0, m.len);
	faulty_fail_nth(b.data, FAULTY_OP(XIO_FLUSH), 0, 1, -EIO);
	CHECK(!bed_power(true));
	bed_run(MARS_S_DATA_WRITE_ERROR);
	CHECK_EQ(bed_status().error, -EIO);
	CHECK_EQ(bed_val(MARS_V_REPLAY_CKPT), 4096);
	records = bed_val(MARS_V_REPLAY_RECORDS);
	CHECK(records);
	bed_run(MARS_S_REPLAY_END);
	CHECK_EQ(bed_val(MARS_V_REPLAY_RECORDS), records + bed_nr_records(&m, ~0ull));
	CHECK_MEM(bed_status().digest2, m.digest, sizeof(m.digest));
	bed_expect(&b, &m, ~0ull, true);
	bed_close(&b);
	mklog_free(&m);
	faulty_image_free(image);
	sim_end();
}

/* The disk fails for good: off is reached, the position stays, healing is enough later. */
static void dead_disk_can_be_switched_off(void)
{
	static const unsigned int ops[] = {
		FAULTY_OP(XIO_FLUSH), FAULTY_OP(XIO_WRITE), FAULTY_ALL,
	};
	struct faulty_image *image = bed_image();
	struct mklog m;
	struct bed b;
	u32 i, k;

	sim_begin(0);
	bed_random_log(&m, NULL);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		bed_open(&b, &m, image, NULL, 0, m.len);
		faulty_fail_nth(b.data, ops[i], 0, ~0ull, -EIO);
		CHECK(!bed_power(true));
		for (k = 0; k < 5000; k++)		/* it never gives up by itself */
			CHECK(exec_step());
		CHECK_EQ(bed_status().state, MARS_S_DATA_WRITE_ERROR);
		CHECK_EQ(bed_val(MARS_V_REPLAY_CKPT), 4096);
		CHECK(!bed_power(false));
		exec_drain();
		CHECK(bed_status().led_off);
		CHECK_EQ(bed_val(MARS_V_REPLAY_CKPT), 4096);
		faulty_heal(b.data);
		CHECK(!bed_power(true));
		bed_run(MARS_S_REPLAY_END);
		bed_expect(&b, &m, ~0ull, true);
		bed_close(&b);
	}
	mklog_free(&m);
	faulty_image_free(image);
	sim_end();
}

/* One bad place on the disk: nothing passes it, healing lets it go on by itself. */
static void bad_range_heals(void)
{
	struct faulty_image *image = bed_image();
	struct mklog m;
	struct bed b;
	u8 data[4096];
	u64 at;
	u32 i;

	sim_begin(0);
	mklog_init(&m, NULL, BED_DEVICE);
	for (i = 0; i < 50; i++) {
		memset(data, (int)i + 1, sizeof(data));
		mklog_write(&m, i * 4096, data, sizeof(data));
		mklog_commit(&m);
	}
	at = m.start[20];
	bed_open(&b, &m, image, &slow, 0, m.len);
	CHECK(!faulty_fail_range(b.data, FAULTY_OP(XIO_WRITE), 20 * 4096 + 512, 512, -EIO));
	CHECK(!bed_power(true));
	while (bed_val(MARS_V_REPLAY_CKPT) < at)
		CHECK(exec_step());
	for (i = 0; i < 1000; i++)
		CHECK(exec_step());
	CHECK_EQ(bed_status().state, MARS_S_DATA_WRITE_ERROR);
	CHECK_EQ(bed_val(MARS_V_REPLAY_APPLIED), at);
	CHECK_EQ(bed_val(MARS_V_REPLAY_CKPT), at);
	faulty_heal(b.data);
	bed_run(MARS_S_REPLAY_END);
	bed_expect(&b, &m, ~0ull, true);
	bed_close(&b);
	mklog_free(&m);
	faulty_image_free(image);
	sim_end();
}

/* --- logs that end early --- */

/* Everything in front of the damage is applied and flushed, nothing behind it. */
static void replay_damaged(const struct mklog *m, const struct faulty_image *image, u64 good,
			   u64 end, enum mars_state state)
{
	struct mars_ctl_status st;
	struct bed b;

	bed_open(&b, m, image, NULL, 0, end);
	CHECK(!bed_power(true));
	bed_run(state);
	exec_drain();
	st = bed_status();
	CHECK_EQ(st.state, state);
	CHECK_EQ(st.val[MARS_V_REPLAY_CKPT], good);
	CHECK_EQ(st.error, state == MARS_S_REPLAY_CLEAN ? 0 : -EBADMSG);
	CHECK(st.val[MARS_V_REPLAY_VERDICT] != MARS_LOG_OK);
	bed_expect(&b, m, good, true);
	CHECK(!bed_power(false));
	exec_drain();
	CHECK(bed_status().led_off);
	bed_close(&b);
}

static void damage_everywhere(void)
{
	struct faulty_image *image = bed_image();
	struct mklog m;
	u64 at;
	u32 k = 0;

	sim_begin(0);
	bed_random_log(&m, &small);
	for (at = 4096; at < m.len; at += 512) {
		u64 hit = at + exec_random(512);
		u8 flip = 1u << exec_random(8);

		while (k + 1 < m.nr_groups && m.start[k + 1] <= at)
			k++;
		m.buf[hit] ^= flip;
		replay_damaged(&m, image, m.start[k], exec_random(2) ? m.len : ~0ull,
			       MARS_S_REPLAY_TORN);
		m.buf[hit] ^= flip;
	}
	mklog_free(&m);
	faulty_image_free(image);
	sim_end();
}

static void cut_or_zeroed(void)
{
	struct faulty_image *image = bed_image();
	struct mklog m;
	u64 full;
	u32 k;

	sim_begin(0);
	bed_random_log(&m, &small);
	full = m.len;
	for (k = 0; k < m.nr_groups; k++) {
		m.len = m.start[k];		/* the file ends between groups ... */
		replay_damaged(&m, image, m.start[k], ~0ull, MARS_S_REPLAY_CLEAN);
		m.len += 4096;			/* ... or within one */
		if (le32_to_cpu(mklog_group(&m, k)->payload_size))
			replay_damaged(&m, image, m.start[k], ~0ull, MARS_S_REPLAY_TORN);
		m.len = full;
	}
	/* zeros where there should be groups */
	memset(m.buf + m.start[5], 0, m.len - m.start[5]);
	m.nr_groups = 5;
	replay_damaged(&m, image, m.start[5], m.len, MARS_S_REPLAY_CLEAN);
	mklog_free(&m);
	faulty_image_free(image);
	sim_end();
}

/* A log that is not the one expected touches nothing. */
static void replay_refused(const struct mklog *m, const struct faulty_image *image, int error)
{
	struct bed b;

	bed_open(&b, m, image, NULL, 0, m->len);
	CHECK(!bed_power(true));
	bed_run(MARS_S_REPLAY_MISMATCH);
	exec_drain();
	CHECK_EQ(bed_status().error, error);
	CHECK_EQ(bed_val(MARS_V_REPLAY_CKPT), 0);
	bed_expect(&b, m, 0, true);
	CHECK(!bed_power(false));
	exec_drain();
	bed_close(&b);
}

static void wrong_log(void)
{
	struct faulty_image *image = bed_image();
	struct mars_log_header *h;
	struct mars_log_ident id;
	struct mklog m;

	sim_begin(0);
	bed_random_log(&m, NULL);
	h = (struct mars_log_header *)m.buf;
	id = m.id;
	m.id.salt[0] ^= 1;
	replay_refused(&m, image, -EBADMSG);
	m.id = id;
	m.id.number = 2;
	replay_refused(&m, image, -EBADMSG);
	m.id = id;
	m.buf[3000] ^= 1;
	replay_refused(&m, image, -EBADMSG);
	m.buf[3000] ^= 1;
	memset(&m.id, 0, sizeof(m.id));		/* any identity, but a device too big for us */
	h->device_size = cpu_to_le64(BED_DEVICE + 4096);
	mklog_reseal_header(h);
	replay_refused(&m, image, -ENOSPC);
	mklog_free(&m);
	faulty_image_free(image);
	sim_end();
}

/* --- memory and control --- */

static void nth_allocation_fails(void)
{
	struct faulty_image *image = bed_image();
	struct mklog m;
	struct bed b;
	long n;

	sim_begin(0);
	bed_random_log(&m, &small);
	for (n = 1; ; n++) {
		bool failed;
		int err;

		bed_open(&b, &m, image, NULL, 0, m.len);
		exec_fail_alloc_at(n);
		err = bed_power(true);
		if (err) {
			CHECK_EQ(err, -MARS_R_NO_MEMORY);
			CHECK(exec_fail_alloc_fired());
			CHECK(bed_status().led_off);
			CHECK(!bed_power(true));
		}
		bed_run(MARS_S_REPLAY_END);	/* later ones are survived */
		failed = exec_fail_alloc_fired();
		exec_fail_alloc_at(-1);
		bed_expect(&b, &m, ~0ull, true);
		bed_close(&b);
		if (!failed || n > 200)
			break;
	}
	CHECK(n > 2);
	mklog_free(&m);
	faulty_image_free(image);
	sim_end();
}

static void control_is_checked(void)
{
	struct faulty_image *image = bed_image();
	struct mars_log_ident id;
	enum mars_reason reason;
	struct mklog m;
	struct bed b;

	sim_begin(0);
	bed_random_log(&m, NULL);
	CHECK(!mars_brick_create("replay", "bare", &reason));
	CHECK(mars_brick_switch("bare", true, &reason));
	CHECK_EQ(reason, MARS_R_MISSING);
	CHECK(!mars_brick_set("bare", MARS_K_REPLAY_IDENT, 0, (char *)&m.id, sizeof(m.id),
			      &reason));
	CHECK(mars_brick_switch("bare", true, &reason));
	CHECK_EQ(reason, MARS_R_NOT_CONNECTED);
	id = m.id;
	memset(id.origin, 'x', sizeof(id.origin));
	CHECK(mars_brick_set("bare", MARS_K_REPLAY_IDENT, 0, (char *)&id, sizeof(id), &reason));
	CHECK_EQ(reason, MARS_R_BAD_VALUE);
	CHECK(mars_brick_set("bare", MARS_K_REPLAY_IDENT, 0, (char *)&m.id, 10, &reason));
	CHECK_EQ(reason, MARS_R_BAD_VALUE);
	CHECK(!mars_brick_destroy("bare", &reason));

	bed_open(&b, &m, image, NULL, 0, 8192);
	CHECK_EQ(bed_set(99, 0), -MARS_R_NO_KEY);
	CHECK_EQ(bed_set(MARS_K_REPLAY_START, 100), -MARS_R_BAD_VALUE);
	CHECK(!bed_set(MARS_K_REPLAY_START, 16384));
	CHECK_EQ(bed_power(true), -MARS_R_BAD_VALUE);	/* would start behind the end */
	CHECK(!bed_set(MARS_K_REPLAY_START, 0));
	CHECK(!bed_power(true));
	CHECK_EQ(bed_set(MARS_K_REPLAY_START, 0), -MARS_R_NOT_NOW);
	CHECK_EQ(bed_set(MARS_K_REPLAY_END, 4096), -MARS_R_BAD_VALUE);
	CHECK_EQ(bed_set(MARS_K_REPLAY_END, ~0ull), -MARS_R_BAD_VALUE);
	CHECK(!bed_set(MARS_K_REPLAY_END, m.len));
	bed_run(MARS_S_REPLAY_END);
	bed_close(&b);
	mklog_free(&m);
	faulty_image_free(image);
	sim_end();
}

/* --- real threads --- */

static bool is_led_off(void)
{
	return bed_status().led_off;
}

static bool is_at_end(void)
{
	return bed_status().state == MARS_S_REPLAY_END;
}

/* The end moves while it works, and it is switched off and on, all at once. */
static void threaded(void)
{
	static const struct bed_style style = { 300, 10, 512 << 10, 30000 };
	struct faulty_image *image = bed_image();
	struct mars_ctl_status st;
	struct mklog m;
	struct bed b;
	u64 end = 4096;
	u32 k;

	CHECK(!exec_init(EXEC_THREADED, 3, test_seed()));
	CHECK(!mars_core_init());
	CHECK(!mars_type_register(&faulty_brick_type));
	bed_random_log(&m, &style);
	bed_open(&b, &m, image, NULL, 0, end);
	for (k = 1; end < m.len; k++) {
		end = k * 20 < m.nr_groups ? m.start[k * 20] : m.len;
		CHECK(!bed_set(MARS_K_REPLAY_END, end));
		if (bed_status().led_off)
			CHECK(!bed_power(true));
		if (k % 3 == 0) {
			CHECK(!bed_power(false));
			bed_wait(is_led_off);
			st = bed_status();
			CHECK_EQ(st.val[MARS_V_REPLAY_CKPT], st.val[MARS_V_REPLAY_APPLIED]);
			CHECK(!bed_set(MARS_K_REPLAY_START, st.val[MARS_V_REPLAY_CKPT]));
			CHECK(!bed_power(true));
		}
	}
	bed_wait(is_at_end);
	CHECK_MEM(bed_status().digest2, m.digest, sizeof(m.digest));
	bed_expect(&b, &m, ~0ull, true);
	CHECK(!bed_power(false));
	bed_wait(is_led_off);
	bed_close(&b);
	mklog_free(&m);
	faulty_image_free(image);
	mars_core_exit();
	exec_exit();
}

int main(void)
{
	RUN(random_logs);
	RUN(long_log_with_big_groups);
	RUN(deep_conflict_chain);
	RUN(end_grows_step_by_step);
	RUN(restart_from_any_checkpoint);
	RUN(stop_flushes);
	RUN(nth_request_fails);
	RUN(failed_flush_starts_over);
	RUN(dead_disk_can_be_switched_off);
	RUN(bad_range_heals);
	RUN(damage_everywhere);
	RUN(cut_or_zeroed);
	RUN(wrong_log);
	RUN(nth_allocation_fails);
	RUN(control_is_checked);
	RUN(threaded);
	return test_done();
}
