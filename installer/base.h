/* SPDX-License-Identifier: Apache-2.0 */
/* The releases that a delta builds on, among those that this host keeps. */
#ifndef BYOH_INSTALLER_BASE_H
#define BYOH_INSTALLER_BASE_H

#include "bundle/bundle.h"

/* Gives a delta its base: the kept release of that id, or another one that has the same files (the full bundle of
 * what came as a delta, say). What that builds on itself comes with it. A full bundle is left as it is. Fails with
 * BYOH_ERROR_PREFLIGHT and what to do. */
BYOH_MUST_CHECK int byoh_base_attach(int root_fd, struct byoh_bundle *bundle, struct byoh_error *err);

/* The ids of all that it builds on, a blank behind each, for state.json. */
BYOH_MUST_CHECK int byoh_base_ids(const struct byoh_bundle *bundle, struct byoh_buffer *ret, struct byoh_error *err);

#endif
