# shellcheck shell=bash
# The cache of what is expensive to make: outside the tree, one folder an entry, named by what made it.
# An entry appears by one rename, so a folder that exists is whole. Nothing requires the cache: what is
# missing is made again.

byoh_cache_root() {
	printf '%s\n' "${BYOH_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/byoh}"
}

# byoh_cache_key WORD|FILE...   16 hex digits over the contents of the files and the words themselves
byoh_cache_key() {
	local item
	for item in "$@"; do
		if [ -f "$item" ]; then
			sha256sum <"$item"
		else
			printf 'word %s\n' "$item"
		fi
	done | sha256sum | cut -c1-16
}

# byoh_cache_begin NAME KEY     prints a fresh folder to fill, on the cache's file system
byoh_cache_begin() {
	local root
	root=$(byoh_cache_root)
	mkdir -p "$root"
	mktemp -d "$root/.making-$1-$2.XXXXXX"
}

# byoh_cache_publish FOLDER NAME KEY    the filled folder becomes the entry; prints the entry's path
byoh_cache_publish() {
	local entry
	entry=$(byoh_cache_root)/$2-$3
	chmod 0755 "$1"
	# Two builds may race for one entry: the first rename wins, the second result is the same and goes.
	if ! mv -T -n "$1" "$entry" || [ -d "$1" ]; then
		rm -rf --one-file-system "$1"
	fi
	printf '%s\n' "$entry"
}

# byoh_cache_entry NAME KEY     prints the entry's path, fails if there is none
byoh_cache_entry() {
	local entry
	entry=$(byoh_cache_root)/$1-$2
	[ -d "$entry" ] && printf '%s\n' "$entry"
}
