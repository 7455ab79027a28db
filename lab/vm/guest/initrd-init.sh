#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# /init of the guests: loads the modules of the image's drivers, puts a writable layer over
# the read-only root image and hands over to lab.init= of the command line (default: the
# lab's own PID 1, which is nothing but the agent). The layer is memory, or the disk named by
# lab.upper=, which survives a reboot. lab.layers= names disks with more read-only layers, the
# topmost first.
B=/bin/busybox
$B mount -t devtmpfs dev /dev
$B mount -t proc proc /proc
$B mount -t sysfs sys /sys
init=/lab/init upper= layers=
for word in $($B cat /proc/cmdline); do
  case $word in
  lab.init=*) init=${word#*=} ;;
  lab.upper=*) upper=${word#*=} ;;
  lab.layers=*) layers=$(echo "${word#*=}" | $B tr , ' ') ;;
  esac
done
# In dependency order; what is built in has no file.
for m in $($B cat /modules/order 2>/dev/null); do
  $B insmod /modules/"$m" || echo "lab: insmod $m failed"
done
$B mount -t squashfs -o ro /dev/vda /lower || { echo "lab: no root image"; exec $B sh; }
lower=
for disk in $layers; do
  $B mkdir -p /layer/${disk#/dev/}
  $B mount -t squashfs -o ro "$disk" /layer/${disk#/dev/} || { echo "lab: no layer $disk"; exec $B sh; }
  lower=$lower/layer/${disk#/dev/}:
done
if [ -n "$upper" ]; then
  $B mount -t ext4 "$upper" /upper || { echo "lab: cannot mount $upper"; exec $B sh; }
else
  $B mount -t tmpfs -o mode=755 tmpfs /upper
fi
$B mkdir -p /upper/u /upper/w
$B mount -t overlay -o lowerdir=$lower/lower,upperdir=/upper/u,workdir=/upper/w overlay /root || exec $B sh
for d in proc sys dev; do $B mount --move /$d /root/$d; done
exec $B switch_root /root $init
