/* SPDX-License-Identifier: Apache-2.0 */
/* A diagnosis in words and in JSON. */
#ifndef BYOH_INSTALLER_DOCTOR_REPORT_DOCTOR_H
#define BYOH_INSTALLER_DOCTOR_REPORT_DOCTOR_H

#include <stdio.h>

#include "installer/doctor/cause.h"

void byoh_report_doctor(const struct byoh_evidence *evidence,
			const struct byoh_diagnosis *diagnosis, FILE *out);
/* Documented in docs/troubleshooting.md: a stable form. */
BYOH_MUST_CHECK int byoh_report_doctor_json(const struct byoh_evidence *evidence,
					    const struct byoh_diagnosis *diagnosis,
					    struct byoh_buffer *ret, struct byoh_error *err);

#endif
