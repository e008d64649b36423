#!/bin/bash
# The life of a node of a real control plane: installed, upgraded, rolled back, damaged and repaired, killed
# amid an upgrade with the plug pulled, and given back. Its pod's processes live through all but the last two;
# in the end the machine is what it was, file for file. `make check-full` drains it for one more upgrade before,
# to the next minor release of Kubernetes.
#
#   LIFECYCLE="releases repair plug drain"   these parts alone; installed and given back it is in any case
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"
parts=${LIFECYCLE:-releases repair plug${BYOH_CHECK_FULL:+ drain}}

# Things of an operator's that the installer has to change, and to give back.
operator_things() {
	guest 'dd if=/dev/zero of=/swap.img bs=1M count=64 status=none
		chmod 600 /swap.img
		mkswap -q /swap.img >/dev/null
		echo "/swap.img none swap sw,pri=5 0 0" >>/etc/fstab
		touch -d 2001-02-03 /etc/fstab
		mkdir -p /etc/sysctl.d /etc/cni/net.d
		printf "vm.swappiness = 17\nfs.inotify.max_user_watches = 65432\n" >/etc/sysctl.d/50-mine.conf
		sysctl -q -p /etc/sysctl.d/50-mine.conf
		echo "no network here" >/etc/cni/net.d/README
		chmod 2750 /etc/cni/net.d
		chown daemon:adm /etc/cni/net.d
		echo "timeout: 3" >/etc/crictl.yaml
		chmod 640 /etc/crictl.yaml
		chown daemon:adm /etc/crictl.yaml
		systemctl daemon-reload
		systemctl start swap.img.swap
		grep -q ^/swap.img /proc/swaps
		# Done now, so that it is part of what was there before.
		systemctl start systemd-tmpfiles-clean'
}

# What no installer has done: journals, seeds and stamps of systemd, which go on with every boot and hour.
machine_own='^/(var/log/(journal|btmp|wtmp|lastlog)|var/lib/systemd/(random-seed|timers|timesync)|var/tmp/systemd-private-|etc/\.updated|var/\.updated)'

# snapshot FILE    every file with kind, mode, owner, link, time and digest; what the kernel and systemd have.
# The distribution's own, some 15000, are not read: a ctime that has not moved says that nobody touched them.
snapshot() {
	guest 'cd /
		export SYSTEMD_BUS_TIMEOUT=600 # a busy computer answers late
		find . -xdev \( -path ./tmp -o -path ./var/tmp -o -path "./usr/*" -not -path "./usr/local*" \) -prune -o \
			\( -type d -printf "%P %y %m %U:%G\n" -o -printf "%P %y %m %U:%G %s %Ts %l\n" \) |
			sed "s|^|/|" | LC_ALL=C sort
		find ./usr -xdev -path ./usr/local -prune -o \
			\( -type d -printf "%p %y %m %U:%G\n" -o -printf "%p %y %m %U:%G %s %C@ %l\n" \) |
			sed "s|^\.||" | LC_ALL=C sort
		find . -xdev \( -path ./tmp -o -path ./var/log/journal -o -path ./swap.img \
			-o -path "./usr/*" -not -path "./usr/local*" \) -prune -o -type f -print0 |
			xargs -0 sha256sum | sed "s|^\([0-9a-f]*\)  \.|\1|;s|^\([0-9a-f]*\)\(.*\)|\2 sha256 \1|" |
			LC_ALL=C sort
		tar -C / --one-file-system --xattrs --xattrs-include="*" --exclude=var/log/journal -cf - \
			etc opt root usr/local var/lib 2>/dev/null | grep -a -o "SCHILY.xattr.[^[:cntrl:]]*" | sort || true
		for key in net.ipv4.ip_forward net.bridge.bridge-nf-call-iptables \
			net.bridge.bridge-nf-call-ip6tables net.ipv6.conf.all.forwarding \
			fs.inotify.max_user_instances fs.inotify.max_user_watches vm.swappiness; do
			echo "sysctl $key $(sysctl -n $key 2>/dev/null || echo none)"
		done
		lsmod | sed "1d;s/ .*//;s/^/module /" | sort
		sed "1d;s/\t.*//;s/^/swap /" /proc/swaps
		units=$(systemctl list-unit-files --no-legend --plain)
		echo "$units" | sed "s/  */ /g;s/^/unit-file /"
		units=$(systemctl list-units --no-legend --plain --state=active \
			--type=service,socket,path,timer,swap,slice)
		echo "$units" | sed "s/ .*//;s/^/active /" | sort
		ip -o link | sed "s/^[0-9]*: \([^:@]*\).*/link \1/" | sort
		findmnt -n -l -o TARGET | grep -v "^/proc/\|^/run/user\|^/run/credentials" | sort -u | sed "s/^/mount /"' |
		grep -vE "$machine_own" >"$1"
}

