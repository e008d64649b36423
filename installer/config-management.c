/* SPDX-License-Identifier: Apache-2.0 */
/* management: what the objects for the management cluster are to say. */
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config-fields.h"
#include "installer/config-syntax.h"
#include "installer/kubernetes-config.h"

#define AT(member) offsetof(struct byoh_management, member)
#define REPLICAS_MAX 5000 /* nodes that one cluster of Kubernetes is made for */
#define LABELS_FORM                                                                                    \
	"Kubernetes labels (at most 63 of A-Z, a-z, 0-9, \"-_.\"; a key may have a domain/ in front)"
#define QUANTITY_FORM "a quantity of Kubernetes, like 4, 500m or 16Gi"

void byoh_config_release_management(struct byoh_management *management)
{
	free(management->namespace_name);
	free(management->cluster_name);
	free(management->kubernetes_version);
	for (size_t i = 0; i < management->node_labels.count; i++) {
		free(management->node_labels.items[i].key);
		free(management->node_labels.items[i].value);
	}
	free(management->node_labels.items);
	for (size_t i = 0; i < BYOH_CAPACITIES; i++)
		free(management->capacity[i]);
	free(management->cni_file);
	free(management->image_repository);
	free(management->kube_vip.address);
	free(management->kube_vip.interface);
	free(management->kube_vip.image);
}

static bool is_name(const char *text)
{
	return byoh_is_dns_name(text, 63) && !strchr(text, '.');
}

/* Names of objects are made of it, with up to twenty characters behind. */
static bool is_cluster_name(const char *text)
{
	return is_name(text) && strlen(text) <= 40;
}

static bool is_kubernetes_version(const char *text)
{
	struct byoh_kubernetes_version version;

	return text[0] == 'v' && strlen(text) < 64 && !strpbrk(text, "\"\\ ") &&
	       byoh_kubernetes_version_parse(text, &version, NULL) == 0;
}

/* apimachinery's resource.Quantity, without signs and exponents. */
static bool is_quantity(const char *text)
{
	static const char *const suffixes[] = { "",  "m",  "k",  "M",  "G",  "T",  "P",
						"E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	size_t digits = strspn(text, "0123456789");
	const char *rest = text + digits;

	if (!digits || digits > 18)
		return false;
	if (*rest == '.' && rest[1] >= '0' && rest[1] <= '9')
		rest += 1 + strspn(rest + 1, "0123456789");
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (strcmp(rest, suffixes[i]) == 0)
			return true;
	return false;
}

static bool is_count(const char *text)
{
	size_t length = strlen(text);

	return length && length <= 5 && strspn(text, "0123456789") == length;
}

/* Lists that the autoscaler takes apart itself; kept to what needs no quoting in YAML. */
static bool is_list(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
				      "./=:,";

	return *text && strlen(text) <= 4096 && text[strspn(text, allowed)] == '\0';
}

static bool is_interface(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
				      ".@";

	return *text && strlen(text) <= 15 && text[strspn(text, allowed)] == '\0';
}

/* host[:port][/path], what stands in front of an image's own name */
static bool is_repository(const char *text)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_./:";
	size_t length = strlen(text);

	return length && length <= 255 && text[strspn(text, allowed)] == '\0' && text[0] != '/' &&
	       text[length - 1] != '/' && !strstr(text, "//") && !strstr(text, "..");
}

static int read_autoscaler(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			   struct byoh_management *management, struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "min",
		  .type = BYOH_FIELD_NUMBER,
		  .offset = AT(autoscaler_min),
		  .max = REPLICAS_MAX },
		{ .key = "max",
		  .type = BYOH_FIELD_NUMBER,
		  .offset = AT(autoscaler_max),
		  .min = 1,
		  .max = REPLICAS_MAX },
	};
	int r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), management, err);

	if (r < 0 || !map)
		return r;
	if (!byoh_config_get(map, "min") || !byoh_config_get(map, "max"))
		return byoh_yaml_fail(reader->doc, map, err, "\"autoscaler\" needs both, min and max");
	if (management->autoscaler_min > management->autoscaler_max)
		return byoh_yaml_fail(reader->doc, map, err, "\"min\" is greater than \"max\"");
	management->has_autoscaler = true;
	return 0;
}

static int read_capacity(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			 struct byoh_management *management, struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "cpu",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(capacity[BYOH_CAPACITY_CPU]),
		  .valid = is_quantity,
		  .form = QUANTITY_FORM },
		{ .key = "memory",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(capacity[BYOH_CAPACITY_MEMORY]),
		  .valid = is_quantity,
		  .form = QUANTITY_FORM },
		{ .key = "ephemeralDisk",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(capacity[BYOH_CAPACITY_EPHEMERAL_DISK]),
		  .valid = is_quantity,
		  .form = QUANTITY_FORM },
		{ .key = "maxPods",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(capacity[BYOH_CAPACITY_MAX_PODS]),
		  .valid = is_count,
		  .form = "a number" },
		{ .key = "gpuType",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(capacity[BYOH_CAPACITY_GPU_TYPE]),
		  .valid = byoh_is_label_key,
		  .form = "the name of a resource, like nvidia.com/gpu" },
		{ .key = "gpuCount",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(capacity[BYOH_CAPACITY_GPU_COUNT]),
		  .valid = is_count,
		  .form = "a number" },
		{ .key = "labels",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(capacity[BYOH_CAPACITY_LABELS]),
		  .valid = is_list,
		  .form = "key=value,key=value" },
		{ .key = "taints",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(capacity[BYOH_CAPACITY_TAINTS]),
		  .valid = is_list,
		  .form = "key=value:Effect,key=value:Effect" },
		{ .key = "csiDrivers",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(capacity[BYOH_CAPACITY_CSI_DRIVERS]),
		  .valid = is_list,
		  .form = "driver=limit,driver=limit" },
	};

	return byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), management, err);
}

