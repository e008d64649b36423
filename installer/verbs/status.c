/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "bundle/base/json.h"
#include "installer/integrity.h"
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

static int tell_json(const struct byoh_session *session, const struct byoh_report_node *node,
		     struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_plan_verdict verdict;
	int r = byoh_report_status_json(session, node, &text, &verdict, err);

	if (r == 0)
		r = byoh_report_result(&text, err);
	return r < 0 ? r : verdict.drifted ? 7 : 0;
}

static int tell(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_STATE struct byoh_state *previous = NULL;
	struct byoh_report_node node = {0};
	struct byoh_plan_verdict verdict;
	struct byoh_node_state state;
	int r = byoh_node_look(session->host, session->config, &state, err);

	if (r == 0)
		r = byoh_integrity_find_previous(session->host, session->state, &previous, &node.previous_id,
						 err);
	if (r < 0)
		return r;
	node.state = &state;
	node.previous = previous;
	byoh_report_ask_images(session);
	byoh_node_excuse(&state, session->plan);
	if (session->options.json)
		return tell_json(session, &node, err);
	tell_release(session);
	byoh_report_node(&node, stdout);
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
	"status", "[--json]", "Show the installed release, its services, agent and node, and what drifted (exit code 7).", "", 0, run,
};
