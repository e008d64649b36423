/* SPDX-License-Identifier: Apache-2.0 */
/* What may follow what: order of versions, steps of Kubernetes, and the checks that ask for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/steps/drain.h"
#include "installer/steps/steps-internal.h"
#include "installer/upgrade.h"
#include "tests/unit/preflight-fixture.h"

static int sign(int n)
{
	return (n > 0) - (n < 0);
}

static void versions_have_an_order(void **state)
{
	/* each is older than the one behind it */
	static const char *const older_first[] = {
		"0.9", "1", "1.0", "1.0-1", "1.0-2", "1.0-10", "1.0.1", "1.2", "1.10~rc1", "1.10-alpha.1",
		"1.10-beta.1", "1.10-rc.1", "1.10-rc.2", "1.10", "1.10-1", "1.10a", "1.10+b1", "1.10+b2", "v2.0",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(older_first); i++)
		for (size_t k = 0; k < ARRAY_SIZE(older_first); k++) {
			int expected = (i > k) - (i < k);

			if (i == 8 || k == 8) /* "~rc1" and "-alpha.1" are two customs */
				continue;
			if (sign(byoh_version_compare(older_first[i], older_first[k])) != expected)
				fail_msg("%s and %s: not %d", older_first[i], older_first[k], expected);
		}
	assert_true(byoh_version_compare("1.10~rc1", "1.10") < 0);
	assert_int_equal(byoh_version_compare("v1.034", "1.34"), 0);
	assert_int_equal(byoh_version_compare("", ""), 0);
	assert_true(byoh_version_compare("99999999999999999999998", "99999999999999999999999") < 0);
}

static void kubernetes_goes_in_steps(void **state)
{
	static const struct {
		const char *from, *to;
		enum byoh_kubernetes_change change;
	} rows[] = {
		{ "v1.34.1", "v1.34.1", BYOH_KUBERNETES_NONE },
		{ NULL, "v1.34.1", BYOH_KUBERNETES_NONE },
		{ "v1.34.1", NULL, BYOH_KUBERNETES_NONE },
		{ "v1.34.1", "v1.34.2", BYOH_KUBERNETES_PATCH },
		{ "v1.34.1", "v1.34.0", BYOH_KUBERNETES_PATCH },
		{ "v1.34.1", "v1.35.0", BYOH_KUBERNETES_MINOR },
		{ "v1.34.1", "v1.33.9", BYOH_KUBERNETES_MINOR },
		{ "v1.34.1", "v1.36.0", BYOH_KUBERNETES_SKIP },
		{ "v1.34.1", "v1.20.2", BYOH_KUBERNETES_SKIP },
	};
	struct byoh_error err = BYOH_ERROR_INIT;
	enum byoh_kubernetes_change change;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(byoh_kubernetes_change(rows[i].from, rows[i].to, &change, &err), 0);
		assert_int_equal(change, rows[i].change);
	}
	assert_true(byoh_kubernetes_change("v1.34.1", "newest", &change, &err) < 0);
	assert_int_equal(err.kind, BYOH_ERROR_FORMAT);
}

static void what_is_older_is_a_downgrade(void **state)
{
	static const struct {
		const char *name, *version, *kubernetes, *why;
		uint64_t epoch;
	} rows[] = {
		{ "node", "2.0", "v1.34.1", NULL, 2 },	 { "node", "2.1", "v1.34.1", NULL, 2 },
		{ "node", "1.9", "v1.34.1", "version", 2 }, { "node", "1.9", "v1.34.2", "version", 3 },
		{ "node", "2.1", "v1.34.0", "Kubernetes", 2 }, { "node", "2.1", NULL, "Kubernetes", 2 },
		{ "node", "2.1", "v1.34.1", "epoch", 1 }, { "other", "1.0", "v1.34.1", NULL, 1 },
		{ "other", "9.0", "v1.33.9", "Kubernetes", 9 },
	};
	const struct byoh_manifest old = { .epoch = 2 };
	const struct byoh_upgrade upgrade = { .name = "node", .version = "2.0", .kubernetes = "v1.34.1",
					      .manifest = &old };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct byoh_manifest new = { .name = (char *)rows[i].name,
						   .version = (char *)rows[i].version,
						   .kubernetes = (char *)rows[i].kubernetes,
						   .epoch = rows[i].epoch };
		const char *why = "";

		assert_int_equal(byoh_upgrade_is_downgrade(&upgrade, &new, &why), rows[i].why != NULL);
		if (rows[i].why)
			assert_string_equal(why, rows[i].why);
	}
}

