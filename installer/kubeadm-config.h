/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JoinConfigurations of kubeadm (kubeadm-config.v1beta2 to v1beta4): written for this host, or read from what the
 * agent left and written anew as kubeadm of that version takes it. Text to text; the caller places it. The texts hold
 * tokens: 0600, wiped after use.
 */
#ifndef BYOH_INSTALLER_KUBEADM_CONFIG_H
#define BYOH_INSTALLER_KUBEADM_CONFIG_H

#include <stdbool.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "installer/kubernetes-config.h"

#define BYOH_KUBEADM_CONFIG "/etc/byoh/kubeadm-join.yaml"	 /* 0600 */
#define BYOH_KUBEADM_DISCOVERY "/etc/byoh/kubeadm-discovery.conf" /* 0600 */
#define BYOH_KUBEADM_CONFIG_MAX ((size_t)1 << 20)

/* "v1beta3"; NULL where no version of it is known for this Kubernetes (older than 1.15). Pure. */
const char *byoh_kubeadm_api(const struct byoh_kubernetes_version *version);

/* JoinConfiguration for BYOH_KUBEADM_CONFIG from cluster: and node:, appended. With a CA the cluster is found by
 * BYOH_KUBEADM_DISCOVERY, without one by token and pin. Server and token have to be known. */
BYOH_MUST_CHECK int byoh_kubeadm_join_config(const struct byoh_kubelet_input *input, struct byoh_buffer *ret,
					     struct byoh_error *err);
/* Server and CA, no credential, for BYOH_KUBEADM_DISCOVERY. */
BYOH_MUST_CHECK int byoh_kubeadm_discovery(const struct byoh_config *config, struct byoh_buffer *ret,
					   struct byoh_error *err);

/* What the agent writes to /run/kubeadm comes from a machine elsewhere, and the agent rewrites kubeletExtraArgs as a map
 * even where kubeadm wants a list. Appends the same configuration with the arguments in the form of its version and
 * with provider-id, byoh://<host_name> where none is given. *ret_mangled: they stood in the other form, so what else the
 * cluster asked for is lost. Refuses what is no JoinConfiguration of a worker: BYOH_ERROR_CONFIG. Pure. */
BYOH_MUST_CHECK int byoh_kubeadm_normalise(const char *text, size_t size, const char *name, const char *host_name,
					   struct byoh_buffer *ret, bool *ret_mangled, struct byoh_error *err);

#endif
