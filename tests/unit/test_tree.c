/* SPDX-License-Identifier: Apache-2.0 */
/* From specs and sources to the tree of a bundle; images from archives and layouts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "bundle/base/cleanup.h"
#include "bundle/spec.h"
#include "bundle/tree.h"
#include "tests/unit/archive-fixture.h"

#define HEAD                                                                                    \
	"apiVersion: byoh-bundle/v1alpha1\nkind: Bundle\nname: x\nversion: 1\nepoch: 1\narch: " \
	"amd64\n"
#define PART(name, source, files)                                                              \
	"  - {name: " name ", version: v1, license: none, source: {path: " source "}, files: " \
	"[" files "]}\n"

static int set_up(void **state)
{
	static const struct fixture_member members[] = {
		{ "./", FIXTURE_DIRECTORY, 0755, NULL },
		{ "./bridge", FIXTURE_FILE, 0775, "bridge" },
		{ "./ptp", FIXTURE_FILE, 0755, "ptp" },
		{ "./doc/", FIXTURE_DIRECTORY, 0755, NULL },
		{ "./doc/README", FIXTURE_FILE, 0644, "read me" },
		{ "./doc/more/deep", FIXTURE_FILE, 0600, "deep" },
		{ "./latest", FIXTURE_SYMLINK, 0777, "bridge" },
		{ "./odd/out", FIXTURE_SYMLINK, 0777, "/etc/passwd" },
		{ "./odd/pipe", FIXTURE_FIFO, 0644, NULL },
		{ "./odd/su", FIXTURE_FILE, 04755, "su" },
	};
	char *folder = fixture_folder();

	fixture_archive(folder, "cni.tgz", "tar.gz", members, ARRAY_SIZE(members));
	fixture_package(folder, "x.deb", members, ARRAY_SIZE(members));
	fixture_text(folder, "script", "#!/bin/sh\n");
	fixture_text(folder, "text", "plain text\n");
	*state = folder;
	return 0;
}

static int tear_down(void **state)
{
	fixture_remove(*state);
	return 0;
}

static int collect(const char *folder, const char *text, bool allow_unlocked,
		   struct byoh_tree **ret, struct byoh_error *err)
{
	CLEANUP_SPEC struct byoh_spec *spec = NULL;
	char scratch[] = "scratch.XXXXXX", *made;
	int r;

	fixture_text(folder, "bundle.yaml", text);
	made = mkdtemp((char *)(uintptr_t)fixture_path(folder, scratch));
	assert_non_null(made);
	r = byoh_spec_load(fixture_path(folder, "bundle.yaml"), &spec, err);
	return r < 0 ? r
		     : byoh_tree_collect(spec, fixture_path(folder, "cache"), made, allow_unlocked,
					 ret, err);
}

static const struct byoh_tree_entry *find(const struct byoh_tree *tree, const char *path)
{
	for (size_t i = 0; i < tree->entry_count; i++)
		if (strcmp(tree->entries[i].path, path) == 0)
			return &tree->entries[i];
	return NULL;
}

static void assert_file(const struct byoh_tree *tree, const char *path, mode_t mode,
			const char *content)
{
	const struct byoh_tree_entry *entry = find(tree, path);
	CLEANUP_FREE char *bytes = NULL;

	if (!entry) {
		fail_msg("%s is not in the tree", path);
		return;
	}
	assert_int_equal(entry->type, BYOH_FILE_REGULAR);
	assert_int_equal(entry->mode, mode);
	assert_int_equal(entry->size, strlen(content));
	bytes = fixture_read(entry->source, NULL);
	assert_string_equal(bytes, content);
}

/* Sorted, unique, and every parent a folder that stands before. */
static void assert_order(const struct byoh_tree *tree)
{
	for (size_t i = 0; i < tree->entry_count; i++) {
		const char *path = tree->entries[i].path, *slash = strrchr(path, '/');

		if (i)
			assert_true(strcmp(tree->entries[i - 1].path, path) < 0);
		if (slash) {
			CLEANUP_FREE char *parent = strndup(path, (size_t)(slash - path));

			assert_non_null(find(tree, parent));
			assert_int_equal(find(tree, parent)->type, BYOH_FILE_DIRECTORY);
		}
	}
}

