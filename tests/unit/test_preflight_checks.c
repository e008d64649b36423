/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
#include "tests/unit/preflight-fixture.h"

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
	struct preflight_fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char top[64];

		preflight_expect(f, rows[i].id, BYOH_CHECK_PASS, NULL);
		test_root_put(&f->root, rows[i].path, rows[i].text, 0644);
		preflight_expect(f, rows[i].id, rows[i].result, NULL);
		/* /usr holds the tools */
		snprintf(top, sizeof(top), "%.*s", (int)strcspn(rows[i].path + 1, "/") + 1,
			 rows[i].path);
		if (strcmp(top, "/usr"))
			assert_int_equal(byoh_remove_tree(f->root.fd, top, NULL), 0);
		else
			assert_int_equal(byoh_remove_file(f->root.fd, rows[i].path, NULL), 0);
	}
	f->config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	test_root_put(&f->root, "/root/.byoh/config", "", 0600);
	preflight_expect(f, "leftovers", BYOH_CHECK_PASS, NULL);
}

static void test_runtime(void **state)
{
	struct preflight_fixture *f = *state;

	preflight_expect(f, "container-runtime", BYOH_CHECK_PASS, NULL);
	f->host.containerd_path = (char *)"/usr/bin/containerd";
	preflight_expect(f, "container-runtime", BYOH_CHECK_FAIL, "/usr/bin/containerd");
	f->host.containerd_path = NULL;
	preflight_use_node_files(f, "usr/local/bin/containerd");
	preflight_expect(f, "container-runtime", BYOH_CHECK_FAIL, "no containerd");
}

static void test_an_adopted_runtime(void **state)
{
	struct preflight_fixture *f = *state;

	f->config.containerd.existing = BYOH_EXISTING_ADOPT;
	preflight_expect(f, "container-runtime", BYOH_CHECK_PASS, "no other one");
	/* docker without a containerd.service is none that can be adopted. */
	f->host.containerd_path = f->host.docker_path = (char *)"/usr/bin/dockerd";
	preflight_expect(f, "container-runtime", BYOH_CHECK_FAIL, "/usr/bin/dockerd");
	f->host.containerd_path = f->host.containerd_program = (char *)"/usr/bin/containerd";
	f->host.containerd_version = (char *)"1.6.20~ds1";
	f->host.adopted = (char *)"";
	preflight_expect(f, "container-runtime", BYOH_CHECK_FAIL, "no containerd.service");
	f->host.containerd_unit = (char *)"/usr/lib/systemd/system/containerd.service";
	preflight_expect(f, "container-runtime", BYOH_CHECK_PASS, "/usr/bin/containerd 1.6.20~ds1 is adopted, and docker");
	test_root_put(&f->root, "/etc/containerd/config.toml", "disabled_plugins = [\"cri\"]\n", 0644);
	preflight_expect(f, "container-runtime", BYOH_CHECK_PASS, NULL);
	preflight_expect(f, "cri-disabled", BYOH_CHECK_PASS, "it will be on");
	f->manifest.kubernetes = (char *)"v1.36.0";
	preflight_expect(f, "container-runtime", BYOH_CHECK_WARN, "containerd 2.2 or newer");
	test_root_put(&f->root, "/etc/containerd/config.toml", "disabled_plugins = \"cri\"\n", 0644);
	preflight_expect(f, "container-runtime", BYOH_CHECK_FAIL, "config.toml: line 1:");
}

