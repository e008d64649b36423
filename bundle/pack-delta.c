/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/pack-delta.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/bundle-internal.h"
#include "bundle/likeness.h"

/* zstd reaches its prefix only while the frame is shorter than the window, which has 128 MiB at most. */
#define FRAME_SIZE ((uint64_t)120 << 20)
#define SAMPLED_SIZE ((uint64_t)256 << 10) /* smaller files say too little about themselves */
#define SMALLEST ((uint64_t)1 << 10)	   /* a prefix costs an extent of 56 bytes and its path */
#define MIN_LIKENESS 0.1

struct change {
	const struct byoh_tree_entry *entry;
	struct byoh_digest digest;
	const struct byoh_file *base; /* the prefix; NULL: none */
	bool same;
};

struct plan {
	const struct byoh_pack *pack;
	const struct byoh_index *base;
	const struct byoh_file **by_digest; /* the base's regular files that have bytes */
	size_t by_digest_count;
	struct change *changes; /* the tree's regular files, in its order */
	size_t change_count;
	struct byoh_base_extent *extents; /* all that may be needed */
	size_t extent_count;
	struct byoh_base_files *files;
};

static void release_plan(struct plan *plan)
{
	free(plan->by_digest);
	free(plan->changes);
	free(plan->extents);
	byoh_base_files_free(plan->files);
}

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int compare_digests(const void *a, const void *b)
{
	const struct byoh_file *x = *(const struct byoh_file *const *)a;
	const struct byoh_file *y = *(const struct byoh_file *const *)b;
	int order = memcmp(x->digest.bytes, y->digest.bytes, BYOH_DIGEST_SIZE);

	return order ? order : strcmp(x->path, y->path);
}

static int sort_base(struct plan *plan, struct byoh_error *err)
{
	plan->by_digest = calloc(plan->base->file_count + 1, sizeof(*plan->by_digest));
	if (!plan->by_digest)
		return no_memory(err);
	for (size_t i = 0; i < plan->base->file_count; i++)
		if (plan->base->files[i].type == BYOH_FILE_REGULAR && plan->base->files[i].size)
			plan->by_digest[plan->by_digest_count++] = &plan->base->files[i];
	qsort(plan->by_digest, plan->by_digest_count, sizeof(*plan->by_digest), compare_digests);
	return 0;
}

