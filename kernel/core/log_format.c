// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * log_format.c - encode, verify and walk transaction log format 1
 *
 * Every function works on plain memory: no locks, no allocation, no state, any
 * context.  The verifier trusts nothing it reads: each size is bounded before it
 * is used as one, and no byte at or beyond the given length is touched.
 *
 * Order of the checks of a group: magic, sizes (so that the descriptor can be
 * delimited), descriptor crc, place in the file (salt, offset, sequence, time,
 * chain), records, and payload last.  What comes first is cheap and says most.
 * A group that fails any of them does not exist: there is no partial result.
 */
#include <linux/crc32c.h>
#include <linux/kernel.h>
#include <linux/limits.h>
#include <linux/string.h>
#include <crypto/sha2.h>

#include "log_format.h"

#define GROUP_CRC_END	(offsetof(struct mars_log_group, crc) + sizeof(__le32))
#define HEADER_CRC	offsetof(struct mars_log_header, crc)

static bool all_zero(const void *p, size_t len)
{
	const u8 *b = p;

	/* equal to itself shifted by one: all bytes are like the first */
	return !len || (!b[0] && !memcmp(b, b + 1, len - 1));
}

u32 mars_log_crc(u32 crc, const void *p, size_t len)
{
	return ~crc32c(~crc, p, len);
}

static u32 header_crc(const struct mars_log_header *h)
{
	static const u8 hole[4];

	return mars_log_crc(mars_log_crc(0, h, HEADER_CRC), hole, sizeof(hole));
}

static u32 group_crc(const struct mars_log_group *g, size_t desc_size)
{
	static const u8 hole[4];
	u32 crc = mars_log_crc(0, g, offsetof(struct mars_log_group, crc));

	crc = mars_log_crc(crc, hole, sizeof(hole));
	return mars_log_crc(crc, (const u8 *)g + GROUP_CRC_END, desc_size - GROUP_CRC_END);
}

/* D' = H(D, descriptor); with @prev NULL: D0 = H(header) */
static void digest_over(const u8 *prev, const void *p, size_t len, u8 digest[MARS_DIGEST_SIZE])
{
	struct sha256_state state;
	u8 full[SHA256_DIGEST_SIZE];

	sha256_init(&state);
	if (prev)
		sha256_update(&state, prev, MARS_DIGEST_SIZE);
	sha256_update(&state, p, len);
	sha256_final(&state, full);
	memcpy(digest, full, MARS_DIGEST_SIZE);
}

/* --- file header --- */

/* Copies a host name; whatever follows its NUL is dropped: on disk the tail is zero. */
static void put_name(u8 *to, const char *from)
{
	memset(to, 0, MARS_HOST_MAX);
	memcpy(to, from, strnlen(from, MARS_HOST_MAX - 1));
}

void mars_log_header_make(struct mars_log_header *h, const struct mars_log_ident *id,
			  u64 lamport, u64 device_size)
{
	memset(h, 0, sizeof(*h));
	memcpy(h->magic, MARS_LOG_MAGIC, sizeof(h->magic));
	h->format = cpu_to_le32(MARS_LOG_FORMAT);
	h->size = cpu_to_le32(MARS_LOG_BLOCK);
	memcpy(h->cluster, id->cluster, sizeof(h->cluster));
	memcpy(h->resource, id->resource, sizeof(h->resource));
	memcpy(h->salt, id->salt, sizeof(h->salt));
	h->number = cpu_to_le64(id->number);
	h->lamport = cpu_to_le64(lamport);
	h->prev_number = cpu_to_le64(id->prev_number);
	h->prev_length = cpu_to_le64(id->prev_length);
	memcpy(h->prev_digest, id->prev_digest, sizeof(h->prev_digest));
	h->timeline = cpu_to_le32(id->timeline);
	put_name(h->origin, id->origin);
	put_name(h->prev_origin, id->prev_origin);
	h->device_size = cpu_to_le64(device_size);
	h->crc = cpu_to_le32(header_crc(h));
}

/* A name field ends in NUL and has nothing behind its first NUL. */
static bool name_is_clean(const u8 name[MARS_HOST_MAX])
{
	size_t len = strnlen((const char *)name, MARS_HOST_MAX);

	return len < MARS_HOST_MAX && all_zero(name + len, MARS_HOST_MAX - len);
}

