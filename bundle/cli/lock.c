/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/cache.h"
#include "bundle/cli/cli.h"
#include "bundle/cli/options.h"
#include "bundle/cli/progress.h"
#include "bundle/fetch/sources.h"
#include "bundle/lock.h"
#include "bundle/spec.h"

/* Visits components, then images from archives: whatever a lock can hold. */
struct visit {
	bool image;
	const char *owner;
	const struct byoh_spec_source *source;
};

static bool next_source(const struct byoh_spec *spec, size_t index, struct visit *ret)
{
	if (index < spec->component_count) {
		*ret = (struct visit){ false, spec->components[index].name,
				       &spec->components[index].source };
		return true;
	}
	index -= spec->component_count;
	if (index >= spec->image_count)
		return false;
	*ret = (struct visit){ true, spec->images[index].ref, &spec->images[index].source };
	return true;
}

static const char *name_of(const struct visit *at)
{
	const char *name = byoh_spec_source_name(at->source);

	return name ? name : at->owner;
}

/*
 * --check
 */

static int check_file(const struct byoh_spec *spec, const struct visit *at,
		      const struct byoh_digest *expected, struct byoh_error *err)
{
	CLEANUP_FREE char *path = byoh_spec_source_path(spec, at->source);
	struct byoh_digest found;
	char hex[BYOH_DIGEST_HEX_SIZE];
	int r;

	if (!path)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	/* What is built later has no bytes to check yet. */
	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	r = byoh_fetch_hash_path(spec, at->source, &found, err);
	if (r < 0 || byoh_digest_equal(&found, expected))
		return r;
	byoh_digest_hex(&found, hex);
	return byoh_spec_fail(spec, at->source, err,
			      "%s: %s has the SHA-256 %s, which is not what the %s says", at->owner,
			      at->source->path, hex, at->source->has_digest ? "spec" : "lock");
}

static int check(const struct byoh_spec *spec, const struct byoh_lock *lock, struct byoh_error *err)
{
	size_t locked = 0, unlocked = 0;
	struct visit at;

	for (size_t i = 0; next_source(spec, i, &at); i++) {
		struct byoh_digest digest;
		bool known = byoh_lock_digest(lock, at.image, at.owner, at.source, &digest);

		if (known && at.source->path) {
			int r = check_file(spec, &at, &digest, err);

			if (r < 0)
				return r;
		}
		/* An image's archive names its own content by digest. */
		if (!known && !at.source->unlocked && !at.image)
			return byoh_spec_fail(spec, at.source, err,
					      "%s has no digest: give sha256, run `byoh-bundle "
					      "lock`, or say "
					      "unlocked: true",
					      at.owner);
		if (!known)
			printf("unlocked %s %s\n", at.owner, name_of(&at));
		known ? locked++ : unlocked++;
	}
	printf("%zu locked, %zu unlocked\n", locked, unlocked);
	return 0;
}

/*
 * Writing
 */

static int hash_cached(const char *cache_dir, const char *url, struct byoh_digest *ret,
		       struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *locked = NULL;
	CLEANUP_FD int fd = -1;
	int r = byoh_cache_source_path(cache_dir, url, NULL, &path, err);

	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return byoh_fail_errno(err, "%s", path);
	r = byoh_digest_fd(fd, UINT64_MAX, ret, NULL, err);
	if (r == 0)
		r = byoh_cache_source_path(cache_dir, url, ret, &locked, err);
	/* Known by its digest from now on; another component may still ask by the URL. */
	if (r == 0 && link(path, locked) < 0 && errno != EEXIST && rename(path, locked) < 0)
		r = byoh_fail_errno(err, "%s", locked);
	return r;
}

/* The digest for a source that the spec leaves open; a URL keeps the one that it was locked to. */
static int find_digest(const struct byoh_spec *spec, const struct byoh_lock *old,
		       const struct visit *at, const char *cache_dir, bool refresh,
		       struct byoh_digest *ret, struct byoh_error *err)
{
	if (at->source->path)
		return byoh_fetch_hash_path(spec, at->source, ret, err);
	if (!refresh && byoh_lock_digest(old, at->image, at->owner, at->source, ret))
		return 0;
	return hash_cached(cache_dir, at->source->url, ret, err);
}

static int fill(const struct byoh_spec *spec, const struct byoh_lock *old, const char *cache_dir,
		bool refresh, struct byoh_lock *lock, struct byoh_error *err)
{
	struct visit at;
	int r = 0;

	for (size_t i = 0; r == 0 && next_source(spec, i, &at); i++) {
		struct byoh_digest digest;

		if (at.source->has_digest || (at.image && !at.source->path))
			continue;
		if (at.source->unlocked) {
			printf("unlocked %s %s\n", at.owner, name_of(&at));
			continue;
		}
		r = find_digest(spec, old, &at, cache_dir, refresh, &digest, err);
		if (r == 0)
			r = byoh_lock_set(lock, at.image, at.owner,
					  byoh_spec_source_name(at.source), &digest, err);
	}
	return r;
}

