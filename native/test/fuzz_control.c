// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_control.c - random control calls against a small world of bricks
 *
 * The input is a program: each step is either a well-formed call with names, numbers
 * and keys chosen from small sets (so that graphs really grow, rewire and switch), or
 * raw bytes as a structure.  Only types that touch nothing outside the process are
 * registered.  After each input everything must come down to the last allocation.
 */
#include <linux/errno.h>
#include <linux/kernel.h>

#include "core/brick.h"
#include "test.h"
#include "testbricks.h"
#include "verb_size.h"

extern const struct mars_brick_type mem_brick_type;
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static const char *const type_names[] = {
	"mem", "check", "limit", "align", "tap", "hold", "logger", "replay", "none", "",
};
static const char *const brick_names[] = { "a", "b", "c", "d", "e", "r/f", "r/g", "h/../i" };
static const u32 keys[] = {
	MARS_K_MEM_SIZE, MARS_K_LIMIT_BYTES, MARS_K_LIMIT_OPS, MARS_K_CHECK_ERROR,
	MARS_K_CHECK_DELAY, MARS_K_ALIGN_BLOCK, MARS_K_LOGGER_CREDITS, MARS_K_LOGGER_IDENT,
	MARS_K_LOGGER_SEGMENT, MARS_K_LOGGER_ROTATE, MARS_K_LOGGER_CHECKPOINT,
	MARS_K_REPLAY_IDENT, MARS_K_REPLAY_START, MARS_K_REPLAY_END,
};

struct input {
	const u8 *data;
	size_t left;
};

static u8 take(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->data++;
}

static u64 take_number(struct input *in)
{
	u64 value = take(in);

	switch (value & 3) {
	case 0:
		return value >> 2;
	case 1:
		return 1ull << (value >> 2);
	case 2:
		return (value >> 2) * 4096;
	}
	for (int i = 0; i < 7; i++)
		value = value << 8 | take(in);
	return value;
}

static const char *take_name(struct input *in)
{
	return brick_names[take(in) % ARRAY_SIZE(brick_names)];
}

union any {
	struct mars_ctl_hdr hdr;
	struct mars_ctl_version version;
	struct mars_ctl_create create;
	struct mars_ctl_name name;
	struct mars_ctl_wire wire;
	struct mars_ctl_switch sw;
	struct mars_ctl_set set;
	struct mars_ctl_status status;
	struct mars_ctl_lamport lamport;
};

static void fill(union any *ctl, struct input *in)
{
	switch (ctl->hdr.verb) {
	case MARS_VERB_CREATE:
		strcpy(ctl->create.type, type_names[take(in) % ARRAY_SIZE(type_names)]);
		strcpy(ctl->create.name, take_name(in));
		break;
	case MARS_VERB_DESTROY:
		strcpy(ctl->name.name, take_name(in));
		break;
	case MARS_VERB_CONNECT:
		strcpy(ctl->wire.to, take_name(in));
		/* fallthrough */
	case MARS_VERB_DISCONNECT:
		strcpy(ctl->wire.name, take_name(in));
		ctl->wire.input = take(in) % 4;
		break;
	case MARS_VERB_SWITCH:
		strcpy(ctl->sw.name, take_name(in));
		ctl->sw.on = take(in) % 3;
		break;
	case MARS_VERB_SET:
		strcpy(ctl->set.name, take_name(in));
		ctl->set.key = keys[take(in) % ARRAY_SIZE(keys)];
		ctl->set.value = take_number(in);
		ctl->set.len = take(in);
		for (u32 i = 0; i < ctl->set.len; i++)
			ctl->set.text[i] = take(in);
		break;
	case MARS_VERB_STATUS:
	case MARS_VERB_LIST:
		strcpy(ctl->status.name, take_name(in));
		break;
	case MARS_VERB_LAMPORT:
		ctl->lamport.advance = take_number(in);
		break;
	}
}

static void call(union any *ctl, size_t size)
{
	/* A copy of exactly this size lets the sanitizer see each step beyond. */
	union any *exact = malloc(size ? size : 1);
	int err;

	CHECK(exact);
	memcpy(exact, ctl, size);
	err = mars_control(exact, size);
	CHECK(err <= 0 && err > -4096);
	if (size >= sizeof(exact->hdr))
		CHECK((err == 0) == (exact->hdr.reason == MARS_R_NONE));
	free(exact);
}

static void step(struct input *in)
{
	u8 what = take(in), verb = what % ARRAY_SIZE(verb_size);
	union any ctl;
	size_t size = verb_size[verb];

	memset(&ctl, 0, sizeof(ctl));
	if (what >= 240) {
		exec_step();
		return;
	}
	if (what >= 220) {
		size = take(in) * 8 % sizeof(ctl);
		for (size_t i = 0; i < size && in->left; i++)
			((u8 *)&ctl)[i] = take(in);
		call(&ctl, size);
		return;
	}
	ctl.hdr.size = size;
	ctl.hdr.version = MARS_ABI_VERSION;
	ctl.hdr.verb = verb;
	fill(&ctl, in);
	call(&ctl, size);
}

static void tear_down(void)
{
	struct mars_ctl_status st;
	enum mars_reason reason;
	char name[MARS_NAME_MAX];
	int pass;

	for (pass = 0; pass < 1000; pass++) {
		unsigned int left = 0;

		name[0] = 0;
		while (mars_brick_status_next(name, &st)) {
			strcpy(name, st.name);
			mars_brick_switch(name, false, &reason);
			if (mars_brick_destroy(name, &reason))
				left++;
		}
		if (!left)
			return;
		if (!exec_step())
			CHECK(pass < 100);	/* stuck: nothing left to run */
	}
	CHECK(!"bricks that don't come down");
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = { data, size };
	long live;

	exec_log_level(0);
	live = exec_live_allocs();
	CHECK_EQ(exec_init(EXEC_SIM, 0, size), 0);
	CHECK_EQ(mars_core_init(), 0);
	CHECK_EQ(mars_type_register(&mem_brick_type), 0);
	testbricks_register();
	while (in.left)
		step(&in);
	tear_down();
	mars_core_exit();
	exec_exit();
	CHECK_EQ(exec_live_allocs(), live);
	CHECK_EQ(exec_warn_count(), 0);
	return 0;
}
