/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "installer/report.h"
#include "installer/verbs/verbs.h"

static int run(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_PREFLIGHT struct byoh_preflight *preflight = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	int r = byoh_session_enter_host(session, err);

	if (r == 0)
		r = byoh_session_open_bundle(session, NULL, err);
	if (r == 0)
		r = byoh_session_load_config(session, err);
	if (r == 0)
		r = byoh_session_find_ca(session, false, err);
	if (r == 0)
		r = byoh_session_make_plan(session, err);
	if (r == 0)
		r = byoh_preflight_run(&session->plan_input, session->options.ignored_preflight,
				       session->state != NULL, &preflight, err);
	if (r < 0)
		return r;
	if (session->options.json)
		r = byoh_report_preflight_json(preflight, &text, err);
	else
		byoh_report_preflight(preflight, true, stdout);
	if (r == 0 && session->options.json)
		r = byoh_report_result(&text, err);
	if (r == 0 && preflight->failed)
		return byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOTSUP, "%zu of the checks failed",
				 preflight->failed);
	return r;
}

const struct byoh_verb byoh_verb_preflight = {
	"preflight", "[--from FILE|DIR|URL]... [--adopt-node] [--ignore-preflight-errors ID,...] [--json]",
	"Check whether the host is fit: what was seen, and what to do about it.",
	" from mirror-ca adopt-node drain drained allow-downgrade ignore-preflight-errors ", 0, run,
};
