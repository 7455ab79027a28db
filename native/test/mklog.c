// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mklog.c - build transaction logs in memory, for tests (see mklog.h)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mklog.h"

#define FIRST_STAMP	1700000000000000000ull	/* any date in the past will do */

static void require(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "mklog: %s\n", what);
		abort();
	}
}

static u64 next_stamp(struct mklog *m)
{
	m->lamport += 1000;
	return m->lamport;
}

/* Grow the file by @len zero bytes; returns where they start. */
static u8 *extend(struct mklog *m, size_t len)
{
	m->buf = realloc(m->buf, m->len + len);
	require(m->buf, "out of memory");
	memset(m->buf + m->len, 0, len);
	m->len += len;
	return m->buf + m->len - len;
}

void mklog_ident(struct mars_log_ident *id, u64 number, const char *origin)
{
	unsigned int i;

	memset(id, 0, sizeof(*id));
	for (i = 0; i < MARS_UUID_SIZE; i++) {
		id->cluster[i] = 0xc0 + i;
		id->resource[i] = 0xe0 + i;
		id->salt[i] = (u8)(0x51 + 7 * i + 31 * number);
	}
	id->number = number;
	id->timeline = 1;
	snprintf(id->origin, sizeof(id->origin), "%s", origin);
}

void mklog_init(struct mklog *m, const struct mars_log_ident *id, u64 device_size)
{
	struct mars_log_header *h;
	struct mars_log_cursor cur;

	memset(m, 0, sizeof(*m));
	if (id)
		m->id = *id;
	else
		mklog_ident(&m->id, 1, "hosta");
	m->device_size = device_size;
	m->lamport = FIRST_STAMP;
	m->payload = malloc(MARS_LOG_MAX_PAYLOAD);
	require(m->payload, "out of memory");
	h = (struct mars_log_header *)extend(m, sizeof(*h));
	mars_log_header_make(h, &m->id, next_stamp(m), device_size);
	require(mars_log_header_check(h, NULL, &cur) == MARS_LOG_OK, "bad identity");
	memcpy(m->digest, cur.digest, sizeof(m->digest));
}

void mklog_free(struct mklog *m)
{
	free(m->buf);
	free(m->start);
	free(m->payload);
	memset(m, 0, sizeof(*m));
}

static struct mars_log_record *add_record(struct mklog *m, u16 type, u64 pos, u64 len)
{
	struct mars_log_record *r = &m->record[m->nr_records];

	require(m->nr_records < MARS_LOG_MAX_RECORDS, "too many records");
	m->nr_records++;
	memset(r, 0, sizeof(*r));
	r->type = cpu_to_le16(type);
	r->pos = cpu_to_le64(pos);
	r->len = cpu_to_le64(len);
	r->lamport = cpu_to_le64(next_stamp(m));
	return r;
}

static void add_payload(struct mklog *m, u16 type, u64 pos, const void *data, u32 len)
{
	u32 span = mars_log_span(pos, len);
	struct mars_log_record *r;
	u8 *p = m->payload + m->payload_size;

	require(!mklog_full(m, pos, len), "group too big");
	r = add_record(m, type, pos, len);
	memset(p, 0, span);
	memcpy(p + pos % MARS_LOG_BLOCK, data, len);
	r->payload_off = cpu_to_le32(m->payload_size);
	r->crc = cpu_to_le32(mars_log_crc(0, p, span));
	m->payload_size += span;
}

void mklog_write(struct mklog *m, u64 pos, const void *data, u32 len)
{
	add_payload(m, MARS_LOG_WRITE, pos, data, len);
}

void mklog_undo(struct mklog *m, u64 pos, const void *data, u32 len)
{
	add_payload(m, MARS_LOG_UNDO, pos, data, len);
}

void mklog_discard(struct mklog *m, u64 pos, u64 len)
{
	add_record(m, MARS_LOG_DISCARD, pos, len);
}

void mklog_zeroes(struct mklog *m, u64 pos, u64 len, bool nounmap)
{
	struct mars_log_record *r = add_record(m, MARS_LOG_ZEROES, pos, len);

	r->flags = cpu_to_le16(nounmap ? MARS_LOG_NOUNMAP : 0);
}

void mklog_mark(struct mklog *m, u64 number)
{
	add_record(m, MARS_LOG_MARK, number, 0);
}

bool mklog_full(const struct mklog *m, u64 pos, u32 len)
{
	return m->nr_records == MARS_LOG_MAX_RECORDS ||
	       m->payload_size + mars_log_span(pos, len) > MARS_LOG_MAX_PAYLOAD;
}

u64 mklog_commit(struct mklog *m)
{
	u32 desc = mars_log_desc_size(m->nr_records);
	u64 at = m->len;
	struct mars_log_group *g;

	require(m->nr_records, "empty group");
	g = (struct mars_log_group *)extend(m, desc + m->payload_size);
	g->magic = cpu_to_le32(MARS_LOG_GROUP_MAGIC);
	g->desc_size = cpu_to_le32(desc);
	g->payload_size = cpu_to_le32(m->payload_size);
	g->raw_payload_size = g->payload_size;
	g->offset = cpu_to_le64(at);
	g->sequence = cpu_to_le64(++m->sequence);
	memcpy(g->salt, m->id.salt, sizeof(g->salt));
	g->lamport = cpu_to_le64(next_stamp(m));
	g->nr_records = cpu_to_le32(m->nr_records);
	memcpy(g + 1, m->record, m->nr_records * sizeof(m->record[0]));
	memcpy((u8 *)g + desc, m->payload, m->payload_size);
	mars_log_group_seal(g, m->digest);

	m->start = realloc(m->start, (m->nr_groups + 1) * sizeof(*m->start));
	require(m->start, "out of memory");
	m->start[m->nr_groups++] = at;
	m->nr_records = 0;
	m->payload_size = 0;
	return at;
}

void mklog_zeros(struct mklog *m, u32 blocks)
{
	extend(m, (size_t)blocks * MARS_LOG_BLOCK);
}

struct mars_log_group *mklog_group(const struct mklog *m, u32 k)
{
	require(k < m->nr_groups, "no such group");
	return (struct mars_log_group *)(m->buf + m->start[k]);
}

void mklog_reseal(struct mars_log_group *g)
{
	g->crc = 0;
	g->crc = cpu_to_le32(mars_log_crc(0, g, le32_to_cpu(g->desc_size)));
}

void mklog_reseal_header(struct mars_log_header *h)
{
	h->crc = 0;
	h->crc = cpu_to_le32(mars_log_crc(0, h, sizeof(*h)));
}
