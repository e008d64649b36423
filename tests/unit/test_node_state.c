/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent did, told from damage; its trust store; the kubelet's certificate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bundle/base/cleanup.h"
#include "installer/ca-list.h"
#include "installer/steps/node-state.h"
#include "tests/unit/certificates.h"
#include "tests/unit/root-fixture.h"

#define ONE(name) "-----BEGIN CERTIFICATE-----\n" name "\n-----END CERTIFICATE-----\n"

static void a_store_is_replaced_when_most_of_it_is_gone(void **state)
{
	static const struct {
		const char *kept, *current;
		bool replaced;
	} cases[] = {
		{ ONE("a") ONE("b") ONE("c"), ONE("a") ONE("b") ONE("c"), false },
		{ ONE("a") ONE("b") ONE("c"), "# by name\n" ONE("c") "\n" ONE("x") ONE("a"), false },
		{ ONE("a") ONE("b") ONE("c"), ONE("c"), true },
		{ ONE("a") ONE("b") ONE("c"), ONE("x"), true },
		{ ONE("a") ONE("b"), ONE("a"), false },
		{ ONE("a"), "", true },
		{ "", ONE("x"), false },
		{ "-----BEGIN CERTIFICATE-----\nnever ends", "", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct byoh_buffer kept = { .data = (char *)cases[i].kept, .size = strlen(cases[i].kept) };
		const struct byoh_buffer current = { .data = (char *)cases[i].current,
						     .size = strlen(cases[i].current) };

		assert_int_equal(byoh_ca_bundle_is_replaced(&kept, &current), cases[i].replaced);
	}
}

static void the_end_of_a_certificate_is_read(void **state)
{
	CLEANUP_FREE char *pem = test_certificate(false, NULL);
	uint64_t begin = 0, end = 0, now = (uint64_t)time(NULL);

	(void)state;
	assert_true(byoh_certificate_times(pem, strlen(pem), false, &begin, &end));
	assert_true(end > now && end < now + UINT64_C(100) * 365 * 86400);
	assert_false(byoh_certificate_times(pem, strlen(pem) / 2, false, &begin, &end));
	assert_false(byoh_certificate_times("", 0, false, &begin, &end));
}

#define ACTION(kind_, subject_, state_) \
	{ .kind = BYOH_ACTION_##kind_, .subject = (char *)(subject_), .state = BYOH_STATE_##state_ }

static void a_certificate_is_judged_by_what_is_left_of_it(void **state)
{
	const uint64_t day = 86400;
	const struct {
		uint64_t begin, end, now;
		const char *word;
	} cases[] = {
		{ 10 * day, 375 * day, 9 * day, "notYetValid" },
		{ 10 * day, 375 * day, 10 * day, "valid" },
		{ 10 * day, 375 * day, 345 * day, "valid" },
		{ 10 * day, 375 * day, 345 * day + 1, "expiresSoon" },
		{ 10 * day, 375 * day, 375 * day - 1, "expiresSoon" },
		{ 10 * day, 375 * day, 375 * day, "expired" },
		{ 0, 10 * day, 8 * day, "valid" },
		{ 0, 10 * day, 8 * day + 1, "expiresSoon" },
		{ 10, 5, 11, "expired" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(byoh_certificate_state_word(byoh_certificate_judge(cases[i].begin, cases[i].end,
										       cases[i].now)),
				    cases[i].word);
}

static void excuse(const struct byoh_node_state *state, struct byoh_action *actions, size_t count)
{
	struct byoh_step step = { .name = "all", .action_count = count, .actions = actions };
	struct byoh_plan plan = { 1, &step };

	byoh_node_excuse(state, &plan);
}

static void a_reset_is_told_from_damage(void **state)
{
	const struct byoh_node_state reset = { .reset = true };
	struct byoh_action actions[] = {
		ACTION(DIRECTORY, "/etc/kubernetes/pki", ABSENT),
		ACTION(DIRECTORY, "/var/lib/kubelet", ABSENT),
		ACTION(UNIT, "containerd.service", ABSENT),
		ACTION(IMAGE, "pause", ABSENT),
		ACTION(DIRECTORY, "/var/lib/kubelet2", ABSENT),
		ACTION(FILE, "/usr/local/bin/kubelet", ABSENT),
		ACTION(UNIT, "byoh-hostagent.service", ABSENT),
		ACTION(DIRECTORY, "/var/lib/kubelet", SAME),
	};

	(void)state;
	excuse(&reset, actions, ARRAY_SIZE(actions));
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		assert_int_equal(actions[i].by_agent, i < 4);
	assert_int_equal(actions[0].state, BYOH_STATE_ABSENT);
}

static void lost_images_of_a_containerd_that_runs_are_damage(void **state)
{
	const struct byoh_node_state reset = { .reset = true };
	struct byoh_action actions[] = { ACTION(UNIT, "containerd.service", SAME), ACTION(IMAGE, "pause", ABSENT) };

	(void)state;
	excuse(&reset, actions, ARRAY_SIZE(actions));
	assert_false(actions[1].by_agent);
}

static void a_claimed_host_lacks_nothing_that_the_agent_makes(void **state)
{
	const struct byoh_node_state claimed = { .claimed = true }, unclaimed = { 0 };
	struct byoh_action actions[] = {
		ACTION(DIRECTORY, "/etc/kubernetes/manifests", ABSENT),
		ACTION(DIRECTORY, "/etc/containerd", ABSENT),
		ACTION(FILE, "/etc/crictl.yaml", ABSENT),
		ACTION(UNIT, "containerd.service", ABSENT),
	};

	(void)state;
	excuse(&unclaimed, actions, ARRAY_SIZE(actions));
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		assert_int_equal(actions[i].state, BYOH_STATE_ABSENT);
	excuse(&claimed, actions, ARRAY_SIZE(actions));
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++)
		assert_int_equal(actions[i].state, i ? BYOH_STATE_ABSENT : BYOH_STATE_SAME);
}

static void look(const struct test_root *root, enum byoh_join_mode mode, struct byoh_node_state *ret)
{
	const struct byoh_host host = { .root_fd = root->fd };
	const struct byoh_config config = { .join_mode = mode };

	assert_int_equal(byoh_node_look(&host, &config, ret, NULL), 0);
}

static void the_agents_way_is_followed(void **state)
{
	const struct test_root *root = *state;
	struct byoh_node_state node;

	look(root, BYOH_JOIN_AGENT, &node);
	assert_true(node.reset && !node.claimed);
	test_root_put(root, "/etc/kubernetes/pki/x", "", 0644);
	look(root, BYOH_JOIN_AGENT, &node);
	assert_string_equal(node.agent, "waiting");
	assert_string_equal(node.node, "unclaimed");
	test_root_put(root, "/etc/byoh/bootstrap-kubeconfig.conf", "", 0600);
	look(root, BYOH_JOIN_AGENT, &node);
	assert_string_equal(node.agent, "unregistered");
	test_root_put(root, "/root/.byoh/config", "", 0600);
	test_root_put(root, "/etc/systemd/system/kubelet.service", "", 0644);
	look(root, BYOH_JOIN_AGENT, &node);
	assert_string_equal(node.agent, "registered");
	assert_string_equal(node.node, "joining");
	assert_true(node.claimed && node.service_count == 1);
	assert_string_equal(node.services[0].name, "kubelet");
	assert_string_equal(node.services[0].state, "waiting");
	/* Written when the kubelet begins to ask; what it got is told by the certificate. */
	test_root_put(root, "/etc/kubernetes/kubelet.conf", "", 0600);
	look(root, BYOH_JOIN_AGENT, &node);
	assert_string_equal(node.node, "joining");
	test_root_put(root, "/var/lib/kubelet/pki/kubelet-client-current.pem", "", 0600);
	look(root, BYOH_JOIN_AGENT, &node);
	assert_string_equal(node.node, "joined");
	assert_string_equal(node.certificate, "unreadable");
	assert_string_equal(node.agent_config_fault, "/root/.byoh/config is no kubeconfig with a client certificate");
	look(root, BYOH_JOIN_NONE, &node);
	assert_string_equal(node.node, "prepared");
	assert_true(!node.agent && !node.claimed && !node.reset && !node.ca_bundle);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_store_is_replaced_when_most_of_it_is_gone),
		cmocka_unit_test(the_end_of_a_certificate_is_read),
		cmocka_unit_test(a_certificate_is_judged_by_what_is_left_of_it),
		cmocka_unit_test(a_reset_is_told_from_damage),
		cmocka_unit_test(lost_images_of_a_containerd_that_runs_are_damage),
		cmocka_unit_test(a_claimed_host_lacks_nothing_that_the_agent_makes),
		cmocka_unit_test_setup_teardown(the_agents_way_is_followed, test_root_set_up,
						test_root_tear_down),
	};

	return cmocka_run_group_tests_name("node state", tests, NULL, NULL);
}
