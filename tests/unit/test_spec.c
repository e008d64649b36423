/* SPDX-License-Identifier: Apache-2.0 */
/* Specs and locks: what is read, and where errors point to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bundle/base/cleanup.h"
#include "bundle/fetch/registry.h"
#include "bundle/lock.h"
#include "bundle/spec.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD                                 \
	"apiVersion: byoh-bundle/v1alpha1\n" \
	"kind: Bundle\n"                     \
	"name: byoh-worker\n"                \
	"version: 1.34.1-1\n"                \
	"epoch: 7\n"                         \
	"arch: amd64\n"
#define PART                     \
	"components:\n"          \
	"  - name: kubelet\n"    \
	"    version: v1.34.1\n" \
	"    license: Apache-2.0\n"

static int parse(const char *text, struct byoh_spec **ret, struct byoh_error *err)
{
	return byoh_spec_parse(text, strlen(text), "dir/bundle.yaml", ret, err);
}

static void test_whole(void **state)
{
	CLEANUP_SPEC struct byoh_spec *spec = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;
	char hex[BYOH_DIGEST_HEX_SIZE];

	(void)state;
	assert_int_equal(parse(HEAD "kubernetes: v1.34.1\n" PART "    source: {url: "
				    "\"https://x/kubelet\", "
				    "sha256: " HEX "}\n"
				    "    files: [{from: kubelet, to: /usr/local/bin/kubelet, mode: "
				    "\"0755\"}, {to: /opt/}]\n"
				    "images:\n"
				    "  - {from: images/pause.tar, ref: \"r.io/pause:3\"}\n"
				    "  - {ref: \"r.io/x:1\", digest: \"sha256:" HEX "\", platform: "
				    "linux/"
				    "arm64}\n",
			       &spec, &err),
			 0);
	assert_string_equal(spec->name, "byoh-worker");
	assert_string_equal(spec->version, "1.34.1-1");
	assert_int_equal(spec->epoch, 7);
	assert_string_equal(spec->kubernetes, "v1.34.1");
	assert_int_equal(spec->component_count, 1);
	assert_string_equal(spec->components[0].source.url, "https://x/kubelet");
	assert_true(spec->components[0].source.has_digest);
	byoh_digest_hex(&spec->components[0].source.digest, hex);
	assert_string_equal(hex, HEX);
	assert_int_equal(spec->components[0].rule_count, 2);
	assert_int_equal(spec->components[0].rules[0].mode, 0755);
	assert_string_equal(spec->components[0].rules[1].from, "");
	assert_int_equal(spec->components[0].rules[1].mode, BYOH_SPEC_KEEP_MODE);
	assert_int_equal(spec->image_count, 2);
	assert_string_equal(spec->images[0].source.path, "images/pause.tar");
	assert_string_equal(spec->images[0].platform, "linux/amd64");
	assert_null(spec->images[1].source.path);
	assert_string_equal(spec->images[1].platform, "linux/arm64");
	assert_string_equal(spec->directory, "dir");
	assert_string_equal(spec->lock_path, "dir/bundle.lock");
}

static void test_paths(void **state)
{
	static const struct {
		const char *path, *directory, *lock;
	} cases[] = {
		{ "bundle.yaml", ".", "bundle.lock" },
		{ "/bundle.yaml", "/", "/bundle.lock" },
		{ "a.b/other.yml", "a.b", "a.b/other.lock" },
		{ "a.b/plain", "a.b", "a.b/plain.lock" },
	};
	static const char text[] = HEAD "images: [{from: x, ref: y}]\n";

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_SPEC struct byoh_spec *spec = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;

		assert_int_equal(byoh_spec_parse(text, strlen(text), cases[i].path, &spec, &err),
				 0);
		assert_string_equal(spec->directory, cases[i].directory);
		assert_string_equal(spec->lock_path, cases[i].lock);
	}
}

#define SOURCE(source) HEAD PART "    source: {" source "}\n    files: [{from: a, to: /a}]\n"
#define FILES(files) HEAD PART "    source: {path: a}\n    files: [" files "]\n"
#define IMAGE(image) HEAD "images:\n  - {" image "}\n"

static void test_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ "", "bundle.yaml" },
		{ HEAD, "nothing to pack" },
		{ HEAD "colour: red\n" PART, "bundle.yaml:7:1: unknown key \"colour\"" },
		{ "apiVersion: byoh-bundle/v2\nkind: Bundle\n", "bundle.yaml:1:13: \"apiVersion\" "
								"must be" },
		{ HEAD "components: []\n", "nothing to pack" },
		{ HEAD "name: again\n", "bundle.yaml:7:1" },
		{ SOURCE("path: a, url: \"https://x\""), "bundle.yaml:11:13: a source has either" },
		{ SOURCE("sha256: " HEX), "a source has either" },
		{ SOURCE("path: a, sha256: abc"), "bundle.yaml:11:31: \"sha256\" must be 64" },
		{ SOURCE("path: a, sha256: " HEX ", unlocked: true"), "exclude each other" },
		{ SOURCE("path: a, unlocked: yes"), "\"unlocked\" must be true or false" },
		{ SOURCE("url: \"ftp://x\""), "must begin with https://" },
		{ SOURCE("url: \"https://x y\""), "holds a space" },
		{ SOURCE("pth: a"), "did you mean \"path\"" },
		{ FILES(""), "\"files\" is empty" },
		{ FILES("{from: a}"), "the key \"to\" is missing" },
		{ FILES("{from: a, to: a}"), "\"to\" must be an absolute path" },
		{ FILES("{from: a, to: /a/../b}"), "\"to\" must be an absolute path" },
		{ FILES("{from: a, to: /a//b}"), "\"to\" must be an absolute path" },
		{ FILES("{from: a, to: /}"), "\"to\" must be an absolute path" },
		{ FILES("{from: a, to: /a, mode: \"4755\"}"), "\"mode\" must be octal" },
		{ FILES("{from: a, to: /a, mode: \"0855\"}"), "\"mode\" must be octal" },
		{ FILES("{from: a, to: /a, mode: \"00755\"}"), "\"mode\" must be octal" },
		{ FILES("{from: a, to: /a, owner: root}"), "bundle.yaml:12:31: unknown key "
							   "\"owner\"" },
		{ IMAGE("ref: \"r.io/x:1\""), "an image needs" },
		{ IMAGE("from: a"), "the key \"ref\" is missing" },
		{ IMAGE("ref: x, digest: " HEX), "must be sha256: and 64" },
		{ IMAGE("ref: x, from: a, digest: \"sha256:" HEX "\""), "\"digest\" is for images "
									"from a registry" },
		{ IMAGE("ref: x, sha256: " HEX), "\"sha256\" is for archives" },
		{ IMAGE("ref: \"x y\", from: a"), "\"ref\" must look like" },
		{ HEAD "images: [{from: a, ref: x}, {from: b, ref: x}]\n", "stands here twice" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_SPEC struct byoh_spec *spec = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;

		if (parse(cases[i].text, &spec, &err) == 0)
			fail_msg("accepted: %s", cases[i].text);
		if (!strstr(err.message, cases[i].message))
			fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].message);
		assert_int_equal(err.kind, BYOH_ERROR_CONFIG);
		assert_null(spec);
	}
}

static void test_lock_round(void **state)
{
	CLEANUP_LOCK struct byoh_lock *lock = byoh_lock_new();
	CLEANUP_LOCK struct byoh_lock *again = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = { 0 }, second = { 0 };
	struct byoh_spec_source source = { .path = "a" };
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_digest one, two, found;

	(void)state;
	memset(&one, 1, sizeof(one));
	memset(&two, 2, sizeof(two));
	assert_int_equal(byoh_lock_set(lock, false, "z", "a", &two, &err), 0);
	assert_int_equal(byoh_lock_set(lock, false, "part", "a", &two, &err), 0);
	assert_int_equal(byoh_lock_set(lock, false, "part", "a", &one, &err), 0);
	assert_int_equal(byoh_lock_set(lock, true, "part", "a", &two, &err), 0);
	assert_int_equal(byoh_lock_write(lock, &text, &err), 0);
	assert_int_equal(byoh_lock_parse(text.data, text.size, "x.lock", &again, &err), 0);
	assert_int_equal(byoh_lock_write(again, &second, &err), 0);
	assert_string_equal(text.data, second.data);

	assert_true(byoh_lock_digest(again, false, "part", &source, &found));
	assert_memory_equal(&found, &one, sizeof(found));
	assert_true(byoh_lock_digest(again, true, "part", &source, &found));
	assert_memory_equal(&found, &two, sizeof(found));
	assert_false(byoh_lock_digest(again, false, "other", &source, &found));
	source.path = "b"; /* another source of the same component */
	assert_false(byoh_lock_digest(again, false, "part", &source, &found));
	source = (struct byoh_spec_source){ .path = "a", .has_digest = true, .digest = two };
	assert_true(byoh_lock_digest(again, false, "part", &source, &found));
	assert_memory_equal(&found, &two, sizeof(found)); /* the spec's own wins */
	source = (struct byoh_spec_source){ .path = "a", .unlocked = true };
	assert_false(byoh_lock_digest(again, false, "part", &source, &found));
}

