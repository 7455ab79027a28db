// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * logger_shadow.c - shadow memory, the index of newest data, and the fifo
 *
 * Memory has a hard limit, the credits.  It grows on demand without waiting, and a
 * reserve is allocated at power-on, so that a request always gets through in the end:
 * when everything is retired, the whole reserve is free and contiguous.  One shadow is
 * one contiguous run of pages; a request that finds memory fragmented becomes several
 * records.  Taking is all or nothing.
 *
 * A shadow gives its pages back with its last reference: it is durable, nobody reads
 * or writes it back, and no byte in the index is its.  The structure stays in the fifo
 * until the shadow is retired.
 *
 * Everything here runs under logger.lock, in any context, unless it says otherwise.
 */
#include <linux/bitops.h>
#include <linux/bug.h>
#include <linux/errno.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "logger.h"

#define LG_STEPS	256U	/* shadows or chunks handled in one go, lock held */

struct lg_batch {
	struct list_head link;
	struct lg_shadow shadow[LG_BATCH_SHADOWS];
};
static_assert(sizeof(struct lg_batch) <= PAGE_SIZE);

/* --- pages --- */

static bool pool_grow_by(struct lg_pool *pool, unsigned int nr, gfp_t gfp)
{
	struct lg_chunk *chunk;

	if (pool->total + nr > pool->limit)
		return false;
	chunk = kzalloc(sizeof(*chunk), gfp);
	if (!chunk)
		return false;
	chunk->mem = alloc_pages_exact(nr * PAGE_SIZE, gfp | __GFP_NOWARN);
	if (!chunk->mem) {
		kfree(chunk);
		return false;
	}
	chunk->nr = nr;
	chunk->nr_free = nr;
	chunk->free = nr == 64 ? ~0ULL : BIT_ULL(nr) - 1;
	list_add_tail(&chunk->link, &pool->empty);
	pool->total += nr;
	return true;
}

/*
 * Contiguous if that is easy to have, page by page if not: no reclaim is started for
 * the sake of a large piece.
 */
static bool pool_grow(struct lg_pool *pool, gfp_t gfp)
{
	gfp_t easy = (gfp & ~__GFP_KSWAPD_RECLAIM) | __GFP_NORETRY;
	unsigned int nr;

	for (nr = LG_CHUNK_PAGES; nr; nr /= 4)
		if (pool_grow_by(pool, nr, nr > 1 ? easy : gfp))
			return true;
	return false;
}

static bool pool_has_pages(struct lg_pool *pool, unsigned long pages)
{
	if (pool->used + pages > pool->limit)
		return false;
	while (pool->total - pool->used < pages)
		if (!pool_grow(pool, GFP_NOWAIT | __GFP_NOWARN))
			return false;
	return true;
}

/* The chunk to take from; there is a free page. */
static struct lg_chunk *pool_chunk(struct lg_pool *pool)
{
	if (!pool->cur || !pool->cur->nr_free) {
		pool->cur = list_first_entry(list_empty(&pool->empty) ? &pool->partial :
					     &pool->empty, struct lg_chunk, link);
		list_del_init(&pool->cur->link);
	}
	return pool->cur;
}

static u64 run_mask(unsigned int first, unsigned int nr)
{
	return (nr == 64 ? ~0ULL : BIT_ULL(nr) - 1) << first;
}

/* Give @s the first free run of at most @pages pages; how many it got. */
static unsigned int pool_take(struct lg_pool *pool, struct lg_shadow *s, unsigned long pages)
{
	struct lg_chunk *chunk = pool_chunk(pool);
	unsigned int first = __ffs(chunk->free);
	u64 stop = ~(chunk->free >> first);
	unsigned int nr = min_t(unsigned long, pages, stop ? __ffs(stop) : 64);

	chunk->free &= ~run_mask(first, nr);
	chunk->nr_free -= nr;
	s->chunk = chunk;
	s->first = first;
	s->pages = nr;
	s->mem = (char *)chunk->mem + first * PAGE_SIZE;
	pool->used += nr;
	pool->peak = max(pool->peak, pool->used);
	return nr;
}

