// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * workqueue_test.c - work items, delayed work, waiting: both executors
 *
 * Cases named both_* run in simulation and with threads.
 */
#include <pthread.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/kernel.h>
#include <linux/mempool.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include "test.h"

static long live_before;

static void start(enum exec_mode mode)
{
	live_before = exec_live_allocs();
	CHECK_EQ(exec_init(mode, 0, test_seed()), 0);
	CHECK_EQ(exec_init(mode, 0, 0), -EALREADY);
}

static void stop(void)
{
	exec_exit();
	CHECK(!exec_running());
	CHECK_EQ(exec_live_allocs(), live_before);
}

static void both(void (*fn)(void))
{
	start(EXEC_SIM);
	fn();
	stop();
	start(EXEC_THREADED);
	fn();
	stop();
}

/* --- a work item that counts, and checks that it is alone --- */

struct counted {
	struct work_struct work;
	atomic_t inside;
	atomic_t runs;
	atomic_t again;		/* times to queue itself */
	struct workqueue_struct *wq;
};

static void count_run(struct work_struct *work)
{
	struct counted *c = container_of(work, struct counted, work);

	CHECK_EQ(atomic_inc_return(&c->inside), 1);
	atomic_inc(&c->runs);
	if (atomic_add_unless(&c->again, -1, 0))
		CHECK(queue_work(c->wq, work));
	CHECK_EQ(atomic_dec_return(&c->inside), 0);
}

static void counted_init(struct counted *c, struct workqueue_struct *wq, int again)
{
	*c = (struct counted){ .wq = wq };
	atomic_set(&c->again, again);
	INIT_WORK(&c->work, count_run);
}

static void queue_and_flush(void)
{
	struct counted c;

	counted_init(&c, system_wq, 0);
	CHECK(!flush_work(&c.work));
	CHECK(!cancel_work_sync(&c.work));
	for (int i = 1; i <= 100; i++) {
		CHECK(queue_work(system_wq, &c.work));
		flush_work(&c.work);
		CHECK_EQ(atomic_read(&c.runs), i);
		CHECK(!work_pending(&c.work));
	}
	/* queueing itself again while running means another run */
	counted_init(&c, system_unbound_wq, 50);
	CHECK(queue_work(c.wq, &c.work));
	flush_workqueue(system_unbound_wq);
	drain_workqueue(system_unbound_wq);
	CHECK_EQ(atomic_read(&c.runs), 51);
}

static void both_queue_and_flush(void)
{
	both(queue_and_flush);
}

static void sim_pending_once(void)
{
	struct counted c;

	start(EXEC_SIM);
	counted_init(&c, system_wq, 0);
	CHECK(queue_work(system_wq, &c.work));
	CHECK(!queue_work(system_wq, &c.work));
	CHECK(!queue_work(system_highpri_wq, &c.work));
	CHECK(work_pending(&c.work));
	CHECK(cancel_work_sync(&c.work));
	CHECK(!exec_step());
	CHECK(queue_work(system_wq, &c.work));
	CHECK(exec_step());
	CHECK(!exec_step());
	CHECK_EQ(atomic_read(&c.runs), 1);
	stop();
}

/* --- the function may free its item --- */

static atomic_t freed;

static void free_self(struct work_struct *work)
{
	kfree(work);
	atomic_inc(&freed);
}

static void frees_itself(void)
{
	struct workqueue_struct *wq = alloc_workqueue("free-%d", 0, 3, 1);

	CHECK(wq);
	atomic_set(&freed, 0);
	for (int i = 0; i < 200; i++) {
		struct work_struct *work = kmalloc(sizeof(*work), GFP_KERNEL);

		INIT_WORK(work, free_self);
		CHECK(queue_work(wq, work));
	}
	destroy_workqueue(wq);
	CHECK_EQ(atomic_read(&freed), 200);
}

static void both_frees_itself(void)
{
	both(frees_itself);
}

/* --- order and max_active --- */

#define ORDERED 200

