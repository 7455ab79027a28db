/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay.h - inside the replay brick: apply a transaction log to a disk
 *
 *   replay.c        brick type, parameters, power, the work loop, what is published
 *   replay_log.c    the window onto the log: read ahead, verify groups
 *   replay_data.c   apply records, retire groups, checkpoints, errors of the data disk
 *
 * Everything is driven by one work item.  Since a work item never runs twice at a
 * time, all state below "work" needs no lock; it is touched by power() only while
 * the brick is off.  Completions just hand their io over (under replay->lock) and
 * queue the work.  No thread, no sleeping, no allocation between on and off.
 *
 * The window is one virtually contiguous buffer:
 *
 *   | head: REPLAY_HEAD | ring: REPLAY_RING                         |
 *
 * Log position p is read to ring offset p mod REPLAY_RING.  A group that would
 * run over the ring's end gets its front copied in front of the ring's start, so
 * that each group is one flat piece of memory, from which its payload is written
 * without another copy.  Ring space is given back when the group has been applied.
 *
 * Positions only grow (parsed >= applied >= flushing >= ckpt), with one exception:
 * when a FLUSH of the data disk fails, nobody knows which of the writes since the
 * last good one are lost, even if a later flush succeeds.  Then everything goes
 * back to ckpt and is applied again; replaying is idempotent.
 */
#ifndef _MARS_REPLAY_H
#define _MARS_REPLAY_H

#include <linux/bvec.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "core/brick.h"
#include "core/log_format.h"
#include "core/xio.h"

#define REPLAY_IN_DATA		0
#define REPLAY_IN_LOG		1

#define REPLAY_HEAD		MARS_LOG_MAX_GROUP
#define REPLAY_RING		(4u << 20)
#define REPLAY_BLOCKS		((REPLAY_HEAD + REPLAY_RING) / MARS_LOG_BLOCK)
#define REPLAY_READ		(512u << 10)	/* longest read of the log */
#define REPLAY_DISCARD		(32u << 20)	/* longest piece of DISCARD and ZEROES */

#define REPLAY_NR_READS		4u
#define REPLAY_NR_WRITES	64u
#define REPLAY_NR_GROUPS	128u		/* verified, not yet applied */

#define REPLAY_FLUSH_BYTES	(64ull << 20)	/* checkpoint after so many log bytes ... */
#define REPLAY_FLUSH_NS		1000000000ull	/* ... or after this time, */
#define REPLAY_IDLE_NS		50000000ull	/* ... or at the end, but not more often */
#define REPLAY_RETRY_MS		100u
#define REPLAY_RETRY_MAX_MS	5000u
#define REPLAY_NOMEM_NS		10000000ull	/* until a request is allocated again */

enum replay_phase {
	REPLAY_HEADER,			/* the header is not verified yet */
	REPLAY_RUN,
	REPLAY_STOPPED,			/* nothing valid at the parse position; see verdict */
	REPLAY_REFUSED,			/* wrong log, or data disk too small: nothing is applied */
};

enum replay_io_state {
	REPLAY_IO_FREE,
	REPLAY_IO_READY,		/* filled in, to be submitted */
	REPLAY_IO_BUSY,			/* submitted */
	REPLAY_IO_DONE,			/* reads: waiting for those in front */
	REPLAY_IO_FAILED,		/* becomes READY when its retry is due */
};

struct replay_group;

/* One request to be made: a read of the log, a piece of a record, or the flush. */
struct replay_io {
	struct replay *replay;		/* constant */
	struct list_head link;		/* replay->done; replay->lock */
	int status;			/* owned by whoever holds the io */
	enum replay_io_state state;
	bool failed;			/* counted in its replay_retry.nr */
	u8 input;
	u8 op;
	u8 flags;
	u64 pos;
	u64 len;
	u32 block;			/* READ, WRITE: first block in the window ... */
	u32 skip;			/* ... and bytes to skip in it */
	struct replay_group *group;	/* WRITE, DISCARD, WRITE_ZEROES */
};

/* Back-off shared by all io of one input. */
struct replay_retry {
	u64 at;				/* when failed io is tried again, ns; 0 = not planned */
	u32 delay_ms;
	u32 nr;				/* io that failed and has not succeeded since */
	int error;			/* the last error; 0 = healthy */
};

