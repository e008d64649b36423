#!/bin/bash
# What the join modes write, below --root: read by the real kubelet, kube-proxy and kubectl where a set of them has been
# built; a network for a single node and HeadCNI in its place; a node that is adopted; a dummy route.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

if [ "${1:-}" = -h ]; then
	sed -n '2,3s/^# //p' "$0"
	exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
top=$(cd "$here/../.." && pwd)
cache=${BYOH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/byoh}

# program NAME    the real one, of the set that payloads/debian-12 makes; fails where none has been made
program() {
	local candidate
	for candidate in "$top"/build/payloads/*/bin/"$1" "$top"/build/payloads/*/control-plane/"$1" \
		"$cache"/payloads-kubernetes-*/"$1" "$cache"/payloads-packages-*/bin/"$1"; do
		[ ! -x "$candidate" ] || { echo "$candidate"; return; }
	done
	return 1
}

step "a bundle of Kubernetes 1.20"
make_keys key
make_ca
node_spec "$work/node"
sed -i 's/v1\.34\.1/v1.20.2/; s/"2\.1\.4"/"1.6.20"/' "$work/node/bundle.yaml"
for plugin in host-local portmap loopback; do
	cp "$work/node/bridge" "$work/node/$plugin"
	sed -i "/^images:/i\\  - name: $plugin\n    version: \"1.8.0\"\n    license: Apache-2.0\n    source: {path: $plugin, sha256: $(sha256sum <"$work/node/$plugin" | cut -c1-64)}\n    files: [{from: $plugin, to: /opt/cni/bin/$plugin, mode: \"0755\"}]" "$work/node/bundle.yaml"
done
check "it builds" build_bundle "$work/node" key "$work/node.run"
mkdir "$work/config"
cp "$work/ca.crt" "$work/config/"
echo abcdef.0123456789abcdef >"$work/config/token"
cluster='cluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: token}}'
# config MODE [LINE...]
config() {
	printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: %s}\n' "$1" >"$work/config/byoh.yaml"
	shift
	printf '%s\n' "$@" >>"$work/config/byoh.yaml"
}
fresh_host() {
	root=$work/root
	rm -rf "$root"
	make_host "$root"
	mkdir -p "$root/etc/ssl/certs" "$root/root"
}
install() { "$work/node.run" install --config "$work/config/byoh.yaml" --root "$root" --quiet "$@"; }
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
said() { jq -e "$1" "$work/out" >/dev/null || { echo "not so: $1" >>"$work/err"; return 1; }; }

#
# What kubelet, kube-proxy and kubectl make of it
#

# as_nobody PROGRAM ARGUMENT...    ends at the first folder that it wants to make, long after its configuration
as_nobody() {
	timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups unshare -r -n "$@" >"$work/said" 2>&1 || true
}
# loads FILE    does the kubelet take it, with no word about it?
loads() {
	command install -m 644 "$1" "$readable/config.yaml"
	as_nobody "$readable/kubelet" --config="$readable/config.yaml" --root-dir=/nonexistent/root --cert-dir=/nonexistent/pki \
		--container-runtime=remote --container-runtime-endpoint=unix:///nonexistent.sock
	cat "$work/said" >>"$work/err"
	grep -q '/nonexistent' "$work/said" && ! grep -qE 'lenient|failed to load' "$work/said"
}

step "tlsBootstrap"
cat >"$work/config/kubelet.yaml" <<'END'
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
evictionHard: {memory.available: 5%, nodefs.available: 10%}
featureGates: {GracefulNodeShutdown: true}
shutdownGracePeriod: 30s
kubeReservedCgroup: /runtime.slice
enforceNodeAllocatable: [pods, kube-reserved]
imageGCLowThresholdPercent: 60
END
config tlsBootstrap "$cluster" 'node:' '  ip: 10.0.0.21' '  labels: {site: a}' '  taints: ["k=v:NoSchedule"]' '  maxPods: 30' \
	'  kubeReserved: {cpu: 1, memory: 300Mi, ephemeral-storage: 1Gi, pid: 500}' '  systemReserved: {memory: 200Mi}' \
	'  kubelet: {file: kubelet.yaml}' 'host: {slices: true}' 'kubeProxy: {token: {value: static-token}}'
