#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The source of mars.ko as the kernel's build system wants it:
#   kernel-source.sh FOLDER copy    with dkms.conf, for /usr/src/mars-VERSION
#   kernel-source.sh FOLDER link    links to ours; what was built there stays
# Sources that no longer exist are removed, and version.h is written.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$1
parts=(Kbuild core bricks uapi linux)
version=$(sed -nE '0,/"version"/s/.*"version": *"([^"]+)".*/\1/p' package.json)

mkdir -p "$out"
find "$out" -name '*.[ch]' -xtype l -delete
case $2 in
  link) cp -rsf "${parts[@]/#/$PWD/kernel/}" "$out" ;;
  copy)
    rm -rf "${parts[@]/#/$out/}"
    cp -r "${parts[@]/#/kernel/}" "$out"
    sed "s/@VERSION@/$version/" packaging/dkms/dkms.conf >"$out/dkms.conf"
    ;;
  *) echo "copy or link?" >&2; exit 1 ;;
esac

text="#define MARS_VERSION \"$version\""
[ "$(cat "$out/version.h" 2>/dev/null)" = "$text" ] || echo "$text" >"$out/version.h"
