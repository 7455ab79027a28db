/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mm.h - pages
 *
 * A struct page is the page itself: its address is the address of the memory.
 * So page_address() and virt_to_page() are casts, pages of one allocation are
 * neighbours, and nothing needs a map of memory.  No field may be used.
 */
#ifndef _SHIM_LINUX_MM_H
#define _SHIM_LINUX_MM_H

#include <linux/types.h>
#include <linux/gfp.h>
#include <linux/align.h>
#include <linux/slab.h>

#undef PAGE_SHIFT
#undef PAGE_SIZE
#undef PAGE_MASK
#define PAGE_SHIFT	12
#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#define PAGE_MASK	(~(PAGE_SIZE - 1))
#define PAGE_ALIGN(x)	ALIGN((x), PAGE_SIZE)
#define PFN_UP(x)	(((x) + PAGE_SIZE - 1) >> PAGE_SHIFT)
#define PFN_DOWN(x)	((x) >> PAGE_SHIFT)
#define offset_in_page(p) ((unsigned int)((unsigned long)(p) & ~PAGE_MASK))

struct page {
	unsigned char shim_memory[PAGE_SIZE];
};

static inline void *page_address(const struct page *page)
{
	return (void *)page;
}

static inline struct page *virt_to_page(const void *addr)
{
	return (struct page *)((unsigned long)addr & PAGE_MASK);
}

#define nth_page(page, n)	((page) + (n))

/* All memory is mapped linearly, so there is no other kind. */
static inline bool is_vmalloc_addr(const void *addr)
{
	return false;
}

static inline struct page *vmalloc_to_page(const void *addr)
{
	return virt_to_page(addr);
}

static inline unsigned int get_order(unsigned long size)
{
	unsigned int order = 0;

	while ((PAGE_SIZE << order) < size)
		order++;
	return order;
}

#endif /* _SHIM_LINUX_MM_H */
