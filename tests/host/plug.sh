#!/bin/bash
# The plug is pulled, at hundreds of moments: every write to a machine's disk is recorded while it installs,
# upgrades, goes back and uninstalls; what the disk may hold at a moment is then recovered and judged
# (tests/fault/plug-judge): all old or all new. Some of these disks are booted.
#
# `make check` judges install and upgrade and boots two disks; with BYOH_CHECK_FULL or by its own name, with
# CUTS, the rest as well.
#
#   CUTS     how many moments of each command (60)
#   SEED     chooses them; printed, so that a run can be repeated
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"
fault=$host_top/tests/fault
recording=$host_top/build/vm/plug-recording
cuts=${CUTS:-60}
full=${BYOH_CHECK_FULL:-${CUTS:+1}}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
next_version=1.20.2-next
export BYOH_INSTALL=${BYOH_INSTALL:-$host_top/build/byoh-install} BYOH_BUNDLE=${BYOH_BUNDLE:-$host_top/build/byoh-bundle}
export BYOH_FAULT_TOOLS=${BYOH_FAULT_TOOLS:-$host_top/build/debug/tests/fault}
export TMPDIR=${TMPDIR:-/tmp}

replay_log() {
	"$BYOH_FAULT_TOOLS/replay-log" "$@"
}

# The log's superblock counts what was flushed, so a sync stands before each look at it.
flushed_entries() {
	guest sync >&2
	replay_log count "$recording/writes.log"
}

# record_command NAME COMMANDS    they run in the recorded machine; their moments are NAME's
record_command() {
	local from to
	from=$(flushed_entries) || return
	guest "$2" || return
	to=$(flushed_entries) || return
	echo "$from $to" >"$recording/$1.range"
}

