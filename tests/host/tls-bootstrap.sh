#!/bin/bash
# A machine with nothing but a private link to a real control plane finds its CA by a pin and becomes a Ready node
# of it by one bare run, and runs a pod whose image came out of the bundle. kube-proxy's certificate is asked for.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/host/doctor-causes.sh
. "$here/doctor-causes.sh"

host_begin tls-bootstrap --link
vm_link_start
must "a control plane starts" control_plane start "$vm_host_address"

site_write "$host_site" tlsBootstrap "$(control_plane ca)" "$(control_plane token)"
# The node's network is not told: the cluster gives it, and a later run asks for it.
sed -i -e 's/^cni: .*/cni: {install: bridge}/' -e '/^node: /d' "$host_site/byoh.yaml"
cat >>"$host_site/byoh.yaml" <<END
node:
  ip: $vm_address
  labels: {site: private, topology.kubernetes.io/zone: a}
  taints: ["dedicated=tests:PreferNoSchedule", "bare:PreferNoSchedule"]
  maxPods: 42
  systemReserved: {memory: 64Mi}
  kubeReserved: {cpu: 100m, memory: 400Mi, ephemeral-storage: 1Gi, pid: 300}
  kubelet:
    evictionHard: {memory.available: 50Mi, nodefs.available: 5%}
END
pin=$(openssl x509 -pubkey -noout -in "$host_site/ca.crt" | openssl pkey -pubin -outform der | sha256sum | cut -c1-64)
rm "$host_site/ca.crt"
sed -i -e "s/ca: {file: ca.crt}/ca: {pin: \"sha256:$pin\"}/" -e 's/nodeIdentity/clientCertificate/' "$host_site/byoh.yaml"
sed "s/sha256:......../sha256:00000000/" "$host_site/byoh.yaml" >"$host_site/wrong.yaml"

refuses_pin() {
	guest_says "3: finding the cluster" 'cd /root/site
		code=0
		said=$(./byoh-install.run plan --quiet --config wrong.yaml 2>&1 >/dev/null) || code=$?
		echo "$code: ${said#byoh-install: }"'
}
request=
approve_request() {
	request=$(kubectl get csr -o name | sed -n 's|.*/\(byoh-kube-proxy-.*\)|\1|p')
	guest_says "waits for approval: kubectl certificate approve $request" 'byoh-install status' && kubectl certificate approve "$request"
}
has_certificate() {
	guest 'until [ -s /etc/kubernetes/kube-proxy.kubeconfig ]; do sleep 1; done
		byoh-install status | grep "kube-proxy.s is valid until"
		[ "$(stat -c %a /etc/kubernetes/kube-proxy.kubeconfig)" = 600 ]'
}
kubectl_reads() {
	guest 'for file in bootstrap-kubeconfig kube-proxy.kubeconfig kubelet.conf; do
			kubectl config view --minify --kubeconfig "/etc/kubernetes/$file" -o "jsonpath={.clusters[0].cluster.server}" |
				grep -x "https://'"$vm_host_address"':6443"
		done'
}

proxy_rules() {
	# The rules for the API server's own service show that kube-proxy saw the cluster and could write.
	guest 'until iptables-save -t nat | grep -q "KUBE-SERVICES.*10.96.0.1/32"; do sleep 1; done
		systemctl is-active kube-proxy
		timeout 60 bash -c "exec 3<>/dev/tcp/10.96.0.1/443"'
}

