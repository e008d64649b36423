/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a run: where it comes to lie, what it says of actions, and how many are kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/path.h"
#include "installer/log.h"
#include "tests/unit/root-fixture.h"

static void make_folder(const struct test_root *root)
{
	assert_int_equal(byoh_make_directories(root->fd, BYOH_LOG_FOLDER, 0700, NULL), 0);
}

/* The path, which has to be there, and the text. */
static const char *end(const struct test_root *root, bool failed, struct byoh_buffer *ret)
{
	int errnum = -1;
	const char *path = byoh_log_end(root->fd, false, failed, &errnum);
	struct stat st;

	assert_int_equal(errnum, 0);
	assert_non_null(path);
	assert_int_equal(byoh_stat_beneath(root->fd, path, &st, NULL), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(byoh_read_file(root->fd, path, 1 << 20, ret, NULL), 0);
	return path;
}

static void end_without_one(const struct test_root *root, bool failed)
{
	int errnum = -1;

	assert_null(byoh_log_end(root->fd, false, failed, &errnum));
	assert_int_equal(errnum, 0);
}

static void a_run_that_changes_nothing_keeps_none(void **state)
{
	const struct test_root *root = *state;

	make_folder(root);
	byoh_log_text("looking\n");
	end_without_one(root, false);
	assert_int_equal(unlinkat(root->fd, "var/log/byoh", AT_REMOVEDIR), 0);
}

static void actions_are_done_when_the_next_thing_is_said(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_BUFFER struct byoh_buffer text = {0};

	make_folder(root);
	byoh_log_text("before\n");
	byoh_log_begin(root->fd, "install");
	byoh_log_begin(root->fd, "install");
	byoh_log_action("file /a");
	byoh_log_action("file /b");
	byoh_log_done();
	byoh_log_text("said\nin two lines\n");
	byoh_log_action("file /c");
	end(root, false, &text);
	assert_non_null(strstr(text.data, "Z before\n"));
	assert_non_null(strstr(text.data, "Z file /a ... done\n"));
	assert_non_null(strstr(text.data, "Z file /b ... done\n"));
	assert_non_null(strstr(text.data, "Z in two lines\n"));
	assert_non_null(strstr(text.data, "Z file /c ... done\n"));
}

static void the_action_that_failed_is_not_done(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_BUFFER struct byoh_buffer text = {0};

	make_folder(root);
	byoh_log_begin(root->fd, "join");
	byoh_log_action("file /a");
	byoh_log_text("warning: no\n");
	byoh_log_action("file /b");
	byoh_log_text("failed: no\n");
	end(root, true, &text);
	assert_non_null(strstr(text.data, "Z file /a ...\n"));
	assert_non_null(strstr(text.data, "Z file /b ...\n"));
	assert_non_null(strstr(text.data, "Z failed: no\n"));
}

static void a_folder_that_the_run_made_gets_all_of_it(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_BUFFER struct byoh_buffer text = {0};

	byoh_log_begin(root->fd, "install");
	byoh_log_action("directory " BYOH_LOG_FOLDER);
	make_folder(root);
	assert_non_null(strstr(end(root, false, &text), BYOH_LOG_FOLDER "/install-"));
	assert_non_null(strstr(text.data, "install\n"));
	assert_non_null(strstr(text.data, "... done\n"));
}

static void without_a_folder_there_is_none(void **state)
{
	const struct test_root *root = *state;

	byoh_log_begin(root->fd, "install");
	end_without_one(root, true);
	make_folder(root);
	byoh_log_begin(root->fd, "uninstall");
	assert_int_equal(byoh_remove_tree(root->fd, "var", NULL), 0);
	end_without_one(root, false);
	assert_false(byoh_exists_beneath(root->fd, "var"));
}

static void a_link_in_the_way_is_not_followed(void **state)
{
	const struct test_root *root = *state;

	assert_int_equal(byoh_make_directories(root->fd, "elsewhere", 0700, NULL), 0);
	assert_int_equal(byoh_make_directories(root->fd, "var/log", 0755, NULL), 0);
	test_root_put_link(root, BYOH_LOG_FOLDER, "/elsewhere");
	byoh_log_begin(root->fd, "join");
	end_without_one(root, true);
}

static void two_of_one_second_are_two(void **state)
{
	const struct test_root *root = *state;
	char paths[3][128];

	make_folder(root);
	for (size_t i = 0; i < 3; i++) {
		CLEANUP_BUFFER struct byoh_buffer text = {0};

		byoh_log_begin(root->fd, "join");
		snprintf(paths[i], sizeof(paths[i]), "%s", end(root, false, &text));
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(paths[i], paths[k]);
	}
}

static void the_newest_are_kept_whatever_the_clock_says(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	const char *newest;
	char path[128];

	make_folder(root);
	for (int i = 10; i < 10 + BYOH_LOG_KEPT + 5; i++) {
		snprintf(path, sizeof(path), BYOH_LOG_FOLDER "/install-209901%02dT000000Z.log", i);
		test_root_put(root, path, "", 0600);
	}
	test_root_put(root, BYOH_LOG_FOLDER "/install.log", "", 0600);
	test_root_put(root, BYOH_LOG_FOLDER "/a-20000101T000000Z.log.gz", "", 0600);
	byoh_log_begin(root->fd, "join");
	newest = end(root, false, &text);
	assert_true(byoh_exists_beneath(root->fd, newest));
	assert_true(byoh_exists_beneath(root->fd, BYOH_LOG_FOLDER "/install.log"));
	assert_true(byoh_exists_beneath(root->fd, BYOH_LOG_FOLDER "/a-20000101T000000Z.log.gz"));
	for (int i = 10; i < 10 + BYOH_LOG_KEPT + 5; i++) {
		snprintf(path, sizeof(path), BYOH_LOG_FOLDER "/install-209901%02dT000000Z.log", i);
		assert_int_equal(byoh_exists_beneath(root->fd, path), i >= 16);
	}
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, test_root_set_up, test_root_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_run_that_changes_nothing_keeps_none),
		TEST(actions_are_done_when_the_next_thing_is_said),
		TEST(the_action_that_failed_is_not_done),
		TEST(a_folder_that_the_run_made_gets_all_of_it),
		TEST(without_a_folder_there_is_none),
		TEST(a_link_in_the_way_is_not_followed),
		TEST(two_of_one_second_are_two),
		TEST(the_newest_are_kept_whatever_the_clock_says),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
