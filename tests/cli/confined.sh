#!/bin/bash
# What unpacks a bundle is a process of its own that has given up what it does not need. It is looked at while it waits
# for a mirror that sends nothing more.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

if [ "${1:-}" = -h ]; then
	sed -n '2,3s/^# //p' "$0"
	exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "a bundle that never ends"
make_keys key
plain_spec "$work/plain"
mkdir "$work/site"
build_bundle "$work/plain" key "$work/site/plain.bundle"
start_http_server "$work/site"
root=$work/root
make_host "$root"
before "$root"
"$BYOH_INSTALL" install --from "http://127.0.0.1:$port/stuck/plain.bundle" --key "$work/key/public.pem" --root "$root" \
	--quiet >"$work/out" 2>"$work/err" </dev/null &
installer=$!
pids+=("$installer")

status() { awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/status" 2>/dev/null; }
# The installer's child with root's rights and more than one thread: those are its decoders.
find_worker() {
	local pid
	# shellcheck disable=SC2013
	for pid in $(cat "/proc/$installer/task/$installer/children" 2>/dev/null); do
		[ "$(status "$pid" Uid)" = "$(id -u)" ] && [ "$(status "$pid" Threads)" -gt 1 ] && worker=$pid && return 0
	done
	return 1
}
worker=
while kill -0 "$installer" 2>/dev/null && ! find_worker; do sleep 0.05; done
check "the worker is there" [ -n "$worker" ]
check "it gets no new privileges" [ "$(status "$worker" NoNewPrivs)" = 1 ]
# That of the installer leaves Unix sockets alone; the worker's is on top of it.
check "it has a filter more than the installer has" eval '[ "$(status "$worker" Seccomp)" = 2 ] &&
	[ "$(status "$worker" Seccomp_filters)" -gt "$(status "$installer" Seccomp_filters)" ]'
check "in the namespace without a network" eval '[ "$(readlink "/proc/$worker/ns/net")" != "$(readlink /proc/self/ns/net)" ]'
check "every thread of it is so" eval 'for task in /proc/$worker/task/*; do grep -q "^NoNewPrivs:[[:space:]]1$" "$task/status" && grep -q "^Seccomp:[[:space:]]2$" "$task/status" || exit 1; done'
check "the installer, which starts services, is not" [ "$(status "$installer" NoNewPrivs)" = 0 ]
kill -INT "$installer"
code=0
wait "$installer" || code=$?
check "Ctrl-C ends both, and the host is as before" eval '[ "$code" = 1 ] && ! kill -0 "$worker" 2>/dev/null && as_before "$root"'

step "who only looks"
"$BYOH_INSTALL" verify "http://127.0.0.1:$port/stuck/plain.bundle" --key "$work/key/public.pem" >"$work/out" 2>"$work/err" </dev/null &
looker=$!
pids+=("$looker")
while kill -0 "$looker" 2>/dev/null && [ "$(status "$looker" Threads)" = 1 ]; do sleep 0.05; done
check "gives up the same" eval '[ "$(status "$looker" NoNewPrivs)" = 1 ] && [ "$(status "$looker" Seccomp_filters)" -gt 1 ]'
kill -INT "$looker"
wait "$looker" || true

step "a worker that dies"
"$BYOH_INSTALL" install --from "http://127.0.0.1:$port/stuck/plain.bundle" --key "$work/key/public.pem" --root "$root" \
	--quiet >"$work/out" 2>"$work/err" </dev/null &
installer=$!
pids+=("$installer")
worker=
while kill -0 "$installer" 2>/dev/null && ! find_worker; do sleep 0.05; done
kill -KILL "$worker"
code=0
wait "$installer" || code=$?
check "is a failure, and the host is as before" eval '[ "$code" = 1 ] && says "signal 9" && as_before "$root"'
"$BYOH_INSTALL" install --from "http://127.0.0.1:$port/stuck/plain.bundle" --key "$work/key/public.pem" --root "$root" \
	--quiet >"$work/out" 2>"$work/err" </dev/null &
installer=$!
pids+=("$installer")
worker=
while kill -0 "$installer" 2>/dev/null && ! find_worker; do sleep 0.05; done
kill -KILL "$installer"
wait "$installer" || true
for _ in $(seq 100); do kill -0 "$worker" 2>/dev/null || break; sleep 0.05; done
check "an installer that is killed takes it along" eval '! kill -0 "$worker" 2>/dev/null'
check "and the next run finds a host that can be mended" eval 'exits 0 "$BYOH_INSTALL" install --from "$work/site/plain.bundle" --key "$work/key/public.pem" --root "$root" && cmp "$work/plain/data" "$root/opt/plain/data"'

exit "$failed"
