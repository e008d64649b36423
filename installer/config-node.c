/* SPDX-License-Identifier: Apache-2.0 */
/* node: what the kubelet says of this host, and how it is set up. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config-fields.h"
#include "installer/config-syntax.h"
#include "installer/kubelet-fields.h"

#define AT(member) offsetof(struct byoh_config, member)
#define KUBELET_FILE_MAX ((size_t)256 << 10)
#define WHY_KUBEADM "kubeadm takes the kubelet's configuration from the cluster"

/* One address, or one of each family with a comma between. */
static bool is_node_ips(const char *text)
{
	CLEANUP_FREE char *first = strdup(text);
	char *second = first ? strchr(first, ',') : NULL;

	if (!second)
		return byoh_is_node_ip(text);
	*second++ = '\0';
	return byoh_is_node_ip(first) && byoh_is_node_ip(second) && !strchr(first, ':') != !strchr(second, ':');
}

/* A Kubernetes quantity: 2, 0.5, 500m, 1Gi, 1e3. */
static bool is_quantity(const char *text)
{
	static const char *const units[] = { "",  "m", "k",  "M",  "G",	 "T",  "P",
					     "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei" };
	size_t digits = strspn(text, "0123456789");
	const char *rest = text + digits;

	if (!digits || digits > 18)
		return false;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (rest[-1] == '.')
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(rest, units[i]) == 0)
			return true;
	return (*rest == 'e' || *rest == 'E') && rest[1] && !rest[1 + strspn(rest + 1, "0123456789")];
}

static bool is_reservable(const char *text)
{
	static const char *const names[] = { "cpu", "memory", "ephemeral-storage", "pid" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(text, names[i]) == 0)
			return true;
	return false;
}

static int check_labels(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			struct byoh_error *err)
{
	const struct byoh_pairs *labels = &reader->config->node.labels;

	for (size_t i = 0; i < labels->count; i++)
		if (!byoh_kubelet_may_set_label(labels->items[i].key))
			return byoh_yaml_fail(reader->doc,
					      byoh_config_key_node(byoh_yaml_get(map, "labels"),
								   labels->items[i].key),
					      err,
					      "the kubelet may not give itself the label \"%.100s\" and would "
					      "not start; set it from the control plane (kubectl label node)",
					      labels->items[i].key);
	return 0;
}

/* Its errors come at the key that names the file. */
static int read_kubelet_file(const struct byoh_config_reader *reader, const struct byoh_yaml_node *file,
			     struct byoh_error *err)
{
	struct byoh_config *config = reader->config;
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	struct byoh_error inner = BYOH_ERROR_INIT;
	int r = byoh_config_copy(file->text, &config->node.kubelet_file, err);

	if (r < 0 || reader->without_files)
		return r;
	r = byoh_config_file_read(reader, file, KUBELET_FILE_MAX, &config->node.kubelet_text, err);
	if (r < 0)
		return r;
	r = byoh_yaml_parse(byoh_buffer_text(&config->node.kubelet_text), config->node.kubelet_text.size,
			    file->text, BYOH_ERROR_CONFIG, &doc, &inner);
	if (r == 0)
		r = byoh_kubelet_additions_check(doc, byoh_yaml_root(doc), &inner);
	if (r < 0)
		return byoh_yaml_fail(reader->doc, file, err, "%s", inner.message);
	return byoh_kubelet_fields_write(byoh_yaml_root(doc), &config->node.kubelet, err);
}

/* {file: F}, or the fields themselves: KubeletConfiguration has no field "file". */
static int read_kubelet(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			struct byoh_error *err)
{
	const struct byoh_yaml_node *kubelet = byoh_config_get(map, "kubelet");
	const struct byoh_yaml_node *file = byoh_config_get(kubelet, "file");
	int r;

	if (!kubelet)
		return 0;
	if (!file) {
		r = byoh_kubelet_additions_check(reader->doc, kubelet, err);
		return r < 0 ? r : byoh_kubelet_fields_write(kubelet, &reader->config->node.kubelet, err);
	}
	if (file->type != BYOH_YAML_SCALAR || !*file->text)
		return byoh_yaml_fail(reader->doc, file, err, "\"file\" must be the name of a file");
	if (kubelet->count > 1)
		return byoh_yaml_fail(reader->doc, file, err,
				      "\"kubelet\" is given twice, as a file and as fields; write the fields into "
				      "the file, or leave it out");
	return read_kubelet_file(reader, file, err);
}

int byoh_config_read_node(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			  struct byoh_error *err)
{
	static const char reserved_form[] = "{cpu, memory, ephemeral-storage, pid} with quantities like 200m, 512Mi";
	static const struct byoh_field fields[] = {
		{ .key = "ip", .type = BYOH_FIELD_STRING, .offset = AT(node.ip), .valid = is_node_ips,
		  .form = "an IP address of this host, or one of each family with a comma between" },
		{ .key = "labels", .type = BYOH_FIELD_PAIRS, .offset = AT(node.labels),
		  .valid = byoh_is_label_value, .valid_key = byoh_is_label_key,
		  .form = "Kubernetes labels (at most 63 of A-Z, a-z, 0-9, \"-_.\"; a key may have a "
			  "domain/ in front)" },
		{ .key = "taints", .type = BYOH_FIELD_STRINGS, .offset = AT(node.taints),
		  .valid = byoh_is_taint,
		  .form = "a list of KEY=VALUE:EFFECT or KEY:EFFECT with NoSchedule, PreferNoSchedule or "
			  "NoExecute" },
		{ .key = "servingCertificates", .type = BYOH_FIELD_BOOL,
		  .offset = AT(node.serving_certificates) },
		{ .key = "maxPods", .type = BYOH_FIELD_NUMBER, .offset = AT(node.max_pods),
		  .min = 1, .max = 10000 },
		{ .key = "resolvConf", .type = BYOH_FIELD_STRING, .offset = AT(node.resolv_conf),
		  .valid = byoh_is_host_path, .form = "an absolute path without spaces or quotes",
		  .modes = BYOH_MODE(BYOH_JOIN_TLS_BOOTSTRAP), .without_effect = WHY_KUBEADM },
		{ .key = "systemReserved", .type = BYOH_FIELD_PAIRS, .offset = AT(node.system_reserved),
		  .valid = is_quantity, .valid_key = is_reservable, .form = reserved_form,
		  .modes = BYOH_MODE(BYOH_JOIN_TLS_BOOTSTRAP), .without_effect = WHY_KUBEADM },
		{ .key = "kubeReserved", .type = BYOH_FIELD_PAIRS, .offset = AT(node.kube_reserved),
		  .valid = is_quantity, .valid_key = is_reservable, .form = reserved_form,
		  .modes = BYOH_MODE(BYOH_JOIN_TLS_BOOTSTRAP), .without_effect = WHY_KUBEADM },
		{ .key = "kubelet", .modes = BYOH_MODE(BYOH_JOIN_TLS_BOOTSTRAP), .without_effect = WHY_KUBEADM },
	};
	int r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), reader->config, err);

	if (r == 0)
		r = check_labels(reader, map, err);
	return r < 0 ? r : read_kubelet(reader, map, err);
}