static void test_lock_refused(void **state)
{
	static const char *const cases[] = {
		"{}",
		"{\"apiVersion\": \"byoh-bundle/v1alpha1\", \"kind\": \"Bundle\", \"sources\": [], "
		"\"images\": []}",
		"{\"apiVersion\": \"byoh-bundle/v1alpha1\", \"kind\": \"Lock\", \"sources\": []}",
		"{\"apiVersion\": \"byoh-bundle/v1alpha1\", \"kind\": \"Lock\", \"images\": [], "
		"\"sources\": [{\"component\": \"a\", \"source\": \"b\", \"sha256\": \"12\"}]}",
		"{\"apiVersion\": \"byoh-bundle/v1alpha1\", \"kind\": \"Lock\", \"images\": [], "
		"\"sources\": ["
		"{\"component\": \"a\", \"source\": \"b\", \"sha256\": \"" HEX "\"},"
		"{\"component\": \"a\", \"source\": \"b\", \"sha256\": \"" HEX "\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_LOCK struct byoh_lock *lock = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;

		if (byoh_lock_parse(cases[i], strlen(cases[i]), "x.lock", &lock, &err) == 0)
			fail_msg("accepted: %s", cases[i]);
		assert_int_equal(err.kind, BYOH_ERROR_CONFIG);
		assert_non_null(strstr(err.message, "x.lock"));
	}
}

