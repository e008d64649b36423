/* SPDX-License-Identifier: Apache-2.0 */
/* Plans made from hand-made configs, hosts, manifests and indexes: which actions, which contents. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/steps/steps-internal.h"
#include "installer/steps/steps.h"

#define MAX_FILES 32

static struct fixture {
	struct byoh_config config;
	struct byoh_host host;
	struct byoh_manifest manifest;
	struct byoh_index index;
	struct byoh_file files[MAX_FILES];
	struct byoh_component components[4];
	struct byoh_image images[4];
	struct byoh_plan_input input;
	struct byoh_plan *plan;
	struct byoh_error error;
	char root[64];
} f;

static struct byoh_buffer as_buffer(const char *text)
{
	return (struct byoh_buffer){ .data = (char *)text, .size = strlen(text) };
}

static int set_up(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	strcpy(f.root, "/tmp/byoh-steps-XXXXXX");
	assert_non_null(mkdtemp(f.root));
	f.host.root = f.root;
	f.host.root_fd = open(f.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(f.host.root_fd >= 0);
	f.host.has_systemd = true;
	f.host.has_iptables = true;
	f.host.usr_local_unit_dir_ok = true;
	f.config.join_mode = BYOH_JOIN_NONE;
	f.config.kube_proxy.manage = true;
	f.config.containerd.root = (char *)"/var/lib/containerd";
	f.config.agent.namespace_name = (char *)"default";
	f.config.agent.metrics = (char *)"0";
	f.manifest.name = (char *)"worker";
	f.manifest.version = (char *)"1.0";
	f.manifest.components = f.components;
	f.manifest.images = f.images;
	f.index.files = f.files;
	f.input = (struct byoh_plan_input){
		.config = &f.config, .host = &f.host, .manifest = &f.manifest, .index = &f.index,
	};
	return 0;
}

static int tear_down(void **state)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	int parent = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	byoh_plan_free(f.plan);
	close(f.host.root_fd);
	assert_int_equal(byoh_remove_tree(parent, strrchr(f.root, '/') + 1, &err), 0);
	close(parent);
	return 0;
}

/* What the bundle brings */

static int compare_files(const void *a, const void *b)
{
	return strcmp(((const struct byoh_file *)a)->path, ((const struct byoh_file *)b)->path);
}

static void bring_typed(const char *path, enum byoh_file_type type)
{
	assert_true(f.index.file_count < MAX_FILES);
	f.files[f.index.file_count++] = (struct byoh_file){
		.path = path, .target = type == BYOH_FILE_SYMLINK ? "elsewhere" : "", .type = type,
		.mode = 0755, .size = type == BYOH_FILE_REGULAR ? 10 : 0,
	};
	qsort(f.files, f.index.file_count, sizeof(f.files[0]), compare_files);
}

static void bring(const char *path)
{
	bring_typed(path, BYOH_FILE_REGULAR);
}

static void component(const char *name, const char *version)
{
	f.components[f.manifest.component_count++] = (struct byoh_component){
		.name = (char *)name, .version = (char *)version,
	};
}

static void image(const char *ref)
{
	f.images[f.manifest.image_count++].ref = (char *)ref;
}

static void bring_node(const char *containerd, const char *kubernetes)
{
	bring("usr/local/sbin/byoh-install");
	bring("usr/local/bin/containerd");
	bring("usr/local/bin/kubelet");
	bring("usr/local/bin/kube-proxy");
	bring("usr/local/bin/byoh-hostagent");
	component("containerd", containerd);
	f.manifest.kubernetes = (char *)kubernetes;
	image("registry.example/tools:1");
	image("registry.example/pause:3.10");
}

static void know_cluster(void)
{
	f.config.cluster.server = (char *)"https://10.0.0.1:6443";
	f.config.cluster.ca = as_buffer("-----BEGIN CERTIFICATE-----\nMAA=\n"
					"-----END CERTIFICATE-----\n");
	f.config.cluster.token = (char *)"abcdef.0123456789abcdef";
	f.config.cluster.pod_cidr = (char *)"10.244.0.0/16";
	f.config.cluster.service_cidr = (char *)"10.96.0.0/12";
	f.config.cluster.dns = (char *)"10.96.0.10";
}

