/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/cursor.h"
#include "bundle/base/path.h"

#define INDEX_MAGIC "BYOHINDX"
#define INDEX_VERSION 1
#define BLOCK_LOG2 20
#define WINDOW_LOG_MIN 10
#define WINDOW_LOG_MAX 27 /* plain `zstd -dc` refuses more */

/* Sizes of records on disk. */
#define FRAME_RECORD 96
#define BLOCK_RECORD 32
#define EXTENT_RECORD 56
#define FILE_RECORD 80
#define EXTENTS_PER_FRAME_MAX 65536

_Static_assert(BYOH_BLOCK_SIZE == (uint64_t)1 << BLOCK_LOG2, "one block size in format version 1");

static int refuse(struct byoh_error *err, const char *what)
{
	return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "the index is damaged or hostile: %s", what);
}

static int no_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/* A count of records is believed only if so many records fit into what is left. */
static bool fits(uint64_t count, size_t record, size_t *left)
{
	uint64_t bytes;

	if (__builtin_mul_overflow(count, (uint64_t)record, &bytes) || bytes > *left)
		return false;
	*left -= (size_t)bytes;
	return true;
}

static int read_header(struct byoh_cursor *c, struct byoh_index *index, struct byoh_error *err)
{
	const unsigned char *magic = byoh_cursor_take(c, 8);
	uint32_t version = byoh_cursor_u32(c), block_log2 = byoh_cursor_u32(c);
	uint64_t files, frames, blocks, extents, strings;
	size_t left;

	if (!magic || memcmp(magic, INDEX_MAGIC, 8) != 0 || version != INDEX_VERSION ||
	    block_log2 != BLOCK_LOG2)
		return refuse(err, "unknown version");
	index->plain_size = byoh_cursor_u64(c);
	files = byoh_cursor_u64(c);
	frames = byoh_cursor_u64(c);
	blocks = byoh_cursor_u64(c);
	extents = byoh_cursor_u64(c);
	strings = byoh_cursor_u64(c);
	byoh_cursor_copy(c, index->base_id.bytes, sizeof(index->base_id.bytes));
	left = c->left;
	if (c->failed || !fits(frames, FRAME_RECORD, &left) || !fits(blocks, BLOCK_RECORD, &left) ||
	    !fits(extents, EXTENT_RECORD, &left) || !fits(files, FILE_RECORD, &left) || left != strings)
		return refuse(err, "its counts do not add up to its size");
	if (!frames)
		return refuse(err, "it has no frames");
	index->file_count = (size_t)files;
	index->frame_count = (size_t)frames;
	index->block_count = (size_t)blocks;
	index->extent_count = (size_t)extents;
	index->string_size = (size_t)strings;
	return 0;
}

static int allocate(struct byoh_index *index, struct byoh_error *err)
{
	index->files = calloc(index->file_count + 1, sizeof(*index->files));
	index->frames = calloc(index->frame_count + 1, sizeof(*index->frames));
	index->blocks = calloc(index->block_count + 1, sizeof(*index->blocks));
	index->extents = calloc(index->extent_count + 1, sizeof(*index->extents));
	index->strings = malloc(index->string_size + 1);
	if (!index->files || !index->frames || !index->blocks || !index->extents || !index->strings)
		return no_memory(err);
	return 0;
}

static uint64_t block_count_of(uint64_t stored_size)
{
	return stored_size / BYOH_BLOCK_SIZE + (stored_size % BYOH_BLOCK_SIZE != 0);
}

static void read_frame(struct byoh_cursor *c, struct byoh_frame *frame)
{
	frame->kind = (enum byoh_frame_kind)byoh_cursor_u32(c);
	frame->window_log = byoh_cursor_u32(c);
	frame->stored_offset = byoh_cursor_u64(c);
	frame->stored_size = byoh_cursor_u64(c);
	frame->plain_offset = byoh_cursor_u64(c);
	frame->plain_size = byoh_cursor_u64(c);
	frame->first_block = byoh_cursor_u64(c);
	frame->first_extent = byoh_cursor_u64(c);
	frame->extent_count = byoh_cursor_u64(c);
	byoh_cursor_copy(c, frame->prefix_digest.bytes, sizeof(frame->prefix_digest.bytes));
}

static bool prefix_is_sound(const struct byoh_frame *frame)
{
	if (frame->kind == BYOH_FRAME_ZSTD)
		return !frame->extent_count && byoh_digest_is_zero(&frame->prefix_digest);
	return frame->kind == BYOH_FRAME_PREFIXED && frame->extent_count &&
	       frame->extent_count <= EXTENTS_PER_FRAME_MAX;
}

