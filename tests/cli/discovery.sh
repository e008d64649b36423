#!/bin/bash
# Finding a cluster's CA by its pin and a token: from a server of TLS on loopback in a network namespace, in the
# root of a host that is taken for the running one and that only `plan` looks at; and below --root, where it waits.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "a bundle, a CA and what a cluster shows"
make_keys key
node_spec "$work/node"
build_bundle "$work/node" key "$work/node.run"
make_ca
mv "$work/ca.crt" "$work/other.crt"
mv "$work/ca.key" "$work/other.key"
make_ca
token=abcdef.0123456789abcdef
pin_of() { printf 'sha256:%s' "$(openssl x509 -pubkey -noout -in "$1" | openssl pkey -pubin -outform der | sha256sum | cut -c1-64)"; }
base64url() { base64 -w0 | tr '+/' '-_' | tr -d =; }

# server_certificate NAME CA    for 127.0.0.1
server_certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/$1.key" -out "$work/$1.csr" -subj /CN=server 2>/dev/null
	openssl x509 -req -in "$work/$1.csr" -CA "$work/$2.crt" -CAkey "$work/$2.key" -CAcreateserial -days 3650 \
		-extfile <(echo subjectAltName=IP:127.0.0.1) -out "$work/$1.crt" 2>/dev/null
}
server_certificate server ca
server_certificate stranger other

# show SITE STATUS TOKEN CA SERVER    a site whose cluster-info is signed with that token
show() {
	local site=$work/$1 info=$work/kubeconfig head signature
	mkdir -p "$site/api/v1/namespaces/kube-public/configmaps"
	printf 'apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: %s\n    server: %s\n  name: ""\nkind: Config\n' \
		"$(base64 -w0 "$4")" "$5" >"$info"
	head=$(printf '{"alg":"HS256","kid":"%s"}' "${3%.*}" | base64url)
	signature=$(printf '%s.%s' "$head" "$(base64url <"$info")" |
		openssl dgst -sha256 -mac HMAC -macopt "key:${3#*.}" -binary | base64url)
	{
		printf 'HTTP/1.1 %s\r\nContent-Type: application/yaml\r\n\r\n' "$2"
		printf 'apiVersion: v1\ndata:\n  jws-kubeconfig-%s: %s..%s\n  kubeconfig: |\n' "${3%.*}" "$head" "$signature"
		sed 's/^/    /' "$info"
		printf 'kind: ConfigMap\n'
	} >"$site/api/v1/namespaces/kube-public/configmaps/cluster-info"
}

jail=$work/jail
mkdir -p "$jail"/{dev,etc,run}
cp "$work/node.run" "$jail/"
echo bare >"$jail/etc/hostname"
# configure PIN    tlsBootstrap by that pin
configure() {
	printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: tlsBootstrap}\ncluster: {server: "https://127.0.0.1:6443", ca: {pin: "%s"}, token: {file: token}}\n' \
		"$1" >"$jail/byoh.yaml"
	echo "$token" >"$jail/token"
}
# with_server CERTIFICATE SITE COMMAND...    while that server runs in a namespace of its own
with_server() {
	unshare --net bash -c '
		work=$1 certificate=$2 site=$3
		shift 3
		ip link set lo up
		cd "$work/$site"
		mkfifo "$work/ready"
		openssl s_server -accept 127.0.0.1:6443 -cert "$work/$certificate.crt" -key "$work/$certificate.key" -HTTP \
			>"$work/ready" 2>/dev/null </dev/null &
		pid=$! code=0
		exec 3<"$work/ready"
		rm "$work/ready"
		while read -r line <&3 && [ "$line" != ACCEPT ]; do :; done
		"$@" || code=$?
		kill "$pid"
		exit "$code"' - "$work" "$@"
}
planned() { chroot "$jail" /node.run plan --json --config /byoh.yaml; }
export -f planned
export jail
plan() { with_server "$1" "$2" "$BASH" -c planned; }
finds() { prints '"/etc/byoh/discovered-ca.crt"' && prints '"/etc/kubernetes/bootstrap-kubeconfig"'; }
finds_nothing() { ! prints discovered-ca.crt && ! prints '"/etc/kubernetes/bootstrap-kubeconfig"'; }
no_secret() { ! grep -qF "${token#*.}" "$work/out" "$work/err"; }

