/* SPDX-License-Identifier: Apache-2.0 */
/* A node that is up, and whose pods do not start or do not reach what they need: CNI, images,
 * resolvers, rules. */
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"
#include "installer/steps/steps-internal.h"

#define SIGNER_SERVING "kubernetes.io/kubelet-serving"

static bool is_joined(const struct byoh_evidence *evidence)
{
	return evidence->kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].exists;
}

static bool is_word(const char *text, const char *word)
{
	return text && strcmp(text, word) == 0;
}

/*
 * CNI
 */

/* The one that the operator placed. Our own bridge is meant to come last, and is not asked for
 * here. */
static const char *own_conflist(const struct byoh_evidence *evidence)
{
	return evidence->config ? evidence->config->cni.conflist_name : NULL;
}

static const char *any_own_conflist(const struct byoh_evidence *evidence)
{
	return evidence->config && evidence->config->cni.bridge ? BYOH_BRIDGE_CONFLIST
								: own_conflist(evidence);
}

static bool judge_no_cni(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const char *own = any_own_conflist(evidence);
	char path[160];

	if (!is_joined(evidence) || evidence->cni_count)
		return false;
	byoh_finding_says(
		finding,
		"there is no CNI configuration, so the node is not Ready and no pod starts");
	byoh_finding_saw(finding, BYOH_CNI_CONFIG, "holds no .conf, .conflist or .json");
	byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET, "network not ready");
	if (!own)
		return byoh_finding_mend(
			finding, "kubectl apply -f MANIFEST (of the cluster's pod network)");
	snprintf(path, sizeof(path), BYOH_CNI_CONFIG "/%s", own);
	byoh_finding_claims(finding, path);
	return byoh_finding_mend(finding, "byoh-install repair");
}

static bool judge_cni_damaged(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_cni_file *first = evidence->cni_files;
	char path[160];

	if (!evidence->cni_count || !first->fault)
		return false;
	snprintf(path, sizeof(path), BYOH_CNI_CONFIG "/%s", first->name);
	byoh_finding_says(
		finding,
		"the first CNI configuration is damaged, and containerd looks at no other");
	byoh_finding_saw(finding, path, "%s", first->fault);
	byoh_finding_claims(finding, path);
	if (is_word(any_own_conflist(evidence), first->name))
		return byoh_finding_mend(finding, "byoh-install repair");
	return byoh_finding_mend(finding, "mv %s %s.off", path, path);
}

static bool judge_cni_plugin(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_cni_file *first = evidence->cni_files;
	char path[160];

	if (!evidence->cni_count || !first->missing_plugin)
		return false;
	snprintf(path, sizeof(path), BYOH_CNI_BIN "/%s", first->missing_plugin);
	byoh_finding_says(finding, "the CNI configuration needs the plugin %s, which is not there",
			  first->missing_plugin);
	byoh_finding_saw(finding, path, "is not there, and " BYOH_CNI_CONFIG "/%s names it",
			 first->name);
	byoh_finding_claims(finding, path);
	return byoh_finding_mend(finding, "byoh-install repair");
}

/* Files that container engines bring for themselves; a pod network's own is meant to go first. */
static bool is_engines(const char *name)
{
	static const char *const known[] = { "10-containerd-net", "87-podman", "100-crio",
					     "10-crio",		  "11-crio",   "10-podman" };

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strncmp(name, known[i], strlen(known[i])) == 0)
			return true;
	return false;
}

static bool is_there(const struct byoh_evidence *evidence, const char *name)
{
	for (size_t i = 0; i < evidence->cni_count; i++)
		if (strcmp(evidence->cni_files[i].name, name) == 0)
			return true;
	return false;
}

static bool judge_cni_foreign(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const char *own = own_conflist(evidence),
		   *first = evidence->cni_count ? evidence->cni_files[0].name : NULL;

	if (!first || evidence->cni_count < 2 ||
	    (own ? strcmp(first, own) == 0 || !is_there(evidence, own) : !is_engines(first)))
		return false;
	byoh_finding_says(
		finding,
		"a CNI configuration of others comes first: pods get their network from %s", first);
	byoh_finding_saw(finding, BYOH_CNI_CONFIG,
			 "%s is before %s, and containerd takes the first only", first,
			 own ? own : evidence->cni_files[1].name);
	return byoh_finding_mend(finding, "mv " BYOH_CNI_CONFIG "/%s /root/", first);
}

