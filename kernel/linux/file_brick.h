/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_brick.h - the file brick: a regular file as a disk or a log
 *
 * Private to file.c (parameters, what a request may reach), file_open.c (opening and
 * inspecting), file_io.c (transfers) and file_sync.c (flush, zeros).
 *
 * How it lives stands in lower.h; file, log, drop and the alignments (low.align too) are constant for
 * whoever is inside the gate.
 */
#ifndef _MARS_LINUX_FILE_BRICK_H
#define _MARS_LINUX_FILE_BRICK_H

#include <linux/atomic.h>
#include <linux/fs.h>

#include "lower.h"
#include "types.h"

#define FILE_READERS	4		/* reads may wait for the disk beside each other */
#define FILE_BOUNCE	(64U << 10)	/* bytes of a bounce buffer */

enum {
	FILE_SYNC,			/* FLUSH */
	FILE_CLEAR,			/* DISCARD, WRITE_ZEROES */
	FILE_BOUNCE_LANE,		/* transfers whose memory is not aligned */
	FILE_WRITER,
	FILE_READER,			/* the first of them */
	FILE_LANES = FILE_READER + FILE_READERS
};

struct file_brick {
	struct mars_lower low;		/* first */
	struct file *file;
	bool log;			/* grows; reads zeros behind its end */
	bool drop;			/* what was used once leaves the page cache */
	u32 mem_align;			/* of memory in a direct transfer */
	void *bounce;			/* FILE_BOUNCE bytes when direct; for the bounce lane */
	struct mars_lane lane[FILE_LANES];
	unsigned int readers;		/* lanes in use for reading */
	atomic_t turn;			/* which of them is next */
};

/* A transfer under way. */
struct file_aspect {
	struct kiocb iocb;
	struct xio_request *rq;
	u64 done;			/* bytes moved so far */
	atomic_t holders;		/* of iocb: who starts it and who ends it */
	ssize_t got;			/* result of iocb: from who ends it to who goes on */
};

static inline struct file_brick *to_file(struct mars_brick *brick)
{
	return container_of(brick, struct file_brick, low.brick);
}

/* What is really there. */
static inline u64 file_real_size(const struct file_brick *fb)
{
	return i_size_read(file_inode(fb->file));
}

/* What is shown. */
static inline u64 file_size(struct mars_lower *low)
{
	u64 size = file_real_size(to_file(&low->brick)), want = atomic64_read(&low->want);

	return low->flags & MARS_FILE_EXCL && want ? min(size, want) : size;
}

/* A limit of the file system or a user is lack of space to the bricks above. */
static inline int file_errno(ssize_t err)
{
	return err == -EFBIG || err == -EDQUOT ? -ENOSPC : err;
}

/* file_open.c */

/** file_open, file_close - as in struct mars_lower_ops */
int file_open(struct mars_lower *low, enum mars_reason *reason);
void file_close(struct mars_lower *low);
/** file_grow - a regular size change; 0 or -errno with *reason */
int file_grow(struct file_brick *fb, u64 size, enum mars_reason *reason);

/* file_io.c */

/** file_lane_of - the lane for a READ or WRITE */
struct mars_lane *file_lane_of(struct file_brick *fb, const struct xio_request *rq);
/** file_move - move @len bytes at @pos from or to @vec and wait; bytes moved or -errno */
ssize_t file_move(struct file_brick *fb, struct bio_vec *vec, unsigned int nr_vec, u64 pos,
		  size_t len, bool write, bool dsync);
/** file_worker_enter - what the threads live with that write; for file_worker_leave() */
unsigned int file_worker_enter(void);
void file_worker_leave(unsigned int flags);
/** file_io_work, file_bounce_work - what the transfer lanes do */
void file_io_work(struct kthread_work *work);
void file_bounce_work(struct kthread_work *work);

/* file_sync.c */

/** file_sync_work, file_clear_work - what the other lanes do */
void file_sync_work(struct kthread_work *work);
void file_clear_work(struct kthread_work *work);

#endif /* _MARS_LINUX_FILE_BRICK_H */
