// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * control_test.c - the control ABI as its callers see it
 *
 * Every structure is built from scratch, spoilt in one place at a time, and the
 * reason must be the one documented; a refused call must not change anything.
 */
#include <pthread.h>

#include <linux/atomic.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>

#include "core/lamport.h"
#include "core/log_format.h"
#include "engine/engine.h"
#include "source.h"
#include "test.h"
#include "testbricks.h"

static void begin(enum exec_mode mode)
{
	CHECK_EQ(mars_engine_init(mode, 0, test_seed()), 0);
	testbricks_register();
}

static void end(void)
{
	mars_engine_exit();
	CHECK_EQ(exec_live_allocs(), 0);
}

#define PREPARE(ctl, v) do {						\
	memset(&(ctl), 0, sizeof(ctl));					\
	(ctl).hdr.size = sizeof(ctl);					\
	(ctl).hdr.version = MARS_ABI_VERSION;				\
	(ctl).hdr.verb = (v);						\
} while (0)

#define CALL_OK(ctl) do {						\
	CHECK_EQ(mars_control(&(ctl), sizeof(ctl)), 0);			\
	CHECK_EQ((ctl).hdr.reason, MARS_R_NONE);			\
} while (0)

#define CALL_REFUSED(ctl, why) do {					\
	(ctl).hdr.reason = 12345;					\
	CHECK_EQ(mars_control(&(ctl), sizeof(ctl)), mars_reason_errno(why)); \
	CHECK_EQ((ctl).hdr.reason, why);				\
} while (0)

static void call_create(const char *type, const char *name)
{
	struct mars_ctl_create ctl;

	PREPARE(ctl, MARS_VERB_CREATE);
	strcpy(ctl.type, type);
	strcpy(ctl.name, name);
	CALL_OK(ctl);
}

static unsigned int call_list(char *names, size_t size)
{
	struct mars_ctl_status ctl;
	unsigned int nr = 0;

	PREPARE(ctl, MARS_VERB_LIST);
	names[0] = 0;
	for (;;) {
		CALL_OK(ctl);
		if (!ctl.name[0])
			return nr;
		CHECK(strlen(names) + strlen(ctl.name) + 2 < size);
		strcat(names, ctl.name);
		strcat(names, " ");
		nr++;
	}
}

/* --- the frame --- */

static const struct {
	u16 verb;
	size_t size;
} sizes[] = {
	{ MARS_VERB_VERSION, sizeof(struct mars_ctl_version) },
	{ MARS_VERB_CREATE, sizeof(struct mars_ctl_create) },
	{ MARS_VERB_DESTROY, sizeof(struct mars_ctl_name) },
	{ MARS_VERB_CONNECT, sizeof(struct mars_ctl_wire) },
	{ MARS_VERB_DISCONNECT, sizeof(struct mars_ctl_wire) },
	{ MARS_VERB_SWITCH, sizeof(struct mars_ctl_switch) },
	{ MARS_VERB_SET, sizeof(struct mars_ctl_set) },
	{ MARS_VERB_STATUS, sizeof(struct mars_ctl_status) },
	{ MARS_VERB_LIST, sizeof(struct mars_ctl_status) },
	{ MARS_VERB_LAMPORT, sizeof(struct mars_ctl_lamport) },
	{ MARS_VERB_EVENT, sizeof(struct mars_ctl_status) },
};