fresh_host
check "it installs" exits 0 install
check "the operator's file is kept" cmp "$work/config/kubelet.yaml" "$root/etc/byoh/kubelet.yaml"
check "status finds nothing" exits 0 tool status
readable=$(mktemp -d /var/tmp/byoh-modes-XXXXXX)
chmod 755 "$readable"
trap 'rm -rf "$readable"; end' EXIT
if kubelet=$(program kubelet) && setpriv --reuid=65534 --regid=65534 --clear-groups unshare -r -n true 2>/dev/null; then
	command install -m 755 "$kubelet" "$readable/kubelet"
	check "the real kubelet takes its configuration" loads "$root/var/lib/kubelet/config.yaml"
	sed 's/^maxPods:/maxPodz:/' "$root/var/lib/kubelet/config.yaml" >"$work/misspelt"
	check "it would say so otherwise" eval '! loads "$work/misspelt" && grep -q lenient "$work/said"'
	sed 's/^maxPods: 30/maxPods: "30"/' "$root/var/lib/kubelet/config.yaml" >"$work/mistyped"
	check "and would end over a wrong type" eval '! loads "$work/mistyped" && grep -q "failed to load" "$work/said"'
else
	skip "the real kubelet reads its configuration" "no kubelet has been built (payloads/debian-12/build), or nobody may have no namespace"
fi
if proxy=$(program kube-proxy) && [ -e "$readable/kubelet" ]; then
	command install -m 755 "$proxy" "$readable/kube-proxy"
	sed 's|/etc/kubernetes/kube-proxy.kubeconfig|/nonexistent/kubeconfig|' "$root/var/lib/kube-proxy/kube-proxy-config.yaml" >"$readable/proxy.yaml"
	chmod 644 "$readable/proxy.yaml"
	check "the real kube-proxy takes its configuration" eval 'as_nobody "$readable/kube-proxy" --config="$readable/proxy.yaml" --v=2; cat "$work/said" >>"$work/err"
		grep -q /nonexistent/kubeconfig "$work/said" && ! grep -qiE "lenient|unknown field|failed to decode" "$work/said"'
else
	skip "the real kube-proxy reads its configuration" "no kube-proxy has been built (payloads/debian-12/build)"
fi

# view FILE USER    kubectl finds the server, and a user with a token, in the current context
view() {
	KUBECONFIG=$1 "$kubectl" config view --minify --raw -o json >"$work/out" 2>>"$work/err" &&
		said '.clusters[0].cluster.server == "https://10.0.0.1:6443" and (.clusters[0].cluster."certificate-authority-data" | length) > 100 and
			.users[0].user.token == "'"$2"'" and ."current-context" == .contexts[0].name'
}
if kubectl=$(program kubectl); then
	check "kubectl reads the bootstrap kubeconfig" view "$root/etc/kubernetes/bootstrap-kubeconfig" abcdef.0123456789abcdef
	check "kubectl reads kube-proxy's" view "$root/etc/kubernetes/kube-proxy.kubeconfig" static-token
	check "kubectl reads what join keeps" eval 'echo ghijkl.fedcba9876543210 >"$work/fresh" && exits 0 tool join --token-file "$work/fresh" &&
		view "$root/etc/byoh/join.kubeconfig" ghijkl.fedcba9876543210 && view "$root/etc/kubernetes/bootstrap-kubeconfig" ghijkl.fedcba9876543210'
else
	skip "kubectl reads the kubeconfigs" "no kubectl has been unpacked (payloads/debian-12/build)"
fi

step "what is wrong is found before anything changes"
config tlsBootstrap "$cluster" 'node: {kubelet: {seccompDefault: true}}'
fresh_host
before "$root"
check "a field that is too new" eval 'exits 2 install && says "kubelets know the field \"seccompDefault\" from 1.22 on" && as_before "$root"'
config tlsBootstrap "$cluster" 'node: {kubelet: {maxPodz: 3}}'
check "a misspelt field, at its line" eval 'exits 2 install && says "byoh.yaml:5:18: unknown key \"maxPodz\""'
config tlsBootstrap "$cluster" 'node: {labels: {node-role.kubernetes.io/node: ""}}'
check "a label over which the kubelet would end" eval 'exits 2 install && says "node-role.kubernetes.io/node"'

#
# The network of a single node
#

