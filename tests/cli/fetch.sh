#!/bin/bash
# byoh-bundle fetch and lock against a web server that misbehaves (tests/cli/http-server.c).
# shellcheck disable=SC2016,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

mkdir "$work/site"
noise 3000000 00 >"$work/site/big"
echo small >"$work/site/small"
: >"$work/site/empty"
big=$(sha256sum <"$work/site/big" | cut -d' ' -f1)
small=$(sha256sum <"$work/site/small" | cut -d' ' -f1)

start_http_server "$work/site"
base=http://127.0.0.1:$port
cache=$work/cache

# spec SOURCE...    writes bundle.yaml with a component for each
spec() {
	local source n=0
	begin_spec "$work/spec" test
	for source in "$@"; do
		n=$((n + 1))
		printf '  - {name: part%s, version: "1", license: none, source: {%s}, files: [{to: /opt/part%s}]}\n' \
			$n "$source" $n >>"$work/spec/bundle.yaml"
	done
}

# fresh SOURCE...    an empty cache and an empty log as well
fresh() {
	rm -rf "$cache" "$work/spec"
	: >"$work/log"
	spec "$@"
}

fetch() { "$BYOH_BUNDLE" fetch "$work/spec/bundle.yaml" --cache "$cache" "$@"; }
whole() { [ -f "$cache/sha256/$1" ] && [ "$(sha256sum <"$cache/sha256/$1" | cut -d' ' -f1)" = "$1" ]; }
nothing_kept() { [ -z "$(find "$cache" -type f)" ]; }

fresh "url: $base/ranges/big, sha256: $big" "url: $base/ranges/small, sha256: $small"
check "two files are fetched and kept under their digests" \
	eval 'exits 0 fetch && whole $big && whole $small'
: >"$work/log"
check "a second run asks nobody" eval 'exits 0 fetch && [ "$(asked .)" = 0 ]'
printf x | dd of="$cache/sha256/$big" bs=1 seek=100 conv=notrunc 2>/dev/null
check "a file that was damaged in the cache is fetched anew" eval 'exits 0 fetch && whole $big'

fresh "url: $base/cut/big, sha256: $big"
check "a line that is cut again and again: the rest is asked for, not the whole" \
	eval 'exits 0 fetch && whole $big && [ "$(asked "/cut/big range=bytes=1500000-")" = 1 ] && [ "$(asked "range=- ")" = 1 ]'

fresh "url: $base/cut/big, sha256: $big"
check "without retries the part stays" \
	eval 'exits 1 fetch --retries 0 && [ "$(stat -c %s "$cache/sha256/$big.part")" = 1500000 ]'
spec "url: $base/ranges/big, sha256: $big"
: >"$work/log"
check "and the next run goes on from it" \
	eval 'exits 0 fetch && whole $big && [ "$(asked "range=bytes=1500000-")" = 1 ] && [ "$(asked .)" = 1 ]'

fresh "url: $base/cut/big, sha256: $big"
exits 1 fetch --retries 0 || true
spec "url: $base/plain/big, sha256: $big"
check "a server without ranges starts from the beginning, at once" \
	eval 'exits 0 fetch && whole $big && [ "$(asked /plain/big)" = 1 ]'

fresh "url: $base/cut/big, sha256: $big"
exits 1 fetch --retries 0 || true
printf x | dd of="$cache/sha256/$big.part" bs=1 seek=100 conv=notrunc 2>/dev/null
spec "url: $base/ranges/big, sha256: $big"
check "a damaged part is noticed and all of it fetched again" \
	eval 'exits 0 fetch && whole $big && [ "$(asked "/ranges/big range=- ")" = 1 ]'

fresh "url: $base/cut/big, sha256: $big"
exits 1 fetch --retries 0 || true
cp "$work/site/big" "$cache/sha256/$big.part"
spec "url: $base/ranges/big, sha256: $big"
check "a part that is whole is kept (416)" eval 'exits 0 fetch && whole $big'