# The same set, a version on: a running service's program is another, kubectl is gone. Its sources are links
# into the cache, so none is written into.
pack_next() {
	local set=$host_top/build/payloads/debian-12 next=$vm_dir/next
	mkdir -p "$next/bin"
	cp -al "$set"/{debs,images} "$next/"
	cp -l "$set"/bin/* "$next/bin/"
	cp --remove-destination "$set/bin/byoh-hostagent" "$next/bin/"
	printf next >>"$next/bin/byoh-hostagent"
	awk '/^version: / { print "version: " new; next }
		/^  - name: / { gone = $3 == "kubectl" }
		!gone' new="$next_version" "$set/bundle.yaml" >"$next/bundle.yaml"
	"$BYOH_BUNDLE" lock "$next/bundle.yaml"
	"$BYOH_BUNDLE" build "$next/bundle.yaml" --key "$host_top/build/vm/key/private.pem" \
		--stub "$BYOH_INSTALL" --level 3 --out "$host_site/next.run"
}

record() {
	# A folder of this test's own; a recording is of no use to another program under test.
	mkdir -p "$recording"
	rm -f "$recording"/{key,base.raw,writes.log} "$recording"/*.range
	qemu-img convert -O raw "$("$host_top/scripts/vm/root")/disk.qcow2" "$recording/base.raw"
	"$CP_BIN/kubeadm" init phase certs ca --cert-dir "$vm_dir/pki" \
		--kubernetes-version "$("$CP_BIN/kubeadm" version -o short)" >"$vm_dir/pki.log" 2>&1
	site_write "$host_site" agent "$vm_dir/pki/ca.crt" abcdef.0123456789abcdef
	must "a next release is packed" pack_next
	must "a machine boots whose disk is recorded" vm_start --base "$recording/base.raw" \
		--log "$recording/writes.log"
	must "the files are brought to it" host_put_site
	must "a bare run installs" record_command install 'cd /root/site && ./byoh-install.run --yes'
	must "the next release upgrades" record_command upgrade '/root/site/next.run --yes'
	if [ -n "$full" ]; then
		must "a rollback goes back" record_command rollback 'byoh-install rollback --yes'
		must "an uninstall gives the host back" record_command uninstall 'byoh-install uninstall --yes'
	fi
	must "the recorded machine is turned off" vm_kill
	echo "$key" >"$recording/key"
}

# judge NAME    every moment, on as many processors as there are
judge() {
	local from to part workers=1 pids=() pid
	read -r from to <"$recording/$1.range"
	replay_log moments "$recording/writes.log" "$from" "$to" "$cuts" "$seed" >"$vm_dir/$1.moments"
	# Each keeps a whole disk in memory.
	[ "$(awk '$1 == "MemAvailable:" { print int($2 / 1048576) }' /proc/meminfo)" -lt 8 ] || workers=$(nproc)
	split -n "l/$workers" -d "$vm_dir/$1.moments" "$vm_dir/$1.moments-"
	for part in "$vm_dir/$1".moments-*; do
		"$fault/plug-judge" "$recording" "$1" "$part" "$part.out" >"$part.log" 2>&1 &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid" || true
	done
	cat "$vm_dir/$1".moments-*.out >"$vm_dir/$1.results"
	cat "$vm_dir/$1".moments-*.log
	[ "$(wc -l <"$vm_dir/$1.results")" = "$cuts" ]
	! grep -qvE '(old|new)$' "$vm_dir/$1.results"
}

# Moments from one side alone would show nothing of the other.
both_sides() {
	awk '{ print $4, $5 }' "$vm_dir/$1.results" | sort | uniq -c
	grep -q 'changing old$' "$vm_dir/$1.results" && grep -q ' new$' "$vm_dir/$1.results"
}

# boot NAME 'JOURNAL VERDICT'    a disk of such a moment, out of the middle of them
boot() {
	local found entry choice number
	found=$(grep " $2\$" "$vm_dir/$1.results" | awk '{ line[NR] = $0 } END { print line[int((NR + 1) / 2)] }')
	read -r entry choice number _ <<<"$found"
	echo "booting the disk of $1 at $entry $choice $number: $2"
	rm -f "$vm_dir/boot.raw"
	replay_log image "$recording/base.raw" "$recording/writes.log" "$vm_dir/boot.raw" \
		"$entry" "$choice" "$number" && vm_start --base "$vm_dir/boot.raw"
}

is_bare() {
	guest 'test ! -e /var/lib/byoh
		test ! -e /etc/byoh
		! command -v containerd kubelet byoh-install || exit 1'
}

# is_installed VERSION
is_installed() {
	guest "byoh-install status || exit
		byoh-install status --json | grep -F '\"$1\"'
		"'systemctl is-active containerd
		ctr -n k8s.io images ls -q | grep -qxF byoh.local/pause:1
		ctr -n k8s.io images ls -q | grep -qxF byoh.local/hello:1
		test "$(cat /proc/sys/net/ipv4/ip_forward)" = 1'
}

# boots NAME 'JOURNAL VERDICT' WHAT COMMAND...    and the command says whether it is well
boots() {
	local name=$1 kind=$2 what=$3
	shift 3
	must "$name: a disk that is $kind boots" boot "$name" "$kind"
	check "$name: its boot ends well" vm_booted
	check "$name: $what" "$@"
	must "$name: it is turned off" vm_kill
}

# Why this computer cannot look into a disk; fails if it can.
cannot_mount() {
	truncate -s 8M "$vm_dir/try.raw"
	mke2fs -q -t ext4 "$vm_dir/try.raw"
	mkdir -p "$vm_dir/try"
	! unshare --mount --propagation private mount -o loop "$vm_dir/try.raw" "$vm_dir/try" 2>&1
}

host_begin plug
if reason=$(cannot_mount); then
	echo "SKIP plug: this computer cannot mount an image: $reason"
	exit 0
fi
version=$(awk '$1 == "version:" { print $2; exit }' "$host_top/build/payloads/debian-12/bundle.yaml")
key=${full:-0}$(sha256sum "$host_run" "$0" "$host_top"/scripts/vm/{root,machine.sh,guest-agent} | sha256sum | cut -c1-16)
if [ "$(cat "$recording/key" 2>/dev/null)" = "$key" ]; then
	echo "==> recorded before: $recording" >&2
else
	record
fi
if [ -n "$full" ]; then
	judged=(install upgrade rollback uninstall)
else
	judged=(install upgrade)
	echo "LEFT plug: cuts of rollback and uninstall, the boot of a disk of install (CUTS=500 tests/host/run plug)"
fi
for name in "${judged[@]}"; do
	echo "==> $name: $cuts moments, SEED=$seed" >&2
	began=$SECONDS
	check "$name: old or new after a cut at any of $cuts moments (SEED=$seed)" judge "$name"
	check "$name: some were before and some after the commit" both_sides "$name"
	echo "==> judged in $((SECONDS - began)) s" >&2
done
[ -z "$full" ] || boots install 'changing old' "the host is as it was" is_bare
boots upgrade 'changing old' "the old release runs" is_installed "$version"
boots upgrade 'committed new' "the new release runs" is_installed "$next_version"
