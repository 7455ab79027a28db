// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * guest_fsload.c - fsload: load on a file system or a disk, and what it was promised
 *
 *	fsload run DIR SEED [ROUNDS [PAUSE]]	all workers below DIR at once; 0 = until killed
 *	fsload check DIR SEED <ACKS		is everything there that was acknowledged?
 *	fsload raw DEV SEED [ROUNDS [PAUSE]]	the same on a disk without a file system
 *	fsload rawcheck DEV SEED <ACKS
 *
 * After an acknowledgement, and a step of churn, a worker rests for PAUSE ms.
 *
 * A worker does rounds 1, 2, 3 ...; what round N writes follows from SEED, worker and N
 * alone.  "WORKER N" on standard output says that everything up to round N was made
 * durable (fsync and the like returned): an acknowledgement.  Whoever reads these lines
 * outside of the machine knows what a crash must leave, however much later it comes:
 * no worker takes back anything, it only goes on.
 *
 *	over, direct	blocks at random places of a file, then fsync / with O_DIRECT
 *	sync		with O_DSYNC
 *	append		a file grows, fdatasync
 *	replace		a new file, fsync, renamed over the old one, fsync of the folder
 *	churn		create, write, truncate, punch, rename, link, remove, at random and
 *			without promise: food for the file system's check
 *
 * On a raw disk each worker owns a range and writes one piece after the other, flushing
 * now and then.  There more is checked: a disk that keeps the order shows after a crash
 * exactly the first K pieces of each worker, for some K.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define BLOCK		4096
#define FILE_BLOCKS	256		/* of over, direct, sync */
#define BATCH		8		/* blocks of a round */
#define REPLACE_MAX	16		/* blocks of a replaced file, at most */
#define CHURN_NAMES	48
#define CHURN_BYTES	(192 << 10)
#define RAW_WORKERS	4
#define RAW_BLOCKS	1024		/* of a raw worker */
#define RAW_PIECE	16		/* blocks of a raw piece, at most */
#define RAW_FLUSH	16		/* pieces between flushes */

enum kind { OVER, DIRECT, SYNC, APPEND, REPLACE, CHURN };
static const char *const names[] = { "over", "direct", "sync", "append", "replace", "churn" };
#define WORKERS		((int)(sizeof(names) / sizeof(names[0])))

static uint64_t seed, rounds, pause_ms;
static uint8_t block[RAW_PIECE * BLOCK] __attribute__((aligned(BLOCK)));

static void die(const char *what, const char *where)
{
	fprintf(stderr, "fsload: %s %s: %s\n", what, where, strerror(errno));
	exit(1);
}

/* --- what a round writes --- */

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static uint64_t hash(uint64_t worker, uint64_t a, uint64_t b)
{
	return mix(seed + mix(worker + 1 + mix(a + mix(b))));
}

/* The content of block @nr as of round @version: version first, noise behind it. */
static void fill(uint8_t *p, uint64_t worker, uint64_t nr, uint64_t version)
{
	uint64_t *w = (uint64_t *)p, x = hash(worker, nr, version);

	w[0] = version;
	for (int i = 1; i < BLOCK / 8; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		w[i] = x;
	}
}

/* Which round wrote this block?  0 = none (all zeros), ~0 = it is damaged. */
static uint64_t version_of(const uint8_t *p, uint64_t worker, uint64_t nr)
{
	static uint8_t want[BLOCK];
	uint64_t version;

	memcpy(&version, p, sizeof(version));
	if (version)
		fill(want, worker, nr, version);
	else
		memset(want, 0, BLOCK);
	return memcmp(p, want, BLOCK) ? ~0ULL : version;
}

static uint64_t batch_block(int worker, uint64_t round, int i)
{
	return hash(worker, round, 1000 + i) % FILE_BLOCKS;
}

static void rest(void)
{
	if (pause_ms)
		usleep(pause_ms * 1000);
}

