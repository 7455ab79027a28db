// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memory.c - kmalloc, pages, caches and pools on the C library
 *
 * Counters are split over a few cache lines, so counting costs threads nothing.
 * Failure injection (exec.h) sits in front of every allocation.
 */
#include <stdlib.h>
#include <string.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/mm.h>
#include <linux/mempool.h>
#include <linux/log2.h>

#include "exec.h"
#include "exec_internal.h"

#define SHARDS 16

static struct {
	long tried;	/* atomic */
	long live;	/* atomic */
} ____cacheline_aligned count[SHARDS];

static long fail_countdown = -1;	/* atomic; allocations until the failure */
static bool fail_fired;			/* atomic */

static unsigned int my_shard(void)
{
	static unsigned int next;
	static __thread unsigned int mine;	/* number + 1 */

	if (unlikely(!mine))
		mine = 1 + __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED) % SHARDS;
	return mine - 1;
}

void exec_fail_alloc_at(long n)
{
	__atomic_store_n(&fail_fired, false, __ATOMIC_SEQ_CST);
	__atomic_store_n(&fail_countdown, n == 0 ? 1 : n, __ATOMIC_SEQ_CST);
}

bool exec_fail_alloc_fired(void)
{
	return __atomic_load_n(&fail_fired, __ATOMIC_SEQ_CST);
}

long exec_alloc_count(void)
{
	long sum = 0;

	for (int i = 0; i < SHARDS; i++)
		sum += __atomic_load_n(&count[i].tried, __ATOMIC_SEQ_CST);
	return sum;
}

long exec_live_allocs(void)
{
	long sum = 0;

	for (int i = 0; i < SHARDS; i++)
		sum += __atomic_load_n(&count[i].live, __ATOMIC_SEQ_CST);
	return sum;
}

static bool injected_failure(gfp_t gfp)
{
	if (likely(READ_ONCE(fail_countdown) < 0) || gfp & __GFP_NOFAIL)
		return false;
	if (__atomic_fetch_sub(&fail_countdown, 1, __ATOMIC_SEQ_CST) != 1)
		return false;
	__atomic_store_n(&fail_countdown, -1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&fail_fired, true, __ATOMIC_SEQ_CST);
	return true;
}

static void *allocate(size_t size, size_t align, gfp_t gfp)
{
	void *p;

	might_sleep_if(gfpflags_allow_blocking(gfp));
	__atomic_fetch_add(&count[my_shard()].tried, 1, __ATOMIC_RELAXED);
	if (unlikely(size > SIZE_MAX / 2 || injected_failure(gfp)))
		return NULL;
	if (align <= 16)
		p = gfp & __GFP_ZERO ? calloc(1, size) : malloc(size);
	else if (posix_memalign(&p, align, size) != 0)
		p = NULL;
	if (!p)
		return NULL;
	if (align > 16 && gfp & __GFP_ZERO)
		memset(p, 0, size);
	__atomic_fetch_add(&count[my_shard()].live, 1, __ATOMIC_RELAXED);
	return p;
}

static void release(void *p)
{
	if (!p)
		return;
	__atomic_fetch_sub(&count[my_shard()].live, 1, __ATOMIC_RELAXED);
	free(p);
}

/* Natural alignment matters for IO only: small sizes take the fast path. */
static size_t natural_align(size_t size)
{
	return size >= 512 && is_power_of_2(size) ? min(size, (size_t)PAGE_SIZE) : 16;
}

void *kmalloc(size_t size, gfp_t gfp)
{
	if (size > KMALLOC_MAX_SIZE)
		return NULL;
	return allocate(size ? size : 1, natural_align(size), gfp);
}

void kfree(const void *p)
{
	release((void *)p);
}

void *krealloc(const void *p, size_t size, gfp_t gfp)
{
	if (!p)
		return kmalloc(size, gfp);
	if (!size) {
		kfree(p);
		return NULL;
	}
	BUG_ON(gfp & __GFP_ZERO);	/* the old size is not known */
	__atomic_fetch_add(&count[my_shard()].tried, 1, __ATOMIC_RELAXED);
	if (injected_failure(gfp) || size > KMALLOC_MAX_SIZE)
		return NULL;
	return realloc((void *)p, size);
}

void *kvmalloc(size_t size, gfp_t gfp)
{
	return allocate(size ? size : 1, natural_align(size), gfp);
}

void kvfree(const void *p)
{
	release((void *)p);
}

struct page *alloc_pages(gfp_t gfp, unsigned int order)
{
	return allocate(PAGE_SIZE << order, PAGE_SIZE, gfp);
}

void __free_pages(struct page *page, unsigned int order)
{
	release(page);
}

void *alloc_pages_exact(size_t size, gfp_t gfp)
{
	return allocate(PAGE_ALIGN(size), PAGE_SIZE, gfp);
}

void free_pages_exact(void *virt, size_t size)
{
	release(virt);
}

/* --- caches --- */

