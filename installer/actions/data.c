/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Folders that services fill while they run. One that was not there before is noted, so that it can go with
 * all in it: at once where the run that started the services fails, and when the host is given back. It is
 * moved aside first, which can be turned back, and deleted when the transaction holds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"
#include "installer/actions/mounts.h"

#define ASIDE_SUFFIX ".byoh-removed"

static int check_data(const struct byoh_action_context *context, struct byoh_action *action,
		      struct byoh_error *err)
{
	struct stat st;
	bool absent;
	int r = byoh_path_check_absent(context, action->subject, &st, &absent, err);

	if (r == 0)
		action->state = absent && !byoh_ledger_find(context->ledger, action->kind, action->subject) ?
					BYOH_STATE_ABSENT : BYOH_STATE_SAME;
	return r;
}

static int keep_data(const struct byoh_action_context *context, const struct byoh_action *action,
		     struct byoh_before *before, struct byoh_error *err)
{
	(void)err;
	before->existed = byoh_exists_beneath(context->host->root_fd, action->subject);
	return 0;
}

static int apply_data(const struct byoh_action_context *context, const struct byoh_action *action,
		      uint64_t number, struct byoh_error *err)
{
	(void)context;
	(void)action;
	(void)number;
	(void)err;
	return 0; /* the record is all */
}

static int remove_unmounted(const struct byoh_action_context *context, const char *path,
			    struct byoh_error *err)
{
	int r = context->host->live ? byoh_mounts_refuse(path, err) : 0;

	return r < 0 ? r : byoh_remove_tree(context->host->root_fd, path, err);
}

/* What services of a failed run have written. A mount in it means that something still works there. */
static int revert_data(const struct byoh_action_context *context, const struct byoh_before *before,
		       struct byoh_error *err)
{
	if (before->existed)
		return 0;
	if (context->host->live && byoh_mounts_release(before->subject, NULL) < 0)
		return 0;
	return remove_unmounted(context, before->subject, err);
}

static int check_removal(const struct byoh_action_context *context, struct byoh_action *action,
			 struct byoh_error *err)
{
	struct stat st;
	bool absent;
	int r = byoh_path_check_absent(context, action->subject, &st, &absent, err);

	if (r == 0)
		action->state = absent ? BYOH_STATE_SAME : BYOH_STATE_DIFFERENT;
	return r;
}

static int aside_name(const char *path, char ret[static BYOH_PATH_MAX], struct byoh_error *err)
{
	const char *slash = strrchr(path, '/');
	int n = snprintf(ret, BYOH_PATH_MAX, "%.*s/.%s" ASIDE_SUFFIX, (int)(slash - path), path, slash + 1);

	return n < BYOH_PATH_MAX ? 0 : byoh_fail(err, BYOH_ERROR_SYSTEM, ENAMETOOLONG, "%s", path);
}

static int move(const struct byoh_action_context *context, const char *from, const char *to,
		struct byoh_error *err)
{
	const char *from_name, *to_name;
	CLEANUP_FD int from_parent = byoh_open_parent(context->host->root_fd, from, &from_name, err);
	CLEANUP_FD int to_parent = from_parent < 0 ? -1 :
				   byoh_open_parent(context->host->root_fd, to, &to_name, err);

	if (from_parent < 0 || to_parent < 0)
		return from_parent < 0 ? from_parent : to_parent;
	if (renameat(from_parent, from_name, to_parent, to_name) < 0)
		return byoh_fail_errno(err, "cannot move %s aside", from);
	return 0;
}

static int apply_removal(const struct byoh_action_context *context, const struct byoh_action *action,
			 uint64_t number, struct byoh_error *err)
{
	char aside[BYOH_PATH_MAX];
	int r = aside_name(action->subject, aside, err);

	(void)number;
	if (r == 0 && context->host->live)
		r = byoh_mounts_refuse(action->subject, err);
	if (r == 0)
		r = byoh_remove_tree(context->host->root_fd, aside, err);
	return r < 0 ? r : move(context, action->subject, aside, err);
}

static int revert_removal(const struct byoh_action_context *context, const struct byoh_before *before,
			  struct byoh_error *err)
{
	char aside[BYOH_PATH_MAX];
	int r = aside_name(before->subject, aside, err);

	if (r < 0 || !byoh_exists_beneath(context->host->root_fd, aside))
		return r;
	/* What came to be in its place since is what a service made that is going down with us. */
	r = remove_unmounted(context, before->subject, err);
	return r < 0 ? r : move(context, aside, before->subject, err);
}

static int finish_removal(const struct byoh_action_context *context, const struct byoh_before *before,
			  struct byoh_error *err)
{
	char aside[BYOH_PATH_MAX];
	int r = aside_name(before->subject, aside, err);

	return r < 0 ? r : byoh_remove_tree(context->host->root_fd, aside, err);
}

const struct byoh_action_ops byoh_data_ops = {
	.on_disk = true, .check = check_data, .keep = keep_data, .apply = apply_data, .revert = revert_data,
};

const struct byoh_action_ops byoh_remove_data_ops = {
	.on_disk = true, .check = check_removal, .keep = keep_data, .apply = apply_removal,
	.revert = revert_removal, .finish = finish_removal,
};
