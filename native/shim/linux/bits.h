/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bits.h - bit masks */
#ifndef _SHIM_LINUX_BITS_H
#define _SHIM_LINUX_BITS_H

#include <linux/bitops.h>

#endif /* _SHIM_LINUX_BITS_H */
