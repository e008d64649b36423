/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/read-back.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define ALIGNMENT ((size_t)4096) /* of O_DIRECT: sectors of every stick divide it */

static void drop_pages(const struct byoh_raw_file *file)
{
	/* A hint that cannot fail in a way that matters: what is dirty has been synced before. */
	(void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
}

int byoh_raw_open(int directory, const char *name, struct byoh_raw_file *ret, struct byoh_error *err)
{
	ret->direct = true;
	ret->fd = openat(directory, name, O_RDONLY | O_DIRECT | O_NOFOLLOW | O_CLOEXEC);
	if (ret->fd < 0 && errno == EINVAL) {
		ret->direct = false;
		ret->fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	}
	if (ret->fd < 0)
		return byoh_fail_errno(err, "cannot open %s again", name);
	if (!ret->direct)
		drop_pages(ret);
	return 0;
}

/* Some file systems take the flag and then refuse to read. */
static void give_up_direct(struct byoh_raw_file *file)
{
	int flags = fcntl(file->fd, F_GETFL);

	if (flags >= 0 && fcntl(file->fd, F_SETFL, flags & ~O_DIRECT) == 0)
		file->direct = false;
	drop_pages(file);
}

ssize_t byoh_raw_read(void *context, void *ret, size_t size, uint64_t offset)
{
	struct byoh_raw_file *file = context;
	size_t whole = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	ssize_t n = pread(file->fd, ret, file->direct ? whole : size, (off_t)offset);

	if (n < 0 && errno == EINVAL && file->direct) {
		give_up_direct(file);
		n = pread(file->fd, ret, size, (off_t)offset);
	}
	return n > (ssize_t)size ? (ssize_t)size : n;
}

/* Fills size bytes; *ret_got are good, fewer only where the medium ends or fails. */
static int fill(const struct byoh_read_at *medium, char *bytes, size_t size, uint64_t offset, size_t *ret_got)
{
	*ret_got = 0;
	while (*ret_got < size) {
		size_t at = *ret_got / ALIGNMENT * ALIGNMENT; /* from a short read on, a page again */
		ssize_t n = medium->read(medium->context, bytes + at, size - at, offset + at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (at + (size_t)n <= *ret_got)
			return 0;
		*ret_got = at + (size_t)n;
	}
	return 0;
}

static size_t first_difference(const char *a, const char *b, size_t size)
{
	size_t i = 0;

	while (i < size && a[i] == b[i])
		i++;
	return i;
}

static int bad_medium(uint64_t offset, const char *what, struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, EIO,
			 "%s at offset %llu; the stick is damaged or smaller than it says, use another", what,
			 (unsigned long long)offset);
}

struct buffers {
	char *written, *found;
};

static void release_buffers(struct buffers *buffers)
{
	free(buffers->written);
	free(buffers->found);
}

static int compare_chunk(int source_fd, const struct byoh_read_at *medium, uint64_t offset, size_t size,
			 const struct buffers *buffers, uint64_t *ret_offset, struct byoh_error *err)
{
	size_t got, same;
	int failure;

	TRY(byoh_pread_all(source_fd, buffers->written, size, offset, err));
	failure = fill(medium, buffers->found, size, offset, &got);
	same = first_difference(buffers->written, buffers->found, got);
	*ret_offset = offset + same;
	if (same < got)
		return bad_medium(*ret_offset, "other bytes come back than were written", err);
	if (failure)
		return bad_medium(*ret_offset, strerror(-failure), err);
	return got < size ? bad_medium(*ret_offset, "no more bytes come back", err) : 0;
}

int byoh_read_back(int source_fd, const struct byoh_read_at *medium, uint64_t size, struct byoh_digest *ret_digest,
		   uint64_t *ret_offset, void (*done)(void *context, uint64_t bytes), void *context,
		   struct byoh_error *err)
{
	CLEANUP_HASHER struct byoh_hasher *hasher = byoh_hasher_new();
	CLEANUP(release_buffers) struct buffers buffers = { malloc(BYOH_READ_BACK_CHUNK), NULL };

	if (!hasher || !buffers.written ||
	    posix_memalign((void **)&buffers.found, ALIGNMENT, BYOH_READ_BACK_CHUNK) != 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (uint64_t at = 0; at < size; at += BYOH_READ_BACK_CHUNK) {
		size_t part = size - at < BYOH_READ_BACK_CHUNK ? (size_t)(size - at) : BYOH_READ_BACK_CHUNK;

		TRY(compare_chunk(source_fd, medium, at, part, &buffers, ret_offset, err));
		byoh_hasher_add(hasher, buffers.found, part);
		if (done)
			done(context, part);
	}
	return byoh_hasher_finish(hasher, ret_digest, err);
}
