/* SPDX-License-Identifier: Apache-2.0 */
/* Packing: a tree of files becomes a signed bundle. The same inputs give the same bytes. */
#ifndef BYOH_BUNDLE_PACK_H
#define BYOH_BUNDLE_PACK_H

#include "bundle/bundle.h"
#include "bundle/trust.h"
#include "bundle/tree.h"

#define BYOH_PACK_LEVEL_DEFAULT 19

struct byoh_pack {
	const struct byoh_tree *tree;
	/* Name, version, arch, kubernetes, epoch, built; the rest is filled in from the tree. */
	const struct byoh_manifest *identity;
	const struct byoh_private_key *key;   /* NULL: signed later, where the key is */
	const struct byoh_buffer *executable; /* with its note filled in, also in the tree; NULL: none */
	const struct byoh_digest *sbom;	      /* of the file at BYOH_SBOM_PATH; NULL: none */
	struct byoh_bundle *base;	      /* authenticated: what a delta builds on; NULL: a full bundle */
	bool join;			      /* put the executable in front: a .run */
	const char *scratch_directory;	      /* for compressed frames; the caller's, emptied again */
	int level;			      /* zstd, 1 to 22 */
	unsigned int threads;		      /* 0: one a core */
	struct byoh_progress progress;	      /* bytes of the tar stream */
};

/* Writes path by a neighbour and a rename: an existing file there stays whole until the new one is. */
BYOH_MUST_CHECK int byoh_pack(const struct byoh_pack *pack, const char *path, struct byoh_digest *ret_id,
			      struct byoh_error *err);

#endif
