/* SPDX-License-Identifier: Apache-2.0 */
/* What became of an installed host, in words and in JSON: services, agent, node, trust store. */
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "installer/report.h"

static const struct sentence {
	const char *word, *text;
} agent_sentences[] = {
	{ "waiting", "waits for credentials: bring them with `byoh-install join`" },
	{ "unregistered", "has not asked the management cluster yet" },
	{ "requested", "has asked for its certificate: the management cluster has to approve the request" },
	{ "registered", "is registered" },
	{ NULL, NULL },
}, node_sentences[] = {
	{ "prepared", "prepared, joins nothing" },
	{ "waiting", "waits for credentials: bring them with `byoh-install join`" },
	{ "unclaimed", "no cluster has claimed this host" },
	{ "joining", "is about to join its cluster" },
	{ "joined", "joined its cluster" },
	{ "failed", "kubeadm join failed" },
	{ "reset", "the agent has reset this host; `byoh-install repair` makes it ready for the next claim" },
	{ NULL, NULL },
};

static const char *sentence_of(const struct sentence *sentences, const char *word)
{
	for (; sentences->word; sentences++)
		if (strcmp(sentences->word, word) == 0)
			return sentences->text;
	return word;
}

static void format_time(uint64_t seconds, char ret[32])
{
	time_t time = (time_t)seconds;
	struct tm parts;

	if (!gmtime_r(&time, &parts) || !strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &parts))
		ret[0] = '\0';
}

static void tell_previous(const struct byoh_report_node *node, FILE *out)
{
	if (!node->previous_id)
		return;
	if (node->previous && node->previous->name)
		fprintf(out, "before: %s %s; `byoh-install rollback` goes back to it\n", node->previous->name,
			node->previous->version ? node->previous->version : "");
	else
		fprintf(out, "before: %s; `byoh-install rollback` goes back to it\n", node->previous_id);
}

static void tell_services(const struct byoh_node_state *state, FILE *out)
{
	for (size_t i = 0; i < state->service_count; i++)
		fprintf(out, "%s%s %s%s", i ? ", " : "services: ", state->services[i].name,
			state->services[i].state, i + 1 == state->service_count ? "\n" : "");
}

/* Why it is no node yet, where kubeadm has tried. */
static void tell_attempt(const struct byoh_join_record *join, FILE *out)
{
	if (!join->state || !join->cause[0])
		return;
	fprintf(out, "join: %s; %s%s\n", join->cause, join->remedy,
		strcmp(join->state, "later") == 0 ? "; it is tried again by itself" : "");
}

static const struct {
	const char *name, *owner, *remedy; /* of one that has ended, or is about to */
} certificate_words[] = {
	{ "kubelet", "the kubelet's", NULL },
	{ "kubeletServing", "the kubelet's for serving", NULL },
	{ "kubeProxy", "kube-proxy's", "bring it another kubeconfig" },
	{ "agent", "the agent's", "`byoh-certificates.timer` asks for the next one while it holds; after that `byoh-install join --again "
		   "--token-file FILE`" },
	{ "ca", "the CA's", "bring the new CA with `byoh-install join --ca FILE`" },
};

/* By who brought the one that there is. */
static const char *const kubelet_remedies[] = {
	[BYOH_JOIN_AGENT] = "release the host (`kubectl delete machine NAME` in the management cluster), and let it be claimed anew",
	[BYOH_JOIN_KUBEADM] = "`kubectl delete node NAME` on the control plane, here `kubeadm reset -f`, then `byoh-install join "
			      "--token-file FILE`",
	[BYOH_JOIN_TLS_BOOTSTRAP] = "`byoh-install join --again --token-file FILE` gets it another",
	[BYOH_JOIN_NONE] = "join this host anew, in the way it was joined",
};

/* The kubelet looks at the date of the one that it has been given, and never at that of one that it made itself. */
static const char *serving_remedy(const struct byoh_node_certificate *one)
{
	if (one->path && strcmp(one->path, BYOH_KUBELET_OWN_SERVING) == 0)
		return "`rm " BYOH_KUBELET_OWN_SERVING " /var/lib/kubelet/pki/kubelet.key && systemctl restart kubelet` gets it "
		       "another";
	return "the kubelet asks for another, which somebody has to approve: `kubectl get csr`";
}