static void frame_is_checked(void)
{
	/* Exactly as long as claimed, so that a sanitizer sees every access behind. */
	unsigned int i;

	begin(EXEC_SIM);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t size = sizes[i].size, wrong;
		struct mars_ctl_hdr good = { .size = size, .version = MARS_ABI_VERSION,
					     .verb = sizes[i].verb };
		struct mars_ctl_hdr *hdr;

		for (wrong = 0; wrong < size + 64; wrong += 4) {
			if (wrong == size)
				continue;
			hdr = calloc(1, wrong ? wrong : 1);
			CHECK(hdr);
			if (wrong < sizeof(*hdr)) {
				CHECK_EQ(mars_control(hdr, wrong), -EINVAL);
			} else {
				*hdr = good;
				CHECK_EQ(mars_control(hdr, wrong), -EINVAL);
				CHECK_EQ(hdr->reason, MARS_R_BAD_SIZE);
				*hdr = good;
				hdr->size = wrong;
				CHECK_EQ(mars_control(hdr, wrong), -EINVAL);
				CHECK_EQ(hdr->reason, MARS_R_BAD_SIZE);
			}
			free(hdr);
		}
		hdr = calloc(1, size);
		CHECK(hdr);
		*hdr = good;
		hdr->size++;
		CHECK_EQ(mars_control(hdr, size), -EINVAL);
		CHECK_EQ(hdr->reason, MARS_R_BAD_SIZE);
		*hdr = good;
		hdr->version++;
		CHECK_EQ(mars_control(hdr, size), mars_reason_errno(MARS_R_BAD_VERSION));
		CHECK_EQ(hdr->reason, MARS_R_BAD_VERSION);
		CHECK_EQ(hdr->version, MARS_ABI_VERSION);
		*hdr = good;
		hdr->flags = 1u << 31;
		CHECK_EQ(mars_control(hdr, size), -EINVAL);
		CHECK_EQ(hdr->reason, MARS_R_BAD_FLAGS);
		free(hdr);
	}
	end();
}

static void unknown_verbs(void)
{
	struct mars_ctl_version ctl;
	unsigned int verb;

	begin(EXEC_SIM);
	for (verb = 0; verb < 65536; verb++) {
		if (verb >= 1 && verb <= MARS_VERB_EVENT)
			continue;
		PREPARE(ctl, verb);
		CALL_REFUSED(ctl, MARS_R_BAD_VERB);
	}
	end();
}

static void every_reason_has_an_errno(void)
{
	int reason;

	CHECK_EQ(mars_reason_errno(MARS_R_NONE), 0);
	for (reason = MARS_R_NONE + 1; reason <= MARS_R_TOO_LONG; reason++) {
		CHECK(mars_reason_errno(reason) < 0);
		CHECK(mars_reason_errno(reason) > -4096);
	}
	CHECK_EQ(mars_reason_errno(99999), -EIO);
}

/* --- fields --- */

static void hostile_names(void)
{
	static const char *const bad[] = {
		"", "/etc/passwd", "..", "a/../b", "a..b", "a b", "a\n", "a\x80", "\x01", "a\"b",
		"a\\b", "a'b", "a%sb", "a;b", "a*", "a=b", "~a", "$a", "a\tb",
	};
	static const char *const good[] = {
		"a", "R/logger", "R/log-000000001-host_a", "x.y", "a:b@c+d", "-", "_", ".",
		"mydata/nbd",
	};
	struct mars_ctl_create ctl;
	struct mars_ctl_name gone;
	char names[256];
	unsigned int i;

	begin(EXEC_SIM);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		PREPARE(ctl, MARS_VERB_CREATE);
		strcpy(ctl.type, "tap");
		strcpy(ctl.name, bad[i]);
		CALL_REFUSED(ctl, MARS_R_BAD_NAME);
	}
	PREPARE(ctl, MARS_VERB_CREATE);
	strcpy(ctl.type, "tap");
	memset(ctl.name, 'a', sizeof(ctl.name));	/* no NUL */
	CALL_REFUSED(ctl, MARS_R_BAD_NAME);
	PREPARE(ctl, MARS_VERB_CREATE);
	memset(ctl.type, 'a', sizeof(ctl.type));
	strcpy(ctl.name, "a");
	CALL_REFUSED(ctl, MARS_R_BAD_NAME);
	for (i = 2; i < sizeof(ctl.name); i++) {		/* dirt behind the NUL */
		PREPARE(ctl, MARS_VERB_CREATE);
		strcpy(ctl.type, "tap");
		strcpy(ctl.name, "a");
		ctl.name[i] = 'x';
		CALL_REFUSED(ctl, MARS_R_BAD_NAME);
	}
	CHECK_EQ(call_list(names, sizeof(names)), 0);
	for (i = 0; i < ARRAY_SIZE(good); i++) {
		call_create("tap", good[i]);
		PREPARE(gone, MARS_VERB_DESTROY);
		strcpy(gone.name, good[i]);
		CALL_OK(gone);
	}
	end();
}

