#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The file brick on a disk that fails on demand: nbdkit's eval plugin, mounted as a
# file by nbdfuse, refuses flushes or writes as long as a trigger file exists.
#
# Checked from above through the nbd brick: errors arrive, a failed write heals, and
# a failed flush is never followed by a good one until the disk was opened anew.
# MARS_BUILD says where nbd_serve is.  Needs nbdkit, nbdfuse, qemu-io and FUSE:
# where one is missing the test says so and checks nothing.

set -eu -o pipefail

BUILD=${MARS_BUILD:?}
for tool in nbdkit nbdfuse qemu-io fusermount3 findmnt; do
	command -v "$tool" >/dev/null || { echo "left out: no $tool"; exit 0; }
done
[ -w /dev/fuse ] || { echo "left out: no /dev/fuse"; exit 0; }

DIR=$(mktemp -d "${TMPDIR:-/tmp}/mars-file-XXXXXX")
URI="nbd+unix:///disk?socket=$DIR/s"
PID= FUSE=

clean() {
	[ -z "$PID" ] || kill -9 "$PID" 2>/dev/null || true
	fusermount3 -uqz "$DIR/mnt" 2>/dev/null || true
	[ -z "$FUSE" ] || wait "$FUSE" 2>/dev/null || true
	rm -rf "$DIR"
}
trap clean EXIT

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

serve() {
	local line
	coproc SERVER { exec "$BUILD/nbd_serve" "$DIR/s" disk file "$DIR/mnt/nbd"; }
	PID=$SERVER_PID
	read -r line <&"${SERVER[0]}" || fail "server did not start"
}

stop() {
	kill -TERM "$PID"
	wait "$PID" || fail "server exit code $?"
	PID=
}

good() {
	qemu-io -t none -f raw "$URI" "$@" >"$DIR/out" 2>&1 || fail "$* failed: $(cat "$DIR/out")"
	! grep -qi 'fail\|error' "$DIR/out" || fail "$* failed: $(cat "$DIR/out")"
}

bad() {
	! qemu-io -t none -f raw "$URI" "$@" >"$DIR/out" 2>&1 ||
		grep -qi 'fail\|error' "$DIR/out" || fail "$* worked, but must not"
}

truncate -s 1M "$DIR/disk"
mkdir "$DIR/mnt"
# watches the mount table from before the mount
findmnt --poll=mount --first-only --timeout=10000 "$DIR/mnt" >/dev/null &
MOUNTED=$!
# nbdkit's shell snippets: $3 = count or data length, $4 = offset
nbdfuse "$DIR/mnt/nbd" --command nbdkit -s eval \
	get_size='echo 1048576' \
	pread="dd if='$DIR/disk' bs=64k iflag=skip_bytes,count_bytes count=\$3 skip=\$4 status=none" \
	can_write='exit 0' can_flush='exit 0' \
	pwrite="[ ! -e '$DIR/no-write' ] || { echo EIO >&2; exit 1; }
		dd of='$DIR/disk' bs=64k oflag=seek_bytes seek=\$4 conv=notrunc status=none" \
	flush="[ ! -e '$DIR/no-flush' ] || { echo EIO >&2; exit 1; }" &
FUSE=$!
wait "$MOUNTED" || [ -e "$DIR/mnt/nbd" ] || { echo "left out: nbdfuse does not work here"; exit 0; }

serve
good -c 'write -P 1 0 64k' -c flush -c 'read -P 1 0 64k'
touch "$DIR/no-write"
bad -c 'write -P 2 0 64k'
rm "$DIR/no-write"
good -c 'write -P 2 0 64k' -c flush -c 'read -P 2 0 64k'

touch "$DIR/no-flush"
bad -c 'write -P 3 0 4k' -c flush
rm "$DIR/no-flush"
bad -c flush
bad -c 'write -f -P 3 0 4k'
good -c 'read -P 2 4k 4k'
stop
serve
good -c 'write -P 4 0 64k' -c flush -c 'read -P 4 0 64k'
stop
echo "ok errors"