static const char *remedy_for(const struct byoh_node_state *state, const struct byoh_node_certificate *one,
			      const char *remedy)
{
	if (remedy)
		return remedy;
	return strcmp(one->name, "kubelet") == 0 ? kubelet_remedies[state->join_mode] : serving_remedy(one);
}

/* Clocks of hosts without a network are often wrong: the date stands there to be looked at. */
static void tell_certificate(const struct byoh_node_certificate *one, const char *owner, const char *remedy, FILE *out)
{
	char from[32], until[32];

	format_time(one->begins, from);
	format_time(one->expires, until);
	switch (one->state) {
	case BYOH_CERTIFICATE_UNREADABLE:
		fprintf(out, "certificate: %s cannot be read (%s)\n", owner, one->path ? one->path : "configuration");
		break;
	case BYOH_CERTIFICATE_EARLY:
		fprintf(out, "certificate: %s is valid from %s only; is this host's clock right?\n", owner, from);
		break;
	case BYOH_CERTIFICATE_EXPIRED:
		fprintf(out, "certificate: %s expired at %s; %s\n", owner, until, remedy);
		break;
	case BYOH_CERTIFICATE_SOON:
		fprintf(out, "certificate: %s is valid until %s, and should have been renewed; %s\n", owner, until,
			remedy);
		break;
	default:
		fprintf(out, "certificate: %s is valid until %s\n", owner, until);
	}
}

static void tell_certificates(const struct byoh_node_state *state, FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(certificate_words); i++) {
		const struct byoh_node_certificate *one = byoh_node_certificate(state, certificate_words[i].name);

		if (one)
			tell_certificate(one, certificate_words[i].owner,
					 remedy_for(state, one, certificate_words[i].remedy), out);
	}
}

static void tell_agent(const struct byoh_node_state *state, FILE *out)
{
	if (state->agent_config_fault[0])
		fprintf(out, "agent: %s, and it looks at no other; `byoh-install join --again` puts that aside and lets "
			"it ask anew\n", state->agent_config_fault);
	else if (state->agent)
		fprintf(out, "agent: %s\n", sentence_of(agent_sentences, state->agent));
}

static void tell_network(const struct byoh_node_state *state, FILE *out)
{
	bool hides = strcmp(state->network, "other") == 0 && *state->network_ours;

	if (strcmp(state->network, "none") == 0)
		fputs("network: none yet: containerd waits for a file in /etc/cni/net.d\n", out);
	else if (strcmp(state->network, "headcni") == 0)
		fprintf(out, "network: HeadCNI's%s%s%s\n", *state->network_ours ? "; ours lies beside as " : "",
			state->network_ours,
			*state->network_ours ? ", which is no drift: HeadCNI renames what it finds" : "");
	else
		fprintf(out, "network: by %s%s%s\n", state->network_file, hides ? ", which goes before our " : "",
			hides ? state->network_ours : "");
}

static void tell_proxy(const struct byoh_node_state *state, FILE *out)
{
	const struct byoh_proxy_request *request = &state->proxy_request;

	if (strcmp(request->state, "pending") == 0)
		fprintf(out, "kube-proxy: its certificate request %s waits for approval: kubectl certificate approve %s\n",
			request->name, request->name);
	else if (strcmp(request->state, "unsent") == 0)
		fprintf(out, "kube-proxy: its certificate cannot be asked for: %s\n", request->message);
	else if (request->state[0])
		fprintf(out, "kube-proxy: its certificate request %s was %s%s%s; once somebody has deleted it (kubectl delete "
			     "csr %s), it is sent again\n", request->name,
			strcmp(request->state, "denied") == 0 ? "denied" : "not signed",
			request->message[0] ? ": " : "", request->message, request->name);
}

