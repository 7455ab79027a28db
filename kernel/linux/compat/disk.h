/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * disk.h - making a bio-based disk, whatever it takes in this kernel
 *
 * A disk gets its limits at birth (6.9), and features are among them (6.11); older
 * kernels have a function for each.  Here features are always said apart, by their
 * newest names.
 */
#ifndef _MARS_COMPAT_DISK_H
#define _MARS_COMPAT_DISK_H

#include <linux/blkdev.h>
#include <linux/err.h>

#ifndef HAVE_QUEUE_FEATURES

typedef unsigned int blk_features_t;
#define BLK_FEAT_WRITE_CACHE	(1u << 0)
#define BLK_FEAT_FUA		(1u << 1)
#define BLK_FEAT_ROTATIONAL	(1u << 2)
#define BLK_FEAT_IO_STAT	(1u << 4)
#define BLK_FEAT_STABLE_WRITES	(1u << 5)
#define BLK_FEAT_NOWAIT		(1u << 7)

static inline void disk_apply_features(struct request_queue *q, blk_features_t features,
				       bool write_through)
{
	static const struct {
		blk_features_t feature;
		unsigned int flag;
	} map[] = {
		{ BLK_FEAT_IO_STAT, QUEUE_FLAG_IO_STAT },
		{ BLK_FEAT_STABLE_WRITES, QUEUE_FLAG_STABLE_WRITES },
		{ BLK_FEAT_NOWAIT, QUEUE_FLAG_NOWAIT },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(map); i++)
		if (features & map[i].feature)
			blk_queue_flag_set(map[i].flag, q);
	if (!(features & BLK_FEAT_ROTATIONAL))
		blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	blk_queue_write_cache(q, features & BLK_FEAT_WRITE_CACHE, features & BLK_FEAT_FUA);
	if (write_through)
		blk_queue_flag_clear(QUEUE_FLAG_WC, q);
}

#endif /* HAVE_QUEUE_FEATURES */

#ifndef HAVE_BLK_ALLOC_DISK_LIMITS

static inline struct gendisk *disk_alloc_bare(const struct queue_limits *lim)
{
	struct gendisk *disk = blk_alloc_disk(NUMA_NO_NODE);
	struct request_queue *q;

	if (!disk)
		return ERR_PTR(-ENOMEM);
	q = disk->queue;
	blk_queue_logical_block_size(q, lim->logical_block_size);
	blk_queue_physical_block_size(q, lim->physical_block_size);
	blk_queue_io_min(q, lim->io_min);
	blk_queue_io_opt(q, lim->io_opt);
	blk_queue_max_hw_sectors(q, lim->max_hw_sectors);
	blk_queue_max_segments(q, lim->max_segments);
	blk_queue_max_segment_size(q, lim->max_segment_size);
	blk_queue_dma_alignment(q, lim->dma_alignment);
	blk_queue_max_discard_sectors(q, lim->max_hw_discard_sectors);
	blk_queue_max_write_zeroes_sectors(q, lim->max_write_zeroes_sectors);
	q->limits.discard_granularity = lim->discard_granularity;
	return disk;
}

#else

static inline struct gendisk *disk_alloc_bare(struct queue_limits *lim)
{
	return blk_alloc_disk(lim, NUMA_NO_NODE);
}

#endif /* HAVE_BLK_ALLOC_DISK_LIMITS */

/*
 * disk_alloc - a bio-based disk, or ERR_PTR
 *
 * @write_through: its volatile cache is switched off for now, as by queue/write_cache
 */
static inline struct gendisk *disk_alloc(struct queue_limits *lim, blk_features_t features,
					 bool write_through)
{
	struct gendisk *disk;

#ifdef HAVE_QUEUE_FEATURES
	lim->features = features;
	if (write_through)
		lim->flags |= BLK_FLAG_WRITE_CACHE_DISABLED;
#endif
	disk = disk_alloc_bare(lim);
#ifndef HAVE_QUEUE_FEATURES
	if (!IS_ERR(disk))
		disk_apply_features(disk->queue, features, write_through);
#endif
	return disk;
}

/*
 * DISK_OPEN_RELEASE(name) - make name_open(disk, mode) and name_release(disk), which stand
 * before it, fit for disk_open_op(name) and disk_release_op(name)
 */
#ifdef HAVE_DISK_OPEN_GENDISK

#define DISK_OPEN_RELEASE(name)
#define disk_open_op(name)	name##_open
#define disk_release_op(name)	name##_release

#else

typedef fmode_t blk_mode_t;
#define BLK_OPEN_WRITE	FMODE_WRITE

#define DISK_OPEN_RELEASE(name)							\
	static int name##_open_bdev(struct block_device *bdev, fmode_t mode)	\
	{									\
		return name##_open(bdev->bd_disk, mode);			\
	}									\
	static void name##_release_mode(struct gendisk *disk, fmode_t mode)	\
	{									\
		name##_release(disk);						\
	}
#define disk_open_op(name)	name##_open_bdev
#define disk_release_op(name)	name##_release_mode

#endif /* HAVE_DISK_OPEN_GENDISK */

#endif /* _MARS_COMPAT_DISK_H */
