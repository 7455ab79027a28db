/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compat.h - what the oldest supported kernel lacks, with the meaning of newer ones
 *
 * Put in front of every source by Kbuild; the portable code knows nothing of it and
 * just uses the newer name.  Whether something is there is found by compiling
 * probe/NAME.c against the headers at hand, never by a version number; probes.h, made
 * by Kbuild, then defines HAVE_NAME.
 */
#ifndef _MARS_COMPAT_H
#define _MARS_COMPAT_H

#include <linux/bvec.h>
#include <linux/mm.h>

#include "probes.h"

#ifndef HAVE_BVEC_SET_VIRT
static inline void bvec_set_virt(struct bio_vec *bv, void *vaddr, unsigned int len)
{
	bv->bv_page = virt_to_page(vaddr);
	bv->bv_len = len;
	bv->bv_offset = offset_in_page(vaddr);
}
#endif

#endif /* _MARS_COMPAT_H */
