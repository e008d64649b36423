#!/bin/bash
# The boot medium with every firmware, as CD and as USB stick; then a disk that was installed with BIOS starts with
# each firmware, Secure Boot included, and has its address on a VLAN. At the end a table with times.
#
#   ISO_CASES='look:bios:cd install:bios:usb ...'    these alone, in this order
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/iso-lib.sh
. "$here/iso-lib.sh"
iso_begin iso-matrix

# row FIRMWARE MEDIUM WHAT SECONDS
row() { iso_row "$(printf '%-8s %-6s %-36s %5s s' "$@")"; }

# case_look FIRMWARE MEDIUM
case_look() {
	local firmware=$1 medium=$2 began=$SECONDS
	rm -f "$vm_dir/first.disk"
	iso_disk first 20G
	must "$firmware, $medium: it starts" iso_start --firmware "$firmware" "--$medium" "$image" --disk first
	must "$firmware, $medium: it comes to an end" iso_wait 1200 'byoh: boot ended with code'
	must "$firmware, $medium: it has shown the machine" iso_says 'byoh: inspected, nothing was written'
	row "$firmware" "$medium" 'power-on to the end of inspect' $((SECONDS - began))
	iso_kill
}

# case_install FIRMWARE MEDIUM    onto the disk that case_disk starts from
case_install() {
	local firmware=$1 medium=$2 began
	rm -f "$vm_dir/installed.disk"
	iso_disk installed 20G
	cp --reflink=auto "$image" "$vm_dir/configured.iso"
	{ iso_plain 'disk: {serial: installed}' && iso_site_link 20; } >"$vm_dir/byoh.yaml"
	must "$firmware, $medium: a configuration is written into the image" iso_configure "$vm_dir/configured.iso" "$vm_dir/byoh.yaml"
	began=$SECONDS
	must "$firmware, $medium: it starts to install" iso_start --firmware "$firmware" "--$medium" "$vm_dir/configured.iso" --disk installed
	must "$firmware, $medium: it comes to an end" iso_wait 2400 'byoh: boot ended with code'
	must "$firmware, $medium: installed" iso_says 'byoh: installed [^ ]* on /dev/vda'
	must "$firmware, $medium: it starts anew" iso_off 300
	row "$firmware" "$medium" 'power-on to installed' $((SECONDS - began))
}

# A booting system lets nobody in yet.
answers() {
	local end=$((SECONDS + vm_patience))
	until iso_ssh true; do
		[ "$SECONDS" -lt "$end" ] || return
		kill -0 "$iso_pid" || return
	done
}

# case_disk FIRMWARE
case_disk() {
	local firmware=$1 began=$SECONDS
	must "$firmware: the disk starts" iso_start --firmware "$firmware" --disk installed --vlan
	must "$firmware: the installed system answers" answers
	row "$firmware" disk 'power-on to an answer by ssh' $((SECONDS - began))
	[ "$firmware" != secure ] ||
		check "secure: the kernel knows it" iso_secure
	# shellcheck disable=SC2016 # for the machine's shell
	check "$firmware: it knows its own name" iso_ssh 'getent hosts "$(hostname)"'
	iso_ssh poweroff || true
	iso_off 300
}

must "an image is made" iso_image "$image"
# The installed system is reached by a VLAN alone.
iso_vlan_start 20
iso_cases look:bios:cd look:bios:usb look:uefi:cd look:uefi:usb look:secure:cd look:secure:usb \
	install:bios:usb disk:bios disk:uefi disk:secure
