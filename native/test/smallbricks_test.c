// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * smallbricks_test.c - mem, check, limit and align, in simulation
 */
#include <pthread.h>

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>

#include "bricks/faulty.h"
#include "engine/engine.h"
#include "source.h"
#include "test.h"
#include "testbricks.h"

#define SIZE	(64u << 10)

static enum mars_reason reason;

static void begin(void)
{
	CHECK_EQ(mars_engine_init(EXEC_SIM, 0, test_seed()), 0);
	source_register();
	testbricks_register();
}

static void end(void)
{
	mars_engine_exit();
	CHECK_EQ(exec_live_allocs(), 0);
}

static void create(const char *type, const char *name, const char *to)
{
	brick_create(type, name);
	CHECK_EQ(mars_brick_connect(name, 0, to, &reason), 0);
}

static void create_mem(const char *name)
{
	brick_create("mem", name);
	brick_set_value(name, MARS_K_MEM_SIZE, SIZE);
	brick_on(name);
}

static u64 val(const char *name, unsigned int nr)
{
	return brick_status(name).val[nr];
}

static void fill_random(u8 *buf, size_t len)
{
	while (len--)
		*buf++ = random();
}

/* --- mem --- */

/* Any disk below @src against a flat copy, one request at a time. */
static void model_check(struct mars_brick *src, u8 *model, int rounds)
{
	static u8 buf[SIZE];
	int i;

	for (i = 0; i < rounds; i++) {
		u64 len = 1 + random() % (random() % 3 ? 700 : 20000);
		u64 pos = random() % (SIZE - len + 1);

		switch (random() % 6) {
		case 0:
			CHECK_EQ(source_io(src, XIO_DISCARD, 0, pos, NULL, len), 0);
			memset(model + pos, 0, len);
			break;
		case 1:
			CHECK_EQ(source_io(src, XIO_WRITE_ZEROES, XIO_NOUNMAP, pos, NULL, len), 0);
			memset(model + pos, 0, len);
			break;
		case 2:
		case 3:
			fill_random(buf, len);
			CHECK_EQ(source_io(src, XIO_WRITE, random() % 2 ? XIO_FUA : 0, pos, buf,
					   len), 0);
			memcpy(model + pos, buf, len);
			break;
		default:
			CHECK_EQ(source_io(src, XIO_READ, 0, pos, buf, len), 0);
			CHECK_MEM(buf, model + pos, len);
		}
	}
	CHECK_EQ(source_io(src, XIO_READ, 0, 0, buf, SIZE), 0);
	CHECK_MEM(buf, model, SIZE);
}

static void mem_is_a_disk(void)
{
	static u8 model[SIZE], buf[SIZE];
	struct mars_brick *src;
	struct xio_info info;

	srandom(test_seed());
	memset(model, 0, sizeof(model));
	begin();
	create_mem("mem");
	src = source_create("src", "mem");
	model_check(src, model, 500);
	CHECK_EQ(mars_brick_info("mem", &info), 0);
	CHECK_EQ(info.size, SIZE);
	CHECK(!info.volatile_cache);
	CHECK_EQ(source_io(src, XIO_READ, 0, SIZE - 1, buf, 2), -EIO);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, SIZE - 1, buf, 2), -ENOSPC);
	CHECK_EQ(source_io(src, XIO_DISCARD, 0, 1ull << 62, NULL, 1ull << 62), -ENOSPC);
	/* Contents survive off, not a new size. */
	brick_off("src");
	brick_off("mem");
	CHECK_EQ(source_io(src, XIO_READ, 0, 0, buf, SIZE), -ESHUTDOWN);
	brick_on("mem");
	CHECK_EQ(source_io(src, XIO_READ, 0, 0, buf, SIZE), 0);
	CHECK_MEM(buf, model, SIZE);
	brick_off("mem");
	brick_set_value("mem", MARS_K_MEM_SIZE, SIZE);
	brick_on("mem");
	memset(model, 0, sizeof(model));
	CHECK_EQ(source_io(src, XIO_READ, 0, 0, buf, SIZE), 0);
	CHECK_MEM(buf, model, SIZE);
	end();
}

