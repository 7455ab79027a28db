// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * control_dev.c - /dev/mars-control: the control ABI by ioctl, events by poll
 *
 * Every call works on a private copy of the user's structure, so nothing can change
 * between check and use; the answer is copied back also when the call was refused,
 * because it holds the reason.  A structure that can't be copied back fails with
 * -EFAULT although the verb was carried out.
 *
 * Allocation: control calls run with GFP_NOIO throughout, as the disks they switch and
 * rewire may be the ones the memory would be cleaned to.  (Threads they ask for are made
 * by kthreadd, which lives by its own rules.)
 *
 * Events: the file is readable while some brick has news; MARS_VERB_EVENT takes them.
 * There is one queue: whoever asks takes, so one process (the daemon) does.  Others may
 * look at everything by LIST and STATUS at any time.
 *
 * Access: root only, by mode and by capability at open; who holds the file open keeps
 * the module loaded.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "core/brick.h"
#include "control_dev.h"

/*
 * A node that loads the module when it is opened needs a number known before: this is
 * one of those reserved for local use (admin-guide/devices.txt: 244-254).
 */
#define CONTROL_MINOR	251

static DECLARE_WAIT_QUEUE_HEAD(event_wait);

static void event_wake(void)
{
	wake_up_interruptible_poll(&event_wait, EPOLLIN | EPOLLRDNORM);
}

static int control_open(struct inode *inode, struct file *file)
{
	return capable(CAP_SYS_ADMIN) ? nonseekable_open(inode, file) : -EPERM;
}

/* @cmd names verb and size; the structure says both again. */
static int control_call(unsigned int cmd, struct mars_ctl_hdr *hdr)
{
	if (_IOC_NR(cmd) != (hdr->verb & 0xff)) {
		hdr->reason = MARS_R_BAD_VERB;
		return mars_reason_errno(MARS_R_BAD_VERB);
	}
	return mars_control(hdr, _IOC_SIZE(cmd));
}

static int control_on_copy(unsigned int cmd, void __user *user, size_t size)
{
	void *copy;
	int err;

	copy = memdup_user(user, size);
	if (IS_ERR(copy))
		return PTR_ERR(copy);
	err = control_call(cmd, copy);
	if (copy_to_user(user, copy, size))
		err = -EFAULT;
	kfree(copy);
	return err;
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	size_t size = _IOC_SIZE(cmd);
	unsigned int noio;
	int err;

	if (_IOC_TYPE(cmd) != MARS_IOC_TYPE || _IOC_DIR(cmd) != (_IOC_READ | _IOC_WRITE))
		return -ENOTTY;
	if (size < sizeof(struct mars_ctl_hdr) || size > MARS_IOC_MAX)
		return -EINVAL;
	noio = memalloc_noio_save();
	err = control_on_copy(cmd, (void __user *)arg, size);
	memalloc_noio_restore(noio);
	return err;
}

static __poll_t control_poll(struct file *file, poll_table *wait)
{
	poll_wait(file, &event_wait, wait);
	return mars_event_pending() ? EPOLLIN | EPOLLRDNORM : 0;
}

static const struct file_operations control_fops = {
	.owner		= THIS_MODULE,
	.open		= control_open,
	.unlocked_ioctl	= control_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.poll		= control_poll,
	.llseek		= noop_llseek,
};

static struct miscdevice control_misc = {
	.minor	= CONTROL_MINOR,
	.name	= "mars-control",
	.fops	= &control_fops,
	.mode	= 0600,
};

int mars_control_dev_init(void)
{
	int err;

	WRITE_ONCE(mars_event_hook, event_wake);
	control_misc.minor = CONTROL_MINOR;
	err = misc_register(&control_misc);
	if (err != -EBUSY)
		return err;
	pr_warn("mars: another driver has misc minor %d; remove /dev/%s and load again if it is stale\n",
		CONTROL_MINOR, control_misc.name);
	control_misc.minor = MISC_DYNAMIC_MINOR;
	return misc_register(&control_misc);
}

void mars_control_dev_exit(void)
{
	misc_deregister(&control_misc);
	WRITE_ONCE(mars_event_hook, NULL);
}

MODULE_ALIAS_MISCDEV(CONTROL_MINOR);
MODULE_ALIAS("devname:mars-control");
