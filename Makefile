# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every entry point a person needs.
#
#   make demo     the main job on the embedded engine: needs Node, a C/C++ compiler and make
#   make demo-vm  the same on mars.ko: two virtual machines, an ext4, handover, power cut
#   make test     all tests; as root it installs the Debian packages it needs
#   make test-vm  mars.ko in virtual machines: KERNEL=6.1, MATCH=word (see test/vm/README.md)
#   make test-debug   the same on kernels that look for defects (KASAN, lockdep, kmemleak)
#   make check    types, linting, formatting (not of C), licences: what every commit must pass
#   make bench    side-by-side numbers for docs/performance.md
#   make bench-kernel   the kernel module beside DRBD, as root
#   make fuzz     long fuzzing: FUZZ_SECONDS=3600
#   make build    addon and programs into build/ and dist/
#   make module   mars.ko for the running kernel, or KVER=release, KDIR=folder (ARCH=um too)
#   make module_install   it, below INSTALL_MOD_PATH
#   make install  to PREFIX (default /usr/local), respecting DESTDIR

SHELL := /bin/bash
PREFIX ?= /usr/local
VERSION = $(shell sed -nE '0,/"version"/s/.*"version": *"([^"]+)".*/\1/p' package.json)
NPM_FLAGS := --no-audit --no-fund --loglevel=error
NATIVE := $(MAKE) -C native -f build.mk --no-print-directory
AVA := node_modules/.bin/ava

.PHONY: all build deps deps-dev native demo demo-vm test test-c test-ts test-packages test-vm vm-image test-debug check bench bench-kernel fuzz module module_install install clean

all: build

# --- dependencies: the lock file decides, the stamp says what is installed ---

node_modules/.runtime: package-lock.json
	npm ci --omit=dev $(NPM_FLAGS)
	@touch $@

node_modules/.dev: package-lock.json
	npm ci $(NPM_FLAGS)
	@touch $@ node_modules/.runtime

deps: $(if $(wildcard node_modules/.dev),node_modules/.dev,node_modules/.runtime)
deps-dev: node_modules/.dev

# --- build ---

native: deps
	@node scripts/build-native.mjs

build: native
	@node_modules/.bin/tsc -p tsconfig.build.json

demo: build
	@node dist/demo/main.js

demo-vm: build
	@scripts/vm-image.sh
	@scripts/vm-payload.sh 6.1 6.12
	@node dist/demo/vm.js

# --- tests ---

test-packages:
	@scripts/test-packages.sh

test: test-packages deps-dev
	@scripts/run-tests.sh

vm-image:
	@scripts/vm-image.sh $(KERNEL)

test-vm: deps-dev
	@scripts/test-vm.sh

test-debug: deps-dev
	@scripts/test-debug.sh

check: deps-dev
	@scripts/check.sh

bench: test-packages deps-dev build
	@node dist/bench/main.js

bench-kernel: deps-dev build
	@scripts/bench-kernel.sh

fuzz: test-packages
	$(NATIVE) -k fuzz-short FUZZ_SECONDS=$(or $(FUZZ_SECONDS),3600)

# --- mars.ko: needs the headers of the kernel, nothing else ---

module:
	@scripts/kernel-build.sh

module_install:
	@scripts/kernel-build.sh modules_install

# --- install ---

install: build
	node scripts/install-programs.mjs $(DESTDIR)$(PREFIX)/lib/mars
	install -d $(DESTDIR)$(PREFIX)/bin
	for p in marsadm marsd; do ln -sf ../lib/mars/bin/$$p $(DESTDIR)$(PREFIX)/bin/$$p; done
	scripts/kernel-source.sh $(DESTDIR)/usr/src/mars-$(VERSION) copy
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/udev/rules.d packaging/udev/65-mars.rules
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system packaging/systemd/mars.target
	sed 's,@BINDIR@,$(PREFIX)/bin,' packaging/systemd/marsd.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/marsd.service
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system-preset packaging/systemd/90-mars.preset
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/lib/tmpfiles.d packaging/tmpfiles/mars.conf
	install -D -m 0644 packaging/modules-load/mars.conf $(DESTDIR)$(PREFIX)/share/mars/modules-load.d/mars.conf
	install -D -m 0644 packaging/default $(DESTDIR)$(PREFIX)/share/mars/default
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man8 docs/man/marsadm.8 docs/man/marsd.8
	install -D -m 0644 -t $(DESTDIR)$(PREFIX)/share/man/man4 docs/man/mars.4
	install -D -m 0644 packaging/completion/marsadm.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/marsadm

clean:
	rm -rf build dist
