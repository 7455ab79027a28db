/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mklog.h - build transaction logs in memory, for tests
 *
 * A second, independent writer of format 1: it lays out headers, descriptors and
 * payload by itself and takes only mars_log_header_make(), mars_log_crc() and
 * mars_log_group_seal() from the code under test.  All stamps come from a counter
 * and the salt from the identity, so the same calls give the same bytes.
 *
 * One thread at a time.  Out of memory or wrong use aborts the test.
 */
#ifndef _MARS_MKLOG_H
#define _MARS_MKLOG_H

#include "core/log_format.h"

/**
 * struct mklog - a log under construction
 * @buf: header and all committed groups
 * @len: bytes in @buf; a multiple of 4096
 * @digest: running digest at @len
 * @start: file position of each committed group, @nr_groups of them
 * @lamport: last stamp given; each record and group takes the next
 *
 * The rest belongs to the open group.
 */
struct mklog {
	struct mars_log_ident id;
	u64 device_size;
	u8 *buf;
	size_t len;
	u8 digest[MARS_DIGEST_SIZE];
	u64 sequence;
	u64 lamport;
	u32 nr_groups;
	u64 *start;
	struct mars_log_record record[MARS_LOG_MAX_RECORDS];
	u32 nr_records;
	u8 *payload;
	u32 payload_size;
};

/** mklog_ident - a fixed identity: log @number of @origin, first of its chain */
void mklog_ident(struct mars_log_ident *id, u64 number, const char *origin);
/** mklog_init - start a log; @id NULL = log 1 of "hosta"; @device_size 0 = unknown */
void mklog_init(struct mklog *m, const struct mars_log_ident *id, u64 device_size);
void mklog_free(struct mklog *m);

void mklog_write(struct mklog *m, u64 pos, const void *data, u32 len);
void mklog_discard(struct mklog *m, u64 pos, u64 len);
void mklog_zeroes(struct mklog *m, u64 pos, u64 len, bool nounmap);
void mklog_mark(struct mklog *m, u64 number);
void mklog_undo(struct mklog *m, u64 pos, const void *data, u32 len);
/** mklog_full - would one more write go beyond the limits of a group? */
bool mklog_full(const struct mklog *m, u64 pos, u32 len);
/** mklog_commit - close the open group (which must not be empty); returns its position */
u64 mklog_commit(struct mklog *m);
/** mklog_zeros - append @blocks zero blocks, as preallocation does; ends the log */
void mklog_zeros(struct mklog *m, u32 blocks);

/** mklog_group - descriptor of committed group @k */
struct mars_log_group *mklog_group(const struct mklog *m, u32 k);
/** mklog_reseal - make the crc of a tampered descriptor right again; nothing else */
void mklog_reseal(struct mars_log_group *g);
/** mklog_reseal_header - ditto for a tampered header */
void mklog_reseal_header(struct mars_log_header *h);

#endif /* _MARS_MKLOG_H */
