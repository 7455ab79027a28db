/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logger.h - the transaction logger: shared state of the logger_*.c files
 *
 * Every modification of the device becomes a *shadow*: a private copy of the data
 * in page-aligned memory, which is one record of the transaction log.  A shadow
 * lives through these stages, each entered in log order except the last but one:
 *
 *	admitted	memory and log space are taken (logger_write.c, logger_shadow.c)
 *	queued		has a sequence number, stands in fifo, queue and index: visible
 *	grouped		part of a commit group on its way to the log (logger_commit.c)
 *	durable		the log holds it and everything before it
 *	settled		its newest bytes are on the data disk (logger_writeback.c), all
 *			others were replaced by shadows that are durable
 *	retired		settled, and so is everything before it: leaves the fifo
 *
 * The *index* maps each byte of the device to the newest shadow that holds it; what
 * is not in the index is on the data disk.  The *fifo* holds all shadows in log
 * order; its head says where the log must be replayed from, and that position is
 * published after a flush of the data disk (logger_checkpoint.c).
 *
 * Locking: struct logger.lock protects everything below unless a field says
 * otherwise.  It is never held while a request is submitted or completed, nor while
 * lamps or events are reported; copying and checksums happen outside too.  The three
 * engines (commit, writeback, and the work item for everything rare) may be kicked
 * from any context; each runs at most once at a time and looks again before it stops
 * when it was kicked meanwhile, so no kick is lost and completions inside submit
 * don't recurse.
 *
 * The lock is taken with interrupts off, so nobody holds it for long: at most for what
 * one request replaces in the index (1 MiB over records of one sector: some 2000 steps).
 * What may be longer (sweeping the index, retiring, the end) is cut into pieces, and
 * the work item goes on.
 *
 * Lifetime: a request is completed as the last thing a context does with the logger,
 * and an IO of ours counts in nr_io until its end function is all but through, as does
 * who submits a request that somebody else may complete.  So when the bricks above are
 * off and nr_io is 0, nobody is inside.
 */
#ifndef _MARS_LOGGER_H
#define _MARS_LOGGER_H

#include <linux/bvec.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "core/brick.h"
#include "core/extent.h"
#include "core/log_format.h"
#include "core/xio.h"

static_assert(PAGE_SIZE == MARS_LOG_BLOCK);	/* shadow pages are log blocks */

#define LG_DATA			0		/* input: data disk */
#define LG_INPUTS		3		/* inputs 1 and 2: log files */
#define LG_CHUNK_PAGES		64		/* shadow memory grows by this, bits of a u64 */
#define LG_RESERVE		(4UL << 20)	/* shadow memory held from power-on, bytes */
#define LG_BATCH_SHADOWS	16		/* struct lg_shadow are allocated by this: a page */
#define LG_GROUPS		2		/* commit groups in flight */
#define LG_GROUP_PAYLOAD	(XIO_MAX_IO - MARS_LOG_MAX_DESC)
#define LG_COMMIT_BYTES		(256U << 10)	/* that much queued is committed at once */
#define LG_UNITS		16		/* writebacks in flight */
#define LG_UNIT_PIECES		256		/* shadows merged into one writeback */
#define LG_GROW_MIN		(1ULL << 20)	/* smallest growth step of a log */
#define LG_SEGMENT_MIN		(4ULL << 20)
#define LG_SEGMENT_MAX		(1ULL << 30)
#define LG_CREDITS_MAX		(64ULL << 30)
#define LG_SMALL_GROUP		(64U << 10)	/* a commit up to this size is small; so many ... */
#define LG_SMALL_COMMITS	8		/* ... in a row make zeroes ahead worthwhile */
#define LG_ZERO_BYTES		(32U << 10)
#define LG_ZERO_VECS		(XIO_MAX_IO / LG_ZERO_BYTES)
#define LG_TICK_MS		250		/* period of retries and ages, while there is work */
#define LG_AGE_NS		(1000ULL * 1000 * 1000)	/* dirty data is written back when older */
#define LG_CKPT_NS		(1000ULL * 1000 * 1000)	/* checkpoint interval ... */
#define LG_CKPT_BYTES		(64ULL << 20)	/* ... or after that much log */
#define LG_RETRY_MAX_NS		(4000ULL * 1000 * 1000)	/* longest pause after data errors */

