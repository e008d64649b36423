/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/base-files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/bundle-internal.h"

#define SCRATCH_NAME ".byoh-base"
#define COPY_SIZE ((size_t)1 << 20)
#define PAGE ((uint64_t)65536) /* the largest that our machines have */
#define NOT_NEEDED UINT64_MAX

struct byoh_base_files {
	const struct byoh_bundle *base;
	int fd, folder;
	uint64_t *places; /* by the base's file: where its bytes begin in fd */
	uint64_t size;
};

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/* Without a name from its first moment; where the file system cannot do that, from the next. */
static int open_scratch(int folder, int *ret, struct byoh_error *err)
{
	int fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0) {
		fd = openat(folder, SCRATCH_NAME, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0)
			unlinkat(folder, SCRATCH_NAME, 0);
	}
	if (fd < 0)
		return byoh_fail_errno(err, "cannot make a file for what the delta builds on");
	*ret = fd;
	return 0;
}

static bool is_meant(const struct byoh_file *file, const struct byoh_base_extent *extent)
{
	return file->type == BYOH_FILE_REGULAR && extent->offset <= file->size &&
	       extent->size <= file->size - extent->offset &&
	       byoh_digest_equal(&file->digest, &extent->file_digest);
}

const struct byoh_file *byoh_base_find(const struct byoh_bundle *base, const struct byoh_base_extent *extent)
{
	const struct byoh_index *index = base->index;
	const struct byoh_file *file = byoh_index_find(index, extent->path);

	if (file && is_meant(file, extent))
		return file;
	for (size_t i = 0; i < index->file_count; i++)
		if (is_meant(&index->files[i], extent))
			return &index->files[i];
	return NULL;
}

static int lacks(const struct byoh_bundle *base, const struct byoh_base_extent *extent, struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ESTALE, "%s: the release has no such /%s as the delta builds on",
			 base->name, extent->path);
}

/* Gives each file that is needed its place, each on a page of its own, so that a whole one can be mapped. */
static int place_files(struct byoh_base_files *files, const struct byoh_base_extent *extents, size_t count,
		       struct byoh_error *err)
{
	for (size_t i = 0; i < count; i++) {
		const struct byoh_file *file = byoh_base_find(files->base, &extents[i]);
		size_t number;

		if (!file)
			return lacks(files->base, &extents[i], err);
		number = (size_t)(file - files->base->index->files);
		if (files->places[number] != NOT_NEEDED)
			continue;
		files->places[number] = files->size;
		files->size += (file->size + PAGE - 1) / PAGE * PAGE;
	}
	return 0;
}

static int open_needed(void *context, const struct byoh_file *file, struct byoh_error *err)
{
	const struct byoh_base_files *files = context;
	int fd;

	if (files->places[file - files->base->index->files] == NOT_NEEDED)
		return BYOH_UNPACK_SKIP;
	fd = fcntl(files->fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? byoh_fail_errno(err, "cannot duplicate a descriptor") : fd;
}

static uint64_t place_of(void *context, const struct byoh_file *file)
{
	const struct byoh_base_files *files = context;

	return files->places[file - files->base->index->files];
}

static bool *wanted_frames(const struct byoh_base_files *files)
{
	const struct byoh_index *index = files->base->index;
	bool *wanted = calloc(index->frame_count, sizeof(*wanted));

	for (size_t i = 0; wanted && i < index->file_count; i++)
		if (files->places[i] != NOT_NEEDED)
			byoh_index_mark_frames(index, &index->files[i], wanted);
	return wanted;
}

static int unpack_needed(struct byoh_bundle *base, struct byoh_base_files *files, const struct byoh_unpack *like,
			 struct byoh_error *err)
{
	CLEANUP_FREE bool *wanted = wanted_frames(files);
	const struct byoh_unpack unpack = {
		.open = open_needed,
		.place = place_of,
		.context = files,
		.progress = { .cancel = like->progress.cancel },
		.threads = like->threads,
		.decode = wanted,
		.check_digests = true,
		.scratch_fd = files->folder,
	};

	return wanted ? byoh_bundle_unpack(base, &unpack, err) : no_memory(err);
}

int byoh_base_files_load(struct byoh_bundle *base, const struct byoh_base_extent *extents, size_t count,
			 const struct byoh_unpack *like, int folder, struct byoh_base_files **ret,
			 struct byoh_error *err)
{
	CLEANUP_BASE_FILES struct byoh_base_files *files = calloc(1, sizeof(*files));
	int r;

	if (!files)
		return no_memory(err);
	files->base = base;
	files->fd = -1;
	files->folder = fcntl(folder, F_DUPFD_CLOEXEC, 3);
	if (files->folder < 0)
		return byoh_fail_errno(err, "cannot duplicate a descriptor");
	files->places = malloc((base->index->file_count + 1) * sizeof(*files->places));
	if (!files->places)
		return no_memory(err);
	for (size_t i = 0; i < base->index->file_count; i++)
		files->places[i] = NOT_NEEDED;
	r = place_files(files, extents, count, err);
	if (r == 0)
		r = open_scratch(folder, &files->fd, err);
	if (r == 0 && ftruncate(files->fd, (off_t)files->size) < 0)
		r = byoh_fail_errno(err, "cannot make room for what the delta builds on");
	if (r == 0)
		r = unpack_needed(base, files, like, err);
	if (r == 0)
		*ret = TAKE_PTR(files);
	return r;
}

void byoh_base_files_free(struct byoh_base_files *files)
{
	if (!files)
		return;
	byoh_cleanup_fd(&files->fd);
	byoh_cleanup_fd(&files->folder);
	free(files->places);
	free(files);
}

void byoh_base_files_freep(struct byoh_base_files **files)
{
	byoh_base_files_free(*files);
}

static int map(int fd, uint64_t offset, size_t size, struct byoh_prefix *ret, struct byoh_error *err)
{
	void *mapping = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, (off_t)offset);

	if (mapping == MAP_FAILED)
		return byoh_fail_errno(err, "cannot map what the delta builds on");
	*ret = (struct byoh_prefix){ mapping, size, mapping };
	return 0;
}

