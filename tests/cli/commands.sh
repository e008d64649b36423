#!/bin/bash
# The command line of byoh-install: help, the bundle that stayed on the host, who may look, odd descriptors,
# limits and links in the way, trust.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

# Refused with one sentence, and the host is as before.
refused() {
	exits "$@" && says_one_sentence && as_before "$root"
}
fresh_host() {
	root=$work/root
	rm -rf "$root"
	make_host "$root"
	before "$root"
}
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }

step "help"
verbs=(install plan preflight verify inspect extract status repair rollback uninstall join manifests settle certificates boot)
for verb in "${verbs[@]}"; do
	check "help: $verb --help is its own" \
		eval 'exits 0 "$BYOH_INSTALL" "$verb" --help && [ ! -s "$work/err" ] && [ "$(head -n 1 "$work/out" | cut -d" " -f1-3)" = "usage: byoh-install $verb" ] &&
			prints "--config FILE" && prints "Exit codes: 0 done" && ! prints "(null)" && [ "$(grep -c "^usage:" "$work/out")" = 1 ]'
	# Each option of the usage line is explained, and nothing that the verb refuses.
	"$BYOH_INSTALL" "$verb" --help | sed -n 1p | grep -oE -- '--[a-z-]+' | sort -u >"$work/named" || true
	"$BYOH_INSTALL" "$verb" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p' | sort -u >"$work/explained"
	check "help: $verb explains what it names" [ -z "$(comm -23 "$work/named" "$work/explained")" ]
	cp "$work/out" "$work/help.$verb"
done
check "help: they differ" eval '[ "$(sha256sum "$work"/help.* | cut -d" " -f1 | sort -u | wc -l)" = "${#verbs[@]}" ]'
check "help: by word" eval 'exits 0 "$BYOH_INSTALL" help join && cmp "$work/out" "$work/help.join"'
check "help: of everything" eval 'exits 0 "$BYOH_INSTALL" --help && prints "install [--from" && prints "VERB --help" && exits 0 "$BYOH_INSTALL" help && prints "status [--json]"'
check "help: of a verb that is none" eval 'exits 2 "$BYOH_INSTALL" instal --help && says "unknown verb \"instal\"" && exits 2 "$BYOH_INSTALL" help instal'
check "help: nobody reads it" eval '! "$BYOH_INSTALL" status --help >/dev/full 2>"$work/err" && says "standard output"'

step "bundles"
make_keys key
make_keys other
plain_spec "$work/plain"
build_bundle "$work/plain" key "$work/plain.run"
id=$(cat "$work/id")
build_bundle "$work/plain" key "$work/plain.bundle"

step "the bundle that stayed on the host"
fresh_host
check "kept: without a release there is nothing to fall back to" \
	eval 'cp "$BYOH_INSTALL" "$work/tool" && exits 2 "$work/tool" verify --root "$root" && says "no bundle behind" && as_before "$root"'
