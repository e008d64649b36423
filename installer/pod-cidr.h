/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network of this node's pods. The cluster's controller manager gives each node its own (spec.podCIDR of the
 * Node); what stands on the host is at best a copy of that. Sources, the first that has it wins: cni.podCIDR, the
 * environment, files that network plugins leave, the API server, what an earlier run found. It is never guessed,
 * but by name.
 */
#ifndef BYOH_INSTALLER_POD_CIDR_H
#define BYOH_INSTALLER_POD_CIDR_H

#include "installer/config.h"
#include "installer/host.h"

#define BYOH_POD_CIDR_VARIABLE "NODE_POD_CIDR"
#define BYOH_POD_CIDR_NOTE "/var/lib/byoh/pod-cidr" /* what was found, for later runs */
#define BYOH_CNI_CONFIG "/etc/cni/net.d"
#define BYOH_BRIDGE_CONFLIST "99-byoh.conflist" /* ours; a real network's goes before it */

#define BYOH_POD_CIDR_MAX 128

struct byoh_pod_cidr {
	char cidr[BYOH_POD_CIDR_MAX]; /* one, or "a,b" of both families; "" where it is not known */
	char source[256];	      /* for people: "cni.podCIDR", a path, "the API server" */
	bool invented;
};

/* ask: the API server may be asked too, with the kubelet's own credentials; a server that does not answer, or
 * that has not assigned a network yet, is no error. A value that is no network is one, with its source. */
BYOH_MUST_CHECK int byoh_pod_cidr_find(const struct byoh_host *host, const struct byoh_config *config, bool ask,
				       struct byoh_pod_cidr *ret, struct byoh_error *err);

/* Pure parts. -ENOENT, without err set: the text has none. */

/* flannel's subnet.env: FLANNEL_SUBNET=10.244.1.1/24 */
BYOH_MUST_CHECK int byoh_pod_cidr_of_flannel(const char *text, char *ret, size_t size);
/* A CNI network list or configuration: ranges of its host-local plugin. */
BYOH_MUST_CHECK int byoh_pod_cidr_of_cni(const char *text, size_t length, char *ret, size_t size);
/* HeadCNI's env.yaml: subnet, ipv6_subnet */
BYOH_MUST_CHECK int byoh_pod_cidr_of_headcni(const char *text, size_t length, char *ret, size_t size);
/* A Node as the API server tells it: spec.podCIDRs, spec.podCIDR. */
BYOH_MUST_CHECK int byoh_pod_cidr_of_node(const char *text, size_t length, char *ret, size_t size);
/* A /24 (IPv6: /64) of the cluster's range, chosen by the digest of the name. Two names may get the same one. */
BYOH_MUST_CHECK int byoh_pod_cidr_invent(const char *cluster_range, const char *name, char *ret, size_t size);

/* The first file of the folder in lexical order that containerd would load; "" if there is none. */
void byoh_cni_first_file(const struct byoh_host *host, char ret[256]);

#endif
