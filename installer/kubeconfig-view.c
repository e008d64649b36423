/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/kubeconfig-view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/yaml.h"
#include "installer/config-syntax.h"
#include "installer/credentials.h"
#include "installer/host.h"
#include "installer/kubeconfig.h"

void byoh_kubeconfig_view_release(struct byoh_kubeconfig_view *view)
{
	free(view->server);
	byoh_secret_free(view->token);
	byoh_buffer_release(&view->ca);
	byoh_buffer_release(&view->certificate);
	byoh_secret_buffer_release(&view->key);
	*view = (struct byoh_kubeconfig_view){ 0 };
}

static const char *text_of(const struct byoh_yaml_node *map, const char *key)
{
	const struct byoh_yaml_node *node = byoh_yaml_get(map, key);

	return node && node->type == BYOH_YAML_SCALAR && !byoh_yaml_is_null(node) && *node->text ? node->text : NULL;
}

/* The mapping `inner` of the entry of a list that has this name. */
static const struct byoh_yaml_node *find_named(const struct byoh_yaml_node *root, const char *list, const char *inner,
					       const char *name)
{
	const struct byoh_yaml_node *entries = byoh_yaml_get(root, list);

	for (size_t i = 0; name && entries && entries->type == BYOH_YAML_SEQUENCE && i < entries->count; i++) {
		const char *own = text_of(entries->items[i], "name");

		if (own && strcmp(own, name) == 0)
			return byoh_yaml_get(entries->items[i], inner);
	}
	return NULL;
}

static int copy_text(const char *text, char **ret, struct byoh_error *err)
{
	if (!text)
		return 0;
	*ret = strdup(text);
	return *ret ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/* Embedded, or in a file. What cannot be had is none: the caller tells by what is missing. */
static int read_bytes(int root_fd, const struct byoh_yaml_node *map, const char *data_key, const char *file_key,
		      struct byoh_buffer *ret, struct byoh_error *err)
{
	const char *data = text_of(map, data_key), *path = text_of(map, file_key);
	int rc = 0;

	if (data)
		rc = byoh_base64_decode(data, ret, NULL);
	else if (path && path[0] == '/' && root_fd >= 0)
		rc = byoh_host_read(root_fd, path, BYOH_KUBECONFIG_MAX_SIZE, ret, NULL);
	return rc == -ENOMEM ? byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory") : 0;
}

static int read_view(int root_fd, const struct byoh_yaml_node *cluster, const struct byoh_yaml_node *user,
		     struct byoh_kubeconfig_view *ret, struct byoh_error *err)
{
	int rc = copy_text(text_of(cluster, "server"), &ret->server, err);

	if (rc == 0)
		rc = copy_text(text_of(user, "token"), &ret->token, err);
	if (rc == 0)
		rc = read_bytes(root_fd, cluster, "certificate-authority-data", "certificate-authority", &ret->ca, err);
	if (rc == 0)
		rc = read_bytes(root_fd, user, "client-certificate-data", "client-certificate", &ret->certificate, err);
	if (rc == 0)
		rc = read_bytes(root_fd, user, "client-key-data", "client-key", &ret->key, err);
	return rc;
}

int byoh_kubeconfig_view(int root_fd, const char *text, size_t size, struct byoh_kubeconfig_view *ret,
			 struct byoh_error *err)
{
	CLEANUP(byoh_secret_yaml_freep) struct byoh_yaml *doc = NULL;
	CLEANUP_KUBECONFIG_VIEW struct byoh_kubeconfig_view view = { 0 };
	const struct byoh_yaml_node *root, *context;
	int rc = byoh_yaml_parse(text, size, "kubeconfig", BYOH_ERROR_CONFIG, &doc, err);

	if (rc < 0)
		return rc == -ENOMEM ? rc : -EINVAL;
	root = byoh_yaml_root(doc);
	context = find_named(root, "contexts", "context", text_of(root, "current-context"));
	if (!context)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "this is no kubeconfig with a current context");
	rc = read_view(root_fd, find_named(root, "clusters", "cluster", text_of(context, "cluster")),
		       find_named(root, "users", "user", text_of(context, "user")), &view, err);
	if (rc < 0)
		return rc;
	*ret = view;
	view = (struct byoh_kubeconfig_view){ 0 };
	return 0;
}

int byoh_kubeconfig_view_file(int root_fd, const char *path, struct byoh_kubeconfig_view *ret, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	int rc = byoh_host_read(root_fd, path, BYOH_KUBECONFIG_MAX_SIZE, &text, err);

	if (rc == 0)
		rc = byoh_kubeconfig_view(root_fd, byoh_buffer_text(&text), text.size, ret, err);
	return rc < 0 ? byoh_error_wrap(err, rc, "%s", path) : 0;
}
