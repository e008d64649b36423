/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions whose bytes come out of a bundle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/pack.h"
#include "installer/actions/actions.h"
#include "installer/state.h"
#include "installer/transaction.h"
#include "tests/unit/tree-snapshot.h"

#define IMAGE "registry.k8s.io/pause:3.10"
#define LAYER_SIZE ((size_t)700001) /* no multiple of a tar block */

struct fixture {
	char folder[64], root[80], bundle_path[80];
	struct byoh_host host;
	struct byoh_plan_input plan_input;
	struct byoh_plan plan;
	struct byoh_transaction_input input;
	struct byoh_bundle *bundle;
	struct byoh_private_key *key;
	struct byoh_digest blobs[2]; /* manifest, layer */
	size_t staged;
	int staged_result;
};

static void write_source(const char *path, const void *bytes, size_t size)
{
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(byoh_write_all(fd, bytes, size, NULL), 0);
}

static void add_to_tree(const struct fixture *fixture, struct byoh_tree *tree, const char *path, mode_t mode,
			const void *bytes, size_t size)
{
	char source[160];

	snprintf(source, sizeof(source), "%s/source-%zu", fixture->folder, tree->entry_count);
	write_source(source, bytes, size);
	assert_int_equal(byoh_tree_add_file(tree, path, mode, source, NULL), 0);
}

static void add_blob(struct fixture *fixture, struct byoh_tree *tree, size_t i, const void *bytes, size_t size)
{
	char path[128], hex[BYOH_DIGEST_HEX_SIZE];

	assert_int_equal(byoh_digest_of(bytes, size, &fixture->blobs[i], NULL), 0);
	byoh_digest_hex(&fixture->blobs[i], hex);
	snprintf(path, sizeof(path), BYOH_IMAGE_BLOB_DIR "/%s", hex);
	add_to_tree(fixture, tree, path, 0644, bytes, size);
}

static void add_image(struct fixture *fixture, struct byoh_tree *tree)
{
	static const char manifest[] = "{\"schemaVersion\": 2}";
	CLEANUP_FREE char *layer = calloc(1, LAYER_SIZE);
	struct byoh_image *image = calloc(1, sizeof(*image));

	for (size_t i = 0; i < LAYER_SIZE; i++)
		layer[i] = (char)(i * i >> 7);
	add_blob(fixture, tree, 0, manifest, strlen(manifest));
	add_blob(fixture, tree, 1, layer, LAYER_SIZE);
	image->ref = strdup(IMAGE);
	image->platform = strdup("linux/amd64");
	image->media_type = strdup("application/vnd.oci.image.manifest.v1+json");
	image->digest = fixture->blobs[0];
	image->size = strlen(manifest);
	image->blob_count = 2;
	image->blobs = calloc(2, sizeof(*image->blobs));
	memcpy(image->blobs, fixture->blobs, sizeof(fixture->blobs));
	tree->images = image;
	tree->image_count = 1;
}

static void pack(struct fixture *fixture)
{
	CLEANUP_TREE struct byoh_tree *tree = calloc(1, sizeof(*tree));
	char name[] = "demo", version[] = "1.0", arch[] = "amd64";
	const struct byoh_manifest identity = { .name = name, .version = version, .arch = arch, .epoch = 4 };
	struct byoh_digest id;
	char scratch[80];
	struct byoh_error err = BYOH_ERROR_INIT;
	struct byoh_pack request = { .tree = tree, .identity = &identity, .level = 1, .threads = 1 };

	snprintf(scratch, sizeof(scratch), "%s/scratch", fixture->folder);
	assert_int_equal(mkdir(scratch, 0700), 0);
	add_to_tree(fixture, tree, "usr/local/bin/tool", 0755, "#!/bin/true\n", 12);
	add_to_tree(fixture, tree, "etc/empty", 0640, "", 0);
	add_image(fixture, tree);
	assert_int_equal(byoh_private_key_generate(&fixture->key, NULL), 0);
	request.key = fixture->key;
	request.scratch_directory = scratch;
	if (byoh_pack(&request, fixture->bundle_path, &id, &err) < 0)
		fail_msg("%s", err.message);
}

