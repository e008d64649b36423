/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a kubeconfig of this host lets its holder do at the API server: that of the kubelet, of the agent, of
 * kube-proxy, or a bootstrap one. Unlike one that an operator brings (installer/kubeconfig.h) it may name files.
 */
#ifndef BYOH_INSTALLER_KUBECONFIG_ACCESS_H
#define BYOH_INSTALLER_KUBECONFIG_ACCESS_H

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "installer/net/api.h"

#define BYOH_CREDENTIAL_MAX ((size_t)64 << 10) /* a certificate and a key are some kilobytes */

struct byoh_access {
	char *server;			      /* https://host:port */
	struct byoh_buffer ca;		      /* PEM */
	char *token;			      /* secret; NULL: none */
	struct byoh_buffer certificate, key;  /* secret, PEM of a client; empty: none */
	char *ca_file, *certificate_file, *key_file, *token_file; /* as named; NULL: embedded or none */
};

void byoh_access_release(struct byoh_access *access); /* secrets are wiped */
#define CLEANUP_ACCESS __attribute__((cleanup(byoh_access_release)))

/* Follows current-context. name stands in messages. Files are named, not read: pure. */
BYOH_MUST_CHECK int byoh_access_parse(const char *text, size_t size, const char *name, struct byoh_access *ret,
				      struct byoh_error *err);
/* The same for a file below the host's root, and the files that it names are read: a server without a CA, or a
 * user without any credential, is an error. -ENOENT: there is no such kubeconfig. */
BYOH_MUST_CHECK int byoh_access_read(int root_fd, const char *path, struct byoh_access *ret, struct byoh_error *err);

/* A request with these credentials, to be completed by method and path; it borrows from access. The certificate is
 * preferred to the token where both are there. */
struct byoh_api_request byoh_access_request(const struct byoh_access *access);

#endif
