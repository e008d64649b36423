#!/bin/bash
# The pages against the programs: links that lead somewhere, verbs and options that there are, manual pages that have
# them all.
# shellcheck disable=SC2016,SC2317
set -euo pipefail

if [ "${1:-}" = -h ]; then
	sed -n '2,3s/^# //p' "$0"
	exit 0
fi
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/cli/lib.sh
. "$here/lib.sh"
top=$(cd "$here/../.." && pwd)
pages=("$top"/*.md "$top"/docs/*.md)

# slugs PAGE    the names by which its headings are linked to
slugs() {
	awk '/^```/ { code = !code } /^#+ / && !code' "$1" |
		sed -E 's/^#+ //; s/[^[:alnum:] _-]//g; s/ /-/g' | tr '[:upper:]' '[:lower:]'
}

# broken_links PAGE...    those that lead nowhere in this tree
broken_links() {
	local page link target anchor
	for page in "$@"; do
		while IFS= read -r link; do
			case $link in *://* | mailto:*) continue ;; esac
			target=${link%%#*} anchor=${link#"${link%%#*}"}
			target=${target:+$(dirname "$page")/$target}
			target=${target:-$page}
			if [ ! -e "$target" ]; then
				echo "${page##*/}: $link is not there"
			elif [ -n "$anchor" ] && ! slugs "$target" | grep -qxF -- "${anchor#\#}"; then
				echo "${page##*/}: $link: no such heading"
			fi
		done < <(grep -oE '\]\([^) ]+\)' "$page" | sed 's/^](//; s/)$//')
	done
}

# code PAGE    what stands in it as code, a piece a line, without remarks
code() {
	awk '
		/^\.Bd -literal/ || /^\.Ed/ { fenced = /^\.Bd/; next }
		/^\.Dl / { print substr($0, 5); next }
		/^```/ { fenced = !fenced; next }
		fenced || /^(    |\t)/ { sub(/(^|[ \t])#.*/, ""); print; next }
		{
			n = split($0, part, "`")
			for (i = 2; i <= n; i += 2)
				print part[i]
		}' "$1"
}

# commands PAGE    PROGRAM (or any), VERB (or -) and the options of each call of ours
commands() {
	code "$1" >"$work/code"
	sed -nE 's/^([a-z]+ (.* )?--[a-z].*)$/any \1/p' "$work/code" | words | while read -r name verb given; do
		[ ! -e "$work/options-any-$verb" ] || echo "$name $verb $given"
	done
	grep -oE '(^|[ /])byoh-(install(\.run)?|bundle)( [^|;&>]*)?$|(^|[ /])byoh-(install(\.run)?|bundle) [^|;&>]*' "$work/code" |
		sed -E 's/^[ \/]//; s/^byoh-install\.run/byoh-install/' | words
}
words() {
	awk '{
		line = $1 " " ($2 ~ /^[a-z][a-z-]*$/ ? $2 : "-")
		for (i = 2; i <= NF; i++)
			if (match($i, /^\[?--[a-z][a-z-]*/))
				line = line " " substr($i, index($i, "--"), RLENGTH - index($i, "--") + 1)
		print line
	}'
}

program() { if [ "$1" = byoh-bundle ]; then echo "$BYOH_BUNDLE"; else echo "$BYOH_INSTALL"; fi; }
# verbs PROGRAM    those of its help
verbs() { "$(program "$1")" --help | sed -nE 's/^  (byoh-bundle )?([a-z][a-z-]*)( .*)?$/\2/p'; }
# options PROGRAM VERB
options() {
	"$(program "$1")" "$2" --help | grep -oE -- '--[a-z][a-z-]*' | sort -u
}
always() { [ "$1" = --help ] || [ "$1" = --version ]; }

# A run of help for each verb would be a run for each command of the pages.
learn() {
	local name verb
	for name in byoh-install byoh-bundle; do
		for verb in $(verbs "$name"); do
			options "$name" "$verb" | tee -a "$work/options-any-$verb" >"$work/options-$name-$verb"
		done
		cat "$work/options-$name-"* | sort -u >"$work/options-$name--"
	done
	# not shown by the help, and named in the pages as what the units run
	for verb in settle certificates kubeadm-join; do
		options byoh-install "$verb" >"$work/options-byoh-install-$verb"
	done
}

# unknown_commands PAGE...    verbs and options that there are not
unknown_commands() {
	local page name verb given option
	for page in "$@"; do
		while read -r name verb given; do
			if [ ! -e "$work/options-$name-$verb" ]; then
				echo "${page##*/}: $name has no verb $verb"
				continue
			fi
			for option in $given; do
				always "$option" || grep -qxF -- "$option" "$work/options-$name-$verb" ||
					echo "${page##*/}: $name ${verb#-} has no $option"
			done
		done < <(commands "$page")
	done
}

# untold PROGRAM PAGE    verbs and options that its manual page lacks
untold() {
	local verb option
	for verb in $(verbs "$1"); do
		grep -qE "^\.It Cm $verb( |\$)" "$2" || echo "${2##*/} lacks the verb $verb"
	done
	while IFS= read -r option; do
		grep -qE -- "(Fl|\|) ${option#-}( |\$)" "$2" || echo "${2##*/} lacks $option"
	done <"$work/options-$1--"
}
# unreal PROGRAM PAGE    options that only its manual page has
unreal() {
	local option
	while IFS= read -r option; do
		always "-$option" || grep -qxF -- "-$option" "$work/options-$1--" || echo "${2##*/} names -$option"
	done < <(grep -oE 'Fl -[a-z][a-z-]*' "$2" | sed 's/^Fl //' | sort -u)
}

# silent COMMAND...    it has nothing to say
silent() {
	"$@" >"$work/out"
	: >"$work/err"
	[ ! -s "$work/out" ]
}
finds() {
	local text=$1
	shift
	"$@" >"$work/out"
	prints "$text"
}

step "pages"
learn
printf '# A page\n\n[gone](gone.md) [head](bad.md#nowhere) `byoh-install mend --now` and `repair --level 2`\n\n    byoh-install status --mend   # why\n' \
	>"$work/bad.md"
check "a broken link is noticed" finds "gone.md is not there" broken_links "$work/bad.md"
check "a link to no heading is noticed" finds "no such heading" broken_links "$work/bad.md"
check "a verb that is not there is noticed" finds "no verb mend" unknown_commands "$work/bad.md"
check "an option that is not there is noticed" finds "status has no --mend" unknown_commands "$work/bad.md"
check "an option of a verb alone is noticed" finds "any repair has no --level" unknown_commands "$work/bad.md"
check "links lead somewhere" silent broken_links "${pages[@]}"
check "verbs and options are those of the programs" silent unknown_commands "${pages[@]}" "$top"/docs/man/*.[1-8]
for page in byoh-install.8 byoh-bundle.1; do
	check "$page has every verb and option" silent untold "${page%.*}" "$top/docs/man/$page"
	check "$page has no other option" silent unreal "${page%.*}" "$top/docs/man/$page"
done
exit $failed
