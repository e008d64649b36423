#!/bin/bash
# Which disk the boot medium writes to, and which never: each situation is a machine of its own. Where it refuses,
# the disks are compared with what they were. At the end a table: situation, and what was chosen or refused.
#
#   ISO_CASES='two none ...'    these situations alone, in this order
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/iso-lib.sh
. "$here/iso-lib.sh"
iso_begin iso-disks
plain=$vm_dir/plain.iso
system='' installed=

configure() {
	iso_plain 'after: poweroff' "$@" >"$vm_dir/byoh.yaml"
	cp --reflink=auto "$plain" "$image"
	iso_configure "$image" "$vm_dir/byoh.yaml"
}

# power_on [DISK]...    from the stick, without firmware and menu: those are looked at elsewhere
power_on() {
	local disk disks=()
	for disk; do
		disks+=(--disk "$disk")
	done
	iso_start --kernel "$system" "$iso_kernel_line" --usb "$image" "${disks[@]}"
}

# fresh NAME SIZE    an empty disk, and a copy to compare it with
fresh() {
	rm -f "$vm_dir/$1.disk"
	iso_disk "$1" "$2"
	keep "$1"
}
keep() { cp --reflink=auto "$vm_dir/$1.disk" "$vm_dir/$1.before"; }
as_before() { qemu-img compare -q "$vm_dir/$1.disk" "$vm_dir/$1.before"; }

# stays WHAT CODE LINE DISK...    a machine with these disks says the line and ends with the code, and its disks are as before
stays() {
	local what=$1 code=$2 line=$3 disk
	shift 3
	must "$what: a machine starts" power_on "$@"
	must "$what: it comes to an end" iso_wait 1800 'byoh: boot ended with code'
	check "$what: it ends with code $code" iso_says "boot ended with code $code\$"
	check "$what: it says so" iso_says "$line"
	iso_row "$what: $(iso_says "$line" | head -n 1)"
	iso_kill
	for disk; do
		check "$what: nothing was written to $disk" as_before "$disk"
	done
}
refuses() {
	local what=$1
	shift
	stays "$what" 4 'byoh: refused' "$@"
}

# installs WHAT NODE DISK...
installs() {
	local what=$1 node=$2
	shift 2
	must "$what: a machine starts" power_on "$@"
	must "$what: it comes to an end" iso_wait 2400 'byoh: boot ended with code'
	must "$what: installed" iso_says "byoh: installed [^ ]* on $node"
	iso_row "$what: $(iso_says 'byoh: installed [^ ]* on' | head -n 1)"
	must "$what: it goes off" iso_off 300
}

case_two() {
	fresh one 20G
	fresh two 20G
	configure 'disk: {transport: virtio}'
	refuses "two disks that match" one two
}
case_none() {
	fresh one 20G
	configure 'disk: {serial: nobody}'
	refuses "no disk that matches" one
}
case_diskless() {
	configure 'disk: {transport: virtio}'
	refuses "no disk at all"
}
case_stick() {
	configure 'disk: {transport: usb, removable: true}'
	refuses "only the boot stick"
}
case_small() {
	fresh small 4G
	configure 'disk: {serial: small}'
	refuses "too small" small
}

# An operator's file system with files, on the whole disk.
fill() {
	mkdir -p "$vm_dir/files"
	echo precious >"$vm_dir/files/data"
	rm -f "$vm_dir/$1.disk"
	mke2fs -q -F -t ext4 -d "$vm_dir/files" "$vm_dir/raw" 20G
	qemu-img convert -O qcow2 "$vm_dir/raw" "$vm_dir/$1.disk"
	rm "$vm_dir/raw"
	keep "$1"
}
case_data() {
	must "a disk with data" fill full
	fresh two 20G
	configure 'disk: {serial: full}'
	refuses "a disk with data" full two
}
case_wipe_other() {
	must "a disk with data" fill full
	configure 'disk: {serial: full}' 'wipe: two'
	refuses "a disk with data, wipe names another" full
}

