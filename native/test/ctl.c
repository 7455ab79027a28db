// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ctl.c - marsctl: the verbs of the control ABI from a shell, for tests in a guest
 *
 * Static and without any library, so that it runs from an initramfs.  It knows
 * nothing of resources or clusters; that is marsadm.  Words are those of
 * src/engine/keys.ts.  A command that is refused says the reason and ends with 1;
 * usage is 2, a wait that ran out 4.  "batch" takes commands from standard input, one
 * a line, and stops at the first that fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "uapi/mars.h"

#define NR(a)		(sizeof(a) / sizeof((a)[0]))
#define WAIT_SECONDS	20
#define WORDS_MAX	32
#define LINE_MAX_BYTES	4096

enum { OK = 0, FAILED = 1, USAGE = 2, TIMEOUT = 4 };

static const char usage_text[] =
	"marsctl version | lamport | list\n"
	"marsctl create TYPE NAME | destroy NAME\n"
	"marsctl connect NAME INPUT TO | disconnect NAME INPUT\n"
	"marsctl set NAME KEY [VALUE] [text TEXT | hex BYTES | ident FIELD=VALUE...]\n"
	"	file.flags takes words: direct,rdonly,create,excl,append\n"
	"	ident: number origin cluster resource salt timeline prev_number prev_length\n"
	"	prev_digest prev_origin; 16-byte fields in hex; salt is random unless given\n"
	"marsctl switch NAME on|off [nowait]\n"
	"marsctl status NAME [FIELD]\n"
	"marsctl wait NAME FIELD VALUE [SECONDS]\n"
	"marsctl batch\n";

static const char *const reasons[] = {
	"none", "bad-size", "bad-version", "bad-verb", "bad-flags", "bad-name", "no-type",
	"no-brick", "exists", "no-input", "connected", "not-connected", "loop", "no-output",
	"busy-users", "busy-on", "below-off", "no-key", "bad-value", "not-now", "no-memory",
	"io", "in-use", "too-small", "future", "missing", "bad-log", "no-space", "no-path",
	"denied", "too-deep", "open", "too-long",
};

static const char *const states[] = {
	"ok", "log-write-error", "data-write-error", "log-space-low", "log-space-full",
	"replay-end", "replay-clean", "replay-torn", "replay-mismatch", "read-error",
	"io-error", "bad-log",
};

static const struct {
	const char *word;
	uint32_t key;
} keys[] = {
	{ "file.path", MARS_K_FILE_PATH },
	{ "file.flags", MARS_K_FILE_FLAGS },
	{ "file.size", MARS_K_FILE_SIZE },
	{ "mem.size", MARS_K_MEM_SIZE },
	{ "logger.credits", MARS_K_LOGGER_CREDITS },
	{ "logger.durability", MARS_K_LOGGER_DURABILITY },
	{ "logger.delay", MARS_K_LOGGER_DELAY },
	{ "logger.ident", MARS_K_LOGGER_IDENT },
	{ "logger.rotate", MARS_K_LOGGER_ROTATE },
	{ "logger.checkpoint", MARS_K_LOGGER_CHECKPOINT },
	{ "logger.segment", MARS_K_LOGGER_SEGMENT },
	{ "replay.ident", MARS_K_REPLAY_IDENT },
	{ "replay.start", MARS_K_REPLAY_START },
	{ "replay.end", MARS_K_REPLAY_END },
	{ "if.name", MARS_K_IF_NAME },
	{ "if.readonly", MARS_K_IF_READONLY },
	{ "if.resize", MARS_K_IF_RESIZE },
	{ "limit.bytes", MARS_K_LIMIT_BYTES },
	{ "limit.ops", MARS_K_LIMIT_OPS },
	{ "check.error", MARS_K_CHECK_ERROR },
	{ "check.delay", MARS_K_CHECK_DELAY },
	{ "align.block", MARS_K_ALIGN_BLOCK },
};

