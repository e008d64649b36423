# shellcheck shell=bash
# Machines that start from an image (iso/build) or from the disk that it was laid onto. Sourced after
# scripts/vm/machine.sh, in a world of its; they are seen through their serial line alone, as by an operator.
#
#   iso_disk NAME SIZE                  an empty disk, $vm_dir/NAME.disk
#   iso_start [OPTION]...               a machine that runs until it goes off or starts anew
#       --firmware bios|uefi|secure     bios by default
#       --cd IMAGE | --usb IMAGE        the medium
#       --kernel FOLDER 'ARGUMENTS'     vmlinuz and initrd.img without firmware and menu
#       --disk NAME[:SERIAL]            in this order; --memory MiB
#       --link | --vlan                 a card on the link, of vm_link_start or iso_vlan_start
#                                       VM_CPUS: emulated processors, 2 by default; iso_clock: what its clock
#                                       shows, like 2001-01-01
#   iso_vlan_start ID                   the link, for a machine that tags what it sends
#   iso_wait SECONDS REGEX              until a line of the serial line matches; prints it
#   iso_off SECONDS                     until it is off or would start anew
#   iso_kill                            the plug is pulled

# The line of the medium's menu, for starts without one. On a busy computer units start late.
iso_patience="systemd.default_timeout_start_sec=${vm_patience:?}"
iso_kernel_line="boot=live noeject nopersistence loglevel=4 systemd.show_status=0 console=ttyS0,115200n8"
iso_kernel_line+=" --- $iso_patience"

# A name for the firmware's variables: they outlive a start, as they do on a board.
iso_vars() {
	local vars=${vm_dir:?}/$1.vars
	[ -f "$vars" ] || cp "$2" "$vars"
	printf '%s\n' "$vars"
}

# Prints why such machines cannot run here, and fails if they can.
iso_missing() {
	vm_missing --link && return
	local tool
	for tool in mksquashfs:squashfs-tools mmdebstrap:mmdebstrap mcopy:mtools xorriso:xorriso; do
		if ! command -v "${tool%%:*}" >/dev/null; then
			echo "${tool#*:} is not installed"
			return 0
		fi
	done
	if [ ! -f /usr/share/OVMF/OVMF_CODE_4M.fd ]; then
		echo "ovmf is not installed"
		return 0
	fi
	return 1
}

iso_disk() {
	qemu-img create -q -f qcow2 "$vm_dir/$1.disk" "$2"
}

# iso_firmware bios|uefi|secure    sets iso_board
iso_firmware() {
	local folder=/usr/share/OVMF
	iso_board=(-machine q35)
	case $1 in
	bios) ;;
	uefi)
		iso_board+=(-drive "if=pflash,format=raw,readonly=on,file=$folder/OVMF_CODE_4M.fd"
			-drive "if=pflash,format=raw,file=$(iso_vars uefi $folder/OVMF_VARS_4M.fd)")
		;;
	secure)
		# shellcheck disable=SC2054 # the commas are QEMU's
		iso_board=(-machine "q35,smm=on" -global driver=cfi.pflash01,property=secure,value=on
			-drive "if=pflash,format=raw,readonly=on,file=$folder/OVMF_CODE_4M.ms.fd"
			-drive "if=pflash,format=raw,file=$(iso_vars secure $folder/OVMF_VARS_4M.ms.fd)")
		;;
	*) vm_fail "iso_start: unknown firmware $1" ;;
	esac
}

iso_start() {
	local firmware=bios memory=2048 devices=() network=(-nic none) disk index=0
	while [ $# -gt 0 ]; do
		case $1 in
		--firmware) firmware=$2 && shift ;;
		--cd) devices+=(-drive "if=none,id=cd,media=cdrom,format=raw,readonly=on,file=$2" -device "ide-cd,drive=cd,bootindex=1") && shift ;;
		--usb) devices+=(-device qemu-xhci -drive "if=none,id=stick,format=raw,readonly=on,file=$2"
			-device "usb-storage,drive=stick,removable=on,serial=STICK,bootindex=1") && shift ;;
		--kernel) devices+=(-kernel "$2/vmlinuz" -initrd "$2/initrd.img" -append "$3") && shift 2 ;;
		--disk)
			disk=${2%%:*}
			devices+=(-drive "if=none,id=disk$index,format=qcow2,cache=unsafe,discard=unmap,file=$vm_dir/$disk.disk"
				-device "virtio-blk-pci,drive=disk$index,bootindex=$((index + 2)),serial=${2##*:}")
			index=$((index + 1))
			shift
			;;
		--link) network=(-netdev "tap,id=lan,ifname=tap0,script=no,downscript=no"
			-device "virtio-net-pci,netdev=lan,mac=52:54:00:12:34:56,romfile=") ;;
		--vlan) network=(-netdev "dgram,id=lan,local.type=unix,local.path=$vm_dir/machine,remote.type=unix,remote.path=$vm_dir/port"
			-device "virtio-net-pci,netdev=lan,mac=52:54:00:12:34:56,romfile=") ;;
		--memory) memory=$2 && shift ;;
		*) vm_fail "iso_start: unknown option $1" || return ;;
		esac
		shift
	done
	iso_firmware "$firmware" || return
	# A start is looked at by itself: what the one before said stays in the same file, above.
	iso_from=$(($(stat -c %s "${vm_log:?}") + 1))
	(
		# shellcheck disable=SC2046
		vm_in_world qemu-system-x86_64 "${iso_board[@]}" $(vm_accelerator) -m "$memory" -smp "${VM_CPUS:-2}" \
			-rtc "base=${iso_clock:-utc}" -display none -monitor none -no-reboot -nodefaults -vga std -pidfile "$vm_dir/qemu.pid" \
			-chardev "file,id=console,path=$vm_log,append=on" -serial chardev:console "${network[@]}" \
			"${devices[@]}" -device virtio-rng-pci
	) </dev/null >>"$vm_dir/qemu.log" 2>&1 &
	iso_pid=$!
}

