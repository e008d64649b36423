#!/bin/bash
# The boot medium's verb on a loop device: from an empty disk to a system with the release in it, and what ends it before.
# The medium, the machine and the programs of the live system lie in a folder; the loader is a stand-in.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

if [ "${1:-}" = -h ]; then
	sed -n '2,3s/^# //p' "$0"
	exit 0
fi
# All that is mounted goes with the namespace, and sfdisk is followed by what udev would do.
if [ "${BYOH_OWN_MOUNTS:-}" != yes ] && unshare --mount --propagation private true 2>/dev/null; then
	BYOH_OWN_MOUNTS=yes exec unshare --mount --propagation private "$0" "$@"
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

loop=
detach() {
	[ "$BASHPID" = $$ ] || return 0
	umount -l "$live/run/byoh/target" 2>/dev/null || true
	[ -z "$loop" ] || losetup -d "$loop" 2>/dev/null || true
	end
}
live=$work/live
trap detach EXIT

why_not() {
	local name
	[ "${BYOH_OWN_MOUNTS:-}" = yes ] || { echo "no mount namespace can be made here"; return; }
	for name in sfdisk partx wipefs mkfs.vfat mkfs.ext4 e2label mksquashfs unsquashfs; do
		command -v "$name" >/dev/null || { echo "there is no $name"; return; }
	done
	truncate -s 3G "$work/disk.img"
	loop=$(losetup --find --show "$work/disk.img" 2>/dev/null) || { loop=; echo "no loop device can be had here"; return; }
}
reason=$(why_not)
if [ -n "$reason" ]; then
	skip "disk-install" "$reason"
	exit 0
fi
loop=$(losetup -j "$work/disk.img" -O NAME -n | head -n 1 | tr -d ' ')
disk=${loop#/dev/}
partx -d "$loop" 2>/dev/null || true # of whoever had the device before

step "medium, machine and disk"
make_keys key
plain_spec "$work/plain"
mkdir -p "$live"/{dev,proc,usr/lib/byoh,run/live/medium/{.disk,live,byoh}} "$work/system"/{etc/ssh,var/lib,usr/bin,boot}
build_bundle "$work/plain" key "$live/run/live/medium/byoh/byoh-install.run"
run=$live/run/live/medium/byoh/byoh-install.run
echo 'build-id=1' >"$live/run/live/medium/.disk/byoh"
echo 'ID=debian' >"$work/system/etc/os-release"
echo 'root:x:0:0:root:/root:/bin/bash' >"$work/system/etc/passwd"
echo 'root:*:19000:0:99999:7:::' >"$work/system/etc/shadow"
echo 'root:x:0:' >"$work/system/etc/group"
echo 'root:*::' >"$work/system/etc/gshadow"
echo secret >"$work/system/etc/ssh/ssh_host_ed25519_key"
mksquashfs "$work/system" "$live/run/live/medium/live/filesystem.squashfs" -noappend -no-progress -quiet >/dev/null
printf 'serial M1\nmac 52:54:00:00:00:01\n' >"$live/run/byoh-machine"
mknod "$live/dev/$disk" b "$((0x$(stat -c %t "$loop")))" "$((0x$(stat -c %T "$loop")))"

# The names of the partitions, after each run of sfdisk; a kernel may know no GPT.
mount -t tmpfs none /usr/local/sbin
# Where configurations are unpacked for whoever reads them by name; other tests do that too.
mount -t tmpfs none /run
cat >/usr/local/sbin/sfdisk <<-END
	#!/bin/bash
	/usr/sbin/sfdisk "\$@" || exit
	partx -u $loop 2>/dev/null || partx -a $loop 2>/dev/null || true
	rm -f $live/dev/${disk}p*
	for folder in /sys/block/$disk/${disk}p*; do
		[ ! -e "\$folder/dev" ] || mknod "$live/dev/\${folder##*/}" b \$(tr : ' ' <"\$folder/dev")
	done
END
chmod +x /usr/local/sbin/sfdisk

# program NAME LINE...    of the live system
program() {
	local path=$live/usr/lib/byoh/$1
	shift
	printf '#!/bin/bash\n' >"$path"
	printf '%s\n' "$@" >>"$path"
	chmod +x "$path"
}
good_programs() {
	program media-check 'echo "media-check: all good"'
	program boot-loader 'printf "%s\n" "$*" >"$6/boot/loader-called"'
}
good_programs

# config LINE...    of iso:
config() {
	{
		printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: none}\nmachines:\n'
		printf -- '- match: {serial: M1}\n  host: {hostname: node7}\niso:\n'
		printf '  %s\n' "$@"
	} >"$live/run/live/medium/byoh/byoh.yaml"
}
# describe [LABEL]    the disk as sysfs and udev would have it; LABEL of its third partition
describe() {
	local table='"blank": true'
	[ -z "${1:-}" ] || table="\"tableType\": \"gpt\", \"tableId\": \"$(/usr/sbin/sfdisk --disk-id "$loop")\""
	printf '[{"name": "%s", "kind": "disk", "transport": "sata", "size": %s, "serial": "L1", %s}' "$disk" \
		"$(blockdev --getsize64 "$loop")" "$table"
	[ -z "${1:-}" ] || printf ', {"name": "%sp3", "kind": "partition", "parent": "%s", "partLabel": "%s"}' "$disk" "$disk" "$1"
	printf ']\n'
}
boot() {
	"$run" boot "$@" --root "$live" --devices "$work/devices.json"
}
# When and how much was written to it, and its ends: all of it would take minutes to read.
disk_sum() {
	blockdev --flushbufs "$loop"
	stat -c '%b %y' "$work/disk.img"
	head -c 2M "$work/disk.img" | sha256sum
	tail -c 1M "$work/disk.img" | sha256sum
}
label() { /usr/sbin/sfdisk --part-label "$loop" 3; }
in_system() { # COMMAND with $root as its system
	local root=$work/root code=0
	mkdir -p "$root"
	mount -o ro,noload "$live/dev/${disk}p3" "$root" || return 1
	"$@" || code=$?
	umount "$root"
	return "$code"
}
nothing_mounted() { ! grep -qF "$live/run/byoh/target" /proc/self/mountinfo; }

