/* SPDX-License-Identifier: Apache-2.0 */
/* What the host comes to the API server with: tokens, kubeconfigs, requests, certificates. */
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"
#include "installer/kubeadm-config.h"
#include "installer/steps/steps-internal.h"

#define SIGNER_NODE "kubernetes.io/kube-apiserver-client-kubelet"
#define SIGNER_AGENT "kubernetes.io/kube-apiserver-client"

static bool is_joined(const struct byoh_evidence *evidence)
{
	return evidence->kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].exists;
}

static bool is_registered(const struct byoh_evidence *evidence)
{
	return evidence->kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG].exists;
}

static bool is_word(const char *text, const char *word)
{
	return text && strcmp(text, word) == 0;
}

/* By what it came with, as long as it has nothing of its own. */
static const struct byoh_kubeconfig_evidence *bootstrap_of(const struct byoh_evidence *evidence)
{
	return &evidence->kubeconfigs[byoh_evidence_is_mode(evidence, BYOH_JOIN_AGENT)
					      ? BYOH_DOCTOR_AGENT_BOOTSTRAP
					      : BYOH_DOCTOR_KUBELET_BOOTSTRAP];
}

static bool mend_token(struct byoh_finding *finding)
{
	byoh_finding_mend(finding, "on the control plane: kubeadm token create");
	return byoh_finding_mend(finding, "byoh-install join --token-file FILE");
}

static bool judge_missing(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const char *given = byoh_evidence_is_mode(evidence, BYOH_JOIN_KUBEADM) ? BYOH_KUBEADM_CONFIG
			    : byoh_evidence_is_mode(evidence, BYOH_JOIN_AGENT)
				    ? BYOH_AGENT_BOOTSTRAP
				    : BYOH_KUBELET_BOOTSTRAP_KUBECONFIG;

	if (!evidence->installed ||
	    (!is_word(evidence->node.node, "waiting") && !is_word(evidence->node.agent, "waiting")))
		return false;
	byoh_finding_says(finding,
			  "this host has no credentials yet: it was installed without a token");
	byoh_finding_saw(finding, given, "is not there");
	return mend_token(finding);
}

static bool is_needed(const struct byoh_evidence *evidence, enum byoh_doctor_kubeconfig which)
{
	if (which == BYOH_DOCTOR_KUBELET_BOOTSTRAP)
		return !is_joined(evidence);
	return which != BYOH_DOCTOR_AGENT_BOOTSTRAP || !is_registered(evidence);
}

/* Who brought the kubelet its identity has to bring the next: the kubelet keeps a certificate that
 * has not run out, and its kubeconfig, whatever token lies beside them. */
static bool mend_kubelet(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const char *node = byoh_evidence_node_name(evidence);

	if (byoh_evidence_is_mode(evidence, BYOH_JOIN_AGENT)) {
		byoh_finding_mend(finding, "in the management cluster, where it releases the host: "
					   "kubectl delete machine NAME (that of %s)", node);
		return byoh_finding_mend(finding, "byoh-install repair (once the agent has reset "
						  "the host, which is claimed anew then)");
	}
	if (byoh_evidence_is_mode(evidence, BYOH_JOIN_KUBEADM)) {
		byoh_finding_mend(finding, "on the control plane: kubectl delete node %s", node);
		byoh_finding_mend(finding, "kubeadm reset -f");
		return byoh_finding_mend(finding, "byoh-install join --token-file FILE");
	}
	if (byoh_evidence_is_mode(evidence, BYOH_JOIN_NONE))
		return byoh_finding_mend(finding, "join this host anew, in the way it was joined "
						  "(join.mode is none)");
	return byoh_finding_mend(finding, "byoh-install join --again --token-file FILE");
}