static void test_a_replaced_runtime(void **state)
{
	struct preflight_fixture *f = *state;

	f->config.containerd.existing = BYOH_EXISTING_REPLACE;
	preflight_expect(f, "container-runtime", BYOH_CHECK_PASS, "no other one");
	f->host.containerd_path = (char *)"/usr/bin/containerd";
	preflight_expect(f, "container-runtime", BYOH_CHECK_PASS, "/usr/bin/containerd makes room");
	test_root_put(&f->root, "/etc/containerd/config.toml", "disabled_plugins = [\"cri\"]\n", 0644);
	preflight_expect(f, "cri-disabled", BYOH_CHECK_PASS, "it will be on");
	f->host.docker_path = (char *)"/usr/bin/dockerd";
	preflight_expect(f, "container-runtime", BYOH_CHECK_PASS, NULL);
	test_root_put(&f->root, "/etc/systemd/system/multi-user.target.wants/docker.service", "", 0644);
	preflight_expect(f, "container-runtime", BYOH_CHECK_WARN, "docker starts at boot");
	f->host.docker_active = true;
	preflight_expect(f, "container-runtime", BYOH_CHECK_FAIL, "docker runs");
	f->host.docker_active = false;
	test_root_put(&f->root, "/etc/systemd/system/containerd.service.d/proxy.conf", "[Service]\nEnvironment=A=ExecStart=\n", 0644);
	preflight_expect(f, "container-runtime", BYOH_CHECK_WARN, NULL);
	test_root_put(&f->root, "/etc/systemd/system/containerd.service.d/x.conf", "[Service]\nExecStart=\nExecStart=/x\n", 0644);
	preflight_expect(f, "container-runtime", BYOH_CHECK_FAIL, "containerd.service.d/x.conf changes the command");
}

static void test_join_mode(void **state)
{
	struct preflight_fixture *f = *state;

	preflight_expect(f, "join-mode", BYOH_CHECK_PASS, "agent");
	f->config.join_mode = BYOH_JOIN_KUBEADM;
	preflight_expect(f, "join-mode", BYOH_CHECK_PASS, "kubeadm");
	f->config.cluster.ca_pin = (char *)"sha256:00";
	preflight_expect(f, "join-mode", BYOH_CHECK_PASS, "kubeadm");
	f->config.cluster.ca_pin = NULL;
	preflight_use_node_files(f, "usr/local/bin/kubeadm");
	preflight_expect(f, "join-mode", BYOH_CHECK_FAIL, "needs /usr/local/bin/kubeadm");
	preflight_use_node_files(f, NULL);
	f->config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	preflight_expect(f, "join-mode", BYOH_CHECK_PASS, NULL);
	f->config.cluster.ca_pin = (char *)"sha256:00";
	preflight_expect(f, "join-mode", BYOH_CHECK_PASS, "found by its pin");
	f->config.cluster.ca_pin = NULL;
	preflight_use_node_files(f, "usr/local/bin/kubelet");
	preflight_expect(f, "join-mode", BYOH_CHECK_FAIL, "kubelet");
	f->config.join_mode = BYOH_JOIN_NONE;
	preflight_expect(f, "join-mode", BYOH_CHECK_PASS, NULL);
	preflight_use_node_files(f, "usr/local/bin/byoh-hostagent");
	f->config.join_mode = BYOH_JOIN_AGENT;
	preflight_expect(f, "join-mode", BYOH_CHECK_FAIL, "byoh-hostagent");
	f->config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	preflight_expect(f, "join-mode", BYOH_CHECK_PASS, NULL);
}

static void test_iptables_and_images(void **state)
{
	struct preflight_fixture *f = *state;

	preflight_expect(f, "iptables", BYOH_CHECK_PASS, "the bundle brings it");
	preflight_use_node_files(f, "usr/local/lib/byoh/xtables-nft-multi");
	preflight_expect(f, "iptables", BYOH_CHECK_FAIL, NULL);
	f->host.has_iptables = true;
	preflight_expect(f, "iptables", BYOH_CHECK_PASS, "the host has it");

	preflight_expect(f, "sandbox-image", BYOH_CHECK_PASS, "registry.k8s.io/pause:3.10.2");
	f->config.containerd.sandbox_image = (char *)"registry.k8s.io/pause:3.9";
	preflight_expect(f, "sandbox-image", BYOH_CHECK_FAIL, "pause:3.9");
}

