/* SPDX-License-Identifier: Apache-2.0 */
/* Plans that give back, made from a ledger and a folder that stands for the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/restore.h"
#include "installer/transaction.h"
#include "tests/unit/root-fixture.h"

static struct world {
	struct test_root root;
	struct byoh_host host;
	struct byoh_ledger *ledger;
	struct byoh_plan *plan;
	char notes[4096];
} w;

static void note(void *context, const char *message)
{
	(void)context;
	snprintf(w.notes + strlen(w.notes), sizeof(w.notes) - strlen(w.notes), "%s\n", message);
}

static int set_up(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	test_root_make(&w.root);
	w.host.root = w.root.path;
	w.host.root_fd = w.root.fd;
	w.ledger = calloc(1, sizeof(*w.ledger));
	w.plan = calloc(1, sizeof(*w.plan));
	assert_true(w.ledger && w.plan);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	byoh_plan_free(w.plan);
	byoh_ledger_free(w.ledger);
	test_root_remove(&w.root);
	return 0;
}

static struct byoh_origin *remember(enum byoh_action_kind kind, const char *subject, bool existed,
				    const char *step)
{
	struct byoh_before before = { .kind = kind, .existed = existed, .number = w.ledger->count };
	struct byoh_origin *origin;

	assert_int_equal(byoh_before_set(&before.subject, subject, NULL), 0);
	if (kind == BYOH_ACTION_DIRECTORY && !existed)
		assert_int_equal(byoh_before_set(&before.made, subject, NULL), 0);
	assert_int_equal(byoh_ledger_add(w.ledger, &before, 1, step, NULL), 0);
	origin = byoh_ledger_find(w.ledger, kind, subject);
	assert_non_null(origin);
	return origin;
}

/* A file of ours; before: what stood there, NULL for nothing. */
static void wrote(const char *path, const char *before, const char *step)
{
	struct byoh_origin *origin = remember(BYOH_ACTION_FILE, path, before != NULL, step);
	char image[96];

	test_root_put(&w.root, path, "ours", 0644);
	origin->was_written = true;
	assert_int_equal(byoh_digest_of("ours", 4, &origin->written, NULL), 0);
	byoh_origin_image(origin, image);
	if (before)
		test_root_put(&w.root, image, before, 0600);
}

static void set_before_value(enum byoh_action_kind kind, const char *subject, const char *value)
{
	struct byoh_origin *origin = remember(kind, subject, true, "sysctl");

	assert_int_equal(byoh_before_set(&origin->before.value, value, NULL), 0);
}

static struct byoh_restore_input input_of(bool keep_data)
{
	return (struct byoh_restore_input){ .host = &w.host, .ledger = w.ledger, .keep_data = keep_data,
					    .note = note };
}

static void give_all_back(bool keep_data)
{
	struct byoh_restore_input input = input_of(keep_data);
	struct byoh_error err = BYOH_ERROR_INIT;

	byoh_plan_free(TAKE_PTR(w.plan));
	if (byoh_restore_all(&input, &w.plan, &err) < 0)
		fail_msg("no plan: %s", err.message);
}

static const struct byoh_action *find(enum byoh_action_kind kind, const char *subject, size_t *ret_place)
{
	size_t place = 0;

	for (size_t i = 0; i < w.plan->step_count; i++)
		for (size_t j = 0; j < w.plan->steps[i].action_count; j++, place++) {
			const struct byoh_action *action = &w.plan->steps[i].actions[j];

			if (action->kind == kind && strcmp(action->subject, subject) == 0) {
				if (ret_place)
					*ret_place = place;
				return action;
			}
		}
	return NULL;
}

static const struct byoh_action *get(enum byoh_action_kind kind, const char *subject)
{
	const struct byoh_action *action = find(kind, subject, NULL);

	if (!action)
		fail_msg("the plan does nothing of that kind to %s", subject);
	return action;
}

static size_t place_of(enum byoh_action_kind kind, const char *subject)
{
	size_t place = 0;

	(void)get(kind, subject);
	(void)find(kind, subject, &place);
	return place;
}

