/* SPDX-License-Identifier: Apache-2.0 */
/* Reading bundles: what is good arrives whole, and no byte of what is not reaches anybody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/superblock.h"
#include "tests/unit/bundle-fixture.h"

#define LARGE_SIZE ((size_t)3500000) /* noise: four blocks of stored bytes */
#define LAYER_SIZE ((size_t)100000)
#define MAX_FILES 16

struct sample {
	struct byoh_buffer bytes; /* the file, with the executable in front */
	size_t offset;		  /* of the bundle in it */
	size_t payload;		  /* of the payload in it */
};

struct fixture {
	unsigned char *large, *layer;
	struct byoh_private_key *key;
	struct byoh_keyring *keyring;
	struct sample small, whole; /* a few kilobytes; several blocks and frames */
};

static struct byoh_error last_error;

/*
 * Samples
 */

static void read_back(const char *path, struct sample *ret)
{
	CLEANUP_FD int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;

	assert_int_equal(byoh_read_file(top, path, 64 << 20, &ret->bytes, NULL), 0);
	assert_int_equal(byoh_bundle_open(path, &bundle, NULL), 0);
	ret->offset = (size_t)byoh_bundle_offset(bundle);
	ret->payload = ret->offset + (size_t)byoh_bundle_header_size(bundle);
	assert_int_equal(ret->offset + byoh_bundle_size(bundle), ret->bytes.size);
}

static void make_sample(struct fixture *fixture, bool whole, struct sample *ret)
{
	CLEANUP(packer_end) struct packer packer;
	CLEANUP_FREE char *path = NULL;
	struct byoh_digest id;

	packer_start(&packer);
	path = packer_path(&packer, "sample.run");
	packer_add_executable(&packer);
	packer_add_file(&packer, "opt/text", 0640, "hello\n", 6);
	packer_add_file(&packer, "opt/empty", 0600, "", 0);
	packer_add_other(&packer, "opt/link", BYOH_FILE_SYMLINK, 0777, "text");
	packer_add_other(&packer, "opt/folder", BYOH_FILE_DIRECTORY, 0750, NULL);
	if (whole) {
		packer_add_file(&packer, "opt/large", 0755, fixture->large, LARGE_SIZE);
		packer_add_file(&packer, "opt/layer.gz", 0644, fixture->layer, LAYER_SIZE);
	}
	packer_finish(&packer);
	for (size_t i = 0; i < packer.tree->entry_count; i++)
		packer.tree->entries[i].compressed = strstr(packer.tree->entries[i].path, ".gz") != NULL;
	packer.pack.key = fixture->key;
	if (byoh_pack(&packer.pack, path, &id, &last_error) < 0)
		fail_msg("%s", last_error.message);
	read_back(path, ret);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct byoh_public_key public_key;

	fixture->large = malloc(LARGE_SIZE);
	fixture->layer = malloc(LAYER_SIZE);
	fill_with_noise(fixture->large, LARGE_SIZE, 1);
	fill_with_noise(fixture->layer, LAYER_SIZE, 2);
	assert_int_equal(byoh_private_key_generate(&fixture->key, NULL), 0);
	assert_int_equal(byoh_private_key_public(fixture->key, &public_key, NULL), 0);
	fixture->keyring = byoh_keyring_new();
	assert_int_equal(byoh_keyring_add(fixture->keyring, &public_key, NULL), 0);
	make_sample(fixture, false, &fixture->small);
	make_sample(fixture, true, &fixture->whole);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	byoh_buffer_release(&fixture->small.bytes);
	byoh_buffer_release(&fixture->whole.bytes);
	byoh_keyring_free(fixture->keyring);
	byoh_private_key_free(fixture->key);
	free(fixture->large);
	free(fixture->layer);
	free(fixture);
	return 0;
}

