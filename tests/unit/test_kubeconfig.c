/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"
#include "installer/kubeconfig.h"
#include "tests/unit/certificates.h"

#define TOKEN "abcdef.0123456789abcdef"

static char *ca, *ca_data, *leaf_data, *admin_data, *masters_data, *person_data;

static char *encoded_certificate(bool is_ca, const char *organization)
{
	CLEANUP_FREE char *pem = test_certificate(is_ca, organization);

	return test_base64(pem);
}

static int setup(void **state)
{
	(void)state;
	ca = test_certificate(true, NULL);
	ca_data = test_base64(ca);
	leaf_data = encoded_certificate(false, NULL);
	admin_data = encoded_certificate(false, "kubeadm:cluster-admins");
	masters_data = encoded_certificate(false, "system:masters");
	person_data = encoded_certificate(false, "developers");
	return 0;
}

static int teardown(void **state)
{
	char *texts[] = { ca, ca_data, leaf_data, admin_data, masters_data, person_data };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		free(texts[i]);
	return 0;
}

static struct byoh_kubeconfig *parse(const char *text, bool opaque_token)
{
	struct byoh_kubeconfig *kubeconfig = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (byoh_kubeconfig_parse_bootstrap(text, strlen(text), "k", opaque_token, &kubeconfig, &err) < 0)
		fail_msg("refused: %s\n%s", err.message, text);
	return kubeconfig;
}

static void test_written_is_read_back(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	CLEANUP_BUFFER struct byoh_buffer proxy = {0};
	const struct byoh_buffer ca_bytes = { .data = ca, .size = strlen(ca) };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_kubeconfig_write_bootstrap(NULL, "https://[fd00::1]:6443", &ca_bytes, TOKEN, &text,
							 NULL), 0);
	CLEANUP_KUBECONFIG struct byoh_kubeconfig *kubeconfig = parse(text.data, false);

	assert_string_equal(kubeconfig->server, "https://[fd00::1]:6443");
	assert_string_equal(kubeconfig->token, TOKEN);
	assert_string_equal(kubeconfig->ca.data, ca);
	assert_non_null(strstr(text.data, "\n    certificate-authority-data: LS0tLS1CRUdJTi"));

	assert_int_equal(byoh_kubeconfig_write_proxy("123", "https://a:1", &ca_bytes, "an\"opaque\\one",
						     &proxy, NULL), 0);
	if (byoh_kubeconfig_check_proxy(proxy.data, proxy.size, "k", &err) < 0)
		fail_msg("%s", err.message);
	CLEANUP_KUBECONFIG struct byoh_kubeconfig *opaque = parse(proxy.data, true);

	assert_string_equal(opaque->token, "an\"opaque\\one");
	assert_non_null(strstr(text.data, "\n- name: default-cluster\n"));
	assert_non_null(strstr(text.data, "\ncurrent-context: default-context\n"));
	assert_non_null(strstr(proxy.data, "\n- name: \"123\"\n"));
	assert_non_null(strstr(proxy.data, "\n    cluster: \"123\"\n"));
	assert_non_null(strstr(proxy.data, "\ncurrent-context: \"kube-proxy@123\"\n"));
}

/* A kubeconfig in lines: the cluster's are 6 and 7, the user's line is 13. */
static char *kubeconfig_text(const char *server, const char *cluster_rest, const char *user)
{
	char *text;

	assert_true(asprintf(&text,
			     "apiVersion: v1\nkind: Config\nclusters:\n- name: k\n  cluster:\n    server: %s\n"
			     "    %s\ncontexts:\n- name: c\n  context: {cluster: k, user: u, namespace: default}\n"
			     "current-context: c\nusers:\n- {name: u, user: {%s}}\npreferences: {}\n",
			     server, cluster_rest, user) > 0);
	return text;
}

static char *with(const char *format, const char *value)
{
	char *text = NULL;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	assert_true(asprintf(&text, format, value) >= 0);
#pragma GCC diagnostic pop
	return text;
}

struct refused_case {
	const char *server, *cluster, *cluster_data, *user, **user_data, *expected;
	bool good_for_proxy;
};

