// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * control.c - the dispatcher behind the control ABI, the same in both homes
 *
 * A table gives each verb its structure size and its function.  The frame checks
 * what all verbs share (size, version, verb, flags), the function checks its own
 * fields completely, and only then something changes.  @arg is our own copy: in the
 * kernel the control device copies from and to user space, so nothing can change
 * between check and use.
 *
 * Locking: none here; the functions called take mars_topology_lock.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/string.h>

#include "brick.h"
#include "lamport.h"
#include "log_format.h"
#include "topology.h"

#ifndef MARS_BUILD
#define MARS_BUILD "unversioned"
#endif

#ifdef __KERNEL__
#define MARS_EMBEDDED 0
#else
#define MARS_EMBEDDED 1
#endif

static const int reason_errno[] = {
	[MARS_R_NONE]		= 0,
	[MARS_R_BAD_SIZE]	= -EINVAL,
	[MARS_R_BAD_VERSION]	= -EPROTO,
	[MARS_R_BAD_VERB]	= -ENOTTY,
	[MARS_R_BAD_FLAGS]	= -EINVAL,
	[MARS_R_BAD_NAME]	= -EINVAL,
	[MARS_R_NO_TYPE]	= -ENODEV,
	[MARS_R_NO_BRICK]	= -ENOENT,
	[MARS_R_EXISTS]		= -EEXIST,
	[MARS_R_NO_INPUT]	= -ENXIO,
	[MARS_R_CONNECTED]	= -EISCONN,
	[MARS_R_NOT_CONNECTED]	= -ENOTCONN,
	[MARS_R_LOOP]		= -ELOOP,
	[MARS_R_NO_OUTPUT]	= -ENXIO,
	[MARS_R_BUSY_USERS]	= -EBUSY,
	[MARS_R_BUSY_ON]	= -EBUSY,
	[MARS_R_BELOW_OFF]	= -ENOTCONN,
	[MARS_R_NO_KEY]		= -EOPNOTSUPP,
	[MARS_R_BAD_VALUE]	= -EINVAL,
	[MARS_R_NOT_NOW]	= -EAGAIN,
	[MARS_R_NO_MEMORY]	= -ENOMEM,
	[MARS_R_IO]		= -EIO,
	[MARS_R_IN_USE]		= -EBUSY,
	[MARS_R_TOO_SMALL]	= -EFBIG,
	[MARS_R_FUTURE]		= -ERANGE,
	[MARS_R_MISSING]	= -EINVAL,
	[MARS_R_BAD_LOG]	= -EBADMSG,
	[MARS_R_NO_SPACE]	= -ENOSPC,
	[MARS_R_NO_PATH]	= -ENOENT,
	[MARS_R_DENIED]		= -EACCES,
	[MARS_R_TOO_DEEP]	= -EMLINK,
	[MARS_R_OPEN]		= -EBUSY,
	[MARS_R_TOO_LONG]	= -ENAMETOOLONG,
};

int mars_reason_errno(enum mars_reason reason)
{
	if ((unsigned int)reason >= ARRAY_SIZE(reason_errno))
		return -EIO;
	return reason_errno[reason];
}

/* --- checks of single fields --- */

static bool all_zero(const char *p, size_t len)
{
	while (len--)
		if (*p++)
			return false;
	return true;
}

static bool name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_./:@+-", c));
}

/* Names end up in messages and paths: nothing absolute, no "..", no odd characters. */
static bool name_ok(const char *name, size_t max, bool may_be_empty)
{
	size_t len = strnlen(name, max), i;

	if (len == max || !all_zero(name + len, max - len))
		return false;
	if (!len)
		return may_be_empty;
	for (i = 0; i < len; i++)
		if (!name_char(name[i]))
			return false;
	return name[0] != '/' && !strstr(name, "..");
}

#define NAME_OK(field)		name_ok(field, sizeof(field), false)
#define NAME_OR_EMPTY(field)	name_ok(field, sizeof(field), true)

/* --- verbs --- */

static int do_version(void *arg, enum mars_reason *reason)
{
	struct mars_ctl_version *ctl = arg;

	if (ctl->pad)
		return mars_refuse(reason, MARS_R_BAD_FLAGS);
	ctl->abi = MARS_ABI_VERSION;
	ctl->log_format = MARS_LOG_FORMAT;
	ctl->embedded = MARS_EMBEDDED;
	memset(ctl->build, 0, sizeof(ctl->build));
	strscpy(ctl->build, MARS_BUILD, sizeof(ctl->build));
	return 0;
}

static int do_create(void *arg, enum mars_reason *reason)
{
	struct mars_ctl_create *ctl = arg;

	if (!NAME_OK(ctl->type) || !NAME_OK(ctl->name))
		return mars_refuse(reason, MARS_R_BAD_NAME);
	return mars_brick_create(ctl->type, ctl->name, reason);
}

static int do_destroy(void *arg, enum mars_reason *reason)
{
	struct mars_ctl_name *ctl = arg;

	if (!NAME_OK(ctl->name))
		return mars_refuse(reason, MARS_R_BAD_NAME);
	return mars_brick_destroy(ctl->name, reason);
}

static int do_connect(void *arg, enum mars_reason *reason)
{
	struct mars_ctl_wire *ctl = arg;

	if (ctl->pad)
		return mars_refuse(reason, MARS_R_BAD_FLAGS);
	if (!NAME_OK(ctl->name) || !NAME_OK(ctl->to))
		return mars_refuse(reason, MARS_R_BAD_NAME);
	return mars_brick_connect(ctl->name, ctl->input, ctl->to, reason);
}

