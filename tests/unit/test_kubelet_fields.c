/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/config.h"
#include "installer/kubelet-fields.h"

#define HEAD "apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: tlsBootstrap}\n"

static const char *const versions[] = { "1.20.2",  "1.22.17", "1.23.17", "1.24.17", "1.27.16",
					"1.31.14", "1.34.1",  "1.35.0",	 "1.36.2" };

static int parse(const char *text, struct byoh_config **ret, struct byoh_error *err)
{
	return byoh_config_parse(text, strlen(text), "c", NULL, NULL, ret, err);
}

/* What the kubelet of that version would be told; the failure otherwise. */
static int render(const char *yaml, const char *version, struct byoh_buffer *ret, struct byoh_error *err)
{
	CLEANUP_CONFIG struct byoh_config *config = NULL;
	struct byoh_kubelet_input input = { 0 };
	int r = parse(yaml, &config, err);

	if (r < 0)
		return r;
	input.config = config;
	assert_int_equal(byoh_kubernetes_version_parse(version, &input.version, NULL), 0);
	return byoh_kubelet_config(&input, ret, err);
}

static void test_all_that_is_written_is_known_to_every_version(void **state)
{
	static const char everything[] =
		HEAD "cluster: {podCIDR: \"10.244.0.0/16,fd00::/48\"}\nhost: {swap: true, slices: true}\n"
		     "node:\n  ip: 10.0.0.1,fd00::1\n  labels: {a: b}\n  taints: [\"k=v:NoSchedule\"]\n"
		     "  servingCertificates: true\n  maxPods: 20\n  resolvConf: /etc/kubelet-resolv.conf\n"
		     "  systemReserved: {cpu: 100m, memory: 256Mi}\n"
		     "  kubeReserved: {cpu: 1, memory: 512Mi, ephemeral-storage: 1Gi, pid: 1000}\n"
		     "  kubelet:\n    clusterDomain: site.lan\n    evictionHard: {memory.available: 5%}\n"
		     "    featureGates: {GracefulNodeShutdown: true}\n    shutdownGracePeriod: 30s\n"
		     "    kubeReservedCgroup: /runtime.slice\n    enforceNodeAllocatable: [pods, kube-reserved]\n";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		CLEANUP_BUFFER struct byoh_buffer text = { 0 };
		struct byoh_error err = BYOH_ERROR_INIT;

		if (render(everything, versions[i], &text, &err) < 0)
			fail_msg("%s: %s", versions[i], err.message);
		assert_non_null(strstr(text.data, "\nclusterDomain: \"site.lan\"\n"));
		assert_null(strstr(text.data, "cluster.local"));
		assert_non_null(strstr(text.data, "\nkubeReserved:\n  cpu: \"1\"\n  memory: \"512Mi\"\n"));
		assert_non_null(strstr(text.data, "\nsystemReserved:\n  cpu: \"100m\"\n"));
		assert_non_null(strstr(text.data, "\nresolvConf: \"/etc/kubelet-resolv.conf\"\n"));
		assert_non_null(strstr(text.data, "\nevictionHard:\n  \"memory.available\": \"5%\"\n"));
		assert_non_null(strstr(text.data, "\nfeatureGates:\n  \"GracefulNodeShutdown\": true\n"));
		assert_non_null(strstr(text.data, "\nenforceNodeAllocatable:\n- \"pods\"\n- \"kube-reserved\"\n"));
	}
}