# The tasks that run, with their times of start: a process of the same number may be another one.
pod_processes() {
	guest 'ctr -n k8s.io tasks ls | awk "\$3 == \"RUNNING\" { print \$2 }" | sort -n |
		while read -r pid; do
			echo "$pid $(sed "s/.*) //" /proc/$pid/stat | cut -d" " -f20)"
		done'
}

same_pod_processes() {
	local now
	now=$(pod_processes) || return
	printf 'before:\n%s\nnow:\n%s\n' "$processes" "$now"
	[ "$now" = "$processes" ] && [ "$(wc -l <<<"$now")" = 2 ]
}

# What really runs, and not what lies in its place.
running_programs() {
	guest 'for unit in containerd kubelet kube-proxy; do
			systemctl is-active --quiet $unit || { systemctl status --no-pager $unit; exit 1; }
			pid=$(systemctl show -P MainPID $unit)
			echo "$unit $(sha256sum <"/proc/$pid/exe")"
		done'
}

runs_release() {
	local now
	now=$(running_programs) || { printf '%s\n' "$now"; return 1; }
	diff <(printf '%s\n' "$1") <(printf '%s\n' "$now")
}

runs_other_programs() {
	next_programs=$(running_programs) || { printf '%s\n' "$next_programs"; return 1; }
	printf '%s\n%s\n' "$programs" "$next_programs"
	# none of the three is the same
	[ "$(printf '%s\n%s\n' "$programs" "$next_programs" | sort -u | wc -l)" = 6 ]
}

# Ready says only that nobody has missed the node yet: the kubelet that runs now has to renew its lease.
node_renews() {
	local since
	since=$(kubectl -n kube-node-lease get lease worker -o 'jsonpath={.spec.renewTime}') || return
	grep -q -m1 -v -x -F -- "$since" < <(vm_in_world timeout "$vm_patience" "$CP_BIN/kubectl" \
		--kubeconfig "$vm_dir/control-plane/conf/admin.conf" -n kube-node-lease get lease worker \
		--watch -o 'jsonpath={.spec.renewTime}{"\n"}' 2>/dev/null) &&
		cluster_wait_ready node worker
}

# tool NAME COMMAND    the output is in build/logs/lifecycle-NAME.log
tool() {
	local log=$host_top/build/logs/lifecycle-$1.log code=0
	vm_run "cd /root/site && exec $2" >"$log" 2>&1 || code=$?
	cat "$log"
	return "$code"
}

is_next() {
	guest 'byoh-install status
		grep -qx "the next release" /usr/local/share/byoh-next
		test ! -e /opt/cni/bin/dhcp
		byoh-install verify --installed'
}

is_first() {
	guest 'byoh-install status
		test ! -e /usr/local/share/byoh-next
		test -x /opt/cni/bin/dhcp
		byoh-install verify --installed'
}

damage() {
	guest 'rm -f /etc/kubernetes/pki/ca.crt
		printf X | dd of=/usr/local/bin/kubectl bs=1 seek=4096 conv=notrunc status=none
		ctr -n k8s.io images rm byoh.local/hello:1
		systemctl disable -q containerd
		sysctl -q -w net.ipv4.ip_forward=0'
}

damage_is_seen() {
	local output code=0 what
	output=$(guest 'byoh-install status') || code=$?
	printf '%s\n' "$output"
	[ "$code" = 7 ] || return
	for what in /etc/kubernetes/pki/ca.crt /usr/local/bin/kubectl byoh.local/hello:1 net.ipv4.ip_forward \
		multi-user.target.wants/containerd.service; do
		grep '^drift:' <<<"$output" | grep -qF "$what" || { echo "not named: $what"; return 1; }
	done
	# and what stands on them: a link of a unit, a certificate
	! grep '^drift:' <<<"$output" | grep -vE \
		'pki/ca\.crt |bin/kubectl |hello:1 |ip_forward |wants/containerd\.service |reload systemd |unit kubelet\.service '
}