static void padding_and_values(void)
{
	struct mars_ctl_version version;
	struct mars_ctl_wire wire;
	struct mars_ctl_switch sw;
	struct mars_ctl_set set;

	begin(EXEC_SIM);
	call_create("mem", "m");
	call_create("tap", "t");

	PREPARE(version, MARS_VERB_VERSION);
	version.pad = 1;
	CALL_REFUSED(version, MARS_R_BAD_FLAGS);

	PREPARE(wire, MARS_VERB_CONNECT);
	strcpy(wire.name, "t");
	strcpy(wire.to, "m");
	wire.pad = 1;
	CALL_REFUSED(wire, MARS_R_BAD_FLAGS);
	wire.pad = 0;
	wire.input = 0xffffffff;
	CALL_REFUSED(wire, MARS_R_NO_INPUT);
	wire.input = 0;
	CALL_OK(wire);
	wire.hdr.verb = MARS_VERB_DISCONNECT;
	CALL_REFUSED(wire, MARS_R_BAD_FLAGS);		/* .to must be empty */
	memset(wire.to, 0, sizeof(wire.to));
	CALL_OK(wire);
	CALL_REFUSED(wire, MARS_R_NOT_CONNECTED);

	PREPARE(sw, MARS_VERB_SWITCH);
	strcpy(sw.name, "t");
	sw.on = 2;
	CALL_REFUSED(sw, MARS_R_BAD_VALUE);
	sw.on = 1;
	sw.pad = 1;
	CALL_REFUSED(sw, MARS_R_BAD_FLAGS);
	sw.pad = 0;
	CALL_OK(sw);

	PREPARE(set, MARS_VERB_SET);
	strcpy(set.name, "m");
	set.key = MARS_K_MEM_SIZE;
	set.value = 4096;
	set.len = MARS_TEXT_MAX;
	CALL_REFUSED(set, MARS_R_BAD_VALUE);
	set.len = 0xffffffff;
	CALL_REFUSED(set, MARS_R_BAD_VALUE);
	set.len = 0;
	set.text[0] = 'x';
	CALL_REFUSED(set, MARS_R_BAD_FLAGS);		/* behind len */
	set.text[0] = 0;
	set.text[MARS_TEXT_MAX - 1] = 'x';
	CALL_REFUSED(set, MARS_R_BAD_FLAGS);
	set.text[MARS_TEXT_MAX - 1] = 0;
	CALL_OK(set);
	end();
}

/* --- verbs --- */

static void version_tells(void)
{
	struct mars_ctl_version ctl;

	begin(EXEC_SIM);
	PREPARE(ctl, MARS_VERB_VERSION);
	CALL_OK(ctl);
	CHECK_EQ(ctl.abi, MARS_ABI_VERSION);
	CHECK_EQ(ctl.log_format, MARS_LOG_FORMAT);
	CHECK_EQ(ctl.embedded, 1);
	CHECK(ctl.build[0] && memchr(ctl.build, 0, sizeof(ctl.build)));
	end();
}

static void a_life(void)
{
	struct mars_ctl_status st;
	struct mars_ctl_switch sw;
	struct mars_ctl_wire wire;
	struct mars_ctl_set set;
	struct mars_ctl_name gone;
	char names[256];

	begin(EXEC_SIM);
	call_create("mem", "r/data");
	call_create("check", "r/check");
	CHECK_EQ(call_list(names, sizeof(names)), 2);
	CHECK_STR(names, "r/check r/data ");
	PREPARE(set, MARS_VERB_SET);
	strcpy(set.name, "r/data");
	set.key = MARS_K_MEM_SIZE;
	set.value = 1 << 20;
	CALL_OK(set);
	PREPARE(wire, MARS_VERB_CONNECT);
	strcpy(wire.name, "r/check");
	strcpy(wire.to, "r/data");
	CALL_OK(wire);
	PREPARE(sw, MARS_VERB_SWITCH);
	sw.on = 1;
	strcpy(sw.name, "r/check");
	CALL_REFUSED(sw, MARS_R_BELOW_OFF);
	strcpy(sw.name, "r/data");
	CALL_OK(sw);
	strcpy(sw.name, "r/check");
	CALL_OK(sw);

	PREPARE(st, MARS_VERB_STATUS);
	strcpy(st.name, "r/data");
	st.nr_val = 77;			/* what was in the answer's place does not matter */
	CALL_OK(st);
	CHECK_STR(st.name, "r/data");
	CHECK_STR(st.type, "mem");
	CHECK(st.button && st.led_on && !st.led_off && !st.state && !st.error && !st.events);
	CHECK_EQ(st.val[MARS_V_FILE_SIZE], 1 << 20);
	PREPARE(st, MARS_VERB_STATUS);
	strcpy(st.name, "nobody");
	CALL_REFUSED(st, MARS_R_NO_BRICK);

	/* Events of both, then silence. */
	PREPARE(st, MARS_VERB_EVENT);
	CALL_OK(st);
	CHECK_STR(st.name, "r/data");
	CHECK_EQ(st.events, MARS_EV_LED);
	CALL_OK(st);
	CHECK_STR(st.name, "r/check");
	CALL_OK(st);
	CHECK_STR(st.name, "");
	CHECK_EQ(st.events, 0);

	PREPARE(gone, MARS_VERB_DESTROY);
	strcpy(gone.name, "r/data");
	CALL_REFUSED(gone, MARS_R_BUSY_ON);
	sw.on = 0;
	CALL_OK(sw);
	exec_drain();
	strcpy(sw.name, "r/data");
	CALL_OK(sw);
	CALL_REFUSED(gone, MARS_R_BUSY_USERS);
	strcpy(gone.name, "r/check");
	CALL_OK(gone);
	exec_drain();
	memset(gone.name, 0, sizeof(gone.name));
	strcpy(gone.name, "r/data");
	CALL_OK(gone);
	CHECK_EQ(call_list(names, sizeof(names)), 0);
	end();
}