/* What lies on the host */

static void host_file(const char *path, const char *text, mode_t mode)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	char folder[256];

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	if (folder[0])
		assert_int_equal(byoh_make_directories(f.host.root_fd, folder, 0755, &err), 0);
	assert_int_equal(byoh_write_file(f.host.root_fd, path, text, strlen(text), mode, &err), 0);
}

/* The plan */

static void plan(void)
{
	int rc;

	byoh_plan_free(f.plan);
	f.plan = NULL;
	rc = byoh_plan_make(&f.input, &f.plan, &f.error);
	if (rc)
		fail_msg("no plan: %s", f.error.message);
}

static void plan_fails(enum byoh_error_kind kind, const char *words)
{
	assert_true(byoh_plan_make(&f.input, &f.plan, &f.error) < 0);
	assert_null(f.plan);
	assert_int_equal(f.error.kind, kind);
	if (!strstr(f.error.message, words))
		fail_msg("\"%s\" says nothing of \"%s\"", f.error.message, words);
}

static size_t count_actions(enum byoh_action_kind kind, const char *subject)
{
	size_t count = 0;

	for (size_t i = 0; i < f.plan->step_count; i++)
		for (size_t j = 0; j < f.plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &f.plan->steps[i].actions[j];

			count += action->kind == kind &&
				 (!subject || !strcmp(action->subject, subject));
		}
	return count;
}

/* NULL if the plan has none */
static const struct byoh_action *find(enum byoh_action_kind kind, const char *subject)
{
	for (size_t i = 0; i < f.plan->step_count; i++)
		for (size_t j = 0; j < f.plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &f.plan->steps[i].actions[j];

			if (action->kind == kind && !strcmp(action->subject, subject))
				return action;
		}
	return NULL;
}

static const struct byoh_action *get(enum byoh_action_kind kind, const char *subject)
{
	const struct byoh_action *action = find(kind, subject);

	if (!action)
		fail_msg("the plan has no action for %s", subject);
	return action;
}

static const char *text_of(const char *path)
{
	return byoh_buffer_text(&get(BYOH_ACTION_FILE, path)->content);
}

static void has_text(const char *path, const char *words)
{
	if (!strstr(text_of(path), words))
		fail_msg("%s says nothing of \"%s\":\n%s", path, words, text_of(path));
}

static void lacks_text(const char *path, const char *words)
{
	if (strstr(text_of(path), words))
		fail_msg("%s says \"%s\"", path, words);
}

static void links_to(const char *path, const char *target)
{
	assert_string_equal(get(BYOH_ACTION_LINK, path)->value, target);
}

/* Where in the plan an action stands */
static size_t place_of(enum byoh_action_kind kind, const char *subject)
{
	size_t place = 0;

	for (size_t i = 0; i < f.plan->step_count; i++)
		for (size_t j = 0; j < f.plan->steps[i].action_count; j++, place++) {
			const struct byoh_action *action = &f.plan->steps[i].actions[j];

			if (action->kind == kind && !strcmp(action->subject, subject))
				return place;
		}
	fail_msg("the plan has no action for %s", subject);
	return 0;
}

#define UNITS "/usr/local/lib/systemd/system/"
#define WANTED "/etc/systemd/system/multi-user.target.wants/"

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
	const struct byoh_step *step;

	(void)state;
	bring_typed("etc", BYOH_FILE_DIRECTORY);
	bring("etc/early");
	bring_typed("usr", BYOH_FILE_DIRECTORY);
	bring_typed("usr/local", BYOH_FILE_DIRECTORY);
	bring_typed("usr/local/sbin", BYOH_FILE_DIRECTORY);
	bring("usr/local/sbin/byoh-install");
	bring_typed("usr/local/sbin/other", BYOH_FILE_SYMLINK);
	plan();
	step = &f.plan->steps[1];
	assert_string_equal(step->actions[0].subject, "/usr");
	assert_string_equal(step->actions[3].subject, "/usr/local/sbin/byoh-install");
	assert_int_equal(step->action_count, f.index.file_count);
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