static void pool_put(struct lg_pool *pool, struct lg_shadow *s)
{
	struct lg_chunk *chunk = s->chunk;

	if (!chunk)
		return;
	chunk->free |= run_mask(s->first, s->pages);
	chunk->nr_free += s->pages;
	pool->used -= s->pages;
	s->chunk = NULL;
	s->mem = NULL;
	s->pages = 0;
	if (chunk == pool->cur)
		return;
	list_del_init(&chunk->link);
	list_add(&chunk->link, chunk->nr_free == chunk->nr ? &pool->empty : &pool->partial);
}

/*
 * Move empty chunks to @unused until no more than @keep pages are left, at most @max of
 * them; true: there may be more.
 */
static bool pool_shrink(struct lg_pool *pool, unsigned long keep, unsigned int max,
			struct list_head *unused)
{
	struct lg_chunk *chunk, *tmp;

	list_for_each_entry_safe(chunk, tmp, &pool->empty, link) {
		if (pool->total - chunk->nr < keep)
			continue;
		pool->total -= chunk->nr;
		list_move_tail(&chunk->link, unused);
		if (!--max)
			return true;
	}
	return false;
}

/*
 * lg_pool_trim - when all is quiet, collect memory beyond the reserve in @unused
 *
 * A piece at a time; true: there may be more.
 */
bool lg_pool_trim(struct logger *lg, struct list_head *unused)
{
	return !lg->pool.used && pool_shrink(&lg->pool, LG_RESERVE / PAGE_SIZE, LG_STEPS, unused);
}

/** lg_pool_free - give chunks back to the system: long work, so not under the lock */
void lg_pool_free(struct list_head *unused)
{
	struct lg_chunk *chunk, *tmp;

	list_for_each_entry_safe(chunk, tmp, unused, link) {
		free_pages_exact(chunk->mem, chunk->nr * PAGE_SIZE);
		kfree(chunk);
		cond_resched();
	}
}

static bool pool_is_roomy(const struct lg_pool *pool)
{
	return pool->limit - pool->used >= pool->limit / 16 &&
	       pool->max_shadows - pool->nr_shadows + pool->nr_spare >= pool->max_shadows / 16;
}

/* --- structures --- */

static bool pool_grow_shadows(struct lg_pool *pool, gfp_t gfp)
{
	struct lg_batch *batch;
	unsigned int i;

	if (pool->nr_shadows + LG_BATCH_SHADOWS > pool->max_shadows)
		return false;
	batch = kzalloc(sizeof(*batch), gfp);
	if (!batch)
		return false;
	list_add(&batch->link, &pool->batches);
	for (i = 0; i < LG_BATCH_SHADOWS; i++)
		list_add_tail(&batch->shadow[i].fifo, &pool->spare);
	pool->nr_spare += LG_BATCH_SHADOWS;
	pool->nr_shadows += LG_BATCH_SHADOWS;
	return true;
}

static bool pool_has_shadows(struct lg_pool *pool, unsigned long nr)
{
	while (pool->nr_spare < nr)
		if (!pool_grow_shadows(pool, GFP_NOWAIT | __GFP_NOWARN))
			return false;
	return true;
}

static struct lg_shadow *shadow_new(struct lg_pool *pool)
{
	struct lg_shadow *s = list_first_entry(&pool->spare, struct lg_shadow, fifo);

	list_del(&s->fifo);
	pool->nr_spare--;
	memset(s, 0, sizeof(*s));
	s->refs = 1;		/* until durable */
	return s;
}

static void shadow_free(struct lg_pool *pool, struct lg_shadow *s)
{
	pool_put(pool, s);
	list_add(&s->fifo, &pool->spare);
	pool->nr_spare++;
}

