/* SPDX-License-Identifier: Apache-2.0 */
/* JoinConfigurations by version, and those that an agent left. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/yaml.h"
#include "installer/kubeadm-config.h"

#define TOKEN "abcdef.0123456789abcdef"
#define PIN "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct byoh_config config;
static struct byoh_kubelet_input input;
static struct byoh_buffer text;
static struct byoh_error error;

static int set_up(void **state)
{
	(void)state;
	memset(&config, 0, sizeof(config));
	config.join_mode = BYOH_JOIN_KUBEADM;
	config.cluster.server = (char *)"https://10.0.0.1:6443";
	config.cluster.ca = (struct byoh_buffer){ .data = (char *)"PEM", .size = 3 };
	config.cluster.token = (char *)TOKEN;
	input = (struct byoh_kubelet_input){ .config = &config, .version = { 1, 34, 1 },
					     .images_pinned = true };
	error = (struct byoh_error)BYOH_ERROR_INIT;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	byoh_buffer_release(&text);
	memset(&text, 0, sizeof(text));
	return 0;
}

static void write_for(unsigned int minor)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;

	byoh_buffer_release(&text);
	memset(&text, 0, sizeof(text));
	input.version = (struct byoh_kubernetes_version){ 1, minor, 2 };
	if (byoh_kubeadm_join_config(&input, &text, &error) < 0)
		fail_msg("1.%u: %s", minor, error.message);
	if (byoh_yaml_parse(text.data, text.size, "join", BYOH_ERROR_CONFIG, &doc, &error) < 0)
		fail_msg("no YAML: %s\n%s", error.message, text.data);
}

static void has(const char *words)
{
	if (!strstr(byoh_buffer_text(&text), words))
		fail_msg("nothing of \"%s\" in:\n%s", words, byoh_buffer_text(&text));
}

static void lacks(const char *words)
{
	if (strstr(byoh_buffer_text(&text), words))
		fail_msg("\"%s\" in:\n%s", words, text.data);
}

static void each_version_gets_its_own_api(void **state)
{
	static const struct {
		unsigned int minor;
		const char *api;
	} rows[] = { { 15, "v1beta2" }, { 20, "v1beta2" }, { 21, "v1beta2" }, { 22, "v1beta3" },
		     { 30, "v1beta3" }, { 31, "v1beta4" }, { 36, "v1beta4" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char line[64];

		write_for(rows[i].minor);
		snprintf(line, sizeof(line), "apiVersion: kubeadm.k8s.io/%s\nkind: JoinConfiguration\n", rows[i].api);
		has(line);
	}
	input.version.minor = 14;
	assert_int_equal(byoh_kubeadm_join_config(&input, &text, &error), -EINVAL);
	assert_int_equal(error.kind, BYOH_ERROR_CONFIG);
}

static void arguments_are_a_map_and_later_a_list(void **state)
{
	struct byoh_pair labels[] = { { (char *)"site", (char *)"a" }, { (char *)"rack", (char *)"7" } };

	(void)state;
	config.node.ip = (char *)"10.0.0.21";
	config.node.labels = (struct byoh_pairs){ 2, labels };
	config.node.max_pods = 50;
	config.node.serving_certificates = true;
	write_for(30);
	has("  kubeletExtraArgs:\n    cgroup-driver: \"systemd\"\n");
	has("    node-ip: \"10.0.0.21\"\n    node-labels: \"site=a,rack=7\"\n");
	has("    max-pods: \"50\"\n");
	has("    rotate-server-certificates: \"true\"\n");
	has("  timeout: 1m0s\nnodeRegistration:\n");
	write_for(31);
	has("  - name: node-ip\n    value: \"10.0.0.21\"\n  - name: node-labels\n    value: \"site=a,rack=7\"\n");
	has("timeouts:\n  discovery: 1m0s\n");
	lacks("  timeout:");
	lacks("hostname");
}

static void an_old_kubelet_takes_one_family(void **state)
{
	(void)state;
	config.node.ip = (char *)"10.0.0.21,fd00::21";
	write_for(21);
	has("node-ip: \"10.0.0.21,fd00::21\"");
	input.version.minor = 20;
	assert_int_equal(byoh_kubeadm_join_config(&input, &text, &error), -EINVAL);
	assert_non_null(strstr(error.message, "node.ip"));
}

static void the_kubelet_agrees_with_containerd_and_keeps_images(void **state)
{
	(void)state;
	input.images_pinned = false;
	input.sandbox_image = "registry.lan/pause:3.2";
	config.host.slices = true;
	write_for(20);
	has("cgroup-driver: \"systemd\"");
	has("image-gc-high-threshold: \"100\"");
	has("pod-infra-container-image: \"registry.lan/pause:3.2\"");
	has("runtime-cgroups: \"/runtime.slice/containerd.service\"");
	lacks("ignorePreflightErrors");
	input.images_pinned = true;
	write_for(35);
	lacks("pod-infra-container-image");
	lacks("image-gc");
	input.sandbox_image = NULL;
	config.host.slices = false;
	write_for(37);
	has("  kubeletExtraArgs: null\n");
}

static void swap_may_stay(void **state)
{
	(void)state;
	config.host.swap = true;
	write_for(20);
	has("  ignorePreflightErrors:\n  - Swap\n");
	has("fail-swap-on: \"false\"");
}

static void a_ca_means_discovery_by_file(void **state)
{
	(void)state;
	write_for(34);
	has("discovery:\n  file:\n    kubeConfigPath: /etc/byoh/kubeadm-discovery.conf\n  tlsBootstrapToken: \"" TOKEN "\"\n");
	lacks("bootstrapToken:");
	lacks("name: \"");
	byoh_buffer_release(&text);
	memset(&text, 0, sizeof(text));
	assert_int_equal(byoh_kubeadm_discovery(&config, &text, &error), 0);
	has("    certificate-authority-data: UEVN\n    server: \"https://10.0.0.1:6443\"\n");
	lacks(TOKEN);
}

static void without_a_ca_the_pin_stands_for_it(void **state)
{
	(void)state;
	config.cluster.ca.size = 0;
	config.cluster.ca_pin = (char *)PIN;
	config.host.hostname = (char *)"node10";
	write_for(34);
	has("  bootstrapToken:\n    apiServerEndpoint: \"10.0.0.1:6443\"\n    token: \"" TOKEN "\"\n"
	    "    caCertHashes:\n    - \"" PIN "\"\n");
	has("nodeRegistration:\n  name: \"node10\"\n  criSocket: unix:///run/containerd/containerd.sock\n");
	lacks("kubeConfigPath");
	lacks("unsafe");
}

static void taints_are_objects(void **state)
{
	char *taints[] = { (char *)"dedicated=gpu:NoSchedule", (char *)"example.org/x:NoExecute" };

	(void)state;
	config.node.taints = (struct byoh_strings){ 2, taints };
	write_for(20);
	has("  taints:\n  - key: \"dedicated\"\n    value: \"gpu\"\n    effect: NoSchedule\n"
	    "  - key: \"example.org/x\"\n    effect: NoExecute\n");
}

/*
 * What the agent left
 */

