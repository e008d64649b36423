/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes secrets out of texts that leave the host. Two ways, since neither is enough: what is known to be one is looked
 * for in every text, in its own form and in base64; and what looks like one goes wherever it stands. Pure.
 */
#ifndef BYOH_INSTALLER_SUPPORT_REDACT_H
#define BYOH_INSTALLER_SUPPORT_REDACT_H

#include <stddef.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"

#define BYOH_SECRET_MIN 6 /* a shorter one would be found by chance everywhere, and make a text unreadable */

struct byoh_redactor;

struct byoh_redactor *byoh_redactor_new(void); /* NULL without memory */
void byoh_redactor_free(struct byoh_redactor *redactor); /* secrets are wiped */
void byoh_redactor_freep(struct byoh_redactor **redactor);
#define CLEANUP_REDACTOR __attribute__((cleanup(byoh_redactor_freep)))

/* One that is known. NULL and what is too short are passed over. */
BYOH_MUST_CHECK int byoh_redactor_add(struct byoh_redactor *redactor, const char *secret, size_t size,
				      struct byoh_error *err);
/* Learns what a file says is one: values of keys like `token` and `password`, private keys, tokens that stand alone. */
BYOH_MUST_CHECK int byoh_redactor_learn(struct byoh_redactor *redactor, const char *text, size_t size,
					struct byoh_error *err);

/*
 * The text with "<redacted>" in the place of every known secret, and of whatever looks like one: private keys in PEM
 * and in base64, bootstrap tokens (their public half stays), signed tokens (JWT), what stands behind Bearer and Basic,
 * values of keys named token, password, auth and the like.
 */
BYOH_MUST_CHECK int byoh_redact(const struct byoh_redactor *redactor, const char *text, size_t size,
				struct byoh_buffer *ret, struct byoh_error *err);

#endif
