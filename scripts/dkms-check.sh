#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds mars.ko by the real dkms for the newest kernel whose headers are installed, and
# sees that it leaves out a kernel that is too old.  Nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v dkms >/dev/null || { echo "skipped: no dkms"; exit 0; }
kdir=$(ls -d /lib/modules/*/build/Module.symvers 2>/dev/null | sort -V | tail -n 1)
[ -n "$kdir" ] || { echo "skipped: no kernel headers here"; exit 0; }
kdir=${kdir%/Module.symvers}
release=$(basename "$(dirname "$kdir")")

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
version=$(sed -nE '0,/"version"/s/.*"version": *"([^"]+)".*/\1/p' package.json)
scripts/kernel-source.sh "$dir/src/mars-$version" copy
mkdir "$dir/tree"
run() {
  dkms "$1" -m mars -v "$version" --dkmstree "$dir/tree" --sourcetree "$dir/src" "${@:2}" \
    --kernelsourcedir "$kdir" >"$dir/log" 2>&1
}

run build -k "$release" || { cat "$dir/log"; exit 1; }
ko=$(find "$dir/tree/mars/$version/$release" -name 'mars.ko*')
for field in version description license author; do
  [ -n "$(modinfo -F "$field" "$ko")" ] || { echo "modinfo: no $field"; exit 1; }
done
[ "$(modinfo -F version "$ko")" = "$version" ]
modinfo -F alias "$ko" | grep -qx 'devname:mars-control'

if run build -k 5.10.0-1-amd64 || ! grep -q BUILD_EXCLUSIVE "$dir/log"; then
  echo "5.10 was not left out:"
  cat "$dir/log"
  exit 1
fi
echo "dkms built mars $version for $release"
