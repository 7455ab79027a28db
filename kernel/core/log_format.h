/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log_format.h - transaction log, format 1, as it stands on disk
 *
 * docs/formats/log.md is the authority; this header says the same in C.
 *
 *   offset 0        file header, one block of 4096 bytes
 *   4096            group, group, group ...   (each a multiple of 4096 bytes)
 *   end             the first block that is not a valid group; zeros when clean
 *
 * A group is a descriptor (struct mars_log_group, then its records, padded with
 * zeros to a multiple of 4096) followed by its payload.  One group is one commit:
 * it is valid as a whole or it ends the log.  All integers are little-endian.
 *
 * Payload of a WRITE record: the pages the write touches, with the data at its
 * natural offset (pos mod 4096) and zeros around it, so that payload starts at
 * a multiple of 4096 and spans mars_log_span(pos, len) bytes; record.crc is over
 * that whole span.  DISCARD, ZEROES and MARK have no payload and crc 0.
 *
 * Content chain.  D0 = H(header block); behind group k: Dk = H(Dk-1, descriptor
 * bytes of group k as they stand on disk); H = SHA-256 cut to 16 bytes.  A
 * descriptor holds the crc of every payload, so the digest behind the last
 * group commits to the whole file, and header.prev_digest chains files.
 *
 * Checksums are CRC-32C as everybody else computes it (start ~0, final inversion:
 * "123456789" gives 0xe3069283); mars_log_crc() is the one way to get it.
 *
 * Pure functions over byte buffers: no locks, no allocation, any context.
 */
#ifndef _MARS_LOG_FORMAT_H
#define _MARS_LOG_FORMAT_H

#include <linux/types.h>
#include <linux/build_bug.h>
#include <asm/byteorder.h>

#include "../uapi/mars.h"

#define MARS_LOG_FORMAT		1
#define MARS_LOG_BLOCK		4096u
#define MARS_LOG_MAGIC		"MARSLOG\n"		/* 8 bytes */
#define MARS_LOG_GROUP_MAGIC	0x50524753u		/* "SGRP" on disk, little-endian */

/* Limits a reader may rely on; bigger is bad. */
#define MARS_LOG_MAX_RECORDS	512u
#define MARS_LOG_MAX_DESC	(8u * MARS_LOG_BLOCK)
#define MARS_LOG_MAX_PAYLOAD	(2u << 20)
#define MARS_LOG_MAX_GROUP	(MARS_LOG_MAX_DESC + MARS_LOG_MAX_PAYLOAD)
#define MARS_LOG_MAX_WRITE	(1u << 20)		/* of data in one record */

struct mars_log_header {
	u8 magic[8];
	__le32 format;			/* MARS_LOG_FORMAT */
	__le32 size;			/* MARS_LOG_BLOCK */
	__le64 incompat;		/* feature bits a reader must know: 0 */
	__le64 compat;			/* feature bits a reader may ignore: 0 */
	u8 cluster[16];
	u8 resource[16];
	u8 salt[16];
	__le64 number;
	__le64 lamport;			/* creation, ns */
	__le64 prev_number;
	__le64 prev_length;
	u8 prev_digest[16];
	__le32 timeline;
	__le32 pad0;
	u8 origin[64];			/* zero-padded, at least one NUL */
	u8 prev_origin[64];
	__le64 device_size;		/* bytes of the replicated device */
	u8 reserved[4096 - 8 - 8 - 16 - 48 - 32 - 16 - 8 - 128 - 8 - 4];
	__le32 crc;			/* crc32c of the block with this field 0 */
};
static_assert(sizeof(struct mars_log_header) == MARS_LOG_BLOCK);

struct mars_log_group {
	__le32 magic;
	__le32 crc;			/* crc32c of the whole descriptor with this field 0 */
	__le32 desc_size;		/* descriptor bytes, multiple of 4096 */
	__le32 payload_size;		/* payload bytes as stored, multiple of 4096 */
	__le64 offset;			/* file position of this group */
	__le64 sequence;		/* 1, 2, 3 ... within the file */
	u8 salt[16];			/* equal to the header's */
	__le64 lamport;			/* stamp of the group, ns; grows along the file */
	__le32 nr_records;
	u8 compression;			/* 0 = none; 1 = lz4 block, 2 = zstd frame: reserved */
	u8 pad0[3];
	__le32 raw_payload_size;	/* before compression */
	__le32 pad1;
	u8 prev_digest[16];		/* running digest in front of this group */
	u8 pad2[40];
};
static_assert(sizeof(struct mars_log_group) == 128);

enum mars_log_record_type {
	MARS_LOG_WRITE	 = 1,
	MARS_LOG_DISCARD = 2,
	MARS_LOG_ZEROES	 = 3,
	MARS_LOG_MARK	 = 4,		/* a named point; pos = mark number */
	MARS_LOG_UNDO	 = 5,		/* old data, laid out as WRITE; replay ignores it */
};

#define MARS_LOG_NOUNMAP	1u	/* ZEROES: keep the space allocated */

struct mars_log_record {
	__le16 type;
	__le16 flags;			/* MARS_LOG_NOUNMAP with ZEROES; others 0 */
	__le32 payload_off;		/* from the start of the raw payload; multiple of 4096 */
	__le64 pos;
	__le64 len;
	__le64 lamport;			/* when the write entered, ns; not beyond the group's */
	__le32 crc;			/* crc32c of the payload span */
	__le32 pad;
	u8 reserved[8];
};
static_assert(sizeof(struct mars_log_record) == 48);

