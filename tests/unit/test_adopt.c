/* SPDX-License-Identifier: Apache-2.0 */
/* A containerd that the host had before: adopted, or replaced. */
#include "installer/steps/containerd-adopt.h"
#include "tests/unit/steps-fixture.h"

#define CONFIG BYOH_CONTAINERD_CONFIG
#define DROP_IN BYOH_CONTAINERD_DROP_IN
#define V2 "plugins.\"io.containerd.grpc.v1.cri\""
#define V3_IMAGES "plugins.\"io.containerd.cri.v1.images\""
#define V3_RUNTIME "plugins.\"io.containerd.cri.v1.runtime\""
#define UNIT "/usr/lib/systemd/system/containerd.service"
#define IMPORT BYOH_CONTAINERD_IMPORT
#define OURS "imports = [\"" IMPORT "\"]\n"

/* As Debian's packages of 1.6 and of 2.1 bring it. */
static const char debians[] =
	"version = 2\n"
	"\n"
	"[plugins]\n"
	"  [plugins.\"io.containerd.grpc.v1.cri\"]\n"
	"    [plugins.\"io.containerd.grpc.v1.cri\".cni]\n"
	"      bin_dir = \"/usr/lib/cni\"\n"
	"      conf_dir = \"/etc/cni/net.d\"\n"
	"  [plugins.\"io.containerd.internal.v1.opt\"]\n"
	"    path = \"/var/lib/containerd/opt\"\n";

static const char dockers[] =
	"#   A license\n"
	"\n"
	"disabled_plugins = [\"cri\"]\n"
	"\n"
	"#root = \"/var/lib/containerd\"\n"
	"#[grpc]\n"
	"#  address = \"/run/containerd/containerd.sock\"\n";

/* A host with a containerd of that version, and a bundle with ours. */
static void have_containerd(const char *version)
{
	bring_node("2.1.4", "v1.34.1");
	bring("usr/local/bin/runc");
	bring("usr/local/bin/ctr");
	bring("usr/local/bin/containerd-shim-runc-v2");
	bring("usr/local/bin/crictl");
	bring("opt/cni/bin/bridge");
	host_file("/usr/bin/containerd", "", 0755);
	host_file("/usr/bin/containerd-shim-runc-v2", "", 0755);
	host_file("/usr/bin/ctr", "", 0755);
	host_file("/usr/sbin/runc", "", 0755);
	host_file(UNIT, "[Service]\nExecStart=/usr/bin/containerd\n", 0644);
	f.host.adopted = (char *)"";
	f.host.containerd_path = f.host.containerd_program = (char *)"/usr/bin/containerd";
	f.host.containerd_unit = (char *)UNIT;
	f.host.containerd_version = (char *)version;
	f.config.containerd.existing = BYOH_EXISTING_ADOPT;
}

/* What the plan makes of a configuration; then that nothing more is to be done with it. */
static void becomes(const char *before, const char *after)
{
	host_file(CONFIG, before, 0640);
	plan();
	assert_string_equal(text_of(CONFIG), after);
	assert_int_equal(get(BYOH_ACTION_FILE, CONFIG)->mode, 0640);
	host_file(CONFIG, after, 0640);
	plan();
	assert_string_equal(text_of(CONFIG), after);
}

static void refuses(const char *config, const char *words)
{
	host_file(CONFIG, config, 0644);
	byoh_plan_free(f.plan);
	f.plan = NULL;
	plan_fails(BYOH_ERROR_PREFLIGHT, words);
	f.error = (struct byoh_error)BYOH_ERROR_INIT;
}