describe >"$work/devices.json"
before_any=$(disk_sum)

step "looking"
check "without a configuration nothing is written" eval \
	'exits 0 boot && says "byoh: no configuration" && says "byoh: inspected, nothing was written" && [ "$(disk_sum)" = "$before_any" ]'
config 'mode: install' 'disk: {serial: L1, minSize: 2G}' 'after: poweroff' 'users: [{name: ops, passwordHash: "$6$abcdefgh$ijklmnop"}]'
check "inspect: it only looks, and says what would be written" eval \
	'exits 0 boot inspect && says "byoh: disk /dev/$disk" && says "name=\"byoh-unfinished\"" && [ "$(disk_sum)" = "$before_any" ]'
check "plan says the same" eval 'exits 0 "$run" plan --root "$live" && says "disks:"'
check "a word that it does not know" exits 2 boot instal
echo 'quiet byoh.mode=inspect' >"$live/proc/cmdline"
check "the kernel's command line may say inspect" eval \
	'exits 0 boot && says "byoh: mode inspect" && [ "$(disk_sum)" = "$before_any" ]'
rm "$live/proc/cmdline"

step "configurations"
cp "$live/run/live/medium/byoh/byoh.yaml" "$work/other.yaml"
echo '# another' >>"$work/other.yaml"
{
	printf 'BYOHCFG1 %s %s\n' "$(wc -c <"$work/other.yaml")" "$(sha256sum <"$work/other.yaml" | cut -c1-64)"
	cat "$work/other.yaml"
} >"$live/run/live/medium/byoh/site.img"
truncate -s 65536 "$live/run/live/medium/byoh/site.img"
check "two different ones on the medium end it, both named" eval \
	'exits 2 boot && says "two different configurations" && says "byoh/byoh.yaml of the boot medium" && says "the slot" && says "serial: L1" && [ "$(disk_sum)" = "$before_any" ]'
mkdir -p "$live/run/live/medium/sites"
cp "$work/other.yaml" "$live/run/live/medium/sites/a.yaml"
sed -i 's/^mode: install/mode: inspect/' "$live/run/live/medium/sites/a.yaml"
rm "$live/run/live/medium/byoh/site.img"
echo 'byoh.config=sites/a.yaml' >"$live/proc/cmdline"
check "the kernel argument goes first, and the rest is told" eval \
	'exits 0 boot inspect && says "byoh: configuration from /run/live/medium/sites/a.yaml" && says "does not count: byoh/byoh.yaml of the boot medium"'
