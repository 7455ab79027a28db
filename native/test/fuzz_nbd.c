// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_nbd.c - arbitrary bytes as an NBD client
 *
 * The first byte says how the rest is cut.  A negotiation fed piece by piece must
 * give the same answers as one fed at once; requests behind it are parsed, checked
 * and answered.  What the checks let pass must lie inside the export.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bricks/nbd_proto.h"

#define TOTAL	(1u << 20)	/* answers kept for comparison */

struct run {
	struct nbd_negotiation neg;
	enum nbd_step step;
	size_t used;
	uint32_t len;
	uint8_t *data;
};

static const struct nbd_export export = {
	.name = "disk", .size = 1000 * 512, .align = 512,
};

static void must(int cond)
{
	if (!cond)
		abort();
}

/* Present @data in growing pieces of @step bytes, as a socket would. */
static void negotiate(struct run *run, const uint8_t *data, size_t size, size_t piece)
{
	static struct nbd_out out;
	size_t have = 0;

	memset(&run->neg, 0, sizeof(run->neg));
	run->step = NBD_MORE;
	run->used = 0;
	run->len = 0;
	while (run->step == NBD_MORE && have < size) {
		bool again = true;

		have = size - have < piece ? size : have + piece;
		while (again && run->step == NBD_MORE) {
			/* an exact copy, so that reading too far is noticed */
			uint8_t *copy = malloc(have - run->used + 1);
			size_t used;

			must(copy != NULL);
			memcpy(copy, data + run->used, have - run->used);
			out.len = 0;
			run->step = nbd_negotiate(&run->neg, &export, copy, have - run->used,
						  &used, &out);
			must(used <= have - run->used && out.len <= NBD_OUT_SIZE);
			free(copy);
			run->used += used;
			again = out.len > NBD_OUT_USED;
			if (run->len + out.len <= TOTAL)
				memcpy(run->data + run->len, out.data, out.len);
			run->len += out.len;
		}
	}
}

static void requests(const uint8_t *data, size_t size, bool structured)
{
	while (size >= NBD_REQUEST_SIZE) {
		uint8_t head[NBD_REPLY_MAX];
		struct nbd_request req;
		uint64_t payload;
		int err;

		if (!nbd_parse_request(data, &req))
			return;
		err = nbd_check_request(&export, &req);
		must(err <= 0);
		if (!err && req.type != NBD_CMD_FLUSH) {
			must(req.offset <= export.size);
			must(req.length <= export.size - req.offset);
			must(req.offset % 512 == 0 && req.length % 512 == 0);
		}
		must(!nbd_fatal(&req) || err);
		must(nbd_reply(head, &req, structured, err) <= sizeof(head));
		must(nbd_reply(head, &req, structured, 0) <= sizeof(head));
		payload = nbd_payload(&req);
		data += NBD_REQUEST_SIZE;
		size -= NBD_REQUEST_SIZE;
		if (payload > size)
			return;
		data += payload;
		size -= payload;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t whole_out[TOTAL], pieces_out[TOTAL];
	struct run whole = { .data = whole_out }, pieces = { .data = pieces_out };
	size_t piece;

	if (!size)
		return 0;
	piece = *data++ % 64 + 1;
	size--;
	negotiate(&whole, data, size, size);
	negotiate(&pieces, data, size, piece);
	must(whole.step == pieces.step);
	must(whole.used == pieces.used);
	must(whole.len == pieces.len);
	must(whole.len > TOTAL || !memcmp(whole_out, pieces_out, whole.len));
	if (whole.step == NBD_READY)
		requests(data + whole.used, size - whole.used, whole.neg.structured);
	requests(data, size, piece & 1);
	return 0;
}