static struct byoh_upgrade from(struct preflight_fixture *f, const char *kubernetes)
{
	f->manifest.version = (char *)"2.0";
	test_root_put(&f->root, "/etc/kubernetes/kubelet.conf", "", 0600);
	return (struct byoh_upgrade){ .name = "byoh-worker", .version = "1.0", .kubernetes = kubernetes };
}

static void nothing_installed_nothing_to_check(void **state)
{
	struct preflight_fixture *f = *state;
	struct byoh_upgrade upgrade = from(f, "v1.20.2");

	preflight_expect(f, "kubernetes-skew", BYOH_CHECK_SKIPPED, "no release");
	preflight_expect(f, "downgrade", BYOH_CHECK_SKIPPED, "no release");
	preflight_expect(f, "drain", BYOH_CHECK_SKIPPED, "no release");
	f->input.upgrade = &upgrade;
	upgrade.same = true;
	preflight_expect(f, "kubernetes-skew", BYOH_CHECK_SKIPPED, "already");
	upgrade.same = false;
	upgrade.back = true;
	preflight_expect(f, "kubernetes-skew", BYOH_CHECK_SKIPPED, "kept");
	preflight_expect(f, "downgrade", BYOH_CHECK_SKIPPED, "kept");
	preflight_expect(f, "drain", BYOH_CHECK_SKIPPED, "kept");
}

static void no_minor_release_is_skipped(void **state)
{
	struct preflight_fixture *f = *state;
	struct byoh_upgrade upgrade = from(f, "v1.33.5");
	struct byoh_check_report report;

	f->input.upgrade = &upgrade;
	preflight_expect(f, "kubernetes-skew", BYOH_CHECK_PASS, "v1.33.5 -> v1.34.1");
	upgrade.kubernetes = "v1.32.5";
	preflight_expect(f, "kubernetes-skew", BYOH_CHECK_FAIL, "v1.32.5 -> v1.34.1");
	report = preflight_run_check(f, "kubernetes-skew");
	assert_non_null(strstr(report.remedy, "1.33 first"));
	upgrade.kubernetes = "v1.31.0";
	report = preflight_run_check(f, "kubernetes-skew");
	assert_non_null(strstr(report.remedy, "1.32 to 1.33"));
	upgrade.kubernetes = NULL;
	preflight_expect(f, "kubernetes-skew", BYOH_CHECK_SKIPPED, NULL);
}

static void downgrades_have_to_be_wanted(void **state)
{
	struct preflight_fixture *f = *state;
	struct byoh_upgrade upgrade = from(f, "v1.34.2");

	f->input.upgrade = &upgrade;
	preflight_expect(f, "downgrade", BYOH_CHECK_FAIL, "Kubernetes");
	upgrade.allow_downgrade = true;
	preflight_expect(f, "downgrade", BYOH_CHECK_WARN, "--allow-downgrade");
	upgrade.kubernetes = "v1.34.1";
	preflight_expect(f, "downgrade", BYOH_CHECK_PASS, "1.0");
}