static bool mangled;

static void normalise(const char *given)
{
	byoh_buffer_release(&text);
	memset(&text, 0, sizeof(text));
	if (byoh_kubeadm_normalise(given, strlen(given), "request", "node10", &text, &mangled, &error) < 0)
		fail_msg("refused: %s\n%s", error.message, given);
}

static void refuses(const char *given, const char *words)
{
	byoh_buffer_release(&text);
	memset(&text, 0, sizeof(text));
	error = (struct byoh_error)BYOH_ERROR_INIT;
	if (byoh_kubeadm_normalise(given, strlen(given), "request", "node10", &text, &mangled, &error) >= 0)
		fail_msg("accepted:\n%s", given);
	assert_int_equal(error.kind, BYOH_ERROR_CONFIG);
	if (!strstr(error.message, words))
		fail_msg("\"%s\" says nothing of \"%s\"", error.message, words);
}

#define HEAD(api) "---\napiVersion: kubeadm.k8s.io/" api "\nkind: JoinConfiguration\n" \
		  "discovery:\n  bootstrapToken:\n    apiServerEndpoint: 10.0.0.1:6443\n    caCertHashes:\n    - " PIN "\n" \
		  "    token: " TOKEN "\n    unsafeSkipCAVerification: false\n"

static void a_mangled_map_becomes_a_list(void **state)
{
	(void)state;
	normalise(HEAD("v1beta4")
		  "nodeRegistration:\n  criSocket: unix:///run/containerd/containerd.sock\n  imagePullSerial: true\n"
		  "  kubeletExtraArgs:\n    node-labels: a=b,c=d\n    provider-id: byoh://other\n"
		  "  taints: []\ntimeouts: {discovery: 5m0s}\n");
	assert_true(mangled);
	has("  \"kubeletExtraArgs\":\n  - \"name\": \"node-labels\"\n    \"value\": \"a=b,c=d\"\n"
	    "  - \"name\": \"provider-id\"\n    \"value\": \"byoh://other\"\n");
	has("\"unsafeSkipCAVerification\": false\n");
	has("\"imagePullSerial\": true\n");
	has("\"taints\": []\n");
	has("\"discovery\": 5m0s\n");
	has("\"token\": " TOKEN "\n");
	has("- \"" PIN "\"\n");
	lacks("node10");
}