static const struct {
	const char *word;
	uint64_t bit;
} file_flags[] = {
	{ "direct", MARS_FILE_DIRECT },
	{ "rdonly", MARS_FILE_RDONLY },
	{ "create", MARS_FILE_CREATE },
	{ "excl", MARS_FILE_EXCL },
	{ "append", MARS_FILE_APPEND },
};

#define FILE_FIELDS "size", "reads", "writes", "flushes", "bytes_read", "bytes_written", "direct"
#define NBD_FIELDS "clients", "reads", "writes", "flushes", "bytes_read", "bytes_written", "in_flight"

/* Names of the numbers in a status, in the order of the enums in mars.h. */
static const struct {
	const char *type;
	const char *field[MARS_VAL_MAX];
} fields[] = {
	{ "file", { FILE_FIELDS } },
	{ "bdev", { FILE_FIELDS } },
	{ "nbd", { NBD_FIELDS } },
	{ "if", { NBD_FIELDS } },
	{ "logger", { "number", "pos", "durable_number", "durable", "ckpt_number", "ckpt",
		      "dirty", "credits", "used", "peak", "waiters", "writes", "reads",
		      "flushes", "groups", "records", "shadow_hits", "writebacks",
		      "lamport", "old_slot", "prev_end", "slot" } },
	{ "replay", { "number", "parsed", "applied", "ckpt", "end", "records", "bytes",
		      "lamport", "verdict" } },
	{ "check", { "requests", "in_flight", "twice", "buffer", "overlap", "range", "align",
		     "vec", "injected", "unguarded" } },
	{ "limit", { "ops", "bytes", "delayed", "waiting" } },
	{ "align", { "passed", "split", "waited" } },
};

static int control_fd = -1;

/* --- one call --- */

static const char *word_of(const char *const *words, size_t nr, unsigned int i)
{
	return i < nr ? words[i] : "unknown";
}

static int control(enum mars_verb verb, void *arg, size_t size)
{
	struct mars_ctl_hdr *hdr = arg;
	const char *path = getenv("MARS_CONTROL");

	if (control_fd < 0)
		control_fd = open(path ? path : "/dev/mars-control", O_RDWR | O_CLOEXEC);
	if (control_fd < 0)
		return -errno;
	hdr->size = size;
	hdr->version = MARS_ABI_VERSION;
	hdr->verb = verb;
	return ioctl(control_fd, MARS_IOC(verb, size), arg) < 0 ? -errno : 0;
}

/* Make a refused call known.  Returns the exit code. */
static int result(const char *what, const struct mars_ctl_hdr *hdr, int err)
{
	if (!err)
		return OK;
	fprintf(stderr, "marsctl: %s: %s (%s)\n", what,
		word_of(reasons, NR(reasons), hdr->reason), strerror(-err));
	return FAILED;
}

static int usage(void)
{
	fputs(usage_text, stderr);
	return USAGE;
}

static bool put_name(char *dst, size_t size, const char *name)
{
	if (strlen(name) >= size) {
		fprintf(stderr, "marsctl: name too long: %s\n", name);
		return false;
	}
	strcpy(dst, name);
	return true;
}

#define PUT(field, name) put_name(field, sizeof(field), name)

static bool number(const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	return !errno && end != text && !*end;
}

/* --- bricks and wires --- */

static int do_create(int argc, char **argv)
{
	struct mars_ctl_create ctl = { 0 };

	if (argc != 3)
		return usage();
	if (!PUT(ctl.type, argv[1]) || !PUT(ctl.name, argv[2]))
		return FAILED;
	return result("create", &ctl.hdr, control(MARS_VERB_CREATE, &ctl, sizeof(ctl)));
}

static int do_destroy(int argc, char **argv)
{
	struct mars_ctl_name ctl = { 0 };

	if (argc != 2)
		return usage();
	if (!PUT(ctl.name, argv[1]))
		return FAILED;
	return result("destroy", &ctl.hdr, control(MARS_VERB_DESTROY, &ctl, sizeof(ctl)));
}

