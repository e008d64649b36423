/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/steps/strangers.h"

#include <errno.h>
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

struct level {
	const struct walk *walk;
	const char *folder;
	int depth;
};

static int walk_entry(void *context, const char *name, struct byoh_error *err)
{
	const struct level *level = context;
	CLEANUP_FREE char *path = NULL;
	struct stat st;
	int r;

	if (asprintf(&path, "%s/%s", level->folder, name) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	r = byoh_stat_beneath(level->walk->host->root_fd, path, &st, err);
	if (r < 0)
		return r;
	return S_ISDIR(st.st_mode) ? walk_folder(level->walk, path, level->depth - 1, err) :
				     visit_file(level->walk, path, err);
}

static int walk_folder(const struct walk *walk, const char *folder, int depth, struct byoh_error *err)
{
	struct level level = { walk, folder, depth };
	int r;

	if (!depth)
		return walk->visit(walk->context, folder, BYOH_TENANT_STRANGER, err);
	r = byoh_each_name(walk->host->root_fd, folder, walk_entry, &level, err);
	if (r || !byoh_exists_beneath(walk->host->root_fd, folder))
		return r;
	return walk->visit(walk->context, folder, BYOH_TENANT_DIRECTORY, err);
}

int byoh_tenants(const struct byoh_host *host, const struct byoh_ledger *ledger, const char *folder,
		 int (*visit)(void *context, const char *path, enum byoh_tenant tenant, struct byoh_error *err),
		 void *context, struct byoh_error *err)
{
	const struct walk walk = { host, ledger, visit, context };

	return strcmp(folder, SHARED_FOLDER) == 0 ? walk_folder(&walk, folder, MAX_DEPTH, err) : 0;
}
