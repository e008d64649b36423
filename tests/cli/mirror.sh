#!/bin/bash
# A bundle from a mirror: streamed, taken up again where the connection broke, with and without ranges, over TLS with the
# site's CA; a mirror that lies changes nothing. All of it on loopback.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "a bundle on a mirror"
make_keys keys
plain_spec "$work/src"
mkdir "$work/site"
build_bundle "$work/src" keys "$work/site/p.bundle"
id=$(cat "$work/id")
build_bundle "$work/src" keys "$work/site/p.run"
start_http_server "$work/site"
mirror=http://127.0.0.1:$port
key=(--key "$work/keys/public.pem")
forget() { rm -f "$work/site"/twice.* "$work/site"/flaky.*; : >"$work/log"; }
verify() {
	local code=$1
	shift
	exits "$code" "$BYOH_INSTALL" verify "${key[@]}" "$@"
}
fresh_host() {
	rm -rf "$work/root"
	make_host "$work/root"
	before "$work/root"
}
install_from() {
	local code=$1
	shift
	exits "$code" "$BYOH_INSTALL" install --root "$work/root" "${key[@]}" --yes "$@"
}
installed() { cmp "$work/root/opt/plain/data" "$work/src/data" && cmp "$work/root/var/lib/byoh/releases/$id/bundle" "$work/site/p.bundle"; }
asked_once() { [ "$(asked '^GET')" = 1 ]; }

check "verify URL" verify 0 "$mirror/ranges/p.bundle"
check "it has the same id" prints "$id"
check "one request is enough" asked_once
check "verify URL of a .run, its executable too" verify 0 "$mirror/ranges/p.run"
check "inspect --from URL" exits 0 "$BYOH_INSTALL" inspect "${key[@]}" --from "$mirror/plain/p.bundle" --json
check "inspect says the id" prints "$id"
check "the SBOM is fetched alone" exits 0 "$BYOH_INSTALL" inspect "${key[@]}" --sbom "$mirror/ranges/p.bundle"
check "extract --from URL" exits 0 "$BYOH_INSTALL" extract "${key[@]}" --from "$mirror/plain/p.run" "$work/extracted"
check "what was extracted is what was packed" cmp "$work/extracted/opt/plain/data" "$work/src/data"
forget
fresh_host
check "install from a mirror" install_from 0 --from "$mirror/ranges/p.bundle"
check "the host has it" installed
check "with one request" asked_once
check "again: nothing to do" install_from 0 --from "$mirror/ranges/p.bundle"
check "it says so" says "nothing to do"

step "cut connections"
for way in latelength star twice twiceplain; do
	forget
	fresh_host
	check "install over a connection that is cut twice ($way)" install_from 0 --from "$mirror/$way/p.bundle"
	check "the host has it ($way)" installed
	check "three requests ($way)" [ "$(asked '^GET')" = 3 ]
	check "it says where it went on ($way)" says "going on there"
done
check "resumed by passing over what came" [ "$(asked 'range=bytes=[1-9]')" = 2 ]
forget
check "a .run over a connection that is cut at each half" verify 0 "$mirror/cut/p.run"
check "resumed by ranges" [ "$(asked 'range=bytes=[1-9]')" -ge 2 ]
forget
check "503 once is no end" verify 0 "$mirror/flaky/p.bundle"
forget
fresh_host
check "one that never comes further is given up" install_from 1 --from "$mirror/stuck/p.bundle"
check "with the place where it broke" says "broke off at byte 700000"
check "after a few tries" [ "$(asked '^GET')" -lt 10 ]
check "the host is as before" as_before "$work/root"

step "a mirror that lies"
lies() {
	forget
	fresh_host
	check "$2: refused" install_from "$3" --from "$mirror/$1"
	check "$2: said" says "$4"
	check "$2: the host is as before" as_before "$work/root"
}
lies other/p.bundle "other bytes in the second answer" 3 "block "
lies exchanged/p.bundle "another file in the second answer" 3 "was exchanged"
lies longer/p.bundle "a byte too many" 3 "bytes behind its end"
lies shorter/p.bundle "a byte too few" 3 "cut short"
lies wrong/p.bundle "no bundle" 3 "no bundle"
lies missing "nothing there" 1 "no such file (404)"
lies redirect/p.bundle "one that sends on" 1 "not followed"
check "sent on to nobody" [ "$(asked 'ranges')" = 0 ]

