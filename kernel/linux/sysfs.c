// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sysfs.c - /sys/kernel/mars: what is in use
 *
 *	in_use	names of the bricks that are not off, one a line: while there are some
 *		that hold a device, the module can't be unloaded
 *	bricks	number of bricks
 *
 * State of a resource stands with its disk, in /sys/block/mars!NAME/mars.
 */
#include <linux/errno.h>
#include <linux/kobject.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "core/brick.h"
#include "proc.h"

typedef void (*brick_fn)(const struct mars_ctl_status *st, void *ctx);

static int for_each_brick(brick_fn fn, void *ctx)
{
	struct mars_ctl_status *st = kzalloc(sizeof(*st), GFP_KERNEL);
	char prev[MARS_NAME_MAX] = "";

	if (!st)
		return -ENOMEM;
	while (mars_brick_status_next(prev, st)) {
		fn(st, ctx);
		strscpy(prev, st->name, sizeof(prev));
	}
	kfree(st);
	return 0;
}

struct text {
	char *buf;
	int len;
};

static void list_in_use(const struct mars_ctl_status *st, void *ctx)
{
	struct text *text = ctx;

	if (st->button || !st->led_off)
		text->len += sysfs_emit_at(text->buf, text->len, "%s\n", st->name);
}

static ssize_t in_use_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	struct text text = { .buf = buf };
	int err = for_each_brick(list_in_use, &text);

	return err ?: text.len;
}

static void count(const struct mars_ctl_status *st, void *ctx)
{
	unsigned int *nr = ctx;

	++*nr;
}

static ssize_t bricks_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	unsigned int nr = 0;
	int err = for_each_brick(count, &nr);

	return err ?: sysfs_emit(buf, "%u\n", nr);
}

static struct kobj_attribute in_use_attr = __ATTR_RO(in_use);
static struct kobj_attribute bricks_attr = __ATTR_RO(bricks);

static struct attribute *attrs[] = {
	&in_use_attr.attr,
	&bricks_attr.attr,
	NULL
};

static const struct attribute_group group = { .attrs = attrs };

static struct kobject *dir;		/* constant between init and exit */

int mars_sysfs_init(void)
{
	int err;

	dir = kobject_create_and_add("mars", kernel_kobj);
	if (!dir)
		return -ENOMEM;
	err = sysfs_create_group(dir, &group);
	if (err)
		kobject_put(dir);
	return err;
}

void mars_sysfs_exit(void)
{
	kobject_put(dir);
}
