// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * guest_ctlfuzz.c - ctlfuzz DEVICE SEED ROUNDS DIR [NAME...]: hostile calls of /dev/mars-control
 *
 * First a whole device is built, by the book.  Then several threads call at once, each
 * ROUNDS times, with one of:
 *	wild	any command number, any size, random bytes
 *	raw	a verb with its right size and header, random bytes behind it
 *	bent	a well-formed call with a few bytes changed
 *	real	a well-formed call: names, keys and wires from small sets, so that graphs
 *		grow, rewire, switch and break at the same time
 *	edge	a structure that ends at, or lies in, memory the kernel can't touch
 * Files the bricks are given lie in DIR.  At the end everything must go off and away, but
 * for bricks with one of the NAMEs: they are somebody else's.
 *
 * It finds what the kernel log then shows; by itself it fails when an errno comes that
 * no call may give, when a refusal has no reason, when bricks can't be taken down, or
 * when the device was not built or no call of some verb ever succeeded (then it has tried
 * nothing).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "uapi/mars.h"
#include "verb_size.h"

#define NR(a)		(sizeof(a) / sizeof((a)[0]))
#define THREADS		4
#define DOWN_SECONDS	60

static const char *device, *dir;
static char **kept;
static uint64_t seed;
static unsigned long rounds;
static unsigned long succeeded[MARS_VERB_EVENT + 1], calls;
static unsigned long lit;	/* how often a logger or a disk was seen on */
static bool failed;

/* Bricks that fit together, so that whole devices come to life now and then. */
static const struct plan {
	const char *name, *type, *below[3];
	uint32_t keys[6];
} plans[] = {
	{ "data", "file", {}, { MARS_K_FILE_PATH, MARS_K_FILE_FLAGS, MARS_K_FILE_SIZE } },
	{ "r/log1", "file", {}, { MARS_K_FILE_PATH, MARS_K_FILE_FLAGS, MARS_K_FILE_SIZE } },
	{ "r/log2", "file", {}, { MARS_K_FILE_PATH, MARS_K_FILE_FLAGS, MARS_K_FILE_SIZE } },
	{ "disk", "bdev", {}, { MARS_K_FILE_PATH, MARS_K_FILE_FLAGS, MARS_K_FILE_SIZE } },
	{ "logger", "logger", { "data", "r/log1", "r/log2" },
	  { MARS_K_LOGGER_IDENT, MARS_K_LOGGER_CREDITS, MARS_K_LOGGER_ROTATE,
	    MARS_K_LOGGER_CHECKPOINT, MARS_K_LOGGER_SEGMENT, MARS_K_LOGGER_DELAY } },
	{ "replay", "replay", { "data", "r/log1" },
	  { MARS_K_REPLAY_IDENT, MARS_K_REPLAY_START, MARS_K_REPLAY_END } },
	{ "if", "if", { "logger" }, { MARS_K_IF_NAME, MARS_K_IF_READONLY, MARS_K_IF_RESIZE } },
	{ "if2", "if", { "limit" }, { MARS_K_IF_NAME, MARS_K_IF_READONLY, MARS_K_IF_RESIZE } },
	{ "check", "check", { "data" }, { MARS_K_CHECK_ERROR, MARS_K_CHECK_DELAY } },
	{ "limit", "limit", { "check" }, { MARS_K_LIMIT_BYTES, MARS_K_LIMIT_OPS } },
	{ "align", "align", { "disk" }, { MARS_K_ALIGN_BLOCK } },
};
static const char *const odd_names[] = { "../z", "", "none", "/abs", "r/none" };
static const uint64_t values[] = {
	0, 0, 1, 2, 512, 4096, 4097, 1 << 20, 4 << 20, 16 << 20, 64 << 20, 1ull << 62, UINT64_MAX,
};
/* DIR is put before those that begin with '+' */
static const char *const texts[] = {
	"+/data", "+", "+/missing/x", "/dev/null", "/proc/self/mem",
	"/sys/kernel/mars/in_use", "/dev/mars-control", "relative", "/", "fuzz", "a/b", "..",
	"a-name-that-is-longer-than-any-disk-may-have", "write 5 0 1", "read 5 0 3", "%s%n", "",
};

