#!/bin/bash
# The programs need nothing from the host: statically linked, at work in an empty root, and without a single
# internet socket while they install.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "programs"
headers() { readelf -lW "$1"; }
# none_of PATTERN COMMAND...    it succeeds, says something, and no line of that is like this
none_of() {
	local pattern=$1
	shift
	"$@" >"$work/listing" && [ -s "$work/listing" ] && ! grep -qE -- "$pattern" "$work/listing"
}
check "a program that is not there fails" eval '! none_of INTERP headers "$work/none" 2>/dev/null'
for program in "$BYOH_INSTALL" "$BYOH_BUNDLE"; do
	name=${program##*/}
	check "$name asks for no loader" none_of INTERP headers "$program"
	check "$name asks for no library" none_of NEEDED readelf -dW "$program"
	check "$name lies anywhere in memory" eval 'readelf -hW "$program" | grep -qE "Type: +DYN"'
	check "$name has no stack that can be run" eval 'headers "$program" | grep GNU_STACK | grep -q "RW " && headers "$program" | grep -q GNU_RELRO'
	check "$name has no segment that can be written and run" none_of 'LOAD.*RWE' headers "$program"
	check "$name has no symbols" none_of '[.]symtab' readelf -SW "$program"
done

step "an empty root"
make_keys key
plain_spec "$work/plain"
build_bundle "$work/plain" key "$work/plain.run"
jail=$work/jail
mkdir "$jail"
cp "$work/plain.run" "$jail/"
in_jail() { chroot "$jail" "$@"; }
if chroot "$jail" /plain.run --version >"$work/out" 2>"$work/err"; then
	check "verify" eval 'exits 0 in_jail /plain.run verify && prints good'
	check "inspect" eval 'exits 0 in_jail /plain.run inspect --json && [ "$(jq -r .name "$work/out")" = plain ]'
	check "inspect --sbom" eval 'exits 0 in_jail /plain.run inspect --sbom && jq -e .spdxVersion "$work/out" >/dev/null'
	check "extract" eval 'exits 0 in_jail /plain.run extract /out && cmp "$work/plain/data" "$jail/out/opt/plain/data"'
	check "install below --root" eval 'mkdir "$jail/root" && exits 0 in_jail /plain.run install --root /root && cmp "$work/plain/data" "$jail/root/opt/plain/data"'
	check "install again" eval 'exits 0 in_jail /plain.run install --root /root && says "nothing to do"'
	rm -rf "$jail/root"
	check "nothing else was made" eval '[ "$(cd "$jail" && find . -maxdepth 1 | sort | paste -sd " ")" = ". ./out ./plain.run" ]'
	cp "$BYOH_BUNDLE" "$work/key/public.pem" "$jail/"
	check "the publisher's tool, too" eval 'exits 0 in_jail /byoh-bundle verify /plain.run --key /public.pem'
else
	skip "an empty root" "no chroot here: $(tail -n 1 "$work/err")"
fi
# A tool under another name, started through a link, still finds the bundle behind itself.
check "started through a link" eval 'ln -s plain.run "$work/linked" && exits 0 "$work/linked" verify && prints good'
check "started by a relative name" eval 'cd "$work" && exits 0 ./plain.run verify && prints good'
check "started by the search path" eval 'PATH=$work:$PATH && exits 0 plain.run verify && prints good'

step "sockets"
node_spec "$work/node"
build_bundle "$work/node" key "$work/node.run"
make_ca
make_host "$work/root"
echo abcdef.0123456789abcdef >"$work/token"
cat >"$work/byoh.yaml" <<'END'
apiVersion: byoh-install/v1alpha1
kind: InstallConfig
cluster: {server: "https://127.0.0.1:6443", ca: {file: ca.crt}, token: {file: token}}
END
traced() { strace -f -qq -e trace=network -o "$work/trace" "$@"; }
internet() { grep -cE 'AF_INET' "$work/trace" || true; }
quiet_on_the_net() { exits 0 traced "$@" && [ "$(internet)" = 0 ]; }
if strace -qq -o /dev/null true 2>/dev/null; then
	begin_spec "$work/web" web
	echo '  - {name: x, version: "1", license: none, source: {url: "http://127.0.0.1:1/x", sha256: '"$(sha256sum </dev/null | cut -c1-64)"'}, files: [{to: /x}]}' >>"$work/web/bundle.yaml"
	check "a trace shows sockets where there are some" \
		eval 'exits 1 traced "$BYOH_BUNDLE" fetch "$work/web/bundle.yaml" --cache "$work/cache" --retries 0 && [ "$(internet)" != 0 ]'
	check "install --root opens none" quiet_on_the_net "$work/node.run" install --root "$work/root" --config "$work/byoh.yaml" --yes
	for verb in plan status preflight verify inspect; do
		case $verb in
		verify | inspect) check "$verb opens none" quiet_on_the_net "$work/node.run" "$verb" ;;
		status) check "$verb opens none" quiet_on_the_net "$work/node.run" "$verb" --root "$work/root" ;;
		*) check "$verb opens none" quiet_on_the_net "$work/node.run" "$verb" --root "$work/root" --config "$work/byoh.yaml" ;;
		esac
	done
	check "join opens none" quiet_on_the_net "$work/root/usr/local/sbin/byoh-install" join --token-file "$work/token" --root "$work/root"
	check "build opens none" quiet_on_the_net "$BYOH_BUNDLE" build "$work/plain/bundle.yaml" --key "$work/key/private.pem" \
		--stub "$BYOH_INSTALL" --out "$work/again.bundle" --level 1
else
	skip sockets "strace cannot trace here"
fi

exit "$failed"
