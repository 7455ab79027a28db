// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * replay_bed.c - a replay brick between simulated disks, for tests (see replay_bed.h)
 */
#include <stdlib.h>
#include <string.h>

#include <linux/completion.h>
#include <linux/minmax.h>

#include "replay_bed.h"
#include "test.h"

/* --- logs and their meaning --- */

static void random_record(struct mklog *m, const struct bed_style *s, u8 *data)
{
	u64 what = exec_random(20), pos, len;

	if (what < 8) {			/* blocks */
		len = 4096 * (1 + exec_random(max(1u, s->longest / 4096)));
		pos = 4096 * exec_random(s->hot / 4096);
	} else {			/* anything */
		len = 1 + exec_random(s->longest);
		pos = exec_random(s->hot);
	}
	len = min(len, BED_DEVICE - pos);
	if (what < 15 || what == 19) {
		if (mklog_full(m, pos, (u32)len))
			return;
		memset(data, (int)exec_random(256), len);
		data[exec_random(len)] ^= 0x5a;
		if (what == 19)
			mklog_undo(m, pos, data, (u32)len);
		else
			mklog_write(m, pos, data, (u32)len);
	} else if (m->nr_records < MARS_LOG_MAX_RECORDS) {
		if (what == 15)
			mklog_mark(m, exec_random(1000));
		else if (what == 16)
			mklog_discard(m, pos, len);
		else
			mklog_zeroes(m, pos, len, what == 17);
	}
}

void bed_random_log(struct mklog *m, const struct bed_style *style)
{
	static const struct bed_style mixed = { 40, 20, 256 << 10, 20000 };
	const struct bed_style *s = style ? style : &mixed;
	u8 *data = malloc(s->longest);
	u32 g, n;

	CHECK(data);
	mklog_init(m, NULL, BED_DEVICE);
	for (g = 0; g < s->groups; g++) {
		mklog_mark(m, g);	/* so that no group is empty */
		for (n = exec_random(s->records + 1); n; n--)
			random_record(m, s, data);
		mklog_commit(m);
	}
	free(data);
}

static u64 group_end(const struct mklog *m, u32 k)
{
	const struct mars_log_group *g = mklog_group(m, k);

	return m->start[k] + le32_to_cpu(g->desc_size) + le32_to_cpu(g->payload_size);
}

u64 bed_nr_records(const struct mklog *m, u64 pos)
{
	u64 nr = 0;
	u32 k;

	for (k = 0; k < m->nr_groups && group_end(m, k) <= pos; k++)
		nr += le32_to_cpu(mklog_group(m, k)->nr_records);
	return nr;
}

static void model_record(const struct mars_log_group *g, const struct mars_log_record *r, u8 *disk)
{
	const u8 *payload = (const u8 *)g + le32_to_cpu(g->desc_size) + le32_to_cpu(r->payload_off);
	u64 pos = le64_to_cpu(r->pos), len = le64_to_cpu(r->len);

	switch (le16_to_cpu(r->type)) {
	case MARS_LOG_WRITE:
		memcpy(disk + pos, payload + pos % MARS_LOG_BLOCK, len);
		break;
	case MARS_LOG_DISCARD:
	case MARS_LOG_ZEROES:
		memset(disk + pos, 0, len);
		break;
	}
}

void bed_model(const struct mklog *m, u64 from, u64 to, u8 *disk)
{
	u32 k, i;

	for (k = 0; k < m->nr_groups; k++) {
		const struct mars_log_group *g = mklog_group(m, k);

		if (m->start[k] >= from && group_end(m, k) <= to)
			for (i = 0; i < le32_to_cpu(g->nr_records); i++)
				model_record(g, mars_log_record(g, i), disk);
	}
}

void bed_pattern(u8 *disk)
{
	u32 i;

	for (i = 0; i < BED_DEVICE; i++)
		disk[i] = (u8)(i * 7 + (i >> 12));
}

struct faulty_image *bed_image(void)
{
	struct faulty_image *image = faulty_image_new(BED_DEVICE, BED_DEVICE);

	CHECK(image);
	bed_pattern(image->data);
	return image;
}

/* --- the bricks --- */

static void must(int err, enum mars_reason reason)
{
	if (err)
		fprintf(stderr, "error %d, reason %d\n", err, reason);
	CHECK(!err);
}

static void switch_brick(const char *name, bool on)
{
	enum mars_reason reason;
	int err = mars_brick_switch(name, on, &reason);

	must(err, reason);
}

static void wire(const char *name, u32 input, const char *to)
{
	enum mars_reason reason;
	int err = mars_brick_connect(name, input, to, &reason);

	must(err, reason);
}

/* --- events, for real threads --- */

static DECLARE_COMPLETION(event);

static void on_event(void)
{
	complete(&event);
}

/* The hook tells of a brick's first event only, so take them all before looking. */
static void take_events(void)
{
	struct mars_ctl_status st;

	while (mars_event_next(&st))
		;
}

