/* SPDX-License-Identifier: Apache-2.0 */
/* The words that tell how an installed release stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/report.h"

static struct byoh_action actions[] = {
	{ .kind = BYOH_ACTION_UNIT, .subject = (char[]){ "containerd.service" }, .value = (char[]){ "started" },
	  .state = BYOH_STATE_ABSENT },
	{ .kind = BYOH_ACTION_UNIT, .subject = (char[]){ "kubelet.service" }, .value = (char[]){ "started" },
	  .state = BYOH_STATE_DIFFERENT },
	{ .kind = BYOH_ACTION_UNIT, .subject = (char[]){ "docker.service" }, .value = (char[]){ "stopped" },
	  .state = BYOH_STATE_DIFFERENT },
	{ .kind = BYOH_ACTION_FILE, .subject = (char[]){ "/etc/crictl.yaml" }, .state = BYOH_STATE_ABSENT },
	{ .kind = BYOH_ACTION_SYSCTL, .subject = (char[]){ "vm.swappiness" }, .state = BYOH_STATE_DIFFERENT },
	{ .kind = BYOH_ACTION_SWAP_OFF, .subject = (char[]){ "/dev/vda2" }, .state = BYOH_STATE_DIFFERENT },
	{ .kind = BYOH_ACTION_MODULE, .subject = (char[]){ "overlay" }, .state = BYOH_STATE_ABSENT },
};
static struct byoh_action images[] = {
	{ .kind = BYOH_ACTION_IMAGE, .subject = (char[]){ "registry.k8s.io/pause:3.10" },
	  .state = BYOH_STATE_ABSENT },
};
static struct byoh_action waiting[] = {
	{ .kind = BYOH_ACTION_FILE, .subject = (char[]){ "/etc/hosts" }, .state = BYOH_STATE_SAME },
	{ .kind = BYOH_ACTION_MODULE, .subject = (char[]){ "overlay" }, .state = BYOH_STATE_LATER },
};
static struct byoh_step steps[] = {
	{ "services", (char[]){ "Start them" }, ARRAY_SIZE(actions), actions },
	{ "images", (char[]){ "Import 1 image" }, ARRAY_SIZE(images), images },
	{ "modules", (char[]){ "Load 1 module" }, ARRAY_SIZE(waiting), waiting },
};

static void print(const struct byoh_session *session, struct byoh_plan_verdict *ret, char **ret_text)
{
	size_t size;
	FILE *out = open_memstream(ret_text, &size);

	assert_non_null(out);
	*ret = byoh_report_drift(session, out);
	byoh_report_steps(session, out);
	fclose(out);
}

static void what_is_stopped_is_not_missing(void **state)
{
	struct byoh_plan plan = { ARRAY_SIZE(steps), steps };
	struct byoh_session session = { .plan = &plan };
	struct byoh_plan_verdict verdict;
	CLEANUP_FREE char *text = NULL;

	(void)state;
	print(&session, &verdict, &text);
	assert_string_equal(text, "drift: unit containerd.service is stopped\n"
				  "drift: unit kubelet.service is to be restarted\n"
				  "drift: unit docker.service is running\n"
				  "drift: file /etc/crictl.yaml is missing\n"
				  "drift: sysctl vm.swappiness is different\n"
				  "drift: swap-off /dev/vda2 is in use\n"
				  "drift: module overlay is not loaded\n"
				  "drift: image registry.k8s.io/pause:3.10 is missing\n"
				  "  drift   Start them\n"
				  "  drift   Import 1 image\n"
				  "  at boot Load 1 module\n");
	assert_int_equal(verdict.drifted, 8);
	assert_int_equal(verdict.later, 1);
}

static void images_are_unknown_while_containerd_does_not_answer(void **state)
{
	struct byoh_plan plan = { ARRAY_SIZE(steps), steps };
	struct byoh_session session = { .plan = &plan, .images_unknown = true };
	struct byoh_plan_verdict verdict;
	CLEANUP_FREE char *text = NULL;

	(void)state;
	print(&session, &verdict, &text);
	assert_non_null(strstr(text, "drift: image registry.k8s.io/pause:3.10 is unknown: containerd does not "
				     "answer\n"));
	assert_non_null(strstr(text, "  unknown Import 1 image\n"));
	assert_int_equal(verdict.drifted, 8);
}

static void json_has_the_same_words(void **state)
{
	struct byoh_plan plan = { ARRAY_SIZE(steps), steps };
	struct byoh_state installed = { .release_id = (char[]){ "0" } };
	struct byoh_node_state state_of_node = { .node = "joined", .certificate = "valid",
						 .certificate_expires = 1893456000, .service_count = 1,
						 .services = { { "kubelet", "running" } } };
	struct byoh_report_node node = { .state = &state_of_node };
	struct byoh_session session = { .plan = &plan, .state = &installed, .images_unknown = true };
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_plan_verdict verdict;

	(void)state;
	assert_int_equal(byoh_report_status_json(&session, &node, &text, &verdict, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		char field[64];

		snprintf(field, sizeof(field), "\"%s\"", byoh_report_word(&actions[i], true));
		assert_non_null(strstr(text.data, field));
	}
	assert_non_null(strstr(text.data, "\"stopped\""));
	assert_non_null(strstr(text.data, "\"unknown\""));
	assert_non_null(strstr(text.data, "\"containerd does not answer\""));
	assert_non_null(strstr(text.data, "\"at boot\""));
	assert_non_null(strstr(text.data, "\"certificateExpires\": \"2030-01-01T00:00:00Z\""));
	assert_non_null(strstr(text.data, "\"kubelet\": \"running\""));
	assert_non_null(strstr(text.data, "\"previous\": null"));
	assert_int_equal(verdict.drifted, 8);
}

static void tells(const struct byoh_node_state *state, const char *sentence)
{
	const struct byoh_report_node node = { .state = state };
	CLEANUP_FREE char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	byoh_report_node(&node, out);
	fclose(out);
	if (!strstr(text, sentence))
		fail_msg("\"%s\" is not in: %s", sentence, text);
}

static void who_brought_a_certificate_brings_the_next(void **state)
{
	static const char *const remedies[] = {
		[BYOH_JOIN_AGENT] = "; release the host (`kubectl delete machine NAME`",
		[BYOH_JOIN_KUBEADM] = "; `kubectl delete node NAME` on the control plane, here `kubeadm reset -f`, then "
				      "`byoh-install join --token-file FILE`\n",
		[BYOH_JOIN_TLS_BOOTSTRAP] = "; `byoh-install join --again --token-file FILE` gets it another\n",
		[BYOH_JOIN_NONE] = "; join this host anew, in the way it was joined\n",
	};
	struct byoh_node_state node = {
		.node = "joined", .network = "ours", .certificate_count = 2,
		.certificates = { { "kubelet", "/var/lib/kubelet/pki/kubelet-client-current.pem", BYOH_CERTIFICATE_EXPIRED, 1, 2 },
				  { "kubeletServing", "/var/lib/kubelet/pki/kubelet.crt", BYOH_CERTIFICATE_EXPIRED, 1, 2 } },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(remedies); i++) {
		node.join_mode = (enum byoh_join_mode)i;
		tells(&node, remedies[i]);
		node.certificates[0].state = BYOH_CERTIFICATE_SOON;
		tells(&node, remedies[i]);
	}
	tells(&node, "for serving expired at 1970-01-01T00:00:02Z; `rm /var/lib/kubelet/pki/kubelet.crt "
		     "/var/lib/kubelet/pki/kubelet.key && systemctl restart kubelet` gets it another\n");
	node.certificates[1].path = "/var/lib/kubelet/pki/kubelet-server-current.pem";
	tells(&node, "the kubelet asks for another, which somebody has to approve");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_stopped_is_not_missing),
		cmocka_unit_test(images_are_unknown_while_containerd_does_not_answer),
		cmocka_unit_test(json_has_the_same_words),
		cmocka_unit_test(who_brought_a_certificate_brings_the_next),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
