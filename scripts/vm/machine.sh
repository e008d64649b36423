# shellcheck shell=bash
# Test machines: a bare Debian 12 in QEMU, and a small world of namespaces that holds it.
#
#   . scripts/vm/machine.sh
#   trap vm_world_stop EXIT
#   vm_world_start build/vm/mytest        namespaces of our own; all that runs in them dies with this shell
#   vm_link_start                         a private link, 10.99.0.1/24 on our side
#   vm_start [--link] [--memory MiB]      a machine with a fresh disk; with --link it is 10.99.0.2
#                                         --base RAW: a disk of the caller's instead, which stays as it is
#                                         --log FILE: every write to the disk and every flush from power-on on,
#                                         in the format of dm-log-writes
#   vm_run [-t SECONDS] [-f] 'commands'   runs them in it: their output, their exit code; -f shows it as it comes
#   vm_copy_in FILE... FOLDER             into the machine
#   vm_copy_out FILE TARGET               out of it
#                                         $vm_append: more arguments for its kernel
#   vm_reboot; vm_stop; vm_start --again  the same disk again, with or without --link
#
# Nothing here touches the caller's network, and no process is looked for by name: the processes live in
# a PID namespace, so the kernel ends them together, even if this shell is killed.

vm_scripts=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
vm_dir=
vm_world_pid=
vm_address=10.99.0.2
vm_host_address=10.99.0.1
# Every wait ends after this many seconds. It only bounds what hangs: under emulation on a busy computer
# all is ten times slower than on a quiet one.
vm_patience=${VM_PATIENCE:-600}

# Prints why this computer cannot run test machines, and fails if it can.
vm_missing() {
	local tool
	if [ "$(id -u)" != 0 ]; then
		echo "needs root for namespaces"
		return 0
	fi
	for tool in qemu-system-x86_64 qemu-img mke2fs unshare nsenter setpriv ip; do
		if ! command -v "$tool" >/dev/null; then
			echo "$tool is not installed"
			return 0
		fi
	done
	if ! unshare --net --pid --fork true 2>/dev/null; then
		echo "may not make namespaces"
		return 0
	fi
	if [ "${1:-}" = --link ] && ! unshare --net ip tuntap add tap0 mode tap 2>/dev/null; then
		echo "may not make a tap device"
		return 0
	fi
	return 1
}

vm_fail() {
	echo "machine: $*" >&2
	return 1
}

# vm_world_start FOLDER    FOLDER is ours and starts empty; the serial console goes to build/logs
vm_world_start() {
	local out
	vm_dir=$(realpath -m "$1")
	vm_log=$(realpath -m "$vm_scripts/../../build/logs/$(basename "$vm_dir")-console.log")
	# What is there already goes, so it has to be a world's: a folder of somebody else is never emptied.
	if [ -e "$vm_dir" ] && [ ! -f "$vm_dir/.world" ]; then
		vm_fail "$vm_dir is there and was not made by vm_world_start; remove it yourself" || return
	fi
	mkdir -p "$(dirname "$vm_dir")" "$(dirname "$vm_log")"
	# Whatever runs in the world holds the lock too, and so ends before it.
	exec {vm_lock}>"$vm_dir.lock"
	flock -n "$vm_lock" || vm_fail "$vm_dir is in use by another run" || return
	rm -rf --one-file-system "$vm_dir"
	mkdir -p "$vm_dir"
	: >"$vm_dir/.world"
	: >"$vm_log"
	mkfifo "$vm_dir/world"
	exec {out}<>"$vm_dir/world"
	# PID 1 of the namespace tells its PID as seen from here: /proc is the one of outside. Being bash it
	# also reaps what is orphaned in there.
	# shellcheck disable=SC2016
	setpriv --pdeathsig KILL unshare --net --pid --fork --kill-child=KILL bash -c '
		read -r pid _ </proc/self/stat
		ip link set lo up && echo "$pid" >"$1"
		while :; do sleep infinity & wait; done' world "$vm_dir/world" \
		</dev/null >"$vm_dir/world.log" 2>&1 &
	vm_unshare_pid=$!
	read -r -t 20 -u "$out" vm_world_pid || vm_fail "no namespaces, see $vm_dir/world.log" || return
	exec {out}>&-
}

vm_world_stop() {
	[ -n "${vm_unshare_pid:-}" ] || return 0
	kill -KILL "$vm_unshare_pid" 2>/dev/null || true
	wait "$vm_unshare_pid" 2>/dev/null || true
	vm_unshare_pid=
	# Disks of gigabytes are of no use afterwards; logs are.
	rm -f "$vm_dir"/disk.qcow2
	rm -rf --one-file-system "$vm_dir/share/in"
}

vm_running() {
	[ -f "$vm_dir/qemu.pid" ] && vm_in_world kill -0 "$(cat "$vm_dir/qemu.pid")" 2>/dev/null
}

# vm_in_world COMMAND...    runs it in the namespaces
vm_in_world() {
	nsenter --target "$vm_world_pid" --net --pid -- "$@"
}

