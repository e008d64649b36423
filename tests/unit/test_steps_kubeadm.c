/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps plan where kubeadm joins the host, by join.mode or in an agent's stead. */
#include "tests/unit/steps-fixture.h"

#include "installer/kubeadm-config.h"
#include "installer/ledger.h"
#include "installer/steps/kubeadm-join.h"
#include "installer/steps/leave.h"
#include "installer/steps/node-state.h"

#define SERVICE UNITS BYOH_KUBEADM_UNIT
#define PATH_UNIT UNITS BYOH_KUBEADM_PATH_UNIT

static void bring_kubeadm(const char *kubernetes)
{
	bring_node("2.1.4", kubernetes);
	bring("usr/local/bin/kubeadm");
	f.config.join_mode = BYOH_JOIN_KUBEADM;
	f.config.kube_proxy.manage = false;
	f.host.live = f.host.systemd_running = true;
}

static void kubeadm_is_told_its_cluster(void **state)
{
	(void)state;
	bring_kubeadm("v1.34.1");
	know_cluster();
	plan();
	has_text(BYOH_KUBEADM_CONFIG, "apiVersion: kubeadm.k8s.io/v1beta4\n");
	has_text(BYOH_KUBEADM_CONFIG, "abcdef.0123456789abcdef");
	assert_true(get(BYOH_ACTION_FILE, BYOH_KUBEADM_CONFIG)->secret);
	assert_int_equal(get(BYOH_ACTION_FILE, BYOH_KUBEADM_CONFIG)->mode, 0600);
	has_text(BYOH_KUBEADM_DISCOVERY, "server: \"https://10.0.0.1:6443\"");
	assert_int_equal(get(BYOH_ACTION_FILE, BYOH_KUBEADM_DISCOVERY)->mode, 0600);
	f.manifest.kubernetes = (char *)"v1.20.2";
	plan();
	has_text(BYOH_KUBEADM_CONFIG, "apiVersion: kubeadm.k8s.io/v1beta2\n");
	f.manifest.kubernetes = (char *)"v1.14.0";
	byoh_plan_free(f.plan);
	f.plan = NULL;
	plan_fails(BYOH_ERROR_CONFIG, "1.15");
}

/* It refuses a host that has one of its files already. */
static void nothing_stands_where_kubeadm_writes(void **state)
{
	(void)state;
	bring_kubeadm("v1.34.1");
	know_cluster();
	plan();
	for (size_t i = 0; i < f.plan->step_count; i++)
		for (size_t j = 0; j < f.plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &f.plan->steps[i].actions[j];

			if (action->kind == BYOH_ACTION_FILE &&
			    (strstr(action->subject, "/etc/kubernetes") || strstr(action->subject, "/var/lib/kubelet")))
				fail_msg("%s is in kubeadm's way", action->subject);
		}
}

static void its_unit_joins_once_it_knows_where_to(void **state)
{
	(void)state;
	bring_kubeadm("v1.34.1");
	plan();
	has_text(SERVICE, "ConditionPathExists=/etc/byoh/kubeadm-join.yaml\n");
	has_text(SERVICE, "ConditionPathExists=|!/etc/kubernetes/kubelet.conf\n");
	has_text(SERVICE, "ConditionPathExists=|!" BYOH_KUBELET_CLIENT "\n");
	has_text(SERVICE, "ExecStart=/usr/local/sbin/byoh-install kubeadm-join\n");
	has_text(SERVICE, "Restart=on-failure\n");
	links_to(WANTED BYOH_KUBEADM_UNIT, SERVICE);
	assert_null(find(BYOH_ACTION_FILE, PATH_UNIT));
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBEADM_CONFIG));
	/* The kubelet is kubeadm's to start, and kube-proxy the cluster's. */
	links_to(WANTED "kubelet.service", UNITS "kubelet.service");
	has_text(UNITS "kubelet.service", "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf");
	assert_null(find(BYOH_ACTION_FILE, UNITS "kube-proxy.service"));
	assert_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
	assert_null(find(BYOH_ACTION_UNIT, BYOH_KUBEADM_UNIT));
}

static void a_pin_does_without_a_ca(void **state)
{
	(void)state;
	bring_kubeadm("v1.34.1");
	know_cluster();
	f.config.cluster.ca = (struct byoh_buffer){ 0 };
	plan();
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBEADM_CONFIG));
	f.config.cluster.ca_pin = (char *)"sha256:00";
	plan();
	has_text(BYOH_KUBEADM_CONFIG, "caCertHashes");
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBEADM_DISCOVERY));
}

static void a_joined_kubelet_goes_on_with_the_new_program(void **state)
{
	(void)state;
	bring_kubeadm("v1.34.1");
	know_cluster();
	host_file("/etc/kubernetes/kubelet.conf", "", 0600);
	plan();
	assert_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
	assert_true(byoh_kubeadm_is_due(&f.input));
	host_file(BYOH_KUBELET_CLIENT, "", 0600);
	plan();
	assert_non_null(get(BYOH_ACTION_UNIT, "kubelet.service")->restart_on);
	assert_false(byoh_kubeadm_is_due(&f.input));
}

static void it_is_due_on_a_live_host_that_knows_its_cluster(void **state)
{
	(void)state;
	bring_kubeadm("v1.34.1");
	assert_false(byoh_kubeadm_is_due(&f.input));
	know_cluster();
	assert_true(byoh_kubeadm_is_due(&f.input));
	f.host.live = false;
	assert_false(byoh_kubeadm_is_due(&f.input));
}