contents() {
	guest 'find /etc /usr/local /opt /var/lib/kubelet -xdev -not -name "*.byoh-saved" \
			-not -path "/var/lib/kubelet/pods/*" -not -path "/var/lib/kubelet/*_state" \
			-printf "%p %y %m %U %G %l\n" | sort
		find /etc /usr/local /opt -xdev -type f -not -name "*.byoh-saved" -exec sha256sum {} + | sort -k2'
}

is_mended() {
	guest 'byoh-install status
		test "$(cat /proc/sys/net/ipv4/ip_forward)" = 1
		systemctl is-enabled containerd
		ctr -n k8s.io images ls "name==byoh.local/hello:1" | grep -q io.cri-containerd.pinned=pinned
		test -e /usr/local/bin/kubectl.byoh-saved
		rm /usr/local/bin/kubectl.byoh-saved' || return
	diff <(printf '%s\n' "$whole") <(contents)
}

# Amid an upgrade: the files are new already, the services are not all.
kill_upgrade() {
	guest 'old=$(stat -c %i /usr/local/bin/kubelet)
		cd /root/site
		./next.run --yes >/root/site/killed.log 2>&1 &
		pid=$!
		while [ "$(stat -c %i /usr/local/bin/kubelet 2>/dev/null)" = "$old" ]; do
			kill -0 $pid || { cat killed.log; exit 1; }
			sleep 0.05
		done
		kill -KILL $pid
		! wait $pid 2>/dev/null
		rm killed.log
		test "$(stat -c %i /usr/local/bin/kubelet)" != "$old"
		sync'
}

pull_the_plug() {
	vm_kill && vm_power_on
}

settled_first() {
	guest 'show() { systemctl show -P "$2" "$1"; }
		journalctl -b --no-pager -u byoh-settle
		test "$(show byoh-settle Result)" = success
		test "$(show byoh-settle ExecMainExitTimestampMonotonic)" -gt 0
		test "$(show byoh-settle ExecMainExitTimestampMonotonic)" -le \
			"$(show containerd ExecMainStartTimestampMonotonic)"'
}

pod_runs() {
	guest 'until ctr -n k8s.io tasks ls | grep -c RUNNING | grep -qx 2; do sleep 1; done'
}

# refused TEXT OPTION...    nothing is changed, and that is said
refused() {
	local code=0 text=$1
	shift
	tool minor-refused "./minor.run --yes $*" >"$vm_dir/refused" || code=$?
	cat "$vm_dir/refused"
	[ "$code" = 4 ] && grep -q -- "$text" "$vm_dir/refused" && takes_pods
}

takes_pods() {
	[ "$(kubectl get node worker -o 'jsonpath={.spec.unschedulable}')" = '' ]
}

# Its controller makes it again at once, on the node that the template names: there is no scheduler.
replace_pod() {
	kubectl delete pod hello --wait && kubectl apply -f - <<-'YAML' || return
		apiVersion: apps/v1
		kind: ReplicaSet
		metadata: {name: hello}
		spec:
		  selector: {matchLabels: {app: hello}}
		  template:
		    metadata: {labels: {app: hello}}
		    spec:
		      nodeName: worker
		      automountServiceAccountToken: false
		      terminationGracePeriodSeconds: 1
		      containers:
		      - {name: hello, image: "byoh.local/hello:1", imagePullPolicy: Never}
	YAML
	grep -q -m1 -x 1 < <(vm_in_world timeout "$vm_patience" "$CP_BIN/kubectl" \
		--kubeconfig "$vm_dir/control-plane/conf/admin.conf" get replicaset hello --watch \
		-o 'jsonpath={.status.readyReplicas}{"\n"}' 2>/dev/null) || return
	evicted=$(kubectl get pods -l app=hello -o 'jsonpath={.items[0].metadata.uid}')
}

was_evicted() {
	! kubectl get pods -l app=hello -o 'jsonpath={range .items[*]}{.metadata.uid}{"\n"}{end}' | grep -x -- "$evicted"
}

nothing_runs() {
	guest '! ls -l /proc/[0-9]*/exe 2>/dev/null | grep -E "/usr/local/|shim|runc" || exit 1
		! grep kubepods /proc/[0-9]*/cgroup 2>/dev/null || exit 1
		! find /sys/fs/cgroup -name "*kubepods*" -o -name "*containerd*" | grep . || exit 1
		! grep "/var/lib/kubelet\|/run/containerd\|/run/netns/cni" /proc/self/mountinfo || exit 1'
}

