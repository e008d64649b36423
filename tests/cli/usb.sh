#!/bin/bash
# Bundles onto sticks: what is copied, read back, verified and receipted; sticks that lie, that are full, that are
# FAT. In a mount namespace of its own where one can be had.
# shellcheck disable=SC2016,SC2046,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
if [ "${1:-}" != inside ] && [ "${1:-}" != -h ] && unshare --mount --propagation private true 2>/dev/null; then
	exec unshare --mount --propagation private "$0" inside
fi
mounts_work=${1:-}
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

key_id() { openssl pkey -pubin -in "$work/$1/public.pem" -outform der | sha256sum | cut -c1-64; }
usb() { "$BYOH_BUNDLE" usb "$@"; }
fresh_stick() {
	stick=$work/stick
	rm -rf "$stick"
	mkdir "$stick"
}
# refused CODE COMMAND...    one sentence, and the stick as it was
refused() { exits "$@" && [ "$(grep -vc warning: "$work/err")" = 1 ] && as_before "$stick"; }
receipt() { jq -e "$1" "$stick/byoh-receipt.json" >>"$work/err"; }

step "bundles"
for name in key other; do
	make_keys "$name"
done
plain_spec "$work/plain"
build_bundle "$work/plain" key "$work/plain.run"
build_bundle "$work/plain" key "$work/plain.bundle"
id=$(cat "$work/id")
echo 'apiVersion: byoh-install/v1alpha1' >"$work/byoh.yaml"
head -c 1000000 "$work/plain.bundle" >"$work/plain.bundle.001"

step "a folder"
fresh_stick
check "copies" exits 0 usb "$work/plain.run" "$work/plain.bundle.001" "$work/byoh.yaml" --to "$stick" --key "$work/key/public.pem"
check "what is there is what was named" eval '[ "$(ls -A "$stick" | paste -sd" ")" = "byoh-receipt.json byoh.yaml plain.bundle.001 plain.run" ] &&
	cmp "$work/plain.run" "$stick/plain.run" && cmp "$work/byoh.yaml" "$stick/byoh.yaml" && cmp "$work/plain.bundle.001" "$stick/plain.bundle.001"'
