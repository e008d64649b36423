/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that there never were, judged: each cause is named, and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/doctor/cause.h"
#include "installer/doctor/gather.h"
#include "installer/doctor/report-doctor.h"
#include "tests/unit/certificates.h"

#define NOW 1800000000
#define SERVER "https://10.0.0.1:6443"

static struct byoh_host host;
static struct byoh_config config;
static struct byoh_evidence e;
static struct byoh_diagnosis d;
static char *our_ca, *their_ca;

static int make_authorities(void **state)
{
	(void)state;
	our_ca = test_certificate(true, NULL);
	their_ca = test_certificate(true, NULL);
	return 0;
}

static int free_authorities(void **state)
{
	(void)state;
	free(our_ca);
	free(their_ca);
	return 0;
}

static struct byoh_buffer as_buffer(const char *text)
{
	return (struct byoh_buffer){ .data = (char *)text, .size = strlen(text) };
}

static struct byoh_kubeconfig_evidence kubeconfig(bool certificate)
{
	return (struct byoh_kubeconfig_evidence){
		.exists = true, .mode = 0600, .server = (char *)SERVER,
		.ca = as_buffer(our_ca),
		.has_token = !certificate, .token_id = certificate ? NULL : (char *)"abcdef",
		.has_certificate = certificate, .identity = certificate ? (char *)"system:node:worker" : NULL,
		.not_before = certificate ? NOW - 1000 : 0, .not_after = certificate ? NOW + 1000000 : 0,
	};
}

static void run_unit(enum byoh_doctor_unit unit)
{
	e.units[unit] = (struct byoh_unit_evidence){ .state = "running", .up_seconds = 1000 };
}

static const struct byoh_cni_file own_cni = { .name = (char *)"10-bridge.conflist" };
static char *images[] = { (char *)"registry.k8s.io/pause:3.10", (char *)"registry.k8s.io/tools:1" };

/* A node of a cluster that was made by tlsBootstrap, and is Ready. */
static void make_node(void)
{
	host = (struct byoh_host){ .live = true, .cgroup_v2 = true, .hostname = (char *)"worker",
				   .machine_id = (char *)"0123456789abcdef0123456789abcdef" };
	config = (struct byoh_config){ .join_mode = BYOH_JOIN_TLS_BOOTSTRAP };
	config.cni.conflist_name = (char *)"10-bridge.conflist";
	e = (struct byoh_evidence){ .host = &host, .config = &config, .installed = true, .kubernetes = (char *)"v1.34.1" };
	e.node = (struct byoh_node_state){ .node = "joined", .ca_bundle = "whole" };
	for (enum byoh_doctor_unit i = BYOH_DOCTOR_CONTAINERD; i <= BYOH_DOCTOR_KUBE_PROXY; i++)
		run_unit(i);
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_BOOTSTRAP] = kubeconfig(false);
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG] = kubeconfig(true);
	e.time.now = e.time.rtc = NOW;
	e.time.installed_at = NOW - 5000;
	e.time.ca_not_before = NOW - 100000;
	e.time.ca_not_after = NOW + 100000000;
	e.containerd.configured = e.containerd.asked = e.containerd.answers = e.containerd.images_known = true;
	e.containerd.systemd_cgroup = 1;
	e.containerd.sandbox_image = (char *)"registry.k8s.io/pause:3.10";
	e.containerd.images = (struct byoh_strings){ 2, images };
	e.containerd.cri = (char *)"ok";
	e.kubelet.exists = e.kubelet.ca_exists = e.kubelet.resolv_exists = e.kubelet.answers = true;
	e.kubelet.cgroup_driver = (char *)"systemd";
	e.kubelet.ca_file = (char *)"/etc/kubernetes/pki/ca.crt";
	e.kubelet.resolv_conf = (char *)"/etc/resolv.conf";
	e.cni_count = 1;
	e.cni_files = (struct byoh_cni_file *)&own_cni;
	e.net.known = e.net.default_route = true;
	e.net.iptables = (char *)"iptables v1.8.9 (nf_tables)";
	e.disks[0] = (struct byoh_disk_evidence){ "nodefs", (char *)"/var/lib/kubelet", 100, 50, 100, 50, 10, 5 };
	e.disks[1] = (struct byoh_disk_evidence){ "imagefs", (char *)"/var/lib/containerd", 100, 50, 100, 50, 15, 5 };
	e.api = (struct byoh_api_evidence){
		.asked = true, .identity = "node", .status = 200, .node_known = true, .node_exists = true,
		.node_machine_id = host.machine_id, .node_address = (char *)"10.0.0.21", .ready = (char *)"True",
	};
}

