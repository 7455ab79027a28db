// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crash_enum_test.c - short sequences of operations against every crash
 *
 * All sequences of up to MARS_CRASH_LENGTH letters (default 2) in all modes; a chosen set
 * with second lives after some of their crashes; then random longer ones, some with second
 * lives, until MARS_CRASH_SECONDS (default 45) are over.  See crash_bed.h for the letters
 * and what is checked.  A failure prints how to repeat just it: MARS_CRASH_SEQUENCE,
 * _SECOND, _MODE and _SEED.
 */
#include <linux/kernel.h>

#include "crash_bed.h"

#define LONGEST		7
#define LONGEST_SECOND	4
#define MAX_LIVES	5	/* after one run */

static struct crash_count count;
static time_t began;

static u64 number(const char *name, u64 otherwise)
{
	const char *env = getenv(name);

	return env ? strtoull(env, NULL, 0) : otherwise;
}

static bool time_is_over(void)
{
	return time(NULL) - began >= (time_t)number("MARS_CRASH_SECONDS", 45);
}

/* @second: NULL = one life only */
static void run(const char *sequence, const char *second, unsigned int mode, u64 seed)
{
	static struct crash_bed bed;

	crash_bed_init(&bed, sequence, mode, seed, &count);
	if (second) {
		bed.second = second;
		bed.max_cases = MAX_LIVES;
		bed.keep_one_in = 12;	/* from its beginning to its end */
	}
	if (strpbrk(sequence, "wv")) {
		crash_bed_large(&bed);
		bed.sampling = 4;
		bed.keep_one_in = 4;
		bed.max_cases = 2;
	}
	crash_bed_run(&bed);
	crash_bed_free(&bed);
}

/* The n-th sequence of @len letters. */
static void letters(char *sequence, unsigned int len, u64 n)
{
	u64 base = strlen(CRASH_LETTERS);

	sequence[len] = 0;
	while (len--) {
		sequence[len] = CRASH_LETTERS[n % base];
		n /= base;
	}
}

static void every_short_sequence(void)
{
	u64 longest = number("MARS_CRASH_LENGTH", 2), len, n, all = 1;
	char sequence[LONGEST + 1];
	unsigned int mode;

	if (getenv("MARS_CRASH_SEQUENCE"))
		return;
	CHECK(longest <= LONGEST);
	for (len = 1; len <= longest; len++) {
		all *= strlen(CRASH_LETTERS);
		for (n = 0; n < all; n++) {
			letters(sequence, len, n);
			for (mode = 0; mode < CRASH_MODES; mode++)
				run(sequence, NULL, mode, test_seed() + n * CRASH_MODES + mode);
		}
	}
}

/*
 * Crashes in which writes are partly in the log and partly back on the disk, torn groups,
 * rotations half done; then a life that writes over the same places, or other ones.
 */
static void second_lives(void)
{
	static const char *const first[] = { "abo", "aufzo", "brobz", "adrafo", "abcoz" };
	static const char *const second[] = { "u", "bo", "orf", "dbc" };
	unsigned int i, k, mode;
	u64 before = count.lives;

	if (getenv("MARS_CRASH_SEQUENCE"))
		return;
	for (i = 0; i < ARRAY_SIZE(first); i++)
		for (k = 0; k < ARRAY_SIZE(second); k++)
			for (mode = 0; mode < CRASH_MODES; mode++)
				run(first[i], second[k], mode, test_seed() + 500000 + i * 100 +
				    k * 10 + mode);
	CHECK(count.lives - before > ARRAY_SIZE(first) * ARRAY_SIZE(second) * CRASH_MODES / 2);
}

/* Commits that take several groups: fewer moments, and more bytes each. */
static void long_writes(void)
{
	static const char *const sequence[] = { "awf", "vrw" };
	unsigned int i, mode;

	if (getenv("MARS_CRASH_SEQUENCE"))
		return;
	for (i = 0; i < ARRAY_SIZE(sequence); i++)
		for (mode = 0; mode < CRASH_MODES; mode++)
			run(sequence[i], i % 2 ? "v" : "bw", mode, test_seed() + 700000 + i * 10 + mode);
	CHECK(count.cut);
}

static void random_sequences(void)
{
	struct crash_rnd rnd = { test_seed() };
	char sequence[LONGEST + 1], second[LONGEST_SECOND + 1];
	unsigned int i, len;

	if (getenv("MARS_CRASH_SEQUENCE"))
		return;
	/* some are run however slow the machine is */
	for (i = 0; i < 30 || !time_is_over(); i++) {
		len = 3 + crash_random(&rnd, LONGEST - 2);
		letters(sequence, len, crash_random(&rnd, ~0ull));
		len = crash_random(&rnd, 3) ? 0 : 1 + crash_random(&rnd, LONGEST_SECOND);
		letters(second, len, crash_random(&rnd, ~0ull));
		run(sequence, len ? second : NULL, crash_random(&rnd, CRASH_MODES),
		    test_seed() + 1000000 + i);
	}
}

static void one_sequence(void)
{
	if (getenv("MARS_CRASH_SEQUENCE"))
		run(getenv("MARS_CRASH_SEQUENCE"), getenv("MARS_CRASH_SECOND"), number("MARS_CRASH_MODE", 2),
		    number("MARS_CRASH_SEED", test_seed()));
}

int main(void)
{
	began = time(NULL);
	RUN(every_short_sequence);
	RUN(second_lives);
	RUN(long_writes);
	RUN(random_sequences);
	RUN(one_sequence);
	printf("%llu runs, %llu second lives, %llu moments, %llu subsets of log sectors, %llu crashes, %llu replays\n",
	       (unsigned long long)count.runs, (unsigned long long)count.lives,
	       (unsigned long long)count.moments,
	       (unsigned long long)count.log_subsets, (unsigned long long)count.crashes,
	       (unsigned long long)count.replays);
	return test_done();
}
