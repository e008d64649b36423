/* SPDX-License-Identifier: Apache-2.0 */
/* The index: where frames, blocks and files lie. Specification: docs/bundle-format.md, section "Index". */
#ifndef BYOH_BUNDLE_INDEX_H
#define BYOH_BUNDLE_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "bundle/base/buffer.h"
#include "bundle/base/digest.h"
#include "bundle/base/error.h"

#define BYOH_INDEX_MAX_SIZE ((uint64_t)256 << 20)
#define BYOH_BLOCK_SIZE ((uint64_t)1 << 20) /* stored bytes that one digest covers */

enum byoh_file_type { BYOH_FILE_DIRECTORY = 1, BYOH_FILE_REGULAR = 2, BYOH_FILE_SYMLINK = 3 };

struct byoh_file {
	const char *path;	/* clean (byoh_path_is_clean), unique, sorted; every parent is listed before */
	const char *target;	/* symlink: stays inside; else "" */
	enum byoh_file_type type;
	mode_t mode;		/* permission bits only, no setuid, setgid or sticky */
	uint64_t size;		/* regular: bytes; else 0 */
	uint64_t plain_offset;	/* regular: where its bytes lie in the tar stream */
	struct byoh_digest digest; /* regular: of its bytes; else zero */
};

enum byoh_frame_kind {
	BYOH_FRAME_ZSTD = 0,	/* any zstd reader decodes it */
	BYOH_FRAME_PREFIXED = 1, /* needs bytes of a base release in front */
};

/* Bytes of a file of the base release, one piece of a frame's prefix. */
struct byoh_base_extent {
	struct byoh_digest file_digest; /* of the whole base file */
	const char *path;		/* where the base release put it */
	uint64_t offset, size;
};

struct byoh_frame {
	enum byoh_frame_kind kind;
	uint32_t window_log;		    /* the decoder needs 2^window_log bytes */
	uint64_t stored_offset, stored_size; /* from the start of the payload */
	uint64_t plain_offset, plain_size;  /* in the tar stream */
	uint64_t first_block;		    /* of ceil(stored_size / BYOH_BLOCK_SIZE) digests */
	uint64_t first_extent, extent_count; /* prefixed frames */
	struct byoh_digest prefix_digest;   /* prefixed frames: of the whole prefix */
};

struct byoh_index {
	uint64_t plain_size; /* of the tar stream */
	size_t file_count, frame_count, block_count, extent_count;
	struct byoh_file *files;
	struct byoh_frame *frames;
	struct byoh_digest *blocks;
	struct byoh_base_extent *extents;
	char *strings; /* what the paths and targets point into */
	size_t string_size;
	struct byoh_digest base_id; /* the manifest digest of the base release; zero: none */
};

/* Parses and checks everything that can be checked without payload: bounds, order, no overlap, clean
 * paths, known kinds, frames and files that tile exactly. payload_size as the manifest says. Pure. */
BYOH_MUST_CHECK int byoh_index_parse(const void *bytes, size_t size, uint64_t payload_size,
				     struct byoh_index **ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_index_write(const struct byoh_index *index, struct byoh_buffer *ret,
				     struct byoh_error *err);
void byoh_index_free(struct byoh_index *index);
void byoh_index_freep(struct byoh_index **index);
#define CLEANUP_INDEX __attribute__((cleanup(byoh_index_freep)))

/* The file at a clean path, or NULL. */
const struct byoh_file *byoh_index_find(const struct byoh_index *index, const char *path);
/* Bytes of a base's files that unpacking all of a delta needs for a while; 0 of a full bundle. */
uint64_t byoh_index_base_space(const struct byoh_index *index);
/* Sets frames[i] for each frame that holds bytes of the file. */
void byoh_index_mark_frames(const struct byoh_index *index, const struct byoh_file *file, bool *frames);

#endif
