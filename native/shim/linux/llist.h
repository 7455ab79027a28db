/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * llist.h - lock-less singly linked list: many producers, one consumer that
 * takes everything
 */
#ifndef _SHIM_LINUX_LLIST_H
#define _SHIM_LINUX_LLIST_H

#include <linux/types.h>
#include <linux/compiler.h>
#include <linux/container_of.h>

struct llist_node {
	struct llist_node *next;
};

struct llist_head {
	struct llist_node *first;
};

#define LLIST_HEAD_INIT(name)	{ NULL }
#define LLIST_HEAD(name)	struct llist_head name = LLIST_HEAD_INIT(name)
#define init_llist_head(list)	WRITE_ONCE((list)->first, NULL)
#define llist_entry(ptr, type, member) container_of(ptr, type, member)

static inline bool llist_empty(const struct llist_head *head)
{
	return !READ_ONCE(head->first);
}

/** llist_add - push; true when the list was empty */
static inline bool llist_add(struct llist_node *item, struct llist_head *head)
{
	struct llist_node *first = READ_ONCE(head->first);

	do {
		WRITE_ONCE(item->next, first);
	} while (!__atomic_compare_exchange_n(&head->first, &first, item, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
	return !first;
}

/** llist_del_all - take everything, newest first */
static inline struct llist_node *llist_del_all(struct llist_head *head)
{
	return __atomic_exchange_n(&head->first, NULL, __ATOMIC_SEQ_CST);
}

static inline struct llist_node *llist_reverse_order(struct llist_node *head)
{
	struct llist_node *reversed = NULL;

	while (head) {
		struct llist_node *next = head->next;

		head->next = reversed;
		reversed = head;
		head = next;
	}
	return reversed;
}

#define llist_for_each_safe(pos, n, node)				\
	for ((pos) = (node); (pos) && ((n) = (pos)->next, true); (pos) = (n))
#define shim_llist_entry_safe(ptr, type, member) ({			\
	struct llist_node *__n = (ptr);					\
	__n ? llist_entry(__n, type, member) : NULL; })
#define llist_for_each_entry_safe(pos, n, node, member)			\
	for (pos = shim_llist_entry_safe((node), typeof(*pos), member);	\
	     pos && (n = shim_llist_entry_safe(pos->member.next, typeof(*n), member), true); \
	     pos = n)

#endif /* _SHIM_LINUX_LLIST_H */
