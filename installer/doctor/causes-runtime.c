/* SPDX-License-Identifier: Apache-2.0 */
/* containerd: its configuration, CRI, the driver of control groups that it shares with the kubelet.
 */
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"
#include "installer/kubernetes-config.h"
#include "installer/steps/steps-internal.h"

static bool mend_config(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	byoh_finding_claims(finding, BYOH_CONTAINERD_CONFIG);
	if (evidence->installed)
		return byoh_finding_mend(finding, "byoh-install repair");
	return byoh_finding_mend(finding, "mend " BYOH_CONTAINERD_CONFIG
					  ", then: systemctl restart containerd");
}

static bool judge_damaged(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	static const char *const needles[] = { "failed to load TOML", "invalid plugin config",
					       NULL };
	size_t length;

	if (byoh_unit_runs(evidence, BYOH_DOCTOR_CONTAINERD) && evidence->containerd.answers &&
	    !evidence->containerd.fault)
		return false;
	/* Docker's line in a file of version 2 has another name's form: containerd ends over it. */
	if (evidence->containerd.cri_disabled_line &&
	    byoh_log_find(evidence->units[BYOH_DOCTOR_CONTAINERD].log,
			  "invalid disabled plugin URI", &length))
		return false;
	if (evidence->containerd.fault)
		byoh_finding_saw(finding, BYOH_CONTAINERD_CONFIG, "%s", evidence->containerd.fault);
	if (!byoh_finding_quotes_any(finding, evidence, BYOH_DOCTOR_CONTAINERD, needles) &&
	    !evidence->containerd.fault)
		return false;
	byoh_finding_says(finding, "containerd cannot read its configuration");
	return mend_config(evidence, finding);
}

static bool judge_cri_disabled(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	char source[64];

	if (!evidence->containerd.cri_disabled_line)
		return false;
	snprintf(source, sizeof(source), BYOH_CONTAINERD_CONFIG ":%u",
		 evidence->containerd.cri_disabled_line);
	byoh_finding_says(
		finding,
		"containerd has CRI switched off, through which the kubelet starts containers");
	byoh_finding_saw(finding, source,
			 "disabled_plugins names cri, as the file of Docker's package does");
	byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET, "unknown service runtime.v1");
	return mend_config(evidence, finding);
}

static bool judge_cri_failed(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	static const char *const needles[] = { "failed to load plugin io.containerd.grpc.v1.cri",
					       "failed to load plugin io.containerd.cri.v1",
					       "failed to load plugin", NULL };
	const char *cri = evidence->containerd.cri;

	if (!cri || strcmp(cri, "error") || evidence->containerd.cri_disabled_line)
		return false;
	byoh_finding_says(finding, "containerd runs without CRI: the plugin did not start");
	byoh_finding_saw(finding, "ctr plugins ls", "cri: %s", cri);
	byoh_finding_quotes_any(finding, evidence, BYOH_DOCTOR_CONTAINERD, needles);
	byoh_finding_claims(finding, BYOH_CONTAINERD_CONFIG);
	byoh_finding_mend(finding, "byoh-install repair");
	return byoh_finding_mend(finding, "systemctl restart containerd");
}

/* From 1.34 on the kubelet asks a containerd 2.x, and its own word does not count. */
static bool driver_comes_from_runtime(const struct byoh_evidence *evidence)
{
	struct byoh_kubernetes_version version;

	return evidence->kubernetes &&
	       byoh_kubernetes_version_parse(evidence->kubernetes, &version, NULL) == 0 &&
	       byoh_kubernetes_at_least(&version, 34, 0);
}

static bool judge_driver(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const char *driver =
		evidence->kubelet.cgroup_driver ? evidence->kubelet.cgroup_driver : "cgroupfs";
	bool systemd = strcmp(driver, "systemd") == 0;
	static const char *const needles[] = { "expected cgroupsPath to be of format",
					       "kubelet cgroup driver", NULL };

	if (!evidence->kubelet.exists || evidence->kubelet.fault ||
	    evidence->containerd.systemd_cgroup < 0 ||
	    systemd == evidence->containerd.systemd_cgroup || driver_comes_from_runtime(evidence))
		return false;
	byoh_finding_says(finding,
			  "kubelet and containerd do not agree on who drives control groups");
	byoh_finding_saw(finding, BYOH_KUBELET_CONFIG, "cgroupDriver: %s", driver);
	byoh_finding_saw(finding, BYOH_CONTAINERD_CONFIG, "SystemdCgroup = %s",
			 evidence->containerd.systemd_cgroup ? "true" : "false");
	byoh_finding_quotes_any(finding, evidence, BYOH_DOCTOR_KUBELET, needles);
	byoh_finding_claims(finding, BYOH_KUBELET_CONFIG);
	mend_config(evidence, finding);
	return byoh_finding_mend(finding, "systemctl restart containerd kubelet");
}

const struct byoh_cause byoh_causes_runtime[] = {
	{ "containerd-config-damaged", 0, BYOH_AREA_RUNTIME, judge_damaged },
	{ "cri-disabled", 0, BYOH_AREA_RUNTIME, judge_cri_disabled },
	{ "cri-failed", 0, BYOH_AREA_RUNTIME, judge_cri_failed },
	{ "cgroup-driver-mismatch", 0, BYOH_AREA_PODS, judge_driver },
	{ 0 },
};