/* Either there is no predecessor at all, or it is named completely. */
static bool prev_is_consistent(const struct mars_log_header *h)
{
	u64 length = le64_to_cpu(h->prev_length);
	u64 number = le64_to_cpu(h->prev_number);

	if (!length)
		return !number && all_zero(h->prev_digest, sizeof(h->prev_digest)) &&
		       !h->prev_origin[0];
	return length % MARS_LOG_BLOCK == 0 && number && number < le64_to_cpu(h->number) &&
	       h->prev_origin[0];
}

static enum mars_log_verdict header_verify(const struct mars_log_header *h)
{
	if (memcmp(h->magic, MARS_LOG_MAGIC, sizeof(h->magic)))
		return MARS_LOG_BAD_MAGIC;
	if (le32_to_cpu(h->crc) != header_crc(h))
		return MARS_LOG_BAD_CRC;
	if (le32_to_cpu(h->format) != MARS_LOG_FORMAT || h->incompat)
		return MARS_LOG_BAD_FORMAT;
	if (le32_to_cpu(h->size) != MARS_LOG_BLOCK || le64_to_cpu(h->device_size) > S64_MAX)
		return MARS_LOG_BAD_SIZE;
	/* a compatible feature may own reserved bytes, and only then they may be set */
	if (h->pad0 || (!h->compat && !all_zero(h->reserved, sizeof(h->reserved))))
		return MARS_LOG_BAD_FORMAT;
	if (!h->number || !h->origin[0] || !name_is_clean(h->origin) ||
	    !name_is_clean(h->prev_origin) || !prev_is_consistent(h))
		return MARS_LOG_BAD_IDENT;
	return MARS_LOG_OK;
}

static bool bytes_match(const void *want, const void *have, size_t len)
{
	return all_zero(want, len) || !memcmp(want, have, len);
}

static bool name_matches(const char *want, const u8 *have)
{
	return !want[0] || !strncmp(want, (const char *)have, MARS_HOST_MAX);
}

static bool number_matches(u64 want, __le64 have)
{
	return !want || want == le64_to_cpu(have);
}

static bool ident_matches(const struct mars_log_ident *want, const struct mars_log_header *h)
{
	return bytes_match(want->cluster, h->cluster, sizeof(h->cluster)) &&
	       bytes_match(want->resource, h->resource, sizeof(h->resource)) &&
	       bytes_match(want->salt, h->salt, sizeof(h->salt)) &&
	       bytes_match(want->prev_digest, h->prev_digest, sizeof(h->prev_digest)) &&
	       number_matches(want->number, h->number) &&
	       number_matches(want->prev_number, h->prev_number) &&
	       number_matches(want->prev_length, h->prev_length) &&
	       (!want->timeline || want->timeline == le32_to_cpu(h->timeline)) &&
	       name_matches(want->origin, h->origin) &&
	       name_matches(want->prev_origin, h->prev_origin);
}

enum mars_log_verdict mars_log_header_check(const struct mars_log_header *h,
					    const struct mars_log_ident *expect,
					    struct mars_log_cursor *cur)
{
	enum mars_log_verdict v = header_verify(h);

	if (v != MARS_LOG_OK)
		return v;
	if (expect && !ident_matches(expect, h))
		return MARS_LOG_BAD_IDENT;
	if (cur) {
		memset(cur, 0, sizeof(*cur));
		cur->offset = MARS_LOG_BLOCK;
		cur->sequence = 1;
		cur->lamport = le64_to_cpu(h->lamport);
		memcpy(cur->salt, h->salt, sizeof(cur->salt));
		digest_over(NULL, h, sizeof(*h), cur->digest);
		cur->digest_known = true;
		cur->device_size = le64_to_cpu(h->device_size);
	}
	return MARS_LOG_OK;
}

void mars_log_header_ident(const struct mars_log_header *h, struct mars_log_ident *id)
{
	memset(id, 0, sizeof(*id));
	memcpy(id->cluster, h->cluster, sizeof(id->cluster));
	memcpy(id->resource, h->resource, sizeof(id->resource));
	memcpy(id->salt, h->salt, sizeof(id->salt));
	id->number = le64_to_cpu(h->number);
	id->prev_length = le64_to_cpu(h->prev_length);
	memcpy(id->prev_digest, h->prev_digest, sizeof(id->prev_digest));
	id->prev_number = le64_to_cpu(h->prev_number);
	id->timeline = le32_to_cpu(h->timeline);
	memcpy(id->origin, h->origin, sizeof(id->origin));
	memcpy(id->prev_origin, h->prev_origin, sizeof(id->prev_origin));
}

/* --- groups --- */

