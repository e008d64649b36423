# shellcheck shell=bash disable=SC2016,SC2034,SC2154
# What stands in single quotes is for the shell of the machine; the variables are those of the test that sources this.
#
# Causes that `byoh-install doctor` is to name, produced on a whole machine one after the other, each undone before the
# next. Sourced by tests that have a machine which is a Ready node of a control plane.
#
#   doctor_try ID            produce, ask, undo; a line PASS or FAIL, and a row for doctor_table
#   doctor_names ID          the same for one that a test has produced by itself
#   doctor_table             cause produced x cause named
#
# Each cause is a pair of texts, run in the machine as root: what makes it, what undoes it. Where the undoing is
# `byoh-install repair`, that the remedy helps is tested as well; that reads all that is installed, which takes an emulated
# machine minutes, so it is the undoing of one.
#
# DOCTOR_CHAIN=1: it is not asked whether anything is left of a cause, which halves the time. What is left of it would be
# named beside the next one.

declare -A doctor_make doctor_mend doctor_named
doctor_order=()

# cause ID MAKE MEND
cause() {
	doctor_order+=("$1")
	doctor_make[$1]=$2
	doctor_mend[$1]=$3
}

# In the machine: ids prints what doctor names, the cause first. What a service says takes its time, so it is asked
# until it is so, twice at least and for a minute, and the last word counts.
doctor_guest='
ids() { byoh-install doctor --json 2>/tmp/doctor.err >/tmp/doctor.json || true
	sed -n "s/^ *\"id\": \"\(.*\)\",*$/\1/p" /tmp/doctor.json | paste -sd " "; }
