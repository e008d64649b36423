#!/bin/bash
# The configuration in a boot image: set, shown and taken out in place, every other byte as it was.
# shellcheck disable=SC2016,SC2034,SC2154,SC2317
set -euo pipefail

if [ "${1:-}" = -h ]; then
	sed -n '2s/^# //p' "$0"
	exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

if ! command -v xorriso >/dev/null; then
	skip "iso-config" "there is no xorriso"
	exit 0
fi
step "an image"
mkdir -p "$work"/tree/{byoh,boot,live}
truncate -s 65536 "$work/tree/byoh/site.img"
noise 300000 05 >"$work/tree/live/filesystem.squashfs"
for number in $(seq 60); do # a folder of several sectors
	echo "$number" >"$work/tree/byoh/a-file-with-a-long-name-so-that-the-folder-grows-$number"
done
xorriso -as mkisofs -quiet -r -J -joliet-long -iso-level 3 -V BYOH_LIVE -o "$work/byoh.iso" "$work/tree" >/dev/null 2>&1
cp "$work/byoh.iso" "$work/before.iso"
image=$work/byoh.iso
printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\niso: {mode: inspect}\n' >"$work/byoh.yaml"
config() { "$BYOH_BUNDLE" iso-config "$@"; }

# What differs lies within the slot, wherever xorriso has put it.
only_the_slot_differs() {
	local first last
	read -r first last < <(cmp -l "$work/before.iso" "$image" | awk 'NR == 1 { first = $1 } END { print first, $1 }')
	[ -n "$first" ] && [ $(((first - 1) % 2048)) = 0 ] && [ $((last - first)) -lt 65536 ]
}

step "set, show, reset"
check "an empty slot shows nothing" eval 'exits 0 config "$image" --show && [ ! -s "$work/out" ] && says "holds no configuration"'
check "it is set" exits 0 config "$image" --set "$work/byoh.yaml"
check "it is shown as it was" eval 'exits 0 config "$image" --show && cmp "$work/out" "$work/byoh.yaml"'
check "nothing else has changed" only_the_slot_differs
check "the file in the image is the slot" eval \
	'xorriso -osirrox on -indev "$image" -extract /byoh/site.img "$work/site.img" >/dev/null 2>&1 && head -c 9 "$work/site.img" | grep -q "^BYOHCFG1 "'
printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\n' >"$work/short.yaml"
check "a shorter one leaves nothing of the longer" eval 'exits 0 config "$image" --set "$work/short.yaml" && config "$image" --show | cmp - "$work/short.yaml" && ! grep -q "mode: inspect" "$image"'
check "it is taken out" eval 'exits 0 config "$image" --reset && cmp "$image" "$work/before.iso"'

step "what is refused"
printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\niso: {users: [{name: a, passwordHash: "$6$a$b"}]}\n' >"$work/secret.yaml"
check "a secret is warned of" eval 'exits 0 config "$image" --set "$work/secret.yaml" && says "holds a secret" && ! says "\$6\$" && exits 0 config "$image" --reset'
printf 'kind: [\n' >"$work/bad.yaml"
printf 'apiVersion: v1\nkind: Pod\n' >"$work/pod.yaml"
: >"$work/empty.yaml"
{ cat "$work/short.yaml" && printf '# %s\n' $(seq 15000); } >"$work/large.yaml"
for bad in bad pod empty large; do
	check "refused: $bad.yaml" eval 'exits 2 config "$image" --set "$work/$bad.yaml" && says_one_sentence && cmp "$image" "$work/before.iso"'
done
head -c 100000 "$image" >"$work/cut.iso"
noise 300000 06 >"$work/noise.iso"
check "refused: an image that is cut off" eval 'exits 3 config "$work/cut.iso" --set "$work/byoh.yaml" && says_one_sentence'
check "refused: no image" eval 'exits 3 config "$work/noise.iso" --show && says "no ISO 9660 image"'
rm "$work/tree/byoh/site.img"
xorriso -as mkisofs -quiet -r -J -V OTHER -o "$work/other.iso" "$work/tree" >/dev/null 2>&1
check "refused: another's image" eval 'exits 3 config "$work/other.iso" --set "$work/byoh.yaml" && says "has no site.img"'
check "usage: one of three" eval 'exits 2 config "$image" && exits 2 config "$image" --show --reset && exits 2 config --show'
exit "$failed"
