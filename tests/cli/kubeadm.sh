#!/bin/bash
# join.mode kubeadm below --root: the JoinConfiguration by the bundle's Kubernetes version, tokens that come later, what
# stays out of kubeadm's way, and that all of it goes. The real kubeadm reads them in tests/host/kubeadm.sh.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "bundles"
make_keys key
make_ca
token=abcdef.0123456789abcdef
fresh=ghijkl.fedcba9876543210
mkdir "$work/config"
cp "$work/ca.crt" "$work/config/"
echo $token >"$work/config/token"
echo $fresh >"$work/fresh"
node_spec "$work/node"
for minor in 20 25 31 36; do
	sed -i "s/^kubernetes: .*/kubernetes: v1.$minor.2/; s/^epoch: .*/epoch: $minor/" "$work/node/bundle.yaml"
	build_bundle "$work/node" key "$work/$minor.run"
done
cluster='cluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: token}}'
pin=sha256:$(openssl x509 -pubkey -noout -in "$work/ca.crt" | openssl pkey -pubin -outform der | sha256sum | cut -c1-64)

config() {
	printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: %s}\n' "$1" >"$work/config/byoh.yaml"
	shift
	[ $# = 0 ] || printf '%s\n' "$@" >>"$work/config/byoh.yaml"
}
fresh_host() {
	root=$work/root
	rm -rf "$root"
	make_host "$root"
	before "$root"
}
# install MINOR [OPTION]...
install() {
	local minor=$1
	shift
	"$work/$minor.run" install --config "$work/config/byoh.yaml" --root "$root" "$@"
}
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
join=etc/byoh/kubeadm-join.yaml
discovery=etc/byoh/kubeadm-discovery.conf
holds() { grep -qF -- "$2" "$root/$1"; }
field() { sed -n "s/^ *$2: *\"\{0,1\}\([^\"]*\)\"\{0,1\}\$/\1/p" "$root/$1" | head -n 1; }
no_secret_in() { ! grep -rlF -e "$token" -e "$fresh" "$@" >>"$work/err"; }

step "by version"
while read -r minor api list; do
	fresh_host
	config kubeadm "$cluster" 'node: {ip: 10.0.0.21, labels: {site: lab}, taints: ["dedicated=gpu:NoSchedule"]}'
	check "1.$minor: installs" exits 0 install "$minor" --verbose
	check "1.$minor: $api" eval '[ "$(field $join apiVersion)" = "kubeadm.k8s.io/$api" ] && [ "$(field $join kind)" = JoinConfiguration ]'
	if [ "$list" = list ]; then
		check "1.$minor: arguments are a list" eval 'holds $join "  - name: node-ip" && ! holds $join "    node-ip: "'
	else
		check "1.$minor: arguments are a map" eval 'holds $join "    node-ip: \"10.0.0.21\"" && ! holds $join "- name: node-ip"'
	fi
	check "1.$minor: taints, labels, discovery" eval 'holds $join "effect: NoSchedule" && holds $join site=lab &&
		holds $join "kubeConfigPath: /etc/byoh/kubeadm-discovery.conf" && holds $join "$token"'
	check "1.$minor: root's alone" eval '[ "$(stat -c %a "$root/$join" "$root/$discovery" | sort -u)" = 600 ]'
	check "1.$minor: nothing where kubeadm writes" eval '[ -z "$(find "$root/etc/kubernetes" "$root/var/lib/kubelet" ! -type d)" ]'
	check "1.$minor: no secret is printed" eval 'no_secret_in "$work/out" "$work/err"'
	check "1.$minor: status waits for the boot" eval 'exits 0 tool status && prints "is about to join"'
	before "$root"
	check "1.$minor: a second run has nothing to do" eval 'exits 0 install "$minor" && says "nothing to do" && as_before "$root"'
done <<-END
	20 v1beta2 map
	25 v1beta3 map
	31 v1beta4 list
	36 v1beta4 list
END

step "discovery"
check "the discovery file is a kubeconfig without credentials" eval 'holds $discovery "kind: Config" && holds $discovery "$(base64 -w0 "$work/ca.crt")" &&
	holds $discovery https://10.0.0.1:6443 && ! holds $discovery "$token"'
fresh_host
config kubeadm "cluster: {server: \"https://10.0.0.1:6443\", ca: {pin: \"$pin\"}, token: {file: token}}"
check "a pin does without the CA" eval 'exits 0 install 36 && holds $join "$pin" && holds $join "apiServerEndpoint: \"10.0.0.1:6443\"" && [ ! -e "$root/$discovery" ]'