/*
 * Resolvers
 */

static bool judge_resolv_loop(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!evidence->kubelet.exists || !evidence->kubelet.resolv_conf ||
	    !evidence->kubelet.resolv_loop)
		return false;
	byoh_finding_says(finding,
			  "pods resolve names through %s, which names the host itself: the "
			  "cluster's DNS asks itself for ever",
			  evidence->kubelet.resolv_conf);
	byoh_finding_saw(finding, evidence->kubelet.resolv_conf, "nameserver %s",
			 evidence->kubelet.resolv_loop);
	byoh_finding_claims(finding, BYOH_KUBELET_CONFIG);
	byoh_finding_claims(finding, evidence->kubelet.resolv_conf);
	byoh_finding_mend(finding, "name the site's DNS server in %s",
			  evidence->kubelet.resolv_conf);
	return byoh_finding_mend(finding, "with systemd-resolved: byoh-install repair, for "
					  "resolvConf: /run/systemd/resolve/resolv.conf");
}

static bool judge_resolv_missing(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!evidence->kubelet.exists || !evidence->kubelet.resolv_conf ||
	    evidence->kubelet.resolv_exists)
		return false;
	byoh_finding_says(finding, "%s is not there, and without it the kubelet starts no pod",
			  evidence->kubelet.resolv_conf);
	byoh_finding_saw(finding, evidence->kubelet.resolv_conf, "is not there");
	byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET, "resolv.conf: no such file");
	byoh_finding_claims(finding, evidence->kubelet.resolv_conf);
	return byoh_finding_mend(finding, "touch %s", evidence->kubelet.resolv_conf);
}

/*
 * Images
 */

static bool has_image(const struct byoh_evidence *evidence, const char *name)
{
	for (size_t i = 0; i < evidence->containerd.images.count; i++)
		if (strcmp(evidence->containerd.images.items[i], name) == 0)
			return true;
	return false;
}

static const char *other_pause(const struct byoh_evidence *evidence)
{
	for (size_t i = 0; i < evidence->containerd.images.count; i++)
		if (strstr(evidence->containerd.images.items[i], "/pause:"))
			return evidence->containerd.images.items[i];
	return NULL;
}

static bool judge_pause(const struct byoh_evidence *evidence, struct byoh_finding *finding,
			bool by_name)
{
	const char *wanted = evidence->containerd.sandbox_image;
	const char *other = other_pause(evidence);

	if (!evidence->containerd.images_known || !wanted || has_image(evidence, wanted) ||
	    by_name != (other != NULL))
		return false;
	byoh_finding_saw(finding, BYOH_CONTAINERD_CONFIG, "wants %s", wanted);
	byoh_finding_saw(finding, "containerd's images", other ? "%s is there" : "%s is not there",
			 other ? other : wanted);
	byoh_finding_quotes(finding, evidence, BYOH_DOCTOR_KUBELET, "failed to get sandbox image");
	byoh_finding_claims(finding, wanted);
	byoh_finding_claims(finding, BYOH_CONTAINERD_CONFIG);
	return true;
}

static bool judge_pause_name(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!judge_pause(evidence, finding, true))
		return false;
	byoh_finding_says(
		finding,
		"containerd wants another pause image than there is, and no pod starts without it");
	return byoh_finding_mend(finding, "byoh-install repair");
}

static bool judge_pause_missing(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!judge_pause(evidence, finding, false))
		return false;
	byoh_finding_says(finding, "the pause image is missing, and no pod starts without it");
	return byoh_finding_mend(finding, "byoh-install repair");
}

static bool judge_images(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const char *pause = evidence->containerd.sandbox_image;
	size_t count = 0;

	for (size_t i = 0; i < evidence->drift_count; i++) {
		const struct byoh_drift_evidence *drift = &evidence->drifts[i];

		if (strcmp(drift->kind, "image") || strcmp(drift->word, "missing") ||
		    is_word(pause, drift->subject))
			continue;
		count++;
		byoh_finding_saw(finding, "containerd's images", "%s is not there", drift->subject);
	}
	if (!count)
		return false;
	byoh_finding_says(finding,
			  "%zu of the release's images %s gone: removed by hand, or by the kubelet "
			  "when the disk was nearly full",
			  count, count == 1 ? "is" : "are");
	byoh_finding_claims(finding, "*image");
	return byoh_finding_mend(finding, "byoh-install repair");
}

/*
 * Logs and commands in pods
 */

