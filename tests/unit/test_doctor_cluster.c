/* SPDX-License-Identifier: Apache-2.0 */
/* The same for what lies between a host and its cluster: the way there, identities, the agent, pods. */
#include "tests/unit/doctor-hosts.h"

#include <errno.h>

#include "bundle/base/cleanup.h"

/*
 * The way to the API server
 */

static void a_missing_route_explains_an_unreachable_server(void **state)
{
	(void)state;
	make_joining();
	e.net.default_route = false;
	unreachable(ENETUNREACH, "cannot connect to 10.0.0.1: Network unreachable");
	names("no-default-route");
	make_node();
	e.net.default_route = false;
	names("no-default-route");
}

static void what_the_server_does_decides(void **state)
{
	static const struct {
		int failure;
		const char *id;
	} cases[] = {
		{ EADDRNOTAVAIL, "server-name-unknown" }, { ECONNREFUSED, "server-unreachable" },
		{ EHOSTUNREACH, "server-unreachable" },	  { ENETUNREACH, "server-unreachable" },
		{ ETIMEDOUT, "server-unreachable" },	  { EPROTO, "server-unreachable" },
		{ ECONNRESET, "server-unreachable" },	  { EKEYREJECTED, "ca-mismatch" },
		{ EREMCHG, "server-certificate-name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_joining();
		unreachable(cases[i].failure, "why");
		names(cases[i].id);
		saw("why");
		make_unregistered("unregistered");
		unreachable(cases[i].failure, "why");
		names(cases[i].id);
	}
	make_node();
	e.api.status = 503;
	e.api.node_known = false;
	names("server-unwell");
}

static void what_services_say_does_where_nobody_was_asked(void **state)
{
	static const struct {
		const char *id, *log;
	} cases[] = {
		{ "ca-mismatch", "E1121 bootstrap.go:1] failed: Post \"https://10.0.0.1:6443/apis\": tls: failed to verify "
				 "certificate: x509: certificate signed by unknown authority\n" },
		{ "server-unreachable", "E1121 reflector.go:138] failed to list *v1.Node: Get \"https://10.0.0.1:6443/api\": dial tcp "
					"10.0.0.1:6443: connect: connection refused\n" },
		{ "server-name-unknown", "E1121 Get \"https://api.site:6443\": dial tcp: lookup api.site on 10.0.0.2:53: no such "
					 "host\n" },
		{ "token-rejected", "F1121 server.go:269] failed to run Kubelet: cannot create certificate signing request: "
				    "Unauthorized\n" },
		{ "csr-forbidden", "F1121 server.go:269] failed to run Kubelet: cannot create certificate signing request: "
				   "certificatesigningrequests.certificates.k8s.io is forbidden: User \"system:bootstrap:abcdef\" "
				   "cannot create resource \"certificatesigningrequests\" in API group\n" },
		{ "csr-denied", "E1121 certificate signing request is denied, reason: NotApproved, message: no\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_joining();
		e.api = (struct byoh_api_evidence){ 0 };
		fails(BYOH_DOCTOR_KUBELET, cases[i].log);
		names(cases[i].id);
	}
}

/*
 * Who the host is
 */

static void tokens_and_certificates_are_judged(void **state)
{
	(void)state;
	make_joining();
	e.api.status = 401;
	fails(BYOH_DOCTOR_KUBELET,
	      "F1121 server.go:269] failed to run Kubelet: cannot create certificate signing request: Unauthorized\n");
	names("token-rejected");
	saw("Unauthorized");
	says_to("byoh-install join --token-file");
	make_unregistered("unregistered");
	e.api.status = 401;
	names("token-rejected");
	make_node();
	e.api.status = 401;
	e.api.node_known = false;
	names("certificate-rejected");
	make_node();
	e.node.certificate = "expired";
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].not_after = NOW - 10;
	e.api.status = 401;
	e.api.node_known = false;
	names("certificate-expired");
}

/* A kubelet keeps a certificate that holds, and kubeadm a host that it knows: neither looks at a token then. */
static void another_identity_comes_from_who_brought_the_first(void **state)
{
	static const struct {
		enum byoh_join_mode mode;
		const char *remedies[4];
	} cases[] = {
		{ BYOH_JOIN_TLS_BOOTSTRAP, { "byoh-install join --again --token-file FILE", NULL } },
		{ BYOH_JOIN_KUBEADM, { "on the control plane: kubectl delete node worker", "kubeadm reset -f",
				       "byoh-install join --token-file FILE", NULL } },
		{ BYOH_JOIN_AGENT, { "in the management cluster, where it releases the host: kubectl delete machine NAME (that of "
				     "worker)", "byoh-install repair (once the agent has reset the host, which is claimed anew then)",
				     NULL } },
		{ BYOH_JOIN_NONE, { "join this host anew, in the way it was joined (join.mode is none)", NULL } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_node();
		config.join_mode = cases[i].mode;
		e.api.status = 401;
		e.api.node_known = false;
		names("certificate-rejected");
		mends_by(cases[i].remedies);
		e.kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].not_after = NOW - 10;
		names("certificate-expired");
		mends_by(cases[i].remedies);
		make_node();
		config.join_mode = cases[i].mode;
		e.kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].fault = (char *)"line 1: no YAML";
		e.api = (struct byoh_api_evidence){ 0 };
		names("kubeconfig-damaged");
		mends_by(cases[i].remedies);
	}
	make_agent();
	e.api.status = 401;
	names("certificate-rejected");
	mends_by(cases[0].remedies);
}

