/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/host-internal.h"
#include "installer/host.h"
#include "installer/state.h"
#include "tests/unit/root-fixture.h"

static struct byoh_host *gather(const struct test_root *root)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_host *host = NULL;

	assert_int_equal(byoh_host_gather(root->path, NULL, &host, &err), 0);
	assert_string_equal(err.message, "");
	return host;
}

static void test_empty_root(void **state)
{
	CLEANUP_HOST struct byoh_host *host = gather(*state);

	assert_false(host->live);
	assert_string_equal(host->root, ((struct test_root *)*state)->path);
	assert_string_equal(host->os_id, "");
	assert_string_equal(host->hostname, "");
	assert_string_equal(host->machine_id, "");
	assert_string_equal(host->kernel_release, "");
	assert_string_equal(host->cgroup_controllers, "");
	assert_int_equal(host->memory_bytes, 0);
	assert_false(host->has_systemd);
	assert_false(host->systemd_running);
	assert_false(host->has_iptables);
	assert_false(host->has_resolved);
	assert_true(host->usr_local_unit_dir_ok);
	assert_null(host->containerd_path);
	assert_int_equal(host->swap_count, 0);
	assert_false(byoh_host_has_program(host, "mount"));
}

static void test_names(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_HOST struct byoh_host *host = NULL;

	test_root_put(root, "/usr/lib/os-release",
		      "# ID=no\nPRETTY_NAME=\"A \\\"fine\\\" "
		      "system\"\nID='debian'\nVERSION_ID=12\nID_LIKE=x\n",
		      0644);
	test_root_put_link(root, "/etc/os-release", "../usr/lib/os-release");
	test_root_put(root, "/etc/hostname", "  node10\n", 0644);
	test_root_put(root, "/etc/machine-id", "uninitialized\n", 0444);
	test_root_put(root, "/usr/lib/systemd/systemd", "", 0755);
	test_root_put_link(root, "/lib", "usr/lib");
	test_root_put_link(root, "/etc/systemd/system/sysinit.target.wants/systemd-resolved.service",
			   "/lib/systemd/system/systemd-resolved.service");
	test_root_put(root, "/etc/selinux/config",
		      "#SELINUX=permissive\nSELINUX=enforcing\nSELINUXTYPE=targeted\n", 0644);
	host = gather(root);
	assert_string_equal(host->os_id, "debian");
	assert_string_equal(host->os_version_id, "12");
	assert_string_equal(host->os_pretty_name, "A \"fine\" system");
	assert_string_equal(host->hostname, "node10");
	assert_string_equal(host->machine_id, "");
	assert_true(host->has_systemd);
	assert_true(host->has_resolved);
	assert_true(host->selinux_enabled);
	assert_true(host->selinux_enforcing);
}

static void test_iptables_of_ours_is_none(void **state)
{
	const struct test_root *root = *state;
	struct byoh_host *host;

	test_root_put(root, "/usr/local/lib/byoh/xtables-nft-multi", "", 0755);
	test_root_put_link(root, "/usr/local/sbin/iptables", "../lib/byoh/xtables-nft-multi");
	host = gather(root);
	assert_false(host->has_iptables);
	byoh_host_free(host);

	test_root_put_link(root, "/usr/sbin/iptables", "/etc/alternatives/iptables");
	host = gather(root);
	assert_false(host->has_iptables); /* leads nowhere */
	byoh_host_free(host);

	test_root_put(root, "/usr/sbin/xtables-nft-multi", "", 0755);
	test_root_put_link(root, "/etc/alternatives/iptables", "/usr/sbin/iptables-nft");
	test_root_put_link(root, "/usr/sbin/iptables-nft", "xtables-nft-multi");
	host = gather(root);
	assert_true(host->has_iptables);
	byoh_host_free(host);
}

