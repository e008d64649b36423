#!/bin/bash
# The boot medium on bare machines: it shows one and touches nothing; it makes an empty disk with UEFI a Ready node,
# from power-on without a hand, whose configuration was written into the image.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/iso-lib.sh
. "$here/iso-lib.sh"
iso_begin iso

same_disk() {
	qemu-img compare -q "$vm_dir/first.disk" "$vm_dir/untouched.disk"
}

# What stands in docs/iso.md for who got an image and has the publisher's key.
signed_list() {
	local tree=$vm_dir/tree
	xorriso -osirrox on -indev "$image" -extract / "$tree" && cd "$tree" || return
	{ printf 'byoh-iso/v1 digests sha-256\n' && openssl dgst -sha256 -binary SHA256SUMS; } >"$vm_dir/message"
	openssl pkeyutl -verify -rawin -pubin -inkey "$host_top/build/vm/key/public.pem" -sigfile SHA256SUMS.sig -in "$vm_dir/message" || return
	sha256sum -c --quiet SHA256SUMS || return
	# Every file is in the list, but for those that cannot be.
	diff <(find . -type f -printf '%P\n' | grep -vxE 'SHA256SUMS(\.sig)?|byoh/site\.img|boot/grub/eltorito\.img|boot\.catalog' | sort) \
		<(sed 's/^[0-9a-f]*  //' SHA256SUMS | sort) || return
	cmp byoh/byoh-install.run "$BYOH_RUN"
}
same_again() {
	iso_image "$vm_dir/again.iso" && cmp "$image" "$vm_dir/again.iso" && rm "$vm_dir/again.iso"
}
boots_both() {
	local report
	report=$(xorriso -indev "$image" -report_el_torito plain -report_system_area plain 2>/dev/null) || return
	printf '%s\n' "$report"
	grep -q 'El Torito boot img :.* BIOS ' <<<"$report" && grep -q 'El Torito boot img :.* UEFI ' <<<"$report" && grep -q 'GPT type GUID.*28732ac11ff8d211ba4b00a0c93ec93b' <<<"$report"
}

must "an image is made" iso_image "$image"
check "the same again gives the same bytes" same_again
check "it has a way in for BIOS and for UEFI, as CD and as stick" boots_both
check "its list of digests is signed and true, and the .run is the publisher's" eval '(signed_list)'
system=$("$host_top/iso/system-image" --quick)
iso_disk first 20G
cp "$vm_dir/first.disk" "$vm_dir/untouched.disk"

must "the medium starts" iso_start --kernel "$system" "$iso_kernel_line" \
	--cd "$image" --disk first
must "without a configuration it comes to an end" iso_wait 900 'byoh: boot ended with code'
check "it shows the machine" iso_says 'byoh: inspected, nothing was written'
check "it says why" iso_says 'byoh: no configuration'
check "it names the disk by its serial number" iso_says '\bfirst\b'
iso_kill
check "and wrote nothing" same_disk

iso_node uefi cd
cat "$table"
