/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ConfigMap cluster-info in kube-public, by which a cluster is known to who has a bootstrap token and the pin
 * of its CA (kubernetes.io, "Authenticating with Bootstrap Tokens"; kubeadm's discovery). It holds a kubeconfig
 * without credentials, and for each token a signature over it: a detached JWS (RFC 7515, appendix F) with HMAC and
 * the token's secret. Every node of the cluster knows some token and could sign: only the pin tells the cluster
 * from an impostor. Pure.
 */
#ifndef BYOH_INSTALLER_CLUSTER_INFO_H
#define BYOH_INSTALLER_CLUSTER_INFO_H

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

#define BYOH_CLUSTER_INFO_PATH "/api/v1/namespaces/kube-public/configmaps/cluster-info"

struct byoh_cluster_info {
	struct byoh_buffer kubeconfig; /* exactly as served */
	struct byoh_buffer ca;	       /* PEM, all that it holds */
	struct byoh_buffer pinned;     /* PEM, those that have the pin: the only ones that are believed so far */
	char *server;		       /* as it calls itself */
};

void byoh_cluster_info_release(struct byoh_cluster_info *info);
#define CLEANUP_CLUSTER_INFO __attribute__((cleanup(byoh_cluster_info_release)))

/* "HEADER..SIGNATURE" of the text, appended; the token is one for bootstrapping. */
BYOH_MUST_CHECK int byoh_cluster_info_sign(const char *token, const void *text, size_t size,
					   struct byoh_buffer *ret, struct byoh_error *err);

/* An answer that nobody vouches for. -ENOKEY: the token has no signature in it; -EKEYREJECTED (BYOH_ERROR_TRUST):
 * the signature is of another token, or no CA has the pin. Messages name no secret. */
BYOH_MUST_CHECK int byoh_cluster_info_read(const char *answer, size_t size, const char *token, const char *pin,
					   struct byoh_cluster_info *ret, struct byoh_error *err);
/* The same, asked for once more of a server that proved itself by the pinned CA: it must say the same, or the
 * first one was not it. -EKEYREJECTED. */
BYOH_MUST_CHECK int byoh_cluster_info_confirm(const struct byoh_cluster_info *info, const char *answer, size_t size,
					      struct byoh_error *err);

#endif
