/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps plan for the node: containerd, registries, units, joining, services. */
#include "tests/unit/steps-fixture.h"

static void containerd_1_gets_version_2(void **state)
{
	(void)state;
	bring_node("1.6.20~ds1-1+deb12u1", "v1.20.2");
	plan();
	has_text(BYOH_CONTAINERD_CONFIG, "version = 2\n");
	has_text(BYOH_CONTAINERD_CONFIG, "sandbox_image = \"registry.example/pause:3.10\"\n");
	has_text(BYOH_CONTAINERD_CONFIG, "SystemdCgroup = true\n");
	has_text(BYOH_CONTAINERD_CONFIG, "bin_dir = \"/opt/cni/bin\"\n");
	has_text(BYOH_CONTAINERD_CONFIG, "enable_selinux = false\n");
	lacks_text(BYOH_CONTAINERD_CONFIG, "cri.v1");
	lacks_text(BYOH_CONTAINERD_CONFIG, "$");
	assert_int_equal(get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CONFIG)->mode, 0644);
	has_text("/etc/crictl.yaml", "runtime-endpoint: unix:///run/containerd/containerd.sock\n");
}

static void containerd_2_gets_version_3(void **state)
{
	(void)state;
	bring_node("v2.0.4", "v1.34.1");
	f.host.selinux_enabled = true;
	f.config.containerd.root = (char *)"/data/\"odd\\dir\"";
	plan();
	has_text(BYOH_CONTAINERD_CONFIG, "version = 3\n");
	has_text(BYOH_CONTAINERD_CONFIG, "root = \"/data/\\\"odd\\\\dir\\\"\"\n");
	has_text(BYOH_CONTAINERD_CONFIG, "    sandbox = \"registry.example/pause:3.10\"\n");
	has_text(BYOH_CONTAINERD_CONFIG, "enable_selinux = true\n");
	has_text(BYOH_CONTAINERD_CONFIG, "    bin_dir = \"/opt/cni/bin\"\n");
	lacks_text(BYOH_CONTAINERD_CONFIG, "bin_dirs");
	lacks_text(BYOH_CONTAINERD_CONFIG, "grpc.v1.cri");
	f.components[0].version = (char *)"2.1.5";
	plan();
	has_text(BYOH_CONTAINERD_CONFIG, "    bin_dirs = [\"/opt/cni/bin\"]\n");
	lacks_text(BYOH_CONTAINERD_CONFIG, "bin_dir =");
}

static void a_containerd_without_version_is_refused(void **state)
{
	(void)state;
	bring("usr/local/bin/containerd");
	plan_fails(BYOH_ERROR_FORMAT, "containerd");
	component("containerd", "newest");
	plan_fails(BYOH_ERROR_FORMAT, "newest");
}

static void the_sandbox_image_has_to_be_there(void **state)
{
	struct byoh_mirror mirror = { .registry = (char *)"*" };
	char *endpoint[] = { (char *)"https://registry.lan" };

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	f.config.containerd.sandbox_image = (char *)"registry.example/pause:3.9";
	plan_fails(BYOH_ERROR_CONFIG, "registry.example/pause:3.10");
	f.config.containerd.sandbox_image = (char *)"registry.example/tools:1";
	plan();
	has_text(BYOH_CONTAINERD_CONFIG, "sandbox = \"registry.example/tools:1\"\n");
	f.config.containerd.sandbox_image = (char *)"registry.example/pause:3.9";
	mirror.endpoints = (struct byoh_strings){ 1, endpoint };
	f.config.mirrors = &mirror;
	f.config.mirror_count = 1;
	plan();
	f.config.containerd.sandbox_image = NULL;
	f.manifest.image_count = 0;
	plan();
	lacks_text(BYOH_CONTAINERD_CONFIG, "sandbox");
}

