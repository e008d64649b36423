/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The workers: templates for machine and bootstrap, and the MachineDeployment that makes Machines of
 * them. No installerRef, since everything is on the host already, and no MachineHealthCheck: the README
 * says why.
 */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/kubernetes-config.h"
#include "installer/manifests/manifests.h"
#include "installer/manifests/names.h"

#define AUTOSCALER "cluster.x-k8s.io/cluster-api-autoscaler-node-group-"
#define CAPACITY "capacity.cluster-autoscaler.kubernetes.io/"

/* The same nine values have two spellings: the template's field, the annotation that the autoscaler
 * reads. */
static const struct {
	const char *field, *annotation;
} capacities[BYOH_CAPACITIES] = {
	[BYOH_CAPACITY_CPU] = { "cpu", "cpu" },
	[BYOH_CAPACITY_MEMORY] = { "memory", "memory" },
	[BYOH_CAPACITY_EPHEMERAL_DISK] = { "ephemeralDisk", "ephemeral-disk" },
	[BYOH_CAPACITY_MAX_PODS] = { "maxPods", "maxPods" },
	[BYOH_CAPACITY_GPU_TYPE] = { "gpuType", "gpu-type" },
	[BYOH_CAPACITY_GPU_COUNT] = { "gpuCount", "gpu-count" },
	[BYOH_CAPACITY_LABELS] = { "labels", "labels" },
	[BYOH_CAPACITY_TAINTS] = { "taints", "taints" },
	[BYOH_CAPACITY_CSI_DRIVERS] = { "csiDrivers", "csi-driver" },
};

static bool is_kubeadm(const struct byoh_manifests_input *input)
{
	return input->config->management.join_mode == BYOH_CLAIM_KUBEADM;
}

static bool has_capacity(const struct byoh_management *management)
{
	for (size_t i = 0; i < BYOH_CAPACITIES; i++)
		if (management->capacity[i])
			return true;
	return false;
}

static void put_capacity(const struct byoh_management *management, struct byoh_object_file *file)
{
	if (!has_capacity(management))
		return;
	byoh_object_put(file, "  capacity:\n");
	for (size_t i = 0; i < BYOH_CAPACITIES; i++)
		if (management->capacity[i])
			byoh_object_put(file, "    %s: \"%s\"\n", capacities[i].field,
					management->capacity[i]);
}

static void put_pairs(struct byoh_object_file *file, const char *indent, const struct byoh_pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++)
		byoh_object_put(file, "%s\"%s\": \"%s\"\n", indent, pairs->items[i].key,
				pairs->items[i].value);
}

static void put_machine_template(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	struct byoh_object_file *file = byoh_manifests_add(ret, "50-machine-template.yaml", 0644);
	const struct byoh_pairs *labels = &input->config->agent.host_labels;
	char name[80];

	byoh_name_join(name, sizeof(name), input->cluster, BYOH_WORKERS_SUFFIX);
	byoh_object_begin(file, BYOH_API_INFRASTRUCTURE, "ByoMachineTemplate", name,
			  input->namespace_name);
	byoh_object_put(file, "spec:\n");
	put_capacity(&input->config->management, file);
	byoh_object_put(file, "  template:\n    spec:\n      joinMode: %s\n",
			is_kubeadm(input) ? "kubeadm" : "tlsBootstrap");
	if (!is_kubeadm(input))
		byoh_object_put(file, "      downloadMode: offline\n");
	if (!labels->count)
		return;
	/* The labels that the agents of this same config register their hosts with. */
	byoh_object_put(file, "      selector:\n        matchLabels:\n");
	put_pairs(file, "          ", labels);
}

static void put_bootstrap_kubeconfig(const struct byoh_manifests_input *input,
				     struct byoh_object_file *file, const char *name)
{
	const struct byoh_buffer *ca = &input->config->cluster.ca;

	byoh_object_begin(file, BYOH_API_INFRASTRUCTURE, "BootstrapKubeconfigTemplate", name,
			  input->namespace_name);
	byoh_object_put(file,
			"spec:\n"
			"  template:\n"
			"    spec:\n"
			"      apiserver: \"%s\"\n"
			"      certificate-authority-data: ",
			input->config->cluster.server);
	byoh_object_put_base64(file, ca->data, ca->size);
	byoh_object_put(file, "\n");
}

/* Discovery and token are the bootstrap provider's to fill in. */
static void put_kubeadm_config(const struct byoh_manifests_input *input, struct byoh_object_file *file,
			       const char *name)
{
	char api[64];

	byoh_name_join(api, sizeof(api), BYOH_GROUP_BOOTSTRAP "/", byoh_cluster_api_version(input));
	byoh_object_begin(file, api, "KubeadmConfigTemplate", name, input->namespace_name);
	byoh_object_put(file, "spec:\n"
			      "  template:\n"
			      "    spec:\n"
			      "      joinConfiguration:\n"
			      "        nodeRegistration:\n"
			      "          criSocket: " BYOH_CONTAINERD_ENDPOINT "\n");
}

