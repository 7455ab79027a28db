// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nbd_conn.c - one NBD connection: negotiation, receiving, requests
 *
 * The receive thread reads whatever has arrived into a chunk and works through
 * it: one recv() may bring many requests.  The payload of a write is not copied;
 * its memory segments point into the chunks, which live as long as somebody
 * refers to them.  Long requests travel as pieces of at most XIO_MAX_IO, a write
 * piece as soon as its bytes are there.
 *
 * The connection ends when the client says so, vanishes or talks nonsense.  Its
 * thread then waits for what is under way below before the brick forgets it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/kernel.h>
#include <linux/slab.h>

#include "nbd.h"

#define NBD_NEGOTIATION_TIMEOUT	10	/* seconds a silent client gets */
#define NBD_MIN_RECV	(32u << 10)	/* less room in a chunk is not worth a recv() */

/* --- receiving --- */

/* Room for more bytes behind those not yet looked at; keeps an unfinished header. */
static bool chunk_room(struct nbd_conn *conn)
{
	struct nbd_buf *old = conn->chunk;
	u32 rest = conn->end - conn->begin;

	if (!rest && nbd_buf_alone(old)) {
		conn->begin = 0;
		conn->end = 0;
		return true;
	}
	if (rest ? conn->end < NBD_CHUNK : NBD_CHUNK - conn->end >= NBD_MIN_RECV)
		return true;
	if (nbd_buf_alone(old)) {
		memmove(old->data, old->data + conn->begin, rest);
	} else {
		conn->chunk = nbd_chunk_get(conn);
		if (!conn->chunk) {
			conn->chunk = old;
			return false;
		}
		memcpy(conn->chunk->data, old->data + conn->begin, rest);
		nbd_buf_put(old);
	}
	conn->begin = 0;
	conn->end = rest;
	return rest < NBD_CHUNK;
}

static bool receive(struct nbd_conn *conn)
{
	ssize_t n;

	if (!chunk_room(conn))
		return false;
	do {
		n = recv(conn->fd, conn->chunk->data + conn->end, NBD_CHUNK - conn->end, 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	conn->end += n;
	return true;
}

/* --- negotiation --- */

static bool send_all(int fd, const u8 *buf, size_t len)
{
	while (len) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		buf += n;
		len -= n;
	}
	return true;
}

static bool set_timeout(int fd, int seconds)
{
	struct timeval tv = { .tv_sec = seconds };

	return !setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) &&
	       !setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
}

/* Size and limits as they are now; the disk may have grown since power on. */
static bool export_fill(struct nbd_conn *conn)
{
	struct nbd_brick *nbd = conn->nbd;
	struct xio_info info;

	if (mars_brick_info(nbd->brick.name, &info))
		return false;
	conn->export.name = nbd->export;
	conn->export.size = info.size;
	conn->export.align = max(info.align, 1u);
	conn->export.read_only = nbd->read_only || info.read_only;
	conn->max_piece = min(info.max_io, XIO_MAX_IO) & PAGE_MASK;
	return conn->max_piece >= NBD_MIN_PIECE;
}

static bool negotiate(struct nbd_conn *conn)
{
	struct nbd_out *out = malloc(sizeof(*out));
	enum nbd_step step = NBD_MORE;
	bool ok = out && export_fill(conn) && set_timeout(conn->fd, NBD_NEGOTIATION_TIMEOUT);

	if (ok) {
		out->len = 0;
		nbd_greet(out);
	}
	while (ok) {
		bool full;
		size_t used;

		/* a client must be counted before it learns that it is one */
		ok = (step != NBD_READY || nbd_client_enter(conn)) &&
		     send_all(conn->fd, out->data, out->len);
		if (!ok || step != NBD_MORE)
			break;
		full = out->len > NBD_OUT_USED;
		out->len = 0;
		if (!full)
			ok = receive(conn);
		if (ok) {
			step = nbd_negotiate(&conn->neg, &conn->export,
					     conn->chunk->data + conn->begin,
					     conn->end - conn->begin, &used, out);
			conn->begin += used;
		}
	}
	free(out);
	return ok && step == NBD_READY && set_timeout(conn->fd, 0);
}

/* --- requests --- */

static const u8 op_of[] = {
	[NBD_CMD_READ] = XIO_READ,
	[NBD_CMD_WRITE] = XIO_WRITE,
	[NBD_CMD_FLUSH] = XIO_FLUSH,
	[NBD_CMD_TRIM] = XIO_DISCARD,
	[NBD_CMD_WRITE_ZEROES] = XIO_WRITE_ZEROES,
};