/**
 * struct lg_chunk - a contiguous piece of shadow memory
 * @link: in pool.empty (all free), pool.partial (some free), or alone (full or current)
 * @mem: page-aligned
 * @free: bit k set = page k is free
 * @nr: pages
 * @nr_free: free ones
 */
struct lg_chunk {
	struct list_head link;
	void *mem;
	u64 free;
	unsigned int nr, nr_free;
};

/**
 * struct lg_pool - shadow memory with a hard limit; logger.lock
 * @cur: where pages are taken from, in rising order, so that consecutive shadows
 *	are contiguous in memory and a group needs few segments
 * @empty, @partial: chunks all or partly free; full ones and @cur are in no list
 * @limit: pages allowed; @total: pages allocated; @used: pages given out; @peak: most ever
 * @spare: unused struct lg_shadow; @nr_spare: how many
 * @batches: allocations behind the shadows
 * @nr_shadows, @max_shadows: allocated and allowed
 */
struct lg_pool {
	struct lg_chunk *cur;
	struct list_head empty, partial;
	unsigned long limit, total, used, peak;
	struct list_head spare, batches;
	unsigned long nr_spare, nr_shadows, max_shadows;
};

/**
 * struct lg_shadow - one modification of the device, one record of the log
 * @fifo: in logger.fifo, in log order; in pool.spare when unused
 * @queue: in logger.queue, then in group.shadows until durable
 * @ext: its node in the index
 * @split: node given to the index for the one split its insertion may cause.  It then
 *	belongs to an older shadow, which leaves the fifo earlier: so the node outlives
 *	its use although it is embedded here
 * @chunk, @first, @pages: memory; NULL for records without payload or when released
 * @mem: ditto; data begins at @mem + @pos % PAGE_SIZE, zeros around it
 * @seq: 1, 2, 3 ... in log order
 * @super: highest seq of a shadow that replaced bytes of this one
 * @pos, @len: device range
 * @lamport: stamp of the record
 * @log_number, @log_pos: log and start of its group; 0 = not grouped
 * @group_seq: seq of the first record of the group
 * @entered: ktime, for the age
 * @refs: 1 until durable, 1 per node in the index, 1 per reader or writeback
 * @crc: over the payload span
 * @batch, @batch_span: on the first shadow of a request: how many and how long together
 * @type: enum mars_log_record_type
 * @flags: of the record
 * @failed: logger.retry_epoch when the data disk refused it: waits while that lasts
 * @suspect: failed before: is written alone
 */
struct lg_shadow {
	struct list_head fifo, queue;
	struct mars_extent ext, split;
	struct lg_chunk *chunk;
	void *mem;
	u64 seq, super, pos, len, lamport, log_number, log_pos, group_seq, entered;
	u32 refs, crc, batch, batch_span;
	u16 first, pages;
	u32 failed;
	u8 type, flags;
	bool suspect;
};

/**
 * struct lg_log - one log file
 * @input: 1 or 2
 * @alloc: everything before is allocated
 * @zeroed: what lies before is written, but for the gap zeros began with: a group there costs
 *	no extent conversion
 * @cursor: offset and sequence of the next group, digest in front of it; the offset
 *	is changed under the lock by the commit engine, which owns the rest
 * @ident: as in the header
 */
struct lg_log {
	unsigned int input;
	u64 alloc, zeroed;
	struct mars_log_cursor cursor;
	struct mars_log_ident ident;
};

/**
 * struct lg_group - one commit on its way
 * @link: in logger.inflight, in log order
 * @shadows: its records
 * @rq: the request; NULL = slot is free
 * @desc: MARS_LOG_MAX_DESC bytes
 * @vec: descriptor and payload
 * @pos, @size: place in the file
 * @seq: of its last shadow; @lamport: of its last record
 * @digest: running digest behind it
 * @done: the request has ended well
 */
struct lg_group {
	struct list_head link, shadows;
	struct xio_request *rq;
	struct mars_log_group *desc;
	struct bio_vec vec[MARS_LOG_MAX_RECORDS + 1];
	u64 pos, size, seq, lamport;
	u32 nr;
	u8 digest[MARS_DIGEST_SIZE];
	bool done;
};

