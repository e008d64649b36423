/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle told in text or JSON, for `inspect` of both programs. */
#ifndef BYOH_BUNDLE_DESCRIBE_H
#define BYOH_BUNDLE_DESCRIBE_H

#include "bundle/bundle.h"

enum byoh_describe { BYOH_DESCRIBE_TEXT, BYOH_DESCRIBE_JSON, BYOH_DESCRIBE_FILES, BYOH_DESCRIBE_SIGNATURES,
		     BYOH_DESCRIBE_SBOM };

/* Appends to ret. The bundle has been authenticated. */
BYOH_MUST_CHECK int byoh_describe(struct byoh_bundle *bundle, enum byoh_describe what,
				  struct byoh_buffer *ret, struct byoh_error *err);

#endif
