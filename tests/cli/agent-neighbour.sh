#!/bin/bash
# The agent beside an installed host, below --root: what it writes while the host is claimed is no drift, what its reset
# takes away is told from damage, and repair makes the host ready for the next claim.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

if [ "${1:-}" = -h ]; then
	sed -n '2,3s/^# //p' "$0"
	exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "an installed host"
make_keys key
make_ca
node_spec "$work/node"
build_bundle "$work/node" key "$work/node.run"
mkdir "$work/config"
cp "$work/ca.crt" "$work/config/"
echo abcdef.0123456789abcdef >"$work/config/token"
config() { printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: %s}\ncluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: token}}\n' "$1" >"$work/config/byoh.yaml"; }
# Certificates that only have to be told apart.
certificates() { local i; for i; do printf -- '-----BEGIN CERTIFICATE-----\n%s\n-----END CERTIFICATE-----\n' "$(printf '%s' "$i" | sha512sum | cut -c1-64)"; done; }
bundle=etc/ssl/certs/ca-certificates.crt
fresh_host() {
	root=$work/root
	rm -rf "$root"
	make_host "$root"
	mkdir -p "$root/etc/ssl/certs" "$root/root"
	certificates 1 2 3 4 5 6 >"$root/$bundle"
	before "$root"
	"$work/node.run" install --config "$work/config/byoh.yaml" --root "$root" --quiet >"$work/out" 2>"$work/err"
}
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
status() { exits "$1" tool status --json; }
said() { jq -e "$1" "$work/out" >/dev/null || { echo "not so: $1" >>"$work/err"; return 1; }; }

