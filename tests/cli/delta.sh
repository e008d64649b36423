#!/bin/bash
# A delta: what it holds, that what it becomes is what the full bundle becomes, that repair and rollback work behind it,
# and that a host without the base, or with a damaged one, refuses it and takes the full one.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

if [ "${1:-}" = -h ]; then
	sed -n '2,3s/^# //p' "$0"
	exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
pub=$work/key/public.pem

step "bundles"
make_keys key
# What stays, what changes in the middle, what moves, what changes wholly, what is new, what is small.
noise 3000000 01 >"$work/stays"
noise 4000000 02 >"$work/half"
noise 1000000 03 >"$work/other"
noise 600000 04 >"$work/moves"
noise 500000 05 >"$work/new"

# release NAME VERSION MARK [NAME-OF-A-FILE]    a spec in $work/NAME whose files differ by the mark
release() {
	begin_spec "$work/$1" plain
	sed -i "s/^version:.*/version: \"$2\"/" "$work/$1/bundle.yaml"
	cp "$work/stays" "$work/moves" "$work/$1/"
	cat "$work/half" <(echo "$3") "$work/other" >"$work/$1/changes"
	echo "hello $3" >"$work/$1/greeting"
	: >"$work/$1/empty"
	add_part "$work/$1" stays 1 /opt/plain/stays 0755
	add_part "$work/$1" changes "$3" /opt/plain/changes 0750
	add_part "$work/$1" greeting "$3" /opt/plain/greeting 0640
	add_part "$work/$1" empty 1 /opt/plain/empty 0600
	add_part "$work/$1" moves 1 "/opt/plain/${4:-before}" 0644
}
release one 1.0 first
release two 2.0 second after
cp "$work/new" "$work/two/new"
add_part "$work/two" new 1 /opt/plain/new 0644
release three 3.0 third after
release alien 1.0 alien
noise 3000000 06 >"$work/alien/stays"
begin_spec "$work/alien" plain
for name in stays changes greeting; do add_part "$work/alien" "$name" 1 "/opt/plain/$name" 0644; done
build() { build_bundle "$work/$1" key "$work/$2" "${@:3}" || cat "$work/err" >&2; }
for name in one two three alien; do build "$name" "$name.bundle"; done
build two two.run
build two delta.bundle --base "$work/one.bundle"
build two delta.run --base "$work/one.bundle"
build three again.bundle --base "$work/two.bundle"
build three chain.bundle --base "$work/delta.bundle" --base "$work/one.bundle"
size() { stat -c %s "$work/$1"; }
id() { "$BYOH_BUNDLE" inspect "$work/$1" --json | jq -r .id; }
echo "a delta of $(size delta.bundle) bytes for $(size two.bundle)"

step "what it is"
# New are 500 kB that do not compress; the installer is the same.
check "it holds what is new and little more" [ "$(size delta.bundle)" -lt 560000 ]
check "the same inputs give the same bytes" eval 'build two same.bundle --base "$work/one.bundle" && cmp "$work/same.bundle" "$work/delta.bundle"'
check "verify checks it without the base, and says what it needs" eval 'exits 0 "$BYOH_BUNDLE" verify "$work/delta.bundle" --key "$pub" && prints "good: plain 2.0" && prints "where plain 1.0 is"'
check "inspect names the base" eval 'exits 0 "$BYOH_BUNDLE" inspect "$work/delta.bundle" && prints "what plain 1.0 has not" && prints "$(id one.bundle)"'
check "as JSON, too" eval 'exits 0 "$BYOH_BUNDLE" inspect "$work/delta.bundle" --json && [ "$(jq -r .base.id <"$work/out")" = "$(id one.bundle)" ]'
check "its list of materials needs no base" eval 'exits 0 "$BYOH_BUNDLE" inspect "$work/delta.bundle" --sbom && jq -e .spdxVersion <"$work/out" >/dev/null'
check "diff sees the same as between full ones" eval '"$BYOH_BUNDLE" diff "$work/one.bundle" "$work/two.bundle" | grep -v "^[a-z0-9 ]* bytes" >"$work/full" ; "$BYOH_BUNDLE" diff "$work/one.bundle" "$work/delta.bundle" >"$work/out"; grep -q changes "$work/out" && grep -q new "$work/out" && ! grep -q "opt/plain/stays" "$work/out"'
check "byoh-bundle builds none on what is no bundle" exits 3 "$BYOH_BUNDLE" build "$work/two/bundle.yaml" --key "$work/key/private.pem" --stub "$BYOH_INSTALL" --out "$work/none.bundle" --base "$pub"
check "on a delta it needs what that builds on" eval 'exits 4 "$BYOH_BUNDLE" build "$work/three/bundle.yaml" --key "$work/key/private.pem" --stub "$BYOH_INSTALL" --out "$work/none.bundle" --quiet --base "$work/delta.bundle" && says "plain 1.0"'

