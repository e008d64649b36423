# shellcheck shell=bash disable=SC2034,SC2154
# Sourced by tests/fault/run: an upgrade by a delta, and a repair that goes through it to its base.

make_delta() {
	[ ! -e "$work/delta.bundle" ] || return 0
	cp -a "$work/plain" "$work/changed"
	printf 'another' | dd of="$work/changed/data" bs=1000 seek=1500 conv=notrunc status=none
	sed -i "s/^version: \"1.0\"/version: \"2.0\"/
		s/data, sha256: [0-9a-f]*/data, sha256: $(sha256sum <"$work/changed/data" | cut -c1-64)/" "$work/changed/bundle.yaml"
	build_bundle "$work/changed" key "$work/delta.bundle" --base "$work/plain.run"
}
# A file of the operator's keeps the folder of before-images from being empty, which some undos take away and some do not.
delta_old() {
	make_delta && plain_old "$1" && mkdir "$1/opt/plain" && echo mine >"$1/opt/plain/greeting" &&
		plain_command "$1" && quietly "${command[@]}"
}
delta_command() { command=("$BYOH_INSTALL" install --from "$work/delta.bundle" --root "$1"); }

delta_repair_old() {
	delta_old "$1" && delta_command "$1" && quietly "${command[@]}"
	rm "$1/opt/plain/data"
}
delta_repair_command() { command=("$BYOH_INSTALL" repair --root "$1"); }
scenarios+=(delta delta_repair)
