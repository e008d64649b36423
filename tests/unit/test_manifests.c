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
#include "bundle/base/yaml.h"
#include "installer/credentials.h"
#include "installer/manifests/manifests.h"
#include "tests/unit/certificates.h"

#define TOKEN "abcdef.0123456789abcdef"
#define HEAD "apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\n"

static char *ca_data;

static int setup(void **state)
{
	CLEANUP_FREE char *ca = test_certificate(true, NULL);

	(void)state;
	ca_data = test_base64(ca);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(ca_data);
	return 0;
}

/* The config of this text, with server and CA; NULL and err set where it is refused. */
static struct byoh_config *config_of(const char *rest, struct byoh_error *err)
{
	CLEANUP_FREE char *text = NULL;
	struct byoh_config *config = NULL;

	if (asprintf(&text, HEAD "cluster: {server: \"https://10.0.0.1:6443\", ca: {data: %s}}\n%s", ca_data, rest) < 0)
		abort();
	if (byoh_config_parse(text, strlen(text), "c", NULL, NULL, &config, err) < 0)
		return NULL;
	return config;
}

struct set {
	struct byoh_config *config;
	struct byoh_manifests files;
};

static void release_set(struct set *set)
{
	byoh_manifests_release(&set->files);
	byoh_config_free(set->config);
}

static void make(const char *rest, const char *cni, struct set *ret)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_manifests_input input;
	struct byoh_buffer network = { .data = (char *)cni, .size = cni ? strlen(cni) : 0 };
	struct byoh_buffer kubeconfig = { .data = (char *)"secret", .size = 6 };
	struct byoh_clusterctl clusterctl = {0};

	ret->config = config_of(rest, &err);
	if (!ret->config || byoh_manifests_prepare(ret->config, &input, &err) < 0)
		fail_msg("refused: %s\n%s", err.message, rest);
	for (size_t i = 0; i < BYOH_PROVIDERS; i++)
		clusterctl.components[i] = (struct byoh_provider){ "label", "name", "Type", "file.yaml", "v1.2.3" };
	input.token = TOKEN;
	input.token_is_new = true;
	input.expiration = "2026-11-21T17:04:25Z";
	input.cni = cni ? &network : NULL;
	input.cluster_kubeconfig = &kubeconfig;
	input.clusterctl = &clusterctl;
	input.folder = "/a \"folder\"";
	if (byoh_manifests_make(&input, &ret->files, &err) < 0)
		fail_msg("not made: %s\n%s", err.message, rest);
}

static const struct byoh_object_file *find(const struct set *set, const char *name)
{
	for (size_t i = 0; i < set->files.count; i++)
		if (strcmp(set->files.items[i].name, name) == 0)
			return &set->files.items[i];
	return NULL;
}