struct fuzzer {
	pthread_t thread;
	uint64_t random;
	int fd;
	unsigned char *page;		/* followed by one that can't be touched */
	unsigned long calls, succeeded[MARS_VERB_EVENT + 1];
	union {
		struct mars_ctl_hdr hdr;
		struct mars_ctl_create create;
		struct mars_ctl_name name;
		struct mars_ctl_wire wire;
		struct mars_ctl_switch power;
		struct mars_ctl_set set;
		struct mars_ctl_status status;
		struct mars_ctl_lamport lamport;
		unsigned char byte[16384];
	} u;
};

static uint64_t any(struct fuzzer *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return f->random * 0x2545f4914f6cdd1dull >> 8;
}

#define PICK(f, list) (list)[any(f) % NR(list)]

static void fill_random(struct fuzzer *f, unsigned char *p, size_t len)
{
	while (len--)
		*p++ = any(f);
}

static void complain(const struct fuzzer *f, const char *what, unsigned int verb, int err)
{
	fprintf(stderr, "seed %llu: %s: verb %u, reason %u, %s\n", (unsigned long long)seed, what,
		verb, f->u.hdr.reason, strerror(err));
	__atomic_store_n(&failed, true, __ATOMIC_RELAXED);
}

/* --- calls --- */

static void begin(struct fuzzer *f, unsigned int verb)
{
	memset(&f->u, 0, verb_size[verb]);
	f->u.hdr.size = verb_size[verb];
	f->u.hdr.version = MARS_ABI_VERSION;
	f->u.hdr.verb = verb;
}

/* Only the ways out the ABI knows: a result, or -errno with a reason beside it. */
static void call(struct fuzzer *f, unsigned int verb)
{
	int ret = ioctl(f->fd, MARS_IOC(verb, verb_size[verb]), &f->u);
	int err = errno;

	f->calls++;
	if (!ret)
		f->succeeded[verb]++;
	if (!ret && verb == MARS_VERB_STATUS && f->u.status.led_on &&
	    (!strcmp(f->u.status.type, "logger") || !strcmp(f->u.status.type, "if")))
		__atomic_fetch_add(&lit, 1, __ATOMIC_RELAXED);
	if (!ret)
		return;
	if (ret > 0)
		complain(f, "a positive answer", verb, 0);
	else if (err == EFAULT)
		complain(f, "good memory refused", verb, err);
	else if (err != ENOMEM && f->u.hdr.reason == MARS_R_NONE)
		complain(f, "refused without a reason", verb, err);
}

static void put_path(struct fuzzer *f, const char *name)
{
	f->u.set.len = snprintf(f->u.set.text, MARS_TEXT_MAX, "%s/%s", dir,
				name[0] == 'r' ? name + 2 : name);
}

static void put_ident(struct fuzzer *f, uint64_t number)
{
	struct mars_log_ident ident;

	memset(&ident, 0, sizeof(ident));
	ident.number = number;
	memset(ident.cluster, 1, sizeof(ident.cluster));
	memset(ident.resource, 2, sizeof(ident.resource));
	fill_random(f, ident.salt, sizeof(ident.salt));
	strcpy(ident.origin, "fuzz");
	memcpy(f->u.set.text, &ident, sizeof(ident));
	f->u.set.len = sizeof(ident);
}

/* The text of a well-formed SET of brick @p; mostly one that makes sense. */
static void put_text(struct fuzzer *f, const struct plan *p)
{
	const char *text = PICK(f, texts);

	if (f->u.set.key == MARS_K_FILE_PATH && any(f) % 2) {
		put_path(f, p->name);
		return;
	}
	if (f->u.set.key == MARS_K_LOGGER_IDENT || f->u.set.key == MARS_K_LOGGER_ROTATE ||
	    f->u.set.key == MARS_K_REPLAY_IDENT) {
		put_ident(f, 1 + any(f) % 4);
		return;
	}
	f->u.set.len = snprintf(f->u.set.text, MARS_TEXT_MAX, "%s%s", *text == '+' ? dir : "",
				text + (*text == '+'));
}

static uint64_t good_flags(const char *name)
{
	return name[0] == 'r' ? MARS_FILE_CREATE | MARS_FILE_APPEND | MARS_FILE_DIRECT :
				MARS_FILE_EXCL;
}