/* A file without a name that holds bytes. */
static int file_of(const void *bytes, size_t size)
{
	int fd = memfd_create("bundle", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(byoh_pwrite_all(fd, bytes, size, 0, NULL), 0);
	return fd;
}

static int open_copy(int fd, struct byoh_bundle **ret)
{
	int copy = dup(fd), r;

	assert_true(copy >= 0);
	last_error = (struct byoh_error)BYOH_ERROR_INIT;
	r = byoh_bundle_open_fd(copy, "sample", ret, &last_error);
	if (r < 0)
		close(copy);
	return r;
}

static struct byoh_bundle *open_good(const struct fixture *fixture, const struct sample *sample)
{
	struct byoh_bundle *bundle = NULL;
	CLEANUP_FD int fd = file_of(sample->bytes.data, sample->bytes.size);

	assert_int_equal(open_copy(fd, &bundle), 0);
	assert_int_equal(byoh_bundle_authenticate(bundle, fixture->keyring, 1, &last_error), 0);
	return bundle;
}

/*
 * Where unpacked bytes go
 */

struct sink {
	const struct fixture *fixture;
	const struct byoh_file *files[MAX_FILES];
	int fds[MAX_FILES];
	size_t count;
	const char *refused;	/* the path at which open fails */
	int refusal;
	struct byoh_buffer stored;
	int stored_refusal;
	uint64_t reported;
	atomic_bool cancel;
	bool cancel_at_report;
};

/* In a thread: assertions jump, which only the test's own may. */
static void require(bool condition)
{
	if (!condition)
		abort();
}

static int open_sink(void *context, const struct byoh_file *file, struct byoh_error *err)
{
	struct sink *sink = context;
	int fd;

	if (sink->refused && strcmp(sink->refused, file->path) == 0)
		return sink->refusal == BYOH_UNPACK_SKIP ? sink->refusal :
				byoh_fail(err, BYOH_ERROR_SYSTEM, -sink->refusal, "no room");
	for (size_t i = 0; i < sink->count; i++)
		require(sink->files[i] != file); /* once a file */
	fd = memfd_create("file", MFD_CLOEXEC);
	require(fd >= 0 && sink->count < MAX_FILES);
	sink->files[sink->count] = file;
	sink->fds[sink->count++] = fd;
	return dup(fd);
}

static int keep_stored(void *context, uint64_t offset, const void *bytes, size_t size, struct byoh_error *err)
{
	struct sink *sink = context;

	if (sink->stored_refusal)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, -sink->stored_refusal, "no room");
	assert_int_equal(offset, sink->stored.size);
	return byoh_buffer_add(&sink->stored, bytes, size, err);
}

static void report(void *context, uint64_t done, uint64_t total)
{
	struct sink *sink = context;

	require(done >= sink->reported && done <= total);
	sink->reported = done;
	if (sink->cancel_at_report)
		atomic_store(&sink->cancel, true);
}

static int unpack(struct byoh_bundle *bundle, struct sink *sink, unsigned int threads)
{
	const struct byoh_unpack request = {
		.open = open_sink, .stored = keep_stored, .context = sink, .threads = threads,
		.progress = { report, sink, &sink->cancel },
	};

	last_error = (struct byoh_error)BYOH_ERROR_INIT;
	return byoh_bundle_unpack(bundle, &request, &last_error);
}

static void release_sink(struct sink *sink)
{
	for (size_t i = 0; i < sink->count; i++)
		close(sink->fds[i]);
	byoh_buffer_release(&sink->stored);
}
#define CLEANUP_SINK CLEANUP(release_sink)

/* The bytes that a file of a sample has to have. */
static const void *true_bytes(const struct fixture *fixture, const char *path, size_t *ret_size)
{
	if (strcmp(path, "opt/large") == 0) {
		*ret_size = LARGE_SIZE;
		return fixture->large;
	}
	if (strcmp(path, "opt/layer.gz") == 0) {
		*ret_size = LAYER_SIZE;
		return fixture->layer;
	}
	if (strcmp(path, BYOH_EXECUTABLE_PATH) == 0) {
		*ret_size = 5000;
		return fixture->whole.bytes.data; /* it stands in front, too */
	}
	*ret_size = strcmp(path, "opt/text") == 0 ? 6 : 0;
	return "hello\n";
}

