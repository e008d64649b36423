/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/pod-cidr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/digest.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"
#include "installer/config-syntax.h"
#include "installer/kubeconfig-access.h"
#include "installer/kubernetes-config.h"

#define TEXT_MAX ((size_t)1 << 20)
#define FLANNEL "/run/flannel/subnet.env"
#define HEADCNI "/var/lib/headcni/env.yaml"

/*
 * Texts
 */

/* Appends a network behind a comma, of another family than what is there. */
static int add_cidr(const char *cidr, char *ret, size_t size)
{
	char both[BYOH_POD_CIDR_MAX];

	if (snprintf(both, sizeof(both), "%s%s%s", ret, *ret ? "," : "", cidr) >= (int)sizeof(both) ||
	    !byoh_is_cidr_list(both) || strlen(both) >= size)
		return -EINVAL;
	memcpy(ret, both, strlen(both) + 1);
	return 0;
}

static int add_address(const char *text, char *ret, size_t size)
{
	char cidr[64];
	int r = byoh_cidr_of_address(text, cidr, sizeof(cidr));

	return r < 0 ? r : add_cidr(cidr, ret, size);
}

int byoh_pod_cidr_of_flannel(const char *text, char *ret, size_t size)
{
	static const char *const names[] = { "FLANNEL_SUBNET=", "FLANNEL_IPV6_SUBNET=" };
	int r = 0;

	*ret = '\0';
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		for (const char *line = text; r == 0 && line && *line; line = strchr(line, '\n')) {
			char value[64];

			line += *line == '\n';
			if (strncmp(line, names[i], strlen(names[i])) != 0)
				continue;
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + strlen(names[i]), " \r\n"),
				 line + strlen(names[i]));
			r = add_address(value, ret, size);
		}
	}
	return r < 0 ? r : *ret ? 0 : -ENOENT;
}

static int parse(const char *text, size_t length, struct byoh_yaml **ret)
{
	struct byoh_error ignored = BYOH_ERROR_INIT;

	return byoh_yaml_parse(text, length, "", BYOH_ERROR_CONFIG, ret, &ignored) < 0 ? -EINVAL : 0;
}

static int add_subnet(const struct byoh_yaml_node *map, char *ret, size_t size)
{
	const struct byoh_yaml_node *subnet = byoh_yaml_get(map, "subnet");

	return subnet && subnet->type == BYOH_YAML_SCALAR ? add_cidr(subnet->text, ret, size) : 0;
}

/* {"type": "host-local", "subnet": ...} or {"ranges": [[{"subnet": ...}], ...]}: the first of each family's list. */
static int of_ipam(const struct byoh_yaml_node *ipam, char *ret, size_t size)
{
	const struct byoh_yaml_node *type = byoh_yaml_get(ipam, "type");
	const struct byoh_yaml_node *ranges = byoh_yaml_get(ipam, "ranges");
	int r;

	if (!type || !type->text || strcmp(type->text, "host-local") != 0)
		return 0;
	r = add_subnet(ipam, ret, size);
	for (size_t i = 0; r == 0 && ranges && ranges->type == BYOH_YAML_SEQUENCE && i < ranges->count; i++) {
		const struct byoh_yaml_node *set = ranges->items[i];

		if (set->type == BYOH_YAML_SEQUENCE && set->count)
			r = add_subnet(set->items[0], ret, size);
	}
	return r;
}

int byoh_pod_cidr_of_cni(const char *text, size_t length, char *ret, size_t size)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *plugins;
	int r = parse(text, length, &doc);

	*ret = '\0';
	if (r < 0)
		return -ENOENT;
	plugins = byoh_yaml_get(byoh_yaml_root(doc), "plugins");
	r = of_ipam(byoh_yaml_get(byoh_yaml_root(doc), "ipam"), ret, size);
	for (size_t i = 0; r == 0 && !*ret && plugins && i < plugins->count; i++)
		r = of_ipam(byoh_yaml_get(plugins->items[i], "ipam"), ret, size);
	return r < 0 ? r : *ret ? 0 : -ENOENT;
}

static int add_key(const struct byoh_yaml_node *map, const char *key, char *ret, size_t size)
{
	const struct byoh_yaml_node *node = byoh_yaml_get(map, key);

	if (!node || node->type != BYOH_YAML_SCALAR || !*node->text || byoh_yaml_is_null(node))
		return 0;
	return strchr(node->text, '/') ? add_address(node->text, ret, size) : -EINVAL;
}

