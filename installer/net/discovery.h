/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BYOH_INSTALLER_NET_DISCOVERY_H
#define BYOH_INSTALLER_NET_DISCOVERY_H

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

struct byoh_outside;

/* Asks server for its cluster-info twice (installer/cluster-info.h): of whoever answers, without a credential, and
 * of who proves itself by the pinned CA. ret gets the CA, PEM; *ret_server (malloc) how the cluster calls itself.
 * Fails as byoh_outside_api, byoh_cluster_info_read and _confirm do; -EACCES and -ENOENT: the cluster shows its
 * cluster-info to nobody, or has none. */
BYOH_MUST_CHECK int byoh_discover_cluster(struct byoh_outside *outside, const char *server, const char *token,
					  const char *pin, struct byoh_buffer *ret, char **ret_server,
					  struct byoh_error *err);

#endif
