/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/report.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "installer/log.h"
#include "installer/signers.h"

/* For people: what goes to standard error is what the run has said, and stands in its log. Whoever says
 * something but a warning goes on, so that the action before is done. */
static void emit(FILE *out, const char *fmt, ...) BYOH_PRINTF(2, 3);
static void emit(FILE *out, const char *fmt, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		return;
	}
	fputs(text, out);
	if (out != stderr)
		return;
	byoh_log_done();
	byoh_log_text("%s", text);
}

void byoh_report_line(const struct byoh_session *session, const char *fmt, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;
	int n;

	va_start(args, fmt);
	n = vasprintf(&text, fmt, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		return;
	}
	byoh_log_done();
	byoh_log_text("%s\n", text);
	if (!session->options.quiet)
		fprintf(stderr, "%s\n", text);
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
	byoh_log_text("warning: %s\n", message);
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
	const struct byoh_index *index = byoh_bundle_index(session->bundle);
	char hex[BYOH_DIGEST_HEX_SIZE];
	struct byoh_digest id;

	for (size_t i = 0; i < session->pin_count; i++) {
		if (byoh_public_key_id(&session->pins[i], &id, NULL) < 0)
			continue;
		byoh_digest_hex(&id, hex);
		emit(stderr, "this host trusts bundles signed by %s from now on\n", hex);
	}
	for (size_t i = 0; i < index->file_count; i++)
		if (byoh_signers_is_key_file(index->files[i].path))
			emit(stderr, "this release decides about a key: /%s\n", index->files[i].path);
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

/* "node 1.0 -> 2.0", or one version where both are the same or nothing is installed. */
static void emit_change(FILE *out, const char *name, const char *old, const char *new)
{
	if (old && strcmp(old, new) != 0)
		emit(out, "%s %s -> %s", name, old, new);
	else
		emit(out, "%s %s", name, new);
}

void byoh_report_plan(const struct byoh_session *session, FILE *out)
{
	CLEANUP_BUFFER struct byoh_buffer upgrade = { 0 };
	const struct byoh_manifest *manifest = session->plan_input.manifest;
	char size[32];

	emit_change(out, manifest->name, session->state ? session->state->version : NULL, manifest->version);
	if (manifest->kubernetes) {
		emit_change(out, " (Kubernetes", session->state ? session->state->kubernetes : NULL,
			    manifest->kubernetes);
		emit(out, ")");
	}
	emit(out, ", %s, join mode %s\n", byoh_format_size(manifest->space, size),
	     byoh_join_mode_name(session->config->join_mode));
	if (byoh_bundle_base(session->bundle))
		emit(out, "a delta: what is the same as in %s %s comes from the copy of it that is kept here\n",
		     byoh_bundle_manifest(byoh_bundle_base(session->bundle))->name,
		     byoh_bundle_manifest(byoh_bundle_base(session->bundle))->version);
	byoh_report_upgrade(session->plan, &session->plan_input, &upgrade);
	emit(out, "%s", byoh_buffer_text(&upgrade));
	for (size_t i = 0; i < session->plan->step_count; i++) {
		const struct byoh_step *step = &session->plan->steps[i];

		emit(out, "  %-7s %s\n", state_of(step), step->sentence);
		for (size_t k = 0; session->options.verbose && k < step->action_count; k++)
			emit(out, "            %s %s (%s)\n", byoh_action_kind_name(step->actions[k].kind),
			     step->actions[k].subject, byoh_action_state_name(step->actions[k].state));
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
		emit(out, "  %-7s %-20s %s\n", result_word(report), report->id, report->seen);
		if (*report->remedy && report->result != BYOH_CHECK_PASS)
			emit(out, "                               -> %s\n", report->remedy);
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

/* Is there something to do now? What waits for the boot, or is so already, is no step to a person. */
static bool is_step_now(const struct byoh_step *step)
{
	for (size_t i = 0; i < step->action_count; i++)
		if (step->actions[i].state == BYOH_STATE_ABSENT ||
		    step->actions[i].state == BYOH_STATE_DIFFERENT)
			return true;
	return false;
}

/* Counted when the first one begins: later on what is done is no longer told from what never was to do. */
static void report_step(void *context, const struct byoh_step *step, size_t number, size_t total)
{
	struct byoh_session *session = context;

	(void)number;
	(void)total;
	if (!is_step_now(step))
		return;
	for (size_t i = 0; !session->step_number && i < session->plan->step_count; i++)
		session->step_total += is_step_now(&session->plan->steps[i]);
	byoh_bar_finish(&session->bar);
	byoh_report_line(session, "[%zu/%zu] %s", ++session->step_number, session->step_total, step->sentence);
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

	byoh_log_action(message);
	if (!session->options.verbose || session->options.quiet)
		return;
	byoh_bar_finish(&session->bar);
	fprintf(stderr, "      %s\n", message);
}

struct byoh_observer byoh_report_recovery_observer(struct byoh_session *session)
{
	session->bar = byoh_bar_start("Unpacking", session->options.quiet || session->options.json);
	return (struct byoh_observer){ report_step, report_bytes, report_warning, report_note, session };
}

struct byoh_observer byoh_report_observer(struct byoh_session *session)
{
	session->step_number = session->step_total = 0;
	byoh_log_begin(session->host->root_fd, session->verb);
	return byoh_report_recovery_observer(session);
}

void byoh_report_end(struct byoh_session *session, int result, struct byoh_error *err)
{
	bool failed = result < 0, live = session->host && session->host->live;
	const char *root = !session->host || live ? "" : session->host->root;
	const char *path;
	int errnum = 0;

	byoh_report_end_progress(session);
	if (failed)
		byoh_log_text("failed: %s\n", err->message);
	path = byoh_log_end(session->host ? session->host->root_fd : -1, live, failed, &errnum);
	if (errnum)
		byoh_report_warning("the log of this run could not be written: %s", strerror(errnum));
	if (path && failed)
		byoh_error_remedy(err, "the log is %s%s", root, path);
	else if (path && session->options.verbose)
		byoh_report_line(session, "log: %s%s", root, path);
}

void byoh_report_end_progress(struct byoh_session *session)
{
	byoh_bar_finish(&session->bar);
}

int byoh_report_result(const struct byoh_buffer *text, struct byoh_error *err)
{
	if (fwrite(byoh_buffer_text(text), 1, text->size, stdout) != text->size || fflush(stdout) != 0)
		return byoh_fail_errno(err, "cannot write to standard output");
	return 0;
}