int byoh_pod_cidr_of_headcni(const char *text, size_t length, char *ret, size_t size)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	int r = parse(text, length, &doc);

	*ret = '\0';
	if (r == 0)
		r = add_key(byoh_yaml_root(doc), "subnet", ret, size);
	if (r == 0)
		r = add_key(byoh_yaml_root(doc), "ipv6_subnet", ret, size);
	return r < 0 ? r : *ret ? 0 : -ENOENT;
}

int byoh_pod_cidr_of_node(const char *text, size_t length, char *ret, size_t size)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *spec, *list;
	int r = parse(text, length, &doc);

	*ret = '\0';
	if (r < 0)
		return r;
	spec = byoh_yaml_get(byoh_yaml_root(doc), "spec");
	list = byoh_yaml_get(spec, "podCIDRs");
	for (size_t i = 0; r == 0 && list && list->type == BYOH_YAML_SEQUENCE && i < list->count; i++)
		r = list->items[i]->type == BYOH_YAML_SCALAR ? add_cidr(list->items[i]->text, ret, size) : -EINVAL;
	if (r == 0 && !*ret)
		r = add_key(spec, "podCIDR", ret, size);
	return r < 0 ? r : *ret ? 0 : -ENOENT;
}

int byoh_pod_cidr_invent(const char *cluster_range, const char *name, char *ret, size_t size)
{
	unsigned int prefix = strchr(cluster_range, ':') && strcspn(cluster_range, ":") < strcspn(cluster_range, ",") ?
				      64 : 24;
	unsigned int count = byoh_cidr_count(cluster_range, prefix), number = 0;
	struct byoh_digest digest;

	if (!count || !*name)
		return -EINVAL;
	if (byoh_digest_of(name, strlen(name), &digest, NULL) < 0)
		return -EINVAL;
	for (size_t i = 0; i < 4; i++)
		number = number << 8 | digest.bytes[i];
	return byoh_cidr_part(cluster_range, prefix, number % count, ret, size) ? 0 : -EINVAL;
}

/*
 * The host
 */

static bool ends_with(const char *name, const char *suffix)
{
	size_t length = strlen(name), end = strlen(suffix);

	return length > end && strcmp(name + length - end, suffix) == 0;
}

static int take_first(void *context, const char *name, struct byoh_error *err)
{
	char *first = context;

	(void)err;
	if (*first || (!ends_with(name, ".conf") && !ends_with(name, ".conflist") && !ends_with(name, ".json")))
		return 0;
	snprintf(first, 256, "%s", name);
	return 0;
}

void byoh_cni_first_file(const struct byoh_host *host, char ret[256])
{
	ret[0] = '\0';
	if (byoh_each_name(host->root_fd, BYOH_CNI_CONFIG, take_first, ret, NULL) < 0)
		ret[0] = '\0';
}

static int fail_source(const char *source, struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
			 "%s holds no network for this node's pods that can be used (like 10.244.7.0/24); mend it, or "
			 "write cni.podCIDR", source);
}

static int from_text(const char *source, const char *text, struct byoh_pod_cidr *ret, struct byoh_error *err)
{
	if (!byoh_is_cidr_list(text) || strlen(text) >= sizeof(ret->cidr))
		return fail_source(source, err);
	snprintf(ret->cidr, sizeof(ret->cidr), "%s", text);
	snprintf(ret->source, sizeof(ret->source), "%s", source);
	return 0;
}

static int of_flannel(const char *text, size_t length, char *ret, size_t size)
{
	(void)length;
	return byoh_pod_cidr_of_flannel(text, ret, size);
}

/* Its own line. */
static int of_note(const char *text, size_t length, char *ret, size_t size)
{
	(void)length;
	snprintf(ret, size, "%.*s", (int)strcspn(text, " \r\n"), text);
	return byoh_is_cidr_list(ret) ? 0 : -EINVAL;
}

static int from_file(const struct byoh_host *host, const char *path,
		     int (*read)(const char *text, size_t length, char *ret, size_t size),
		     struct byoh_pod_cidr *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int r = byoh_host_read(host->root_fd, path, TEXT_MAX, &text, NULL);

	if (r < 0)
		return 0; /* not there, or not ours to read: others may know */
	r = read(byoh_buffer_text(&text), text.size, ret->cidr, sizeof(ret->cidr));
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return fail_source(path, err);
	snprintf(ret->source, sizeof(ret->source), "%s", path);
	return 0;
}

