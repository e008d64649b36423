/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that there never were, judged: each cause of the host, containerd and the kubelet is named, and no other. */
#include "tests/unit/doctor-hosts.h"

#include <errno.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/report-doctor.h"

/*
 * The host
 */

static void healthy_hosts_have_no_cause(void **state)
{
	(void)state;
	make_node();
	is_healthy();
	make_agent();
	is_healthy();
	make_node();
	e.api = (struct byoh_api_evidence){ 0 };
	is_healthy();
}

static void what_is_not_installed_is_said_first(void **state)
{
	(void)state;
	host = (struct byoh_host){ .live = true, .cgroup_v2 = true, .hostname = (char *)"bare" };
	e = (struct byoh_evidence){ .host = &host, .containerd = { .systemd_cgroup = -1 } };
	names("not-installed");
	make_node();
	e.transaction = (char *)"cannot put /etc/x back: no space left on device";
	fails(BYOH_DOCTOR_KUBELET, NULL);
	names("transaction-open");
}

static void a_wrong_clock_is_told_by_what_it_cannot_be(void **state)
{
	(void)state;
	make_node();
	e.time.now = NOW - 400 * 86400;
	names("clock-wrong");
	says_to("date -u -s");
	make_node(); /* the hardware clock knows better */
	e.time.now = NOW + 400 * 86400;
	e.time.rtc = NOW;
	unreachable(EKEYEXPIRED, "certificate has expired");
	names("clock-wrong");
	make_joining(); /* nothing but the server's word */
	e.time.rtc = 0;
	unreachable(EKEYEXPIRED, "certificate is not yet valid");
	names("clock-wrong");
	saw("not yet valid");
	make_node(); /* a hardware clock in local time */
	e.time.rtc = NOW + 12 * 3600;
	is_healthy();
}

static void swap_is_the_cause_and_not_what_comes_of_it(void **state)
{
	struct byoh_swap swap = { (char *)"/swap.img", (char *)"file", false, -2 };
	static const char *const logs[] = {
		/* 1.20 */
		"F1121 12:19:50.977080     254 server.go:269] failed to run Kubelet: running with swap on is not supported, "
		"please disable swap! or set --fail-swap-on flag to false. /proc/swaps contained: [Filename Type]\n",
		/* 1.34 */
		"E1121 12:19:50.977080     254 run.go:72] \"command failed\" err=\"failed to run Kubelet: running with swap on is "
		"not supported, please disable swap or set --fail-swap-on flag to false\"\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(logs); i++) {
		make_node();
		host.swap_count = 1;
		host.swaps = &swap;
		fails(BYOH_DOCTOR_KUBELET, logs[i]);
		e.api.ready = (char *)"Unknown";
		e.api.ready_message = (char *)"Kubelet stopped posting node status.";
		drift("swap-off", "/swap.img", "in use");
		/* what systemd makes of it, as it is to be masked */
		drift("link", "/etc/systemd/system/swap.img.swap", "missing");
		drift("reload", "systemd", "to be reloaded");
		drift("unit", "kubelet.service", "stopped");
		names("swap-on");
		saw("/swap.img");
		saw("running with swap on");
		says_to("swapoff -a");
	}
	config.host.swap = true;
	fails(BYOH_DOCTOR_KUBELET, NULL);
	e.drift_count = 0;
	names("kubelet-fails");
}

static void control_groups_of_version_1_are_refused(void **state)
{
	(void)state;
	make_node();
	host.cgroup_v2 = false;
	fails(BYOH_DOCTOR_KUBELET,
	      "E1121 run.go:72] \"command failed\" err=\"failed to run Kubelet: kubelet is configured to not run on a host using "
	      "cgroup v1. cgroup v1 support is unsupported and will be removed in a future release\"\n");
	names("cgroup-v1");
	saw("configured to not run");
	says_to("systemd.unified_cgroup_hierarchy=1");
}