static void test_system(void **state)
{
	struct preflight_fixture *f = *state;

	f->host.live = true;
	preflight_expect(f, "systemd", BYOH_CHECK_PASS, NULL);
	f->host.systemd_running = false;
	preflight_expect(f, "systemd", BYOH_CHECK_FAIL, NULL);
	f->host.systemd_version = 219;
	preflight_expect(f, "systemd-version", BYOH_CHECK_FAIL, "219");
	f->host.systemd_version = 239;
	preflight_expect(f, "systemd-version", BYOH_CHECK_WARN, "239");
	f->host.systemd_version = 0;
	preflight_expect(f, "systemd-version", BYOH_CHECK_WARN, NULL);
	f->host.usr_local_unit_dir_ok = false;
	preflight_expect(f, "unit-directory", BYOH_CHECK_FAIL, NULL);
	preflight_expect(f, "memory", BYOH_CHECK_PASS, "4.3 GB");
	f->host.memory_bytes = (uint64_t)1024 << 20;
	preflight_expect(f, "memory", BYOH_CHECK_WARN, "1.1 GB");
	f->host.memory_bytes = (uint64_t)512 << 20;
	preflight_expect(f, "memory", BYOH_CHECK_FAIL, "536.9 MB");
	f->host.cores = 1;
	preflight_expect(f, "cores", BYOH_CHECK_WARN, "1 core");
	f->manifest.arch = (char *)"s390x";
	preflight_expect(f, "architecture", BYOH_CHECK_FAIL, "s390x");
	preflight_expect(f, "selinux", BYOH_CHECK_PASS, NULL);
	f->host.selinux_enabled = true;
	preflight_expect(f, "selinux", BYOH_CHECK_WARN, "restorecon");
}

static void test_clock(void **state)
{
	struct preflight_fixture *f = *state;

	f->manifest.built = 1000;
	preflight_expect(f, "clock", BYOH_CHECK_PASS, NULL);
	f->manifest.built = (uint64_t)time(NULL) + 3600;
	preflight_expect(f, "clock", BYOH_CHECK_PASS, NULL);
	f->manifest.built = (uint64_t)time(NULL) + 3 * 24 * 3600;
	preflight_expect(f, "clock", BYOH_CHECK_FAIL, "was built");
	f->config.cluster.server = NULL;
	preflight_expect(f, "clock", BYOH_CHECK_WARN, "was built");
	f->manifest.built = UINT64_MAX;
	preflight_expect(f, "clock", BYOH_CHECK_WARN, NULL);
}

static void test_tools(void **state)
{
	struct preflight_fixture *f = *state;

	preflight_expect(f, "tools", BYOH_CHECK_PASS, "7 programs");
	assert_int_equal(byoh_remove_file(f->root.fd, "/usr/bin/losetup", NULL), 0);
	assert_int_equal(byoh_remove_file(f->root.fd, "/usr/bin/bash", NULL), 0);
	preflight_expect(f, "tools", BYOH_CHECK_WARN, "losetup, bash");
	f->host.live = true;
	preflight_expect(f, "tools", BYOH_CHECK_FAIL, "losetup, bash");
	preflight_use_plain_files(f);
	preflight_expect(f, "tools", BYOH_CHECK_SKIPPED, NULL);

	preflight_use_node_files(f, NULL);
	test_root_put(&f->root, "/usr/bin/losetup", "", 0755);
	test_root_put(&f->root, "/usr/bin/bash", "", 0755);
	f->config.kube_proxy.mode = BYOH_PROXY_NFTABLES;
	preflight_expect(f, "tools", BYOH_CHECK_FAIL, "missing: nft");
	preflight_expect(f, "conntrack", BYOH_CHECK_PASS, NULL);
	f->manifest.kubernetes = (char *)"v1.20.2";
	preflight_expect(f, "conntrack", BYOH_CHECK_WARN, "v1.20.2");
}

