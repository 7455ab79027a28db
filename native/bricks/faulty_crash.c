// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * faulty_crash.c - the simulated disk: images, crashes, scripted errors, peeking
 *
 * Everything here is called by tests, see faulty.h; the state and its lock are
 * described in faulty_disk.h.
 */
#include <string.h>

#include <linux/errno.h>
#include <linux/kernel.h>

#include "exec.h"
#include "faulty_disk.h"

/* --- images --- */

struct faulty_image *faulty_image_new(u64 size, u64 capacity)
{
	struct faulty_image *image = malloc(sizeof(*image));

	if (!image)
		return NULL;
	image->size = size;
	image->capacity = max(size, capacity);
	image->data = calloc(1, image->capacity ? image->capacity : 1);
	if (!image->data) {
		free(image);
		return NULL;
	}
	return image;
}

struct faulty_image *faulty_image_clone(const struct faulty_image *image)
{
	struct faulty_image *clone = faulty_image_new(image->size, image->capacity);

	if (clone)
		memcpy(clone->data, image->data, image->size);
	return clone;
}

void faulty_image_free(struct faulty_image *image)
{
	if (!image)
		return;
	free(image->data);
	free(image);
}

void faulty_image_apply(struct faulty_image *image, const struct unit *unit)
{
	u64 end = unit->pos + unit->len;

	memcpy(image->data + unit->pos, unit->data, unit->len);
	image->size = max(image->size, end);
}

u32 faulty_piece(const struct faulty_disk *disk, u64 pos, u64 end)
{
	u64 sector = disk->config.sector;

	return min(end, (pos | (sector - 1)) + 1) - pos;
}

struct unit *faulty_unit_new(u64 seq, u64 pos, u32 len)
{
	struct unit *unit = faulty_must(malloc(sizeof(*unit) + len));

	unit->seq = seq;
	unit->done = 0;
	unit->pos = pos;
	unit->len = len;
	return unit;
}

void faulty_unit_fill(struct unit *unit, const struct xio_request *rq)
{
	if (rq->op == XIO_WRITE)
		xio_copy_in(rq, unit->pos - rq->pos, unit->data, unit->len);
	else
		memset(unit->data, 0, unit->len);
}

bool faulty_stopped(struct faulty_disk *disk)
{
	struct faulty_fuse *fuse = disk->config.fuse;

	if (disk->dead)
		return false;
	return disk->frozen || (fuse && __atomic_load_n(&fuse->blown, __ATOMIC_ACQUIRE));
}

/* --- crash --- */

bool faulty_choose_none(void *ctx, unsigned int nr, const struct faulty_unit *unit)
{
	return false;
}

bool faulty_choose_all(void *ctx, unsigned int nr, const struct faulty_unit *unit)
{
	return true;
}

bool faulty_choose_random(void *ctx, unsigned int nr, const struct faulty_unit *unit)
{
	return exec_random(2);
}

bool faulty_choose_mask(void *ctx, unsigned int nr, const struct faulty_unit *unit)
{
	return nr < 64 && *(const u64 *)ctx >> nr & 1;
}

struct crash {
	struct faulty_image *image;	/* NULL = count and show only */
	faulty_choose_fn choose;
	void (*look)(void *ctx, const struct faulty_unit *unit);
	void *ctx;
	unsigned int nr;
};

static void crash_offer(struct crash *c, const struct unit *unit, bool in_flight)
{
	struct faulty_unit offer = {
		.seq = unit->seq, .pos = unit->pos, .len = unit->len, .data = unit->data,
		.grow = !unit->len, .in_flight = in_flight,
	};

	if (c->look)
		c->look(c->ctx, &offer);
	if (c->image && c->choose(c->ctx, c->nr, &offer)) {
		if (unit->len)
			faulty_image_apply(c->image, unit);
		else
			c->image->size = max(c->image->size, unit->pos);
	}
	c->nr++;
}

/* What a request in flight might have done. */
static void crash_offer_pending(struct faulty_disk *disk, struct crash *c, struct xio_request *rq)
{
	struct faulty_aspect *aspect = xio_aspect(rq);
	u64 pos = rq->pos, end = rq->pos + rq->len, size = disk->size;
	bool zero = rq->op != XIO_WRITE;

	if (rq->op == XIO_READ || rq->op == XIO_FLUSH)
		return;
	if (rq->op == XIO_DISCARD)
		end = min(end, size);
	if (end > size) {
		struct unit *unit;

		if (!faulty_may_grow(disk, rq, end))
			return;
		unit = faulty_unit_new(aspect->seq, end, 0);
		crash_offer(c, unit, true);
		free(unit);
		if (zero)
			end = size;
	}
	while (pos < end) {
		u32 len = faulty_piece(disk, pos, end);
		struct unit *unit = faulty_unit_new(aspect->seq, pos, len);

		faulty_unit_fill(unit, rq);
		crash_offer(c, unit, true);
		free(unit);
		pos += len;
	}
}