/* --- check --- */

static struct mars_brick *hold, *src;

/* src -> check -> hold, all on */
static void begin_check(void)
{
	begin();
	brick_create("hold", "hold");
	brick_on("hold");
	hold = mars_brick_find("hold");
	create("check", "check", "hold");
	brick_on("check");
	src = source_create("src", "check");
}

static void check_finds_ends_twice(void)
{
	struct source_io first, second;
	struct mars_ctl_status st;

	begin_check();
	while (mars_event_next(&st))
		;
	source_start(src, &first, XIO_FLUSH, 0, 0, NULL, 0);
	source_start(src, &second, XIO_FLUSH, 0, 0, NULL, 0);
	hold_end_times(hold, -EIO, 4);
	CHECK(source_done(&first) && !source_done(&second));
	CHECK_EQ(val("check", MARS_V_CHECK_TWICE), 3);
	CHECK(mars_event_next(&st));
	CHECK_STR(st.name, "check");
	CHECK_EQ(st.events, MARS_EV_STATE);
	hold_end(hold, 0);
	CHECK_EQ(source_wait(&first), -EIO);
	CHECK_EQ(source_wait(&second), 0);
	CHECK_EQ(val("check", MARS_V_CHECK_IN_FLIGHT), 0);
	CHECK_EQ(val("check", MARS_V_CHECK_REQUESTS), 2);
	end();
}

static void check_finds_changed_buffers(void)
{
	static u8 buf[2 * GRID_BLOCK];
	struct source_io io;

	begin_check();
	source_start(src, &io, XIO_WRITE, 0, 0, buf, sizeof(buf));
	hold_end(hold, 0);
	CHECK_EQ(source_wait(&io), 0);
	CHECK_EQ(val("check", MARS_V_CHECK_BUFFER), 0);
	source_start(src, &io, XIO_WRITE, 0, 0, buf, sizeof(buf));
	buf[777]++;
	hold_end(hold, 0);
	CHECK_EQ(source_wait(&io), 0);
	CHECK_EQ(val("check", MARS_V_CHECK_BUFFER), 1);
	source_start(src, &io, XIO_READ, 0, 0, buf, sizeof(buf));
	buf[777]++;			/* that is what reads are for */
	hold_end(hold, 0);
	CHECK_EQ(source_wait(&io), 0);
	CHECK_EQ(val("check", MARS_V_CHECK_BUFFER), 1);
	end();
}

static void check_finds_overlaps(void)
{
	static u8 buf[8192];
	struct source_io a, b, c, d;

	begin_check();
	source_start(src, &a, XIO_WRITE, 0, 4096, buf, 4096);
	source_start(src, &b, XIO_DISCARD, 0, 8192, NULL, 4096);
	source_start(src, &c, XIO_READ, 0, 4096, buf, 8192);
	CHECK_EQ(val("check", MARS_V_CHECK_OVERLAP), 0);
	source_start(src, &d, XIO_WRITE_ZEROES, 0, 7680, NULL, 512);
	CHECK_EQ(val("check", MARS_V_CHECK_OVERLAP), 1);
	while (hold_count(hold))
		hold_end(hold, 0);
	source_start(src, &d, XIO_WRITE, 0, 7680, buf, 512);
	CHECK_EQ(val("check", MARS_V_CHECK_OVERLAP), 1);
	hold_end(hold, 0);
	CHECK_EQ(source_wait(&d), 0);
	end();
}

