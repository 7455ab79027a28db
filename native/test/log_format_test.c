// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * log_format_test.c - the scanner of log format 1 against every damage we know
 *
 * The golden logs in native/test/golden pin the format: if their bytes change,
 * the format has changed.  `log_format_test --write-golden` writes them anew.
 *
 * The strongest statement made here: after flipping any bit of a log, the scan
 * never accepts the group that holds it, nor anything behind it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/limits.h>

#include "core/log_format.h"
#include "mklog.h"
#include "test.h"

#define DEVICE	(8ull << 20)

static bool write_golden;

struct scan {
	enum mars_log_verdict verdict;	/* that ended the scan */
	u64 end;			/* of the last valid group; 0 = header is bad */
	u32 groups;
	struct mars_log_cursor cur;
};

static void scan_groups(const u8 *log, size_t len, struct scan *s)
{
	size_t need, total;

	for (;;) {
		s->end = s->cur.offset;
		s->verdict = mars_log_group_check(log + s->end, len - s->end, &s->cur, &need,
						  &total);
		if (s->verdict == MARS_LOG_MORE)
			CHECK(need > len - s->end && need <= MARS_LOG_MAX_GROUP);
		if (s->verdict != MARS_LOG_OK)
			return;
		CHECK(total <= len - s->end);
		mars_log_cursor_next(&s->cur, (const struct mars_log_group *)(log + s->end));
		CHECK_EQ(s->cur.offset, s->end + total);
		s->groups++;
	}
}

static struct scan scan(const u8 *log, size_t len)
{
	struct scan s = { .verdict = MARS_LOG_MORE };

	if (len < MARS_LOG_BLOCK)
		return s;
	s.verdict = mars_log_header_check((const struct mars_log_header *)log, NULL, &s.cur);
	if (s.verdict == MARS_LOG_OK)
		scan_groups(log, len, &s);
	return s;
}

/* Scan a copy that ends where the allocation ends: reading on is caught. */
static struct scan scan_exact(const u8 *log, size_t len)
{
	u8 *copy = malloc(len ? len : 1);
	struct scan s;

	CHECK(copy);
	memcpy(copy, log, len);
	s = scan(copy, len);
	free(copy);
	return s;
}

static void fill(u8 *p, size_t len, u32 seed)
{
	size_t i;

	for (i = 0; i < len; i++) {
		seed = seed * 1664525u + 1013904223u;
		p[i] = (u8)(seed >> 24);
	}
}

/* --- golden logs --- */

/* Every record type, odd positions, several records a group, a preallocated tail. */
static void build_all_types(struct mklog *m)
{
	u8 data[3 * 4096];

	fill(data, sizeof(data), 1);
	mklog_init(m, NULL, DEVICE);
	mklog_write(m, 0, data, 4096);
	mklog_commit(m);
	mklog_write(m, 12288 + 100, data, 5000);	/* two pages, zeros on both sides */
	mklog_discard(m, 65536, 1 << 20);
	mklog_write(m, 4095, data + 77, 2);		/* two bytes, two pages */
	mklog_zeroes(m, 512, 1024, true);
	mklog_zeroes(m, DEVICE - 4096, 4096, false);
	mklog_commit(m);
	mklog_mark(m, 42);
	mklog_commit(m);
	mklog_undo(m, 0, data + 4096, 512);
	mklog_write(m, DEVICE - 1, data, 1);
	mklog_commit(m);
	mklog_zeros(m, 2);
}

/* Second log of a chain, ended by its last group: no tail. */
static void build_successor(struct mklog *m, const struct mklog *prev, u64 prev_length)
{
	struct mars_log_ident id;
	u8 data[4096];

	mklog_ident(&id, 2, "hostb");
	id.timeline = 2;
	id.prev_number = prev->id.number;
	id.prev_length = prev_length;
	memcpy(id.prev_digest, prev->digest, sizeof(id.prev_digest));
	memcpy(id.prev_origin, prev->id.origin, sizeof(id.prev_origin));
	memset(data, 'm', sizeof(data));
	mklog_init(m, &id, DEVICE);
	mklog_write(m, 8192, data, sizeof(data));
	mklog_commit(m);
}

