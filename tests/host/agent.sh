#!/bin/bash
# In the mode `agent` the host asks for a certificate under its own name, and once that is approved it has
# a kubeconfig of its own. The agent is a stand-in that does this part for real.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"

host_begin agent --link
vm_link_start
must "a control plane starts" control_plane start "$vm_host_address"
site_write "$host_site" agent "$(control_plane ca)" "$(control_plane token)"

must "a bare machine boots, with a private link" vm_start --link
must "the files are brought to it" host_put_site
must "a bare run installs" host_install --yes
must "the agent's request appears" cluster_wait_object csr byoh-csr-worker
check "it asks for the host's own identity" test \
	"$(kubectl get csr byoh-csr-worker -o 'jsonpath={.spec.signerName}')" = kubernetes.io/kube-apiserver-client
must "the request is approved" kubectl certificate approve byoh-csr-worker
check "the agent writes its kubeconfig, for root alone" guest '
	until [ -s /root/.byoh/config ]; do sleep 0.5; done
	test "$(stat -c %a /root/.byoh/config)" = 600
	test "$(stat -c %a /root/.byoh)" = 700'
