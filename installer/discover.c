/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/discover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"
#include "installer/config-syntax.h"
#include "installer/credentials.h"
#include "installer/state.h"
#include "installer/join.h"
#include "installer/volume.h"

#define CONFIG_NAME "byoh.yaml"
#define CONFIG_INSTALLED "/etc/byoh/byoh.yaml"
#define CONFIG_KEPT BYOH_CONFIG_FOLDER "/byoh.yaml"
#define CONFIG_MAX ((size_t)1 << 20)
#define KERNEL_ARGUMENT "byoh.config="
#define THRESHOLD_MAX 32 /* as in docs/byoh.yaml.md */

static int keep(const char *path, char **ret, struct byoh_error *err)
{
	*ret = strdup(path);
	return *ret ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

int byoh_discover_kernel_argument(char *line, const char **ret, struct byoh_error *err)
{
	char *word, *rest = line;

	*ret = NULL;
	while ((word = strsep(&rest, " \t\n"))) {
		if (strncmp(word, KERNEL_ARGUMENT, strlen(KERNEL_ARGUMENT)) != 0)
			continue;
		word += strlen(KERNEL_ARGUMENT);
		if (*ret && strcmp(*ret, word) != 0)
			return byoh_fail(err, BYOH_ERROR_CONFIG, EEXIST,
					 "the kernel was started with two configurations, " KERNEL_ARGUMENT
					 "%s and %s; name one with --config", *ret, word);
		*ret = word;
	}
	return 0;
}

static int from_kernel_argument(char **ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer line = {0};
	const char *found = NULL;
	int r = byoh_read_named_file("/proc/cmdline", CONFIG_MAX, &line, err);

	if (r == -ENOENT) /* a root without /proc */
		return 0;
	if (r == 0 && line.data)
		r = byoh_discover_kernel_argument(line.data, &found, err);
	return r == 0 && found && *found ? keep(found, ret, err) : r;
}

/* Mounted until the configuration and the files it names have been read, and no longer. */
static int from_volume(const struct byoh_host *host, struct byoh_config_place *ret, struct byoh_error *err)
{
	struct byoh_volume volume;
	int r = byoh_volume_find(host->root_fd, BYOH_VOLUME_LABEL, &volume, err);

	if (r < 0 || !volume.device[0])
		return r;
	r = byoh_volume_mount(&volume, BYOH_VOLUME_MOUNT, err);
	if (r < 0)
		return r;
	ret->mounted = true;
	if (access(BYOH_VOLUME_MOUNT "/" CONFIG_NAME, F_OK) < 0)
		return byoh_fail(err, BYOH_ERROR_CONFIG, ENOENT, "the volume %s (%s) has no %s", BYOH_VOLUME_LABEL,
				 volume.device, CONFIG_NAME);
	r = keep(BYOH_VOLUME_MOUNT "/" CONFIG_NAME, &ret->path, err);
	if (r == 0 && asprintf(&ret->name, CONFIG_NAME " of the volume " BYOH_VOLUME_LABEL " (%s)", volume.device) < 0) {
		ret->name = NULL;
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	}
	return r;
}

void byoh_config_place_release(struct byoh_config_place *place)
{
	if (place->mounted)
		byoh_volume_unmount(BYOH_VOLUME_MOUNT);
	free(place->path);
	free(place->name);
	*place = (struct byoh_config_place){0};
}

static int beside_executable(char **ret, struct byoh_error *err)
{
	const char *name = (const char *)getauxval(AT_EXECFN);
	char path[BYOH_PATH_MAX], copy[BYOH_PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", copy, sizeof(copy) - 1);

	if (n >= 0)
		copy[n] = '\0';
	else
		snprintf(copy, sizeof(copy), "%s", name ? name : "");
	if (snprintf(path, sizeof(path), "%s/" CONFIG_NAME, dirname(copy)) >= (int)sizeof(path) ||
	    access(path, F_OK) < 0)
		return 0;
	return keep(path, ret, err);
}

static int from_installed(const struct byoh_host *host, char **ret, struct byoh_error *err)
{
	char path[2 * BYOH_PATH_MAX];

	if (!byoh_exists_beneath(host->root_fd, CONFIG_INSTALLED))
		return 0;
	snprintf(path, sizeof(path), "%s%s", strcmp(host->root, "/") == 0 ? "" : host->root,
		 CONFIG_INSTALLED);
	return keep(path, ret, err);
}

int byoh_discover_config(const struct byoh_host *host, const char *named, struct byoh_config_place *ret,
			 struct byoh_error *err)
{
	int r = 0;

	*ret = (struct byoh_config_place){0};
	if (named)
		return keep(named, &ret->path, err);
	if (host->live)
		r = from_kernel_argument(&ret->path, err);
	if (r == 0 && !ret->path)
		r = from_installed(host, &ret->path, err);
	if (r == 0 && !ret->path && host->live)
		r = from_volume(host, ret, err);
	if (r == 0 && !ret->path)
		r = beside_executable(&ret->path, err);
	if (r < 0)
		byoh_config_place_release(ret);
	return r;
}

static bool is_bundle_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && name[0] != '.' && (strcmp(dot, ".run") == 0 || strcmp(dot, ".bundle") == 0);
}

static int find_in_folder(const char *folder, char **ret, struct byoh_error *err)
{
	CLEANUP_DIR DIR *dir = opendir(folder);
	struct dirent *entry;
	char path[BYOH_PATH_MAX + BYOH_NAME_MAX + 2];

	if (!dir)
		return byoh_fail_errno(err, "cannot list %s", folder);
	while ((entry = readdir(dir))) {
		if (!is_bundle_name(entry->d_name))
			continue;
		if (*ret) {
			free(TAKE_PTR(*ret));
			return byoh_fail(err, BYOH_ERROR_USAGE, EEXIST,
					 "%s holds several bundles; name one with --from FILE", folder);
		}
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		if (keep(path, ret, err) < 0)
			return -ENOMEM;
	}
	if (!*ret)
		return byoh_fail(err, BYOH_ERROR_USAGE, ENOENT, "%s holds no .run and no .bundle", folder);
	return 0;
}

int byoh_discover_bundle(const char *named, char **ret, struct byoh_error *err)
{
	struct stat st;

	*ret = NULL;
	if (stat(named, &st) < 0)
		return byoh_fail(err, BYOH_ERROR_USAGE, errno, "cannot open the bundle %s: %s", named,
				 strerror(errno));
	return S_ISDIR(st.st_mode) ? find_in_folder(named, ret, err) : keep(named, ret, err);
}

static int read_policy(const struct byoh_yaml *doc, struct byoh_policy *ret, struct byoh_error *err)
{
	const struct byoh_yaml_node *policy = byoh_yaml_get(byoh_yaml_root(doc), "policy");
	uint64_t threshold = 1;
	int r = policy ? byoh_yaml_read_u64(doc, policy, "threshold", false, &threshold, err) : 0;

	if (r == 0 && (!threshold || threshold > THRESHOLD_MAX))
		r = byoh_yaml_fail(doc, policy, err, "\"threshold\" must be from 1 to %d",
				   THRESHOLD_MAX);
	if (r == 0 && policy)
		r = byoh_yaml_read_bool(doc, policy, "requireConfigSignature", false,
					&ret->config_signature, err);
	if (r == 0)
		ret->threshold = (unsigned int)threshold;
	return r;
}

static int read_policy_of(int root_fd, const char *path, struct byoh_policy *ret, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = {0};
	CLEANUP(byoh_secret_yaml_freep) struct byoh_yaml *doc = NULL;
	int r = byoh_read_file(root_fd, path, CONFIG_MAX, &text, err);

	if (r == 0)
		r = byoh_yaml_parse(byoh_buffer_text(&text), text.size, path, BYOH_ERROR_CONFIG, &doc, err);
	return r < 0 ? r : read_policy(doc, ret, err);
}

/* The copy that no editor gets at stands in for a configuration that was damaged or lost. */
int byoh_discover_policy(int root_fd, struct byoh_policy *ret, struct byoh_error *err)
{
	struct byoh_error failure = BYOH_ERROR_INIT;
	int r = 0;

	*ret = (struct byoh_policy){ .threshold = 1 };
	if (byoh_exists_beneath(root_fd, CONFIG_INSTALLED))
		r = read_policy_of(root_fd, CONFIG_INSTALLED, ret, &failure);
	else if (!byoh_exists_beneath(root_fd, CONFIG_KEPT))
		return 0;
	else
		r = -ENOENT;
	if (r < 0 && byoh_exists_beneath(root_fd, CONFIG_KEPT)) {
		*ret = (struct byoh_policy){ .threshold = 1 };
		r = read_policy_of(root_fd, CONFIG_KEPT, ret, &failure);
	}
	if (r < 0 && err)
		*err = failure;
	return r;
}

/* The signature covers the config's bytes alone: a stick could put another CA beside a signed config. Tokens
 * are secrets that come on their own ways, and are worth nothing without the CA. */
const char *byoh_discover_uncovered_file(const struct byoh_config *config)
{
	if (config->cluster.ca_file && !config->cluster.ca_pin)
		return config->cluster.ca_file;
	if (config->cluster.kubeconfig_file)
		return config->cluster.kubeconfig_file;
	if (config->kube_proxy.kubeconfig_file)
		return config->kube_proxy.kubeconfig_file;
	return config->cni.conflist_file;
}

int byoh_discover_check_policy(const struct byoh_policy *policy, const struct byoh_config *config,
			       bool signed_, struct byoh_error *err)
{
	const char *path = config->path ? config->path : "the default configuration";

	if (!signed_ && (policy->config_signature || config->policy.config_signature))
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "%s: only signed configurations are taken here (policy."
				 "requireConfigSignature), and %s.sig is missing", path, path);
	if ((policy->config_signature || config->policy.config_signature) && byoh_discover_uncovered_file(config))
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "%s: it names the file \"%s\", which its signature does not cover, and only "
				 "signed configurations are taken here; give the CA as data: or with a pin:, "
				 "and the rest by `join` or in the bundle",
				 path, byoh_discover_uncovered_file(config));
	if (config->policy.threshold < policy->threshold)
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "%s: its policy.threshold is %llu and this host's own is %u, which a "
				 "configuration from elsewhere may raise and never lower; to lower it edit "
				 CONFIG_INSTALLED, path, (unsigned long long)config->policy.threshold,
				 policy->threshold);
	if (policy->config_signature && !config->policy.config_signature)
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "%s: it lacks policy.requireConfigSignature, which this host has set and no "
				 "configuration from elsewhere may drop; to drop it edit " CONFIG_INSTALLED,
				 path);
	return 0;
}

