// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * source.c - an initiator of requests for tests of bricks
 *
 * In simulation waiting means stepping; otherwise it means sleeping until the end
 * function or the event hook wakes us.
 */
#include <pthread.h>

#include <linux/errno.h>
#include <linux/kernel.h>

#include "source.h"
#include "test.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool events;		/* lock */

static const struct mars_brick_type source_type = {
	.name = "source",
	.nr_inputs = 1,
	.input_name = { "disk" },
	.size = sizeof(struct mars_brick),
};

static void source_hook(void)
{
	pthread_mutex_lock(&lock);
	events = true;
	pthread_cond_broadcast(&wake);
	pthread_mutex_unlock(&lock);
}

void source_register(void)
{
	CHECK_EQ(mars_type_register(&source_type), 0);
	mars_event_hook = source_hook;
}

struct mars_brick *source_create(const char *name, const char *to)
{
	enum mars_reason reason;

	brick_create("source", name);
	CHECK_EQ(mars_brick_connect(name, 0, to, &reason), 0);
	brick_on(name);
	return mars_brick_find(name);
}

void source_destroy(const char *name)
{
	brick_off(name);
	brick_destroy(name);
}

static void source_end(struct xio_request *rq, struct xio_end *end)
{
	struct source_io *io = rq->private;
	int status = rq->status;

	xio_free(rq);
	pthread_mutex_lock(&lock);
	CHECK(!io->done);
	io->status = status;
	io->done = 1;
	pthread_cond_broadcast(&wake);
	pthread_mutex_unlock(&lock);
}

void source_submit(struct xio_request *rq)
{
	xio_submit(rq, source_end);
}

void source_start(struct mars_brick *source, struct source_io *io, enum xio_op op,
		  unsigned int flags, u64 pos, void *buf, u64 len)
{
	struct xio_request *rq = xio_alloc(&source->input[0], GFP_KERNEL);

	CHECK(rq);
	io->done = 0;
	rq->op = op;
	rq->flags = flags;
	rq->pos = pos;
	rq->len = len;
	rq->private = io;
	if (op <= XIO_WRITE) {
		bvec_set_virt(&io->vec[0], buf, len);
		rq->vec = io->vec;
		rq->nr_vec = 1;
	}
	xio_submit(rq, source_end);
}

bool source_done(struct source_io *io)
{
	bool done;

	pthread_mutex_lock(&lock);
	done = io->done;
	pthread_mutex_unlock(&lock);
	return done;
}

int source_wait(struct source_io *io)
{
	if (exec_current_mode() == EXEC_SIM) {
		while (!source_done(io))
			CHECK(exec_step());
		return io->status;
	}
	pthread_mutex_lock(&lock);
	while (!io->done)
		pthread_cond_wait(&wake, &lock);
	pthread_mutex_unlock(&lock);
	return io->status;
}

int source_io(struct mars_brick *source, enum xio_op op, unsigned int flags, u64 pos,
	      void *buf, u64 len)
{
	struct source_io io;

	source_start(source, &io, op, flags, pos, buf, len);
	return source_wait(&io);
}

/* Wait for something to happen after events_forget(). */
static void events_wait(void)
{
	if (exec_current_mode() == EXEC_SIM) {
		CHECK(exec_step());
		return;
	}
	pthread_mutex_lock(&lock);
	while (!events)
		pthread_cond_wait(&wake, &lock);
	pthread_mutex_unlock(&lock);
}

/* Take all events: only then the hook is called for the next. */
static void events_forget(void)
{
	struct mars_ctl_status st;

	pthread_mutex_lock(&lock);
	events = false;
	pthread_mutex_unlock(&lock);
	while (mars_event_next(&st))
		;
}

void source_wait_event(void)
{
	events_wait();
	events_forget();
}

void brick_create(const char *type, const char *name)
{
	enum mars_reason reason;

	CHECK_EQ(mars_brick_create(type, name, &reason), 0);
}

void brick_on(const char *name)
{
	enum mars_reason reason = MARS_R_NONE;
	int err = mars_brick_switch(name, true, &reason);

	if (err)
		test_fail(__FILE__, __LINE__, "switching %s on: %d, reason %d", name, err, reason);
}

void brick_off(const char *name)
{
	enum mars_reason reason = MARS_R_NONE;
	int err;

	/* requests on replaced routes may still have to pass */
	for (;;) {
		events_forget();
		err = mars_brick_switch(name, false, &reason);
		if (!err || reason != MARS_R_NOT_NOW)
			break;
		events_wait();
	}
	if (err)
		test_fail(__FILE__, __LINE__, "switching %s off: %d, reason %d", name, err, reason);
	brick_wait_off(name);
}

void brick_destroy(const char *name)
{
	enum mars_reason reason = MARS_R_NONE;
	int err;

	/* routes are released by work items */
	for (;;) {
		events_forget();
		err = mars_brick_destroy(name, &reason);
		if (!err || reason != MARS_R_BUSY_USERS)
			break;
		events_wait();
	}
	CHECK_EQ(err, 0);
}

void brick_set_text(const char *name, u32 key, const char *text)
{
	enum mars_reason reason;

	CHECK_EQ(mars_brick_set(name, key, 0, text, strlen(text), &reason), 0);
}

void brick_set_value(const char *name, u32 key, u64 value)
{
	enum mars_reason reason;

	CHECK_EQ(mars_brick_set(name, key, value, "", 0, &reason), 0);
}

struct mars_ctl_status brick_status(const char *name)
{
	enum mars_reason reason;
	struct mars_ctl_status st;

	CHECK_EQ(mars_brick_status(name, &st, &reason), 0);
	return st;
}

void brick_wait_off(const char *name)
{
	for (;;) {
		events_forget();
		if (brick_status(name).led_off)
			break;
		events_wait();
	}
}
