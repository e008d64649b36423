/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a file into slices. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/slices.h"

#define COPY_SIZE ((size_t)1 << 20)

static int copy_range(struct byoh_reader *reader, uint64_t from, uint64_t size, int out, struct byoh_error *err)
{
	CLEANUP_FREE unsigned char *bytes = malloc(COPY_SIZE);
	int r = bytes ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");

	for (uint64_t at = 0; at < size && r == 0; at += COPY_SIZE) {
		size_t piece = size - at < COPY_SIZE ? (size_t)(size - at) : COPY_SIZE;

		r = byoh_reader_read(reader, bytes, piece, from + at, err);
		if (r == 0)
			r = byoh_write_all(out, bytes, piece, err);
	}
	if (r == 0 && fsync(out) < 0)
		return byoh_fail_errno(err, "cannot store it");
	return r;
}

/* By a neighbour and a rename: what has the name of a slice is whole. */
static int write_slice(struct byoh_reader *reader, uint64_t from, uint64_t size, const char *path,
		       struct byoh_error *err)
{
	CLEANUP_FREE char *partial = NULL;
	CLEANUP_FD int out = -1;
	int r;

	if (asprintf(&partial, "%s.partial", path) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	out = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (out < 0)
		return byoh_fail_errno(err, "cannot create %s", partial);
	r = copy_range(reader, from, size, out, err);
	if (r == 0 && rename(partial, path) < 0)
		r = byoh_fail_errno(err, "cannot rename it");
	if (r < 0)
		unlink(partial);
	return r < 0 ? byoh_error_wrap(err, r, "%s", path) : 0;
}

static int check_folder(const char *folder, const char *name, struct byoh_error *err)
{
	CLEANUP_FREE char *found = NULL;
	int r;

	if (mkdir(folder, 0755) < 0 && errno != EEXIST)
		return byoh_fail_errno(err, "cannot make the folder %s", folder);
	r = byoh_slices_find(folder, &found, err);
	if (r == -EEXIST || (r == 0 && found))
		return byoh_fail(err, BYOH_ERROR_USAGE, EEXIST,
				 "%s holds slices already; slices of two cuts must not be mixed: remove them, or name "
				 "another folder for %s", folder, name);
	return r;
}

static int check_size(uint64_t whole, uint64_t size, struct byoh_error *err)
{
	if (size < BYOH_SLICE_SIZE_MIN || size > BYOH_SLICE_SIZE_MAX)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "slices are of 64K to 4294967295 bytes: FAT32 takes no larger file");
	if ((whole + size - 1) / size > BYOH_SLICES_MAX)
		return byoh_fail(err, BYOH_ERROR_USAGE, EINVAL,
				 "%llu bytes make more than %d slices of %llu; take larger ones",
				 (unsigned long long)whole, BYOH_SLICES_MAX, (unsigned long long)size);
	return 0;
}

int byoh_slices_cut(const char *file, const char *folder, uint64_t size, size_t *ret_count,
		    struct byoh_error *err)
{
	const char *slash = strrchr(file, '/'), *name = slash ? slash + 1 : file;
	CLEANUP_READER struct byoh_reader *reader = NULL;
	char path[2 * BYOH_PATH_MAX];
	size_t count = 0;
	int r = byoh_reader_of_file(file, &reader, err);

	if (r == 0)
		r = check_size(reader->size, size, err);
	if (r == 0)
		r = check_folder(folder, name, err);
	for (uint64_t from = 0; r == 0 && from < reader->size; from += size) {
		uint64_t left = reader->size - from;

		snprintf(path, sizeof(path), "%s/%s.%03zu", folder, name, ++count);
		r = write_slice(reader, from, left < size ? left : size, path, err);
	}
	/* Some of the slices look like slices of a whole. */
	for (size_t i = 1; r < 0 && i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s.%03zu", folder, name, i);
		unlink(path);
	}
	if (r == 0 && ret_count)
		*ret_count = count;
	return r;
}