static struct {
	struct work_struct work[ORDERED];
	atomic_t inside, peak;
	int next;		/* only an ordered queue keeps this without a lock */
} line;

static void in_line(struct work_struct *work)
{
	CHECK_EQ(atomic_inc_return(&line.inside), 1);
	CHECK_EQ(work - line.work, line.next);
	line.next++;
	atomic_dec(&line.inside);
}

static void ordered(void)
{
	struct workqueue_struct *wq = alloc_ordered_workqueue("line", 0);

	line.next = 0;
	for (int i = 0; i < ORDERED; i++) {
		INIT_WORK(&line.work[i], in_line);
		queue_work(wq, &line.work[i]);
	}
	destroy_workqueue(wq);
	CHECK_EQ(line.next, ORDERED);
}

static void both_ordered(void)
{
	both(ordered);
}

static void in_crowd(struct work_struct *work)
{
	int now = atomic_inc_return(&line.inside), peak = atomic_read(&line.peak);

	while (now > peak && !atomic_try_cmpxchg(&line.peak, &peak, now))
		;
	sched_yield();
	atomic_dec(&line.inside);
	atomic_inc(&freed);
}

static void threads_max_active(void)
{
	struct workqueue_struct *wq;

	CHECK_EQ(exec_init(EXEC_THREADED, 6, 0), 0);
	wq = alloc_workqueue("crowd", WQ_UNBOUND, 2);
	atomic_set(&line.peak, 0);
	atomic_set(&freed, 0);
	for (int i = 0; i < ORDERED; i++) {
		INIT_WORK(&line.work[i], in_crowd);
		queue_work(wq, &line.work[i]);
	}
	destroy_workqueue(wq);
	CHECK_EQ(atomic_read(&freed), ORDERED);
	CHECK(atomic_read(&line.peak) <= 2);
	exec_exit();
}

/* --- many threads on few items --- */

#define HAMMER_THREADS	3
#define HAMMER_ITEMS	4
#define HAMMER_ROUNDS	3000

static struct counted hammered[HAMMER_ITEMS];
static atomic_t queued;

static void *hammer_main(void *arg)
{
	unsigned long which = (unsigned long)arg;

	for (int i = 0; i < HAMMER_ROUNDS; i++) {
		struct counted *c = &hammered[(which + (unsigned long)i) % HAMMER_ITEMS];

		if (queue_work(c->wq, &c->work))
			atomic_inc(&queued);
		if (i % 97 == 0 && cancel_work(&c->work))
			atomic_dec(&queued);
		if (i % 101 == 0 && cancel_work_sync(&c->work))
			atomic_dec(&queued);
		if (i % 89 == 0)
			flush_work(&c->work);
		if (i % 211 == 0)
			flush_workqueue(c->wq);
	}
	return NULL;
}

static void threads_hammer(void)
{
	pthread_t thread[HAMMER_THREADS];
	struct workqueue_struct *wq;
	int runs = 0;

	start(EXEC_THREADED);
	wq = alloc_workqueue("hammer", WQ_UNBOUND, 0);
	atomic_set(&queued, 0);
	for (int i = 0; i < HAMMER_ITEMS; i++)
		counted_init(&hammered[i], i % 2 ? system_wq : wq, 0);
	for (unsigned long i = 0; i < HAMMER_THREADS; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, hammer_main, (void *)i), 0);
	for (int i = 0; i < HAMMER_THREADS; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	flush_workqueue(system_wq);
	destroy_workqueue(wq);
	for (int i = 0; i < HAMMER_ITEMS; i++)
		runs += atomic_read(&hammered[i].runs);
	/* every success of queue_work() is one run, unless it was cancelled */
	CHECK_EQ(runs, atomic_read(&queued));
	CHECK(runs > 0);
	stop();
}

/* --- cancel against an item that always queues itself again --- */

struct endless {
	struct delayed_work dwork;
	unsigned long delay;
	struct completion started;
	bool dead;		/* written after cancel: a later run is a race and a failure */
};

