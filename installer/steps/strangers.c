/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/steps/strangers.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define SHARED_FOLDER "/etc/kubernetes" /* operators put static pods and policies there */
#define MAX_DEPTH 16

static const char *const service_files[] = {
	SHARED_FOLDER "/*.conf", SHARED_FOLDER "/*.kubeconfig", SHARED_FOLDER "/bootstrap-kubeconfig",
	SHARED_FOLDER "/pki/*",
};

struct walk {
	const struct byoh_host *host;
	const struct byoh_ledger *ledger;
	int (*visit)(void *context, const char *path, enum byoh_tenant tenant, struct byoh_error *err);
	void *context;
};

static bool is_service_file(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(service_files); i++)
		if (fnmatch(service_files[i], path, FNM_PATHNAME) == 0)
			return true;
	return false;
}

static int visit_file(const struct walk *walk, const char *path, struct byoh_error *err)
{
	if (byoh_ledger_find(walk->ledger, BYOH_ACTION_FILE, path))
		return 0;
	return walk->visit(walk->context, path,
			   is_service_file(path) ? BYOH_TENANT_SERVICE : BYOH_TENANT_STRANGER, err);
}

static int walk_folder(const struct walk *walk, const char *folder, int depth, struct byoh_error *err);

static int walk_entry(const struct walk *walk, const char *folder, const char *name, int depth,
		      struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	struct stat st;
	int r;

	if (asprintf(&path, "%s/%s", folder, name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = byoh_stat_beneath(walk->host->root_fd, path, &st, err);
	if (r < 0)
		return r;
	return S_ISDIR(st.st_mode) ? walk_folder(walk, path, depth - 1, err) : visit_file(walk, path, err);
}

static int walk_folder(const struct walk *walk, const char *folder, int depth, struct byoh_error *err)
{
	int fd = byoh_open_beneath(walk->host->root_fd, folder, O_RDONLY | O_DIRECTORY, 0, err);
	CLEANUP_DIR DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (fd < 0 || !depth)
		return fd == -ENOENT ? 0 : fd < 0 ? fd : walk->visit(walk->context, folder, BYOH_TENANT_STRANGER, err);
	if (!directory)
		return byoh_fail_errno(err, "cannot list %s", folder);
	while (r == 0 && (entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = walk_entry(walk, folder, entry->d_name, depth, err);
	return r ? r : walk->visit(walk->context, folder, BYOH_TENANT_DIRECTORY, err);
}

int byoh_tenants(const struct byoh_host *host, const struct byoh_ledger *ledger, const char *folder,
		 int (*visit)(void *context, const char *path, enum byoh_tenant tenant, struct byoh_error *err),
		 void *context, struct byoh_error *err)
{
	const struct walk walk = { host, ledger, visit, context };

	return strcmp(folder, SHARED_FOLDER) == 0 ? walk_folder(&walk, folder, MAX_DEPTH, err) : 0;
}
