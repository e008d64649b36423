/* SPDX-License-Identifier: Apache-2.0 */
/* containerd.existing: what of the host's own containerd stays, and what goes. */
#include "installer/steps/containerd-adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/credentials.h"

#define MAX_IMPORTS 64
#define CONFIG_MAX ((size_t)1 << 20)

static bool concerns_containerd(const struct byoh_plan_input *input)
{
	return byoh_steps_brings(input, BYOH_BIN_CONTAINERD) ||
	       byoh_steps_brings(input, BYOH_BIN_KUBELET);
}

bool byoh_steps_adopts(const struct byoh_plan_input *input)
{
	return input->config->containerd.existing == BYOH_EXISTING_ADOPT &&
	       input->host->containerd_program && concerns_containerd(input);
}

bool byoh_steps_replaces(const struct byoh_plan_input *input)
{
	return input->config->containerd.existing == BYOH_EXISTING_REPLACE &&
	       input->host->containerd_path && byoh_steps_brings(input, BYOH_BIN_CONTAINERD);
}

bool byoh_steps_has_containerd(const struct byoh_plan_input *input)
{
	return byoh_steps_adopts(input) || byoh_steps_brings(input, BYOH_BIN_CONTAINERD);
}

/* crictl is nobody's but ours: it only asks. */
static bool is_program_of_containerd(const char *name)
{
	return !strcmp(name, "containerd") || !strcmp(name, "ctr") || !strcmp(name, "runc") ||
	       !strncmp(name, "containerd-shim", strlen("containerd-shim"));
}

/* Its configuration, and the unit with its drop-ins. */
static bool is_set_up_otherwise(const char *path)
{
	static const char config[] = BYOH_CONTAINERD_CONFIG, unit[] = BYOH_UNIT_DIR "/containerd.service",
			  drop_ins[] = BYOH_UNIT_DIR "/containerd.service.d/";

	return !strcmp(path, &config[1]) || !strcmp(path, &unit[1]) ||
	       !strncmp(path, &drop_ins[1], strlen(&drop_ins[1]));
}

int byoh_steps_leaves_out(const struct byoh_plan_input *input, const struct byoh_file *file,
			  bool *ret, struct byoh_error *err)
{
	const char *name = strrchr(file->path, '/') ? strrchr(file->path, '/') + 1 : file->path;
	CLEANUP_FREE char *theirs = NULL;
	int rc;

	*ret = byoh_steps_keeps_program(input, file);
	if (*ret || !byoh_steps_adopts(input) || file->type == BYOH_FILE_DIRECTORY)
		return 0;
	*ret = is_set_up_otherwise(file->path);
	if (*ret || !is_program_of_containerd(name))
		return 0;
	rc = byoh_host_foreign_program(input->host, name, &theirs, err);
	*ret = theirs;
	return rc;
}

