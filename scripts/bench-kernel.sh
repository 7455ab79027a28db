#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The benchmark of mars.ko beside DRBD, see bench/kernel/main.ts for its settings. Prepares
# what it needs: the special kernel of User Mode Linux, images of the virtual machines.
set -euo pipefail
cd "$(dirname "$0")/.."

beds=${BENCH_BEDS:-uml,qemu}
[ "$(id -u)" -eq 0 ] || { echo "the benchmark sets processors and accounting groups: run it as root" >&2; exit 1; }
for p in drbd-utils fio nbdkit gcc; do
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'ok installed' ||
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$p" >/dev/null
done
[[ $beds == *uml* ]] && scripts/debug-kernels.sh build uml >&2
if [[ $beds == *qemu* ]]; then
  scripts/vm-image.sh "${KERNEL:-6.1}" >&2
  scripts/vm-payload.sh "${KERNEL:-6.1}" >&2
fi
# Frames are datagrams: more than ten may wait. The setting belongs to the new network alone.
exec unshare -n bash -c '
  ip link set lo up
  echo 1000 >/proc/sys/net/unix/max_dgram_qlen
  exec "$@"' - node dist/bench/kernel/main.js