static void io_fail(struct nbd_io *io, int err)
{
	int good = 0;

	__atomic_compare_exchange_n(&io->err, &good, err, false,
				    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

static void io_put(struct nbd_io *io)
{
	if (!__atomic_sub_fetch(&io->pending, 1, __ATOMIC_ACQ_REL))
		nbd_answer(io);
}

static void piece_end(struct xio_request *rq, struct xio_end *end)
{
	struct nbd_piece *piece = rq->private;
	struct nbd_io *io = piece->io;

	if (rq->status)
		io_fail(io, rq->status);
	if (rq->op == XIO_WRITE)
		while (piece->nr)
			nbd_buf_put(piece->buf[--piece->nr]);
	xio_free(rq);
	io_put(io);
}

/* Append memory, whose reference on @buf is taken over. */
static void piece_add(struct nbd_piece *piece, struct nbd_buf *buf, u8 *data, u32 len)
{
	struct bio_vec *last = piece->nr ? &piece->vec[piece->nr - 1] : NULL;

	if (last && piece->buf[piece->nr - 1] == buf && (u8 *)bvec_virt(last) + last->bv_len == data) {
		last->bv_len += len;
		piece->len += len;
		nbd_buf_put(buf);	/* one for the whole segment will do */
		return;
	}
	bvec_set_virt(&piece->vec[piece->nr], data, len);
	piece->buf[piece->nr++] = buf;
	piece->len += len;
}

/* Send a piece down.  @pos, @len: its range, len 0 for a flush. */
static void piece_submit(struct nbd_conn *conn, struct nbd_piece *piece, u64 pos, u64 len)
{
	struct nbd_io *io = piece->io;
	struct xio_request *rq = xio_alloc(&conn->nbd->brick.input[0], GFP_KERNEL);

	if (!rq) {
		io_fail(io, -ENOMEM);
		return;
	}
	rq->op = op_of[io->req.type];
	if (io->req.flags & NBD_CMD_FLAG_FUA && rq->op != XIO_READ && rq->op != XIO_FLUSH)
		rq->flags |= XIO_FUA;
	if (io->req.flags & NBD_CMD_FLAG_NO_HOLE && rq->op == XIO_WRITE_ZEROES)
		rq->flags |= XIO_NOUNMAP;
	rq->pos = pos;
	rq->len = len;
	if (piece->nr) {
		rq->vec = piece->vec;
		rq->nr_vec = piece->nr;
	}
	rq->private = piece;
	__atomic_add_fetch(&io->pending, 1, __ATOMIC_RELAXED);
	xio_submit(rq, piece_end);
}

/* Bytes of buffers for a read of @len. */
static u64 read_memory(const struct nbd_conn *conn, u32 len)
{
	u32 rest = len % conn->max_piece;

	return len / conn->max_piece * nbd_buf_size(conn->max_piece) +
	       (rest ? nbd_buf_size(rest) : 0);
}

static void start_read(struct nbd_conn *conn, struct nbd_io *io)
{
	u64 pos = io->req.offset;
	u32 left = io->req.length;

	while (left && !__atomic_load_n(&io->err, __ATOMIC_RELAXED)) {
		u32 len = min(left, conn->max_piece);
		struct nbd_piece *piece = nbd_piece_get(io);
		struct nbd_buf *buf = nbd_buf_get(&conn->nbd->pool, len);

		if (!buf) {
			io_fail(io, -ENOMEM);
			break;
		}
		piece_add(piece, buf, buf->data, len);
		piece_submit(conn, piece, pos, len);
		pos += len;
		left -= len;
	}
	io_put(io);
}

static void start_other(struct nbd_conn *conn, struct nbd_io *io)
{
	bool flush = io->req.type == NBD_CMD_FLUSH;

	if (flush || io->req.length)
		piece_submit(conn, nbd_piece_get(io), io->req.offset, io->req.length);
	io_put(io);
}

static void count(struct nbd_brick *nbd, const struct nbd_request *req)
{
	__atomic_add_fetch(&nbd->nr[op_of[req->type]], 1, __ATOMIC_RELAXED);
	if (req->type == NBD_CMD_READ)
		__atomic_add_fetch(&nbd->bytes_read, req->length, __ATOMIC_RELAXED);
	else if (req->type == NBD_CMD_WRITE)
		__atomic_add_fetch(&nbd->bytes_written, req->length, __ATOMIC_RELAXED);
}

/* A request header is complete.  Returns false when the connection is to end. */
static bool start_request(struct nbd_conn *conn, const struct nbd_request *req)
{
	int err = nbd_check_request(&conn->export, req);
	bool read = !err && req->type == NBD_CMD_READ, write = !err && req->type == NBD_CMD_WRITE;
	struct nbd_io *io = nbd_io_get(conn, read || write ? req->length : 0,
				       read ? read_memory(conn, req->length) : 0);

	if (!io)
		return false;
	io->req = *req;
	if (err)
		io_fail(io, err);
	else
		count(conn->nbd, req);
	if (req->type == NBD_CMD_WRITE && req->length && !nbd_fatal(req)) {
		conn->writing = io;
		conn->payload = req->length;
		conn->skip = err;
	} else if (err || req->type == NBD_CMD_WRITE) {
		io_put(io);
	} else if (req->type == NBD_CMD_READ) {
		start_read(conn, io);
	} else {
		start_other(conn, io);
	}
	return !nbd_fatal(req);
}

/* Take payload of the current write out of the chunk. */
static void take_payload(struct nbd_conn *conn)
{
	struct nbd_io *io = conn->writing;
	u32 n = min_t(u64, conn->end - conn->begin, conn->payload);
	struct nbd_piece *piece = conn->piece;

	/* a chunk is left only when it is nearly full: a piece spans few of them */
	BUILD_BUG_ON(XIO_MAX_IO / (NBD_CHUNK - NBD_MIN_RECV) + 2 > NBD_SEGMENTS);
	if (!conn->skip) {
		if (!piece)
			piece = conn->piece = nbd_piece_get(io);
		n = min(n, conn->max_piece - piece->len);
		nbd_buf_hold(conn->chunk);
		piece_add(piece, conn->chunk, conn->chunk->data + conn->begin, n);
	}
	conn->begin += n;
	conn->payload -= n;
	if (piece && (!conn->payload || piece->len == conn->max_piece)) {
		u64 pos = io->req.offset + io->req.length - conn->payload - piece->len;

		conn->piece = NULL;
		piece_submit(conn, piece, pos, piece->len);
		conn->skip = __atomic_load_n(&io->err, __ATOMIC_RELAXED);
	}
	if (!conn->payload) {
		conn->writing = NULL;
		io_put(io);
	}
}

/* Work through what has been received.  Returns false when the connection is to end. */
static bool consume(struct nbd_conn *conn)
{
	while (conn->begin < conn->end) {
		struct nbd_request req;

		if (conn->writing) {
			take_payload(conn);
			continue;
		}
		if (conn->end - conn->begin < NBD_REQUEST_SIZE)
			return true;
		if (!nbd_parse_request(conn->chunk->data + conn->begin, &req))
			return false;
		conn->begin += NBD_REQUEST_SIZE;
		if (req.type == NBD_CMD_DISC || !start_request(conn, &req))
			return false;
	}
	return true;
}

static void serve(struct nbd_conn *conn)
{
	bool go_on;

	do {
		nbd_cork(conn);
		go_on = consume(conn);
		nbd_uncork(conn);
	} while (go_on && receive(conn));

	/* a client that leaves on its own still gets its answers, if it listens */
	if (go_on)
		nbd_hang_up(conn);
	if (conn->writing) {
		io_fail(conn->writing, -EIO);
		io_put(conn->writing);
	}
	nbd_drain(conn);
}

/* --- life --- */

static void *conn_thread(void *arg)
{
	struct nbd_conn *conn = arg;

	pthread_setname_np(pthread_self(), "mars-nbd");
	if (negotiate(conn))
		serve(conn);
	nbd_client_leave(conn);
	nbd_conn_gone(conn);
	return NULL;
}

static void conn_init(struct nbd_conn *conn)
{
	unsigned int i;

	INIT_LIST_HEAD(&conn->free_io);
	INIT_LIST_HEAD(&conn->free_piece);
	INIT_LIST_HEAD(&conn->out);
	INIT_LIST_HEAD(&conn->batch);
	for (i = 0; i < NBD_REQUESTS; i++) {
		conn->io[i].conn = conn;
		list_add_tail(&conn->io[i].link, &conn->free_io);
	}
	for (i = 0; i < NBD_PIECES; i++)
		list_add_tail(&conn->extra[i].link, &conn->free_piece);
}

/* Replies of a whole batch should fit, so that sending seldom has to wait. */
static void widen(int fd)
{
	int size = 4 << 20;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

struct nbd_conn *nbd_conn_new(struct nbd_brick *nbd, int fd)
{
	struct nbd_conn *conn = kzalloc(sizeof(*conn), GFP_KERNEL);

	if (!conn)
		goto fail;
	conn->nbd = nbd;
	conn->fd = fd;
	conn_init(conn);
	if (pthread_mutex_init(&conn->lock, NULL))
		goto fail_lock;
	if (pthread_cond_init(&conn->room, NULL))
		goto fail_cond;
	conn->chunk = nbd_chunk_get(conn);
	if (!conn->chunk)
		goto fail_chunk;
	widen(fd);
	return conn;

fail_chunk:
	pthread_cond_destroy(&conn->room);
fail_cond:
	pthread_mutex_destroy(&conn->lock);
fail_lock:
	kfree(conn);
fail:
	close(fd);
	return NULL;
}

int nbd_conn_run(struct nbd_conn *conn)
{
	return nbd_thread(&conn->thread, conn_thread, conn);
}

/*
 * The end is seen here, since the receive thread may be waiting for room that comes only
 * when what is stuck below goes on.  A half-closed socket is not the end.
 */
void nbd_conn_ready(struct nbd_conn *conn, u32 events)
{
	bool pump;

	if (events & (EPOLLHUP | EPOLLERR)) {
		nbd_client_vanish(conn);
		nbd_hang_up(conn);
	}
	pthread_mutex_lock(&conn->lock);
	pump = conn->parked;
	conn->parked = false;
	pthread_mutex_unlock(&conn->lock);
	if (pump)
		nbd_pump(conn);
	if (!(events & (EPOLLHUP | EPOLLERR)))
		nbd_arm(conn, EPOLL_CTL_MOD);
}

void nbd_conn_free(struct nbd_conn *conn)
{
	nbd_buf_put(conn->chunk);
	pthread_cond_destroy(&conn->room);
	pthread_mutex_destroy(&conn->lock);
	close(conn->fd);
	kfree(conn);
}
