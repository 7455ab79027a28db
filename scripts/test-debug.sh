#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The tests of mars.ko on kernels that look for defects: KASAN, then lockdep with kmemleak
# (after each case a scan, which must find nothing), each machine with two processors.
#   DEBUG_KERNELS="kasan lockdep"   the kernels
#   MATCH=, AVA_ARGS=               as in test-vm.sh
# Builds the kernels first if they are not there (10 CPU minutes each, kept in
# ~/.cache/mars). Writes the table in docs/testing.md, unless only a part was run.
set -uo pipefail
cd "$(dirname "$0")/.."

out=$PWD/build/test-debug
export MARS_VM_SMP=2 MARS_VM_MEM=768 MARS_VM_PATIENCE=6 MARS_VM_JOBS=${MARS_VM_JOBS:-1}

prepare() {
  local name=$1 dir image words=
  scripts/debug-kernels.sh build "$name" || return 1
  dir=$(scripts/debug-kernels.sh show "$name") || return 1
  image=$dir/vmlinux
  case $name in
  kasan) image=$dir/bzImage ;; # its vmlinux does not boot by PVH
  lockdep) words=kmemleak=on ;;
  esac
  scripts/vm-image.sh --kernel "$name" --image "$image" --kdir "$dir/build" --words "$words"
}

mkdir -p "$out"
failed=0
reports=()
for name in ${DEBUG_KERNELS:-kasan lockdep}; do
  prepare "$name" || { failed=1; continue; }
  begin=$SECONDS
  KERNEL=$name AVA_ARGS="--tap ${AVA_ARGS:-}" scripts/test-vm.sh | tee "$out/$name.tap" || failed=1
  echo "$((SECONDS - begin))" >"$out/$name.seconds"
  reports+=("$name")
done
[ -n "${MATCH:-}${AVA_ARGS:-}" ] || node scripts/debug-report.mjs "$out" docs/testing.md "${reports[@]}"
exit $failed