struct kmem_cache {
	unsigned int size;
	unsigned int align;
	void (*ctor)(void *object);
};

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     unsigned int flags, void (*ctor)(void *))
{
	struct kmem_cache *s = kmalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return NULL;
	s->size = size;
	s->align = flags & SLAB_HWCACHE_ALIGN ? 64 : align;
	s->ctor = ctor;
	return s;
}

void kmem_cache_destroy(struct kmem_cache *s)
{
	kfree(s);
}

void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp)
{
	void *p = allocate(s->size, s->align, gfp);

	if (p && s->ctor)
		s->ctor(p);
	return p;
}

void kmem_cache_free(struct kmem_cache *s, void *p)
{
	release(p);
}

/* --- pools --- */

static bool take_reserve(mempool_t *pool, void **element)
{
	unsigned long flags;
	bool got = false;

	spin_lock_irqsave(&pool->lock, flags);
	if (pool->curr_nr > 0) {
		WRITE_ONCE(pool->curr_nr, pool->curr_nr - 1);
		*element = pool->elements[pool->curr_nr];
		got = true;
	}
	spin_unlock_irqrestore(&pool->lock, flags);
	return got;
}

static bool put_reserve(mempool_t *pool, void *element)
{
	unsigned long flags;
	bool put = false;

	spin_lock_irqsave(&pool->lock, flags);
	if (pool->curr_nr < pool->min_nr) {
		pool->elements[pool->curr_nr] = element;
		WRITE_ONCE(pool->curr_nr, pool->curr_nr + 1);
		put = true;
	}
	spin_unlock_irqrestore(&pool->lock, flags);
	return put;
}

void mempool_exit(mempool_t *pool)
{
	while (pool->curr_nr > 0) {
		pool->curr_nr--;
		pool->free(pool->elements[pool->curr_nr], pool->pool_data);
	}
	kfree(pool->elements);
	pool->elements = NULL;
}

int mempool_init(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn,
		 mempool_free_t *free_fn, void *pool_data)
{
	spin_lock_init(&pool->lock);
	pool->min_nr = min_nr;
	pool->curr_nr = 0;
	pool->pool_data = pool_data;
	pool->alloc = alloc_fn;
	pool->free = free_fn;
	pool->elements = kmalloc_array(max(1, min_nr), sizeof(void *), GFP_KERNEL);
	if (!pool->elements)
		return -ENOMEM;
	while (pool->curr_nr < min_nr) {
		void *element = alloc_fn(GFP_KERNEL, pool_data);

		if (!element) {
			mempool_exit(pool);
			return -ENOMEM;
		}
		pool->elements[pool->curr_nr++] = element;
	}
	return 0;
}

mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc_fn,
			  mempool_free_t *free_fn, void *pool_data)
{
	mempool_t *pool = kzalloc(sizeof(*pool), GFP_KERNEL);

	if (pool && mempool_init(pool, min_nr, alloc_fn, free_fn, pool_data) != 0) {
		kfree(pool);
		pool = NULL;
	}
	return pool;
}

void mempool_destroy(mempool_t *pool)
{
	if (!pool)
		return;
	mempool_exit(pool);
	kfree(pool);
}

struct pool_wait {
	mempool_t *pool;
	void *element;
};

static bool pool_wait_over(void *arg)
{
	struct pool_wait *wait = arg;

	return take_reserve(wait->pool, &wait->element);
}

void *mempool_alloc(mempool_t *pool, gfp_t gfp)
{
	struct pool_wait wait = { .pool = pool };

	might_sleep_if(gfpflags_allow_blocking(gfp));
	wait.element = pool->alloc((gfp & ~__GFP_DIRECT_RECLAIM) | __GFP_NOWARN, pool->pool_data);
	if (wait.element || take_reserve(pool, &wait.element))
		return wait.element;
	if (!gfpflags_allow_blocking(gfp))
		return NULL;
	exec_wait(pool_wait_over, &wait);
	return wait.element;
}

void mempool_free(void *element, mempool_t *pool)
{
	if (!element)
		return;
	if (READ_ONCE(pool->curr_nr) < pool->min_nr && put_reserve(pool, element)) {
		exec_notify();
		return;
	}
	pool->free(element, pool->pool_data);
}

void *mempool_kmalloc(gfp_t gfp, void *pool_data)
{
	return kmalloc((size_t)pool_data, gfp);
}

void mempool_kfree(void *element, void *pool_data)
{
	kfree(element);
}

void *mempool_alloc_slab(gfp_t gfp, void *pool_data)
{
	return kmem_cache_alloc(pool_data, gfp);
}

void mempool_free_slab(void *element, void *pool_data)
{
	kmem_cache_free(pool_data, element);
}

void *mempool_alloc_pages(gfp_t gfp, void *pool_data)
{
	return alloc_pages(gfp, (unsigned int)(long)pool_data);
}

void mempool_free_pages(void *element, void *pool_data)
{
	__free_pages(element, (unsigned int)(long)pool_data);
}