seconds() { cut -d. -f1 /proc/uptime; }
until_named() {
	named= began=$(seconds)
	for try in 1 2 3 4 5 6; do
		named=$(ids)
		[ "$named" != "$1" ] || return 0
		echo "not yet: $named"
		[ $try = 1 ] || [ $(($(seconds) - began)) -lt 60 ] || return 0
		sleep 2
	done
}
up() { for unit; do systemctl reset-failed "$unit" 2>/dev/null || true; systemctl restart "$unit"; done; }
kubelet_runs() { until curl -sf http://127.0.0.1:10248/healthz || [ "$(systemctl is-active kubelet)" = active ]; do sleep 1; done; }
tell() { cat /tmp/doctor.err; cat /tmp/doctor.json; }
'

doctor_script() {
	printf 'set -u\n%s\nmake() {\n%s\n}\nmend() {\n%s\n}\n' "$doctor_guest" "${doctor_make[$1]}" "${doctor_mend[$1]}"
	printf '%s\n' "make >/tmp/make.out 2>&1; until_named '$1'; echo \"named: \$named\"; [ \"\$named\" = '$1' ] || { cat /tmp/make.out; tell; }"
	printf '%s\n' "mend >/tmp/mend.out 2>&1"
	[ -n "${DOCTOR_CHAIN:-}" ] ||
		printf '%s\n' "until_named ''; echo \"left: \$named\"; [ -z \"\$named\" ] || { cat /tmp/mend.out; tell; }"
}

doctor_try() {
	local output=$vm_dir/doctor.out began=$SECONDS
	vm_run -t 580 "$(doctor_script "$1")" >"$output" 2>&1 || true
	doctor_named[$1]=$(sed -n 's/^named: //p' "$output")
	check "doctor names $1 and no other" test "${doctor_named[$1]}" = "$1"
	if [ "${doctor_named[$1]}" != "$1" ] || { [ -z "${DOCTOR_CHAIN:-}" ] && ! grep -qx 'left: ' "$output"; }; then
		sed 's/^/    /' "$output"
	fi
	[ -n "${DOCTOR_CHAIN:-}" ] || check "undone, nothing is left of $1" grep -qx 'left: ' "$output"
	echo "==> $1: $((SECONDS - began)) s" >&2
}

# At the end: what this run has left out.
doctor_left() {
	[ -z "${DOCTOR_CHAIN:-}" ] ||
		echo "LEFT $1: after each cause, that nothing is left of it (tests/host/run $1)"
}

# doctor_names ID    as the host is now
doctor_ask() {
	local output=$vm_dir/doctor.out
	vm_run -t 580 "$doctor_guest
until_named '$1'; echo \"named: \$named\"; [ \"\$named\" = '$1' ] || tell" >"$output" 2>&1 || true
	doctor_named[$1]=$(sed -n 's/^named: //p' "$output")
	[ "${doctor_named[$1]}" = "$1" ] || { cat "$output"; return 1; }
}
doctor_names() {
	doctor_order+=("$1")
	check "doctor names $1 and no other" doctor_ask "$1"
}

doctor_table() {
	local id
	for id in "${doctor_order[@]}"; do
		[ -z "${doctor_named[$id]+x}" ] || printf 'doctor: %-28s x %s\n' "$id" "${doctor_named[$id]:-nothing}"
	done
}

# What is seen at once, without a service that starts anew.
doctor_quick=(swap-on cni-foreign-first pause-image-missing kernel-parameter-changed resolv-conf-loop no-default-route)

cause swap-on \
	'dd if=/dev/zero of=/swap.test bs=1M count=16; chmod 600 /swap.test; mkswap /swap.test; swapon /swap.test' \
	'swapoff -a; rm /swap.test'
cause cni-foreign-first \
	'echo "{\"cniVersion\": \"0.4.0\", \"name\": \"x\", \"type\": \"bridge\"}" >/etc/cni/net.d/00-foreign.conf' \
	'mv /etc/cni/net.d/00-foreign.conf /root/'
cause pause-image-missing \
	'ctr -n k8s.io images rm "$(ctr -n k8s.io images ls -q | grep /pause:)"' \
	'byoh-install repair'
cause kernel-parameter-changed 'echo 0 >/proc/sys/net/ipv4/ip_forward' 'echo 1 >/proc/sys/net/ipv4/ip_forward'
cause resolv-conf-loop \
	'cp -a /etc/resolv.conf /root/resolv.kept; rm /etc/resolv.conf; echo "nameserver 127.0.0.53" >/etc/resolv.conf' \
	'rm /etc/resolv.conf; mv /root/resolv.kept /etc/resolv.conf'
cause no-default-route \
	'ip route show default >/root/route; ip route del default' \
	'ip route add $(cat /root/route)'

# The host.
cause kernel-module-missing 'rmmod br_netfilter' 'modprobe br_netfilter'
cause clock-wrong \
	'date -u -s "@$(($(cat /sys/class/rtc/rtc0/since_epoch) - 63072000))"' \
	'date -u -s "@$(cat /sys/class/rtc/rtc0/since_epoch)"; up kubelet kube-proxy'
# The program refuses such a name, the kernel does not.
cause hostname-invalid 'echo Worker_1 >/proc/sys/kernel/hostname' 'hostname worker'
cause hostname-changed 'hostname other' 'hostname worker'
cause disk-pressure \
	'free=$(df --output=avail -B1 /var/lib/kubelet | tail -n 1); size=$(df --output=size -B1 /var/lib/kubelet | tail -n 1)
	fallocate -l $((free - size / 50)) /var/lib/fill' \
	'rm /var/lib/fill; byoh-install install; up kubelet'
cause drift 'rm /etc/crictl.yaml' 'byoh-install install'
cause release-damaged 'mv /var/lib/byoh/releases /var/lib/byoh/releases.kept' \
	'mv /var/lib/byoh/releases.kept /var/lib/byoh/releases'
cause firewall-closed \
	'mkdir -p /etc/ufw; printf "\nENABLED=yes\n" >/etc/ufw/ufw.conf; echo "### RULES ###" >/etc/ufw/user.rules' \
	'rm -r /etc/ufw'

# containerd.
config=/etc/containerd/config.toml
unkept="cp -a /root/kept $config; up containerd kubelet"
cause cri-disabled \
	"cp -a $config /root/kept; sed -i '1i disabled_plugins = [\"cri\"]' $config; up containerd kubelet" "$unkept"
cause cri-failed \
	"cp -a $config /root/kept; sed -i 's/snapshotter = .*/snapshotter = \"nothing\"/' $config; up containerd kubelet" "$unkept"
cause containerd-config-damaged \
	"cp -a $config /root/kept; echo 'this is no TOML' >>$config; up containerd" \
	"$unkept"
cause cgroup-driver-mismatch \
	"cp -a $config /root/kept; sed -i 's/SystemdCgroup = true/SystemdCgroup = false/' $config; up containerd" \
	"cp -a /root/kept $config; up containerd"
cause containerd-silent \
	'kill -STOP $(systemctl show -p MainPID --value containerd)' \
	'kill -CONT $(systemctl show -p MainPID --value containerd); up kubelet'
cause containerd-fails \
	'mkdir -p /etc/systemd/system/containerd.service.d
	printf "[Service]\nExecStart=\nExecStart=/bin/false\n" >/etc/systemd/system/containerd.service.d/90-test.conf
	systemctl daemon-reload; up containerd' \
	'rm -r /etc/systemd/system/containerd.service.d; systemctl daemon-reload; up containerd kubelet'
cause pause-image-name \
	"cp -a $config /root/kept; sed -i 's/\(sandbox_image = .*pause:\).*/\13.1-other\"/' $config; up containerd" "$unkept"
cause images-missing \
	'ctr -n k8s.io images rm "$(ctr -n k8s.io images ls -q | grep -v /pause: | grep -v ^sha256 | head -n 1)"' \
	'byoh-install install'

# The kubelet.
kubelet=/var/lib/kubelet/config.yaml
drop_in=/etc/systemd/system/kubelet.service.d/90-test.conf
# with_flag FLAG    the unit's command with one more flag, as somebody would have written it
with_flag() {
	printf '%s\n' "mkdir -p ${drop_in%/*}
	{ printf '[Service]\nExecStart=\n'; sed -n '/^ExecStart=/,/[^\\\\]\$/p' /usr/local/lib/systemd/system/kubelet.service |
		sed '1s|kubelet|kubelet $1|'; } >$drop_in
	systemctl daemon-reload; up kubelet"
}
without_flag="rm -r ${drop_in%/*}; systemctl daemon-reload; up kubelet"
cause kubelet-flag-unknown "$(with_flag --allow-privileged=true)" "$without_flag"
cause kubelet-label-refused "$(with_flag --node-labels=node-role.kubernetes.io/node=true)" "$without_flag"
cause kubelet-fails \
	"mkdir -p ${drop_in%/*}; printf '[Service]\nExecStart=\nExecStart=/bin/false\n' >$drop_in; systemctl daemon-reload; up kubelet" \
	"$without_flag"
cause kubelet-config-damaged \
	"cp -a $kubelet /root/kubelet.yaml; echo 'a: b: c' >>$kubelet; up kubelet" \
	"cp -a /root/kubelet.yaml $kubelet; up kubelet"
cause kubelet-ca-missing 'mv /etc/kubernetes/pki/ca.crt /root/; up kubelet' \
	'mv /root/ca.crt /etc/kubernetes/pki/; up kubelet'
cause port-10250-taken \
	'systemctl stop kubelet; systemd-run --unit=squatter systemd-socket-activate -l 10250 /bin/cat; systemctl start kubelet' \
	'systemctl stop squatter; up kubelet'
cause resolv-conf-missing 'mv /etc/resolv.conf /root/resolv.kept' 'mv /root/resolv.kept /etc/resolv.conf'
network=/etc/cni/net.d/10-bridge.conflist
cause no-cni-config "mv $network /root/; up containerd" "mv /root/10-bridge.conflist $network; up containerd kubelet"
cause cni-config-damaged "cp -a $network /root/; echo '{' >$network" "cp -a /root/10-bridge.conflist $network"
cause cni-plugin-missing 'mv /opt/cni/bin/bridge /root/' 'mv /root/bridge /opt/cni/bin/'

# The way to the API server, and what it is shown.
own=/etc/kubernetes/kubelet.conf
cause server-unreachable 'ip route add unreachable 10.99.0.1/32' 'ip route del unreachable 10.99.0.1/32'
cause server-name-unknown \
	"cp -a $own /root/own; sed -i 's|server: .*|server: https://nowhere.invalid:6443|' $own" "cp -a /root/own $own"
cause server-certificate-name \
	"cp -a $own /root/own; sed -i 's|server: .*|server: https://10.99.0.9:6443|' $own" "cp -a /root/own $own"
cause kubeconfig-damaged "cp -a $own /root/own; echo '{' >$own" "cp -a /root/own $own"
cause kubeconfig-mode "chmod 644 $own" "chmod 600 $own"
cause ca-mismatch \
	"cp -a $own /root/own; sed -i \"s|certificate-authority-data: .*|certificate-authority-data: \$(base64 -w0 /root/site/other-ca.crt)|\" $own" \
	"cp -a /root/own $own"
cause certificate-expired \
	'cd /var/lib/kubelet/pki; readlink -f kubelet-client-current.pem >/root/current
	cp -a /root/site/expired.pem expired.pem; ln -sf expired.pem kubelet-client-current.pem' \
	'ln -sf "$(cat /root/current)" /var/lib/kubelet/pki/kubelet-client-current.pem; rm /var/lib/kubelet/pki/expired.pem'
cause certificate-rejected \
	'cd /var/lib/kubelet/pki; readlink -f kubelet-client-current.pem >/root/current
	cp -a /root/site/stranger.pem stranger.pem; ln -sf stranger.pem kubelet-client-current.pem' \
	'ln -sf "$(cat /root/current)" /var/lib/kubelet/pki/kubelet-client-current.pem; rm /var/lib/kubelet/pki/stranger.pem'
# The cluster's Node is Ready, and by its machine id another machine.
cause node-name-taken \
	'cp -a /etc/machine-id /root/machine-id; tr 0-9a-f 1-9a-f0 </root/machine-id >/etc/machine-id' \
	'cp -a /root/machine-id /etc/machine-id'

# The kubelet's identity is taken away, so that it has to ask again, with a token that nobody knows.
forget='systemctl stop kubelet; mkdir -p /root/identity; mv /etc/kubernetes/kubelet.conf /var/lib/kubelet/pki /root/identity/'
remember='systemctl stop kubelet; rm -rf /var/lib/kubelet/pki; mv /root/identity/kubelet.conf /etc/kubernetes/
	mv /root/identity/pki /var/lib/kubelet/; up kubelet'
bootstrap=/etc/kubernetes/bootstrap-kubeconfig
cause token-rejected \
	"$forget; cp -a $bootstrap /root/bootstrap; sed -i 's/token: .*/token: \"zzzzzz.zzzzzzzzzzzzzzzz\"/' $bootstrap; up kubelet" \
	"cp -a /root/bootstrap $bootstrap; $remember"

# kube-proxy's rules.
# The kernel lets go of what was flushed a moment later.
cause iptables-module-missing \
	'systemctl stop kube-proxy.path kubelet kube-proxy
	for table in nat filter mangle; do iptables -t $table -F; iptables -t $table -X; done
	for table in nat filter mangle; do ip6tables -t $table -F; ip6tables -t $table -X; done
	module=$(modinfo -n xt_MASQUERADE); echo "$module" >/root/module; mv "$module" /root/; depmod
	for try in $(seq 40); do ! rmmod xt_MASQUERADE || break; sleep 0.5; done
	up kubelet kube-proxy; systemctl start kube-proxy.path' \
	'module=$(cat /root/module); mv "/root/${module##*/}" "$module"; depmod; modprobe xt_MASQUERADE
	up kubelet kube-proxy'
cause serving-csr-unapproved \
	"cp -a $kubelet /root/kubelet.yaml; echo 'serverTLSBootstrap: true' >>$kubelet; up kubelet" \
	"cp -a /root/kubelet.yaml $kubelet; up kubelet"
