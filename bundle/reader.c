/* SPDX-License-Identifier: Apache-2.0 */
/* A bundle that is one file. */
#include "bundle/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

struct file_reader {
	struct byoh_reader reader;
	int fd;
};

void byoh_reader_free(struct byoh_reader *reader)
{
	if (reader)
		reader->ops->free(reader);
}

void byoh_reader_freep(struct byoh_reader **reader)
{
	byoh_reader_free(*reader);
}

int byoh_reader_read(struct byoh_reader *reader, void *ret, size_t size, uint64_t offset,
		     struct byoh_error *err)
{
	return reader->ops->read(reader, ret, size, offset, err);
}

static int read_file(struct byoh_reader *reader, void *ret, size_t size, uint64_t offset,
		     struct byoh_error *err)
{
	const struct file_reader *file = (const struct file_reader *)reader;

	return byoh_pread_all(file->fd, ret, size, offset, err);
}

static void free_file(struct byoh_reader *reader)
{
	struct file_reader *file = (struct file_reader *)reader;

	byoh_cleanup_fd(&file->fd);
	free(file);
}

static const struct byoh_reader_ops file_ops = { .read = read_file, .free = free_file };

int byoh_reader_of_fd(int fd, struct byoh_reader **ret, struct byoh_error *err)
{
	struct file_reader *file;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return byoh_fail_errno(err, "cannot look at the file");
	if (!S_ISREG(st.st_mode))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
				 "not a file; a medium has to be mounted first");
	file = calloc(1, sizeof(*file));
	if (!file)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	file->reader = (struct byoh_reader){ .ops = &file_ops, .size = (uint64_t)st.st_size };
	file->fd = fd;
	*ret = &file->reader;
	return 0;
}

int byoh_reader_of_file(const char *path, struct byoh_reader **ret, struct byoh_error *err)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	int r;

	if (fd < 0)
		return byoh_fail_errno(err, "cannot open %s", path);
	r = byoh_reader_of_fd(fd, ret, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", path);
	fd = -1;
	return 0;
}
