/* SPDX-License-Identifier: Apache-2.0 */
/* The names in a directory: sorted, none where there is no directory, and an end where the visitor wants one. */
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

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "tests/unit/tree-snapshot.h"

struct seen {
	char text[256];
	const char *stop_at;
};

static int see(void *context, const char *name, struct byoh_error *err)
{
	struct seen *seen = context;

	(void)err;
	strcat(seen->text, name);
	strcat(seen->text, " ");
	return seen->stop_at && strcmp(seen->stop_at, name) == 0 ? 7 : 0;
}

static int open_folder(char folder[static 64])
{
	static const char *const names[] = { "b", "a", ".hidden", "c10", "c9" };
	int fd;

	strcpy(folder, "/tmp/byoh-list-XXXXXX");
	assert_non_null(mkdtemp(folder));
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(mkdirat(fd, "in", 0755), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64];

		snprintf(path, sizeof(path), "in/%s", names[i]);
		assert_int_equal(byoh_make_directories(fd, path, 0755, NULL), 0);
	}
	return fd;
}

static void test_names_come_sorted(void **state)
{
	char folder[64];
	CLEANUP_FD int fd = open_folder(folder);
	struct seen all = { .stop_at = NULL }, some = { .stop_at = "b" }, none = { .stop_at = NULL };

	(void)state;
	assert_int_equal(byoh_each_name(fd, "in", see, &all, NULL), 0);
	assert_string_equal(all.text, ".hidden a b c10 c9 ");
	assert_int_equal(byoh_each_name(fd, "/in", see, &some, NULL), 7);
	assert_string_equal(some.text, ".hidden a b ");
	assert_int_equal(byoh_each_name(fd, "missing", see, &none, NULL), 0);
	assert_string_equal(none.text, "");
	tree_remove(folder);
}

static void test_what_is_no_directory_is_an_error(void **state)
{
	char folder[64];
	CLEANUP_FD int fd = open_folder(folder);
	struct byoh_error err = BYOH_ERROR_INIT;
	struct seen none = { .stop_at = NULL };
	CLEANUP_FD int file = openat(fd, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_true(file >= 0);
	assert_int_equal(byoh_each_name(fd, "file", see, &none, &err), -ENOTDIR);
	assert_non_null(strstr(err.message, "file"));
	tree_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_come_sorted),
		cmocka_unit_test(test_what_is_no_directory_is_an_error),
	};

	return cmocka_run_group_tests_name("list", tests, NULL, NULL);
}
