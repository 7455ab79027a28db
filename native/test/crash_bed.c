// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crash_bed.c - run a short sequence on a logger and note what it promises
 *
 * See crash_bed.h.  After each step of the simulation the books are brought up to
 * date (completions, published positions), and when anything changed that a crash
 * could show, the crashes of this moment are checked.
 */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "crash_bed.h"

/* Requests are in flight on a log disk that grows: room for a few segments. */
#define LOG_CAPACITY	(12ull << 20)

u64 crash_random(struct crash_rnd *rnd, u64 below)
{
	u64 x = rnd->state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (x ^ x >> 31) % below;
}

static void repeat_hint(const struct crash_bed *b)
{
	fprintf(stderr, "repeat only this: MARS_CRASH_SEQUENCE=%s MARS_CRASH_MODE=%u "
		"MARS_CRASH_SEED=%llu", b->sequence, b->mode, (unsigned long long)b->seed);
	if (b->second)
		fprintf(stderr, " MARS_CRASH_SECOND=%s", b->second);
	fprintf(stderr, "\n");
}

void crash_fail(const struct crash_bed *b, const char *file, int line, const char *what)
{
	struct mars_ctl_status st = { 0 };

	if (exec_running() && mars_brick_find("lg"))
		st = crash_status();
	fflush(stdout);
	fprintf(stderr, "crash: sequence \"%s\", step %llu: %s\n", b->sequence,
		(unsigned long long)b->step, b->where);
	if (b->before)
		fprintf(stderr, "crash: in the life after crash %u of sequence \"%s\"\n",
			(unsigned int)(b->past - b->before->kase), b->before->sequence);
	fprintf(stderr, "crash: logger state %u, log %llu durable %llu, published %llu,%llu\n",
		st.state, (unsigned long long)st.val[MARS_V_LOGGER_NUMBER],
		(unsigned long long)st.val[MARS_V_LOGGER_DURABLE],
		(unsigned long long)st.val[MARS_V_LOGGER_CKPT_NUMBER],
		(unsigned long long)st.val[MARS_V_LOGGER_CKPT]);
	if (b->fault.count)
		fprintf(stderr, "crash: mode %u, disk %u, kinds 0x%x: %llu fail after %llu\n",
			b->mode, b->fault.disk, b->fault.ops, (unsigned long long)b->fault.count,
			(unsigned long long)b->fault.skip);
	else if (b->fail_alloc)
		fprintf(stderr, "crash: mode %u, allocation %ld fails\n", b->mode, b->fail_alloc);
	else
		repeat_hint(b->before ? b->before : b);
	test_fail(file, line, "%s", what);
}

/* --- contents --- */

void crash_ident(const struct crash_bed *b, struct mars_log_ident *id, unsigned int k)
{
	/* a fresh file, even if a crash left one of that name that never became a log */
	unsigned int life = b->before && k >= b->past_logs;


	memset(id, 0, sizeof(*id));
	memset(id->cluster, 0xc1, sizeof(id->cluster));
	memset(id->resource, 0x5e, sizeof(id->resource));
	memset(id->salt, 0x40 + k + 0x20 * life, sizeof(id->salt));
	id->number = k + 1;
	strcpy(id->origin, "hosta");
}

void crash_first(const struct crash_bed *b, u8 *disk)
{
	u32 i;

	for (i = 0; i < b->device; i++)
		disk[i] = (u8)(0xa5 ^ (i >> 9));
}

void crash_apply(const struct crash_op *op, u64 pos, u64 len, u8 *disk)
{
	if (op->op == XIO_WRITE)
		memcpy(disk + pos, op->data + (pos - op->pos), len);
	else
		memset(disk + pos, 0, len);
}

/* --- making --- */

void crash_bed_init(struct crash_bed *b, const char *sequence, unsigned int mode, u64 seed,
		    struct crash_count *count)
{
	memset(b, 0, sizeof(*b));
	b->sequence = sequence;
	b->mode = mode;
	b->seed = seed;
	b->count = count;
	b->sampling = 1;
	b->max_cases = CRASH_CASES;
	b->keep_one_in = 5;
	b->rnd.state = seed * 0x10001 + mode;
	b->device = 16u << 10;
	b->log_bytes = 128u << 10;
	b->sector = 512;
	b->all_units = 10;
	b->random_subsets = 100;
}

void crash_bed_large(struct crash_bed *b)
{
	b->device = 1280u << 10;
	b->log_bytes = 6u << 20;
	b->sector = 256u << 10;
	b->all_units = 4;
	b->random_subsets = 20;
}

void crash_op_data(struct crash_op *op)
{
	op->data = op->len ? aligned_alloc(4096, round_up(op->len, 4096)) : NULL;
	CHECK(op->data || !op->len);
}

