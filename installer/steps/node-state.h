/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of an installed host: its services, its agent, its node. The agent is a neighbour that writes, wipes
 * and stops things of its own accord; what it did is told from damage here.
 */
#ifndef BYOH_INSTALLER_STEPS_NODE_STATE_H
#define BYOH_INSTALLER_STEPS_NODE_STATE_H

#include "installer/agent-config.h"
#include "installer/config.h"
#include "installer/host.h"
#include "installer/join-record.h"
#include "installer/plan.h"
#include "installer/proxy-certificate.h"

#define BYOH_SERVICES_MAX 4
#define BYOH_CERTIFICATES_MAX 5
#define BYOH_KUBELET_OWN_SERVING "/var/lib/kubelet/pki/kubelet.crt" /* signed by the kubelet itself */

enum byoh_certificate_state {
	BYOH_CERTIFICATE_VALID,
	BYOH_CERTIFICATE_SOON, /* it ends within 30 days, or has a fifth of its life left if that is less */
	BYOH_CERTIFICATE_EXPIRED,
	BYOH_CERTIFICATE_EARLY, /* by this host's clock its time has not come */
	BYOH_CERTIFICATE_UNREADABLE,
};

/* Words are for people and JSON alike, and stable. */
struct byoh_node_state {
	enum byoh_join_mode join_mode; /* as configured */
	size_t service_count;
	struct byoh_service_state {
		const char *name;  /* "kubelet" */
		const char *state; /* "running", "starting", "waiting", "stopped", "failed", "unknown"; below
				    * --root "at boot" or "waiting" */
	} services[BYOH_SERVICES_MAX];
	/* NULL where the configuration has no agent; "waiting" for credentials, "unregistered", "requested": its
	 * certificate waits for approval, "registered". */
	const char *agent;
	/* "prepared" (join mode none), "waiting" for credentials, "unclaimed", "joining", "joined", "failed" (join
	 * mode kubeadm), "reset" */
	const char *node;
	struct byoh_join_record join; /* kubeadm's last attempt at a host that is no node yet; no state: none */
	bool claimed, reset; /* by the agent */
	const char *certificate; /* the kubelet's: NULL: none, "valid", "expired", "unreadable" */
	uint64_t certificate_expires; /* seconds since 1970; 0: unknown */
	struct byoh_proxy_request proxy_request; /* kube-proxy's own certificate: is asked for */
	uint64_t proxy_expires;			 /* is there until then; 0: none */
	/* Whose list of plugins containerd takes: "ours", "headcni", "other", "none"; its name, "" without one; and
	 * ours, by which name it lies there now, "" where we have none. */
	const char *network;
	char network_file[256], network_ours[256];
	const char *ca_bundle; /* the system's: NULL: unknown, "whole", "replaced" */
	size_t certificate_count;
	struct byoh_node_certificate {
		const char *name; /* "kubelet", "kubeletServing", "kubeProxy", "agent", "ca" */
		const char *path; /* NULL: of the configuration */
		enum byoh_certificate_state state;
		uint64_t begins, expires; /* seconds since 1970; of a bundle, that of the one that ends first */
	} certificates[BYOH_CERTIFICATES_MAX];
	enum byoh_agent_config_state agent_config;
	char agent_config_fault[512]; /* what is wrong with the agent's kubeconfig, as a sentence; "": nothing */
};

BYOH_MUST_CHECK int byoh_node_look(const struct byoh_host *host, const struct byoh_config *config,
				   struct byoh_node_state *ret, struct byoh_error *err);
/* Goes through a checked plan that is only looked at: what the agent took away as a part of its work is as it is to
 * be while the host is claimed, and marked as its doing after a reset. */
void byoh_node_excuse(const struct byoh_node_state *state, struct byoh_plan *plan);

/* Certificates (certificates.c). */
const char *byoh_certificate_state_word(enum byoh_certificate_state state);
enum byoh_certificate_state byoh_certificate_judge(uint64_t begin, uint64_t end, uint64_t now);
void byoh_certificates_look(const struct byoh_host *host, const struct byoh_config *config,
			    struct byoh_node_state *ret);
/* NULL where there is none of that name. */
const struct byoh_node_certificate *byoh_node_certificate(const struct byoh_node_state *state, const char *name);
/* Has a cluster given this host's kubelet an identity, whether or not it still holds? Its kubeconfig is there as soon as
 * it asks; the certificate that it names comes with the answer. One that cannot be read counts. */
bool byoh_kubelet_is_admitted(const struct byoh_host *host);
/* Has the kubelet a client certificate that is valid by this host's clock? Then it looks at no bootstrap token. */
bool byoh_kubelet_has_certificate(const struct byoh_host *host);

/* "whole", "replaced", or NULL where no copy was kept (ca-bundle.c). */
const char *byoh_ca_bundle_state(const struct byoh_host *host);
/* For byoh-ca-guard.service: brings back what the agent replaced by the cluster's CA alone. What anybody else made of
 * it stays. */
BYOH_MUST_CHECK int byoh_ca_bundle_guard(const struct byoh_host *host, const struct byoh_config *config,
					 bool *ret_mended, struct byoh_error *err);
/* Are most of the certificates gone that there were? Pure. */
bool byoh_ca_bundle_is_replaced(const struct byoh_buffer *kept, const struct byoh_buffer *current);

#endif
