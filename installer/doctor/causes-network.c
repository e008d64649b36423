/* SPDX-License-Identifier: Apache-2.0 */
/* The way to the API server, and whether it is the one that it should be. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"
#include "installer/steps/steps-internal.h"

/* Services that talk to the API server, in the order in which their words count. */
static const enum byoh_doctor_unit clients[] = { BYOH_DOCTOR_KUBELET, BYOH_DOCTOR_AGENT,
						 BYOH_DOCTOR_KUBE_PROXY };

/* The server as this host's services know it. */
static const char *server_of(const struct byoh_evidence *evidence)
{
	static const enum byoh_doctor_kubeconfig order[] = {
		BYOH_DOCTOR_KUBELET_KUBECONFIG,
		BYOH_DOCTOR_KUBELET_BOOTSTRAP,
		BYOH_DOCTOR_AGENT_CONFIG,
		BYOH_DOCTOR_AGENT_BOOTSTRAP,
	};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (evidence->kubeconfigs[order[i]].server)
			return evidence->kubeconfigs[order[i]].server;
	return evidence->config && evidence->config->cluster.server
		       ? evidence->config->cluster.server
		       : "the API server";
}

/* Was it asked, and did it answer? Then what services said a while ago does not count any more. */
static bool answers(const struct byoh_evidence *evidence)
{
	return evidence->api.asked && !evidence->api.failure;
}

static bool quotes_clients(const struct byoh_evidence *evidence, struct byoh_finding *finding,
			   const char *const *needles)
{
	for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
		if (byoh_finding_quotes_any(finding, evidence, clients[i], needles))
			return true;
	return false;
}

/* By the answer where it was asked, else by what services say. */
static bool saw(const struct byoh_evidence *evidence, struct byoh_finding *finding, bool failed_so,
		const char *const *needles)
{
	if (answers(evidence) || (evidence->api.asked && !failed_so))
		return false;
	if (failed_so)
		byoh_finding_saw(finding, "the API server", "%s",
				 evidence->api.message ? evidence->api.message
						       : strerror(evidence->api.failure));
	return quotes_clients(evidence, finding, needles) || failed_so;
}

static bool judge_route(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	static const char *const needles[] = { "no default routes found",
					       "unable to select an IP from default routes",
					       "network is unreachable", NULL };

	if (!evidence->net.known || evidence->net.default_route)
		return false;
	byoh_finding_says(finding, "the host has no default route: the kubelet, kube-proxy and the "
				   "agent find no address of their own");
	byoh_finding_saw(finding, "/proc/net/route", "no route to 0.0.0.0/0");
	quotes_clients(evidence, finding, needles);
	byoh_finding_mend(finding, "ip route add default via ADDRESS");
	return byoh_finding_mend(finding,
				 "without a router: ip link add dummy0 type dummy && ip addr add "
				 "203.0.113.254/31 dev dummy0 && ip link set dummy0 up && ip route "
				 "add default via 203.0.113.255 dev dummy0 metric 1000");
}

static bool judge_name(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	static const char *const needles[] = { "no such host", "server misbehaving",
					       "Temporary failure in name resolution", NULL };

	if (!saw(evidence, finding, evidence->api.failure == EADDRNOTAVAIL, needles))
		return false;
	byoh_finding_says(finding, "the API server's name leads to no address: %s",
			  server_of(evidence));
	byoh_finding_mend(
		finding, "add it to host.hosts in /etc/byoh/byoh.yaml, then: byoh-install install");
	return byoh_finding_mend(finding, "mend the servers in /etc/resolv.conf");
}

static const char *why_unreachable(int failure)
{
	switch (failure) {
	case ECONNREFUSED:
		return "nobody listens there: the port is wrong, or the API server is down";
	case ENETUNREACH:
		return "there is no route to it";
	case EHOSTUNREACH:
		return "there is no route to it, or nobody has that address";
	case ETIMEDOUT:
		return "there is no answer: a firewall in between drops packets, or the host is "
		       "down";
	case EPROTO:
		return "who answers there does not speak TLS or HTTP: the port is another's";
	default:
		return "the connection does not come about";
	}
}

static bool is_of_other_cause(int failure)
{
	return failure == EADDRNOTAVAIL || failure == EKEYREJECTED || failure == EREMCHG ||
	       failure == EKEYEXPIRED;
}

static bool judge_reach(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	static const char *const needles[] = {
		"connect: connection refused",	   "connect: no route to host",
		"connect: network is unreachable", "i/o timeout",
		"Client.Timeout exceeded",	   NULL
	};
	int failure = evidence->api.failure;

	if (!saw(evidence, finding, failure && !is_of_other_cause(failure), needles))
		return false;
	byoh_finding_says(finding, "the API server %s is not reached: %s", server_of(evidence),
			  why_unreachable(failure));
	byoh_finding_mend(finding, "ip route get ADDRESS, and let TCP to that port out of this "
				   "host and into the server");
	return byoh_finding_mend(finding, "curl --cacert " BYOH_KUBERNETES_CA " %s/readyz",
				 server_of(evidence));
}

static bool judge_ca(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	static const char *const needles[] = { "certificate signed by unknown authority", NULL };

	if (!saw(evidence, finding, evidence->api.failure == EKEYREJECTED, needles))
		return false;
	byoh_finding_says(finding,
			  "the CA on this host is not that of the API server %s: another "
			  "cluster's, or one of before",
			  server_of(evidence));
	byoh_finding_claims(finding, BYOH_KUBERNETES_CA);
	byoh_finding_claims(finding, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG);
	byoh_finding_claims(finding, BYOH_AGENT_BOOTSTRAP);
	return byoh_finding_mend(
		finding, "byoh-install join --ca FILE (the server's /etc/kubernetes/pki/ca.crt)");
}

static bool judge_certificate_name(const struct byoh_evidence *evidence,
				   struct byoh_finding *finding)
{
	static const char *const needles[] = { "x509: certificate is valid for", NULL };

	if (!saw(evidence, finding, evidence->api.failure == EREMCHG, needles))
		return false;
	byoh_finding_says(finding, "the API server's certificate is for other names than %s",
			  server_of(evidence));
	byoh_finding_mend(finding, "name the server in cluster.server as its certificate does, "
				   "then: byoh-install install");
	return byoh_finding_mend(finding, "or, on the control plane: add the name to certSANs, "
					  "kubeadm init phase certs apiserver");
}

static bool judge_unwell(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!answers(evidence) || evidence->api.status < 500)
		return false;
	byoh_finding_says(finding, "the API server answers, and is not well");
	byoh_finding_saw(finding, "the API server", "status %u", evidence->api.status);
	return byoh_finding_mend(finding,
				 "on the control plane: kubectl get --raw '/readyz?verbose'");
}

const struct byoh_cause byoh_causes_network[] = {
	{ "no-default-route", 0, BYOH_AREA_NETWORK, judge_route },
	{ "server-name-unknown", BYOH_AREA_SERVER, BYOH_AREA_SERVER, judge_name },
	{ "server-unreachable", BYOH_AREA_SERVER, BYOH_AREA_SERVER, judge_reach },
	{ "server-unwell", BYOH_AREA_SERVER, BYOH_AREA_SERVER, judge_unwell },
	{ "ca-mismatch", BYOH_AREA_SERVER, BYOH_AREA_SERVER, judge_ca },
	{ "server-certificate-name", BYOH_AREA_SERVER, BYOH_AREA_SERVER, judge_certificate_name },
	{ 0 },
};