static void check_finds_bad_shapes(void)
{
	static u8 buf[128 << 10];
	struct source_io io, other[4];
	struct xio_request *rq;

	begin_check();
	source_start(src, &other[0], XIO_READ, 0, HOLD_SIZE - 512, buf, 1024);
	CHECK_EQ(val("check", MARS_V_CHECK_RANGE), 1);
	source_start(src, &other[1], XIO_READ, 0, 1, buf, 512);
	source_start(src, &other[2], XIO_READ, 0, 0, buf, 511);
	source_start(src, &other[3], XIO_READ, 0, 0, buf, sizeof(buf));
	CHECK_EQ(val("check", MARS_V_CHECK_ALIGN), 3);
	while (hold_count(hold))
		hold_end(hold, 0);

	/* Memory shorter than the length: that one is not let through. */
	rq = xio_alloc(&src->input[0], GFP_KERNEL);
	rq->op = XIO_WRITE;
	rq->len = 1024;
	rq->skip = 1;
	rq->vec = io.vec;
	rq->nr_vec = 1;
	bvec_set_virt(io.vec, buf, 1024);
	rq->private = &io;
	io.done = 0;
	source_submit(rq);
	CHECK_EQ(source_wait(&io), -EINVAL);
	CHECK_EQ(val("check", MARS_V_CHECK_VEC), 1);
	CHECK_EQ(val("check", MARS_V_CHECK_IN_FLIGHT), 0);
	end();
}

static void check_injects_errors(void)
{
	static const char *const bad[] = {
		"write", "write 5", "write 5 0", "write 5 0 1 ", "write 5 0 1 x", "erase 5 0 1",
		"write 0 0 1", "write 4096 0 1", "write -5 0 1", "write 5 0 1234567890",
		" write 5 0 1", "writewrite 5 0 1", "write  5 0 1",
	};
	static u8 buf[512];
	unsigned int i;

	begin();
	create_mem("mem");
	create("check", "check", "mem");
	brick_on("check");
	src = source_create("src", "check");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		CHECK_EQ(mars_brick_set("check", MARS_K_CHECK_ERROR, 0, bad[i], strlen(bad[i]),
					&reason), -EINVAL);
		CHECK_EQ(reason, MARS_R_BAD_VALUE);
	}
	CHECK_EQ(mars_brick_set("check", MARS_K_CHECK_ERROR, 0, "any 5 0 1\0x", 11, &reason),
		 -EINVAL);
	brick_set_text("check", MARS_K_CHECK_ERROR, "write 28 2 3");
	for (i = 0; i < 7; i++) {
		CHECK_EQ(source_io(src, XIO_READ, 0, 0, buf, 512), 0);
		CHECK_EQ(source_io(src, XIO_WRITE, 0, 0, buf, 512),
			 i >= 2 && i < 5 ? -ENOSPC : 0);
	}
	CHECK_EQ(val("check", MARS_V_CHECK_INJECTED), 3);
	CHECK_EQ(val("mem", MARS_V_FILE_WRITES), 4);
	brick_set_text("check", MARS_K_CHECK_ERROR, "any 5 0 999999999");
	CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), -EIO);
	brick_set_text("check", MARS_K_CHECK_ERROR, "");
	CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
	end();
}

static void check_delays(void)
{
	struct source_io io;
	u64 start;

	begin();
	create_mem("mem");
	create("check", "check", "mem");
	brick_on("check");
	src = source_create("src", "check");
	brick_set_value("check", MARS_K_CHECK_DELAY, 5000);
	start = ktime_get_ns();
	CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
	CHECK(ktime_get_ns() - start >= 5000000);
	/* Switching the delay off lets those go who wait. */
	brick_set_value("check", MARS_K_CHECK_DELAY, 10000000);
	source_start(src, &io, XIO_FLUSH, 0, 0, NULL, 0);
	brick_set_value("check", MARS_K_CHECK_DELAY, 0);
	start = ktime_get_ns();
	CHECK_EQ(source_wait(&io), 0);
	CHECK(ktime_get_ns() - start < 5000000);
	CHECK_EQ(mars_brick_set("check", MARS_K_CHECK_DELAY, ~0ull, "", 0, &reason), -EINVAL);
	end();
}

