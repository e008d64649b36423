/* SPDX-License-Identifier: Apache-2.0 */
/* What counts of a configuration before anything else of it is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/discover.h"
#include "tests/unit/root-fixture.h"

static struct byoh_error last_error;

static int set_up(void **state)
{
	const struct test_root *root;

	test_root_set_up(state);
	root = *state;
	assert_int_equal(byoh_make_directories(root->fd, "etc/byoh", 0700, NULL), 0);
	return 0;
}

static void put(const struct test_root *root, const char *path, const char *text, size_t size)
{
	assert_int_equal(byoh_write_file(root->fd, path, text, size, 0600, &last_error), 0);
}

static int policy_of(const struct test_root *root, const char *text, struct byoh_policy *ret)
{
	put(root, "etc/byoh/byoh.yaml", text, strlen(text));
	return byoh_discover_policy(root->fd, ret, &last_error);
}

static void a_host_without_a_config_asks_for_one_signature(void **state)
{
	const struct test_root *root = *state;
	struct byoh_policy policy;

	assert_int_equal(byoh_discover_policy(root->fd, &policy, &last_error), 0);
	assert_int_equal(policy.threshold, 1);
	assert_false(policy.config_signature);
	assert_int_equal(policy_of(root, "kind: InstallConfig\n", &policy), 0);
	assert_int_equal(policy.threshold, 1);
}

static void the_installed_config_is_the_hosts_policy(void **state)
{
	const struct test_root *root = *state;
	struct byoh_policy policy;

	assert_int_equal(policy_of(root, "policy: {threshold: 2, requireConfigSignature: true}\n", &policy),
			 0);
	assert_int_equal(policy.threshold, 2);
	assert_true(policy.config_signature);
}

/* 2^32 would be 0 in 32 bits, and that is as good as no policy. */
static void a_policy_out_of_bounds_is_no_weak_policy(void **state)
{
	const struct test_root *root = *state;
	static const char *const wrong[] = { "policy: {threshold: 0}\n", "policy: {threshold: 4294967296}\n",
					     "policy: {threshold: many}\n", "policy: {threshold: -1}\n" };
	struct byoh_policy policy;

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_true(policy_of(root, wrong[i], &policy) < 0);
		assert_int_equal(last_error.kind, BYOH_ERROR_CONFIG);
	}
}

static void a_config_from_elsewhere_may_raise_the_policy_and_not_lower_it(void **state)
{
	static const struct {
		struct byoh_policy host;
		unsigned int threshold;
		bool wants_signature, has_signature, accepted;
	} cases[] = {
		{ { 1, false }, 1, false, false, true },
		{ { 1, false }, 3, false, false, true },
		{ { 2, false }, 2, false, false, true },
		{ { 2, false }, 1, false, false, false },
		{ { 2, false }, 1, false, true, false },
		{ { 1, true }, 1, true, true, true },
		{ { 1, true }, 1, true, false, false },
		{ { 1, true }, 1, false, true, false },
		{ { 1, false }, 1, true, false, false },
		{ { 1, false }, 1, true, true, true },
	};
	static char path[] = "/media/byoh.yaml";
	struct byoh_config config = { .path = path };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r;

		config.policy.threshold = cases[i].threshold;
		config.policy.config_signature = cases[i].wants_signature;
		r = byoh_discover_check_policy(&cases[i].host, &config, cases[i].has_signature, &last_error);
		if (cases[i].accepted != (r == 0))
			fail_msg("case %zu: result %d", i, r);
		if (r < 0)
			assert_int_equal(last_error.kind, BYOH_ERROR_TRUST);
	}
}

static void parse_hex(const char *hex, unsigned char *ret, size_t size)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &ret[i]), 1);
}

