// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file_sync_test.c - flushes of a file brick that come together, the first of which fails
 *
 * The system tells the loss of dirty pages once.  This fdatasync() stands in front of
 * the real one and does the same, at a moment that a real disk can't be made to choose.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/engine.h"
#include "source.h"
#include "test.h"

#define YIELDS	100000

static unsigned int syncs, punches;	/* atomic */
static sem_t entered, go;

static void hold_here(void)
{
	sem_post(&entered);
	while (sem_wait(&go))
		;
}

int fallocate(int fd, int mode, off_t pos, off_t len)
{
	if (!__atomic_fetch_add(&punches, 1, __ATOMIC_SEQ_CST))
		hold_here();
	return syscall(SYS_fallocate, fd, mode, pos, len);
}

int fdatasync(int fd)
{
	if (__atomic_fetch_add(&syncs, 1, __ATOMIC_SEQ_CST))
		return syscall(SYS_fdatasync, fd);
	hold_here();
	errno = EIO;
	return -1;
}

/* With more to do than one worker can, there is a second one from then on. */
static void busy_workers(struct mars_brick *src)
{
	struct source_io io[3];
	unsigned int i;

	source_start(src, &io[0], XIO_DISCARD, 0, 0, NULL, 4096);
	while (sem_wait(&entered))
		;
	source_start(src, &io[1], XIO_DISCARD, 0, 4096, NULL, 4096);
	source_start(src, &io[2], XIO_DISCARD, 0, 8192, NULL, 4096);
	sem_post(&go);
	for (i = 0; i < 3; i++)
		CHECK_EQ(source_wait(&io[i]), 0);
}

static void two_flushes(void)
{
	char path[] = "/tmp/mars-file-sync-XXXXXX";
	struct source_io first, second;
	struct mars_brick *src;
	int fd = mkstemp(path), i;

	CHECK(fd >= 0 && !ftruncate(fd, 65536));
	close(fd);
	sem_init(&entered, 0, 0);
	sem_init(&go, 0, 0);
	CHECK_EQ(mars_engine_init(EXEC_THREADED, 0, test_seed()), 0);
	source_register();
	brick_create("file", "file");
	brick_set_text("file", MARS_K_FILE_PATH, path);
	brick_on("file");
	src = source_create("src", "file");
	busy_workers(src);
	source_start(src, &first, XIO_FLUSH, 0, 0, NULL, 0);
	while (sem_wait(&entered))
		;
	source_start(src, &second, XIO_FLUSH, 0, 0, NULL, 0);
	for (i = 0; i < YIELDS && !source_done(&second); i++)
		sched_yield();		/* it gets every chance to be told a lie */
	sem_post(&go);
	CHECK_EQ(source_wait(&first), -EIO);
	CHECK_EQ(source_wait(&second), -EIO);
	CHECK_EQ(__atomic_load_n(&syncs, __ATOMIC_SEQ_CST), 1);
	source_destroy("src");
	brick_off("file");
	brick_destroy("file");
	CHECK_EQ(mars_engine_exit(), 0);
	CHECK_EQ(unlink(path), 0);
}

int main(void)
{
	RUN(two_flushes);
	return test_done();
}
