/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding a signature to a bundle that is there. The area has its place, so nothing moves and the id stays; yet
 * the file is not written in: a count and an entry in two sectors are no single write. A neighbour with the
 * signature takes its name, so that whoever looks finds the old file or the new one.
 */
#ifndef BYOH_BUNDLE_SIGN_H
#define BYOH_BUNDLE_SIGN_H

#include "bundle/bundle.h"

/* bundle was opened from path (no link) and examined. *ret_added is false if that key has signed already: then
 * nothing is written. The signature must hold (BYOH_ERROR_TRUST), and every byte of the copy is checked before
 * it takes the name; mode and, for root, owner stay. */
BYOH_MUST_CHECK int byoh_sign_file(const struct byoh_bundle *bundle, const char *path,
				   const struct byoh_signature *signature, const struct byoh_progress *progress,
				   bool *ret_added, struct byoh_error *err);

#endif
