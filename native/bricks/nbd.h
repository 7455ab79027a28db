/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nbd.h - inside the nbd brick; private to nbd*.c
 *
 * nbd.c         the brick: parameters, power, listening, the service thread
 * nbd_conn.c    one connection: negotiation, receiving, requests down the route
 * nbd_send.c    replies: queue, coalescing, sending without ever blocking
 * nbd_buf.c     memory of one export
 * nbd_proto.c   bytes
 *
 * Threads: each connection has one thread, which blocks in recv() and nowhere
 * else but for room.  Replies are sent by whichever thread completes a request;
 * when the socket is full, the rest waits for the brick's one service thread,
 * which also accepts.  So a slow client holds up nobody but itself.  A client that
 * vanishes is noticed by the service and counts no more, even while its requests are
 * stuck below; they end into a connection nobody listens to, which owns their memory.
 * Until then the brick can't go off, but its place is free for the next client.
 *
 * A connection has at most NBD_REQUESTS requests and NBD_BUDGET bytes in flight (less
 * when the disk takes only short requests), then it is not read from any more.
 *
 * Memory is bounded for the whole export: each connection may use NBD_OWN bytes of
 * buffers, beyond that it takes from NBD_SHARED, never more than is left for others
 * afterwards.  So whoever holds much memory for long can't take the last of it.
 *
 * Lock order: nbd->lock, conn->lock.  Neither is held across a system call on the
 * socket, nor across calls into other bricks.
 */
#ifndef _MARS_NBD_H
#define _MARS_NBD_H

#include <pthread.h>

#include <linux/types.h>
#include <linux/list.h>

#include "core/brick.h"
#include "core/xio.h"
#include "nbd_proto.h"

#define NBD_CONNECTIONS	64		/* of clients that are there */
#define NBD_THREADS	128		/* ditto, and of those that are not yet buried */
#define NBD_REQUESTS	64		/* in flight on a connection */
#define NBD_BUDGET	(64ull << 20)	/* their bytes */
#define NBD_PIECES	(NBD_BUDGET / XIO_MAX_IO) /* beyond the first of each request */
#define NBD_MIN_PIECE	(NBD_MAX_IO / (u32)NBD_PIECES) /* the longest request fits in them */
#define NBD_CHUNK	(256u << 10)	/* receive buffer */
#define NBD_SEGMENTS	8		/* of a piece; it touches at most 6 chunks */
#define NBD_ORDERS	9		/* buffers of 4 KiB to 1 MiB */
#define NBD_CACHE	(16u << 20)	/* free buffers an export keeps */
#define NBD_OWN		(2ull << 20)	/* bytes of buffers any connection may use */
#define NBD_SHARED	(256ull << 20)	/* ditto for all together beyond that */

struct nbd_conn;

/* --- memory (nbd_buf.c) --- */

struct nbd_buf {
	struct list_head link;		/* pool->lock, while free */
	struct nbd_pool *pool;		/* constant */
	struct nbd_conn *charged;	/* uncharged for it in the end, or NULL; constant while held */
	u8 *data;			/* page-aligned; constant */
	unsigned int order;		/* constant */
	int refs;			/* atomic */
};

struct nbd_pool {
	pthread_mutex_t lock;		/* innermost */
	struct list_head free[NBD_ORDERS]; /* lock */
	size_t cached;			/* lock: bytes in free[] */
};

int nbd_pool_init(struct nbd_pool *pool);
/** nbd_pool_exit - all buffers have been put */
void nbd_pool_exit(struct nbd_pool *pool);
/** nbd_buf_size - bytes of the buffer that nbd_buf_get() gives for @size */
size_t nbd_buf_size(size_t size);
/** nbd_buf_get - at least @size (up to 1 MiB) bytes with one reference, or NULL */
struct nbd_buf *nbd_buf_get(struct nbd_pool *pool, size_t size);
void nbd_buf_hold(struct nbd_buf *buf);
void nbd_buf_put(struct nbd_buf *buf);
/** nbd_buf_alone - does only the caller hold it? */
bool nbd_buf_alone(struct nbd_buf *buf);