static void put_bootstrap_template(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	struct byoh_object_file *file = byoh_manifests_add(ret, "60-bootstrap-template.yaml", 0644);
	char name[80];

	byoh_name_join(name, sizeof(name), input->cluster, BYOH_WORKERS_SUFFIX);
	if (is_kubeadm(input))
		put_kubeadm_config(input, file, name);
	else
		put_bootstrap_kubeconfig(input, file, name);
}

static void put_annotations(const struct byoh_management *management, struct byoh_object_file *file)
{
	if (!management->has_autoscaler)
		return;
	byoh_object_put(file,
			"  annotations:\n"
			"    " AUTOSCALER "min-size: \"%llu\"\n"
			"    " AUTOSCALER "max-size: \"%llu\"\n",
			(unsigned long long)management->autoscaler_min,
			(unsigned long long)management->autoscaler_max);
	for (size_t i = 0; i < BYOH_CAPACITIES; i++)
		if (management->capacity[i])
			byoh_object_put(file, "    " CAPACITY "%s: \"%s\"\n", capacities[i].annotation,
					management->capacity[i]);
}

static void put_labels(const struct byoh_manifests_input *input, struct byoh_object_file *file,
		       const char *indent)
{
	byoh_object_put(file, "%s" BYOH_CLUSTER_LABEL ": \"%s\"\n", indent, input->cluster);
	byoh_object_put(file, "%s" BYOH_DEPLOYMENT_LABEL ": \"%s" BYOH_WORKERS_SUFFIX "\"\n", indent,
			input->cluster);
}

/* A number here would undo what the autoscaler did, with every `kubectl apply`. */
static void put_replicas(const struct byoh_management *management, struct byoh_object_file *file)
{
	if (management->has_replicas || !management->has_autoscaler)
		byoh_object_put(file, "  replicas: %llu\n",
				management->has_replicas ? (unsigned long long)management->replicas
							 : 1ULL);
}

static void put_machine_spec(const struct byoh_manifests_input *input, struct byoh_object_file *file)
{
	const char *indent = "          ";

	byoh_object_put(file,
			"    spec:\n"
			"      clusterName: \"%s\"\n"
			"      version: \"%s\"\n"
			"      bootstrap:\n"
			"        configRef:\n",
			input->cluster, input->config->management.kubernetes_version);
	if (is_kubeadm(input))
		byoh_object_put_reference(input, file, indent, BYOH_GROUP_BOOTSTRAP,
					  byoh_cluster_api_version(input), "KubeadmConfigTemplate",
					  input->cluster, BYOH_WORKERS_SUFFIX);
	else
		byoh_object_put_reference(input, file, indent, BYOH_GROUP_INFRASTRUCTURE, "v1beta1",
					  "BootstrapKubeconfigTemplate", input->cluster,
					  BYOH_WORKERS_SUFFIX);
	byoh_object_put(file, "      infrastructureRef:\n");
	byoh_object_put_reference(input, file, "        ", BYOH_GROUP_INFRASTRUCTURE, "v1beta1",
				  "ByoMachineTemplate", input->cluster, BYOH_WORKERS_SUFFIX);
}

static void put_machine_deployment(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	struct byoh_object_file *file = byoh_manifests_add(ret, "80-machine-deployment.yaml", 0644);
	const struct byoh_management *management = &input->config->management;
	char name[80];

	byoh_name_join(name, sizeof(name), input->cluster, BYOH_WORKERS_SUFFIX);
	byoh_object_begin(file, byoh_cluster_api(input), "MachineDeployment", name,
			  input->namespace_name);
	byoh_object_put(file, "  labels:\n    " BYOH_CLUSTER_LABEL ": \"%s\"\n", input->cluster);
	put_annotations(management, file);
	byoh_object_put(file, "spec:\n  clusterName: \"%s\"\n", input->cluster);
	put_replicas(management, file);
	byoh_object_put(file, "  selector:\n    matchLabels:\n");
	put_labels(input, file, "      ");
	byoh_object_put(file, "  template:\n    metadata:\n      labels:\n");
	put_labels(input, file, "        ");
	put_pairs(file, "        ", &management->node_labels);
	put_machine_spec(input, file);
}

void byoh_manifests_workers(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	put_machine_template(input, ret);
	put_bootstrap_template(input, ret);
	put_machine_deployment(input, ret);
}
