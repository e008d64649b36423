# shellcheck shell=bash
# What the tests of the boot medium share. A test sources this file and calls iso_begin NAME [CASE]...; each case
# is a function of its own, `case_` before the name.
# shellcheck source=tests/host/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
# shellcheck source=scripts/vm/iso.sh
. "$host_top/scripts/vm/iso.sh"

# The image is to be made at $image.
iso_begin() {
	local reason
	if reason=$(iso_missing); then
		echo "SKIP $1: $reason"
		exit 0
	fi
	host_begin "$1" --link
	export BYOH_RUN=${BYOH_RUN:-$host_site/byoh-install.run}
	# shellcheck disable=SC2034 # for the test
	image=$vm_dir/byoh.iso
	table=$host_top/build/logs/$1.txt
	: >"$table"
}

# iso_cases CASE...    runs them in this order, or those of ISO_CASES
iso_cases() {
	local name words
	read -ra iso_wanted <<<"${ISO_CASES:-$*}"
	for name in "${iso_wanted[@]}"; do
		declare -F "case_${name%%:*}" >/dev/null || vm_fail "no case $name; there are: $*" || exit 2
	done
	for name in "${iso_wanted[@]}"; do
		# Words after colons are the case's arguments.
		IFS=: read -ra words <<<"$name"
		"case_${words[0]}" "${words[@]:1}"
	done
	cat "$table"
}

# A row of the table at the end, which stays in build/logs.
iso_row() { printf '%s\n' "$*" | tee -a "$table" >&2; }

# iso_plain LINE...    a configuration that needs no cluster; the lines are of its section `iso`
iso_plain() {
	[ -f "$vm_dir/ssh" ] || ssh-keygen -q -t ed25519 -N '' -C tests -f "$vm_dir/ssh"
	cat <<-YAML
		apiVersion: byoh-install/v1alpha1
		kind: InstallConfig
		join: {mode: none}
		host: {hostname: worker}
		iso:
		  mode: install
		  users:
		    - {name: admin, sudo: true, sshKeys: ["$(cat "$vm_dir/ssh.pub")"]}
		$(printf '  %s\n' "$@")
	YAML
}

#
# From an empty machine to a Ready node
#

iso_same_kernel() {
	[ "$(iso_ssh 'sha256sum </boot/vmlinuz-*')" = "$(sha256sum <"$("$host_top/iso/system-image" --quick)/vmlinuz")" ]
}
iso_identities() {
	iso_ssh '[ -s /etc/machine-id ] && [ -s /etc/ssh/ssh_host_ed25519_key ] && hostname | grep -qx worker
		systemctl is-enabled byoh-boot.service 2>/dev/null && exit 1
		[ ! -e /usr/lib/byoh/boot ]'
}
iso_services() {
	iso_ssh 'systemctl is-active containerd kubelet ssh systemd-networkd
		systemctl is-system-running --wait || { systemctl --failed --no-legend --plain; exit 1; }'
}

# iso_node FIRMWARE cd|usb [VLAN]    $image makes an empty disk a node, whose cluster is on the link, or on a VLAN of it
iso_node() {
	local firmware=$1 medium=$2 vlan=${3:-} link=--link began
	if [ -n "$vlan" ]; then
		link=--vlan
		iso_vlan_start "$vlan"
	else
		vm_link_start
	fi
	must "a control plane starts" control_plane start "$vm_host_address"
	iso_site_write "$vm_dir/byoh.yaml" tlsBootstrap "$(control_plane ca)" "$(control_plane token)"
	{ iso_site_link "$vlan" && echo '  disk: {serial: node}'; } >>"$vm_dir/byoh.yaml"
	must "a configuration is written into the image" iso_configure "$image" "$vm_dir/byoh.yaml"
	iso_disk node 20G

	began=$SECONDS
	must "an empty machine starts from it ($firmware, $medium)" \
		iso_start --firmware "$firmware" "--$medium" "$image" --disk node "$link"
	must "it comes to an end" iso_wait 1500 'byoh: boot ended with code'
	must "the system is laid onto its disk" iso_says 'byoh: installed [^ ]* on /dev/vda'
	[ "$firmware" = bios ] ||
		check "by firmware that took an entry for it" eval '! iso_says "boot-loader: warning"'
	must "it starts anew" iso_off 300
	iso_row "$firmware, $medium: from power-on of an empty machine to installed: $((SECONDS - began)) s"
	must "it starts from its disk" iso_start --firmware "$firmware" --disk node "$link"
	must "the node appears" cluster_wait_object nodes worker
	must "the node becomes Ready" cluster_wait_ready node worker
	iso_row "$firmware, $medium: from power-on of an empty machine to Ready: $((SECONDS - began)) s"
	check "its services are up, and no unit failed" iso_services
	check "it has identities of its own, and nothing of the live system" iso_identities
	check "it starts the kernel of the medium" iso_same_kernel
	check "status finds no drift" iso_ssh 'byoh-install status'
	[ "$firmware" != secure ] || check "the kernel knows of Secure Boot" iso_secure
	[ -z "$vlan" ] || check "its address is on the VLAN" iso_ssh "ip -d address show to $vm_address | grep -qw 'id $vlan'"
}

iso_secure() {
	iso_ssh 'od -An -t u1 -j4 /sys/firmware/efi/efivars/SecureBoot-* | grep -qw 1'
}