/* The first of those with that content. */
static const struct byoh_file *find_same(const struct plan *plan, const struct byoh_digest *digest)
{
	size_t low = 0, high = plan->by_digest_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (memcmp(plan->by_digest[middle]->digest.bytes, digest->bytes, BYOH_DIGEST_SIZE) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < plan->by_digest_count && byoh_digest_equal(&plan->by_digest[low]->digest, digest) ?
		       plan->by_digest[low] : NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* What the file was: at its path, or of its name in a folder that has changed its own. */
static const struct byoh_file *find_former(const struct plan *plan, const char *path)
{
	const struct byoh_file *file = byoh_index_find(plan->base, path);

	if (file && file->type == BYOH_FILE_REGULAR && file->size)
		return file;
	for (size_t i = 0; i < plan->base->file_count; i++) {
		file = &plan->base->files[i];
		if (file->type == BYOH_FILE_REGULAR && file->size &&
		    strcmp(base_name(file->path), base_name(path)) == 0)
			return file;
	}
	return NULL;
}

static int digest_entry(const struct byoh_tree_entry *entry, struct byoh_digest *ret, struct byoh_error *err)
{
	CLEANUP_FD int fd = open(entry->source, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return byoh_fail_errno(err, "cannot open %s", entry->source);
	return byoh_digest_fd(fd, entry->size, ret, NULL, err);
}

static int look_at(struct plan *plan, const struct byoh_tree_entry *entry, struct byoh_error *err)
{
	struct change *change = &plan->changes[plan->change_count++];
	int r;

	*change = (struct change){ .entry = entry };
	r = digest_entry(entry, &change->digest, err);
	if (r < 0)
		return r;
	/* Whoever looks into a delta without its base is to see its list of materials. */
	if (entry->size < SMALLEST || strcmp(entry->path, BYOH_SBOM_PATH) == 0)
		return 0;
	change->base = find_same(plan, &change->digest);
	change->same = change->base;
	if (!change->same && !entry->compressed)
		change->base = find_former(plan, entry->path);
	return 0;
}

static int look_at_all(struct plan *plan, struct byoh_error *err)
{
	const struct byoh_tree *tree = plan->pack->tree;
	int r = 0;

	plan->changes = calloc(tree->entry_count + 1, sizeof(*plan->changes));
	if (!plan->changes)
		return no_memory(err);
	for (size_t i = 0; i < tree->entry_count && r == 0; i++)
		if (tree->entries[i].type == BYOH_FILE_REGULAR)
			r = look_at(plan, &tree->entries[i], err);
	return r;
}

static bool is_orphan(const struct change *change)
{
	return !change->base && !change->entry->compressed && change->entry->size >= SAMPLED_SIZE &&
	       strcmp(change->entry->path, BYOH_SBOM_PATH) != 0;
}

static struct byoh_base_extent whole(const struct byoh_file *file)
{
	return (struct byoh_base_extent){ .file_digest = file->digest, .path = file->path, .size = file->size };
}

/* What the plan has chosen already, and, where a file has nothing yet, all that it may resemble. */
static int load_base(struct plan *plan, struct byoh_error *err)
{
	CLEANUP_FD int folder = open(plan->pack->scratch_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct byoh_unpack like = { .threads = plan->pack->threads,
					  .progress = { .cancel = plan->pack->progress.cancel } };
	bool orphans = false;

	if (folder < 0)
		return byoh_fail_errno(err, "cannot open %s", plan->pack->scratch_directory);
	plan->extents = calloc(plan->change_count + plan->base->file_count + 1, sizeof(*plan->extents));
	if (!plan->extents)
		return no_memory(err);
	for (size_t i = 0; i < plan->change_count; i++) {
		orphans |= is_orphan(&plan->changes[i]);
		if (plan->changes[i].base)
			plan->extents[plan->extent_count++] = whole(plan->changes[i].base);
	}
	for (size_t i = 0; orphans && i < plan->by_digest_count; i++)
		if (plan->by_digest[i]->size >= SAMPLED_SIZE)
			plan->extents[plan->extent_count++] = whole(plan->by_digest[i]);
	return byoh_base_files_load(plan->pack->base, plan->extents, plan->extent_count, &like, folder, &plan->files,
				    err);
}

static void free_likeness(struct byoh_likeness **likeness)
{
	byoh_likeness_free(*likeness);
}

static int compare_with(const struct plan *plan, const struct byoh_likeness *mine, const struct byoh_file *file,
			double *ret, struct byoh_error *err)
{
	CLEANUP(free_likeness) struct byoh_likeness *theirs = NULL;
	CLEANUP_PREFIX struct byoh_prefix bytes = { 0 };
	const struct byoh_base_extent extent = whole(file);
	int r = byoh_base_files_map(plan->files, &extent, 1, &bytes, err);

	if (r == 0)
		r = byoh_likeness_of_bytes(bytes.bytes, bytes.size, &theirs, err);
	*ret = r < 0 ? 0 : byoh_likeness_compare(mine, theirs);
	return r;
}

static int find_alike(const struct plan *plan, struct change *change, struct byoh_error *err)
{
	CLEANUP(free_likeness) struct byoh_likeness *mine = NULL;
	double best = MIN_LIKENESS, likeness;
	int r = byoh_likeness_of_file(change->entry->source, &mine, err);

	for (size_t i = 0; i < plan->by_digest_count && r == 0; i++) {
		if (plan->by_digest[i]->size < SAMPLED_SIZE)
			continue;
		r = compare_with(plan, mine, plan->by_digest[i], &likeness, err);
		if (r == 0 && likeness > best) {
			best = likeness;
			change->base = plan->by_digest[i];
		}
	}
	return r;
}

/*
 * Groups
 */

static int add_group(struct byoh_groups *groups, struct byoh_group **ret, struct byoh_error *err)
{
	struct byoh_group *grown = reallocarray(groups->items, groups->count + 1, sizeof(*grown));

	if (!grown)
		return no_memory(err);
	groups->items = grown;
	*ret = &grown[groups->count++];
	**ret = (struct byoh_group){ 0 };
	return 0;
}

static int add_extent(struct byoh_group *group, const struct byoh_base_extent *extent, struct byoh_error *err)
{
	struct byoh_base_extent *grown;

	for (size_t i = 0; !group->same && i < group->extent_count; i++)
		if (byoh_digest_equal(&group->extents[i].file_digest, &extent->file_digest))
			return 0;
	grown = reallocarray(group->extents, group->extent_count + 1, sizeof(*grown));
	if (!grown)
		return no_memory(err);
	group->extents = grown;
	group->extents[group->extent_count++] = *extent;
	return 0;
}

static int add_entry(struct byoh_group *group, const struct byoh_tree_entry *entry, struct byoh_error *err)
{
	const struct byoh_tree_entry **grown = reallocarray(group->entries, group->count + 1, sizeof(*grown));

	if (!grown)
		return no_memory(err);
	group->entries = grown;
	group->entries[group->count++] = entry;
	group->size += entry->size;
	return 0;
}

static int add_change(struct byoh_group *group, const struct change *change, struct byoh_error *err)
{
	struct byoh_base_extent extent;
	int r = add_entry(group, change->entry, err);

	if (r < 0 || !change->base)
		return r;
	extent = whole(change->base);
	return add_extent(group, &extent, err);
}

/* A file that no frame can hold with its prefix in reach: pieces, each in a frame of its own. */
static int add_pieces(struct byoh_groups *groups, const struct change *change, struct byoh_error *err)
{
	uint64_t size = change->entry->size;
	int r = 0;

	for (uint64_t at = 0; at < size && r == 0; at += FRAME_SIZE) {
		struct byoh_base_extent extent = whole(change->base);
		struct byoh_group *group;

		r = add_group(groups, &group, err);
		if (r < 0)
			return r;
		group->same = change->same;
		r = add_entry(group, change->entry, err);
		group->piece = (struct byoh_piece){ at, size - at < FRAME_SIZE ? size - at : FRAME_SIZE,
						    change->digest };
		group->size = group->piece.size;
		if (change->same) {
			extent.offset = at;
			extent.size = group->piece.size;
		}
		if (r == 0)
			r = add_extent(group, &extent, err);
	}
	return r;
}

static int group_prefixed(const struct plan *plan, bool same, struct byoh_groups *groups, struct byoh_error *err)
{
	struct byoh_group *group = NULL;
	int r = 0;

	for (size_t i = 0; i < plan->change_count && r == 0; i++) {
		const struct change *change = &plan->changes[i];

		if (!change->base || change->same != same)
			continue;
		if (change->entry->size > FRAME_SIZE) {
			r = add_pieces(groups, change, err);
			group = NULL;
			continue;
		}
		if (!group || group->size + change->entry->size > FRAME_SIZE) {
			r = add_group(groups, &group, err);
			if (r < 0)
				return r;
			group->same = same;
		}
		r = add_change(group, change, err);
	}
	return r;
}

/* Last, since the end of the tar has to stand behind whole files; it may be empty. */
static int group_rest(const struct plan *plan, struct byoh_groups *groups, struct byoh_error *err)
{
	struct byoh_group *plain = NULL, *group;
	int r = 0;

	for (int compressed = 1; compressed >= 0 && r == 0; compressed--) {
		for (size_t i = 0; i < plan->change_count && r == 0; i++) {
			const struct change *change = &plan->changes[i];

			if (change->base || change->entry->compressed != compressed)
				continue;
			group = plain;
			if (!group || group->compressed != compressed)
				r = add_group(groups, &group, err);
			if (r < 0)
				return r;
			group->compressed = compressed;
			plain = group;
			r = add_change(group, change, err);
		}
	}
	return r < 0 || plain ? r : add_group(groups, &plain, err);
}

static int make_groups(const struct plan *plan, struct byoh_groups *groups, struct byoh_error *err)
{
	int r = group_prefixed(plan, false, groups, err);

	if (r == 0)
		r = group_prefixed(plan, true, groups, err);
	return r < 0 ? r : group_rest(plan, groups, err);
}

int byoh_pack_delta_group(const struct byoh_pack *pack, struct byoh_groups *ret, struct byoh_base_files **ret_files,
			  struct byoh_error *err)
{
	CLEANUP(release_plan) struct plan plan = { .pack = pack, .base = byoh_bundle_index(pack->base) };
	int r = sort_base(&plan, err);

	if (r == 0)
		r = look_at_all(&plan, err);
	if (r == 0)
		r = load_base(&plan, err);
	for (size_t i = 0; i < plan.change_count && r == 0; i++)
		if (is_orphan(&plan.changes[i]))
			r = find_alike(&plan, &plan.changes[i], err);
	if (r == 0)
		r = make_groups(&plan, ret, err);
	if (r == 0)
		*ret_files = TAKE_PTR(plan.files);
	return r;
}
