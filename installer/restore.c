/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/restore.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/actions/actions.h"
#include "installer/steps/leave.h"
#include "installer/steps/strangers.h"

#define SAVED_SUFFIX ".byoh-saved"   /* what the operator made of one of our files */
#define BEFORE_SUFFIX ".byoh-before" /* what stood there before us, beside what the operator made of ours */
#define MAX_NAMES 100

static void note(const struct byoh_restore_input *input, const char *fmt, ...) BYOH_PRINTF(2, 3);

static void note(const struct byoh_restore_input *input, const char *fmt, ...)
{
	char message[BYOH_PATH_MAX + 256];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	if (input->note)
		input->note(input->context, message);
}

static bool is_path(const struct byoh_origin *origin)
{
	return origin->before.kind == BYOH_ACTION_FILE || origin->before.kind == BYOH_ACTION_LINK ||
	       origin->before.kind == BYOH_ACTION_REMOVE;
}

static struct byoh_action *newest(struct byoh_step *step)
{
	return &step->actions[step->action_count - 1];
}

static int put_back(const struct byoh_restore_input *input, const struct byoh_origin *origin,
		    const char *path, struct byoh_step *step, struct byoh_error *err)
{
	char image[96];

	byoh_origin_image(origin, image);
	if (!byoh_exists_beneath(input->host->root_fd, image)) {
		note(input, "%s cannot be given back: its before-image %s is lost", path, image);
		return 0;
	}
	return byoh_step_other(step, BYOH_ACTION_RESTORE, path, image, NULL, err);
}

static int keep_changed(const struct byoh_restore_input *input, const struct byoh_origin *origin,
			struct byoh_step *step, struct byoh_error *err)
{
	CLEANUP_FREE char *beside = NULL;

	if (!origin->before.existed) {
		note(input, "%s stays: it was changed since it was installed", origin->before.subject);
		return 0;
	}
	if (asprintf(&beside, "%s" BEFORE_SUFFIX, origin->before.subject) < 0)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	note(input, "%s stays: it was changed since it was installed; what stood there before is in %s",
	     origin->before.subject, beside);
	return put_back(input, origin, beside, step, err);
}

static int give_back_path(const struct byoh_restore_input *input, const struct byoh_origin *origin,
			  struct byoh_step *step, struct byoh_error *err)
{
	size_t count = step->action_count;
	int r = byoh_origin_is_changed(input->host, origin, err);

	if (r < 0)
		return r;
	if (r)
		r = keep_changed(input, origin, step, err);
	else if (origin->before.existed)
		r = put_back(input, origin, origin->before.subject, step, err);
	else
		r = byoh_step_remove(step, origin->before.subject, err);
	if (r == 0 && step->action_count > count)
		newest(step)->gives_back = true;
	return r;
}

static int give_back_directory(const struct byoh_origin *origin, struct byoh_step *step,
			       struct byoh_error *err)
{
	const struct byoh_before *before = &origin->before;
	struct byoh_action *action;
	int r;

	if (!before->existed) {
		r = byoh_step_other(step, BYOH_ACTION_REMOVE_DIRECTORY, before->subject, NULL, &action, err);
	} else {
		r = byoh_step_directory(step, before->subject, (mode_t)before->mode, true, err);
		action = r < 0 ? NULL : newest(step);
	}
	if (r < 0)
		return r;
	action->gives_back = true;
	action->owned = before->existed;
	action->uid = (uid_t)before->uid;
	action->gid = (gid_t)before->gid;
	return 0;
}

/* What the running kernel and containerd were changed to. What cannot be turned back is a warning: the next
 * boot finds the files as they were. */
