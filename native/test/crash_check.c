// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crash_check.c - all crashes of one moment, checked against what was promised
 *
 * See crash_bed.h for the method.  A *unit* is a sector that the crash may lose or
 * keep.  Units that would change nothing (zeros on zeros: most of a descriptor) are
 * left out, so small sequences have few and every subset can be tried; otherwise the
 * subsets are: none, all, each one missing, each one alone, each front part, and
 * random ones.
 */
#include <linux/kernel.h>

#include "crash_bed.h"

#define UNITS		256
#define OUTCOMES	64

struct unit_copy {
	unsigned int log;	/* unused for the data disk */
	u64 pos;
	u32 len;
	u8 *data;		/* kept for the next of that index */
};

/* Sectors of one or several disks that are on their way. */
struct units {
	unsigned int nr, log;
	u8 *image[CRASH_LOGS];	/* durable contents, by log; the data disk is 0 */
	u64 size;		/* bytes of each that are looked at */
	bool overflow;
	struct unit_copy unit[UNITS];
	bool keep[UNITS];
};

static struct units logs, data;
static struct crash_scan outcome[OUTCOMES];
static unsigned int nr_outcomes;

/* --- what is on its way --- */

static bool touched(const struct units *u, const struct faulty_unit *unit)
{
	unsigned int i;

	for (i = 0; i < u->nr; i++)
		if (u->unit[i].log == u->log && u->unit[i].pos < unit->pos + unit->len &&
		    unit->pos < u->unit[i].pos + u->unit[i].len)
			return true;
	return false;
}

static u8 *resize(u8 *p, size_t size)
{
	p = realloc(p, size);
	CHECK(p);
	return p;
}

