/* SPDX-License-Identifier: Apache-2.0 */
/* From a run to a diagnosis: what `doctor` does, and what a support bundle holds of it. */
#ifndef BYOH_INSTALLER_DOCTOR_CONSULT_H
#define BYOH_INSTALLER_DOCTOR_CONSULT_H

#include "installer/doctor/cause.h"
#include "installer/session.h"

struct byoh_consultation {
	struct byoh_node_state node;
	struct byoh_evidence evidence;
	struct byoh_diagnosis *diagnosis;
	char *transaction, *release_fault;
};

void byoh_consultation_release(struct byoh_consultation *consultation);
/* After byoh_session_enter_host. Whatever of the installation is damaged is a part of the evidence
 * and no failure. */
BYOH_MUST_CHECK int byoh_consult(struct byoh_session *session, struct byoh_consultation *ret,
				 struct byoh_error *err);

#endif
