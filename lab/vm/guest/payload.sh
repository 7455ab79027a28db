#!/bin/busybox sh
# SPDX-License-Identifier: GPL-2.0-or-later
# The project's files, on the second disk, and where modprobe finds mars.ko among them. Not part of
# templates: these outlive many builds.
mount -t squashfs -o ro /dev/vdb /opt/mars || exit 1
[ ! -e /opt/mars/mars.ko ] || cp /opt/mars/modules/* "/lib/modules/$(uname -r)/"
