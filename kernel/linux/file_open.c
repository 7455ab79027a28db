// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * file_open.c - opening the file of a file brick
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
#include "open_reason.h"
#include "own_disk.h"

#define FILE_DIRECT_ALIGN 4096	/* when nobody says: the largest block size of today's disks */

static int refuse(enum mars_reason *reason, enum mars_reason why, int err)
{
	*reason = why;
	return err;
}

static int refuse_open(enum mars_reason *reason, int err)
{
	return refuse(reason, mars_open_reason(err), err);
}

/* Look before opening: a device or a pipe would notice. */
static int look(const char *name, bool *fresh, enum mars_reason *reason)
{
	struct path path;
	umode_t mode;
	int err = kern_path(name, LOOKUP_FOLLOW, &path);

	*fresh = err == -ENOENT;
	if (err)
		return *fresh ? 0 : refuse_open(reason, err);
	mode = d_backing_inode(path.dentry)->i_mode;
	path_put(&path);
	return S_ISREG(mode) ? 0 : refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
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
	int flags = fb->flags & MARS_FILE_RDONLY ? O_RDONLY : O_RDWR;
	int direct = fb->flags & MARS_FILE_DIRECT ? O_DIRECT : 0;
	struct file *file;
	bool fresh;
	int err;

	err = look(fb->path, &fresh, reason);
	if (err)
		return err;
	flags |= O_LARGEFILE | O_NOATIME;
	if (fb->flags & MARS_FILE_CREATE)
		flags |= O_CREAT;
	file = filp_open(fb->path, flags | direct, 0600);
	if (IS_ERR(file) && PTR_ERR(file) == -EINVAL && direct) {
		direct = 0;
		file = filp_open(fb->path, flags, 0600);
	}
	if (IS_ERR(file))
		return refuse_open(reason, PTR_ERR(file));
	fb->file = file;
	fb->direct = direct;
	err = fresh && fb->flags & MARS_FILE_CREATE ? sync_dir(fb->path) : 0;
	return err ? refuse(reason, MARS_R_IO, err) : 0;
}

/* Alignment of direct transfers; some file systems take O_DIRECT but for this file. */
static void find_align(struct file_brick *fb)
{
	struct super_block *sb = file_inode(fb->file)->i_sb;
	struct kstat st;

	fb->align = 1;
	fb->mem_align = 1;
	if (!fb->direct)
		return;
	fb->align = sb->s_bdev ? bdev_logical_block_size(sb->s_bdev) : FILE_DIRECT_ALIGN;
	fb->mem_align = fb->align;
	if (vfs_getattr(&fb->file->f_path, &st, STATX_DIOALIGN, AT_STATX_SYNC_AS_STAT) ||
	    !(st.result_mask & STATX_DIOALIGN))
		return;
	if (st.dio_offset_align && st.dio_mem_align) {
		fb->align = st.dio_offset_align;
		fb->mem_align = st.dio_mem_align;
	} else {
		/* refused for this file: through the page cache then */
		spin_lock(&fb->file->f_lock);
		fb->file->f_flags &= ~O_DIRECT;
		fb->file->f_iocb_flags = iocb_flags(fb->file);
		spin_unlock(&fb->file->f_lock);
		fb->direct = false;
		fb->align = 1;
		fb->mem_align = 1;
	}
}

int file_grow(struct file_brick *fb, u64 size, enum mars_reason *reason)
{
	int err = file_errno(vfs_truncate(&fb->file->f_path, size));

	return err ? refuse(reason, err == -ENOSPC ? MARS_R_NO_SPACE : MARS_R_IO, err) : 0;
}

/* Kind, lock and size of the file just opened. */
static int inspect(struct file_brick *fb, enum mars_reason *reason)
{
	struct inode *inode = file_inode(fb->file);
	u64 want = atomic64_read(&fb->want);
	int err;

	if (!S_ISREG(inode->i_mode) || !fb->file->f_op->read_iter ||
	    !(fb->file->f_op->write_iter || fb->flags & MARS_FILE_RDONLY))
		return refuse(reason, MARS_R_BAD_VALUE, -EINVAL);
	if (inode->i_sb->s_bdev && mars_is_own_disk(inode->i_sb->s_bdev))
		return refuse(reason, MARS_R_LOOP, -ELOOP);
	if (fb->flags & MARS_FILE_EXCL) {
		err = file_lock_exclusive(fb->file);
		if (err)
			return refuse(reason, err == -EAGAIN ? MARS_R_IN_USE : MARS_R_IO, err);
	}
	find_align(fb);
	fb->log = fb->flags & MARS_FILE_APPEND ||
		  (fb->flags & MARS_FILE_RDONLY && !(fb->flags & MARS_FILE_EXCL));
	fb->drop = fb->log && !fb->direct;
	if (file_real_size(fb) >= want)
		return 0;
	if (fb->flags & MARS_FILE_CREATE)
		return file_grow(fb, want, reason);
	return refuse(reason, MARS_R_TOO_SMALL, -ENOSPC);
}

int file_open(struct file_brick *fb, enum mars_reason *reason)
{
	int err;

	fb->file = NULL;
	fb->bounce = NULL;
	err = open_path(fb, reason);
	if (!err)
		err = inspect(fb, reason);
	if (!err && fb->direct) {
		fb->bounce = alloc_pages_exact(FILE_BOUNCE, GFP_KERNEL);
		if (!fb->bounce)
			err = refuse(reason, MARS_R_NO_MEMORY, -ENOMEM);
	}
	/* closed at the return to user space */
	if (err && fb->file)
		fput(fb->file);
	return err;
}
