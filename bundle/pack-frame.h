/* SPDX-License-Identifier: Apache-2.0 */
/* One group of files as a piece of a pax tar in one zstd frame. */
#ifndef BYOH_BUNDLE_PACK_FRAME_H
#define BYOH_BUNDLE_PACK_FRAME_H

#include "bundle/base-files.h"
#include "bundle/group.h"
#include "bundle/pack.h"

/* Where a regular file's bytes came to lie. */
struct byoh_packed_file {
	const struct byoh_tree_entry *entry;
	uint64_t plain_offset; /* within the frame's plain bytes */
	struct byoh_digest digest;
};

struct byoh_packed_frame {
	int fd; /* an unlinked file that holds the frame */
	uint64_t stored_size, plain_size;
	unsigned int window_log;
	size_t block_count, file_count;
	struct byoh_digest *blocks;
	struct byoh_packed_file *files;
	struct byoh_digest prefix; /* of a group with extents */
};

struct byoh_frame_job {
	const struct byoh_pack *pack;
	const struct byoh_group *group;
	const struct byoh_base_files *base_files; /* where any group has extents */
	bool first; /* directories and links stand in front of the first frame's files */
	bool last;  /* the tar's end mark stands behind the last frame's files */
	void (*advance)(void *context, uint64_t plain_bytes);
	void *context;
};

BYOH_MUST_CHECK int byoh_pack_frame(const struct byoh_frame_job *job, struct byoh_packed_frame *ret,
				    struct byoh_error *err);
void byoh_packed_frame_release(struct byoh_packed_frame *frame);

#endif