static bool mend_kubeconfig(const struct byoh_evidence *evidence, struct byoh_finding *finding,
			    enum byoh_doctor_kubeconfig which)
{
	if (which == BYOH_DOCTOR_KUBELET_BOOTSTRAP || which == BYOH_DOCTOR_AGENT_BOOTSTRAP)
		return byoh_finding_mend(finding, "byoh-install repair");
	if (which == BYOH_DOCTOR_KUBELET_KUBECONFIG)
		return mend_kubelet(evidence, finding);
	return byoh_finding_mend(finding, "byoh-install join --again --token-file FILE");
}

static bool judge_damaged(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	for (enum byoh_doctor_kubeconfig i = 0; i < BYOH_DOCTOR_KUBECONFIGS; i++) {
		const struct byoh_kubeconfig_evidence *it = &evidence->kubeconfigs[i];

		if (!it->exists || !it->fault || !is_needed(evidence, i))
			continue;
		byoh_finding_says(finding, "a kubeconfig is damaged: %s",
				  byoh_doctor_kubeconfig_path(i));
		byoh_finding_saw(finding, byoh_doctor_kubeconfig_path(i), "%s", it->fault);
		byoh_finding_claims(finding, byoh_doctor_kubeconfig_path(i));
		return mend_kubeconfig(evidence, finding, i);
	}
	return false;
}

static bool judge_token(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	static const char *const needles[] = {
		"cannot create certificate signing request: Unauthorized", "Unauthorized", NULL
	};
	const struct byoh_kubeconfig_evidence *bootstrap = bootstrap_of(evidence);
	bool asked = is_word(evidence->api.identity, "token");
	enum byoh_doctor_unit unit = byoh_evidence_is_mode(evidence, BYOH_JOIN_AGENT)
					     ? BYOH_DOCTOR_AGENT
					     : BYOH_DOCTOR_KUBELET;

	if (is_joined(evidence) || is_registered(evidence) ||
	    (asked && evidence->api.status != 401))
		return false;
	if (asked)
		byoh_finding_saw(finding, "the API server", "status 401 for the token of %s",
				 byoh_evidence_is_mode(evidence, BYOH_JOIN_AGENT)
					 ? BYOH_AGENT_BOOTSTRAP
					 : BYOH_KUBELET_BOOTSTRAP_KUBECONFIG);
	if (!byoh_finding_quotes_any(finding, evidence, unit, needles) && !asked)
		return false;
	byoh_finding_claims(finding, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG);
	byoh_finding_claims(finding, BYOH_AGENT_BOOTSTRAP);
	byoh_finding_says(finding,
			  "the API server does not know the token%s%s: it has expired, was "
			  "deleted, or is of another cluster",
			  bootstrap->token_id ? " with the id " : "",
			  bootstrap->token_id ? bootstrap->token_id : "");
	return mend_token(finding);
}

static bool judge_identity(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	bool node = is_word(evidence->api.identity, "node");

	if (evidence->api.status != 401 || (!node && !is_word(evidence->api.identity, "agent")))
		return false;
	byoh_finding_says(finding, "the API server does not accept this host's certificate: the "
				   "cluster was made anew, or its CA was changed");
	byoh_finding_saw(finding, "the API server", "status 401 for the certificate of %s",
			 node ? BYOH_KUBELET_KUBECONFIG : BYOH_AGENT_CONFIG);
	return mend_kubeconfig(evidence, finding,
			       node ? BYOH_DOCTOR_KUBELET_KUBECONFIG : BYOH_DOCTOR_AGENT_CONFIG);
}

static bool judge_expired(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	static const enum byoh_doctor_kubeconfig owned[] = { BYOH_DOCTOR_KUBELET_KUBECONFIG,
							     BYOH_DOCTOR_AGENT_CONFIG };
	char until[32];

	for (size_t i = 0; i < ARRAY_SIZE(owned); i++) {
		const struct byoh_kubeconfig_evidence *it = &evidence->kubeconfigs[owned[i]];

		if (!it->not_after || it->not_after > evidence->time.now)
			continue;
		byoh_finding_says(
			finding, "the certificate by which the API server knows the %s has expired",
			owned[i] == BYOH_DOCTOR_AGENT_CONFIG ? "agent" : "kubelet");
		byoh_finding_saw(finding, byoh_doctor_kubeconfig_path(owned[i]),
				 "its certificate was valid until %s",
				 byoh_doctor_date(it->not_after, until));
		byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET,
				    "certificate has expired");
		return mend_kubeconfig(evidence, finding, owned[i]);
	}
	return false;
}