rm "$live/proc/cmdline"
truncate -s 65536 "$live/run/live/medium/byoh/site.img"
check "an empty slot is none" eval 'exits 0 boot inspect && says "byoh: configuration from byoh/byoh.yaml"'
echo damaged | dd of="$live/run/live/medium/byoh/site.img" conv=notrunc status=none
check "a damaged one ends it" eval 'exits 3 boot && says "damaged" && [ "$(disk_sum)" = "$before_any" ]'
echo 'byoh.config=sites/a.yaml' >"$live/proc/cmdline"
check "but not where the kernel argument goes before it: then it is told, with the file beside it" eval \
	'exits 0 boot inspect && says "byoh: configuration from /run/live/medium/sites/a.yaml" && says "does not count: the slot byoh/site.img" && says "does not count: byoh/byoh.yaml of the boot medium"'
rm "$live/proc/cmdline"
mv "$live/run/live/medium/byoh/byoh.yaml" "$work/mine.yaml"
{
	printf 'BYOHCFG1 %s %s\n' "$(wc -c <"$work/mine.yaml")" "$(sha256sum <"$work/mine.yaml" | cut -c1-64)"
	cat "$work/mine.yaml"
} >"$live/run/live/medium/byoh/site.img"
truncate -s 65536 "$live/run/live/medium/byoh/site.img"

step "refusals"
program media-check 'echo "media-check: live/filesystem.squashfs is damaged"; exit 1'
check "a damaged medium is not installed from" eval \
	'exits 3 boot && says "live/filesystem.squashfs is damaged" && says "nothing was written" && [ "$(disk_sum)" = "$before_any" ]'
good_programs
printf '[]' >"$work/devices.json"
check "no disk" eval 'exits 4 boot && says "no disk of this machine"'
describe >"$work/devices.json"
sed -i 's/"blank": true/"fsType": "ext4", "fsLabel": "music"/' "$work/devices.json"
check "a disk with data" eval 'exits 4 boot && says "is not empty (ext4 \"music\")" && says "iso.wipe: \"L1\"" && [ "$(disk_sum)" = "$before_any" ]'
describe >"$work/devices.json"
sed -i 's/"size": [0-9]*/"size": 99999999999/' "$work/devices.json"
check "a disk that is not the one that was described" eval 'exits 4 boot && says "another disk than was chosen" && [ "$(disk_sum)" = "$before_any" ]'
describe >"$work/devices.json"

mv "$live/run/live/medium/byoh/site.img" "$work/site.img"
config 'mode: install' 'disk: {serial: L1, minSize: 2G}' 'network: {links: [{name: eth0, dhcp: true}, {name: site, vlan: {id: 7, link: "52:54:00:00:00:01"}}]}'
mkdir -p "$live/sys/class/net/eth0"
echo 52:54:00:00:00:01 >"$live/sys/class/net/eth0/address"
check "a port that is named in two ways" eval \
	'exits 2 boot && says "the port eth0 stands here by its name and by its address 52:54:00:00:00:01" && [ "$(disk_sum)" = "$before_any" ]'
echo 52:54:00:00:00:02 >"$live/sys/class/net/eth0/address"
check "two ports, each named in its way" exits 0 boot inspect
rm -r "$live/sys"
rm "$live/run/live/medium/byoh/byoh.yaml"
mv "$work/site.img" "$live/run/live/medium/byoh/site.img"

