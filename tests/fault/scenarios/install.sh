# shellcheck shell=bash disable=SC2016,SC2034,SC2154
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

# The same as the first, over two file systems: two staging folders, and no rename between them.
install_volumes_old() {
	install_old "$1"
	mv "$1/usr/local" "$1/volume"
	mkdir "$1/usr/local"
}
install_volumes_command() { install_command "$1"; }
install_volumes_within() {
	within=(unshare --mount --propagation private sh -c
		'root=$1; shift; mount --bind "$root/volume" "$root/usr/local" && exec "$@"' sh "$1")
}

# Nothing but files, on next to no host. Without /var/lib a kill could leave that folder: who made it is known from
# the lock in it.
plain_old() { mkdir -p "$1/opt" "$1/var/lib" && echo mine >"$1/opt/mine"; }
plain_command() { command=("$work/plain.run" install --root "$1"); }

# The last of two slices comes, and what waited for it goes.
slices_old() {
	plain_old "$1"
	if [ ! -d "$work/slices" ]; then
		"$BYOH_BUNDLE" split "$work/plain.run" --size 6M --out "$work/slices" --quiet
		mkdir "$work/slices.2"
		mv "$work/slices/plain.run.002" "$work/slices.2/"
	fi
	exits 5 "$BYOH_INSTALL" install --root "$1" --key "$work/key/public.pem" --from "$work/slices"
}
slices_once=1
slices_command() { command=("$BYOH_INSTALL" install --root "$1" --key "$work/key/public.pem" --from "$work/slices.2"); }

# What was killed on its way, or when everything was done but said, is undone by the next run of any verb.
undo_some_old() { install_old "$1"; }
undo_some_start() { install_command "$1" && killed_at 80% "${command[@]}"; }
undo_some_command() { command=("$BYOH_INSTALL" status --root "$1"); }
undo_all_old() { install_again_old "$1"; }
undo_all_start() { install_again_command "$1" && killed_at ' write .*/journal/' "${command[@]}"; }
undo_all_command() { command=("$BYOH_INSTALL" status --root "$1"); }

# Killed after it was said: the next run clears up.
clear_up_old() { install_again_old "$1"; }
clear_up_start() { install_again_command "$1" && killed_at ' fdatasync .*/journal/' "${command[@]}"; }
clear_up_command() { command=("$BYOH_INSTALL" status --root "$1"); }

scenarios+=(install install_again install_volumes plain slices undo_some undo_all clear_up)
