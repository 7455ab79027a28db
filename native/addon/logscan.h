/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logscan.h - incremental verification of one log file
 *
 * Bytes are pushed in any portions; whole groups are verified as soon as they
 * are complete.  The scanner keeps what is left of an incomplete group (at most
 * one group, about 2 MiB).  The first bad group ends the scan for good.
 *
 * Not thread-safe: one scanner belongs to one user at a time.
 */
#ifndef _MARS_ADDON_LOGSCAN_H
#define _MARS_ADDON_LOGSCAN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct logscan;

/*
 * logscan_new - start a scan; NULL without memory
 * @expect: struct mars_log_ident the header must match, NULL = any log
 * @cursor: struct mars_log_cursor to go on from; NULL = from the header
 */
struct logscan *logscan_new(const void *expect, const void *cursor);
void logscan_free(struct logscan *s);

/* logscan_push - verify @len more bytes; returns enum mars_log_verdict, which is
 * MORE while a group is incomplete and OK when the bytes end with a group. */
int logscan_push(struct logscan *s, const uint8_t *data, size_t len);

/*
 * logscan_file - verify the file @fd to its verified end, from the cursor
 * @what: set to the name of the system call that failed
 *
 * 0 or a positive errno.  The verdict is CLEAN_END when the file ends with a
 * group or in zeros, MORE when it ends within a group.
 */
int logscan_file(struct logscan *s, int fd, const char **what);

int logscan_verdict(const struct logscan *s);
const char *logscan_verdict_name(int verdict);
uint64_t logscan_records(const struct logscan *s);
/* logscan_ident - struct mars_log_ident of the verified header, else NULL */
const void *logscan_ident(const struct logscan *s);
const void *logscan_cursor(const struct logscan *s);
size_t logscan_ident_size(void);
size_t logscan_cursor_size(void);

#ifdef __cplusplus
}
#endif

#endif /* _MARS_ADDON_LOGSCAN_H */
