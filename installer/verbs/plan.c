/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "installer/disk/live.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

static int run(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	int r = byoh_session_enter_host(session, err);

	if (r == 0 && byoh_live_is_here(session->host))
		return byoh_boot_plan(session, err);
	if (r == 0)
		r = byoh_session_open_bundle(session, NULL, err);
	if (r == 0)
		r = byoh_session_load_config(session, err);
	if (r == 0)
		r = byoh_session_find_ca(session, false, err);
	if (r == 0)
		r = byoh_session_make_plan(session, err);
	if (r < 0)
		return r;
	if (!session->options.json) {
		byoh_report_plan(session, stdout);
		return 0;
	}
	r = byoh_plan_json(session->plan, &session->plan_input, &text, err);
	return r < 0 ? r : byoh_report_result(&text, err);
}

const struct byoh_verb byoh_verb_plan = {
	"plan", "[--from FILE|DIR|URL]... [--adopt-node] [--json]",
	"Show what install would do and touch nothing; --json makes a file for install --plan.",
	" from mirror-ca adopt-node ", 0, run,
};
