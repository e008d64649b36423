#!/bin/bash
# Slices: cut and joined again, read where they lie, in one folder, in two, on two FAT images, one after the other.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "two bundles, cut"
make_keys keys
node_spec "$work/src"
noise 2500000 01 >"$work/src/data"
cp "$work/src/bundle.yaml" "$work/images.yaml"
sed -n '/^images:/,$!p' "$work/images.yaml" >"$work/src/bundle.yaml"
add_part "$work/src" data 1 /opt/data 0644
sed -n '/^images:/,$p' "$work/images.yaml" >>"$work/src/bundle.yaml"
build_bundle "$work/src" keys "$work/n.bundle"
id=$(cat "$work/id")
noise 2500000 02 >"$work/src/data"
sed -i "s/$(noise 2500000 01 | sha256sum | cut -c1-64)/$(sha256sum <"$work/src/data" | cut -c1-64)/" "$work/src/bundle.yaml"
build_bundle "$work/src" keys "$work/other.bundle"
key=(--key "$work/keys/public.pem")
size=$(stat -c %s "$work/n.bundle")
third=$((size / 3 + 1))
cut_into() { "$BYOH_BUNDLE" split "$1" --size "$2" --out "$3" --quiet; }

check "a bundle is cut" cut_into "$work/n.bundle" $third "$work/all"
check "into as many slices as it takes" test "$(ls "$work/all")" = "$(printf 'n.bundle.%s\n' 001 002 003)"
check "none of them is too long" test "$(stat -c %s "$work/all"/* | sort -n | tail -n 1)" = $third
cat "$work/all"/n.bundle.* >"$work/joined"
check "cat joins them to the same bytes" cmp "$work/joined" "$work/n.bundle"
check "a second cut into the same folder is refused" exits 2 "$BYOH_BUNDLE" split "$work/n.bundle" --size 1M --out "$work/all"
check "a slice that FAT32 cannot hold is refused" exits 2 "$BYOH_BUNDLE" split "$work/n.bundle" --size 4G --out "$work/no"
check "a size that is none is refused" exits 2 "$BYOH_BUNDLE" split "$work/n.bundle" --size 3,5G --out "$work/no"
check "3.5G is a size" exits 0 "$BYOH_BUNDLE" split "$work/n.bundle" --size 3.5G --out "$work/one"
check "what fits is one slice" cmp "$work/one/n.bundle.001" "$work/n.bundle"
check "half a bundle is not cut" exits 3 "$BYOH_BUNDLE" split "$work/all/n.bundle.001" --size 1M --out "$work/no"

step "read where they lie"
check "verify by the first slice" exits 0 "$BYOH_INSTALL" verify "${key[@]}" "$work/all/n.bundle.001"
check "it has the same id" prints "$id"
check "verify by the folder" exits 0 "$BYOH_INSTALL" verify "${key[@]}" "$work/all"
check "inspect by the folder" exits 0 "$BYOH_INSTALL" inspect "${key[@]}" --json --from "$work/all"
check "inspect says the same id" prints "$id"
check "byoh-bundle verifies slices" exits 0 "$BYOH_BUNDLE" verify "$work/all/n.bundle.001" --quiet
check "byoh-bundle inspects slices" exits 0 "$BYOH_BUNDLE" inspect "$work/all/n.bundle.001" --files
check "the SBOM is read from its slice" exits 0 "$BYOH_BUNDLE" inspect "$work/all/n.bundle.001" --sbom
check "extract from slices" exits 0 "$BYOH_INSTALL" extract "${key[@]}" --from "$work/all" "$work/extracted"
check "what was extracted is what was packed" cmp "$work/extracted/opt/data" <(noise 2500000 01)
printf x >"$work/all/holiday.tar.001"
check "slices of other programs are passed over" exits 0 "$BYOH_INSTALL" verify "${key[@]}" "$work/all"
rm "$work/all/holiday.tar.001"

