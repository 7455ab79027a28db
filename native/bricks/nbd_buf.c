// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * nbd_buf.c - memory of one NBD export
 *
 * Page-aligned buffers of 4 KiB to 1 MiB in powers of two.  Free ones are kept,
 * up to NBD_CACHE bytes, so that a steady load allocates nothing and touches the
 * same warm pages again.  References are counted, since one receive buffer holds
 * the payload of many writes.
 */
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "nbd.h"

static size_t order_size(unsigned int order)
{
	return PAGE_SIZE << order;
}

size_t nbd_buf_size(size_t size)
{
	return order_size(get_order(size));
}

int nbd_pool_init(struct nbd_pool *pool)
{
	unsigned int i;

	for (i = 0; i < NBD_ORDERS; i++)
		INIT_LIST_HEAD(&pool->free[i]);
	pool->cached = 0;
	return -pthread_mutex_init(&pool->lock, NULL);
}

static void buf_free(struct nbd_buf *buf)
{
	free_pages_exact(buf->data, order_size(buf->order));
	kfree(buf);
}

void nbd_pool_exit(struct nbd_pool *pool)
{
	struct nbd_buf *buf, *next;
	unsigned int i;

	for (i = 0; i < NBD_ORDERS; i++)
		list_for_each_entry_safe(buf, next, &pool->free[i], link)
			buf_free(buf);
	pthread_mutex_destroy(&pool->lock);
}

static struct nbd_buf *buf_new(struct nbd_pool *pool, unsigned int order)
{
	struct nbd_buf *buf = kmalloc(sizeof(*buf), GFP_KERNEL);

	if (!buf)
		return NULL;
	buf->data = alloc_pages_exact(order_size(order), GFP_KERNEL);
	if (!buf->data) {
		kfree(buf);
		return NULL;
	}
	buf->pool = pool;
	buf->order = order;
	return buf;
}

struct nbd_buf *nbd_buf_get(struct nbd_pool *pool, size_t size)
{
	unsigned int order = get_order(size);
	struct nbd_buf *buf = NULL;

	pthread_mutex_lock(&pool->lock);
	if (!list_empty(&pool->free[order])) {
		buf = list_first_entry(&pool->free[order], struct nbd_buf, link);
		list_del(&buf->link);
		pool->cached -= order_size(order);
	}
	pthread_mutex_unlock(&pool->lock);
	if (!buf)
		buf = buf_new(pool, order);
	if (buf) {
		buf->charged = NULL;
		__atomic_store_n(&buf->refs, 1, __ATOMIC_RELAXED);
	}
	return buf;
}

void nbd_buf_hold(struct nbd_buf *buf)
{
	__atomic_add_fetch(&buf->refs, 1, __ATOMIC_RELAXED);
}

void nbd_buf_put(struct nbd_buf *buf)
{
	struct nbd_pool *pool = buf->pool;
	size_t size = order_size(buf->order);
	struct nbd_conn *charged;

	if (__atomic_sub_fetch(&buf->refs, 1, __ATOMIC_ACQ_REL))
		return;
	charged = buf->charged;
	pthread_mutex_lock(&pool->lock);
	if (pool->cached + size <= NBD_CACHE) {
		list_add(&buf->link, &pool->free[buf->order]);
		pool->cached += size;
		buf = NULL;
	}
	pthread_mutex_unlock(&pool->lock);
	if (buf)
		buf_free(buf);
	if (charged)
		nbd_uncharge(charged, size);
}

bool nbd_buf_alone(struct nbd_buf *buf)
{
	return __atomic_load_n(&buf->refs, __ATOMIC_ACQUIRE) == 1;
}