static void endless_run(struct work_struct *work)
{
	struct endless *e = container_of(to_delayed_work(work), struct endless, dwork);

	CHECK(!e->dead);
	complete_all(&e->started);
	queue_delayed_work(system_wq, &e->dwork, e->delay);
}

static void cancel_endless(void)
{
	for (int i = 0; i < 100; i++) {
		struct endless e = { .delay = i % 2 };

		init_completion(&e.started);
		INIT_DELAYED_WORK(&e.dwork, endless_run);
		CHECK(queue_delayed_work(system_wq, &e.dwork, 0));
		wait_for_completion(&e.started);
		cancel_delayed_work_sync(&e.dwork);
		e.dead = true;
		CHECK(!delayed_work_pending(&e.dwork));
		flush_workqueue(system_wq);
	}
}

static void both_cancel_endless(void)
{
	both(cancel_endless);
}

/* --- delayed work --- */

#define TIMERS 20

struct timed {
	struct delayed_work dwork;
	u64 due;
	u64 ran;
};

static struct timed timed[TIMERS];
static struct completion all_timed;
static atomic_t timed_left;

static void timed_run(struct work_struct *work)
{
	struct timed *t = container_of(to_delayed_work(work), struct timed, dwork);

	t->ran = ktime_get_ns();
	CHECK(t->ran >= t->due);
	if (atomic_dec_and_test(&timed_left))
		complete(&all_timed);
}

static void delays(void)
{
	init_completion(&all_timed);
	atomic_set(&timed_left, TIMERS);
	for (unsigned int i = 0; i < TIMERS; i++) {
		unsigned int us = (unsigned int)exec_random(3000);

		INIT_DELAYED_WORK(&timed[i].dwork, timed_run);
		timed[i].due = ktime_get_ns() + us * 1000ull;
		CHECK(queue_delayed_work(system_wq, &timed[i].dwork, usecs_to_jiffies(us)));
	}
	wait_for_completion(&all_timed);
}

static void both_delays(void)
{
	both(delays);
}

static void modified(void)
{
	struct timed *t = &timed[0];

	init_completion(&all_timed);
	atomic_set(&timed_left, 1);
	INIT_DELAYED_WORK(&t->dwork, timed_run);
	t->due = 0;
	CHECK(!mod_delayed_work(system_wq, &t->dwork, msecs_to_jiffies(3600 * 1000)));
	CHECK(delayed_work_pending(&t->dwork));
	CHECK(!queue_delayed_work(system_wq, &t->dwork, 0));
	CHECK(!queue_work(system_wq, &t->dwork.work));
	CHECK(mod_delayed_work(system_wq, &t->dwork, msecs_to_jiffies(1800 * 1000)));
	t->due = ktime_get_ns() + 1000000;
	CHECK(mod_delayed_work(system_wq, &t->dwork, msecs_to_jiffies(1)));
	wait_for_completion(&all_timed);

	atomic_set(&timed_left, 1);
	CHECK(queue_delayed_work(system_wq, &t->dwork, msecs_to_jiffies(3600 * 1000)));
	CHECK(cancel_delayed_work(&t->dwork));
	CHECK(!cancel_delayed_work(&t->dwork));
	CHECK(queue_delayed_work(system_wq, &t->dwork, msecs_to_jiffies(3600 * 1000)));
	t->due = 0;
	(void)flush_delayed_work(&t->dwork);	/* may have run already */
	CHECK_EQ(atomic_read(&timed_left), 0);
}

static void both_modified(void)
{
	both(modified);
}

/* A sleep until a far timer must be cut short by a nearer one. */
static void threads_earlier_timer(void)
{
	struct delayed_work far;
	struct counted c;

	start(EXEC_THREADED);
	counted_init(&c, system_wq, 0);
	INIT_DELAYED_WORK(&far, endless_run);	/* never gets to run */
	INIT_DELAYED_WORK(&timed[0].dwork, timed_run);
	for (int i = 0; i < 100; i++) {
		init_completion(&all_timed);
		atomic_set(&timed_left, 1);
		CHECK(queue_delayed_work(system_wq, &far, msecs_to_jiffies(3600 * 1000)));
		/* work for both threads; they find the far timer when they go idle */
		for (int round = 0; round < 1 + i % 4; round++) {
			queue_work(system_wq, &c.work);
			flush_work(&c.work);
		}
		timed[0].due = ktime_get_ns() + 100000;
		CHECK(queue_delayed_work(system_wq, &timed[0].dwork, usecs_to_jiffies(100)));
		wait_for_completion(&all_timed);
		CHECK(cancel_delayed_work_sync(&far));
	}
	stop();
}

