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
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/base/yaml.h"
#include "installer/join.h"

#define CONFIG_NAME "byoh.yaml"
#define CONFIG_INSTALLED "/etc/byoh/byoh.yaml"
#define CONFIG_MAX ((size_t)1 << 20)
#define CONFIG_VOLUME "/dev/disk/by-label/BYOHCFG"
#define CONFIG_MOUNT "/run/byoh-config"
#define KERNEL_ARGUMENT "byoh.config="

static int keep(const char *path, char **ret, struct byoh_error *err)
{
	*ret = strdup(path);
	return *ret ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int from_kernel_argument(char **ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer line = {0};
	char *word, *rest;
	int r = byoh_read_named_file("/proc/cmdline", CONFIG_MAX, &line, err);

	if (r < 0)
		return r;
	rest = line.data;
	while (rest && (word = strsep(&rest, " \n")))
		if (strncmp(word, KERNEL_ARGUMENT, strlen(KERNEL_ARGUMENT)) == 0)
			return keep(word + strlen(KERNEL_ARGUMENT), ret, err);
	return 0;
}

/* Read-only, and nothing on a stranger's stick is a device or a program. It stays mounted until the next
 * boot or run, since the config may name files beside itself. */
static int from_volume(char **ret, struct byoh_error *err)
{
	static const char *const types[] = { "vfat", "iso9660", "exfat", "ext4" };
	const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	bool mounted = false;

	if (access(CONFIG_VOLUME, F_OK) < 0)
		return 0;
	if (mkdir(CONFIG_MOUNT, 0700) < 0 && errno != EEXIST)
		return byoh_fail_errno(err, "cannot make %s", CONFIG_MOUNT);
	umount2(CONFIG_MOUNT, MNT_DETACH);
	for (size_t i = 0; i < ARRAY_SIZE(types) && !mounted; i++)
		mounted = mount(CONFIG_VOLUME, CONFIG_MOUNT, types[i], flags, NULL) == 0;
	if (!mounted)
		return byoh_fail_errno(err, "the volume BYOHCFG cannot be mounted");
	if (access(CONFIG_MOUNT "/" CONFIG_NAME, F_OK) < 0)
		return byoh_fail(err, BYOH_ERROR_CONFIG, ENOENT, "the volume BYOHCFG has no %s", CONFIG_NAME);
	return keep(CONFIG_MOUNT "/" CONFIG_NAME, ret, err);
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

int byoh_discover_config(const struct byoh_host *host, const char *named, char **ret, struct byoh_error *err)
{
	int r = 0;

	*ret = NULL;
	if (named)
		return keep(named, ret, err);
	if (host->live)
		r = from_kernel_argument(ret, err);
	if (r == 0 && !*ret)
		r = from_installed(host, ret, err);
	if (r == 0 && !*ret && host->live)
		r = from_volume(ret, err);
	if (r == 0 && !*ret)
		r = beside_executable(ret, err);
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
	if (strncmp(named, "http://", 7) == 0 || strncmp(named, "https://", 8) == 0)
		return byoh_fail(err, BYOH_ERROR_USAGE, ENOTSUP,
				 "%s: this version installs from files and folders only; copy the bundle here",
				 named);
	if (stat(named, &st) < 0)
		return byoh_fail_errno(err, "--from %s", named);
	return S_ISDIR(st.st_mode) ? find_in_folder(named, ret, err) : keep(named, ret, err);
}

/* Only what the host itself carries decides; a config from a medium is read later and may but raise it. */
static int host_policy(const struct byoh_host *host, const char *key, uint64_t *ret_number, bool *ret_flag,
		       struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *policy;
	int r;

	if (!host || !byoh_exists_beneath(host->root_fd, CONFIG_INSTALLED))
		return 0;
	r = byoh_read_file(host->root_fd, CONFIG_INSTALLED, CONFIG_MAX, &text, err);
	if (r == 0)
		r = byoh_yaml_parse(byoh_buffer_text(&text), text.size, CONFIG_INSTALLED, BYOH_ERROR_CONFIG,
				    &doc, err);
	if (r < 0 || !byoh_yaml_root(doc))
		return r;
	policy = byoh_yaml_get(byoh_yaml_root(doc), "policy");
	if (!policy)
		return 0;
	return ret_number ? byoh_yaml_read_u64(doc, policy, key, false, ret_number, err)
			  : byoh_yaml_read_bool(doc, policy, key, false, ret_flag, err);
}

int byoh_discover_threshold(const struct byoh_host *host, uint64_t *ret, struct byoh_error *err)
{
	*ret = 1;
	return host_policy(host, "threshold", ret, NULL, err);
}

int byoh_discover_check_signature(const char *config, const struct byoh_keyring *keyring,
				  const struct byoh_host *host, struct byoh_buffer *ret_signature,
				  struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	char path[BYOH_PATH_MAX + 8];
	bool required = false;
	int r = host_policy(host, "requireConfigSignature", NULL, &required, err);

	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "%s.sig", config);
	if (access(path, F_OK) < 0) {
		if (!required)
			return 0;
		return byoh_fail(err, BYOH_ERROR_TRUST, EKEYREJECTED,
				 "%s: this host takes signed configurations only, and %s is missing", config,
				 path);
	}
	r = byoh_read_named_file(path, CONFIG_MAX, ret_signature, err);
	if (r == 0)
		r = byoh_read_named_file(config, CONFIG_MAX, &text, err);
	if (r == 0)
		r = byoh_keyring_check_bytes(keyring, text.data, text.size, ret_signature->data,
					     ret_signature->size, err);
	return r < 0 ? byoh_error_wrap(err, r, "%s", path) : 0;
}

int byoh_discover_late_credentials(const struct byoh_host *host, struct byoh_config *config,
				   struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer text = {0};
	int r;

	if (!byoh_exists_beneath(host->root_fd, BYOH_LATE_KUBECONFIG))
		return 0;
	r = byoh_read_file(host->root_fd, BYOH_LATE_KUBECONFIG, CONFIG_MAX, &text, err);
	if (r == 0)
		r = byoh_join_use_kubeconfig(config, byoh_buffer_text(&text), text.size,
					     BYOH_LATE_KUBECONFIG, err);
	return r;
}
