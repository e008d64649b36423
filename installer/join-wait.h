/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a join: looked up on the host and asked of the API server with the token itself, whose holder may
 * see certificate requests. Waits for the file that ends it, and asks the server now and then.
 */
#ifndef BYOH_INSTALLER_JOIN_WAIT_H
#define BYOH_INSTALLER_JOIN_WAIT_H

#include "installer/join-answer.h"
#include "installer/session.h"

#define BYOH_JOIN_WAIT_SECONDS 60
#define BYOH_JOIN_WAIT_MAX 86400

/* Does the server take the credentials that the session's configuration holds by now? look->reason is what speaks
 * against them, BYOH_JOIN_STARTED if nothing does. */
BYOH_MUST_CHECK int byoh_join_try(struct byoh_session *session, struct byoh_join_look *look,
				  struct byoh_error *err);
/* Is there somebody on this host already who has a certificate of its own, and so needs no token? */
bool byoh_join_is_joined(const struct byoh_session *session);
/* Until it is decided, for at most that many seconds; changes on the way are reported. Ctrl-C ends the waiting, and
 * is no failure. */
BYOH_MUST_CHECK int byoh_join_wait(struct byoh_session *session, unsigned int seconds, struct byoh_join_look *look,
				   struct byoh_error *err);

#endif
