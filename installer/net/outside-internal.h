/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the caller's end. */
#ifndef BYOH_INSTALLER_NET_OUTSIDE_INTERNAL_H
#define BYOH_INSTALLER_NET_OUTSIDE_INTERNAL_H

#include "installer/net/outside-protocol.h"
#include "installer/net/outside.h"

/* The stream to the helper that asks the API server; -1 once an answer was missed: later ones would belong to
 * other questions. */
int *byoh_outside_api_fd(struct byoh_outside *outside);

#endif
