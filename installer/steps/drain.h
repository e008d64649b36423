/* SPDX-License-Identifier: Apache-2.0 */
/* Draining this node and letting pods come back, by the kubectl that lies on the host. It needs the network, so
 * systemd runs it. */
#ifndef BYOH_INSTALLER_STEPS_DRAIN_H
#define BYOH_INSTALLER_STEPS_DRAIN_H

#include <stdatomic.h>

#include "installer/host.h"

#define BYOH_DRAIN_ARGUMENTS 32

struct byoh_drain {
	const struct byoh_host *host;
	const char *kubeconfig; /* absolute; NULL: the node's own */
	const atomic_bool *cancel;
	bool cordoned; /* by us: to be taken back whatever becomes of the run */
};

/* Has a cluster given this host an identity, so that pods may run here? */
bool byoh_drain_is_node(const struct byoh_host *host);
/* On failure BYOH_ERROR_PREFLIGHT with kubectl's words; call byoh_drain_end all the same. */
BYOH_MUST_CHECK int byoh_drain_begin(struct byoh_drain *drain, struct byoh_error *err);
/* Nothing to do where the node had been cordoned by somebody else. */
BYOH_MUST_CHECK int byoh_drain_end(struct byoh_drain *drain, struct byoh_error *err);

/* The whole command for these words of kubectl's, ended by NULL; for tests too. node gets the node's name. */
void byoh_drain_command(const struct byoh_drain *drain, const char *const *words,
			const char *ret[static BYOH_DRAIN_ARGUMENTS]);

#endif