step "units"
unit=usr/local/lib/systemd/system/byoh-kubeadm-join.service
check "the unit that joins starts at boot" eval '[ -L "$root/etc/systemd/system/multi-user.target.wants/byoh-kubeadm-join.service" ] && holds $unit "kubeadm-join"'
check "the kubelet's too" eval '[ -L "$root/etc/systemd/system/multi-user.target.wants/kubelet.service" ]'
check "kube-proxy is the cluster's" eval '[ ! -e "$root/usr/local/lib/systemd/system/kube-proxy.service" ]'
check "the verb is for that unit alone" exits 2 tool kubeadm-join
check "nor does it take other words" exits 2 "$BYOH_INSTALL" kubeadm-join elsewhere

check "another mode gives back what was kubeadm's to read" eval 'config none && exits 0 install 36 && [ ! -e "$root/$join" ] && [ ! -e "$root/$discovery" ] && [ ! -e "$root/$unit" ]'

step "later"
fresh_host
config kubeadm
check "without a cluster it waits" eval 'exits 0 install 36 --json && jq -e ".join == \"pending\"" "$work/out" >/dev/null && [ ! -e "$root/$join" ]'
check "and says so" eval 'exits 0 tool status && prints "waits for credentials"'
cat >"$work/bootstrap.conf" <<END
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://10.0.0.9:6443", certificate-authority-data: $(base64 -w0 "$work/ca.crt")}}]
users: [{name: u, user: {token: $token}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
END
check "a kubeconfig binds it" eval 'exits 0 tool join --kubeconfig "$work/bootstrap.conf" && holds $join "$token" && holds $discovery 10.0.0.9'
check "a fresh token goes in its place" eval 'exits 0 tool join --token-file "$work/fresh" && holds $join "$fresh" && ! holds $join "$token"'
check "which is no drift" exits 0 tool status

step "what became of it"
record() { printf '{"format": "byoh-kubeadm-join/v1", "state": "%s", "cause": "%s", "remedy": "%s"}\n' "$@" >"$root/var/lib/byoh/kubeadm-join.json"; }
record failed "the token is unknown" "make one"
check "status tells why a join failed" eval 'exits 0 tool status && prints "kubeadm join failed" && prints "the token is unknown; make one"'
check "in JSON too" eval 'exits 0 tool status --json && jq -e ".node == \"failed\" and .joinCause == \"the token is unknown\"" "$work/out" >/dev/null'
record later "nobody answers" "look"
check "and that it is tried again" eval 'exits 0 tool status && prints "tried again by itself"'
mkdir -p "$root/etc/kubernetes/pki" "$root/var/lib/kubelet/pki"
cp "$work/ca.crt" "$root/var/lib/kubelet/pki/kubelet-client-current.pem"
for name in etc/kubernetes/kubelet.conf etc/kubernetes/pki/ca.crt var/lib/kubelet/config.yaml var/lib/kubelet/kubeadm-flags.env; do
	echo kubeadm >"$root/$name"
done
check "a node is a node" eval 'exits 0 tool status && prints "joined its cluster" && ! prints "nobody answers"'
check "install leaves it alone" eval 'exits 0 tool install --json && jq -e ".join == \"joined\" and .result == \"unchanged\"" "$work/out" >/dev/null'

step "uninstall"
fresh_host
config kubeadm "$cluster"
check "installs once more" exits 0 install 36
mkdir -p "$root/var/lib/kubelet/pki"
for name in etc/kubernetes/kubelet.conf etc/kubernetes/pki/ca.crt var/lib/kubelet/config.yaml var/lib/kubelet/kubeadm-flags.env \
	var/lib/kubelet/pki/kubelet-client-current.pem var/log/byoh/kubeadm-join.log; do
	echo kubeadm >"$root/$name"
done
record joined "" ""
fresh_before() { mv "$root" "$work/installed"; fresh_host; rm -rf "$root"; mv "$work/installed" "$root"; }
fresh_before
check "what the join wrote goes with the rest" eval 'exits 0 tool uninstall --yes && as_before "$root"'

step "for the agent"
fresh_host
config agent "$cluster"
check "agent: installs" exits 0 install 36
check "agent: its requests are watched" eval '[ -L "$root/etc/systemd/system/multi-user.target.wants/byoh-kubeadm-join.path" ] && holds $unit "kubeadm-join agent" &&
	[ ! -e "$root/etc/systemd/system/multi-user.target.wants/byoh-kubeadm-join.service" ]'
check "agent: no drop-in of kubeadm's" eval '[ ! -e "$root/usr/local/lib/systemd/system/kubelet.service.d/10-kubeadm.conf" ] && [ ! -e "$root/$join" ]'
echo >"$root/usr/local/lib/systemd/system/kubelet.service.d/10-kubeadm.conf"
ln -s /usr/local/lib/systemd/system/kubelet.service "$root/etc/systemd/system/multi-user.target.wants/kubelet.service"
fresh_before
check "agent: what a join in its stead left goes too" eval 'exits 0 tool uninstall --yes && as_before "$root"'

exit "$failed"