static void test_foreign_runtime(void **state)
{
	static const struct {
		const char *path, *link; /* a file, or a link to */
		bool with_state, foreign;
	} rows[] = {
		{ "/usr/bin/containerd", NULL, false, true },
		{ "/usr/bin/containerd", NULL, true, true },
		{ "/usr/local/bin/containerd", NULL, false, true },
		{ "/usr/local/bin/containerd", NULL, true, false },
		{ "/usr/local/lib/systemd/system/containerd.service", NULL, true, false },
		{ "/etc/systemd/system/containerd.service", NULL, true, true },
		{ "/etc/systemd/system/docker.service", "/dev/null", false, false },
		{ "/usr/lib/systemd/system/docker.service", NULL, false, true },
		{ "/usr/bin/dockerd", NULL, false, true },
	};
	const struct test_root *root = *state;

	test_root_put(root, "/dev/null", "", 0644);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_HOST struct byoh_host *host = NULL;

		if (rows[i].link)
			test_root_put_link(root, rows[i].path, rows[i].link);
		else
			test_root_put(root, rows[i].path, "", 0755);
		if (rows[i].with_state)
			test_root_put(root, BYOH_STATE_PATH, "{}\n", 0600);
		host = gather(root);
		if ((host->containerd_path != NULL) != rows[i].foreign)
			fail_msg("row %zu: %s", i,
				 host->containerd_path ? host->containerd_path : "none");
		if (rows[i].foreign)
			assert_string_equal(host->containerd_path, rows[i].path);
		assert_int_equal(byoh_remove_file(root->fd, rows[i].path, NULL), 0);
		assert_int_equal(byoh_remove_file(root->fd, BYOH_STATE_PATH, NULL), 0);
	}
}

static void test_what_was_adopted_is_not_ours(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_HOST struct byoh_host *host = NULL, *later = NULL;

	test_root_put(root, "/usr/local/bin/containerd", "", 0755);
	test_root_put(root, "/usr/local/lib/systemd/system/containerd.service", "", 0644);
	test_root_put(root, BYOH_STATE_PATH, "{}\n", 0600);
	host = gather(root);
	assert_null(host->containerd_path);
	assert_string_equal(host->adopted, "");
	test_root_put(root, BYOH_ADOPTED_PATH, "/usr/local/bin/containerd\n/usr/local/lib/systemd/system/containerd.service\n", 0600);
	later = gather(root);
	assert_string_equal(later->containerd_program, "/usr/local/bin/containerd");
	assert_string_equal(later->containerd_unit, "/usr/local/lib/systemd/system/containerd.service");
	assert_string_equal(later->containerd_version, "");
	assert_null(later->docker_path);
}

/* Below a root nothing of it is run. */
static void test_the_version_of_a_runtime(void **state)
{
	static const char status[] =
		"Package: a\nStatus: install ok installed\nVersion: 1\n\n"
		"Package: containerd.io\nArchitecture: amd64\nStatus: deinstall ok config-files\nVersion: 9:1\n\n"
		"Package: containerd\nDescription: x\n Package: b\nStatus: install ok installed\n"
		"Version: 2:1.6.20~ds1-1+deb12u1\n\nPackage: z\nStatus: install ok installed\n";
	static const struct {
		const char *program, *version;
	} rows[] = {
		{ "#!/bin/sh\necho containerd x 1.7.1 y", "" },
		{ "ELF github.com/containerd/containerd/services/x", "1.0" },
		{ "ELF github.com/containerd/containerd/services/x /runtime.v1.RuntimeService/Version", "1.6" },
		{ "ELF github.com/containerd/containerd/v2/x /runtime.v1.RuntimeService/Version", "2.0" },
		{ "ELF toml:\"bin_dirs\" github.com/containerd/containerd/v2/x", "2.1" },
	};
	const struct test_root *root = *state;
	CLEANUP_HOST struct byoh_host *packaged = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_HOST struct byoh_host *host = NULL;

		test_root_put(root, "/usr/bin/containerd", rows[i].program, 0755);
		host = gather(root);
		assert_string_equal(host->containerd_version, rows[i].version);
		assert_int_equal(host->containerd_version_is_floor, rows[i].version[0] != 0);
	}
	assert_null(byoh_host_dpkg_version(status, "containerd.io"));
	assert_null(byoh_host_dpkg_version(status, "z"));
	test_root_put(root, "/var/lib/dpkg/status", status, 0644);
	test_root_put(root, "/var/lib/dpkg/info/containerd.list", "/.\n/usr/bin/containerd-x\n/usr/bin/containerd\n", 0644);
	packaged = gather(root);
	assert_string_equal(packaged->containerd_version, "1.6.20~ds1-1+deb12u1");
	assert_false(packaged->containerd_version_is_floor);
}

