// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lamport_test.c - the Lamport clock, in virtual time and with real threads
 */
#include <pthread.h>

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>

#include "core/lamport.h"
#include "test.h"

#define SEC	1000000000ull

static void sim_begin(void)
{
	CHECK_EQ(exec_init(EXEC_SIM, 0, test_seed()), 0);
	mars_lamport_reset();
}

static void follows_the_system_clock(void)
{
	int i;

	sim_begin();
	for (i = 0; i < 100; i++) {
		u64 stamp = mars_lamport_now();

		CHECK_EQ(stamp, ktime_get_real_ns());
		exec_advance(1 + exec_random(5 * SEC));
	}
	exec_exit();
}

static void unique_while_time_stands_still(void)
{
	u64 last, start;
	int i;

	sim_begin();
	start = last = mars_lamport_now();
	for (i = 0; i < 1000; i++) {
		u64 stamp = mars_lamport_now();

		CHECK(stamp > last);
		last = stamp;
	}
	CHECK_EQ(last, start + 1000);		/* no more than needed */
	exec_advance(SEC);
	CHECK_EQ(mars_lamport_now(), ktime_get_real_ns());
	exec_exit();
}

/* Pushed 10 s ahead: half speed for 20 s, then the system clock again. */
static void slows_down_until_caught_up(void)
{
	u64 start, stamp, ahead, last_ahead = 10 * SEC;
	int i;

	sim_begin();
	start = ktime_get_real_ns();
	CHECK_EQ(mars_lamport_advance(start + 10 * SEC), 0);
	stamp = mars_lamport_now();
	CHECK(stamp > start + 10 * SEC);
	CHECK(stamp < start + 10 * SEC + 1000);
	for (i = 1; i <= 19; i++) {
		u64 expect = start + 10 * SEC + i * SEC / 2;

		exec_advance(SEC);
		stamp = mars_lamport_now();
		CHECK(stamp >= expect && stamp < expect + 1000);
		ahead = stamp - ktime_get_real_ns();
		CHECK(ahead < last_ahead);
		last_ahead = ahead;
	}
	exec_advance(2 * SEC);
	CHECK_EQ(mars_lamport_now(), ktime_get_real_ns());
	exec_advance(1000 * SEC);
	CHECK_EQ(mars_lamport_now(), ktime_get_real_ns());
	exec_exit();
}

static void seen_stamps_are_passed(void)
{
	int i;

	sim_begin();
	for (i = 0; i < 1000; i++) {
		u64 seen = ktime_get_real_ns() + exec_random(3 * SEC);

		CHECK_EQ(mars_lamport_advance(seen), 0);
		CHECK(mars_lamport_now() > seen);
		exec_advance(exec_random(SEC));
	}
	exec_exit();
}

static void old_stamps_change_nothing(void)
{
	u64 stamp;

	sim_begin();
	stamp = mars_lamport_now();
	CHECK_EQ(mars_lamport_advance(1), 0);
	CHECK_EQ(mars_lamport_advance(stamp), 0);
	exec_advance(SEC);
	CHECK_EQ(mars_lamport_now(), ktime_get_real_ns());
	exec_exit();
}

static void refuses_the_far_future(void)
{
	u64 real;

	sim_begin();
	real = ktime_get_real_ns();
	CHECK_EQ(mars_lamport_advance(real + MARS_LAMPORT_MAX_FUTURE + 1), -ERANGE);
	CHECK_EQ(mars_lamport_advance(~0ull), -ERANGE);
	CHECK_EQ(mars_lamport_advance(1ull << 63), -ERANGE);
	CHECK_EQ(mars_lamport_now(), real);	/* nothing changed */
	CHECK_EQ(mars_lamport_advance(real + MARS_LAMPORT_MAX_FUTURE), 0);
	/* Being at the edge allows no creeping beyond it. */
	CHECK_EQ(mars_lamport_advance(mars_lamport_now() + 1), -ERANGE);
	exec_exit();
}

static void clock_set_back(void)
{
	u64 before, stamp, last;
	int i;

	sim_begin();
	before = last = mars_lamport_now();
	exec_clock_jump(-(s64)(100 * SEC));
	for (i = 0; i < 100; i++) {
		stamp = mars_lamport_now();
		CHECK(stamp > last);
		last = stamp;
		exec_advance(SEC);
	}
	/* Half speed there too: 100 s later it is some 50 s on. */
	CHECK(last > before + 48 * SEC && last < before + 52 * SEC);
	exec_advance(200 * SEC);
	CHECK_EQ(mars_lamport_now(), ktime_get_real_ns());
	exec_exit();
}

/* --- threads --- */

#define THREADS		4
#define STAMPS		50000

static u64 stamps[THREADS][STAMPS];

static void *stamp_thread(void *arg)
{
	u64 *out = arg, last = 0;
	int i;

	for (i = 0; i < STAMPS; i++) {
		if (i % 1000 == 0)
			CHECK_EQ(mars_lamport_advance(ktime_get_real_ns() + 5000000), 0);
		out[i] = mars_lamport_now();
		CHECK(out[i] > last);
		last = out[i];
	}
	return NULL;
}

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static void unique_among_threads(void)
{
	pthread_t thread[THREADS];
	u64 *all = &stamps[0][0];
	int i;

	CHECK_EQ(exec_init(EXEC_THREADED, 0, test_seed()), 0);
	mars_lamport_reset();
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, stamp_thread, stamps[i]), 0);
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	qsort(all, THREADS * STAMPS, sizeof(u64), compare_u64);
	for (i = 1; i < THREADS * STAMPS; i++)
		CHECK(all[i - 1] < all[i]);
	exec_exit();
}

int main(void)
{
	RUN(follows_the_system_clock);
	RUN(unique_while_time_stands_still);
	RUN(slows_down_until_caught_up);
	RUN(seen_stamps_are_passed);
	RUN(old_stamps_change_nothing);
	RUN(refuses_the_far_future);
	RUN(clock_set_back);
	RUN(unique_among_threads);
	return test_done();
}
