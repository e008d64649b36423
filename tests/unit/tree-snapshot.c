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

struct snapshot {
	const struct tree_snapshot_rules *rules;
	size_t skip; /* the length of the folder's name */
	struct byoh_buffer *ret;
};

static void read_all(const char *path, int fd, struct byoh_buffer *ret)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		require(byoh_buffer_add(ret, bytes, (size_t)n, NULL) == 0, "memory", path);
	require(n == 0, "file", path);
}

static void add_digest(const struct snapshot *snapshot, const char *path, char hex[static 65])
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };
	struct byoh_digest digest;

	require(fd >= 0, "file", path);
	if (snapshot->rules->mask) {
		read_all(path, fd, &bytes);
		snapshot->rules->mask(snapshot->rules->context, path + snapshot->skip, &bytes);
		require(byoh_digest_of(byoh_buffer_text(&bytes), bytes.size, &digest, NULL) == 0, "file",
			path);
	} else {
		require(byoh_digest_fd(fd, UINT64_MAX, &digest, NULL, NULL) == 0, "file", path);
	}
	byoh_digest_hex(&digest, hex);
}

static void add_time(const struct snapshot *snapshot, const char *path, const struct stat *st)
{
	int r;

	if (snapshot->rules->new_since && st->st_mtim.tv_sec >= snapshot->rules->new_since)
		r = byoh_buffer_add_string(snapshot->ret, " new", NULL);
	else
		r = byoh_buffer_printf(snapshot->ret, NULL, " %lld.%09ld", (long long)st->st_mtim.tv_sec,
				       st->st_mtim.tv_nsec);
	require(r == 0, "memory", path);
}

static void add_contents(const struct snapshot *snapshot, const char *path, const struct stat *st)
{
	char text[BYOH_PATH_MAX] = "";

	if (S_ISLNK(st->st_mode))
		require(readlink(path, text, sizeof(text) - 1) >= 0, "link", path);
	else if (S_ISREG(st->st_mode))
		add_digest(snapshot, path, text);
	require(byoh_buffer_printf(snapshot->ret, NULL, " %s", text) == 0, "memory", path);
	if (!S_ISDIR(st->st_mode))
		add_time(snapshot, path, st);
}

static void add_entry(const struct snapshot *snapshot, const char *path);

static void add_folder(const struct snapshot *snapshot, const char *path)
{
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, alphasort);

	require(count >= 0, "folder", path);
	for (int i = 0; i < count; i++) {
		char below[BYOH_PATH_MAX];

		snprintf(below, sizeof(below), "%s/%s", path, entries[i]->d_name);
		if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0)
			add_entry(snapshot, below);
		free(entries[i]);
	}
	free(entries);
}

static void add_entry(const struct snapshot *snapshot, const char *path)
{
	const struct tree_snapshot_rules *rules = snapshot->rules;
	struct stat st;

	if (rules->left_out && rules->left_out(rules->context, path + snapshot->skip))
		return;
	require(lstat(path, &st) == 0, "entry", path);
	require(byoh_buffer_printf(snapshot->ret, NULL, "%s %o %u:%u", path + snapshot->skip,
				   (unsigned int)st.st_mode, (unsigned int)st.st_uid,
				   (unsigned int)st.st_gid) == 0, "memory", path);
	add_contents(snapshot, path, &st);
	add_xattrs(path, snapshot->ret);
	require(byoh_buffer_add_string(snapshot->ret, "\n", NULL) == 0, "memory", path);
	if (S_ISDIR(st.st_mode))
		add_folder(snapshot, path);
}

void tree_snapshot_by_rules(const char *folder, const struct tree_snapshot_rules *rules,
			    struct byoh_buffer *ret)
{
	const struct snapshot snapshot = { .rules = rules, .skip = strlen(folder), .ret = ret };

	add_entry(&snapshot, folder);
}

void tree_snapshot(const char *folder, struct byoh_buffer *ret)
{
	static const struct tree_snapshot_rules none;

	tree_snapshot_by_rules(folder, &none, ret);
}

void tree_remove(const char *folder)
{
	CLEANUP_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	require(byoh_remove_tree(root, folder, NULL) == 0, "remove", folder);
}
