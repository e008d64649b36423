/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/kubelet-fields.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"

#define PATH_MAX_LENGTH 128
#define MAX_CHILDREN 160
#define ALWAYS 0
#define NEVER 0

enum type {
	BOOL,
	NUMBER,	   /* whole, may be negative */
	FRACTION,
	STRING,
	DURATION,  /* 1m30s */
	STRINGS,   /* list */
	MAP,	   /* of strings */
	BOOL_MAP,
	LIST_MAP,  /* of lists of strings */
	OBJECT,	   /* its fields stand in the table as OBJECT.FIELD */
	OBJECTS,   /* list of such */
};

struct field {
	const char *path;
	enum type type;
	unsigned int since; /* minor release; ALWAYS: 1.20 has it */
	unsigned int gone;  /* the first minor release without it, or NEVER */
};

/* Sources: the types of k8s.io/kubelet and k8s.io/component-base at their releases. */
static const struct field fields[] = {
	{ "address", STRING, ALWAYS, NEVER },
	{ "allowedUnsafeSysctls", STRINGS, ALWAYS, NEVER },
	{ "apiVersion", STRING, ALWAYS, NEVER },
	{ "authentication", OBJECT, ALWAYS, NEVER },
	{ "authentication.anonymous", OBJECT, ALWAYS, NEVER },
	{ "authentication.anonymous.enabled", BOOL, ALWAYS, NEVER },
	{ "authentication.webhook", OBJECT, ALWAYS, NEVER },
	{ "authentication.webhook.cacheTTL", DURATION, ALWAYS, NEVER },
	{ "authentication.webhook.enabled", BOOL, ALWAYS, NEVER },
	{ "authentication.x509", OBJECT, ALWAYS, NEVER },
	{ "authentication.x509.clientCAFile", STRING, ALWAYS, NEVER },
	{ "authorization", OBJECT, ALWAYS, NEVER },
	{ "authorization.mode", STRING, ALWAYS, NEVER },
	{ "authorization.webhook", OBJECT, ALWAYS, NEVER },
	{ "authorization.webhook.cacheAuthorizedTTL", DURATION, ALWAYS, NEVER },
	{ "authorization.webhook.cacheUnauthorizedTTL", DURATION, ALWAYS, NEVER },
	{ "cgroupDriver", STRING, ALWAYS, NEVER },
	{ "cgroupRoot", STRING, ALWAYS, NEVER },
	{ "cgroupsPerQOS", BOOL, ALWAYS, NEVER },
	{ "clusterDNS", STRINGS, ALWAYS, NEVER },
	{ "clusterDomain", STRING, ALWAYS, NEVER },
	{ "configMapAndSecretChangeDetectionStrategy", STRING, ALWAYS, NEVER },
	{ "containerLogMaxFiles", NUMBER, ALWAYS, NEVER },
	{ "containerLogMaxSize", STRING, ALWAYS, NEVER },
	{ "containerLogMaxWorkers", NUMBER, 30, NEVER },
	{ "containerLogMonitorInterval", DURATION, 30, NEVER },
	{ "containerRuntimeEndpoint", STRING, 27, NEVER },
	{ "contentType", STRING, ALWAYS, NEVER },
	{ "cpuCFSQuota", BOOL, ALWAYS, NEVER },
	{ "cpuCFSQuotaPeriod", DURATION, ALWAYS, NEVER },
	{ "cpuManagerPolicy", STRING, ALWAYS, NEVER },
	{ "cpuManagerPolicyOptions", MAP, 22, NEVER },
	{ "cpuManagerReconcilePeriod", DURATION, ALWAYS, NEVER },
	{ "crashLoopBackOff", OBJECT, 32, NEVER },
	{ "crashLoopBackOff.maxContainerRestartPeriod", DURATION, 32, NEVER },
	{ "enableContentionProfiling", BOOL, ALWAYS, NEVER },
	{ "enableControllerAttachDetach", BOOL, ALWAYS, NEVER },
	{ "enableDebugFlagsHandler", BOOL, 21, NEVER },
	{ "enableDebuggingHandlers", BOOL, ALWAYS, NEVER },
	{ "enableProfilingHandler", BOOL, 21, NEVER },
	{ "enableServer", BOOL, ALWAYS, NEVER },
	{ "enableSystemLogHandler", BOOL, ALWAYS, NEVER },
	{ "enableSystemLogQuery", BOOL, 27, NEVER },
	{ "enforceNodeAllocatable", STRINGS, ALWAYS, NEVER },
	{ "eventBurst", NUMBER, ALWAYS, NEVER },
	{ "eventRecordQPS", NUMBER, ALWAYS, NEVER },
	{ "evictionHard", MAP, ALWAYS, NEVER },
	{ "evictionMaxPodGracePeriod", NUMBER, ALWAYS, NEVER },
	{ "evictionMinimumReclaim", MAP, ALWAYS, NEVER },
	{ "evictionPressureTransitionPeriod", DURATION, ALWAYS, NEVER },
	{ "evictionSoft", MAP, ALWAYS, NEVER },
	{ "evictionSoftGracePeriod", MAP, ALWAYS, NEVER },
	{ "failCgroupV1", BOOL, 31, NEVER },
	{ "failSwapOn", BOOL, ALWAYS, NEVER },
	{ "featureGates", BOOL_MAP, ALWAYS, NEVER },
	{ "fileCheckFrequency", DURATION, ALWAYS, NEVER },
	{ "hairpinMode", STRING, ALWAYS, NEVER },
	{ "healthzBindAddress", STRING, ALWAYS, NEVER },
	{ "healthzPort", NUMBER, ALWAYS, NEVER },
	{ "httpCheckFrequency", DURATION, ALWAYS, NEVER },
	{ "imageGCHighThresholdPercent", NUMBER, ALWAYS, NEVER },
	{ "imageGCLowThresholdPercent", NUMBER, ALWAYS, NEVER },
	{ "imageMaximumGCAge", DURATION, 29, NEVER },
	{ "imageMinimumGCAge", DURATION, ALWAYS, NEVER },
	{ "imagePullCredentialsVerificationPolicy", STRING, 33, NEVER },
	{ "imageServiceEndpoint", STRING, 27, NEVER },
	{ "iptablesDropBit", NUMBER, ALWAYS, NEVER },
	{ "iptablesMasqueradeBit", NUMBER, ALWAYS, NEVER },
	{ "kernelMemcgNotification", BOOL, ALWAYS, NEVER },
	{ "kind", STRING, ALWAYS, NEVER },
	{ "kubeAPIBurst", NUMBER, ALWAYS, NEVER },
	{ "kubeAPIQPS", NUMBER, ALWAYS, NEVER },
	{ "kubeReserved", MAP, ALWAYS, NEVER },
	{ "kubeReservedCgroup", STRING, ALWAYS, NEVER },
	{ "kubeletCgroups", STRING, ALWAYS, NEVER },
	{ "localStorageCapacityIsolation", BOOL, 25, NEVER },
	{ "logging", OBJECT, ALWAYS, NEVER },
	{ "logging.flushFrequency", NUMBER, 23, NEVER }, /* of nanoseconds: older ones take no other form */
	{ "logging.format", STRING, ALWAYS, NEVER },
	{ "logging.options", OBJECT, 23, NEVER },
	{ "logging.options.json", OBJECT, 23, NEVER },
	{ "logging.options.json.infoBufferSize", STRING, 23, NEVER },
	{ "logging.options.json.splitStream", BOOL, 23, NEVER },
	{ "logging.options.text", OBJECT, 30, NEVER },
	{ "logging.options.text.infoBufferSize", STRING, 30, NEVER },
	{ "logging.options.text.splitStream", BOOL, 30, NEVER },
	{ "logging.sanitization", BOOL, ALWAYS, 24 },
	{ "logging.verbosity", NUMBER, 23, NEVER },
	{ "logging.vmodule", OBJECTS, 23, NEVER },
	{ "logging.vmodule.filePattern", STRING, 23, NEVER },
	{ "logging.vmodule.verbosity", NUMBER, 23, NEVER },
	{ "makeIPTablesUtilChains", BOOL, ALWAYS, NEVER },
	{ "maxOpenFiles", NUMBER, ALWAYS, NEVER },
	{ "maxParallelImagePulls", NUMBER, 27, NEVER },
	{ "maxPods", NUMBER, ALWAYS, NEVER },
	{ "memoryManagerPolicy", STRING, 21, NEVER },
	{ "memoryReservationPolicy", STRING, 36, NEVER },
	{ "memorySwap", OBJECT, 22, NEVER },
	{ "memorySwap.swapBehavior", STRING, 22, NEVER },
	{ "memoryThrottlingFactor", FRACTION, 22, NEVER },
	{ "mergeDefaultEvictionSettings", BOOL, 33, NEVER },
	{ "nodeLeaseDurationSeconds", NUMBER, ALWAYS, NEVER },
	{ "nodeStatusMaxImages", NUMBER, ALWAYS, NEVER },
	{ "nodeStatusReportFrequency", DURATION, ALWAYS, NEVER },
	{ "nodeStatusUpdateFrequency", DURATION, ALWAYS, NEVER },
	{ "oomScoreAdj", NUMBER, ALWAYS, NEVER },
	{ "podCIDR", STRING, ALWAYS, NEVER },
	{ "podLogsDir", STRING, 29, NEVER },
	{ "podPidsLimit", NUMBER, ALWAYS, NEVER },
	{ "podsPerCore", NUMBER, ALWAYS, NEVER },
	{ "port", NUMBER, ALWAYS, NEVER },
	{ "preloadedImagesVerificationAllowlist", STRINGS, 33, NEVER },
	{ "protectKernelDefaults", BOOL, ALWAYS, NEVER },
	{ "providerID", STRING, ALWAYS, NEVER },
	{ "qosReserved", MAP, ALWAYS, NEVER },
	{ "readOnlyPort", NUMBER, ALWAYS, NEVER },
	{ "registerNode", BOOL, 23, NEVER },
	{ "registerWithTaints", OBJECTS, 23, NEVER },
	{ "registerWithTaints.effect", STRING, 23, NEVER },
	{ "registerWithTaints.key", STRING, 23, NEVER },
	{ "registerWithTaints.value", STRING, 23, NEVER },
	{ "registryBurst", NUMBER, ALWAYS, NEVER },
	{ "registryPullQPS", NUMBER, ALWAYS, NEVER },
	{ "reservedMemory", OBJECTS, 21, NEVER },
	{ "reservedMemory.limits", MAP, 21, NEVER },
	{ "reservedMemory.numaNode", NUMBER, 21, NEVER },
	{ "reservedSystemCPUs", STRING, ALWAYS, NEVER },
	{ "resolvConf", STRING, ALWAYS, NEVER },
	{ "rotateCertificates", BOOL, ALWAYS, NEVER },
	{ "runOnce", BOOL, ALWAYS, NEVER },
	{ "runtimeRequestTimeout", DURATION, ALWAYS, NEVER },
	{ "seccompDefault", BOOL, 22, NEVER },
	{ "serializeImagePulls", BOOL, ALWAYS, NEVER },
	{ "serverTLSBootstrap", BOOL, ALWAYS, NEVER },
	{ "showHiddenMetricsForVersion", STRING, ALWAYS, NEVER },
	{ "shutdownGracePeriod", DURATION, ALWAYS, NEVER },
	{ "shutdownGracePeriodByPodPriority", OBJECTS, 23, NEVER },
	{ "shutdownGracePeriodByPodPriority.priority", NUMBER, 23, NEVER },
	{ "shutdownGracePeriodByPodPriority.shutdownGracePeriodSeconds", NUMBER, 23, NEVER },
	{ "shutdownGracePeriodCriticalPods", DURATION, ALWAYS, NEVER },
	{ "singleProcessOOMKill", BOOL, 32, NEVER },
	{ "staticPodPath", STRING, ALWAYS, NEVER },
	{ "staticPodURL", STRING, ALWAYS, NEVER },
	{ "staticPodURLHeader", LIST_MAP, ALWAYS, NEVER },
	{ "streamingConnectionIdleTimeout", DURATION, ALWAYS, NEVER },
	{ "syncFrequency", DURATION, ALWAYS, NEVER },
	{ "systemCgroups", STRING, ALWAYS, NEVER },
	{ "systemReserved", MAP, ALWAYS, NEVER },
	{ "systemReservedCgroup", STRING, ALWAYS, NEVER },
	{ "tlsCertFile", STRING, ALWAYS, NEVER },
	{ "tlsCipherSuites", STRINGS, ALWAYS, NEVER },
	{ "tlsMinVersion", STRING, ALWAYS, NEVER },
	{ "tlsPrivateKeyFile", STRING, ALWAYS, NEVER },
	{ "topologyManagerPolicy", STRING, ALWAYS, NEVER },
	{ "topologyManagerPolicyOptions", MAP, 26, NEVER },
	{ "topologyManagerScope", STRING, ALWAYS, NEVER },
	{ "tracing", OBJECT, 25, NEVER },
	{ "tracing.endpoint", STRING, 25, NEVER },
	{ "tracing.samplingRatePerMillion", NUMBER, 25, NEVER },
	{ "userNamespaces", OBJECT, 33, NEVER },
	{ "userNamespaces.idsPerPod", NUMBER, 33, NEVER },
	{ "volumePluginDir", STRING, ALWAYS, NEVER },
	{ "volumeStatsAggPeriod", DURATION, ALWAYS, NEVER },
};