/* Without memory for clones requests pass all the same, and it is said. */
static void check_without_memory(void)
{
	enum { N = 30 };
	struct source_io io[N];
	u64 unguarded;
	int i;

	begin_check();
	for (i = 0; i < N; i++) {
		exec_fail_alloc_at(2);		/* the clone of this request */
		source_start(src, &io[i], XIO_FLUSH, 0, 0, NULL, 0);
		CHECK(exec_fail_alloc_fired());
		exec_fail_alloc_at(-1);
	}
	CHECK_EQ(hold_count(hold), N);
	unguarded = val("check", MARS_V_CHECK_UNGUARDED);
	CHECK(unguarded > 0 && unguarded < N);
	for (i = 0; i < N; i++)
		hold_end(hold, -i);
	for (i = 0; i < N; i++)
		CHECK_EQ(source_wait(&io[i]), -i);
	CHECK_EQ(val("check", MARS_V_CHECK_IN_FLIGHT), 0);
	source_destroy("src");
	brick_off("check");
	brick_destroy("check");
	end();
}

/* Off comes after the last request and after the traps are cleared. */
static void check_goes_off_clean(void)
{
	struct source_io io[2];

	begin_check();
	source_start(src, &io[0], XIO_FLUSH, 0, 0, NULL, 0);
	source_start(src, &io[1], XIO_FLUSH, 0, 0, NULL, 0);
	hold_end(hold, 0);
	CHECK_EQ(mars_brick_switch("src", false, &reason), 0);
	CHECK_EQ(mars_brick_switch("check", false, &reason), 0);
	exec_drain();
	CHECK(!brick_status("check").led_off);
	hold_end(hold, 0);
	exec_drain();
	CHECK(brick_status("check").led_off);
	brick_destroy("src");
	brick_destroy("check");
	exec_drain();
	CHECK_EQ(hold->users, 0);
	end();
}

/* --- limit --- */

static void begin_limit(void)
{
	begin();
	create_mem("mem");
	create("limit", "limit", "mem");
	brick_on("limit");
	src = source_create("src", "limit");
}

static void limit_rates(void)
{
	enum { N = 500 };
	static struct source_io io[N];
	static u8 buf[4096];
	u64 start, took;
	int i, j;

	begin_limit();
	brick_set_value("limit", MARS_K_LIMIT_OPS, 100);
	start = ktime_get_ns();
	for (i = 0; i < N; i++)
		source_start(src, &io[i], XIO_FLUSH, 0, 0, NULL, 0);
	for (i = 0; i < N; i++) {
		CHECK_EQ(source_wait(&io[i]), 0);
		for (j = i + 1; j < N && source_done(&io[j]); j++)
			;
		for (; j < N; j++)
			CHECK(!source_done(&io[j]));	/* in order */
	}
	took = ktime_get_ns() - start;
	CHECK(took > 4900000000ull && took < 5100000000ull);	/* virtual time */
	CHECK_EQ(val("limit", MARS_V_LIMIT_OPS), N);
	CHECK_EQ(val("limit", MARS_V_LIMIT_WAITING), 0);

	brick_set_value("limit", MARS_K_LIMIT_OPS, 0);
	brick_set_value("limit", MARS_K_LIMIT_BYTES, 1 << 20);
	start = ktime_get_ns();
	for (i = 0; i < 256; i++)
		CHECK_EQ(source_io(src, i % 2 ? XIO_READ : XIO_WRITE, 0, 0, buf, 4096), 0);
	took = ktime_get_ns() - start;
	CHECK(took > 900000000ull && took < 1000000000ull);	/* burst of 50 ms */
	start = ktime_get_ns();
	for (i = 0; i < 256; i++)
		CHECK_EQ(source_io(src, XIO_DISCARD, 0, 0, NULL, 65536), 0);
	CHECK(ktime_get_ns() - start < 100000000ull);	/* no payload, no bytes */
	end();
}

