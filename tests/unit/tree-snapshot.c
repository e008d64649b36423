/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/tree-snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/digest.h"
#include "bundle/base/path.h"

static void require(bool holds, const char *what, const char *path)
{
	if (holds)
		return;
	perror(path);
	fprintf(stderr, "tree snapshot: %s\n", what);
	abort();
}

static void add_xattrs(const char *path, struct byoh_buffer *ret)
{
	char names[4096], value[4096];
	ssize_t size = llistxattr(path, names, sizeof(names));

	for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		ssize_t length = lgetxattr(path, name, value, sizeof(value));

		require(length >= 0, "attribute", path);
		require(byoh_buffer_printf(ret, NULL, " %s=%.*s", name, (int)length, value) == 0, "memory",
			path);
	}
}

static void add_contents(const char *path, const struct stat *st, struct byoh_buffer *ret)
{
	char text[BYOH_PATH_MAX] = "";

	if (S_ISLNK(st->st_mode)) {
		require(readlink(path, text, sizeof(text) - 1) >= 0, "link", path);
	} else if (S_ISREG(st->st_mode)) {
		CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
		struct byoh_digest digest;

		require(fd >= 0 && byoh_digest_fd(fd, UINT64_MAX, &digest, NULL, NULL) == 0, "file", path);
		byoh_digest_hex(&digest, text);
	}
	require(byoh_buffer_printf(ret, NULL, " %s", text) == 0, "memory", path);
	if (!S_ISDIR(st->st_mode))
		require(byoh_buffer_printf(ret, NULL, " %lld.%09ld", (long long)st->st_mtim.tv_sec,
					   st->st_mtim.tv_nsec) == 0, "memory", path);
}

static void add_entry(const char *path, size_t skip, struct byoh_buffer *ret);

static void add_folder(const char *path, size_t skip, struct byoh_buffer *ret)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);

	require(count >= 0, "folder", path);
	for (int i = 0; i < count; i++) {
		char below[BYOH_PATH_MAX];

		snprintf(below, sizeof(below), "%s/%s", path, entries[i]->d_name);
		if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0)
			add_entry(below, skip, ret);
		free(entries[i]);
	}
	free(entries);
}

static void add_entry(const char *path, size_t skip, struct byoh_buffer *ret)
{
	struct stat st;

	require(lstat(path, &st) == 0, "entry", path);
	require(byoh_buffer_printf(ret, NULL, "%s %o %u:%u", path + skip, (unsigned int)st.st_mode,
				   (unsigned int)st.st_uid, (unsigned int)st.st_gid) == 0, "memory", path);
	add_contents(path, &st, ret);
	add_xattrs(path, ret);
	require(byoh_buffer_add_string(ret, "\n", NULL) == 0, "memory", path);
	if (S_ISDIR(st.st_mode))
		add_folder(path, skip, ret);
}

void tree_snapshot(const char *folder, struct byoh_buffer *ret)
{
	add_entry(folder, strlen(folder), ret);
}

void tree_remove(const char *folder)
{
	CLEANUP_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	require(byoh_remove_tree(root, folder, NULL) == 0, "remove", folder);
}