int byoh_discover_check_signature(const char *config, const struct byoh_buffer *text,
				  const struct byoh_keyring *keyring, struct byoh_buffer *ret_signature,
				  struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	int r;

	if (asprintf(&path, "%s.sig", config) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	/* One that is there and cannot be read is no missing one. */
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = byoh_read_named_file(path, CONFIG_MAX, ret_signature, err);
	if (r == 0)
		r = byoh_keyring_check_bytes(keyring, BYOH_CONFIG_MESSAGE_PREFIX, byoh_buffer_text(text),
					     text->size, ret_signature->data, ret_signature->size, err);
	return r < 0 ? byoh_error_wrap(err, r, "%s", path) : 0;
}

/* A CA that came before any token. */
static int late_ca(const struct byoh_host *host, struct byoh_config *config, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	int r;

	if (!byoh_exists_beneath(host->root_fd, BYOH_LATE_CA))
		return 0;
	r = byoh_read_file(host->root_fd, BYOH_LATE_CA, CONFIG_MAX, &text, err);
	return r < 0 ? r : byoh_join_use_ca(config, byoh_buffer_text(&text), text.size, BYOH_LATE_CA, err);
}

int byoh_discover_late_credentials(const struct byoh_host *host, struct byoh_config *config,
				   struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = {0};
	int r;

	if (!byoh_exists_beneath(host->root_fd, BYOH_LATE_KUBECONFIG))
		return late_ca(host, config, err);
	r = byoh_read_file(host->root_fd, BYOH_LATE_KUBECONFIG, CONFIG_MAX, &text, err);
	if (r == 0)
		r = byoh_join_use_kubeconfig(config, byoh_buffer_text(&text), text.size,
					     BYOH_LATE_KUBECONFIG, err);
	return r;
}
