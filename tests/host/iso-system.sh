#!/bin/bash
# The system of the boot medium, made twice from the archive, each time with nothing kept from before, is the same bytes;
# firmware that is not free software is in it when it is asked for, and such a medium starts.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/iso-lib.sh
. "$here/iso-lib.sh"
iso_begin iso-system
first='' second=''

# make_system NAME    sets $NAME
make_system() {
	local folder
	folder=$(BYOH_CACHE=$vm_dir/$1 "$host_top/iso/system-image" --quick --firmware) && printf -v "$1" %s "$folder"
}
has_firmware() {
	grep '^firmware-' "$first/packages.tsv" &&
		unsquashfs -l "$first/filesystem.squashfs" | grep -c '/lib/firmware/bnx2x/'
}

must "a system is made from the archive" make_system first
must "and once more" make_system second
check "they are the same bytes" diff -r "$first" "$second"
check "firmware is in it" has_firmware

image_with_firmware() {
	BYOH_CACHE=$vm_dir/first iso_image "$image" --firmware
}
must "an image is made of it" image_with_firmware
must "it starts" iso_start --firmware uefi --usb "$image"
must "it comes to an end" iso_wait 1800 'byoh: boot ended with code'
check "it has shown the machine" iso_says 'byoh: inspected, nothing was written'
