// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file.c - the file brick: parameters, opening and power, submission
 *
 * A request is checked here, and a read that the page cache can answer is
 * answered at once on the caller's context.  Everything else goes to the
 * workers (file_queue.c).  Nothing orders two requests in flight, as on any disk;
 * a flush covers the writes completed before it was submitted.
 *
 * Range rules: a data disk has a fixed size and refuses what lies outside.  Held
 * exclusively (EXCL), it shows FILE_SIZE bytes even when there are more.  A
 * log file (regular; APPEND, or RDONLY without EXCL) grows under its readers, so
 * it reads as zeros behind its end; only an APPEND file can be written there.
 *
 * Failure: errors go to the initiator and show as MARS_S_IO_ERROR until the next
 * success.  A failed flush is final until the brick was off: the system drops
 * the dirty pages it could not write and would report success the next time.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/kernel.h>

#include "file.h"

#ifndef BLKGETSIZE64
#define BLKGETSIZE64	_IOR(0x12, 114, size_t)
#endif
#ifndef BLKSSZGET
#define BLKSSZGET	_IO(0x12, 104)
#endif
#ifndef BLKROTATIONAL
#define BLKROTATIONAL	_IO(0x12, 126)
#endif

#define FILE_DIRECT_ALIGN 4096	/* the largest block size of today's disks */

/* What is really there; 0 or -errno. */
static int file_real_size(struct file_brick *fb, u64 *size)
{
	struct stat st;

	if (fb->block)
		return ioctl(fb->fd, BLKGETSIZE64, size) < 0 ? -errno : 0;
	if (fstat(fb->fd, &st) < 0)
		return -errno;
	*size = st.st_size;
	return 0;
}

int file_measure(struct file_brick *fb)
{
	u64 want = __atomic_load_n(&fb->want, __ATOMIC_ACQUIRE), size;
	int err = file_real_size(fb, &size);

	if (err)
		return err;
	if (fb->flags & MARS_FILE_EXCL && want)
		size = min(size, want);
	__atomic_store_n(&fb->size, size, __ATOMIC_RELEASE);
	return 0;
}

