/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clusterctl without internet: a local repository (BASE/LABEL/VERSION/FILE with metadata.yaml beside,
 * as the Cluster API book describes it) and the configuration that points there. The overrides folder
 * would not do: it replaces files, and versions are still looked up where the provider was published.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"
#include "installer/manifests/manifests.h"

#define REPOSITORY "opt/capi/repo"
#define COMPONENT_MAX ((size_t)32 << 20)
#define METADATA_MAX ((size_t)64 << 10)
#define METADATA_API "clusterctl.cluster.x-k8s.io/v1alpha3"
#define CONTRACT "v1beta1" /* that the BYOH provider implements */

static const struct byoh_provider known[BYOH_PROVIDERS] = {
	[BYOH_PROVIDER_CORE] = { "cluster-api", "cluster-api", "CoreProvider", "core-components.yaml",
				 "" },
	[BYOH_PROVIDER_BOOTSTRAP] = { "bootstrap-kubeadm", "kubeadm", "BootstrapProvider",
				      "bootstrap-components.yaml", "" },
	[BYOH_PROVIDER_CONTROL_PLANE] = { "control-plane-kubeadm", "kubeadm", "ControlPlaneProvider",
					  "control-plane-components.yaml", "" },
	[BYOH_PROVIDER_BYOH] = { "infrastructure-byoh", "byoh", "InfrastructureProvider",
				 "infrastructure-components.yaml", "" },
	[BYOH_PROVIDER_CERT_MANAGER] = { "cert-manager", NULL, NULL, "cert-manager.yaml", "" },
};

struct version {
	unsigned int major, minor;
};

/* "v0.6.26": the name of a folder, and what a series goes by. */
static bool parse_version(const char *text, struct version *ret)
{
	unsigned int patch;
	int end = 0;

	if (sscanf(text, "v%4u.%4u.%6u%n", &ret->major, &ret->minor, &patch, &end) != 3)
		return false;
	return text[end + strspn(text + end, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz01234"
					     "56789.+-")] == '\0';
}

/* The folder of the repository: where the bundle puts it below an unpacked one, or the one that is
 * named. */
static int open_repository(const char *folder, struct byoh_error *err)
{
	CLEANUP_FD int top = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (top < 0)
		return byoh_fail_errno(err, "cannot open the folder %s", folder);
	if (!byoh_exists_beneath(top, REPOSITORY))
		return TAKE_FD(top);
	fd = byoh_open_beneath(top, REPOSITORY, O_PATH | O_DIRECTORY, 0, err);
	return fd < 0 ? byoh_error_wrap(err, fd, "%s/" REPOSITORY, folder) : fd;
}

struct finding {
	struct byoh_provider *component;
	const char *folder;
};

static int take_version(void *context, const char *name, struct byoh_error *err)
{
	const struct finding *finding = context;
	struct byoh_provider *component = finding->component;
	struct version version;

	if (!parse_version(name, &version) || strlen(name) >= sizeof(component->version))
		return 0;
	if (component->version[0])
		return byoh_fail(err, BYOH_ERROR_CONFIG, EEXIST,
				 "%s: %s is there as %s and as %s; leave the one that is to be "
				 "installed",
				 finding->folder, component->label, component->version, name);
	memcpy(component->version, name, strlen(name) + 1);
	return 0;
}

static int find_version(int repository, const char *folder, struct byoh_provider *component,
			struct byoh_error *err)
{
	struct finding finding = { component, folder };
	int r = byoh_each_name(repository, component->label, take_version, &finding, err);

	if (r < 0 || component->version[0])
		return r;
	return byoh_fail(err, BYOH_ERROR_CONFIG, ENOENT,
			 "%s: there is no %s/vVERSION/%s, neither there nor below " REPOSITORY
			 "; name the folder that a management bundle was unpacked into",
			 folder, component->label, component->file);
}

static struct byoh_object_file *add_file(struct byoh_manifests *files,
					 const struct byoh_provider *component, const char *file)
{
	char name[BYOH_OBJECT_NAME_MAX + 64];

	snprintf(name, sizeof(name), "clusterctl/repo/%s/%s/%s", component->label, component->version,
		 file);
	return byoh_manifests_add(files, name, 0644);
}

static int read_file(int repository, const struct byoh_provider *component, const char *file,
		     size_t max, struct byoh_buffer *ret, struct byoh_error *err)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s/%s", component->label, component->version, file);
	return byoh_read_file(repository, path, max, ret, err);
}

/* Does it list the series of this version? Everything that it lists is appended to series, as text. */
static int read_series(const struct byoh_yaml *doc, const struct version *version, bool *ret_listed,
		       struct byoh_buffer *series, struct byoh_error *err)
{
	const struct byoh_yaml_node *list = NULL;
	int r = byoh_yaml_read_node(doc, byoh_yaml_root(doc), "releaseSeries", BYOH_YAML_SEQUENCE, true,
				    &list, err);

	*ret_listed = false;
	for (size_t i = 0; r == 0 && i < list->count; i++) {
		uint64_t major = 0, minor = 0;
		const char *contract = "";

		r = byoh_yaml_read_u64(doc, list->items[i], "major", true, &major, err);
		if (r == 0)
			r = byoh_yaml_read_u64(doc, list->items[i], "minor", true, &minor, err);
		if (r == 0)
			r = byoh_yaml_read_string(doc, list->items[i], "contract", true, &contract,
						  err);
		if (r == 0 && contract[strspn(contract, "abcdefghijklmnopqrstuvwxyz0123456789")])
			r = byoh_yaml_fail(doc, list->items[i], err,
					   "this is no contract of "
					   "Cluster API");
		if (r == 0)
			r = byoh_buffer_printf(series, err,
					       "- {major: %llu, minor: %llu, "
					       "contract: %s}\n",
					       (unsigned long long)major, (unsigned long long)minor,
					       contract);
		*ret_listed |= major == version->major && minor == version->minor;
	}
	return r;
}

