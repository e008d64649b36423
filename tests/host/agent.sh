#!/bin/bash
# In the mode `agent` the host asks for a certificate under its own name, and once that is approved it has
# a kubeconfig of its own. The agent is a stand-in that does this part for real. What it replaces of the system's CA
# certificates comes back, and the host has a default route. What a claim in the provider's mode tlsBootstrap makes the
# agent write is written in its stead, and its certificate is renewed.
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

echo 'cni: {install: 10-bridge.conflist}' >>"$host_site/byoh.yaml" # no network comes from the cluster
site_network >"$host_site/10-bridge.conflist"

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

if [ -z "${BYOH_CHECK_FULL:-}" ]; then
	echo "LEFT agent: a claim in the provider's mode tlsBootstrap, a renewed certificate (BYOH_CHECK_FULL=1 tests/host/run agent)"
	exit 0
fi

# A claim in the provider's mode tlsBootstrap, without a secret of an installer: the agent runs no command but those of
# systemctl, and writes these files, as those of 0.6 do. It makes folders 0744.
claim_files() {
	local claim=$vm_dir/claim etc kubelet proxy
	etc=$claim/etc/kubernetes kubelet=$claim/var/lib/kubelet proxy=$claim/var/lib/kube-proxy
	mkdir -p "$etc/pki" "$etc/ssl" "$kubelet" "$proxy" "$claim/etc/systemd/system"
	chmod 0744 "$etc" "$etc"/* "$kubelet" "$proxy"
	cp "$(control_plane ca)" "$etc/pki/ca.crt"
	cp "$etc/pki/ca.crt" "$etc/ssl/ca.pem"
	cp "$etc/pki/ca.crt" "$etc/pki/ca-certificates.crt"
	(umask 077 && cat >"$etc/bootstrap-kubeconfig") <<-YAML
		apiVersion: v1
		kind: Config
		clusters:
		- name: default-cluster
		  cluster: {server: "https://$vm_host_address:6443", certificate-authority-data: $(base64 -w0 "$etc/pki/ca.crt")}
		users:
		- name: default-auth
		  user: {token: "$(control_plane token)"}
		contexts:
		- name: default-context
		  context: {cluster: default-cluster, user: default-auth}
		current-context: default-context
	YAML
	cat >"$kubelet/config.yaml" <<-YAML
		apiVersion: kubelet.config.k8s.io/v1beta1
		kind: KubeletConfiguration
		authentication:
		  anonymous: {enabled: false}
		  webhook: {enabled: true}
		  x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}
		authorization: {mode: Webhook}
		cgroupDriver: systemd
		clusterDNS: [169.254.20.10]
		clusterDomain: cluster.local
		rotateCertificates: true
		staticPodPath: /etc/kubernetes/manifests
	YAML
	cat >"$proxy/kube-proxy-config.yaml" <<-YAML
		apiVersion: kubeproxy.config.k8s.io/v1alpha1
		kind: KubeProxyConfiguration
		clientConnection: {kubeconfig: /etc/kubernetes/kube-proxy.kubeconfig}
		mode: iptables
	YAML
	cat >"$claim/etc/systemd/system/kubelet.service" <<-'UNIT'
		[Unit]
		Description=kubelet
		Wants=containerd.service
		After=containerd.service
		[Service]
		ExecStart=/usr/local/bin/kubelet \
		  --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubeconfig --kubeconfig=/etc/kubernetes/kubelet.conf \
		  --cert-dir=/var/lib/kubelet/pki --config=/var/lib/kubelet/config.yaml \
		  --rotate-certificates=true --rotate-server-certificates=true \
		  --pod-manifest-path=/etc/kubernetes/manifests --provider-id=byoh://worker \
		  --node-labels=claimed=yes
		Restart=always
		RestartSec=10
		[Install]
		WantedBy=multi-user.target
	UNIT
	cat >"$claim/etc/systemd/system/kube-proxy.service" <<-'UNIT'
		[Unit]
		Description=kube-proxy
		[Service]
		ExecStart=/usr/local/bin/kube-proxy --config=/var/lib/kube-proxy/kube-proxy-config.yaml
		Restart=always
		RestartSec=10
		[Install]
		WantedBy=multi-user.target
	UNIT
	# The agent knows no kubelet so old that it has to be told of containerd.
	mkdir -p "$claim/etc/systemd/system/kubelet.service.d"
	{
		printf '[Service]\nExecStart=\n'
		sed -n '/^ExecStart=/,/[^\\]$/p' "$claim/etc/systemd/system/kubelet.service" | sed '1s|kubelet \\|kubelet --container-runtime=remote \\\
		  --container-runtime-endpoint=unix:///run/containerd/containerd.sock \\|'
	} >"$claim/etc/systemd/system/kubelet.service.d/10-containerd.conf"
}
claimed() {
	claim_files || return
	tar -C "$vm_dir/claim" -cf "$vm_dir/claim.tar" . || return
	vm_copy_in "$vm_dir/claim.tar" /root || return
	guest 'tar -C / --no-overwrite-dir -xf /root/claim.tar
		(umask 077 && cp /root/.byoh/config /etc/kubernetes/kube-proxy.kubeconfig)
		systemctl daemon-reload
		systemctl enable --now kubelet
		systemctl enable --now kube-proxy'
}
must "the trust store is whole again" guest 'cat /root/site/trusted.crt /root/site/ca.crt >/etc/ssl/certs/ca-certificates.crt'
must "what it takes is there: kubelet and kube-proxy, where the agent looks for them" guest \
	'test -x /usr/local/bin/kubelet && test -x /usr/local/bin/kube-proxy && systemctl is-active containerd'
must "it is claimed in the provider's mode tlsBootstrap" claimed
must "the node appears" cluster_wait_object nodes worker
must "the node becomes Ready" cluster_wait_ready node worker
check "with the provider's id" test "$(kubectl get node worker -o 'jsonpath={.spec.providerID}')" = byoh://worker
check "with the labels of the claim" kubectl get node -l claimed=yes -o name
# As the provider's controller does.
approve_serving() {
	local name
	until name=$(kubectl get csr -o 'jsonpath={.items[?(@.spec.signerName=="kubernetes.io/kubelet-serving")].metadata.name}') && [ -n "$name" ]; do sleep 1; done
	# shellcheck disable=SC2086 # may be several
	kubectl certificate approve $name
}
must "its serving certificate is approved" approve_serving
must "a pod is created" kubectl apply -f "$here/hello.yaml"
must "the pod runs, its image comes out of the bundle" cluster_wait_ready pod hello
check "kube-proxy writes its rules, and the service address works" guest '
	until iptables-save -t nat | grep -q "KUBE-SERVICES.*10.96.0.1/32"; do sleep 1; done
	timeout 60 bash -c "exec 3<>/dev/tcp/10.96.0.1/443"'
check "its log is read through the API server" eval 'kubectl logs hello | grep "^hello from the bundle"'
check "status tells a claimed node, and no drift" guest_says '"node": "joined"' 'byoh-install status --json'

# The agent's certificate as it is near its end, and kube-proxy's beside it, which is the same.
near_its_end() {
	local pki folder=$vm_dir/old name=old
	pki=$(dirname "$(control_plane ca)")
	mkdir "$folder"
	: >"$folder/index"
	printf '[ca]\ndefault_ca = own\n[own]\ndatabase = %s\nnew_certs_dir = %s\nrand_serial = yes\ndefault_md = sha256\npolicy = any\nx509_extensions = client\n[any]\nCN = supplied\nO = optional\n[client]\nextendedKeyUsage = clientAuth\n' \
		"$folder/index" "$folder" >"$folder/conf"
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$folder/$name.key" -out "$folder/csr" \
		-subj /O=byoh:hosts/CN=byoh:host:worker &&
		openssl ca -batch -notext -config "$folder/conf" -cert "$pki/ca.crt" -keyfile "$pki/ca.key" -in "$folder/csr" \
			-out "$folder/$name.crt" -startdate 20200101000000Z -enddate "$(date -u -d '5 days' +%Y%m%d%H%M%SZ)" &&
		vm_copy_in "$folder/$name.crt" "$folder/$name.key" /root &&
		guest 'for file in /root/.byoh/config /etc/kubernetes/kube-proxy.kubeconfig; do
				kubectl config set-credentials default-auth --kubeconfig $file --embed-certs \
					--client-certificate /root/old.crt --client-key /root/old.key
			done
			systemctl restart byoh-hostagent kube-proxy
			systemctl restart --no-block byoh-certificates' &&
		cluster_wait_object csr 'byoh-csr-worker-.*'
}
approve_next() {
	local name
	name=$(kubectl get csr -o name | sed -n 's|.*/\(byoh-csr-worker-.*\)|\1|p')
	kubectl certificate approve "$name"
}
renewed() {
	guest 'until ! grep -qF "$(base64 -w0 /root/old.crt)" /root/.byoh/config; do sleep 1; done
		test "$(stat -c %a /root/.byoh/config)" = 600
		test "$(stat -c %a /etc/kubernetes/kube-proxy.kubeconfig)" = 600
		! grep -qF "$(base64 -w0 /root/old.crt)" /etc/kubernetes/kube-proxy.kubeconfig'
}
must "the agent's certificate is near its end, and the next is asked for" near_its_end
must "which is approved" approve_next
check "agent and kube-proxy have the next one" renewed
check "kubectl reads every kubeconfig there, and the API server knows the renewed ones" guest '
	for file in /etc/byoh/bootstrap-kubeconfig.conf /root/.byoh/config /etc/kubernetes/kube-proxy.kubeconfig /etc/kubernetes/kubelet.conf; do
		kubectl config view --minify --kubeconfig "$file" -o "jsonpath={.clusters[0].cluster.server}" |
			grep -x "https://'"$vm_host_address"':6443"
	done
	for file in /root/.byoh/config /etc/kubernetes/kube-proxy.kubeconfig; do kubectl --kubeconfig "$file" get nodes worker; done'
check "doctor finds nothing wrong" guest 'byoh-install doctor'
