// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * faulty_test.c - the simulated disk keeps exactly the promises of a disk
 *
 * Runs in simulation.  The disk is held against a model that knows, byte by byte,
 * which values a crash may leave behind.
 */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "bricks/faulty.h"
#include "engine/engine.h"
#include "source.h"
#include "test.h"

#define SIZE	(32U << 10)
#define SECTOR	512U

static void begin(u64 seed)
{
	CHECK_EQ(mars_engine_init(EXEC_SIM, 0, seed), 0);
	source_register();
}

static struct mars_brick *disk_start(struct faulty_image *image, const struct faulty_config *config)
{
	struct mars_brick *disk = faulty_create("disk", image, config);

	CHECK(disk);
	faulty_image_free(image);
	brick_on("disk");
	return disk;
}

static void end(void)
{
	source_destroy("src");
	brick_off("disk");
	brick_destroy("disk");
	exec_drain();
	mars_engine_exit();
}

static void fill(u8 *buf, u64 len, u8 value)
{
	memset(buf, value, len);
}

/* What is not flushed may vanish, what is flushed may not. */
static void flush_and_fua(void)
{
	static u8 buf[SECTOR * 2];
	struct mars_brick *disk, *src;
	struct faulty_image *image;

	begin(test_seed());
	disk = disk_start(faulty_image_new(SIZE, 0), NULL);
	src = source_create("src", "disk");

	fill(buf, sizeof(buf), 1);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 0, buf, sizeof(buf)), 0);
	CHECK_EQ(faulty_volatile(disk), 2);
	image = faulty_crash(disk, faulty_choose_none, NULL);
	CHECK_EQ(image->data[0], 0);
	faulty_image_free(image);
	image = faulty_crash(disk, faulty_choose_mask, &(u64){ 2 });
	CHECK_EQ(image->data[0], 0);
	CHECK_EQ(image->data[SECTOR], 1);
	faulty_image_free(image);

	CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
	CHECK_EQ(faulty_volatile(disk), 0);
	fill(buf, sizeof(buf), 2);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 256, buf, SECTOR), 0);
	fill(buf, sizeof(buf), 3);
	CHECK_EQ(source_io(src, XIO_WRITE, XIO_FUA, SECTOR, buf, SECTOR), 0);
	/* the cached 2s under the durable 3s must not come back */
	image = faulty_crash(disk, faulty_choose_all, NULL);
	CHECK_EQ(image->data[255], 1);
	CHECK_EQ(image->data[256], 2);
	CHECK_EQ(image->data[SECTOR], 3);
	CHECK_EQ(image->data[SECTOR + 255], 3);
	CHECK_EQ(image->data[2 * SECTOR - 1], 3);
	faulty_image_free(image);

	CHECK_EQ(source_io(src, XIO_DISCARD, 0, 0, NULL, SIZE), 0);
	CHECK_EQ(source_io(src, XIO_READ, 0, 0, buf, sizeof(buf)), 0);
	CHECK_EQ(buf[SECTOR], 0);
	image = faulty_crash(disk, faulty_choose_none, NULL);
	CHECK_EQ(image->data[SECTOR], 3);
	faulty_image_free(image);
	end();
}

/* A flush in flight covers what was complete before it came, and no more. */
static void flush_covers_the_past(void)
{
	static u8 one[SECTOR], two[SECTOR];
	struct faulty_config config = { .in_order = true };
	struct source_io write, flush;
	struct mars_brick *disk, *src;
	struct faulty_image *image;

	begin(test_seed());
	disk = disk_start(faulty_image_new(SIZE, 0), &config);
	src = source_create("src", "disk");
	fill(one, SECTOR, 1);
	fill(two, SECTOR, 2);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 0, one, SECTOR), 0);
	source_start(src, &write, XIO_WRITE, 0, SECTOR, two, SECTOR);
	source_start(src, &flush, XIO_FLUSH, 0, 0, NULL, 0);
	CHECK_EQ(source_wait(&write), 0);
	CHECK_EQ(source_wait(&flush), 0);
	image = faulty_crash(disk, faulty_choose_none, NULL);
	CHECK_EQ(image->data[0], 1);
	CHECK_EQ(image->data[SECTOR], 0);
	faulty_image_free(image);
	end();
}