# host NAME BUNDLE    a host in $work/NAME with that bundle
host() {
	rm -rf "${work:?}/$1"
	make_host "$work/$1"
	"$BYOH_INSTALL" install --from "$work/$2" --key "$pub" --root "$work/$1" --quiet 2>"$work/err" >&2 || cat "$work/err" >&2
}
for name in one two three; do host "full-$name" "$name.bundle"; done
root=$work/root
install_it() { "$BYOH_INSTALL" install --from "$work/$1" --root "$root" "${@:2}"; }
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
# like NAME    the host's files are those of a host that got the full bundle
like() { diff <(snapshot "$root/opt") <(snapshot "$work/full-$1/opt") >>"$work/err"; }
kept() { find "$root/var/lib/byoh/releases" -name bundle | wc -l; }
state() { jq -r ".$1" <"$root/var/lib/byoh/state.json"; }

step "installing it"
host root one.bundle
check "the plan says what it is" eval 'exits 0 "$BYOH_INSTALL" plan --from "$work/delta.bundle" --root "$root" && says "same as in plain 1.0" || prints "same as in plain 1.0"'
check "it installs" exits 0 install_it delta.bundle
check "and becomes what the full bundle becomes" like two
check "all is well on the host" eval 'exits 0 tool status && exits 0 tool verify --installed'
check "run again it has nothing to do" eval 'exits 0 install_it delta.bundle && says "nothing to do"'
check "the base stays with it" eval '[ "$(kept)" = 2 ] && [ "$(state bases)" = "$(id one.bundle) " ]'

step "repair"
damage "$root/opt/plain/stays" 1000
damage "$root/opt/plain/changes" 4000001
rm "$root/opt/plain/new"
check "brings back what came from the base and what did not" eval 'exits 0 tool repair && rm -f "$root"/opt/plain/*.byoh-saved && like two'

step "rollback"
check "to the base" eval 'exits 0 tool rollback --yes && like one'
check "the delta stays with what it needs" eval '[ "$(kept)" = 2 ]'
check "forward again" eval 'exits 0 tool rollback --yes && like two'

step "a delta on it"
check "one that names the full bundle finds the same files" exits 0 install_it again.bundle
check "and becomes what it should" like three
check "three releases are kept: both deltas, and what they build on" [ "$(kept)" = 3 ]
damage "$root/opt/plain/stays" 2000
check "repair goes through both" eval 'exits 0 tool repair && rm -f "$root"/opt/plain/*.byoh-saved && like three'
check "rollback too" eval 'exits 0 tool rollback --yes && like two'
check "one that names the delta" eval 'exits 0 install_it chain.bundle && like three && [ "$(state bases | wc -w)" = 2 ]'
check "a full bundle ends the chain, but what can be gone back to stays whole" eval 'exits 0 install_it one.bundle --allow-downgrade && like one && [ "$(state bases)" = null ] && exits 0 tool rollback --yes && like three'
check "when nothing stands on it any more it goes" eval 'exits 0 install_it two.bundle --allow-downgrade && exits 0 install_it three.bundle && [ "$(kept)" = 2 ] && like three'

