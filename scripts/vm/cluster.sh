# shellcheck shell=bash
# The cluster beside the test machine (scripts/vm/machine.sh), and what an operator brings from it to the
# machine. Sourced; needs vm_world_start and vm_link_start, and CP_BIN as scripts/vm/control-plane does.

# control_plane VERB [ARG]...    scripts/vm/control-plane in the machine's world
control_plane() {
	local verb=$1
	shift
	vm_in_world "${vm_scripts:?}/control-plane" "$verb" "${vm_dir:?}/control-plane" "$@"
}

kubectl() {
	control_plane kubectl "$@"
}

# cluster_wait_object KIND NAME    until it exists; `kubectl wait` wants one that does
cluster_wait_object() {
	# The watch lists first what is there, so nothing is missed; grep ends at the first hit.
	grep -q -m1 -x -E "(.*/)?$2" < <(vm_in_world timeout "${vm_patience:?}" "${CP_BIN:?}/kubectl" \
		--kubeconfig "$vm_dir/control-plane/conf/admin.conf" get "$1" --watch -o name 2>/dev/null) && return
	echo "no $1 $2 after $vm_patience s"
	return 1
}

# cluster_wait_ready KIND NAME
cluster_wait_ready() {
	kubectl wait --for=condition=Ready "$1/$2" --timeout="${vm_patience}s"
}

# site_write FOLDER MODE CA TOKEN    byoh.yaml and its files, for agent, kubeadm or tlsBootstrap
site_write() {
	local folder=$1 mode=$2
	mkdir -p "$folder"
	cp "$3" "$folder/ca.crt"
	(umask 077 && printf '%s\n' "$4" >"$folder/token")
	cat >"$folder/byoh.yaml" <<-YAML
		apiVersion: byoh-install/v1alpha1
		kind: InstallConfig
		cluster:
		  name: private
		  server: https://${vm_host_address:?}:6443
		  ca: {file: ca.crt}
		  token: {file: token}
		join: {mode: $mode}
	YAML
	case $mode in
	agent)
		echo 'agent: {namespace: default, hostLabels: {site: private}}' >>"$folder/byoh.yaml"
		;;
	kubeadm | tlsBootstrap)
		cat >>"$folder/byoh.yaml" <<-YAML
			node: {ip: ${vm_address:?}, labels: {site: private}}
			cni: {install: 10-bridge.conflist}
		YAML
		[ "$mode" != tlsBootstrap ] || echo 'kubeProxy: {nodeIdentity: true}' >>"$folder/byoh.yaml"
		site_network >"$folder/10-bridge.conflist"
		;;
	esac
}

# One node needs no more than a bridge. Its range is the one that the first node of a cluster is given.
site_network() {
	cat <<-'JSON'
		{
		  "cniVersion": "0.4.0",
		  "name": "pods",
		  "plugins": [
		    {
		      "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true,
		      "ipam": {
		        "type": "host-local",
		        "ranges": [[{"subnet": "10.244.0.0/24"}]],
		        "routes": [{"dst": "0.0.0.0/0"}]
		      }
		    },
		    {"type": "portmap", "capabilities": {"portMappings": true}}
		  ]
		}
	JSON
}