static void names_are_checked_and_compared(void **state)
{
	(void)state;
	make_node();
	host.hostname = (char *)"Worker_1";
	names("hostname-invalid");
	says_to("hostnamectl set-hostname worker");
	make_node();
	host.hostname = (char *)"other";
	fails(BYOH_DOCTOR_KUBELET, NULL);
	names("hostname-changed");
	make_agent();
	host.hostname = (char *)"other";
	names("hostname-changed");
	make_joining();
	e.api.status = 200;
	e.api.node_known = e.api.node_exists = true;
	e.api.node_machine_id = (char *)"ffffffffffffffffffffffffffffffff";
	e.api.ready = (char *)"True";
	names("node-name-taken");
	saw("ffffffffffffffffffffffffffffffff");
}

static void modules_and_parameters_come_from_the_plan(void **state)
{
	(void)state;
	make_node();
	drift("module", "br_netfilter", "not loaded");
	drift("sysctl", "net.bridge.bridge-nf-call-iptables", "missing");
	names("kernel-module-missing");
	says_to("modprobe br_netfilter");
	make_node();
	drift("sysctl", "net.ipv4.ip_forward", "different");
	names("kernel-parameter-changed");
}

static void a_full_disk_is_disk_pressure(void **state)
{
	(void)state;
	make_node();
	e.disks[0].available = 5;
	drift("image", "registry.k8s.io/tools:1", "missing");
	e.containerd.images.count = 1;
	names_all((const char *const[]){ "disk-pressure", "images-missing", NULL });
	make_node();
	e.disks[1].free_inodes = 1;
	names("disk-pressure");
	saw("inodes");
	make_node();
	e.api.disk_pressure = true;
	names("disk-pressure");
}

static void room_is_looked_for_where_it_is_missing(void **state)
{
	static const char node[] = "du -x -d 2 -h /var/lib/kubelet | sort -h | tail",
			  image[] = "du -x -d 2 -h /srv | sort -h | tail", journals[] = "journalctl --vacuum-size=200M";

	(void)state;
	make_node();
	e.disks[0].available = 5;
	names("disk-pressure");
	mends_by((const char *const[]){ node, journals, NULL });
	make_node();
	e.disks[1].available = 5;
	e.disks[1].mount = (char *)"/srv";
	names("disk-pressure");
	mends_by((const char *const[]){ image, NULL });
	e.disks[0].available = 5;
	names("disk-pressure");
	mends_by((const char *const[]){ node, image, journals, NULL });
	e.disks[0].mount = e.disks[1].mount = (char *)"/";
	names("disk-pressure");
	mends_by((const char *const[]){ "du -x -d 2 -h / | sort -h | tail", journals, NULL });
	make_node();
	e.api.disk_pressure = true;
	names("disk-pressure");
	mends_by((const char *const[]){ node, "du -x -d 2 -h /var/lib/containerd | sort -h | tail", journals, NULL });
}

static void only_units_of_the_host_are_restarted(void **state)
{
	(void)state;
	make_node();
	host.hostname = (char *)"Worker_1";
	names("hostname-invalid");
	mends_by((const char *const[]){ "hostnamectl set-hostname worker", "systemctl restart kubelet", NULL });
	make_agent();
	host.hostname = (char *)"other";
	names("hostname-changed");
	mends_by((const char *const[]){ "hostnamectl set-hostname worker", "systemctl restart byoh-hostagent", NULL });
	run_unit(BYOH_DOCTOR_KUBELET);
	names("hostname-changed");
	says_to("systemctl restart kubelet byoh-hostagent");
	make_joining();
	e.api.status = 200;
	e.api.node_known = e.api.node_exists = true;
	e.api.node_machine_id = (char *)"ffffffffffffffffffffffffffffffff";
	e.api.ready = (char *)"True";
	names("node-name-taken");
	mends_by((const char *const[]){ "hostnamectl set-hostname NAME (one that no other host has)",
					"systemctl restart kubelet", NULL });
}

/*
 * containerd
 */