/** mars_log_span - payload bytes of a WRITE of @len bytes at @pos */
static inline u32 mars_log_span(u64 pos, u64 len)
{
	return (u32)(((pos + len + MARS_LOG_BLOCK - 1) & ~(u64)(MARS_LOG_BLOCK - 1)) -
		     (pos & ~(u64)(MARS_LOG_BLOCK - 1)));
}

/** mars_log_desc_size - descriptor bytes of a group with @nr records */
static inline u32 mars_log_desc_size(u32 nr)
{
	u32 size = sizeof(struct mars_log_group) + nr * (u32)sizeof(struct mars_log_record);

	return (size + MARS_LOG_BLOCK - 1) & ~(MARS_LOG_BLOCK - 1);
}

/** mars_log_record - record @i of a descriptor; the caller knows that it exists */
static inline const struct mars_log_record *mars_log_record(const struct mars_log_group *g, u32 i)
{
	return (const struct mars_log_record *)(g + 1) + i;
}

/** mars_log_has_payload - does a record carry payload? */
static inline bool mars_log_has_payload(const struct mars_log_record *r)
{
	u16 type = le16_to_cpu(r->type);

	return type == MARS_LOG_WRITE || type == MARS_LOG_UNDO;
}

/** mars_log_crc - extend @crc (0 at the start) over @len bytes; pieces may be chained */
u32 mars_log_crc(u32 crc, const void *p, size_t len);

/* Verdicts of the scanner.  Anything but OK and MORE ends the log. */
enum mars_log_verdict {
	MARS_LOG_OK		= 0,
	MARS_LOG_MORE		= 1,	/* more bytes are needed to tell */
	MARS_LOG_CLEAN_END	= 2,	/* a block of zeros where a group would start */
	MARS_LOG_BAD_MAGIC	= 3,
	MARS_LOG_BAD_CRC	= 4,	/* header or descriptor */
	MARS_LOG_BAD_SIZE	= 5,	/* sizes or counts beyond the limits or inconsistent */
	MARS_LOG_BAD_SALT	= 6,	/* group of another file: stale or foreign */
	MARS_LOG_BAD_PLACE	= 7,	/* offset or sequence does not fit here */
	MARS_LOG_BAD_CHAIN	= 8,	/* prev_digest does not continue the chain */
	MARS_LOG_BAD_RECORD	= 9,	/* unknown type, range, overlap, padding */
	MARS_LOG_BAD_PAYLOAD	= 10,	/* payload crc */
	MARS_LOG_BAD_FORMAT	= 11,	/* newer format, unknown feature or compression */
	MARS_LOG_BAD_IDENT	= 12,	/* header of another cluster, resource, log or origin */
	MARS_LOG_BAD_TIME	= 13,	/* Lamport stamps run backwards */
};

/**
 * struct mars_log_cursor - where a scan stands; plain value, copyable
 * @offset: file position of the next group
 * @sequence: its expected sequence; 0 = unknown (scan starts in the middle)
 * @lamport: stamp of the last group
 * @salt: of the file
 * @digest: running digest in front of the next group
 * @digest_known: false when the scan starts in the middle
 * @device_size: no record may reach beyond; 0 = unknown
 */
struct mars_log_cursor {
	u64 offset;
	u64 sequence;
	u64 lamport;
	u8 salt[16];
	u8 digest[MARS_DIGEST_SIZE];
	bool digest_known;
	u64 device_size;
};

/** mars_log_header_make - encode a header block from @id */
void mars_log_header_make(struct mars_log_header *h, const struct mars_log_ident *id,
			  u64 lamport, u64 device_size);
/**
 * mars_log_header_check - verify a header block
 * @expect: identity it must have; NULL = any; all-zero uuids, salt, prev fields
 *	and empty origins in @expect are wildcards, number 0 is a wildcard
 * @cur: set to the first group; may be NULL
 */
enum mars_log_verdict mars_log_header_check(const struct mars_log_header *h,
					    const struct mars_log_ident *expect,
					    struct mars_log_cursor *cur);
/** mars_log_header_ident - decode a verified header */
void mars_log_header_ident(const struct mars_log_header *h, struct mars_log_ident *id);

/**
 * mars_log_group_check - verify the group at @buf against @cur
 * @buf: bytes at file position cur->offset
 * @avail: how many there are
 * @need: out when MORE: bytes needed to go on (at least one block)
 * @total: out when OK: size of the group
 *
 * Reads nothing beyond @avail, trusts nothing in it.  Does not move @cur.
 */
enum mars_log_verdict mars_log_group_check(const void *buf, size_t avail,
					   const struct mars_log_cursor *cur,
					   size_t *need, size_t *total);
/** mars_log_cursor_next - move @cur behind a group that was checked OK */
void mars_log_cursor_next(struct mars_log_cursor *cur, const struct mars_log_group *g);
/** mars_log_group_seal - set prev_digest and crc of a descriptor, advance @digest over it */
void mars_log_group_seal(struct mars_log_group *g, u8 digest[MARS_DIGEST_SIZE]);
/** mars_log_verdict_name - stable lower-case word, e.g. "bad-crc" */
const char *mars_log_verdict_name(enum mars_log_verdict v);

#endif /* _MARS_LOG_FORMAT_H */