static int give_back_other(const struct byoh_origin *origin, struct byoh_step *step, struct byoh_error *err)
{
	const struct byoh_before *before = &origin->before;
	struct byoh_action *action = NULL;
	int r = 0;

	switch (before->kind) {
	case BYOH_ACTION_MODULE:
		if (!before->existed)
			r = byoh_step_other(step, before->kind, before->subject, "unloaded", &action, err);
		break;
	case BYOH_ACTION_SYSCTL:
		if (before->value)
			r = byoh_step_other(step, before->kind, before->subject, before->value, &action, err);
		break;
	case BYOH_ACTION_SWAP_OFF:
		if (before->existed)
			r = byoh_step_other(step, before->kind, before->subject, "on", &action, err);
		if (action)
			action->priority = before->priority;
		break;
	case BYOH_ACTION_HOSTNAME:
		if (before->value && before->value[0])
			r = byoh_step_other(step, before->kind, before->value, NULL, &action, err);
		break;
	default:
		break;
	}
	if (action)
		action->optional = action->gives_back = true;
	return r;
}

/*
 * All of it
 */

static int build_images(const struct byoh_restore_input *input, struct byoh_step *step, struct byoh_error *err)
{
	int r = 0;

	/* Ours take theirs along with their folder. */
	if (byoh_ledger_find(input->ledger, BYOH_ACTION_DATA, "/var/lib/containerd") || input->keep_data)
		return 0;
	for (size_t i = 0; i < input->ledger->count && r == 0; i++) {
		const struct byoh_before *before = &input->ledger->origins[i].before;

		if (before->kind != BYOH_ACTION_IMAGE || before->existed)
			continue;
		r = byoh_step_other(step, BYOH_ACTION_IMAGE, before->subject, "removed", NULL, err);
		if (r == 0)
			newest(step)->optional = newest(step)->gives_back = true;
	}
	return r < 0 ? r : byoh_step_sentence(step, err, "Take %zu images out of containerd",
					      step->action_count);
}

/* Is a file of the operator's making to stay in there? */
static bool holds_kept(const struct byoh_restore_input *input, const char *folder)
{
	size_t length = strlen(folder);

	for (size_t i = 0; i < input->ledger->count; i++) {
		const struct byoh_origin *origin = &input->ledger->origins[i];

		if (is_path(origin) && strncmp(origin->before.subject, folder, length) == 0 &&
		    origin->before.subject[length] == '/' &&
		    byoh_origin_is_changed(input->host, origin, NULL) > 0)
			return true;
	}
	return false;
}

static int find_stranger(void *context, const char *path, enum byoh_tenant tenant, struct byoh_error *err)
{
	(void)context;
	(void)path;
	(void)err;
	return tenant == BYOH_TENANT_STRANGER;
}

/* Does all of a folder go that services have filled? */
static bool goes_as_a_whole(const struct byoh_restore_input *input, const char *folder)
{
	return !holds_kept(input, folder) &&
	       byoh_tenants(input->host, input->ledger, folder, find_stranger, NULL, NULL) == 0;
}

struct clearing {
	const struct byoh_restore_input *input;
	struct byoh_step *step;
};

static int clear_tenant(void *context, const char *path, enum byoh_tenant tenant, struct byoh_error *err)
{
	const struct clearing *clearing = context;
	int r;

	if (tenant == BYOH_TENANT_STRANGER) {
		note(clearing->input, "%s stays: it is none of ours", path);
		return 0;
	}
	if (tenant == BYOH_TENANT_DIRECTORY)
		r = byoh_step_other(clearing->step, BYOH_ACTION_REMOVE_DIRECTORY, path, NULL, NULL, err);
	else
		r = byoh_step_remove(clearing->step, path, err);
	if (r == 0)
		newest(clearing->step)->gives_back = true;
	return r;
}

/* Somebody's own files are in there too. */
static int build_shared(const struct byoh_restore_input *input, const char *folder, struct byoh_step *step,
			struct byoh_error *err)
{
	struct clearing clearing = { input, step };

	return byoh_tenants(input->host, input->ledger, folder, clear_tenant, &clearing, err);
}

