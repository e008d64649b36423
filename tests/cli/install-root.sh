#!/bin/bash
# Installing below --root in the join modes: what stands there, that a second run changes nothing, plans, drift,
# join, secrets, exit codes, interrupts.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "bundles"
make_keys key
plain_spec "$work/plain"
build_bundle "$work/plain" key "$work/plain.run"
node_spec "$work/node"
build_bundle "$work/node" key "$work/node.run"
id=$(cat "$work/id")
make_ca
token=abcdef.0123456789abcdef
fresh=ghijkl.fedcba9876543210
mkdir "$work/config"
cp "$work/ca.crt" "$work/config/"
echo $token >"$work/config/token"
echo $fresh >"$work/fresh"
cluster='cluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: token}}'

# config MODE [LINE]...
config() {
	printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: %s}\n' "$1" >"$work/config/byoh.yaml"
	shift
	[ $# = 0 ] || printf '%s\n' "$@" >>"$work/config/byoh.yaml"
}

# fresh_host    an untouched one at $root
fresh_host() {
	root=$work/root
	rm -rf "$root"
	make_host "$root"
	before "$root"
}
install_node() { "$work/node.run" install --config "$work/config/byoh.yaml" --root "$root" "$@"; }
# The tool that stayed on the host.
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
mode_of() { stat -c %a "$root/$1"; }
has_mode() {
	local expected=$1 path
	shift
	for path; do
		[ "$(mode_of "$path")" = "$expected" ] || { echo "$path has mode $(mode_of "$path")" >>"$work/err"; return 1; }
	done
}
holds() { grep -qF -- "$2" "$root/$1"; }
# no_secret_in FILE...
no_secret_in() { ! grep -rlF -e "$token" -e "$fresh" "$@" >>"$work/err"; }
# No colour, no bar, no question.
is_plain() { ! grep -q $'[\r\033\a]' "$work/err" "$work/out" && ! grep -qi '\[y/n\]' "$work/err"; }

step "a bundle of files"
fresh_host
check "plain: installs" exits 0 "$work/plain.run" install --root "$root"
check "plain: says what it does, plainly" eval 'is_plain && says "plain 1.0" && says "done:" && [ ! -s "$work/out" ]'
check "plain: contents" eval 'cmp "$work/plain/data" "$root/opt/plain/data" && [ -f "$root/opt/plain/empty" ] && [ ! -s "$root/opt/plain/empty" ]'
check "plain: modes" eval 'has_mode 640 opt/plain/greeting && has_mode 600 opt/plain/empty && has_mode 755 opt/plain/data'
check "plain: nothing of a node" eval '[ ! -e "$root/etc/containerd" ] && [ ! -e "$root/etc/kubernetes" ] && [ ! -e "$root/etc/sysctl.d" ] &&
	[ ! -e "$root/var/lib/kubelet" ] && holds etc/fstab "/dev/vda2 none swap"'
check "plain: our own folders are closed" has_mode 700 etc/byoh var/lib/byoh var/log/byoh
check "plain: staging is gone" eval '[ ! -e "$root/var/lib/byoh/staging" ] && [ ! -e "$root/var/lib/byoh/lock" ]'
check "plain: status" eval 'exits 0 tool status && prints "plain 1.0" && prints "no drift"'
check "plain: verify --installed" eval 'exits 0 tool verify --installed && prints "no drift"'
before "$root"
check "plain: a second run has nothing to do" eval 'exits 0 "$work/plain.run" install --root "$root" && says "nothing to do" && as_before "$root"'
check "plain: the bare name installs too" eval 'exits 0 "$work/plain.run" --root "$root" && says "nothing to do"'
check "plain: --quiet is quiet" eval 'exits 0 "$work/plain.run" install --root "$root" --quiet && [ ! -s "$work/err" ] && [ ! -s "$work/out" ]'
check "plain: the key is pinned" eval 'cmp "$work/key/public.pem" "$root"/etc/byoh/keys.d/*.pem'
check "plain: the kept bundle is the bundle" \
	exits 0 "$BYOH_BUNDLE" verify "$root/var/lib/byoh/releases/$(jq -r .release <"$root/var/lib/byoh/state.json")/bundle"

