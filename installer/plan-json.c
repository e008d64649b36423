/* SPDX-License-Identifier: Apache-2.0 */
/* The plan as JSON: digests, never contents, so that it may be carried around. */
#include <stdio.h>

#include "bundle/base/json.h"
#include "installer/plan.h"

const char *byoh_action_kind_name(enum byoh_action_kind kind)
{
	static const char *const names[] = {
		[BYOH_ACTION_DIRECTORY] = "directory", [BYOH_ACTION_FILE] = "file",
		[BYOH_ACTION_LINK] = "link",	       [BYOH_ACTION_REMOVE] = "remove",
		[BYOH_ACTION_MODULE] = "module",       [BYOH_ACTION_SYSCTL] = "sysctl",
		[BYOH_ACTION_SWAP_OFF] = "swap-off",   [BYOH_ACTION_HOSTNAME] = "hostname",
		[BYOH_ACTION_RELOAD] = "reload",       [BYOH_ACTION_UNIT] = "unit",
		[BYOH_ACTION_IMAGE] = "image",	       [BYOH_ACTION_RELABEL] = "relabel",
		[BYOH_ACTION_RESTORE] = "restore",     [BYOH_ACTION_SAVE] = "save",
		[BYOH_ACTION_REMOVE_DIRECTORY] = "remove-directory",
		[BYOH_ACTION_DATA] = "data",	       [BYOH_ACTION_REMOVE_DATA] = "remove-data",
		[BYOH_ACTION_KILL] = "kill",	       [BYOH_ACTION_UNMOUNT] = "unmount",
	};

	return names[kind];
}

const char *byoh_action_state_name(enum byoh_action_state state)
{
	static const char *const names[] = {
		[BYOH_STATE_UNKNOWN] = "unknown",     [BYOH_STATE_SAME] = "same",
		[BYOH_STATE_ABSENT] = "absent",	      [BYOH_STATE_DIFFERENT] = "different",
		[BYOH_STATE_LATER] = "later",
	};

	return names[state];
}

static void put_digest(struct byoh_json *json, const char *key, const struct byoh_digest *digest)
{
	char hex[BYOH_DIGEST_HEX_SIZE];

	byoh_digest_hex(digest, hex);
	byoh_json_field_string(json, key, hex);
}

static void put_file_fields(struct byoh_json *json, const struct byoh_action *action)
{
	char mode[16];

	if (action->kind == BYOH_ACTION_FILE || action->kind == BYOH_ACTION_DIRECTORY) {
		snprintf(mode, sizeof(mode), "%04o", (unsigned int)action->mode);
		byoh_json_field_string(json, "mode", mode);
	}
	if (action->kind == BYOH_ACTION_FILE) {
		put_digest(json, "sha256", &action->digest);
		byoh_json_field_u64(json, "size", action->size);
		byoh_json_field_bool(json, "fromBundle", action->file != NULL);
		if (action->secret)
			byoh_json_field_bool(json, "secret", true);
	}
	if (action->kind == BYOH_ACTION_IMAGE && action->image)
		put_digest(json, "sha256", &action->image->digest);
}

static void put_action(struct byoh_json *json, const struct byoh_action *action)
{
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "kind", byoh_action_kind_name(action->kind));
	byoh_json_field_string(json, "subject", action->subject);
	byoh_json_field_string(json, "state", byoh_action_state_name(action->state));
	if (action->value && !action->secret)
		byoh_json_field_string(json, "value", action->value);
	put_file_fields(json, action);
	byoh_json_end_object(json);
}

static void put_step(struct byoh_json *json, const struct byoh_step *step)
{
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "name", step->name);
	byoh_json_field_string(json, "sentence", step->sentence);
	byoh_json_key(json, "actions");
	byoh_json_begin_array(json);
	for (size_t i = 0; i < step->action_count; i++)
		put_action(json, &step->actions[i]);
	byoh_json_end_array(json);
	byoh_json_end_object(json);
}

static int put_release(struct byoh_json *json, const struct byoh_plan_input *input, struct byoh_error *err)
{
	struct byoh_digest digest;
	int r;

	byoh_json_key(json, "release");
	byoh_json_begin_object(json);
	if (input->release_id)
		put_digest(json, "id", input->release_id);
	if (input->manifest) {
		byoh_json_field_string(json, "name", input->manifest->name);
		byoh_json_field_string(json, "version", input->manifest->version);
		byoh_json_field_string(json, "kubernetes", input->manifest->kubernetes);
	}
	byoh_json_end_object(json);
	if (!input->config)
		return 0;
	r = byoh_digest_of(byoh_buffer_text(&input->config->text), input->config->text.size, &digest, err);
	if (r < 0)
		return r;
	byoh_json_key(json, "config");
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "joinMode", byoh_join_mode_name(input->config->join_mode));
	put_digest(json, "sha256", &digest);
	byoh_json_end_object(json);
	return 0;
}

int byoh_plan_json(const struct byoh_plan *plan, const struct byoh_plan_input *input,
		   struct byoh_buffer *ret, struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);
	int r;

	byoh_json_begin_object(&json);
	byoh_json_field_string(&json, "format", "byoh-plan/v1");
	r = put_release(&json, input, err);
	if (r < 0)
		return r;
	byoh_plan_json_upgrade(&json, plan, input);
	byoh_json_key(&json, "steps");
	byoh_json_begin_array(&json);
	for (size_t i = 0; i < plan->step_count; i++)
		put_step(&json, &plan->steps[i]);
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}
