// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_log.c - libFuzzer target: header and groups of a transaction log
 *
 * Input: one byte of options, then the bytes of a log file.  Random bytes never
 * get past a checksum, so the mutator repairs a random part of what protects a log
 * (crc of header, descriptors and payload, salts, places, the chain) after each
 * mutation; what is left wrong is what is being tested.
 *
 * Beyond memory errors the target checks what a scan promises: sizes within the
 * limits, records inside the device, payload inside the group, no group accepted
 * from fewer bytes than it has, the same verdict for the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "core/log_format.h"
#include "mklog.h"

#define DEVICE		(1ull << 20)
#define OPT_MIDDLE	1u	/* start without knowing sequence and digest */
#define OPT_NO_SIZE	2u	/* size of the device is unknown */

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerMutate(u8 *data, size_t size, size_t max_size);

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* --- the target --- */

static void check_promises(const struct mars_log_group *g, size_t total,
			   const struct mars_log_cursor *cur)
{
	u32 desc = le32_to_cpu(g->desc_size), i;

	require(total == desc + le32_to_cpu(g->payload_size) && total <= MARS_LOG_MAX_GROUP);
	require(total % MARS_LOG_BLOCK == 0 && le32_to_cpu(g->nr_records) <= MARS_LOG_MAX_RECORDS);
	for (i = 0; i < le32_to_cpu(g->nr_records); i++) {
		const struct mars_log_record *r = mars_log_record(g, i);
		u64 pos = le64_to_cpu(r->pos), len = le64_to_cpu(r->len);

		if (le16_to_cpu(r->type) == MARS_LOG_MARK)
			continue;
		require(len && pos + len > pos);
		require(!cur->device_size || pos + len <= cur->device_size);
		if (mars_log_has_payload(r))
			require(desc + (u64)le32_to_cpu(r->payload_off) + mars_log_span(pos, len) <=
				total);
	}
}

/* The group must need every byte that it says it has. */
static void check_shorter(const u8 *buf, size_t total, const struct mars_log_cursor *cur)
{
	size_t cut = total - 1 - (buf[8] + 256u * buf[9]) % total, need, size;
	u8 *copy = malloc(cut ? cut : 1);

	require(copy);
	memcpy(copy, buf, cut);
	require(mars_log_group_check(copy, cut, cur, &need, &size) == MARS_LOG_MORE);
	require(need > cut && need <= total);
	free(copy);
}

