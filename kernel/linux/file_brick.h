/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file_brick.h - the file brick: a regular file as a disk or a log
 *
 * Private to file.c (parameters, power, what a request may reach), file_open.c (opening
 * and inspecting), file_io.c (transfers) and file_sync.c (flush, zeros).
 *
 * Life: power on opens the file and then the gate; power off closes the gate.  When the
 * last request has left, a work item closes the file and lights led_off.  So file,
 * direct, log, drop and the alignments are constant for whoever is inside the gate.
 */
#ifndef _MARS_LINUX_FILE_BRICK_H
#define _MARS_LINUX_FILE_BRICK_H

#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/workqueue.h>

#include "core/brick.h"
#include "core/gate.h"
#include "core/xio.h"
#include "lane.h"
#include "types.h"

#define FILE_READERS	4		/* reads may wait for the disk beside each other */
#define FILE_BOUNCE	(64U << 10)	/* bytes of a bounce buffer */

struct file_brick {
	struct mars_brick brick;

	/* parameters; mars_topology_lock; path and flags only change while closed */
	char path[MARS_TEXT_MAX + 1];
	u32 flags;			/* MARS_FILE_* */
	atomic64_t want;		/* bytes asked for, 0 = whatever is there */

	/* the open file; see above */
	struct file *file;
	bool direct;			/* O_DIRECT is in effect */
	bool log;			/* grows; reads zeros behind its end */
	bool drop;			/* what was used once leaves the page cache */
	u32 align;			/* of positions and lengths; 1 = any */
	u32 mem_align;			/* of memory in a direct transfer */
	void *bounce;			/* FILE_BOUNCE bytes when direct; for the bounce lane */
	bool open;			/* all this is valid; release by the closer, acquire */
	struct mars_gate gate;		/* open while on; every request is inside */
	struct work_struct close;

	struct mars_lane reader[FILE_READERS];
	struct mars_lane writer;
	struct mars_lane bounce_lane;	/* transfers whose memory is not aligned */
	struct mars_lane sync;		/* FLUSH */
	struct mars_lane clear;		/* DISCARD, WRITE_ZEROES */
	atomic_t turn;			/* which reader is next */

	int error;			/* READ_ONCE/xchg: last failure, 0 = healthy */
	bool lost;			/* READ_ONCE: a flush failed; no later one may succeed */
	atomic64_t nr[XIO_NR_OPS];
	atomic64_t bytes_read, bytes_written;
};

/* A transfer under way. */
struct file_aspect {
	struct kiocb iocb;
	struct xio_request *rq;
	u64 done;			/* bytes moved so far */
};

static inline struct file_brick *to_file(struct mars_brick *brick)
{
	return container_of(brick, struct file_brick, brick);
}

/* What is really there. */
static inline u64 file_real_size(const struct file_brick *fb)
{
	return i_size_read(file_inode(fb->file));
}

/* What is shown. */
static inline u64 file_size(const struct file_brick *fb)
{
	u64 size = file_real_size(fb), want = atomic64_read(&fb->want);

	return fb->flags & MARS_FILE_EXCL && want ? min(size, want) : size;
}

/* A limit of the file system or a user is lack of space to the bricks above. */
static inline int file_errno(ssize_t err)
{
	return err == -EFBIG || err == -EDQUOT ? -ENOSPC : err;
}

/* file.c */

/** file_done - complete a request, which leaves the gate; any context */
void file_done(struct file_brick *fb, struct xio_request *rq, int status);

/* file_open.c */

/** file_open - open and inspect the file; 0 or -errno with *reason */
int file_open(struct file_brick *fb, enum mars_reason *reason);
/** file_grow - a regular size change; 0 or -errno with *reason */
int file_grow(struct file_brick *fb, u64 size, enum mars_reason *reason);

/* file_io.c */

/** file_lane_of - the lane for a READ or WRITE */
struct mars_lane *file_lane_of(struct file_brick *fb, const struct xio_request *rq);
/** file_move - move @len bytes at @pos from or to @vec and wait; bytes moved or -errno */
ssize_t file_move(struct file_brick *fb, struct bio_vec *vec, unsigned int nr_vec, u64 pos,
		  size_t len, bool write, bool dsync);
/** file_io_work, file_bounce_work - the work items of the transfer lanes */
void file_io_work(struct work_struct *work);
void file_bounce_work(struct work_struct *work);

/* file_sync.c */

/** file_sync_work, file_clear_work - the work items of the other lanes */
void file_sync_work(struct work_struct *work);
void file_clear_work(struct work_struct *work);

#endif /* _MARS_LINUX_FILE_BRICK_H */
