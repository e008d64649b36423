#!/bin/bash
# A configuration on a volume labelled BYOHCFG: which is taken, and that nothing of it stays. In an empty root with
# nothing of this machine but a loop device of its own; the verbs only look.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

loops=()
detach() {
	local loop
	for loop in "${loops[@]}"; do
		losetup -d "$loop" 2>/dev/null || true
	done
	end
}
trap detach EXIT

step "bundle and volumes"
make_keys key
plain_spec "$work/plain"
build_bundle "$work/plain" key "$work/plain.run"
make_ca
jail=$work/jail
mkdir -p "$jail"/{dev,etc,run/udev/data}
cp "$work/plain.run" "$jail/"
echo bare >"$jail/etc/hostname"

# make_volume NAME LINE...    an ext4 image with byoh.yaml
make_volume() {
	local name=$1
	shift
	mkdir -p "$work/$name"
	printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\n' >"$work/$name/byoh.yaml"
	printf '%s\n' "$@" >>"$work/$name/byoh.yaml"
	cp "$work/ca.crt" "$work/$name/"
	rm -f "$work/$name.img"
	mkfs.ext4 -q -L BYOHCFG -d "$work/$name" "$work/$name.img" 4M >/dev/null 2>&1
}
# plug NAME    a loop device of the image, and what udev would know of it
plug() {
	local loop number
	loop=$(losetup --find --show --read-only "$work/$1.img") || return 1
	loops+=("$loop")
	number=$((0x$(stat -c %t "$loop"))):$((0x$(stat -c %T "$loop")))
	[ -e "$jail$loop" ] || mknod "$jail$loop" b "${number%:*}" "${number#*:}"
	printf 'E:ID_FS_LABEL=BYOHCFG\nE:ID_FS_TYPE=%s\n' "${2:-ext4}" >"$jail/run/udev/data/b$number"
	mkdir -p "$jail/sys/dev/block/$number"
	echo "DEVNAME=${loop#/dev/}" >"$jail/sys/dev/block/$number/uevent"
	plugged=$loop
}
unplug() {
	local loop
	for loop in "${loops[@]}"; do
		losetup -d "$loop"
	done
	loops=()
	rm -f "$jail"/run/udev/data/b*
}
# In a mount namespace of its own, which is looked at before it goes: a mount may not outlive the verb.
in_jail() {
	unshare --mount --propagation private bash -c '
		jail=$1; shift; code=0; chroot "$jail" "$@" || code=$?
		if grep -F "$jail/" /proc/self/mountinfo >&2; then echo "it stayed mounted" >&2; exit 99; fi
		exit "$code"' - "$jail" "$@"
}
left_nothing() { [ ! -e "$jail/run/byoh-config" ] && as_before "$jail"; }

good=('cluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}}')
if ! command -v mkfs.ext4 >/dev/null; then
	skip "volumes" "there is no mkfs.ext4"
elif make_volume good "${good[@]}" && ! plug good 2>"$work/err"; then
	skip "volumes" "no loop device can be had here: $(tail -n 1 "$work/err")"
elif ! unshare --mount true 2>"$work/err"; then
	skip "volumes" "no mount namespace can be made here: $(tail -n 1 "$work/err")"