static void test_references(void **state)
{
	static const struct {
		const char *ref, *host, *repository, *tag;
	} cases[] = {
		{ "registry.k8s.io/pause:3.10", "registry.k8s.io", "pause", "3.10" },
		{ "busybox", "registry-1.docker.io", "library/busybox", "latest" },
		{ "team/app:1", "registry-1.docker.io", "team/app", "1" },
		{ "docker.io/busybox:1", "registry-1.docker.io", "library/busybox", "1" },
		{ "localhost/a", "localhost", "a", "latest" },
		{ "127.0.0.1:5000/a/b:c", "127.0.0.1:5000", "a/b", "c" },
		{ "r.io/a:1@sha256:" HEX, "r.io", "a", "1" },
	};
	static const char *const wrong[] = { "",       "r.io/",	  "r.io/../x", "r.io/a//b",
					     "r.io/A", "r.io/a:", "r.io/a:b:c" };
	struct byoh_registry_ref ref;
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(byoh_registry_parse_ref(cases[i].ref, &ref, &err), 0);
		assert_string_equal(ref.host, cases[i].host);
		assert_string_equal(ref.repository, cases[i].repository);
		assert_string_equal(ref.tag, cases[i].tag);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (byoh_registry_parse_ref(wrong[i], &ref, &err) == 0)
			fail_msg("accepted: %s", wrong[i]);
}

static void test_challenges(void **state)
{
	struct byoh_registry_challenge challenge;

	(void)state;
	assert_true(byoh_registry_parse_challenge(" Bearer realm=\"https://a.b/token\", "
						  "service=\"a \\\"b\\\"\",scope=x\r\n",
						  &challenge));
	assert_string_equal(challenge.realm, "https://a.b/token");
	assert_string_equal(challenge.service, "a \"b\"");
	assert_string_equal(challenge.scope, "x");
	assert_true(byoh_registry_parse_challenge("bearer realm=\"https://a,b\"", &challenge));
	assert_string_equal(challenge.realm, "https://a,b");
	assert_false(byoh_registry_parse_challenge("Basic realm=\"x\"", &challenge));
	assert_false(byoh_registry_parse_challenge("Bearer service=\"x\"", &challenge));
	assert_false(byoh_registry_parse_challenge("Bearer realm=\"x", &challenge));
	assert_false(byoh_registry_parse_challenge("", &challenge));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),	     cmocka_unit_test(test_paths),
		cmocka_unit_test(test_refused),	     cmocka_unit_test(test_lock_round),
		cmocka_unit_test(test_lock_refused), cmocka_unit_test(test_references),
		cmocka_unit_test(test_challenges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