static int read_kube_vip(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			 struct byoh_management *management, struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "address",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(kube_vip.address),
		  .valid = byoh_is_node_ip,
		  .form = "the IP address that the API server is reached by" },
		{ .key = "interface",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(kube_vip.interface),
		  .valid = is_interface,
		  .form = "a network interface of the control plane's hosts" },
		{ .key = "image",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(kube_vip.image),
		  .valid = byoh_is_image_reference,
		  .form = "an image with its tag" },
	};
	int r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), management, err);

	for (size_t i = 0; r == 0 && map && i < ARRAY_SIZE(fields); i++)
		if (!byoh_config_get(map, fields[i].key))
			return byoh_yaml_fail(reader->doc, map, err, "\"%s\" is missing in \"kubeVip\"",
					      fields[i].key);
	return r;
}

struct cni {
	char *file;
};

static void release_cni(struct cni *cni)
{
	free(cni->file);
}

static int read_cni(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		    struct byoh_management *management, struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "file", .type = BYOH_FIELD_STRING, .offset = offsetof(struct cni, file) },
	};
	CLEANUP(release_cni) struct cni cni = { 0 };
	int r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), &cni, err);

	if (r < 0 || !map)
		return r;
	if (!cni.file)
		return byoh_yaml_fail(reader->doc, map, err,
				      "\"cni\" is {file: FILE}, the manifest that installs the "
				      "cluster's network");
	management->cni_file = TAKE_PTR(cni.file);
	return 0;
}

static int read_plain(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		      struct byoh_management *management, struct byoh_error *err)
{
	static const char *const apis[] = { "v1beta1", "v1beta2", NULL };
	static const char *const claims[] = { "tlsBootstrap", "kubeadm", NULL };
	static const struct byoh_field fields[] = {
		{ .key = "namespace",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(namespace_name),
		  .valid = is_name,
		  .form = "a namespace (a-z, 0-9, -)" },
		{ .key = "clusterName",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(cluster_name),
		  .valid = is_cluster_name,
		  .form = "a lower-case name (a-z, 0-9, -) of at most 40 characters" },
		{ .key = "kubernetesVersion",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(kubernetes_version),
		  .valid = is_kubernetes_version,
		  .form = "a version like v1.34.1" },
		{ .key = "clusterAPI", .type = BYOH_FIELD_CHOICE, .offset = AT(api), .choices = apis },
		{ .key = "joinMode",
		  .type = BYOH_FIELD_CHOICE,
		  .offset = AT(join_mode),
		  .choices = claims },
		{ .key = "replicas",
		  .type = BYOH_FIELD_NUMBER,
		  .offset = AT(replicas),
		  .max = REPLICAS_MAX },
		{ .key = "nodeLabels",
		  .type = BYOH_FIELD_PAIRS,
		  .offset = AT(node_labels),
		  .valid = byoh_is_label_value,
		  .valid_key = byoh_is_label_key,
		  .form = LABELS_FORM },
		{ .key = "imageRepository",
		  .type = BYOH_FIELD_STRING,
		  .offset = AT(image_repository),
		  .valid = is_repository,
		  .form = "HOST[:PORT]/PATH of a registry" },
		{ .key = "autoscaler" },
		{ .key = "capacity" },
		{ .key = "kubeVip" },
		{ .key = "cni" },
	};

	return byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), management, err);
}

/* The agent hands a Machine's labels to the kubelet, which does not start with one that it may not set.
 */
static int check_labels(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			const struct byoh_pairs *labels, struct byoh_error *err)
{
	for (size_t i = 0; i < labels->count; i++)
		if (!byoh_kubelet_may_set_label(labels->items[i].key))
			return byoh_yaml_fail(reader->doc,
					      byoh_config_key_node(byoh_yaml_get(map, "nodeLabels"),
								   labels->items[i].key),
					      err,
					      "the kubelet may not give itself the label \"%.100s\" "
					      "and would "
					      "not start; set it from the control plane (kubectl label "
					      "node)",
					      labels->items[i].key);
	return 0;
}

int byoh_config_read_management(const struct byoh_config_reader *reader,
				const struct byoh_yaml_node *map, struct byoh_error *err)
{
	static const struct {
		const char *key;
		int (*read)(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			    struct byoh_management *management, struct byoh_error *err);
	} parts[] = {
		{ "autoscaler", read_autoscaler },
		{ "capacity", read_capacity },
		{ "kubeVip", read_kube_vip },
		{ "cni", read_cni },
	};
	struct byoh_management *management = &reader->config->management;
	int r = read_plain(reader, map, management, err);

	for (size_t i = 0; r == 0 && map && i < ARRAY_SIZE(parts); i++) {
		const struct byoh_yaml_node *part = NULL;

		r = byoh_yaml_read_node(reader->doc, map, parts[i].key, BYOH_YAML_MAPPING, false, &part,
					err);
		if (r == 0)
			r = parts[i].read(reader, part, management, err);
	}
	management->has_replicas = byoh_config_get(map, "replicas") != NULL;
	return r < 0 ? r : check_labels(reader, map, &management->node_labels, err);
}
