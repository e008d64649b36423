#!/bin/bash
# The life of a release below --root: upgrade, rollback, repair, uninstall; what the operator changed, what an older
# release leaves, what comes back.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

if [ "${1:-}" = -h ]; then
	sed -n '2,3s/^# //p' "$0"
	exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "bundles"
make_keys key
make_ca
echo abcdef.0123456789abcdef >"$work/token"

# release N EPOCH    $work/N.run: kubelet differs from one to the other, and each has a file of its own
release() {
	node_spec "$work/spec$1"
	printf '#!/bin/sh\necho kubelet of release %s\n' "$1" >"$work/spec$1/kubelet"
	echo "$1" >"$work/spec$1/only-$1"
	awk -v n="$1" -v epoch="$2" -v sum="$(sha256sum <"$work/spec$1/kubelet" | cut -c1-64)" '
		/^version:/ { $0 = "version: \"" n ".0\"" }
		/^epoch:/ { $0 = "epoch: " epoch }
		/source: \{path: kubelet,/ { sub(/sha256: [0-9a-f]+/, "sha256: " sum) }
		{ print }' "$work/spec$1/bundle.yaml" >"$work/spec$1/new"
	# before the images
	sed '/^images:/,$d' "$work/spec$1/new" >"$work/spec$1/bundle.yaml"
	add_part "$work/spec$1" "only-$1" 1 "/opt/only/$1" 0644
	sed -n '/^images:/,$p' "$work/spec$1/new" >>"$work/spec$1/bundle.yaml"
	build_bundle "$work/spec$1" key "$work/$1.run" || cat "$work/err"
}
release 1 1
release 2 2
mkdir "$work/config"
cp "$work/ca.crt" "$work/token" "$work/config/"

# config MODE [LINE]...
config() {
	printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: %s}\n' "$1" >"$work/config/byoh.yaml"
	shift
	[ $# = 0 ] || printf '%s\n' "$@" >>"$work/config/byoh.yaml"
}
cluster='cluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: token}}'

# A host with things of its own in the way.
fresh_host() {
	root=$work/root
	rm -rf "$root"
	make_host "$root"
	mkdir -p "$root/etc/containerd" "$root/etc/cni/net.d" "$root/etc/sysctl.d"
	echo 'version = 2 # the operator made this' >"$root/etc/containerd/config.toml"
	chmod 640 "$root/etc/containerd/config.toml"
	touch -d 2001-02-03 "$root/etc/containerd/config.toml"
	echo '{}' >"$root/etc/cni/net.d/10-mine.conf"
	echo 'vm.swappiness = 1' >"$root/etc/sysctl.d/50-mine.conf"
	touch -d 2002-02-03 "$root/etc/fstab"
	before_times "$root"
}
# With times of files: an uninstall brings those back too.
times() { (cd "$1" && find . -type f -printf '%P %T@\n' | LC_ALL=C sort); }
before_times() {
	before "$1"
	times "$1" >"$work/before-times"
}
as_before_times() {
	as_before "$1" || return 1
	times "$1" | diff "$work/before-times" - >>"$work/err"
}
run() { "$work/$1.run" "${@:2}" --config "$work/config/byoh.yaml" --root "$root" --ignore-preflight-errors leftovers; }
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
holds() { grep -qF -- "$2" "$root/$1"; }
state() { jq -r ".$1" <"$root/var/lib/byoh/state.json"; }

step "uninstall"
fresh_host
config agent "$cluster"
check "install over a host that has things" exits 0 run 1 install
check "uninstall needs --yes without a terminal" eval 'exits 2 tool uninstall && says "--yes" && [ -e "$root/usr/local/bin/kubelet" ]'
check "uninstall gives the host back" eval 'exits 0 tool uninstall --yes && as_before_times "$root"'
check "uninstall of nothing" eval 'exits 0 "$work/1.run" uninstall --yes --root "$root" && says "nothing to do" && as_before_times "$root"'
check "install again" exits 0 run 1 install
check "uninstall by the medium" eval 'exits 0 "$work/1.run" uninstall --yes --json --root "$root" && [ "$(jq -r .result <"$work/out")" = uninstalled ] && as_before_times "$root"'

step "what the operator changed"
fresh_host
run 1 install >"$work/out" 2>"$work/err"
echo '# mine' >>"$root/etc/containerd/config.toml"
check "drift is seen" eval 'exits 7 tool status && prints /etc/containerd/config.toml'
check "a changed file is kept beside, and said" eval 'exits 0 run 1 install && says config.toml.byoh-saved &&
	holds etc/containerd/config.toml.byoh-saved "# mine" && ! holds etc/containerd/config.toml "# mine"'
check "no drift" eval 'exits 0 tool status && prints "no drift"'
echo '# mine again' >>"$root/etc/containerd/config.toml"
echo '# mine' >>"$root/etc/sysctl.d/99-zz-byoh.conf"
mkdir -p "$root/etc/kubernetes/policies"
echo mine >"$root/etc/kubernetes/policies/audit.yaml"
echo pod >"$root/etc/kubernetes/manifests/mine.yaml"
echo of-kubelet >"$root/etc/kubernetes/kubelet.conf"
check "uninstall keeps what was changed, and says so" eval 'exits 0 tool uninstall --yes && says /etc/containerd/config.toml &&
	says /etc/containerd/config.toml.byoh-saved && says /etc/kubernetes/policies/audit.yaml &&
	holds etc/kubernetes/policies/audit.yaml mine && holds etc/kubernetes/manifests/mine.yaml pod &&
	[ ! -e "$root/etc/kubernetes/kubelet.conf" ] && [ ! -e "$root/etc/kubernetes/pki" ] &&
	holds etc/containerd/config.toml "# mine again" && holds etc/containerd/config.toml.byoh-before "the operator made this" &&
	holds etc/sysctl.d/99-zz-byoh.conf "# mine" && [ ! -e "$root/var/lib/byoh" ]'

step "upgrade and rollback"
fresh_host
run 1 install >"$work/out" 2>"$work/err"
one=$(state release)
snapshot "$root" | grep -v 'var/lib/byoh\|var/log' >"$work/release-1"
check "plan shows both versions" eval 'exits 0 "$work/2.run" plan --root "$root" && prints 1.0 && prints 2.0'
check "upgrade" eval 'exits 0 "$work/2.run" --root "$root" && [ "$(state version)" = 2.0 ] && [ "$(state previous)" = $one ]'
check "upgrade: what only the old one had is gone" eval '[ ! -e "$root/opt/only/1" ] && holds opt/only/2 2'
check "upgrade: new bytes" holds usr/local/bin/kubelet "release 2"
check "upgrade: no drift, nothing to do" eval 'exits 0 tool status && exits 0 "$work/2.run" --root "$root" && says "nothing to do"'
check "a release below the floor is refused" eval 'exits 3 "$work/1.run" --root "$root" && says epoch'
check "rollback needs --yes" exits 2 tool rollback
check "rollback goes below the floor, and says so" eval 'exits 0 tool rollback --yes && says epoch && [ "$(state version)" = 1.0 ]'
check "rollback: the old release, byte for byte" eval 'snapshot "$root" | grep -v "var/lib/byoh\|var/log" | diff "$work/release-1" - >>"$work/err"'
check "rollback: the floor stays" eval '[ "$(jq ".floors.node" <"$root/var/lib/byoh/state.json")" = 2 ]'
check "rollback goes forward again" eval 'exits 0 tool rollback --yes && [ "$(state version)" = 2.0 ] && holds usr/local/bin/kubelet "release 2"'
check "only two releases are kept" eval '[ "$(ls "$root/var/lib/byoh/releases" | wc -l)" = 2 ]'
config none
check "a new configuration" eval 'exits 0 run 2 install && [ "$(state joinMode)" = none ] && [ ! -e "$root/etc/byoh/bootstrap-kubeconfig.conf" ]'
check "rollback: the configuration too" eval 'exits 0 tool rollback --yes && [ "$(state joinMode)" = agent ] && [ -s "$root/etc/byoh/bootstrap-kubeconfig.conf" ] && holds etc/byoh/token abcdef'
check "uninstall after all that" eval 'exits 0 tool uninstall --yes && as_before_times "$root"'

step "a release whose tool writes other texts"
other=$work/other-install
sed 's/Description=containerd container runtime/Description=containerd container runtimE/' "$BYOH_INSTALL" >"$other"
chmod 755 "$other"
check "the other tool differs" eval '! cmp -s "$BYOH_INSTALL" "$other" && "$other" --version >"$work/out"'
fresh_host
config agent "$cluster"
run 1 install >"$work/out" 2>"$work/err"
sed -i 's/^version:.*/version: "3.0"/' "$work/spec2/bundle.yaml"
BYOH_INSTALL=$other build_bundle "$work/spec2" key "$work/3.run"
unit=usr/local/lib/systemd/system/containerd.service
check "upgrade to it" eval 'exits 0 run 3 install && holds $unit runtimE && exits 0 tool status'
check "rollback: the release's own tool writes its own texts" eval 'exits 0 tool rollback --yes && holds $unit runtime && [ "$(state version)" = 1.0 ]'
check "rollback: says so in JSON" eval 'exits 0 tool rollback --yes --json && [ "$(jq -r .result <"$work/out")" = rolledBack ] && exits 0 tool rollback --yes'
check "rollback: no drift" eval 'exits 0 tool status && prints "no drift"'
check "and forward again" eval 'exits 0 tool rollback --yes && holds $unit runtimE && exits 0 tool status'
check "uninstall after that" eval 'exits 0 tool uninstall --yes && as_before_times "$root"'

step "repair"
fresh_host
config agent "$cluster"
run 1 install >"$work/out" 2>"$work/err"
snapshot "$root" | grep -v 'var/lib/byoh\|var/log' >"$work/whole"
is_whole() { snapshot "$root" | grep -v "var/lib/byoh\|var/log\|byoh-saved" | diff "$work/whole" - >>"$work/err"; }
check "nothing to repair" eval 'exits 0 tool repair && says "nothing to do"'
rm -r "$root/etc/kubernetes" "$root/var/lib/kubelet" "$root/opt/cni/bin/bridge"
printf 'X' | dd of="$root/usr/local/bin/kubelet" conv=notrunc status=none
chmod 600 "$root/usr/local/bin/kubeadm"
rm "$root/etc/systemd/system/multi-user.target.wants/containerd.service"
echo 'join: {mode: none}' >>"$root/etc/byoh/byoh.yaml"
check "damage is seen" eval 'exits 7 tool status && prints /usr/local/bin/kubelet && prints /opt/cni/bin/bridge && prints /etc/byoh/byoh.yaml'
check "repair brings everything back" eval 'exits 0 tool repair --json && [ "$(jq -r .result <"$work/out")" = repaired ] && is_whole && exits 0 tool status'
check "repair kept what was changed" eval '[ -e "$root/usr/local/bin/kubelet.byoh-saved" ] && [ -e "$root/etc/byoh/byoh.yaml.byoh-saved" ]'
# decay FILE    other bytes, which the file system does not tell: the ledger gets the times that the writing left
decay() {
	local line text ledger=$root/var/lib/byoh/ledger
	printf X | dd of="$root/$1" bs=1 seek=3 conv=notrunc status=none
	while IFS= read -r line; do
		case $line in
		*"\"/$1\""*)
			text=$(sed -E "s/^[0-9a-f]+ //; s/(changedSeconds\": )[0-9]+/\1$(stat -c %Z "$root/$1")/
				s/(changedNanoseconds\": )[0-9]+/\1$(stat -c %z "$root/$1" | sed -E 's/.*\.0*([0-9]+) .*/\1/')/" <<<"$line")
			line="$(printf %s "$text" | sha256sum | cut -c1-16) $text"
			;;
		esac
		printf '%s\n' "$line"
	done <"$ledger" >"$work/ledger"
	cat "$work/ledger" >"$ledger"
}
decay usr/local/bin/runc
check "decay is not seen by status" exits 0 tool status
check "decay is seen by verify --installed" eval 'exits 7 tool verify --installed && prints "/usr/local/bin/runc is different"'
check "decay is repaired" eval 'exits 0 tool repair && is_whole && exits 0 tool verify --installed'
rm "$root"/var/lib/byoh/releases/*/bundle "$root/usr/local/bin/kubeadm"
check "repair without its bundle says what to do" eval 'exits 1 tool repair && says --from'
check "a medium brings it back" eval 'exits 0 "$work/1.run" --root "$root" && is_whole'
rm "$root"/var/lib/byoh/releases/*/bundle
check "a medium brings the bundle alone back" eval 'exits 0 "$work/1.run" --root "$root" && exits 0 tool repair && exits 0 tool status'

exit $failed
