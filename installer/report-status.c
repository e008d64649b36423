/* SPDX-License-Identifier: Apache-2.0 */
/* How an installed release stands: the words of status and verify --installed. */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "installer/actions/image-store.h"
#include "installer/actions/actions.h"
#include "installer/report.h"

#define IMAGES_UNKNOWN "containerd does not answer"

/* A changed file that is to be kept beside ours is the same drift as ours that is to replace it. */
static bool is_drifted(const struct byoh_action *action)
{
	return byoh_action_is_change(action) && action->kind != BYOH_ACTION_SAVE;
}

static bool is_unknown(const struct byoh_action *action, bool images_unknown)
{
	return images_unknown && action->kind == BYOH_ACTION_IMAGE && is_drifted(action);
}

static const char *unit_word(const struct byoh_action *action)
{
	if (action->value && strcmp(action->value, "started") == 0)
		/* One that runs differs only by what it was started with. */
		return action->state == BYOH_STATE_ABSENT ? "stopped" : BYOH_WORD_RESTART;
	return "running";
}

const char *byoh_report_word(const struct byoh_action *action, bool images_unknown)
{
	if (is_unknown(action, images_unknown))
		return "unknown";
	if (!is_drifted(action))
		return action->state == BYOH_STATE_LATER ? "at boot" : "as installed";
	switch (action->kind) {
	case BYOH_ACTION_UNIT:
		return unit_word(action);
	case BYOH_ACTION_MODULE:
		return "not loaded";
	case BYOH_ACTION_SWAP_OFF:
		return "in use";
	case BYOH_ACTION_REMOVE:
		return "there again";
	case BYOH_ACTION_RELOAD:
		return "to be reloaded";
	default:
		return action->state == BYOH_STATE_ABSENT ? "missing" : "different";
	}
}

void byoh_report_ask_images(struct byoh_session *session)
{
	bool missing = false;

	for (size_t i = 0; i < session->plan->step_count; i++) {
		const struct byoh_step *step = &session->plan->steps[i];

		for (size_t k = 0; k < step->action_count; k++)
			missing |= step->actions[k].kind == BYOH_ACTION_IMAGE && is_drifted(&step->actions[k]);
	}
	session->images_unknown = missing && session->host->live && !byoh_image_store_answers();
}

static void count(const struct byoh_action *action, struct byoh_plan_verdict *verdict)
{
	verdict->later += action->state == BYOH_STATE_LATER;
	verdict->drifted += is_drifted(action);
}

struct byoh_plan_verdict byoh_report_drift(const struct byoh_session *session, FILE *out)
{
	struct byoh_plan_verdict verdict = {0};

	for (size_t i = 0; i < session->plan->step_count; i++) {
		const struct byoh_step *step = &session->plan->steps[i];

		for (size_t k = 0; k < step->action_count; k++) {
			const struct byoh_action *action = &step->actions[k];

			count(action, &verdict);
			if (is_drifted(action))
				fprintf(out, "%s: %s %s is %s%s\n", action->by_agent ? "reset" : "drift",
					byoh_action_kind_name(action->kind), action->subject,
					byoh_report_word(action, session->images_unknown),
					is_unknown(action, session->images_unknown) ? ": " IMAGES_UNKNOWN : "");
		}
	}
	if (!verdict.drifted)
		fputs("no drift\n", out);
	return verdict;
}

static const char *step_word(const struct byoh_step *step, bool images_unknown)
{
	size_t later = 0, drifted = 0, unknown = 0;

	for (size_t i = 0; i < step->action_count; i++) {
		later += step->actions[i].state == BYOH_STATE_LATER;
		drifted += is_drifted(&step->actions[i]);
		unknown += is_unknown(&step->actions[i], images_unknown);
	}
	if (drifted > unknown)
		return "drift";
	if (unknown)
		return "unknown";
	return later ? "at boot" : "done";
}

void byoh_report_steps(const struct byoh_session *session, FILE *out)
{
	for (size_t i = 0; i < session->plan->step_count; i++) {
		const struct byoh_step *step = &session->plan->steps[i];

		fprintf(out, "  %-7s %s\n", step_word(step, session->images_unknown), step->sentence);
		for (size_t k = 0; session->options.verbose && k < step->action_count; k++)
			fprintf(out, "            %s %s (%s)\n", byoh_action_kind_name(step->actions[k].kind),
				step->actions[k].subject,
				byoh_report_word(&step->actions[k], session->images_unknown));
	}
}

static void add_action(const struct byoh_session *session, const struct byoh_step *step,
		       const struct byoh_action *action, struct byoh_json *json)
{
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "step", step->name);
	byoh_json_field_string(json, "kind", byoh_action_kind_name(action->kind));
	byoh_json_field_string(json, "subject", action->subject);
	byoh_json_field_string(json, "state", byoh_report_word(action, session->images_unknown));
	if (is_unknown(action, session->images_unknown))
		byoh_json_field_string(json, "reason", IMAGES_UNKNOWN);
	byoh_json_field_string(json, "cause", action->by_agent ? "agent" : "unknown");
	byoh_json_end_object(json);
}

void byoh_report_drift_json(const struct byoh_session *session, struct byoh_json *json,
			    struct byoh_plan_verdict *ret)
{
	*ret = (struct byoh_plan_verdict){0};
	byoh_json_begin_array(json);
	for (size_t i = 0; i < session->plan->step_count; i++) {
		const struct byoh_step *step = &session->plan->steps[i];

		for (size_t k = 0; k < step->action_count; k++) {
			count(&step->actions[k], ret);
			if (is_drifted(&step->actions[k]))
				add_action(session, step, &step->actions[k], json);
		}
	}
	byoh_json_end_array(json);
}

static void add_steps(const struct byoh_session *session, struct byoh_json *json)
{
	for (size_t i = 0; i < session->plan->step_count; i++) {
		const struct byoh_step *step = &session->plan->steps[i];

		byoh_json_begin_object(json);
		byoh_json_field_string(json, "name", step->name);
		byoh_json_field_string(json, "state", step_word(step, session->images_unknown));
		byoh_json_end_object(json);
	}
}

int byoh_report_status_json(const struct byoh_session *session, const struct byoh_report_node *node,
			    struct byoh_buffer *ret, struct byoh_plan_verdict *ret_verdict,
			    struct byoh_error *err)
{
	const struct byoh_state *state = session->state;
	struct byoh_json json = byoh_json_to(ret);

	byoh_json_begin_object(&json);
	byoh_json_field_bool(&json, "installed", true);
	byoh_json_field_string(&json, "id", state->release_id);
	byoh_json_field_string(&json, "name", state->name);
	byoh_json_field_string(&json, "version", state->version);
	byoh_json_field_string(&json, "kubernetes", state->kubernetes);
	byoh_json_field_string(&json, "joinMode", state->join_mode);
	byoh_json_field_u64(&json, "installedAt", state->installed_at);
	byoh_json_field_bool(&json, "settled", state->settled);
	byoh_report_node_json(node, &json);
	byoh_json_key(&json, "drift");
	byoh_report_drift_json(session, &json, ret_verdict);
	byoh_json_key(&json, "steps");
	byoh_json_begin_array(&json);
	add_steps(session, &json);
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}