static void ack(const char *name, uint64_t round)
{
	char line[64];
	int n = snprintf(line, sizeof(line), "%s %llu\n", name, (unsigned long long)round);

	if (write(1, line, n) != n)
		die("write", "stdout");
	rest();
}

static void put(int fd, const void *p, size_t len, off_t pos, const char *name)
{
	if (pwrite(fd, p, len, pos) != (ssize_t)len)
		die("write", name);
}

static int open_file(const char *name, int flags)
{
	int fd = open(name, flags, 0644);

	if (fd < 0)
		die("open", name);
	return fd;
}

/* --- the workers --- */

static void sync_dir(void)
{
	int fd = open_file(".", O_RDONLY | O_DIRECTORY);

	if (fsync(fd))
		die("fsync", ".");
	close(fd);
}

static void overwrite(enum kind kind)
{
	const int flags[] = { [OVER] = 0, [DIRECT] = O_DIRECT, [SYNC] = O_DSYNC };
	int fd = open_file(names[kind], O_RDWR | O_CREAT | flags[kind]);
	int batch = kind == SYNC ? 1 : BATCH;

	sync_dir();
	for (uint64_t round = 1; !rounds || round <= rounds; round++) {
		for (int i = 0; i < batch; i++) {
			uint64_t nr = batch_block(kind, round, i);

			fill(block, kind, nr, round);
			put(fd, block, BLOCK, nr * BLOCK, names[kind]);
		}
		if (kind != SYNC && fsync(fd))
			die("fsync", names[kind]);
		ack(names[kind], round);
	}
}

static void append(void)
{
	int fd = open_file("append", O_RDWR | O_CREAT);

	sync_dir();
	for (uint64_t round = 1; !rounds || round <= rounds; round++) {
		fill(block, APPEND, round - 1, round);
		put(fd, block, BLOCK, (round - 1) * BLOCK, "append");
		if (fdatasync(fd))
			die("fdatasync", "append");
		ack("append", round);
	}
}

static uint64_t replace_blocks(uint64_t round)
{
	return 1 + hash(REPLACE, round, 0) % REPLACE_MAX;
}

static void replace(void)
{
	for (uint64_t round = 1; !rounds || round <= rounds; round++) {
		uint64_t nr = replace_blocks(round);
		int fd = open_file("replace.new", O_RDWR | O_CREAT | O_TRUNC);

		for (uint64_t i = 0; i < nr; i++) {
			fill(block, REPLACE, i, round);
			put(fd, block, BLOCK, i * BLOCK, "replace.new");
		}
		if (fsync(fd) || close(fd) || rename("replace.new", "replace"))
			die("replace", "replace");
		sync_dir();
		ack("replace", round);
	}
}

static void churn_file(const char *name, uint64_t x)
{
	int fd = open(name, O_RDWR | O_CREAT | (x & 1 ? O_TRUNC : 0), 0644);
	off_t pos = (x >> 8) % CHURN_BYTES;
	size_t len = 1 + (x >> 32) % sizeof(block);

	if (fd < 0)
		return;
	memset(block, (int)x, len);
	if (pwrite(fd, block, len, pos) < 0 && errno == EIO)
		die("write", name);
	if (x & 2 && ftruncate(fd, (x >> 20) % CHURN_BYTES) && errno == EIO)
		die("truncate", name);
	if (x & 4)
		(void)!fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, pos & ~4095, BLOCK * 4);
	if (x & 16 && fsync(fd))
		die("fsync", name);
	close(fd);
}

static void churn(void)
{
	char a[64], b[64];

	for (uint64_t round = 1; !rounds || round <= rounds; round++) {
		uint64_t x = hash(CHURN, round, 7);

		snprintf(a, sizeof(a), "d%d/f%d", (int)(x >> 40 & 3), (int)(x % CHURN_NAMES));
		snprintf(b, sizeof(b), "d%d/f%d", (int)(x >> 44 & 3), (int)((x >> 16) % CHURN_NAMES));
		switch (x >> 50 & 7) {
		case 0:
			a[2] = 0;
			(void)!(mkdir(a, 0755) && rmdir(a));
			break;
		case 1:
			(void)!rename(a, b);
			break;
		case 2:
			(void)!link(a, b);
			break;
		case 3:
			(void)!unlink(a);
			break;
		default:
			a[2] = 0;
			mkdir(a, 0755);
			a[2] = '/';
			churn_file(a, mix(x));
		}
		rest();
	}
}

