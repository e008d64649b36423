/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The publisher's cache of fetched sources:
 *   sha256/HEX              a source, by its digest
 *   url/HEX                 a source without a known digest, by the SHA-256 of its URL
 *   images/HEX/             an OCI layout of an image pulled by digest
 *   images/ref-HEX/         the same of an image without a digest, by the SHA-256 of "REF PLATFORM"
 */
#ifndef BYOH_BUNDLE_CACHE_H
#define BYOH_BUNDLE_CACHE_H

#include "bundle/base/digest.h"
#include "bundle/base/error.h"
#include "bundle/spec.h"

/* $BYOH_CACHE, $XDG_CACHE_HOME/byoh or $HOME/.cache/byoh, with /sources behind it. *ret is the
 * caller's to free. */
BYOH_MUST_CHECK int byoh_cache_default(char **ret, struct byoh_error *err);
/* Where the bytes of a URL are or will be; digest is NULL where none is known. */
BYOH_MUST_CHECK int byoh_cache_source_path(const char *cache_dir, const char *url,
					   const struct byoh_digest *digest, char **ret,
					   struct byoh_error *err);
/* The layout of an image that comes from its registry. */
BYOH_MUST_CHECK int byoh_cache_image_path(const char *cache_dir,
					  const struct byoh_spec_image *image, char **ret,
					  struct byoh_error *err);

#endif