static bool all_zero(const u8 *p, u32 len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

static void take_unit(void *ctx, const struct faulty_unit *unit)
{
	struct units *u = ctx;
	struct unit_copy *copy = &u->unit[u->nr];

	if (unit->grow)
		return;
	if (unit->pos >= u->size) {	/* zeroes ahead */
		u->overflow |= !all_zero(unit->data, unit->len);
		return;
	}
	if (!memcmp(u->image[u->log] + unit->pos, unit->data, unit->len) && !touched(u, unit))
		return;
	if (u->nr == UNITS) {
		u->overflow = true;
		return;
	}
	copy->log = u->log;
	copy->pos = unit->pos;
	copy->len = unit->len;
	copy->data = resize(copy->data, unit->len);
	memcpy(copy->data, unit->data, unit->len);
	u->nr++;
}

static void take_disk(struct units *u, unsigned int log, struct mars_brick *disk, u64 size)
{
	u->image[log] = resize(u->image[log], size);
	u->log = log;
	u->size = size;
	faulty_peek(disk, 0, u->image[log], size, true);
	faulty_units(disk, take_unit, u);
}

static void take_moment(struct crash_bed *b)
{
	unsigned int i;

	logs.nr = 0;
	data.nr = 0;
	take_disk(&data, 0, b->data, b->device);
	for (i = b->past_logs; i < b->nr_logs; i++)
		take_disk(&logs, i, b->log[i], b->log_bytes);
	CRASH_CHECK(b, !logs.overflow && !data.overflow);
}

/* --- subsets --- */

static u64 nr_subsets(const struct crash_bed *b, const struct units *u)
{
	return u->nr <= b->all_units ? 1ull << u->nr : 2 + 3 * u->nr + b->random_subsets;
}

/* Does unit @k survive in subset @i? */
static bool in_subset(struct crash_bed *b, const struct units *u, u64 i, unsigned int k)
{
	if (u->nr <= b->all_units)
		return i >> k & 1;
	if (i < 2)
		return i;
	i -= 2;
	if (i < u->nr)
		return k != i;
	if (i < 2 * u->nr)
		return k == i - u->nr;
	if (i < 3 * u->nr)
		return k < i - 2 * u->nr;
	return crash_random(&b->rnd, 2);
}

static void choose(struct crash_bed *b, struct units *u, u64 i)
{
	unsigned int k;

	for (k = 0; k < u->nr; k++)
		u->keep[k] = in_subset(b, u, i, k);
}

/* Let the units kept change copies of the images; later ones win. */
static void apply_units(const struct units *u, u8 *const image[])
{
	unsigned int k;

	for (k = 0; k < u->nr; k++)
		if (u->keep[k])
			memcpy(image[u->unit[k].log] + u->unit[k].pos, u->unit[k].data,
			       u->unit[k].len);
}

static void restore(const struct units *u, u8 *const image[])
{
	unsigned int k;

	for (k = 0; k < u->nr; k++)
		memcpy(image[u->unit[k].log] + u->unit[k].pos,
		       u->image[u->unit[k].log] + u->unit[k].pos, u->unit[k].len);
}

static char *keep_text(const struct units *u, char *p)
{
	unsigned int k;

	for (k = 0; k < u->nr && k < 100; k++)
		*p++ = u->keep[k] ? '1' : '0';
	if (!u->nr)
		*p++ = '-';
	*p = 0;
	return p;
}

/* --- the scan: what a recovery finds --- */

/*
 * The operation a record belongs to; -1 = none: it was never written like that.  When
 * memory is in pieces a write becomes several records, in rising order.
 */
static int find_op(const struct crash_bed *b, const struct crash_scan *s,
		   const struct mars_log_record *r, const u8 *payload)
{
	u64 pos = le64_to_cpu(r->pos), len = le64_to_cpu(r->len);
	unsigned int i;

	for (i = b->past_ops; i < b->nr_ops; i++) {
		const struct crash_op *op = &b->op[i];
		u64 at = s->found[i];

		if (!op->change || op->type != le16_to_cpu(r->type) || at == op->len ||
		    op->pos + at != pos || len > op->len - at)
			continue;
		if (op->op != XIO_WRITE ||
		    !memcmp(payload + le32_to_cpu(r->payload_off) + pos % 4096, op->data + at, len))
			return (int)i;
	}
	return -1;
}

static void scan_group(struct crash_bed *b, struct crash_scan *s, const struct mars_log_group *g)
{
	const u8 *payload = (const u8 *)g + le32_to_cpu(g->desc_size);
	u32 i;

	for (i = 0; i < le32_to_cpu(g->nr_records); i++) {
		const struct mars_log_record *r = mars_log_record(g, i);
		int op = find_op(b, s, r, payload);

		CRASH_CHECK(b, op >= 0 && s->nr < ARRAY_SIZE(s->rec));
		s->rec[s->nr].op = op;
		s->rec[s->nr].pos = le64_to_cpu(r->pos);
		s->rec[s->nr].len = le64_to_cpu(r->len);
		s->rec[s->nr].group.number = s->log + 1;
		s->rec[s->nr].group.pos = s->cur.offset;
		s->found[op] += s->rec[s->nr].len;
		s->nr++;
	}
}

/* Is the header of the next log there?  If it is, it continues what was found. */
static bool scan_header(struct crash_bed *b, struct crash_scan *s, const u8 *image)
{
	const struct mars_log_header *h = (const void *)image;
	struct mars_log_ident want, have;
	struct mars_log_cursor cur;

	crash_ident(b, &want, s->log);
	if (mars_log_header_check(h, &want, &cur) != MARS_LOG_OK)
		return false;
	mars_log_header_ident(h, &have);
	if (s->log) {
		CRASH_CHECK(b, have.prev_length == s->cur.offset);
		CRASH_CHECK(b, have.prev_number == s->log);
		CRASH_CHECK(b, !memcmp(have.prev_digest, s->cur.digest, MARS_DIGEST_SIZE));
	}
	s->cur = cur;
	return true;
}

/* The logs of an earlier life are as that crash left them. */
static struct crash_scan first_scan(const struct crash_bed *b)
{
	return b->past ? b->past->scan : (struct crash_scan){ 0 };
}

/* Go on from where @s stands, up to the end of the chain. */
static void scan(struct crash_bed *b, struct crash_scan *s, u8 *const image[])
{
	size_t need, total;

	for (;; s->log++, s->begun = false) {
		if (!s->begun) {
			if (s->log == b->nr_logs || !scan_header(b, s, image[s->log]))
				return;
			s->begun = true;
			s->nr_logs++;
		}
		while (mars_log_group_check(image[s->log] + s->cur.offset,
					    b->log_bytes - s->cur.offset, &s->cur, &need,
					    &total) == MARS_LOG_OK) {
			const void *g = image[s->log] + s->cur.offset;

			scan_group(b, s, g);
			mars_log_cursor_next(&s->cur, g);
		}
		s->end[s->log] = s->cur.offset;
	}
}

/* --- the promises --- */

/*
 * All of a write, or nothing; of one that is longer than a commit group there may be less,
 * but nothing behind that.
 */
static bool cut_well(const struct crash_bed *b, const struct crash_scan *s, unsigned int i)
{
	if (!s->found[i] || s->found[i] == b->op[i].len)
		return true;
	b->count->cut++;
	return b->op[i].len > LG_GROUP_PAYLOAD && s->rec[s->nr - 1].op == i;
}

static void check_outcome(struct crash_bed *b, const struct crash_scan *s)
{
	unsigned int at[CRASH_OPS] = { 0 }, i, k;

	for (k = 0; k < s->nr; k++)
		at[s->rec[k].op] = k + 1;
	for (i = b->past_ops; i < b->nr_ops; i++) {
		const struct crash_op *op = &b->op[i];

		bool whole = s->found[i] == op->len;

		CRASH_CHECK(b, cut_well(b, s, i));
		if (!op->completed)
			continue;
		if (op->change && op->promise)
			CRASH_CHECK(b, whole);
		/* what completed before another was submitted comes before it, or that is lost */
		for (k = b->past_ops; k < b->nr_ops; k++) {
			const struct crash_op *later = &b->op[k];

			if (op->change && op->completed < later->submitted) {
				if (later->change)
					CRASH_CHECK(b, !at[k] || (whole && at[i] < at[k]));
				else if (later->completed)
					CRASH_CHECK(b, whole);	/* flushed */
			}
		}
	}
	for (i = 0; i < b->nr_published; i++) {
		const struct crash_pos *p = &b->published[i];

		CRASH_CHECK(b, p->number <= s->nr_logs && p->pos <= s->end[p->number - 1]);
	}
}

static void apply_records(const struct crash_bed *b, const struct crash_scan *s,
			  struct crash_pos from, u8 *disk)
{
	unsigned int k;

	for (k = 0; k < s->nr; k++) {
		const struct crash_pos *g = &s->rec[k].group;

		if (g->number > from.number || (g->number == from.number && g->pos >= from.pos))
			crash_apply(&b->op[s->rec[k].op], s->rec[k].pos, s->rec[k].len, disk);
	}
}

static const struct crash_pos start = { 1, MARS_LOG_BLOCK };

/* One crash of the data disk, one outcome of the logs, each position to recover from. */
static void check_disk(struct crash_bed *b, const struct crash_scan *s, const u8 *disk,
		       const u8 *expect)
{
	static u8 *result;
	unsigned int i;

	result = resize(result, b->device);
	for (i = 0; i < max(b->nr_published, 1u); i++) {
		struct crash_pos from = b->nr_published ? b->published[i] : start;

		b->count->crashes++;
		memcpy(result, disk, b->device);
		apply_records(b, s, from, result);
		if (!memcmp(result, expect, b->device))
			continue;
		sprintf(b->where + strlen(b->where), ", recovered from %llu,%llu with %u records",
			(unsigned long long)from.number, (unsigned long long)from.pos, s->nr);
		CRASH_CHECK(b, !"the recovered disk is the records applied in order");
	}
}

/* --- the walk --- */

static void add_outcome(struct crash_bed *b, const struct crash_scan *s)
{
	unsigned int i;

	for (i = 0; i < nr_outcomes; i++)
		if (outcome[i].nr_logs == s->nr_logs &&
		    !memcmp(outcome[i].end, s->end, sizeof(s->end)))
			return;
	CHECK(nr_outcomes < OUTCOMES);
	outcome[nr_outcomes++] = *s;
	check_outcome(b, s);
}

/* The scan of what is durable, if nothing on its way can change it: a start for all. */
static struct crash_scan common_scan(struct crash_bed *b)
{
	const struct crash_scan first = first_scan(b);
	struct crash_scan s = first;
	unsigned int k;

	scan(b, &s, logs.image);
	for (k = 0; k < logs.nr; k++)
		if (logs.unit[k].log < s.nr_logs && logs.unit[k].pos < s.end[logs.unit[k].log])
			return first;
	if (s.log > first.log) {	/* look again at the end of the last log */
		s.log--;
		s.begun = true;
	}
	return s;
}

static void walk_logs(struct crash_bed *b)
{
	static u8 *image[CRASH_LOGS];
	struct crash_scan common = common_scan(b), s;
	unsigned int i;
	u64 n;

	for (i = b->past_logs; i < b->nr_logs; i++) {
		image[i] = resize(image[i], b->log_bytes);
		memcpy(image[i], logs.image[i], b->log_bytes);
	}
	nr_outcomes = 0;
	for (n = 0; n < nr_subsets(b, &logs); n++) {
		choose(b, &logs, n);
		strcpy(b->where, "sectors kept of the logs ");
		keep_text(&logs, b->where + strlen(b->where));
		apply_units(&logs, image);
		s = common;
		scan(b, &s, image);
		add_outcome(b, &s);
		restore(&logs, image);
		b->count->log_subsets++;
	}
}

static void walk_data(struct crash_bed *b)
{
	static u8 *disk, *expect[OUTCOMES];
	u8 *const image[] = { disk = resize(disk, b->device) };
	unsigned int i;
	u64 n;

	for (i = 0; i < nr_outcomes; i++) {
		expect[i] = resize(expect[i], b->device);
		crash_first(b, expect[i]);
		apply_records(b, &outcome[i], start, expect[i]);
	}
	memcpy(disk, data.image[0], b->device);
	for (n = 0; n < nr_subsets(b, &data); n++) {
		choose(b, &data, n);
		strcpy(b->where, "sectors kept of the data disk ");
		keep_text(&data, b->where + strlen(b->where));
		apply_units(&data, image);
		for (i = 0; i < nr_outcomes; i++)
			check_disk(b, &outcome[i], disk, expect[i]);
		restore(&data, image);
	}
}

/* --- crashes kept for the replay brick --- */

static u8 *copy_of(const u8 *from, size_t len)
{
	u8 *copy = malloc(len);

	CHECK(copy);
	memcpy(copy, from, len);
	return copy;
}

static void keep_case(struct crash_bed *b)
{
	struct crash_case *c = &b->kase[b->nr_cases];
	u8 *image[CRASH_LOGS];
	unsigned int i;

	memset(c, 0, sizeof(*c));
	c->nr_ops = b->nr_ops;
	c->from = b->nr_published ? b->published[crash_random(&b->rnd, b->nr_published)] : start;
	c->data = copy_of(data.image[0], b->device);
	image[0] = c->data;
	choose(b, &data, crash_random(&b->rnd, nr_subsets(b, &data)));
	apply_units(&data, image);
	for (i = 0; i < b->nr_logs; i++)
		c->log[i] = copy_of(i < b->past_logs ? b->past->log[i] : logs.image[i], b->log_bytes);
	choose(b, &logs, crash_random(&b->rnd, nr_subsets(b, &logs)));
	apply_units(&logs, c->log);
	c->scan = first_scan(b);
	scan(b, &c->scan, c->log);
	c->expect = resize(NULL, b->device);
	crash_first(b, c->expect);
	apply_records(b, &c->scan, start, c->expect);
	b->nr_cases++;
}

void crash_check(struct crash_bed *b)
{
	take_moment(b);
	walk_logs(b);
	walk_data(b);
	b->count->moments++;
	if (b->nr_cases < b->max_cases && !crash_random(&b->rnd, b->keep_one_in))
		keep_case(b);
	sprintf(b->where, "while it runs");
}
