/* SPDX-License-Identifier: Apache-2.0 */
/* How a plan is compared with a host: what a stamp spares, and what a thorough look finds all the same. */
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
#include "installer/ledger.h"
#include "installer/transaction.h"
#include "tests/unit/root-fixture.h"

#define FILES 200

static void add_file(struct byoh_plan *plan, const char *path, const char *text)
{
	struct byoh_step step = { .name = "files" };

	assert_int_equal(byoh_step_file(&step, path, 0644, text, strlen(text), NULL, NULL), 0);
	assert_int_equal(byoh_plan_add(plan, &step, NULL), 0);
}

/* A ledger that says of a file that "ours" was written, and that nobody has been at it since. */
static struct byoh_ledger *trusting_ledger(const struct test_root *root, const char *path)
{
	struct byoh_ledger *ledger = calloc(1, sizeof(*ledger));
	struct byoh_before before = { .kind = BYOH_ACTION_FILE };

	assert_non_null(ledger);
	assert_int_equal(byoh_before_set(&before.subject, path, NULL), 0);
	assert_int_equal(byoh_ledger_add(ledger, &before, 1, "files", NULL), 0);
	ledger->origins[0].was_written = true;
	assert_int_equal(byoh_digest_of("ours", 4, &ledger->origins[0].written, NULL), 0);
	ledger->origins[0].stamp = byoh_stamp_of(root->fd, path);
	return ledger;
}

/* As a disk does that loses bits: size and times are what they were. */
static void damage_below_the_file_system_is_found_by_a_thorough_look(void **state)
{
	const struct test_root *root = *state;
	const struct byoh_host host = { .root_fd = root->fd };
	CLEANUP_PLAN struct byoh_plan *plan = calloc(1, sizeof(*plan));
	CLEANUP_LEDGER struct byoh_ledger *ledger = NULL;
	struct byoh_plan_input input = { .host = &host };
	size_t changes;

	test_root_put(root, "/etc/a", "0urs", 0644);
	add_file(plan, "/etc/a", "ours");
	ledger = trusting_ledger(root, "/etc/a");
	input.ledger = ledger;
	assert_int_equal(byoh_plan_check(plan, &input, &changes, NULL), 0);
	assert_int_equal(changes, 0);
	input.thorough = true;
	assert_int_equal(byoh_plan_check(plan, &input, &changes, NULL), 0);
	assert_int_equal(changes, 1);
	assert_int_equal(plan->steps[0].actions[0].state, BYOH_STATE_DIFFERENT);
}

struct heard {
	uint64_t done, total;
	size_t calls;
	atomic_bool cancel;
	size_t cancel_at;
};

static void hear(void *context, uint64_t done, uint64_t total)
{
	struct heard *heard = context;

	assert_true(done >= heard->done && done <= total);
	heard->done = done;
	heard->total = total;
	if (++heard->calls == heard->cancel_at)
		atomic_store(&heard->cancel, true);
}

static void make_many(const struct test_root *root, struct byoh_plan *plan)
{
	for (int i = 0; i < FILES; i++) {
		char path[64], text[64];

		snprintf(path, sizeof(path), "/opt/%d", i);
		snprintf(text, sizeof(text), "%d", i);
		test_root_put(root, path, i % 10 ? text : "other", 0644);
		add_file(plan, path, text);
	}
	assert_int_equal(byoh_step_remove(&plan->steps[3], "/opt/1", NULL), 0);
}

/* By several threads: each file once, the rest as ever. */
static void every_file_is_judged_by_itself(void **state)
{
	const struct test_root *root = *state;
	const struct byoh_host host = { .root_fd = root->fd };
	CLEANUP_PLAN struct byoh_plan *plan = calloc(1, sizeof(*plan));
	struct heard heard = { 0 };
	struct byoh_progress progress = { hear, &heard, &heard.cancel };
	struct byoh_plan_input input = { .host = &host, .thorough = true, .progress = &progress };
	size_t changes;

	make_many(root, plan);
	assert_int_equal(byoh_plan_check(plan, &input, &changes, NULL), 0);
	assert_int_equal(changes, FILES / 10 + 1);
	for (size_t i = 0; i < FILES; i++)
		assert_int_equal(plan->steps[i].actions[0].state,
				 i % 10 ? BYOH_STATE_SAME : BYOH_STATE_DIFFERENT);
	assert_int_equal(plan->steps[3].actions[1].state, BYOH_STATE_DIFFERENT);
	assert_int_equal(heard.calls, FILES);
	assert_true(heard.done == heard.total && heard.total == byoh_plan_bytes(plan));
}

static void an_interrupt_ends_it(void **state)
{
	const struct test_root *root = *state;
	const struct byoh_host host = { .root_fd = root->fd };
	CLEANUP_PLAN struct byoh_plan *plan = calloc(1, sizeof(*plan));
	struct heard heard = { .cancel_at = 3 };
	struct byoh_progress progress = { hear, &heard, &heard.cancel };
	struct byoh_plan_input input = { .host = &host, .thorough = true, .progress = &progress };
	struct byoh_error err = BYOH_ERROR_INIT;
	size_t changes;

	make_many(root, plan);
	assert_int_equal(byoh_plan_check(plan, &input, &changes, &err), -EINTR);
	assert_int_equal(err.kind, BYOH_ERROR_INTERRUPTED);
	assert_true(heard.calls < FILES);
}

static void a_folder_that_is_a_link_is_refused(void **state)
{
	const struct test_root *root = *state;
	const struct byoh_host host = { .root_fd = root->fd };
	CLEANUP_PLAN struct byoh_plan *plan = calloc(1, sizeof(*plan));
	struct byoh_plan_input input = { .host = &host };
	size_t changes;

	test_root_put_link(root, "/opt", "elsewhere");
	add_file(plan, "/opt/a", "a");
	for (int i = 0; i < 2; i++) {
		struct byoh_error err = BYOH_ERROR_INIT;

		input.thorough = i;
		assert_true(byoh_plan_check(plan, &input, &changes, &err) < 0);
		assert_int_equal(err.kind, BYOH_ERROR_PREFLIGHT);
		assert_non_null(strstr(err.message, "/opt/a"));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, test_root_set_up, test_root_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(damage_below_the_file_system_is_found_by_a_thorough_look),
		TEST(every_file_is_judged_by_itself),
		TEST(an_interrupt_ends_it),
		TEST(a_folder_that_is_a_link_is_refused),
	};

	return cmocka_run_group_tests_name("plan check", tests, NULL, NULL);
}