static int build_data(const struct byoh_restore_input *input, struct byoh_step *step, struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; i < input->ledger->count && r == 0 && !input->keep_data; i++) {
		const struct byoh_before *before = &input->ledger->origins[i].before;

		if (before->kind != BYOH_ACTION_DATA || before->existed)
			continue;
		if (!goes_as_a_whole(input, before->subject)) {
			r = build_shared(input, before->subject, step, err);
			continue;
		}
		r = byoh_step_other(step, BYOH_ACTION_REMOVE_DATA, before->subject, NULL, NULL, err);
		if (r == 0)
			newest(step)->gives_back = true;
	}
	return r < 0 ? r : byoh_step_sentence(step, err, "Remove what the services have written");
}

/* In a folder that goes as a whole: what kubeadm wrote there is not to come back by itself. */
static bool goes_with_data(const struct byoh_restore_input *input, const char *path)
{
	for (size_t i = 0; i < input->ledger->count && !input->keep_data; i++) {
		const struct byoh_before *before = &input->ledger->origins[i].before;
		size_t length = strlen(before->subject);

		if (before->kind == BYOH_ACTION_DATA && !before->existed &&
		    strncmp(path, before->subject, length) == 0 && path[length] == '/' &&
		    goes_as_a_whole(input, before->subject))
			return true;
	}
	return false;
}

/* What an earlier run had saved beside a new file is the operator's. */
static void note_saved(const struct byoh_restore_input *input, const struct byoh_origin *origin)
{
	CLEANUP_FREE char *path = NULL;

	if (asprintf(&path, "%s" SAVED_SUFFIX, origin->before.subject) >= 0 &&
	    byoh_exists_beneath(input->host->root_fd, path))
		note(input, "%s stays: it is what you had made of %s", path, origin->before.subject);
}

/* Latest first, as they would be undone. Folders that services have filled with data go as a whole. */
static int build_paths(const struct byoh_restore_input *input, struct byoh_step *step, struct byoh_error *err)
{
	int r = 0;

	for (size_t i = input->ledger->count; i > 0 && r == 0; i--) {
		const struct byoh_origin *origin = &input->ledger->origins[i - 1];

		if (is_path(origin))
			note_saved(input, origin);
		if (is_path(origin) && !byoh_leave_is_last(origin->before.subject) &&
		    !(origin->before.existed && goes_with_data(input, origin->before.subject)))
			r = give_back_path(input, origin, step, err);
		if (r == 0 && origin->before.kind == BYOH_ACTION_FILE && origin->was_written)
			r = byoh_leave_moved_conflist(input->host, origin, step, err);
	}
	if (r == 0)
		r = byoh_leave_kubeadm(input->host, step, err);
	for (size_t i = input->ledger->count; i > 0 && r == 0; i--)
		if (input->ledger->origins[i - 1].before.kind == BYOH_ACTION_DIRECTORY)
			r = give_back_directory(&input->ledger->origins[i - 1], step, err);
	if (r == 0)
		r = byoh_leave_ca_bundle(input->host, step, err);
	return r < 0 ? r : byoh_step_sentence(step, err, "Give back files and folders");
}

/* What an earlier run of ours had placed can only have run by our doing. */
static bool is_placed_by_us(const struct byoh_ledger *ledger, const struct byoh_origin *unit)
{
	for (size_t i = 0; i < ledger->count; i++) {
		const struct byoh_origin *file = &ledger->origins[i];
		const char *name = byoh_leave_unit_of(file->before.subject);

		if (file->before.kind == BYOH_ACTION_FILE && !file->before.existed && name &&
		    file->journal < unit->journal && strcmp(name, unit->before.subject) == 0)
			return true;
	}
	return false;
}

static int build_rest(const struct byoh_restore_input *input, struct byoh_step *step, struct byoh_error *err)
{
	int r = byoh_step_other(step, BYOH_ACTION_RELOAD, "systemd", NULL, NULL, err);

	for (size_t i = input->ledger->count; i > 0 && r == 0; i--)
		r = give_back_other(&input->ledger->origins[i - 1], step, err);
	for (size_t i = 0; i < input->ledger->count && r == 0; i++) {
		const struct byoh_origin *origin = &input->ledger->origins[i];

		if (origin->before.kind == BYOH_ACTION_UNIT && origin->before.existed &&
		    !is_placed_by_us(input->ledger, origin) &&
		    !byoh_leave_is_ours(input->ledger, origin->before.subject))
			r = byoh_leave_start(input->ledger, origin, step, err);
		else
			continue;
		if (r == 0)
			newest(step)->optional = true;
	}
	return r < 0 ? r : byoh_step_sentence(step, err, "Bring kernel and services back to what they were");
}

