/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One pass over the payload. The calling thread reads the medium once, in order, into private memory,
 * checks each block and hands it to the queue of its frame; decoders take frames in order, decode and
 * write with pwrite. Blocks in flight are bounded, so memory does not grow with the bundle.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include <zstd_errors.h>

#include "bundle/base/bar.h"
#include "bundle/base/cleanup.h"
#include "bundle/base-files.h"
#include "bundle/base/path.h"
#include "bundle/bundle-internal.h"
#include "bundle/decoder-memory.h"

#define MAX_DECODERS 32
#define OUTPUT_SIZE ((size_t)1 << 18)
#define DECODER_SIZE ((uint64_t)2 << 20) /* what it needs beside the window */
/* All decoders' windows together; with the blocks in flight the promise of 320 MiB is kept. */
#define WINDOW_BUDGET ((uint64_t)256 << 20)
#define BLOCKS_IN_FLIGHT 40

struct block {
	struct block *next;
	size_t size;
	unsigned char bytes[];
};

struct frame_queue {
	struct block *first, *last;
	uint64_t blocks_left; /* that the reader has still to deliver */
};

struct file_state {
	int fd; /* -1 not opened, -2 left out */
	uint64_t left;
	bool checked;	 /* its digest has to hold */
	uint64_t hashed; /* bytes; pieces of different frames wait for their turn */
	struct byoh_hasher *hasher;
};

struct pass {
	struct byoh_bundle *bundle;
	const struct byoh_unpack *unpack;
	struct byoh_base_files *base_files;
	const struct byoh_file **by_offset; /* regular files with bytes, in the order of the tar stream */
	size_t by_offset_count;
	struct file_state *states; /* one a file of the index */

	pthread_mutex_t lock; /* guards what follows, and states */
	pthread_cond_t changed;
	struct frame_queue *queues;
	struct block *spare; /* used up: a fresh one each time would be 256 page faults */
	size_t next_frame;
	unsigned int in_flight;
	int failure;
	struct byoh_error err;
};

static bool is_decoded(const struct pass *pass, size_t frame)
{
	return !pass->unpack->decode || pass->unpack->decode[frame];
}

static bool is_read(const struct pass *pass, size_t frame)
{
	return pass->unpack->stored || is_decoded(pass, frame);
}

static void fail_pass(struct pass *pass, int r, const struct byoh_error *err)
{
	pthread_mutex_lock(&pass->lock);
	if (!pass->failure) {
		pass->failure = r;
		pass->err = *err;
	}
	pthread_cond_broadcast(&pass->changed);
	pthread_mutex_unlock(&pass->lock);
}

static int compare_offsets(const void *a, const void *b)
{
	const struct byoh_file *x = *(const struct byoh_file *const *)a;
	const struct byoh_file *y = *(const struct byoh_file *const *)b;

	return x->plain_offset < y->plain_offset ? -1 : x->plain_offset > y->plain_offset;
}