/* Frames stand one behind the other, stored and plain, and use up all blocks and extents in order. */
static int read_frames(struct byoh_cursor *c, struct byoh_index *index, uint64_t payload_size,
		       struct byoh_error *err)
{
	uint64_t stored = 0, plain = 0, block = 0, extent = 0;

	for (size_t i = 0; i < index->frame_count; i++) {
		struct byoh_frame *frame = &index->frames[i];

		read_frame(c, frame);
		if (!prefix_is_sound(frame))
			return refuse(err, "a frame is of an unknown kind");
		if (frame->window_log < WINDOW_LOG_MIN || frame->window_log > WINDOW_LOG_MAX)
			return refuse(err, "a frame's window is out of bounds");
		if (frame->stored_offset != stored || frame->plain_offset != plain ||
		    frame->first_block != block || frame->first_extent != extent || !frame->stored_size ||
		    !frame->plain_size)
			return refuse(err, "frames overlap or leave gaps");
		if (__builtin_add_overflow(stored, frame->stored_size, &stored) ||
		    __builtin_add_overflow(plain, frame->plain_size, &plain) ||
		    __builtin_add_overflow(extent, frame->extent_count, &extent))
			return refuse(err, "a frame is too large");
		block += block_count_of(frame->stored_size); /* cannot wrap: stored did not */
	}
	if (stored != payload_size || plain != index->plain_size || block != index->block_count ||
	    extent != index->extent_count)
		return refuse(err, "frames do not cover the payload");
	return 0;
}

/* A string is believed only if it lies in the table and ends there with its zero. */
static const char *string_at(const struct byoh_index *index, uint32_t offset, uint32_t length)
{
	if (offset >= index->string_size || length >= index->string_size - offset ||
	    index->strings[offset + length] != '\0' ||
	    memchr(index->strings + offset, 0, length) != NULL)
		return NULL;
	return index->strings + offset;
}

static int read_extents(struct byoh_cursor *c, struct byoh_index *index, struct byoh_error *err)
{
	for (size_t i = 0; i < index->extent_count; i++) {
		struct byoh_base_extent *extent = &index->extents[i];
		uint32_t path_offset, path_length;
		uint64_t end;

		byoh_cursor_copy(c, extent->file_digest.bytes, sizeof(extent->file_digest.bytes));
		extent->offset = byoh_cursor_u64(c);
		extent->size = byoh_cursor_u64(c);
		path_offset = byoh_cursor_u32(c);
		path_length = byoh_cursor_u32(c);
		extent->path = string_at(index, path_offset, path_length);
		if (!extent->path || !byoh_path_is_clean(extent->path) || !extent->size ||
		    __builtin_add_overflow(extent->offset, extent->size, &end))
			return refuse(err, "a base extent is out of bounds");
	}
	if (!index->extent_count != byoh_digest_is_zero(&index->base_id))
		return refuse(err, "base release and base extents do not fit");
	return 0;
}

static int check_file(const struct byoh_index *index, const struct byoh_file *file, struct byoh_error *err)
{
	uint64_t end;

	if (!file->path || !byoh_path_is_clean(file->path))
		return refuse(err, "a path is absolute, dotted or not printable");
	if (file->mode & ~(mode_t)0777)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
				 "the index is damaged or hostile: %s has a mode that is not allowed",
				 file->path);
	if (!file->target)
		return refuse(err, "a link's target is out of bounds");
	switch (file->type) {
	case BYOH_FILE_DIRECTORY:
		if (!file->size && !file->plain_offset && !*file->target)
			return 0;
		break;
	case BYOH_FILE_SYMLINK:
		if (!file->size && !file->plain_offset &&
		    byoh_path_link_stays_inside(file->path, file->target))
			return 0;
		break;
	case BYOH_FILE_REGULAR:
		if (!*file->target && !__builtin_add_overflow(file->plain_offset, file->size, &end) &&
		    end <= index->plain_size)
			return 0;
		break;
	}
	return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
			 "the index is damaged or hostile: %s is of a kind or place that is not allowed",
			 file->path);
}

static int read_file(struct byoh_cursor *c, struct byoh_index *index, struct byoh_file *file,
		     struct byoh_error *err)
{
	uint32_t path_offset, path_length, target_offset, target_length, flags;

	file->type = (enum byoh_file_type)byoh_cursor_u32(c);
	file->mode = (mode_t)byoh_cursor_u32(c);
	file->size = byoh_cursor_u64(c);
	file->plain_offset = byoh_cursor_u64(c);
	path_offset = byoh_cursor_u32(c);
	path_length = byoh_cursor_u32(c);
	target_offset = byoh_cursor_u32(c);
	target_length = byoh_cursor_u32(c);
	flags = byoh_cursor_u32(c);
	byoh_cursor_copy(c, file->digest.bytes, sizeof(file->digest.bytes));
	if (!byoh_cursor_zeros(c, 4) || flags)
		return refuse(err, "a file has unknown flags");
	file->path = string_at(index, path_offset, path_length);
	file->target = string_at(index, target_offset, target_length);
	return check_file(index, file, err);
}