step "epochs"
sed -i 's/^epoch: 1/epoch: 3/; s/^version: "1.0"/version: "2.0"/' "$work/plain/bundle.yaml"
printf 'hello again\n' >"$work/plain/greeting"
sed -i "s/greeting, sha256: [0-9a-f]*/greeting, sha256: $(sha256sum <"$work/plain/greeting" | cut -c1-64)/" "$work/plain/bundle.yaml"
build_bundle "$work/plain" key "$work/newer.run"
check "a newer release replaces the older" eval 'exits 0 "$work/newer.run" install --root "$root" && holds opt/plain/greeting again'
check "its status" eval 'exits 0 tool status --json && [ "$(jq -r .version "$work/out")" = 2.0 ]'
before "$root"
check "a release below the floor is refused" \
	eval 'exits 3 "$work/plain.run" install --root "$root" --quiet && says_one_sentence && says epoch && as_before "$root"'

step "mode none"
fresh_host
config none
plan_node() { "$work/node.run" plan --config "$work/config/byoh.yaml" --root "$root" "$@"; }
check "plan touches nothing" eval 'exits 0 plan_node && prints "Switch swap off" && as_before "$root"'
exits 0 plan_node --json || true
check "plan --json is JSON" eval 'jq -e ".format == \"byoh-plan/v1\" and (.steps | length) > 5" "$work/out" >/dev/null && as_before "$root"'
cp "$work/out" "$work/plan.json"
config none 'host: {hostname: other}'
check "a plan for another config is refused" eval 'exits 4 install_node --plan "$work/plan.json" && as_before "$root" && says plan.json'
config none
echo '# a line' >>"$root/etc/fstab"
before "$root"
check "a plan for another state of the host is refused" eval 'exits 4 install_node --plan "$work/plan.json" && as_before "$root"'
fresh_host
check "a plan for this very host is carried out" exits 0 install_node --plan "$work/plan.json"
check "none: says where the rest happens" eval 'says "first boot" && is_plain'
check "none: files of the release" eval 'cmp "$work/node/kubelet" "$root/usr/local/bin/kubelet" && cmp "$work/node/bridge" "$root/opt/cni/bin/bridge"'
check "none: modes" eval 'has_mode 755 usr/local/bin/kubelet usr/local/sbin/byoh-install && has_mode 600 etc/byoh/byoh.yaml var/lib/byoh/state.json'
check "none: containerd's configuration" eval 'holds etc/containerd/config.toml "version = 3" && holds etc/containerd/config.toml registry.k8s.io/pause:3.10 &&
	holds etc/containerd/config.toml "SystemdCgroup = true"'
check "none: kernel" eval 'holds etc/sysctl.d/99-zz-byoh.conf net.ipv4.ip_forward && holds etc/modules-load.d/byoh.conf br_netfilter'
check "none: swap is off for good" eval 'holds etc/fstab "#byoh# /dev/vda2 none swap" && holds etc/fstab "/dev/vda1 / ext4"'
check "none: units and their enablement" eval '[ -L "$root/etc/systemd/system/multi-user.target.wants/containerd.service" ] &&
	[ ! -e "$root/etc/systemd/system/multi-user.target.wants/kubelet.service" ]'
check "none: joins nothing" eval '[ ! -e "$root/etc/kubernetes/bootstrap-kubeconfig" ] && [ ! -e "$root/etc/byoh/bootstrap-kubeconfig.conf" ]'
check "none: images wait for the first boot" eval '[ "$(find "$root/var/lib/byoh/images" -type f | wc -l)" = 3 ] && [ -e "$root/var/lib/byoh/unsettled" ]'
check "none: the blobs are what they are called" \
	eval '(cd "$root/var/lib/byoh/images/blobs/sha256" && sha256sum -- * | awk "\$1 != \$2 { bad = 1 } END { exit bad }")'
before "$root"
check "none: a second run has nothing to do" eval 'exits 0 install_node && says "nothing to do" && as_before "$root"'
check "none: and without naming the config" eval 'exits 0 tool install && says "nothing to do" && as_before "$root"'
check "none: --json tells the same" eval 'exits 0 install_node --json && jq -e ".result == \"unchanged\" and .join == \"none\" and .id == \"$id\"" "$work/out" >/dev/null'
check "none: join has nothing to join" exits 2 tool join --token-file "$work/fresh"