static void add_proxy(const struct byoh_node_state *state, struct byoh_json *json)
{
	const struct byoh_proxy_request *request = &state->proxy_request;
	char until[32];

	if (state->proxy_expires)
		format_time(state->proxy_expires, until);
	byoh_json_field_string(json, "kubeProxyCertificateExpires", state->proxy_expires ? until : NULL);
	byoh_json_key(json, "kubeProxyRequest");
	if (!request->state[0]) {
		byoh_json_string(json, NULL);
		return;
	}
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "name", request->name);
	byoh_json_field_string(json, "state", request->state);
	byoh_json_field_string(json, "message", request->message);
	byoh_json_end_object(json);
}

void byoh_report_node(const struct byoh_report_node *node, FILE *out)
{
	const struct byoh_node_state *state = node->state;

	tell_previous(node, out);
	tell_services(state, out);
	tell_agent(state, out);
	if (state->service_count)
		fprintf(out, "node: %s\n", sentence_of(node_sentences, state->node));
	if (state->service_count)
		tell_network(state, out);
	tell_attempt(&state->join, out);
	tell_certificates(state, out);
	tell_proxy(state, out);
	if (state->ca_bundle && strcmp(state->ca_bundle, "replaced") == 0)
		fputs("trust: the system's CA certificates were replaced, as the agent does when a cluster claims the "
		      "host; `byoh-install repair`, or `update-ca-certificates`, brings them back\n", out);
}

static void add_previous(const struct byoh_report_node *node, struct byoh_json *json)
{
	byoh_json_key(json, "previous");
	if (!node->previous_id) {
		byoh_json_string(json, NULL);
		return;
	}
	byoh_json_begin_object(json);
	byoh_json_field_string(json, "id", node->previous_id);
	byoh_json_field_string(json, "name", node->previous ? node->previous->name : NULL);
	byoh_json_field_string(json, "version", node->previous ? node->previous->version : NULL);
	byoh_json_field_string(json, "kubernetes", node->previous ? node->previous->kubernetes : NULL);
	byoh_json_end_object(json);
}

static void add_time(struct byoh_json *json, const char *key, uint64_t seconds)
{
	char text[32];

	format_time(seconds, text);
	byoh_json_field_string(json, key, seconds ? text : NULL);
}

static void add_certificates(const struct byoh_node_state *state, struct byoh_json *json)
{
	byoh_json_key(json, "certificates");
	byoh_json_begin_array(json);
	for (size_t i = 0; i < state->certificate_count; i++) {
		const struct byoh_node_certificate *one = &state->certificates[i];

		byoh_json_begin_object(json);
		byoh_json_field_string(json, "name", one->name);
		byoh_json_field_string(json, "path", one->path);
		byoh_json_field_string(json, "state", byoh_certificate_state_word(one->state));
		add_time(json, "begins", one->begins);
		add_time(json, "expires", one->expires);
		byoh_json_end_object(json);
	}
	byoh_json_end_array(json);
}

void byoh_report_node_json(const struct byoh_report_node *node, struct byoh_json *json)
{
	const struct byoh_node_state *state = node->state;

	add_previous(node, json);
	byoh_json_field_bool(json, "rollback", node->previous_id != NULL);
	byoh_json_key(json, "services");
	byoh_json_begin_object(json);
	for (size_t i = 0; i < state->service_count; i++)
		byoh_json_field_string(json, state->services[i].name, state->services[i].state);
	byoh_json_end_object(json);
	byoh_json_field_string(json, "agent", state->agent);
	byoh_json_field_string(json, "node", state->node);
	byoh_json_field_string(json, "network", state->network);
	byoh_json_field_string(json, "networkFile", *state->network_file ? state->network_file : NULL);
	byoh_json_field_string(json, "joinCause", state->join.cause[0] ? state->join.cause : NULL);
	byoh_json_field_string(json, "joinRemedy", state->join.remedy[0] ? state->join.remedy : NULL);
	byoh_json_field_string(json, "certificate", state->certificate);
	add_time(json, "certificateExpires", state->certificate_expires);
	add_certificates(state, json);
	add_proxy(state, json);
	byoh_json_field_string(json, "agentConfig", byoh_agent_config_word(state->agent_config));
	byoh_json_field_string(json, "caBundle", state->ca_bundle);
}