step "two folders, in any order"
mkdir "$work/a" "$work/b"
cp "$work/all/n.bundle.002" "$work/a"
cp "$work/all/n.bundle.00"[13] "$work/b"
check "the folder of the second slice first" exits 0 "$BYOH_INSTALL" verify "${key[@]}" --from "$work/a" --from "$work/b"
check "the slices by name" exits 0 "$BYOH_INSTALL" verify "${key[@]}" --from "$work/b/n.bundle.001" --from "$work/a/n.bundle.002"
check "a whole file is no second place" exits 2 "$BYOH_INSTALL" verify "${key[@]}" --from "$work/a" --from "$work/n.bundle"
install_from() {
	local code=$1 root=$2
	shift 2
	exits "$code" "$BYOH_INSTALL" install --root "$root" "${key[@]}" --config "$work/byoh.yaml" --yes "$@"
}
printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: none}\nhost: {hostname: bare}\n' >"$work/byoh.yaml"
make_host "$work/whole"
check "install from the whole file" install_from 0 "$work/whole" --from "$work/n.bundle"
make_host "$work/two"
check "install from two folders" install_from 0 "$work/two" --from "$work/a" --from "$work/b"
compare() { diff <(cd "$1" && find . -path ./var/log/byoh -prune -o -type f -printf '%p %m %s\n' | grep -v 'state\|journal\|ledger' | sort) \
	<(cd "$2" && find . -path ./var/log/byoh -prune -o -type f -printf '%p %m %s\n' | grep -v 'state\|journal\|ledger' | sort) >"$work/err"; }
check "both hosts hold the same files" compare "$work/whole" "$work/two"
check "the bundle that was kept is whole" cmp "$work/two/var/lib/byoh/releases/$id/bundle" "$work/n.bundle"

