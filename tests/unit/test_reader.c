/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes from slices: the same ones, wherever the slices lie, or a failure that names one. Bytes from a stream: each once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/slices.h"
#include "bundle/stream.h"
#include "tests/unit/bundle-fixture.h"

#define WHOLE ((size_t)1000003) /* no multiple of anything */
#define SLICE ((uint64_t)70001)
#define COUNT 15

struct fixture {
	char *folder, *other; /* slices lie in the first; the second is empty */
	unsigned char *bytes;
	const char *folders[2];
};

static struct byoh_error last_error;

static char *path_in(const char *folder, const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	return path;
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t size)
{
	CLEANUP_FREE char *path = path_in(folder, name);
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(byoh_write_all(fd, bytes, size, NULL), 0);
}

static void move(const char *from_folder, const char *from, const char *to_folder, const char *to)
{
	CLEANUP_FREE char *old = path_in(from_folder, from), *new = path_in(to_folder, to);

	assert_int_equal(rename(old, new), 0);
}

static void resize(const char *folder, const char *name, off_t size)
{
	CLEANUP_FREE char *path = path_in(folder, name);

	assert_int_equal(truncate(path, size), 0);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	CLEANUP_FREE char *whole = NULL;
	size_t count = 0;

	fixture->folder = strdup("/tmp/byoh-reader-XXXXXX");
	fixture->other = strdup("/tmp/byoh-reader-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	assert_non_null(mkdtemp(fixture->other));
	fixture->folders[0] = fixture->other;
	fixture->folders[1] = fixture->folder;
	fixture->bytes = malloc(WHOLE);
	fill_with_noise(fixture->bytes, WHOLE, 7);
	write_file(fixture->other, "x.bundle", fixture->bytes, WHOLE);
	whole = path_in(fixture->other, "x.bundle");
	assert_int_equal(byoh_slices_cut(whole, fixture->folder, SLICE, &count, &last_error), 0);
	assert_int_equal(count, COUNT);
	unlink(whole);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_FD int top = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(byoh_remove_tree(top, fixture->folder + strlen("/tmp/"), NULL), 0);
	assert_int_equal(byoh_remove_tree(top, fixture->other + strlen("/tmp/"), NULL), 0);
	free(fixture->folder);
	free(fixture->other);
	free(fixture->bytes);
	free(fixture);
	return 0;
}

static struct byoh_reader *open_slices(const struct fixture *fixture, const struct byoh_slices_kept *kept,
				       int (*ask)(void *, const char *, struct byoh_error *), void *context)
{
	const struct byoh_slices_input input = { .folders = fixture->folders, .folder_count = 2,
						 .name = "x.bundle", .kept = kept, .ask = ask, .context = context };
	struct byoh_reader *reader = NULL;

	last_error = (struct byoh_error)BYOH_ERROR_INIT;
	assert_int_equal(byoh_slices_open(&input, &reader, &last_error), 0);
	return reader;
}

/* In pieces that end nowhere in particular; where it fails is *ret_at. */
static int read_through(const struct fixture *fixture, struct byoh_reader *reader, size_t *ret_at)
{
	unsigned char piece[33333];

	for (*ret_at = 0; *ret_at < WHOLE;) {
		size_t size = WHOLE - *ret_at < sizeof(piece) ? WHOLE - *ret_at : sizeof(piece);
		int r = byoh_reader_read(reader, piece, size, *ret_at, &last_error);

		if (r < 0)
			return r;
		assert_memory_equal(piece, fixture->bytes + *ret_at, size);
		*ret_at += size;
	}
	return 0;
}

static int expect(struct byoh_reader *reader)
{
	return reader->ops->expect(reader, WHOLE, &last_error);
}

static void slices_of_odd_sizes_are_the_whole(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_READER struct byoh_reader *reader = open_slices(fixture, NULL, NULL, NULL);
	size_t at;

	assert_int_equal(expect(reader), 0);
	assert_int_equal(read_through(fixture, reader, &at), 0);
	assert_int_equal(byoh_slices_length(reader), SLICE);
}

static void slices_may_lie_in_several_folders(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_READER struct byoh_reader *reader = NULL;
	size_t at;

	move(fixture->folder, "x.bundle.001", fixture->other, "x.bundle.001");
	move(fixture->folder, "x.bundle.007", fixture->other, "x.bundle.007");
	reader = open_slices(fixture, NULL, NULL, NULL);
	assert_int_equal(expect(reader), 0);
	assert_int_equal(read_through(fixture, reader, &at), 0);
}

static void a_missing_slice_is_named(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_READER struct byoh_reader *reader = open_slices(fixture, NULL, NULL, NULL);
	uint64_t tail_offset;
	size_t at, tail_size;
	const void *tail;

	move(fixture->folder, "x.bundle.003", fixture->other, "elsewhere");
	assert_int_equal(expect(reader), 0);
	assert_int_equal(read_through(fixture, reader, &at), -ENOMEDIUM);
	assert_int_equal(last_error.kind, BYOH_ERROR_MEDIUM);
	assert_non_null(strstr(last_error.message, "x.bundle.003 (3 of 15) is missing"));
	/* What belonged to the piece that was being read. */
	tail = byoh_slices_tail(reader, &tail_offset, &tail_size);
	assert_int_equal(tail_offset, at);
	assert_int_equal(tail_offset + tail_size, 2 * SLICE);
	assert_memory_equal(tail, fixture->bytes + at, tail_size);
}

struct stick {
	const struct fixture *fixture;
	unsigned int asked;
	bool refuses;
};

static int bring(void *context, const char *name, struct byoh_error *err)
{
	struct stick *stick = context;

	(void)err;
	stick->asked++;
	assert_non_null(strstr(name, "x.bundle.002"));
	if (stick->refuses)
		return -ENOMEDIUM;
	if (stick->asked == 2) /* the first answer was a lie */
		move(stick->fixture->other, "elsewhere", stick->fixture->folder, "x.bundle.002");
	return 0;
}

static void the_missing_one_is_asked_for_until_it_is_there(void **state)
{
	const struct fixture *fixture = *state;
	struct stick stick = { .fixture = fixture };
	CLEANUP_READER struct byoh_reader *reader = open_slices(fixture, NULL, bring, &stick);
	size_t at;

	move(fixture->folder, "x.bundle.002", fixture->other, "elsewhere");
	assert_int_equal(expect(reader), 0);
	assert_int_equal(read_through(fixture, reader, &at), 0);
	assert_int_equal(stick.asked, 2);
}

static void who_asks_in_vain_ends_like_who_does_not_ask(void **state)
{
	const struct fixture *fixture = *state;
	struct stick stick = { .fixture = fixture, .refuses = true };
	CLEANUP_READER struct byoh_reader *reader = open_slices(fixture, NULL, bring, &stick);
	size_t at;

	move(fixture->folder, "x.bundle.002", fixture->other, "elsewhere");
	assert_int_equal(read_through(fixture, reader, &at), -ENOMEDIUM);
	assert_int_equal(last_error.kind, BYOH_ERROR_MEDIUM);
}

static void another_length_is_named_before_a_byte_is_used(void **state)
{
	static const struct {
		const char *name;
		off_t size;
	} wrong[] = {
		{ "x.bundle.002", SLICE - 1 }, { "x.bundle.002", SLICE + 1 }, { "x.bundle.002", 0 },
		{ "x.bundle.015", WHOLE - 14 * SLICE + 1 }, { "x.bundle.015", 5 },
	};
	const struct fixture *fixture = *state;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		CLEANUP_READER struct byoh_reader *reader = open_slices(fixture, NULL, NULL, NULL);
		size_t at;

		assert_int_equal(expect(reader), 0);
		resize(fixture->folder, wrong[i].name, wrong[i].size);
		assert_int_equal(read_through(fixture, reader, &at), -EBADMSG);
		assert_int_equal(last_error.kind, BYOH_ERROR_FORMAT);
		assert_non_null(strstr(last_error.message, wrong[i].name));
		write_file(fixture->folder, "x.bundle.002", fixture->bytes + SLICE, SLICE);
	}
}

