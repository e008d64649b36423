/* SPDX-License-Identifier: Apache-2.0 */
/* What may be taken from a folder that was brought for a join. */
#ifndef BYOH_INSTALLER_JOIN_STICK_H
#define BYOH_INSTALLER_JOIN_STICK_H

#include "installer/session.h"
#include "installer/stick.h"

/*
 * Takes what lies there into the session's configuration:
 *   byoh.yaml, signed by a pinned key: it becomes the configuration, as a whole;
 *   byoh.yaml without a signature: its token, if it is for the server and CA that the host knows;
 *   a kubeconfig, a CA, a token as --kubeconfig, --ca and --token-file take them.
 * guarded: nobody has named the folder, it was plugged in. Then kubeconfig and CA may only say what the host knows.
 * What is not taken is BYOH_ERROR_TRUST.
 */
BYOH_MUST_CHECK int byoh_join_use_stick(struct byoh_session *session, const struct byoh_stick *stick, bool guarded,
					struct byoh_error *err);

#endif
