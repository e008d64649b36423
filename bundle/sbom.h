/* SPDX-License-Identifier: Apache-2.0 */
/* The software bill of materials of a bundle: SPDX 2.3 in JSON. */
#ifndef BYOH_BUNDLE_SBOM_H
#define BYOH_BUNDLE_SBOM_H

#include "bundle/tree.h"

/* Appends the document. identity gives name, version and time of building, executable is the digest of the
 * installer in the bundle (NULL: none); the same inputs give the same bytes. */
BYOH_MUST_CHECK int byoh_sbom_write(const struct byoh_tree *tree, const struct byoh_manifest *identity,
				    const struct byoh_digest *executable, struct byoh_buffer *ret,
				    struct byoh_error *err);

#endif
