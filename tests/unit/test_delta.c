/* SPDX-License-Identifier: Apache-2.0 */
/* Deltas: packed against a base, unpacked with it, refused with another. */
#include "tests/unit/bundle-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/bundle-internal.h"

#define LARGE ((size_t)900000) /* large enough to be known by its likeness */
#define SMALL ((size_t)5000)

static struct byoh_error last_error;
static unsigned char old_bytes[LARGE], new_bytes[LARGE], small_bytes[SMALL];

struct fixture {
	struct packer base, result;
	struct byoh_private_key *key;
	char *base_path, *delta_path, *full_path;
};

static void pack(struct packer *packer, const struct byoh_private_key *key, const char *path, struct byoh_bundle *base)
{
	struct byoh_digest id;

	packer->pack.key = key;
	packer->pack.base = base;
	assert_int_equal(byoh_pack(&packer->pack, path, &id, &last_error), 0);
	packer->pack.base = NULL;
}

static struct byoh_bundle *open_bundle(const char *path)
{
	struct byoh_bundle *bundle = NULL;

	assert_int_equal(byoh_bundle_open(path, &bundle, &last_error), 0);
	assert_int_equal(byoh_bundle_examine(bundle, &last_error), 0);
	return bundle;
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	CLEANUP_BUNDLE struct byoh_bundle *base = NULL;

	fill_with_noise(old_bytes, LARGE, 1);
	memcpy(new_bytes, old_bytes, LARGE);
	memcpy(new_bytes + 400000, "another", 7);
	fill_with_noise(small_bytes, SMALL, 2);
	assert_int_equal(byoh_private_key_generate(&fixture->key, NULL), 0);
	packer_start(&fixture->base);
	packer_add_file(&fixture->base, "d/changes", 0644, old_bytes, LARGE);
	packer_add_file(&fixture->base, "d/stays", 0644, small_bytes, SMALL);
	packer_finish(&fixture->base);
	packer_start(&fixture->result);
	packer_add_file(&fixture->result, "d/changes", 0644, new_bytes, LARGE);
	packer_add_file(&fixture->result, "d/stays", 0600, small_bytes, SMALL);
	packer_add_file(&fixture->result, "e/other-name", 0644, new_bytes + 1000, LARGE - 1000);
	packer_add_file(&fixture->result, "e/tiny", 0644, "tiny", 4);
	packer_finish(&fixture->result);
	fixture->base_path = packer_path(&fixture->base, "base.bundle");
	fixture->delta_path = packer_path(&fixture->base, "delta.bundle");
	fixture->full_path = packer_path(&fixture->base, "full.bundle");
	pack(&fixture->base, fixture->key, fixture->base_path, NULL);
	base = open_bundle(fixture->base_path);
	pack(&fixture->result, fixture->key, fixture->delta_path, base);
	pack(&fixture->result, fixture->key, fixture->full_path, NULL);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	unlink(fixture->base_path);
	unlink(fixture->delta_path);
	unlink(fixture->full_path);
	free(fixture->base_path);
	free(fixture->delta_path);
	free(fixture->full_path);
	packer_end(&fixture->base);
	packer_end(&fixture->result);
	byoh_private_key_free(fixture->key);
	free(fixture);
	return 0;
}

/* Where all files of a bundle come to lie, one behind the other as in the tar. */
struct sink {
	int fd;
};

static int open_sink(void *context, const struct byoh_file *file, struct byoh_error *err)
{
	const struct sink *sink = context;

	(void)file;
	(void)err;
	return dup(sink->fd);
}

static uint64_t place(void *context, const struct byoh_file *file)
{
	(void)context;
	return file->plain_offset;
}

static int unpack(struct byoh_bundle *bundle, const struct sink *sink, const bool *decode)
{
	CLEANUP_FD int folder = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct byoh_unpack job = { .open = open_sink, .place = place, .context = (void *)sink, .threads = 2,
					 .decode = decode, .scratch_fd = folder };

	return byoh_bundle_unpack(bundle, &job, &last_error);
}

static void assert_holds(const struct byoh_bundle *bundle, const struct sink *sink, const char *path, const void *bytes,
			 size_t size)
{
	const struct byoh_file *file = byoh_index_find(byoh_bundle_index(bundle), path);
	CLEANUP_FREE char *there = malloc(size);

	assert_non_null(file);
	assert_int_equal(file->size, size);
	assert_int_equal(byoh_pread_all(sink->fd, there, size, file->plain_offset, NULL), 0);
	assert_memory_equal(there, bytes, size);
}

static struct byoh_bundle *open_delta(const struct fixture *fixture)
{
	struct byoh_bundle *bundle = open_bundle(fixture->delta_path), *base = open_bundle(fixture->base_path);

