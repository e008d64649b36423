#!/bin/bash
# Real containerds read the configuration that the installer writes for their version: Debian's own 1.x and
# sid's 2.x, each started for a moment with its CRI plugin; and the one that it makes of their own where they
# are adopted. systemd reads the units.
#
#   containerd-config.sh [-h]
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
: "${BYOH_BUNDLE:=$here/build/byoh-bundle}" "${BYOH_INSTALL:=$here/build/byoh-install}"

case ${1:-} in
-h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0" && exit ;;
esac
work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
pass() { echo "PASS $1"; }
fail() {
	echo "FAIL $1: $2"
	[ ! -s "${3:-}" ] || sed 's/^/    /' "$3"
	failed=1
}
failed=
step() { printf '==> %s\n' "$*" >&2; }

declare -A parts=([containerd]=/usr/local/bin [kubelet]=/usr/local/bin [byoh-hostagent]=/usr/local/bin
	[xtables-nft-multi]=/usr/local/lib/byoh)

# install_root VERSION: a host below $work/root-VERSION with a containerd of that version by name only
install_root() {
	local version=$1 dir=$work/bundle-$1 name
	mkdir -p "$dir" "$work/root-$version/etc"
	for name in "${!parts[@]}"; do
		cp /bin/true "$dir/$name"
	done
	cat >"$dir/bundle.yaml" <<END
apiVersion: byoh-bundle/v1alpha1
kind: Bundle
name: config-only
version: "1"
epoch: 1
arch: amd64
kubernetes: v1.34.1
components:
$(for name in "${!parts[@]}"; do
		cat <<PART
  - name: $name
    version: "$version"
    license: Apache-2.0
    source: {path: $name, sha256: $(sha256sum "$dir/$name" | cut -c1-64)}
    files: [{from: $name, to: ${parts[$name]}/$name, mode: "0755"}]
PART
	done)
END
	cat >"$dir/byoh.yaml" <<'END'
apiVersion: byoh-install/v1alpha1
kind: InstallConfig
join: {mode: none}
containerd: {sandboxImage: "registry.example/pause:3.10"}
host: {slices: true}
registries:
  mirrors:
    docker.io: {endpoint: ["https://a.lan:5000", "https://b.lan/proxy"]}
  configs:
    a.lan:5000: {auth: {username: 'odd"name\', password: "p'$x"}}
END
	"$BYOH_BUNDLE" build "$dir/bundle.yaml" --key "$work/key/private.pem" --stub "$BYOH_INSTALL" \
		--out "$dir/x.bundle" >"$dir/log" 2>&1 &&
		"$BYOH_INSTALL" install --from "$dir/x.bundle" --key "$work/key/public.pem" \
			--config "$dir/byoh.yaml" --root "$work/root-$version" --yes >>"$dir/log" 2>&1
}

# read_config LABEL ROOT CONTAINERD...: dumps the configuration, then starts containerd with it
read_config() {
	local label=$1 root=$2 config=$2/etc/containerd/config.toml run=$work/run-$1 key
	shift 2
	mkdir -p "$run"
	if ! "$@" --config "$config" config dump >"$run/dump" 2>"$run/log"; then
		fail "$label-dump" "containerd does not read $config" "$run/log"
		return 0
	fi
	for key in 'SystemdCgroup = true' 'registry.example/pause:3.10' /etc/containerd/certs.d /opt/cni/bin; do
		grep -qF -- "$key" "$run/dump" || { fail "$label-dump" "the dump lacks \"$key\"" "$run/dump"; return 0; }
	done
	pass "$label-dump"
	boots "$label" "$run" "$@" --config "$config"
}

# boots LABEL RUN CONTAINERD...: does it come up with CRI, and does CRI take what it was told? Its first
# words are awaited, not a time; whatever it is, it ends after them.
boots() {
	local label=$1 run=$2 line booted='' pid
	shift 2
	if ! unshare -m -n true 2>/dev/null; then
		echo "SKIP $label-start: no namespaces of one's own here"
		return 0
	fi
	mkfifo "$run/words"
	timeout -k 5 60 unshare -m -n "$@" --root "$run/root" --state "$run/state" --address "$run/sock" \
		>"$run/words" 2>&1 &
	pid=$!
	while IFS= read -r line; do
		printf '%s\n' "$line" >>"$run/log"
		case $line in
		*"successfully booted"*)
			booted=1
			kill "$pid" 2>/dev/null || true
			;;
		esac
	done <"$run/words"
	wait "$pid" 2>/dev/null || true
	if [ -z "$booted" ]; then
		fail "$label-start" "containerd did not come up" "$run/log"
	elif grep -E 'invalid (plugin|cri|runtime|image)|failed to load plugin.*cri|conflict' "$run/log" >"$run/why"; then
		fail "$label-start" "CRI refuses the configuration" "$run/why"
	elif ! grep -qiE 'start cri plugin|starting cri|Start subscribing containerd event' "$run/log"; then
		fail "$label-start" "CRI did not start" "$run/log"
	else
		pass "$label-start"
	fi
}

# Configurations that hosts have.
debians='version = 2

[plugins]
  [plugins."io.containerd.grpc.v1.cri"]
    [plugins."io.containerd.grpc.v1.cri".cni]
      bin_dir = "/usr/lib/cni"
      conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.internal.v1.opt"]
    path = "/var/lib/containerd/opt"
'
dockers='# a license

disabled_plugins = ["cri"]

#root = "/var/lib/containerd"
'
nvidias='version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.zfs"]
imports = ["/etc/containerd/conf.d/*.toml"]

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.lan/old:1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "nvidia"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
        BinaryName = "/usr/bin/nvidia-container-runtime"
        SystemdCgroup = true
'
version_3='version = 3

[plugins."io.containerd.cri.v1.images".registry]
  config_path = "/etc/docker/certs.d"
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["/usr/lib/cni"]
'

# adopt LABEL DEB CONFIGURATION WORD CONTAINERD...: a host with that package and configuration adopts it; WORD
# is what has to be in the dump besides. The dump is made of a copy whose imports lie where they can be read.
adopt() {
	local label=$1 deb=$2 config=$3 word=$4 root=$work/adopt-$1 run=$work/run-$1 key
	shift 4
	mkdir -p "$root/etc" "$run" && dpkg -x "$deb" "$root"
	printf '%s' "$config" >"$root/etc/containerd/config.toml"
	if [[ $config = *conf.d* ]]; then
		mkdir "$root/etc/containerd/conf.d"
		printf 'version = 2\noom_score = -7\n' >"$root/etc/containerd/conf.d/9.toml"
	fi
	sed 's/^containerd: {/&existing: adopt, /' "$work/bundle-2.1.9/byoh.yaml" >"$run/byoh.yaml"
	if ! "$BYOH_INSTALL" install --from "$work/bundle-2.1.9/x.bundle" --key "$work/key/public.pem" \
		--config "$run/byoh.yaml" --root "$root" --yes >"$run/log" 2>&1; then
		fail "$label-dump" "no installation" "$run/log"
		return 0
	fi
	if [ ! -e "$root/usr/local/bin/kubelet" ] || [ -e "$root/usr/local/bin/containerd" ]; then
		fail "$label-dump" "the wrong programs were brought" "$run/log"
		return 0
	fi
	cp -r "$root/etc/containerd" "$run/"
	sed -Ei "s,\"/etc/containerd/(byoh\*.toml|conf.d/),\"$run/containerd/\1,g" "$run/containerd/config.toml"
	if ! "$@" --config "$run/containerd/config.toml" config dump >"$run/dump" 2>"$run/log"; then
		fail "$label-dump" "containerd does not read it" "$run/log"
		return 0
	fi
	for key in 'SystemdCgroup = true' 'registry.example/pause:3.10' /etc/containerd/certs.d /opt/cni/bin "$word"; do
		grep -qF -- "$key" "$run/dump" || { fail "$label-dump" "the dump lacks \"$key\"" "$run/dump"; return 0; }
	done
	if grep -E '^disabled_plugins.*cri|registry.lan/old' "$run/dump" >"$run/why"; then
		fail "$label-dump" "CRI is still off, or not set anew" "$run/why"
		return 0
	fi
	pass "$label-dump"
	boots "$label" "$run" "$@" --config "$run/containerd/config.toml"
}

step "a bundle for each containerd"
"$BYOH_BUNDLE" keygen --out "$work/key" >"$work/keygen.log" 2>&1 || { fail key "keygen" "$work/keygen.log"; exit 1; }
for version in 1.6.20~ds1-1+deb12u1 2.0.4 2.1.9; do
	install_root "$version" || { fail "install-$version" "no installation" "$work/bundle-$version/log"; exit 1; }
done

step "Debian's containerd 1.x"
if (cd "$work" && apt-get download containerd >"$work/apt.log" 2>&1) && dpkg -x "$work"/containerd_*.deb "$work/one"; then
	one=("$work/one/usr/bin/containerd") deb=("$work"/containerd_*.deb)
	read_config containerd-1 "$work/root-1.6.20~ds1-1+deb12u1" "${one[@]}"
	adopt adopt-1-debian "${deb[0]}" "$debians" /var/lib/containerd/opt "${one[@]}"
	adopt adopt-1-docker "${deb[0]}" "$dockers" 'disabled_plugins = []' "${one[@]}"
	adopt adopt-1-nvidia "${deb[0]}" "$nvidias" 'default_runtime_name = "nvidia"' "${one[@]}"
else
	echo "SKIP containerd-1: the package cannot be had: $(tail -n 1 "$work/apt.log")"
fi

# It may want a newer libc than this machine's: sid's own lies beside it.
step "sid's containerd 2.x"
if "$here/scripts/debian-source" --suite sid binary "$work/sid" containerd libc6 >"$work/sid.log" 2>&1 &&
	dpkg -x "$work/sid/containerd.deb" "$work/two" && dpkg -x "$work/sid/libc6.deb" "$work/two"; then
	loader=$(find "$work/two" -name ld-linux-x86-64.so.2 | head -n 1)
	libc=$(find "$work/two" -name libc.so.6 | head -n 1)
	two=("$loader" --library-path "${libc%/*}" "$work/two/usr/bin/containerd")
	number=$("${two[@]}" --version | grep -oE ' v?[0-9]+\.[0-9]+' | head -n 1 | tr -d ' v')
	case $number in
	2.0) read_config containerd-2 "$work/root-2.0.4" "${two[@]}" ;;
	2.*) read_config containerd-2 "$work/root-2.1.9" "${two[@]}" ;;
	*) echo "SKIP containerd-2: sid has containerd ${number:-of an unknown version}" ;;
	esac
	adopt adopt-2-debian "$work/sid/containerd.deb" "$debians" /var/lib/containerd/opt "${two[@]}"
	adopt adopt-2-docker "$work/sid/containerd.deb" "$dockers" 'disabled_plugins = []' "${two[@]}"
	adopt adopt-2-nvidia "$work/sid/containerd.deb" "$nvidias" "default_runtime_name = 'nvidia'" "${two[@]}"
	adopt adopt-2-version-3 "$work/sid/containerd.deb" "$version_3" \
		/etc/docker/certs.d:/etc/containerd/certs.d "${two[@]}"
else
	echo "SKIP containerd-2: the packages cannot be had: $(tail -n 1 "$work/sid.log")"
fi

step "units"
if command -v systemd-analyze >/dev/null; then
	root=$work/root-2.1.9
	mkdir -p "$root/usr/lib/systemd" "$root/sbin"
	cp -r /usr/lib/systemd/system "$root/usr/lib/systemd/"
	cp /bin/true "$root/sbin/modprobe"
	systemd-analyze verify --root="$root" --man=no "$root"/usr/local/lib/systemd/system/*.service \
		>"$work/units.log" 2>&1 || true
	grep -E 'usr/local/lib|byoh|kube|containerd|runtime' "$work/units.log" >"$work/units.bad" || true
	if [ -s "$work/units.bad" ]; then
		fail units "systemd complains" "$work/units.bad"
	else
		pass units
	fi
else
	echo "SKIP units: no systemd-analyze here"
fi
[ -z "$failed" ]
