// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * crc32c.c - CRC of Castagnoli: by instruction where the processor has it,
 * else slicing by 8
 *
 * The instruction has a latency of three cycles and a throughput of one, so long
 * buffers are cut into three streams.  Their results are joined by multiplying
 * with a power of x: for registers r and k in reflected bit order, crc32(0, r clmul k)
 * is r * k * x^33, so k = x^(8n - 33) moves r over n bytes of zeros.
 */
#include <string.h>
#include <linux/crc32c.h>
#include <linux/kernel.h>

#define POLY	0x82f63b78u	/* reflected */

static u32 slice[8][256];
static u32 (*crc_best)(u32 crc, const u8 *p, size_t len);

static u32 crc_slice(u32 crc, const u8 *p, size_t len)
{
	for (; len >= 8; p += 8, len -= 8) {
		u32 lo = crc ^ (p[0] | (u32)p[1] << 8 | (u32)p[2] << 16 | (u32)p[3] << 24);

		crc = slice[7][lo & 0xff] ^ slice[6][(lo >> 8) & 0xff] ^
		      slice[5][(lo >> 16) & 0xff] ^ slice[4][lo >> 24] ^
		      slice[3][p[4]] ^ slice[2][p[5]] ^ slice[1][p[6]] ^ slice[0][p[7]];
	}
	while (len--)
		crc = (crc >> 8) ^ slice[0][(crc ^ *p++) & 0xff];
	return crc;
}

static void slice_init(void)
{
	for (u32 i = 0; i < 256; i++) {
		u32 c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c & 1 ? (c >> 1) ^ POLY : c >> 1;
		slice[0][i] = c;
	}
	for (int t = 1; t < 8; t++)
		for (u32 i = 0; i < 256; i++)
			slice[t][i] = (slice[t - 1][i] >> 8) ^ slice[0][slice[t - 1][i] & 0xff];
}

#ifdef __x86_64__
#include <nmmintrin.h>
#include <wmmintrin.h>

#define LONG_RUN	1360u	/* three of them fill a page but for 16 bytes */
#define SHORT_RUN	128u

static u32 long_once, long_twice, short_once, short_twice;

/* a * b mod P; bit 31 is x^0 */
static u32 gf_mul(u32 a, u32 b)
{
	u32 product = 0;

	for (u32 m = 1u << 31; m; m >>= 1) {
		if (a & m)
			product ^= b;
		b = b & 1 ? (b >> 1) ^ POLY : b >> 1;
	}
	return product;
}

static u32 gf_x_power(unsigned int n)
{
	u32 result = 1u << 31, square = 1u << 30;

	for (; n; n >>= 1) {
		if (n & 1)
			result = gf_mul(result, square);
		square = gf_mul(square, square);
	}
	return result;
}

static inline u64 load64(const u8 *p)
{
	u64 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

__attribute__((__target__("sse4.2")))
static u32 crc_sse42(u32 crc, const u8 *p, size_t len)
{
	u64 c = crc;

	for (; len >= 8; p += 8, len -= 8)
		c = _mm_crc32_u64(c, load64(p));
	crc = (u32)c;
	while (len--)
		crc = _mm_crc32_u8(crc, *p++);
	return crc;
}

__attribute__((__target__("sse4.2,pclmul")))
static inline u32 move_over(u32 crc, u32 k)
{
	__m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128((int)crc),
					       _mm_cvtsi32_si128((int)k), 0);

	return (u32)_mm_crc32_u64(0, (u64)_mm_cvtsi128_si64(product));
}

/* One block of 3 * run bytes. */
__attribute__((__target__("sse4.2,pclmul")))
static inline u32 crc_three(u32 crc, const u8 *p, size_t run, u32 once, u32 twice)
{
	u64 a = crc, b = 0, c = 0;

	for (size_t i = 0; i < run; i += 8) {
		a = _mm_crc32_u64(a, load64(p + i));
		b = _mm_crc32_u64(b, load64(p + run + i));
		c = _mm_crc32_u64(c, load64(p + 2 * run + i));
	}
	return move_over((u32)a, twice) ^ move_over((u32)b, once) ^ (u32)c;
}

__attribute__((__target__("sse4.2,pclmul")))
static u32 crc_pclmul(u32 crc, const u8 *p, size_t len)
{
	for (; len >= 3 * LONG_RUN; p += 3 * LONG_RUN, len -= 3 * LONG_RUN)
		crc = crc_three(crc, p, LONG_RUN, long_once, long_twice);
	for (; len >= 3 * SHORT_RUN; p += 3 * SHORT_RUN, len -= 3 * SHORT_RUN)
		crc = crc_three(crc, p, SHORT_RUN, short_once, short_twice);
	return crc_sse42(crc, p, len);
}
#endif

__attribute__((__constructor__))
static void crc32c_init(void)
{
	slice_init();
	crc_best = crc_slice;
#ifdef __x86_64__
	__builtin_cpu_init();
	if (!__builtin_cpu_supports("sse4.2"))
		return;
	crc_best = crc_sse42;
	if (!__builtin_cpu_supports("pclmul"))
		return;
	long_once = gf_x_power(8 * LONG_RUN - 33);
	long_twice = gf_x_power(16 * LONG_RUN - 33);
	short_once = gf_x_power(8 * SHORT_RUN - 33);
	short_twice = gf_x_power(16 * SHORT_RUN - 33);
	crc_best = crc_pclmul;
#endif
}

u32 crc32c(u32 crc, const void *address, unsigned int length)
{
	return crc_best(crc, address, length);
}

/* For the test: the portable way, whatever the processor. */
u32 shim_crc32c_portable(u32 crc, const void *address, size_t length);
u32 shim_crc32c_portable(u32 crc, const void *address, size_t length)
{
	return crc_slice(crc, address, length);
}
