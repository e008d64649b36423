/* SPDX-License-Identifier: Apache-2.0 */
/* What repair, rollback and uninstall live on, read in full: the kept bundles and the before-images. */
#ifndef BYOH_INSTALLER_INTEGRITY_H
#define BYOH_INSTALLER_INTEGRITY_H

#include "bundle/bundle.h"
#include "installer/ledger.h"
#include "installer/state.h"

struct byoh_damage {
	char *path; /* below the root */
	char *reason;
};

struct byoh_integrity {
	size_t bundle_count;
	struct byoh_kept_bundle {
		char *path;
		struct byoh_bundle *bundle; /* NULL: it does not even open */
	} *bundles;
	uint64_t bytes; /* of all that open, as byoh_integrity_check reads them */
	size_t damage_count;
	struct byoh_damage *damages;
};

/* Opens the bundle of every kept release. What is damaged is noted, and no failure. */
BYOH_MUST_CHECK int byoh_integrity_open(const struct byoh_host *host, struct byoh_integrity *ret,
					struct byoh_error *err);
/* Every block of the bundles; progress counts up to integrity->bytes. */
BYOH_MUST_CHECK int byoh_integrity_check_bundles(struct byoh_integrity *integrity,
						 const struct byoh_progress *progress,
						 struct byoh_error *err);
/* Is the bundle of that id kept here, and every block of it good? */
BYOH_MUST_CHECK int byoh_integrity_has_bundle(const struct byoh_host *host, const char *id,
					      const struct byoh_progress *progress, bool *ret_good,
					      struct byoh_error *err);
/* Is there what the ledger would put back? Its bytes are the host's own, of which no digest is kept. */
BYOH_MUST_CHECK int byoh_integrity_check_images(struct byoh_integrity *integrity,
						const struct byoh_host *host,
						const struct byoh_ledger *ledger, struct byoh_error *err);
/* The release that `rollback` would go back to: *ret_id is NULL where its bundle is not here. */
BYOH_MUST_CHECK int byoh_integrity_find_previous(const struct byoh_host *host,
						 const struct byoh_state *installed,
						 struct byoh_state **ret, const char **ret_id,
						 struct byoh_error *err);
void byoh_integrity_release(struct byoh_integrity *integrity);

#endif