/** lg_pool_init - allocate the reserve; process context, before the logger is on */
int lg_pool_init(struct logger *lg)
{
	struct lg_pool *pool = &lg->pool;

	memset(pool, 0, sizeof(*pool));
	INIT_LIST_HEAD(&pool->empty);
	INIT_LIST_HEAD(&pool->partial);
	INIT_LIST_HEAD(&pool->spare);
	INIT_LIST_HEAD(&pool->batches);
	pool->limit = lg->credits / PAGE_SIZE;
	/* a record without payload needs a structure too */
	pool->max_shadows = max(2 * pool->limit, 4UL * LG_BATCH_SHADOWS);
	while (pool->total < LG_RESERVE / PAGE_SIZE)
		if (!pool_grow(pool, GFP_KERNEL))
			goto fail;
	while (pool->nr_shadows < LG_RESERVE / PAGE_SIZE)
		if (!pool_grow_shadows(pool, GFP_KERNEL))
			goto fail;
	return 0;
fail:
	lg_pool_exit(lg);
	return -ENOMEM;
}

/** lg_pool_exit - free everything; no shadow is in use */
void lg_pool_exit(struct logger *lg)
{
	struct lg_pool *pool = &lg->pool;
	struct lg_batch *batch, *tmp;
	LIST_HEAD(unused);

	WARN_ON(pool->used || pool->nr_spare != pool->nr_shadows);
	if (pool->cur)
		list_add(&pool->cur->link, &pool->empty);
	pool->cur = NULL;
	pool_shrink(pool, 0, UINT_MAX, &unused);
	lg_pool_free(&unused);
	list_for_each_entry_safe(batch, tmp, &pool->batches, link) {
		kfree(batch);
		cond_resched();
	}
	INIT_LIST_HEAD(&pool->batches);
	INIT_LIST_HEAD(&pool->spare);
	pool->nr_spare = 0;
	pool->nr_shadows = 0;
}

/**
 * lg_take - admit a request: memory and structures for its records
 * @lg: the logger
 * @pos: device range ...
 * @len: ... of the request
 * @payload: it has data; otherwise one record without memory
 * @shadows: out: its records, ascending
 *
 * False: not enough credits now, nothing was taken.
 */
bool lg_take(struct logger *lg, u64 pos, u64 len, bool payload, struct list_head *shadows)
{
	struct lg_pool *pool = &lg->pool;
	u64 end = pos + len;
	unsigned long pages = payload ? mars_log_span(pos, len) / PAGE_SIZE : 0;
	struct lg_shadow *s;
	u32 batch = 0;

	if (!pool_has_shadows(pool, max(pages, 1UL)) || !pool_has_pages(pool, pages))
		return false;
	do {
		u64 part = end - pos;

		s = shadow_new(pool);
		if (pages) {
			unsigned int got = pool_take(pool, s, pages);

			part = min(part, got * (u64)PAGE_SIZE - pos % PAGE_SIZE);
			pages -= got;
		}
		s->pos = pos;
		s->len = part;
		list_add_tail(&s->queue, shadows);
		pos += part;
		batch++;
	} while (pos < end);
	s = list_first_entry(shadows, struct lg_shadow, queue);
	s->batch = batch;
	s->batch_span = payload ? mars_log_span(s->pos, len) : 0;
	return true;
}

/** lg_put_back - give back what lg_take() gave, unused */
void lg_put_back(struct logger *lg, struct list_head *shadows)
{
	struct lg_shadow *s, *tmp;

	list_for_each_entry_safe(s, tmp, shadows, queue)
		shadow_free(&lg->pool, s);
}

/* --- index and fifo --- */

struct lg_cut {
	struct logger *lg;
	u64 seq;		/* of the shadow that replaces; 0 = written back */
};

static void lg_cut(void *ctx, struct mars_extent *ext, u64 pos, u64 len,
		   enum mars_extent_fate fate)
{
	struct lg_cut *cut = ctx;
	struct lg_shadow *old = ext->owner;

	if (cut->seq)
		old->super = cut->seq;
	if (fate == MARS_EXTENT_SPLIT)
		lg_get(old);
	else if (fate == MARS_EXTENT_GONE)
		lg_put(cut->lg, old);
}