static int build_stop(const struct byoh_restore_input *input, struct byoh_step *step, struct byoh_error *err)
{
	return byoh_leave_stop(input->host, input->ledger, step, err);
}

int byoh_restore_all(const struct byoh_restore_input *input, struct byoh_plan **ret, struct byoh_error *err)
{
	static const struct {
		const char *name;
		int (*build)(const struct byoh_restore_input *input, struct byoh_step *step,
			     struct byoh_error *err);
	} kinds[] = {
		{ "images", build_images }, { "stop", build_stop }, { "data", build_data },
		{ "files", build_paths },   { "host", build_rest },
	};
	CLEANUP_PLAN struct byoh_plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct byoh_step step = { .name = kinds[i].name };
		int r = kinds[i].build(input, &step, err);

		if (r < 0) {
			byoh_step_release(&step);
			return r;
		}
		r = byoh_plan_add(plan, &step, err);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(plan);
	return 0;
}

/*
 * What a plan does not name any more
 */

static bool is_named(const struct byoh_plan *plan, const struct byoh_origin *origin)
{
	struct byoh_ledger one = { .count = 1, .origins = (struct byoh_origin *)origin };

	for (size_t i = 0; i < plan->step_count; i++)
		for (size_t j = 0; j < plan->steps[i].action_count; j++)
			if (byoh_ledger_find(&one, plan->steps[i].actions[j].kind,
					     plan->steps[i].actions[j].subject))
				return true;
	return false;
}

static bool is_left_over(const struct byoh_plan *plan, const struct byoh_origin *origin)
{
	if (!is_path(origin) && origin->before.kind != BYOH_ACTION_SYSCTL &&
	    origin->before.kind != BYOH_ACTION_MODULE)
		return false;
	return byoh_leave_is_complete(origin->step) && !is_named(plan, origin);
}

static int build_left_over(const struct byoh_restore_input *input, const struct byoh_plan *plan,
			   struct byoh_step *step, struct byoh_error *err)
{
	int r = 0;

	for (size_t i = 0; i < input->ledger->count && r == 0; i++) {
		const struct byoh_origin *origin = &input->ledger->origins[i];
		const char *unit = byoh_leave_unit_of(origin->before.subject);

		/* One that systemd has not seen yet, below --root, has nothing to stop. */
		if (unit && origin->before.kind == BYOH_ACTION_FILE && is_left_over(plan, origin))
			r = byoh_step_unit(step, unit, false, NULL, err);
	}
	for (size_t i = input->ledger->count; i > 0 && r == 0; i--) {
		const struct byoh_origin *origin = &input->ledger->origins[i - 1];

		if (!is_left_over(plan, origin))
			continue;
		r = is_path(origin) ? give_back_path(input, origin, step, err) :
				      give_back_other(origin, step, err);
	}
	return r;
}

int byoh_restore_rest(const struct byoh_restore_input *input, struct byoh_plan *plan, struct byoh_error *err)
{
	struct byoh_step step = { .name = "left-over" };
	int r = build_left_over(input, plan, &step, err);

	if (r == 0)
		r = byoh_step_sentence(&step, err, "Give back what this release and configuration do not want");
	if (r < 0) {
		byoh_step_release(&step);
		return r;
	}
	return byoh_plan_add_early(plan, &step, err);
}

/*
 * Files that somebody changed
 */

int byoh_restore_saved_name(const struct byoh_host *host, const char *path, char ret[static BYOH_PATH_MAX],
			    struct byoh_error *err)
{
	struct byoh_digest changed, saved;
	int r = byoh_digest_beneath(host->root_fd, path, &changed, err);

