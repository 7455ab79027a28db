/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * verb_size.h - the structure each verb of the control ABI takes, for who calls them at random
 *
 * Include uapi/mars.h first.
 */
#ifndef _MARS_TEST_VERB_SIZE_H
#define _MARS_TEST_VERB_SIZE_H

static const size_t verb_size[MARS_VERB_EVENT + 1] = {
	[MARS_VERB_VERSION]	= sizeof(struct mars_ctl_version),
	[MARS_VERB_CREATE]	= sizeof(struct mars_ctl_create),
	[MARS_VERB_DESTROY]	= sizeof(struct mars_ctl_name),
	[MARS_VERB_CONNECT]	= sizeof(struct mars_ctl_wire),
	[MARS_VERB_DISCONNECT]	= sizeof(struct mars_ctl_wire),
	[MARS_VERB_SWITCH]	= sizeof(struct mars_ctl_switch),
	[MARS_VERB_SET]		= sizeof(struct mars_ctl_set),
	[MARS_VERB_STATUS]	= sizeof(struct mars_ctl_status),
	[MARS_VERB_LIST]	= sizeof(struct mars_ctl_status),
	[MARS_VERB_LAMPORT]	= sizeof(struct mars_ctl_lamport),
	[MARS_VERB_EVENT]	= sizeof(struct mars_ctl_status),
};

#endif /* _MARS_TEST_VERB_SIZE_H */
