// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file_test.c - the file brick on real files
 *
 * Files live in a fresh directory below $TMPDIR.  What a brick wrote is read back
 * by the system's own calls, and the other way round.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <linux/errno.h>
#include <linux/kernel.h>

#include "engine/engine.h"
#include "source.h"
#include "test.h"

#define MIB		(1U << 20)
#define TMPFS_ID	0x01021994

static char dir[256], path[300];

static void begin(void)
{
	CHECK_EQ(mars_engine_init(EXEC_THREADED, 0, test_seed()), 0);
	source_register();
}

static void make_file(const char *name, u64 size)
{
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static void no_file(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
}

static void set_up(const char *name, u32 flags)
{
	brick_create("file", name);
	brick_set_text(name, MARS_K_FILE_PATH, path);
	brick_set_value(name, MARS_K_FILE_FLAGS, flags);
}

static struct mars_brick *start(u32 flags, u64 size)
{
	set_up("f", flags);
	if (size)
		brick_set_value("f", MARS_K_FILE_SIZE, size);
	brick_on("f");
	return source_create("src", "f");
}

static void end(void)
{
	source_destroy("src");
	brick_off("f");
	brick_destroy("f");
	mars_engine_exit();
}

static void expect_refusal(const char *name, enum mars_reason want)
{
	enum mars_reason reason = MARS_R_NONE;

	CHECK(mars_brick_switch(name, true, &reason) < 0);
	CHECK_EQ(reason, want);
	CHECK(brick_status(name).led_off);
}

static u8 file_byte(u64 pos)
{
	int fd = open(path, O_RDONLY);
	u8 byte = 0;

	CHECK(fd >= 0);
	CHECK_EQ(pread(fd, &byte, 1, (off_t)pos), 1);
	close(fd);
	return byte;
}

static u64 file_size(void)
{
	struct stat st;

	CHECK_EQ(stat(path, &st), 0);
	return st.st_size;
}

static void random_fill(u8 *buf, u64 len)
{
	while (len--)
		*buf++ = exec_random(256);
}

static void refusals(void)
{
	enum mars_reason reason;

	begin();
	brick_create("file", "f");
	expect_refusal("f", MARS_R_MISSING);
	no_file("none");
	brick_set_text("f", MARS_K_FILE_PATH, path);
	expect_refusal("f", MARS_R_NO_PATH);
	brick_set_text("f", MARS_K_FILE_PATH, dir);
	expect_refusal("f", MARS_R_BAD_VALUE);
	CHECK_EQ(mars_brick_set("f", MARS_K_FILE_PATH, 0, "relative", 8, &reason), -EINVAL);
	CHECK_EQ(reason, MARS_R_BAD_VALUE);
	CHECK_EQ(mars_brick_set("f", MARS_K_FILE_FLAGS, 1 << 30, "", 0, &reason), -EINVAL);
	CHECK_EQ(reason, MARS_R_BAD_VALUE);
	CHECK_EQ(mars_brick_set("f", MARS_K_MEM_SIZE, 1, "", 0, &reason), -EINVAL);
	CHECK_EQ(reason, MARS_R_NO_KEY);

	make_file("small", 4096);
	brick_set_text("f", MARS_K_FILE_PATH, path);
	brick_set_value("f", MARS_K_FILE_SIZE, 8192);
	expect_refusal("f", MARS_R_TOO_SMALL);
	if (geteuid()) {
		chmod(path, 0);
		expect_refusal("f", MARS_R_DENIED);
		chmod(path, 0600);
	}
	brick_set_value("f", MARS_K_FILE_SIZE, 4096);
	brick_set_value("f", MARS_K_FILE_FLAGS, MARS_FILE_EXCL);
	brick_on("f");
	CHECK_EQ(mars_brick_set("f", MARS_K_FILE_FLAGS, 0, "", 0, &reason), -EBUSY);
	CHECK_EQ(reason, MARS_R_NOT_NOW);
	set_up("g", MARS_FILE_EXCL);
	expect_refusal("g", MARS_R_IN_USE);
	brick_off("f");
	brick_on("g");		/* the lock went with the file */
	brick_off("g");
	brick_destroy("f");
	brick_destroy("g");
	mars_engine_exit();
}

static void disk_rules(void)
{
	static u8 buf[MIB], back[MIB];
	struct mars_brick *src;
	struct xio_info info;

	begin();
	make_file("disk", 4 * MIB + 1000);
	src = start(MARS_FILE_EXCL, 0);
	CHECK_EQ(mars_brick_info("f", &info), 0);
	CHECK_EQ(info.size, 4 * MIB + 1000);
	CHECK_EQ(info.align, 1);
	CHECK(info.volatile_cache && !info.read_only);

	random_fill(buf, MIB);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 12345, buf, MIB), 0);
	CHECK_EQ(source_io(src, XIO_WRITE, XIO_FUA, 3 * MIB + 999, buf, MIB), 0);
	CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
	CHECK_EQ(source_io(src, XIO_READ, 0, 12345, back, MIB), 0);
	CHECK_MEM(back, buf, MIB);
	CHECK_EQ(file_byte(12345), buf[0]);
	CHECK_EQ(file_byte(4 * MIB + 998), buf[MIB - 1]);

	CHECK_EQ(source_io(src, XIO_DISCARD, 0, 20000, NULL, 100000), 0);
	CHECK_EQ(source_io(src, XIO_WRITE_ZEROES, XIO_NOUNMAP, 300001, NULL, 8190), 0);
	memset(buf + 20000 - 12345, 0, 100000);
	memset(buf + 300001 - 12345, 0, 8190);
	CHECK_EQ(source_io(src, XIO_READ, 0, 12345, back, MIB), 0);
	CHECK_MEM(back, buf, MIB);

	CHECK_EQ(source_io(src, XIO_READ, 0, 4 * MIB, back, 1001), -EIO);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 4 * MIB, back, 1001), -ENOSPC);
	CHECK_EQ(source_io(src, XIO_DISCARD, 0, 4 * MIB, NULL, 1001), -ENOSPC);
	CHECK_EQ(source_io(src, XIO_WRITE_ZEROES, XIO_NOUNMAP, 8 * MIB, NULL, 1), -ENOSPC);
	CHECK_EQ(source_io(src, XIO_READ, 0, 1ull << 63, back, 10), -EINVAL);
	CHECK_EQ(file_size(), 4 * MIB + 1000);

	CHECK(brick_status("f").val[MARS_V_FILE_WRITES] >= 2);
	end();
}

