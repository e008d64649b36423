#!/bin/bash
# Who may sign, and whose signatures count: adding them, thresholds, keys that come and go, the epoch floor, and
# the way to check a bundle without our code.
# shellcheck disable=SC2016,SC2034,SC2317
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
docs=$here/../../docs

refused() {
	exits "$@" && says_one_sentence && as_before "$root"
}
fresh_host() {
	root=$work/root
	rm -rf "$root"
	make_host "$root"
	before "$root"
}
tool() { "$root/usr/local/sbin/byoh-install" "$@" --root "$root"; }
key_id() { openssl pkey -pubin -in "$work/$1/public.pem" -outform der | sha256sum | cut -c1-64; }
config() { printf 'apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: none}\n%s\n' "${1:-}" >"$2"; }

# release NAME EPOCH KEYS [FOLDER=PEM]...    $work/NAME.run, plain of that version and epoch, with these files
release() {
	local name=$1 epoch=$2 keys=$3 dir=$work/spec-$1 place
	shift 3
	cp -r "$work/plain" "$dir"
	sed -i "s/^version: .*/version: \"$name\"/; s/^epoch: .*/epoch: $epoch/" "$dir/bundle.yaml"
	for place in "$@"; do
		cp "${place#*=}" "$dir/${place%%=*}.pem"
		add_part "$dir" "${place%%=*}.pem" 1 "/usr/share/byoh/${place%%=*}/${keys}-$name.pem" 0644
	done
	build_bundle "$dir" "$keys" "$work/$name.run"
}
# begins FILE    where the bundle does in it
begins() { { grep -abo BYOHBNDL "$1" || true; } | awk -F: '($1 - 8) % 4096 == 0 { print $1 - 8; exit }'; }
sign() { "$BYOH_BUNDLE" sign "$work/$1" --key "$work/$2/private.pem" --quiet; }
nothing_left() { ! compgen -G "$work/*.signing-*" >>"$work/err"; }
# documented PAGE HEADING    the commands that stand under it, as they stand there
documented() {
	awk -v heading="$2" '/^#/ { inside = index($0, heading) > 0; next } inside && /^    / { print substr($0, 5) }' "$1"
}

step "keys and bundles"
for name in old new other; do
	make_keys "$name"
done
plain_spec "$work/plain"
build_bundle "$work/plain" old "$work/plain.run"
build_bundle "$work/plain" old "$work/plain.bundle"
id=$(cat "$work/id")
chmod 751 "$work/plain.run"

step "adding a signature"
for kind in run bundle; do
	file=plain.$kind
	cp -p "$work/$file" "$work/one.$kind"
	cp -p "$work/$file" "$work/two.$kind"
	check "$kind: sign" eval 'exits 0 sign two.$kind new && prints "$(key_id new)"'
	offset=$({ cmp -l "$work/one.$kind" "$work/two.$kind" || true; } | awk 'NR == 1 { print $1 - 1 } END { print $1 - 1 }' | paste -sd' ')
	start=$(($(begins "$work/two.$kind") + 512))
	check "$kind: nothing but the signature area is another" \
		[ "${offset% *}" -ge "$start" -a "${offset#* }" -lt $((start + 4096)) ]
	check "$kind: size and mode stay" [ "$(stat -c '%s %a' "$work/one.$kind")" = "$(stat -c '%s %a' "$work/two.$kind")" ]
	for who in old new; do
		check "$kind: good for $who" eval 'exits 0 "$BYOH_BUNDLE" verify "$work/two.$kind" --quiet --key "$work/$who/public.pem" && prints "$id"'
	done
	check "$kind: verify says of which of them it knows" eval 'exits 0 "$BYOH_BUNDLE" verify "$work/two.$kind" --quiet --key "$work/new/public.pem" &&
		prints "signed by $(key_id old) (nobody vouched" && grep -qxF "  signed by $(key_id new)" "$work/out"'
	check "$kind: not for another" exits 3 "$BYOH_BUNDLE" verify "$work/two.$kind" --quiet --key "$work/other/public.pem"
	cp -p "$work/two.$kind" "$work/again.$kind"
	check "$kind: the same key twice is said, and is no failure" eval 'exits 0 sign again.$kind new && prints "already" && cmp "$work/two.$kind" "$work/again.$kind"'
