#!/bin/bash
# byoh-bundle fetch of images: from Debian's docker-registry on loopback, and from a server that wants a token.
# shellcheck disable=SC2016,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"

hex() { sha256sum <"$1" | cut -d' ' -f1; }
size() { stat -c %s "$1"; }
cache=$work/cache
image=$work/image

# An image of two layers for two platforms that share the first one, and an index over both.
make_image() {
	local arch
	mkdir -p "$image" "$work/root"
	noise 1000000 00 >"$work/root/data"
	tar --sort=name --mtime=@0 --owner=0 --group=0 -C "$work/root" -cf - data | gzip -n >"$image/layer-shared"
	for arch in amd64 arm64; do
		echo "$arch" >"$work/root/arch"
		tar --sort=name --mtime=@0 --owner=0 --group=0 -C "$work/root" -cf "$image/layer-$arch" arch
		printf '{"os": "linux", "architecture": "%s", "config": {}, "rootfs": {"type": "layers", "diff_ids": []}}' \
			"$arch" >"$image/config-$arch"
		cat >"$image/manifest-$arch" <<-END
			{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
			 "config": $(descriptor application/vnd.oci.image.config.v1+json "config-$arch"),
			 "layers": [$(descriptor application/vnd.oci.image.layer.v1.tar+gzip layer-shared),
			            $(descriptor application/vnd.oci.image.layer.v1.tar "layer-$arch")]}
		END
	done
	cat >"$image/index" <<-END
		{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [
		 $(descriptor application/vnd.oci.image.manifest.v1+json manifest-arm64 ', "platform": {"os": "linux", "architecture": "arm64"}'),
		 $(descriptor application/vnd.oci.image.manifest.v1+json manifest-amd64 ', "platform": {"os": "linux", "architecture": "amd64"}')]}
	END
}

descriptor() {
	printf '{"mediaType": "%s", "digest": "sha256:%s", "size": %s%s}' \
		"$1" "$(hex "$image/$2")" "$(size "$image/$2")" "${3:-}"
}

# spec FIELDS    a bundle of that image alone
spec() {
	begin_spec "$work/spec" test
	printf 'images:\n  - {%s}\n' "$1" >>"$work/spec/bundle.yaml"
}

fetch() { "$BYOH_BUNDLE" fetch "$work/spec/bundle.yaml" --cache "$cache" "$@"; }

# layout FOLDER    it holds the amd64 image and nothing of the arm64 one, and no byte is wrong
layout() {
	local blob name
	[ -f "$cache/images/$1/index.json" ] && [ -f "$cache/images/$1/oci-layout" ] || return 1
	for name in layer-shared layer-amd64 config-amd64 manifest-amd64; do
		[ -f "$cache/images/$1/blobs/sha256/$(hex "$image/$name")" ] || return 1
	done
	[ ! -e "$cache/images/$1/blobs/sha256/$(hex "$image/layer-arm64")" ] || return 1
	for blob in "$cache/images/$1"/blobs/sha256/*; do
		[ "${blob##*/}" = "$(hex "$blob")" ] || return 1
	done
}

make_image
index=$(hex "$image/index")
amd64=$(hex "$image/manifest-amd64")
arm64=$(hex "$image/manifest-arm64")
shared=$(hex "$image/layer-shared")

#
# Debian's registry
#

start_registry() {
	mkdir -p "$work/registry"
	cat >"$work/registry.yml" <<-END
		version: 0.1
		log: {level: info, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $work/registry}}
		http: {addr: "127.0.0.1:0"}
	END
	mkfifo "$work/registry.log"
	docker-registry serve "$work/registry.yml" >/dev/null 2>"$work/registry.log" &
	pids+=($!)
	registry_pid=$!
	exec 7<"$work/registry.log"
	while read -r line <&7; do
		case $line in *'listening on 127.0.0.1:'*) break ;; esac
	done
	line=${line#*listening on 127.0.0.1:}
	registry=127.0.0.1:${line%%[!0-9]*}
	cat <&7 >/dev/null &
	pids+=($!)
	exec 7<&-
}