struct check {
	const struct byoh_yaml *doc;
	const struct byoh_kubernetes_version *version; /* NULL: any */
};

static const struct field *find(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (strcmp(fields[i].path, path) == 0)
			return &fields[i];
	return NULL;
}

/* "logging" and "options": "logging.options"; a parent of "" is the whole. */
static void join(const char *parent, const char *key, char ret[PATH_MAX_LENGTH])
{
	snprintf(ret, PATH_MAX_LENGTH, "%s%s%.100s", parent, *parent ? "." : "", key);
}

/* The names right below parent, for a message that names the nearest. */
static void children_of(const char *parent, const char *ret[MAX_CHILDREN + 1])
{
	size_t length = strlen(parent), count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fields) && count < MAX_CHILDREN; i++) {
		const char *rest = fields[i].path + length + (length > 0);

		if (length && (strncmp(fields[i].path, parent, length) != 0 || fields[i].path[length] != '.'))
			continue;
		if (!strchr(rest, '.'))
			ret[count++] = rest;
	}
	ret[count] = NULL;
}

/*
 * Forms of values
 */

static bool is_word(const struct byoh_yaml_node *node, const char *a, const char *b)
{
	return !node->quoted && (strcmp(node->text, a) == 0 || strcmp(node->text, b) == 0);
}

