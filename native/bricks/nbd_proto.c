// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nbd_proto.c - the NBD protocol as functions over bytes
 *
 * Whatever a client sends ends in a defined answer: options we don't know are
 * refused by name, broken ones as invalid, and what can't be understood at all
 * closes the connection.
 */
#include <errno.h>
#include <string.h>

#include "nbd_proto.h"

#define NBD_MAGIC		0x4e42444d41474943ull	/* "NBDMAGIC" */
#define NBD_OPTION_MAGIC	0x49484156454f5054ull	/* "IHAVEOPT" */
#define NBD_OPTION_REPLY_MAGIC	0x0003e889045565a9ull
#define NBD_REQUEST_MAGIC	0x25609513u
#define NBD_SIMPLE_MAGIC	0x67446698u
#define NBD_STRUCTURED_MAGIC	0x668e33efu

#define NBD_OPTIONS_LIMIT	1000	/* options in one negotiation */
#define NBD_PREFERRED_BLOCK	4096

/* handshake flags */
#define NBD_FLAG_FIXED_NEWSTYLE	(1u << 0)
#define NBD_FLAG_NO_ZEROES	(1u << 1)

/* transmission flags */
#define NBD_FLAG_HAS_FLAGS	(1u << 0)
#define NBD_FLAG_READ_ONLY	(1u << 1)
#define NBD_FLAG_SEND_FLUSH	(1u << 2)
#define NBD_FLAG_SEND_FUA	(1u << 3)
#define NBD_FLAG_SEND_TRIM	(1u << 5)
#define NBD_FLAG_SEND_WRITE_ZEROES (1u << 6)
#define NBD_FLAG_SEND_DF	(1u << 7)
#define NBD_FLAG_CAN_MULTI_CONN	(1u << 8)

enum nbd_option {
	NBD_OPT_EXPORT_NAME	= 1,
	NBD_OPT_ABORT		= 2,
	NBD_OPT_LIST		= 3,
	NBD_OPT_INFO		= 6,
	NBD_OPT_GO		= 7,
	NBD_OPT_STRUCTURED_REPLY = 8,
};

#define NBD_REP_ACK		1u
#define NBD_REP_SERVER		2u
#define NBD_REP_INFO		3u
#define NBD_REP_ERR(n)		(0x80000000u | (n))
#define NBD_REP_ERR_UNSUP	NBD_REP_ERR(1)
#define NBD_REP_ERR_INVALID	NBD_REP_ERR(3)
#define NBD_REP_ERR_UNKNOWN	NBD_REP_ERR(6)
#define NBD_REP_ERR_TOO_BIG	NBD_REP_ERR(9)

#define NBD_INFO_EXPORT		0
#define NBD_INFO_NAME		1
#define NBD_INFO_BLOCK_SIZE	3

#define NBD_CHUNK_DONE		(1u << 0)
#define NBD_CHUNK_NONE		0u
#define NBD_CHUNK_OFFSET_DATA	1u
#define NBD_CHUNK_ERROR		0x8001u

/* --- integers on the wire --- */

static u16 get16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static u32 get32(const u8 *p)
{
	return (u32)get16(p) << 16 | get16(p + 2);
}

static u64 get64(const u8 *p)
{
	return (u64)get32(p) << 32 | get32(p + 4);
}

static u8 *put16(u8 *p, u16 v)
{
	*p++ = v >> 8;
	*p++ = v;
	return p;
}

static u8 *put32(u8 *p, u32 v)
{
	return put16(put16(p, v >> 16), v);
}

static u8 *put64(u8 *p, u64 v)
{
	return put32(put32(p, v >> 32), v);
}

static void out_add(struct nbd_out *out, const void *data, u32 len)
{
	if (len)
		memcpy(out->data + out->len, data, len);
	out->len += len;
}

static void out_option(struct nbd_out *out, u32 option, u32 reply, const void *data, u32 len)
{
	u8 head[20], *p = put64(head, NBD_OPTION_REPLY_MAGIC);

	p = put32(p, option);
	p = put32(p, reply);
	put32(p, len);
	out_add(out, head, sizeof(head));
	out_add(out, data, len);
}

static void out_error(struct nbd_out *out, u32 option, u32 reply, const char *text)
{
	out_option(out, option, reply, text, strlen(text));
}

/* --- negotiation --- */