step "bridge"
config none 'cni: {install: bridge}' 'host: {dummyRoute: true}'
fresh_host
before "$root"
check "without a network of its own the check fails" eval 'exits 4 install && says "the network of this node" && as_before "$root"'
check "from the environment" eval 'NODE_POD_CIDR=10.244.9.0/24 exits 0 install && jq -e ".plugins[0].ipam.ranges[0][0].subnet == \"10.244.9.0/24\"" "$root/etc/cni/net.d/99-byoh.conflist"'
check "which later runs need not have" eval 'exits 0 tool status && prints "network: by 99-byoh.conflist" && prints "no drift"'
rm "$root/etc/cni/net.d/99-byoh.conflist"
check "a lost one is drift" eval 'exits 7 tool status && prints "99-byoh.conflist is missing"'
check "and comes back" eval 'exits 0 tool repair && grep -q 10.244.9.0/24 "$root/etc/cni/net.d/99-byoh.conflist"'
check "the dummy route is a unit, enabled" eval '[ -L "$root/etc/systemd/system/multi-user.target.wants/byoh-dummy-route.service" ]'
check "what an operator writes goes before all" eval 'config none "cni: {install: bridge, podCIDR: 10.244.8.0/24}" "host: {dummyRoute: true}" && exits 0 install &&
	grep -q 10.244.8.0/24 "$root/etc/cni/net.d/99-byoh.conflist"'

step "HeadCNI takes the network over"
mv "$root/etc/cni/net.d/99-byoh.conflist" "$root/etc/cni/net.d/99-byoh.conflist.headcni_bak"
echo '{"cniVersion": "1.0.0", "name": "cbr0", "plugins": [{"type": "headcni"}]}' >"$root/etc/cni/net.d/10-headcni.conflist"
check "no drift, said in words" eval 'exits 0 tool status && prints "no drift" && prints "HeadCNI" && prints "99-byoh.conflist.headcni_bak"'
check "in JSON" eval 'exits 0 tool status --json && said ".network == \"headcni\" and .networkFile == \"10-headcni.conflist\" and .drift == []"'
check "neither repair nor install puts ours back" eval 'exits 0 tool repair && exits 0 install && [ ! -e "$root/etc/cni/net.d/99-byoh.conflist" ] && [ -e "$root/etc/cni/net.d/99-byoh.conflist.headcni_bak" ]'
rm "$root/etc/cni/net.d/10-headcni.conflist"
check "once HeadCNI is gone it is drift again" eval 'exits 7 tool status && exits 0 tool repair && [ -e "$root/etc/cni/net.d/99-byoh.conflist" ]'
check "uninstall takes the renamed one along" eval 'exits 0 tool uninstall --yes && as_before "$root"'

#
# A host that is a node already
#

step "a node is adopted"
node() {
	mkdir -p "$root/etc/kubernetes/pki" "$root/var/lib/kubelet/pki" "$root/usr/lib/systemd/system/kubelet.service.d" "$root/usr/local/bin"
	echo node >"$root/etc/kubernetes/kubelet.conf"
	echo ca >"$root/etc/kubernetes/pki/ca.crt"
	echo 'KUBELET_KUBEADM_ARGS="--container-runtime=remote --network-plugin=cni"' >"$root/var/lib/kubelet/kubeadm-flags.env"
	echo key >"$root/var/lib/kubelet/pki/kubelet-client-current.pem"
	for file in usr/bin/kubelet usr/local/bin/kubeadm usr/lib/systemd/system/kubelet.service usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf; do
		echo "the node's" >"$root/$file"
	done
}
# the_nodes FOLDER...    digests of what is the node's own
the_nodes() { (cd "$root" && find etc/kubernetes var/lib/kubelet usr/bin/kubelet usr/local/bin/kubeadm usr/lib/systemd -type f -exec sha256sum {} + | sort -k2); }
config agent "$cluster"
fresh_host
node
before "$root"
the_nodes >"$work/node-before"
check "it is refused" eval 'exits 4 install && says "kubelet.conf exists" && as_before "$root"'
check "in another mode it cannot be" eval 'config tlsBootstrap "$cluster" && exits 2 install --adopt-node && says "--adopt-node gives a node to the agent"'
config agent "$cluster"
check "the check tells of it" exits 0 "$work/node.run" preflight --adopt-node --config "$work/config/byoh.yaml" --root "$root"
check "with a word about the danger" eval 'prints "this node is adopted" && prints "wipes"'
check "by name it is installed" exits 0 install --adopt-node
check "kubelet, certificates and flags stay" eval 'the_nodes | diff "$work/node-before" - && [ ! -e "$root/usr/local/lib/systemd/system/kubelet.service" ] &&
	[ ! -e "$root/usr/local/lib/systemd/system/kubelet.service.d" ] && [ -e "$root/usr/local/lib/systemd/system/byoh-hostagent.service" ]'
