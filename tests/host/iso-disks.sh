#!/bin/bash
# Which disk the boot medium writes to, and which never: each situation is a machine of its own. Where it refuses,
# the disks are compared with what they were.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"
# shellcheck source=scripts/vm/iso.sh
. "$host_top/scripts/vm/iso.sh"

if reason=$(iso_missing); then
	echo "SKIP iso-disks: $reason"
	exit 0
fi
host_begin iso-disks --link
export BYOH_RUN=${BYOH_RUN:-$host_site/byoh-install.run}
plain=$vm_dir/plain.iso
image=$vm_dir/byoh.iso
system=

# A configuration that needs no cluster.
configure() {
	cat >"$vm_dir/byoh.yaml" <<-YAML
		apiVersion: byoh-install/v1alpha1
		kind: InstallConfig
		join: {mode: none}
		host: {hostname: worker}
		iso:
		  mode: install
		  after: poweroff
		$(printf '  %s\n' "$@")
	YAML
	cp --reflink=auto "$plain" "$image"
	iso_configure "$image" "$vm_dir/byoh.yaml"
}

# power_on [--disk NAME]...    from the stick, without firmware and menu: those are looked at elsewhere
power_on() {
	iso_start --kernel "$system" "$iso_kernel_line" --usb "$image" "$@"
}

# fresh NAME SIZE    an empty disk, and a copy to compare it with
fresh() {
	iso_disk "$1" "$2"
	keep "$1"
}
keep() { cp --reflink=auto "$vm_dir/$1.disk" "$vm_dir/$1.before"; }
as_before() { qemu-img compare -q "$vm_dir/$1.disk" "$vm_dir/$1.before"; }

# refuses WHAT DISKS ARGUMENT...    the machine refuses, and its disks are as before
refuses() {
	local what=$1 disks=$2 disk
	shift 2
	must "$what: a machine starts" power_on "$@"
	must "$what: it comes to an end" iso_wait 900 'byoh: boot ended with code'
	check "$what: refused" iso_says 'boot ended with code 4'
	iso_says 'byoh: refused' | sed "s/^/    $what: /" || true
	iso_kill
	for disk in $disks; do
		check "$what: nothing was written to $disk" as_before "$disk"
	done
}

installs() {
	local what=$1 disk=$2
	shift 2
	must "$what: a machine starts" power_on "$@"
	must "$what: it comes to an end" iso_wait 1500 'byoh: boot ended with code'
	must "$what: installed" iso_says "byoh: installed [^ ]* on $disk"
	must "$what: it goes off" iso_off 300
}

must "an image is made" iso_image "$plain"
system=$("$host_top/iso/system-image" --quick)

fresh one 20G
fresh two 20G
configure 'disk: {transport: virtio}'
refuses "two disks that match" "one two" --disk one --disk two
configure 'disk: {serial: nobody}'
refuses "none that matches" one --disk one
refuses "no disk at all" ''
configure 'disk: {transport: usb, removable: true}'
refuses "only the boot stick" ''
configure 'disk: {serial: small}'
fresh small 4G
refuses "too small" small --disk small

# An operator's file system with files, on the whole disk.
fill() {
	mkdir -p "$vm_dir/files"
	echo precious >"$vm_dir/files/data"
	mke2fs -q -F -t ext4 -d "$vm_dir/files" "$vm_dir/raw" 20G
	qemu-img convert -O qcow2 "$vm_dir/raw" "$vm_dir/one.disk"
	rm "$vm_dir/raw"
	keep one
}
must "a disk with data" fill
configure 'disk: {serial: one}'
refuses "a disk with data" one --disk one --disk two
configure 'disk: {serial: one}' 'wipe: two'
refuses "a disk with data, wipe names another" one --disk one

# A byte of a file's middle turns into its opposite.
flip() {
	local place byte
	place=$(LC_ALL=C grep -a -o -b -m1 'hsqs' "$image" | head -n 1 | cut -d: -f1)
	place=$((place + 100000000))
	byte=$(od -An -tu1 -j "$place" -N 1 "$image")
	# shellcheck disable=SC2059 # the format is the byte
	printf "\\$(printf %03o $((byte ^ 255)))" | dd of="$image" bs=1 seek="$place" conv=notrunc status=none
}
configure 'disk: {serial: two}'
flip
must "a damaged medium: a machine starts" power_on --disk two
must "a damaged medium: its file is named" iso_wait 900 'media-check: live/filesystem.squashfs is damaged'
must "a damaged medium: it ends" iso_wait 300 'byoh: boot ended with code [1-9]'
iso_kill
check "a damaged medium: nothing was written" as_before two

configure 'disk: {serial: one}' 'wipe: one'
must "power cut: a machine starts" power_on --disk one
must "power cut: in the middle of it" iso_wait 900 'byoh: unpacking'
iso_kill
configure 'disk: {serial: one}'
installs "power cut, and again" /dev/vda --disk one
keep one
must "the medium is left in: the machine starts" power_on --disk one
must "the medium is left in: it sees the installation" iso_wait 900 'byoh: installed already'
must "the medium is left in: it comes to an end" iso_wait 300 'byoh: boot ended with code'
iso_kill
check "the medium is left in: nothing was written" as_before one
