// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_rig.c - a logger on simulated disks, with a model that knows what is right
 *
 * See logger_rig.h.  Single-threaded by nature of the simulation; no locks.
 */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "logger_rig.h"

#define INITIAL	0xa5		/* what fills the device at the start */

static struct rig *rig;		/* the one the watch reports to */

static u64 tag(u32 id, u64 pos)
{
	return (u64)id << 32 | (u32)(pos / 8);
}

static u32 tag_id(const u8 *p)
{
	u64 t;

	memcpy(&t, p, sizeof(t));
	return t >> 32;
}

static void fill_tags(u8 *buf, u32 id, u64 pos, u64 len)
{
	u64 i;

	for (i = 0; i < len; i += 8) {
		u64 t = tag(id, pos + i);

		memcpy(buf + i, &t, 8);
	}
}

/* --- the watch: sees what goes to the data disk --- */

static void watch_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct rig *r = rig;
	u64 off;

	if (r && rq->op == XIO_WRITE) {
		rig_scan(r);
		for (off = 0; off < rq->len; off += 512) {
			u8 head[8];
			u32 id;

			xio_copy_in(rq, off, head, sizeof(head));
			id = tag_id(head);
			CHECK(id && id < r->nr_writes);
			/* pieces are logged in rising order */
			CHECK(rq->pos + off + 512 <= r->write[id].pos + r->write[id].logged);
		}
	}
	xio_forward(rq, 0);
}

static int watch_info(struct mars_brick *brick, struct xio_info *info)
{
	return mars_input_info(&brick->input[0], info);
}

static const struct mars_brick_type watch_type = {
	.name		= "watch",
	.nr_inputs	= 1,
	.input_name	= { "disk" },
	.has_output	= true,
	.forwards	= 1,
	.size		= sizeof(struct mars_brick),
	.submit		= watch_submit,
	.get_info	= watch_info,
};

/* --- making and taking apart --- */

static void log_ident(struct mars_log_ident *id, u64 number)
{
	memset(id, 0, sizeof(*id));
	memset(id->cluster, 0xc1, sizeof(id->cluster));
	memset(id->resource, 0x5e, sizeof(id->resource));
	memset(id->salt, number, sizeof(id->salt));
	id->number = number;
	strcpy(id->origin, "hosta");
}

static struct rig_log *new_log(struct rig *r)
{
	struct rig_log *log = &r->log[r->nr_logs++];
	struct faulty_config config = { .max_delay_us = 300 };
	struct faulty_image *image = faulty_image_new(0, r->capacity);
	char name[32];

	CHECK(r->nr_logs < RIG_LOGS);
	sprintf(name, "log-%u", r->nr_logs);
	log_ident(&log->ident, r->nr_logs);
	log->disk = faulty_create(name, image, &config);
	CHECK(log->disk);
	faulty_image_free(image);
	brick_on(name);
	return log;
}

struct rig *rig_new(u64 size, u64 log_capacity)
{
	struct faulty_config config = { .max_delay_us = 1000 };
	struct rig *r = calloc(1, sizeof(*r));
	struct faulty_image *image = faulty_image_new(size, size);
	enum mars_reason reason;
	unsigned int i;

	r->size = size;
	r->capacity = log_capacity;
	r->nr_writes = 1;
	r->model = malloc(size);
	r->replayed = malloc(size);
	r->first = malloc(size);
	r->scratch = malloc(4 << 20);
	memset(r->first, INITIAL, size);
	memcpy(r->model, r->first, size);
	memcpy(r->replayed, r->first, size);
	memcpy(image->data, r->first, size);
	for (i = 0; i < RIG_FLIGHT; i++)
		r->op[i].buf = aligned_alloc(4096, XIO_MAX_IO);

