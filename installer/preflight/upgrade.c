/* SPDX-License-Identifier: Apache-2.0 */
/* Where a release is installed already: may this one follow it, and does the node have to be empty? */
#include <errno.h>

#include "bundle/base/cleanup.h"
#include "installer/kubernetes-config.h"
#include "installer/net/outside.h"
#include "installer/preflight/checks.h"
#include "installer/steps/drain.h"
#include "installer/upgrade.h"

/* NULL where there is nothing to compare, and report says why. */
static const struct byoh_upgrade *upgrade_of(const struct byoh_plan_input *input,
					     struct byoh_check_report *report)
{
	const struct byoh_upgrade *upgrade = input->upgrade;

	if (!upgrade)
		byoh_check_skip(report, "no release is installed here");
	else if (upgrade->same)
		byoh_check_skip(report, "this release is installed already");
	else if (upgrade->back)
		byoh_check_skip(report, "back to the release that was kept");
	else
		return upgrade;
	return NULL;
}

static int check_kubernetes_skew(const struct byoh_plan_input *input, struct byoh_check_report *report,
				 struct byoh_error *err)
{
	const struct byoh_upgrade *upgrade = upgrade_of(input, report);
	const char *from, *to = input->manifest->kubernetes;
	struct byoh_kubernetes_version old, new;
	enum byoh_kubernetes_change change;
	unsigned int first, last;
	int r;

	if (!upgrade)
		return 0;
	from = upgrade->kubernetes;
	if (!from || !to)
		return byoh_check_skip(report, "one of both releases brings no Kubernetes");
	r = byoh_kubernetes_change(from, to, &change, err);
	if (r < 0)
		return r;
	if (change != BYOH_KUBERNETES_SKIP)
		return byoh_check_pass(report, "%.64s -> %.64s", from, to);
	r = byoh_kubernetes_version_parse(from, &old, err);
	if (r == 0)
		r = byoh_kubernetes_version_parse(to, &new, err);
	if (r < 0)
		return r;
	first = old.minor < new.minor ? old.minor + 1 : new.minor + 1;
	last = old.minor < new.minor ? new.minor - 1 : old.minor - 1;
	if (first == last)
		byoh_check_remedy(report, "install a release of Kubernetes 1.%u first", first);
	else
		byoh_check_remedy(report, "install one release of each of Kubernetes 1.%u to 1.%u in between",
				  first, last);
	return byoh_check_fail(report, "Kubernetes %.64s -> %.64s skips a minor release", from, to);
}

static int check_downgrade(const struct byoh_plan_input *input, struct byoh_check_report *report,
			   struct byoh_error *err)
{
	const struct byoh_upgrade *upgrade = upgrade_of(input, report);
	const struct byoh_manifest *manifest = input->manifest;
	const char *why;

	(void)err;
	if (!upgrade)
		return 0;
	if (!byoh_upgrade_is_downgrade(upgrade, manifest, &why))
		return byoh_check_pass(report, "not older than %.64s %.64s", upgrade->name, upgrade->version);
	byoh_check_remedy(report, "none needed, if it is what you want");
	if (upgrade->allow_downgrade)
		return byoh_check_warn(report, "%.64s %.64s is older than %.64s by its %s: allowed by "
					       "--allow-downgrade",
				       manifest->name, manifest->version, upgrade->version, why);
	byoh_check_remedy(report, "take a newer bundle; `byoh-install rollback` goes back to the release that was "
				  "kept; --allow-downgrade installs this one all the same");
	return byoh_check_fail(report, "%.64s %.64s (Kubernetes %.32s) is older than what is installed, %.64s "
				       "(Kubernetes %.32s), by its %s",
			       manifest->name, manifest->version,
			       manifest->kubernetes ? manifest->kubernetes : "none", upgrade->version,
			       upgrade->kubernetes ? upgrade->kubernetes : "none", why);
}

/* Pods are there for who has been given an identity by a cluster. */
static bool is_node(const struct byoh_plan_input *input)
{
	return input->config->join_mode != BYOH_JOIN_NONE && byoh_drain_is_node(input->host);
}

