// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * extent.c - index from byte ranges to owners, newest wins
 *
 * See extent.h for the rules.  All work is done by punching a hole first and
 * then, for an insert, linking the new node into it.
 *
 * Locking: the caller's.  Failure: none possible except a missing spare, which is
 * a bug of the caller and is answered with a warning and a cache-safe result (the
 * index forgets bytes rather than naming a stale owner).
 */
#include <linux/bug.h>
#include <linux/minmax.h>
#include <linux/rbtree.h>

#include "extent.h"

static inline struct mars_extent *to_extent(const struct rb_node *node)
{
	return node ? rb_entry(node, struct mars_extent, node) : NULL;
}

static void extent_link(struct mars_extent_index *index, struct mars_extent *ext)
{
	struct rb_node **link = &index->root.rb_node;
	struct rb_node *parent = NULL;

	while (*link) {
		parent = *link;
		if (ext->pos < to_extent(parent)->pos)
			link = &parent->rb_left;
		else
			link = &parent->rb_right;
	}
	rb_link_node(&ext->node, parent, link);
	rb_insert_color(&ext->node, &index->root);
	index->nr++;
	index->bytes += ext->len;
}

void mars_extent_erase(struct mars_extent_index *index, struct mars_extent *ext)
{
	rb_erase(&ext->node, &index->root);
	index->nr--;
	index->bytes -= ext->len;
}

struct mars_extent *mars_extent_find(const struct mars_extent_index *index, u64 pos)
{
	struct rb_node *node = index->root.rb_node;
	struct mars_extent *found = NULL;

	while (node) {
		struct mars_extent *ext = to_extent(node);

		if (mars_extent_end(ext) > pos) {
			found = ext;
			node = node->rb_left;
		} else {
			node = node->rb_right;
		}
	}
	return found;
}

struct mars_extent *mars_extent_first(const struct mars_extent_index *index)
{
	return to_extent(rb_first(&index->root));
}

struct mars_extent *mars_extent_next(const struct mars_extent *ext)
{
	return to_extent(rb_next(&ext->node));
}

/* @ext sticks out of [pos, end) on both sides: keep the left, @spare takes the right. */
static bool extent_split(struct mars_extent_index *index, struct mars_extent *ext, u64 pos,
			 u64 end, struct mars_extent *spare, mars_extent_cut_fn cut, void *ctx)
{
	u64 old_end = mars_extent_end(ext);

	ext->len = pos - ext->pos;
	index->bytes -= old_end - pos;
	if (WARN_ON(!spare)) {
		cut(ctx, ext, pos, old_end - pos, MARS_EXTENT_TRIMMED);
		return false;
	}
	spare->pos = end;
	spare->len = old_end - end;
	spare->owner = ext->owner;
	extent_link(index, spare);
	cut(ctx, ext, pos, end - pos, MARS_EXTENT_SPLIT);
	return true;
}

bool mars_extent_remove_range(struct mars_extent_index *index, u64 pos, u64 len,
			      struct mars_extent *spare, mars_extent_cut_fn cut, void *ctx)
{
	u64 end = pos + len;
	struct mars_extent *ext = mars_extent_find(index, pos);

	while (ext && ext->pos < end) {
		struct mars_extent *next = mars_extent_next(ext);
		u64 ext_end = mars_extent_end(ext);
		u64 lost_pos = max(ext->pos, pos);
		u64 lost_len = min(ext_end, end) - lost_pos;

		if (ext->pos < pos && ext_end > end)
			return extent_split(index, ext, pos, end, spare, cut, ctx);

		if (lost_len == ext->len) {
			mars_extent_erase(index, ext);
			cut(ctx, ext, lost_pos, lost_len, MARS_EXTENT_GONE);
		} else {
			/* Moving the start to the right keeps the tree order. */
			if (ext->pos == lost_pos)
				ext->pos += lost_len;
			ext->len -= lost_len;
			index->bytes -= lost_len;
			cut(ctx, ext, lost_pos, lost_len, MARS_EXTENT_TRIMMED);
		}
		ext = next;
	}
	return false;
}

bool mars_extent_insert(struct mars_extent_index *index, struct mars_extent *ext,
			struct mars_extent *spare, mars_extent_cut_fn cut, void *ctx)
{
	bool used;

	WARN_ON(!ext->len || mars_extent_end(ext) < ext->pos);
	used = mars_extent_remove_range(index, ext->pos, ext->len, spare, cut, ctx);
	extent_link(index, ext);
	return used;
}

u64 mars_extent_remove_owner(struct mars_extent_index *index, u64 pos, u64 len, void *owner,
			     mars_extent_cut_fn cut, void *ctx)
{
	u64 end = pos + len, removed = 0;
	struct mars_extent *ext = mars_extent_find(index, pos);

	while (ext && ext->pos < end) {
		struct mars_extent *next = mars_extent_next(ext);

		if (ext->owner == owner) {
			removed += ext->len;
			mars_extent_erase(index, ext);
			cut(ctx, ext, ext->pos, ext->len, MARS_EXTENT_GONE);
		}
		ext = next;
	}
	return removed;
}
