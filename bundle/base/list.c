/* SPDX-License-Identifier: Apache-2.0 */
/* The names in a directory, in order: the order of readdir(3) differs from one file system to another. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

struct names {
	char **items;
	size_t count;
};

static void release_names(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
}

static int add_name(struct names *names, const char *name, struct byoh_error *err)
{
	char **grown = reallocarray(names->items, names->count + 1, sizeof(*grown));
	char *copy = grown ? strdup(name) : NULL;

	if (grown)
		names->items = grown;
	if (!copy)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	grown[names->count++] = copy;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(int root_fd, const char *path, struct names *ret, struct byoh_error *err)
{
	int fd = byoh_open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY, 0, err);
	CLEANUP_DIR DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	int r = 0;

	if (fd < 0)
		return fd;
	if (!directory) {
		close(fd);
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "cannot list %s", path);
	}
	while (r == 0 && (errno = 0, entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = add_name(ret, entry->d_name, err);
	return r == 0 && errno ? byoh_fail_errno(err, "cannot list %s", path) : r;
}

int byoh_each_name(int root_fd, const char *path,
		   int (*visit)(void *context, const char *name, struct byoh_error *err), void *context,
		   struct byoh_error *err)
{
	CLEANUP(release_names) struct names names = { 0 };
	struct byoh_error failure = BYOH_ERROR_INIT;
	int r = read_names(root_fd, path, &names, &failure);

	if (r == -ENOENT)
		return 0;
	if (r < 0 && err)
		*err = failure;
	if (r == 0 && names.count)
		qsort(names.items, names.count, sizeof(*names.items), compare);
	for (size_t i = 0; r == 0 && i < names.count; i++)
		r = visit(context, names.items[i], err);
	return r;
}