static const char *golden_path(const char *name)
{
	static char path[512];
	const char *slash = strrchr(__FILE__, '/');

	snprintf(path, sizeof(path), "%.*sgolden/%s", slash ? (int)(slash + 1 - __FILE__) : 0,
		 __FILE__, name);
	return path;
}

static void golden_file(const struct mklog *m, const char *name)
{
	FILE *f = fopen(golden_path(name), write_golden ? "wb" : "rb");
	u8 *have;

	if (!f)
		fprintf(stderr, "cannot open %s\n", golden_path(name));
	CHECK(f);
	if (write_golden) {
		CHECK_EQ(fwrite(m->buf, 1, m->len, f), m->len);
	} else {
		have = malloc(m->len + 1);
		CHECK(have);
		CHECK_EQ(fread(have, 1, m->len + 1, f), m->len);
		CHECK(!memcmp(have, m->buf, m->len));
		free(have);
	}
	CHECK(!fclose(f));
}

static void test_golden(void)
{
	struct mklog a, b;
	struct scan s;

	build_all_types(&a);
	golden_file(&a, "log-000000001-hosta");
	s = scan(a.buf, a.len);
	CHECK_EQ(s.verdict, MARS_LOG_CLEAN_END);
	CHECK_EQ(s.groups, 4);
	CHECK_EQ(s.end, a.len - 2 * 4096);
	CHECK(!memcmp(s.cur.digest, a.digest, sizeof(a.digest)));

	build_successor(&b, &a, s.end);
	golden_file(&b, "log-000000002-hostb");
	s = scan_exact(b.buf, b.len);
	CHECK_EQ(s.verdict, MARS_LOG_MORE);
	CHECK_EQ(s.end, b.len);
	mklog_free(&b);
	mklog_free(&a);
}

/* --- damage --- */

/* Where the group (or header, or tail) holding byte @at starts. */
static u64 home_of(const struct mklog *m, u64 at, u64 end)
{
	u64 home = 0;
	u32 k;

	if (at >= end)
		return end;
	for (k = 0; k < m->nr_groups && m->start[k] <= at; k++)
		home = m->start[k];
	return home;
}

static void test_flip_each_byte(void)
{
	struct mklog m;
	u64 end, at;
	u8 mask;

	build_all_types(&m);
	end = m.len - 2 * 4096;
	for (at = 0; at < m.len; at++) {
		mask = (u8)(1u << (at % 8));
		do {
			struct scan s;

			m.buf[at] ^= mask;
			s = scan(m.buf, m.len);
			m.buf[at] ^= mask;
			CHECK_EQ(s.end, home_of(&m, at, end));
			/* only behind the first block of zeros a flip may go unseen */
			if (at < end + 4096)
				CHECK(s.verdict != MARS_LOG_OK && s.verdict != MARS_LOG_CLEAN_END);
			mask = mask == 0xff ? 0 : 0xff;
		} while (mask);
	}
	mklog_free(&m);
}

/* A byte changed by someone who also fixes the crc: here, or by the next group's chain. */
static void test_forged_descriptor(void)
{
	struct mklog m;
	u32 k, at;

	build_all_types(&m);
	for (k = 0; k + 1 < m.nr_groups; k++) {
		struct mars_log_group *g = mklog_group(&m, k);
		u32 desc = le32_to_cpu(g->desc_size);
		u8 saved[MARS_LOG_BLOCK];

		CHECK_EQ(desc, sizeof(saved));
		memcpy(saved, g, desc);
		for (at = 8; at < desc; at++) {
			struct scan s;

			((u8 *)g)[at] ^= 1u << (at % 8);
			g->crc = 0;
			g->crc = cpu_to_le32(mars_log_crc(0, g, desc));
			s = scan(m.buf, m.len);
			CHECK(s.verdict != MARS_LOG_CLEAN_END && s.verdict != MARS_LOG_MORE);
			if (s.end != m.start[k]) {
				CHECK_EQ(s.end, m.start[k + 1]);
				CHECK(s.verdict == MARS_LOG_BAD_CHAIN ||
				      s.verdict == MARS_LOG_BAD_TIME);
			}
			memcpy(g, saved, desc);
		}
	}
	mklog_free(&m);
}