static int check_parent(const struct byoh_index *index, const struct byoh_file *file,
			struct byoh_error *err)
{
	const char *slash = strrchr(file->path, '/');
	const struct byoh_file *parent;
	char path[BYOH_PATH_MAX];

	if (!slash)
		return 0;
	memcpy(path, file->path, (size_t)(slash - file->path));
	path[slash - file->path] = '\0';
	parent = byoh_index_find(index, path);
	if (!parent || parent->type != BYOH_FILE_DIRECTORY)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
				 "the index is damaged or hostile: %s has no directory to lie in",
				 file->path);
	return 0;
}

struct range {
	uint64_t offset, size;
};

static int compare_ranges(const void *a, const void *b)
{
	const struct range *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* No byte of the tar stream belongs to two files: what was checked under one name is not another's. */
static int check_overlaps(const struct byoh_index *index, struct byoh_error *err)
{
	CLEANUP_FREE struct range *ranges = calloc(index->file_count + 1, sizeof(*ranges));
	size_t count = 0;

	if (!ranges)
		return no_memory(err);
	for (size_t i = 0; i < index->file_count; i++)
		if (index->files[i].type == BYOH_FILE_REGULAR && index->files[i].size)
			ranges[count++] = (struct range){ index->files[i].plain_offset,
							  index->files[i].size };
	qsort(ranges, count, sizeof(*ranges), compare_ranges);
	for (size_t i = 1; i < count; i++)
		if (ranges[i].offset - ranges[i - 1].offset < ranges[i - 1].size)
			return refuse(err, "two files overlap");
	return 0;
}

static int read_files(struct byoh_cursor *c, struct byoh_index *index, struct byoh_error *err)
{
	int r;

	for (size_t i = 0; i < index->file_count; i++) {
		r = read_file(c, index, &index->files[i], err);
		if (r < 0)
			return r;
		if (i && strcmp(index->files[i - 1].path, index->files[i].path) >= 0)
			return refuse(err, "paths are not in order, or one stands twice");
	}
	for (size_t i = 0; i < index->file_count; i++) {
		r = check_parent(index, &index->files[i], err);
		if (r < 0)
			return r;
	}
	return check_overlaps(index, err);
}

int byoh_index_parse(const void *bytes, size_t size, uint64_t payload_size, struct byoh_index **ret,
		     struct byoh_error *err)
{
	CLEANUP_INDEX struct byoh_index *index = calloc(1, sizeof(*index));
	struct byoh_cursor c = byoh_cursor_over(bytes, size);
	int r;

	if (!index)
		return no_memory(err);
	r = read_header(&c, index, err);
	if (r == 0)
		r = allocate(index, err);
	if (r < 0)
		return r;
	/* Strings stand last, but everything before points into them. */
	memcpy(index->strings, c.next + c.left - index->string_size, index->string_size);
	r = read_frames(&c, index, payload_size, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < index->block_count; i++)
		byoh_cursor_copy(&c, index->blocks[i].bytes, sizeof(index->blocks[i].bytes));
	r = read_extents(&c, index, err);
	if (r == 0)
		r = read_files(&c, index, err);
	if (r < 0)
		return r;
	if (c.failed)
		return refuse(err, "it ends early");
	*ret = TAKE_PTR(index);
	return 0;
}

void byoh_index_free(struct byoh_index *index)
{
	if (!index)
		return;
	free(index->files);
	free(index->frames);
	free(index->blocks);
	free(index->extents);
	free(index->strings);
	free(index);
}

void byoh_index_freep(struct byoh_index **index)
{
	byoh_index_free(*index);
}

static int compare_path(const void *path, const void *file)
{
	return strcmp(path, ((const struct byoh_file *)file)->path);
}

const struct byoh_file *byoh_index_find(const struct byoh_index *index, const char *path)
{
	return bsearch(path, index->files, index->file_count, sizeof(*index->files), compare_path);
}

void byoh_index_mark_frames(const struct byoh_index *index, const struct byoh_file *file, bool *frames)
{
	for (size_t i = 0; i < index->frame_count; i++) {
		const struct byoh_frame *frame = &index->frames[i];

		if (file->plain_offset < frame->plain_offset + frame->plain_size &&
		    frame->plain_offset < file->plain_offset + file->size)
			frames[i] = true;
	}
}