static uint64_t file_flags(struct fuzzer *f, const struct plan *p)
{
	return any(f) % 4 ? good_flags(p->name) : any(f) % (2 * MARS_FILE_ALL);
}

static void make_set(struct fuzzer *f, const struct plan *p)
{
	f->u.set.key = any(f) % 8 ? PICK(f, p->keys) : PICK(f, PICK(f, plans).keys);
	f->u.set.value = f->u.set.key == MARS_K_FILE_FLAGS ? file_flags(f, p) : PICK(f, values);
	put_text(f, p);
}

static void make_real(struct fuzzer *f, unsigned int verb)
{
	const struct plan *p = &PICK(f, plans);
	const char *name = any(f) % 16 ? p->name : PICK(f, odd_names);
	const char *to;

	begin(f, verb);
	switch (verb) {
	case MARS_VERB_CREATE:
		strcpy(f->u.create.type, any(f) % 16 ? p->type : "none");
		strcpy(f->u.create.name, name);
		break;
	case MARS_VERB_CONNECT:
		f->u.wire.input = any(f) % 3;
		to = p->below[f->u.wire.input];
		strcpy(f->u.wire.to, to && any(f) % 8 ? to : PICK(f, plans).name);
		strcpy(f->u.wire.name, name);
		break;
	case MARS_VERB_DISCONNECT:
		strcpy(f->u.wire.name, name);
		f->u.wire.input = any(f) % 4;
		break;
	case MARS_VERB_SWITCH:
		strcpy(f->u.power.name, name);
		f->u.power.on = any(f) % 4 != 0;
		break;
	case MARS_VERB_SET:
		strcpy(f->u.set.name, name);
		make_set(f, p);
		break;
	case MARS_VERB_DESTROY:
		strcpy(f->u.name.name, name);
		break;
	case MARS_VERB_STATUS:
	case MARS_VERB_LIST:
		strcpy(f->u.status.name, name);
		break;
	case MARS_VERB_LAMPORT:
		f->u.lamport.advance = any(f) % 2 ? 0 : any(f);
		break;
	}
}

static unsigned int some_verb(struct fuzzer *f)
{
	return 1 + any(f) % MARS_VERB_EVENT;
}

static void wild(struct fuzzer *f)
{
	size_t size = any(f) % 8 ? any(f) % (MARS_IOC_MAX + 64) : any(f) % 16384;
	unsigned int type = any(f) % 4 ? MARS_IOC_TYPE : any(f) & 0xff;

	fill_random(f, f->u.byte, size);
	if (ioctl(f->fd, _IOC(any(f) % 4 ? 3 : any(f) & 3, type, any(f) & 0xff, size), &f->u) >= 0)
		complain(f, "noise was accepted", f->u.hdr.verb, 0);
	f->calls++;
}

static void raw(struct fuzzer *f)
{
	unsigned int verb = some_verb(f);

	begin(f, verb);
	fill_random(f, f->u.byte + sizeof(f->u.hdr), verb_size[verb] - sizeof(f->u.hdr));
	call(f, verb);
}

static void bent(struct fuzzer *f)
{
	unsigned int verb = some_verb(f), nr = 1 + any(f) % 3;

	make_real(f, verb);
	while (nr--)
		f->u.byte[any(f) % verb_size[verb]] = any(f);
	f->u.hdr.reason = 0;
	if (f->u.hdr.verb == verb)
		call(f, verb);
	else if (ioctl(f->fd, MARS_IOC(verb, verb_size[verb]), &f->u) >= 0)
		complain(f, "two verbs at once", verb, 0);
}

static void real(struct fuzzer *f)
{
	unsigned int verb = some_verb(f);

	/* destroying is rare, or nothing would get far */
	if ((verb == MARS_VERB_DESTROY || verb == MARS_VERB_DISCONNECT) && any(f) % 8)
		verb = any(f) % 2 ? MARS_VERB_SET : MARS_VERB_CONNECT;
	make_real(f, verb);
	call(f, verb);
}