/* Which verdict each field earns; crc made right, so the field itself is judged. */
static void test_verdict_of_each_field(void)
{
	struct mklog m;
	struct mars_log_group *g;
	struct mars_log_record *r;
	struct mars_log_group saved;
	struct mars_log_record first[5];

	build_all_types(&m);
	g = mklog_group(&m, 1);
	r = (struct mars_log_record *)(g + 1);
	saved = *g;
	memcpy(first, r, sizeof(first));

#define EXPECT(change, want) do {					\
		struct scan s_;						\
		change;							\
		g->crc = 0;						\
		g->crc = cpu_to_le32(mars_log_crc(0, g, MARS_LOG_BLOCK)); \
		s_ = scan(m.buf, m.len);				\
		CHECK_EQ(s_.verdict, want);				\
		CHECK_EQ(s_.end, m.start[1]);				\
		*g = saved;						\
		memcpy(r, first, sizeof(first));			\
	} while (0)

	EXPECT(g->magic ^= cpu_to_le32(1), MARS_LOG_BAD_MAGIC);
	EXPECT(g->desc_size = cpu_to_le32(2 * 4096), MARS_LOG_BAD_SIZE);
	EXPECT(g->desc_size = 0, MARS_LOG_BAD_SIZE);
	EXPECT(g->desc_size = cpu_to_le32(~0u), MARS_LOG_BAD_SIZE);
	EXPECT(g->payload_size = cpu_to_le32(MARS_LOG_MAX_PAYLOAD + 4096), MARS_LOG_BAD_SIZE);
	EXPECT(g->payload_size = cpu_to_le32(4095), MARS_LOG_BAD_SIZE);
	EXPECT(g->payload_size = cpu_to_le32(4096), MARS_LOG_BAD_SIZE);
	EXPECT(g->raw_payload_size = 0, MARS_LOG_BAD_SIZE);
	EXPECT(g->nr_records = 0, MARS_LOG_BAD_SIZE);
	EXPECT(g->nr_records = cpu_to_le32(~0u), MARS_LOG_BAD_SIZE);
	EXPECT(g->nr_records = cpu_to_le32(6), MARS_LOG_BAD_RECORD);
	EXPECT(g->nr_records = cpu_to_le32(2), MARS_LOG_BAD_SIZE);
	EXPECT(g->salt[15] ^= 1, MARS_LOG_BAD_SALT);
	EXPECT(g->offset = cpu_to_le64(4096), MARS_LOG_BAD_PLACE);
	EXPECT(g->sequence = cpu_to_le64(3), MARS_LOG_BAD_PLACE);
	EXPECT(g->sequence = 0, MARS_LOG_BAD_PLACE);
	EXPECT(g->lamport = cpu_to_le64(1), MARS_LOG_BAD_TIME);
	EXPECT(g->prev_digest[0] ^= 1, MARS_LOG_BAD_CHAIN);
	EXPECT(g->compression = 1, MARS_LOG_BAD_FORMAT);
	EXPECT(g->pad0[1] = 1, MARS_LOG_BAD_RECORD);
	EXPECT(g->pad1 = 1, MARS_LOG_BAD_RECORD);
	EXPECT(g->pad2[39] = 1, MARS_LOG_BAD_RECORD);

	EXPECT(r[0].type = 0, MARS_LOG_BAD_RECORD);
	EXPECT(r[0].type = cpu_to_le16(6), MARS_LOG_BAD_RECORD);
	EXPECT(r[0].type = cpu_to_le16(MARS_LOG_DISCARD), MARS_LOG_BAD_RECORD);
	EXPECT(r[0].flags = cpu_to_le16(MARS_LOG_NOUNMAP), MARS_LOG_BAD_RECORD);
	EXPECT(r[3].flags = cpu_to_le16(3), MARS_LOG_BAD_RECORD);
	EXPECT(r[0].payload_off = cpu_to_le32(4096), MARS_LOG_BAD_RECORD);
	EXPECT(r[2].payload_off = 0, MARS_LOG_BAD_RECORD);	/* overlaps record 0 */
	EXPECT(r[0].pos = cpu_to_le64(DEVICE - 4999), MARS_LOG_BAD_RECORD);
	EXPECT(r[0].pos = cpu_to_le64(~0ull - 10), MARS_LOG_BAD_RECORD);
	EXPECT(r[0].len = 0, MARS_LOG_BAD_RECORD);
	EXPECT(r[0].len = cpu_to_le64(MARS_LOG_MAX_WRITE + 1), MARS_LOG_BAD_RECORD);
	EXPECT(r[0].len = cpu_to_le64(~0ull), MARS_LOG_BAD_RECORD);
	EXPECT(r[0].len = cpu_to_le64(100), MARS_LOG_BAD_RECORD); /* next one is then misplaced */
	EXPECT(r[0].crc ^= cpu_to_le32(1), MARS_LOG_BAD_PAYLOAD);
	EXPECT(r[0].lamport = cpu_to_le64(~0ull), MARS_LOG_BAD_TIME);
	EXPECT(r[0].pad = 1, MARS_LOG_BAD_RECORD);
	EXPECT(r[0].reserved[7] = 1, MARS_LOG_BAD_RECORD);
	EXPECT(r[1].len = 0, MARS_LOG_BAD_RECORD);
	EXPECT(r[1].len = cpu_to_le64(DEVICE), MARS_LOG_BAD_RECORD);
	EXPECT(r[1].crc = 1, MARS_LOG_BAD_RECORD);
	EXPECT(r[1].payload_off = cpu_to_le32(4096), MARS_LOG_BAD_RECORD);
