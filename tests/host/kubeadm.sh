#!/bin/bash
# A bare machine that joins by the bundle's real kubeadm: first with a token that nobody knows, then with a good one; a
# pod runs. It is given back, and joins again where an agent has left `kubeadm join` undone, until the agent resets it.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"

host_begin kubeadm --link
vm_link_start
must "a control plane starts" control_plane start "$vm_host_address"
site_write "$host_site" kubeadm "$(control_plane ca)" abcdef.0123456789abcdef

# installed_says TEXT    the run succeeded, and its output holds TEXT
installed_says() {
	local output
	output=$(host_install --yes --json) || { printf '%s\n' "$output"; return 1; }
	printf '%s\n' "$output"
	grep -qF -- "$1" <<<"$output"
}

joins_late() {
	control_plane token >"$host_site/good"
	vm_copy_in "$host_site/good" /root
	guest_says 'join: joined' 'byoh-install join --token-file /root/good 2>&1'
}

# As an agent since 0.5.6 leaves it: kubeletExtraArgs made anew, the command with "&" in it skipped.
agent_leaves() {
	cat >"$host_site/kubeadm-join-config.yaml" <<-YAML
		---
		apiVersion: kubeadm.k8s.io/v1beta2
		discovery:
		  bootstrapToken:
		    apiServerEndpoint: $vm_host_address:6443
		    caCertHashes:
		    - sha256:$(openssl x509 -pubkey -noout -in "$(control_plane ca)" | openssl pkey -pubin -outform der | sha256sum | cut -c1-64)
		    token: $(control_plane token)
		    unsafeSkipCAVerification: false
		kind: JoinConfiguration
		nodeRegistration:
		  criSocket: unix:///run/containerd/containerd.sock
		  kubeletExtraArgs:
		    cgroup-driver: systemd
		    node-labels: claimed=yes
		    pod-infra-container-image: byoh.local/pause:1
		    provider-id: byoh://worker
	YAML
	vm_copy_in "$host_site/kubeadm-join-config.yaml" /root
	guest 'mkdir -p /run/kubeadm && cat /root/kubeadm-join-config.yaml >/run/kubeadm/kubeadm-join-config.yaml'
}

# As kubeadm puts it into a cluster: kube-proxy in a pod of its own, with the rights of its account. The program and
# iptables are the host's, since the bundle has no image of them.
cluster_proxy() {
	local secret='' token
	kubectl -n kube-system create serviceaccount kube-proxy &&
		kubectl create clusterrolebinding kube-proxy --clusterrole system:node-proxier --serviceaccount kube-system:kube-proxy || return
	until [ -n "$secret" ]; do
		secret=$(kubectl -n kube-system get serviceaccount kube-proxy -o 'jsonpath={.secrets[0].name}') || return
	done
	token=$(kubectl -n kube-system get secret "$secret" -o 'jsonpath={.data.token}' | base64 -d)
	cat >"$vm_dir/proxy.conf" <<-YAML
		apiVersion: v1
		kind: Config
		clusters: [{name: c, cluster: {server: "https://$vm_host_address:6443", certificate-authority-data: $(base64 -w0 "$(control_plane ca)")}}]
		users: [{name: u, user: {token: "$token"}}]
		contexts: [{name: c, context: {cluster: c, user: u}}]
		current-context: c
	YAML
	kubectl -n kube-system create secret generic kube-proxy --from-file=kubeconfig="$vm_dir/proxy.conf" &&
		kubectl apply -f - <<-YAML
			apiVersion: v1
			kind: Pod
			metadata: {name: kube-proxy, namespace: kube-system}
			spec:
			  nodeName: worker
			  hostNetwork: true
			  automountServiceAccountToken: false
			  containers:
			  - name: kube-proxy
			    image: byoh.local/hello:1
			    imagePullPolicy: Never
			    command: [/bin/busybox, chroot, /host, /usr/local/bin/kube-proxy]
			    args: [--kubeconfig=/run/kube-proxy/kubeconfig, --hostname-override=worker, --cluster-cidr=10.244.0.0/16]
			    env: [{name: PATH, value: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}]
			    securityContext: {privileged: true}
			    volumeMounts:
			    - {name: host, mountPath: /host}
			    - {name: kubeconfig, mountPath: /host/run/kube-proxy}
			  volumes:
			  - {name: host, hostPath: {path: /}}
			  - {name: kubeconfig, secret: {secretName: kube-proxy}}
		YAML
}
proxy_runs() {
	cluster_proxy && kubectl -n kube-system wait --for=condition=Ready pod/kube-proxy --timeout="${vm_patience}s"
}

must "a bare machine boots, with a private link" vm_start --link
must "the files are brought to it" host_put_site
check "a bare run prepares it, and says that the token is unknown" installed_says '"join": "failed"'
check "in words, with what to do" grep -q 'the cluster does not know the token, or it has expired; make one with `kubeadm token create`' \
	"$host_top/build/logs/kubeadm-install.log"
