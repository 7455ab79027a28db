/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * glue.c - see glue.h
 */
#include <linux/crc32c.h>
#include <linux/kernel.h>
#include <linux/stddef.h>

#include "core/brick.h"
#include "core/log_format.h"
#include "engine/engine.h"
#include "uapi/mars.h"

#include "glue.h"

#define SIZE(type) { #type, sizeof(struct type) }
#define FIELD(type, field) { #type "." #field, offsetof(struct type, field) }

const struct glue_layout glue_layout[] = {
	SIZE(mars_ctl_hdr),
	FIELD(mars_ctl_hdr, version), FIELD(mars_ctl_hdr, verb),
	FIELD(mars_ctl_hdr, flags), FIELD(mars_ctl_hdr, reason),
	SIZE(mars_ctl_version),
	FIELD(mars_ctl_version, abi), FIELD(mars_ctl_version, log_format),
	FIELD(mars_ctl_version, embedded), FIELD(mars_ctl_version, build),
	SIZE(mars_ctl_create),
	FIELD(mars_ctl_create, type), FIELD(mars_ctl_create, name),
	SIZE(mars_ctl_name),
	FIELD(mars_ctl_name, name),
	SIZE(mars_ctl_wire),
	FIELD(mars_ctl_wire, name), FIELD(mars_ctl_wire, input), FIELD(mars_ctl_wire, to),
	SIZE(mars_ctl_switch),
	FIELD(mars_ctl_switch, name), FIELD(mars_ctl_switch, on),
	SIZE(mars_ctl_set),
	FIELD(mars_ctl_set, name), FIELD(mars_ctl_set, key), FIELD(mars_ctl_set, len),
	FIELD(mars_ctl_set, value), FIELD(mars_ctl_set, text),
	SIZE(mars_ctl_lamport),
	FIELD(mars_ctl_lamport, advance), FIELD(mars_ctl_lamport, real),
	FIELD(mars_ctl_lamport, lamport),
	SIZE(mars_ctl_status),
	FIELD(mars_ctl_status, name), FIELD(mars_ctl_status, type),
	FIELD(mars_ctl_status, button), FIELD(mars_ctl_status, led_on),
	FIELD(mars_ctl_status, led_off), FIELD(mars_ctl_status, state),
	FIELD(mars_ctl_status, error), FIELD(mars_ctl_status, events),
	FIELD(mars_ctl_status, nr_val), FIELD(mars_ctl_status, val),
	FIELD(mars_ctl_status, digest), FIELD(mars_ctl_status, digest2),
	SIZE(mars_log_ident),
	FIELD(mars_log_ident, resource), FIELD(mars_log_ident, salt),
	FIELD(mars_log_ident, number), FIELD(mars_log_ident, prev_length),
	FIELD(mars_log_ident, prev_digest), FIELD(mars_log_ident, prev_number),
	FIELD(mars_log_ident, timeline), FIELD(mars_log_ident, origin),
	FIELD(mars_log_ident, prev_origin),
	SIZE(mars_log_cursor),
	FIELD(mars_log_cursor, sequence), FIELD(mars_log_cursor, lamport),
	FIELD(mars_log_cursor, salt), FIELD(mars_log_cursor, digest),
	FIELD(mars_log_cursor, digest_known), FIELD(mars_log_cursor, device_size),
};

const size_t glue_layout_nr = ARRAY_SIZE(glue_layout);

int glue_init(unsigned int threads, void (*hook)(void))
{
	mars_event_hook = hook;
	return mars_engine_init(EXEC_THREADED, threads, 0);
}

int glue_exit(void)
{
	return mars_engine_exit();
}

int glue_control(void *arg, size_t size)
{
	return mars_control(arg, size);
}

uint32_t glue_crc32c(uint32_t seed, const void *data, size_t size)
{
	return ~crc32c(~seed, data, size);
}
