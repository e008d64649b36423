#!/bin/bash
# What a bare machine makes of a cluster that is not the one of its pin and token. A host that was installed without a token
# gets it later: what `join` says of a token that is unknown or has expired, of another CA, somebody in the middle, a wrong
# clock, a server that is away, and of a request that waits, is denied, is approved; a new CA; a new certificate; and what a
# stick that is plugged in may bring.
# shellcheck disable=SC2016,SC2034 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"

host_begin late-secrets --link
vm_link_start
must "a control plane starts" control_plane start "$vm_host_address"
approvers=(byoh:node-autoapprove kubeadm:node-autoapprove-bootstrap)
kubectl get clusterrolebinding "${approvers[@]}" -o yaml | sed "/^ *\(resourceVersion\|uid\|creationTimestamp\|selfLink\):/d" >"$vm_dir/approvers.yaml"
must "nobody approves requests by himself" kubectl delete clusterrolebinding "${approvers[@]}"

site_write "$host_site" tlsBootstrap "$(control_plane ca)" none
rm "$host_site/token"
cp "$host_site/byoh.yaml" "$vm_dir/given.yaml"
sed -i '/token:/d; s/^join: .*/join: {mode: tlsBootstrap, volume: true}/' "$host_site/byoh.yaml"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$vm_dir/other.key" -out "$host_site/other.crt" \
	-subj /CN=other -days 30 -addext basicConstraints=critical,CA:TRUE 2>/dev/null
cat "$(control_plane ca)" "$host_site/other.crt" >"$host_site/both.crt"
control_plane token >"$host_site/good"
must "a token expires" eval 'control_plane token 2s >"$host_site/expired" && id=$(cut -d. -f1 "$host_site/expired") &&
	{ kubectl -n kube-system wait --for=delete "secret/bootstrap-token-$id" --timeout="${vm_patience}s" || ! kubectl -n kube-system get secret "bootstrap-token-$id"; }'
echo zzzzzz.zzzzzzzzzzzzzzzz >"$host_site/unknown"