step "drift"
check "status of what is in order" eval 'exits 0 tool status --json && jq -e ".installed and .drift == [] and .joinMode == \"none\"" "$work/out" >/dev/null'
echo 'runtime-endpoint: unix:///elsewhere' >"$root/etc/crictl.yaml"
check "a changed file is drift" eval 'exits 7 tool status && prints /etc/crictl.yaml'
check "and in JSON" eval 'exits 7 tool status --json && jq -e ".drift | length == 1 and .[0].subject == \"/etc/crictl.yaml\"" "$work/out" >/dev/null'
check "and for verify --installed" exits 7 tool verify --installed
rm "$root/usr/local/bin/runc"
check "a lost file is drift" eval 'exits 7 tool status && prints "/usr/local/bin/runc is missing"'
chmod 777 "$root/usr/local/bin/kubelet"
check "another mode is drift" eval 'exits 7 tool status && prints /usr/local/bin/kubelet'
printf x >>"$root/usr/local/bin/kubeadm"
check "installing again mends it" eval 'exits 0 install_node && exits 0 tool status && cmp "$work/node/kubeadm" "$root/usr/local/bin/kubeadm" &&
	has_mode 755 usr/local/bin/kubelet usr/local/bin/runc'
check "a bare host has no release" eval 'fresh_host && exits 0 "$BYOH_INSTALL" status --root "$root" && prints "no release" && as_before "$root"'

step "mode tlsBootstrap"
fresh_host
config tlsBootstrap "$cluster" 'node: {labels: {site: lab}}'
check "tlsBootstrap: installs" exits 0 install_node --verbose
check "tlsBootstrap: no secret is printed" eval 'no_secret_in "$work/out" "$work/err"'
boot=etc/kubernetes/bootstrap-kubeconfig
check "tlsBootstrap: bootstrap kubeconfig" eval 'holds $boot "$token" && holds $boot https://10.0.0.1:6443 && has_mode 600 $boot etc/byoh/token'
check "tlsBootstrap: CA" cmp "$work/ca.crt" "$root/etc/kubernetes/pki/ca.crt"
check "tlsBootstrap: the kubelet starts at boot" eval '[ -L "$root/etc/systemd/system/multi-user.target.wants/kubelet.service" ] && holds usr/local/lib/systemd/system/kubelet.service site=lab'
# Where a token may lie: the operator's file, what needs it, and before-images, which only root can reach.
elsewhere() { grep -rlF -e "$token" -e "$fresh" "$root" | grep -vE "/etc/byoh/(token|join.kubeconfig|bootstrap-kubeconfig.conf)$|/$boot$|/var/lib/byoh/(before|config)/" >"$work/out"; }
check "tlsBootstrap: the token lies nowhere else" eval '! elsewhere'
before "$root"
check "tlsBootstrap: a second run has nothing to do" eval 'exits 0 install_node && says "nothing to do" && as_before "$root"'
check "tlsBootstrap: status" exits 0 tool status
check "tlsBootstrap: plans hold no secret" eval 'exits 0 tool plan --json && no_secret_in "$work/out" && exits 0 tool plan --verbose && no_secret_in "$work/out" "$work/err"'
printf 'two words\n' >"$work/words"
printf '%s\0more\n' "$fresh" >"$work/zero"
: >"$work/empty"
for form in words zero empty nowhere; do
	check "join: no token but $form" eval '! tool join --token-file "$work/$form" >"$work/out" 2>"$work/err" </dev/null && as_before "$root" && no_secret_in "$work/err"'
done
check "join: without anything" eval 'exits 2 tool join && says "--token-file" && as_before "$root"'
check "join: a fresh token" eval 'exits 0 tool join --token-file "$work/fresh" && no_secret_in "$work/out" "$work/err" && holds $boot "$fresh" && ! holds $boot "$token" && has_mode 600 $boot'
check "join: the operator's config stays" eval 'cmp "$work/config/byoh.yaml" "$root/etc/byoh/byoh.yaml"'
check "join: is no drift" exits 0 tool status
check "join: the fresh token lies nowhere else" eval '! elsewhere'
before "$root"
check "join: the same again has nothing to do" eval 'exits 0 tool join --token-file "$work/fresh" && as_before "$root"'
check "join: a later install keeps it" eval 'exits 0 tool install && says "nothing to do" && as_before "$root"'
check "join: from standard input" eval 'echo $token | tool join --token-file - >"$work/out" 2>"$work/err" && holds $boot "$token"'
find "$root/var/lib/byoh/before" -type f ! -perm 600 ! -perm 644 >"$work/out" 2>"$work/err" || true
check "before-images: nobody but root gets there" eval '[ ! -s "$work/out" ] && has_mode 700 var/lib/byoh'

