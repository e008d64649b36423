#!/bin/bash
# A bundle over 8 GiB, with a file over 4 GiB in it: it packs, is cut, verifies and installs from its slices, and
# no step takes more memory than a small one does. The kernel is the judge, as in memory.sh. Needs 36 GB; without
# BYOH_CHECK_FULL it is 1/64 of that.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
gib=$((1 << 30))
# `make check` has time and room for 1/64 of it.
: "${LARGE_SHARE:=$([ -n "${BYOH_CHECK_FULL:-}" ] && echo 1 || echo 64)}"

[ "$LARGE_SHARE" = 1 ] || echo "LEFT large: a bundle of 8 GiB (BYOH_CHECK_FULL=1 make check-cli)"
if [ $(($(df --output=avail -B1 "$work" | tail -n 1) * LARGE_SHARE)) -lt 36000000000 ]; then
	skip "a bundle of 8 GiB" "$work has less than 36 GB of room"
	exit 0
fi
"${CC:-gcc}" -O1 -D_GNU_SOURCE -o "$work/measure" "$here/../bench/measure.c"

# within KIBIBYTES COMMAND...    no process of it may have more writable memory; says what it had, and how long it took
within() {
	local most=$1
	shift
	(ulimit -d "$most" && exec "$work/measure" -m "$work/memory" "$@") || return
	tail -n 1 "$work/memory" | awk '{ printf "    %.0f MiB of memory of its own, %.0f s\n", $5 / 1024, $1 }'
}

step "$((8 * 1024 / LARGE_SHARE)) MiB that do not compress"
begin_spec "$work/spec" large
mkdir -p "$work/spec"
noise $((6 * gib / LARGE_SHARE)) 01 >"$work/spec/first"
noise $((2 * gib / LARGE_SHARE)) 02 >"$work/spec/second"
truncate -s $((gib / LARGE_SHARE)) "$work/spec/hole"
add_part "$work/spec" first 1 /opt/large/first 0644
add_part "$work/spec" second 1 /opt/large/second 0644
add_part "$work/spec" hole 1 /opt/large/hole 0644
sums=$(sed -n 's/.*sha256: \([0-9a-f]*\)}.*/\1/p' "$work/spec/bundle.yaml")
make_keys key
key=(--key "$work/key/public.pem")

check "packs" within $((2048 * 1024)) "$BYOH_BUNDLE" build "$work/spec/bundle.yaml" --key "$work/key/private.pem" --stub "$BYOH_INSTALL" \
	--out "$work/large.bundle" --level 1 --quiet --cache "$work/cache"
rm -rf --one-file-system "$work/spec"
check "it is as large as that" [ "$(stat -c %s "$work/large.bundle")" -gt $((8 * gib / LARGE_SHARE)) ]
check "verifies" within $((64 * 1024)) "$BYOH_INSTALL" verify "${key[@]}" "$work/large.bundle"
check "is cut" within $((64 * 1024)) "$BYOH_BUNDLE" split "$work/large.bundle" --size $((3 * gib / LARGE_SHARE)) --out "$work/slices" --quiet
rm "$work/large.bundle"
check "into three" [ "$(find "$work/slices" -type f | wc -l)" = 3 ]
check "the slices verify" within $((64 * 1024)) "$BYOH_INSTALL" verify "${key[@]}" "$work/slices/large.bundle.001"
make_host "$work/host"
check "installs from them" within $((320 * 1024)) "$BYOH_INSTALL" install "${key[@]}" --from "$work/slices" --root "$work/host" --quiet
check "all is there" [ "$(cd "$work/host/opt/large" && sha256sum first second hole | cut -c1-64)" = "$sums" ]
check "a second run has nothing to do" within $((64 * 1024)) "$BYOH_INSTALL" install "${key[@]}" --from "$work/slices" --root "$work/host"
check "what is installed verifies" within $((64 * 1024)) "$BYOH_INSTALL" verify --installed "${key[@]}" --root "$work/host"
# Near the end, where 32 bits would point somewhere else.
damage "$work/slices/large.bundle.003" $(($(stat -c %s "$work/slices/large.bundle.003") - 100))
check "a byte changed near its end is found" exits 3 "$BYOH_INSTALL" verify "${key[@]}" "$work/slices/large.bundle.001"

exit "$failed"