static void containerd_1_gets_version_2(void **state)
{
	(void)state;
	bring_node("1.6.20~ds1-1+deb12u1", "v1.20.2");
	plan();
	has_text(BYOH_CONTAINERD_CONFIG, "version = 2\n");
	has_text(BYOH_CONTAINERD_CONFIG, "sandbox_image = \"registry.example/pause:3.10\"\n");
	has_text(BYOH_CONTAINERD_CONFIG, "SystemdCgroup = true\n");
	has_text(BYOH_CONTAINERD_CONFIG, "bin_dir = \"/opt/cni/bin\"\n");
	has_text(BYOH_CONTAINERD_CONFIG, "enable_selinux = false\n");
	lacks_text(BYOH_CONTAINERD_CONFIG, "cri.v1");
	lacks_text(BYOH_CONTAINERD_CONFIG, "$");
	assert_int_equal(get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CONFIG)->mode, 0644);
	has_text("/etc/crictl.yaml", "runtime-endpoint: unix:///run/containerd/containerd.sock\n");
}

static void containerd_2_gets_version_3(void **state)
{
	(void)state;
	bring_node("v2.0.4", "v1.34.1");
	f.host.selinux_enabled = true;
	f.config.containerd.root = (char *)"/data/\"odd\\dir\"";
	plan();
	has_text(BYOH_CONTAINERD_CONFIG, "version = 3\n");
	has_text(BYOH_CONTAINERD_CONFIG, "root = \"/data/\\\"odd\\\\dir\\\"\"\n");
	has_text(BYOH_CONTAINERD_CONFIG, "    sandbox = \"registry.example/pause:3.10\"\n");
	has_text(BYOH_CONTAINERD_CONFIG, "enable_selinux = true\n");
	has_text(BYOH_CONTAINERD_CONFIG, "    bin_dir = \"/opt/cni/bin\"\n");
	lacks_text(BYOH_CONTAINERD_CONFIG, "bin_dirs");
	lacks_text(BYOH_CONTAINERD_CONFIG, "grpc.v1.cri");
	f.components[0].version = (char *)"2.1.5";
	plan();
	has_text(BYOH_CONTAINERD_CONFIG, "    bin_dirs = [\"/opt/cni/bin\"]\n");
	lacks_text(BYOH_CONTAINERD_CONFIG, "bin_dir =");
}

static void a_containerd_without_version_is_refused(void **state)
{
	(void)state;
	bring("usr/local/bin/containerd");
	plan_fails(BYOH_ERROR_FORMAT, "containerd");
	component("containerd", "newest");
	plan_fails(BYOH_ERROR_FORMAT, "newest");
}

static void the_sandbox_image_has_to_be_there(void **state)
{
	struct byoh_mirror mirror = { .registry = (char *)"*" };
	char *endpoint[] = { (char *)"https://registry.lan" };

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	f.config.containerd.sandbox_image = (char *)"registry.example/pause:3.9";
	plan_fails(BYOH_ERROR_CONFIG, "registry.example/pause:3.10");
	f.config.containerd.sandbox_image = (char *)"registry.example/tools:1";
	plan();
	has_text(BYOH_CONTAINERD_CONFIG, "sandbox = \"registry.example/tools:1\"\n");
	f.config.containerd.sandbox_image = (char *)"registry.example/pause:3.9";
	mirror.endpoints = (struct byoh_strings){ 1, endpoint };
	f.config.mirrors = &mirror;
	f.config.mirror_count = 1;
	plan();
	f.config.containerd.sandbox_image = NULL;
	f.manifest.image_count = 0;
	plan();
	lacks_text(BYOH_CONTAINERD_CONFIG, "sandbox");
}

