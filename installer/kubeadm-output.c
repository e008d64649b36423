/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/kubeadm-output.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/error.h"
#include "installer/credentials.h"

#define FRESH_TOKEN "make one with `kubeadm token create` and bring it with `byoh-install join --token-file FILE`"
#define LOG "see /var/log/byoh/kubeadm-join.log"
#define TOKEN_LENGTH 23

/* Phrases of its errors. The first that fits counts: what is certain stands before what is vague. A second phrase, where
 * there is one, has to be there too. */
static const struct {
	const char *phrase, *and;
	enum byoh_kubeadm_outcome outcome;
	const char *cause, *remedy;
} phrases[] = {
	{ "could not find a JWS signature in the cluster-info", NULL, BYOH_KUBEADM_FAILED,
	  "the cluster does not know the token, or it has expired", FRESH_TOKEN },
	{ "is invalid for this cluster or it has expired", NULL, BYOH_KUBEADM_FAILED,
	  "the cluster does not know the token, or it has expired", FRESH_TOKEN },
	{ "failed to verify JWS signature", NULL, BYOH_KUBEADM_FAILED,
	  "what answers at cluster.server does not know the secret half of the token: the token is mistyped, or this is not "
	  "the cluster that it says it is",
	  FRESH_TOKEN ", and look at cluster.server" },
	{ "are pinned", NULL, BYOH_KUBEADM_FAILED,
	  "the cluster's CA is not the one of cluster.ca.pin: the pin is of another cluster, or somebody stands between",
	  "take the pin from `kubeadm token create --print-join-command` on a control plane, mend cluster.ca and install "
	  "again" },
	{ "public key hash", "invalid", BYOH_KUBEADM_FAILED, "cluster.ca.pin is no pin that kubeadm reads",
	  "take it from `kubeadm token create --print-join-command` on a control plane" },
	{ "x509: certificate signed by unknown authority", NULL, BYOH_KUBEADM_FAILED,
	  "the server's certificate was not made by cluster.ca",
	  "take /etc/kubernetes/pki/ca.crt of a control plane and bring it with `byoh-install join --ca FILE`" },
	{ "certificate has expired or is not yet valid", NULL, BYOH_KUBEADM_FAILED,
	  "by this host's clock a certificate of the cluster is not valid: the clock is wrong, or the certificate is",
	  "compare `date -u` here with a control plane's; set host.ntp, or the clock by hand" },
	{ "x509: certificate is valid for", NULL, BYOH_KUBEADM_FAILED,
	  "the server's certificate does not name the host of cluster.server",
	  "write cluster.server with a name or address that the certificate holds" },
	{ "x509: cannot validate certificate", NULL, BYOH_KUBEADM_FAILED,
	  "the server's certificate does not name the host of cluster.server",
	  "write cluster.server with a name or address that the certificate holds" },
	{ "already exists in the cluster", NULL, BYOH_KUBEADM_FAILED,
	  "the cluster has a Ready node of this host's name already",
	  "if it was this host: `kubectl delete node` there; otherwise set another host.hostname" },
	{ "Unauthorized", NULL, BYOH_KUBEADM_FAILED, "the cluster does not know the token, or it has expired",
	  FRESH_TOKEN },
	{ "\"kubeadm-config\" is forbidden", NULL, BYOH_KUBEADM_FAILED,
	  "the token may not read how the cluster is set up: it is not of the group "
	  "system:bootstrappers:kubeadm:default-node-token",
	  FRESH_TOKEN },
	{ "\"kubelet-config", "is forbidden", BYOH_KUBEADM_FAILED,
	  "the cluster does not let joining nodes read the kubelet's configuration of this Kubernetes version: it has "
	  "another version, or the token another group",
	  "take a bundle of the cluster's version; or `kubeadm init phase upload-config kubelet` on a control plane" },
	{ "\"kubeadm-config\" not found", NULL, BYOH_KUBEADM_FAILED, "the cluster was not set up by kubeadm",
	  "use join.mode tlsBootstrap" },
	{ "\"kubelet-config", "not found", BYOH_KUBEADM_FAILED,
	  "the cluster has no kubelet configuration for this Kubernetes version",
	  "take a bundle of the cluster's version" },
	{ "configmaps \"cluster-info\" not found", NULL, BYOH_KUBEADM_FAILED,
	  "the cluster does not publish cluster-info: it was not set up by kubeadm",
	  "use join.mode tlsBootstrap, or `kubeadm init phase bootstrap-token` on a control plane" },
	{ "only supports deploying clusters", NULL, BYOH_KUBEADM_FAILED,
	  "the bundle's kubeadm is too new for the cluster", "take a bundle of the cluster's version" },
	{ "old API spec", NULL, BYOH_KUBEADM_FAILED,
	  "the bundle's kubeadm does not read so old a JoinConfiguration", "take a bundle of the cluster's version" },
	{ "no kind \"JoinConfiguration\"", NULL, BYOH_KUBEADM_FAILED,
	  "the bundle's kubeadm does not read so new a JoinConfiguration", "take a bundle of the cluster's version" },
	{ "kubelet is not healthy", NULL, BYOH_KUBEADM_FAILED, "the kubelet does not start",
	  "see: journalctl -u kubelet" },
	{ "kubelet isn't running or healthy", NULL, BYOH_KUBEADM_FAILED, "the kubelet does not start",
	  "see: journalctl -u kubelet" },
	{ "error uploading crisocket", NULL, BYOH_KUBEADM_LATER,
	  "the kubelet's certificate was not issued in time, or its node did not appear: most likely nobody has approved the "
	  "request",
	  "on a control plane: `kubectl get csr`, then `kubectl certificate approve NAME`" },
	{ "phase kubelet-start", "timed out", BYOH_KUBEADM_LATER,
	  "the kubelet waits for its certificate: nobody has approved its request",
	  "on a control plane: `kubectl get csr`, then `kubectl certificate approve NAME`" },
	{ "phase kubelet-start", "deadline exceeded", BYOH_KUBEADM_LATER,
	  "the kubelet waits for its certificate: nobody has approved its request",
	  "on a control plane: `kubectl get csr`, then `kubectl certificate approve NAME`" },
	{ "dial tcp: lookup", NULL, BYOH_KUBEADM_LATER, "the server's name cannot be resolved",
	  "set host.hosts, or name the server by its address" },
	{ "connection refused", NULL, BYOH_KUBEADM_LATER, "nobody answers at the server's port",
	  "look at cluster.server, and whether the API server runs" },
	{ "no such host", NULL, BYOH_KUBEADM_LATER, "the server's name cannot be resolved",
	  "set host.hosts, or name the server by its address" },
	{ "no route to host", NULL, BYOH_KUBEADM_LATER, "there is no way to the server",
	  "look at the host's network and cluster.server" },
	{ "network is unreachable", NULL, BYOH_KUBEADM_LATER, "there is no way to the server",
	  "look at the host's network and cluster.server" },
	{ "TLS handshake timeout", NULL, BYOH_KUBEADM_LATER, "the server does not answer",
	  "look at the network and whether the API server runs" },
	{ "i/o timeout", NULL, BYOH_KUBEADM_LATER, "the server does not answer",
	  "look at the network, firewalls and cluster.server" },
	{ "Client.Timeout exceeded", NULL, BYOH_KUBEADM_LATER, "the server does not answer",
	  "look at the network, firewalls and cluster.server" },
	{ "deadline exceeded", NULL, BYOH_KUBEADM_LATER, "the server does not answer",
	  "look at the network, firewalls and cluster.server" },
	{ "Abort reading the cluster-info", NULL, BYOH_KUBEADM_LATER, "the server did not answer in time",
	  "look at the network, firewalls and cluster.server" },
	{ "timed out waiting for the condition", NULL, BYOH_KUBEADM_LATER, "the server did not answer in time",
	  "look at the network, firewalls and cluster.server" },
	{ "the server is currently unable", NULL, BYOH_KUBEADM_LATER, "the API server is not ready", LOG },
	{ "etcdserver:", NULL, BYOH_KUBEADM_LATER, "the cluster's etcd is not ready", LOG },
};

