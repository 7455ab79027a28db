#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Takes name and address of the machine from the kernel's command line.
for word in $(cat /proc/cmdline); do
  case $word in
  lab.host=*) host=${word#*=} ;;
  lab.ip=*) ip=${word#*=} ;;
  lab.mac=*) mac=${word#*=} ;;
  esac
done
hostname "$host"
echo "127.0.0.1 localhost $host" >/etc/hosts
/lab/payload
modprobe -aq virtio_net virtio_rng
ip link set lo up
ip link set eth0 address "$mac"
ip addr add "$ip/24" dev eth0
ip link set eth0 up
