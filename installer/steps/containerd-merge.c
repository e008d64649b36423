/* SPDX-License-Identifier: Apache-2.0 */
/* The drop-in for a containerd that was there before. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/containerd-adopt.h"

#define DOT BYOH_TOML_DOT
#define CRI "plugins" DOT "io.containerd.grpc.v1.cri"
#define CRI_IMAGES "plugins" DOT "io.containerd.cri.v1.images"
#define CRI_RUNTIME "plugins" DOT "io.containerd.cri.v1.runtime"
#define RUNC DOT "containerd" DOT "runtimes" DOT "runc" DOT

struct setting {
	char *path;
	char *value; /* TOML */
};

struct wish {
	const char *path;
	const char *value; /* NULL: none */
	bool weak;	   /* what the host says stands */
};

struct merge {
	const struct byoh_containerd_input *input;
	const struct byoh_containerd_source *sources; /* those whose words count for CRI */
	size_t source_count;
	unsigned int version; /* of the configuration */
	size_t setting_count;
	struct setting *settings;
	size_t table_count;
	char **tables;
};

static void release(struct merge *merge)
{
	for (size_t i = 0; i < merge->setting_count; i++) {
		free(merge->settings[i].path);
		explicit_bzero(merge->settings[i].value, strlen(merge->settings[i].value));
		free(merge->settings[i].value);
	}
	for (size_t i = 0; i < merge->table_count; i++)
		free(merge->tables[i]);
	free(merge->settings);
	free(merge->tables);
}

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

void byoh_containerd_sources_release(struct byoh_containerd_sources *sources)
{
	for (size_t i = 0; i < sources->count; i++) {
		struct byoh_containerd_source *source = &sources->items[i];

		byoh_toml_free(source->toml);
		if (source->text.data) /* registries' passwords may stand in it */
			explicit_bzero(source->text.data, source->text.size);
		byoh_buffer_release(&source->text);
		free(source->path);
	}
	free(sources->items);
	*sources = (struct byoh_containerd_sources){ 0 };
}

static int refuse(const struct byoh_containerd_source *source, const struct byoh_toml_item *item,
		  struct byoh_error *err, const char *why)
{
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOTSUP, "%s: line %u: %s", source->path,
			 item->line, why);
}

/* What the host says of a key: the last word counts. */
static const struct byoh_toml_item *said(const struct merge *merge, const char *path,
					 const struct byoh_containerd_source **ret_source)
{
	for (size_t i = merge->source_count; i--;) {
		const struct byoh_toml_item *item = byoh_toml_find(merge->sources[i].toml, path);

		if (item) {
			*ret_source = &merge->sources[i];
			return item;
		}
	}
	return NULL;
}

/* value is TOML, or with quote a text that becomes it. */
static int set(struct merge *merge, const char *path, const char *value, bool quote, bool weak,
	       struct byoh_error *err)
{
	const struct byoh_containerd_source *source;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct setting *grown;
	int rc;

	if (weak && said(merge, path, &source))
		return 0;
	rc = quote ? byoh_toml_quote(&text, value, err) : byoh_buffer_add_string(&text, value, err);
	if (rc)
		return rc;
	grown = reallocarray(merge->settings, merge->setting_count + 1, sizeof(*grown));
	if (!grown)
		return out_of_memory(err);
	merge->settings = grown;
	grown[merge->setting_count] = (struct setting){ .path = strdup(path), .value = text.data };
	if (!grown[merge->setting_count].path)
		return out_of_memory(err);
	text = (struct byoh_buffer){ 0 };
	merge->setting_count++;
	return 0;
}

/* Mirrors and TLS of registries in the configuration itself exclude config_path. */
static const struct byoh_toml_item *old_registries(const struct merge *merge, const char *registry,
						   const struct byoh_containerd_source **ret_source)
{
	size_t length = strlen(registry);

	for (size_t i = 0; i < merge->source_count; i++) {
		const struct byoh_toml *toml = merge->sources[i].toml;

		for (size_t k = 0; k < toml->count; k++) {
			const char *path = toml->items[k].path;

			if (!byoh_toml_is_below(path, registry))
				continue;
			*ret_source = &merge->sources[i];
			path += length;
			if (!strncmp(path, DOT "mirrors" DOT, strlen(DOT "mirrors" DOT)))
				return &toml->items[k];
			if (!strncmp(path, DOT "configs" DOT, strlen(DOT "configs" DOT)) &&
			    (strstr(path, DOT "tls" DOT) ||
			     !strcmp(path + strlen(path) - strlen(DOT "tls"), DOT "tls")))
				return &toml->items[k];
		}
	}
	return NULL;
}