static const struct byoh_csr_evidence *serving_request(const struct byoh_evidence *evidence)
{
	for (size_t i = evidence->api.csr_count; i-- > 0;)
		if (is_word(evidence->api.csrs[i].signer, SIGNER_SERVING) &&
		    is_word(evidence->api.csrs[i].state, "pending"))
			return &evidence->api.csrs[i];
	return NULL;
}

#define APPROVAL_SECONDS 60

static bool judge_serving(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_csr_evidence *csr = serving_request(evidence);

	if (!is_joined(evidence) || !evidence->kubelet.serving_bootstrap ||
	    evidence->kubelet.serving_certificate ||
	    (!csr && evidence->units[BYOH_DOCTOR_KUBELET].up_seconds < APPROVAL_SECONDS))
		return false;
	byoh_finding_says(finding,
			  "nobody approves the certificate that the kubelet serves with, so that "
			  "logs and commands of pods fail; no part of Kubernetes itself does");
	byoh_finding_saw(finding, BYOH_KUBELET_CONFIG, "serverTLSBootstrap: true");
	byoh_finding_claims(finding, BYOH_KUBELET_CONFIG);
	if (csr)
		byoh_finding_saw(finding, "the API server", "%s: pending", csr->name);
	else
		byoh_finding_saw(finding, "/var/lib/kubelet/pki/kubelet-server-current.pem",
				 "is not there");
	byoh_finding_mend(finding, "kubectl certificate approve %s",
			  csr ? csr->name : "NAME (kubectl get csr names it)");
	return byoh_finding_mend(finding, "or set node.servingCertificates: false in "
					  "/etc/byoh/byoh.yaml, then: byoh-install install");
}

/*
 * Rules of kube-proxy
 */

static const char *const restore_words[] = { "Failed to execute iptables-restore",
					     "iptables-restore: line",
					     "Failed to ensure that filter chain",
					     "Failed to ensure that nat chain", NULL };

static bool says_restore_fails(const struct byoh_evidence *evidence, const char *const *words)
{
	const char *log = evidence->units[BYOH_DOCTOR_KUBE_PROXY].log;
	bool failed = false;
	size_t length;

	for (size_t i = 0; restore_words[i]; i++)
		failed |= byoh_log_find(log, restore_words[i], &length) != NULL;
	for (; failed && words && *words; words++)
		if (byoh_log_find(log, *words, &length))
			return true;
	return failed && !words;
}

static const char *const mixed_words[] = { "is incompatible, use 'nft' tool",
					   "iptables-legacy tables present", NULL };
static const char *const module_words[] = { "missing kernel module",
					    "Couldn't load match",
					    "Couldn't load target",
					    "does not exist (do you need to insmod",
					    "No chain/target/match by that name",
					    "Extension ",
					    "not supported, missing",
					    NULL };

bool byoh_proxy_fails(const struct byoh_evidence *evidence)
{
	return says_restore_fails(evidence, NULL);
}

static bool judge_backends(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const char *version = evidence->net.iptables;
	bool mixed = evidence->net.legacy_rules && version && strstr(version, "nf_tables");

	if (!mixed && !says_restore_fails(evidence, mixed_words))
		return false;
	byoh_finding_says(finding, "rules are held by both backends of iptables, legacy and "
				   "nf_tables, and they undo each other");
	if (mixed) {
		byoh_finding_saw(finding, "iptables --version", "%s", version);
		byoh_finding_saw(finding, "iptables-legacy-save", "%zu rule%s",
				 evidence->net.legacy_rules,
				 evidence->net.legacy_rules == 1 ? "" : "s");
	}
	byoh_finding_quotes_any(finding, evidence, BYOH_DOCTOR_KUBE_PROXY, mixed_words);
	byoh_finding_mend(finding, "iptables-legacy-save >/root/iptables-legacy && reboot (what "
				   "makes legacy rules at boot has to stop doing so)");
	return byoh_finding_mend(finding,
				 "update-alternatives --set iptables /usr/sbin/iptables-nft");
}

