// SPDX-License-Identifier: GPL-2.0-or-later
/* Compiles when bvec_set_virt() exists: since 6.3, and in some stable trees. */
#include <linux/bvec.h>

void probe(struct bio_vec *bv, void *mem);

void probe(struct bio_vec *bv, void *mem)
{
	bvec_set_virt(bv, mem, 512);
}
