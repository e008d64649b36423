#!/bin/bash
# What is damaged, hostile, unsigned or misconfigured is refused with its exit code and one sentence, and leaves
# nothing behind; so does a disk that is too small.
# shellcheck disable=SC2016,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "bundles"
make_keys key
make_keys other
plain_spec "$work/plain"
build_bundle "$work/plain" key "$work/plain.bundle"
build_bundle "$work/plain" key "$work/plain.run"
size=$(stat -c %s "$work/plain.bundle")
offset=$(($(stat -c %s "$work/plain.run") - size))
manifest_size=$(od -An -tu8 -j24 -N8 "$work/plain.bundle" | tr -d ' ')

root=$work/root
make_host "$root"
before "$root"

# refused CODE COMMAND...    with one sentence, and the host is as before
refused() {
	exits "$@" && says_one_sentence && as_before "$root"
}

# take FILE    the bundle that is tried next
take() {
	rm -f "$work/bad"
	cp --reflink=auto "$1" "$work/bad"
}

# flipped FILE AT    a copy of it in $work/bad with one bit of a byte changed
flipped() {
	local byte
	take "$1"
	byte=$(od -An -tu1 -j"$2" -N1 "$1" | tr -d ' ')
	printf '%b' "\\x$(printf %02x $((byte ^ 4)))" | dd of="$work/bad" bs=1 seek="$2" conv=notrunc status=none
}

cut_to() {
	take "$1"
	truncate -s "$2" "$work/bad"
}

# Both ways in: the file itself, and the tool that is on the host already.
run_it() { "$work/bad" install --root "$root" --quiet --yes; }
from_it() { "$BYOH_INSTALL" install --from "$work/bad" --key "$work/key/public.pem" --root "$root" --quiet --yes; }

step "damage"
declare -A places=([payload]=$((size - 100000)) [last]=$((size - 1)) [manifest]=4700 [signature]=$((512 + 16 + 50))
	[key]=$((512 + 16 + 10)) [padding]=4000 [index]=$((4624 + manifest_size + 120)) [version]=16 [flags]=20 [length]=40)
for place in "${!places[@]}"; do
	flipped "$work/plain.bundle" "${places[$place]}"
	check "a flipped byte in a .bundle: $place" refused 3 from_it
	check "a flipped byte in a .bundle: $place: the publisher's verify" exits 3 "$BYOH_BUNDLE" verify "$work/bad"
	flipped "$work/plain.run" $((offset + places[$place]))
	check "a flipped byte in a .run: $place" refused 3 run_it
	check "a flipped byte in a .run: $place: verify" exits 3 "$BYOH_INSTALL" verify "$work/bad" --key "$work/key/public.pem"
done
flipped "$work/plain.bundle" 16
check "an unknown version is named" eval 'refused 3 from_it && says "format version 5"'
flipped "$work/plain.bundle" "${places[payload]}"
check "a damaged block says what to do" eval 'refused 3 from_it && says "copy the file again"'
flipped "$work/plain.run" $((offset - 100))
check "bytes between executable and bundle" eval 'exits 3 "$BYOH_INSTALL" verify "$work/bad" --key "$work/key/public.pem"'
for left in 0 3 100 511 4000 5000 100000 $((size - 1)); do
	cut_to "$work/plain.bundle" "$left"
	check "a .bundle cut to $left bytes" refused 3 from_it
done
for left in $((offset + 100)) $((offset + 5000)) $((offset + size / 2)) $((offset + size - 1)); do
	cut_to "$work/plain.run" "$left"
	check "a .run cut to $left bytes" refused 3 run_it
done
take "$work/plain.bundle"
printf x >>"$work/bad"
check "a byte behind the end" refused 3 from_it
take /etc/passwd
check "a text file" refused 3 from_it
take /bin/true
check "some other program" refused 3 from_it
check "the bare installer says what it lacks" eval 'exits 2 "$BYOH_INSTALL" install --root "$root" --quiet && as_before "$root" && says "--from"'

