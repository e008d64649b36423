# shellcheck shell=bash disable=SC2034
# Sourced by the tests of the commands: a folder to work in, checks that count themselves, bundles, hosts.

if [ "${1:-}" = -h ]; then
	sed -n '2,/^[^#]/{/^# shellcheck/d; s/^# //p}' "$0"
	exit 0
fi

: "${BYOH_BUNDLE:=$here/../../build/byoh-bundle}" "${BYOH_INSTALL:=$here/../../build/byoh-install}"
: "${BYOH_HOSTILE:=$here/../../build/debug/tests/cli/hostile-bundle}"
: "${SOURCE_DATE_EPOCH:=1700000000}"
export SOURCE_DATE_EPOCH
work=$(mktemp -d)
failed=0
mounts=()
pids=() # of what runs beside the test and ends with it

end() {
	local mount pid
	[ "$BASHPID" = $$ ] || return 0
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	for mount in "${mounts[@]}"; do
		umount -l "$mount" 2>/dev/null || true
	done
	rm -rf --one-file-system "$work"
}
trap end EXIT

step() { printf '==> %s\n' "$*" >&2; }
pass() { echo "PASS $1"; }
skip() { echo "SKIP $1: $2"; }
fail() {
	echo "FAIL $1"
	[ ! -s "$work/out" ] || sed 's/^/    out: /' "$work/out" | tail -n 20
	[ ! -s "$work/err" ] || sed 's/^/    err: /' "$work/err" | tail -n 20
	failed=1
}

# check NAME COMMAND...    passes if the command succeeds
check() {
	local name=$1
	shift
	if "$@"; then pass "$name"; else fail "$name"; fi
}

# exits CODE COMMAND...    the command's exit code is CODE; its output is in out and err. Never a terminal.
exits() {
	local expected=$1 code=0
	shift
	"$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
	[ "$code" = "$expected" ] || {
		echo "exit code $code, expected $expected: ${*##*/}" >>"$work/err"
		return 1
	}
}

# says TEXT / prints TEXT    on stderr, on stdout
says() { grep -qF -- "$1" "$work/err"; }
prints() { grep -qF -- "$1" "$work/out"; }
# One sentence, once: nothing else stands on stderr, and nothing on stdout.
says_one_sentence() { [ "$(grep -c . "$work/err")" = 1 ] && grep -q '^byoh-[a-z]*: .' "$work/err" && [ ! -s "$work/out" ]; }

# snapshot DIR    path, type, mode, owner, link target and content of all in it
snapshot() {
	(
		cd "$1" || exit 1
		find . -printf '%P %y %m %U:%G %l\n' | LC_ALL=C sort
		find . -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum
	)
}

# as_before DIR    is it what `before DIR` saw?
before() { snapshot "$1" >"$work/before"; }
as_before() {
	snapshot "$1" >"$work/after"
	diff "$work/before" "$work/after" >"$work/difference" || {
		sed 's/^/difference: /' "$work/difference" | head -n 20 >>"$work/err"
		return 1
	}
}

# noise BYTES SEED    bytes that do not compress, the same for the same seed
noise() { openssl enc -aes-128-ctr -K "$2" -iv 00 -in /dev/zero 2>/dev/null | head -c "$1" || true; }

