// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crash_replay.c - recover crashes with the replay brick, and crash it too
 *
 * Recovery as a node does it: each log of the chain that has a good header, from the
 * published position on, up to the end a scan has found, the next from its start.
 * Half of the times the brick finds the end by itself.  Both disks are on one fuse:
 * when it blows, the data disk keeps a random part of what is on its way, and recovery
 * begins again at a position published before.  The end is always the same disk (I7).
 */
#include <linux/kernel.h>

#include "crash_bed.h"

#define FUSES_ALL	8	/* one case in so many is crashed after every request */

struct recovery {
	struct crash_bed *b;
	const struct crash_case *kase;
	struct faulty_fuse fuse;
	struct crash_pos from, reached;
	u8 *disk;
};

static bool choose_random(void *ctx, unsigned int nr, const struct faulty_unit *unit)
{
	return crash_random(ctx, 2);
}

static struct mars_brick *disk_of(struct recovery *r, const char *name, const u8 *from, u64 len)
{
	struct faulty_config config = { .max_delay_us = 500, .fuse = &r->fuse };
	struct faulty_image *image = faulty_image_new(len, len);
	struct mars_brick *disk;

	CHECK(image);
	memcpy(image->data, from, len);
	disk = faulty_create(name, image, &config);
	CHECK(disk);
	faulty_image_free(image);
	brick_on(name);
	return disk;
}

bool crash_replay_stopped(void)
{
	u8 state = brick_status("replay").state;

	return state == MARS_S_REPLAY_END || state == MARS_S_REPLAY_CLEAN ||
	       state == MARS_S_REPLAY_TORN;
}

void crash_replay_begin(struct crash_bed *b, const struct crash_case *c, unsigned int k, u64 pos)
{
	bool find_end = crash_random(&b->rnd, 2);
	enum mars_reason reason;
	struct mars_log_ident id;

	crash_ident(b, &id, k);
	brick_create("replay", "replay");
	CHECK_EQ(mars_brick_connect("replay", 0, "data", &reason), 0);
	CHECK_EQ(mars_brick_connect("replay", 1, "log", &reason), 0);
	CHECK_EQ(mars_brick_set("replay", MARS_K_REPLAY_IDENT, 0, (char *)&id, sizeof(id), &reason),
		 0);
	brick_set_value("replay", MARS_K_REPLAY_START, pos);
	brick_set_value("replay", MARS_K_REPLAY_END, find_end ? ~0ull : c->scan.end[k]);
	brick_on("replay");
}

void crash_replay_end(void)
{
	brick_off("replay");
	brick_destroy("replay");
	brick_off("log");
	brick_destroy("log");
}

/* Apply log number @k + 1 from @pos on; what is published moves r->reached. */
static void replay_log(struct recovery *r, unsigned int k, u64 pos)
{
	const struct crash_case *c = r->kase;
	u64 ckpt;
	long left;

	disk_of(r, "log", c->log[k], r->b->log_bytes);
	crash_replay_begin(r->b, c, k, pos);
	while (!r->fuse.blown && !crash_replay_stopped()) {
		CRASH_CHECK(r->b, exec_step());
		ckpt = brick_status("replay").val[MARS_V_REPLAY_CKPT];
		if (ckpt > pos)
			r->reached = (struct crash_pos){ k + 1, ckpt };
	}
	if (r->fuse.blown)
		return;
	ckpt = brick_status("replay").val[MARS_V_REPLAY_CKPT];
	CRASH_CHECK(r->b, ckpt == c->scan.end[k]);
	r->reached = (struct crash_pos){ k + 1, ckpt };
	/* reads ahead may still be under way, and one that never ends keeps the brick on */
	left = r->fuse.left;
	r->fuse.left = -1;
	crash_replay_end();
	r->fuse.left = left;
}

/*
 * One attempt.  True: finished.  False: the fuse blew, r->disk and r->from are what
 * the next attempt finds.
 */
static bool attempt(struct recovery *r, long fuse)
{
	struct crash_bed *b = r->b;
	const struct crash_case *c = r->kase;
	struct faulty_image *after;
	struct mars_brick *data;
	unsigned int k;

	CHECK_EQ(mars_engine_init(EXEC_SIM, 0, crash_random(&b->rnd, ~0ull)), 0);
	source_register();
	r->fuse = (struct faulty_fuse){ .left = fuse };
	r->reached = r->from;
	data = disk_of(r, "data", r->disk, b->device);
	if (!crash_random(&b->rnd, 4))	/* errors are retried, and change nothing */
		faulty_fail_nth(data, FAULTY_ALL, crash_random(&b->rnd, 6),
				1 + crash_random(&b->rnd, 2), -EIO);
	for (k = r->from.number - 1; k < c->scan.nr_logs && !r->fuse.blown; k++)
		replay_log(r, k, k + 1 == r->from.number ? r->from.pos : 0);
	b->count->replays++;
	after = faulty_crash(data, choose_random, &b->rnd);
	memcpy(r->disk, after->data, b->device);
	faulty_image_free(after);
	if (r->fuse.blown) {
		faulty_kill(data);
		if (mars_brick_find("log"))
			faulty_kill(mars_brick_find("log"));
		if (crash_random(&b->rnd, 2))
			r->from = r->reached;
	}
	CRASH_CHECK(b, !mars_engine_exit());
	return !r->fuse.blown;
}

/* Recover; crash after @fuse requests first, -1 = don't.  Returns the number of crashes. */
static u64 recover(struct crash_bed *b, const struct crash_case *c, long fuse)
{
	struct recovery r = { .b = b, .kase = c, .from = c->from };
	u64 n = 0;

	sprintf(b->where, "replay from %llu,%llu of %u records, crashed after %ld requests",
		(unsigned long long)c->from.number, (unsigned long long)c->from.pos, c->scan.nr,
		fuse);
	r.disk = malloc(b->device);
	CHECK(r.disk);
	memcpy(r.disk, c->data, b->device);
	while (!attempt(&r, fuse)) {
		fuse = crash_random(&b->rnd, 3) ? -1 : (long)crash_random(&b->rnd, 12);
		n++;
	}
	CRASH_CHECK(b, !memcmp(r.disk, c->expect, b->device));
	free(r.disk);
	return n;
}

void crash_replay_all(struct crash_bed *b)
{
	unsigned int i, k;
	long fuse;

	for (i = 0; i < b->nr_cases; i++) {
		struct crash_case *c = &b->kase[i];

		recover(b, c, -1);
		if (crash_random(&b->rnd, FUSES_ALL))
			recover(b, c, (long)crash_random(&b->rnd, 12));
		else
			for (fuse = 0; recover(b, c, fuse); fuse++)
				;
		if (b->second)
			crash_second(b, c);
		free(c->data);
		free(c->expect);
		for (k = 0; k < CRASH_LOGS; k++)
			free(c->log[k]);
	}
	b->nr_cases = 0;
}
