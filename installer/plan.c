/* SPDX-License-Identifier: Apache-2.0 */
/* Builders of steps, and the plan that the table of steps makes. */
#include "installer/plan.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/steps/steps.h"

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

static void free_action(struct byoh_action *action)
{
	free(action->subject);
	free(action->value);
	if (action->content.data && action->secret)
		explicit_bzero(action->content.data, action->content.size);
	byoh_buffer_release(&action->content);
	for (char **path = action->restart_on; path && *path; path++)
		free(*path);
	free(action->restart_on);
}

void byoh_step_release(struct byoh_step *step)
{
	for (size_t i = 0; i < step->action_count; i++)
		free_action(&step->actions[i]);
	free(step->actions);
	free(step->sentence);
	*step = (struct byoh_step){ .name = step->name };
}

void byoh_plan_free(struct byoh_plan *plan)
{
	if (!plan)
		return;
	for (size_t i = 0; i < plan->step_count; i++)
		byoh_step_release(&plan->steps[i]);
	free(plan->steps);
	free(plan);
}

void byoh_plan_freep(struct byoh_plan **plan)
{
	byoh_plan_free(*plan);
}

static int insert_step(struct byoh_plan *plan, size_t at, struct byoh_step *step, struct byoh_error *err)
{
	struct byoh_step *grown;

	if (!step->action_count) {
		byoh_step_release(step);
		return 0;
	}
	grown = reallocarray(plan->steps, plan->step_count + 1, sizeof(*grown));
	if (!grown) {
		byoh_step_release(step);
		return out_of_memory(err);
	}
	plan->steps = grown;
	memmove(grown + at + 1, grown + at, (plan->step_count - at) * sizeof(*grown));
	grown[at] = *step;
	*step = (struct byoh_step){ .name = step->name };
	plan->step_count++;
	return 0;
}

int byoh_plan_add(struct byoh_plan *plan, struct byoh_step *step, struct byoh_error *err)
{
	return insert_step(plan, plan->step_count, step, err);
}

int byoh_plan_add_early(struct byoh_plan *plan, struct byoh_step *step, struct byoh_error *err)
{
	return insert_step(plan, plan->step_count && strcmp(plan->steps[0].name, "tool") == 0, step, err);
}

int byoh_plan_make(const struct byoh_plan_input *input, struct byoh_plan **ret, struct byoh_error *err)
{
	CLEANUP_PLAN struct byoh_plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return out_of_memory(err);
	for (const struct byoh_step_kind *kind = byoh_step_kinds; kind->name; kind++) {
		struct byoh_step step = { .name = kind->name };
		int r = kind->build(input, &step, err);

		if (r < 0) {
			byoh_step_release(&step);
			return byoh_error_wrap(err, r, "cannot plan the step \"%s\"", kind->name);
		}
		r = byoh_plan_add(plan, &step, err);
		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(plan);
	return 0;
}

int byoh_step_sentence(struct byoh_step *step, struct byoh_error *err, const char *fmt, ...)
{
	char *sentence = NULL;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&sentence, fmt, args);
	va_end(args);
	if (n < 0)
		return out_of_memory(err);
	free(step->sentence);
	step->sentence = sentence;
	return 0;
}

/* On failure nothing is added. */
static int add_action(struct byoh_step *step, enum byoh_action_kind kind, const char *subject,
		      const char *value, struct byoh_action **ret, struct byoh_error *err)
{
	struct byoh_action action = { .kind = kind };
	struct byoh_action *grown = reallocarray(step->actions, step->action_count + 1, sizeof(*grown));

	if (!grown)
		return out_of_memory(err);
	step->actions = grown;
	action.subject = strdup(subject);
	action.value = value ? strdup(value) : NULL;
	if (!action.subject || (value && !action.value)) {
		free_action(&action);
		return out_of_memory(err);
	}
	grown[step->action_count++] = action;
	*ret = &grown[step->action_count - 1];
	return 0;
}

static int check_path(const char *path, struct byoh_error *err)
{
	if (path[0] != '/' || !byoh_path_is_clean(path + 1))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "\"%s\" is no absolute path without \".\", \"..\" and doubled slashes",
				 path);
	return 0;
}

int byoh_step_directory(struct byoh_step *step, const char *path, mode_t mode, bool strict,
			struct byoh_error *err)
{
	struct byoh_action *action;
	int r = check_path(path, err);

	if (r == 0)
		r = add_action(step, BYOH_ACTION_DIRECTORY, path, NULL, &action, err);
	if (r < 0)
		return r;
	action->mode = mode;
	action->strict = strict;
	return 0;
}

