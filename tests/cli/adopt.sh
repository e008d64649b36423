#!/bin/bash
# A host that has a containerd: refused, adopted, replaced, below --root. What is changed of its own, that a second
# run finds nothing to do, and that nothing is touched where its configuration cannot be merged.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

unit=usr/lib/systemd/system/containerd.service
wanted=etc/systemd/system/multi-user.target.wants/containerd.service

# docker_host    at $root, with containerd and docker as Docker's packages bring them; by name only
docker_host() {
	root=$work/root
	rm -rf "$root"
	make_host "$root"
	mkdir -p "$root/etc/containerd" "$root/${unit%/*}" "$root/${wanted%/*}"
	echo 'github.com/containerd/containerd/services/ /runtime.v1.RuntimeService/' >"$root/usr/bin/containerd"
	for name in containerd-shim-runc-v2 ctr runc dockerd; do echo "$name" >"$root/usr/bin/$name"; done
	chmod 755 "$root"/usr/bin/*
	printf '# a license\n\ndisabled_plugins = ["cri"]\n\n#root = "/x"\n' >"$root/etc/containerd/config.toml"
	printf '[Service]\nExecStart=/usr/bin/containerd\n' >"$root/$unit"
	ln -s "/lib/systemd/system/containerd.service" "$root/$wanted"
	before "$root"
}
# config EXISTING [LINE]...
config() {
	printf '%s\n' 'apiVersion: byoh-install/v1alpha1' 'kind: InstallConfig' 'join: {mode: none}' \
		"containerd: {existing: $1}" "${@:2}" >"$work/byoh.yaml"
}
install_node() { "$work/node.run" "${verb:-install}" --config "$work/byoh.yaml" --root "$root" "$@"; }
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
holds() { grep -qF -- "$2" "$root/$1"; }
is_theirs() { [ ! -e "$root/usr/local/bin/$1" ] && [ -e "$root/usr/bin/$1" ]; }

step "bundle"
make_keys key
node_spec "$work/node"
for name in ctr containerd-shim-runc-v2; do
	echo "$name" >"$work/node/$name"
	sed -i "/^components:/r /dev/stdin" "$work/node/bundle.yaml" <<-END
		  - name: $name
		    version: "2.1.4"
		    license: Apache-2.0
		    source: {path: $name, sha256: $(sha256sum <"$work/node/$name" | cut -c1-64)}
		    files: [{from: $name, to: /usr/local/bin/$name, mode: "0755"}]
	END
done
build_bundle "$work/node" key "$work/node.run"

step "refuse"
docker_host
config refuse
check "refuse: a host with docker" eval 'exits 4 install_node && says /usr/bin/containerd && says adopt && says replace && as_before "$root"'

step "adopt"
config adopt
check "adopt: the plan says so" eval 'verb=plan exits 0 install_node && prints "Adopt the host'"'"'s containerd 1.6 or newer" && as_before "$root"'
check "adopt: preflight says so" eval 'verb=preflight exits 0 install_node && prints "/usr/bin/containerd 1.6 or newer is adopted, and docker goes on with it"'
check "adopt: installs" exits 0 install_node
check "adopt: its programs stay" eval 'is_theirs containerd && is_theirs ctr && is_theirs containerd-shim-runc-v2 && is_theirs runc'
check "adopt: the others come" eval '[ -x "$root/usr/local/bin/kubelet" ] && [ -x "$root/opt/cni/bin/bridge" ] && [ -e "$root/etc/crictl.yaml" ]'
check "adopt: its unit stays" eval '[ ! -e "$root/usr/local/lib/systemd/system/containerd.service" ] && [ "$(readlink "$root/$wanted")" = /lib/systemd/system/containerd.service ]'
check "adopt: CRI is on, by two lines" \
	eval '[ "$(cat "$root/etc/containerd/config.toml")" = "$(printf "# a license\n\nimports = [\"/etc/containerd/byoh*.toml\"]\ndisabled_plugins = []\n\n#root = \"/x\"\n")" ]'
check "adopt: the drop-in" eval 'holds etc/containerd/byoh.toml "SystemdCgroup = true" && holds etc/containerd/byoh.toml registry.k8s.io/pause:3.10 && holds etc/containerd/byoh.toml /opt/cni/bin'
check "adopt: images come at the first boot" eval '[ -e "$root/usr/local/lib/systemd/system/byoh-settle-images.service" ] && [ -e "$root/var/lib/byoh/unsettled" ]'
check "adopt: no drift" eval 'exits 0 tool status && prints "no drift"'
before "$root"
check "adopt: a second run has nothing to do" eval 'exits 0 install_node && says "nothing to do" && as_before "$root"'
printf 'disabled_plugins = ["cri"]\n' >"$root/etc/containerd/config.toml"
check "adopt: a package that takes it back is drift" eval 'exits 7 tool status && prints /etc/containerd/config.toml'
check "adopt: which the next run mends" eval 'exits 0 install_node && holds etc/containerd/config.toml "disabled_plugins = []" && exits 0 tool status'

docker_host
check "adopt: uninstall gives the host back" eval 'exits 0 install_node && exits 0 tool uninstall --yes && as_before "$root"'
docker_host
exits 0 install_node || true
echo 'oom_score = -1' >>"$root/etc/containerd/config.toml"
check "adopt: a setting of the operator is no drift" eval 'exits 0 tool status && prints "no drift"'
check "adopt: and stays, with an import that fits nothing" eval 'exits 0 tool uninstall --yes && says config.toml.byoh-before &&
	holds etc/containerd/config.toml "oom_score = -1" && [ ! -e "$root/etc/containerd/byoh.toml" ] && grep -q "cri" "$root/etc/containerd/config.toml.byoh-before"'

step "adopt what lies below /usr/local"
docker_host
mkdir -p "$root/usr/local/bin" "$root/usr/local/sbin" "$root/usr/local/lib/systemd/system"
mv "$root"/usr/bin/{containerd,containerd-shim-runc-v2,ctr} "$root/usr/local/bin/"
mv "$root/usr/bin/runc" "$root/usr/local/sbin/"
mv "$root/$unit" "$root/usr/local/lib/systemd/system/"
cp -a "$root" "$work/their"
still_theirs() {
	local file
	for file in bin/containerd bin/ctr bin/containerd-shim-runc-v2 sbin/runc lib/systemd/system/containerd.service; do
		cmp "$work/their/usr/local/$file" "$root/usr/local/$file" || return 1
	done
	[ ! -e "$root/usr/local/bin/runc" ]
}
check "adopt: it stays there" eval 'exits 0 install_node && still_theirs'
before "$root"
check "adopt: and after a second run" eval 'exits 0 install_node && says "nothing to do" && as_before "$root" && exits 0 tool status'

step "adopt: what cannot be"
docker_host
printf 'version = 2\nplugins = {}\n' >"$root/etc/containerd/config.toml"
before "$root"
check "a table that cannot be merged" eval 'exits 4 install_node --quiet && says_one_sentence && says "/etc/containerd/config.toml: line 2" && as_before "$root"'
check "preflight names it too" eval 'verb=preflight exits 4 install_node && says "config.toml: line 2" && as_before "$root"'
docker_host
echo 'no program of Go' >"$root/usr/bin/containerd"
before "$root"
check "a containerd of no known version" eval 'exits 4 install_node && says "cannot be told" && says "running host" && as_before "$root"'
config adopt
sed -i 's/adopt/adopt, root: \/data/' "$work/byoh.yaml"
check "a folder that is not ours to choose" eval 'exits 2 install_node && says "byoh.yaml:4:" && says containerd.root && as_before "$root"'

step "replace"
docker_host
config replace
mkdir -p "$root/etc/systemd/system"
printf '[Service]\nExecStart=/usr/bin/containerd -l debug\n' >"$root/etc/systemd/system/containerd.service"
cp "$root/etc/containerd/config.toml" "$work/their.toml"
check "replace: the plan says so" eval 'verb=plan exits 0 install_node && prints "Stop the containerd that is there and start the bundle'"'"'s"'
check "replace: installs" exits 0 install_node
check "replace: ours comes" eval 'cmp "$work/node/containerd" "$root/usr/local/bin/containerd" && holds etc/containerd/config.toml "version = 3" && holds etc/containerd/config.toml /usr/local/bin/runc'
check "replace: its own stays" eval '[ -e "$root/usr/bin/containerd" ] && [ -e "$root/$unit" ]'
check "replace: our unit is the one" eval '[ ! -e "$root/etc/systemd/system/containerd.service" ] && [ "$(readlink "$root/$wanted")" = /usr/local/lib/systemd/system/containerd.service ]'
check "replace: what was there is kept" eval 'grep -rlF "a license" "$root/var/lib/byoh/before" >"$work/out" && grep -rlF "debug" "$root/var/lib/byoh/before" >"$work/out"'
before "$root"
check "replace: a second run has nothing to do" eval 'exits 0 install_node && says "nothing to do" && as_before "$root" && exits 0 tool status'
check "replace: uninstall gives the host back" eval 'exits 0 tool uninstall --yes && [ -e "$root/etc/systemd/system/containerd.service" ] &&
	cmp "$work/their.toml" "$root/etc/containerd/config.toml" && [ ! -e "$root/usr/local/bin/containerd" ] && [ "$(readlink "$root/$wanted")" = /lib/systemd/system/containerd.service ]'
docker_host
mkdir -p "$root/etc/systemd/system/containerd.service.d"
printf '[Service]\nExecStart=\nExecStart=/usr/bin/containerd\n' >"$root/etc/systemd/system/containerd.service.d/own.conf"
before "$root"
check "replace: not under a drop-in with a command" eval 'exits 4 install_node && says own.conf && as_before "$root"'

exit "$failed"
