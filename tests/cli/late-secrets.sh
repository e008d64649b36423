#!/bin/bash
# Tokens, kubeconfigs and CAs that come after the installation, below --root: from a folder, from the terminal, signed or
# not, a new CA in every file that holds the old one, credentials that are put aside, certificates in status.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "bundle, CAs, an installed host"
make_keys key
make_keys other
node_spec "$work/node"
build_bundle "$work/node" key "$work/node.run"
make_ca
cp "$work/ca.crt" "$work/old.crt"
make_ca
cp "$work/ca.crt" "$work/new.crt"
cat "$work/old.crt" "$work/new.crt" >"$work/both.crt"
token=abcdef.0123456789abcdef
fresh=ghijkl.fedcba9876543210
server=https://10.0.0.1:6443
mkdir "$work/config"
cp "$work/old.crt" "$work/config/ca.crt"
echo $token >"$work/config/token"
echo $fresh >"$work/fresh"
cluster="cluster: {server: \"$server\", ca: {file: ca.crt}, token: {file: token}}"

# config MODE [LINE]...
config() {
	printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: %s%s}\n' "$1" "${volume:+, volume: true}" >"$work/config/byoh.yaml"
	shift
	[ $# = 0 ] || printf '%s\n' "$@" >>"$work/config/byoh.yaml"
}
# installed MODE [LINE]...    an installed host of that configuration at $root
installed() {
	config "$@"
	root=$work/root
	rm -rf "$root"
	make_host "$root"
	mkdir -p "$root/etc/ssl/certs"
	"$work/node.run" install --config "$work/config/byoh.yaml" --root "$root" --quiet >"$work/out" 2>"$work/err"
}
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
holds() { grep -qF -- "$2" "$root/$1"; }
no_secret_in() { ! grep -rlF -e "$token" -e "$fresh" "$@" >>"$work/err"; }
# kubeconfig SERVER CA USER-LINE
kubeconfig() {
	printf 'apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster:\n    certificate-authority-data: %s\n    server: %s\n' "$(base64 -w0 "$2")" "$1"
	printf 'contexts:\n- name: x\n  context: {cluster: c, user: u}\ncurrent-context: x\nusers:\n- name: u\n  user: {%s}\n' "$3"
}
# stick    an empty one at $stick
stick() {
	stick=$work/stick
	rm -rf --one-file-system "$stick"
	mkdir "$stick"
}
sign() {
	{ printf 'byoh-install/v1 config sha-256\n'; openssl dgst -sha256 -binary "$stick/byoh.yaml"; } >"$work/message"
	openssl pkeyutl -sign -inkey "$work/$1/private.pem" -rawin -in "$work/message" -out "$stick/byoh.yaml.sig"
}
boot=etc/kubernetes/bootstrap-kubeconfig
refused() { exits 3 tool join --from "$stick" && says_one_sentence && says "$1" && as_before "$root" && no_secret_in "$work/out" "$work/err"; }

step "options"
installed tlsBootstrap "$cluster"
before "$root"
check "without a terminal nothing is asked" eval 'exits 2 tool join && says "--token-file" && says "--from DIR" && as_before "$root"'
check "--from stands alone" eval 'exits 2 tool join --from "$work" --token-file "$work/fresh" && as_before "$root"'
for wait in -1 x 99999999 ''; do
	check "--wait \"$wait\" is no time" eval 'exits 2 tool join --token-file "$work/fresh" --wait "$wait" && as_before "$root"'
done
check "--volume is for running hosts" eval 'exits 2 tool join --volume && says "--root" && as_before "$root"'