void nbd_greet(struct nbd_out *out)
{
	u8 *p = put64(out->data + out->len, NBD_MAGIC);

	p = put64(p, NBD_OPTION_MAGIC);
	put16(p, NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
	out->len += 18;
}

static u16 export_flags(const struct nbd_export *export, bool structured)
{
	u16 flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
		    NBD_FLAG_CAN_MULTI_CONN;

	if (structured)
		flags |= NBD_FLAG_SEND_DF;
	if (export->read_only)
		return flags | NBD_FLAG_READ_ONLY;
	return flags | NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES;
}

static bool export_matches(const struct nbd_export *export, const u8 *name, u32 len)
{
	return !len || (len == strlen(export->name) && !memcmp(name, export->name, len));
}

static enum nbd_step opt_export_name(struct nbd_negotiation *neg, const struct nbd_export *export,
				     const u8 *data, u32 len, struct nbd_out *out)
{
	static const u8 zeroes[124];
	u8 head[10];

	/* this option knows no way to say no */
	if (!export_matches(export, data, len))
		return NBD_CLOSE;
	put16(put64(head, export->size), export_flags(export, neg->structured));
	out_add(out, head, sizeof(head));
	if (!neg->no_zeroes)
		out_add(out, zeroes, sizeof(zeroes));
	return NBD_READY;
}

static void opt_list(const struct nbd_export *export, u32 len, struct nbd_out *out)
{
	u8 item[4 + NBD_NAME_MAX];
	u32 name_len = strlen(export->name);

	if (len) {
		out_error(out, NBD_OPT_LIST, NBD_REP_ERR_INVALID, "LIST takes no data");
		return;
	}
	memcpy(put32(item, name_len), export->name, name_len);
	out_option(out, NBD_OPT_LIST, NBD_REP_SERVER, item, 4 + name_len);
	out_option(out, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
}

/* Did the client ask for this piece of information? */
static bool info_wanted(const u8 *wanted, u32 n, u16 type)
{
	while (n--)
		if (get16(wanted + 2 * n) == type)
			return true;
	return false;
}

static void out_infos(struct nbd_negotiation *neg, const struct nbd_export *export, u32 option,
		      const u8 *wanted, u32 n, struct nbd_out *out)
{
	u8 info[2 + NBD_NAME_MAX], *p;

	p = put64(put16(info, NBD_INFO_EXPORT), export->size);
	put16(p, export_flags(export, neg->structured));
	out_option(out, option, NBD_REP_INFO, info, 12);

	p = put32(put16(info, NBD_INFO_BLOCK_SIZE), export->align);
	p = put32(p, export->align > NBD_PREFERRED_BLOCK ? export->align : NBD_PREFERRED_BLOCK);
	put32(p, NBD_MAX_IO);
	out_option(out, option, NBD_REP_INFO, info, 14);

	if (info_wanted(wanted, n, NBD_INFO_NAME)) {
		u32 len = strlen(export->name);

		memcpy(put16(info, NBD_INFO_NAME), export->name, len);
		out_option(out, option, NBD_REP_INFO, info, 2 + len);
	}
}

static enum nbd_step opt_go(struct nbd_negotiation *neg, const struct nbd_export *export,
			    u32 option, const u8 *data, u32 len, struct nbd_out *out)
{
	u32 name_len = len >= 6 ? get32(data) : 0, n;

	if (len < 6 || name_len > len - 6 ||
	    (n = get16(data + 4 + name_len), len != 6 + name_len + 2 * n)) {
		out_error(out, option, NBD_REP_ERR_INVALID, "malformed");
		return NBD_MORE;
	}
	if (!export_matches(export, data + 4, name_len)) {
		out_error(out, option, NBD_REP_ERR_UNKNOWN, "no such export");
		return NBD_MORE;
	}
	out_infos(neg, export, option, data + 6 + name_len, n, out);
	out_option(out, option, NBD_REP_ACK, NULL, 0);
	return option == NBD_OPT_GO ? NBD_READY : NBD_MORE;
}

static enum nbd_step nbd_option(struct nbd_negotiation *neg, const struct nbd_export *export,
				u32 option, const u8 *data, u32 len, struct nbd_out *out)
{
	switch (option) {
	case NBD_OPT_EXPORT_NAME:
		return opt_export_name(neg, export, data, len, out);
	case NBD_OPT_ABORT:
		out_option(out, option, NBD_REP_ACK, NULL, 0);
		return NBD_CLOSE;
	case NBD_OPT_LIST:
		opt_list(export, len, out);
		return NBD_MORE;
	case NBD_OPT_INFO:
	case NBD_OPT_GO:
		return opt_go(neg, export, option, data, len, out);
	case NBD_OPT_STRUCTURED_REPLY:
		if (len) {
			out_error(out, option, NBD_REP_ERR_INVALID, "takes no data");
			return NBD_MORE;
		}
		neg->structured = true;
		out_option(out, option, NBD_REP_ACK, NULL, 0);
		return NBD_MORE;
	}
	out_error(out, option, NBD_REP_ERR_UNSUP, "not supported");
	return NBD_MORE;
}

static enum nbd_step client_flags(struct nbd_negotiation *neg, u32 flags)
{
	if (flags & ~(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES))
		return NBD_CLOSE;
	neg->flags_seen = true;
	neg->no_zeroes = flags & NBD_FLAG_NO_ZEROES;
	return NBD_MORE;
}

enum nbd_step nbd_negotiate(struct nbd_negotiation *neg, const struct nbd_export *export,
			    const u8 *buf, size_t len, size_t *used, struct nbd_out *out)
{
	enum nbd_step step = NBD_MORE;

	*used = 0;
	while (step == NBD_MORE && out->len <= NBD_OUT_USED) {
		const u8 *p = buf + *used;
		size_t left = len - *used;
		u32 option, size;

		if (neg->skip) {
			u32 n = left < neg->skip ? left : neg->skip;

			neg->skip -= n;
			*used += n;
			if (neg->skip)
				break;
			continue;
		}
		if (!neg->flags_seen) {
			if (left < 4)
				break;
			*used += 4;
			step = client_flags(neg, get32(p));
			continue;
		}
		if (left < 16)
			break;
		option = get32(p + 8);
		size = get32(p + 12);
		if (get64(p) != NBD_OPTION_MAGIC || ++neg->options > NBD_OPTIONS_LIMIT)
			return NBD_CLOSE;
		if (size > NBD_OPTION_MAX) {
			if (option == NBD_OPT_EXPORT_NAME)
				return NBD_CLOSE;
			out_error(out, option, NBD_REP_ERR_TOO_BIG, "too long");
			neg->skip = size;
			*used += 16;
			continue;
		}
		if (left - 16 < size) {
			neg->options--;
			break;
		}
		*used += 16 + size;
		step = nbd_option(neg, export, option, p + 16, size, out);
	}
	return step;
}

/* --- requests --- */

bool nbd_parse_request(const u8 *buf, struct nbd_request *req)
{
	if (get32(buf) != NBD_REQUEST_MAGIC)
		return false;
	req->flags = get16(buf + 4);
	req->type = get16(buf + 6);
	req->cookie = get64(buf + 8);
	req->offset = get64(buf + 16);
	req->length = get32(buf + 24);
	return true;
}

/* Flags a command may carry; ~0 for an unknown command. */
static u32 allowed_flags(u16 type)
{
	switch (type) {
	case NBD_CMD_READ:
		return NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_DF;
	case NBD_CMD_WRITE:
	case NBD_CMD_TRIM:
		return NBD_CMD_FLAG_FUA;
	case NBD_CMD_WRITE_ZEROES:
		return NBD_CMD_FLAG_FUA | NBD_CMD_FLAG_NO_HOLE;
	case NBD_CMD_FLUSH:
		return NBD_CMD_FLAG_FUA;
	}
	return ~0u;
}

int nbd_check_request(const struct nbd_export *export, const struct nbd_request *req)
{
	u32 flags = allowed_flags(req->type);
	bool data = req->type == NBD_CMD_READ || req->type == NBD_CMD_WRITE;

	if (flags == ~0u || req->flags & ~flags)
		return -EINVAL;
	if (req->type == NBD_CMD_FLUSH)
		return req->offset || req->length ? -EINVAL : 0;
	if (req->type != NBD_CMD_READ && export->read_only)
		return -EPERM;
	if (data && req->length > NBD_MAX_IO)
		return req->type == NBD_CMD_READ ? -EOVERFLOW : -EINVAL;
	if (req->offset > export->size || req->length > export->size - req->offset)
		return req->type == NBD_CMD_READ || req->type == NBD_CMD_TRIM ? -EINVAL : -ENOSPC;
	if ((req->offset | req->length) & (export->align - 1))
		return -EINVAL;
	return 0;
}

/* --- replies --- */

static u32 wire_error(int err)
{
	switch (err) {
	case 0:
		return 0;
	case -EPERM:
	case -EROFS:
		return 1;
	case -ENOMEM:
		return 12;
	case -EINVAL:
		return 22;
	case -ENOSPC:
	case -EDQUOT:
	case -EFBIG:
		return 28;
	case -EOVERFLOW:
		return 75;
	case -EOPNOTSUPP:
		return 95;
	case -ESHUTDOWN:
		return 108;
	}
	return 5;	/* EIO */
}

u32 nbd_reply(u8 *buf, const struct nbd_request *req, bool structured, int err)
{
	u8 *p = buf;

	if (!structured || req->type != NBD_CMD_READ) {
		p = put32(p, NBD_SIMPLE_MAGIC);
		p = put32(p, wire_error(err));
		p = put64(p, req->cookie);
		return p - buf;
	}
	p = put32(p, NBD_STRUCTURED_MAGIC);
	p = put16(p, NBD_CHUNK_DONE);
	p = put16(p, err ? NBD_CHUNK_ERROR : req->length ? NBD_CHUNK_OFFSET_DATA : NBD_CHUNK_NONE);
	p = put64(p, req->cookie);
	if (err) {
		p = put32(p, 6);
		p = put32(p, wire_error(err));
		p = put16(p, 0);
	} else if (req->length) {
		p = put32(p, 8 + req->length);
		p = put64(p, req->offset);
	} else {
		p = put32(p, 0);
	}
	return p - buf;
}