/**
 * struct lg_unit - one writeback in flight
 * @logger: owner
 * @op, @flags: of the request
 * @pos, @len: device range; no other unit in flight touches it
 * @nr, @piece: shadows (pinned) it consists of, adjacent, ascending; nr = 0: free
 * @nr_vec, @vec: their memory
 */
struct lg_unit {
	struct logger *logger;
	u8 op, flags;
	u64 pos, len;
	unsigned int nr, nr_vec;
	struct lg_piece {
		struct lg_shadow *shadow;
		u64 len;
	} piece[LG_UNIT_PIECES];
	struct bio_vec vec[LG_UNIT_PIECES];
};

/** struct lg_mark - a log position with its meaning in memory */
struct lg_mark {
	u64 number, pos, seq;
};

/* What is going on with the next log; power-on is a rotation from no log at all. */
enum lg_step {
	LG_NEXT_NONE,
	LG_NEXT_CHECK,		/* its first block must be zero or missing */
	LG_NEXT_GROW,		/* allocate until everything queued fits */
	LG_NEXT_DRAIN,		/* groups of the current log become durable; none is begun */
	LG_NEXT_HEADER,		/* write the header */
};

/* An engine that runs at most once at a time; see logger.h on top. */
struct lg_engine {
	bool running, again;
};

struct logger {
	struct mars_brick brick;
	spinlock_t lock;

	/* parameters */
	u64 credits, segment, delay_us;
	u64 always;			/* durability=always: 0 or 1 */
	bool have_ident;
	struct mars_log_ident first_ident;

	/* switch */
	bool powered;			/* memory is there; changed by power-on and the work item */
	bool on;			/* accepts requests */
	bool closing;			/* the button went off */
	bool starting;			/* the button went on, the first log is not ready */
	unsigned int nr_io;		/* our own requests in flight, submitters that commit */
	u64 size;			/* device size the current log covers */

	/* shadows */
	struct lg_pool pool;
	struct mars_extent_index index;
	struct list_head fifo;
	u64 seq;			/* last one given out */
	u64 reserved;			/* worst-case log bytes of what is admitted, not grouped */

	/* requests that wait */
	struct list_head stalled;	/* for memory or log space, FIFO */
	struct list_head waiters;	/* for durability, ascending seq in their aspect */
	unsigned int nr_stalled;
	bool stalled_for_space;		/* the head of stalled lacks log space */

	/* commit */
	struct list_head queue;		/* not grouped */
	u64 queued;			/* payload bytes of it */
	u64 commit_seq;			/* wanted durable as soon as possible up to here */
	struct lg_engine commit;
	struct lg_group *group;		/* LG_GROUPS */
	struct list_head inflight;
	bool delay_armed;
	unsigned int small;		/* small commits in a row, for zero-ahead */
	int log_error;
	struct lg_mark durable;
	u64 durable_lamport;
	u8 durable_digest[MARS_DIGEST_SIZE];

	/* logs */
	struct lg_log log[LG_INPUTS];
	struct lg_log *cur, *next;
	enum lg_step step;
	bool step_busy;			/* its IO is in flight */
	u64 next_size;			/* device size for the next header */
	void *block;			/* for the first block of a log */
	struct bio_vec block_vec;
	bool growing, grow_failed, grow_wait;
	struct lg_log *grow_log;
	u64 grow_step;
	int grow_error, next_error;
	bool zeroing;
	struct lg_log *zero_log;
	u64 zero_pos, zero_end;		/* zero-ahead in flight */
	void *zeros;			/* LG_ZERO_BYTES of them, written again and again */
	struct bio_vec zero_vec[LG_ZERO_VECS];
	unsigned int old_input;		/* input of the log before the current one, 0 = none */
	u64 prev_end;
	u8 prev_digest[MARS_DIGEST_SIZE];

	/* writeback */
	struct lg_engine wb;
	struct lg_unit *unit;		/* LG_UNITS */
	unsigned int units_busy;
	u64 cursor;
	unsigned long scan_left;	/* extents to look at before nothing can be written */
	bool wb_on;			/* hysteresis of the fill level */
	unsigned long nr_suspect;
	u64 retry_at, retry_ns;
	u32 retry_epoch;		/* counts retries, from 1 */
	int data_error;			/* last error of the data disk */
	bool nomem;			/* a request could not be allocated; the tick retries */