# Clusters that are none: at a port of its own each has a certificate by the other CA, and shows a cluster-info.
fetch_cluster_info() {
	local id
	id=$(cut -d. -f1 "$host_site/good")
	# Its signature comes a moment after the token.
	until kubectl -n kube-public get configmap cluster-info -o yaml >"$vm_dir/info.yaml" && grep -q "jws-kubeconfig-$id" "$vm_dir/info.yaml"; do sleep 0.5; done
}
base64url() { base64 -w0 | tr '+/' '-_' | tr -d =; }
# sign_cluster_info CA SECRET    the kubeconfig with that CA, signed as if SECRET were the second half of the token
sign_cluster_info() {
	local id head signature info=$vm_dir/info
	id=$(cut -d. -f1 "$host_site/good")
	printf 'apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: %s\n    server: https://%s:6443\n  name: ""\nkind: Config\n' \
		"$(base64 -w0 "$1")" "$vm_host_address" >"$info"
	head=$(printf '{"alg":"HS256","kid":"%s"}' "$id" | base64url)
	signature=$(printf '%s.%s' "$head" "$(base64url <"$info")" | openssl dgst -sha256 -mac HMAC -macopt "key:$2" -binary | base64url)
	printf 'apiVersion: v1\ndata:\n  jws-kubeconfig-%s: %s..%s\n  kubeconfig: |\n' "$id" "$head" "$signature"
	sed 's/^/    /' "$info"
	echo 'kind: ConfigMap'
}
# show NAME PORT    what comes in, as the cluster-info of that server; it ends with the test's world
show() {
	local folder=$vm_dir/$1/api/v1/namespaces/kube-public/configmaps line fd
	mkdir -p "$folder"
	{ printf 'HTTP/1.1 200 OK\r\nContent-Type: application/yaml\r\n\r\n' && cat; } >"$folder/cluster-info"
	exec {fd}< <(vm_in_world sh -c 'cd "$1" && exec openssl s_server -accept "$2" -cert ../stranger.crt -key ../stranger.key -HTTP' \
		- "$vm_dir/$1" "$vm_host_address:$2" 2>&1 </dev/null)
	while read -r -t "$vm_patience" line <&"$fd"; do [ "$line" != ACCEPT ] || break; done
	[ "$line" = ACCEPT ]
}
false_clusters() {
	local secret
	secret=$(cut -d. -f2 "$host_site/good")
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$vm_dir/stranger.key" -out "$vm_dir/stranger.csr" -subj /CN=server &&
		openssl x509 -req -in "$vm_dir/stranger.csr" -CA "$host_site/other.crt" -CAkey "$vm_dir/other.key" -CAcreateserial -days 30 \
			-extfile <(echo "subjectAltName=IP:$vm_host_address") -out "$vm_dir/stranger.crt" &&
		show middle 6444 <"$vm_dir/info.yaml" &&
		sign_cluster_info "$host_site/other.crt" 0000000000000000 | show forged 6445 &&
		sign_cluster_info "$host_site/other.crt" "$secret" | show impostor 6446
}
# by_pin NAME PORT CA TOKEN    a configuration that knows the cluster by those
by_pin() {
	local pin
	pin=$(openssl x509 -pubkey -noout -in "$3" | openssl pkey -pubin -outform der | sha256sum | cut -c1-64)
	sed -e "s/:6443/:$2/; s/ca: {.*/ca: {pin: \"sha256:$pin\"}/; s/token: {.*/token: {file: $4}/" "$vm_dir/given.yaml" >"$host_site/$1.yaml"
}
ca=$(control_plane ca)
must "the cluster shows its CA to who has the token" fetch_cluster_info
must "others answer in its place" false_clusters
by_pin found 6443 "$ca" good
by_pin pin 6443 "$host_site/other.crt" good
by_pin elsewhere 6443 "$ca" unknown
for name in middle:6444 forged:6445 impostor:6446; do by_pin "${name%:*}" "${name#*:}" "$ca" good; done
{
	printf 'apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: {server: "https://%s:6444", certificate-authority-data: %s}\n' "$vm_host_address" "$(base64 -w0 "$ca")"
	printf 'contexts:\n- name: x\n  context: {cluster: c, user: u}\ncurrent-context: x\nusers:\n- name: u\n  user: {token: %s}\n' "$(cat "$host_site/good")"
} >"$host_site/middle.kubeconfig"
# plans NAME CODE WORDS    what `plan` makes of it on a bare host
plans() {
	guest "cd /root/site
		code=0; ./byoh-install.run plan --json --config $1.yaml >/root/plan 2>/root/words || code=\$?
		cat /root/words; echo \"exit code \$code\"
		[ \$code = $2 ] && grep -qF -- '$3' /root/words /root/plan"
}
finds_nothing() { plans "$@" && guest '! grep -qF discovered-ca.crt /root/plan'; }

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
	local name signer conditions
	while read -r name signer conditions; do
		if [ "$signer" = kubernetes.io/kube-apiserver-client-kubelet ] && [ -z "$conditions" ]; then
			kubectl certificate approve "$name"
			return
		fi
	done < <(vm_in_world timeout "$vm_patience" "$CP_BIN/kubectl" --kubeconfig "$vm_dir/control-plane/conf/admin.conf" \
		get csr --watch -o 'jsonpath={.metadata.name} {.spec.signerName} {.status.conditions}{"\n"}' 2>/dev/null)
	return 1
}

must "a bare machine boots, with a private link" vm_start --link
must "the files are brought to it" host_put_site
check "the cluster of the pin and the token: its CA is found" plans found 0 discovered-ca.crt
check "wrong pin: refused" finds_nothing pin 3 "has the pin"
check "the token of another cluster: said, and no CA is taken" finds_nothing elsewhere 0 "no signature by the token zzzzzz"
check "forged signature: refused" finds_nothing forged 3 "is not by the token"
check "another cluster whose token is the same: refused" finds_nothing impostor 3 "has the pin"
check "somebody in the middle, with a CA of his own: refused" finds_nothing middle 3 "does not prove itself"
must "a bare run installs without a token" host_install --yes
check "and says that the join is pending" grep -q "join: pending" "$host_top/build/logs/late-secrets-install.log"

check "unknown token: said, nothing changed" refused "unknown there or has expired" --token-file unknown
check "expired token: said, nothing changed" refused "unknown there or has expired" --token-file expired
check "another CA: said, nothing changed" refused "does not prove itself by the configured CA" --ca other.crt --token-file good
check "somebody in the middle: said, nothing changed" refused "does not prove itself by the configured CA" --kubeconfig middle.kubeconfig
check "a clock in the past: said, nothing changed" eval 'now=$(date -u +%s); guest "date -u -s @1000000000"; refused "set the clock" --token-file good; code=$?; guest "date -u -s @$(date -u +%s)"; [ "$code" = 0 ]'
check "a server that is away: put in place, and said" eval 'guest "ip link set eth0 down"; join 0 --token-file good --wait 5; guest "ip link set eth0 up; networkctl reconfigure eth0 || true; /lib/systemd/systemd-networkd-wait-online --interface=eth0 --timeout=60";
	is ".join == \"pending\" and .joinReason == \"unreachable\"" && says "cannot reach https://$vm_host_address:6443" && guest "grep -qF $(cat "$host_site/good") '"$boot"'"'