step "one after the other"
make_host "$work/later"
mkdir "$work/stick"
cp "$work/all/n.bundle.001" "$work/stick"
before "$work/later"
check "the missing slice is a 5" install_from 5 "$work/later" --from "$work/stick"
check "it is named" says "n.bundle.002 (2 of 3) is missing"
check "verify says so, too" exits 5 "$BYOH_INSTALL" verify "${key[@]}" --from "$work/stick"
snapshot "$work/later" | grep -v 'var/lib/byoh' >"$work/after" || true
grep -v 'var/lib/byoh' "$work/before" >"$work/bare" || true
check "the host is as before but for what has come" diff "$work/bare" "$work/after"
check "what came waits, for root alone" test "$(stat -c %a "$work/later/var/lib/byoh/arriving")" = 700
check "of it, every byte" test "$(stat -c %s "$work/later/var/lib/byoh/arriving/bundle")" = $third
rm "$work/stick"/*
cp "$work/all/n.bundle.003" "$work/stick"
check "the wrong one of the others is a 5" install_from 5 "$work/later" --from "$work/stick"
check "and the one that is due is named" says "n.bundle.002 (2 of 3) is missing"
rm "$work/stick"/*
cp "$work/all/n.bundle.002" "$work/stick"
check "plan works in between" exits 0 "$BYOH_INSTALL" plan --root "$work/later" "${key[@]}" --config "$work/byoh.yaml" --from "$work/stick"
check "the second goes on" install_from 5 "$work/later" --from "$work/stick"
check "it asks for the third" says "n.bundle.003 (3 of 3) is missing"
rm "$work/stick"/*
cp "$work/all/n.bundle.003" "$work/stick"
check "the third ends it" install_from 0 "$work/later" --from "$work/stick"
check "the host has what the others have" compare "$work/whole" "$work/later"
check "the kept bundle is whole" cmp "$work/later/var/lib/byoh/releases/$id/bundle" "$work/n.bundle"
check "nothing of the waiting is left" test ! -e "$work/later/var/lib/byoh/arriving"
check "the first slice alone tells that there is nothing to do" install_from 0 "$work/later" --from "$work/all/n.bundle.001"

step "what is wrong is named"
mkdir "$work/bad"
fresh() { rm -f "$work/bad"/*; cp "$work/all"/* "$work/bad"; rm -rf "$work/host"; make_host "$work/host"; before "$work/host"; }
"$BYOH_BUNDLE" split "$work/other.bundle" --size $third --out "$work/others" --quiet
fresh
cp "$work/others/other.bundle.002" "$work/bad/n.bundle.002"
check "a slice of another bundle is refused" install_from 3 "$work/host" --from "$work/bad"
check "it is named" says "n.bundle.002"
check "the block is named" says "block "
check "the host is as before" as_before "$work/host"
fresh
mv "$work/bad/n.bundle.002" "$work/bad/x"
mv "$work/bad/n.bundle.003" "$work/bad/n.bundle.002"
mv "$work/bad/x" "$work/bad/n.bundle.003"
check "swapped slices are refused" exits 3 "$BYOH_INSTALL" verify "${key[@]}" "$work/bad"
check "one of them is named" says "n.bundle.002"
fresh
truncate -s -1 "$work/bad/n.bundle.002"
check "a slice that is short is refused" install_from 3 "$work/host" --from "$work/bad"
check "before anything of it is used" says "n.bundle.002 has $((third - 1)) bytes and should have $third"
fresh
truncate -s +1 "$work/bad/n.bundle.003"
check "a last slice that is long is refused" exits 3 "$BYOH_INSTALL" verify "${key[@]}" "$work/bad"
check "it is named, too" says "n.bundle.003 has"
fresh
: >"$work/bad/n.bundle.002"
check "an empty slice is refused" exits 3 "$BYOH_INSTALL" verify "${key[@]}" "$work/bad"
fresh
cp "$work/others/other.bundle.001" "$work/bad"
check "a folder with slices of two is not guessed at" exits 2 "$BYOH_INSTALL" verify "${key[@]}" "$work/bad"
check "but a name decides" exits 0 "$BYOH_INSTALL" verify "${key[@]}" "$work/bad/n.bundle.001"

step "a foreign slice between the right ones"
make_host "$work/foreign"
rm "$work/stick"/*
cp "$work/all/n.bundle.001" "$work/stick"
check "the first" install_from 5 "$work/foreign" --from "$work/stick"
noise $third 03 >"$work/stick/n.bundle.002"
rm "$work/stick/n.bundle.001"
check "a foreign second is refused" install_from 3 "$work/foreign" --from "$work/stick"
check "by its name" says "n.bundle.002"
noise $third 04 >"$work/foreign/var/lib/byoh/arriving/bundle.new"
head -c 20000 "$work/foreign/var/lib/byoh/arriving/bundle" | dd of="$work/foreign/var/lib/byoh/arriving/bundle.new" conv=notrunc status=none
cp "$work/foreign/var/lib/byoh/arriving/bundle" "$work/arrived"
mv "$work/foreign/var/lib/byoh/arriving/bundle.new" "$work/foreign/var/lib/byoh/arriving/bundle"
rm "$work/stick"/*
cp "$work/all/n.bundle.00"[23] "$work/stick"
check "what waited and was damaged is refused" install_from 3 "$work/foreign" --from "$work/stick"
check "and it says how to begin again" says "remove /var/lib/byoh/arriving"
cp "$work/arrived" "$work/foreign/var/lib/byoh/arriving/bundle"
check "the right ones go on from there" install_from 0 "$work/foreign" --from "$work/stick"
check "the same host" compare "$work/whole" "$work/foreign"

step "a .run in slices, and build --split"
build_bundle "$work/src" keys "$work/n.run"
# The first slice has to hold the executable and the header, or nothing can wait for the next one.
cut_into "$work/n.run" 6M "$work/run"
check "slices of a .run are verified, the executable too" exits 0 "$BYOH_INSTALL" verify "${key[@]}" "$work/run"
make_host "$work/fromrun"
mkdir "$work/runstick"
installed=5
for slice in "$work/run"/*; do
	rm -f "$work/runstick"/*
	cp "$slice" "$work/runstick"
	installed=0
	"$BYOH_INSTALL" install --root "$work/fromrun" "${key[@]}" --config "$work/byoh.yaml" --yes --from "$work/runstick" \
		>"$work/out" 2>"$work/err" </dev/null || installed=$?
done
check "slice after slice, the executable's among them" test "$installed" = 0
mkdir "$work/split"
build_bundle "$work/src" keys "$work/split/s.bundle" --split 1M
check "build --split leaves slices and the bare executable" test "$(find "$work/split" -type f ! -name 's.bundle.00[1-9]')" = "$work/split/byoh-install"
check "which is byoh-install" cmp "$work/split/byoh-install" "$BYOH_INSTALL"
check "and starts" exits 0 "$work/split/byoh-install" verify "${key[@]}" "$work/split"

step "two sticks"
# In a namespace of its own; the images are files, of what the kernel has: FAT, else ext4.
two_sticks() {
	local n
	for n in 1 2; do
		truncate -s 16M "$work/image$n"
		"mkfs.$1" "$work/image$n" >/dev/null 2>&1 || return 2
		mkdir -p "$work/mnt$n"
		mount -t "$1" -o loop "$work/image$n" "$work/mnt$n" 2>/dev/null || return 2
	done
	cp "$work/all/n.bundle.00"[13] "$work/mnt1" && cp "$work/all/n.bundle.002" "$work/mnt2" || return 1
	for n in 1 2; do
		mount -o remount,ro,noexec "$work/mnt$n" || return 1
	done
	make_host "$work/sticks"
	exits 0 "$BYOH_INSTALL" install --root "$work/sticks" "${key[@]}" --config "$work/byoh.yaml" --yes \
		--from "$work/mnt2" --from "$work/mnt1" && cmp "$work/sticks/var/lib/byoh/releases/$id/bundle" "$work/n.bundle"
}
export -f two_sticks exits make_host
export work id BYOH_INSTALL
on_sticks() {
	local code=0 name="install from three slices on two mounted $1 images"
	unshare -m bash -c 'key=(--key "$work/keys/public.pem"); two_sticks '"$1" || code=$?
	case $code in
	0) pass "$name" ;;
	2) skip "$name" "no loop device here, or no $1" ;;
	*) fail "$name" ;;
	esac
	return "$code"
}
if [ "$(id -u)" != 0 ]; then
	skip "install from three slices on two mounted images" "needs root"
else
	on_sticks vfat || [ $? = 1 ] || on_sticks ext4 || true
fi

step "asked on a terminal"
if ! command -v script >/dev/null; then
	skip "the next slice is asked for on a terminal" "needs script(1)"
else
	make_host "$work/asked"
	rm -f "$work/stick"/*
	cp "$work/all/n.bundle.001" "$work/stick"
	mkfifo "$work/typed"
	: >"$work/shown"
	script -qec "'$BYOH_INSTALL' install --root '$work/asked' --key '$work/keys/public.pem' --config '$work/byoh.yaml' \
		--yes --from '$work/stick'" /dev/null <"$work/typed" >"$work/shown" &
	asked_pid=$!
	pids+=("$asked_pid")
	exec 7>"$work/typed"
	# wait_for TEXT    until it stands on the terminal; the program writes it or ends
	wait_for() {
		local left=600
		until grep -qF -- "$1" "$work/shown"; do
			left=$((left - 1))
			[ "$left" -gt 0 ] && kill -0 "$asked_pid" 2>/dev/null || return 1
			sleep 0.1
		done
	}
	check "the second slice is asked for by name" wait_for "medium with n.bundle.002 (2 of 3)"
	mv "$work/stick/n.bundle.001" "$work/gone"
	cp "$work/all/n.bundle.002" "$work/stick"
	echo >&7
	check "then the third" wait_for "medium with n.bundle.003 (3 of 3)"
	rm "$work/stick/n.bundle.002"
	cp "$work/all/n.bundle.003" "$work/stick"
	echo >&7
	code=0
	wait "$asked_pid" || code=$?
	exec 7>&-
	check "and it is done" test $code = 0
	check "with what the others have" compare "$work/whole" "$work/asked"
fi

exit "$failed"
