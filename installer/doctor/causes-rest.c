/* SPDX-License-Identifier: Apache-2.0 */
/* What is left when nothing better is known: a service that fails, a node that is not Ready, with
 * its last words. */
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"

static bool judge_release(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!evidence->release_fault)
		return false;
	byoh_finding_says(finding, "what is installed cannot be compared with its release: the "
				   "copy that is kept is lost or damaged");
	byoh_finding_saw(finding, "/var/lib/byoh/releases", "%s", evidence->release_fault);
	return byoh_finding_mend(
		finding,
		"byoh-install install --from FILE (the medium that it was installed from)");
}

/* Of a program that dies the last words are systemd's; the one before is worth more. */
static void quote_last(const struct byoh_evidence *evidence, enum byoh_doctor_unit unit,
		       struct byoh_finding *finding)
{
	static const char *const words[] = { "command failed", "panic:", "fatal",
					     "failed to run",  "error",	 NULL };
	const char *log = evidence->units[unit].log;
	char source[64];

	if (byoh_finding_quotes_any(finding, evidence, unit, words) || !log)
		return;
	while (strchr(log, '\n') && strchr(log, '\n')[1])
		log = strchr(log, '\n') + 1;
	snprintf(source, sizeof(source), "journal of %s", byoh_doctor_unit_name(unit));
	byoh_finding_saw(finding, source, "%.*s", (int)strcspn(log, "\n"), log);
}

static bool judge_service(const struct byoh_evidence *evidence, enum byoh_doctor_unit unit,
			  struct byoh_finding *finding)
{
	const char *name = byoh_doctor_unit_name(unit), *state = evidence->units[unit].state;

	if (!byoh_unit_fails(evidence, unit) || (state && strcmp(state, "starting") == 0))
		return false;
	byoh_finding_says(finding,
			  "%s does not stay up, for a reason that is not among those known here",
			  name);
	byoh_finding_saw(finding, "systemctl show", "%s is %s", name, state);
	quote_last(evidence, unit, finding);
	byoh_finding_mend(finding, "journalctl -u %s -n 100", name);
	return byoh_finding_mend(finding, "byoh-install support-bundle FILE");
}

static bool judge_containerd(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	return judge_service(evidence, BYOH_DOCTOR_CONTAINERD, finding);
}

static bool judge_kubelet(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	return judge_service(evidence, BYOH_DOCTOR_KUBELET, finding);
}

static bool judge_kube_proxy(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	return judge_service(evidence, BYOH_DOCTOR_KUBE_PROXY, finding);
}

static bool judge_agent(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	return judge_service(evidence, BYOH_DOCTOR_AGENT, finding);
}

static bool judge_silent(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!evidence->containerd.asked || evidence->containerd.answers ||
	    !byoh_unit_runs(evidence, BYOH_DOCTOR_CONTAINERD))
		return false;
	byoh_finding_says(finding, "containerd runs and does not answer");
	byoh_finding_saw(finding, "/run/containerd/containerd.sock", "no answer in 10 seconds");
	return byoh_finding_mend(finding, "systemctl restart containerd");
}

static bool judge_not_ready(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_api_evidence *api = &evidence->api;

	if (!api->node_known || !api->node_exists || !api->ready ||
	    strcmp(api->ready, "True") == 0 ||
	    !evidence->kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].exists)
		return false;
	byoh_finding_says(finding, "the Node is not Ready: %s",
			  api->ready_reason ? api->ready_reason : "it does not say why");
	byoh_finding_saw(finding, "the API server", "Ready is %s: %s", api->ready,
			 api->ready_message ? api->ready_message : "");
	byoh_finding_mend(finding, "kubectl describe node %s", byoh_evidence_node_name(evidence));
	return byoh_finding_mend(finding, "journalctl -u kubelet -n 100");
}

const struct byoh_cause byoh_causes_rest[] = {
	{ "containerd-fails", BYOH_AREA_RUNTIME, BYOH_AREA_RUNTIME, judge_containerd },
	{ "containerd-silent", BYOH_AREA_RUNTIME, BYOH_AREA_RUNTIME, judge_silent },
	{ "kubelet-fails", BYOH_AREA_KUBELET | BYOH_AREA_JOIN, BYOH_AREA_KUBELET, judge_kubelet },
	{ "agent-fails", BYOH_AREA_AGENT, BYOH_AREA_AGENT, judge_agent },
	{ "kube-proxy-fails", BYOH_AREA_PROXY, BYOH_AREA_PROXY, judge_kube_proxy },
	{ "node-not-ready", BYOH_AREA_READY | BYOH_AREA_PODS, BYOH_AREA_READY, judge_not_ready },
	{ "release-damaged", BYOH_AREA_RELEASE, 0, judge_release },
	{ 0 },
};
