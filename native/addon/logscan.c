/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logscan.c - see logscan.h
 *
 * Whole groups are checked where they lie in the caller's bytes; only a group
 * cut by a portion's end is gathered in @hold.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log_format.h"

#include "logscan.h"

#define READ_CHUNK	(1u << 20)

/**
 * struct logscan - one scan
 * @cur: end of the verified part
 * @from: resume position wanted by the user; used until the header is known
 * @resume: @from counts
 * @ident_known: header verified, @ident decoded
 * @verdict: of the last push; sticky unless OK or MORE
 * @hold: MARS_LOG_MAX_GROUP bytes for a cut group; allocated on first need
 * @have: bytes in @hold
 * @need: bytes of the group (or header) needed to go on
 */
struct logscan {
	struct mars_log_cursor cur;
	struct mars_log_cursor from;
	bool resume;
	struct mars_log_ident expect;
	bool expecting;
	struct mars_log_ident ident;
	bool ident_known;
	enum mars_log_verdict verdict;
	u64 records;
	u8 *hold;
	size_t have;
	size_t need;
};

static bool all_zero(const u8 *data, size_t len)
{
	while (len && !*data) {
		data++;
		len--;
	}
	return !len;
}

struct logscan *logscan_new(const void *expect, const void *cursor)
{
	struct logscan *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->need = MARS_LOG_BLOCK;
	s->verdict = MARS_LOG_MORE;
	if (expect) {
		memcpy(&s->expect, expect, sizeof(s->expect));
		s->expecting = true;
	}
	if (cursor) {
		memcpy(&s->from, cursor, sizeof(s->from));
		s->resume = true;
		s->cur = s->from;
	}
	return s;
}

void logscan_free(struct logscan *s)
{
	if (!s)
		return;
	free(s->hold);
	free(s);
}

static enum mars_log_verdict scan_header(struct logscan *s, const u8 *data)
{
	const struct mars_log_header *h = (const void *)data;
	struct mars_log_cursor start;
	enum mars_log_verdict v;

	v = mars_log_header_check(h, s->expecting ? &s->expect : NULL, &start);
	if (v != MARS_LOG_OK)
		return v;
	mars_log_header_ident(h, &s->ident);
	s->ident_known = true;
	s->cur = start;
	return MARS_LOG_OK;
}

/*
 * Verify all that is complete in @data, aligned to 8 bytes.  *used tells how
 * many bytes are behind us; on MORE the rest starts an incomplete group.
 */
static enum mars_log_verdict scan(struct logscan *s, const u8 *data, size_t len, size_t *used)
{
	enum mars_log_verdict v;
	size_t total;

	*used = 0;
	while (*used < len) {
		const u8 *at = data + *used;

		if (!s->cur.offset) {
			s->need = MARS_LOG_BLOCK;
			if (len - *used < MARS_LOG_BLOCK)
				return MARS_LOG_MORE;
			v = scan_header(s, at);
			if (v != MARS_LOG_OK)
				return v;
			*used += MARS_LOG_BLOCK;
			continue;
		}
		v = mars_log_group_check(at, len - *used, &s->cur, &s->need, &total);
		if (v != MARS_LOG_OK)
			return v;
		mars_log_cursor_next(&s->cur, (const void *)at);
		s->records += le32_to_cpu(((const struct mars_log_group *)at)->nr_records);
		*used += total;
	}
	s->need = MARS_LOG_BLOCK;
	return MARS_LOG_OK;
}

/* Take what @hold still needs from @data; bytes taken, 0 = no memory. */
static size_t gather(struct logscan *s, const u8 *data, size_t len)
{
	size_t n = s->need - s->have;

	if (!s->hold)
		s->hold = malloc(MARS_LOG_MAX_GROUP);
	if (!s->hold)
		return 0;
	if (n > len)
		n = len;
	memcpy(s->hold + s->have, data, n);
	s->have += n;
	return n;
}

static enum mars_log_verdict scan_held(struct logscan *s)
{
	enum mars_log_verdict v;
	size_t used;

	if (s->have < s->need)
		return MARS_LOG_MORE;
	v = scan(s, s->hold, s->have, &used);
	s->have -= used;
	memmove(s->hold, s->hold + used, s->have);
	return v;
}