int byoh_steps_containerd_root(const struct byoh_plan_input *input, char **ret,
			       struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_TOML struct byoh_toml *toml = NULL;
	const struct byoh_toml_item *item = NULL;

	if (byoh_steps_adopts(input) &&
	    byoh_host_read(input->host->root_fd, BYOH_CONTAINERD_CONFIG, CONFIG_MAX, &text, NULL) == 0 &&
	    byoh_toml_read(byoh_buffer_text(&text), text.size, &toml, NULL) == 0)
		item = byoh_toml_find(toml, "root");
	/* What is not understood is refused elsewhere. */
	if (item && byoh_toml_text(toml, item, ret, NULL) == 0)
		return 0;
	*ret = strdup(input->config->containerd.root ? input->config->containerd.root
						     : "/var/lib/containerd");
	return *ret ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/* Wholly its own file: mode and owner stay, no link. */
static int add_source(const struct byoh_plan_input *input, struct byoh_containerd_sources *sources,
		      const char *path, struct byoh_error *err)
{
	struct byoh_containerd_source *grown =
		reallocarray(sources->items, sources->count + 1, sizeof(*grown)), *source;
	int rc;

	if (!grown)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	sources->items = grown;
	source = &grown[sources->count++];
	*source = (struct byoh_containerd_source){ .path = strdup(path), .mode = 0644 };
	if (!source->path)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	rc = byoh_steps_read(input->host, path, &source->text, &source->mode, err);
	if (rc == -ENOENT) {
		if (sources->count > 1)
			return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOENT,
					 "%s imports %s, which is not there: containerd does not get past it",
					 sources->items[0].path, path);
		source->missing = true;
		rc = 0;
	}
	if (!rc)
		rc = byoh_toml_read(byoh_buffer_text(&source->text), source->text.size,
				    &source->toml, err);
	return rc ? byoh_error_wrap(err, rc, "%s", path) : 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct names {
	size_t count;
	char *items[MAX_IMPORTS];
};

static void release_names(struct names *names)
{
	while (names->count)
		free(names->items[--names->count]);
}

/* Names in a folder that fit a pattern, in order. */
static int match(const struct byoh_host *host, const char *folder, const char *pattern,
		 struct names *ret, struct byoh_error *err)
{
	int fd = byoh_host_open(host->root_fd, folder, O_RDONLY | O_DIRECTORY, NULL);
	CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir) {
		byoh_cleanup_fd(&fd);
		return 0;
	}
	while ((entry = readdir(dir))) {
		if (fnmatch(pattern, entry->d_name, FNM_PATHNAME))
			continue;
		if (ret->count == MAX_IMPORTS)
			return byoh_fail(err, BYOH_ERROR_PREFLIGHT, E2BIG,
					 "%s holds more files than containerd can be given", folder);
		ret->items[ret->count] = strdup(entry->d_name);
		if (!ret->items[ret->count++])
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	qsort(ret->items, ret->count, sizeof(ret->items[0]), compare_names);
	return 0;
}

/* One entry of the list: a path, or a pattern of names. Ours is not looked at: it says what we say. */
static int add_import(const struct byoh_plan_input *input, struct byoh_containerd_sources *sources,
		      const char *entry, struct byoh_error *err)
{
	const char *slash = strrchr(entry, '/');
	CLEANUP(release_names) struct names names = { 0 };
	char folder[BYOH_PATH_MAX];
	int rc;

	snprintf(folder, sizeof(folder), "%s%.*s", entry[0] == '/' ? "" : "/etc/containerd/",
		 slash ? (int)(slash - entry) : 0, entry);
	if (strlen(entry) > sizeof(folder) / 2 || strpbrk(folder, "*?["))
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOTSUP,
				 "imports has \"%.200s\", a pattern of folders, which is not followed",
				 entry);
	rc = strchr(entry, '*') ? match(input->host, folder, slash ? slash + 1 : entry, &names, err) : 0;
	if (!rc && !strchr(entry, '*')) {
		names.items[0] = strdup(slash ? slash + 1 : entry);
		names.count = 1;
	}
	for (size_t i = 0; i < names.count && !rc; i++) {
		char path[BYOH_PATH_MAX + BYOH_NAME_MAX + 2];

		snprintf(path, sizeof(path), "%s/%s", folder, names.items[i]);
		if (strcmp(path, BYOH_CONTAINERD_DROP_IN) && strcmp(path, BYOH_CONTAINERD_CONFIG))
			rc = add_source(input, sources, path, err);
	}
	return rc;
}

static int check_import(const struct byoh_containerd_source *source, struct byoh_error *err)
{
	const struct byoh_toml_item *item = byoh_toml_find(source->toml, "imports");

	if (!item)
		return 0;
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOTSUP,
			 "%s: line %u: it is imported and imports others itself, which is not followed",
			 source->path, item->line);
}

static int read_sources(const struct byoh_plan_input *input, struct byoh_containerd_sources *ret,
			struct byoh_error *err)
{
	CLEANUP_TOML_STRINGS struct byoh_toml_strings imports = { 0 };
	const struct byoh_toml_item *item;
	int rc = add_source(input, ret, BYOH_CONTAINERD_CONFIG, err);

	if (rc)
		return rc;
	item = byoh_toml_find(ret->items[0].toml, "imports");
	rc = item ? byoh_toml_list(ret->items[0].toml, item, &imports, err) : 0;
	if (rc)
		return byoh_error_wrap(err, rc, BYOH_CONTAINERD_CONFIG);
	for (size_t i = 0; i < imports.count && !rc; i++)
		rc = add_import(input, ret, imports.items[i].text, err);
	for (size_t i = 1; i < ret->count && !rc; i++)
		rc = check_import(&ret->items[i], err);
	return rc;
}

static int place_edit(const struct byoh_containerd_input *values, struct byoh_step *step,
		      const struct byoh_containerd_source *source, bool is_main,
		      struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_action *action;
	int rc = byoh_containerd_edit(values, source, is_main, &text, err);

	/* Once changed it has to stay in the plan: what a plan does not name any more is given back. */
	if (rc || (!is_main && !byoh_toml_find(source->toml, "disabled_plugins")))
		return rc;
	rc = byoh_step_file(step, source->path, source->mode, byoh_buffer_text(&text), text.size,
			    &action, err);
	if (!rc)
		action->secret = !(source->mode & S_IROTH);
	return rc;
}

/* Programs and unit below /usr/local look like ours once a release is there. */
static int place_list(const struct byoh_plan_input *input, struct byoh_step *step,
		      struct byoh_error *err)
{
	const struct byoh_host *host = input->host;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int rc = byoh_buffer_printf(&text, err, "%s\n%s\n", host->containerd_program,
				    host->containerd_unit);

	for (size_t i = 0; i < input->index->file_count && !rc; i++) {
		const char *name = strrchr(input->index->files[i].path, '/');
		CLEANUP_FREE char *theirs = NULL;

		if (input->index->files[i].type == BYOH_FILE_DIRECTORY || !name ||
		    !is_program_of_containerd(name + 1) || !strcmp(name + 1, "containerd"))
			continue;
		rc = byoh_host_foreign_program(host, name + 1, &theirs, err);
		if (!rc && theirs)
			rc = byoh_buffer_printf(&text, err, "%s\n", theirs);
	}
	return rc ? rc : byoh_step_file(step, BYOH_ADOPTED_PATH, 0600, text.data, text.size, NULL, err);
}

