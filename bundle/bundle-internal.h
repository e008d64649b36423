/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the reader share. */
#ifndef BYOH_BUNDLE_BUNDLE_INTERNAL_H
#define BYOH_BUNDLE_BUNDLE_INTERNAL_H

#include "bundle/bundle.h"
#include "bundle/reader.h"
#include "bundle/superblock.h"

struct byoh_bundle {
	char *name;
	struct byoh_reader *reader;
	uint64_t offset; /* where the bundle begins in the file */
	struct byoh_superblock superblock;
	struct byoh_buffer header; /* superblock to index, read once */
	struct byoh_signature signatures[BYOH_SIGNATURE_MAX];
	size_t signature_count;
	struct byoh_digest id;
	struct byoh_manifest *manifest;
	struct byoh_index *index;
	struct byoh_bundle *base; /* what a delta builds on; NULL: nothing, or not known yet */
};

/* Where the payload's first byte lies in the file. */
static inline uint64_t byoh_bundle_payload_at(const struct byoh_bundle *bundle)
{
	return bundle->offset + bundle->header.size;
}

/* Stored bytes that block number `block` of a frame covers. */
static inline size_t byoh_block_length(const struct byoh_frame *frame, uint64_t block)
{
	uint64_t begin = block * BYOH_BLOCK_SIZE;
	uint64_t left = frame->stored_size - begin;

	return (size_t)(left < BYOH_BLOCK_SIZE ? left : BYOH_BLOCK_SIZE);
}

static inline uint64_t byoh_frame_blocks(const struct byoh_frame *frame)
{
	return (frame->stored_size + BYOH_BLOCK_SIZE - 1) / BYOH_BLOCK_SIZE;
}

/* Stored bytes of a block of the frame, and whether they are what the index says. Failures name the file. */
BYOH_MUST_CHECK int byoh_block_read(struct byoh_bundle *bundle, const struct byoh_frame *frame, uint64_t block,
				    void *ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_block_check(const struct byoh_bundle *bundle, const struct byoh_frame *frame,
				     uint64_t block, const void *bytes, struct byoh_error *err);

#endif