/* Mirrors: three endpoints of docker.io, the last of them the server, one with a prefix and a CA. */
static void mirrors_become_hosts_toml(void **state)
{
	char *endpoints[] = { (char *)"https://a.lan:5000/v2/", (char *)"http://b.lan/proxy/hub",
			      (char *)"https://c.lan" };
	struct byoh_mirror mirror = { .registry = (char *)"docker.io", .endpoints = { 3, endpoints } };
	struct byoh_registry_config config = {
		.registry = (char *)"a.lan:5000", .ca_file = (char *)"/etc/ssl/a.pem",
		.cert_file = (char *)"/etc/ssl/a.crt", .key_file = (char *)"/etc/ssl/a.key",
	};

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	f.config.mirrors = &mirror;
	f.config.mirror_count = 1;
	f.config.registry_configs = &config;
	f.config.registry_config_count = 1;
	plan();
	assert_string_equal(text_of(BYOH_CONTAINERD_CERTS "/docker.io/hosts.toml"),
			    "server = \"https://c.lan\"\n"
			    "capabilities = [\"pull\", \"resolve\"]\n"
			    "\n"
			    "[host.\"https://a.lan:5000\"]\n"
			    "capabilities = [\"pull\", \"resolve\"]\n"
			    "ca = \"/etc/ssl/a.pem\"\n"
			    "client = [[\"/etc/ssl/a.crt\", \"/etc/ssl/a.key\"]]\n"
			    "\n"
			    "[host.\"http://b.lan/proxy/hub\"]\n"
			    "capabilities = [\"pull\", \"resolve\"]\n"
			    "override_path = true\n");
	assert_int_equal(get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CERTS "/docker.io/hosts.toml")->mode, 0644);
	has_text(BYOH_CONTAINERD_CERTS "/a.lan:5000/hosts.toml", "server = \"https://a.lan:5000\"\n");
}

static void a_mirror_of_all_is_the_default(void **state)
{
	char *endpoints[] = { (char *)"https://a.lan" };
	struct byoh_mirror mirror = { .registry = (char *)"*", .endpoints = { 1, endpoints } };

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	f.config.mirrors = &mirror;
	f.config.mirror_count = 1;
	plan();
	has_text(BYOH_CONTAINERD_CERTS "/_default/hosts.toml", "server = \"https://a.lan\"\n");
	mirror.registry = (char *)"../../x";
	byoh_plan_free(f.plan);
	f.plan = NULL;
	plan_fails(BYOH_ERROR_CONFIG, "../../x");
}

static void a_prefix_is_the_one_rewrite_that_can_be_said(void **state)
{
	char *endpoints[] = { (char *)"https://a.lan" };
	struct byoh_pair rewrite = { (char *)"^(.*)$", (char *)"hub/$1" };
	struct byoh_mirror mirror = { .registry = (char *)"docker.io", .endpoints = { 1, endpoints },
				      .rewrites = { 1, &rewrite } };

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	f.config.mirrors = &mirror;
	f.config.mirror_count = 1;
	plan();
	has_text(BYOH_CONTAINERD_CERTS "/docker.io/hosts.toml",
		 "server = \"https://a.lan/v2/hub\"\n"
		 "capabilities = [\"pull\", \"resolve\"]\noverride_path = true\n");
	byoh_plan_free(f.plan);
	f.plan = NULL;
	rewrite.key = (char *)"^library/(.*)$";
	plan_fails(BYOH_ERROR_CONFIG, "^library/(.*)$");
	rewrite.key = (char *)"^(.*)$";
	rewrite.value = (char *)"a$1b/$1";
	plan_fails(BYOH_ERROR_CONFIG, "hosts.toml");
}

static void credentials_lie_in_closed_files(void **state)
{
	struct byoh_registry_config config = {
		.registry = (char *)"r.lan", .username = (char *)"u\"ser", .password = (char *)"p",
	};
	const struct byoh_action *action;

	(void)state;
	f.config.registry_configs = &config;
	f.config.registry_config_count = 1;
	bring_node("1.7.1", "v1.34.1");
	plan();
	action = get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CONFIG);
	assert_true(action->secret);
	assert_int_equal(action->mode, 0600);
	has_text(BYOH_CONTAINERD_CONFIG,
		 "[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"r.lan\".auth]\n"
		 "      username = \"u\\\"ser\"\n      password = \"p\"\n");
	assert_false(get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CERTS "/r.lan/hosts.toml")->secret);
	f.components[0].version = (char *)"2.1.0";
	plan();
	assert_false(get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CONFIG)->secret);
	action = get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CERTS "/r.lan/hosts.toml");
	assert_true(action->secret);
	assert_int_equal(action->mode, 0600);
	has_text(BYOH_CONTAINERD_CERTS "/r.lan/hosts.toml",
		 "\n[header]\nAuthorization = \"Basic dSJzZXI6cA==\"\n");
	byoh_plan_free(f.plan);
	f.plan = NULL;
	config.identity_token = (char *)"x";
	plan_fails(BYOH_ERROR_CONFIG, "identity token");
}

