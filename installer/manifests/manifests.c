/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/manifests/manifests.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"

struct byoh_object_file *byoh_manifests_add(struct byoh_manifests *manifests, const char *name,
					    mode_t mode)
{
	struct byoh_object_file *manifest;

	if (manifests->count == BYOH_MANIFESTS_MAX) {
		manifests->too_many = true;
		return &manifests->items[BYOH_MANIFESTS_MAX - 1];
	}
	manifest = &manifests->items[manifests->count++];
	manifest->mode = mode;
	if (snprintf(manifest->name, sizeof(manifest->name), "%s", name) >= (int)sizeof(manifest->name))
		manifests->too_many = true;
	return manifest;
}

void byoh_object_put(struct byoh_object_file *manifest, const char *fmt, ...)
{
	CLEANUP_SECRET char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0) {
		text = NULL;
		manifest->failed = true;
		return;
	}
	byoh_object_put_bytes(manifest, text, (size_t)n);
}

void byoh_object_put_bytes(struct byoh_object_file *manifest, const void *bytes, size_t size)
{
	if (byoh_buffer_add(&manifest->text, bytes, size, NULL) < 0)
		manifest->failed = true;
}

void byoh_object_put_base64(struct byoh_object_file *manifest, const void *bytes, size_t size)
{
	if (byoh_base64_encode(bytes, size, &manifest->text, NULL) < 0)
		manifest->failed = true;
}

void byoh_object_remark(struct byoh_object_file *manifest, const char *text)
{
	byoh_object_put(manifest, "---\n# %s\n", text);
	manifest->remarked = true;
}

/* Names are quoted throughout: "123" and "true" are names as well. */
void byoh_object_begin(struct byoh_object_file *manifest, const char *api_version, const char *kind,
		       const char *name, const char *namespace_name)
{
	byoh_object_put(manifest, "%sapiVersion: %s\nkind: %s\nmetadata:\n  name: \"%s\"\n",
			manifest->remarked ? "" : "---\n", api_version, kind, name);
	manifest->remarked = false;
	if (namespace_name)
		byoh_object_put(manifest, "  namespace: \"%s\"\n", namespace_name);
}

int byoh_manifests_finish(const struct byoh_manifests *manifests, struct byoh_error *err)
{
	if (manifests->too_many)
		return byoh_fail(err, BYOH_ERROR_CONFIG, E2BIG,
				 "these are more files than one set can hold");
	for (size_t i = 0; i < manifests->count; i++)
		if (manifests->items[i].failed)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	return 0;
}

void byoh_manifests_release(struct byoh_manifests *manifests)
{
	for (size_t i = 0; i < manifests->count; i++)
		byoh_secret_buffer_release(&manifests->items[i].text);
	*manifests = (struct byoh_manifests){ 0 };
}

/* The config has checked its form: https://HOST:PORT. */
static void take_endpoint(const char *server, struct byoh_manifests_input *ret)
{
	const char *host = server + strlen("https://");
	const char *colon = strrchr(host, ':');
	size_t length = (size_t)(colon - host);

	if (*host == '[') {
		host++;
		length -= 2;
	}
	snprintf(ret->host, sizeof(ret->host), "%.*s", (int)length, host);
	ret->port = (unsigned int)strtoul(colon + 1, NULL, 10);
}

static int check_claim(const struct byoh_config *config, struct byoh_error *err)
{
	const char *path = config->path ? config->path : "the configuration";

	if (!config->management.kubernetes_version)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s: management.kubernetesVersion is missing; a MachineDeployment "
				 "names the version that its hosts have, like v1.34.1", path);
	/* Hosts may find it by its pin; whoever writes it into an object has to have it. */
	if (!config->cluster.ca.size)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s: the objects hold the cluster's CA itself, and there is only its pin; "
				 "add file: ca.crt beside the pin in cluster.ca", path);
	return 0;
}

int byoh_manifests_prepare(const struct byoh_config *config, struct byoh_manifests_input *ret,
			   struct byoh_error *err)
{
	const struct byoh_management *management = &config->management;
	const char *path = config->path ? config->path : "the configuration";

	*ret = (struct byoh_manifests_input){ .config = config };
	if (config->join_mode == BYOH_JOIN_NONE)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s: in join mode none nothing joins a cluster, which then needs no "
				 "objects; set "
				 "join.mode",
				 path);
	if (!config->cluster.server)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s: cluster.server and cluster.ca are missing; the objects name the "
				 "API server "
				 "that hosts join",
				 path);
	ret->namespace_name =
		management->namespace_name ? management->namespace_name : config->agent.namespace_name;
	ret->cluster = management->cluster_name ? management->cluster_name
		       : config->cluster.name   ? config->cluster.name
						: "default-cluster";
	if (strlen(ret->cluster) > 40)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s: cluster.name is too long for the names of objects; give "
				 "management.clusterName, at most 40 characters",
				 path);
	take_endpoint(config->cluster.server, ret);
	return byoh_manifests_claim(ret) ? check_claim(config, err) : 0;
}

int byoh_manifests_make(const struct byoh_manifests_input *input, struct byoh_manifests *ret,
			struct byoh_error *err)
{
	byoh_manifests_token(input, ret);
	byoh_manifests_rbac(input, ret);
	if (byoh_manifests_claim(input)) {
		byoh_manifests_cluster(input, ret);
		byoh_manifests_cni(input, ret);
		byoh_manifests_workers(input, ret);
		byoh_manifests_clusterctl(input, ret);
	}
	byoh_manifests_kube_vip(input, ret);
	byoh_manifests_readme(input, ret);
	return byoh_manifests_finish(ret, err);
}
