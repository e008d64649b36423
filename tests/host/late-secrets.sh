#!/bin/bash
# A host that was installed without a token gets it later: what `join` says of a token that is unknown or has expired, of
# another CA, a wrong clock, a server that is away, and of a request that waits, is denied, is approved; a new CA; a new
# certificate; and what a stick that is plugged in may bring.
# shellcheck disable=SC2016,SC2034 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"

host_begin late-secrets --link
vm_link_start
must "a control plane starts" control_plane start "$vm_host_address"
approvers=(byoh:node-autoapprove kubeadm:node-autoapprove-bootstrap)
kubectl get clusterrolebinding "${approvers[@]}" -o yaml >"$vm_dir/approvers.yaml"
must "nobody approves requests by himself" kubectl delete clusterrolebinding "${approvers[@]}"

site_write "$host_site" tlsBootstrap "$(control_plane ca)" none
rm "$host_site/token"
sed -i '/token:/d; s/^join: .*/join: {mode: tlsBootstrap, volume: true}/' "$host_site/byoh.yaml"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$vm_dir/other.key" -out "$host_site/other.crt" \
	-subj /CN=other -days 30 -addext basicConstraints=critical,CA:TRUE 2>/dev/null
cat "$(control_plane ca)" "$host_site/other.crt" >"$host_site/both.crt"
control_plane token >"$host_site/good"
must "a token expires" eval 'control_plane token 2s >"$host_site/expired" && id=$(cut -d. -f1 "$host_site/expired") &&
	{ kubectl -n kube-system wait --for=delete "secret/bootstrap-token-$id" --timeout="${vm_patience}s" || ! kubectl -n kube-system get secret "bootstrap-token-$id"; }'
echo zzzzzz.zzzzzzzzzzzzzzzz >"$host_site/unknown"

boot=/etc/kubernetes/bootstrap-kubeconfig
# join CODE [ARG]...    its JSON is in $vm_dir/said, what it says in $vm_dir/words
join() {
	local expected=$1 code=0
	shift
	guest "cd /root/site && exec byoh-install join --json $* 2>/root/words" >"$vm_dir/said" || code=$?
	guest 'cat /root/words' >"$vm_dir/words"
	cat "$vm_dir/said" "$vm_dir/words"
	[ "$code" = "$expected" ] || { echo "exit code $code, expected $expected"; return 1; }
}
says() { grep -qF -- "$1" "$vm_dir/words"; }
is() { jq -e "$1" "$vm_dir/said" >/dev/null; }
# refused WORDS ARG...    and nothing has changed
refused() {
	local words=$1
	shift
	join 1 "$@" && says "$words" && says "nothing was changed" && guest "[ ! -e $boot ] && [ ! -e /etc/byoh/join.kubeconfig ] && cmp /root/site/ca.crt /etc/kubernetes/pki/ca.crt"
}
request() { jq -r '.csr // empty' "$vm_dir/said"; }
# until_request REASON ARG...    asks until the cluster has one, since a kubelet takes its time to start
until_request() {
	local end=$((SECONDS + vm_patience)) reason=$1
	shift
	while [ "$SECONDS" -lt "$end" ]; do
		join 0 "$@" --wait 20 >/dev/null || return 1
		is ".joinReason == \"$reason\"" && return
	done
	cat "$vm_dir/said" "$vm_dir/words"
	return 1
}
approve_next() {
	local name
	name=$(grep -m1 . < <(vm_in_world timeout "$vm_patience" "$CP_BIN/kubectl" --kubeconfig "$vm_dir/control-plane/conf/admin.conf" \
		get csr --watch -o 'jsonpath={.metadata.name} {.spec.signerName} {.status.conditions}{"\n"}' 2>/dev/null |
		awk '$2 == "kubernetes.io/kube-apiserver-client-kubelet" && NF == 2 { print $1; fflush() }')) || return 1
	kubectl certificate approve "$name"
}

must "a bare machine boots, with a private link" vm_start --link
must "the files are brought to it" host_put_site
must "a bare run installs without a token" host_install --yes
check "and says that the join is pending" grep -q "join: pending" "$host_top/build/logs/late-secrets-install.log"

check "unknown token: said, nothing changed" refused "unknown there or has expired" --token-file unknown
check "expired token: said, nothing changed" refused "unknown there or has expired" --token-file expired
check "another CA: said, nothing changed" refused "does not prove itself by the configured CA" --ca other.crt --token-file good
check "a clock in the past: said, nothing changed" eval 'now=$(date -u +%s); guest "date -u -s @1000000000"; refused "set the clock" --token-file good; code=$?; guest "date -u -s @$(date -u +%s)"; [ "$code" = 0 ]'
check "a server that is away: put in place, and said" eval 'guest "ip link set eth0 down"; join 0 --token-file good --wait 5; guest "ip link set eth0 up; networkctl reconfigure eth0 || true; /lib/systemd/systemd-networkd-wait-online --interface=eth0 --timeout=60";
	is ".join == \"pending\" and .joinReason == \"unreachable\"" && says "cannot reach https://$vm_host_address:6443" && guest "grep -qF $(cat "$host_site/good") '"$boot"'"'

