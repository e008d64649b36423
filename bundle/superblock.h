/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixed front of a bundle: superblock and signature area, each in a zstd skippable frame.
 * Specification: docs/bundle-format.md, sections "Superblock" and "Signatures"; skippable frames:
 * RFC 8878, section 3.1.2.
 */
#ifndef BYOH_BUNDLE_SUPERBLOCK_H
#define BYOH_BUNDLE_SUPERBLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "bundle/trust.h"

#define BYOH_FORMAT_VERSION 1
#define BYOH_SKIPPABLE_HEADER_SIZE 8

/* Skippable frame magics, one a part, so that no part can be taken for another. */
#define BYOH_MAGIC_SUPERBLOCK 0x184D2A50u
#define BYOH_MAGIC_SIGNATURES 0x184D2A51u
#define BYOH_MAGIC_MANIFEST 0x184D2A52u
#define BYOH_MAGIC_INDEX 0x184D2A53u

#define BYOH_SUPERBLOCK_SIZE 512  /* whole frame */
#define BYOH_SIGNATURES_SIZE 4096 /* whole frame: room for 31 signatures */
#define BYOH_FRONT_SIZE (BYOH_SUPERBLOCK_SIZE + BYOH_SIGNATURES_SIZE)
#define BYOH_SIGNATURE_ENTRY_SIZE 128
#define BYOH_SIGNATURE_MAX 31

/* Critical flags: a reader that does not know one refuses. */
#define BYOH_FLAG_NEEDS_BASE 1u /* the index has prefixed frames and names a base release */
#define BYOH_KNOWN_FLAGS BYOH_FLAG_NEEDS_BASE

struct byoh_superblock {
	uint32_t flags;
	uint64_t manifest_size, index_size, payload_size; /* bytes, without frame headers */
};

/* Exactly BYOH_SUPERBLOCK_SIZE bytes. Pure. Checks magic, version, flags, caps, zeros. */
BYOH_MUST_CHECK int byoh_superblock_parse(const void *bytes, size_t size, struct byoh_superblock *ret,
					  struct byoh_error *err);
BYOH_MUST_CHECK int byoh_superblock_write(const struct byoh_superblock *superblock,
					  struct byoh_buffer *ret, struct byoh_error *err);

/* Exactly BYOH_SIGNATURES_SIZE bytes into ret[BYOH_SIGNATURE_MAX]. Pure. Keys must be distinct. */
BYOH_MUST_CHECK int byoh_signatures_parse(const void *bytes, size_t size, struct byoh_signature *ret,
					  size_t *ret_count, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_signatures_write(const struct byoh_signature *signatures, size_t count,
					  struct byoh_buffer *ret, struct byoh_error *err);

/* The eight bytes in front of a part. */
BYOH_MUST_CHECK int byoh_skippable_write(uint32_t magic, uint64_t content_size, struct byoh_buffer *ret,
					 struct byoh_error *err);
BYOH_MUST_CHECK int byoh_skippable_check(const void *bytes, uint32_t magic, uint64_t content_size,
					 const char *part, struct byoh_error *err);

/* Length of the whole bundle; the caps of the parts keep it from overflowing. */
static inline uint64_t byoh_superblock_header_size(const struct byoh_superblock *superblock)
{
	return BYOH_FRONT_SIZE + 2 * BYOH_SKIPPABLE_HEADER_SIZE + superblock->manifest_size +
	       superblock->index_size;
}

#endif
