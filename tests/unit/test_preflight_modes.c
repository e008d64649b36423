/* SPDX-License-Identifier: Apache-2.0 */
/* Preflight: what the join modes ask of a host. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/ledger.h"
#include "installer/steps/steps-internal.h"
#include "tests/unit/preflight-fixture.h"

static void a_network_that_is_not_known(void **state)
{
	struct preflight_fixture *f = *state;

	f->config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	f->config.cluster.pod_cidr = (char *)"10.244.0.0/16";
	preflight_expect(f, "pod-cidr", BYOH_CHECK_SKIPPED, "no network");
	f->config.cni.bridge = true;
	preflight_expect(f, "pod-cidr", BYOH_CHECK_WARN, "not known yet");
	f->config.join_mode = BYOH_JOIN_NONE;
	preflight_expect(f, "pod-cidr", BYOH_CHECK_FAIL, "not known");
	f->input.pod_cidr = "10.244.7.0/24";
	f->input.pod_cidr_source = "/run/flannel/subnet.env";
	preflight_expect(f, "pod-cidr", BYOH_CHECK_PASS, "10.244.7.0/24, from /run/flannel/subnet.env");
	f->input.pod_cidr = "10.88.0.0/24";
	preflight_expect(f, "pod-cidr", BYOH_CHECK_WARN, "does not lie in cluster.podCIDR");
	f->input.pod_cidr = "10.244.7.0/24";
	f->config.cni.invent_pod_cidr = true;
	preflight_expect(f, "pod-cidr", BYOH_CHECK_WARN, "made of the host's name");
}

static void name_servers_that_lead_back(void **state)
{
	struct preflight_fixture *f = *state;

	assert_true(byoh_check_loops("nameserver 127.0.0.53\n"));
	assert_true(byoh_check_loops("search lan\nnameserver 10.0.0.1\nnameserver ::1"));
	assert_false(byoh_check_loops("# nameserver 127.0.0.1\nnameserver 10.0.0.1\n"));
	assert_false(byoh_check_loops(""));
	f->config.join_mode = BYOH_JOIN_NONE;
	preflight_expect(f, "name-servers", BYOH_CHECK_SKIPPED, "no kubelet");
	f->config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	preflight_expect(f, "name-servers", BYOH_CHECK_PASS, "none are needed");
	test_root_put(&f->root, "/etc/resolv.conf", "nameserver 127.0.0.53\n", 0644);
	preflight_expect(f, "name-servers", BYOH_CHECK_WARN, "/etc/resolv.conf leads to this host");
	f->host.has_resolved = true;
	test_root_put(&f->root, "/run/systemd/resolve/resolv.conf", "nameserver 10.0.0.1\n", 0644);
	preflight_expect(f, "name-servers", BYOH_CHECK_PASS, "/run/systemd/resolve/resolv.conf");
	f->config.join_mode = BYOH_JOIN_AGENT;
	preflight_expect(f, "name-servers", BYOH_CHECK_WARN, "/etc/resolv.conf leads to this host");
	f->config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	f->config.node.resolv_conf = (char *)"/etc/pods.conf";
	preflight_expect(f, "name-servers", BYOH_CHECK_WARN, "/etc/pods.conf is not there");
	test_root_put(&f->root, "/etc/pods.conf", "nameserver 10.0.0.1\n", 0644);
	preflight_expect(f, "name-servers", BYOH_CHECK_PASS, "/etc/pods.conf");
}

static void a_node_is_adopted_by_name_only(void **state)
{
	struct preflight_fixture *f = *state;

	f->config.join_mode = BYOH_JOIN_AGENT;
	test_root_put(&f->root, "/etc/kubernetes/kubelet.conf", "", 0600);
	test_root_put(&f->root, "/etc/kubernetes/pki/ca.crt", "", 0644);
	test_root_put(&f->root, "/var/lib/kubelet/config.yaml", "", 0600);
	test_root_put(&f->root, "/usr/bin/kubelet", "", 0755);
	test_root_put(&f->root, "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", "", 0644);
	preflight_expect(f, "cluster-member", BYOH_CHECK_FAIL, "kubelet.conf");
	preflight_expect(f, "leftovers", BYOH_CHECK_FAIL, "/var/lib/kubelet");
	preflight_expect(f, "kubelet-installed", BYOH_CHECK_FAIL, "/usr/bin/kubelet");
	preflight_expect(f, "kubelet-dropins", BYOH_CHECK_FAIL, "10-kubeadm.conf");
	f->input.adopt_node = true;
	preflight_expect(f, "cluster-member", BYOH_CHECK_WARN, "adopted");
	preflight_expect(f, "leftovers", BYOH_CHECK_PASS, "none");
	preflight_expect(f, "kubelet-installed", BYOH_CHECK_PASS, "stays");
	preflight_expect(f, "kubelet-dropins", BYOH_CHECK_WARN, "10-kubeadm.conf");
	preflight_expect(f, "ports", BYOH_CHECK_SKIPPED, "adopted");
	/* not what is no worker, nor in another mode */
	f->config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	preflight_expect(f, "cluster-member", BYOH_CHECK_FAIL, "kubelet.conf");
	f->config.join_mode = BYOH_JOIN_AGENT;
	test_root_put(&f->root, "/etc/kubernetes/admin.conf", "", 0600);
	preflight_expect(f, "cluster-member", BYOH_CHECK_FAIL, "only a worker can be adopted");
}

