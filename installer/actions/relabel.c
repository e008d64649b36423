/* SPDX-License-Identifier: Apache-2.0 */
/* SELinux labels by the host's own policy. A rename carries the label of the staging folder along. */
#include "installer/actions/actions.h"
#include "installer/run.h"

static int check_relabel(const struct byoh_action_context *context, struct byoh_action *action,
			 struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer output = { 0 };
	const char *const argv[] = { "restorecon", "-R", "-F", "-n", "-v", action->subject, NULL };
	const struct byoh_run run = { .argv = argv, .output = &output };
	int status = 0;
	int r;

	action->state = BYOH_STATE_SAME;
	if (!context->host->selinux_enabled)
		return 0;
	r = byoh_run(&run, &status, err);
	/* A path that is not there yet is an error of restorecon, and no reason to stop. */
	if (r == 0 && (status != 0 || output.size))
		action->state = BYOH_STATE_DIFFERENT;
	return r;
}

static int apply_relabel(const struct byoh_action_context *context, const struct byoh_action *action,
			 uint64_t number, struct byoh_error *err)
{
	(void)context;
	(void)number;
	return byoh_run_simple(err, "restorecon", "-R", "-F", action->subject, NULL);
}

/* Nothing to revert: before-images carry their labels, and new files go. */
const struct byoh_action_ops byoh_relabel_ops = {
	.check = check_relabel, .keep = byoh_keep_nothing, .apply = apply_relabel,
	.revert = byoh_revert_nothing,
};
