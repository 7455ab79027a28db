// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * replay_log.c - the replay brick's window onto the log: read ahead and verify
 *
 * Reads are independent of parsing: up to REPLAY_NR_READS in flight, in order of
 * position, into ring space that has been given back.  The parser walks behind
 * and verifies one whole group at a time; nothing of it is issued before.
 *
 * Why the window can't jam: only an incomplete group (less than MARS_LOG_MAX_GROUP)
 * stays unparsed, everything parsed is applied sooner or later, and the ring holds
 * more than the largest group and a read together.
 *
 * Why the head area can be reused: a group is copied there when the ring is read up
 * to its end.  That needs space which the group that went over the ring's end
 * before had occupied, so that one has been applied.
 *
 * Runs in the work item only; see replay.h for locking.
 */
#include <linux/align.h>
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "core/trace.h"
#include "replay.h"

static_assert(REPLAY_RING >= MARS_LOG_MAX_GROUP + 2 * REPLAY_READ);
static_assert(REPLAY_READ <= XIO_MAX_IO && REPLAY_RING % REPLAY_READ == 0);
static_assert(REPLAY_HEAD % MARS_LOG_BLOCK == 0);
static_assert((REPLAY_RING & (REPLAY_RING - 1)) == 0);

static struct page *page_of(void *p)
{
	return is_vmalloc_addr(p) ? vmalloc_to_page(p) : virt_to_page(p);
}

int replay_window_alloc(struct replay *r)
{
	u8 *block;
	u32 i;

	r->memory = kvmalloc(REPLAY_HEAD + REPLAY_RING + PAGE_SIZE, GFP_KERNEL);
	r->vec = kvmalloc_array(REPLAY_BLOCKS, sizeof(*r->vec), GFP_KERNEL);
	if (!r->memory || !r->vec) {
		replay_window_free(r);
		return -ENOMEM;
	}
	r->window = PTR_ALIGN((u8 *)r->memory, PAGE_SIZE);
	r->ring = r->window + REPLAY_HEAD;
	for (i = 0; i < REPLAY_BLOCKS; i++) {
		block = r->window + (size_t)i * MARS_LOG_BLOCK;
		r->vec[i].bv_page = page_of(block);
		r->vec[i].bv_len = MARS_LOG_BLOCK;
		r->vec[i].bv_offset = offset_in_page(block);
	}
	return 0;
}

void replay_window_free(struct replay *r)
{
	kvfree(r->memory);
	kvfree(r->vec);
	r->memory = NULL;
	r->vec = NULL;
}

static u32 ring_offset(u64 pos)
{
	return pos & (REPLAY_RING - 1);
}

void replay_log_reset(struct replay *r, const struct mars_log_cursor *at)
{
	r->cur = *at;
	r->read_pos = at->offset;
	r->read_done = at->offset;
	r->read_head = 0;
	r->read_tail = 0;
	r->need = MARS_LOG_BLOCK;
	r->straddles = false;
	r->group_head = 0;
	r->group_issue = 0;
	r->group_tail = 0;
	r->verdict = MARS_LOG_OK;
}

/* --- reading --- */

/* Bytes to read next, 0 = not now. */
static u32 next_read(const struct replay *r)
{
	u64 limit = r->phase == REPLAY_HEADER ? min_t(u64, r->limit, MARS_LOG_BLOCK) : r->limit;
	u64 space = r->applied.offset + REPLAY_RING - r->read_pos;
	u64 len;

	if (r->phase > REPLAY_RUN || r->read_pos >= limit)
		return 0;
	len = min_t(u64, limit - r->read_pos, REPLAY_RING - ring_offset(r->read_pos));
	len = min_t(u64, len, min(REPLAY_READ, r->log_max_io));
	/* rather wait for space than read in crumbs */
	return len <= space ? len : 0;
}

void replay_read_ahead(struct replay *r)
{
	u32 len;

	while (r->read_tail - r->read_head < REPLAY_NR_READS && (len = next_read(r))) {
		struct replay_io *io = &r->read[r->read_tail++ % REPLAY_NR_READS];

		io->input = REPLAY_IN_LOG;
		io->op = XIO_READ;
		io->flags = 0;
		io->pos = r->read_pos;
		io->len = len;
		io->block = (REPLAY_HEAD + ring_offset(r->read_pos)) / MARS_LOG_BLOCK;
		io->skip = 0;
		io->state = REPLAY_IO_READY;
		r->read_pos += len;
		r->progress = true;
	}
}

