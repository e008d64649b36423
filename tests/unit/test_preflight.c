/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "tests/unit/preflight-fixture.h"

static const struct byoh_check_report *find(const struct byoh_preflight *preflight, const char *id)
{
	for (size_t i = 0; i < preflight->count; i++)
		if (!strcmp(preflight->reports[i].id, id))
			return &preflight->reports[i];
	fail_msg("no report %s", id);
	return NULL;
}

static void test_fit_hosts_pass(void **state)
{
	static const enum byoh_join_mode modes[] = { BYOH_JOIN_AGENT, BYOH_JOIN_TLS_BOOTSTRAP,
						     BYOH_JOIN_NONE };
	struct preflight_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		CLEANUP_PREFLIGHT struct byoh_preflight *preflight = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;

		f->config.join_mode = modes[i];
		assert_int_equal(byoh_preflight_run(&f->input, NULL, false, &preflight, &err), 0);
		for (size_t k = 0; k < preflight->count; k++)
			if (preflight->reports[k].result == BYOH_CHECK_FAIL)
				fail_msg("%s: %s", preflight->reports[k].id,
					 preflight->reports[k].seen);
		assert_int_equal(preflight->failed, 0);
	}
}

static void test_files_alone_need_no_node(void **state)
{
	struct preflight_fixture *f = *state;
	CLEANUP_PREFLIGHT struct byoh_preflight *preflight = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	preflight_use_plain_files(f);
	f->config.join_mode = BYOH_JOIN_NONE;
	f->manifest.kubernetes = NULL;
	f->manifest.image_count = 0;
	f->host.has_systemd = f->host.usr_local_unit_dir_ok = false;
	f->host.hostname = (char *)"";
	f->host.containerd_path = (char *)"/usr/bin/containerd";
	test_root_put(&f->root, "/etc/kubernetes/kubelet.conf", "", 0600);
	test_root_put(&f->root, "/etc/cni/net.d/10-x.conflist", "", 0600);
	assert_int_equal(byoh_preflight_run(&f->input, "", false, &preflight, &err), 0);
	assert_int_equal(preflight->failed, 0);
	for (size_t i = 0; i < preflight->count; i++)
		if (preflight->reports[i].result == BYOH_CHECK_WARN)
			fail_msg("%s: %s", preflight->reports[i].id, preflight->reports[i].seen);
	assert_int_equal(find(preflight, "space")->result, BYOH_CHECK_PASS);
	assert_int_equal(find(preflight, "container-runtime")->result, BYOH_CHECK_SKIPPED);
}

static void test_ids_are_unique_and_documented_words(void **state)
{
	const struct preflight_fixture *f = *state;
	CLEANUP_PREFLIGHT struct byoh_preflight *preflight = NULL;

	assert_int_equal(byoh_preflight_run(&f->input, NULL, false, &preflight, NULL), 0);
	assert_true(preflight->count > 30);
	for (size_t i = 0; i < preflight->count; i++) {
		const char *id = preflight->reports[i].id;

		assert_int_equal(strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-"), strlen(id));
		assert_string_not_equal(id, "all");
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(id, preflight->reports[k].id);
	}
}

static void test_below_a_root_nothing_live_is_looked_at(void **state)
{
	const struct preflight_fixture *f = *state;
	CLEANUP_PREFLIGHT struct byoh_preflight *preflight = NULL;

	assert_int_equal(byoh_preflight_run(&f->input, NULL, false, &preflight, NULL), 0);
	assert_int_equal(find(preflight, "memory")->result, BYOH_CHECK_SKIPPED);
	assert_int_equal(find(preflight, "ports")->result, BYOH_CHECK_SKIPPED);
	assert_int_equal(find(preflight, "kernel-version")->result, BYOH_CHECK_SKIPPED);
	assert_string_equal(find(preflight, "memory")->remedy, "");
}

static void test_ignored(void **state)
{
	static const struct {
		const char *list;
		size_t failed;
		bool member, leftovers;
	} rows[] = {
		{ NULL, 2, false, false },
		{ "", 2, false, false },
		{ "cluster-member", 1, true, false },
		{ "Cluster-MEMBER, leftovers", 0, true, true },
		{ ",leftovers,", 1, false, true },
		{ "All", 0, true, true },
		{ "memory", 2, false, false },
	};
	struct preflight_fixture *f = *state;

	test_root_put(&f->root, "/etc/kubernetes/kubelet.conf", "", 0600);
	test_root_put(&f->root, "/var/lib/etcd/member", "", 0600);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_PREFLIGHT struct byoh_preflight *preflight = NULL;

		assert_int_equal(
			byoh_preflight_run(&f->input, rows[i].list, false, &preflight, NULL), 0);
		assert_int_equal(preflight->failed, rows[i].failed);
		assert_int_equal(find(preflight, "cluster-member")->result, BYOH_CHECK_FAIL);
		assert_int_equal(find(preflight, "cluster-member")->ignored, rows[i].member);
		assert_int_equal(find(preflight, "leftovers")->ignored, rows[i].leftovers);
		assert_false(find(preflight, "hostname")->ignored);
	}
}