/* Mirrors: three endpoints of docker.io, the last of them the server, one with a prefix and a CA. */
static void mirrors_become_hosts_toml(void **state)
{
	char *endpoints[] = { (char *)"https://a.lan:5000/v2/", (char *)"http://b.lan/proxy/hub",
			      (char *)"https://c.lan" };
	struct byoh_mirror mirror = { .registry = (char *)"docker.io", .endpoints = { 3, endpoints } };
	struct byoh_registry_config config = {
		.registry = (char *)"a.lan:5000", .ca_file = (char *)"/etc/ssl/a.pem",
		.cert_file = (char *)"/etc/ssl/a.crt", .key_file = (char *)"/etc/ssl/a.key",
	};

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	f.config.mirrors = &mirror;
	f.config.mirror_count = 1;
	f.config.registry_configs = &config;
	f.config.registry_config_count = 1;
	plan();
	assert_string_equal(text_of(BYOH_CONTAINERD_CERTS "/docker.io/hosts.toml"),
			    "server = \"https://c.lan\"\n"
			    "capabilities = [\"pull\", \"resolve\"]\n"
			    "\n"
			    "[host.\"https://a.lan:5000\"]\n"
			    "capabilities = [\"pull\", \"resolve\"]\n"
			    "ca = \"/etc/ssl/a.pem\"\n"
			    "client = [[\"/etc/ssl/a.crt\", \"/etc/ssl/a.key\"]]\n"
			    "\n"
			    "[host.\"http://b.lan/proxy/hub\"]\n"
			    "capabilities = [\"pull\", \"resolve\"]\n"
			    "override_path = true\n");
	assert_int_equal(get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CERTS "/docker.io/hosts.toml")->mode, 0644);
	has_text(BYOH_CONTAINERD_CERTS "/a.lan:5000/hosts.toml", "server = \"https://a.lan:5000\"\n");
}

static void a_mirror_of_all_is_the_default(void **state)
{
	char *endpoints[] = { (char *)"https://a.lan" };
	struct byoh_mirror mirror = { .registry = (char *)"*", .endpoints = { 1, endpoints } };

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	f.config.mirrors = &mirror;
	f.config.mirror_count = 1;
	plan();
	has_text(BYOH_CONTAINERD_CERTS "/_default/hosts.toml", "server = \"https://a.lan\"\n");
	mirror.registry = (char *)"../../x";
	byoh_plan_free(f.plan);
	f.plan = NULL;
	plan_fails(BYOH_ERROR_CONFIG, "../../x");
}

static void a_prefix_is_the_one_rewrite_that_can_be_said(void **state)
{
	char *endpoints[] = { (char *)"https://a.lan" };
	struct byoh_pair rewrite = { (char *)"^(.*)$", (char *)"hub/$1" };
	struct byoh_mirror mirror = { .registry = (char *)"docker.io", .endpoints = { 1, endpoints },
				      .rewrites = { 1, &rewrite } };

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	f.config.mirrors = &mirror;
	f.config.mirror_count = 1;
	plan();
	has_text(BYOH_CONTAINERD_CERTS "/docker.io/hosts.toml",
		 "server = \"https://a.lan/v2/hub\"\n"
		 "capabilities = [\"pull\", \"resolve\"]\noverride_path = true\n");
	byoh_plan_free(f.plan);
	f.plan = NULL;
	rewrite.key = (char *)"^library/(.*)$";
	plan_fails(BYOH_ERROR_CONFIG, "^library/(.*)$");
	rewrite.key = (char *)"^(.*)$";
	rewrite.value = (char *)"a$1b/$1";
	plan_fails(BYOH_ERROR_CONFIG, "hosts.toml");
}

