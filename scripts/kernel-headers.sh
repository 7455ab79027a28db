#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Headers of kernel series 6.12 for scripts/kernel-check.sh, beside those of the
# distribution's own kernel.  The Debian package would install a whole kernel, so the
# newest one on offer is only unpacked, into build/kernel-headers.  Nothing on offer: a
# word, and no failure.
set -euo pipefail
cd "$(dirname "$0")/.."

series=${1:-6.12}
dir=$PWD/build/kernel-headers/$series
arch=$(dpkg --print-architecture)
[ -e "$dir/done" ] && exit 0

newest=$(apt-cache search --names-only "^linux-headers-${series//./\\.}\\..*-$arch\$" |
  awk '{ print $1 }' | sed -E '/-(rt|cloud)-/d' | sort -V | tail -n 1)
[ -n "$newest" ] || { echo "no packages with headers of Linux $series on offer"; exit 0; }
version=${newest#linux-headers-}
version=${version%-"$arch"}

rm -rf "$dir"
mkdir -p "$dir/deb"
(
  cd "$dir/deb"
  apt-get -o APT::Sandbox::User=root download -qq "$newest" "linux-headers-$version-common" "linux-kbuild-$version" || exit 1
) || { echo "could not fetch the headers of Linux $series"; exit 0; }
for deb in "$dir"/deb/*.deb; do dpkg -x "$deb" "$dir"; done
# The one absolute path in them: the Makefile that includes the common one.
sed -i "s#include /usr/src/#include $dir/usr/src/#" "$dir/usr/src/$newest/Makefile"
rm -rf "$dir/deb"
touch "$dir/done"
echo "headers of $version unpacked"
