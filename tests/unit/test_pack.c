/* SPDX-License-Identifier: Apache-2.0 */
/* Packing: the same bytes from the same inputs, frames of files that are alike, and nothing half done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/executable.h"
#include "bundle/group.h"
#include "tests/unit/bundle-fixture.h"

#define MIB ((size_t)1 << 20)

static struct byoh_private_key *key;
static struct byoh_error err;

static int set_up(void **state)
{
	(void)state;
	return byoh_private_key_generate(&key, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	byoh_private_key_free(key);
	return 0;
}

static void read_whole(const char *path, struct byoh_buffer *ret)
{
	CLEANUP_FD int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(byoh_read_file(top, path, 256 << 20, ret, NULL), 0);
}

static bool exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool is_empty(const char *folder)
{
	CLEANUP_DIR DIR *dir = opendir(folder);
	const struct dirent *entry;
	size_t count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	return count == 0;
}

/* A few files of each kind, packed; their order of being added must not matter. */
static void pack_one(unsigned int threads, uint64_t built, bool backwards, bool join, struct byoh_buffer *ret,
		     struct byoh_digest *ret_id)
{
	static const char *const names[] = { "opt/a", "opt/b", "opt/z/c.gz", "opt/z/d" };
	CLEANUP_FREE unsigned char *noise = malloc(300000);
	CLEANUP_FREE char *path = NULL;
	CLEANUP(packer_end) struct packer packer;

	packer_start(&packer);
	packer_add_executable(&packer);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t number = backwards ? ARRAY_SIZE(names) - 1 - i : i;

		fill_with_noise(noise, 300000, (uint32_t)number);
		packer_add_file(&packer, names[number], 0644, noise, 300000 - number);
	}
	packer_add_other(&packer, "opt/l", BYOH_FILE_SYMLINK, 0777, "z");
	packer_finish(&packer);
	for (size_t i = 0; i < packer.tree->entry_count; i++)
		packer.tree->entries[i].compressed = strstr(packer.tree->entries[i].path, ".gz") != NULL;
	path = packer_path(&packer, join ? "x.run" : "x.bundle");
	packer.identity.built = built;
	packer.pack.key = key;
	packer.pack.threads = threads;
	packer.pack.join = join;
	if (byoh_pack(&packer.pack, path, ret_id, &err) < 0)
		fail_msg("%s", err.message);
	read_whole(path, ret);
	assert_true(is_empty(packer.pack.scratch_directory));
}

static void the_same_inputs_give_the_same_bytes(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer first = {0}, second = {0};
	struct byoh_digest ids[2];

	(void)state;
	pack_one(1, 1000, false, true, &first, &ids[0]);
	pack_one(4, 1000, true, true, &second, &ids[1]);
	assert_int_equal(first.size, second.size);
	assert_memory_equal(first.data, second.data, first.size);
	assert_true(byoh_digest_equal(&ids[0], &ids[1]));
}

static void the_time_of_building_is_signed(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer first = {0}, second = {0};
	struct byoh_digest ids[2];

	(void)state;
	pack_one(2, 1000, false, false, &first, &ids[0]);
	pack_one(2, 1001, false, false, &second, &ids[1]);
	assert_false(byoh_digest_equal(&ids[0], &ids[1]));
}

static void a_run_is_the_executable_and_the_same_bundle(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer run = {0}, alone = {0};
	struct byoh_digest ids[2];
	size_t offset;

	(void)state;
	pack_one(2, 1000, false, true, &run, &ids[0]);
	pack_one(2, 1000, false, false, &alone, &ids[1]);
	assert_true(byoh_digest_equal(&ids[0], &ids[1]));
	offset = run.size - alone.size;
	assert_int_equal(offset, 8192);
	assert_memory_equal(run.data + offset, alone.data, alone.size);
	for (size_t i = 5000; i < offset; i++)
		assert_int_equal(run.data[i], 0);
}

