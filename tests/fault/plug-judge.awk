# Is a tree all old or all new? Reads what may differ (a path's beginning and a reason, by white space),
# then three snapshots: old, new, and the one to judge. Prints `old`, `new` or `between`, and behind that
# what is in the way.
function excluded(path,    i) {
	for (i = 1; i <= excludes; i++)
		if (path == exclude[i] || index(path, exclude[i] (exclude[i] ~ /\/$/ ? "" : "/")) == 1)
			return 1
	return 0
}
function complain(text) {
	complaints++
	if (complaints <= 20)
		complaint[complaints] = text
}
FNR == 1 { part++ }
/^#/ || !NF { next }
part == 1 { exclude[++excludes] = $1; next }
{ path[$1] = 1 }
part == 2 { old[$1] = $0 }
part == 3 { new[$1] = $0 }
part == 4 { now[$1] = $0 }
END {
	for (p in path) {
		if (excluded(p))
			continue
		if (old[p] == new[p]) {
			if (now[p] != old[p])
				complain("changed, though old and new agree: " p "\n    was: " old[p] "\n    is:  " now[p])
		} else if (now[p] == old[p]) {
			kept++
			example_old = p
		} else if (now[p] == new[p]) {
			changed++
			example_new = p
		} else {
			complain("neither old nor new: " p "\n    old: " old[p] "\n    new: " new[p] "\n    is:  " now[p])
		}
	}
	if (kept && changed)
		complain(kept " paths are old (" example_old "), " changed " are new (" example_new ")")
	print complaints ? "between" : changed ? "new" : "old"
	for (i = 1; i <= complaints && i <= 20; i++)
		print "  " complaint[i]
	if (complaints > 20)
		print "  and " complaints - 20 " more"
}
