/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logger_rig.h - a logger on simulated disks, with a model that knows what is right
 *
 * In simulation only.  One logger "lg" stands on "watch" on the disk "data", its logs
 * are disks "log-1", "log-2", ...; requests enter through the source "src".  Every write
 * carries its id in each 8 bytes, so each byte anywhere tells who wrote it.  The rig
 * scans the logs as they grow, durable part only, and checks while it runs:
 *
 *	I2  nothing reaches the data disk before its record is durable
 *	I3  a completed FLUSH or FUA: all it promises is in the durable log
 *	I4  reads return the newest data
 *	I1  log order extends the completion order (rig_check_order, at the end)
 *	I6  crash now: data disk + replay from the published position = replay of all logs
 *	    (rig_check_crash, any time)
 */
#ifndef _MARS_LOGGER_RIG_H
#define _MARS_LOGGER_RIG_H

#include "bricks/logger.h"
#include "../bricks/faulty.h"
#include "engine/engine.h"
#include "source.h"
#include "test.h"

#define RIG_IDS		65536
#define RIG_LOGS	64
#define RIG_FLIGHT	24

struct rig_op {
	struct source_io io;
	bool busy;
	u8 op;
	u32 flags, id, last_id;
	u64 pos, len;
	u8 *buf;
};

/* What became of a write; times count submissions and completions. */
struct rig_write {
	u64 pos, len, submitted, completed;
	u64 logged;		/* bytes of it found in the durable log */
	u64 order;		/* of its first record in the logs, 0 = none */
};

struct rig_log {
	struct mars_brick *disk;
	struct mars_log_ident ident;
	struct mars_log_cursor cur;	/* durable groups verified so far */
	bool begun, finished;
	u8 *before;			/* contents of the device when it began */
	u64 order;			/* records in the logs before it */
};

struct rig {
	u64 size, capacity, credits;
	struct mars_brick *data;
	struct mars_brick *src;
	struct logger *lg;
	struct rig_log log[RIG_LOGS];
	unsigned int nr_logs;
	u8 *model;			/* what readers must see */
	u8 *replayed;			/* all durable log records applied, in order */
	u8 *first;			/* contents at the start */
	struct rig_write write[RIG_IDS];
	u32 nr_writes;
	u64 clock, order;
	struct rig_op op[RIG_FLIGHT];
	u8 *scratch;
	bool overlap;			/* let writes in flight overlap each other */
	bool may_fail;			/* requests may end with errors */
	u64 nr_errors;
};

struct rig *rig_new(u64 size, u64 log_capacity);
void rig_free(struct rig *r);
/** rig_param - set a parameter of the logger */
void rig_param(struct rig *r, u32 key, u64 value);
/** rig_on - switch the logger on and wait until it is */
void rig_on(struct rig *r);
/** rig_off - switch everything off; checks that all is written back when @clean */
void rig_off(struct rig *r, bool clean);
/** rig_step - one step of the simulation; false = nothing to do */
bool rig_step(struct rig *r);
/** rig_until - step until @cond; fails the test when nothing is left or after a million steps */
#define rig_until(r, cond) do {						\
	unsigned long __n = 0;						\
	while (!(cond)) {						\
		CHECK(rig_step(r));					\
		CHECK(__n++ < 4000000);					\
	}								\
} while (0)
/** rig_start - begin a request; waits for those it would collide with; returns its slot */
struct rig_op *rig_start(struct rig *r, enum xio_op op, u32 flags, u64 pos, u64 len);
/** rig_do - begin a request and wait for it */
int rig_do(struct rig *r, enum xio_op op, u32 flags, u64 pos, u64 len);
/** rig_random - one random request */
void rig_random(struct rig *r, u64 max_len);
/** rig_idle - wait for all requests */
void rig_idle(struct rig *r);
/** rig_busy - requests not ended */
unsigned int rig_busy(struct rig *r);
/** rig_rotate - continue in a fresh log; false = refused now */
bool rig_rotate(struct rig *r);
/** rig_scan - verify what became durable in the logs since the last time */
void rig_scan(struct rig *r);
void rig_check_order(struct rig *r);
void rig_check_crash(struct rig *r);
/** rig_check_all - read the whole device through the logger and compare with the model */
void rig_check_all(struct rig *r);
struct mars_ctl_status rig_status(void);

#endif /* _MARS_LOGGER_RIG_H */
