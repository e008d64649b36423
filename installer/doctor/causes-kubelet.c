/* SPDX-License-Identifier: Apache-2.0 */
/* A kubelet that does not start: flags, labels, configuration, CA, port. */
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"
#include "installer/kubernetes-config.h"
#include "installer/steps/steps-internal.h"

#define OUR_UNIT BYOH_UNIT_DIR "/kubelet.service"

static bool judge_ca(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const char *path = evidence->kubelet.ca_file;
	bool said = byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET,
					"unable to load client CA file");

	if (!(path && !evidence->kubelet.ca_exists) &&
	    !(said && byoh_unit_fails(evidence, BYOH_DOCTOR_KUBELET)))
		return false;
	byoh_finding_says(finding, "the cluster's CA, by which the kubelet knows the API server's "
				   "requests, is missing or damaged");
	byoh_finding_saw(finding, BYOH_KUBELET_CONFIG, "clientCAFile: %s%s",
			 path ? path : "(unknown)",
			 evidence->kubelet.ca_exists ? "" : ", which is not there");
	if (path)
		byoh_finding_claims(finding, path);
	byoh_finding_mend(finding, "byoh-install repair");
	return byoh_finding_mend(finding, "byoh-install join --ca FILE");
}

static bool judge_config(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	static const char *const needles[] = { "failed to load kubelet config",
					       "failed to validate kubelet configuration",
					       "invalid kubelet configuration",
					       "invalid configuration:", NULL };

	if (!byoh_unit_fails(evidence, BYOH_DOCTOR_KUBELET))
		return false;
	if (evidence->kubelet.fault)
		byoh_finding_saw(finding, BYOH_KUBELET_CONFIG, "%s", evidence->kubelet.fault);
	if (!byoh_finding_quotes_any(finding, evidence, BYOH_DOCTOR_KUBELET, needles) &&
	    !evidence->kubelet.fault)
		return false;
	byoh_finding_says(finding, "the kubelet cannot use its configuration");
	byoh_finding_claims(finding, BYOH_KUBELET_CONFIG);
	byoh_finding_mend(finding, "byoh-install repair");
	return byoh_finding_mend(finding, "systemctl restart kubelet");
}

/* The word behind "unknown flag: " and its like; "" if it cannot be told. */
static void word_behind(const char *line, size_t length, const char *mark, char ret[64])
{
	const char *at = memmem(line, length, mark, strlen(mark));
	size_t size;

	ret[0] = '\0';
	if (!at)
		return;
	at += strlen(mark);
	size = strcspn(at, " \n\",;)]=");
	if (size < 64 && at + size <= line + length)
		snprintf(ret, 64, "%.*s", (int)size, at);
}

/* `systemctl cat` puts "# /path" before each file: the one that the flag stands in. */
static void find_place(const char *definition, const char *flag, char ret[160])
{
	const char *at = definition && *flag ? strstr(definition, flag) : NULL;

	ret[0] = '\0';
	for (const char *line = definition; at && line && line < at;
	     line = strchr(line, '\n'), line += line != NULL)
		if (strncmp(line, "# /", 3) == 0)
			snprintf(ret, 160, "%.*s", (int)strcspn(line + 2, "\n"), line + 2);
}

static bool mend_flag(const struct byoh_evidence *evidence, struct byoh_finding *finding,
		      const char *flag)
{
	char place[160];

	find_place(evidence->units[BYOH_DOCTOR_KUBELET].definition, flag, place);
	if (place[0])
		byoh_finding_saw(finding, place, "%s", flag);
	byoh_finding_claims(finding, OUR_UNIT);
	byoh_finding_claims(finding, BYOH_KUBEADM_FLAGS);
	if (strcmp(place, OUR_UNIT) == 0 ||
	    (!place[0] && byoh_evidence_drift(evidence, "file", NULL)))
		return byoh_finding_mend(finding, "byoh-install repair");
	byoh_finding_mend(finding, "remove %s from %s", *flag ? flag : "it",
			  place[0] ? place : BYOH_KUBEADM_FLAGS " or /etc/default/kubelet");
	return byoh_finding_mend(finding, "systemctl daemon-reload && systemctl restart kubelet");
}

static bool judge_flag(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	static const char *const marks[] = { "unknown flag: ",
					     "unknown shorthand flag: ",
					     "unrecognized feature gate: ",
					     "cannot set feature gate ",
					     "invalid argument ",
					     NULL };
	char flag[64] = "";
	size_t length;

	if (!byoh_unit_fails(evidence, BYOH_DOCTOR_KUBELET) ||
	    !byoh_finding_quotes_any(finding, evidence, BYOH_DOCTOR_KUBELET, marks))
		return false;
	for (size_t i = 0; marks[i] && !flag[0]; i++) {
		const char *line =
			byoh_log_find(evidence->units[BYOH_DOCTOR_KUBELET].log, marks[i], &length);

		if (line)
			word_behind(line, length, marks[i], flag);
	}
	byoh_finding_says(finding,
			  "the kubelet ends over a flag that its version does not know, or does "
			  "not take so: %s",
			  flag);
	return mend_flag(evidence, finding, flag);
}

static bool judge_label(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!byoh_unit_fails(evidence, BYOH_DOCTOR_KUBELET) ||
	    !byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET,
				 "labels specified with --node-labels"))
		return false;
	byoh_finding_says(finding, "the kubelet ends over a label that a node may not give itself; "
				   "those of roles are set from the control plane");
	mend_flag(evidence, finding, "--node-labels");
	return byoh_finding_mend(finding, "kubectl label node %s LABEL=VALUE",
				 byoh_evidence_node_name(evidence));
}

static bool judge_port(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const char *owner = evidence->net.port_owner;

	if (!owner && !(byoh_unit_fails(evidence, BYOH_DOCTOR_KUBELET) &&
			byoh_log_find(evidence->units[BYOH_DOCTOR_KUBELET].log,
				      "10250: bind: address already in use", &(size_t){ 0 })))
		return false;
	byoh_finding_says(finding, "port 10250 is taken, on which the kubelet is to serve");
	if (owner)
		byoh_finding_saw(finding, "/proc/net/tcp", "%s listens on 10250", owner);
	byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET,
			    "10250: bind: address already in use");
	byoh_finding_mend(finding,
			  owner ? "stop %s; systemctl status PID tells its unit"
				: "ss -ltnp 'sport = :10250'%s",
			  owner ? owner : "");
	return byoh_finding_mend(finding, "systemctl restart kubelet");
}

const struct byoh_cause byoh_causes_kubelet[] = {
	{ "kubelet-flag-unknown", 0, BYOH_AREA_KUBELET, judge_flag },
	{ "kubelet-label-refused", 0, BYOH_AREA_KUBELET, judge_label },
	{ "kubelet-config-damaged", 0, BYOH_AREA_KUBELET, judge_config },
	{ "kubelet-ca-missing", 0, BYOH_AREA_KUBELET, judge_ca },
	{ "port-10250-taken", 0, BYOH_AREA_KUBELET, judge_port },
	{ 0 },
};
