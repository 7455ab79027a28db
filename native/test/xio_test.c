// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * xio_test.c - requests: frames, aspects, refusals, guard rails, memory walks
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "engine/engine.h"
#include "source.h"
#include "test.h"
#include "testbricks.h"

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

static void connect(const char *name, unsigned int input, const char *to)
{
	enum mars_reason reason;

	CHECK_EQ(mars_brick_connect(name, input, to, &reason), 0);
}

static void create_mem(const char *name)
{
	brick_create("mem", name);
	brick_set_value(name, MARS_K_MEM_SIZE, 1 << 20);
	brick_on(name);
}

/* --- frames and aspects --- */

/* A chain of taps with branches; their patterns find overlapping aspects. */
static void aspects_and_frames(void)
{
	struct mars_brick *src;
	struct mars_route *route;
	char buf[16] = "frames unwind";
	u64 seen, pos;

	begin();
	create_mem("m0");
	create_mem("m1");
	create_mem("m2");
	brick_create("tap", "low");
	connect("low", 0, "m0");
	brick_on("low");
	brick_create("tap", "top");
	connect("top", 0, "low");
	connect("top", 1, "m1");
	connect("top", 2, "m2");
	brick_on("top");
	src = source_create("src", "top");

	seen = tap_seen();
	for (pos = 0; pos < 3; pos++)
		CHECK_EQ(source_io(src, XIO_WRITE, 0, pos, buf, sizeof(buf)), 0);
	CHECK_EQ(tap_seen() - seen, 2 + 1 + 1);

	/* Siblings share space: the deepest path counts, not the sum. */
	route = mars_route_get(&src->input[0]);
	CHECK_EQ(route->nr, 5);
	CHECK_EQ(route->top->below[1]->aspect, route->top->below[0]->aspect);
	CHECK_EQ(route->top->below[2]->aspect, route->top->below[0]->aspect);
	CHECK(route->top->below[0]->aspect >= route->top->aspect + TAP_ASPECT_PATTERN);
	CHECK(route->size <= sizeof(struct xio_request) + 16 + 2 * 96);
	CHECK(route->top->aspect >= sizeof(struct xio_request));
	mars_route_put(route);

	source_destroy("src");
	end();
}

static int unwound[4];
static unsigned int nr_unwound;

struct probe {
	struct xio_end frame[3];
	struct xio_request *rq;
};

static void probe_frame(struct xio_request *rq, struct xio_end *end)
{
	struct probe *probe = rq->private;

	unwound[nr_unwound++] = end - probe->frame;
	xio_complete(rq, rq->status ? rq->status - 1 : 0);
}

static void probe_end(struct xio_request *rq, struct xio_end *end)
{
	unwound[nr_unwound++] = 100;
}

/* Frames end in reverse order, and each may change the status. */
static void frames_unwind_in_reverse(void)
{
	struct mars_brick *src, *hold;
	struct probe probe;
	struct xio_request *rq;
	int i;

	begin();
	brick_create("hold", "hold");
	hold = mars_brick_find("hold");
	brick_on("hold");
	src = source_create("src", "hold");
	rq = xio_alloc(&src->input[0], GFP_KERNEL);
	rq->op = XIO_FLUSH;
	rq->private = &probe;
	xio_submit(rq, probe_end);
	CHECK_EQ(hold_count(hold), 1);
	for (i = 0; i < 3; i++)
		xio_push(rq, &probe.frame[i], probe_frame);
	nr_unwound = 0;
	hold_end(hold, -10);
	CHECK_EQ(nr_unwound, 4);
	CHECK_EQ(unwound[0], 2);
	CHECK_EQ(unwound[1], 1);
	CHECK_EQ(unwound[2], 0);
	CHECK_EQ(unwound[3], 100);
	CHECK_EQ(rq->status, -13);
	xio_free(rq);
	source_destroy("src");
	end();
}

/* An end function may send the request down again: here until it succeeds. */
static void retry_end(struct xio_request *rq, struct xio_end *end)
{
	if (rq->status) {
		xio_push(rq, end, retry_end);
		xio_forward(rq, 0);
		return;
	}
	xio_complete(rq, 0);
}

