/* SPDX-License-Identifier: Apache-2.0 */
/* Files and links: made in the staging folder, put in place by a rename. */
#include <fcntl.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"

static int check_bytes(const struct byoh_action_context *context, struct byoh_action *action,
		       struct byoh_error *err)
{
	CLEANUP_FD int fd = byoh_open_beneath(context->host->root_fd, action->subject,
					      O_RDONLY | O_NONBLOCK | O_NOCTTY, 0, err);
	struct byoh_digest digest;
	int r;

	if (fd < 0)
		return fd;
	r = byoh_digest_fd(fd, UINT64_MAX, &digest, NULL, err);
	if (r == 0 && !byoh_digest_equal(&digest, &action->digest))
		action->state = BYOH_STATE_DIFFERENT;
	return r;
}

/* Reading all of a release takes minutes on a slow disk. The ledger tells what was written last, and the file
 * system that nobody has been at it since; damage below the file system is found by a thorough look. */
static bool is_untouched(const struct byoh_action_context *context, const struct byoh_action *action)
{
	const struct byoh_origin *origin = context->thorough ? NULL :
					   byoh_ledger_find(context->ledger, action->kind, action->subject);
	struct byoh_stamp stamp;

	if (!origin || !origin->was_written || !byoh_digest_equal(&origin->written, &action->digest))
		return false;
	stamp = byoh_stamp_of(context->host->root_fd, action->subject);
	return byoh_stamp_equal(&stamp, &origin->stamp);
}

static int check_file(const struct byoh_action_context *context, struct byoh_action *action,
		      struct byoh_error *err)
{
	struct stat st;
	int r = byoh_path_look(context, action, &st, err);

	if (r == 0 && action->withheld)
		action->state = BYOH_STATE_SAME;
	if (r < 0 || action->withheld || action->state == BYOH_STATE_ABSENT || action->create_only)
		return r;
	if (S_ISREG(st.st_mode) && byoh_path_has_rights(&st, action->mode) &&
	    (uint64_t)st.st_size == action->size)
		return is_untouched(context, action) ? 0 : check_bytes(context, action, err);
	action->state = BYOH_STATE_DIFFERENT;
	return 0;
}

static int check_link(const struct byoh_action_context *context, struct byoh_action *action,
		      struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer target = { 0 };
	struct stat st;
	int r = byoh_path_look(context, action, &st, err);

	if (r < 0 || action->state == BYOH_STATE_ABSENT)
		return r;
	action->state = BYOH_STATE_DIFFERENT;
	if (!S_ISLNK(st.st_mode))
		return 0;
	r = byoh_read_link(context->host->root_fd, action->subject, &target, err);
	if (r == 0 && strcmp(byoh_buffer_text(&target), action->value) == 0)
		action->state = BYOH_STATE_SAME;
	return r;
}

static int publish(const struct byoh_action_context *context, const struct byoh_action *action,
		   uint64_t number, struct byoh_error *err)
{
	return byoh_path_publish(context, action->subject, number, err);
}

static int check_remove(const struct byoh_action_context *context, struct byoh_action *action,
			struct byoh_error *err)
{
	struct stat st;
	bool absent;
	int r = byoh_path_check_absent(context, action->subject, &st, &absent, err);

	if (r == 0)
		action->state = absent ? BYOH_STATE_SAME : BYOH_STATE_DIFFERENT;
	return r;
}

static int apply_remove(const struct byoh_action_context *context, const struct byoh_action *action,
			uint64_t number, struct byoh_error *err)
{
	(void)number;
	return byoh_remove_file(context->host->root_fd, action->subject, err);
}

/* It made nothing. What stands where nothing was to be removed lay in a folder that an earlier action had moved
 * away, and that an undo which did not come to its end has put back. */
static int revert_remove(const struct byoh_action_context *context, const struct byoh_before *before,
			 struct byoh_error *err)
{
	return before->existed ? byoh_path_revert(context, before, err) : 0;
}

const struct byoh_action_ops byoh_file_ops = {
	.on_disk = true, .check = check_file, .keep = byoh_path_keep, .apply = publish,
	.revert = byoh_path_revert,
};

const struct byoh_action_ops byoh_link_ops = {
	.on_disk = true, .check = check_link, .keep = byoh_path_keep, .apply = publish,
	.revert = byoh_path_revert,
};

const struct byoh_action_ops byoh_remove_ops = {
	.on_disk = true, .check = check_remove, .keep = byoh_path_keep, .apply = apply_remove,
	.revert = revert_remove,
};