void file_resize_seen(struct file_brick *fb, u64 end)
{
	u64 size = __atomic_load_n(&fb->size, __ATOMIC_RELAXED);

	while (size < end &&
	       !__atomic_compare_exchange_n(&fb->size, &size, end, true,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* --- submission --- */

/* Where may this request reach?  0 or -errno. */
static int file_check(struct file_brick *fb, const struct xio_request *rq)
{
	bool write = rq->op != XIO_READ;
	u64 end;

	if (rq->op >= XIO_NR_OPS)
		return -EOPNOTSUPP;
	if (write && fb->flags & MARS_FILE_RDONLY)
		return rq->op == XIO_FLUSH ? 0 : -EROFS;
	if (rq->op == XIO_FLUSH)
		return 0;
	if (rq->op <= XIO_WRITE && rq->len > XIO_MAX_IO)
		return -EINVAL;
	if (rq->pos > (u64)INT64_MAX || rq->len > (u64)INT64_MAX - rq->pos)
		return -EINVAL;
	if (fb->direct && (rq->pos | rq->len) & (fb->align - 1))
		return -EINVAL;
	end = rq->pos + rq->len;
	if (end <= __atomic_load_n(&fb->size, __ATOMIC_ACQUIRE))
		return 0;
	if (write ? fb->flags & MARS_FILE_APPEND : fb->log)
		return 0;
	/* perhaps somebody resized the file or the device */
	if (!file_measure(fb) && end <= __atomic_load_n(&fb->size, __ATOMIC_ACQUIRE))
		return 0;
	return write ? -ENOSPC : -EIO;
}

static void file_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct file_brick *fb = to_file(brick);
	int err;

	if (!mars_gate_enter(&fb->gate)) {
		xio_complete(rq, -ESHUTDOWN);
		return;
	}
	err = file_check(fb, rq);
	if (err) {
		xio_complete(rq, err);
		mars_gate_leave(&fb->gate);
		return;
	}
	__atomic_add_fetch(&fb->nr[rq->op], 1, __ATOMIC_RELAXED);
	if (rq->op == XIO_READ && __atomic_load_n(&fb->nowait, __ATOMIC_RELAXED) &&
	    file_read_inline(fb, rq))
		return;
	file_queue(fb, rq);
}

/* --- parameters --- */

static int refuse(enum mars_reason *reason, enum mars_reason why, int err)
{
	*reason = why;
	return err;
}

/* A new size while the file is open: show more of it, grow it, or cut a log file. */
static int file_set_size(struct file_brick *fb, u64 value, enum mars_reason *reason)
{
	u64 size;
	int err = file_real_size(fb, &size);

	if (err)
		return refuse(reason, MARS_R_IO, err);
	if (fb->flags & MARS_FILE_EXCL && !(fb->flags & MARS_FILE_APPEND)) {
		if (size < value)
			return refuse(reason, MARS_R_TOO_SMALL, -ENOSPC);
		if (value < __atomic_load_n(&fb->size, __ATOMIC_ACQUIRE))
			return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
	} else if (fb->block || fb->flags & MARS_FILE_RDONLY) {
		if (size < value)
			return refuse(reason, MARS_R_TOO_SMALL, -ENOSPC);
	} else if (size > value && !(fb->flags & MARS_FILE_APPEND)) {
		return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
	} else if (size != value) {
		if (ftruncate(fb->fd, (off_t)value) < 0) {
			err = -errno;
			return refuse(reason, err == -ENOSPC || err == -EFBIG ?
				      MARS_R_NO_SPACE : MARS_R_IO, err);
		}
	}
	__atomic_store_n(&fb->want, value, __ATOMIC_RELEASE);
	err = file_measure(fb);
	if (err)
		return refuse(reason, MARS_R_IO, err);
	mars_brick_event(&fb->brick, MARS_EV_PROGRESS);
	return 0;
}

static int file_set(struct mars_brick *brick, u32 key, u64 value, const char *text,
		    u32 len, enum mars_reason *reason)
{
	struct file_brick *fb = to_file(brick);
	bool off = !brick->button && file_closed(fb);

	switch (key) {
	case MARS_K_FILE_PATH:
		if (!off)
			return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
		if (!len || len > MARS_TEXT_MAX || memchr(text, 0, len) || text[0] != '/')
			return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
		memcpy(fb->path, text, len);
		fb->path[len] = 0;
		return 0;
	case MARS_K_FILE_FLAGS:
		if (!off)
			return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
		if (value & ~(u64)MARS_FILE_ALL ||
		    (value & MARS_FILE_RDONLY && value & (MARS_FILE_CREATE | MARS_FILE_APPEND)))
			return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
		fb->flags = value;
		return 0;
	case MARS_K_FILE_SIZE:
		if (value > (u64)INT64_MAX)
			return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
		if (brick->button)
			return file_set_size(fb, value, reason);
		__atomic_store_n(&fb->want, value, __ATOMIC_RELEASE);
		return 0;
	}
	return refuse(reason, MARS_R_NO_KEY, -EINVAL);
}

/* --- opening and power --- */

/* A new name survives a crash only when its directory was synced. */
static int file_sync_dir(const char *path)
{
	char *copy = strdup(path);
	int fd, err = 0;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		err = -errno;
	if (fd >= 0)
		close(fd);
	free(copy);
	return err;
}

static int file_open_path(struct file_brick *fb, enum mars_reason *reason)
{
	int flags = fb->flags & MARS_FILE_RDONLY ? O_RDONLY : O_RDWR;
	int direct = fb->flags & MARS_FILE_DIRECT ? O_DIRECT : 0;
	struct stat st;
	bool fresh;
	int err;

	fresh = stat(fb->path, &st) < 0 && errno == ENOENT;
	fb->block = !fresh && S_ISBLK(st.st_mode);
	/* a regular file gets its lock after the open; a pipe must not block it */
	flags |= O_CLOEXEC | O_NONBLOCK;
	if (fb->flags & MARS_FILE_CREATE && !fb->block)
		flags |= O_CREAT;
	if (fb->flags & MARS_FILE_EXCL && fb->block)
		flags |= O_EXCL;

	fb->fd = open(fb->path, flags | direct, 0600);
	if (fb->fd < 0 && errno == EINVAL && direct) {
		direct = 0;
		fb->fd = open(fb->path, flags, 0600);
	}
	if (fb->fd < 0) {
		err = -errno;
		switch (err) {
		case -ENOENT:
		case -ENOTDIR:
		case -ELOOP:
		case -ENXIO:
		case -ENODEV:
			return refuse(reason, MARS_R_NO_PATH, err);
		case -EACCES:
		case -EPERM:
		case -EROFS:
			return refuse(reason, MARS_R_DENIED, err);
		case -EBUSY:
			return refuse(reason, MARS_R_IN_USE, err);
		case -ENOSPC:
		case -EDQUOT:
			return refuse(reason, MARS_R_NO_SPACE, err);
		case -EISDIR:
			return refuse(reason, MARS_R_BAD_VALUE, err);
		}
		return refuse(reason, MARS_R_IO, err);
	}
	fb->direct = direct;
	if (fresh && fb->flags & MARS_FILE_CREATE) {
		err = file_sync_dir(fb->path);
		if (err)
			return refuse(reason, MARS_R_IO, err);
	}
	return 0;
}

/* Kind, lock and size of the file just opened. */
static int file_inspect(struct file_brick *fb, enum mars_reason *reason)
{
	struct stat st;
	u64 size;
	int err, block = 0;

	if (fstat(fb->fd, &st) < 0)
		return refuse(reason, MARS_R_IO, -errno);
	fb->block = S_ISBLK(st.st_mode);
	if (!fb->block && !S_ISREG(st.st_mode))
		return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
	if (fb->flags & MARS_FILE_EXCL && !fb->block && flock(fb->fd, LOCK_EX | LOCK_NB) < 0)
		return refuse(reason, errno == EWOULDBLOCK ? MARS_R_IN_USE : MARS_R_IO, -errno);
	err = file_measure(fb);
	if (err)
		return refuse(reason, MARS_R_IO, err);

	size = fb->size;
	if (size < fb->want && fb->flags & MARS_FILE_CREATE && !fb->block) {
		if (ftruncate(fb->fd, (off_t)fb->want) < 0)
			return refuse(reason, errno == ENOSPC || errno == EFBIG ?
				      MARS_R_NO_SPACE : MARS_R_IO, -errno);
		fb->size = fb->want;
	} else if (size < fb->want) {
		return refuse(reason, MARS_R_TOO_SMALL, -ENOSPC);
	}

	fb->align = 1;
	if (fb->direct) {
		fb->align = FILE_DIRECT_ALIGN;
		if (fb->block && !ioctl(fb->fd, BLKSSZGET, &block) && block > 0)
			fb->align = block;
	}
	fb->log = !fb->block && (fb->flags & MARS_FILE_APPEND ||
		  (fb->flags & MARS_FILE_RDONLY && !(fb->flags & MARS_FILE_EXCL)));
	fb->nowait = !fb->direct;
	return 0;
}

/*
 * A data disk gets a second way in for long writes, if the file system has it.
 * An exclusive claim belongs to the first descriptor; this one needs none.
 */
static void file_open_bypass(struct file_brick *fb)
{
	char self[32];

	if (fb->direct || !(fb->flags & MARS_FILE_EXCL) ||
	    fb->flags & (MARS_FILE_RDONLY | MARS_FILE_APPEND))
		return;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fb->fd);
	fb->bypass_fd = open(self, O_RDWR | O_DIRECT | O_CLOEXEC | O_NONBLOCK);
	__atomic_store_n(&fb->bypass, fb->bypass_fd >= 0, __ATOMIC_RELAXED);
}

static int file_power_on(struct file_brick *fb, enum mars_reason *reason)
{
	int err;

	if (!fb->path[0])
		return refuse(reason, MARS_R_MISSING, -EINVAL);
	if (!file_closed(fb))
		return refuse(reason, MARS_R_NOT_NOW, -EBUSY);
	/* workers of an earlier life have closed the file, but may not be quite gone */
	file_workers_join(fb);
	err = file_open_path(fb, reason);
	if (!err)
		err = file_inspect(fb, reason);
	if (!err) {
		__atomic_store_n(&fb->error, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&fb->lost, false, __ATOMIC_RELAXED);
		file_open_bypass(fb);
		err = file_workers_start(fb);
		if (err)
			*reason = MARS_R_NO_MEMORY;
	}
	if (err) {
		if (fb->bypass_fd >= 0)
			close(fb->bypass_fd);
		if (fb->fd >= 0)
			close(fb->fd);
		fb->bypass_fd = -1;
		fb->fd = -1;
		return err;
	}
	mars_gate_open(&fb->gate);
	mars_brick_leds(&fb->brick, true, false);
	return 0;
}

static int file_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct file_brick *fb = to_file(brick);

	if (on)
		return file_power_on(fb, reason);
	mars_brick_leds(brick, false, false);
	mars_gate_close(&fb->gate);
	return 0;
}