/**
 * lg_insert - the next record of the log: make it visible
 * @lg: the logger
 * @s: the record
 *
 * Order: whoever comes later here is later in the log and newer for readers.
 */
void lg_insert(struct logger *lg, struct lg_shadow *s)
{
	struct lg_cut cut = { .lg = lg, .seq = ++lg->seq };

	s->seq = cut.seq;
	s->entered = ktime_get_ns();
	list_add_tail(&s->fifo, &lg->fifo);
	list_add_tail(&s->queue, &lg->queue);
	lg->queued += s->pages * PAGE_SIZE;
	s->ext.pos = s->pos;
	s->ext.len = s->len;
	s->ext.owner = s;
	lg_get(s);
	mars_extent_insert(&lg->index, &s->ext, &s->split, lg_cut, &cut);
}

/** lg_written - bytes of @s are on the data disk: what still was its in the range, is not */
void lg_written(struct logger *lg, struct lg_shadow *s, u64 pos, u64 len)
{
	struct lg_cut cut = { .lg = lg };

	mars_extent_remove_owner(&lg->index, pos, len, s, lg_cut, &cut);
}

void lg_get(struct lg_shadow *s)
{
	s->refs++;
}

void lg_put(struct logger *lg, struct lg_shadow *s)
{
	if (--s->refs)
		return;
	pool_put(&lg->pool, s);
	if (s->suspect)
		lg->nr_suspect--;
	s->suspect = false;
	s->failed = 0;
}

/*
 * lg_may_retire - is the head of the fifo settled?
 *
 * A shadow replaced by newer ones is settled only when those are durable: a replay
 * that starts behind it must find them.
 */
bool lg_may_retire(const struct logger *lg)
{
	const struct lg_shadow *s;

	if (list_empty(&lg->fifo))
		return false;
	s = list_first_entry(&lg->fifo, struct lg_shadow, fifo);
	return !s->refs && s->super <= lg->durable.seq;
}

/** lg_retire_some - remove from the head of the fifo what is settled; true: there is more */
bool lg_retire_some(struct logger *lg)
{
	unsigned int left;

	for (left = LG_STEPS; left && lg_may_retire(lg); left--) {
		struct lg_shadow *s = list_first_entry(&lg->fifo, struct lg_shadow, fifo);

		list_del(&s->fifo);
		shadow_free(&lg->pool, s);
	}
	/* those who wait are served in batches, not one for each page that returns */
	if (lg->nr_stalled && (pool_is_roomy(&lg->pool) || !lg->units_busy))
		lg_kick(lg);
	return lg_may_retire(lg);
}

/** lg_retire - remove what is settled, now or soon */
void lg_retire(struct logger *lg)
{
	if (lg_retire_some(lg))
		lg_kick(lg);
}

/*
 * lg_forget - the end: what could not be settled goes to @dropped
 *
 * Replay will find it in the log.  The caller hands @dropped to lg_drop().
 */
void lg_forget(struct logger *lg, struct list_head *dropped)
{
	list_splice_init(&lg->fifo, dropped);
	mars_extent_index_init(&lg->index);
	INIT_LIST_HEAD(&lg->queue);
	lg->queued = 0;
	lg->nr_suspect = 0;
}

/** lg_drop - free what lg_forget() gave, a piece at a time; process context */
void lg_drop(struct logger *lg, struct list_head *dropped)
{
	struct lg_shadow *s;
	unsigned long flags;
	unsigned int left;

	while (!list_empty(dropped)) {
		spin_lock_irqsave(&lg->lock, flags);
		for (left = LG_STEPS; left && !list_empty(dropped); left--) {
			s = list_first_entry(dropped, struct lg_shadow, fifo);
			list_del(&s->fifo);
			shadow_free(&lg->pool, s);
		}
		spin_unlock_irqrestore(&lg->lock, flags);
		cond_resched();
	}
}
