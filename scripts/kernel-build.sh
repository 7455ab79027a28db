#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Builds mars.ko, with the stock toolchain and nothing but the headers of the kernel:
#   KVER=release   for an installed kernel (default: the running one)
#   KDIR=folder    for any configured kernel tree or headers; ARCH=um works too
#   KOUT=folder    instead of build/kernel: the module is KOUT/RELEASE/mars.ko
# Further arguments go to make; modules_install (below INSTALL_MOD_PATH) is one.  The kernel's build system writes beside the sources, so
# it is given a folder of links to them.
set -euo pipefail
cd "$(dirname "$0")/.."

kdir=${KDIR:-/lib/modules/${KVER:-$(uname -r)}/build}
[ -s "$kdir/include/generated/utsrelease.h" ] && [ -s "$kdir/Module.symvers" ] || {
  echo "no configured kernel headers in $kdir; install linux-headers-${KVER:-$(uname -r)} or say KDIR= or KVER=" >&2
  exit 1
}
# not kernel.release: a distribution's headers may have the upstream version there
release=$(sed -n 's/.*"\(.*\)".*/\1/p' "$kdir/include/generated/utsrelease.h")
out=$(realpath -m "${KOUT:-build/kernel}/$release")
scripts/kernel-source.sh "$out" link

# BTF would need one more tool and says nothing about the code.
make -C "$(realpath "$kdir")" M="$out" CONFIG_DEBUG_INFO_BTF_MODULES= modules "$@"
echo "$out/mars.ko"
