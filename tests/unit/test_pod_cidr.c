/* SPDX-License-Identifier: Apache-2.0 */
/* The network of a node's pods: where it is read from, in which order, and what is never taken for one. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/config-syntax.h"
#include "installer/kubeconfig-access.h"
#include "installer/kubeconfig.h"
#include "installer/pod-cidr.h"
#include "installer/kubernetes-config.h"
#include "tests/unit/api-server.h"
#include "tests/unit/root-fixture.h"

#define CONFLIST(cidr) \
	"{\"cniVersion\": \"1.0.0\", \"name\": \"n\", \"plugins\": [{\"type\": \"loopback\"}, {\"type\": \"bridge\", \"ipam\": " \
	"{\"type\": \"host-local\", \"ranges\": [[{\"subnet\": \"" cidr "\"}], [{\"subnet\": \"fd00:1::/64\"}]]}}]}"

static void test_networks_of_addresses(void **state)
{
	static const struct {
		const char *address, *network;
	} rows[] = {
		{ "10.244.7.1/24", "10.244.7.0/24" }, { "10.244.7.0/24", "10.244.7.0/24" },
		{ "10.255.255.255/9", "10.128.0.0/9" }, { "fd00::7:1/112", "fd00::7:0/112" },
		{ "10.0.0.1", NULL }, { "10.0.0.1/33", NULL }, { "x/24", NULL }, { "/24", NULL }, { "10.0.0.1/0", NULL },
		{ "10.0.0.1/", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char network[64] = "";

		assert_int_equal(byoh_cidr_of_address(rows[i].address, network, sizeof(network)) == 0,
				 rows[i].network != NULL);
		if (rows[i].network)
			assert_string_equal(network, rows[i].network);
	}
	assert_true(byoh_cidrs_contain("10.244.0.0/16", "10.244.7.0/24"));
	assert_true(byoh_cidrs_contain("10.244.0.0/16,fd00::/48", "10.244.7.0/24,fd00:0:0:1::/64"));
	assert_false(byoh_cidrs_contain("10.244.0.0/16", "10.245.7.0/24"));
	assert_false(byoh_cidrs_contain("10.244.7.0/24", "10.244.0.0/16"));
	assert_false(byoh_cidrs_contain("10.244.0.0/16", "10.244.7.0/24,fd00::/64"));
}

static void test_parts_of_a_range(void **state)
{
	char part[64];

	(void)state;
	assert_int_equal(byoh_cidr_count("10.244.0.0/16", 24), 256);
	assert_int_equal(byoh_cidr_count("10.244.7.0/24", 24), 1);
	assert_int_equal(byoh_cidr_count("10.244.7.0/25", 24), 0);
	assert_int_equal(byoh_cidr_count("fd00::/8", 64), 1U << 31);
	assert_true(byoh_cidr_part("10.244.0.0/16", 24, 255, part, sizeof(part)));
	assert_string_equal(part, "10.244.255.0/24");
	assert_false(byoh_cidr_part("10.244.0.0/16", 24, 256, part, sizeof(part)));
	assert_true(byoh_cidr_part("fd00::/48", 64, 0x1203, part, sizeof(part)));
	assert_string_equal(part, "fd00:0:0:1203::/64");
}

static void test_files(void **state)
{
	static const char node[] = "{\"kind\": \"Node\", \"spec\": {\"podCIDR\": \"10.244.3.0/24\", "
				   "\"podCIDRs\": [\"10.244.3.0/24\", \"fd00:3::/64\"]}}";
	static const char old_node[] = "spec: {podCIDR: 10.244.3.0/24}\n", new_node[] = "spec: {}\n";
	static const char env[] = "network: 10.244.0.0/16\nsubnet: 10.244.5.1/24\nipv6_subnet: \"\"\nmtu: 1280\n";
	static const char calico[] = "{\"name\": \"c\", \"plugins\": [{\"type\": \"calico\", \"ipam\": {\"type\": "
				     "\"calico-ipam\"}}]}";
	static const char one[] = "{\"type\": \"bridge\", \"ipam\": {\"type\": \"host-local\", \"subnet\": "
				  "\"10.1.2.0/24\"}}";
	char cidr[BYOH_POD_CIDR_MAX];

	(void)state;
	assert_int_equal(byoh_pod_cidr_of_flannel("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.1.1/24\n"
						  "FLANNEL_IPV6_SUBNET=fd00:1::1/64\nFLANNEL_MTU=1450\n", cidr,
						  sizeof(cidr)), 0);
	assert_string_equal(cidr, "10.244.1.0/24,fd00:1::/64");
	assert_int_equal(byoh_pod_cidr_of_flannel("FLANNEL_MTU=1450\n", cidr, sizeof(cidr)), -ENOENT);
	assert_int_equal(byoh_pod_cidr_of_flannel("FLANNEL_SUBNET=none\n", cidr, sizeof(cidr)), -EINVAL);
	assert_int_equal(byoh_pod_cidr_of_cni(CONFLIST("10.9.8.0/24"), strlen(CONFLIST("10.9.8.0/24")), cidr,
					      sizeof(cidr)), 0);
	assert_string_equal(cidr, "10.9.8.0/24,fd00:1::/64");
	assert_int_equal(byoh_pod_cidr_of_cni(one, strlen(one), cidr, sizeof(cidr)), 0);
	assert_string_equal(cidr, "10.1.2.0/24");
	assert_int_equal(byoh_pod_cidr_of_cni(calico, strlen(calico), cidr, sizeof(cidr)), -ENOENT);
	assert_int_equal(byoh_pod_cidr_of_cni("{", 1, cidr, sizeof(cidr)), -ENOENT);
	assert_int_equal(byoh_pod_cidr_of_headcni(env, strlen(env), cidr, sizeof(cidr)), 0);
	assert_string_equal(cidr, "10.244.5.0/24");
	assert_int_equal(byoh_pod_cidr_of_node(node, strlen(node), cidr, sizeof(cidr)), 0);
	assert_string_equal(cidr, "10.244.3.0/24,fd00:3::/64");
	assert_int_equal(byoh_pod_cidr_of_node(old_node, strlen(old_node), cidr, sizeof(cidr)), 0);
	assert_string_equal(cidr, "10.244.3.0/24");
	assert_int_equal(byoh_pod_cidr_of_node(new_node, strlen(new_node), cidr, sizeof(cidr)), -ENOENT);
}

static void test_invented(void **state)
{
	char a[BYOH_POD_CIDR_MAX], b[BYOH_POD_CIDR_MAX];

	(void)state;
	assert_int_equal(byoh_pod_cidr_invent("10.244.0.0/16", "node10", a, sizeof(a)), 0);
	assert_int_equal(byoh_pod_cidr_invent("10.244.0.0/16", "node10", b, sizeof(b)), 0);
	assert_string_equal(a, b);
	assert_true(byoh_cidrs_contain("10.244.0.0/16", a));
	assert_int_equal(byoh_pod_cidr_invent("10.244.0.0/16", "node11", b, sizeof(b)), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(byoh_pod_cidr_invent("fd00::/48", "node10", a, sizeof(a)), 0);
	assert_true(byoh_cidrs_contain("fd00::/48", a));
	assert_true(byoh_pod_cidr_invent("10.244.0.0/25", "node10", a, sizeof(a)) < 0);
	assert_true(byoh_pod_cidr_invent("10.244.0.0/16", "", a, sizeof(a)) < 0);
}

static struct byoh_pod_cidr find(const struct test_root *root, const struct byoh_config *config)
{
	const struct byoh_host host = { .root = (char *)root->path, .root_fd = root->fd, .hostname = (char *)"node10" };
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_pod_cidr found;

	if (byoh_pod_cidr_find(&host, config, true, &found, &err) < 0)
		fail_msg("%s", err.message);
	return found;
}

/* From the weakest source to the strongest. */
static void test_order(void **state)
{
	const struct test_root *root = *state;
	struct byoh_config config = { .cni = { .bridge = true }, .cluster = { .pod_cidr = (char *)"10.244.0.0/16" } };

	assert_string_equal(find(root, &config).cidr, "");
	test_root_put(root, BYOH_POD_CIDR_NOTE, "10.244.1.0/24\n", 0644);
	assert_string_equal(find(root, &config).cidr, "10.244.1.0/24");
	assert_string_equal(find(root, &config).source, BYOH_POD_CIDR_NOTE);
	test_root_put(root, "/var/lib/headcni/env.yaml", "subnet: 10.244.2.0/24\n", 0644);
	assert_string_equal(find(root, &config).cidr, "10.244.2.0/24");
	test_root_put(root, "/etc/cni/net.d/50-x.conflist", CONFLIST("10.244.3.0/24"), 0644);
	test_root_put(root, "/etc/cni/net.d/60-y.conflist", CONFLIST("10.244.33.0/24"), 0644);
	test_root_put(root, "/etc/cni/net.d/10-z.conflist.headcni_bak", CONFLIST("10.244.34.0/24"), 0644);
	assert_string_equal(find(root, &config).cidr, "10.244.3.0/24,fd00:1::/64");
	assert_string_equal(find(root, &config).source, "/etc/cni/net.d/50-x.conflist");
	test_root_put(root, "/run/flannel/subnet.env", "FLANNEL_SUBNET=10.244.4.1/24\n", 0644);
	assert_string_equal(find(root, &config).cidr, "10.244.4.0/24");
	setenv(BYOH_POD_CIDR_VARIABLE, "10.244.5.0/24", 1);
	assert_string_equal(find(root, &config).cidr, "10.244.5.0/24");
	config.cni.pod_cidr = (char *)"10.244.6.0/24";
	assert_string_equal(find(root, &config).cidr, "10.244.6.0/24");
	assert_string_equal(find(root, &config).source, "cni.podCIDR");
	unsetenv(BYOH_POD_CIDR_VARIABLE);
	config.cni.bridge = false;
	assert_string_equal(find(root, &config).cidr, "");
}

