/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * extent.h - index from byte ranges to owners, newest wins
 *
 * The index holds extents that never overlap, in an rbtree ordered by position.
 * Putting in a new extent cuts away whatever it covers of the older ones, so a
 * lookup always finds the newest owner of a byte.  Cutting an old extent has
 * three outcomes, each told to the caller by a callback:
 *
 *	MARS_EXTENT_GONE	nothing is left: the node is out of the index and
 *				belongs to the caller again (the callback may free it)
 *	MARS_EXTENT_TRIMMED	one end is cut away: the node was shortened in place
 *	MARS_EXTENT_SPLIT	a hole in the middle: the node keeps the left part,
 *				the spare node became the right part, same owner
 *
 * Memory: nothing is allocated here.  One insert or remove makes at most one
 * split (only an extent that sticks out on both sides is split, and then it is
 * the only one touched), so one spare node handed in beforehand is enough.  The
 * function returns whether it took the spare.  A spare may end up with another
 * owner than the one it came from, so nodes should be allocated by themselves (or
 * from one pool), not inside their owner.  Handing in NULL is allowed when the
 * caller knows that no split can happen; otherwise the index warns, trims the
 * right part away, and reports the larger loss: stale data never survives.
 *
 * Counting references: an owner has as many nodes in the index as: 1 at insert,
 * + 1 at each SPLIT, - 1 at each GONE.
 *
 * Example, under the caller's lock:
 *
 *	ext->pos = pos; ext->len = len; ext->owner = me;
 *	if (!mars_extent_insert(&index, ext, spare, on_cut, me))
 *		put_back(spare);
 *
 * Locking: none here; the caller serialises all calls on one index and callbacks
 * run inside the call.  A callback must not enter the index.  Any context.
 */
#ifndef _MARS_EXTENT_H
#define _MARS_EXTENT_H

#include <linux/types.h>
#include <linux/rbtree.h>

/**
 * struct mars_extent - one node of the index
 * @node: position in the tree; the index's
 * @pos: first byte; read-only for the caller while in the index
 * @len: bytes, > 0; ditto; @pos + @len must not overflow
 * @owner: whatever the caller says; inherited by the right part of a split
 */
struct mars_extent {
	struct rb_node node;
	u64 pos;
	u64 len;
	void *owner;
};

/**
 * struct mars_extent_index - a set of extents that do not overlap
 * @root: by position
 * @nr: nodes in the tree
 * @bytes: sum of all lengths
 */
struct mars_extent_index {
	struct rb_root root;
	unsigned long nr;
	u64 bytes;
};

enum mars_extent_fate {
	MARS_EXTENT_GONE,
	MARS_EXTENT_TRIMMED,
	MARS_EXTENT_SPLIT,
};

/**
 * typedef mars_extent_cut_fn - an older extent lost the piece @pos, @len
 * @ctx: as given to the call
 * @ext: the older extent, already in its new shape (GONE: as it was, out of the tree)
 * @pos: first byte lost
 * @len: bytes lost
 * @fate: what became of @ext
 */
typedef void (*mars_extent_cut_fn)(void *ctx, struct mars_extent *ext, u64 pos, u64 len,
				   enum mars_extent_fate fate);

static inline void mars_extent_index_init(struct mars_extent_index *index)
{
	index->root = RB_ROOT;
	index->nr = 0;
	index->bytes = 0;
}

static inline bool mars_extent_empty(const struct mars_extent_index *index)
{
	return !index->nr;
}

static inline u64 mars_extent_end(const struct mars_extent *ext)
{
	return ext->pos + ext->len;
}

/** mars_extent_insert - put @ext in, replacing what it overlaps; true = @spare was used */
bool mars_extent_insert(struct mars_extent_index *index, struct mars_extent *ext,
			struct mars_extent *spare, mars_extent_cut_fn cut, void *ctx);

/** mars_extent_remove_range - cut a range out of whatever is there; true = @spare was used */
bool mars_extent_remove_range(struct mars_extent_index *index, u64 pos, u64 len,
			      struct mars_extent *spare, mars_extent_cut_fn cut, void *ctx);

/**
 * mars_extent_remove_owner - take out all extents of @owner inside a range
 *
 * Extents lie wholly inside the range given at their insert, so this needs no
 * spare.  Each extent removed is reported GONE.  Returns the bytes removed.
 */
u64 mars_extent_remove_owner(struct mars_extent_index *index, u64 pos, u64 len, void *owner,
			     mars_extent_cut_fn cut, void *ctx);

/** mars_extent_erase - take one extent out; no callback; it is the caller's again */
void mars_extent_erase(struct mars_extent_index *index, struct mars_extent *ext);

/** mars_extent_find - first extent with its end behind @pos (may begin behind it too), or NULL */
struct mars_extent *mars_extent_find(const struct mars_extent_index *index, u64 pos);

/** mars_extent_first - lowest extent or NULL */
struct mars_extent *mars_extent_first(const struct mars_extent_index *index);

/** mars_extent_next - the one behind @ext or NULL */
struct mars_extent *mars_extent_next(const struct mars_extent *ext);

#endif /* _MARS_EXTENT_H */