static int do_wire(int argc, char **argv)
{
	bool connect = !strcmp(argv[0], "connect");
	struct mars_ctl_wire ctl = { 0 };
	uint64_t input;

	if (argc != (connect ? 4 : 3) || !number(argv[2], &input))
		return usage();
	ctl.input = input;
	if (!PUT(ctl.name, argv[1]) || (connect && !PUT(ctl.to, argv[3])))
		return FAILED;
	return result(argv[0], &ctl.hdr,
		      control(connect ? MARS_VERB_CONNECT : MARS_VERB_DISCONNECT, &ctl,
			      sizeof(ctl)));
}

/* --- parameters --- */

/* Hex digits into at most @max bytes; how many, or -1. */
static int unhex(const char *text, void *dst, size_t max)
{
	unsigned char *p = dst;
	size_t n = strlen(text);

	if (n % 2 || n / 2 > max)
		return -1;
	for (size_t i = 0; i < n / 2; i++) {
		char pair[3] = { text[2 * i], text[2 * i + 1], 0 };
		char *end;

		p[i] = strtoul(pair, &end, 16);
		if (*end)
			return -1;
	}
	return n / 2;
}

/* One FIELD=VALUE of an identity. */
static bool ident_field(struct mars_log_ident *id, const char *name, const char *value)
{
	const struct {
		const char *name;
		void *bytes;
		size_t size;
	} hex[] = {
		{ "cluster", id->cluster, sizeof(id->cluster) },
		{ "resource", id->resource, sizeof(id->resource) },
		{ "salt", id->salt, sizeof(id->salt) },
		{ "prev_digest", id->prev_digest, sizeof(id->prev_digest) },
	};
	uint64_t n;

	for (size_t i = 0; i < NR(hex); i++)
		if (!strcmp(name, hex[i].name))
			return unhex(value, hex[i].bytes, hex[i].size) == (int)hex[i].size;
	if (!strcmp(name, "origin"))
		return PUT(id->origin, value);
	if (!strcmp(name, "prev_origin"))
		return PUT(id->prev_origin, value);
	if (!number(value, &n))
		return false;
	if (!strcmp(name, "number"))
		id->number = n;
	else if (!strcmp(name, "prev_number"))
		id->prev_number = n;
	else if (!strcmp(name, "prev_length"))
		id->prev_length = n;
	else if (!strcmp(name, "timeline"))
		id->timeline = n;
	else
		return false;
	return true;
}

static bool parse_ident(struct mars_log_ident *id, int argc, char **argv)
{
	memset(id, 0, sizeof(*id));
	id->number = 1;
	if (getrandom(id->salt, sizeof(id->salt), 0) != sizeof(id->salt) ||
	    !PUT(id->origin, "hosta"))
		return false;
	for (int i = 0; i < argc; i++) {
		char *eq = strchr(argv[i], '=');

		if (eq)
			*eq = 0;
		if (!eq || !ident_field(id, argv[i], eq + 1)) {
			fprintf(stderr, "marsctl: not an identity field: %s\n", argv[i]);
			return false;
		}
	}
	return true;
}