# damage FILE OFFSET    that byte is another one
damage() {
	local byte
	byte=$(od -An -tu1 -j"$2" -N1 "$1")
	printf '%b' "\\$(printf %03o $((byte ^ 85)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

# start_http_server SITE    tests/cli/http-server.c over that folder at 127.0.0.1:$port, its requests in $work/log
start_http_server() {
	"${CC:-gcc}" -O1 -D_GNU_SOURCE -o "$work/http-server" "$here/http-server.c"
	: >"$work/log"
	mkfifo "$work/port"
	"$work/http-server" "$1" "$work/log" >"$work/port" &
	pids+=($!)
	read -r port <"$work/port"
}
# asked REGEX    how many requests it had of that kind
asked() { grep -cE -- "$1" "$work/log" || true; }

# make_keys NAME    $work/NAME/{private,public}.pem
make_keys() { "$BYOH_BUNDLE" keygen --out "$work/$1" >/dev/null; }

# begin_spec DIR NAME [KUBERNETES]
begin_spec() {
	mkdir -p "$1"
	cat >"$1/bundle.yaml" <<-END
		apiVersion: byoh-bundle/v1alpha1
		kind: Bundle
		name: $2
		version: "1.0"
		epoch: 1
		arch: amd64
		${3:+kubernetes: $3}
		components:
	END
}

# add_part DIR NAME VERSION TO MODE    DIR/NAME is the file
add_part() {
	cat >>"$1/bundle.yaml" <<-END
		  - name: $2
		    version: "$3"
		    license: Apache-2.0
		    source: {path: $2, sha256: $(sha256sum <"$1/$2" | cut -c1-64)}
		    files: [{from: $2, to: $4, mode: "$5"}]
	END
}

# build_bundle DIR KEYS OUT [OPTION...]
build_bundle() {
	local dir=$1 keys=$2 out=$3
	shift 3
	"$BYOH_BUNDLE" build "$dir/bundle.yaml" --key "$work/$keys/private.pem" --stub "$BYOH_INSTALL" --out "$out" \
		--level 1 --quiet --cache "$work/cache" "$@" >"$work/id" 2>"$work/err"
}

# plain_spec DIR    nothing but files: no part of it is known to the installer
plain_spec() {
	begin_spec "$1" plain
	printf 'hello\n' >"$1/greeting"
	: >"$1/empty"
	noise 3000000 01 >"$1/data"
	add_part "$1" greeting 1 /opt/plain/greeting 0640
	add_part "$1" empty 1 /opt/plain/empty 0600
	add_part "$1" data 1 /opt/plain/data 0755
}

# node_spec DIR    what a node has, by name; each program is a script
node_spec() {
	local dir=$1 name
	begin_spec "$dir" node v1.34.1
	for name in containerd runc kubelet kubeadm kube-proxy byoh-hostagent; do
		printf '#!/bin/sh\necho %s\n' "$name" >"$dir/$name"
		case $name in
		containerd) add_part "$dir" "$name" 2.1.4 "/usr/local/bin/$name" 0755 ;;
		*) add_part "$dir" "$name" v1.34.1 "/usr/local/bin/$name" 0755 ;;
		esac
	done
	printf '#!/bin/sh\n' | tee "$dir/bridge" >"$dir/xtables-nft-multi"
	add_part "$dir" bridge 1.8.0 /opt/cni/bin/bridge 0755
	add_part "$dir" xtables-nft-multi 1.8.9 /usr/local/lib/byoh/xtables-nft-multi 0755
	mkdir -p "$dir/image"
	echo pause >"$dir/image/pause"
	"$here/../../payloads/make-oci-archive" --name registry.k8s.io/pause:3.10 --root "$dir/image" \
		--out "$dir/pause.tar" -- /pause >/dev/null
	printf 'images:\n  - {from: pause.tar, ref: "registry.k8s.io/pause:3.10"}\n' >>"$dir/bundle.yaml"
}

# make_host DIR    what a bare host has that the installer looks at
make_host() {
	mkdir -p "$1/etc" "$1/usr/bin" "$1/var/lib"
	echo bare >"$1/etc/hostname"
	printf '/dev/vda1 / ext4 defaults 0 1\n/dev/vda2 none swap sw 0 0\n' >"$1/etc/fstab"
	echo 'ID=debian' >"$1/etc/os-release"
}

# A CA with its key, in $work/ca.crt and $work/ca.key
make_ca() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/ca.key" -out "$work/ca.crt" \
		-subj /CN=test-ca -days 3650 -addext basicConstraints=critical,CA:TRUE 2>/dev/null
}