static int copy_extent(int from, uint64_t at, uint64_t size, int to, uint64_t to_offset, void *bytes,
		       struct byoh_error *err)
{
	int r = 0;

	while (size && r == 0) {
		size_t piece = size < COPY_SIZE ? (size_t)size : COPY_SIZE;

		r = byoh_pread_all(from, bytes, piece, at, err);
		if (r == 0)
			r = byoh_pwrite_all(to, bytes, piece, to_offset, err);
		at += piece;
		to_offset += piece;
		size -= piece;
	}
	return r;
}

/* Pieces of several files, or from the middle of one: put one behind the other in a file of their own. */
static int assemble(const struct byoh_base_files *files, const struct byoh_base_extent *extents, size_t count,
		    size_t size, struct byoh_prefix *ret, struct byoh_error *err)
{
	CLEANUP_FREE void *bytes = malloc(COPY_SIZE);
	CLEANUP_FD int fd = -1;
	uint64_t end = 0;
	int r = bytes ? open_scratch(files->folder, &fd, err) : no_memory(err);

	for (size_t i = 0; i < count && r == 0; i++) {
		const struct byoh_file *file = byoh_base_find(files->base, &extents[i]);
		uint64_t place = file ? files->places[file - files->base->index->files] : NOT_NEEDED;

		if (place == NOT_NEEDED)
			return lacks(files->base, &extents[i], err);
		r = copy_extent(files->fd, place + extents[i].offset, extents[i].size, fd, end, bytes, err);
		end += extents[i].size;
	}
	return r < 0 ? r : map(fd, 0, size, ret, err);
}

int byoh_base_files_map(const struct byoh_base_files *files, const struct byoh_base_extent *extents, size_t count,
			struct byoh_prefix *ret, struct byoh_error *err)
{
	const struct byoh_file *file = byoh_base_find(files->base, &extents[0]);
	uint64_t place = file ? files->places[file - files->base->index->files] : NOT_NEEDED, size = 0;

	for (size_t i = 0; i < count; i++)
		if (__builtin_add_overflow(size, extents[i].size, &size) || size > SIZE_MAX / 2)
			return byoh_fail(err, BYOH_ERROR_FORMAT, EFBIG, "a prefix is too large");
	if (count == 1 && place != NOT_NEEDED && (place + extents[0].offset) % PAGE == 0)
		return map(files->fd, place + extents[0].offset, (size_t)size, ret, err);
	return assemble(files, extents, count, (size_t)size, ret, err);
}

void byoh_prefix_release(struct byoh_prefix *prefix)
{
	if (prefix->mapping)
		munmap(prefix->mapping, prefix->size);
	*prefix = (struct byoh_prefix){ 0 };
}
