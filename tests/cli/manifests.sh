#!/bin/bash
# `manifests`: a set of files from byoh.yaml alone, all or none, that nobody but their owner reads where they are secrets.
# What the API server says of them is for tests/host/manifests.sh.
# shellcheck disable=SC2016,SC2317
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
top=$(cd "$here/../.." && pwd)

make_ca
# config NAME [LINE]...
config() {
	local name=$1
	shift
	printf '%s\n' 'apiVersion: byoh-install/v1alpha1' 'kind: InstallConfig' "$@" >"$work/$name.yaml"
}
cluster='cluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}}'
with_token='cluster: {server: "https://[fd00::1]:6443", ca: {file: ca.crt}, token: {value: abcdef.0123456789abcdef}, podCIDR: "10.1.0.0/16,fd01::/64"}'
kubernetes='management: {kubernetesVersion: v1.34.1}'

# manifests NAME [OPTION]...    into $work/NAME from $work/NAME.yaml
manifests() {
	local name=$1
	shift
	"$BYOH_INSTALL" manifests "$work/$name" --config "$work/$name.yaml" "$@"
}
result_is() { jq -e "$1" "$work/out" >/dev/null; }
mode() { stat -c %a "$work/$1"; }
has() { grep -qF -- "$2" "$work/$1"; }
lacks() { ! has "$@"; }
files() { (cd "$work/$1" && find . -type f -printf '%P\n' | LC_ALL=C sort | tr '\n' ' '); }
# Nothing half is left, and no folder of ours beside.
nothing_left() { [ ! -e "$work/$1" ] && [ -z "$(find "$work" -maxdepth 1 -name '.manifests-*')" ]; }
refused() {
	local name=$1 code=$2 text=$3
	shift 3
	exits "$code" manifests "$name" "$@" && says "$text" && nothing_left "$name"
}

step "a set for agents"
config agent "$cluster" "$kubernetes"
check "a set is written" exits 0 manifests agent
check "these are its files" test "$(files agent)" = "10-bootstrap-token.yaml 20-rbac.yaml 21-rbac-remove-nodes.yaml 30-cluster.yaml 50-machine-template.yaml 60-bootstrap-template.yaml 80-machine-deployment.yaml README.md token "
check "secrets are the owner's alone" test "$(mode agent) $(mode agent/token) $(mode agent/10-bootstrap-token.yaml)" = "700 600 600"
check "the rest is for everybody who may see the folder" test "$(mode agent/20-rbac.yaml)" = 644
token_is_in_secret() {
	local token
	token=$(cat "$work/agent/token")
	[[ $token =~ ^[a-z0-9]{6}\.[a-z0-9]{16}$ ]] && has agent/10-bootstrap-token.yaml "token-id: \"${token%.*}\"" &&
		has agent/10-bootstrap-token.yaml "token-secret: \"${token#*.}\""
}
check "the token for the stick is the one of the Secret" token_is_in_secret
check "no secret stands in what the run said" lacks err "$(cut -c8- "$work/agent/token")"
check "nor in the README" lacks agent/README.md "$(cut -c8- "$work/agent/token")"
before "$work/agent"
check "what is there is never overwritten" exits 2 manifests agent
check "and says so" says "nothing is ever overwritten"
check "and is as it was" as_before "$work/agent"
mkdir "$work/second"
cp "$work/agent.yaml" "$work/second.yaml"
check "an empty folder is taken" exits 0 manifests second --json
check "the result as JSON" result_is '.result == "written" and .tokenIsNew and (.files | length) == 9'
check "another run makes another token" test "$(cat "$work/agent/token")" != "$(cat "$work/second/token")"
check "no MachineHealthCheck, no installerRef, no ByoHost" test -z "$(grep -lE 'kind: (MachineHealthCheck|ByoHost)$|installerRef' "$work"/agent/*.yaml)"
check "everything offline" has agent/50-machine-template.yaml "downloadMode: offline"
check "no stub of a kubeconfig" test ! -e "$work/agent/40-cluster-kubeconfig.yaml"
check "but how to make one" has agent/README.md "default-cluster-kubeconfig"

step "what the config says"
config mine "$with_token" 'agent: {namespace: fleet, hostLabels: {site: a}}' 'machines: [{match: {serial: x}, cluster: {name: other}}]' \
	'management:' '  kubernetesVersion: v1.34.1' '  clusterName: edge' '  clusterAPI: v1beta2' '  autoscaler: {min: 1, max: 5}' \
	'  capacity: {cpu: 500m, memory: 16Gi}' '  nodeLabels: {site: a}'