	CHECK_EQ(mars_engine_init(EXEC_SIM, 0, test_seed()), 0);
	source_register();
	CHECK_EQ(mars_type_register(&watch_type), 0);
	r->data = faulty_create("data", image, &config);
	faulty_image_free(image);
	brick_on("data");
	brick_create("watch", "watch");
	CHECK_EQ(mars_brick_connect("watch", 0, "data", &reason), 0);
	brick_on("watch");
	new_log(r);
	brick_create("logger", "lg");
	CHECK_EQ(mars_brick_connect("lg", 0, "watch", &reason), 0);
	CHECK_EQ(mars_brick_connect("lg", 1, "log-1", &reason), 0);
	CHECK_EQ(mars_brick_set("lg", MARS_K_LOGGER_IDENT, 0, (char *)&r->log[0].ident,
				sizeof(r->log[0].ident), &reason), 0);
	rig_param(r, MARS_K_LOGGER_SEGMENT, LG_SEGMENT_MIN);
	r->lg = lg_of(mars_brick_find("lg"));
	rig = r;
	return r;
}

void rig_param(struct rig *r, u32 key, u64 value)
{
	brick_set_value("lg", key, value);
}

struct mars_ctl_status rig_status(void)
{
	return brick_status("lg");
}

void rig_on(struct rig *r)
{
	brick_on("lg");
	rig_until(r, rig_status().led_on);
	r->src = source_create("src", "lg");
}

void rig_off(struct rig *r, bool clean)
{
	struct mars_ctl_status st;
	u8 *disk = malloc(r->size);

	rig_idle(r);
	source_destroy("src");
	brick_off("lg");
	rig_scan(r);
	st = rig_status();
	if (clean) {
		CHECK_EQ(st.state, MARS_S_OK);
		CHECK_EQ(st.val[MARS_V_LOGGER_DIRTY], 0);
		CHECK_EQ(st.val[MARS_V_LOGGER_CKPT], st.val[MARS_V_LOGGER_DURABLE]);
		CHECK_EQ(st.val[MARS_V_LOGGER_CKPT_NUMBER], st.val[MARS_V_LOGGER_NUMBER]);
		faulty_peek(r->data, 0, disk, r->size, true);
		CHECK_MEM(disk, r->replayed, r->size);
	}
	CHECK_EQ(st.val[MARS_V_LOGGER_USED], 0);
	free(disk);
}

void rig_free(struct rig *r)
{
	unsigned int i;

	rig = NULL;
	CHECK_EQ(mars_engine_exit(), 0);
	for (i = 0; i < RIG_FLIGHT; i++)
		free(r->op[i].buf);
	for (i = 0; i < RIG_LOGS; i++)
		free(r->log[i].before);
	free(r->model);
	free(r->replayed);
	free(r->first);
	free(r->scratch);
	free(r);
}

/* --- running requests --- */

static void check_promise(struct rig *r, const struct rig_op *op)
{
	u32 id;

	rig_scan(r);
	if (op->op == XIO_WRITE && (op->flags & XIO_FUA))
		CHECK_EQ(r->write[op->id].logged, op->len);
	if (op->op != XIO_FLUSH)
		return;
	for (id = 1; id < r->nr_writes; id++)
		if (r->write[id].completed && r->write[id].completed < r->write[op->id].submitted)
			CHECK_EQ(r->write[id].logged, r->write[id].len);
}

/* Take note of an ended request and free its slot. */
static void op_end(struct rig *r, struct rig_op *op)
{
	op->busy = false;
	r->clock++;
	if (op->io.status) {
		CHECK(r->may_fail);
		r->nr_errors++;
		return;
	}
	if (op->op == XIO_READ && !r->overlap)
		CHECK_MEM(op->buf, r->model + op->pos, op->len);
	if (op->op == XIO_WRITE)
		r->write[op->id].completed = r->clock;
	if (op->op == XIO_FLUSH || (op->flags & XIO_FUA))
		check_promise(r, op);
}

static void reap(struct rig *r)
{
	unsigned int i;

	for (i = 0; i < RIG_FLIGHT; i++)
		if (r->op[i].busy && source_done(&r->op[i].io))
			op_end(r, &r->op[i]);
}