/* An exclusive disk shows as much as was asked for; a plain file grows on demand. */
static void sizes(void)
{
	enum mars_reason reason;
	struct mars_brick *src;
	static u8 buf[4096];

	begin();
	make_file("sizes", 4 * MIB);
	src = start(MARS_FILE_EXCL, MIB);
	CHECK_EQ(brick_status("f").val[MARS_V_FILE_SIZE], MIB);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, MIB, buf, 4096), -ENOSPC);
	CHECK_EQ(mars_brick_set("f", MARS_K_FILE_SIZE, 5 * MIB, "", 0, &reason), -ENOSPC);
	CHECK_EQ(reason, MARS_R_TOO_SMALL);
	brick_set_value("f", MARS_K_FILE_SIZE, 2 * MIB);
	CHECK_EQ(brick_status("f").val[MARS_V_FILE_SIZE], 2 * MIB);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, MIB, buf, 4096), 0);
	CHECK_EQ(mars_brick_set("f", MARS_K_FILE_SIZE, MIB, "", 0, &reason), -EBUSY);
	CHECK_EQ(reason, MARS_R_NOT_NOW);
	end();

	begin();
	src = start(0, 0);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 4 * MIB, buf, 4096), -ENOSPC);
	brick_set_value("f", MARS_K_FILE_SIZE, 5 * MIB);
	CHECK_EQ(file_size(), 5 * MIB);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 4 * MIB, buf, 4096), 0);
	end();
}

static void log_rules(void)
{
	static u8 buf[MIB];
	struct mars_brick *src, *reader;
	struct xio_info info;

	begin();
	no_file("log");
	src = start(MARS_FILE_CREATE | MARS_FILE_APPEND, 0);
	CHECK_EQ(file_size(), 0);
	set_up("r", MARS_FILE_RDONLY);
	brick_on("r");
	reader = source_create("rsrc", "r");

	CHECK_EQ(source_io(src, XIO_WRITE_ZEROES, XIO_NOUNMAP, 0, NULL, MIB), 0);
	CHECK_EQ(file_size(), MIB);
	CHECK_EQ(mars_brick_info("f", &info), 0);
	CHECK_EQ(info.size, MIB);
	memset(buf, 5, MIB);
	CHECK_EQ(source_io(src, XIO_WRITE, XIO_FUA, MIB - 4096, buf, 8192), 0);
	CHECK_EQ(file_size(), MIB + 4096);
	/* across the end: zero what is there, allocate what is not */
	CHECK_EQ(source_io(src, XIO_WRITE_ZEROES, XIO_NOUNMAP, MIB, NULL, MIB), 0);
	CHECK_EQ(file_size(), 2 * MIB);
	CHECK_EQ(file_byte(MIB - 1), 5);
	CHECK_EQ(file_byte(MIB), 0);
	/* the reader follows the growing file, and finds zeros behind its end */
	CHECK_EQ(source_io(reader, XIO_READ, 0, MIB - 4096, buf, MIB), 0);
	CHECK_EQ(buf[4095], 5);
	CHECK_EQ(buf[4096], 0);
	memset(buf, 1, MIB);
	CHECK_EQ(source_io(reader, XIO_READ, 0, 2 * MIB - 4096, buf, MIB), 0);
	CHECK_EQ(buf[4096], 0);
	CHECK_EQ(buf[MIB - 1], 0);
	CHECK_EQ(source_io(reader, XIO_WRITE, 0, 0, buf, 512), -EROFS);
	/* cutting the preallocated tail */
	brick_set_value("f", MARS_K_FILE_SIZE, MIB);
	CHECK_EQ(file_size(), MIB);
	source_destroy("rsrc");
	brick_off("r");
	brick_destroy("r");
	end();
}

