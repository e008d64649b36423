/* SPDX-License-Identifier: Apache-2.0 */
/* What --from names: a file, a folder, slices in one folder or several, a mirror. */
#ifndef BYOH_INSTALLER_MEDIA_H
#define BYOH_INSTALLER_MEDIA_H

#include "installer/session.h"

/* Before the network is left: starts the helper that reaches a mirror, where --from or the argument is a URL. */
BYOH_MUST_CHECK int byoh_media_start(struct byoh_session *session, struct byoh_error *err);
/* Opens session->bundle from there; nothing in it is believed yet. */
BYOH_MUST_CHECK int byoh_media_open(struct byoh_session *session, const char *const *paths, size_t count,
				    struct byoh_error *err);

#endif