/* Sizes as far as needed to delimit the group; nothing else is believed yet. */
static bool sizes_are_sane(const struct mars_log_group *g)
{
	u32 nr = le32_to_cpu(g->nr_records);
	u32 payload = le32_to_cpu(g->payload_size);

	return nr && nr <= MARS_LOG_MAX_RECORDS &&
	       le32_to_cpu(g->desc_size) == mars_log_desc_size(nr) &&
	       payload <= MARS_LOG_MAX_PAYLOAD && payload % MARS_LOG_BLOCK == 0;
}

/* Does an intact descriptor belong at this place of this file? */
static enum mars_log_verdict place_check(const struct mars_log_group *g,
					 const struct mars_log_cursor *cur)
{
	u64 sequence = le64_to_cpu(g->sequence);

	if (memcmp(g->salt, cur->salt, sizeof(g->salt)))
		return MARS_LOG_BAD_SALT;
	if (le64_to_cpu(g->offset) != cur->offset || !sequence ||
	    (cur->sequence && sequence != cur->sequence))
		return MARS_LOG_BAD_PLACE;
	if (le64_to_cpu(g->lamport) < cur->lamport)
		return MARS_LOG_BAD_TIME;
	if (cur->digest_known && memcmp(g->prev_digest, cur->digest, MARS_DIGEST_SIZE))
		return MARS_LOG_BAD_CHAIN;
	if (g->compression)
		return MARS_LOG_BAD_FORMAT;
	if (le32_to_cpu(g->raw_payload_size) != le32_to_cpu(g->payload_size))
		return MARS_LOG_BAD_SIZE;
	if (!all_zero(g->pad0, sizeof(g->pad0)) || g->pad1 || !all_zero(g->pad2, sizeof(g->pad2)))
		return MARS_LOG_BAD_RECORD;
	return MARS_LOG_OK;
}

/* [pos, pos + len) is non-empty, does not wrap, and lies inside the device */
static bool range_is_sane(u64 pos, u64 len, u64 device_size)
{
	u64 limit = device_size ? device_size : (u64)S64_MAX;

	return len && pos < limit && len <= limit - pos;
}

/* One record; @expect_off is where the next payload must start, advanced here. */
static enum mars_log_verdict record_check(const struct mars_log_record *r,
					  const struct mars_log_group *g, u64 device_size,
					  u32 *expect_off)
{
	u64 pos = le64_to_cpu(r->pos), len = le64_to_cpu(r->len);
	u16 type = le16_to_cpu(r->type), flags = le16_to_cpu(r->flags);

	if (r->pad || !all_zero(r->reserved, sizeof(r->reserved)) ||
	    (flags & ~(type == MARS_LOG_ZEROES ? MARS_LOG_NOUNMAP : 0)))
		return MARS_LOG_BAD_RECORD;
	if (le64_to_cpu(r->lamport) > le64_to_cpu(g->lamport))
		return MARS_LOG_BAD_TIME;
	switch (type) {
	case MARS_LOG_WRITE:
	case MARS_LOG_UNDO:
		if (!range_is_sane(pos, len, device_size) || len > MARS_LOG_MAX_WRITE ||
		    le32_to_cpu(r->payload_off) != *expect_off)
			return MARS_LOG_BAD_RECORD;
		*expect_off += mars_log_span(pos, len);
		return MARS_LOG_OK;
	case MARS_LOG_DISCARD:
	case MARS_LOG_ZEROES:
		if (!range_is_sane(pos, len, device_size))
			return MARS_LOG_BAD_RECORD;
		break;
	case MARS_LOG_MARK:
		if (len)
			return MARS_LOG_BAD_RECORD;
		break;
	default:
		return MARS_LOG_BAD_RECORD;
	}
	return r->payload_off || r->crc ? MARS_LOG_BAD_RECORD : MARS_LOG_OK;
}

static enum mars_log_verdict records_check(const struct mars_log_group *g, u64 device_size)
{
	u32 nr = le32_to_cpu(g->nr_records), i, off = 0;
	const u8 *tail = (const u8 *)mars_log_record(g, nr);

	for (i = 0; i < nr; i++) {
		enum mars_log_verdict v = record_check(mars_log_record(g, i), g, device_size, &off);

		if (v != MARS_LOG_OK)
			return v;
	}
	if (off != le32_to_cpu(g->payload_size))
		return MARS_LOG_BAD_SIZE;
	if (!all_zero(tail, (const u8 *)g + le32_to_cpu(g->desc_size) - tail))
		return MARS_LOG_BAD_RECORD;
	return MARS_LOG_OK;
}