static void proxies_reach_no_unit(void **state)
{
	static const char *const units[] = { "containerd.service", "kubelet.service",
					     "byoh-hostagent.service", "byoh-settle.service",
					     "byoh-settle-images.service", "kubelet.service.d/10-byoh.conf" };

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	f.config.join_mode = BYOH_JOIN_AGENT;
	plan();
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		char path[128];

		snprintf(path, sizeof(path), UNITS "%s", units[i]);
		has_text(path, "UnsetEnvironment=http_proxy https_proxy");
		has_text(path, "UnsetEnvironment=HTTP_PROXY HTTPS_PROXY");
	}
}

static void settling_stands_between_boot_and_containerd(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	plan();
	has_text(UNITS "byoh-settle.service",
		 "ExecStart=/usr/local/sbin/byoh-install settle --recover\n");
	has_text(UNITS "byoh-settle.service", "Before=containerd.service kubelet.service");
	has_text(UNITS "byoh-settle-images.service",
		 "ExecStart=/usr/local/sbin/byoh-install settle\n");
	has_text(UNITS "byoh-settle-images.service", "ConditionPathExists=/var/lib/byoh/unsettled\n");
	links_to(WANTED "byoh-settle.service", UNITS "byoh-settle.service");
	links_to(WANTED "byoh-settle-images.service", UNITS "byoh-settle-images.service");
}

static void none_prepares_and_starts_no_node(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	know_cluster();
	plan();
	assert_string_equal(get(BYOH_ACTION_UNIT, "containerd.service")->value, "started");
	assert_int_equal(count_actions(BYOH_ACTION_UNIT, NULL), 1);
	assert_int_equal(count_actions(BYOH_ACTION_IMAGE, NULL), 2);
	assert_non_null(find(BYOH_ACTION_FILE, UNITS "kubelet.service"));
	assert_null(find(BYOH_ACTION_LINK, WANTED "kubelet.service"));
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBELET_CONFIG));
	assert_null(find(BYOH_ACTION_FILE, UNITS "byoh-hostagent.service"));
}

static void tls_bootstrap_runs_kubelet_and_kube_proxy(void **state)
{
	const struct byoh_action *action;

	(void)state;
	bring_node("1.6.20", "v1.20.2");
	know_cluster();
	f.config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	f.config.kube_proxy.token = (char *)"proxy-token";
	plan();
	action = get(BYOH_ACTION_FILE, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG);
	assert_true(action->secret);
	assert_int_equal(action->mode, 0600);
	has_text(BYOH_KUBELET_BOOTSTRAP_KUBECONFIG, "abcdef.0123456789abcdef");
	assert_int_equal(get(BYOH_ACTION_FILE, BYOH_KUBERNETES_CA)->mode, 0644);
	has_text(BYOH_KUBELET_CONFIG, "KubeletConfiguration");
	has_text(BYOH_KUBE_PROXY_CONFIG, "KubeProxyConfiguration");
	assert_true(get(BYOH_ACTION_FILE, BYOH_KUBE_PROXY_KUBECONFIG)->secret);
	has_text(UNITS "kubelet.service", "ConditionPathExists=/var/lib/kubelet/config.yaml\n");
	has_text(UNITS "kubelet.service", "ExecStart=/usr/local/bin/kubelet \\\n");
	has_text(UNITS "kubelet.service", "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubeconfig");
	links_to(WANTED "kubelet.service", UNITS "kubelet.service");
	links_to(WANTED "kube-proxy.service", UNITS "kube-proxy.service");
	assert_null(find(BYOH_ACTION_FILE, UNITS "kube-proxy.path"));
	assert_non_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
	assert_non_null(find(BYOH_ACTION_UNIT, "kube-proxy.service"));
	assert_null(find(BYOH_ACTION_UNIT, "byoh-hostagent.service"));
	assert_null(find(BYOH_ACTION_FILE, UNITS "byoh-hostagent.service"));
}

