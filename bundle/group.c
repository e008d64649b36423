/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/group.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/likeness.h"

#define SMALL_FILE ((uint64_t)256 << 10) /* smaller files say too little about themselves */
#define MAX_COMPARED 192		 /* pairs grow with the square */
#define MIN_LIKENESS 0.04		 /* below, a common frame saves nothing that can be measured */
#define SINGLE_FRAME ((uint64_t)24 << 20) /* less than this is decoded before a second thread starts */
/* A frame's stored bytes should fit among the blocks in flight, or the decoders behind it starve. */
#define FRAME_SIZE ((uint64_t)192 << 20)
#define COMPRESSED_FRAME_SIZE ((uint64_t)32 << 20)

/* A cluster is a chain of entries; clusters are merged while their likeness is high. */
struct cluster {
	struct byoh_group group;
	struct byoh_likeness *likeness; /* NULL: of nothing known */
};

struct clusters {
	size_t count;
	struct cluster *items;
};

static void release_clusters(struct clusters *clusters)
{
	for (size_t i = 0; i < clusters->count; i++) {
		free(clusters->items[i].group.entries);
		byoh_likeness_free(clusters->items[i].likeness);
	}
	free(clusters->items);
}

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static int append_entries(struct byoh_group *group, const struct byoh_tree_entry *const *entries,
			  size_t count, struct byoh_error *err)
{
	const struct byoh_tree_entry **grown =
		reallocarray(group->entries, group->count + count + 1, sizeof(*grown));

	if (!grown)
		return no_memory(err);
	group->entries = grown;
	for (size_t i = 0; i < count; i++) {
		group->entries[group->count++] = entries[i];
		group->size += entries[i]->size;
	}
	return 0;
}

static int compare_sizes(const void *a, const void *b)
{
	const struct cluster *x = a, *y = b;

	if (x->group.size != y->group.size)
		return x->group.size < y->group.size ? 1 : -1;
	return strcmp(x->group.entries[0]->path, y->group.entries[0]->path);
}

/* Each large file a cluster of its own, largest first; all small files and what is compressed already
 * are collected apart. */
static int collect(const struct byoh_tree *tree, struct clusters *large, struct byoh_group *small,
		   struct byoh_group *compressed, struct byoh_error *err)
{
	int r = 0;

	large->items = calloc(tree->entry_count + 1, sizeof(*large->items));
	if (!large->items)
		return no_memory(err);
	for (size_t i = 0; i < tree->entry_count && r == 0; i++) {
		const struct byoh_tree_entry *entry = &tree->entries[i];

		if (entry->type != BYOH_FILE_REGULAR)
			continue;
		if (entry->compressed)
			r = append_entries(compressed, &entry, 1, err);
		else if (entry->size < SMALL_FILE)
			r = append_entries(small, &entry, 1, err);
		else
			r = append_entries(&large->items[large->count++].group, &entry, 1, err);
	}
	if (r == 0)
		qsort(large->items, large->count, sizeof(*large->items), compare_sizes);
	return r;
}

static int measure(struct clusters *clusters, struct byoh_error *err)
{
	size_t count = clusters->count < MAX_COMPARED ? clusters->count : MAX_COMPARED;
	int r = 0;

	for (size_t i = 0; i < count && r == 0; i++)
		r = byoh_likeness_of_file(clusters->items[i].group.entries[0]->source,
					  &clusters->items[i].likeness, err);
	return r;
}

/* The most alike pair whose union stays within max; false if none is alike enough. */
static bool most_alike(const struct clusters *clusters, uint64_t max, size_t *ret_a, size_t *ret_b)
{
	double best = MIN_LIKENESS;
	bool found = false;

	for (size_t a = 0; a < clusters->count; a++) {
		const struct cluster *first = &clusters->items[a];

		for (size_t b = a + 1; b < clusters->count && first->likeness; b++) {
			const struct cluster *second = &clusters->items[b];
			double likeness;

			if (!second->likeness || first->group.size + second->group.size > max)
				continue;
			likeness = byoh_likeness_compare(first->likeness, second->likeness);
			if (likeness > best) {
				best = likeness;
				*ret_a = a;
				*ret_b = b;
				found = true;
			}
		}
	}
	return found;
}