#define GOOD_CLUSTER "certificate-authority-data: %s"
#define SERVER "https://10.0.0.1:6443"

static const struct refused_case refused[] = {
	{ SERVER, GOOD_CLUSTER, NULL, "client-certificate-data: %s, client-key-data: a2V5", (const char **)&admin_data,
	  "an admin kubeconfig in place of a bootstrap one", false },
	{ SERVER, GOOD_CLUSTER, NULL, "client-certificate-data: %s, client-key-data: a2V5", (const char **)&masters_data,
	  "an admin kubeconfig in place of a bootstrap one", false },
	{ SERVER, GOOD_CLUSTER, NULL, "client-certificate-data: %s, client-key-data: a2V5", (const char **)&person_data,
	  "a client certificate in a bootstrap kubeconfig", true },
	{ SERVER, GOOD_CLUSTER, NULL, "client-certificate-data: '%%', token: " TOKEN, NULL, "is no certificate in base64", false },
	{ SERVER, GOOD_CLUSTER, NULL, "client-key-data: a2V5, token: " TOKEN, NULL, "a client key", false },
	{ SERVER, GOOD_CLUSTER, NULL, "client-certificate: /a.crt, token: " TOKEN, NULL, "names a file of another machine", false },
	{ SERVER, GOOD_CLUSTER, NULL, "tokenFile: /token", NULL, "names a file of another machine", false },
	{ SERVER, GOOD_CLUSTER, NULL, "exec: {command: aws}", NULL, "13:26: \"exec\" runs a program", false },
	{ SERVER, GOOD_CLUSTER, NULL, "auth-provider: {name: oidc}", NULL, "\"auth-provider\" asks a provider", false },
	{ SERVER, GOOD_CLUSTER, NULL, "username: me, password: secret", NULL, "is a person's login", false },
	{ SERVER, GOOD_CLUSTER, NULL, "as: root, token: " TOKEN, NULL, "impersonates", false },
	{ SERVER, GOOD_CLUSTER, NULL, "", NULL, "the user has no token", false },
	{ SERVER, GOOD_CLUSTER, NULL, "token: 0123456789abcdef0123456789abcdef", NULL, "is no bootstrap token", true },
	{ SERVER, "insecure-skip-tls-verify: true", NULL, "token: " TOKEN, NULL,
	  "k:7:31: \"insecure-skip-tls-verify\"", false },
	{ SERVER, "tls-server-name: ''", NULL, "token: " TOKEN, NULL, "\"tls-server-name\" is not supported", false },
	{ SERVER, "proxy-url: http://p:1", NULL, "token: " TOKEN, NULL, "\"proxy-url\" sends the API traffic", false },
	{ SERVER, "certificate-authority: ca.crt", NULL, "token: " TOKEN, NULL, "names a file of another machine", false },
	{ SERVER, "extensions: []", NULL, "token: " TOKEN, NULL, "\"certificate-authority-data\" is missing", false },
	{ SERVER, "certificate-authority-data: '%%'", NULL, "token: " TOKEN, NULL, "is not base64", false },
	{ SERVER, "certificate-authority-data: %s", "leaf", "token: " TOKEN, NULL, "holds no certificate of a CA", false },
	{ "http://10.0.0.1:6443", GOOD_CLUSTER, NULL, "token: " TOKEN, NULL, "k:6:13: \"server\" must be https://", false },
};

static bool is_refused_right(const struct refused_case *test)
{
	CLEANUP_FREE char *cluster =
		with(test->cluster, test->cluster_data ? leaf_data : ca_data);
	CLEANUP_FREE char *user = with(test->user, test->user_data ? *test->user_data : "");
	CLEANUP_FREE char *text = kubeconfig_text(test->server, cluster, user);
	CLEANUP_KUBECONFIG struct byoh_kubeconfig *kubeconfig = NULL;
	struct byoh_error err = BYOH_ERROR_INIT, proxy_err = BYOH_ERROR_INIT;
	int r = byoh_kubeconfig_parse_bootstrap(text, strlen(text), "k", false, &kubeconfig, &err);
	int proxy = byoh_kubeconfig_check_proxy(text, strlen(text), "k", &proxy_err);

	if (r < 0 && err.kind == BYOH_ERROR_CONFIG && strstr(err.message, test->expected) &&
	    (proxy == 0) == test->good_for_proxy && !strstr(err.message, TOKEN))
		return true;
	print_error("%d \"%s\", kube-proxy %d \"%s\", expected \"%s\" for\n%s\n", r, err.message, proxy,
		    proxy_err.message, test->expected, text);
	return false;
}