static void a_node_is_drained_for_a_minor_step(void **state)
{
	struct preflight_fixture *f = *state;
	struct byoh_upgrade upgrade = from(f, "v1.34.0");

	f->input.upgrade = &upgrade;
	preflight_expect(f, "drain", BYOH_CHECK_PASS, "pods stay");
	upgrade.kubernetes = "v1.33.0";
	preflight_expect(f, "drain", BYOH_CHECK_FAIL, "minor step");
	upgrade.drained = true;
	preflight_expect(f, "drain", BYOH_CHECK_PASS, "operator");
	upgrade.drained = false;
	upgrade.drain = true;
	preflight_expect(f, "drain", BYOH_CHECK_PASS, "before anything");
	upgrade.drain = false;
	f->config.join_mode = BYOH_JOIN_NONE;
	preflight_expect(f, "drain", BYOH_CHECK_PASS, "no node");
	f->config.join_mode = BYOH_JOIN_AGENT;
	preflight_expect(f, "drain", BYOH_CHECK_FAIL, NULL);
	/* a kubelet that only asks yet */
	test_root_put(&f->root, "/etc/kubernetes/kubelet.conf",
		      "current-context: c\ncontexts:\n- name: c\n  context: {cluster: c, user: u}\nusers:\n- name: u\n"
		      "  user: {client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem}\n",
		      0600);
	preflight_expect(f, "drain", BYOH_CHECK_PASS, "no node");
	test_root_put(&f->root, "/var/lib/kubelet/pki/kubelet-client-current.pem", "its answer", 0600);
	preflight_expect(f, "drain", BYOH_CHECK_FAIL, NULL);
	assert_int_equal(unlinkat(f->root.fd, "etc/kubernetes/kubelet.conf", 0), 0);
	preflight_expect(f, "drain", BYOH_CHECK_PASS, "no node");
}

static void a_kubelet_is_not_newer_than_its_server(void **state)
{
	static const struct {
		const char *kubelet, *server;
		enum byoh_check_result result;
	} rows[] = {
		{ "v1.34.1", "v1.34.0", BYOH_CHECK_PASS }, { "v1.34.1", "v1.35.0+k3s1", BYOH_CHECK_PASS },
		{ "v1.34.1", "v1.37.0", BYOH_CHECK_PASS }, { "v1.34.1", "v1.38.0", BYOH_CHECK_WARN },
		{ "v1.20.2", "v1.22.0", BYOH_CHECK_PASS }, { "v1.20.2", "v1.23.0", BYOH_CHECK_WARN },
		{ "v1.34.1", "v1.33.9", BYOH_CHECK_FAIL },
	};
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct byoh_check_report report = { .id = "api-version" };

		assert_int_equal(byoh_check_api_skew(rows[i].kubelet, rows[i].server, &report, &err), 0);
		assert_int_equal(report.result, rows[i].result);
	}
}

/* Nobody to ask: no word of a failure. */
static void an_api_server_that_cannot_be_asked_stops_nothing(void **state)
{
	struct preflight_fixture *f = *state;

	preflight_expect(f, "api-version", BYOH_CHECK_SKIPPED, NULL);
	f->config.cluster.ca = (struct byoh_buffer){ .data = (char *)"x", .size = 1 };
	preflight_expect(f, "api-version", BYOH_CHECK_SKIPPED, NULL);
}