static void containerd_without_cri_explains_the_kubelet(void **state)
{
	(void)state;
	make_node();
	e.containerd.cri_disabled_line = 3;
	e.containerd.cri = NULL;
	fails(BYOH_DOCTOR_KUBELET, "E1121 run.go:72] \"command failed\" err=\"failed to run Kubelet: validate service connection: "
				   "validate CRI v1 runtime API for endpoint \\\"unix:///run/containerd/containerd.sock\\\": rpc error: "
				   "code = Unimplemented desc = unknown service runtime.v1.RuntimeService\"\n");
	drift("file", "/etc/containerd/config.toml", "different");
	drift("unit", "kubelet.service", "stopped");
	names("cri-disabled");
	saw("config.toml:3");
	saw("unknown service");
	make_node(); /* the same line in a file of version 2 */
	e.containerd.cri_disabled_line = 1;
	e.containerd.cri = NULL;
	e.containerd.answers = e.containerd.images_known = false;
	fails(BYOH_DOCTOR_CONTAINERD, "containerd: failed to load TOML from /etc/containerd/config.toml: invalid disabled plugin URI "
				      "\"cri\" expect io.containerd.x.vx\n");
	drift("file", "/etc/containerd/config.toml", "different");
	names("cri-disabled");
	make_node();
	e.containerd.cri = (char *)"error";
	fails(BYOH_DOCTOR_KUBELET, NULL);
	names("cri-failed");
	make_node();
	e.containerd.fault = (char *)"line 7: this is no TOML";
	fails(BYOH_DOCTOR_CONTAINERD, "containerd: failed to load TOML: /etc/containerd/config.toml: (7, 1): parsing error\n");
	e.containerd.answers = e.containerd.images_known = false;
	drift("file", "/etc/containerd/config.toml", "different");
	names("containerd-config-damaged");
}

static void the_driver_of_control_groups_is_compared(void **state)
{
	(void)state;
	make_node();
	e.kubernetes = (char *)"v1.33.2";
	e.containerd.systemd_cgroup = 0;
	drift("file", "/etc/containerd/config.toml", "different");
	drift("unit", "containerd.service", "to be restarted");
	drift("reload", "systemd", "to be reloaded");
	names("cgroup-driver-mismatch");
	e.drift_count = 0;
	e.kubernetes = (char *)"v1.34.1"; /* the runtime says which */
	is_healthy();
	make_node();
	e.kubernetes = (char *)"v1.20.2";
	e.kubelet.cgroup_driver = NULL;
	names("cgroup-driver-mismatch");
	saw("cgroupfs");
}

/*
 * The kubelet
 */