static bool parse_flags(char *text, uint64_t *value)
{
	*value = 0;
	for (char *save, *w = strtok_r(text, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		size_t i = 0;

		while (i < NR(file_flags) && strcmp(w, file_flags[i].word))
			i++;
		if (i == NR(file_flags))
			return false;
		*value |= file_flags[i].bit;
	}
	return true;
}

static bool parse_key(const char *word, uint32_t *key)
{
	uint64_t n;

	for (size_t i = 0; i < NR(keys); i++)
		if (!strcmp(word, keys[i].word)) {
			*key = keys[i].key;
			return true;
		}
	*key = number(word, &n) ? n : 0;
	return *key;
}

/* What stands behind the key. */
static bool parse_setting(struct mars_ctl_set *ctl, int argc, char **argv)
{
	uint64_t value;
	int len = 0;

	if (argc && number(argv[0], &value)) {
		ctl->value = value;
		argc--, argv++;
	} else if (argc && ctl->key == MARS_K_FILE_FLAGS && parse_flags(argv[0], &value)) {
		ctl->value = value;
		argc--, argv++;
	}
	if (!argc)
		return true;
	if (!strcmp(argv[0], "ident")) {
		struct mars_log_ident id;

		if (!parse_ident(&id, argc - 1, argv + 1))
			return false;
		len = sizeof(id);
		memcpy(ctl->text, &id, len);
	} else if (argc == 2 && !strcmp(argv[0], "text")) {
		if (!PUT(ctl->text, argv[1]))
			return false;
		len = strlen(argv[1]);
	} else if (argc == 2 && !strcmp(argv[0], "hex")) {
		len = unhex(argv[1], ctl->text, sizeof(ctl->text));
	} else {
		return false;
	}
	ctl->len = len;
	return len >= 0;
}

static int do_set(int argc, char **argv)
{
	static struct mars_ctl_set ctl;

	memset(&ctl, 0, sizeof(ctl));
	if (argc < 3 || !parse_key(argv[2], &ctl.key) ||
	    !parse_setting(&ctl, argc - 3, argv + 3))
		return usage();
	if (!PUT(ctl.name, argv[1]))
		return FAILED;
	return result("set", &ctl.hdr, control(MARS_VERB_SET, &ctl, sizeof(ctl)));
}

/* --- status --- */

/* Field number @i as a word and a value; false behind the last. */
static bool field_at(const struct mars_ctl_status *st, unsigned int i, char *name, char *value)
{
	static const char *const common[] = { "type", "button", "on", "off", "state", "error" };

	if (i < NR(common)) {
		strcpy(name, common[i]);
		switch (i) {
		case 0: strcpy(value, st->type); break;
		case 1: sprintf(value, "%u", st->button); break;
		case 2: sprintf(value, "%u", st->led_on); break;
		case 3: sprintf(value, "%u", st->led_off); break;
		case 4: strcpy(value, word_of(states, NR(states), st->state)); break;
		case 5: sprintf(value, "%d", st->error); break;
		}
		return true;
	}
	i -= NR(common);
	if (i >= st->nr_val || i >= MARS_VAL_MAX)
		return false;
	sprintf(name, "val%u", i);
	for (size_t t = 0; t < NR(fields); t++)
		if (!strcmp(fields[t].type, st->type) && fields[t].field[i])
			strcpy(name, fields[t].field[i]);
	sprintf(value, "%llu", (unsigned long long)st->val[i]);
	return true;
}

/* Value of one field; false: there is none of that name. */
static bool field_get(const struct mars_ctl_status *st, const char *want, char *value)
{
	char name[32];

	for (unsigned int i = 0; field_at(st, i, name, value); i++)
		if (!strcmp(name, want))
			return true;
	return false;
}

static int get_status(const char *name, struct mars_ctl_status *st)
{
	memset(st, 0, sizeof(*st));
	if (!PUT(st->name, name))
		return FAILED;
	return result("status", &st->hdr, control(MARS_VERB_STATUS, st, sizeof(*st)));
}

static int do_status(int argc, char **argv)
{
	struct mars_ctl_status st;
	char name[32], value[32];
	int code;

	if (argc != 2 && argc != 3)
		return usage();
	code = get_status(argv[1], &st);
	if (code)
		return code;
	if (argc == 3) {
		if (!field_get(&st, argv[2], value))
			return usage();
		puts(value);
		return OK;
	}
	for (unsigned int i = 0; field_at(&st, i, name, value); i++)
		printf("%s=%s\n", name, value);
	return OK;
}

static int do_list(int argc, char **argv)
{
	struct mars_ctl_status st = { 0 };
	int err;

	for (;;) {
		err = control(MARS_VERB_LIST, &st, sizeof(st));
		if (err || !st.name[0])
			return result("list", &st.hdr, err);
		printf("%s %s %s%s%s %s\n", st.name, st.type, st.button ? "button " : "",
		       st.led_on ? "on" : "", st.led_off ? "off" : "",
		       word_of(states, NR(states), st.state));
	}
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* Look until the field has the value.  Events are left to whoever else listens. */
static int wait_field(const char *name, const char *field, const char *want, double seconds)
{
	double end = now() + seconds;
	struct mars_ctl_status st;
	char value[32];
	int code;

	for (;;) {
		code = get_status(name, &st);
		if (code)
			return code;
		if (!field_get(&st, field, value))
			return usage();
		if (!strcmp(value, want))
			return OK;
		if (now() > end)
			break;
		poll(NULL, 0, 5);
	}
	fprintf(stderr, "marsctl: %s: %s is %s, not %s (state %s, error %d)\n", name, field, value,
		want, word_of(states, NR(states), st.state), st.error);
	return TIMEOUT;
}

static int do_wait(int argc, char **argv)
{
	uint64_t seconds = WAIT_SECONDS;

	if ((argc != 4 && argc != 5) || (argc == 5 && !number(argv[4], &seconds)))
		return usage();
	return wait_field(argv[1], argv[2], argv[3], seconds);
}

static int do_switch(int argc, char **argv)
{
	struct mars_ctl_switch ctl = { 0 };
	bool nowait = argc == 4 && !strcmp(argv[3], "nowait");
	int code;

	if ((argc != 3 && !nowait) || (strcmp(argv[2], "on") && strcmp(argv[2], "off")))
		return usage();
	if (!PUT(ctl.name, argv[1]))
		return FAILED;
	ctl.on = !strcmp(argv[2], "on");
	code = result("switch", &ctl.hdr, control(MARS_VERB_SWITCH, &ctl, sizeof(ctl)));
	return code || nowait ? code : wait_field(argv[1], argv[2], "1", WAIT_SECONDS);
}

/* --- the whole --- */

static int do_version(int argc, char **argv)
{
	struct mars_ctl_version ctl = { 0 };
	int code = result("version", &ctl.hdr, control(MARS_VERB_VERSION, &ctl, sizeof(ctl)));

	if (!code)
		printf("abi=%u\nlog_format=%u\nembedded=%u\nbuild=%.63s\n", ctl.abi, ctl.log_format,
		       ctl.embedded, ctl.build);
	return code;
}

static int do_lamport(int argc, char **argv)
{
	struct mars_ctl_lamport ctl = { 0 };
	int code = result("lamport", &ctl.hdr, control(MARS_VERB_LAMPORT, &ctl, sizeof(ctl)));

	if (!code)
		printf("real=%llu\nlamport=%llu\n", (unsigned long long)ctl.real,
		       (unsigned long long)ctl.lamport);
	return code;
}

static int do_batch(int argc, char **argv);

static const struct {
	const char *word;
	int (*fn)(int argc, char **argv);
} commands[] = {
	{ "version", do_version },
	{ "lamport", do_lamport },
	{ "create", do_create },
	{ "destroy", do_destroy },
	{ "connect", do_wire },
	{ "disconnect", do_wire },
	{ "set", do_set },
	{ "switch", do_switch },
	{ "status", do_status },
	{ "list", do_list },
	{ "wait", do_wait },
	{ "batch", do_batch },
};

static int run(int argc, char **argv)
{
	for (size_t i = 0; argc && i < NR(commands); i++)
		if (!strcmp(argv[0], commands[i].word))
			return commands[i].fn(argc, argv);
	return usage();
}

static int do_batch(int argc, char **argv)
{
	static char line[LINE_MAX_BYTES];
	int code = OK;

	while (!code && fgets(line, sizeof(line), stdin)) {
		char copy[LINE_MAX_BYTES], *word[WORDS_MAX], *save;
		int n = 0;

		line[strcspn(line, "\n")] = 0;
		strcpy(copy, line);
		for (char *w = strtok_r(copy, " \t", &save); w && n < WORDS_MAX;
		     w = strtok_r(NULL, " \t", &save))
			word[n++] = w;
		if (!n || word[0][0] == '#')
			continue;
		code = strcmp(word[0], "batch") ? run(n, word) : usage();
		if (code)
			fprintf(stderr, "marsctl: in: %s\n", line);
	}
	return code;
}

int main(int argc, char **argv)
{
	return run(argc - 1, argv + 1);
}
