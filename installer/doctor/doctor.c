/* SPDX-License-Identifier: Apache-2.0 */
/* From evidence to a diagnosis: which causes there are, which of them are but consequences, and
 * which goes first. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"
#include "installer/report.h"

/* The part, and what stops with it at once. */
static const struct {
	unsigned int part, stops;
} needs[] = {
	{ BYOH_AREA_NETWORK, BYOH_AREA_SERVER },
	{ BYOH_AREA_SERVER, BYOH_AREA_AGENT | BYOH_AREA_JOIN | BYOH_AREA_READY | BYOH_AREA_PROXY },
	{ BYOH_AREA_RUNTIME, BYOH_AREA_KUBELET | BYOH_AREA_PODS },
	{ BYOH_AREA_KUBELET, BYOH_AREA_JOIN | BYOH_AREA_READY | BYOH_AREA_PODS },
	{ BYOH_AREA_JOIN, BYOH_AREA_READY | BYOH_AREA_PROXY | BYOH_AREA_PODS },
	{ BYOH_AREA_READY, BYOH_AREA_PODS },
	{ BYOH_AREA_RELEASE,
	  BYOH_AREA_RUNTIME | BYOH_AREA_KUBELET | BYOH_AREA_AGENT | BYOH_AREA_PROXY },
};

unsigned int byoh_area_closure(unsigned int areas)
{
	unsigned int before;

	do {
		before = areas;
		for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
			if (areas & needs[i].part)
				areas |= needs[i].stops;
	} while (areas != before);
	return areas;
}

static unsigned int broken_by(const struct byoh_finding *finding)
{
	return byoh_area_closure(finding->cause->breaks);
}

static void judge_table(const struct byoh_cause *causes, const struct byoh_evidence *evidence,
			struct byoh_diagnosis *ret)
{
	for (; causes->id && ret->count < BYOH_DIAGNOSIS_MAX; causes++) {
		struct byoh_finding *finding = &ret->findings[ret->count];

		memset(finding, 0, sizeof(*finding));
		finding->cause = causes;
		if (causes->judge(evidence, finding))
			ret->count++;
	}
}

static void drop(struct byoh_diagnosis *diagnosis, size_t index)
{
	diagnosis->count--;
	memmove(&diagnosis->findings[index], &diagnosis->findings[index + 1],
		(diagnosis->count - index) * sizeof(diagnosis->findings[0]));
}

/* A fact counts wherever it stands in the tables; what is only seen by its effects, for those
 * behind it. */
static bool is_consequence(const struct byoh_diagnosis *diagnosis, size_t index)
{
	unsigned int seen_in = diagnosis->findings[index].cause->seen_in;

	for (size_t i = 0; seen_in && i < diagnosis->count; i++) {
		const struct byoh_finding *other = &diagnosis->findings[i];

		if (i != index && (i < index || !other->cause->seen_in) &&
		    (broken_by(other) & seen_in))
			return true;
	}
	return false;
}

static void drop_consequences(struct byoh_diagnosis *diagnosis, size_t from)
{
	for (size_t i = from; i < diagnosis->count;)
		if (is_consequence(diagnosis, i))
			drop(diagnosis, i);
		else
			i++;
}

/*
 * Drift: what differs and nothing found so far explains
 */