/* The first file whose bytes end behind offset. */
static size_t first_file_behind(const struct pass *pass, uint64_t offset)
{
	size_t low = 0, high = pass->by_offset_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct byoh_file *file = pass->by_offset[middle];

		if (file->plain_offset + file->size <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct file_state *state_of(const struct pass *pass, const struct byoh_file *file)
{
	return &pass->states[file - pass->bundle->index->files];
}

/* Opens the file's target at its first byte. A file may span frames, so two decoders may come here. */
static int open_target(struct pass *pass, const struct byoh_file *file, int *ret_fd, struct byoh_error *err)
{
	struct file_state *state = state_of(pass, file);
	int fd;

	pthread_mutex_lock(&pass->lock);
	if (state->fd == -1) {
		fd = pass->unpack->open(pass->unpack->context, file, err);
		if (fd < 0 && fd != BYOH_UNPACK_SKIP) {
			pthread_mutex_unlock(&pass->lock);
			return fd;
		}
		state->fd = fd < 0 ? -2 : fd;
	}
	*ret_fd = state->fd;
	pthread_mutex_unlock(&pass->lock);
	return 0;
}

static int close_if_complete(struct pass *pass, const struct byoh_file *file, uint64_t written,
			     struct byoh_error *err)
{
	struct file_state *state = state_of(pass, file);
	int fd = -1;

	pthread_mutex_lock(&pass->lock);
	state->left -= written;
	if (!state->left)
		fd = state->fd;
	if (fd >= 0)
		state->fd = -2;
	pthread_mutex_unlock(&pass->lock);
	if (fd >= 0 && close(fd) < 0)
		return byoh_fail_errno(err, "cannot write %s", file->path);
	return 0;
}

/* True once all bytes before offset are in the hasher; false after a failure. */
static bool await_turn(struct pass *pass, const struct file_state *state, uint64_t offset)
{
	bool mine;

	pthread_mutex_lock(&pass->lock);
	while (!pass->failure && state->hashed != offset)
		pthread_cond_wait(&pass->changed, &pass->lock);
	mine = !pass->failure;
	pthread_mutex_unlock(&pass->lock);
	return mine;
}

static int check_digest(const struct byoh_file *file, struct byoh_hasher *hasher, struct byoh_error *err)
{
	struct byoh_digest digest;
	int r = byoh_hasher_finish(hasher, &digest, err);

	if (r == 0 && !byoh_digest_equal(&digest, &file->digest))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "it did not become what was signed");
	return r;
}

/* A frame with a prefix is a recipe: the digest of what came out is what was signed. Frames are taken in order, so
 * whoever waits here waits for a decoder that is at work. */
static int hash_piece(struct pass *pass, const struct byoh_file *file, uint64_t offset, const unsigned char *bytes,
		      size_t size, struct byoh_error *err)
{
	struct file_state *state = state_of(pass, file);

	if (!state->checked || !await_turn(pass, state, offset))
		return 0;
	if (!state->hasher)
		state->hasher = byoh_hasher_new();
	if (!state->hasher)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	byoh_hasher_add(state->hasher, bytes, size);
	pthread_mutex_lock(&pass->lock);
	state->hashed += size;
	pthread_cond_broadcast(&pass->changed);
	pthread_mutex_unlock(&pass->lock);
	return offset + size == file->size ? check_digest(file, state->hasher, err) : 0;
}

static int write_piece(struct pass *pass, const struct byoh_file *file, uint64_t offset,
		       const unsigned char *bytes, size_t size, struct byoh_error *err)
{
	uint64_t place = pass->unpack->place ? pass->unpack->place(pass->unpack->context, file) : 0;
	int fd, r = open_target(pass, file, &fd, err);

	if (r == 0 && fd >= 0)
		r = byoh_pwrite_all(fd, bytes, size, place + offset, err);
	if (r == 0 && fd >= 0)
		r = hash_piece(pass, file, offset, bytes, size, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", file->path);
	if (fd >= 0)
		byoh_start_writeback(fd, place + offset, size, offset + size == file->size);
	return close_if_complete(pass, file, size, err);
}

/* Hands plain bytes at offset of the tar stream to the files they belong to; headers fall through. */
static int write_plain(struct pass *pass, uint64_t offset, const unsigned char *bytes, size_t size,
		       struct byoh_error *err)
{
	uint64_t end = offset + size;
	int r;

	for (size_t i = first_file_behind(pass, offset); i < pass->by_offset_count; i++) {
		const struct byoh_file *file = pass->by_offset[i];
		uint64_t from = file->plain_offset > offset ? file->plain_offset : offset;
		uint64_t to = file->plain_offset + file->size < end ? file->plain_offset + file->size : end;

		if (file->plain_offset >= end)
			break;
		r = write_piece(pass, file, from - file->plain_offset, bytes + (from - offset),
				(size_t)(to - from), err);
		if (r < 0)
			return r;
	}
	return 0;
}

struct decoder {
	ZSTD_DCtx *zstd;
	unsigned char *output;
};

static void release_decoder(struct decoder *decoder)
{
	ZSTD_freeDCtx(decoder->zstd);
	free(decoder->output);
}

static int frame_is_damaged(const struct byoh_frame *frame, struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
			 "the frame at payload offset %llu does not decode to what the index says",
			 (unsigned long long)frame->stored_offset);
}

/* A host without the memory for the window must not be told that its medium is bad. */
static int decoder_failed(const struct byoh_frame *frame, size_t code, struct byoh_error *err)
{
	char size[32];

	if (ZSTD_getErrorCode(code) != ZSTD_error_memory_allocation)
		return frame_is_damaged(frame, err);
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM,
			 "out of memory: decoding needs %s for each of its threads",
			 byoh_format_size(((uint64_t)1 << frame->window_log) + DECODER_SIZE, size));
}

