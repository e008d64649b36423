/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger: what is kept of many changes to one subject, what is read back, what tells a changed file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/ledger.h"
#include "tests/unit/root-fixture.h"

static struct byoh_ledger *new_ledger(void)
{
	struct byoh_ledger *ledger = calloc(1, sizeof(*ledger));

	assert_non_null(ledger);
	return ledger;
}

static void set(char **field, const char *value)
{
	assert_int_equal(byoh_before_set(field, value, NULL), 0);
}

/* made: the topmost missing folder, or NULL */
static void add(struct byoh_ledger *ledger, enum byoh_action_kind kind, const char *subject, bool existed,
		const char *made, uint64_t journal, const char *step)
{
	struct byoh_before before = { .kind = kind, .existed = existed, .number = journal * 100 };

	set(&before.subject, subject);
	if (made)
		set(&before.made, made);
	assert_int_equal(byoh_ledger_add(ledger, &before, journal, step, NULL), 0);
	assert_null(before.subject);
}

static const struct byoh_origin *get(const struct byoh_ledger *ledger, enum byoh_action_kind kind,
				     const char *subject)
{
	const struct byoh_origin *origin = byoh_ledger_find(ledger, kind, subject);

	if (!origin)
		fail_msg("the ledger does not know %s", subject);
	return origin;
}

static void the_first_change_is_what_was_there_before(void **state)
{
	CLEANUP_LEDGER struct byoh_ledger *ledger = new_ledger();

	(void)state;
	add(ledger, BYOH_ACTION_FILE, "/etc/crictl.yaml", true, NULL, 1, "crictl");
	add(ledger, BYOH_ACTION_FILE, "/etc/crictl.yaml", true, NULL, 2, "release-files");
	assert_int_equal(ledger->count, 1);
	assert_int_equal(get(ledger, BYOH_ACTION_FILE, "/etc/crictl.yaml")->journal, 1);
	assert_int_equal(get(ledger, BYOH_ACTION_FILE, "/etc/crictl.yaml")->before.number, 100);
	/* but whose it is now decides what an upgrade gives back */
	assert_string_equal(get(ledger, BYOH_ACTION_FILE, "/etc/crictl.yaml")->step, "release-files");
}

static void what_stands_at_a_path_is_one_thing(void **state)
{
	CLEANUP_LEDGER struct byoh_ledger *ledger = new_ledger();
	const struct byoh_origin *file;

	(void)state;
	add(ledger, BYOH_ACTION_FILE, "/etc/x", true, NULL, 1, "a");
	file = get(ledger, BYOH_ACTION_FILE, "/etc/x");
	assert_ptr_equal(byoh_ledger_find(ledger, BYOH_ACTION_LINK, "/etc/x"), file);
	assert_ptr_equal(byoh_ledger_find(ledger, BYOH_ACTION_REMOVE, "/etc/x"), file);
	assert_ptr_equal(byoh_ledger_find(ledger, BYOH_ACTION_RESTORE, "/etc/x"), file);
	assert_null(byoh_ledger_find(ledger, BYOH_ACTION_DIRECTORY, "/etc/x"));
	assert_null(byoh_ledger_find(ledger, BYOH_ACTION_SYSCTL, "/etc/x"));
	assert_null(byoh_ledger_find(ledger, BYOH_ACTION_FILE, "/etc/xy"));
	assert_null(byoh_ledger_find(NULL, BYOH_ACTION_FILE, "/etc/x"));
	add(ledger, BYOH_ACTION_DATA, "/var/lib/cni", false, NULL, 1, "data");
	assert_non_null(byoh_ledger_find(ledger, BYOH_ACTION_REMOVE_DATA, "/var/lib/cni"));
	assert_null(byoh_ledger_find(ledger, BYOH_ACTION_DIRECTORY, "/var/lib/cni"));
}

static void folders_that_were_made_are_each_remembered(void **state)
{
	static const char *const made[] = { "/opt/cni", "/opt/cni/bin" };
	CLEANUP_LEDGER struct byoh_ledger *ledger = new_ledger();

	(void)state;
	add(ledger, BYOH_ACTION_FILE, "/opt/cni/bin/bridge", false, "/opt/cni", 1, "release-files");
	add(ledger, BYOH_ACTION_FILE, "/opt/cni/bin/portmap", false, NULL, 1, "release-files");
	assert_int_equal(ledger->count, 4);
	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		assert_string_equal(ledger->origins[i].before.subject, made[i]);
		assert_int_equal(ledger->origins[i].before.kind, BYOH_ACTION_DIRECTORY);
		assert_false(ledger->origins[i].before.existed);
	}
	assert_null(byoh_ledger_find(ledger, BYOH_ACTION_DIRECTORY, "/opt"));
	assert_null(byoh_ledger_find(ledger, BYOH_ACTION_DIRECTORY, "/opt/cni/bin/bridge"));
	/* a directory stands for itself, and only once */
	add(ledger, BYOH_ACTION_DIRECTORY, "/etc/cni/net.d", false, "/etc/cni", 1, "directories");
	add(ledger, BYOH_ACTION_DIRECTORY, "/etc/cni/net.d", true, NULL, 2, "directories");
	assert_int_equal(ledger->count, 6);
	assert_false(get(ledger, BYOH_ACTION_DIRECTORY, "/etc/cni/net.d")->before.existed);
	add(ledger, BYOH_ACTION_DIRECTORY, "/etc/byoh", true, NULL, 2, "own");
	assert_true(get(ledger, BYOH_ACTION_DIRECTORY, "/etc/byoh")->before.existed);
}

