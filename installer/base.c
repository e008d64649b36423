/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/lock.h"

#define RELEASES BYOH_HOME "/releases"

/* Those that have been opened on the way to here: none of them builds on itself. */
struct way {
	const struct way *before;
	struct byoh_bundle *bundle;
};

struct search {
	int root_fd;
	const struct way *way;
	bool found;
};

static bool is_on_way(const struct way *way, const char *id)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	for (; way; way = way->before) {
		byoh_digest_hex(byoh_bundle_id(way->bundle), hex);
		if (strcmp(hex, id) == 0)
			return true;
	}
	return false;
}

/* Its signatures have to hold, and its name has to be its id: that a delta which somebody trusts names its files by
 * their digests is what makes them good. */
static int open_release(int root_fd, const char *id, struct byoh_bundle **ret, struct byoh_error *err)
{
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	char path[256], hex[BYOH_DIGEST_HEX_SIZE];
	CLEANUP_FD int fd = -1;
	int r;

	snprintf(path, sizeof(path), RELEASES "/%.64s/bundle", id);
	fd = byoh_open_beneath(root_fd, path, O_RDONLY, 0, err);
	r = fd < 0 ? fd : byoh_bundle_open_fd(fd, path, &bundle, err);
	if (r < 0)
		return r;
	fd = -1;
	r = byoh_bundle_examine(bundle, err);
	if (r < 0)
		return r;
	byoh_digest_hex(byoh_bundle_id(bundle), hex);
	if (strcmp(hex, id) != 0)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "%s: it is another bundle", path);
	*ret = TAKE_PTR(bundle);
	return 0;
}

static int attach(int root_fd, const struct way *way, struct byoh_error *err);

static int try_release(int root_fd, const struct way *way, const char *id, struct byoh_error *err)
{
	CLEANUP_BUNDLE struct byoh_bundle *base = NULL;
	struct way here = { way, NULL };
	int r;

	if (is_on_way(way, id))
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ELOOP, "%s builds on itself", id);
	r = open_release(root_fd, id, &base, err);
	if (r < 0)
		return r;
	here.bundle = base;
	r = attach(root_fd, &here, err);
	if (r == 0)
		r = byoh_bundle_set_base(way->bundle, base, err);
	if (r == 0)
		base = NULL;
	return r;
}

static int try_other(void *context, const char *name, struct byoh_error *err)
{
	struct search *search = context;

	(void)err;
	search->found = try_release(search->root_fd, search->way, name, NULL) == 0;
	return search->found;
}

static int attach(int root_fd, const struct way *way, struct byoh_error *err)
{
	struct search search = { root_fd, way, false };
	struct byoh_error failure = BYOH_ERROR_INIT;
	char hex[BYOH_DIGEST_HEX_SIZE];
	int r;

	if (!byoh_bundle_is_delta(way->bundle) || byoh_bundle_base(way->bundle))
		return 0;
	byoh_digest_hex(&byoh_bundle_manifest(way->bundle)->base_id, hex);
	if (try_release(root_fd, way, hex, &failure) == 0)
		return 0;
	r = byoh_each_name(root_fd, RELEASES, try_other, &search, err);
	if (r < 0 || search.found)
		return r < 0 ? r : 0;
	r = byoh_bundle_lacks_base(way->bundle, err);
	if (failure.errnum != ENOENT && err)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ESTALE,
				 "%s builds on the release %.16s, and what is kept of that here cannot be used (%s); "
				 "take the full bundle, with --from FILE", byoh_bundle_name(way->bundle), hex,
				 failure.message);
	return r;
}

int byoh_base_attach(int root_fd, struct byoh_bundle *bundle, struct byoh_error *err)
{
	const struct way way = { NULL, bundle };

	return attach(root_fd, &way, err);
}

int byoh_base_ids(const struct byoh_bundle *bundle, struct byoh_buffer *ret, struct byoh_error *err)
{
	char hex[BYOH_DIGEST_HEX_SIZE];
	int r = 0;

	while (r == 0 && (bundle = byoh_bundle_base(bundle))) {
		byoh_digest_hex(byoh_bundle_id(bundle), hex);
		r = byoh_buffer_printf(ret, err, "%s ", hex);
	}
	return r;
}