/* One frame and no other, and one that says a checksum: only this keeps an eye on the bytes between the
 * block's digest and the end of the decoder. */
static int check_frame_header(const struct byoh_frame *frame, const struct block *block,
			      struct byoh_error *err)
{
	ZSTD_frameHeader header;

	if (ZSTD_getFrameHeader(&header, block->bytes, block->size) != 0 ||
	    header.frameType != ZSTD_frame || !header.checksumFlag)
		return frame_is_damaged(frame, err);
	return 0;
}

/* Decodes one block's bytes. *plain counts the frame's plain bytes so far, *rest is zstd's own opinion
 * of how much is missing: 0 at the exact end of a frame. */
static int decode_block(struct pass *pass, struct decoder *decoder, const struct byoh_frame *frame,
			const struct block *block, uint64_t *plain, size_t *rest, struct byoh_error *err)
{
	ZSTD_inBuffer in = { block->bytes, block->size, 0 };
	bool filled = false;
	int r;

	while (in.pos < in.size || filled) {
		ZSTD_outBuffer out = { decoder->output, OUTPUT_SIZE, 0 };

		if (*rest == 0)
			return frame_is_damaged(frame, err); /* bytes behind the frame's end */
		*rest = ZSTD_decompressStream(decoder->zstd, &out, &in);
		if (ZSTD_isError(*rest))
			return decoder_failed(frame, *rest, err);
		if (out.pos > frame->plain_size - *plain)
			return frame_is_damaged(frame, err);
		r = write_plain(pass, frame->plain_offset + *plain, decoder->output, out.pos, err);
		if (r < 0)
			return r;
		*plain += out.pos;
		filled = out.pos == out.size && *rest;
	}
	return 0;
}

/* The next block of a frame; NULL at its end or after a failure. */
static struct block *take_block(struct pass *pass, size_t number)
{
	struct frame_queue *queue = &pass->queues[number];
	struct block *block;

	pthread_mutex_lock(&pass->lock);
	while (!pass->failure && !queue->first && queue->blocks_left)
		pthread_cond_wait(&pass->changed, &pass->lock);
	block = pass->failure ? NULL : queue->first;
	if (block) {
		queue->first = block->next;
		if (!queue->first)
			queue->last = NULL;
		pass->in_flight--;
		pthread_cond_broadcast(&pass->changed);
	}
	pthread_mutex_unlock(&pass->lock);
	return block;
}

/* The base's bytes in front of a prefixed frame. */
static int lay_prefix(const struct pass *pass, struct decoder *decoder, const struct byoh_frame *frame,
		      struct byoh_prefix *prefix, struct byoh_error *err)
{
	const struct byoh_base_extent *extents = pass->bundle->index->extents + frame->first_extent;
	struct byoh_digest digest;
	int r = byoh_base_files_map(pass->base_files, extents, (size_t)frame->extent_count, prefix, err);

	if (r == 0)
		r = byoh_digest_of(prefix->bytes, prefix->size, &digest, err);
	if (r == 0 && !byoh_digest_equal(&digest, &frame->prefix_digest))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "/%s of the base is not what the delta builds on",
				 extents->path);
	if (r == 0 && ZSTD_isError(ZSTD_DCtx_refPrefix(decoder->zstd, prefix->bytes, prefix->size)))
		return frame_is_damaged(frame, err);
	return r;
}

/* For the next one that is read. */
static void give_back(struct pass *pass, struct block *block)
{
	pthread_mutex_lock(&pass->lock);
	block->next = pass->spare;
	pass->spare = block;
	pthread_mutex_unlock(&pass->lock);
}

