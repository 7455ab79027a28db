// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_thread_test.c - the logger under real threads
 *
 * Several threads write, read and flush, each in its own part of the device and with
 * several requests in flight, and know what they must read; meanwhile the main thread
 * rotates logs and asks for checkpoints.  At the end everything is switched off and the
 * data disk is compared byte by byte.  Over RAM disks (everything ends inside submit),
 * simulated disks (random order and delay) and files.
 */
#include <pthread.h>
#include <unistd.h>

#include <linux/errno.h>
#include <linux/kernel.h>

#include "../bricks/faulty.h"
#include "bricks/logger.h"
#include "engine/engine.h"
#include "source.h"
#include "test.h"

#define NR_THREADS	4
#define PART		(2u << 20)
#define DEVICE		(NR_THREADS * PART)
#define DEPTH		8
#define LOG_SIZE	(256u << 20)
#ifdef __SANITIZE_THREAD__
#define OPS		800
#else
#define OPS		4000
#endif

struct worker {
	pthread_t thread;
	struct mars_brick *src;
	u64 base, random;
	unsigned int ops;
	u8 *model;
	u8 *buf[DEPTH];
	struct source_io io[DEPTH];
	struct {
		bool busy;
		u8 op;
		u64 pos, len;
	} op[DEPTH];
};

static const char *kind;	/* brick type below the logger */
static char folder[48];

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
static bool event;		/* lock: something happened */
static int running;		/* lock: workers */
static void (*next_hook)(void);

static void hook(void)
{
	next_hook();
	pthread_mutex_lock(&lock);
	event = true;
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&lock);
}

/* Wait until something happened since the last call; false: all workers are done. */
static bool wait_event(void)
{
	struct mars_ctl_status st;
	bool more;

	while (mars_event_next(&st))
		;
	pthread_mutex_lock(&lock);
	while (!event && running)
		pthread_cond_wait(&wake, &lock);
	event = false;
	more = running;
	pthread_mutex_unlock(&lock);
	return more;
}

static u64 next_random(struct worker *w, u64 below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (w->random >> 11) % below;
}

static void finish(struct worker *w, unsigned int i)
{
	CHECK_EQ(source_wait(&w->io[i]), 0);
	if (w->op[i].op == XIO_READ)
		CHECK_MEM(w->buf[i], w->model + w->op[i].pos, w->op[i].len);
	w->op[i].busy = false;
}

static void one_op(struct worker *w, unsigned int n)
{
	unsigned int slot = n % DEPTH, i, choice = next_random(w, 100);
	u64 len = 512 * (1 + next_random(w, choice % 10 ? 16 : 200));
	u64 pos = 512 * next_random(w, (PART - len) / 512 + 1);
	enum xio_op op = choice < 60 ? XIO_WRITE : choice < 85 ? XIO_READ : choice < 92 ?
			 XIO_FLUSH : choice < 96 ? XIO_DISCARD : XIO_WRITE_ZEROES;

	if (w->op[slot].busy)
		finish(w, slot);
	if (op == XIO_FLUSH)
		pos = len = 0;
	for (i = 0; i < DEPTH; i++)
		if (w->op[i].busy && w->op[i].pos < pos + len &&
		    pos < w->op[i].pos + w->op[i].len)
			finish(w, i);
	w->op[slot].busy = true;
	w->op[slot].op = op;
	w->op[slot].pos = pos;
	w->op[slot].len = len;
	if (op == XIO_WRITE) {
		for (i = 0; i < len; i += 8) {
			u64 t = (u64)n << 32 | (w->base + pos + i);

			memcpy(w->buf[slot] + i, &t, 8);
		}
		memcpy(w->model + pos, w->buf[slot], len);
	} else if (op == XIO_DISCARD || op == XIO_WRITE_ZEROES) {
		memset(w->model + pos, 0, len);
	}
	source_start(w->src, &w->io[slot], op, op == XIO_WRITE && choice < 5 ? XIO_FUA : 0,
		     op == XIO_FLUSH ? 0 : w->base + pos, w->buf[slot], len);
}

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned int n;

	for (n = 1; n <= w->ops; n++)
		one_op(w, n);
	for (n = 0; n < DEPTH; n++)
		if (w->op[n].busy)
			finish(w, n);
	pthread_mutex_lock(&lock);
	running--;
	pthread_cond_signal(&wake);
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* A brick of the kind under test. */
static void make_disk(const char *name, u64 size, bool log)
{
	if (!strcmp(kind, "faulty")) {
		struct faulty_config config = { .max_delay_us = 200 };
		struct faulty_image *image = faulty_image_new(log ? 0 : size, size);

		CHECK(faulty_create(name, image, &config));
		faulty_image_free(image);
	} else if (!strcmp(kind, "file")) {
		char path[128];

		sprintf(path, "%s/%s", folder, name);
		brick_create("file", name);
		brick_set_text(name, MARS_K_FILE_PATH, path);
		brick_set_value(name, MARS_K_FILE_FLAGS, MARS_FILE_CREATE |
				(log ? MARS_FILE_APPEND | MARS_FILE_DIRECT : MARS_FILE_EXCL));
		if (!log)
			brick_set_value(name, MARS_K_FILE_SIZE, size);
	} else {
		brick_create("mem", name);
		brick_set_value(name, MARS_K_MEM_SIZE, size);
	}
	brick_on(name);
}

