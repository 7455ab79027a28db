/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * glue.h - the engine as the C++ side sees it
 *
 * The core speaks through kernel headers (or their stand-ins), which are no
 * place for C++; glue.c includes them, the binding includes only this.
 */
#ifndef _MARS_ADDON_GLUE_H
#define _MARS_ADDON_GLUE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One number of the ABI's layout: "NAME" is a sizeof, "NAME.FIELD" an offset. */
struct glue_layout {
	const char *name;
	uint32_t value;
};

extern const struct glue_layout glue_layout[];
extern const size_t glue_layout_nr;

/*
 * glue_init - start the engine with @threads executor threads, 0 = its default
 * @hook: called from any thread, with locks of the core held, when events appear
 *
 * 0 or -errno.  Once a process at a time; glue_exit() stops it and destroys
 * every brick, waiting for IO in flight; -EBUSY when bricks can't be taken down,
 * then it goes on running.
 */
int glue_init(unsigned int threads, void (*hook)(void));
int glue_exit(void);
/* glue_control - one control verb; -errno.  @arg is aligned to 8 bytes. */
int glue_control(void *arg, size_t size);
/* glue_crc32c - the checksum as everybody else computes it; @seed 0 to begin */
uint32_t glue_crc32c(uint32_t seed, const void *data, size_t size);

#ifdef __cplusplus
}
#endif

#endif /* _MARS_ADDON_GLUE_H */
