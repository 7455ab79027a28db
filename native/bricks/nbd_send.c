// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nbd_send.c - replies of one NBD connection: admission, queueing, sending
 *
 * At most one thread sends at a time: the one that set conn->sending, which owns
 * the batch.  Others leave their replies in the queue and go on; the sender takes
 * them before it stops.  While the receive thread works through what one recv()
 * brought, the connection is corked: replies gather and leave in one system call.
 *
 * Sending never blocks.  When the socket is full, the batch is parked: sending
 * stays set, and the service thread pumps on when epoll says so.
 *
 * A request is retired when its reply has left or can't be delivered any more.
 * The connection ends only when all are, so conn outlives every sender.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <linux/kernel.h>

#include "nbd.h"

#define NBD_IOV		256
#define NBD_CORK_BYTES	(256u << 10)	/* a corked queue is sent from here on */

/* --- admission and retirement --- */

/* What a receive thread asks for. */
struct demand {
	bool request;		/* a free nbd_io */
	u64 budget, memory;
};

/* What of @bytes of buffers is taken from the shared ones. */
static u64 beyond_own(u64 bytes)
{
	return bytes > NBD_OWN ? bytes - NBD_OWN : 0;
}

/* conn->lock held.  As much as one has must be left over for somebody else. */
static bool charge(struct nbd_conn *conn, u64 bytes)
{
	u64 *shared = &conn->nbd->shared;
	u64 have = beyond_own(conn->memory), want = beyond_own(conn->memory + bytes);
	u64 used = __atomic_load_n(shared, __ATOMIC_SEQ_CST);

	do {
		if (want > have && used - have + 2 * want > NBD_SHARED)
			return false;
	} while (!__atomic_compare_exchange_n(shared, &used, used - have + want, true,
					      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	conn->memory += bytes;
	return true;
}

/* conn->lock held.  Returns whether others may go on. */
static bool uncharge(struct nbd_conn *conn, u64 bytes)
{
	u64 back = beyond_own(conn->memory) - beyond_own(conn->memory - bytes);

	conn->memory -= bytes;
	if (!back)
		return false;
	__atomic_sub_fetch(&conn->nbd->shared, back, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&conn->nbd->hungry, __ATOMIC_SEQ_CST);
}

/* Who waits for shared memory says so before it looks, so it is not overlooked. */
static void wake_hungry(struct nbd_brick *nbd)
{
	struct nbd_conn *conn;

	pthread_mutex_lock(&nbd->lock);
	list_for_each_entry(conn, &nbd->conns, link) {
		pthread_mutex_lock(&conn->lock);
		pthread_cond_broadcast(&conn->room);
		pthread_mutex_unlock(&conn->lock);
	}
	pthread_mutex_unlock(&nbd->lock);
}

void nbd_uncharge(struct nbd_conn *conn, u64 bytes)
{
	bool wake;

	pthread_mutex_lock(&conn->lock);
	wake = uncharge(conn, bytes);
	pthread_cond_broadcast(&conn->room);
	pthread_mutex_unlock(&conn->lock);
	if (wake)
		wake_hungry(conn->nbd);
}

/* conn->lock held.  The budget covers the pieces too: bytes / max_piece are enough for it. */
static bool take(struct nbd_conn *conn, const struct demand *want)
{
	if (want->request && (list_empty(&conn->free_io) ||
			      conn->budget + want->budget > NBD_PIECES * conn->max_piece))
		return false;
	return !want->memory || charge(conn, want->memory);
}

/*
 * Wait for room and take it; conn->lock held, given up meanwhile.  What is corked would
 * never make room.  Returns false when the client has vanished.
 */
static bool admit(struct nbd_conn *conn, const struct demand *want)
{
	bool corked = conn->corked, ok = take(conn, want);

	if (ok)
		return true;
	__atomic_add_fetch(&conn->nbd->hungry, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&conn->lock);
	nbd_uncork(conn);
	pthread_mutex_lock(&conn->lock);
	while (!(ok = take(conn, want)) && !conn->dead)
		pthread_cond_wait(&conn->room, &conn->lock);
	conn->corked = corked;
	__atomic_sub_fetch(&conn->nbd->hungry, 1, __ATOMIC_SEQ_CST);
	return ok;
}

struct nbd_io *nbd_io_get(struct nbd_conn *conn, u64 bytes, u64 memory)
{
	const struct demand want = { .request = true, .budget = bytes, .memory = memory };
	struct nbd_io *io = NULL;

	pthread_mutex_lock(&conn->lock);
	if (admit(conn, &want)) {
		io = list_first_entry(&conn->free_io, struct nbd_io, link);
		list_del(&io->link);
		conn->in_flight++;
		conn->budget += bytes;
	}
	pthread_mutex_unlock(&conn->lock);
	if (!io)
		return NULL;
	__atomic_add_fetch(&conn->nbd->in_flight, 1, __ATOMIC_RELAXED);

	INIT_LIST_HEAD(&io->pieces);
	io->budget = bytes;
	io->memory = memory;
	io->err = 0;
	io->pending = 1;
	return io;
}

struct nbd_buf *nbd_chunk_get(struct nbd_conn *conn)
{
	const struct demand want = { .memory = NBD_CHUNK };
	struct nbd_buf *buf;
	bool ok;

	pthread_mutex_lock(&conn->lock);
	ok = admit(conn, &want);
	pthread_mutex_unlock(&conn->lock);
	if (!ok)
		return NULL;
	buf = nbd_buf_get(&conn->nbd->pool, NBD_CHUNK);
	if (buf)
		buf->charged = conn;
	else
		nbd_uncharge(conn, NBD_CHUNK);
	return buf;
}

struct nbd_piece *nbd_piece_get(struct nbd_io *io)
{
	struct nbd_piece *piece = &io->first;

	if (!list_empty(&io->pieces)) {
		pthread_mutex_lock(&io->conn->lock);
		piece = list_first_entry(&io->conn->free_piece, struct nbd_piece, link);
		list_del(&piece->link);
		pthread_mutex_unlock(&io->conn->lock);
	}
	list_add_tail(&piece->link, &io->pieces);
	piece->io = io;
	piece->len = 0;
	piece->nr = 0;
	return piece;
}

/* Give everything of a list of requests back. */
static void retire(struct nbd_conn *conn, struct list_head *ios)
{
	struct nbd_piece *piece, *next;
	struct nbd_io *io;
	u64 bytes = 0, memory = 0;
	unsigned int n = 0, i;
	bool wake;

	if (list_empty(ios))
		return;
	list_for_each_entry(io, ios, link) {
		list_for_each_entry(piece, &io->pieces, link) {
			for (i = 0; i < piece->nr; i++)
				nbd_buf_put(piece->buf[i]);
			piece->nr = 0;
		}
		bytes += io->budget;
		memory += io->memory;
		n++;
	}
	__atomic_sub_fetch(&conn->nbd->in_flight, n, __ATOMIC_RELAXED);
	pthread_mutex_lock(&conn->lock);
	list_for_each_entry(io, ios, link)
		list_for_each_entry_safe(piece, next, &io->pieces, link)
			if (piece != &io->first)
				list_move(&piece->link, &conn->free_piece);
	list_splice_init(ios, &conn->free_io);
	conn->in_flight -= n;
	conn->budget -= bytes;
	wake = uncharge(conn, memory);
	pthread_cond_broadcast(&conn->room);
	pthread_mutex_unlock(&conn->lock);
	if (wake)
		wake_hungry(conn->nbd);
}

/* --- sending --- */

/* The bytes of the batch behind the first @skip. */
static unsigned int batch_map(struct nbd_conn *conn, u64 skip, struct iovec *iov)
{
	struct nbd_piece *piece;
	struct nbd_io *io;
	unsigned int n = 0;

	list_for_each_entry(io, &conn->batch, link) {
		if (skip < io->head_len) {
			if (n == NBD_IOV)
				return n;
			iov[n].iov_base = io->head + skip;
			iov[n++].iov_len = io->head_len - skip;
			skip = 0;
		} else {
			skip -= io->head_len;
		}
		if (!io->data_len)
			continue;
		list_for_each_entry(piece, &io->pieces, link) {
			if (skip >= piece->len) {
				skip -= piece->len;
				continue;
			}
			if (n == NBD_IOV)
				return n;
			iov[n].iov_base = piece->buf[0]->data + skip;
			iov[n++].iov_len = piece->len - skip;
			skip = 0;
		}
	}
	return n;
}

/* @bytes more of the batch have left. */
static void batch_sent(struct nbd_conn *conn, u64 bytes)
{
	LIST_HEAD(done);

	conn->sent += bytes;
	while (!list_empty(&conn->batch)) {
		struct nbd_io *io = list_first_entry(&conn->batch, struct nbd_io, link);
		u64 len = (u64)io->head_len + io->data_len;

		if (conn->sent < len)
			break;
		conn->sent -= len;
		list_move_tail(&io->link, &done);
	}
	retire(conn, &done);
}

/* Take what has queued up.  Returns false when there is nothing: sending is over. */
static bool batch_take(struct nbd_conn *conn, bool *dead)
{
	bool more;

	pthread_mutex_lock(&conn->lock);
	list_splice_tail_init(&conn->out, &conn->batch);
	conn->out_bytes = 0;
	*dead = conn->dead;
	more = !list_empty(&conn->batch);
	if (!more) {
		conn->sending = false;
		pthread_cond_broadcast(&conn->room);
	}
	pthread_mutex_unlock(&conn->lock);
	return more;
}

/* conn->lock held, so that nobody arms for less than another has asked for. */
static bool arm(struct nbd_conn *conn, int op)
{
	struct epoll_event event = { .events = EPOLLONESHOT, .data.ptr = conn };

	/* the end of the socket is reported whether asked for or not */
	if (conn->parked)
		event.events |= EPOLLOUT;
	return !epoll_ctl(conn->nbd->epoll_fd, op, conn->fd, &event);
}

bool nbd_arm(struct nbd_conn *conn, int op)
{
	bool armed;

	pthread_mutex_lock(&conn->lock);
	armed = arm(conn, op);
	pthread_mutex_unlock(&conn->lock);
	return armed;
}

/* Let the service thread go on when the socket has room: then the batch belongs to it. */
static bool park(struct nbd_conn *conn)
{
	bool armed;

	pthread_mutex_lock(&conn->lock);
	conn->parked = true;
	armed = arm(conn, EPOLL_CTL_MOD);
	if (!armed)
		conn->parked = false;
	pthread_mutex_unlock(&conn->lock);
	return armed;
}

/* The socket is full, or the system has no memory for it just now. */
static bool must_wait(int err)
{
	return err == EAGAIN || err == EWOULDBLOCK || err == ENOBUFS || err == ENOMEM;
}

void nbd_pump(struct nbd_conn *conn)
{
	struct iovec iov[NBD_IOV];
	bool dead;

	while (batch_take(conn, &dead)) {
		struct msghdr msg = { .msg_iov = iov };
		ssize_t n;

		if (dead) {
			conn->sent = 0;
			retire(conn, &conn->batch);
			continue;
		}
		msg.msg_iovlen = batch_map(conn, conn->sent, iov);
		n = sendmsg(conn->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			batch_sent(conn, n);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (must_wait(errno) && park(conn))
			return;
		nbd_hang_up(conn);
	}
}

void nbd_hang_up(struct nbd_conn *conn)
{
	pthread_mutex_lock(&conn->lock);
	conn->dead = true;
	pthread_cond_broadcast(&conn->room);
	pthread_mutex_unlock(&conn->lock);
	/* wakes the receive thread, and the service thread of a parked batch */
	shutdown(conn->fd, SHUT_RDWR);
}

void nbd_answer(struct nbd_io *io)
{
	struct nbd_conn *conn = io->conn;
	int err = __atomic_load_n(&io->err, __ATOMIC_ACQUIRE);
	bool send;

	io->head_len = nbd_reply(io->head, &io->req, conn->neg.structured, err);
	io->data_len = !err && io->req.type == NBD_CMD_READ ? io->req.length : 0;
	pthread_mutex_lock(&conn->lock);
	list_add_tail(&io->link, &conn->out);
	conn->out_bytes += io->head_len + io->data_len;
	send = !conn->sending && (!conn->corked || conn->out_bytes >= NBD_CORK_BYTES);
	if (send)
		conn->sending = true;
	pthread_mutex_unlock(&conn->lock);
	if (send)
		nbd_pump(conn);
}

void nbd_cork(struct nbd_conn *conn)
{
	pthread_mutex_lock(&conn->lock);
	conn->corked = true;
	pthread_mutex_unlock(&conn->lock);
}

void nbd_uncork(struct nbd_conn *conn)
{
	bool send;

	pthread_mutex_lock(&conn->lock);
	conn->corked = false;
	send = !conn->sending && !list_empty(&conn->out);
	if (send)
		conn->sending = true;
	pthread_mutex_unlock(&conn->lock);
	if (send)
		nbd_pump(conn);
}

void nbd_drain(struct nbd_conn *conn)
{
	pthread_mutex_lock(&conn->lock);
	while (conn->in_flight || conn->sending)
		pthread_cond_wait(&conn->room, &conn->lock);
	pthread_mutex_unlock(&conn->lock);
}
