/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that a release brings: a host reads these folders before it trusts anything, so what is wrong in them would
 * keep every later release away. */
#ifndef BYOH_BUNDLE_KEY_FILES_H
#define BYOH_BUNDLE_KEY_FILES_H

#include "bundle/tree.h"
#include "bundle/trust.h"

#define BYOH_RELEASE_KEYS "usr/share/byoh/keys.d"
#define BYOH_RELEASE_REVOKED "usr/share/byoh/revoked.d"

/* Each file there is one public key in PEM, as byoh_public_key_pem writes it, and signer (NULL: not known yet) is not
 * taken back. */
BYOH_MUST_CHECK int byoh_key_files_check(const struct byoh_tree *tree, const struct byoh_public_key *signer,
					 struct byoh_error *err);
/* Does it take a key back without bringing signer? Hosts that learnt of signer by an earlier release then refuse it. */
bool byoh_key_files_leave_out(const struct byoh_tree *tree, const struct byoh_public_key *signer);

#endif
