#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds mars.ko by the real dkms for the newest kernel whose headers are installed and for
# those unpacked by kernel-headers.sh, and sees that it leaves out a kernel that is too old.
# Nothing is installed.  With CI in the environment nothing may be missing.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
  echo "skipped: $1"
  [ -z "${CI:-}" ]
  exit
}
command -v dkms >/dev/null || skip "no dkms"
newest=$(ls -d /lib/modules/*/build/Module.symvers 2>/dev/null | sort -V | tail -n 1)
[ -n "$newest" ] || skip "no kernel headers here"

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
version=$(sed -nE '0,/"version"/s/.*"version": *"([^"]+)".*/\1/p' package.json)
scripts/kernel-source.sh "$dir/src/mars-$version" copy
mkdir "$dir/tree"
run() { # verb kernel headers
  dkms "$1" -m mars -v "$version" -k "$2" --kernelsourcedir "$3" \
    --dkmstree "$dir/tree" --sourcetree "$dir/src" >"$dir/log" 2>&1
}

check() { # headers
  local release ko field
  release=$(sed -n 's/.*"\(.*\)".*/\1/p' "$1/include/generated/utsrelease.h")
  run build "$release" "$1" || { cat "$dir/log"; exit 1; }
  ko=$(find "$dir/tree/mars/$version/$release" -name 'mars.ko*')
  for field in version description license author; do
    [ -n "$(modinfo -F "$field" "$ko")" ] || { echo "modinfo: no $field"; exit 1; }
  done
  [ "$(modinfo -F version "$ko")" = "$version" ]
  modinfo -F vermagic "$ko" | grep -q "^$release "
  modinfo -F alias "$ko" | grep -qx 'devname:mars-control'
  echo "dkms built mars $version for $release"
}

check "${newest%/Module.symvers}"
for kdir in build/kernel-headers/*/usr/src/linux-headers-*; do
  [ ! -s "$kdir/Module.symvers" ] || check "$(realpath "$kdir")"
done

if run build 5.10.0-1-amd64 "${newest%/Module.symvers}" || ! grep -q BUILD_EXCLUSIVE "$dir/log"; then
  echo "5.10 was not left out:"
  cat "$dir/log"
  exit 1
fi