static void test_unknown_id_is_refused(void **state)
{
	static const char *const lists[] = { "cluster", "memory,nonsense", "memory2", "al",
					     "memory;cores" };
	const struct preflight_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct byoh_error err = BYOH_ERROR_INIT;
		struct byoh_preflight *preflight = NULL;

		assert_int_equal(byoh_preflight_run(&f->input, lists[i], false, &preflight, &err),
				 -EINVAL);
		assert_null(preflight);
		assert_int_equal(err.kind, BYOH_ERROR_USAGE);
		assert_non_null(strstr(err.message, "cgroup-v2, "));
		assert_non_null(strstr(err.message, "leftovers"));
	}
}

static void test_an_installed_release_is_no_obstacle(void **state)
{
	static const char *const ids[] = { "kubelet-installed", "kubelet-dropins", "cluster-member",
					   "leftovers", "cri-disabled" };
	struct preflight_fixture *f = *state;
	CLEANUP_PREFLIGHT struct byoh_preflight *first = NULL, *again = NULL;

	test_root_put(&f->root, "/usr/local/bin/kubelet", "", 0755);
	test_root_put(&f->root, "/usr/local/lib/systemd/system/kubelet.service.d/slice.conf", "", 0644);
	test_root_put(&f->root, "/etc/kubernetes/kubelet.conf", "", 0600);
	test_root_put(&f->root, "/var/lib/kubelet/config.yaml", "", 0600);
	test_root_put(&f->root, "/etc/containerd/config.toml", "disabled_plugins = [\"cri\"]\n", 0600);
	assert_int_equal(byoh_preflight_run(&f->input, NULL, false, &first, NULL), 0);
	assert_int_equal(byoh_preflight_run(&f->input, NULL, true, &again, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		assert_int_equal(find(first, ids[i])->result, BYOH_CHECK_FAIL);
		assert_int_equal(find(again, ids[i])->result, BYOH_CHECK_SKIPPED);
	}
	assert_int_equal(first->failed, ARRAY_SIZE(ids));
	assert_int_equal(again->failed, 0);
}

#define WITH_FIXTURE(test) \
	cmocka_unit_test_setup_teardown(test, preflight_set_up, preflight_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_fit_hosts_pass),
		WITH_FIXTURE(test_files_alone_need_no_node),
		WITH_FIXTURE(test_ids_are_unique_and_documented_words),
		WITH_FIXTURE(test_below_a_root_nothing_live_is_looked_at),
		WITH_FIXTURE(test_ignored),
		WITH_FIXTURE(test_unknown_id_is_refused),
		WITH_FIXTURE(test_an_installed_release_is_no_obstacle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