/* Lack of space is reported, and what was there stays. */
static void no_space(void)
{
	struct rlimit old, limit;
	static u8 buf[8192];
	struct mars_brick *src;

	begin();
	no_file("full");
	src = start(MARS_FILE_CREATE | MARS_FILE_APPEND, 0);
	signal(SIGXFSZ, SIG_IGN);
	CHECK_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = MIB;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CHECK_EQ(source_io(src, XIO_WRITE_ZEROES, XIO_NOUNMAP, 0, NULL, 4 * MIB), -ENOSPC);
	CHECK_EQ(source_io(src, XIO_WRITE_ZEROES, XIO_NOUNMAP, 0, NULL, MIB), 0);
	CHECK_EQ(brick_status("f").state, MARS_S_OK);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, MIB, buf, 8192), -ENOSPC);
	CHECK_EQ(brick_status("f").state, MARS_S_IO_ERROR);
	CHECK_EQ(brick_status("f").error, -ENOSPC);
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, MIB, buf, 8192), 0);
	CHECK_EQ(brick_status("f").state, MARS_S_OK);
	end();
}

static void direct(void)
{
	struct mars_brick *src;
	struct xio_info info;
	struct statfs fs;
	u8 *buf, *back;

	begin();
	buf = alloc_pages_exact(MIB, GFP_KERNEL);
	back = alloc_pages_exact(MIB, GFP_KERNEL);
	CHECK(buf && back);
	no_file("direct");
	src = start(MARS_FILE_CREATE | MARS_FILE_DIRECT | MARS_FILE_APPEND, 4 * MIB);
	CHECK_EQ(statfs(path, &fs), 0);
	CHECK_EQ(mars_brick_info("f", &info), 0);
	random_fill(buf, MIB);
	CHECK_EQ(source_io(src, XIO_WRITE, XIO_FUA, MIB, buf, MIB), 0);
	CHECK_EQ(source_io(src, XIO_READ, 0, MIB, back, MIB), 0);
	CHECK_MEM(back, buf, MIB);
	/* memory at odd addresses goes through a buffer */
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 2 * MIB, buf + 1, 65536), 0);
	CHECK_EQ(source_io(src, XIO_READ, 0, 2 * MIB, back + 3, 65536), 0);
	CHECK_MEM(back + 3, buf + 1, 65536);
	if (brick_status("f").val[MARS_V_FILE_DIRECT]) {
		CHECK_EQ(info.align, 4096);
		CHECK_EQ(source_io(src, XIO_WRITE, 0, 100, buf, 4096), -EINVAL);
	} else {
		CHECK_EQ((u64)fs.f_type, TMPFS_ID);
		CHECK_EQ(info.align, 1);
	}
	/* across the end of a log */
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 4 * MIB, buf, 4096), 0);
	CHECK_EQ(source_io(src, XIO_READ, 0, 4 * MIB, back, 65536), 0);
	CHECK_MEM(back, buf, 4096);
	CHECK_EQ(back[4096], 0);
	CHECK_EQ(back[65535], 0);
	free_pages_exact(buf, MIB);
	free_pages_exact(back, MIB);
	end();
}

/* Bursts of neighbouring writes, flushes and reads; content must match a model. */
static void bursts(void)
{
	enum { N = 64, LEN = 4096 };
	static u8 model[N * LEN], back[N * LEN];
	static struct source_io io[N], flush[4];
	struct mars_brick *src;
	unsigned int round, i;

	begin();
	make_file("bursts", N * LEN);
	src = start(0, 0);
	for (round = 0; round < 50; round++) {
		unsigned int fua = exec_random(2) ? XIO_FUA : 0;

		random_fill(model, sizeof(model));
		for (i = 0; i < N; i++)
			source_start(src, &io[i], XIO_WRITE, exec_random(8) ? 0 : fua,
				     i * LEN, model + i * LEN, LEN);
		for (i = 0; i < ARRAY_SIZE(flush); i++)
			source_start(src, &flush[i], XIO_FLUSH, 0, 0, NULL, 0);
		for (i = 0; i < N; i++)
			CHECK_EQ(source_wait(&io[i]), 0);
		for (i = 0; i < ARRAY_SIZE(flush); i++)
			CHECK_EQ(source_wait(&flush[i]), 0);
		for (i = 0; i < N; i++)
			source_start(src, &io[i], XIO_READ, 0, i * LEN, back + i * LEN, LEN);
		for (i = 0; i < N; i++)
			CHECK_EQ(source_wait(&io[i]), 0);
		CHECK_MEM(back, model, sizeof(model));
	}
	end();
}

