/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/preflight-fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"

#define PROGRAM(where) \
	{ \
		.path = where, .target = "", .type = BYOH_FILE_REGULAR, .mode = 0755, .size = 5000 \
	}
#define FOLDER(where) { .path = where, .target = "", .type = BYOH_FILE_DIRECTORY, .mode = 0755 }

static struct byoh_file node_files[] = {
	FOLDER("opt"),
	FOLDER("opt/cni"),
	FOLDER("opt/cni/bin"),
	PROGRAM("opt/cni/bin/bridge"),
	FOLDER("usr"),
	FOLDER("usr/local"),
	FOLDER("usr/local/bin"),
	PROGRAM("usr/local/bin/byoh-hostagent"),
	PROGRAM("usr/local/bin/containerd"),
	PROGRAM("usr/local/bin/kube-proxy"),
	PROGRAM("usr/local/bin/kubeadm"),
	PROGRAM("usr/local/bin/kubelet"),
	FOLDER("usr/local/lib"),
	FOLDER("usr/local/lib/byoh"),
	PROGRAM("usr/local/lib/byoh/xtables-nft-multi"),
};

static struct byoh_file plain_files[] = {
	FOLDER("srv"),
	{ .path = "srv/page.html",
	  .target = "",
	  .type = BYOH_FILE_REGULAR,
	  .mode = 0644,
	  .size = 5000 },
};

static void use_files(struct preflight_fixture *f, const struct byoh_file *files, size_t count,
		      const char *without)
{
	free(f->index.files);
	f->index.files = calloc(count, sizeof(*files));
	assert_non_null(f->index.files);
	f->index.file_count = 0;
	for (size_t i = 0; i < count; i++)
		if (!without || strcmp(files[i].path, without))
			f->index.files[f->index.file_count++] = files[i];
}

void preflight_use_node_files(struct preflight_fixture *f, const char *without)
{
	use_files(f, node_files, ARRAY_SIZE(node_files), without);
}

void preflight_use_plain_files(struct preflight_fixture *f)
{
	use_files(f, plain_files, ARRAY_SIZE(plain_files), NULL);
}

int preflight_set_up(void **state)
{
	static const char *const tools[] = { "mount",	 "umount",    "losetup", "cp",
					     "modprobe", "systemctl", "bash" };
	struct preflight_fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	test_root_make(&f->root);
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/usr/bin/%s", tools[i]);
		test_root_put(&f->root, path, "", 0755);
	}
	f->host = (struct byoh_host){
		.root = f->root.path,
		.root_fd = f->root.fd,
		.os_id = (char *)"",
		.os_version_id = (char *)"",
		.os_pretty_name = (char *)"",
		.hostname = (char *)"node10",
		.machine_id = (char *)"",
		.has_systemd = true,
		.usr_local_unit_dir_ok = true,
		.systemd_running = true,
		.kernel_release = (char *)"6.1.0-37-amd64",
		.memory_bytes = (uint64_t)4 << 30,
		.cores = 2,
		.systemd_version = 252,
		.cgroup_v2 = true,
		.cgroup_controllers = (char *)"cpuset cpu io memory hugetlb pids rdma misc",
	};
	f->config.join_mode = BYOH_JOIN_AGENT;
	f->config.containerd.root = (char *)"/var/lib/containerd";
	f->config.kube_proxy.manage = true;
	f->config.cluster.server = (char *)"https://192.0.2.1:6443";
	f->pause = (struct byoh_image){ .ref = (char *)"registry.k8s.io/pause:3.10.2" };
	f->manifest = (struct byoh_manifest){
		.name = (char *)"byoh-worker", .version = (char *)"1", .arch = (char *)"amd64",
		.kubernetes = (char *)"v1.34.1", .image_count = 1, .images = &f->pause,
	};
	preflight_use_node_files(f, NULL);
	f->input = (struct byoh_plan_input){
		.config = &f->config,
		.host = &f->host,
		.manifest = &f->manifest,
		.index = &f->index,
	};
	*state = f;
	return 0;
}

int preflight_tear_down(void **state)
{
	struct preflight_fixture *f = *state;

	test_root_remove(&f->root);
	free(f->index.files);
	free(f);
	return 0;
}

struct byoh_check_report preflight_run_check(const struct preflight_fixture *f, const char *id)
{
	static const struct byoh_check *const tables[] = {
		byoh_checks_system,  byoh_checks_kernel,  byoh_checks_storage,
		byoh_checks_network, byoh_checks_runtime, byoh_checks_identity,
		byoh_checks_upgrade,
	};
	struct byoh_check_report report = { .id = id, .result = (enum byoh_check_result)99 };
	struct byoh_error err = BYOH_ERROR_INIT;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct byoh_check *check = tables[i]; check->id; check++)
			if (!strcmp(check->id, id)) {
				if (check->run(&f->input, &report, &err) < 0)
					fail_msg("%s: %s", id, err.message);
				return report;
			}
	fail_msg("no check %s", id);
	return report;
}

void preflight_expect(const struct preflight_fixture *f, const char *id,
		      enum byoh_check_result result, const char *seen)
{
	struct byoh_check_report report = preflight_run_check(f, id);

	if (report.result != result || (seen && !strstr(report.seen, seen)))
		fail_msg("%s: result %d, seen \"%s\"", id, (int)report.result, report.seen);
	if (result == BYOH_CHECK_FAIL || result == BYOH_CHECK_WARN)
		assert_true(strlen(report.remedy) > 0);
}