/* --- requests --- */

/* Part of a request, at most XIO_MAX_IO bytes: one XIO request. */
struct nbd_piece {
	struct list_head link;		/* in io->pieces, or free: conn->lock */
	struct nbd_io *io;
	u32 len;			/* bytes in vec so far */
	u32 nr;
	struct bio_vec vec[NBD_SEGMENTS];
	struct nbd_buf *buf[NBD_SEGMENTS]; /* one reference each */
};

/* A client's request from its arrival until its reply is sent. */
struct nbd_io {
	struct list_head link;		/* free or in the send queue: conn->lock */
	struct nbd_conn *conn;
	struct nbd_request req;
	int err;			/* atomic: first failure */
	int pending;			/* atomic: pieces under way + 1 while they are made */
	struct list_head pieces;	/* receive thread, then sender */
	struct nbd_piece first;
	u64 budget;			/* bytes accounted */
	u64 memory;			/* bytes of buffers charged for it */
	u32 head_len;			/* of the reply; set before queueing */
	u32 data_len;
	u8 head[NBD_REPLY_MAX];
};

/* --- connections --- */

enum nbd_client {
	NBD_STRANGER,			/* still negotiating */
	NBD_OPEN,			/* has the export open */
	NBD_VANISHED,			/* its socket is gone, requests of it may still run */
	NBD_LEFT,			/* only to be buried */
};

struct nbd_conn {
	struct nbd_brick *nbd;		/* constant */
	int fd;				/* constant */
	pthread_t thread;
	struct list_head link;		/* nbd->lock */
	bool gone;			/* nbd->lock: thread has done its work */
	struct nbd_export export;	/* constant after negotiation */
	u32 max_piece;			/* ditto */
	struct nbd_negotiation neg;
	/* receive thread only */
	struct nbd_buf *chunk;
	u32 begin, end;			/* bytes of chunk not yet looked at */
	struct nbd_io *writing;		/* whose payload comes next */
	struct nbd_piece *piece;	/* being filled, or NULL */
	u64 payload;			/* bytes of it still to come */
	bool skip;			/* throw them away */

	pthread_mutex_t lock;
	pthread_cond_t room;		/* something was retired */
	struct list_head free_io;	/* lock */
	struct list_head free_piece;	/* lock */
	unsigned int in_flight;		/* lock */
	u64 budget;			/* lock: bytes in flight */
	u64 memory;			/* lock: bytes of buffers it is charged for */
	enum nbd_client client;		/* nbd->lock */
	struct list_head out;		/* lock: replies not yet taken by the sender */
	u64 out_bytes;			/* lock */
	bool corked;			/* lock: the receive thread will send soon */
	bool sending;			/* lock: some thread, or the service, owns batch */
	bool parked;			/* lock: the service is to pump when there is room */
	bool dead;			/* lock: nothing can be sent any more */

	/* whoever set sending */
	struct list_head batch;		/* replies being sent */
	u64 sent;			/* bytes of batch already gone */

	struct nbd_io io[NBD_REQUESTS];
	struct nbd_piece extra[NBD_PIECES];
};

/* --- the brick --- */

struct nbd_brick {
	struct mars_brick brick;

	/* parameters; mars_topology_lock, only while off */
	char socket[108];		/* fits sockaddr_un */
	char export[MARS_TEXT_MAX + 1];
	bool read_only;

	int listen_fd;			/* service thread; -1 = not listening */
	int epoll_fd, wake_fd;		/* constant while on */
	int spare_fd;			/* service thread: given up when there are no more */
	u64 socket_dev, socket_ino;	/* the socket we made */
	pthread_t service;
	bool serving;			/* mars_topology_lock: service is to be joined */