/* with disk->lock held */
static void crash_walk(struct faulty_disk *disk, struct crash *c)
{
	struct xio_request *rq;
	struct unit *unit;

	list_for_each_entry(unit, &disk->cache, link)
		crash_offer(c, unit, false);
	if (disk->dead)
		return;
	list_for_each_entry(rq, &disk->pending, link)
		crash_offer_pending(disk, c, rq);
}

unsigned int faulty_volatile(struct mars_brick *brick)
{
	struct faulty_disk *disk = to_disk(brick);
	struct crash c = { .nr = 0 };
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	crash_walk(disk, &c);
	spin_unlock_irqrestore(&disk->lock, flags);
	return c.nr;
}

void faulty_units(struct mars_brick *brick,
		  void (*look)(void *ctx, const struct faulty_unit *unit), void *ctx)
{
	struct faulty_disk *disk = to_disk(brick);
	struct crash c = { .look = look, .ctx = ctx };
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	crash_walk(disk, &c);
	spin_unlock_irqrestore(&disk->lock, flags);
}

struct faulty_image *faulty_crash(struct mars_brick *brick, faulty_choose_fn choose, void *ctx)
{
	struct faulty_disk *disk = to_disk(brick);
	struct crash c = { .choose = choose, .ctx = ctx };
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	c.image = faulty_image_clone(disk->image);
	if (c.image)
		crash_walk(disk, &c);
	spin_unlock_irqrestore(&disk->lock, flags);
	return c.image;
}

void faulty_freeze(struct mars_brick *brick)
{
	struct faulty_disk *disk = to_disk(brick);
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	disk->frozen = true;
	spin_unlock_irqrestore(&disk->lock, flags);
}

bool faulty_frozen(struct mars_brick *brick)
{
	struct faulty_disk *disk = to_disk(brick);
	unsigned long flags;
	bool frozen;

	spin_lock_irqsave(&disk->lock, flags);
	frozen = faulty_stopped(disk);
	spin_unlock_irqrestore(&disk->lock, flags);
	return frozen;
}

void faulty_kill(struct mars_brick *brick)
{
	struct faulty_disk *disk = to_disk(brick);
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	disk->dead = true;
	faulty_schedule(disk);
	spin_unlock_irqrestore(&disk->lock, flags);
}

/* --- scripted errors and looking inside --- */

void faulty_fail_nth(struct mars_brick *brick, unsigned int ops, u64 skip, u64 count, int err)
{
	struct faulty_disk *disk = to_disk(brick);
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	disk->nth_ops = ops;
	disk->nth_skip = skip;
	disk->nth_count = count;
	disk->nth_err = err;
	spin_unlock_irqrestore(&disk->lock, flags);
}

int faulty_fail_range(struct mars_brick *brick, unsigned int ops, u64 pos, u64 len, int err)
{
	struct faulty_disk *disk = to_disk(brick);
	unsigned long flags;
	int i, ret = -ENOSPC;

	spin_lock_irqsave(&disk->lock, flags);
	for (i = 0; i < FAULTY_RANGES && ret; i++) {
		if (disk->range[i].ops)
			continue;
		disk->range[i] = (struct fault){ .ops = ops, .pos = pos, .len = len, .err = err };
		ret = 0;
	}
	spin_unlock_irqrestore(&disk->lock, flags);
	return ret;
}

void faulty_heal(struct mars_brick *brick)
{
	struct faulty_disk *disk = to_disk(brick);
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	memset(disk->range, 0, sizeof(disk->range));
	disk->nth_ops = 0;
	disk->nth_count = 0;
	spin_unlock_irqrestore(&disk->lock, flags);
}

void faulty_set_capacity(struct mars_brick *brick, u64 capacity)
{
	struct faulty_disk *disk = to_disk(brick);
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	disk->capacity = min(capacity, disk->image->capacity);
	spin_unlock_irqrestore(&disk->lock, flags);
}

void faulty_set_room(struct mars_brick *brick, u64 room)
{
	struct faulty_disk *disk = to_disk(brick);
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	disk->room = room;
	spin_unlock_irqrestore(&disk->lock, flags);
}

void faulty_peek(struct mars_brick *brick, u64 pos, void *buf, size_t len, bool durable)
{
	struct faulty_disk *disk = to_disk(brick);
	unsigned long flags;
	u64 inside;

	memset(buf, 0, len);
	spin_lock_irqsave(&disk->lock, flags);
	inside = min_t(u64, len, disk->image->capacity - min(pos, disk->image->capacity));
	memcpy(buf, (durable ? disk->image->data : disk->view) + (inside ? pos : 0), inside);
	spin_unlock_irqrestore(&disk->lock, flags);
}

#define FAULTY_GETTER(type, name, field)				\
type name(struct mars_brick *brick)					\
{									\
	struct faulty_disk *disk = to_disk(brick);			\
	unsigned long flags;						\
	type value;							\
									\
	spin_lock_irqsave(&disk->lock, flags);				\
	value = disk->field;						\
	spin_unlock_irqrestore(&disk->lock, flags);			\
	return value;							\
}

FAULTY_GETTER(u64, faulty_size, size)
FAULTY_GETTER(u64, faulty_executed, executed)
FAULTY_GETTER(u64, faulty_failed, failed)
FAULTY_GETTER(unsigned int, faulty_in_flight, in_flight)
