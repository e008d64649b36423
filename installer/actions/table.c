/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "installer/actions/actions.h"

const struct byoh_action_ops *byoh_action_ops(enum byoh_action_kind kind)
{
	static const struct byoh_action_ops *const table[] = {
		[BYOH_ACTION_DIRECTORY] = &byoh_directory_ops, [BYOH_ACTION_FILE] = &byoh_file_ops,
		[BYOH_ACTION_LINK] = &byoh_link_ops,	       [BYOH_ACTION_REMOVE] = &byoh_remove_ops,
		[BYOH_ACTION_MODULE] = &byoh_module_ops,       [BYOH_ACTION_SYSCTL] = &byoh_sysctl_ops,
		[BYOH_ACTION_SWAP_OFF] = &byoh_swap_ops,       [BYOH_ACTION_HOSTNAME] = &byoh_hostname_ops,
		[BYOH_ACTION_RELOAD] = &byoh_reload_ops,       [BYOH_ACTION_UNIT] = &byoh_unit_ops,
		[BYOH_ACTION_IMAGE] = &byoh_image_ops,	       [BYOH_ACTION_RELABEL] = &byoh_relabel_ops,
		[BYOH_ACTION_RESTORE] = &byoh_restore_ops,     [BYOH_ACTION_SAVE] = &byoh_save_ops,
		[BYOH_ACTION_REMOVE_DIRECTORY] = &byoh_remove_directory_ops,
		[BYOH_ACTION_DATA] = &byoh_data_ops,	       [BYOH_ACTION_REMOVE_DATA] = &byoh_remove_data_ops,
		[BYOH_ACTION_KILL] = &byoh_kill_ops,	       [BYOH_ACTION_UNMOUNT] = &byoh_unmount_ops,
	};

	return table[kind];
}

int byoh_action_check(const struct byoh_action_context *context, struct byoh_action *action,
		      struct byoh_error *err)
{
	const struct byoh_action_ops *ops = byoh_action_ops(action->kind);
	int r;

	if (!ops->on_disk && !context->host->live) {
		action->state = BYOH_STATE_LATER;
		return 0;
	}
	r = ops->check(context, action, err);
	return r < 0 ? byoh_error_wrap(err, r, "cannot check the %s %s",
				       byoh_action_kind_name(action->kind), action->subject) : 0;
}

bool byoh_action_wants(const struct byoh_action *action, const char *value)
{
	return action->value && strcmp(action->value, value) == 0;
}

bool byoh_action_is_change(const struct byoh_action *action)
{
	return action->state == BYOH_STATE_ABSENT || action->state == BYOH_STATE_DIFFERENT;
}

int byoh_keep_nothing(const struct byoh_action_context *context, const struct byoh_action *action,
		      struct byoh_before *before, struct byoh_error *err)
{
	(void)context;
	(void)action;
	(void)before;
	(void)err;
	return 0;
}

int byoh_revert_nothing(const struct byoh_action_context *context, const struct byoh_before *before,
			struct byoh_error *err)
{
	(void)context;
	(void)before;
	(void)err;
	return 0;
}