static void remove_cluster(struct clusters *clusters, size_t i)
{
	free(clusters->items[i].group.entries);
	byoh_likeness_free(clusters->items[i].likeness);
	memmove(&clusters->items[i], &clusters->items[i + 1],
		(clusters->count - i - 1) * sizeof(*clusters->items));
	clusters->count--;
}

static int merge(struct clusters *clusters, size_t a, size_t b, struct byoh_error *err)
{
	struct cluster *into = &clusters->items[a], *from = &clusters->items[b];
	int r = append_entries(&into->group, from->group.entries, from->group.count, err);

	if (r == 0 && into->likeness && from->likeness)
		r = byoh_likeness_join(into->likeness, from->likeness, err);
	if (r == 0)
		remove_cluster(clusters, b);
	return r;
}

/* Whatever is not alike goes where it keeps the frames even: the largest onto the smallest frame. */
static int fill_up(struct clusters *clusters, size_t frames, struct byoh_error *err)
{
	int r = 0;

	qsort(clusters->items, clusters->count, sizeof(*clusters->items), compare_sizes);
	while (r == 0 && clusters->count > frames) {
		size_t smallest = 0;

		for (size_t i = 1; i < frames; i++)
			if (clusters->items[i].group.size < clusters->items[smallest].group.size)
				smallest = i;
		r = merge(clusters, smallest, frames, err);
	}
	return r;
}

static int group_large(struct clusters *clusters, uint64_t total, struct byoh_error *err)
{
	/* Two frames keep two cores busy and cost next to nothing in size; what is larger than two windows can
	 * pay for another. */
	size_t wanted = (size_t)(total / FRAME_SIZE);
	size_t frames = total <= SINGLE_FRAME ? 1 : wanted < 2 ? 2 : wanted;
	uint64_t max = frames == 1 ? UINT64_MAX : total / frames + total / 5;
	size_t a = 0, b = 0;
	int r = measure(clusters, err);

	while (r == 0 && most_alike(clusters, max, &a, &b))
		r = merge(clusters, a, b, err);
	return r < 0 ? r : fill_up(clusters, frames, err);
}

/* There is nothing that one such file could lean on in another: frames of them are only for more threads. */
static int publish_compressed(struct byoh_groups *groups, const struct byoh_group *compressed, struct byoh_error *err)
{
	struct byoh_group *group = NULL;
	int r = 0;

	for (size_t i = 0; i < compressed->count && r == 0; i++) {
		if (!group || group->size >= COMPRESSED_FRAME_SIZE) {
			group = &groups->items[groups->count++];
			group->compressed = true;
		}
		r = append_entries(group, &compressed->entries[i], 1, err);
	}
	return r;
}

static int publish(struct byoh_groups *groups, struct clusters *clusters, const struct byoh_group *small,
		   const struct byoh_group *compressed, struct byoh_error *err)
{
	int r = 0;

	groups->items = calloc(clusters->count + 1 + compressed->count, sizeof(*groups->items));
	if (!groups->items)
		return no_memory(err);
	for (size_t i = 0; i < clusters->count; i++) {
		groups->items[groups->count++] = clusters->items[i].group;
		clusters->items[i].group = (struct byoh_group){0};
	}
	/* No frame may be empty, but a bundle of nothing has one for the tar's end. */
	if (!groups->count && (small->count || !compressed->count))
		groups->count = 1;
	/* Small files follow in the smallest frame, which has time for them. */
	if (small->count)
		r = append_entries(&groups->items[groups->count - 1], small->entries, small->count, err);
	return r < 0 ? r : publish_compressed(groups, compressed, err);
}

int byoh_group_files(const struct byoh_tree *tree, struct byoh_groups *ret, struct byoh_error *err)
{
	CLEANUP(release_clusters) struct clusters large = {0};
	struct byoh_group small = {0}, compressed = {0};
	uint64_t total = 0;
	int r = collect(tree, &large, &small, &compressed, err);

	for (size_t i = 0; i < large.count; i++)
		total += large.items[i].group.size;
	if (r == 0)
		r = group_large(&large, total, err);
	if (r == 0)
		r = publish(ret, &large, &small, &compressed, err);
	free(small.entries);
	free(compressed.entries);
	return r;
}

void byoh_groups_release(struct byoh_groups *groups)
{
	for (size_t i = 0; i < groups->count; i++) {
		free(groups->items[i].entries);
		free(groups->items[i].extents);
	}
	free(groups->items);
	*groups = (struct byoh_groups){0};
}