else
	before "$jail"
	for verb in plan preflight; do
		in_jail /plain.run "$verb" >"$work/out" 2>"$work/err" </dev/null || true
		check "$verb: the volume is named" says "configuration: byoh.yaml of the volume BYOHCFG ($plugged)"
		check "$verb: and the configuration used" eval '! says "cannot" && ! says "it stayed mounted" && [ -s "$work/out" ]'
		check "$verb: nothing stays" left_nothing
	done
	check "a killed run's mount is taken over" eval 'mkdir "$jail/run/byoh-config" && exits 0 in_jail /plain.run plan && left_nothing'
	if strace -qq -o /dev/null true 2>/dev/null; then
		jailed() { strace -f -qq -o "$work/trace" -e trace=mount -e inject=mount:signal=INT chroot "$jail" /plain.run plan || true; }
		check "Ctrl-C leaves nothing either" eval '(export -f jailed; export work jail; unshare --mount --propagation private "$BASH" -c "jailed; ! grep -F \"$jail/\" /proc/self/mountinfo" \
			>"$work/out" 2>"$work/err" </dev/null) && grep -q SIGINT "$work/trace" && left_nothing'
	else
		skip "Ctrl-C leaves nothing either" "strace cannot trace here"
	fi

	step "two volumes"
	make_volume other "${good[@]}"
	first=$plugged
	plug other
	before "$jail"
	check "two: neither is taken, both are named" \
		eval 'exits 2 in_jail /plain.run plan --quiet && says_one_sentence && says "$first" && says "$plugged" && left_nothing'

	step "volumes that are none"
	unplug
	make_volume bad 'clutser: {}'
	plug bad
	before "$jail"
	check "a wrong configuration" \
		eval 'exits 2 in_jail /plain.run plan --quiet && says_one_sentence && says "BYOHCFG ($plugged)" && says "byoh.yaml:3:1" && left_nothing'
	unplug
	make_volume empty ''
	rm "$work/empty/byoh.yaml" "$work/empty.img"
	mkfs.ext4 -q -L BYOHCFG -d "$work/empty" "$work/empty.img" 4M >/dev/null 2>&1
	plug empty
	before "$jail"
	check "no byoh.yaml on it" eval 'exits 2 in_jail /plain.run plan --quiet && says_one_sentence && says "has no byoh.yaml" && left_nothing'
	unplug
	plug good xfs
	before "$jail"
	check "another file system is not tried" eval 'exits 2 in_jail /plain.run plan --quiet && says_one_sentence && says xfs && says "$plugged" && left_nothing'
	unplug
	plug good vfat
	before "$jail"
	check "nor one that is not what udev saw" eval 'exits 1 in_jail /plain.run plan --quiet && says_one_sentence && says "$plugged" && left_nothing'
	step "the boot medium's verb"
	unplug
	plug good
	mkdir -p "$jail"/run/live/medium/{.disk,byoh}
	echo build-id=1 >"$jail/run/live/medium/.disk/byoh"
	check "boot: a volume goes before the medium, which is told" eval \
		'printf "apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\niso: {mode: install, disk: {serial: none}}\n" >"$jail/run/live/medium/byoh/byoh.yaml" &&
		exits 0 in_jail /plain.run boot && says "byoh: configuration from byoh.yaml of the volume BYOHCFG ($plugged)" &&
		says "does not count: byoh/byoh.yaml of the boot medium" && says "byoh: mode inspect"'
	check "boot: it is not mounted any more, and nothing of it is left in memory" eval \
		'[ ! -e "$jail/run/byoh-config" ] && ! compgen -G "$jail/run/byoh-stick-*" >/dev/null'
	unplug
	check "boot: without it the medium's counts" eval \
		'exits 4 in_jail /plain.run boot && says "byoh: configuration from byoh/byoh.yaml of the boot medium" && says "no disk of this machine"'
	plug good
	plug good
	check "boot: two volumes end it" eval 'exits 2 in_jail /plain.run boot && says "two volumes are labelled BYOHCFG"'
	cp "$jail/run/live/medium/byoh/byoh.yaml" "$jail/named.yaml"
	check "boot: but not beside a configuration that is named" eval \
		'exits 4 in_jail /plain.run boot --config /named.yaml && says "does not count: two volumes are labelled BYOHCFG" &&
		says "byoh: configuration from /named.yaml" && says "does not count: byoh/byoh.yaml of the boot medium"'
	unplug
	plug empty
	mkdir -p "$jail/proc"
	echo byoh.config=/named.yaml >"$jail/proc/cmdline"
	check "boot: nor does a volume without byoh.yaml end one of the kernel argument" eval \
		'exits 4 in_jail /plain.run boot && says "byoh: configuration from /named.yaml" && says "has no byoh.yaml" &&
		[ ! -e "$jail/run/byoh-config" ] && ! compgen -G "$jail/run/byoh-stick-*" >/dev/null'
	rm "$jail/proc/cmdline"
	check "boot: without that it does" eval 'exits 2 in_jail /plain.run boot && says "has no byoh.yaml"'
	unplug
	mkdir -p "$jail/sys/class/block/sda"
	late() { # the stick appears when the verb has said that it waits
		local _
		for _ in {1..100}; do
			! grep -qs "byoh: waiting until no disk" "$work/err" || break
			sleep 0.1
		done
		sleep 1 # a look of the verb's lies between
		plug good
	}
	check "boot: a volume that comes late is waited for" eval \
		'{ late & exits 0 in_jail /plain.run boot; wait $!; } && says "byoh: configuration from byoh.yaml of the volume BYOHCFG"'
	losetup -j "$work/good.img" -O NAME -n | while read -r each; do losetup -d "$each"; done
fi

exit "$failed"