static void ident(struct mars_log_ident *id, u64 number)
{
	memset(id, 0, sizeof(*id));
	memset(id->salt, number, sizeof(id->salt));
	id->number = number;
	strcpy(id->origin, "hosta");
}

static u64 val(unsigned int nr)
{
	return brick_status("lg").val[nr];
}

static void rotate(unsigned int number)
{
	struct mars_log_ident id;
	enum mars_reason reason;
	char name[32];

	sprintf(name, "log-%u", number);
	make_disk(name, LOG_SIZE, true);
	ident(&id, number);
	CHECK_EQ(mars_brick_connect("lg", 2 - number % 2, name, &reason), 0);
	CHECK_EQ(mars_brick_set("lg", MARS_K_LOGGER_ROTATE, 2 - number % 2, (char *)&id, sizeof(id),
				&reason), 0);
}

static void start_logger(void)
{
	struct mars_log_ident id;
	enum mars_reason reason;

	make_disk("data", DEVICE, false);
	make_disk("log-1", LOG_SIZE, true);
	brick_create("logger", "lg");
	ident(&id, 1);
	CHECK_EQ(mars_brick_set("lg", MARS_K_LOGGER_IDENT, 0, (char *)&id, sizeof(id), &reason), 0);
	brick_set_value("lg", MARS_K_LOGGER_SEGMENT, LG_SEGMENT_MIN);
	brick_set_value("lg", MARS_K_LOGGER_CREDITS, LG_RESERVE);
	CHECK_EQ(mars_brick_connect("lg", 0, "data", &reason), 0);
	CHECK_EQ(mars_brick_connect("lg", 1, "log-1", &reason), 0);
	brick_on("lg");
	while (!brick_status("lg").led_on)
		wait_event();
}

static void run(const char *type, unsigned int ops)
{
	struct worker w[NR_THREADS] = { 0 };
	unsigned int i, k, number = 1;
	u8 *disk = malloc(DEVICE);
	struct mars_brick *src;

	kind = type;
	CHECK_EQ(mars_engine_init(EXEC_THREADED, 2, test_seed()), 0);
	source_register();
	next_hook = mars_event_hook;
	mars_event_hook = hook;
	running = NR_THREADS;
	start_logger();
	for (i = 0; i < NR_THREADS; i++) {
		char name[16];

		sprintf(name, "src-%u", i);
		w[i].src = source_create(name, "lg");
		w[i].base = i * PART;
		w[i].random = test_seed() * 7919 + i + 1;
		w[i].ops = ops;
		w[i].model = calloc(1, PART);
		for (k = 0; k < DEPTH; k++)
			w[i].buf[k] = aligned_alloc(4096, 512 * 512);
		CHECK_EQ(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	do {
		if (val(MARS_V_LOGGER_NUMBER) == number && !val(MARS_V_LOGGER_OLD_SLOT) &&
		    number < 20)
			rotate(++number);
		brick_set_value("lg", MARS_K_LOGGER_CHECKPOINT, 0);
	} while (wait_event());
	for (i = 0; i < NR_THREADS; i++) {
		char name[16];

		pthread_join(w[i].thread, NULL);
		sprintf(name, "src-%u", i);
		source_destroy(name);
	}
	brick_off("lg");
	CHECK_EQ(val(MARS_V_LOGGER_DIRTY), 0);
	/* the last rotation may have been abandoned */
	CHECK(val(MARS_V_LOGGER_NUMBER) + 1 >= number);
	CHECK(number > 1);
	src = source_create("direct", "data");
	for (i = 0; i < DEVICE; i += XIO_MAX_IO)
		CHECK_EQ(source_io(src, XIO_READ, 0, i, disk + i, XIO_MAX_IO), 0);
	for (i = 0; i < NR_THREADS; i++)
		CHECK_MEM(disk + i * PART, w[i].model, PART);
	CHECK_EQ(mars_engine_exit(), 0);
	for (i = 0; i < NR_THREADS; i++) {
		free(w[i].model);
		for (k = 0; k < DEPTH; k++)
			free(w[i].buf[k]);
	}
	free(disk);
}

static void over_ram(void)
{
	run("mem", OPS);
}

static void over_simulated_disks(void)
{
	run("faulty", OPS);
}

static void over_files(void)
{
	char cmd[128];

	sprintf(folder, "/tmp/mars-logger-test-%d", getpid());
	sprintf(cmd, "rm -rf %s && mkdir %s", folder, folder);
	CHECK_EQ(system(cmd), 0);
	run("file", OPS);
	sprintf(cmd, "rm -rf %s", folder);
	CHECK_EQ(system(cmd), 0);
}

int main(void)
{
	RUN(over_ram);
	RUN(over_simulated_disks);
	RUN(over_files);
	return test_done();
}
