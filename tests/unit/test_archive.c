/* SPDX-License-Identifier: Apache-2.0 */
/* Upstream archives: what comes out, and what is refused. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "bundle/archive.h"
#include "bundle/base/cleanup.h"
#include "tests/unit/archive-fixture.h"

static int set_up(void **state)
{
	char *folder = fixture_folder();

	assert_int_equal(mkdir(fixture_path(folder, "scratch"), 0700), 0);
	*state = folder;
	return 0;
}

static int tear_down(void **state)
{
	fixture_remove(*state);
	return 0;
}

static int read_it(const char *folder, const char *name,
		   bool (*wanted)(void *context, const char *path), void *context,
		   struct byoh_archive **ret, struct byoh_error *err)
{
	CLEANUP_SCRATCH struct byoh_scratch scratch = BYOH_SCRATCH_INIT;
	CLEANUP_FD int fd = open(fixture_path(folder, name), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(byoh_scratch_open(fixture_path(folder, "scratch"), &scratch, err), 0);
	return byoh_archive_read(fd, name, wanted, context, &scratch, ret, err);
}

static void assert_content(const struct byoh_archive *archive, const char *path,
			   const char *content)
{
	const struct byoh_archive_entry *entry = byoh_archive_find(archive, path);
	CLEANUP_FREE char *bytes = NULL;

	if (!entry || !entry->source) {
		fail_msg("%s did not come out", path);
		return;
	}
	bytes = fixture_read(entry->source, NULL);
	assert_string_equal(bytes, content);
	assert_int_equal(entry->size, strlen(content));
}

static bool equals(void *context, const char *path)
{
	return strcmp(path, context) == 0;
}

static const struct fixture_member usual[] = {
	{ "./", FIXTURE_DIRECTORY, 0755, NULL },
	{ "./bin/", FIXTURE_DIRECTORY, 0755, NULL },
	{ "./bin/tool", FIXTURE_FILE, 0755, "the tool" },
	{ "./empty", FIXTURE_FILE, 0644, "" },
	{ "./link", FIXTURE_SYMLINK, 0777, "bin/tool" },
};

static void check_usual(const char *folder, const char *name)
{
	CLEANUP_ARCHIVE struct byoh_archive *archive = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP_FD int fd = open(fixture_path(folder, name), O_RDONLY | O_CLOEXEC);

	assert_true(byoh_archive_recognize(fd));
	if (read_it(folder, name, NULL, NULL, &archive, &err) < 0)
		fail_msg("%s: %s", name, err.message);
	assert_content(archive, "bin/tool", "the tool");
	assert_content(archive, "empty", "");
	assert_int_equal(byoh_archive_find(archive, "bin/tool")->mode, 0755);
	assert_int_equal(byoh_archive_find(archive, "link")->type, BYOH_FILE_SYMLINK);
	assert_string_equal(byoh_archive_find(archive, "link")->target, "bin/tool");
	assert_null(byoh_archive_find(archive, "./bin/tool"));
	assert_null(byoh_archive_find(archive, ""));
}

static void test_formats(void **state)
{
	static const char *const formats[] = { "tar", "tar.gz", "tar.xz", "tar.zst", "zip" };

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		fixture_archive(*state, formats[i], formats[i], usual, ARRAY_SIZE(usual));
		check_usual(*state, formats[i]);
	}
	fixture_package(*state, "x.deb", usual, ARRAY_SIZE(usual));
	check_usual(*state, "x.deb");
}

static void test_only_wanted(void **state)
{
	CLEANUP_ARCHIVE struct byoh_archive *archive = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	fixture_archive(*state, "a", "tar.gz", usual, ARRAY_SIZE(usual));
	assert_int_equal(
		read_it(*state, "a", equals, (void *)(uintptr_t) "bin/tool", &archive, &err), 0);
	assert_content(archive, "bin/tool", "the tool");
	assert_non_null(byoh_archive_find(archive, "empty"));
	assert_null(byoh_archive_find(archive, "empty")->source);
}

static void test_no_archive(void **state)
{
	static const char *const contents[] = { "", "#!/bin/sh\n",
						"\x7f"
						"ELF and so on",
						"!<arch>\nlibfoo.o/ " };

	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		CLEANUP_FD int fd = -1;

		fixture_text(*state, "plain", contents[i]);
		fd = open(fixture_path(*state, "plain"), O_RDONLY | O_CLOEXEC);
		assert_false(byoh_archive_recognize(fd));
	}
}

static void test_refused_names(void **state)
{
	static const char *const names[] = { "/etc/passwd", "../x", "a/../../x",
					     "a/./b",	    "a//b", "a\nb" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_ARCHIVE struct byoh_archive *archive = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;
		struct fixture_member member = { names[i], FIXTURE_FILE, 0644, "x" };

		fixture_archive(*state, "a", "tar", &member, 1);
		/* Refused even where nobody wants the file: the archive as a whole is suspect. */
		if (read_it(*state, "a", equals, (void *)(uintptr_t) "other", &archive, &err) == 0)
			fail_msg("accepted: %s", names[i]);
		assert_int_equal(err.kind, BYOH_ERROR_CONFIG);
	}
}

