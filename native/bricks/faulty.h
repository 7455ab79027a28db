/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * faulty.h - a simulated disk that behaves as badly as a real one may
 *
 * A disk is a durable image plus a volatile cache: the completed writes that no
 * FLUSH or FUA has made durable yet, sector by sector.  A crash keeps the durable
 * image and an arbitrary subset of those sectors, and of the sectors of writes
 * still in flight: writes may be torn between sectors, and a later one may
 * survive without an earlier one.  Sectors themselves are atomic.
 *
 * A FLUSH makes durable what was completed when it was submitted, not a byte
 * more.  Requests are executed one by one from a work item, in random order and
 * after random delays (exec_random(), so in simulation the seed decides).
 *
 * Growth: a disk with capacity > size takes writes behind its end, like an
 * APPEND file.  Growing beyond capacity fails with -ENOSPC.
 *
 * Use in a test:
 *	struct mars_brick *disk = faulty_create("disk", image, NULL);
 *	... wire it, power on, run ...
 *	struct faulty_image *after = faulty_crash(disk, faulty_choose_random, NULL);
 *	faulty_kill(disk);		-- lets the bricks above shut down
 *	... take the graph apart, start again with faulty_create("disk", after, ...)
 *
 * All functions below may be called from any context of a test while requests
 * are in flight; each takes the disk's lock.
 */
#ifndef _MARS_FAULTY_H
#define _MARS_FAULTY_H

#include <linux/types.h>

#include "core/brick.h"
#include "core/xio.h"

/**
 * struct faulty_image - contents of a disk
 * @size: bytes the disk has
 * @capacity: bytes it can grow to
 * @data: @capacity bytes; zero behind @size
 */
struct faulty_image {
	u64 size;
	u64 capacity;
	u8 *data;
};

struct faulty_image *faulty_image_new(u64 size, u64 capacity);
struct faulty_image *faulty_image_clone(const struct faulty_image *image);
void faulty_image_free(struct faulty_image *image);

/**
 * struct faulty_fuse - a common stop point of several disks
 * @left: requests until all disks on this fuse freeze; negative = never
 * @blown: they are frozen: nothing is executed or completed anymore
 *
 * The count runs over the requests executed on all disks together, so counting
 * @left up from 0 enumerates every point at which a machine may stop.
 * Atomic accesses; the owner is the test.
 */
struct faulty_fuse {
	long left;
	int blown;
};

/**
 * struct faulty_config - how bad the disk is; zeros are good defaults
 * @sector: atomic unit, power of two; 0 = 512
 * @max_delay_us: longest delay of a request; 0 = none
 * @in_order: execute requests in order of submission
 * @fuse: NULL = never freezes
 */
struct faulty_config {
	u32 sector;
	u32 max_delay_us;
	bool in_order;
	struct faulty_fuse *fuse;
};

/**
 * faulty_create - make a disk of type "faulty" and give it contents
 * @name: brick name
 * @image: initial durable contents; copied
 * @config: copied; NULL = defaults
 *
 * Return: the brick, off; destroy it as any other.  NULL if it can't be made.
 */
struct mars_brick *faulty_create(const char *name, const struct faulty_image *image,
				 const struct faulty_config *config);

/* --- scripted errors --- */

#define FAULTY_OP(op)	(1u << (op))
#define FAULTY_ALL	0x1fu

/** faulty_fail_nth - fail @count requests of the kinds in @ops after @skip good ones */
void faulty_fail_nth(struct mars_brick *disk, unsigned int ops, u64 skip, u64 count, int err);
/** faulty_fail_range - fail whatever touches [pos, pos+len); up to 8 ranges; -ENOSPC if full */
int faulty_fail_range(struct mars_brick *disk, unsigned int ops, u64 pos, u64 len, int err);
/** faulty_heal - forget all scripted errors */
void faulty_heal(struct mars_brick *disk);
/** faulty_set_capacity - more or less room to grow; at most the image's capacity */
void faulty_set_capacity(struct mars_brick *disk, u64 capacity);
/** faulty_set_room - growth by requests of low priority leaves @room bytes of the capacity */
void faulty_set_room(struct mars_brick *disk, u64 room);

/* --- crash --- */

/**
 * struct faulty_unit - one thing a crash may lose or keep
 * @seq: order of submission of the request it belongs to
 * @pos: byte position; for @grow the new size of the disk
 * @len: bytes, all in one sector; 0 for @grow
 * @data: what would be there
 * @grow: the change of the disk's size, not a sector
 * @in_flight: its request has not completed
 */
struct faulty_unit {
	u64 seq;
	u64 pos;
	u32 len;
	const u8 *data;
	bool grow;
	bool in_flight;
};

/** faulty_choose_fn - does unit number @nr survive the crash? */
typedef bool (*faulty_choose_fn)(void *ctx, unsigned int nr, const struct faulty_unit *unit);

bool faulty_choose_none(void *ctx, unsigned int nr, const struct faulty_unit *unit);
bool faulty_choose_all(void *ctx, unsigned int nr, const struct faulty_unit *unit);
/** faulty_choose_random - each unit with probability 1/2, by exec_random() */
bool faulty_choose_random(void *ctx, unsigned int nr, const struct faulty_unit *unit);
/** faulty_choose_mask - bit @nr of the u64 at @ctx; units from 64 on are lost */
bool faulty_choose_mask(void *ctx, unsigned int nr, const struct faulty_unit *unit);

/** faulty_volatile - number of units a crash now could lose or keep */
unsigned int faulty_volatile(struct mars_brick *disk);
/**
 * faulty_crash - contents of the disk if the power failed now
 *
 * Units are offered in the order the disk took them, those in flight last and in
 * order of submission; within a request by position.  Those chosen are applied in
 * that order on top of the durable image.  A sector behind the surviving size
 * enlarges the disk.  The disk itself is not changed.
 *
 * Return: a new image, NULL without memory.
 */
struct faulty_image *faulty_crash(struct mars_brick *disk, faulty_choose_fn choose, void *ctx);

/**
 * faulty_units - show each unit that faulty_crash() would offer, in the same order
 *
 * For tests that go through many crashes of one moment.  @look runs with the disk's
 * lock held; the unit is valid only inside.
 */
void faulty_units(struct mars_brick *disk,
		  void (*look)(void *ctx, const struct faulty_unit *unit), void *ctx);

/** faulty_freeze - nothing is executed or completed from now on */
void faulty_freeze(struct mars_brick *disk);
/** faulty_frozen - frozen, or its fuse has blown */
bool faulty_frozen(struct mars_brick *disk);
/** faulty_kill - everything in flight and everything later ends with -EIO */
void faulty_kill(struct mars_brick *disk);

/* --- looking inside --- */

/** faulty_peek - what a read would see now (@durable: what is safe now) */
void faulty_peek(struct mars_brick *disk, u64 pos, void *buf, size_t len, bool durable);
u64 faulty_size(struct mars_brick *disk);
/** faulty_executed - requests executed so far */
u64 faulty_executed(struct mars_brick *disk);
/** faulty_failed - requests that ended with a scripted error so far */
u64 faulty_failed(struct mars_brick *disk);
/** faulty_in_flight - requests not completed */
unsigned int faulty_in_flight(struct mars_brick *disk);

extern const struct mars_brick_type faulty_brick_type;

#endif /* _MARS_FAULTY_H */