show good "200 OK" "$token" "$work/ca.crt" https://127.0.0.1:6443
show elsewhere "200 OK" "$token" "$work/ca.crt" https://10.0.0.1:6443
show closed "403 Forbidden" "$token" "$work/ca.crt" https://127.0.0.1:6443
show forged "200 OK" "abcdef.0123456789abcdee" "$work/ca.crt" https://127.0.0.1:6443
show expired "200 OK" "ghijkl.0123456789abcdef" "$work/ca.crt" https://127.0.0.1:6443
show impostor "200 OK" "$token" "$work/other.crt" https://127.0.0.1:6443

step "on the running host"
configure "$(pin_of "$work/ca.crt")"
if ! unshare --net true 2>"$work/err" || ! chroot "$jail" /node.run --version >/dev/null 2>"$work/err"; then
	skip "on the running host" "no network namespace or no chroot here: $(tail -n 1 "$work/err")"
else
	before "$jail"
	check "found by pin and token" eval 'exits 0 plan server good && finds && says "found by its pin" && no_secret'
	check "another name of the server is said, and not used" \
		eval 'exits 0 plan server elsewhere && finds && says "calls its server https://10.0.0.1:6443; the host keeps to https://127.0.0.1:6443"'
	check "closed to who has no credentials" eval 'exits 0 plan server closed && finds_nothing && says "warning" && says "HTTP 403" && says "--ca FILE"'
	check "a token that the cluster does not know" eval 'exits 0 plan server expired && finds_nothing && says "no signature by the token abcdef" && no_secret'
	check "nobody answers" eval 'exits 0 with_server server good unshare --net "$BASH" -c planned && finds_nothing && says "cannot reach"'
	check "forged" eval 'exits 3 plan server forged && says "not by the token abcdef" && no_secret'
	check "another cluster of the same token" eval 'exits 3 plan stranger impostor && says "has the pin"'
	check "in between, by its own CA" eval 'exits 3 plan stranger good && says "does not prove itself"'
	configure "$(pin_of "$work/other.crt")"
	check "a wrong pin" eval 'exits 3 plan server good && says "has the pin"'
	configure "$(pin_of "$work/ca.crt")"
	check "an opaque token finds nothing" eval 'echo 0123456789abcdef0123456789abcdef >"$jail/token" && exits 2 plan server good && says "bootstrap token only"'
	configure "$(pin_of "$work/ca.crt")"
	check "plan changes nothing" as_before "$jail"
fi

step "below --root"
root=$work/root
make_host "$root"
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
check "install waits for the running host" \
	eval 'exits 0 "$work/node.run" install --root "$root" --config "$jail/byoh.yaml" && says "finds it on the running host" && [ ! -e "$root/etc/kubernetes/bootstrap-kubeconfig" ]'
check "status finds no drift" exits 0 tool status
check "join without the CA is refused" eval 'exits 2 tool join --token-file "$jail/token" && says "--ca FILE"'
check "join with a CA of another pin, too" eval 'exits 2 tool join --ca "$work/other.crt" --token-file "$jail/token" && says "has the pin"'
check "what was found lies beside the configuration, and is used" \
	eval 'cp "$work/ca.crt" "$jail/discovered-ca.crt" && exits 0 "$work/node.run" install --root "$root" --config "$jail/byoh.yaml" &&
	cmp "$work/ca.crt" "$root/etc/byoh/discovered-ca.crt" && cmp "$work/ca.crt" "$root/etc/kubernetes/pki/ca.crt" && [ -e "$root/etc/kubernetes/bootstrap-kubeconfig" ]'
check "and is no drift" exits 0 tool status
check "a later run needs nobody to answer" eval 'exits 0 "$work/node.run" install --root "$root" && says "nothing to do"'
check "join with a fresh token keeps it" \
	eval 'echo fedcba.0123456789abcdef >"$work/fresh" && exits 0 tool join --token-file "$work/fresh" && cmp "$work/ca.crt" "$root/etc/byoh/discovered-ca.crt" &&
	grep -q fedcba.0123456789abcdef "$root/etc/kubernetes/bootstrap-kubeconfig" && exits 0 tool status'
check "repair brings it back" eval 'rm "$root/etc/byoh/discovered-ca.crt" && exits 7 tool status && exits 0 tool repair && cmp "$work/ca.crt" "$root/etc/byoh/discovered-ca.crt"'
check "one of another pin is none" \
	eval 'cp "$work/other.crt" "$jail/discovered-ca.crt" && exits 0 "$work/node.run" plan --root "$work/jail" --config "$jail/byoh.yaml" --json && ! prints "discovered-ca.crt"'

exit "$failed"
