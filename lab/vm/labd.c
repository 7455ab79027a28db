// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * labd - the agent inside a guest of the VM lab
 *
 * Runs commands for the harness over one virtio-serial port, many at a time, and sends
 * the kernel log as it grows, so that the harness has it up to the moment of a crash.
 *
 * Frame: u32 length of the payload | u32 id | u8 type | payload; numbers little endian.
 *   from the harness: X run (argv joined with NUL) . I stdin . C close stdin
 *                     K signal to the process group (u8) . P ping
 *   to the harness:   H hello (kernel release) . O stdout . E stderr
 *                     Z exit code (i32; 128 + signal) . P pong . L records of /dev/kmsg
 * A pong follows everything that was in the kernel log when the ping came.
 *
 * One thread, one poll loop.  Stdin is written synchronously: a command that does not
 * read what it is given holds up the agent.  As PID 1 it reaps what others leave.
 * If the port can't be opened the agent exits with 1; everything later is retried.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define PORT_NAME	"lab.ctl"
#define MAX_PROCS	256
#define MAX_ARGS	256
#define HEADER		9
#define MAX_FRAME	(1 << 20)
#define CHUNK		65536

struct proc {
	uint32_t id;
	pid_t pid;
	int in;			/* -1 once closed, as the two below */
	int out;
	int err;
	int status;
	int reaped;
};

static struct proc procs[MAX_PROCS];
static int nprocs;
static int port;		/* the virtio-serial port */
static int kmsg;		/* /dev/kmsg or -1 */
static int sigchld_pipe[2];

static void write_all(int fd, const void *data, size_t n)
{
	const char *p = data;

	while (n) {
		ssize_t k = write(fd, p, n);

		if (k >= 0) {
			p += k;
			n -= k;
		} else if (errno == EAGAIN) {
			struct pollfd f = { fd, POLLOUT, 0 };

			poll(&f, 1, 100);
		} else if (errno != EINTR) {
			return;
		}
	}
}

static void send_frame(uint32_t id, char type, const void *data, uint32_t n)
{
	static char buf[HEADER + CHUNK];

	memcpy(buf, &n, 4);
	memcpy(buf + 4, &id, 4);
	buf[8] = type;
	memcpy(buf + HEADER, data, n);
	write_all(port, buf, HEADER + n);
}

static void send_exit(uint32_t id, int32_t code)
{
	send_frame(id, 'Z', &code, sizeof(code));
}

static void send_hello(void)
{
	struct utsname u;

	uname(&u);
	send_frame(0, 'H', u.release, strlen(u.release));
}

/* Each read gives one record; a reader that was overtaken gets EPIPE once. */
static void drain_kmsg(void)
{
	static char buf[CHUNK];
	size_t have = 0;
	ssize_t n;

	if (kmsg < 0)
		return;
	for (;;) {
		n = read(kmsg, buf + have, sizeof(buf) - have);
		if (n > 0)
			have += n;
		if (have && (n <= 0 || sizeof(buf) - have < 8192)) {
			send_frame(0, 'L', buf, have);
			have = 0;
		}
		if (n < 0 && errno != EPIPE && errno != EINTR)
			return;
	}
}

static void on_sigchld(int sig)
{
	int saved = errno;
	ssize_t n = write(sigchld_pipe[1], "", 1);	/* full is as good */

	(void)n;
	(void)sig;
	errno = saved;
}

static struct proc *find(uint32_t id)
{
	for (int i = 0; i < nprocs; i++)
		if (procs[i].id == id)
			return &procs[i];
	return NULL;
}

