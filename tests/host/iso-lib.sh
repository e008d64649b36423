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
