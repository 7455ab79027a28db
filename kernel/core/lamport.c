// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lamport.c - the Lamport clock
 *
 * After a push ahead the clock goes on at half speed until the system clock has
 * caught up; so differences of stamps still mean something, and nobody drags the
 * cluster further and further into the future.  A point on that slow line is
 *
 *	line(real) = stamp0 + (real - real0) / 2 = (stamp0 - real0 / 2) + real / 2
 *
 * and the bracket is one number, so the whole clock is two atomic64s that only grow:
 * the last stamp and the bracket.  Once the system clock is past the line it stays
 * past it, as it grows twice as fast: nothing has to be switched back.  A system
 * clock that was set back is treated alike: the last stamp starts a new slow line.
 */
#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/ktime.h>
#include <linux/minmax.h>

#include "lamport.h"

static atomic64_t last = ATOMIC64_INIT(0);	/* newest stamp issued or seen */
static atomic64_t bracket = ATOMIC64_INIT(0);	/* stamp0 - real0 / 2 of the slow line */

static void raise_to(atomic64_t *v, s64 to)
{
	s64 old = atomic64_read(v);

	while (old < to && !atomic64_try_cmpxchg(v, &old, to))
		;
}

u64 mars_lamport_now(void)
{
	s64 real = ktime_get_real_ns();
	s64 old = atomic64_read(&last);
	s64 stamp;

	do {
		stamp = max(real, atomic64_read(&bracket) + real / 2);
		if (stamp <= old) {
			raise_to(&bracket, old - real / 2);
			stamp = old + 1;
		}
	} while (!atomic64_try_cmpxchg(&last, &old, stamp));
	return stamp;
}

int mars_lamport_advance(u64 stamp)
{
	if (stamp <= (u64)atomic64_read(&last))
		return 0;
	if (stamp > ktime_get_real_ns() + MARS_LAMPORT_MAX_FUTURE)
		return -ERANGE;
	raise_to(&last, stamp);
	return 0;
}

void mars_lamport_reset(void)
{
	atomic64_set(&last, 0);
	atomic64_set(&bracket, 0);
}