check "later runs know" eval 'exits 0 tool status && prints "no drift" && exits 0 tool repair && the_nodes | diff "$work/node-before" -'
if [ -n "${kubectl:-}" ]; then
	check "kubectl reads the agent's bootstrap kubeconfig" view "$root/etc/byoh/bootstrap-kubeconfig.conf" abcdef.0123456789abcdef
fi
check "uninstall leaves the node" eval 'exits 0 tool uninstall --yes && as_before "$root"'

step "a local bundle for the agent's scripts"
config agent "$cluster" 'agent: {localBundle: {repo: registry.lan/byoh, os: ubuntu_24.04.1_x86-64}}'
fresh_host
before "$root"
local_bundle="$root/var/lib/byoh/bundles/registry.lan/byoh/byoh-bundle-ubuntu_24.04.1_x86-64_k8s:v1.20.2"
# as_scripts_do    what they test for, and copy
as_scripts_do() {
	[ -f "$local_bundle/kubeadm" ] && [ -f "$local_bundle/containerd/bin/containerd" ] && cp "$local_bundle"/bin/* "$root/usr/local/bin/" &&
		cp "$local_bundle"/cni/bin/* "$root/opt/cni/bin/" && cp "$local_bundle"/containerd/bin/* "$root/usr/local/bin/"
}
check "it installs" exits 0 install
check "the scripts can copy it over what is installed" as_scripts_do
check "which is no drift" eval 'exits 0 tool status && prints "no drift"'
check "it holds what is installed, in files of its own" eval 'cmp "$local_bundle/bin/kubelet" "$root/usr/local/bin/kubelet" && [ "$(stat -c %h "$local_bundle/bin/kubelet")" = 1 ]'
check "imgpkg is there, and says what is wrong when it is asked" eval 'exits 1 "$root/usr/local/bin/imgpkg" pull && says "local bundle"'
rm -rf "$local_bundle" # as the scripts' uninstallation does
check "a deleted one is drift" exits 7 tool status
check "and repair makes it anew" eval 'exits 0 tool repair && as_scripts_do && exits 0 tool status'
config agent "$cluster"
check "without the key it is wanted no more" eval 'exits 0 install && exits 0 tool status && [ ! -e "$root/usr/local/bin/imgpkg" ]'
check "uninstall leaves nothing of it" eval 'exits 0 tool uninstall --yes && as_before "$root"'
check "on another system it wants a name" eval 'config agent "$cluster" "agent: {localBundle: {repo: registry.lan/byoh}}" && exits 2 install && says "write \"os\""'
config agent "$cluster"

step "a guard of the CA certificates"
fresh_host
for name in a b c d; do
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj "/CN=$name" -days 30 2>/dev/null
done >"$root/etc/ssl/certs/ca-certificates.crt"
cp "$root/etc/ssl/certs/ca-certificates.crt" "$work/system"
check "it comes with the agent" eval 'exits 0 install && [ -L "$root/etc/systemd/system/multi-user.target.wants/byoh-ca-guard.path" ]'
cat "$work/ca.crt" >"$root/etc/ssl/certs/ca-certificates.crt"
check "it puts back what the agent replaced" eval 'exits 0 tool settle --ca-bundle && says "are back" && cat "$work/system" "$work/ca.crt" | diff - "$root/etc/ssl/certs/ca-certificates.crt"'
check "and is content with that" eval 'exits 0 tool settle --ca-bundle && ! says "are back"'
head -n -5 "$work/ca.crt" >"$root/etc/ssl/certs/ca-certificates.crt"
check "what is not the agent's is left alone" eval 'exits 0 tool settle --ca-bundle && head -n -5 "$work/ca.crt" | diff - "$root/etc/ssl/certs/ca-certificates.crt"'