static void growth(void)
{
	static u8 buf[8192];
	struct mars_brick *disk, *src;
	struct faulty_image *image;

	begin(test_seed());
	disk = disk_start(faulty_image_new(0, SIZE), NULL);
	src = source_create("src", "disk");
	CHECK_EQ(source_io(src, XIO_WRITE_ZEROES, XIO_NOUNMAP, 0, NULL, 16384), 0);
	CHECK_EQ(faulty_size(disk), 16384);
	CHECK_EQ(faulty_volatile(disk), 1);
	image = faulty_crash(disk, faulty_choose_none, NULL);
	CHECK_EQ(image->size, 0);
	faulty_image_free(image);
	image = faulty_crash(disk, faulty_choose_all, NULL);
	CHECK_EQ(image->size, 16384);
	faulty_image_free(image);
	/* a durable sector keeps the disk as large as it needs */
	fill(buf, sizeof(buf), 7);
	CHECK_EQ(source_io(src, XIO_WRITE, XIO_FUA, 4096, buf, 4096), 0);
	image = faulty_crash(disk, faulty_choose_none, NULL);
	CHECK_EQ(image->size, 8192);
	CHECK_EQ(image->data[8191], 7);
	faulty_image_free(image);
	CHECK_EQ(source_io(src, XIO_WRITE_ZEROES, XIO_NOUNMAP, 16384, NULL, SIZE), -ENOSPC);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, SIZE - 4096, buf, 8192), -ENOSPC);
	/* behind its end it reads as zeros */
	CHECK_EQ(source_io(src, XIO_READ, 0, 16384 - 4096, buf, 8192), 0);
	CHECK_EQ(buf[8191], 0);
	faulty_set_capacity(disk, 16384);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 16384, buf, 512), -ENOSPC);
	end();
}

static void scripted_errors(void)
{
	static u8 buf[4096];
	struct mars_brick *disk, *src;

	begin(test_seed());
	disk = disk_start(faulty_image_new(SIZE, 0), NULL);
	src = source_create("src", "disk");
	faulty_fail_nth(disk, FAULTY_OP(XIO_WRITE), 1, 2, -EIO);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 0, buf, 4096), 0);
	CHECK_EQ(source_io(src, XIO_READ, 0, 0, buf, 4096), 0);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 0, buf, 4096), -EIO);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 0, buf, 4096), -EIO);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, 0, buf, 4096), 0);
	CHECK_EQ(faulty_fail_range(disk, FAULTY_ALL, 8192, 512, -EREMOTEIO), 0);
	CHECK_EQ(source_io(src, XIO_READ, 0, 4096, buf, 4096), 0);
	CHECK_EQ(source_io(src, XIO_READ, 0, 8192 + 511, buf, 4096), -EREMOTEIO);
	faulty_heal(disk);
	CHECK_EQ(source_io(src, XIO_READ, 0, 8192, buf, 4096), 0);
	CHECK_EQ(source_io(src, XIO_READ, 0, SIZE - 512, buf, 4096), -EIO);
	CHECK_EQ(source_io(src, XIO_WRITE, 0, SIZE - 512, buf, 4096), -ENOSPC);
	end();
}

/* The fuse stops several disks at one moment, at each possible count. */
static void fuse(void)
{
	static u8 buf[4][SECTOR];
	long k;

	for (k = 0; k <= 8; k++) {
		struct faulty_fuse fuse = { .left = k };
		struct faulty_config config = { .fuse = &fuse, .max_delay_us = 100 };
		struct faulty_image *image = faulty_image_new(SIZE, 0);
		struct mars_brick *disk, *other, *src, *src2;
		struct source_io io[8];
		unsigned int i, done = 0;

		begin(test_seed() + k);
		other = faulty_create("other", image, &config);
		CHECK(other);
		brick_on("other");
		disk = disk_start(image, &config);
		src = source_create("src", "disk");
		src2 = source_create("src2", "other");
		for (i = 0; i < 4; i++) {
			fill(buf[i], SECTOR, i + 1);
			source_start(src, &io[i], XIO_WRITE, 0, i * SECTOR, buf[i], SECTOR);
			source_start(src2, &io[4 + i], XIO_WRITE, 0, i * SECTOR, buf[i], SECTOR);
		}
		exec_drain();
		for (i = 0; i < 8; i++)
			done += source_done(&io[i]);
		CHECK_EQ(done, k);
		CHECK_EQ(faulty_executed(disk) + faulty_executed(other), k);
		CHECK_EQ(faulty_in_flight(disk) + faulty_in_flight(other), 8 - k);
		CHECK_EQ(faulty_frozen(disk), k < 8);
		CHECK_EQ(faulty_volatile(disk), 4);
		faulty_kill(disk);
		faulty_kill(other);
		for (i = 0; i < 8; i++)
			CHECK(source_wait(&io[i]) == 0 || source_wait(&io[i]) == -EIO);
		source_destroy("src2");
		brick_off("other");
		brick_destroy("other");
		end();
	}
}