	pthread_mutex_t lock;
	struct list_head conns;		/* lock */
	unsigned int nr_conns;		/* lock */
	unsigned int clients;		/* lock: connections that are NBD_OPEN */
	unsigned int vanished;		/* lock: that are NBD_VANISHED */
	unsigned int ended;		/* lock: ditto, or NBD_LEFT: they take nobody's place */
	bool closing;			/* lock: no new clients */
	bool ending;			/* lock: the service is to light led_off and end */

	struct nbd_pool pool;
	u64 shared;			/* atomic: bytes taken of NBD_SHARED */
	unsigned int hungry;		/* atomic: connections that wait for room */

	u64 nr[XIO_NR_OPS];		/* atomic counters */
	u64 bytes_read, bytes_written;	/* atomic counters */
	u64 in_flight;			/* atomic */
};

static inline struct nbd_brick *to_nbd(struct mars_brick *brick)
{
	return container_of(brick, struct nbd_brick, brick);
}

/* nbd.c */
extern const struct mars_brick_type nbd_brick_type;

/** nbd_thread - start a thread with all signals blocked; 0 or -errno */
int nbd_thread(pthread_t *thread, void *(*fn)(void *), void *arg);
/** nbd_client_enter - count a client; false when the brick goes off */
bool nbd_client_enter(struct nbd_conn *conn);
/** nbd_client_vanish - its socket is gone */
void nbd_client_vanish(struct nbd_conn *conn);
/** nbd_client_leave - all its requests have ended, or it never became a client */
void nbd_client_leave(struct nbd_conn *conn);
/** nbd_conn_gone - last call of a connection's thread */
void nbd_conn_gone(struct nbd_conn *conn);

/* nbd_conn.c */

/** nbd_conn_new - take over @fd, which is closed in any case in the end; or NULL */
struct nbd_conn *nbd_conn_new(struct nbd_brick *nbd, int fd);
/** nbd_conn_run - start its thread; 0 or -errno */
int nbd_conn_run(struct nbd_conn *conn);
/** nbd_conn_ready - service thread: epoll has something to say about it */
void nbd_conn_ready(struct nbd_conn *conn, u32 events);
/** nbd_conn_free - after its thread was joined, or never ran */
void nbd_conn_free(struct nbd_conn *conn);

/* nbd_send.c */

/** nbd_answer - all pieces of @io are done: queue or send the reply; any context */
void nbd_answer(struct nbd_io *io);
/** nbd_cork - receive thread: replies may wait for nbd_uncork() */
void nbd_cork(struct nbd_conn *conn);
void nbd_uncork(struct nbd_conn *conn);
/** nbd_pump - go on sending; the caller owns conn->sending */
void nbd_pump(struct nbd_conn *conn);
/**
 * nbd_io_get - wait for room for @bytes, @memory of buffers, and take a request
 *
 * Uncorks while waiting.  NULL: the client has vanished meanwhile.
 */
struct nbd_io *nbd_io_get(struct nbd_conn *conn, u64 bytes, u64 memory);
/** nbd_chunk_get - wait for memory for a receive buffer; NULL: vanished, or no memory */
struct nbd_buf *nbd_chunk_get(struct nbd_conn *conn);
/** nbd_uncharge - @bytes of buffers are free again; any context */
void nbd_uncharge(struct nbd_conn *conn, u64 bytes);
/** nbd_arm - let epoll tell the service of the end, and of room if the batch is parked */
bool nbd_arm(struct nbd_conn *conn, int op);
/** nbd_piece_get - the next piece of @io; admission has seen to it that there is one */
struct nbd_piece *nbd_piece_get(struct nbd_io *io);
/** nbd_drain - wait until every request is answered */
void nbd_drain(struct nbd_conn *conn);
/** nbd_hang_up - no more replies; what is under way is thrown away when it ends */
void nbd_hang_up(struct nbd_conn *conn);

#endif /* _MARS_NBD_H */
