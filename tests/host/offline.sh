#!/bin/bash
# A machine without any network device and without iptables becomes a prepared node by one bare run; all
# is looked at from the machine's own namespaces, at once, and again after a reboot.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"

host_begin offline

# An API server that is not there: the agent has to wait for it, and the installer must not.
"$CP_BIN/kubeadm" init phase certs ca --cert-dir "$vm_dir/pki" \
	--kubernetes-version "$("$CP_BIN/kubeadm" version -o short)" >"$vm_dir/pki.log" 2>&1
site_write "$host_site" agent "$vm_dir/pki/ca.crt" abcdef.0123456789abcdef

# A small bundle in three slices on two sticks, each an image with FAT.
fat_image() {
	truncate -s 16M "$1" && mkfs.vfat "$1" && mcopy -i "$1" "${@:2}" ::
}
make_sticks() {
	local bundle=${BYOH_BUNDLE:-$host_top/build/byoh-bundle} made=$vm_dir/small sticks=$host_site/sticks size
	mkdir -p "$made" "$sticks" || return
	head -c 3000000 /dev/urandom >"$made/data"
	cat >"$made/bundle.yaml" <<-END
		apiVersion: byoh-bundle/v1alpha1
		kind: Bundle
		name: small
		version: "1.0"
		epoch: 1
		arch: amd64
		components:
		  - name: data
		    version: "1.0"
		    license: Apache-2.0
		    source: {path: data, sha256: $(sha256sum <"$made/data" | cut -c1-64)}
		    files: [{from: data, to: /opt/data, mode: "0644"}]
	END
	printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: none}\n' >"$sticks/byoh.yaml"
	"$bundle" keygen --out "$made/keys" &&
		"$bundle" build "$made/bundle.yaml" --key "$made/keys/private.pem" --out "$made/small.bundle" --level 1 \
			--cache "$made/cache" --stub "${BYOH_INSTALL:-$host_top/build/byoh-install}" &&
		size=$(stat -c %s "$made/small.bundle") &&
		"$bundle" split "$made/small.bundle" --size $((size / 3 + 1)) --out "$made/slices" &&
		fat_image "$sticks/stick1" "$made/slices/small.bundle.001" "$made/slices/small.bundle.003" &&
		fat_image "$sticks/stick2" "$made/slices/small.bundle.002" &&
		cp "$made/keys/public.pem" "$made/data" "$sticks/"
}
from_two_sticks() {
	guest 'cd /root/site/sticks
		for n in 1 2; do
			mkdir -p /mnt/$n
			mount -t vfat -o loop,ro,noexec stick$n /mnt/$n
		done
		mkdir /root/sliced
		../byoh-install.run install --root /root/sliced --config byoh.yaml --key public.pem --from /mnt/2 --from /mnt/1
		cmp data /root/sliced/opt/data
		umount /mnt/1 /mnt/2
		rm -r /root/sliced'
}

forwarding() {
	guest '
		test "$(cat /proc/sys/net/ipv4/ip_forward)" = 1
		test "$(cat /proc/sys/net/bridge/bridge-nf-call-iptables)" = 1
		test "$(cat /proc/sys/net/bridge/bridge-nf-call-ip6tables)" = 1'
}

# Without an API server the agent ends and systemd starts it anew, again and again: "activating" is well.
# The kubelet is the agent's to enable, once it has been claimed.
services() {
	guest 'systemctl is-active --quiet containerd || { systemctl status --no-pager containerd; exit 1; }
		case $(systemctl show -P ActiveState byoh-hostagent) in
		active | activating) ;;
		*) systemctl status --no-pager byoh-hostagent; exit 1 ;;
		esac
		for unit in containerd byoh-hostagent; do
			systemctl is-enabled --quiet $unit || { echo "$unit is not enabled"; exit 1; }
		done
		test -e /usr/local/lib/systemd/system/kubelet.service
		! systemctl is-active --quiet kubelet || { echo "kubelet runs without a configuration"; exit 1; }'
}

images() {
	guest 'ctr -n k8s.io images ls -q
		sandbox=$(sed -n "s/^ *sandbox\(_image\)\? *= *[\"'\'']\(.*\)[\"'\'']/\2/p" /etc/containerd/config.toml)
		test -n "$sandbox"
		ctr -n k8s.io images ls -q | grep -qxF "$sandbox" || { echo "no $sandbox"; exit 1; }
		ctr -n k8s.io images ls -q | grep -qxF byoh.local/hello:1'
}

agent_waits() {
	guest 'until journalctl -u byoh-hostagent -b -o cat | grep -q STAND-IN; do sleep 0.5; done
		test ! -e /root/.byoh/config
		test "$(stat -c %a /etc/byoh/bootstrap-kubeconfig.conf)" = 600'
}

images_kept() {
	guest 'for image in $(ctr -n k8s.io images ls -q | grep -v "^sha256:"); do
			ctr -n k8s.io images ls "name==$image" | grep -q io.cri-containerd.pinned=pinned ||
				{ echo "$image is not pinned"; exit 1; }
		done'
}

must "a bare machine boots" vm_start
must "it has no network device but loopback" guest 'test "$(ls /sys/class/net)" = lo'
must "it has no iptables, nft or containerd" guest \
	'for tool in iptables nft xtables-nft-multi containerd runc; do ! command -v $tool || exit 1; done'
[ -z "${BYOH_CHECK_FULL:-}" ] || must "three slices are put on two sticks with FAT" make_sticks
must "the files are brought to it" host_put_site
if [ -n "${BYOH_CHECK_FULL:-}" ]; then
	check "an installation into a folder reads them from both sticks" from_two_sticks
else
	echo "LEFT offline: three slices on two sticks with FAT (BYOH_CHECK_FULL=1 tests/host/run offline)"
fi
began=$SECONDS
must "a bare run installs" host_install --yes
echo "==> installed in $((SECONDS - began)) s" >&2

check "packets are forwarded, and bridges call iptables" forwarding
check "containerd and the agent run, and no kubelet before a cluster has claimed the host" services
check "the bundle's images are in containerd, the sandbox image among them" images
check "the images are protected from garbage collection" images_kept
check "the agent waits for an API server that is not there" agent_waits
check "status finds no drift" guest 'byoh-install status'
check "iptables works" guest 'iptables -t nat -L -n && iptables-save >/dev/null'

before=$(host_fingerprint)
check "a second run says that there is nothing to do" guest_says "nothing to do" \
	'cd /root/site && ./byoh-install.run --yes 2>&1'
after=$(host_fingerprint)
check "and it changed nothing" diff <(printf '%s\n' "$before") <(printf '%s\n' "$after")

must "the machine reboots" vm_reboot
check "every unit is well after the boot" vm_booted
check "packets are forwarded after the boot" forwarding
check "services are up after the boot" services
check "the images are there after the boot" images
check "the agent waits again after the boot" agent_waits
check "status finds no drift after the boot" guest 'byoh-install status'