static void put_mended(struct byoh_object_file *file, const struct version *version,
		       const struct byoh_buffer *series)
{
	byoh_object_put(file,
			"# The series of this version was missing; clusterctl refuses a version "
			"without one.\n"
			"apiVersion: " METADATA_API "\n"
			"kind: Metadata\n"
			"releaseSeries:\n"
			"- {major: %u, minor: %u, contract: " CONTRACT "}\n%s",
			version->major, version->minor, byoh_buffer_text(series));
}

/* The published metadata of the BYOH provider ends at 0.5 while its versions went on. */
static int copy_metadata(int repository, struct byoh_provider *component, struct byoh_clusterctl *ret,
			 struct byoh_manifests *files, struct byoh_error *err)
{
	bool is_byoh = component == &ret->components[BYOH_PROVIDER_BYOH], listed = false;
	struct byoh_object_file *file = add_file(files, component, "metadata.yaml");
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, series = { 0 };
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	struct version version;
	int r = read_file(repository, component, "metadata.yaml", METADATA_MAX, &text, err);

	if (r < 0 && !(r == -ENOENT && is_byoh))
		return r;
	if (!parse_version(component->version, &version))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s is no "
				 "version",
				 component->version);
	if (text.size) {
		r = byoh_yaml_parse(text.data, text.size, component->label, BYOH_ERROR_CONFIG, &doc,
				    err);
		if (r == 0)
			r = read_series(doc, &version, &listed, &series, err);
		if (r < 0)
			return byoh_error_wrap(err, r, "metadata.yaml");
	}
	if (listed)
		byoh_object_put_bytes(file, text.data, text.size);
	else if (is_byoh)
		put_mended(file, &version, &series);
	else
		return byoh_fail(err, BYOH_ERROR_CONFIG, ENOENT,
				 "the metadata.yaml of %s does not list the series of %s; it "
				 "belongs to another "
				 "version",
				 component->label, component->version);
	ret->mended |= !listed;
	return 0;
}

static int copy_component(int repository, const char *folder, struct byoh_provider *component,
			  struct byoh_clusterctl *ret, struct byoh_manifests *files,
			  struct byoh_error *err)
{
	struct byoh_object_file *file;
	int r = find_version(repository, folder, component, err);

	if (r < 0)
		return r;
	file = add_file(files, component, component->file);
	r = read_file(repository, component, component->file, COMPONENT_MAX, &file->text, err);
	if (r == 0 && component->type)
		r = copy_metadata(repository, component, ret, files, err);
	return r < 0 ? byoh_error_wrap(err, r, "%s", folder) : 0;
}

int byoh_clusterctl_read(const char *folder, struct byoh_clusterctl *ret, struct byoh_manifests *files,
			 struct byoh_error *err)
{
	CLEANUP_FD int repository = open_repository(folder, err);
	int r = repository < 0 ? repository : 0;

	*ret = (struct byoh_clusterctl){ 0 };
	memcpy(ret->components, known, sizeof(known));
	for (size_t i = 0; r == 0 && i < BYOH_PROVIDERS; i++)
		r = copy_component(repository, folder, &ret->components[i], ret, files, err);
	return r;
}

static void put_url(const struct byoh_manifests_input *input, struct byoh_object_file *file,
		    const struct byoh_provider *component)
{
	CLEANUP_BUFFER struct byoh_buffer quoted = { 0 };
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s/clusterctl/repo/%s/%s/%s", input->folder, component->label,
		     component->version, component->file) < 0) {
		path = NULL;
		file->failed = true;
		return;
	}
	if (byoh_json_quote(&quoted, path, NULL) < 0)
		file->failed = true;
	byoh_object_put(file, "  url: %s\n", byoh_buffer_text(&quoted));
}

void byoh_manifests_clusterctl(const struct byoh_manifests_input *input, struct byoh_manifests *ret)
{
	const char *repository = input->config->management.image_repository;
	const struct byoh_provider *manager;
	struct byoh_object_file *file;

	if (!input->clusterctl)
		return;
	file = byoh_manifests_add(ret, "clusterctl/clusterctl.yaml", 0644);
	byoh_object_put(file, "# The paths are where this folder was made; change them when it "
			      "moves.\nproviders:\n");
	for (size_t i = 0; i < BYOH_PROVIDERS; i++) {
		const struct byoh_provider *component = &input->clusterctl->components[i];

		if (!component->type)
			continue;
		byoh_object_put(file, "- name: %s\n  type: %s\n", component->name, component->type);
		put_url(input, file, component);
	}
	manager = &input->clusterctl->components[BYOH_PROVIDER_CERT_MANAGER];
	byoh_object_put(file, "cert-manager:\n");
	put_url(input, file, manager);
	byoh_object_put(file,
			"  version: \"%s\"\nCLUSTERCTL_DISABLE_VERSIONCHECK: "
			"\"true\"\n",
			manager->version);
	if (repository)
		byoh_object_put(file, "images:\n  all:\n    repository: \"%s\"\n", repository);
}
