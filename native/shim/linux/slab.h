/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * slab.h - kmalloc and relatives
 *
 * Sizes that are powers of two are naturally aligned up to a page, as in the
 * kernel.  Live allocations are counted: exec_live_allocs() in exec.h.
 */
#ifndef _SHIM_LINUX_SLAB_H
#define _SHIM_LINUX_SLAB_H

#include <linux/types.h>
#include <linux/gfp.h>
#include <linux/overflow.h>

#define ARCH_KMALLOC_MINALIGN 8
#define SLAB_HWCACHE_ALIGN	0x2000u
#define KMALLOC_MAX_SIZE	(4UL << 20)

void *kmalloc(size_t size, gfp_t gfp) __attribute__((__malloc__));
void *krealloc(const void *p, size_t size, gfp_t gfp) __must_check;
void kfree(const void *p);

static inline void *kzalloc(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp | __GFP_ZERO);
}

static inline void *kmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	return kmalloc(size_mul(n, size), gfp);
}

static inline void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kmalloc_array(n, size, gfp | __GFP_ZERO);
}

/** kvmalloc - like kmalloc, but may be larger than KMALLOC_MAX_SIZE; may sleep */
void *kvmalloc(size_t size, gfp_t gfp) __attribute__((__malloc__));
void kvfree(const void *p);
#define kvzalloc(size, gfp)		kvmalloc(size, (gfp) | __GFP_ZERO)
#define kvmalloc_array(n, size, gfp)	kvmalloc(size_mul(n, size), gfp)
#define kvcalloc(n, size, gfp)		kvmalloc_array(n, size, (gfp) | __GFP_ZERO)

struct kmem_cache;
struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     unsigned int flags, void (*ctor)(void *));
void kmem_cache_destroy(struct kmem_cache *s);
void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp) __attribute__((__malloc__));
void kmem_cache_free(struct kmem_cache *s, void *p);
#define kmem_cache_zalloc(s, gfp)	kmem_cache_alloc(s, (gfp) | __GFP_ZERO)

#endif /* _SHIM_LINUX_SLAB_H */