check "it is written" exits 0 manifests mine --token-ttl 7d
check "the config's own token, and no file for it" test ! -e "$work/mine/token"
check "is in the Secret" has mine/10-bootstrap-token.yaml 'token-secret: "0123456789abcdef"'
ends() { date -d "$(sed -nE 's/^  expiration: "(.*)"/\1/p' "$work/mine/10-bootstrap-token.yaml")" +%s; }
check "which ends when it was told" test $(($(ends) - $(date +%s))) -gt 604700 -a $(($(ends) - $(date +%s))) -le 604800
check "the namespace is the agents'" has mine/00-namespace.yaml 'name: "fleet"'
check "an IPv6 server" has mine/30-cluster.yaml 'host: "fd00::1"'
check "both families" has mine/30-cluster.yaml '"fd01::/64"'
check "the newer API refers by group" has mine/80-machine-deployment.yaml 'apiGroup: infrastructure.cluster.x-k8s.io'
check "the autoscaler's limits" has mine/80-machine-deployment.yaml 'cluster-api-autoscaler-node-group-max-size: "5"'
check "and no number that would undo its work" lacks mine/80-machine-deployment.yaml replicas
check "machines are chosen by the agents' labels" has mine/50-machine-template.yaml '"site": "a"'
config late 'cluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: token}}' "$kubernetes"
check "a token's file that is not there yet is made" exits 0 manifests late
check "under a name of its own" test -s "$work/late/token"
config static "$cluster" 'join: {mode: tlsBootstrap}'
sed -i 's/ca.crt}}/ca.crt}, token: {value: not-a-bootstrap-token}}/' "$work/static.yaml"
check "a static token" exits 0 manifests static
check "is no Secret's" test "$(files static)" = "20-rbac.yaml README.md "
config joins "$cluster" 'join: {mode: kubeadm}'
check "kubeadm without an agent" exits 0 manifests joins
check "has nothing for Cluster API" test "$(files joins)" = "10-bootstrap-token.yaml 20-rbac.yaml README.md token "
check "and its token signs discovery" has joins/10-bootstrap-token.yaml 'usage-bootstrap-signing: "true"'
check "not one of hosts that have the CA" has agent/10-bootstrap-token.yaml 'usage-bootstrap-signing: "false"'
check "they need no cluster-info" lacks agent/20-rbac.yaml cluster-info
pin=sha256:$(printf '%064d' 0)
config pinned "cluster: {server: \"https://10.0.0.1:6443\", ca: {pin: \"$pin\"}, token: {file: token}}" 'join: {mode: tlsBootstrap}'
check "hosts that know the CA by its pin" exits 0 manifests pinned
check "find it by the token's signature" has pinned/10-bootstrap-token.yaml 'usage-bootstrap-signing: "true"'
check "which anybody may read" eval 'has pinned/20-rbac.yaml "resourceNames: [cluster-info]" && has pinned/20-rbac.yaml "system:unauthenticated"'

step "kubeconfig, network, clusterctl"
kubeconfig() {
	cat <<-END
		apiVersion: v1
		kind: Config
		clusters: [{name: a, cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: QQ==}}]
		users: [{name: a, user: {$1}}]
		contexts: [{name: a, context: {cluster: a, user: a}}]
		current-context: a
	END
}
kubeconfig 'client-certificate-data: QQ==, client-key-data: QQ==' >"$work/admin.conf"
cp "$work/agent.yaml" "$work/whole.yaml"
sed -i 's/v1.34.1}/v1.34.1, cni: {file: net.yaml}}/' "$work/whole.yaml"
printf 'kind: One\n---\nkind: Two\n' >"$work/net.yaml"
repository=$work/unpacked/opt/capi/repo
for part in cluster-api/v1.10.6/core bootstrap-kubeadm/v1.10.6/bootstrap control-plane-kubeadm/v1.10.6/control-plane infrastructure-byoh/v0.6.26/infrastructure; do
	mkdir -p "$repository/${part%/*}"
	echo "kind: ${part##*/}" >"$repository/$part-components.yaml"
	printf 'apiVersion: clusterctl.cluster.x-k8s.io/v1alpha3\nkind: Metadata\nreleaseSeries:\n- {major: 1, minor: 10, contract: v1beta1}\n- {major: 0, minor: 5, contract: v1beta1}\n' \
		>"$repository/${part%/*}/metadata.yaml"