/* A mark that two reads share is seen. */
static void test_a_mark_between_reads_is_found(void **state)
{
	static const char mark[] = "github.com/containerd/containerd/v2/";
	const size_t size = (2u << 20) + 100, places[] = { (1u << 20) - 10, (2u << 20) - 100, size - sizeof(mark) };
	const struct test_root *root = *state;

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		CLEANUP_HOST struct byoh_host *host = NULL;
		CLEANUP_FREE char *program = calloc(1, size);

		assert_non_null(program);
		memcpy(program + places[i], mark, strlen(mark));
		assert_int_equal(byoh_make_directories(root->fd, "/usr/bin", 0755, NULL), 0);
		assert_int_equal(byoh_write_file(root->fd, "/usr/bin/containerd", program, size, 0755, NULL), 0);
		host = gather(root);
		assert_string_equal(host->containerd_version, "2.0");
	}
}

static void test_unit_directory(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_HOST struct byoh_host *host = NULL;

	assert_int_equal(byoh_make_directories(root->fd, "/var/usrlocal", 0755, NULL), 0);
	test_root_put_link(root, "/usr/local", "../var/usrlocal");
	host = gather(root);
	assert_false(host->usr_local_unit_dir_ok);
}

static void test_links_stay_inside(void **state)
{
	static const struct {
		const char *path, *real; /* NULL: an error */
		int rc;
	} rows[] = {
		{ "/etc/absolute", "/usr/target", 0 },
		{ "/etc/climbing", "/usr/target", 0 },
		{ "/etc/folder/target", "/usr/target", 0 },
		{ "//etc/./folder/../usr/target", "/usr/target", 0 },
		{ "/../../usr/target", "/usr/target", 0 },
		{ "/", "/", 0 },
		{ "usr", "/usr", 0 },
		{ "/etc/loop", NULL, -ELOOP },
		{ "/etc/nowhere", NULL, -ENOENT },
		{ "/usr/target/below", NULL, -ENOTDIR },
	};
	const struct test_root *root = *state;

	test_root_put(root, "/usr/target", "inside", 0644);
	test_root_put_link(root, "/etc/absolute", "/usr/target");
	test_root_put_link(root, "/etc/climbing", "../../../../../../usr/target");
	test_root_put_link(root, "/etc/folder", "/usr");
	test_root_put_link(root, "/etc/loop", "loop");
	test_root_put_link(root, "/etc/nowhere", "/etc/hostname-that-is-not-there");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUFFER struct byoh_buffer real = { 0 };
		struct byoh_error err = BYOH_ERROR_INIT;
		int rc = byoh_host_resolve(root->fd, rows[i].path, &real, &err);

		if (rc != rows[i].rc ||
		    (rows[i].real && strcmp(rows[i].real, byoh_buffer_text(&real))))
			fail_msg("%s: %d %s", rows[i].path, rc, byoh_buffer_text(&real));
	}
	/* this machine's file is not what such a link reads */
	test_root_put_link(root, "/etc/passwd-outside", "/etc/passwd");
	assert_false(byoh_host_exists(root->fd, "/etc/passwd-outside"));
}

static void test_programs(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_HOST struct byoh_host *host = NULL;

	test_root_put(root, "/usr/bin/mount", "", 0755);
	test_root_put(root, "/usr/bin/readme", "", 0644);
	test_root_put_link(root, "/usr/sbin/modprobe", "/bin/kmod");
	test_root_put(root, "/usr/bin/kmod", "", 0755);
	test_root_put_link(root, "/bin", "usr/bin");
	assert_int_equal(byoh_make_directories(root->fd, "/usr/bin/folder", 0755, NULL), 0);
	host = gather(root);
	assert_true(byoh_host_has_program(host, "mount"));
	assert_true(byoh_host_has_program(host, "modprobe"));
	assert_false(byoh_host_has_program(host, "readme"));
	assert_false(byoh_host_has_program(host, "folder"));
	assert_false(byoh_host_has_program(host, "cp"));
}

static void test_swaps(void **state)
{
	char text[] = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
		      "/dev/sda2                               partition\t1000\t\t0\t\t-2\n"
		      "/a\\040swap\\134file                      file\t1000\t\t0\t\t5\n"
		      "/dev/zram0                              partition\t1000\t\t0\t\t100\n";
	CLEANUP_HOST struct byoh_host *host = calloc(1, sizeof(*host));

	(void)state;
	assert_non_null(host);
	host->root_fd = -1;
	assert_int_equal(byoh_host_parse_swaps(text, host, NULL), 0);
	assert_int_equal(host->swap_count, 3);
	assert_string_equal(host->swaps[0].device, "/dev/sda2");
	assert_string_equal(host->swaps[0].type, "partition");
	assert_int_equal(host->swaps[0].priority, -2);
	assert_false(host->swaps[0].zram);
	assert_string_equal(host->swaps[1].device, "/a swap\\file");
	assert_string_equal(host->swaps[1].type, "file");
	assert_true(host->swaps[2].zram);
	assert_int_equal(host->swaps[2].priority, 100);
}

