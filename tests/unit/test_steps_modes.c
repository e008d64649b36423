/* SPDX-License-Identifier: Apache-2.0 */
/* What the join modes ask of the steps beyond the services themselves. */
#include "installer/actions/actions.h"
#include "installer/steps/leave.h"
#include "installer/steps/node-state.h"
#include "tests/unit/certificates.h"
#include "tests/unit/steps-fixture.h"

static void pods_begin_with_a_file_of_name_servers(void **state)
{
	const struct byoh_action *action;

	(void)state;
	bring_node("v2.3.4", "v1.34.1");
	plan();
	action = get(BYOH_ACTION_FILE, "/etc/resolv.conf");
	assert_true(action->create_only);
	assert_int_equal(action->content.size, 0);
	f.host.has_resolved = true;
	plan();
	assert_null(find(BYOH_ACTION_FILE, "/etc/resolv.conf"));
	f.host.has_resolved = false;
	f.config.node.resolv_conf = (char *)"/etc/kubelet-resolv.conf";
	plan();
	assert_null(find(BYOH_ACTION_FILE, "/etc/resolv.conf"));
}

static void the_kubelets_own_fields_come_with_the_configuration(void **state)
{
	(void)state;
	bring_node("v2.3.4", "v1.34.1");
	know_cluster();
	f.config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	f.config.text = as_buffer("apiVersion: x\n");
	f.config.node.kubelet = as_buffer("registryBurst: 3\n");
	f.config.node.kubelet_text = as_buffer("# mine\nregistryBurst: 3\n");
	f.config.node.kubelet_file = (char *)"files/kubelet.yaml";
	plan();
	has_text("/var/lib/kubelet/config.yaml", "\nregistryBurst: 3\n");
	has_text("/etc/byoh/kubelet.yaml", "# mine\n");
	f.config.node.kubelet = f.config.node.kubelet_text = as_buffer("failCgroupV1: false\n");
	f.manifest.kubernetes = (char *)"v1.30.0";
	byoh_plan_free(f.plan);
	f.plan = NULL;
	plan_fails(BYOH_ERROR_CONFIG, "files/kubelet.yaml:1:1: kubelets know the field \"failCgroupV1\" from 1.31 on");
}

/* The network of a single node */

static void bring_plugins(void)
{
	static const char *const plugins[] = { "bridge", "host-local", "portmap", "loopback" };
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(plugins); i++) {
		snprintf(path, sizeof(path), "/opt/cni/bin/%s", plugins[i]);
		host_file(path, "", 0755);
	}
}

static void a_bridge_gets_the_nodes_network(void **state)
{
	static const char name[] = "/etc/cni/net.d/99-byoh.conflist";

	(void)state;
	bring_node("v2.3.4", "v1.34.1");
	f.config.cni.bridge = true;
	plan_fails(BYOH_ERROR_CONFIG, "/opt/cni/bin/bridge");
	bring_plugins();
	plan();
	assert_null(find(BYOH_ACTION_FILE, name));
	f.input.pod_cidr = "10.244.7.0/24";
	plan();
	has_text(name, "[[{\"subnet\": \"10.244.7.0/24\"}]],");
	has_text(name, "[{\"dst\": \"0.0.0.0/0\"}]");
	assert_string_equal(text_of("/var/lib/byoh/pod-cidr"), "10.244.7.0/24\n");
	f.input.pod_cidr = "10.244.7.0/24,fd00:7::/64";
	plan();
	has_text(name, "[[{\"subnet\": \"10.244.7.0/24\"}], [{\"subnet\": \"fd00:7::/64\"}]],");
	has_text(name, "{\"dst\": \"0.0.0.0/0\"}, {\"dst\": \"::/0\"}]");
}

static bool restarts_containerd_on(const char *path)
{
	for (char **on = get(BYOH_ACTION_UNIT, "containerd.service")->restart_on; *on; on++)
		if (strcmp(*on, path) == 0)
			return true;
	return false;
}

/* containerd does not see what is renamed into its folder. */
static void a_new_list_is_seen(void **state)
{
	(void)state;
	bring_node("v2.3.4", "v1.34.1");
	plan();
	assert_true(restarts_containerd_on("/etc/cni/net.d/99-byoh.conflist"));
	f.config.cni.conflist_name = (char *)"10-mine.conflist";
	f.config.cni.conflist = as_buffer("{}");
	plan();
	assert_true(restarts_containerd_on("/etc/cni/net.d/10-mine.conflist"));
}

/* What we write is what we would read the network from. */
static void a_bridge_is_read_back(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char cidr[BYOH_POD_CIDR_MAX];

	(void)state;
	assert_int_equal(byoh_bridge_conflist("10.244.7.0/24,fd00:7::/64", &text, &f.error), 0);
	assert_int_equal(byoh_pod_cidr_of_cni(text.data, text.size, cidr, sizeof(cidr)), 0);
	assert_string_equal(cidr, "10.244.7.0/24,fd00:7::/64");
}

