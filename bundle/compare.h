/* SPDX-License-Identifier: Apache-2.0 */
/* What changes from one bundle to another: versions, images, files, signers. */
#ifndef BYOH_BUNDLE_COMPARE_H
#define BYOH_BUNDLE_COMPARE_H

#include "bundle/bundle.h"

/* Appends text or JSON; both bundles have been authenticated or examined. *ret_same: there is nothing to tell,
 * their signers are the same too. */
BYOH_MUST_CHECK int byoh_compare(const struct byoh_bundle *from, const struct byoh_bundle *to, bool json,
				 struct byoh_buffer *ret, bool *ret_same, struct byoh_error *err);

#endif
