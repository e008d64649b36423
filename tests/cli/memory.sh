#!/bin/bash
# Installing 360 MB that were packed with windows of 128 MiB takes less than 320 MiB of memory of its own. The
# kernel is the judge: under ulimit -d no process can have more writable private memory, touched or not.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
limit=$((320 * 1024))

# repeat FILE SEED    180 MB: noise three times over, so that a match is 60 MB away and the window is needed
repeat() {
	noise 60000000 "$2" >"$work/noise"
	cat "$work/noise" "$work/noise" "$work/noise" >"$1"
}

step "360 MB"
mkdir -p "$work/spec"
begin_spec "$work/spec" large
repeat "$work/spec/first" 11
repeat "$work/spec/second" 22
add_part "$work/spec" first 1 /opt/large/first 0644
add_part "$work/spec" second 1 /opt/large/second 0644
number() { od -An -tu"$3" -j"$2" -N"$3" "$1" | tr -d ' '; }
frames() {
	local file=$work/large.bundle index
	index=$((4624 + $(number "$file" 24 8)))
	echo "$(number "$file" $((index + 32)) 8) $(number "$file" $((index + 96 + 4)) 4) $(number "$file" $((index + 192 + 4)) 4)"
}
make_keys key
make_host "$work/root"
before "$work/root"
check "packs" build_bundle "$work/spec" key "$work/large.bundle"
install_it() { within "$1" "$BYOH_INSTALL" install --from "$work/large.bundle" --key "$work/key/public.pem" --root "$work/root" "${@:2}"; }
# From the index, as docs/bundle-format.md has it: the number of frames, and the window of each.
check "two frames, with windows as large as they get" eval '[ "$(frames)" = "2 27 27" ]'
sizes=$(stat -c %s "$work/large.bundle")
check "a match far away was found: $((sizes / 1000000)) MB" [ "$sizes" -lt 150000000 ]

# within KIBIBYTES COMMAND...
within() {
	local most=$1
	shift
	(ulimit -d "$most" && exec "$@")
}
step "installing"
check "half of it is not enough: a 1, and the host is as before" eval 'exits 1 install_it $((limit / 2)) --quiet && says memory && as_before "$work/root"'
check "320 MiB are" exits 0 install_it "$limit"
check "all is there" eval 'cmp "$work/spec/first" "$work/root/opt/large/first" && cmp "$work/spec/second" "$work/root/opt/large/second"'
# A mirror is one stream more, and nothing of it is kept.
make_host "$work/far"
mkdir "$work/site"
ln "$work/large.bundle" "$work/site/"
start_http_server "$work/site"
check "they are for a mirror, too" exits 0 within "$limit" "$BYOH_INSTALL" verify --key "$work/key/public.pem" \
	"http://127.0.0.1:$port/plain/large.bundle"
check "and for an installation from it" exits 0 within "$limit" "$BYOH_INSTALL" install --key "$work/key/public.pem" --root "$work/far" \
	--from "http://127.0.0.1:$port/plain/large.bundle"
check "that has all" cmp "$work/spec/second" "$work/far/opt/large/second"
check "verify takes less than 64 MiB" exits 0 within $((64 * 1024)) "$BYOH_BUNDLE" verify "$work/large.bundle"
check "status and a second run, too" eval 'exits 0 install_it $((64 * 1024)) && says "nothing to do"'

exit "$failed"
