// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * labswitch - the network of the VM lab: an Ethernet switch in one process
 *
 *   labswitch SWITCH.sock CONTROL.sock
 *
 * Guests are attached by QEMU's "-netdev dgram" (one datagram, one frame); a port is named
 * after the guest's socket: /run/a.sock is "a".  The control socket takes lines, A and B
 * being names of ports or "*"; every rule holds for the direction A to B only:
 *
 *   link A B up|down         delay A B USEC [JITTER_USEC]
 *   loss A B PPM             rate A B BYTES_PER_SECOND (0: no limit)
 *   stat                     answers lines "A B frames bytes dropped", then "."
 *
 * Every other command is answered with "ok" or "err".  Rules given before a port was seen
 * hold when it appears, and a guest that comes back under its name keeps them.
 *
 * One thread.  A receiver whose queue is full is waited for up to 5 ms (back-pressure for all),
 * then the frame is dropped; frames that are delayed lie in a heap by due time, at most MAX_HELD.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_PORTS	16
#define MAX_MACS	8
#define MAX_FRAME	(72 * 1024)
#define MAX_HELD	65536
#define MAX_CONTROLS	8
#define MAX_RULES	512
#define MAX_BACKLOG_US	200000	/* a limited link holds that much, then it drops */

struct port {
	char name[64];
	struct sockaddr_un addr;
	socklen_t addrlen;
	uint8_t mac[MAX_MACS][6];	/* newest replaces the first when full */
	int nmacs;
};

struct edge {
	int down;
	uint32_t loss_ppm;
	uint64_t delay, jitter;		/* us */
	uint64_t rate;			/* bytes/s */
	uint64_t free_at;		/* us: when the limited link has sent all so far */
	uint64_t frames, bytes, dropped;
};

struct held {
	uint64_t due;
	uint64_t seq;			/* equal times: in order of arrival */
	int from, to, len;
	uint8_t *data;
};

static struct port ports[MAX_PORTS];
static int nports;
static struct edge edges[MAX_PORTS][MAX_PORTS];
static struct held heap[MAX_HELD];
static int nheld;
static char *rules[MAX_RULES];
static int nrules;
static int sw;				/* the datagram socket */

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static uint64_t random_below(uint64_t n)
{
	static uint64_t s = 88172645463325252ull;

	s ^= s << 13;
	s ^= s >> 7;
	s ^= s << 17;
	return n ? s % n : 0;
}

static void transmit(int from, int to, const void *data, int len)
{
	struct edge *e = &edges[from][to];

	for (int i = 0; i < 50; i++) {
		if (sendto(sw, data, len, MSG_DONTWAIT, (struct sockaddr *)&ports[to].addr,
			   ports[to].addrlen) >= 0) {
			e->frames++;
			e->bytes += len;
			return;
		}
		if (errno != EAGAIN)
			break;
		usleep(100);
	}
	e->dropped++;
}

static int before(const struct held *a, const struct held *b)
{
	return a->due != b->due ? a->due < b->due : a->seq < b->seq;
}