static void missing_and_damaged_credentials_are_named(void **state)
{
	(void)state;
	make_joining();
	e.node.node = "waiting";
	e.kubelet.asks = false;
	e.units[BYOH_DOCTOR_KUBELET].state = "waiting";
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_BOOTSTRAP] = (struct byoh_kubeconfig_evidence){ 0 };
	e.api = (struct byoh_api_evidence){ 0 };
	names("credentials-missing");
	make_joining();
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_BOOTSTRAP].fault = (char *)"line 3: no YAML";
	e.api = (struct byoh_api_evidence){ 0 };
	e.kubelet.asks = false;
	fails(BYOH_DOCTOR_KUBELET, NULL);
	drift("file", "/etc/kubernetes/bootstrap-kubeconfig", "different");
	names("kubeconfig-damaged");
	make_node();
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_BOOTSTRAP].mode = 0644;
	drift("file", "/etc/kubernetes/bootstrap-kubeconfig", "different");
	names("kubeconfig-mode");
	says_to("chmod 600 /etc/kubernetes/bootstrap-kubeconfig");
}

static void what_kubeadm_said_is_passed_on(void **state)
{
	(void)state;
	make_joining();
	config.join_mode = BYOH_JOIN_KUBEADM;
	memset(e.kubeconfigs, 0, sizeof(e.kubeconfigs));
	memset(&e.kubelet, 0, sizeof(e.kubelet));
	e.units[BYOH_DOCTOR_KUBELET].state = "waiting";
	e.api.identity = NULL;
	e.node.node = "failed";
	e.node.join = (struct byoh_join_record){ "failed", "the token has expired", "byoh-install join --token-file FILE" };
	names("kubeadm-join-failed");
	saw("the token has expired");
	says_to("byoh-install join --token-file FILE");
	unreachable(ECONNREFUSED, "refused");
	e.api.identity = NULL;
	e.node.join.state = "later";
	names("server-unreachable");
}

static struct byoh_csr_evidence request(const char *signer, const char *state)
{
	bool agent = strcmp(signer, "kubernetes.io/kube-apiserver-client") == 0;

	return (struct byoh_csr_evidence){ .name = (char *)(agent ? "byoh-csr-worker" : "node-csr-x"), .signer = (char *)signer,
					   .identity = (char *)"this", .state = state };
}

static void requests_are_judged(void **state)
{
	struct byoh_csr_evidence csr, several[2];

	(void)state;
	make_joining();
	csr = request("kubernetes.io/kube-apiserver-client-kubelet", "pending");
	e.api.csrs = &csr;
	e.api.csr_count = 1;
	names("csr-pending");
	says_to("kubectl certificate approve node-csr-x");
	several[0] = several[1] = csr; /* the kubelet waits for the one that it asked for last */
	several[0].name = (char *)"csr-late";
	strcpy(several[0].created, "2026-11-21T19:02:19Z");
	strcpy(several[1].created, "2026-11-21T18:59:35Z");
	e.api.csrs = several;
	e.api.csr_count = 2;
	names("csr-pending");
	says_to("kubectl certificate approve csr-late");
	e.api.csrs = &csr;
	e.api.csr_count = 1;
	/* the right was given since then */
	e.units[BYOH_DOCTOR_KUBELET].log = (char *)"E1122 certificatesigningrequests.certificates.k8s.io is forbidden: User "
						   "cannot create resource \"certificatesigningrequests\" in API group\n";
	names("csr-pending");
	csr.state = "denied";
	csr.reason = (char *)"not ours";
	fails(BYOH_DOCTOR_KUBELET, "E1121 certificate signing request is denied, reason: x, message: y\n");
	names("csr-denied");
	says_to("kubectl delete csr node-csr-x");
	make_joining(); /* no server to ask */
	e.api = (struct byoh_api_evidence){ 0 };
	names("csr-pending");
	make_unregistered("requested");
	csr = request("kubernetes.io/kube-apiserver-client", "pending");
	e.api.csrs = &csr;
	e.api.csr_count = 1;
	names("agent-csr-pending");
	says_to("kubectl certificate approve byoh-csr-worker");
	csr.other_key = true;
	names("agent-csr-stale");
	says_to("kubectl delete csr byoh-csr-worker");
	csr.other_key = false;
	csr.state = "denied";
	names("agent-csr-denied");
	make_unregistered("requested");
	e.api = (struct byoh_api_evidence){ 0 };
	names("agent-csr-pending");
	make_node();
	strcpy(e.node.proxy_request.state, "pending");
	strcpy(e.node.proxy_request.name, "byoh-kube-proxy-worker-1");
	e.units[BYOH_DOCTOR_KUBE_PROXY].state = "waiting";
	names("kube-proxy-csr-pending");
	says_to("kubectl certificate approve byoh-kube-proxy-worker-1");
	strcpy(e.node.proxy_request.state, "denied");
	names("kube-proxy-csr-pending");
	says_to("kubectl delete csr byoh-kube-proxy-worker-1");
	e.node.proxy_expires = NOW + 1;
	is_healthy();
	make_node();
	e.kubelet.serving_bootstrap = true;
	names("serving-csr-unapproved");
	csr = request("kubernetes.io/kubelet-serving", "pending");
	e.api.csrs = &csr;
	e.api.csr_count = 1;
	names("serving-csr-unapproved");
	says_to("approve node-csr-x");
}

