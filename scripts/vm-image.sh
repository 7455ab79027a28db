#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Kernels and root images of the virtual machines, into build/vm:
#
#   bin/{labd,labswitch}            agent of the guest (static), switch of the host
#   kernels/SERIES/modules          the modules in root.sq, for depmod with a mars.ko
#   kernels/SERIES/release          what `uname -r` will say
#                  vmlinux          uncompressed: boots in half the time
#                  kdir             link to the headers mars.ko is built with
#                  initrd, root.sq  made of guest/*.sh, guest/*.list and tools of this machine
#   kernels/SERIES/root.key         identifies the content; templates depend on it
#   systemd.sq                      layer that makes the guest boot with systemd and udev
#
#   vm-image.sh [SERIES...]         default: 6.1 6.12; packages unpacked, never installed
#   vm-image.sh --kernel NAME --image FILE [--modules ROOT] [--kdir DIR] [--words TEXT]
#                                   any other kernel (ROOT/lib/modules/RELEASE; none: all built in)
#
# What is up to date is left alone; runs side by side wait for each other.
set -euo pipefail
cd "$(dirname "$0")/.."
vm=$PWD/build/vm
src=$PWD/lab/vm
export LC_ALL=C

packages=(
  qemu-system-x86 busybox-static kmod cpio xz-utils zstd squashfs-tools gcc libc6-dev util-linux
  systemd udev e2fsprogs xfsprogs fio iproute2 iputils-ping nbdkit qemu-utils dmsetup
)

need_packages() {
  local missing=() p
  for p in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" -ne 0 ]; then
    echo "virtual machines need these Debian packages: ${missing[*]}" >&2
    echo "install them with: sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
  apt-get update -qq || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

programs() {
  local p
  mkdir -p "$vm/bin"
  [ "$vm/bin/labd" -nt "$src/labd.c" ] || gcc -O2 -Wall -static -o "$vm/bin/labd" "$src/labd.c"
  [ "$vm/bin/labswitch" -nt "$src/labswitch.c" ] || gcc -O2 -Wall -o "$vm/bin/labswitch" "$src/labswitch.c"
}

# What `uname -r` will say; Debian's include/config/kernel.release is not always that.
release_of() { sed -n 's/^#define UTS_RELEASE "\(.*\)"/\1/p' "$1/include/generated/utsrelease.h"; }

# Headers of SERIES that are here already: of the distribution's kernel, or unpacked ones.
headers() {
  local series=$1 dir
  for dir in /usr/src/linux-headers-"$series".*-amd64 "$PWD"/build/kernel-headers/"$series"/usr/src/linux-headers-*-amd64; do
    [ -s "$dir/include/config/kernel.release" ] && { echo "$dir"; return; }
  done
}

# The uncompressed kernel within a bzImage, whatever packed it.
extract_vmlinux() {
  local image=$1 out=$2 magic unpack offset
  for magic in '\xfd7zXZ\x00:xz -dcq' '\x28\xb5\x2f\xfd:zstd -dcq' '\x1f\x8b\x08:gzip -dcq'; do
    unpack=${magic##*:}
    for offset in $(grep -abobUaP "${magic%:*}" "$image" | cut -d: -f1); do
      tail -c "+$((offset + 1))" "$image" | $unpack >"$out.tmp" 2>/dev/null || true
      [ "$(head -c 4 "$out.tmp" | tail -c 3)" = ELF ] && { mv "$out.tmp" "$out"; return; }
    done
  done
  echo "$image: no kernel found in it" >&2
  return 1
}

# Unpack the image package that belongs to the headers.
fetch() {
  local series=$1 dir=$vm/kernels/$1 kdir release
  kdir=$(headers "$series")
  if [ -z "$kdir" ]; then
    scripts/kernel-headers.sh "$series"
    kdir=$(headers "$series")
  fi
  [ -n "$kdir" ] || { echo "no headers of Linux $series on offer" >&2; return 1; }
  release=$(release_of "$kdir")
  mkdir -p "$dir"
  ln -sfn "$kdir" "$dir/kdir"
  [ "$(cat "$dir/release" 2>/dev/null)" = "$release" ] && return
  rm -rf "$dir/deb" "$dir/unpacked"
  mkdir "$dir/deb"
  (cd "$dir/deb" && apt-get -o APT::Sandbox::User=root download -qq "linux-image-$release")
  dpkg -x "$dir"/deb/*.deb "$dir/unpacked"
  extract_vmlinux "$dir/unpacked/boot/vmlinuz-$release" "$dir/vmlinux"
  rm -rf "$dir/deb" "$dir/root.key"
  [ -e "$dir/unpacked/lib/modules/$release/modules.dep" ] || depmod -b "$dir/unpacked" "$release"
  echo "$release" >"$dir/release"
}

# Copies modules NAME... and what they need, uncompressed, to ROOT/lib/modules; prints their paths in order.
copy_modules() {
  local from=$1 release=$2 root=$3 file rel
  shift 3
  modprobe -d "$from" -S "$release" --show-depends -a "$@" 2>/dev/null | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' |
    while read -r file; do
      rel=lib/modules/$release/${file#*/lib/modules/"$release"/}
      mkdir -p "$root/$(dirname "$rel")"
      case $file in
      *.xz) rel=${rel%.xz} && xz -dc "$file" >"$root/$rel" ;;
      *.zst) rel=${rel%.zst} && zstd -dcq "$file" >"$root/$rel" ;;
      *) cp "$file" "$root/$rel" ;;
      esac
      echo "$rel"
    done
}