iso_wait() {
	local line
	# grep ends at the first hit, and nobody waits for tail.
	if line=$(grep -a -m1 -E -- "$2" < <(timeout "$1" tail -c "+$iso_from" -s 0.5 -f --pid="$iso_pid" "$vm_log" 2>/dev/null |
		sed -u 's/\r//g')); then
		printf '%s\n' "$line"
		return 0
	fi
	tail -c "+$iso_from" "$vm_log" | tr -d '\r' | tail -n 25
	vm_fail "no line '$2' on the serial line within $1 s; console: $vm_log"
}

iso_off() {
	timeout "$1" tail -f /dev/null --pid="$iso_pid" || vm_fail "the machine is not off after $1 s; console: $vm_log"
}

iso_kill() {
	vm_in_world kill -KILL "$(cat "$vm_dir/qemu.pid")"
	iso_off 20
}

# iso_says REGEX    it stands on the serial line of this start
iso_says() {
	tail -c "+$iso_from" "$vm_log" | tr -d '\r' | grep -a -E -- "$1"
}

# iso_image FILE [ARGUMENT]...    an image of BYOH_RUN whose menu starts at once, on the serial line
iso_image() {
	local file=$1
	shift
	"${vm_scripts:?}/../../iso/build" --quick --console serial --timeout 0 \
		--append "--- $iso_patience" --run "${BYOH_RUN:?}" \
		--key "$vm_scripts/../../build/vm/key/private.pem" --out "$file" "$@"
}

# iso_configure IMAGE BYOH.YAML
iso_configure() {
	"${BYOH_BUNDLE:-$vm_scripts/../../build/byoh-bundle}" iso-config "$1" --set "$2"
}

# iso_site_write FILE MODE CA TOKEN    a configuration in one file, without a disk: `iso:` stands at its end
iso_site_write() {
	local folder=$vm_dir/iso-site ca
	[ -f "$vm_dir/ssh" ] || ssh-keygen -q -t ed25519 -N '' -C tests -f "$vm_dir/ssh"
	site_write "$folder" "$2" "$3" "$4"
	ca=$(base64 -w0 "$3")
	sed -e "s|ca: {file: ca.crt}|ca: {data: $ca}|" -e "s|token: {file: token}|token: {value: $4}|" \
		-e 's|^cni: .*|cni: {install: bridge, podCIDR: 10.244.0.0/24}|' "$folder/byoh.yaml" >"$1"
	cat >>"$1" <<-YAML
		host: {hostname: worker}
		iso:
		  mode: install
		  users:
		    - {name: admin, sudo: true, sshKeys: ["$(cat "$vm_dir/ssh.pub")"]}
	YAML
}

iso_vlan_start() {
	local program=${BYOH_VLAN_PORT:-$vm_scripts/../../build/debug/tests/host/vlan-port}
	vm_in_world "$program" lan0 "$1" "$vm_dir/port" "$vm_dir/machine" || return
	# shellcheck disable=SC2016
	vm_in_world sh -e -c '
		ip address add "$1/24" dev lan0
		ip link set lan0 up
		ip route add default via "$2"' link "${vm_host_address:?}" "${vm_address:?}"
}

# The only port, by its address on the board; with an ID a VLAN on it has the address.
iso_site_link() {
	if [ -n "${1:-}" ]; then
		cat <<-YAML
			  network:
			    links:
			      - name: site
			        vlan: {id: $1, link: "52:54:00:12:34:56"}
			        addresses: ["${vm_address:?}/24"]
			        gateway: ${vm_host_address:?}
		YAML
		return
	fi
	cat <<-YAML
		  network:
		    links:
		      - {mac: "52:54:00:12:34:56", addresses: ["${vm_address:?}/24"], gateway: ${vm_host_address:?}}
	YAML
}

# iso_ssh COMMANDS    as root on the installed machine; a name of the host keys is not known before
iso_ssh() {
	vm_in_world timeout "$vm_patience" ssh -q -i "$vm_dir/ssh" -o BatchMode=yes -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile="$vm_dir/known_hosts" -o ConnectTimeout=60 -o ConnectionAttempts="$vm_patience" \
		"admin@$vm_address" sudo -n bash -eu <<<"$1"
}