check "kept: install" exits 0 "$work/plain.run" install --root "$root" --quiet --yes
kept=$root/var/lib/byoh/releases/$id/bundle
before "$root"
check "kept: verify" eval 'exits 0 tool verify && prints "good: plain 1.0, id $id" && prints "$kept" && says "bundle: $kept"'
check "kept: verify --json" eval 'exits 0 tool verify --json --quiet && [ ! -s "$work/err" ] && jq -e ".id == \"$id\"" "$work/out" >/dev/null'
check "kept: inspect" eval 'exits 0 tool inspect && prints greeting && says "$kept"'
check "kept: inspect --signatures" eval 'exits 0 tool inspect --signatures && prints "$(openssl pkey -pubin -in "$work/key/public.pem" -outform der | sha256sum | cut -c1-64)"'
check "kept: extract" eval 'exits 0 tool extract "$work/extracted" && cmp "$work/plain/data" "$work/extracted/opt/plain/data" && says "$kept"'
check "kept: a file that is named is that file" eval 'exits 0 tool verify "$work/plain.run" && ! says "$kept" && prints "$work/plain.run"'
check "kept: looking changes nothing" as_before "$root"
flip() { printf '%b' "\\x$(printf %02x $((0x$(xxd -p -s "$2" -l 1 "$1") ^ 4)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }
flip "$kept" 500000
check "kept: damage is found" eval 'exits 3 tool verify && says "damaged" && says "$kept"'
flip "$kept" 500000
rm "$kept"
check "kept: lost" eval 'exits 1 tool verify && says "lost"'

step "everybody's options"
fresh_host
exits 0 "$work/plain.run" install --root "$root" --yes
for verb in plan preflight verify inspect status; do
	check "--yes: $verb" exits 0 tool "$verb" --yes
done
check "--yes: extract" eval 'rm -rf "$work/extracted" && exits 0 tool extract "$work/extracted" --yes'
check "--yes: join" eval 'exits 2 tool join --yes && says "--token-file"'
check "--yes: settle" exits 0 tool settle --yes

step "who may look"
# Nobody's, in a folder that nobody can reach, and so the one that it is in.
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$@"; }
chmod 755 "$work"
[ "${TMPDIR:-/tmp}" = /tmp ] || chmod 711 "$TMPDIR"
cp "$BYOH_INSTALL" "$work/tool"
if nobody true 2>"$work/err"; then
	check "nobody: status of the host" eval 'exits 4 nobody "$work/tool" status && says_one_sentence && says "sudo" && says "status"'
	check "nobody: status below a root" eval 'exits 4 nobody "$work/tool" status --root "$root" && says_one_sentence && says "sudo"'
	check "nobody: verify of what is kept" eval 'exits 4 nobody "$work/tool" verify --root "$root" && says_one_sentence && says "sudo"'
	chmod -R go+rX "$work/key"
	check "nobody: verify of a file" exits 0 nobody "$work/tool" verify "$work/plain.bundle" --key "$work/key/public.pem"
else
	skip "nobody" "no other user can be taken here: $(tail -n 1 "$work/err")"
fi

step "progress and logs"
make_ca
node_spec "$work/node"
build_bundle "$work/node" key "$work/node.run"
token=abcdef.0123456789abcdef
fresh=ghijkl.fedcba9876543210
echo $fresh >"$work/fresh"
printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: tlsBootstrap}\ncluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {value: %s}}\n' \
	$token >"$work/node.yaml"
logs() { find "$root/var/log/byoh" -type f -name "$1" | sort; }
# steps_of FILE    the numbers count up to the total, and the total is that of the steps to be done now
steps_of() {
	local total
	total=$(grep -cE '^  (new|change) ' "$1")
	[ "$total" -gt 0 ] && diff <(seq -f "[%.0f/$total]" "$total") <(grep -oE '^\[[0-9]+/[0-9]+\]' "$1") >"$work/out"
}
fresh_host
install_node() { "$work/node.run" install --root "$root" --config "$work/node.yaml" "$@"; }
check "progress: only steps with something to do" eval 'exits 0 install_node && grep -q "^  at boot" "$work/err" && steps_of "$work/err"'
log=$(logs 'install-*.log')
check "log: of an install" eval '[ "$(logs "*" | wc -l)" = 1 ] && [ "$(stat -c %a "$log")" = 600 ] && [[ $log =~ /install-[0-9]{8}T[0-9]{6}Z\.log$ ]]'
check "log: has what was said, with the time" eval '! sed "s/\x1b.*//" "$work/err" | grep . | while read -r line; do grep -qF -- "$line" "$log" || { echo "$line"; }; done | grep . &&
	! grep -qvE "^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z " "$log"'
check "log: has each action and how it ended" eval 'grep -q "file /usr/local/bin/kubelet ... done$" "$log" && grep -q "link .*kubelet.service ... done$" "$log" && ! grep -q "\.\.\.$" "$log"'
check "sizes: one form everywhere" eval 'exits 0 tool preflight && cp "$work/out" "$work/sizes" && exits 0 tool plan && cat "$work/out" >>"$work/sizes" &&
	[ "$(grep -cE "[0-9]\.[0-9] [kMG]B" "$work/sizes")" -ge 3 ] && ! sed -E "s/[0-9]+\.[0-9] [kMG]B//g" "$work/sizes" | grep -E "[0-9] ?([KMG]i?B)"'
