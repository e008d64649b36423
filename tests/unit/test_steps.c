/* SPDX-License-Identifier: Apache-2.0 */
/* What the steps plan for the host itself: files, kernel, swap, names, time. */
#include "tests/unit/steps-fixture.h"

static void files_alone_are_just_installed(void **state)
{
	(void)state;
	bring("opt/thing/data");
	plan();
	assert_int_equal(f.plan->step_count, 2);
	assert_string_equal(f.plan->steps[0].name, "own");
	assert_string_equal(f.plan->steps[1].name, "release-files");
	assert_int_equal(f.plan->steps[1].action_count, 1);
	assert_string_equal(f.plan->steps[1].actions[0].subject, "/opt/thing/data");
}

static void every_step_says_what_it_does(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	know_cluster();
	f.config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	f.config.host.hostname = (char *)"node10";
	f.config.host.slices = true;
	f.host.selinux_enabled = true;
	plan();
	for (size_t i = 0; i < f.plan->step_count; i++)
		if (!f.plan->steps[i].sentence || strlen(f.plan->steps[i].sentence) < 10)
			fail_msg("step %s has no sentence", f.plan->steps[i].name);
}

static void the_tool_comes_first(void **state)
{
	const struct byoh_step *tool, *rest;

	(void)state;
	bring_typed("etc", BYOH_FILE_DIRECTORY);
	bring("etc/early");
	bring_typed("usr", BYOH_FILE_DIRECTORY);
	bring_typed("usr/local", BYOH_FILE_DIRECTORY);
	bring_typed("usr/local/sbin", BYOH_FILE_DIRECTORY);
	bring("usr/local/sbin/byoh-install");
	bring_typed("usr/local/sbin/other", BYOH_FILE_SYMLINK);
	plan();
	tool = &f.plan->steps[0];
	assert_string_equal(tool->name, "tool");
	assert_string_equal(tool->actions[0].subject, "/usr");
	assert_string_equal(tool->actions[3].subject, "/usr/local/sbin/byoh-install");
	assert_string_equal(tool->actions[4].subject, "/usr/local/lib/systemd/system/byoh-settle.service");
	assert_string_equal(tool->actions[5].subject,
			    "/etc/systemd/system/multi-user.target.wants/byoh-settle.service");
	rest = &f.plan->steps[2];
	assert_string_equal(rest->name, "release-files");
	assert_int_equal(tool->action_count + rest->action_count, f.index.file_count + 2);
	for (size_t i = 0; i < f.index.file_count; i++) {
		char path[128];

		snprintf(path, sizeof(path), "/%s", f.files[i].path);
		assert_int_equal(count_actions(BYOH_ACTION_FILE, path) +
				 count_actions(BYOH_ACTION_LINK, path) +
				 count_actions(BYOH_ACTION_DIRECTORY, path), 1);
	}
	links_to("/usr/local/sbin/other", "elsewhere");
}

static void image_blobs_are_no_files_of_the_host(void **state)
{
	(void)state;
	bring_typed("var", BYOH_FILE_DIRECTORY);
	bring_typed("var/lib", BYOH_FILE_DIRECTORY);
	bring_typed("var/lib/byoh", BYOH_FILE_DIRECTORY);
	bring_typed("var/lib/byoh/images", BYOH_FILE_DIRECTORY);
	bring_typed("var/lib/byoh/images/blobs", BYOH_FILE_DIRECTORY);
	bring_typed("var/lib/byoh/images/blobs/sha256", BYOH_FILE_DIRECTORY);
	bring("var/lib/byoh/images/blobs/sha256/00");
	bring("var/lib/byoh/sbom.spdx.json");
	plan();
	assert_null(find(BYOH_ACTION_FILE, "/var/lib/byoh/images/blobs/sha256/00"));
	assert_null(find(BYOH_ACTION_DIRECTORY, "/var/lib/byoh/images"));
	assert_null(find(BYOH_ACTION_DIRECTORY, "/var/lib/byoh/images/blobs/sha256"));
	assert_non_null(find(BYOH_ACTION_FILE, "/var/lib/byoh/sbom.spdx.json"));
	assert_non_null(find(BYOH_ACTION_DIRECTORY, "/var/lib"));
	assert_int_equal(count_actions(BYOH_ACTION_DIRECTORY, "/var/lib/byoh"), 1);
	assert_int_equal(get(BYOH_ACTION_DIRECTORY, "/var/lib/byoh")->mode, 0700);
}