/* Made with openssl as docs/publish-a-bundle.md tells, each over another message with the same key. */
static void a_signature_is_one_over_the_prefix_and_the_bytes_that_were_read(void **state)
{
	static const char key_hex[] = "921d6f67b9aa3c28fd6e4d33faa9f22ebf0db351337fa432688432eeee72c464";
	static const char good[] = "apiVersion: byoh-install/v1alpha1\n";
	static const char other[] = "apiVersion: byoh-install/v1alpha2\n";
	static const char as_told[] =
		"111e0dc20d4688205d710b2fea5b288f9fc5f001e0c0a330b6f6b42ef42fbfad"
		"d7f5e244dc66927eb5adb9f3875b1859317d2c3a1a8437ddc80ec25d1c530305";
	static const char over_the_file[] =
		"5293ce90ebcca1e5c4e275f31bbd684bda4398a251c239837abc7e4ba565b0b4"
		"446518be61d929ac6d45b015be5f048bb96011363250a2ebd375ceebfc217e0d";
	static const char of_a_bundle[] =
		"5290d9a43b3d1177405e6a392eb4aaf69467bca34a064a5dd99160d08cfa748b"
		"703506127be07133e2fb3ff713f46665082a0554a81b6a71815e5f5d0a5c4d0d";
	static const struct {
		const char *signature, *text;
		int result;
	} cases[] = {
		{ as_told, good, 0 },
		{ as_told, other, -EKEYREJECTED },
		{ over_the_file, good, -EKEYREJECTED },
		{ of_a_bundle, good, -EKEYREJECTED },
	};
	const struct test_root *root = *state;
	CLEANUP_KEYRING struct byoh_keyring *keyring = byoh_keyring_new();
	struct byoh_public_key key;
	char path[sizeof(root->path) + 16];

	snprintf(path, sizeof(path), "%s/c.yaml", root->path);
	parse_hex(key_hex, key.bytes, sizeof(key.bytes));
	assert_int_equal(byoh_keyring_add(keyring, &key, NULL), 0);
	put(root, "c.yaml", "whatever a second read would give", 33);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_BUFFER struct byoh_buffer text = {0}, found = {0};
		unsigned char signature[BYOH_SIGNATURE_SIZE];

		parse_hex(cases[i].signature, signature, sizeof(signature));
		put(root, "c.yaml.sig", (const char *)signature, sizeof(signature));
		assert_int_equal(byoh_buffer_add(&text, cases[i].text, strlen(cases[i].text), NULL), 0);
		assert_int_equal(byoh_discover_check_signature(path, &text, keyring, &found, &last_error),
				 cases[i].result);
		assert_int_equal(found.size, BYOH_SIGNATURE_SIZE);
	}
}

static void a_signature_that_cannot_be_read_is_no_missing_one(void **state)
{
	const struct test_root *root = *state;
	CLEANUP_KEYRING struct byoh_keyring *keyring = byoh_keyring_new();
	CLEANUP_BUFFER struct byoh_buffer found = {0};
	struct byoh_buffer text = { .data = (char[]){ "x" }, .size = 1 };
	char path[sizeof(root->path) + 16];

	snprintf(path, sizeof(path), "%s/c.yaml", root->path);
	assert_int_equal(byoh_discover_check_signature(path, &text, keyring, &found, &last_error), 0);
	assert_int_equal(found.size, 0);
	assert_int_equal(symlinkat("c.yaml.sig", root->fd, "c.yaml.sig"), 0); /* a loop */
	assert_true(byoh_discover_check_signature(path, &text, keyring, &found, &last_error) < 0);
}

static void the_kernel_argument_names_one_config(void **state)
{
	static const struct {
		const char *line, *found;
		int result;
	} cases[] = {
		{ "quiet root=/dev/vda\n", NULL, 0 },
		{ "quiet byoh.config=/mnt/a.yaml root=/dev/vda\n", "/mnt/a.yaml", 0 },
		{ "byoh.config=/a.yaml byoh.config=/a.yaml\n", "/a.yaml", 0 },
		{ "byoh.config=/a.yaml x byoh.config=/b.yaml\n", NULL, -EEXIST },
		{ "nobyoh.config=/a.yaml\n", NULL, 0 },
		{ "", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char line[128];
		const char *found;

		strcpy(line, cases[i].line);
		assert_int_equal(byoh_discover_kernel_argument(line, &found, &last_error), cases[i].result);
		if (cases[i].result < 0)
			assert_int_equal(last_error.kind, BYOH_ERROR_CONFIG);
		else if (cases[i].found)
			assert_string_equal(found, cases[i].found);
		else
			assert_null(found);
	}
}

#define WITH_HOST(test) cmocka_unit_test_setup_teardown(test, set_up, test_root_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_HOST(a_host_without_a_config_asks_for_one_signature),
		WITH_HOST(the_installed_config_is_the_hosts_policy),
		WITH_HOST(a_policy_out_of_bounds_is_no_weak_policy),
		cmocka_unit_test(a_config_from_elsewhere_may_raise_the_policy_and_not_lower_it),
		WITH_HOST(a_signature_is_one_over_the_prefix_and_the_bytes_that_were_read),
		WITH_HOST(a_signature_that_cannot_be_read_is_no_missing_one),
		cmocka_unit_test(the_kernel_argument_names_one_config),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
