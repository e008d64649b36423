/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/report.h"
#include "installer/verbs/verbs.h"

/* Every file is read: damage that no program did leaves no other trace. */
static int run(struct byoh_session *session, struct byoh_error *err)
{
	int r = byoh_session_enter_host(session, err);

	session->thorough = true;
	if (r == 0)
		r = byoh_session_take_host(session, err);
	if (r == 0)
		r = byoh_session_open_installed(session, err);
	if (r == 0)
		r = byoh_session_load_kept_config(session, false, err);
	return r < 0 ? r : byoh_carry_out(session, "repair", err);
}

const struct byoh_verb byoh_verb_repair = {
	"repair", "", "Bring back what drifted, was lost or damaged, from the bundle kept on the host.",
	" ignore-preflight-errors ", 0, run,
};
