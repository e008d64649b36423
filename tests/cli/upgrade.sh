#!/bin/bash
# The rules of an upgrade below --root: Kubernetes one minor release at a time, nothing older in silence, the kubelet's
# flags file, what the plan shows of both releases.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

if [ "${1:-}" = -h ]; then
	sed -n '2,3s/^# //p' "$0"
	exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

step "bundles"
make_keys key
make_ca
echo abcdef.0123456789abcdef >"$work/token"
mkdir "$work/config"
cp "$work/ca.crt" "$work/token" "$work/config/"
cat >"$work/config/byoh.yaml" <<-END
	apiVersion: byoh-install/v1alpha1
	kind: InstallConfig
	join: {mode: agent}
	cluster: {server: "https://10.0.0.1:6443", ca: {file: ca.crt}, token: {file: token}}
END

# release NAME VERSION KUBERNETES    $work/NAME.run, of epoch 1
release() {
	node_spec "$work/spec-$1"
	sed -i -e "s/^version:.*/version: \"$2\"/" -e "s/^kubernetes:.*/kubernetes: $3/" \
		-e "s/version: \"v1.34.1\"/version: \"$3\"/" "$work/spec-$1/bundle.yaml"
	build_bundle "$work/spec-$1" key "$work/$1.run" || cat "$work/err"
}
release old 1.34.1-1 v1.34.1
release patch 1.34.2-1 v1.34.2
release minor 1.35.0-1 v1.35.0
release far 1.36.0-1 v1.36.0
release repacked 1.34.1-0 v1.34.1

fresh_host() {
	root=$work/root
	rm -rf "$root"
	make_host "$root"
	"$work/$1.run" --config "$work/config/byoh.yaml" --root "$root" >"$work/out" 2>"$work/err"
	before "$root"
}
run() { "$work/$1.run" "${@:2}" --root "$root"; }
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
state() { jq -r ".$1" <"$root/var/lib/byoh/state.json"; }

step "steps of Kubernetes"
fresh_host old
check "a minor release cannot be skipped" eval 'exits 4 run far install && says kubernetes-skew && says "1.35 first" && as_before "$root"'
check "preflight says so too" eval 'exits 4 run far preflight && prints kubernetes-skew'
check "unless the operator insists" eval 'exits 0 run far install --ignore-preflight-errors kubernetes-skew && [ "$(state kubernetes)" = v1.36.0 ]'
fresh_host old
check "a patch release goes in place" eval 'exits 0 run patch install && [ "$(state kubernetes)" = v1.34.2 ]'
check "a minor release follows" eval 'exits 0 run minor install && [ "$(state kubernetes)" = v1.35.0 ]'
check "rollback says that it crosses a minor release" eval 'exits 0 tool rollback --yes && says "crosses a minor" && [ "$(state kubernetes)" = v1.34.2 ]'

step "the plan of an upgrade"
fresh_host old
check "both versions of what changes, side by side" eval 'exits 0 run patch plan && grep -q "kubelet  *v1.34.1 -> v1.34.2" "$work/out" && ! prints "containerd  "'
check "as JSON, with what stays" eval 'exits 0 run patch plan --json && [ "$(jq -r ".upgrade.version" <"$work/out")" = 1.34.1-1 ] &&
	[ "$(jq -c ".upgrade.components[] | select(.name == \"kubelet\") | [.installed, .version]" <"$work/out")" = "[\"v1.34.1\",\"v1.34.2\"]" ]'
cp "$work/out" "$work/plan.json"
check "a plan that was approved is carried out" exits 0 run patch install --plan "$work/plan.json"
check "of the installed release there is none" eval 'exits 0 run patch plan --json && [ "$(jq ".upgrade" <"$work/out")" = null ]'

step "nothing older in silence"
fresh_host patch
check "older Kubernetes is refused" eval 'exits 4 run old install && says downgrade && says --allow-downgrade && as_before "$root"'
check "older Kubernetes where it is wanted" eval 'exits 0 run old install --allow-downgrade && [ "$(state kubernetes)" = v1.34.1 ]'
check "an older bundle of the same Kubernetes is refused" eval 'exits 4 run repacked install && says "by its version"'
check "the same release is no downgrade" eval 'exits 0 run old install && says "nothing to do"'
check "--drain and --drained exclude each other" exits 2 run patch install --drain --drained
check "--drain-kubeconfig belongs to --drain" exits 2 run patch install --drain-kubeconfig "$work/token"

step "the kubelet's flags"
flags=var/lib/kubelet/kubeadm-flags.env
fresh_host old
mkdir -p "$root/var/lib/kubelet"
echo 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.2 --pod-infra-container-image=registry.k8s.io/pause:3.10"' >"$root/$flags"
chmod 600 "$root/$flags"
cp -p "$root/$flags" "$work/flags"
check "a kubelet that knows them all" eval 'exits 0 run patch install && cmp "$root/$flags" "$work/flags"'
check "flags that the new kubelet does not know go" eval 'exits 0 run minor install && grep -qx "KUBELET_KUBEADM_ARGS=\"--node-ip=10.0.0.2\"" "$root/$flags" && [ "$(stat -c %a "$root/$flags")" = 600 ]'
check "and that is no drift" eval 'exits 0 tool status && exits 0 run minor install && says "nothing to do"'
check "rollback brings them back" eval 'exits 0 tool rollback --yes && cmp "$root/$flags" "$work/flags"'
check "rollback forward takes them away" eval 'exits 0 tool rollback --yes && ! grep -q pod-infra "$root/$flags"'
check "uninstall leaves no such file" eval 'exits 0 tool uninstall --yes && [ ! -e "$root/$flags" ]'
fresh_host old
mkdir -p "$root/var/lib/kubelet"
cp -p "$work/flags" "$root/$flags"
run minor install >"$work/out" 2>"$work/err"
echo 'KUBELET_KUBEADM_ARGS="--node-ip=10.0.0.9"' >"$root/$flags"
check "what kubeadm writes anew stays" eval 'exits 0 run minor install && says "nothing to do" && grep -q 10.0.0.9 "$root/$flags" && [ ! -e "$root/$flags.byoh-before" ]'

exit $failed