step "trust"
from_plain() { "$BYOH_INSTALL" install --from "$work/plain.bundle" --root "$root" --quiet "$@"; }
check "a bundle given with --from, and no key to trust" refused 3 from_plain
check "another key" refused 3 from_plain --key "$work/other/public.pem"
check "a key that is none" refused 2 from_plain --key "$work/plain.bundle"
mkdir -p "$root/etc/byoh/keys.d"
cp "$work/other/public.pem" "$root/etc/byoh/keys.d/other.pem"
before "$root"
take "$work/plain.run"
check "a .run on a host that has pinned another key" refused 3 run_it
mkdir -p "$root/etc/byoh/revoked.d"
cp "$work/key/public.pem" "$root/etc/byoh/revoked.d/"
before "$root"
check "a revoked key, even where it is named" refused 3 from_plain --key "$work/key/public.pem"
rm -r "$root/etc/byoh/revoked.d" "$root/etc/byoh/keys.d"
printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\npolicy: {threshold: 2}\n' >"$root/etc/byoh/byoh.yaml"
before "$root"
check "one signature where the host wants two" refused 3 from_plain --key "$work/key/public.pem"
rm -r "$root/etc/byoh"
before "$root"

step "hostile bundles"
hostile_from() { "$BYOH_INSTALL" install --from "$work/bad" --key "$work/key/public.pem" --root "$root" --quiet; }
for name in $("$BYOH_HOSTILE" --list); do
	"$BYOH_HOSTILE" "$work/key/private.pem" "$name" "$work/bad"
	[ "$name" != good ] || continue
	check "hostile: $name" refused 3 hostile_from
	check "hostile: $name: extract leaves nothing" \
		eval 'exits 3 "$BYOH_INSTALL" extract "$work/extracted" --from "$work/bad" --key "$work/key/public.pem" --quiet &&
			[ ! -e "$work/extracted" ]'
done
flipped "$work/plain.bundle" "${places[payload]}"
check "extract of a damaged bundle leaves nothing" \
	eval 'exits 3 "$BYOH_INSTALL" extract "$work/extracted" --from "$work/bad" --key "$work/key/public.pem" --quiet &&
		[ ! -e "$work/extracted" ]'
"$BYOH_HOSTILE" "$work/key/private.pem" good "$work/bad"
check "the same maker's good bundle is installed" eval 'exits 0 hostile_from && [ -f "$root/a/g" ] && [ "$(readlink "$root/a/l")" = f ]'
rm -rf "$root"
make_host "$root"
before "$root"

step "configurations"
node_spec "$work/node"
build_bundle "$work/node" key "$work/node.run"
make_ca
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/leaf.key" -out "$work/leaf.crt" \
	-subj /CN=leaf -days 3650 -addext basicConstraints=critical,CA:FALSE 2>/dev/null
mkdir "$work/config"
cp "$work/ca.crt" "$work/leaf.crt" "$work/ca.key" "$work/config/"
echo abcdef.0123456789abcdef >"$work/config/token"
echo some-opaque-token-of-31-characters >"$work/config/opaque"
printf 'two words\n' >"$work/config/words"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/admin.key" -out "$work/admin.crt" \
	-subj /O=system:masters/CN=kubernetes-admin -days 3650 2>/dev/null
ca64=$(base64 -w0 "$work/ca.crt")
cat >"$work/config/admin.conf" <<END
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: $ca64}}]
users: [{name: kubernetes-admin, user: {client-certificate-data: $(base64 -w0 "$work/admin.crt"),
  client-key-data: $(base64 -w0 "$work/admin.key")}}]
contexts: [{name: x, context: {cluster: c, user: kubernetes-admin}}]
current-context: x
END

# config: the text of byoh.yaml on stdin, behind its first two lines
config() {
	printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\n' >"$work/config/byoh.yaml"
	cat >>"$work/config/byoh.yaml"
}
with_config() { "$work/node.run" install --config "$work/config/byoh.yaml" --root "$root" --quiet; }

