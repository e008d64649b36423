/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kube-proxy's own client certificate (kubeProxy.clientCertificate): a key that is made on this host, a request to
 * the cluster, and the kubeconfig when somebody there has approved it. The host asks with the kubelet's certificate,
 * or with the bootstrap token before there is one.
 */
#ifndef BYOH_INSTALLER_PROXY_CERTIFICATE_H
#define BYOH_INSTALLER_PROXY_CERTIFICATE_H

#include <stdint.h>

#include "installer/config.h"
#include "installer/csr.h"
#include "installer/host.h"

#define BYOH_PROXY_USER "system:kube-proxy"

enum byoh_proxy_outcome {
	BYOH_PROXY_VALID,   /* nothing to do */
	BYOH_PROXY_WAITING, /* for an approval, or for a way to ask */
	BYOH_PROXY_CHANGED, /* there is another kubeconfig: kube-proxy has to read it */
};

/* Looks, asks, and writes what has been issued; one round, no waiting. A server that is not reached, and a
 * refusal, are BYOH_PROXY_WAITING and noted (byoh_proxy_request). */
BYOH_MUST_CHECK int byoh_proxy_certificate_settle(const struct byoh_host *host, const struct byoh_config *config,
						  uint64_t now, enum byoh_proxy_outcome *ret, struct byoh_error *err);

/* What the last round noted, for `status`. */
struct byoh_proxy_request {
	char state[16];		       /* "pending", "denied", "failed", "unsent"; "" where nothing is asked for */
	char name[BYOH_CSR_NAME_SIZE];
	char message[512];	       /* why it was denied, failed or not sent */
};

void byoh_proxy_request_read(const struct byoh_host *host, struct byoh_proxy_request *ret);
/* When the certificate ends that kube-proxy has; 0: it has none of its own. */
uint64_t byoh_proxy_certificate_expires(const struct byoh_host *host);

#endif