static void only_what_the_host_lacks_comes(void **state)
{
	(void)state;
	have_containerd("1.6.20~ds1");
	assert_int_equal(byoh_remove_file(f.host.root_fd, "/usr/sbin/runc", NULL), 0);
	plan();
	assert_null(find(BYOH_ACTION_FILE, "/usr/local/bin/containerd"));
	assert_null(find(BYOH_ACTION_FILE, "/usr/local/bin/containerd-shim-runc-v2"));
	assert_null(find(BYOH_ACTION_FILE, "/usr/local/bin/ctr"));
	get(BYOH_ACTION_FILE, "/usr/local/bin/runc");
	get(BYOH_ACTION_FILE, "/usr/local/bin/crictl");
	get(BYOH_ACTION_FILE, "/opt/cni/bin/bridge");
	get(BYOH_ACTION_FILE, "/etc/crictl.yaml");
	assert_null(find(BYOH_ACTION_FILE, UNITS "containerd.service"));
	get(BYOH_ACTION_FILE, UNITS "byoh-settle-images.service");
	get(BYOH_ACTION_FILE, UNITS "kubelet.service.d/05-byoh-settle.conf");
	assert_null(find(BYOH_ACTION_FILE, UNITS "containerd.service.d/05-byoh-settle.conf"));
	get(BYOH_ACTION_IMAGE, "registry.example/pause:3.10");
	f.host.selinux_enabled = true;
	plan();
	assert_null(find(BYOH_ACTION_RELABEL, "/usr/local/bin/ctr"));
	get(BYOH_ACTION_RELABEL, "/usr/local/bin/crictl");
	/* Its folders are not ours, even if it has not made them yet. */
	get(BYOH_ACTION_DATA, "/var/lib/kubelet");
	assert_null(find(BYOH_ACTION_DATA, "/var/lib/containerd"));
	assert_null(find(BYOH_ACTION_DATA, "/run/containerd"));
	assert_string_equal(text_of(BYOH_ADOPTED_PATH), "/usr/bin/containerd\n" UNIT "\n"
							"/usr/bin/containerd-shim-runc-v2\n/usr/bin/ctr\n");
}

static void its_unit_starts_it_and_is_restarted(void **state)
{
	const struct byoh_action *unit;
	bool config = false, drop_in = false;

	(void)state;
	have_containerd("1.6.20~ds1");
	plan();
	links_to(WANTED "containerd.service", UNIT);
	unit = get(BYOH_ACTION_UNIT, "containerd.service");
	assert_string_equal(unit->value, "started");
	for (char **path = unit->restart_on; *path; path++) {
		config |= !strcmp(*path, CONFIG);
		drop_in |= !strcmp(*path, DROP_IN);
	}
	assert_true(config && drop_in);
	assert_true(place_of(BYOH_ACTION_FILE, DROP_IN) < place_of(BYOH_ACTION_FILE, CONFIG));
	has_text(UNITS "kubelet.service", "After=network-online.target containerd.service\n");
	/* Enabled as its package does it, it stays as it is. */
	assert_int_equal(byoh_make_directories(f.host.root_fd, "/etc/systemd/system/multi-user.target.wants",
					       0755, NULL), 0);
	assert_int_equal(byoh_write_link(f.host.root_fd, WANTED "containerd.service",
					 "/lib/systemd/system/containerd.service", NULL), 0);
	plan();
	links_to(WANTED "containerd.service", "/lib/systemd/system/containerd.service");
}

static void what_was_below_usr_local_stays_theirs(void **state)
{
	(void)state;
	have_containerd("1.7.20");
	host_file("/usr/local/bin/containerd", "theirs", 0755);
	host_file("/usr/local/sbin/runc", "theirs", 0755);
	f.host.containerd_program = (char *)"/usr/local/bin/containerd";
	f.host.carries_release = true;
	f.host.adopted = (char *)"/usr/local/bin/containerd\n/usr/local/sbin/runc\n";
	assert_int_equal(byoh_remove_file(f.host.root_fd, "/usr/sbin/runc", NULL), 0);
	assert_int_equal(byoh_remove_file(f.host.root_fd, "/usr/bin/containerd", NULL), 0);
	plan();
	assert_null(find(BYOH_ACTION_FILE, "/usr/local/bin/containerd"));
	assert_null(find(BYOH_ACTION_FILE, "/usr/local/bin/runc"));
	has_text(BYOH_ADOPTED_PATH, "/usr/local/sbin/runc\n");
	assert_true(byoh_host_is_ours(&f.host, "/usr/local/bin/kubelet"));
	assert_false(byoh_host_is_ours(&f.host, "/usr/local/bin/containerd"));
}