static void the_order_of_services(void **state)
{
	size_t reload, containerd, first_image, kubelet;

	(void)state;
	bring_node("1.6.20", "v1.20.2");
	know_cluster();
	f.config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	plan();
	reload = place_of(BYOH_ACTION_RELOAD, "systemd");
	containerd = place_of(BYOH_ACTION_UNIT, "containerd.service");
	first_image = place_of(BYOH_ACTION_IMAGE, "registry.example/tools:1");
	kubelet = place_of(BYOH_ACTION_UNIT, "kubelet.service");
	assert_true(place_of(BYOH_ACTION_FILE, UNITS "kubelet.service") < reload);
	assert_true(place_of(BYOH_ACTION_FILE, BYOH_KUBELET_CONFIG) < reload);
	assert_true(reload < containerd);
	assert_true(containerd < first_image);
	assert_true(first_image < kubelet);
}

static void kube_proxy_waits_for_what_identifies_it(void **state)
{
	(void)state;
	bring_node("1.6.20", "v1.20.2");
	know_cluster();
	f.config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	f.config.kube_proxy.node_identity = true;
	plan();
	has_text(UNITS "kube-proxy.path", "PathExists=/etc/kubernetes/kubelet.conf\n");
	has_text(UNITS "kube-proxy.service", "ConditionPathExists=/etc/kubernetes/kubelet.conf\n");
	assert_non_null(find(BYOH_ACTION_UNIT, "kube-proxy.path"));
	assert_null(find(BYOH_ACTION_UNIT, "kube-proxy.service"));
	host_file("/etc/kubernetes/kubelet.conf", "kind: Config\n", 0600);
	plan();
	assert_true(place_of(BYOH_ACTION_UNIT, "kube-proxy.service") <
		    place_of(BYOH_ACTION_UNIT, "kube-proxy.path"));
	f.config.kube_proxy.manage = false;
	plan();
	assert_null(find(BYOH_ACTION_FILE, UNITS "kube-proxy.service"));
	assert_null(find(BYOH_ACTION_UNIT, "kube-proxy.path"));
}

static void kube_proxy_has_its_certificate_asked_for(void **state)
{
	(void)state;
	bring_node("1.6.20", "v1.20.2");
	know_cluster();
	f.config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	f.config.kube_proxy.client_certificate = true;
	plan();
	has_text(UNITS "byoh-certificates.service", "ExecStart=/usr/local/sbin/byoh-install certificates --quiet\n");
	has_text(UNITS "byoh-certificates.service", "PartOf=byoh-certificates.timer\n");
	has_text(UNITS "kube-proxy.path", "PathExists=/etc/kubernetes/kube-proxy.kubeconfig\n");
	assert_non_null(find(BYOH_ACTION_LINK, "/etc/systemd/system/timers.target.wants/byoh-certificates.timer"));
	assert_non_null(find(BYOH_ACTION_UNIT, "byoh-certificates.timer"));
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBE_PROXY_KUBECONFIG));
	f.config.kube_proxy.client_certificate = false;
	plan();
	assert_null(find(BYOH_ACTION_FILE, UNITS "byoh-certificates.service"));
	assert_null(find(BYOH_ACTION_UNIT, "byoh-certificates.timer"));
}

static void without_a_token_the_kubelet_waits(void **state)
{
	(void)state;
	bring_node("1.6.20", "v1.20.2");
	know_cluster();
	f.config.cluster.token = NULL;
	f.config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	plan();
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG));
	assert_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
	links_to(WANTED "kubelet.service", UNITS "kubelet.service");
	host_file(BYOH_KUBELET_KUBECONFIG, "kind: Config\n", 0600);
	plan();
	assert_non_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
}

