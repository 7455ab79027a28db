// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Starts two User Mode Linux nodes joined by a pair of sockets, which is all their network:
 *
 *	uml-pair CGROUP1 CPU1 CGROUP2 CPU2 -- COMMAND1... -- COMMAND2...
 *
 * Node i gets descriptor 3 + 2 * (i - 1) as its standard input, the next one as output, its
 * end of the network as descriptor 3, one processor for itself, and an accounting group.
 * A node leads a session of its own; its helper processes end with it.
 * Ends, and takes both nodes along, when one node ends, on SIGTERM and when the parent dies.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODES 2
#define NETWORK_FD 3

struct node {
	const char *cgroup;
	int cpu;
	char **command;
	pid_t pid;
};

static void join_cgroup(const char *dir)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "0", 1) != 1)
		err(1, "%s", path);
	close(fd);
}

static void run_node(const struct node *node, int in, int out, int net)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(node->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		err(1, "processor %d", node->cpu);
	join_cgroup(node->cgroup);
	if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL))
		err(1, "session");
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 || dup2(net, 20) < 0)
		err(1, "dup2");
	closefrom(21);
	for (int fd = 3; fd < 20; fd++)
		close(fd);
	if (dup2(20, NETWORK_FD) < 0)
		err(1, "dup2");
	close(20);
	signal(SIGTERM, SIG_DFL);
	execv(node->command[0], node->command);
	err(1, "%s", node->command[0]);
}

/* Both ends take bursts of large packets without dropping one. */
static void make_network(int net[NODES])
{
	int size = 4 << 20;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, net))
		err(1, "socketpair");
	for (int i = 0; i < NODES; i++)
		if (setsockopt(net[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) &&
		    setsockopt(net[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)))
			err(1, "send buffer");
}

/* Everything a node has started is in its group, wherever it went; we inherit its orphans. */
static void end_node(const struct node *node)
{
	char path[4096];
	FILE *list;
	int pid;

	kill(-node->pid, SIGKILL);
	snprintf(path, sizeof(path), "%s/cgroup.procs", node->cgroup);
	list = fopen(path, "r");
	while (list && fscanf(list, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	if (list)
		fclose(list);
}

static void ended(int sig)
{
	(void)sig;	/* only to interrupt wait() */
}

int main(int argc, char **argv)
{
	struct node nodes[NODES] = {};
	struct sigaction act = { .sa_handler = ended };
	int net[NODES], n = 0;

	for (int i = 5; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		argv[i] = NULL;
		if (n < NODES)
			nodes[n++].command = argv + i + 1;
	}
	if (argc < 8 || n != NODES)
		errx(2, "usage: uml-pair CGROUP1 CPU1 CGROUP2 CPU2 -- COMMAND1... -- COMMAND2...");
	sigaction(SIGTERM, &act, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) || prctl(PR_SET_CHILD_SUBREAPER, 1))
		err(1, "prctl");
	make_network(net);
	for (int i = 0; i < NODES; i++) {
		nodes[i].cgroup = argv[1 + 2 * i];
		nodes[i].cpu = atoi(argv[2 + 2 * i]);
		nodes[i].pid = fork();
		if (nodes[i].pid < 0)
			err(1, "fork");
		if (nodes[i].pid == 0)
			run_node(&nodes[i], 3 + 2 * i, 4 + 2 * i, net[i]);
	}
	wait(NULL);	/* the first to end, or interrupted */
	for (int i = 0; i < NODES; i++)
		end_node(&nodes[i]);
	while (wait(NULL) > 0)
		;
	return 0;
}
