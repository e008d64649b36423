/* SPDX-License-Identifier: Apache-2.0 */
/* What leaves the host in a support bundle holds none of its secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/support/support-bundle.h"
#include "tests/unit/certificates.h"
#include "tests/unit/root-fixture.h"

static const char *redact(const struct byoh_redactor *redactor, const char *text)
{
	static struct byoh_buffer out;

	byoh_buffer_release(&out);
	out = (struct byoh_buffer){ 0 };
	assert_int_equal(byoh_redact(redactor, text, strlen(text), &out, NULL), 0);
	return byoh_buffer_text(&out);
}

static void what_looks_like_a_secret_goes(void **state)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{ "token abcdef.0123456789abcdef expired\n", "token abcdef.<redacted> expired\n" },
		{ "tls abcdef.0123456789abcdefg", "tls abcdef.0123456789abcdefg" },
		{ "pod.default.svc", "pod.default.svc" },
		{ "Authorization: Bearer c2VjcmV0c2VjcmV0 x", "Authorization: <redacted>" },
		{ "curl -H 'X: Basic dXNlcjpwYXNzd29yZA=='", "curl -H 'X: Basic <redacted>'" },
		{ "  password: \"p w\"\nuser: me", "  password: <redacted>\nuser: me" },
		{ "password = \"x\"\n", "password = <redacted>\n" },
		{ "  token: {file: token}\n", "  token: {file: token}\n" },
		{ "kubelet --token=x --v=2\n", "kubelet --token=<redacted>\n" },
		{ "token_file: /etc/x\ntokens: 3\n", "token_file: /etc/x\ntokens: 3\n" },
		{ "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0xxxx.c2lnbmF0dXJlc2ln!", "<redacted>!" },
		{ "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n",
		  "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n" },
		{ "x\n-----BEGIN EC PRIVATE KEY-----\nAA\nBB\n-----END EC PRIVATE KEY-----\ny",
		  "x\n-----BEGIN EC PRIVATE KEY-----<redacted>-----END EC PRIVATE KEY-----\ny" },
		{ "-----BEGIN PRIVATE KEY-----\nnever ends", "-----BEGIN PRIVATE KEY-----<redacted>" },
		/* "-----BEGIN PRIVATE KEY-----\n", "-----BEGIN CERTIFICATE-----\n" */
		{ "k: LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCg==\n", "k: <redacted>\n" },
		{ "k: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==\n", "k: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCg==\n" },
		{ "", "" },
	};
	CLEANUP_REDACTOR struct byoh_redactor *redactor = byoh_redactor_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(redact(redactor, cases[i].text), cases[i].expected);
}

static void what_is_known_goes_in_every_form(void **state)
{
	static const char secret[] = "correct horse battery";
	CLEANUP_REDACTOR struct byoh_redactor *redactor = byoh_redactor_new();

	(void)state;
	assert_int_equal(byoh_redactor_add(redactor, secret, strlen(secret), NULL), 0);
	assert_int_equal(byoh_redactor_add(redactor, "abc", 3, NULL), 0);
	assert_string_equal(redact(redactor, "xcorrect horse batteryx abc"), "x<redacted>x abc");
	for (size_t lead = 0; lead < 3; lead++) {
		char text[64];
		CLEANUP_FREE char *encoded = NULL;

		snprintf(text, sizeof(text), "%.*s%s and more", (int)lead, "ab", secret);
		encoded = test_base64(text);
		assert_non_null(strstr(redact(redactor, encoded), "<redacted>"));
	}
}

static void a_file_tells_its_secrets(void **state)
{
	CLEANUP_REDACTOR struct byoh_redactor *redactor = byoh_redactor_new();
	CLEANUP_FREE char *key = test_private_key();
	static const char yaml[] = "users:\n- user:\n    token: 'static-token-of-32-letters'\n    password: hunter22\n";

	(void)state;
	assert_int_equal(byoh_redactor_learn(redactor, yaml, strlen(yaml), NULL), 0);
	assert_int_equal(byoh_redactor_learn(redactor, "a-token-alone\n", 14, NULL), 0);
	assert_int_equal(byoh_redactor_learn(redactor, key, strlen(key), NULL), 0);
	assert_string_equal(redact(redactor, "saw static-token-of-32-letters, hunter22"), "saw <redacted>, <redacted>");
	assert_string_equal(redact(redactor, "(a-token-alone)"), "(<redacted>)");
	strchr(key, '\n')[65] = '\0'; /* the first line of its body, without what stands around */
	assert_null(strstr(redact(redactor, strchr(key, '\n') + 1), "MI"));
}

