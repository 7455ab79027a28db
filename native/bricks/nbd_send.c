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

/* The budget covers the pieces too: bytes of a request / max_piece are enough for it. */
static bool room_for(const struct nbd_conn *conn, u64 bytes)
{
	return !list_empty(&conn->free_io) &&
	       conn->budget + bytes <= NBD_PIECES * conn->max_piece;
}

struct nbd_io *nbd_io_get(struct nbd_conn *conn, u64 bytes)
{
	struct nbd_io *io;

	pthread_mutex_lock(&conn->lock);
	while (!room_for(conn, bytes)) {
		pthread_mutex_unlock(&conn->lock);
		nbd_uncork(conn);
		pthread_mutex_lock(&conn->lock);
		while (!room_for(conn, bytes))
			pthread_cond_wait(&conn->room, &conn->lock);
		conn->corked = true;
	}
	io = list_first_entry(&conn->free_io, struct nbd_io, link);
	list_del(&io->link);
	conn->in_flight++;
	conn->budget += bytes;
	pthread_mutex_unlock(&conn->lock);
	__atomic_add_fetch(&conn->nbd->in_flight, 1, __ATOMIC_RELAXED);

	INIT_LIST_HEAD(&io->pieces);
	io->budget = bytes;
	io->err = 0;
	io->pending = 1;
	return io;
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
	piece->rq = NULL;
	piece->len = 0;
	piece->nr = 0;
	return piece;
}

/* Give everything of a list of requests back. */
static void retire(struct nbd_conn *conn, struct list_head *ios)
{
	struct nbd_piece *piece, *next;
	struct nbd_io *io;
	u64 bytes = 0;
	unsigned int n = 0, i;

	if (list_empty(ios))
		return;
	list_for_each_entry(io, ios, link) {
		list_for_each_entry(piece, &io->pieces, link) {
			for (i = 0; i < piece->nr; i++)
				nbd_buf_put(piece->buf[i]);
			piece->nr = 0;
		}
		bytes += io->budget;
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
	pthread_cond_signal(&conn->room);
	pthread_mutex_unlock(&conn->lock);
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
		pthread_cond_signal(&conn->room);
	}
	pthread_mutex_unlock(&conn->lock);
	return more;
}

/* Let the service thread go on when the socket has room. */
static bool park(struct nbd_conn *conn)
{
	struct epoll_event event = { .events = EPOLLOUT | EPOLLONESHOT, .data.ptr = conn };
	int op = conn->polled ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	conn->polled = true;	/* from the call on, the batch may belong to the service */
	return !epoll_ctl(conn->nbd->epoll_fd, op, conn->fd, &event);
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
		if ((errno == EAGAIN || errno == EWOULDBLOCK) && park(conn))
			return;
		nbd_hang_up(conn);
	}
}

void nbd_hang_up(struct nbd_conn *conn)
{
	pthread_mutex_lock(&conn->lock);
	conn->dead = true;
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