static void a_map_of_an_old_version_stays_one(void **state)
{
	(void)state;
	normalise(HEAD("v1beta2") "nodeRegistration:\n  kubeletExtraArgs: {max-pods: 50}\n");
	assert_false(mangled);
	has("  \"kubeletExtraArgs\":\n    \"max-pods\": \"50\"\n    \"provider-id\": \"byoh://node10\"\n");
}

static void a_list_that_nobody_mangled_stays_one(void **state)
{
	(void)state;
	normalise(HEAD("v1beta4") "nodeRegistration:\n  name: n\n  kubeletExtraArgs:\n  - {name: v, value: \"4\"}\n");
	assert_false(mangled);
	has("  - \"name\": \"v\"\n    \"value\": \"4\"\n  - \"name\": \"provider-id\"\n    \"value\": \"byoh://node10\"\n");
}

static void nothing_registered_gets_a_provider_id(void **state)
{
	(void)state;
	normalise(HEAD("v1beta3"));
	has("\"nodeRegistration\":\n  \"kubeletExtraArgs\":\n    \"provider-id\": \"byoh://node10\"\n");
	normalise(HEAD("v1beta4") "nodeRegistration: null\n");
	has("  - \"name\": \"provider-id\"\n");
	normalise(HEAD("v1beta4") "nodeRegistration: {kubeletExtraArgs: null}\n");
	has("  - \"name\": \"provider-id\"\n");
}

static void text_stays_text(void **state)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *node;

	(void)state;
	normalise(HEAD("v1beta3") "x:\n- \"true\"\n- 'a: b'\n- |\n  two\n  lines\n- ~\n-\n- [{deep: {er: [1, {}]}}]\n");
	assert_int_equal(byoh_yaml_parse(text.data, text.size, "again", BYOH_ERROR_CONFIG, &doc, &error), 0);
	node = byoh_yaml_get(byoh_yaml_root(doc), "x");
	assert_int_equal(node->count, 6);
	assert_true(node->items[0]->quoted);
	assert_string_equal(node->items[0]->text, "true");
	assert_string_equal(node->items[1]->text, "a: b");
	assert_string_equal(node->items[2]->text, "two\nlines\n");
	assert_true(byoh_yaml_is_null(node->items[3]));
	assert_true(byoh_yaml_is_null(node->items[4]));
	node = byoh_yaml_get(byoh_yaml_get(node->items[5]->items[0], "deep"), "er");
	assert_int_equal(node->count, 2);
	assert_int_equal(node->items[1]->type, BYOH_YAML_MAPPING);
}

