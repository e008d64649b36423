/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/fetch/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/cache.h"

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int make_parents(const char *path, struct byoh_error *err)
{
	CLEANUP_FREE char *copy = strdup(path);

	if (!copy)
		return no_memory(err);
	for (char *slash = copy + 1; *copy && (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return byoh_fail_errno(err, "cannot make the folder %s", copy);
		*slash = '/';
	}
	return 0;
}

int byoh_fetch_make_cache(const char *cache_dir, struct byoh_error *err)
{
	static const char *const folders[] = { "sha256/", "url/", "images/" };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		CLEANUP_FREE char *path = NULL;
		int r;

		if (asprintf(&path, "%s/%s", cache_dir, folders[i]) < 0) {
			path = NULL;
			return no_memory(err);
		}
		r = make_parents(path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int byoh_fetch_hash_path(const struct byoh_spec *spec, const struct byoh_spec_source *source,
			 struct byoh_digest *ret, struct byoh_error *err)
{
	CLEANUP_FREE char *path = byoh_spec_source_path(spec, source);
	CLEANUP_FD int fd = -1;
	struct stat st;
	int r;

	if (!path)
		return no_memory(err);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return byoh_spec_fail(spec, source, err, "%s: %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode)) {
		int index = openat(fd, "index.json", O_RDONLY | O_CLOEXEC);

		if (index < 0)
			return byoh_spec_fail(spec, source, err, "%s: a folder, but no OCI layout",
					      path);
		byoh_cleanup_fd(&fd);
		fd = index;
	}
	r = byoh_digest_fd(fd, UINT64_MAX, ret, NULL, err);
	return r < 0 ? byoh_error_wrap(err, r, "%s", path) : 0;
}

static int check_path(const struct byoh_spec *spec, const struct byoh_lock *lock, bool image,
		      const char *owner, const struct byoh_spec_source *source,
		      struct byoh_error *err)
{
	struct byoh_digest expected, found;
	char hex[BYOH_DIGEST_HEX_SIZE];
	int r = byoh_fetch_hash_path(spec, source, &found, err);

	if (r < 0 || !byoh_lock_digest(lock, image, owner, source, &expected) ||
	    byoh_digest_equal(&expected, &found))
		return r;
	byoh_digest_hex(&found, hex);
	r = byoh_spec_fail(spec, source, err,
			   "%s has the SHA-256 %s, which is not what the %s says", source->path,
			   hex, source->has_digest ? "spec" : "lock");
	if (err)
		err->kind = BYOH_ERROR_TRUST;
	return r;
}

static int check_paths(const struct byoh_spec *spec, const struct byoh_lock *lock,
		       struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < spec->component_count; i++)
		if (spec->components[i].source.path)
			r = check_path(spec, lock, false, spec->components[i].name,
				       &spec->components[i].source, err);
	for (size_t i = 0; r == 0 && i < spec->image_count; i++)
		if (spec->images[i].source.path)
			r = check_path(spec, lock, true, spec->images[i].ref,
				       &spec->images[i].source, err);
	return r;
}

struct wanted { /* what items point to */
	struct byoh_digest digest;
	char *path;
};

static void free_wanted(struct wanted *wanted, size_t count)
{
	for (size_t i = 0; wanted && i < count; i++)
		free(wanted[i].path);
	free(wanted);
}

/* Two components may share a source: it is fetched once. */
static bool is_listed(const struct byoh_fetch_item *items, size_t count, const char *path)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(items[i].path, path) == 0)
			return true;
	return false;
}

static int list_source(const struct byoh_spec *spec, const struct byoh_lock *lock,
		       const struct byoh_spec_component *component, const char *cache_dir,
		       bool allow_undigested, bool refresh, struct wanted *wanted,
		       struct byoh_fetch_item *items, size_t *count, struct byoh_error *err)
{
	const struct byoh_spec_source *source = &component->source;
	bool known = byoh_lock_digest(lock, false, component->name, source, &wanted->digest);
	int r;

	if (!known && !source->unlocked && !allow_undigested)
		return byoh_spec_fail(spec, source, err,
				      "%s has no digest: give sha256, run `byoh-bundle lock`, or "
				      "say unlocked: true",
				      component->name);
	r = byoh_cache_source_path(cache_dir, source->url, known ? &wanted->digest : NULL,
				   &wanted->path, err);
	if (r < 0 || is_listed(items, *count, wanted->path))
		return r;
	items[(*count)++] = (struct byoh_fetch_item){ .name = component->name,
						      .url = source->url,
						      .path = wanted->path,
						      .digest = known ? &wanted->digest : NULL,
						      .size = BYOH_FETCH_SIZE_UNKNOWN,
						      .refresh = refresh };
	return 0;
}

int byoh_fetch_sources(const struct byoh_spec *spec, const struct byoh_lock *lock,
		       const char *cache_dir, bool allow_undigested, bool refresh,
		       const struct byoh_fetch_options *options, struct byoh_error *err)
{
	CLEANUP_FREE struct byoh_fetch_item *items =
		calloc(spec->component_count + 1, sizeof(*items));
	struct wanted *wanted = calloc(spec->component_count + 1, sizeof(*wanted));
	size_t count = 0;
	int r = items && wanted ? check_paths(spec, lock, err) : no_memory(err);

	for (size_t i = 0; r == 0 && i < spec->component_count; i++)
		if (spec->components[i].source.url)
			r = list_source(spec, lock, &spec->components[i], cache_dir,
					allow_undigested, refresh, &wanted[i], items, &count, err);
	if (r == 0 && count)
		r = byoh_fetch_make_cache(cache_dir, err);
	if (r == 0 && count)
		r = byoh_fetch_files(items, count, options, err);
	free_wanted(wanted, spec->component_count);
	return r;
}