static void test_kinds(void **state)
{
	static const struct fixture_member members[] = {
		{ "pipe", FIXTURE_FIFO, 0644, NULL },
		{ "su", FIXTURE_FILE, 04755, "su" },
	};
	CLEANUP_ARCHIVE struct byoh_archive *archive = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	fixture_archive(*state, "a", "tar", members, ARRAY_SIZE(members));
	assert_int_equal(read_it(*state, "a", NULL, NULL, &archive, &err), 0);
	assert_true(byoh_archive_find(archive, "pipe")->other);
	assert_null(byoh_archive_find(archive, "pipe")->source);
	assert_int_equal(byoh_archive_find(archive, "su")->mode, 04755);
}

static void test_hardlinks(void **state)
{
	static const struct fixture_member members[] = {
		{ "first", FIXTURE_FILE, 0755, "same bytes" },
		{ "second", FIXTURE_HARDLINK, 0755, "first" },
		{ "third", FIXTURE_HARDLINK, 0755, "./second" },
	};
	static const struct fixture_member lost = { "link", FIXTURE_HARDLINK, 0755, "nowhere" };
	static const struct fixture_member circle[] = {
		{ "a", FIXTURE_HARDLINK, 0755, "b" },
		{ "b", FIXTURE_HARDLINK, 0755, "a" },
	};
	CLEANUP_ARCHIVE struct byoh_archive *all = NULL;
	CLEANUP_ARCHIVE struct byoh_archive *last = NULL;
	CLEANUP_ARCHIVE struct byoh_archive *none = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	fixture_archive(*state, "a", "tar.gz", members, ARRAY_SIZE(members));
	assert_int_equal(read_it(*state, "a", NULL, NULL, &all, &err), 0);
	assert_content(all, "first", "same bytes");
	assert_content(all, "second", "same bytes");
	/* Only the last link is wanted: its bytes stand in front of it. */
	assert_int_equal(read_it(*state, "a", equals, (void *)(uintptr_t) "third", &last, &err), 0);
	assert_content(last, "third", "same bytes");
	assert_int_equal(byoh_archive_find(last, "third")->mode, 0755);
	assert_null(byoh_archive_find(last, "second")->source);

	fixture_archive(*state, "a", "tar", &lost, 1);
	assert_true(read_it(*state, "a", NULL, NULL, &none, &err) < 0);
	assert_non_null(strstr(err.message, "nowhere"));
	fixture_archive(*state, "a", "tar", circle, ARRAY_SIZE(circle));
	assert_true(read_it(*state, "a", NULL, NULL, &none, &err) < 0);
}

static void test_cut(void **state)
{
	CLEANUP_FREE char *bytes = NULL;
	size_t size;

	fixture_archive(*state, "whole", "tar.gz", usual, ARRAY_SIZE(usual));
	bytes = fixture_read(fixture_path(*state, "whole"), &size);
	for (size_t cut = 3; cut < size; cut += 7) {
		CLEANUP_ARCHIVE struct byoh_archive *archive = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;

		fixture_write(*state, "cut", bytes, cut);
		/* The end of a tar is zeros that nobody has to read: what came out is right. */
		if (read_it(*state, "cut", NULL, NULL, &archive, &err) == 0)
			assert_content(archive, "bin/tool", "the tool");
		else
			assert_true(err.kind == BYOH_ERROR_CONFIG);
	}
}

/* 1.1 GiB of zeros in some ten thousand bytes, which nobody even wants. */
static void test_bomb(void **state)
{
	CLEANUP_ARCHIVE struct byoh_archive *archive = NULL;
	CLEANUP_FREE char *zeros = calloc(1, 1 << 20);
	struct byoh_error err = BYOH_ERROR_INIT;
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	archive_write_set_format_pax_restricted(a);
	archive_write_add_filter_zstd(a);
	assert_int_equal(archive_write_open_filename(a, fixture_path(*state, "bomb")), ARCHIVE_OK);
	archive_entry_set_pathname(entry, "zeros");
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_size(entry, (la_int64_t)1100 << 20);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	for (int i = 0; i < 1100; i++)
		assert_int_equal(archive_write_data(a, zeros, 1 << 20), 1 << 20);
	archive_entry_set_pathname(entry, "small");
	archive_entry_set_size(entry, 0);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	archive_entry_free(entry);
	archive_write_close(a);
	archive_write_free(a);
	assert_true(read_it(*state, "bomb", equals, (void *)(uintptr_t) "small", &archive, &err) <
		    0);
	assert_non_null(strstr(err.message, "thousandfold"));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_formats),	  TEST(test_only_wanted), TEST(test_no_archive),
		TEST(test_refused_names), TEST(test_kinds),	  TEST(test_hardlinks),
		TEST(test_cut),		  TEST(test_bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
