/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster as Cluster API sees one whose control plane it did not make: Cluster, ByoCluster, and the
 * Secrets by which its controllers reach it and know its CA.
 */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config-syntax.h"
#include "installer/credentials.h"
#include "installer/manifests/manifests.h"
#include "installer/manifests/names.h"

/* What names something outside of the kubeconfig, which a pod of the controllers does not have. */
static int refuse_outside(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
			  struct byoh_error *err)
{
	static const char *const refused[] = {
		"certificate-authority", "client-certificate", "client-key", "tokenFile", "exec",
		"auth-provider",
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		const struct byoh_yaml_node *node = byoh_yaml_get(map, refused[i]);

		if (node && !byoh_yaml_is_null(node))
			return byoh_yaml_fail(doc, node, err,
					      "\"%s\" means something on another computer; embed "
					      "all of it (kubectl "
					      "config view --flatten --raw --minify)",
					      refused[i]);
	}
	return 0;
}

static int refuse_bootstrap(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
			    struct byoh_error *err)
{
	const struct byoh_yaml_node *token = byoh_yaml_get(map, "token");

	if (token && token->type == BYOH_YAML_SCALAR && byoh_token_is_bootstrap(token->text))
		return byoh_yaml_fail(doc, token, err,
				      "this is a bootstrap token, which may do next to nothing "
				      "and soon ends; Cluster "
				      "API needs a kubeconfig that may read and change nodes");
	return 0;
}

/* Every `inner` of the list `list`. */
static int check_list(const struct byoh_yaml *doc, const char *list, const char *inner,
		      struct byoh_error *err)
{
	const struct byoh_yaml_node *entries = NULL, *map = NULL;
	int r = byoh_yaml_read_node(doc, byoh_yaml_root(doc), list, BYOH_YAML_SEQUENCE, true, &entries,
				    err);

	if (r == 0 && !entries->count)
		return byoh_yaml_fail(doc, entries, err, "\"%s\" is empty", list);
	for (size_t i = 0; r == 0 && i < entries->count; i++) {
		r = byoh_yaml_read_node(doc, entries->items[i], inner, BYOH_YAML_MAPPING, true, &map,
					err);
		if (r == 0)
			r = refuse_outside(doc, map, err);
		if (r == 0)
			r = refuse_bootstrap(doc, map, err);
	}
	return r;
}

int byoh_manifests_check_kubeconfig(const char *text, size_t size, const char *name,
				    struct byoh_error *err)
{
	CLEANUP(byoh_secret_yaml_freep) struct byoh_yaml *doc = NULL;
	const char *word = NULL;
	int r = byoh_yaml_parse(text, size, name, BYOH_ERROR_CONFIG, &doc, err);

	if (r < 0)
		return r;
	if (!byoh_yaml_root(doc) || byoh_yaml_root(doc)->type != BYOH_YAML_MAPPING)
		return byoh_yaml_fail(doc, byoh_yaml_root(doc), err, "this is no kubeconfig");
	r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "kind", true, &word, err);
	if (r == 0 && strcmp(word, "Config") != 0)
		return byoh_yaml_fail(doc, byoh_yaml_get(byoh_yaml_root(doc), "kind"), err,
				      "the kind of a kubeconfig is Config, not \"%.60s\"", word);
	if (r == 0)
		r = byoh_yaml_read_string(doc, byoh_yaml_root(doc), "current-context", true, &word,
					  err);
	if (r == 0)
		r = check_list(doc, "clusters", "cluster", err);
	return r < 0 ? r : check_list(doc, "users", "user", err);
}

/* "10.244.0.0/16,fd00::/64" */
static void put_blocks(struct byoh_object_file *file, const char *key, const char *cidrs)
{
	const char *comma = strchr(cidrs, ',');

	byoh_object_put(file, "    %s:\n      cidrBlocks:\n      - \"%.*s\"\n", key,
			comma ? (int)(comma - cidrs) : (int)strlen(cidrs), cidrs);
	if (comma)
		byoh_object_put(file, "      - \"%s\"\n", comma + 1);
}

static void put_endpoint(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	byoh_object_put(file,
			"  controlPlaneEndpoint:\n"
			"    host: \"%s\"\n"
			"    port: %u\n",
			input->host, input->port);
}

static void put_byo_cluster(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	byoh_object_begin(file, BYOH_API_INFRASTRUCTURE, "ByoCluster", input->cluster,
			  input->namespace_name);
	byoh_object_put(file, "spec:\n");
	put_endpoint(input, file);
}

static void put_cluster(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	const struct byoh_config *config = input->config;

	byoh_object_begin(file, byoh_cluster_api(input), "Cluster", input->cluster,
			  input->namespace_name);
	if (input->cni)
		byoh_object_put(file,
				"  labels:\n    " BYOH_CNI_LABEL ": "
				"\"%s\"\n",
				input->cluster);
	byoh_object_put(file, "spec:\n  clusterNetwork:\n");
	put_blocks(file, "pods", config->cluster.pod_cidr);
	put_blocks(file, "services", config->cluster.service_cidr);
	put_endpoint(input, file);
	byoh_object_put(file, "  infrastructureRef:\n");
	byoh_object_put_reference(input, file, "    ", BYOH_GROUP_INFRASTRUCTURE, "v1beta1",
				  "ByoCluster", input->cluster, "");
}

/* Both kinds of Secret are found by this name, and watched by this label. */
static void begin_secret(const struct byoh_manifests_input *input, struct byoh_object_file *file,
			 const char *suffix)
{
	char name[80];

	byoh_name_join(name, sizeof(name), input->cluster, suffix);
	byoh_object_begin(file, "v1", "Secret", name, input->namespace_name);
	byoh_object_put(file,
			"  labels:\n"
			"    " BYOH_CLUSTER_LABEL ": \"%s\"\n"
			"type: cluster.x-k8s.io/secret\n"
			"data:\n",
			input->cluster);
}

static void put_kubeconfig(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	struct byoh_object_file *file = byoh_manifests_add(ret, "40-cluster-kubeconfig.yaml", 0600);

	begin_secret(input, file, "-kubeconfig");
	byoh_object_put(file, "  value: ");
	byoh_object_put_base64(file, input->cluster_kubeconfig->data, input->cluster_kubeconfig->size);
	byoh_object_put(file, "\n");
}

/* kubeadm's bootstrap provider takes the CA's pin from here. The certificate alone is enough for
 * workers. */
static void put_ca(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	struct byoh_object_file *file = byoh_manifests_add(ret, "45-cluster-ca.yaml", 0644);

	begin_secret(input, file, "-ca");
	byoh_object_put(file, "  tls.crt: ");
	byoh_object_put_base64(file, input->config->cluster.ca.data, input->config->cluster.ca.size);
	byoh_object_put(file, "\n");
}

void byoh_manifests_cluster(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	struct byoh_object_file *file;

	if (byoh_manifests_own_namespace(input))
		byoh_object_begin(byoh_manifests_add(ret, "00-namespace.yaml", 0644), "v1", "Namespace",
				  input->namespace_name, NULL);
	file = byoh_manifests_add(ret, "30-cluster.yaml", 0644);
	put_byo_cluster(input, file);
	put_cluster(input, file);
	if (input->cluster_kubeconfig)
		put_kubeconfig(input, ret);
	if (input->config->management.join_mode == BYOH_CLAIM_KUBEADM)
		put_ca(input, ret);
}
