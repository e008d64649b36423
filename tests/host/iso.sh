#!/bin/bash
# The boot medium on bare machines: it shows one and touches nothing; it makes an empty disk with UEFI a Ready node,
# from power-on without a hand, whose configuration was written into the image.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"
# shellcheck source=scripts/vm/iso.sh
. "$host_top/scripts/vm/iso.sh"

if reason=$(iso_missing); then
	echo "SKIP iso: $reason"
	exit 0
fi
host_begin iso --link
export BYOH_RUN=${BYOH_RUN:-$host_site/byoh-install.run}
image=$vm_dir/byoh.iso

same_disk() {
	qemu-img compare -q "$vm_dir/first.disk" "$vm_dir/untouched.disk"
}
same_bytes() {
	[ "$(iso_ssh 'sha256sum </boot/vmlinuz-*')" = "$(sha256sum <"$system/vmlinuz")" ]
}
identities() {
	iso_ssh '[ -s /etc/machine-id ] && [ -s /etc/ssh/ssh_host_ed25519_key ] && hostname | grep -qx worker
		systemctl is-enabled byoh-boot.service 2>/dev/null && exit 1
		[ ! -e /usr/lib/byoh/boot ]'
}
services() {
	iso_ssh 'systemctl is-active containerd kubelet ssh systemd-networkd
		systemctl is-system-running --wait || { systemctl --failed --no-legend --plain; exit 1; }'
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

vm_link_start
must "a control plane starts" control_plane start "$vm_host_address"
iso_site_write "$vm_dir/byoh.yaml" tlsBootstrap "$(control_plane ca)" "$(control_plane token)"
{ iso_site_link && echo '  disk: {serial: first}'; } >>"$vm_dir/byoh.yaml"
must "a configuration is written into the image" iso_configure "$image" "$vm_dir/byoh.yaml"

began=$SECONDS
must "an empty machine with UEFI starts from it" iso_start --firmware uefi --cd "$image" --disk first --link
must "it comes to an end" iso_wait 1500 'byoh: boot ended with code'
must "the system is laid onto its disk" iso_says 'byoh: installed [^ ]* on /dev/vda'
check "by firmware that took an entry for it" eval '! iso_says "boot-loader: warning"'
must "it starts anew" iso_off 300
echo "==> installed in $((SECONDS - began)) s" >&2
must "it starts from its disk" iso_start --firmware uefi --disk first --link
must "the node appears" cluster_wait_object nodes worker
must "the node becomes Ready" cluster_wait_ready node worker
echo "==> from power-on of an empty machine to Ready: $((SECONDS - began)) s" >&2
check "its services are up, and no unit failed" services
check "it has identities of its own, and nothing of the live system" identities
check "it starts the kernel of the medium" same_bytes
check "status finds no drift" iso_ssh 'byoh-install status'