done
check "in another order the area is another, the bundle the same" eval 'cp "$work/one.bundle" "$work/x.bundle" &&
	exits 0 sign x.bundle other && exits 0 sign x.bundle new && exits 0 "$BYOH_BUNDLE" verify "$work/x.bundle" --quiet && prints "$id"'
ln -s two.run "$work/link.run"
check "a link stays one, what it names is signed" eval 'exits 0 sign link.run other && [ -L "$work/link.run" ] &&
	exits 0 "$BYOH_BUNDLE" verify "$work/two.run" --quiet --key "$work/other/public.pem"'
cp -p "$work/one.run" "$work/two.run" && sign two.run new >/dev/null
check "no copy is left behind" nothing_left
echo secret >"$work/passphrase"
"$BYOH_BUNDLE" keygen --out "$work/locked" --passphrase-file "$work/passphrase" >/dev/null
cp "$work/one.bundle" "$work/locked.bundle"
check "a key with a passphrase" eval 'exits 2 sign locked.bundle locked && cmp "$work/one.bundle" "$work/locked.bundle" &&
	exits 0 "$BYOH_BUNDLE" sign "$work/locked.bundle" --key "$work/locked/private.pem" --passphrase-file "$work/passphrase" --quiet'

step "what is not signed"
# unsigned_by CODE FILE WHAT...    sign fails and the file is what it was
unsigned_by() {
	local code=$1 file=$2
	shift 2
	cp "$work/$file" "$work/kept"
	exits "$code" "$@" && says_one_sentence && cmp "$work/kept" "$work/$file" >>"$work/err" && nothing_left
}
cp "$work/one.bundle" "$work/bad.bundle"
damage "$work/bad.bundle" $(($(stat -c %s "$work/bad.bundle") - 1000))
check "a damaged payload" unsigned_by 3 bad.bundle sign bad.bundle new
head -c 5000 "$work/one.bundle" >"$work/cut.bundle"
check "a file that is cut short" unsigned_by 3 cut.bundle sign cut.bundle new
cp "$work/one.bundle" "$work/torn.bundle"
damage "$work/torn.bundle" $((512 + 16 + 50))
check "a file with a signature that does not hold" unsigned_by 3 torn.bundle sign torn.bundle new
check "which inspect names" eval 'exits 3 "$BYOH_BUNDLE" inspect "$work/torn.bundle" --signatures && prints "$(key_id old) DOES NOT HOLD"'
cp "$work/one.bundle" "$work/full.bundle"
for number in $(seq 2 31); do
	openssl genpkey -algorithm ed25519 -out "$work/key-$number.pem" 2>/dev/null
	"$BYOH_BUNDLE" sign "$work/full.bundle" --key "$work/key-$number.pem" --quiet >/dev/null
done
check "31 keys have room" eval 'exits 0 "$BYOH_BUNDLE" verify "$work/full.bundle" --quiet && [ "$(grep -c "signed by" "$work/out")" = 31 ]'
check "a 32nd has none" eval 'unsigned_by 1 full.bundle sign full.bundle new && says 31'
check "no bundle at all" exits 3 sign plain/data new
check "nothing to sign" exits 2 "$BYOH_BUNDLE" sign --key "$work/new/private.pem"

step "killed at every call that changes something"
# survives CALL NUMBER    the file is the one before or the one after, and good
survives() {
	cp -p "$work/one.bundle" "$work/killed.bundle"
	(strace -f -qq -o "$work/trace" -e "inject=$1:signal=KILL:when=$2" "$BYOH_BUNDLE" sign "$work/killed.bundle" \
		--key "$work/new/private.pem" --quiet || true) >"$work/out" 2>"$work/err"
	rm -f "$work"/killed.bundle.signing-*
	cmp -s "$work/killed.bundle" "$work/one.bundle" || cmp "$work/killed.bundle" "$work/two.bundle" >>"$work/err"
}
if ! strace -qq -o /dev/null true 2>"$work/err"; then
	skip "killed" "strace cannot trace here: $(tail -n 1 "$work/err")"