static void end_function_may_forward_again(void)
{
	struct mars_brick *src, *upper, *lower;
	struct probe probe;
	struct source_io io;
	struct xio_request *rq;
	int i;

	begin();
	brick_create("hold", "lower");
	brick_on("lower");
	brick_create("hold", "upper");
	connect("upper", 0, "lower");
	brick_on("upper");
	upper = mars_brick_find("upper");
	lower = mars_brick_find("lower");
	src = source_create("src", "upper");
	rq = xio_alloc(&src->input[0], GFP_KERNEL);
	rq->op = XIO_FLUSH;
	xio_submit(rq, probe_end);
	nr_unwound = 0;
	xio_push(rq, &probe.frame[0], retry_end);
	hold_forward(upper);
	for (i = 0; i < 5; i++) {
		CHECK_EQ(hold_count(lower), 1);
		hold_end(lower, -EIO);
		CHECK_EQ(nr_unwound, 0);
	}
	hold_end(lower, 0);
	CHECK_EQ(nr_unwound, 1);
	xio_free(rq);

	/* And the plain way still works behind it. */
	source_start(src, &io, XIO_FLUSH, 0, 0, NULL, 0);
	hold_forward(upper);
	hold_end(lower, 0);
	CHECK_EQ(source_wait(&io), 0);
	source_destroy("src");
	end();
}

/* --- refusals --- */

static void missing_hop_is_enotconn(void)
{
	struct mars_brick *src;

	begin();
	brick_create("tap", "tap");
	brick_on("tap");
	src = source_create("src", "tap");
	CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), -ENOTCONN);
	source_destroy("src");
	end();
}

static void no_request_without_wire(void)
{
	begin();
	brick_create("source", "src");
	CHECK(!xio_alloc(&mars_brick_find("src")->input[0], GFP_KERNEL));
	end();
}

static void malformed_is_einval(void)
{
	static const struct {
		int op;
		unsigned int flags;
		u64 pos, len;
		int status;
	} cases[] = {
		{ XIO_READ, 0, 0, 4096, 0 },
		{ XIO_READ, XIO_PRIO_LOW, 1, 3, 0 },
		{ XIO_READ, 0, 0, XIO_MAX_IO, 0 },
		{ XIO_READ, 0, 0, 0, -EINVAL },
		{ XIO_READ, 0, 0, XIO_MAX_IO + 1, -EINVAL },
		{ XIO_WRITE, XIO_FUA, 0, 1, 0 },
		{ XIO_WRITE, XIO_FLAGS_ALL + 1, 0, 1, -EINVAL },
		{ XIO_WRITE, 0, ~0ull, 1, -EINVAL },
		{ XIO_WRITE, 0, ~0ull - 10, 100, -EINVAL },
		{ XIO_FLUSH, 0, 0, 0, 0 },
		{ XIO_FLUSH, 0, 1, 0, -EINVAL },
		{ XIO_FLUSH, 0, 0, 1, -EINVAL },
		{ XIO_DISCARD, 0, 0, 1 << 20, 0 },
		{ XIO_DISCARD, 0, 0, 0, -EINVAL },
		{ XIO_DISCARD, 0, 1, ~0ull, -EINVAL },
		{ XIO_WRITE_ZEROES, XIO_NOUNMAP, 5, 5, 0 },
		{ XIO_NR_OPS, 0, 0, 1, -EINVAL },
		{ 255, 0, 0, 0, -EINVAL },
	};
	struct mars_brick *src;
	struct mars_ctl_status st;
	unsigned int i, good = 0;
	char *buf = malloc(XIO_MAX_IO + 1);

	CHECK(buf);
	memset(buf, 1, XIO_MAX_IO + 1);
	begin();
	create_mem("mem");
	src = source_create("src", "mem");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_EQ(source_io(src, cases[i].op, cases[i].flags, cases[i].pos, buf,
				   cases[i].len), cases[i].status);
		good += !cases[i].status && cases[i].op <= XIO_FLUSH;
	}
	st = brick_status("mem");
	CHECK_EQ(st.val[MARS_V_FILE_READS] + st.val[MARS_V_FILE_WRITES] +
		 st.val[MARS_V_FILE_FLUSHES], good);
	source_destroy("src");
	end();
	free(buf);
}