static void credentials_lie_in_closed_files(void **state)
{
	struct byoh_registry_config config = {
		.registry = (char *)"r.lan", .username = (char *)"u\"ser", .password = (char *)"p",
	};
	const struct byoh_action *action;

	(void)state;
	f.config.registry_configs = &config;
	f.config.registry_config_count = 1;
	bring_node("1.7.1", "v1.34.1");
	plan();
	action = get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CONFIG);
	assert_true(action->secret);
	assert_int_equal(action->mode, 0600);
	has_text(BYOH_CONTAINERD_CONFIG,
		 "[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"r.lan\".auth]\n"
		 "      username = \"u\\\"ser\"\n      password = \"p\"\n");
	assert_false(get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CERTS "/r.lan/hosts.toml")->secret);
	f.components[0].version = (char *)"2.1.0";
	plan();
	assert_false(get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CONFIG)->secret);
	action = get(BYOH_ACTION_FILE, BYOH_CONTAINERD_CERTS "/r.lan/hosts.toml");
	assert_true(action->secret);
	assert_int_equal(action->mode, 0600);
	has_text(BYOH_CONTAINERD_CERTS "/r.lan/hosts.toml",
		 "\n[header]\nAuthorization = \"Basic dSJzZXI6cA==\"\n");
	byoh_plan_free(f.plan);
	f.plan = NULL;
	config.identity_token = (char *)"x";
	plan_fails(BYOH_ERROR_CONFIG, "identity token");
}

static void proxies_reach_no_unit(void **state)
{
	static const char *const units[] = { "containerd.service", "kubelet.service",
					     "byoh-hostagent.service", "byoh-settle.service",
					     "byoh-settle-images.service", "kubelet.service.d/10-byoh.conf" };

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	f.config.join_mode = BYOH_JOIN_AGENT;
	plan();
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		char path[128];

		snprintf(path, sizeof(path), UNITS "%s", units[i]);
		has_text(path, "UnsetEnvironment=http_proxy https_proxy");
		has_text(path, "UnsetEnvironment=HTTP_PROXY HTTPS_PROXY");
	}
}

static void settling_stands_between_boot_and_containerd(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	plan();
	has_text(UNITS "byoh-settle.service",
		 "ExecStart=/usr/local/sbin/byoh-install settle --recover\n");
	has_text(UNITS "byoh-settle.service", "Before=containerd.service kubelet.service");
	has_text(UNITS "byoh-settle-images.service",
		 "ExecStart=/usr/local/sbin/byoh-install settle\n");
	has_text(UNITS "byoh-settle-images.service", "ConditionPathExists=/var/lib/byoh/unsettled\n");
	links_to(WANTED "byoh-settle.service", UNITS "byoh-settle.service");
	links_to(WANTED "byoh-settle-images.service", UNITS "byoh-settle-images.service");
}

static void none_prepares_and_starts_no_node(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	know_cluster();
	plan();
	assert_string_equal(get(BYOH_ACTION_UNIT, "containerd.service")->value, "started");
	assert_int_equal(count_actions(BYOH_ACTION_UNIT, NULL), 1);
	assert_int_equal(count_actions(BYOH_ACTION_IMAGE, NULL), 2);
	assert_non_null(find(BYOH_ACTION_FILE, UNITS "kubelet.service"));
	assert_null(find(BYOH_ACTION_LINK, WANTED "kubelet.service"));
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBELET_CONFIG));
	assert_null(find(BYOH_ACTION_FILE, UNITS "byoh-hostagent.service"));
}

