/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/disk/live.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/site-slot.h"
#include "installer/config-fields.h"
#include "installer/credentials.h"
#include "installer/discover.h"
#include "installer/report.h"
#include "installer/volume.h"

#define MARK BYOH_LIVE_MEDIUM "/.disk/byoh"
#define FILE_ON_MEDIUM BYOH_LIVE_MEDIUM "/byoh/byoh.yaml"
#define SLOT_ON_MEDIUM BYOH_LIVE_MEDIUM "/byoh/site.img"
#define DOES_NOT_COUNT "another configuration is there and does not count: %s"
#define COMMAND_LINE_MAX ((size_t)64 << 10)

enum rank { RANK_NAMED, RANK_KERNEL, RANK_VOLUME, RANK_MEDIUM };

/* One that was found. */
struct hit {
	enum rank rank;
	char *path, *where;
	struct byoh_buffer text; /* may be a secret */
};

struct hits {
	size_t count;
	struct hit items[8];
};

static void drop_hit(struct hits *hits)
{
	struct hit *hit = &hits->items[--hits->count];

	free(hit->path);
	free(hit->where);
	byoh_secret_buffer_release(&hit->text);
}

static void release_hits(struct hits *hits)
{
	while (hits->count)
		drop_hit(hits);
}

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

bool byoh_live_is_here(const struct byoh_host *host)
{
	return byoh_host_exists(host->root_fd, MARK);
}

char *byoh_live_path(const struct byoh_host *host, const char *path)
{
	char *whole;

	return asprintf(&whole, "%s%s", host->live ? "" : host->root, path) < 0 ? NULL : whole;
}

/* Takes path; text is filled by the caller. */
static struct hit *add_hit(struct hits *hits, enum rank rank, char *path, const char *where, struct byoh_error *err)
{
	struct hit *hit = hits->count < ARRAY_SIZE(hits->items) ? &hits->items[hits->count] : NULL;
	char *copy = hit ? strdup(where) : NULL;

	if (!copy || !path) {
		free(copy);
		free(path);
		(void)out_of_memory(err);
		return NULL;
	}
	*hit = (struct hit){ .rank = rank, .path = path, .where = copy };
	hits->count++;
	return hit;
}

static int add_file(struct hits *hits, enum rank rank, char *path, const char *where, struct byoh_error *err)
{
	struct hit *hit = add_hit(hits, rank, path, where, err);
	int r = hit ? byoh_config_read_text(hit->path, &hit->text, err) : -ENOMEM;

	if (hit && r < 0)
		drop_hit(hits);
	return r;
}

static int find_named(const struct byoh_session *session, struct byoh_live_config *live, struct hits *hits,
		      struct byoh_error *err)
{
	const char *named = session->options.config;

	(void)live;
	return named ? add_file(hits, RANK_NAMED, strdup(named), named, err) : 0;
}

static int find_kernel_argument(const struct byoh_session *session, struct byoh_live_config *live, struct hits *hits,
				struct byoh_error *err)
{
	const struct byoh_host *host = session->host;
	CLEANUP_BUFFER struct byoh_buffer line = { 0 };
	CLEANUP_FREE char *named = NULL;
	const char *found = NULL;
	int r;

	(void)live;
	if (byoh_host_read(host->root_fd, "/proc/cmdline", COMMAND_LINE_MAX, &line, NULL) < 0 || !line.data)
		return 0;
	r = byoh_discover_kernel_argument(line.data, &found, err);
	if (r < 0 || !found || !*found)
		return r;
	if (asprintf(&named, "%s/%s", byoh_host_exists(host->root_fd, found) ? "" : BYOH_LIVE_MEDIUM,
		     found + (*found == '/')) < 0) {
		named = NULL;
		return out_of_memory(err);
	}
	r = add_file(hits, RANK_KERNEL, byoh_live_path(host, named), named, err);
	return r < 0 ? byoh_error_wrap(err, r, "the kernel argument byoh.config=%.200s", found) : 0;
}