void crash_bed_free(struct crash_bed *b)
{
	unsigned int i;

	for (i = 0; i < CRASH_OPS; i++)
		free(b->op[i].data);
}

static struct mars_brick *new_disk(struct crash_bed *b, unsigned int nr, const char *name,
				   u64 size, u64 capacity)
{
	/* a slow disk and a quick one take turns, so that requests gather */
	struct faulty_config config = {
		.max_delay_us = b->mode == 1 ? 0 : 3000,
		.sector = b->sector,
	};
	struct faulty_image *image = faulty_image_new(size, capacity);
	struct mars_brick *disk;

	CHECK(image);
	if (size && b->past)
		memcpy(image->data, b->past->data, size);
	else if (size)
		crash_first(b, image->data);
	disk = faulty_create(name, image, &config);
	CHECK(disk);
	faulty_image_free(image);
	if (b->fault.count && b->fault.disk == nr)
		faulty_fail_nth(disk, b->fault.ops, b->fault.skip, b->fault.count, -EIO);
	brick_on(name);
	return disk;
}

static void new_log(struct crash_bed *b)
{
	char name[16];

	CHECK(b->nr_logs < CRASH_LOGS);
	sprintf(name, "log-%u", b->nr_logs + 1);
	b->log[b->nr_logs] = new_disk(b, b->nr_logs + 1, name, 0, LOG_CAPACITY);
	b->nr_logs++;
}

void crash_bed_open(struct crash_bed *b)
{
	CHECK_EQ(mars_engine_init(EXEC_SIM, 0, b->seed), 0);
	source_register();
	b->data = new_disk(b, 0, "data", b->device, b->device);
}

/* Slots take turns, whatever the numbers of the logs. */
static void connect_log(struct crash_bed *b, unsigned int slot)
{
	enum mars_reason reason;
	char name[16];

	new_log(b);
	sprintf(name, "log-%u", b->nr_logs);
	CHECK_EQ(mars_brick_connect("lg", slot, name, &reason), 0);
}

void crash_bed_logger(struct crash_bed *b)
{
	enum mars_reason reason;
	struct mars_log_ident id;

	brick_create("logger", "lg");
	CHECK_EQ(mars_brick_connect("lg", 0, "data", &reason), 0);
	crash_ident(b, &id, b->nr_logs);
	if (b->past_logs) {
		id.prev_number = b->past_logs;
		strcpy(id.prev_origin, "hosta");
		id.prev_length = b->past->scan.cur.offset;
		memcpy(id.prev_digest, b->past->scan.cur.digest, MARS_DIGEST_SIZE);
	}
	connect_log(b, 1);
	CHECK_EQ(mars_brick_set("lg", MARS_K_LOGGER_IDENT, 0, (char *)&id, sizeof(id), &reason), 0);
	brick_set_value("lg", MARS_K_LOGGER_SEGMENT, LG_SEGMENT_MIN);
	brick_set_value("lg", MARS_K_LOGGER_DURABILITY, b->mode == 3);
}

struct mars_ctl_status crash_status(void)
{
	return brick_status("lg");
}

void crash_alloc_begin(struct crash_bed *b)
{
	long left = b->fail_alloc - b->alloc_used;

	b->alloc_used -= exec_alloc_count();
	if (b->fail_alloc && left > 0)
		exec_fail_alloc_at(left);
	else if (b->alloc_failed && b->alloc_streak && b->alloc_streak--)
		exec_fail_alloc_at(1);
}

void crash_alloc_end(struct crash_bed *b)
{
	b->alloc_used += exec_alloc_count();
	b->alloc_failed |= b->fail_alloc && exec_fail_alloc_fired();
	exec_fail_alloc_at(-1);
}

bool crash_bed_on(struct crash_bed *b)
{
	enum mars_reason reason;
	int err;

	crash_alloc_begin(b);
	err = mars_brick_switch("lg", true, &reason);
	crash_alloc_end(b);
	if (err) {
		CRASH_CHECK(b, err == -ENOMEM && reason == MARS_R_NO_MEMORY);
		CRASH_CHECK(b, crash_status().led_off);
		return false;
	}
	crash_until(b, crash_status().led_on || crash_status().led_off);
	if (crash_status().led_on)
		b->src = source_create("src", "lg");
	return crash_status().led_on;
}

/* --- the books --- */

static void reap(struct crash_bed *b)
{
	unsigned int i;

	for (i = 0; i < b->nr_ops; i++) {
		struct crash_op *op = &b->op[i];

		if (!op->busy || !source_done(&op->io))
			continue;
		op->busy = false;
		b->clock++;
		if (!op->io.status) {
			op->completed = b->clock;
		} else {
			CRASH_CHECK(b, b->may_fail);
			b->nr_errors++;
		}
	}
}