static void the_service_that_it_is_of_is_known(void **state)
{
	static const struct {
		const char *text, *unit;
	} cases[] = {
		{ "0::/system.slice/byoh-join-volume.service\n", "byoh-join-volume.service" },
		{ "0::/system.slice/byoh-hostagent.service/script", "byoh-hostagent.service" },
		{ "0::/user.slice/user-0.slice/user@0.service/app.slice/own.service\n", "own.service" },
		{ "12:cpuset:/other.service\n1:name=systemd:/system.slice/byoh-settle.service\n0::/\n", "byoh-settle.service" },
		{ "0::/user.slice/user-0.slice/session-3.scope\n", NULL },
		{ "0::/.service\n", NULL },
		{ "0::/\n", NULL },
		{ "", NULL },
		{ "0::", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_FREE char *unit = byoh_host_unit_of(cases[i].text);

		if (cases[i].unit)
			assert_string_equal(unit, cases[i].unit);
		else
			assert_null(unit);
	}
}

static void test_interfaces(void **state)
{
	char text[] = "lo 00:00:00:00:00:00\neth0 52:54:00:AB:CD:EF\nib0 "
		      "80:00:02:08:fe:80:00:00:00:00:00:00:7c:fe:90:03:00:26:4b:01\ntun0 \nwlan0 "
		      "02:00:00:00:00:01\n";
	CLEANUP_HOST struct byoh_host *host = calloc(1, sizeof(*host));

	(void)state;
	assert_non_null(host);
	host->root_fd = -1;
	assert_int_equal(byoh_host_parse_interfaces(text, &host->identity, NULL), 0);
	assert_int_equal(host->identity.macs.count, 2);
	assert_string_equal(host->identity.macs.items[0], "52:54:00:ab:cd:ef");
	assert_string_equal(host->identity.macs.items[1], "02:00:00:00:00:01");
}

static void test_live_host(void **state)
{
	CLEANUP_HOST struct byoh_host *host = NULL;
	char name[256] = "";

	(void)state;
	assert_int_equal(byoh_host_gather(NULL, NULL, &host, NULL), 0);
	assert_true(host->live);
	assert_string_equal(host->root, "/");
	assert_int_equal(gethostname(name, sizeof(name) - 1), 0);
	assert_string_equal(host->hostname, name);
	assert_true(host->memory_bytes > 1 << 20);
	assert_true(host->cores > 0);
	assert_true(strlen(host->kernel_release) > 0);
	assert_true(byoh_host_has_program(host, "sh"));
}

static void test_root_must_be_a_folder(void **state)
{
	const struct test_root *root = *state;
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_host *host = NULL;
	char path[sizeof(root->path) + 16];

	test_root_put(root, "/file", "", 0644);
	snprintf(path, sizeof(path), "%s/file", root->path);
	assert_true(byoh_host_gather(path, NULL, &host, &err) < 0);
	assert_int_equal(err.kind, BYOH_ERROR_USAGE);
	snprintf(path, sizeof(path), "%s/missing", root->path);
	assert_int_equal(byoh_host_gather(path, NULL, &host, &err), -ENOENT);
	assert_null(host);
}

#define WITH_ROOT(test) cmocka_unit_test_setup_teardown(test, test_root_set_up, test_root_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ROOT(test_empty_root),
		WITH_ROOT(test_names),
		WITH_ROOT(test_iptables_of_ours_is_none),
		WITH_ROOT(test_foreign_runtime),
		WITH_ROOT(test_what_was_adopted_is_not_ours),
		WITH_ROOT(test_the_version_of_a_runtime),
		WITH_ROOT(test_a_mark_between_reads_is_found),
		WITH_ROOT(test_unit_directory),
		WITH_ROOT(test_links_stay_inside),
		WITH_ROOT(test_programs),
		WITH_ROOT(test_root_must_be_a_folder),
		cmocka_unit_test(test_swaps),
		cmocka_unit_test(test_interfaces),
		cmocka_unit_test(the_service_that_it_is_of_is_known),
		cmocka_unit_test(test_live_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
