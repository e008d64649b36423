/* SPDX-License-Identifier: Apache-2.0 */
/* How evidence is read: journals, tables of the kernel, answers of the API server, files below a root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"
#include "installer/doctor/gather.h"
#include "tests/unit/certificates.h"
#include "tests/unit/root-fixture.h"

static const char journal[] =
	"[   10.000000] worker systemd[1]: Started kubelet.service - kubelet, the Kubernetes node agent.\n"
	"[   11.000000] worker kubelet[254]: F1121 first failure\n"
	"[   12.000000] worker systemd[1]: kubelet.service: Main process exited, code=exited, status=255/EXCEPTION\n"
	"[   22.000000] worker systemd[1]: Started kubelet.service - kubelet, the Kubernetes node agent.\n"
	"[   23.000000] worker kubelet[260]: F1121 second: failure\n"
	"                                     and its second line\n"
	"[   24.000000] worker systemd[1]: kubelet.service: Main process exited, code=exited, status=255/EXCEPTION\n"
	"[   34.000000] worker systemd[1]: Started kubelet.service - kubelet, the Kubernetes node agent.\n";

static const char *cut(const char *text, bool failing, double now, unsigned int seconds)
{
	static struct byoh_buffer out;

	byoh_buffer_release(&out);
	out = (struct byoh_buffer){ 0 };
	assert_int_equal(byoh_journal_cut(text, failing, now, seconds, &out, NULL), 0);
	return byoh_buffer_text(&out);
}

static void only_the_last_runs_of_a_service_count(void **state)
{
	const char *text = cut(journal, true, 35, 0);

	(void)state;
	assert_null(strstr(text, "first failure"));
	assert_non_null(strstr(text, "F1121 second: failure\n"));
	assert_non_null(strstr(text, "and its second line"));
	assert_null(strstr(text, "worker kubelet"));
	assert_null(strstr(cut(journal, false, 35, 120), "second"));
	assert_string_equal(cut("", true, 35, 0), "");
	assert_string_equal(cut("no journal\n[x", true, 35, 0), "no journal\n[x\n");
}

static void a_service_that_tells_when_it_is_up_starts_once(void **state)
{
	static const char text[] = "[    5.0] h containerd[9]: old\n"
				   "[   10.0] h systemd[1]: Starting containerd.service - containerd...\n"
				   "[   11.0] h containerd[10]: failed to load TOML\n"
				   "[   12.0] h systemd[1]: Started containerd.service - containerd.\n"
				   "[   13.0] h containerd[10]: Started by hand\n";

	(void)state;
	assert_null(strstr(cut(text, false, 20, 0), "old"));
	assert_non_null(strstr(cut(text, false, 20, 0), "Started by hand"));
}

static void what_a_running_service_said_long_ago_does_not_count(void **state)
{
	static const char text[] = "[   10.0] h systemd[1]: Started kubelet.service.\n"
				   "[   11.0] h kubelet[10]: connection refused\n"
				   "          and more of it\n"
				   "[  500.0] h kubelet[10]: now\n";
	size_t length;

	(void)state;
	assert_null(strstr(cut(text, false, 510, 120), "refused"));
	assert_null(strstr(cut(text, false, 510, 120), "more"));
	assert_non_null(strstr(cut(text, false, 510, 120), "now"));
	assert_string_equal(byoh_log_find("one ERROR\ntwo error\nthree\n", "Error", &length), "two error\nthree\n");
	assert_int_equal(length, strlen("two error"));
	assert_null(byoh_log_find("abc", "abcd", &length));
	assert_null(byoh_log_find(NULL, "x", &length));
}

static void listeners_are_found_by_their_inode(void **state)
{
	static const char text[] =
		"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
		"   0: 0100007F:2808 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21034 1 0 100 0 0 10 0\n"
		"   1: 00000000:280A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 21035 1 0 100 0 0 10 0\n"
		"   2: 0100007F:280B 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 21036 1 0 100 0 0 10 0\n";

	(void)state;
	assert_int_equal(byoh_listener_inode(text, 10250), 21035);
	assert_int_equal(byoh_listener_inode(text, 10248), 21034);
	assert_int_equal(byoh_listener_inode(text, 10251), 0);
	assert_int_equal(byoh_listener_inode("", 10250), 0);
}

static void quantities_are_those_of_the_kubelet(void **state)
{
	(void)state;
	assert_int_equal(byoh_quantity("10%", 1000), 100);
	assert_int_equal(byoh_quantity("1Gi", 5), 1 << 30);
	assert_int_equal(byoh_quantity("500M", 5), 500000000);
	assert_int_equal(byoh_quantity("42", 5), 42);
	assert_int_equal(byoh_quantity("-1", 5), 0);
	assert_int_equal(byoh_quantity("many", 5), 0);
	assert_int_equal(byoh_quantity("", 5), 0);
}

/*
 * Firewalls
 */

