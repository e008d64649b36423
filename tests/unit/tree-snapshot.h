/* SPDX-License-Identifier: Apache-2.0 */
/* A folder as text, to compare before and after: path, type, mode, owner, contents' digest, link targets,
 * extended attributes, and times of all but directories. */
#ifndef BYOH_TESTS_TREE_SNAPSHOT_H
#define BYOH_TESTS_TREE_SNAPSHOT_H

#include <stdbool.h>

#include "bundle/base/buffer.h"

/* What may differ between two runs that did the same. */
struct tree_snapshot_rules {
	int64_t new_since; /* a time from then on is "new"; 0: all times are told */
	/* Bytes of a file to leave out; path is below the folder, with a slash in front. May be NULL. */
	void (*mask)(void *context, const char *path, struct byoh_buffer *bytes);
	bool (*left_out)(void *context, const char *path); /* all of it; may be NULL */
	void *context;
};

/* Aborts the test program on any failure. */
void tree_snapshot(const char *folder, struct byoh_buffer *ret);
void tree_snapshot_by_rules(const char *folder, const struct tree_snapshot_rules *rules,
			    struct byoh_buffer *ret);
/* Removes a folder with all below it. */
void tree_remove(const char *folder);

#endif