static void test_files(void **state)
{
	CLEANUP_TREE struct byoh_tree *tree = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	if (collect(*state,
		    HEAD "components:\n" PART("cni", "cni.tgz, unlocked: true",
					      "{from: \"./*\", to: /opt/cni/bin/}, {from: doc/, "
					      "to: /usr/share/doc/},"
					      "{from: odd/su, to: /su, mode: \"0555\"}") PART("deb",
											      "x."
											      "deb,"
											      " unl"
											      "ocke"
											      "d: "
											      "tru"
											      "e",
											      "{fro"
											      "m: "
											      "\"b*"
											      "e\","
											      " to:"
											      " /"
											      "usr/"
											      "bin/"
											      "brid"
											      "ge, "
											      "mode"
											      ": "
											      "\"07"
											      "00\""
											      "}")
			    PART("script", "script, unlocked: true",
				 "{from: \"scr*\", to: /usr/bin/}, {to: /copy, mode: "
				 "\"0600\"}") PART("text", "text, unlocked: true",
						   "{from: text, to: /etc/text}")
				    PART("packed", "cni.tgz, unlocked: true", "{to: /srv/}"),
		    true, &tree, &err) < 0)
		fail_msg("%s", err.message);
	assert_order(tree);
	assert_file(tree, "opt/cni/bin/bridge", 0755, "bridge");
	assert_file(tree, "opt/cni/bin/ptp", 0755, "ptp");
	assert_null(find(tree, "opt/cni/bin/README"));
	assert_null(find(tree, "opt/cni/bin/su"));
	assert_int_equal(find(tree, "opt/cni/bin/latest")->type, BYOH_FILE_SYMLINK);
	assert_string_equal(find(tree, "opt/cni/bin/latest")->target, "bridge");
	assert_file(tree, "usr/share/doc/README", 0644, "read me");
	assert_file(tree, "usr/share/doc/more/deep", 0600, "deep");
	assert_file(tree, "su", 0555, "su");
	assert_file(tree, "usr/bin/bridge", 0700, "bridge");
	assert_file(tree, "usr/bin/script", 0755, "#!/bin/sh\n");
	assert_file(tree, "copy", 0600, "#!/bin/sh\n");
	assert_file(tree, "etc/text", 0644, "plain text\n");
	assert_non_null(find(tree, "srv/cni.tgz"));
	assert_int_equal(tree->component_count, 5);
	assert_string_equal(tree->components[0].name, "cni");
	assert_string_equal(tree->components[0].source, "cni.tgz");
	assert_true(tree->components[0].unlocked);
	assert_false(byoh_digest_is_zero(&tree->components[0].digest));
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{ PART("cni", "cni.tgz, unlocked: true", "{from: bridgr, to: /a}"), "component "
										    "cni: nothing "
										    "in cni.tgz "
										    "matches "
										    "\"bridgr\"; "
										    "it holds "
										    "bridge" },
		{ PART("script", "script, unlocked: true", "{from: other, to: /a}"), "it holds "
										     "script" },
		{ PART("a", "script, unlocked: true", "{to: /a}")
			  PART("b", "text, unlocked: true", "{to: /a}"),
		  "/a comes from " },
		{ PART("a", "script, unlocked: true", "{to: /a}")
			  PART("b", "text, unlocked: true", "{to: /a/b}"),
		  "/a is a file (of a) and a folder" },
		{ PART("cni", "cni.tgz, unlocked: true", "{from: \"*\", to: /a}"), "several files "
										   "match" },
		{ PART("cni", "cni.tgz, unlocked: true", "{from: odd/out, to: /a}"), "leads out of "
										     "the bundle" },
		{ PART("cni", "cni.tgz, unlocked: true", "{from: odd/pipe, to: /a}"), "a fifo or a "
										      "socket" },
		{ PART("cni", "cni.tgz, unlocked: true", "{from: odd/su, to: /a}"), "odd/su has "
										    "mode 4755" },
		{ PART("x", "nowhere, unlocked: true", "{to: /a}"), "bundle.yaml:8:" },
		{ PART("text", "text", "{to: /a}"), "text has no digest" },
		{ PART("text",
		       "text, sha256: "
		       "0000000000000000000000000000000000000000000000000000000000000000",
		       "{to: /a}"),
		  "has the SHA-256 c30a" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_TREE struct byoh_tree *tree = NULL;
		CLEANUP_FREE char *text = NULL;
		struct byoh_error err = BYOH_ERROR_INIT;

		assert_true(asprintf(&text, "%scomponents:\n%s", HEAD, cases[i].text) > 0);
		if (collect(*state, text, true, &tree, &err) == 0)
			fail_msg("accepted: %s", cases[i].text);
		if (!strstr(err.message, cases[i].message))
			fail_msg("\"%s\" does not say \"%s\"", err.message, cases[i].message);
		assert_int_equal(err.kind, BYOH_ERROR_CONFIG);
	}
}