/* Where its unit reads its configuration: --config of a command other than the usual one. */
static int check_command(const char *path, const char *text, struct byoh_error *err)
{
	for (const char *line = text; *line;) {
		size_t length = strcspn(line, "\n");
		CLEANUP_FREE char *command = strndup(line, length);
		const char *option;

		line += length + (line[length] == '\n');
		if (!command)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		if (strncmp(command, "ExecStart=", strlen("ExecStart=")))
			continue;
		option = strstr(command, " --config");
		if (!option)
			option = strstr(command, " -c");
		if (!option)
			continue;
		option += strcspn(option + 1, " =") + 1;
		option += strspn(option, " =");
		if (strncmp(option, BYOH_CONTAINERD_CONFIG, strlen(BYOH_CONTAINERD_CONFIG)))
			return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOTSUP,
					 "%s starts containerd with another configuration (%.100s) than "
					 BYOH_CONTAINERD_CONFIG ", which cannot be adopted",
					 path, option);
	}
	return 0;
}

int byoh_steps_containerd_unit_texts(const struct byoh_host *host, const char *unit,
				     int (*each)(const char *path, const char *text,
						 struct byoh_error *err),
				     struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer main = { 0 };
	int rc = 0;

	if (unit && byoh_host_read(host->root_fd, unit, CONFIG_MAX, &main, NULL) == 0)
		rc = each(unit, byoh_buffer_text(&main), err);
	for (size_t i = 0; byoh_steps_unit_folders[i] && !rc; i++) {
		CLEANUP(release_names) struct names names = { 0 };
		char folder[256];

		snprintf(folder, sizeof(folder), "%s/containerd.service.d",
			 byoh_steps_unit_folders[i]);
		rc = match(host, folder, "*.conf", &names, err);
		for (size_t k = 0; k < names.count && !rc; k++) {
			CLEANUP_BUFFER struct byoh_buffer text = { 0 };
			char path[512 + BYOH_NAME_MAX];

			snprintf(path, sizeof(path), "%s/%s", folder, names.items[k]);
			if (byoh_host_read(host->root_fd, path, CONFIG_MAX, &text, NULL) == 0)
				rc = each(path, byoh_buffer_text(&text), err);
		}
	}
	return rc;
}

static int check_adopted(const struct byoh_plan_input *input, const struct byoh_containerd_input *values,
			 struct byoh_error *err)
{
	const struct byoh_host *host = input->host;
	CLEANUP_BUFFER struct byoh_buffer real = { 0 };

	if (!host->containerd_unit)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOENT,
				 "%s has no containerd.service that would start it, so it cannot be "
				 "adopted; install its package whole, or set containerd.existing: replace",
				 host->containerd_program);
	if (byoh_host_resolve(host->root_fd, "/etc/systemd/system/containerd.service", &real, NULL) == 0 &&
	    !strcmp(byoh_buffer_text(&real), "/dev/null"))
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, EPERM,
				 "containerd.service is masked; systemctl unmask containerd, or set "
				 "containerd.existing: replace");
	if (values->major == 1 && values->minor < 6)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOTSUP,
				 "%s is containerd %s; the kubelet needs 1.6 or newer: upgrade it, or set "
				 "containerd.existing: replace",
				 host->containerd_program, host->containerd_version);
	return byoh_steps_containerd_unit_texts(host, host->containerd_unit, check_command, err);
}

static int place_drop_in(const struct byoh_containerd_input *values,
			 const struct byoh_containerd_sources *sources, struct byoh_step *step,
			 struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_action *action;
	bool secret;
	int rc = byoh_containerd_drop_in(values, sources, &text, &secret, err);

	if (!rc)
		rc = byoh_step_file(step, BYOH_CONTAINERD_DROP_IN, secret ? 0600 : 0644, text.data,
				    text.size, &action, err);
	if (!rc)
		action->secret = secret;
	return rc;
}

int byoh_step_adopt_containerd(const struct byoh_plan_input *input,
			       const struct byoh_containerd_input *values, struct byoh_step *step,
			       struct byoh_error *err)
{
	CLEANUP_CONTAINERD_SOURCES struct byoh_containerd_sources sources = { 0 };
	int rc = check_adopted(input, values, err);

	if (!rc)
		rc = read_sources(input, &sources, err);
	if (!rc)
		rc = place_list(input, step, err);
	if (!rc)
		rc = place_drop_in(values, &sources, step, err);
	for (size_t i = 0; i < sources.count && !rc; i++)
		rc = place_edit(values, step, &sources.items[i], i == 0, err);
	if (rc)
		return byoh_error_wrap(err, rc, "containerd.existing: adopt");
	return byoh_step_sentence(step, err,
				  "Adopt the host's containerd %s%s: add what Kubernetes needs to its "
				  "configuration",
				  input->host->containerd_version,
				  input->host->containerd_version_is_floor ? " or newer" : "");
}
