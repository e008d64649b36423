/* SPDX-License-Identifier: Apache-2.0 */
/* The agent: what it keeps of an earlier cluster, what it skips, what it overwrites, what it leaves
 * behind. */
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/ca-list.h"
#include "installer/doctor/cause.h"
#include "installer/steps/kubeadm-join.h"
#include "installer/steps/steps-internal.h"

#define SIGNER "kubernetes.io/kube-apiserver-client"

static bool is_word(const char *text, const char *word)
{
	return text && strcmp(text, word) == 0;
}

static bool judge_stale(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_kubeconfig_evidence
		*own = &evidence->kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG],
		*given = &evidence->kubeconfigs[BYOH_DOCTOR_AGENT_BOOTSTRAP];
	bool server, ca;

	if (!own->exists || own->fault || !given->exists || given->fault || !own->server ||
	    !given->server)
		return false;
	server = strcmp(own->server, given->server);
	ca = own->ca.size && given->ca.size && !byoh_ca_is_shared(&own->ca, &given->ca);
	if (!server && !ca)
		return false;
	byoh_finding_says(finding,
			  "the agent goes by what an earlier cluster gave it: " BYOH_AGENT_CONFIG
			  " wins over the bootstrap kubeconfig as long as it is there");
	byoh_finding_saw(finding, BYOH_AGENT_CONFIG, "server %s%s", own->server,
			 ca ? ", another CA" : "");
	byoh_finding_saw(finding, BYOH_AGENT_BOOTSTRAP, "server %s", given->server);
	byoh_finding_mend(finding, "rm " BYOH_AGENT_CONFIG);
	return byoh_finding_mend(finding, "systemctl restart byoh-hostagent");
}

static const struct byoh_csr_evidence *request_of(const struct byoh_evidence *evidence,
						  const char *state)
{
	for (size_t i = evidence->api.csr_count; i-- > 0;) {
		const struct byoh_csr_evidence *csr = &evidence->api.csrs[i];

		if (is_word(csr->signer, SIGNER) && is_word(csr->state, state))
			return csr;
	}
	return NULL;
}

static const struct byoh_csr_evidence *request_of_other_key(const struct byoh_evidence *evidence)
{
	for (size_t i = 0; i < evidence->api.csr_count; i++)
		if (is_word(evidence->api.csrs[i].signer, SIGNER) &&
		    evidence->api.csrs[i].other_key)
			return &evidence->api.csrs[i];
	return NULL;
}

static bool judge_stale_request(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_csr_evidence *csr = request_of_other_key(evidence);

	if (!csr || evidence->kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG].exists)
		return false;
	byoh_finding_says(finding,
			  "a request of an earlier installation of this host is in the way: %s is "
			  "for another key, and the agent never gets a certificate by it",
			  csr->name);
	byoh_finding_saw(finding, "the API server",
			 "%s: %s, and its key is not the one that waits here", csr->name,
			 csr->state);
	byoh_finding_mend(finding, "kubectl delete csr %s", csr->name);
	return byoh_finding_mend(finding, "systemctl restart byoh-hostagent");
}

static bool judge_denied(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_csr_evidence *csr = request_of(evidence, "denied");

	if (!csr || evidence->kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG].exists)
		return false;
	byoh_finding_says(finding, "the agent's request for its certificate was denied: %s",
			  csr->name);
	byoh_finding_saw(finding, "the API server", "%s: denied%s%s", csr->name,
			 csr->reason ? ", " : "", csr->reason ? csr->reason : "");
	byoh_finding_mend(finding, "kubectl delete csr %s", csr->name);
	return byoh_finding_mend(finding, "systemctl restart byoh-hostagent");
}

static bool judge_pending(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_csr_evidence *csr = request_of(evidence, "pending");
	const char *name = csr ? csr->name : NULL;

	if (evidence->kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG].exists ||
	    (!csr && (!is_word(evidence->node.agent, "requested") ||
		      is_word(evidence->api.identity, "token"))))
		return false;
	byoh_finding_says(finding, "the agent's request for its certificate waits for approval");
	if (csr)
		byoh_finding_saw(finding, "the API server", "%s: pending", name);
	else
		byoh_finding_saw(finding, "/var/lib/byoh/byoh-client.key.tmp",
				 "a key waits for its certificate");
	if (csr)
		return byoh_finding_mend(finding, "kubectl certificate approve %s", name);
	return byoh_finding_mend(finding, "kubectl certificate approve byoh-csr-%s",
				 byoh_evidence_node_name(evidence));
}

