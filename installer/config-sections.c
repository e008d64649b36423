/* SPDX-License-Identifier: Apache-2.0 */
/* The sections that are plain fields, and the defaults. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/config-fields.h"
#include "installer/config-syntax.h"

#define AT(member) offsetof(struct byoh_config, member)
#define HOST_NAME_LABEL_MAX 63 /* Linux takes 64, but the name becomes a node's label too */

static bool is_hostname(const char *text)
{
	return byoh_is_dns_name(text, HOST_NAME_LABEL_MAX) && text[strspn(text, "0123456789.")];
}

static bool is_namespace(const char *text)
{
	return byoh_is_dns_name(text, 63) && !strchr(text, '.');
}

static bool is_metrics(const char *text)
{
	return strcmp(text, "0") == 0 || byoh_is_host_port(text, true);
}

/* Names separated by single spaces, as a line of /etc/hosts has them. */
bool byoh_is_host_names(const char *text)
{
	CLEANUP_FREE char *copy = strdup(text);
	char *rest = copy, *name;

	if (!copy || !*copy)
		return false;
	while ((name = strsep(&rest, " ")))
		if (!byoh_is_dns_name(name, 253))
			return false;
	return true;
}

static int read_join(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		     struct byoh_error *err)
{
	static const char *const modes[] = { "agent", "kubeadm", "tlsBootstrap", "none", NULL };
	static const struct byoh_field fields[] = {
		{ .key = "mode", .type = BYOH_FIELD_CHOICE, .offset = AT(join_mode), .choices = modes },
		{ .key = "volume", .type = BYOH_FIELD_BOOL, .offset = AT(join_volume) },
	};

	return byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), reader->config, err);
}

/* A part of a path: "projects.registry.lan/byoh/cluster-api-byoh". */
static bool is_bundle_repo(const char *text)
{
	return strlen(text) <= 200 && text[0] != '/' && byoh_path_is_clean(text) &&
	       !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-/:")];
}

static bool is_bundle_os(const char *text)
{
	return *text && strlen(text) <= 100 && text[0] != '.' &&
	       !text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-")];
}

static int read_local_bundle(const struct byoh_config_reader *reader, const struct byoh_yaml_node *agent,
			     struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "repo", .type = BYOH_FIELD_STRING, .offset = AT(agent.bundle_repo),
		  .valid = is_bundle_repo,
		  .form = "the bundleRepo of the K8sInstallerConfigTemplate, like registry.lan/byoh" },
		{ .key = "os", .type = BYOH_FIELD_STRING, .offset = AT(agent.bundle_os), .valid = is_bundle_os,
		  .form = "a name of the agent's like ubuntu_24.04.1_x86-64" },
	};
	const struct byoh_yaml_node *map = NULL;
	int r = byoh_yaml_read_node(reader->doc, agent, "localBundle", BYOH_YAML_MAPPING, false, &map, err);

	if (r == 0)
		r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), reader->config, err);
	if (r == 0 && map && !reader->config->agent.bundle_repo)
		return byoh_yaml_fail(reader->doc, map, err,
				      "the key \"repo\" is missing in \"localBundle\"; it is the bundleRepo of the "
				      "K8sInstallerConfigTemplate");
	return r;
}

static int read_agent(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		      struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "namespace", .type = BYOH_FIELD_STRING, .offset = AT(agent.namespace_name),
		  .valid = is_namespace, .form = "a namespace (a-z, 0-9, -)" },
		{ .key = "metrics", .type = BYOH_FIELD_STRING, .offset = AT(agent.metrics),
		  .valid = is_metrics, .form = "\"0\" for none, or ADDRESS:PORT" },
		{ .key = "hostLabels", .type = BYOH_FIELD_PAIRS, .offset = AT(agent.host_labels),
		  .valid = byoh_is_label_value, .valid_key = byoh_is_label_key,
		  .form = "Kubernetes labels (at most 63 of A-Z, a-z, 0-9, \"-_.\"; a key may have a "
			  "domain/ in front)" },
		{ .key = "localBundle" },
	};
	int r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), reader->config, err);

	return r < 0 ? r : read_local_bundle(reader, map, err);
}

static int read_host(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		     struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "hostname", .type = BYOH_FIELD_STRING, .offset = AT(host.hostname),
		  .valid = is_hostname,
		  .form = "a lower-case host name of at most 63 characters (a-z, 0-9, - and dots)" },
		{ .key = "swap", .type = BYOH_FIELD_BOOL, .offset = AT(host.swap) },
		{ .key = "ntp", .type = BYOH_FIELD_STRINGS, .offset = AT(host.ntp),
		  .valid = byoh_is_host, .form = "a list of host names or addresses of time servers" },
		{ .key = "hosts", .type = BYOH_FIELD_PAIRS, .offset = AT(host.hosts),
		  .valid = byoh_is_host_names, .valid_key = byoh_is_ip,
		  .form = "addresses with their names, {10.0.0.1: \"api.lan api\"}" },
		{ .key = "slices", .type = BYOH_FIELD_BOOL, .offset = AT(host.slices) },
		{ .key = "dummyRoute", .type = BYOH_FIELD_BOOL, .offset = AT(host.dummy_route) },
	};

	return byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), reader->config, err);
}