/* The call ends in the guard page, or its answer has no place to go. */
static void edge(struct fuzzer *f)
{
	unsigned int verb = some_verb(f);
	size_t size = verb_size[verb], cut = any(f) % (size + 1);
	unsigned char *at = f->page + sysconf(_SC_PAGESIZE) - (size - cut);
	static const unsigned char *const bad[] = { NULL, (void *)-4096ul, (void *)8 };

	make_real(f, verb);
	if (any(f) % 4 == 0)
		at = (unsigned char *)PICK(f, bad);
	else
		memcpy(at, &f->u, size - cut);
	if (ioctl(f->fd, MARS_IOC(verb, size), at) >= 0 && cut)
		complain(f, "memory that is not there", verb, 0);
	f->calls++;
}

static void *run(void *arg)
{
	static void (*const kinds[])(struct fuzzer *f) = {
		wild, raw, bent, bent, real, real, real, real, real, edge,
	};
	struct fuzzer *f = arg;
	struct pollfd p = { .events = POLLIN };
	unsigned long i;

	for (i = 0; i < rounds; i++) {
		PICK(f, kinds)(f);
		if (any(f) % 64)
			continue;
		p.fd = f->fd;
		poll(&p, 1, 0);
		close(f->fd);
		f->fd = open(device, O_RDWR | O_CLOEXEC);
		if (f->fd < 0) {
			complain(f, "open", 0, errno);
			break;
		}
	}
	return NULL;
}

/* --- the end --- */

static bool is_kept(const char *name)
{
	for (char **k = kept; k && *k; k++)
		if (!strcmp(*k, name))
			return true;
	return false;
}

/* One look at every brick: button off, destroy.  How many are left? */
static unsigned int take_down(struct fuzzer *f)
{
	char name[MARS_NAME_MAX] = "";
	unsigned int left = 0;

	for (;;) {
		begin(f, MARS_VERB_LIST);
		memcpy(f->u.status.name, name, sizeof(name));
		call(f, MARS_VERB_LIST);
		if (!f->u.status.name[0])
			return left;
		memcpy(name, f->u.status.name, sizeof(name));
		if (is_kept(name))
			continue;
		begin(f, MARS_VERB_SWITCH);
		memcpy(f->u.power.name, name, sizeof(name));
		call(f, MARS_VERB_SWITCH);
		begin(f, MARS_VERB_DESTROY);
		memcpy(f->u.name.name, name, sizeof(name));
		call(f, MARS_VERB_DESTROY);
		left += f->u.hdr.reason != MARS_R_NONE;
	}
}

static void drain_events(struct fuzzer *f)
{
	do {
		begin(f, MARS_VERB_EVENT);
		call(f, MARS_VERB_EVENT);
	} while (f->u.status.name[0]);
}

static void take_down_all(struct fuzzer *f)
{
	struct pollfd p = { .fd = f->fd, .events = POLLIN };
	time_t end = time(NULL) + DOWN_SECONDS;

	for (;;) {
		drain_events(f);
		if (!take_down(f))
			return;
		if (time(NULL) >= end) {
			complain(f, "bricks that don't go away", 0, EBUSY);
			return;
		}
		poll(&p, 1, 500);	/* an event; or a brick whose user went off just before */
	}
}

/* --- start --- */

static void start(struct fuzzer *f, unsigned int nr)
{
	size_t page = sysconf(_SC_PAGESIZE);

	f->random = (seed + 1) * 0x9e3779b97f4a7c15ull + nr;
	f->fd = open(device, O_RDWR | O_CLOEXEC);
	f->page = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->fd < 0 || f->page == MAP_FAILED || mprotect(f->page + page, page, PROT_NONE)) {
		perror(device);
		exit(1);
	}
}

/* --- a device by the book --- */

static void create(struct fuzzer *f, const char *type, const char *name)
{
	begin(f, MARS_VERB_CREATE);
	strcpy(f->u.create.type, type);
	strcpy(f->u.create.name, name);
	call(f, MARS_VERB_CREATE);
}

static void wire_to(struct fuzzer *f, const char *name, unsigned int input, const char *to)
{
	begin(f, MARS_VERB_CONNECT);
	strcpy(f->u.wire.name, name);
	strcpy(f->u.wire.to, to);
	f->u.wire.input = input;
	call(f, MARS_VERB_CONNECT);
}

static void begin_set(struct fuzzer *f, const char *name, uint32_t key)
{
	begin(f, MARS_VERB_SET);
	strcpy(f->u.set.name, name);
	f->u.set.key = key;
}