/* Two components may share a URL. */
static bool is_listed(const struct byoh_fetch_item *items, size_t count, const char *url)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(items[i].url, url) == 0)
			return true;
	return false;
}

/* URLs that nothing pins yet are fetched once, to be pinned. */
static int fetch_open(const struct byoh_spec *spec, const struct byoh_lock *old,
		      const char *cache_dir, bool refresh, struct byoh_error *err)
{
	CLEANUP_FREE struct byoh_fetch_item *items =
		calloc(spec->component_count + 1, sizeof(*items));
	struct byoh_cli_progress progress = { 0 };
	struct byoh_fetch_options options = byoh_cli_fetch_options(&progress, 0, 4);
	size_t count = 0;
	int r = items ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");

	for (size_t i = 0; r == 0 && i < spec->component_count; i++) {
		const struct byoh_spec_source *source = &spec->components[i].source;
		struct byoh_digest digest;
		char *path;

		if (!source->url || source->has_digest || source->unlocked ||
		    is_listed(items, count, source->url) ||
		    (!refresh &&
		     byoh_lock_digest(old, false, spec->components[i].name, source, &digest)))
			continue;
		r = byoh_cache_source_path(cache_dir, source->url, NULL, &path, err);
		if (r == 0)
			items[count++] = (struct byoh_fetch_item){ .name = spec->components[i].name,
								   .url = source->url,
								   .path = path,
								   .size = BYOH_FETCH_SIZE_UNKNOWN,
								   .refresh = refresh };
	}
	if (r == 0 && count)
		r = byoh_fetch_make_cache(cache_dir, err);
	if (r == 0 && count)
		r = byoh_fetch_files(items, count, &options, err);
	byoh_cli_progress_end(&progress);
	for (size_t i = 0; i < count; i++)
		free((char *)items[i].path);
	return r;
}

static int write_lock(const struct byoh_spec *spec, struct byoh_lock *lock, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	const char *slash = strrchr(spec->lock_path, '/');
	CLEANUP_FD int fd = open(spec->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return byoh_fail_errno(err, "%s", spec->directory);
	r = byoh_lock_write(lock, &text, err);
	if (r == 0)
		r = byoh_write_file(fd, slash ? slash + 1 : spec->lock_path, text.data, text.size,
				    0644, err);
	if (r == 0)
		printf("%s\n", spec->lock_path);
	return r;
}

static int refresh_lock(const struct byoh_spec *spec, const struct byoh_lock *old,
			const char *cache_dir, bool refresh, struct byoh_error *err)
{
	CLEANUP_LOCK struct byoh_lock *lock = byoh_lock_new();
	int r = lock ? fetch_open(spec, old, cache_dir, refresh, err)
		     : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");

	if (r == 0)
		r = fill(spec, old, cache_dir, refresh, lock, err);
	return r < 0 ? r : write_lock(spec, lock, err);
}

static int run(int argc, char **argv, struct byoh_error *err)
{
	static const struct option options[] = { { "check", no_argument, NULL, 'k' },
						 { "refresh", no_argument, NULL, 'r' },
						 { "cache", required_argument, NULL, 'c' },
						 { 0 } };
	CLEANUP_SPEC struct byoh_spec *spec = NULL;
	CLEANUP_LOCK struct byoh_lock *lock = NULL;
	CLEANUP_FREE char *default_cache = NULL;
	const char *cache_dir = NULL;
	bool only_check = false, refresh = false;
	int c, r;

	while ((c = byoh_cli_next_option(argc, argv, options)) > 0) {
		if (c == 'c')
			cache_dir = optarg;
		only_check = only_check || c == 'k';
		refresh = refresh || c == 'r';
	}
	if (c < -1)
		return byoh_cli_bad_option(argv, err);
	if (optind + 1 != argc)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL, "lock needs one SPEC");
	if (only_check && refresh)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "--check and --refresh exclude each other");
	r = byoh_cache_default(&default_cache, err);
	if (r == 0)
		r = byoh_spec_load(argv[optind], &spec, err);
	if (r == 0)
		r = byoh_lock_load(spec->lock_path, &lock, err);
	if (r < 0)
		return r;
	return only_check ? check(spec, lock, err)
			  : refresh_lock(spec, lock, cache_dir ? cache_dir : default_cache, refresh,
					 err);
}

const struct byoh_cli_verb byoh_cli_lock = {
	"lock",
	"lock SPEC [--check | --refresh] [--cache DIR]",
	"Write the digests that the spec leaves open into a file beside it; --check only looks, "
	"without network.",
	run,
};
