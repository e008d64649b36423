/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of byoh-install: short functions over the same plan. None knows the host by itself. */
#ifndef BYOH_INSTALLER_VERBS_VERBS_H
#define BYOH_INSTALLER_VERBS_VERBS_H

#include <time.h>

#include "installer/session.h"

struct byoh_verb {
	const char *name;
	const char *usage;   /* what stands behind the name */
	const char *summary; /* one line; NULL keeps it out of help */
	const char *options; /* names of the options it takes beyond the common ones, with spaces around */
	size_t arguments;    /* how many words that are no options it takes at most */
	/* Returns 0, a positive exit code of its own, or negative with err set. */
	int (*run)(struct byoh_session *session, struct byoh_error *err);
};

extern const struct byoh_verb byoh_verb_install, byoh_verb_plan, byoh_verb_preflight, byoh_verb_verify,
	byoh_verb_inspect, byoh_verb_extract, byoh_verb_status, byoh_verb_join, byoh_verb_settle,
	byoh_verb_repair, byoh_verb_rollback, byoh_verb_uninstall, byoh_verb_doctor,
	byoh_verb_support_bundle, byoh_verb_manifests, byoh_verb_kubeadm_join, byoh_verb_certificates, byoh_verb_boot;

double byoh_seconds_since(const struct timespec *start);
/* What install and join share: lock, check, carry out, tell. */
BYOH_MUST_CHECK int byoh_carry_out(struct byoh_session *session, const char *verb, struct byoh_error *err);
/* Where kubeadm is to join the host and has not: starts it and tells what becomes of it. No failure of the run. */
void byoh_follow_join(struct byoh_session *session);
/* "none", "pending", "started", "joined", "failed"; where join has looked, "denied" too */
const char *byoh_join_outcome(const struct byoh_session *session);
/* Its two halves, for who has something to add to what is told: *ret_changed, the host is another now; then the JSON. */
BYOH_MUST_CHECK int byoh_carry_out_untold(struct byoh_session *session, const char *verb, bool *ret_changed,
					  struct byoh_error *err);
BYOH_MUST_CHECK int byoh_carry_out_tell(struct byoh_session *session, bool changed, struct byoh_error *err);
/* In the system of a boot medium: the disks, and what would be written to which. */
BYOH_MUST_CHECK int byoh_boot_plan(struct byoh_session *session, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_verify_installed(struct byoh_session *session, struct byoh_error *err);

#endif