int byoh_step_file(struct byoh_step *step, const char *path, mode_t mode, const char *content, size_t size,
		   struct byoh_action **ret, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };
	struct byoh_digest digest;
	struct byoh_action *action;
	int r = check_path(path, err);

	if (r == 0)
		r = byoh_buffer_add(&bytes, content, size, err);
	if (r == 0)
		r = byoh_digest_of(content, size, &digest, err);
	if (r == 0)
		r = add_action(step, BYOH_ACTION_FILE, path, NULL, &action, err);
	if (r < 0)
		return r;
	action->mode = mode;
	action->content = bytes;
	bytes = (struct byoh_buffer){ 0 };
	action->digest = digest;
	action->size = size;
	if (ret)
		*ret = action;
	return 0;
}

/* Blobs of images are placed by the transaction where they are needed, and our own folder is made with the
 * lock: neither is a step's. */
static bool is_transactions(const char *path)
{
	static const char images[] = "var/lib/byoh/images";
	size_t length = strlen(images);

	return strcmp(path, "var/lib/byoh") == 0 ||
	       (strncmp(path, images, length) == 0 && (!path[length] || path[length] == '/'));
}

static int add_bundle_file(struct byoh_step *step, const struct byoh_file *file, const char *path,
			   struct byoh_action **ret, struct byoh_error *err)
{
	static const enum byoh_action_kind kinds[] = {
		[BYOH_FILE_DIRECTORY] = BYOH_ACTION_DIRECTORY,
		[BYOH_FILE_REGULAR] = BYOH_ACTION_FILE,
		[BYOH_FILE_SYMLINK] = BYOH_ACTION_LINK,
	};
	int r = add_action(step, kinds[file->type], path,
			   file->type == BYOH_FILE_SYMLINK ? file->target : NULL, ret, err);

	if (r < 0)
		return r;
	(*ret)->mode = file->mode;
	if (file->type == BYOH_FILE_REGULAR) {
		(*ret)->file = file;
		(*ret)->digest = file->digest;
		(*ret)->size = file->size;
	}
	return 0;
}

int byoh_step_bundle_file(struct byoh_step *step, const struct byoh_file *file, struct byoh_action **ret,
			  struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	struct byoh_action *action = NULL;
	int r = 0;

	if (asprintf(&path, "/%s", file->path) < 0)
		return out_of_memory(err);
	if (!is_transactions(file->path))
		r = check_path(path, err);
	if (r == 0 && !is_transactions(file->path))
		r = add_bundle_file(step, file, path, &action, err);
	if (r == 0 && ret)
		*ret = action;
	return r;
}

int byoh_step_bundle_copy(struct byoh_step *step, const struct byoh_file *file, const char *path,
			  struct byoh_action **ret, struct byoh_error *err)
{
	int r = check_path(path, err);

	if (r == 0)
		r = add_bundle_file(step, file, path, ret, err);
	if (r == 0)
		(*ret)->copy = true;
	return r;
}

int byoh_step_link(struct byoh_step *step, const char *path, const char *target, struct byoh_error *err)
{
	struct byoh_action *action;
	int r = check_path(path, err);

	return r < 0 ? r : add_action(step, BYOH_ACTION_LINK, path, target, &action, err);
}

int byoh_step_remove(struct byoh_step *step, const char *path, struct byoh_error *err)
{
	struct byoh_action *action;
	int r = check_path(path, err);

	return r < 0 ? r : add_action(step, BYOH_ACTION_REMOVE, path, NULL, &action, err);
}

int byoh_step_other(struct byoh_step *step, enum byoh_action_kind kind, const char *subject,
		    const char *value, struct byoh_action **ret, struct byoh_error *err)
{
	struct byoh_action *action;
	int r = add_action(step, kind, subject, value, &action, err);

	if (r == 0 && ret)
		*ret = action;
	return r;
}

static char **copy_list(const char *const *list)
{
	size_t count = 0;
	char **copy;

	while (list[count])
		count++;
	copy = calloc(count + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < count; i++) {
		copy[i] = strdup(list[i]);
		if (!copy[i]) {
			while (i)
				free(copy[--i]);
			free(copy);
			return NULL;
		}
	}
	return copy;
}

int byoh_step_unit(struct byoh_step *step, const char *unit, bool started, const char *const *restart_on,
		   struct byoh_error *err)
{
	struct byoh_action *action;
	int r = add_action(step, BYOH_ACTION_UNIT, unit, started ? "started" : "stopped", &action, err);

	if (r < 0 || !restart_on)
		return r;
	action->restart_on = copy_list(restart_on);
	return action->restart_on ? 0 : out_of_memory(err);
}

int byoh_step_enable(struct byoh_step *step, const char *unit, const char *unit_directory,
		     const char *target, struct byoh_error *err)
{
	CLEANUP_FREE char *path = NULL;
	CLEANUP_FREE char *unit_path = NULL;

	if (asprintf(&path, "/etc/systemd/system/%s.wants/%s", target, unit) < 0 ||
	    asprintf(&unit_path, "%s/%s", unit_directory, unit) < 0)
		return out_of_memory(err);
	return byoh_step_link(step, path, unit_path, err);
}