/* Its checks, by name or by how the name begins. */
static const struct {
	const char *name;
	enum byoh_kubeadm_outcome outcome;
	const char *cause, *remedy; /* a NULL cause: what kubeadm says */
} checks[] = {
	{ "FileAvailable--etc-kubernetes-kubelet.conf", BYOH_KUBEADM_FAILED,
	  "/etc/kubernetes/kubelet.conf is there: this host is or was a node of a cluster",
	  "if it is to join another: drain and delete the node there, then `kubeadm reset -f` here" },
	{ "FileAvailable-", BYOH_KUBEADM_FAILED, NULL,
	  "if it is not needed move it away; an earlier cluster's goes with `kubeadm reset -f`" },
	{ "DirAvailable-", BYOH_KUBEADM_FAILED, NULL,
	  "if it is not needed move it away; an earlier cluster's goes with `kubeadm reset -f`" },
	{ "Port-10250", BYOH_KUBEADM_FAILED, "port 10250 is taken: a kubelet runs here already",
	  "see: ss -ltnp sport = :10250, systemctl status kubelet" },
	{ "Swap", BYOH_KUBEADM_FAILED, "swap is on", "`byoh-install repair` switches it off" },
	{ "CRI", BYOH_KUBEADM_LATER, "containerd does not answer", "see: journalctl -u containerd" },
	{ "FileContent-", BYOH_KUBEADM_FAILED, NULL, "`byoh-install repair` sets the kernel's parameters" },
	{ "FileExisting-", BYOH_KUBEADM_FAILED, NULL, "install the package that holds the program" },
	{ "KubeletVersion", BYOH_KUBEADM_FAILED, NULL, "take a bundle of the cluster's version" },
	{ "IsPrivilegedUser", BYOH_KUBEADM_FAILED, "kubeadm does not run as root", LOG },
	{ "SystemVerification", BYOH_KUBEADM_FAILED, NULL, "`byoh-install preflight` looks at the same" },
};

