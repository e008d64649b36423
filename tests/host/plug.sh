#!/bin/bash
# The plug is pulled, at hundreds of moments: every write of a machine's disk is recorded while it installs,
# and what the disk may hold at a moment is then recovered and judged (tests/fault/plug-judge): all old or
# all new. Two of these disks are booted, one from before the commit and one from after it.
#
#   CUTS     how many moments (200)
#   SEED     chooses them; printed, so that a run can be repeated
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"
fault=$host_top/tests/fault
recording=$host_top/build/vm/plug-recording
cuts=${CUTS:-200}
seed=${SEED:-$((RANDOM * 32768 + RANDOM))}
export TMPDIR=${TMPDIR:-/tmp}

replay_log() {
	"${BYOH_FAULT_TOOLS:?}/replay-log" "$@"
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

record() {
	# A folder of this test's own; a recording is of no use to another program under test.
	mkdir -p "$recording"
	rm -f "$recording"/{key,base.raw,writes.log} "$recording"/*.range
	qemu-img convert -O raw "$("$host_top/scripts/vm/root")/disk.qcow2" "$recording/base.raw"
	"$CP_BIN/kubeadm" init phase certs ca --cert-dir "$vm_dir/pki" \
		--kubernetes-version "$("$CP_BIN/kubeadm" version -o short)" >"$vm_dir/pki.log" 2>&1
	site_write "$host_site" agent "$vm_dir/pki/ca.crt" abcdef.0123456789abcdef
	must "a machine boots whose disk is recorded" vm_start --base "$recording/base.raw" \
		--log "$recording/writes.log"
	must "the files are brought to it" host_put_site
	must "a bare run installs" record_command install 'cd /root/site && ./byoh-install.run --yes'
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

# Half of the moments in the same half of the transaction would show nothing of the other.
both_sides() {
	awk '{ print $4, $5 }' "$vm_dir/$1.results" | sort | uniq -c
	grep -q 'changing old$' "$vm_dir/$1.results" && grep -q 'committed new$' "$vm_dir/$1.results"
}

# boot NAME JOURNAL    a disk of such a moment, out of the middle of them
boot() {
	local found entry choice number
	found=$(grep " $2 " "$vm_dir/$1.results" | awk '{ line[NR] = $0 } END { print line[int((NR + 1) / 2)] }')
	read -r entry choice number _ <<<"$found"
	echo "booting the disk at $entry $choice $number, journal $2"
	rm -f "$vm_dir/boot.raw"
	replay_log image "$recording/base.raw" "$recording/writes.log" "$vm_dir/boot.raw" \
		"$entry" "$choice" "$number"
	vm_start --base "$vm_dir/boot.raw"
}

is_old() {
	guest 'test ! -e /var/lib/byoh
		test ! -e /etc/byoh
		! command -v containerd kubelet byoh-install || exit 1'
}

is_new() {
	guest 'byoh-install status
		systemctl is-active containerd
		ctr -n k8s.io images ls -q | grep -qxF byoh.local/pause:1
		ctr -n k8s.io images ls -q | grep -qxF byoh.local/hello:1
		test "$(cat /proc/sys/net/ipv4/ip_forward)" = 1'
}

host_begin plug
key=$(sha256sum "$host_run" "$0" "$host_top"/scripts/vm/{root,machine.sh,guest-agent} | sha256sum | cut -c1-16)
if [ "$(cat "$recording/key" 2>/dev/null)" = "$key" ]; then
	echo "==> recorded before: $recording" >&2
else
	record
fi
echo "==> $cuts moments, SEED=$seed" >&2
began=$SECONDS
check "an installation is old or new after a cut at any of $cuts moments (SEED=$seed)" judge install
check "some of them were before and some after the commit" both_sides install
echo "==> judged in $((SECONDS - began)) s" >&2

must "a disk from amid the changes boots" boot install changing
check "its boot ends well" vm_booted
check "the host is as it was" is_old
must "it is turned off" vm_kill
must "a disk from after the commit boots" boot install committed
check "its boot ends well" vm_booted
check "the host is installed, and its services run" is_new
