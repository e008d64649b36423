#!/bin/bash
# An image is prepared with --root on a computer that is not the host: its first boot makes it whole. What a
# running system alone can do (kernel parameters, images, services) was left to it.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"

host_begin first-boot

disk=$vm_dir/prepared.raw
root=$vm_dir/root

unmount_root() {
	! mountpoint -q "$root" || umount "$root"
}

mount_root() {
	mkdir -p "$root"
	qemu-img convert -O raw "$("$host_top/scripts/vm/root")/disk.qcow2" "$disk"
	mount -o loop "$disk" "$root"
}

prepare() {
	(cd "$host_site" && ./byoh-install.run install --root "$root" --yes)
}

# Nothing of this computer may have been touched: the image has its images still in files.
is_unsettled() {
	test -e "$root/var/lib/byoh/unsettled"
	test -n "$(ls "$root/var/lib/byoh/images/blobs/sha256")"
	"$host_site/byoh-install.run" status --root "$root" --json | jq -e '.installed and (.settled | not)'
}

is_settled() {
	guest 'test ! -e /var/lib/byoh/unsettled
		byoh-install status --json >/tmp/status.json || { cat /tmp/status.json; exit 1; }
		grep -q "\"settled\": true" /tmp/status.json
		test ! -e /var/lib/byoh/images'
}

services_run() {
	guest 'systemctl is-active containerd
		test "$(cat /proc/sys/net/ipv4/ip_forward)" = 1
		ctr -n k8s.io images ls -q | grep -qxF byoh.local/pause:1
		ctr -n k8s.io images ls -q | grep -qxF byoh.local/hello:1'
}

"$CP_BIN/kubeadm" init phase certs ca --cert-dir "$vm_dir/pki" \
	--kubernetes-version "$("$CP_BIN/kubeadm" version -o short)" >"$vm_dir/pki.log" 2>&1
site_write "$host_site" agent "$vm_dir/pki/ca.crt" abcdef.0123456789abcdef

if ! mount_root >"$vm_dir/mount.log" 2>&1; then
	rm -f "$disk"
	echo "SKIP first-boot: this computer cannot mount an image: $(tail -n 1 "$vm_dir/mount.log")"
	exit 0
fi
trap 'code=$?; unmount_root; (exit "$code"); host_end' EXIT
must "an image is prepared with --root" prepare
check "it says what is left to the first boot" is_unsettled
must "the image is closed" unmount_root
must "it boots" vm_start --base "$disk"
check "the first boot ends well" vm_booted
check "what was left is done" is_settled
check "services run, images are imported, packets are forwarded" services_run
must "it boots again" vm_reboot
check "the second boot ends well" vm_booted
check "services run after it" services_run
