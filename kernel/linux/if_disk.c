// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * if_disk.c - the gendisk of an if brick: limits, opening, its way up and down
 *
 * Limits say what is true below: block size and longest request from xio_info, preferred
 * sizes from the device at the bottom.  A logger takes any discard and zeroing as one
 * record; but where the device at the bottom can't clear space fast, a discard would end
 * as a write of zeros over the whole range, so none is offered.  Writing zeros is, as
 * that is less than logging them.
 *
 * Write cache: always there and with FUA, as a logger is a volatile cache that keeps its
 * promises.  It is off at first ("write through") when what is below says that it needs
 * no flush; see if_io.c for what off means.
 *
 * Pages need not be stable above a logger: it checksums its own copy.  Without one the
 * device's wish is passed on.
 *
 * No partitions: the second one of "data" would be named like the disk "data2", and a
 * host must not look into tables that belong to a guest.  kpartx makes them on purpose.
 *
 * Numbers come from the extended range, as for nvme: there are enough of them, and tools
 * with a list of majors (LVM) know it.
 */
#include <linux/device.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/module.h>

#include "bdev.h"
#include "compat/disk.h"
#include "core/types.h"
#include "if.h"

#define IF_PHYSICAL	4096u			/* a log block: less costs as much */
#define IF_CLEAR_MAX	((1u << 30) >> SECTOR_SHIFT)	/* longest discard or zeroing */
#define IF_DMA_MASK	511u			/* memory alignment any disk below can do with */

/* --- opening --- */

static int if_open(struct gendisk *disk, blk_mode_t mode)
{
	struct if_brick *ifb = disk->private_data;
	bool in;

	if (mode & BLK_OPEN_WRITE && get_disk_ro(disk))
		return -EROFS;
	spin_lock(&ifb->lock);
	in = !ifb->closing;
	ifb->opens += in;
	spin_unlock(&ifb->lock);
	if (!in)
		return -ENXIO;
	mars_brick_event(&ifb->brick, MARS_EV_OPEN);
	return 0;
}

static void if_release(struct gendisk *disk)
{
	struct if_brick *ifb = disk->private_data;

	spin_lock(&ifb->lock);
	ifb->opens--;
	spin_unlock(&ifb->lock);
	/* still here: deleting the disk waits for our caller's open_mutex */
	mars_brick_event(&ifb->brick, MARS_EV_OPEN);
}

/*
 * BLKROSET: what is read-only by order or from below stays so.  get_disk_ro() would also
 * count what BLKROSET itself set, and never let go of it.
 */
static int if_set_read_only(struct block_device *bdev, bool ro)
{
	return !ro && test_bit(GD_READ_ONLY, &bdev->bd_disk->state) ? -EROFS : 0;
}

DISK_OPEN_RELEASE(if)

static const struct block_device_operations if_ops = {
	.owner		= THIS_MODULE,
	.submit_bio	= if_submit_bio,
	.open		= disk_open_op(if),
	.release	= disk_release_op(if),
	.set_read_only	= if_set_read_only,
};

/* --- limits --- */

/* The brick a plain request reaches next; mars_topology_lock. */
static struct mars_brick *next_below(struct mars_brick *brick)
{
	unsigned int inputs = brick->type->forwards;

	return inputs ? brick->input[__ffs(inputs)].to : NULL;
}

/* The first logger on the way down, or NULL, and the end of the way; mars_topology_lock. */
static struct mars_brick *look_below(struct if_brick *ifb, struct mars_brick **bottom)
{
	struct mars_brick *b, *logger = NULL;

	for (b = ifb->brick.input[0].to; b; b = next_below(b)) {
		if (b->type == &logger_brick_type && !logger)
			logger = b;
		*bottom = b;
	}
	return logger;
}

/* Remember what this disk stands on. */
static void take_below(struct if_brick *ifb)
{
	ifb->logger = look_below(ifb, &ifb->bottom);
	ifb->lower = mars_bdev_of(ifb->bottom, &ifb->claimed);
	if (ifb->lower)
		get_device(&ifb->lower->bd_device);
}

static void put_below(struct if_brick *ifb)
{
	if (ifb->lower)
		put_device(&ifb->lower->bd_device);
}

static u32 block_bytes(const struct xio_info *info)
{
	return roundup_pow_of_two(max_t(u32, info->align, SECTOR_SIZE));
}

static void stack_limits(const struct if_brick *ifb, const struct xio_info *info,
			 struct queue_limits *lim)
{
	u32 block = block_bytes(info);
	struct block_device *lower = ifb->lower;
	bool clears = !lower || bdev_write_zeroes_sectors(lower);

	memset(lim, 0, sizeof(*lim));
	lim->logical_block_size = block;
	lim->physical_block_size = IF_PHYSICAL;
	lim->dma_alignment = IF_DMA_MASK;
	if (lower) {
		lim->physical_block_size = max(IF_PHYSICAL, bdev_physical_block_size(lower));
		lim->io_opt = bdev_io_opt(lower);
		lim->dma_alignment = max(IF_DMA_MASK, bdev_dma_alignment(lower));
	}
	lim->io_min = lim->physical_block_size;
	lim->max_hw_sectors = round_down(min(info->max_io, XIO_MAX_IO), block) >> SECTOR_SHIFT;
	lim->max_segments = BIO_MAX_VECS;
	lim->max_segment_size = UINT_MAX;
	lim->discard_granularity = lim->physical_block_size;
	lim->max_hw_discard_sectors = clears ? IF_CLEAR_MAX : 0;
	lim->max_write_zeroes_sectors = IF_CLEAR_MAX;
}

