/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of TOML, and what is refused by its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/toml.h"

#define DOT BYOH_TOML_DOT

static struct byoh_toml *read_text(const char *text)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_toml *toml = NULL;

	if (byoh_toml_read(text, strlen(text), &toml, &err))
		fail_msg("%s in:\n%s", err.message, text);
	return toml;
}

static void check_value(const struct byoh_toml *toml, const char *path, const char *value)
{
	const struct byoh_toml_item *item = byoh_toml_find(toml, path);

	assert_non_null(item);
	assert_int_equal(item->value_end - item->value, strlen(value));
	assert_memory_equal(toml->text + item->value, value, strlen(value));
}

static void test_values_are_found_where_they_stand(void **state)
{
	static const char text[] =
		"# top\n"
		"version = 2 # two\n"
		"a.'b.c' . \"d\" = \"x # y\"\r\n"
		"long = \"\"\"one\n\"two\" \\\"\"\" ]\n three\"\"\"\"\n"
		"raw = '''\n[no]\nk = 1\n'''\n"
		"when = 1979-05-27 07:32:00  \n"
		"list = [ # first\n  \"a\", [1, 2], { x = 'y]' },\n  # last\n]\n"
		"[ plugins . \"io.x.v1.y\" ]   # a table\n"
		"  on=true\n"
		"[[many]]\n"
		"z = {}\n"
		"[empty]";
	CLEANUP_TOML struct byoh_toml *toml = read_text(text);

	(void)state;
	check_value(toml, "version", "2");
	check_value(toml, "a" DOT "b.c" DOT "d", "\"x # y\"");
	check_value(toml, "long", "\"\"\"one\n\"two\" \\\"\"\" ]\n three\"\"\"\"");
	check_value(toml, "raw", "'''\n[no]\nk = 1\n'''");
	check_value(toml, "when", "1979-05-27 07:32:00");
	check_value(toml, "list", "[ # first\n  \"a\", [1, 2], { x = 'y]' },\n  # last\n]");
	check_value(toml, "plugins" DOT "io.x.v1.y" DOT "on", "true");
	check_value(toml, "many" DOT "z", "{}");
	assert_null(byoh_toml_find(toml, "plugins"));
	assert_int_equal(byoh_toml_find(toml, "version")->line, 2);
	assert_int_equal(byoh_toml_find(toml, "raw")->line, 7);
	assert_int_equal(byoh_toml_find(toml, "many" DOT "z")->line, 19);
	assert_int_equal(toml->count, 11);
	assert_int_equal(toml->items[toml->count - 1].kind, BYOH_TOML_TABLE);
	assert_int_equal(toml->items[toml->count - 1].end, strlen(text));
}

static void test_nothing_is_a_text_too(void **state)
{
	CLEANUP_TOML struct byoh_toml *none = read_text(""), *comment = read_text("# only this");

	(void)state;
	assert_int_equal(none->count, 0);
	assert_int_equal(comment->count, 0);
}

static void test_what_is_not_understood_is_named(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{ "a = 1\nb\n", "line 2: a key without a value" },
		{ "a = \n", "line 1: a value is missing" },
		{ "= 1\n", "line 1: a key was expected" },
		{ "\"\" = 1\n", "line 1: a key was expected" },
		{ "\"a\\u0062\" = 1\n", "line 1: a key with an escape" },
		{ "a = \"x\n", "line 1: a string has no end" },
		{ "a = 1\nb = '''x\n\n", "line 2: a string has no end" },
		{ "a = [1, 2\nb = 3\n", "line 1: the array that begins here" },
		{ "a = [\"x\" \"y\"]\n", "line 1: the array that begins here" },
		{ "a = {x = 1\n}\n", "line 1: an inline table" },
		{ "a = 1 2 = 3\n", "line 1: something that is not understood" },
		{ "a = \"x\" y\n", "line 1: something that is not understood" },
		{ "[a\n", "line 1: the name of a table" },
		{ "[[a]\n", "line 1: the name of a table" },
		{ "[]\n", "line 1: a key was expected" },
		{ "\x7f" "ELF\n", "line 1: a key was expected" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct byoh_error err = BYOH_ERROR_INIT;
		struct byoh_toml *toml = NULL;

		if (!byoh_toml_read(rows[i].text, strlen(rows[i].text), &toml, &err))
			fail_msg("read: %s", rows[i].text);
		assert_null(toml);
		assert_int_equal(err.kind, BYOH_ERROR_PREFLIGHT);
		if (strncmp(err.message, rows[i].message, strlen(rows[i].message)))
			fail_msg("\"%s\" instead of \"%s\"", err.message, rows[i].message);
	}
}

static void test_depth_has_an_end(void **state)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_toml *toml = NULL;
	char text[4096];

	(void)state;
	memset(text, '[', sizeof(text));
	memcpy(text, "a = ", 4);
	assert_true(byoh_toml_read(text, sizeof(text), &toml, &err) < 0);
	assert_non_null(strstr(err.message, "too deep"));
	assert_true(byoh_toml_read("a\0b", 3, &toml, &err) < 0);
	assert_non_null(strstr(err.message, "no text"));
}

static void test_lists_of_strings(void **state)
{
	CLEANUP_TOML struct byoh_toml *toml = read_text("a = [ 'x', # one\n \"\" ,]\nb = []\nc = [1]\n"
							"d = 'x'\ne = [\"\\n\"]\nf = ['''x''']\n");
	CLEANUP_TOML_STRINGS struct byoh_toml_strings strings = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_toml_list(toml, byoh_toml_find(toml, "a"), &strings, &err), 0);
	assert_int_equal(strings.count, 2);
	assert_string_equal(strings.items[0].text, "x");
	assert_string_equal(strings.items[1].text, "");
	assert_int_equal(toml->text[strings.items[0].start], '\'');
	assert_int_equal(toml->text[strings.items[1].comma], ',');
	byoh_toml_strings_release(&strings);
	assert_int_equal(byoh_toml_list(toml, byoh_toml_find(toml, "b"), &strings, &err), 0);
	assert_int_equal(strings.count, 0);
	for (const char *key = "cdef"; *key; key++) {
		const char path[] = { *key, 0 };

		assert_true(byoh_toml_list(toml, byoh_toml_find(toml, path), &strings, &err) < 0);
		byoh_toml_strings_release(&strings);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values_are_found_where_they_stand),
		cmocka_unit_test(test_nothing_is_a_text_too),
		cmocka_unit_test(test_what_is_not_understood_is_named),
		cmocka_unit_test(test_depth_has_an_end),
		cmocka_unit_test(test_lists_of_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