/* --- guard rails --- */

static void misuse_is_caught(void)
{
	struct mars_brick *src, *hold;
	struct xio_request *rq;

	begin();
	brick_create("hold", "hold");
	hold = mars_brick_find("hold");
	brick_on("hold");
	src = source_create("src", "hold");
	rq = xio_alloc(&src->input[0], GFP_KERNEL);
	rq->op = XIO_FLUSH;
	nr_unwound = 0;

	test_expect_warns(1);
	xio_complete(rq, 0);		/* nobody submitted it */
	CHECK_EQ(nr_unwound, 0);

	xio_submit(rq, probe_end);
	test_expect_warns(1);
	xio_submit(rq, probe_end);	/* in flight */
	CHECK_EQ(hold_count(hold), 1);
	test_expect_warns(1);
	xio_free(rq);			/* in flight */

	hold_end(hold, 0);
	CHECK_EQ(nr_unwound, 1);
	test_expect_warns(1);
	xio_complete(rq, 0);		/* a second time */
	CHECK_EQ(nr_unwound, 1);
	xio_free(rq);
	source_destroy("src");
	end();
}

/* --- memory --- */

static void walks_against_flat_memory(void)
{
	enum { SIZE = 5000, MAX_VEC = 12 };
	unsigned char *flat = malloc(SIZE), *got = malloc(SIZE);
	char *mem = alloc_pages_exact(2 * SIZE, GFP_KERNEL);
	struct bio_vec vec[MAX_VEC];
	struct xio_request rq = { .vec = vec };
	int round, i;

	CHECK(flat && got && mem);
	srandom(test_seed());
	for (round = 0; round < 3000; round++) {
		size_t total = 0, off, len, j;
		u64 skip = random() % 100;

		/* Pieces of one buffer with gaps between; some of length 0. */
		rq.nr_vec = 1 + random() % MAX_VEC;
		for (i = 0; i < rq.nr_vec; i++) {
			size_t piece = random() % 3 ? random() % (SIZE / MAX_VEC) : 0;

			bvec_set_virt(&vec[i], mem + total * 2, piece);
			for (j = 0; j < piece; j++)
				flat[total + j] = mem[total * 2 + j] = random();
			total += piece;
		}
		if (total <= skip)
			continue;
		rq.skip = skip;
		off = random() % (total - skip);
		len = random() % (total - skip - off + 1);
		xio_copy_in(&rq, off, got, len);
		CHECK_MEM(got, flat + skip + off, len);

		for (j = 0; j < len; j++)
			got[j] = random();
		if (round % 3) {
			xio_copy_out(&rq, off, got, len);
			memcpy(flat + skip + off, got, len);
		} else {
			xio_zero_out(&rq, off, len);
			memset(flat + skip + off, 0, len);
		}
		rq.skip = 0;
		xio_copy_in(&rq, 0, got, total);
		CHECK_MEM(got, flat, total);
	}
	free_pages_exact(mem, 2 * SIZE);
	free(flat);
	free(got);
}

static void short_vector_is_reported(void)
{
	char mem[10], got[20];
	struct bio_vec vec;
	struct xio_request rq = { .vec = &vec, .nr_vec = 1 };

	bvec_set_virt(&vec, mem, sizeof(mem));
	memset(mem, 3, sizeof(mem));
	test_expect_warns(1);
	xio_copy_in(&rq, 4, got, 7);
	CHECK_MEM(got, "\3\3\3\3\3\3", 6);
}

int main(void)
{
	RUN(aspects_and_frames);
	RUN(frames_unwind_in_reverse);
	RUN(end_function_may_forward_again);
	RUN(missing_hop_is_enotconn);
	RUN(no_request_without_wire);
	RUN(malformed_is_einval);
	RUN(misuse_is_caught);
	RUN(walks_against_flat_memory);
	RUN(short_vector_is_reported);
	return test_done();
}