static bool lists(const char *folders, const char *folder)
{
	size_t length = strlen(folder);

	for (const char *at = folders; (at = strstr(at, folder)); at += length)
		if ((at == folders || at[-1] == ':') && (!at[length] || at[length] == ':'))
			return true;
	return false;
}

/* The host's own folders of hosts.toml stay, ours comes behind them. */
static int set_config_path(struct merge *merge, const char *registry, struct byoh_error *err)
{
	const struct byoh_containerd_source *source = NULL;
	const struct byoh_toml_item *item = old_registries(merge, registry, &source);
	CLEANUP_FREE char *path = NULL, *theirs = NULL, *both = NULL;
	int rc;

	if (item && !merge->input->has_registries)
		return 0;
	if (item)
		return refuse(source, item, err,
			      "registries are configured here, which excludes hosts.toml: move them to "
			      "\"registries\" of byoh.yaml");
	if (asprintf(&path, "%s" DOT "config_path", registry) < 0)
		return out_of_memory(err);
	item = said(merge, path, &source);
	if (!item)
		return set(merge, path, BYOH_CONTAINERD_CERTS, true, false, err);
	rc = byoh_toml_text(source->toml, item, &theirs, err);
	if (rc)
		return byoh_error_wrap(err, rc, "%s", source->path);
	if (lists(theirs, BYOH_CONTAINERD_CERTS))
		return set(merge, path, theirs, true, false, err);
	if (asprintf(&both, "%s%s" BYOH_CONTAINERD_CERTS, theirs, theirs[0] ? ":" : "") < 0)
		return out_of_memory(err);
	return set(merge, path, both, true, false, err);
}

static int set_credential(struct merge *merge, const char *registry, const char *key,
			  const char *value, struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;

	if (!value)
		return 0;
	if (asprintf(&path, CRI DOT "registry" DOT "configs" DOT "%s" DOT "auth" DOT "%s", registry,
		     key) < 0)
		return out_of_memory(err);
	return set(merge, path, value, true, false, err);
}

static int set_credentials(struct merge *merge, struct byoh_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < merge->input->registry_config_count && !rc; i++) {
		const struct byoh_registry_config *one = &merge->input->registry_configs[i];

		rc = set_credential(merge, one->registry, "username", one->username, err);
		if (!rc)
			rc = set_credential(merge, one->registry, "password", one->password, err);
		if (!rc)
			rc = set_credential(merge, one->registry, "auth", one->auth, err);
		if (!rc)
			rc = set_credential(merge, one->registry, "identitytoken",
					    one->identity_token, err);
	}
	return rc;
}

static int set_all(struct merge *merge, const struct wish *wishes, size_t count,
		   struct byoh_error *err)
{
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++)
		if (wishes[i].value)
			rc = set(merge, wishes[i].path, wishes[i].value, false,
				 wishes[i].weak, err);
	return rc;
}

#define ALWAYS false
#define IF_SILENT true

static int set_version_2(struct merge *merge, const char *sandbox, struct byoh_error *err)
{
	const struct wish wishes[] = {
		{ CRI DOT "sandbox_image", sandbox, ALWAYS },
		{ CRI DOT "enable_selinux", merge->input->selinux ? "true" : NULL, IF_SILENT },
		{ CRI DOT "cni" DOT "bin_dir", "\"" BYOH_CNI_BIN "\"", ALWAYS },
		{ CRI DOT "cni" DOT "conf_dir", "\"" BYOH_CNI_CONFIG "\"", ALWAYS },
		{ CRI RUNC "runtime_type", "\"io.containerd.runc.v2\"", IF_SILENT },
		{ CRI RUNC "options" DOT "SystemdCgroup", "true", ALWAYS },
	};
	int rc = set_all(merge, wishes, ARRAY_SIZE(wishes), err);

	if (!rc)
		rc = set_config_path(merge, CRI DOT "registry", err);
	return rc || merge->input->major >= 2 ? rc : set_credentials(merge, err);
}

