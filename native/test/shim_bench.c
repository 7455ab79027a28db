// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * shim_bench.c - cost of the shim's hot paths, printed one line each
 */
#include <linux/completion.h>
#include <linux/crc32c.h>
#include <linux/kernel.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <crypto/sha2.h>

#include "test.h"

u32 shim_crc32c_portable(u32 crc, const void *address, size_t length);

static void report(const char *what, u64 begin, u64 ops, u64 bytes)
{
	u64 ns = ktime_get_ns() - begin;

	printf("%-28s %8.1f ns", what, (double)ns / (double)ops);
	if (bytes)
		printf(" %8.2f GB/s", (double)bytes / (double)ns);
	printf("\n");
}

static void bench_checksums(void)
{
	u8 *buf = alloc_pages_exact(1 << 20, GFP_KERNEL | __GFP_ZERO), out[SHA256_DIGEST_SIZE];
	volatile u32 crc = 0;
	u64 begin = ktime_get_ns();

	for (int i = 0; i < 200000; i++)
		crc = crc32c(crc, buf + 4096 * (i % 200), 4096);
	report("crc32c 4 KiB", begin, 200000, 200000ull * 4096);
	begin = ktime_get_ns();
	for (int i = 0; i < 1000; i++)
		crc = crc32c(crc, buf, 1 << 20);
	report("crc32c 1 MiB", begin, 1000, 1000ull << 20);
	begin = ktime_get_ns();
	for (int i = 0; i < 20000; i++)
		crc = shim_crc32c_portable(crc, buf, 4096);
	report("crc32c 4 KiB, portable", begin, 20000, 20000ull * 4096);
	begin = ktime_get_ns();
	for (int i = 0; i < 20000; i++)
		sha256(buf, 4096, out);
	report("sha256 4 KiB", begin, 20000, 20000ull * 4096);
	free_pages_exact(buf, 1 << 20);
}

static void bench_memory(void)
{
	mempool_t *pool = mempool_create_kmalloc_pool(16, 512);
	static DEFINE_SPINLOCK(lock);
	unsigned long flags;
	u64 begin = ktime_get_ns();

	for (int i = 0; i < 1000000; i++)
		mempool_free(mempool_alloc(pool, GFP_NOWAIT), pool);
	report("mempool alloc + free", begin, 1000000, 0);
	begin = ktime_get_ns();
	for (int i = 0; i < 1000000; i++)
		kfree(kmalloc(200, GFP_NOWAIT));
	report("kmalloc + kfree", begin, 1000000, 0);
	begin = ktime_get_ns();
	for (int i = 0; i < 1000000; i++) {
		spin_lock_irqsave(&lock, flags);
		spin_unlock_irqrestore(&lock, flags);
	}
	report("spinlock", begin, 1000000, 0);
	mempool_destroy(pool);
}

static struct completion done;
static long left;

static void again(struct work_struct *work)
{
	if (--left)
		queue_work(system_wq, work);
	else
		complete(&done);
}

static void bench_work(void)
{
	struct work_struct work;
	u64 begin = ktime_get_ns();

	INIT_WORK(&work, again);
	init_completion(&done);
	left = 300000;
	queue_work(system_wq, &work);
	wait_for_completion(&done);
	report("work queueing itself", begin, 300000, 0);
	begin = ktime_get_ns();
	for (int i = 0; i < 20000; i++) {
		left = 1;
		queue_work(system_wq, &work);
		wait_for_completion(&done);
	}
	report("work from outside, waited for", begin, 20000, 0);
	flush_work(&work);
}

int main(void)
{
	CHECK_EQ(exec_init(EXEC_THREADED, 0, 0), 0);
	bench_checksums();
	bench_memory();
	bench_work();
	exec_exit();
	return test_done();
}