static int read_containerd(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			   struct byoh_error *err)
{
	static const char *const existing[] = { "refuse", "adopt", "replace", NULL };
	static const struct byoh_field fields[] = {
		{ .key = "existing", .type = BYOH_FIELD_CHOICE, .offset = AT(containerd.existing),
		  .choices = existing },
		{ .key = "root", .type = BYOH_FIELD_STRING, .offset = AT(containerd.root),
		  .valid = byoh_is_host_path, .form = "an absolute path without spaces or quotes" },
		{ .key = "sandboxImage", .type = BYOH_FIELD_STRING, .offset = AT(containerd.sandbox_image),
		  .valid = byoh_is_image_reference,
		  .form = "an image with its tag, like registry.k8s.io/pause:3.10.2" },
	};

	int r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), reader->config, err);

	if (r < 0 || reader->config->containerd.existing != BYOH_EXISTING_ADOPT ||
	    !reader->config->containerd.root)
		return r;
	return byoh_yaml_fail(reader->doc, map, err,
			      "containerd.root has no effect with \"existing: adopt\": an adopted containerd "
			      "keeps its folder; leave root out, or set it in containerd's own configuration");
}

static int read_policy(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		       struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "threshold", .type = BYOH_FIELD_NUMBER, .offset = AT(policy.threshold),
		  .min = 1, .max = 32 },
		{ .key = "requireConfigSignature", .type = BYOH_FIELD_BOOL,
		  .offset = AT(policy.config_signature) },
	};

	return byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), reader->config, err);
}

struct section {
	const char *key;
	int (*read)(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		    struct byoh_error *err);
	unsigned int modes;
	const char *without_effect;
};

static const struct section sections[] = {
	{ "join", read_join, BYOH_MODES_ALL, NULL }, /* first: it says what the others may hold */
	{ "cluster", byoh_config_read_cluster, BYOH_MODES_ALL, NULL },
	{ "node", byoh_config_read_node, BYOH_MODES_WITH_KUBELET_FLAGS,
	  "the kubelet's flags are written by who joins the host, or by nobody" },
	{ "agent", read_agent, BYOH_MODE(BYOH_JOIN_AGENT), "no agent runs" },
	{ "host", read_host, BYOH_MODES_ALL, NULL },
	{ "containerd", read_containerd, BYOH_MODES_ALL, NULL },
	{ "registries", byoh_config_read_registries, BYOH_MODES_ALL, NULL },
	{ "kubeProxy", byoh_config_read_kube_proxy, BYOH_MODES_ALL, NULL },
	{ "cni", byoh_config_read_cni, BYOH_MODES_ALL, NULL },
	{ "policy", read_policy, BYOH_MODES_ALL, NULL },
	/* Its own effect in a join mode is judged by `manifests`: a rack may have machines of several. */
	{ "management", byoh_config_read_management, BYOH_MODES_ALL, NULL },
	{ "iso", byoh_config_read_iso, BYOH_MODES_ALL, NULL }, /* behind host: it brings some of that too */
};

int byoh_config_read_sections(const struct byoh_config_reader *reader, const struct byoh_yaml_node *root,
			      struct byoh_error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		const struct section *section = &sections[i];
		const struct byoh_yaml_node *map = NULL;
		int r = byoh_config_check_effect(reader, root, section->key, section->modes,
						 section->without_effect, err);

		if (r == 0)
			r = byoh_yaml_read_node(reader->doc, root, section->key, BYOH_YAML_MAPPING, false,
						&map, err);
		if (r == 0)
			r = section->read(reader, map, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_default(char **field, const char *value, struct byoh_error *err)
{
	return *field ? 0 : byoh_config_copy(value, field, err);
}

int byoh_config_set_defaults(struct byoh_config *config, struct byoh_error *err)
{
	const struct {
		char **field;
		const char *value;
	} defaults[] = {
		{ &config->cluster.pod_cidr, BYOH_DEFAULT_POD_CIDR },
		{ &config->cluster.service_cidr, BYOH_DEFAULT_SERVICE_CIDR },
		{ &config->agent.namespace_name, "default" },
		{ &config->agent.metrics, "0" },
		{ &config->containerd.root, "/var/lib/containerd" },
	};
	char dns[64];

	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		int r = set_default(defaults[i].field, defaults[i].value, err);

		if (r < 0)
			return r;
	}
	if (!config->policy.threshold)
		config->policy.threshold = 1;
	if (config->cluster.dns)
		return 0;
	if (!byoh_cidr_address(config->cluster.service_cidr, 10, dns, sizeof(dns)))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "serviceCIDR is too small for a DNS address");
	return byoh_config_copy(dns, &config->cluster.dns, err);
}