static void tell_node(const struct test_server *server, unsigned int count, SSL *tls, const char *request)
{
	(void)server;
	(void)count;
	test_server_write(tls, strncmp(request, "GET /api/v1/nodes/node10 ", 25) ? "HTTP/1.1 404 Not Found\r\n\r\n{}" :
				       "HTTP/1.1 200 OK\r\n\r\n{\"spec\": {\"podCIDR\": \"10.244.77.0/24\"}}");
}

static void check_found(const struct test_root *root, struct byoh_outside *outside, const char *cidr, const char *source)
{
	const struct byoh_host host = { .root = (char *)root->path, .root_fd = root->fd, .hostname = (char *)"node10",
					.outside = outside };
	const struct byoh_config config = { .cni = { .bridge = true } };
	struct byoh_pod_cidr found;

	CHECK(byoh_pod_cidr_find(&host, &config, true, &found, NULL) == 0);
	if (strcmp(found.cidr, cidr) || strcmp(found.source, source))
		fprintf(stderr, "%s of %s\n", found.cidr, found.source);
	CHECK(!strcmp(found.cidr, cidr) && !strcmp(found.source, source));
}

/* A Node that was deleted and made anew has another network than the one that was used before. */
static void ask_for_what_was_used(void)
{
	struct test_identity id = test_identity_make(&test_validity_usual);
	struct byoh_buffer ca = test_identity_pem(&id), kubeconfig = { 0 };
	struct test_server server = { .answer = tell_node, .id = &id };
	struct test_root root;

	test_root_make(&root);
	test_server_begin(&server);
	CHECK(byoh_kubeconfig_write_bootstrap(NULL, server.url, &ca, "abcdef.0123456789abcdef", &kubeconfig, NULL) == 0);
	test_root_put(&root, BYOH_KUBELET_KUBECONFIG, kubeconfig.data, 0600);
	test_root_put(&root, BYOH_POD_CIDR_NOTE, "10.244.1.0/24\n", 0644);
	check_found(&root, server.outside, "10.244.77.0/24", "the API server");
	test_root_put(&root, "/etc/cni/net.d/99-byoh.conflist", CONFLIST("10.244.1.0/24"), 0644);
	check_found(&root, server.outside, "10.244.77.0/24", "the API server");
	/* Others' word goes before the server's. */
	test_root_put(&root, "/etc/cni/net.d/10-x.conflist", CONFLIST("10.244.3.0/24"), 0644);
	check_found(&root, server.outside, "10.244.3.0/24,fd00:1::/64", "/etc/cni/net.d/10-x.conflist");
	unlinkat(root.fd, "etc/cni/net.d/10-x.conflist", 0);
	/* Where nobody answers it is what it was. */
	kill(server.pid, SIGKILL);
	CHECK(waitpid(server.pid, NULL, 0) == server.pid);
	check_found(&root, server.outside, "10.244.1.0/24,fd00:1::/64", "/etc/cni/net.d/99-byoh.conflist");
	byoh_outside_free(server.outside);
	byoh_buffer_release(&kubeconfig);
	byoh_buffer_release(&ca);
	test_root_remove(&root);
}

