#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Tests of mars.ko in virtual machines, see test/vm/README.md.
#   KERNEL="6.1 6.12"   kernels to run on (names below build/vm/kernels); default: both
#   MATCH="word ..."    only test files whose name holds one of the words
#   AVA_ARGS=...        more arguments for ava, as --match='*power cut*'
#   MARS_VM_JOBS=n      test files side by side; default 2
# The machines have a network of their own: neither this host's nor anybody else's is touched.
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck disable=SC2086
scripts/vm-image.sh ${KERNEL:-}
[ -e build/Release/mars.node ] || node scripts/build-native.mjs
node_modules/.bin/tsc -p tsconfig.json || echo "types do not check; going on with what was emitted" >&2
# shellcheck disable=SC2086
scripts/vm-payload.sh ${KERNEL:-6.1 6.12}

read -ra words <<<"${MATCH:-}"
[ ${#words[@]} -gt 0 ] || words=('')
files=()
for word in "${words[@]}"; do
  for f in test/vm/*"$word"*.test.ts; do files+=("dist/${f%.ts}.js"); done
done
# Frames are datagrams: more than ten may wait. The setting belongs to the new network alone.
exec unshare $([ "$(id -u)" -eq 0 ] || echo -r) -n bash -c '
  ip link set lo up
  echo 1000 2>/dev/null >/proc/sys/net/unix/max_dgram_qlen || true
  exec "$@"' - node_modules/.bin/ava --concurrency "${MARS_VM_JOBS:-2}" --timeout 40m ${AVA_ARGS:-} "${files[@]}"