done
mkdir -p "$repository/cert-manager/v1.19.2"
echo 'kind: manager' >"$repository/cert-manager/v1.19.2/cert-manager.yaml"
check "all of it" exits 0 manifests whole --cluster-kubeconfig "$work/admin.conf" --management "$work/unpacked"
check "the kubeconfig is the owner's alone" test "$(mode whole/40-cluster-kubeconfig.yaml)" = 600
check "and whole" cmp "$work/admin.conf" <(sed -n 's/^  value: //p' "$work/whole/40-cluster-kubeconfig.yaml" | base64 -d)
check "the network is a resource set" has whole/75-cni-set.yaml 'name: "default-cluster-cni-1"'
check "that the cluster asks for" has whole/30-cluster.yaml 'cni: "default-cluster"'
check "clusterctl finds its repository" test -f "$(sed -n 's/^  url: "\(.*core.*\)"/\1/p' "$work/whole/clusterctl/clusterctl.yaml")"
check "metadata that lists its version stays" cmp "$repository/cluster-api/v1.10.6/metadata.yaml" "$work/whole/clusterctl/repo/cluster-api/v1.10.6/metadata.yaml"
check "the provider's is mended" has whole/clusterctl/repo/infrastructure-byoh/v0.6.26/metadata.yaml '{major: 0, minor: 6, contract: v1beta1}'
check "and keeps what it listed" has whole/clusterctl/repo/infrastructure-byoh/v0.6.26/metadata.yaml '{major: 0, minor: 5, contract: v1beta1}'
check "the README has the whole command" has whole/README.md '--control-plane kubeadm:v1.10.6 --infrastructure byoh:v0.6.26'

step "what is refused, with nothing left"
config refused "$cluster" "$kubernetes"
check "no folder named" exits 2 "$BYOH_INSTALL" manifests
check "no config" exits 2 "$BYOH_INSTALL" manifests "$work/refused" --root "$work/unpacked"
check "no token that lives for ever" refused refused 2 "--token-ttl takes" --token-ttl 0
check "nor one of a word" refused refused 2 "--token-ttl takes" --token-ttl 1w
kubeconfig 'token: abcdef.0123456789abcdef' >"$work/token.conf"
check "a bootstrap token is no kubeconfig for Cluster API" refused refused 2 "this is a bootstrap token" --cluster-kubeconfig "$work/token.conf"
kubeconfig 'client-certificate: /root/me.crt' >"$work/outside.conf"
check "nor one that names files" refused refused 2 "embed all of it" --cluster-kubeconfig "$work/outside.conf"
check "a folder without providers" refused refused 2 "there is no cluster-api" --management "$work/agent"
mv "$repository/cluster-api/v1.10.6" "$repository/cluster-api/v1.11.0"
check "metadata of another version" refused refused 2 "does not list the series of v1.11.0" --management "$work/unpacked"
mkdir "$repository/cluster-api/v1.9.0"
check "two versions of one provider" refused refused 2 "leave the one" --management "$work/unpacked"
check "a file in the folder's place" exits 2 "$BYOH_INSTALL" manifests "$work/ca.crt" --config "$work/agent.yaml"
config refused "$cluster"
check "no version of Kubernetes" refused refused 2 "management.kubernetesVersion is missing"
config refused 'join: {mode: none}'
check "join mode none" refused refused 2 "in join mode none nothing joins"
config refused "$kubernetes"
check "no server" refused refused 2 "cluster.server and cluster.ca are missing"
config refused "cluster: {server: \"https://10.0.0.1:6443\", ca: {pin: \"sha256:$(printf '0%.0s' {1..64})\"}}" "$kubernetes"
check "a CA by its pin alone" refused refused 2 "there is only its pin"
config refused "$cluster" 'join: {mode: kubeadm}'
check "an option without effect" refused refused 2 "--management is for join mode agent" --management "$work/unpacked"
config refused "$cluster" 'management: {kubernetesVersion: v1.34.1, kubernetsVersion: x}'
check "a key that is misspelt" refused refused 2 'kubernetsVersion'
config refused "$cluster" 'management: {kubernetesVersion: v1.34.1, nodeLabels: {node-role.kubernetes.io/worker: ""}}'
check "a label that kills kubelets" refused refused 2 "would not start"
config refused "$cluster" 'management: {kubernetesVersion: v1.34.1, cni: {file: net.yaml}}'
printf 'kind: One\r\n' >"$work/net.yaml"
check "a network of carriage returns" refused refused 2 "carriage return"
{ echo 'kind: One'; head -c 1000000 /dev/zero | tr '\0' x; } >"$work/net.yaml"
check "a document larger than a ConfigMap" refused refused 2 "larger than a ConfigMap"
config refused "$cluster" "$kubernetes"
check "a folder that cannot be made" exits 1 "$BYOH_INSTALL" manifests /proc/nowhere --config "$work/refused.yaml"
echo bad >"$work/refused.yaml.sig"
check "a signature that does not hold" refused refused 3 "refused.yaml.sig"