	for (unsigned int i = 0; r == 0 && i < MAX_NAMES; i++) {
		char number[16] = "";

		if (i)
			snprintf(number, sizeof(number), ".%u", i);
		if (snprintf(ret, BYOH_PATH_MAX, "%s" SAVED_SUFFIX "%s", path, number) >= BYOH_PATH_MAX)
			return byoh_fail(err, BYOH_ERROR_SYSTEM, ENAMETOOLONG, "%s", path);
		if (!byoh_exists_beneath(host->root_fd, ret))
			return 0;
		if (byoh_digest_beneath(host->root_fd, ret, &saved, NULL) == 0 &&
		    byoh_digest_equal(&changed, &saved)) {
			ret[0] = '\0';
			return 0;
		}
	}
	return r < 0 ? r : byoh_fail(err, BYOH_ERROR_SYSTEM, EEXIST,
				     "%s was changed %d times, and every time saved beside itself; clear up there",
				     path, MAX_NAMES);
}

static bool may_be_changed(const struct byoh_action *action)
{
	return action->kind == BYOH_ACTION_FILE && !action->gives_back &&
	       action->state == BYOH_STATE_DIFFERENT;
}

static int save(const struct byoh_restore_input *input, const struct byoh_action *action,
		struct byoh_step *step, struct byoh_error *err)
{
	const struct byoh_origin *origin = byoh_ledger_find(input->ledger, action->kind, action->subject);
	char name[BYOH_PATH_MAX];
	int r = origin ? byoh_origin_is_changed(input->host, origin, err) : 0;

	if (r <= 0)
		return r;
	r = byoh_restore_saved_name(input->host, action->subject, name, err);
	if (r < 0 || !name[0])
		return r;
	note(input, "%s was changed since it was installed; the changed file is kept as %s", action->subject,
	     name);
	r = byoh_step_other(step, BYOH_ACTION_SAVE, name, action->subject, NULL, err);
	if (r == 0)
		newest(step)->state = BYOH_STATE_ABSENT;
	return r;
}

int byoh_restore_save_changed(const struct byoh_restore_input *input, struct byoh_plan *plan,
			      struct byoh_error *err)
{
	struct byoh_step step = { .name = "saved" };
	int r = 0;

	for (size_t i = 0; i < plan->step_count && r == 0; i++)
		for (size_t j = 0; j < plan->steps[i].action_count && r == 0; j++)
			if (may_be_changed(&plan->steps[i].actions[j]))
				r = save(input, &plan->steps[i].actions[j], &step, err);
	if (r == 0)
		r = byoh_step_sentence(&step, err, "Keep files that were changed here beside the new ones: %zu",
				       step.action_count);
	if (r < 0) {
		byoh_step_release(&step);
		return r;
	}
	return byoh_plan_add_early(plan, &step, err);
}

/*
 * The last
 */

int byoh_restore_last(const struct byoh_host *host, const struct byoh_ledger *ledger, struct byoh_error *err)
{
	CLEANUP_STAGING struct byoh_staging *staging = NULL;
	int r = byoh_staging_new(host, NULL, NULL, &staging, err);

	for (size_t i = ledger->count; i > 0 && r == 0; i--) {
		const struct byoh_origin *origin = &ledger->origins[i - 1];
		char image[96];
		struct byoh_action_context context = { .host = host, .staging = staging,
						       .before_folder = image };

		if (!is_path(origin) || !byoh_leave_is_last(origin->before.subject))
			continue;
		byoh_origin_image(origin, image);
		*strrchr(image, '/') = '\0';
		r = byoh_path_revert(&context, &origin->before, err);
	}
	if (r == 0)
		r = byoh_staging_clear(staging, err);
	for (size_t i = ledger->count; i > 0 && r == 0; i--) {
		const struct byoh_before *before = &ledger->origins[i - 1].before;

		if (before->kind == BYOH_ACTION_DIRECTORY && !before->existed)
			r = byoh_path_remove_made(host->root_fd, before->subject, before->subject, err);
	}
	return r;
}