static struct block *take_spare(struct pass *pass)
{
	struct block *block;

	pthread_mutex_lock(&pass->lock);
	block = pass->spare;
	if (block)
		pass->spare = block->next;
	pthread_mutex_unlock(&pass->lock);
	return block ? block : malloc(sizeof(*block) + BYOH_BLOCK_SIZE);
}

static int decode_frame(struct pass *pass, struct decoder *decoder, size_t number, struct byoh_error *err)
{
	const struct byoh_frame *frame = &pass->bundle->index->frames[number];
	CLEANUP_PREFIX struct byoh_prefix prefix = { 0 };
	uint64_t plain = 0;
	bool first = true;
	size_t rest = 1;
	int r = 0;

	ZSTD_DCtx_reset(decoder->zstd, ZSTD_reset_session_only);
	if (ZSTD_isError(ZSTD_DCtx_setParameter(decoder->zstd, ZSTD_d_windowLogMax,
						(int)frame->window_log)))
		return frame_is_damaged(frame, err);
	if (frame->kind == BYOH_FRAME_PREFIXED)
		r = lay_prefix(pass, decoder, frame, &prefix, err);
	if (r < 0)
		return r;
	for (;;) {
		struct block *block = take_block(pass, number);

		if (!block)
			break;
		if (first)
			r = check_frame_header(frame, block, err);
		first = false;
		if (r == 0)
			r = decode_block(pass, decoder, frame, block, &plain, &rest, err);
		give_back(pass, block);
		if (r < 0)
			return r;
	}
	pthread_mutex_lock(&pass->lock);
	r = pass->failure;
	pthread_mutex_unlock(&pass->lock);
	if (r == 0 && (rest || plain != frame->plain_size))
		return frame_is_damaged(frame, err);
	return r;
}

static bool take_frame(struct pass *pass, size_t *ret)
{
	bool taken = false;

	pthread_mutex_lock(&pass->lock);
	while (pass->next_frame < pass->bundle->index->frame_count && !is_decoded(pass, pass->next_frame))
		pass->next_frame++;
	if (!pass->failure && pass->next_frame < pass->bundle->index->frame_count) {
		*ret = pass->next_frame++;
		taken = true;
	}
	pthread_mutex_unlock(&pass->lock);
	return taken;
}