static size_t count(enum byoh_action_kind kind)
{
	size_t found = 0;

	for (size_t i = 0; i < w.plan->step_count; i++)
		for (size_t j = 0; j < w.plan->steps[i].action_count; j++)
			found += w.plan->steps[i].actions[j].kind == kind;
	return found;
}

#define UNITS "/usr/local/lib/systemd/system/"

static void what_stood_there_is_put_back_and_what_is_new_goes(void **state)
{
	char image[96];

	(void)state;
	wrote("/etc/old", "theirs", "containerd");
	wrote("/etc/new", NULL, "containerd");
	give_all_back(false);
	byoh_origin_image(byoh_ledger_find(w.ledger, BYOH_ACTION_FILE, "/etc/old"), image);
	assert_string_equal(get(BYOH_ACTION_RESTORE, "/etc/old")->value, image);
	assert_true(get(BYOH_ACTION_RESTORE, "/etc/old")->gives_back);
	assert_true(get(BYOH_ACTION_REMOVE, "/etc/new")->gives_back);
	assert_null(find(BYOH_ACTION_REMOVE, "/etc/old", NULL));
	assert_string_equal(w.notes, "");
}

static void what_somebody_changed_stays(void **state)
{
	(void)state;
	wrote("/etc/old", "theirs", "containerd");
	wrote("/etc/new", NULL, "containerd");
	test_root_put(&w.root, "/etc/old", "mine", 0644);
	test_root_put(&w.root, "/etc/new", "mine", 0644);
	give_all_back(false);
	assert_null(find(BYOH_ACTION_RESTORE, "/etc/old", NULL));
	assert_null(find(BYOH_ACTION_REMOVE, "/etc/new", NULL));
	(void)get(BYOH_ACTION_RESTORE, "/etc/old.byoh-before");
	assert_non_null(strstr(w.notes, "/etc/old stays"));
	assert_non_null(strstr(w.notes, "/etc/new stays"));
}

static void a_lost_before_image_is_said(void **state)
{
	char image[96];

	(void)state;
	wrote("/etc/old", "theirs", "containerd");
	byoh_origin_image(byoh_ledger_find(w.ledger, BYOH_ACTION_FILE, "/etc/old"), image);
	assert_int_equal(byoh_remove_file(w.root.fd, image, NULL), 0);
	give_all_back(false);
	assert_null(find(BYOH_ACTION_RESTORE, "/etc/old", NULL));
	assert_non_null(strstr(w.notes, "its before-image"));
}

/* Files before the folders that they lie in, folders below before those above, the running kernel last. */
static void the_order_is_backwards(void **state)
{
	(void)state;
	remember(BYOH_ACTION_DIRECTORY, "/opt/a", false, "release-files");
	remember(BYOH_ACTION_DIRECTORY, "/opt/a/b", false, "release-files");
	wrote("/opt/a/b/first", NULL, "release-files");
	wrote("/opt/a/b/second", NULL, "release-files");
	set_before_value(BYOH_ACTION_SYSCTL, "vm.x", "17");
	give_all_back(false);
	assert_true(place_of(BYOH_ACTION_REMOVE, "/opt/a/b/second") <
		    place_of(BYOH_ACTION_REMOVE, "/opt/a/b/first"));
	assert_true(place_of(BYOH_ACTION_REMOVE, "/opt/a/b/first") <
		    place_of(BYOH_ACTION_REMOVE_DIRECTORY, "/opt/a/b"));
	assert_true(place_of(BYOH_ACTION_REMOVE_DIRECTORY, "/opt/a/b") <
		    place_of(BYOH_ACTION_REMOVE_DIRECTORY, "/opt/a"));
	assert_true(place_of(BYOH_ACTION_REMOVE_DIRECTORY, "/opt/a") <
		    place_of(BYOH_ACTION_SYSCTL, "vm.x"));
	assert_string_equal(get(BYOH_ACTION_SYSCTL, "vm.x")->value, "17");
	assert_true(get(BYOH_ACTION_SYSCTL, "vm.x")->optional);
}

