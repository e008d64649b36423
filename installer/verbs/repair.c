/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/integrity.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

/* What cannot mend the host the next time. A medium can bring the installed one back. */
static int tell_damage(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_bar bar = byoh_bar_start("Verifying", session->options.quiet || session->options.json);
	struct byoh_progress progress = { byoh_bar_report, &bar, session->cancel };
	struct byoh_integrity kept;
	int r = byoh_integrity_open(session->host, &kept, err);

	if (r == 0)
		r = byoh_integrity_check_bundles(&kept, &progress, err);
	byoh_bar_finish(&bar);
	for (size_t i = 0; i < kept.damage_count && r == 0; i++)
		byoh_report_warning("%s: %s: run the medium of that release again", kept.damages[i].path,
				    kept.damages[i].reason);
	byoh_integrity_release(&kept);
	return r;
}

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
	if (r == 0)
		r = byoh_carry_out(session, "repair", err);
	return r < 0 ? r : tell_damage(session, err);
}

const struct byoh_verb byoh_verb_repair = {
	"repair", "", "Bring back what drifted, was lost or damaged, from the bundle kept on the host.",
	" ignore-preflight-errors ", 0, run,
};
