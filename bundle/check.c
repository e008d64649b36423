/* SPDX-License-Identifier: Apache-2.0 */
/* Checking every stored byte without decoding, on all cores. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/bundle-internal.h"
#include "bundle/executable.h"

#define MAX_THREADS 64

struct check {
	struct byoh_bundle *bundle;
	const struct byoh_progress *progress;
	pthread_mutex_t medium; /* held while one that goes in order is read */
	pthread_mutex_t lock;	/* guards what follows */
	size_t next_frame;
	uint64_t next_block; /* of that frame */
	uint64_t done;
	int failure;
	struct byoh_error err;
};

static uint64_t block_at(const struct byoh_bundle *bundle, const struct byoh_frame *frame, uint64_t block)
{
	return byoh_bundle_payload_at(bundle) + frame->stored_offset + block * BYOH_BLOCK_SIZE;
}

static int wrap(const struct byoh_bundle *bundle, const struct byoh_frame *frame, uint64_t block, int rc,
		struct byoh_error *err)
{
	const struct byoh_reader *reader = bundle->reader;
	char name[BYOH_READER_NAME_MAX];

	if (!reader->ops->name)
		return byoh_error_wrap(err, rc, "%s", bundle->name);
	reader->ops->name(reader, block_at(bundle, frame, block), byoh_block_length(frame, block), name);
	return byoh_error_wrap(err, rc, "%s", name);
}

int byoh_block_read(struct byoh_bundle *bundle, const struct byoh_frame *frame, uint64_t block, void *ret,
		    struct byoh_error *err)
{
	int r = byoh_reader_read(bundle->reader, ret, byoh_block_length(frame, block),
				 block_at(bundle, frame, block), err);

	/* What is missing has no name yet but the one in the message. */
	return r < 0 && r != -ENOMEDIUM ? wrap(bundle, frame, block, r, err) : r;
}

int byoh_block_check(const struct byoh_bundle *bundle, const struct byoh_frame *frame, uint64_t block,
		     const void *bytes, struct byoh_error *err)
{
	uint64_t number = frame->first_block + block;
	struct byoh_digest digest;
	int r = byoh_digest_of(bytes, byoh_block_length(frame, block), &digest, err);

	if (r < 0)
		return r;
	if (byoh_digest_equal(&digest, &bundle->index->blocks[number]))
		return 0;
	r = byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
		      "block %llu of the payload is damaged; the medium or the copy is bad, copy the file again",
		      (unsigned long long)number);
	return wrap(bundle, frame, block, r, err);
}