upload_blob() {
	local location
	location=$(curl -sf -X POST -D - -o /dev/null "http://$registry/v2/team/app/blobs/uploads/" |
		tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
	curl -sf -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$1" \
		"$location&digest=sha256:$(hex "$1")" >/dev/null
}

upload_manifest() {
	curl -sf -X PUT -H "Content-Type: $2" --data-binary "@$1" \
		"http://$registry/v2/team/app/manifests/$3" >/dev/null
}

fill_registry() {
	local name
	for name in layer-shared layer-amd64 layer-arm64 config-amd64 config-arm64; do
		upload_blob "$image/$name"
	done
	for name in amd64 arm64; do
		upload_manifest "$image/manifest-$name" application/vnd.oci.image.manifest.v1+json \
			"sha256:$(hex "$image/manifest-$name")"
	done
	upload_manifest "$image/index" application/vnd.oci.image.index.v1+json 1.0
}

test_registry() {
	start_registry
	fill_registry
	spec "ref: \"$registry/team/app:1.0\", digest: \"sha256:$index\""
	check "an image is pulled by the digest of its index, for its platform alone" \
		eval 'exits 0 fetch && layout $index'
	spec "ref: \"$registry/team/app:1.0\", unlocked: true"
	check "an unlocked one is pulled by its tag" \
		eval 'exits 0 fetch && layout "ref-$(printf %s "$registry/team/app:1.0 linux/amd64" | sha256sum | cut -d" " -f1)"'
	upload_manifest "$image/manifest-amd64" application/vnd.oci.image.manifest.v1+json 1.0
	check "what its tag names later is not noticed" \
		eval 'exits 0 fetch && grep -q "$index" "$cache"/images/ref-*/index.json'
	check "but with --refresh" eval 'exits 0 fetch --refresh && grep -q "$amd64" "$cache"/images/ref-*/index.json'
	spec "ref: \"$registry/team/app:1.0\", digest: \"sha256:$amd64\""
	check "or by the digest of the manifest" eval 'exits 0 fetch && layout $amd64'
	spec "ref: \"$registry/team/app:1.0\", digest: \"sha256:$index\", platform: linux/s390x"
	check "a platform that the image lacks is named" eval 'exits 1 fetch && says linux/s390x'
	spec "ref: \"$registry/team/app:1.0\", digest: \"sha256:${index//[0-7]/8}\""
	check "a digest that the registry lacks is an error" eval 'exits 1 fetch && says 404'
	kill "$registry_pid"
	wait "$registry_pid" 2>/dev/null || true
	spec "ref: \"$registry/team/app:1.0\", digest: \"sha256:$index\""
	check "what the cache holds needs no registry" exits 0 fetch
	rm -rf "$cache"
	check "what it lacks does" exits 1 fetch --retries 0
}

missing=
for tool in docker-registry curl; do
	command -v "$tool" >/dev/null || missing+=" $tool"
done
if [ -z "$missing" ]; then
	test_registry
else
	echo "SKIP pulling from docker-registry: not installed:$missing"
fi

#
# A registry that wants a token and sends blobs from elsewhere
#

site=$work/site
repository=$site/registry/v2/team/app
mkdir -p "$repository/manifests" "$site/registry/blobs"
cp "$image/index" "$repository/manifests/sha256:$index"
cp "$image/index" "$repository/manifests/1.0"
cp "$image/manifest-amd64" "$repository/manifests/sha256:$amd64"
cp "$image/manifest-arm64" "$repository/manifests/sha256:$arm64"
for blob in "$image"/layer-* "$image"/config-*; do
	cp "$blob" "$site/registry/blobs/$(hex "$blob")"
done
start_http_server "$site"
rm -rf "$cache"

spec "ref: \"127.0.0.1:$port/team/app:1.0\", digest: \"sha256:$index\""
check "an anonymous token is asked for, once" eval 'exits 0 fetch && layout $index && [ "$(asked "GET /token")" = 1 ]'
check "for pulling this repository" \
	grep -q 'GET /token?service=the%20service&scope=repository%3Ateam%2Fapp%3Apull ' "$work/log"
check "the token does not follow a redirect to another host" \
	eval '[ "$(asked "GET /ranges/.*auth=-")" = 3 ] && [ "$(asked "GET /ranges/.*auth=B")" = 0 ]'

layout_of=$cache/images/$index
: >"$work/log"
head -c 400000 "$layout_of/blobs/sha256/$shared" >"$layout_of/blobs/sha256/$shared.part"
rm "$layout_of/blobs/sha256/$shared"
check "a layer that was cut off is resumed, and no other is fetched" \
	eval 'exits 0 fetch && layout $index && [ "$(asked "GET /ranges/.*$shared range=bytes=400000-")" = 1 ] && [ "$(asked "GET /ranges/")" = 1 ]'

rm -rf "$cache"
printf x | dd of="$site/registry/blobs/$shared" bs=1 seek=10 conv=notrunc 2>/dev/null
check "a layer of other bytes is refused, and not kept" \
	eval 'exits 3 fetch && [ ! -e "$layout_of/blobs/sha256/$shared" ] && [ ! -e "$layout_of/blobs/sha256/$shared.part" ] && [ ! -e "$layout_of/index.json" ]'
cp "$image/layer-shared" "$site/registry/blobs/$shared"
printf ' ' >>"$repository/manifests/sha256:$index"
rm -rf "$cache"
check "an index of other bytes is refused" eval 'exits 3 fetch && [ ! -e "$layout_of/blobs/sha256/$index" ]'

exit "$failed"