/* What was written, however little, is the true beginning of the file. */
static void check_sink(const struct fixture *fixture, const struct sink *sink, bool complete)
{
	for (size_t i = 0; i < sink->count; i++) {
		off_t size = lseek(sink->fds[i], 0, SEEK_END);
		CLEANUP_FREE unsigned char *bytes = malloc((size_t)size + 1);
		size_t true_size;
		const void *wanted = true_bytes(fixture, sink->files[i]->path, &true_size);

		assert_int_equal(pread(sink->fds[i], bytes, (size_t)size, 0), size);
		assert_true(complete ? (size_t)size == true_size : (size_t)size <= true_size);
		assert_memory_equal(bytes, wanted, (size_t)size);
	}
}

/*
 * Good bundles
 */

static void all_files_arrive_with_any_number_of_threads(void **state)
{
	const struct fixture *fixture = *state;
	static const unsigned int threads[] = { 0, 1, 2, 5 };

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		CLEANUP_BUNDLE struct byoh_bundle *bundle = open_good(fixture, &fixture->whole);
		CLEANUP_SINK struct sink sink = {0};
		size_t header = (size_t)byoh_bundle_header_size(bundle);

		assert_true(byoh_bundle_index(bundle)->frame_count >= 2);
		assert_true(byoh_bundle_index(bundle)->block_count >= 5);
		assert_int_equal(byoh_bundle_check(bundle, threads[i], NULL, &last_error), 0);
		assert_int_equal(unpack(bundle, &sink, threads[i]), 0);
		assert_int_equal(sink.count, 5);
		check_sink(fixture, &sink, true);
		assert_int_equal(sink.reported, sink.stored.size);
		assert_int_equal(header + sink.stored.size, byoh_bundle_size(bundle));
		assert_memory_equal(sink.stored.data, fixture->whole.bytes.data + fixture->whole.payload,
				    sink.stored.size);
		assert_memory_equal(byoh_bundle_header(bundle),
				    fixture->whole.bytes.data + fixture->whole.offset, header);
	}
}

static void modes_and_links_stand_in_the_index(void **state)
{
	static const struct byoh_file wanted[] = {
		{ .path = "opt", .type = BYOH_FILE_DIRECTORY, .mode = 0755, .target = "" },
		{ .path = "opt/empty", .type = BYOH_FILE_REGULAR, .mode = 0600, .target = "" },
		{ .path = "opt/folder", .type = BYOH_FILE_DIRECTORY, .mode = 0750, .target = "" },
		{ .path = "opt/link", .type = BYOH_FILE_SYMLINK, .mode = 0777, .target = "text" },
		{ .path = "opt/text", .type = BYOH_FILE_REGULAR, .mode = 0640, .target = "", .size = 6 },
		{ .path = BYOH_EXECUTABLE_PATH, .type = BYOH_FILE_REGULAR, .mode = 0755, .target = "",
		  .size = 5000 },
	};
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_good(fixture, &fixture->small);
	const struct byoh_manifest *manifest = byoh_bundle_manifest(bundle);

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const struct byoh_file *file = byoh_index_find(byoh_bundle_index(bundle), wanted[i].path);

		assert_non_null(file);
		assert_int_equal(file->type, wanted[i].type);
		assert_int_equal(file->mode, wanted[i].mode);
		assert_int_equal(file->size, wanted[i].size);
		assert_string_equal(file->target, wanted[i].target);
	}
	assert_string_equal(manifest->name, "demo");
	assert_int_equal(manifest->built, 1000);
	assert_int_equal(manifest->space, 5006);
	assert_int_equal(manifest->inodes, byoh_bundle_index(bundle)->file_count);
}

