/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units: started or stopped now. `systemctl start` waits for the unit's own word (Type=notify), so nothing
 * here waits for time to pass. A unit whose Condition does not hold waits for it, and counts as done.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "installer/actions/actions.h"
#include "installer/run.h"

struct unit_facts {
	bool active;
	bool waiting; /* systemd tried, and a condition held it back */
	bool steady;  /* active, and not for a moment only, between two failures */
};

#define STEADY_SECONDS 60

static bool has_line(const char *text, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = text; (at = strstr(at, line)); at += length)
		if ((at == text || at[-1] == '\n') && (at[length] == '\n' || !at[length]))
			return true;
	return false;
}

static unsigned long long property(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* An agent whose cluster is away starts, fails and is started again, all day long. */
static bool is_steady(const char *text)
{
	unsigned long long since = property(text, "ActiveEnterTimestampMonotonic=") / 1000000;
	struct timespec now;

	if (!has_line(text, "ActiveState=active"))
		return false;
	return property(text, "NRestarts=") == 0 ||
	       (clock_gettime(CLOCK_MONOTONIC, &now) == 0 &&
		(unsigned long long)now.tv_sec >= since + STEADY_SECONDS && since);
}

static int look(const char *unit, struct unit_facts *ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	const char *const argv[] = { "systemctl", "show", "--property=ActiveState,ConditionResult",
				     "--property=ConditionTimestampMonotonic",
				     "--property=NRestarts,ActiveEnterTimestampMonotonic", "--", unit,
				     NULL };
	const struct byoh_run run = { .argv = argv, .output = &output, .timeout_seconds = 60 };
	int r = byoh_run_checked(&run, err);
	const char *text = byoh_buffer_text(&output);

	if (r < 0)
		return r;
	ret->active = has_line(text, "ActiveState=active") || has_line(text, "ActiveState=reloading") ||
		      has_line(text, "ActiveState=activating");
	ret->waiting = !ret->active && has_line(text, "ConditionResult=no") &&
		       !has_line(text, "ConditionTimestampMonotonic=0");
	ret->steady = is_steady(text);
	return 0;
}

static bool is_listed(char *const *list, const char *subject)
{
	for (; list && *list; list++)
		if (strcmp(*list, subject) == 0)
			return true;
	return false;
}

static bool needs_restart(const struct byoh_action_context *context, const struct byoh_action *action)
{
	for (size_t i = 0; context->plan && i < context->plan->step_count; i++) {
		const struct byoh_step *step = &context->plan->steps[i];

		for (size_t j = 0; j < step->action_count; j++)
			if (byoh_action_is_change(&step->actions[j]) &&
			    is_listed(action->restart_on, step->actions[j].subject))
				return true;
	}
	return false;
}

static int check_unit(const struct byoh_action_context *context, struct byoh_action *action,
		      struct byoh_error *err)
{
	struct unit_facts facts = { 0 };
	int r = context->host->systemd_running ? look(action->subject, &facts, err) : 0;

	if (r < 0)
		return r;
	if (action->state == BYOH_STATE_UNKNOWN) {
		action->was_active = facts.active;
		action->was_steady = facts.steady;
	}
	action->state = BYOH_STATE_SAME;
	if (!byoh_action_wants(action, "started"))
		/* What this run is a part of ends with it. */
		action->state = facts.active && !byoh_host_is_part_of(context->host, action->subject) ?
					BYOH_STATE_DIFFERENT :
					BYOH_STATE_SAME;
	else if (needs_restart(context, action))
		action->state = BYOH_STATE_DIFFERENT;
	else if (!facts.active && !facts.waiting)
		action->state = BYOH_STATE_ABSENT;
	return 0;
}

static int keep_unit(const struct byoh_action_context *context, const struct byoh_action *action,
		     struct byoh_before *before, struct byoh_error *err)
{
	struct unit_facts facts = { 0 };
	int r = look(action->subject, &facts, err);

	(void)context;
	before->existed = facts.active;
	return r;
}

/* What the unit said, for the message: systemctl itself only points to the journal. */
void byoh_run_add_last_words(const char *unit, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	const char *const argv[] = { "journalctl", "--no-pager", "-q", "-n", "1", "-o", "cat", "-u", unit,
				     NULL };
	const struct byoh_run run = { .argv = argv, .output = &output, .timeout_seconds = 20 };

	if (byoh_run_checked(&run, NULL) == 0 && output.size)
		byoh_error_remedy(err, "its last words: %.200s", byoh_buffer_text(&output));
	byoh_error_remedy(err, "see: journalctl -u %s", unit);
}

/* A run that is itself a unit of the boot would wait for ever for a unit that is ordered behind it: there
 * the job is only queued, and the boot's own order does the rest. */
static int control(const struct byoh_action_context *context, const char *verb, const char *unit,
		   struct byoh_error *err)
{
	const char *const queue[] = { "systemctl", "--no-block", verb, "--", unit, NULL };
	const char *const wait[] = { "systemctl", verb, "--", unit, NULL };
	const struct byoh_run run = { .argv = context->host->booting ? queue : wait,
				      .cancel = context->cancel };

	return byoh_run_checked(&run, err);
}

static int apply_unit(const struct byoh_action_context *context, const struct byoh_action *action,
		      uint64_t number, struct byoh_error *err)
{
	/* restart starts a stopped unit as well, and leaves no moment between. */
	const char *verb = !byoh_action_wants(action, "started") ? "stop" :
			   action->state == BYOH_STATE_DIFFERENT ? "restart" : "start";
	int r;

	(void)number;
	r = control(context, verb, action->subject, err);
	if (r < 0) {
		byoh_run_add_last_words(action->subject, err);
		return byoh_error_wrap(err, r, "cannot %s %s", verb, action->subject);
	}
	return 0;
}

/* Stopped before its files go; what ran before is started by settle, when all files are back. */
static int revert_unit(const struct byoh_action_context *context, const struct byoh_before *before,
		       struct byoh_error *err)
{
	struct unit_facts facts = { 0 };
	int r;

	if (before->existed || byoh_host_is_part_of(context->host, before->subject))
		return 0;
	r = look(before->subject, &facts, err);
	if (r < 0 || !facts.active)
		return r;
	return control(context, "stop", before->subject, err);
}

static int settle_unit(const struct byoh_action_context *context, const struct byoh_before *before,
		       struct byoh_error *err)
{
	if (!before->existed || byoh_host_is_part_of(context->host, before->subject))
		return 0;
	return control(context, "restart", before->subject, err);
}

const struct byoh_action_ops byoh_unit_ops = {
	.late = true, .check = check_unit, .keep = keep_unit, .apply = apply_unit, .revert = revert_unit,
	.settle = settle_unit,
};