static void debians_configuration_is_extended(void **state)
{
	char after[sizeof(debians) + sizeof(OURS)];

	(void)state;
	have_containerd("1.6.20~ds1");
	snprintf(after, sizeof(after), "version = 2\n" OURS "%s", debians + strlen("version = 2\n"));
	becomes(debians, after);
	assert_string_equal(strchr(text_of(DROP_IN), 'v') ? strstr(text_of(DROP_IN), "version") : "",
			    "version = 2\n"
			    "\n[" V2 "]\n"
			    "  sandbox_image = \"registry.example/pause:3.10\"\n"
			    "\n[" V2 ".cni]\n"
			    "  bin_dir = \"/opt/cni/bin\"\n"
			    "  conf_dir = \"/etc/cni/net.d\"\n"
			    "\n[" V2 ".containerd.runtimes.runc]\n"
			    "  runtime_type = \"io.containerd.runc.v2\"\n"
			    "\n[" V2 ".containerd.runtimes.runc.options]\n"
			    "  SystemdCgroup = true\n"
			    "\n[" V2 ".registry]\n"
			    "  config_path = \"/etc/containerd/certs.d\"\n");
	/* 2.x reads a drop-in of the version of its main file, and no newer one. */
	f.host.containerd_version = (char *)"2.1.9";
	plan();
	has_text(DROP_IN, "version = 2\n");
	has_text(DROP_IN, "  bin_dir = \"/opt/cni/bin\"\n");
	lacks_text(DROP_IN, "bin_dirs");
}

static void dockers_configuration_gets_cri_back(void **state)
{
	static const char *const versions[] = { "1.7.27", "2.1.5" };

	(void)state;
	have_containerd(versions[0]);
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		f.host.containerd_version = (char *)versions[i];
		becomes(dockers, "#   A license\n\n" OURS "disabled_plugins = []\n\n"
				 "#root = \"/var/lib/containerd\"\n#[grpc]\n"
				 "#  address = \"/run/containerd/containerd.sock\"\n");
		has_text(DROP_IN, "version = 2\n");
	}
}

static void every_other_byte_stays(void **state)
{
	(void)state;
	have_containerd("2.1.5");
	becomes("version = 3 # mine\ndisabled_plugins = [ 'x', \"io.containerd.cri.v1.images\", # a\n"
		"\t\"io.containerd.cri.v1.runtime\" ]\nimports = []  # none\n",
		"version = 3 # mine\ndisabled_plugins = [ 'x', # a\n"
		" ]\nimports = [\"" IMPORT "\"]  # none\n");
	becomes("imports = [\n\t'/etc/containerd/conf.d/*.toml', # theirs\n]\nversion = 2",
		"imports = [\n\t'/etc/containerd/conf.d/*.toml', \"" IMPORT "\" # theirs\n]\nversion = 2");
	becomes("version = 2", "version = 2\n" OURS);
	becomes("# nothing", "# nothing\n" OURS);
	becomes("", OURS);
	becomes("version = 2\nimports = [\"" IMPORT "\", \"/etc/containerd/conf.d/*.toml\"]\n",
		"version = 2\nimports = [\"/etc/containerd/conf.d/*.toml\", \"" IMPORT "\"]\n");
	becomes("oom_score = 0\n[debug]\n", OURS "oom_score = 0\n[debug]\n");
}

static void a_missing_configuration_is_written(void **state)
{
	(void)state;
	have_containerd("2.1.5");
	plan();
	assert_string_equal(text_of(CONFIG), "version = 3\nimports = [\"/etc/containerd/conf.d/*.toml\", \""
					     IMPORT "\"]\n");
	has_text(DROP_IN, "version = 3\n");
	has_text(DROP_IN, "[" V3_IMAGES ".pinned_images]\n  sandbox = \"registry.example/pause:3.10\"\n");
	has_text(DROP_IN, "[" V3_RUNTIME ".cni]\n  bin_dirs = [\"/opt/cni/bin\"]\n");
	has_text(DROP_IN, "[" V3_RUNTIME ".containerd.runtimes.runc.options]\n  SystemdCgroup = true\n");
	f.host.containerd_version = (char *)"1.6.33";
	plan();
	has_text(CONFIG, "version = 2\n");
}

static void version_3_keeps_the_form_of_its_folders(void **state)
{
	(void)state;
	have_containerd("2.1.5");
	host_file(CONFIG, "version = 4\n[plugins.'io.containerd.cri.v1.runtime'.cni]\nbin_dir = '/x'\n", 0644);
	plan();
	has_text(DROP_IN, "version = 4\n");
	has_text(DROP_IN, "  bin_dir = \"/opt/cni/bin\"\n");
	lacks_text(DROP_IN, "bin_dirs");
	f.host.containerd_version = (char *)"2.0.4";
	host_file(CONFIG, "version = 3\n", 0644);
	plan();
	has_text(DROP_IN, "  bin_dir = \"/opt/cni/bin\"\n");
}

