// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crash_nth_test.c - the n-th request, the n-th allocation of a logger's life fails
 *
 * One sequence with everything in it (power-on, all kinds of requests, rotation,
 * checkpoint, power-off) is run for each n until nothing fails any more.  The crashes
 * of each moment are checked on the way as in crash_enum_test.c, and some are recovered
 * by the replay brick, itself with failing requests.  So whatever fails: no promise is
 * broken, nothing hangs, nothing leaks, and the state has a name.
 */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "crash_bed.h"

#define SEQUENCE	"abofrduzcaf"
#define CHANGES		(FAULTY_OP(XIO_WRITE) | FAULTY_OP(XIO_DISCARD) | \
			 FAULTY_OP(XIO_WRITE_ZEROES))

static struct crash_count count;
static struct crash_bed bed;

static struct crash_bed *new_bed(unsigned int mode, u64 salt)
{
	crash_bed_init(&bed, SEQUENCE, mode, test_seed() + salt, &count);
	bed.sampling = 3;
	bed.max_cases = 2;
	return &bed;
}

static struct mars_brick *faulty_disk(const struct crash_bed *b)
{
	if (!b->fault.disk)
		return b->data;
	return b->fault.disk <= b->nr_logs ? b->log[b->fault.disk - 1] : NULL;
}

/* A log that can't be written: everything that needs it fails, at once and for good. */
static void check_log_error(struct crash_bed *b)
{
	CRASH_CHECK(b, b->states & 1u << MARS_S_LOG_WRITE_ERROR);
	CRASH_CHECK(b, crash_status().state == MARS_S_LOG_WRITE_ERROR);
	CRASH_CHECK(b, crash_status().error == -EIO);
}

/* One run with a fault; false = nothing was there to fail. */
static bool run_with_fault(struct crash_bed *b, enum mars_state state)
{
	long live = exec_live_allocs();
	struct mars_brick *disk;
	bool failed;

	crash_bed_open(b);
	crash_bed_logger(b);
	if (crash_bed_on(b)) {
		crash_bed_play(b);
		crash_until(b, crash_status().state == MARS_S_LOG_WRITE_ERROR ||
			    crash_status().val[MARS_V_LOGGER_NUMBER] == b->nr_logs);
		crash_bed_off(b, false);
	}
	disk = faulty_disk(b);
	failed = disk && faulty_failed(disk);
	if (failed && state == MARS_S_LOG_WRITE_ERROR)
		check_log_error(b);
	else if (failed && b->fault.ops == FAULTY_OP(XIO_FLUSH))
		CRASH_CHECK(b, b->states & 1u << state);
	if (state != MARS_S_LOG_WRITE_ERROR)	/* a data disk or growth never fails a request */
		CRASH_CHECK(b, !b->nr_errors);
	crash_bed_close(b);
	CRASH_CHECK(b, exec_live_allocs() == live);
	crash_replay_all(b);
	CRASH_CHECK(b, exec_live_allocs() == live);
	b->count->runs++;
	return failed;
}

static void nth(unsigned int disk, unsigned int ops, u64 nr, enum mars_state state)
{
	u64 salt = nr * 1000 + disk * 100000;
	unsigned int mode;
	u32 states = 0;
	u64 skip;

	for (mode = 0; mode < CRASH_MODES; mode++) {
		for (skip = 0; ; skip++) {
			struct crash_bed *b = new_bed(mode, salt + skip * CRASH_MODES + mode);
			bool failed;

			b->may_fail = true;
			b->fault = (struct crash_fault){ disk, ops, skip, nr };
			failed = run_with_fault(b, state);
			states |= b->states;
			crash_bed_free(b);
			if (!failed)
				break;
		}
		CHECK(skip > 0);
	}
	/* not in each run: data that was refused may be replaced already */
	CHECK(states & 1u << state);
}

