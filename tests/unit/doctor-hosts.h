/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that there never were, for the tests of what doctor makes of them. Each test program has them of its own. */
#ifndef BYOH_TESTS_DOCTOR_HOSTS_H
#define BYOH_TESTS_DOCTOR_HOSTS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "installer/doctor/cause.h"
#include "installer/doctor/gather.h"
#include "tests/unit/certificates.h"

#define NOW 1800000000
#define SERVER "https://10.0.0.1:6443"

static struct byoh_host host;
static struct byoh_config config;
static struct byoh_evidence e;
static struct byoh_diagnosis d;
static char *our_ca, *their_ca;

static inline int make_authorities(void **state)
{
	(void)state;
	our_ca = test_certificate(true, NULL);
	their_ca = test_certificate(true, NULL);
	return 0;
}

static inline int free_authorities(void **state)
{
	(void)state;
	free(our_ca);
	free(their_ca);
	return 0;
}

static inline struct byoh_buffer as_buffer(const char *text)
{
	return (struct byoh_buffer){ .data = (char *)text, .size = strlen(text) };
}

static inline struct byoh_kubeconfig_evidence kubeconfig(bool certificate)
{
	return (struct byoh_kubeconfig_evidence){
		.exists = true, .mode = 0600, .server = (char *)SERVER,
		.ca = as_buffer(our_ca),
		.has_token = !certificate, .token_id = certificate ? NULL : (char *)"abcdef",
		.has_certificate = certificate, .identity = certificate ? (char *)"system:node:worker" : NULL,
		.not_before = certificate ? NOW - 1000 : 0, .not_after = certificate ? NOW + 1000000 : 0,
	};
}

static inline void run_unit(enum byoh_doctor_unit unit)
{
	e.units[unit] = (struct byoh_unit_evidence){ .state = "running", .up_seconds = 1000 };
}

static const struct byoh_cni_file own_cni = { .name = (char *)"10-bridge.conflist" };
static char *images[] = { (char *)"registry.k8s.io/pause:3.10", (char *)"registry.k8s.io/tools:1" };

/* A node of a cluster that was made by tlsBootstrap, and is Ready. */
static inline void make_node(void)
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
	e.disks[0] = (struct byoh_disk_evidence){ "nodefs", (char *)"/var/lib/kubelet", 100, 50, 100, 50, 10, 5, NULL };
	e.disks[1] = (struct byoh_disk_evidence){ "imagefs", (char *)"/var/lib/containerd", 100, 50, 100, 50, 15, 5, NULL };
	e.api = (struct byoh_api_evidence){
		.asked = true, .identity = "node", .status = 200, .node_known = true, .node_exists = true,
		.node_machine_id = host.machine_id, .node_address = (char *)"10.0.0.21", .ready = (char *)"True",
	};
}

/* The same before it has joined: the kubelet asks. */
static inline void make_joining(void)
{
	make_node();
	e.node.node = "joining";
	e.kubeconfigs[BYOH_DOCTOR_KUBELET_KUBECONFIG] = (struct byoh_kubeconfig_evidence){ 0 };
	e.kubelet.asks = true;
	e.cni_count = 0;
	e.api = (struct byoh_api_evidence){ .asked = true, .identity = "token", .status = 403 };
}

/* A host of the agent that no cluster has claimed. */
static inline void make_agent(void)
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

static inline void make_unregistered(const char *agent)
{
	make_agent();
	e.kubeconfigs[BYOH_DOCTOR_AGENT_CONFIG] = (struct byoh_kubeconfig_evidence){ 0 };
	e.node.agent = agent;
	e.api.identity = "token";
}

static inline void fails(enum byoh_doctor_unit unit, const char *log)
{
	e.units[unit] = (struct byoh_unit_evidence){ .state = "failed", .log = (char *)log };
}

static inline void unreachable(int failure, const char *message)
{
	e.api = (struct byoh_api_evidence){ .asked = true, .identity = "token", .failure = failure,
					    .message = (char *)message };
}

static inline void is_healthy(void)
{
	byoh_diagnose(&e, &d);
	if (d.count)
		fail_msg("%s: %s", d.findings[0].cause->id, d.findings[0].what);
}

/* NULL-terminated: the cause, then what stands by itself. */
static inline void names_all(const char *const *ids)
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

static inline void names(const char *id)
{
	names_all((const char *const[]){ id, NULL });
}

static inline void saw(const char *text)
{
	for (size_t i = 0; i < d.findings[0].evidence_count; i++)
		if (strstr(d.findings[0].evidence[i].text, text) || strstr(d.findings[0].evidence[i].source, text))
			return;
	fail_msg("%s shows nothing of \"%s\"", d.findings[0].cause->id, text);
}

static inline void says_to(const char *command)
{
	for (size_t i = 0; i < d.findings[0].remedy_count; i++)
		if (strstr(d.findings[0].remedies[i], command))
			return;
	fail_msg("%s does not say to %s", d.findings[0].cause->id, command);
}

/* NULL-terminated: all of them, in order. */
static inline void mends_by(const char *const *remedies)
{
	size_t count = 0;

	for (; remedies[count]; count++)
		assert_string_equal(count < d.findings[0].remedy_count ? d.findings[0].remedies[count] : "", remedies[count]);
	assert_int_equal(d.findings[0].remedy_count, count);
}

static inline void drift(const char *kind, const char *subject, const char *word)
{
	static struct byoh_drift_evidence drifts[8];

	if (!e.drift_count)
		e.drifts = drifts;
	drifts[e.drift_count++] = (struct byoh_drift_evidence){ kind, (char *)subject, word, false };
}

#endif