/* Whoever starts others is stopped before them, and all before their folders go. */
static void services_stop_before_anything_goes(void **state)
{
	(void)state;
	wrote(UNITS "containerd.service", NULL, "units");
	wrote(UNITS "byoh-hostagent.service", NULL, "units");
	wrote(UNITS "kubelet.service", NULL, "units");
	remember(BYOH_ACTION_DATA, "/var/lib/kubelet", false, "data");
	give_all_back(false);
	assert_true(place_of(BYOH_ACTION_UNIT, "byoh-hostagent.service") <
		    place_of(BYOH_ACTION_UNIT, "kubelet.service"));
	assert_true(place_of(BYOH_ACTION_UNIT, "kubelet.service") <
		    place_of(BYOH_ACTION_UNIT, "containerd.service"));
	assert_true(place_of(BYOH_ACTION_UNIT, "containerd.service") <
		    place_of(BYOH_ACTION_UNMOUNT, "/var/lib/kubelet/"));
	assert_true(place_of(BYOH_ACTION_UNMOUNT, "/var/lib/kubelet/") <
		    place_of(BYOH_ACTION_REMOVE_DATA, "/var/lib/kubelet"));
	assert_true(count(BYOH_ACTION_KILL) > 0);
}

static void data_stays_where_it_was_before_or_is_to_stay(void **state)
{
	(void)state;
	remember(BYOH_ACTION_DATA, "/var/lib/kubelet", false, "data");
	remember(BYOH_ACTION_DATA, "/var/lib/cni", true, "data");
	give_all_back(false);
	(void)get(BYOH_ACTION_REMOVE_DATA, "/var/lib/kubelet");
	assert_null(find(BYOH_ACTION_REMOVE_DATA, "/var/lib/cni", NULL));
	give_all_back(true);
	assert_int_equal(count(BYOH_ACTION_REMOVE_DATA), 0);
}

/* The tool and its unit mend an interrupted run, also one that gives back. */
static void what_mends_goes_when_all_else_is_done(void **state)
{
	(void)state;
	wrote("/usr/local/sbin/byoh-install", NULL, "tool");
	wrote(UNITS "byoh-settle.service", NULL, "units");
	remember(BYOH_ACTION_DIRECTORY, "/opt/x", false, "release-files");
	assert_int_equal(byoh_make_directories(w.root.fd, "/opt/x", 0755, NULL), 0);
	give_all_back(false);
	assert_null(find(BYOH_ACTION_REMOVE, "/usr/local/sbin/byoh-install", NULL));
	assert_null(find(BYOH_ACTION_REMOVE, UNITS "byoh-settle.service", NULL));
	for (int i = 0; i < 2; i++) { /* a run that was cut off does it again */
		assert_int_equal(byoh_restore_last(&w.host, w.ledger, NULL), 0);
		assert_false(byoh_exists_beneath(w.root.fd, "/usr/local/sbin/byoh-install"));
		assert_false(byoh_exists_beneath(w.root.fd, UNITS "byoh-settle.service"));
		assert_false(byoh_exists_beneath(w.root.fd, "/opt/x"));
	}
}

/*
 * What a newer release leaves out
 */

static void plan_file(const char *path)
{
	struct byoh_step step = { .name = "release-files" };

	assert_int_equal(byoh_step_file(&step, path, 0644, "newer", 5, NULL, NULL), 0);
	assert_int_equal(byoh_plan_add(w.plan, &step, NULL), 0);
}

