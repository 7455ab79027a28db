#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Compiles mars.ko anew with W=1, every warning an error, frames up to 1 KiB, and sparse.
# Once for each kernel whose headers are installed or were unpacked by kernel-headers.sh;
# KDIR=folder for just that one.  With CI in the environment both series must be among them,
# and sparse must be there.  At the end `make module` and `make module_install` for one that is
# installed.
set -uo pipefail
cd "$(dirname "$0")/.."

sparse=()
if command -v sparse >/dev/null; then
  sparse=(C=2 CHECK=sparse)
else
  echo "no sparse: its part is skipped"
  [ -z "${CI:-}" ] || exit 1
fi
base=${KOUT:-build/kernel-check}

build() {
  local kdir=$1 release=$2 out=$base/$2
  rm -rf "$out"
  mkdir -p "$out"
  KDIR=$kdir KOUT=$base scripts/kernel-build.sh -j2 W=1 MARS_STRICT=y "${sparse[@]}" >"$out.log" 2>&1 &&
    ! grep -E '(warning|error):' "$out.log" >/dev/null && [ -s "$out/mars.ko" ] &&
    { echo "ok      $release: $(grep -cE ' CC .*/(core|bricks|linux)/' "$out.log") files"; return 0; }
  grep -Ev '^ +[A-Z]+ ' "$out.log"
  echo "FAILED  $release ($out.log)"
  return 1
}

seen=" "
failed=0
for kdir in ${KDIR:-/lib/modules/*/build build/kernel-headers/*/usr/src/linux-headers-* /usr/src/linux-headers-*}; do
  [ -s "$kdir/include/generated/utsrelease.h" ] && [ -s "$kdir/Module.symvers" ] || continue
  release=$(sed -n 's/.*"\(.*\)".*/\1/p' "$kdir/include/generated/utsrelease.h")
  [[ $seen == *" $release "* ]] && continue
  seen+="$release "
  build "$(realpath "$kdir")" "$release" || failed=1
done
if [ "$seen" = " " ]; then
  [ -z "${KDIR:-}" ] || { echo "KDIR=$KDIR holds no configured kernel headers"; exit 1; }
  echo "skipped: no kernel headers here; install linux-headers-$(dpkg --print-architecture 2>/dev/null || echo generic)"
fi
if [ -n "${CI:-}" ] && [ -z "${KDIR:-}" ]; then
  for series in 6.1 6.12; do
    [[ $seen == *" $series."* ]] || { echo "FAILED  no headers of Linux $series here"; failed=1; }
  done
fi

# What an operator types, for an installed kernel.
commands() {
  local dir rc
  dir=$(mktemp -d)
  make -s module KVER="$1" KOUT="$dir/out" >"$dir/log" 2>&1 &&
    make -s module_install KVER="$1" KOUT="$dir/out" INSTALL_MOD_PATH="$dir" >>"$dir/log" 2>&1 &&
    find "$dir/lib/modules/$1" -name 'mars.ko*' | grep -q .
  rc=$?
  [ $rc -eq 0 ] && echo "ok      make module, module_install: $1" || cat "$dir/log"
  rm -rf "$dir"
  return $rc
}
installed=$(ls -d /lib/modules/*/build/Module.symvers 2>/dev/null | sort -V | tail -n 1)
if [ -n "$installed" ] && [ -z "${KDIR:-}" ]; then
  commands "$(basename "$(dirname "${installed%/Module.symvers}")")" || failed=1
fi
exit $failed
