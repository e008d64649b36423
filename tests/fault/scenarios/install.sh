# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by tests/fault/run, which says what a scenario is.

# A host whose operator has files of his own where ours go.
install_old() {
	make_host "$1"
	mkdir -p "$1/etc/containerd" "$1/etc/sysctl.d" "$1/etc/modules-load.d" "$1/etc/systemd/system" "$1/usr/local/bin"
	echo 'version = 2' >"$1/etc/containerd/config.toml"
	chmod 640 "$1/etc/containerd/config.toml"
	echo 'net.ipv4.ip_forward = 0' >"$1/etc/sysctl.d/99-zz-byoh.conf"
	printf '#!/bin/sh\necho mine\n' >"$1/usr/local/bin/runc"
	chmod 711 "$1/usr/local/bin/runc"
	ln "$1/usr/local/bin/runc" "$1/usr/local/bin/runc.mine"
	echo 'timeout: 1' >"$1/etc/crictl.mine"
	ln -s crictl.mine "$1/etc/crictl.yaml"
	[ "$(id -u)" != 0 ] || chown 1234:5678 "$1/etc/containerd/config.toml" "$1/etc/sysctl.d/99-zz-byoh.conf"
}
install_command() { command=("$work/node.run" install --config "$work/first/byoh.yaml" --root "$1"); }

# The same release with other values: files of ours are replaced, one goes.
install_again_old() { install_old "$1" && install_command "$1" && quietly "${command[@]}"; }
install_again_command() { command=("$work/node.run" install --config "$work/second/byoh.yaml" --root "$1"); }

# Nothing but files, on a host that lacks even /var/lib.
plain_old() { mkdir -p "$1/opt" && echo mine >"$1/opt/mine"; }
plain_command() { command=("$work/plain.run" install --root "$1"); }

# What was killed half way, and just before the end, is undone by the next run of any verb.
undo_half_old() { install_old "$1"; }
undo_half_start() { install_command "$1" && killed_at 2 "${command[@]}"; }
undo_half_command() { command=("$BYOH_INSTALL" status --root "$1"); }
undo_late_old() { install_again_old "$1"; }
undo_late_start() { install_again_command "$1" && killed_at_commit "${command[@]}"; }
undo_late_command() { command=("$BYOH_INSTALL" status --root "$1"); }

scenarios+=(install install_again plain undo_half undo_late)
