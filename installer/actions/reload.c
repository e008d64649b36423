/* SPDX-License-Identifier: Apache-2.0 */
/* daemon-reload, where files that systemd may have read change earlier in the plan. */
#include "installer/actions/actions.h"
#include "installer/run.h"

static bool changes_before(const struct byoh_plan *plan, const struct byoh_action *until)
{
	for (size_t i = 0; plan && i < plan->step_count; i++) {
		for (size_t j = 0; j < plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &plan->steps[i].actions[j];

			if (action == until)
				return false;
			if (action->kind != BYOH_ACTION_DIRECTORY && byoh_action_is_change(action) &&
			    byoh_action_ops(action->kind)->on_disk)
				return true;
		}
	}
	return false;
}

static int check_reload(const struct byoh_action_context *context, struct byoh_action *action,
			struct byoh_error *err)
{
	bool nobody = context->host->live && !context->host->systemd_running;

	(void)err;
	action->state = !nobody && changes_before(context->plan, action) ? BYOH_STATE_DIFFERENT :
									   BYOH_STATE_SAME;
	return 0;
}

static int apply_reload(const struct byoh_action_context *context, const struct byoh_action *action,
			uint64_t number, struct byoh_error *err)
{
	(void)context;
	(void)action;
	(void)number;
	return byoh_run_simple(err, "systemctl", "daemon-reload", NULL);
}

/* Not at the revert, when the files are not back yet. */
static int settle_reload(const struct byoh_action_context *context, const struct byoh_before *before,
			 struct byoh_error *err)
{
	return apply_reload(context, NULL, before->number, err);
}

const struct byoh_action_ops byoh_reload_ops = {
	.check = check_reload, .keep = byoh_keep_nothing, .apply = apply_reload,
	.revert = byoh_revert_nothing, .settle = settle_reload,
};