/* bin_dirs came with 2.1; who has both is refused. */
static int set_version_3(struct merge *merge, const char *sandbox, struct byoh_error *err)
{
	const struct byoh_containerd_source *source;
	bool lists_of_folders = (merge->input->minor >= 1 || merge->input->major > 2) &&
				!said(merge, CRI_RUNTIME DOT "cni" DOT "bin_dir", &source);
	const struct wish wishes[] = {
		{ CRI_IMAGES DOT "pinned_images" DOT "sandbox", sandbox, ALWAYS },
		{ CRI_RUNTIME DOT "enable_selinux", merge->input->selinux ? "true" : NULL, IF_SILENT },
		{ CRI_RUNTIME DOT "cni" DOT "bin_dir",
		  lists_of_folders ? NULL : "\"" BYOH_CNI_BIN "\"", ALWAYS },
		{ CRI_RUNTIME DOT "cni" DOT "bin_dirs",
		  lists_of_folders ? "[\"" BYOH_CNI_BIN "\"]" : NULL, ALWAYS },
		{ CRI_RUNTIME DOT "cni" DOT "conf_dir", "\"" BYOH_CNI_CONFIG "\"", ALWAYS },
		{ CRI_RUNTIME RUNC "runtime_type", "\"io.containerd.runc.v2\"", IF_SILENT },
		{ CRI_RUNTIME RUNC "options" DOT "SystemdCgroup", "true", ALWAYS },
	};
	int rc = set_all(merge, wishes, ARRAY_SIZE(wishes), err);

	return rc ? rc : set_config_path(merge, CRI_IMAGES DOT "registry", err);
}

/* A text that is not understood, or one that says nothing of its version and sets plugins under the
 * names of version 1. */
static int find_version(struct merge *merge, const struct byoh_containerd_source *top,
			struct byoh_error *err)
{
	const struct byoh_toml_item *item = byoh_toml_find(top->toml, "version");
	const char *value = item ? top->toml->text + item->value : NULL;

	merge->version = 2;
	if (top->missing)
		merge->version = merge->input->major < 2 ? 2 : 3;
	if (item && item->value_end - item->value == 1 && *value >= '2' &&
	    *value <= (merge->input->major < 2 ? '2' : '4')) {
		merge->version = (unsigned int)(*value - '0');
		return 0;
	}
	if (item)
		return refuse(top, item, err,
			      merge->input->major < 2 ?
				      "only version 2 of the configuration can be adopted; containerd "
				      "config migrate, or the manual of its release, tells how to get there" :
				      "only versions 2 to 4 of the configuration can be adopted; containerd "
				      "config migrate writes one");
	for (size_t i = 0; i < top->toml->count; i++)
		if (byoh_toml_is_below(top->toml->items[i].path, "plugins"))
			return refuse(top, &top->toml->items[i], err,
				      "plugins are set in a file without \"version = 2\", that is in "
				      "version 1, which cannot be adopted; write it in version 2");
	return 0;
}

static bool speaks_of_cri(const struct byoh_containerd_source *source)
{
	for (size_t i = 0; i < source->toml->count; i++)
		if (byoh_toml_is_below(source->toml->items[i].path, CRI) ||
		    (source->toml->items[i].kind == BYOH_TOML_KEY &&
		     !strcmp(source->toml->items[i].path, "plugins")))
			return true;
	return false;
}

/* 1.x: the last section, whole; 2.x: all, key by key. */
static void choose_sources(struct merge *merge, const struct byoh_containerd_sources *all)
{
	merge->sources = all->items;
	merge->source_count = all->count;
	if (merge->input->major >= 2)
		return;
	for (size_t i = all->count; i--;) {
		merge->sources = &all->items[i];
		merge->source_count = 1;
		if (speaks_of_cri(merge->sources))
			return;
	}
}