static void test_what_was_used_is_a_copy(void **state)
{
	(void)state;
	test_in_child(ask_for_what_was_used);
}

static void test_what_never_is_one(void **state)
{
	const struct test_root *root = *state;
	const struct byoh_host host = { .root = (char *)root->path, .root_fd = root->fd, .hostname = (char *)"node10" };
	const struct byoh_config config = { .cni = { .bridge = true } };
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_pod_cidr found;

	/* files of which others have said that they hold it */
	test_root_put(root, "/var/lib/kubelet/config.yaml", "podCIDR: 10.244.9.0/24\n", 0644);
	test_root_put(root, "/etc/kubernetes/admin.conf", "podCIDR: 10.244.9.0/24\n", 0644);
	assert_string_equal(find(root, &config).cidr, "");
	setenv(BYOH_POD_CIDR_VARIABLE, "10.244.5.1/24", 1);
	assert_true(byoh_pod_cidr_find(&host, &config, false, &found, &err) < 0);
	assert_int_equal(err.kind, BYOH_ERROR_CONFIG);
	assert_non_null(strstr(err.message, BYOH_POD_CIDR_VARIABLE));
	unsetenv(BYOH_POD_CIDR_VARIABLE);
	test_root_put(root, "/run/flannel/subnet.env", "FLANNEL_SUBNET=soon\n", 0644);
	assert_true(byoh_pod_cidr_find(&host, &config, false, &found, &err) < 0);
	assert_non_null(strstr(err.message, "/run/flannel/subnet.env"));
}

