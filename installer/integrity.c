/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/integrity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define RELEASES BYOH_HOME "/releases"

void byoh_integrity_release(struct byoh_integrity *integrity)
{
	for (size_t i = 0; i < integrity->bundle_count; i++) {
		free(integrity->bundles[i].path);
		byoh_bundle_free(integrity->bundles[i].bundle);
	}
	free(integrity->bundles);
	for (size_t i = 0; i < integrity->damage_count; i++) {
		free(integrity->damages[i].path);
		free(integrity->damages[i].reason);
	}
	free(integrity->damages);
	*integrity = (struct byoh_integrity){ 0 };
}

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int note(struct byoh_integrity *integrity, const char *path, const char *reason,
		struct byoh_error *err)
{
	struct byoh_damage *grown = reallocarray(integrity->damages, integrity->damage_count + 1,
						 sizeof(*grown));
	struct byoh_damage *damage;

	if (!grown)
		return out_of_memory(err);
	integrity->damages = grown;
	damage = &grown[integrity->damage_count];
	*damage = (struct byoh_damage){ .path = strdup(path), .reason = strdup(reason) };
	integrity->damage_count++;
	return damage->path && damage->reason ? 0 : out_of_memory(err);
}

/*
 * Bundles
 */

/* They were accepted once, and only root could put them here: whom the host trusts today is another question.
 * Whoever signed must hold, and the name of the folder is the bundle's id. */
static int authenticate(struct byoh_bundle *bundle, const char *id, struct byoh_error *err)
{
	CLEANUP_KEYRING struct byoh_keyring *keyring = byoh_keyring_new();
	char hex[BYOH_DIGEST_HEX_SIZE];
	int r = keyring ? byoh_bundle_add_signers(bundle, keyring, err) : out_of_memory(err);

	if (r == 0)
		r = byoh_bundle_authenticate(bundle, keyring, 1, err);
	if (r < 0)
		return r;
	byoh_digest_hex(byoh_bundle_id(bundle), hex);
	if (strcmp(hex, id) != 0)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "it is another bundle, %s", hex);
	return 0;
}

static int open_bundle(const struct byoh_host *host, const char *id, const char *path,
		       struct byoh_bundle **ret, struct byoh_error *err)
{
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	CLEANUP_FD int fd = byoh_open_beneath(host->root_fd, path, O_RDONLY, 0, err);
	int r = fd < 0 ? fd : byoh_bundle_open_fd(fd, path, &bundle, err);

	if (r < 0)
		return r;
	fd = -1;
	r = authenticate(bundle, id, err);
	if (r == 0)
		*ret = TAKE_PTR(bundle);
	return r;
}

static int add_bundle(const struct byoh_host *host, struct byoh_integrity *integrity, const char *id,
		      struct byoh_error *err)
{
	struct byoh_kept_bundle *grown = reallocarray(integrity->bundles, integrity->bundle_count + 1,
						      sizeof(*grown));
	struct byoh_error damage = BYOH_ERROR_INIT;
	struct byoh_kept_bundle *kept;
	int r;

	if (!grown)
		return out_of_memory(err);
	integrity->bundles = grown;
	kept = &grown[integrity->bundle_count++];
	*kept = (struct byoh_kept_bundle){ 0 };
	if (asprintf(&kept->path, RELEASES "/%s/bundle", id) < 0) {
		kept->path = NULL;
		return out_of_memory(err);
	}
	r = open_bundle(host, id, kept->path, &kept->bundle, &damage);
	if (r < 0)
		return note(integrity, kept->path, r == -ENOENT ? "it is lost" : damage.message, err);
	integrity->bytes += byoh_bundle_size(kept->bundle) - byoh_bundle_header_size(kept->bundle);
	return 0;
}

struct opening {
	const struct byoh_host *host;
	struct byoh_integrity *integrity;
};

static int open_one(void *context, const char *name, struct byoh_error *err)
{
	const struct opening *opening = context;

	return name[0] == '.' ? 0 : add_bundle(opening->host, opening->integrity, name, err);
}