static void an_agent_is_watched_before_it_runs(void **state)
{
	(void)state;
	bring_kubeadm("v1.34.1");
	f.config.join_mode = BYOH_JOIN_AGENT;
	know_cluster();
	plan();
	has_text(PATH_UNIT, "PathChanged=/run/kubeadm/kubeadm-join-config.yaml\n");
	has_text(PATH_UNIT, "PathChanged=/etc/kubernetes/kubelet.conf\n");
	has_text(SERVICE, "kubeadm-join agent\n");
	lacks_text(SERVICE, "ConditionPathExists");
	lacks_text(SERVICE, "[Install]");
	links_to(WANTED BYOH_KUBEADM_PATH_UNIT, PATH_UNIT);
	assert_true(place_of(BYOH_ACTION_UNIT, BYOH_KUBEADM_PATH_UNIT) <
		    place_of(BYOH_ACTION_UNIT, "byoh-hostagent.service"));
	/* It would reach into the unit that the agent writes. */
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBEADM_DROP_IN));
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBEADM_CONFIG));
}

static void without_kubeadm_nobody_is_watched(void **state)
{
	(void)state;
	bring_node("2.1.4", "v1.34.1");
	f.config.join_mode = BYOH_JOIN_AGENT;
	f.host.live = f.host.systemd_running = true;
	know_cluster();
	plan();
	assert_null(find(BYOH_ACTION_FILE, PATH_UNIT));
	assert_null(find(BYOH_ACTION_UNIT, BYOH_KUBEADM_PATH_UNIT));
}

static void other_modes_have_none_of_it(void **state)
{
	static const enum byoh_join_mode modes[] = { BYOH_JOIN_NONE, BYOH_JOIN_TLS_BOOTSTRAP };

	(void)state;
	bring_kubeadm("v1.34.1");
	know_cluster();
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		f.config.join_mode = modes[i];
		plan();
		assert_null(find(BYOH_ACTION_FILE, SERVICE));
		assert_null(find(BYOH_ACTION_FILE, PATH_UNIT));
		assert_null(find(BYOH_ACTION_FILE, BYOH_KUBEADM_CONFIG));
	}
}

static void a_join_in_the_agents_stead_leaves_nothing(void **state)
{
	struct byoh_step step = { .name = "files" };

	(void)state;
	assert_int_equal(byoh_leave_kubeadm(&f.host, &step, &f.error), 0);
	assert_int_equal(step.action_count, 0);
	host_file(BYOH_KUBEADM_DROP_IN, "", 0644);
	host_file("/etc/systemd/system/multi-user.target.wants/x", "", 0644);
	assert_int_equal(byoh_write_link(f.host.root_fd, BYOH_KUBELET_WANTED, UNITS "kubelet.service", NULL), 0);
	assert_int_equal(byoh_leave_kubeadm(&f.host, &step, &f.error), 0);
	assert_int_equal(step.action_count, 2);
	assert_string_equal(step.actions[0].subject, BYOH_KUBEADM_DROP_IN);
	assert_string_equal(step.actions[1].subject, BYOH_KUBELET_WANTED);
	assert_true(step.actions[0].gives_back && step.actions[1].gives_back);
	byoh_step_release(&step);
	/* A link that the agent made leads to the agent's unit. */
	assert_int_equal(byoh_write_link(f.host.root_fd, BYOH_KUBELET_WANTED, "/etc/systemd/system/kubelet.service", NULL),
			 0);
	step = (struct byoh_step){ .name = "files" };
	assert_int_equal(byoh_leave_kubeadm(&f.host, &step, &f.error), 0);
	assert_int_equal(step.action_count, 1);
	byoh_step_release(&step);
}

static const char *node_word(void)
{
	struct byoh_node_state node;

	assert_int_equal(byoh_node_look(&f.host, &f.config, &node, &f.error), 0);
	return node.node;
}

static void status_tells_how_far_the_join_is(void **state)
{
	struct byoh_join_record record = { .state = "failed", .cause = "no token" };

	(void)state;
	f.config.join_mode = BYOH_JOIN_KUBEADM;
	assert_string_equal(node_word(), "waiting");
	host_file(BYOH_KUBEADM_CONFIG, "", 0600);
	assert_string_equal(node_word(), "joining");
	assert_int_equal(byoh_make_directories(f.host.root_fd, "/var/lib/byoh", 0700, NULL), 0);
	assert_int_equal(byoh_join_record_write(f.host.root_fd, &record, NULL), 0);
	assert_string_equal(node_word(), "failed");
	record.state = "later";
	assert_int_equal(byoh_join_record_write(f.host.root_fd, &record, NULL), 0);
	assert_string_equal(node_word(), "joining");
	host_file("/etc/kubernetes/kubelet.conf", "", 0600);
	assert_string_equal(node_word(), "joining");
	host_file(BYOH_KUBELET_CLIENT, "", 0600);
	assert_string_equal(node_word(), "joined");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kubeadm_is_told_its_cluster),
		TEST(nothing_stands_where_kubeadm_writes),
		TEST(its_unit_joins_once_it_knows_where_to),
		TEST(a_pin_does_without_a_ca),
		TEST(a_joined_kubelet_goes_on_with_the_new_program),
		TEST(it_is_due_on_a_live_host_that_knows_its_cluster),
		TEST(an_agent_is_watched_before_it_runs),
		TEST(without_kubeadm_nobody_is_watched),
		TEST(other_modes_have_none_of_it),
		TEST(a_join_in_the_agents_stead_leaves_nothing),
		TEST(status_tells_how_far_the_join_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