static size_t changes(void)
{
	size_t count = 0;

	assert_int_equal(byoh_plan_check(f.plan, &f.input, &count, &f.error), 0);
	return count;
}

static void headcni_is_no_drift(void **state)
{
	static const char name[] = "/etc/cni/net.d/99-byoh.conflist";
	struct byoh_node_state node;

	(void)state;
	bring_node("v2.3.4", "v1.34.1");
	bring_plugins();
	f.config.cni.bridge = true;
	f.input.pod_cidr = "10.244.7.0/24";
	plan();
	(void)changes();
	assert_int_equal(get(BYOH_ACTION_FILE, name)->state, BYOH_STATE_ABSENT);
	host_file("/etc/cni/net.d/10-headcni.conflist", "{}", 0644);
	host_file("/etc/cni/net.d/99-byoh.conflist.headcni_bak", text_of(name), 0644);
	plan();
	(void)changes();
	assert_int_equal(get(BYOH_ACTION_FILE, name)->state, BYOH_STATE_SAME);
	assert_int_equal(byoh_node_look(&f.host, &f.config, &node, &f.error), 0);
	assert_string_equal(node.network, "headcni");
	assert_string_equal(node.network_ours, "99-byoh.conflist.headcni_bak");
}

static void the_first_file_is_the_network(void **state)
{
	struct byoh_node_state node;

	(void)state;
	f.config.cni.conflist_name = (char *)"50-mine.conflist";
	assert_int_equal(byoh_node_look(&f.host, &f.config, &node, &f.error), 0);
	assert_string_equal(node.network, "none");
	host_file("/etc/cni/net.d/50-mine.conflist", "{}", 0644);
	assert_int_equal(byoh_node_look(&f.host, &f.config, &node, &f.error), 0);
	assert_string_equal(node.network, "ours");
	host_file("/etc/cni/net.d/10-flannel.conflist", "{}", 0644);
	assert_int_equal(byoh_node_look(&f.host, &f.config, &node, &f.error), 0);
	assert_string_equal(node.network, "other");
	assert_string_equal(node.network_file, "10-flannel.conflist");
}

/* A site without a router */

static void a_dummy_route_is_a_unit(void **state)
{
	static const char unit[] = UNITS "byoh-dummy-route.service";

	(void)state;
	bring_node("v2.3.4", "v1.34.1");
	plan();
	assert_null(find(BYOH_ACTION_FILE, unit));
	f.config.host.dummy_route = true;
	plan();
	has_text(unit, "ip route replace default via 203.0.113.255 dev byoh-dummy0 metric 65535\n");
	has_text(unit, "ExecStop=/sbin/ip link delete byoh-dummy0\n");
	links_to(WANTED "byoh-dummy-route.service", unit);
	assert_string_equal(get(BYOH_ACTION_UNIT, "byoh-dummy-route.service")->value, "started");
	assert_true(place_of(BYOH_ACTION_RELOAD, "systemd") < place_of(BYOH_ACTION_UNIT, "byoh-dummy-route.service"));
	assert_true(place_of(BYOH_ACTION_UNIT, "byoh-dummy-route.service") <
		    place_of(BYOH_ACTION_UNIT, "containerd.service"));
}

/* The system's CA certificates */

#define STORE "/etc/ssl/certs/ca-certificates.crt"
#define COPY "/var/lib/byoh/ca-certificates.crt"

static char *join_texts(const char *a, const char *b, const char *c)
{
	char *text = NULL;

	assert_true(asprintf(&text, "%s%s%s", a, b, c) >= 0);
	return text;
}

static bool guard(void)
{
	bool mended = false;

	if (byoh_ca_bundle_guard(&f.host, &f.config, &mended, &f.error) < 0)
		fail_msg("%s", f.error.message);
	return mended;
}

static void store_is(const char *text)
{
	CLEANUP_BUFFER struct byoh_buffer now = { 0 };

	assert_int_equal(byoh_read_file(f.host.root_fd, STORE, 1 << 20, &now, NULL), 0);
	assert_string_equal(byoh_buffer_text(&now), text);
}

