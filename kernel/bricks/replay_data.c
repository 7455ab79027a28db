// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * replay_data.c - the replay brick's data disk: apply, retire, checkpoint
 *
 * Order.  Records are issued strictly in log order.  One that overlaps an io not
 * yet completed waits, and everything behind it waits too, so two writes of one
 * byte reach the disk in log order.  The others run in parallel.
 *
 * Positions.  A group is retired when all of its io succeeded and all groups in
 * front of it are retired: applied is the end of a complete prefix.  A checkpoint
 * remembers applied, flushes the disk, and then publishes what it remembered.
 *
 * Errors.  A failed write stays where it is (so nothing overtakes it), and nothing
 * new is issued until its retry succeeded.  A failed flush goes back to the last
 * checkpoint (see replay.h).  Switching off gives up on both and leaves ckpt alone.
 *
 * Runs in the work item only; see replay.h for locking.
 */
#include <linux/errno.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/string.h>

#include "core/trace.h"
#include "replay.h"

/* --- issuing --- */

static struct replay_io *free_write(struct replay *r)
{
	u32 i;

	for (i = 0; i < REPLAY_NR_WRITES; i++)
		if (r->write[i].state == REPLAY_IO_FREE)
			return &r->write[i];
	return NULL;
}

/* A table of 64 is walked faster than a tree is kept. */
static bool overlaps_pending(const struct replay *r, u64 pos, u64 len)
{
	u32 i;

	for (i = 0; i < REPLAY_NR_WRITES; i++) {
		const struct replay_io *io = &r->write[i];

		if (io->state != REPLAY_IO_FREE && io->pos < pos + len && pos < io->pos + io->len)
			return true;
	}
	return false;
}

static u32 window_block(const struct replay *r, const struct mars_log_group *desc, u32 off)
{
	const u8 *p = (const u8 *)desc + le32_to_cpu(desc->desc_size) + off;

	return (p - r->window) / MARS_LOG_BLOCK;
}

/* Fill @io with the next piece of @rec; all of it or as much as one request may carry. */
static void cut_piece(const struct replay *r, const struct replay_group *g,
		      const struct mars_log_record *rec, struct replay_io *io)
{
	u64 start = le64_to_cpu(rec->pos), rest = le64_to_cpu(rec->len) - g->off;
	u32 in_block = start % MARS_LOG_BLOCK + g->off % MARS_LOG_BLOCK;

	io->input = REPLAY_IN_DATA;
	io->flags = 0;
	io->pos = start + g->off;
	io->block = 0;
	io->skip = 0;
	switch (le16_to_cpu(rec->type)) {
	case MARS_LOG_WRITE:
		io->op = XIO_WRITE;
		io->len = min_t(u64, rest, r->data_max_io);
		io->block = window_block(r, g->desc, le32_to_cpu(rec->payload_off)) +
			   (u32)(g->off / MARS_LOG_BLOCK) + in_block / MARS_LOG_BLOCK;
		io->skip = in_block % MARS_LOG_BLOCK;
		break;
	case MARS_LOG_DISCARD:
		io->op = XIO_DISCARD;
		io->len = min_t(u64, rest, REPLAY_DISCARD);
		break;
	default:
		io->op = XIO_WRITE_ZEROES;
		io->len = min_t(u64, rest, REPLAY_DISCARD);
		if (le16_to_cpu(rec->flags) & MARS_LOG_NOUNMAP)
			io->flags = XIO_NOUNMAP;
	}
}

/* Issue the next piece of a record; false = it has to wait. */
static bool issue_piece(struct replay *r, struct replay_group *g,
			const struct mars_log_record *rec)
{
	struct replay_io *io = free_write(r);

	if (!io)
		return false;
	cut_piece(r, g, rec, io);
	if (overlaps_pending(r, io->pos, io->len))
		return false;
	io->group = g;
	io->state = REPLAY_IO_READY;
	g->pending++;
	g->off += io->len;
	r->progress = true;
	return true;
}

static bool touches_disk(const struct mars_log_record *rec)
{
	u16 type = le16_to_cpu(rec->type);

	return type != MARS_LOG_MARK && type != MARS_LOG_UNDO;
}

/* Issue all that is left of a group; false = it has to wait. */
static bool issue_group(struct replay *r, struct replay_group *g)
{
	u32 nr = le32_to_cpu(g->desc->nr_records);

	while (g->next < nr) {
		const struct mars_log_record *rec = mars_log_record(g->desc, g->next);

		while (touches_disk(rec) && g->off < le64_to_cpu(rec->len))
			if (!issue_piece(r, g, rec))
				return false;
		if (le16_to_cpu(rec->type) == MARS_LOG_WRITE)
			g->bytes += le64_to_cpu(rec->len);
		g->lamport = max_t(u64, g->lamport, le64_to_cpu(rec->lamport));
		g->next++;
		g->off = 0;
	}
	return true;
}