static void test_refused(void **state)
{
	size_t failures = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		failures += !is_refused_right(&refused[i]);
	assert_int_equal(failures, 0);
}

/* An admin's certificate beside the bootstrap user would lie on the host just the same. */
static void test_every_user_counts(void **state)
{
	CLEANUP_FREE char *cluster = with(GOOD_CLUSTER, ca_data);
	CLEANUP_FREE char *good = kubeconfig_text(SERVER, cluster, "token: " TOKEN);
	CLEANUP_KUBECONFIG struct byoh_kubeconfig *kubeconfig = parse(good, false);
	CLEANUP_FREE char *user = with("token: " TOKEN "}}\n- {name: admin, user: {client-certificate-data: %s",
				       masters_data);
	CLEANUP_FREE char *text = kubeconfig_text(SERVER, cluster, user);
	struct byoh_kubeconfig *none = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_string_equal(kubeconfig->server, SERVER);
	assert_true(byoh_kubeconfig_parse_bootstrap(text, strlen(text), "k", false, &none, &err) < 0);
	assert_non_null(strstr(err.message, "k:14:"));
	assert_non_null(strstr(err.message, "an admin kubeconfig"));
}

static void test_not_a_kubeconfig(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "", "no kubeconfig" },
		{ "[]", "no kubeconfig" },
		{ "kind: Pod\n", "has kind Config" },
		{ "kind: Config\nusers: []\n", "\"current-context\" is missing" },
		{ "kind: Config\nusers: []\ncurrent-context: a\ncontexts: [{name: b}]\n", "there is no \"a\" among" },
		{ "kind: Config\nusers: []\ncurrent-context: a\ncontexts: [1]\n", "expected a mapping" },
		{ "kind: Config\nusers: {}\n", "\"users\" must be a list" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct byoh_kubeconfig *kubeconfig = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;

		assert_true(byoh_kubeconfig_parse_bootstrap(cases[i].text, strlen(cases[i].text), "k", true,
							    &kubeconfig, &err) < 0);
		if (!strstr(err.message, cases[i].expected))
			fail_msg("\"%s\" is not in \"%s\"", cases[i].expected, err.message);
	}
}

static void test_tokens(void **state)
{
	static const char *const bad[] = { "", "abcdef", "abcdef.0123456789abcde", "abcdef.0123456789abcdefg",
					   "Abcdef.0123456789abcdef", "abcdef-0123456789abcdef",
					   "abcdef.0123456789abcde\n" };

	(void)state;
	assert_true(byoh_token_is_bootstrap(TOKEN));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(byoh_token_is_bootstrap(bad[i]));
	assert_true(byoh_token_is_opaque("a~!", 3));
	assert_false(byoh_token_is_opaque("a~!", 2));
	assert_false(byoh_token_is_opaque("", 2));
	assert_false(byoh_token_is_opaque("a b", 9));
	assert_false(byoh_token_is_opaque("a\x7f", 9));
}

static void test_pin(void **state)
{
	BIO *bio = BIO_new_mem_buf(ca, -1);
	X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	char pin[BYOH_PIN_SIZE], other[BYOH_PIN_SIZE];
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_spki_pin(certificate, pin, NULL), 0);
	assert_true(byoh_pin_is_valid(pin));
	memcpy(other, pin, sizeof(pin));
	other[7] = pin[7] == '0' ? '1' : '0';
	assert_int_equal(byoh_ca_check(ca, strlen(ca), pin, &err), 0);
	assert_true(byoh_ca_check(ca, strlen(ca), other, &err) < 0);
	assert_false(byoh_pin_is_valid("sha256:AB"));
	assert_false(byoh_pin_is_valid(pin + 1));
	X509_free(certificate);
	BIO_free(bio);
}

