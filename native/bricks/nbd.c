// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nbd.c - the nbd brick: an XIO output as an NBD export on a unix socket
 *
 * Power on binds the socket (mode 0600) and starts the service thread, which
 * accepts, pumps parked replies, and buries connections that have ended.  A stale
 * socket, left by a process that was killed, is removed; one that somebody
 * listens on is not.
 *
 * Power off is refused while clients are connected, or requests of vanished ones still
 * run.  Otherwise the service thread stops listening, removes the socket, cuts off
 * whoever is still negotiating, waits for their threads and lights led_off.
 *
 * Locking: nbd->lock covers the list of connections and who of them is a client.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/kernel.h>

#include "nbd.h"

#define NBD_BACKLOG	64
#define NBD_EVENTS	16

static int refuse(enum mars_reason *reason, enum mars_reason why, int err)
{
	*reason = why;
	return err;
}

int nbd_thread(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	sigset_t all, old;
	int err;

	/* signals are for the threads of the host program */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(thread, NULL, fn, arg);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

static void nbd_wake(struct nbd_brick *nbd)
{
	u64 one = 1;

	/* a full counter wakes as well */
	while (write(nbd->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void nbd_woken(struct nbd_brick *nbd)
{
	u64 count;

	while (read(nbd->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
}

/* --- clients --- */

bool nbd_client_enter(struct nbd_conn *conn)
{
	struct nbd_brick *nbd = conn->nbd;
	bool in;

	pthread_mutex_lock(&nbd->lock);
	in = !nbd->closing && conn->client == NBD_STRANGER;
	if (in) {
		conn->client = NBD_OPEN;
		nbd->clients++;
	}
	pthread_mutex_unlock(&nbd->lock);
	if (in)
		mars_brick_event(&nbd->brick, MARS_EV_OPEN);
	return in;
}

void nbd_client_vanish(struct nbd_conn *conn)
{
	struct nbd_brick *nbd = conn->nbd;
	bool open;

	pthread_mutex_lock(&nbd->lock);
	open = conn->client == NBD_OPEN;
	if (open || conn->client == NBD_STRANGER) {
		conn->client = open ? NBD_VANISHED : NBD_LEFT;
		nbd->clients -= open;
		nbd->vanished += open;
		nbd->ended++;
	}
	pthread_mutex_unlock(&nbd->lock);
	if (open)
		mars_brick_event(&nbd->brick, MARS_EV_OPEN);
}

/* Also of one that had vanished it is news: the brick can go off now. */
void nbd_client_leave(struct nbd_conn *conn)
{
	struct nbd_brick *nbd = conn->nbd;
	enum nbd_client was;

	pthread_mutex_lock(&nbd->lock);
	was = conn->client;
	nbd->clients -= was == NBD_OPEN;
	nbd->vanished -= was == NBD_VANISHED;
	nbd->ended += was == NBD_OPEN || was == NBD_STRANGER;
	conn->client = NBD_LEFT;
	pthread_mutex_unlock(&nbd->lock);
	if (was == NBD_OPEN || was == NBD_VANISHED)
		mars_brick_event(&nbd->brick, MARS_EV_OPEN);
}

void nbd_conn_gone(struct nbd_conn *conn)
{
	struct nbd_brick *nbd = conn->nbd;

	/* under the lock: once it sees us gone, the service may finish the brick */
	pthread_mutex_lock(&nbd->lock);
	conn->gone = true;
	nbd_wake(nbd);
	pthread_mutex_unlock(&nbd->lock);
}

/* --- the service thread --- */

static int nbd_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static int nbd_accept_fd(struct nbd_brick *nbd)
{
	int fd;

	if (nbd->spare_fd < 0)
		nbd->spare_fd = nbd_spare();
	fd = accept4(nbd->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || nbd->spare_fd < 0)
		return fd;
	/* no descriptors left: turn the client away, or it would wake us forever */
	close(nbd->spare_fd);
	fd = accept4(nbd->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	nbd->spare_fd = nbd_spare();
	return -1;
}

static void nbd_accept(struct nbd_brick *nbd)
{
	int fd = nbd_accept_fd(nbd);
	struct nbd_conn *conn;
	bool full;

	if (fd < 0)
		return;
	pthread_mutex_lock(&nbd->lock);
	full = nbd->nr_conns - nbd->ended >= NBD_CONNECTIONS || nbd->nr_conns >= NBD_THREADS;
	pthread_mutex_unlock(&nbd->lock);
	if (full) {
		close(fd);
		return;
	}
	conn = nbd_conn_new(nbd, fd);
	if (!conn)
		return;
	pthread_mutex_lock(&nbd->lock);
	list_add_tail(&conn->link, &nbd->conns);
	nbd->nr_conns++;
	pthread_mutex_unlock(&nbd->lock);
	if (nbd_arm(conn, EPOLL_CTL_ADD) && !nbd_conn_run(conn))
		return;
	pthread_mutex_lock(&nbd->lock);
	list_del(&conn->link);
	nbd->nr_conns--;
	pthread_mutex_unlock(&nbd->lock);
	nbd_conn_free(conn);
}

/* Bury the connections whose threads are done. */
static void nbd_reap(struct nbd_brick *nbd)
{
	struct nbd_conn *conn, *next;
	LIST_HEAD(gone);

	pthread_mutex_lock(&nbd->lock);
	list_for_each_entry_safe(conn, next, &nbd->conns, link) {
		if (!conn->gone)
			continue;
		list_move(&conn->link, &gone);
		nbd->nr_conns--;
		nbd->ended--;
	}
	pthread_mutex_unlock(&nbd->lock);
	list_for_each_entry_safe(conn, next, &gone, link) {
		pthread_join(conn->thread, NULL);
		nbd_conn_free(conn);
	}
}

static void nbd_unlisten(struct nbd_brick *nbd)
{
	struct stat st;

	if (nbd->listen_fd < 0)
		return;
	/* somebody may have put another socket in place of ours */
	if (!lstat(nbd->socket, &st) && st.st_dev == nbd->socket_dev &&
	    st.st_ino == nbd->socket_ino)
		unlink(nbd->socket);
	close(nbd->listen_fd);
	nbd->listen_fd = -1;
}

/* Going off: no clients are left, and nobody becomes one. */
static bool nbd_finished(struct nbd_brick *nbd)
{
	struct nbd_conn *conn;
	bool ending, finished;

	pthread_mutex_lock(&nbd->lock);
	ending = nbd->ending;
	finished = ending && !nbd->nr_conns;
	if (ending)
		list_for_each_entry(conn, &nbd->conns, link)
			if (!conn->gone)
				shutdown(conn->fd, SHUT_RDWR);
	pthread_mutex_unlock(&nbd->lock);
	if (ending)
		nbd_unlisten(nbd);
	return finished;
}

static void *nbd_service(void *arg)
{
	struct nbd_brick *nbd = arg;
	struct epoll_event event[NBD_EVENTS];

	pthread_setname_np(pthread_self(), "mars-nbd-serve");
	while (!nbd_finished(nbd)) {
		int i, n = epoll_wait(nbd->epoll_fd, event, NBD_EVENTS, -1);

		for (i = 0; i < n; i++) {
			if (event[i].data.ptr == &nbd->listen_fd)
				nbd_accept(nbd);
			else if (event[i].data.ptr == &nbd->wake_fd)
				nbd_woken(nbd);
			else
				nbd_conn_ready(event[i].data.ptr, event[i].events);
		}
		nbd_reap(nbd);
	}
	mars_brick_leds(&nbd->brick, false, true);
	return NULL;
}

/* --- listening --- */

/* Does anybody listen on the socket?  Connecting is the only way to know. */
static bool nbd_is_alive(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive = true;

	if (fd >= 0) {
		alive = !connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) ||
			errno != ECONNREFUSED;
		close(fd);
	}
	return alive;
}

/* Make way for our socket. */
static int nbd_clear_path(const struct sockaddr_un *addr, enum mars_reason *reason)
{
	struct stat st;

	if (lstat(addr->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : refuse(reason, MARS_R_NO_PATH, -errno);
	if (!S_ISSOCK(st.st_mode) || nbd_is_alive(addr))
		return refuse(reason, MARS_R_IN_USE, -EADDRINUSE);
	if (unlink(addr->sun_path) < 0 && errno != ENOENT)
		return refuse(reason, MARS_R_DENIED, -errno);
	return 0;
}

static int nbd_bind(struct nbd_brick *nbd, int fd, enum mars_reason *reason)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;
	int err;

	strcpy(addr.sun_path, nbd->socket);
	err = nbd_clear_path(&addr, reason);
	if (err)
		return err;
	/* before bind(): the socket never exists with other rights */
	if (fchmod(fd, 0600) < 0)
		return refuse(reason, MARS_R_IO, -errno);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		err = -errno;
		if (err == -EADDRINUSE)
			return refuse(reason, MARS_R_IN_USE, err);
		if (err == -ENOENT || err == -ENOTDIR)
			return refuse(reason, MARS_R_NO_PATH, err);
		if (err == -EACCES || err == -EROFS)
			return refuse(reason, MARS_R_DENIED, err);
		return refuse(reason, MARS_R_IO, err);
	}
	if (lstat(nbd->socket, &st) < 0 || chmod(nbd->socket, 0600) < 0 ||
	    listen(fd, NBD_BACKLOG) < 0) {
		err = -errno;
		unlink(nbd->socket);
		return refuse(reason, MARS_R_IO, err);
	}
	nbd->socket_dev = st.st_dev;
	nbd->socket_ino = st.st_ino;
	return 0;
}

static int nbd_watch(struct nbd_brick *nbd, int *fd)
{
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = fd };

	return epoll_ctl(nbd->epoll_fd, EPOLL_CTL_ADD, *fd, &event) < 0 ? -errno : 0;
}

static int nbd_listen(struct nbd_brick *nbd, enum mars_reason *reason)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err;

	if (fd < 0)
		return refuse(reason, MARS_R_IO, -errno);
	err = nbd_bind(nbd, fd, reason);
	if (err) {
		close(fd);
		return err;
	}
	nbd->listen_fd = fd;
	err = nbd_watch(nbd, &nbd->listen_fd);
	return err ? refuse(reason, MARS_R_IO, err) : 0;
}

static void nbd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void nbd_close_all(struct nbd_brick *nbd)
{
	nbd_close(&nbd->epoll_fd);
	nbd_close(&nbd->wake_fd);
	nbd_close(&nbd->spare_fd);
}

/* --- power --- */

/* Wait for a service thread that has lit led_off. */
static void nbd_bury(struct nbd_brick *nbd)
{
	if (!nbd->serving)
		return;
	pthread_join(nbd->service, NULL);
	nbd->serving = false;
	nbd_close_all(nbd);
}

static int nbd_power_on(struct nbd_brick *nbd, enum mars_reason *reason)
{
	struct xio_info info;
	int err;

	if (!nbd->socket[0])
		return refuse(reason, MARS_R_MISSING, -EINVAL);
	err = mars_input_info(&nbd->brick.input[0], &info);
	if (err)
		return refuse(reason, err == -ENOTCONN ? MARS_R_NOT_CONNECTED : MARS_R_IO, err);
	if (info.max_io < NBD_MIN_PIECE)
		return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
	nbd_bury(nbd);
	nbd->closing = false;
	nbd->ending = false;
	nbd->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	nbd->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	nbd->spare_fd = nbd_spare();
	if (nbd->epoll_fd < 0 || nbd->wake_fd < 0 || nbd->spare_fd < 0)
		err = refuse(reason, MARS_R_NO_MEMORY, -errno);
	if (!err)
		err = nbd_watch(nbd, &nbd->wake_fd);
	if (!err)
		err = nbd_listen(nbd, reason);
	if (!err) {
		err = nbd_thread(&nbd->service, nbd_service, nbd);
		if (err)
			*reason = MARS_R_NO_MEMORY;
	}
	if (err) {
		nbd_unlisten(nbd);
		nbd_close_all(nbd);
		return err;
	}
	nbd->serving = true;
	mars_brick_leds(&nbd->brick, true, false);
	return 0;
}

static int nbd_power_off(struct nbd_brick *nbd, enum mars_reason *reason)
{
	bool open;

	pthread_mutex_lock(&nbd->lock);
	open = nbd->clients || nbd->vanished;
	nbd->closing = !open;
	pthread_mutex_unlock(&nbd->lock);
	if (open)
		return refuse(reason, MARS_R_OPEN, -EBUSY);
	mars_brick_leds(&nbd->brick, false, false);
	/* only now: the service may light led_off at once */
	pthread_mutex_lock(&nbd->lock);
	nbd->ending = true;
	nbd_wake(nbd);
	pthread_mutex_unlock(&nbd->lock);
	return 0;
}

static int nbd_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	return on ? nbd_power_on(to_nbd(brick), reason) : nbd_power_off(to_nbd(brick), reason);
}

/* --- the rest of the type --- */

static int nbd_set_text(char *dst, size_t size, const char *text, u32 len,
			enum mars_reason *reason)
{
	if (len >= size || memchr(text, 0, len))
		return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
	memcpy(dst, text, len);
	dst[len] = 0;
	return 0;
}

static int nbd_set(struct mars_brick *brick, u32 key, u64 value, const char *text,
		   u32 len, enum mars_reason *reason)
{
	struct nbd_brick *nbd = to_nbd(brick);

	if (key < MARS_K_NBD_SOCKET || key > MARS_K_NBD_READONLY)
		return refuse(reason, MARS_R_NO_KEY, -EINVAL);
	if (brick->button)
		return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
	switch (key) {
	case MARS_K_NBD_SOCKET:
		if (!len || text[0] != '/')
			return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
		return nbd_set_text(nbd->socket, sizeof(nbd->socket), text, len, reason);
	case MARS_K_NBD_EXPORT:
		return nbd_set_text(nbd->export, sizeof(nbd->export), text, len, reason);
	}
	if (value > 1)
		return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
	nbd->read_only = value;
	return 0;
}

static int nbd_construct(struct mars_brick *brick)
{
	struct nbd_brick *nbd = to_nbd(brick);
	int err;

	nbd->listen_fd = -1;
	nbd->epoll_fd = -1;
	nbd->wake_fd = -1;
	nbd->spare_fd = -1;
	INIT_LIST_HEAD(&nbd->conns);
	err = -pthread_mutex_init(&nbd->lock, NULL);
	if (err)
		return err;
	err = nbd_pool_init(&nbd->pool);
	if (err)
		pthread_mutex_destroy(&nbd->lock);
	return err;
}

static void nbd_destruct(struct mars_brick *brick)
{
	struct nbd_brick *nbd = to_nbd(brick);

	nbd_bury(nbd);
	nbd_pool_exit(&nbd->pool);
	pthread_mutex_destroy(&nbd->lock);
}

/* For our own connections, which ask for the size from outside of a method. */
static int nbd_get_info(struct mars_brick *brick, struct xio_info *info)
{
	return mars_input_info(&brick->input[0], info);
}

static u64 counter(const u64 *value)
{
	return __atomic_load_n(value, __ATOMIC_RELAXED);
}

static void nbd_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct nbd_brick *nbd = to_nbd(brick);

	pthread_mutex_lock(&nbd->lock);
	st->val[MARS_V_NBD_CLIENTS] = nbd->clients;
	pthread_mutex_unlock(&nbd->lock);
	st->val[MARS_V_NBD_READS] = counter(&nbd->nr[XIO_READ]);
	st->val[MARS_V_NBD_WRITES] = counter(&nbd->nr[XIO_WRITE]);
	st->val[MARS_V_NBD_FLUSHES] = counter(&nbd->nr[XIO_FLUSH]);
	st->val[MARS_V_NBD_BYTES_READ] = counter(&nbd->bytes_read);
	st->val[MARS_V_NBD_BYTES_WRITTEN] = counter(&nbd->bytes_written);
	st->val[MARS_V_NBD_IN_FLIGHT] = counter(&nbd->in_flight);
	st->nr_val = MARS_V_NBD_IN_FLIGHT + 1;
}

static bool nbd_needs(struct mars_brick *brick, unsigned int nr)
{
	return true;
}

const struct mars_brick_type nbd_brick_type = {
	.name = "nbd",
	.nr_inputs = 1,
	.input_name = { "disk" },
	.size = sizeof(struct nbd_brick),
	.construct = nbd_construct,
	.destruct = nbd_destruct,
	.set = nbd_set,
	.power = nbd_power,
	.get_info = nbd_get_info,
	.status = nbd_status,
	.needs = nbd_needs,
};