static void test_kernel(void **state)
{
	struct preflight_fixture *f = *state;

	preflight_expect(f, "kernel-version", BYOH_CHECK_PASS, "6.1.0-37-amd64");
	f->host.kernel_release = (char *)"5.4.0-150-generic";
	preflight_expect(f, "kernel-version", BYOH_CHECK_WARN, "5.4.0");
	f->config.kube_proxy.mode = BYOH_PROXY_NFTABLES;
	preflight_expect(f, "kernel-version", BYOH_CHECK_FAIL, "nftables");
	f->host.kernel_release = (char *)"3.10.0-1160.el7";
	preflight_expect(f, "kernel-version", BYOH_CHECK_FAIL, "too old");
	f->host.kernel_release = (char *)"nonsense";
	preflight_expect(f, "kernel-version", BYOH_CHECK_WARN, NULL);

	preflight_expect(f, "cgroup-v2", BYOH_CHECK_PASS, NULL);
	preflight_expect(f, "cgroup-controllers", BYOH_CHECK_PASS, NULL);
	f->host.cgroup_controllers = (char *)"cpuset io pids misc";
	preflight_expect(f, "cgroup-controllers", BYOH_CHECK_FAIL, "missing: cpu memory");
	f->host.cgroup_v2 = false;
	preflight_expect(f, "cgroup-v2", BYOH_CHECK_FAIL, NULL);
	preflight_expect(f, "cgroup-controllers", BYOH_CHECK_SKIPPED, NULL);
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
	struct preflight_fixture *f = *state;

	preflight_expect(f, "kernel-config", BYOH_CHECK_SKIPPED, NULL);
	test_root_put(&f->root, "/boot/config-6.1.0-37-amd64", full_config, 0644);
	preflight_expect(f, "kernel-config", BYOH_CHECK_PASS, NULL);
	test_root_put(&f->root, "/boot/config-6.1.0-37-amd64", strchr(full_config, '\n') + 1, 0644);
	preflight_expect(f, "kernel-config", BYOH_CHECK_FAIL, "not set: NAMESPACES");
	assert_int_equal(byoh_make_directories(f->root.fd, "/proc", 0755, NULL), 0);
	assert_int_equal(
		byoh_write_file(f->root.fd, "/proc/config.gz", packed, sizeof(packed), 0444, NULL), 0);
	preflight_expect(f, "kernel-config", BYOH_CHECK_FAIL,
			 "CPUSETS FAIR_GROUP_SCHED"); /* MEMCG stands between them */
}

static void test_modules(void **state)
{
	struct preflight_fixture *f = *state;

	preflight_expect(f, "modules", BYOH_CHECK_FAIL, "overlay br_netfilter");
	test_root_put(&f->root, "/lib/modules/6.1.0-37-amd64/modules.builtin",
		      "kernel/fs/overlayfs/overlay.ko\n", 0644);
	preflight_expect(f, "modules", BYOH_CHECK_FAIL, "modules: br_netfilter");
	test_root_put(&f->root, "/lib/modules/6.1.0-37-amd64/modules.dep",
		      "kernel/net/bridge/br_netfilter.ko.xz: kernel/net/bridge/bridge.ko.xz\n", 0644);
	preflight_expect(f, "modules", BYOH_CHECK_PASS, NULL);
	f->config.kube_proxy.mode = BYOH_PROXY_IPVS;
	preflight_expect(f, "modules", BYOH_CHECK_FAIL, "ip_vs");
	test_root_put(&f->root, "/sys/module/ip_vs/refcnt", "0", 0444);
	preflight_expect(f, "modules", BYOH_CHECK_PASS, NULL);
}

static void test_swap(void **state)
{
	struct byoh_swap swaps[] = {
		{ .device = (char *)"/dev/sda2", .type = (char *)"partition" },
		{ .device = (char *)"/dev/zram0", .type = (char *)"partition", .zram = true }
	};
	struct preflight_fixture *f = *state;

	preflight_expect(f, "swap", BYOH_CHECK_PASS, NULL);
	preflight_expect(f, "zram", BYOH_CHECK_PASS, NULL);
	f->host.swaps = swaps;
	f->host.swap_count = 1;
	preflight_expect(f, "swap", BYOH_CHECK_WARN, "/dev/sda2");
	preflight_expect(f, "zram", BYOH_CHECK_PASS, NULL);
	f->host.swap_count = 2;
	preflight_expect(f, "zram", BYOH_CHECK_WARN, "/dev/zram0");
	f->config.host.swap = true;
	preflight_expect(f, "swap", BYOH_CHECK_PASS, NULL);
}