static void tls_bootstrap_runs_kubelet_and_kube_proxy(void **state)
{
	const struct byoh_action *action;

	(void)state;
	bring_node("1.6.20", "v1.20.2");
	know_cluster();
	f.config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	f.config.kube_proxy.token = (char *)"proxy-token";
	plan();
	action = get(BYOH_ACTION_FILE, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG);
	assert_true(action->secret);
	assert_int_equal(action->mode, 0600);
	has_text(BYOH_KUBELET_BOOTSTRAP_KUBECONFIG, "abcdef.0123456789abcdef");
	assert_int_equal(get(BYOH_ACTION_FILE, BYOH_KUBERNETES_CA)->mode, 0644);
	has_text(BYOH_KUBELET_CONFIG, "KubeletConfiguration");
	has_text(BYOH_KUBE_PROXY_CONFIG, "KubeProxyConfiguration");
	assert_true(get(BYOH_ACTION_FILE, BYOH_KUBE_PROXY_KUBECONFIG)->secret);
	has_text(UNITS "kubelet.service", "ConditionPathExists=/var/lib/kubelet/config.yaml\n");
	has_text(UNITS "kubelet.service", "ExecStart=/usr/local/bin/kubelet \\\n");
	has_text(UNITS "kubelet.service", "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubeconfig");
	links_to(WANTED "kubelet.service", UNITS "kubelet.service");
	links_to(WANTED "kube-proxy.service", UNITS "kube-proxy.service");
	assert_null(find(BYOH_ACTION_FILE, UNITS "kube-proxy.path"));
	assert_non_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
	assert_non_null(find(BYOH_ACTION_UNIT, "kube-proxy.service"));
	assert_null(find(BYOH_ACTION_UNIT, "byoh-hostagent.service"));
	assert_null(find(BYOH_ACTION_FILE, UNITS "byoh-hostagent.service"));
}

static void the_order_of_services(void **state)
{
	size_t reload, containerd, first_image, kubelet;

	(void)state;
	bring_node("1.6.20", "v1.20.2");
	know_cluster();
	f.config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	plan();
	reload = place_of(BYOH_ACTION_RELOAD, "systemd");
	containerd = place_of(BYOH_ACTION_UNIT, "containerd.service");
	first_image = place_of(BYOH_ACTION_IMAGE, "registry.example/tools:1");
	kubelet = place_of(BYOH_ACTION_UNIT, "kubelet.service");
	assert_true(place_of(BYOH_ACTION_FILE, UNITS "kubelet.service") < reload);
	assert_true(place_of(BYOH_ACTION_FILE, BYOH_KUBELET_CONFIG) < reload);
	assert_true(reload < containerd);
	assert_true(containerd < first_image);
	assert_true(first_image < kubelet);
}

static void kube_proxy_waits_for_what_identifies_it(void **state)
{
	(void)state;
	bring_node("1.6.20", "v1.20.2");
	know_cluster();
	f.config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	f.config.kube_proxy.node_identity = true;
	plan();
	has_text(UNITS "kube-proxy.path", "PathExists=/etc/kubernetes/kubelet.conf\n");
	has_text(UNITS "kube-proxy.service", "ConditionPathExists=/etc/kubernetes/kubelet.conf\n");
	assert_non_null(find(BYOH_ACTION_UNIT, "kube-proxy.path"));
	assert_null(find(BYOH_ACTION_UNIT, "kube-proxy.service"));
	host_file("/etc/kubernetes/kubelet.conf", "kind: Config\n", 0600);
	plan();
	assert_true(place_of(BYOH_ACTION_UNIT, "kube-proxy.service") <
		    place_of(BYOH_ACTION_UNIT, "kube-proxy.path"));
	f.config.kube_proxy.manage = false;
	plan();
	assert_null(find(BYOH_ACTION_FILE, UNITS "kube-proxy.service"));
	assert_null(find(BYOH_ACTION_UNIT, "kube-proxy.path"));
}

static void without_a_token_the_kubelet_waits(void **state)
{
	(void)state;
	bring_node("1.6.20", "v1.20.2");
	know_cluster();
	f.config.cluster.token = NULL;
	f.config.join_mode = BYOH_JOIN_TLS_BOOTSTRAP;
	plan();
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBELET_BOOTSTRAP_KUBECONFIG));
	assert_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
	links_to(WANTED "kubelet.service", UNITS "kubelet.service");
	host_file(BYOH_KUBELET_KUBECONFIG, "kind: Config\n", 0600);
	plan();
	assert_non_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
}