/* 1.x drops what other files say of a plugin of which the drop-in speaks. */
static void what_1_x_would_forget_is_repeated(void **state)
{
	(void)state;
	have_containerd("1.7.27");
	f.host.selinux_enabled = true;
	host_file(CONFIG,
		  "version = 2\n"
		  "[plugins.\"io.containerd.grpc.v1.cri\"]\n"
		  "  sandbox_image = \"theirs\" # old\n"
		  "  enable_selinux = false\n"
		  "  cni.max_conf_num = 2\n"
		  "[plugins.'io.containerd.grpc.v1.cri'.containerd]\n"
		  "  default_runtime_name = 'nvidia'\n"
		  "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.nvidia]\n"
		  "  pod_annotations = [\n    \"a\", # one\n  ]\n"
		  "[plugins.'io.containerd.grpc.v1.cri'.registry]\n"
		  "  config_path = '/etc/docker/certs.d'\n"
		  "[plugins.'io.containerd.grpc.v1.cri'.x509_key_pair_streaming]\n"
		  "[plugins.other]\n  y = 1\n", 0644);
	plan();
	assert_string_equal(strstr(text_of(DROP_IN), "version"),
			    "version = 2\n"
			    "\n[" V2 "]\n"
			    "  enable_selinux = false\n"
			    "  sandbox_image = \"registry.example/pause:3.10\"\n"
			    "\n[" V2 ".cni]\n"
			    "  max_conf_num = 2\n"
			    "  bin_dir = \"/opt/cni/bin\"\n"
			    "  conf_dir = \"/etc/cni/net.d\"\n"
			    "\n[" V2 ".containerd]\n"
			    "  default_runtime_name = 'nvidia'\n"
			    "\n[" V2 ".containerd.runtimes.nvidia]\n"
			    "  pod_annotations = [\n    \"a\", # one\n  ]\n"
			    "\n[" V2 ".registry]\n"
			    "  config_path = \"/etc/docker/certs.d:/etc/containerd/certs.d\"\n"
			    "\n[" V2 ".x509_key_pair_streaming]\n"
			    "\n[" V2 ".containerd.runtimes.runc]\n"
			    "  runtime_type = \"io.containerd.runc.v2\"\n"
			    "\n[" V2 ".containerd.runtimes.runc.options]\n"
			    "  SystemdCgroup = true\n");
	f.host.containerd_version = (char *)"2.0.0";
	plan();
	lacks_text(DROP_IN, "nvidia");
	lacks_text(DROP_IN, "selinux");
}

static void imports_count_as_containerd_reads_them(void **state)
{
	(void)state;
	have_containerd("1.7.27");
	host_file("/etc/containerd/conf.d/10-a.toml", "version = 2\n[" V2 "]\n  a = 1\n", 0644);
	host_file("/etc/containerd/conf.d/20-b.toml", "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n"
						      "version = 2\n[" V2 "]\n  b = 2\n", 0600);
	host_file("/etc/containerd/conf.d/30-c.txt", "garbage", 0644);
	host_file(CONFIG, "version = 2\nimports = ['conf.d/*.toml']\n[" V2 "]\n  c = 3\n", 0644);
	plan();
	has_text(DROP_IN, "  b = 2\n");
	lacks_text(DROP_IN, "a = 1");
	lacks_text(DROP_IN, "c = 3");
	/* What is repeated is no more public than it was. */
	assert_int_equal(get(BYOH_ACTION_FILE, DROP_IN)->mode, 0600);
	assert_true(get(BYOH_ACTION_FILE, DROP_IN)->secret);
	assert_string_equal(text_of("/etc/containerd/conf.d/20-b.toml"),
			    "disabled_plugins = []\nversion = 2\n[" V2 "]\n  b = 2\n");
	assert_int_equal(get(BYOH_ACTION_FILE, "/etc/containerd/conf.d/20-b.toml")->mode, 0600);
	assert_null(find(BYOH_ACTION_FILE, "/etc/containerd/conf.d/10-a.toml"));
	/* What a plan does not name any more is given back. */
	host_file("/etc/containerd/conf.d/20-b.toml", "disabled_plugins = []\nversion = 2\n[" V2 "]\n  b = 2\n", 0600);
	plan();
	get(BYOH_ACTION_FILE, "/etc/containerd/conf.d/20-b.toml");
	refuses("version = 2\nimports = ['/etc/*/x.toml']\n", "a pattern of folders");
	refuses("version = 2\nimports = ['/etc/x.toml']\n", "/etc/x.toml, which is not there");
	host_file("/etc/containerd/conf.d/20-b.toml", "\nimports = ['x']\n", 0644);
	refuses("version = 2\nimports = ['conf.d/*.toml']\n", "20-b.toml: line 2: it is imported and imports");
}