step "a folder"
stick
check "an empty one says what is looked for" eval 'exits 2 tool join --from "$stick" && says "bootstrap.conf" && as_before "$root"'
check "one that is none" eval 'exits 2 tool join --from "$work/nowhere" && says nowhere && as_before "$root"'
ln -s "$work/fresh" "$stick/token"
check "no link is followed" eval 'exits 2 tool join --from "$stick" && says "token is no plain file" && as_before "$root"'
rm "$stick/token"
mkfifo "$stick/token"
check "nothing is waited for" eval 'exits 2 timeout 20 "$root/usr/local/sbin/byoh-install" join --from "$stick" --root "$root" && says "token is no plain file" && as_before "$root"'
rm "$stick/token"
head -c 2000000 /dev/zero >"$stick/token"
check "a large one is no token" eval 'exits 2 tool join --from "$stick" && says "1 MiB" && as_before "$root"'
printf '%s\n\n' $fresh >"$stick/token"
head -c 2000000 /dev/zero >"$stick/a-film"
check "token: is taken" eval 'exits 0 tool join --from "$stick" && holds $boot $fresh && no_secret_in "$work/out" "$work/err" && exits 0 tool status'
check "token: is kept where only root looks" eval '[ "$(stat -c %a "$root/etc/byoh/join.kubeconfig")" = 600 ]'
stick
kubeconfig https://10.0.0.9:6443 "$work/new.crt" "token: $token" >"$stick/site.kubeconfig"
cp "$stick/site.kubeconfig" "$stick/bootstrap.conf"
before "$root"
check "kubeconfigs: two are none" eval 'exits 2 tool join --from "$stick" && says bootstrap.conf && says site.kubeconfig && as_before "$root"'
rm "$stick/bootstrap.conf"
check "kubeconfig: is taken" eval 'exits 0 tool join --from "$stick" && holds $boot 10.0.0.9 && holds $boot $token && cmp "$work/new.crt" "$root/etc/kubernetes/pki/ca.crt" && exits 0 tool status'

step "a folder with a byoh.yaml"
installed tlsBootstrap "$cluster"
before "$root"
stick
printf 'apiVersion: cluster.x-k8s.io/v1beta1\nkind: Cluster\n' >"$stick/byoh.yaml"
check "of another kind" eval 'exits 2 tool join --from "$stick" && says_one_sentence && says "$stick" && says apiVersion && as_before "$root"'
# bring SERVER CA [LINE]...
bring() {
	stick
	cp "$2" "$stick/ca.crt"
	echo $fresh >"$stick/secret"
	printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: tlsBootstrap}\ncluster: {server: "%s", ca: {file: ca.crt}, token: {file: secret}}\n' "$1" >"$stick/byoh.yaml"
	shift 2
	[ $# = 0 ] || printf '%s\n' "$@" >>"$stick/byoh.yaml"
}
bring https://10.6.6.6:6443 "$work/old.crt"
check "unsigned: another server is refused" refused "https://10.6.6.6:6443"
bring $server "$work/new.crt"
check "unsigned: another CA is refused" refused "another CA"
bring $server "$work/both.crt"
check "unsigned: more CAs are refused" refused "another CA"
bring https://10.6.6.6:6443 "$work/old.crt"
sign other
check "signed by a stranger: refused" refused "byoh.yaml.sig"
bring $server "$work/old.crt" 'node: {labels: {evil: "yes"}}'
check "unsigned: the token of this cluster is taken, and nothing else" eval 'exits 0 tool join --from "$stick" && says "only its token" && holds $boot $fresh &&
	! grep -rq evil "$root/etc/byoh" "$root/usr/local/lib/systemd/system" && exits 0 tool status'
bring https://10.0.0.7:6443 "$work/new.crt" 'node: {labels: {site: "seven"}}'
sign key
before "$root"
check "signed: a file that the signature does not cover is refused" refused "does not cover"
printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: tlsBootstrap}\nnode: {labels: {site: seven}}\ncluster: {server: "https://10.0.0.7:6443", ca: {data: %s}, token: {file: secret}}\n' \
	"$(base64 -w0 "$work/new.crt")" >"$stick/byoh.yaml"
sign key
check "signed by a pinned key: it becomes the configuration" eval 'exits 0 tool join --from "$stick" && holds $boot 10.0.0.7 && holds $boot $fresh && cmp "$stick/byoh.yaml" "$root/etc/byoh/byoh.yaml" &&
	holds usr/local/lib/systemd/system/kubelet.service site=seven && cmp "$work/new.crt" "$root/etc/kubernetes/pki/ca.crt" && [ ! -e "$root/etc/byoh/join.kubeconfig" ]'