static void own_folders_are_closed(void **state)
{
	static const char *const folders[] = { "/etc/byoh", "/var/lib/byoh", "/var/log/byoh" };

	(void)state;
	plan();
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		assert_int_equal(get(BYOH_ACTION_DIRECTORY, folders[i])->mode, 0700);
		assert_true(get(BYOH_ACTION_DIRECTORY, folders[i])->strict);
	}
	assert_null(find(BYOH_ACTION_FILE, "/etc/byoh/byoh.yaml"));
}

static void the_config_stays_with_its_files(void **state)
{
	(void)state;
	know_cluster();
	f.config.path = (char *)"/media/stick/byoh.yaml";
	f.config.text = as_buffer("kind: InstallConfig\n");
	f.config.cluster.ca_file = (char *)"secrets/cluster-ca.crt";
	f.config.cluster.token_file = (char *)"secrets/token";
	plan();
	assert_string_equal(text_of("/etc/byoh/byoh.yaml"), "kind: InstallConfig\n");
	assert_int_equal(get(BYOH_ACTION_FILE, "/etc/byoh/byoh.yaml")->mode, 0600);
	assert_true(get(BYOH_ACTION_FILE, "/etc/byoh/byoh.yaml")->secret);
	assert_string_equal(text_of("/etc/byoh/token"), "abcdef.0123456789abcdef\n");
	assert_int_equal(get(BYOH_ACTION_FILE, "/etc/byoh/token")->mode, 0600);
	assert_true(get(BYOH_ACTION_FILE, "/etc/byoh/token")->secret);
	assert_int_equal(get(BYOH_ACTION_FILE, "/etc/byoh/cluster-ca.crt")->mode, 0644);
	assert_false(get(BYOH_ACTION_FILE, "/etc/byoh/cluster-ca.crt")->secret);
}

static void side_files_may_not_clash(void **state)
{
	(void)state;
	know_cluster();
	f.config.text = as_buffer("kind: InstallConfig\n");
	f.config.cluster.ca_file = (char *)"a/file";
	f.config.cluster.token_file = (char *)"b/file";
	plan_fails(BYOH_ERROR_CONFIG, "two different files");
}

static void side_files_may_not_take_our_names(void **state)
{
	(void)state;
	know_cluster();
	f.config.text = as_buffer("kind: InstallConfig\n");
	f.config.cluster.token_file = (char *)"x/agent.env";
	plan_fails(BYOH_ERROR_CONFIG, "agent.env");
}

static void the_bundles_own_file_goes_before_a_template(void **state)
{
	(void)state;
	bring_node("1.7.0", "v1.34.1");
	bring("usr/local/lib/systemd/system/containerd.service");
	plan();
	assert_int_equal(count_actions(BYOH_ACTION_FILE, UNITS "containerd.service"), 1);
	assert_non_null(get(BYOH_ACTION_FILE, UNITS "containerd.service")->file);
	links_to(WANTED "containerd.service", UNITS "containerd.service");
}

