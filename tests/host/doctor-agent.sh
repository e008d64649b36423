#!/bin/bash
# What `byoh-install doctor` says of a host in the mode `agent`: a request that waits, one that is in the way, one that
# was denied, what an earlier cluster left, what the agent replaces and wipes. The agent is the stand-in.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"
# shellcheck source=tests/host/doctor-causes.sh
. "$here/doctor-causes.sh"
doctor_order=()

host_begin doctor-agent --link
vm_link_start
must "a control plane starts" control_plane start "$vm_host_address"
site_write "$host_site" agent "$(control_plane ca)" "$(control_plane token)"

# A trust store, as a host with ca-certificates has one; the bare machine has none.
make_store() {
	local number
	for number in 1 2 3; do
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj "/CN=$number" -days 3650
	done >"$host_site/store.crt" 2>/dev/null
}
must "a trust store is made" make_store
must "a bare machine boots, with a private link" vm_start --link
must "the files are brought to it" host_put_site
must "the host has a trust store" guest 'mkdir -p /etc/ssl/certs; cp /root/site/store.crt /etc/ssl/certs/ca-certificates.crt'
must "a bare run installs" host_install --yes
must "the agent's request appears" cluster_wait_object csr byoh-csr-worker


doctor_names agent-csr-pending
must "the host loses its key, as one that is installed anew" guest \
	'systemctl stop byoh-hostagent; rm /var/lib/byoh/byoh-client.key.tmp; systemctl start byoh-hostagent
	until [ -s /var/lib/byoh/byoh-client.key.tmp ]; do sleep 0.5; done'
doctor_names agent-csr-stale
ask_again() {
	kubectl delete csr byoh-csr-worker && guest 'systemctl restart byoh-hostagent' && cluster_wait_object csr byoh-csr-worker
}
must "as doctor says, the request is deleted" ask_again
must "the new one is denied" kubectl certificate deny byoh-csr-worker
doctor_names agent-csr-denied
must "as doctor says, that is deleted" ask_again
must "the request is approved" kubectl certificate approve byoh-csr-worker
must "the agent has its kubeconfig" guest 'until [ -s /root/.byoh/config ]; do sleep 0.5; done'
check "doctor finds nothing wrong" guest 'byoh-install doctor'

own=/root/.byoh/config
cause agent-config-stale \
	"cp -a $own /root/own; sed -i 's|server: .*|server: https://192.0.2.7:6443|' $own; up byoh-hostagent" \
	"rm $own; cp -a /root/own $own; up byoh-hostagent"
# What guards the store would have mended it before anybody asks.
cause ca-bundle-replaced 'systemctl stop byoh-ca-guard.path; cp /root/site/ca.crt /etc/ssl/certs/ca-certificates.crt' 'byoh-install repair'
cause host-reset 'systemctl stop containerd; rm -rf /etc/kubernetes /var/lib/kubelet' 'byoh-install repair'
# The agent, which is a program of ours here, says nothing of a claim: its unit is made to.
cause agent-skipped-join \
	'systemctl stop byoh-kubeadm-join.path; mkdir -p /run/kubeadm /etc/systemd/system/byoh-hostagent.service.d
	echo "kind: JoinConfiguration" >/run/kubeadm/kubeadm-join-config.yaml
	printf "[Service]\nExecStartPre=/bin/echo k8s node successfully bootstrapped\n" \
		>/etc/systemd/system/byoh-hostagent.service.d/90-test.conf
	systemctl daemon-reload; up byoh-hostagent' \
	'rm -r /run/kubeadm /etc/systemd/system/byoh-hostagent.service.d; systemctl daemon-reload; up byoh-hostagent
	systemctl start byoh-kubeadm-join.path'
# The request of a claim that leads nowhere: our unit tries in the agent's stead.
cause kubeadm-join-failed \
	'mkdir -p /run/kubeadm; echo "kind: JoinConfiguration" >/run/kubeadm/kubeadm-join-config.yaml' \
	'rm -rf /run/kubeadm /var/lib/byoh/kubeadm-join.json; systemctl reset-failed byoh-kubeadm-join.service'
for id in kubeadm-join-failed agent-config-stale ca-bundle-replaced host-reset agent-skipped-join; do
	doctor_try "$id"
done
doctor_table
doctor_left doctor-agent