# wrong NAME LINE WORD    the config on stdin is refused at that line, WORD is said, and no secret
wrong() {
	config
	check "config: $1" wrongly "$2" "$3"
}
wrongly() { refused 2 with_config && says "byoh.yaml:$1:" && says "$2" && says_no_secret; }
says_no_secret() {
	! grep -qF -e abcdef.0123456789abcdef -e some-opaque-token -e 'two words' -e "$(sed -n 2p "$work/ca.key")" "$work/err"
}
wrong "an unknown key" 3 sever <<<'cluster: {sever: "https://10.0.0.1:6443"}'
wrong "an unknown section" 3 klusters <<<'klusters: {}'
wrong "a key given twice" 4 twice <<<$'join: {mode: none}\njoin: {mode: agent}'
wrong "no YAML" 4 '' <<<'cluster: {'
wrong "an alias" 3 anchors <<<$'host: {hostname: &a node1}\ncluster: {name: *a}'
wrong "an unknown mode" 3 tlsBootstrap <<<'join: {mode: kubeadmin}'
wrong "node in agent mode" 4 'agent' <<<$'join: {mode: agent}\nnode: {labels: {a: b}}'
wrong "agent in tlsBootstrap mode" 4 'tlsBootstrap' <<<$'join: {mode: tlsBootstrap}\nagent: {namespace: x}'
wrong "a token in mode none" 4 none <<<$'join: {mode: none}\ncluster: {token: {file: token}}'
wrong "an opaque token in agent mode" 3 'kubeadm token create' \
	<<<'cluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: opaque}}'
wrong "a token with spaces in tlsBootstrap mode" 4 '' \
	<<<$'join: {mode: tlsBootstrap}\ncluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: words}}'
wrong "a token without a CA" 3 ca \
	<<<'cluster: {server: "https://10.0.0.1:6443", token: {file: token}}'
wrong "a certificate that is no CA" 3 'pki/ca.crt' \
	<<<'cluster: {server: "https://10.0.0.1:6443", ca: {file: leaf.crt}, token: {file: token}}'
wrong "a CA that is no certificate" 3 'BEGIN CERTIFICATE' \
	<<<'cluster: {server: "https://10.0.0.1:6443", ca: {file: token}, token: {file: token}}'
wrong "a private key as CA" 3 'private key' \
	<<<'cluster: {server: "https://10.0.0.1:6443", ca: {file: ca.key}, token: {file: token}}'
wrong "a CA file that is not there" 3 'nowhere.crt' \
	<<<'cluster: {server: "https://10.0.0.1:6443", ca: {file: nowhere.crt}, token: {file: token}}'
wrong "an admin kubeconfig" 3 'an admin kubeconfig in place of' <<<'cluster: {kubeconfig: {file: admin.conf}}'
wrong "a server without its port" 3 'PORT' <<<'cluster: {server: "https://10.0.0.1", ca: {file: ca.crt}}'
wrong "a server without TLS" 3 'https' <<<'cluster: {server: "http://10.0.0.1:6443", ca: {file: ca.crt}}'
wrong "a label that the kubelet refuses" 4 'node-role' \
	<<<$'join: {mode: tlsBootstrap}\nnode: {labels: {"node-role.kubernetes.io/worker": ""}}'
wrong "networks that overlap" 3 '' <<<'cluster: {podCIDR: 10.96.0.0/16, serviceCIDR: 10.96.0.0/12}'
printf 'apiVersion: byoh-install/v9\nkind: InstallConfig\n' >"$work/config/byoh.yaml"
check "config: another version" eval 'refused 2 with_config && says "byoh.yaml:1:"'
: >"$work/config/byoh.yaml"
check "config: an empty file" refused 2 with_config
head -c 3000 /dev/urandom >"$work/config/byoh.yaml"
check "config: noise" refused 2 with_config
rm "$work/config/byoh.yaml"
check "config: a file that is not there" eval 'exits 2 with_config && says "config/byoh.yaml" && as_before "$root"'
config <<<$'join: {mode: tlsBootstrap}\ncluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: opaque}}'
check "config: an opaque token is fine in tlsBootstrap mode" \
	eval 'exits 0 "$work/node.run" plan --config "$work/config/byoh.yaml" --root "$root" --json'
check "the command line: an unknown verb, option, and a value that is missing" \
	eval 'exits 2 "$BYOH_INSTALL" instal && exits 2 "$BYOH_INSTALL" install --rooot x && exits 2 "$BYOH_INSTALL" install --root &&
		exits 2 "$BYOH_INSTALL" status --from x && exits 2 "$BYOH_INSTALL" install too-much && exits 2 "$BYOH_INSTALL" extract'