static void modules_follow_the_proxy_mode(void **state)
{
	(void)state;
	bring_node("1.7.0", "v1.34.1");
	plan();
	assert_string_equal(text_of("/etc/modules-load.d/byoh.conf"),
			    "overlay\nbr_netfilter\nnf_conntrack\n");
	assert_false(get(BYOH_ACTION_MODULE, "br_netfilter")->optional);
	assert_true(get(BYOH_ACTION_MODULE, "nf_conntrack")->optional);
	assert_null(find(BYOH_ACTION_MODULE, "ip_vs"));
	f.config.kube_proxy.mode = BYOH_PROXY_IPVS;
	plan();
	assert_non_null(find(BYOH_ACTION_MODULE, "ip_vs"));
	has_text("/etc/modules-load.d/byoh.conf", "ip_vs_rr\n");
	f.config.kube_proxy.mode = BYOH_PROXY_NFTABLES;
	plan();
	assert_non_null(find(BYOH_ACTION_MODULE, "nf_tables"));
	assert_null(find(BYOH_ACTION_MODULE, "ip_vs"));
}

static void sysctls_come_after_modules(void **state)
{
	(void)state;
	bring_node("1.7.0", "v1.34.1");
	know_cluster();
	plan();
	assert_true(place_of(BYOH_ACTION_MODULE, "br_netfilter") <
		    place_of(BYOH_ACTION_SYSCTL, "net.bridge.bridge-nf-call-iptables"));
	assert_string_equal(get(BYOH_ACTION_SYSCTL, "net.ipv4.ip_forward")->value, "1");
	has_text("/etc/sysctl.d/99-zz-byoh.conf", "net.ipv4.ip_forward = 1\n");
	assert_string_equal(text_of("/etc/byoh/sysctl.conf"),
			    text_of("/etc/sysctl.d/99-zz-byoh.conf"));
	assert_true(strcmp("/etc/sysctl.d/99-zz-byoh.conf", "/etc/sysctl.d/99-sysctl.conf") > 0);
	assert_null(find(BYOH_ACTION_SYSCTL, "net.ipv6.conf.all.forwarding"));
}

static void ipv6_forwards_only_with_such_pods(void **state)
{
	(void)state;
	bring_node("1.7.0", "v1.34.1");
	know_cluster();
	f.config.cluster.pod_cidr = (char *)"10.244.0.0/16,fd00:1::/56";
	plan();
	assert_string_equal(get(BYOH_ACTION_SYSCTL, "net.ipv6.conf.all.forwarding")->value, "1");
}

static void check_fstab(const char *before, const char *after, size_t entries)
{
	CLEANUP_BUFFER struct byoh_buffer got = { 0 };
	size_t count;

	assert_int_equal(byoh_fstab_without_swap(before, strlen(before), &got, &count, &f.error), 0);
	assert_string_equal(byoh_buffer_text(&got), after);
	assert_int_equal(count, entries);
}

static void only_swap_entries_of_fstab_change(void **state)
{
	(void)state;
	check_fstab("", "", 0);
	check_fstab("/dev/sda1 / ext4 defaults 0 1\n# a swap line\n",
		    "/dev/sda1 / ext4 defaults 0 1\n# a swap line\n", 0);
	check_fstab("UUID=1 none swap sw 0 0\n", "#byoh# UUID=1 none swap sw 0 0\n", 1);
	check_fstab("\t/swap.img\tnone\tswap\tsw\n/dev/b /swap ext4\n",
		    "#byoh# \t/swap.img\tnone\tswap\tsw\n/dev/b /swap ext4\n", 1);
	check_fstab("/dev/a none swap", "#byoh# /dev/a none swap", 1);
	check_fstab("//srv/swap /mnt cifs swap 0 0\nswap swap swapfs x\n",
		    "//srv/swap /mnt cifs swap 0 0\nswap swap swapfs x\n", 0);
	check_fstab("#byoh# /dev/a none swap sw\n\n  \n", "#byoh# /dev/a none swap sw\n\n  \n", 1);
	check_fstab("x", "x", 0);
}

