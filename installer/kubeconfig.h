/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubeconfigs: written from server, CA and token, and checked where an operator brings one. Everything
 * is embedded; the texts hold secrets: the caller writes them 0600 and wipes them.
 */
#ifndef BYOH_INSTALLER_KUBECONFIG_H
#define BYOH_INSTALLER_KUBECONFIG_H

#include <stdbool.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

#define BYOH_KUBECONFIG_MAX_SIZE ((size_t)1 << 20)

/* What a bootstrap kubeconfig comes down to. */
struct byoh_kubeconfig {
	char *server;		/* https://host:port */
	struct byoh_buffer ca;	/* PEM */
	char *token;		/* secret */
};

void byoh_kubeconfig_free(struct byoh_kubeconfig *kubeconfig); /* secrets are wiped */
void byoh_kubeconfig_freep(struct byoh_kubeconfig **kubeconfig);
#define CLEANUP_KUBECONFIG __attribute__((cleanup(byoh_kubeconfig_freep)))

/* For the kubelet's --bootstrap-kubeconfig and the agent's alike; appended to ret. cluster names cluster and
 * context; NULL: "default-cluster". */
BYOH_MUST_CHECK int byoh_kubeconfig_write_bootstrap(const char *cluster, const char *server,
						    const struct byoh_buffer *ca, const char *token,
						    struct byoh_buffer *ret, struct byoh_error *err);
/* For kube-proxy with a token of its own. */
BYOH_MUST_CHECK int byoh_kubeconfig_write_proxy(const char *cluster, const char *server,
						const struct byoh_buffer *ca, const char *token,
						struct byoh_buffer *ret, struct byoh_error *err);

/* The same with a client certificate and its key, PEM. */
BYOH_MUST_CHECK int byoh_kubeconfig_write_certificate(const char *cluster, const char *server,
						      const struct byoh_buffer *ca,
						      const struct byoh_buffer *certificate,
						      const struct byoh_buffer *key, struct byoh_buffer *ret,
						      struct byoh_error *err);

/* Reads a bootstrap kubeconfig that an operator brought. Refuses what may do more than bootstrap (client
 * certificates, exec, passwords; an admin's is called by that name), what is not embedded, and what does
 * not verify the server. opaque_token: a token that is no bootstrap token is fine (tlsBootstrap).
 * Errors are BYOH_ERROR_CONFIG, "NAME:LINE:COLUMN: what; remedy". Pure. */
BYOH_MUST_CHECK int byoh_kubeconfig_parse_bootstrap(const char *text, size_t size, const char *name,
						    bool opaque_token, struct byoh_kubeconfig **ret,
						    struct byoh_error *err);
/* The same for a kubeconfig of kube-proxy, which is placed as it is: a token or an embedded client
 * certificate, but no admin's. */
BYOH_MUST_CHECK int byoh_kubeconfig_check_proxy(const char *text, size_t size, const char *name,
						struct byoh_error *err);

#endif
