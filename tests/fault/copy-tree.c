/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fault/copy-tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"

#define MAX_LINKED 64
#define MAX_PATH 4096

struct linked { /* a file of several names, copied under one of them */
	dev_t device;
	ino_t inode;
	char copy[MAX_PATH];
};

struct copy {
	size_t count;
	struct linked linked[MAX_LINKED];
};

static void require(bool holds, const char *what, const char *path)
{
	if (holds)
		return;
	fprintf(stderr, "copy: %s: %s: %s\n", path, what, strerror(errno));
	exit(2);
}

static void copy_attributes(const char *from, const char *to)
{
	char names[4096], value[4096];
	ssize_t size = llistxattr(from, names, sizeof(names));

	for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
		ssize_t length = lgetxattr(from, name, value, sizeof(value));

		require(length >= 0 && lsetxattr(to, name, value, (size_t)length, 0) == 0, name, to);
	}
}

static void copy_bytes(const char *from, const char *to, off_t size)
{
	CLEANUP_FD int in = open(from, O_RDONLY | O_CLOEXEC);
	CLEANUP_FD int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	require(in >= 0, "open", from);
	require(out >= 0, "create", to);
	while (size > 0) {
		ssize_t n = sendfile(out, in, NULL, (size_t)size);

		require(n > 0, "copy", to);
		size -= n;
	}
}

/* Under another name already? */
static bool copy_linked(struct copy *copy, const char *to, const struct stat *st)
{
	if (st->st_nlink == 1)
		return false;
	for (size_t i = 0; i < copy->count; i++)
		if (copy->linked[i].inode == st->st_ino && copy->linked[i].device == st->st_dev) {
			require(link(copy->linked[i].copy, to) == 0, "link", to);
			return true;
		}
	require(copy->count < MAX_LINKED, "too many files of several names", to);
	copy->linked[copy->count].device = st->st_dev;
	copy->linked[copy->count].inode = st->st_ino;
	snprintf(copy->linked[copy->count++].copy, MAX_PATH, "%s", to);
	return false;
}

static void copy_entry(struct copy *copy, const char *from, const char *to);

static void copy_folder(struct copy *copy, const char *from, const char *to)
{
	CLEANUP_DIR DIR *dir = opendir(from);
	const struct dirent *entry;

	require(dir, "folder", from);
	require(mkdir(to, 0700) == 0, "folder", to);
	while ((entry = readdir(dir))) {
		char below[MAX_PATH], target[MAX_PATH];
		int n = snprintf(below, sizeof(below), "%s/%s", from, entry->d_name);
		int m = snprintf(target, sizeof(target), "%s/%s", to, entry->d_name);

		require(n < MAX_PATH && m < MAX_PATH, "too long", from);
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			copy_entry(copy, below, target);
	}
}

static void copy_entry(struct copy *copy, const char *from, const char *to)
{
	char text[MAX_PATH] = "";
	struct timespec times[2];
	struct stat st;

	require(lstat(from, &st) == 0, "entry", from);
	if (S_ISDIR(st.st_mode)) {
		copy_folder(copy, from, to);
	} else if (S_ISLNK(st.st_mode)) {
		require(readlink(from, text, sizeof(text) - 1) >= 0, "link", from);
		require(symlink(text, to) == 0, "link", to);
	} else {
		require(S_ISREG(st.st_mode), "neither file nor folder nor link", from);
		if (copy_linked(copy, to, &st))
			return;
		copy_bytes(from, to, st.st_size);
	}
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	copy_attributes(from, to);
	require(lchown(to, st.st_uid, st.st_gid) == 0, "owner", to);
	require(S_ISLNK(st.st_mode) || chmod(to, st.st_mode & 07777) == 0, "mode", to);
	require(utimensat(AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW) == 0, "times", to);
}

void copy_tree(const char *from, const char *to)
{
	static struct copy copy;

	copy.count = 0;
	copy_entry(&copy, from, to);
}