/* Who comes when the next may pass anyway still stands behind those who wait. */
static void limit_keeps_order(void)
{
	struct source_io io[3];
	int i;

	begin_limit();
	brick_set_value("limit", MARS_K_LIMIT_OPS, 2);
	for (i = 0; i < 2; i++)
		source_start(src, &io[i], XIO_FLUSH, 0, 0, NULL, 0);
	CHECK(source_done(&io[0]) && !source_done(&io[1]));
	exec_advance(10000000000ull);		/* time is there, the work has not run */
	source_start(src, &io[2], XIO_FLUSH, 0, 0, NULL, 0);
	CHECK(!source_done(&io[1]) && !source_done(&io[2]));
	while (!source_done(&io[2]))
		CHECK(exec_step());
	CHECK(source_done(&io[1]));
	end();
}

static void limit_lets_go(void)
{
	struct source_io io[3];
	int i;

	begin_limit();
	brick_set_value("limit", MARS_K_LIMIT_OPS, 1);
	for (i = 0; i < 3; i++)
		source_start(src, &io[i], XIO_FLUSH, 0, 0, NULL, 0);
	CHECK_EQ(val("limit", MARS_V_LIMIT_WAITING), 2);
	brick_set_value("limit", MARS_K_LIMIT_OPS, 0);
	exec_drain_now();
	for (i = 0; i < 3; i++)
		CHECK(source_done(&io[i]));

	brick_set_value("limit", MARS_K_LIMIT_OPS, 1);
	for (i = 0; i < 3; i++)
		source_start(src, &io[i], XIO_FLUSH, 0, 0, NULL, 0);
	brick_off("src");
	CHECK_EQ(mars_brick_switch("limit", false, &reason), 0);
	exec_drain_now();
	for (i = 0; i < 3; i++)
		CHECK(source_done(&io[i]));
	CHECK(brick_status("limit").led_off);
	CHECK_EQ(mars_brick_set("limit", MARS_K_LIMIT_OPS, ~0ull, "", 0, &reason), -EINVAL);
	end();
}

/* --- align --- */

/* src -> align -> check -> grid -> a simulated disk with random order and delays */
static struct mars_brick *begin_align(unsigned int block, struct mars_brick **disk)
{
	struct faulty_image *image = faulty_image_new(SIZE, 0);
	struct faulty_config config = { .max_delay_us = 300 };

	begin();
	CHECK(image);
	*disk = faulty_create("disk", image, &config);
	CHECK(*disk);
	faulty_image_free(image);
	brick_on("disk");
	create("grid", "grid", "disk");
	brick_on("grid");
	create("check", "check", "grid");
	brick_on("check");
	create("align", "align", "check");
	if (block)
		brick_set_value("align", MARS_K_ALIGN_BLOCK, block);
	brick_on("align");
	return source_create("src", "align");
}

static void align_one_by_one(void)
{
	static const unsigned int blocks[] = { 0, 512, 1024, 4096 };
	static u8 model[SIZE];
	struct mars_brick *disk;
	struct xio_info info;
	unsigned int i;

	srandom(test_seed());
	for (i = 0; i < ARRAY_SIZE(blocks); i++) {
		memset(model, 0, sizeof(model));
		src = begin_align(blocks[i], &disk);
		CHECK_EQ(mars_brick_info("align", &info), 0);
		CHECK_EQ(info.align, 1);
		CHECK_EQ(info.size, SIZE);
		model_check(src, model, 300);
		CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
		CHECK(val("align", MARS_V_ALIGN_SPLIT) > 0);
		CHECK_EQ(val("check", MARS_V_CHECK_ALIGN), 0);
		CHECK_EQ(val("check", MARS_V_CHECK_OVERLAP), 0);
		CHECK_EQ(source_io(src, XIO_READ, 0, SIZE - 1, model, 2), -EIO);
		CHECK_EQ(source_io(src, XIO_WRITE, 0, SIZE - 1, model, 2), -ENOSPC);
		end();
	}
}