module_names() { sed -n "$1" "$src/guest/modules.list" | tr '\n' ' '; }

make_initrd() {
  local dir=$1 release=$2 w m
  w=$(mktemp -d "$vm/initrd.XXXXXX")
  mkdir -p "$w"/{bin,modules,proc,sys,dev,root,lower,upper}
  cp /bin/busybox "$w/bin/busybox"
  install -m 0755 "$src/guest/initrd-init.sh" "$w/init"
  if [ -d "$dir/unpacked" ]; then
    # shellcheck disable=SC2046
    copy_modules "$dir/unpacked" "$release" "$w/tree" $(module_names 's/^initrd: //p') | while read -r m; do
      mv "$w/tree/$m" "$w/modules/" && basename "$m" >>"$w/modules/order"
    done
    rm -rf "$w/tree"
  fi
  (cd "$w" && find . | cpio -o -H newc --quiet) >"$dir/initrd.tmp"
  mv "$dir/initrd.tmp" "$dir/initrd"
  rm -rf "$w"
}

# Libraries the programs on standard input are linked with, at their real places.
copy_libraries() {
  local root=$1 lib
  while read -r path; do ldd "$path" 2>/dev/null | grep -o '/[^ ]*' || true; done | sort -u | while read -r lib; do
    lib=$(realpath "$(dirname "$lib")")/$(basename "$lib")
    mkdir -p "$root/$(dirname "$lib")"
    cp -Ln "$lib" "$root/$lib"
  done
}

# Programs of this machine with every library they need.
copy_tools() {
  local root=$1 tool path
  for tool in $(grep -v '^#' "$src/guest/tools.list"); do
    path=$(type -P "$tool") || continue
    cp -L "$path" "$root/usr/bin/$tool"
    echo "$path"
  done | copy_libraries "$root"
  cp -Ln /lib/x86_64-linux-gnu/libgcc_s.so.1 "$root/usr/lib/x86_64-linux-gnu/" # loaded late, by threads that end
}

make_root() {
  local dir=$1 release=$2 root d
  root=$(mktemp -d "$vm/root.XXXXXX")
  mkdir -p "$root"/usr/{bin,lib,lib64} "$root"/{etc/modprobe.d,root,tmp,proc,sys,dev,run,lab,mnt,mars,opt/mars,var/lib/drbd,var/tmp}
  ln -s bin "$root/usr/sbin" # the kernel calls /sbin/modprobe
  for d in bin sbin lib lib64; do ln -s usr/$d "$root/$d"; done
  copy_tools "$root"
  ln -s dash "$root/usr/bin/sh" # busybox's would prefer its own tools to those of the same name
  for d in $(busybox --list); do [ -e "$root/usr/bin/$d" ] || ln -s busybox "$root/usr/bin/$d"; done
  cp -a /etc/passwd /etc/group /etc/mke2fs.conf "$root/etc/"
  printf 'hosts: files\npasswd: files\ngroup: files\n' >"$root/etc/nsswitch.conf"
  ln -s /opt/mars/bin/marsadm "$root/usr/bin/marsadm"
  ln -s /opt/mars/bin/marsd "$root/usr/bin/marsd"
  [ -d /etc/drbd.d ] && cp -a /etc/drbd.conf /etc/drbd.d "$root/etc/"
  for d in /lib/drbd/drbd*-84; do [ -e "$d" ] && mkdir -p "$root/usr/lib/drbd" && cp "$d" "$root/usr/lib/drbd/"; done
  install -m 0755 "$src/guest/init.sh" "$root/lab/init"
  install -m 0755 "$src/guest/payload.sh" "$root/lab/payload"
  install -m 0755 "$vm/bin/labd" "$root/lab/labd"
  mkdir -p "$root/lib/modules/$release/extra"
  if [ -d "$dir/unpacked" ]; then
    # shellcheck disable=SC2046
    copy_modules "$dir/unpacked" "$release" "$root" $(module_names '/^#/d; s/^initrd: //; p') >/dev/null
    cp "$dir/unpacked/lib/modules/$release"/modules.{builtin,builtin.modinfo,order} "$root/lib/modules/$release/"
  fi
  rm -rf "$dir/modules" && mkdir -p "$dir/modules/lib" && cp -r "$root/usr/lib/modules" "$dir/modules/lib/"
  ln -s /opt/mars/mars.ko "$root/lib/modules/$release/extra/mars.ko"
  depmod -b "$root" "$release" 2>/dev/null # mars.ko comes later
  mksquashfs "$root" "$dir/root.sq.tmp" -comp lz4 -noappend -quiet -no-progress >/dev/null
  mv "$dir/root.sq.tmp" "$dir/root.sq"
  rm -rf "$root"
}