must "the request waits, and is named with what approves it" eval 'until_request approval --token-file good && is ".approve == \"kubectl certificate approve $(request)\"" && says "kubectl certificate approve $(request)" && kubectl get csr "$(request)"'
check "status tells that it is about to join" guest_says '"node": "joining"' 'byoh-install status --json'
denied=$(request)
# This kubelet asks again at once, under another name: the denial is told while it does.
is_denied() {
	local end=$((SECONDS + vm_patience))
	kubectl certificate deny "$denied" || return
	while [ "$SECONDS" -lt "$end" ]; do
		join 0 --token-file good --wait 20 >/dev/null || return
		if is ".join == \"denied\" and .csr == \"$denied\""; then
			says "kubectl delete csr $denied" && return
		elif is ".joinReason == \"approval\" and .csr != \"$denied\""; then
			says "$denied, which it made before, was denied" && return
		fi
	done
	cat "$vm_dir/said" "$vm_dir/words"
	return 1
}
check "denied: said" is_denied
must "what it says is done" eval 'guest "systemctl stop kubelet" && kubectl delete csr --all && guest "systemctl start kubelet"'
approve_next >"$vm_dir/approved" 2>&1 &
approving=$! # and not the machine, which is a child of this shell as well
check "approved while it waits: joined" eval 'join 0 --token-file good --wait "$vm_patience" && is ".join == \"joined\" and .joinReason == null"'
wait "$approving"
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
# plug NAME [CONDITION]    until its unit has run, or until that; then it stays for a while, and is not run again
plug() {
	local ran='now=$(ended); [ "${now:-0}" != 0 ] && [ "$now" != "$last" ]'
	guest "before=\$(ls /var/log/byoh/join-* | wc -l)
		ended() { systemctl show -p ExecMainExitTimestampMonotonic --value byoh-join-volume; }
		last=\$(ended)
		loop=\$(losetup --find --show --read-only /root/$1.img)
		udevadm settle
		until ${2:-$ran}; do sleep 1; done
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

# What a pinned key has signed becomes the configuration: one that lets no volume bring anything.
mkdir "$vm_dir/signed"
sed -e "s|ca: {.*|ca: {data: $(base64 -w0 "$ca")}|" -e 's/^join: .*/join: {mode: tlsBootstrap}/' -e '/token:/d; /^cni:/d' "$vm_dir/given.yaml" >"$vm_dir/signed/byoh.yaml"
sign_config() {
	{ printf 'byoh-install/v1 config sha-256\n'; openssl dgst -sha256 -binary "$vm_dir/signed/byoh.yaml"; } >"$vm_dir/message" &&
		openssl pkeyutl -sign -inkey "$host_top/build/vm/key/private.pem" -rawin -in "$vm_dir/message" -out "$vm_dir/signed/byoh.yaml.sig"
}
must "a configuration is signed" sign_config
must "a stick with it is made" stick signed-stick "$vm_dir"/signed/*
# It takes the unit away that it is read by, and with it what systemd knows of that.
applied='! grep -q "volume: true" /etc/byoh/byoh.yaml && systemctl is-active byoh-join-volume | grep -qx inactive'
check "it becomes the host's" eval 'plug signed-stick "$applied" && guest "cat /etc/byoh/byoh.yaml" | cmp - "$vm_dir/signed/byoh.yaml"'
check "no volume brings anything any more" guest '
	[ "$(systemctl show -p LoadState --value byoh-join-volume)" = not-found ]
	sha256sum '"$boot"' >/root/before
	loop=$(losetup --find --show --read-only /root/good-stick.img)
	udevadm settle
	code=0
	byoh-install join --volume 2>/root/words || code=$?
	losetup -d $loop
	cat /root/words
	[ $code = 2 ] && grep -qF "join.volume" /root/words && sha256sum --check /root/before'
check "status finds no drift then" guest 'byoh-install status'