static int do_disconnect(void *arg, enum mars_reason *reason)
{
	struct mars_ctl_wire *ctl = arg;

	if (ctl->pad || !all_zero(ctl->to, sizeof(ctl->to)))
		return mars_refuse(reason, MARS_R_BAD_FLAGS);
	if (!NAME_OK(ctl->name))
		return mars_refuse(reason, MARS_R_BAD_NAME);
	return mars_brick_disconnect(ctl->name, ctl->input, reason);
}

static int do_switch(void *arg, enum mars_reason *reason)
{
	struct mars_ctl_switch *ctl = arg;

	if (ctl->pad)
		return mars_refuse(reason, MARS_R_BAD_FLAGS);
	if (!NAME_OK(ctl->name))
		return mars_refuse(reason, MARS_R_BAD_NAME);
	if (ctl->on > 1)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	return mars_brick_switch(ctl->name, ctl->on, reason);
}

static int do_set(void *arg, enum mars_reason *reason)
{
	struct mars_ctl_set *ctl = arg;

	if (!NAME_OK(ctl->name))
		return mars_refuse(reason, MARS_R_BAD_NAME);
	/* Bricks may rely on the NUL behind the text. */
	if (ctl->len >= MARS_TEXT_MAX)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	if (!all_zero(ctl->text + ctl->len, MARS_TEXT_MAX - ctl->len))
		return mars_refuse(reason, MARS_R_BAD_FLAGS);
	return mars_brick_set(ctl->name, ctl->key, ctl->value, ctl->text, ctl->len, reason);
}

static int do_status(void *arg, enum mars_reason *reason)
{
	struct mars_ctl_status *ctl = arg;

	if (!NAME_OK(ctl->name))
		return mars_refuse(reason, MARS_R_BAD_NAME);
	return mars_brick_status(ctl->name, ctl, reason);
}

static int do_list(void *arg, enum mars_reason *reason)
{
	struct mars_ctl_status *ctl = arg;

	if (!NAME_OR_EMPTY(ctl->name))
		return mars_refuse(reason, MARS_R_BAD_NAME);
	mars_brick_status_next(ctl->name, ctl);
	return 0;
}

static int do_event(void *arg, enum mars_reason *reason)
{
	struct mars_ctl_status *ctl = arg;

	memset((char *)ctl + sizeof(ctl->hdr), 0, sizeof(*ctl) - sizeof(ctl->hdr));
	mars_event_next(ctl);
	return 0;
}

static int do_lamport(void *arg, enum mars_reason *reason)
{
	struct mars_ctl_lamport *ctl = arg;

	if (ctl->advance && mars_lamport_advance(ctl->advance))
		return mars_refuse(reason, MARS_R_FUTURE);
	ctl->real = ktime_get_real_ns();
	ctl->lamport = mars_lamport_now();
	return 0;
}

/* --- the frame --- */

static const struct verb {
	size_t size;
	int (*fn)(void *arg, enum mars_reason *reason);
} verbs[] = {
	[MARS_VERB_VERSION]	= { sizeof(struct mars_ctl_version), do_version },
	[MARS_VERB_CREATE]	= { sizeof(struct mars_ctl_create), do_create },
	[MARS_VERB_DESTROY]	= { sizeof(struct mars_ctl_name), do_destroy },
	[MARS_VERB_CONNECT]	= { sizeof(struct mars_ctl_wire), do_connect },
	[MARS_VERB_DISCONNECT]	= { sizeof(struct mars_ctl_wire), do_disconnect },
	[MARS_VERB_SWITCH]	= { sizeof(struct mars_ctl_switch), do_switch },
	[MARS_VERB_SET]		= { sizeof(struct mars_ctl_set), do_set },
	[MARS_VERB_STATUS]	= { sizeof(struct mars_ctl_status), do_status },
	[MARS_VERB_LIST]	= { sizeof(struct mars_ctl_status), do_list },
	[MARS_VERB_LAMPORT]	= { sizeof(struct mars_ctl_lamport), do_lamport },
	[MARS_VERB_EVENT]	= { sizeof(struct mars_ctl_status), do_event },
};

static int dispatch(struct mars_ctl_hdr *hdr, size_t size, enum mars_reason *reason)
{
	const struct verb *verb;

	if (hdr->version != MARS_ABI_VERSION) {
		hdr->version = MARS_ABI_VERSION;	/* the caller learns who is the older one */
		return mars_refuse(reason, MARS_R_BAD_VERSION);
	}
	if (hdr->verb >= ARRAY_SIZE(verbs) || !verbs[hdr->verb].fn)
		return mars_refuse(reason, MARS_R_BAD_VERB);
	verb = &verbs[hdr->verb];
	if (hdr->size != size || size != verb->size)
		return mars_refuse(reason, MARS_R_BAD_SIZE);
	if (hdr->flags)
		return mars_refuse(reason, MARS_R_BAD_FLAGS);
	return verb->fn(hdr, reason);
}

/**
 * mars_control - carry out one control call
 * @arg: the structure of the verb, aligned to 8 bytes; the answer comes back in it
 * @size: bytes at @arg
 *
 * Process context; may sleep.  Returns 0 or -errno with hdr.reason saying why; -EINVAL
 * without a reason when not even the header fits into @size.
 */
int mars_control(void *arg, size_t size)
{
	struct mars_ctl_hdr *hdr = arg;
	enum mars_reason reason = MARS_R_NONE;
	int err;

	if (size < sizeof(*hdr))
		return -EINVAL;
	err = dispatch(hdr, size, &reason);
	hdr->reason = reason;
	return err;
}