# of_node PATH    what its object says
of_node() { kubectl get node worker -o "jsonpath={$1}"; }
is() { [ "$1" = "$2" ] || { echo "\"$1\", not \"$2\""; return 1; }; }
# kibibytes QUANTITY
kibibytes() { case $1 in *Ki) echo "${1%Ki}" ;; *Mi) echo $((${1%Mi} * 1024)) ;; *) echo $(($1 / 1024)) ;; esac; }
# What pods may have is the machine's memory less what is reserved, 64 + 400 MiB, and less the 50 of the eviction.
memory_is_reserved() {
	is $(($(kibibytes "$(of_node .status.capacity.memory)") - $(kibibytes "$(of_node .status.allocatable.memory)"))) $((514 * 1024))
}
pod_log() {
	local log
	log=$(kubectl logs hello 2>&1) || { printf '%s\n' "$log"; return 1; }
	printf '%s\n' "$log"
	grep -q '^hello from the bundle' <<<"$log"
}

must "a bare machine boots, with a private link" vm_start --link
must "the files are brought to it" host_put_site
check "another cluster's pin is refused" refuses_pin
began=$SECONDS
must "a bare run installs and joins" host_install --yes
echo "==> installed in $((SECONDS - began)) s" >&2
must "the node appears" cluster_wait_object nodes worker
must "the cluster gives it a network" eval 'until of_node .spec.podCIDR | grep -q /; do sleep 1; done'
check "without which it is not Ready" eval 'of_node ".status.conditions[?(@.type==\"Ready\")].status" | grep -qx False && ! guest "ls /etc/cni/net.d/99-byoh.conflist"'
must "a later run asks the API server, and places the bridge" guest_says '99-byoh.conflist' 'byoh-install repair && byoh-install status'
check "the network is the cluster's" guest "grep -qF '$(of_node .spec.podCIDR)' /etc/cni/net.d/99-byoh.conflist /var/lib/byoh/pod-cidr"
must "the node becomes Ready" cluster_wait_ready node worker
check "its address is the one of the config" test \
	"$(kubectl get node worker -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}')" = "$vm_address"
check "its label is the one of the config" kubectl get node -l site=private -o name
must "the host asks for kube-proxy's certificate" cluster_wait_object csr 'byoh-kube-proxy-worker-.*'
must "status names the request, which is approved" approve_request
check "the certificate comes" has_certificate
check "kubectl reads every kubeconfig there" kubectl_reads
check "its labels and taints are those of the config" eval 'is "$(of_node .metadata.labels.topology\\.kubernetes\\.io/zone)" a &&
	is "$(of_node ".spec.taints[?(@.key==\"dedicated\")].value")" tests && is "$(of_node ".spec.taints[?(@.key==\"bare\")].effect")" PreferNoSchedule'
check "so many pods it takes" eval 'is "$(of_node .status.capacity.pods)" 42'
check "its memory is reserved" memory_is_reserved
check "its kubelet read its configuration to the letter" guest '! journalctl -u kubelet | grep -i "lenient decod"'
check "kube-proxy writes its rules, and the service address works" proxy_rules
check "no image is collected, since this kubelet knows no pins" \
	guest 'grep -qx "imageGCHighThresholdPercent: 100" /var/lib/kubelet/config.yaml'
must "a pod is created" kubectl apply -f "$here/hello.yaml"
must "the pod runs, its image comes out of the bundle" cluster_wait_ready pod hello
check "its log is read through the API server" pod_log
check "it serves, and a command runs in it" kubectl exec hello -- wget -q -O - http://127.0.0.1:8080
check "it reaches the API server by its service address" kubectl exec hello -- \
	sh -c 'nc -w 60 10.96.0.1 443 </dev/null'
check "a service with the pod behind it answers, from the host and from the pod itself" service_answers
check "status finds no drift" guest 'byoh-install status'
check "doctor finds nothing wrong" guest 'byoh-install doctor'
# What is seen at once and costs little; the others stand in doctor.sh.
for id in swap-on resolv-conf-loop no-default-route; do
	doctor_try "$id"
done
doctor_table

must "the machine reboots" vm_reboot
check "every unit is well after the boot" vm_booted
check "the pod is started again after the boot" guest \
	'until ctr -n k8s.io tasks ls | grep -c RUNNING | grep -qx 2; do sleep 1; done'
