// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * if_sysfs.c - /sys/block/mars!NAME/mars: how the disk is doing, one value a file
 *
 * Read-only, for people and monitoring; programs that steer use the control device.
 * Numbers of the log exist only above a logger.  What they mean stands in mars.h at
 * enum mars_val_logger.
 *
 * A reader takes mars_topology_lock.  That is possible because the disk is added and
 * deleted by a work item without that lock (deleting waits for readers), never by the
 * power method itself.
 */
#include <linux/device.h>
#include <linux/kernel.h>
#include <linux/sysfs.h>

#include "if.h"

static struct if_brick *if_of(struct device *dev)
{
	return dev_to_disk(dev)->private_data;
}

static const char *const state_words[] = {
	[MARS_S_OK]			= "ok",
	[MARS_S_LOG_WRITE_ERROR]	= "log-write-error",
	[MARS_S_DATA_WRITE_ERROR]	= "data-write-error",
	[MARS_S_LOG_SPACE_LOW]		= "log-space-low",
	[MARS_S_LOG_SPACE_FULL]		= "log-space-full",
	[MARS_S_REPLAY_END]		= "replay-end",
	[MARS_S_REPLAY_CLEAN]		= "replay-clean",
	[MARS_S_REPLAY_TORN]		= "replay-torn",
	[MARS_S_REPLAY_MISMATCH]	= "replay-mismatch",
	[MARS_S_READ_ERROR]		= "read-error",
	[MARS_S_IO_ERROR]		= "io-error",
	[MARS_S_BAD_LOG]		= "bad-log",
};

/* Status of the logger, or of the bottom when there is none. */
static int status_below(struct device *dev, struct mars_ctl_status *st)
{
	const struct if_brick *ifb = if_of(dev);
	enum mars_reason reason;

	return mars_brick_status((ifb->logger ?: ifb->bottom)->name, st, &reason);
}

static ssize_t brick_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", if_of(dev)->brick.name);
}
static DEVICE_ATTR_RO(brick);

static ssize_t open_count_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(if_of(dev)->opens));
}
static DEVICE_ATTR_RO(open_count);

static ssize_t state_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct mars_ctl_status st;
	int err = status_below(dev, &st);

	if (err)
		return err;
	if (st.state >= ARRAY_SIZE(state_words))
		return sysfs_emit(buf, "unknown-%u\n", st.state);
	return sysfs_emit(buf, "%s\n", state_words[st.state]);
}
static DEVICE_ATTR_RO(state);

static ssize_t value_show(struct device *dev, char *buf, unsigned int nr)
{
	struct mars_ctl_status st;
	int err = status_below(dev, &st);

	return err ? err : sysfs_emit(buf, "%llu\n", st.val[nr]);
}

#define LOG_VALUE(name, nr)								\
static ssize_t name##_show(struct device *dev, struct device_attribute *attr, char *buf) \
{											\
	return value_show(dev, buf, nr);						\
}											\
static DEVICE_ATTR_RO(name)

LOG_VALUE(log_number, MARS_V_LOGGER_NUMBER);
LOG_VALUE(log_position, MARS_V_LOGGER_POS);
LOG_VALUE(durable_position, MARS_V_LOGGER_DURABLE);
LOG_VALUE(checkpoint_number, MARS_V_LOGGER_CKPT_NUMBER);
LOG_VALUE(checkpoint_position, MARS_V_LOGGER_CKPT);
LOG_VALUE(dirty_bytes, MARS_V_LOGGER_DIRTY);
LOG_VALUE(credits_bytes, MARS_V_LOGGER_CREDITS);
LOG_VALUE(used_bytes, MARS_V_LOGGER_USED);
LOG_VALUE(peak_bytes, MARS_V_LOGGER_PEAK);
LOG_VALUE(waiters, MARS_V_LOGGER_WAITERS);

static struct attribute *attrs[] = {
	&dev_attr_brick.attr,
	&dev_attr_open_count.attr,
	&dev_attr_state.attr,
	/* of a logger, from here on */
	&dev_attr_log_number.attr,
	&dev_attr_log_position.attr,
	&dev_attr_durable_position.attr,
	&dev_attr_checkpoint_number.attr,
	&dev_attr_checkpoint_position.attr,
	&dev_attr_dirty_bytes.attr,
	&dev_attr_credits_bytes.attr,
	&dev_attr_used_bytes.attr,
	&dev_attr_peak_bytes.attr,
	&dev_attr_waiters.attr,
	NULL
};

#define PLAIN_ATTRS 3

static umode_t is_visible(struct kobject *kobj, struct attribute *attr, int n)
{
	return n < PLAIN_ATTRS || if_of(kobj_to_dev(kobj))->logger ? attr->mode : 0;
}

static const struct attribute_group group = {
	.name		= "mars",
	.attrs		= attrs,
	.is_visible	= is_visible,
};

const struct attribute_group *if_sysfs_groups[] = { &group, NULL };