static void test_fields_by_version(void **state)
{
	static const struct {
		const char *field;
		unsigned int since, gone;
	} rows[] = {
		{ "memoryManagerPolicy: Static", 21, 0 },
		{ "seccompDefault: true", 22, 0 },
		{ "registerNode: true", 23, 0 },
		{ "logging: {sanitization: true}", 0, 24 },
		{ "logging: {format: json}", 0, 0 },
		{ "logging: {verbosity: 3}", 23, 0 },
		{ "tracing: {samplingRatePerMillion: 100}", 25, 0 },
		{ "maxParallelImagePulls: 3", 27, 0 },
		{ "imageMaximumGCAge: 24h", 29, 0 },
		{ "containerLogMaxWorkers: 2", 30, 0 },
		{ "failCgroupV1: false", 31, 0 },
		{ "crashLoopBackOff: {maxContainerRestartPeriod: 60s}", 32, 0 },
		{ "mergeDefaultEvictionSettings: true", 33, 0 },
		{ "memoryReservationPolicy: TieredReservation", 36, 0 },
		{ "evictionPressureTransitionPeriod: 1m30s", 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(versions); k++) {
			CLEANUP_BUFFER struct byoh_buffer text = { 0 };
			struct byoh_error err = BYOH_ERROR_INIT;
			unsigned int minor = (unsigned int)atoi(versions[k] + 2);
			bool known = minor >= rows[i].since && (!rows[i].gone || minor < rows[i].gone);
			char yaml[512];

			snprintf(yaml, sizeof(yaml), HEAD "node: {kubelet: {%s}}\n", rows[i].field);
			if ((render(yaml, versions[k], &text, &err) == 0) != known)
				fail_msg("%s with %s: %s", rows[i].field, versions[k],
					 known ? err.message : "taken");
			assert_true(known || strstr(err.message, "would pass over it"));
		}
	}
}

