# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every entry point a person needs.
#
#   make demo     the main job on the embedded engine: needs Node, a C/C++ compiler and make
#   make test     all tests; as root it installs the Debian packages it needs
#   make test-vm  mars.ko in virtual machines: KERNEL=6.1, MATCH=word (see test/vm/README.md)
#   make check    formatting, linting, licences: what every commit must pass
#   make bench    side-by-side numbers for docs/performance.md
#   make fuzz     long fuzzing: FUZZ_SECONDS=3600
#   make build    addon and programs into build/ and dist/
#   make module   mars.ko for the running kernel, or KVER=release, KDIR=folder (ARCH=um too)
#   make module_install   it, below INSTALL_MOD_PATH
#   make install  to PREFIX (default /usr/local), respecting DESTDIR

SHELL := /bin/bash
PREFIX ?= /usr/local
NPM_FLAGS := --no-audit --no-fund --loglevel=error
NATIVE := $(MAKE) -C native -f build.mk --no-print-directory
AVA := node_modules/.bin/ava

.PHONY: all build deps deps-dev native demo test test-c test-ts test-packages test-vm vm-image check bench fuzz module module_install install clean

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

# --- tests ---

test-packages:
	@scripts/test-packages.sh

test: test-packages deps-dev
	@scripts/run-tests.sh

vm-image:
	@scripts/vm-image.sh $(KERNEL)

test-vm: deps-dev
	@scripts/test-vm.sh

check: deps-dev
	@scripts/check.sh

bench: test-packages deps-dev build
	@node dist/bench/main.js

fuzz: test-packages
	$(NATIVE) -k fuzz-short FUZZ_SECONDS=$(or $(FUZZ_SECONDS),3600)

# --- mars.ko: needs the headers of the kernel, nothing else ---

module:
	@scripts/kernel-build.sh

module_install:
	@scripts/kernel-build.sh modules_install

# --- install ---

install: build
	install -d $(DESTDIR)$(PREFIX)/lib/mars $(DESTDIR)$(PREFIX)/bin
	cp -r dist node_modules package.json bin $(DESTDIR)$(PREFIX)/lib/mars/
	install -d $(DESTDIR)$(PREFIX)/lib/mars/build/Release
	install -m 0755 build/Release/*.node $(DESTDIR)$(PREFIX)/lib/mars/build/Release/
	for p in marsadm marsd; do ln -sf ../lib/mars/bin/$$p $(DESTDIR)$(PREFIX)/bin/$$p; done

clean:
	rm -rf build dist
