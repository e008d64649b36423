/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a cluster by token and pin: its signatures, and who may stand in its place. */
/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/json.h"
#include "installer/cluster-info.h"
#include "installer/credentials.h"
#include "installer/net/api.h"
#include "installer/net/discovery.h"
#include "tests/unit/api-server.h"
#include "tests/unit/certificates.h"

#define TOKEN "abcdef.0123456789abcdef"
#define FALSE_TOKEN "abcdef.0123456789abcdee"

/* Made by other programs than ours; the first two stand in the tests of Kubernetes too. */
static const struct {
	const char *token, *text, *signature;
} vectors[] = {
	{ "joshua.my voice is my passcode", "Hello from the other side. I must have called a thousand times.",
	  "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8" },
	{ "joshua.my voice is my passcode", "",
	  "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..7Ui1ALizW4jXphVUB7xUqC9vLYLL9RZeOFfVLoB7Tgk" },
	{ TOKEN, "apiVersion: v1\nkind: Config\n",
	  "eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9..vH_kT4yiol-nrAWgjfCYqvum5wsKETXe0S7OOp1VgnE" },
};

static void test_signatures(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		CLEANUP_BUFFER struct byoh_buffer signature = { 0 };

		assert_int_equal(byoh_cluster_info_sign(vectors[i].token, vectors[i].text, strlen(vectors[i].text),
							&signature, NULL), 0);
		assert_string_equal(signature.data, vectors[i].signature);
	}
}

/* The kubeconfig as bootstrapsigner keeps it. */
static struct byoh_buffer kubeconfig_of(const char *pem, const char *server)
{
	CLEANUP_FREE char *data = test_base64(pem);
	struct byoh_buffer ret = { 0 };

	if (byoh_buffer_printf(&ret, NULL,
			       "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: %s\n    server: "
			       "%s\n  name: \"\"\ncontexts: null\ncurrent-context: \"\"\nkind: Config\npreferences: {}\n"
			       "users: null\n", data, server) < 0)
		abort();
	return ret;
}

static struct byoh_buffer answer_with(const char *kubeconfig, const char *signed_text, const char *token)
{
	CLEANUP_BUFFER struct byoh_buffer signature = { 0 }, quoted = { 0 };
	struct byoh_buffer ret = { 0 };

	if (byoh_cluster_info_sign(token, signed_text, strlen(signed_text), &signature, NULL) < 0 ||
	    byoh_json_quote(&quoted, kubeconfig, NULL) < 0 ||
	    byoh_buffer_printf(&ret, NULL, "apiVersion: v1\nkind: ConfigMap\ndata:\n  jws-kubeconfig-%.6s: %s\n  "
			       "kubeconfig: %s\n", token, signature.data, quoted.data) < 0)
		abort();
	return ret;
}

static void read_answer(const char *answer, const char *pin, int expected, const char *words)
{
	CLEANUP_CLUSTER_INFO struct byoh_cluster_info info = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	int r = byoh_cluster_info_read(answer, strlen(answer), TOKEN, pin, &info, &err);

	if (r != expected || (words && !strstr(err.message, words)))
		fail_msg("%d: %s", r, err.message);
	assert_null(strstr(err.message, "0123456789abcde"));
	if (r == -EKEYREJECTED)
		assert_int_equal(err.kind, BYOH_ERROR_TRUST);
}

static void test_answers(void **state)
{
	CLEANUP_FREE char *ca = test_certificate(true, NULL), *other = test_certificate(true, NULL);
	CLEANUP_BUFFER struct byoh_buffer text = kubeconfig_of(ca, "https://10.0.0.1:6443");
	CLEANUP_BUFFER struct byoh_buffer good = answer_with(text.data, text.data, TOKEN);
	CLEANUP_BUFFER struct byoh_buffer forged = answer_with(text.data, text.data, FALSE_TOKEN);
	CLEANUP_BUFFER struct byoh_buffer changed = answer_with(text.data, "something else", TOKEN);
	CLEANUP_BUFFER struct byoh_buffer unknown = answer_with(text.data, text.data, "fedcba.0123456789abcdef");
	CLEANUP_BUFFER struct byoh_buffer empty = answer_with("clusters: []", "clusters: []", TOKEN);
	CLEANUP_BUFFER struct byoh_buffer list = answer_with("- a", "- a", TOKEN);
	char pin[BYOH_PIN_SIZE], strange[BYOH_PIN_SIZE];

	(void)state;
	test_pin_of(ca, pin);
	test_pin_of(other, strange);
	read_answer(good.data, pin, 0, NULL);
	read_answer(good.data, strange, -EKEYREJECTED, "has the pin sha256:");
	read_answer(forged.data, pin, -EKEYREJECTED, "not by the token abcdef");
	read_answer(changed.data, pin, -EKEYREJECTED, "not by the token abcdef");
	read_answer(unknown.data, pin, -ENOKEY, "no signature by the token abcdef");
	read_answer(empty.data, pin, -EPROTO, "one cluster");
	read_answer(list.data, pin, -EPROTO, "one cluster");
	read_answer("data: {}", pin, -EINVAL, "kubeconfig");
	read_answer("{", pin, -EINVAL, "");
}

