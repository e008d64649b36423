/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `join` changes beyond the plan of every run, in files that others have written: a new CA in place of the old one
 * wherever that stands, and credentials put aside so that a token is asked for again. The ledger forgets these files: they
 * are not given back as they were.
 */
#ifndef BYOH_INSTALLER_STEPS_LATE_H
#define BYOH_INSTALLER_STEPS_LATE_H

#include "installer/plan.h"

/* Adds the steps to a plan that has just been made: for input->config->cluster.old_ca, and where anew is set. */
BYOH_MUST_CHECK int byoh_late_complete(const struct byoh_plan_input *input, bool anew, struct byoh_plan *plan,
				       struct byoh_error *err);

#endif