else
	for call in write:1 write:2 write:4 pwrite64:1 fsync:1 rename:1 fsync:2; do
		check "killed at $call" survives "${call%:*}" "${call#*:}"
		case $call in
		rename:1 | fsync:2) check "$call was reached" grep -q "killed by SIGKILL" "$work/trace" ;;
		esac
	done
	check "the last of them had the new one in place" cmp "$work/killed.bundle" "$work/two.bundle"
fi

step "a key elsewhere"
check "digest is what is signed" eval 'exits 0 "$BYOH_BUNDLE" digest "$work/one.run" && [ "$(stat -c %s "$work/out")" = 64 ] &&
	head -c 32 "$work/out" | cmp - <(printf "byoh-bundle/v1 manifest sha-256\n") && [ "$(tail -c 32 "$work/out" | xxd -p -c 64)" = "$id" ]'
check "and tells what it stands for" says "plain 1.0, epoch 1, id $id"
mkdir "$work/elsewhere"
cp "$work/new/private.pem" "$work/new/public.pem" "$work/elsewhere/"
build_bundle "$work/plain" old "$work/elsewhere/x.run"
documented "$docs/publish-a-bundle.md" "A key that is elsewhere" >"$work/commands"
elsewhere() {
	mkdir -p "$work/bin" && ln -sf "$(realpath "$BYOH_BUNDLE")" "$work/bin/byoh-bundle"
	(cd "$work/elsewhere" && cp x.run byoh-install.run && PATH=$work/bin:$PATH sh -eu "$work/commands")
}
check "the documented commands are there" grep -q "pkeyutl -sign -rawin" "$work/commands"
check "and sign" eval 'exits 0 elsewhere && exits 0 "$BYOH_BUNDLE" verify "$work/elsewhere/byoh-install.run" --quiet --key "$work/new/public.pem"'
check "the same bytes as with the key here" cmp "$work/elsewhere/byoh-install.run" "$work/two.run"
detached() { "$BYOH_BUNDLE" sign "$work/$1" --signature "$2" --key "$work/$3/public.pem" --quiet; }
release wrong 1 old
"$BYOH_BUNDLE" digest "$work/wrong.run" --out "$work/message" 2>/dev/null
openssl pkeyutl -sign -rawin -inkey "$work/new/private.pem" -in "$work/message" -out "$work/signature"
check "a signature over another bundle" eval 'unsigned_by 3 one.run detached one.run "$work/signature" new && says "not one of this key over this bundle"'
check "by another key than is said" unsigned_by 3 wrong.run detached wrong.run "$work/signature" other
check "that is no signature" unsigned_by 3 one.run detached one.run "$work/old/public.pem" new
check "and good where it belongs" exits 0 detached wrong.run "$work/signature" new
check "a private key in the public one's place" exits 2 "$BYOH_BUNDLE" sign "$work/one.run" --signature "$work/signature" --key "$work/new/private.pem"
"$BYOH_BUNDLE" build "$work/plain/bundle.yaml" --unsigned --stub "$BYOH_INSTALL" --out "$work/unsigned.run" --level 1 --quiet \
	--cache "$work/cache" >"$work/unsigned.id"
check "built where no key is: the id is the same" [ "$(cat "$work/unsigned.id")" = "$id" ]
fresh_host
check "nobody takes it" eval 'refused 3 "$work/unsigned.run" install --root "$root" --quiet && says "not signed" &&
	exits 3 "$BYOH_BUNDLE" verify "$work/unsigned.run" --quiet'
check "until it is signed" eval 'exits 0 sign unsigned.run old && cmp "$work/unsigned.run" "$work/one.run"'
check "a key or none, not both" exits 2 build_bundle "$work/plain" old "$work/both.run" --unsigned

step "without our code"
mkdir "$work/bare"
documented "$docs/bundle-format.md" "Without our code" >"$work/recipe"
# recipe FILE KEYS    runs it; what it finds good is in out
recipe() {
	cp "$1" "$work/bare/byoh-install.run"
	cp "$work/$2/public.pem" "$work/bare/"
	(cd "$work/bare" && sh "$work/recipe") >"$work/out" 2>&1
}
signed='the manifest is what the key signed' ours='the program in front is the one that was signed'
check "the recipe is there" grep -q 'pkeyutl -verify -rawin' "$work/recipe"
for who in old new; do
	check "a .run with two signatures, by $who" eval 'recipe "$work/two.run" $who && prints "$signed" && prints "$ours"'
