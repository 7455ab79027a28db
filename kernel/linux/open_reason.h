/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * open_reason.h - why a path could not be opened, in the words of the control ABI
 *
 * The same for block devices (bdev) and regular files (file).
 */
#ifndef _MARS_LINUX_OPEN_REASON_H
#define _MARS_LINUX_OPEN_REASON_H

#include <linux/errno.h>

#include "../uapi/mars.h"

/** mars_open_reason - the reason that goes with the -errno of an open */
static inline enum mars_reason mars_open_reason(int err)
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
	}
	return MARS_R_IO;
}

#endif /* _MARS_LINUX_OPEN_REASON_H */