static void one_file_is_read_by_itself(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_good(fixture, &fixture->whole);
	CLEANUP_BUFFER struct byoh_buffer text = {0}, layer = {0};

	assert_int_equal(byoh_buffer_add(&text, "before ", 7, NULL), 0);
	assert_int_equal(byoh_bundle_read(bundle, "opt/text", 6, &text, NULL), 0);
	assert_string_equal(byoh_buffer_text(&text), "before hello\n");
	assert_int_equal(byoh_bundle_read(bundle, "opt/empty", 6, &text, NULL), 0);
	assert_int_equal(text.size, 13);
	assert_int_equal(byoh_bundle_read(bundle, "opt/layer.gz", LAYER_SIZE, &layer, NULL), 0);
	assert_int_equal(layer.size, LAYER_SIZE);
	assert_memory_equal(layer.data, fixture->layer, LAYER_SIZE);
	assert_int_equal(byoh_bundle_read(bundle, "opt/text", 5, &text, &last_error), -EFBIG);
	assert_int_equal(byoh_bundle_read(bundle, "opt", 5, &text, &last_error), -ENOENT);
	assert_int_equal(byoh_bundle_read(bundle, "opt/link", 5, &text, &last_error), -ENOENT);
	assert_int_equal(byoh_bundle_read(bundle, "opt/none", 5, &text, &last_error), -ENOENT);
	assert_non_null(strstr(last_error.message, "opt/none"));
	assert_int_equal(text.size, 13);
}

static void nothing_is_told_of_a_bundle_before_it_is_authentic(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_FD int fd = file_of(fixture->small.bytes.data, fixture->small.bytes.size);
	CLEANUP_KEYRING struct byoh_keyring *nobody = byoh_keyring_new();
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;

	assert_int_equal(open_copy(fd, &bundle), 0);
	assert_null(byoh_bundle_manifest(bundle));
	assert_true(byoh_bundle_authenticate(bundle, nobody, 1, &last_error) < 0);
	assert_int_equal(last_error.kind, BYOH_ERROR_TRUST);
	assert_null(byoh_bundle_manifest(bundle));
	assert_null(byoh_bundle_index(bundle));
	assert_int_equal(byoh_bundle_authenticate(bundle, fixture->keyring, 1, &last_error), 0);
	assert_non_null(byoh_bundle_manifest(bundle));
}

/*
 * Damage
 */

enum part { PART_EXECUTABLE, PART_HEADER, PART_PAYLOAD };

static bool is_refusal(int r)
{
	return r < 0 && (last_error.kind == BYOH_ERROR_FORMAT || last_error.kind == BYOH_ERROR_TRUST) &&
	       last_error.message[0];
}

static void expect_refusal(int r, const char *where, size_t at)
{
	if (!is_refusal(r))
		fail_msg("%s, byte %zu: result %d, kind %d: %s", where, at, r, (int)last_error.kind,
			 last_error.message);
}

/* The bytes in fd have one bad bit at `at`. */
static void expect_damage_is_found(const struct fixture *fixture, int fd, enum part part, size_t at)
{
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	CLEANUP_SINK struct sink sink = {0};
	int r = open_copy(fd, &bundle);

	if (r == 0)
		r = byoh_bundle_authenticate(bundle, fixture->keyring, 1, &last_error);
	if (part == PART_HEADER || r < 0) {
		expect_refusal(r, "header", at);
		assert_true(part != PART_PAYLOAD);
		return;
	}
	expect_refusal(byoh_bundle_check(bundle, 1, NULL, &last_error), "check", at);
	if (part == PART_EXECUTABLE) /* its copy inside of the bundle is what is installed */
		return;
	expect_refusal(unpack(bundle, &sink, 2), "unpack", at);
	check_sink(fixture, &sink, false);
}

