#!/bin/bash
# The boot medium with every firmware, as CD and as USB stick; then a disk that was installed with BIOS starts with
# each firmware, Secure Boot included. At the end a table with times.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"
# shellcheck source=scripts/vm/iso.sh
. "$host_top/scripts/vm/iso.sh"

if reason=$(iso_missing); then
	echo "SKIP iso-matrix: $reason"
	exit 0
fi
host_begin iso-matrix --link
export BYOH_RUN=${BYOH_RUN:-$host_site/byoh-install.run}
image=$vm_dir/byoh.iso
table=$host_top/build/logs/iso-matrix.txt
: >"$table"

# row FIRMWARE MEDIUM WHAT SECONDS
row() { printf '%-8s %-6s %-36s %5s s\n' "$@" >>"$table"; }

inspect() {
	local firmware=$1 medium=$2 began=$SECONDS
	must "$firmware, $medium: it starts" iso_start --firmware "$firmware" "--$medium" "$image" --disk first
	must "$firmware, $medium: it comes to an end" iso_wait 900 'byoh: boot ended with code'
	must "$firmware, $medium: it has shown the machine" iso_says 'byoh: inspected, nothing was written'
	row "$firmware" "$medium" 'power-on to the end of inspect' $((SECONDS - began))
	iso_kill
}

must "an image is made" iso_image "$image"
iso_disk first 20G
for firmware in bios uefi secure; do
	inspect "$firmware" cd
	inspect "$firmware" usb
done

cat >"$vm_dir/byoh.yaml" <<END
apiVersion: byoh-install/v1alpha1
kind: InstallConfig
join: {mode: none}
host: {hostname: worker}
iso:
  mode: install
  disk: {serial: first}
  users:
    - {name: admin, sudo: true, sshKeys: ["$(ssh-keygen -q -t ed25519 -N '' -C tests -f "$vm_dir/ssh" && cat "$vm_dir/ssh.pub")"]}
$(iso_site_link)
END
must "a configuration is written into the image" iso_configure "$image" "$vm_dir/byoh.yaml"
vm_link_start
began=$SECONDS
must "bios, usb: it starts to install" iso_start --firmware bios --usb "$image" --disk first --link
must "bios, usb: it comes to an end" iso_wait 1500 'byoh: boot ended with code'
must "bios, usb: installed" iso_says 'byoh: installed [^ ]* on /dev/vda'
must "bios, usb: it starts anew" iso_off 300
row bios usb 'power-on to installed' $((SECONDS - began))
for firmware in bios uefi secure; do
	began=$SECONDS
	must "$firmware: the disk starts" iso_start --firmware "$firmware" --disk first --link
	# shellcheck disable=SC2016 # for eval
	check "$firmware: the installed system answers" eval 'until iso_ssh true; do kill -0 "$iso_pid" || exit; done'
	row "$firmware" disk 'power-on to an answer by ssh' $((SECONDS - began))
	[ "$firmware" != secure ] ||
		check "secure: the kernel knows it" iso_ssh 'od -An -t u1 -j4 /sys/firmware/efi/efivars/SecureBoot-* | grep -qw 1'
	iso_ssh poweroff || true
	iso_off 300
done
cat "$table"
