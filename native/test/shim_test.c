// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * shim_test.c - the kernel stand-ins: trees, checksums, counts, memory, strings
 *
 * Work queues and executors have their own test: workqueue_test.c.
 */
#include <linux/crc32c.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/llist.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/mempool.h>
#include <linux/mm.h>
#include <linux/bvec.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/completion.h>
#include <crypto/sha2.h>

#include "test.h"

u32 shim_crc32c_portable(u32 crc, const void *address, size_t length);
void shim_sha256_portable(bool on);

/* --- red-black tree against a plain array --- */

#define TREE_KEYS 512

struct item {
	struct rb_node node;
	unsigned int key;
	bool present;
};

static struct item items[TREE_KEYS];

static bool item_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct item, node)->key < rb_entry(b, struct item, node)->key;
}

static int item_cmp(const void *key, const struct rb_node *node)
{
	unsigned int k = *(const unsigned int *)key, other = rb_entry(node, struct item, node)->key;

	return k < other ? -1 : k > other;
}

/* Checks the rules of colors; returns the black height. */
static int check_subtree(const struct rb_node *n, const struct rb_node *parent)
{
	bool red;
	int left, right;

	if (!n)
		return 1;
	CHECK(rb_parent(n) == parent);
	red = !(n->__rb_parent_color & 1);
	if (red && parent)
		CHECK(parent->__rb_parent_color & 1);
	left = check_subtree(n->rb_left, n);
	right = check_subtree(n->rb_right, n);
	CHECK_EQ(left, right);
	return left + !red;
}

static void check_tree(const struct rb_root_cached *tree)
{
	const struct rb_root *root = &tree->rb_root;
	struct rb_node *n = rb_first(root), *back = rb_last(root);
	struct item *pos, *next;
	int count = 0, postorder = 0;

	if (root->rb_node)
		CHECK(root->rb_node->__rb_parent_color & 1);
	check_subtree(root->rb_node, NULL);
	CHECK(rb_first_cached(tree) == n);
	for (int i = 0; i < TREE_KEYS; i++) {
		CHECK((rb_find(&items[i].key, root, item_cmp) == &items[i].node) ==
		      items[i].present);
		if (!items[i].present)
			continue;
		CHECK(n == &items[i].node);
		n = rb_next(n);
		count++;
	}
	CHECK(!n);
	for (int i = TREE_KEYS - 1; i >= 0; i--) {
		if (!items[i].present)
			continue;
		CHECK(back == &items[i].node);
		back = rb_prev(back);
	}
	CHECK(!back);
	rbtree_postorder_for_each_entry_safe(pos, next, root, node)
		postorder++;
	CHECK_EQ(postorder, count);
}

static void rbtree_random(void)
{
	struct rb_root_cached tree = RB_ROOT_CACHED;
	struct rb_node copy;

	CHECK_EQ(exec_init(EXEC_SIM, 0, test_seed()), 0);
	for (int i = 0; i < TREE_KEYS; i++)
		items[i] = (struct item){ .key = (unsigned int)i };
	for (int step = 0; step < 6000; step++) {
		/* waves of growing and shrinking */
		bool grow = exec_random(100) < (step / 1000 % 2 ? 30u : 70u);
		struct item *it = &items[exec_random(TREE_KEYS)];

		if (grow && !it->present) {
			rb_add_cached(&it->node, &tree, item_less);
			it->present = true;
		} else if (!grow && it->present) {
			rb_erase_cached(&it->node, &tree);
			it->present = false;
		}
		if (step % 16 == 0)
			check_tree(&tree);
	}
	/* replacing keeps the shape */
	for (int i = 0; i < TREE_KEYS; i++) {
		if (!items[i].present)
			continue;
		copy = items[i].node;
		rb_replace_node(&items[i].node, &copy, &tree.rb_root);
		rb_replace_node(&copy, &items[i].node, &tree.rb_root);
	}
	check_tree(&tree);
	for (int i = 0; i < TREE_KEYS; i++) {
		if (items[i].present)
			rb_erase_cached(&items[i].node, &tree);
		items[i].present = false;
	}
	CHECK(RB_EMPTY_ROOT(&tree.rb_root));
	check_tree(&tree);
	exec_exit();
}