bool rig_step(struct rig *r)
{
	bool more = exec_step();

	reap(r);
	return more;
}

unsigned int rig_busy(struct rig *r)
{
	unsigned int i, nr = 0;

	for (i = 0; i < RIG_FLIGHT; i++)
		nr += r->op[i].busy;
	return nr;
}

void rig_idle(struct rig *r)
{
	rig_until(r, !rig_busy(r));
}

static bool collides(struct rig *r, enum xio_op op, u64 pos, u64 len)
{
	unsigned int i;

	for (i = 0; i < RIG_FLIGHT; i++) {
		const struct rig_op *o = &r->op[i];

		if (!o->busy || o->op == XIO_FLUSH || o->pos >= pos + len || pos >= o->pos + o->len)
			continue;
		if (op == XIO_READ && o->op == XIO_READ)
			continue;
		if (!r->overlap)
			return true;
	}
	return false;
}

static struct rig_op *free_slot(struct rig *r)
{
	unsigned int i;

	for (i = 0; i < RIG_FLIGHT; i++)
		if (!r->op[i].busy)
			return &r->op[i];
	return NULL;
}

struct rig_op *rig_start(struct rig *r, enum xio_op op, u32 flags, u64 pos, u64 len)
{
	struct rig_op *o;

	rig_until(r, free_slot(r) && !collides(r, op, pos, len));
	o = free_slot(r);
	o->busy = true;
	o->op = op;
	o->flags = flags;
	o->pos = pos;
	o->len = len;
	o->id = r->nr_writes;
	CHECK(r->nr_writes < RIG_IDS);
	if (op != XIO_READ) {
		r->nr_writes++;
		memset(&r->write[o->id], 0, sizeof(r->write[o->id]));
		r->write[o->id].submitted = ++r->clock;
	}
	if (op == XIO_WRITE) {
		r->write[o->id].pos = pos;
		r->write[o->id].len = len;
		fill_tags(o->buf, o->id, pos, len);
		memcpy(r->model + pos, o->buf, len);
	} else if (op == XIO_DISCARD || op == XIO_WRITE_ZEROES) {
		memset(r->model + pos, 0, len);
	}
	source_start(r->src, &o->io, op, flags, pos, o->buf, len);
	reap(r);
	return o;
}

int rig_do(struct rig *r, enum xio_op op, u32 flags, u64 pos, u64 len)
{
	struct rig_op *o = rig_start(r, op, flags, pos, len);

	rig_until(r, !o->busy);
	return o->io.status;
}

void rig_random(struct rig *r, u64 max_len)
{
	unsigned int kind = exec_random(100);
	u64 len = 512 * (1 + exec_random(exec_random(max_len / 512) + 1));
	u64 pos = 512 * exec_random((r->size - len) / 512 + 1);

	if (exec_random(3) == 0)	/* a hot spot */
		pos = min(r->size - len, r->size / 2 + 512 * exec_random(64));
	if (exec_random(3) == 0 && pos >= 4096)
		pos &= ~4095ull;
	if (kind < 50)
		rig_start(r, XIO_WRITE, 0, pos, len);
	else if (kind < 57)
		rig_start(r, XIO_WRITE, XIO_FUA, pos, len);
	else if (kind < 82)
		rig_start(r, XIO_READ, 0, pos, len);
	else if (kind < 90)
		rig_start(r, XIO_FLUSH, 0, 0, 0);
	else if (kind < 95)
		rig_start(r, XIO_DISCARD, 0, pos, len);
	else
		rig_start(r, XIO_WRITE_ZEROES, exec_random(2) ? XIO_NOUNMAP : 0, pos, len);
}

