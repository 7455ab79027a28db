// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Waits for facts of mars' tree (targets of symbolic links), at the cost of nearly no CPU time:
 *
 *	links rest FOLDER PRIMARY SECONDARY
 *		until a resource is at rest: the primary has nothing left to write back (its
 *		replay position says ",0" at the end), the secondary has replayed as far
 *	links match LINK PATTERN
 *		until the target of a link matches the pattern (of a shell)
 *
 * Sleeps on changes of the folder; prints the value that ended the wait.
 */
#include <err.h>
#include <fnmatch.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static int value(const char *path, char *buf, size_t size)
{
	ssize_t len = readlink(path, buf, size - 1);

	if (len < 0)
		return -1;
	buf[len] = '\0';
	return 0;
}

static int at_rest(char **arg, char *mine, size_t size)
{
	char path[4096], theirs[512];
	size_t len;

	snprintf(path, sizeof(path), "%s/replay-%s", arg[0], arg[1]);
	if (value(path, mine, size))
		return 0;
	snprintf(path, sizeof(path), "%s/replay-%s", arg[0], arg[2]);
	if (value(path, theirs, sizeof(theirs)))
		return 0;
	len = strlen(mine);
	return len > 2 && !strcmp(mine + len - 2, ",0") && !strcmp(mine, theirs);
}

static int matches(char **arg, char *found, size_t size)
{
	return !value(arg[0], found, size) && !fnmatch(arg[1], found, 0);
}

int main(int argc, char **argv)
{
	int (*done)(char **arg, char *found, size_t size) = NULL;
	char events[16384], found[512], folder[4096];
	int fd;

	if (argc == 5 && !strcmp(argv[1], "rest"))
		done = at_rest;
	else if (argc == 4 && !strcmp(argv[1], "match"))
		done = matches;
	else
		errx(2, "usage: links rest FOLDER PRIMARY SECONDARY | match LINK PATTERN");
	snprintf(folder, sizeof(folder), "%s", argv[2]);
	fd = inotify_init1(IN_CLOEXEC);
	if (fd < 0 || inotify_add_watch(fd, done == at_rest ? folder : dirname(folder),
					IN_CREATE | IN_MOVED_TO) < 0)
		err(1, "%s", folder);
	while (!done(argv + 2, found, sizeof(found)))
		if (read(fd, events, sizeof(events)) < 0)
			err(1, "inotify");
	puts(found);
	return 0;
}
