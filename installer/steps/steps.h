/* SPDX-License-Identifier: Apache-2.0 */
/* The table of steps, in order of execution. Each stands in a file of its own in this folder; a new piece
 * of host knowledge is a new file and a new row. */
#ifndef BYOH_INSTALLER_STEPS_STEPS_H
#define BYOH_INSTALLER_STEPS_STEPS_H

#include "installer/plan.h"

/* Ends with a row of NULLs. */
extern const struct byoh_step_kind byoh_step_kinds[];

#endif