check "and stays it" eval 'exits 0 tool status && exits 0 tool install && says "nothing to do"'
# By what is in them: other tests may have theirs there at the same time.
check "no copy stays elsewhere" eval '! grep -rlFs -e $fresh -e 10.0.0.7 /run/byoh-stick-* "${TMPDIR:-/tmp}"/byoh-stick-*'

step "a new CA in every file that holds the old one"
installed tlsBootstrap "$cluster"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/client.key" -out "$work/client.crt" -subj /CN=client -days 9 2>/dev/null
client="client-certificate-data: $(base64 -w0 "$work/client.crt"), client-key-data: $(base64 -w0 "$work/client.key")"
mkdir -p "$root/root/.byoh" "$root/etc/kubernetes/ssl" "$root/usr/local/share/ca-certificates" "$root/etc/containerd/certs.d/mine"
# others CA    what others have written, with that CA in it
others() {
	kubeconfig $server "$1" "$client" >"$2/etc/kubernetes/kubelet.conf"
	kubeconfig $server "$1" "$client" >"$2/root/.byoh/config"
	chmod 600 "$2/etc/kubernetes/kubelet.conf" "$2/root/.byoh/config"
	cat "$1" >"$2/etc/kubernetes/ssl/ca.pem"
	{ echo "# the system's"; cat "$work/client.crt" "$1"; } >"$2/etc/ssl/certs/ca-certificates.crt"
	cat "$1" >"$2/usr/local/share/ca-certificates/cluster.crt"
}
files=(etc/kubernetes/kubelet.conf root/.byoh/config etc/kubernetes/ssl/ca.pem etc/ssl/certs/ca-certificates.crt usr/local/share/ca-certificates/cluster.crt)
expect=$work/expect
mkdir -p "$expect"/{etc/kubernetes/ssl,root/.byoh,etc/ssl/certs,usr/local/share/ca-certificates}
others "$work/old.crt" "$root"
cp "$work/old.crt" "$root/etc/containerd/certs.d/mine/ca.crt"
cp "$root/etc/kubernetes/kubelet.conf" "$root/etc/kubernetes/kubelet.conf.bak"
as_expected() {
	local file
	for file in "${files[@]}"; do
		cmp "$expect/$file" "$root/$file" >>"$work/err" || return 1
	done
}
others "$work/both.crt" "$expect"
check "both: joins" eval 'exits 0 tool join --ca "$work/both.crt" && says "in 5 files of others"'
check "both: every file has them" as_expected
check "both: ours too" eval 'cmp "$work/both.crt" "$root/etc/kubernetes/pki/ca.crt" && holds $boot "$(base64 -w0 "$work/both.crt")" && exits 0 tool status'
check "both: modes stay" eval '[ "$(stat -c %a "$root/etc/kubernetes/kubelet.conf")" = 600 ] && [ "$(stat -c %a "$root/etc/ssl/certs/ca-certificates.crt")" = 644 ]'
before "$root"
check "both: again is nothing" eval 'exits 0 tool join --ca "$work/both.crt" && says "nothing to do" && as_before "$root"'
others "$work/new.crt" "$expect"
check "new: every file has it alone" eval 'exits 0 tool join --ca "$work/new.crt" && as_expected && exits 0 tool status'
check "registries and copies keep theirs" eval 'cmp "$work/old.crt" "$root/etc/containerd/certs.d/mine/ca.crt" && holds etc/kubernetes/kubelet.conf.bak "$(base64 -w0 "$work/old.crt")"'
check "a later run does not turn it back" eval 'exits 0 tool install && says "nothing to do" && as_expected'
others "$work/old.crt" "$root"
before "$root"
check "a CA that is none changes nothing" eval 'exits 2 tool join --ca "$work/client.key" && as_before "$root"'
others "$work/new.crt" "$root"
files=(etc/ssl/certs/ca-certificates.crt usr/local/share/ca-certificates/cluster.crt)
check "uninstall leaves the system's trust as it is" eval 'exits 0 tool uninstall --yes && as_expected'

