/* SPDX-License-Identifier: GPL-2.0-or-later */
/* crc32c.h - Castagnoli CRC; no inversion of seed or result, as in the kernel */
#ifndef _SHIM_LINUX_CRC32C_H
#define _SHIM_LINUX_CRC32C_H

#include <linux/types.h>

#ifdef __cplusplus
extern "C" {
#endif
u32 crc32c(u32 crc, const void *address, unsigned int length);
#ifdef __cplusplus
}
#endif

#endif /* _SHIM_LINUX_CRC32C_H */