static void an_agent_does_not_come_to_our_own_node(void **state)
{
	struct byoh_origin agent = { .before = { .kind = BYOH_ACTION_FILE,
						 .subject = (char *)BYOH_UNIT_DIR "/byoh-hostagent.service" } };
	struct byoh_ledger ledger = { .count = 0, .origins = &agent };
	struct preflight_fixture *f = *state;

	f->input.ledger = &ledger;
	f->config.join_mode = BYOH_JOIN_AGENT;
	preflight_expect(f, "mode-change", BYOH_CHECK_SKIPPED, "no agent");
	f->host.carries_release = true;
	preflight_expect(f, "mode-change", BYOH_CHECK_PASS, "no node");
	/* a kubelet that only asks yet */
	test_root_put(&f->root, "/etc/kubernetes/kubelet.conf",
		      "current-context: c\ncontexts:\n- name: c\n  context: {cluster: c, user: u}\nusers:\n- name: u\n"
		      "  user: {client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem}\n",
		      0600);
	preflight_expect(f, "mode-change", BYOH_CHECK_PASS, "no node");
	test_root_put(&f->root, "/etc/kubernetes/kubelet.conf", "", 0600);
	preflight_expect(f, "mode-change", BYOH_CHECK_FAIL, "without an agent");
	ledger.count = 1;
	preflight_expect(f, "mode-change", BYOH_CHECK_PASS, "no node");
}

static void a_stale_kubeconfig_of_the_agent(void **state)
{
	struct preflight_fixture *f = *state;

	f->config.join_mode = BYOH_JOIN_NONE;
	preflight_expect(f, "agent-config", BYOH_CHECK_SKIPPED, "no agent");
	f->config.join_mode = BYOH_JOIN_AGENT;
	preflight_expect(f, "agent-config", BYOH_CHECK_PASS, "none yet");
	test_root_put(&f->root, BYOH_AGENT_CONFIG, "nonsense\n", 0600);
	preflight_expect(f, "agent-config", BYOH_CHECK_FAIL, "no kubeconfig");
	f->host.carries_release = true;
	preflight_expect(f, "agent-config", BYOH_CHECK_WARN, "no kubeconfig");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, preflight_set_up, preflight_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_network_that_is_not_known),
		TEST(name_servers_that_lead_back),
		TEST(a_node_is_adopted_by_name_only),
		TEST(an_agent_does_not_come_to_our_own_node),
		TEST(a_stale_kubeconfig_of_the_agent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