static void flags_of_old_kubelets_go(void **state)
{
	static const struct {
		unsigned int minor;
		const char *before, *after;
		size_t removed;
	} rows[] = {
#define ALL \
	"KUBELET_KUBEADM_ARGS=\"--cgroup-driver=systemd --network-plugin=cni --container-runtime=remote " \
	"--container-runtime-endpoint=/run/containerd/containerd.sock " \
	"--pod-infra-container-image=k8s.gcr.io/pause:3.2\"\n"
		{ 20, ALL, ALL, 0 },
		{ 24, ALL,
		  "KUBELET_KUBEADM_ARGS=\"--cgroup-driver=systemd --container-runtime=remote "
		  "--container-runtime-endpoint=/run/containerd/containerd.sock "
		  "--pod-infra-container-image=k8s.gcr.io/pause:3.2\"\n", 1 },
		{ 27, ALL,
		  "KUBELET_KUBEADM_ARGS=\"--cgroup-driver=systemd "
		  "--container-runtime-endpoint=/run/containerd/containerd.sock "
		  "--pod-infra-container-image=k8s.gcr.io/pause:3.2\"\n", 2 },
		{ 35, ALL,
		  "KUBELET_KUBEADM_ARGS=\"--cgroup-driver=systemd "
		  "--container-runtime-endpoint=/run/containerd/containerd.sock\"\n", 3 },
		{ 35, "KUBELET_KUBEADM_ARGS=\"--pod-infra-container-image=p:1\"", "KUBELET_KUBEADM_ARGS=\"\"", 1 },
		{ 35, "KUBELET_KUBEADM_ARGS=--pod_infra_container_image p:1 --v=2\n",
		  "KUBELET_KUBEADM_ARGS=--v=2\n", 1 },
		{ 35, "A='--v=2 --pod-infra-container-image p:1'\n", "A='--v=2'\n", 1 },
		{ 35, "A=\"--allow-privileged --node-ip=1.2.3.4\"", "A=\"--node-ip=1.2.3.4\"", 1 },
		{ 35, "# --network-plugin=cni\nA=\"\"\n", "# --network-plugin=cni\nA=\"\"\n", 0 },
		{ 35, "A=\"--node-labels=x--network-plugin=1\"\n", "A=\"--node-labels=x--network-plugin=1\"\n", 0 },
		{ 35, "A=\"--network-plugins=1 --network-plugin\"", "A=\"--network-plugins=1\"", 1 },
		{ 35, "", "", 0 },
	};
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct byoh_kubernetes_version version = { 1, rows[i].minor, 0 };
		CLEANUP_BUFFER struct byoh_buffer text = { 0 };
		size_t removed;

		assert_int_equal(byoh_kubelet_flags_clean(rows[i].before, &version, &text, &removed, &err), 0);
		assert_string_equal(byoh_buffer_text(&text), rows[i].after);
		assert_int_equal(removed, rows[i].removed);
	}
}

static void systemd_runs_kubectl(void **state)
{
	struct preflight_fixture *f = *state;
	struct byoh_drain drain = { .host = &f->host };
	const char *const words[] = { "uncordon", "node10", NULL };
	const char *argv[BYOH_DRAIN_ARGUMENTS];
	size_t count = 0;

	byoh_drain_command(&drain, words, argv);
	assert_string_equal(argv[0], "systemd-run");
	while (argv[count])
		count++;
	assert_string_equal(argv[count - 1], "node10");
	assert_string_equal(argv[count - 2], "uncordon");
	assert_string_equal(argv[count - 3], "/etc/kubernetes/kubelet.conf");
	drain.kubeconfig = "/root/admin.conf";
	byoh_drain_command(&drain, words, argv);
	assert_string_equal(argv[count - 3], "/root/admin.conf");
}

static void a_drain_that_cannot_be_is_refused(void **state)
{
	struct preflight_fixture *f = *state;
	struct byoh_drain drain = { .host = &f->host };
	struct byoh_error err = BYOH_ERROR_INIT;

	assert_true(byoh_drain_begin(&drain, &err) < 0);
	assert_int_equal(err.kind, BYOH_ERROR_PREFLIGHT);
	assert_non_null(strstr(err.message, "kubectl"));
	assert_non_null(strstr(err.message, "--drained"));
	assert_int_equal(byoh_drain_end(&drain, &err), 0);
	test_root_put(&f->root, "/usr/local/bin/kubectl", "", 0755);
	f->host.systemd_version = 235;
	err = (struct byoh_error)BYOH_ERROR_INIT;
	assert_true(byoh_drain_begin(&drain, &err) < 0);
	assert_non_null(strstr(err.message, "235"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, preflight_set_up, preflight_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_have_an_order),
		cmocka_unit_test(kubernetes_goes_in_steps),
		cmocka_unit_test(what_is_older_is_a_downgrade),
		TEST(nothing_installed_nothing_to_check),
		TEST(no_minor_release_is_skipped),
		TEST(downgrades_have_to_be_wanted),
		TEST(a_node_is_drained_for_a_minor_step),
		cmocka_unit_test(a_kubelet_is_not_newer_than_its_server),
		TEST(an_api_server_that_cannot_be_asked_stops_nothing),
		cmocka_unit_test(flags_of_old_kubelets_go),
		TEST(systemd_runs_kubectl),
		TEST(a_drain_that_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