int logscan_push(struct logscan *s, const uint8_t *data, size_t len)
{
	while (len && (s->verdict == MARS_LOG_OK || s->verdict == MARS_LOG_MORE)) {
		size_t n = 0;

		if (!s->have && !((uintptr_t)data & 7)) {
			s->verdict = scan(s, data, len, &n);
		} else {
			n = gather(s, data, len);
			if (!n)
				return -ENOMEM;
			s->verdict = scan_held(s);
		}
		data += n;
		len -= n;
		if (s->verdict != MARS_LOG_MORE)
			continue;
		/* A group never needs more than the format allows, nor less than is there. */
		if (s->need > MARS_LOG_MAX_GROUP || s->need < s->have ||
		    (s->need == s->have && s->have))
			s->verdict = MARS_LOG_BAD_SIZE;
		else if (!s->have && len) {
			n = gather(s, data, len);
			if (!n)
				return -ENOMEM;
			data += n;
			len -= n;
		}
	}
	return s->verdict;
}

/* Read up to @len bytes at @pos; *got < @len only at the end of the file. */
static int read_at(int fd, u8 *buf, size_t len, u64 pos, size_t *got)
{
	*got = 0;
	while (*got < len) {
		ssize_t n = pread(fd, buf + *got, len - *got, (off_t)(pos + *got));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (!n)
			break;
		*got += (size_t)n;
	}
	return 0;
}

/* The header first, wherever the scan goes on: it tells salt and device size. */
static int read_header(struct logscan *s, int fd, u8 *buf)
{
	size_t got;
	int err = read_at(fd, buf, MARS_LOG_BLOCK, 0, &got);

	if (err)
		return err;
	s->cur.offset = 0;
	if (got == MARS_LOG_BLOCK && all_zero(buf, got))
		s->verdict = MARS_LOG_CLEAN_END;
	else
		logscan_push(s, buf, got);
	if (s->verdict != MARS_LOG_OK || !s->resume)
		return 0;
	if (s->from.offset < MARS_LOG_BLOCK || s->from.offset % MARS_LOG_BLOCK) {
		s->verdict = MARS_LOG_BAD_PLACE;
		return 0;
	}
	/* At the first group the header itself tells the digest and the sequence. */
	if (s->from.offset > MARS_LOG_BLOCK) {
		s->cur.offset = s->from.offset;
		s->cur.sequence = s->from.sequence;
		s->cur.lamport = s->from.lamport;
		s->cur.digest_known = s->from.digest_known;
		memcpy(s->cur.digest, s->from.digest, sizeof(s->cur.digest));
	}
	return 0;
}

int logscan_file(struct logscan *s, int fd, const char **what)
{
	u64 pos;
	size_t got;
	u8 *buf;
	int err;

	*what = "malloc";
	buf = aligned_alloc(MARS_LOG_BLOCK, READ_CHUNK);
	if (!buf)
		return ENOMEM;
	*what = "pread";
	err = read_header(s, fd, buf);
	pos = s->cur.offset;
	while (!err && pos && (s->verdict == MARS_LOG_OK || s->verdict == MARS_LOG_MORE)) {
		err = read_at(fd, buf, READ_CHUNK, pos, &got);
		if (err)
			break;
		pos += got;
		if (logscan_push(s, buf, got) < 0) {
			*what = "malloc";
			err = ENOMEM;
		} else if (got < READ_CHUNK) {
			if (s->verdict == MARS_LOG_OK)
				s->verdict = MARS_LOG_CLEAN_END;
			break;
		}
	}
	free(buf);
	return err;
}

int logscan_verdict(const struct logscan *s)
{
	return s->verdict;
}

const char *logscan_verdict_name(int verdict)
{
	return mars_log_verdict_name(verdict);
}

uint64_t logscan_records(const struct logscan *s)
{
	return s->records;
}

const void *logscan_ident(const struct logscan *s)
{
	return s->ident_known ? &s->ident : NULL;
}

const void *logscan_cursor(const struct logscan *s)
{
	return &s->cur;
}

size_t logscan_ident_size(void)
{
	return sizeof(struct mars_log_ident);
}

size_t logscan_cursor_size(void)
{
	return sizeof(struct mars_log_cursor);
}
