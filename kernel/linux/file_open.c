// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file_open.c - opening and closing the file of a file brick
 *
 * Runs in the process that switches the brick on, with its rights, its root and its
 * mounts; the open file then belongs to the brick, whatever becomes of the process.  It
 * keeps its file system mounted.
 *
 * A file system on one of our own disks is refused (MARS_R_LOOP): a log there would wait
 * for itself.  Others in between (LVM, a loop device) hide that from us.
 */
#include <linux/blkdev.h>
#include <linux/file.h>
#include <linux/namei.h>
#include <linux/slab.h>
#include <linux/stat.h>
#include <linux/string.h>

#include "compat/file.h"
#include "file_brick.h"
#include "own_disk.h"

#define FILE_DIRECT_ALIGN 4096	/* when nobody says: the largest block size of today's disks */

/* Look before opening: a device or a pipe would notice. */
static int look(const char *name, bool *fresh, enum mars_reason *reason)
{
	struct path path;
	umode_t mode;
	int err = kern_path(name, LOOKUP_FOLLOW, &path);

	*fresh = err == -ENOENT;
	if (err)
		return *fresh ? 0 : mars_refuse(reason, mars_open_reason(err));
	mode = d_backing_inode(path.dentry)->i_mode;
	path_put(&path);
	return S_ISREG(mode) ? 0 : mars_refuse(reason, MARS_R_BAD_VALUE);
}

/* A new name survives a crash only when its directory was synced. */
static int sync_dir(const char *path)
{
	const char *slash = strrchr(path, '/');
	struct file *dir;
	char *name;
	int err;

	name = kmemdup_nul(path, slash > path ? slash - path : 1, GFP_KERNEL);
	if (!name)
		return -ENOMEM;
	dir = filp_open(name, O_RDONLY | O_DIRECTORY, 0);
	kfree(name);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	err = vfs_fsync(dir, 0);
	fput(dir);
	return err == -EINVAL ? 0 : err;	/* it has nothing to sync */
}

static int open_path(struct file_brick *fb, enum mars_reason *reason)
{
	int flags = fb->low.flags & MARS_FILE_RDONLY ? O_RDONLY : O_RDWR;
	int direct = fb->low.flags & MARS_FILE_DIRECT ? O_DIRECT : 0;
	struct file *file;
	bool fresh;
	int err;

	err = look(fb->low.path, &fresh, reason);
	if (err)
		return err;
	flags |= O_LARGEFILE | O_NOATIME;
	if (fb->low.flags & MARS_FILE_CREATE)
		flags |= O_CREAT;
	file = filp_open(fb->low.path, flags | direct, 0600);
	if (IS_ERR(file) && PTR_ERR(file) == -EINVAL && direct) {
		direct = 0;
		file = filp_open(fb->low.path, flags, 0600);
	}
	if (IS_ERR(file))
		return mars_refuse(reason, mars_open_reason(PTR_ERR(file)));
	fb->file = file;
	fb->low.direct = direct;
	err = fresh && fb->low.flags & MARS_FILE_CREATE ? sync_dir(fb->low.path) : 0;
	return err ? mars_refuse(reason, MARS_R_IO) : 0;
}

/* Alignment of direct transfers; some file systems take O_DIRECT but for this file. */
static void find_align(struct file_brick *fb)
{
	struct super_block *sb = file_inode(fb->file)->i_sb;
	struct kstat st;

	fb->low.align = 1;
	fb->mem_align = 1;
	if (!fb->low.direct)
		return;
	fb->low.align = sb->s_bdev ? bdev_logical_block_size(sb->s_bdev) : FILE_DIRECT_ALIGN;
	fb->mem_align = fb->low.align;
	if (vfs_getattr(&fb->file->f_path, &st, STATX_DIOALIGN, AT_STATX_SYNC_AS_STAT) ||
	    !(st.result_mask & STATX_DIOALIGN))
		return;
	if (st.dio_offset_align && st.dio_mem_align) {
		fb->low.align = st.dio_offset_align;
		fb->mem_align = st.dio_mem_align;
	} else {
		/* refused for this file: through the page cache then */
		spin_lock(&fb->file->f_lock);
		fb->file->f_flags &= ~O_DIRECT;
		fb->file->f_iocb_flags = iocb_flags(fb->file);
		spin_unlock(&fb->file->f_lock);
		fb->low.direct = false;
		fb->low.align = 1;
		fb->mem_align = 1;
	}
}

