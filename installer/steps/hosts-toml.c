/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registries as RKE2 writes them, said in containerd's hosts.toml (containerd, docs/hosts.md):
 * endpoints are tried in their order. One difference, meant: behind the last endpoint containerd
 * would try the registry itself; here the last endpoint stands as `server`, so that a host without
 * internet never waits for it. Whoever wants that names it as the last endpoint.
 */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"
#include "installer/steps/steps-internal.h"

struct place {
	const char *url;			   /* without a path that only says /v2 */
	bool override_path;			   /* the path is the whole API prefix */
	const struct byoh_registry_config *config; /* of the host in url; may be NULL */
	bool with_credentials;
	bool *secret;
};

const struct byoh_registry_config *byoh_registry_config_of(const struct byoh_config *config,
							   const char *registry)
{
	for (size_t i = 0; i < config->registry_config_count; i++)
		if (!strcmp(config->registry_configs[i].registry, registry))
			return &config->registry_configs[i];
	return NULL;
}

static const struct byoh_registry_config *config_of_url(const struct byoh_config *config,
							const char *url)
{
	const char *host = strstr(url, "://");
	CLEANUP_FREE char *name = NULL;

	host = host ? host + 3 : url;
	name = strndup(host, strcspn(host, "/"));
	return name ? byoh_registry_config_of(config, name) : NULL;
}

static int rewrite_refused(const char *registry, const struct byoh_pair *rewrite,
			   struct byoh_error *err)
{
	return byoh_fail(
		err, BYOH_ERROR_CONFIG, EINVAL,
		"registries.mirrors.%s.rewrite: \"%s\": \"%s\" cannot be said in containerd's hosts.toml, "
		"which knows one prefix for all images (\"^(.*)$\": \"prefix/$1\"); let the mirror keep the "
		"images' names, or write such a prefix",
		registry, rewrite->key, rewrite->value);
}

/* The one rewrite that containerd can do itself: everything below a prefix. */
static int prefix_of_rewrites(const struct byoh_mirror *mirror, char **ret, struct byoh_error *err)
{
	static const char *const everything[] = { "^(.*)$", "^(.*)", "(.*)$", "(.*)" };
	const struct byoh_pair *rewrite = mirror->rewrites.items;
	bool matches = false;
	size_t size;

	*ret = NULL;
	if (!mirror->rewrites.count)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(everything); i++)
		matches |= !strcmp(rewrite->key, everything[i]);
	size = strlen(rewrite->value);
	if (!matches || mirror->rewrites.count > 1 || size < 4 ||
	    strcmp(rewrite->value + size - 3, "/$1") || rewrite->value[0] == '/' ||
	    strcspn(rewrite->value, "$\\?# ") != size - 2)
		return rewrite_refused(mirror->registry, rewrite, err);
	*ret = strndup(rewrite->value, size - 3);
	return *ret ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/* "https://r.lan", ".../", ".../v2" are the same place; any other path is the prefix of the API
 * itself. */
