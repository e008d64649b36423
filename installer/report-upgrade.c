/* SPDX-License-Identifier: Apache-2.0 */
/* What an upgrade changes, side by side: the parts of both releases, and the services that it restarts. */
#include <string.h>

#include "bundle/base/json.h"
#include "installer/report.h"

static const struct byoh_upgrade *upgrade_of(const struct byoh_plan_input *input)
{
	return input->upgrade && !input->upgrade->same && input->upgrade->manifest ? input->upgrade : NULL;
}

/* The parts of both releases one by one; a version that is NULL: not in that release. */
static void each_component(const struct byoh_manifest *old, const struct byoh_manifest *new,
			   void (*take)(void *context, const char *name, const char *old, const char *new),
			   void *context)
{
	for (size_t i = 0; i < new->component_count; i++) {
		const struct byoh_component *before = byoh_manifest_component(old, new->components[i].name);

		take(context, new->components[i].name, before ? before->version : NULL,
		     new->components[i].version);
	}
	for (size_t i = 0; i < old->component_count; i++)
		if (!byoh_manifest_component(new, old->components[i].name))
			take(context, old->components[i].name, old->components[i].version, NULL);
}

/* Text that lacks a line for want of memory is no reason to give up. */
static void take_for_people(void *context, const char *name, const char *old, const char *new)
{
	if (!old)
		(void)!byoh_buffer_printf(context, NULL, "  %-20s %s (new)\n", name, new);
	else if (!new)
		(void)!byoh_buffer_printf(context, NULL, "  %-20s %s (goes)\n", name, old);
	else if (strcmp(old, new) != 0)
		(void)!byoh_buffer_printf(context, NULL, "  %-20s %s -> %s\n", name, old, new);
}

static bool is_held(const struct byoh_plan *plan, const char *unit)
{
	for (size_t i = 0; i < plan->step_count; i++)
		for (size_t j = 0; j < plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &plan->steps[i].actions[j];

			if (action->kind == BYOH_ACTION_UNIT && strcmp(action->value, "stopped") == 0 &&
			    action->state == BYOH_STATE_DIFFERENT && strcmp(action->subject, unit) == 0)
				return true;
		}
	return false;
}

/* Is it a service that runs, and does it restart (or stay)? */
static bool is_service(const struct byoh_plan *plan, const struct byoh_action *action, bool restarts)
{
	if (action->kind != BYOH_ACTION_UNIT || strcmp(action->value, "started") != 0 || !action->was_active)
		return false;
	return restarts == (action->state == BYOH_STATE_DIFFERENT || is_held(plan, action->subject));
}

static void each_service(const struct byoh_plan *plan, bool restarts,
			 void (*take)(void *context, const char *unit), void *context)
{
	for (size_t i = 0; i < plan->step_count; i++)
		for (size_t j = 0; j < plan->steps[i].action_count; j++)
			if (is_service(plan, &plan->steps[i].actions[j], restarts))
				take(context, plan->steps[i].actions[j].subject);
}

struct line {
	struct byoh_buffer *out;
	const char *head;
	bool begun;
};

static void take_unit(void *context, const char *unit)
{
	struct line *line = context;

	(void)!byoh_buffer_printf(line->out, NULL, "%s%s", line->begun ? ", " : line->head, unit);
	line->begun = true;
}

static void show_services(const struct byoh_plan *plan, struct byoh_buffer *ret, bool restarts)
{
	struct line line = { .out = ret, .head = restarts ? "  restart: " : "  stay as they run: " };

	each_service(plan, restarts, take_unit, &line);
	if (line.begun)
		(void)!byoh_buffer_add_string(ret, "\n", NULL);
}

void byoh_report_upgrade(const struct byoh_plan *plan, const struct byoh_plan_input *input, struct byoh_buffer *ret)
{
	const struct byoh_upgrade *upgrade = upgrade_of(input);

	if (!upgrade)
		return;
	each_component(upgrade->manifest, input->manifest, take_for_people, ret);
	show_services(plan, ret, true);
	show_services(plan, ret, false);
}

static void take_for_json(void *context, const char *name, const char *old, const char *new)
{
	struct byoh_json *json = context;

	byoh_json_begin_object(json);
	byoh_json_field_string(json, "name", name);
	byoh_json_field_string(json, "installed", old);
	byoh_json_field_string(json, "version", new);
	byoh_json_end_object(json);
}

static void take_unit_for_json(void *context, const char *unit)
{
	byoh_json_string(context, unit);
}

void byoh_plan_json_upgrade(struct byoh_json *json, const struct byoh_plan *plan,
			    const struct byoh_plan_input *input)
{
	const struct byoh_upgrade *upgrade = upgrade_of(input);

	if (!upgrade)
		return;
	byoh_json_key(json, "upgrade");
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "name", upgrade->name);
	byoh_json_field_string(json, "version", upgrade->version);
	byoh_json_field_string(json, "kubernetes", upgrade->kubernetes);
	byoh_json_key(json, "components");
	byoh_json_begin_array(json);
	each_component(upgrade->manifest, input->manifest, take_for_json, json);
	byoh_json_end_array(json);
	byoh_json_key(json, "restart");
	byoh_json_begin_array(json);
	each_service(plan, true, take_unit_for_json, json);
	byoh_json_end_array(json);
	byoh_json_key(json, "stay");
	byoh_json_begin_array(json);
	each_service(plan, false, take_unit_for_json, json);
	byoh_json_end_array(json);
	byoh_json_end_object(json);
}