static void what_cannot_be_merged_is_named(void **state)
{
	static const struct {
		const char *config, *words;
	} rows[] = {
		{ "version = 2\n\x01\n", CONFIG ": line 2: a key was expected" },
		{ "version = 1\n", CONFIG ": line 1: only version 2 of the configuration" },
		{ "version = 3\n", CONFIG ": line 1: only version 2 of the configuration" },
		{ "[plugins.cri]\n", CONFIG ": line 1: plugins are set in a file without" },
		{ "version = 2\nplugins = {}\n", CONFIG ": line 2: this inline table" },
		{ "version = 2\n[" V2 "]\nregistry = {}\n", CONFIG ": line 3: this inline table" },
		{ "version = 2\n[[" V2 ".x]]\n", CONFIG ": line 2: arrays of tables" },
		{ "disabled_plugins = [\"cri\", \"aufs\"]\n", CONFIG ": line 1: disabled_plugins has \"aufs\"" },
		{ "version = 2\nimports = 'x'\n", CONFIG ": line 2: a list in brackets" },
		{ "version = 2\ndisabled_plugins = [\"c\\u0072i\"]\n", CONFIG ": line 2: a plain string" },
		{ "version = 2\n[grpc]\naddress = '/run/other.sock'\n", CONFIG ": line 3: its socket is not" },
		{ "version = 2\n[" V2 ".registry]\nconfig_path = 1\n", CONFIG ": line 3: a plain string" },
	};

	(void)state;
	have_containerd("1.6.20~ds1");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		refuses(rows[i].config, rows[i].words);
	host_file(CONFIG, "version = 2\n[grpc]\naddress = \"/run/containerd/containerd.sock\"\n", 0644);
	plan();
}

static void registries_of_the_old_form_exclude_ours(void **state)
{
	static const char config[] = "version = 2\n[" V2 ".registry.mirrors.'docker.io']\nendpoint = []\n";
	struct byoh_mirror mirror = { .registry = (char *)"docker.io" };
	char *endpoint[] = { (char *)"https://registry.lan" };

	(void)state;
	have_containerd("1.7.27");
	host_file(CONFIG, config, 0644);
	plan();
	lacks_text(DROP_IN, "config_path");
	has_text(DROP_IN, "[" V2 ".registry.mirrors.\"docker.io\"]\n  endpoint = []\n");
	mirror.endpoints = (struct byoh_strings){ 1, endpoint };
	f.config.mirrors = &mirror;
	f.config.mirror_count = 1;
	refuses(config, CONFIG ": line 2: registries are configured here");
}

static void credentials_stay_closed(void **state)
{
	struct byoh_registry_config config = { .registry = (char *)"a.lan:5000", .password = (char *)"p\"w" };

	(void)state;
	have_containerd("1.7.27");
	f.config.registry_configs = &config;
	f.config.registry_config_count = 1;
	plan();
	has_text(DROP_IN, "[" V2 ".registry.configs.\"a.lan:5000\".auth]\n  password = \"p\\\"w\"\n");
	assert_int_equal(get(BYOH_ACTION_FILE, DROP_IN)->mode, 0600);
	assert_true(get(BYOH_ACTION_FILE, DROP_IN)->secret);
	f.host.containerd_version = (char *)"2.0.0";
	plan();
	lacks_text(DROP_IN, "auth");
	assert_int_equal(get(BYOH_ACTION_FILE, DROP_IN)->mode, 0644);
}