static bool ends_with(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

/* Each document by itself, as strictly as our own reader is; a kind has to be there. */
static void check_documents(const struct byoh_object_file *file, bool objects)
{
	CLEANUP_FREE char *copy = strdup(byoh_buffer_text(&file->text));
	char *next = copy;
	size_t count = 0;

	assert_non_null(copy);
	while (next && *next) {
		char *end = strstr(next + 1, "\n---\n");
		CLEANUP_YAML struct byoh_yaml *doc = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;
		const char *kind = NULL;

		if (end)
			end[1] = '\0';
		if (byoh_yaml_parse(next, strlen(next), file->name, BYOH_ERROR_CONFIG, &doc, &err) < 0)
			fail_msg("%s\n%s", err.message, next);
		/* What stands before the first "---" may be remarks alone. */
		if (objects && byoh_yaml_root(doc)) {
			assert_int_equal(byoh_yaml_read_string(doc, byoh_yaml_root(doc), "kind", true, &kind, &err), 0);
			count++;
		}
		next = end ? end + 1 : NULL;
		if (next)
			*next = '-';
	}
	assert_true(count || !objects);
}

static void check_set(const char *rest, const char *cni)
{
	CLEANUP(release_set) struct set set = {0};

	make(rest, cni, &set);
	for (size_t i = 0; i < set.files.count; i++) {
		const struct byoh_object_file *file = &set.files.items[i];

		if (ends_with(file->name, ".yaml"))
			check_documents(file, !strstr(file->name, "clusterctl"));
		/* No other file holds the token's secret half. */
		if (strstr(byoh_buffer_text(&file->text), "0123456789abcdef"))
			assert_int_equal(file->mode, 0600);
	}
	assert_non_null(find(&set, "README.md"));
}

static void test_every_set_parses(void **state)
{
	static const char *const configs[] = {
		"management: {kubernetesVersion: v1.34.1}\n",
		"management: {kubernetesVersion: v1.34.1, clusterAPI: v1beta2, namespace: \"123\", clusterName: \"true\"}\n",
		"management: {kubernetesVersion: v1.34.1, joinMode: kubeadm}\n",
		"management: {kubernetesVersion: v1.34.1, joinMode: kubeadm, clusterAPI: v1beta2}\n",
		"agent: {hostLabels: {\"1\": \"true\", a.b/c: \"\"}}\n"
		"management: {kubernetesVersion: v1.34.1, autoscaler: {min: 0, max: 1}, nodeLabels: {\"2\": \"no\"}, "
		"imageRepository: \"r.lan:5000/x\", capacity: {cpu: 1, memory: 1.5Gi, ephemeralDisk: 1Ti, maxPods: 9, "
		"gpuType: nvidia.com/gpu, gpuCount: 1, labels: a=b, taints: \"a:NoSchedule\", csiDrivers: a=1}, "
		"kubeVip: {address: \"fd00::1\", interface: eth0.1, image: \"a/b:c\"}}\n",
		"join: {mode: kubeadm}\n",
		"join: {mode: tlsBootstrap}\nkubeProxy: {nodeIdentity: true}\nnode: {servingCertificates: true}\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(configs); i++) {
		check_set(configs[i], NULL);
		check_set(configs[i], "  blanks: first\n\n\n---\nkind: Two\n\ttab\n---\n");
	}
}

static void test_network_comes_back_as_it_was(void **state)
{
	static const char text[] = "  leading: blanks\n\nkind: One # it's \"one\"\n";
	CLEANUP(release_set) struct set set = {0};
	CLEANUP_YAML struct byoh_yaml *doc = NULL;
	const struct byoh_object_file *file;
	const struct byoh_yaml_node *data;

	(void)state;
	make("management: {kubernetesVersion: v1.34.1}\n", text, &set);
	file = find(&set, "70-cni-01.yaml");
	assert_non_null(file);
	assert_int_equal(byoh_yaml_parse(file->text.data, file->text.size, "n", BYOH_ERROR_CONFIG, &doc, NULL), 0);
	data = byoh_yaml_get(byoh_yaml_get(byoh_yaml_root(doc), "data"), "cni-1.yaml");
	assert_non_null(data);
	assert_string_equal(data->text, text);
}

static void test_networks_are_cut_between_documents(void **state)
{
	static const struct {
		const char *text;
		size_t max;
		const char *parts; /* the first byte of each, and the end */
	} cases[] = {
		{ "kind: a\n---\nkind: b\n---\nkind: c\n", 100, "0 32 " },
		{ "kind: a\n---\nkind: b\n---\nkind: c\n", 20, "0 20 32 " },
		{ "kind: a\n---\nkind: b\n---\nkind: c\n", 1, "0 8 20 32 " },
		{ "a: |\n  ---\nb: \"\\n---\"\n----\n---x\n", 1, "0 32 " },
		{ "---\nkind: a\n---", 1, "0 12 15 " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct byoh_buffer text = { .data = (char *)cases[i].text, .size = strlen(cases[i].text) };
		char parts[64] = "0 ";

		for (size_t at = 0; at < text.size;) {
			at = byoh_manifests_cni_part(&text, at, cases[i].max);
			snprintf(parts + strlen(parts), sizeof(parts) - strlen(parts), "%zu ", at);
		}
		assert_string_equal(parts, cases[i].parts);
	}
}

static void test_lifetimes(void **state)
{
	static const struct {
		const char *text;
		long seconds; /* 0: refused */
	} cases[] = {
		{ "1m", 60 }, { "24h", 86400 }, { "7d", 604800 }, { "3660d", 316224000 }, { "3661d", 0 },
		{ "0h", 0 }, { "", 0 }, { "h", 0 }, { "24", 0 }, { "-1h", 0 }, { "1hh", 0 }, { "1.5h", 0 },
		{ "99999999999999999999h", 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct byoh_error err = BYOH_ERROR_INIT;
		time_t ttl = 0;
		int r = byoh_token_ttl_parse(cases[i].text, &ttl, &err);

		assert_int_equal(r < 0, cases[i].seconds == 0);
		if (r == 0)
			assert_int_equal(ttl, cases[i].seconds);
		else
			assert_int_equal(err.kind, BYOH_ERROR_USAGE);
	}
}

static void test_expiration_is_rfc_3339(void **state)
{
	char text[BYOH_EXPIRATION_SIZE];

	(void)state;
	assert_int_equal(byoh_expiration(1795280665, text, NULL), 0);
	assert_string_equal(text, "2026-11-21T17:04:25Z");
}

static void test_tokens_are_fresh(void **state)
{
	char first[BYOH_TOKEN_SIZE], second[BYOH_TOKEN_SIZE];
	unsigned int seen[128] = {0}, distinct = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(byoh_token_make(first, NULL), 0);
		assert_true(byoh_token_is_bootstrap(first));
		for (const char *p = first; *p; p++)
			distinct += seen[(unsigned char)*p]++ == 0;
	}
	assert_int_equal(distinct, 37); /* every sign, and the dot */
	assert_int_equal(byoh_token_make(second, NULL), 0);
	assert_string_not_equal(first, second);
}

static void test_kubeconfigs(void **state)
{
	static const struct {
		const char *cluster, *user;
		const char *says; /* NULL: taken */
	} cases[] = {
		{ "server: a", "client-certificate-data: QQ==", NULL },
		{ "server: a", "token: some.account.token", NULL },
		{ "server: a", "token: " TOKEN, "this is a bootstrap token" },
		{ "certificate-authority: /a", "token: x", "embed all of it" },
		{ "server: a", "exec: {command: x}", "embed all of it" },
		{ "server: a", "tokenFile: x", "embed all of it" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct byoh_error err = BYOH_ERROR_INIT;
		char text[512];
		int r;

		snprintf(text, sizeof(text),
			 "kind: Config\ncurrent-context: a\nclusters: [{name: a, cluster: {%s}}]\n"
			 "users: [{name: a, user: {%s}}]\n", cases[i].cluster, cases[i].user);
		r = byoh_manifests_check_kubeconfig(text, strlen(text), "k", &err);
		assert_int_equal(r < 0, cases[i].says != NULL);
		if (cases[i].says && !strstr(err.message, cases[i].says))
			fail_msg("%s", err.message);
		assert_null(strstr(err.message, TOKEN));
	}
	assert_true(byoh_manifests_check_kubeconfig("kind: Pod\n", 10, "k", NULL) < 0);
	assert_true(byoh_manifests_check_kubeconfig("", 0, "k", NULL) < 0);
}

static void test_management_is_strict(void **state)
{
	static const struct {
		const char *section, *says;
	} cases[] = {
		{ "{kubernetesVersion: 1.34.1}", "\"kubernetesVersion\" must be" },
		{ "{kubernetesVersion: v1.34}", "\"kubernetesVersion\" must be" },
		{ "{clusterName: Upper}", "\"clusterName\" must be" },
		{ "{clusterName: a.b}", "\"clusterName\" must be" },
		{ "{clusterName: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}", "at most 40" },
		{ "{clusterAPI: v1}", "must be one of v1beta1, v1beta2" },
		{ "{joinMode: none}", "must be one of tlsBootstrap, kubeadm" },
		{ "{replicas: 5001}", "must be from 0 to 5000" },
		{ "{autoscaler: {min: 1}}", "needs both" },
		{ "{autoscaler: {min: 3, max: 2}}", "greater than" },
		{ "{autoscaler: {min: 0, max: 0}}", "must be from 1" },
		{ "{capacity: {cpu: four}}", "a quantity" },
		{ "{capacity: {memory: 16GiB}}", "a quantity" },
		{ "{capacity: {memory: \"1Gi\\\"\"}}", "a quantity" },
		{ "{capacity: {cpus: 4}}", "cpus" },
		{ "{capacity: {labels: \"a=b c\"}}", "key=value" },
		{ "{kubeVip: {address: 10.0.0.1, interface: eth0}}", "\"image\" is missing" },
		{ "{kubeVip: {address: 10.0.0.1, interface: \"eth0;x\", image: \"a:b\"}}", "a network interface" },
		{ "{cni: {}}", "is {file: FILE}" },
		{ "{imageRepository: \"https://x\"}", "of a registry" },
		{ "{nodeLabels: {kubernetes.io/x: y}}", "would not start" },
		{ "[]", "mapping" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct byoh_error err = BYOH_ERROR_INIT;
		CLEANUP_CONFIG struct byoh_config *config = NULL;
		char text[256];

		snprintf(text, sizeof(text), "management: %s\n", cases[i].section);
		config = config_of(text, &err);
		if (config || !strstr(err.message, cases[i].says))
			fail_msg("%s: %s", cases[i].section, config ? "taken" : err.message);
	}
}

static void test_an_installation_passes_over_it(void **state)
{
	struct byoh_error err = BYOH_ERROR_INIT;
	CLEANUP_CONFIG struct byoh_config *config =
		config_of("management: {cni: {file: is-not-there.yaml}, replicas: 2}\njoin: {mode: kubeadm}\n", &err);

	(void)state;
	if (!config)
		fail_msg("%s", err.message);
	assert_string_equal(config->management.cni_file, "is-not-there.yaml");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_set_parses),
		cmocka_unit_test(test_network_comes_back_as_it_was),
		cmocka_unit_test(test_networks_are_cut_between_documents),
		cmocka_unit_test(test_lifetimes),
		cmocka_unit_test(test_expiration_is_rfc_3339),
		cmocka_unit_test(test_tokens_are_fresh),
		cmocka_unit_test(test_kubeconfigs),
		cmocka_unit_test(test_management_is_strict),
		cmocka_unit_test(test_an_installation_passes_over_it),
	};

	return cmocka_run_group_tests_name("manifests", tests, setup, teardown);
}
