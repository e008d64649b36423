#!/bin/bash
# What `byoh-install manifests` writes, held against a real API server: no machine, a control plane alone. Kinds that
# it knows are validated by it; those of Cluster API and the BYOH provider by schemas of our own (crds/). A field that
# is in no schema is taken out by the server, so what comes back is compared with what was sent.
# shellcheck disable=SC2016,SC2317 # jq's variables; functions that `check` calls
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"
: "${BYOH_INSTALL:=$host_top/build/byoh-install}"
host_name=manifests

if [ "$(id -u)" != 0 ] || ! unshare --net --pid --fork true 2>/dev/null; then
	echo "SKIP $host_name: may not make namespaces"
	exit 0
fi
for tool in "$CP_BIN/kube-apiserver" "$CP_BIN/kubectl" jq openssl; do
	command -v "$tool" >/dev/null || {
		echo "SKIP $host_name: $tool is not there"
		exit 0
	}
done
trap host_end EXIT
vm_world_start "$host_top/build/vm/$host_name"
site=$vm_dir/site
mkdir -p "$site"

# An address and a default route are all that it takes: nothing leaves this namespace.
make_link() {
	vm_in_world sh -e -c 'ip link add lan0 type bridge
		ip address add "$1/24" dev lan0
		ip link set lan0 up
		ip route add default via "$2"' link "$vm_host_address" "$vm_address"
}

