/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.h - what differs between kernels in using a regular file
 */
#ifndef _MARS_COMPAT_FILE_H
#define _MARS_COMPAT_FILE_H

#include <linux/fs.h>
#ifdef HAVE_FILELOCK_H
#include <linux/filelock.h>
#endif
#include <linux/sched.h>

#ifndef HAVE_KIOCB_START_WRITE
/* Freeze protection that the end of an asynchronous write gives back, in another context. */
static inline void kiocb_start_write(struct kiocb *iocb)
{
	struct super_block *sb = file_inode(iocb->ki_filp)->i_sb;

	sb_start_write(sb);
	__sb_writers_release(sb, SB_FREEZE_WRITE);
}

static inline void kiocb_end_write(struct kiocb *iocb)
{
	struct super_block *sb = file_inode(iocb->ki_filp)->i_sb;

	__sb_writers_acquired(sb, SB_FREEZE_WRITE);
	sb_end_write(sb);
}
#endif

/*
 * file_lock_exclusive - flock(LOCK_EX | LOCK_NB) on a file of the kernel
 *
 * Closing the file unlocks.  -EAGAIN: somebody else holds a lock.
 */
static inline int file_lock_exclusive(struct file *file)
{
	struct file_lock fl;

	locks_init_lock(&fl);
#ifdef HAVE_FILE_LOCK_CORE
	fl.c.flc_file = file;
	fl.c.flc_owner = file;
	fl.c.flc_pid = current->tgid;
	fl.c.flc_flags = FL_FLOCK;
	fl.c.flc_type = F_WRLCK;
#else
	fl.fl_file = file;
	fl.fl_owner = file;
	fl.fl_pid = current->tgid;
	fl.fl_flags = FL_FLOCK;
	fl.fl_type = F_WRLCK;
#endif
	fl.fl_end = OFFSET_MAX;
	if (file->f_op->flock)
		return file->f_op->flock(file, F_SETLK, &fl);
	return locks_lock_file_wait(file, &fl);
}

#endif /* _MARS_COMPAT_FILE_H */