/* The newest of those that the API server told of, for this signer: kubelets ask again, and wait
 * for the last. */
static const struct byoh_csr_evidence *request_of(const struct byoh_evidence *evidence,
						  const char *signer, const char *state)
{
	const struct byoh_csr_evidence *newest = NULL;

	for (size_t i = 0; i < evidence->api.csr_count; i++) {
		const struct byoh_csr_evidence *csr = &evidence->api.csrs[i];

		if (is_word(csr->signer, signer) && is_word(csr->state, state) &&
		    (!newest || strcmp(csr->created, newest->created) >= 0))
			newest = csr;
	}
	return newest;
}

/* The log remembers the refusal for a while after the right was given. */
static bool judge_forbidden(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (is_joined(evidence) || request_of(evidence, SIGNER_NODE, "pending") ||
	    !byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET,
				 "cannot create resource \"certificatesigningrequests\""))
		return false;
	byoh_finding_says(finding,
			  "the token may not ask for a certificate: its group lacks the right to");
	return byoh_finding_mend(
		finding, "kubectl create clusterrolebinding byoh-node-bootstrapper "
			 "--clusterrole=system:node-bootstrapper --group=system:bootstrappers");
}

static bool mend_denied(struct byoh_finding *finding, const struct byoh_csr_evidence *csr,
			const char *unit)
{
	byoh_finding_mend(finding, "kubectl delete csr %s", csr ? csr->name : "NAME");
	byoh_finding_mend(finding, "systemctl restart %s", unit);
	return byoh_finding_mend(
		finding, "kubectl certificate approve %s (kubectl get csr names the new one)",
		csr ? csr->name : "NAME");
}

static bool judge_denied(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_csr_evidence *csr = request_of(evidence, SIGNER_NODE, "denied");

	/* After a denial the kubelet asks again under the same name, and is told the same. */
	if (is_joined(evidence) || request_of(evidence, SIGNER_NODE, "pending"))
		return false;
	if (!byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET,
				 "certificate signing request is denied") &&
	    !csr)
		return false;
	byoh_finding_says(finding, "the request for this node's certificate was denied");
	if (csr)
		byoh_finding_saw(finding, "the API server", "%s: denied%s%s", csr->name,
				 csr->reason ? ", " : "", csr->reason ? csr->reason : "");
	return mend_denied(finding, csr, "kubelet");
}

static bool judge_pending(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_csr_evidence *csr = request_of(evidence, SIGNER_NODE, "pending"),
				       *denied = request_of(evidence, SIGNER_NODE, "denied");

	if (is_joined(evidence) || !csr)
		return false;
	byoh_finding_says(finding, "the request for this node's certificate waits for approval: %s",
			  csr->name);
	byoh_finding_saw(finding, "the API server", "%s, asked for by %s: pending", csr->name,
			 csr->identity ? csr->identity : "this host");
	if (denied)
		byoh_finding_saw(finding, "the API server", "%s, asked for before: denied",
				 denied->name);
	return byoh_finding_mend(finding, "kubectl certificate approve %s", csr->name);
}

/* Without an answer of the API server: the key waits, and nothing else is known to be wrong. */
static bool judge_asking(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (is_joined(evidence) || !evidence->kubelet.asks ||
	    !byoh_unit_runs(evidence, BYOH_DOCTOR_KUBELET) ||
	    is_word(evidence->api.identity, "token"))
		return false;
	byoh_finding_says(finding,
			  "the kubelet has asked for this node's certificate, and has none yet");
	byoh_finding_saw(finding, "/var/lib/kubelet/pki/kubelet-client.key.tmp",
			 "a key waits for its certificate");
	byoh_finding_mend(finding, "kubectl get csr");
	return byoh_finding_mend(finding, "kubectl certificate approve NAME");
}