/* Characters that YAML takes for line ends or does not take at all. */
static void odd_characters_stay(void **state)
{
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_yaml_node *node;

	(void)state;
	normalise(HEAD("v1beta3") "x: [\"a\\u2028b\", \"a\\x85b\", \"a\\x7fb\", \"a\\tb\", \"a\\ufeffb\"]\n");
	assert_int_equal(byoh_yaml_parse(text.data, text.size, "again", BYOH_ERROR_CONFIG, &doc, &error), 0);
	node = byoh_yaml_get(byoh_yaml_root(doc), "x");
	assert_string_equal(node->items[0]->text, "a\xe2\x80\xa8" "b");
	assert_string_equal(node->items[1]->text, "a\xc2\x85" "b");
	assert_string_equal(node->items[2]->text, "a\x7f" "b");
	assert_string_equal(node->items[3]->text, "a\tb");
	assert_string_equal(node->items[4]->text, "a\xef\xbb\xbf" "b");
}

static void what_is_no_workers_join_is_refused(void **state)
{
	(void)state;
	refuses("", "no JoinConfiguration");
	refuses("- a\n", "no JoinConfiguration");
	refuses("apiVersion: v1\nkind: Secret\n", "Secret");
	refuses("apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n", "InitConfiguration");
	refuses(HEAD("v1beta4") "controlPlane: {localAPIEndpoint: {}}\n", "control plane");
	refuses(HEAD("v1beta3") "nodeRegistration: {kubeletExtraArgs: [{name: a, value: b}]}\n", "v1beta4");
	refuses(HEAD("v1beta4") "nodeRegistration: {kubeletExtraArgs: [{name: a, valeu: b}]}\n", "valeu");
	refuses(HEAD("v1beta4") "nodeRegistration: {kubeletExtraArgs: [{value: b}]}\n", "name");
	refuses(HEAD("v1beta4") "nodeRegistration: {kubeletExtraArgs: text}\n", "kubeletExtraArgs");
	refuses(HEAD("v1beta4") "nodeRegistration: {kubeletExtraArgs: {a: [b]}}\n", "\"a\"");
	refuses(HEAD("v1beta4") "nodeRegistration: {kubeletExtraArgs: {a: \"b\\nEnvironment=x\"}}\n", "\"a\"");
	refuses(HEAD("v1beta4") "nodeRegistration: {kubeletExtraArgs: {a: 'b\" --v=9'}}\n", "\"a\"");
	refuses(HEAD("v1beta4") "nodeRegistration: {kubeletExtraArgs: {\"a b\": c}}\n", "a b");
	refuses(HEAD("v1beta4") "nodeRegistration: [a]\n", "nodeRegistration");
	refuses(HEAD("v1beta4") "kind: JoinConfiguration\n", "twice");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_version_gets_its_own_api),
		TEST(arguments_are_a_map_and_later_a_list),
		TEST(an_old_kubelet_takes_one_family),
		TEST(the_kubelet_agrees_with_containerd_and_keeps_images),
		TEST(swap_may_stay),
		TEST(a_ca_means_discovery_by_file),
		TEST(without_a_ca_the_pin_stands_for_it),
		TEST(taints_are_objects),
		TEST(a_mangled_map_becomes_a_list),
		TEST(a_map_of_an_old_version_stays_one),
		TEST(a_list_that_nobody_mangled_stays_one),
		TEST(nothing_registered_gets_a_provider_id),
		TEST(text_stays_text),
		TEST(odd_characters_stay),
		TEST(what_is_no_workers_join_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