int file_grow(struct file_brick *fb, u64 size, enum mars_reason *reason)
{
	int err = file_errno(vfs_truncate(&fb->file->f_path, size));

	return err ? mars_refuse(reason, err == -ENOSPC ? MARS_R_NO_SPACE : MARS_R_IO) : 0;
}

/* Kind, lock and size of the file just opened. */
static int inspect(struct file_brick *fb, enum mars_reason *reason)
{
	struct inode *inode = file_inode(fb->file);
	u64 want = atomic64_read(&fb->low.want);
	int err;

	if (!S_ISREG(inode->i_mode) || !fb->file->f_op->read_iter ||
	    !(fb->file->f_op->write_iter || fb->low.flags & MARS_FILE_RDONLY))
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	if (inode->i_sb->s_bdev && mars_is_own_disk(inode->i_sb->s_bdev))
		return mars_refuse(reason, MARS_R_LOOP);
	if (fb->low.flags & MARS_FILE_EXCL) {
		err = file_lock_exclusive(fb->file);
		if (err)
			return mars_refuse(reason, err == -EAGAIN ? MARS_R_IN_USE : MARS_R_IO);
	}
	find_align(fb);
	fb->log = fb->low.flags & MARS_FILE_APPEND ||
		  (fb->low.flags & MARS_FILE_RDONLY && !(fb->low.flags & MARS_FILE_EXCL));
	fb->drop = fb->log && !fb->low.direct;
	if (file_real_size(fb) >= want)
		return 0;
	if (fb->low.flags & MARS_FILE_CREATE)
		return file_grow(fb, want, reason);
	return mars_refuse(reason, MARS_R_TOO_SMALL);
}

/*
 * A thread for each kind of work there will be.  Direct reads don't wait for each other in
 * one, buffered ones do.
 */
static int start_lanes(struct file_brick *fb)
{
	const char *name = fb->low.brick.name;
	unsigned int i;
	int err = 0;

	fb->readers = fb->low.direct ? 1 : FILE_READERS;
	for (i = 0; !err && i < fb->readers; i++)
		err = mars_lane_start(&fb->lane[FILE_READER + i], name);
	if (!err && fb->low.direct)
		err = mars_lane_start(&fb->lane[FILE_BOUNCE_LANE], name);
	if (err || fb->low.flags & MARS_FILE_RDONLY)
		return err;
	err = mars_lane_start(&fb->lane[FILE_WRITER], name);
	if (!err)
		err = mars_lane_start(&fb->lane[FILE_SYNC], name);
	return err ?: mars_lane_start(&fb->lane[FILE_CLEAR], name);
}

static int prepare(struct file_brick *fb, enum mars_reason *reason)
{
	int err = inspect(fb, reason);

	if (err)
		return err;
	if (fb->low.direct) {
		fb->bounce = alloc_pages_exact(FILE_BOUNCE, GFP_KERNEL);
		if (!fb->bounce)
			return mars_refuse(reason, MARS_R_NO_MEMORY);
	}
	return start_lanes(fb);
}

static void free_bounce(struct file_brick *fb)
{
	if (fb->bounce)
		free_pages_exact(fb->bounce, FILE_BOUNCE);
	fb->bounce = NULL;
}

int file_open(struct mars_lower *low, enum mars_reason *reason)
{
	struct file_brick *fb = to_file(&low->brick);
	int err;

	fb->file = NULL;
	err = open_path(fb, reason);
	if (!err)
		err = prepare(fb, reason);
	if (!err)
		return 0;
	free_bounce(fb);
	if (fb->file)
		fput(fb->file);		/* closed at the return to user space */
	return err;
}

void file_close(struct mars_lower *low)
{
	struct file_brick *fb = to_file(&low->brick);

	__fput_sync(fb->file);
	free_bounce(fb);
}
