// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sha256.c - SHA-256 (FIPS 180-4): by instruction where the processor has it,
 * else in plain C
 */
#include <string.h>
#include <linux/kernel.h>
#include <crypto/sha2.h>

static const u32 K[64] __aligned(16) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static void (*blocks_best)(u32 *state, const u8 *data, size_t blocks);

static inline u32 ror(u32 x, int n)
{
	return x >> n | x << (32 - n);
}

static inline u32 load_be32(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

static void one_block(u32 *state, const u8 *data)
{
	u32 w[64], s[8];
	int i;

	for (i = 0; i < 16; i++)
		w[i] = load_be32(data + 4 * i);
	for (; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(s, state, sizeof(s));
	for (i = 0; i < 64; i++) {
		u32 t1 = s[7] + (ror(s[4], 6) ^ ror(s[4], 11) ^ ror(s[4], 25)) +
			 ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
		u32 t2 = (ror(s[0], 2) ^ ror(s[0], 13) ^ ror(s[0], 22)) +
			 ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));

		memmove(s + 1, s, 7 * sizeof(*s));
		s[4] += t1;
		s[0] = t1 + t2;
	}
	for (i = 0; i < 8; i++)
		state[i] += s[i];
}

static void blocks_plain(u32 *state, const u8 *data, size_t blocks)
{
	for (; blocks; blocks--, data += SHA256_BLOCK_SIZE)
		one_block(state, data);
}

#ifdef __x86_64__
#include <immintrin.h>

/* The instructions keep the state as (a b e f) and (c d g h), high word first. */
__attribute__((__target__("sha,sse4.1")))
static void blocks_sha_ni(u32 *state, const u8 *data, size_t blocks)
{
	const __m128i swap_bytes = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
	__m128i abcd = _mm_shuffle_epi32(_mm_loadu_si128((const void *)state), 0x1b);
	__m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const void *)(state + 4)), 0x1b);
	__m128i abef = _mm_unpackhi_epi64(efgh, abcd);
	__m128i cdgh = _mm_unpacklo_epi64(efgh, abcd);

	for (; blocks; blocks--, data += SHA256_BLOCK_SIZE) {
		__m128i abef0 = abef, cdgh0 = cdgh, w[4];

#pragma GCC unroll 16
		for (int i = 0; i < 16; i++) {
			__m128i *now = &w[i & 3], prev = w[(i + 3) & 3], k;

			if (i < 4) {
				*now = _mm_loadu_si128((const void *)(data + 16 * i));
				*now = _mm_shuffle_epi8(*now, swap_bytes);
			} else {
				*now = _mm_sha256msg1_epu32(*now, w[(i + 1) & 3]);
				*now = _mm_add_epi32(*now, _mm_alignr_epi8(prev, w[(i + 2) & 3], 4));
				*now = _mm_sha256msg2_epu32(*now, prev);
			}
			k = _mm_add_epi32(*now, _mm_load_si128((const void *)(K + 4 * i)));
			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
			k = _mm_shuffle_epi32(k, 0x0e);
			abef = _mm_sha256rnds2_epu32(abef, cdgh, k);
		}
		abef = _mm_add_epi32(abef, abef0);
		cdgh = _mm_add_epi32(cdgh, cdgh0);
	}
	abcd = _mm_unpackhi_epi64(cdgh, abef);
	efgh = _mm_unpacklo_epi64(cdgh, abef);
	_mm_storeu_si128((void *)state, _mm_shuffle_epi32(abcd, 0x1b));
	_mm_storeu_si128((void *)(state + 4), _mm_shuffle_epi32(efgh, 0x1b));
}

static bool have_sha_ni(void)
{
	u32 a = 7, b, c = 0, d;

	__builtin_cpu_init();
	if (!__builtin_cpu_supports("sse4.1") || !__builtin_cpu_supports("ssse3"))
		return false;
	__asm__ __volatile__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return b >> 29 & 1;
}
#endif

__attribute__((__constructor__))
static void sha256_setup(void)
{
	blocks_best = blocks_plain;
#ifdef __x86_64__
	if (have_sha_ni())
		blocks_best = blocks_sha_ni;
#endif
}

void sha256_init(struct sha256_state *sctx)
{
	static const u32 start[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};

	memcpy(sctx->state, start, sizeof(start));
	sctx->count = 0;
}

void sha256_update(struct sha256_state *sctx, const u8 *data, unsigned int len)
{
	unsigned int have = sctx->count % SHA256_BLOCK_SIZE;

	sctx->count += len;
	if (have + len >= SHA256_BLOCK_SIZE) {
		unsigned int blocks;

		if (have) {
			unsigned int part = SHA256_BLOCK_SIZE - have;

			memcpy(sctx->buf + have, data, part);
			blocks_best(sctx->state, sctx->buf, 1);
			data += part;
			len -= part;
			have = 0;
		}
		blocks = len / SHA256_BLOCK_SIZE;
		blocks_best(sctx->state, data, blocks);
		data += blocks * SHA256_BLOCK_SIZE;
		len -= blocks * SHA256_BLOCK_SIZE;
	}
	if (len)
		memcpy(sctx->buf + have, data, len);
}

void sha256_final(struct sha256_state *sctx, u8 *out)
{
	unsigned int have = sctx->count % SHA256_BLOCK_SIZE;
	u64 bits = sctx->count * 8;

	sctx->buf[have++] = 0x80;
	if (have > SHA256_BLOCK_SIZE - 8) {
		memset(sctx->buf + have, 0, SHA256_BLOCK_SIZE - have);
		blocks_best(sctx->state, sctx->buf, 1);
		have = 0;
	}
	memset(sctx->buf + have, 0, SHA256_BLOCK_SIZE - 8 - have);
	for (int i = 0; i < 8; i++)
		sctx->buf[SHA256_BLOCK_SIZE - 1 - i] = (u8)(bits >> (8 * i));
	blocks_best(sctx->state, sctx->buf, 1);
	for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
		out[i] = (u8)(sctx->state[i / 4] >> (24 - 8 * (i % 4)));
	memset(sctx, 0, sizeof(*sctx));
}

void sha256(const u8 *data, unsigned int len, u8 *out)
{
	struct sha256_state sctx;

	sha256_init(&sctx);
	sha256_update(&sctx, data, len);
	sha256_final(&sctx, out);
}

/* For the test: switch to plain C (true) or to the best way again. */
void shim_sha256_portable(bool on);
void shim_sha256_portable(bool on)
{
	sha256_setup();
	if (on)
		blocks_best = blocks_plain;
}