# write_config NAME MODE [LINE]...    the last lines are what stands below management:
write_config() {
	local name=$1 mode=$2
	shift 2
	{
		printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\n'
		printf 'cluster: {server: "https://%s:6443", ca: {file: ca.crt}, token: {file: token-%s}}\n' \
			"$vm_host_address" "$name"
		printf 'join: {mode: %s}\n' "$mode"
		[ "$mode" != agent ] || echo 'agent: {hostLabels: {site: private, "1": "true"}}'
		[ $# = 0 ] || printf 'management:\n'
		[ $# = 0 ] || printf '  %s\n' "$@"
	} >"$site/$name.yaml"
}

# make NAME [OPTION]...    into $site/NAME
make() {
	local name=$1
	shift
	"$BYOH_INSTALL" manifests "$site/$name" --config "$site/$name.yaml" "$@"
}

# A network in several documents, together larger than one ConfigMap can be.
write_cni() {
	local i
	for i in 1 2 3; do
		printf -- '---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: net%s\n  namespace: kube-system\ndata:\n  a: |\n' $i
		head -c 400000 /dev/zero | openssl enc -aes-128-ctr -K "0$i" -iv 00 2>/dev/null | base64 | sed 's/^/    /'
	done
}

# One object a line: as kubectl reads it, and as the server would take it. By server-side apply, since the other kind
# keeps a copy in an annotation, which is too small for a network.
sent() { kubectl create --dry-run=client --validate=false -o json "$@"; }
accepted() { kubectl apply --server-side --force-conflicts --dry-run=server -o json "$@"; }
lines() { jq -c 'if .kind == "List" then .items[] else . end'; }

# whole FILE...    the server takes every object, and every field of it
whole() {
	local files=("${@/#/--filename=}")
	sent "${files[@]}" | lines >"$vm_dir/sent" || return
	accepted "${files[@]}" | lines >"$vm_dir/accepted" || return
	if [ ! -s "$vm_dir/sent" ] || [ "$(wc -l <"$vm_dir/sent")" != "$(wc -l <"$vm_dir/accepted")" ]; then
		echo "not as many objects came back as were sent"
		return 1
	fi
	jq -n -r --slurpfile sent "$vm_dir/sent" --slurpfile got "$vm_dir/accepted" '
		range($sent | length) as $i
		| $got[$i] as $got
		| ($sent[$i] | if .stringData then .data = (.stringData | map_values(@base64)) | del(.stringData) else . end)
		| . as $sent
		| paths(scalars) as $path
		| select(($got | getpath($path)) != ($sent | getpath($path)))
		| "\($sent.kind) \($sent.metadata.name): \($path | map(tostring) | join(".")) is lost or changed"' >"$vm_dir/lost"
	cat "$vm_dir/lost"
	[ ! -s "$vm_dir/lost" ]
}
not_whole() { ! whole "$1"; }

apply() { kubectl apply -f "$1"; }
# What would answer in place of our own bindings.
remove_bindings() {
	kubectl delete -f "$vm_scripts/rbac.yaml" && kubectl delete clusterrolebinding kubeadm:kubelet-bootstrap \
		kubeadm:node-autoapprove-bootstrap kubeadm:node-autoapprove-certificate-rotation kubeadm:get-nodes
}

# may WHO VERB WHAT...    WHO is user/group
may() {
	local who=$1
	shift
	[ "$(kubectl auth can-i --as "${who%%/*}" --as-group "${who#*/}" "$@" 2>/dev/null)" = yes ]
}
may_not() { ! may "$@"; }

# as_token TOKEN ARG...    kubectl with nothing but the token
as_token() {
	vm_in_world "$CP_BIN/kubectl" --kubeconfig /dev/null --server "https://$vm_host_address:6443" \
		--certificate-authority "$site/ca.crt" --token "$@"
}
is_nobody() {
	! as_token "$1" auth can-i create certificatesigningrequests.certificates.k8s.io >"$vm_dir/nobody" 2>&1 &&
		grep -qi unauthorized "$vm_dir/nobody"
}

# The request of a kubelet, and the approval that nobody has to give.
joins() {
	local request=$vm_dir/request-$2
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$request.key" -out "$request.csr" \
		-subj "/O=system:nodes/CN=system:node:$2" 2>/dev/null
	jq -n --arg name "$2" --arg csr "$(base64 -w0 "$request.csr")" '{apiVersion: "certificates.k8s.io/v1",
		kind: "CertificateSigningRequest", metadata: {name: $name}, spec: {request: $csr,
		signerName: "kubernetes.io/kube-apiserver-client-kubelet",
		usages: ["key encipherment", "digital signature", "client auth"]}}' >"$request.json"
	as_token "$1" create --validate=false -f "$request.json" &&
		kubectl wait --for=condition=Approved "csr/$2" --timeout=60s
}

# The commands of a README as they stand there: those that begin with the words, with their continued lines.
told() {
	awk -v words="$2" '
		/^    / && index($0, "    " words) == 1 { on = 1 }
		on { print substr($0, 5); on = /\\$/ }' "$1/README.md"
}
follow() {
	told "$1" "$2" >"$vm_dir/told"
	[ -s "$vm_dir/told" ] || return
	cat "$vm_dir/told"
	(
		cd "$1"
		# shellcheck source=/dev/null
		. "$vm_dir/told"
	)
}

expiration() { kubectl -n kube-system get secret "bootstrap-token-$1" -o 'jsonpath={.data.expiration}' | base64 -d; }
token_of() { tr -d '\n' <"$site/$1/token"; }

make_link
must "a control plane starts, without a machine" control_plane start "$vm_host_address"
cp "$(control_plane ca)" "$site/ca.crt"
# As an administrator would call it: READMEs are followed with it as well.
printf '#!/bin/sh\nexec nsenter --target %s --net --pid -- %s --kubeconfig %s "$@"\n' "$vm_world_pid" "$CP_BIN/kubectl" \
	"$vm_dir/control-plane/conf/admin.conf" >"$site/kubectl"
chmod +x "$site/kubectl"
unset -f kubectl
PATH=$site:$PATH
must "the bindings of others go" remove_bindings
must "the schemas are taken" kubectl apply -f "$here/crds"
must "and served" kubectl wait --for=condition=Established --timeout=60s crd --all

write_cni >"$site/network.yaml"
write_config agent agent 'kubernetesVersion: v1.20.2' 'namespace: fleet' 'clusterName: "123"' 'autoscaler: {min: 0, max: 4}' \
	'capacity: {cpu: "4", memory: 16Gi, ephemeralDisk: 100Gi, maxPods: 110, gpuType: nvidia.com/gpu, gpuCount: 1, labels: "a=b,c=d", taints: "a=b:NoSchedule", csiDrivers: x=1}' \
	'nodeLabels: {site: private, "2": "false"}' 'cni: {file: network.yaml}' \
	'kubeVip: {address: 10.99.0.9, interface: eth0, image: "example.org/kube-vip:v1.0.0"}'
write_config newer agent 'kubernetesVersion: v1.20.2' 'clusterAPI: v1beta2' 'replicas: 3' 'cni: {file: network.yaml}'
write_config claimed agent 'kubernetesVersion: v1.20.2' 'joinMode: kubeadm'
write_config claimed-newer agent 'kubernetesVersion: v1.20.2' 'joinMode: kubeadm' 'clusterAPI: v1beta2'
write_config kubeadm kubeadm
write_config tls tlsBootstrap
echo 'kubeProxy: {nodeIdentity: true}' >>"$site/tls.yaml"
must "a set for agents is written" make agent --cluster-kubeconfig "$vm_dir/control-plane/conf/admin.conf"
for name in newer claimed claimed-newer kubeadm tls; do
	must "a set of $name is written" make "$name" --token-ttl 2h
done

# The namespace has to be there before anything in it can be looked at.
must "the namespace is made" apply "$site/agent/00-namespace.yaml"
for name in agent newer claimed claimed-newer kubeadm tls; do
	check "the server takes all of $name, and each field" whole "$site/$name"/*.yaml
done
check "and the example" whole "$site/agent/examples/kube-vip.yaml"

# A test that cannot fail shows nothing.
sed 's/downloadMode/downloadmode/' "$site/agent/50-machine-template.yaml" >"$site/wrong.yaml"
check "a misspelt field is noticed" not_whole "$site/wrong.yaml"
sed 's/offline/nowhere/' "$site/agent/50-machine-template.yaml" >"$site/wrong.yaml"
check "a value that there is not is noticed" not_whole "$site/wrong.yaml"
sed 's/apiVersion: infra/apiGroup: infra/' "$site/agent/80-machine-deployment.yaml" >"$site/wrong.yaml"
check "a reference of the other version is noticed" not_whole "$site/wrong.yaml"
sed '/clusterName/d' "$site/agent/80-machine-deployment.yaml" >"$site/wrong.yaml"
check "a field that is missing is noticed" not_whole "$site/wrong.yaml"

agent_user=byoh:host:node10/byoh:hosts
bootstrap_user=system:bootstrap:abcdef/system:bootstrappers:byoh
node_user=system:node:node10/system:nodes
check "before: no agent may read services" may_not "$agent_user" list services
check "before: no token may ask" may_not "$bootstrap_user" create certificatesigningrequests.certificates.k8s.io
must "the rights are given" apply "$site/agent/20-rbac.yaml"
check "an agent may read services" may "$agent_user" list services
check "an agent may read endpoint slices" may "$agent_user" watch endpointslices.discovery.k8s.io
check "an agent may read the Secrets of its claims" may "$agent_user" get secrets -n fleet
check "and no others" may_not "$agent_user" get secrets -n kube-system
check "an agent may delete no Node" may_not "$agent_user" delete nodes
must "the optional right is given" apply "$site/agent/21-rbac-remove-nodes.yaml"
check "now it may" may "$agent_user" delete nodes
check "a token's bearer may ask for a certificate" may "$bootstrap_user" create certificatesigningrequests.certificates.k8s.io
check "and gets it by itself" may "$bootstrap_user" create certificatesigningrequests.certificates.k8s.io --subresource=nodeclient
check "a node may renew" may "$node_user" create certificatesigningrequests.certificates.k8s.io --subresource=selfnodeclient

check "a token is unknown before its Secret" is_nobody "$(token_of agent)"
must "the token is brought" apply "$site/agent/10-bootstrap-token.yaml"
check "a kubelet with nothing but the token gets its certificate" joins "$(token_of agent)" node10
id=$(token_of agent | cut -c1-6)
first=$(expiration "$id")
check "it ends within a day" test "$(date -d "$first" +%s)" -gt "$(date -d '+23 hours' +%s)" -a \
	"$(date -d "$first" +%s)" -le "$(date -d '+24 hours' +%s)"
sleep_until_another_second() { while [ "$(date -u -d '+24 hours' +%FT%TZ)" = "$first" ]; do sleep 0.1; done; }
sleep_until_another_second
check "its time is counted anew as the README says" follow "$site/agent" 'kubectl -n kube-system patch'
check "and is another one then" test "$(expiration "$id")" != "$first"

# Ended a minute ago; the controller that removes such tokens may be faster than the look.
sed -E "s/^(  expiration: ).*/\1\"$(date -u -d '-1 minute' +%FT%TZ)\"/; s/$id/zzzzzz/" \
	"$site/agent/10-bootstrap-token.yaml" >"$site/ended.yaml"
must "a token that has ended is brought" apply "$site/ended.yaml"
check "and lets nobody in" is_nobody "zzzzzz.$(token_of agent | cut -c8-)"

kubeconfig_works() {
	kubectl -n fleet get secret 123-kubeconfig -o 'jsonpath={.data.value}' | base64 -d >"$vm_dir/value"
	vm_in_world "$CP_BIN/kubectl" --kubeconfig "$vm_dir/value" get nodes
}
must "the cluster is told, as the README says" follow "$site/agent" 'kubectl apply -f 30-cluster.yaml'
must "and its kubeconfig" follow "$site/agent" 'kubectl apply -f 40-'
check "which leads to the cluster" kubeconfig_works
sed 's#/etc/kubernetes/admin.conf#'"$vm_dir"'/control-plane/conf/admin.conf#' "$site/newer/README.md" >"$site/newer/README.new"
mv "$site/newer/README.new" "$site/newer/README.md"
by_hand() {
	follow "$site/newer" 'kubectl config view' && follow "$site/newer" 'kubectl -n default create secret' &&
		follow "$site/newer" 'kubectl -n default label secret' &&
		[ "$(kubectl get secret -l cluster.x-k8s.io/cluster-name=default-cluster -o 'jsonpath={.items[*].type}')" = \
			cluster.x-k8s.io/secret ]
}
check "a kubeconfig by hand, as the README says" by_hand
must "the templates are brought" follow "$site/agent" 'kubectl apply -f 50-'
must "the network is brought, larger than one ConfigMap" follow "$site/agent" 'kubectl apply --server-side'
network_is_whole() {
	local part
	for part in $(kubectl -n fleet get clusterresourceset 123-cni -o 'jsonpath={.spec.resources[*].name}'); do
		kubectl -n fleet get configmap "$part" -o json | jq -r '.data[]'
	done | sed '/^$/d' | cmp - "$site/network.yaml"
}
check "and is there to the last byte" network_is_whole
check "the set selects the cluster" test "$(kubectl -n fleet get cluster -l "$(kubectl -n fleet get clusterresourceset \
	123-cni -o json | jq -r '.spec.clusterSelector.matchLabels | to_entries[] | "\(.key)=\(.value)"')" -o name)" = cluster.cluster.x-k8s.io/123
must "the workers are ordered" follow "$site/agent" 'kubectl apply -f 80-'

must "the rights of kubeadm mode are given" apply "$site/kubeadm/20-rbac.yaml"
must "its token is brought" apply "$site/kubeadm/10-bootstrap-token.yaml"
check "with it a kubelet gets its certificate" joins "$(token_of kubeadm)" node11
check "and kubeadm may look for the node" as_token "$(token_of kubeadm)" auth can-i get nodes
discovery_knows_token() {
	grep -q -m1 "jws-kubeconfig-$(token_of kubeadm | cut -c1-6)" < <(vm_in_world timeout 60 "$CP_BIN/kubectl" \
		--kubeconfig "$vm_dir/control-plane/conf/admin.conf" -n kube-public get configmap cluster-info --watch -o json)
}
check "and discovery is signed for it" discovery_knows_token
check "before: a node may not read what kube-proxy needs" may_not "$node_user" watch endpointslices.discovery.k8s.io
must "the rights of tlsBootstrap mode are given" apply "$site/tls/20-rbac.yaml"
check "with nodeIdentity it may" may "$node_user" watch endpointslices.discovery.k8s.io
