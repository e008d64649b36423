/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/net/discovery.h"
#include "installer/report.h"
#include "installer/session.h"

/* kubeadm finds it itself, and tries again until it does. */
static bool is_sought(const struct byoh_config *config)
{
	if (config->join_mode != BYOH_JOIN_AGENT && config->join_mode != BYOH_JOIN_TLS_BOOTSTRAP)
		return false;
	return config->cluster.server && config->cluster.ca_pin && config->cluster.token && !config->cluster.ca.size;
}

static int wait_for_network(const struct byoh_session *session, bool required, struct byoh_error *err)
{
	if (required)
		return byoh_fail(err, BYOH_ERROR_CONFIG, ENETUNREACH,
				 "the cluster's CA is known by its pin alone, and is found on the running host only; "
				 "bring it with --ca FILE");
	if (!session->host->booting)
		byoh_report_line(session, "the cluster's CA is known by its pin alone: `byoh-install install` finds it "
					  "on the running host");
	return 0;
}

static int find(struct byoh_session *session, struct byoh_error *err)
{
	struct byoh_config *config = session->config;
	CLEANUP_FREE char *named = NULL;
	int r = byoh_discover_cluster(session->outside, config->cluster.server, config->cluster.token,
				      config->cluster.ca_pin, &config->cluster.ca, &named, err);

	if (r < 0)
		return r;
	config->cluster.ca_discovered = true;
	byoh_report_line(session, "the cluster's CA was found by its pin");
	if (strcmp(named, config->cluster.server) != 0)
		byoh_report_line(session, "the cluster calls its server %s; the host keeps to %s, which is configured",
				 named, config->cluster.server);
	return 0;
}

int byoh_session_find_ca(struct byoh_session *session, bool required, struct byoh_error *err)
{
	struct byoh_error cause = BYOH_ERROR_INIT;
	int r;

	if (!is_sought(session->config))
		return 0;
	if (!session->outside || session->host->booting)
		return wait_for_network(session, required, err);
	r = find(session, &cause);
	if (r == 0)
		return 0;
	/* Not reached, or a token that is late: both may be better soon. Somebody else's answer is not waited for. */
	if (!required && cause.kind == BYOH_ERROR_SYSTEM) {
		byoh_report_warning("the cluster's CA was not found: %s", cause.message);
		return 0;
	}
	*err = cause;
	return byoh_error_wrap(err, r, "finding the cluster's CA by its pin");
}
