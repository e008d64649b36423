/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/buffer.h"
#include "bundle/base/cleanup.h"

struct stream {
	struct byoh_reader reader;
	struct byoh_stream_source source;
	struct byoh_buffer front; /* the first bytes */
	uint64_t position;	  /* of the next byte that nobody has read */
	bool settled;
};

static int advance(struct stream *stream, void *ret, size_t size, uint64_t offset, struct byoh_error *err)
{
	int r;

	if (offset < stream->position)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ESPIPE, "a stream cannot go back");
	r = stream->source.read(stream->source.context, ret, size, offset, &stream->reader.size, err);
	if (r == 0)
		stream->position = offset + size;
	return r;
}

/* More of the front, up to end. */
static int keep_front(struct stream *stream, uint64_t end, struct byoh_error *err)
{
	size_t start = stream->front.size, more;
	int r;

	if (end <= start)
		return 0;
	if (end > BYOH_STREAM_FRONT_MAX)
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
				 "the executable in front of the bundle is larger than any of ours");
	more = (size_t)end - start;
	r = byoh_buffer_add_zeros(&stream->front, more, err);
	if (r == 0)
		r = advance(stream, stream->front.data + start, more, start, err);
	if (r < 0)
		stream->front.size = start;
	return r;
}

static int read_stream(struct byoh_reader *reader, void *ret, size_t size, uint64_t offset,
		       struct byoh_error *err)
{
	struct stream *stream = (struct stream *)reader;
	char *next = ret;
	int r;

	if (!stream->settled) {
		if (offset > BYOH_STREAM_FRONT_MAX)
			return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "no executable of ours");
		r = keep_front(stream, offset + size, err);
		if (r < 0)
			return r;
	}
	if (offset < stream->front.size) {
		size_t kept = stream->front.size - (size_t)offset;

		kept = kept < size ? kept : size;
		memcpy(next, stream->front.data + offset, kept);
		next += kept;
		offset += kept;
		size -= kept;
	}
	return size ? advance(stream, next, size, offset, err) : 0;
}

static int settle(struct byoh_reader *reader, uint64_t start, struct byoh_error *err)
{
	struct stream *stream = (struct stream *)reader;

	stream->settled = true;
	return keep_front(stream, start, err);
}

static void free_stream(struct byoh_reader *reader)
{
	struct stream *stream = (struct stream *)reader;

	byoh_buffer_release(&stream->front);
	free(stream);
}

static const struct byoh_reader_ops stream_ops = {
	.read = read_stream,
	.settle = settle,
	.free = free_stream,
};

int byoh_stream_open(const struct byoh_stream_source *source, struct byoh_reader **ret, struct byoh_error *err)
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	stream->reader = (struct byoh_reader){ .ops = &stream_ops, .size = BYOH_READER_SIZE_UNKNOWN,
					       .in_order = true };
	stream->source = *source;
	*ret = &stream->reader;
	return 0;
}