static void what_is_given_back_is_dropped(void **state)
{
	CLEANUP_LEDGER struct byoh_ledger *ledger = new_ledger();

	(void)state;
	add(ledger, BYOH_ACTION_FILE, "/etc/a", true, NULL, 1, "a");
	add(ledger, BYOH_ACTION_SYSCTL, "vm.x", true, NULL, 1, "b");
	add(ledger, BYOH_ACTION_FILE, "/etc/c", true, NULL, 1, "c");
	byoh_ledger_drop(ledger, BYOH_ACTION_FILE, "/etc/nobody");
	byoh_ledger_drop(ledger, BYOH_ACTION_FILE, "vm.x");
	assert_int_equal(ledger->count, 3);
	byoh_ledger_drop(ledger, BYOH_ACTION_SYSCTL, "vm.x");
	byoh_ledger_drop(ledger, BYOH_ACTION_RESTORE, "/etc/c");
	assert_int_equal(ledger->count, 1);
	assert_string_equal(ledger->origins[0].before.subject, "/etc/a");
	byoh_ledger_drop(ledger, BYOH_ACTION_FILE, "/etc/a");
	assert_int_equal(ledger->count, 0);
}

/*
 * On disk
 */

static struct byoh_ledger *make_rich(void)
{
	struct byoh_ledger *ledger = new_ledger();
	struct byoh_before before = { .kind = BYOH_ACTION_LINK, .existed = true, .number = 7, .mode = 0777,
				      .uid = 1, .gid = UINT32_MAX, .priority = UINT64_MAX };
	struct byoh_origin *file;

	set(&before.subject, "/etc/\"odd\" n\xc3\xa4me\\");
	set(&before.type, "link");
	set(&before.value, "../else\twhere");
	assert_int_equal(byoh_ledger_add(ledger, &before, UINT64_MAX, "containerd", NULL), 0);
	add(ledger, BYOH_ACTION_FILE, "/opt/a/b", false, "/opt/a", 3, "release-files");
	file = byoh_ledger_find(ledger, BYOH_ACTION_FILE, "/opt/a/b");
	file->was_written = true;
	assert_int_equal(byoh_digest_of("b", 1, &file->written, NULL), 0);
	file->stamp = (struct byoh_stamp){ 1, UINT64_MAX, 3, 999999999 };
	return ledger;
}

static void it_is_read_as_it_was_written(void **state)
{
	CLEANUP_LEDGER struct byoh_ledger *ledger = make_rich(), *read = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, again = { 0 };
	const struct byoh_origin *origin;

	(void)state;
	assert_int_equal(byoh_ledger_write(ledger, &text, NULL), 0);
	assert_int_equal(byoh_ledger_parse(text.data, text.size, &read, NULL), 0);
	assert_int_equal(read->count, 3);
	origin = get(read, BYOH_ACTION_LINK, "/etc/\"odd\" n\xc3\xa4me\\");
	assert_string_equal(origin->before.value, "../else\twhere");
	assert_int_equal(origin->before.gid, UINT32_MAX);
	assert_true(origin->before.priority == UINT64_MAX && origin->journal == UINT64_MAX);
	assert_false(origin->was_written);
	origin = get(read, BYOH_ACTION_FILE, "/opt/a/b");
	assert_true(origin->was_written && byoh_stamp_equal(&origin->stamp, &ledger->origins[2].stamp));
	assert_true(byoh_digest_equal(&origin->written, &ledger->origins[2].written));
	assert_int_equal(byoh_ledger_write(read, &again, NULL), 0);
	assert_string_equal(byoh_buffer_text(&text), byoh_buffer_text(&again));
}