/* Another CA that came along under the signature is believed only when the pinned one has confirmed it. */
static void test_pinned_alone(void **state)
{
	CLEANUP_FREE char *ca = test_certificate(true, NULL), *other = test_certificate(true, NULL), *both = NULL;
	CLEANUP_CLUSTER_INFO struct byoh_cluster_info info = { 0 };
	struct byoh_buffer text, answer;
	char pin[BYOH_PIN_SIZE];

	(void)state;
	assert_true(asprintf(&both, "%s%s", other, ca) > 0);
	text = kubeconfig_of(both, "https://10.0.0.1:6443/");
	answer = answer_with(text.data, text.data, TOKEN);
	test_pin_of(ca, pin);
	assert_int_equal(byoh_cluster_info_read(answer.data, answer.size, TOKEN, pin, &info, NULL), 0);
	assert_string_equal(info.pinned.data, ca);
	assert_string_equal(info.ca.data, both);
	assert_string_equal(info.server, "https://10.0.0.1:6443");
	assert_string_equal(info.kubeconfig.data, text.data);
	byoh_buffer_release(&text);
	byoh_buffer_release(&answer);
}

/* What the server says each time, and who it is the second time. */
static const struct row {
	const char *first, *second; /* HTTP status lines; NULL: 200 and the cluster-info */
	bool stranger_second, changed_second, strange_pin, forged;
	int result;
	const char *words;
} rows[] = {
	{ .result = 0 },
	{ .first = "403 Forbidden", .result = -EACCES, .words = "lets nobody read its cluster-info" },
	{ .first = "401 Unauthorized", .result = -EACCES, .words = "--ca FILE" },
	{ .first = "404 Not Found", .result = -ENOENT, .words = "has no cluster-info" },
	{ .first = "500 Internal Server Error", .result = -EPROTO, .words = "500" },
	{ .second = "403 Forbidden", .result = -EACCES, .words = "403" },
	{ .strange_pin = true, .result = -EKEYREJECTED, .words = "has the pin" },
	{ .forged = true, .result = -EKEYREJECTED, .words = "not by the token" },
	{ .stranger_second = true, .result = -BYOH_API_STRANGER, .words = "does not prove itself" },
	{ .changed_second = true, .result = -EKEYREJECTED, .words = "something else" },
};

static const struct row *row;

static const struct test_identity *identity(const struct test_server *server, unsigned int count)
{
	return count && row->stranger_second ? server->other : server->id;
}

static void answer(const struct test_server *server, unsigned int count, SSL *tls, const char *request)
{
	const char *status = count ? row->second : row->first;
	struct byoh_buffer pem = test_identity_pem(server->id), text = kubeconfig_of(pem.data, "https://a.example:6443");
	struct byoh_buffer changed = kubeconfig_of(pem.data, "https://b.example:6443"), head = { 0 };
	const char *served = count && row->changed_second ? changed.data : text.data;
	struct byoh_buffer body = answer_with(served, served, row->forged ? FALSE_TOKEN : TOKEN);

	/* Nothing of the token is shown to a stranger. */
	CHECK(strstr(request, "GET " BYOH_CLUSTER_INFO_PATH " HTTP/1.1\r\n") == request);
	CHECK(!strstr(request, "Authorization") && !strstr(request, "abcdef"));
	CHECK(byoh_buffer_printf(&head, NULL, "HTTP/1.1 %s\r\n\r\n%s", status ? status : "200 OK",
				 status ? "" : body.data) == 0);
	test_server_write(tls, head.data);
}

static void discover(void)
{
	struct test_identity id = test_identity_make(&test_validity_usual);
	struct test_identity other = test_identity_make(&test_validity_usual);
	struct test_server server = { .identity = identity, .answer = answer, .id = &id, .other = &other };
	struct byoh_buffer pem = test_identity_pem(&id), strange = test_identity_pem(&other), ca = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;
	char pin[BYOH_PIN_SIZE], *named = NULL;
	int r;

	test_pin_of(row->strange_pin ? strange.data : pem.data, pin);
	test_server_begin(&server);
	r = byoh_discover_cluster(server.outside, server.url, TOKEN, pin, &ca, &named, &err);
	if (r != row->result || (row->words && !strstr(err.message, row->words)))
		fprintf(stderr, "%d: %s\n", r, err.message);
	CHECK(r == row->result && (!row->words || strstr(err.message, row->words)));
	CHECK(r < 0 ? !ca.size : !strcmp(ca.data, pem.data) && !strcmp(named, "https://a.example:6443"));
	test_server_end(&server);
}

static void test_discovery(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		row = &rows[i];
		test_in_child(discover);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_pinned_alone),
		cmocka_unit_test(test_discovery),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
