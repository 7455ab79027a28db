/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crash_bed.h - a logger that runs a short sequence while every crash is tried
 *
 * In simulation only; one thread, one bed at a time.
 *
 *	crash_bed.c	runs the sequence: logger on simulated disks, promises it gave
 *	crash_check.c	all crashes of one moment: subsets of what is volatile, checked
 *			against the promises by an interpreter of the log in memory
 *	crash_replay.c	some of these crashes recovered by the real replay brick, with
 *			further crashes while it works
 *	crash_second.c	the life after such a crash: recovery, then a fresh log over the
 *			same data disk, and again all crashes of each moment
 *
 * A sequence is a string, one letter an operation:
 *
 *	a write	    o write overlapping a	    b write elsewhere, over a page border
 *	u FUA write f flush  d discard  z zeroes    r rotate the log  c checkpoint
 *	w write, v FUA write: longer than a commit group, only on a large bed
 *
 * How a moment is checked.  What is durable is given; of the sectors on their way
 * each subset is a crash (all subsets when they are few, see struct crash_rnd).
 * Recovery depends on the logs only through the records found before the first bad
 * group.  So the subsets of log sectors are scanned one by one, each is checked, and
 * what they lead to is combined with every subset of data sectors and every position
 * published so far:
 *
 *	I1  the records found extend the completion order, and are what was written
 *	I2  from any published position, data disk + records = all records from the start;
 *	    a byte written back too early or a position too far ahead breaks this
 *	    (I6, I9), and the result is thereby a prefix of the writes
 *	I3  what a completed flush or FUA promised is among the records; a write that
 *	    became several is there as a whole or not at all, or a front part of it is the
 *	    last thing there if it is longer than a commit group
 *	I8  the chain over rotated logs never has a gap
 */
#ifndef _MARS_CRASH_BED_H
#define _MARS_CRASH_BED_H

#include "bricks/logger.h"
#include "../bricks/faulty.h"
#include "engine/engine.h"
#include "source.h"
#include "test.h"

#define CRASH_OPS	16
#define CRASH_LOGS	(2 * (CRASH_OPS + 1))	/* two lives that do nothing but rotate */
#define CRASH_MARKS	32
#define CRASH_CASES	24
#define CRASH_LETTERS	"aobufdzrc"
#define CRASH_MODES	4

/** struct crash_rnd - generator of its own, so that checks don't change the simulation */
struct crash_rnd {
	u64 state;
};

u64 crash_random(struct crash_rnd *rnd, u64 below);

/* A position in the chain of logs; number 0 = none. */
struct crash_pos {
	u64 number, pos;
};

/** struct crash_op - one operation; times count submissions and completions */
struct crash_op {
	struct source_io io;
	bool busy;
	bool change;			/* it becomes a record ... */
	bool promise;			/* ... and completes when that is durable */
	u8 op, type;			/* XIO_*, MARS_LOG_* */
	u32 flags;
	u64 pos, len, submitted, completed;
	u8 *data;			/* page-aligned, or NULL */
};

/** struct crash_scan - what a recovery finds in the logs: a plain value */
struct crash_scan {
	unsigned int log;		/* index of the one looked at */
	bool begun;			/* its header is good */
	struct mars_log_cursor cur;
	unsigned int nr_logs;		/* with a good header */
	u64 end[CRASH_LOGS];
	u64 found[CRASH_OPS];		/* bytes of each operation */
	unsigned int nr;		/* records, in order: */
	struct {
		u8 op;
		u64 pos, len;		/* all of it or a piece */
		struct crash_pos group;	/* start of its group */
	} rec[4 * CRASH_OPS];
};

/** struct crash_case - a crash kept for the replay brick */
struct crash_case {
	u8 *data, *expect, *log[CRASH_LOGS];
	struct crash_scan scan;
	struct crash_pos from;
	unsigned int nr_ops;		/* submitted before */
};

/** struct crash_count - what was done, for the last line of the test */
struct crash_count {
	u64 runs, lives, moments, log_subsets, crashes, replays;
	u64 cut;			/* recoveries that found only the front part of a write */
};

/** struct crash_fault - requests of one disk that are to fail; @count 0 = none */
struct crash_fault {
	unsigned int disk;		/* 0 data, k log number k */
	unsigned int ops;
	u64 skip, count;
};