static void scan(const u8 *log, size_t len, struct mars_log_cursor cur)
{
	size_t need, total, again;

	while (cur.offset <= len) {
		const u8 *buf = log + cur.offset;
		size_t avail = len - cur.offset;

		if (mars_log_group_check(buf, avail, &cur, &need, &total) != MARS_LOG_OK)
			return;
		check_promises((const void *)buf, total, &cur);
		require(mars_log_group_check(buf, total, &cur, &need, &again) == MARS_LOG_OK &&
			again == total);
		check_shorter(buf, total, &cur);
		mars_log_cursor_next(&cur, (const void *)buf);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct mars_log_ident id;
	struct mars_log_cursor cur;
	u8 *log;

	if (size < 1 + MARS_LOG_BLOCK)
		return -1;
	log = malloc(size - 1);		/* aligned, and nothing behind it */
	require(log);
	memcpy(log, data + 1, size - 1);
	if (mars_log_header_check((void *)log, NULL, &cur) == MARS_LOG_OK) {
		mars_log_header_ident((void *)log, &id);
		require(mars_log_header_check((void *)log, &id, NULL) == MARS_LOG_OK);
		if (data[0] & OPT_MIDDLE) {
			cur.sequence = 0;
			cur.digest_known = false;
		}
		if (data[0] & OPT_NO_SIZE)
			cur.device_size = 0;
		scan(log, size - 1, cur);
	}
	free(log);
	return 0;
}

/* --- the mutator --- */

static u32 next_random(u32 *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void fix_payload(u8 *buf, size_t size)
{
	struct mars_log_group *g = (void *)buf;
	u32 nr = le32_to_cpu(g->nr_records), desc = le32_to_cpu(g->desc_size), i;

	for (i = 0; i < nr && sizeof(*g) + (i + 1) * sizeof(struct mars_log_record) <= desc; i++) {
		struct mars_log_record *r = (void *)mars_log_record(g, i);
		u64 off = (u64)desc + le32_to_cpu(r->payload_off), len = le64_to_cpu(r->len);
		u32 span;

		if (!mars_log_has_payload(r) || len > MARS_LOG_MAX_WRITE)
			continue;
		span = mars_log_span(le64_to_cpu(r->pos), len);
		if (off + span <= size)
			r->crc = cpu_to_le32(mars_log_crc(0, buf + off, span));
	}
}

/* Repair what @how says of the group at @buf; returns its size, 0 = can't go on. */
static size_t fix_group(u8 *buf, size_t size, struct mars_log_cursor *cur, u32 how)
{
	struct mars_log_group *g = (void *)buf;
	u32 desc;

	if (size < MARS_LOG_BLOCK)
		return 0;
	if (how & 1)
		g->magic = cpu_to_le32(MARS_LOG_GROUP_MAGIC);
	if (how & 2)
		g->desc_size = cpu_to_le32(mars_log_desc_size(le32_to_cpu(g->nr_records) % 513));
	if (how & 4) {
		g->offset = cpu_to_le64(cur->offset);
		g->sequence = cpu_to_le64(cur->sequence);
		memcpy(g->salt, cur->salt, sizeof(g->salt));
	}
	desc = le32_to_cpu(g->desc_size);
	if (!desc || desc > size || desc > MARS_LOG_MAX_DESC || desc % MARS_LOG_BLOCK)
		return 0;
	if (how & 8)
		fix_payload(buf, size);
	if (how & 16)
		memcpy(g->prev_digest, cur->digest, sizeof(cur->digest));
	if (how & 32)
		mklog_reseal(g);
	if (le32_to_cpu(g->payload_size) % MARS_LOG_BLOCK)
		return 0;
	mars_log_cursor_next(cur, g);
	return desc + (size_t)le32_to_cpu(g->payload_size);
}

static void fix_log(u8 *log, size_t size, u32 *random)
{
	struct mars_log_header *h = (void *)log;
	struct mars_log_cursor cur;
	size_t at, step;

	memcpy(h->magic, MARS_LOG_MAGIC, sizeof(h->magic));
	if (next_random(random) % 8)
		h->format = cpu_to_le32(MARS_LOG_FORMAT);
	mklog_reseal_header(h);
	if (mars_log_header_check(h, NULL, &cur) != MARS_LOG_OK)
		return;
	for (at = MARS_LOG_BLOCK; at < size; at += step) {
		/* mostly everything, sometimes all but one thing */
		u32 how = next_random(random) % 4 ? 63 : 63 & ~(1u << next_random(random) % 6);

		step = fix_group(log + at, size - at, &cur, how);
		if (!step)
			return;
	}
}

/* A valid log to begin with, for when there is no corpus. */
static size_t fresh_log(u8 *data, size_t max_size, u32 *random)
{
	u8 block[4096];
	struct mklog m;
	size_t size;
	u32 i;

	mklog_init(&m, NULL, DEVICE);
	for (i = 0; i < 3; i++) {
		memset(block, (int)next_random(random), sizeof(block));
		mklog_write(&m, next_random(random) % (DEVICE - 8192), block,
			    1 + next_random(random) % 4096);
		mklog_zeroes(&m, next_random(random) % 65536, 4096, i & 1);
		mklog_mark(&m, i);
		mklog_commit(&m);
	}
	size = m.len + 1 <= max_size ? m.len + 1 : max_size;
	data[0] = (u8)next_random(random);
	memcpy(data + 1, m.buf, size - 1);
	mklog_free(&m);
	return size;
}

size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max_size, unsigned int seed)
{
	u32 random = seed;
	u8 *log;

	if (size < 1 + 2 * MARS_LOG_BLOCK)
		return fresh_log(data, max_size, &random);
	/* change only what carries structure, not four thousand bytes of zeros */
	if (next_random(&random) % 4) {
		size_t block = next_random(&random) % (size / MARS_LOG_BLOCK);
		size_t window = 48 * (1 + next_random(&random) % 8);
		u8 *p = data + 1 + block * MARS_LOG_BLOCK;

		if (p + window <= data + size)
			LLVMFuzzerMutate(p, window, window);
	} else {
		size = LLVMFuzzerMutate(data, size, max_size);
	}
	if (size < 1 + MARS_LOG_BLOCK)
		return size;
	log = malloc(size - 1);
	require(log);
	memcpy(log, data + 1, size - 1);
	fix_log(log, size - 1, &random);
	memcpy(data + 1, log, size - 1);
	free(log);
	return size;
}
