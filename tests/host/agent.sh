#!/bin/bash
# In the mode `agent` the host asks for a certificate under its own name, and once that is approved it has
# a kubeconfig of its own. The agent is a stand-in that does this part for real. What it replaces of the system's CA
# certificates comes back, and the host has a default route.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"

host_begin agent --link
vm_link_start
must "a control plane starts" control_plane start "$vm_host_address"
site_write "$host_site" agent "$(control_plane ca)" "$(control_plane token)"
echo 'host: {dummyRoute: true}' >>"$host_site/byoh.yaml" # there is no router here

# What the system trusts before any agent.
for name in one two three four; do
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj "/CN=$name" -days 30 2>/dev/null
done >"$host_site/trusted.crt"

must "a bare machine boots, with a private link" vm_start --link
must "the files are brought to it" host_put_site
must "it trusts somebody" guest 'mkdir -p /etc/ssl/certs && cp /root/site/trusted.crt /etc/ssl/certs/ca-certificates.crt'
must "a bare run installs" host_install --yes
check "it has a default route, though one that leads nowhere" guest 'ip route | grep "^default via 203.0.113.255 dev byoh-dummy0 metric 65535"'
must "the agent's request appears" cluster_wait_object csr byoh-csr-worker
check "it asks for the host's own identity" test \
	"$(kubectl get csr byoh-csr-worker -o 'jsonpath={.spec.signerName}')" = kubernetes.io/kube-apiserver-client
must "the request is approved" kubectl certificate approve byoh-csr-worker
check "the agent writes its kubeconfig, for root alone" guest '
	until [ -s /root/.byoh/config ]; do sleep 0.5; done
	test "$(stat -c %a /root/.byoh/config)" = 600
	test "$(stat -c %a /root/.byoh)" = 700'

# As the agent writes when a cluster claims the host: in place, and the CA that it goes by last.
check "the CA certificates that it replaces are back beside the cluster's" guest '
	file=/etc/ssl/certs/ca-certificates.crt
	cat /root/site/ca.crt >$file
	mkdir -p /etc/kubernetes/pki && cat /root/site/ca.crt >/etc/kubernetes/pki/ca.crt
	for i in $(seq 60); do [ "$(grep -c BEGIN $file)" != 5 ] || break; sleep 1; done
	cat /root/site/trusted.crt /root/site/ca.crt | diff - $file'
check "once: the guard is content with its own writing" guest '
	sleep 3
	systemctl is-active byoh-ca-guard.path
	test "$(journalctl -u byoh-ca-guard.service | grep -c "are back")" = 1'
check "what an operator makes of them stays" guest '
	head -n 20 /root/site/trusted.crt >/etc/ssl/certs/ca-certificates.crt
	sleep 3
	head -n 20 /root/site/trusted.crt | diff - /etc/ssl/certs/ca-certificates.crt'
