#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds the special kernels of the tests from Debian's linux-source-6.1:
#
#   debug-kernels.sh [build] NAME...   lockdep, kasan (virtual machines), uml (CPU benchmark)
#   debug-kernels.sh show NAME         prints its folder, fails when it isn't built
#
# Configurations: lab/vm/kernels.  A finished kernel lies in $MARS_CACHE/kernels/NAME-KEY
# (default ~/.cache/mars), KEY = version of the sources + configuration:
#   vmlinux (boot it by PVH), bzImage or linux (uml), build/ (KDIR for modules),
#   modules/lib/modules (uml), release, arch (x86 or um).
# An interrupted build goes on where it was; two at the same time wait for each other.
# Takes 10 CPU minutes each and needs 3 GB.
set -euo pipefail
cd "$(dirname "$0")/.."

configs=$PWD/lab/vm/kernels
cache=${MARS_CACHE:-$HOME/.cache/mars}/kernels
series=6.1
jobs=${JOBS:-$(nproc)}

die() { echo "debug-kernels: $*" >&2; exit 1; }

fragments() {
  case $1 in
    lockdep | kasan) echo "$configs/common.config $configs/$1.config" ;;
    uml) echo "$configs/uml.config" ;;
    *) die "no kernel '$1'; there are lockdep, kasan and uml" ;;
  esac
}

version() { dpkg-query -W -f '${Version}' "linux-source-$series" 2>/dev/null; }

folder() {
  local files key
  files=$(fragments "$1")
  # Comments and order say nothing to the kernel.
  # shellcheck disable=SC2086 # a list of files
  key=$({ version; cat $files | grep -E '^(# )?CONFIG_' | sort; } | sha256sum | cut -c 1-12)
  echo "$cache/$1-$key"
}

packages() {
  local missing=()
  for p in "linux-source-$series" flex bison bc libelf-dev libssl-dev kmod lz4 xz-utils; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return
  [ "$(id -u)" = 0 ] || die "install these packages first: ${missing[*]}"
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

sources() {
  local dir
  dir=$cache/source-$(version)
  if [ ! -e "$dir/.complete" ]; then
    rm -rf "$dir"
    mkdir -p "$dir"
    tar -xf "/usr/src/linux-source-$series.tar.xz" -C "$dir" --strip-components=1
    touch "$dir/.complete"
  fi
  echo "$dir"
}

# A line that the kernel's configuration did not take over is a check that silently is none.
verify() {
  local missing=0 line
  while read -r line; do
    case $line in
      CONFIG_*=y | CONFIG_*=m | CONFIG_*=[0-9]* | CONFIG_*=\"*)
        grep -qxF "$line" "$2" || { echo "not taken over: $line"; missing=1; } ;;
      "# CONFIG_"*" is not set")
        ! grep -q "^${line:2:-11}=" "$2" || { echo "not taken over: $line"; missing=1; } ;;
    esac
  done < <(cat $1)
  return $missing
}

configure() {
  local name=$1 src=$2 out=$3 base=tinyconfig
  [ "$name" = uml ] && base=x86_64_defconfig
  make -s -C "$src" O="$out" "${arch[@]}" "$base" >/dev/null
  # shellcheck disable=SC2046 # a list of files
  (cd "$src" && scripts/kconfig/merge_config.sh -m -O "$out" "$out/.config" $(fragments "$name")) >"$out/merge.log" 2>&1
  make -s -C "$src" O="$out" "${arch[@]}" olddefconfig >/dev/null
  verify "$(fragments "$name")" "$out/.config" || die "$name: configuration refused, see above"
}

finish() {
  local name=$1 out=$2 dir=$3 src=$4
  if [ "$name" = uml ]; then
    make -s -C "$src" O="$out" "${arch[@]}" INSTALL_MOD_PATH="$dir/modules" modules_install >>"$dir/log"
    cp "$out/linux" "$dir/linux"
    echo um >"$dir/arch"
  else
    cp "$out/arch/x86/boot/bzImage" "$dir/bzImage"
    cp "$out/vmlinux" "$dir/vmlinux"
    echo x86 >"$dir/arch"
  fi
  cp "$out/include/config/kernel.release" "$dir/release"
  # What builds a module stays; the objects of the kernel go.
  find "$out" -name '*.o' ! -path '*/scripts/*' ! -path '*/tools/*' ! -path '*/modules/*' -delete
  find "$out" -name '*.a' ! -path '*/scripts/*' ! -path '*/tools/*' -delete
  touch "$dir/done"
}

build() {
  local name=$1 dir src start
  dir=$(folder "$name")
  if [ -e "$dir/done" ]; then
    echo "$name: $dir"
    return
  fi
  mkdir -p "$dir/build"
  exec 9>"$cache/lock-$name"
  flock 9
  [ -e "$dir/done" ] && return
  src=$(exec 8>"$cache/lock-source"; flock 8; sources)
  arch=()
  [ "$name" = uml ] && arch=(ARCH=um)
  start=$SECONDS
  [ -e "$dir/configured" ] || { configure "$name" "$src" "$dir/build" && touch "$dir/configured"; }
  local targets=(bzImage modules)
  [ "$name" = uml ] && targets=(linux modules)
  make -C "$src" O="$dir/build" "${arch[@]}" -j"$jobs" "${targets[@]}" >"$dir/log" 2>&1 ||
    { tail -n 20 "$dir/log"; die "$name: build failed, see $dir/log"; }
  finish "$name" "$dir/build" "$dir" "$src"
  echo "$name: $dir ($((SECONDS - start)) s)"
}

case ${1:-} in
  show)
    dir=$(folder "${2:?which kernel?}")
    [ -e "$dir/done" ] || die "$2 isn't built: scripts/debug-kernels.sh build $2"
    echo "$dir"
    ;;
  "" | -*) die "usage: debug-kernels.sh [build] lockdep|kasan|uml ... | show NAME" ;;
  *)
    [ "$1" = build ] && shift
    packages
    mkdir -p "$cache"
    for name in "$@"; do build "$name"; done
    ;;
esac