static void fstab_keeps_its_mode_and_settles(void **state)
{
	static const char after[] = "/dev/a / ext4\n#byoh# /dev/b none swap sw\n";

	(void)state;
	bring_node("1.7.0", "v1.34.1");
	host_file("/etc/fstab", "/dev/a / ext4\n/dev/b none swap sw\n", 0640);
	plan();
	assert_string_equal(text_of("/etc/fstab"), after);
	assert_int_equal(get(BYOH_ACTION_FILE, "/etc/fstab")->mode, 0640);
	/* Once done, the same plan still holds it, so that it is known as ours. */
	host_file("/etc/fstab", after, 0640);
	plan();
	assert_string_equal(text_of("/etc/fstab"), after);
	host_file("/etc/fstab", "/dev/a / ext4\n", 0640);
	plan();
	assert_null(find(BYOH_ACTION_FILE, "/etc/fstab"));
}

static void swap_in_use_goes_off_and_stays_off(void **state)
{
	struct byoh_swap swaps[] = {
		{ .device = (char *)"/dev/sda2", .type = (char *)"partition" },
		{ .device = (char *)"/dev/zram0", .type = (char *)"partition", .zram = true },
	};

	(void)state;
	bring_node("1.7.0", "v1.34.1");
	f.host.live = true;
	f.host.swaps = swaps;
	f.host.swap_count = 2;
	host_file("/etc/systemd/system/data-swapfile.swap", "[Swap]\n", 0644);
	host_file("/usr/lib/systemd/system/systemd-zram-setup@.service", "", 0644);
	host_file("/usr/lib/systemd/system-generators/zram-generator", "", 0755);
	plan();
	assert_non_null(find(BYOH_ACTION_SWAP_OFF, "/dev/sda2"));
	assert_non_null(find(BYOH_ACTION_SWAP_OFF, "/dev/zram0"));
	links_to("/etc/systemd/system/dev-sda2.swap", "/dev/null");
	links_to("/etc/systemd/system/data-swapfile.swap", "/dev/null");
	links_to("/etc/systemd/system/systemd-zram-setup@zram0.service", "/dev/null");
	assert_null(find(BYOH_ACTION_LINK, "/etc/systemd/system/zramswap.service"));
	assert_non_null(find(BYOH_ACTION_FILE, "/etc/systemd/zram-generator.conf"));
	f.config.host.swap = true;
	plan();
	assert_int_equal(count_actions(BYOH_ACTION_SWAP_OFF, NULL), 0);
	assert_null(find(BYOH_ACTION_LINK, "/etc/systemd/system/dev-sda2.swap"));
}

static void check_unit_name(const char *path, const char *name)
{
	CLEANUP_BUFFER struct byoh_buffer got = { 0 };

	assert_int_equal(byoh_unit_name_of_path(path, ".swap", &got, &f.error), 0);
	assert_string_equal(byoh_buffer_text(&got), name);
}

static void units_of_paths_are_named_as_systemd_does(void **state)
{
	(void)state;
	check_unit_name("/dev/sda2", "dev-sda2.swap");
	check_unit_name("/swap.img", "swap.img.swap");
	check_unit_name("/dev/mapper/vg-swap_1", "dev-mapper-vg\\x2dswap_1.swap");
	check_unit_name("//data//.hidden/", "data-.hidden.swap");
	check_unit_name("/.swap file", "\\x2eswap\\x20file.swap");
}

static void the_host_gets_its_name(void **state)
{
	(void)state;
	f.config.host.hostname = (char *)"node10";
	plan();
	assert_string_equal(text_of("/etc/hostname"), "node10\n");
	assert_non_null(find(BYOH_ACTION_HOSTNAME, "node10"));
	f.config.host.hostname = (char *)"a\nb";
	byoh_plan_free(f.plan);
	f.plan = NULL;
	plan_fails(BYOH_ERROR_CONFIG, "host.hostname");
}

static void check_hosts(const char *before, const struct byoh_pairs *pairs, const char *after)
{
	CLEANUP_BUFFER struct byoh_buffer got = { 0 };
	bool had;

	assert_int_equal(byoh_hosts_with(before, strlen(before), pairs, &got, &had, &f.error), 0);
	assert_string_equal(byoh_buffer_text(&got), after);
}