static bool is_number(const struct byoh_yaml_node *node, bool fraction)
{
	const char *text = node->text + (node->text[0] == '-');
	size_t digits = strspn(text, "0123456789");

	if (node->quoted || !digits || digits > 18 || (digits > 1 && text[0] == '0'))
		return false;
	if (!text[digits] || !fraction)
		return !text[digits];
	return text[digits] == '.' && text[digits + 1] && !text[digits + 1 + strspn(text + digits + 1, "0123456789")];
}

/* As Go reads them: 1h30m, 1.5s, 100ms, 0; a sign may stand in front. */
static bool is_duration(const char *text)
{
	static const char *const units[] = { "ns", "us", "ms", "s", "m", "h" }; /* ms before m */

	text += *text == '-' || *text == '+';
	if (strcmp(text, "0") == 0)
		return true;
	if (!*text)
		return false;
	while (*text) {
		size_t number = strspn(text, "0123456789."), unit = 0;

		for (size_t i = 0; i < ARRAY_SIZE(units) && !unit; i++)
			if (strncmp(text + number, units[i], strlen(units[i])) == 0)
				unit = strlen(units[i]);
		if (!number || !unit || number > 20)
			return false;
		text += number + unit;
	}
	return true;
}

static bool is_scalar(const struct byoh_yaml_node *node)
{
	return node->type == BYOH_YAML_SCALAR && !byoh_yaml_is_null(node);
}