/* The same before it has joined: the kubelet asks. */
static void make_joining(void)
{
	make_node();
	e.node.node = "joining";
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG] = (struct byoh_kubeconfig_evidence){ 0 };
	e.kubelet.asks = true;
	e.cni_count = 0;
	e.api = (struct byoh_api_evidence){ .asked = true, .identity = "token", .status = 403 };
}

/* A host of the agent that no cluster has claimed. */
static void make_agent(void)
{
	make_node();
	config.join_mode = BYOH_JOIN_AGENT;
	config.cni.conflist_name = NULL;
	memset(&e.kubelet, 0, sizeof(e.kubelet));
	memset(e.kubeconfigs, 0, sizeof(e.kubeconfigs));
	e.units[BYOH_DOCTOR_KUBELET].state = "waiting";
	e.units[BYOH_DOCTOR_KUBE_PROXY].state = NULL;
	run_unit(BYOH_DOCTOR_AGENT);
	e.kubeconfigs[BYOH_DOCTOR_AGENT_BOOTSTRAP] = kubeconfig(false);
	e.kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG] = kubeconfig(true);
	e.kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG].identity = (char *)"byoh:host:worker";
	e.node = (struct byoh_node_state){ .node = "unclaimed", .agent = "registered", .ca_bundle = "whole" };
	e.cni_count = 0;
	e.api = (struct byoh_api_evidence){ .asked = true, .identity = "agent", .status = 403 };
}

static void make_unregistered(const char *agent)
{
	make_agent();
	e.kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG] = (struct byoh_kubeconfig_evidence){ 0 };
	e.node.agent = agent;
	e.api.identity = "token";
}

static void fails(enum byoh_doctor_unit unit, const char *log)
{
	e.units[unit] = (struct byoh_unit_evidence){ .state = "failed", .log = (char *)log };
}

static void unreachable(int failure, const char *message)
{
	e.api = (struct byoh_api_evidence){ .asked = true, .identity = "token", .failure = failure,
					    .message = (char *)message };
}

static void is_healthy(void)
{
	byoh_diagnose(&e, &d);
	if (d.count)
		fail_msg("%s: %s", d.findings[0].cause->id, d.findings[0].what);
}

/* NULL-terminated: the cause, then what stands by itself. */
static void names_all(const char *const *ids)
{
	size_t count = 0;

	byoh_diagnose(&e, &d);
	for (; ids[count]; count++) {
		if (count >= d.count)
			fail_msg("%s is not named", ids[count]);
		assert_string_equal(d.findings[count].cause->id, ids[count]);
		assert_true(d.findings[count].what[0] && d.findings[count].evidence_count &&
			    d.findings[count].remedy_count);
	}
	if (d.count > count)
		fail_msg("%s is named beside %s", d.findings[count].cause->id, ids[0]);
}

static void names(const char *id)
{
	names_all((const char *const[]){ id, NULL });
}

static void saw(const char *text)
{
	for (size_t i = 0; i < d.findings[0].evidence_count; i++)
		if (strstr(d.findings[0].evidence[i].text, text) || strstr(d.findings[0].evidence[i].source, text))
			return;
	fail_msg("%s shows nothing of \"%s\"", d.findings[0].cause->id, text);
}

static void says_to(const char *command)
{
	for (size_t i = 0; i < d.findings[0].remedy_count; i++)
		if (strstr(d.findings[0].remedies[i], command))
			return;
	fail_msg("%s does not say to %s", d.findings[0].cause->id, command);
}

