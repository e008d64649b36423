# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by tests/fault/run: the other verbs, on a host that has a release.

installed() { install_old "$1" && install_command "$1" && quietly "${command[@]}"; }
has_verb() { "$BYOH_INSTALL" --help | grep -qE "^  $1( |\$)"; }

join_old() { installed "$1"; }
join_command() { command=("$BYOH_INSTALL" join --token-file "$work/second/token" --root "$1"); }
scenarios+=(join)

upgrade_old() { installed "$1"; }
upgrade_command() { command=("$work/newer.run" install --root "$1"); }
scenarios+=(upgrade)

if has_verb rollback; then
	rollback_old() { upgrade_old "$1" && upgrade_command "$1" && quietly "${command[@]}"; }
	rollback_command() { command=("$BYOH_INSTALL" rollback --yes --root "$1"); }
	rollback_once=1
	scenarios+=(rollback)
fi

if has_verb repair; then
	repair_old() {
		installed "$1"
		echo damaged >>"$1/usr/local/bin/kubelet"
		chmod 600 "$1/usr/local/bin/kubeadm"
		rm "$1/opt/cni/bin/bridge"
		: >"$1/etc/modules-load.d/byoh.conf"
	}
	repair_command() { command=("$BYOH_INSTALL" repair --root "$1"); }
	scenarios+=(repair)
fi

if has_verb uninstall; then
	uninstall_old() {
		upgrade_old "$1" && upgrade_command "$1" && quietly "${command[@]}"
		mkdir "$1/var/lib/kubelet/pods"
		echo state >"$1/var/lib/kubelet/cpu_manager_state"
	}
	uninstall_command() { command=("$BYOH_INSTALL" uninstall --yes --root "$1"); }
	uninstall_once=1
	# Killed when all was gone but for the last word: the release comes back, and what services had written.
	undo_uninstall_old() { uninstall_old "$1"; }
	undo_uninstall_start() { uninstall_command "$1" && killed_at ' write .*/journal/' "${command[@]}"; }
	undo_uninstall_command() { command=("$BYOH_INSTALL" status --root "$1"); }
	scenarios+=(uninstall undo_uninstall)
fi
