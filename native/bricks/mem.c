// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mem.c - a RAM disk: the simplest brick that ends requests
 *
 * Completes inline, in the caller's context.  Nothing survives the process, so
 * completed writes are as durable as they will ever be and FLUSH is a no-op.  The
 * size is set while off; memory comes at switching on, zeroed and lazily backed.
 *
 * Locking: a table of spinlocks, one for each 4 KiB block (hashed), makes
 * overlapping requests well defined per block, as on a real disk with atomic
 * sectors.  disk and size change only while off, when the gate is closed.
 */
#include <errno.h>
#include <sys/mman.h>

#include <linux/atomic.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/spinlock.h>
#include <linux/string.h>

#include "core/gate.h"
#include "core/xio.h"

#define BLOCK_SHIFT	12
#define BLOCK_SIZE	(1u << BLOCK_SHIFT)
#define NR_LOCKS	64
#define MEM_SIZE_MAX	(1ull << 40)

struct mem_brick {
	struct mars_brick brick;
	struct mars_gate gate;
	u64 size;			/* set while off */
	char *disk;			/* while on */
	spinlock_t lock[NR_LOCKS];	/* block number modulo */
	atomic64_t ops[XIO_NR_OPS];
};

static inline struct mem_brick *to_mem(struct mars_brick *brick)
{
	return container_of(brick, struct mem_brick, brick);
}

static void mem_unmap(struct mem_brick *mem)
{
	if (mem->disk)
		munmap(mem->disk, mem->size);
	mem->disk = NULL;
}

static void mem_empty(struct mars_gate *gate)
{
	struct mem_brick *mem = container_of(gate, struct mem_brick, gate);

	mars_brick_leds(&mem->brick, false, true);
}

static int mem_construct(struct mars_brick *brick)
{
	struct mem_brick *mem = to_mem(brick);
	unsigned int i;

	mars_gate_init(&mem->gate, mem_empty);
	for (i = 0; i < NR_LOCKS; i++)
		spin_lock_init(&mem->lock[i]);
	return 0;
}

static void mem_destruct(struct mars_brick *brick)
{
	mem_unmap(to_mem(brick));
}

static int mem_set(struct mars_brick *brick, u32 key, u64 value, const char *text, u32 len,
		   enum mars_reason *reason)
{
	struct mem_brick *mem = to_mem(brick);

	if (key != MARS_K_MEM_SIZE) {
		*reason = MARS_R_NO_KEY;
		return -EOPNOTSUPP;
	}
	if (!value || value > MEM_SIZE_MAX || len) {
		*reason = MARS_R_BAD_VALUE;
		return -EINVAL;
	}
	if (brick->button || !brick->led_off) {
		*reason = MARS_R_NOT_NOW;
		return -EAGAIN;
	}
	mem_unmap(mem);			/* a new size is a new disk */
	mem->size = value;
	return 0;
}

static int mem_power(struct mars_brick *brick, bool on, enum mars_reason *reason)
{
	struct mem_brick *mem = to_mem(brick);

	if (!on) {
		mars_brick_leds(brick, false, false);
		mars_gate_close(&mem->gate);
		return 0;
	}
	if (!mem->size) {
		*reason = MARS_R_MISSING;
		return -EINVAL;
	}
	if (!mem->disk) {
		void *disk = mmap(NULL, mem->size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (disk == MAP_FAILED) {
			*reason = MARS_R_NO_MEMORY;
			return -ENOMEM;
		}
		mem->disk = disk;
	}
	mars_gate_open(&mem->gate);
	mars_brick_leds(brick, true, false);
	return 0;
}

/* One piece inside one block, under its lock. */
static void mem_piece(struct mem_brick *mem, struct xio_request *rq, u64 off, size_t len)
{
	u64 pos = rq->pos + off;
	spinlock_t *lock = &mem->lock[(pos >> BLOCK_SHIFT) % NR_LOCKS];
	unsigned long flags;

	spin_lock_irqsave(lock, flags);
	switch (rq->op) {
	case XIO_READ:
		xio_copy_out(rq, off, mem->disk + pos, len);
		break;
	case XIO_WRITE:
		xio_copy_in(rq, off, mem->disk + pos, len);
		break;
	case XIO_DISCARD:
	case XIO_WRITE_ZEROES:
		memset(mem->disk + pos, 0, len);
		break;
	}
	spin_unlock_irqrestore(lock, flags);
}

static int mem_execute(struct mem_brick *mem, struct xio_request *rq)
{
	u64 off = 0;

	if (rq->pos > mem->size || rq->len > mem->size - rq->pos)
		return rq->op == XIO_READ ? -EIO : -ENOSPC;
	while (off < rq->len) {
		u64 in_block = (rq->pos + off) & (BLOCK_SIZE - 1);
		size_t len = min_t(u64, rq->len - off, BLOCK_SIZE - in_block);

		mem_piece(mem, rq, off, len);
		off += len;
	}
	atomic64_inc(&mem->ops[rq->op]);
	return 0;
}

static void mem_submit(struct mars_brick *brick, struct xio_request *rq)
{
	struct mem_brick *mem = to_mem(brick);
	int err;

	if (!mars_gate_enter(&mem->gate)) {
		xio_complete(rq, -ESHUTDOWN);
		return;
	}
	err = mem_execute(mem, rq);
	mars_gate_leave(&mem->gate);
	xio_complete(rq, err);
}

static int mem_get_info(struct mars_brick *brick, struct xio_info *info)
{
	info->size = to_mem(brick)->size;
	info->align = 1;
	info->max_io = XIO_MAX_IO;
	return info->size ? 0 : -ENODATA;
}

static void mem_status(struct mars_brick *brick, struct mars_ctl_status *st)
{
	struct mem_brick *mem = to_mem(brick);

	st->val[MARS_V_FILE_SIZE] = mem->size;
	st->val[MARS_V_FILE_READS] = atomic64_read(&mem->ops[XIO_READ]);
	st->val[MARS_V_FILE_WRITES] = atomic64_read(&mem->ops[XIO_WRITE]);
	st->val[MARS_V_FILE_FLUSHES] = atomic64_read(&mem->ops[XIO_FLUSH]);
	st->nr_val = MARS_V_FILE_FLUSHES + 1;
}

const struct mars_brick_type mem_brick_type = {
	.name		= "mem",
	.has_output	= true,
	.size		= sizeof(struct mem_brick),
	.construct	= mem_construct,
	.destruct	= mem_destruct,
	.set		= mem_set,
	.power		= mem_power,
	.submit		= mem_submit,
	.get_info	= mem_get_info,
	.status		= mem_status,
};