step "a CA before any token"
installed tlsBootstrap "cluster: {server: \"$server\", ca: {data: $(base64 -w0 "$work/old.crt")}}"
check "is kept" eval 'exits 0 tool join --ca "$work/new.crt" && cmp "$work/new.crt" "$root/etc/kubernetes/pki/ca.crt" && exits 0 tool status && exits 0 tool install && says "nothing to do"'
check "until the token comes" eval 'exits 0 tool join --token-file "$work/fresh" && holds $boot $fresh && holds $boot "$(base64 -w0 "$work/new.crt")" && [ ! -e "$root/etc/byoh/join-ca.crt" ] && exits 0 tool status'

step "anew"
installed tlsBootstrap "$cluster"
before "$root"
kubeconfig $server "$work/old.crt" 'client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem' >"$root/etc/kubernetes/kubelet.conf"
mkdir -p "$root/var/lib/kubelet/pki"
cat "$work/client.crt" "$work/client.key" >"$root/var/lib/kubelet/pki/kubelet-client-1.pem"
ln -s /var/lib/kubelet/pki/kubelet-client-1.pem "$root/var/lib/kubelet/pki/kubelet-client-current.pem"
check "kubelet: has joined" eval 'exits 0 tool status --json && jq -e ".node == \"joined\"" "$work/out" >/dev/null'
cp "$root/etc/kubernetes/kubelet.conf" "$work/kubelet.conf"
check "kubelet: its credentials are put aside" eval 'exits 0 tool join --again --token-file "$work/fresh" && cmp "$work/kubelet.conf" "$root/etc/kubernetes/kubelet.conf.byoh-saved" && [ ! -e "$root/etc/kubernetes/kubelet.conf" ] &&
	[ ! -L "$root/var/lib/kubelet/pki/kubelet-client-current.pem" ] && [ -s "$root/var/lib/kubelet/pki/kubelet-client-1.pem" ] && holds $boot $fresh'
check "kubelet: and it is to join again" eval 'exits 0 tool status --json && jq -e ".node == \"joining\"" "$work/out" >/dev/null'
kubeconfig $server "$work/old.crt" 'client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem' >"$root/etc/kubernetes/kubelet.conf"
check "kubelet: one that asks has not joined" eval 'exits 0 tool status --json && jq -e ".node == \"joining\"" "$work/out" >/dev/null'
echo '{' >"$root/etc/kubernetes/kubelet.conf"
ln -s /var/lib/kubelet/pki/kubelet-client-1.pem "$root/var/lib/kubelet/pki/kubelet-client-current.pem"
check "kubelet: a damaged kubeconfig goes aside the same way, as doctor says" eval 'exits 7 tool doctor && prints "byoh-install join --again --token-file FILE" &&
	exits 0 tool join --again --token-file "$work/fresh" && [ ! -e "$root/etc/kubernetes/kubelet.conf" ] && [ ! -L "$root/var/lib/kubelet/pki/kubelet-client-current.pem" ]'
installed tlsBootstrap
before "$root"
check "without a token there is nothing to ask with" eval 'exits 2 tool join --again && says "no token" && as_before "$root"'
installed agent "$cluster"
# agent SERVER CA    its kubeconfig
agent() { kubeconfig "$1" "$2" "$client" >"$root/root/.byoh/config"; }
agent $server "$work/old.crt"
said() { exits 0 tool status --json && { jq -e "$1" "$work/out" >/dev/null || { jq -c . "$work/out" >>"$work/err"; return 1; }; }; }
check "agent: a good kubeconfig" eval 'said ".agentConfig == \"good\" and .agent == \"registered\"" && exits 0 tool status && prints "agent: is registered"'
agent https://10.0.0.2:6443 "$work/old.crt"
check "agent: of another server" eval 'said ".agentConfig == \"otherServer\"" && exits 0 tool status && prints "10.0.0.2" && prints "join --again" && ! prints "is registered"'
agent $server "$work/new.crt"
check "agent: of another CA" eval 'said ".agentConfig == \"otherCA\"" && exits 0 tool status && prints "another CA"'
cp "$root/root/.byoh/config" "$work/agent"
check "agent: it is put aside" eval 'exits 0 tool join --again && cmp "$work/agent" "$root/root/.byoh/config.byoh-saved" && [ ! -e "$root/root/.byoh/config" ] && said ".agentConfig == null"'