static bool all_items(const struct byoh_yaml_node *node, enum byoh_yaml_type type,
		      bool (*good)(const struct byoh_yaml_node *item))
{
	if (node->type != type)
		return false;
	for (size_t i = 0; i < node->count; i++)
		if (!good(node->items[i]))
			return false;
	return true;
}

static bool is_bool(const struct byoh_yaml_node *node)
{
	return is_scalar(node) && is_word(node, "true", "false");
}

static bool is_whole(const struct byoh_yaml_node *node)
{
	return is_scalar(node) && is_number(node, false);
}

static bool is_list(const struct byoh_yaml_node *node)
{
	return all_items(node, BYOH_YAML_SEQUENCE, is_scalar);
}

static bool has_type(const struct byoh_yaml_node *node, enum type type)
{
	switch (type) {
	case BOOL:
		return is_bool(node);
	case NUMBER:
		return is_whole(node);
	case FRACTION:
		return is_scalar(node) && is_number(node, true);
	case STRING:
		return is_scalar(node);
	case DURATION:
		return is_scalar(node) && is_duration(node->text);
	case STRINGS:
		return is_list(node);
	case MAP:
		return all_items(node, BYOH_YAML_MAPPING, is_scalar);
	case BOOL_MAP:
		return all_items(node, BYOH_YAML_MAPPING, is_bool);
	case LIST_MAP:
		return all_items(node, BYOH_YAML_MAPPING, is_list);
	case OBJECT:
		return node->type == BYOH_YAML_MAPPING;
	case OBJECTS:
		return node->type == BYOH_YAML_SEQUENCE;
	}
	return false;
}