static void hold(struct held h)
{
	int i = nheld++;

	for (; i && before(&h, &heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = h;
}

static struct held take_first(void)
{
	struct held first = heap[0], last = heap[--nheld];
	int i = 0, c;

	while ((c = 2 * i + 1) < nheld) {
		if (c + 1 < nheld && before(&heap[c + 1], &heap[c]))
			c++;
		if (!before(&heap[c], &last))
			break;
		heap[i] = heap[c];
		i = c;
	}
	heap[i] = last;
	return first;
}

static void forward(int from, int to, const uint8_t *data, int len)
{
	static uint64_t seq;
	struct edge *e = &edges[from][to];
	uint64_t t = now_us(), due = t;
	uint8_t *copy;

	if (e->down || (e->loss_ppm && random_below(1000000) < e->loss_ppm)) {
		e->dropped++;
		return;
	}
	if (e->rate) {
		uint64_t start = e->free_at > t ? e->free_at : t;

		due = start + len * 1000000ull / e->rate;
		if (due - t > MAX_BACKLOG_US) {
			e->dropped++;
			return;
		}
		e->free_at = due;
	}
	due += e->delay + random_below(e->jitter);
	if (due <= t) {
		transmit(from, to, data, len);
		return;
	}
	copy = nheld < MAX_HELD ? malloc(len) : NULL;
	if (!copy) {
		e->dropped++;
		return;
	}
	memcpy(copy, data, len);
	hold((struct held){ due, seq++, from, to, len, copy });
}

static void send_due(void)
{
	while (nheld && heap[0].due <= now_us()) {
		struct held h = take_first();

		if (edges[h.from][h.to].down)
			edges[h.from][h.to].dropped++;
		else
			transmit(h.from, h.to, h.data, h.len);
		free(h.data);
	}
}

static void answer(int fd, const char *text)
{
	ssize_t n = write(fd, text, strlen(text));

	(void)n;	/* a harness that is gone is noticed by its read end */
}

static void statistics(int fd)
{
	char line[256];

	for (int i = 0; i < nports; i++)
		for (int j = 0; j < nports; j++) {
			struct edge *e = &edges[i][j];

			if (i == j)
				continue;
			snprintf(line, sizeof(line), "%.63s %.63s %lu %lu %lu\n", ports[i].name, ports[j].name,
				 e->frames, e->bytes, e->dropped);
			answer(fd, line);
		}
	answer(fd, ".\n");
}

static int matches(const char *pattern, int port)
{
	return !strcmp(pattern, "*") || !strcmp(pattern, ports[port].name);
}

static int apply(const char *line)
{
	char verb[16] = "", a[64] = "", b[64] = "", x[64] = "", y[64] = "0";
	int n = sscanf(line, "%15s %63s %63s %63s %63s", verb, a, b, x, y);

	if (n < 4 || (strcmp(verb, "link") && strcmp(verb, "delay") && strcmp(verb, "loss") &&
		      strcmp(verb, "rate")))
		return -1;
	for (int i = 0; i < nports; i++)
		for (int j = 0; j < nports; j++) {
			struct edge *e = &edges[i][j];

			if (i == j || !matches(a, i) || !matches(b, j))
				continue;
			switch (verb[1]) {
			case 'i':
				e->down = !strcmp(x, "down");
				break;
			case 'e':
				e->delay = strtoull(x, NULL, 10);
				e->jitter = strtoull(y, NULL, 10);
				break;
			case 'o':
				e->loss_ppm = strtoul(x, NULL, 10);
				break;
			case 'a':
				e->rate = strtoull(x, NULL, 10);
				break;
			}
		}
	return 0;
}

static void command(const char *line, int fd)
{
	if (!strcmp(line, "stat")) {
		statistics(fd);
	} else if (nrules == MAX_RULES || apply(line)) {
		answer(fd, "err\n");
	} else {
		rules[nrules] = strdup(line);
		nrules += !!rules[nrules];
		answer(fd, "ok\n");
	}
}

static int port_of(const struct sockaddr_un *addr, socklen_t addrlen)
{
	struct port *p = &ports[nports];
	const char *base;

	for (int i = 0; i < nports; i++)
		if (!strcmp(ports[i].addr.sun_path, addr->sun_path))
			return i;
	if (nports == MAX_PORTS)
		return -1;
	p->addr = *addr;
	p->addrlen = addrlen;
	base = strrchr(addr->sun_path, '/');
	snprintf(p->name, sizeof(p->name), "%.63s", base ? base + 1 : addr->sun_path);
	p->name[strcspn(p->name, ".")] = 0;
	nports++;
	for (int i = 0; i < nrules; i++)
		apply(rules[i]);
	return nports - 1;
}

static int has_mac(const struct port *p, const uint8_t *mac)
{
	for (int i = 0; i < p->nmacs; i++)
		if (!memcmp(p->mac[i], mac, 6))
			return 1;
	return 0;
}

static void receive(void)
{
	static uint8_t buf[MAX_FRAME];
	struct sockaddr_un addr = { 0 };
	socklen_t addrlen;
	int from, to;

	for (int k = 0; k < 64; k++) {
		ssize_t n;

		addrlen = sizeof(addr);
		n = recvfrom(sw, buf, sizeof(buf), MSG_DONTWAIT, (struct sockaddr *)&addr, &addrlen);
		if (n < 0)
			return;
		if (n < 14)
			continue;
		from = port_of(&addr, addrlen);
		if (from < 0)
			continue;
		if (!has_mac(&ports[from], buf + 6)) {
			int slot = ports[from].nmacs < MAX_MACS ? ports[from].nmacs++ : 0;

			memcpy(ports[from].mac[slot], buf + 6, 6);
		}
		for (to = 0; to < nports; to++)
			if (to != from && !(buf[0] & 1) && has_mac(&ports[to], buf))
				break;
		if (to < nports) {
			forward(from, to, buf, n);
			continue;
		}
		for (to = 0; to < nports; to++)
			if (to != from)
				forward(from, to, buf, n);
	}
}

static int bound(int type, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* False: the other end is gone. */
static int control(int fd)
{
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	if (n <= 0)
		return 0;
	buf[n] = 0;
	for (char *line = strtok(buf, "\n"); line; line = strtok(NULL, "\n"))
		command(line, fd);
	return 1;
}

int main(int argc, char **argv)
{
	int controls[MAX_CONTROLS], ncontrols = 0, listener, size = 8 << 20;

	if (argc != 3) {
		fprintf(stderr, "usage: labswitch SWITCH.sock CONTROL.sock\n");
		return 2;
	}
	sw = bound(SOCK_DGRAM, argv[1]);
	setsockopt(sw, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(sw, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	listener = bound(SOCK_STREAM, argv[2]);
	if (listen(listener, MAX_CONTROLS))
		return 1;
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		struct pollfd f[2 + MAX_CONTROLS] = { { sw, POLLIN, 0 }, { listener, POLLIN, 0 } };
		struct timespec wait = { 0 };

		for (int i = 0; i < ncontrols; i++)
			f[2 + i] = (struct pollfd){ controls[i], POLLIN, 0 };
		if (nheld) {
			uint64_t t = now_us(), us = heap[0].due > t ? heap[0].due - t : 0;

			wait = (struct timespec){ us / 1000000, us % 1000000 * 1000 };
		}
		if (ppoll(f, 2 + ncontrols, nheld ? &wait : NULL, NULL) < 0)
			continue;
		send_due();
		if (f[0].revents)
			receive();
		for (int i = ncontrols - 1; i >= 0; i--)
			if (f[2 + i].revents && !control(controls[i])) {
				close(controls[i]);
				controls[i] = controls[--ncontrols];
			}
		if (f[1].revents && ncontrols < MAX_CONTROLS)
			controls[ncontrols++] = accept(listener, NULL, NULL);
	}
}
