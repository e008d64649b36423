# shellcheck shell=bash
# What the tests in whole machines share. A test sources this file, calls host_begin NAME [--link], and
# says what it checks by `check` and `must`; each prints one line, PASS, FAIL or SKIP.
#
#   BYOH_RUN     the .run under test (default: made by scripts/vm/pack --quick)
#   CP_BIN       etcd, kube-apiserver and so on (default: those of the Debian set)

host_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/vm/machine.sh
. "$host_top/scripts/vm/machine.sh"
# shellcheck source=scripts/vm/cluster.sh
. "$host_top/scripts/vm/cluster.sh"
export CP_BIN=${CP_BIN:-$host_top/build/payloads/debian-12/control-plane}
host_failed=0

# host_begin NAME [--link]    the folder of files for the machine is $host_site
host_begin() {
	local reason
	host_name=$1
	if reason=$(vm_missing "${2:-}"); then
		echo "SKIP $host_name: $reason"
		exit 0
	fi
	trap host_end EXIT
	vm_world_start "$host_top/build/vm/$host_name" || exit
	host_site=$vm_dir/site
	mkdir -p "$host_site"
	host_run=${BYOH_RUN:-$("$host_top/scripts/vm/pack" --quick)} || exit
	cp --reflink=auto "$host_run" "$host_site/byoh-install.run"
}

# What went wrong inside is worth more than what it looked like from here.
host_end() {
	local code=$?
	trap - EXIT
	if [ "$code" != 0 ] || [ "$host_failed" != 0 ]; then
		host_diagnose
		[ "$host_failed" != 0 ] || echo "FAIL $host_name: ended early, exit code $code"
		code=1
	fi
	vm_world_stop
	exit "$code"
}

host_diagnose() {
	local log=$host_top/build/logs/$host_name-journal.log
	[ -n "${vm_out:-}" ] && vm_running || return 0
	vm_run -t 120 'journalctl -b --no-pager -o short-monotonic; systemctl --failed --no-pager
		ip address; ip route; ls -la /etc/byoh /etc/kubernetes /var/lib/byoh' >"$log" 2>&1 || true
	echo "==> journal of the machine: $log, console: $vm_log" >&2
}

# check WHAT COMMAND...    runs it here; its output is shown only if it fails. It runs in this shell and into
# a file, since some start what goes on running.
check() {
	local what=$1 output=$vm_dir/check.out
	shift
	if "$@" >"$output" 2>&1; then
		echo "PASS $host_name: $what"
		return 0
	fi
	host_failed=1
	echo "FAIL $host_name: $what"
	tail -n 40 "$output" | sed 's/^/    /'
	return 0
}

# A check without which the rest makes no sense.
must() {
	local before=$host_failed
	host_failed=0
	check "$@"
	[ "$host_failed" = 0 ] || exit 1
	host_failed=$before
}

# guest COMMANDS    inside the machine, any failing command fails the whole
guest() {
	vm_run "set -eu
$1"
}

# guest_says TEXT COMMANDS    they succeed and their output holds TEXT
guest_says() {
	local output code=0
	output=$(guest "$2") || code=$?
	[ "$code" = 0 ] && grep -qF -- "$1" <<<"$output" && return
	printf 'exit code %s, looked for: %s\n%s\n' "$code" "$1" "$output"
	return 1
}

# The site's files go where an operator would put them, and the .run is started as an operator would.
host_put_site() {
	vm_copy_in "$host_site" /root
}

# host_install [ARG...]    the bare run; the whole output is in build/logs
host_install() {
	local log=$host_top/build/logs/$host_name-install.log code=0
	vm_run "cd /root/site && exec ./byoh-install.run $*" >"$log" 2>&1 || code=$?
	cat "$log"
	return "$code"
}

# What an idle second run may not touch: contents, modes, owners, times, links.
host_fingerprint() {
	guest "find /etc /usr/local /opt /var/lib/kubelet -xdev -printf '%p %y %m %U %G %s %T@ %l\n' | sort
		find /etc /usr/local /opt -xdev -type f -exec sha256sum {} + | sort -k2
		systemctl show -p Id,ActiveEnterTimestampMonotonic,MainPID containerd kubelet kube-proxy
		systemctl show -p Id,UnitFileState,FragmentPath,DropInPaths byoh-hostagent"
}

# A Service with the pod hello behind it, by kube-proxy's rules.
service_answers() {
	local address
	kubectl expose pod hello --port 80 --target-port 8080 --name hello || return
	address=$(kubectl get service hello -o 'jsonpath={.spec.clusterIP}')
	guest "until iptables-save -t nat | grep -q 'KUBE-SERVICES.*$address/32.*dport 80 '; do sleep 1; done"
	echo "from the host:" && guest_says '200 OK' "timeout 60 bash -c \"exec 3<>/dev/tcp/$address/80; printf 'GET / HTTP/1.0\\\\r\\\\n\\\\r\\\\n' >&3; cat <&3\"" &&
		echo "from the pod:" && kubectl exec hello -- wget -q -O - "http://$address/"
}
