#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Foreign NBD clients against the nbd brick: nbdinfo, nbdcopy, qemu-io, qemu-img and
# fio, on a RAM disk, on a file, and through the logger.  Content is compared with
# files that never saw our code.  MARS_BUILD says where nbd_serve is.
#
# A client that is not installed is named and left out; without any of them the
# test fails, for it would have tested nothing.

set -eu -o pipefail

BUILD=${MARS_BUILD:?}
DIR=$(mktemp -d "${TMPDIR:-/tmp}/mars-nbd-XXXXXX")
SOCK=$DIR/s
URI="nbd+unix:///disk?socket=$SOCK"
MIB=$((1 << 20))
SIZE=$((64 * MIB))
CLIENTS=0
PID=

clean() {
	[ -z "$PID" ] || kill -9 "$PID" 2>/dev/null || true
	rm -rf "$DIR"
}
trap clean EXIT

fail() {
	echo "FAIL: $*" >&2
	exit 1
}

have() {
	if command -v "$1" >/dev/null; then
		CLIENTS=$((CLIENTS + 1))
		return 0
	fi
	echo "left out: $1 is not installed"
	return 1
}

# serve ARGS... - start the server and wait until it is ready
serve() {
	local line
	coproc SERVER { exec "$BUILD/nbd_serve" "$SOCK" disk "$@"; }
	PID=$SERVER_PID
	read -r line <&"${SERVER[0]}" || fail "server did not start: $*"
	[ "$line" = ready ] || fail "server said $line"
}

# A planned stop must be clean: exit code 0, socket gone.
stop() {
	kill -TERM "$PID"
	wait "$PID" || fail "server exit code $?"
	PID=
	[ ! -e "$SOCK" ] || fail "the socket is still there"
}

describe() {
	have nbdinfo || return 0
	[ "$(nbdinfo --size "$URI")" = "$SIZE" ] || fail "size"
	local what
	for what in flush fua trim zero multi-conn df; do
		nbdinfo --can "$what" "$URI" || fail "can $what"
	done
	nbdinfo --list "nbd+unix:///?socket=$SOCK" | grep -q 'export="disk"' || fail "list"
}

# Copy a reference in and out again over several connections.
copies() {
	have nbdcopy || return 0
	nbdcopy --connections=4 --requests=16 "$DIR/ref" "$URI"
	rm -f "$DIR/back"
	nbdcopy --connections=2 "$URI" "$DIR/back"
	cmp "$DIR/ref" "$DIR/back" || fail "nbdcopy"
	if have qemu-img; then
		qemu-img compare -q -f raw -F raw "$URI" "$DIR/ref" || fail "qemu-img compare"
	fi
}

patterns() {
	have qemu-io || return 0
	local out
	out=$(qemu-io -f raw "$URI" \
		-c 'write -P 0xab 4096 8192' -c 'read -P 0xab 4096 8192' \
		-c 'write -z 0 4096' -c 'read -P 0 0 4096' -c flush \
		-c 'write -P 7 1M 20M' -c 'read -P 7 1M 20M' -c 'write -f -P 9 333 1001' \
		-c 'read -P 9 333 1001' -c 'discard 0 65536' -c 'read -P 0 0 65536' 2>&1)
	if grep -qi 'fail\|error' <<<"$out"; then
		fail "qemu-io: $out"
	fi
}

verify() {
	have fio || return 0
	fio --name=v --thread --ioengine=nbd --uri="$URI" --rw=randwrite --bsrange=512-64k \
		--size=32M --iodepth=16 --fsync=64 --verify=crc32c --verify_fatal=1 \
		--output="$DIR/fio.out" || fail "fio: $(cat "$DIR/fio.out")"
}

all() {
	describe
	verify
	patterns
	copies
	stop
	echo "ok $1"
}

head -c "$SIZE" /dev/urandom >"$DIR/ref"

serve mem "$SIZE"
all mem

truncate -s "$SIZE" "$DIR/disk"
serve file "$DIR/disk"
# what a killed server leaves behind is in nobody's way
kill -9 "$PID"
wait "$PID" 2>/dev/null || true
serve file "$DIR/disk"
all file
cmp "$DIR/disk" "$DIR/ref" || fail "content of the file"

serve logger "$DIR/data" "$DIR/log" "$SIZE"
all logger
cmp "$DIR/data" "$DIR/ref" || fail "content behind the logger"

[ "$CLIENTS" -gt 0 ] || fail "no NBD client is installed"