/* What stands in the log stands in messages, and a token may be part of a quoted line. */
static void hide_tokens(char *text)
{
	char token[TOKEN_LENGTH + 1] = "";

	for (char *at = text; strlen(at) >= TOKEN_LENGTH; at++) {
		memcpy(token, at, TOKEN_LENGTH);
		if (byoh_token_is_bootstrap(token))
			memset(at + 7, '*', TOKEN_LENGTH - 7);
	}
}

static void say(char *ret, size_t size, const char *fmt, ...) BYOH_PRINTF(3, 4);
static void say(char *ret, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(ret, size, fmt, args);
	va_end(args);
	byoh_make_printable(ret);
	hide_tokens(ret);
}

static void conclude(struct byoh_kubeadm_verdict *ret, enum byoh_kubeadm_outcome outcome, const char *cause,
		     const char *remedy)
{
	ret->outcome = outcome;
	say(ret->cause, sizeof(ret->cause), "%s", cause);
	say(ret->remedy, sizeof(ret->remedy), "%s", remedy);
}

struct failed_check {
	const char *name, *message;
	int name_length, message_length;
};

/* The next "[ERROR Name]: message" from *text on. */
static bool next_check(const char **text, struct failed_check *ret)
{
	static const char begin[] = "[ERROR ";
	const char *end;

	while ((*text = strstr(*text, begin))) {
		ret->name = *text + strlen(begin);
		ret->name_length = (int)strcspn(ret->name, "]\n");
		*text = end = ret->name + ret->name_length;
		if (strncmp(end, "]: ", 3) != 0)
			continue;
		ret->message = end + 3;
		ret->message_length = (int)strcspn(ret->message, "\n");
		return true;
	}
	return false;
}

/* Its list of kernels ends with those of its own days. */
static bool is_about_kernel(const struct failed_check *check)
{
	static const char name[] = "SystemVerification", words[] = "unsupported kernel release";

	return check->name_length == (int)strlen(name) && strncmp(check->name, name, strlen(name)) == 0 &&
	       strncmp(check->message, words, strlen(words)) == 0;
}

static void judge_check(const struct failed_check *check, struct byoh_kubeadm_verdict *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		if (strncmp(check->name, checks[i].name, strlen(checks[i].name)) != 0)
			continue;
		conclude(ret, checks[i].outcome, checks[i].cause ? checks[i].cause : "", checks[i].remedy);
		break;
	}
	if (!ret->cause[0])
		say(ret->cause, sizeof(ret->cause), "kubeadm's check %.*s: %.*s",
		    check->name_length > 80 ? 80 : check->name_length, check->name,
		    check->message_length > 280 ? 280 : check->message_length, check->message);
	if (ret->remedy[0])
		return;
	ret->outcome = BYOH_KUBEADM_FAILED;
	say(ret->remedy, sizeof(ret->remedy), "%s", LOG);
}

/* The first that somebody has to mend; where only the kernel is unknown to it, nobody has to. */
static bool judge_checks(const char *text, struct byoh_kubeadm_verdict *ret)
{
	struct failed_check check;
	bool kernel = false;

	while (next_check(&text, &check)) {
		if (is_about_kernel(&check)) {
			kernel = true;
			continue;
		}
		judge_check(&check, ret);
		return true;
	}
	if (kernel)
		conclude(ret, BYOH_KUBEADM_KERNEL, "kubeadm does not know a kernel as new as this host's", LOG);
	return kernel;
}

/* Warnings are about other things: that the host's own name cannot be resolved says "connection refused" too. */
static bool says(const char *text, const char *phrase)
{
	for (const char *at = text; (at = strstr(at, phrase)); at++) {
		const char *line = at;

		while (line > text && line[-1] != '\n')
			line--;
		if (strncmp(line + strspn(line, "\t "), "[WARNING ", strlen("[WARNING ")) != 0)
			return true;
	}
	return false;
}

static bool judge_phrases(const char *text, struct byoh_kubeadm_verdict *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(phrases); i++) {
		if (!says(text, phrases[i].phrase) || (phrases[i].and && !says(text, phrases[i].and)))
			continue;
		conclude(ret, phrases[i].outcome, phrases[i].cause, phrases[i].remedy);
		return true;
	}
	return false;
}

/* "error execution phase preflight: ..." is followed by advice about stack traces. */
static void quote_error(int status, const char *text, struct byoh_kubeadm_verdict *ret)
{
	const char *line = NULL;

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, "error", 5) == 0 || strncmp(at, "[error", 6) == 0)
			line = at;
	}
	conclude(ret, BYOH_KUBEADM_FAILED, "", LOG);
	if (line)
		say(ret->cause, sizeof(ret->cause), "kubeadm says: %.*s",
		    (int)(strcspn(line, "\n") > 300 ? 300 : strcspn(line, "\n")), line);
	else
		say(ret->cause, sizeof(ret->cause), "kubeadm failed with status %d", status);
}

void byoh_kubeadm_judge(int status, const char *text, struct byoh_kubeadm_verdict *ret)
{
	*ret = (struct byoh_kubeadm_verdict){ .outcome = BYOH_KUBEADM_JOINED };
	if (status && !judge_checks(text, ret) && !judge_phrases(text, ret))
		quote_error(status, text, ret);
}
