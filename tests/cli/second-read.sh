#!/bin/bash
# A medium that gives the right bytes once, and others to whoever reads them again: nothing that was checked is read
# twice, be it a bundle, slices, a delta or what the delta builds on.
# shellcheck disable=SC2016,SC2034,SC2046,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ] && [ "${1:-}" != -h ] && unshare --mount --propagation private true 2>/dev/null; then
	exec unshare --mount --propagation private "$0" inside
fi
mounts_work=${1:-}
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
stick=$work/stick
mkdir "$stick"

step "bundles"
make_keys key
plain_spec "$work/plain"
build_bundle "$work/plain" key "$work/plain.bundle"
build_bundle "$work/plain" key "$work/plain.run"
"$BYOH_BUNDLE" split "$work/plain.bundle" --size 3M --out "$work/slices" --quiet
cp -a "$work/plain" "$work/changed"
printf another | dd of="$work/changed/data" bs=1000 seek=1500 conv=notrunc status=none
sed -i "s/^version: \"1.0\"/version: \"2.0\"/; s/data, sha256: [0-9a-f]*/data, sha256: $(sha256sum <"$work/changed/data" | cut -c1-64)/" "$work/changed/bundle.yaml"
build_bundle "$work/changed" key "$work/delta.bundle" --base "$work/plain.bundle"
id=$("$BYOH_BUNDLE" inspect "$work/plain.bundle" --json | jq -r .id)

# holds FILE...    a fresh stick with them, of which each byte from $from on is good once
holds() {
	[ "${#mounts[@]}" = 0 ] || umount "$stick"
	mounts=()
	"$work/lying-stick" "$stick" 134217728 134217728 second "$from" 2>"$work/err" || return 1
	mounts=("$stick")
	[ $# = 0 ] || cp "$@" "$stick/"
}
root=$work/root
fresh_host() {
	rm -rf "$root"
	make_host "$root"
}
install_it() { "$BYOH_INSTALL" install --from "$1" --key "$work/key/public.pem" --root "$root" --quiet; }
# Four bytes tell what kind of file it is, and are looked at before all else.
from=4

step "media that lie"
if [ "$mounts_work" != inside ]; then
	skip "media that lie" "no mount namespace can be made here"
elif ! pkg-config --exists fuse3 2>/dev/null; then
	skip "media that lie" "there is no libfuse3-dev"
elif ! "${CC:-gcc}" -O1 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -o "$work/lying-stick" "$here/lying-stick.c" \
	$(pkg-config --cflags --libs fuse3) 2>"$work/err"; then
	fail "the lying stick compiles"
elif ! holds; then
	skip "media that lie" "nothing can be mounted by FUSE here: $(tail -n 1 "$work/err")"
else
	holds "$work/plain.bundle"
	check "verify reads nothing twice" exits 0 "$BYOH_BUNDLE" verify "$stick/plain.bundle"
	check "the stick does lie" exits 3 "$BYOH_BUNDLE" verify "$stick/plain.bundle"
	holds "$work/plain.bundle"
	fresh_host
	check "an installation reads nothing twice" eval 'exits 0 install_it "$stick/plain.bundle" && cmp "$work/plain/data" "$root/opt/plain/data"'
	check "what it keeps is what it checked" cmp "$work/plain.bundle" "$root/var/lib/byoh/releases/$id/bundle"
	fresh_host
	before "$root"
	check "from lies it takes nothing" eval 'exits 3 install_it "$stick/plain.bundle" && as_before "$root"'
	holds "$work"/slices/plain.bundle.*
	fresh_host
	check "slices" eval 'exits 0 install_it "$stick" && cmp "$work/plain/data" "$root/opt/plain/data" && cmp "$work/plain.bundle" "$root/var/lib/byoh/releases/$id/bundle"'
	holds "$work"/slices/plain.bundle.*
	check "verify of slices" exits 0 "$BYOH_BUNDLE" verify "$stick/plain.bundle.001"
	holds "$work/delta.bundle"
	check "a delta" eval 'exits 0 install_it "$stick/delta.bundle" && cmp "$work/changed/data" "$root/opt/plain/data"'
	# Whether it begins to lie in the base's header, which is looked at for what is installed too, or behind it.
	for from in 4 100000; do
		fresh_host
		install_it "$work/plain.bundle" 2>"$work/err"
		mkdir -p "$work/kept"
		cp "$work/plain.bundle" "$work/kept/bundle"
		holds "$work/kept/bundle"
		mount --bind "$stick" "$root/var/lib/byoh/releases/$id"
		mounts+=("$root/var/lib/byoh/releases/$id")
		code=0
		install_it "$work/delta.bundle" >"$work/out" 2>"$work/err" </dev/null || code=$?
		umount "$root/var/lib/byoh/releases/$id"
		mounts=("$stick")
		case $from:$code in
		*:0) check "what a delta builds on, from $from" cmp "$work/changed/data" "$root/opt/plain/data" ;;
		4:4) check "what a delta builds on, from $from: refused" cmp "$work/plain/data" "$root/opt/plain/data" ;;
		*) fail "what a delta builds on, from $from: exit code $code" ;;
		esac
	done
	# Its own program in front is read more than once, to be found and to be checked: then it is refused, if anything.
	from=4
	holds "$work/plain.run"
	fresh_host
	code=0
	install_it "$stick/plain.run" >"$work/out" 2>"$work/err" </dev/null || code=$?
	check "a .run is refused, or becomes what it should" eval '[ "$code" = 3 ] || { [ "$code" = 0 ] && cmp "$work/plain/data" "$root/opt/plain/data" && exits 0 "$BYOH_INSTALL" verify --installed --root "$root"; }'
	umount "$stick"
	mounts=()
fi

exit "$failed"