static void sim_time_jumps(void)
{
	u64 begin;

	start(EXEC_SIM);
	begin = ktime_get_ns();
	atomic_set(&timed_left, 3);
	init_completion(&all_timed);
	for (unsigned int i = 0; i < 3; i++) {
		INIT_DELAYED_WORK(&timed[i].dwork, timed_run);
		timed[i].due = begin + (3 - i) * 1000000000ull;
		queue_delayed_work(system_wq, &timed[i].dwork, msecs_to_jiffies((3 - i) * 1000));
	}
	exec_drain_now();
	CHECK_EQ(ktime_get_ns(), begin);
	exec_drain();
	for (int i = 0; i < 3; i++)
		CHECK(timed[i].ran >= timed[i].due && timed[i].ran < timed[i].due + 10000);
	CHECK_EQ(atomic_read(&timed_left), 0);
	exec_clock_jump(-5000000000ll);
	begin = ktime_get_real_ns();
	exec_advance(7);
	CHECK_EQ(ktime_get_real_ns(), begin + 7);
	stop();
}

/* --- the seed decides the order, and nothing else does --- */

#define TRACE_ITEMS 12

static struct counted traced[TRACE_ITEMS];
static u64 trace;

static void trace_run(struct work_struct *work)
{
	struct counted *c = container_of(work, struct counted, work);

	trace = trace * 31 + (u64)(c - traced);
	if (atomic_add_unless(&c->again, -1, 0))
		queue_work(system_wq, work);
}

static u64 trace_of(u64 seed)
{
	CHECK_EQ(exec_init(EXEC_SIM, 0, seed), 0);
	trace = 0;
	for (int i = 0; i < TRACE_ITEMS; i++) {
		counted_init(&traced[i], system_wq, 3);
		INIT_WORK(&traced[i].work, trace_run);
		queue_work(system_wq, &traced[i].work);
	}
	exec_drain();
	exec_exit();
	return trace;
}

static void sim_seed(void)
{
	u64 seed = test_seed(), first = trace_of(seed);
	int different = 0;

	CHECK_EQ(trace_of(seed), first);
	for (u64 i = 1; i <= 5; i++)
		different += trace_of(seed + i) != first;
	CHECK(different >= 4);
}

/* --- waiting --- */

static mempool_t *pool;
static void *pool_element;

static void *no_alloc(gfp_t gfp, void *data)
{
	return NULL;
}

static void give_back(struct work_struct *work)
{
	mempool_free(pool_element, pool);
}

/* The only element comes back from a work item. */
static void pool_waits(void)
{
	struct work_struct work;
	void *element;

	pool = mempool_create_kmalloc_pool(1, 64);
	CHECK(pool);
	pool->alloc = no_alloc;
	for (int i = 0; i < 50; i++) {
		pool_element = mempool_alloc(pool, GFP_NOWAIT);
		CHECK(pool_element);
		CHECK(!mempool_alloc(pool, GFP_NOWAIT));
		INIT_WORK(&work, give_back);
		queue_work(system_wq, &work);
		element = mempool_alloc(pool, GFP_NOIO);
		CHECK(element);
		flush_work(&work);
		mempool_free(element, pool);
	}
	mempool_destroy(pool);
}

static void both_pool_waits(void)
{
	both(pool_waits);
}

/* Threads outside of the executor contend for one element. */
static void *pool_main(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		void *element = mempool_alloc(pool, GFP_NOIO);

		CHECK(element);
		CHECK_EQ(atomic_inc_return(&line.inside), 1);
		sched_yield();
		atomic_dec(&line.inside);
		mempool_free(element, pool);
	}
	return NULL;
}