/** struct crash_bed - one run */
struct crash_bed {
	const char *sequence;
	const char *second;		/* to be played after each crash kept, or NULL */
	const struct crash_bed *before;	/* the bed of the first life, or NULL ... */
	const struct crash_case *past;	/* ... and the crash that ended it */
	unsigned int past_ops, past_logs; /* what it left: the first in op[], log[] */
	unsigned int replaying;		/* number of the log being replayed; 0 = the logger works */
	unsigned int mode;		/* 0 all at once, 1 one by one, 2 at random times,
					 * 3 ditto, and every write promises durability */
	u64 seed;
	u64 step;			/* of the run, for messages */
	u32 device, log_bytes;		/* size of the device, bytes of a log that are looked at */
	u32 sector;			/* what a disk writes as a whole, bytes */
	unsigned int all_units;		/* every subset of so many sectors is tried ... */
	unsigned int random_subsets;	/* ... of more of them only so many */
	bool may_fail;			/* operations may end with errors */
	unsigned int sampling;		/* check subsets only at one moment in so many */
	struct crash_fault fault;
	long fail_alloc;		/* n-th allocation of the logger's work fails; 0 = none */
	long alloc_used;		/* counted so far */
	unsigned int alloc_streak;	/* later steps whose first allocation fails too */
	bool alloc_failed;
	struct mars_brick *data, *src, *log[CRASH_LOGS];
	unsigned int nr_logs;
	struct crash_op op[CRASH_OPS];
	unsigned int nr_ops;
	u64 clock, nr_errors;
	struct crash_pos published[CRASH_MARKS];
	unsigned int nr_published;
	u32 states;			/* bit k: state k was seen */
	u64 number;			/* of the log now written */
	u64 signature;			/* of the last moment checked */
	struct crash_rnd rnd;
	struct crash_case kase[CRASH_CASES];
	unsigned int nr_cases, max_cases;
	unsigned int keep_one_in;	/* of so many moments */
	struct crash_count *count;
	char where[512];		/* what is being checked, for messages */
};

/* --- crash_bed.c --- */

/** crash_bed_init - a bed that has not run; @seed decides all that happens */
void crash_bed_init(struct crash_bed *b, const char *sequence, unsigned int mode, u64 seed,
		    struct crash_count *count);
/** crash_bed_large - make it one for long writes, with fewer, larger sectors */
void crash_bed_large(struct crash_bed *b);
void crash_bed_free(struct crash_bed *b);
/** crash_bed_open - engine and data disk */
void crash_bed_open(struct crash_bed *b);
/** crash_bed_logger - the next log, and a logger that is off */
void crash_bed_logger(struct crash_bed *b);
/** crash_observe - bring the books up to date; check the crashes if anything is new */
void crash_observe(struct crash_bed *b);
/** crash_bed_on - press the button; false = refused (no memory) */
bool crash_bed_on(struct crash_bed *b);
/** crash_bed_step - one step, then look at what it changed; false = nothing left */
bool crash_bed_step(struct crash_bed *b);
/**
 * crash_alloc_begin, crash_alloc_end - between them, the allocation due to fail fails
 *
 * Around whatever works for the logger: not around the bed's own doings.
 */
void crash_alloc_begin(struct crash_bed *b);
void crash_alloc_end(struct crash_bed *b);
/** crash_bed_play - run the sequence to the end of its last operation */
void crash_bed_play(struct crash_bed *b);
/** crash_bed_off - let it become idle if @idle, then switch off */
void crash_bed_off(struct crash_bed *b, bool idle);
/** crash_bed_close - take all apart */
void crash_bed_close(struct crash_bed *b);
/** crash_bed_live - from the logger's start to its end */
void crash_bed_live(struct crash_bed *b);
/** crash_bed_run - all of the above, then the replays and second lives */
void crash_bed_run(struct crash_bed *b);
struct mars_ctl_status crash_status(void);
/** crash_ident - identity of log number @k + 1 without its predecessor */
void crash_ident(const struct crash_bed *b, struct mars_log_ident *id, unsigned int k);
/** crash_first - what is on the device before everything */
void crash_first(const struct crash_bed *b, u8 *disk);
/** crash_op_data - memory for op->len bytes */
void crash_op_data(struct crash_op *op);
/** crash_apply - let a piece of @op change @disk */
void crash_apply(const struct crash_op *op, u64 pos, u64 len, u8 *disk);

#define crash_until(b, cond) do {					\
	unsigned long __n = 0;						\
	while (!(cond)) {						\
		CRASH_CHECK(b, crash_bed_step(b));			\
		CRASH_CHECK(b, __n++ < 200000);				\
	}								\
} while (0)

/** CRASH_CHECK - CHECK that says which crash it was and how to repeat it */
#define CRASH_CHECK(b, cond) do {					\
	if (!(cond))							\
		crash_fail(b, __FILE__, __LINE__, #cond);		\
} while (0)

__attribute__((__noreturn__))
void crash_fail(const struct crash_bed *b, const char *file, int line, const char *what);

/* --- crash_check.c --- */

/** crash_check - go through the crashes of this moment */
void crash_check(struct crash_bed *b);

/* --- crash_replay.c --- */

/** crash_replay_all - recover the crashes kept, live on after them, then forget them */
void crash_replay_all(struct crash_bed *b);
/**
 * crash_replay_begin, crash_replay_end - a replay brick on "data" and a disk "log"
 * @k: log number @k + 1 ...
 * @pos: ... from here on
 */
void crash_replay_begin(struct crash_bed *b, const struct crash_case *c, unsigned int k, u64 pos);
void crash_replay_end(void);
/** crash_replay_state - has it stopped, for whatever reason? */
bool crash_replay_stopped(void);

/* --- crash_second.c --- */

/** crash_second - recover @c, then play b->second, with all crashes on the way */
void crash_second(struct crash_bed *b, const struct crash_case *c);

#endif /* _MARS_CRASH_BED_H */