# later DESCRIPTION    the disks when the medium has been checked
later() {
	printf '%s\n' "$1" >"$work/later.json"
	describe >"$work/devices.json"
	program media-check "cp $work/later.json $work/devices.json"
}
now=$(describe)
other=${now/\"$disk\"/\"other\"}
later "${now%]}, ${other#[}"
check "a second disk that matches, while the medium was checked" eval \
	'exits 4 boot && says "byoh: disk /dev/$disk" && says "taking the disk: the disks are not the same any more" && says "several disks are what iso.disk says" && says "nothing was written" && [ "$(disk_sum)" = "$before_any" ]'
later "${now%]}"', {"name": "late", "kind": "disk", "size": 9, "tableId": "AA"}, {"name": "late3", "kind": "partition", "parent": "late", "partLabel": "byoh-root"}]'
check "an installation that comes late" eval 'exits 4 boot && says "/dev/late holds the installation AA" && [ "$(disk_sum)" = "$before_any" ]'
later "${now/\"blank\"/\"wwn\": \"0x9\", \"blank\"}"
check "another disk of that name" eval 'exits 4 boot && says "wwn -, table id -) and is now /dev/$disk" && says "wwn 0x9" && [ "$(disk_sum)" = "$before_any" ]'
good_programs
describe >"$work/devices.json"

mv "$live/run/live/medium/byoh/site.img" "$work/site.img"
{ cat "$work/mine.yaml" && echo 'policy: {requireConfigSignature: true}'; } >"$live/run/live/medium/byoh/byoh.yaml"
check "a configuration that has to be signed and is not" eval \
	'exits 3 boot && says "byoh.yaml.sig is missing" && ! says "checking the medium" && [ "$(disk_sum)" = "$before_any" ]'
{ cat "$work/mine.yaml" && echo 'policy: {threshold: 2}'; } >"$live/run/live/medium/byoh/byoh.yaml"
check "a release with too few signatures" eval 'exits 3 boot && says "policy.threshold" && [ "$(disk_sum)" = "$before_any" ]'
rm "$live/run/live/medium/byoh/byoh.yaml"
mv "$work/site.img" "$live/run/live/medium/byoh/site.img"

step "an installation that is cut off"
program boot-loader 'kill -KILL $PPID'
check "killed at the loader" eval 'exits 137 boot && [ "$(label)" = byoh-unfinished ]'
rm -r /run/byoh-stick-* # memory, of which who is killed gives nothing back
describe byoh-unfinished >"$work/devices.json"
program boot-loader 'echo "grub-install: no room"; exit 1'
check "the next try begins anew; a loader that fails is said" eval \
	'exits 1 boot && says "installing the boot loader" && says "grub-install: no room" && says "another try starts over"'
check "the disk is unfinished, and nothing stays mounted" eval '[ "$(label)" = byoh-unfinished ] && nothing_mounted'
good_programs

# A broken disk may tell of it only when the last bytes are written.
config 'mode: install' 'disk: {serial: L1, minSize: 2G}' 'data: {mount: /srv/data, size: 300Mi}'
mv "$live/run/live/medium/byoh/site.img" "$work/site.img"
program boot-loader 'mkdir -p "$6/boot/efi" && mount -t tmpfs none "$6/boot/efi"'
# unwritten CALL PATH    an installation that is told so of PATH; the programs it starts are not
unwritten() {
	describe byoh-unfinished >"$work/devices.json"
	strace -qq -o "$work/trace" -P "$live$2" -e trace="$1" -e inject="$1:error=EIO" "$run" boot --root "$live" --devices "$work/devices.json"
}
if strace -qq -o /dev/null true 2>/dev/null; then
	target=/run/byoh/target
	for each in "syncfs $target/srv/data p4" "syncfs $target/boot/efi p2" "fsync /dev/${disk}p4 p4" "fsync /dev/${disk}p2 p2"; do
		read -r call path part <<<"$each"
		check "what could not be written ends it before the disk says that it is whole: $call of $path" eval \
			'exits 1 unwritten "$call" "$path" && says "finishing: cannot write all of $live/dev/$disk$part" && [ "$(label)" = byoh-unfinished ] && nothing_mounted'
	done
	partx -d "$loop" 2>/dev/null || true # the fourth is in the way of the next table
else
	skip "what could not be written" "strace cannot trace here"
fi
good_programs
rm "$live/run/live/medium/byoh/byoh.yaml"
mv "$work/site.img" "$live/run/live/medium/byoh/site.img"

step "an installation"
describe byoh-unfinished >"$work/devices.json"
check "it ends well" exits 0 boot
check "it says each step" eval 'says "byoh: mode install" && says "byoh: dividing the disk" && says "byoh: finishing" && says "byoh: installed "'
check "the slot's configuration was it" says "byoh: configuration from the slot byoh/site.img"
check "the disk says that it is whole" eval '[ "$(label)" = byoh-root ] && nothing_mounted'
check "what comes next" eval '[ "$(cat "$live/run/byoh/next")" = poweroff ]'
check "nothing of the configuration stays in memory" eval '! compgen -G "/run/byoh-stick-*" >/dev/null'
id=$(/usr/sbin/sfdisk --disk-id "$loop" | tr '[:upper:]' '[:lower:]')
check "its id is that of the table" says "byoh: installed $id on /dev/$disk"
check "partitions and labels" eval \
	'/usr/sbin/sfdisk -d "$loop" >"$work/out" && prints "name=\"byoh-bios\"" && prints "name=\"byoh-esp\"" && prints C12A7328-F81F-11D2-BA4B-00A0C93EC93B'
check "file systems by the UUIDs of fstab" in_system eval \
	'grep -q "^UUID=$(blkid -p -s UUID -o value "$live/dev/${disk}p3") / ext4 " "$root/etc/fstab" && grep -q "^UUID=$(blkid -p -s UUID -o value "$live/dev/${disk}p2") /boot/efi " "$root/etc/fstab"'
check "the system and the release are there" in_system eval \
	'[ "$(cat "$root/opt/plain/greeting")" = hello ] && [ -s "$root/etc/byoh/byoh.yaml" ] && [ -d "$root/var/lib/byoh" ]'
check "this machine's entry counted" in_system eval '[ "$(cat "$root/etc/hostname")" = node7 ] && [ ! -e "$root/run/byoh-machine" ]'
check "identities are new" in_system eval '[ ! -s "$root/etc/machine-id" ] && [ ! -e "$root/etc/ssh/ssh_host_ed25519_key" ]'
check "the user is there" in_system eval 'grep -q "^ops:x:1000:" "$root/etc/passwd" && grep -q "^ops:.6.abcdefgh" "$root/etc/shadow"'
check "the loader was called for this disk" in_system eval \
	'grep -qxF -- "--disk $live/dev/$disk --esp $live/dev/${disk}p2 --root $live/run/byoh/target" "$root/boot/loader-called"'
check "logs of both are on it" in_system eval \
	'grep -q "byoh: installing the boot loader" "$root"/var/log/byoh/boot-*.log && compgen -G "$root/var/log/byoh/install-*.log" >/dev/null'
check "and hold no hash" in_system eval '! grep -rq ijklmnop "$root/var/log/byoh"'

step "the medium left in"
describe byoh-root >"$work/devices.json"
installed=$(disk_sum)
rm -f "$live/run/byoh/next"
check "it does not install again" eval \
	'exits 0 boot && says "byoh: installed already: " && says "iso.reinstall: " && [ "$(disk_sum)" = "$installed" ] && [ ! -e "$live/run/byoh/next" ]'
sed -i "s/^  after: poweroff/  after: stay\n  reinstall: $id/" "$work/mine.yaml"
rm "$live/run/live/medium/byoh/site.img"
cp "$work/mine.yaml" "$live/run/live/medium/byoh/byoh.yaml"
check "but where its id is named" eval 'exits 0 boot && says "byoh: installed " && [ "$(cat "$live/run/byoh/next")" = stay ]'
describe byoh-root >"$work/devices.json"
check "and that only once" eval 'exits 0 boot && says "byoh: installed already: "'

step "a release with two signatures"
make_keys second
check "it is signed once more" exits 0 "$BYOH_BUNDLE" sign "$run" --key "$work/second/private.pem" --quiet
sed -i "/^  reinstall:/d" "$work/mine.yaml"
{ cat "$work/mine.yaml" && echo 'policy: {threshold: 2}'; } >"$live/run/live/medium/byoh/byoh.yaml"
describe byoh-unfinished >"$work/devices.json"
unsaid=$(disk_sum)
check "nobody says who counts: nothing is written" eval 'exits 3 boot && says "signed by 2 keys" && [ "$(disk_sum)" = "$unsaid" ]'
check "one of them is too few" eval 'exits 3 boot --key "$work/key/public.pem" && says "policy.threshold" && [ "$(disk_sum)" = "$unsaid" ]'
check "both are said: installed" exits 0 boot --key "$work/key/public.pem" --key "$work/second/public.pem"
check "and both are pinned on it" in_system eval '[ "$(ls "$root/etc/byoh/keys.d" | wc -l)" = 2 ]'

exit "$failed"