bool rig_rotate(struct rig *r)
{
	struct mars_ctl_status st = rig_status();
	unsigned int slot = r->nr_logs % 2 + 1;
	enum mars_reason reason;
	struct rig_log *log;
	char name[32];
	int err;

	if (st.val[MARS_V_LOGGER_OLD_SLOT] || st.val[MARS_V_LOGGER_NUMBER] != r->nr_logs)
		return false;
	log = new_log(r);
	sprintf(name, "log-%u", r->nr_logs);
	CHECK_EQ(mars_brick_connect("lg", slot, name, &reason), 0);
	err = mars_brick_set("lg", MARS_K_LOGGER_ROTATE, slot, (char *)&log->ident,
			     sizeof(log->ident), &reason);
	CHECK_EQ(err, 0);
	return true;
}

void rig_check_all(struct rig *r)
{
	u64 pos;

	for (pos = 0; pos < r->size; pos += XIO_MAX_IO)
		CHECK_EQ(rig_do(r, XIO_READ, 0, pos, min_t(u64, XIO_MAX_IO, r->size - pos)), 0);
}

/* --- the logs --- */

/* Apply the records of a verified group to @disk. */
static void apply(const struct mars_log_group *g, u8 *disk)
{
	const u8 *payload = (const u8 *)g + le32_to_cpu(g->desc_size);
	u32 i;

	for (i = 0; i < le32_to_cpu(g->nr_records); i++) {
		const struct mars_log_record *rec = mars_log_record(g, i);
		u64 pos = le64_to_cpu(rec->pos), len = le64_to_cpu(rec->len);

		if (le16_to_cpu(rec->type) == MARS_LOG_WRITE)
			memcpy(disk + pos, payload + le32_to_cpu(rec->payload_off) + pos % 4096, len);
		else
			memset(disk + pos, 0, len);
	}
}

/* Enter the records of a durable group into the books. */
static void account(struct rig *r, const struct mars_log_group *g)
{
	const u8 *payload = (const u8 *)g + le32_to_cpu(g->desc_size);
	u32 i;

	for (i = 0; i < le32_to_cpu(g->nr_records); i++) {
		const struct mars_log_record *rec = mars_log_record(g, i);
		u64 pos = le64_to_cpu(rec->pos), len = le64_to_cpu(rec->len);
		struct rig_write *w;
		u32 id;

		r->order++;
		if (le16_to_cpu(rec->type) != MARS_LOG_WRITE)
			continue;
		id = tag_id(payload + le32_to_cpu(rec->payload_off) + pos % 4096);
		CHECK(id && id < r->nr_writes);
		w = &r->write[id];
		CHECK_EQ(pos, w->pos + w->logged);
		w->logged += len;
		CHECK(w->logged <= w->len);
		if (!w->order)
			w->order = r->order;
	}
}

typedef void (*read_fn)(void *from, u64 pos, void *buf, size_t len);

static void read_disk(void *from, u64 pos, void *buf, size_t len)
{
	faulty_peek(from, pos, buf, len, true);
}

static void read_image(void *from, u64 pos, void *buf, size_t len)
{
	struct faulty_image *image = from;

	memcpy(buf, image->data + pos, len);
}

/* The next good group of a log in @buf, or NULL. */
static const struct mars_log_group *next_group(u8 *buf, u64 capacity, struct mars_log_cursor *cur,
					       read_fn read, void *from)
{
	size_t have = 0, need = MARS_LOG_BLOCK, total;

	for (;;) {
		if (cur->offset + need > capacity)
			return NULL;
		read(from, cur->offset + have, buf + have, need - have);
		have = need;
		switch (mars_log_group_check(buf, have, cur, &need, &total)) {
		case MARS_LOG_OK:
			return (const struct mars_log_group *)buf;
		case MARS_LOG_MORE:
			break;
		default:
			return NULL;
		}
	}
}

static bool log_begin(u8 *buf, const struct rig_log *prev, const struct mars_log_ident *id,
		      struct mars_log_cursor *cur, read_fn read, void *from)
{
	struct mars_log_ident have;

