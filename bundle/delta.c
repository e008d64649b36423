/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle and the release that it builds on. */
#include <errno.h>

#include "bundle/base-files.h"
#include "bundle/bundle-internal.h"

#define CHAIN_MAX 16 /* deltas that build on deltas: each is a pass over its frames */

bool byoh_bundle_is_delta(const struct byoh_bundle *bundle)
{
	return bundle->superblock.flags & BYOH_FLAG_NEEDS_BASE;
}

int byoh_bundle_lacks_base(const struct byoh_bundle *bundle, struct byoh_error *err)
{
	const struct byoh_manifest *manifest = bundle->manifest;
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(&manifest->base_id, hex);
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ESTALE,
			 "%s holds only what %s %s has not, and that release (id %.16s) is not kept here; take the full "
			 "bundle of %s %s, with --from FILE", bundle->name, manifest->base_name, manifest->base_version,
			 hex, manifest->name, manifest->version);
}

int byoh_bundle_set_base(struct byoh_bundle *bundle, struct byoh_bundle *base, struct byoh_error *err)
{
	unsigned int depth = 0;

	for (const struct byoh_bundle *below = base; below; below = below->base)
		if (++depth > CHAIN_MAX)
			return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ELOOP,
					 "%s: more than %d deltas, each built on the one before; take a full bundle",
					 bundle->name, CHAIN_MAX);
	for (size_t i = 0; i < bundle->index->extent_count; i++)
		if (!byoh_base_find(base, &bundle->index->extents[i]))
			return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ESTALE,
					 "%s: the release has no such /%s as %s builds on", base->name,
					 bundle->index->extents[i].path, bundle->name);
	byoh_bundle_free(bundle->base);
	bundle->base = base;
	return 0;
}

const struct byoh_bundle *byoh_bundle_base(const struct byoh_bundle *bundle)
{
	return bundle->base;
}

uint64_t byoh_index_base_space(const struct byoh_index *index)
{
	uint64_t space = 0;

	/* Once as whole files, and once more as what a decoder has in front of it. */
	for (size_t i = 0; i < index->extent_count; i++) {
		const struct byoh_base_extent *extent = &index->extents[i];
		uint64_t end = extent->offset + extent->size;

		if (__builtin_add_overflow(space, end, &space) || __builtin_add_overflow(space, extent->size, &space))
			return UINT64_MAX;
	}
	return space;
}
