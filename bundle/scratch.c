/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define COPY_STEP ((size_t)1 << 20)

int byoh_scratch_open(const char *path, struct byoh_scratch *ret, struct byoh_error *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return byoh_fail_errno(err, "%s", path);
	*ret = (struct byoh_scratch){ .fd = fd, .path = path };
	return 0;
}

void byoh_scratch_close(struct byoh_scratch *scratch)
{
	byoh_cleanup_fd(&scratch->fd);
	scratch->fd = -1;
}

int byoh_scratch_create(struct byoh_scratch *scratch, int *ret_fd, char **ret_path,
			struct byoh_error *err)
{
	/* A folder may be used twice: what stands in it is never overwritten. */
	for (;;) {
		CLEANUP_FREE char *path = NULL;
		char name[24];
		int fd;

		snprintf(name, sizeof(name), "%08" PRIu64, ++scratch->next);
		if (asprintf(&path, "%s/%s", scratch->path, name) < 0) {
			path = NULL;
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
		}
		fd = openat(scratch->fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0600);
		if (fd < 0 && errno == EEXIST)
			continue;
		if (fd < 0)
			return byoh_fail_errno(err, "%s", path);
		*ret_fd = fd;
		*ret_path = TAKE_PTR(path);
		return 0;
	}
}

static int copy_bytes(int from, int to, const char *name, uint64_t *ret_size,
		      struct byoh_digest *ret_digest, struct byoh_error *err)
{
	CLEANUP_HASHER struct byoh_hasher *hasher = byoh_hasher_new();
	CLEANUP_FREE char *piece = malloc(COPY_STEP);
	ssize_t n;

	if (!hasher || !piece)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	*ret_size = 0;
	while ((n = pread(from, piece, COPY_STEP, (off_t)*ret_size)) != 0) {
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return byoh_fail_errno(err, "%s", name);
		byoh_hasher_add(hasher, piece, (size_t)n);
		*ret_size += (uint64_t)n;
		r = byoh_write_all(to, piece, (size_t)n, err);
		if (r < 0)
			return byoh_error_wrap(err, r, "copying %s", name);
	}
	return byoh_hasher_finish(hasher, ret_digest, err);
}

int byoh_scratch_copy(struct byoh_scratch *scratch, int fd, const char *name, char **ret_path,
		      uint64_t *ret_size, struct byoh_digest *ret_digest, struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FD int to = -1;
	int r = byoh_scratch_create(scratch, &to, &path, err);

	if (r == 0)
		r = copy_bytes(fd, to, name, ret_size, ret_digest, err);
	if (r == 0)
		*ret_path = TAKE_PTR(path);
	return r;
}
