/* SPDX-License-Identifier: Apache-2.0 */
/* What the join modes ask of the steps beyond the services themselves. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pods_begin_with_a_file_of_name_servers),
		TEST(the_kubelets_own_fields_come_with_the_configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