rm -f "$root/usr/local/bin/kubelet"
check "progress: the same again for one file" eval 'exits 0 tool install && steps_of "$work/err" && says "[1/"'
check "log: one of its own" [ "$(logs 'install-*.log' | wc -l)" = 2 ]
before "$root"
check "log: none of a run that changes nothing" eval 'exits 0 tool install && exits 0 tool status && exits 0 tool plan && as_before "$root"'
check "log: with --quiet too" eval 'exits 0 tool join --token-file "$work/fresh" --quiet && [ ! -s "$work/err" ] && [ "$(logs "join-*.log" | wc -l)" = 1 ] &&
	grep -q "bootstrap-kubeconfig ... done" "$(logs "join-*.log")"'
check "log: no secret" eval '! grep -rqF -e $token -e $fresh "$root/var/log/byoh"'
for ((i = 10; i < 40; i++)); do
	: >"$root/var/log/byoh/install-202001${i}T000000Z.log"
done
: >"$root/var/log/byoh/mine.log"
echo $token >"$work/token"
check "log: the newest 20 are kept, and what is not ours" \
	eval 'exits 0 tool join --token-file "$work/token" && [ "$(logs "*T*Z*.log" | wc -l)" = 20 ] && [ -e "$root/var/log/byoh/mine.log" ] && [ "$(logs "join-*.log" | wc -l)" = 2 ] &&
		[ ! -e "$root/var/log/byoh/install-20200110T000000Z.log" ] && [ -e "$root/var/log/byoh/install-20200139T000000Z.log" ]'
chattr +i "$root/var/log/byoh" 2>/dev/null && immutable=y || immutable=
if [ "$immutable" ]; then
	check "log: one that cannot be written is a warning" eval 'exits 0 tool join --token-file "$work/fresh" && says "warning: the log of this run could not be written"'
	chattr -i "$root/var/log/byoh"
else
	skip "log: one that cannot be written" "the file system of $work has no immutable folders"
fi
if strace -qq -o /dev/null true 2>/dev/null; then
	echo $token >"$work/token"
	code=0
	strace -f -qq -o /dev/null -e trace=renameat -e inject=renameat:error=EIO:when=2 "$root/usr/local/sbin/byoh-install" \
		join --token-file "$work/token" --root "$root" >"$work/out" 2>"$work/err" </dev/null || code=$?
	log=$(sed -n 's/.*the log is \(.*\)$/\1/p' "$work/err")
	check "log: a failure names it" eval '[ "$code" = 1 ] && [ -n "$log" ] && grep -q "failed: .*I/O error" "$log" && ! grep -qF $token "$log"'
	fresh_host
	code=0
	strace -f -qq -o /dev/null -e trace=renameat -e inject=renameat:error=EIO:when=3 "$work/plain.run" install --root "$root" \
		>"$work/out" 2>"$work/err" </dev/null || code=$?
	check "log: a first install that fails leaves the host as it was" eval '[ "$code" = 1 ] && as_before "$root"'
else
	skip "log: a failure names it" "strace cannot trace here"
fi

step "logs of what gives back"
fresh_host
exits 0 install_node
rm "$root/usr/local/bin/runc"
check "log: of a repair" eval 'exits 0 tool repair && grep -q "file /usr/local/bin/runc ... done" "$(logs "repair-*.log")"'
check "log: an uninstall takes them along" eval 'exits 0 tool uninstall --yes && as_before "$root"'

step "the cluster's name"
fresh_host
sed -i 's/^cluster: {/cluster: {name: hall-3, /' "$work/node.yaml"
boot=$root/etc/kubernetes/bootstrap-kubeconfig
check "name: stands in the kubeconfig" eval 'exits 0 install_node && grep -qF "name: \"hall-3\"" "$boot" && grep -qF "current-context: \"default-auth@hall-3\"" "$boot"'
check "name: is the same after join" eval 'exits 0 tool join --token-file "$work/fresh" && grep -qF "default-auth@hall-3" "$boot" && grep -qF $fresh "$boot" && exits 0 tool status'

step "descriptors and limits"
fresh_host
check "closed input" eval '"$work/plain.run" verify <&- >"$work/out" 2>"$work/err" && prints good'
check "closed input, output and errors: the install is done" \
	eval '"$work/plain.run" install --root "$root" --yes <&- >&- 2>&- && : >"$work/err" && exits 0 tool status && prints "no drift"'