/* Whatever is published once may be what a recovery starts from. */
static void note_published(struct crash_bed *b, struct crash_pos now)
{
	if (!now.number || !now.pos)
		return;
	if (b->nr_published) {
		const struct crash_pos *last = &b->published[b->nr_published - 1];

		if (now.number == last->number && now.pos == last->pos)
			return;
		CRASH_CHECK(b, now.number > last->number ||
			    (now.number == last->number && now.pos > last->pos));
	}
	CHECK(b->nr_published < CRASH_MARKS);
	b->published[b->nr_published++] = now;
}

static u64 signature(const struct crash_bed *b)
{
	u64 sum = faulty_executed(b->data) * 1000003 + faulty_in_flight(b->data) * 17 + b->clock;
	unsigned int i;

	for (i = b->past_logs; i < b->nr_logs; i++)
		sum = sum * 1000003 + faulty_executed(b->log[i]) * 31 +
		      faulty_in_flight(b->log[i]);
	return sum * 1000003 + b->nr_published * 7919 + b->number;
}

static void look_at_replay(struct crash_bed *b)
{
	u64 ckpt = brick_status("replay").val[MARS_V_REPLAY_CKPT];

	note_published(b, (struct crash_pos){ b->replaying, ckpt });
}

static void look_at_logger(struct crash_bed *b)
{
	struct mars_ctl_status st = crash_status();

	b->number = st.val[MARS_V_LOGGER_NUMBER];
	b->states |= 1u << st.state;
	note_published(b, (struct crash_pos){ st.val[MARS_V_LOGGER_CKPT_NUMBER],
					      st.val[MARS_V_LOGGER_CKPT] });
	/* a slot is given up only when no recovery from the newest position needs its log */
	if (st.led_on && st.state != MARS_S_LOG_WRITE_ERROR && !st.val[MARS_V_LOGGER_OLD_SLOT])
		CRASH_CHECK(b, st.val[MARS_V_LOGGER_CKPT_NUMBER] == b->number);
}

void crash_observe(struct crash_bed *b)
{
	u64 now;

	b->step++;
	sprintf(b->where, "while it runs");
	reap(b);
	if (b->replaying)
		look_at_replay(b);
	else
		look_at_logger(b);
	now = signature(b);
	if (now == b->signature)
		return;
	b->signature = now;
	if (b->sampling < 2 || !crash_random(&b->rnd, b->sampling))
		crash_check(b);
}

bool crash_bed_step(struct crash_bed *b)
{
	bool more;

	crash_alloc_begin(b);
	more = exec_step();
	crash_alloc_end(b);
	crash_observe(b);
	return more;
}

/* --- operations --- */

static const struct {
	char letter;
	u8 op, type;
	u32 flags;
	u64 pos, len;
} kinds[] = {
	{ 'a', XIO_WRITE,	 MARS_LOG_WRITE,   0,		 1024, 1024 },
	{ 'o', XIO_WRITE,	 MARS_LOG_WRITE,   0,		 1536, 1024 },
	{ 'b', XIO_WRITE,	 MARS_LOG_WRITE,   0,		 7680, 1024 },
	{ 'u', XIO_WRITE,	 MARS_LOG_WRITE,   XIO_FUA,	 2048, 1024 },
	{ 'f', XIO_FLUSH,	 0,		   0,		 0,    0    },
	{ 'd', XIO_DISCARD,	 MARS_LOG_DISCARD, 0,		 1536, 1024 },
	{ 'z', XIO_WRITE_ZEROES, MARS_LOG_ZEROES,  XIO_NOUNMAP,	 7168, 1024 },
	{ 'w', XIO_WRITE,	 MARS_LOG_WRITE,   0,		 1536, XIO_MAX_IO },
	{ 'v', XIO_WRITE,	 MARS_LOG_WRITE,   XIO_FUA,	 132 << 10, XIO_MAX_IO },
};

static void rotate(struct crash_bed *b)
{
	enum mars_reason reason;
	struct mars_log_ident id;
	unsigned int slot;
	int err;

	crash_until(b, crash_status().state == MARS_S_LOG_WRITE_ERROR ||
		    (!crash_status().val[MARS_V_LOGGER_OLD_SLOT] &&
		     crash_status().val[MARS_V_LOGGER_NUMBER] == b->nr_logs));
	if (crash_status().state == MARS_S_LOG_WRITE_ERROR)
		return;
	slot = (b->nr_logs - b->past_logs) % 2 + 1;
	crash_ident(b, &id, b->nr_logs);
	connect_log(b, slot);
	for (;;) {
		crash_alloc_begin(b);
		err = mars_brick_set("lg", MARS_K_LOGGER_ROTATE, slot, (char *)&id, sizeof(id),
				     &reason);
		crash_alloc_end(b);
		if (!err)
			break;
		CRASH_CHECK(b, b->alloc_failed && reason == MARS_R_NO_MEMORY);
	}
}