static int from_files(const struct byoh_host *host, struct byoh_pod_cidr *ret, struct byoh_error *err)
{
	char first[256], path[320];
	int r = from_file(host, FLANNEL, of_flannel, ret, err);

	byoh_cni_first_file(host, first);
	snprintf(path, sizeof(path), BYOH_CNI_CONFIG "/%s", first);
	if (r == 0 && !*ret->cidr && *first)
		r = from_file(host, path, byoh_pod_cidr_of_cni, ret, err);
	if (r == 0 && !*ret->cidr)
		r = from_file(host, HEADCNI, byoh_pod_cidr_of_headcni, ret, err);
	if (r == 0 && !*ret->cidr)
		r = from_file(host, BYOH_POD_CIDR_NOTE, of_note, ret, err);
	return r;
}

static const char *node_name(const struct byoh_host *host, const struct byoh_config *config)
{
	return config->host.hostname ? config->host.hostname : host->hostname;
}

/* Whatever goes wrong there, the network is merely not known yet. */
static void ask_server(const struct byoh_host *host, const struct byoh_config *config, struct byoh_pod_cidr *ret)
{
	CLEANUP_ACCESS struct byoh_access access = { 0 };
	CLEANUP_BUFFER struct byoh_buffer answer = { 0 };
	struct byoh_error ignored = BYOH_ERROR_INIT;
	struct byoh_api_request request;
	unsigned int status = 0;
	char path[300];

	if (!host->outside || !*node_name(host, config) ||
	    byoh_access_read(host->root_fd, BYOH_KUBELET_KUBECONFIG, &access, &ignored) < 0)
		return;
	snprintf(path, sizeof(path), "/api/v1/nodes/%.253s", node_name(host, config));
	request = byoh_access_request(&access);
	request.method = "GET";
	request.path = path;
	if (byoh_outside_api(host->outside, &request, &status, &answer, &ignored) < 0 || status != 200 ||
	    byoh_pod_cidr_of_node(byoh_buffer_text(&answer), answer.size, ret->cidr, sizeof(ret->cidr)) < 0)
		ret->cidr[0] = '\0';
	else
		snprintf(ret->source, sizeof(ret->source), "the API server");
}

static int invent(const struct byoh_host *host, const struct byoh_config *config, struct byoh_pod_cidr *ret,
		  struct byoh_error *err)
{
	ret->invented = true;
	snprintf(ret->source, sizeof(ret->source), "the host's name");
	if (byoh_pod_cidr_invent(config->cluster.pod_cidr, node_name(host, config), ret->cidr, sizeof(ret->cidr)) == 0)
		return 0;
	return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
			 "cni.podCIDR: no network can be made of the host's name \"%.64s\" and cluster.podCIDR %s; "
			 "write the node's own", node_name(host, config), config->cluster.pod_cidr);
}

/* What an earlier run of ours has found is a copy, and stays behind when the node is deleted and joins anew. */
static bool is_copy(const struct byoh_pod_cidr *found)
{
	return strcmp(found->source, BYOH_POD_CIDR_NOTE) == 0 ||
	       strcmp(found->source, BYOH_CNI_CONFIG "/" BYOH_BRIDGE_CONFLIST) == 0;
}

int byoh_pod_cidr_find(const struct byoh_host *host, const struct byoh_config *config, bool ask,
		       struct byoh_pod_cidr *ret, struct byoh_error *err)
{
	const char *environment = getenv(BYOH_POD_CIDR_VARIABLE);
	struct byoh_pod_cidr told = { 0 };
	int r;

	*ret = (struct byoh_pod_cidr){ 0 };
	if (!config->cni.bridge)
		return 0;
	if (config->cni.invent_pod_cidr)
		return invent(host, config, ret, err);
	if (config->cni.pod_cidr)
		return from_text("cni.podCIDR", config->cni.pod_cidr, ret, err);
	if (environment && *environment)
		return from_text(BYOH_POD_CIDR_VARIABLE " in the environment", environment, ret, err);
	r = from_files(host, ret, err);
	if (r == 0 && ask && (!*ret->cidr || is_copy(ret)))
		ask_server(host, config, &told);
	if (*told.cidr)
		*ret = told;
	return r;
}