/* Every secret that a host of ours has, in the place where it has it. */
static const struct {
	const char *path, *before, *secret, *behind;
} planted[] = {
	{ "/etc/byoh/token", "", "aaaaaa.aaaaaaaaaaaaaaaa", "\n" },
	{ "/etc/byoh/proxy-token", "", "an-opaque-token-of-kube-proxy", "\n" },
	{ "/var/lib/byoh/config/byoh.yaml", "cluster:\n  token: {value: ", "bbbbbb.bbbbbbbbbbbbbbbb", "}\n" },
	{ "/var/lib/byoh/previous/config/byoh.yaml", "registries:\n  configs:\n    r:\n      auth:\n        password: ",
	  "password-of-before", "\n" },
	{ "/etc/kubernetes/bootstrap-kubeconfig",
	  "current-context: c\ncontexts:\n- name: c\n  context: {cluster: c, user: u}\nclusters:\n- name: c\n  cluster: {server: "
	  "\"https://h:1\"}\nusers:\n- name: u\n  user: {\"token\": \"", "0123456789abcdef0123456789abcdef", "\"}\n" },
	{ "/etc/containerd/config.toml", "[a]\n  password = \"", "password-of-registry", "\"\n" },
};

static void nothing_planted_is_found(void **state)
{
	const struct test_root *root = *state;
	const struct byoh_host host = { .root_fd = root->fd };
	CLEANUP_REDACTOR struct byoh_redactor *redactor = byoh_redactor_new();
	CLEANUP_FREE char *key = test_private_key();
	CLEANUP_FREE char *encoded_key = test_base64(key);

	for (size_t i = 0; i < ARRAY_SIZE(planted); i++) {
		char text[1024];

		snprintf(text, sizeof(text), "%s%s%s", planted[i].before, planted[i].secret, planted[i].behind);
		test_root_put(root, planted[i].path, text, 0600);
	}
	test_root_put(root, "/var/lib/kubelet/pki/kubelet.key", key, 0600);
	assert_int_equal(byoh_support_learn(&host, NULL, redactor, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(planted); i++) {
		CLEANUP_FREE char *encoded = test_base64(planted[i].secret);
		char text[2048];
		const char *redacted;

		snprintf(text, sizeof(text), "E1121 said (%s) and %s.\n", planted[i].secret, encoded);
		redacted = redact(redactor, text);
		if (strstr(redacted, planted[i].secret) || strstr(redacted, encoded))
			fail_msg("%s gets out: %s", planted[i].path, redacted);
	}
	assert_null(strstr(redact(redactor, encoded_key), encoded_key));
}

static void an_archive_is_new_and_for_its_owner(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_REDACTOR struct byoh_redactor *redactor = byoh_redactor_new();
	struct byoh_support_archive *archive = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char path[256];
	struct stat st;
	uint64_t size;
	size_t count;

	snprintf(path, sizeof(path), "%s/x.tar.zst", root->path);
	assert_int_equal(byoh_support_archive_create(path, redactor, &archive, NULL), 0);
	assert_int_equal(byoh_support_archive_create(path, redactor, &archive, NULL), -EEXIST);
	assert_int_equal(byoh_support_archive_add(archive, "a", "token: x", 8, NULL), 0);
	byoh_support_archive_free(archive); /* not finished: nothing stays */
	assert_int_equal(lstat(path, &st), -1);
	assert_int_equal(byoh_support_archive_create(path, redactor, &archive, NULL), 0);
	assert_int_equal(byoh_support_archive_add(archive, "a", "token: x", 8, NULL), 0);
	assert_int_equal(byoh_support_archive_finish(archive, &size, &count, NULL), 0);
	byoh_support_archive_free(archive);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(count, 1);
	assert_int_equal((uint64_t)st.st_size, size);
	assert_int_equal(byoh_read_named_file(path, 1 << 20, &text, NULL), 0);
	assert_memory_equal(text.data, "\x28\xb5\x2f\xfd", 4); /* zstd */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_looks_like_a_secret_goes),
		cmocka_unit_test(what_is_known_goes_in_every_form),
		cmocka_unit_test(a_file_tells_its_secrets),
		cmocka_unit_test_setup_teardown(nothing_planted_is_found, test_root_set_up, test_root_tear_down),
		cmocka_unit_test_setup_teardown(an_archive_is_new_and_for_its_owner, test_root_set_up, test_root_tear_down),
	};

	return cmocka_run_group_tests_name("support bundle", tests, NULL, NULL);
}