static void test_locks(void **state)
{
	static const char spec[] = HEAD "components:\n" PART("text", "text", "{to: /a}");
	CLEANUP_TREE struct byoh_tree *tree = NULL;
	CLEANUP_TREE struct byoh_tree *none = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	fixture_text(*state, "bundle.lock",
		     "{\"apiVersion\": \"byoh-bundle/v1alpha1\", \"kind\": \"Lock\", \"images\": "
		     "[], \"sources\": ["
		     "{\"component\": \"text\", \"source\": \"text\", \"sha256\": "
		     "\"c30a92f9ef889c07c781a7cf99f5b71415d4d1289e84473d1b9e6f01feffc62d\"}]}");
	if (collect(*state, spec, false, &tree, &err) < 0)
		fail_msg("%s", err.message);
	assert_false(tree->components[0].unlocked);
	fixture_text(*state, "text", "other text\n");
	assert_true(collect(*state, spec, true, &none, &err) < 0);
	assert_non_null(strstr(err.message, "the lock says"));
	assert_true(collect(*state,
			    HEAD "components:\n" PART("text", "text, unlocked: true", "{to: /a}"),
			    false, &none, &err) < 0);
	assert_non_null(strstr(err.message, "--allow-unlocked"));
}

static void test_add_file(void **state)
{
	CLEANUP_TREE struct byoh_tree *tree = calloc(1, sizeof(*tree));
	struct byoh_error err = BYOH_ERROR_INIT;

	assert_int_equal(
		byoh_tree_add_file(tree, "b/c/d", 0755, fixture_path(*state, "text"), &err), 0);
	assert_int_equal(
		byoh_tree_add_file(tree, "b/a", 0644, fixture_path(*state, "script"), &err), 0);
	assert_int_equal(
		byoh_tree_add_file(tree, "b-1", 0644, fixture_path(*state, "script"), &err), 0);
	assert_int_equal(tree->entry_count, 5);
	assert_order(tree);
	assert_file(tree, "b/c/d", 0755, "plain text\n");
	assert_true(byoh_tree_add_file(tree, "b/a", 0644, fixture_path(*state, "text"), &err) < 0);
}

static void test_bad_additions(void **state)
{
	static const char *const paths[] = { "/a", "a/../b", "", "a/" };

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		CLEANUP_TREE struct byoh_tree *tree = calloc(1, sizeof(*tree));
		struct byoh_error err = BYOH_ERROR_INIT;

		assert_true(byoh_tree_add_file(tree, paths[i], 0755, fixture_path(*state, "text"),
					       &err) < 0);
	}
}

/*
 * Images
 */