static void drift(const char *kind, const char *subject, const char *word)
{
	static struct byoh_drift_evidence drifts[8];

	if (!e.drift_count)
		e.drifts = drifts;
	drifts[e.drift_count++] = (struct byoh_drift_evidence){ kind, (char *)subject, word, false };
}

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
	names("cgroup-driver-mismatch");
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
 * The way to the API server
 */

static void a_missing_route_explains_an_unreachable_server(void **state)
{
	(void)state;
	make_joining();
	e.net.default_route = false;
	unreachable(ENETUNREACH, "cannot connect to 10.0.0.1: Network unreachable");
	names("no-default-route");
	make_node();
	e.net.default_route = false;
	names("no-default-route");
}

static void what_the_server_does_decides(void **state)
{
	static const struct {
		int failure;
		const char *id;
	} cases[] = {
		{ EADDRNOTAVAIL, "server-name-unknown" }, { ECONNREFUSED, "server-unreachable" },
		{ EHOSTUNREACH, "server-unreachable" },	  { ENETUNREACH, "server-unreachable" },
		{ ETIMEDOUT, "server-unreachable" },	  { EPROTO, "server-unreachable" },
		{ ECONNRESET, "server-unreachable" },	  { EKEYREJECTED, "ca-mismatch" },
		{ EREMCHG, "server-certificate-name" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_joining();
		unreachable(cases[i].failure, "why");
		names(cases[i].id);
		saw("why");
		make_unregistered("unregistered");
		unreachable(cases[i].failure, "why");
		names(cases[i].id);
	}
	make_node();
	e.api.status = 503;
	e.api.node_known = false;
	names("server-unwell");
}

static void what_services_say_does_where_nobody_was_asked(void **state)
{
	static const struct {
		const char *id, *log;
	} cases[] = {
		{ "ca-mismatch", "E1121 bootstrap.go:1] failed: Post \"https://10.0.0.1:6443/apis\": tls: failed to verify "
				 "certificate: x509: certificate signed by unknown authority\n" },
		{ "server-unreachable", "E1121 reflector.go:138] failed to list *v1.Node: Get \"https://10.0.0.1:6443/api\": dial tcp "
					"10.0.0.1:6443: connect: connection refused\n" },
		{ "server-name-unknown", "E1121 Get \"https://api.site:6443\": dial tcp: lookup api.site on 10.0.0.2:53: no such "
					 "host\n" },
		{ "token-rejected", "F1121 server.go:269] failed to run Kubelet: cannot create certificate signing request: "
				    "Unauthorized\n" },
		{ "csr-forbidden", "F1121 server.go:269] failed to run Kubelet: cannot create certificate signing request: "
				   "certificatesigningrequests.certificates.k8s.io is forbidden: User \"system:bootstrap:abcdef\" "
				   "cannot create resource \"certificatesigningrequests\" in API group\n" },
		{ "csr-denied", "E1121 certificate signing request is denied, reason: NotApproved, message: no\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_joining();
		e.api = (struct byoh_api_evidence){ 0 };
		fails(BYOH_DOCTOR_KUBELET, cases[i].log);
		names(cases[i].id);
	}
}

/*
 * Who the host is
 */

static void tokens_and_certificates_are_judged(void **state)
{
	(void)state;
	make_joining();
	e.api.status = 401;
	fails(BYOH_DOCTOR_KUBELET,
	      "F1121 server.go:269] failed to run Kubelet: cannot create certificate signing request: Unauthorized\n");
	names("token-rejected");
	saw("Unauthorized");
	says_to("byoh-install join --token-file");
	make_unregistered("unregistered");
	e.api.status = 401;
	names("token-rejected");
	make_node();
	e.api.status = 401;
	e.api.node_known = false;
	names("certificate-rejected");
	make_node();
	e.node.certificate = "expired";
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG].not_after = NOW - 10;
	e.api.status = 401;
	e.api.node_known = false;
	names("certificate-expired");
}

static void missing_and_damaged_credentials_are_named(void **state)
{
	(void)state;
	make_joining();
	e.node.node = "waiting";
	e.kubelet.asks = false;
	e.units[BYOH_DOCTOR_KUBELET].state = "waiting";
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_BOOTSTRAP] = (struct byoh_kubeconfig_evidence){ 0 };
	e.api = (struct byoh_api_evidence){ 0 };
	names("credentials-missing");
	make_joining();
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_BOOTSTRAP].fault = (char *)"line 3: no YAML";
	e.api = (struct byoh_api_evidence){ 0 };
	e.kubelet.asks = false;
	fails(BYOH_DOCTOR_KUBELET, NULL);
	drift("file", "/etc/kubernetes/bootstrap-kubeconfig", "different");
	names("kubeconfig-damaged");
	make_node();
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_BOOTSTRAP].mode = 0644;
	drift("file", "/etc/kubernetes/bootstrap-kubeconfig", "different");
	names("kubeconfig-mode");
	says_to("chmod 600 /etc/kubernetes/bootstrap-kubeconfig");
}

