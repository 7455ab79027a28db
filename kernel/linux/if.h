/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * if.h - inside the if brick; private to if*.c
 *
 * if.c		the brick: parameters, power, status
 * if_disk.c	the gendisk: limits, opening, its way up and down
 * if_io.c	bios in, requests out
 * if_sysfs.c	state below /sys/block/mars!NAME/mars
 *
 * Life of the disk: power on (under mars_topology_lock) looks at what is below and
 * allocates it; the work item adds it, which makes it visible.  Power off is refused
 * while the disk is open; otherwise no open succeeds from then on, and the work item takes
 * the disk away, waits for requests in flight, and lights the lamp.  The work item, and
 * only it, may wait for readers of sysfs and for IO, so it holds no lock of ours and
 * runs on a system queue that no IO depends on.
 *
 * What the disk stands on stays until it is gone, as readers of sysfs and the work item
 * look there, and what it said of itself stays true while somebody may open it: a rewiring
 * below it is refused unless logger and bottom stay the same and the limits still hold.
 *
 * Lock order: mars_topology_lock, then if_names_lock, then ifb->lock.  open and release
 * come with the disk's own open_mutex held and take ifb->lock only; with mars_topology_lock
 * held nobody here takes open_mutex, which somebody may hold for as long as IO takes.
 */
#ifndef _MARS_LINUX_IF_H
#define _MARS_LINUX_IF_H

#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "core/brick.h"
#include "core/gate.h"
#include "core/xio.h"
#include "own_disk.h"

/*
 * Changes inside at most: more wait for room before they take memory, as in the queue of any
 * disk.  Those below may wait for the logger's credits or for log space, however long.
 */
#define IF_CHANGES	4096

#define IF_NAME_MAX	(DISK_NAME_LEN - sizeof(MARS_DISK_PREFIX))	/* 26 characters */

enum if_todo { IF_NOTHING, IF_RAISE, IF_LOWER };

struct if_brick {
	struct mars_brick brick;

	/* parameters; mars_topology_lock */
	char name[IF_NAME_MAX + 1];	/* changed only while there is no disk */
	bool read_only;

	struct gendisk *disk;		/* set by power on, cleared last by the work item */
	struct list_head names;		/* if_names_lock: in if_names while there is a disk */
	struct work_struct work;	/* brings the disk up or down, as todo says */
	bool added;			/* work item only */
	bool linked;			/* work item only: the disk stands as holder of lower */
	/* the way down, constant while there is a disk, and the bricks stay on: if_fits() */
	struct mars_brick *logger;	/* the first on it, or NULL */
	struct mars_brick *bottom;
	struct block_device *lower;	/* what bottom has open, with a reference; NULL when that
					 * is no device */
	bool claimed;			/* lower is held exclusively */
	int error;			/* why the disk could not be added; READ_ONCE */

	struct mars_gate gate;		/* bios inside */
	struct completion empty;	/* gate closed and nobody inside */
	atomic_t changes;		/* of them not READ nor FLUSH, up to IF_CHANGES */
	wait_queue_head_t room;		/* for those that would be more */

	spinlock_t lock;		/* process context only */
	unsigned int opens;		/* lock */
	bool closing;			/* lock: no more opens */
	enum if_todo todo;		/* lock: the task of the work item, taken by it */

	atomic64_t nr[XIO_NR_OPS];
	atomic64_t bytes_read, bytes_written;
};

static inline struct if_brick *to_if(struct mars_brick *brick)
{
	return container_of(brick, struct if_brick, brick);
}

/* if_disk.c */

/** if_disk_alloc - the disk, as what is below allows it; under mars_topology_lock */
int if_disk_alloc(struct if_brick *ifb, enum mars_reason *reason);
/** if_disk_free - undo it, when it was not added or is deleted */
void if_disk_free(struct if_brick *ifb);
/** if_disk_add - make it visible; 0 or -errno; no lock held */
int if_disk_add(struct if_brick *ifb);
/** if_disk_del - make it vanish; no lock held */
void if_disk_del(struct if_brick *ifb);
/** if_disk_stands - are logger and bottom those it came up with?  Under mars_topology_lock */
int if_disk_stands(struct if_brick *ifb, enum mars_reason *reason);
/** if_disk_fits - can the disk go on with what the wires show?  Under mars_topology_lock */
int if_disk_fits(struct if_brick *ifb, enum mars_reason *reason);
/** if_disk_resize - take the size from below again; under mars_topology_lock */
int if_disk_resize(struct if_brick *ifb, enum mars_reason *reason);

/* if_io.c */

void if_submit_bio(struct bio *bio);
/** if_in_flight - bios inside */
unsigned int if_in_flight(struct if_brick *ifb);

/* if_sysfs.c */

extern const struct attribute_group *if_sysfs_groups[];

#endif /* _MARS_LINUX_IF_H */
