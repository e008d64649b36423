#!/bin/bash
# What makes the bootable image and what lies in it, as far as it needs neither Debian's archive nor a machine.
# shellcheck disable=SC2016,SC2317
set -euo pipefail

if [ "${1:-}" = -h ]; then
	sed -n '2p' "$0" | sed 's/^# //'
	exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
iso=$(cd "$here/../../iso" && pwd)

# medium    a folder with a list of its files, as a medium has it
medium() {
	rm -rf "$work/medium"
	mkdir -p "$work/medium"/{live,.disk}
	echo kernel >"$work/medium/live/vmlinuz"
	echo system >"$work/medium/live/filesystem.squashfs"
	(
		cd "$work/medium" && sha256sum live/* >SHA256SUMS
		echo "build-id=$(sha256sum <SHA256SUMS | cut -c1-32)" >.disk/byoh
		sha256sum .disk/byoh >>SHA256SUMS
	)
}
media_check() { exits "$1" "$iso/live/usr/lib/byoh/media-check" "$work/medium"; }

step "the check of the medium"
medium
check "a good medium passes" media_check 0
echo sYstem >"$work/medium/live/filesystem.squashfs"
check "a damaged file fails" media_check 1
check "it is named" prints 'media-check: live/filesystem.squashfs is damaged'
medium
rm "$work/medium/live/vmlinuz"
check "a missing file fails" media_check 1
check "it is named" prints 'media-check: live/vmlinuz is missing'
medium
rm "$work/medium/SHA256SUMS"
check "without a list nothing is called good" media_check 2
medium
head -c 200 /dev/zero >"$work/medium/SHA256SUMS"
check "nor with a list of zeroes" media_check 1
check "it is named" prints 'media-check: SHA256SUMS or .disk/byoh is damaged'
for count in 1 2; do
	medium
	head -n -$count "$work/medium/SHA256SUMS" >"$work/cut" && cp "$work/cut" "$work/medium/SHA256SUMS"
	check "nor with one that lacks $count lines" media_check 1
done
medium
truncate -s -1 "$work/medium/SHA256SUMS"
rm "$work/medium/live/vmlinuz"
check "a list without its last end of line is read to its end" media_check 1
medium
sed -i '1s/./g/' "$work/medium/SHA256SUMS"
check "a damaged list blames no good file" eval 'media_check 1 && ! prints "vmlinuz is damaged"'
medium
rm "$work/medium/.disk/byoh"
check "and one without its own digest is not believed" media_check 1

# program NAME SECTION TEXT    an object with a section, as boot programs have them; SECTION may be given twice
program() {
	printf '%b' "$3" >"$work/section"
	[ -f "$work/sbat/$1" ] || printf '' | gcc -x c -c -o "$work/sbat/$1" -
	objcopy --add-section "$2=$work/section" --set-section-flags "$2=alloc,readonly,data" "$work/sbat/$1"
}
# generations GRUB    programs of which GRUB has this generation
generations() {
	local name
	rm -rf "$work/sbat"
	mkdir "$work/sbat"
	program BOOTX64.EFI .sbatlevel '\0\0\0\0sbat,1,2022052400\ngrub,2\n\0sbat,1,2025051000\nshim,4\ngrub,5\n\0'
	program BOOTX64.EFI .sbat 'sbat,1,SBAT Version,sbat,1,https://example.org\nshim,4,UEFI shim,shim,1,https://example.org\n'
	program mmx64.efi .sbat 'sbat,1,SBAT Version,sbat,1,https://example.org\nshim,4,UEFI shim,shim,1,https://example.org\n'
	for name in grubx64.efi grubx64-disk.efi; do
		program "$name" .sbat "sbat,1,SBAT Version,sbat,1,https://example.org\ngrub,$1,GRUB2,grub,2.06,https://example.org\n"
	done
}

step "what the firmware would refuse"
generations 5
check "programs of shim's own generation pass" exits 0 "$iso/sbat" "$work/sbat"
generations 4
check "a GRUB that shim has revoked stops the build" exits 1 "$iso/sbat" "$work/sbat"
check "it is named" says 'grubx64.efi is grub generation 4, shim asks for 5'
generations 10
check "generations are numbers" exits 0 "$iso/sbat" "$work/sbat"
program grubx64.efi .other x
objcopy --remove-section .sbat "$work/sbat/grubx64.efi"
check "one that says none stops the build" exits 1 "$iso/sbat" "$work/sbat"

step "how it is called"
check "without a key it is a mistake" exits 2 "$iso/build" --run x.run --out x.iso
check "it says which word is missing" says '--key is missing'
make_keys key
make_keys second
make_keys stranger
plain_spec "$work/plain"
build_bundle "$work/plain" key "$work/twice.run"
check "a .run is signed twice" exits 0 "$BYOH_BUNDLE" sign "$work/twice.run" --key "$work/second/private.pem" --quiet
build() { exits "$1" env -u SOURCE_DATE_EPOCH BYOH_CACHE=/dev/null/none "$iso/build" --run "$work/twice.run" --unsigned --out "$work/x.iso" "${@:2}"; }
echo "no key" >"$work/no.pem"
check "no character of GRUB's language gets into its menu" exits 2 "$iso/build" --run x.run --unsigned --out x.iso --append 'quiet; halt'
check "who counts of several signers has to be said" eval 'build 1 && says "signed by 2 keys" && says "--trust FILE"'
check "by public keys" eval 'build 1 --trust "$work/no.pem" && says "not a public key"'
check "a stranger's key is refused, before a machine does" eval 'build 1 --trust "$work/stranger/public.pem" && says "nobody who is named with --trust"'
# The system takes a network, and no cache can be made here: that is where it ends.
check "with those who count it goes on to the system" eval \
	'build 1 --trust "$work/key/public.pem" --trust "$work/second/public.pem" && ! says "--trust" && ! says "its release" && says "/dev/null/none"'
check "and no image was begun" eval '[ ! -e "$work/x.iso" ] && ! ls "$work"/.iso.* 2>/dev/null'