/* The next block that nobody took; false at the end, after a failure or a cancel. */
static bool take_block(struct check *check, const struct byoh_frame **ret_frame, uint64_t *ret_block)
{
	const struct byoh_index *index = check->bundle->index;
	bool taken = false;

	pthread_mutex_lock(&check->lock);
	if (check->progress && check->progress->cancel && atomic_load(check->progress->cancel) &&
	    !check->failure)
		check->failure = byoh_fail(&check->err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
	if (check->next_frame < index->frame_count &&
	    check->next_block == byoh_frame_blocks(&index->frames[check->next_frame])) {
		check->next_frame++;
		check->next_block = 0;
	}
	if (!check->failure && check->next_frame < index->frame_count) {
		*ret_frame = &index->frames[check->next_frame];
		*ret_block = check->next_block++;
		taken = true;
	}
	pthread_mutex_unlock(&check->lock);
	return taken;
}

static void finish_block(struct check *check, size_t size, int r, const struct byoh_error *err)
{
	pthread_mutex_lock(&check->lock);
	if (r < 0 && !check->failure) {
		check->failure = r;
		check->err = *err;
	}
	check->done += size;
	if (check->progress && check->progress->report)
		check->progress->report(check->progress->context, check->done,
					check->bundle->superblock.payload_size);
	pthread_mutex_unlock(&check->lock);
}

/* A medium that is read in order is read by one thread at a time; digests are computed beside that. */
static bool fetch_block(struct check *check, void *bytes, const struct byoh_frame **ret_frame,
			uint64_t *ret_block, int *ret, struct byoh_error *err)
{
	bool in_order = check->bundle->reader->in_order, taken;

	if (in_order)
		pthread_mutex_lock(&check->medium);
	taken = take_block(check, ret_frame, ret_block);
	if (taken)
		*ret = bytes ? byoh_block_read(check->bundle, *ret_frame, *ret_block, bytes, err)
			     : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	/* Before anybody else reads on. */
	if (taken && *ret < 0)
		finish_block(check, 0, *ret, err);
	if (in_order)
		pthread_mutex_unlock(&check->medium);
	return taken && *ret == 0;
}

static void *check_blocks(void *context)
{
	struct check *check = context;
	CLEANUP_FREE unsigned char *bytes = malloc(BYOH_BLOCK_SIZE);
	struct byoh_error err = BYOH_ERROR_INIT;
	const struct byoh_frame *frame = NULL;
	uint64_t block = 0;
	int r = 0;

	while (fetch_block(check, bytes, &frame, &block, &r, &err)) {
		r = byoh_block_check(check->bundle, frame, block, bytes, &err);
		finish_block(check, byoh_block_length(frame, block), r, &err);
	}
	return NULL;
}

static int digest_front(struct byoh_reader *reader, uint64_t size, struct byoh_digest *ret, struct byoh_error *err)
{
	CLEANUP_FREE unsigned char *bytes = malloc(BYOH_BLOCK_SIZE);
	CLEANUP_HASHER struct byoh_hasher *hasher = byoh_hasher_new();
	int r = bytes && hasher ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");

	for (uint64_t at = 0; at < size && r == 0; at += BYOH_BLOCK_SIZE) {
		size_t piece = (size_t)(size - at < BYOH_BLOCK_SIZE ? size - at : BYOH_BLOCK_SIZE);

		r = byoh_reader_read(reader, bytes, piece, at, err);
		if (r == 0)
			byoh_hasher_add(hasher, bytes, piece);
	}
	return r < 0 ? r : byoh_hasher_finish(hasher, ret, err);
}

/* The executable in front and the zeros up to the bundle. */
static int check_executable(const struct byoh_bundle *bundle, struct byoh_error *err)
{
	const struct byoh_manifest *manifest = bundle->manifest;
	char gap[BYOH_BUNDLE_ALIGNMENT];
	struct byoh_digest digest;
	size_t gap_size;
	int r;

	if (!bundle->offset)
		return 0;
	r = digest_front(bundle->reader, manifest->executable_size, &digest, err);
	if (r < 0)
		return r;
	if (!byoh_digest_equal(&digest, &manifest->executable_digest))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
				 "the executable in front of the bundle is not the one that was signed");
	gap_size = (size_t)(bundle->offset - manifest->executable_size);
	r = byoh_reader_read(bundle->reader, gap, gap_size, manifest->executable_size, err);
	for (size_t i = 0; i < gap_size && r == 0; i++)
		if (gap[i])
			r = byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
				      "there are bytes between the executable and the bundle");
	return r;
}

static int run_threads(struct check *check, unsigned int threads, struct byoh_error *err)
{
	pthread_t ids[MAX_THREADS];
	unsigned int started = 0;

	/* Too few threads only make it slower; none at all is done right here. */
	while (started < threads && pthread_create(&ids[started], NULL, check_blocks, check) == 0)
		started++;
	if (!started)
		check_blocks(check);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(ids[i], NULL);
	if (check->failure && err)
		*err = check->err;
	return check->failure;
}

int byoh_bundle_check(struct byoh_bundle *bundle, unsigned int threads, const struct byoh_progress *progress,
		      struct byoh_error *err)
{
	struct check check = { .bundle = bundle, .progress = progress };
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int r;

	if (!threads)
		threads = cores > 0 ? (unsigned int)cores : 1;
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	r = check_executable(bundle, err);
	if (r < 0)
		return byoh_error_wrap(err, r, "%s", bundle->name);
	pthread_mutex_init(&check.medium, NULL);
	pthread_mutex_init(&check.lock, NULL);
	r = run_threads(&check, threads, err);
	pthread_mutex_destroy(&check.lock);
	pthread_mutex_destroy(&check.medium);
	return r;
}
