// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nbd_serve.c - serve a disk over NBD, for tests with foreign clients
 *
 *	nbd_serve SOCKET EXPORT mem SIZE
 *	nbd_serve SOCKET EXPORT file PATH [FLAGS]
 *	nbd_serve SOCKET EXPORT logger DATA LOG SIZE		DATA, LOG: files; made if missing
 *
 * Prints "ready" when the socket accepts clients.  SIGTERM or SIGINT: wait until
 * the last client has left, go off, and leave with 0.
 */
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/brick.h"
#include "engine/engine.h"

static sem_t event;

static void check(int err, const char *what, enum mars_reason reason)
{
	if (!err)
		return;
	fprintf(stderr, "nbd_serve: %s: error %d, reason %d\n", what, err, reason);
	exit(1);
}

static void create(const char *type, const char *name)
{
	enum mars_reason reason = MARS_R_NONE;
	int err = mars_brick_create(type, name, &reason);

	check(err, name, reason);
}

static void set(const char *name, u32 key, u64 value, const char *text, size_t len)
{
	enum mars_reason reason = MARS_R_NONE;
	int err = mars_brick_set(name, key, value, text, len, &reason);

	check(err, name, reason);
}

static void wire(const char *name, unsigned int input, const char *to)
{
	enum mars_reason reason = MARS_R_NONE;
	int err = mars_brick_connect(name, input, to, &reason);

	check(err, name, reason);
}

static void happened(void)
{
	sem_post(&event);
}

/* Wait until something happens behind the last call. */
static void wait_event(void)
{
	struct mars_ctl_status st;

	while (sem_wait(&event))
		;
	while (mars_event_next(&st))
		;
}

/* Press the button and wait for the light. */
static void on(const char *name)
{
	struct mars_ctl_status st;
	enum mars_reason reason = MARS_R_NONE;
	int err = mars_brick_switch(name, true, &reason);

	check(err, name, reason);
	for (;;) {
		check(mars_brick_status(name, &st, &reason), name, reason);
		if (st.led_on)
			return;
		wait_event();
	}
}

static void file(const char *name, const char *path, u64 flags, u64 size)
{
	create("file", name);
	set(name, MARS_K_FILE_PATH, 0, path, strlen(path));
	set(name, MARS_K_FILE_FLAGS, flags, "", 0);
	if (size)
		set(name, MARS_K_FILE_SIZE, size, "", 0);
	on(name);
}

static void logger(const char *data, const char *log, u64 size)
{
	struct mars_log_ident ident = {
		.cluster = { 1 }, .resource = { 2 }, .salt = { 3 },
		.number = 1, .timeline = 1, .origin = "local",
	};

	file("data", data, MARS_FILE_CREATE | MARS_FILE_EXCL, size);
	file("log", log, MARS_FILE_CREATE | MARS_FILE_APPEND | MARS_FILE_DIRECT, 0);
	create("logger", "disk");
	wire("disk", 0, "data");
	wire("disk", 1, "log");
	set("disk", MARS_K_LOGGER_IDENT, 0, (const char *)&ident, sizeof(ident));
	on("disk");
}

int main(int argc, char **argv)
{
	enum mars_reason reason = MARS_R_NONE;
	sigset_t signals;
	int sig, err;

	if (argc < 5) {
		fprintf(stderr, "usage: see the head of nbd_serve.c\n");
		return 2;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	sem_init(&event, 0, 0);
	mars_event_hook = happened;
	check(mars_engine_init(EXEC_THREADED, 0, 1), "engine", MARS_R_NONE);
	if (!strcmp(argv[3], "mem")) {
		create("mem", "disk");
		set("disk", MARS_K_MEM_SIZE, strtoull(argv[4], NULL, 0), "", 0);
		on("disk");
	} else if (!strcmp(argv[3], "file")) {
		file("disk", argv[4], argc > 5 ? strtoull(argv[5], NULL, 0) : 0, 0);
	} else if (!strcmp(argv[3], "logger") && argc == 7) {
		logger(argv[4], argv[5], strtoull(argv[6], NULL, 0));
	} else {
		fprintf(stderr, "nbd_serve: unknown disk %s\n", argv[3]);
		return 2;
	}
	create("nbd", "nbd");
	wire("nbd", 0, "disk");
	set("nbd", MARS_K_NBD_SOCKET, 0, argv[1], strlen(argv[1]));
	set("nbd", MARS_K_NBD_EXPORT, 0, argv[2], strlen(argv[2]));
	on("nbd");
	printf("ready\n");
	fflush(stdout);

	sigwait(&signals, &sig);
	while ((err = mars_brick_switch("nbd", false, &reason)) && reason == MARS_R_OPEN)
		wait_event();
	check(err, "switching off", reason);
	return mars_engine_exit() ? 1 : 0;
}