static void open_bundle(struct fixture *fixture)
{
	CLEANUP_KEYRING struct byoh_keyring *keyring = byoh_keyring_new();
	struct byoh_public_key key;

	byoh_bundle_free(fixture->bundle);
	assert_int_equal(byoh_private_key_public(fixture->key, &key, NULL), 0);
	assert_int_equal(byoh_keyring_add(keyring, &key, NULL), 0);
	assert_int_equal(byoh_bundle_open(fixture->bundle_path, &fixture->bundle, NULL), 0);
	assert_int_equal(byoh_bundle_authenticate(fixture->bundle, keyring, 1, NULL), 0);
	fixture->plan_input.manifest = byoh_bundle_manifest(fixture->bundle);
	fixture->plan_input.index = byoh_bundle_index(fixture->bundle);
	fixture->plan_input.release_id = byoh_bundle_id(fixture->bundle);
	fixture->input.bundle = fixture->bundle;
}

static void make_plan(struct fixture *fixture)
{
	const struct byoh_index *index = fixture->plan_input.index;
	struct byoh_step *step = calloc(1, sizeof(*step));
	struct byoh_action *action;

	step->name = "all";
	for (size_t i = 0; i < index->file_count; i++)
		assert_int_equal(byoh_step_bundle_file(step, &index->files[i], NULL, NULL), 0);
	assert_int_equal(byoh_step_other(step, BYOH_ACTION_IMAGE, IMAGE, NULL, &action, NULL), 0);
	action->image = byoh_manifest_image(fixture->plan_input.manifest, IMAGE);
	assert_non_null(action->image);
	fixture->plan.steps = step;
	fixture->plan.step_count = 1;
}

