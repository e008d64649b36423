#!/bin/bash
# The same inputs give the same bytes, and standard tools read them: zstd and tar. (openssl: trust.sh.)
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

# spec DIR    files, an archive with links and folders, an image, and a name that is not ASCII
spec() {
	local dir=$1
	node_spec "$dir"
	mkdir -p "$dir/tree/bin" "$dir/tree/lib/deep/er"
	noise 600000 05 >"$dir/tree/bin/tool"
	chmod 755 "$dir/tree/bin/tool"
	echo text >"$dir/tree/lib/deep/er/größe"
	ln -s ../bin/tool "$dir/tree/lib/tool"
	LC_ALL=C.UTF-8 tar --sort=name --mtime=@1 --owner=0 --group=0 -C "$dir/tree" -czf "$dir/tree.tgz" .
	sed -i '/^images:/,$d' "$dir/bundle.yaml"
	cat >>"$dir/bundle.yaml" <<-END
		  - name: tree
		    version: "1"
		    license: Apache-2.0
		    source: {path: tree.tgz, sha256: $(sha256sum <"$dir/tree.tgz" | cut -c1-64)}
		    files: [{from: "bin/*", to: /opt/tree/bin/}, {from: "lib/*", to: /opt/tree/lib/},
		      {from: "lib/deep/er/*", to: /opt/tree/lib/deep/er/}]
		images:
		  - {from: pause.tar, ref: "registry.k8s.io/pause:3.10"}
	END
}

step "twice"
make_keys key
spec "$work/one"
mkdir "$work/elsewhere"
cp -r --preserve=mode,links "$work/one" "$work/elsewhere/two"
find "$work/elsewhere" -exec touch -hd @86400 {} +
id=
build() { # OUT [OPTION...]: from the folder that one is in
	build_bundle "$@"
}
check "a bundle is built" build "$work/one" key "$work/one.bundle" --threads 1
id=$(cat "$work/id")
check "from another folder, another umask, zone and locale, with more threads" \
	eval '(cd "$work/elsewhere" && umask 077 && TZ=Asia/Tokyo LC_ALL=C.UTF-8 build_bundle two key "$work/two.bundle" --threads 4)'
check "it is the same, byte for byte" cmp "$work/one.bundle" "$work/two.bundle"
check "as a .run" eval 'build "$work/one" key "$work/one.run" && (cd "$work/elsewhere" && build_bundle two key "$work/two.run") && cmp "$work/one.run" "$work/two.run"'
check "which has the same id" eval '[ "$id" = "$(cat "$work/id")" ]'
offset=$(($(stat -c %s "$work/one.run") - $(stat -c %s "$work/one.bundle")))
check "and carries the same bundle" eval 'tail -c +$((offset + 1)) "$work/one.run" | cmp - "$work/one.bundle"'
check "at an offset that readelf shows" \
	eval '[ "$(readelf -nW "$work/one.run" | grep -A2 byoh | grep -oE "([0-9a-f]{2} ){8}" | tac -rs " " | tr -d " \n")" = "$(printf %016x "$offset")" ]'
check "another time of building gives another id" \
	eval '(SOURCE_DATE_EPOCH=1700000001 build_bundle "$work/one" key "$work/later.bundle") && ! cmp -s "$work/one.bundle" "$work/later.bundle" && [ "$id" != "$(cat "$work/id")" ]'
check "another key gives the same id" \
	eval 'make_keys other && build "$work/one" other "$work/other.bundle" && [ "$id" = "$(cat "$work/id")" ] && ! cmp -s "$work/one.bundle" "$work/other.bundle"'
check "both tools tell the id" eval 'exits 0 "$BYOH_BUNDLE" inspect "$work/one.bundle" --json && [ "$(jq -r .id "$work/out")" = "$id" ] &&
	exits 0 "$work/one.run" verify --json && [ "$(jq -r .id "$work/out")" = "$id" ]'

step "what build tells"
# told [OPTION...]    a build without a terminal
told() {
	exits 0 "$BYOH_BUNDLE" build "$work/one/bundle.yaml" --key "$work/key/private.pem" --stub "$BYOH_INSTALL" \
		--out "$work/told.run" --level 1 "$@" && [ "$(cat "$work/out")" = "$id" ]
}
check "a line for each phase, the id alone on stdout" eval 'told && [ "$(grep -c "^==> " "$work/err")" = 3 ] && [ "$(grep -c "" "$work/err")" = 3 ] &&
	says "collecting node 1.0: 9 components, 1 images" && says "packing 9 components and 1 images, " &&
	says "written $work/told.run, $(numfmt --to=si --format=%.1f --round=nearest "$(stat -c %s "$work/told.run")" | sed "s/M\$/ MB/"), id $id"'
check "nothing with --quiet" eval 'told --quiet && [ ! -s "$work/err" ]'

step "zstd and tar"
export LC_ALL=C.UTF-8 TZ=UTC
check "zstd tests it" zstd -qt "$work/one.bundle"
check "tar lists it" eval 'zstd -dc "$work/one.bundle" | tar tv >"$work/list" 2>"$work/err" && [ ! -s "$work/err" ] &&
	grep -q "^-rwxr-xr-x 0/0 .* usr/local/bin/kubelet$" "$work/list" &&
	grep -q "^lrwxrwxrwx .* opt/tree/lib/tool -> ../bin/tool$" "$work/list" && grep -q "^drwxr-xr-x .* opt/tree/lib/$" "$work/list" &&
	grep -q "größe$" "$work/list" && ! grep -qv " $(date -d "@$SOURCE_DATE_EPOCH" "+%F %R") " "$work/list"'
mkdir "$work/tar"
check "tar unpacks it" eval 'zstd -dc "$work/one.bundle" | tar x -C "$work/tar"'
check "to the same files as extract" eval 'exits 0 "$BYOH_INSTALL" extract "$work/extracted" --from "$work/one.bundle" --key "$work/key/public.pem" --quiet &&
	before "$work/tar" && as_before "$work/extracted"'
check "which are the sources" eval 'cmp "$work/one/tree/bin/tool" "$work/tar/opt/tree/bin/tool" && cmp "$work/one/kubelet" "$work/tar/usr/local/bin/kubelet"'
check "and the SBOM and the installer" eval 'jq -e .spdxVersion "$work/tar/var/lib/byoh/sbom.spdx.json" >/dev/null &&
	head -c "$(stat -c %s "$work/tar/usr/local/sbin/byoh-install")" "$work/one.run" | cmp - "$work/tar/usr/local/sbin/byoh-install"'
check "the end of the tar is there, once" eval '[ "$(zstd -dc "$work/one.bundle" | tail -c 1024 | tr -d "\0" | wc -c)" = 0 ]'

exit "$failed"