/* --- the rest of the type --- */

static void file_empty(struct mars_gate *gate)
{
	file_workers_stop(container_of(gate, struct file_brick, gate));
}

static int file_construct(struct mars_brick *brick)
{
	struct file_brick *fb = to_file(brick);
	int err;

	fb->fd = -1;
	fb->bypass_fd = -1;
	INIT_LIST_HEAD(&fb->queue);
	INIT_LIST_HEAD(&fb->writes);
	mars_gate_init(&fb->gate, file_empty);
	err = pthread_mutex_init(&fb->lock, NULL);
	if (err)
		return -err;
	err = pthread_cond_init(&fb->wake, NULL);
	if (err)
		goto fail_cond;
	err = pthread_mutex_init(&fb->sync, NULL);
	if (err)
		goto fail_sync;
	return 0;

fail_sync:
	pthread_cond_destroy(&fb->wake);
fail_cond:
	pthread_mutex_destroy(&fb->lock);
	return -err;
}

static void file_destruct(struct mars_brick *brick)
{
	struct file_brick *fb = to_file(brick);

	file_workers_join(fb);
	pthread_mutex_destroy(&fb->sync);
	pthread_cond_destroy(&fb->wake);
	pthread_mutex_destroy(&fb->lock);
}

static int file_get_info(struct mars_brick *brick, struct xio_info *info)
{
	struct file_brick *fb = to_file(brick);
	unsigned short rotational = 0;
	int err;

	if (!mars_gate_enter(&fb->gate))
		return -ESHUTDOWN;
	err = file_measure(fb);
	if (!err) {
		if (fb->block && ioctl(fb->fd, BLKROTATIONAL, &rotational) < 0)
			rotational = 0;
		info->size = __atomic_load_n(&fb->size, __ATOMIC_ACQUIRE);
		info->align = fb->align;
		info->max_io = XIO_MAX_IO;
		info->volatile_cache = true;
		info->rotational = rotational;
		info->read_only = fb->flags & MARS_FILE_RDONLY;
	}
	mars_gate_leave(&fb->gate);
	return err;
}