/* A bundle is read once; the plan borrows from it. */
static void reopen(struct fixture *fixture)
{
	byoh_step_release(fixture->plan.steps);
	free(fixture->plan.steps);
	open_bundle(fixture);
	make_plan(fixture);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/byoh-transaction-XXXXXX");
	assert_non_null(mkdtemp(fixture->folder));
	snprintf(fixture->root, sizeof(fixture->root), "%s/root", fixture->folder);
	snprintf(fixture->bundle_path, sizeof(fixture->bundle_path), "%s/demo.bundle", fixture->folder);
	assert_int_equal(mkdir(fixture->root, 0755), 0);
	fixture->host.root = fixture->root;
	fixture->host.root_fd = open(fixture->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fixture->plan_input.host = &fixture->host;
	fixture->input = (struct byoh_transaction_input){
		.plan_input = &fixture->plan_input, .plan = &fixture->plan, .verb = "install",
	};
	pack(fixture);
	open_bundle(fixture);
	make_plan(fixture);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	byoh_step_release(fixture->plan.steps);
	free(fixture->plan.steps);
	byoh_bundle_free(fixture->bundle);
	byoh_private_key_free(fixture->key);
	close(fixture->host.root_fd);
	tree_remove(fixture->folder);
	free(fixture);
	return 0;
}

static void read_any(const char *path, struct byoh_buffer *ret)
{
	CLEANUP_FD int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(byoh_read_file(root, path, 16 << 20, ret, NULL), 0);
}

static void test_files_blobs_and_the_bundle_arrive(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_STATE struct byoh_state *installed = NULL;
	CLEANUP_BUFFER struct byoh_buffer original = { 0 }, copy = { 0 };
	char hex[BYOH_DIGEST_HEX_SIZE], path[256];
	struct byoh_error err = BYOH_ERROR_INIT;
	struct stat st;

	if (byoh_transaction_run(&fixture->input, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(byoh_stat_beneath(fixture->host.root_fd, "/usr/local/bin/tool", &st, NULL), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_size, 12);
	assert_int_equal(byoh_stat_beneath(fixture->host.root_fd, "/etc/empty", &st, NULL), 0);
	byoh_digest_hex(&fixture->blobs[1], hex);
	snprintf(path, sizeof(path), "/" BYOH_IMAGE_BLOB_DIR "/%s", hex);
	assert_int_equal(byoh_stat_beneath(fixture->host.root_fd, path, &st, NULL), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, LAYER_SIZE);
	byoh_digest_hex(byoh_bundle_id(fixture->bundle), hex);
	snprintf(path, sizeof(path), "%s/var/lib/byoh/releases/%s/bundle", fixture->root, hex);
	read_any(fixture->bundle_path, &original);
	read_any(path, &copy);
	assert_int_equal(original.size, copy.size);
	assert_memory_equal(original.data, copy.data, original.size);
	assert_int_equal(byoh_state_read(&fixture->host, &installed, NULL), 0);
	assert_string_equal(installed->release_id, hex);
	assert_string_equal(installed->version, "1.0");
	assert_false(installed->settled);
	assert_int_equal(byoh_state_floor(installed, "demo"), 4);
}

static void test_a_second_run_has_nothing_to_do(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer before = { 0 }, after = { 0 };
	size_t changes = 7;

	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	tree_snapshot(fixture->root, &before);
	assert_int_equal(byoh_plan_check(&fixture->plan, &fixture->plan_input, &changes, NULL), 0);
	assert_int_equal(changes, 0);
	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	tree_snapshot(fixture->root, &after);
	assert_string_equal(byoh_buffer_text(&before), byoh_buffer_text(&after));
}

static void test_only_what_differs_is_written_again(void **state)
{
	struct fixture *fixture = *state;
	struct stat before, after;
	size_t changes = 7;

	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	assert_int_equal(byoh_stat_beneath(fixture->host.root_fd, "/etc/empty", &before, NULL), 0);
	assert_int_equal(byoh_remove_file(fixture->host.root_fd, "/usr/local/bin/tool", NULL), 0);
	reopen(fixture);
	assert_int_equal(byoh_plan_check(&fixture->plan, &fixture->plan_input, &changes, NULL), 0);
	assert_int_equal(changes, 1);
	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	assert_true(byoh_exists_beneath(fixture->host.root_fd, "/usr/local/bin/tool"));
	assert_int_equal(byoh_stat_beneath(fixture->host.root_fd, "/etc/empty", &after, NULL), 0);
	assert_int_equal(before.st_ino, after.st_ino);
}

static void test_a_flipped_byte_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer before = { 0 }, after = { 0 };
	CLEANUP_FD int fd = open(fixture->bundle_path, O_RDWR | O_CLOEXEC);
	struct byoh_error err = BYOH_ERROR_INIT;
	off_t at = lseek(fd, 0, SEEK_END) - 100;
	char byte;

	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	tree_snapshot(fixture->root, &before);
	assert_int_not_equal(byoh_transaction_run(&fixture->input, &err), 0);
	assert_int_equal(err.kind, BYOH_ERROR_FORMAT);
	assert_int_equal(byoh_error_exit_code(&err), 3);
	tree_snapshot(fixture->root, &after);
	assert_string_equal(byoh_buffer_text(&before), byoh_buffer_text(&after));
}

static int look_at_staged(void *context, int root_fd, const char *staged_path, const struct byoh_file *file,
			  struct byoh_error *err)
{
	struct fixture *fixture = context;
	struct stat st;

	assert_int_equal(byoh_stat_beneath(root_fd, staged_path, &st, NULL), 0);
	assert_int_equal((uint64_t)st.st_size, file->size);
	fixture->staged++;
	return fixture->staged_result ? byoh_fail(err, BYOH_ERROR_PREFLIGHT, ENOEXEC, "no") : 0;
}

static void test_staged_files_are_shown_and_may_be_refused(void **state)
{
	struct fixture *fixture = *state;
	CLEANUP_BUFFER struct byoh_buffer before = { 0 }, after = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	fixture->input.staged = look_at_staged;
	fixture->input.staged_context = fixture;
	fixture->staged_result = 1;
	tree_snapshot(fixture->root, &before);
	assert_int_equal(byoh_transaction_run(&fixture->input, &err), -ENOEXEC);
	assert_int_equal(err.kind, BYOH_ERROR_PREFLIGHT);
	assert_int_equal(fixture->staged, 1);
	tree_snapshot(fixture->root, &after);
	assert_string_equal(byoh_buffer_text(&before), byoh_buffer_text(&after));
	fixture->staged_result = 0;
	fixture->staged = 0;
	reopen(fixture);
	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	assert_int_equal(fixture->staged, 4); /* two files, two blobs */
}

static int open_installed_blob(void *context, const struct byoh_digest *digest, struct byoh_error *err)
{
	const struct fixture *fixture = context;
	char hex[BYOH_DIGEST_HEX_SIZE], path[128];

	byoh_digest_hex(digest, hex);
	snprintf(path, sizeof(path), BYOH_IMAGE_BLOB_DIR "/%s", hex);
	return byoh_open_beneath(fixture->host.root_fd, path, O_RDONLY, 0, err);
}

static void check_member(struct archive *archive, const char *name, struct byoh_buffer *ret)
{
	struct archive_entry *entry;
	char part[4096];
	la_ssize_t n;

	assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_OK);
	assert_string_equal(archive_entry_pathname(entry), name);
	while ((n = archive_read_data(archive, part, sizeof(part))) > 0)
		assert_int_equal(byoh_buffer_add(ret, part, (size_t)n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(archive_entry_size(entry), (int64_t)ret->size);
}

static void check_blob(struct archive *archive, const struct byoh_digest *wanted)
{
	CLEANUP_BUFFER struct byoh_buffer bytes = { 0 };
	char hex[BYOH_DIGEST_HEX_SIZE], name[128];
	struct byoh_digest digest;

	byoh_digest_hex(wanted, hex);
	snprintf(name, sizeof(name), "blobs/sha256/%s", hex);
	check_member(archive, name, &bytes);
	assert_int_equal(byoh_digest_of(bytes.data, bytes.size, &digest, NULL), 0);
	assert_true(byoh_digest_equal(&digest, wanted));
}

static void test_an_image_becomes_an_oci_archive(void **state)
{
	struct fixture *fixture = *state;
	const struct byoh_action_context context = {
		.host = &fixture->host, .open_blob = open_installed_blob, .blob_context = fixture,
	};
	CLEANUP_BUFFER struct byoh_buffer layout = { 0 }, index = { 0 };
	struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	char path[128];
	CLEANUP_FD int fd = -1;

	assert_int_equal(byoh_transaction_run(&fixture->input, NULL), 0);
	snprintf(path, sizeof(path), "%s/image.tar", fixture->folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(byoh_image_archive_write(&context, fixture->plan_input.manifest->images, fd, NULL),
			 0);
	assert_int_equal(archive_read_support_format_tar(archive), ARCHIVE_OK);
	assert_int_equal(archive_read_open_filename(archive, path, 4096), ARCHIVE_OK);
	check_member(archive, "oci-layout", &layout);
	assert_non_null(strstr(byoh_buffer_text(&layout), "\"imageLayoutVersion\": \"1.0.0\""));
	check_member(archive, "index.json", &index);
	assert_non_null(strstr(byoh_buffer_text(&index), "\"io.containerd.image.name\": \"" IMAGE "\""));
	check_blob(archive, &fixture->blobs[0]);
	check_blob(archive, &fixture->blobs[1]);
	assert_int_equal(archive_read_next_header(archive, &entry), ARCHIVE_EOF);
	archive_read_free(archive);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_files_blobs_and_the_bundle_arrive),
		TEST(test_a_second_run_has_nothing_to_do),
		TEST(test_only_what_differs_is_written_again),
		TEST(test_a_flipped_byte_leaves_nothing),
		TEST(test_staged_files_are_shown_and_may_be_refused),
		TEST(test_an_image_becomes_an_oci_archive),
	};

	return cmocka_run_group_tests_name("transaction with a bundle", tests, NULL, NULL);
}
