#!/bin/bash
# verify --installed below --root: every file, every kept bundle, every before-image; what it names and how it exits.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

if [ "${1:-}" = -h ]; then
	sed -n '2s/^# //p' "$0"
	exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "two releases"
make_keys key
plain_spec "$work/plain"
build_bundle "$work/plain" key "$work/one.run"
one=$(cat "$work/id")
sed -i 's/^version: "1.0"/version: "2.0"/' "$work/plain/bundle.yaml"
printf 'hello again\n' >"$work/plain/greeting"
sed -i "s/greeting, sha256: [0-9a-f]*/greeting, sha256: $(sha256sum <"$work/plain/greeting" | cut -c1-64)/" "$work/plain/bundle.yaml"
build_bundle "$work/plain" key "$work/two.run"
two=$(cat "$work/id")
root=$work/root
make_host "$root"
mkdir -p "$root/opt/plain"
echo 'the operator made this' >"$root/opt/plain/greeting"
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
# flip FILE OFFSET    one bit of it; twice is nothing
flip() { printf '%b' "\\x$(printf %02x $((0x$(od -An -tx1 -j "$2" -N 1 "$1" | tr -d " ") ^ 4)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
installed() { jq -e "$1" "$work/out" >/dev/null; }

check "nothing is installed" eval 'exits 2 "$work/one.run" verify --installed --root "$root" && says "no release is installed"'
exits 0 "$work/one.run" install --root "$root" --quiet
exits 0 "$work/two.run" install --root "$root" --quiet
before "$root"
check "good" eval 'exits 0 tool verify --installed && prints "no drift" && prints "good: plain 2.0" && grep -qE "^read [0-9.]+ MB of files and [0-9.]+ MB in 2 kept bundles$" "$work/out" && [ ! -s "$work/err" ]'
check "good, as JSON" eval 'exits 0 tool verify --installed --json && installed ".result == \"good\" and .id == \"$two\" and .version == \"2.0\" and
	.bundles == 2 and .fileBytes > 3000000 and .bundleBytes > 6000000 and .drift == [] and .damaged == []"'
check "looking changes nothing" as_before "$root"

step "files"
flip "$root/opt/plain/data" 2999999
chmod 600 "$root/opt/plain/greeting"
check "each damaged file is named" eval 'exits 7 tool verify --installed && prints "drift: file /opt/plain/data is different" &&
	prints "drift: file /opt/plain/greeting is different" && prints "repair" && [ "$(grep -c "^drift:" "$work/out")" = 2 ]'
check "and in JSON" eval 'exits 7 tool verify --installed --json && installed ".result == \"drift\" and .damaged == [] and
	[.drift[].subject] == [\"/opt/plain/data\", \"/opt/plain/greeting\"]"'
check "nobody is told that anything is saved" eval '! says "byoh-saved"'
check "repair" eval 'exits 0 tool repair && exits 0 tool verify --installed'

step "the key"
pinned=$(ls "$root/etc/byoh/keys.d")
rm "$root/etc/byoh/keys.d/$pinned"
check "a lost key is drift" eval 'exits 7 tool status && prints "drift: file /etc/byoh/keys.d/$pinned is missing" && exits 7 tool verify --installed'
check "and comes back" eval 'exits 0 tool repair && cmp "$work/key/public.pem" "$root"/etc/byoh/keys.d/*.pem && exits 0 tool status'
rm "$root"/etc/byoh/keys.d/*
mkdir "$root/etc/byoh/revoked.d"
cp "$work/key/public.pem" "$root/etc/byoh/revoked.d/"
check "one that was taken back does not" eval '! exits 0 tool repair && [ ! -e "$root"/etc/byoh/keys.d/*.pem ]'
rm -r "$root/etc/byoh/revoked.d"
check "nor with another in its place" eval '"$BYOH_BUNDLE" keygen --out "$work/other" >/dev/null && cp "$work/other/public.pem" "$root/etc/byoh/keys.d/" && exits 0 tool status'
rm "$root/etc/byoh/keys.d/public.pem"
check "the key is back" exits 0 tool repair

step "what is kept"
kept=$root/var/lib/byoh/releases
flip "$kept/$one/bundle" 2000000
check "a block of the release before" eval 'exits 3 tool verify --installed && prints "no drift" && prints "damaged: /var/lib/byoh/releases/$one/bundle" &&
	prints "is damaged" && prints "--from" && ! prints "$two/bundle"'
flip "$kept/$two/bundle" 2000000
rm "$root/opt/plain/empty"
check "of both, and a file" eval 'exits 3 tool verify --installed --json && installed ".result == \"damaged\" and (.damaged | length) == 2 and
	.drift[0].state == \"missing\" and ([.damaged[].path] | index(\"/var/lib/byoh/releases/$two/bundle\")) != null"'
flip "$kept/$two/bundle" 2000000
flip "$kept/$one/bundle" 2000000
flip "$kept/$two/bundle" 2000000
rm "$root/opt/plain/data"
check "repair says that it cannot mend from it any more" eval 'exits 3 tool repair && says "payload is damaged"'
check "a medium mends it all" eval 'exits 0 "$work/two.run" install --root "$root" && says "done:" && exits 0 tool verify --installed'
flip "$kept/$two/bundle" 2000000
check "repair warns where it needed nothing of it" eval 'exits 0 tool repair && says "warning" && says "$two/bundle" && says "run the medium"'
check "the medium has something to do then" eval 'exits 0 "$work/two.run" install --root "$root" && ! says "nothing to do" && exits 0 tool verify --installed'
check "and nothing the next time" eval 'exits 0 "$work/two.run" install --root "$root" && says "nothing to do"'
check "repair again" eval 'exits 0 tool repair && exits 0 tool verify --installed'
flip "$kept/$one/bundle" 600
check "a header" eval 'exits 3 tool verify --installed && prints "damaged: /var/lib/byoh/releases/$one/bundle" && prints "in 2 kept bundles"'
flip "$kept/$one/bundle" 600
mv "$kept/$one/bundle" "$work/aside"
check "a lost one of the release before" eval 'exits 3 tool verify --installed && prints "damaged: /var/lib/byoh/releases/$one/bundle: it is lost"'
cp "$kept/$two/bundle" "$kept/$one/bundle"
check "another in its place" eval 'exits 3 tool verify --installed && prints "another bundle, $two"'
mv "$work/aside" "$kept/$one/bundle"
mv "$kept/$two/bundle" "$work/aside"
check "the installed one is lost" eval 'exits 3 tool verify --installed && says "--from"'
mv "$work/aside" "$kept/$two/bundle"
image=$(find "$root/var/lib/byoh/before" -type f -exec grep -l 'the operator made this' {} +)
rm "$image"
check "a lost before-image" eval 'exits 3 tool verify --installed && prints "damaged: ${image#"$root"}: lost, which stood at /opt/plain/greeting before"'
flip "$root/var/lib/byoh/ledger" 40
check "a damaged ledger" eval '! exits 0 tool verify --installed && says "/var/lib/byoh/ledger" && says "damaged" && says "from a backup of this host"'
check "and for uninstall" eval 'exits 6 tool uninstall --yes && says "from a backup of this host"'
mv "$root/var/lib/byoh/ledger" "$work/aside"
before "$root"
check "a lost one is no empty one" eval 'exits 1 tool uninstall --yes && says "/var/lib/byoh/ledger is lost" && says "from a backup of this host"'
rm -f "$root"/var/log/byoh/uninstall-*
check "and nothing is taken away" as_before "$root"
mv "$work/aside" "$root/var/lib/byoh/ledger"

step "interrupts and terminals"
flip "$root/var/lib/byoh/ledger" 40
if command -v script >/dev/null; then
	check "a bar on a terminal" eval 'script -qec "$root/usr/local/sbin/byoh-install verify --installed --root $root" /dev/null >"$work/out" 2>"$work/err" </dev/null || true
		grep -q "Reading " "$work/out" && grep -q "Verifying " "$work/out"'
	rm "$root/opt/plain/empty"
	check "and for repair" eval 'script -qec "$root/usr/local/sbin/byoh-install repair --root $root" /dev/null >"$work/out" 2>"$work/err" </dev/null && grep -q "Reading " "$work/out"'
else
	skip "a bar on a terminal" "no script(1) here"
fi

exit "$failed"
