// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * if.c - the if brick: an XIO output as the disk /dev/mars/NAME
 *
 * The name is that of the disk (sysfs mars!NAME), so devtmpfs makes the node without
 * udev.  It is unique among all if bricks: a duplicate is refused here, because the block
 * layer finds it late and with a stack trace.
 *
 * Power off never waits and never fails halfway: while the disk is open it is refused.
 * A process that is stuck in a write, because the log is full, holds the disk open.
 *
 * Failure: a disk that can't be added leaves MARS_S_IO_ERROR and both lamps say off.
 * Errors of single requests go to whoever sent the bio.
 */
#include <linux/string.h>

#include "core/trace.h"
#include "if.h"
#include "types.h"
#include "work.h"

static LIST_HEAD(if_names);		/* if_names_lock */
static DEFINE_MUTEX(if_names_lock);

/* --- names --- */

static bool name_claim(struct if_brick *ifb)
{
	struct if_brick *other;
	bool taken = false;

	mutex_lock(&if_names_lock);
	list_for_each_entry(other, &if_names, names)
		taken |= !strcmp(other->name, ifb->name);
	if (!taken)
		list_add(&ifb->names, &if_names);
	mutex_unlock(&if_names_lock);
	return !taken;
}

static void name_release(struct if_brick *ifb)
{
	mutex_lock(&if_names_lock);
	list_del_init(&ifb->names);
	mutex_unlock(&if_names_lock);
}

/* As brick names, without a slash and not hidden. */
static bool name_ok(const char *name, u32 len)
{
	u32 i;

	for (i = 0; i < len; i++) {
		char c = name[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      (c >= '0' && c <= '9') || (c && strchr("_.:@+-", c))))
			return false;
	}
	return len && name[0] != '.';
}

/* --- state --- */

static u8 state_of(int error)
{
	return error ? MARS_S_IO_ERROR : MARS_S_OK;
}

/* Power on and, behind it, the work item. */
static void set_error(struct if_brick *ifb, int error)
{
	if (ifb->error == error)
		return;
	WRITE_ONCE(ifb->error, error);
	trace_mars_state(&ifb->brick, state_of(error), error);
	mars_brick_event(&ifb->brick, MARS_EV_STATE);
}

/* --- up and down: the work item --- */

static void if_raise(struct if_brick *ifb)
{
	int err = if_disk_add(ifb);

	set_error(ifb, err);
	mars_brick_leds(&ifb->brick, !err, err);
}

static void if_lower(struct if_brick *ifb)
{
	mars_brick_leds(&ifb->brick, false, false);
	if_disk_del(ifb);
	/* who had the disk open has seen its IO end; what remains are the last steps of it */
	mars_gate_close(&ifb->gate);
	wait_for_completion(&ifb->empty);
	name_release(ifb);
	if_disk_free(ifb);
	mars_module_release();
	mars_brick_leds(&ifb->brick, false, true);
}

static void if_empty(struct mars_gate *gate)
{
	complete(&container_of(gate, struct if_brick, gate)->empty);
}

static void if_work(struct work_struct *work)
{
	struct if_brick *ifb = container_of(work, struct if_brick, work);
	enum if_todo todo;

	spin_lock(&ifb->lock);
	todo = ifb->todo;
	ifb->todo = IF_NOTHING;		/* a run that came too late finds this */
	spin_unlock(&ifb->lock);
	if (todo == IF_LOWER)
		if_lower(ifb);
	else if (todo == IF_RAISE)
		if_raise(ifb);
}

/* --- power --- */

static int if_power_on(struct if_brick *ifb, enum mars_reason *reason)
{
	int err;

	if (!ifb->name[0])
		return mars_refuse(reason, MARS_R_MISSING);
	if (!name_claim(ifb))
		return mars_refuse(reason, MARS_R_EXISTS);
	err = if_disk_alloc(ifb, reason);
	if (err) {
		name_release(ifb);
		return err;
	}
	mars_module_hold();
	set_error(ifb, 0);
	reinit_completion(&ifb->empty);
	mars_gate_open(&ifb->gate);
	mars_brick_leds(&ifb->brick, false, false);
	spin_lock(&ifb->lock);
	ifb->closing = false;
	ifb->todo = IF_RAISE;
	spin_unlock(&ifb->lock);
	queue_work(system_unbound_wq, &ifb->work);
	return 0;
}

static int if_power_off(struct if_brick *ifb, enum mars_reason *reason)
{
	bool open;

	spin_lock(&ifb->lock);
	open = ifb->opens;
	if (!open) {
		/* first: a run under way that finds the task lights the last lamp */
		mars_brick_leds(&ifb->brick, false, false);
		ifb->closing = true;
		ifb->todo = IF_LOWER;	/* of a disk that was not raised, too */
	}
	spin_unlock(&ifb->lock);
	if (open)
		return mars_refuse(reason, MARS_R_OPEN);
	queue_work(system_unbound_wq, &ifb->work);
	return 0;
}