static void test_identity(void **state)
{
	struct preflight_fixture *f = *state;

	preflight_expect(f, "machine-id", BYOH_CHECK_PASS, NULL);
	f->host.machine_id = (char *)"3d1219c7c4c5404aaa1f6d2a48adfda4";
	preflight_expect(f, "machine-id", BYOH_CHECK_WARN, "image");
	f->host.live = true;
	preflight_expect(f, "machine-id", BYOH_CHECK_PASS, NULL);
	f->host.machine_id = (char *)"";
	preflight_expect(f, "machine-id", BYOH_CHECK_FAIL, "empty");
	f->host.machine_id = (char *)"00000000000000000000000000000000";
	preflight_expect(f, "machine-id", BYOH_CHECK_FAIL, "no id");
	f->host.machine_id = (char *)"3D1219C7C4C5404AAA1F6D2A48ADFDA4";
	preflight_expect(f, "machine-id", BYOH_CHECK_FAIL, "no id");

	preflight_expect(f, "hostname", BYOH_CHECK_PASS, "node10");
	f->host.hostname = (char *)"Node10";
	preflight_expect(f, "hostname", BYOH_CHECK_FAIL, "capital");
	f->config.host.hostname = (char *)"node11";
	preflight_expect(f, "hostname", BYOH_CHECK_PASS, "node11");
	f->config.host.hostname = NULL;
	f->host.hostname = (char *)"";
	preflight_expect(f, "hostname", BYOH_CHECK_FAIL, NULL);
	f->host.live = false;
	preflight_expect(f, "hostname", BYOH_CHECK_WARN, NULL);
	/* without the helper outside nothing is known of the network */
	preflight_expect(f, "ports", BYOH_CHECK_SKIPPED, NULL);
	preflight_expect(f, "default-route", BYOH_CHECK_SKIPPED, NULL);
}

static void test_space(void **state)
{
	struct preflight_fixture *f = *state;

	preflight_expect(f, "space", BYOH_CHECK_PASS, NULL);
	f->manifest.payload_size = (uint64_t)1 << 60;
	preflight_expect(f, "space", BYOH_CHECK_FAIL, "are needed");
	f->manifest.payload_size = 0;
	f->index.files[3].size = UINT64_MAX;
	f->index.files[7].size = UINT64_MAX; /* sums do not wrap */
	preflight_expect(f, "space", BYOH_CHECK_FAIL, "are needed");
}

/* For a child, where a failed assertion would go on with the tests behind it. */
#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			_exit(1); \
		} \
	} while (0)

static bool is(const struct preflight_fixture *f, const char *id, enum byoh_check_result result,
	       const char *seen)
{
	struct byoh_check_report report = preflight_run_check(f, id);

	if (report.result != result || !strstr(report.seen, seen))
		fprintf(stderr, "%s: result %d, seen \"%s\"\n", id, (int)report.result,
			report.seen);
	return report.result == result && strstr(report.seen, seen);
}

/* A small file system of its own below the root, in a mount namespace of this child. */
static void on_small_file_system(struct preflight_fixture *f)
{
	char opt[sizeof(f->root.path) + 8], path[sizeof(opt) + 16];

	snprintf(opt, sizeof(opt), "%s/opt", f->root.path);
	CHECK(!mkdir(opt, 0755));
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", opt, "tmpfs", MS_NOEXEC, "size=1m,nr_inodes=8"))
		_exit(77);
	/* a descriptor from before sees the mounts from before */
	f->host.root_fd = open(f->root.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
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
	struct preflight_fixture *f = *state;
	int status;
	pid_t pid;

	preflight_expect(f, "inodes", BYOH_CHECK_PASS, NULL);
	preflight_expect(f, "read-only", BYOH_CHECK_PASS, NULL);
	preflight_expect(f, "entry-types", BYOH_CHECK_PASS, NULL);
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

#define WITH_FIXTURE(test) \
	cmocka_unit_test_setup_teardown(test, preflight_set_up, preflight_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FIXTURE(test_files_in_the_way),
		WITH_FIXTURE(test_runtime),
		WITH_FIXTURE(test_an_adopted_runtime),
		WITH_FIXTURE(test_a_replaced_runtime),
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
		cmocka_unit_test(test_listening_ports),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_hostnames),
		cmocka_unit_test(test_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
