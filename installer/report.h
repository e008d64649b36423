/* SPDX-License-Identifier: Apache-2.0 */
/* What a run says: text on stderr, results on stdout. --quiet keeps errors and warnings alone. All text goes
 * into the log of the run as well (installer/log.h). */
#ifndef BYOH_INSTALLER_REPORT_H
#define BYOH_INSTALLER_REPORT_H

#include <stdio.h>

#include "bundle/base/bar.h"
#include "bundle/base/json.h"
#include "installer/preflight/preflight.h"
#include "installer/session.h"
#include "installer/steps/node-state.h"
#include "installer/transaction.h"

void byoh_report_line(const struct byoh_session *session, const char *fmt, ...) BYOH_PRINTF(2, 3);
/* Also with --quiet. */
void byoh_report_warning(const char *fmt, ...) BYOH_PRINTF(1, 2);

/* Shows the fingerprint of a key that the first install trusts. */
BYOH_MUST_CHECK int byoh_report_key(const struct byoh_session *session, const struct byoh_public_key *key,
				    struct byoh_error *err);
/* After an install: the keys that it pinned, and those that the release brought or took back; with --quiet too:
 * whom a host trusts is never decided in silence. */
void byoh_report_pins(const struct byoh_session *session);

/* The release, and each step with how far the host is from it. */
void byoh_report_plan(const struct byoh_session *session, FILE *out);
/* Of an upgrade: the parts whose versions differ, the services that restart and that stay, as lines of text. */
void byoh_report_upgrade(const struct byoh_plan *plan, const struct byoh_plan_input *input,
			 struct byoh_buffer *ret);
/* Failures and warnings; with all, passes too. */
void byoh_report_preflight(const struct byoh_preflight *preflight, bool all, FILE *out);
BYOH_MUST_CHECK int byoh_report_preflight_json(const struct byoh_preflight *preflight,
					       struct byoh_buffer *ret, struct byoh_error *err);

/* An observer that reports for this session; bytes go to session's bar. Whoever takes it is about to change
 * the host: the log of the run is kept from here on. */
struct byoh_observer byoh_report_observer(struct byoh_session *session);
/* For the recovery that precedes every verb, also those that only look: keeps no log by itself. */
struct byoh_observer byoh_report_recovery_observer(struct byoh_session *session);
/* The end of every verb: closes the log. On failure its path is added to err's message. */
void byoh_report_end(struct byoh_session *session, int result, struct byoh_error *err);
/* Removes the progress line before other text. */
void byoh_report_end_progress(struct byoh_session *session);

struct byoh_plan_verdict {
	size_t drifted; /* actions that were carried out once and are not so now */
	size_t later;	/* that wait for the next boot */
};

/* A service that runs with what it was started with, and not with what its files say now. */
#define BYOH_WORD_RESTART "to be restarted"
/* How an action stands, in one word for people and JSON alike: "stopped", "missing", "different", ... */
const char *byoh_report_word(const struct byoh_action *action, bool images_unknown);
/* Asks containerd, where images seem to be missing, whether it answers at all. Before the reports below. */
void byoh_report_ask_images(struct byoh_session *session);
/* Names every action whose state is not what the plan wants. */
struct byoh_plan_verdict byoh_report_drift(const struct byoh_session *session, FILE *out);
/* The same as an array. */
void byoh_report_drift_json(const struct byoh_session *session, struct byoh_json *json,
			    struct byoh_plan_verdict *ret);
/* Each step with how it stands. */
void byoh_report_steps(const struct byoh_session *session, FILE *out);

/* What became of the installed host, beside its plan (report-node.c). */
struct byoh_report_node {
	const struct byoh_node_state *state;
	const char *previous_id;	     /* NULL: no release to go back to */
	const struct byoh_state *previous; /* NULL: unknown */
};
void byoh_report_node(const struct byoh_report_node *node, FILE *out);
/* Fields of the object that has begun. */
void byoh_report_node_json(const struct byoh_report_node *node, struct byoh_json *json);
/* Documented in docs/man/byoh-install.8: a stable form. */
BYOH_MUST_CHECK int byoh_report_status_json(const struct byoh_session *session,
					    const struct byoh_report_node *node, struct byoh_buffer *ret,
					    struct byoh_plan_verdict *ret_verdict, struct byoh_error *err);

/* Writes a result to stdout, whole or an error. */
BYOH_MUST_CHECK int byoh_report_result(const struct byoh_buffer *text, struct byoh_error *err);

#endif