static void ufw_is_closed_only_where_no_rule_lets_in(void **state)
{
	static const struct {
		const char *rule;
		bool lets_in;
	} cases[] = {
		{ "-A ufw-user-input -p tcp --dport 10250 -j ACCEPT", true },
		{ "-A ufw-user-input -s 10.0.0.0/8 -j ACCEPT", true },
		{ "-A ufw-user-input -i eth1 -j ACCEPT", true },
		{ "-A ufw-user-input -p tcp -m multiport --dports 10000:11000 -j ACCEPT", true },
		{ "-A ufw-user-input -p tcp -m multiport --dports 22,10250 -s 10.0.0.1 -j ACCEPT", true },
		{ "-A ufw-user-input -p tcp --dport 10250 -j ufw-user-limit-accept", true },
		{ "-A ufw6-user-input -s fd00::/8 -j ACCEPT", true },
		{ "-A ufw-before-input -p tcp ! --dport 22 -j ACCEPT", true },
		{ "-A ufw-user-input -p tcp --dport 22 -j ACCEPT -m comment --comment 'dapp_OpenSSH'", false },
		{ "-A ufw-user-input -p tcp -m multiport --dports 80,443,11000:12000 -j ACCEPT", false },
		{ "-A ufw-user-input -p udp --dport 10250 -j ACCEPT", false },
		{ "-A ufw-user-input -p tcp --dport 10250 -j DROP", false },
		{ "-A ufw-user-input -p tcp --sport 53 -j ACCEPT", false },
		{ "-A ufw-user-forward -s 10.0.0.0/8 -j ACCEPT", false },
		{ "-A ufw-before-input -i lo -j ACCEPT", false },
		{ "-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", false },
		{ "-A ufw-before-input -p udp --sport 67 --dport 68 -j ACCEPT", false },
		{ "-A ufw-before-input -j ufw-user-input", false },
		{ "### tuple ### deny tcp 10250 0.0.0.0/0 any 0.0.0.0/0 in", false },
		{ "", false },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), "*filter\n:ufw-user-input - [0:0]\n%s\nCOMMIT\n", cases[i].rule);
		if (byoh_ufw_lets_in(text, 10250) != cases[i].lets_in)
			fail_msg("%s", cases[i].rule);
	}
}

static void ufw_is_judged_by_all_of_its_files(void **state)
{
	const struct test_root *root = *state;

	assert_false(byoh_ufw_is_closed(root->fd));
	test_root_put(root, "/etc/ufw/ufw.conf", "# as it comes\nENABLED=no\n", 0644);
	test_root_put(root, "/etc/ufw/user.rules", "-A ufw-user-input -p tcp --dport 22 -j ACCEPT\n", 0640);
	assert_false(byoh_ufw_is_closed(root->fd));
	test_root_put(root, "/etc/ufw/ufw.conf", "# as it comes\nENABLED=yes\n", 0644);
	assert_true(byoh_ufw_is_closed(root->fd));
	test_root_put(root, "/etc/default/ufw", "IPV6=yes\nDEFAULT_INPUT_POLICY=\"ACCEPT\"\n", 0644);
	assert_false(byoh_ufw_is_closed(root->fd));
	test_root_put(root, "/etc/default/ufw", "IPV6=yes\nDEFAULT_INPUT_POLICY=\"DROP\"\n", 0644);
	assert_true(byoh_ufw_is_closed(root->fd));
	test_root_put(root, "/etc/ufw/before.rules", "-A ufw-before-input -s 10.0.0.0/8 -j ACCEPT\n", 0640);
	assert_false(byoh_ufw_is_closed(root->fd));
}

static const char zones_form[] =
	"drop\n  target: DROP\n  services: \n  ports: 10250/tcp\n\n"
	"public%s\n  target: %s\n  interfaces: eth0\n  sources: \n  services: ssh dhcpv6-client%s\n  ports: %s\n"
	"  protocols: %s\n  source-ports: \n  rich rules: \n\t%s\n\n"
	"trusted\n  target: ACCEPT\n  interfaces: \n";

