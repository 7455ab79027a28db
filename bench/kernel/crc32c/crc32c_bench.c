// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crc32c by the processor's instruction, for User Mode Linux.
 *
 * Every x86 kernel computes it with this instruction or faster (crc32c-intel); only under User
 * Mode Linux, which leaves arch/x86/crypto out, a table would be used, and the benchmark would
 * measure the table.  Loaded before libcrc32c, which takes the implementation of the highest
 * priority.  General registers only, so it may run in any context.  No state of its own.
 */
#include <asm/unaligned.h>
#include <crypto/internal/hash.h>
#include <linux/module.h>

static u32 crc32c_step(u32 crc, const u8 *data, unsigned int len)
{
	u64 sum = crc;

	for (; len >= 8; len -= 8, data += 8)
		asm("crc32q %1, %0" : "+r" (sum) : "rm" (get_unaligned((const u64 *)data)));
	for (; len; len--, data++)
		asm("crc32b %1, %k0" : "+r" (sum) : "rm" (*data));
	return sum;
}

static int bench_init(struct shash_desc *desc)
{
	*(u32 *)shash_desc_ctx(desc) = ~0;
	return 0;
}

static int bench_update(struct shash_desc *desc, const u8 *data, unsigned int len)
{
	u32 *crc = shash_desc_ctx(desc);

	*crc = crc32c_step(*crc, data, len);
	return 0;
}

static int bench_final(struct shash_desc *desc, u8 *out)
{
	put_unaligned_le32(~*(u32 *)shash_desc_ctx(desc), out);
	return 0;
}

static struct shash_alg bench_alg = {
	.init		= bench_init,
	.update		= bench_update,
	.final		= bench_final,
	.descsize	= sizeof(u32),
	.digestsize	= sizeof(u32),
	.base		= {
		.cra_name		= "crc32c",
		.cra_driver_name	= "crc32c-bench",
		.cra_priority		= 250,
		.cra_blocksize		= 1,
		.cra_module		= THIS_MODULE,
	},
};

static int __init bench_load(void)
{
	/* "123456789" has a checksum that everybody agrees on */
	if (~crc32c_step(~0, "123456789", 9) != 0xe3069283)
		return -ENODEV;
	return crypto_register_shash(&bench_alg);
}

static void __exit bench_unload(void)
{
	crypto_unregister_shash(&bench_alg);
}

module_init(bench_load);
module_exit(bench_unload);
MODULE_DESCRIPTION("crc32c by instruction for benchmarks under User Mode Linux");
MODULE_LICENSE("GPL");