static blk_features_t features(const struct if_brick *ifb, const struct xio_info *info)
{
	blk_features_t f = BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA | BLK_FEAT_IO_STAT |
			   BLK_FEAT_NOWAIT;

	if (info->rotational)
		f |= BLK_FEAT_ROTATIONAL;
	if (ifb->lower && !ifb->logger && bdev_stable_writes(ifb->lower))
		f |= BLK_FEAT_STABLE_WRITES;
	return f;
}

/* Whole blocks of what is below, in sectors. */
static sector_t capacity(const struct xio_info *info)
{
	return round_down(info->size, (u64)block_bytes(info)) >> SECTOR_SHIFT;
}

/* --- life --- */

static int get_info(struct if_brick *ifb, struct xio_info *info, enum mars_reason *reason)
{
	int err = mars_input_info(&ifb->brick.input[0], info);

	if (err)
		return mars_refuse(reason, err == -ENOTCONN ? MARS_R_NOT_CONNECTED : MARS_R_IO);
	if (block_bytes(info) > PAGE_SIZE || info->max_io < PAGE_SIZE)
		return mars_refuse(reason, MARS_R_BAD_VALUE);
	if (!capacity(info))
		return mars_refuse(reason, MARS_R_TOO_SMALL);
	return 0;
}

int if_disk_alloc(struct if_brick *ifb, enum mars_reason *reason)
{
	struct queue_limits lim;
	struct gendisk *disk;
	struct xio_info info;
	int err;

	err = get_info(ifb, &info, reason);
	if (err)
		return err;
	take_below(ifb);
	stack_limits(ifb, &info, &lim);
	disk = disk_alloc(&lim, features(ifb, &info), !info.volatile_cache);
	if (IS_ERR(disk)) {
		put_below(ifb);
		err = PTR_ERR(disk);
		return mars_refuse(reason, err == -ENOMEM ? MARS_R_NO_MEMORY : MARS_R_IO);
	}
	snprintf(disk->disk_name, sizeof(disk->disk_name), MARS_DISK_PREFIX "%s", ifb->name);
	disk->flags |= GENHD_FL_NO_PART;
	disk->fops = &if_ops;
	disk->private_data = ifb;
	set_capacity(disk, capacity(&info));
	set_disk_ro(disk, ifb->read_only || info.read_only);
	ifb->disk = disk;
	return 0;
}

void if_disk_free(struct if_brick *ifb)
{
	put_disk(ifb->disk);
	put_below(ifb);
	WRITE_ONCE(ifb->disk, NULL);
}

int if_disk_add(struct if_brick *ifb)
{
	int err = device_add_disk(NULL, ifb->disk, if_sysfs_groups);

	ifb->added = !err;
	if (err) {
		pr_err("mars: %s can't be added: error %d\n", ifb->disk->disk_name, err);
		return err;
	}
	/* only for who looks (lsblk); bottom stays on, and the claim with it, while we are here */
	ifb->linked = ifb->claimed && !bd_link_disk_holder(ifb->lower, ifb->disk);
	return 0;
}

void if_disk_del(struct if_brick *ifb)
{
	if (ifb->linked)
		bd_unlink_disk_holder(ifb->lower, ifb->disk);
	if (ifb->added)
		del_gendisk(ifb->disk);
	ifb->linked = false;
	ifb->added = false;
}

int if_disk_stands(struct if_brick *ifb, enum mars_reason *reason)
{
	struct mars_brick *logger, *bottom = NULL;

	logger = look_below(ifb, &bottom);
	if (logger != ifb->logger || bottom != ifb->bottom)
		return mars_refuse(reason, MARS_R_NOT_NOW);
	return 0;
}

/* Limits said once can't be taken back: file systems and stacked disks rely on them. */
int if_disk_fits(struct if_brick *ifb, enum mars_reason *reason)
{
	struct request_queue *q = ifb->disk->queue;
	struct xio_info info;
	int err;

	err = if_disk_stands(ifb, reason);
	if (err)
		return err;
	err = get_info(ifb, &info, reason);
	if (err)
		return err;
	if (capacity(&info) < get_capacity(ifb->disk))
		return mars_refuse(reason, MARS_R_TOO_SMALL);
	if (block_bytes(&info) > queue_logical_block_size(q) ||
	    info.max_io >> SECTOR_SHIFT < queue_max_hw_sectors(q) ||
	    (info.read_only && !get_disk_ro(ifb->disk)))
		return mars_refuse(reason, MARS_R_NOT_NOW);
	return 0;
}

int if_disk_resize(struct if_brick *ifb, enum mars_reason *reason)
{
	struct xio_info info;
	int err = get_info(ifb, &info, reason);

	if (err)
		return err;
	if (capacity(&info) < get_capacity(ifb->disk))
		return mars_refuse(reason, MARS_R_TOO_SMALL);
	set_capacity_and_notify(ifb->disk, capacity(&info));
	return 0;
}