/* The kubelet and all others come to one place. */
static int check_socket(const struct byoh_containerd_source *source, struct byoh_error *err)
{
	static const char *const keys[] = {
		"grpc" DOT "address", "plugins" DOT "io.containerd.server.v1.grpc" DOT "address" };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct byoh_toml_item *item = byoh_toml_find(source->toml, keys[i]);
		CLEANUP_FREE char *address = NULL;
		int rc = item ? byoh_toml_text(source->toml, item, &address, err) : 0;

		if (rc)
			return byoh_error_wrap(err, rc, "%s", source->path);
		if (item && strcmp(address, "/run/containerd/containerd.sock") &&
		    strcmp(address, "/var/run/containerd/containerd.sock"))
			return refuse(source, item, err,
				      "its socket is not /run/containerd/containerd.sock, where the "
				      "kubelet looks for it");
	}
	return 0;
}

/* An inline table, or one of an array, cannot be taken apart. */
static int check_forms(const struct merge *merge, const struct byoh_containerd_source *source,
		       struct byoh_error *err)
{
	for (size_t i = 0; i < source->toml->count; i++) {
		const struct byoh_toml_item *item = &source->toml->items[i];

		if (item->kind == BYOH_TOML_TABLES && byoh_toml_is_below(item->path, "plugins"))
			return refuse(source, item, err, "arrays of tables cannot be merged");
		for (size_t k = 0; item->kind == BYOH_TOML_KEY && k < merge->setting_count; k++)
			if (strcmp(item->path, merge->settings[k].path) &&
			    byoh_toml_is_below(merge->settings[k].path, item->path))
				return refuse(source, item, err,
					      "this inline table would have to be merged; write it as "
					      "[a table] with a line for each key");
	}
	return 0;
}

/* The path without its last part. */
static size_t table_length(const char *path)
{
	return (size_t)(strrchr(path, DOT[0]) - path);
}

static bool is_in(const char *path, const char *table)
{
	return table_length(path) == strlen(table) && !strncmp(path, table, strlen(table));
}

static int add_table(struct merge *merge, const char *path, size_t length, struct byoh_error *err)
{
	char **grown;

	for (size_t i = 0; i < merge->table_count; i++)
		if (strlen(merge->tables[i]) == length && !strncmp(merge->tables[i], path, length))
			return 0;
	grown = reallocarray(merge->tables, merge->table_count + 1, sizeof(*grown));
	if (!grown)
		return out_of_memory(err);
	merge->tables = grown;
	grown[merge->table_count] = strndup(path, length);
	return grown[merge->table_count++] ? 0 : out_of_memory(err);
}

static bool is_copied(const struct merge *merge, const struct byoh_toml_item *item)
{
	return merge->input->major < 2 && byoh_toml_is_below(item->path, CRI) &&
	       (item->kind == BYOH_TOML_TABLE || strcmp(item->path, CRI));
}

static int gather_tables(struct merge *merge, struct byoh_error *err)
{
	const struct byoh_toml *toml = merge->source_count ? merge->sources[0].toml : NULL;
	int rc = 0;

	for (size_t i = 0; toml && i < toml->count && !rc; i++) {
		const struct byoh_toml_item *item = &toml->items[i];

		if (is_copied(merge, item))
			rc = add_table(merge, item->path,
				       item->kind == BYOH_TOML_TABLE ? strlen(item->path)
								     : table_length(item->path),
				       err);
	}
	for (size_t i = 0; i < merge->setting_count && !rc; i++)
		rc = add_table(merge, merge->settings[i].path,
			       table_length(merge->settings[i].path), err);
	return rc;
}