#define LAYER "the layer, which nobody unpacks here"

static void hex_of(const char *text, char ret[BYOH_DIGEST_HEX_SIZE])
{
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_digest digest;

	assert_int_equal(byoh_digest_of(text, strlen(text), &digest, &err), 0);
	byoh_digest_hex(&digest, ret);
}

static void write_blob(const char *folder, const char *text, char ret_hex[BYOH_DIGEST_HEX_SIZE])
{
	char name[128];

	hex_of(text, ret_hex);
	snprintf(name, sizeof(name), "layout/blobs/sha256/%s", ret_hex);
	fixture_text(folder, name, text);
}

/* A manifest for the platform; ret is its descriptor in an index. */
static void write_image(const char *folder, const char *architecture, char *ret, size_t size)
{
	char config[256], manifest[1024], config_hex[BYOH_DIGEST_HEX_SIZE],
		layer_hex[BYOH_DIGEST_HEX_SIZE], hex[BYOH_DIGEST_HEX_SIZE];

	snprintf(config, sizeof(config), "{\"os\":\"linux\",\"architecture\":\"%s\"}",
		 architecture);
	write_blob(folder, config, config_hex);
	write_blob(folder, LAYER, layer_hex);
	snprintf(manifest, sizeof(manifest),
		 "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
		 "vnd.oci.image.config.v1+json\","
		 "\"digest\":\"sha256:%s\",\"size\":%zu},\"layers\":[{\"mediaType\":"
		 "\"application/"
		 "vnd.oci.image.layer.v1.tar\",\"digest\":\"sha256:%s\",\"size\":%zu}]}",
		 config_hex, strlen(config), layer_hex, strlen(LAYER));
	write_blob(folder, manifest, hex);
	snprintf(ret, size,
		 "{\"mediaType\":\"application/"
		 "vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:%s\","
		 "\"size\":%zu,\"platform\":{\"os\":\"linux\",\"architecture\":\"%s\"}}",
		 hex, strlen(manifest), architecture);
}

