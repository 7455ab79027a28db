/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blkdev.h - opening a block device by path, whatever it takes in this kernel
 *
 * Four generations: a file (bdev_file_open_by_path), a handle (bdev_open_by_path), the
 * device with holder operations, and the device with a file mode.  struct lower_bdev
 * holds what each needs beside the device itself.
 */
#ifndef _MARS_COMPAT_BLKDEV_H
#define _MARS_COMPAT_BLKDEV_H

#include <linux/blkdev.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>

struct lower_bdev {
	struct block_device *bdev;	/* NULL = closed */
	void *token;			/* what closing needs */
	bool rdonly;
};

#if defined(HAVE_BDEV_FILE_OPEN_BY_PATH)

static inline int lower_open(struct lower_bdev *lb, const char *path, void *holder)
{
	blk_mode_t mode = BLK_OPEN_READ | (lb->rdonly ? 0 : BLK_OPEN_WRITE);
	struct file *file = bdev_file_open_by_path(path, mode, holder, NULL);

	if (IS_ERR(file))
		return PTR_ERR(file);
	lb->token = file;
	lb->bdev = file_bdev(file);
	return 0;
}

/* lower_bdev_close - done when it returns; only in a kernel thread (work item) */
static inline void lower_bdev_close(struct lower_bdev *lb, void *holder)
{
	__fput_sync(lb->token);
	lb->bdev = NULL;
}

/* lower_bdev_abort - in any process, done at its return to user space at the latest */
static inline void lower_bdev_abort(struct lower_bdev *lb, void *holder)
{
	fput(lb->token);
	lb->bdev = NULL;
}

#else

#if defined(HAVE_BDEV_OPEN_BY_PATH)

static inline int lower_open(struct lower_bdev *lb, const char *path, void *holder)
{
	blk_mode_t mode = BLK_OPEN_READ | (lb->rdonly ? 0 : BLK_OPEN_WRITE);
	struct bdev_handle *handle = bdev_open_by_path(path, mode, holder, NULL);

	if (IS_ERR(handle))
		return PTR_ERR(handle);
	lb->token = handle;
	lb->bdev = handle->bdev;
	return 0;
}

static inline void lower_close(struct lower_bdev *lb, void *holder)
{
	bdev_release(lb->token);
}

#elif defined(HAVE_BLKDEV_GET_HOLDER_OPS)

static inline int lower_open(struct lower_bdev *lb, const char *path, void *holder)
{
	blk_mode_t mode = BLK_OPEN_READ | (lb->rdonly ? 0 : BLK_OPEN_WRITE);
	struct block_device *bdev = blkdev_get_by_path(path, mode, holder, NULL);

	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	lb->bdev = bdev;
	return 0;
}

static inline void lower_close(struct lower_bdev *lb, void *holder)
{
	blkdev_put(lb->bdev, holder);
}

#else

static inline fmode_t lower_mode(const struct lower_bdev *lb, void *holder)
{
	return FMODE_READ | (lb->rdonly ? 0 : FMODE_WRITE) | (holder ? FMODE_EXCL : 0);
}

static inline int lower_open(struct lower_bdev *lb, const char *path, void *holder)
{
	struct block_device *bdev = blkdev_get_by_path(path, lower_mode(lb, holder), holder);

	if (IS_ERR(bdev))
		return PTR_ERR(bdev);
	lb->bdev = bdev;
	return 0;
}

static inline void lower_close(struct lower_bdev *lb, void *holder)
{
	blkdev_put(lb->bdev, lower_mode(lb, holder));
}

#endif

/* lower_bdev_close - done when it returns; only in a kernel thread (work item) */
static inline void lower_bdev_close(struct lower_bdev *lb, void *holder)
{
	lower_close(lb, holder);
	lb->bdev = NULL;
}

/* lower_bdev_abort - in any process, done at its return to user space at the latest */
static inline void lower_bdev_abort(struct lower_bdev *lb, void *holder)
{
	lower_bdev_close(lb, holder);
}

#endif

/*
 * lower_bdev_open - open @path, exclusively for @holder unless that is NULL
 *
 * 0 or -errno: -ENOTBLK when it is something else, -EBUSY when held elsewhere.
 */
static inline int lower_bdev_open(struct lower_bdev *lb, const char *path, bool rdonly,
				  void *holder)
{
	lb->rdonly = rdonly;
	return lower_open(lb, path, holder);
}

#endif /* _MARS_COMPAT_BLKDEV_H */