/*
 * The model: for each byte the durable value and all values since.  After a crash
 * a byte must hold one of them, the same choice for a whole sector write.
 */
struct model {
	u8 now[SIZE / SECTOR];			/* each write fills whole sectors */
	u8 may[SIZE / SECTOR][256];		/* values a crash may leave */
};

static void model_durable(struct model *m, unsigned int sector)
{
	memset(m->may[sector], 0, sizeof(m->may[sector]));
	m->may[sector][m->now[sector]] = 1;
}

static void model_write(struct model *m, u64 pos, u64 len, u8 value, bool fua)
{
	u64 i;

	for (i = pos / SECTOR; i < (pos + len) / SECTOR; i++) {
		m->now[i] = value;
		m->may[i][value] = 1;
		if (fua)
			model_durable(m, i);
	}
}

static void model_check(const struct model *m, const struct faulty_image *image)
{
	u64 i, j;

	for (i = 0; i < SIZE / SECTOR; i++) {
		const u8 *p = image->data + i * SECTOR;

		CHECK(m->may[i][p[0]]);
		for (j = 1; j < SECTOR; j++)
			CHECK_EQ(p[j], p[0]);
	}
}

static void random_crashes(void)
{
	static struct model model;
	static u8 buf[SIZE];
	struct faulty_image *image = faulty_image_new(SIZE, 0);
	struct mars_brick *disk, *src;
	unsigned int round, i, op;

	begin(test_seed());
	memset(&model, 0, sizeof(model));
	for (i = 0; i < SIZE / SECTOR; i++)
		model_durable(&model, i);
	for (round = 0; round < 60; round++) {
		struct faulty_config config = { .max_delay_us = 50 };

		disk = disk_start(image, &config);
		src = source_create("src", "disk");
		for (op = exec_random(20); op; op--) {
			u64 pos = exec_random(SIZE / SECTOR) * SECTOR;
			u64 len = (1 + exec_random((SIZE - pos) / SECTOR)) * SECTOR;
			bool fua = !exec_random(4);
			u8 value = exec_random(256);

			switch (exec_random(5)) {
			case 0:
				CHECK_EQ(source_io(src, XIO_FLUSH, 0, 0, NULL, 0), 0);
				for (i = 0; i < SIZE / SECTOR; i++)
					model_durable(&model, i);
				break;
			case 1:
				CHECK_EQ(source_io(src, XIO_DISCARD, fua ? XIO_FUA : 0,
						   pos, NULL, len), 0);
				model_write(&model, pos, len, 0, fua);
				break;
			case 2:
				CHECK_EQ(source_io(src, XIO_READ, 0, pos, buf, len), 0);
				for (i = 0; i < len; i++)
					CHECK_EQ(buf[i], model.now[(pos + i) / SECTOR]);
				break;
			default:
				fill(buf, len, value);
				CHECK_EQ(source_io(src, XIO_WRITE, fua ? XIO_FUA : 0,
						   pos, buf, len), 0);
				model_write(&model, pos, len, value, fua);
				break;
			}
		}
		image = faulty_crash(disk, faulty_choose_random, NULL);
		CHECK(image);
		model_check(&model, image);
		for (i = 0; i < SIZE / SECTOR; i++) {
			model.now[i] = image->data[i * SECTOR];
			model_durable(&model, i);
		}
		source_destroy("src");
		brick_off("disk");
		brick_destroy("disk");
	}
	faulty_image_free(image);
	exec_drain();
	mars_engine_exit();
}

int main(void)
{
	RUN(flush_and_fua);
	RUN(flush_covers_the_past);
	RUN(growth);
	RUN(scripted_errors);
	RUN(fuse);
	RUN(random_crashes);
	return test_done();
}
