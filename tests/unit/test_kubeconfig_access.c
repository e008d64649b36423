/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/kubeconfig-access.h"
#include "installer/kubeconfig.h"
#include "tests/unit/certificates.h"
#include "tests/unit/root-fixture.h"

#define CONTEXTS                                                     \
	"contexts:\n"                                                \
	"- name: other\n  context: {cluster: a, user: other}\n"      \
	"- name: mine\n  context: {cluster: a, user: me}\n"          \
	"current-context: mine\n"

static void test_what_we_write(void **state)
{
	CLEANUP_FREE char *ca = test_certificate(true, NULL);
	const struct byoh_buffer ca_bytes = { .data = ca, .size = strlen(ca) };
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	CLEANUP_ACCESS struct byoh_access access = { 0 };
	struct byoh_api_request request;

	(void)state;
	assert_int_equal(byoh_kubeconfig_write_bootstrap("c", "https://10.0.0.1:6443", &ca_bytes, "tok", &text, NULL), 0);
	assert_int_equal(byoh_access_parse(text.data, text.size, "k", &access, NULL), 0);
	request = byoh_access_request(&access);
	assert_string_equal(request.server, "https://10.0.0.1:6443");
	assert_string_equal(request.ca->data, ca);
	assert_string_equal(request.token, "tok");
	assert_null(request.certificate);
}

/* As the kubelet writes it: certificate and key in one file, the CA embedded or in a file. */
static void test_kubelets(void **state)
{
	static const char kubeconfig[] =
		"apiVersion: v1\nkind: Config\n"
		"clusters:\n- name: a\n  cluster:\n    certificate-authority: /etc/kubernetes/pki/ca.crt\n"
		"    server: https://[fd00::1]:6443\n" CONTEXTS
		"users:\n- name: other\n  user: {token: x}\n"
		"- name: me\n  user:\n    client-certificate: /var/lib/kubelet/pki/current.pem\n"
		"    client-key: /var/lib/kubelet/pki/current.pem\n";
	const struct test_root *root = *state;
	CLEANUP_ACCESS struct byoh_access access = { 0 };
	struct byoh_api_request request;
	struct byoh_error err = BYOH_ERROR_INIT;

	test_root_put(root, "/etc/kubernetes/kubelet.conf", kubeconfig, 0600);
	assert_int_equal(byoh_access_read(root->fd, "/etc/kubernetes/kubelet.conf", &access, &err), -ENOENT);
	test_root_put(root, "/etc/kubernetes/pki/ca.crt", "CA", 0600);
	test_root_put(root, "/var/lib/kubelet/pki/current.pem", "BOTH", 0600);
	assert_int_equal(byoh_access_read(root->fd, "/etc/kubernetes/kubelet.conf", &access, &err), 0);
	request = byoh_access_request(&access);
	assert_string_equal(request.server, "https://[fd00::1]:6443");
	assert_string_equal(request.ca->data, "CA");
	assert_string_equal(request.certificate, "BOTH");
	assert_string_equal(request.key, "BOTH");
	assert_null(request.token);
}

static void test_refused(void **state)
{
	const struct test_root *root = *state;
	static const struct {
		const char *user, *words;
	} rows[] = {
		{ "{}", "no token and no client certificate" },
		{ "{client-certificate-data: QQ==}", "no token and no client certificate" },
		{ "{client-certificate-data: '=Q'}", "is not base64" },
		{ "{client-certificate-data: QQBB}", "no PEM text" },
		{ "{client-certificate: a.pem}", "no absolute path" },
		{ "{token: [1]}", "token" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUFFER struct byoh_buffer text = { 0 };
		CLEANUP_ACCESS struct byoh_access access = { 0 };
		struct byoh_error err = BYOH_ERROR_INIT;

		assert_int_equal(byoh_buffer_printf(&text, NULL, "clusters:\n- name: a\n  cluster: {server: "
						    "'https://a:1', certificate-authority-data: QQ==}\n" CONTEXTS
						    "users:\n- {name: me, user: %s}\n", rows[i].user), 0);
		test_root_put(root, "/k", text.data, 0600);
		assert_true(byoh_access_read(root->fd, "/k", &access, &err) < 0);
		if (!strstr(err.message, rows[i].words))
			fail_msg("%s: %s", rows[i].user, err.message);
		assert_null(access.server);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_we_write),
		cmocka_unit_test_setup_teardown(test_kubelets, test_root_set_up, test_root_tear_down),
		cmocka_unit_test_setup_teardown(test_refused, test_root_set_up, test_root_tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