static int add_part(struct byoh_buffer *ret, const char *part, size_t length, struct byoh_error *err)
{
	static const char bare[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
	CLEANUP_FREE char *text = strndup(part, length);

	if (!text)
		return out_of_memory(err);
	if (length && strspn(text, bare) == length)
		return byoh_buffer_add_string(ret, text, err);
	return byoh_toml_quote(ret, text, err);
}

static int add_path(struct byoh_buffer *ret, const char *path, struct byoh_error *err)
{
	for (;;) {
		size_t length = strcspn(path, DOT);
		int rc = add_part(ret, path, length, err);

		if (rc || !path[length])
			return rc;
		rc = byoh_buffer_add_string(ret, ".", err);
		if (rc)
			return rc;
		path += length + 1;
	}
}

static int add_pair(struct byoh_buffer *ret, const char *path, const char *value, size_t length,
		    struct byoh_error *err)
{
	int rc = byoh_buffer_add_string(ret, "  ", err);

	if (!rc)
		rc = add_path(ret, strrchr(path, DOT[0]) + 1, err);
	if (!rc)
		rc = byoh_buffer_add_string(ret, " = ", err);
	if (!rc)
		rc = byoh_buffer_add(ret, value, length, err);
	return rc ? rc : byoh_buffer_add_string(ret, "\n", err);
}

static bool is_set(const struct merge *merge, const char *path)
{
	for (size_t i = 0; i < merge->setting_count; i++)
		if (!strcmp(merge->settings[i].path, path))
			return true;
	return false;
}

static int write_table(const struct merge *merge, const char *table, struct byoh_buffer *ret,
		       struct byoh_error *err)
{
	const struct byoh_toml *toml = merge->source_count ? merge->sources[0].toml : NULL;
	int rc = byoh_buffer_add_string(ret, "\n[", err);

	if (!rc)
		rc = add_path(ret, table, err);
	if (!rc)
		rc = byoh_buffer_add_string(ret, "]\n", err);
	for (size_t i = 0; toml && i < toml->count && !rc; i++) {
		const struct byoh_toml_item *item = &toml->items[i];

		if (item->kind == BYOH_TOML_KEY && is_copied(merge, item) &&
		    is_in(item->path, table) && !is_set(merge, item->path))
			rc = add_pair(ret, item->path, toml->text + item->value,
				      item->value_end - item->value, err);
	}
	for (size_t i = 0; i < merge->setting_count && !rc; i++)
		if (is_in(merge->settings[i].path, table))
			rc = add_pair(ret, merge->settings[i].path, merge->settings[i].value,
				      strlen(merge->settings[i].value), err);
	return rc;
}

static int write_drop_in(struct merge *merge, struct byoh_buffer *ret, struct byoh_error *err)
{
	int rc = byoh_buffer_printf(
		ret, err,
		"# Written by byoh-install: what Kubernetes needs of the containerd that this host had.\n"
		"%sversion = %u\n",
		merge->input->major < 2 ?
			"# containerd 1.x takes all that concerns CRI from one file, so the host's own\n"
			"# settings are repeated here: after a change of those, run byoh-install again.\n" : "",
		merge->version);

	if (!rc)
		rc = gather_tables(merge, err);
	for (size_t i = 0; i < merge->table_count && !rc; i++)
		rc = write_table(merge, merge->tables[i], ret, err);
	return rc;
}

static int fill(struct merge *merge, const struct byoh_containerd_sources *sources,
		struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer sandbox = { 0 };
	int rc = find_version(merge, &sources->items[0], err);

	for (size_t i = 0; i < sources->count && !rc; i++)
		rc = check_socket(&sources->items[i], err);
	if (!rc && merge->input->sandbox_image)
		rc = byoh_toml_quote(&sandbox, merge->input->sandbox_image, err);
	if (!rc)
		rc = merge->version == 2 ? set_version_2(merge, sandbox.data, err)
					 : set_version_3(merge, sandbox.data, err);
	for (size_t i = 0; i < merge->source_count && !rc; i++)
		rc = check_forms(merge, &merge->sources[i], err);
	return rc;
}

int byoh_containerd_drop_in(const struct byoh_containerd_input *input,
			    const struct byoh_containerd_sources *sources, struct byoh_buffer *ret,
			    bool *ret_secret, struct byoh_error *err)
{
	CLEANUP(release) struct merge merge = { .input = input };
	int rc;

	choose_sources(&merge, sources);
	rc = fill(&merge, sources, err);
	if (!rc)
		rc = write_drop_in(&merge, ret, err);
	*ret_secret = false;
	for (size_t i = 0; i < merge.setting_count; i++)
		*ret_secret |= strstr(merge.settings[i].path, DOT "auth" DOT) != NULL;
	/* What is repeated is no more public than where it stands. */
	for (size_t i = 0; input->major < 2 && i < merge.source_count; i++)
		*ret_secret |= !(merge.sources[i].mode & S_IROTH);
	return rc;
}
