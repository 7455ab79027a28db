# SPDX-License-Identifier: GPL-2.0-or-later
#
# Build and test of the C core in user space.
#
#   make -C native -f build.mk VARIANT=asan all      libmars.a and every test program
#   make -C native -f build.mk VARIANT=tsan check    run all tests
#   make -C native -f build.mk run-shim_test         run one (seed: MARS_TEST_SEED=n)
#   make -C native -f build.mk fuzz                  build the fuzzers
#   make -C native -f build.mk fuzz-short            run each for FUZZ_SECONDS
#   make -C native -f build.mk guest                 static programs for virtual machines
#
# VARIANT: asan (address + undefined behaviour), tsan (threads), plain (-O2).
# Sources and tests are found by wildcard.  A test that reads the file system or
# needs tools says so itself; scripts *_test.sh run as well.

# V=1 shows commands.  LAX=1 leaves out of the library what does not compile, for
# work on one part while another is being rewritten.  OUT= builds elsewhere.

VARIANT ?= asan
FUZZ_SECONDS ?= 20
TEST_TIMEOUT ?= 240
Q := $(if $(V),,@)
say = $(if $(V),,@echo "  $(1) $(2)")

ROOT := $(abspath ..)
OUT ?= $(ROOT)/build/c/$(VARIANT)
FUZZ_OUT ?= $(ROOT)/build/c/fuzz
GUEST_OUT ?= $(ROOT)/build/c/guest

WARN := -Wall -Wextra -Wno-unused-parameter -Wmissing-prototypes -Wstrict-prototypes -Wvla \
	-Werror=implicit-function-declaration
BASE := -std=gnu11 -D_GNU_SOURCE -g -fno-strict-aliasing -fvisibility=hidden $(WARN) -pthread \
	-I$(ROOT)/native/shim -iquote $(ROOT)/kernel -I$(ROOT)/native -I$(ROOT)/native/test

ifeq ($(VARIANT),asan)
CFLAGS := $(BASE) -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(VARIANT),tsan)
CFLAGS := $(BASE) -O1 -fno-omit-frame-pointer -fsanitize=thread
else ifeq ($(VARIANT),plain)
CFLAGS := $(BASE) -O2
else
$(error VARIANT must be asan, tsan or plain)
endif
CFLAGS += $(EXTRA_CFLAGS)
LDLIBS := -pthread

# The thread sanitizer maps fixed ranges; with much address randomisation it
# cannot start, so run without where the machine allows that.
NO_ASLR := $(shell setarch $$(uname -m) -R true 2>/dev/null && echo setarch $$(uname -m) -R)
RUN := $(if $(filter tsan,$(VARIANT)),$(NO_ASLR)) timeout $(TEST_TIMEOUT)
RUN_ENV := ASAN_OPTIONS=detect_leaks=1:abort_on_error=1:handle_abort=0 \
	UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1

