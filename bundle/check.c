/* SPDX-License-Identifier: Apache-2.0 */
/* Checking every stored byte without decoding, on all cores. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/bundle-internal.h"
#include "bundle/executable.h"

#define MAX_THREADS 64

struct check {
	struct byoh_bundle *bundle;
	const struct byoh_progress *progress;
	pthread_mutex_t lock; /* guards what follows */
	size_t next_frame;
	uint64_t next_block; /* of that frame */
	uint64_t done;
	int failure;
	struct byoh_error err;
};

int byoh_block_check(const struct byoh_bundle *bundle, uint64_t number, const void *bytes, size_t size,
		     struct byoh_error *err)
{
	struct byoh_digest digest;
	int r = byoh_digest_of(bytes, size, &digest, err);

	if (r < 0)
		return r;
	if (!byoh_digest_equal(&digest, &bundle->index->blocks[number]))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
				 "block %llu of the payload is damaged; the medium or the copy is bad, copy "
				 "the file again",
				 (unsigned long long)number);
	return 0;
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

static void *check_blocks(void *context)
{
	struct check *check = context;
	CLEANUP_FREE unsigned char *bytes = malloc(BYOH_BLOCK_SIZE);
	const struct byoh_frame *frame;
	uint64_t block;

	while (take_block(check, &frame, &block)) {
		size_t size = byoh_block_length(frame, block);
		struct byoh_error err = BYOH_ERROR_INIT;
		uint64_t at = byoh_bundle_payload_at(check->bundle) + frame->stored_offset +
			      block * BYOH_BLOCK_SIZE;
		int r = bytes ? byoh_pread_all(check->bundle->fd, bytes, size, at, &err)
			      : byoh_fail(&err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");

		if (r == 0)
			r = byoh_block_check(check->bundle, frame->first_block + block, bytes, size, &err);
		finish_block(check, size, r, &err);
	}
	return NULL;
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
	if (lseek(bundle->fd, 0, SEEK_SET) < 0)
		return byoh_fail_errno(err, "cannot read the executable");
	r = byoh_digest_fd(bundle->fd, manifest->executable_size, &digest, NULL, err);
	if (r < 0)
		return r;
	if (!byoh_digest_equal(&digest, &manifest->executable_digest))
		return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG,
				 "the executable in front of the bundle is not the one that was signed");
	gap_size = (size_t)(bundle->offset - manifest->executable_size);
	r = byoh_pread_all(bundle->fd, gap, gap_size, manifest->executable_size, err);
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
	pthread_mutex_init(&check.lock, NULL);
	r = run_threads(&check, threads, err);
	pthread_mutex_destroy(&check.lock);
	return r < 0 ? byoh_error_wrap(err, r, "%s", bundle->name) : 0;
}