check "a root that is not there" eval 'exits 2 "$work/plain.run" install --root "$work/nowhere" && [ ! -e "$work/nowhere" ]'

step "a signed configuration"
# The recipe itself, out of the document: what it says is what is run.
recipe=$(awk '/^## Sign a configuration/ { on = 1; next } on && /^    / { print substr($0, 5); found = 1; next } found { exit }' \
	"$here/../../docs/publish-a-bundle.md")
# sign KEYS    as the document tells, with the keys of that name
sign() {
	rm -f "$work/config/keys"
	ln -s "$work/$1" "$work/config/keys"
	(cd "$work/config" && bash -eu <<<"$recipe") 2>>"$work/err"
}
plan_it() { "$work/node.run" plan --config "$work/config/byoh.yaml" --root "$root" --json; }
config <<<$'join: {mode: none}\npolicy: {requireConfigSignature: true}'
check "without its signature" eval 'exits 3 plan_it && says "byoh.yaml.sig is missing"'
check "with it" eval 'sign key && exits 0 plan_it'
check "by a key that is not trusted" eval 'sign other && exits 3 plan_it && says byoh.yaml.sig'
openssl pkeyutl -sign -rawin -inkey "$work/key/private.pem" -in "$work/config/byoh.yaml" \
	-out "$work/config/byoh.yaml.sig"
check "over the file without the words in front" eval 'exits 3 plan_it && says byoh.yaml.sig'
sign key
echo '# changed' >>"$work/config/byoh.yaml"
check "over another configuration" eval 'exits 3 plan_it && says byoh.yaml.sig'
rm "$work/config/byoh.yaml.sig"

step "full disks"
# on_disk OPTIONS    a host on a small file system of its own at $work/disk
on_disk() {
	umount "$work/disk" 2>/dev/null || true
	mkdir -p "$work/disk"
	mount -t tmpfs -o "$1" tmpfs "$work/disk" 2>"$work/err" || return 1
	mounts=("$work/disk")
	make_host "$work/disk"
	before "$work/disk"
}
install_on_disk() { "$work/plain.run" install --root "$work/disk" --quiet "$@"; }
# full CODE COMMAND...
full() { exits "$@" && as_before "$work/disk"; }
if on_disk size=5m; then
	check "too little space is seen before anything is changed" full 4 install_on_disk
	ids=$(sed -n 's/^ *fail *\([a-z-]*\) .*/\1/p' "$work/err" | paste -sd,)
	check "it says which check, and what to do" eval '[ -n "$ids" ] && says "->"'
	check "a disk that is full while unpacking" eval 'full 1 install_on_disk --ignore-preflight-errors "$ids" && says "as before"'
	# Every count of inodes from none to enough: a full disk at each of the changes.
	tried=0 code=1
	while [ "$code" = 1 ] && [ "$tried" -lt 200 ]; do
		tried=$((tried + 1))
		on_disk "size=30m,nr_inodes=$((tried + 9))" || break
		code=0
		install_on_disk --ignore-preflight-errors "$ids,inodes" >"$work/out" 2>"$work/err" || code=$?
		[ "$code" = 0 ] || as_before "$work/disk" || code=different
	done
	check "and full at each of its $tried files" eval '[ "$code" = 0 ] && [ "$tried" -gt 10 ]'
	tried=0 code=1
	while [ "$code" = 1 ] && [ "$tried" -lt 60 ]; do
		tried=$((tried + 1))
		on_disk "size=$((tried * 300))k" || break
		code=0
		install_on_disk --ignore-preflight-errors "$ids" >"$work/out" 2>"$work/err" || code=$?
		[ "$code" = 0 ] || as_before "$work/disk" || code=different
	done
	check "and full at $tried sizes" eval '[ "$code" = 0 ] && [ "$tried" -gt 10 ]'
	umount "$work/disk"
else
	skip "full disks" "no file system can be mounted here: $(tail -n 1 "$work/err")"
fi

exit "$failed"