done
check "its manifest is the bundle's" [ "$(sha256sum <"$work/bare/manifest.json" | cut -c1-64)" = "$id" ]
check "a .bundle" eval 'recipe "$work/one.bundle" old && prints "$signed" && ! prints "$ours"'
check "the index behind it is the manifest's" eval '
	m=$(stat -c %s "$work/bare/manifest.json") && i=$(jq .index.size "$work/bare/manifest.json") &&
	[ "$(tail -c +$((4624 + m + 1)) "$work/one.bundle" | head -c "$i" | sha256sum | cut -c1-64)" = "$(jq -r .index.sha256 "$work/bare/manifest.json")" ]'
check "another key" eval 'recipe "$work/two.run" other; ! prints "$signed"'
cp "$work/one.run" "$work/forged.run"
damage "$work/forged.run" $(($(begins "$work/one.run") + 4616 + 30))
check "another manifest" eval 'recipe "$work/forged.run" old; ! prints "$signed"'
cp "$work/one.run" "$work/forged.run"
damage "$work/forged.run" 20000
check "another program in front" eval 'recipe "$work/forged.run" old; prints "$signed" && ! prints "$ours"'

step "thresholds"
config 'policy: {threshold: 2}' "$work/two.yaml"
fresh_host
mkdir -p "$root/etc/byoh/keys.d"
cp "$work/two.yaml" "$root/etc/byoh/byoh.yaml"
cp "$work/old/public.pem" "$root/etc/byoh/keys.d/a.pem"
cp "$work/old/public.pem" "$root/etc/byoh/keys.d/b.pem"
cp "$work/new/public.pem" "$root/etc/byoh/keys.d/new.pem"
before "$root"
check "two are wanted: one has signed" eval 'refused 3 "$work/one.run" install --root "$root" --quiet && says "signed by 1 of the trusted keys, 2 needed"'
check "one of them is a stranger" eval 'sign one.run other >"$work/out" && refused 3 "$work/one.run" install --root "$root" --quiet && says "signed by 1"'
check "two have signed" eval 'exits 0 "$work/two.run" install --root "$root" --quiet && exits 0 tool status'
check "nothing more is pinned" [ "$(find "$root/etc/byoh/keys.d" -type f | wc -l)" = 3 ]
check "what is installed is asked for them too" eval 'cp "$work/old/public.pem" "$work/revoke.pem" && mkdir "$root/etc/byoh/revoked.d" &&
	cp "$work/revoke.pem" "$root/etc/byoh/revoked.d/" && exits 3 tool status && says "signed by 1 of the trusted keys, 2 needed"'

step "folders of keys"
cp -p "$work/plain.run" "$work/one.run"
fresh_host
mkdir -p "$root/usr/share/byoh/keys.d"
cp "$work/old/public.pem" "$root/usr/share/byoh/keys.d/"
before "$root"
check "a package's key counts" eval 'exits 0 "$work/one.run" verify --root "$root" --quiet && as_before "$root"'
check "and keeps others away" eval 'release stranger 1 other && refused 3 "$work/stranger.run" install --root "$root" --quiet'
check "installing pins none beside it" eval 'exits 0 "$work/one.run" install --root "$root" --quiet && [ ! -e "$root/etc/byoh/keys.d" ]'
for folder in etc/byoh usr/share/byoh; do
	fresh_host
	mkdir -p "$root/etc/byoh/keys.d" "$root/usr/share/byoh/keys.d" "$root/$folder/revoked.d"
	cp "$work/old/public.pem" "$root/etc/byoh/keys.d/"
	cp "$work/old/public.pem" "$root/usr/share/byoh/keys.d/"
	cp "$work/old/public.pem" "$root/$folder/revoked.d/any-name.pem"
	before "$root"
	check "/$folder/revoked.d goes before both" refused 3 "$work/one.run" install --root "$root" --quiet
	check "and before --key" refused 3 "$work/one.run" verify --root "$root" --quiet --key "$work/old/public.pem"