/* Checksums, and zeros around data that does not fill its pages. */
static enum mars_log_verdict payload_check(const struct mars_log_group *g)
{
	const u8 *payload = (const u8 *)g + le32_to_cpu(g->desc_size);
	u32 nr = le32_to_cpu(g->nr_records), i;

	for (i = 0; i < nr; i++) {
		const struct mars_log_record *r = mars_log_record(g, i);
		const u8 *p = payload + le32_to_cpu(r->payload_off);
		u64 pos = le64_to_cpu(r->pos), len = le64_to_cpu(r->len);
		u32 head = pos % MARS_LOG_BLOCK, span;

		if (!mars_log_has_payload(r))
			continue;
		span = mars_log_span(pos, len);
		if (mars_log_crc(0, p, span) != le32_to_cpu(r->crc))
			return MARS_LOG_BAD_PAYLOAD;
		if (!all_zero(p, head) || !all_zero(p + head + len, span - head - len))
			return MARS_LOG_BAD_RECORD;
	}
	return MARS_LOG_OK;
}

enum mars_log_verdict mars_log_group_check(const void *buf, size_t avail,
					   const struct mars_log_cursor *cur,
					   size_t *need, size_t *total)
{
	const struct mars_log_group *g = buf;
	enum mars_log_verdict v;
	size_t desc, size;

	*need = MARS_LOG_BLOCK;
	if (avail < MARS_LOG_BLOCK)
		return MARS_LOG_MORE;
	if (le32_to_cpu(g->magic) != MARS_LOG_GROUP_MAGIC)
		return all_zero(buf, MARS_LOG_BLOCK) ? MARS_LOG_CLEAN_END : MARS_LOG_BAD_MAGIC;
	if (!sizes_are_sane(g))
		return MARS_LOG_BAD_SIZE;
	desc = le32_to_cpu(g->desc_size);
	size = desc + le32_to_cpu(g->payload_size);
	*need = desc;
	if (avail < desc)
		return MARS_LOG_MORE;
	if (group_crc(g, desc) != le32_to_cpu(g->crc))
		return MARS_LOG_BAD_CRC;
	v = place_check(g, cur);
	if (v != MARS_LOG_OK)
		return v;
	v = records_check(g, cur->device_size);
	if (v != MARS_LOG_OK)
		return v;
	*need = size;
	if (avail < size)
		return MARS_LOG_MORE;
	v = payload_check(g);
	if (v == MARS_LOG_OK)
		*total = size;
	return v;
}

void mars_log_cursor_next(struct mars_log_cursor *cur, const struct mars_log_group *g)
{
	u32 desc = le32_to_cpu(g->desc_size);

	digest_over(g->prev_digest, g, desc, cur->digest);
	cur->digest_known = true;
	cur->offset += (u64)desc + le32_to_cpu(g->payload_size);
	cur->sequence = le64_to_cpu(g->sequence) + 1;
	cur->lamport = le64_to_cpu(g->lamport);
}

void mars_log_group_seal(struct mars_log_group *g, u8 digest[MARS_DIGEST_SIZE])
{
	u32 desc = le32_to_cpu(g->desc_size);

	memcpy(g->prev_digest, digest, MARS_DIGEST_SIZE);
	g->crc = cpu_to_le32(group_crc(g, desc));
	digest_over(g->prev_digest, g, desc, digest);
}

const char *mars_log_verdict_name(enum mars_log_verdict v)
{
	static const char *const name[] = {
		[MARS_LOG_OK]		= "ok",
		[MARS_LOG_MORE]		= "more",
		[MARS_LOG_CLEAN_END]	= "clean-end",
		[MARS_LOG_BAD_MAGIC]	= "bad-magic",
		[MARS_LOG_BAD_CRC]	= "bad-crc",
		[MARS_LOG_BAD_SIZE]	= "bad-size",
		[MARS_LOG_BAD_SALT]	= "bad-salt",
		[MARS_LOG_BAD_PLACE]	= "bad-place",
		[MARS_LOG_BAD_CHAIN]	= "bad-chain",
		[MARS_LOG_BAD_RECORD]	= "bad-record",
		[MARS_LOG_BAD_PAYLOAD]	= "bad-payload",
		[MARS_LOG_BAD_FORMAT]	= "bad-format",
		[MARS_LOG_BAD_IDENT]	= "bad-ident",
		[MARS_LOG_BAD_TIME]	= "bad-time",
	};

	return (unsigned int)v < ARRAY_SIZE(name) ? name[v] : "unknown";
}
