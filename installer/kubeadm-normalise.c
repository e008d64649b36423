/* SPDX-License-Identifier: Apache-2.0 */
/* The JoinConfiguration that the agent left in /run/kubeadm, as kubeadm takes it. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/yaml.h"
#include "installer/kubeadm-config.h"

#define PROVIDER_ID "provider-id"
#define GROUP "kubeadm.k8s.io/"

struct rewrite {
	const struct byoh_yaml *doc;
	const char *host_name;
	bool list;    /* this version wants the arguments so */
	bool mangled; /* they stood in the other form */
	struct byoh_buffer *out;
};

static int indent(struct byoh_buffer *out, unsigned int depth, struct byoh_error *err)
{
	for (unsigned int i = 0; i < depth; i++)
		TRY(byoh_buffer_add_string(out, "  ", err));
	return 0;
}

/* A word that YAML readers may take for a number, a bool or null goes out as it came in; all else is text. */
static bool stays_plain(const struct byoh_yaml_node *node)
{
	return !node->quoted && node->text[0] &&
	       strspn(node->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-~") ==
		       strlen(node->text) &&
	       strcmp(node->text, "-") != 0 && strcmp(node->text, "---") != 0 && strcmp(node->text, "...") != 0;
}

static int add_scalar(struct byoh_buffer *out, const struct byoh_yaml_node *node, struct byoh_error *err)
{
	if (!node->quoted && !node->text[0])
		return byoh_buffer_add_string(out, " null\n", err);
	TRY(byoh_buffer_add_string(out, " ", err));
	TRY(stays_plain(node) ? byoh_buffer_add_string(out, node->text, err) :
				byoh_json_quote(out, node->text, err));
	return byoh_buffer_add_string(out, "\n", err);
}

static int add_node(struct byoh_buffer *out, const struct byoh_yaml_node *node, unsigned int depth,
		    struct byoh_error *err);

static int add_key(struct byoh_buffer *out, const char *key, unsigned int depth, struct byoh_error *err)
{
	TRY(indent(out, depth, err));
	TRY(byoh_json_quote(out, key, err));
	return byoh_buffer_add_string(out, ":", err);
}

static int add_items(struct byoh_buffer *out, const struct byoh_yaml_node *node, unsigned int depth,
		     struct byoh_error *err)
{
	for (size_t i = 0; i < node->count; i++) {
		if (node->type == BYOH_YAML_MAPPING) {
			TRY(add_key(out, node->keys[i]->text, depth, err));
		} else {
			TRY(indent(out, depth, err));
			TRY(byoh_buffer_add_string(out, "-", err));
		}
		TRY(add_node(out, node->items[i], depth + 1, err));
	}
	return 0;
}

/* What stands behind a key or a dash. */
static int add_node(struct byoh_buffer *out, const struct byoh_yaml_node *node, unsigned int depth,
		    struct byoh_error *err)
{
	if (node->type == BYOH_YAML_SCALAR)
		return add_scalar(out, node, err);
	if (!node->count)
		return byoh_buffer_add_string(out, node->type == BYOH_YAML_MAPPING ? " {}\n" : " []\n", err);
	TRY(byoh_buffer_add_string(out, "\n", err));
	return add_items(out, node, depth, err);
}

/* kubeadm puts them on one line of an environment file, and whoever writes that file writes the kubelet's command. */
static int check_argument(const struct rewrite *rewrite, const struct byoh_yaml_node *at, const char *name,
			  const char *value, struct byoh_error *err)
{
	if (!name[0] || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != strlen(name))
		return byoh_yaml_fail(rewrite->doc, at, err, "\"%.60s\" is no name of a kubelet's argument", name);
	for (; *value; value++)
		if ((unsigned char)*value < ' ' || strchr("\"'\\`$\x7f", *value))
			return byoh_yaml_fail(rewrite->doc, at, err,
					      "the kubelet's argument \"%.60s\" holds a character that no argument needs",
					      name);
	return 0;
}

static int add_argument(struct rewrite *rewrite, const struct byoh_yaml_node *at, const char *name,
			const char *value, struct byoh_error *err)
{
	TRY(check_argument(rewrite, at, name, value, err));
	TRY(byoh_buffer_add_string(rewrite->out, rewrite->list ? "  - \"name\": " : "    ", err));
	TRY(byoh_json_quote(rewrite->out, name, err));
	TRY(byoh_buffer_add_string(rewrite->out, rewrite->list ? "\n    \"value\": " : ": ", err));
	TRY(byoh_json_quote(rewrite->out, value, err));
	return byoh_buffer_add_string(rewrite->out, "\n", err);
}

/* One of {name, value} of a list, or a key with its value. */
static int read_argument(const struct rewrite *rewrite, const struct byoh_yaml_node *arguments, size_t index,
			 const char **ret_name, const char **ret_value, struct byoh_error *err)
{
	static const char *const keys[] = { "name", "value", NULL };
	const struct byoh_yaml_node *item = arguments->items[index];
	const struct byoh_yaml_node *value = item;

	if (arguments->type == BYOH_YAML_SEQUENCE) {
		TRY(byoh_yaml_only_keys(rewrite->doc, item, keys, false, err));
		TRY(byoh_yaml_read_string(rewrite->doc, item, "name", true, ret_name, err));
		value = byoh_yaml_get(item, "value");
	} else {
		*ret_name = arguments->keys[index]->text;
	}
	if (!value || value->type != BYOH_YAML_SCALAR)
		return byoh_yaml_fail(rewrite->doc, item, err,
				      "the kubelet's argument \"%.60s\" has to have one value", *ret_name);
	*ret_value = value->text;
	return 0;
}

static int add_provider_id(struct rewrite *rewrite, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer id = { 0 };

	TRY(byoh_buffer_printf(&id, err, "byoh://%s", rewrite->host_name));
	return add_argument(rewrite, NULL, PROVIDER_ID, id.data, err);
}

static int add_arguments(struct rewrite *rewrite, const struct byoh_yaml_node *arguments, struct byoh_error *err)
{
	bool given = arguments && !byoh_yaml_is_null(arguments), has_provider = false;

	if (given && arguments->type == BYOH_YAML_SCALAR)
		return byoh_yaml_fail(rewrite->doc, arguments, err, "kubeletExtraArgs are neither a list nor a map");
	/* A list where that version wants a map has been nobody's doing; kubeadm would refuse it. */
	if (given && !rewrite->list && arguments->type == BYOH_YAML_SEQUENCE)
		return byoh_yaml_fail(rewrite->doc, arguments, err,
				      "kubeletExtraArgs are a list, which kubeadm takes from v1beta4 on");
	rewrite->mangled = given && rewrite->list && arguments->type == BYOH_YAML_MAPPING;
	TRY(byoh_buffer_add_string(rewrite->out, "  \"kubeletExtraArgs\":\n", err));
	for (size_t i = 0; given && i < arguments->count; i++) {
		const char *name = NULL, *value = NULL;

		TRY(read_argument(rewrite, arguments, i, &name, &value, err));
		has_provider |= strcmp(name, PROVIDER_ID) == 0;
		TRY(add_argument(rewrite, arguments->items[i], name, value, err));
	}
	return has_provider ? 0 : add_provider_id(rewrite, err);
}

static int add_registration(struct rewrite *rewrite, const struct byoh_yaml_node *registration,
			    struct byoh_error *err)
{
	bool given = registration && !byoh_yaml_is_null(registration);

	if (given && registration->type != BYOH_YAML_MAPPING)
		return byoh_yaml_fail(rewrite->doc, registration, err, "nodeRegistration is no mapping");
	TRY(byoh_buffer_add_string(rewrite->out, "\"nodeRegistration\":\n", err));
	for (size_t i = 0; given && i < registration->count; i++) {
		if (strcmp(registration->keys[i]->text, "kubeletExtraArgs") == 0)
			continue;
		TRY(add_key(rewrite->out, registration->keys[i]->text, 1, err));
		TRY(add_node(rewrite->out, registration->items[i], 2, err));
	}
	return add_arguments(rewrite, byoh_yaml_get(registration, "kubeletExtraArgs"), err);
}

static int check_kind(struct rewrite *rewrite, const struct byoh_yaml_node *root, struct byoh_error *err)
{
	static const char *const maps[] = { "v1beta1", "v1beta2", "v1beta3" };
	const struct byoh_yaml_node *control_plane = byoh_yaml_get(root, "controlPlane");
	const char *api = NULL, *kind = NULL;

	if (!root || root->type != BYOH_YAML_MAPPING)
		return byoh_yaml_fail(rewrite->doc, root, err, "no JoinConfiguration");
	TRY(byoh_yaml_read_string(rewrite->doc, root, "apiVersion", true, &api, err));
	TRY(byoh_yaml_read_string(rewrite->doc, root, "kind", true, &kind, err));
	if (strcmp(kind, "JoinConfiguration") != 0 || strncmp(api, GROUP "v1beta", strlen(GROUP "v1beta")) != 0)
		return byoh_yaml_fail(rewrite->doc, root, err,
				      "a %.60s of %.60s is no JoinConfiguration of kubeadm that is known here", kind, api);
	if (control_plane && !byoh_yaml_is_null(control_plane))
		return byoh_yaml_fail(rewrite->doc, control_plane, err,
				      "the cluster wants a control plane of this host, which is prepared for a worker");
	rewrite->list = true;
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
		if (strcmp(api + strlen(GROUP), maps[i]) == 0)
			rewrite->list = false;
	return 0;
}

int byoh_kubeadm_normalise(const char *text, size_t size, const char *name, const char *host_name,
			   struct byoh_buffer *ret, bool *ret_mangled, struct byoh_error *err)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	struct rewrite rewrite = { .host_name = host_name, .out = ret };
	const struct byoh_yaml_node *root;

	if (size > BYOH_KUBEADM_CONFIG_MAX)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG, "%s is larger than 1 MiB", name);
	TRY(byoh_yaml_parse(text, size, name, BYOH_ERROR_CONFIG, &doc, err));
	rewrite.doc = doc;
	root = byoh_yaml_root(doc);
	TRY(check_kind(&rewrite, root, err));
	for (size_t i = 0; i < root->count; i++) {
		if (strcmp(root->keys[i]->text, "nodeRegistration") == 0)
			continue;
		TRY(add_key(ret, root->keys[i]->text, 0, err));
		TRY(add_node(ret, root->items[i], 1, err));
	}
	TRY(add_registration(&rewrite, byoh_yaml_get(root, "nodeRegistration"), err));
	*ret_mangled = rewrite.mangled;
	return 0;
}