#undef EXPECT
	CHECK_EQ(scan(m.buf, m.len).verdict, MARS_LOG_CLEAN_END);

	/* padding around data is zero even if the crc agrees with it */
	((u8 *)g)[MARS_LOG_BLOCK] = 1;
	r[0].crc = cpu_to_le32(mars_log_crc(0, (u8 *)g + MARS_LOG_BLOCK, 8192));
	mklog_reseal(g);
	CHECK_EQ(scan(m.buf, m.len).verdict, MARS_LOG_BAD_RECORD);
	mklog_free(&m);
}

/* The same cut where blocks were allocated before: the rest is zeros, or all ones. */
static void cut_in_preallocated_space(const struct mklog *m, u64 end)
{
	u8 *copy = malloc(m->len);
	u64 len;

	CHECK(copy);
	for (len = 4096; len < end; len += 512) {
		u64 home = home_of(m, len, end), next = home;
		struct scan s;

		while (home_of(m, next, end) == home)
			next += 4096;
		memcpy(copy, m->buf, len);
		memset(copy + len, 0, m->len - len);
		s = scan(copy, m->len);
		if (!memcmp(copy + home, m->buf + home, next - home))
			CHECK_EQ(s.end, next);		/* only zeros were cut off */
		else
			CHECK_EQ(s.end, home);
		CHECK(s.verdict == MARS_LOG_BAD_CRC || s.verdict == MARS_LOG_BAD_PAYLOAD ||
		      (s.verdict == MARS_LOG_CLEAN_END && (s.end == next || len == home)));
		memset(copy + len, 0xff, m->len - len);
		s = scan(copy, m->len);
		CHECK_EQ(s.end, home);
		CHECK(s.verdict != MARS_LOG_OK && s.verdict != MARS_LOG_CLEAN_END);
	}
	free(copy);
}

static void test_cut_everywhere(void)
{
	struct mklog m;
	u64 end, len;

	build_all_types(&m);
	end = m.len - 2 * 4096;
	for (len = 0; len <= end; len += len % 4096 < 64 || len % 4096 > 4000 ? 1 : 61) {
		struct scan s = scan_exact(m.buf, len);
		u64 want = len < 4096 ? 0 : home_of(&m, len, end);

		CHECK_EQ(s.verdict, MARS_LOG_MORE);
		CHECK_EQ(s.end, want ? want : (len < 4096 ? 0 : 4096));
	}
	cut_in_preallocated_space(&m, end);
	mklog_free(&m);
}