static void firewalld_is_closed_only_where_no_zone_in_use_lets_in(void **state)
{
	static const struct {
		const char *mark, *target, *services, *ports, *protocols, *rich;
		bool lets_in;
	} cases[] = {
		{ " (active)", "default", "", "22/tcp 10250/udp 10251-11000/tcp", "icmp", "", false },
		{ "", "default", "", "", "", "", false },
		{ " (active)", "default", "", "22/tcp 10250/tcp", "", "", true },
		{ " (default, active)", "default", "", "10000-11000/tcp", "", "", true },
		{ " (active)", "ACCEPT", "", "", "", "", true },
		{ " (active)", "%%REJECT%%", "", "", "", "", false },
		{ " (active)", "default", " kubelet", "", "", "", true },
		{ " (active)", "default", " our-own", "", "", "", true },
		{ " (active)", "default", " https", "", "", "", false },
		{ " (active)", "default", "", "", "tcp", "", true },
		{ " (active)", "default", "", "", "", "rule family=\"ipv4\" source address=\"10.0.0.0/8\" accept", true },
		{ " (active)", "default", "", "", "", "rule family=\"ipv4\" source address=\"10.0.0.0/8\" drop", false },
		{ " (active)", "default", "", "", "", "rule port port=\"10250-10260\" protocol=\"tcp\" accept", true },
		{ " (active)", "default", "", "", "", "rule port port=\"9100\" protocol=\"tcp\" accept", false },
		{ " (active)", "default", "", "", "", "rule service name=\"ssh\" accept", false },
		{ " (active)", "default", "", "", "", "rule protocol value=\"vrrp\" accept", false },
	};
	char text[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text), zones_form, cases[i].mark, cases[i].target, cases[i].services, cases[i].ports,
			 cases[i].protocols, cases[i].rich);
		if (byoh_firewalld_lets_in(text, "public", 10250) != cases[i].lets_in)
			fail_msg("%zu: %s", i, text);
	}
	assert_true(byoh_firewalld_lets_in("home\n  target: default\n", "public", 10250)); /* cannot be told */
	assert_true(byoh_firewalld_lets_in("", "public", 10250));
}

static void tables_without_rules_hold_nothing(void **state)
{
	(void)state;
	assert_int_equal(byoh_count_rules(""), 0);
	assert_int_equal(byoh_count_rules("# Generated by iptables-save v1.8.9\n*filter\n:INPUT ACCEPT [0:0]\n"
					  ":KUBE-A - [0:0]\nCOMMIT\n# -A is not one\n"), 0);
	assert_int_equal(byoh_count_rules("*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j KUBE-SERVICES\n-A X -j Y\n"
					  "COMMIT\n"), 2);
	assert_int_equal(byoh_count_rules("-A X -j Y"), 1);
}

static void a_mount_point_lies_below_another_file_system(void **state)
{
	CLEANUP_FREE char *proc = NULL, *root = NULL, *missing = NULL;

	(void)state;
	assert_int_equal(byoh_mount_point("/proc/sys/kernel", &proc, NULL), 0);
	assert_string_equal(proc, "/proc");
	assert_int_equal(byoh_mount_point("/", &root, NULL), 0);
	assert_string_equal(root, "/");
	assert_int_equal(byoh_mount_point("/proc/not-there", &missing, NULL), 0);
	assert_null(missing);
}

/*
 * The API server's answers
 */

static void a_node_is_read(void **state)
{
	static const char text[] = "apiVersion: v1\nkind: Node\nmetadata:\n  name: worker\nstatus:\n"
				   "  addresses:\n  - address: 10.0.0.21\n    type: InternalIP\n  - address: worker\n    type: Hostname\n"
				   "  conditions:\n  - status: \"True\"\n    type: DiskPressure\n"
				   "  - message: 'container runtime network not ready: cni plugin not initialized'\n"
				   "    reason: KubeletNotReady\n    status: \"False\"\n    type: Ready\n"
				   "  nodeInfo:\n    machineID: 0123456789abcdef0123456789abcdef\n";
	struct byoh_evidence e = { 0 };

	(void)state;
	assert_int_equal(byoh_api_read_node(text, strlen(text), &e.api, NULL), 0);
	assert_true(e.api.node_known && e.api.node_exists && e.api.disk_pressure);
	assert_string_equal(e.api.node_address, "10.0.0.21");
	assert_string_equal(e.api.node_machine_id, "0123456789abcdef0123456789abcdef");
	assert_string_equal(e.api.ready, "False");
	assert_string_equal(e.api.ready_reason, "KubeletNotReady");
	assert_true(byoh_api_read_node("kind: Status\n", 13, &e.api, NULL) < 0);
	byoh_evidence_release(&e);
}

