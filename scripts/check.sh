#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What every commit must pass: types, lint, formatting (of all but C), licence lines, headers in their place.
# That generated documents are up to date is a unit test.
set -euo pipefail
cd "$(dirname "$0")/.."

sources() { git ls-files --cached --others --exclude-standard -- "$@" | while read -r f; do [ -f "$f" ] && echo "$f"; done; }

missing=$(sources '*.c' '*.h' '*.cc' '*.ts' '*.sh' '*.mjs' '*.mk' Makefile binding.gyp | xargs grep -L 'SPDX-License-Identifier: GPL-2.0-or-later' || true)
[ -z "$missing" ] || { echo "no licence line:" $missing >&2; exit 1; }

node_modules/.bin/tsc -p tsconfig.json --noEmit
node_modules/.bin/eslint .
node_modules/.bin/prettier --check --log-level warn .

# The kernel part includes kernel headers and its own only.
foreign=$(grep -nE '^#include <' kernel/core/*.[ch] kernel/bricks/*.[ch] | grep -vE '<(linux|asm|crypto)/' || true)
[ -z "$foreign" ] || { echo "not a kernel header:" >&2; echo "$foreign" >&2; exit 1; }

# What kernels differ in is asked for by probes, and answered in compat/ only.
versions=$(grep -rnE --include='*.[ch]' '\<(HAVE_[A-Z]|LINUX_VERSION_CODE|KERNEL_VERSION)' kernel |
  grep -vE '^kernel/linux/compat/.*\<HAVE_[A-Z]' || true)
[ -z "$versions" ] || { echo "differences of kernels belong in kernel/linux/compat:" >&2; echo "$versions" >&2; exit 1; }

echo "check passed"
