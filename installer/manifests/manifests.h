/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the cluster's side has to be told so that hosts can join, as files: the same byoh.yaml that
 * installs a host gives the objects for kubectl, in the order of their names. Pure but for the clock,
 * the random numbers and the folders that are named; docs/management-cluster.md is the manual.
 */
#ifndef BYOH_INSTALLER_MANIFESTS_MANIFESTS_H
#define BYOH_INSTALLER_MANIFESTS_MANIFESTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "installer/config.h"

#define BYOH_MANIFESTS_MAX 40
#define BYOH_OBJECT_NAME_MAX 128
#define BYOH_TOKEN_SIZE 24                    /* "abcdef.0123456789abcdef" and its zero */
#define BYOH_EXPIRATION_SIZE 32               /* "2026-11-21T17:04:25Z" */
#define BYOH_TOKEN_TTL_DEFAULT (24 * 60 * 60) /* as kubeadm's */
/* A ConfigMap ends at 1 MiB of data, and an object of etcd at 1.5 MiB. */
#define BYOH_CNI_PART_MAX ((size_t)900 << 10)
#define BYOH_CNI_MAX ((size_t)16 << 20)

/* Groups that bootstrap tokens put their bearers in. */
#define BYOH_GROUP_BYOH "system:bootstrappers:byoh"
#define BYOH_GROUP_KUBEADM "system:bootstrappers:kubeadm:default-node-token"
#define BYOH_GROUP_HOSTS "byoh:hosts" /* of the agents' certificates */

/* A file in the making. Errors are sticky: write everything, then ask byoh_manifests_finish once. */
struct byoh_object_file {
	char name[BYOH_OBJECT_NAME_MAX]; /* below the folder */
	mode_t mode;
	struct byoh_buffer text;
	bool failed, remarked;
};

struct byoh_manifests {
	size_t count;
	struct byoh_object_file items[BYOH_MANIFESTS_MAX];
	bool too_many;
};

/* A provider or cert-manager, as clusterctl's local repository has it. */
struct byoh_provider {
	const char *label; /* the folder's name */
	const char *name, *type, *file;
	char version[64]; /* "v1.10.6" */
};

enum byoh_provider_id {
	BYOH_PROVIDER_CORE,
	BYOH_PROVIDER_BOOTSTRAP,
	BYOH_PROVIDER_CONTROL_PLANE,
	BYOH_PROVIDER_BYOH,
	BYOH_PROVIDER_CERT_MANAGER,
	BYOH_PROVIDERS,
};

struct byoh_clusterctl {
	struct byoh_provider components[BYOH_PROVIDERS];
	bool mended; /* byoh's metadata lacked the series of its own version */
};

struct byoh_manifests_input {
	const struct byoh_config *config;
	const char *namespace_name, *cluster; /* with their defaults */
	char host[256];                       /* of the API server, IPv6 without brackets */
	unsigned int port;
	const char *token; /* NULL: a static one, which no Secret can hold */
	bool token_is_new; /* made here: the stick needs it too */
	const char *expiration;
	const struct byoh_buffer *cluster_kubeconfig; /* NULL: none was given */
	const struct byoh_buffer *cni;                /* NULL: none was given */
	const struct byoh_clusterctl *clusterctl;     /* NULL: none was given */
	const char *folder;                           /* absolute: where the files will lie */
};

/* The machines are Cluster API's, claimed by an agent: in the other modes hosts join by themselves. */
static inline bool byoh_manifests_claim(const struct byoh_manifests_input *input)
{
	return input->config->join_mode == BYOH_JOIN_AGENT;
}

/* Fills namespace, cluster, host and port from the config. BYOH_ERROR_CONFIG where it does not say
 * enough. */
BYOH_MUST_CHECK int byoh_manifests_prepare(const struct byoh_config *config,
					   struct byoh_manifests_input *ret, struct byoh_error *err);
/* Everything but what byoh_clusterctl_read adds. */
BYOH_MUST_CHECK int byoh_manifests_make(const struct byoh_manifests_input *input,
					struct byoh_manifests *ret, struct byoh_error *err);

