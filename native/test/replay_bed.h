/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replay_bed.h - a replay brick between simulated disks, for tests
 *
 *   "replay" input 0 --> "referee" (check brick) --> "data" (faulty)
 *            input 1 --> "log" (faulty)
 *
 * The model is a plain interpreter of the log: what the data disk must hold once
 * the log is applied up to some position.  One thread; simulation unless said.
 */
#ifndef _MARS_REPLAY_BED_H
#define _MARS_REPLAY_BED_H

#include "bricks/faulty.h"
#include "core/brick.h"
#include "exec.h"
#include "mklog.h"

#define BED_DEVICE	(1u << 20)

/* What a random log looks like. */
struct bed_style {
	u32 groups;
	u32 records;		/* most in a group */
	u32 hot;		/* positions come from so many bytes at the front */
	u32 longest;		/* longest write */
};

struct bed {
	struct mars_brick *data;	/* the disks, for the faulty_*() functions */
	struct mars_brick *log;
};

/** bed_random_log - a log by exec_random(); @style NULL = small, hot and mixed */
void bed_random_log(struct mklog *m, const struct bed_style *style);
/** bed_nr_records - records in groups that end at or before @pos */
u64 bed_nr_records(const struct mklog *m, u64 pos);
/** bed_model - apply the groups of @m in [@from, @to) to @disk (BED_DEVICE bytes) */
void bed_model(const struct mklog *m, u64 from, u64 to, u8 *disk);
/** bed_pattern - fill @disk with what was there before the log began */
void bed_pattern(u8 *disk);
/** bed_image - a disk image of BED_DEVICE bytes with bed_pattern() */
struct faulty_image *bed_image(void);

/** bed_open - all bricks on, replay set up but still off */
void bed_open(struct bed *b, const struct mklog *m, const struct faulty_image *data,
	      const struct faulty_config *config, u64 start, u64 end);
/** bed_close - switch off what is on and destroy; simulation must be able to end */
void bed_close(struct bed *b);

int bed_power(bool on);
int bed_set(u32 key, u64 value);
struct mars_ctl_status bed_status(void);
u64 bed_val(enum mars_val_replay i);
/** bed_run - step until the state is @state; fails the test if nothing is left to run */
void bed_run(enum mars_state state);
/** bed_wait - ditto with real threads: sleep from event to event until @reached() */
void bed_wait(bool (*reached)(void));
/** bed_expect - data disk equals the model at @pos, in view and (if @durable) on the platter */
void bed_expect(struct bed *b, const struct mklog *m, u64 pos, bool durable);

#endif /* _MARS_REPLAY_BED_H */
