#!/bin/bash
# With Secure Boot on, a USB stick makes an empty disk a Ready node, from power-on without a hand; the cluster is behind a
# VLAN alone.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/iso-lib.sh
. "$here/iso-lib.sh"
iso_begin iso-secure

must "an image is made" iso_image "$image"
iso_node secure usb 20
cat "$table"