/* The digest was taken with: openssl x509 -pubkey | openssl pkey -pubin -outform der | sha256sum */
static void test_pin_is_kubeadms(void **state)
{
	static const char known[] =
		"-----BEGIN CERTIFICATE-----\n"
		"MIIBdzCCAR2gAwIBAgIUSW2BZh7X4sh8IPnyWEXXSreFKLswCgYIKoZIzj0EAwIw\n"
		"EDEOMAwGA1UEAwwFa25vd24wIBcNMjYxMTIxMTEwNTMyWhgPMjEyNjEwMjgxMTA1\n"
		"MzJaMBAxDjAMBgNVBAMMBWtub3duMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n"
		"JjaCzsn8HwsFA1mutHoiOmFofvDJXFccQgIgyxfxQZOsu5+qcEIF9yb66WNRuEnL\n"
		"5BKEN2tqKZqqPFTZPHiI56NTMFEwHQYDVR0OBBYEFHqCLpyDgLyRRv1wFMfO2/RA\n"
		"uJECMB8GA1UdIwQYMBaAFHqCLpyDgLyRRv1wFMfO2/RAuJECMA8GA1UdEwEB/wQF\n"
		"MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAJLIxgn25by//DjP47xSFcUohcUD88+/\n"
		"EICG/Oc1z1k9AiBJbpSe1yc1lJxm4OqFKxlGEgFWiJU9fuhKNQbXf0CO0A==\n"
		"-----END CERTIFICATE-----\n";

	(void)state;
	assert_int_equal(byoh_ca_check(known, strlen(known), "sha256:e0aaf23822d35359f2ca4e6bf6cab37c1729d1cb54bd6305e3be95382e144453", NULL), 0);
}

static void test_ca(void **state)
{
	CLEANUP_FREE char *damaged = strdup(ca);
	CLEANUP_FREE char *cut = strndup(ca, strlen(ca) / 2);
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	damaged[strlen(damaged) / 2] = '!';
	assert_true(byoh_ca_check(damaged, strlen(damaged), NULL, &err) < 0);
	assert_true(byoh_ca_check(cut, strlen(cut), NULL, &err) < 0);
	assert_non_null(strstr(err.message, "damaged PEM"));
	assert_true(byoh_ca_check("", 0, NULL, &err) < 0);
	assert_non_null(strstr(err.message, "no PEM certificate"));
}

static void test_base64_both_ways(void **state)
{
	static const char *const bad[] = { "a", "ab", "ab=", "abc=d", "ab==c", "a===", "====", "ab*=" };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	for (size_t size = 0; size < 8; size++) {
		CLEANUP_BUFFER struct byoh_buffer text = {0};
		CLEANUP_BUFFER struct byoh_buffer bytes = {0};

		assert_int_equal(byoh_base64_encode("\xff\x00\x10\x83\x20\x92\x8b", size < 7 ? size : 7, &text,
						    NULL), 0);
		assert_int_equal(byoh_buffer_add(&text, "\n", 1, NULL), 0);
		assert_int_equal(byoh_base64_decode(text.data, &bytes, NULL), 0);
		assert_int_equal(bytes.size, size < 7 ? size : 7);
		assert_memory_equal(bytes.data, "\xff\x00\x10\x83\x20\x92\x8b", bytes.size);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		CLEANUP_BUFFER struct byoh_buffer bytes = {0};

		assert_true(byoh_base64_decode(bad[i], &bytes, &err) < 0);
		assert_int_equal(bytes.size, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_is_read_back),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_every_user_counts),
		cmocka_unit_test(test_not_a_kubeconfig),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_pin),
		cmocka_unit_test(test_pin_is_kubeadms),
		cmocka_unit_test(test_ca),
		cmocka_unit_test(test_base64_both_ways),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