done
fresh_host
mkdir -p "$root/etc/byoh/keys.d" "$root/usr/share/byoh/revoked.d"
cp "$work/old/public.pem" "$root/etc/byoh/keys.d/"
cp "$work/new/public.pem" "$root/usr/share/byoh/revoked.d/"
cp "$work/two.run" "$work/three.run" && sign three.run other >/dev/null
check "inspect --signatures tells who is who" eval 'exits 0 "$work/three.run" inspect --signatures --root "$root" &&
	prints "$(key_id old) holds, pinned in /etc/byoh/keys.d" && prints "$(key_id new) holds, revoked" &&
	prints "$(key_id other) holds, unknown here" && prints "1 of the trusted keys, 1 needed"'
check "with --key too" eval 'exits 0 "$work/three.run" inspect --signatures --root "$root" --key "$work/other/public.pem" &&
	prints "$(key_id other) holds, named by --key" && prints "2 of the trusted keys"'
check "in JSON" eval 'exits 0 "$work/three.run" inspect --signatures --json --root "$root" &&
	jq -e ".id == \"$id\" and .trusted == 1 and .needed == 1 and ([.signatures[] | .holds] | all) and .signatures[0].trusted
		and .signatures[1].why == \"revoked\" and .signatures[2].why == null" "$work/out" >/dev/null'
check "byoh-bundle knows only --key" eval 'exits 0 "$BYOH_BUNDLE" inspect "$work/three.run" --signatures --key "$work/new/public.pem" &&
	prints "$(key_id new) holds, named by --key" && prints "$(key_id old) holds, unknown here"'

step "from one key to another"
fresh_host
release 1.0 1 old
release 2.0 1 old keys.d="$work/new/public.pem"
sign 2.0.run new >/dev/null
cp "$work/2.0.run" "$work/2.0-both.run"
release 3.0 2 new keys.d="$work/new/public.pem" revoked.d="$work/old/public.pem"
release 3.1 9 old
check "the first release pins the old key" eval 'exits 0 "$work/1.0.run" install --root "$root" --quiet && says "$(key_id old)"'
check "the new one counts for nothing" exits 3 "$work/3.0.run" install --root "$root" --quiet
check "the second is signed by both" eval 'exits 0 "$work/2.0.run" install --root "$root" --quiet'
check "and says that it brings a key" says "/usr/share/byoh/keys.d/old-2.0.pem"
check "the signature itself pins nothing" eval '[ "$(find "$root/etc/byoh/keys.d" -type f | wc -l)" = 1 ] && cmp -s "$root"/etc/byoh/keys.d/*.pem "$work/old/public.pem"'
check "the third, by the new one alone, takes the old one back" eval 'exits 0 "$work/3.0.run" install --root "$root" --quiet && says "revoked.d" && exits 0 tool status'
before "$root"
check "what the old one signs is refused now, whatever its epoch" refused 3 "$work/3.1.run" install --root "$root" --quiet
check "the second is below the floor, for verify too" eval 'refused 3 tool verify "$work/2.0.run" --quiet && says "epoch 1"'
check "going back to it is allowed: the new one has signed it" eval 'exits 0 tool rollback --yes && exits 0 tool status && [ "$(jq -r .version "$root/var/lib/byoh/state.json")" = 2.0 ]'
check "the floor stays" eval '[ "$(jq .floors.plain "$root/var/lib/byoh/state.json")" = 2 ] && exits 3 "$work/1.0.run" install --root "$root" --quiet'
check "a key that is none is not packed: hosts would stumble over it" eval 'echo nonsense >"$work/nonsense" && ! release 4.0 3 new keys.d="$work/nonsense" && says "/usr/share/byoh/keys.d/new-4.0.pem"'
check "nor a private one" eval '! release 4.1 3 new keys.d="$work/new/private.pem" && says "not an Ed25519 public key"'
check "nor what takes back the key that signs it" eval '! release 4.2 3 new revoked.d="$work/new/public.pem" && says "takes back the key that signs"'
fresh_host
exits 0 "$work/1.0.run" install --root "$root" --quiet
mkdir -p "$root/etc/byoh/keys.d"
cp "$work/new/public.pem" "$root/etc/byoh/keys.d/"
release by-hand 2 new
check "an operator's own file does the same" eval 'exits 0 "$work/by-hand.run" install --root "$root" --quiet && mkdir "$root/etc/byoh/revoked.d" &&
	cp "$work/old/public.pem" "$root/etc/byoh/revoked.d/" && exits 0 tool status'
