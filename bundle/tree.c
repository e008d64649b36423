/* SPDX-License-Identifier: Apache-2.0 */
/* The tree itself; gathering it from sources is in collect.c. */
#include "bundle/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/image-archive.h"
#include "bundle/tree-private.h"

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

void byoh_tree_entry_release(struct byoh_tree_entry *entry)
{
	free(entry->path);
	free(entry->target);
	free(entry->source);
	free(entry->origin);
	*entry = (struct byoh_tree_entry){ 0 };
}

static void component_release(struct byoh_component *component)
{
	free(component->name);
	free(component->version);
	free(component->license);
	free(component->source);
}

void byoh_tree_free(struct byoh_tree *tree)
{
	if (!tree)
		return;
	for (size_t i = 0; i < tree->entry_count; i++)
		byoh_tree_entry_release(&tree->entries[i]);
	for (size_t i = 0; i < tree->component_count; i++)
		component_release(&tree->components[i]);
	for (size_t i = 0; i < tree->image_count; i++)
		byoh_image_release(&tree->images[i]);
	free(tree->entries);
	free(tree->components);
	free(tree->images);
	free(tree);
}

void byoh_tree_freep(struct byoh_tree **tree)
{
	byoh_tree_free(*tree);
}

int byoh_tree_put(struct byoh_tree *tree, struct byoh_tree_entry *entry, struct byoh_error *err)
{
	/* Grows at powers of two, so the capacity need not be kept. */
	if ((tree->entry_count & (tree->entry_count - 1)) == 0) {
		size_t capacity = tree->entry_count ? tree->entry_count * 2 : 1;
		void *grown = reallocarray(tree->entries, capacity, sizeof(*tree->entries));

		if (!grown)
			return no_memory(err);
		tree->entries = grown;
	}
	tree->entries[tree->entry_count++] = *entry;
	*entry = (struct byoh_tree_entry){ 0 };
	return 0;
}

static int put_directory(struct byoh_tree *tree, const char *path, size_t length,
			 struct byoh_error *err)
{
	struct byoh_tree_entry entry = { .path = strndup(path, length),
					 .type = BYOH_FILE_DIRECTORY,
					 .mode = 0755 };
	int r = entry.path ? byoh_tree_put(tree, &entry, err) : no_memory(err);

	byoh_tree_entry_release(&entry);
	return r;
}

static int put_parents(struct byoh_tree *tree, struct byoh_error *err)
{
	size_t given = tree->entry_count;

	for (size_t i = 0; i < given; i++) {
		/* The array moves while it grows; the strings do not. */
		const char *path = tree->entries[i].path;

		for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
			int r = put_directory(tree, path, (size_t)(slash - path), err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int compare_entries(const void *a, const void *b)
{
	const struct byoh_tree_entry *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static const char *origin_of(const struct byoh_tree_entry *entry)
{
	return entry->origin ? entry->origin : "a folder";
}

static int fail_twice(const struct byoh_tree_entry *a, const struct byoh_tree_entry *b,
		      struct byoh_error *err)
{
	/* A folder is made for what lies in it, which is the more telling of the two. */
	if (a->type == BYOH_FILE_DIRECTORY || b->type == BYOH_FILE_DIRECTORY)
		return byoh_fail(err, BYOH_ERROR_CONFIG, EEXIST,
				 "/%s is a file (of %s) and a folder of other files as well",
				 a->path, origin_of(a->origin ? a : b));
	return byoh_fail(err, BYOH_ERROR_CONFIG, EEXIST,
			 "/%s comes from %s and from %s; keep one of them", a->path, origin_of(a),
			 origin_of(b));
}

int byoh_tree_finish(struct byoh_tree *tree, struct byoh_error *err)
{
	size_t kept = 0;
	int r = put_parents(tree, err);

	if (r < 0 || tree->entry_count == 0)
		return r;
	qsort(tree->entries, tree->entry_count, sizeof(*tree->entries), compare_entries);
	for (size_t i = 1; i < tree->entry_count; i++) {
		struct byoh_tree_entry *last = &tree->entries[i - 1], *next = &tree->entries[i];

		if (strcmp(last->path, next->path) == 0 &&
		    (last->type != BYOH_FILE_DIRECTORY || next->type != BYOH_FILE_DIRECTORY))
			return fail_twice(last, next, err);
	}
	for (size_t i = 1; i < tree->entry_count; i++) {
		if (strcmp(tree->entries[kept].path, tree->entries[i].path) == 0)
			byoh_tree_entry_release(&tree->entries[i]);
		else
			tree->entries[++kept] = tree->entries[i];
	}
	tree->entry_count = kept + 1;
	return 0;
}

/* Whoever made the tree may have made the array exactly as long as it needed. */
static int restore_capacity(struct byoh_tree *tree, struct byoh_error *err)
{
	size_t capacity = 1;
	void *grown;

	while (capacity < tree->entry_count)
		capacity *= 2;
	grown = reallocarray(tree->entries, capacity, sizeof(*tree->entries));
	if (!grown)
		return no_memory(err);
	tree->entries = grown;
	return 0;
}

static int fill_file(struct byoh_tree_entry *entry, const char *path, mode_t mode,
		     const char *source, struct byoh_error *err)
{
	struct stat st;

	if (stat(source, &st) < 0)
		return byoh_fail_errno(err, "%s", source);
	if (!S_ISREG(st.st_mode))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "%s: not a regular file", source);
	*entry = (struct byoh_tree_entry){ .path = strdup(path),
					   .type = BYOH_FILE_REGULAR,
					   .mode = mode & 0777,
					   .size = (uint64_t)st.st_size,
					   .source = strdup(source) };
	return entry->path && entry->source ? 0 : no_memory(err);
}

int byoh_tree_add_file(struct byoh_tree *tree, const char *path, mode_t mode, const char *source,
		       struct byoh_error *err)
{
	struct byoh_tree_entry entry = { 0 };
	int r;

	if (!byoh_path_is_clean(path))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "\"%s\" is no path for a bundle",
				 path);
	r = fill_file(&entry, path, mode, source, err);
	if (r == 0)
		r = restore_capacity(tree, err);
	if (r == 0)
		r = byoh_tree_put(tree, &entry, err);
	if (r == 0)
		r = byoh_tree_finish(tree, err);
	byoh_tree_entry_release(&entry);
	return r;
}
