/* SPDX-License-Identifier: Apache-2.0 */
/* join.mode kubeadm: an installation is done when the host is prepared; what becomes of the join is told, and never
 * undoes it. */
#include <string.h>

#include "installer/kubeadm-config.h"
#include "installer/join-answer.h"
#include "installer/report.h"
#include "installer/steps/kubeadm-join.h"
#include "installer/verbs/verbs.h"

static void tell(const struct byoh_session *session, const struct byoh_join_record *join)
{
	if (strcmp(join->state, "joined") == 0 && join->cause[0])
		byoh_report_warning("join: joined, the host has its certificate; but %s; %s", join->cause, join->remedy);
	else if (strcmp(join->state, "joined") == 0)
		byoh_report_line(session, "join: joined");
	else if (strcmp(join->state, "failed") == 0)
		byoh_report_warning("join: failed: %s; %s; then `byoh-install` again (log: " BYOH_KUBEADM_LOG ")",
				    join->cause, join->remedy);
	else if (strcmp(join->state, "later") == 0)
		byoh_report_line(session, "join: pending: %s; it is tried again by itself: %s", join->cause,
				 join->remedy);
	else
		byoh_report_line(session, "join: pending; kubeadm is at work, `byoh-install status` tells how it ends");
}

void byoh_follow_join(struct byoh_session *session)
{
	struct byoh_error err = BYOH_ERROR_INIT;

	if (session->config->join_mode == BYOH_JOIN_KUBEADM && session->changes && session->host->live &&
	    byoh_kubeadm_is_node(session->host->root_fd))
		byoh_report_line(session, "join: joined already; kubeadm is not run again");
	if (!byoh_kubeadm_is_due(&session->plan_input))
		return;
	byoh_report_line(session, "joining %s with kubeadm", session->config->cluster.server);
	if (byoh_kubeadm_start(session->host, session->cancel, &session->join, &err) < 0) {
		session->join.state = NULL;
		byoh_report_warning("join: pending: %s", err.message);
		return;
	}
	tell(session, &session->join);
}

const char *byoh_join_outcome(const struct byoh_session *session)
{
	if (session->join_look)
		return byoh_join_word(session->join_look->reason);
	const struct byoh_config *config = session->config;

	if (config->join_mode == BYOH_JOIN_NONE)
		return "none";
	if (config->join_mode != BYOH_JOIN_KUBEADM)
		return config->cluster.token && config->cluster.ca.size ? "started" : "pending";
	if (byoh_kubeadm_is_node(session->host->root_fd))
		return "joined";
	return session->join.state && strcmp(session->join.state, "failed") == 0 ? "failed" : "pending";
}