static unsigned int area_of_unit(const char *unit)
{
	static const struct {
		const char *unit;
		unsigned int area;
	} units[] = {
		{ "containerd.service", BYOH_AREA_RUNTIME },
		{ "kubelet.service", BYOH_AREA_KUBELET },
		{ "kube-proxy.service", BYOH_AREA_PROXY },
		{ "byoh-hostagent.service", BYOH_AREA_AGENT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (strcmp(unit, units[i].unit) == 0)
			return units[i].area;
	return 0;
}

static bool fails(const struct byoh_evidence *evidence, const char *unit)
{
	for (enum byoh_doctor_unit i = 0; i < BYOH_DOCTOR_UNITS; i++) {
		const char *name = byoh_doctor_unit_name(i);

		if (strncmp(unit, name, strlen(name)) == 0 &&
		    strcmp(unit + strlen(name), ".service") == 0)
			return byoh_unit_fails(evidence, i);
	}
	return false;
}

static bool ends_in(const char *text, const char *end)
{
	size_t length = strlen(text), wanted = strlen(end);

	return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

/* "*image": every one of that kind; "*.swap": every path that ends so. */
static bool claims(const char *claim, const struct byoh_drift_evidence *drift)
{
	if (claim[0] != '*')
		return strcmp(claim, drift->subject) == 0;
	return claim[1] == '.' ? ends_in(drift->subject, claim + 1) :
				 strcmp(claim + 1, drift->kind) == 0;
}

static bool is_claimed(const struct byoh_diagnosis *diagnosis, const struct byoh_evidence *evidence,
		       const struct byoh_drift_evidence *drift)
{
	bool unit = strcmp(drift->kind, "unit") == 0;

	if (drift->by_agent || strcmp(drift->word, "unknown") == 0 ||
	    (unit && fails(evidence, drift->subject)))
		return true;
	for (size_t i = 0; i < diagnosis->count; i++) {
		const struct byoh_finding *finding = &diagnosis->findings[i];

		if (unit && (broken_by(finding) & area_of_unit(drift->subject)))
			return true;
		for (size_t k = 0; k < finding->claim_count; k++)
			if (claims(finding->claims[k], drift))
				return true;
	}
	return false;
}

/* What has to be done once the rest is put back: systemd reads its units again, a service its files.
 * That is whose who took them. */
static bool follows(const struct byoh_drift_evidence *drift)
{
	return strcmp(drift->kind, "reload") == 0 ||
	       (strcmp(drift->kind, "unit") == 0 && strcmp(drift->word, BYOH_WORD_RESTART) == 0);
}

/* Of the others at least one is claimed, and none is left. */
static bool explains_rest(const struct byoh_diagnosis *diagnosis,
			  const struct byoh_evidence *evidence)
{
	bool any = false;

	for (size_t i = 0; i < evidence->drift_count; i++) {
		const struct byoh_drift_evidence *drift = &evidence->drifts[i];

		if (follows(drift))
			continue;
		if (!is_claimed(diagnosis, evidence, drift))
			return false;
		any = true;
	}
	return any;
}

static const struct byoh_cause drift_cause = { .id = "drift", .breaks = BYOH_AREA_RELEASE };

static void add_drift(const struct byoh_evidence *evidence, struct byoh_diagnosis *ret)
{
	struct byoh_finding finding = { .cause = &drift_cause };
	bool explained = explains_rest(ret, evidence);
	size_t count = 0;

	for (size_t i = 0; i < evidence->drift_count; i++) {
		const struct byoh_drift_evidence *drift = &evidence->drifts[i];

		if (is_claimed(ret, evidence, drift) || (explained && follows(drift)))
			continue;
		count++;
		byoh_finding_saw(&finding, drift->subject,
				 "%s, as compared with the installed release: %s", drift->kind,
				 drift->word);
	}
	if (!count || ret->count == BYOH_DIAGNOSIS_MAX)
		return;
	byoh_finding_says(&finding,
			  "%zu of the files, settings and services of the installed release are "
			  "not as they were installed",
			  count);
	byoh_finding_mend(&finding, "byoh-install status");
	byoh_finding_mend(&finding, "byoh-install repair");
	ret->findings[ret->count++] = finding;
}

/*
 * Which goes first
 */

/* Drift may be anything, or nothing that matters: it is the cause where nothing better is known. */
static int weight(const struct byoh_finding *finding)
{
	return finding->cause == &drift_cause ? -1 : __builtin_popcount(broken_by(finding));
}

static void put_first(struct byoh_diagnosis *diagnosis)
{
	struct byoh_finding first;
	size_t best = 0;

	for (size_t i = 1; i < diagnosis->count; i++)
		if (weight(&diagnosis->findings[i]) > weight(&diagnosis->findings[best]))
			best = i;
	if (!best)
		return;
	first = diagnosis->findings[best];
	memmove(&diagnosis->findings[1], &diagnosis->findings[0], best * sizeof(first));
	diagnosis->findings[0] = first;
}

static void add_symptom(struct byoh_diagnosis *ret, const char *fmt, ...) BYOH_PRINTF(2, 3);
static void add_symptom(struct byoh_diagnosis *ret, const char *fmt, ...)
{
	char *symptom = ret->symptoms[ret->symptom_count];
	va_list args;

	if (ret->symptom_count == ARRAY_SIZE(ret->symptoms))
		return;
	va_start(args, fmt);
	vsnprintf(symptom, sizeof(ret->symptoms[0]), fmt, args);
	va_end(args);
	byoh_make_printable(symptom);
	ret->symptom_count++;
}

static void add_symptoms_of_api(const struct byoh_api_evidence *api, struct byoh_diagnosis *ret)
{
	if (api->asked && api->failure)
		add_symptom(ret, "the API server: %s",
			    api->message ? api->message : strerror(api->failure));
	else if (api->asked && api->status == 401)
		add_symptom(ret, "the API server does not know this host's credentials");
	if (api->node_known && api->node_exists && api->ready && strcmp(api->ready, "True"))
		add_symptom(ret, "the Node is not Ready: %s",
			    api->ready_message ? api->ready_message : api->ready);
}

static void add_symptoms(const struct byoh_evidence *evidence, struct byoh_diagnosis *ret)
{
	size_t images = 0;

	for (enum byoh_doctor_unit i = 0; i < BYOH_DOCTOR_UNITS; i++)
		if (byoh_unit_fails(evidence, i))
			add_symptom(ret, "%s does not stay up (%s)", byoh_doctor_unit_name(i),
				    evidence->units[i].state);
	if (evidence->node.node && strcmp(evidence->node.node, "joining") == 0)
		add_symptom(ret, "the node has not joined its cluster");
	if (evidence->node.agent && strcmp(evidence->node.agent, "registered"))
		add_symptom(ret, "the agent is not registered: %s", evidence->node.agent);
	if (byoh_proxy_fails(evidence))
		add_symptom(ret, "addresses of services do not answer: kube-proxy cannot write its rules");
	for (size_t i = 0; i < evidence->drift_count; i++)
		images += strcmp(evidence->drifts[i].kind, "image") == 0 &&
			  strcmp(evidence->drifts[i].word, "missing") == 0;
	if (images)
		add_symptom(ret, "%zu of the release's images are missing", images);
	add_symptoms_of_api(&evidence->api, ret);
}

void byoh_diagnose(const struct byoh_evidence *evidence, struct byoh_diagnosis *ret)
{
	static const struct byoh_cause *const tables[] = {
		byoh_causes_host,     byoh_causes_runtime, byoh_causes_kubelet, byoh_causes_network,
		byoh_causes_identity, byoh_causes_agent,   byoh_causes_pods,
	};
	size_t known;

	memset(ret, 0, sizeof(*ret));
	add_symptoms(evidence, ret);
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		judge_table(tables[i], evidence, ret);
	drop_consequences(ret, 0);
	add_drift(evidence, ret);
	known = ret->count;
	judge_table(byoh_causes_rest, evidence, ret);
	drop_consequences(ret, known);
	put_first(ret);
}
