#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# First process of a User Mode Linux node of the benchmark.  The root is the host's, read only,
# with a layer in memory above; the exchange folder of the host is /bench.  Then it runs one
# command after the other: a line with a number on the console means the script
# /bench/NODE-cmd-NUMBER; output goes to /bench/NODE-out-NUMBER, the exit code to the console.
#
# Environment (from the kernel's command line): NODE, EXCHANGE, ADDRESS, MTU.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8

if [ -z "$STAGE2" ]; then
  mount -t proc proc /proc
  mount -t tmpfs -o size=80% tmpfs /run
  mkdir -p /run/layer/upper /run/layer/work /run/newroot
  mount -t overlay -o lowerdir=/,upperdir=/run/layer/upper,workdir=/run/layer/work overlay /run/newroot
  cd /run/newroot || exit 1
  mount --move /proc proc
  mount -t sysfs sys sys
  mount -t devtmpfs dev dev
  mount -t tmpfs run run
  mkdir -p bench mars run/lock
  mount -t hostfs -o "$EXCHANGE" exchange bench
  mount -t debugfs debug sys/kernel/debug
  STAGE2=1 exec chroot . /bin/bash "$0"
fi

stty -echo -onlcr
hostname "$NODE"
ip link set lo up
ip link set vec0 mtu "$MTU" up
ip addr add "$ADDRESS/24" dev vec0
echo "READY"
while read -r number; do
  bash "/bench/$NODE-cmd-$number" >"/bench/$NODE-out-$number" 2>&1 </dev/null
  echo "DONE $number $?"
done
halt -f