static void only_our_lines_of_hosts_change(void **state)
{
	struct byoh_pair one[] = { { (char *)"10.0.0.1", (char *)"api api.lan" } };
	const struct byoh_pairs pairs = { 1, one }, none = { 0 };
#define OUR "# byoh-install: begin\n10.0.0.1 api api.lan\n# byoh-install: end\n"

	(void)state;
	check_hosts("", &pairs, OUR);
	check_hosts("127.0.0.1 localhost", &pairs, "127.0.0.1 localhost\n" OUR);
	check_hosts("a\n# byoh-install: begin\nold\n# byoh-install: end\nb\n", &pairs, "a\n" OUR "b\n");
	check_hosts("a\n" OUR "b\n", &pairs, "a\n" OUR "b\n");
	check_hosts("a\n" OUR "b\n", &none, "a\nb\n");
	check_hosts("a\n# byoh-install: begin\nno end\n", &pairs,
		    "a\n# byoh-install: begin\nno end\n" OUR);
	check_hosts("a\n", &none, "a\n");
	check_hosts(OUR "b\n", &pairs, OUR "b\n");
	/* A marker counts at the beginning of a line only. */
	check_hosts("1 x # byoh-install: begin\n# byoh-install: end\n", &none,
		    "1 x # byoh-install: begin\n# byoh-install: end\n");
}

static void hosts_are_left_alone_unless_asked(void **state)
{
	struct byoh_pair one[] = { { (char *)"10.0.0.1", (char *)"api" } };

	(void)state;
	host_file("/etc/hosts", "127.0.0.1 localhost\n", 0644);
	plan();
	assert_null(find(BYOH_ACTION_FILE, "/etc/hosts"));
	f.config.host.hosts = (struct byoh_pairs){ 1, one };
	plan();
	has_text("/etc/hosts", "127.0.0.1 localhost\n# byoh-install: begin\n10.0.0.1 api\n");
}

static void time_comes_from_what_the_host_has(void **state)
{
	char *servers[] = { (char *)"10.0.0.2", (char *)"ntp.lan" };

	(void)state;
	f.config.host.ntp = (struct byoh_strings){ 2, servers };
	plan_fails(BYOH_ERROR_CONFIG, "host.ntp");
	host_file("/usr/lib/systemd/system/systemd-timesyncd.service", "", 0644);
	plan();
	assert_string_equal(text_of("/etc/systemd/timesyncd.conf.d/byoh.conf"),
			    "[Time]\nNTP=10.0.0.2 ntp.lan\n");
	assert_true(get(BYOH_ACTION_UNIT, "systemd-timesyncd.service")->optional);
	host_file("/usr/lib/systemd/system/chrony.service", "", 0644);
	host_file("/etc/chrony/sources.d/README", "", 0644);
	plan();
	assert_string_equal(text_of("/etc/chrony/sources.d/byoh.sources"),
			    "server 10.0.0.2 iburst\nserver ntp.lan iburst\n");
	assert_null(find(BYOH_ACTION_FILE, "/etc/systemd/timesyncd.conf.d/byoh.conf"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_alone_are_just_installed),
		TEST(every_step_says_what_it_does),
		TEST(the_tool_comes_first),
		TEST(image_blobs_are_no_files_of_the_host),
		TEST(own_folders_are_closed),
		TEST(the_config_stays_with_its_files),
		TEST(side_files_may_not_clash),
		TEST(side_files_may_not_take_our_names),
		TEST(the_bundles_own_file_goes_before_a_template),
		TEST(modules_follow_the_proxy_mode),
		TEST(sysctls_come_after_modules),
		TEST(ipv6_forwards_only_with_such_pods),
		TEST(only_swap_entries_of_fstab_change),
		TEST(fstab_keeps_its_mode_and_settles),
		TEST(swap_in_use_goes_off_and_stays_off),
		TEST(units_of_paths_are_named_as_systemd_does),
		TEST(the_host_gets_its_name),
		TEST(only_our_lines_of_hosts_change),
		TEST(hosts_are_left_alone_unless_asked),
		TEST(time_comes_from_what_the_host_has),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