step "rights"
rm "$work/refused.yaml.sig"
cp "$BYOH_INSTALL" "$work/byoh-install"
mkdir "$work/nobody"
chmod 755 "$work"
chmod 777 "$work/nobody"
[ "${TMPDIR:-/tmp}" = /tmp ] || chmod 711 "$TMPDIR"
as_nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$work/byoh-install" "$@"; }
if [ "$(id -u)" = 0 ]; then
	check "no root is needed" exits 0 as_nobody manifests "$work/nobody/set" --config "$work/refused.yaml"
	check "and the secrets are nobody's own" test "$(stat -c %U:%a "$work/nobody/set/token")" = nobody:600
else
	skip "no root is needed" "this test is not run by root"
fi

step "management bundle"
spec=$top/payloads/management
check "its spec parses, and says what has no digest" exits 0 "$BYOH_BUNDLE" lock --check "$spec/bundle.yaml"
check "our own metadata has its digest" prints "2 locked"
# The same spec with files of ours in place of those that are fetched: are they where clusterctl and we look for them?
mkdir "$work/set" "$work/set/image"
cp "$spec"/*-metadata.yaml "$work/set"
sed -E 's#url: "https://.*/([^"/]*)"#path: \1#; /^images:/,$d' "$spec/bundle.yaml" >"$work/set/bundle.yaml"
sed -nE 's#^ +path: ##p' "$work/set/bundle.yaml" | while read -r name; do
	printf 'kind: %s\n' "$name" >"$work/set/$name"
done
echo controller >"$work/set/image/manager"
"$top/payloads/make-oci-archive" --name example.org/controller:v1 --root "$work/set/image" --out "$work/set/controller.tar" \
	-- /manager >/dev/null
printf 'images:\n  - {from: controller.tar, ref: "example.org/controller:v1"}\n' >>"$work/set/bundle.yaml"
make_keys publisher
"$BYOH_BUNDLE" lock "$work/set/bundle.yaml" >/dev/null
check "a bundle is made of it" build_bundle "$work/set" publisher "$work/management.bundle" --allow-unlocked
check "and unpacked" exits 0 "$BYOH_INSTALL" extract "$work/unpacked-set" --from "$work/management.bundle" --key "$work/publisher/public.pem"
cp "$work/refused.yaml" "$work/managed.yaml"
check "objects are made with it" exits 0 manifests managed --management "$work/unpacked-set"
check "with the version of the provider" has managed/README.md "--infrastructure byoh:v0.6.26"
check "whose metadata needs no mending" cmp "$spec/byoh-metadata.yaml" \
	"$work/managed/clusterctl/repo/infrastructure-byoh/v0.6.26/metadata.yaml"
check "clusterctl is a program there" test -x "$work/unpacked-set/usr/local/bin/clusterctl"

# The page's own commands make an image layout of what was unpacked.
layout_as_told() {
	awk '/byoh-install inspect management.bundle/ { on = 1 } on && !/^       / { exit } on { print substr($0, 8) }' \
		"$top/docs/management-cluster.md" >"$work/told"
	(
		mkdir "$work/site"
		cd "$work/site"
		ln -s ../management.bundle ../unpacked-set .
		ln -s unpacked-set unpacked
		cp "$work/publisher/public.pem" publisher.pem
		byoh-install() { "$BYOH_INSTALL" "$@"; }
		sed -i 's#unpacked/var#unpacked-set/var#; s#\.\./\.\./\.\./\.\./\.\./#$site/#' "$work/told"
		export site=$work/site
		# shellcheck source=/dev/null
		. "$work/told"
	) && mkdir "$work/layout" && tar xf "$work/unpacked-set/var/lib/byoh/images.tar" -C "$work/layout"
}
layout_is_whole() {
	jq -e '.manifests | length == 1 and .[0].annotations["io.containerd.image.name"] == "example.org/controller:v1"
		and .[0].size > 0 and (.[0].mediaType | length > 0)' "$work/layout/index.json" >/dev/null &&
		test -f "$work/layout/blobs/sha256/$(jq -r '.manifests[0].digest' "$work/layout/index.json" | cut -d: -f2)"
}
check "images become a layout, as the page says" exits 0 layout_as_told
check "and it is whole" layout_is_whole
begin_spec "$work/again" again
printf 'x\n' >"$work/again/x"
add_part "$work/again" x 1 /opt/x 0644
printf 'images:\n  - {from: ../layout, ref: "example.org/controller:v1"}\n' >>"$work/again/bundle.yaml"
"$BYOH_BUNDLE" lock "$work/again/bundle.yaml" >/dev/null
check "which is an image again" build_bundle "$work/again" publisher "$work/again.bundle"
exit $failed