static void the_guard_knows_the_agents_work(void **state)
{
	CLEANUP_FREE char *a = test_certificate(true, "a"), *b = test_certificate(true, "b"),
			  *c = test_certificate(true, "c"), *cluster = test_certificate(true, "cluster"),
			  *stranger = test_certificate(true, "stranger");
	CLEANUP_FREE char *system = join_texts(a, b, c), *whole = join_texts(system, cluster, "");

	(void)state;
	host_file(STORE, cluster, 0644);
	assert_false(guard()); /* nothing was kept */
	host_file(COPY, system, 0600);
	assert_false(guard()); /* and who has written it is not known */
	store_is(cluster);
	f.config.cluster.ca = as_buffer(cluster);
	assert_true(guard());
	store_is(whole);
	assert_false(guard()); /* so that its own write is its last */
	host_file(STORE, stranger, 0644);
	assert_false(guard()); /* a person's */
	store_is(stranger);
	host_file(STORE, "", 0644);
	assert_false(guard());
	f.config.cluster.ca = (struct byoh_buffer){ 0 };
	host_file(STORE, cluster, 0600);
	host_file("/etc/kubernetes/pki/ca.crt", cluster, 0644);
	assert_true(guard());
	store_is(whole);
}

static void the_guard_comes_with_the_agent(void **state)
{
	(void)state;
	bring_node("v2.3.4", "v1.34.1");
	know_cluster();
	plan();
	assert_null(find(BYOH_ACTION_FILE, UNITS "byoh-ca-guard.path"));
	f.config.join_mode = BYOH_JOIN_AGENT;
	plan();
	has_text(UNITS "byoh-ca-guard.path", "PathChanged=" STORE "\n");
	has_text(UNITS "byoh-ca-guard.service", "byoh-install settle --ca-bundle\n");
	links_to(WANTED "byoh-ca-guard.path", UNITS "byoh-ca-guard.path");
	assert_true(place_of(BYOH_ACTION_UNIT, "byoh-ca-guard.path") <
		    place_of(BYOH_ACTION_UNIT, "byoh-hostagent.service"));
}

/* A bundle for the agent's scripts */

#define LOCAL "/var/lib/byoh/bundles/registry.lan/byoh/byoh-bundle-ubuntu_24.04.1_x86-64_k8s:v1.34.1"

static void a_local_bundle_is_laid_out(void **state)
{
	(void)state;
	bring_node("v2.3.4", "v1.34.1");
	bring("usr/local/bin/kubeadm");
	bring("opt/cni/bin/bridge");
	f.manifest.arch = (char *)"amd64";
	f.host.os_id = (char *)"debian";
	f.host.os_version_id = (char *)"12";
	f.config.join_mode = BYOH_JOIN_AGENT;
	plan();
	has_text(UNITS "byoh-hostagent.service", "\t--skip-installation $BYOH_EXTRA_ARGS\n");
	assert_null(find(BYOH_ACTION_FILE, "/usr/local/bin/imgpkg"));
	f.config.agent.bundle_repo = (char *)"registry.lan/byoh";
	byoh_plan_free(f.plan);
	f.plan = NULL;
	plan_fails(BYOH_ERROR_CONFIG, "this host is debian 12");
	f.host.os_id = (char *)"ubuntu";
	f.host.os_version_id = (char *)"24.04";
	plan();
	assert_true(get(BYOH_ACTION_FILE, LOCAL "/bin/kubelet")->copy);
	assert_true(get(BYOH_ACTION_FILE, LOCAL "/containerd/bin/containerd")->copy);
	get(BYOH_ACTION_FILE, LOCAL "/cni/bin/bridge");
	links_to(LOCAL "/kubeadm", "bin/kubeadm");
	get(BYOH_ACTION_DIRECTORY, "/var/lib/byoh/bundles/registry.lan");
	assert_int_equal(count_actions(BYOH_ACTION_DIRECTORY, LOCAL), 1);
	has_text("/usr/local/bin/imgpkg", "exit 1\n");
	lacks_text(UNITS "byoh-hostagent.service", "--skip-installation");
	has_text(UNITS "byoh-hostagent.service", "\t$BYOH_EXTRA_ARGS\n");
	f.config.agent.bundle_os = (char *)"kubexm_1";
	plan();
	get(BYOH_ACTION_FILE, "/var/lib/byoh/bundles/registry.lan/byoh/byoh-bundle-kubexm_1_k8s:v1.34.1/bin/kubeadm");
}

/* A host that is a node already */

static void adopt(void)
{
	bring_node("v2.3.4", "v1.34.1");
	bring("usr/local/bin/kubectl");
	f.config.join_mode = BYOH_JOIN_AGENT;
	f.input.adopt_node = true;
	host_file("/etc/kubernetes/kubelet.conf", "", 0600);
	host_file("/usr/local/bin/kubectl", "", 0755);
	host_file("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS=\"--container-runtime=remote\"\n", 0644);
}