static int place_of_endpoint(const char *endpoint, const char *prefix, char **ret_url,
			     bool *ret_override, struct byoh_error *err)
{
	const char *host = strstr(endpoint, "://");
	const char *path;
	size_t length;
	int size;

	if (!host || (strncmp(endpoint, "https://", 8) && strncmp(endpoint, "http://", 7)) ||
	    !host[3] || host[3] == '/')
		return byoh_fail(
			err, BYOH_ERROR_CONFIG, EINVAL,
			"registries: the endpoint \"%s\" is no URL; write https://host:port",
			endpoint);
	path = host + 3 + strcspn(host + 3, "/");
	length = strlen(path);
	while (length && path[length - 1] == '/')
		length--;
	if (length == 3 && !memcmp(path, "/v2", 3))
		length = 0;
	*ret_override = length || prefix;
	if (prefix)
		size = asprintf(ret_url, "%.*s%.*s/%s", (int)(path - endpoint), endpoint,
				length ? (int)length : 3, length ? path : "/v2", prefix);
	else
		size = asprintf(ret_url, "%.*s%.*s", (int)(path - endpoint), endpoint, (int)length,
				path);
	return size >= 0 ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int add_string(struct byoh_buffer *ret, const char *head, const char *text, const char *tail,
		      struct byoh_error *err)
{
	int rc = byoh_buffer_add_string(ret, head, err);

	if (!rc)
		rc = byoh_toml_quote(ret, text, err);
	return rc ? rc : byoh_buffer_add_string(ret, tail, err);
}

static int add_tls(const struct byoh_registry_config *config, struct byoh_buffer *ret,
		   struct byoh_error *err)
{
	int rc = 0;

	if (config->ca_file)
		rc = add_string(ret, "ca = ", config->ca_file, "\n", err);
	if (!rc && config->insecure_skip_verify)
		rc = byoh_buffer_add_string(ret, "skip_verify = true\n", err);
	if (rc || !config->cert_file)
		return rc;
	rc = add_string(ret, "client = [[", config->cert_file, ", ", err);
	return rc ? rc
		  : add_string(ret, "", config->key_file ? config->key_file : config->cert_file,
			       "]]\n", err);
}

/* What stands in the header of requests: Basic, from name and password or from what is encoded
 * already. */
static int credentials_of(const struct byoh_registry_config *config, struct byoh_buffer *ret,
			  struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer plain = { 0 };
	int rc;

	if (config->identity_token)
		return byoh_fail(
			err, BYOH_ERROR_CONFIG, EINVAL,
			"registries.configs.%s.auth: an identity token cannot be said in containerd 2's "
			"hosts.toml; use username and password",
			config->registry);
	if (config->auth)
		return byoh_buffer_printf(ret, err, "Basic %s", config->auth);
	if (!config->username || !config->password)
		return 0;
	rc = byoh_buffer_printf(&plain, err, "%s:%s", config->username, config->password);
	if (!rc)
		rc = byoh_buffer_add_string(ret, "Basic ", err);
	return rc ? rc : byoh_base64_encode(plain.data, plain.size, ret, err);
}

/* key: how the table of headers is called; it comes last, since a TOML table ends the keys before
 * it. */
static int add_header(const struct place *place, const char *key, struct byoh_buffer *ret,
		      struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer credentials = { 0 };
	int rc;

	if (!place->with_credentials || !place->config)
		return 0;
	rc = credentials_of(place->config, &credentials, err);
	if (rc || !credentials.size)
		return rc;
	*place->secret = true;
	rc = byoh_buffer_printf(ret, err, "\n[%s]\n", key);
	return rc ? rc : add_string(ret, "Authorization = ", credentials.data, "\n", err);
}

static int add_settings(const struct place *place, struct byoh_buffer *ret, struct byoh_error *err)
{
	int rc = byoh_buffer_add_string(ret, "capabilities = [\"pull\", \"resolve\"]\n", err);

	if (!rc && place->override_path)
		rc = byoh_buffer_add_string(ret, "override_path = true\n", err);
	return rc || !place->config ? rc : add_tls(place->config, ret, err);
}

static int add_server(const struct place *place, struct byoh_buffer *ret, struct byoh_error *err)
{
	int rc = add_string(ret, "server = ", place->url, "\n", err);

	if (!rc)
		rc = add_settings(place, ret, err);
	return rc ? rc : add_header(place, "header", ret, err);
}

static int add_host(const struct place *place, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer table = { 0 };
	int rc = add_string(&table, "host.", place->url, "", err);

	if (!rc)
		rc = byoh_buffer_printf(ret, err, "\n[%s]\n", table.data);
	if (!rc)
		rc = add_settings(place, ret, err);
	if (!rc)
		rc = byoh_buffer_add_string(&table, ".header", err);
	return rc ? rc : add_header(place, table.data, ret, err);
}

static int add_endpoint(const struct byoh_config *config, const char *endpoint, const char *prefix,
			bool server, struct place place, struct byoh_buffer *ret,
			struct byoh_error *err)
{
	CLEANUP_FREE char *url = NULL;
	int rc = place_of_endpoint(endpoint, prefix, &url, &place.override_path, err);

	if (rc)
		return rc;
	place.url = url;
	place.config = config_of_url(config, endpoint);
	return server ? add_server(&place, ret, err) : add_host(&place, ret, err);
}

/* No mirror, only how to reach the registry itself. */
static int add_registry(const char *registry, struct place place, const struct byoh_config *config,
			struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_FREE char *url = NULL;

	if (asprintf(&url, "https://%s",
		     strcmp(registry, "docker.io") ? registry : "registry-1.docker.io") < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	place.url = url;
	place.config = byoh_registry_config_of(config, registry);
	return add_server(&place, ret, err);
}

int byoh_hosts_toml(const struct byoh_config *config, const char *registry,
		    const struct byoh_mirror *mirror, bool with_credentials,
		    struct byoh_buffer *ret, bool *ret_secret, struct byoh_error *err)
{
	struct place place = { .with_credentials = with_credentials, .secret = ret_secret };
	CLEANUP_FREE char *prefix = NULL;
	size_t count = mirror ? mirror->endpoints.count : 0;
	int rc;

	*ret_secret = false;
	if (!count && !strcmp(registry, "*"))
		return byoh_fail(
			err, BYOH_ERROR_CONFIG, EINVAL,
			"registries: \"*\" needs a mirror with endpoints; settings belong to a registry's "
			"own name");
	if (!count)
		return add_registry(registry, place, config, ret, err);
	rc = prefix_of_rewrites(mirror, &prefix, err);
	if (!rc)
		rc = add_endpoint(config, mirror->endpoints.items[count - 1], prefix, true, place,
				  ret, err);
	for (size_t i = 0; !rc && i + 1 < count; i++)
		rc = add_endpoint(config, mirror->endpoints.items[i], prefix, false, place, ret,
				  err);
	return rc;
}