/*
 * Many at once that share blocks but no bytes: the bytes of each must be there
 * afterwards, whoever read and wrote the block in between.
 */
static void align_side_by_side(void)
{
	enum { N = 60 };
	static u8 model[SIZE], data[SIZE], got[SIZE];
	static struct source_io io[N];
	struct mars_brick *disk;
	int round, i, nr;

	srandom(test_seed());
	memset(model, 0, sizeof(model));
	src = begin_align(0, &disk);
	for (round = 0; round < 100; round++) {
		u64 pos = random() % 600;

		for (nr = 0; nr < N; nr++) {
			u64 len = 1 + random() % (random() % 4 ? 300 : 3000);

			if (pos + len > SIZE)
				break;
			switch (random() % 4) {
			case 0:
				source_start(src, &io[nr], XIO_READ, 0, pos, got + pos, len);
				break;
			case 1:
				source_start(src, &io[nr], XIO_DISCARD, 0, pos, NULL, len);
				memset(model + pos, 0, len);
				break;
			default:
				fill_random(data + pos, len);
				memcpy(model + pos, data + pos, len);
				source_start(src, &io[nr], XIO_WRITE, 0, pos, data + pos, len);
			}
			pos += len + (random() % 3 ? 0 : random() % 600);
		}
		for (i = 0; i < nr; i++)
			CHECK_EQ(source_wait(&io[i]), 0);
		CHECK_EQ(source_io(src, XIO_READ, 0, 0, got, SIZE), 0);
		CHECK_MEM(got, model, SIZE);
	}
	CHECK(val("align", MARS_V_ALIGN_WAITED) > 0);
	CHECK_EQ(val("check", MARS_V_CHECK_OVERLAP), 0);
	CHECK_EQ(val("check", MARS_V_CHECK_ALIGN), 0);
	CHECK_EQ(val("check", MARS_V_CHECK_BUFFER), 0);
	end();
}

/* src -> align -> hold -> mem; what is started behind the rewiring bypasses the hold */
static void begin_align_held(void)
{
	begin();
	create_mem("mem");
	create("hold", "hold", "mem");
	brick_on("hold");
	create("align", "align", "hold");
	brick_set_value("align", MARS_K_ALIGN_BLOCK, 512);
	brick_on("align");
	src = source_create("src", "align");
	hold = mars_brick_find("hold");
}

static void bypass_hold(void)
{
	CHECK_EQ(mars_brick_connect("align", 0, "mem", &reason), 0);
}

/* A wants block 0, B wants 0 and 1, C wants 1: C does not overtake B, D does. */
static void align_keeps_order(void)
{
	static u8 a[10], b[600], c[10], d[10], got[4];
	struct source_io io[4];

	memset(a, 1, sizeof(a));
	memset(b, 2, sizeof(b));
	memset(c, 3, sizeof(c));
	begin_align_held();
	source_start(src, &io[0], XIO_WRITE, 0, 100, a, sizeof(a));
	bypass_hold();
	source_start(src, &io[1], XIO_WRITE, 0, 105, b, sizeof(b));
	source_start(src, &io[2], XIO_WRITE, 0, 600, c, sizeof(c));
	CHECK(!source_done(&io[0]) && !source_done(&io[1]) && !source_done(&io[2]));
	source_start(src, &io[3], XIO_DISCARD, 0, 1024, d, 512);
	CHECK(source_done(&io[3]));
	hold_forward(hold);
	hold_forward(hold);
	CHECK(source_done(&io[0]) && source_done(&io[1]) && source_done(&io[2]));
	CHECK_EQ(source_io(src, XIO_READ, 0, 103, got, 4), 0);
	CHECK_MEM(got, "\1\1\2\2", 4);
	CHECK_EQ(source_io(src, XIO_READ, 0, 608, got, 4), 0);
	CHECK_MEM(got, "\3\3\2\2", 4);
	end();
}