int byoh_integrity_open(const struct byoh_host *host, struct byoh_integrity *ret, struct byoh_error *err)
{
	struct opening opening = { host, ret };

	*ret = (struct byoh_integrity){ 0 };
	return byoh_each_name(host->root_fd, RELEASES, open_one, &opening, err);
}

int byoh_integrity_find_previous(const struct byoh_host *host, const struct byoh_state *installed,
				 struct byoh_state **ret, const char **ret_id, struct byoh_error *err)
{
	char path[256];

	*ret = NULL;
	*ret_id = NULL;
	if (!installed->previous_id)
		return 0;
	snprintf(path, sizeof(path), RELEASES "/%.64s/bundle", installed->previous_id);
	if (!byoh_exists_beneath(host->root_fd, path))
		return 0;
	*ret_id = installed->previous_id;
	return byoh_state_read_previous(host, ret, err);
}

/* The bar counts through all of them. */
struct share {
	const struct byoh_progress *progress;
	uint64_t before, total;
};

static void report_share(void *context, uint64_t done, uint64_t total)
{
	const struct share *share = context;

	(void)total;
	if (share->progress->report)
		share->progress->report(share->progress->context, share->before + done, share->total);
}

int byoh_integrity_check_bundles(struct byoh_integrity *integrity, const struct byoh_progress *progress,
				 struct byoh_error *err)
{
	struct share share = { .progress = progress, .total = integrity->bytes };
	struct byoh_progress each = { .report = report_share, .context = &share, .cancel = progress->cancel };
	int r = 0;

	for (size_t i = 0; i < integrity->bundle_count && r == 0; i++) {
		const struct byoh_kept_bundle *kept = &integrity->bundles[i];
		struct byoh_error damage = BYOH_ERROR_INIT;

		if (!kept->bundle)
			continue;
		r = byoh_bundle_check(kept->bundle, 0, &each, &damage);
		if (r == -EINTR && err)
			*err = damage;
		else if (r < 0)
			r = note(integrity, kept->path, damage.message, err);
		share.before += byoh_bundle_size(kept->bundle) - byoh_bundle_header_size(kept->bundle);
	}
	return r;
}

int byoh_integrity_has_bundle(const struct byoh_host *host, const char *id, const struct byoh_progress *progress,
			      bool *ret_good, struct byoh_error *err)
{
	struct byoh_integrity one = { 0 };
	int r = add_bundle(host, &one, id, err);

	if (r == 0 && !one.damage_count)
		r = byoh_integrity_check_bundles(&one, progress, err);
	*ret_good = !one.damage_count;
	byoh_integrity_release(&one);
	return r;
}

/*
 * Before-images
 */

static bool has_type(const struct stat *st, const char *type)
{
	if (!type || strcmp(type, "file") == 0)
		return S_ISREG(st->st_mode);
	return strcmp(type, "link") != 0 || S_ISLNK(st->st_mode);
}

static bool has_image(const struct byoh_origin *origin)
{
	return origin->before.existed &&
	       (origin->before.kind == BYOH_ACTION_FILE || origin->before.kind == BYOH_ACTION_LINK ||
		origin->before.kind == BYOH_ACTION_REMOVE);
}

static int check_image(struct byoh_integrity *integrity, const struct byoh_host *host,
		       const struct byoh_origin *origin, struct byoh_error *err)
{
	char image[96], reason[BYOH_PATH_MAX + 64];
	struct stat st;
	int r;

	byoh_origin_image(origin, image);
	r = byoh_stat_beneath(host->root_fd, image, &st, NULL);
	if (r == 0 && has_type(&st, origin->before.type))
		return 0;
	snprintf(reason, sizeof(reason), "%s, which stood at %s before", r < 0 ? "lost" : "no longer what it was",
		 origin->before.subject);
	return note(integrity, image, reason, err);
}

int byoh_integrity_check_images(struct byoh_integrity *integrity, const struct byoh_host *host,
				const struct byoh_ledger *ledger, struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; i < ledger->count && r == 0; i++)
		if (has_image(&ledger->origins[i]))
			r = check_image(integrity, host, &ledger->origins[i], err);
	return r;
}