# The distribution's systemd and udev as a layer above the root image: their files, what they
# need, and units that give the agent its place and the machine its address.
systemd_layer() {
  local root key file real
  key=$({ cat "$0" "$src"/guest/systemd/*; dpkg-query -W systemd udev; } | sha256sum | cut -c 1-16)
  [ "$(cat "$vm/systemd.key" 2>/dev/null)" = "$key" ] && [ -e "$vm/systemd.sq" ] && return
  root=$(mktemp -d "$vm/systemd.XXXXXX")
  dpkg -L systemd udev libsystemd-shared |
    grep '^/' | grep -Ev '^/(\.|usr/share/(doc|man|locale|bug|lintian))' | while read -r file; do
    { [ -d "$file" ] || [ ! -e "$file" ]; } && continue
    real=$(realpath "$(dirname "$file")")/$(basename "$file")
    mkdir -p "$root/$(dirname "$real")"
    cp -an "$real" "$root/$real"
  done
  find "$root" -type f -perm /100 | copy_libraries "$root"
  mkdir -p "$root"/{etc/systemd/system/multi-user.target.wants,var/log,var/lib/systemd}
  rm -rf "$root"/etc/systemd/system/*.wants/* "$root/etc/machine-id"
  echo 5f1c0ffee0ddba115ca1ab1e00000001 >"$root/etc/machine-id" # no first boot: presets of the distribution stay off
  # nobody logs in, and nothing of a distribution's first days is to be done
  rm -f "$root/usr/lib/systemd/system-generators/systemd-getty-generator"
  for file in getty.target systemd-logind.service systemd-hwdb-update.service systemd-update-utmp.service \
    systemd-random-seed.service systemd-sysusers.service systemd-pstore.service systemd-journal-flush.service; do
    ln -s /dev/null "$root/etc/systemd/system/$file"
  done
  for file in "$src"/guest/systemd/*.service; do
    cp "$file" "$root/etc/systemd/system/"
    ln -s "../$(basename "$file")" "$root/etc/systemd/system/multi-user.target.wants/"
  done
  install -D -m 0755 "$src/guest/systemd/net.sh" "$root/lab/net"
  mksquashfs "$root" "$vm/systemd.sq.tmp" -comp lz4 -noappend -quiet -no-progress -all-root >/dev/null
  mv "$vm/systemd.sq.tmp" "$vm/systemd.sq"
  echo "$key" >"$vm/systemd.key"
  rm -rf "$root"
}

images() {
  local dir=$vm/kernels/$1 release key
  release=$(<"$dir/release")
  key=$({ echo "$release"; cat "$0" "$src"/guest/*.sh "$src"/guest/*.list "$vm/bin/labd" "$(type -P node)"; dpkg-query -W "${packages[@]}"; } | sha256sum | cut -c 1-16)
  [ "$(cat "$dir/root.key" 2>/dev/null)" = "$key" ] && return
  make_initrd "$dir" "$release"
  make_root "$dir" "$release"
  echo "$key" >"$dir/root.key"
  echo "guest of Linux $release: $(du -h "$dir/root.sq" | cut -f 1)"
}

custom() {
  local name= image= modules= kdir= words= dir
  while [ $# -gt 0 ]; do
    case $1 in
    --kernel) name=$2 ;;
    --image) image=$(realpath "$2") ;;
    --modules) modules=$(realpath "$2") ;;
    --kdir) kdir=$(realpath "$2") ;;
    --words) words=$2 ;;
    esac
    shift 2
  done
  dir=$vm/kernels/$name
  mkdir -p "$dir"
  ln -sfn "$image" "$dir/vmlinux" # a compressed one boots as well
  [ -z "$kdir" ] || ln -sfn "$kdir" "$dir/kdir"
  [ -z "$modules" ] || ln -sfn "$modules" "$dir/unpacked"
  release_of "$kdir" >"$dir/release"
  echo "$words" >"$dir/words" # for its command line
  touch "$dir/custom"
  images "$name"
}

mkdir -p "$vm/kernels"
exec 9>"$vm/.lock"
flock 9
rm -rf "$vm"/{initrd,root,systemd}.?????? # of runs that were killed
need_packages
programs
if [ "${1:-}" = --kernel ]; then
  custom "$@"
else
  systemd_layer
  for series in "${@:-6.1 6.12}"; do
    for s in $series; do
      [ -e "$vm/kernels/$s/custom" ] || fetch "$s"
      images "$s"
    done
  done
fi