static void run_child(char **argv, int in, int out, int err)
{
	setsid();
	dup2(in, 0);
	dup2(out, 1);
	dup2(err, 2);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	execvp(argv[0], argv);
	dprintf(2, "labd: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void start(uint32_t id, char *data, uint32_t n)
{
	char *argv[MAX_ARGS];
	int argc = 0, p[6] = { -1, -1, -1, -1, -1, -1 };
	pid_t pid;

	for (char *a = data; a < data + n && argc < MAX_ARGS - 1; a += strlen(a) + 1)
		argv[argc++] = a;
	argv[argc] = NULL;
	if (!argc || nprocs == MAX_PROCS || pipe2(p, O_CLOEXEC) || pipe2(p + 2, O_CLOEXEC) ||
	    pipe2(p + 4, O_CLOEXEC))
		goto failed;
	pid = fork();
	if (pid < 0)
		goto failed;
	if (!pid)
		run_child(argv, p[0], p[3], p[5]);
	close(p[0]);
	close(p[3]);
	close(p[5]);
	procs[nprocs++] = (struct proc){ id, pid, p[1], p[2], p[4], 0, 0 };
	return;
failed:
	for (int i = 0; i < 6; i++)
		if (p[i] >= 0)
			close(p[i]);
	send_exit(id, 127);
}

static void pump(struct proc *p, int *fd, char type)
{
	static char buf[CHUNK];
	ssize_t n = read(*fd, buf, sizeof(buf));

	if (n > 0) {
		send_frame(p->id, type, buf, n);
	} else if (!n || (errno != EINTR && errno != EAGAIN)) {
		close(*fd);
		*fd = -1;
	}
}

static void reap(void)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (int i = 0; i < nprocs; i++)
			if (procs[i].pid == pid) {
				procs[i].reaped = 1;
				procs[i].status = status;
			}
}

/* A background process may hold the pipes open: what is readable now is all there is. */
static void finish(int i)
{
	struct proc *p = &procs[i];
	int status = p->status;

	for (;;) {
		struct pollfd f[2] = { { p->out, POLLIN, 0 }, { p->err, POLLIN, 0 } };

		if (poll(f, 2, 0) <= 0)
			break;
		if (f[0].revents)
			pump(p, &p->out, 'O');
		if (f[1].revents)
			pump(p, &p->err, 'E');
	}
	if (p->in >= 0)
		close(p->in);
	if (p->out >= 0)
		close(p->out);
	if (p->err >= 0)
		close(p->err);
	send_exit(p->id, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	procs[i] = procs[--nprocs];
}

static void handle(uint32_t id, char type, char *data, uint32_t n)
{
	struct proc *p = find(id);

	switch (type) {
	case 'X':
		start(id, data, n);
		break;
	case 'I':
		if (p && p->in >= 0)
			write_all(p->in, data, n);
		break;
	case 'C':
		if (p && p->in >= 0) {
			close(p->in);
			p->in = -1;
		}
		break;
	case 'K':
		if (p)
			kill(-p->pid, n ? (unsigned char)data[0] : SIGTERM);
		break;
	case 'P':
		drain_kmsg();
		send_frame(id, 'P', data, n < CHUNK ? n : CHUNK);
		break;
	}
}

static void receive(void)
{
	static char buf[HEADER + MAX_FRAME + 1];
	static size_t have;
	ssize_t n = read(port, buf + have, HEADER + MAX_FRAME - have);
	uint32_t len, id;
	char saved;

	if (n > 0)
		have += n;
	while (have >= HEADER) {
		memcpy(&len, buf, 4);
		memcpy(&id, buf + 4, 4);
		if (len > MAX_FRAME) {
			have = 0;	/* out of step: the harness will time out and say so */
			return;
		}
		if (have < HEADER + len)
			return;
		saved = buf[HEADER + len];
		buf[HEADER + len] = 0;
		handle(id, buf[8], buf + HEADER, len);
		buf[HEADER + len] = saved;
		have -= HEADER + len;
		memmove(buf, buf + HEADER + len, have);
	}
}

/* Ports have names in sysfs; links by name exist only where udev runs. */
static int open_port(void)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	struct dirent *e;
	char path[600], name[64];
	int fd = -1;

	while (dir && fd < 0 && (e = readdir(dir))) {
		FILE *f;

		snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f) && !strcmp(name, PORT_NAME "\n")) {
			snprintf(path, sizeof(path), "/dev/%s", e->d_name);
			fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		}
		fclose(f);
	}
	if (dir)
		closedir(dir);
	return fd;
}

static void loop(void)
{
	struct pollfd f[3 + 2 * MAX_PROCS];
	int n = 0, known = nprocs;
	char drop[64];

	f[n++] = (struct pollfd){ port, POLLIN, 0 };
	f[n++] = (struct pollfd){ sigchld_pipe[0], POLLIN, 0 };
	f[n++] = (struct pollfd){ kmsg, POLLIN, 0 };
	for (int i = 0; i < known; i++) {
		f[n++] = (struct pollfd){ procs[i].out, POLLIN, 0 };
		f[n++] = (struct pollfd){ procs[i].err, POLLIN, 0 };
	}
	if (poll(f, n, -1) < 0)
		return;
	if (f[2].revents)
		drain_kmsg();
	for (int i = 0; i < known; i++) {
		if (f[3 + 2 * i].revents)
			pump(&procs[i], &procs[i].out, 'O');
		if (f[4 + 2 * i].revents)
			pump(&procs[i], &procs[i].err, 'E');
	}
	if (f[1].revents) {
		while (read(sigchld_pipe[0], drop, sizeof(drop)) > 0)
			;
		reap();
	}
	for (int i = nprocs - 1; i >= 0; i--)
		if (procs[i].reaped)
			finish(i);
	if (f[0].revents & POLLIN)
		receive();
	else if (f[0].revents & POLLHUP)
		poll(NULL, 0, 20);	/* nobody at the other end for now */
}

int main(void)
{
	struct sigaction sa = { .sa_handler = on_sigchld, .sa_flags = SA_RESTART | SA_NOCLDSTOP };

	port = open_port();
	if (port < 0 || pipe2(sigchld_pipe, O_CLOEXEC | O_NONBLOCK)) {
		perror("labd: port " PORT_NAME);
		return 1;
	}
	kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	sigaction(SIGCHLD, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	send_hello();
	for (;;)
		loop();
}
