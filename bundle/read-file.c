/* SPDX-License-Identifier: Apache-2.0 */
/* One file of a bundle into memory: only the frames that hold it are read. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/bundle-internal.h"

struct pick {
	const struct byoh_file *file;
	int fd;
};

static int open_picked(void *context, const struct byoh_file *file, struct byoh_error *err)
{
	const struct pick *pick = context;
	int fd;

	if (file != pick->file)
		return BYOH_UNPACK_SKIP;
	fd = dup(pick->fd);
	return fd < 0 ? byoh_fail_errno(err, "cannot duplicate a descriptor") : fd;
}

int byoh_bundle_read(struct byoh_bundle *bundle, const char *path, size_t max, struct byoh_buffer *ret,
		     struct byoh_error *err)
{
	const struct byoh_file *file = byoh_index_find(bundle->index, path);
	CLEANUP_FREE bool *wanted = calloc(bundle->index->frame_count, sizeof(*wanted));
	CLEANUP_FD int fd = memfd_create("byoh", MFD_CLOEXEC);
	struct pick pick = { file, fd };
	struct byoh_unpack unpack = { .open = open_picked, .context = &pick };
	size_t start = ret->size;
	int r;

	if (!file || file->type != BYOH_FILE_REGULAR)
		return byoh_fail(err, BYOH_ERROR_FORMAT, ENOENT, "%s: there is no file %s", bundle->name,
				 path);
	if (file->size > max)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EFBIG, "%s: %s is too large", bundle->name, path);
	if (!wanted || fd < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	byoh_index_mark_frames(bundle->index, file, wanted);
	unpack.decode = wanted;
	r = byoh_bundle_unpack(bundle, &unpack, err);
	if (r == 0)
		r = byoh_buffer_add_zeros(ret, (size_t)file->size, err);
	return r < 0 ? r : byoh_pread_all(fd, ret->data + start, (size_t)file->size, 0, err);
}