static bool judge_skipped(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	/* Where our own unit has tried in its stead, what came of that is the cause. */
	if (!evidence->kubeadm_join_config || evidence->node.join.state ||
	    evidence->kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].exists ||
	    (!evidence->claim_said && !byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_AGENT, "bootstrapped")))
		return false;
	if (evidence->claim_said)
		byoh_finding_saw(finding, "journal of byoh-hostagent", "%.390s", evidence->claim_said);
	byoh_finding_says(finding,
			  "the agent says that it has joined the host, and skipped `kubeadm join`: "
			  "agents from 0.5.6 on pass over commands with & in them");
	byoh_finding_saw(finding, "/run/kubeadm/kubeadm-join-config.yaml", "is there");
	byoh_finding_saw(finding, BYOH_KUBELET_KUBECONFIG, "is not");
	byoh_finding_claims(finding, BYOH_KUBEADM_PATH_UNIT);
	byoh_finding_mend(finding, "systemctl start byoh-kubeadm-join.service");
	return byoh_finding_mend(finding,
				 "kubeadm join --config /run/kubeadm/kubeadm-join-config.yaml");
}

static bool judge_port(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!byoh_unit_fails(evidence, BYOH_DOCTOR_AGENT) ||
	    !byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_AGENT,
				 "bind: address already in use"))
		return false;
	byoh_finding_says(finding,
			  "the port of the agent's metrics is taken, and the agent ends over it");
	return byoh_finding_mend(
		finding,
		"set agent.metrics: \"0\" in /etc/byoh/byoh.yaml, then: byoh-install install");
}

static bool judge_reset(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!evidence->node.reset)
		return false;
	byoh_finding_says(finding, "the agent has reset this host: a cluster released it, and its "
				   "next claim needs it ready");
	byoh_finding_saw(finding, "/etc/kubernetes", "is not there, nor is /var/lib/kubelet");
	return byoh_finding_mend(finding, "byoh-install repair");
}

static bool judge_left_behind(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_api_evidence *api = &evidence->api;

	if (!byoh_evidence_is_mode(evidence, BYOH_JOIN_AGENT) || evidence->node.claimed ||
	    !api->node_known || !api->node_exists || is_word(api->ready, "True"))
		return false;
	byoh_finding_says(finding,
			  "the Node %s stayed in the cluster when it released this host: agents "
			  "before 0.5.80 leave it, and later ones may lack the right to delete it",
			  byoh_evidence_node_name(evidence));
	byoh_finding_saw(finding, "the API server", "there is a Node %s, and it is not Ready",
			 byoh_evidence_node_name(evidence));
	byoh_finding_saw(finding, BYOH_KUBELET_KUBECONFIG,
			 "is not there: no cluster has claimed this host");
	return byoh_finding_mend(finding, "kubectl delete node %s",
				 byoh_evidence_node_name(evidence));
}

static bool judge_ca_bundle(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!is_word(evidence->node.ca_bundle, "replaced"))
		return false;
	byoh_finding_says(finding,
			  "the agent replaced the system's CA certificates by the cluster's: "
			  "registries, mirrors and proxies are not trusted any more");
	byoh_finding_saw(finding, "/etc/ssl/certs/ca-certificates.crt",
			 "lacks most of /var/lib/byoh/ca-certificates.crt");
	/* What guards it would have put it back. */
	byoh_finding_claims(finding, "/etc/ssl/certs/ca-certificates.crt");
	byoh_finding_claims(finding, BYOH_CA_GUARD_UNIT);
	return byoh_finding_mend(finding, "byoh-install repair");
}

/* Who reads the token can join as a node, so it is worth saying; it keeps nobody from joining. */
static bool judge_mode(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	for (enum byoh_doctor_kubeconfig i = 0; i < BYOH_DOCTOR_KUBECONFIGS; i++) {
		const char *path = byoh_doctor_kubeconfig_path(i);

		if (!evidence->kubeconfigs[i].exists || !(evidence->kubeconfigs[i].mode & 077))
			continue;
		byoh_finding_saw(finding, path, "mode %04o",
				 (unsigned int)evidence->kubeconfigs[i].mode & 07777);
		byoh_finding_claims(finding, path);
		byoh_finding_mend(finding, "chmod 600 %s", path);
	}
	return finding->evidence_count &&
	       byoh_finding_says(finding,
				 "a kubeconfig can be read by others, and its secret with it");
}

const struct byoh_cause byoh_causes_agent[] = {
	{ "agent-config-stale", 0, BYOH_AREA_SERVER, judge_stale },
	{ "agent-csr-stale", BYOH_AREA_SERVER, BYOH_AREA_AGENT, judge_stale_request },
	{ "agent-csr-denied", BYOH_AREA_SERVER | BYOH_AREA_AGENT, BYOH_AREA_AGENT, judge_denied },
	{ "agent-csr-pending", BYOH_AREA_SERVER | BYOH_AREA_AGENT, BYOH_AREA_AGENT, judge_pending },
	{ "agent-port-taken", 0, BYOH_AREA_AGENT, judge_port },
	{ "agent-skipped-join", 0, BYOH_AREA_JOIN, judge_skipped },
	{ "host-reset", 0, BYOH_AREA_RUNTIME, judge_reset },
	{ "node-left-behind", BYOH_AREA_SERVER, 0, judge_left_behind },
	{ "ca-bundle-replaced", 0, 0, judge_ca_bundle },
	{ "kubeconfig-mode", 0, 0, judge_mode },
	{ 0 },
};