step "bound later"
fresh_host
config tlsBootstrap
check "later: installs without a cluster" eval 'exits 0 install_node --json && jq -e ".join == \"pending\" and .atBoot" "$work/out" >/dev/null'
check "later: waits" eval '[ ! -e "$root/$boot" ]'
cat >"$work/bootstrap.conf" <<END
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://10.0.0.9:6443", certificate-authority-data: $(base64 -w0 "$work/ca.crt")}}]
users: [{name: u, user: {token: $fresh}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
END
before "$root"
check "later: a token alone has no server to go to" eval 'exits 2 tool join --token-file "$work/fresh" && as_before "$root"'
check "later: a kubeconfig binds it" eval 'exits 0 tool join --kubeconfig "$work/bootstrap.conf" && holds $boot 10.0.0.9 && holds $boot "$fresh"'
check "later: with its CA" cmp "$work/ca.crt" "$root/etc/kubernetes/pki/ca.crt"
check "later: status" exits 0 tool status

step "mode agent"
fresh_host
config agent "$cluster" 'agent: {namespace: hosts, hostLabels: {site: lab}}'
check "agent: installs" exits 0 install_node --verbose
check "agent: no secret is printed" eval 'no_secret_in "$work/out" "$work/err"'
check "agent: bootstrap kubeconfig" eval 'holds etc/byoh/bootstrap-kubeconfig.conf "$token" && has_mode 600 etc/byoh/bootstrap-kubeconfig.conf etc/byoh/token'
check "agent: its unit" eval 'holds usr/local/lib/systemd/system/byoh-hostagent.service --skip-installation &&
	[ -L "$root/etc/systemd/system/multi-user.target.wants/byoh-hostagent.service" ] && grep -rqF site=lab "$root/etc/byoh/agent.env" "$root/usr/local/lib/systemd/system"'
check "agent: nothing where kubeadm and the agent write" eval '[ -z "$(find "$root/etc/kubernetes" -type f)" ]'
check "agent: the token lies nowhere else" eval '! elsewhere'
before "$root"
check "agent: a second run has nothing to do" eval 'exits 0 install_node && says "nothing to do" && as_before "$root"'
check "agent: status" exits 0 tool status
check "agent: join" eval 'exits 0 tool join --token-file "$work/fresh" && holds etc/byoh/bootstrap-kubeconfig.conf "$fresh" && exits 0 tool status'

step "looking and taking out"
check "inspect" eval 'exits 0 "$work/node.run" inspect && prints kubelet && prints v1.34.1'
check "inspect --json" eval 'exits 0 "$work/node.run" inspect --json && [ "$(jq -r .name "$work/out")" = node ] && jq -e ".components | length == 8" "$work/out" >/dev/null'
check "inspect --sbom" eval 'exits 0 "$work/node.run" inspect --sbom && [ "$(jq -r .spdxVersion "$work/out")" = SPDX-2.3 ] && jq -e "[.packages[].name] | index(\"kubelet\")" "$work/out" >/dev/null'
check "inspect --files" eval 'exits 0 "$work/node.run" inspect --files && prints usr/local/bin/kubelet'
check "inspect --signatures" eval 'exits 0 "$work/node.run" inspect --signatures &&
	prints "$(openssl pkey -pubin -in "$work/key/public.pem" -outform der | sha256sum | cut -c1-64)"'
check "the SBOM is the one that lies on the host" eval 'exits 0 "$work/node.run" inspect --sbom && cmp "$work/out" "$root/var/lib/byoh/sbom.spdx.json"'
check "extract" eval 'exits 0 "$work/plain.run" extract "$work/extracted" && cmp "$work/plain/data" "$work/extracted/opt/plain/data" &&
	[ "$(stat -c %a "$work/extracted/opt/plain/greeting")" = 640 ]'
check "extract does not mix with what is there" eval 'before "$work/extracted" && exits 2 "$work/plain.run" extract "$work/extracted" && as_before "$work/extracted"'
check "preflight --json" eval 'exits 0 "$work/node.run" preflight --root "$root" --json && jq -e ".failed == 0 and (.checks | length) > 5" "$work/out" >/dev/null'
check "a folder with one bundle" eval 'mkdir "$work/stick" && cp "$work/plain.run" "$work/stick/" && exits 0 "$BYOH_INSTALL" verify --from "$work/stick" --key "$work/key/public.pem"'
check "a folder with two" eval 'cp "$work/plain.run" "$work/stick/two.run" && exits 2 "$BYOH_INSTALL" verify --from "$work/stick" --key "$work/key/public.pem"'
rm "$work/stick/two.run"
config none
cp "$work/config/byoh.yaml" "$work/stick/byoh.yaml"
cp "$work/node.run" "$work/stick/plain.run"
fresh_host
check "a config beside the .run is found" eval 'exits 0 "$work/stick/plain.run" --root "$root" && ! says "no configuration" && [ -f "$root/etc/byoh/byoh.yaml" ]'

step "preflight"
fresh_host
sed -i '/xtables/,+4d' "$work/node/bundle.yaml"
build_bundle "$work/node" key "$work/lacking.run"
check "what the host lacks is a 4, with its remedy" eval 'exits 4 "$work/lacking.run" install --config "$work/config/byoh.yaml" --root "$root" && says iptables && says "->" && as_before "$root"'
check "what is ignored is recorded" eval 'exits 0 "$work/lacking.run" install --config "$work/config/byoh.yaml" --root "$root" --ignore-preflight-errors iptables &&
	grep -q "\"ignored\": \"iptables\"" "$root"/var/lib/byoh/journal/*.log'

step "terminals"
if script -qec true /dev/null >/dev/null 2>&1 </dev/null; then
	fresh_host
	check "a terminal gets a bar" eval 'script -qec "$work/plain.run verify --key $work/key/public.pem" "$work/typescript" >/dev/null </dev/null && grep -q $'"'\\r.*%'"' "$work/typescript"'
else
	skip "a terminal gets a bar" "there is no script(1)"
fi

step "interrupts"
# interrupted SIGNAL CALL NUMBER    exit code of an install that gets the signal at its NUMBERth CALL
interrupted() {
	local code=0
	strace -f -qq -o /dev/null -e trace="$2" -e inject="$2:signal=$1:when=$3" \
		"$work/plain.run" install --root "$root" >"$work/out" 2>"$work/err" </dev/null || code=$?
	echo "$code"
}
if strace -qq -o /dev/null true 2>/dev/null; then
	for at in pwrite64:1 pwrite64:2 syncfs:1 mkdirat:3 renameat:1 renameat:3; do
		fresh_host
		code=$(interrupted INT "${at%:*}" "${at#*:}")
		check "Ctrl-C at $at is a 1 and undone" eval '[ "$code" = 1 ] && says "as before" && as_before "$root"'
	done
	# Anywhere: undone, or done as if nothing had been said.
	undone=0 finished=0
	for ((at = 1; finished < 3 && at < 400; at += 9)); do
		fresh_host
		code=$(interrupted INT openat2 "$at")
		if [ "$code" = 1 ] && as_before "$root"; then
			undone=$((undone + 1))
		elif [ "$code" = 0 ] && exits 0 tool status; then
			finished=$((finished + 1))
		else
			check "Ctrl-C at openat2:$at: $code" false
		fi
	done
	check "Ctrl-C anywhere is undone, $undone times, or too late" [ "$undone" -gt 3 ]
	fresh_host
	code=$(interrupted TERM pwrite64 2)
	check "TERM likewise" eval '[ "$code" = 1 ] && as_before "$root"'
	code=$(interrupted KILL renameat 4)
	check "KILL leaves work" eval '[ "$code" = 137 ] && ! as_before "$root"'
	check "which the next run does" eval 'exits 0 "$work/plain.run" install --root "$root" && says "cut off" && exits 0 tool status'
else
	skip interrupts "strace cannot trace here"
fi

exit "$failed"