static void test_configuration(void **state)
{
	static const struct {
		const char *cni, *words; /* NULL: taken */
	} rows[] = {
		{ "install: bridge", NULL },
		{ "install: bridge, podCIDR: 10.244.7.0/24", NULL },
		{ "install: bridge, podCIDR: invent-from-hostname", NULL },
		{ "podCIDR: 10.244.7.0/24", "no effect unless" },
		{ "install: bridge, podCIDR: 10.244.7.1/24", "the node's own network" },
		{ "install: bridge, podCIDR: invent", "the node's own network" },
		{ "install: bridge, podCIDR: 10.88.0.0/16", "does not lie in cluster.podCIDR" },
		{ "install: brigde", "plugins, bridge, or a file" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_CONFIG struct byoh_config *config = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;
		char text[256];
		int r;

		snprintf(text, sizeof(text),
			 "apiVersion: byoh-install/v1alpha1\nkind: InstallConfig\ncni: {%s}\n", rows[i].cni);
		r = byoh_config_parse(text, strlen(text), "c", NULL, NULL, &config, &err);
		if ((r == 0) != !rows[i].words || (rows[i].words && !strstr(err.message, rows[i].words)))
			fail_msg("%s: %s", rows[i].cni, r ? err.message : "taken");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_networks_of_addresses),
		cmocka_unit_test(test_parts_of_a_range),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_invented),
		cmocka_unit_test_setup_teardown(test_order, test_root_set_up, test_root_tear_down),
		cmocka_unit_test_setup_teardown(test_what_never_is_one, test_root_set_up, test_root_tear_down),
		cmocka_unit_test(test_what_was_used_is_a_copy),
		cmocka_unit_test(test_configuration),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
