/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * source.h - an initiator of requests for tests of bricks
 *
 * A brick of type "source" has one input and nothing else.  source_io() runs one
 * request and waits for it, in either executor mode; source_start() starts one
 * and leaves it to source_wait().
 */
#ifndef _MARS_TEST_SOURCE_H
#define _MARS_TEST_SOURCE_H

#include "core/brick.h"
#include "core/xio.h"

struct source_io {
	struct bio_vec vec[1];
	struct xio_request *rq;
	int status;
	int done;		/* atomic */
};

/** source_register - make the type known; after mars_engine_init() */
void source_register(void);
/** source_create - a source wired to brick @to and switched on */
struct mars_brick *source_create(const char *name, const char *to);
/** source_destroy - switch it off and destroy it */
void source_destroy(const char *name);

/** source_start - submit; @io and @buf stay until source_wait() */
void source_start(struct mars_brick *source, struct source_io *io, enum xio_op op,
		  unsigned int flags, u64 pos, void *buf, u64 len);
/** source_submit - ditto with a request made by hand; rq->private is the source_io */
void source_submit(struct xio_request *rq);
/** source_done - has it ended? */
bool source_done(struct source_io *io);
/** source_wait - wait for the end; returns the status */
int source_wait(struct source_io *io);
/** source_io - start and wait */
int source_io(struct mars_brick *source, enum xio_op op, unsigned int flags, u64 pos,
	      void *buf, u64 len);

/* Shorthands that CHECK success. */
void brick_create(const char *type, const char *name);
void brick_on(const char *name);
/** brick_off - switch off and wait for led_off */
void brick_off(const char *name);
void brick_destroy(const char *name);
void brick_set_text(const char *name, u32 key, const char *text);
void brick_set_value(const char *name, u32 key, u64 value);
/** brick_wait_off - until led_off is lit; steps the simulation or waits for events */
void brick_wait_off(const char *name);
/**
 * source_wait_event - wait for something to happen in the engine
 *
 * Nothing is missed that happened since the last call of this or of a brick_
 * function: check a condition, and call this as long as it is false.
 */
void source_wait_event(void);
/** brick_status - current status */
struct mars_ctl_status brick_status(const char *name);

#endif /* _MARS_TEST_SOURCE_H */
