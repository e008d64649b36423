/* SPDX-License-Identifier: Apache-2.0 */
/* Images from their registries (OCI Distribution Specification 1.0), anonymously, into a cache */
#ifndef BYOH_BUNDLE_FETCH_REGISTRY_H
#define BYOH_BUNDLE_FETCH_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "bundle/base/error.h"
#include "bundle/fetch/http.h"
#include "bundle/spec.h"

struct byoh_registry_ref {
	char host[256];	      /* with its port: what is connected to */
	char repository[256]; /* library/busybox */
	char tag[256];	      /* "latest" where the ref gives none */
};

/* "pause:3.10" is docker.io/library/pause:3.10, as container engines read it; a digest behind "@"
 * is left out. Errors are BYOH_ERROR_CONFIG. Pure. */
BYOH_MUST_CHECK int byoh_registry_parse_ref(const char *ref, struct byoh_registry_ref *ret,
					    struct byoh_error *err);

struct byoh_registry_challenge {
	char realm[1024], service[256], scope[512];
};

/* The value of WWW-Authenticate (RFC 6750): false if it is no Bearer challenge with realm. Pure. */
bool byoh_registry_parse_challenge(const char *value, struct byoh_registry_challenge *ret);

/* Every image of the spec that comes from a registry: its manifest for the platform, config and
 * layers, each checked by digest and fetched only if the cache lacks it. What a tag names is asked
 * for once, and again if refresh. Plain http only to this machine and to insecure_host (may be
 * NULL). */
BYOH_MUST_CHECK int byoh_fetch_images(const struct byoh_spec *spec, const char *cache_dir,
				      const char *insecure_host, bool refresh,
				      const struct byoh_fetch_options *options,
				      struct byoh_error *err);

#endif