static void hosts_that_cannot_be_adopted_are_named(void **state)
{
	(void)state;
	have_containerd("1.5.9");
	refuses("", "needs 1.6 or newer");
	f.host.containerd_version = (char *)"";
	refuses("", "install on the running host");
	f.host.containerd_version = (char *)"1.6";
	f.host.containerd_unit = NULL;
	refuses("", "no containerd.service");
	f.host.containerd_unit = (char *)UNIT;
	host_file(UNIT, "[Service]\nExecStart=/usr/bin/containerd --log-level debug --config=/etc/other.toml\n", 0644);
	refuses("", "another configuration (/etc/other.toml)");
	host_file(UNIT, "[Service]\nExecStart=/usr/bin/containerd --config " CONFIG "\n", 0644);
	plan();
	host_file("/etc/systemd/system/containerd.service.d/x.conf",
		  "[Service]\nExecStart=\nExecStart=/usr/bin/containerd -c /x.toml\n", 0644);
	refuses("", "containerd.service.d/x.conf starts containerd with another");
}

static void without_one_ours_comes(void **state)
{
	(void)state;
	bring_node("2.1.4", "v1.34.1");
	f.config.containerd.existing = BYOH_EXISTING_ADOPT;
	plan();
	get(BYOH_ACTION_FILE, "/usr/local/bin/containerd");
	get(BYOH_ACTION_FILE, UNITS "containerd.service");
	has_text(CONFIG, "version = 3\nroot");
	assert_null(find(BYOH_ACTION_FILE, DROP_IN));
	assert_null(find(BYOH_ACTION_FILE, BYOH_ADOPTED_PATH));
}

static void replaced_it_makes_room(void **state)
{
	const struct byoh_action *unit;

	(void)state;
	have_containerd("1.6.20~ds1");
	f.config.containerd.existing = BYOH_EXISTING_REPLACE;
	host_file(CONFIG, debians, 0644);
	plan();
	get(BYOH_ACTION_FILE, "/usr/local/bin/containerd");
	get(BYOH_ACTION_FILE, UNITS "containerd.service");
	links_to(WANTED "containerd.service", UNITS "containerd.service");
	/* Stands in the plan whether there is one or not, so that it does not come back. */
	get(BYOH_ACTION_REMOVE, "/etc/systemd/system/containerd.service");
	has_text(CONFIG, "version = 3\nroot");
	has_text(CONFIG, "        BinaryName = \"/usr/local/bin/runc\"\n");
	assert_null(find(BYOH_ACTION_FILE, DROP_IN));
	assert_null(find(BYOH_ACTION_REMOVE, "/usr/bin/containerd"));
	unit = get(BYOH_ACTION_UNIT, "containerd.service");
	assert_string_equal(unit->value, "started");
	f.config.containerd.existing = BYOH_EXISTING_REFUSE;
	plan();
	lacks_text(CONFIG, "BinaryName");
	assert_null(find(BYOH_ACTION_REMOVE, "/etc/systemd/system/containerd.service"));
}

static void an_adopted_one_keeps_its_folder(void **state)
{
	CLEANUP_FREE char *root = NULL, *other = NULL;

	(void)state;
	have_containerd("1.6.20~ds1");
	host_file(CONFIG, "version = 2\nroot = '/data/containerd'\n", 0644);
	assert_int_equal(byoh_steps_containerd_root(&f.input, &root, &f.error), 0);
	assert_string_equal(root, "/data/containerd");
	f.config.containerd.existing = BYOH_EXISTING_REPLACE;
	assert_int_equal(byoh_steps_containerd_root(&f.input, &other, &f.error), 0);
	assert_string_equal(other, "/var/lib/containerd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_what_the_host_lacks_comes),
		TEST(its_unit_starts_it_and_is_restarted),
		TEST(what_was_below_usr_local_stays_theirs),
		TEST(debians_configuration_is_extended),
		TEST(dockers_configuration_gets_cri_back),
		TEST(every_other_byte_stays),
		TEST(a_missing_configuration_is_written),
		TEST(version_3_keeps_the_form_of_its_folders),
		TEST(what_1_x_would_forget_is_repeated),
		TEST(imports_count_as_containerd_reads_them),
		TEST(what_cannot_be_merged_is_named),
		TEST(registries_of_the_old_form_exclude_ours),
		TEST(credentials_stay_closed),
		TEST(hosts_that_cannot_be_adopted_are_named),
		TEST(without_one_ours_comes),
		TEST(replaced_it_makes_room),
		TEST(an_adopted_one_keeps_its_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
