/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Will this host still trust those who signed a release, when it is installed? A release takes away what the one
 * before brought, keys too: one that forgets its publisher's would be the last that the host takes.
 */
#ifndef BYOH_INSTALLER_LASTING_TRUST_H
#define BYOH_INSTALLER_LASTING_TRUST_H

#include "bundle/bundle.h"
#include "installer/plan.h"

struct byoh_lasting_trust {
	int root_fd;
	const struct byoh_plan *plan;	     /* what becomes of the files that say whom the host trusts */
	const struct byoh_public_key *pins;  /* that this run pins */
	size_t pin_count;
	const struct byoh_bundle *bundle;    /* authenticated */
	unsigned int threshold;
};

/* BYOH_ERROR_TRUST, if fewer than threshold of those who signed would count afterwards, though enough do now, or if
 * nobody's word would be enough for any release. A key that counts by --key alone does so for one run, and is not asked
 * for. Files of the release are known by their digests: its bytes may come as a stream, which is read once. */
BYOH_MUST_CHECK int byoh_lasting_trust_check(const struct byoh_lasting_trust *input, struct byoh_error *err);

#endif