/* A request for that name, in the base64 of an answer; *ret_key (if not NULL) gets its key as PEM. */
static char *make_request(const char *name, char **ret_key)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509_REQ *request = X509_REQ_new();
	BIO *out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());
	char *pem, *key_pem, *encoded, *copy;
	long length;

	assert_true(key && request && out && key_out);
	assert_true(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN", MBSTRING_ASC,
					       (const unsigned char *)name, -1, -1, 0));
	assert_true(X509_REQ_set_pubkey(request, key) && X509_REQ_sign(request, key, EVP_sha256()) > 0);
	assert_true(PEM_write_bio_X509_REQ(out, request) && PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL));
	length = BIO_get_mem_data(out, &pem);
	copy = strndup(pem, (size_t)length);
	encoded = test_base64(copy);
	free(copy);
	length = BIO_get_mem_data(key_out, &key_pem);
	if (ret_key)
		*ret_key = strndup(key_pem, (size_t)length);
	BIO_free(out);
	BIO_free(key_out);
	X509_REQ_free(request);
	EVP_PKEY_free(key);
	return encoded;
}

static void add_item(struct byoh_buffer *text, const char *name, const char *signer, const char *request,
		     const char *status)
{
	assert_int_equal(byoh_buffer_printf(text, NULL,
					    "- metadata:\n    name: %s\n  spec:\n    request: %s\n    signerName: %s\n  status: %s\n",
					    name, request, signer, status),
			 0);
}

static void requests_are_read(void **state)
{
	CLEANUP_FREE char *key = NULL;
	CLEANUP_FREE char *own = make_request("system:node:worker", &key);
	CLEANUP_FREE char *earlier = make_request("system:node:worker", NULL);
	CLEANUP_FREE char *others = make_request("system:node:other", NULL);
	CLEANUP_FREE char *agents = make_request("byoh:host:worker", NULL);
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_evidence e = { 0 };

	(void)state;
	assert_int_equal(byoh_buffer_add_string(&text, "kind: CertificateSigningRequestList\nitems:\n", NULL), 0);
	add_item(&text, "node-csr-1", "kubernetes.io/kube-apiserver-client-kubelet", own, "{}");
	add_item(&text, "node-csr-2", "kubernetes.io/kube-apiserver-client-kubelet", earlier, "{}");
	add_item(&text, "node-csr-3", "kubernetes.io/kube-apiserver-client-kubelet", others, "{}");
	add_item(&text, "byoh-csr-worker", "kubernetes.io/kube-apiserver-client", agents,
		 "{conditions: [{type: Denied, status: \"True\", message: not ours}]}");
	add_item(&text, "broken", "kubernetes.io/kube-apiserver-client", "AAAA", "{}");
	assert_int_equal(byoh_api_read_requests(text.data, text.size, "worker", key, &e.api, NULL), 0);
	assert_int_equal(e.api.csr_count, 2);
	assert_string_equal(e.api.csrs[0].name, "node-csr-1");
	assert_string_equal(e.api.csrs[0].state, "pending");
	assert_false(e.api.csrs[0].other_key);
	assert_string_equal(e.api.csrs[1].name, "byoh-csr-worker");
	assert_string_equal(e.api.csrs[1].state, "denied");
	assert_string_equal(e.api.csrs[1].reason, "not ours");
	assert_true(e.api.csrs[1].other_key);
	byoh_evidence_release(&e);
}

/*
 * Files
 */

static void gather_files(const struct test_root *root, const struct byoh_host *host, struct byoh_evidence *ret)
{
	(void)root;
	*ret = (struct byoh_evidence){ .host = host, .containerd = { .systemd_cgroup = -1 } };
	assert_int_equal(byoh_gather_runtime(ret, NULL), 0);
	assert_int_equal(byoh_gather_kubelet(ret, NULL), 0);
	assert_int_equal(byoh_gather_cni(ret, NULL), 0);
	assert_int_equal(byoh_gather_kubeconfigs(ret, NULL), 0);
}