	assert_true(byoh_bundle_is_delta(bundle));
	assert_int_equal(byoh_bundle_set_base(bundle, base, &last_error), 0);
	return bundle;
}

static void a_delta_becomes_what_the_full_bundle_is(void **state)
{
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_delta(*state);
	const struct sink sink = { memfd_create("sink", MFD_CLOEXEC) };

	assert_int_equal(unpack(bundle, &sink, NULL), 0);
	assert_holds(bundle, &sink, "d/changes", new_bytes, LARGE);
	assert_holds(bundle, &sink, "d/stays", small_bytes, SMALL);
	assert_holds(bundle, &sink, "e/other-name", new_bytes + 1000, LARGE - 1000);
	assert_holds(bundle, &sink, "e/tiny", "tiny", 4);
	close(sink.fd);
}

/* By path, by content, by likeness. */
static void it_holds_little(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *delta = open_bundle(fixture->delta_path);
	CLEANUP_BUNDLE struct byoh_bundle *full = open_bundle(fixture->full_path);

	assert_true(byoh_bundle_size(delta) < 20000);
	assert_true(byoh_bundle_size(full) > LARGE);
	assert_int_equal(byoh_bundle_manifest(delta)->space, byoh_bundle_manifest(full)->space);
}

static void it_is_checked_without_its_base(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_bundle(fixture->delta_path);
	const struct sink sink = { memfd_create("sink", MFD_CLOEXEC) };

	assert_int_equal(byoh_bundle_check(bundle, 0, NULL, &last_error), 0);
	assert_int_equal(unpack(bundle, &sink, NULL), -ESTALE);
	assert_int_equal(last_error.kind, BYOH_ERROR_PREFLIGHT);
	close(sink.fd);
}

/* What nobody asks for needs no base. */
static void frames_without_a_prefix_need_none(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_bundle(fixture->delta_path);
	const struct byoh_index *index = byoh_bundle_index(bundle);
	CLEANUP_FREE bool *decode = calloc(index->frame_count, sizeof(*decode));
	const struct sink sink = { memfd_create("sink", MFD_CLOEXEC) };

	byoh_index_mark_frames(index, byoh_index_find(index, "e/tiny"), decode);
	assert_int_equal(unpack(bundle, &sink, decode), 0);
	assert_holds(bundle, &sink, "e/tiny", "tiny", 4);
	close(sink.fd);
}

static void another_release_is_no_base(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_bundle(fixture->delta_path);
	CLEANUP_BUNDLE struct byoh_bundle *other = open_bundle(fixture->full_path);

	assert_int_equal(byoh_bundle_set_base(bundle, other, &last_error), -ESTALE);
	assert_non_null(strstr(last_error.message, "d/changes"));
	assert_null(byoh_bundle_base(bundle));
}

/* A publisher with our key whose prefixes, or whose results, are not what the index says. */
static void digests_of_prefix_and_result_count(void **state)
{
	const struct sink sink = { memfd_create("sink", MFD_CLOEXEC) };

	for (int what = 0; what < 2; what++) {
		CLEANUP_BUNDLE struct byoh_bundle *bundle = open_delta(*state);
		struct byoh_index *index = bundle->index;

		if (what)
			((struct byoh_file *)byoh_index_find(index, "d/stays"))->digest.bytes[0] ^= 1;
		else
			index->frames[0].prefix_digest.bytes[0] ^= 1;
		assert_int_equal(unpack(bundle, &sink, NULL), -EBADMSG);
		assert_non_null(strstr(last_error.message, what ? "what was signed" : "builds on"));
	}
	close(sink.fd);
}

/* The base lies on a disk, and disks decay: it is not the delta's medium that is bad. */
static void a_damaged_base_is_no_damaged_bundle(void **state)
{
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_delta(*state);
	const struct sink sink = { memfd_create("sink", MFD_CLOEXEC) };

	bundle->base->index->blocks[0].bytes[0] ^= 1;
	assert_int_equal(unpack(bundle, &sink, NULL), -EBADMSG);
	assert_int_equal(last_error.kind, BYOH_ERROR_PREFLIGHT);
	assert_non_null(strstr(last_error.message, "what the delta builds on"));
	close(sink.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delta_becomes_what_the_full_bundle_is),
		cmocka_unit_test(it_holds_little),
		cmocka_unit_test(it_is_checked_without_its_base),
		cmocka_unit_test(frames_without_a_prefix_need_none),
		cmocka_unit_test(another_release_is_no_base),
		cmocka_unit_test(digests_of_prefix_and_result_count),
		cmocka_unit_test(a_damaged_base_is_no_damaged_bundle),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