static const char *type_words(enum type type)
{
	static const char *const words[] = {
		[BOOL] = "true or false", [NUMBER] = "a whole number", [FRACTION] = "a number",
		[STRING] = "a text", [DURATION] = "a duration like 90s or 1h30m", [STRINGS] = "a list of texts",
		[MAP] = "a mapping of texts", [BOOL_MAP] = "a mapping of names to true or false",
		[LIST_MAP] = "a mapping of lists of texts", [OBJECT] = "a mapping", [OBJECTS] = "a list of mappings",
	};

	return words[type];
}

/*
 * Checking
 */

static int check_version(const struct check *check, const struct byoh_yaml_node *key, const struct field *field,
			 struct byoh_error *err)
{
	const struct byoh_kubernetes_version *version = check->version;

	if (!version)
		return 0;
	if (field->since && version->minor < field->since)
		return byoh_yaml_fail(check->doc, key, err,
				      "kubelets know the field \"%s\" from 1.%u on, and 1.%u.%u would pass over it; "
				      "remove it", field->path, field->since, version->minor, version->patch);
	if (field->gone && version->minor >= field->gone)
		return byoh_yaml_fail(check->doc, key, err,
				      "kubelets know the field \"%s\" up to 1.%u only, and 1.%u.%u would pass over it; "
				      "remove it", field->path, field->gone - 1, version->minor, version->patch);
	return 0;
}

static int check_map(const struct check *check, const struct byoh_yaml_node *map, const char *parent,
		     struct byoh_error *err);

static int check_value(const struct check *check, const struct byoh_yaml_node *node, const struct field *field,
		       struct byoh_error *err)
{
	int r = 0;

	if (!has_type(node, field->type))
		return byoh_yaml_fail(check->doc, node, err, "the kubelet's field \"%s\" must be %s", field->path,
				      type_words(field->type));
	if (field->type == OBJECT)
		return check_map(check, node, field->path, err);
	for (size_t i = 0; field->type == OBJECTS && r == 0 && i < node->count; i++) {
		if (node->items[i]->type != BYOH_YAML_MAPPING)
			return byoh_yaml_fail(check->doc, node->items[i], err,
					      "each entry of the kubelet's \"%s\" must be a mapping", field->path);
		r = check_map(check, node->items[i], field->path, err);
	}
	return r;
}

static int check_map(const struct check *check, const struct byoh_yaml_node *map, const char *parent,
		     struct byoh_error *err)
{
	const char *names[MAX_CHILDREN + 1];
	int r;

	children_of(parent, names);
	r = byoh_yaml_only_keys(check->doc, map, names, false, err);
	for (size_t i = 0; r == 0 && i < map->count; i++) {
		char path[PATH_MAX_LENGTH];
		const struct field *field;

		join(parent, map->keys[i]->text, path);
		field = find(path);
		if (!field || byoh_yaml_is_null(map->items[i])) /* null: absent */
			continue;
		r = check_version(check, map->keys[i], field, err);
		if (r == 0)
			r = check_value(check, map->items[i], field, err);
	}
	return r;
}

static int check_head(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, struct byoh_error *err)
{
	const struct byoh_yaml_node *version = byoh_yaml_get(map, "apiVersion");
	const struct byoh_yaml_node *kind = byoh_yaml_get(map, "kind");

	if (version && strcmp(version->text, "kubelet.config.k8s.io/v1beta1") != 0)
		return byoh_yaml_fail(doc, version, err, "the apiVersion must be kubelet.config.k8s.io/v1beta1");
	if (kind && strcmp(kind->text, "KubeletConfiguration") != 0)
		return byoh_yaml_fail(doc, kind, err, "the kind must be KubeletConfiguration");
	return 0;
}

