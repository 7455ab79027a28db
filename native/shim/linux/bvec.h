/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bvec.h - segments of memory; one may span several neighbouring pages */
#ifndef _SHIM_LINUX_BVEC_H
#define _SHIM_LINUX_BVEC_H

#include <linux/mm.h>

struct bio_vec {
	struct page *bv_page;
	unsigned int bv_len;
	unsigned int bv_offset;
};

static inline void bvec_set_page(struct bio_vec *bv, struct page *page,
				 unsigned int len, unsigned int offset)
{
	bv->bv_page = page;
	bv->bv_len = len;
	bv->bv_offset = offset;
}

static inline void bvec_set_virt(struct bio_vec *bv, void *vaddr, unsigned int len)
{
	bvec_set_page(bv, virt_to_page(vaddr), len, offset_in_page(vaddr));
}

static inline void *bvec_virt(struct bio_vec *bv)
{
	return (char *)page_address(bv->bv_page) + bv->bv_offset;
}

static inline void *bvec_kmap_local(struct bio_vec *bv)
{
	return bvec_virt(bv);
}

#endif /* _SHIM_LINUX_BVEC_H */