static void forget_stick(struct byoh_live_config *live)
{
	byoh_stick_clear(&live->stick, live->unpacked);
	free(TAKE_PTR(live->unpacked));
	byoh_stick_release(&live->stick);
}

/* A stick may be pulled out: what a configuration names comes along, into memory. */
static int take_volume(const struct byoh_volume *volume, struct byoh_live_config *live, struct hits *hits,
		       struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	char where[192];
	int r = byoh_stick_read(BYOH_VOLUME_MOUNT, &live->stick, err);

	if (r == 0 && live->stick.config < 0)
		r = byoh_fail(err, BYOH_ERROR_CONFIG, ENOENT, "it has no byoh.yaml");
	if (r == 0)
		r = byoh_stick_unpack(&live->stick, &live->unpacked, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "the volume " BYOH_VOLUME_LABEL " (%s)", volume->device);
	if (asprintf(&path, "%s/byoh.yaml", live->unpacked) < 0) {
		path = NULL;
		return out_of_memory(err);
	}
	snprintf(where, sizeof(where), "byoh.yaml of the volume " BYOH_VOLUME_LABEL " (%.120s)", volume->device);
	return add_file(hits, RANK_VOLUME, TAKE_PTR(path), where, err);
}

static int find_volume(const struct byoh_session *session, struct byoh_live_config *live, struct hits *hits,
		       struct byoh_error *err)
{
	struct byoh_volume volume;
	int r;

	if (!session->host->live)
		return 0;
	r = byoh_volume_find(session->host->root_fd, BYOH_VOLUME_LABEL, &volume, err);
	if (r < 0 || !volume.device[0])
		return r;
	r = byoh_volume_mount(&volume, BYOH_VOLUME_MOUNT, err);
	if (r < 0)
		return r;
	r = take_volume(&volume, live, hits, err);
	byoh_volume_unmount(BYOH_VOLUME_MOUNT);
	if (r < 0)
		forget_stick(live);
	return r;
}

/* It has no folder of its own: it is put into one in memory, for whoever reads it by its name. */
static int unpack_slot(struct byoh_live_config *live, struct hit *hit, struct byoh_error *err)
{
	const struct byoh_buffer *text = &hit->text;
	struct byoh_stick *stick = &live->stick;
	int r;

	stick->files = calloc(1, sizeof(*stick->files));
	if (!stick->files)
		return out_of_memory(err);
	stick->count = 1;
	stick->files[0].name = strdup("byoh.yaml");
	if (!stick->files[0].name)
		return out_of_memory(err);
	r = byoh_buffer_add(&stick->files[0].bytes, text->data, text->size, err);
	if (r == 0)
		r = byoh_stick_unpack(stick, &live->unpacked, err);
	if (r < 0)
		return r;
	free(hit->path);
	return asprintf(&hit->path, "%s/byoh.yaml", live->unpacked) < 0 ? (hit->path = NULL, out_of_memory(err)) : 0;
}

static int find_slot(const struct byoh_session *session, struct hits *hits, struct byoh_error *err)
{
	CLEANUP_SECRET_BUFFER struct byoh_buffer slot = { 0 };
	struct hit *hit;
	int r = byoh_host_read(session->host->root_fd, SLOT_ON_MEDIUM, BYOH_SITE_SLOT_SIZE, &slot, err);

	if (r < 0)
		return r;
	hit = add_hit(hits, RANK_MEDIUM, strdup(""), "the slot byoh/site.img of the boot medium", err);
	if (!hit)
		return -ENOMEM;
	r = byoh_site_slot_read(slot.data, slot.size, &hit->text, err);
	if (r < 0)
		(void)byoh_error_wrap(err, r, "%s", hit->where);
	if (r < 0 || !hit->text.size) /* an empty one is none */
		drop_hit(hits);
	return r;
}

