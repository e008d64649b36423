/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/kubeconfig-access.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/yaml.h"
#include "installer/config-syntax.h"
#include "installer/credentials.h"
#include "installer/host.h"
#include "installer/kubeconfig.h"

void byoh_access_release(struct byoh_access *access)
{
	free(access->server);
	byoh_buffer_release(&access->ca);
	byoh_secret_free(access->token);
	byoh_secret_buffer_release(&access->certificate);
	byoh_secret_buffer_release(&access->key);
	free(access->ca_file);
	free(access->certificate_file);
	free(access->key_file);
	free(access->token_file);
	*access = (struct byoh_access){ 0 };
}

static int copy(const char *text, char **ret, struct byoh_error *err)
{
	*ret = strdup(text);
	return *ret ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/* The mapping `inner` of the entry of the list that has this name. */
static int find(const struct byoh_yaml *doc, const char *list, const char *inner, const char *name,
		const struct byoh_yaml_node **ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *entries = NULL;
	const char *entry_name;
	int r = byoh_yaml_read_node(doc, byoh_yaml_root(doc), list, BYOH_YAML_SEQUENCE, true, &entries, err);

	for (size_t i = 0; r == 0 && i < entries->count; i++) {
		entry_name = "";
		r = byoh_yaml_read_string(doc, entries->items[i], "name", false, &entry_name, err);
		if (r == 0 && strcmp(entry_name, name) == 0)
			return byoh_yaml_read_node(doc, entries->items[i], inner, BYOH_YAML_MAPPING, true, ret, err);
	}
	return r < 0 ? r : byoh_yaml_fail(doc, entries, err, "there is no \"%s\" among \"%s\"", name, list);
}

/* KEY-data in base64, or a file by KEY. */
static int read_credential(const struct byoh_yaml *doc, const struct byoh_yaml_node *map, const char *key,
			   const char *data_key, struct byoh_buffer *ret, char **ret_file, struct byoh_error *err)
{
	const char *file = NULL, *data = NULL;
	int r = byoh_yaml_read_string(doc, map, data_key, false, &data, err);

	if (r == 0)
		r = byoh_yaml_read_string(doc, map, key, false, &file, err);
	if (r < 0)
		return r;
	if (data && *data && byoh_base64_decode(data, ret, NULL) < 0)
		return byoh_yaml_fail(doc, byoh_yaml_get(map, data_key), err, "\"%s\" is not base64", data_key);
	if (ret->size && strlen(ret->data) != ret->size)
		return byoh_yaml_fail(doc, byoh_yaml_get(map, data_key), err, "\"%s\" holds no PEM text", data_key);
	return ret->size || !file || !*file ? 0 : copy(file, ret_file, err);
}

static int read_cluster(const struct byoh_yaml *doc, const char *name, struct byoh_access *ret,
			struct byoh_error *err)
{
	const struct byoh_yaml_node *cluster = NULL;
	const char *url = NULL;
	int r = find(doc, "clusters", "cluster", name, &cluster, err);

	if (r == 0)
		r = byoh_yaml_read_string(doc, cluster, "server", true, &url, err);
	if (r < 0)
		return r;
	r = byoh_server_url(url, &ret->server);
	if (r == -EINVAL)
		return byoh_yaml_fail(doc, byoh_yaml_get(cluster, "server"), err,
				      "\"server\" must be " BYOH_SERVER_URL_FORM);
	if (r < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -r, "out of memory");
	return read_credential(doc, cluster, "certificate-authority", "certificate-authority-data", &ret->ca,
			       &ret->ca_file, err);
}

static int read_user(const struct byoh_yaml *doc, const char *name, struct byoh_access *ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *user = NULL;
	const char *token = NULL, *token_file = NULL;
	int r = find(doc, "users", "user", name, &user, err);

	if (r == 0)
		r = byoh_yaml_read_string(doc, user, "token", false, &token, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, user, "tokenFile", false, &token_file, err);
	if (r == 0 && token && *token)
		r = copy(token, &ret->token, err);
	else if (r == 0 && token_file && *token_file)
		r = copy(token_file, &ret->token_file, err);
	if (r == 0)
		r = read_credential(doc, user, "client-certificate", "client-certificate-data", &ret->certificate,
				    &ret->certificate_file, err);
	return r < 0 ? r : read_credential(doc, user, "client-key", "client-key-data", &ret->key, &ret->key_file, err);
}

static int parse(const struct byoh_yaml *doc, struct byoh_access *ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *root = byoh_yaml_root(doc), *context = NULL;
	const char *current = NULL, *cluster = NULL, *user = NULL;
	int r;

	if (!root || root->type != BYOH_YAML_MAPPING)
		return byoh_yaml_fail(doc, root, err, "no kubeconfig");
	r = byoh_yaml_read_string(doc, root, "current-context", true, &current, err);
	if (r == 0)
		r = find(doc, "contexts", "context", current, &context, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, context, "cluster", true, &cluster, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, context, "user", true, &user, err);
	if (r == 0)
		r = read_cluster(doc, cluster, ret, err);
	return r < 0 ? r : read_user(doc, user, ret, err);
}

int byoh_access_parse(const char *text, size_t size, const char *name, struct byoh_access *ret,
		      struct byoh_error *err)
{
	__attribute__((cleanup(byoh_secret_yaml_freep))) struct byoh_yaml *doc = NULL;
	CLEANUP_ACCESS struct byoh_access access = { 0 };
	int r = size > BYOH_KUBECONFIG_MAX_SIZE
			? byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG, "%s: larger than 1 MiB, so no kubeconfig", name)
			: byoh_yaml_parse(text, size, name, BYOH_ERROR_CONFIG, &doc, err);

	if (r == 0)
		r = parse(doc, &access, err);
	if (r < 0)
		return r;
	*ret = access;
	access = (struct byoh_access){ 0 };
	return 0;
}

