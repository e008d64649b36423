/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle told in text or JSON, for `inspect` of both programs. */
#ifndef BYOH_BUNDLE_DESCRIBE_H
#define BYOH_BUNDLE_DESCRIBE_H

#include "bundle/bundle.h"

enum byoh_describe { BYOH_DESCRIBE_TEXT, BYOH_DESCRIBE_JSON, BYOH_DESCRIBE_FILES, BYOH_DESCRIBE_SBOM };

/* Appends to ret. The bundle has been authenticated. */
BYOH_MUST_CHECK int byoh_describe(struct byoh_bundle *bundle, enum byoh_describe what,
				  struct byoh_buffer *ret, struct byoh_error *err);

/* What a reader makes of a signer. */
struct byoh_opinion {
	/* A word or two ("pinned in /etc/byoh/keys.d"); NULL: nothing is known of this key. */
	const char *(*word)(void *context, const struct byoh_public_key *key, bool *ret_trusted);
	void *context;
	unsigned int threshold; /* how many trusted ones are asked for; 0: nobody asks */
};

/* Appends each signature with its key's id, whether it holds, and the reader's opinion (NULL: none). The bundle
 * is only open: this is how one that was refused is looked at. *ret_broken: how many do not hold. */
BYOH_MUST_CHECK int byoh_describe_signatures(const struct byoh_bundle *bundle,
					     const struct byoh_opinion *opinion, bool json,
					     struct byoh_buffer *ret, size_t *ret_broken,
					     struct byoh_error *err);

/* The key "base" of an object, where the bundle is a delta. */
struct byoh_json;
void byoh_describe_base(const struct byoh_manifest *manifest, struct byoh_json *json);

#endif