/* A copy that is still going on: what was opened keeps the length that it had. */
static void a_slice_that_grows_while_it_is_read_changes_nothing(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_READER struct byoh_reader *reader = open_slices(fixture, NULL, NULL, NULL);
	unsigned char byte;
	size_t at;

	assert_int_equal(expect(reader), 0);
	assert_int_equal(byoh_reader_read(reader, &byte, 1, 0, &last_error), 0);
	resize(fixture->folder, "x.bundle.001", SLICE + 4096);
	assert_int_equal(read_through(fixture, reader, &at), 0);
}

static void a_slice_that_shrinks_while_it_is_read_is_noticed(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_READER struct byoh_reader *reader = open_slices(fixture, NULL, NULL, NULL);
	unsigned char byte;
	size_t at;

	assert_int_equal(byoh_reader_read(reader, &byte, 1, 0, &last_error), 0);
	resize(fixture->folder, "x.bundle.001", 40000);
	assert_int_equal(read_through(fixture, reader, &at), -ENODATA);
	assert_non_null(strstr(last_error.message, "x.bundle.001"));
}

static void what_was_kept_stands_in_for_what_is_away(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_FD int fd = memfd_create("kept", MFD_CLOEXEC);
	const struct byoh_slices_kept kept = { fd, 2 * SLICE - 4096, 4096, SLICE };
	CLEANUP_READER struct byoh_reader *reader = NULL;
	unsigned char bytes[10000];

	assert_int_equal(byoh_pwrite_all(fd, fixture->bytes + 4096, (size_t)kept.size, 0, NULL), 0);
	move(fixture->folder, "x.bundle.001", fixture->other, "one");
	move(fixture->folder, "x.bundle.002", fixture->other, "two");
	reader = open_slices(fixture, &kept, NULL, NULL);
	assert_int_equal(reader->start, 4096);
	assert_int_equal(expect(reader), 0);
	/* Out of what was kept into the third slice. */
	assert_int_equal(byoh_reader_read(reader, bytes, 10000, 2 * SLICE - 5000, &last_error), 0);
	assert_memory_equal(bytes, fixture->bytes + 2 * SLICE - 5000, 10000);
	/* In front of it nothing is kept. */
	assert_int_equal(byoh_reader_read(reader, bytes, 10, 0, &last_error), -ENOMEDIUM);
	assert_non_null(strstr(last_error.message, "x.bundle.001"));
}