int byoh_kubelet_fields_check(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
			      const struct byoh_kubernetes_version *version, struct byoh_error *err)
{
	const struct check check = { doc, version };
	int r;

	if (!map || map->type != BYOH_YAML_MAPPING)
		return byoh_yaml_fail(doc, map, err, "fields of a KubeletConfiguration are a mapping");
	r = check_map(&check, map, "", err);
	return r < 0 ? r : check_head(doc, map, err);
}

/*
 * What operators add
 */

#define OURS "the installer sets it by itself; remove it"

static const struct {
	const char *field, *instead;
} own_fields[] = {
	{ "authentication", OURS },
	{ "authorization", OURS },
	{ "cgroupDriver", OURS },
	{ "clusterDNS", "write cluster.dns" },
	{ "containerRuntimeEndpoint", OURS },
	{ "enableServer", OURS },
	{ "failSwapOn", "write host.swap" },
	{ "healthzBindAddress", OURS },
	{ "healthzPort", OURS },
	{ "kubeReserved", "write node.kubeReserved" },
	{ "maxPods", "write node.maxPods" },
	{ "podCIDR", "a kubelet in a cluster gets it from there; remove it" },
	{ "registerWithTaints", "write node.taints" },
	{ "resolvConf", "write node.resolvConf" },
	{ "rotateCertificates", OURS },
	{ "runOnce", "a node's kubelet goes on running; remove it" },
	{ "serverTLSBootstrap", "write node.servingCertificates" },
	{ "staticPodPath", OURS },
	{ "systemReserved", "write node.systemReserved" },
};

static bool lists(const struct byoh_yaml_node *list, const char *text)
{
	for (size_t i = 0; list && i < list->count; i++)
		if (strcmp(list->items[i]->text, text) == 0)
			return true;
	return false;
}

static bool lists_either(const struct byoh_yaml_node *list, const char *text)
{
	char compressible[64];

	snprintf(compressible, sizeof(compressible), "%s-compressible", text);
	return lists(list, text) || lists(list, compressible);
}

/* Kubelets end over each of these. */
static int check_combinations(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
			      struct byoh_error *err)
{
	const struct byoh_yaml_node *enforced = byoh_yaml_get(map, "enforceNodeAllocatable");
	const struct byoh_yaml_node *soft = byoh_yaml_get(map, "evictionSoft"); /* null: without items */
	const struct byoh_yaml_node *grace = byoh_yaml_get(map, "evictionSoftGracePeriod");

	if (lists_either(enforced, "kube-reserved") && !byoh_yaml_get(map, "kubeReservedCgroup"))
		return byoh_yaml_fail(doc, enforced, err,
				      "to enforce kube-reserved the kubelet needs kubeReservedCgroup too (with "
				      "host.slices: /runtime.slice)");
	if (lists_either(enforced, "system-reserved") && !byoh_yaml_get(map, "systemReservedCgroup"))
		return byoh_yaml_fail(doc, enforced, err,
				      "to enforce system-reserved the kubelet needs systemReservedCgroup too (most "
				      "often /system.slice)");
	for (size_t i = 0; soft && i < soft->count; i++)
		if (!byoh_yaml_get(grace, soft->keys[i]->text))
			return byoh_yaml_fail(doc, soft->keys[i], err,
					      "evictionSoft needs evictionSoftGracePeriod for \"%.60s\" too",
					      soft->keys[i]->text);
	return 0;
}

int byoh_kubelet_additions_check(const struct byoh_yaml *doc, const struct byoh_yaml_node *map,
				 struct byoh_error *err)
{
	int r = byoh_kubelet_fields_check(doc, map, NULL, err);

	for (size_t i = 0; r == 0 && i < map->count; i++)
		for (size_t k = 0; k < ARRAY_SIZE(own_fields); k++)
			if (strcmp(map->keys[i]->text, own_fields[k].field) == 0 &&
			    !byoh_yaml_is_null(map->items[i]))
				return byoh_yaml_fail(doc, map->keys[i], err, "the field \"%s\" cannot be set here: %s",
						      own_fields[k].field, own_fields[k].instead);
	return r < 0 ? r : check_combinations(doc, map, err);
}