static void submit(struct crash_bed *b, struct crash_op *op)
{
	struct xio_request *rq = xio_alloc(&b->src->input[0], GFP_KERNEL);

	CHECK(rq);
	op->io.done = 0;
	rq->op = op->op;
	rq->flags = op->flags;
	rq->pos = op->pos;
	rq->len = op->len;
	rq->private = &op->io;
	if (op->op == XIO_WRITE) {
		bvec_set_virt(&op->io.vec[0], op->data, op->len);
		rq->vec = op->io.vec;
		rq->nr_vec = 1;
	}
	op->submitted = ++b->clock;
	op->busy = true;
	crash_alloc_begin(b);
	source_submit(rq);
	crash_alloc_end(b);
}

static struct crash_op *begin(struct crash_bed *b, char letter)
{
	struct crash_op *op = &b->op[b->nr_ops];
	unsigned int k = 0, i;

	while (kinds[k].letter != letter)
		CHECK(++k < ARRAY_SIZE(kinds));
	CHECK(b->nr_ops < CRASH_OPS);
	op->op = kinds[k].op;
	op->type = kinds[k].type;
	op->flags = kinds[k].flags;
	op->pos = kinds[k].pos;
	op->len = kinds[k].len;
	op->change = op->op != XIO_FLUSH;
	op->promise = b->mode == 3 || op->flags & XIO_FUA;
	CHECK(op->pos + op->len <= b->device);
	crash_op_data(op);
	for (i = 0; i < op->len; i += 8) {
		u64 tag = (u64)(b->nr_ops + 1) << 56 | (op->pos + i);

		memcpy(op->data + i, &tag, 8);
	}
	b->nr_ops++;
	submit(b, op);
	return op;
}

static bool any_busy(const struct crash_bed *b)
{
	unsigned int i;

	for (i = 0; i < b->nr_ops; i++)
		if (b->op[i].busy)
			return true;
	return false;
}

/* What happens between two operations. */
static void gap(struct crash_bed *b, const struct crash_op *op)
{
	u64 n;

	if (b->mode == 1 && op)
		crash_until(b, !op->busy);
	for (n = b->mode >= 2 ? crash_random(&b->rnd, 24) : 0; n; n--)
		if (!crash_bed_step(b))
			break;
}

void crash_bed_play(struct crash_bed *b)
{
	const char *p;

	for (p = b->sequence; *p; p++) {
		struct crash_op *op = NULL;

		if (*p == 'r')
			rotate(b);
		else if (*p == 'c')
			brick_set_value("lg", MARS_K_LOGGER_CHECKPOINT, 0);
		else
			op = begin(b, *p);
		crash_observe(b);
		gap(b, op);
	}
	crash_until(b, !any_busy(b));
}

void crash_bed_off(struct crash_bed *b, bool idle)
{
	enum mars_reason reason;

	crash_until(b, !any_busy(b));
	if (idle)
		crash_until(b, !crash_status().val[MARS_V_LOGGER_DIRTY] &&
			    crash_status().val[MARS_V_LOGGER_NUMBER] == b->nr_logs);
	source_destroy("src");
	while (mars_brick_switch("lg", false, &reason)) {
		CRASH_CHECK(b, reason == MARS_R_NOT_NOW || reason == MARS_R_BUSY_USERS);
		CRASH_CHECK(b, crash_bed_step(b));
	}
	crash_until(b, crash_status().led_off);
	CRASH_CHECK(b, !crash_status().val[MARS_V_LOGGER_USED]);
	crash_observe(b);
}

void crash_bed_close(struct crash_bed *b)
{
	sprintf(b->where, "while it is taken apart");
	CRASH_CHECK(b, !mars_engine_exit());
}

void crash_bed_live(struct crash_bed *b)
{
	crash_bed_logger(b);
	CRASH_CHECK(b, crash_bed_on(b));
	crash_bed_play(b);
	crash_bed_off(b, b->mode < 2 || crash_random(&b->rnd, 2));
	CRASH_CHECK(b, !crash_status().val[MARS_V_LOGGER_DIRTY]);
}

void crash_bed_run(struct crash_bed *b)
{
	long live = exec_live_allocs();

	crash_bed_open(b);
	crash_bed_live(b);
	crash_bed_close(b);
	CRASH_CHECK(b, exec_live_allocs() == live);
	crash_replay_all(b);
	CRASH_CHECK(b, exec_live_allocs() == live);
	b->count->runs++;
}
