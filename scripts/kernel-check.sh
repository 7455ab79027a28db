#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Compiles kernel/core and kernel/bricks as they are with the headers of real kernels
# (W=1, every warning an error, frames up to 1 KiB, sparse) and links them as a module,
# so that symbols a module can't have are found too.  Once for each kernel whose headers
# are installed or were unpacked by kernel-headers.sh; KDIR=folder for just that one.
set -uo pipefail
cd "$(dirname "$0")/.."

sparse=()
if command -v sparse >/dev/null; then sparse=(C=2 CHECK=sparse); else echo "no sparse: its part is skipped"; fi

# The kernel's build system writes beside the sources: give it links to ours.
copy() {
  rm -rf "$1"
  mkdir -p "$1"
  cp -rs "$PWD"/kernel/{Kbuild,core,bricks,uapi,linux} "$1"
}

build() {
  local kdir=$1 release=$2 out=$PWD/build/kernel/$2
  copy "$out"
  # BTF would need one more tool and says nothing about the code
  make -C "$kdir" M="$out" -j2 W=1 "${sparse[@]}" CONFIG_DEBUG_INFO_BTF_MODULES= modules >"$out/log" 2>&1 &&
    ! grep -E '(warning|error):' "$out/log" >/dev/null && [ -s "$out/mars_link_check.ko" ] &&
    { echo "ok      $release: $(grep -cE ' CC .*/(core|bricks)/' "$out/log") files"; return 0; }
  grep -Ev '^ +[A-Z]+ ' "$out/log"
  echo "FAILED  $release ($out/log)"
  return 1
}

seen=" "
failed=0
for kdir in ${KDIR:-/lib/modules/*/build build/kernel-headers/*/usr/src/linux-headers-* /usr/src/linux-headers-*}; do
  [ -s "$kdir/include/config/kernel.release" ] && [ -s "$kdir/Module.symvers" ] || continue
  release=$(<"$kdir/include/config/kernel.release")
  [[ $seen == *" $release "* ]] && continue
  seen+="$release "
  build "$(realpath "$kdir")" "$release" || failed=1
done
if [ "$seen" = " " ]; then
  [ -z "${KDIR:-}" ] || { echo "KDIR=$KDIR holds no configured kernel headers"; exit 1; }
  echo "skipped: no kernel headers here; install linux-headers-$(dpkg --print-architecture 2>/dev/null || echo generic)"
fi
exit $failed
