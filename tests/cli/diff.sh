#!/bin/bash
# Two bundles beside each other: what changes, and that nothing else is said.
# shellcheck disable=SC2016,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

key_id() { openssl pkey -pubin -in "$work/$1/public.pem" -outform der | sha256sum | cut -c1-64; }
diff_() { "$BYOH_BUNDLE" diff "$@"; }
told() { jq -e "$1" "$work/out" >>"$work/err"; }

step "two releases"
make_keys old
make_keys new
node_spec "$work/one"
build_bundle "$work/one" old "$work/one.run"
build_bundle "$work/one" old "$work/one.bundle"
node_spec "$work/two"
sed -i 's/^version: .*/version: "2.0"/; s/^epoch: .*/epoch: 3/; s/^kubernetes: .*/kubernetes: v1.34.2/' "$work/two/bundle.yaml"
(
	cd "$work/two"
	sed -i '/^images:/,$d' bundle.yaml
	printf '#!/bin/sh\necho other kubelet\n' >kubelet
	sed -i "/source: {path: kubelet,/s/sha256: [0-9a-f]*/sha256: $(sha256sum <kubelet | cut -c1-64)/" bundle.yaml
	awk '/name: kubelet$/ { inside = 1 } inside && /version:/ { sub(/v1.34.1/, "v1.34.2"); inside = 0 } 1' bundle.yaml >b && mv b bundle.yaml
	awk '/name: runc$/ { skip = 5 } skip-- > 0 { next } 1' bundle.yaml >b && mv b bundle.yaml
	awk '/name: kubeadm$/ { inside = 1 } inside && /mode: "0755"/ { sub(/0755/, "0700"); inside = 0 } 1' bundle.yaml >b && mv b bundle.yaml
	echo more >"more"
)
add_part "$work/two" more 7 /opt/more 0644
echo other >"$work/two/image/pause"
"$here/../../payloads/make-oci-archive" --name registry.k8s.io/pause:3.10 --root "$work/two/image" --out "$work/two/pause.tar" -- /pause >/dev/null
printf 'images:\n  - {from: pause.tar, ref: "registry.k8s.io/pause:3.10"}\n' >>"$work/two/bundle.yaml"
build_bundle "$work/two" new "$work/two.run" || cat "$work/err"

check "the same one, in two forms" eval 'exits 0 diff_ "$work/one.run" "$work/one.bundle" && prints "the same bundle: node 1.0"'
check "in JSON" eval 'exits 0 diff_ "$work/one.run" "$work/one.bundle" --json && told ".same and .old.id == .new.id and .files == [] and .signers == []"'
check "and with --exit-code" exits 0 diff_ "$work/one.run" "$work/one.bundle" --exit-code
check "others" eval 'exits 0 diff_ "$work/one.run" "$work/two.run" && prints "node 1.0 -> node 2.0" && prints "v1.34.1 -> v1.34.2"'
check "epoch" eval 'grep -qE "^epoch +1 -> 3$" "$work/out"'
check "who signed" eval 'prints "  - $(key_id old)" && prints "  + $(key_id new)"'
check "components" eval 'grep -qE "^  ~ kubelet +v1.34.1 -> v1.34.2$" "$work/out" && grep -qE "^  - runc +v1.34.1$" "$work/out" && grep -qE "^  \+ more +7$" "$work/out" && ! grep -q "containerd" "$work/out"'
check "images" eval 'prints "  ~ registry.k8s.io/pause:3.10 (linux/amd64) sha256:" && prints "layers of images: "'
check "files" eval 'prints "  + /opt/more (5 B)" && prints "  - /usr/local/bin/runc (" && prints "  ~ /usr/local/bin/kubelet (" && prints "mode 0755 -> 0700" && ! prints images/blobs'
check "--exit-code tells it to a script" exits 1 diff_ "$work/one.run" "$work/two.run" --exit-code
check "all of it in JSON" eval 'exits 0 diff_ "$work/one.run" "$work/two.run" --json && told "(.same | not) and .old.epoch == 1 and .new.epoch == 3
	and ([.components[] | [.change, .name]] | sort) == [[\"added\",\"more\"],[\"changed\",\"kubelet\"],[\"removed\",\"runc\"]]
	and ([.files[] | select(.path == \"opt/more\") | .new.size] == [5]) and ([.files[] | select(.path == \"usr/local/bin/kubeadm\") | .old.mode, .new.mode] == [\"0755\", \"0700\"])
	and ([.files[] | select(.path == \"usr/local/bin/kubelet\") | .new.sha256] == [\"$(sha256sum <"$work/two/kubelet" | cut -c1-64)\"])
	and .blobs.added == 3 and .blobs.removed == 3 and (.images | length) == 1"'
check "the other way round" eval 'exits 0 diff_ "$work/two.run" "$work/one.run" --json && told "([.components[] | select(.change == \"added\") | .name]) == [\"runc\"]"'
cp "$work/one.bundle" "$work/signed.bundle"
"$BYOH_BUNDLE" sign "$work/signed.bundle" --key "$work/new/private.pem" --quiet >/dev/null
check "another signature alone" eval 'exits 1 diff_ "$work/one.bundle" "$work/signed.bundle" --exit-code && prints "  + $(key_id new)" && ! prints "id  " && ! prints files'
check "damaged" eval 'head -c 9000 "$work/one.bundle" >"$work/cut.bundle" && exits 3 diff_ "$work/one.bundle" "$work/cut.bundle" && says_one_sentence'
check "one file is no comparison" exits 2 diff_ "$work/one.run"

exit "$failed"