static void nth_change_of_data_fails(void)
{
	nth(0, CHANGES, 1, MARS_S_DATA_WRITE_ERROR);
	nth(0, CHANGES, 3, MARS_S_DATA_WRITE_ERROR);
}

static void nth_flush_of_data_fails(void)
{
	nth(0, FAULTY_OP(XIO_FLUSH), 1, MARS_S_DATA_WRITE_ERROR);
}

/* The header and every group: in the first log and in the one rotated to. */
static void nth_write_of_log_fails(void)
{
	u64 nr;

	for (nr = 1; nr <= 2; nr++) {
		nth(1, FAULTY_OP(XIO_WRITE), nr, MARS_S_LOG_WRITE_ERROR);
		nth(2, FAULTY_OP(XIO_WRITE), nr, MARS_S_LOG_WRITE_ERROR);
	}
}

/* Whoever waits for a log that can't be begun is told, at whatever step he came. */
static void header_of_next_log_fails(void)
{
	u64 i;

	for (i = 0; i < 60; i++) {
		struct crash_bed *b = new_bed(0, i);

		b->sequence = i % 2 ? "arufd" : "aruodfrub";
		b->mode = i % 3;
		b->sampling = 10;
		b->may_fail = true;
		b->fault = (struct crash_fault){ 2, FAULTY_OP(XIO_WRITE), 0, 1 };
		CRASH_CHECK(b, run_with_fault(b, MARS_S_LOG_WRITE_ERROR));
		crash_bed_free(b);
	}
}

/* Growing is tried again: nobody notices. */
static void nth_growth_of_log_fails(void)
{
	nth(1, FAULTY_OP(XIO_WRITE_ZEROES), 1, MARS_S_OK);
	nth(2, FAULTY_OP(XIO_WRITE_ZEROES), 4, MARS_S_OK);
}

/* One run in which allocation @n fails, and the next @streak steps get none either. */
static bool run_without_memory(unsigned int mode, long n, unsigned int streak)
{
	struct crash_bed *b = new_bed(mode, n * CRASH_MODES + mode);
	long live = exec_live_allocs();
	bool failed;

	b->fail_alloc = n;
	b->alloc_streak = streak;
	crash_bed_open(b);
	crash_bed_logger(b);
	while (!crash_bed_on(b))
		CRASH_CHECK(b, b->alloc_failed);
	crash_bed_play(b);
	crash_bed_off(b, n % 2);
	CRASH_CHECK(b, !crash_status().val[MARS_V_LOGGER_DIRTY]);
	CRASH_CHECK(b, crash_status().state == MARS_S_OK);
	failed = b->alloc_failed;
	crash_bed_close(b);
	CRASH_CHECK(b, exec_live_allocs() == live);
	crash_replay_all(b);
	crash_bed_free(b);
	count.runs++;
	return failed;
}

static void nth_allocation_fails(void)
{
	unsigned int mode;
	long n;

	for (mode = 0; mode < CRASH_MODES; mode++) {
		for (n = 1; run_without_memory(mode, n, 0); n++)
			;
		CHECK(n > 20);
	}
}

static void no_memory_for_a_while(void)
{
	unsigned int mode;
	long n;

	for (mode = 0; mode < CRASH_MODES; mode++)
		for (n = 1; run_without_memory(mode, n, 10 + 20 * mode); n += 7)
			;
}

int main(void)
{
	RUN(nth_change_of_data_fails);
	RUN(nth_flush_of_data_fails);
	RUN(nth_write_of_log_fails);
	RUN(header_of_next_log_fails);
	RUN(nth_growth_of_log_fails);
	RUN(nth_allocation_fails);
	RUN(no_memory_for_a_while);
	printf("%llu runs, %llu moments, %llu subsets of log sectors, %llu crashes, %llu replays\n",
	       (unsigned long long)count.runs, (unsigned long long)count.moments,
	       (unsigned long long)count.log_subsets, (unsigned long long)count.crashes,
	       (unsigned long long)count.replays);
	return test_done();
}