/* Groups that are perfect, but somewhere else: duplicated, of an older file, reordered. */
static void test_stale_groups(void)
{
	struct mars_log_ident other;
	struct mklog m, old;
	u8 data[4096];
	struct scan s;
	u32 k;

	mklog_ident(&other, 1, "hosta");
	other.salt[3] ^= 0x40;
	mklog_init(&m, NULL, DEVICE);
	mklog_init(&old, &other, DEVICE);
	for (k = 0; k < 6; k++) {
		memset(data, 'a' + k, sizeof(data));
		mklog_write(&m, k * 4096, data, sizeof(data));
		mklog_write(&old, k * 4096, data, sizeof(data));
		mklog_commit(&m);
		mklog_commit(&old);
	}
	CHECK_EQ(m.len, old.len);
	/* the area was used before: the new log ends, the old one goes on behind it */
	memcpy(m.buf + m.start[3], old.buf + m.start[3], m.len - m.start[3]);
	s = scan(m.buf, m.len);
	CHECK_EQ(s.verdict, MARS_LOG_BAD_SALT);
	CHECK_EQ(s.end, m.start[3]);
	/* the same group once more */
	memcpy(m.buf + m.start[3], m.buf + m.start[2], 8192);
	s = scan(m.buf, m.len);
	CHECK_EQ(s.verdict, MARS_LOG_BAD_PLACE);
	CHECK_EQ(s.end, m.start[3]);
	/* payloads of equal size change places */
	memcpy(data, m.buf + m.start[0] + 4096, 4096);
	memcpy(m.buf + m.start[0] + 4096, m.buf + m.start[1] + 4096, 4096);
	memcpy(m.buf + m.start[1] + 4096, data, 4096);
	s = scan(m.buf, m.len);
	CHECK_EQ(s.verdict, MARS_LOG_BAD_PAYLOAD);
	CHECK_EQ(s.end, 4096);
	mklog_free(&old);
	mklog_free(&m);
}

/* Same salt, same place, different history: only the chain can tell. */
static void test_fork_with_same_salt(void)
{
	struct mklog a, b;
	struct scan s;
	u8 data[4096];
	u32 k;

	mklog_init(&a, NULL, DEVICE);
	mklog_init(&b, NULL, DEVICE);
	for (k = 0; k < 4; k++) {
		memset(data, k == 1 ? 'A' : 'x', sizeof(data));
		mklog_write(&a, 0, data, sizeof(data));
		memset(data, k == 1 ? 'B' : 'x', sizeof(data));
		mklog_write(&b, 0, data, sizeof(data));
		mklog_commit(&a);
		mklog_commit(&b);
	}
	memcpy(a.buf + a.start[2], b.buf + a.start[2], a.len - a.start[2]);
	s = scan(a.buf, a.len);
	CHECK_EQ(s.verdict, MARS_LOG_BAD_CHAIN);
	CHECK_EQ(s.end, a.start[2]);
	mklog_free(&b);
	mklog_free(&a);
}

/* Payload that fools weak checksums: constant pages, equal halves, two equal pages. */
static void test_degenerate_payload(void)
{
	static const u8 pattern[] = { 0x00, 0xff, 0x53, 0x01 };
	struct mklog m;
	u8 data[8192];
	u64 end;
	u32 i;

	mklog_init(&m, NULL, DEVICE);
	for (i = 0; i < sizeof(pattern); i++) {
		memset(data, pattern[i], sizeof(data));
		mklog_write(&m, i * 8192, data, sizeof(data));
		mklog_commit(&m);
	}
	fill(data, 4096, 9);
	memcpy(data + 4096, data, 4096);
	mklog_write(&m, 0, data, sizeof(data));
	mklog_commit(&m);
	fill(data, 2048, 7);
	memcpy(data + 2048, data, 2048);
	mklog_write(&m, 0, data, 4096);
	mklog_commit(&m);
	end = m.len;
	CHECK_EQ(scan_exact(m.buf, m.len).end, end);

	/* wipe any single block with a constant: the group is gone, whatever it held */
	for (i = 1; i < end / 4096; i++) {
		u32 k;

		for (k = 0; k < sizeof(pattern); k++) {
			u8 saved[4096], *block = m.buf + i * 4096;
			struct scan s;

			memcpy(saved, block, 4096);
			memset(block, pattern[k], 4096);
			s = scan(m.buf, m.len);
			if (memcmp(saved, block, 4096))
				CHECK_EQ(s.end, home_of(&m, i * 4096, end));
			else
				CHECK_EQ(s.end, end);
			memcpy(block, saved, 4096);
		}
	}
	mklog_free(&m);
}

