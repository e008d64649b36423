/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a delta takes from the release that it builds on: files of that release, unpacked from its own checked
 * blocks, and pieces of them as prefixes for zstd. Nothing is taken from where the host uses it: somebody may
 * write there. Specification: docs/bundle-format.md, section "Delta".
 */
#ifndef BYOH_BUNDLE_BASE_FILES_H
#define BYOH_BUNDLE_BASE_FILES_H

#include "bundle/bundle.h"

struct byoh_base_files;

struct byoh_prefix {
	const void *bytes; /* a mapped file stands behind them: no memory of our own */
	size_t size;
	void *mapping;
};

/* Unpacks the files that the extents name into one unlinked file in that folder; their digests hold afterwards.
 * -ESTALE (BYOH_ERROR_PREFLIGHT) where the base has not got one of them. threads and progress are those of like;
 * of the progress only the cancelling counts. */
BYOH_MUST_CHECK int byoh_base_files_load(struct byoh_bundle *base, const struct byoh_base_extent *extents,
					 size_t count, const struct byoh_unpack *like, int folder,
					 struct byoh_base_files **ret, struct byoh_error *err);
void byoh_base_files_free(struct byoh_base_files *files);
void byoh_base_files_freep(struct byoh_base_files **files);
#define CLEANUP_BASE_FILES __attribute__((cleanup(byoh_base_files_freep)))

/* The extents' bytes in order. By any thread. */
BYOH_MUST_CHECK int byoh_base_files_map(const struct byoh_base_files *files, const struct byoh_base_extent *extents,
					size_t count, struct byoh_prefix *ret, struct byoh_error *err);
void byoh_prefix_release(struct byoh_prefix *prefix);
#define CLEANUP_PREFIX __attribute__((cleanup(byoh_prefix_release)))

/* The base's file that an extent means: by its digest, at its path or wherever else; NULL: it has none. */
const struct byoh_file *byoh_base_find(const struct byoh_bundle *base, const struct byoh_base_extent *extent);

#endif
