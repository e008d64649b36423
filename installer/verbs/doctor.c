/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/consult.h"
#include "installer/doctor/report-doctor.h"
#include "installer/report.h"
#include "installer/verbs/verbs.h"

static int tell(const struct byoh_session *session, const struct byoh_evidence *evidence,
		const struct byoh_diagnosis *diagnosis, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	int r = 0;

	if (!session->options.json)
		byoh_report_doctor(evidence, diagnosis, stdout);
	else
		r = byoh_report_doctor_json(evidence, diagnosis, &text, err);
	if (r == 0 && session->options.json)
		r = byoh_report_result(&text, err);
	return r < 0 ? r : diagnosis->count ? 7 : 0;
}

static int run(struct byoh_session *session, struct byoh_error *err)
{
	CLEANUP(byoh_consultation_release) struct byoh_consultation consultation = { 0 };
	int r = byoh_session_enter_host(session, err);

	if (r == 0)
		r = byoh_consult(session, &consultation, err);
	return r < 0 ? r : tell(session, &consultation.evidence, consultation.diagnosis, err);
}

const struct byoh_verb byoh_verb_doctor = {
	"doctor", "[--json]", "Find the cause of a host that does not work, and the command that mends it (exit code 7).", "",
	0, run,
};