/* --- the rest of the contract --- */

static void test_header(void)
{
	struct mars_log_ident id, back, want;
	struct mars_log_header *h;
	struct mars_log_cursor cur;
	struct mklog a, b;

	build_all_types(&a);
	build_successor(&b, &a, a.len - 8192);
	h = (struct mars_log_header *)b.buf;
	id = b.id;
	CHECK_EQ(mars_log_header_check(h, &id, &cur), MARS_LOG_OK);
	CHECK_EQ(cur.offset, 4096);
	CHECK_EQ(cur.sequence, 1);
	CHECK_EQ(cur.device_size, DEVICE);
	mars_log_header_ident(h, &back);
	CHECK(!memcmp(&back, &id, sizeof(id)));
	memset(&want, 0, sizeof(want));
	CHECK_EQ(mars_log_header_check(h, &want, NULL), MARS_LOG_OK);

#define DIFFERS(change) do {							\
		want = id;							\
		change;								\
		CHECK_EQ(mars_log_header_check(h, &want, NULL), MARS_LOG_BAD_IDENT); \
	} while (0)
	DIFFERS(want.cluster[0] ^= 1);
	DIFFERS(want.resource[15] ^= 1);
	DIFFERS(want.salt[7] ^= 1);
	DIFFERS(want.number = 3);
	DIFFERS(want.prev_number = 9);
	DIFFERS(want.prev_length += 4096);
	DIFFERS(want.prev_digest[2] ^= 1);
	DIFFERS(want.timeline = 7);
	DIFFERS(strcpy(want.origin, "host"));
	DIFFERS(strcpy(want.prev_origin, "hostab"));
#undef DIFFERS

#define FORGED(change, verdict) do {					\
		struct mars_log_header saved_ = *h;			\
		change;							\
		mklog_reseal_header(h);					\
		CHECK_EQ(mars_log_header_check(h, NULL, NULL), verdict); \
		*h = saved_;						\
	} while (0)
	FORGED(h->magic[7] = ' ', MARS_LOG_BAD_MAGIC);
	FORGED(h->format = cpu_to_le32(2), MARS_LOG_BAD_FORMAT);
	FORGED(h->incompat = cpu_to_le64(1), MARS_LOG_BAD_FORMAT);
	FORGED(h->size = cpu_to_le32(8192), MARS_LOG_BAD_SIZE);
	FORGED(h->device_size = cpu_to_le64((u64)S64_MAX + 1), MARS_LOG_BAD_SIZE);
	FORGED(h->device_size = cpu_to_le64(S64_MAX), MARS_LOG_OK);
	FORGED(h->pad0 = 1, MARS_LOG_BAD_FORMAT);
	FORGED(h->reserved[0] = 1, MARS_LOG_BAD_FORMAT);
	FORGED(h->number = 0, MARS_LOG_BAD_IDENT);
	FORGED(h->number = cpu_to_le64(1), MARS_LOG_BAD_IDENT);	/* not behind its predecessor */
	FORGED(memset(h->origin, 'x', 64), MARS_LOG_BAD_IDENT);
	FORGED(h->origin[0] = 0, MARS_LOG_BAD_IDENT);
	FORGED(h->origin[63] = 'x', MARS_LOG_BAD_IDENT);
	FORGED(h->prev_origin[0] = 0, MARS_LOG_BAD_IDENT);
	FORGED(h->prev_length = 0, MARS_LOG_BAD_IDENT);
	FORGED(h->prev_length = cpu_to_le64(5000), MARS_LOG_BAD_IDENT);
	FORGED(h->prev_number = 0, MARS_LOG_BAD_IDENT);
	/* a compatible feature we do not know may use what is reserved */
	FORGED((h->compat = cpu_to_le64(1), h->reserved[9] = 9), MARS_LOG_OK);
