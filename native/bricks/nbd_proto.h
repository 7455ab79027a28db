/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd_proto.h - the NBD protocol as functions over bytes
 *
 * Nothing here does IO, allocates or knows a brick, so all of it can be fuzzed.
 * Facts: the NBD protocol document, fixed newstyle negotiation, simple and
 * structured replies.  All integers on the wire are big-endian.
 */
#ifndef _MARS_NBD_PROTO_H
#define _MARS_NBD_PROTO_H

#include <linux/types.h>

#define NBD_NAME_MAX		4096	/* bytes of an export name, by the protocol */
#define NBD_OPTION_MAX		8192	/* longest option we look at */
#define NBD_REQUEST_SIZE	28
#define NBD_REPLY_MAX		32	/* longest head of a reply */
#define NBD_MAX_IO		(32u << 20)	/* longest read or write, bytes */

enum nbd_command {
	NBD_CMD_READ		= 0,
	NBD_CMD_WRITE		= 1,
	NBD_CMD_DISC		= 2,
	NBD_CMD_FLUSH		= 3,
	NBD_CMD_TRIM		= 4,
	NBD_CMD_CACHE		= 5,
	NBD_CMD_WRITE_ZEROES	= 6,
};

#define NBD_CMD_FLAG_FUA	(1u << 0)
#define NBD_CMD_FLAG_NO_HOLE	(1u << 1)
#define NBD_CMD_FLAG_DF		(1u << 2)

/**
 * struct nbd_export - what is offered; constant during a connection
 * @name: the one export name beside ""
 * @size: bytes
 * @align: smallest block clients must keep to, 1 = any
 */
struct nbd_export {
	const char *name;
	u64 size;
	u32 align;
	bool read_only;
};

/* --- negotiation --- */

enum nbd_step {
	NBD_MORE,	/* the bytes at hand are used up or not enough */
	NBD_READY,	/* negotiation is over, requests follow */
	NBD_CLOSE,	/* send the output, then close */
};

/**
 * struct nbd_negotiation - state of one negotiation; zero it, then nbd_greet()
 * @no_zeroes: the client does not want 124 zero bytes
 * @structured: structured replies were agreed upon
 * @skip: bytes of an overlong option still to be thrown away
 */
struct nbd_negotiation {
	bool flags_seen;
	bool no_zeroes;
	bool structured;
	u32 skip;
	u32 options;
};

/**
 * struct nbd_out - bytes to send
 *
 * Large enough for the answer to any one option; nbd_negotiate() never starts an
 * option with more than NBD_OUT_USED bytes inside, but asks to be called again.
 */
#define NBD_OUT_SIZE	16384
#define NBD_OUT_USED	8192
struct nbd_out {
	u32 len;
	u8 data[NBD_OUT_SIZE];
};

/** nbd_greet - what the server says first */
void nbd_greet(struct nbd_out *out);
/**
 * nbd_negotiate - take client bytes, append the answers to @out
 * @used: bytes taken; the rest must be presented again, with more behind
 *
 * A client that offers more options than any sane one is cut off.
 */
enum nbd_step nbd_negotiate(struct nbd_negotiation *neg, const struct nbd_export *export,
			    const u8 *buf, size_t len, size_t *used, struct nbd_out *out);

/* --- requests --- */

struct nbd_request {
	u16 flags;
	u16 type;
	u64 cookie;
	u64 offset;
	u32 length;
};

/** nbd_parse_request - from NBD_REQUEST_SIZE bytes; false: bad magic, hang up */
bool nbd_parse_request(const u8 *buf, struct nbd_request *req);

/** nbd_payload - bytes of data that follow the request on the wire */
static inline u64 nbd_payload(const struct nbd_request *req)
{
	return req->type == NBD_CMD_WRITE ? req->length : 0;
}

/** nbd_check_request - 0, or the -errno to answer with */
int nbd_check_request(const struct nbd_export *export, const struct nbd_request *req);

/** nbd_fatal - too long a payload to read over: answer, then hang up */
static inline bool nbd_fatal(const struct nbd_request *req)
{
	return nbd_payload(req) > NBD_MAX_IO;
}

/* --- replies --- */

/**
 * nbd_reply - head of the reply to @req; the data of a good read follows it
 * @buf: NBD_REPLY_MAX bytes
 * @structured: agreed upon; only reads need it
 * @err: 0 or -errno
 *
 * Return: bytes used.
 */
u32 nbd_reply(u8 *buf, const struct nbd_request *req, bool structured, int err);

#endif /* _MARS_NBD_PROTO_H */
