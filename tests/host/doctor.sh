#!/bin/bash
# Every cause that `byoh-install doctor` knows and that a machine can be brought to have is produced on one, one after
# the other, and doctor has to name it and no other. One machine, one control plane; it takes about an hour.
#
#   DOCTOR_CAUSES='swap-on ...'    these alone, in this order; quick: a few that are seen at once
#   DOCTOR_CHAIN=1                 what is left of one is seen at the next alone: half the time
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/host/doctor-causes.sh
. "$here/doctor-causes.sh"

host_begin doctor --link
vm_link_start
must "a control plane starts" control_plane start "$vm_host_address"
site_write "$host_site" tlsBootstrap "$(control_plane ca)" "$(control_plane token)"
mv "$host_site/token" "$vm_dir/token"
sed -i '/token:/d' "$host_site/byoh.yaml"
pki=$(dirname "$(control_plane ca)")

# make_certificate NAME CA KEY [END]    key and certificate in one file, as the kubelet has it
make_certificate() {
	local folder=$vm_dir/ca-$1
	mkdir "$folder"
	: >"$folder/index"
	printf '[ca]\ndefault_ca = own\n[own]\ndatabase = %s\nnew_certs_dir = %s\nrand_serial = yes\ndefault_md = sha256\npolicy = any\n' \
		"$folder/index" "$folder" >"$folder/conf"
	printf '[any]\nCN = supplied\nO = optional\n' >>"$folder/conf"
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$folder/key" -out "$folder/csr" \
		-subj /O=system:nodes/CN=system:node:worker
	openssl ca -batch -notext -config "$folder/conf" -cert "$2" -keyfile "$3" -in "$folder/csr" -out "$folder/crt" \
		-startdate 20200101000000Z -enddate "${4:-20991231000000Z}"
	cat "$folder/crt" "$folder/key" >"$host_site/$1.pem"
}
make_strangers() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$vm_dir/other-ca.key" \
		-out "$host_site/other-ca.crt" -subj /CN=other -days 3650
	make_certificate expired "$pki/ca.crt" "$pki/ca.key" 20200201000000Z
	make_certificate stranger "$host_site/other-ca.crt" "$vm_dir/other-ca.key"
}
must "certificates of another cluster, and one that has run out" make_strangers

# The API server listens there as well, and its certificate does not say so.
must "the control plane has another address" vm_in_world ip address add 10.99.0.9/24 dev lan0

# The first causes are those of a host that is on its way to the cluster.
# Nobody approves by itself any more, and later somebody does again.
hold_approval() {
	kubectl delete clusterrolebinding byoh:node-autoapprove kubeadm:node-autoapprove-bootstrap
}
give_approval() {
	kubectl apply -f "$vm_scripts/rbac.yaml"
	kubectl create clusterrolebinding kubeadm:node-autoapprove-bootstrap \
		--clusterrole=system:certificates.k8s.io:certificatesigningrequests:nodeclient \
		--group=system:bootstrappers:kubeadm:default-node-token
}
# Nor may a token ask for a certificate.
hold_requests() {
	kubectl delete clusterrolebinding byoh:node-bootstrapper byoh:csr-creator kubeadm:kubelet-bootstrap
}
allow_requests() {
	kubectl create clusterrolebinding kubeadm:kubelet-bootstrap --clusterrole=system:node-bootstrapper \
		--group=system:bootstrappers:kubeadm:default-node-token
}
request() { kubectl get csr -o 'jsonpath={.items[?(@.spec.signerName=="kubernetes.io/kube-apiserver-client-kubelet")].metadata.name}'; }
start_again() {
	local name
	for name in $(request); do kubectl delete csr "$name" || return; done
	guest 'systemctl restart kubelet'
}

must "a bare machine boots, with a private link" vm_start --link
must "the files are brought to it" host_put_site
check "on a bare host nothing is installed" guest_says not-installed 'cd /root/site; ./byoh-install.run doctor || test $? = 7'
must "a bare run installs without a token" host_install --yes
doctor_names credentials-missing
# After a denial this kubelet asks again at once, under another name: csr-denied would not last until it is asked for.
must "nobody approves requests" hold_approval
must "nor may anybody ask" hold_requests
must "the token is brought" vm_copy_in "$vm_dir/token" /root
must "join takes it" guest 'byoh-install join --token-file /root/token || true; systemctl is-active kubelet'
doctor_names csr-forbidden
must "tokens may ask" allow_requests
doctor_names csr-pending
must "requests are approved again" give_approval
must "the kubelet asks again" start_again
must "the node becomes Ready" cluster_wait_object nodes worker
must "and stays so" cluster_wait_ready node worker
check "doctor finds nothing wrong with it" guest 'byoh-install doctor'

read -ra wanted <<<"${DOCTOR_CAUSES:-}"
[ "${DOCTOR_CAUSES:-}" != quick ] || wanted=("${doctor_quick[@]}")
order=("${doctor_order[@]}")
[ ${#wanted[@]} = 0 ] || order=("${wanted[@]}")
for id in "${order[@]}"; do
	[ -z "${doctor_make[$id]+x}" ] || doctor_try "$id"
done

check "at the end doctor finds nothing wrong" guest 'byoh-install doctor'

# Control groups of version 1 need another boot.
if [ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " = *" cgroup-v1 "* ]]; then
	vm_append='systemd.unified_cgroup_hierarchy=0'
	must "the machine boots with control groups of version 1" vm_reboot
	doctor_names cgroup-v1
fi
doctor_table
doctor_left doctor
