// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rewire_test.c - rewiring under load, with threads
 *
 * Writers keep requests flowing through source -> top tap -> low tap -> disk while
 * one thread flips the lowest wire between two disks and puts check and limit bricks
 * into wires and takes them out again.  Every request must end once and well, no
 * frame or aspect may be mixed up (the taps look), and at the end every route and
 * every brick must be released.
 */
#include <pthread.h>

#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/kernel.h>

#include "engine/engine.h"
#include "source.h"
#include "test.h"
#include "testbricks.h"

#define WRITERS		3
#define FLIPS		3000
#define IO_SIZE		512
#define AREA		(1 << 20)

static atomic_t stop;
static atomic64_t submitted, completed, failed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

/* One request of a writer at a time, each writer in its own stripe. */
struct writer {
	pthread_t thread;
	struct mars_brick *src;
	unsigned int nr;
	bool busy;			/* lock */
	struct bio_vec vec;
	char buf[IO_SIZE];
};

static void load_end(struct xio_request *rq, struct xio_end *end)
{
	struct writer *w = rq->private;

	if (rq->status)
		atomic64_inc(&failed);
	xio_free(rq);
	atomic64_inc(&completed);
	pthread_mutex_lock(&lock);
	CHECK(w->busy);			/* a second end would find it idle or hit another */
	w->busy = false;
	pthread_cond_broadcast(&wake);
	pthread_mutex_unlock(&lock);
}

static void load_one(struct writer *w, unsigned int *seed)
{
	struct xio_request *rq = xio_alloc(&w->src->input[0], GFP_KERNEL);
	u64 slot = rand_r(seed) % (AREA / IO_SIZE / WRITERS);

	CHECK(rq);
	rq->op = rand_r(seed) % 3 ? XIO_WRITE : XIO_READ;
	/* The taps branch by pos % 4096: keep it off 0..2, so input 0 is taken. */
	rq->pos = (slot * WRITERS + w->nr) * IO_SIZE;
	rq->len = IO_SIZE;
	bvec_set_virt(&w->vec, w->buf, IO_SIZE);
	rq->vec = &w->vec;
	rq->nr_vec = 1;
	rq->private = w;
	atomic64_inc(&submitted);
	pthread_mutex_lock(&lock);
	w->busy = true;
	pthread_mutex_unlock(&lock);
	xio_submit(rq, load_end);
	pthread_mutex_lock(&lock);
	while (w->busy)
		pthread_cond_wait(&wake, &lock);
	pthread_mutex_unlock(&lock);
}

static void *writer_thread(void *arg)
{
	struct writer *w = arg;
	unsigned int seed = test_seed() + w->nr;

	while (!atomic_read(&stop))
		load_one(w, &seed);
	return NULL;
}

static enum mars_reason reason;

static void connect(const char *name, const char *to)
{
	int err = mars_brick_connect(name, 0, to, &reason);

	if (err)
		test_fail(__FILE__, __LINE__, "connect %s to %s: %d, reason %d", name, to, err,
			  reason);
}

static void create_disk(const char *name)
{
	brick_create("mem", name);
	brick_set_value(name, MARS_K_MEM_SIZE, AREA);
	brick_on(name);
}

static void check_is_clean(const char *name)
{
	struct mars_ctl_status st = brick_status(name);
	int i;

	CHECK_EQ(st.val[MARS_V_CHECK_IN_FLIGHT], 0);
	for (i = MARS_V_CHECK_TWICE; i <= MARS_V_CHECK_VEC; i++)
		CHECK_EQ(st.val[i], 0);
}

/* Put a brick of @type into the wire from @upper, later take it out and destroy it. */
static void insert(const char *type, const char *upper, const char *lower)
{
	brick_create(type, "guest");
	connect("guest", lower);
	brick_on("guest");
	connect(upper, "guest");
}

static void take_out(const char *upper, const char *lower)
{
	connect(upper, lower);
	brick_off("guest");		/* waits until requests on old routes have passed */
	if (!strcmp(brick_status("guest").type, "check"))
		check_is_clean("guest");
	brick_destroy("guest");		/* waits for the last route */
}

static void flip(int round)
{
	static const char *const disks[] = { "disk0", "disk1" };
	const char *disk = disks[round % 2];

	connect("low", disk);
	switch (round % 5) {
	case 0:
		insert("check", "low", disk);
		if (round % 3 == 0)
			brick_set_value("guest", MARS_K_CHECK_DELAY, 50);
		connect("guest", disks[(round + 1) % 2]);
		take_out("low", disk);
		break;
	case 1:
		insert("limit", "top", "low");
		brick_set_value("guest", MARS_K_LIMIT_OPS, 100000);
		take_out("top", "low");
		break;
	case 2:
		insert("tap", "src", "top");
		connect("low", disks[(round + 1) % 2]);
		take_out("src", "top");
		break;
	}
}

static void rewiring_under_load(void)
{
	struct writer writer[WRITERS];
	struct mars_ctl_status st;
	struct mars_brick *src;
	int i;

	atomic_set(&stop, 0);
	CHECK_EQ(mars_engine_init(EXEC_THREADED, 0, test_seed()), 0);
	source_register();
	testbricks_register();
	create_disk("disk0");
	create_disk("disk1");
	brick_create("tap", "low");
	connect("low", "disk0");
	brick_on("low");
	brick_create("tap", "top");
	connect("top", "low");
	brick_on("top");
	src = source_create("src", "top");
	memset(writer, 0, sizeof(writer));
	for (i = 0; i < WRITERS; i++) {
		writer[i].src = src;
		writer[i].nr = i;
		CHECK_EQ(pthread_create(&writer[i].thread, NULL, writer_thread, &writer[i]), 0);
	}
	for (i = 0; i < FLIPS; i++)
		flip(i);
	atomic_set(&stop, 1);
	for (i = 0; i < WRITERS; i++)
		CHECK_EQ(pthread_join(writer[i].thread, NULL), 0);
	CHECK_EQ(atomic64_read(&submitted), atomic64_read(&completed));
	CHECK_EQ(atomic64_read(&failed), 0);
	CHECK(atomic64_read(&completed) > FLIPS / 10);
	st = brick_status("disk0");
	CHECK(st.val[MARS_V_FILE_WRITES] && st.val[MARS_V_FILE_READS]);
	st = brick_status("disk1");
	CHECK(st.val[MARS_V_FILE_WRITES] && st.val[MARS_V_FILE_READS]);

	source_destroy("src");
	brick_off("top");
	brick_off("low");
	brick_destroy("top");
	brick_destroy("low");
	brick_off("disk0");
	brick_off("disk1");
	brick_destroy("disk0");
	brick_destroy("disk1");
	mars_engine_exit();
	CHECK_EQ(exec_live_allocs(), 0);
	printf("%llu requests during %d flips\n",
	       (unsigned long long)atomic64_read(&completed), FLIPS);
}

int main(void)
{
	RUN(rewiring_under_load);
	return test_done();
}
