// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_bench.c - cost of the logger over files
 *
 *	logger_bench FOLDER [SECONDS [SIZE [DEPTH [FLUSH_EVERY]]]]
 *
 * Random writes of SIZE bytes (4096), DEPTH (16) in flight, a flush after each
 * FLUSH_EVERY writes (0 = never), on a device of 1 GiB; all threads' CPU time counts.
 */
#include <sys/resource.h>
#include <unistd.h>

#include <linux/kernel.h>

#include "bricks/logger.h"
#include "engine/engine.h"
#include "source.h"
#include "test.h"

#define DEVICE	(1ull << 30)

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void file_brick(const char *folder, const char *name, u32 flags, u64 size)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	unlink(path);
	brick_create("file", name);
	brick_set_text(name, MARS_K_FILE_PATH, path);
	brick_set_value(name, MARS_K_FILE_FLAGS, flags);
	if (size)
		brick_set_value(name, MARS_K_FILE_SIZE, size);
	brick_on(name);
}

int main(int argc, char **argv)
{
	const char *folder = argc > 1 ? argv[1] : "/tmp";
	double seconds = argc > 2 ? atof(argv[2]) : 5;
	u64 size = argc > 3 ? atoi(argv[3]) : 4096;
	unsigned int depth = argc > 4 ? atoi(argv[4]) : 16;
	unsigned int flush = argc > 5 ? atoi(argv[5]) : 0;
	struct source_io *io = calloc(depth, sizeof(*io));
	struct mars_log_ident id = { .number = 1, .origin = "hosta" };
	struct mars_ctl_status st;
	enum mars_reason reason;
	struct mars_brick *src;
	u64 start, n = 0, seed = 88172645463325252ull;
	double cpu, took;
	char *buf = aligned_alloc(4096, XIO_MAX_IO);

	CHECK_EQ(mars_engine_init(EXEC_THREADED, 2, 1), 0);
	source_register();
	memset(buf, 0x5a, XIO_MAX_IO);
	file_brick(folder, "bench-data", MARS_FILE_CREATE | MARS_FILE_EXCL, DEVICE);
	file_brick(folder, "bench-log", MARS_FILE_CREATE | MARS_FILE_APPEND | MARS_FILE_DIRECT, 0);
	brick_create("logger", "lg");
	CHECK_EQ(mars_brick_set("lg", MARS_K_LOGGER_IDENT, 0, (char *)&id, sizeof(id), &reason), 0);
	CHECK_EQ(mars_brick_connect("lg", 0, "bench-data", &reason), 0);
	CHECK_EQ(mars_brick_connect("lg", 1, "bench-log", &reason), 0);
	brick_on("lg");
	while (!brick_status("lg").led_on)
		usleep(1000);
	src = source_create("src", "lg");
	cpu = cpu_seconds();
	start = ktime_get_ns();
	while (ktime_get_ns() - start < seconds * 1e9) {
		seed ^= seed << 13;
		seed ^= seed >> 7;
		seed ^= seed << 17;
		if (n >= depth)
			CHECK_EQ(source_wait(&io[n % depth]), 0);
		source_start(src, &io[n % depth], XIO_WRITE, 0, (seed >> 11) % (DEVICE / size) * size,
			     buf, size);
		n++;
		if (flush && n % flush == 0)
			CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
	}
	took = (ktime_get_ns() - start) / 1e9;
	cpu = cpu_seconds() - cpu;
	st = brick_status("lg");
	printf("%llu writes of %llu in %.1f s: %.0f/s, %.1f MB/s, %.2f us CPU each; "
	       "%llu groups, %llu writebacks, peak %llu MiB\n",
	       (unsigned long long)n, (unsigned long long)size, took, n / took,
	       n * size / took / 1e6, cpu / n * 1e6,
	       (unsigned long long)st.val[MARS_V_LOGGER_GROUPS],
	       (unsigned long long)st.val[MARS_V_LOGGER_WRITEBACKS],
	       (unsigned long long)st.val[MARS_V_LOGGER_PEAK] >> 20);
	start = ktime_get_ns();
	for (n = n > depth ? n - depth : 0; n && n % depth; n++)
		source_wait(&io[n % depth]);
	source_destroy("src");
	brick_off("lg");
	printf("off after %.2f s\n", (ktime_get_ns() - start) / 1e9);
	CHECK_EQ(mars_engine_exit(), 0);
	return 0;
}