before "$root"
check "a kept release of a revoked key is not gone back to" eval 'refused 3 tool rollback --yes --quiet && exits 0 tool status'
config '' "$work/site.yaml"
for name in old new; do
	{ printf 'byoh-install/v1 config sha-256\n'; openssl dgst -sha256 -binary "$work/site.yaml"; } >"$work/message"
	openssl pkeyutl -sign -rawin -inkey "$work/$name/private.pem" -in "$work/message" -out "$work/$name.sig"
done
cp "$work/old.sig" "$work/site.yaml.sig"
before "$root"
check "nor a configuration that it signed taken" refused 3 "$work/by-hand.run" install --root "$root" --quiet --config "$work/site.yaml"
cp "$work/new.sig" "$work/site.yaml.sig"
check "but the new one's is" exits 0 "$work/by-hand.run" install --root "$root" --quiet --config "$work/site.yaml"

step "a release that forgets its publisher's key"
release forgot 2 new
release half 2 new revoked.d="$work/old/public.pem"
check "half: build warns" says "warning: it takes a key back"
release another 2 new keys.d="$work/other/public.pem"
release whole 2 new keys.d="$work/new/public.pem" revoked.d="$work/old/public.pem"
check "whole: it has nothing to warn of" eval '! says warning'
check "a key in another spelling is not packed: hosts know it by its digest" eval 'sed "s/$/\r/" "$work/new/public.pem" >"$work/crlf.pem" &&
	! release 4.3 3 new keys.d="$work/crlf.pem" && says "as openssl writes it"'
# on_both    a host that pinned the old key, and has the new one by a release
on_both() {
	fresh_host
	"$work/1.0.run" install --root "$root" --quiet >/dev/null 2>&1
	"$work/2.0-both.run" install --root "$root" --quiet >/dev/null 2>&1
	tool status >/dev/null # the next run takes a folder away that is empty
	before "$root"
}
none='after this release the host would trust none of those who signed it'
on_both
for kind in forgot half another; do
	check "$kind: refused, since the next one would be" eval 'refused 3 "$work/$kind.run" install --root "$root" --quiet && says "$none"'
	for verb in plan preflight; do
		check "$kind: $verb says so too" eval 'refused 3 "$work/$kind.run" $verb --root "$root" --quiet && says "/usr/share/byoh/keys.d"'
	done
done
check "the host is well, and takes one that brings it" eval 'exits 0 tool status && exits 0 "$work/whole.run" install --root "$root" --quiet'
check "again: nothing to do" exits 0 "$work/whole.run" install --root "$root" --quiet
on_both
cp "$work/forgot.run" "$work/forgot-both.run" && sign forgot-both.run old >/dev/null
config 'policy: {threshold: 2}' "$work/two.yaml"
check "of two that are wanted one is too few" eval 'refused 3 "$work/forgot-both.run" install --root "$root" --quiet --config "$work/two.yaml" &&
	says "would trust 1 of those who signed it, and 2 are needed"'
check "of one that is wanted the pinned one will do" exits 0 "$work/forgot-both.run" install --root "$root" --quiet
on_both
cp "$work/new/public.pem" "$root/etc/byoh/keys.d/by-hand.pem"
check "an operator's own file keeps the key" eval 'exits 0 "$work/forgot.run" install --root "$root" --quiet && exits 0 tool status'
check "rollback to the kept one needs no such thing" eval 'exits 0 "$work/whole.run" install --root "$root" --quiet &&
	rm "$root/etc/byoh/keys.d/by-hand.pem" && exits 0 tool rollback --yes && exits 0 tool status'
fresh_host
mkdir -p "$root/usr/share/byoh/keys.d"
{ echo "a package's"; cat "$work/new/public.pem"; } >"$root/usr/share/byoh/keys.d/old-2.0.pem"
mkdir -p "$root/etc/byoh/keys.d"
cp "$work/old/public.pem" "$root/etc/byoh/keys.d/"
check "so does a package's file that is given back" eval 'exits 0 "$work/2.0-both.run" install --root "$root" --quiet &&
	exits 0 "$work/forgot.run" install --root "$root" --quiet && grep -q "a package" "$root/usr/share/byoh/keys.d/old-2.0.pem"'