void bed_wait(bool (*reached)(void))
{
	for (;;) {
		take_events();
		if (reached())
			return;
		wait_for_completion(&event);
	}
}

/* --- setting up and taking down --- */

static struct mars_brick *log_disk(const struct mklog *m, const struct faulty_config *config)
{
	struct faulty_image *image = faulty_image_new(m->len, m->len);
	struct mars_brick *disk;

	CHECK(image);
	memcpy(image->data, m->buf, m->len);
	disk = faulty_create("log", image, config);
	faulty_image_free(image);
	CHECK(disk);
	return disk;
}

void bed_open(struct bed *b, const struct mklog *m, const struct faulty_image *data,
	      const struct faulty_config *config, u64 start, u64 end)
{
	enum mars_reason reason;
	int err;

	mars_event_hook = on_event;
	memset(b, 0, sizeof(*b));
	b->data = faulty_create("data", data, config);
	CHECK(b->data);
	b->log = log_disk(m, config);
	err = mars_brick_create("check", "referee", &reason);
	must(err, reason);
	err = mars_brick_create("replay", "replay", &reason);
	must(err, reason);
	wire("referee", 0, "data");
	wire("replay", 0, "referee");
	wire("replay", 1, "log");
	switch_brick("data", true);
	switch_brick("log", true);
	switch_brick("referee", true);
	err = mars_brick_set("replay", MARS_K_REPLAY_IDENT, 0, (const char *)&m->id,
			     sizeof(m->id), &reason);
	must(err, reason);
	CHECK(!bed_set(MARS_K_REPLAY_START, start));
	CHECK(!bed_set(MARS_K_REPLAY_END, end));
}

static struct mars_ctl_status status_of(const char *name)
{
	struct mars_ctl_status st;

	memset(&st, 0, sizeof(st));
	st.hdr.size = sizeof(st);
	st.hdr.version = MARS_ABI_VERSION;
	st.hdr.verb = MARS_VERB_STATUS;
	strcpy(st.name, name);
	CHECK(!mars_control(&st, sizeof(st)));
	return st;
}

static void check_referee(const struct bed *b)
{
	struct mars_ctl_status st = status_of("referee");

	CHECK_EQ(st.val[MARS_V_CHECK_TWICE], 0);
	CHECK_EQ(st.val[MARS_V_CHECK_BUFFER], 0);
	CHECK_EQ(st.val[MARS_V_CHECK_OVERLAP], 0);
	CHECK_EQ(st.val[MARS_V_CHECK_RANGE], 0);
	CHECK_EQ(st.val[MARS_V_CHECK_ALIGN], 0);
	CHECK_EQ(st.val[MARS_V_CHECK_VEC], 0);
	CHECK_EQ(st.val[MARS_V_CHECK_IN_FLIGHT], 0);
}

static void pass_time(void)
{
	if (exec_current_mode() == EXEC_SIM)
		CHECK(exec_step());
	else
		wait_for_completion(&event);
}

/* Routes and kept clones are released by work items; until then a brick is in use. */
static void destroy(const char *name)
{
	enum mars_reason reason;

	for (;;) {
		take_events();
		if (!mars_brick_switch(name, false, &reason) &&
		    !mars_brick_destroy(name, &reason))
			return;
		CHECK(reason == MARS_R_BUSY_ON || reason == MARS_R_BUSY_USERS);
		pass_time();
	}
}

void bed_close(struct bed *b)
{
	destroy("replay");
	check_referee(b);
	destroy("referee");
	destroy("data");
	destroy("log");
	mars_event_hook = NULL;
}

int bed_power(bool on)
{
	enum mars_reason reason;
	int err = mars_brick_switch("replay", on, &reason);

	return err ? -(int)reason : 0;
}

int bed_set(u32 key, u64 value)
{
	enum mars_reason reason;
	int err = mars_brick_set("replay", key, value, NULL, 0, &reason);

	return err ? -(int)reason : 0;
}

struct mars_ctl_status bed_status(void)
{
	return status_of("replay");
}

u64 bed_val(enum mars_val_replay i)
{
	return bed_status().val[i];
}

void bed_run(enum mars_state state)
{
	while (bed_status().state != state)
		if (!exec_step())
			test_fail(__FILE__, __LINE__, "stuck in state %d at %llu of %llu, not %d",
				  bed_status().state,
				  (unsigned long long)bed_val(MARS_V_REPLAY_CKPT),
				  (unsigned long long)bed_val(MARS_V_REPLAY_END), state);
}

void bed_expect(struct bed *b, const struct mklog *m, u64 pos, bool durable)
{
	u8 *want = malloc(BED_DEVICE), *have = malloc(BED_DEVICE);

	CHECK(want && have);
	bed_pattern(want);
	bed_model(m, 0, pos, want);
	faulty_peek(b->data, 0, have, BED_DEVICE, false);
	CHECK_MEM(have, want, BED_DEVICE);
	if (durable) {
		faulty_peek(b->data, 0, have, BED_DEVICE, true);
		CHECK_MEM(have, want, BED_DEVICE);
	}
	free(want);
	free(have);
}
