/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is a service well that ran before this run and that it has restarted? A program that its machine cannot run,
 * or that dies of a flag it does not know, is up for a moment: it has to stay up for a while. A service that
 * starts for the first time may still be waiting for its cluster, and is not judged; nor is one that failed again
 * and again before, as an agent does whose cluster is away.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/actions.h"
#include "installer/run.h"

#define WATCH_SECONDS 5

struct health {
	bool active, waiting;
	unsigned long restarts;
};

static int look(const char *unit, struct health *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	const char *const argv[] = { "systemctl", "show", "--property=ActiveState,NRestarts,ConditionResult",
				     "--", unit, NULL };
	const struct byoh_run run = { .argv = argv, .output = &output, .timeout_seconds = 60 };
	int r = byoh_run_checked(&run, err);
	const char *text = byoh_buffer_text(&output), *restarts = strstr(text, "NRestarts=");

	if (r < 0)
		return r;
	ret->active = strstr(text, "ActiveState=active") || strstr(text, "ActiveState=reloading");
	ret->waiting = !ret->active && strstr(text, "ConditionResult=no");
	ret->restarts = restarts ? strtoul(restarts + strlen("NRestarts="), NULL, 10) : 0;
	return 0;
}

static int complain(const char *unit, struct byoh_error *err)
{
	int r = byoh_fail(err, BYOH_ERROR_SYSTEM, EIO, "%s does not stay up", unit);

	byoh_run_add_last_words(unit, err);
	return r;
}

/* 1: it waits for its condition. */
static int look_again(const char *unit, const struct health *first, struct byoh_error *err)
{
	struct health now = { 0 };
	int r = look(unit, &now, err);

	if (r < 0)
		return r;
	if (now.waiting)
		return 1;
	return now.active && now.restarts == first->restarts ? 0 : complain(unit, err);
}

static bool is_watched(const struct byoh_action *action)
{
	return action->kind == BYOH_ACTION_UNIT && action->was_steady && !action->optional &&
	       byoh_action_wants(action, "started") && byoh_action_is_change(action);
}

/* There is no event for "nothing happened"; one second of patience at a time, so that Ctrl-C is heard. */
static int watch(const struct byoh_action_context *context, const char *unit, struct byoh_error *err)
{
	struct health first = { 0 };
	int r = look(unit, &first, err);

	for (int i = 0; r == 0 && i < WATCH_SECONDS; i++) {
		if (context->cancel && atomic_load(context->cancel))
			return byoh_fail(err, BYOH_ERROR_INTERRUPTED, EINTR, "interrupted");
		(void)poll(NULL, 0, 1000);
		r = look_again(unit, &first, err);
	}
	return r < 0 ? r : 0;
}

int byoh_units_stay_up(const struct byoh_action_context *context, struct byoh_error *err)
{
	int r = 0;

	if (!context->host->systemd_running || context->host->booting)
		return 0;
	for (size_t i = 0; i < context->plan->step_count; i++)
		for (size_t j = 0; r == 0 && j < context->plan->steps[i].action_count; j++)
			if (is_watched(&context->plan->steps[i].actions[j]))
				r = watch(context, context->plan->steps[i].actions[j].subject, err);
	return r;
}
