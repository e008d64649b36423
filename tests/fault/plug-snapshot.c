/* SPDX-License-Identifier: Apache-2.0 */
/* plug-snapshot ROOT FOLDER...: folders below a root as text, one entry a line; a missing one has no line. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "tests/unit/tree-snapshot.h"

/* The snapshot's paths are those below the folder: here they begin at the root. */
static int print_below(const char *folder, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "\n");

		if (printf("/%s%.*s\n", folder, (int)length, text) < 0)
			return -1;
		text += length + (text[length] == '\n');
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 3 || chdir(argv[1]) < 0) {
		perror(argc < 3 ? "plug-snapshot ROOT FOLDER..." : argv[1]);
		return 2;
	}
	for (int i = 2; i < argc; i++) {
		CLEANUP_BUFFER struct byoh_buffer text = { 0 };

		if (faccessat(AT_FDCWD, argv[i], F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		tree_snapshot(argv[i], &text);
		if (print_below(argv[i], byoh_buffer_text(&text)) < 0)
			return 1;
	}
	return fflush(stdout) ? 1 : 0;
}
