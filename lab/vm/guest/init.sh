#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# PID 1 of a guest without systemd: file systems a program expects, then the agent for good.
PATH=/opt/mars/tools:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH HOME=/root TERM=linux LANG=C.UTF-8 NO_COLOR=1
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/pts /dev/shm /run/lock
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
for fs in debugfs:/sys/kernel/debug tracefs:/sys/kernel/tracing configfs:/sys/kernel/config; do
  mount -t "${fs%:*}" "${fs%:*}" "${fs#*:}" 2>/dev/null
done
modprobe -aq virtio_net virtio_rng
ip link set lo up
cd /root || exit 1
exec /lab/labd