/* It got its name when it was whole, so that a part of it is no ledger, and no byte of it may be another. */
static void damage_is_refused(void **state)
{
	CLEANUP_LEDGER struct byoh_ledger *ledger = make_rich();
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_ledger *read = NULL;

	(void)state;
	assert_int_equal(byoh_ledger_write(ledger, &text, NULL), 0);
	for (size_t i = 0; i < text.size; i++) {
		struct byoh_error err = BYOH_ERROR_INIT;

		text.data[i] ^= 0x20;
		assert_int_equal(byoh_ledger_parse(text.data, text.size, &read, &err), -EBADMSG);
		assert_null(read);
		assert_non_null(strstr(err.message, BYOH_LEDGER_PATH));
		text.data[i] ^= 0x20;
	}
	for (size_t size = 0; size < text.size; size++) {
		bool between = size && text.data[size - 1] == '\n';
		int r = byoh_ledger_parse(text.data, size, &read, NULL);

		/* Between two records nothing tells, but a rename after a sync leaves no such file. */
		assert_int_equal(r, between ? 0 : -EBADMSG);
		byoh_ledger_free(TAKE_PTR(read));
	}
}

static void none_is_empty(void **state)
{
	const struct test_root *root = *state;
	const struct byoh_host host = { .root_fd = root->fd };
	CLEANUP_LEDGER struct byoh_ledger *ledger = NULL;

	assert_int_equal(byoh_ledger_read(&host, &ledger, NULL), 0);
	assert_int_equal(ledger->count, 0);
}

/*
 * Files that somebody changed
 */

static struct byoh_origin origin_of(const struct test_root *root, const char *path, const char *written)
{
	struct byoh_origin origin = { .before = { .subject = (char *)path }, .was_written = written != NULL };

	if (written)
		assert_int_equal(byoh_digest_of(written, strlen(written), &origin.written, NULL), 0);
	origin.stamp = byoh_stamp_of(root->fd, path);
	return origin;
}

static int is_changed(const struct test_root *root, const struct byoh_origin *origin)
{
	const struct byoh_host host = { .root_fd = root->fd };

	return byoh_origin_is_changed(&host, origin, NULL);
}

static void a_changed_file_is_told_from_ours(void **state)
{
	const struct test_root *root = *state;
	struct byoh_origin file;

	test_root_put(root, "/etc/ours", "ours", 0644);
	file = origin_of(root, "/etc/ours", "ours");
	assert_true(file.stamp.inode && file.stamp.size == 4);
	assert_int_equal(is_changed(root, &file), 0);
	/* other times, the same bytes */
	test_root_put(root, "/etc/ours", "ours", 0600);
	assert_int_equal(is_changed(root, &file), 0);
	test_root_put(root, "/etc/ours", "mine", 0644);
	assert_int_equal(is_changed(root, &file), 1);
	test_root_put_link(root, "/etc/ours", "elsewhere");
	assert_int_equal(is_changed(root, &file), 1);
	file = origin_of(root, "/etc/ours", "elsewhere");
	assert_int_equal(is_changed(root, &file), 0);
	assert_int_equal(byoh_remove_file(root->fd, "/etc/ours", NULL), 0);
	assert_int_equal(is_changed(root, &file), 0);
	assert_int_equal(byoh_make_directories(root->fd, "/etc/ours", 0755, NULL), 0);
	assert_int_equal(is_changed(root, &file), 1);
}

static void what_we_removed_and_is_there_again_is_somebodys(void **state)
{
	const struct test_root *root = *state;
	struct byoh_origin file = origin_of(root, "/etc/gone", NULL);

	assert_int_equal(is_changed(root, &file), 0);
	test_root_put(root, "/etc/gone", "", 0644);
	assert_int_equal(is_changed(root, &file), 1);
}

static void a_stamp_that_is_unknown_equals_none(void **state)
{
	const struct byoh_stamp unknown = { 0 }, known = { 1, 2, 3, 4 }, later = { 1, 2, 3, 5 };

	(void)state;
	assert_false(byoh_stamp_equal(&unknown, &unknown));
	assert_true(byoh_stamp_equal(&known, &known));
	assert_false(byoh_stamp_equal(&known, &later));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_change_is_what_was_there_before),
		cmocka_unit_test(what_stands_at_a_path_is_one_thing),
		cmocka_unit_test(folders_that_were_made_are_each_remembered),
		cmocka_unit_test(what_is_given_back_is_dropped),
		cmocka_unit_test(it_is_read_as_it_was_written),
		cmocka_unit_test(damage_is_refused),
		cmocka_unit_test_setup_teardown(none_is_empty, test_root_set_up, test_root_tear_down),
		cmocka_unit_test_setup_teardown(a_changed_file_is_told_from_ours, test_root_set_up,
						test_root_tear_down),
		cmocka_unit_test_setup_teardown(what_we_removed_and_is_there_again_is_somebodys,
						test_root_set_up, test_root_tear_down),
		cmocka_unit_test(a_stamp_that_is_unknown_equals_none),
	};

	return cmocka_run_group_tests_name("ledger", tests, NULL, NULL);
}
