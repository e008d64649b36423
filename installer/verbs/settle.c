/* SPDX-License-Identifier: Apache-2.0 */
/* For byoh-settle.service and byoh-settle-images.service: what a boot has to make good; and for
 * byoh-ca-guard.service: what the agent has replaced. */
#include <errno.h>

#include "installer/report.h"
#include "installer/steps/node-state.h"
#include "installer/verbs/verbs.h"

/* For byoh-ca-guard.service. It takes no lock: the file is the host's, and written whole. */
static int guard(struct byoh_session *session, struct byoh_error *err)
{
	bool mended = false;
	int r = byoh_session_load_kept_config(session, false, err);

	if (r == 0)
		r = byoh_ca_bundle_guard(session->host, session->config, &mended, err);
	if (r == 0 && mended)
		byoh_report_line(session, "the system's CA certificates were replaced by the cluster's alone, and are back");
	return r;
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	int r = byoh_session_enter_host(session, err);

	if (r < 0)
		return r;
	if (session->options.guard_ca)
		return guard(session, err);
	session->host->booting = true;
	r = byoh_session_take_host(session, err);
	/* Another run is at work and has settled everything itself: it may be the one that starts services. */
	if (r == -EBUSY && session->options.recover_only) {
		*err = (struct byoh_error)BYOH_ERROR_INIT;
		return 0;
	}
	if (r < 0 || session->options.recover_only)
		return r;
	if (!session->state || session->state->settled)
		return 0;
	r = byoh_session_open_installed(session, err);
	if (r == 0)
		r = byoh_session_load_kept_config(session, false, err);
	return r < 0 ? r : byoh_carry_out(session, "settle", err);
}

const struct byoh_verb byoh_verb_settle = {
	"settle", "[--recover|--ca-bundle]", NULL, " recover ca-bundle ignore-preflight-errors ", 0, run,
};