static void modes_of_what_is_written(void **state)
{
	CLEANUP(packer_end) struct packer packer;
	CLEANUP_FREE char *run = NULL, *bundle = NULL;
	struct byoh_digest id;
	struct stat st;

	(void)state;
	packer_start(&packer);
	run = packer_path(&packer, "x.run");
	bundle = packer_path(&packer, "x.bundle");
	packer_add_executable(&packer);
	packer_finish(&packer);
	packer.pack.key = key;
	assert_int_equal(byoh_pack(&packer.pack, run, &id, NULL), 0);
	assert_int_equal(stat(run, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	packer.pack.join = false;
	assert_int_equal(byoh_pack(&packer.pack, bundle, &id, NULL), 0);
	assert_int_equal(stat(bundle, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	packer.pack.join = true;
	packer.pack.executable = NULL;
	assert_true(byoh_pack(&packer.pack, run, &id, &err) < 0);
	assert_int_equal(err.kind, BYOH_ERROR_USAGE);
}

/* Packs and expects this failure; what stood at the path stays, and nothing else lies there. */
static void expect_failure(struct packer *packer, int expected, const char *word)
{
	CLEANUP_FREE char *path = packer_path(packer, "x.bundle");
	CLEANUP_FREE char *partial = packer_path(packer, "x.bundle.partial");
	CLEANUP_BUFFER struct byoh_buffer kept = {0};
	struct byoh_digest id;
	FILE *file = fopen(path, "w");

	fputs("the last one", file);
	fclose(file);
	packer->pack.key = key;
	err = (struct byoh_error)BYOH_ERROR_INIT;
	assert_int_equal(byoh_pack(&packer->pack, path, &id, &err), expected);
	assert_non_null(strstr(err.message, word));
	assert_false(exists(partial));
	assert_true(is_empty(packer->pack.scratch_directory));
	read_whole(path, &kept);
	assert_string_equal(byoh_buffer_text(&kept), "the last one");
}

static const struct byoh_tree_entry *entry_at(const struct packer *packer, const char *path)
{
	for (size_t i = 0; i < packer->tree->entry_count; i++)
		if (strcmp(packer->tree->entries[i].path, path) == 0)
			return &packer->tree->entries[i];
	fail_msg("no %s", path);
	return NULL;
}

static void a_file_that_shrinks_while_it_is_packed_is_noticed(void **state)
{
	static unsigned char noise[400000];
	CLEANUP(packer_end) struct packer packer;

	(void)state;
	packer_start(&packer);
	packer_add_file(&packer, "opt/large", 0644, noise, sizeof(noise));
	packer_add_file(&packer, "opt/small", 0644, noise, 1000);
	packer_finish(&packer);
	assert_int_equal(truncate(entry_at(&packer, "opt/small")->source, 999), 0);
	expect_failure(&packer, -ENODATA, "became shorter");
	assert_int_equal(truncate(entry_at(&packer, "opt/small")->source, 1000), 0);
	assert_int_equal(truncate(entry_at(&packer, "opt/large")->source, sizeof(noise) - 1), 0);
	expect_failure(&packer, -ENODATA, "became shorter");
}

static void a_file_that_vanishes_is_noticed(void **state)
{
	CLEANUP(packer_end) struct packer packer;

	(void)state;
	packer_start(&packer);
	packer_add_file(&packer, "opt/small", 0644, "text", 4);
	packer_finish(&packer);
	assert_int_equal(unlink(entry_at(&packer, "opt/small")->source), 0);
	expect_failure(&packer, -ENOENT, "source-0");
}

static void a_cancel_ends_the_packing(void **state)
{
	CLEANUP(packer_end) struct packer packer;
	atomic_bool cancel = true;

	(void)state;
	packer_start(&packer);
	packer_add_file(&packer, "opt/small", 0644, "text", 4);
	packer_finish(&packer);
	packer.pack.progress.cancel = &cancel;
	expect_failure(&packer, -EINTR, "interrupted");
	assert_int_equal(err.kind, BYOH_ERROR_INTERRUPTED);
}

static void a_folder_that_is_not_there_is_named(void **state)
{
	CLEANUP(packer_end) struct packer packer;
	const char *scratch;
	struct byoh_digest id;

	(void)state;
	packer_start(&packer);
	packer_add_file(&packer, "opt/small", 0644, "text", 4);
	packer_finish(&packer);
	packer.pack.key = key;
	assert_int_equal(byoh_pack(&packer.pack, "/nonexistent/x.bundle", &id, &err), -ENOENT);
	assert_non_null(strstr(err.message, "/nonexistent/x.bundle"));
	scratch = packer.pack.scratch_directory;
	packer.pack.scratch_directory = "/nonexistent/scratch";
	assert_int_equal(byoh_pack(&packer.pack, "/nonexistent/x.bundle", &id, &err), -ENOENT);
	assert_non_null(strstr(err.message, "/nonexistent/scratch"));
	packer.pack.scratch_directory = scratch;
}

static void what_cannot_get_its_name_is_taken_away(void **state)
{
	CLEANUP(packer_end) struct packer packer;
	CLEANUP_FREE char *path = NULL, *partial = NULL;
	struct byoh_digest id;

	(void)state;
	packer_start(&packer);
	path = packer_path(&packer, "x.bundle");
	partial = packer_path(&packer, "x.bundle.partial");
	packer_add_file(&packer, "opt/small", 0644, "text", 4);
	packer_finish(&packer);
	packer.pack.key = key;
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(byoh_pack(&packer.pack, path, &id, &err), -EISDIR);
	assert_false(exists(partial));
}

static void a_bundle_of_nothing_is_a_bundle(void **state)
{
	CLEANUP(packer_end) struct packer packer;
	CLEANUP_KEYRING struct byoh_keyring *keyring = byoh_keyring_new();
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	CLEANUP_FREE char *path = NULL;
	struct byoh_digest id;

	(void)state;
	packer_start(&packer);
	path = packer_path(&packer, "x.bundle");
	packer_finish(&packer);
	packer.pack.key = key;
	assert_int_equal(byoh_pack(&packer.pack, path, &id, &err), 0);
	assert_int_equal(byoh_bundle_open(path, &bundle, &err), 0);
	assert_int_equal(byoh_bundle_add_signers(bundle, keyring, &err), 0);
	assert_int_equal(byoh_bundle_authenticate(bundle, keyring, 1, &err), 0);
	assert_int_equal(byoh_bundle_check(bundle, 0, NULL, &err), 0);
	assert_int_equal(byoh_bundle_index(bundle)->file_count, 0);
}

/* Names that a plain ustar header cannot hold: the tar goes over to pax headers, the index stays. */
static void long_names_and_names_beyond_ascii_are_kept(void **state)
{
	static const char name[] = "opt/gr\xc3\xb6\xc3\x9f" "e";
	CLEANUP(packer_end) struct packer packer;
	CLEANUP_KEYRING struct byoh_keyring *keyring = byoh_keyring_new();
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = {0};
	CLEANUP_FREE char *path = NULL;
	char deep[800] = "opt";
	struct byoh_digest id;

	(void)state;
	for (int i = 0; i < 3; i++) {
		size_t end = strlen(deep);

		deep[end] = '/';
		memset(deep + end + 1, 'a' + i, 250);
		deep[end + 251] = '\0';
	}
	packer_start(&packer);
	path = packer_path(&packer, "x.bundle");
	packer_add_file(&packer, deep, 0644, "deep", 4);
	packer_add_file(&packer, name, 0644, "size", 4);
	packer_finish(&packer);
	packer.pack.key = key;
	assert_int_equal(byoh_pack(&packer.pack, path, &id, &err), 0);
	assert_int_equal(byoh_bundle_open(path, &bundle, &err), 0);
	assert_int_equal(byoh_bundle_add_signers(bundle, keyring, &err), 0);
	assert_int_equal(byoh_bundle_authenticate(bundle, keyring, 1, &err), 0);
	assert_int_equal(byoh_bundle_read(bundle, deep, 4, &text, &err), 0);
	assert_int_equal(byoh_bundle_read(bundle, name, 4, &text, &err), 0);
	assert_string_equal(byoh_buffer_text(&text), "deepsize");
}

/*
 * Groups
 */

static size_t group_of(const struct byoh_groups *groups, const char *path)
{
	for (size_t i = 0; i < groups->count; i++)
		for (size_t k = 0; k < groups->items[i].count; k++)
			if (strcmp(groups->items[i].entries[k]->path, path) == 0)
				return i;
	fail_msg("%s is in no group", path);
	return 0;
}

static void check_groups(const struct packer *packer, const struct byoh_groups *groups)
{
	size_t grouped = 0, files = 0;

	for (size_t i = 0; i < groups->count; i++) {
		uint64_t size = 0;

		for (size_t k = 0; k < groups->items[i].count; k++)
			size += groups->items[i].entries[k]->size;
		assert_int_equal(groups->items[i].size, size);
		grouped += groups->items[i].count;
	}
	for (size_t i = 0; i < packer->tree->entry_count; i++)
		files += packer->tree->entries[i].type == BYOH_FILE_REGULAR;
	assert_int_equal(grouped, files);
}

static void files_that_are_alike_share_a_frame(void **state)
{
	CLEANUP(packer_end) struct packer packer;
	CLEANUP_GROUPS struct byoh_groups groups = {0}, again = {0};
	CLEANUP_FREE unsigned char *bytes = malloc(9 * MIB);

	(void)state;
	packer_start(&packer);
	fill_with_noise(bytes, 9 * MIB, 1);
	packer_add_file(&packer, "bin/one", 0755, bytes, 8 * MIB);
	packer_add_file(&packer, "bin/two", 0755, bytes + MIB, 8 * MIB);
	fill_with_noise(bytes, 9 * MIB, 2);
	packer_add_file(&packer, "bin/other", 0755, bytes, 8 * MIB);
	packer_add_file(&packer, "bin/others-kin", 0755, bytes + MIB, 8 * MIB);
	packer_add_file(&packer, "etc/text", 0644, "text", 4);
	packer_add_file(&packer, "layer", 0644, bytes, 1000);
	packer_finish(&packer);
	packer.tree->entries[entry_at(&packer, "layer") - packer.tree->entries].compressed = true;
	assert_int_equal(byoh_group_files(packer.tree, &groups, &err), 0);
	check_groups(&packer, &groups);
	assert_int_equal(groups.count, 3);
	assert_int_equal(group_of(&groups, "bin/one"), group_of(&groups, "bin/two"));
	assert_int_equal(group_of(&groups, "bin/other"), group_of(&groups, "bin/others-kin"));
	assert_int_not_equal(group_of(&groups, "bin/one"), group_of(&groups, "bin/other"));
	assert_int_equal(group_of(&groups, "layer"), 2);
	assert_true(groups.items[2].compressed);
	assert_int_equal(groups.items[2].count, 1);
	assert_int_equal(byoh_group_files(packer.tree, &again, &err), 0);
	for (size_t i = 0; i < packer.tree->entry_count; i++)
		if (packer.tree->entries[i].type == BYOH_FILE_REGULAR)
			assert_int_equal(group_of(&groups, packer.tree->entries[i].path),
					 group_of(&again, packer.tree->entries[i].path));
}

static void few_bytes_are_one_frame(void **state)
{
	CLEANUP(packer_end) struct packer packer;
	CLEANUP_GROUPS struct byoh_groups groups = {0};
	CLEANUP_FREE unsigned char *bytes = malloc(MIB);

	(void)state;
	packer_start(&packer);
	for (uint32_t i = 0; i < 5; i++) {
		char name[] = "opt/0";

		name[4] = (char)('0' + i);
		fill_with_noise(bytes, MIB, i);
		packer_add_file(&packer, name, 0644, bytes, MIB);
	}
	packer_finish(&packer);
	assert_int_equal(byoh_group_files(packer.tree, &groups, &err), 0);
	check_groups(&packer, &groups);
	assert_int_equal(groups.count, 1);
}

/* Layers are wrapped: several frames for several decoders, and none needs a window worth speaking of. */
static void what_is_compressed_already_is_cut_into_frames(void **state)
{
	const size_t size = 20 * MIB;
	CLEANUP(packer_end) struct packer packer;
	CLEANUP_GROUPS struct byoh_groups groups = {0};
	CLEANUP_BUNDLE struct byoh_bundle *bundle = NULL;
	CLEANUP_FREE unsigned char *bytes = malloc(size);
	CLEANUP_FREE char *path = NULL;
	struct byoh_digest id;

	(void)state;
	packer_start(&packer);
	for (uint32_t i = 0; i < 3; i++) {
		char name[] = "layer0.gz";

		name[5] = (char)('0' + i);
		fill_with_noise(bytes, size, i);
		packer_add_file(&packer, name, 0644, bytes, size);
	}
	packer_finish(&packer);
	for (size_t i = 0; i < packer.tree->entry_count; i++)
		packer.tree->entries[i].compressed = strstr(packer.tree->entries[i].path, ".gz") != NULL;
	assert_int_equal(byoh_group_files(packer.tree, &groups, &err), 0);
	assert_int_equal(groups.count, 2);
	assert_int_equal(group_of(&groups, "layer0.gz"), group_of(&groups, "layer1.gz"));
	assert_int_not_equal(group_of(&groups, "layer1.gz"), group_of(&groups, "layer2.gz"));
	path = packer_path(&packer, "x.bundle");
	packer.pack.key = key;
	assert_int_equal(byoh_pack(&packer.pack, path, &id, &err), 0);
	assert_int_equal(byoh_bundle_open(path, &bundle, &err), 0);
	if (byoh_bundle_examine(bundle, &err) < 0)
		fail_msg("%s", err.message);
	for (size_t i = 0; i < byoh_bundle_index(bundle)->frame_count; i++) {
		const struct byoh_frame *frame = &byoh_bundle_index(bundle)->frames[i];

		assert_true(frame->window_log <= 20);
		assert_true(frame->stored_size < frame->plain_size + frame->plain_size / 1000 + 4096);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_inputs_give_the_same_bytes),
		cmocka_unit_test(the_time_of_building_is_signed),
		cmocka_unit_test(a_run_is_the_executable_and_the_same_bundle),
		cmocka_unit_test(modes_of_what_is_written),
		cmocka_unit_test(a_file_that_shrinks_while_it_is_packed_is_noticed),
		cmocka_unit_test(a_file_that_vanishes_is_noticed),
		cmocka_unit_test(a_cancel_ends_the_packing),
		cmocka_unit_test(a_folder_that_is_not_there_is_named),
		cmocka_unit_test(what_cannot_get_its_name_is_taken_away),
		cmocka_unit_test(a_bundle_of_nothing_is_a_bundle),
		cmocka_unit_test(long_names_and_names_beyond_ascii_are_kept),
		cmocka_unit_test(files_that_are_alike_share_a_frame),
		cmocka_unit_test(few_bytes_are_one_frame),
		cmocka_unit_test(what_is_compressed_already_is_cut_into_frames),
	};

	return cmocka_run_group_tests_name("packing", tests, set_up, tear_down);
}
