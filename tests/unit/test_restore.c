/* SPDX-License-Identifier: Apache-2.0 */
/* What a ledger says is to be given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants these first */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/restore.h"
#include "tests/unit/root-fixture.h"

#define UNIT_FOLDER "/usr/local/lib/systemd/system/"

/* journal: the run that changed it first */
static void note(struct byoh_ledger *ledger, enum byoh_action_kind kind, const char *subject, bool existed,
		 uint64_t journal)
{
	struct byoh_before before = { .kind = kind, .existed = existed };

	assert_int_equal(byoh_before_set(&before.subject, subject, NULL), 0);
	assert_int_equal(byoh_ledger_add(ledger, &before, journal, "step", NULL), 0);
}

static const struct byoh_action *find(const struct byoh_plan *plan, enum byoh_action_kind kind, const char *subject,
				      const char *value)
{
	for (size_t i = 0; i < plan->step_count; i++)
		for (size_t j = 0; j < plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &plan->steps[i].actions[j];

			if (action->kind == kind && strcmp(action->subject, subject) == 0 &&
			    action->value && strcmp(action->value, value) == 0)
				return action;
		}
	return NULL;
}

/* A unit of ours may not have run when it was installed, and runs when a later release looks at it first. */
static void starts_only_what_ran_before_us(void **state)
{
	const struct test_root *root = *state;
	const struct byoh_host host = { .root = (char *)root->path, .root_fd = root->fd };
	CLEANUP_LEDGER struct byoh_ledger *ledger = calloc(1, sizeof(*ledger));
	CLEANUP_PLAN struct byoh_plan *plan = NULL;
	const struct byoh_restore_input input = { .host = &host, .ledger = ledger };

	assert_non_null(ledger);
	note(ledger, BYOH_ACTION_FILE, UNIT_FOLDER "kube-proxy.service", false, 1);
	note(ledger, BYOH_ACTION_FILE, UNIT_FOLDER "containerd.service", false, 1);
	note(ledger, BYOH_ACTION_UNIT, "containerd.service", true, 1);
	note(ledger, BYOH_ACTION_UNIT, "systemd-timesyncd.service", true, 1);
	note(ledger, BYOH_ACTION_UNIT, "kube-proxy.service", true, 2);
	assert_int_equal(byoh_restore_all(&input, &plan, NULL), 0);
	assert_non_null(find(plan, BYOH_ACTION_UNIT, "kube-proxy.service", "stopped"));
	assert_null(find(plan, BYOH_ACTION_UNIT, "kube-proxy.service", "started"));
	/* the distribution's, which ours stood before */
	assert_non_null(find(plan, BYOH_ACTION_UNIT, "containerd.service", "started"));
	assert_non_null(find(plan, BYOH_ACTION_UNIT, "systemd-timesyncd.service", "started"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(starts_only_what_ran_before_us, test_root_set_up,
						test_root_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
