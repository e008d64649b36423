/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/yaml.h"
#include "installer/plan.h"

static int release_step(void **state)
{
	byoh_step_release(*state);
	free(*state);
	return 0;
}

static int make_step(void **state)
{
	*state = calloc(1, sizeof(struct byoh_step));
	((struct byoh_step *)*state)->name = "demo";
	return *state ? 0 : -1;
}

static void test_bad_paths_are_refused(void **state)
{
	static const char *const bad[] = { "", "etc", "/", "/etc/../x", "/etc//x", "/etc/./x", "/etc/",
					   "/a\nb" };
	struct byoh_step *step = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(byoh_step_directory(step, bad[i], 0755, false, NULL), -EINVAL);
		assert_int_equal(byoh_step_file(step, bad[i], 0644, "", 0, NULL, NULL), -EINVAL);
		assert_int_equal(byoh_step_link(step, bad[i], "target", NULL), -EINVAL);
		assert_int_equal(byoh_step_remove(step, bad[i], NULL), -EINVAL);
	}
	assert_int_equal(step->action_count, 0);
}

static void test_files_of_a_bundle_become_actions_of_their_type(void **state)
{
	const struct byoh_file files[] = {
		{ .path = "usr", .target = "", .type = BYOH_FILE_DIRECTORY, .mode = 0755 },
		{ .path = "usr/tool", .target = "", .type = BYOH_FILE_REGULAR, .mode = 0755, .size = 9 },
		{ .path = "usr/link", .target = "tool", .type = BYOH_FILE_SYMLINK },
	};
	struct byoh_step *step = *state;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		assert_int_equal(byoh_step_bundle_file(step, &files[i], NULL, NULL), 0);
	assert_int_equal(step->action_count, 3);
	assert_int_equal(step->actions[0].kind, BYOH_ACTION_DIRECTORY);
	assert_int_equal(step->actions[1].kind, BYOH_ACTION_FILE);
	assert_ptr_equal(step->actions[1].file, &files[1]);
	assert_int_equal(step->actions[1].size, 9);
	assert_string_equal(step->actions[1].subject, "/usr/tool");
	assert_int_equal(step->actions[2].kind, BYOH_ACTION_LINK);
	assert_string_equal(step->actions[2].value, "tool");
}

static void test_blobs_of_images_are_no_files_of_the_host(void **state)
{
	const struct byoh_file blob = { .path = BYOH_IMAGE_BLOB_DIR "/00", .target = "",
					.type = BYOH_FILE_REGULAR };
	const struct byoh_file neighbour = { .path = "var/lib/byoh/images-of-mine", .target = "",
					     .type = BYOH_FILE_REGULAR };
	struct byoh_step *step = *state;
	struct byoh_action *action = NULL;

	assert_int_equal(byoh_step_bundle_file(step, &blob, &action, NULL), 0);
	assert_null(action);
	assert_int_equal(byoh_step_bundle_file(step, &neighbour, &action, NULL), 0);
	assert_non_null(action);
	assert_int_equal(step->action_count, 1);
}

static void test_enabling_is_a_link(void **state)
{
	struct byoh_step *step = *state;

	assert_int_equal(byoh_step_enable(step, "kubelet.service", "/usr/local/lib/systemd/system",
					  "multi-user.target", NULL), 0);
	assert_int_equal(step->actions[0].kind, BYOH_ACTION_LINK);
	assert_string_equal(step->actions[0].subject,
			    "/etc/systemd/system/multi-user.target.wants/kubelet.service");
	assert_string_equal(step->actions[0].value, "/usr/local/lib/systemd/system/kubelet.service");
}

static void test_units_keep_their_list(void **state)
{
	static const char *const list[] = { "/etc/a", "/etc/b", NULL };
	struct byoh_step *step = *state;

	assert_int_equal(byoh_step_unit(step, "a.service", true, list, NULL), 0);
	assert_int_equal(byoh_step_unit(step, "b.service", false, NULL, NULL), 0);
	assert_string_equal(step->actions[0].value, "started");
	assert_string_equal(step->actions[0].restart_on[1], "/etc/b");
	assert_null(step->actions[0].restart_on[2]);
	assert_string_equal(step->actions[1].value, "stopped");
	assert_null(step->actions[1].restart_on);
}

static void test_json_has_digests_and_no_secrets(void **state)
{
	struct byoh_step *step = *state;
	struct byoh_plan plan = { .step_count = 1, .steps = step };
	char name[] = "worker", version[] = "1.34.1-1";
	const struct byoh_manifest manifest = { .name = name, .version = version };
	const struct byoh_digest id = { .bytes = { 0xab } };
	const struct byoh_plan_input input = { .manifest = &manifest, .release_id = &id };
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	struct byoh_action *action;

	assert_int_equal(byoh_step_sentence(step, NULL, "Write %d \"files\"", 2), 0);
	assert_int_equal(byoh_step_file(step, "/etc/secret", 0600, "hush-hush", 9, &action, NULL), 0);
	action->secret = true;
	action->state = BYOH_STATE_DIFFERENT;
	assert_int_equal(byoh_step_other(step, BYOH_ACTION_SYSCTL, "vm.x", "secret-value", &action, NULL), 0);
	action->secret = true;
	assert_int_equal(byoh_step_other(step, BYOH_ACTION_SYSCTL, "vm.y", "1", NULL, NULL), 0);
	assert_int_equal(byoh_plan_json(&plan, &input, &text, NULL), 0);
	assert_int_equal(byoh_yaml_parse(byoh_buffer_text(&text), text.size, "plan", BYOH_ERROR_CONFIG, &doc,
					 NULL), 0);
	assert_null(strstr(byoh_buffer_text(&text), "hush"));
	assert_null(strstr(byoh_buffer_text(&text), "secret-value"));
	assert_non_null(strstr(byoh_buffer_text(&text), "\"value\": \"1\""));
	assert_non_null(strstr(byoh_buffer_text(&text), "\"state\": \"different\""));
	assert_non_null(strstr(byoh_buffer_text(&text), "\"mode\": \"0600\""));
	assert_non_null(strstr(byoh_buffer_text(&text), "\"sha256\": \"fbdc0774"));
	assert_non_null(strstr(byoh_buffer_text(&text), "\"id\": \"ab000000"));
	assert_non_null(strstr(byoh_buffer_text(&text), "Write 2 \\\"files\\\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_step, release_step)
		TEST(test_bad_paths_are_refused),
		TEST(test_files_of_a_bundle_become_actions_of_their_type),
		TEST(test_blobs_of_images_are_no_files_of_the_host),
		TEST(test_enabling_is_a_link),
		TEST(test_units_keep_their_list),
		TEST(test_json_has_digests_and_no_secrets),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
