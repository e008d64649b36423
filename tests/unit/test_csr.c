/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/credentials.h"
#include "installer/net/csr.h"
#include "tests/unit/api-server.h"
#include "tests/unit/certificates.h"

static const struct byoh_csr_subject subject = { .common_name = "system:kube-proxy", .organization = "a" };

static struct byoh_buffer make_key(void)
{
	struct byoh_buffer key = { 0 };

	assert_int_equal(byoh_csr_make_key(&key, NULL), 0);
	return key;
}

static EVP_PKEY *parsed(const struct byoh_buffer *pem)
{
	BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->size);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	assert_non_null(key);
	BIO_free(bio);
	return key;
}

/* As a signer would: the subject and the key of the request. */
static struct byoh_buffer sign(const struct byoh_buffer *request_pem, const struct byoh_buffer *ca_key)
{
	BIO *in = BIO_new_mem_buf(request_pem->data, (int)request_pem->size), *out = BIO_new(BIO_s_mem());
	X509_REQ *request = PEM_read_bio_X509_REQ(in, NULL, NULL, NULL);
	EVP_PKEY *ca = parsed(ca_key);
	X509 *certificate = X509_new();
	struct byoh_buffer ret = { 0 };
	char *text;
	long size;

	assert_non_null(request);
	assert_int_equal(X509_REQ_verify(request, X509_REQ_get0_pubkey(request)), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -1000);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 1000);
	X509_set_subject_name(certificate, X509_REQ_get_subject_name(request));
	X509_set_pubkey(certificate, X509_REQ_get0_pubkey(request));
	assert_true(X509_sign(certificate, ca, EVP_sha256()) > 0 && PEM_write_bio_X509(out, certificate));
	size = BIO_get_mem_data(out, &text);
	assert_int_equal(byoh_buffer_add(&ret, text, (size_t)size, NULL), 0);
	X509_free(certificate);
	X509_REQ_free(request);
	EVP_PKEY_free(ca);
	BIO_free(in);
	BIO_free(out);
	return ret;
}

static void test_requests(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer key = make_key(), other = make_key(), request = { 0 }, second = { 0 };
	CLEANUP_BUFFER struct byoh_buffer certificate = { 0 };
	struct byoh_validity validity = { 0 };
	time_t now = time(NULL);

	(void)state;
	assert_int_equal(byoh_csr_make(&key, &subject, &request, NULL), 0);
	certificate = sign(&request, &other);
	assert_int_equal(byoh_csr_check_certificate(&certificate, &key, "system:kube-proxy", &validity, NULL), 0);
	assert_in_range(validity.from, (uint64_t)now - 1010, (uint64_t)now - 990);
	assert_in_range(validity.until, (uint64_t)now + 990, (uint64_t)now + 1010);
	assert_int_equal(byoh_csr_check_certificate(&certificate, &other, "system:kube-proxy", &validity, NULL),
			 -EKEYREJECTED);
	assert_int_equal(byoh_csr_check_certificate(&certificate, &key, "system:kube-prox", &validity, NULL),
			 -EKEYREJECTED);
	assert_int_equal(byoh_csr_check_certificate(&key, &key, "a", &validity, NULL), -EKEYREJECTED);
	assert_true(byoh_csr_make(&certificate, &subject, &second, NULL) < 0);
}

static void test_names(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer key = make_key(), other = make_key();
	char name[BYOH_CSR_NAME_SIZE], again[BYOH_CSR_NAME_SIZE], another[BYOH_CSR_NAME_SIZE], long_prefix[300];

	(void)state;
	assert_int_equal(byoh_csr_name("byoh-kube-proxy-node10", &key, name, NULL), 0);
	assert_int_equal(byoh_csr_name("byoh-kube-proxy-node10", &key, again, NULL), 0);
	assert_int_equal(byoh_csr_name("byoh-kube-proxy-node10", &other, another, NULL), 0);
	assert_string_equal(name, again);
	assert_string_not_equal(name, another);
	assert_int_equal(strncmp(name, "byoh-kube-proxy-node10-", 23), 0);
	assert_int_equal(strlen(name), 23 + 12);
	memset(long_prefix, 'a', sizeof(long_prefix));
	long_prefix[sizeof(long_prefix) - 1] = '\0';
	assert_int_equal(byoh_csr_name(long_prefix, &key, another, NULL), 0);
	assert_int_equal(strlen(another), 253);
	assert_string_equal(another + 253 - 13, name + 22);
}

static void test_object(void **state)
{
	const struct byoh_buffer request = { .data = (char *)"abc", .size = 3 };
	CLEANUP_BUFFER struct byoh_buffer object = { 0 };

	(void)state;
	assert_int_equal(byoh_csr_object("n", BYOH_CSR_CLIENT_SIGNER, &request, &object, NULL), 0);
	assert_non_null(strstr(object.data, "\"request\": \"YWJj\""));
	assert_non_null(strstr(object.data, "\"signerName\": \"kubernetes.io/kube-apiserver-client\""));
	assert_non_null(strstr(object.data, "\"client auth\""));
}

#define HEAD "kind: CertificateSigningRequest\n"
#define APPROVED "{type: Approved, status: \"True\", reason: KubectlApprove}"

