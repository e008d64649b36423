/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"
#include "installer/config-fields.h"
#include "installer/config-syntax.h"
#include "installer/credentials.h"

#define API_VERSION "byoh-install/v1alpha1"
#define KIND "InstallConfig"
#define MAX_MACHINES 4096

static int fail_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

const char *byoh_join_mode_name(enum byoh_join_mode mode)
{
	static const char *const names[] = {
		[BYOH_JOIN_AGENT] = "agent",
		[BYOH_JOIN_KUBEADM] = "kubeadm",
		[BYOH_JOIN_TLS_BOOTSTRAP] = "tlsBootstrap",
		[BYOH_JOIN_NONE] = "none",
	};

	return names[mode];
}

static void release_strings(struct byoh_strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
}

static void release_pairs(struct byoh_pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		free(pairs->items[i].key);
		free(pairs->items[i].value);
	}
	free(pairs->items);
}

static void release_registries(struct byoh_config *config)
{
	for (size_t i = 0; i < config->mirror_count; i++) {
		free(config->mirrors[i].registry);
		release_strings(&config->mirrors[i].endpoints);
		release_pairs(&config->mirrors[i].rewrites);
	}
	free(config->mirrors);
	for (size_t i = 0; i < config->registry_config_count; i++) {
		struct byoh_registry_config *registry = &config->registry_configs[i];

		free(registry->registry);
		byoh_secret_free(registry->username);
		byoh_secret_free(registry->password);
		byoh_secret_free(registry->auth);
		byoh_secret_free(registry->identity_token);
		free(registry->ca_file);
		free(registry->cert_file);
		free(registry->key_file);
	}
	free(config->registry_configs);
}

static void release_secrets(struct byoh_config *config)
{
	byoh_buffer_release(&config->signature);
	byoh_secret_buffer_release(&config->text); /* a token may stand in it */
	byoh_secret_free(config->cluster.token);
	byoh_secret_free(config->kube_proxy.token);
	byoh_secret_buffer_release(&config->kube_proxy.kubeconfig);
}

void byoh_config_free(struct byoh_config *config)
{
	if (!config)
		return;
	release_secrets(config);
	release_registries(config);
	byoh_config_release_management(&config->management);
	byoh_config_release_iso(&config->iso);
	release_pairs(&config->node.labels);
	release_strings(&config->node.taints);
	release_pairs(&config->node.system_reserved);
	release_pairs(&config->node.kube_reserved);
	byoh_buffer_release(&config->node.kubelet);
	byoh_buffer_release(&config->node.kubelet_text);
	release_pairs(&config->agent.host_labels);
	release_strings(&config->host.ntp);
	release_pairs(&config->host.hosts);
	byoh_buffer_release(&config->cluster.ca);
	byoh_buffer_release(&config->cluster.old_ca);
	byoh_buffer_release(&config->cni.conflist);
	free(config->path);
	free(config->cluster.name);
	free(config->cluster.server);
	free(config->cluster.ca_pin);
	free(config->cluster.ca_file);
	free(config->cluster.token_file);
	free(config->cluster.kubeconfig_file);
	free(config->cluster.pod_cidr);
	free(config->cluster.service_cidr);
	free(config->cluster.dns);
	free(config->node.ip);
	free(config->node.resolv_conf);
	free(config->node.kubelet_file);
	free(config->agent.namespace_name);
	free(config->agent.metrics);
	free(config->agent.bundle_repo);
	free(config->agent.bundle_os);
	free(config->host.hostname);
	free(config->containerd.root);
	free(config->containerd.sandbox_image);
	free(config->kube_proxy.token_file);
	free(config->kube_proxy.kubeconfig_file);
	free(config->cni.conflist_name);
	free(config->cni.conflist_file);
	free(config->cni.pod_cidr);
	free(config);
}

void byoh_config_freep(struct byoh_config **config)
{
	byoh_config_free(*config);
}