	/* checkpoint */
	struct lg_mark ckpt, ckpt_new;
	bool flushing;
	bool ckpt_frozen;		/* until the next power-on, see logger_checkpoint.c */
	u64 ckpt_time, ckpt_goal;

	/* workers; set up in construct */
	struct workqueue_struct *wq;
	struct work_struct work;
	struct delayed_work tick, delay;
	bool tick_armed;

	/* counters and the state last reported */
	u64 nr_writes, nr_reads, nr_flushes, nr_groups, nr_records, nr_hits, nr_writebacks;
	u8 state;
};

/* Private state of a request passing through. */
struct lg_aspect {
	struct xio_end end;
	u64 seq;			/* WRITE, FLUSH: durable when this is */
	u64 pos, len, skip;		/* READ: the original */
	u64 done;			/* how far it got; WRITE and the like: bytes recorded */
	atomic_t turn;			/* READ: who goes on, submitter or completion */
};

static inline struct logger *lg_of(struct mars_brick *brick)
{
	return container_of(brick, struct logger, brick);
}

/* logger.c */
void lg_kick(struct logger *lg);		/* run the work item; any context */
void lg_arm_tick(struct logger *lg);		/* lock held */
void lg_report(struct logger *lg, u32 events);	/* lock not held */
void lg_io_end(struct logger *lg);		/* last act of an end function */
bool lg_engine_start(struct lg_engine *e);	/* lock held */
bool lg_engine_more(struct lg_engine *e);	/* lock held */
bool lg_drained(struct logger *lg);		/* lock held */

/* logger_shadow.c; lock held */
int lg_pool_init(struct logger *lg);
void lg_pool_exit(struct logger *lg);
bool lg_pool_trim(struct logger *lg, struct list_head *unused);
void lg_pool_free(struct list_head *unused);	/* lock not held */
bool lg_take(struct logger *lg, u64 pos, u64 len, bool payload, struct list_head *shadows);
void lg_put_back(struct logger *lg, struct list_head *shadows);
void lg_insert(struct logger *lg, struct lg_shadow *s);
void lg_written(struct logger *lg, struct lg_shadow *s, u64 pos, u64 len);
void lg_get(struct lg_shadow *s);
void lg_put(struct logger *lg, struct lg_shadow *s);
bool lg_may_retire(const struct logger *lg);
bool lg_retire_some(struct logger *lg);
void lg_retire(struct logger *lg);
void lg_forget(struct logger *lg, struct list_head *dropped);
void lg_drop(struct logger *lg, struct list_head *dropped);	/* lock not held */

/* logger_write.c */
void lg_submit_write(struct logger *lg, struct xio_request *rq);
void lg_submit_flush(struct logger *lg, struct xio_request *rq);
void lg_serve(struct logger *lg);
void lg_wake(struct logger *lg, struct list_head *done);	/* lock held */
void lg_complete_list(struct list_head *list, int status);

/* logger_read.c */
void lg_submit_read(struct logger *lg, struct xio_request *rq);

/* logger_commit.c */
void lg_commit(struct logger *lg);
void lg_arm_delay(struct logger *lg);		/* lock held */

/* logger_log.c */
int lg_rotate(struct logger *lg, unsigned int input, const struct mars_log_ident *ident,
	      u64 size, bool empty, enum mars_reason *reason);
void lg_log_work(struct logger *lg);
u64 lg_space(const struct logger *lg);		/* lock held: log bytes that may be reserved */
bool lg_wants_space(const struct logger *lg);	/* lock held */
bool lg_wants_zeros(const struct logger *lg);	/* lock held */

/* logger_writeback.c */
void lg_writeback(struct logger *lg);
void lg_rescan(struct logger *lg);		/* lock held: something became writable */
bool lg_writeback_idle(struct logger *lg);	/* lock held: nothing more can be written */
void lg_retry(struct logger *lg);		/* lock held: look at the clock for failed ones */

/* logger_checkpoint.c */
struct lg_mark lg_clean(struct logger *lg);	/* lock held */
bool lg_wants_checkpoint(struct logger *lg);	/* lock held */
void lg_checkpoint(struct logger *lg);

#endif /* _MARS_LOGGER_H */