/* Each with the words by which an operator finds what to do. */
static void test_refused(void **state)
{
	static const struct {
		const char *node, *words;
	} rows[] = {
		{ "kubelet: {maxPodz: 3}", "maxPodz" },
		{ "kubelet: {maxPods: 3}", "write node.maxPods" },
		{ "kubelet: {resolvConf: /x}", "write node.resolvConf" },
		{ "kubelet: {clusterDNS: [10.0.0.1]}", "write cluster.dns" },
		{ "kubelet: {authentication: {anonymous: {enabled: true}}}", "sets it by itself" },
		{ "kubelet: {serializeImagePulls: \"false\"}", "must be true or false" },
		{ "kubelet: {registryBurst: many}", "must be a whole number" },
		{ "kubelet: {syncFrequency: 60}", "duration like" },
		{ "kubelet: {logging: {verbose: 3}}", "verbose" },
		{ "kubelet: {evictionSoft: {memory.available: 1Gi}}", "evictionSoftGracePeriod" },
		{ "kubelet: {enforceNodeAllocatable: [pods, kube-reserved]}", "kubeReservedCgroup" },
		{ "kubelet: {enforceNodeAllocatable: [system-reserved-compressible]}", "systemReservedCgroup" },
		{ "kubelet: {kubeReservedCgroup: /runtime.slice}", "host.slices" },
		{ "kubelet: [a]", "mapping" },
		{ "kubelet: {reservedMemory: [1]}", "must be a mapping" },
		{ "kubelet: {kind: Pod}", "KubeletConfiguration" },
		{ "kubelet: {file: a, registryBurst: 3}", "given twice" },
		{ "kubelet: {file: [a]}", "name of a file" },
		{ "kubeReserved: {gpu: 1}", "kubeReserved" },
		{ "kubeReserved: {cpu: lots}", "kubeReserved" },
		{ "systemReserved: {memory: 1.Gi}", "systemReserved" },
		{ "resolvConf: resolv.conf", "absolute path" },
		{ "ip: \"10.0.0.1,10.0.0.2\"", "one of each family" },
		{ "ip: \"10.0.0.1,\"", "one of each family" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUFFER struct byoh_buffer text = { 0 };
		struct byoh_error err = BYOH_ERROR_INIT;
		char yaml[512];

		snprintf(yaml, sizeof(yaml), HEAD "node: {%s}\n", rows[i].node);
		if (render(yaml, "v1.34.1", &text, &err) == 0)
			fail_msg("%s was taken", rows[i].node);
		assert_int_equal(err.kind, BYOH_ERROR_CONFIG);
		if (!strstr(err.message, rows[i].words))
			fail_msg("%s: \"%s\" says nothing of \"%s\"", rows[i].node, err.message, rows[i].words);
	}
}

static void test_only_where_the_installer_writes_the_file(void **state)
{
	static const char *const keys[] = { "kubelet: {registryBurst: 3}", "kubeReserved: {cpu: 1}",
					    "systemReserved: {cpu: 1}", "resolvConf: /etc/r" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		CLEANUP_CONFIG struct byoh_config *config = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;
		char yaml[512];

		snprintf(yaml, sizeof(yaml),
			 "apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\njoin: {mode: kubeadm}\nnode: {%s}\n",
			 keys[i]);
		assert_true(parse(yaml, &config, &err) < 0);
		assert_non_null(strstr(err.message, "has no effect in join mode kubeadm"));
	}
}

static void test_families_by_version(void **state)
{
	CLEANUP_CONFIG struct byoh_config *config = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_kubelet_input input = { 0 };
	CLEANUP_BUFFER struct byoh_buffer old = { 0 }, new = { 0 }, proxy = { 0 };

	(void)state;
	assert_int_equal(parse(HEAD "cluster: {podCIDR: \"10.244.0.0/16,fd00::/48\"}\n"
				    "node: {ip: \"10.0.0.1,fd00::1\"}\n", &config, &err), 0);
	input.config = config;
	assert_int_equal(byoh_kubernetes_version_parse("1.20.15", &input.version, NULL), 0);
	assert_true(byoh_kubelet_flags(&input, &old, &err) < 0);
	assert_non_null(strstr(err.message, "node.ip"));
	assert_true(byoh_kube_proxy_config(&input.version, config, &proxy, &err) < 0);
	assert_non_null(strstr(err.message, "cluster.podCIDR"));
	assert_int_equal(byoh_kubernetes_version_parse("1.21.0", &input.version, NULL), 0);
	assert_int_equal(byoh_kubelet_flags(&input, &new, &err), 0);
	assert_non_null(strstr(new.data, "--node-ip=10.0.0.1,fd00::1"));
}

/* null takes a field of the top level away, as elsewhere in machines: */
static void test_null_is_absent(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	if (render(HEAD "node: {kubelet: {registryBurst: null, maxPods: ~, evictionSoft: null, port: 10250}}\n",
		   "1.34.1", &text, &err) < 0)
		fail_msg("%s", err.message);
	assert_null(strstr(text.data, "registryBurst"));
	assert_non_null(strstr(text.data, "\nport: 10250\n"));
}

static void test_nested_values_come_out_as_they_went_in(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	if (render(HEAD "node:\n  kubelet:\n    allowedUnsafeSysctls: []\n    memorySwap: {}\n"
			"    reservedMemory: [{numaNode: 0, limits: {memory: 1Gi}}]\n"
			"    staticPodURLHeader: {X-A: [b, 3]}\n    memoryThrottlingFactor: 0.8\n",
		   "1.34.1", &text, &err) < 0)
		fail_msg("%s", err.message);
	assert_non_null(strstr(text.data, "\nallowedUnsafeSysctls: []\nmemorySwap: {}\n"
					  "reservedMemory:\n-\n  numaNode: 0\n  limits:\n    \"memory\": \"1Gi\"\n"
					  "staticPodURLHeader:\n  \"X-A\":\n  - \"b\"\n  - \"3\"\n"
					  "memoryThrottlingFactor: 0.8\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_that_is_written_is_known_to_every_version),
		cmocka_unit_test(test_fields_by_version),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_only_where_the_installer_writes_the_file),
		cmocka_unit_test(test_families_by_version),
		cmocka_unit_test(test_null_is_absent),
		cmocka_unit_test(test_nested_values_come_out_as_they_went_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