static void lamport_verb(void)
{
	struct mars_ctl_lamport ctl;
	u64 first;

	begin(EXEC_SIM);
	PREPARE(ctl, MARS_VERB_LAMPORT);
	CALL_OK(ctl);
	first = ctl.lamport;
	CHECK_EQ(ctl.real, ktime_get_real_ns());
	CALL_OK(ctl);
	CHECK(ctl.lamport > first);
	ctl.advance = ctl.real + 1000000;
	CALL_OK(ctl);
	CHECK(ctl.lamport > ctl.advance);
	first = ctl.lamport;
	ctl.advance = ctl.real + MARS_LAMPORT_MAX_FUTURE + 1000000000;
	CALL_REFUSED(ctl, MARS_R_FUTURE);
	ctl.advance = 0;
	CALL_OK(ctl);
	CHECK_EQ(ctl.lamport, first + 1);
	end();
}

/* --- LIST while bricks come and go --- */

static atomic_t churn_stop;

static void *churn_thread(void *arg)
{
	unsigned int seed = test_seed();
	enum mars_reason reason;
	char name[16];

	while (!atomic_read(&churn_stop)) {
		snprintf(name, sizeof(name), "b%02d", rand_r(&seed) % 100);
		if (mars_brick_create("tap", name, &reason))
			CHECK_EQ(mars_brick_destroy(name, &reason), 0);
	}
	return NULL;
}

/* Bricks that stay are always listed once, in order, whatever happens around them. */
static void list_is_stable_under_churn(void)
{
	struct mars_ctl_status ctl;
	pthread_t thread;
	char last[MARS_NAME_MAX];
	int i, round, stay;

	begin(EXEC_THREADED);
	for (i = 0; i < 100; i += 10) {
		char name[32];

		snprintf(name, sizeof(name), "b%02d-stays", i);
		call_create("tap", name);
	}
	atomic_set(&churn_stop, 0);
	CHECK_EQ(pthread_create(&thread, NULL, churn_thread, NULL), 0);
	for (round = 0; round < 300; round++) {
		PREPARE(ctl, MARS_VERB_LIST);
		last[0] = 0;
		for (stay = 0;;) {
			CALL_OK(ctl);
			if (!ctl.name[0])
				break;
			CHECK(strcmp(last, ctl.name) < 0);
			strcpy(last, ctl.name);
			stay += strstr(ctl.name, "-stays") != NULL;
		}
		CHECK_EQ(stay, 10);
	}
	atomic_set(&churn_stop, 1);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	end();
}

int main(void)
{
	RUN(frame_is_checked);
	RUN(unknown_verbs);
	RUN(every_reason_has_an_errno);
	RUN(hostile_names);
	RUN(padding_and_values);
	RUN(version_tells);
	RUN(a_life);
	RUN(lamport_verb);
	RUN(list_is_stable_under_churn);
	return test_done();
}