static int if_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	return on ? if_power_on(to_if(brick), reason) : if_power_off(to_if(brick), reason);
}

/* --- parameters --- */

static int set_name(struct if_brick *ifb, const char *text, u32 len, enum mars_reason *reason)
{
	if (ifb->brick.button || READ_ONCE(ifb->disk))
		return mars_refuse(reason, MARS_R_NOT_NOW);
	if (!name_ok(text, len))
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	if (len > IF_NAME_MAX)
		return mars_refuse(reason, MARS_R_TOO_LONG);
	memcpy(ifb->name, text, len);
	ifb->name[len] = 0;
	return 0;
}

/* A disk that is on follows at once; whoever has it open for writing sees errors. */
static int set_read_only(struct if_brick *ifb, u64 value, enum mars_reason *reason)
{
	struct xio_info info;

	if (value > 1)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	if (ifb->brick.button) {
		if (!value && !mars_input_info(&ifb->brick.input[0], &info) && info.read_only)
			return mars_refuse(reason, MARS_R_NOT_NOW);
		set_disk_ro(ifb->disk, value);
	}
	WRITE_ONCE(ifb->read_only, value);
	return 0;
}

static int if_set(struct mars_brick *brick, u32 key, u64 value, const char *text, u32 len,
		  enum mars_reason *reason)
{
	struct if_brick *ifb = to_if(brick);

	switch (key) {
	case MARS_K_IF_NAME:
		return set_name(ifb, text, len, reason);
	case MARS_K_IF_READONLY:
		return set_read_only(ifb, value, reason);
	case MARS_K_IF_RESIZE:
		if (!brick->button)
			return mars_refuse(reason, MARS_R_NOT_NOW);
		return if_disk_resize(ifb, reason);
	}
	return mars_refuse(reason, MARS_R_NO_KEY);
}

/* --- the rest of the type --- */

static int if_construct(struct mars_brick *brick)
{
	struct if_brick *ifb = to_if(brick);

	INIT_LIST_HEAD(&ifb->names);
	INIT_WORK(&ifb->work, if_work);
	mars_gate_init(&ifb->gate, if_empty);
	init_waitqueue_head(&ifb->room);
	init_completion(&ifb->empty);
	spin_lock_init(&ifb->lock);
	return 0;
}

static void if_destruct(struct mars_brick *brick)
{
	cancel_work_sync(&to_if(brick)->work);	/* its very end may still be running */
}

/* Something is always below a disk. */
static bool if_needs(struct mars_brick *brick, unsigned int nr)
{
	return true;
}

static int if_fits(struct mars_brick *brick, unsigned int nr, enum mars_reason *reason)
{
	struct if_brick *ifb = to_if(brick);
	bool closing;

	spin_lock(&ifb->lock);
	closing = ifb->closing;
	spin_unlock(&ifb->lock);
	if (!closing)
		return if_disk_fits(ifb, reason);
	/* it promises nothing any more, but its files and links may still be there */
	return READ_ONCE(ifb->disk) ? if_disk_stands(ifb, reason) : 0;
}

static void if_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct if_brick *ifb = to_if(brick);

	spin_lock(&ifb->lock);
	st->val[MARS_V_NBD_CLIENTS] = ifb->opens;
	spin_unlock(&ifb->lock);
	st->val[MARS_V_NBD_READS] = atomic64_read(&ifb->nr[XIO_READ]);
	st->val[MARS_V_NBD_WRITES] = atomic64_read(&ifb->nr[XIO_WRITE]);
	st->val[MARS_V_NBD_FLUSHES] = atomic64_read(&ifb->nr[XIO_FLUSH]);
	st->val[MARS_V_NBD_BYTES_READ] = atomic64_read(&ifb->bytes_read);
	st->val[MARS_V_NBD_BYTES_WRITTEN] = atomic64_read(&ifb->bytes_written);
	st->val[MARS_V_NBD_IN_FLIGHT] = if_in_flight(ifb);
	st->nr_val = MARS_V_NBD_IN_FLIGHT + 1;
	st->error = READ_ONCE(ifb->error);
	st->state = state_of(st->error);
}

const struct mars_brick_type if_brick_type = {
	.name		= "if",
	.nr_inputs	= 1,
	.input_name	= { "disk" },
	.size		= sizeof(struct if_brick),
	.construct	= if_construct,
	.destruct	= if_destruct,
	.set		= if_set,
	.power		= if_power,
	.status		= if_status,
	.needs		= if_needs,
	.fits		= if_fits,
};