/* A verified group, from parsing until all of it is on the disk. */
struct replay_group {
	const struct mars_log_group *desc;	/* in the window */
	struct mars_log_cursor after;
	u32 next;			/* record to issue next ... */
	u64 off;			/* ... and how much of it is issued */
	u32 pending;			/* io not completed */
	u64 lamport;			/* newest stamp of its records */
	u64 bytes;			/* of its WRITE records */
};

/* What status() tells. */
struct replay_facts {
	u64 number, parsed, applied, ckpt;
	u64 records, bytes, lamport;
	u8 digest[MARS_DIGEST_SIZE], digest2[MARS_DIGEST_SIZE];
	u32 verdict;
	u8 state;
	int error;
};

struct replay {
	struct mars_brick brick;

	/* parameters: written by set() while off, constant while on */
	struct mars_log_ident ident;
	bool have_ident;
	u64 start;

	struct workqueue_struct *wq;	/* constant */
	struct work_struct work;
	struct delayed_work timer;	/* only queues work */

	spinlock_t lock;
	struct list_head done;		/* lock: completed io */
	u64 end;			/* lock: grows while on */
	bool stop;			/* lock: the button is off */
	bool active;			/* lock: from power on to led_off */
	struct replay_facts facts;	/* lock */

	/* work */
	u64 log_size;			/* size of the log input when switched on */
	u64 data_size;
	u32 data_max_io, log_max_io;
	bool stopping;			/* copy of stop */
	bool progress;
	enum replay_phase phase;
	enum mars_log_verdict verdict;
	u64 number;
	u64 limit;			/* read up to here */
	bool to_eof;			/* the limit is the end of the file */

	void *memory;			/* of the window, as allocated */
	u8 *window;			/* page-aligned */
	u8 *ring;
	struct bio_vec *vec;		/* one entry for each block of the window */

	u64 read_pos;			/* read next */
	u64 read_done;			/* everything before is in the ring */
	u32 read_head, read_tail;	/* oldest and next of read[], free-running */
	struct replay_io read[REPLAY_NR_READS];
	struct replay_retry read_retry;

	struct mars_log_cursor cur;	/* parse position */
	size_t need;			/* bytes needed there before another look makes sense */
	bool straddles;			/* front of the group at cur is in the head area */

	struct replay_group group[REPLAY_NR_GROUPS];
	u32 group_head, group_issue, group_tail;	/* free-running */
	struct replay_io write[REPLAY_NR_WRITES];
	struct replay_retry write_retry;
	u32 nr_busy;			/* submitted, not collected: reads, writes, flush */
	bool starved;			/* no memory for a request */

	struct mars_log_cursor applied, flushing, ckpt;
	struct replay_io flush;
	u64 flush_at;			/* when the last flush was started */
	u64 dirty_since;		/* when applied left ckpt */
	bool rewind;			/* a flush failed: go back to ckpt when nothing is busy */
	bool flush_failed;		/* ... and no flush succeeded since */
	u64 records, bytes, lamport;
};

static inline struct replay *to_replay(struct mars_brick *brick)
{
	return container_of(brick, struct replay, brick);
}

/* replay.c */
void replay_io_failed(struct replay_io *io, struct replay_retry *retry, u64 now);
void replay_io_succeeded(struct replay_io *io, struct replay_retry *retry);

/* replay_log.c */
int replay_window_alloc(struct replay *r);
void replay_window_free(struct replay *r);
void replay_log_reset(struct replay *r, const struct mars_log_cursor *at);
void replay_read_ahead(struct replay *r);
void replay_read_done(struct replay *r, struct replay_io *io, u64 now);
void replay_parse(struct replay *r);
/** replay_all_parsed - is there nothing more to expect for now? */
bool replay_all_parsed(const struct replay *r);

/* replay_data.c */
void replay_issue(struct replay *r);
void replay_retire(struct replay *r, u64 now);
void replay_checkpoint(struct replay *r, u64 now);
u64 replay_checkpoint_due(const struct replay *r);
void replay_data_done(struct replay *r, struct replay_io *io, u64 now);
void replay_rewind(struct replay *r);

#endif /* _MARS_REPLAY_H */