static void flip(int fd, const struct sample *sample, size_t at)
{
	char byte = (char)(sample->bytes.data[at] ^ (1 << at % 8));

	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void mend(int fd, const struct sample *sample, size_t at)
{
	assert_int_equal(pwrite(fd, sample->bytes.data + at, 1, (off_t)at), 1);
}

static enum part part_of(const struct sample *sample, size_t at)
{
	return at < sample->offset ? PART_EXECUTABLE : at < sample->payload ? PART_HEADER : PART_PAYLOAD;
}

/* Zeros are many and all alike; all other bytes of the header and payload are tried. */
static size_t step_at(const struct sample *sample, size_t at)
{
	size_t in_bundle = at - sample->offset;

	if (at < sample->offset)
		return at < 200 ? 1 : 61;
	if (in_bundle < BYOH_FRONT_SIZE && !sample->bytes.data[at])
		return 17;
	return 1;
}

static void every_flipped_bit_of_a_small_run_is_found(void **state)
{
	const struct fixture *fixture = *state;
	const struct sample *sample = &fixture->small;
	CLEANUP_FD int fd = file_of(sample->bytes.data, sample->bytes.size);
	size_t tried = 0;

	for (size_t at = 0; at < sample->bytes.size; at += step_at(sample, at), tried++) {
		flip(fd, sample, at);
		expect_damage_is_found(fixture, fd, part_of(sample, at), at);
		mend(fd, sample, at);
	}
	assert_true(tried > 2000);
}

static void flipped_bits_in_any_block_are_found(void **state)
{
	const struct fixture *fixture = *state;
	const struct sample *sample = &fixture->whole;
	CLEANUP_FD int fd = file_of(sample->bytes.data, sample->bytes.size);
	size_t size = sample->bytes.size, step = (size - sample->payload) / 37;

	for (size_t at = sample->payload; at < size; at += step) {
		flip(fd, sample, at);
		expect_damage_is_found(fixture, fd, PART_PAYLOAD, at);
		mend(fd, sample, at);
	}
	flip(fd, sample, size - 1);
	expect_damage_is_found(fixture, fd, PART_PAYLOAD, size - 1);
}

static void a_run_cut_short_anywhere_is_refused(void **state)
{
	const struct fixture *fixture = *state;
	const struct sample *sample = &fixture->small;
	const size_t edges[] = { 0, 3, 4, 64, sample->offset, sample->offset + BYOH_FRONT_SIZE, sample->payload,
				 sample->bytes.size };

	for (size_t i = 0; i < sample->bytes.size; i += 97) {
		CLEANUP_FD int fd = file_of(sample->bytes.data, i);
		struct byoh_bundle *bundle = NULL;

		expect_refusal(open_copy(fd, &bundle), "cut", i);
	}
	for (size_t i = 0; i < ARRAY_SIZE(edges); i++) {
		for (size_t less = 0; less < 3 && less <= edges[i]; less++) {
			CLEANUP_FD int fd = file_of(sample->bytes.data, edges[i] - less);
			CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
			int r = open_copy(fd, &bundle);

			if (edges[i] - less < sample->bytes.size)
				expect_refusal(r, "cut", edges[i] - less);
			else
				assert_int_equal(r, 0);
			/* -ENODATA would mean: no bundle here, take the one that the host keeps. */
			if (edges[i] - less > sample->offset)
				assert_int_not_equal(r, -ENODATA);
		}
	}
}

static void bytes_behind_the_end_are_refused(void **state)
{
	const struct fixture *fixture = *state;
	const struct sample *sample = &fixture->small;
	CLEANUP_FD int fd = file_of(sample->bytes.data, sample->bytes.size);
	struct byoh_bundle *bundle = NULL;

	assert_int_equal(pwrite(fd, "", 1, (off_t)sample->bytes.size), 1);
	expect_refusal(open_copy(fd, &bundle), "trailing", sample->bytes.size);
}

/* What was opened is what is installed, even if somebody writes to the medium meanwhile. */
static void a_payload_that_shrinks_after_opening_is_noticed(void **state)
{
	const struct fixture *fixture = *state;
	const struct sample *sample = &fixture->whole;
	CLEANUP_FD int fd = file_of(sample->bytes.data, sample->bytes.size);
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	CLEANUP_SINK struct sink sink = {0};

	assert_int_equal(open_copy(fd, &bundle), 0);
	assert_int_equal(byoh_bundle_authenticate(bundle, fixture->keyring, 1, &last_error), 0);
	assert_int_equal(ftruncate(fd, (off_t)(sample->bytes.size - 200000)), 0);
	assert_int_equal(byoh_bundle_check(bundle, 2, NULL, &last_error), -ENODATA);
	assert_int_equal(unpack(bundle, &sink, 2), -ENODATA);
	assert_non_null(strstr(last_error.message, "sample"));
	check_sink(fixture, &sink, false);
}

static void an_executable_without_a_bundle_says_so(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_FREE char *bare = malloc(5000);
	struct byoh_bundle *bundle = NULL;
	int fd;

	memcpy(bare, fixture->small.bytes.data, 5000);
	fd = file_of(bare, 5000);
	assert_int_equal(open_copy(fd, &bundle), -ENODATA);
	assert_non_null(strstr(last_error.message, "--from"));
	close(fd);
	bare[70] ^= 1; /* the segment is no note any more: some other program */
	bare[64] = 1;
	fd = file_of(bare, 5000);
	assert_int_equal(open_copy(fd, &bundle), -ENOEXEC);
	close(fd);
	assert_true(byoh_bundle_open("/dev/null", &bundle, &last_error) < 0);
	assert_int_equal(last_error.kind, BYOH_ERROR_FORMAT);
	assert_int_equal(byoh_bundle_open("/nonexistent/x.run", &bundle, &last_error), -ENOENT);
	assert_non_null(strstr(last_error.message, "/nonexistent/x.run"));
}

/*
 * Trust
 */

static int authenticate_with(const struct byoh_buffer *bytes, const struct byoh_keyring *keyring,
			     unsigned int threshold, struct byoh_digest *ret_id)
{
	CLEANUP_FD int fd = file_of(bytes->data, bytes->size);
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;

	assert_int_equal(open_copy(fd, &bundle), 0);
	*ret_id = *byoh_bundle_id(bundle);
	return byoh_bundle_authenticate(bundle, keyring, threshold, &last_error);
}

/* The same bundle with these signatures in its area. */
static void resign(const struct sample *sample, const struct byoh_signature *signatures, size_t count,
		   struct byoh_buffer *ret)
{
	CLEANUP_BUFFER struct byoh_buffer area = {0};

	assert_int_equal(byoh_signatures_write(signatures, count, &area, NULL), 0);
	assert_int_equal(byoh_buffer_add(ret, sample->bytes.data, sample->bytes.size, NULL), 0);
	memcpy(ret->data + sample->offset + BYOH_SUPERBLOCK_SIZE, area.data, area.size);
}

static void two_of_two_keys_must_have_signed(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_PRIVATE_KEY struct byoh_private_key *second = NULL;
	CLEANUP_KEYRING struct byoh_keyring *both = byoh_keyring_new();
	CLEANUP_BUFFER struct byoh_buffer one = {0}, two = {0}, none = {0};
	struct byoh_signature signatures[2];
	struct byoh_public_key key;
	struct byoh_digest id, again;

	assert_int_equal(byoh_private_key_generate(&second, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(byoh_private_key_public(i ? second : fixture->key, &key, NULL), 0);
		assert_int_equal(byoh_keyring_add(both, &key, NULL), 0);
	}
	assert_int_equal(authenticate_with(&fixture->small.bytes, both, 1, &id), 0);
	assert_true(authenticate_with(&fixture->small.bytes, both, 2, &id) < 0);
	assert_int_equal(last_error.kind, BYOH_ERROR_TRUST);
	assert_int_equal(byoh_trust_sign(fixture->key, &id, &signatures[0], NULL), 0);
	assert_int_equal(byoh_trust_sign(second, &id, &signatures[1], NULL), 0);
	resign(&fixture->small, signatures, 1, &one);
	assert_memory_equal(one.data, fixture->small.bytes.data, one.size); /* Ed25519 has no chance in it */
	resign(&fixture->small, signatures, 2, &two);
	assert_int_equal(authenticate_with(&two, both, 2, &again), 0);
	assert_true(byoh_digest_equal(&id, &again));
	assert_int_equal(authenticate_with(&two, fixture->keyring, 1, &again), 0);
	assert_true(authenticate_with(&two, fixture->keyring, 2, &again) < 0);
	assert_int_equal(last_error.kind, BYOH_ERROR_TRUST);
	assert_true(authenticate_with(&two, both, 3, &again) < 0);
	resign(&fixture->small, signatures, 0, &none);
	assert_true(authenticate_with(&none, both, 0, &again) < 0);
	assert_int_equal(last_error.kind, BYOH_ERROR_TRUST);
	assert_non_null(strstr(last_error.message, "not signed"));
}

static void a_revoked_key_counts_no_more(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_KEYRING struct byoh_keyring *keyring = byoh_keyring_new();
	struct byoh_public_key key;
	struct byoh_digest id;

	assert_int_equal(byoh_private_key_public(fixture->key, &key, NULL), 0);
	assert_int_equal(byoh_keyring_add(keyring, &key, NULL), 0);
	assert_int_equal(authenticate_with(&fixture->small.bytes, keyring, 1, &id), 0);
	byoh_keyring_remove(keyring, &key);
	assert_true(authenticate_with(&fixture->small.bytes, keyring, 1, &id) < 0);
	assert_int_equal(last_error.kind, BYOH_ERROR_TRUST);
}

/*
 * Failures on the way
 */

static void what_open_says_is_what_unpack_returns(void **state)
{
	static const char *const paths[] = { "opt/large", "opt/empty", "opt/layer.gz", "opt/text" };
	const struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		CLEANUP_BUNDLE struct byoh_bundle *bundle = open_good(fixture, &fixture->whole);
		CLEANUP_SINK struct sink sink = { .refused = paths[i], .refusal = -ENOSPC };

		assert_int_equal(unpack(bundle, &sink, 2), -ENOSPC);
		assert_int_equal(last_error.kind, BYOH_ERROR_SYSTEM);
		assert_non_null(strstr(last_error.message, "no room"));
		check_sink(fixture, &sink, false);
	}
}

static void a_file_may_be_left_out(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_good(fixture, &fixture->whole);
	CLEANUP_SINK struct sink sink = { .refused = "opt/large", .refusal = BYOH_UNPACK_SKIP };

	assert_int_equal(unpack(bundle, &sink, 2), 0);
	assert_int_equal(sink.count, 4);
	check_sink(fixture, &sink, true);
}

static void a_failure_to_keep_stored_bytes_ends_the_pass(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_good(fixture, &fixture->whole);
	CLEANUP_SINK struct sink sink = { .stored_refusal = -EIO };

	assert_int_equal(unpack(bundle, &sink, 2), -EIO);
	assert_int_equal(last_error.kind, BYOH_ERROR_SYSTEM);
}

static int open_full(void *context, const struct byoh_file *file, struct byoh_error *err)
{
	(void)context;
	(void)file;
	(void)err;
	return open("/dev/full", O_WRONLY | O_CLOEXEC);
}

static void a_full_disk_is_told_with_the_file(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_good(fixture, &fixture->whole);
	const struct byoh_unpack request = { .open = open_full };

	last_error = (struct byoh_error)BYOH_ERROR_INIT;
	assert_int_equal(byoh_bundle_unpack(bundle, &request, &last_error), -ENOSPC);
	assert_int_equal(last_error.kind, BYOH_ERROR_SYSTEM);
	assert_non_null(strstr(last_error.message, "opt/"));
}

static void a_cancel_ends_every_pass(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUNDLE struct byoh_bundle *bundle = open_good(fixture, &fixture->whole);
	CLEANUP_SINK struct sink before = {0}, during = { .cancel_at_report = true };
	const struct byoh_progress progress = { report, &during, &during.cancel };

	atomic_store(&before.cancel, true);
	assert_int_equal(unpack(bundle, &before, 2), -EINTR);
	assert_int_equal(last_error.kind, BYOH_ERROR_INTERRUPTED);
	assert_int_equal(before.stored.size, 0);
	assert_int_equal(byoh_bundle_check(bundle, 2, &progress, &last_error), -EINTR);
	assert_int_equal(last_error.kind, BYOH_ERROR_INTERRUPTED);
	assert_true(during.reported < fixture->whole.bytes.size - fixture->whole.payload);
	during.reported = 0;
	atomic_store(&during.cancel, false);
	assert_int_equal(unpack(bundle, &during, 2), -EINTR);
	assert_true(during.stored.size < fixture->whole.bytes.size - fixture->whole.payload);
	check_sink(fixture, &during, false);
}

/*
 * Forged bundles
 */

static void forge(const struct hostility *hostility, const struct byoh_private_key *key,
		  struct byoh_buffer *ret)
{
	CLEANUP(forgery_end) struct forgery forgery;

	forgery_start(&forgery);
	hostility->apply(&forgery);
	forgery_write(&forgery, key, ret);
}

static void a_forger_with_our_key_can_make_good_bundles(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer bytes = {0}, g = {0};
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	CLEANUP_SINK struct sink sink = {0};
	CLEANUP(forgery_end) struct forgery forgery;
	int fd;

	forgery_start(&forgery);
	forgery_write(&forgery, fixture->key, &bytes);
	fd = file_of(bytes.data, bytes.size);
	assert_int_equal(byoh_bundle_open_fd(fd, "forged", &bundle, &last_error), 0);
	assert_int_equal(byoh_bundle_authenticate(bundle, fixture->keyring, 1, &last_error), 0);
	assert_int_equal(byoh_bundle_check(bundle, 0, NULL, &last_error), 0);
	assert_int_equal(unpack(bundle, &sink, 2), 0);
	assert_int_equal(sink.count, 2);
	/* This one lies in both frames. */
	assert_int_equal(byoh_bundle_read(bundle, "a/g", 6000, &g, &last_error), 0);
	assert_memory_equal(g.data, forgery.plain + 4096, 6000);
}

static void every_hostility_is_refused(void **state)
{
	const struct fixture *fixture = *state;
	size_t accepted = 0;

	for (size_t i = 1; i < hostility_count; i++) {
		CLEANUP_BUFFER struct byoh_buffer bytes = {0};
		CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
		CLEANUP_SINK struct sink sink = {0};
		CLEANUP_FD int fd = -1;
		int r;

		forge(&hostilities[i], fixture->key, &bytes);
		fd = file_of(bytes.data, bytes.size);
		r = open_copy(fd, &bundle);
		if (r == 0)
			r = byoh_bundle_authenticate(bundle, fixture->keyring, 1, &last_error);
		if (r < 0 && bundle)
			assert_true(!byoh_bundle_manifest(bundle) && !byoh_bundle_index(bundle));
		if (r == 0 && hostilities[i].late)
			r = unpack(bundle, &sink, 2);
		if (is_refusal(r))
			continue;
		print_error("%s: result %d, %s\n", hostilities[i].name, r, last_error.message);
		accepted++;
	}
	assert_int_equal(accepted, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_files_arrive_with_any_number_of_threads),
		cmocka_unit_test(modes_and_links_stand_in_the_index),
		cmocka_unit_test(one_file_is_read_by_itself),
		cmocka_unit_test(nothing_is_told_of_a_bundle_before_it_is_authentic),
		cmocka_unit_test(every_flipped_bit_of_a_small_run_is_found),
		cmocka_unit_test(flipped_bits_in_any_block_are_found),
		cmocka_unit_test(a_run_cut_short_anywhere_is_refused),
		cmocka_unit_test(bytes_behind_the_end_are_refused),
		cmocka_unit_test(a_payload_that_shrinks_after_opening_is_noticed),
		cmocka_unit_test(an_executable_without_a_bundle_says_so),
		cmocka_unit_test(two_of_two_keys_must_have_signed),
		cmocka_unit_test(a_revoked_key_counts_no_more),
		cmocka_unit_test(what_open_says_is_what_unpack_returns),
		cmocka_unit_test(a_file_may_be_left_out),
		cmocka_unit_test(a_failure_to_keep_stored_bytes_ends_the_pass),
		cmocka_unit_test(a_full_disk_is_told_with_the_file),
		cmocka_unit_test(a_cancel_ends_every_pass),
		cmocka_unit_test(a_forger_with_our_key_can_make_good_bundles),
		cmocka_unit_test(every_hostility_is_refused),
	};

	return cmocka_run_group_tests_name("bundles", tests, set_up, tear_down);
}