/*
 * The agent
 */

static void what_an_agent_does_is_known(void **state)
{
	(void)state;
	make_agent();
	e.kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG].server = (char *)"https://192.0.2.7:6443";
	unreachable(ETIMEDOUT, "no answer");
	e.api.identity = "agent";
	names_all((const char *const[]){ "agent-config-stale", NULL });
	make_agent();
	e.kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG].ca = as_buffer(their_ca);
	unreachable(EKEYREJECTED, "not known to that CA");
	e.api.identity = "agent";
	names("agent-config-stale");
	says_to("rm /root/.byoh/config");
	make_agent();
	e.kubeadm_join_config = true;
	e.units[BYOH_DOCTOR_AGENT].log = (char *)"I1121 host_reconciler.go:200] k8s node successfully bootstrapped\n";
	names("agent-skipped-join");
	/* Hours later it has said much else; and the unit that would have joined in its stead does not wait. */
	e.units[BYOH_DOCTOR_AGENT].log = (char *)"I1121 main.go:245] connection to the API server: up=1\n";
	e.claim_said = (char *)"I1121 host_reconciler.go:200] k8s node successfully bootstrapped";
	drift("unit", "byoh-kubeadm-join.path", "stopped");
	names("agent-skipped-join");
	saw("successfully bootstrapped");
	make_agent();
	/* Between two failures it runs. Somebody who has just restarted it is no failure. */
	e.units[BYOH_DOCTOR_AGENT].up_seconds = 5;
	e.units[BYOH_DOCTOR_AGENT].log = (char *)"byoh-hostagent.service: Main process exited, code=killed, status=15/TERM\n";
	is_healthy();
	e.units[BYOH_DOCTOR_AGENT].restarts = 3;
	names("agent-fails");
	make_agent();
	fails(BYOH_DOCTOR_AGENT, "E1121 unable to start manager: listen tcp :8080: bind: address already in use\n");
	names("agent-port-taken");
	make_agent();
	e.node.node = "reset";
	e.node.reset = true;
	e.units[BYOH_DOCTOR_CONTAINERD].state = "stopped";
	e.containerd.answers = e.containerd.images_known = false;
	drift("unit", "containerd.service", "stopped");
	e.drifts[0].by_agent = true;
	names("host-reset");
	make_agent();
	e.api.node_known = e.api.node_exists = true;
	e.api.node_machine_id = host.machine_id;
	e.api.ready = (char *)"Unknown";
	names("node-left-behind");
	says_to("kubectl delete node worker");
	make_agent();
	e.node.ca_bundle = "replaced";
	drift("file", "/etc/ssl/certs/ca-certificates.crt", "different");
	drift("unit", "byoh-ca-guard.path", "stopped");
	names("ca-bundle-replaced");
}

/*
 * Pods
 */