static void the_agent_is_told_its_cluster(void **state)
{
	struct byoh_pair labels[] = { { (char *)"site", (char *)"default" },
				      { (char *)"rack", (char *)"r1" } };
	const struct byoh_action *action;

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	know_cluster();
	f.config.join_mode = BYOH_JOIN_AGENT;
	f.config.agent.host_labels = (struct byoh_pairs){ 2, labels };
	f.host.live = true;
	plan();
	assert_string_equal(text_of(BYOH_AGENT_ENVIRONMENT),
			    "BYOH_NAMESPACE=\"default\"\nBYOH_METRICS=\"0\"\n"
			    "BYOH_EXTRA_ARGS=\"--label=site=default --label=rack=r1\"\n");
	action = get(BYOH_ACTION_FILE, BYOH_AGENT_BOOTSTRAP);
	assert_true(action->secret);
	assert_int_equal(action->mode, 0600);
	has_text(UNITS "byoh-hostagent.service", "--skip-installation");
	lacks_text(UNITS "byoh-hostagent.service", "abcdef");
	links_to(WANTED "byoh-hostagent.service", UNITS "byoh-hostagent.service");
	assert_non_null(find(BYOH_ACTION_UNIT, "byoh-hostagent.service"));
	assert_non_null(find(BYOH_ACTION_DIRECTORY, "/run/cluster-api"));
	/* The agent enables the kubelet itself; a CA at that place would stop kubeadm. */
	assert_null(find(BYOH_ACTION_LINK, WANTED "kubelet.service"));
	assert_null(find(BYOH_ACTION_UNIT, "kubelet.service"));
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBERNETES_CA));
	assert_null(find(BYOH_ACTION_FILE, BYOH_KUBELET_CONFIG));
}

static void without_a_token_the_agent_waits(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	know_cluster();
	f.config.cluster.token = NULL;
	f.config.join_mode = BYOH_JOIN_AGENT;
	plan();
	assert_null(find(BYOH_ACTION_FILE, BYOH_AGENT_BOOTSTRAP));
	assert_null(find(BYOH_ACTION_UNIT, "byoh-hostagent.service"));
	assert_null(find(BYOH_ACTION_DIRECTORY, "/run/cluster-api"));
	links_to(WANTED "byoh-hostagent.service", UNITS "byoh-hostagent.service");
	host_file(BYOH_AGENT_CONFIG, "kind: Config\n", 0600);
	plan();
	assert_non_null(find(BYOH_ACTION_UNIT, "byoh-hostagent.service"));
}

static void a_mode_needs_its_parts(void **state)
{
	(void)state;
	bring("usr/local/bin/kubelet");
	f.manifest.kubernetes = (char *)"v1.34.1";
	f.config.join_mode = BYOH_JOIN_AGENT;
	plan_fails(BYOH_ERROR_CONFIG, "byoh-hostagent");
}

static void services_restart_on_what_they_read(void **state)
{
	static const char *const reads[] = { "/usr/local/bin/containerd", BYOH_CONTAINERD_CONFIG,
					     UNITS "containerd.service" };
	const struct byoh_action *action;

	(void)state;
	bring_node("2.1.0", "v1.34.1");
	plan();
	action = get(BYOH_ACTION_UNIT, "containerd.service");
	for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
		bool listed = false;

		for (char **path = action->restart_on; *path; path++)
			listed |= !strcmp(*path, reads[i]);
		assert_true(listed);
	}
}

static void images_are_pinned(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	plan();
	assert_true(get(BYOH_ACTION_IMAGE, "registry.example/tools:1")->pinned);
	assert_ptr_equal(get(BYOH_ACTION_IMAGE, "registry.example/tools:1")->image, &f.images[0]);
}

static void iptables_comes_where_there_is_none(void **state)
{
	(void)state;
	bring("usr/local/lib/byoh/xtables-nft-multi");
	plan();
	assert_null(find(BYOH_ACTION_LINK, "/usr/local/sbin/iptables"));
	f.host.has_iptables = false;
	plan();
	links_to("/usr/local/sbin/iptables", "../lib/byoh/xtables-nft-multi");
	links_to("/usr/local/sbin/ip6tables-restore", "../lib/byoh/xtables-nft-multi");
}