static void an_adopted_node_keeps_its_kubelet(void **state)
{
	(void)state;
	adopt();
	plan();
	assert_string_equal(text_of("/var/lib/byoh/adopted-node"),
			    "/etc/kubernetes/kubelet.conf\n/usr/local/bin/kubectl\n");
	assert_null(find(BYOH_ACTION_FILE, UNITS "kubelet.service"));
	assert_null(find(BYOH_ACTION_FILE, UNITS "kubelet.service.d/10-byoh.conf"));
	assert_null(find(BYOH_ACTION_FILE, UNITS "kubelet.service.d/05-byoh-settle.conf"));
	assert_null(find(BYOH_ACTION_FILE, UNITS "kube-proxy.service.d/05-byoh-settle.conf"));
	assert_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
	assert_null(find(BYOH_ACTION_FILE, "/usr/local/bin/kubectl"));
	assert_null(find(BYOH_ACTION_FILE, "/var/lib/kubelet/kubeadm-flags.env"));
	get(BYOH_ACTION_FILE, "/usr/local/bin/kubelet"); /* where the agent's unit will look for it */
	get(BYOH_ACTION_FILE, UNITS "byoh-hostagent.service");
}

/* Later runs are not told again; and nothing is adopted where there is nothing. */
static void an_adopted_node_is_remembered(void **state)
{
	(void)state;
	adopt();
	f.input.adopt_node = false;
	plan();
	get(BYOH_ACTION_FILE, UNITS "kubelet.service");
	host_file("/var/lib/byoh/adopted-node", "/etc/kubernetes/kubelet.conf\n", 0644);
	plan();
	assert_null(find(BYOH_ACTION_FILE, UNITS "kubelet.service"));
	f.config.join_mode = BYOH_JOIN_NONE;
	plan();
	get(BYOH_ACTION_FILE, UNITS "kubelet.service");
}

static void leaving_an_adopted_node_ends_no_pod(void **state)
{
	struct byoh_origin origins[] = {
		{ .before = { .kind = BYOH_ACTION_FILE, .subject = (char *)BYOH_BIN_CONTAINERD } },
		{ .before = { .kind = BYOH_ACTION_FILE, .subject = (char *)BYOH_BIN_KUBELET } },
		{ .before = { .kind = BYOH_ACTION_FILE, .subject = (char *)UNITS "byoh-hostagent.service" } },
	};
	struct byoh_ledger ledger = { .count = ARRAY_SIZE(origins), .origins = origins };

	(void)state;
	for (size_t adopted = 0; adopted < 2; adopted++) {
		struct byoh_step step = { 0 };
		size_t killed = 0, stopped = 0;

		if (adopted)
			host_file(BYOH_ADOPTED_NODE_PATH, "/etc/kubernetes/kubelet.conf\n", 0644);
		assert_int_equal(byoh_leave_stop(&f.host, &ledger, &step, &f.error), 0);
		for (size_t i = 0; i < step.action_count; i++) {
			killed += step.actions[i].kind == BYOH_ACTION_KILL || step.actions[i].kind == BYOH_ACTION_UNMOUNT;
			stopped += strcmp(step.actions[i].subject, "byoh-hostagent.service") == 0;
		}
		assert_int_equal(stopped, 1);
		assert_int_equal(killed == 0, adopted);
		byoh_step_release(&step);
	}
}

/* Pods on a containerd that stays are ours all the same. */
static void leaving_an_adopted_containerd_ends_our_pods(void **state)
{
	struct byoh_origin origins[] = {
		{ .before = { .kind = BYOH_ACTION_FILE, .subject = (char *)BYOH_BIN_KUBELET } },
	};
	const struct byoh_ledger ledger = { .count = 1, .origins = origins };
	struct byoh_step step = { 0 };
	bool pods = false, containerd = false;

	(void)state;
	host_file(BYOH_ADOPTED_PATH, "/usr/bin/containerd\n", 0644);
	assert_int_equal(byoh_leave_stop(&f.host, &ledger, &step, &f.error), 0);
	for (size_t i = 0; i < step.action_count; i++) {
		pods |= step.actions[i].kind == BYOH_ACTION_KILL && strcmp(step.actions[i].subject, "kubepods.slice") == 0;
		containerd |= step.actions[i].kind == BYOH_ACTION_KILL && strstr(step.actions[i].subject, "containerd");
	}
	assert_true(pods && !containerd);
	byoh_step_release(&step);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pods_begin_with_a_file_of_name_servers),
		TEST(the_kubelets_own_fields_come_with_the_configuration),
		TEST(a_bridge_gets_the_nodes_network),
		TEST(a_bridge_is_read_back),
		TEST(a_new_list_is_seen),
		TEST(headcni_is_no_drift),
		TEST(the_first_file_is_the_network),
		TEST(a_dummy_route_is_a_unit),
		TEST(the_guard_knows_the_agents_work),
		TEST(the_guard_comes_with_the_agent),
		TEST(a_local_bundle_is_laid_out),
		TEST(an_adopted_node_keeps_its_kubelet),
		TEST(an_adopted_node_is_remembered),
		TEST(leaving_an_adopted_node_ends_no_pod),
		TEST(leaving_an_adopted_containerd_ends_our_pods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
