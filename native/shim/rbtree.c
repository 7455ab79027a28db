// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rbtree.c - red-black trees
 *
 * Rules: a red node has no red child; every path from a node down to a missing
 * child passes the same number of black nodes.  Missing children count as black.
 * The caller locks.
 */
#include <linux/rbtree.h>

#define RED	0UL
#define BLACK	1UL

static bool is_red(const struct rb_node *n)
{
	return n && !(n->__rb_parent_color & BLACK);
}

static void set_parent(struct rb_node *n, struct rb_node *parent)
{
	n->__rb_parent_color = (unsigned long)parent | (n->__rb_parent_color & BLACK);
}

static void set_color(struct rb_node *n, unsigned long color)
{
	n->__rb_parent_color = (n->__rb_parent_color & ~BLACK) | color;
}

/* Let @item take the place of @old below old's parent. */
static void replace_child(struct rb_root *root, struct rb_node *parent, struct rb_node *old,
			  struct rb_node *item)
{
	if (!parent)
		WRITE_ONCE(root->rb_node, item);
	else if (parent->rb_left == old)
		parent->rb_left = item;
	else
		parent->rb_right = item;
}

/* Turn the edge between @n and its right (@left: its left) child around. */
static void rotate(struct rb_root *root, struct rb_node *n, bool left)
{
	struct rb_node *child = left ? n->rb_left : n->rb_right;
	struct rb_node *parent = rb_parent(n), *middle;

	if (left) {
		middle = child->rb_right;
		n->rb_left = middle;
		child->rb_right = n;
	} else {
		middle = child->rb_left;
		n->rb_right = middle;
		child->rb_left = n;
	}
	if (middle)
		set_parent(middle, n);
	set_parent(child, parent);
	set_parent(n, child);
	replace_child(root, parent, n, child);
}

void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *parent, *grand, *uncle;
	bool left;

	set_color(node, RED);
	while ((parent = rb_parent(node)) && is_red(parent)) {
		grand = rb_parent(parent);	/* exists: the root is black */
		left = parent == grand->rb_left;
		uncle = left ? grand->rb_right : grand->rb_left;
		if (is_red(uncle)) {
			set_color(parent, BLACK);
			set_color(uncle, BLACK);
			set_color(grand, RED);
			node = grand;
			continue;
		}
		if (node == (left ? parent->rb_right : parent->rb_left)) {
			rotate(root, parent, !left);
			parent = node;
		}
		set_color(parent, BLACK);
		set_color(grand, RED);
		rotate(root, grand, left);
		break;
	}
	set_color(root->rb_node, BLACK);
}

/* @n (maybe missing) below @parent lacks one black node on its paths. */
static void erase_fixup(struct rb_root *root, struct rb_node *n, struct rb_node *parent)
{
	while (parent && !is_red(n)) {
		bool left = n == parent->rb_left;
		struct rb_node *sibling = left ? parent->rb_right : parent->rb_left;
		struct rb_node *near, *far;

		if (is_red(sibling)) {
			set_color(sibling, BLACK);
			set_color(parent, RED);
			rotate(root, parent, !left);
			sibling = left ? parent->rb_right : parent->rb_left;
		}
		near = left ? sibling->rb_left : sibling->rb_right;
		far = left ? sibling->rb_right : sibling->rb_left;
		if (!is_red(near) && !is_red(far)) {
			set_color(sibling, RED);
			n = parent;
			parent = rb_parent(n);
			continue;
		}
		if (!is_red(far)) {
			set_color(near, BLACK);
			set_color(sibling, RED);
			rotate(root, sibling, left);
			far = sibling;
			sibling = near;
		}
		set_color(sibling, is_red(parent) ? RED : BLACK);
		set_color(parent, BLACK);
		set_color(far, BLACK);
		rotate(root, parent, !left);
		return;
	}
	if (n)
		set_color(n, BLACK);
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *parent = rb_parent(node), *child, *hole, *next;
	bool was_black;

	if (node->rb_left && node->rb_right) {
		/* the successor, which has no left child, takes the node's place */
		for (next = node->rb_right; next->rb_left; next = next->rb_left)
			;
		was_black = !is_red(next);
		child = next->rb_right;
		hole = rb_parent(next);
		if (hole == node) {
			hole = next;
		} else {
			hole->rb_left = child;
			if (child)
				set_parent(child, hole);
			next->rb_right = node->rb_right;
			set_parent(next->rb_right, next);
		}
		next->rb_left = node->rb_left;
		set_parent(next->rb_left, next);
		next->__rb_parent_color = node->__rb_parent_color;
		replace_child(root, parent, node, next);
	} else {
		was_black = !is_red(node);
		child = node->rb_left ? node->rb_left : node->rb_right;
		hole = parent;
		if (child)
			set_parent(child, parent);
		replace_child(root, parent, node, child);
	}
	if (was_black)
		erase_fixup(root, child, hole);
}

void rb_replace_node(struct rb_node *victim, struct rb_node *item, struct rb_root *root)
{
	*item = *victim;
	if (item->rb_left)
		set_parent(item->rb_left, item);
	if (item->rb_right)
		set_parent(item->rb_right, item);
	replace_child(root, rb_parent(victim), victim, item);
}

struct rb_node *rb_first(const struct rb_root *root)
{
	struct rb_node *n = root->rb_node;

	while (n && n->rb_left)
		n = n->rb_left;
	return n;
}

struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *n = root->rb_node;

	while (n && n->rb_right)
		n = n->rb_right;
	return n;
}

struct rb_node *rb_next(const struct rb_node *node)
{
	struct rb_node *parent;

	if (RB_EMPTY_NODE(node))
		return NULL;
	if (node->rb_right) {
		for (node = node->rb_right; node->rb_left; node = node->rb_left)
			;
		return (struct rb_node *)node;
	}
	while ((parent = rb_parent(node)) && node == parent->rb_right)
		node = parent;
	return parent;
}

struct rb_node *rb_prev(const struct rb_node *node)
{
	struct rb_node *parent;

	if (RB_EMPTY_NODE(node))
		return NULL;
	if (node->rb_left) {
		for (node = node->rb_left; node->rb_right; node = node->rb_right)
			;
		return (struct rb_node *)node;
	}
	while ((parent = rb_parent(node)) && node == parent->rb_left)
		node = parent;
	return parent;
}

static struct rb_node *leftmost_leaf(const struct rb_node *n)
{
	while (n->rb_left || n->rb_right)
		n = n->rb_left ? n->rb_left : n->rb_right;
	return (struct rb_node *)n;
}

struct rb_node *rb_first_postorder(const struct rb_root *root)
{
	return root->rb_node ? leftmost_leaf(root->rb_node) : NULL;
}

struct rb_node *rb_next_postorder(const struct rb_node *node)
{
	const struct rb_node *parent;

	if (!node)
		return NULL;
	parent = rb_parent(node);
	if (parent && node == parent->rb_left && parent->rb_right)
		return leftmost_leaf(parent->rb_right);
	return (struct rb_node *)parent;
}