# A bridge, so that a second machine could be on the link as well. kubeadm insists on a default route.
vm_link_start() {
	# shellcheck disable=SC2016
	vm_in_world sh -e -c '
		ip link add lan0 type bridge
		ip address add "$1/24" dev lan0
		ip link set lan0 up
		ip tuntap add tap0 mode tap
		ip link set tap0 master lan0 up
		ip route add default via "$2"' link "$vm_host_address" "$vm_address"
}

# /dev/kvm alone says little: where it is PVM a stock kernel spins for ever.
vm_accelerator() {
	if grep -qwE 'svm|vmx' /proc/cpuinfo && [ -w /dev/kvm ] && [ ! -d /sys/module/kvm_pvm ]; then
		echo "-accel kvm -cpu host"
	else
		echo "-accel tcg,thread=multi,tb-size=512 -cpu max"
	fi
}

# Where writes are logged the guest's flushes have to arrive; what lies below needs none. QEMU's log of
# zeroes that are written without data may be damaged by another write, so the guest is offered none.
vm_disk() {
	local file=file=$vm_dir/disk.qcow2
	if [ -z "$vm_write_log" ]; then
		vm_disk=(-drive "$file,if=virtio,format=qcow2,cache=unsafe,discard=unmap")
		return
	fi
	vm_disk=(-blockdev "driver=blklogwrites,node-name=logged,log-sector-size=512"
		-device "virtio-blk-pci,drive=logged,write-cache=on,discard=off,write-zeroes=off")
	vm_disk[1]+=",file.driver=qcow2,file.cache.no-flush=on,file.file.driver=file,file.file.filename=$vm_dir/disk.qcow2"
	vm_disk[1]+=",log.driver=file,log.cache.no-flush=on,log.filename=$vm_write_log"
	: >"$vm_write_log"
}

vm_power_on() {
	local append="root=/dev/vda rw console=ttyS0 quiet loglevel=4 panic=-1 net.ifnames=0 mitigations=off"
	local network=(-nic none)
	# A busy computer shows a device later than the 90 s after which systemd gives it up for good.
	append+=" systemd.show_status=0 systemd.default_timeout_start_sec=$vm_patience ${vm_append:-}"
	vm_disk
	[ -z "$vm_link" ] ||
		network=(-netdev "tap,id=lan,ifname=tap0,script=no,downscript=no" -device "virtio-net-pci,netdev=lan,romfile=")
	# The exit of QEMU is one more line on the control pipe: who waits for an answer waits for both.
	(
		code=0
		# shellcheck disable=SC2046
		vm_in_world qemu-system-x86_64 -machine q35 $(vm_accelerator) -m "$vm_memory" -smp 2 \
			-display none -monitor none -no-reboot -nodefaults -pidfile "$vm_dir/qemu.pid" \
			-chardev "file,id=console,path=$vm_log,append=on" -serial chardev:console "${network[@]}" \
			-kernel "$vm_root/vmlinuz" -initrd "$vm_root/initrd.img" -append "$append" \
			"${vm_disk[@]}" \
			-virtfs "local,path=$vm_dir/share,mount_tag=test.share,security_model=none,multidevs=remap" \
			-chardev "pipe,id=control,path=$vm_dir/control" -device virtio-serial-pci \
			-device virtserialport,chardev=control,name=test.control \
			-device virtio-rng-pci || code=$?
		printf '\nexit %s\n' "$code" >&"$vm_out"
	) </dev/null >>"$vm_dir/qemu.log" 2>&1 &
	vm_wait "$vm_patience" ready
}

# vm_wait SECONDS WORD    until the machine says so: ready, or exit when it is off
vm_wait() {
	local end=$((SECONDS + $1)) word
	while [ "$SECONDS" -lt "$end" ]; do
		read -r -t $((end - SECONDS)) -u "$vm_out" word _ || break
		[ "$word" != "$2" ] || return 0
		if [ "$word" = exit ]; then
			vm_fail "the machine went off while it was to say '$2'; console: $vm_log, QEMU: $vm_dir/qemu.log"
			return
		fi
	done
	vm_fail "no '$2' from the machine in $1 s; console: $vm_log"
}

# Made once: a world may see several machines, one after the other.
vm_control_open() {
	mkdir -p "$vm_dir/share/queue" "$vm_dir/share/in" "$vm_dir/share/out"
	echo 0 >"$vm_dir/share/queue/last"
	mkfifo "$vm_dir/control.in" "$vm_dir/control.out"
	# Open for both directions: so neither end ever waits for the other to open it, and none sees an end.
	exec {vm_in}<>"$vm_dir/control.in" {vm_out}<>"$vm_dir/control.out"
}

