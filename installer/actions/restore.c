/* SPDX-License-Identifier: Apache-2.0 */
/* Before-images back in place, and an operator's file under another name, before ours takes its own. */
#include "bundle/base/path.h"
#include "installer/actions/actions.h"

static bool has_same_rights(const struct stat *a, const struct stat *b)
{
	return a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid &&
	       a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int compare(int root_fd, const char *path, const struct stat *st, const char *image,
		   const struct stat *image_st, bool *ret_same, struct byoh_error *err)
{
	struct byoh_digest live, kept;
	int r;

	*ret_same = st->st_dev == image_st->st_dev && st->st_ino == image_st->st_ino;
	if (*ret_same || !has_same_rights(st, image_st))
		return 0;
	r = byoh_digest_beneath(root_fd, path, &live, err);
	if (r == 0)
		r = byoh_digest_beneath(root_fd, image, &kept, err);
	*ret_same = r == 0 && byoh_digest_equal(&live, &kept);
	return r;
}

static int check_restore(const struct byoh_action_context *context, struct byoh_action *action,
			 struct byoh_error *err)
{
	struct stat st, image;
	bool absent, same;
	int r = byoh_stat_beneath(context->host->root_fd, action->value, &image, err);

	if (r < 0)
		return byoh_error_wrap(err, r, "the before-image of %s is lost", action->subject);
	r = byoh_path_check_absent(context, action->subject, &st, &absent, err);
	if (r < 0)
		return r;
	action->state = absent ? BYOH_STATE_ABSENT : BYOH_STATE_DIFFERENT;
	if (absent || S_ISDIR(st.st_mode))
		return 0;
	r = compare(context->host->root_fd, action->subject, &st, action->value, &image, &same, err);
	if (r == 0 && same)
		action->state = BYOH_STATE_SAME;
	return r;
}

/* The name was free when it was chosen. */
static int check_save(const struct byoh_action_context *context, struct byoh_action *action,
		      struct byoh_error *err)
{
	struct stat st;
	bool absent;
	int r = byoh_path_check_absent(context, action->subject, &st, &absent, err);

	if (r == 0)
		action->state = absent ? BYOH_STATE_ABSENT : BYOH_STATE_SAME;
	return r;
}

static int publish(const struct byoh_action_context *context, const struct byoh_action *action,
		   uint64_t number, struct byoh_error *err)
{
	return byoh_path_publish(context, action->subject, number, err);
}

const struct byoh_action_ops byoh_restore_ops = {
	.on_disk = true, .check = check_restore, .keep = byoh_path_keep, .apply = publish,
	.revert = byoh_path_revert,
};

const struct byoh_action_ops byoh_save_ops = {
	.on_disk = true, .check = check_save, .keep = byoh_path_keep, .apply = publish,
	.revert = byoh_path_revert,
};
