// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file_io.c - the system calls of a file brick
 *
 * Everything here blocks and runs in a worker (file_queue.c), but for the read that
 * is tried inline.  No lock is held: a completion may submit to this very brick.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/kernel.h>

#include "file.h"

#define FILE_IOV	256		/* segments per system call */
#define FILE_ZEROES	(64U << 10)

static const char zeroes[FILE_ZEROES] __attribute__((aligned(4096)));

/* --- one transfer --- */

static int file_errno(void)
{
	/* a limit of the file system or the process is lack of space to the bricks above */
	return errno == EFBIG || errno == EDQUOT ? -ENOSPC : -errno;
}

/* The memory of a batch behind its first @done bytes, as far as @iov holds it. */
static unsigned int file_map(struct list_head *batch, u64 done, struct iovec *iov)
{
	struct xio_request *rq;
	unsigned int n = 0;

	list_for_each_entry(rq, batch, link) {
		u64 skip = rq->skip, left = rq->len;
		unsigned int i;

		if (done >= left) {
			done -= left;
			continue;
		}
		skip += done;
		left -= done;
		done = 0;
		for (i = 0; i < rq->nr_vec && left; i++) {
			u64 len = rq->vec[i].bv_len;

			if (skip >= len) {
				skip -= len;
				continue;
			}
			if (n == FILE_IOV)
				return n;
			len = min(len - skip, left);
			iov[n].iov_base = (char *)bvec_virt(&rq->vec[i]) + skip;
			iov[n++].iov_len = len;
			left -= len;
			skip = 0;
		}
	}
	return n;
}

static bool iov_aligned(const struct iovec *iov, unsigned int n, u32 align)
{
	while (n--)
		if (((uintptr_t)iov[n].iov_base | iov[n].iov_len) & (align - 1))
			return false;
	return true;
}

/*
 * Move @len bytes between @batch and the file.  Returns 0 or -errno; *moved says
 * how far a read came before the end of the file.
 */
static int file_transfer(int fd, struct list_head *batch, u64 pos, u64 len, bool write, int flags,
			 u64 *moved)
{
	struct iovec iov[FILE_IOV];
	u64 done = 0;

	while (done < len) {
		unsigned int n = file_map(batch, done, iov);
		ssize_t got;

		if (!n)
			return -EINVAL;		/* less memory than length */
		got = write ? pwritev2(fd, iov, n, (off_t)(pos + done), flags) :
			      preadv2(fd, iov, n, (off_t)(pos + done), flags);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return file_errno();
		if (!got && write)
			return -ENOSPC;
		if (!got)
			break;
		done += got;
	}
	*moved = done;
	return 0;
}

/* The same through one aligned buffer, for memory that O_DIRECT can't take. */
static int file_bounce(struct file_brick *fb, struct list_head *batch, u64 pos, u64 len,
		       bool write, int flags, u64 *moved)
{
	struct xio_request *rq;
	u64 done = 0;
	void *buf;
	int err = 0;

	if (posix_memalign(&buf, PAGE_SIZE, len))
		return -ENOMEM;
	if (write) {
		list_for_each_entry(rq, batch, link) {
			xio_copy_in(rq, 0, (char *)buf + done, rq->len);
			done += rq->len;
		}
		done = 0;
	}
	while (done < len) {
		void *p = (char *)buf + done;
		struct iovec iov = { .iov_base = p, .iov_len = len - done };
		ssize_t got;

		got = write ? pwritev2(fb->fd, &iov, 1, (off_t)(pos + done), flags) :
			      preadv2(fb->fd, &iov, 1, (off_t)(pos + done), flags);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			err = got ? file_errno() : write ? -ENOSPC : 0;
			break;
		}
		done += got;
		/* a direct transfer ends off a block boundary only at the end of the file */
		if (!write && done & (fb->align - 1))
			break;
	}
	if (!write && !err)
		xio_copy_out(list_first_entry(batch, struct xio_request, link), 0, buf, done);
	free(buf);
	*moved = done;
	return err;
}

