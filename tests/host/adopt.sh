#!/bin/bash
# A host that runs containers already, on the distribution's containerd with the distribution's configuration:
# adopted, given back, replaced, given back. Each time it becomes a Ready node of a real control plane, and what
# the operator ran on it goes on where it was promised to.
# shellcheck disable=SC2016 # what stands in single quotes is for the shell of the machine
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/host/lib.sh
. "$here/lib.sh"
set_folder=$host_top/build/payloads/debian-12

# What a distribution brings, running a container of the operator's own, outside of Kubernetes.
operator_containerd() {
	guest 'cd /root/site/debs
		dpkg -i runc.deb containerd.deb
		systemctl enable --now containerd
		ctr -n mine images import /root/site/hello.tar
		ctr -n mine run -d byoh.local/hello:1 mine
		test "$(readlink /proc/$(systemctl show -P MainPID containerd)/exe)" = /usr/bin/containerd'
}

# The operator's container, and since when it runs.
mine() {
	guest 'pid=$(ctr -n mine tasks ls | awk "\$1 == \"mine\" && \$3 == \"RUNNING\" { print \$2 }")
		echo "$pid $(sed "s/.*) //" /proc/$pid/stat | cut -d" " -f20)"'
}

lives_on() {
	local now
	now=$(mine) || return
	printf 'before: %s\nnow: %s\n' "$mine" "$now"
	[ "$now" = "$mine" ]
}

# Everything that an operator has of containerd, as it is kept on the disk.
listing() {
	guest 'find /etc /usr/local /opt /usr/bin/containerd* /usr/bin/ctr /usr/sbin/runc -xdev \
			\( -type d -printf "%p %y %m %U:%G\n" -o -printf "%p %y %m %U:%G %s %Ts %l\n" \) | sort
		find /etc -xdev -type f -exec sha256sum {} + | sort -k2
		systemctl is-enabled containerd
		systemctl is-active containerd
		readlink /proc/$(systemctl show -P MainPID containerd)/exe'
}

given_back() {
	diff <(printf '%s\n' "$before") <(listing) && guest 'test ! -e /var/lib/byoh && test ! -e /etc/byoh'
}

# containerd_runs EXECUTABLE
containerd_runs() {
	guest_says "$1" 'readlink /proc/$(systemctl show -P MainPID containerd)/exe'
}

speaks_cri() {
	guest '! ctr plugins ls | grep -E "io.containerd.grpc.v1 +cri +.* error" || exit 1
		ctr plugins ls | grep -E "io.containerd.grpc.v1 +cri +.* ok"'
}

uses_systemd_cgroups() {
	guest 'find /sys/fs/cgroup/kubepods.slice -name "cri-containerd-*.scope" | grep .'
}

pod_log() {
	kubectl logs hello | grep '^hello from the bundle'
}

# node_with EXISTING    writes the config anew, installs, runs the pod
node_with() {
	must "$1: a token for it" new_site "$1"
	must "$1: a bare run installs and joins" host_install --yes
	must "$1: the node appears" cluster_wait_object nodes worker
	must "$1: the node becomes Ready" cluster_wait_ready node worker
	must "$1: a pod is created" kubectl apply -f "$here/hello.yaml"
	must "$1: the pod runs" cluster_wait_ready pod hello
	check "$1: its log is read" pod_log
	check "$1: its cgroup is systemd's" uses_systemd_cgroups
	check "$1: containerd speaks CRI" speaks_cri
	check "$1: status finds no drift" guest 'byoh-install status'
}

new_site() {
	site_write "$host_site" tlsBootstrap "$(control_plane ca)" "$(control_plane token)"
	echo "containerd: {existing: $1}" >>"$host_site/byoh.yaml"
	vm_copy_in "$host_site"/{byoh.yaml,token} /root/site
}

given_back_from() {
	kubectl delete pod hello --force --grace-period=0
	kubectl delete node worker
	guest 'byoh-install uninstall --yes'
}

refuses() {
	local code=0 output
	output=$(host_install --yes) || code=$?
	printf '%s\n' "$output"
	[ "$code" = 4 ] && grep -q container-runtime <<<"$output" && lives_on && given_back
}

host_begin adopt --link
cp -r "$set_folder/debs" "$host_site/debs"
cp "$set_folder/images/hello.tar" "$host_site/hello.tar"
vm_link_start
must "a control plane starts" control_plane start "$vm_host_address"
site_write "$host_site" tlsBootstrap "$(control_plane ca)" "$(control_plane token)"
must "a bare machine boots, with a private link" vm_start --link
must "the files are brought to it" host_put_site
must "the distribution's containerd runs a container" operator_containerd
mine=$(mine)
before=$(listing)

check "refuse: nothing is changed" refuses

node_with adopt
check "adopt: containerd is the distribution's" containerd_runs /usr/bin/containerd
check "adopt: the operator's container lives on" lives_on
must "adopt: uninstall succeeds" given_back_from
check "adopt: the host is as it was" given_back
check "adopt: the operator's container lives on after it" lives_on

node_with replace
check "replace: containerd is the bundle's" containerd_runs /usr/local/bin/containerd
must "replace: uninstall succeeds" given_back_from
check "replace: the host is as it was" given_back