/* layout/: an index of two platforms, inside of the layout's index. */
static void write_layout(const char *folder)
{
	char arm[512], amd[512], index[2048], top[512], hex[BYOH_DIGEST_HEX_SIZE];

	write_image(folder, "arm64", arm, sizeof(arm));
	write_image(folder, "amd64", amd, sizeof(amd));
	snprintf(index, sizeof(index), "{\"schemaVersion\":2,\"manifests\":[%s,%s]}", arm, amd);
	write_blob(folder, index, hex);
	snprintf(top, sizeof(top),
		 "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"application/"
		 "vnd.oci.image.index.v1+json\","
		 "\"digest\":\"sha256:%s\",\"size\":%zu}]}",
		 hex, strlen(index));
	fixture_text(folder, "layout/index.json", top);
	fixture_text(folder, "layout/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
}

static void assert_blobs(const struct byoh_tree *tree, const struct byoh_image *image)
{
	bool top = false;

	for (size_t i = 0; i < image->blob_count; i++) {
		char path[256], hex[BYOH_DIGEST_HEX_SIZE], found[BYOH_DIGEST_HEX_SIZE];
		CLEANUP_FREE char *bytes = NULL;

		byoh_digest_hex(&image->blobs[i], hex);
		snprintf(path, sizeof(path), BYOH_IMAGE_BLOB_DIR "/%s", hex);
		assert_non_null(find(tree, path));
		bytes = fixture_read(find(tree, path)->source, NULL);
		hex_of(bytes, found);
		assert_string_equal(hex, found);
		top = top || byoh_digest_equal(&image->blobs[i], &image->digest);
	}
	assert_true(top);
}

static void test_layout(void **state)
{
	CLEANUP_TREE struct byoh_tree *tree = NULL;
	CLEANUP_TREE struct byoh_tree *none = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;
	char hex[BYOH_DIGEST_HEX_SIZE];

	write_layout(*state);
	if (collect(*state,
		    HEAD "images:\n  - {from: layout, ref: \"r.io/x:1\"}\n"
			 "  - {from: layout, ref: \"r.io/x:2\", platform: linux/arm64}\n",
		    false, &tree, &err) < 0)
		fail_msg("%s", err.message);
	assert_order(tree);
	assert_int_equal(tree->image_count, 2);
	assert_string_equal(tree->images[0].ref, "r.io/x:1");
	assert_string_equal(tree->images[0].platform, "linux/amd64");
	assert_string_equal(tree->images[0].media_type, "application/"
							"vnd.oci.image.manifest.v1+json");
	assert_int_equal(tree->images[0].blob_count, 3);
	assert_blobs(tree, &tree->images[0]);
	assert_blobs(tree, &tree->images[1]);
	assert_false(byoh_digest_equal(&tree->images[0].digest, &tree->images[1].digest));

	assert_true(collect(*state,
			    HEAD "images: [{from: layout, ref: x, platform: linux/s390x}]\n", false,
			    &none, &err) < 0);
	assert_non_null(strstr(err.message, "linux/s390x"));

	hex_of(LAYER, hex);
	{
		char name[128];

		snprintf(name, sizeof(name), "layout/blobs/sha256/%s", hex);
		fixture_text(*state, name, "The layer, which nobody unpacks here");
	}
	assert_true(collect(*state, HEAD "images: [{from: layout, ref: x}]\n", false, &none, &err) <
		    0);
	assert_non_null(strstr(err.message, "is damaged"));
}

static void test_docker_save(void **state)
{
	static const struct fixture_member members[] = {
		{ "c0ffee.json", FIXTURE_FILE, 0644,
		  "{\"os\":\"linux\",\"architecture\":\"amd64\"}" },
		{ "one/layer.tar", FIXTURE_FILE, 0644, LAYER },
		{ "two/layer.tar", FIXTURE_SYMLINK, 0777, "../one/layer.tar" },
		{ "manifest.json", FIXTURE_FILE, 0644,
		  "[{\"Config\":\"c0ffee.json\",\"RepoTags\":[\"r.io/x:1\"],"
		  "\"Layers\":[\"one/layer.tar\",\"two/layer.tar\"]}]" },
	};
	CLEANUP_TREE struct byoh_tree *first = NULL;
	CLEANUP_TREE struct byoh_tree *second = NULL;
	CLEANUP_TREE struct byoh_tree *none = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	fixture_archive(*state, "saved.tar", "tar", members, ARRAY_SIZE(members));
	if (collect(*state, HEAD "images: [{from: saved.tar, ref: \"r.io/x:1\"}]\n", false, &first,
		    &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(first->images[0].blob_count,
			 3); /* the layer stands twice and is kept once */
	assert_blobs(first, &first->images[0]);
	assert_int_equal(collect(*state, HEAD "images: [{from: saved.tar, ref: \"r.io/y:1\"}]\n",
				 false, &second, &err),
			 0);
	assert_true(byoh_digest_equal(&first->images[0].digest, &second->images[0].digest));
	assert_true(collect(*state,
			    HEAD "images: [{from: saved.tar, ref: x, platform: linux/arm64}]\n",
			    false, &none, &err) < 0);
	assert_non_null(strstr(err.message, "linux/amd64"));
}

static void test_no_image(void **state)
{
	CLEANUP_TREE struct byoh_tree *none = NULL;
	struct byoh_error err = BYOH_ERROR_INIT;

	assert_true(collect(*state, HEAD "images: [{from: cni.tgz, ref: x}]\n", false, &none,
			    &err) < 0);
	assert_non_null(strstr(err.message, "neither an OCI image"));
	assert_int_equal(err.kind, BYOH_ERROR_CONFIG);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_files),	TEST(test_refused),	  TEST(test_locks),
		TEST(test_add_file),	TEST(test_bad_additions), TEST(test_layout),
		TEST(test_docker_save), TEST(test_no_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
