/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files share a frame. Frames decode on different cores, and a frame compresses well only if
 * files that resemble each other lie in it together: kubelet and kubeadm share most of their code.
 * Likeness is measured on content, so that it works for any folder.
 */
#ifndef BYOH_BUNDLE_GROUP_H
#define BYOH_BUNDLE_GROUP_H

#include "bundle/tree.h"

/* Of the one file of a group that is too large for a frame. */
struct byoh_piece {
	uint64_t offset, size; /* size 0: the group has whole files */
	struct byoh_digest digest; /* of the whole file */
};

struct byoh_group {
	size_t count;
	const struct byoh_tree_entry **entries; /* regular files, in the order they are packed */
	uint64_t size;				/* bytes */
	bool compressed;			/* already compressed: no effort is worth it */
	bool same;				/* the prefix has all of it */
	struct byoh_piece piece;
	size_t extent_count; /* 0: no prefix */
	struct byoh_base_extent *extents;
};

struct byoh_groups {
	size_t count;
	struct byoh_group *items;
};

/* Every regular file of the tree stands in exactly one group; the same tree gives the same groups.
 * Reads the files. There is at least one group, even of no files. */
BYOH_MUST_CHECK int byoh_group_files(const struct byoh_tree *tree, struct byoh_groups *ret,
				     struct byoh_error *err);
void byoh_groups_release(struct byoh_groups *groups);
#define CLEANUP_GROUPS __attribute__((cleanup(byoh_groups_release)))

#endif
