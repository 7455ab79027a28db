/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sysctl.h - what changed about sysctl tables
 *
 * A table ends with an empty entry, which the size leaves out: older kernels look for
 * the entry, newer ones count.
 */
#ifndef _MARS_COMPAT_SYSCTL_H
#define _MARS_COMPAT_SYSCTL_H

#include <linux/sysctl.h>

#include "probes.h"

#ifndef HAVE_REGISTER_SYSCTL_SZ
#define register_sysctl_sz(path, table, size) register_sysctl(path, table)
#endif

#ifdef HAVE_CONST_CTL_TABLE
typedef const struct ctl_table sysctl_arg_t;
#else
typedef struct ctl_table sysctl_arg_t;
#endif

#endif /* _MARS_COMPAT_SYSCTL_H */
