/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * testbricks.h - three brick types for tests of wiring and requests
 *
 * "tap" passes requests through; it fills its aspect with a pattern on the way down
 * and verifies it on the way up, so aspects that overlap are found.  It has three
 * inputs and forwards down the one numbered by the low bits of rq->pos (pos % 4096)
 * when connected there, else input 0; so one tap makes a branching route.
 *
 * "hold" keeps every request until hold_end() or hold_forward() is called; with nothing
 * below it says it is a disk of HOLD_SIZE.
 *
 * "grid" insists on GRID_BLOCK: it passes on aligned requests and refuses all others
 * with -EINVAL, as a raw disk does.
 */
#ifndef _MARS_TEST_BRICKS_H
#define _MARS_TEST_BRICKS_H

#include "core/brick.h"
#include "core/xio.h"

#define HOLD_SIZE	(1u << 20)
#define GRID_BLOCK	512u
#define TAP_ASPECT_PATTERN	40	/* bytes */

/** testbricks_register - make the types known; after mars_engine_init() */
void testbricks_register(void);
/** tap_seen - requests that passed through all taps, up and down, since the start */
u64 tap_seen(void);
/** hold_count - requests held */
unsigned int hold_count(struct mars_brick *brick);
/** hold_end - end the oldest request held */
void hold_end(struct mars_brick *brick, int status);
/** hold_end_times - end one request @times times: the mistake that must not happen */
void hold_end_times(struct mars_brick *brick, int status, int times);
/** hold_forward - pass the oldest request on to input 0 */
void hold_forward(struct mars_brick *brick);

#endif /* _MARS_TEST_BRICKS_H */
