/* SPDX-License-Identifier: Apache-2.0 */
/* A folder as text, to compare before and after: path, type, mode, owner, contents' digest, link targets,
 * extended attributes, and times of all but directories. */
#ifndef BYOH_TESTS_TREE_SNAPSHOT_H
#define BYOH_TESTS_TREE_SNAPSHOT_H

#include "bundle/base/buffer.h"

/* Aborts the test program on any failure. */
void tree_snapshot(const char *folder, struct byoh_buffer *ret);
/* Removes a folder with all below it. */
void tree_remove(const char *folder);

#endif