static void names_of_slices_are_told_from_others(void **state)
{
	static const char *const others[] = { "x.bundle", "x.bundle.01", "x.bundle.0001", "x.bundle.000",
					      "x.bundle.00a", ".001", "a.001/b", "a/.001", "" };
	size_t length;

	(void)state;
	assert_true(byoh_slice_is_name("/a.b/x.run.999", &length));
	assert_int_equal(length, strlen("/a.b/x.run"));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(byoh_slice_is_name(others[i], NULL));
}

static void a_folder_of_two_bundles_is_not_guessed_at(void **state)
{
	const struct fixture *fixture = *state;
	CLEANUP_FREE char *name = NULL;

	write_file(fixture->folder, "holiday.zip.001", "x", 1);
	assert_int_equal(byoh_slices_find(fixture->folder, &name, &last_error), 0);
	assert_string_equal(name, "x.bundle");
	write_file(fixture->folder, "y.run.002", "x", 1);
	free(TAKE_PTR(name));
	assert_int_equal(byoh_slices_find(fixture->folder, &name, &last_error), -EEXIST);
	assert_int_equal(byoh_slices_find(fixture->other, &name, &last_error), 0);
	assert_null(name);
}

/*
 * Streams
 */

struct source {
	const unsigned char *bytes;
	uint64_t size, next; /* nothing in front of next is given again */
	size_t reads;
};

static int give(void *context, void *ret, size_t size, uint64_t offset, uint64_t *ret_whole, struct byoh_error *err)
{
	struct source *source = context;

	assert_true(offset >= source->next);
	if (offset + size > source->size)
		return byoh_fail(err, BYOH_ERROR_FORMAT, ENODATA, "it ends");
	memcpy(ret, source->bytes + offset, size);
	source->next = offset + size;
	source->reads++;
	*ret_whole = source->size;
	return 0;
}