static void a_conflist_is_placed_by_its_name(void **state)
{
	(void)state;
	f.config.cni.conflist_name = (char *)"10-lan.conflist";
	f.config.cni.conflist = as_buffer("{}\n");
	plan();
	assert_string_equal(text_of("/etc/cni/net.d/10-lan.conflist"), "{}\n");
	byoh_plan_free(f.plan);
	f.plan = NULL;
	f.config.cni.conflist_name = (char *)"../x";
	plan_fails(BYOH_ERROR_CONFIG, "../x");
}

static void slices_are_drop_ins(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	plan();
	assert_null(find(BYOH_ACTION_FILE, UNITS "runtime.slice"));
	f.config.host.slices = true;
	plan();
	assert_non_null(find(BYOH_ACTION_FILE, UNITS "runtime.slice"));
	has_text(UNITS "kubelet.service.d/20-byoh-slice.conf", "Slice=runtime.slice\n");
	has_text(UNITS "containerd.service.d/20-byoh-slice.conf", "Slice=runtime.slice\n");
}

static void labels_where_selinux_is_on(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	plan();
	assert_int_equal(count_actions(BYOH_ACTION_RELABEL, NULL), 0);
	f.host.selinux_enabled = true;
	plan();
	assert_non_null(find(BYOH_ACTION_RELABEL, "/usr/local/bin/kubelet"));
	assert_non_null(find(BYOH_ACTION_RELABEL, "/etc/kubernetes"));
	assert_null(find(BYOH_ACTION_RELABEL, "/usr/local/bin"));
	assert_true(place_of(BYOH_ACTION_RELABEL, "/usr/local/bin/kubelet") <
		    place_of(BYOH_ACTION_UNIT, "containerd.service"));
}

static void nothing_is_planned_twice(void **state)
{
	(void)state;
	bring_node("2.1.0", "v1.34.1");
	bring("usr/local/lib/byoh/xtables-nft-multi");
	know_cluster();
	f.config.text = as_buffer("kind: InstallConfig\n");
	f.config.join_mode = BYOH_JOIN_AGENT;
	f.config.host.slices = true;
	f.host.has_iptables = false;
	plan();
	for (size_t i = 0; i < f.plan->step_count; i++)
		for (size_t j = 0; j < f.plan->steps[i].action_count; j++) {
			const struct byoh_action *action = &f.plan->steps[i].actions[j];

			if (count_actions(action->kind, action->subject) != 1)
				fail_msg("%s is planned more than once", action->subject);
		}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

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
		TEST(containerd_1_gets_version_2),
		TEST(containerd_2_gets_version_3),
		TEST(a_containerd_without_version_is_refused),
		TEST(the_sandbox_image_has_to_be_there),
		TEST(mirrors_become_hosts_toml),
		TEST(a_mirror_of_all_is_the_default),
		TEST(a_prefix_is_the_one_rewrite_that_can_be_said),
		TEST(credentials_lie_in_closed_files),
		TEST(proxies_reach_no_unit),
		TEST(settling_stands_between_boot_and_containerd),
		TEST(none_prepares_and_starts_no_node),
		TEST(tls_bootstrap_runs_kubelet_and_kube_proxy),
		TEST(the_order_of_services),
		TEST(kube_proxy_waits_for_what_identifies_it),
		TEST(without_a_token_the_kubelet_waits),
		TEST(the_agent_is_told_its_cluster),
		TEST(without_a_token_the_agent_waits),
		TEST(a_mode_needs_its_parts),
		TEST(services_restart_on_what_they_read),
		TEST(images_are_pinned),
		TEST(iptables_comes_where_there_is_none),
		TEST(a_conflist_is_placed_by_its_name),
		TEST(slices_are_drop_ins),
		TEST(labels_where_selinux_is_on),
		TEST(nothing_is_planned_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