#undef FORGED
	mklog_free(&b);
	mklog_free(&a);
}

/* A scan that starts at a known position in the middle trusts only the chain there. */
static void test_start_in_the_middle(void)
{
	struct mars_log_cursor head;
	struct mklog m;
	u32 k;

	build_all_types(&m);
	CHECK_EQ(mars_log_header_check((void *)m.buf, NULL, &head), MARS_LOG_OK);
	for (k = 0; k < m.nr_groups; k++) {
		struct scan s = { .cur = head };

		s.cur.offset = m.start[k];
		s.cur.sequence = 0;
		s.cur.digest_known = false;
		scan_groups(m.buf, m.len, &s);
		CHECK_EQ(s.verdict, MARS_LOG_CLEAN_END);
		CHECK_EQ(s.groups, m.nr_groups - k);
		CHECK(!memcmp(s.cur.digest, m.digest, sizeof(m.digest)));
	}
	mklog_free(&m);
}

static void test_limits(void)
{
	u8 *data = malloc(MARS_LOG_MAX_WRITE);
	struct mars_log_group *g;
	struct mklog m;
	u32 i;

	CHECK(data);
	fill(data, MARS_LOG_MAX_WRITE, 5);
	mklog_init(&m, NULL, 0);
	for (i = 0; i < MARS_LOG_MAX_RECORDS; i++)
		mklog_write(&m, (u64)i * 4096, data + i, 4096);
	CHECK_EQ(m.payload_size, MARS_LOG_MAX_PAYLOAD);
	CHECK(mklog_full(&m, 0, 1));
	mklog_commit(&m);
	mklog_write(&m, (1ull << 62) + 1, data, MARS_LOG_MAX_WRITE);
	CHECK(mklog_full(&m, 0, MARS_LOG_MAX_WRITE));
	mklog_commit(&m);
	mklog_discard(&m, 0, S64_MAX);
	mklog_commit(&m);
	CHECK_EQ(scan_exact(m.buf, m.len).end, m.len);

	g = mklog_group(&m, 2);
	((struct mars_log_record *)(g + 1))->len = cpu_to_le64((u64)S64_MAX + 1);
	mklog_reseal(g);
	CHECK_EQ(scan_exact(m.buf, m.len).verdict, MARS_LOG_BAD_RECORD);

	g = mklog_group(&m, 0);
	g->nr_records = cpu_to_le32(MARS_LOG_MAX_RECORDS + 1);
	mklog_reseal(g);
	CHECK_EQ(scan_exact(m.buf, m.len).verdict, MARS_LOG_BAD_SIZE);
	mklog_free(&m);
	free(data);
}

static void test_names_and_crc(void)
{
	int v;

	CHECK_EQ(mars_log_crc(0, "123456789", 9), 0xe3069283u);
	CHECK_EQ(mars_log_crc(mars_log_crc(0, "1234", 4), "56789", 5), 0xe3069283u);
	for (v = MARS_LOG_OK; v <= MARS_LOG_BAD_TIME; v++)
		CHECK(strcmp(mars_log_verdict_name(v), "unknown"));
	CHECK(!strcmp(mars_log_verdict_name(MARS_LOG_BAD_CRC), "bad-crc"));
	CHECK(!strcmp(mars_log_verdict_name(99), "unknown"));
}

int main(int argc, char **argv)
{
	write_golden = argc > 1 && !strcmp(argv[1], "--write-golden");
	RUN(test_names_and_crc);
	RUN(test_golden);
	RUN(test_header);
	RUN(test_verdict_of_each_field);
	RUN(test_flip_each_byte);
	RUN(test_forged_descriptor);
	RUN(test_cut_everywhere);
	RUN(test_stale_groups);
	RUN(test_fork_with_same_salt);
	RUN(test_degenerate_payload);
	RUN(test_start_in_the_middle);
	RUN(test_limits);
	return test_done();
}