static int file_move(struct file_brick *fb, struct list_head *batch, u64 pos, u64 len,
		     bool write, int flags, u64 *moved)
{
	struct xio_request *rq = list_first_entry(batch, struct xio_request, link);
	struct file_aspect *a = xio_aspect(rq);

	*moved = 0;
	if (a->kind == FILE_BYPASS) {
		int err = file_transfer(fb->bypass_fd, batch, pos, len, write, flags, moved);

		/* a file system that wants even more alignment will have it */
		if (err != -EINVAL)
			return err;
		__atomic_store_n(&fb->bypass, false, __ATOMIC_RELAXED);
	}
	if (fb->direct) {
		struct iovec iov[FILE_IOV];
		unsigned int n = file_map(batch, 0, iov);

		if (n == FILE_IOV || !iov_aligned(iov, n, fb->align))
			return file_bounce(fb, batch, pos, len, write, flags, moved);
	}
	return file_transfer(fb->fd, batch, pos, len, write, flags, moved);
}

/* --- operations --- */

static int file_sync(struct file_brick *fb)
{
	int err = 0;

	/* One at a time: the system tells a loss once, to whoever asks first. */
	pthread_mutex_lock(&fb->sync);
	/* pages lost by an earlier failure are clean by now: success would be a lie */
	if (__atomic_load_n(&fb->lost, __ATOMIC_ACQUIRE))
		err = -EIO;
	while (!err && fdatasync(fb->fd) < 0)
		err = errno == EINTR ? 0 : -errno;
	if (err)
		__atomic_store_n(&fb->lost, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&fb->sync);
	return err;
}

static int file_read(struct file_brick *fb, struct list_head *batch)
{
	struct xio_request *rq = list_first_entry(batch, struct xio_request, link);
	u64 moved;
	int err = file_move(fb, batch, rq->pos, rq->len, false, 0, &moved);

	if (err || moved == rq->len)
		return err;
	if (!fb->log)
		return -EIO;
	xio_zero_out(rq, moved, rq->len - moved);
	return 0;
}

static int file_write(struct file_brick *fb, struct list_head *batch, u64 len)
{
	struct xio_request *rq = list_first_entry(batch, struct xio_request, link);
	bool fua = rq->flags & XIO_FUA;
	u64 moved;
	int err;

	if (fua && __atomic_load_n(&fb->lost, __ATOMIC_ACQUIRE))
		return -EIO;
	err = file_move(fb, batch, rq->pos, len, true, fua ? RWF_DSYNC : 0, &moved);
	if (err == -EOPNOTSUPP && fua) {
		err = file_move(fb, batch, rq->pos, len, true, 0, &moved);
		if (!err)
			err = file_sync(fb);
	} else if (err && fua) {
		/* the error may stem from other pages, and is reported only once */
		__atomic_store_n(&fb->lost, true, __ATOMIC_RELEASE);
	}
	if (!err)
		file_resize_seen(fb, rq->pos + len);
	return err;
}

static int file_write_zeroes(struct file_brick *fb, u64 pos, u64 len)
{
	struct iovec iov[16];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(iov); i++)
		iov[i].iov_base = (void *)zeroes;
	while (len) {
		u64 left = len;
		ssize_t got;

		for (i = 0; i < ARRAY_SIZE(iov) && left; i++) {
			iov[i].iov_len = min_t(u64, left, FILE_ZEROES);
			left -= iov[i].iov_len;
		}
		got = pwritev2(fb->fd, iov, i, (off_t)pos, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got ? file_errno() : -ENOSPC;
		pos += got;
		len -= got;
	}
	return 0;
}

/* fallocate(), or zeros by hand where the file system can't */
static int file_allocate(struct file_brick *fb, int mode, u64 pos, u64 len)
{
	int err;

	if (!len)
		return 0;
	do {
		err = fallocate(fb->fd, mode, (off_t)pos, (off_t)len) < 0 ? file_errno() : 0;
	} while (err == -EINTR);
	if (err == -EOPNOTSUPP || err == -ENOSYS || err == -EINVAL)
		err = file_write_zeroes(fb, pos, len);
	return err;
}

/* May a log take @len bytes more of its file system?  @low: it gives way to the next one. */
static int file_check_space(struct file_brick *fb, u64 len, bool low)
{
	u64 leave = MARS_FILE_SPARE + (low ? MARS_FILE_ROOM : 0);
	struct statvfs st;

	if (!(fb->flags & MARS_FILE_APPEND))
		return 0;
	if (fstatvfs(fb->fd, &st) < 0)
		return -errno;
	return (u64)st.f_bavail * st.f_frsize < len + leave ? -ENOSPC : 0;
}