static void *decode_frames(void *context)
{
	struct pass *pass = context;
	CLEANUP(release_decoder) struct decoder decoder = { ZSTD_createDCtx_advanced(byoh_decoder_memory),
							    malloc(OUTPUT_SIZE) };
	struct byoh_error err = BYOH_ERROR_INIT;
	size_t number;
	int r = 0;

	if (!decoder.zstd || !decoder.output)
		r = byoh_fail(&err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory for a decoder");
	while (r == 0 && take_frame(pass, &number))
		r = decode_frame(pass, &decoder, number, &err);
	if (r < 0)
		fail_pass(pass, r, &err);
	return NULL;
}

static bool is_cancelled(const struct pass *pass)
{
	const atomic_bool *cancel = pass->unpack->progress.cancel;

	return cancel && atomic_load(cancel);
}

/* Queues a block, once there is room for it. */
static int deliver(struct pass *pass, size_t number, struct block *block)
{
	struct frame_queue *queue = &pass->queues[number];
	int r;

	pthread_mutex_lock(&pass->lock);
	while (!pass->failure && pass->in_flight >= BLOCKS_IN_FLIGHT)
		pthread_cond_wait(&pass->changed, &pass->lock);
	r = pass->failure;
	if (r == 0) {
		if (queue->last)
			queue->last->next = block;
		else
			queue->first = block;
		queue->last = block;
		queue->blocks_left--;
		pass->in_flight++;
		pthread_cond_broadcast(&pass->changed);
	}
	pthread_mutex_unlock(&pass->lock);
	if (r < 0)
		free(block);
	return r;
}

static int read_block(struct pass *pass, const struct byoh_frame *frame, uint64_t number,
		      struct block **ret, struct byoh_error *err)
{
	struct byoh_bundle *bundle = pass->bundle;
	size_t size = byoh_block_length(frame, number);
	uint64_t at = frame->stored_offset + number * BYOH_BLOCK_SIZE;
	CLEANUP_FREE struct block *block = take_spare(pass);
	int r;

	if (!block)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	block->next = NULL;
	block->size = size;
	r = byoh_block_read(bundle, frame, number, block->bytes, err);
	if (r == 0)
		r = byoh_block_check(bundle, frame, number, block->bytes, err);
	if (r < 0)
		return r;
	if (pass->unpack->stored) {
		r = pass->unpack->stored(pass->unpack->context, at, block->bytes, size, err);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(block);
	return 0;
}

static int read_frame(struct pass *pass, size_t number, struct byoh_error *err)
{
	const struct byoh_frame *frame = &pass->bundle->index->frames[number];
	const struct byoh_progress *progress = &pass->unpack->progress;
	uint64_t blocks = byoh_frame_blocks(frame);

	for (uint64_t i = 0; i < blocks; i++) {
		struct block *block = NULL;
		size_t size;
		int r;

		if (is_cancelled(pass))
			return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
		r = read_block(pass, frame, i, &block, err);
		if (r < 0)
			return r;
		size = block->size;
		if (is_decoded(pass, number))
			r = deliver(pass, number, block);
		else
			free(block);
		if (r < 0)
			return r;
		if (progress->report)
			progress->report(progress->context,
					 frame->stored_offset + i * BYOH_BLOCK_SIZE + size,
					 pass->bundle->superblock.payload_size);
	}
	return 0;
}

static void read_medium(struct pass *pass)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	int r = 0;

	for (size_t i = 0; i < pass->bundle->index->frame_count && r == 0; i++)
		if (is_read(pass, i))
			r = read_frame(pass, i, &err);
	if (r < 0)
		fail_pass(pass, r, &err);
}

static int prepare_files(struct pass *pass, struct byoh_error *err)
{
	const struct byoh_index *index = pass->bundle->index;

	pass->states = calloc(index->file_count + 1, sizeof(*pass->states));
	pass->by_offset = calloc(index->file_count + 1, sizeof(const struct byoh_file *));
	if (!pass->states || !pass->by_offset)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < index->file_count; i++) {
		pass->states[i] = (struct file_state){ .fd = -1, .left = index->files[i].size,
						       .checked = pass->unpack->check_digests };
		if (index->files[i].type == BYOH_FILE_REGULAR && index->files[i].size)
			pass->by_offset[pass->by_offset_count++] = &index->files[i];
	}
	qsort(pass->by_offset, pass->by_offset_count, sizeof(*pass->by_offset), compare_offsets);
	return 0;
}

/* Whatever lies in a frame with a prefix is checked by its digest. */
static void mark_checked(struct pass *pass, const struct byoh_frame *frame)
{
	size_t i = first_file_behind(pass, frame->plain_offset);

	for (; i < pass->by_offset_count; i++) {
		if (pass->by_offset[i]->plain_offset >= frame->plain_offset + frame->plain_size)
			return;
		state_of(pass, pass->by_offset[i])->checked = true;
	}
}

/* It is not this bundle that is bad. */
static int base_failed(int r, struct byoh_error *err)
{
	if (r >= 0 || !err || err->kind != BYOH_ERROR_FORMAT)
		return r;
	err->kind = BYOH_ERROR_PREFLIGHT;
	byoh_error_wrap(err, r, "what the delta builds on");
	byoh_error_remedy(err, "take the full bundle, or bring the one back that is damaged, with --from FILE");
	return r;
}

