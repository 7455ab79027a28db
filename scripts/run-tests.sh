#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# All tests, step by step. A failed step does not stop the others; its output is
# shown, and the last line counts steps. MARS_STEPS=word runs matching steps.
set -uo pipefail
cd "$(dirname "$0")/.."

out=build/test-output
mkdir -p "$out"
passed=0
failed=0

step() {
  local name=$1
  shift
  [[ -n ${MARS_STEPS:-} && $name != *"$MARS_STEPS"* ]] && return
  local start=$SECONDS
  if "$@" >"$out/$name.log" 2>&1; then
    passed=$((passed + 1))
    printf 'ok      %-14s %4d s\n' "$name" $((SECONDS - start))
  else
    failed=$((failed + 1))
    printf 'FAILED  %-14s %4d s  (%s)\n' "$name" $((SECONDS - start)) "$out/$name.log"
    # what failed, first: the end of a long log often shows only what passed meanwhile
    grep -anE '✘|◌|error:|ERROR|FAILED|not ok|Assertion' "$out/$name.log" | cut -c 1-300 | head -n 20
    tail -n 60 "$out/$name.log" | cut -c 1-300
  fi
}

native() { make -C native -f build.mk --no-print-directory -k TEST_TIMEOUT=900 "$@"; }

# Everything under the address sanitizer; under the thread sanitizer what has threads.
core_asan() { native -j2 VARIANT=asan all && native -j2 -Otarget VARIANT=asan check; }
core_tsan() {
  native -j2 VARIANT=tsan all &&
    native -j2 -Otarget VARIANT=tsan run-workqueue_test run-engine_test run-lamport_test run-xio_test \
      run-rewire_test run-logger_thread_test run-file_test run-nbd_test &&
    MARS_TEST_ONLY=threaded native VARIANT=tsan run-replay_test
}
addon_asan() { node scripts/build-native.mjs --debug && node scripts/test-asan.mjs; }
fuzz() { native -j2 fuzz && native fuzz-short; }
ava() { node_modules/.bin/ava "$@"; }

# Many small files: keep them in memory where that is possible.
[ -w /dev/shm ] && memory=/dev/shm || memory=${TMPDIR:-/tmp}

step check make --no-print-directory check
step addon make --no-print-directory native
step typescript node_modules/.bin/tsc -p tsconfig.json
step kernel-cc scripts/kernel-check.sh
step dkms scripts/dkms-check.sh
step core-asan core_asan
step core-tsan core_tsan
step addon-asan addon_asan
step fuzz fuzz
TMPDIR=$memory step unit ava 'dist/test/unit/**/*.test.js'
step sim ava 'dist/test/sim/**/*.test.js'
step cluster ava 'dist/test/cluster/**/*.test.js'
step demo node dist/demo/main.js
step vm scripts/test-vm.sh

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