static int check_drain(const struct byoh_plan_input *input, struct byoh_check_report *report,
		       struct byoh_error *err)
{
	const struct byoh_upgrade *upgrade = upgrade_of(input, report);
	enum byoh_kubernetes_change change;
	int r;

	if (!upgrade)
		return 0;
	r = byoh_kubernetes_change(upgrade->kubernetes, input->manifest->kubernetes, &change, err);
	if (r < 0)
		return r;
	if (!is_node(input))
		return byoh_check_pass(report, "this host is no node of a cluster yet");
	if (upgrade->drained)
		return byoh_check_pass(report, "the operator says that the node is drained");
	if (upgrade->drain)
		return byoh_check_pass(report, "the node is drained before anything is changed");
	if (change == BYOH_KUBERNETES_NONE || change == BYOH_KUBERNETES_PATCH)
		return byoh_check_pass(report, "no minor step of Kubernetes: pods stay");
	byoh_check_remedy(report, "--drain moves the pods away first and lets them come back afterwards; --drained "
				  "says that it is done (kubectl drain %.63s --ignore-daemonsets)",
			  input->host->hostname);
	return byoh_check_fail(report, "Kubernetes %.64s -> %.64s is a minor step, and pods may run here",
			       upgrade->kubernetes, input->manifest->kubernetes);
}

int byoh_check_api_skew(const char *kubelet, const char *server, struct byoh_check_report *report,
			struct byoh_error *err)
{
	struct byoh_kubernetes_version below, above;
	int r = byoh_kubernetes_version_parse(kubelet, &below, err);

	if (r == 0)
		r = byoh_kubernetes_version_parse(server, &above, err);
	if (r < 0)
		return r;
	if (below.minor > above.minor) {
		byoh_check_remedy(report, "upgrade the control plane first, or take a bundle of Kubernetes 1.%u",
				  above.minor);
		return byoh_check_fail(report, "kubelet %.64s is newer than the API server, %.64s", kubelet, server);
	}
	/* kubernetes.io, "Version Skew Policy" */
	if (above.minor - below.minor > (below.minor >= 25 ? 3U : 2U)) {
		byoh_check_remedy(report, "take a bundle of a newer Kubernetes");
		return byoh_check_warn(report, "kubelet %.64s is too old for the API server, %.64s", kubelet, server);
	}
	return byoh_check_pass(report, "kubelet %.64s, API server %.64s", kubelet, server);
}

static int check_api_version(const struct byoh_plan_input *input, struct byoh_check_report *report,
			     struct byoh_error *err)
{
	const struct byoh_config *config = input->config;
	CLEANUP_BUFFER struct byoh_buffer version = { 0 };
	struct byoh_error cause = BYOH_ERROR_INIT;

	if (!byoh_check_has_kubelet(input) || !input->manifest->kubernetes)
		return byoh_check_skip(report, "the bundle brings no kubelet");
	if (config->join_mode == BYOH_JOIN_NONE || !config->cluster.server || !config->cluster.ca.size)
		return byoh_check_skip(report, "the configuration names no API server with its CA");
	if (!input->host->outside || input->host->booting)
		return byoh_check_skip(report, "not asked at a boot");
	if (byoh_outside_api_version(input->host->outside, config->cluster.server, &config->cluster.ca, &version,
				     &cause) == 0)
		return byoh_check_api_skew(input->manifest->kubernetes, byoh_buffer_text(&version), report, err);
	byoh_check_remedy(report, "make sure yourself that it is not older than %.64s: a newer kubelet is not "
				  "supported", input->manifest->kubernetes);
	return byoh_check_warn(report, "%.250s", cause.message);
}

const struct byoh_check byoh_checks_upgrade[] = {
	{ .id = "kubernetes-skew", .run = check_kubernetes_skew },
	{ .id = "downgrade", .run = check_downgrade },
	{ .id = "drain", .live_only = true, .run = check_drain },
	{ .id = "api-version", .live_only = true, .run = check_api_version },
	{ .id = NULL },
};
