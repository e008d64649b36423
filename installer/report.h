/* SPDX-License-Identifier: Apache-2.0 */
/* What a run says: text on stderr, results on stdout. --quiet keeps errors and warnings alone. */
#ifndef BYOH_INSTALLER_REPORT_H
#define BYOH_INSTALLER_REPORT_H

#include <stdio.h>

#include "bundle/base/bar.h"
#include "installer/preflight/preflight.h"
#include "installer/session.h"
#include "installer/transaction.h"

void byoh_report_line(const struct byoh_session *session, const char *fmt, ...) BYOH_PRINTF(2, 3);
/* Also with --quiet. */
void byoh_report_warning(const char *fmt, ...) BYOH_PRINTF(1, 2);

/* Shows the fingerprint of a key that the first install trusts. */
BYOH_MUST_CHECK int byoh_report_key(const struct byoh_session *session, const struct byoh_public_key *key,
				    struct byoh_error *err);
/* After an install that pinned keys; with --quiet too: whom a host trusts is never decided in silence. */
void byoh_report_pins(const struct byoh_session *session);

/* The release, and each step with how far the host is from it. */
void byoh_report_plan(const struct byoh_session *session, FILE *out);
/* Failures and warnings; with all, passes too. */
void byoh_report_preflight(const struct byoh_preflight *preflight, bool all, FILE *out);
BYOH_MUST_CHECK int byoh_report_preflight_json(const struct byoh_preflight *preflight,
					       struct byoh_buffer *ret, struct byoh_error *err);

/* An observer that reports for this session; bytes go to session's bar. */
struct byoh_observer byoh_report_observer(struct byoh_session *session);
/* Removes the progress line before other text. */
void byoh_report_end_progress(struct byoh_session *session);

struct byoh_plan_verdict {
	size_t drifted; /* actions that were carried out once and are not so now */
	size_t later;	/* that wait for the next boot */
};

/* Names every action whose state is not what the plan wants. */
struct byoh_plan_verdict byoh_report_drift(const struct byoh_session *session, FILE *out);
BYOH_MUST_CHECK int byoh_report_status_json(const struct byoh_session *session, struct byoh_buffer *ret,
					    struct byoh_plan_verdict *ret_verdict, struct byoh_error *err);

/* Writes a result to stdout, whole or an error. */
BYOH_MUST_CHECK int byoh_report_result(const struct byoh_buffer *text, struct byoh_error *err);

#endif
