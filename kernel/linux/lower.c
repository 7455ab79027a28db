// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lower.c - parameters, power and books of the bricks at the bottom: bdev, file
 *
 * Size: FILE_SIZE before power on asks for at least that much; ops->resize() says what it
 * means while open.
 *
 * Failure: errors go to the initiator and show as MARS_S_IO_ERROR until the next success.
 * A refusal (-EINVAL, -EOPNOTSUPP) says nothing about the health of the disk.  Where a
 * failed flush is final (lost), no success ends the state before the brick was off.
 *
 * Context: set, power and status under mars_topology_lock, which is free while the device
 * is waited for; done and refuse anywhere; the closing is a work item without locks.
 */
#include <linux/errno.h>
#include <linux/string.h>

#include "core/trace.h"
#include "lower.h"
#include "work.h"

/* --- parameters --- */

static int set_path(struct mars_lower *low, const char *text, u32 len, enum mars_reason *reason)
{
	if (!len || len > MARS_TEXT_MAX || memchr(text, 0, len) || text[0] != '/')
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	memcpy(low->path, text, len);
	low->path[len] = 0;
	return 0;
}

static int set_flags(struct mars_lower *low, u64 value, enum mars_reason *reason)
{
	bool writes = value & (MARS_FILE_CREATE | MARS_FILE_APPEND);

	if (value & ~(u64)low->ops->flags || (value & MARS_FILE_RDONLY && writes))
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	low->flags = value;
	return 0;
}

static int set_size(struct mars_lower *low, u64 value, enum mars_reason *reason)
{
	int err;

	if (value > (u64)S64_MAX)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	err = low->brick.button ? low->ops->resize(low, value, reason) : 0;
	if (err)
		return err;
	atomic64_set(&low->want, value);
	if (low->brick.button)
		mars_brick_event(&low->brick, MARS_EV_PROGRESS);
	return 0;
}

int mars_lower_set(struct mars_brick *brick, u32 key, u64 value, const char *text, u32 len,
		   enum mars_reason *reason)
{
	struct mars_lower *low = to_lower(brick);
	bool open = brick->button || smp_load_acquire(&low->open);

	switch (key) {
	case MARS_K_FILE_PATH:
		return open ? mars_refuse(reason, MARS_R_NOT_NOW) :
			      set_path(low, text, len, reason);
	case MARS_K_FILE_FLAGS:
		return open ? mars_refuse(reason, MARS_R_NOT_NOW) :
			      set_flags(low, value, reason);
	case MARS_K_FILE_SIZE:
		return set_size(low, value, reason);
	}
	return mars_refuse(reason, MARS_R_NO_KEY);
}

/* --- state --- */

static u8 state_of(int error)
{
	return error ? MARS_S_IO_ERROR : MARS_S_OK;
}

/* 0 or -errno from now on; any context.  Changes at the same moment may be told in any order. */
static void set_error(struct mars_lower *low, int error)
{
	if (READ_ONCE(low->error) == error || xchg(&low->error, error) == error)
		return;
	trace_mars_state(&low->brick, state_of(error), error);
	mars_brick_event(&low->brick, MARS_EV_STATE);
}

/* --- power --- */

static void stop_lanes(struct mars_lower *low)
{
	unsigned int i;

	for (i = 0; i < low->nr_lanes; i++)
		mars_lane_stop(&low->lane[i]);
}

static int power_on(struct mars_lower *low, enum mars_reason *reason)
{
	int err;

	if (!low->path[0])
		return mars_refuse(reason, MARS_R_MISSING);
	mars_brick_slow_begin(&low->brick);
	err = low->ops->open(low, reason);
	if (err)
		stop_lanes(low);
	mars_brick_slow_end(&low->brick);
	if (err)
		return err;
	set_error(low, 0);
	WRITE_ONCE(low->lost, false);
	smp_store_release(&low->open, true);
	mars_module_hold();
	mars_gate_open(&low->gate);
	mars_brick_leds(&low->brick, true, false);
	return 0;
}

int mars_lower_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct mars_lower *low = to_lower(brick);

	if (on)
		return power_on(low, reason);
	mars_brick_leds(brick, false, false);
	mars_gate_close(&low->gate);
	return 0;
}

/* The last request has left; any context. */
static void gate_empty(struct mars_gate *gate)
{
	struct mars_lower *low = container_of(gate, struct mars_lower, gate);

	queue_work(mars_close_wq, &low->close);
}

static void close_work(struct work_struct *work)
{
	struct mars_lower *low = container_of(work, struct mars_lower, close);

	stop_lanes(low);
	low->ops->close(low);
	smp_store_release(&low->open, false);
	mars_module_release();
	mars_brick_leds(&low->brick, false, true);	/* the brick may be gone behind this */
}

enum mars_reason mars_open_reason(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
	case -ELOOP:
	case -ENXIO:
	case -ENODEV:
		return MARS_R_NO_PATH;
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return MARS_R_DENIED;
	case -EBUSY:
	case -ETXTBSY:
		return MARS_R_IN_USE;
	case -ENOSPC:
	case -EDQUOT:
		return MARS_R_NO_SPACE;
	case -EISDIR:
	case -ENOTBLK:
		return MARS_R_BAD_VALUE;
	case -ENOMEM:
		return MARS_R_NO_MEMORY;
	}
	return MARS_R_IO;
}

/* --- books --- */

static void note(struct mars_lower *low, int status)
{
	if (status == -EINVAL || status == -EOPNOTSUPP)
		return;
	if (!status && READ_ONCE(low->lost))
		return;
	set_error(low, status);
}

void mars_lower_done(struct mars_lower *low, struct xio_request *rq, int status)
{
	if (!status && rq->op == XIO_READ)
		atomic64_add(rq->len, &low->bytes_read);
	else if (!status && rq->op == XIO_WRITE)
		atomic64_add(rq->len, &low->bytes_written);
	note(low, status);
	xio_complete(rq, status);
	mars_gate_leave(&low->gate);
}

void mars_lower_refuse(struct mars_lower *low, struct xio_request *rq, int err)
{
	xio_complete(rq, err);
	mars_gate_leave(&low->gate);
}

void mars_lower_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct mars_lower *low = to_lower(brick);

	if (mars_gate_enter(&low->gate)) {
		st->val[MARS_V_FILE_SIZE] = low->ops->size(low);
		st->val[MARS_V_FILE_DIRECT] = low->direct;
		st->val[MARS_V_FILE_ALIGN] = low->align;
		mars_gate_leave(&low->gate);
	}
	st->val[MARS_V_FILE_READS] = atomic64_read(&low->nr[XIO_READ]);
	st->val[MARS_V_FILE_WRITES] = atomic64_read(&low->nr[XIO_WRITE]);
	st->val[MARS_V_FILE_FLUSHES] = atomic64_read(&low->nr[XIO_FLUSH]);
	st->val[MARS_V_FILE_BYTES_READ] = atomic64_read(&low->bytes_read);
	st->val[MARS_V_FILE_BYTES_WRITTEN] = atomic64_read(&low->bytes_written);
	st->nr_val = MARS_V_FILE_ALIGN + 1;
	st->error = READ_ONCE(low->error);
	st->state = state_of(st->error);
}

void mars_lower_init(struct mars_lower *low, const struct mars_lower_ops *ops,
		     struct mars_lane *lane, unsigned int nr_lanes)
{
	low->ops = ops;
	low->lane = lane;
	low->nr_lanes = nr_lanes;
	mars_gate_init(&low->gate, gate_empty);
	INIT_WORK(&low->close, close_work);
}
