/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/report.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "bundle/base/json.h"

void byoh_report_line(const struct byoh_session *session, const char *fmt, ...)
{
	va_list args;

	if (session->options.quiet)
		return;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

void byoh_report_warning(const char *fmt, ...)
{
	char message[1280];
	va_list args;

	va_start(args, fmt);
	vsnprintf(message, sizeof(message), fmt, args);
	va_end(args);
	byoh_make_printable(message);
	fprintf(stderr, "warning: %s\n", message);
}

int byoh_report_key(const struct byoh_session *session, const struct byoh_public_key *key,
		    struct byoh_error *err)
{
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_digest id;
	int r = byoh_public_key_id(key, &id, err);

	if (r < 0)
		return r;
	byoh_digest_hex(&id, hex);
	byoh_report_line(session, "this host trusts no key yet; the bundle is signed by\n  %s\n"
				  "compare it with what the publisher told you", hex);
	return 0;
}

void byoh_report_pins(const struct byoh_session *session)
{
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_digest id;

	for (size_t i = 0; i < session->pin_count; i++) {
		if (byoh_public_key_id(&session->pins[i], &id, NULL) < 0)
			continue;
		byoh_digest_hex(&id, hex);
		fprintf(stderr, "this host trusts bundles signed by %s from now on\n", hex);
	}
}

static const char *state_of(const struct byoh_step *step)
{
	size_t later = 0, same = 0, different = 0;

	for (size_t i = 0; i < step->action_count; i++) {
		later += step->actions[i].state == BYOH_STATE_LATER;
		same += step->actions[i].state == BYOH_STATE_SAME;
		different += step->actions[i].state == BYOH_STATE_DIFFERENT;
	}
	if (same == step->action_count)
		return "done";
	if (same + later == step->action_count)
		return "at boot";
	return different ? "change" : "new";
}

void byoh_report_plan(const struct byoh_session *session, FILE *out)
{
	const struct byoh_manifest *manifest = session->plan_input.manifest;
	char size[32];

	fprintf(out, "%s %s", manifest->name, manifest->version);
	if (manifest->kubernetes)
		fprintf(out, " (Kubernetes %s)", manifest->kubernetes);
	fprintf(out, ", %s, join mode %s\n", byoh_format_size(manifest->space, size),
		byoh_join_mode_name(session->config->join_mode));
	for (size_t i = 0; i < session->plan->step_count; i++) {
		const struct byoh_step *step = &session->plan->steps[i];

		fprintf(out, "  %-7s %s\n", state_of(step), step->sentence);
		for (size_t k = 0; session->options.verbose && k < step->action_count; k++)
			fprintf(out, "            %s %s (%s)\n",
				byoh_action_kind_name(step->actions[k].kind), step->actions[k].subject,
				byoh_action_state_name(step->actions[k].state));
	}
}

static const char *result_word(const struct byoh_check_report *report)
{
	static const char *const words[] = { "pass", "warn", "fail", "skipped" };

	return report->result == BYOH_CHECK_FAIL && report->ignored ? "ignored" : words[report->result];
}

void byoh_report_preflight(const struct byoh_preflight *preflight, bool all, FILE *out)
{
	for (size_t i = 0; i < preflight->count; i++) {
		const struct byoh_check_report *report = &preflight->reports[i];

		if (!all && report->result != BYOH_CHECK_FAIL && report->result != BYOH_CHECK_WARN)
			continue;
		fprintf(out, "  %-7s %-20s %s\n", result_word(report), report->id, report->seen);
		if (*report->remedy && report->result != BYOH_CHECK_PASS)
			fprintf(out, "                               -> %s\n", report->remedy);
	}
}

int byoh_report_preflight_json(const struct byoh_preflight *preflight, struct byoh_buffer *ret,
			       struct byoh_error *err)
{
	struct byoh_json json = byoh_json_to(ret);

	byoh_json_begin_object(&json);
	byoh_json_field_u64(&json, "failed", preflight->failed);
	byoh_json_key(&json, "checks");
	byoh_json_begin_array(&json);
	for (size_t i = 0; i < preflight->count; i++) {
		const struct byoh_check_report *report = &preflight->reports[i];

		byoh_json_begin_object(&json);
		byoh_json_field_string(&json, "id", report->id);
		byoh_json_field_string(&json, "result", result_word(report));
		byoh_json_field_string(&json, "seen", report->seen);
		byoh_json_field_string(&json, "remedy", report->remedy);
		byoh_json_end_object(&json);
	}
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}

static void report_step(void *context, const struct byoh_step *step, size_t number, size_t total)
{
	struct byoh_session *session = context;

	byoh_bar_finish(&session->bar);
	byoh_report_line(session, "[%zu/%zu] %s", number, total, step->sentence);
}

static void report_bytes(void *context, uint64_t done, uint64_t total)
{
	struct byoh_session *session = context;

	byoh_bar_report(&session->bar, done, total);
}

static void report_warning(void *context, const char *message)
{
	struct byoh_session *session = context;

	byoh_bar_finish(&session->bar);
	byoh_report_warning("%s", message);
}

static void report_note(void *context, const char *message)
{
	struct byoh_session *session = context;

	if (!session->options.verbose)
		return;
	byoh_bar_finish(&session->bar);
	byoh_report_line(session, "      %s", message);
}

struct byoh_observer byoh_report_observer(struct byoh_session *session)
{
	session->bar = byoh_bar_start("Unpacking", session->options.quiet || session->options.json);
	return (struct byoh_observer){ report_step, report_bytes, report_warning, report_note, session };
}

void byoh_report_end_progress(struct byoh_session *session)
{
	byoh_bar_finish(&session->bar);
}

static bool is_drifted(const struct byoh_action *action, struct byoh_plan_verdict *verdict)
{
	bool later = action->state == BYOH_STATE_LATER;
	bool drifted = action->state == BYOH_STATE_ABSENT || action->state == BYOH_STATE_DIFFERENT;

	verdict->later += later;
	verdict->drifted += drifted;
	return drifted;
}

struct byoh_plan_verdict byoh_report_drift(const struct byoh_session *session, FILE *out)
{
	struct byoh_plan_verdict verdict = {0};

	for (size_t i = 0; i < session->plan->step_count; i++) {
		const struct byoh_step *step = &session->plan->steps[i];

		for (size_t k = 0; k < step->action_count; k++)
			if (is_drifted(&step->actions[k], &verdict))
				fprintf(out, "drift: %s %s is %s\n",
					byoh_action_kind_name(step->actions[k].kind),
					step->actions[k].subject,
					step->actions[k].state == BYOH_STATE_ABSENT ? "missing"
										    : "different");
	}
	if (!verdict.drifted)
		fputs("no drift\n", out);
	return verdict;
}

static void add_drift(const struct byoh_session *session, struct byoh_json *json,
		      struct byoh_plan_verdict *verdict)
{
	for (size_t i = 0; i < session->plan->step_count; i++) {
		const struct byoh_step *step = &session->plan->steps[i];

		for (size_t k = 0; k < step->action_count; k++) {
			if (!is_drifted(&step->actions[k], verdict))
				continue;
			byoh_json_begin_object(json);
			byoh_json_field_string(json, "step", step->name);
			byoh_json_field_string(json, "kind", byoh_action_kind_name(step->actions[k].kind));
			byoh_json_field_string(json, "subject", step->actions[k].subject);
			byoh_json_field_string(json, "state",
					       byoh_action_state_name(step->actions[k].state));
			byoh_json_end_object(json);
		}
	}
}

int byoh_report_status_json(const struct byoh_session *session, struct byoh_buffer *ret,
			    struct byoh_plan_verdict *ret_verdict, struct byoh_error *err)
{
	const struct byoh_state *state = session->state;
	struct byoh_json json = byoh_json_to(ret);

	*ret_verdict = (struct byoh_plan_verdict){0};
	byoh_json_begin_object(&json);
	byoh_json_field_bool(&json, "installed", true);
	byoh_json_field_string(&json, "id", state->release_id);
	byoh_json_field_string(&json, "name", state->name);
	byoh_json_field_string(&json, "version", state->version);
	byoh_json_field_string(&json, "kubernetes", state->kubernetes);
	byoh_json_field_string(&json, "joinMode", state->join_mode);
	byoh_json_field_bool(&json, "settled", state->settled);
	byoh_json_key(&json, "drift");
	byoh_json_begin_array(&json);
	add_drift(session, &json, ret_verdict);
	byoh_json_end_array(&json);
	byoh_json_end_object(&json);
	return byoh_json_finish(&json, err);
}

int byoh_report_result(const struct byoh_buffer *text, struct byoh_error *err)
{
	if (fwrite(byoh_buffer_text(text), 1, text->size, stdout) != text->size || fflush(stdout) != 0)
		return byoh_fail_errno(err, "cannot write to standard output");
	return 0;
}