static struct byoh_reader *open_stream(struct source *source)
{
	const struct byoh_stream_source from = { .read = give, .context = source };
	struct byoh_reader *reader = NULL;

	assert_int_equal(byoh_stream_open(&from, &reader, &last_error), 0);
	return reader;
}

static void check_read(const struct fixture *fixture, struct byoh_reader *reader, uint64_t offset, size_t size)
{
	CLEANUP_FREE unsigned char *bytes = malloc(size);

	assert_int_equal(byoh_reader_read(reader, bytes, size, offset, &last_error), 0);
	assert_memory_equal(bytes, fixture->bytes + offset, size);
}

/* What opening a .run does: the magic, headers, a note somewhere, then the bundle behind; at last the executable. */
static void the_front_of_a_stream_is_read_once_and_stays_at_hand(void **state)
{
	const struct fixture *fixture = *state;
	struct source source = { fixture->bytes, WHOLE, 0, 0 };
	CLEANUP_READER struct byoh_reader *reader = open_stream(&source);

	assert_true(reader->in_order);
	check_read(fixture, reader, 0, 4);
	assert_int_equal(reader->size, WHOLE);
	check_read(fixture, reader, 0, 64);
	check_read(fixture, reader, 5000, 100);
	check_read(fixture, reader, 64, 500);
	assert_int_equal(reader->ops->settle(reader, 40960, &last_error), 0);
	assert_int_equal(source.next, 40960);
	check_read(fixture, reader, 40960, 4608);
	check_read(fixture, reader, 45568, 100000);
	check_read(fixture, reader, 0, 40960);
	check_read(fixture, reader, 200000, 300000); /* over what nobody wants */
}

static void a_stream_does_not_go_back(void **state)
{
	const struct fixture *fixture = *state;
	struct source source = { fixture->bytes, WHOLE, 0, 0 };
	CLEANUP_READER struct byoh_reader *reader = open_stream(&source);
	unsigned char byte;

	check_read(fixture, reader, 0, 4);
	assert_int_equal(reader->ops->settle(reader, 0, &last_error), 0);
	check_read(fixture, reader, 0, 4608); /* the first four are at hand */
	check_read(fixture, reader, 4608, 1000);
	assert_int_equal(byoh_reader_read(reader, &byte, 1, 5000, &last_error), -ESPIPE);
}

static void a_stream_s_front_has_a_limit(void **state)
{
	const struct fixture *fixture = *state;
	struct source source = { fixture->bytes, UINT64_MAX / 2, 0, 0 };
	CLEANUP_READER struct byoh_reader *reader = open_stream(&source);
	unsigned char byte;

	assert_int_equal(byoh_reader_read(reader, &byte, 1, BYOH_STREAM_FRONT_MAX, &last_error), -EBADMSG);
	assert_int_equal(byoh_reader_read(reader, &byte, 1, UINT64_MAX - 1, &last_error), -EBADMSG);
	assert_int_equal(reader->ops->settle(reader, BYOH_STREAM_FRONT_MAX + 1, &last_error), -EBADMSG);
	assert_int_equal(source.reads, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(slices_of_odd_sizes_are_the_whole),
		TEST(slices_may_lie_in_several_folders),
		TEST(a_missing_slice_is_named),
		TEST(the_missing_one_is_asked_for_until_it_is_there),
		TEST(who_asks_in_vain_ends_like_who_does_not_ask),
		TEST(another_length_is_named_before_a_byte_is_used),
		TEST(a_slice_that_grows_while_it_is_read_changes_nothing),
		TEST(a_slice_that_shrinks_while_it_is_read_is_noticed),
		TEST(what_was_kept_stands_in_for_what_is_away),
		TEST(names_of_slices_are_told_from_others),
		TEST(a_folder_of_two_bundles_is_not_guessed_at),
		TEST(the_front_of_a_stream_is_read_once_and_stays_at_hand),
		TEST(a_stream_does_not_go_back),
		TEST(a_stream_s_front_has_a_limit),
	};

	return cmocka_run_group_tests_name("reader", tests, NULL, NULL);
}