static void run_worker(enum kind kind)
{
	switch (kind) {
	case OVER:
	case DIRECT:
	case SYNC:
		overwrite(kind);
		break;
	case APPEND:
		append();
		break;
	case REPLACE:
		replace();
		break;
	case CHURN:
		churn();
		break;
	}
}

/* --- raw disks --- */

struct piece {
	uint64_t nr, len;		/* blocks within the worker's range */
};

static struct piece raw_piece(int worker, uint64_t round)
{
	struct piece p = { .len = 1 + hash(worker, round, 1) % RAW_PIECE };

	p.nr = hash(worker, round, 2) % (RAW_BLOCKS - p.len + 1);
	return p;
}

static void raw_worker(const char *dev, int worker)
{
	int fd = open_file(dev, O_RDWR | O_DIRECT);
	char name[8];

	snprintf(name, sizeof(name), "%d", worker);
	for (uint64_t round = 1; !rounds || round <= rounds; round++) {
		struct piece p = raw_piece(worker, round);

		for (uint64_t i = 0; i < p.len; i++)
			fill(block + i * BLOCK, worker, p.nr + i, round);
		put(fd, block, p.len * BLOCK, (worker * RAW_BLOCKS + p.nr) * (off_t)BLOCK, dev);
		if (round % RAW_FLUSH)
			continue;
		if (fdatasync(fd))
			die("fdatasync", dev);
		ack(name, round);
	}
}

/* --- checks --- */

static int bad;

static void complain(const char *name, uint64_t nr, uint64_t found, uint64_t want)
{
	if (bad++ < 20)
		fprintf(stderr, "fsload: %s block %llu is of round %lld, not %llu\n", name,
			(unsigned long long)nr, (long long)found, (unsigned long long)want);
}

/* The block @nr of an open file; zeros where it ends. */
static void get(int fd, uint64_t nr)
{
	ssize_t n = pread(fd, block, BLOCK, nr * BLOCK);

	if (n < 0)
		die("read", "back");
	memset(block + n, 0, BLOCK - n);
}

static void check_overwrite(enum kind kind, uint64_t acked)
{
	int fd = open(names[kind], O_RDONLY), batch = kind == SYNC ? 1 : BATCH;
	uint64_t want[FILE_BLOCKS] = { 0 };

	for (uint64_t round = 1; round <= acked; round++)
		for (int i = 0; i < batch; i++)
			want[batch_block(kind, round, i)] = round;
	if (fd < 0 && acked)
		die("open", names[kind]);
	for (uint64_t nr = 0; fd >= 0 && nr < FILE_BLOCKS; nr++) {
		uint64_t found;

		get(fd, nr);
		found = version_of(block, kind, nr);
		if (found == ~0ULL || found < want[nr])
			complain(names[kind], nr, found, want[nr]);
	}
}

static void check_append(uint64_t acked)
{
	int fd = open("append", O_RDONLY);

	if (fd < 0 && acked)
		die("open", "append");
	for (uint64_t nr = 0; nr < acked; nr++) {
		get(fd, nr);
		if (version_of(block, APPEND, nr) != nr + 1)
			complain("append", nr, version_of(block, APPEND, nr), nr + 1);
	}
}

static void check_replace(uint64_t acked)
{
	int fd = open("replace", O_RDONLY);
	struct stat st;
	uint64_t found;

	if (!acked)
		return;
	if (fd < 0 || fstat(fd, &st))
		die("open", "replace");
	get(fd, 0);
	found = version_of(block, REPLACE, 0);
	if (found == ~0ULL || found < acked || st.st_size != (off_t)replace_blocks(found) * BLOCK) {
		complain("replace", 0, found, acked);
		return;
	}
	for (uint64_t i = 1; i < replace_blocks(found); i++) {
		get(fd, i);
		if (version_of(block, REPLACE, i) != found)
			complain("replace", i, version_of(block, REPLACE, i), found);
	}
}