static void what_kubeadm_said_is_passed_on(void **state)
{
	(void)state;
	make_joining();
	config.join_mode = BYOH_JOIN_KUBEADM;
	memset(e.kubeconfigs, 0, sizeof(e.kubeconfigs));
	memset(&e.kubelet, 0, sizeof(e.kubelet));
	e.units[BYOH_DOCTOR_KUBELET].state = "waiting";
	e.api.identity = NULL;
	e.node.node = "failed";
	e.node.join = (struct byoh_join_record){ "failed", "the token has expired", "byoh-install join --token-file FILE" };
	names("kubeadm-join-failed");
	saw("the token has expired");
	says_to("byoh-install join --token-file FILE");
	unreachable(ECONNREFUSED, "refused");
	e.api.identity = NULL;
	e.node.join.state = "later";
	names("server-unreachable");
}

static struct byoh_csr_evidence request(const char *signer, const char *state)
{
	bool agent = strcmp(signer, "kubernetes.io/kube-apiserver-client") == 0;

	return (struct byoh_csr_evidence){ .name = (char *)(agent ? "byoh-csr-worker" : "node-csr-x"), .signer = (char *)signer,
					   .identity = (char *)"this", .state = state };
}

static void requests_are_judged(void **state)
{
	struct byoh_csr_evidence csr, several[2];

	(void)state;
	make_joining();
	csr = request("kubernetes.io/kube-apiserver-client-kubelet", "pending");
	e.api.csrs = &csr;
	e.api.csr_count = 1;
	names("csr-pending");
	says_to("kubectl certificate approve node-csr-x");
	several[0] = several[1] = csr; /* the kubelet waits for the one that it asked for last */
	several[0].name = (char *)"csr-late";
	strcpy(several[0].created, "2026-11-21T19:02:19Z");
	strcpy(several[1].created, "2026-11-21T18:59:35Z");
	e.api.csrs = several;
	e.api.csr_count = 2;
	names("csr-pending");
	says_to("kubectl certificate approve csr-late");
	e.api.csrs = &csr;
	e.api.csr_count = 1;
	csr.state = "denied";
	csr.reason = (char *)"not ours";
	fails(BYOH_DOCTOR_KUBELET, "E1121 certificate signing request is denied, reason: x, message: y\n");
	names("csr-denied");
	says_to("kubectl delete csr node-csr-x");
	make_joining(); /* no server to ask */
	e.api = (struct byoh_api_evidence){ 0 };
	names("csr-pending");
	make_unregistered("requested");
	csr = request("kubernetes.io/kube-apiserver-client", "pending");
	e.api.csrs = &csr;
	e.api.csr_count = 1;
	names("agent-csr-pending");
	says_to("kubectl certificate approve byoh-csr-worker");
	csr.other_key = true;
	names("agent-csr-stale");
	says_to("kubectl delete csr byoh-csr-worker");
	csr.other_key = false;
	csr.state = "denied";
	names("agent-csr-denied");
	make_unregistered("requested");
	e.api = (struct byoh_api_evidence){ 0 };
	names("agent-csr-pending");
	make_node();
	strcpy(e.node.proxy_request.state, "pending");
	strcpy(e.node.proxy_request.name, "byoh-kube-proxy-worker-1");
	e.units[BYOH_DOCTOR_KUBE_PROXY].state = "waiting";
	names("kube-proxy-csr-pending");
	says_to("kubectl certificate approve byoh-kube-proxy-worker-1");
	strcpy(e.node.proxy_request.state, "denied");
	names("kube-proxy-csr-pending");
	says_to("kubectl delete csr byoh-kube-proxy-worker-1");
	e.node.proxy_expires = NOW + 1;
	is_healthy();
	make_node();
	e.kubelet.serving_bootstrap = true;
	names("serving-csr-unapproved");
	csr = request("kubernetes.io/kubelet-serving", "pending");
	e.api.csrs = &csr;
	e.api.csr_count = 1;
	names("serving-csr-unapproved");
	says_to("approve node-csr-x");
}

