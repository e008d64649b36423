/* SPDX-License-Identifier: Apache-2.0 */
/* What goes into a bundle, gathered from a spec's sources, before it is packed. */
#ifndef BYOH_BUNDLE_TREE_H
#define BYOH_BUNDLE_TREE_H

#include "bundle/base/error.h"
#include "bundle/index.h"
#include "bundle/manifest.h"

struct byoh_tree_entry {
	char *path;   /* clean */
	char *target; /* symlink, else NULL */
	enum byoh_file_type type;
	mode_t mode;
	uint64_t size;
	char *source;	 /* regular: a file on disk that holds exactly its bytes */
	bool compressed; /* its bytes are compressed already (a gzip or zstd layer) */
	char *origin;	 /* the component or image that it is from, for messages; may be NULL */
};

struct byoh_tree {
	size_t entry_count;
	/* sorted by path (strcmp), unique; parents present as directories */
	struct byoh_tree_entry *entries;
	size_t component_count, image_count;
	struct byoh_component *components;
	struct byoh_image *images; /* their blobs are entries below BYOH_IMAGE_BLOB_DIR */
};

void byoh_tree_free(struct byoh_tree *tree);
void byoh_tree_freep(struct byoh_tree **tree);
#define CLEANUP_TREE __attribute__((cleanup(byoh_tree_freep)))

struct byoh_spec;

/* Opens every source of the spec (fetched into cache_dir, or beside the spec), checks its digest
 * (inline or from the lock), takes the files out of archives into scratch_dir (an empty folder the
 * caller made and removes), turns image archives into blobs. Unlocked sources are refused unless
 * allow_unlocked. */
BYOH_MUST_CHECK int byoh_tree_collect(const struct byoh_spec *spec, const char *cache_dir,
				      const char *scratch_dir, bool allow_unlocked,
				      struct byoh_tree **ret, struct byoh_error *err);
/* Adds one regular file whose bytes lie in source, and its missing parents (0755). */
BYOH_MUST_CHECK int byoh_tree_add_file(struct byoh_tree *tree, const char *path, mode_t mode,
				       const char *source, struct byoh_error *err);

#endif