fresh "url: $base/cut/big, sha256: $big"
exits 1 fetch --retries 0 || true
spec "url: $base/shifted/big, sha256: $big"
check "another range than the one asked for is not appended" eval 'exits 0 fetch && whole $big'

fresh "url: $base/cutplain/big, sha256: $big"
check "without ranges and always cut it gives up" eval 'exits 1 fetch --retries 1 && ! whole $big'

fresh "url: $base/wrong/big, sha256: $big"
check "a wrong digest is refused with 3" eval 'exits 3 fetch && says "$big"'
check "and nothing of it is kept" nothing_kept

fresh "url: $base/flaky/small, sha256: $small"
check "503 is tried again" eval 'exits 0 fetch && whole $small && [ "$(asked flaky)" = 2 ]'
fresh "url: $base/missing, sha256: $small"
check "404 is not" eval 'exits 1 fetch && says 404 && [ "$(asked missing)" = 1 ]'
fresh "url: $base/redirect/small, sha256: $small"
check "a redirect is followed" eval 'exits 0 fetch && whole $small'
fresh "url: $base/loop, sha256: $small"
check "a circle of redirects ends" eval 'exits 1 fetch && [ "$(asked loop)" -le 12 ]'

fresh "url: $base/ranges/small, unlocked: true"
check "http without a digest is refused" eval 'exits 2 fetch && [ "$(asked .)" = 0 ]'
fresh "url: $base/ranges/small"
check "a source without digest that does not say unlocked is refused" eval 'exits 2 fetch && says "bundle.yaml:9:"'

fresh "url: file://$work/site/big, sha256: $big" "url: file://$work/site/empty, unlocked: true"
check "file:// is fetched, with a digest or unlocked" \
	eval 'exits 0 fetch && whole $big && [ "$(find "$cache/url" -type f | wc -l)" = 1 ]'
fresh "url: file://$work/site/big, sha256: $small"
check "file:// with a wrong digest is refused" eval 'exits 3 fetch && nothing_kept'

fresh "path: big, sha256: $big"
cp "$work/site/big" "$work/spec/big"
check "a path source is checked where it lies" exits 0 fetch
printf x >>"$work/spec/big"
check "and refused when it is another" exits 3 fetch

# https: the server's certificate counts, and a redirect to http is not followed.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" \
	-days 2 -subj /CN=test -addext subjectAltName=DNS:localhost 2>/dev/null
{
	printf 'HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\n'
	cat "$work/site/small"
} >"$work/site/answer"
printf 'HTTP/1.0 302 Found\r\nLocation: %s/ranges/small\r\nContent-Length: 0\r\n\r\n' "$base" >"$work/site/away"
mkfifo "$work/tls-port"
(cd "$work/site" && exec openssl s_server -accept localhost:0 -4 -HTTP -key ../key.pem -cert ../cert.pem) \
	>"$work/tls-port" 2>/dev/null </dev/null &
pids+=($!)
exec 8<"$work/tls-port"
while read -r line <&8; do
	case $line in ACCEPT*) break ;; esac
done
secure=https://localhost:${line##*:}
fresh "url: $secure/answer, unlocked: true"
check "https with a certificate that SSL_CERT_FILE vouches for" exits 0 env SSL_CERT_FILE="$work/cert.pem" \
	"$BYOH_BUNDLE" fetch "$work/spec/bundle.yaml" --cache "$cache"
fresh "url: $secure/answer, unlocked: true"
check "https with any other is refused" eval 'exits 1 fetch --retries 0 && nothing_kept'
fresh "url: $secure/away, sha256: $small"
check "https does not lead to http" eval 'exits 1 env SSL_CERT_FILE="$work/cert.pem" "$BYOH_BUNDLE" fetch "$work/spec/bundle.yaml" --cache "$cache" && says "Protocol \"http\"" && [ "$(asked .)" = 0 ]'
exec 8<&-