void replay_read_done(struct replay *r, struct replay_io *io, u64 now)
{
	if (io->status) {
		replay_io_failed(io, &r->read_retry, now);
		return;
	}
	replay_io_succeeded(io, &r->read_retry);
	io->state = REPLAY_IO_DONE;
	while (r->read_head != r->read_tail) {
		io = &r->read[r->read_head % REPLAY_NR_READS];
		if (io->state != REPLAY_IO_DONE)
			break;
		io->state = REPLAY_IO_FREE;
		r->read_done += io->len;
		r->read_head++;
	}
}

/* --- verifying --- */

static void stop_at(struct replay *r, enum mars_log_verdict v)
{
	r->verdict = v;
	r->phase = REPLAY_STOPPED;
	r->progress = true;
	trace_mars_replay_stop(&r->brick, r->number, r->cur.offset, v);
}

static void parse_header(struct replay *r)
{
	const struct mars_log_header *h = (const struct mars_log_header *)r->ring;
	struct mars_log_cursor cur;

	if (r->read_done < MARS_LOG_BLOCK)
		return;
	r->progress = true;
	r->verdict = mars_log_header_check(h, &r->ident, &cur);
	if (r->verdict != MARS_LOG_OK || cur.device_size > r->data_size) {
		r->phase = REPLAY_REFUSED;
		return;
	}
	r->number = le64_to_cpu(h->number);
	if (!cur.device_size)
		cur.device_size = r->data_size;
	if (r->start) {
		cur.offset = r->start;
		cur.sequence = 0;
		memset(cur.digest, 0, sizeof(cur.digest));
		cur.digest_known = false;
	}
	r->applied = cur;
	r->ckpt = cur;
	r->phase = REPLAY_RUN;
	replay_log_reset(r, &cur);
}

/* The first group behind an unknown place tells which digest was reached there. */
static void learn_start(struct replay *r, const struct mars_log_group *g)
{
	memcpy(r->cur.digest, g->prev_digest, sizeof(r->cur.digest));
	r->cur.digest_known = true;
	r->cur.sequence = le64_to_cpu(g->sequence);
	if (r->applied.offset == r->cur.offset)
		r->applied = r->cur;
	if (r->ckpt.offset == r->cur.offset)
		r->ckpt = r->cur;
}

static void accept_group(struct replay *r, const struct mars_log_group *desc)
{
	struct replay_group *g = &r->group[r->group_tail % REPLAY_NR_GROUPS];

	if (!r->cur.digest_known)
		learn_start(r, desc);
	mars_log_cursor_next(&r->cur, desc);
	memset(g, 0, sizeof(*g));
	g->desc = desc;
	g->after = r->cur;
	r->group_tail++;
	r->need = MARS_LOG_BLOCK;
	r->straddles = false;
	r->progress = true;
}

/* What is in memory of the group at the parse position; false = its rest is elsewhere. */
static const void *group_bytes(struct replay *r, size_t *avail)
{
	u32 off = ring_offset(r->cur.offset), to_edge = REPLAY_RING - off;
	u64 have = r->read_done - r->cur.offset;

	if (!r->straddles && have >= to_edge && to_edge < r->need) {
		memcpy(r->ring - to_edge, r->ring + off, to_edge);
		r->straddles = true;
	}
	*avail = r->straddles ? have : min_t(u64, have, to_edge);
	return r->straddles ? r->ring - to_edge : r->ring + off;
}

static void end_of_data(struct replay *r, size_t avail)
{
	if (r->to_eof && r->read_done == r->limit)
		stop_at(r, avail ? MARS_LOG_MORE : MARS_LOG_CLEAN_END);
}

void replay_parse(struct replay *r)
{
	enum mars_log_verdict v;
	const void *buf;
	size_t avail, total;

	if (r->phase == REPLAY_HEADER)
		parse_header(r);
	if (r->phase != REPLAY_RUN || r->group_tail - r->group_head == REPLAY_NR_GROUPS)
		return;
	do {
		buf = group_bytes(r, &avail);
		if (avail < r->need) {
			end_of_data(r, avail);
			return;
		}
		v = mars_log_group_check(buf, avail, &r->cur, &r->need, &total);
	} while (v == MARS_LOG_MORE);
	if (v == MARS_LOG_OK)
		accept_group(r, buf);
	else
		stop_at(r, v);
}

bool replay_all_parsed(const struct replay *r)
{
	if (r->phase == REPLAY_STOPPED)
		return true;
	return r->phase == REPLAY_RUN && r->read_done >= r->limit &&
	       r->read_done - r->cur.offset < r->need;
}
