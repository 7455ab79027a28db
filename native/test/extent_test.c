// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * extent_test.c - the extent index against an array of bytes
 *
 * The model is one owner number per byte.  After every random operation the index
 * must say the same byte by byte, and the callbacks must have reported exactly the
 * bytes lost and the right number of nodes per owner.
 */
#include <linux/kernel.h>

#include "core/extent.h"
#include "test.h"

#define SPACE	300
#define OWNERS	4000

struct owner {
	int nodes;		/* as counted from fates */
	u64 bytes;
};

static struct mars_extent_index index_;
static struct owner owners[OWNERS];
static int model[SPACE];
static unsigned int gone_bytes;

static void on_cut(void *ctx, struct mars_extent *ext, u64 pos, u64 len,
		   enum mars_extent_fate fate)
{
	struct owner *owner = ext->owner;
	int id = owner - owners;
	u64 i;

	CHECK(ctx == owners);
	CHECK(len);
	for (i = pos; i < pos + len; i++) {
		CHECK_EQ(model[i], id);
		model[i] = 0;
	}
	CHECK(owner->bytes >= len);
	owner->bytes -= len;
	gone_bytes += len;
	if (fate == MARS_EXTENT_SPLIT) {
		owner->nodes++;
		CHECK_EQ(mars_extent_end(ext), pos);
	} else if (fate == MARS_EXTENT_GONE) {
		owner->nodes--;
		CHECK_EQ(ext->pos, pos);
		CHECK_EQ(ext->len, len);
		free(ext);
	}
}

static void compare(void)
{
	struct mars_extent *ext;
	unsigned long nr = 0, bytes = 0;
	u64 pos = 0;

	for (ext = mars_extent_first(&index_); ext; ext = mars_extent_next(ext)) {
		struct owner *owner = ext->owner;

		CHECK(ext->pos >= pos);
		for (; pos < ext->pos; pos++)
			CHECK_EQ(model[pos], 0);
		for (; pos < mars_extent_end(ext); pos++)
			CHECK_EQ(model[pos], (int)(owner - owners));
		nr++;
		bytes += ext->len;
	}
	for (; pos < SPACE; pos++)
		CHECK_EQ(model[pos], 0);
	CHECK_EQ(index_.nr, nr);
	CHECK_EQ(index_.bytes, bytes);
}

static void compare_find(u64 pos)
{
	struct mars_extent *ext = mars_extent_find(&index_, pos);
	u64 first = pos;

	while (first < SPACE && !model[first])
		first++;
	if (first == SPACE) {
		CHECK(!ext);
		return;
	}
	CHECK(ext && mars_extent_end(ext) > pos);
	CHECK(ext->pos <= first && first < mars_extent_end(ext));
}

static void compare_owners(void)
{
	struct mars_extent *ext;
	int nodes[OWNERS] = { 0 };
	int i;

	for (ext = mars_extent_first(&index_); ext; ext = mars_extent_next(ext))
		nodes[(struct owner *)ext->owner - owners]++;
	for (i = 0; i < OWNERS; i++)
		CHECK_EQ(nodes[i], owners[i].nodes);
}

static void insert(int id, u64 pos, u64 len)
{
	struct mars_extent *ext = malloc(sizeof(*ext));
	struct mars_extent *spare = malloc(sizeof(*spare));
	u64 i;

	CHECK(ext && spare);
	ext->pos = pos;
	ext->len = len;
	ext->owner = &owners[id];
	owners[id].nodes = 1;
	owners[id].bytes = len;
	if (!mars_extent_insert(&index_, ext, spare, on_cut, owners))
		free(spare);
	for (i = pos; i < pos + len; i++) {
		CHECK_EQ(model[i], 0);		/* cut away before */
		model[i] = id;
	}
}

static void remove_range(u64 pos, u64 len)
{
	struct mars_extent *spare = malloc(sizeof(*spare));
	u64 i;

	CHECK(spare);
	if (!mars_extent_remove_range(&index_, pos, len, spare, on_cut, owners))
		free(spare);
	for (i = pos; i < pos + len; i++)
		CHECK_EQ(model[i], 0);
}

static void remove_owner(int id)
{
	u64 had = owners[id].bytes;

	CHECK_EQ(mars_extent_remove_owner(&index_, 0, SPACE, &owners[id], on_cut, owners), had);
	CHECK_EQ(owners[id].nodes, 0);
	CHECK_EQ(owners[id].bytes, 0);
}

static void clear(void)
{
	gone_bytes = 0;
	remove_range(0, SPACE);
	compare();
	CHECK(mars_extent_empty(&index_));
	memset(owners, 0, sizeof(owners));
}

static void random_against_model(void)
{
	int round, id;

	srandom(test_seed());
	mars_extent_index_init(&index_);
	for (round = 0; round < 10; round++) {
		for (id = 1; id < OWNERS; id++) {
			/* Long and short ones, so that splits and covers both happen. */
			u64 len = 1 + random() % (random() % 4 ? 12 : 150);
			u64 pos = random() % (SPACE - len);

			switch (random() % 8) {
			case 0:
				remove_range(pos, len);
				break;
			case 1:
				remove_owner(1 + random() % id);
				break;
			default:
				insert(id, pos, len);
			}
			compare();
			compare_find(random() % SPACE);
		}
		compare_owners();
		clear();
	}
}

/* All ways two ranges can lie to each other, exhaustively in a small space. */
static void all_pairs(void)
{
	enum { N = 9 };
	u64 a, b, c, d;

	for (a = 0; a < N; a++)
	for (b = a + 1; b <= N; b++)
	for (c = 0; c < N; c++)
	for (d = c + 1; d <= N; d++) {
		insert(1, a, b - a);
		insert(2, c, d - c);
		compare();
		compare_owners();
		clear();
	}
}

static void split_without_spare(void)
{
	struct mars_extent *old = malloc(sizeof(*old)), *new = malloc(sizeof(*new));
	struct mars_extent *left;

	CHECK(old && new);
	*old = (struct mars_extent){ .pos = 10, .len = 20, .owner = &owners[1] };
	*new = (struct mars_extent){ .pos = 15, .len = 5, .owner = &owners[2] };
	owners[1] = (struct owner){ .nodes = 1, .bytes = 20 };
	for (u64 i = 10; i < 30; i++)
		model[i] = 1;
	mars_extent_insert(&index_, old, NULL, on_cut, owners);
	test_expect_warns(1);
	CHECK(!mars_extent_insert(&index_, new, NULL, on_cut, owners));
	for (u64 i = 15; i < 20; i++)
		model[i] = 2;
	owners[2] = (struct owner){ .nodes = 1, .bytes = 5 };
	compare();		/* bytes 20..30 are forgotten, not stale */
	left = mars_extent_first(&index_);
	CHECK(left == old && left->len == 5);
	clear();
}

static void erase_one(void)
{
	struct mars_extent *ext;

	insert(1, 5, 10);
	insert(2, 8, 2);
	ext = mars_extent_find(&index_, 8);
	CHECK(ext->owner == &owners[2]);
	mars_extent_erase(&index_, ext);
	free(ext);
	CHECK_EQ(index_.nr, 2);
	CHECK_EQ(index_.bytes, 8);
	ext = mars_extent_find(&index_, 8);
	CHECK_EQ(ext->pos, 10);
	model[8] = 0;
	model[9] = 0;
	clear();
}

int main(void)
{
	RUN(all_pairs);
	RUN(erase_one);
	RUN(split_without_spare);
	RUN(random_against_model);
	return test_done();
}