static void cni_is_judged_by_the_first_file(void **state)
{
	struct byoh_cni_file files[] = { { .name = (char *)"00-foreign.conf" }, { .name = (char *)"10-bridge.conflist" } };

	(void)state;
	make_node();
	e.cni_count = 0;
	e.api.ready = (char *)"False";
	e.units[BYOH_DOCTOR_KUBELET].log =
		(char *)"E1121 kubelet.go:2160] Container runtime network not ready: NetworkReady=false "
			"reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized\n";
	drift("file", "/etc/cni/net.d/10-bridge.conflist", "missing");
	names("no-cni-config");
	saw("cni plugin not initialized");
	make_node();
	e.cni_files = files;
	e.cni_count = 2;
	names("cni-foreign-first");
	says_to("mv /etc/cni/net.d/00-foreign.conf /root/");
	files[0].fault = (char *)"line 1: no JSON";
	names_all((const char *const[]){ "cni-config-damaged", "cni-foreign-first", NULL });
	make_node();
	config.cni.conflist_name = NULL; /* a pod network of the cluster's own comes first by its own will */
	files[0] = (struct byoh_cni_file){ .name = (char *)"05-cilium.conflist" };
	e.cni_files = files;
	e.cni_count = 2;
	is_healthy();
	files[0].name = (char *)"10-containerd-net.conflist";
	names("cni-foreign-first");
	make_node();
	e.cni_files = files + 1;
	files[1].missing_plugin = (char *)"bridge";
	drift("file", "/opt/cni/bin/bridge", "missing");
	names("cni-plugin-missing");
}

static void images_are_told_apart(void **state)
{
	(void)state;
	make_node();
	e.containerd.images = (struct byoh_strings){ 1, images + 1 };
	drift("image", "registry.k8s.io/pause:3.10", "missing");
	names("pause-image-missing");
	make_node();
	e.containerd.sandbox_image = (char *)"registry.k8s.io/pause:3.6";
	drift("file", "/etc/containerd/config.toml", "different");
	names("pause-image-name");
	saw("pause:3.10");
	make_node();
	drift("image", "registry.k8s.io/tools:1", "missing");
	names("images-missing");
}

static void resolvers_are_judged(void **state)
{
	(void)state;
	make_node();
	e.kubelet.resolv_loop = (char *)"127.0.0.53";
	names("resolv-conf-loop");
	saw("127.0.0.53");
	make_node();
	e.kubelet.resolv_exists = false;
	names("resolv-conf-missing");
}

static void rules_that_cannot_be_written_are_told_apart(void **state)
{
	static const struct {
		const char *id, *log;
	} cases[] = {
		{ "iptables-module-missing",
		  "E1121 proxier.go:1612] Failed to execute iptables-restore: exit status 2 (iptables-restore v1.8.9 (nf_tables): "
		  "Couldn't load match `statistic':No such file or directory\n" },
		{ "iptables-module-missing",
		  "E1121 proxier.go:1612] Failed to execute iptables-restore: exit status 4 (Warning: Extension MASQUERADE revision 0 "
		  "not supported, missing kernel module?\n" },
		{ "iptables-backends-mixed",
		  "E1121 proxier.go:859] \"Failed to execute iptables-restore\" err=\"exit status 1: iptables-restore v1.8.9 "
		  "(nf_tables): table `filter' is incompatible, use 'nft' tool.\"\n" },
		{ "iptables-restore-fails",
		  "E1121 proxier.go:1612] Failed to execute iptables-restore for nat: exit status 1 (iptables-restore: line 7 failed\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_node();
		e.units[BYOH_DOCTOR_KUBE_PROXY].log = (char *)cases[i].log;
		names(cases[i].id);
		assert_string_equal(d.symptoms[0],
				    "addresses of services do not answer: kube-proxy cannot write its rules");
		/* One line is quoted once, whatever it was looked through for. */
		for (size_t k = 1; k < d.findings[0].evidence_count; k++)
			assert_string_not_equal(d.findings[0].evidence[k].text,
						d.findings[0].evidence[k - 1].text);
	}
	make_node();
	e.net.legacy_rules = 7;
	names("iptables-backends-mixed");
	saw("iptables-legacy-save");
	saw("7 rules");
	e.net.iptables = (char *)"iptables v1.8.9 (legacy)";
	is_healthy();
	make_node();
	e.net.firewall = (char *)"ufw";
	names("firewall-closed");
	says_to("ufw allow 10250/tcp");
	e.net.firewall = (char *)"firewalld";
	names("firewall-closed");
	says_to("firewall-cmd --permanent --zone=ZONE --add-port=10250/tcp");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_route_explains_an_unreachable_server),
		cmocka_unit_test(what_the_server_does_decides),
		cmocka_unit_test(what_services_say_does_where_nobody_was_asked),
		cmocka_unit_test(tokens_and_certificates_are_judged),
		cmocka_unit_test(another_identity_comes_from_who_brought_the_first),
		cmocka_unit_test(missing_and_damaged_credentials_are_named),
		cmocka_unit_test(what_kubeadm_said_is_passed_on),
		cmocka_unit_test(requests_are_judged),
		cmocka_unit_test(what_an_agent_does_is_known),
		cmocka_unit_test(cni_is_judged_by_the_first_file),
		cmocka_unit_test(images_are_told_apart),
		cmocka_unit_test(resolvers_are_judged),
		cmocka_unit_test(rules_that_cannot_be_written_are_told_apart),
	};

	return cmocka_run_group_tests_name("doctor, cluster", tests, make_authorities, free_authorities);
}