static void threads_pool_waits(void)
{
	pthread_t thread[3];

	start(EXEC_THREADED);
	pool = mempool_create_kmalloc_pool(1, 64);
	CHECK(pool);
	pool->alloc = no_alloc;
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, pool_main, NULL), 0);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
	mempool_destroy(pool);
	stop();
}

static struct completion gate_done;
static atomic_t through;

static void wait_at_gate(struct work_struct *work)
{
	wait_for_completion(&gate_done);
	atomic_inc(&through);
}

static void open_gate(struct work_struct *work)
{
	complete_all(&gate_done);
}

/* More waiting items than threads, and the one to free them comes last. */
static void blocked_workers(void)
{
	struct work_struct waiter[10], opener;
	struct workqueue_struct *wq = alloc_workqueue("gate", 0, 0);

	init_completion(&gate_done);
	atomic_set(&through, 0);
	for (int i = 0; i < 10; i++) {
		INIT_WORK(&waiter[i], wait_at_gate);
		queue_work(wq, &waiter[i]);
	}
	INIT_WORK(&opener, open_gate);
	queue_work(wq, &opener);
	destroy_workqueue(wq);
	CHECK_EQ(atomic_read(&through), 10);
}

static void both_blocked_workers(void)
{
	both(blocked_workers);
}

static void completions(void)
{
	struct completion x;

	init_completion(&x);
	CHECK(!try_wait_for_completion(&x));
	CHECK_EQ(wait_for_completion_timeout(&x, usecs_to_jiffies(200)), 0ul);
	complete(&x);
	complete(&x);
	CHECK(completion_done(&x));
	wait_for_completion(&x);
	CHECK(wait_for_completion_timeout(&x, msecs_to_jiffies(1000)) > 0);
	CHECK(!completion_done(&x));
	complete_all(&x);
	wait_for_completion(&x);
	wait_for_completion(&x);
	reinit_completion(&x);
	CHECK(!completion_done(&x));
}

static void both_completions(void)
{
	both(completions);
}

/* --- exit finishes what is queued --- */

static void exit_finishes(void)
{
	struct counted c;

	for (int mode = EXEC_THREADED; mode <= EXEC_SIM; mode++) {
		CHECK_EQ(exec_init((enum exec_mode)mode, 0, 1), 0);
		counted_init(&c, system_wq, 20);
		queue_work(system_wq, &c.work);
		exec_exit();
		CHECK_EQ(atomic_read(&c.runs), 21);
	}
}

static void exit_finds_timers(void)
{
	test_expect_warns(1);
	CHECK_EQ(exec_init(EXEC_SIM, 0, 1), 0);
	INIT_DELAYED_WORK(&timed[0].dwork, timed_run);
	queue_delayed_work(system_wq, &timed[0].dwork, 5);
	exec_exit();
}

/* --- queues and their memory --- */

static void queue_alloc_fails(void)
{
	struct workqueue_struct *wq;

	start(EXEC_SIM);
	exec_fail_alloc_at(1);
	CHECK(!alloc_workqueue("none", 0, 0));
	exec_fail_alloc_at(-1);
	wq = alloc_workqueue("some", 0, 0);
	CHECK(wq);
	destroy_workqueue(wq);
	stop();
}

int main(void)
{
	RUN(both_queue_and_flush);
	RUN(sim_pending_once);
	RUN(both_frees_itself);
	RUN(both_ordered);
	RUN(threads_max_active);
	RUN(threads_hammer);
	RUN(both_cancel_endless);
	RUN(both_delays);
	RUN(both_modified);
	RUN(threads_earlier_timer);
	RUN(sim_time_jumps);
	RUN(sim_seed);
	RUN(both_pool_waits);
	RUN(threads_pool_waits);
	RUN(both_blocked_workers);
	RUN(both_completions);
	RUN(exit_finishes);
	RUN(exit_finds_timers);
	RUN(queue_alloc_fails);
	return test_done();
}
