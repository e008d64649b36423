#!/bin/bash
# doctor below --root, where it goes by files: each cause is named, and no other; every id has its row in the page. The
# support bundle: what is in it, who may read it, that no secret gets out.
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
root=$work/root
token=abcdef.0123456789abcdef proxy_token=an-opaque-token-for-kube-proxy password=hunter22-of-the-registry

step "a host"
make_keys key
node_spec "$work/node"
build_bundle "$work/node" key "$work/node.run"
make_ca
mkdir "$work/config"
cp "$work/ca.crt" "$work/config/"
echo $token >"$work/config/token"
echo $proxy_token >"$work/config/proxy-token"
echo '{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge"}]}' >"$work/config/10-bridge.conflist"
cat >"$work/config/byoh.yaml" <<END
apiVersion: byoh-install/v1alpha1
kind: InstallConfig
join: {mode: tlsBootstrap}
cluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: token}}
kubeProxy: {token: {file: proxy-token}}
cni: {install: 10-bridge.conflist}
registries:
  configs:
    registry.site:5000:
      auth: {username: puller, password: $password}
END

doctor() { "$root/usr/local/sbin/byoh-install" doctor --root "$root" "$@"; }
# The ids that it names, the cause first.
ids() { doctor --json 2>/dev/null | sed -n 's/^ *"id": "\(.*\)",*$/\1/p' | tr '\n' ' '; }
# names ID COMMANDS    with the host spoilt so it is named alone, and afterwards all is as it was
names() {
	local found
	rm -rf "$work/whole"
	cp -a "$root" "$work/whole"
	(cd "$root" && eval "$2")
	found=$(ids)
	rm -rf "$root"
	cp -a "$work/whole" "$root"
	[ "$found" = "$1 " ] || { echo "named: $found" >>"$work/err"; return 1; }
}

make_host "$root"
echo 'nameserver 10.0.0.2' >"$root/etc/resolv.conf"
check "a bare host has nothing installed" exits 7 "$BYOH_INSTALL" doctor --root "$root"
check "and that is what is said" prints 'not-installed: '
check "it is installed" exits 0 "$work/node.run" install --config "$work/config/byoh.yaml" --root "$root"
check "nothing is wrong with it" exits 0 doctor
check "and that is what is said of it" prints 'nothing is known to be wrong'
check "as JSON too" exits 0 doctor --json
check "with its fields" prints '"healthy": true'

step "causes"
while IFS='|' read -r id commands; do
	check "$id" names "$id" "$commands"
done <<'END'
cri-disabled|sed -i '1i disabled_plugins = ["cri"]' etc/containerd/config.toml
containerd-config-damaged|echo 'this is no TOML' >etc/containerd/config.toml
cgroup-driver-mismatch|sed -i 's/SystemdCgroup = true/SystemdCgroup = false/' etc/containerd/config.toml; sed -i 's/"kubernetes": "v1.34.1"/"kubernetes": "v1.33.1"/' var/lib/byoh/state.json
hostname-invalid|echo Bare_Host >etc/hostname
kubelet-ca-missing|rm etc/kubernetes/pki/ca.crt
cni-foreign-first|echo '{"type": "bridge"}' >etc/cni/net.d/00-foreign.conf
cni-config-damaged|echo '{' >etc/cni/net.d/10-bridge.conflist
cni-plugin-missing|rm opt/cni/bin/bridge
kubeconfig-damaged|echo '{' >etc/kubernetes/bootstrap-kubeconfig
kubeconfig-mode|chmod 644 etc/kubernetes/bootstrap-kubeconfig
resolv-conf-missing|rm etc/resolv.conf
resolv-conf-loop|echo 'nameserver 127.0.0.53' >etc/resolv.conf
drift|rm usr/local/bin/kubelet
release-damaged|rm -r var/lib/byoh/releases/*
END

step "the page"
# undocumented    ids of the tables without a row
undocumented() {
	local id
	sed -nE 's/^\t\{ "([a-z0-9-]+)", .*/\1/p; s/.*\.id = "([a-z-]+)".*/\1/p' "$top"/installer/doctor/*.c | sort -u | while read -r id; do
		grep -qE "^\|.*\`$id\`.*\|" "$top/docs/troubleshooting.md" || echo "$id"
	done
}
[ "$(sed -nE 's/^\t\{ "([a-z0-9-]+)", .*/\1/p' "$top"/installer/doctor/causes-*.c | wc -l)" -gt 50 ]
check "every id has its row" test -z "$(undocumented)"

step "a support bundle"
bundle() { "$root/usr/local/sbin/byoh-install" support-bundle --root "$root" "$@"; }
# Secrets where nobody looks for them.
mkdir -p "$root/var/log/byoh" "$root/root/.byoh" "$root/var/lib/kubelet/pki"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$root/var/lib/kubelet/pki/kubelet.key" 2>/dev/null
key_line=$(sed -n 2p "$root/var/lib/kubelet/pki/kubelet.key")
key_data=$(base64 -w0 "$root/var/lib/kubelet/pki/kubelet.key")
secrets=("${token#*.}" "$proxy_token" "$password" "$key_line" "$key_data" "$(printf %s "puller:$password" | base64 -w0)"
	"$(printf %s "$proxy_token" | base64 -w0)" s3cr3t-of-nobody)
{
	printf 'run: %s\n' "${secrets[@]}"
	echo "password: s3cr3t-of-nobody"
} >"$root/var/log/byoh/planted.log"
sed -i '/^run: s3cr3t/d' "$root/var/log/byoh/planted.log"
check "it needs a name" exits 2 bundle
check "it is written" exits 0 bundle "$work/help.tar.zst"
check "for its owner alone" test "$(stat -c %a "$work/help.tar.zst")" = 600
check "never over another file" exits 1 bundle "$work/help.tar.zst"
check "and that is said" says 'choose a name that is not taken'
mkdir "$work/help"
check "zstd and tar read it" sh -c 'zstd -qdc "$1/help.tar.zst" | tar x -C "$1/help"' sh "$work"
for name in README.txt doctor.json status.json plan.json state/files config/byoh.yaml config/containerd.toml log/planted.log; do
	check "it holds $name" test -s "$work/help/byoh-support/$name"
done
leaks() {
	local secret
	for secret in "${secrets[@]}"; do
		grep -rlF -e "$secret" "$work/help" || true
	done
}
check "the secrets were where it looked" test "$(grep -cF -e "$proxy_token" -e "$password" -e "$key_line" \
	"$root/var/log/byoh/planted.log")" -ge 3
leaks >"$work/err"
check "none of them is in it" test -z "$(leaks)"
check "what was taken out is marked" grep -q '<redacted>' "$work/help/byoh-support/log/planted.log"
check "no before-image, no kubeconfig is in it" test -z "$(find "$work/help" -name '*kubeconfig*' -o -path '*before*')"
exit $failed