static void *long_queue(void *arg)
{
	enum { N = 6000 };
	struct source_io *io = calloc(N, sizeof(*io));
	u8 *buf = malloc(N), got[512], expect = 0;
	int i;

	CHECK(io && buf);
	begin_align_held();
	for (i = 0; i < N; i++) {
		buf[i] = expect = i;
		source_start(src, &io[i], XIO_WRITE, 0, 100, buf + i, 1);
		if (!i)
			bypass_hold();
	}
	CHECK_EQ(hold_count(hold), 1);
	hold_forward(hold);		/* reading the block */
	CHECK(!source_done(&io[0]));
	hold_forward(hold);		/* writing it: the avalanche */
	CHECK(source_done(&io[N - 1]));
	for (i = 0; i < N; i++)
		CHECK_EQ(source_wait(&io[i]), 0);
	CHECK_EQ(source_io(src, XIO_READ, 0, 0, got, 512), 0);
	CHECK_EQ(got[100], expect);
	CHECK_EQ(got[99], 0);
	end();
	free(io);
	free(buf);
	return NULL;
}

/* A long queue on one block over an inline disk must not eat the stack. */
static void align_long_queue(void)
{
	pthread_attr_t attr;
	pthread_t thread;

	CHECK_EQ(pthread_attr_init(&attr), 0);
	CHECK_EQ(pthread_attr_setstacksize(&attr, 256 << 10), 0);
	CHECK_EQ(pthread_create(&thread, &attr, long_queue, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
}

/* Every step of a split request fails once; the block is free again afterwards. */
static void align_errors(void)
{
	static u8 buf[3000];
	struct mars_brick *disk;
	int skip;

	src = begin_align(0, &disk);
	for (skip = 0; skip < 5; skip++) {
		faulty_fail_nth(disk, FAULTY_OP(XIO_READ) | FAULTY_OP(XIO_WRITE), skip, 1, -EIO);
		CHECK_EQ(source_io(src, XIO_WRITE, 0, 100, buf, sizeof(buf)), -EIO);
		faulty_heal(disk);
		CHECK_EQ(source_io(src, XIO_WRITE, 0, 100, buf, sizeof(buf)), 0);
	}
	faulty_fail_nth(disk, FAULTY_OP(XIO_READ) | FAULTY_OP(XIO_WRITE), 5, 1, -EIO);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 100, buf, sizeof(buf)), 0);	/* five steps */
	end();
}

static void align_parameters(void)
{
	static const u64 bad[] = { 0, 1, 256, 513, 8192, 1 << 20 };
	unsigned int i;

	begin();
	brick_create("hold", "hold");
	brick_on("hold");
	brick_create("align", "align");
	CHECK(mars_brick_switch("align", true, &reason) < 0);	/* on top of nothing */
	CHECK(!brick_status("align").button && brick_status("align").led_off);
	CHECK_EQ(mars_brick_connect("align", 0, "hold", &reason), 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_EQ(mars_brick_set("align", MARS_K_ALIGN_BLOCK, bad[i], "", 0, &reason),
			 -EINVAL);
	brick_set_value("align", MARS_K_ALIGN_BLOCK, 2048);
	brick_on("align");
	CHECK_EQ(mars_brick_set("align", MARS_K_ALIGN_BLOCK, 512, "", 0, &reason), -EAGAIN);
	end();
}

int main(void)
{
	RUN(mem_is_a_disk);
	RUN(check_finds_ends_twice);
	RUN(check_finds_changed_buffers);
	RUN(check_finds_overlaps);
	RUN(check_finds_bad_shapes);
	RUN(check_injects_errors);
	RUN(check_delays);
	RUN(check_without_memory);
	RUN(check_goes_off_clean);
	RUN(limit_rates);
	RUN(limit_keeps_order);
	RUN(limit_lets_go);
	RUN(align_one_by_one);
	RUN(align_side_by_side);
	RUN(align_keeps_order);
	RUN(align_long_queue);
	RUN(align_errors);
	RUN(align_parameters);
	return test_done();
}