# Locks
lock() { "$BYOH_BUNDLE" lock "$work/spec/bundle.yaml" --cache "$cache" "$@"; }
fresh "url: file://$work/site/small" "path: big" "url: $base/ranges/big, sha256: $big"
cp "$work/site/big" "$work/spec/big"
check "lock --check refuses what nothing pins" eval 'exits 2 lock --check && says part1'
check "lock writes the digests that are missing, and no others" \
	eval 'exits 0 lock && grep -q "$small" "$work/spec/bundle.lock" && grep -q "$big" "$work/spec/bundle.lock" && [ "$(grep -c component "$work/spec/bundle.lock")" = 2 ]'
cp "$work/spec/bundle.lock" "$work/first.lock"
check "the same inputs give the same lock" eval 'exits 0 lock && cmp "$work/first.lock" "$work/spec/bundle.lock"'
check "lock --check is then content, without network" \
	eval 'exits 0 lock --check && grep -qx "3 locked, 0 unlocked" "$work/out" && [ "$(asked .)" = 0 ]'
check "fetch uses the lock" eval 'exits 0 fetch && whole $small && whole $big'
printf x >>"$work/spec/big"
check "lock --check notices another file" eval 'exits 2 lock --check && says part2'
fresh "url: https://nowhere.invalid/x, unlocked: true"
check "lock --check prints what is unlocked" \
	eval 'exits 0 lock --check && grep -q "^unlocked part1 https://nowhere.invalid/x" "$work/out"'
echo '{"apiVersion": "byoh-bundle/v1alpha1", "kind": "Lock", "sources": [], "images": [], "more": 1}' \
	>"$work/spec/bundle.lock"
check "a lock with an unknown key is refused with its place" eval 'exits 2 lock --check && says "bundle.lock:1:"'

# No file may be fetched by two at once: the part would be a mixture.
fresh "url: $base/ranges/big, sha256: $big"
mkdir -p "$cache/sha256"
: >"$cache/sha256/$big.part"
check "a part that another run writes is left alone" \
	eval 'exec 9<>"$cache/sha256/$big.part" && flock 9 && exits 1 fetch && says "another fetch"'
exec 9>&-
check "and is fetched once that run has ended" eval 'exits 0 fetch && whole $big'

step "proxies"
# The server stands in for one: what it is asked for as a proxy begins with http:// or is a CONNECT.
behind() { env "http_proxy=$base" "https_proxy=$base" "$@"; }
fresh "url: http://upstream.invalid/ranges/small, sha256: $small"
check "http goes through the publisher's proxy" eval 'exits 0 behind "$BYOH_BUNDLE" fetch "$work/spec/bundle.yaml" --cache "$cache" && whole $small &&
	[ "$(asked "^GET http://upstream.invalid/ranges/small ")" = 1 ]'
fresh "url: https://upstream.invalid/small, sha256: $small"
check "https asks it for a tunnel" eval 'exits 1 behind "$BYOH_BUNDLE" fetch "$work/spec/bundle.yaml" --cache "$cache" --retries 0 &&
	[ "$(asked "^CONNECT upstream.invalid:443 ")" = 1 ] && nothing_kept'
fresh "url: $base/ranges/small, sha256: $small"
check "no_proxy is left out" eval 'exits 0 behind no_proxy=127.0.0.1 "$BYOH_BUNDLE" fetch "$work/spec/bundle.yaml" --cache "$cache" && whole $small &&
	[ "$(asked "^GET /ranges/small ")" = 1 ] && [ "$(asked "http://")" = 0 ]'
fresh
make_keys key
plain_spec "$work/plain"
build_bundle "$work/plain" key "$work/plain.run"
make_host "$work/root"
: >"$work/log"
all() { behind "all_proxy=$base" "HTTP_PROXY=$base" "HTTPS_PROXY=$base" "ALL_PROXY=$base" "$@"; }
check "byoh-install asks no proxy" eval 'exits 0 all "$work/plain.run" verify && exits 0 all "$work/plain.run" install --root "$work/root" &&
	exits 1 all "$work/plain.run" install --root "$work/root" --from http://127.0.0.1:1/plain.run && [ "$(asked .)" = 0 ]'

exit "$failed"