int byoh_config_default(struct byoh_config **ret, struct byoh_error *err)
{
	CLEANUP_CONFIG struct byoh_config *config = calloc(1, sizeof(*config));
	int r;

	if (!config)
		return fail_memory(err);
	config->join_mode = BYOH_JOIN_NONE;
	r = byoh_config_set_defaults(config, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(config);
	return 0;
}

static int check_head(const struct byoh_yaml *doc, const struct byoh_yaml_node *root, struct byoh_error *err)
{
	static const char *const keys[] = {
		"apiVersion", "kind", "cluster", "join", "node", "agent", "host", "containerd",
		"registries", "kubeProxy", "cni", "policy", "management", "machines", "iso", NULL,
	};
	const char *version = NULL, *kind = NULL;
	int r;

	if (!root)
		return byoh_yaml_fail(doc, NULL, err,
				      "the config is empty; it begins with apiVersion: " API_VERSION);
	r = byoh_yaml_only_keys(doc, root, keys, false, err);
	if (r == 0)
		r = byoh_yaml_read_string(doc, root, "apiVersion", true, &version, err);
	if (r == 0 && strcmp(version, API_VERSION) != 0)
		return byoh_yaml_fail(doc, byoh_yaml_get(root, "apiVersion"), err,
				      "the apiVersion \"%.60s\" is not known to this installer; write "
				      API_VERSION, version);
	if (r == 0)
		r = byoh_yaml_read_string(doc, root, "kind", true, &kind, err);
	if (r == 0 && strcmp(kind, KIND) != 0)
		return byoh_yaml_fail(doc, byoh_yaml_get(root, "kind"), err,
				      "the kind must be " KIND ", not \"%.60s\"", kind);
	return r;
}

/* The root with an entry of `machines:` laid over it. */
static int read_merged(const struct byoh_config_reader *reader, const struct byoh_yaml_node *root,
		       const struct byoh_yaml_node *entry, struct byoh_error *err)
{
	CLEANUP(byoh_config_overlay_release) struct byoh_config_overlay overlay = {0};
	const struct byoh_yaml_node *merged = root;
	int r = entry ? byoh_config_merge(&overlay, root, entry, &merged, err) : 0;

	if (r == 0 && entry)
		reader->config->machine_line = entry->line;
	return r < 0 ? r : byoh_config_read_sections(reader, merged, err);
}

/* Another machine's entry is checked as well: its typo should not wait for that machine. */
static int check_other_machine(const struct byoh_config_reader *reader, const struct byoh_yaml_node *root,
			       const struct byoh_yaml_node *entry, struct byoh_error *err)
{
	CLEANUP_CONFIG struct byoh_config *scratch = calloc(1, sizeof(*scratch));
	struct byoh_config_reader other = *reader;

	if (!scratch)
		return fail_memory(err);
	other.config = scratch;
	other.without_files = true;
	return read_merged(&other, root, entry, err);
}

/* *ret is the entry that applies, or NULL. Without an identity it is the first one. */
static int find_machine(const struct byoh_config_reader *reader, const struct byoh_yaml_node *machines,
			const struct byoh_machine_identity *identity, const struct byoh_yaml_node **ret,
			struct byoh_error *err)
{
	*ret = NULL;
	if (machines && machines->count > MAX_MACHINES)
		return byoh_yaml_fail(reader->doc, machines, err, "\"machines\" holds more than %d entries",
				      MAX_MACHINES);
	for (size_t i = 0; machines && i < machines->count; i++) {
		const struct byoh_yaml_node *entry = machines->items[i];
		bool matches = false;
		int r = byoh_config_machine_matches(reader->doc, entry, identity, &matches, err);

		if (r < 0)
			return r;
		if (matches && *ret)
			return byoh_yaml_fail(reader->doc, entry, err,
					      "this machine matches here and in line %u; make the two differ",
					      (*ret)->line);
		if (matches || (!identity && i == 0))
			*ret = entry;
	}
	return 0;
}

static int read_document(const struct byoh_config_reader *reader,
			 const struct byoh_machine_identity *identity, struct byoh_error *err)
{
	const struct byoh_yaml_node *root = byoh_yaml_root(reader->doc);
	const struct byoh_yaml_node *machines = NULL, *ours = NULL;
	int r = check_head(reader->doc, root, err);

	if (r == 0)
		r = byoh_yaml_read_node(reader->doc, root, "machines", BYOH_YAML_SEQUENCE, false, &machines,
					err);
	if (r == 0)
		r = find_machine(reader, machines, identity, &ours, err);
	for (size_t i = 0; r == 0 && machines && i < machines->count; i++)
		if (machines->items[i] != ours)
			r = check_other_machine(reader, root, machines->items[i], err);
	if (r == 0)
		r = read_merged(reader, root, ours, err);
	return r < 0 ? r : byoh_config_set_defaults(reader->config, err);
}

static int parse(const char *text, size_t size, const char *name, const struct byoh_config_reader *how,
		 const struct byoh_machine_identity *identity, struct byoh_config **ret, struct byoh_error *err)
{
	CLEANUP_CONFIG struct byoh_config *config = calloc(1, sizeof(*config));
	CLEANUP(byoh_secret_yaml_freep) struct byoh_yaml *doc = NULL;
	struct byoh_config_reader reader = *how;
	int r;

	if (!config)
		return fail_memory(err);
	reader.config = config;
	if (size > BYOH_CONFIG_MAX_SIZE)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG, "%s: larger than 1 MiB, so no config", name);
	r = byoh_yaml_parse(text, size, name, BYOH_ERROR_CONFIG, &doc, err);
	reader.doc = doc;
	if (r == 0)
		r = byoh_config_copy(name, &config->path, err);
	if (r == 0)
		r = byoh_buffer_add(&config->text, text, size, err);
	if (r == 0)
		r = read_document(&reader, identity, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(config);
	return 0;
}

int byoh_config_parse(const char *text, size_t size, const char *name, const char *directory,
		      const struct byoh_machine_identity *identity, struct byoh_config **ret,
		      struct byoh_error *err)
{
	const struct byoh_config_reader how = { .directory = directory };

	return parse(text, size, name, &how, identity, ret, err);
}

static int load_read(const char *path, const struct byoh_buffer *text, struct byoh_config_reader how,
		     const struct byoh_machine_identity *identity, struct byoh_config **ret,
		     struct byoh_error *err)
{
	CLEANUP_FREE char *directory = NULL;
	const char *last = strrchr(path, '/');

	if (last == path)
		directory = strdup("/");
	else
		directory = last ? strndup(path, (size_t)(last - path)) : strdup(".");
	if (!directory)
		return fail_memory(err);
	how.directory = directory;
	return parse(byoh_buffer_text(text), text->size, path, &how, identity, ret, err);
}

int byoh_config_load_read(const char *path, const struct byoh_buffer *text,
			  const struct byoh_machine_identity *identity, struct byoh_config **ret,
			  struct byoh_error *err)
{
	return load_read(path, text, (struct byoh_config_reader){0}, identity, ret, err);
}

int byoh_config_load_for_all(const char *path, const struct byoh_buffer *text, struct byoh_config **ret,
			     struct byoh_error *err)
{
	static const struct byoh_machine_identity nobody = {0};

	return load_read(path, text, (struct byoh_config_reader){ .token_may_come = true }, &nobody, ret, err);
}

int byoh_config_load(const char *path, const struct byoh_machine_identity *identity,
		     struct byoh_config **ret, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = {0};
	int r = byoh_config_read_text(path, &text, err);

	return r < 0 ? r : byoh_config_load_read(path, &text, identity, ret, err);
}
