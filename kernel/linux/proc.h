/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proc.h - what the module shows of itself: /proc/sys/mars (sysctl.c), /sys/kernel/mars
 * (sysfs.c)
 */
#ifndef _MARS_LINUX_PROC_H
#define _MARS_LINUX_PROC_H

int mars_sysctl_init(void);
void mars_sysctl_exit(void);
int mars_sysfs_init(void);
void mars_sysfs_exit(void);

#endif /* _MARS_LINUX_PROC_H */