static bool judge_kubeadm(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_join_record *join = &evidence->node.join;

	if (is_joined(evidence) ||
	    (!is_word(join->state, "failed") && !is_word(join->state, "later")))
		return false;
	byoh_finding_says(finding, "`kubeadm join` does not get through%s: %s",
			  is_word(join->state, "later") ? ", and is tried again" : "", join->cause);
	byoh_finding_saw(finding, BYOH_JOIN_RECORD_PATH, "%s: %s", join->state, join->cause);
	if (join->remedy[0])
		byoh_finding_mend(finding, "%s", join->remedy);
	byoh_finding_mend(finding, "less /var/log/byoh/kubeadm-join.log");
	return byoh_finding_mend(finding, "systemctl start byoh-kubeadm-join.service");
}

static bool judge_name_taken(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_api_evidence *api = &evidence->api;
	const char *own = evidence->host->machine_id;

	if (!api->node_known || !api->node_exists || !is_word(api->ready, "True") ||
	    !api->node_machine_id || !own || !own[0] || strcmp(api->node_machine_id, own) == 0)
		return false;
	byoh_finding_says(finding,
			  "another machine is the Node %s of this cluster, and is Ready: two hosts "
			  "have one name",
			  byoh_evidence_node_name(evidence));
	byoh_finding_saw(finding, "the API server", "the Node's machineID is %s, its address %s",
			 api->node_machine_id, api->node_address ? api->node_address : "unknown");
	byoh_finding_saw(finding, "/etc/machine-id", "%s", own);
	byoh_finding_mend(finding, "hostnamectl set-hostname NAME (one that no other host has)");
	return byoh_finding_restarts(finding, evidence);
}

const struct byoh_cause byoh_causes_identity[] = {
	{ "credentials-missing", 0, BYOH_AREA_JOIN | BYOH_AREA_AGENT, judge_missing },
	{ "kubeconfig-damaged", 0, BYOH_AREA_JOIN | BYOH_AREA_AGENT, judge_damaged },
	{ "certificate-expired", BYOH_AREA_SERVER, BYOH_AREA_JOIN | BYOH_AREA_AGENT,
	  judge_expired },
	{ "node-name-taken", BYOH_AREA_SERVER, BYOH_AREA_JOIN | BYOH_AREA_AGENT, judge_name_taken },
	{ "certificate-rejected", BYOH_AREA_SERVER | BYOH_AREA_JOIN | BYOH_AREA_AGENT,
	  BYOH_AREA_JOIN | BYOH_AREA_AGENT, judge_identity },
	{ "token-rejected", BYOH_AREA_SERVER | BYOH_AREA_JOIN, BYOH_AREA_JOIN | BYOH_AREA_AGENT,
	  judge_token },
	{ "csr-forbidden", BYOH_AREA_SERVER | BYOH_AREA_JOIN, BYOH_AREA_JOIN, judge_forbidden },
	{ "csr-denied", BYOH_AREA_SERVER | BYOH_AREA_JOIN, BYOH_AREA_JOIN, judge_denied },
	{ "kubeadm-join-failed", BYOH_AREA_SERVER | BYOH_AREA_KUBELET | BYOH_AREA_JOIN,
	  BYOH_AREA_JOIN, judge_kubeadm },
	{ "csr-pending", BYOH_AREA_SERVER, BYOH_AREA_JOIN, judge_pending },
	{ "csr-pending", BYOH_AREA_SERVER | BYOH_AREA_KUBELET | BYOH_AREA_JOIN, BYOH_AREA_JOIN,
	  judge_asking },
	{ 0 },
};