# vm_start [--link] [--memory MiB] [--again] [--base RAW] [--log FILE]
vm_start() {
	local again='' base=''
	vm_link=
	vm_write_log=
	vm_memory=2048
	while [ $# -gt 0 ]; do
		case $1 in
		--link) vm_link=1 ;;
		--again) again=1 ;;
		--base) base=$2 && shift ;;
		--log) vm_write_log=$2 && shift ;;
		--memory) vm_memory=$2 && shift ;;
		*) vm_fail "vm_start: unknown option $1" || return ;;
		esac
		shift
	done
	vm_root=$("$vm_scripts/root") || return
	if [ -z "$again" ]; then
		[ -p "$vm_dir/control.in" ] || vm_control_open
		if [ -n "$base" ]; then
			qemu-img create -q -f qcow2 -F raw -b "$base" "$vm_dir/disk.qcow2" || return
		else
			qemu-img create -q -f qcow2 -F qcow2 -b "$vm_root/disk.qcow2" "$vm_dir/disk.qcow2" || return
		fi
	fi
	vm_power_on || return
	[ -z "$vm_link" ] || vm_link_configure
}

# Static, because nobody answers DHCP; by networkd, because it has to be there again after a reboot.
vm_link_configure() {
	vm_run "
		printf '[Match]\nName=eth0\n[Network]\nAddress=$vm_address/24\nGateway=$vm_host_address\n' \
			>/etc/systemd/network/10-link.network
		systemctl enable --now --quiet systemd-networkd
		/lib/systemd/systemd-networkd-wait-online --interface=eth0 --timeout=$vm_patience"
}

# vm_submit SECONDS COMMANDS    hands the machine a script; sets vm_number
vm_submit() {
	local queue=$vm_dir/share/queue
	read -r vm_number <"$queue/last"
	vm_number=$((vm_number + 1))
	echo "$vm_number" >"$queue/last"
	printf '%s\n' "$2" >"$queue/$vm_number.sh"
	: >"$queue/$vm_number.out"
	printf '%s %s\n' "$vm_number" "$1" >&"$vm_in"
}

# vm_run [-t SECONDS] [-f] COMMANDS    124 after SECONDS (vm_patience by default)
vm_run() {
	local limit=$vm_patience follow='' code=0 OPTIND=1 option
	while getopts t:f option; do
		case $option in
		t) limit=$OPTARG ;;
		f) follow=1 ;;
		*) return 2 ;;
		esac
	done
	shift $((OPTIND - 1))
	vm_submit "$limit" "$1"
	if [ -n "$follow" ]; then
		vm_follow "$limit" "$vm_dir/share/queue/$vm_number.out" || code=$?
	else
		vm_wait_done "$limit" || code=$?
		cat "$vm_dir/share/queue/$vm_number.out"
	fi
	return "$code"
}

# Shows a growing file until the command is done. A line of ours marks the end, since `tail -f` knows none.
vm_follow() {
	local end='-- end of the output --' lines code=0 tail_pid sed_pid
	exec {lines}< <(exec tail -n +1 -s 0.2 -f "$2")
	tail_pid=$!
	sed -u "/^$end\$/Q" <&"$lines" &
	sed_pid=$!
	vm_wait_done "$1" || code=$?
	[ -z "$(tail -c 1 "$2")" ] || echo >>"$2"
	printf '%s\n' "$end" >>"$2"
	wait "$sed_pid"
	kill "$tail_pid" 2>/dev/null || true
	exec {lines}<&-
	return "$code"
}

vm_wait_done() {
	local end=$((SECONDS + $1 + 60)) word number code
	while IFS=' ' read -r -t $((end - SECONDS > 0 ? end - SECONDS : 1)) -u "$vm_out" word number code; do
		[ "$word" != exit ] || { vm_fail "the machine went off; console: $vm_log" || return 125; }
		[ "$word $number" != "done $vm_number" ] || return "$code"
	done
	vm_fail "no answer from the machine in $(($1 + 60)) s; console: $vm_log"
	return 125
}

# The share is slow and not the machine's own file system: what runs there is copied first.
vm_copy_in() {
	local target=${*: -1} file
	for file in "${@:1:$#-1}"; do
		cp -a --reflink=auto "$file" "$vm_dir/share/in/" || return
		vm_run "mkdir -p '$target' && cp -a /run/test-machine/in/'$(basename "$file")' '$target/'" || return
		rm -rf --one-file-system "$vm_dir/share/in/$(basename "$file")"
	done
}

vm_copy_out() {
	vm_run "cp -a '$1' /run/test-machine/out/file" && mv "$vm_dir/share/out/file" "$2"
}

# QEMU ends where the machine would start anew, and we start it: so "it is off" is an event.
vm_reboot() {
	vm_submit 60 "systemctl reboot"
	vm_wait "$vm_patience" exit || return
	vm_power_on
}

vm_stop() {
	vm_submit 60 "systemctl poweroff"
	vm_wait "$vm_patience" exit
}

# The plug is pulled.
vm_kill() {
	vm_in_world kill -KILL "$(cat "$vm_dir/qemu.pid")"
	vm_wait 20 exit
}

# The machine has started everything that it is going to start. "degraded" is a failure of a unit.
vm_booted() {
	vm_run "systemctl is-system-running --wait" || {
		vm_run "systemctl --failed --no-legend --plain; systemctl list-jobs --no-legend"
		return 1
	}
}