static void the_agent_is_told_its_cluster(void **state)
{
	struct byoh_pair labels[] = { { (char *)"site", (char *)"default" },
				      { (char *)"rack", (char *)"r1" } };
	const struct byoh_action *action;

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	know_cluster();
	f.config.join_mode = BYOH_JOIN_AGENT;
	f.config.agent.host_labels = (struct byoh_pairs){ 2, labels };
	f.host.live = true;
	plan();
	assert_string_equal(text_of(BYOH_AGENT_ENVIRONMENT),
			    "BYOH_NAMESPACE=\"default\"\nBYOH_METRICS=\"0\"\n"
			    "BYOH_EXTRA_ARGS=\"--label=site=default --label=rack=r1\"\n");
	action = get(BYOH_ACTION_FILE, BYOH_AGENT_BOOTSTRAP);
	assert_true(action->secret);
	assert_int_equal(action->mode, 0600);
	has_text(UNITS "byoh-hostagent.service", "--skip-installation");
	lacks_text(UNITS "byoh-hostagent.service", "abcdef");
	links_to(WANTED "byoh-hostagent.service", UNITS "byoh-hostagent.service");
	assert_non_null(find(BYOH_ACTION_UNIT, "byoh-hostagent.service"));
	assert_non_null(find(BYOH_ACTION_DIRECTORY, "/run/cluster-api"));
	/* The agent enables the kubelet itself; a CA at that place would stop kubeadm. */
	assert_null(find(BYOH_ACTION_LINK, WANTED "kubelet.service"));
	assert_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBERNETES_CA));
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBELET_CONFIG));
}

static void without_a_token_the_agent_waits(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	know_cluster();
	f.config.cluster.token = NULL;
	f.config.join_mode = BYOH_JOIN_AGENT;
	plan();
	assert_null(find(BYOH_ACTION_FILE, BYOH_AGENT_BOOTSTRAP));
	assert_null(find(BYOH_ACTION_UNIT, "byoh-hostagent.service"));
	assert_null(find(BYOH_ACTION_DIRECTORY, "/run/cluster-api"));
	links_to(WANTED "byoh-hostagent.service", UNITS "byoh-hostagent.service");
	host_file(BYOH_AGENT_CONFIG, "kind: Config\n", 0600);
	plan();
	assert_non_null(find(BYOH_ACTION_UNIT, "byoh-hostagent.service"));
}

static void a_mode_needs_its_parts(void **state)
{
	(void)state;
	bring("usr/local/bin/kubelet");
	f.manifest.kubernetes = (char *)"v1.34.1";
	f.config.join_mode = BYOH_JOIN_AGENT;
	plan_fails(BYOH_ERROR_CONFIG, "byoh-hostagent");
}

static void services_restart_on_what_they_read(void **state)
{
	static const char *const reads[] = { "/usr/local/bin/containerd", BYOH_CONTAINERD_CONFIG,
					     UNITS "containerd.service" };
	const struct byoh_action *action;

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	plan();
	action = get(BYOH_ACTION_UNIT, "containerd.service");
	for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
		bool listed = false;

		for (char **path = action->restart_on; *path; path++)
			listed |= !strcmp(*path, reads[i]);
		assert_true(listed);
	}
}

static void images_are_pinned(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	plan();
	assert_true(get(BYOH_ACTION_IMAGE, "registry.example/tools:1")->pinned);
	assert_ptr_equal(get(BYOH_ACTION_IMAGE, "registry.example/tools:1")->image, &f.images[0]);
}

static void iptables_comes_where_there_is_none(void **state)
{
	(void)state;
	bring("usr/local/lib/byoh/xtables-nft-multi");
	plan();
	assert_null(find(BYOH_ACTION_LINK, "/usr/local/sbin/iptables"));
	f.host.has_iptables = false;
	plan();
	links_to("/usr/local/sbin/iptables", "../lib/byoh/xtables-nft-multi");
	links_to("/usr/local/sbin/ip6tables-restore", "../lib/byoh/xtables-nft-multi");
}

static void a_conflist_is_placed_by_its_name(void **state)
{
	(void)state;
	f.config.cni.conflist_name = (char *)"10-lan.conflist";
	f.config.cni.conflist = as_buffer("{}\n");
	plan();
	assert_string_equal(text_of("/etc/cni/net.d/10-lan.conflist"), "{}\n");
	byoh_plan_free(f.plan);
	f.plan = NULL;
	f.config.cni.conflist_name = (char *)"../x";
	plan_fails(BYOH_ERROR_CONFIG, "../x");
}

