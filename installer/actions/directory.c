/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"

static uid_t owner_of(const struct byoh_action *action)
{
	return action->owned ? action->uid : byoh_path_owner();
}

static gid_t group_of(const struct byoh_action *action)
{
	return action->owned ? action->gid : byoh_path_group();
}

static bool has_rights(const struct byoh_action *action, const struct stat *st)
{
	return (st->st_mode & 07777) == action->mode && st->st_uid == owner_of(action) &&
	       st->st_gid == group_of(action);
}

static int check_directory(const struct byoh_action_context *context, struct byoh_action *action,
			   struct byoh_error *err)
{
	struct stat st;
	int r = byoh_path_look(context, action, &st, err);

	if (r == 0 && action->state != BYOH_STATE_ABSENT &&
	    (!S_ISDIR(st.st_mode) || (action->strict && !has_rights(action, &st))))
		action->state = BYOH_STATE_DIFFERENT;
	return r;
}

static int keep_directory(const struct byoh_action_context *context, const struct byoh_action *action,
			  struct byoh_before *before, struct byoh_error *err)
{
	struct stat st;
	bool absent;
	int r = byoh_path_check_absent(context, action->subject, &st, &absent, err);

	if (r < 0)
		return r;
	if (absent)
		return byoh_path_topmost_missing(context->host->root_fd, action->subject, &before->made,
						 err);
	if (!S_ISDIR(st.st_mode))
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOTDIR,
				 "%s is no directory, and one is to stand there; move it away",
				 action->subject);
	return byoh_before_set_path(before, &st, "directory", err);
}

static int set_rights(int root_fd, const char *path, mode_t mode, uid_t uid, gid_t gid,
		      struct byoh_error *err)
{
	CLEANUP_FD int fd = byoh_open_beneath(root_fd, path, O_RDONLY | O_DIRECTORY, 0, err);

	if (fd < 0)
		return fd;
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
		return byoh_fail_errno(err, "cannot set owner and mode of %s", path);
	return 0;
}

static int apply_directory(const struct byoh_action_context *context, const struct byoh_action *action,
			   uint64_t number, struct byoh_error *err)
{
	int root_fd = context->host->root_fd;
	bool existed = byoh_exists_beneath(root_fd, action->subject);
	int r;

	(void)number;
	r = byoh_path_make_parents(context, action->subject, err);
	if (r == 0)
		r = byoh_make_directories(root_fd, action->subject, action->mode, err);
	/* Made by an earlier action of this run as a parent: absent at the check, so ours to set. */
	if (r == 0 && (!existed || action->strict || action->state == BYOH_STATE_ABSENT))
		r = set_rights(root_fd, action->subject, action->mode, owner_of(action), group_of(action),
			       err);
	return r;
}

static int revert_directory(const struct byoh_action_context *context, const struct byoh_before *before,
			    struct byoh_error *err)
{
	int root_fd = context->host->root_fd;

	/* Missing: an earlier action had made it, and an undo that was cut off has taken it away again. */
	if (before->existed && !byoh_exists_beneath(root_fd, before->subject))
		return 0;
	if (before->existed)
		return set_rights(root_fd, before->subject, (mode_t)before->mode, (uid_t)before->uid,
				  (gid_t)before->gid, err);
	return before->made ? byoh_path_remove_made(root_fd, before->subject, before->made, err) : 0;
}

const struct byoh_action_ops byoh_directory_ops = {
	.on_disk = true, .check = check_directory, .keep = keep_directory, .apply = apply_directory,
	.revert = revert_directory,
};

static int check_removal(const struct byoh_action_context *context, struct byoh_action *action,
			 struct byoh_error *err)
{
	struct stat st;
	bool absent;
	int r = byoh_path_check_absent(context, action->subject, &st, &absent, err);

	if (r == 0)
		action->state = absent || !S_ISDIR(st.st_mode) ? BYOH_STATE_SAME : BYOH_STATE_DIFFERENT;
	return r;
}

static int apply_removal(const struct byoh_action_context *context, const struct byoh_action *action,
			 uint64_t number, struct byoh_error *err)
{
	(void)number;
	return byoh_path_remove_made(context->host->root_fd, action->subject, action->subject, err);
}

/* It was empty, or it stands there still. */
static int revert_removal(const struct byoh_action_context *context, const struct byoh_before *before,
			  struct byoh_error *err)
{
	int root_fd = context->host->root_fd;
	int r;

	if (!before->existed)
		return 0;
	r = byoh_make_directories(root_fd, before->subject, (mode_t)before->mode, err);
	return r < 0 ? r : set_rights(root_fd, before->subject, (mode_t)before->mode, (uid_t)before->uid,
				      (gid_t)before->gid, err);
}

const struct byoh_action_ops byoh_remove_directory_ops = {
	.on_disk = true, .check = check_removal, .keep = keep_directory, .apply = apply_removal,
	.revert = revert_removal,
};