static void files_are_read(void **state)
{
	const struct test_root *root = *state;
	const struct byoh_host host = { .root_fd = root->fd, .hostname = (char *)"worker" };
	struct byoh_evidence e;

	gather_files(root, &host, &e);
	assert_false(e.containerd.configured || e.kubelet.exists || e.cni_count);
	byoh_evidence_release(&e);
	test_root_put(root, "/etc/containerd/config.toml",
		      "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"r/pause:1\"\n"
		      "disabled_plugins = [\"cri\"]\n", 0644);
	test_root_put(root, "/var/lib/kubelet/config.yaml",
		      "kind: KubeletConfiguration\ncgroupDriver: systemd\nserverTLSBootstrap: true\nresolvConf: /etc/own\n"
		      "authentication: {x509: {clientCAFile: /etc/kubernetes/pki/ca.crt}}\n", 0644);
	test_root_put(root, "/etc/own", "search site\nnameserver 127.0.0.53\n", 0644);
	test_root_put(root, "/etc/cni/net.d/10-a.conflist", "{\"plugins\": [{\"type\": \"bridge\"}]}", 0644);
	test_root_put(root, "/etc/cni/net.d/05-b.conf", "{", 0644);
	test_root_put(root, "/etc/cni/net.d/x.headcni_bak", "{", 0644);
	test_root_put(root, "/etc/kubernetes/bootstrap-kubeconfig", "{", 0640);
	gather_files(root, &host, &e);
	assert_int_equal(e.containerd.cri_disabled_line, 4);
	assert_int_equal(e.containerd.systemd_cgroup, 0);
	assert_string_equal(e.containerd.sandbox_image, "r/pause:1");
	assert_true(e.kubelet.exists && e.kubelet.serving_bootstrap && !e.kubelet.ca_exists);
	assert_string_equal(e.kubelet.resolv_loop, "127.0.0.53");
	assert_int_equal(e.cni_count, 2);
	assert_string_equal(e.cni_files[0].name, "05-b.conf");
	assert_non_null(e.cni_files[0].fault);
	assert_string_equal(e.cni_files[1].missing_plugin, "bridge");
	assert_int_equal(e.kubeconfigs[BYOH_DOCTOR_KUBELET_BOOTSTRAP].mode, 0640);
	assert_non_null(e.kubeconfigs[BYOH_DOCTOR_KUBELET_BOOTSTRAP].fault);
	byoh_evidence_release(&e);
}

/* As kubelets do that ask by themselves: the kubeconfig is there before its certificate. */
static void a_kubelet_that_asks_has_not_joined(void **state)
{
	static const char text[] = "current-context: c\ncontexts:\n- name: c\n  context: {cluster: c, user: u}\nclusters:\n- name: c\n"
				   "  cluster: {server: \"https://h:1\", certificate-authority-data: AAAA}\nusers:\n- name: u\n"
				   "  user: {client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem}\n";
	const struct test_root *root = *state;
	const struct byoh_host host = { .root_fd = root->fd, .hostname = (char *)"worker" };
	CLEANUP_FREE char *pem = test_certificate(false, NULL);
	struct byoh_evidence e;

	test_root_put(root, "/etc/kubernetes/kubelet.conf", text, 0600);
	gather_files(root, &host, &e);
	assert_false(e.kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].exists);
	assert_true(e.kubelet.asks);
	byoh_evidence_release(&e);
	test_root_put(root, "/var/lib/kubelet/pki/kubelet-client-current.pem", pem, 0600);
	gather_files(root, &host, &e);
	assert_true(e.kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].exists);
	assert_null(e.kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].fault);
	assert_false(e.kubelet.asks);
	byoh_evidence_release(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_last_runs_of_a_service_count),
		cmocka_unit_test(a_service_that_tells_when_it_is_up_starts_once),
		cmocka_unit_test(what_a_running_service_said_long_ago_does_not_count),
		cmocka_unit_test(listeners_are_found_by_their_inode),
		cmocka_unit_test(quantities_are_those_of_the_kubelet),
		cmocka_unit_test(ufw_is_closed_only_where_no_rule_lets_in),
		cmocka_unit_test_setup_teardown(ufw_is_judged_by_all_of_its_files, test_root_set_up, test_root_tear_down),
		cmocka_unit_test(firewalld_is_closed_only_where_no_zone_in_use_lets_in),
		cmocka_unit_test(tables_without_rules_hold_nothing),
		cmocka_unit_test(a_mount_point_lies_below_another_file_system),
		cmocka_unit_test(a_node_is_read),
		cmocka_unit_test(requests_are_read),
		cmocka_unit_test_setup_teardown(a_kubelet_that_asks_has_not_joined, test_root_set_up, test_root_tear_down),
		cmocka_unit_test_setup_teardown(files_are_read, test_root_set_up, test_root_tear_down),
	};

	return cmocka_run_group_tests_name("doctor's evidence", tests, NULL, NULL);
}