/* A length as writebacks have it: odd, short, or long enough to bypass the page cache. */
static u32 some_length(u32 left)
{
	switch (exec_random(4)) {
	case 0:
		return min_t(u32, left, 1 + exec_random(9000));
	case 1:
		return min_t(u32, left, 4096 * (1 + exec_random(16)));
	default:
		return min_t(u32, left, 131072 + 4096 * exec_random(224));
	}
}

/*
 * A data disk under writes of all lengths side by side, with readers that fill the
 * page cache meanwhile: content must match a model, seen through the brick and through
 * the page cache, and no flush may fail.
 */
static void long_writes(void)
{
	enum { N = 512, SIZE = 8 * MIB };
	static struct source_io io[N], peek[8];
	struct mars_brick *src;
	u8 *model, *back;
	unsigned int round, i, n;
	u32 pos, len;
	int fd;

	begin();
	model = alloc_pages_exact(SIZE, GFP_KERNEL | __GFP_ZERO);
	back = alloc_pages_exact(SIZE, GFP_KERNEL);
	CHECK(model && back);
	make_file("long", SIZE);
	src = start(MARS_FILE_EXCL, SIZE);
	fd = open(path, O_RDONLY);
	CHECK(fd >= 0);
	for (round = 0; round < 20; round++) {
		for (n = 0, pos = 0; pos < SIZE && n < N; n++, pos += len) {
			bool clear = !exec_random(16);

			len = some_length(SIZE - pos);
			if (clear)
				memset(model + pos, 0, len);
			else
				random_fill(model + pos, len);
			source_start(src, &io[n], clear ? XIO_DISCARD : XIO_WRITE,
				     exec_random(16) ? 0 : XIO_FUA, pos, model + pos, len);
			if (n < ARRAY_SIZE(peek))
				source_start(src, &peek[n], XIO_READ, 0,
					     exec_random(SIZE - 65536), back + n * 65536, 65536);
		}
		for (i = 0; i < n; i++)
			CHECK_EQ(source_wait(&io[i]), 0);
		for (i = 0; i < min_t(u32, n, ARRAY_SIZE(peek)); i++)
			CHECK_EQ(source_wait(&peek[i]), 0);
		CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
		for (i = 0; i < SIZE / MIB; i++)
			CHECK_EQ(source_io(src, XIO_READ, 0, i * MIB, back + i * MIB, MIB), 0);
		CHECK_MEM(back, model, SIZE);
		CHECK_EQ(pread(fd, back, SIZE, 0), SIZE);
		CHECK_MEM(back, model, SIZE);
	}
	CHECK_EQ(brick_status("f").state, MARS_S_OK);
	close(fd);
	free_pages_exact(model, SIZE);
	free_pages_exact(back, SIZE);
	end();
}

/* Off is reported when everything in flight has ended, and the brick can come back. */
static void off_under_load(void)
{
	enum { N = 200 };
	static u8 buf[65536];
	static struct source_io io[N];
	struct mars_brick *src;
	unsigned int round, i;

	begin();
	make_file("load", N * sizeof(buf));
	src = start(MARS_FILE_EXCL, 0);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < N; i++)
			source_start(src, &io[i], XIO_WRITE, 0, i * sizeof(buf), buf, sizeof(buf));
		brick_off("src");	/* a source does not wait for its requests */
		brick_off("f");
		for (i = 0; i < N; i++)
			CHECK(source_done(&io[i]) && !io[i].status);
		CHECK_EQ(source_io(src, XIO_READ, 0, 0, buf, 512), -ESHUTDOWN);
		brick_on("f");
		brick_on("src");
	}
	end();
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");
	char cmd[300];

	snprintf(dir, sizeof(dir), "%s/mars-file-XXXXXX", tmp ? tmp : "/tmp");
	CHECK(mkdtemp(dir));
	RUN(refusals);
	RUN(disk_rules);
	RUN(sizes);
	RUN(log_rules);
	RUN(no_space);
	RUN(direct);
	RUN(bursts);
	RUN(long_writes);
	RUN(off_under_load);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	CHECK_EQ(system(cmd), 0);
	return test_done();
}