static bool judge_rules_module(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!says_restore_fails(evidence, module_words) ||
	    says_restore_fails(evidence, mixed_words))
		return false;
	byoh_finding_says(
		finding,
		"kube-proxy cannot write its rules: the kernel lacks a module that they need");
	byoh_finding_quotes_any(finding, evidence, BYOH_DOCTOR_KUBE_PROXY, module_words);
	byoh_finding_quotes_any(finding, evidence, BYOH_DOCTOR_KUBE_PROXY, restore_words);
	byoh_finding_mend(finding, "modprobe -a nft_compat xt_comment xt_conntrack xt_MASQUERADE "
				   "xt_mark xt_statistic xt_addrtype");
	return byoh_finding_mend(finding,
				 "reboot into the kernel whose modules are in /lib/modules");
}

static bool judge_rules(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	if (!byoh_proxy_fails(evidence) || says_restore_fails(evidence, module_words) ||
	    says_restore_fails(evidence, mixed_words))
		return false;
	byoh_finding_says(finding, "kube-proxy cannot write its rules: iptables-restore fails");
	byoh_finding_quotes_any(finding, evidence, BYOH_DOCTOR_KUBE_PROXY, restore_words);
	byoh_finding_mend(finding, "iptables-restore --test </dev/null; iptables -t nat -S");
	return byoh_finding_mend(finding, "byoh-install repair");
}

/* kube-proxy's own certificate, which the host asks for and somebody has to approve. */
static bool judge_proxy_request(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const struct byoh_proxy_request *request = &evidence->node.proxy_request;
	bool denied = is_word(request->state, "denied") || is_word(request->state, "failed");

	if (evidence->node.proxy_expires > evidence->time.now ||
	    (!denied && !is_word(request->state, "pending")))
		return false;
	byoh_finding_says(
		finding,
		denied ? "the request for kube-proxy's certificate was refused: %s"
		       : "the request for kube-proxy's certificate waits for approval: %s",
		request->name);
	byoh_finding_saw(finding, "the API server, as last asked", "%s: %s%s%s", request->name,
			 request->state, request->message[0] ? ", " : "", request->message);
	if (denied)
		byoh_finding_mend(finding, "kubectl delete csr %s", request->name);
	else
		byoh_finding_mend(finding, "kubectl certificate approve %s", request->name);
	return byoh_finding_mend(finding, "systemctl start byoh-certificates.service");
}

static bool judge_firewall(const struct byoh_evidence *evidence, struct byoh_finding *finding)
{
	const char *firewall = evidence->net.firewall;

	if (!firewall)
		return false;
	byoh_finding_says(
		finding, "%s lets nobody reach port 10250: logs, commands and metrics of pods fail",
		firewall);
	byoh_finding_saw(finding, firewall, "10250/tcp is not open");
	if (strcmp(firewall, "ufw") == 0)
		return byoh_finding_mend(finding, "ufw allow 10250/tcp");
	byoh_finding_mend(finding, "firewall-cmd --permanent --zone=ZONE --add-port=10250/tcp (the "
				   "one of the interface: firewall-cmd --get-active-zones)");
	return byoh_finding_mend(finding, "firewall-cmd --reload");
}

const struct byoh_cause byoh_causes_pods[] = {
	{ "no-cni-config", BYOH_AREA_JOIN, BYOH_AREA_READY, judge_no_cni },
	{ "cni-config-damaged", 0, BYOH_AREA_READY, judge_cni_damaged },
	{ "cni-plugin-missing", 0, BYOH_AREA_PODS, judge_cni_plugin },
	{ "cni-foreign-first", 0, BYOH_AREA_PODS, judge_cni_foreign },
	{ "pause-image-name", 0, BYOH_AREA_PODS, judge_pause_name },
	{ "pause-image-missing", 0, BYOH_AREA_PODS, judge_pause_missing },
	{ "images-missing", 0, BYOH_AREA_PODS, judge_images },
	{ "resolv-conf-missing", 0, BYOH_AREA_PODS, judge_resolv_missing },
	{ "resolv-conf-loop", 0, 0, judge_resolv_loop },
	{ "kube-proxy-csr-pending", BYOH_AREA_SERVER | BYOH_AREA_JOIN, BYOH_AREA_PROXY,
	  judge_proxy_request },
	{ "iptables-backends-mixed", 0, BYOH_AREA_PROXY, judge_backends },
	{ "iptables-module-missing", 0, BYOH_AREA_PROXY, judge_rules_module },
	{ "iptables-restore-fails", BYOH_AREA_PROXY, BYOH_AREA_PROXY, judge_rules },
	{ "serving-csr-unapproved", BYOH_AREA_READY, 0, judge_serving },
	{ "firewall-closed", 0, 0, judge_firewall },
	{ 0 },
};