/*
 * The agent
 */

static void what_an_agent_does_is_known(void **state)
{
	(void)state;
	make_agent();
	e.kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG].server = (char *)"https://192.0.2.7:6443";
	unreachable(ETIMEDOUT, "no answer");
	e.api.identity = "agent";
	names_all((const char *const[]){ "agent-config-stale", NULL });
	make_agent();
	e.kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG].ca = as_buffer(their_ca);
	unreachable(EKEYREJECTED, "not known to that CA");
	e.api.identity = "agent";
	names("agent-config-stale");
	says_to("rm /root/.byoh/config");
	make_agent();
	e.kubeadm_join_config = true;
	e.units[BYOH_DOCTOR_AGENT].log = (char *)"I1121 host_reconciler.go:200] k8s node successfully bootstrapped\n";
	names("agent-skipped-join");
	make_agent();
	fails(BYOH_DOCTOR_AGENT, "E1121 unable to start manager: listen tcp :8080: bind: address already in use\n");
	names("agent-port-taken");
	make_agent();
	e.node.node = "reset";
	e.node.reset = true;
	e.units[BYOH_DOCTOR_CONTAINERD].state = "stopped";
	e.containerd.answers = e.containerd.images_known = false;
	drift("unit", "containerd.service", "stopped");
	e.drifts[0].by_agent = true;
	names("host-reset");
	make_agent();
	e.api.node_known = e.api.node_exists = true;
	e.api.node_machine_id = host.machine_id;
	e.api.ready = (char *)"Unknown";
	names("node-left-behind");
	says_to("kubectl delete node worker");
	make_agent();
	e.node.ca_bundle = "replaced";
	drift("file", "/etc/ssl/certs/ca-certificates.crt", "different");
	names("ca-bundle-replaced");
}

/*
 * Pods
 */

static void cni_is_judged_by_the_first_file(void **state)
{
	struct byoh_cni_file files[] = { { .name = (char *)"00-foreign.conf" }, { .name = (char *)"10-bridge.conflist" } };

	(void)state;
	make_node();
	e.cni_count = 0;
	e.api.ready = (char *)"False";
	e.units[BYOH_DOCTOR_KUBELET].log =
		(char *)"E1121 kubelet.go:2160] Container runtime network not ready: NetworkReady=false "
			"reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized\n";
	drift("file", "/etc/cni/net.d/10-bridge.conflist", "missing");
	names("no-cni-config");
	saw("cni plugin not initialized");
	make_node();
	e.cni_files = files;
	e.cni_count = 2;
	names("cni-foreign-first");
	says_to("mv /etc/cni/net.d/00-foreign.conf /root/");
	files[0].fault = (char *)"line 1: no JSON";
	names_all((const char *const[]){ "cni-config-damaged", "cni-foreign-first", NULL });
	make_node();
	config.cni.conflist_name = NULL; /* a pod network of the cluster's own comes first by its own will */
	files[0] = (struct byoh_cni_file){ .name = (char *)"05-cilium.conflist" };
	e.cni_files = files;
	e.cni_count = 2;
	is_healthy();
	files[0].name = (char *)"10-containerd-net.conflist";
	names("cni-foreign-first");
	make_node();
	e.cni_files = files + 1;
	files[1].missing_plugin = (char *)"bridge";
	drift("file", "/opt/cni/bin/bridge", "missing");
	names("cni-plugin-missing");
}

