#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# All tests, step by step. A failed step does not stop the others; its output is
# shown, and the last line counts steps. MARS_TEST_ONLY=word runs matching steps.
set -uo pipefail
cd "$(dirname "$0")/.."

out=build/test-output
mkdir -p "$out"
passed=0
failed=0

step() {
  local name=$1
  shift
  [[ -n ${MARS_TEST_ONLY:-} && $name != *"$MARS_TEST_ONLY"* ]] && return
  local start=$SECONDS
  if "$@" >"$out/$name.log" 2>&1; then
    passed=$((passed + 1))
    printf 'ok      %-14s %4d s\n' "$name" $((SECONDS - start))
  else
    failed=$((failed + 1))
    printf 'FAILED  %-14s %4d s  (%s)\n' "$name" $((SECONDS - start)) "$out/$name.log"
    tail -n 60 "$out/$name.log"
  fi
}

core() { make -C native -f build.mk --no-print-directory -j2 VARIANT="$1" all && make -C native -f build.mk --no-print-directory VARIANT="$1" check; }
fuzz() { make -C native -f build.mk --no-print-directory -j2 fuzz && make -C native -f build.mk --no-print-directory fuzz-short; }

step check make --no-print-directory check
step addon make --no-print-directory native
step typescript node_modules/.bin/tsc -p tsconfig.json
step core-asan core asan
step core-tsan core tsan
step fuzz fuzz
step unit node_modules/.bin/ava 'dist/test/unit/**/*.test.js'
step cluster node_modules/.bin/ava 'dist/test/cluster/**/*.test.js'
step demo node dist/demo/main.js

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