/* A new file, empty; never NULL. */
struct byoh_object_file *byoh_manifests_add(struct byoh_manifests *manifests, const char *name,
					    mode_t mode);
void byoh_object_put(struct byoh_object_file *manifest, const char *fmt, ...) BYOH_PRINTF(2, 3);
void byoh_object_put_bytes(struct byoh_object_file *manifest, const void *bytes, size_t size);
/* In base64 on one line. */
void byoh_object_put_base64(struct byoh_object_file *manifest, const void *bytes, size_t size);
/* A line on what the next object is for. */
void byoh_object_remark(struct byoh_object_file *manifest, const char *text);
/* `---`, apiVersion, kind and metadata with the name; namespace_name may be NULL. metadata stays open,
 * two blanks deep. */
void byoh_object_begin(struct byoh_object_file *manifest, const char *api_version, const char *kind,
		       const char *name, const char *namespace_name);
BYOH_MUST_CHECK int byoh_manifests_finish(const struct byoh_manifests *manifests,
					  struct byoh_error *err);
void byoh_manifests_release(struct byoh_manifests *manifests); /* secrets are wiped */

/* "30m", "24h", "7d": from a minute to ten years. BYOH_ERROR_USAGE. */
BYOH_MUST_CHECK int byoh_token_ttl_parse(const char *text, time_t *ret, struct byoh_error *err);
/* A fresh bootstrap token from the kernel's random numbers. */
BYOH_MUST_CHECK int byoh_token_make(char ret[BYOH_TOKEN_SIZE], struct byoh_error *err);
/* RFC 3339, UTC, as the Secret's `expiration` wants it. */
BYOH_MUST_CHECK int byoh_expiration(time_t when, char ret[BYOH_EXPIRATION_SIZE],
				    struct byoh_error *err);

/* A kubeconfig for Cluster API: whole in itself, and more than a bootstrap token. */
BYOH_MUST_CHECK int byoh_manifests_check_kubeconfig(const char *text, size_t size, const char *name,
						    struct byoh_error *err);
/* A CNI manifest: text that a ConfigMap can hold, in parts of at most max bytes. */
BYOH_MUST_CHECK int byoh_manifests_check_cni(const struct byoh_buffer *text, const char *name,
					     size_t max, struct byoh_error *err);
/* Where the part that begins at offset ends: behind a document, at most max bytes further on, and where
 * the document is larger, behind it all the same. */
size_t byoh_manifests_cni_part(const struct byoh_buffer *text, size_t offset, size_t max);

/* Reads the repository in an unpacked management bundle (DIR/opt/capi/repo, or DIR itself) into files
 * below clusterctl/repo, with metadata that lists its own version. */
BYOH_MUST_CHECK int byoh_clusterctl_read(const char *folder, struct byoh_clusterctl *ret,
					 struct byoh_manifests *files, struct byoh_error *err);

/* The parts. */
void byoh_manifests_token(const struct byoh_manifests_input *input, struct byoh_manifests *ret);
void byoh_manifests_rbac(const struct byoh_manifests_input *input, struct byoh_manifests *ret);
void byoh_manifests_cluster(const struct byoh_manifests_input *input, struct byoh_manifests *ret);
void byoh_manifests_workers(const struct byoh_manifests_input *input, struct byoh_manifests *ret);
void byoh_manifests_cni(const struct byoh_manifests_input *input, struct byoh_manifests *ret);
void byoh_manifests_kube_vip(const struct byoh_manifests_input *input, struct byoh_manifests *ret);
void byoh_manifests_clusterctl(const struct byoh_manifests_input *input, struct byoh_manifests *ret);
void byoh_manifests_readme(const struct byoh_manifests_input *input, struct byoh_manifests *ret);

/* Writes them all into a folder that is new or empty: all of them, or none. */
BYOH_MUST_CHECK int byoh_manifests_write(const struct byoh_manifests *manifests, const char *folder,
					 struct byoh_error *err);

#endif
