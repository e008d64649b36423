/* SPDX-License-Identifier: Apache-2.0 */
/* Fetching what a spec names into the cache. */
#ifndef BYOH_BUNDLE_FETCH_SOURCES_H
#define BYOH_BUNDLE_FETCH_SOURCES_H

#include "bundle/base/error.h"
#include "bundle/fetch/http.h"
#include "bundle/lock.h"
#include "bundle/spec.h"

/* Every URL source that the cache lacks, and a digest check of every path source. lock gives
 * digests that the spec lacks. allow_undigested: a URL without any digest, not marked unlocked, is
 * fetched as well
 * (`lock` needs it once); else it is an error. */
BYOH_MUST_CHECK int byoh_fetch_sources(const struct byoh_spec *spec, const struct byoh_lock *lock,
				       const char *cache_dir, bool allow_undigested, bool refresh,
				       const struct byoh_fetch_options *options,
				       struct byoh_error *err);

/* Makes DIR/sha256, DIR/url and DIR/images. */
BYOH_MUST_CHECK int byoh_fetch_make_cache(const char *cache_dir, struct byoh_error *err);

/* A path source's digest: of the file, or of a layout's index.json. */
BYOH_MUST_CHECK int byoh_fetch_hash_path(const struct byoh_spec *spec,
					 const struct byoh_spec_source *source,
					 struct byoh_digest *ret, struct byoh_error *err);

#endif