must "the request waits, and is named with what approves it" eval 'until_request approval --token-file good && is ".approve == \"kubectl certificate approve $(request)\"" && says "kubectl certificate approve $(request)" && kubectl get csr "$(request)"'
check "status tells that it is about to join" guest_says '"node": "joining"' 'byoh-install status --json'
denied=$(request)
check "denied: said" eval 'kubectl certificate deny "$denied" && until_request denied --token-file good && is ".join == \"denied\" and .csr == \"$denied\"" && says "kubectl delete csr $denied"'
must "what it says is done" eval 'kubectl delete csr "$denied" && guest "systemctl restart kubelet"'
approve_next >"$vm_dir/approved" 2>&1 &
check "approved while it waits: joined" eval 'join 0 --token-file good --wait "$vm_patience" && is ".join == \"joined\" and .joinReason == null"'
wait
must "the node appears" cluster_wait_object nodes worker
must "the node becomes Ready" cluster_wait_ready node worker
check "status tells the ends of certificates" eval 'guest "byoh-install status --json" >"$vm_dir/said" && is "[.certificates[] | select(.name == \"kubelet\" or .name == \"ca\") | .state] == [\"valid\", \"valid\"]"'

control_plane token >"$host_site/second"
must "another token is brought" vm_copy_in "$host_site/second" /root/site
check "a kubelet with a certificate looks at no token" eval 'pid=$(guest "systemctl show -p MainPID kubelet"); join 0 --token-file second && is ".join == \"joined\"" && says "looks at no token" && [ "$pid" = "$(guest "systemctl show -p MainPID kubelet")" ]'
check "old and new CA together: kubelet.conf has both" eval 'join 0 --ca both.crt && guest "cp /etc/kubernetes/kubelet.conf /root/k.conf" && vm_copy_out /root/k.conf "$vm_dir/k.conf" &&
	[ "$(kubectl config view --raw --kubeconfig "$vm_dir/k.conf" -o "jsonpath={.clusters[0].cluster.certificate-authority-data}" | base64 -d | grep -c BEGIN)" = 2 ] && cluster_wait_ready node worker'
must "requests are approved again" kubectl apply -f "$vm_dir/approvers.yaml"
check "anew: the kubelet gets another certificate" eval 'before=$(guest "readlink -f /var/lib/kubelet/pki/kubelet-client-current.pem") && join 0 --again --wait "$vm_patience" && is ".join == \"joined\"" &&
	[ "$before" != "$(guest "readlink -f /var/lib/kubelet/pki/kubelet-client-current.pem")" ] && guest "[ -s /etc/kubernetes/kubelet.conf.byoh-saved ]" && cluster_wait_ready node worker'

# stick NAME FILE...    a file system labelled BYOHCFG, in a loop device of the machine: to udev and systemd one more volume
stick() {
	local name=$1 folder=$vm_dir/$1
	shift
	mkdir -p "$folder"
	cp "$@" "$folder/"
	mkfs.ext4 -q -L BYOHCFG -d "$folder" "$vm_dir/$name.img" 4M
	vm_copy_in "$vm_dir/$name.img" /root
}
# plug NAME    until its unit has run; then it stays for a while, and is not run again
plug() {
	guest "before=\$(ls /var/log/byoh/join-* | wc -l)
		ended() { systemctl show -p ExecMainExitTimestampMonotonic --value byoh-join-volume; }
		last=\$(ended)
		loop=\$(losetup --find --show --read-only /root/$1.img)
		udevadm settle
		until now=\$(ended); [ \"\${now:-0}\" != 0 ] && [ \"\$now\" != \"\$last\" ]; do sleep 1; done
		sleep 10
		after=\$(ls /var/log/byoh/join-* | wc -l)
		losetup -d \$loop
		udevadm settle
		systemctl show -p Result --value byoh-join-volume
		journalctl -b --no-pager -o cat -u byoh-join-volume
		[ \$after = \$((before + 1)) ]
		! mountpoint -q /run/byoh-config"
}
mkdir "$vm_dir/evil"
cp "$host_site/ca.crt" "$host_site/second" "$vm_dir/evil/"
printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: tlsBootstrap}\ncluster: {server: "https://10.99.0.77:6443", ca: {file: ca.crt}, token: {file: second}}\n' >"$vm_dir/evil/byoh.yaml"
must "a stick with another server is made" stick evil-stick "$vm_dir"/evil/*
check "it is refused, once, and logged" eval 'guest "sha256sum /etc/byoh/join.kubeconfig '"$boot"'" >"$vm_dir/before"; plug evil-stick >"$vm_dir/plugged"; cat "$vm_dir/plugged"; grep -q exit-code "$vm_dir/plugged" && grep -qF "10.99.0.77" "$vm_dir/plugged" &&
	guest "sha256sum /etc/byoh/join.kubeconfig '"$boot"'" | cmp - "$vm_dir/before" && guest "grep -l 10.99.0.77 /var/log/byoh/join-*"'
control_plane token >"$vm_dir/token"
must "a stick with a token is made" stick good-stick "$vm_dir/token"
check "its token is put in place, once" eval 'plug good-stick >"$vm_dir/plugged"; cat "$vm_dir/plugged"; grep -qx success "$vm_dir/plugged" && guest "grep -qF $(cat "$vm_dir/token") '"$boot"'"'
check "the token stands in no log" guest "! grep -rqF $(cat "$vm_dir/token") /var/log/byoh && ! journalctl -b | grep -qF $(cat "$vm_dir/token")"
check "status finds no drift" guest 'byoh-install status'
