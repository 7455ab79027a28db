/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * test.h - checks for the C test programs
 *
 * A failed check prints the place and the seed, and aborts.  main() looks like
 *
 *	int main(void)
 *	{
 *		RUN(first_case);
 *		RUN(second_case);
 *		return test_done();
 *	}
 *
 * MARS_TEST_SEED=n repeats a run, MARS_TEST_ONLY=name picks cases by prefix.
 * test_done() fails when a WARN happened that no test_expect_warns() asked for.
 */
#ifndef _MARS_TEST_H
#define _MARS_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "exec.h"

/* one for the whole program, helpers in other files included */
#define test_shared __attribute__((__weak__, __visibility__("default")))

test_shared u64 test_seed_value;
test_shared bool test_seed_known;
test_shared long test_warns_expected;
test_shared const char *test_case_name = "?";

/** test_seed - seed of this run, from MARS_TEST_SEED or the clock */
static inline u64 test_seed(void)
{
	if (!test_seed_known) {
		const char *env = getenv("MARS_TEST_SEED");
		struct timespec ts;

		clock_gettime(CLOCK_REALTIME, &ts);
		test_seed_value = env ? strtoull(env, NULL, 0) :
			((u64)ts.tv_sec * 1000000007u + (u64)ts.tv_nsec) % 1000000000u;
		test_seed_known = true;
	}
	return test_seed_value;
}

__attribute__((__noreturn__, __format__(printf, 3, 4)))
static inline void test_fail(const char *file, int line, const char *fmt, ...)
{
	__builtin_va_list ap;

	fflush(stdout);
	fprintf(stderr, "FAIL %s:%d in %s: ", file, line, test_case_name);
	__builtin_va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	__builtin_va_end(ap);
	fprintf(stderr, "\nrepeat with MARS_TEST_SEED=%llu\n", (unsigned long long)test_seed());
	abort();
}

#define CHECK(cond) do {						\
	if (!(cond))							\
		test_fail(__FILE__, __LINE__, "%s", #cond);		\
} while (0)

/* compares integers or pointers */
#define CHECK_EQ(a, b) do {						\
	__typeof__(a) __ca = (a);					\
	__typeof__(b) __cb = (b);					\
	if (!(__ca == (__typeof__(a))__cb))				\
		test_fail(__FILE__, __LINE__, "%s == %s (%lld != %lld)", #a, #b, \
			  (long long)__ca, (long long)__cb);		\
} while (0)

#define CHECK_STR(a, b) do {						\
	const char *__ca = (a), *__cb = (b);				\
	if (strcmp(__ca, __cb) != 0)					\
		test_fail(__FILE__, __LINE__, "%s == %s (\"%s\" != \"%s\")", #a, #b, \
			  __ca, __cb);					\
} while (0)

#define CHECK_MEM(a, b, len) do {					\
	const unsigned char *__ca = (const void *)(a), *__cb = (const void *)(b); \
	size_t __i, __n = (len);					\
	for (__i = 0; __i < __n; __i++)					\
		if (__ca[__i] != __cb[__i])				\
			test_fail(__FILE__, __LINE__, "%s == %s: byte %zu of %zu: %02x != %02x", \
				  #a, #b, __i, __n, __ca[__i], __cb[__i]); \
} while (0)

#define RUN(fn) do {							\
	const char *__only = getenv("MARS_TEST_ONLY");			\
	test_case_name = #fn;						\
	if (__only && strncmp(__only, #fn, strlen(__only)) != 0)	\
		break;							\
	(void)test_seed();						\
	fn();								\
	printf("ok %s\n", #fn);						\
	fflush(stdout);							\
} while (0)

/** test_expect_warns - @n more WARNs belong to the test */
static inline void test_expect_warns(long n)
{
	test_warns_expected += n;
}

/** test_done - exit code of the program */
static inline int test_done(void)
{
	if (exec_warn_count() != test_warns_expected) {
		fprintf(stderr, "FAIL: %ld warnings, %ld expected; MARS_TEST_SEED=%llu\n",
			exec_warn_count(), test_warns_expected, (unsigned long long)test_seed());
		return 1;
	}
	return 0;
}

#endif /* _MARS_TEST_H */
