/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/preflight/checks.h"
#include "installer/preflight/elf.h"
#include "installer/preflight/preflight.h"

/* A host, a bundle and a config that fit together; tests spoil one thing each. */
struct fixture {
	char root[64];
	int fd;
	struct byoh_host host;
	struct byoh_config config;
	struct byoh_manifest manifest;
	struct byoh_image pause;
	struct byoh_index index;
	struct byoh_plan_input input;
};

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

/* The bundle without the file at that path. */
static void use_files(struct fixture *f, const struct byoh_file *files, size_t count,
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

static void put(const struct fixture *f, const char *path, const char *text, mode_t mode)
{
	char parent[BYOH_PATH_MAX];

	snprintf(parent, sizeof(parent), "%s", path);
	*strrchr(parent, '/') = 0;
	if (parent[0])
		assert_int_equal(byoh_make_directories(f->fd, parent, 0755, NULL), 0);
	assert_int_equal(byoh_write_file(f->fd, path, text, strlen(text), mode, NULL), 0);
}

static int set_up(void **state)
{
	static const char *const tools[] = { "mount",	 "umount",    "losetup", "cp",
					     "modprobe", "systemctl", "bash" };
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->root, "/tmp/byoh-preflight-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	f->fd = open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->fd >= 0);
	for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
		char path[64];

		snprintf(path, sizeof(path), "/usr/bin/%s", tools[i]);
		put(f, path, "", 0755);
	}
	f->host = (struct byoh_host){
		.root = f->root,
		.root_fd = f->fd,
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
	use_files(f, node_files, ARRAY_SIZE(node_files), NULL);
	f->input = (struct byoh_plan_input){
		.config = &f->config,
		.host = &f->host,
		.manifest = &f->manifest,
		.index = &f->index,
	};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	close(f->fd);
	assert_int_equal(byoh_remove_tree(tmp, strrchr(f->root, '/') + 1, NULL), 0);
	close(tmp);
	free(f->index.files);
	free(f);
	return 0;
}

static const struct byoh_check_report *find(const struct byoh_preflight *preflight, const char *id)
{
	for (size_t i = 0; i < preflight->count; i++)
		if (!strcmp(preflight->reports[i].id, id))
			return &preflight->reports[i];
	fail_msg("no report %s", id);
	return NULL;
}

/* The check itself, without the runner's rules about running hosts and first installs. */
static struct byoh_check_report run_check(const struct fixture *f, const char *id)
{
	static const struct byoh_check *const tables[] = {
		byoh_checks_system,  byoh_checks_kernel,  byoh_checks_storage,
		byoh_checks_network, byoh_checks_runtime, byoh_checks_identity,
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

static void expect(const struct fixture *f, const char *id, enum byoh_check_result result,
		   const char *seen)
{
	struct byoh_check_report report = run_check(f, id);

	if (report.result != result || (seen && !strstr(report.seen, seen)))
		fail_msg("%s: result %d, seen \"%s\"", id, (int)report.result, report.seen);
	if (result == BYOH_CHECK_FAIL || result == BYOH_CHECK_WARN)
		assert_true(strlen(report.remedy) > 0);
}

static void test_fit_hosts_pass(void **state)
{
	static const enum byoh_join_mode modes[] = { BYOH_JOIN_AGENT, BYOH_JOIN_TLS_BOOTSTRAP,
						     BYOH_JOIN_NONE };
	struct fixture *f = *state;

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
	struct fixture *f = *state;
	CLEANUP_PREFLIGHT struct byoh_preflight *preflight = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	use_files(f, plain_files, ARRAY_SIZE(plain_files), NULL);
	f->config.join_mode = BYOH_JOIN_NONE;
	f->manifest.kubernetes = NULL;
	f->manifest.image_count = 0;
	f->host.has_systemd = f->host.usr_local_unit_dir_ok = false;
	f->host.hostname = (char *)"";
	f->host.containerd_path = (char *)"/usr/bin/containerd";
	put(f, "/etc/kubernetes/kubelet.conf", "", 0600);
	put(f, "/etc/cni/net.d/10-x.conflist", "", 0600);
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
	const struct fixture *f = *state;
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
	const struct fixture *f = *state;
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
	struct fixture *f = *state;

	put(f, "/etc/kubernetes/kubelet.conf", "", 0600);
	put(f, "/var/lib/etcd/member", "", 0600);
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
	const struct fixture *f = *state;

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
	struct fixture *f = *state;
	CLEANUP_PREFLIGHT struct byoh_preflight *first = NULL, *again = NULL;

	put(f, "/usr/local/bin/kubelet", "", 0755);
	put(f, "/usr/local/lib/systemd/system/kubelet.service.d/slice.conf", "", 0644);
	put(f, "/etc/kubernetes/kubelet.conf", "", 0600);
	put(f, "/var/lib/kubelet/config.yaml", "", 0600);
	put(f, "/etc/containerd/config.toml", "disabled_plugins = [\"cri\"]\n", 0600);
	assert_int_equal(byoh_preflight_run(&f->input, NULL, false, &first, NULL), 0);
	assert_int_equal(byoh_preflight_run(&f->input, NULL, true, &again, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		assert_int_equal(find(first, ids[i])->result, BYOH_CHECK_FAIL);
		assert_int_equal(find(again, ids[i])->result, BYOH_CHECK_SKIPPED);
	}
	assert_int_equal(first->failed, ARRAY_SIZE(ids));
	assert_int_equal(again->failed, 0);
}

/* Files that must not be there, one at a time. */
static void test_files_in_the_way(void **state)
{
	static const struct {
		const char *path, *text, *id;
		enum byoh_check_result result;
	} rows[] = {
		{ "/usr/bin/kubelet", "", "kubelet-installed", BYOH_CHECK_FAIL },
		{ "/usr/lib/systemd/system/kubelet.service", "", "kubelet-installed",
		  BYOH_CHECK_FAIL },
		{ "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", "", "kubelet-dropins",
		  BYOH_CHECK_FAIL },
		{ "/etc/systemd/system/kubelet.service.d/README", "", "kubelet-dropins",
		  BYOH_CHECK_PASS },
		{ "/etc/containerd/config.toml", "disabled_plugins = [\"cri\"]\n", "cri-disabled",
		  BYOH_CHECK_FAIL },
		{ "/etc/containerd/config.toml", "#disabled_plugins = [\"cri\"]\n", "cri-disabled",
		  BYOH_CHECK_PASS },
		{ "/etc/kubernetes/kubelet.conf", "", "cluster-member", BYOH_CHECK_FAIL },
		{ "/etc/rancher/rke2/config.yaml", "", "cluster-member", BYOH_CHECK_FAIL },
		{ "/etc/kubernetes/pki/ca.crt", "", "leftovers", BYOH_CHECK_FAIL },
		{ "/etc/kubernetes/manifests/etcd.yaml", "", "leftovers", BYOH_CHECK_FAIL },
		{ "/etc/kubernetes/manifests/README", "", "leftovers", BYOH_CHECK_PASS },
		{ "/var/lib/kubelet/pki/x", "", "leftovers", BYOH_CHECK_FAIL },
		{ "/etc/cni/net.d/87-podman.conflist", "", "leftovers", BYOH_CHECK_FAIL },
		{ "/etc/cni/net.d/.keep", "", "leftovers", BYOH_CHECK_PASS },
		{ "/root/.byoh/config", "", "leftovers", BYOH_CHECK_FAIL },
		{ "/etc/systemd/system/multi-user.target.wants/fapolicyd.service", "", "fapolicyd",
		  BYOH_CHECK_WARN },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char top[64];

		expect(f, rows[i].id, BYOH_CHECK_PASS, NULL);
		put(f, rows[i].path, rows[i].text, 0644);
		expect(f, rows[i].id, rows[i].result, NULL);
		/* /usr holds the tools */
		snprintf(top, sizeof(top), "%.*s", (int)strcspn(rows[i].path + 1, "/") + 1,
			 rows[i].path);
		if (strcmp(top, "/usr"))
			assert_int_equal(byoh_remove_tree(f->fd, top, NULL), 0);
		else
			assert_int_equal(byoh_remove_file(f->fd, rows[i].path, NULL), 0);
	}
	f->config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	put(f, "/root/.byoh/config", "", 0600);
	expect(f, "leftovers", BYOH_CHECK_PASS, NULL);
}

static void test_runtime(void **state)
{
	struct fixture *f = *state;

	expect(f, "container-runtime", BYOH_CHECK_PASS, NULL);
	f->host.containerd_path = (char *)"/usr/bin/containerd";
	expect(f, "container-runtime", BYOH_CHECK_FAIL, "/usr/bin/containerd");
	f->config.containerd.existing = BYOH_EXISTING_ADOPT;
	expect(f, "container-runtime", BYOH_CHECK_FAIL, "adopt is not in this release");
	f->config.containerd.existing = BYOH_EXISTING_REPLACE;
	expect(f, "container-runtime", BYOH_CHECK_FAIL, "replace is not in this release");
	f->config.containerd.existing = BYOH_EXISTING_REFUSE;
	f->host.containerd_path = NULL;
	use_files(f, node_files, ARRAY_SIZE(node_files), "usr/local/bin/containerd");
	expect(f, "container-runtime", BYOH_CHECK_FAIL, "no containerd");
}

static void test_join_mode(void **state)
{
	struct fixture *f = *state;

	expect(f, "join-mode", BYOH_CHECK_PASS, "agent");
	f->config.join_mode = BYOH_JOIN_KUBEADM;
	expect(f, "join-mode", BYOH_CHECK_FAIL, "kubeadm is not in this release");
	f->config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	expect(f, "join-mode", BYOH_CHECK_PASS, NULL);
	f->config.cluster.ca_pin = (char *)"sha256:00";
	expect(f, "join-mode", BYOH_CHECK_FAIL, "pin");
	f->config.cluster.ca_pin = NULL;
	use_files(f, node_files, ARRAY_SIZE(node_files), "usr/local/bin/kubelet");
	expect(f, "join-mode", BYOH_CHECK_FAIL, "kubelet");
	f->config.join_mode = BYOH_JOIN_NONE;
	expect(f, "join-mode", BYOH_CHECK_PASS, NULL);
	use_files(f, node_files, ARRAY_SIZE(node_files), "usr/local/bin/byoh-hostagent");
	f->config.join_mode = BYOH_JOIN_AGENT;
	expect(f, "join-mode", BYOH_CHECK_FAIL, "byoh-hostagent");
	f->config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	expect(f, "join-mode", BYOH_CHECK_PASS, NULL);
}

static void test_iptables_and_images(void **state)
{
	struct fixture *f = *state;

	expect(f, "iptables", BYOH_CHECK_PASS, "the bundle brings it");
	use_files(f, node_files, ARRAY_SIZE(node_files), "usr/local/lib/byoh/xtables-nft-multi");
	expect(f, "iptables", BYOH_CHECK_FAIL, NULL);
	f->host.has_iptables = true;
	expect(f, "iptables", BYOH_CHECK_PASS, "the host has it");

	expect(f, "sandbox-image", BYOH_CHECK_PASS, "registry.k8s.io/pause:3.10.2");
	f->config.containerd.sandbox_image = (char *)"registry.k8s.io/pause:3.9";
	expect(f, "sandbox-image", BYOH_CHECK_FAIL, "pause:3.9");
}

static void test_system(void **state)
{
	struct fixture *f = *state;

	f->host.live = true;
	expect(f, "systemd", BYOH_CHECK_PASS, NULL);
	f->host.systemd_running = false;
	expect(f, "systemd", BYOH_CHECK_FAIL, NULL);
	f->host.systemd_version = 219;
	expect(f, "systemd-version", BYOH_CHECK_FAIL, "219");
	f->host.systemd_version = 239;
	expect(f, "systemd-version", BYOH_CHECK_WARN, "239");
	f->host.systemd_version = 0;
	expect(f, "systemd-version", BYOH_CHECK_WARN, NULL);
	f->host.usr_local_unit_dir_ok = false;
	expect(f, "unit-directory", BYOH_CHECK_FAIL, NULL);
	expect(f, "memory", BYOH_CHECK_PASS, "4096 MiB");
	f->host.memory_bytes = (uint64_t)1024 << 20;
	expect(f, "memory", BYOH_CHECK_WARN, "1024 MiB");
	f->host.memory_bytes = (uint64_t)512 << 20;
	expect(f, "memory", BYOH_CHECK_FAIL, "512 MiB");
	f->host.cores = 1;
	expect(f, "cores", BYOH_CHECK_WARN, "1 core");
	f->manifest.arch = (char *)"s390x";
	expect(f, "architecture", BYOH_CHECK_FAIL, "s390x");
	expect(f, "selinux", BYOH_CHECK_PASS, NULL);
	f->host.selinux_enabled = true;
	expect(f, "selinux", BYOH_CHECK_WARN, "restorecon");
}

static void test_clock(void **state)
{
	struct fixture *f = *state;

	f->manifest.built = 1000;
	expect(f, "clock", BYOH_CHECK_PASS, NULL);
	f->manifest.built = (uint64_t)time(NULL) + 3600;
	expect(f, "clock", BYOH_CHECK_PASS, NULL);
	f->manifest.built = (uint64_t)time(NULL) + 3 * 24 * 3600;
	expect(f, "clock", BYOH_CHECK_FAIL, "was built");
	f->config.cluster.server = NULL;
	expect(f, "clock", BYOH_CHECK_WARN, "was built");
	f->manifest.built = UINT64_MAX;
	expect(f, "clock", BYOH_CHECK_WARN, NULL);
}

static void test_tools(void **state)
{
	struct fixture *f = *state;

	expect(f, "tools", BYOH_CHECK_PASS, "7 programs");
	assert_int_equal(byoh_remove_file(f->fd, "/usr/bin/losetup", NULL), 0);
	assert_int_equal(byoh_remove_file(f->fd, "/usr/bin/bash", NULL), 0);
	expect(f, "tools", BYOH_CHECK_WARN, "losetup, bash");
	f->host.live = true;
	expect(f, "tools", BYOH_CHECK_FAIL, "losetup, bash");
	use_files(f, plain_files, ARRAY_SIZE(plain_files), NULL);
	expect(f, "tools", BYOH_CHECK_SKIPPED, NULL);

	use_files(f, node_files, ARRAY_SIZE(node_files), NULL);
	put(f, "/usr/bin/losetup", "", 0755);
	put(f, "/usr/bin/bash", "", 0755);
	f->config.kube_proxy.mode = BYOH_PROXY_NFTABLES;
	expect(f, "tools", BYOH_CHECK_FAIL, "missing: nft");
	expect(f, "conntrack", BYOH_CHECK_PASS, NULL);
	f->manifest.kubernetes = (char *)"v1.20.2";
	expect(f, "conntrack", BYOH_CHECK_WARN, "v1.20.2");
}

static void test_kernel(void **state)
{
	struct fixture *f = *state;

	expect(f, "kernel-version", BYOH_CHECK_PASS, "6.1.0-37-amd64");
	f->host.kernel_release = (char *)"5.4.0-150-generic";
	expect(f, "kernel-version", BYOH_CHECK_WARN, "5.4.0");
	f->config.kube_proxy.mode = BYOH_PROXY_NFTABLES;
	expect(f, "kernel-version", BYOH_CHECK_FAIL, "nftables");
	f->host.kernel_release = (char *)"3.10.0-1160.el7";
	expect(f, "kernel-version", BYOH_CHECK_FAIL, "too old");
	f->host.kernel_release = (char *)"nonsense";
	expect(f, "kernel-version", BYOH_CHECK_WARN, NULL);

	expect(f, "cgroup-v2", BYOH_CHECK_PASS, NULL);
	expect(f, "cgroup-controllers", BYOH_CHECK_PASS, NULL);
	f->host.cgroup_controllers = (char *)"cpuset io pids misc";
	expect(f, "cgroup-controllers", BYOH_CHECK_FAIL, "missing: cpu memory");
	f->host.cgroup_v2 = false;
	expect(f, "cgroup-v2", BYOH_CHECK_FAIL, NULL);
	expect(f, "cgroup-controllers", BYOH_CHECK_SKIPPED, NULL);
}

static const char full_config[] =
	"CONFIG_NAMESPACES=y\nCONFIG_NET_NS=y\nCONFIG_PID_NS=y\nCONFIG_IPC_NS=y\nCONFIG_UTS_NS="
	"y\nCONFIG_CGROUPS=y\n"
	"CONFIG_CGROUP_BPF=y\nCONFIG_CGROUP_PIDS=y\nCONFIG_CGROUP_SCHED=y\nCONFIG_CPUSETS="
	"y\nCONFIG_MEMCG=y\n"
	"CONFIG_FAIR_GROUP_SCHED=y\nCONFIG_INET=y\nCONFIG_PROC_FS=y\nCONFIG_OVERLAY_FS=m\n"
	"CONFIG_IP_NF_TARGET_REDIRECT=m\nCONFIG_NETFILTER_XT_MATCH_COMMENT=m\n";

static void test_kernel_config(void **state)
{
	/* "CONFIG_MEMCG=y\n" and no more, packed by gzip */
	static const unsigned char packed[] = {
		0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x73, 0xf6, 0xf7, 0x73,
		0xf3, 0x74, 0x8f, 0xf7, 0x75, 0xf5, 0x75, 0x76, 0xb7, 0xad, 0xe4, 0x02, 0x00, 0xd4,
		0xe0, 0xa3, 0xc3, 0x0f, 0x00, 0x00, 0x00,
	};
	struct fixture *f = *state;

	expect(f, "kernel-config", BYOH_CHECK_SKIPPED, NULL);
	put(f, "/boot/config-6.1.0-37-amd64", full_config, 0644);
	expect(f, "kernel-config", BYOH_CHECK_PASS, NULL);
	put(f, "/boot/config-6.1.0-37-amd64", strchr(full_config, '\n') + 1, 0644);
	expect(f, "kernel-config", BYOH_CHECK_FAIL, "not set: NAMESPACES");
	assert_int_equal(byoh_make_directories(f->fd, "/proc", 0755, NULL), 0);
	assert_int_equal(
		byoh_write_file(f->fd, "/proc/config.gz", packed, sizeof(packed), 0444, NULL), 0);
	expect(f, "kernel-config", BYOH_CHECK_FAIL,
	       "CPUSETS FAIR_GROUP_SCHED"); /* MEMCG stands between them */
}

static void test_modules(void **state)
{
	struct fixture *f = *state;

	expect(f, "modules", BYOH_CHECK_FAIL, "overlay br_netfilter");
	put(f, "/lib/modules/6.1.0-37-amd64/modules.builtin", "kernel/fs/overlayfs/overlay.ko\n",
	    0644);
	expect(f, "modules", BYOH_CHECK_FAIL, "modules: br_netfilter");
	put(f, "/lib/modules/6.1.0-37-amd64/modules.dep",
	    "kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz\n", 0644);
	expect(f, "modules", BYOH_CHECK_PASS, NULL);
	f->config.kube_proxy.mode = BYOH_PROXY_IPVS;
	expect(f, "modules", BYOH_CHECK_FAIL, "ip_vs");
	put(f, "/sys/module/ip_vs/refcnt", "0", 0444);
	expect(f, "modules", BYOH_CHECK_PASS, NULL);
}

static void test_swap(void **state)
{
	struct byoh_swap swaps[] = {
		{ .device = (char *)"/dev/sda2", .type = (char *)"partition" },
		{ .device = (char *)"/dev/zram0", .type = (char *)"partition", .zram = true }
	};
	struct fixture *f = *state;

	expect(f, "swap", BYOH_CHECK_PASS, NULL);
	expect(f, "zram", BYOH_CHECK_PASS, NULL);
	f->host.swaps = swaps;
	f->host.swap_count = 1;
	expect(f, "swap", BYOH_CHECK_WARN, "/dev/sda2");
	expect(f, "zram", BYOH_CHECK_PASS, NULL);
	f->host.swap_count = 2;
	expect(f, "zram", BYOH_CHECK_WARN, "/dev/zram0");
	f->config.host.swap = true;
	expect(f, "swap", BYOH_CHECK_PASS, NULL);
}

static void test_identity(void **state)
{
	struct fixture *f = *state;

	expect(f, "machine-id", BYOH_CHECK_PASS, NULL);
	f->host.machine_id = (char *)"3d1219c7c4c5404aaa1f6d2a48adfda4";
	expect(f, "machine-id", BYOH_CHECK_WARN, "image");
	f->host.live = true;
	expect(f, "machine-id", BYOH_CHECK_PASS, NULL);
	f->host.machine_id = (char *)"";
	expect(f, "machine-id", BYOH_CHECK_FAIL, "empty");
	f->host.machine_id = (char *)"00000000000000000000000000000000";
	expect(f, "machine-id", BYOH_CHECK_FAIL, "no id");
	f->host.machine_id = (char *)"3D1219C7C4C5404AAA1F6D2A48ADFDA4";
	expect(f, "machine-id", BYOH_CHECK_FAIL, "no id");

	expect(f, "hostname", BYOH_CHECK_PASS, "node10");
	f->host.hostname = (char *)"Node10";
	expect(f, "hostname", BYOH_CHECK_FAIL, "capital");
	f->config.host.hostname = (char *)"node11";
	expect(f, "hostname", BYOH_CHECK_PASS, "node11");
	f->config.host.hostname = NULL;
	f->host.hostname = (char *)"";
	expect(f, "hostname", BYOH_CHECK_FAIL, NULL);
	f->host.live = false;
	expect(f, "hostname", BYOH_CHECK_WARN, NULL);
	/* without the helper outside nothing is known of the network */
	expect(f, "ports", BYOH_CHECK_SKIPPED, NULL);
	expect(f, "default-route", BYOH_CHECK_SKIPPED, NULL);
}

static void test_space(void **state)
{
	struct fixture *f = *state;

	expect(f, "space", BYOH_CHECK_PASS, NULL);
	f->manifest.payload_size = (uint64_t)1 << 60;
	expect(f, "space", BYOH_CHECK_FAIL, "are needed");
	f->manifest.payload_size = 0;
	f->index.files[3].size = UINT64_MAX;
	f->index.files[7].size = UINT64_MAX; /* sums do not wrap */
	expect(f, "space", BYOH_CHECK_FAIL, "are needed");
}

/* For a child, where a failed assertion would go on with the tests behind it. */
#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

static bool is(const struct fixture *f, const char *id, enum byoh_check_result result,
	       const char *seen)
{
	struct byoh_check_report report = run_check(f, id);

	if (report.result != result || !strstr(report.seen, seen))
		fprintf(stderr, "%s: result %d, seen \"%s\"\n", id, (int)report.result,
			report.seen);
	return report.result == result && strstr(report.seen, seen);
}

/* A small file system of its own below the root, in a mount namespace of this child. */
static void on_small_file_system(struct fixture *f)
{
	char opt[128], path[160];

	snprintf(opt, sizeof(opt), "%s/opt", f->root);
	CHECK(!mkdir(opt, 0755));
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", opt, "tmpfs", MS_NOEXEC, "size=1m,nr_inodes=8"))
		_exit(77);
	/* a descriptor from before sees the mounts from before */
	f->host.root_fd = open(f->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CHECK(is(f, "space", BYOH_CHECK_PASS, "2 file systems"));
	CHECK(is(f, "inodes", BYOH_CHECK_PASS, "needed"));
	CHECK(is(f, "noexec", BYOH_CHECK_FAIL, "/opt/cni/bin"));
	f->index.files[3].size = (uint64_t)2 << 20;
	CHECK(is(f, "space", BYOH_CHECK_FAIL, "/opt"));
	CHECK(is(f, "read-only", BYOH_CHECK_PASS, "written"));
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/%d", opt, i);
		CHECK(!mkdir(path, 0755));
	}
	CHECK(is(f, "inodes", BYOH_CHECK_FAIL, "2 inodes are free, 3 are needed"));
	CHECK(!mount(NULL, opt, NULL, MS_REMOUNT | MS_RDONLY, NULL));
	CHECK(is(f, "read-only", BYOH_CHECK_FAIL, "/opt"));
}

static void test_file_systems(void **state)
{
	struct fixture *f = *state;
	int status;
	pid_t pid;

	expect(f, "inodes", BYOH_CHECK_PASS, NULL);
	expect(f, "read-only", BYOH_CHECK_PASS, NULL);
	expect(f, "entry-types", BYOH_CHECK_PASS, NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		on_small_file_system(f);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		fprintf(stderr, "SKIP: needs the privilege to mount\n");
		skip();
	}
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_listening_ports(void **state)
{
	static const char tcp[] = "  sl  local_address rem_address   st tx_queue rx_queue tr "
				  "tm->when retrnsmt   uid  timeout inode\n"
				  "   0: 0100007F:2808 00000000:0000 0A 00000000:00000000 "
				  "00:00000000 00000000     0        0 1 1 0\n"
				  "   1: 0200000A:280A 0100000A:D431 01 00000000:00000000 "
				  "00:00000000 00000000     0        0 2 1 0\n";
	static const char tcp6[] = "  sl  local_address                         remote_address     "
				   "                   st\n"
				   "   0: 00000000000000000000000000000000:280A "
				   "00000000000000000000000000000000:0000 0A 00000000:0 0\n";

	(void)state;
	assert_true(byoh_check_listens(tcp, 10248));
	assert_false(byoh_check_listens(tcp, 10250)); /* a connection, no listener */
	assert_false(byoh_check_listens(tcp, 54321)); /* somebody else's port */
	assert_true(byoh_check_listens(tcp6, 10250));
	assert_false(byoh_check_listens("", 0));
}

static void test_routes(void **state)
{
	static const char heading[] = "Iface\tDestination\tGateway "
				      "\tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
	static const struct {
		const char *ipv4, *ipv6;
		bool found;
	} rows[] = {
		{ "", "", false },
		{ "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n", "", false },
		{ "eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n", "", true },
		{ "eth0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n", "",
		  false }, /* 0.0.0.0/1 */
		{ "*\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n", "",
		  false }, /* unreachable */
		{ "",
		  "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		  "00000000000000000000000000000000 ffffffff 00000001 00000000 00200200       lo\n",
		  false },
		{ "",
		  "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
		  "fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n",
		  true },
		{ "",
		  "20010db8000000000000000000000000 20 00000000000000000000000000000000 00 "
		  "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0\n",
		  false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char ipv4[512];

		snprintf(ipv4, sizeof(ipv4), "%s%s", heading, rows[i].ipv4);
		if (byoh_check_default_route(ipv4, rows[i].ipv6) != rows[i].found)
			fail_msg("row %zu", i);
	}
}

static void test_hostnames(void **state)
{
	static const struct {
		const char *name;
		bool good;
	} rows[] = {
		{ "n", true },		{ "node-10", true },	{ "node10.site.example", true },
		{ "10", true },		{ "", false },		{ "Node10", false },
		{ "node_10", false },	{ "-node", false },	{ "node-", false },
		{ "a..b", false },	{ ".a", false },	{ "a.", false },
		{ "a.-b", false },	{ "a-.b", false },	{ "localhost", false },
		{ "localhost.localdomain", false }, { "a b", false },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if ((byoh_check_hostname_fault(rows[i].name) == NULL) != rows[i].good)
			fail_msg("%s", rows[i].name);
}

static void test_texts(void **state)
{
	static const char dep[] =
		"kernel/net/netfilter/ipvs/ip_vs.ko: kernel/lib/libcrc32c.ko\n"
		"kernel/net/bridge/br-netfilter.ko.zst:\nkernel/fs/not-overlay.ko:\n";

	(void)state;
	assert_true(byoh_check_module_listed(dep, "ip_vs"));
	assert_true(byoh_check_module_listed(dep, "br_netfilter"));
	assert_false(byoh_check_module_listed(dep, "overlay"));
	assert_false(byoh_check_module_listed(dep, "libcrc32c")); /* named by another, not itself */
	assert_false(byoh_check_module_listed(dep, "ip"));
	assert_false(byoh_check_module_listed("", "ip_vs"));

	assert_true(byoh_check_kernel_option("CONFIG_A=y\nCONFIG_MEMCG=m\n", "MEMCG"));
	assert_false(byoh_check_kernel_option("# CONFIG_MEMCG is not set\n", "MEMCG"));
	assert_false(byoh_check_kernel_option("CONFIG_MEMCG_KMEM=y\n", "MEMCG"));
	assert_false(byoh_check_kernel_option("CONFIG_NO_MEMCG=y\nXCONFIG_MEMCG=y\n", "MEMCG"));
	assert_false(byoh_check_kernel_option("CONFIG_MEMCG=n\n", "MEMCG"));

	assert_true(byoh_check_disables_cri("version = 2\ndisabled_plugins = [\n  \"aufs\",\n  "
					    "\"io.containerd.grpc.v1.cri\"]\n"));
	assert_false(byoh_check_disables_cri(
		"disabled_plugins = []\n[plugins.\"io.containerd.grpc.v1.cri\"]\n"));
	assert_false(byoh_check_disables_cri(""));
}

/* This program itself, in an empty root. */
static struct byoh_buffer own_program(const struct fixture *f)
{
	struct byoh_buffer bytes = { 0 };
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0 && !fstat(fd, &st));
	assert_int_equal(byoh_buffer_reserve(&bytes, (size_t)st.st_size, NULL), 0);
	bytes.size = (size_t)st.st_size;
	assert_int_equal(byoh_pread_all(fd, bytes.data, bytes.size, 0, NULL), 0);
	close(fd);
	assert_int_equal(byoh_write_file(f->fd, "/program", bytes.data, bytes.size, 0755, NULL), 0);
	return bytes;
}

static void test_elf_needs(void **state)
{
	const struct fixture *f = *state;
	CLEANUP_BUFFER struct byoh_buffer bytes = own_program(f), missing = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_elf_needs needs;

	assert_int_equal(byoh_elf_read_needs(bytes.data, bytes.size, &needs, &err), 0);
	assert_non_null(needs.interpreter);
	assert_true(needs.count >= 2);
	assert_int_equal(byoh_preflight_elf(f->fd, "/program", &missing, &err), 0);
	assert_non_null(strstr(byoh_buffer_text(&missing), needs.interpreter));
	assert_non_null(strstr(byoh_buffer_text(&missing), "libcmocka.so.0"));
	assert_non_null(strstr(byoh_buffer_text(&missing), ", libc.so.6"));

	/* each found in another of the places where loaders look */
	put(f, needs.interpreter, "", 0755);
	put(f, "/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\n", 0644);
	put(f, "/etc/ld.so.conf.d/site.conf", "# libraries\n/opt/site/lib\n", 0644);
	for (size_t i = 0; i < needs.count; i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", i % 2 ? "/opt/site/lib" : "/usr/lib",
			 needs.libraries[i]);
		put(f, path, "", 0644);
	}
	missing.size = 0;
	missing.data[0] = 0;
	assert_int_equal(byoh_preflight_elf(f->fd, "/program", &missing, &err), 0);
	assert_string_equal(byoh_buffer_text(&missing), "");
}

static void test_elf_that_needs_nothing(void **state)
{
	const struct fixture *f = *state;
	CLEANUP_BUFFER struct byoh_buffer missing = { 0 };
	unsigned char small[sizeof(Elf64_Ehdr)] = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB };

	put(f, "/script",
	    "#!/bin/sh\nexit 0\n# long enough to be taken for a program's header, but it is none\n",
	    0755);
	put(f, "/empty", "", 0755);
	assert_int_equal(byoh_write_file(f->fd, "/small", small, sizeof(small), 0755, NULL), 0);
	assert_int_equal(byoh_preflight_elf(f->fd, "/script", &missing, NULL), 0);
	assert_int_equal(byoh_preflight_elf(f->fd, "/empty", &missing, NULL), 0);
	assert_int_equal(byoh_preflight_elf(f->fd, "/small", &missing, NULL), 0);
	assert_string_equal(byoh_buffer_text(&missing), "");
	assert_int_equal(byoh_preflight_elf(f->fd, "/absent", &missing, NULL), -ENOENT);
}

/* The sanitizers watch; no answer but 0 or -EBADMSG is right. */
static void expect_no_harm(const char *bytes, size_t size)
{
	char *exact = malloc(size ? size : 1);
	struct byoh_elf_needs needs;
	int rc;

	assert_non_null(exact);
	memcpy(exact, bytes, size);
	rc = byoh_elf_read_needs(exact, size, &needs, NULL);
	assert_true(rc == 0 || rc == -EBADMSG);
	for (size_t i = 0; rc == 0 && i < needs.count; i++)
		assert_true(strlen(needs.libraries[i]) <= BYOH_ELF_NAME_MAX);
	free(exact);
}

static void test_hostile_elf(void **state)
{
	const struct fixture *f = *state;
	CLEANUP_BUFFER struct byoh_buffer bytes = own_program(f);
	static const uint64_t values[] = {
		0, 1, 0x7fffffff, UINT64_MAX, UINT64_MAX - 7, INT64_MAX
	};
	size_t refused = 0, header = sizeof(Elf64_Ehdr) + 16 * sizeof(Elf64_Phdr);

	for (size_t size = 0; size < 2048; size++)
		expect_no_harm(bytes.data, size);
	/* every eight bytes of both headers in turn; what lies behind is cut, to be quick under
	 * sanitizers */
	for (size_t at = 16; at + 8 <= header; at += 4) {
		for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
			char before[8];
			struct byoh_elf_needs needs;

			memcpy(before, bytes.data + at, 8);
			memcpy(bytes.data + at, &values[i], 8);
			expect_no_harm(bytes.data, bytes.size < 65536 ? bytes.size : 65536);
			refused += byoh_elf_read_needs(bytes.data, bytes.size, &needs, NULL) ==
				   -EBADMSG;
			memcpy(bytes.data + at, before, 8);
		}
	}
	assert_true(refused > 10);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

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
		WITH_FIXTURE(test_files_in_the_way),
		WITH_FIXTURE(test_runtime),
		WITH_FIXTURE(test_join_mode),
		WITH_FIXTURE(test_iptables_and_images),
		WITH_FIXTURE(test_system),
		WITH_FIXTURE(test_clock),
		WITH_FIXTURE(test_tools),
		WITH_FIXTURE(test_kernel),
		WITH_FIXTURE(test_kernel_config),
		WITH_FIXTURE(test_modules),
		WITH_FIXTURE(test_swap),
		WITH_FIXTURE(test_identity),
		WITH_FIXTURE(test_space),
		WITH_FIXTURE(test_file_systems),
		WITH_FIXTURE(test_elf_needs),
		WITH_FIXTURE(test_elf_that_needs_nothing),
		WITH_FIXTURE(test_hostile_elf),
		cmocka_unit_test(test_listening_ports),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_hostnames),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