static void images_are_told_apart(void **state)
{
	(void)state;
	make_node();
	e.containerd.images = (struct byoh_strings){ 1, images + 1 };
	drift("image", "registry.k8s.io/pause:3.10", "missing");
	names("pause-image-missing");
	make_node();
	e.containerd.sandbox_image = (char *)"registry.k8s.io/pause:3.6";
	drift("file", "/etc/containerd/config.toml", "different");
	names("pause-image-name");
	saw("pause:3.10");
	make_node();
	drift("image", "registry.k8s.io/tools:1", "missing");
	names("images-missing");
}

static void resolvers_are_judged(void **state)
{
	(void)state;
	make_node();
	e.kubelet.resolv_loop = (char *)"127.0.0.53";
	names("resolv-conf-loop");
	saw("127.0.0.53");
	make_node();
	e.kubelet.resolv_exists = false;
	names("resolv-conf-missing");
}

static void rules_that_cannot_be_written_are_told_apart(void **state)
{
	static const struct {
		const char *id, *log;
	} cases[] = {
		{ "iptables-module-missing",
		  "E1121 proxier.go:1612] Failed to execute iptables-restore: exit status 2 (iptables-restore v1.8.9 (nf_tables): "
		  "Couldn't load match `statistic':No such file or directory\n" },
		{ "iptables-module-missing",
		  "E1121 proxier.go:1612] Failed to execute iptables-restore: exit status 4 (Warning: Extension MASQUERADE revision 0 "
		  "not supported, missing kernel module?\n" },
		{ "iptables-backends-mixed",
		  "E1121 proxier.go:859] \"Failed to execute iptables-restore\" err=\"exit status 1: iptables-restore v1.8.9 "
		  "(nf_tables): table `filter' is incompatible, use 'nft' tool.\"\n" },
		{ "iptables-restore-fails",
		  "E1121 proxier.go:1612] Failed to execute iptables-restore for nat: exit status 1 (iptables-restore: line 7 failed\n" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_node();
		e.units[BYOH_DOCTOR_KUBE_PROXY].log = (char *)cases[i].log;
		names(cases[i].id);
	}
	make_node();
	e.net.legacy_tables = true;
	names("iptables-backends-mixed");
	e.net.iptables = (char *)"iptables v1.8.9 (legacy)";
	is_healthy();
	make_node();
	e.net.firewall = (char *)"ufw";
	names("firewall-closed");
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
		cmocka_unit_test(containerd_without_cri_explains_the_kubelet),
		cmocka_unit_test(the_driver_of_control_groups_is_compared),
		cmocka_unit_test(a_kubelet_that_ends_says_why),
		cmocka_unit_test(a_flag_is_found_where_it_stands),
		cmocka_unit_test(a_ca_that_is_gone_stops_the_kubelet),
		cmocka_unit_test(who_has_the_port_is_named),
		cmocka_unit_test(a_missing_route_explains_an_unreachable_server),
		cmocka_unit_test(what_the_server_does_decides),
		cmocka_unit_test(what_services_say_does_where_nobody_was_asked),
		cmocka_unit_test(tokens_and_certificates_are_judged),
		cmocka_unit_test(missing_and_damaged_credentials_are_named),
		cmocka_unit_test(what_kubeadm_said_is_passed_on),
		cmocka_unit_test(requests_are_judged),
		cmocka_unit_test(what_an_agent_does_is_known),
		cmocka_unit_test(cni_is_judged_by_the_first_file),
		cmocka_unit_test(images_are_told_apart),
		cmocka_unit_test(resolvers_are_judged),
		cmocka_unit_test(rules_that_cannot_be_written_are_told_apart),
		cmocka_unit_test(what_nothing_explains_is_drift_or_its_last_words),
		cmocka_unit_test(independent_causes_are_listed_the_widest_first),
		cmocka_unit_test(the_ids_are_used_once_a_meaning),
		cmocka_unit_test(a_diagnosis_is_written_as_json),
	};

	return cmocka_run_group_tests_name("doctor", tests, make_authorities, free_authorities);
}