static void check(const uint64_t *acked)
{
	for (int kind = OVER; kind <= SYNC; kind++)
		check_overwrite(kind, acked[kind]);
	check_append(acked[APPEND]);
	check_replace(acked[REPLACE]);
}

/* Exactly the first K pieces, and K covers what was acknowledged. */
static void check_raw_worker(int fd, int worker, uint64_t acked)
{
	static uint64_t found[RAW_BLOCKS], want[RAW_BLOCKS];
	uint64_t last = 0;
	char name[16];

	snprintf(name, sizeof(name), "worker %d", worker);
	memset(want, 0, sizeof(want));
	for (uint64_t nr = 0; nr < RAW_BLOCKS; nr++) {
		get(fd, worker * RAW_BLOCKS + nr);
		found[nr] = version_of(block, worker, nr);
		if (found[nr] == ~0ULL)
			complain(name, nr, found[nr], 0);
		else if (found[nr] > last)
			last = found[nr];
	}
	if (last < acked)
		complain(name, RAW_BLOCKS, last, acked);
	for (uint64_t round = 1; round <= last; round++) {
		struct piece p = raw_piece(worker, round);

		for (uint64_t i = 0; i < p.len; i++)
			want[p.nr + i] = round;
	}
	for (uint64_t nr = 0; nr < RAW_BLOCKS; nr++)
		if (found[nr] != want[nr])
			complain(name, nr, found[nr], want[nr]);
}

static void read_acks(uint64_t *acked, int nr, bool raw)
{
	unsigned long long round;
	char name[32];

	while (scanf("%31s %llu", name, &round) == 2)
		for (int i = 0; i < nr; i++)
			if (raw ? atoi(name) == i : !strcmp(name, names[i]))
				acked[i] = round > acked[i] ? round : acked[i];
}

/* --- the whole --- */

static int wait_for_all(int nr)
{
	int status, code = 0;

	while (nr--)
		if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
			code = 1;
	return code;
}

static int run(const char *where, bool raw)
{
	int nr = raw ? RAW_WORKERS : WORKERS;

	if (!raw && chdir(where))
		die("chdir", where);
	for (int i = 0; i < nr; i++) {
		pid_t pid = fork();

		if (pid < 0)
			die("fork", "worker");
		if (pid)
			continue;
		if (raw)
			raw_worker(where, i);
		else
			run_worker(i);
		exit(0);
	}
	return wait_for_all(nr);
}

static int check_all(const char *where, bool raw)
{
	uint64_t acked[WORKERS] = { 0 };
	int fd;

	read_acks(acked, raw ? RAW_WORKERS : WORKERS, raw);
	if (raw) {
		fd = open_file(where, O_RDONLY);
		for (int i = 0; i < RAW_WORKERS; i++)
			check_raw_worker(fd, i, acked[i]);
	} else {
		if (chdir(where))
			die("chdir", where);
		check(acked);
	}
	return bad ? 1 : 0;
}

int main(int argc, char **argv)
{
	bool raw = argc > 1 && !strncmp(argv[1], "raw", 3);
	bool checks = argc > 1 && strstr(argv[1], "check");

	if (argc < 4 || argc > 6) {
		fputs("fsload run|check DIR SEED [ROUNDS [PAUSE]]\nfsload raw|rawcheck DEV SEED [ROUNDS [PAUSE]]\n",
		      stderr);
		return 2;
	}
	seed = strtoull(argv[3], NULL, 0);
	rounds = argc > 4 ? strtoull(argv[4], NULL, 0) : 0;
	pause_ms = argc > 5 ? strtoull(argv[5], NULL, 0) : 0;
	return checks ? check_all(argv[2], raw) : run(argv[2], raw);
}