/*
 * Writing
 */

static int write_map(const struct byoh_yaml_node *map, const char *parent, unsigned int indent,
		     struct byoh_buffer *ret, struct byoh_error *err);

static int write_scalar(const struct byoh_yaml_node *node, bool plain, struct byoh_buffer *ret,
			struct byoh_error *err)
{
	int r = plain ? byoh_buffer_add_string(ret, node->text, err) : byoh_json_quote(ret, node->text, err);

	return r < 0 ? r : byoh_buffer_add_string(ret, "\n", err);
}

static int write_list(const struct byoh_yaml_node *list, unsigned int indent, struct byoh_buffer *ret,
		      struct byoh_error *err)
{
	int r = byoh_buffer_add_string(ret, list->count ? "\n" : " []\n", err);

	for (size_t i = 0; r == 0 && i < list->count; i++) {
		r = byoh_buffer_printf(ret, err, "%*s- ", (int)indent, "");
		if (r == 0)
			r = write_scalar(list->items[i], false, ret, err);
	}
	return r;
}

static int write_pairs(const struct byoh_yaml_node *map, enum type type, unsigned int indent,
		       struct byoh_buffer *ret, struct byoh_error *err)
{
	int r = byoh_buffer_add_string(ret, map->count ? "\n" : " {}\n", err);

	for (size_t i = 0; r == 0 && i < map->count; i++) {
		r = byoh_buffer_printf(ret, err, "%*s", (int)indent + 2, "");
		if (r == 0)
			r = byoh_json_quote(ret, map->keys[i]->text, err);
		if (r == 0)
			r = byoh_buffer_add_string(ret, type == LIST_MAP ? ":" : ": ", err);
		if (r == 0)
			r = type == LIST_MAP ? write_list(map->items[i], indent + 2, ret, err)
					     : write_scalar(map->items[i], type == BOOL_MAP, ret, err);
	}
	return r;
}

static int write_objects(const struct byoh_yaml_node *list, const char *path, unsigned int indent,
			 struct byoh_buffer *ret, struct byoh_error *err)
{
	int r = byoh_buffer_add_string(ret, list->count ? "\n" : " []\n", err);

	for (size_t i = 0; r == 0 && i < list->count; i++) {
		r = byoh_buffer_printf(ret, err, "%*s-%s", (int)indent, "", list->items[i]->count ? "\n" : " {}\n");
		if (r == 0)
			r = write_map(list->items[i], path, indent + 2, ret, err);
	}
	return r;
}

static int write_value(const struct byoh_yaml_node *node, const struct field *field, unsigned int indent,
		       struct byoh_buffer *ret, struct byoh_error *err)
{
	int r;

	switch (field->type) {
	case STRINGS:
		return write_list(node, indent, ret, err);
	case MAP:
	case BOOL_MAP:
	case LIST_MAP:
		return write_pairs(node, field->type, indent, ret, err);
	case OBJECT:
		r = byoh_buffer_add_string(ret, node->count ? "\n" : " {}\n", err);
		return r < 0 ? r : write_map(node, field->path, indent + 2, ret, err);
	case OBJECTS:
		return write_objects(node, field->path, indent, ret, err);
	default:
		r = byoh_buffer_add_string(ret, " ", err);
		return r < 0 ? r : write_scalar(node, field->type != STRING && field->type != DURATION, ret, err);
	}
}

static int write_map(const struct byoh_yaml_node *map, const char *parent, unsigned int indent,
		     struct byoh_buffer *ret, struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < map->count; i++) {
		const char *key = map->keys[i]->text;
		char path[PATH_MAX_LENGTH];
		const struct field *field;

		if (byoh_yaml_is_null(map->items[i]) ||
		    (!*parent && (strcmp(key, "apiVersion") == 0 || strcmp(key, "kind") == 0)))
			continue;
		join(parent, key, path);
		field = find(path);
		if (!field)
			return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "kubelets know no field \"%s\"", path);
		r = byoh_buffer_printf(ret, err, "%*s%s:", (int)indent, "", key);
		if (r == 0)
			r = write_value(map->items[i], field, indent, ret, err);
	}
	return r;
}

int byoh_kubelet_fields_write(const struct byoh_yaml_node *map, struct byoh_buffer *ret, struct byoh_error *err)
{
	return write_map(map, "", 0, ret, err);
}