void replay_issue(struct replay *r)
{
	/* a sick disk gets its retries first */
	if (r->rewind || r->write_retry.nr || r->write_retry.at)
		return;
	while (r->group_issue != r->group_tail &&
	       issue_group(r, &r->group[r->group_issue % REPLAY_NR_GROUPS])) {
		r->group_issue++;
		r->progress = true;
	}
}

/* --- completion --- */

void replay_retire(struct replay *r, u64 now)
{
	while (r->group_head != r->group_issue) {
		struct replay_group *g = &r->group[r->group_head % REPLAY_NR_GROUPS];

		if (g->pending)
			return;
		if (r->applied.offset == r->ckpt.offset)
			r->dirty_since = now;
		r->applied = g->after;
		r->records += le32_to_cpu(g->desc->nr_records);
		r->bytes += g->bytes;
		r->lamport = g->lamport;
		r->group_head++;
		r->progress = true;
	}
}

static void disk_is_well(struct replay *r)
{
	if (!r->write_retry.nr && !r->flush_failed) {
		r->write_retry.error = 0;
		r->write_retry.delay_ms = REPLAY_RETRY_MS;
	}
}

static void flush_done(struct replay *r, int status, u64 now)
{
	r->flush.state = REPLAY_IO_FREE;
	if (!status) {
		r->ckpt = r->flushing;
		trace_mars_checkpoint(&r->brick, r->number, r->ckpt.offset);
		r->dirty_since = r->flush_at;
		r->flush_failed = false;
		disk_is_well(r);
		return;
	}
	r->flush_failed = true;
	r->rewind = true;
	r->write_retry.error = status;
	if (!r->write_retry.at)
		r->write_retry.at = now + (u64)r->write_retry.delay_ms * NSEC_PER_MSEC;
}

void replay_data_done(struct replay *r, struct replay_io *io, u64 now)
{
	if (io == &r->flush) {
		flush_done(r, io->status, now);
		return;
	}
	if (io->status) {
		replay_io_failed(io, &r->write_retry, now);
		return;
	}
	replay_io_succeeded(io, &r->write_retry);
	io->group->pending--;
	disk_is_well(r);
}

/* Nothing is in flight: forget what was applied since the last checkpoint. */
void replay_rewind(struct replay *r)
{
	u32 i;

	for (i = 0; i < REPLAY_NR_WRITES; i++) {
		r->write[i].state = REPLAY_IO_FREE;
		r->write[i].failed = false;
	}
	for (i = 0; i < REPLAY_NR_READS; i++) {
		r->read[i].state = REPLAY_IO_FREE;
		r->read[i].failed = false;
	}
	r->write_retry.nr = 0;
	r->read_retry.nr = 0;
	r->read_retry.at = 0;
	r->read_retry.error = 0;
	r->applied = r->ckpt;
	r->phase = REPLAY_RUN;
	r->rewind = false;
	r->progress = true;
	replay_log_reset(r, &r->ckpt);
}

/* --- checkpoints --- */

static bool all_applied(const struct replay *r)
{
	return r->group_head == r->group_tail && replay_all_parsed(r);
}

/* When the next flush is to start, ns; 0 = there is nothing to flush or it is under way. */
u64 replay_checkpoint_due(const struct replay *r)
{
	u64 behind = r->applied.offset - r->ckpt.offset;
	u64 due = r->dirty_since + REPLAY_FLUSH_NS;

	if (!behind || r->rewind || r->flush.state != REPLAY_IO_FREE || r->write_retry.at)
		return 0;
	if (r->stopping)
		return r->nr_busy ? 0 : 1;
	if (behind >= REPLAY_FLUSH_BYTES)
		return 1;
	return all_applied(r) ? min(due, r->flush_at + REPLAY_IDLE_NS) : due;
}

void replay_checkpoint(struct replay *r, u64 now)
{
	u64 due = replay_checkpoint_due(r);

	if (!due || now < due)
		return;
	r->flushing = r->applied;
	r->flush_at = now;
	r->flush.input = REPLAY_IN_DATA;
	r->flush.op = XIO_FLUSH;
	r->flush.pos = 0;
	r->flush.len = 0;
	r->flush.state = REPLAY_IO_READY;
	r->progress = true;
}
