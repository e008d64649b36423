/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/kubeadm-config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "installer/credentials.h"

#define MAX_ARGUMENTS 12
#define ARGUMENT_MAX 24 /* of one number */

struct argument {
	const char *name;
	char *value; /* owned */
};

struct arguments {
	size_t count;
	struct argument items[MAX_ARGUMENTS];
};

static void release_arguments(struct arguments *arguments)
{
	for (size_t i = 0; i < arguments->count; i++)
		free(arguments->items[i].value);
}

const char *byoh_kubeadm_api(const struct byoh_kubernetes_version *version)
{
	if (byoh_kubernetes_at_least(version, 31, 0))
		return "v1beta4";
	if (byoh_kubernetes_at_least(version, 22, 0))
		return "v1beta3";
	return byoh_kubernetes_at_least(version, 15, 0) ? "v1beta2" : NULL;
}

/* "KEY"VALUE"" with what YAML needs around the value. */
static int add_string(struct byoh_buffer *out, const char *key, const char *value, struct byoh_error *err)
{
	TRY(byoh_buffer_add_string(out, key, err));
	TRY(byoh_json_quote(out, value, err));
	return byoh_buffer_add_string(out, "\n", err);
}

static int add_argument(struct arguments *arguments, const char *name, const char *value, struct byoh_error *err)
{
	char *copy = strdup(value);

	if (!copy || arguments->count == MAX_ARGUMENTS) {
		free(copy);
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	arguments->items[arguments->count++] = (struct argument){ name, copy };
	return 0;
}

static int add_labels(struct arguments *arguments, const struct byoh_pairs *labels, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	for (size_t i = 0; i < labels->count; i++)
		TRY(byoh_buffer_printf(&text, err, "%s%s=%s", i ? "," : "", labels->items[i].key,
				       labels->items[i].value));
	return labels->count ? add_argument(arguments, "node-labels", byoh_buffer_text(&text), err) : 0;
}

/* The kubelet's configuration is the cluster's; a flag goes before it where this host has to differ. */
static int host_arguments(const struct byoh_kubelet_input *input, struct arguments *ret, struct byoh_error *err)
{
	/* containerd is told to use systemd. A cluster that was born before 1.22 says nothing, which means the other. */
	if (!byoh_kubernetes_at_least(&input->version, 37, 0))
		TRY(add_argument(ret, "cgroup-driver", "systemd", err));
	if (input->config->host.swap)
		TRY(add_argument(ret, "fail-swap-on", "false", err));
	/* 100 means never: without a network a collected image is gone for good. */
	if (!input->images_pinned)
		TRY(add_argument(ret, "image-gc-high-threshold", "100", err));
	/* kubeadm would name an image of its own, which nobody brought; a 1.35 kubelet dies of it. */
	if (input->sandbox_image && !byoh_kubernetes_at_least(&input->version, 35, 0))
		TRY(add_argument(ret, "pod-infra-container-image", input->sandbox_image, err));
	if (input->config->host.slices)
		TRY(add_argument(ret, "runtime-cgroups", "/runtime.slice/containerd.service", err));
	return 0;
}

static int node_arguments(const struct byoh_config *config, struct arguments *ret, struct byoh_error *err)
{
	char number[ARGUMENT_MAX];

	if (config->node.max_pods) {
		snprintf(number, sizeof(number), "%llu", (unsigned long long)config->node.max_pods);
		TRY(add_argument(ret, "max-pods", number, err));
	}
	if (config->node.ip)
		TRY(add_argument(ret, "node-ip", config->node.ip, err));
	TRY(add_labels(ret, &config->node.labels, err));
	if (config->node.serving_certificates)
		TRY(add_argument(ret, "rotate-server-certificates", "true", err));
	return 0;
}

static int add_arguments(struct byoh_buffer *out, const struct byoh_kubelet_input *input, struct byoh_error *err)
{
	CLEANUP(release_arguments) struct arguments arguments = { 0 };
	bool list = byoh_kubernetes_at_least(&input->version, 31, 0);

	TRY(host_arguments(input, &arguments, err));
	TRY(node_arguments(input->config, &arguments, err));
	TRY(byoh_buffer_printf(out, err, "  kubeletExtraArgs:%s\n", arguments.count ? "" : " null"));
	for (size_t i = 0; i < arguments.count; i++) {
		const struct argument *argument = &arguments.items[i];

		TRY(byoh_buffer_printf(out, err, list ? "  - name: %s\n    value: " : "    %s: ", argument->name));
		TRY(add_string(out, "", argument->value, err));
	}
	return 0;
}

static int add_taints(struct byoh_buffer *out, const struct byoh_strings *taints, struct byoh_error *err)
{
	if (!taints->count)
		return 0;
	TRY(byoh_buffer_add_string(out, "  taints:\n", err));
	for (size_t i = 0; i < taints->count; i++) {
		const char *taint = taints->items[i];
		int key = (int)strcspn(taint, "=:");
		int value = taint[key] == '=' ? (int)strcspn(taint + key + 1, ":") : 0;

		TRY(byoh_buffer_printf(out, err, "  - key: \"%.*s\"\n", key, taint));
		if (value)
			TRY(byoh_buffer_printf(out, err, "    value: \"%.*s\"\n", value, taint + key + 1));
		TRY(byoh_buffer_printf(out, err, "    effect: %s\n", strrchr(taint, ':') + 1));
	}
	return 0;
}

/* A minute is enough to know that nobody is there: the unit tries again. */
static int add_discovery(struct byoh_buffer *out, const struct byoh_kubelet_input *input, struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	bool apart = byoh_kubernetes_at_least(&input->version, 31, 0);

	TRY(byoh_buffer_add_string(out, "discovery:\n", err));
	if (config->cluster.ca.size) {
		TRY(byoh_buffer_add_string(out, "  file:\n    kubeConfigPath: " BYOH_KUBEADM_DISCOVERY "\n", err));
	} else {
		TRY(byoh_buffer_add_string(out, "  bootstrapToken:\n", err));
		TRY(add_string(out, "    apiServerEndpoint: ", config->cluster.server + strlen("https://"), err));
		TRY(add_string(out, "    token: ", config->cluster.token, err));
		TRY(add_string(out, "    caCertHashes:\n    - ", config->cluster.ca_pin, err));
	}
	TRY(add_string(out, "  tlsBootstrapToken: ", config->cluster.token, err));
	return byoh_buffer_add_string(out, apart ? "timeouts:\n  discovery: 1m0s\n" : "  timeout: 1m0s\n", err);
}

int byoh_kubeadm_join_config(const struct byoh_kubelet_input *input, struct byoh_buffer *ret, struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	const char *api = byoh_kubeadm_api(&input->version);

	if (!api)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "join.mode kubeadm needs Kubernetes 1.15 or newer, and the bundle brings 1.%u.%u",
				 input->version.minor, input->version.patch);
	TRY(byoh_kubernetes_check_families(&input->version, "node.ip", config->node.ip, err));
	TRY(byoh_buffer_printf(ret, err, "apiVersion: kubeadm.k8s.io/%s\nkind: JoinConfiguration\n", api));
	TRY(byoh_buffer_add_string(ret, "caCertPath: " BYOH_KUBERNETES_CA "\n", err));
	TRY(add_discovery(ret, input, err));
	TRY(byoh_buffer_add_string(ret, "nodeRegistration:\n", err));
	if (config->host.hostname)
		TRY(add_string(ret, "  name: ", config->host.hostname, err));
	TRY(byoh_buffer_add_string(ret, "  criSocket: " BYOH_CONTAINERD_ENDPOINT "\n", err));
	if (config->host.swap)
		TRY(byoh_buffer_add_string(ret, "  ignorePreflightErrors:\n  - Swap\n", err));
	TRY(add_arguments(ret, input, err));
	return add_taints(ret, &config->node.taints, err);
}

/* As the cluster publishes it itself, in kube-public/cluster-info. */
int byoh_kubeadm_discovery(const struct byoh_config *config, struct byoh_buffer *ret, struct byoh_error *err)
{
	TRY(byoh_buffer_add_string(ret, "apiVersion: v1\nkind: Config\nclusters:\n- name: \"\"\n  cluster:\n", err));
	TRY(byoh_buffer_add_string(ret, "    certificate-authority-data: ", err));
	TRY(byoh_base64_encode(config->cluster.ca.data, config->cluster.ca.size, ret, err));
	TRY(add_string(ret, "\n    server: ", config->cluster.server, err));
	return byoh_buffer_add_string(ret, "contexts: null\ncurrent-context: \"\"\nusers: null\n", err);
}