step "extract"
host root one.bundle
check "with the base that is kept" eval 'exits 0 "$BYOH_INSTALL" extract "$work/extracted" --from "$work/delta.bundle" --root "$root" && diff -r "$work/extracted/opt" "$work/full-two/opt"'
check "nothing else lies there" eval '[ "$(find "$work/extracted" -name ".byoh*" | wc -l)" = 0 ]'

step "what does not fit"
# The host but for what it wrote of the run into its log.
look() { snapshot "$root" | grep -v var/log/byoh >"$work/${1:-before}"; }
as_seen() { look now && diff "$work/before" "$work/now" >>"$work/err"; }
# refused CODE TEXT BUNDLE    and then the full one goes
refused() {
	look
	exits "$1" install_it "$3" --key "$pub" --quiet && says "$2" && says "--from FILE" && as_seen &&
		exits 0 install_it two.bundle --key "$pub" --quiet && like two
}
rm -rf "$root"
make_host "$root"
check "a host without the base" refused 4 "is not kept here" delta.bundle
check "its own executable says so, too" eval 'rm -rf "$root"; make_host "$root"; before "$root"; exits 4 "$work/delta.run" --root "$root" && says "plain 1.0" && as_before "$root"'
check "and installs where the base is" eval 'host root one.bundle && exits 0 "$work/delta.run" --root "$root" && like two'
host root alien.bundle
check "a host with another release" refused 4 "is not kept here" delta.bundle
host root one.bundle
kept_one=$root/var/lib/byoh/releases/$(id one.bundle)/bundle
damage "$kept_one" $(($(stat -c %s "$kept_one") / 2))
check "a base that has decayed" refused 4 "damaged" delta.bundle
host root one.bundle
truncate -s 100000 "$root/var/lib/byoh/releases/$(id one.bundle)/bundle"
check "a base that was cut short" refused 4 "cannot be used" delta.bundle
host root one.bundle
damage "$root/opt/plain/stays" 5
check "a file that somebody changed is no part of it" eval 'exits 0 install_it delta.bundle && rm -f "$root"/opt/plain/*.byoh-saved && like two'
host root one.bundle
cp "$work/delta.bundle" "$work/bad.bundle"
for at in 100 250000 500000; do
	damage "$work/bad.bundle" $(($(size delta.bundle) - at))
	look
	check "a flipped byte in the delta, $at from its end" eval 'exits 3 install_it bad.bundle && as_seen'
	damage "$work/bad.bundle" $(($(size delta.bundle) - at))
done
check "the base comes back from its medium" eval 'rm "$kept_one"; exits 4 install_it delta.bundle && exits 0 install_it one.bundle && exits 0 install_it delta.bundle && like two'

step "a file larger than a frame"
for mark in small large; do
	begin_spec "$work/$mark" large
	for _ in 1 2 3 4 5 6; do noise 24000000 07; done >"$work/$mark/file"
	add_part "$work/$mark" file "$mark" /opt/large/file 0644
done
sed -i 's/^version:.*/version: "2.0"/' "$work/large/bundle.yaml"
noise 3000 08 | dd of="$work/large/file" bs=1000 seek=130000 conv=notrunc status=none
sum=$(sha256sum <"$work/large/file" | cut -c1-64)
sed -i "s/\(file, sha256: \).*}/\1$sum}/" "$work/large/bundle.yaml"
build small small.bundle
build large large.bundle --base "$work/small.bundle"
echo "a delta of $(size large.bundle) bytes"
host root small.bundle
within() { (ulimit -d "$1" && shift && exec "$@"); }
check "it costs what has changed" [ "$(size large.bundle)" -lt 100000 ]
check "320 MiB of memory are enough" eval 'exits 0 within $((320 * 1024)) "$BYOH_INSTALL" install --from "$work/large.bundle" --root "$root"'
check "all is there" cmp "$work/large/file" "$root/opt/large/file"

exit "$failed"
