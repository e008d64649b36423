/* SPDX-License-Identifier: Apache-2.0 */
/* cni: the list of plugins that containerd is to use, and the network of this node's pods. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config-fields.h"
#include "installer/config-syntax.h"

#define AT(member) offsetof(struct byoh_config, member)
#define CONFLIST_MAX_SIZE ((size_t)256 << 10)
#define INVENT "invent-from-hostname"

/* containerd loads no network at all from a list that it cannot read: better said here. */
static int check_conflist(const struct byoh_buffer *conflist, const char *name, struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *root, *plugins = NULL;
	const char *text = NULL;
	int r = byoh_yaml_parse(conflist->data, conflist->size, name, BYOH_ERROR_CONFIG, &doc, err);

	if (r < 0)
		return r;
	root = byoh_yaml_root(doc);
	/* YAML that is no JSON would pass here and not in containerd. */
	if (!root || root->type != BYOH_YAML_MAPPING ||
	    conflist->data[strspn(conflist->data, " \t\r\n")] != '{')
		return byoh_yaml_fail(doc, root, err, "a CNI network list is a JSON object");
	r = byoh_yaml_read_string(doc, root, "cniVersion", true, &text, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, root, "name", true, &text, err);
	if (r == 0)
		r = byoh_yaml_read_node(doc, root, "plugins", BYOH_YAML_SEQUENCE, true, &plugins, err);
	if (r == 0 && !plugins->count)
		return byoh_yaml_fail(doc, plugins, err, "\"plugins\" is empty");
	for (size_t i = 0; r == 0 && i < plugins->count; i++) {
		if (plugins->items[i]->type != BYOH_YAML_MAPPING)
			return byoh_yaml_fail(doc, plugins->items[i], err, "a plugin is a JSON object");
		r = byoh_yaml_read_string(doc, plugins->items[i], "type", true, &text, err);
	}
	return r;
}

static bool is_conflist_name(const char *text)
{
	const char *last = strrchr(text, '/');
	const char *name = last ? last + 1 : text;
	size_t length = strlen(name);

	if (length <= strlen(".conflist") || length > 128 || name[0] == '.' ||
	    strcmp(name + length - strlen(".conflist"), ".conflist") != 0)
		return false;
	return name[strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")] == '\0';
}

/* The word is long so that nobody writes it by chance. */
static int read_pod_cidr(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			 struct byoh_error *err)
{
	struct byoh_config *config = reader->config;
	const char *pods = config->cluster.pod_cidr ? config->cluster.pod_cidr : BYOH_DEFAULT_POD_CIDR;
	const struct byoh_yaml_node *node = byoh_config_get(map, "podCIDR");
	const char *text = NULL;
	int r = byoh_yaml_read_string(reader->doc, map, "podCIDR", false, &text, err);

	if (r < 0 || !text)
		return r;
	if (!config->cni.bridge)
		return byoh_yaml_fail(reader->doc, byoh_config_key_node(map, "podCIDR"), err,
				      "\"podCIDR\" has no effect unless \"install\" is bridge: other networks find "
				      "the node's range by themselves; remove it");
	config->cni.invent_pod_cidr = strcmp(text, INVENT) == 0;
	if (config->cni.invent_pod_cidr)
		return 0;
	if (!byoh_is_cidr_list(text))
		return byoh_yaml_fail(reader->doc, node, err,
				      "\"podCIDR\" must be the node's own network like 10.244.7.0/24, or " INVENT
				      ", not \"%.100s\"", text);
	if (!byoh_cidrs_contain(pods, text))
		return byoh_yaml_fail(reader->doc, node, err,
				      "%s does not lie in cluster.podCIDR (%s), so kube-proxy would not take its pods "
				      "for pods", text, pods);
	return byoh_config_copy(text, &config->cni.pod_cidr, err);
}

static int read_conflist(const struct byoh_config_reader *reader, const struct byoh_yaml_node *install,
			 struct byoh_error *err)
{
	struct byoh_config *config = reader->config;
	struct byoh_error inner = BYOH_ERROR_INIT;
	const char *text = install->text, *slash = strrchr(text, '/');
	int r;

	if (!is_conflist_name(text))
		return byoh_yaml_fail(reader->doc, install, err,
				      "\"install\" must be plugins, bridge, or a file NAME.conflist to place in "
				      "/etc/cni/net.d, not \"%.100s\"", text);
	r = byoh_config_copy(text, &config->cni.conflist_file, err);
	if (r == 0)
		r = byoh_config_copy(slash ? slash + 1 : text, &config->cni.conflist_name, err);
	if (r < 0 || reader->without_files)
		return r;
	r = byoh_config_file_read(reader, install, CONFLIST_MAX_SIZE, &config->cni.conflist, err);
	if (r < 0)
		return r;
	r = check_conflist(&config->cni.conflist, text, &inner);
	return r < 0 ? byoh_yaml_fail(reader->doc, install, err, "%s", inner.message) : 0;
}

int byoh_config_read_cni(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			 struct byoh_error *err)
{
	static const struct byoh_field fields[] = { { .key = "install" }, { .key = "podCIDR" } };
	const char *text = "plugins";
	int r = byoh_config_fields(reader, map, fields, ARRAY_SIZE(fields), reader->config, err);

	if (r == 0)
		r = map ? byoh_yaml_read_string(reader->doc, map, "install", false, &text, err) : 0;
	if (r < 0)
		return r;
	reader->config->cni.bridge = strcmp(text, "bridge") == 0;
	if (strcmp(text, "plugins") != 0 && !reader->config->cni.bridge)
		r = read_conflist(reader, byoh_yaml_get(map, "install"), err);
	return r < 0 ? r : read_pod_cidr(reader, map, err);
}
