/* SPDX-License-Identifier: Apache-2.0 */
/* What an API server's answer says about a host's certificate request, and what a person is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "installer/join-answer.h"
#include "installer/net/api.h"
#include "tests/unit/certificates.h"

#define SIGNER "kubernetes.io/kube-apiserver-client-kubelet"
#define NODE "system:node:node10"
#define USER "system:bootstrap:abcdef"

static const struct byoh_request_wanted wanted = { .signer = SIGNER, .common_name = NODE, .username = USER };

static char *take_text(BIO *bio)
{
	char *data, *text;
	long size = BIO_get_mem_data(bio, &data);

	text = strndup(data, (size_t)size);
	assert_non_null(text);
	BIO_free(bio);
	return text;
}

/* base64 of PEM, malloc; *ret_key gets the key as PEM where it is not NULL. */
static char *request(const char *common_name, char **ret_key)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509_REQ *csr = X509_REQ_new();
	BIO *bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
	CLEANUP_FREE char *text = NULL, *key_text = NULL;

	assert_true(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(csr), "CN", MBSTRING_ASC,
					       (const unsigned char *)common_name, -1, -1, 0));
	assert_true(X509_REQ_set_pubkey(csr, key) && X509_REQ_sign(csr, key, EVP_sha256()));
	assert_true(PEM_write_bio_X509_REQ(bio, csr));
	assert_true(PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL));
	X509_REQ_free(csr);
	EVP_PKEY_free(key);
	text = take_text(bio);
	key_text = take_text(key_bio);
	if (ret_key)
		*ret_key = TAKE_PTR(key_text);
	return test_base64(text);
}

static char *item(const char *name, const char *created, const char *user, const char *encoded, const char *status)
{
	char *text;

	assert_true(asprintf(&text, "{\"metadata\": {\"name\": \"%s\", \"creationTimestamp\": \"%s\"}, \"spec\": "
			     "{\"signerName\": \"" SIGNER "\", \"username\": \"%s\", \"request\": \"%s\"}, \"status\": %s}",
			     name, created, user, encoded, status) > 0);
	return text;
}

static struct byoh_join_request find(const char *text, const struct byoh_request_wanted *which)
{
	struct byoh_join_request csr;

	assert_int_equal(byoh_request_find(text, strlen(text), which, &csr, NULL), 0);
	return csr;
}

static void the_state_is_read(void **state)
{
	static const struct {
		const char *status;
		enum byoh_request_state state;
		const char *reason;
	} cases[] = {
		{ "{}", BYOH_REQUEST_PENDING, "" },
		{ "{\"conditions\": []}", BYOH_REQUEST_PENDING, "" },
		{ "{\"conditions\": [{\"type\": \"Approved\", \"message\": \"m\"}]}", BYOH_REQUEST_APPROVED, "m" },
		{ "{\"conditions\": [{\"type\": \"Approved\"}], \"certificate\": \"LS0=\"}", BYOH_REQUEST_ISSUED, "" },
		{ "{\"conditions\": [{\"type\": \"Denied\", \"reason\": \"KubectlDeny\", \"message\": \"no\"}]}",
		  BYOH_REQUEST_DENIED, "no" },
		{ "{\"conditions\": [{\"type\": \"Denied\", \"reason\": \"KubectlDeny\"}]}", BYOH_REQUEST_DENIED, "KubectlDeny" },
		{ "{\"conditions\": [{\"type\": \"Approved\"}, {\"type\": \"Failed\", \"message\": \"a\\u001bb\"}]}",
		  BYOH_REQUEST_FAILED, "a?b" },
	};
	CLEANUP_FREE char *encoded = request(NODE, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_FREE char *text = item("csr-1", "2026-01-01T00:00:00Z", USER, encoded, cases[i].status);
		struct byoh_join_request csr = find(text, &wanted);

		assert_int_equal(csr.state, cases[i].state);
		assert_string_equal(csr.reason, cases[i].reason);
		assert_string_equal(csr.name, "csr-1");
	}
}

/* Another bootstrapper may ask in our name, and give its request any name. */
static void only_the_own_newest_request_counts(void **state)
{
	CLEANUP_FREE char *ours = request(NODE, NULL), *others = request("system:node:node11", NULL);
	CLEANUP_FREE char *old = item("csr-old", "2026-01-01T00:00:00Z", USER, ours, "{}");
	CLEANUP_FREE char *new = item("csr-new", "2026-01-02T00:00:00Z", USER, ours, "{}");
	CLEANUP_FREE char *neighbour = item("csr-n", "2026-01-03T00:00:00Z", USER, others, "{}");
	CLEANUP_FREE char *stranger = item("csr-s", "2026-01-03T00:00:00Z", "system:bootstrap:zzzzzz", ours, "{}");
	CLEANUP_FREE char *trap = item("csr;reboot", "2026-01-03T00:00:00Z", USER, ours, "{}");
	CLEANUP_FREE char *option = item("-f", "2026-01-03T00:00:00Z", USER, ours, "{}");
	CLEANUP_FREE char *rubbish = item("csr-r", "2026-01-03T00:00:00Z", USER, "LS0tLS0=", "{}");
	const struct byoh_request_wanted anybody = { .signer = SIGNER, .common_name = NODE };
	CLEANUP_FREE char *list = NULL;

	(void)state;
	assert_true(asprintf(&list, "items: [%s, %s, %s, %s, %s, %s, %s]\n", old, new, neighbour, stranger, trap, option,
			     rubbish) > 0);
	assert_string_equal(find(list, &wanted).name, "csr-new");
	assert_string_equal(find(list, &anybody).name, "csr-s");
	assert_int_equal(find("items: []\n", &wanted).state, BYOH_REQUEST_NONE);
	assert_int_equal(find("kind: Status\n", &wanted).state, BYOH_REQUEST_NONE);
	assert_int_equal(find(trap, &wanted).state, BYOH_REQUEST_NONE);
}