static void a_kubelet_that_ends_says_why(void **state)
{
	static const struct {
		const char *id, *log, *shows;
	} cases[] = {
		{ "kubelet-flag-unknown",
		  "F1121 12:19:50.977080     254 server.go:156] unknown flag: --network-plugin\n", "--network-plugin" },
		{ "kubelet-flag-unknown",
		  "E1121 run.go:72] \"command failed\" err=\"failed to parse kubelet flag: unknown flag: "
		  "--pod-infra-container-image\"\n", "--pod-infra" },
		{ "kubelet-flag-unknown",
		  "E1121 run.go:72] \"command failed\" err=\"failed to set feature gates from initial flags-based config: cannot "
		  "set feature gate NodeSwap to false, feature is locked to true\"\n", "NodeSwap" },
		{ "kubelet-label-refused",
		  "F1121 server.go:174] unknown 'kubernetes.io' or 'k8s.io' labels specified with --node-labels: "
		  "[node-role.kubernetes.io/node]\n", "node-role" },
		{ "kubelet-label-refused",
		  "E1121 run.go:72] \"command failed\" err=\"failed to validate kubelet flags: unknown 'kubernetes.io' or 'k8s.io' "
		  "labels specified with --node-labels: [node-role.kubernetes.io/node]\"\n", "node-role" },
		{ "kubelet-config-damaged",
		  "F1121 server.go:198] failed to load Kubelet config file /var/lib/kubelet/config.yaml, error failed to decode: "
		  "yaml: line 3: mapping values are not allowed in this context\n", "line 3" },
		{ "kubelet-config-damaged",
		  "E1121 run.go:72] \"command failed\" err=\"failed to validate kubelet configuration, error: invalid "
		  "configuration: maxPods must not be negative\"\n", "maxPods" },
		{ "kubelet-ca-missing",
		  "F1121 server.go:274] unable to load client CA file /etc/kubernetes/pki/ca.crt: open "
		  "/etc/kubernetes/pki/ca.crt: no such file or directory\n", "no such file" },
		{ "kubelet-ca-missing",
		  "E1121 run.go:72] \"command failed\" err=\"failed to construct kubelet dependencies: unable to load client CA "
		  "file /etc/kubernetes/pki/ca.crt: data does not contain any valid RSA or ECDSA certificates\"\n", "valid RSA" },
		{ "port-10250-taken",
		  "F1121 server.go:188] listen tcp 0.0.0.0:10250: bind: address already in use\n", "already in use" },
		{ "port-10250-taken",
		  "E1121 server.go:183] \"Failed to listen and serve\" err=\"listen tcp 0.0.0.0:10250: bind: address already in "
		  "use\"\n", "already in use" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_node();
		fails(BYOH_DOCTOR_KUBELET, cases[i].log);
		e.api.ready = (char *)"Unknown";
		drift("unit", "kubelet.service", "stopped");
		names(cases[i].id);
		saw(cases[i].shows);
	}
}

static void a_flag_is_found_where_it_stands(void **state)
{
	(void)state;
	make_node();
	fails(BYOH_DOCTOR_KUBELET, "F1121 server.go:156] unknown flag: --bogus\n");
	e.units[BYOH_DOCTOR_KUBELET].definition =
		(char *)"# /usr/local/lib/systemd/system/kubelet.service\n[Service]\nExecStart=/usr/local/bin/kubelet \\\n\t--config=x\n\n"
			"# /etc/systemd/system/kubelet.service.d/90-site.conf\n[Service]\nExecStart=\n"
			"ExecStart=/usr/local/bin/kubelet --config=x --bogus\n";
	names("kubelet-flag-unknown");
	says_to("90-site.conf");
	e.units[BYOH_DOCTOR_KUBELET].definition =
		(char *)"# /usr/local/lib/systemd/system/kubelet.service\n[Service]\nExecStart=/usr/local/bin/kubelet --bogus\n";
	names("kubelet-flag-unknown");
	says_to("byoh-install repair");
}

static void a_ca_that_is_gone_stops_the_kubelet(void **state)
{
	(void)state;
	make_node();
	e.kubelet.ca_exists = false;
	drift("file", "/etc/kubernetes/pki/ca.crt", "missing");
	names("kubelet-ca-missing");
}

static void who_has_the_port_is_named(void **state)
{
	(void)state;
	make_node();
	e.net.port_owner = (char *)"nc (pid 812)";
	fails(BYOH_DOCTOR_KUBELET, NULL);
	names("port-10250-taken");
	saw("nc (pid 812)");
}

/*
 * The rest
 */

static void what_nothing_explains_is_drift_or_its_last_words(void **state)
{
	(void)state;
	make_node();
	drift("file", "/usr/local/bin/kubelet", "missing");
	drift("unit", "kubelet.service", "stopped");
	fails(BYOH_DOCTOR_KUBELET, "kubelet.service: Failed at step EXEC spawning /usr/local/bin/kubelet: No such file\n");
	names("drift");
	saw("/usr/local/bin/kubelet");
	says_to("byoh-install repair");
	make_node();
	drift("reload", "systemd", "to be reloaded");
	names("drift");
	make_node();
	drift("link", "/etc/systemd/system/x.swap", "missing");
	names("drift");
	make_node();
	fails(BYOH_DOCTOR_KUBELET, "I1121 well\npanic: runtime error: index out of range\ngoroutine 1 [running]:\n");
	drift("unit", "kubelet.service", "stopped");
	names("kubelet-fails");
	saw("panic:");
	make_node();
	e.api.ready = (char *)"False";
	e.api.ready_message = (char *)"PLEG is not healthy";
	names("node-not-ready");
	make_node();
	e.release_fault = (char *)"the kept copy of the bundle is lost";
	names("release-damaged");
	make_node();
	e.containerd.answers = e.containerd.images_known = false;
	names("containerd-silent");
	make_node();
	fails(BYOH_DOCTOR_CONTAINERD, "exit\n");
	fails(BYOH_DOCTOR_KUBELET, "exit\n");
	e.containerd.answers = e.containerd.images_known = false;
	names("containerd-fails");
	make_agent();
	fails(BYOH_DOCTOR_AGENT, "exit\n");
	names("agent-fails");
	make_node();
	fails(BYOH_DOCTOR_KUBE_PROXY, "exit\n");
	names("kube-proxy-fails");
}

static void independent_causes_are_listed_the_widest_first(void **state)
{
	struct byoh_swap swap = { (char *)"/dev/sda2", (char *)"partition", false, -2 };

	(void)state;
	make_node();
	host.swap_count = 1;
	host.swaps = &swap;
	e.node.ca_bundle = "replaced";
	e.containerd.cri_disabled_line = 1;
	fails(BYOH_DOCTOR_KUBELET, NULL);
	names_all((const char *const[]){ "cri-disabled", "swap-on", "ca-bundle-replaced", NULL });
}

static void the_ids_are_used_once_a_meaning(void **state)
{
	static const struct byoh_cause *const tables[] = {
		byoh_causes_host,     byoh_causes_runtime, byoh_causes_kubelet, byoh_causes_network,
		byoh_causes_identity, byoh_causes_agent,   byoh_causes_pods,	byoh_causes_rest,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct byoh_cause *cause = tables[i]; cause->id; cause++)
			assert_true(strspn(cause->id, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(cause->id));
}

static void a_diagnosis_is_written_as_json(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };

	(void)state;
	make_node();
	e.node.ca_bundle = "replaced";
	byoh_diagnose(&e, &d);
	assert_int_equal(byoh_report_doctor_json(&e, &d, &text, NULL), 0);
	assert_non_null(strstr(text.data, "\"healthy\": false"));
	assert_non_null(strstr(text.data, "\"id\": \"ca-bundle-replaced\""));
	assert_non_null(strstr(text.data, "\"api\": \"answered\""));
	make_node();
	byoh_diagnose(&e, &d);
	text.size = 0;
	assert_int_equal(byoh_report_doctor_json(&e, &d, &text, NULL), 0);
	assert_non_null(strstr(text.data, "\"cause\": null"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(healthy_hosts_have_no_cause),
		cmocka_unit_test(what_is_not_installed_is_said_first),
		cmocka_unit_test(a_wrong_clock_is_told_by_what_it_cannot_be),
		cmocka_unit_test(swap_is_the_cause_and_not_what_comes_of_it),
		cmocka_unit_test(control_groups_of_version_1_are_refused),
		cmocka_unit_test(names_are_checked_and_compared),
		cmocka_unit_test(modules_and_parameters_come_from_the_plan),
		cmocka_unit_test(a_full_disk_is_disk_pressure),
		cmocka_unit_test(room_is_looked_for_where_it_is_missing),
		cmocka_unit_test(only_units_of_the_host_are_restarted),
		cmocka_unit_test(containerd_without_cri_explains_the_kubelet),
		cmocka_unit_test(the_driver_of_control_groups_is_compared),
		cmocka_unit_test(a_kubelet_that_ends_says_why),
		cmocka_unit_test(a_flag_is_found_where_it_stands),
		cmocka_unit_test(a_ca_that_is_gone_stops_the_kubelet),
		cmocka_unit_test(who_has_the_port_is_named),
		cmocka_unit_test(what_nothing_explains_is_drift_or_its_last_words),
		cmocka_unit_test(independent_causes_are_listed_the_widest_first),
		cmocka_unit_test(the_ids_are_used_once_a_meaning),
		cmocka_unit_test(a_diagnosis_is_written_as_json),
	};

	return cmocka_run_group_tests_name("doctor", tests, make_authorities, free_authorities);
}
