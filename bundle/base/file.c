/* SPDX-License-Identifier: Apache-2.0 */
/* Files below a root: whole reads, atomic writes, removal. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define READ_STEP ((size_t)64 << 10)
#define TEMPORARY_NAME_MAX 64
#define WRITEBACK_STRETCH ((uint64_t)8 << 20) /* a disk's full speed, and little that waits for the last sync */

void byoh_hold_standard_descriptors(void)
{
	/* O_PATH works where /dev is missing, and no byte goes through it. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/", O_PATH) < 0)
			_exit(1);
}

int byoh_write_all(int fd, const void *bytes, size_t size, struct byoh_error *err)
{
	const char *next = bytes;

	while (size) {
		ssize_t n = write(fd, next, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return byoh_fail_errno(err, "cannot write");
		next += n;
		size -= (size_t)n;
	}
	return 0;
}

int byoh_pwrite_all(int fd, const void *bytes, size_t size, uint64_t offset, struct byoh_error *err)
{
	const char *next = bytes;

	while (size) {
		ssize_t n = pwrite(fd, next, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return byoh_fail_errno(err, "cannot write");
		next += n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

void byoh_start_writeback(int fd, uint64_t offset, size_t size, bool last)
{
	uint64_t from = offset / WRITEBACK_STRETCH * WRITEBACK_STRETCH, end = offset + size;
	uint64_t to = last ? end : end / WRITEBACK_STRETCH * WRITEBACK_STRETCH;

	/* A file that fits into one stretch is left to the kernel, which collects small files. */
	if (to > from && end > WRITEBACK_STRETCH)
		(void)sync_file_range(fd, (off_t)from, (off_t)(to - from), SYNC_FILE_RANGE_WRITE);
}

int byoh_pread_all(int fd, void *ret, size_t size, uint64_t offset, struct byoh_error *err)
{
	char *next = ret;

	while (size) {
		ssize_t n = pread(fd, next, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return byoh_fail_errno(err, "cannot read");
		if (n == 0)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENODATA, "the file ends early");
		next += n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static int read_to_end(int fd, size_t max, struct byoh_buffer *ret, struct byoh_error *err)
{
	size_t start = ret->size;

	for (;;) {
		ssize_t n;
		int r = byoh_buffer_reserve(ret, READ_STEP, err);

		if (r < 0)
			return r;
		n = read(fd, ret->data + ret->size, READ_STEP);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return byoh_fail_errno(err, "cannot read");
		ret->size += (size_t)n;
		ret->data[ret->size] = '\0';
		if (n == 0)
			return 0;
		if (ret->size - start > max)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, EFBIG, "larger than %zu bytes", max);
	}
}

int byoh_read_file(int root_fd, const char *path, size_t max, struct byoh_buffer *ret,
		   struct byoh_error *err)
{
	/* Non-blocking: a fifo planted under the name must not hang the run. */
	CLEANUP_FD int fd = byoh_open_beneath(root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
	int r;

	if (fd < 0)
		return fd;
	r = read_to_end(fd, max, ret, err);
	return r < 0 ? byoh_error_wrap(err, r, "%s", path) : 0;
}

int byoh_read_named_file(const char *path, size_t max, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return byoh_fail_errno(err, "cannot open %s", path);
	r = read_to_end(fd, max, ret, err);
	return r < 0 ? byoh_error_wrap(err, r, "%s", path) : 0;
}

int byoh_read_link(int root_fd, const char *path, struct byoh_buffer *ret, struct byoh_error *err)
{
	const char *name;
	CLEANUP_FD int parent = byoh_open_parent(root_fd, path, &name, err);
	char target[BYOH_PATH_MAX];
	ssize_t n;

	if (parent < 0)
		return parent;
	n = readlinkat(parent, name, target, sizeof(target));
	if (n < 0)
		return byoh_fail_errno(err, "cannot read the link %s", path);
	if ((size_t)n == sizeof(target))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENAMETOOLONG, "%s: the link is too long", path);
	return byoh_buffer_add(ret, target, (size_t)n, err);
}

/* A neighbour's name that no program reads as configuration: *.conf, *.service and the like never match. */
static void temporary_name(char ret[TEMPORARY_NAME_MAX])
{
	snprintf(ret, TEMPORARY_NAME_MAX, ".byoh-%ld.tmp", (long)getpid());
}

static int fill(int parent, const char *temporary, const void *bytes, size_t size, mode_t mode,
		struct byoh_error *err)
{
	CLEANUP_FD int fd = -1;
	int r;

	if (unlinkat(parent, temporary, 0) < 0 && errno != ENOENT)
		return byoh_fail_errno(err, "cannot remove the leftover %s", temporary);
	fd = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return byoh_fail_errno(err, "cannot create %s", temporary);
	r = byoh_write_all(fd, bytes, size, err);
	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return byoh_fail_errno(err, "cannot store %s", temporary);
	return 0;
}

static int publish(int parent, const char *temporary, const char *name, struct byoh_error *err)
{
	CLEANUP_FD int directory = -1;

	if (renameat(parent, temporary, parent, name) < 0)
		return byoh_fail_errno(err, "cannot rename");
	directory = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 || fsync(directory) < 0)
		return byoh_fail_errno(err, "cannot sync the directory");
	return 0;
}