# A byte of a file's middle turns into its opposite.
flip() {
	local place byte
	place=$(LC_ALL=C grep -a -o -b -m1 'hsqs' "$image" | head -n 1 | cut -d: -f1)
	place=$((place + 100000000))
	byte=$(od -An -tu1 -j "$place" -N 1 "$image")
	# shellcheck disable=SC2059 # the format is the byte
	printf "\\$(printf %03o $((byte ^ 255)))" | dd of="$image" bs=1 seek="$place" conv=notrunc status=none
}
case_damaged() {
	fresh two 20G
	configure 'disk: {serial: two}'
	flip
	stays "a flipped byte on the medium" 3 'media-check: live/filesystem.squashfs is damaged' two
}

# The menu's "Check this medium": the initramfs reads it all before anything on it is used.
looks_at_medium() {
	local iso_kernel_line="byoh.mode=check $iso_kernel_line"
	must "$1: a machine starts" power_on
	must "$1: it comes to an end" iso_wait 1800 "$2"
}
case_check() {
	configure 'disk: {serial: nobody}'
	looks_at_medium "a good medium is checked" 'byoh: boot ended with code'
	check "a good medium is checked: it says so" iso_says 'byoh: every file of this medium is good'
	check "a good medium is checked: every file was read" iso_says 'byoh: reading live/filesystem.squashfs'
	iso_row "a good medium is checked: $(iso_says 'every file of this medium' | tail -n 1)"
	iso_kill
}
case_check_damaged() {
	configure 'disk: {serial: nobody}'
	flip
	looks_at_medium "a damaged medium is checked" 'media check ended with code'
	check "a damaged medium is checked: the file is named" iso_says 'this medium is damaged: live/filesystem.squashfs'
	iso_row "a damaged medium is checked: $(iso_says 'this medium is damaged')"
	iso_kill
}
# Zeroes, as a stick gives back that is smaller than it says.
case_check_list() {
	local place
	configure 'disk: {serial: nobody}'
	place=$(LC_ALL=C grep -a -o -b -m1 '[0-9a-f]\{64\}  .disk/byoh' "$image" | head -n 1 | cut -d: -f1)
	dd if=/dev/zero of="$image" bs=1 seek=$((place - 400)) count=400 conv=notrunc status=none
	looks_at_medium "a medium whose list of files is damaged" 'media check ended with code'
	check "a medium whose list of files is damaged: it is named" iso_says 'SHA256SUMS or .disk/byoh is damaged'
	iso_row "a medium whose list of files is damaged: $(iso_says 'this medium is damaged')"
	iso_kill
}

# In the middle of it the plug is pulled, and the machine is switched on again: a disk that had data, so that the
# word which let it go is needed once, and no more when it says itself that it is unfinished.
case_cut() {
	must "a disk with data" fill ours
	configure 'disk: {serial: ours}' 'wipe: ours'
	must "power cut: a machine starts" power_on ours
	must "power cut: in the middle of it" iso_wait 1800 'byoh: unpacking'
	iso_kill
	iso_row "power cut while the system is unpacked, onto a disk with data that wipe named"
	configure 'disk: {serial: ours}'
	iso_clock=2001-01-01 installs "the same machine switched on again, without wipe, its battery empty" /dev/vda ours
	check "the clock was set by the medium" iso_says 'clock showed a time before this medium was made; it is set'
	keep ours
	installed=1
}

# The disk `ours` is an installation, of this run or made now.
installed() {
	[ -z "$installed" ] || return 0
	fresh ours 20G
	configure 'disk: {serial: ours}'
	installs "an empty disk" /dev/vda ours
	keep ours
	installed=1
}
case_left_in() {
	installed
	configure 'disk: {serial: ours}'
	stays "the medium is left in" 0 'byoh: installed already' ours
}
case_other_disk() {
	installed
	fresh two 20G
	configure 'disk: {serial: two}'
	stays "an installation on another disk than the one named" 0 'byoh: installed already' ours two
}

must "an image is made" iso_image "$plain"
system=$("$host_top/iso/system-image" --quick)
iso_cases two none diskless stick small data wipe_other damaged check check_damaged check_list cut left_in other_disk