check "status says so too" guest_says 'kubeadm join failed' 'byoh-install status'
check "it is not tried again" guest 'test "$(systemctl show -P ActiveState byoh-kubeadm-join)" = failed'
check "the log has kubeadm's own words, for root alone" guest '
	grep -q Unauthorized /var/log/byoh/kubeadm-join.log
	test "$(stat -c %a /var/log/byoh/kubeadm-join.log)" = 600'
must "a good token joins" joins_late
must "the node becomes Ready" cluster_wait_ready node worker
check "its address is the one of the config" test \
	"$(kubectl get node worker -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}')" = "$vm_address"
check "its label is the one of the config" kubectl get node -l site=private -o name
check "no image is collected, since this kubelet knows no pins" \
	guest 'grep -q image-gc-high-threshold=100 /var/lib/kubelet/kubeadm-flags.env'
must "a pod is created" kubectl apply -f "$here/hello.yaml"
must "the pod runs, its image comes out of the bundle" cluster_wait_ready pod hello
check "it serves, and a command runs in it" kubectl exec hello -- wget -q -O - http://127.0.0.1:8080
must "the cluster's kube-proxy runs on it" proxy_runs
check "a service leads to the pod, from the host and from the pod itself" service_answers
check "status finds no drift" guest_says 'joined its cluster' 'byoh-install status'
check "kubectl reads what kubeadm found the cluster by" guest_says "https://$vm_host_address:6443" \
	'kubectl config view --kubeconfig /etc/byoh/kubeadm-discovery.conf'
check "a second run has nothing to do" guest_says '"join": "joined"' 'byoh-install install --json 2>/dev/null'

must "it is given back" guest 'byoh-install uninstall --yes'
check "nothing of the join stays" guest '
	test ! -e /etc/kubernetes && test ! -e /var/lib/kubelet && test ! -e /etc/byoh && test ! -e /var/lib/byoh
	test ! -e /usr/local/lib/systemd && test ! -e /var/log/byoh
	! pgrep -x kubelet >/dev/null'
must "the cluster forgets it" kubectl delete node worker

if [ -z "${BYOH_CHECK_FULL:-}" ]; then
	echo "LEFT kubeadm: a join that the agent leaves undone (BYOH_CHECK_FULL=1 tests/host/run kubeadm)"
	exit 0
fi

site_write "$host_site" agent "$(control_plane ca)" "$(control_plane token)"
echo 'cni: {install: 10-bridge.conflist}' >>"$host_site/byoh.yaml" # no network comes from the cluster
must "a configuration with an agent is brought" vm_copy_in "$host_site/byoh.yaml" "$host_site/token" /root/site
must "a run installs with an agent" host_install --yes
must "the agent asks for its certificate" cluster_wait_object csr byoh-csr-worker
must "which is approved" kubectl certificate approve byoh-csr-worker
must "the agent has registered" guest 'until [ -s /root/.byoh/config ]; do sleep 0.5; done'
must "it leaves a join undone" agent_leaves
must "the host joins all the same" cluster_wait_object nodes worker
must "the node becomes Ready" cluster_wait_ready node worker
check "with the provider's id" test "$(kubectl get node worker -o 'jsonpath={.spec.providerID}')" = byoh://worker
check "with the labels of the claim" kubectl get node -l claimed=yes -o name
check "who waits for it is told" guest 'until [ -e /run/cluster-api/bootstrap-success.complete ]; do sleep 0.5; done'
check "kubeadm's drop-in stands there now, and the kubelet starts at boot" guest '
	test -f /usr/local/lib/systemd/system/kubelet.service.d/10-kubeadm.conf
	systemctl is-enabled kubelet'
check "that is no drift" guest 'byoh-install status'
# What the agent does in a reset.
must "the agent resets the host" guest '
	kubeadm reset --force >/dev/null 2>&1 || true
	systemctl stop kubelet containerd
	rm -rf /var/lib/kubelet /etc/kubernetes'
check "the drop-in goes, and the kubelet does not start at boot" guest '
	until [ ! -e /usr/local/lib/systemd/system/kubelet.service.d/10-kubeadm.conf ]; do sleep 0.5; done
	until [ "$(systemctl is-enabled kubelet)" = disabled ]; do sleep 0.5; done'
check "the old request joins nobody" guest '
	until [ "$(systemctl show -P ActiveState byoh-kubeadm-join)" = inactive ]; do sleep 0.5; done
	test ! -e /etc/kubernetes/kubelet.conf && ! pgrep -x kubeadm >/dev/null'
check "status tells the reset" guest_says 'has reset this host' 'byoh-install status || test $? = 7'
check "it is given back once more" guest 'byoh-install uninstall --yes && test ! -e /usr/local/lib/systemd && test ! -e /etc/byoh'