static void only_what_is_not_named_any_more_is_given_back(void **state)
{
	struct byoh_restore_input input = input_of(false);

	(void)state;
	wrote("/opt/both", NULL, "release-files");
	wrote("/opt/only", NULL, "release-files");
	wrote("/etc/fstab", "theirs", "swap"); /* its plan depends on what it found */
	wrote(UNITS "old.service", NULL, "units");
	remember(BYOH_ACTION_MODULE, "overlay", false, "modules");
	plan_file("/opt/both");
	assert_int_equal(byoh_restore_rest(&input, w.plan, NULL), 0);
	(void)get(BYOH_ACTION_REMOVE, "/opt/only");
	assert_null(find(BYOH_ACTION_REMOVE, "/opt/both", NULL));
	assert_null(find(BYOH_ACTION_RESTORE, "/etc/fstab", NULL));
	assert_string_equal(get(BYOH_ACTION_MODULE, "overlay")->value, "unloaded");
	assert_string_equal(get(BYOH_ACTION_UNIT, "old.service")->value, "stopped");
	assert_true(place_of(BYOH_ACTION_UNIT, "old.service") <
		    place_of(BYOH_ACTION_REMOVE, UNITS "old.service"));
	assert_true(place_of(BYOH_ACTION_REMOVE, "/opt/only") < place_of(BYOH_ACTION_FILE, "/opt/both"));
}

static void nothing_left_over_is_no_step(void **state)
{
	struct byoh_restore_input input = input_of(false);

	(void)state;
	wrote("/opt/both", NULL, "release-files");
	plan_file("/opt/both");
	assert_int_equal(byoh_restore_rest(&input, w.plan, NULL), 0);
	assert_int_equal(w.plan->step_count, 1);
}

static void check_plan(void)
{
	const struct byoh_plan_input input = { .host = &w.host, .ledger = w.ledger };
	size_t changes;

	assert_int_equal(byoh_plan_check(w.plan, &input, &changes, NULL), 0);
}

static void a_changed_file_is_saved_before_it_is_replaced(void **state)
{
	struct byoh_restore_input input = input_of(false);

	(void)state;
	wrote("/etc/a", NULL, "release-files");
	wrote("/etc/b", NULL, "release-files");
	plan_file("/etc/a");
	plan_file("/etc/b");
	test_root_put(&w.root, "/etc/a", "mine", 0644);
	check_plan();
	assert_int_equal(byoh_restore_save_changed(&input, w.plan, NULL), 0);
	assert_string_equal(get(BYOH_ACTION_SAVE, "/etc/a.byoh-saved")->value, "/etc/a");
	assert_int_equal(count(BYOH_ACTION_SAVE), 1);
	assert_non_null(strstr(w.notes, "/etc/a.byoh-saved"));
}

/* The same bytes once; others under a name of their own. */
static void saved_files_are_not_saved_over(void **state)
{
	struct byoh_restore_input input = input_of(false);

	(void)state;
	wrote("/etc/a", NULL, "release-files");
	plan_file("/etc/a");
	test_root_put(&w.root, "/etc/a", "mine", 0644);
	test_root_put(&w.root, "/etc/a.byoh-saved", "mine of last week", 0644);
	check_plan();
	assert_int_equal(byoh_restore_save_changed(&input, w.plan, NULL), 0);
	(void)get(BYOH_ACTION_SAVE, "/etc/a.byoh-saved.1");
	byoh_plan_free(w.plan);
	w.plan = calloc(1, sizeof(*w.plan));
	plan_file("/etc/a");
	test_root_put(&w.root, "/etc/a.byoh-saved.1", "mine", 0644);
	check_plan();
	assert_int_equal(byoh_restore_save_changed(&input, w.plan, NULL), 0);
	assert_int_equal(count(BYOH_ACTION_SAVE), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_stood_there_is_put_back_and_what_is_new_goes),
		TEST(what_somebody_changed_stays),
		TEST(a_lost_before_image_is_said),
		TEST(the_order_is_backwards),
		TEST(services_stop_before_anything_goes),
		TEST(data_stays_where_it_was_before_or_is_to_stay),
		TEST(what_mends_goes_when_all_else_is_done),
		TEST(only_what_is_not_named_any_more_is_given_back),
		TEST(nothing_left_over_is_no_step),
		TEST(a_changed_file_is_saved_before_it_is_replaced),
		TEST(saved_files_are_not_saved_over),
	};

	return cmocka_run_group_tests_name("restore plans", tests, NULL, NULL);
}