/* --- lists --- */

struct link {
	struct list_head list;
	struct llist_node lockless;
	int value;
};

static int list_sum_digits(const struct list_head *head)
{
	struct link *l;
	int digits = 0;

	list_for_each_entry(l, head, list)
		digits = digits * 10 + l->value;
	return digits;
}

static void lists(void)
{
	LIST_HEAD(a);
	LIST_HEAD(b);
	LLIST_HEAD(c);
	struct link l[6], *pos, *n;
	struct llist_node *taken;
	int digits = 0;

	for (int i = 0; i < 6; i++) {
		l[i].value = i + 1;
		list_add_tail(&l[i].list, i < 3 ? &a : &b);
		CHECK_EQ(llist_add(&l[i].lockless, &c), i == 0);
	}
	CHECK_EQ(list_sum_digits(&a), 123);
	list_splice_tail_init(&b, &a);
	CHECK(list_empty(&b));
	CHECK_EQ(list_sum_digits(&a), 123456);
	list_move(&l[5].list, &a);
	CHECK_EQ(list_sum_digits(&a), 612345);
	list_cut_position(&b, &a, &l[1].list);
	CHECK_EQ(list_sum_digits(&b), 612);
	CHECK_EQ(list_sum_digits(&a), 345);
	list_splice_init(&b, &a);
	CHECK_EQ(list_sum_digits(&a), 612345);
	list_for_each_entry_safe(pos, n, &a, list)
		if (pos->value % 2)
			list_del_init(&pos->list);
	CHECK_EQ(list_sum_digits(&a), 624);
	CHECK_EQ(list_first_entry(&a, struct link, list)->value, 6);
	CHECK_EQ(list_last_entry(&a, struct link, list)->value, 4);
	CHECK(!list_is_singular(&a));
	CHECK(!list_first_entry_or_null(&b, struct link, list));
	taken = llist_reverse_order(llist_del_all(&c));
	CHECK(llist_empty(&c));
	llist_for_each_entry_safe(pos, n, taken, lockless)
		digits = digits * 10 + pos->value;
	CHECK_EQ(digits, 123456);
}

/* --- checksums --- */

static u32 crc32c_standard(const void *data, unsigned int len)
{
	return ~crc32c(~0u, data, len);
}

static void crc32c_vectors(void)
{
	u8 buf[48];

	/* RFC 3720, appendix B.4 */
	CHECK_EQ(crc32c_standard("123456789", 9), 0xe3069283u);
	memset(buf, 0, 32);
	CHECK_EQ(crc32c_standard(buf, 32), 0x8a9136aau);
	memset(buf, 0xff, 32);
	CHECK_EQ(crc32c_standard(buf, 32), 0x62a8ab43u);
	for (int i = 0; i < 32; i++)
		buf[i] = (u8)i;
	CHECK_EQ(crc32c_standard(buf, 32), 0x46dd794eu);
	for (int i = 0; i < 32; i++)
		buf[i] = (u8)(31 - i);
	CHECK_EQ(crc32c_standard(buf, 32), 0x113fdb5cu);
	CHECK_EQ(crc32c(0x12345678, buf, 0), 0x12345678u);
}