step "what is asked of whom"
check "nobody there: a 1" verify 1 http://127.0.0.1:1/p.bundle
check "nobody there: at once" says "cannot reach"
check "a password in a URL is refused" verify 2 "http://user:secret@127.0.0.1:$port/ranges/p.bundle"
check "and not repeated" eval '! grep -q secret "$work/err"'
check "a query is refused" verify 2 "$mirror/ranges/p.bundle?token=secret"
check "and not repeated either" eval '! grep -q secret "$work/err"'
check "a folder is no file" verify 2 "$mirror/"
check "a mirror and a folder exclude each other" verify 2 --from "$mirror/ranges/p.bundle" --from "$work/site"
check "another scheme is no mirror" verify 2 "ftp://127.0.0.1/p.bundle"
forget
check "no proxy of the environment is asked" exits 0 env http_proxy=http://127.0.0.1:1 ALL_PROXY=http://127.0.0.1:1 \
	"$BYOH_INSTALL" verify "${key[@]}" "$mirror/ranges/p.bundle"
check "file:// is a file" verify 0 "file://$work/site/p%2Ebundle"
check "file:// is a folder of slices, too" eval '"$BYOH_BUNDLE" split "$work/site/p.bundle" --size 1M --out "$work/cut" --quiet &&
	verify 0 "file://$work/cut"'

if strace -qq -o /dev/null true 2>/dev/null; then
	# Who opened one.
	traced() { strace -f -qq -o "$work/trace" -e trace=socket,execve "$@" >"$work/out" 2>"$work/err"; }
	openers() { sed -n 's/^\([0-9]*\) .*socket(AF_INET.* = [0-9]*$/\1/p' "$work/trace" | sort -u; }
	program() { sed -n '1s/ .*//p' "$work/trace"; }
	check "from a file no internet socket is opened" eval 'traced "$BYOH_INSTALL" verify "${key[@]}" "$work/site/p.bundle" && [ -z "$(openers)" ]'
	check "from a mirror one process opens one, and not the program" eval 'traced "$BYOH_INSTALL" verify "${key[@]}" "$mirror/ranges/p.bundle" &&
		[ "$(openers | wc -l)" = 1 ] && [ "$(openers)" != "$(program)" ]'
else
	skip "who opens sockets" "strace cannot trace here"
fi

step "TLS"
make_ca
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/tls.key" -out "$work/tls.csr" -subj /CN=mirror 2>/dev/null
openssl x509 -req -in "$work/tls.csr" -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 365 -out "$work/tls.crt" \
	-extfile <(echo subjectAltName=IP:127.0.0.1) 2>/dev/null
# It knows no ranges and tells no length. Port 0: the kernel's choice, which it prints.
start_tls() {
	mkfifo "$work/tls-port"
	(cd "$work/site" && exec openssl s_server -accept 127.0.0.1:0 -cert "$work/tls.crt" -key "$work/tls.key" -WWW) \
		>"$work/tls-port" 2>/dev/null </dev/null &
	pids+=($!)
	exec 8<>"$work/tls-port"
	until [[ ${line:-} == ACCEPT* ]]; do read -r line <&8; done
	tls_port=${line##*:}
}
start_tls
check "https with the site's CA" verify 0 --mirror-ca "$work/ca.crt" "https://127.0.0.1:$tls_port/p.bundle"
check "the same id" prints "$id"
check "without it nobody vouches: a 3" verify 3 "https://127.0.0.1:$tls_port/p.bundle"
check "it says what to do" says "--mirror-ca FILE"
check "for another name: a 3" verify 3 --mirror-ca "$work/ca.crt" "https://localhost:$tls_port/p.bundle"
cp "$work/ca.crt" "$work/first.crt"
make_ca
check "another CA: a 3" verify 3 --mirror-ca "$work/ca.crt" "https://127.0.0.1:$tls_port/p.bundle"
check "a CA file without a certificate: a 2" verify 2 --mirror-ca "$work/src/greeting" "https://127.0.0.1:$tls_port/p.bundle"
check "--mirror-ca without a mirror: a 2" verify 2 --mirror-ca "$work/ca.crt" "$work/site/p.bundle"
fresh_host
check "install over TLS" install_from 0 --mirror-ca "$work/first.crt" --from "https://127.0.0.1:$tls_port/p.bundle"
check "the host has what was over TLS" installed

exit "$failed"
