/* SPDX-License-Identifier: Apache-2.0 */
/* What causes say, and what several of them ask of the evidence. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"
#include "installer/kubernetes-config.h"
#include "installer/steps/steps-internal.h"

/* A sentence over its cap loses its end, never its first words. */
static void print(char *ret, size_t size, const char *fmt, va_list args) BYOH_PRINTF(3, 0);
static void print(char *ret, size_t size, const char *fmt, va_list args)
{
	vsnprintf(ret, size, fmt, args);
	byoh_make_printable(ret);
}

bool byoh_finding_says(struct byoh_finding *finding, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print(finding->what, sizeof(finding->what), fmt, args);
	va_end(args);
	return true;
}

bool byoh_finding_saw(struct byoh_finding *finding, const char *source, const char *fmt, ...)
{
	size_t last = finding->evidence_count;
	va_list args;

	if (last == BYOH_FINDING_EVIDENCE_MAX)
		return true;
	snprintf(finding->evidence[last].source, sizeof(finding->evidence[0].source), "%s", source);
	va_start(args, fmt);
	print(finding->evidence[last].text, sizeof(finding->evidence[0].text), fmt, args);
	va_end(args);
	/* One line of a log may hold the words of two questions. */
	for (size_t i = 0; i < last; i++)
		if (strcmp(finding->evidence[i].source, finding->evidence[last].source) == 0 &&
		    strcmp(finding->evidence[i].text, finding->evidence[last].text) == 0)
			return true;
	finding->evidence_count++;
	return true;
}

bool byoh_finding_mend(struct byoh_finding *finding, const char *fmt, ...)
{
	va_list args;

	if (finding->remedy_count == BYOH_FINDING_REMEDIES_MAX)
		return true;
	va_start(args, fmt);
	print(finding->remedies[finding->remedy_count++], sizeof(finding->remedies[0]), fmt, args);
	va_end(args);
	return true;
}

bool byoh_finding_claims(struct byoh_finding *finding, const char *subject)
{
	if (finding->claim_count < BYOH_FINDING_CLAIMS_MAX)
		snprintf(finding->claims[finding->claim_count++], sizeof(finding->claims[0]), "%s",
			 subject);
	return true;
}

const char *byoh_log_find(const char *log, const char *needle, size_t *ret_length)
{
	size_t length = strlen(needle);

	for (const char *end = log ? log + strlen(log) : NULL; end && end > log;) {
		const char *line = end;

		while (line > log && line[-1] != '\n')
			line--;
		for (const char *at = line; at + length <= end; at++)
			if (strncasecmp(at, needle, length) == 0) {
				*ret_length = (size_t)(end - line);
				return line;
			}
		end = line > log ? line - 1 : log;
	}
	return NULL;
}

bool byoh_finding_quotes(struct byoh_finding *finding, const struct byoh_evidence *evidence,
			 enum byoh_doctor_unit unit, const char *needle)
{
	char source[64];
	size_t length;
	const char *line = byoh_log_find(evidence->units[unit].log, needle, &length);

	if (!line)
		return false;
	snprintf(source, sizeof(source), "journal of %s", byoh_doctor_unit_name(unit));
	return byoh_finding_saw(finding, source, "%.*s", length > 390 ? 390 : (int)length, line);
}

bool byoh_finding_quotes_any(struct byoh_finding *finding, const struct byoh_evidence *evidence,
			     enum byoh_doctor_unit unit, const char *const *needles)
{
	for (; *needles; needles++)
		if (byoh_finding_quotes(finding, evidence, unit, *needles))
			return true;
	return false;
}

const char *byoh_doctor_unit_name(enum byoh_doctor_unit unit)
{
	static const char *const names[BYOH_DOCTOR_UNITS] = { "containerd", "kubelet", "kube-proxy",
							      "byoh-hostagent" };

	return names[unit];
}

const char *byoh_doctor_kubeconfig_path(enum byoh_doctor_kubeconfig kubeconfig)
{
	static const char *const paths[BYOH_DOCTOR_KUBECONFIGS] = {
		BYOH_KUBELET_BOOTSTRAP_KUBECONFIG,
		BYOH_KUBELET_KUBECONFIG,
		BYOH_AGENT_BOOTSTRAP,
		BYOH_AGENT_CONFIG,
	};

	return paths[kubeconfig];
}

/* A program that dies again and again is up for a moment each time. */

bool byoh_unit_runs(const struct byoh_evidence *evidence, enum byoh_doctor_unit unit)
{
	const struct byoh_unit_evidence *it = &evidence->units[unit];

	return it->state && strcmp(it->state, "running") == 0;
}

bool byoh_unit_fails(const struct byoh_evidence *evidence, enum byoh_doctor_unit unit)
{
	const struct byoh_unit_evidence *it = &evidence->units[unit];

	if (!it->state)
		return false;
	if (strcmp(it->state, "failed") == 0 || strcmp(it->state, "starting") == 0)
		return true;
	/* One that somebody has just started is given its time. */
	return byoh_unit_runs(evidence, unit) && it->up_seconds < BYOH_STEADY_SECONDS && it->restarts > 0;
}

bool byoh_evidence_is_mode(const struct byoh_evidence *evidence, enum byoh_join_mode mode)
{
	return evidence->config && evidence->config->join_mode == mode;
}

bool byoh_finding_restarts(struct byoh_finding *finding, const struct byoh_evidence *evidence)
{
	static const enum byoh_doctor_unit named[] = { BYOH_DOCTOR_KUBELET, BYOH_DOCTOR_AGENT };
	char names[64] = "";

	for (size_t i = 0; i < ARRAY_SIZE(named); i++) {
		const char *state = evidence->units[named[i]].state;
		size_t length = strlen(names);

		if (state && strcmp(state, "waiting") != 0)
			snprintf(names + length, sizeof(names) - length, " %s",
				 byoh_doctor_unit_name(named[i]));
	}
	return !names[0] || byoh_finding_mend(finding, "systemctl restart%s", names);
}

const char *byoh_evidence_node_name(const struct byoh_evidence *evidence)
{
	return evidence->host ? evidence->host->hostname : "";
}

const struct byoh_drift_evidence *byoh_evidence_drift(const struct byoh_evidence *evidence,
						      const char *kind, const char *subject)
{
	for (size_t i = 0; i < evidence->drift_count; i++)
		if (strcmp(evidence->drifts[i].kind, kind) == 0 &&
		    (!subject || strcmp(evidence->drifts[i].subject, subject) == 0))
			return &evidence->drifts[i];
	return NULL;
}

const char *byoh_doctor_date(uint64_t seconds, char ret[32])
{
	time_t time = (time_t)seconds;
	struct tm parts;

	if (!gmtime_r(&time, &parts) || !strftime(ret, 32, "%Y-%m-%d %H:%M:%S UTC", &parts))
		ret[0] = '\0';
	return ret;
}
