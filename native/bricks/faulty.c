// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * faulty.c - a simulated disk that behaves as badly as a real one may: execution
 *
 * One work item executes one request at a time, chosen at random among those in
 * flight, and arms itself for the next.  See faulty_disk.h for the state and its
 * lock, faulty.h for what is simulated, faulty_crash.c for what a crash leaves.
 */
#include <string.h>

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/log2.h>

#include "exec.h"
#include "faulty_disk.h"

/* --- executing requests; all with disk->lock held --- */

static bool all_zero(const u8 *p, size_t len)
{
	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

static void cache_add(struct faulty_disk *disk, struct unit *unit)
{
	unit->done = disk->done + 1;
	list_add_tail(&unit->link, &disk->cache);
}

/* A durable write wins over what is still cached below it. */
static void cache_override(struct faulty_disk *disk, u64 pos, u64 end)
{
	struct unit *unit, *next;

	list_for_each_entry_safe(unit, next, &disk->cache, link) {
		u64 from = max(pos, unit->pos), to = min(end, unit->pos + unit->len);

		if (!unit->len && unit->pos <= disk->image->size) {
			list_del(&unit->link);
			free(unit);
		} else if (from < to) {
			memcpy(unit->data + (from - unit->pos), disk->view + from, to - from);
		}
	}
}

bool faulty_may_grow(const struct faulty_disk *disk, const struct xio_request *rq, u64 end)
{
	u64 room = rq->flags & XIO_PRIO_LOW ? disk->room : 0;

	return disk->grows && end + room <= disk->capacity;
}

static int disk_grow(struct faulty_disk *disk, const struct xio_request *rq, u64 seq, u64 end)
{
	if (end <= disk->size)
		return 0;
	if (!faulty_may_grow(disk, rq, end))
		return -ENOSPC;
	cache_add(disk, faulty_unit_new(seq, end, 0));
	disk->size = end;
	return 0;
}

/* WRITE, DISCARD, WRITE_ZEROES.  @torn: an error follows, only some sectors change. */
static int disk_change(struct faulty_disk *disk, struct xio_request *rq, u64 seq, bool torn)
{
	u64 pos = rq->pos, end = rq->pos + rq->len, old = disk->size;
	bool fua = rq->flags & XIO_FUA && !torn;
	bool zero = rq->op != XIO_WRITE;
	int err;

	if (rq->op == XIO_DISCARD && disk->grows)
		end = clamp(end, min(pos, old), old);	/* nothing to do behind the end */
	err = disk_grow(disk, rq, seq, end);
	if (err)
		return err;
	if (zero)
		end = max(pos, min(end, old));
	while (pos < end) {
		u32 len = faulty_piece(disk, pos, end);
		struct unit *unit;

		if ((torn && exec_random(2)) ||
		    (zero && !fua && all_zero(disk->view + pos, len))) {
			pos += len;
			continue;
		}
		unit = faulty_unit_new(seq, pos, len);
		faulty_unit_fill(unit, rq);
		memcpy(disk->view + pos, unit->data, len);
		if (fua) {
			faulty_image_apply(disk->image, unit);
			free(unit);
		} else {
			cache_add(disk, unit);
		}
		pos += len;
	}
	if (fua) {
		disk->image->size = max(disk->image->size,
					min(rq->pos + rq->len, disk->size));
		cache_override(disk, rq->pos, end);
	}
	return 0;
}

static int disk_read(struct faulty_disk *disk, struct xio_request *rq)
{
	u64 inside = 0;

	if (rq->pos < disk->size)
		inside = min(rq->len, disk->size - rq->pos);
	if (inside < rq->len && !disk->grows)
		return -EIO;
	xio_copy_out(rq, 0, disk->view + (inside ? rq->pos : 0), inside);
	if (inside < rq->len)
		xio_zero_out(rq, inside, rq->len - inside);
	return 0;
}

static void disk_flush(struct faulty_disk *disk, u64 upto)
{
	struct unit *unit, *next;

	list_for_each_entry_safe(unit, next, &disk->cache, link) {
		if (unit->done > upto)
			break;
		if (unit->len)
			faulty_image_apply(disk->image, unit);
		else
			disk->image->size = max(disk->image->size, unit->pos);
		list_del(&unit->link);
		free(unit);
	}
}

static int scripted_error(struct faulty_disk *disk, const struct xio_request *rq)
{
	unsigned int bit = FAULTY_OP(rq->op), i;

	if (disk->dead)
		return -EIO;
	for (i = 0; i < FAULTY_RANGES; i++) {
		const struct fault *f = &disk->range[i];

		if (f->ops & bit && rq->pos < f->pos + f->len && f->pos < rq->pos + rq->len)
			return f->err;
	}
	if (!(disk->nth_ops & bit) || !disk->nth_count)
		return 0;
	if (disk->nth_skip) {
		disk->nth_skip--;
		return 0;
	}
	disk->nth_count--;
	return disk->nth_err;
}

static int disk_execute(struct faulty_disk *disk, struct xio_request *rq)
{
	struct faulty_aspect *aspect = xio_aspect(rq);
	int err = scripted_error(disk, rq);

	disk->executed++;
	disk->failed += err && !disk->dead;
	disk->nr[rq->op]++;
	switch (rq->op) {
	case XIO_READ:
		if (!err)
			err = disk_read(disk, rq);
		break;
	case XIO_FLUSH:
		if (!err)
			disk_flush(disk, aspect->upto);
		break;
	default:
		/* a write that fails may have changed some of its sectors */
		if (!disk->dead && (!err || rq->op == XIO_WRITE)) {
			int got = disk_change(disk, rq, aspect->seq, err);

			err = err ? err : got;
		}
		break;
	}
	disk->done++;
	return err;
}

/* --- the request path --- */

/* May one more request be executed?  Counts it. */
static bool fuse_step(struct faulty_disk *disk)
{
	struct faulty_fuse *fuse = disk->config.fuse;
	long left;

	if (disk->dead || !fuse)
		return true;
	left = __atomic_load_n(&fuse->left, __ATOMIC_RELAXED);
	do {
		if (left < 0)
			return true;
		if (!left) {
			__atomic_store_n(&fuse->blown, 1, __ATOMIC_RELEASE);
			return false;
		}
	} while (!__atomic_compare_exchange_n(&fuse->left, &left, left - 1, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

void faulty_schedule(struct faulty_disk *disk)
{
	unsigned long delay = 0;

	if (disk->config.max_delay_us && !disk->dead)
		delay = usecs_to_jiffies(exec_random(disk->config.max_delay_us + 1));
	if (disk->nr_pending && !faulty_stopped(disk))
		queue_delayed_work(system_wq, &disk->work, delay);
}

/* Execute and complete one request. */
static void faulty_work(struct work_struct *work)
{
	struct faulty_disk *disk = container_of(to_delayed_work(work), struct faulty_disk, work);
	struct xio_request *rq;
	unsigned long flags;
	unsigned int n;
	int err;

	spin_lock_irqsave(&disk->lock, flags);
	if (!disk->nr_pending || faulty_stopped(disk) || !fuse_step(disk)) {
		spin_unlock_irqrestore(&disk->lock, flags);
		return;
	}
	n = disk->config.in_order ? 0 : exec_random(disk->nr_pending);
	list_for_each_entry(rq, &disk->pending, link)
		if (!n--)
			break;
	list_del_init(&rq->link);
	disk->nr_pending--;
	err = disk_execute(disk, rq);
	spin_unlock_irqrestore(&disk->lock, flags);

	xio_complete(rq, err);

	spin_lock_irqsave(&disk->lock, flags);
	disk->in_flight--;
	faulty_schedule(disk);
	spin_unlock_irqrestore(&disk->lock, flags);
	mars_gate_leave(&disk->gate);
}

static void faulty_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct faulty_disk *disk = to_disk(brick);
	struct faulty_aspect *aspect = xio_aspect(rq);
	bool bad = rq->op >= XIO_NR_OPS || rq->pos + rq->len < rq->pos ||
		   (rq->op <= XIO_WRITE && rq->len > XIO_MAX_IO);
	unsigned long flags;

	if (bad) {
		xio_complete(rq, -EINVAL);
		return;
	}
	if (!mars_gate_enter(&disk->gate)) {
		xio_complete(rq, -ESHUTDOWN);
		return;
	}
	spin_lock_irqsave(&disk->lock, flags);
	aspect->seq = ++disk->seq;
	aspect->upto = disk->done;
	list_add_tail(&rq->link, &disk->pending);
	disk->nr_pending++;
	disk->in_flight++;
	faulty_schedule(disk);
	spin_unlock_irqrestore(&disk->lock, flags);
}

/* --- the brick type --- */

struct mars_brick *faulty_create(const char *name, const struct faulty_image *image,
				 const struct faulty_config *config)
{
	enum mars_reason reason;
	struct mars_brick *brick;
	struct faulty_disk *disk;

	if (config && config->sector && !is_power_of_2(config->sector))
		return NULL;
	if (mars_brick_create("faulty", name, &reason))
		return NULL;
	brick = mars_brick_find(name);
	disk = to_disk(brick);
	if (config)
		disk->config = *config;
	if (!disk->config.sector)
		disk->config.sector = 512;
	disk->image = faulty_must(faulty_image_clone(image));
	disk->view = faulty_must(calloc(1, image->capacity ? image->capacity : 1));
	memcpy(disk->view, image->data, image->size);
	disk->size = image->size;
	disk->capacity = image->capacity;
	disk->grows = image->capacity > image->size;
	return brick;
}

static void faulty_empty(struct mars_gate *gate)
{
	struct faulty_disk *disk = container_of(gate, struct faulty_disk, gate);

	mars_brick_leds(&disk->brick, false, true);
}

static int faulty_construct(struct mars_brick *brick)
{
	struct faulty_disk *disk = to_disk(brick);

	spin_lock_init(&disk->lock);
	INIT_LIST_HEAD(&disk->cache);
	INIT_LIST_HEAD(&disk->pending);
	INIT_DELAYED_WORK(&disk->work, faulty_work);
	mars_gate_init(&disk->gate, faulty_empty);
	return 0;
}

static void faulty_destruct(struct mars_brick *brick)
{
	struct faulty_disk *disk = to_disk(brick);
	struct unit *unit, *next;

	cancel_delayed_work_sync(&disk->work);
	list_for_each_entry_safe(unit, next, &disk->cache, link)
		free(unit);
	faulty_image_free(disk->image);
	free(disk->view);
}

static int faulty_set(struct mars_brick *brick, u32 key, u64 value, const char *text,
		      u32 len, enum mars_reason *reason)
{
	*reason = MARS_R_NO_KEY;
	return -EINVAL;
}

static int faulty_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct faulty_disk *disk = to_disk(brick);

	if (on && !disk->image) {
		*reason = MARS_R_MISSING;
		return -EINVAL;
	}
	if (on)
		mars_gate_open(&disk->gate);
	mars_brick_leds(brick, on, false);
	if (!on)
		mars_gate_close(&disk->gate);
	return 0;
}

static int faulty_get_info(struct mars_brick *brick, struct xio_info *info)
{
	struct faulty_disk *disk = to_disk(brick);

	if (!disk->image)
		return -ENODEV;
	*info = (struct xio_info){
		.size = faulty_size(brick),
		.align = 1,
		.max_io = XIO_MAX_IO,
		.volatile_cache = true,
	};
	return 0;
}

static void faulty_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct faulty_disk *disk = to_disk(brick);
	unsigned long flags;

	spin_lock_irqsave(&disk->lock, flags);
	st->val[MARS_V_FILE_SIZE] = disk->size;
	st->val[MARS_V_FILE_READS] = disk->nr[XIO_READ];
	st->val[MARS_V_FILE_WRITES] = disk->nr[XIO_WRITE];
	st->val[MARS_V_FILE_FLUSHES] = disk->nr[XIO_FLUSH];
	spin_unlock_irqrestore(&disk->lock, flags);
	st->nr_val = MARS_V_FILE_FLUSHES + 1;
}

const struct mars_brick_type faulty_brick_type = {
	.name = "faulty",
	.has_output = true,
	.size = sizeof(struct faulty_disk),
	.aspect_size = sizeof(struct faulty_aspect),
	.construct = faulty_construct,
	.destruct = faulty_destruct,
	.set = faulty_set,
	.power = faulty_power,
	.submit = faulty_submit,
	.get_info = faulty_get_info,
	.status = faulty_status,
};
