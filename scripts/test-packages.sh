#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Debian packages the tests need beside Node, a compiler and make. As root the
# missing ones are installed; otherwise they are named and the tests do not start.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  clang-14 libclang-rt-14-dev clang-format-14 # fuzzers, formatting
  fio nbdkit libnbd-bin libnbd-dev qemu-utils # third-party NBD clients and servers
  fuse3 mount # with nbdfuse of libnbd-bin: a real file system on the device
  e2fsprogs iproute2 util-linux
  "linux-headers-$(dpkg --print-architecture)" sparse dkms # mars.ko
)

missing=()
for p in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exec scripts/kernel-headers.sh
if [ "$(id -u)" -ne 0 ]; then
  echo "make test needs these Debian packages: ${missing[*]}" >&2
  echo "install them with: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || true
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
exec scripts/kernel-headers.sh
