/* SPDX-License-Identifier: Apache-2.0 */
/*
 * byoh.yaml: what the operator wants of this host. Strict: an unknown key, a key without effect in the
 * chosen join mode, a wrong form: an error with line, column and remedy. docs/byoh.yaml.md is the manual.
 */
#ifndef BYOH_INSTALLER_CONFIG_H
#define BYOH_INSTALLER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "installer/config-iso.h"
#include "installer/config-types.h"

/* What was found by cluster.ca.pin. It is believed because it has the pin, wherever it lies. */
#define BYOH_DISCOVERED_CA "discovered-ca.crt"

enum byoh_join_mode { BYOH_JOIN_AGENT, BYOH_JOIN_KUBEADM, BYOH_JOIN_TLS_BOOTSTRAP, BYOH_JOIN_NONE };
enum byoh_existing { BYOH_EXISTING_REFUSE, BYOH_EXISTING_ADOPT, BYOH_EXISTING_REPLACE };
enum byoh_proxy_mode { BYOH_PROXY_IPTABLES, BYOH_PROXY_IPVS, BYOH_PROXY_NFTABLES };
enum byoh_claim { BYOH_CLAIM_TLS_BOOTSTRAP, BYOH_CLAIM_KUBEADM };
enum byoh_cluster_api { BYOH_CLUSTER_API_V1BETA1, BYOH_CLUSTER_API_V1BETA2 };
enum byoh_capacity {
	BYOH_CAPACITY_CPU, BYOH_CAPACITY_MEMORY, BYOH_CAPACITY_EPHEMERAL_DISK, BYOH_CAPACITY_MAX_PODS,
	BYOH_CAPACITY_GPU_TYPE, BYOH_CAPACITY_GPU_COUNT, BYOH_CAPACITY_LABELS, BYOH_CAPACITY_TAINTS,
	BYOH_CAPACITY_CSI_DRIVERS, BYOH_CAPACITIES,
};

/* registries.mirrors.<host>, as RKE2 writes them */
struct byoh_mirror {
	char *registry; /* "docker.io", or "*" */
	struct byoh_strings endpoints;
	struct byoh_pairs rewrites; /* pattern: replacement */
};

/* registries.configs.<host> */
struct byoh_registry_config {
	char *registry;
	char *username, *password, *auth, *identity_token; /* secrets */
	char *ca_file, *cert_file, *key_file;		   /* paths on the host */
	bool insecure_skip_verify;
};

/* What identifies a machine for `machines:`; any may be NULL. */
struct byoh_machine_identity {
	const char *serial, *uuid; /* SMBIOS */
	struct byoh_strings macs;  /* lower case, with colons */
};

/* management: what `manifests` alone uses; an installation passes over it. */
struct byoh_management {
	char *namespace_name, *cluster_name; /* NULL: the defaults of byoh_manifests_* */
	char *kubernetes_version;	     /* "v1.34.1"; NULL: none */
	enum byoh_cluster_api api;
	enum byoh_claim join_mode; /* what a claim makes of a host with an agent */
	bool has_replicas, has_autoscaler;
	uint64_t replicas, autoscaler_min, autoscaler_max;
	struct byoh_pairs node_labels;
	char *capacity[BYOH_CAPACITIES]; /* NULL: unknown */
	char *cni_file;			 /* as written; read by `manifests` alone */
	char *image_repository;		 /* NULL: images by their own names */
	struct {
		char *address, *interface, *image; /* all NULL: none */
	} kube_vip;
};

/* A file that the config names, read and checked. */
struct byoh_config_file {
	char *name;		   /* as written in the config */
	struct byoh_buffer bytes;
};

struct byoh_config {
	char *path;			/* where it was read from; NULL: a default */
	struct byoh_buffer text;	/* its exact bytes */
	struct byoh_buffer signature;	/* of those bytes, as found beside; empty: none */
	unsigned int machine_line;	/* line of the entry of `machines:` that applies; 0: none */

	struct {
		char *name, *server;	/* https://host:port */
		struct byoh_buffer ca;	/* PEM, checked to hold certificates; empty: none */
		struct byoh_buffer old_ca; /* PEM: what stood in its place until `join` brought it in this run */
		char *ca_pin;		/* "sha256:<64 hex>", or NULL */
		bool ca_discovered;	/* found by the pin: stands beside the config as BYOH_DISCOVERED_CA */
		char *ca_file;		/* as written, NULL where inline */
		char *token;		/* secret; NULL: bound later */
		char *token_file;	/* as written, NULL where inline */
		bool late;		/* brought by `join`: stands in a file of its own on the host */
		char *kubeconfig_file;	/* as written; server, ca and token above are what it holds */
		char *pod_cidr, *service_cidr, *dns; /* CIDRs: one, or "a,b" of both families */
	} cluster;