# What was written to a closed descriptor must not have landed in a file.
check "nor does a file hold what was said" eval '! grep -rqlE "^(done:|\[1/)" "$root/etc" "$root/opt" "$root/usr/local/lib" "$root/var/lib/byoh" 2>/dev/null'
for verb in verify inspect status plan preflight; do
	check "full output: $verb" eval '! tool $verb >/dev/full 2>"$work/err" </dev/null && says "standard output"'
	check "closed output: $verb" eval '! tool $verb >&- 2>"$work/err" </dev/null && says "standard output"'
done
fresh_host
check "closed errors" eval '"$work/plain.run" install --root "$root" --json 2>&- >"$work/out" </dev/null && jq -e ".result == \"installed\"" "$work/out" >/dev/null'
fresh_host
check "a limit on file sizes" eval '(ulimit -f 500; exits 1 "$work/plain.run" install --root "$root" --quiet) && says_one_sentence && says "File too large" && as_before "$root"'

step "links in the way"
fresh_host
mkdir "$root/data"
ln -s ../data "$root/usr/local"
before "$root"
check "/usr/local is a link: refused, and nothing is written through it" refused 4 "$work/node.run" install --root "$root" --quiet --ignore-preflight-errors usr-local
check "/usr/local is a link: preflight names it" eval 'exits 4 "$work/node.run" preflight --root "$root" && says "usr/local: a symbolic link" && as_before "$root"'

step "trust"
fresh_host
mkdir -p "$root/etc/byoh/revoked.d"
cp "$work/key/public.pem" "$root/etc/byoh/revoked.d/"
before "$root"
check "a revoked key is not trusted at first sight" refused 3 "$work/plain.run" install --root "$root" --quiet
check "nor by verify" refused 3 "$work/plain.run" verify --root "$root" --quiet
check "nor where other keys are trusted" eval 'mkdir "$root/etc/byoh/keys.d" && cp "$work/other/public.pem" "$root/etc/byoh/keys.d/" && before "$root" &&
	refused 3 "$work/plain.run" install --root "$root" --quiet'
fresh_host
exits 0 "$work/plain.run" install --root "$root" --quiet
size=$(stat -c %s "$work/plain.run")
for left in 5000 $((size / 3)) $((size / 2)) $((size - 100000)) $((size - 1)); do
	head -c "$left" "$work/plain.run" >"$work/cut.run"
	chmod 755 "$work/cut.run"
	before "$root"
	check "installed: a .run cut to $left of $size bytes by the tool" eval 'exits 3 tool install --from "$work/cut.run" --quiet && says_one_sentence && as_before "$root"'
	[ "$left" -lt $((size / 2)) ] || check "installed: a .run cut to $left of $size bytes by itself" refused 3 "$work/cut.run" install --root "$root" --quiet
	check "installed: still in order" eval 'exits 0 tool status && prints "no drift"'
done

step "thresholds"
config() { printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: none}\n%s\n' "${1:-}" >"$2"; }
config 'policy: {threshold: 2}' "$work/two.yaml"
config 'policy: {threshold: 1}' "$work/one.yaml"
config '' "$work/none.yaml"
fresh_host
check "a config may raise the threshold" eval 'refused 3 "$work/plain.run" install --root "$root" --quiet --config "$work/two.yaml" && says "2 needed" && says two.yaml'
check "for plan too" eval 'refused 3 "$work/plain.run" plan --root "$root" --quiet --config "$work/two.yaml"'
mkdir -p "$root/etc/byoh"
cp "$work/two.yaml" "$root/etc/byoh/byoh.yaml"
before "$root"
check "the host wants two: verify" refused 3 "$work/plain.run" verify --root "$root" --quiet
check "the host wants two: verify with the key" eval 'refused 3 "$work/plain.run" verify --root "$root" --quiet --key "$work/key/public.pem" && says "2 needed"'
check "the host wants two: the same key twice is one" \
	refused 3 "$work/plain.run" verify --root "$root" --quiet --key "$work/key/public.pem" --key "$work/key/public.pem"
for name in one none; do
	check "the host wants two: config $name does not lower it" \
		refused 3 "$work/plain.run" install --root "$root" --quiet --key "$work/key/public.pem" --config "$work/$name.yaml"
done

exit "$failed"