/* All of the base that the frames to be decoded need, before the first of them is. */
static int prepare_base(struct pass *pass, struct byoh_error *err)
{
	const struct byoh_index *index = pass->bundle->index;
	CLEANUP_FREE struct byoh_base_extent *needed = calloc(index->extent_count + 1, sizeof(*needed));
	size_t count = 0;

	if (!needed)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < index->frame_count; i++) {
		const struct byoh_frame *frame = &index->frames[i];

		if (!is_decoded(pass, i) || frame->kind != BYOH_FRAME_PREFIXED)
			continue;
		mark_checked(pass, frame);
		memcpy(needed + count, index->extents + frame->first_extent,
		       (size_t)frame->extent_count * sizeof(*needed));
		count += (size_t)frame->extent_count;
	}
	if (!count)
		return 0;
	if (!pass->bundle->base || pass->unpack->scratch_fd <= 0)
		return byoh_bundle_lacks_base(pass->bundle, err);
	return base_failed(byoh_base_files_load(pass->bundle->base, needed, count, pass->unpack,
						pass->unpack->scratch_fd, &pass->base_files, err), err);
}

static int prepare(struct pass *pass, struct byoh_error *err)
{
	const struct byoh_index *index = pass->bundle->index;
	int r;

	pass->queues = calloc(index->frame_count, sizeof(*pass->queues));
	if (!pass->queues)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < index->frame_count; i++)
		pass->queues[i].blocks_left = byoh_frame_blocks(&index->frames[i]);
	r = prepare_files(pass, err);
	return r < 0 ? r : prepare_base(pass, err);
}

static void free_blocks(struct block *block)
{
	while (block) {
		struct block *next = block->next;

		free(block);
		block = next;
	}
}

static void release(struct pass *pass)
{
	const struct byoh_index *index = pass->bundle->index;

	for (size_t i = 0; pass->queues && i < index->frame_count; i++)
		free_blocks(pass->queues[i].first);
	free_blocks(pass->spare);
	for (size_t i = 0; pass->states && i < index->file_count; i++) {
		if (pass->states[i].fd >= 0)
			close(pass->states[i].fd);
		byoh_hasher_free(pass->states[i].hasher);
	}
	byoh_base_files_free(pass->base_files);
	free(pass->queues);
	free(pass->states);
	free(pass->by_offset);
}

static unsigned int decoder_count(const struct pass *pass)
{
	uint64_t by_memory = WINDOW_BUDGET / pass->bundle->manifest->largest_window;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t count = pass->unpack->threads ? pass->unpack->threads : cores > 0 ? (uint64_t)cores : 1;

	if (count > by_memory)
		count = by_memory;
	if (count > pass->bundle->index->frame_count)
		count = pass->bundle->index->frame_count;
	if (count > MAX_DECODERS)
		count = MAX_DECODERS;
	return count ? (unsigned int)count : 1;
}

/* Empty files have no bytes in the stream that could bring them up. */
static int make_empty_files(struct pass *pass, struct byoh_error *err)
{
	const struct byoh_index *index = pass->bundle->index;

	for (size_t i = 0; i < index->file_count; i++) {
		int fd, r;

		if (index->files[i].type != BYOH_FILE_REGULAR || index->files[i].size)
			continue;
		r = open_target(pass, &index->files[i], &fd, err);
		if (r == 0)
			r = close_if_complete(pass, &index->files[i], 0, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int run(struct pass *pass, struct byoh_error *err)
{
	unsigned int count = decoder_count(pass), started = 0;
	pthread_t ids[MAX_DECODERS];

	while (started < count && pthread_create(&ids[started], NULL, decode_frames, pass) == 0)
		started++;
	if (!started)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, EAGAIN, "cannot start a thread");
	read_medium(pass);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(ids[i], NULL);
	if (pass->failure && err)
		*err = pass->err;
	return pass->failure;
}

int byoh_bundle_unpack(struct byoh_bundle *bundle, const struct byoh_unpack *unpack, struct byoh_error *err)
{
	struct pass pass = { .bundle = bundle, .unpack = unpack };
	int r;

	pthread_mutex_init(&pass.lock, NULL);
	pthread_cond_init(&pass.changed, NULL);
	r = prepare(&pass, err);
	if (r == 0)
		r = make_empty_files(&pass, err);
	if (r == 0)
		r = run(&pass, err);
	release(&pass);
	pthread_cond_destroy(&pass.changed);
	pthread_mutex_destroy(&pass.lock);
	return r;
}