SRCS := $(sort $(foreach d,kernel/core kernel/bricks native/shim native/engine native/bricks,\
	$(wildcard $(ROOT)/$(d)/*.c)))
OBJS := $(SRCS:$(ROOT)/%.c=$(OUT)/obj/%.o)
LIB := $(OUT)/libmars.a

TEST_MAINS := $(sort $(wildcard $(ROOT)/native/test/*_test.c))
TESTS := $(notdir $(TEST_MAINS:.c=))
# programs used by test scripts
TOOL_MAINS := $(sort $(wildcard $(ROOT)/native/test/*_serve.c $(ROOT)/native/test/*_bench.c))
TOOLS := $(notdir $(TOOL_MAINS:.c=))
SCRIPTS := $(notdir $(sort $(wildcard $(ROOT)/native/test/*_test.sh)))
FUZZ_MAINS := $(sort $(wildcard $(ROOT)/native/test/fuzz_*.c))
FUZZERS := $(notdir $(FUZZ_MAINS:.c=))
# run in virtual machines: real headers, no library of ours; NAME from guest_NAME.c
GUEST_MAINS := $(ROOT)/native/test/ctl.c $(sort $(wildcard $(ROOT)/native/test/guest_*.c))
# everything else in native/test helps the tests
TEST_HELP := $(filter-out $(TEST_MAINS) $(TOOL_MAINS) $(FUZZ_MAINS) $(GUEST_MAINS),\
	$(sort $(wildcard $(ROOT)/native/test/*.c)))
HELP_OBJS := $(TEST_HELP:$(ROOT)/%.c=$(OUT)/obj/%.o)
HELP_LIB := $(OUT)/libtest.a

.PHONY: all lib check fuzz fuzz-short guest clean $(TESTS:%=run-%) $(SCRIPTS:%=run-%) $(FUZZERS:%=fuzz-run-%)
.SECONDARY:

all: lib $(TESTS:%=$(OUT)/%) $(TOOLS:%=$(OUT)/%)
lib: $(LIB)

# Everything is written beside its place and moved there, so that several makes
# may share one output folder.
tmp = $@.$$$$
compile = $(1) -MMD -MP -MF $(tmp).d -MT $@ -c -o $(tmp) $< && \
	mv $(tmp).d $(@:.o=.d) && mv $(tmp) $@ || { rm -f $(tmp) $(tmp).d $@; $(if $(LAX),true,false); }
archive = $(AR) rcs $(tmp) $(if $(LAX),$$(ls $(1) 2>/dev/null),$(1)) && mv $(tmp) $@
link = $(1) -o $(tmp) $(2) && mv $(tmp) $@ || { rm -f $(tmp); false; }

$(OUT)/obj/%.o: $(ROOT)/%.c $(ROOT)/native/build.mk
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(call compile,$(CC) $(CFLAGS))

$(LIB): $(OBJS)
	$(call say,AR,$@)
	$(Q)$(call archive,$(OBJS))

$(HELP_LIB): $(HELP_OBJS)
	$(call say,AR,$@)
	$(Q)$(call archive,$(HELP_OBJS))

$(OUT)/%: $(OUT)/obj/native/test/%.o $(HELP_LIB) $(LIB)
	$(call say,LD,$@)
	$(Q)$(call link,$(CC) $(CFLAGS),$< $(HELP_LIB) $(LIB) $(LDLIBS))

check: $(TESTS:%=run-%) $(SCRIPTS:%=run-%)

$(TESTS:%=run-%): run-%: $(OUT)/%
	@echo "== $(VARIANT) $*"
	@$(RUN_ENV) $(RUN) $(OUT)/$*

$(SCRIPTS:%=run-%): run-%: all
	@echo "== $(VARIANT) $*"
	@$(RUN_ENV) MARS_BUILD=$(OUT) timeout $(TEST_TIMEOUT) bash $(ROOT)/native/test/$*

# --- fuzzers: clang with libFuzzer, the library compiled in the same way ---

FUZZ_CC := $(firstword $(shell command -v clang-14 clang 2>/dev/null) clang)
FUZZ_CFLAGS := $(BASE) -O1 -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
FUZZ_OBJS := $(SRCS:$(ROOT)/%.c=$(FUZZ_OUT)/obj/%.o) $(TEST_HELP:$(ROOT)/%.c=$(FUZZ_OUT)/obj/%.o)

$(FUZZ_OUT)/obj/%.o: $(ROOT)/%.c $(ROOT)/native/build.mk
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(call compile,$(FUZZ_CC) $(FUZZ_CFLAGS))

$(FUZZ_OUT)/libmars.a: $(FUZZ_OBJS)
	$(call say,AR,$@)
	$(Q)$(call archive,$(FUZZ_OBJS))

$(FUZZ_OUT)/fuzz_%: $(FUZZ_OUT)/obj/native/test/fuzz_%.o $(FUZZ_OUT)/libmars.a
	$(call say,LD,$@)
	$(Q)$(call link,$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer,$< $(FUZZ_OUT)/libmars.a $(LDLIBS))

fuzz: $(FUZZERS:%=$(FUZZ_OUT)/%)
fuzz-short: $(FUZZERS:%=fuzz-run-%)

# New inputs go to build/, the corpus kept in the tree is only read.
$(FUZZERS:%=fuzz-run-%): fuzz-run-%: $(FUZZ_OUT)/%
	@mkdir -p $(FUZZ_OUT)/corpus/$* $(FUZZ_OUT)/crash
	cd $(FUZZ_OUT)/crash && $(FUZZ_OUT)/$* -max_total_time=$(FUZZ_SECONDS) -timeout=10 \
		-rss_limit_mb=2048 -print_final_stats=0 -verbosity=0 \
		-artifact_prefix=$(FUZZ_OUT)/crash/$*- $(FUZZ_OUT)/corpus/$* \
		$(wildcard $(ROOT)/native/test/corpus/$(*:fuzz_%=%))

# --- programs for virtual machines ---

GUEST_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -g $(WARN) -static -iquote $(ROOT)/kernel

define guest_program
	$(call say,LD,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(call link,$(CC) $(GUEST_CFLAGS),$<)
endef

$(GUEST_OUT)/marsctl: $(ROOT)/native/test/ctl.c $(ROOT)/kernel/uapi/mars.h
	$(guest_program)
$(GUEST_OUT)/%: $(ROOT)/native/test/guest_%.c $(ROOT)/kernel/uapi/mars.h
	$(guest_program)

guest: $(GUEST_OUT)/marsctl $(patsubst $(ROOT)/native/test/guest_%.c,$(GUEST_OUT)/%,$(filter-out %/ctl.c,$(GUEST_MAINS)))

clean:
	rm -rf $(ROOT)/build/c

-include $(OBJS:.o=.d) $(HELP_OBJS:.o=.d) $(TESTS:%=$(OUT)/obj/native/test/%.d) \
	$(TOOLS:%=$(OUT)/obj/native/test/%.d) $(FUZZ_OBJS:.o=.d) \
	$(FUZZERS:%=$(FUZZ_OUT)/obj/native/test/%.d)
