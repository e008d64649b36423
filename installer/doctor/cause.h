/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Causes: a table of small functions over the evidence. Each either finds nothing or says what is
 * wrong, where that was seen, and which command mends it. docs/troubleshooting.md has a row for
 * every id.
 *
 * One cause is named. What only shows in a part of the node that another cause has broken already
 * is that one's consequence, and is dropped; what stands by itself is listed behind.
 */
#ifndef BYOH_INSTALLER_DOCTOR_CAUSE_H
#define BYOH_INSTALLER_DOCTOR_CAUSE_H

#include "installer/doctor/evidence.h"

/* Parts of a node, each needing those that byoh_area_needs says. */
enum byoh_area {
	BYOH_AREA_NETWORK = 1 << 0, /* packets find their way */
	BYOH_AREA_SERVER = 1 << 1,  /* the API server is reached and known */
	BYOH_AREA_RUNTIME = 1 << 2, /* containerd serves */
	BYOH_AREA_KUBELET = 1 << 3, /* the kubelet stays up */
	BYOH_AREA_AGENT = 1 << 4,   /* the agent stays up and is registered */
	BYOH_AREA_JOIN = 1 << 5,    /* the host has its own identity */
	BYOH_AREA_PROXY = 1 << 6,   /* services are reached */
	BYOH_AREA_READY = 1 << 7,   /* the node is Ready */
	BYOH_AREA_PODS = 1 << 8,    /* pods start */
	BYOH_AREA_RELEASE = 1 << 9, /* what is installed is there */
};

#define BYOH_FINDING_EVIDENCE_MAX 4
#define BYOH_FINDING_REMEDIES_MAX 3
#define BYOH_FINDING_CLAIMS_MAX 8

struct byoh_cause;

struct byoh_finding {
	const struct byoh_cause *cause;
	char what[512]; /* a sentence */
	size_t evidence_count, remedy_count, claim_count;
	struct {
		char source[160]; /* a path, "journal of kubelet", "the API server" */
		char text[400];
	} evidence[BYOH_FINDING_EVIDENCE_MAX];
	char remedies[BYOH_FINDING_REMEDIES_MAX][320]; /* commands, in order */
	char claims[BYOH_FINDING_CLAIMS_MAX][160]; /* subjects of drift that this explains */
};

struct byoh_cause {
	const char *id; /* stable */
	/* Seen only by what goes wrong there: where another cause breaks it, this one is not known
	 * to be. 0: a fact that stands by itself. */
	unsigned int seen_in;
	unsigned int breaks;
	/* Returns whether it is so. */
	bool (*judge)(const struct byoh_evidence *evidence, struct byoh_finding *finding);
};

/* The tables, each ended by a row without id, in the order in which they are judged. */
extern const struct byoh_cause byoh_causes_host[], byoh_causes_runtime[], byoh_causes_kubelet[],
	byoh_causes_network[], byoh_causes_identity[], byoh_causes_agent[], byoh_causes_pods[],
	byoh_causes_rest[];

#define BYOH_DIAGNOSIS_MAX 24

struct byoh_diagnosis {
	size_t count; /* the first is the cause, the others are independent of it; 0: nothing is
			 wrong */
	struct byoh_finding findings[BYOH_DIAGNOSIS_MAX];
	size_t symptom_count;
	char symptoms[12][256]; /* what somebody would notice, in words */
};

/* Everything that stops when these parts do, they included. Pure. */
unsigned int byoh_area_closure(unsigned int areas);
/* Pure. ret is large: not for the stack of a thread. */
void byoh_diagnose(const struct byoh_evidence *evidence, struct byoh_diagnosis *ret);

/* For causes. Each returns true, so that one ends with `return byoh_finding_mend(...)`. */
bool byoh_finding_says(struct byoh_finding *finding, const char *fmt, ...) BYOH_PRINTF(2, 3);
bool byoh_finding_saw(struct byoh_finding *finding, const char *source, const char *fmt, ...)
	BYOH_PRINTF(3, 4);
bool byoh_finding_mend(struct byoh_finding *finding, const char *fmt, ...) BYOH_PRINTF(2, 3);
/* By restarting kubelet and agent: those that the host has, and that do not wait for somebody to
 * start them. */
bool byoh_finding_restarts(struct byoh_finding *finding, const struct byoh_evidence *evidence);
/* This path, unit, module, parameter or image differs because of it; "*image": every one of that
 * kind, "*.swap": every path that ends so. */
bool byoh_finding_claims(struct byoh_finding *finding, const char *subject);
/* The last line of a unit's log with the text becomes evidence; false if there is none. */
bool byoh_finding_quotes(struct byoh_finding *finding, const struct byoh_evidence *evidence,
			 enum byoh_doctor_unit unit, const char *needle);
/* The same for the first of a list, ended by NULL, that is there. */
bool byoh_finding_quotes_any(struct byoh_finding *finding, const struct byoh_evidence *evidence,
			     enum byoh_doctor_unit unit, const char *const *needles);

/* "kubelet", "byoh-hostagent", ... */
const char *byoh_doctor_unit_name(enum byoh_doctor_unit unit);
const char *byoh_doctor_kubeconfig_path(enum byoh_doctor_kubeconfig kubeconfig);
/* Not up, though nothing holds it back; or up for so short that nobody knows. */
bool byoh_unit_fails(const struct byoh_evidence *evidence, enum byoh_doctor_unit unit);
bool byoh_unit_runs(const struct byoh_evidence *evidence, enum byoh_doctor_unit unit);
/* kube-proxy runs, and what it hands to iptables-restore is not taken. */
bool byoh_proxy_fails(const struct byoh_evidence *evidence);
bool byoh_evidence_is_mode(const struct byoh_evidence *evidence, enum byoh_join_mode mode);
/* The Node's name to be. */
const char *byoh_evidence_node_name(const struct byoh_evidence *evidence);
const struct byoh_drift_evidence *byoh_evidence_drift(const struct byoh_evidence *evidence,
						      const char *kind, const char *subject);
/* "2027-01-31 12:00:00 UTC" */
const char *byoh_doctor_date(uint64_t seconds, char ret[32]);

#endif
