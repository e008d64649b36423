/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these first */
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/journal.h"
#include "tests/unit/tree-snapshot.h"

struct fixture {
	char root[64];
	struct byoh_host host;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	snprintf(fixture->root, sizeof(fixture->root), "/tmp/byoh-journal-XXXXXX");
	assert_non_null(mkdtemp(fixture->root));
	fixture->host.root = fixture->root;
	fixture->host.root_fd = open(fixture->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	close(fixture->host.root_fd);
	tree_remove(fixture->root);
	free(fixture);
	return 0;
}

static void add_record(struct byoh_journal *journal, const char *type, uint64_t number)
{
	CLEANUP_RECORD struct byoh_record record = { 0 };

	byoh_record_begin(&record, type);
	byoh_record_u64(&record, "action", number);
	byoh_record_string(&record, "subject", "/etc/a \"b\"\t\xc3\xa4");
	assert_int_equal(byoh_journal_add(journal, &record, NULL), 0);
}

/* A journal of three records; its bytes into ret. */
static void write_three(struct fixture *fixture, struct byoh_buffer *ret)
{
	CLEANUP_JOURNAL struct byoh_journal *journal = NULL;

	assert_int_equal(byoh_journal_create(&fixture->host, &journal, NULL), 0);
	assert_int_equal(byoh_journal_number(journal), 1);
	add_record(journal, "begin", 1);
	add_record(journal, "before", 2);
	add_record(journal, "commit", 3);
	assert_int_equal(byoh_journal_sync(journal, NULL), 0);
	assert_int_equal(byoh_read_file(fixture->host.root_fd, BYOH_JOURNAL_FOLDER "/00000001.log",
					BYOH_JOURNAL_MAX_SIZE, ret, NULL), 0);
}

static void test_records_are_read_as_written(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };
	CLEANUP_JOURNAL_TEXT struct byoh_journal_text *text = NULL;
	const char *subject = NULL;
	uint64_t number = 0;

	write_three(fixture, &bytes);
	assert_int_equal(byoh_journal_read(&fixture->host, 1, &text, NULL), 0);
	assert_int_equal(text->count, 3);
	assert_false(text->torn);
	assert_string_equal(byoh_record_type(text->records[1]), "before");
	assert_int_equal(byoh_yaml_read_u64(text->records[1], byoh_yaml_root(text->records[1]), "action",
					    true, &number, NULL), 0);
	assert_int_equal(number, 2);
	assert_int_equal(byoh_yaml_read_string(text->records[1], byoh_yaml_root(text->records[1]),
					       "subject", true, &subject, NULL), 0);
	assert_string_equal(subject, "/etc/a \"b\"\t\xc3\xa4");
	assert_true(byoh_journal_is_committed(text));
}

/* Its sync failed, and it was undone: who is cut off in that undo must go on with it. */
static void test_a_commit_that_was_taken_back_is_none(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };
	CLEANUP_JOURNAL_TEXT struct byoh_journal_text *text = NULL;
	CLEANUP_JOURNAL struct byoh_journal *journal = NULL;

	assert_int_equal(byoh_journal_create(&fixture->host, &journal, NULL), 0);
	add_record(journal, "begin", 1);
	add_record(journal, "commit", 2);
	add_record(journal, "rollback", 3);
	assert_int_equal(byoh_journal_read(&fixture->host, byoh_journal_number(journal), &text, NULL), 0);
	assert_false(byoh_journal_is_committed(text));
}

static size_t count_lines(const char *bytes, size_t size)
{
	size_t lines = 0;

	for (size_t i = 0; i < size; i++)
		lines += bytes[i] == '\n';
	return lines;
}

/* A power cut can end the file anywhere: what is whole is read, the rest left out. */
static void test_every_cut_is_survived(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };

	write_three(fixture, &bytes);
	for (size_t size = 0; size <= bytes.size; size++) {
		CLEANUP_JOURNAL_TEXT struct byoh_journal_text *text = NULL;
		size_t lines = count_lines(bytes.data, size);
		bool whole = size && bytes.data[size - 1] == '\n';

		assert_int_equal(byoh_journal_parse(bytes.data, size, "cut", &text, NULL), 0);
		assert_int_equal(text->count, lines ? lines - 1 : 0);
		assert_int_equal(text->torn, !whole);
		assert_int_equal(byoh_journal_is_committed(text), size == bytes.size);
	}
}

static void test_zeros_at_the_end_are_a_torn_record(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };
	CLEANUP_JOURNAL_TEXT struct byoh_journal_text *text = NULL;

	write_three(fixture, &bytes);
	assert_int_equal(byoh_buffer_add_zeros(&bytes, 4096, NULL), 0);
	assert_int_equal(byoh_journal_parse(bytes.data, bytes.size, "zeros", &text, NULL), 0);
	assert_int_equal(text->count, 3);
	assert_true(text->torn);
}

/* Every byte of a record that whole ones follow. */
static void test_damage_in_the_middle_is_refused(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };
	const char *start, *end;

	write_three(fixture, &bytes);
	start = strchr(bytes.data, '\n') + 1;
	end = strchr(start, '\n');
	for (size_t i = (size_t)(start - bytes.data); i < (size_t)(end - bytes.data); i++) {
		struct byoh_error err = BYOH_ERROR_INIT;
		struct byoh_journal_text *text = NULL;

		bytes.data[i] ^= 0x20;
		assert_int_equal(byoh_journal_parse(bytes.data, bytes.size, "damaged", &text, &err),
				 -EBADMSG);
		assert_null(text);
		assert_non_null(strstr(err.message, "record 1 is damaged"));
		bytes.data[i] ^= 0x20;
	}
}

static void test_other_versions_are_refused(void **state)
{
	static const char newer[] = "byoh-journal 2\n", none[] = "something else\n";
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_journal_text *text = NULL;

	(void)state;
	assert_int_equal(byoh_journal_parse(newer, strlen(newer), "newer", &text, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "newer release"));
	assert_int_equal(byoh_journal_parse(none, strlen(none), "none", &text, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "no byoh-journal"));
}

static void test_numbers_rise_and_strangers_do_not_count(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };
	CLEANUP_JOURNAL struct byoh_journal *journal = NULL;
	uint64_t newest = 7;

	assert_int_equal(byoh_journal_newest(&fixture->host, &newest, NULL), 0);
	assert_int_equal(newest, 0);
	write_three(fixture, &bytes);
	assert_int_equal(byoh_write_file(fixture->host.root_fd, BYOH_JOURNAL_FOLDER "/99.log", "", 0, 0600,
					 NULL), 0);
	assert_int_equal(byoh_journal_create(&fixture->host, &journal, NULL), 0);
	assert_int_equal(byoh_journal_number(journal), 2);
	assert_int_equal(byoh_journal_remove(&fixture->host, 2, NULL), 0);
	assert_int_equal(byoh_journal_newest(&fixture->host, &newest, NULL), 0);
	assert_int_equal(newest, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_records_are_read_as_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_commit_that_was_taken_back_is_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_every_cut_is_survived, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_zeros_at_the_end_are_a_torn_record, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damage_in_the_middle_is_refused, set_up, tear_down),
		cmocka_unit_test(test_other_versions_are_refused),
		cmocka_unit_test_setup_teardown(test_numbers_rise_and_strangers_do_not_count, set_up,
						tear_down),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