# The kubeconfig that it got for its token.
agent_config() {
	[ -s "$work/agent.crt" ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/agent.key" \
		-out "$work/agent.crt" -subj /CN=byoh:host:bare -days 365 2>"$work/err"
	printf 'apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n'
	printf 'clusters: [{name: c, cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: %s}}]\n' "$(base64 -w0 "$work/ca.crt")"
	printf 'users: [{name: u, user: {client-certificate-data: %s, client-key-data: %s}}]\n' "$(base64 -w0 "$work/agent.crt")" "$(base64 -w0 "$work/agent.key")"
}
# What the agent writes when a cluster claims the host, as it does: in place, with its own modes.
claim() {
	mkdir -p "$root/root/.byoh" "$root/etc/kubernetes/pki" "$root/etc/kubernetes/ssl" "$root/var/lib/kubelet" "$root/var/lib/kube-proxy"
	chmod 744 "$root/etc/kubernetes/ssl"
	agent_config >"$root/root/.byoh/config"
	for path in etc/kubernetes/pki/ca.crt etc/kubernetes/ssl/ca.pem etc/kubernetes/pki/ca-certificates.crt "$bundle"; do
		cat "$work/ca.crt" >"$root/$path"
	done
	for path in etc/kubernetes/bootstrap-kubeconfig etc/kubernetes/kube-proxy.kubeconfig var/lib/kubelet/config.yaml var/lib/kube-proxy/kube-proxy-config.yaml; do
		echo "the agent's" >"$root/$path"
	done
	for unit in kubelet kube-proxy; do
		echo "# the agent's" >"$root/etc/systemd/system/$unit.service"
		ln -sf "/etc/systemd/system/$unit.service" "$root/etc/systemd/system/multi-user.target.wants/$unit.service"
	done
}
# certificate END    as the kubelet keeps it: behind a link, its key in the same file
certificate() {
	mkdir -p "$root/var/lib/kubelet/pki" "$work/ca"
	printf '[ca]\ndefault_ca = one\n[one]\nnew_certs_dir = %s/ca\ndatabase = %s/ca/index\nrand_serial = yes\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = optional\n' \
		"$work" "$work" >"$work/ca/config"
	: >"$work/ca/index"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/client.key" -out "$work/client.csr" -subj /CN=system:node:bare 2>"$work/err"
	openssl ca -batch -notext -config "$work/ca/config" -selfsign -keyfile "$work/client.key" -in "$work/client.csr" -out "$work/client.crt" \
		-startdate 20200101000000Z -enddate "$1" 2>"$work/err"
	cat "$work/client.crt" "$work/client.key" >"$root/var/lib/kubelet/pki/kubelet-client-2026.pem"
	ln -sf /var/lib/kubelet/pki/kubelet-client-2026.pem "$root/var/lib/kubelet/pki/kubelet-client-current.pem"
}
# What its reset takes away. It unmounts nothing and asks nobody.
reset() {
	rm -rf "$root/var/lib/kubelet" "$root/var/lib/kube-proxy" "$root/var/lib/etcd" "$root/etc/kubernetes" "$root/run/kubernetes"
	rm -f "$root"/etc/systemd/system/{kubelet,kube-proxy}.service
}

config agent
fresh_host
check "unclaimed: status" eval 'exits 0 tool status && prints "no drift" && prints "node: no cluster has claimed this host" && prints "agent: has not asked" &&
	prints "services: containerd at boot, kubelet waiting, agent at boot" && ! prints "trust:"'
check "unclaimed: in JSON" eval 'status 0 && said ".installed and .agent == \"unregistered\" and .node == \"unclaimed\" and .certificate == null and .certificateExpires == null and
	.previous == null and .rollback == false and .caBundle == \"whole\" and .services.containerd == \"at boot\" and .drift == [] and (.steps | length) > 5 and .installedAt > 0"'
check "a copy of the system's CA certificates is no link to them" \
	eval 'cmp "$root/$bundle" "$root/var/lib/byoh/ca-certificates.crt" && [ "$(stat -c %h "$root/$bundle")" = 1 ] && [ "$(stat -c %a "$root/var/lib/byoh/ca-certificates.crt")" = 600 ]'
: >"$root/var/lib/byoh/byoh-client.key.tmp"
check "its request waits" eval 'status 0 && said ".agent == \"requested\"" && exits 0 tool status && prints "approve"'
rm "$root/var/lib/byoh/byoh-client.key.tmp"

step "claimed"
claim
before "$root"
check "claimed: what the agent wrote is no drift" eval 'exits 0 tool status && prints "no drift" && prints "agent: is registered" && prints "node: is about to join"'
check "claimed: nor for verify --installed" eval 'exits 0 tool verify --installed && prints "no drift"'
check "claimed: the replaced CA certificates are said" eval 'exits 0 tool status && prints "trust: the system" && status 0 && said ".caBundle == \"replaced\" and .node == \"joining\""'
check "claimed: looking changes nothing" as_before "$root"
check "claimed: install leaves the agent's files" eval 'exits 0 tool install && grep -q agent "$root/etc/systemd/system/kubelet.service" &&
	cmp "$work/ca.crt" "$root/etc/kubernetes/pki/ca.crt" && [ "$(stat -c %a "$root/etc/kubernetes/ssl")" = 744 ] && grep -q agent "$root/etc/kubernetes/bootstrap-kubeconfig"'
check "claimed: and puts the CA certificates back beside the cluster's" \
	eval '[ "$(grep -c BEGIN "$root/$bundle")" = 7 ] && [ "$(head -n 18 "$root/$bundle")" = "$(certificates 1 2 3 4 5 6)" ] && grep -qF "$(sed -n 2p "$work/ca.crt")" "$root/$bundle"'
check "claimed: then there is nothing to do" eval 'exits 0 tool install && says "nothing to do" && exits 0 tool repair && says "nothing to do" && status 0 && said ".caBundle == \"whole\""'
certificates 2 3 4 5 6 7 8 >"$root/$bundle"
check "an update of the distribution is no replacement" eval 'status 0 && said ".caBundle == \"whole\"" && exits 0 tool install && says "nothing to do"'
echo "kubelet's" >"$root/etc/kubernetes/kubelet.conf"
certificate 20990101000000Z
check "joined: its certificate" eval 'status 0 && said ".node == \"joined\" and .certificate == \"valid\" and .certificateExpires == \"2099-01-01T00:00:00Z\"" && exits 0 tool status && prints "valid until 2099-01-01"'
certificate 20210101000000Z
check "joined: an expired one" eval 'status 0 && said ".certificate == \"expired\"" && exits 0 tool status && prints "expired at 2021-01-01T00:00:00Z"'
echo rubbish >"$root/var/lib/kubelet/pki/kubelet-client-2026.pem"
check "joined: one that is none" eval 'status 0 && said ".certificate == \"unreadable\" and .certificateExpires == null"'
rm "$root/usr/local/bin/runc"
check "claimed: damage is drift all the same" eval 'status 7 && said ".drift | length == 1 and .[0].subject == \"/usr/local/bin/runc\" and .[0].cause == \"unknown\"" && exits 0 tool repair && status 0'

step "reset"
reset
before "$root"
check "reset: told from damage" eval 'exits 7 tool status && prints "node: the agent has reset this host" && prints "byoh-install repair" && prints "reset: directory /etc/kubernetes is missing" && ! prints "drift: "'
check "reset: in JSON" eval 'status 7 && said ".node == \"reset\" and (.drift | length) > 2 and ([.drift[].cause] | unique) == [\"agent\"]"'
check "reset: looking changes nothing" as_before "$root"
rm "$root/opt/cni/bin/bridge"
check "reset: damage beside it" eval 'exits 7 tool status && prints "drift: file /opt/cni/bin/bridge is missing" && prints "reset: directory"'
check "reset: nothing of ours was lost with it" eval '[ -s "$root/etc/byoh/byoh.yaml" ] && [ -s "$root/etc/byoh/bootstrap-kubeconfig.conf" ] && [ -s "$root/var/lib/byoh/ledger" ]'
check "reset: repair makes it ready for the next claim" eval 'exits 0 tool repair && [ -d "$root/etc/kubernetes/manifests" ] && [ -d "$root/var/lib/kubelet" ] &&
	[ -x "$root/opt/cni/bin/bridge" ] && [ -e "$root/usr/local/lib/systemd/system/kubelet.service.d/10-byoh.conf" ] && exits 0 tool status && prints "no drift" && prints "no cluster has claimed"'
claim
rm -rf "$root/etc/kubernetes/manifests"
check "claimed again: what the agent does not make is no drift" eval 'status 0 && said ".drift == [] and .node == \"joining\""'
reset
claim
rm -rf "$root/etc/kubernetes/manifests"
check "reset and claimed again without a repair between" eval 'status 0 && said ".drift == []"'
check "and repair does not fight it" eval 'exits 0 tool repair && grep -q agent "$root/var/lib/kubelet/config.yaml" && grep -q agent "$root/etc/systemd/system/kubelet.service" && status 0'

step "leaving"
reset
cat "$work/ca.crt" >"$root/$bundle"
rm -rf "$root/root/.byoh" "$root"/etc/systemd/system/multi-user.target.wants/kube{let,-proxy}.service
check "uninstall after a reset gives the CA certificates back as they were" \
	eval 'exits 0 tool uninstall --yes && [ "$(cat "$root/$bundle")" = "$(certificates 1 2 3 4 5 6)" ] && [ ! -e "$root/var/lib/byoh" ]'

cp "$work/ca.crt" "$root/$bundle"
"$work/node.run" install --config "$work/config/byoh.yaml" --root "$root" --quiet --ignore-preflight-errors leftovers >"$work/out" 2>"$work/err" || true
check "what an agent has replaced before us is not kept as the system's" eval 'status 0 && said ".caBundle == null" && [ ! -e "$root/var/lib/byoh/ca-certificates.crt" ]'

step "other ways to join"
config tlsBootstrap
fresh_host
check "tlsBootstrap: no agent is told of" eval 'status 0 && said ".agent == null and .node == \"joining\" and .caBundle == null" && [ ! -e "$root/var/lib/byoh/ca-certificates.crt" ]'
rm -rf "$root/etc/kubernetes" "$root/var/lib/kubelet"
check "tlsBootstrap: what is gone is damage" eval 'status 7 && said "([.drift[].cause] | unique) == [\"unknown\"]" && exits 7 tool status && ! prints "reset"'

exit "$failed"
