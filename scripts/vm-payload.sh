#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# What a guest gets from this checkout: a read-only image, seen as /opt/mars, with mars.ko for
# its kernel, marsd and marsadm with what they need at run time, and the static helpers.
#
#   vm-payload.sh [KERNEL...]       names below build/vm/kernels; default: all
#
# Makes ${MARS_VM_PAYLOAD:-build/vm/payload}/KERNEL.sq, a link to an image named by its
# content. mars.ko is built from MARS_VM_SRC (another checkout; default: this one) into KOUT
# (see kernel-build.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
vm=$PWD/build/vm
out=$(realpath -m "${MARS_VM_PAYLOAD:-$vm/payload}")

common() {
  local to=$1
  node scripts/install-programs.mjs "$to"
  mkdir -p "$to"/{tools,packaging}
  cp -r packaging/. "$to/packaging/"
  cp build/c/guest/* "$to/tools/" 2>/dev/null || true
}

# What modprobe in the guest has to know, with mars.ko among the modules.
index() {
  local kernel=$1 tree=$2 release work
  release=$(<"$vm/kernels/$kernel/release")
  work=$(mktemp -d "$out/index.XXXXXX")
  cp -r "$vm/kernels/$kernel/modules/lib" "$work/"
  mkdir -p "$work/lib/modules/$release/extra" "$tree/modules"
  cp "$tree/mars.ko" "$work/lib/modules/$release/extra/"
  # modprobe is content with what is built in, if it knows
  cp "$vm/kernels/$kernel"/kdir/modules.builtin* "$work/lib/modules/$release/" 2>/dev/null || true
  depmod -b "$work" "$release" 2>/dev/null
  find "$work/lib/modules/$release" -maxdepth 1 -type f -name 'modules.*' -exec cp {} "$tree/modules/" \;
  rm -rf "$work"
}

image() {
  local kernel=$1 tree=$2 key file
  key=$(cd "$tree" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-16)
  file=$out/$kernel-$key.sq
  if [ ! -e "$file" ]; then
    mksquashfs "$tree" "$file.$$" -comp lz4 -noappend -quiet -no-progress -all-root >/dev/null
    truncate -s 96M "$file.$$" # a clone's disks have the size of the template's
    mv "$file.$$" "$file"
  fi
  touch "$file"
  ln -sfn "$(basename "$file")" "$out/$kernel.sq.$$"
  mv -T "$out/$kernel.sq.$$" "$out/$kernel.sq"
}

mkdir -p "$out" build/c/guest
[ $# -gt 0 ] || set -- $(ls "$vm/kernels")
make -C native -f build.mk --no-print-directory guest >/dev/null
tree=$(mktemp -d "$out/tree.XXXXXX")
trap 'rm -rf "$tree"' EXIT
common "$tree"
for kernel in "$@"; do
  rm -rf "$tree/mars.ko" "$tree/modules"
  if [ -e "$vm/kernels/$kernel/kdir" ]; then
    log=$out/module-$kernel.log
    KDIR=$(realpath "$vm/kernels/$kernel/kdir") "${MARS_VM_SRC:-.}/scripts/kernel-build.sh" >"$log" 2>&1 ||
      { grep -E 'error|warning|Error' "$log" | head -n 20 >&2; echo "mars.ko for $kernel: see $log" >&2; exit 1; }
    cp "$(tail -n 1 "$log")" "$tree/mars.ko"
    index "$kernel" "$tree"
  fi
  image "$kernel" "$tree"
done
# Images and templates nobody asked for lately.
find "$out" "$vm/templates" -mindepth 1 -maxdepth 1 \( -name '*-*.sq' -o -type d ! -name 'tree.*' \) -mmin +45 \
  -exec rm -rf {} + 2>/dev/null || true