	enum byoh_join_mode join_mode;
	bool join_volume; /* a volume BYOHCFG that is plugged in may bring a token */

	struct { /* kubeadm, tlsBootstrap */
		char *ip; /* one, or "a,b" of both families */
		struct byoh_pairs labels;
		struct byoh_strings taints; /* key=value:Effect */
		bool serving_certificates;
		uint64_t max_pods; /* 0: the kubelet's default */
		/* tlsBootstrap */
		char *resolv_conf;
		struct byoh_pairs system_reserved, kube_reserved; /* resource: quantity */
		struct byoh_buffer kubelet;	 /* further fields of KubeletConfiguration, YAML; empty: none */
		struct byoh_buffer kubelet_text; /* where they stand in a file of their own: its bytes */
		char *kubelet_file;		 /* as written */
	} node;

	struct { /* agent */
		char *namespace_name, *metrics;
		struct byoh_pairs host_labels;
		char *bundle_repo; /* localBundle: for an agent that runs scripts; NULL: none */
		char *bundle_os;   /* as those scripts call it; NULL: by os-release */
	} agent;

	struct {
		char *hostname;
		bool swap; /* true: the host keeps its swap */
		struct byoh_strings ntp;
		struct byoh_pairs hosts; /* address: names */
		bool slices;
		bool dummy_route; /* a default route that leads nowhere */
	} host;

	struct {
		enum byoh_existing existing;
		char *root;
		char *sandbox_image; /* NULL: the bundle's own pause image */
	} containerd;

	size_t mirror_count, registry_config_count;
	struct byoh_mirror *mirrors;
	struct byoh_registry_config *registry_configs;

	struct {
		bool manage; /* tlsBootstrap, agent: kube-proxy is a service of this host */
		enum byoh_proxy_mode mode;
		/* What it comes to the API server with, tlsBootstrap only; at most one of these. None: its
		 * unit waits for its kubeconfig. */
		char *token;			/* secret */
		char *token_file;		/* as written, NULL where inline */
		struct byoh_buffer kubeconfig;	/* secret, placed as it is; empty: none */
		char *kubeconfig_file;		/* as written */
		bool node_identity;		/* the kubelet's own certificate */
		bool client_certificate;	/* one of its own, which the host asks the cluster for */
	} kube_proxy;

	struct {
		char *conflist_name;	/* file name to place in /etc/cni/net.d; NULL: plugins only */
		char *conflist_file;	/* as written */
		struct byoh_buffer conflist;
		bool bridge;		/* a list of our own making, for a single node */
		char *pod_cidr;		/* the node's; NULL: to be found */
		bool invent_pod_cidr;	/* from the host's name */
	} cni;

	struct {
		uint64_t threshold;
		bool config_signature; /* byoh.yaml.sig is required */
	} policy;

	struct byoh_management management;
	struct byoh_iso iso;
};

/* Reads and checks a config and the files that it names (paths relative to its folder; where such a file
 * is missing, the same base name beside the config). identity selects among `machines:`; NULL only
 * for a check without a host. Errors are BYOH_ERROR_CONFIG. */
BYOH_MUST_CHECK int byoh_config_load(const char *path, const struct byoh_machine_identity *identity,
				     struct byoh_config **ret, struct byoh_error *err);
/* The same for one whose text has been read: what was checked must be what is used, and a stick may answer
 * a second read differently. */
BYOH_MUST_CHECK int byoh_config_load_read(const char *path, const struct byoh_buffer *text,
					  const struct byoh_machine_identity *identity,
					  struct byoh_config **ret, struct byoh_error *err);
/* The top level alone, for what is said of all machines at once. A token's file may be missing yet. */
BYOH_MUST_CHECK int byoh_config_load_for_all(const char *path, const struct byoh_buffer *text,
					     struct byoh_config **ret, struct byoh_error *err);
/* The config's own text, for byoh_config_load_read. */
BYOH_MUST_CHECK int byoh_config_read_text(const char *path, struct byoh_buffer *ret,
					  struct byoh_error *err);
/* The same from memory; directory is where its files lie (NULL: none may be named). For tests, fuzzing. */
BYOH_MUST_CHECK int byoh_config_parse(const char *text, size_t size, const char *name,
				      const char *directory,
				      const struct byoh_machine_identity *identity,
				      struct byoh_config **ret, struct byoh_error *err);
/* The config of a host that has none: join mode none, every default. */
BYOH_MUST_CHECK int byoh_config_default(struct byoh_config **ret, struct byoh_error *err);
void byoh_config_free(struct byoh_config *config); /* secrets are wiped */
void byoh_config_freep(struct byoh_config **config);
#define CLEANUP_CONFIG __attribute__((cleanup(byoh_config_freep)))

const char *byoh_join_mode_name(enum byoh_join_mode mode);

#endif
