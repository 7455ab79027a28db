/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control_dev.h - /dev/mars-control (control_dev.c)
 */
#ifndef _MARS_LINUX_CONTROL_DEV_H
#define _MARS_LINUX_CONTROL_DEV_H

int mars_control_dev_init(void);
void mars_control_dev_exit(void);

#endif /* _MARS_LINUX_CONTROL_DEV_H */