# Rules of kube-proxy, the CNI's bridge and the kernel modules below them stay until the next boot: nobody can tell
# by then what else uses them. The generator came with the reboot: this test has enabled networkd after the first.
as_before() {
	grep -vE '^(active systemd-network-generator\.service|link cni0|module (bridge|stp|llc|veth|nfnetlink|libcrc32c|(ip_vs|nf|nft|xt)_?[a-zA-Z_0-9]*))$' \
		"$vm_dir/after" | diff "$vm_dir/before" -
}

no_warning() {
	! grep -i warning "$host_top/build/logs/lifecycle-uninstall.log"
}

part_releases() {
	must "the next release's run upgrades" tool upgrade './next.run --yes'
	check "it is the next release, with no drift" is_next
	check "services run the next release's programs" runs_other_programs
	check "the pod's processes live on" same_pod_processes
	check "the node goes on being Ready" node_renews

	must "rollback goes back" tool rollback 'byoh-install rollback --yes'
	check "it is the first release, with no drift" is_first
	check "services run the first release's programs" runs_release "$programs"
	check "the pod's processes live on after the rollback" same_pod_processes
	check "the node goes on being Ready after the rollback" node_renews
}

part_repair() {
	whole=$(contents)
	must "the node is damaged" damage
	check "status names the damage, and nothing else" damage_is_seen
	must "repair succeeds" tool repair 'byoh-install repair'
	check "exactly that is mended" is_mended
	check "the pod's processes live on after the repair" same_pod_processes
	check "the node goes on being Ready after the repair" node_renews
}

part_plug() {
	must "an upgrade is killed amid its changes" kill_upgrade
	must "the plug is pulled, and the machine boots" pull_the_plug
	check "every unit is well after the boot" vm_booted
	check "the boot settled it before containerd started" settled_first
	check "it is the first release again, with no drift" is_first
	check "services run the first release's programs after the boot" runs_release "$programs"
	check "the node is Ready after the boot" node_renews
	check "the pod is started again" pod_runs
}

# The bytes are those of the next release, and the API server stays what it is: it has to be said that it need
# not be newer.
part_drain() {
	local unasked="--ignore-preflight-errors api-version"
	check "a minor release is refused without a drain" refused "is a minor step" "$unasked"
	check "a kubelet newer than its API server is refused" refused "is newer than the API server" --drain
	check "a drain refuses a pod that nobody would make again" refused default/hello "$unasked" --drain
	check "nothing was changed" is_first
	must "another pod has a controller" replace_pod
	must "a minor release upgrades a node that it drains" tool drain "./minor.run --yes $unasked --drain"
	check "its pod was evicted" was_evicted
	check "it takes pods again" takes_pods
	check "it is the next release, with no drift, after the drain" is_next
	check "the node is Ready after the drain" node_renews
}

host_begin lifecycle --link
next_run=${BYOH_NEXT_RUN:-$("$vm_scripts/pack" --quick --next)}
cp --reflink=auto "$next_run" "$host_site/next.run"
if [[ " $parts " == *" drain "* ]]; then
	cp --reflink=auto "$("$vm_scripts/pack" --quick --minor)" "$host_site/minor.run"
fi
vm_link_start
must "a control plane starts" control_plane start "$vm_host_address"
site_write "$host_site" tlsBootstrap "$(control_plane ca)" "$(control_plane token)"
must "a bare machine boots, with a private link" vm_start --link
must "the files are brought to it" host_put_site
must "the operator has swap, parameters and files of his own" operator_things
must "all of it is written down" snapshot "$vm_dir/before"

must "a bare run installs and joins" host_install --yes
must "the node appears" cluster_wait_object nodes worker
must "the node becomes Ready" cluster_wait_ready node worker
must "a pod is created" kubectl apply -f "$here/hello.yaml"
must "the pod runs" cluster_wait_ready pod hello
must "swap is off" guest 'test "$(wc -l </proc/swaps)" = 1'
processes=$(pod_processes)
programs=$(running_programs)

for part in $parts; do
	"part_$part"
done
[[ " $parts " == *" drain "* ]] || echo "LEFT lifecycle: an upgrade that drains the node (LIFECYCLE=drain tests/host/run lifecycle)"

must "uninstall succeeds" tool uninstall 'byoh-install uninstall --yes'
check "without a warning" no_warning
check "no process, no mount of it is left" nothing_runs
must "what is there is written down" snapshot "$vm_dir/after"
check "it is what was there before" as_before
