/* SPDX-License-Identifier: Apache-2.0 */
/* Writing the index; the layout is read in index.c and specified in docs/bundle-format.md. */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/index.h"

static int write_header(const struct byoh_index *index, size_t string_size, struct byoh_buffer *ret,
			struct byoh_error *err)
{
	const uint64_t counts[] = { index->plain_size,	index->file_count,   index->frame_count,
				    index->block_count, index->extent_count, string_size };

	TRY(byoh_buffer_add(ret, "BYOHINDX", 8, err));
	TRY(byoh_buffer_add_u32(ret, 1, err));
	TRY(byoh_buffer_add_u32(ret, 20, err));
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		TRY(byoh_buffer_add_u64(ret, counts[i], err));
	return byoh_buffer_add(ret, index->base_id.bytes, BYOH_DIGEST_SIZE, err);
}

static int write_frame(const struct byoh_frame *frame, struct byoh_buffer *ret, struct byoh_error *err)
{
	const uint64_t numbers[] = { frame->stored_offset, frame->stored_size,	frame->plain_offset,
				     frame->plain_size,	   frame->first_block,	frame->first_extent,
				     frame->extent_count };

	TRY(byoh_buffer_add_u32(ret, frame->kind, err));
	TRY(byoh_buffer_add_u32(ret, frame->window_log, err));
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		TRY(byoh_buffer_add_u64(ret, numbers[i], err));
	return byoh_buffer_add(ret, frame->prefix_digest.bytes, BYOH_DIGEST_SIZE, err);
}

/* Adds text to the table; offset 0 is an empty string that all empty targets share. */
static int add_string(struct byoh_buffer *strings, const char *text, uint32_t *ret_offset,
		      struct byoh_error *err)
{
	if (!*text) {
		*ret_offset = 0;
		return 0;
	}
	if (strings->size > UINT32_MAX - BYOH_INDEX_MAX_SIZE)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EFBIG, "too many files for one bundle");
	*ret_offset = (uint32_t)strings->size;
	return byoh_buffer_add(strings, text, strlen(text) + 1, err);
}

static int write_extent(const struct byoh_base_extent *extent, struct byoh_buffer *strings,
			struct byoh_buffer *ret, struct byoh_error *err)
{
	uint32_t path;

	TRY(add_string(strings, extent->path, &path, err));
	TRY(byoh_buffer_add(ret, extent->file_digest.bytes, BYOH_DIGEST_SIZE, err));
	TRY(byoh_buffer_add_u64(ret, extent->offset, err));
	TRY(byoh_buffer_add_u64(ret, extent->size, err));
	TRY(byoh_buffer_add_u32(ret, path, err));
	return byoh_buffer_add_u32(ret, (uint32_t)strlen(extent->path), err);
}

static int write_file(const struct byoh_file *file, struct byoh_buffer *strings, struct byoh_buffer *ret,
		      struct byoh_error *err)
{
	uint32_t path, target;

	TRY(add_string(strings, file->path, &path, err));
	TRY(add_string(strings, file->target, &target, err));
	TRY(byoh_buffer_add_u32(ret, file->type, err));
	TRY(byoh_buffer_add_u32(ret, file->mode, err));
	TRY(byoh_buffer_add_u64(ret, file->size, err));
	TRY(byoh_buffer_add_u64(ret, file->plain_offset, err));
	TRY(byoh_buffer_add_u32(ret, path, err));
	TRY(byoh_buffer_add_u32(ret, (uint32_t)strlen(file->path), err));
	TRY(byoh_buffer_add_u32(ret, target, err));
	TRY(byoh_buffer_add_u32(ret, (uint32_t)strlen(file->target), err));
	TRY(byoh_buffer_add_u32(ret, 0, err));
	TRY(byoh_buffer_add(ret, file->digest.bytes, BYOH_DIGEST_SIZE, err));
	return byoh_buffer_add_u32(ret, 0, err);
}

int byoh_index_write(const struct byoh_index *index, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer strings = {0};
	CLEANUP_BUFFER struct byoh_buffer body = {0};

	TRY(byoh_buffer_add_zeros(&strings, 1, err));
	for (size_t i = 0; i < index->frame_count; i++)
		TRY(write_frame(&index->frames[i], &body, err));
	for (size_t i = 0; i < index->block_count; i++)
		TRY(byoh_buffer_add(&body, index->blocks[i].bytes, BYOH_DIGEST_SIZE, err));
	for (size_t i = 0; i < index->extent_count; i++)
		TRY(write_extent(&index->extents[i], &strings, &body, err));
	for (size_t i = 0; i < index->file_count; i++)
		TRY(write_file(&index->files[i], &strings, &body, err));
	TRY(write_header(index, strings.size, ret, err));
	TRY(byoh_buffer_add(ret, body.data, body.size, err));
	TRY(byoh_buffer_add(ret, strings.data, strings.size, err));
	if (ret->size > BYOH_INDEX_MAX_SIZE)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EFBIG, "too many files for one bundle");
	return 0;
}