	read(from, 0, buf, MARS_LOG_BLOCK);
	if (mars_log_header_check((struct mars_log_header *)buf, id, cur) != MARS_LOG_OK)
		return false;
	mars_log_header_ident((struct mars_log_header *)buf, &have);
	return !prev || (have.prev_length == prev->cur.offset &&
			 !memcmp(have.prev_digest, prev->cur.digest, MARS_DIGEST_SIZE));
}

void rig_scan(struct rig *r)
{
	unsigned int i;

	for (i = 0; i < r->nr_logs; i++) {
		struct rig_log *log = &r->log[i];
		const struct mars_log_group *g;

		if (log->finished)
			continue;
		if (!log->begun)
			log->begun = log_begin(r->scratch, i ? log - 1 : NULL, &log->ident,
					       &log->cur, read_disk, log->disk);
		if (!log->begun)
			break;
		if (i)
			log[-1].finished = true;
		if (!log->before) {
			log->before = malloc(r->size);
			memcpy(log->before, r->replayed, r->size);
			log->order = r->order;
		}
		while ((g = next_group(r->scratch, r->capacity, &log->cur, read_disk, log->disk))) {
			account(r, g);
			apply(g, r->replayed);
			mars_log_cursor_next(&log->cur, g);
		}
	}
}

void rig_check_order(struct rig *r)
{
	u32 *by_order = calloc(r->order + 1, sizeof(*by_order));
	u64 earliest = ~0ull, i;
	u32 id;

	for (id = 1; id < r->nr_writes; id++)
		if (r->write[id].order)
			by_order[r->write[id].order] = id;
	for (i = r->order; i; i--) {
		const struct rig_write *w = &r->write[by_order[i]];

		if (!by_order[i])
			continue;
		CHECK(w->submitted < earliest);	/* nothing later in the log completed before */
		if (w->completed)
			earliest = min(earliest, w->completed);
	}
	free(by_order);
}

/*
 * Crash the logs from number @from on; apply what survives of them to @all, and what is
 * behind the published position @from, @pos to @disk too.  Returns the records found.
 */
static u64 recover(struct rig *r, u8 *all, u8 *disk, u64 from, u64 pos)
{
	struct rig_log prev = { 0 }, cur = { 0 };
	const struct mars_log_group *g;
	u64 records = 0, i;

	if (from > 1)
		prev = r->log[from - 2];
	for (i = from - 1; i < r->nr_logs; i++) {
		struct faulty_image *image = faulty_crash(r->log[i].disk, faulty_choose_random, NULL);
		bool begun = log_begin(r->scratch, i ? &prev : NULL, &r->log[i].ident, &cur.cur,
				       read_image, image);

		CHECK(begun || i >= from);	/* the log that the position names is there */
		while (begun &&
		       (g = next_group(r->scratch, image->capacity, &cur.cur, read_image, image))) {
			apply(g, all);
			if (i + 1 > from || cur.cur.offset >= pos)
				apply(g, disk);
			records += le32_to_cpu(g->nr_records);
			mars_log_cursor_next(&cur.cur, g);
		}
		faulty_image_free(image);
		if (i + 1 == from)
			CHECK(cur.cur.offset >= pos);
		if (!begun)
			break;
		prev = cur;
	}
	return records;
}

void rig_check_crash(struct rig *r)
{
	struct mars_ctl_status st = rig_status();
	struct faulty_image *disk = faulty_crash(r->data, faulty_choose_random, NULL);
	u64 from = st.val[MARS_V_LOGGER_CKPT_NUMBER];
	u8 *all = malloc(r->size);

	rig_scan(r);
	memcpy(all, r->log[from - 1].before, r->size);
	CHECK(r->log[from - 1].order + recover(r, all, disk->data, from,
					       st.val[MARS_V_LOGGER_CKPT]) >= r->order);
	CHECK_MEM(disk->data, all, r->size);
	free(all);
	faulty_image_free(disk);
}
