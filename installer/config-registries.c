/* SPDX-License-Identifier: Apache-2.0 */
/* registries:, with the keys of RKE2's registries.yaml. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config-fields.h"
#include "installer/config-syntax.h"
#include "installer/credentials.h"

#define CREDENTIAL_MAX 8192 /* identity tokens are signed JSON of some kilobytes */
#define MIRROR_AT(member) offsetof(struct byoh_mirror, member)
#define CONFIG_AT(member) offsetof(struct byoh_registry_config, member)

/* What containerd's TOML takes between quotes without escapes. */
static bool is_pattern(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
			return false;
	return *text != '\0';
}

static bool is_credential(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			return false;
	return *text && strlen(text) <= CREDENTIAL_MAX;
}

/* A map of registries that has room for one struct each. */
static int open_map(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		    const char *key, size_t item_size, const struct byoh_yaml_node **ret_map,
		    void **ret_items, struct byoh_error *err)
{
	int r = byoh_yaml_read_node(reader->doc, map, key, BYOH_YAML_MAPPING, false, ret_map, err);

	if (r < 0 || !*ret_map)
		return r;
	if ((*ret_map)->count > BYOH_CONFIG_MAX_ITEMS)
		return byoh_yaml_fail(reader->doc, *ret_map, err, "\"%s\" holds more than %d entries", key,
				      BYOH_CONFIG_MAX_ITEMS);
	for (size_t i = 0; i < (*ret_map)->count; i++)
		if (!byoh_is_registry((*ret_map)->keys[i]->text))
			return byoh_yaml_fail(reader->doc, (*ret_map)->keys[i], err,
					      "\"%.100s\" is no registry; write HOST, HOST:PORT or \"*\"",
					      (*ret_map)->keys[i]->text);
	*ret_items = calloc((*ret_map)->count + 1, item_size);
	return *ret_items ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int read_mirrors(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			struct byoh_error *err)
{
	static const struct byoh_field fields[] = {
		{ .key = "endpoint", .type = BYOH_FIELD_STRINGS, .offset = MIRROR_AT(endpoints),
		  .valid = byoh_is_endpoint, .form = "a list of URLs like https://mirror.lan:5000" },
		{ .key = "rewrite", .type = BYOH_FIELD_PAIRS, .offset = MIRROR_AT(rewrites),
		  .valid = is_pattern, .valid_key = is_pattern,
		  .form = "patterns without quotes and backslashes" },
	};
	struct byoh_config *config = reader->config;
	const struct byoh_yaml_node *mirrors = NULL;
	void *items = NULL;
	int r = open_map(reader, map, "mirrors", sizeof(struct byoh_mirror), &mirrors, &items, err);

	config->mirrors = items;
	for (size_t i = 0; r == 0 && mirrors && i < mirrors->count; i++) {
		struct byoh_mirror *mirror = &config->mirrors[i];

		config->mirror_count = i + 1;
		r = byoh_config_copy(mirrors->keys[i]->text, &mirror->registry, err);
		if (r == 0)
			r = byoh_config_fields(reader, mirrors->items[i], fields, ARRAY_SIZE(fields), mirror,
					       err);
		if (r == 0 && !mirror->endpoints.count)
			return byoh_yaml_fail(reader->doc, mirrors->items[i], err,
					      "the mirror of \"%s\" has no \"endpoint\"", mirror->registry);
	}
	return r;
}

static int read_auth(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		     struct byoh_registry_config *config, struct byoh_error *err)
{
	static const char form[] = "printable characters, at most 8192";
	static const struct byoh_field fields[] = {
		{ .key = "username", .type = BYOH_FIELD_SECRET, .offset = CONFIG_AT(username),
		  .valid = is_credential, .form = form },
		{ .key = "password", .type = BYOH_FIELD_SECRET, .offset = CONFIG_AT(password),
		  .valid = is_credential, .form = form },
		{ .key = "auth", .type = BYOH_FIELD_SECRET, .offset = CONFIG_AT(auth),
		  .valid = is_credential, .form = form },
		{ .key = "identity_token", .type = BYOH_FIELD_SECRET, .offset = CONFIG_AT(identity_token),
		  .valid = is_credential, .form = form },
	};
	const struct byoh_yaml_node *auth = byoh_config_get(map, "auth");
	int r = byoh_config_fields(reader, auth, fields, ARRAY_SIZE(fields), config, err);

	if (r == 0 && !config->username != !config->password)
		return byoh_yaml_fail(reader->doc, auth, err,
				      "\"username\" and \"password\" belong together; give both");
	return r;
}

static int read_tls(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
		    struct byoh_registry_config *config, struct byoh_error *err)
{
	static const char form[] = "an absolute path on the host";
	static const struct byoh_field fields[] = {
		{ .key = "ca_file", .type = BYOH_FIELD_STRING, .offset = CONFIG_AT(ca_file),
		  .valid = byoh_is_host_path, .form = form },
		{ .key = "cert_file", .type = BYOH_FIELD_STRING, .offset = CONFIG_AT(cert_file),
		  .valid = byoh_is_host_path, .form = form },
		{ .key = "key_file", .type = BYOH_FIELD_STRING, .offset = CONFIG_AT(key_file),
		  .valid = byoh_is_host_path, .form = form },
		{ .key = "insecure_skip_verify", .type = BYOH_FIELD_BOOL,
		  .offset = CONFIG_AT(insecure_skip_verify) },
	};
	const struct byoh_yaml_node *tls = byoh_config_get(map, "tls");
	int r = byoh_config_fields(reader, tls, fields, ARRAY_SIZE(fields), config, err);

	if (r == 0 && !config->cert_file != !config->key_file)
		return byoh_yaml_fail(reader->doc, tls, err,
				      "\"cert_file\" and \"key_file\" belong together; give both");
	return r;
}

static int read_configs(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
			struct byoh_error *err)
{
	static const char *const keys[] = { "auth", "tls", NULL };
	struct byoh_config *config = reader->config;
	const struct byoh_yaml_node *configs = NULL;
	void *items = NULL;
	int r = open_map(reader, map, "configs", sizeof(struct byoh_registry_config), &configs, &items, err);

	config->registry_configs = items;
	for (size_t i = 0; r == 0 && configs && i < configs->count; i++) {
		struct byoh_registry_config *registry = &config->registry_configs[i];

		config->registry_config_count = i + 1;
		r = byoh_config_copy(configs->keys[i]->text, &registry->registry, err);
		if (r == 0)
			r = byoh_yaml_only_keys(reader->doc, configs->items[i], keys, false, err);
		if (r == 0)
			r = read_auth(reader, configs->items[i], registry, err);
		if (r == 0)
			r = read_tls(reader, configs->items[i], registry, err);
	}
	return r;
}

int byoh_config_read_registries(const struct byoh_config_reader *reader, const struct byoh_yaml_node *map,
				struct byoh_error *err)
{
	static const char *const keys[] = { "mirrors", "configs", NULL };
	int r;

	if (!map)
		return 0;
	r = byoh_yaml_only_keys(reader->doc, map, keys, false, err);
	if (r == 0)
		r = read_mirrors(reader, map, err);
	return r < 0 ? r : read_configs(reader, map, err);
}