step "certificates"
installed tlsBootstrap "$cluster"
# certificate FILE BEGIN END    with its key
certificate() {
	faketime=$(printf '[ca]\ndefault_ca = one\n[one]\nnew_certs_dir = %s/made\ndatabase = %s/made/index\nrand_serial = yes\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = optional\n' "$work" "$work")
	mkdir -p "$work/made"
	: >"$work/made/index"
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/made/key" -out "$work/made/csr" -subj /CN=x 2>/dev/null
	openssl ca -batch -notext -config <(echo "$faketime") -selfsign -keyfile "$work/made/key" -in "$work/made/csr" -out "$work/made/crt" -startdate "$2" -enddate "$3" 2>/dev/null
	cat "$work/made/crt" "$work/made/key" >"$1"
}
day() { date -u -d "$1 days" +%Y%m%d000000Z; }
mkdir -p "$root/var/lib/kubelet/pki"
pki=$root/var/lib/kubelet/pki
certificate "$pki/kubelet-client-current.pem" "$(day -300)" "$(day +20)"
certificate "$pki/kubelet-server-current.pem" "$(day +5)" "$(day +20)"
certificate "$work/proxy.pem" "$(day -20)" "$(day -5)"
kubeconfig $server "$work/old.crt" "client-certificate-data: $(base64 -w0 "$work/proxy.pem")" >"$root/etc/kubernetes/kube-proxy.kubeconfig"
of() { said "[.certificates[] | select(.name == \"$1\")] | length == 1 and .[0].state == \"$2\""; }
check "about to end" of kubelet expiresSoon
check "not begun" of kubeletServing notYetValid
check "ended" of kubeProxy expired
check "the CA" of ca valid
check "in words" eval 'exits 0 tool status && prints "should have been renewed" && prints "kube-proxy'\''s expired at" && prints "clock right" && prints "the CA'\''s is valid until"'
certificate "$pki/kubelet-client-current.pem" "$(day -10)" "$(day +90)"
check "a short one is valid as long as a fifth is left" of kubelet valid
echo rubbish >"$pki/kubelet-client-current.pem"
check "one that is none" of kubelet unreadable

step "a volume"
link='etc/systemd/system/dev-disk-by\x2dlabel-BYOHCFG.device.wants/byoh-join-volume.service'
check "none is waited for" eval '[ ! -L "$root/$link" ]'
volume=1 installed tlsBootstrap "$cluster"
check "with join.volume a unit hangs on its device" eval '[ "$(readlink "$root/$link")" = /usr/local/lib/systemd/system/byoh-join-volume.service ] && holds usr/local/lib/systemd/system/byoh-join-volume.service "join --volume" && exits 0 tool status'
volume=
config tlsBootstrap "$cluster"
check "and without it goes" eval 'exits 0 tool install --config "$work/config/byoh.yaml" && [ ! -L "$root/$link" ] && [ ! -e "$root/usr/local/lib/systemd/system/byoh-join-volume.service" ]'

step "a terminal"
if "${CC:-gcc}" -O1 -D_GNU_SOURCE -o "$work/terminal" "$here/terminal.c" && "$work/terminal" x y true >/dev/null 2>&1; then
	installed tlsBootstrap "$cluster"
	# typed TEXT    into `join`
	typed() { timeout 120 "$work/terminal" "Token" "$1" "$root/usr/local/sbin/byoh-install" join --root "$root" >"$work/out" 2>"$work/err" </dev/null; }
	check "the token is asked for, and does not show" eval 'typed "$fresh"$'\''\n'\'' && prints "Token" && prints "echo on" && ! prints "$fresh" && holds $boot "$fresh"'
	before "$root"
	check "nothing typed changes nothing" eval '! typed $'\''\n'\'' && prints "no token was given" && prints "echo on" && as_before "$root"'
	check "Ctrl-C changes nothing and leaves the echo on" eval '! typed $'\''gh\003'\'' && prints "interrupted" && prints "echo on" && as_before "$root"'
else
	skip "a terminal" "no pseudo-terminal can be had here"
fi

exit "$failed"
