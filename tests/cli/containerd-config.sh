#!/bin/bash
# Real containerds read the configuration that the installer writes for their version: Debian's own 1.x and
# sid's 2.x, each started for a moment with its CRI plugin; and systemd reads the units.
#
#   containerd-config.sh [-h]
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
: "${BYOH_BUNDLE:=$here/build/byoh-bundle}" "${BYOH_INSTALL:=$here/build/byoh-install}"

case ${1:-} in
-h | --help) sed -n '2,5s/^# \{0,1\}//p' "$0" && exit ;;
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

step "a bundle for each containerd"
"$BYOH_BUNDLE" keygen --out "$work/key" >"$work/keygen.log" 2>&1 || { fail key "keygen" "$work/keygen.log"; exit 1; }
for version in 1.6.20~ds1-1+deb12u1 2.0.4 2.1.9; do
	install_root "$version" || { fail "install-$version" "no installation" "$work/bundle-$version/log"; exit 1; }
done

step "Debian's containerd 1.x"
if (cd "$work" && apt-get download containerd >"$work/apt.log" 2>&1) && dpkg -x "$work"/containerd_*.deb "$work/one"; then
	read_config containerd-1 "$work/root-1.6.20~ds1-1+deb12u1" "$work/one/usr/bin/containerd"
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
