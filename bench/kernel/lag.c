// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replication lag between two machines, with one clock.
 *
 *	lag watch DISK OFFSET PORT
 *		at the secondary: reads one block of the data disk over and over and says by
 *		UDP to whoever asked last when it has changed
 *	lag probe DEVICE OFFSET ADDRESS PORT SECONDS
 *		at the primary: writes numbered blocks, each durable when write() returns, and
 *		prints the microseconds from then until the secondary has seen it, without the
 *		way back (half of the shortest round trip of an empty question)
 *
 * Everything here is O_DIRECT: what is read is what replay has written to the disk.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BLOCK 4096
#define GIVE_UP_MS 30000

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000ull + ts.tv_nsec / 1000;
}

static void *block(void)
{
	void *buf;

	if (posix_memalign(&buf, BLOCK, BLOCK))
		errx(1, "no memory");
	memset(buf, 0, BLOCK);
	return buf;
}

static int watch(const char *disk, off_t offset, int port)
{
	struct sockaddr_in me = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in peer;
	socklen_t len;
	int fd = open(disk, O_RDONLY | O_DIRECT);
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t wanted = 0, asked, *buf = block();

	if (fd < 0)
		err(1, "%s", disk);
	if (sock < 0 || bind(sock, (struct sockaddr *)&me, sizeof(me)))
		err(1, "port %d", port);
	for (;;) {
		struct pollfd ask = { .fd = sock, .events = POLLIN };

		/* nothing to look for: wait for a question; else one look at the disk each */
		if (poll(&ask, 1, wanted ? 0 : -1) > 0) {
			len = sizeof(peer);
			if (recvfrom(sock, &asked, sizeof(asked), 0, (struct sockaddr *)&peer, &len) != sizeof(asked))
				continue;
			if (!asked)	/* only to measure the way */
				sendto(sock, &asked, sizeof(asked), 0, (struct sockaddr *)&peer, len);
			wanted = asked;
		}
		if (!wanted)
			continue;
		if (pread(fd, buf, BLOCK, offset) != BLOCK)
			err(1, "%s", disk);
		if (*buf == wanted) {
			sendto(sock, &wanted, sizeof(wanted), 0, (struct sockaddr *)&peer, len);
			wanted = 0;
		}
	}
}

static void ask(int sock, uint64_t what)
{
	if (send(sock, &what, sizeof(what), 0) != sizeof(what))
		err(1, "send");
}

static void answer(int sock, uint64_t what)
{
	struct pollfd wait = { .fd = sock, .events = POLLIN };
	uint64_t got;

	do {
		if (poll(&wait, 1, GIVE_UP_MS) != 1)
			errx(1, "a probe never arrived");
		if (recv(sock, &got, sizeof(got), 0) != sizeof(got))
			err(1, "recv");
	} while (got != what);
}

/* Asks for nothing; false, after a moment, when nobody listens yet. */
static int reached(int sock)
{
	struct pollfd wait = { .fd = sock, .events = POLLIN };
	uint64_t nothing = 0;

	if (send(sock, &nothing, sizeof(nothing), 0) != sizeof(nothing) && errno != ECONNREFUSED)
		err(1, "send");
	if (poll(&wait, 1, GIVE_UP_MS) != 1)
		errx(1, "nobody answers");
	if (recv(sock, &nothing, sizeof(nothing), MSG_PEEK) == sizeof(nothing))
		return 1;
	if (errno != ECONNREFUSED)
		err(1, "recv");
	poll(NULL, 0, 10);
	return 0;
}

static uint64_t way_back(int sock)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 20; i++) {
		uint64_t begin, trip;

		do {	/* the watcher may still be starting */
			begin = now_us();
		} while (!reached(sock));
		answer(sock, 0);
		trip = now_us() - begin;
		if (trip < best)
			best = trip;
	}
	return best / 2;
}

static int probe(const char *device, off_t offset, const char *address, int port, int seconds)
{
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = open(device, O_WRONLY | O_DIRECT | O_DSYNC);
	int sock = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t *buf = block(), base = (uint64_t)time(NULL) << 20, end, back;

	if (fd < 0)
		err(1, "%s", device);
	if (sock < 0 || inet_pton(AF_INET, address, &peer.sin_addr) != 1 ||
	    connect(sock, (struct sockaddr *)&peer, sizeof(peer)))
		err(1, "%s:%d", address, port);
	back = way_back(sock);
	end = now_us() + seconds * 1000000ull;
	for (uint64_t n = 1; now_us() < end; n++) {
		uint64_t durable, lag;

		*buf = base + n;
		if (pwrite(fd, buf, BLOCK, offset) != BLOCK)
			err(1, "%s", device);
		durable = now_us();
		ask(sock, *buf);
		answer(sock, *buf);
		lag = now_us() - durable;
		printf("%llu\n", (unsigned long long)(lag > back ? lag - back : 0));
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "watch"))
		return watch(argv[2], atoll(argv[3]), atoi(argv[4]));
	if (argc == 7 && !strcmp(argv[1], "probe"))
		return probe(argv[2], atoll(argv[3]), argv[4], atoi(argv[5]), atoi(argv[6]));
	errx(2, "usage: lag watch DISK OFFSET PORT | probe DEVICE OFFSET ADDRESS PORT SECONDS");
}
