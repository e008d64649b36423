#!/bin/bash
# kube-proxy's own certificate, below --root: the units that ask for it, and what status says of the request.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "install"
make_keys key
node_spec "$work/node"
build_bundle "$work/node" key "$work/node.run"
make_ca
echo abcdef.0123456789abcdef >"$work/token"
config() {
	printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: tlsBootstrap}\ncluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: token}}\nkubeProxy: {%s}\n' \
		"$1" >"$work/byoh.yaml"
}
root=$work/root
make_host "$root"
before "$root"
units=$root/usr/local/lib/systemd/system
wants=$root/etc/systemd/system/timers.target.wants/byoh-certificates.timer
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
install_node() { exits 0 "$work/node.run" install --root "$root" --config "$work/byoh.yaml"; }
said() { jq -e "$1" "$work/out" >/dev/null; }
config 'clientCertificate: true'
check "the units are there" eval 'install_node && [ -e "$units/byoh-certificates.service" ] && [ -L "$wants" ]'
check "kube-proxy waits for its kubeconfig" eval 'grep -qx PathExists=/etc/kubernetes/kube-proxy.kubeconfig "$units/kube-proxy.path" && [ ! -e "$root/etc/kubernetes/kube-proxy.kubeconfig" ]'
if command -v systemd-analyze >/dev/null; then
	verified() {
		exits 0 systemd-analyze verify --man=no --root="$root" byoh-certificates.timer && ! grep "byoh-certificates" "$work/err"
	}
	# What the units stand on has to be somewhere to be read.
	mkdir -p "$root/usr/lib/systemd/system"
	cp /usr/lib/systemd/system/{sysinit,timers,shutdown,basic,network-online}.target "$root/usr/lib/systemd/system/" 2>/dev/null || true
	check "systemd takes them" verified
	rm -rf "$root/usr/lib"
else
	skip "systemd takes them" "there is no systemd-analyze"
fi
check "they are asked for on the running host only" eval 'exits 2 tool certificates && says "running host only"'
check "the verb takes one word" eval 'exits 2 tool certificates twice && says "once"'

step "status"
pki=$root/var/lib/kube-proxy/pki
note() { printf '{"state": "%s", "name": "byoh-kube-proxy-bare-0123456789ab", "message": "%s"}\n' "$1" "${2:-}" >"$pki/request"; }
mkdir "$pki"
check "nothing was asked for yet" eval 'exits 0 tool status --json && said ".kubeProxyRequest == null and .kubeProxyCertificateExpires == null"'
note pending
check "pending: the command that approves it" eval 'exits 0 tool status && prints "kube-proxy: its certificate request byoh-kube-proxy-bare-0123456789ab waits for approval: kubectl certificate approve byoh-kube-proxy-bare-0123456789ab"'
check "pending: --json" eval 'exits 0 tool status --json && said ".kubeProxyRequest.state == \"pending\" and .kubeProxyRequest.name == \"byoh-kube-proxy-bare-0123456789ab\""'
note denied "Mine: no"
check "denied: by whom it was, and what to do" eval 'exits 0 tool status && prints "was denied: Mine: no" && prints "kubectl delete csr byoh-kube-proxy-bare-0123456789ab"'
note unsent "nobody is there"
check "unsent: why" eval 'exits 0 tool status && prints "cannot be asked for: nobody is there"'
echo '{"state": [' >"$pki/request"
check "a torn note says nothing" eval 'exits 0 tool status && ! prints "kube-proxy: its"'
rm "$pki/request"
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/proxy.key" -subj /CN=system:kube-proxy 2>/dev/null |
	openssl x509 -req -CA "$work/ca.crt" -CAkey "$work/ca.key" -CAcreateserial -days 100 -out "$work/proxy.crt" 2>/dev/null
cat >"$root/etc/kubernetes/kube-proxy.kubeconfig" <<END
apiVersion: v1
kind: Config
clusters: [{name: a, cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: $(base64 -w0 "$work/ca.crt")}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
current-context: a
users: [{name: a, user: {client-certificate-data: $(base64 -w0 "$work/proxy.crt"), client-key-data: $(base64 -w0 "$work/proxy.key")}}]
END
check "the certificate's end" eval 'exits 0 tool status && prints "kube-proxy'"'"'s is valid until $(date -u -d "@$(($(date +%s) + 100 * 86400))" +%Y-%m)"'
check "what was issued is no drift, and stays" eval 'exits 0 tool status && exits 0 tool repair && install_node && grep -q system:kube-proxy <(openssl x509 -noout -subject -in "$work/proxy.crt") && [ -e "$root/etc/kubernetes/kube-proxy.kubeconfig" ]'

step "another way, and none"
config 'nodeIdentity: true'
check "nodeIdentity: the units go" eval 'install_node && [ ! -e "$units/byoh-certificates.timer" ] && [ ! -L "$wants" ] && exits 0 tool status'
check "uninstall takes keys and certificates along" eval 'exits 0 tool uninstall --yes && as_before "$root"'

exit "$failed"
