// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crash_second.c - the life after a crash, with every crash of its own
 *
 * A node that was primary comes back: it replays the logs from a published position to
 * the end the crash left, and goes on in a fresh log that names this end.  The disk
 * under the logger is the one the replay has just written, with whatever it did not
 * flush.  At each moment, from the first step of the replay to the end of the second
 * sequence, all crashes are checked as in the first life: recovery may start at the
 * position the replay began with and at any that was published since.
 *
 * The old logs are only read, so a crash changes nothing of them any more; operations
 * that are not in them are lost for good.
 */
#include <linux/kernel.h>

#include "crash_bed.h"

#define SECOND_CASES	2	/* crashes kept for the replay brick once more */

/* The crash is all that the second life knows of the first. */
static void inherit(struct crash_bed *b, const struct crash_bed *before,
		    const struct crash_case *c)
{
	unsigned int i;

	b->before = before;
	b->past = c;
	b->past_ops = c->nr_ops;
	b->past_logs = c->scan.nr_logs;
	b->nr_ops = b->past_ops;
	b->nr_logs = b->past_logs;
	b->max_cases = SECOND_CASES;
	b->device = before->device;
	b->log_bytes = before->log_bytes;
	b->sector = before->sector;
	b->all_units = before->all_units;
	b->random_subsets = before->random_subsets;
	b->sampling = before->sampling;
	for (i = 0; i < b->past_ops; i++) {
		b->op[i] = before->op[i];
		b->op[i].busy = false;
		crash_op_data(&b->op[i]);
		if (b->op[i].len)
			memcpy(b->op[i].data, before->op[i].data, b->op[i].len);
	}
	if (c->scan.nr_logs)
		b->published[b->nr_published++] = c->from;
}

/* Apply log number @k + 1 from @pos on. */
static void replay_log(struct crash_bed *b, unsigned int k, u64 pos)
{
	const struct crash_case *c = b->past;
	struct faulty_config config = { .max_delay_us = b->mode == 1 ? 0 : 500 };
	struct faulty_image *image = faulty_image_new(b->log_bytes, b->log_bytes);

	CHECK(image);
	memcpy(image->data, c->log[k], b->log_bytes);
	CHECK(faulty_create("log", image, &config));
	faulty_image_free(image);
	brick_on("log");
	crash_replay_begin(b, c, k, pos);
	b->replaying = k + 1;
	crash_until(b, crash_replay_stopped());
	CRASH_CHECK(b, b->published[b->nr_published - 1].number == k + 1);
	CRASH_CHECK(b, b->published[b->nr_published - 1].pos == c->scan.end[k]);
	b->replaying = 0;
	crash_replay_end();
}

static void recover(struct crash_bed *b)
{
	const struct crash_pos *from = &b->past->from;
	unsigned int k;

	for (k = from->number - 1; k < b->past_logs; k++)
		replay_log(b, k, k + 1 == from->number ? from->pos : 0);
}

void crash_second(struct crash_bed *before, const struct crash_case *c)
{
	static struct crash_bed b;
	long live = exec_live_allocs();

	crash_bed_init(&b, before->second, before->mode, crash_random(&before->rnd, ~0ull),
		       before->count);
	inherit(&b, before, c);
	crash_bed_open(&b);
	recover(&b);
	crash_bed_live(&b);
	crash_bed_close(&b);
	CRASH_CHECK(&b, exec_live_allocs() == live);
	crash_replay_all(&b);
	CRASH_CHECK(&b, exec_live_allocs() == live);
	crash_bed_free(&b);
	b.count->lives++;
}