static void file_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct file_brick *fb = to_file(brick);

	st->val[MARS_V_FILE_SIZE] = __atomic_load_n(&fb->size, __ATOMIC_ACQUIRE);
	st->val[MARS_V_FILE_READS] = __atomic_load_n(&fb->nr[XIO_READ], __ATOMIC_RELAXED);
	st->val[MARS_V_FILE_WRITES] = __atomic_load_n(&fb->nr[XIO_WRITE], __ATOMIC_RELAXED);
	st->val[MARS_V_FILE_FLUSHES] = __atomic_load_n(&fb->nr[XIO_FLUSH], __ATOMIC_RELAXED);
	st->val[MARS_V_FILE_BYTES_READ] = __atomic_load_n(&fb->bytes_read, __ATOMIC_RELAXED);
	st->val[MARS_V_FILE_BYTES_WRITTEN] = __atomic_load_n(&fb->bytes_written, __ATOMIC_RELAXED);
	st->val[MARS_V_FILE_DIRECT] = fb->direct;
	st->val[MARS_V_FILE_ALIGN] = fb->align;
	st->nr_val = MARS_V_FILE_ALIGN + 1;
	st->error = __atomic_load_n(&fb->error, __ATOMIC_RELAXED);
	st->state = st->error ? MARS_S_IO_ERROR : MARS_S_OK;
}

const struct mars_brick_type file_brick_type = {
	.name = "file",
	.has_output = true,
	.size = sizeof(struct file_brick),
	.aspect_size = sizeof(struct file_aspect),
	.construct = file_construct,
	.destruct = file_destruct,
	.set = file_set,
	.power = file_power,
	.submit = file_submit,
	.get_info = file_get_info,
	.status = file_status,
};
