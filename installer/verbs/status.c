/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "bundle/base/json.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

static int tell_absent(const struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_json json = byoh_json_to(&text);
	int r;

	if (!session->options.json) {
		puts("no release is installed here");
		return 0;
	}
	byoh_json_begin_object(&json);
	byoh_json_field_bool(&json, "installed", false);
	byoh_json_end_object(&json);
	r = byoh_json_finish(&json, err);
	return r < 0 ? r : byoh_report_result(&text, err);
}

static void tell_release(const struct byoh_session *session)
{
	const struct byoh_state *state = session->state;

	printf("%s %s", state->name, state->version);
	if (state->kubernetes)
		printf(" (Kubernetes %s)", state->kubernetes);
	printf(", join mode %s\nid %s\n", state->join_mode, state->release_id);
	if (!state->settled)
		puts("not settled: services and images wait for the next boot");
}

static int tell(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_plan_verdict verdict;
	int r;

	byoh_report_ask_images(session);
	if (session->options.json) {
		r = byoh_report_status_json(session, &text, &verdict, err);
		if (r == 0)
			r = byoh_report_result(&text, err);
		return r < 0 ? r : verdict.drifted ? 7 : 0;
	}
	tell_release(session);
	verdict = byoh_report_drift(session, stdout);
	byoh_report_steps(session, stdout);
	return verdict.drifted ? 7 : 0;
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	int r = byoh_session_enter_host(session, err);

	if (r == 0)
		r = byoh_session_settle_host(session, err);
	if (r == 0 && (!session->state || !session->state->release_id))
		return tell_absent(session, err);
	if (r == 0)
		r = byoh_session_open_installed(session, err);
	if (r == 0)
		r = byoh_session_load_kept_config(session, false, err);
	session->looks_only = true;
	if (r == 0)
		r = byoh_session_make_plan(session, err);
	return r < 0 ? r : tell(session, err);
}

const struct byoh_verb byoh_verb_status = {
	"status", "[--json]", "Show the installed release and what drifted from it (exit code 7).", "", 0, run,
};