/* DISCARD and WRITE_ZEROES: afterwards the range reads as zeros. */
static int file_clear(struct file_brick *fb, struct xio_request *rq)
{
	u64 end = rq->pos + rq->len, inside;
	bool keep = rq->op == XIO_WRITE_ZEROES && rq->flags & XIO_NOUNMAP;
	int err, mode = keep ? FALLOC_FL_ZERO_RANGE : FALLOC_FL_PUNCH_HOLE;

	err = file_measure(fb);
	if (err)
		return err;
	inside = clamp(__atomic_load_n(&fb->size, __ATOMIC_ACQUIRE), rq->pos, end);
	err = file_allocate(fb, mode | FALLOC_FL_KEEP_SIZE, rq->pos, inside - rq->pos);
	/*
	 * Behind the end an APPEND file reads as zeros already, and allocating
	 * there is quick.  ftruncate() could cut a write that came between.
	 */
	if (!err && keep && inside < end) {
		err = file_check_space(fb, end - inside, rq->flags & XIO_PRIO_LOW);
		if (!err)
			err = file_allocate(fb, 0, inside, end - inside);
		if (err)
			file_measure(fb);	/* part of it may be there */
		else
			file_resize_seen(fb, end);
	}
	if (!err && rq->flags & XIO_FUA)
		err = file_sync(fb);
	return err;
}

/* --- completion --- */

static void file_note(struct file_brick *fb, int status)
{
	/* a refusal says nothing about the health of the disk */
	if (status == -EINVAL || status == -EOPNOTSUPP)
		return;
	if (!status && __atomic_load_n(&fb->lost, __ATOMIC_RELAXED))
		return;
	if (__atomic_load_n(&fb->error, __ATOMIC_RELAXED) == status)
		return;
	if (__atomic_exchange_n(&fb->error, status, __ATOMIC_RELAXED) != status)
		mars_brick_event(&fb->brick, MARS_EV_STATE);
}

void file_done(struct file_brick *fb, struct xio_request *rq, int status)
{
	if (!status && rq->op == XIO_READ)
		__atomic_add_fetch(&fb->bytes_read, rq->len, __ATOMIC_RELAXED);
	else if (!status && rq->op == XIO_WRITE)
		__atomic_add_fetch(&fb->bytes_written, rq->len, __ATOMIC_RELAXED);
	file_note(fb, status);
	xio_complete(rq, status);
	mars_gate_leave(&fb->gate);
}

static void file_done_all(struct file_brick *fb, struct list_head *batch, int status)
{
	struct xio_request *rq, *next;

	list_for_each_entry_safe(rq, next, batch, link) {
		list_del_init(&rq->link);
		file_done(fb, rq, status);
	}
}

bool file_read_inline(struct file_brick *fb, struct xio_request *rq)
{
	LIST_HEAD(batch);
	u64 moved;
	int err;

	list_add(&rq->link, &batch);
	err = file_transfer(fb->fd, &batch, rq->pos, rq->len, false, RWF_NOWAIT, &moved);
	list_del_init(&rq->link);
	if (err == -EOPNOTSUPP)
		__atomic_store_n(&fb->nowait, false, __ATOMIC_RELAXED);
	if (err || moved != rq->len)
		return false;
	file_done(fb, rq, 0);
	return true;
}

/* --- one batch --- */

void file_execute(struct file_brick *fb, struct list_head *batch, u64 len)
{
	struct xio_request *rq = list_first_entry(batch, struct xio_request, link), *next;
	int err = -EOPNOTSUPP;

	switch (rq->op) {
	case XIO_READ:
		err = file_read(fb, batch);
		break;
	case XIO_WRITE:
		err = file_write(fb, batch, len);
		if (!err || list_is_singular(batch))
			break;
		/* find out whose fault it was */
		list_for_each_entry_safe(rq, next, batch, link) {
			LIST_HEAD(one);

			list_move(&rq->link, &one);
			err = file_write(fb, &one, rq->len);
			list_del_init(&rq->link);
			file_done(fb, rq, err);
		}
		return;
	case XIO_FLUSH:
		err = file_sync(fb);
		break;
	case XIO_DISCARD:
	case XIO_WRITE_ZEROES:
		err = file_clear(fb, rq);
		break;
	}
	file_done_all(fb, batch, err);
}