fresh_host
exits 0 "$work/1.0.run" install --root "$root" --quiet
before "$root"
check "--key is for one run, and asks for nothing behind it" exits 0 "$work/forgot.run" install --root "$root" --quiet --key "$work/new/public.pem"
fresh_host
exits 0 "$work/1.0.run" install --root "$root" --quiet
before "$root"
check "but not even so a host is left that trusts nobody" eval 'refused 3 "$work/half.run" install --root "$root" --quiet --key "$work/new/public.pem" && says "$none"'
"$BYOH_BUNDLE" build "$work/spec-4.2/bundle.yaml" --unsigned --stub "$BYOH_INSTALL" --out "$work/itself.run" --level 1 --quiet --cache "$work/cache" >/dev/null
sign itself.run new >/dev/null
fresh_host
check "nor by a first release that takes its own key back" eval 'refused 3 "$work/itself.run" install --root "$root" --quiet && says "$none"'

step "the epoch floor"
fresh_host
release 5.0 5 old
release 6.0 6 old
check "a first installation sets it" eval 'exits 0 "$work/5.0.run" install --root "$root" --quiet && [ "$(jq .floors.plain "$root/var/lib/byoh/state.json")" = 5 ]'
check "looking does not raise it" eval 'exits 0 tool verify "$work/6.0.run" --quiet && exits 0 "$work/6.0.run" plan --root "$root" --quiet &&
	[ "$(jq .floors.plain "$root/var/lib/byoh/state.json")" = 5 ]'
check "an installation that fails does not" eval '(ulimit -f 500; exits 1 "$work/6.0.run" install --root "$root" --quiet) && exits 0 tool status &&
	[ "$(jq .floors.plain "$root/var/lib/byoh/state.json")" = 5 ]'
check "one that holds does" eval 'exits 0 "$work/6.0.run" install --root "$root" --quiet && [ "$(jq .floors.plain "$root/var/lib/byoh/state.json")" = 6 ]'
check "the older one is refused" exits 3 "$work/5.0.run" install --root "$root" --quiet
check "uninstall forgets it" eval 'exits 0 tool uninstall --yes && exits 0 "$work/5.0.run" install --root "$root" --quiet'

step "a file is checked without being started"
cp "$work/6.0.run" "$work/next.run"
chmod 644 "$work/next.run"
check "by the tool of the host" eval 'exits 0 tool verify "$work/next.run" --quiet && prints "6.0"'
if ! strace -qq -o /dev/null true 2>"$work/err"; then
	skip "verify starts nothing" "strace cannot trace here: $(tail -n 1 "$work/err")"
else
	chmod 755 "$work/next.run"
	check "verify starts nothing" eval 'exits 0 strace -f -qq -o "$work/trace" -e trace=execve,execveat,mmap -yy "$root/usr/local/sbin/byoh-install" \
		verify "$work/next.run" --root "$root" --quiet && [ "$(grep -c "execve" "$work/trace")" = 1 ] && ! grep -F PROT_EXEC "$work/trace" | grep -qF next.run'
fi

step "what is in it"
check "the SBOM has versions, licences, digests" eval 'exits 0 "$BYOH_BUNDLE" inspect "$work/1.0.run" --sbom &&
	jq -e ".spdxVersion == \"SPDX-2.3\" and ([.packages[] | select(.name == \"data\") | .versionInfo == \"1\" and .licenseDeclared == \"Apache-2.0\"
		and .checksums[0].checksumValue == \"$(sha256sum <"$work/plain/data" | cut -c1-64)\"] == [true])" "$work/out" >/dev/null'
check "the installer is in it" eval 'jq -e ".packages[] | select(.name == \"byoh-install\") | .licenseDeclared == \"Apache-2.0\"" "$work/out" >/dev/null'
cp "$work/out" "$work/sbom"
recipe "$work/1.0.run" old
check "the signed manifest binds it" [ "$(sed -n '/"sbom"/,/}/s/.*"sha256": "\([0-9a-f]*\)".*/\1/p' "$work/bare/manifest.json")" = "$(sha256sum <"$work/sbom" | cut -c1-64)" ]

exit $failed