static int read_named(int root_fd, const char *path, const char *kubeconfig, struct byoh_buffer *ret,
		      struct byoh_error *err)
{
	int r;

	if (!path)
		return 0;
	/* One that is not absolute is beside the kubeconfig for client-go; nothing of ours writes those. */
	r = path[0] == '/' ? byoh_host_read(root_fd, path, BYOH_CREDENTIAL_MAX, ret, err)
			   : byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "%s is no absolute path", path);
	if (r == 0 && strlen(byoh_buffer_text(ret)) != ret->size)
		r = byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "%s holds a zero byte", path);
	return r < 0 ? byoh_error_wrap(err, r, "%s", kubeconfig) : 0;
}

static int read_token_file(int root_fd, const char *kubeconfig, struct byoh_access *access, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	int r = read_named(root_fd, access->token_file, kubeconfig, &text, err);

	if (r < 0 || !access->token_file)
		return r;
	while (text.size && strchr(" \t\r\n", text.data[text.size - 1]))
		text.data[--text.size] = '\0';
	return copy(byoh_buffer_text(&text), &access->token, err);
}


static int read_files(int root_fd, const char *path, struct byoh_access *access, struct byoh_error *err)
{
	int r = read_named(root_fd, access->ca_file, path, &access->ca, err);

	if (r == 0)
		r = read_named(root_fd, access->certificate_file, path, &access->certificate, err);
	if (r == 0)
		r = read_named(root_fd, access->key_file, path, &access->key, err);
	if (r == 0)
		r = read_token_file(root_fd, path, access, err);
	if (r < 0)
		return r;
	if (!access->ca.size)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "%s names no CA that would verify the server", path);
	if (!access->token && !(access->certificate.size && access->key.size))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "%s holds no token and no client certificate", path);
	return 0;
}

int byoh_access_read(int root_fd, const char *path, struct byoh_access *ret, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_ACCESS struct byoh_access access = { 0 };
	int r = byoh_host_read(root_fd, path, BYOH_KUBECONFIG_MAX_SIZE, &text, err);

	if (r == 0)
		r = byoh_access_parse(byoh_buffer_text(&text), text.size, path, &access, err);
	if (r == 0)
		r = read_files(root_fd, path, &access, err);
	if (r < 0)
		return r;
	*ret = access;
	access = (struct byoh_access){ 0 };
	return 0;
}

struct byoh_api_request byoh_access_request(const struct byoh_access *access)
{
	bool certificate = access->certificate.size && access->key.size;

	return (struct byoh_api_request){
		.server = access->server,
		.ca = access->ca.size ? &access->ca : NULL,
		.token = certificate ? NULL : access->token,
		.certificate = certificate ? access->certificate.data : NULL,
		.key = certificate ? access->key.data : NULL,
	};
}