static int find_on_medium(const struct byoh_session *session, struct byoh_live_config *live, struct hits *hits,
			  struct byoh_error *err)
{
	const struct byoh_host *host = session->host;
	int r = 0;

	(void)live;
	if (byoh_host_exists(host->root_fd, FILE_ON_MEDIUM))
		r = add_file(hits, RANK_MEDIUM, byoh_live_path(host, FILE_ON_MEDIUM), "byoh/byoh.yaml of the boot medium", err);
	return r < 0 || !byoh_host_exists(host->root_fd, SLOT_ON_MEDIUM) ? r : find_slot(session, hits, err);
}

/* Beside one of a higher rank, what is wrong with the others ends nothing: to name one is the way around them. */
static int find_all(const struct byoh_session *session, struct byoh_live_config *live, struct hits *hits,
		    struct byoh_error *err)
{
	static int (*const sources[])(const struct byoh_session *session, struct byoh_live_config *live, struct hits *hits,
				      struct byoh_error *err) = {
		find_named, find_kernel_argument, find_volume, find_on_medium,
	};

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		struct byoh_error failure = BYOH_ERROR_INIT;
		bool have_higher = hits->count;
		int r = sources[i](session, live, hits, &failure);

		if (r < 0 && !have_higher) {
			if (err)
				*err = failure;
			return r;
		}
		if (r < 0)
			byoh_report_line(session, DOES_NOT_COUNT, failure.message);
	}
	return 0;
}

static bool same_text(const struct hit *a, const struct hit *b)
{
	return a->text.size == b->text.size && memcmp(a->text.data, b->text.data, a->text.size) == 0;
}

/* *ret is the one that counts, NULL where there is none. */
static int decide(const struct byoh_session *session, struct hits *hits, struct hit **ret, struct byoh_error *err)
{
	*ret = hits->count ? &hits->items[0] : NULL; /* they were looked for in the order of their ranks */
	for (size_t i = 1; i < hits->count; i++) {
		const struct hit *other = &hits->items[i];

		if (other->rank == (*ret)->rank && !same_text(other, *ret))
			return byoh_fail(err, BYOH_ERROR_CONFIG, EEXIST,
					 "two different configurations are found, %s and %s, and neither goes before the other; take "
					 "one away", (*ret)->where, other->where);
		byoh_report_line(session, DOES_NOT_COUNT, other->where);
	}
	return 0;
}

static int use(const struct byoh_session *session, struct hit *hit, struct byoh_live_config *live, struct byoh_error *err)
{
	int r = *hit->path ? 0 : unpack_slot(live, hit, err);

	if (r == 0)
		r = byoh_config_load_read(hit->path, &hit->text, &session->host->identity, &live->config, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", hit->where);
	live->path = TAKE_PTR(hit->path);
	live->where = TAKE_PTR(hit->where);
	return 0;
}

int byoh_live_config_find(const struct byoh_session *session, struct byoh_live_config *ret, struct byoh_error *err)
{
	CLEANUP(byoh_live_config_release) struct byoh_live_config live = { 0 };
	CLEANUP(release_hits) struct hits hits = { 0 };
	struct hit *chosen = NULL;
	int r = find_all(session, &live, &hits, err);

	if (r == 0)
		r = decide(session, &hits, &chosen, err);
	if (r == 0 && chosen && chosen->rank != RANK_VOLUME)
		forget_stick(&live);
	if (r == 0 && chosen)
		r = use(session, chosen, &live, err);
	if (r < 0)
		return r;
	*ret = live;
	live = (struct byoh_live_config){ 0 };
	return 0;
}

void byoh_live_config_release(struct byoh_live_config *live)
{
	byoh_stick_clear(&live->stick, live->unpacked);
	byoh_stick_release(&live->stick);
	byoh_config_free(live->config);
	free(live->path);
	free(live->where);
	free(live->unpacked);
	*live = (struct byoh_live_config){ 0 };
}