static bool is_on(struct fuzzer *f, const char *name)
{
	begin(f, MARS_VERB_STATUS);
	strcpy(f->u.status.name, name);
	call(f, MARS_VERB_STATUS);
	return f->u.status.led_on;
}

/* Press the button, and wait for the lamp. */
static bool switch_on(struct fuzzer *f, const char *name)
{
	struct pollfd p = { .fd = f->fd, .events = POLLIN };
	time_t end = time(NULL) + DOWN_SECONDS;

	begin(f, MARS_VERB_SWITCH);
	strcpy(f->u.power.name, name);
	f->u.power.on = 1;
	call(f, MARS_VERB_SWITCH);
	if (f->u.hdr.reason)
		return false;
	while (!is_on(f, name) && time(NULL) < end) {
		poll(&p, 1, 500);
		drain_events(f);
	}
	return is_on(f, name);
}

static bool open_file(struct fuzzer *f, const char *name)
{
	create(f, "file", name);
	begin_set(f, name, MARS_K_FILE_PATH);
	put_path(f, name);
	call(f, MARS_VERB_SET);
	begin_set(f, name, MARS_K_FILE_FLAGS);
	f->u.set.value = good_flags(name);
	call(f, MARS_VERB_SET);
	return switch_on(f, name);
}

static bool build_device(struct fuzzer *f)
{
	if (!open_file(f, "data") || !open_file(f, "r/log1"))
		return false;
	create(f, "logger", "logger");
	begin_set(f, "logger", MARS_K_LOGGER_IDENT);
	put_ident(f, 1);
	call(f, MARS_VERB_SET);
	wire_to(f, "logger", 0, "data");
	wire_to(f, "logger", 1, "r/log1");
	if (!switch_on(f, "logger"))
		return false;
	create(f, "if", "if");
	begin_set(f, "if", MARS_K_IF_NAME);
	f->u.set.len = sprintf(f->u.set.text, "fuzz");
	call(f, MARS_VERB_SET);
	wire_to(f, "if", 0, "logger");
	return switch_on(f, "if");
}

/* One call of each verb that must work, so that "refused always" can't pass. */
static void must_work(struct fuzzer *f)
{
	static const unsigned int order[] = {
		MARS_VERB_VERSION, MARS_VERB_LAMPORT, MARS_VERB_LIST, MARS_VERB_EVENT,
	};
	unsigned int i;

	for (i = 0; i < NR(order); i++) {
		begin(f, order[i]);
		call(f, order[i]);
	}
}

int main(int argc, char **argv)
{
	static struct fuzzer f[THREADS];
	unsigned int i, verb;
	char path[256];
	int fd;

	if (argc < 5) {
		fprintf(stderr, "ctlfuzz DEVICE SEED ROUNDS DIR\n");
		return 2;
	}
	device = argv[1];
	seed = strtoull(argv[2], NULL, 0);
	rounds = strtoul(argv[3], NULL, 0);
	dir = argv[4];
	kept = argv + 5;
	mkdir(dir, 0700);
	snprintf(path, sizeof(path), "%s/data", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	if (fd < 0 || ftruncate(fd, 16 << 20)) {
		perror(path);
		return 1;
	}
	close(fd);
	for (i = 0; i < THREADS; i++)
		start(&f[i], i);
	must_work(&f[0]);
	if (!build_device(&f[0]))
		complain(&f[0], "the device did not come to life", f[0].u.hdr.verb, 0);
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&f[i].thread, NULL, run, &f[i]))
			return 1;
	for (i = 0; i < THREADS; i++)
		pthread_join(f[i].thread, NULL);
	take_down_all(&f[0]);
	for (i = 0; i < THREADS; i++) {
		calls += f[i].calls;
		for (verb = 1; verb <= MARS_VERB_EVENT; verb++)
			succeeded[verb] += f[i].succeeded[verb];
	}
	printf("seed %llu: %lu calls, by verb succeeded:", (unsigned long long)seed, calls);
	for (verb = 1; verb <= MARS_VERB_EVENT; verb++)
		printf(" %lu", succeeded[verb]);
	printf(", devices seen on: %lu\n", lit);
	for (verb = 1; rounds >= 10000 && verb <= MARS_VERB_EVENT; verb++)
		if (!succeeded[verb])
			complain(&f[0], "never succeeded", verb, 0);
	return failed;
}