static void slices_are_drop_ins(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	plan();
	assert_null(find(BYOH_ACTION_FILE, UNITS "runtime.slice"));
	f.config.host.slices = true;
	plan();
	assert_non_null(find(BYOH_ACTION_FILE, UNITS "runtime.slice"));
	has_text(UNITS "kubelet.service.d/20-byoh-slice.conf", "Slice=runtime.slice\n");
	has_text(UNITS "containerd.service.d/20-byoh-slice.conf", "Slice=runtime.slice\n");
}

static void labels_where_selinux_is_on(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	plan();
	assert_int_equal(count_actions(BYOH_ACTION_RELABEL, NULL), 0);
	f.host.selinux_enabled = true;
	plan();
	assert_non_null(find(BYOH_ACTION_RELABEL, "/usr/local/bin/kubelet"));
	assert_non_null(find(BYOH_ACTION_RELABEL, "/etc/kubernetes"));
	assert_null(find(BYOH_ACTION_RELABEL, "/usr/local/bin"));
	assert_true(place_of(BYOH_ACTION_RELABEL, "/usr/local/bin/kubelet") <
		    place_of(BYOH_ACTION_UNIT, "containerd.service"));
}

static void nothing_is_planned_twice(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	bring("usr/local/lib/byoh/xtables-nft-multi");
	know_cluster();
	f.config.text = as_buffer("kind: InstallConfig\n");
	f.config.join_mode = BYOH_JOIN_AGENT;
	f.config.host.slices = true;
	f.host.has_iptables = false;
	plan();
	for (size_t i = 0; i < f.plan->step_count; i++)
		for (size_t j = 0; j < f.plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &f.plan->steps[i].actions[j];

			if (count_actions(action->kind, action->subject) != 1)
				fail_msg("%s is planned more than once", action->subject);
		}
}

/* What the agent has set up runs the new program after an upgrade; before that there is nothing to restart. */
static void an_upgrade_restarts_what_the_agent_set_up(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	f.config.join_mode = BYOH_JOIN_AGENT;
	know_cluster();
	plan();
	assert_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
	assert_null(find(BYOH_ACTION_UNIT, "kube-proxy.service"));
	host_file("/etc/kubernetes/kubelet.conf", "", 0600);
	host_file("/etc/systemd/system/kube-proxy.service", "", 0644);
	plan();
	assert_string_equal(get(BYOH_ACTION_UNIT, "kubelet.service")->value, "started");
	assert_string_equal(get(BYOH_ACTION_UNIT, "kubelet.service")->restart_on[0], BYOH_BIN_KUBELET);
	assert_string_equal(get(BYOH_ACTION_UNIT, "kube-proxy.service")->restart_on[0], BYOH_BIN_KUBE_PROXY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(containerd_1_gets_version_2),
		TEST(containerd_2_gets_version_3),
		TEST(a_containerd_without_version_is_refused),
		TEST(the_sandbox_image_has_to_be_there),
		TEST(mirrors_become_hosts_toml),
		TEST(a_mirror_of_all_is_the_default),
		TEST(a_prefix_is_the_one_rewrite_that_can_be_said),
		TEST(credentials_lie_in_closed_files),
		TEST(proxies_reach_no_unit),
		TEST(settling_stands_between_boot_and_containerd),
		TEST(none_prepares_and_starts_no_node),
		TEST(tls_bootstrap_runs_kubelet_and_kube_proxy),
		TEST(the_order_of_services),
		TEST(kube_proxy_waits_for_what_identifies_it),
		TEST(kube_proxy_has_its_certificate_asked_for),
		TEST(without_a_token_the_kubelet_waits),
		TEST(the_agent_is_told_its_cluster),
		TEST(without_a_token_the_agent_waits),
		TEST(a_mode_needs_its_parts),
		TEST(services_restart_on_what_they_read),
		TEST(images_are_pinned),
		TEST(iptables_comes_where_there_is_none),
		TEST(a_conflist_is_placed_by_its_name),
		TEST(slices_are_drop_ins),
		TEST(labels_where_selinux_is_on),
		TEST(nothing_is_planned_twice),
		TEST(an_upgrade_restarts_what_the_agent_set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