static void a_request_with_another_key_is_foreign(void **state)
{
	char *pem = NULL;
	CLEANUP_FREE char *encoded = request(NODE, &pem), *foreign_key = test_private_key();
	CLEANUP_FREE char *key = pem, *text = item("byoh-csr-node10", "2026-01-01T00:00:00Z", USER, encoded, "{}");
	const struct byoh_buffer own = { .data = key, .size = strlen(key) };
	const struct byoh_buffer other = { .data = foreign_key, .size = strlen(foreign_key) };
	struct byoh_request_wanted which = wanted;

	(void)state;
	which.key = &own;
	assert_int_equal(find(text, &which).state, BYOH_REQUEST_PENDING);
	which.key = &other;
	assert_int_equal(find(text, &which).state, BYOH_REQUEST_FOREIGN);
}

static void says(const struct byoh_join_look *look, const char *word, const char *reason, const char *text)
{
	CLEANUP_BUFFER struct byoh_buffer sentence = { 0 };
	const char *is = byoh_join_reason_word(look->reason);

	assert_int_equal(byoh_join_sentence(look, &sentence, NULL), 0);
	assert_non_null(strstr(byoh_buffer_text(&sentence), text));
	assert_null(strchr(byoh_buffer_text(&sentence), '\n'));
	assert_string_equal(byoh_join_word(look->reason), word);
	assert_string_equal(is ? is : "-", reason);
}

static void failures_have_their_words(void **state)
{
	struct byoh_error err = { BYOH_ERROR_SYSTEM, 0, "cannot reach https://x:6443: Connection refused" };
	struct byoh_join_look look = { 0 };

	(void)state;
	byoh_join_look_fail(&look, -ECONNREFUSED, &err);
	says(&look, "pending", "unreachable", "cannot reach https://x:6443");
	assert_true(byoh_join_may_change(look.reason));
	byoh_join_look_fail(&look, -BYOH_API_STRANGER, &err);
	says(&look, "pending", "ca", "join --ca");
	assert_false(byoh_join_may_change(look.reason));
	byoh_join_look_fail(&look, -BYOH_API_OTHER_NAME, &err);
	says(&look, "pending", "ca", "cannot reach");
	byoh_join_look_fail(&look, -BYOH_API_CLOCK, &err);
	says(&look, "pending", "clock", "cannot reach");
	byoh_join_look_status(&look, 401);
	says(&look, "pending", "token", "unknown there or has expired");
	byoh_join_look_status(&look, 403);
	says(&look, "pending", "rights", "system:node-bootstrapper");
	byoh_join_look_status(&look, 404);
	says(&look, "pending", "request", "journalctl -u kubelet");
	byoh_join_look_status(&look, 503);
	says(&look, "pending", "server", "status 503");
	assert_true(byoh_join_may_change(look.reason));
}

/* As a kubelet asks again at once, under another name; in whichever order the list has them. */
static void an_earlier_denial_is_told(void **state)
{
	static const char denied[] = "{\"conditions\": [{\"type\": \"Denied\"}]}";
	CLEANUP_FREE char *encoded = request(NODE, NULL);
	CLEANUP_FREE char *old = item("csr-old", "2026-01-01T00:00:00Z", USER, encoded, denied);
	CLEANUP_FREE char *new = item("csr-new", "2026-01-02T00:00:00Z", USER, encoded, "{}");
	const char *const lists[][2] = { { old, new }, { new, old } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		CLEANUP_FREE char *text = NULL;
		struct byoh_join_look look = { 0 };

		assert_true(asprintf(&text, "items: [%s, %s]\n", lists[i][0], lists[i][1]) > 0);
		assert_int_equal(byoh_join_look_answer(&look, &(struct byoh_buffer){ .data = text, .size = strlen(text) },
						       &wanted, NULL), 0);
		says(&look, "pending", "approval",
		     "approve csr-new (csr-old, which it made before, was denied)");
	}
}

static void answers_have_their_words(void **state)
{
	static const struct {
		const char *status, *word, *reason, *says;
	} cases[] = {
		{ "{}", "pending", "approval", "kubectl certificate approve csr-1" },
		{ "{\"conditions\": [{\"type\": \"Approved\"}]}", "pending", "certificate", "is approved" },
		{ "{\"conditions\": [{\"type\": \"Denied\", \"message\": \"not you\"}]}", "denied", "denied",
		  "was denied: not you; if that was a mistake: kubectl delete csr csr-1" },
		{ "{\"conditions\": [{\"type\": \"Failed\"}]}", "failed", "signer", "could not be signed" },
	};
	CLEANUP_FREE char *encoded = request(NODE, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_FREE char *text = item("csr-1", "", USER, encoded, cases[i].status);
		const struct byoh_buffer body = { .data = text, .size = strlen(text) };
		CLEANUP_BUFFER struct byoh_buffer command = { 0 };
		struct byoh_join_look look = { 0 };

		assert_int_equal(byoh_join_look_answer(&look, &body, &wanted, NULL), 0);
		says(&look, cases[i].word, cases[i].reason, cases[i].says);
		assert_int_equal(byoh_join_approve_command(&look, &command, NULL), 0);
		assert_int_equal(command.size > 0, i == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_state_is_read),
		cmocka_unit_test(only_the_own_newest_request_counts),
		cmocka_unit_test(a_request_with_another_key_is_foreign),
		cmocka_unit_test(failures_have_their_words),
		cmocka_unit_test(an_earlier_denial_is_told),
		cmocka_unit_test(answers_have_their_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