static const struct {
	const char *text;
	int result;
	enum byoh_csr_phase phase;
	const char *message;
} states[] = {
	{ HEAD, 0, BYOH_CSR_PENDING, NULL },
	{ HEAD "status: {}\n", 0, BYOH_CSR_PENDING, NULL },
	{ HEAD "status: {conditions: [" APPROVED "]}\n", 0, BYOH_CSR_PENDING, NULL },
	{ HEAD "status: {certificate: YWJj}\n", 0, BYOH_CSR_PENDING, NULL },
	{ HEAD "status: {certificate: YWJj, conditions: [" APPROVED "]}\n", 0, BYOH_CSR_ISSUED, NULL },
	{ HEAD "status: {conditions: [{type: Denied, reason: No, message: \"not \\e this one\"}]}\n", 0, BYOH_CSR_DENIED,
	  "No: not ? this one" },
	{ HEAD "status: {conditions: [" APPROVED ", {type: Failed, message: x}]}\n", 0, BYOH_CSR_FAILED, "x" },
	{ HEAD "status: {certificate: YWJj, conditions: [" APPROVED ", {type: Denied}]}\n", 0, BYOH_CSR_DENIED, "" },
	{ HEAD "status: {certificate: =, conditions: [" APPROVED "]}\n", -EINVAL, 0, NULL },
	{ HEAD "status: {certificate: YQBi, conditions: [" APPROVED "]}\n", -EPROTO, 0, NULL },
	{ HEAD "status: {conditions: [{}]}\n", -EINVAL, 0, NULL },
	{ "kind: Status\n", -EPROTO, 0, NULL },
	{ "", -EINVAL, 0, NULL },
};

static void test_states(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		CLEANUP_CSR_STATE struct byoh_csr_state parsed_state = { 0 };
		struct byoh_error err = BYOH_ERROR_INIT;
		int r = byoh_csr_state_parse(states[i].text, strlen(states[i].text), &parsed_state, &err);

		if (r != states[i].result || parsed_state.phase != states[i].phase)
			fail_msg("%s: %d, phase %d, %s", states[i].text, r, (int)parsed_state.phase, err.message);
		if (states[i].message)
			assert_string_equal(parsed_state.message, states[i].message);
		assert_int_equal(parsed_state.certificate.size, r == 0 && parsed_state.phase == BYOH_CSR_ISSUED ? 3 : 0);
	}
}

static void test_due(void **state)
{
	const struct byoh_validity validity = { 1000, 2000 };

	(void)state;
	assert_true(byoh_validity_is_due(&validity, 999));
	assert_false(byoh_validity_is_due(&validity, 1000));
	assert_false(byoh_validity_is_due(&validity, 1799));
	assert_true(byoh_validity_is_due(&validity, 1800));
	assert_true(byoh_validity_is_due(&validity, 2500));
}

/* What the server answers to POST and to GET. */
static const struct row {
	const char *post, *get;
	int submitted, looked;
} rows[] = {
	{ "201 Created", "200 OK", 0, 0 },
	{ "409 Conflict", "404 Not Found", 0, -ENOENT },
	{ "403 Forbidden", "401 Unauthorized", -EACCES, -EACCES },
	{ "500 Internal Server Error", "503 Service Unavailable", -EPROTO, -EPROTO },
};

static const struct row *row;

static void answer(const struct test_server *server, unsigned int count, SSL *tls, const char *request)
{
	bool post = strstr(request, "POST /apis/certificates.k8s.io/v1/certificatesigningrequests HTTP/1.1\r\n") == request;
	struct byoh_buffer text = { 0 };

	(void)server;
	(void)count;
	CHECK(post || strstr(request, "GET /apis/certificates.k8s.io/v1/certificatesigningrequests/n HTTP/1.1\r\n") == request);
	CHECK(strstr(request, "Authorization: Bearer token\r\n"));
	CHECK(!post || strstr(request, "\r\n\r\n{\"a\": 1}"));
	CHECK(byoh_buffer_printf(&text, NULL, "HTTP/1.1 %s\r\n\r\n" HEAD, post ? row->post : row->get) == 0);
	test_server_write(tls, text.data);
}

static void ask(void)
{
	const struct byoh_buffer object = { .data = (char *)"{\"a\": 1}", .size = 8 };
	struct test_identity id = test_identity_make(&test_validity_usual);
	struct test_server server = { .answer = answer, .id = &id };
	struct byoh_buffer ca = test_identity_pem(&id);
	struct byoh_api_request access = { .ca = &ca, .token = "token" };
	struct byoh_csr_state csr = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	test_server_begin(&server);
	access.server = server.url;
	CHECK(byoh_csr_submit(server.outside, &access, &object, &err) == row->submitted);
	CHECK(byoh_csr_look(server.outside, &access, "n", &csr, &err) == row->looked);
	CHECK(csr.phase == BYOH_CSR_PENDING);
	test_server_end(&server);
}

static void test_server(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		row = &rows[i];
		test_in_child(ask);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests), cmocka_unit_test(test_names),	cmocka_unit_test(test_object),
		cmocka_unit_test(test_states),	 cmocka_unit_test(test_due), cmocka_unit_test(test_server),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