int byoh_write_file(int root_fd, const char *path, const void *bytes, size_t size, mode_t mode,
		    struct byoh_error *err)
{
	const char *name;
	CLEANUP_FD int parent = byoh_open_parent(root_fd, path, &name, err);
	char temporary[TEMPORARY_NAME_MAX];
	int r;

	if (parent < 0)
		return parent;
	temporary_name(temporary);
	r = fill(parent, temporary, bytes, size, mode, err);
	if (r == 0)
		r = publish(parent, temporary, name, err);
	if (r < 0) {
		unlinkat(parent, temporary, 0);
		return byoh_error_wrap(err, r, "cannot write %s", path);
	}
	return 0;
}

int byoh_write_link(int root_fd, const char *path, const char *target, struct byoh_error *err)
{
	const char *name;
	CLEANUP_FD int parent = byoh_open_parent(root_fd, path, &name, err);
	char temporary[TEMPORARY_NAME_MAX];
	int r;

	if (parent < 0)
		return parent;
	temporary_name(temporary);
	if (unlinkat(parent, temporary, 0) < 0 && errno != ENOENT)
		return byoh_fail_errno(err, "cannot remove the leftover %s", temporary);
	if (symlinkat(target, parent, temporary) < 0)
		return byoh_fail_errno(err, "cannot make the link %s", path);
	r = publish(parent, temporary, name, err);
	if (r < 0) {
		unlinkat(parent, temporary, 0);
		return byoh_error_wrap(err, r, "cannot make the link %s", path);
	}
	return 0;
}

int byoh_sync_parent(int root_fd, const char *path, struct byoh_error *err)
{
	const char *name;
	CLEANUP_FD int parent = byoh_open_parent(root_fd, path, &name, err);
	CLEANUP_FD int directory = -1;

	if (parent < 0)
		return parent;
	directory = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 || fsync(directory) < 0)
		return byoh_fail_errno(err, "cannot sync the directory of %s", path);
	return 0;
}

int byoh_remove_file(int root_fd, const char *path, struct byoh_error *err)
{
	const char *name;
	CLEANUP_FD int parent = byoh_open_parent(root_fd, path, &name, err);

	if (parent == -ENOENT || parent == -ENOTDIR)
		return 0;
	if (parent < 0)
		return parent;
	if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
		return byoh_fail_errno(err, "cannot remove %s", path);
	return 0;
}

static int remove_entries(int directory, dev_t device, unsigned int depth, struct byoh_error *err);

static int remove_entry(int parent, const char *name, dev_t device, unsigned int depth,
			struct byoh_error *err)
{
	CLEANUP_FD int fd = -1;
	struct stat st;
	int r;

	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return byoh_fail_errno(err, "cannot remove %s", name);
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return byoh_fail_errno(err, "cannot remove %s", name);
	/* Whatever is mounted here belongs to somebody else. */
	if (st.st_dev != device)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EBUSY, "%s: something is mounted there; unmount it",
				 name);
	r = remove_entries(fd, device, depth + 1, err);
	if (r == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0)
		return byoh_fail_errno(err, "cannot remove %s", name);
	return r;
}

static int remove_entries(int directory, dev_t device, unsigned int depth, struct byoh_error *err)
{
	CLEANUP_DIR DIR *dir = NULL;
	struct dirent *entry;
	int copy, r = 0;

	if (depth > 256)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ELOOP, "nested too deeply");
	copy = fcntl(directory, F_DUPFD_CLOEXEC, 3);
	dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir)
		return byoh_fail_errno(err, "cannot list a directory");
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = remove_entry(directory, entry->d_name, device, depth, err);
	if (r == 0 && errno)
		return byoh_fail_errno(err, "cannot list a directory");
	return r;
}

int byoh_remove_tree(int root_fd, const char *path, struct byoh_error *err)
{
	const char *name;
	CLEANUP_FD int parent = byoh_open_parent(root_fd, path, &name, err);
	struct stat st;
	int r;

	if (parent == -ENOENT || parent == -ENOTDIR)
		return 0;
	if (parent < 0)
		return parent;
	if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : byoh_fail_errno(err, "cannot look at %s", path);
	r = remove_entry(parent, name, st.st_dev, 0, err);
	return r < 0 ? byoh_error_wrap(err, r, "cannot remove %s", path) : 0;
}