check "says so" eval 'prints "plain 1.0" && prints "id $id" && prints "signed by $(key_id key)" && ! prints compare && prints "read back" && prints "byoh-receipt.json"'
check "the receipt: what, whose, when" receipt ".format == \"byoh-usb-receipt/v1\" and (.written | test(\"^20..-..-..T..:..:..Z$\"))
	and .files[0].id == \"$id\" and .files[0].kind == \"bundle\" and .files[0].epoch == 1
	and .files[0].signers == [{key: \"$(key_id key)\", vouched: true}]
	and .files[0].sha256 == \"$(sha256sum <"$work/plain.run" | cut -c1-64)\" and .files[0].size == $(stat -c %s "$work/plain.run")
	and .files[1].kind == \"slice\" and .files[1].sha256 == \"$(sha256sum <"$work/plain.bundle.001" | cut -c1-64)\"
	and .files[2].kind == \"file\" and .fileSystem.size > 0 and (.device | has(\"serial\"))"
check "again, in JSON" eval 'exits 0 usb "$work/plain.run" --to "$stick" --json && cmp "$work/out" "$stick/byoh-receipt.json" && jq -e ".files[0].signers[0].vouched == false" "$work/out" >/dev/null'
check "without --key it says that nobody vouched" eval 'exits 0 usb "$work/plain.run" --to "$stick" && prints "nobody vouched"'
ln -s plain.bundle "$work/link.bundle"
check "a link is what it names" eval 'exits 0 usb "$work/link.bundle" --to "$stick" --quiet && [ ! -L "$stick/link.bundle" ] && cmp "$work/plain.bundle" "$stick/link.bundle"'
touch "$stick/.byoh-usb-0.tmp" "$stick/.byoh-usb-7.tmp"
check "what a run that was cut off left is removed" eval 'exits 0 usb "$work/plain.bundle" --to "$stick" --quiet && [ ! -e "$stick/.byoh-usb-7.tmp" ]'

step "slices"
fresh_stick
mkdir "$work/slices"
"$BYOH_BUNDLE" split "$work/plain.bundle" --size 3M --out "$work/slices" --quiet
check "all of them, checked as the bundle that they are" eval 'exits 0 usb "$work"/slices/* --to "$stick" --key "$work/key/public.pem" && prints "a slice of plain 1.0" && prints "id $id"'
check "the receipt names it" receipt ".files[0].kind == \"slice\" and .files[0].id == \"$id\" and .files[1].id == \"$id\" and .files[0].signers[0].vouched"
fresh_stick
check "one of them, when the others lie beside it" eval 'exits 0 usb "$work/slices/plain.bundle.002" --to "$stick" && prints "id $id" && cmp "$work/slices/plain.bundle.002" "$stick/plain.bundle.002"'
mv "$work/slices/plain.bundle.001" "$work/first"
check "when they do not it is said that nobody looked" eval 'exits 0 usb "$work/slices/plain.bundle.002" --to "$stick" && prints "are not beside it"'
mv "$work/first" "$work/slices/plain.bundle.001"
before "$stick"
check "another publisher's" refused 3 usb "$work"/slices/* --to "$stick" --quiet --key "$work/other/public.pem"
damage "$work/slices/plain.bundle.002" 1000000
check "a damaged one, by its name" eval 'refused 3 usb "$work"/slices/* --to "$stick" --quiet && says plain.bundle.002'

step "what is not copied"
fresh_stick
echo older >"$stick/plain.run"
before "$stick"
cp "$work/plain.run" "$work/bad.run"
damage "$work/bad.run" $(($(stat -c %s "$work/bad.run") - 1000))
check "a damaged bundle" refused 3 usb "$work/plain.run" "$work/bad.run" --to "$stick" --quiet
check "another publisher's" refused 3 usb "$work/plain.run" --to "$stick" --quiet --key "$work/other/public.pem"
mkdir "$work/same"
cp "$work/plain.run" "$work/same/"
check "two of one name" eval 'refused 2 usb "$work/plain.run" "$work/same/plain.run" --to "$stick" --quiet && says "one file"'
check "nothing that is no bundle under a bundle's name" eval 'cp "$work/byoh.yaml" "$work/fake.bundle" && refused 3 usb "$work/fake.bundle" --to "$stick" --quiet'
check "a file that is not there" refused 1 usb "$work/gone.run" --to "$stick" --quiet
check "to a place that is not there" refused 1 usb "$work/plain.run" --to "$work/gone" --quiet
check "a folder" refused 2 usb "$work/same" --to "$stick" --quiet
check "nowhere" exits 2 usb "$work/plain.run"
cp "$work/byoh.yaml" "$work/byoh-receipt.json"
check "what would be in the receipt's place" refused 2 usb "$work/byoh-receipt.json" --to "$stick" --quiet

# lies OPTION...    a stick of that kind at $stick
lies() {
	[ ! -e "$work/mounted" ] || umount "$stick"
	rm -f "$work/mounted"
	fresh_stick
	"$work/lying-stick" "$stick" 67108864 "$@" 2>"$work/err" || return 1
	touch "$work/mounted"
	mounts=("$stick")
}
only_older() { [ -z "$(ls -A "$stick")" ]; }
size=$(stat -c %s "$work/plain.run")

step "sticks that lie"
if [ "$mounts_work" != inside ]; then
	skip "sticks that lie" "no mount namespace can be made here"
elif ! pkg-config --exists fuse3 2>/dev/null; then
	skip "sticks that lie" "there is no libfuse3-dev"
elif ! "${CC:-gcc}" -O1 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -o "$work/lying-stick" "$here/lying-stick.c" \
	$(pkg-config --cflags --libs fuse3) 2>"$work/err"; then
	fail "the lying stick compiles"
elif ! lies 67108864; then
	skip "sticks that lie" "nothing can be mounted by FUSE here: $(tail -n 1 "$work/err")"
else
	check "an honest one" eval 'exits 0 usb "$work/plain.run" "$work/byoh.yaml" --to "$stick" --quiet && cmp "$work/plain.run" "$stick/plain.run" && receipt ".files[0].readBack == \"direct\" and .fileSystem.type == \"fuse\""'
	lies 2097152
	check "of 2 MiB that says 64" eval 'exits 1 usb "$work/plain.run" --to "$stick" --quiet && says "$stick/plain.run: other bytes come back than were written at offset 0" && only_older'
	lies $((size + 65536))
	check "that holds the first file only" eval 'exits 1 usb "$work/plain.run" "$work/plain.bundle" --to "$stick" --quiet && says "$stick/plain.run: other bytes come back" && only_older'
	lies 67108864 wrong 1234567
	check "with one wrong byte" eval 'exits 1 usb "$work/byoh.yaml" "$work/plain.run" --to "$stick" --quiet && says "$stick/plain.run: other bytes come back than were written at offset 1234567;" && only_older'
	lies 67108864 dead 2000000
	check "that dies" eval 'exits 1 usb "$work/plain.run" --to "$stick" --quiet && says "$stick/plain.run: I/O error at offset 1048576;" && only_older'
	lies 67108864 cached
	check "without O_DIRECT" eval 'exits 0 usb "$work/plain.run" --to "$stick" --quiet && receipt ".files[0].readBack == \"cache dropped\""'
	lies 67108864 cached wrong 2345678
	check "without O_DIRECT, with a wrong byte behind the cache" eval 'exits 1 usb "$work/plain.run" --to "$stick" --quiet && says "at offset 2345678;" && only_older'
	umount "$stick"
	mounts=()
fi

step "a stick without room"
fresh_stick
if [ "$mounts_work" != inside ] || ! mount -t tmpfs -o size=2m none "$stick" 2>"$work/err"; then
	skip "a stick without room" "nothing can be mounted here: $(tail -n 1 "$work/err")"
else
	mounts=("$stick")
	check "is told before anything is written" eval 'exits 1 usb "$work/plain.run" --to "$stick" --quiet && says "are needed and 2.1 MB are free" && only_older'
	umount "$stick"
	mounts=()
fi

step "FAT"
fresh_stick
truncate -s 64M "$work/fat.img"
if [ "$mounts_work" != inside ]; then
	skip "FAT" "no mount namespace can be made here"
elif ! mkfs.vfat -F 32 -n STICK "$work/fat.img" >"$work/out" 2>"$work/err"; then
	skip "FAT" "no file system can be made: $(tail -n 1 "$work/err")"
elif ! mount -o loop "$work/fat.img" "$stick" 2>"$work/err"; then
	skip "FAT" "it cannot be mounted here: $(tail -n 1 "$work/err")"
else
	mounts=("$stick")
	check "copies" eval 'exits 0 usb "$work/plain.run" --to "$stick" --key "$work/key/public.pem" --quiet && receipt ".fileSystem.type == \"vfat\" and .device.name != null"'
	umount "$stick"
	mount -o loop,ro "$work/fat.img" "$stick"
	check "mounted again, it is there" exits 0 "$BYOH_BUNDLE" verify "$stick/plain.run" --quiet --key "$work/key/public.pem"
	umount "$stick"
	mount -o loop "$work/fat.img" "$stick"
	truncate -s 4G "$work/large.001"
	before "$stick"
	check "4 GiB are too much, and split is named" eval 'exits 2 usb "$work/large.001" --to "$stick" --quiet && says "byoh-bundle split" && as_before "$stick"'
	cp "$work/byoh.yaml" "$work/a:b.yaml"
	check "a name that FAT has not" eval 'exits 2 usb "$work/a:b.yaml" --to "$stick" --quiet && says "rename it" && as_before "$stick"'
	cp "$work/byoh.yaml" "$work/BYOH.yaml"
	check "two names that FAT takes for one" eval 'exits 2 usb "$work/byoh.yaml" "$work/BYOH.yaml" --to "$stick" --quiet && says "one file" && as_before "$stick"'
	umount "$stick"
	mounts=()
fi

exit "$failed"
