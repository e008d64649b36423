/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renewal of the agent's client certificate. The agent does it, if at all, by bootstrapping again, with a token that has
 * run out long before; here it is asked for with the certificate that still holds, under a name that the BYOH controller
 * approves as it did the first.
 */
#ifndef BYOH_INSTALLER_AGENT_CERTIFICATE_H
#define BYOH_INSTALLER_AGENT_CERTIFICATE_H

#include "installer/config.h"
#include "installer/csr.h"
#include "installer/host.h"

enum byoh_agent_renewal {
	BYOH_AGENT_RENEWAL_NONE,    /* none is due, or there is nothing to renew with */
	BYOH_AGENT_RENEWAL_WAITING, /* for an approval, or for the server */
	BYOH_AGENT_RENEWAL_DONE,    /* there is another kubeconfig: the agent has to read it */
};

struct byoh_agent_renewal_look {
	enum byoh_agent_renewal outcome;
	char name[BYOH_CSR_NAME_SIZE]; /* of the request; "" where there is none */
	char fault[512];	       /* why it is not granted: denied, not sent; "" while it only waits */
	bool proxy;		       /* kube-proxy went by the same certificate, and has to read its file as well */
};

/* One round, no waiting: looks, asks, writes what has been issued. */
BYOH_MUST_CHECK int byoh_agent_certificate_settle(const struct byoh_host *host, const struct byoh_config *config,
						  uint64_t now, struct byoh_agent_renewal_look *ret,
						  struct byoh_error *err);

#endif