static void crc32c_ways_agree(void)
{
	static u8 buf[3 * 4096];

	CHECK_EQ(exec_init(EXEC_SIM, 0, test_seed()), 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (u8)exec_random(256);
	for (int i = 0; i < 3000; i++) {
		unsigned int off = (unsigned int)exec_random(64);
		unsigned int len = (unsigned int)exec_random(i % 2 ? 600 : sizeof(buf) - off);
		unsigned int cut = (unsigned int)exec_random(len + 1);
		u32 seed = (u32)exec_random(1ULL << 32), crc = crc32c(seed, buf + off, len);

		CHECK_EQ(crc, shim_crc32c_portable(seed, buf + off, len));
		CHECK_EQ(crc, crc32c(crc32c(seed, buf + off, cut), buf + off + cut, len - cut));
	}
	exec_exit();
}

static void check_sha(const void *data, unsigned int len, const char *hex)
{
	u8 out[SHA256_DIGEST_SIZE];
	char text[2 * SHA256_DIGEST_SIZE + 1];

	sha256(data, len, out);
	for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
		sprintf(text + 2 * i, "%02x", out[i]);
	CHECK_STR(text, hex);
}

static void sha256_known(void)
{
	static u8 million[1000000];

	memset(million, 'a', sizeof(million));
	/* FIPS 180-2, appendix B */
	check_sha("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	check_sha("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	check_sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
		  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	check_sha(million, sizeof(million),
		  "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

static void sha256_vectors(void)
{
	sha256_known();
	shim_sha256_portable(true);
	sha256_known();
	shim_sha256_portable(false);
}

static void sha256_pieces(void)
{
	u8 buf[700], whole[SHA256_DIGEST_SIZE], parts[SHA256_DIGEST_SIZE];

	CHECK_EQ(exec_init(EXEC_SIM, 0, test_seed()), 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (u8)exec_random(256);
	for (int round = 0; round < 500; round++) {
		unsigned int len = (unsigned int)exec_random(sizeof(buf) + 1), done = 0;
		struct sha256_state s;

		sha256_init(&s);
		while (done < len) {
			unsigned int n = 1 + (unsigned int)exec_random(len - done);

			sha256_update(&s, buf + done, n);
			done += n;
		}
		sha256_final(&s, parts);
		shim_sha256_portable(round % 2);
		sha256(buf, len, whole);
		CHECK_MEM(whole, parts, sizeof(whole));
		shim_sha256_portable(false);
	}
	exec_exit();
}

/* --- reference counts --- */

static void refcounts(void)
{
	refcount_t r = REFCOUNT_INIT(1);

	refcount_inc(&r);
	CHECK_EQ(refcount_read(&r), 2u);
	CHECK(!refcount_dec_and_test(&r));
	CHECK(refcount_inc_not_zero(&r));
	refcount_dec(&r);
	CHECK(refcount_dec_and_test(&r));
	CHECK(!refcount_inc_not_zero(&r));

	/* misuse warns, pins the count and never lets it come to zero */
	test_expect_warns(3);
	refcount_set(&r, 0);
	refcount_inc(&r);
	CHECK_EQ((int)refcount_read(&r), REFCOUNT_SATURATED);
	refcount_set(&r, 0);
	CHECK(!refcount_dec_and_test(&r));
	CHECK_EQ((int)refcount_read(&r), REFCOUNT_SATURATED);
	refcount_set(&r, REFCOUNT_MAX);
	refcount_inc(&r);
	CHECK_EQ((int)refcount_read(&r), REFCOUNT_SATURATED);
}

/* --- memory --- */

static void alignment(void)
{
	size_t size;
	u8 *p;

	for (size = 512; size <= 1 << 20; size *= 2) {
		p = kzalloc(size, GFP_KERNEL);
		CHECK(IS_ALIGNED((unsigned long)p, min(size, (size_t)PAGE_SIZE)));
		CHECK(!memchr_inv(p, 0, size));
		kfree(p);
	}
	p = alloc_pages_exact(3 * PAGE_SIZE + 1, GFP_KERNEL | __GFP_ZERO);
	CHECK(IS_ALIGNED((unsigned long)p, PAGE_SIZE));
	CHECK(!memchr_inv(p, 0, 4 * PAGE_SIZE));
	free_pages_exact(p, 3 * PAGE_SIZE + 1);
	CHECK(!kmalloc(KMALLOC_MAX_SIZE + 1, GFP_KERNEL));
	CHECK(!kcalloc(SIZE_MAX / 2, 4, GFP_KERNEL));
}

static void pages(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 2);
	struct bio_vec bv;
	u8 *p = page_address(page);

	CHECK(virt_to_page(p + 17) == page);
	CHECK(virt_to_page(p + PAGE_SIZE) == page + 1);
	CHECK(page_address(page + 3) == p + 3 * PAGE_SIZE);
	bvec_set_virt(&bv, p + PAGE_SIZE + 5, 100);
	CHECK(bv.bv_page == page + 1);
	CHECK_EQ(bv.bv_offset, 5u);
	CHECK(bvec_virt(&bv) == p + PAGE_SIZE + 5);
	CHECK_EQ(get_order(4 * PAGE_SIZE), 2u);
	CHECK_EQ(get_order(4 * PAGE_SIZE + 1), 3u);
	__free_pages(page, 2);
}

static void alloc_failures(void)
{
	long live = exec_live_allocs(), tried = exec_alloc_count();
	void *p[3];

	for (long n = 1; n <= 4; n++) {
		exec_fail_alloc_at(n);
		for (long i = 0; i < 3; i++) {
			p[i] = i == 0 ? kmalloc(10, GFP_KERNEL) :
			       i == 1 ? (void *)alloc_page(GFP_KERNEL) : kvmalloc(10, GFP_NOWAIT);
			CHECK_EQ(!p[i], i == n - 1);
		}
		CHECK_EQ(exec_fail_alloc_fired(), n <= 3);
		CHECK_EQ(exec_live_allocs() - live, n <= 3 ? 2 : 3);
		for (int i = 0; i < 3; i++)
			kfree(p[i]);
	}
	exec_fail_alloc_at(-1);
	CHECK_EQ(exec_live_allocs(), live);
	CHECK_EQ(exec_alloc_count() - tried, 12);
}

static bool allow_element;

static void *scarce_alloc(gfp_t gfp, void *data)
{
	return allow_element ? kmalloc(64, gfp) : NULL;
}

static void scarce_free(void *element, void *data)
{
	kfree(element);
}

static void mempool_reserve(void)
{
	long live = exec_live_allocs();
	mempool_t *pool;
	void *e[4];

	allow_element = true;
	pool = mempool_create(3, scarce_alloc, scarce_free, NULL);
	CHECK(pool);
	allow_element = false;
	for (int i = 0; i < 3; i++)
		CHECK((e[i] = mempool_alloc(pool, GFP_NOWAIT)));
	CHECK(!mempool_alloc(pool, GFP_NOWAIT));
	mempool_free(e[0], pool);
	CHECK(mempool_alloc(pool, GFP_NOWAIT) == e[0]);
	allow_element = true;
	CHECK((e[3] = mempool_alloc(pool, GFP_KERNEL)));
	for (int i = 0; i < 4; i++)
		mempool_free(e[i], pool);
	CHECK_EQ(pool->curr_nr, 3);
	mempool_destroy(pool);
	CHECK_EQ(exec_live_allocs(), live);

	/* each allocation that mempool_create makes may fail */
	for (long n = 1;; n++) {
		exec_fail_alloc_at(n);
		pool = mempool_create_kmalloc_pool(4, 32);
		if (!exec_fail_alloc_fired())
			break;
		CHECK(!pool);
		CHECK_EQ(exec_live_allocs(), live);
	}
	exec_fail_alloc_at(-1);
	CHECK(pool);
	mempool_destroy(pool);
}

/* --- strings and numbers --- */

static void strings(void)
{
	char buf[8];
	u8 bytes[64];

	CHECK_EQ(strscpy(buf, "seven77", sizeof(buf)), 7);
	CHECK_EQ(strscpy(buf, "eight888", sizeof(buf)), -E2BIG);
	CHECK_STR(buf, "eight88");
	CHECK_EQ(strscpy(buf, "x", 0), -E2BIG);
	CHECK_EQ(scnprintf(buf, sizeof(buf), "%s", "much too long"), 7);
	CHECK_STR(buf, "much to");
	memset(bytes, 5, sizeof(bytes));
	CHECK(!memchr_inv(bytes, 5, sizeof(bytes)));
	for (size_t i = 0; i < sizeof(bytes); i++) {
		bytes[i] = 6;
		CHECK(memchr_inv(bytes, 5, sizeof(bytes)) == bytes + i);
		CHECK(!memchr_inv(bytes, 5, i));
		bytes[i] = 5;
	}
}

static void numbers(void)
{
	unsigned long long u;
	long long s;
	int i;

	CHECK_EQ(kstrtou64("18446744073709551615", 10, &u), 0);
	CHECK_EQ(u, U64_MAX);
	CHECK_EQ(kstrtou64("18446744073709551616", 10, &u), -ERANGE);
	CHECK_EQ(kstrtou64("0x10\n", 0, &u), 0);
	CHECK_EQ(u, 16u);
	CHECK_EQ(kstrtou64("", 10, &u), -EINVAL);
	CHECK_EQ(kstrtou64(" 1", 10, &u), -EINVAL);
	CHECK_EQ(kstrtou64("-1", 10, &u), -EINVAL);
	CHECK_EQ(kstrtou64("1x", 10, &u), -EINVAL);
	CHECK_EQ(kstrtos64("-9223372036854775808", 10, &s), 0);
	CHECK_EQ(s, S64_MIN);
	CHECK_EQ(kstrtos64("9223372036854775808", 10, &s), -ERANGE);
	CHECK_EQ(kstrtoint("-2147483649", 10, &i), -ERANGE);
	CHECK_EQ(kstrtoint("-2147483648", 10, &i), 0);
	CHECK_EQ(i, S32_MIN);

	CHECK_EQ(ALIGN(4097, 4096), 8192);
	CHECK_EQ(round_down(8191u, 4096u), 4096u);
	CHECK_EQ(DIV_ROUND_UP(10, 3), 4);
	CHECK_EQ(ilog2(4096), 12);
	CHECK_EQ(roundup_pow_of_two(4097), 8192ul);
	CHECK(is_power_of_2(64) && !is_power_of_2(0) && !is_power_of_2(65));
	CHECK_EQ(mul_u64_u64_div_u64(1ULL << 60, 1ULL << 10, 1ULL << 20), 1ULL << 50);
	CHECK_EQ(min(3, 2) + max(3, 2) + clamp(9, 1, 4), 9);
	CHECK_EQ(fls64(1ULL << 40), 41);
	CHECK_EQ(GENMASK(7, 4), 0xf0ul);
}

static void bitmaps(void)
{
	DECLARE_BITMAP(map, 200) = { 0 };
	unsigned long bit, seen = 0;

	CHECK_EQ(find_first_bit(map, 200), 200ul);
	CHECK_EQ(find_first_zero_bit(map, 200), 0ul);
	set_bit(0, map);
	set_bit(64, map);
	set_bit(199, map);
	CHECK(test_and_set_bit(64, map));
	CHECK(!test_and_set_bit(65, map));
	CHECK(test_and_clear_bit(65, map));
	CHECK(!test_bit(65, map));
	CHECK_EQ(find_next_bit(map, 200, 65), 199ul);
	CHECK_EQ(find_next_bit(map, 199, 65), 199ul);
	CHECK_EQ(find_next_zero_bit(map, 200, 64), 65ul);
	for_each_set_bit(bit, map, 200)
		seen = seen * 1000 + bit;
	CHECK_EQ(seen, 64199ul);
}

int main(void)
{
	RUN(rbtree_random);
	RUN(lists);
	RUN(crc32c_vectors);
	RUN(crc32c_ways_agree);
	RUN(sha256_vectors);
	RUN(sha256_pieces);
	RUN(refcounts);
	RUN(alignment);
	RUN(pages);
	RUN(alloc_failures);
	RUN(mempool_reserve);
	RUN(strings);
	RUN(numbers);
	RUN(bitmaps);
	return test_done();
}
