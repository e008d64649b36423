/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the format, each by itself: what is written is read, and what is hostile is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bundle/base/path.h"
#include "bundle/index.h"
#include "bundle/manifest.h"
#include "bundle/superblock.h"
#include "bundle/trust.h"

static void put_u64(char *at, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		at[i] = (char)(value >> (8 * i));
}

static bool same_superblock(const struct byoh_superblock *a, const struct byoh_superblock *b)
{
	return a->flags == b->flags && a->manifest_size == b->manifest_size &&
	       a->index_size == b->index_size && a->payload_size == b->payload_size;
}

static void superblock_survives_a_round_trip(void **state)
{
	struct byoh_superblock in = { 0, 100, 200, 300 }, out;
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};

	(void)state;
	assert_int_equal(byoh_superblock_write(&in, &bytes, NULL), 0);
	assert_int_equal(bytes.size, BYOH_SUPERBLOCK_SIZE);
	assert_int_equal(byoh_superblock_parse(bytes.data, bytes.size, &out, NULL), 0);
	assert_true(same_superblock(&in, &out));
}

/* No byte of the superblock can change without being noticed here or by the manifest's own lengths. */
static void superblock_accounts_for_every_byte(void **state)
{
	struct byoh_superblock in = { 0, 100, 200, 300 }, out;
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};

	(void)state;
	assert_int_equal(byoh_superblock_write(&in, &bytes, NULL), 0);
	for (size_t i = 0; i < bytes.size; i++) {
		bytes.data[i] ^= 0x40;
		if (byoh_superblock_parse(bytes.data, bytes.size, &out, NULL) == 0)
			assert_false(same_superblock(&in, &out));
		bytes.data[i] ^= 0x40;
	}
}

static void superblock_of_another_version_is_refused(void **state)
{
	struct byoh_superblock in = { 0, 100, 200, 300 }, out;
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_superblock_write(&in, &bytes, NULL), 0);
	bytes.data[16] = 2;
	assert_true(byoh_superblock_parse(bytes.data, bytes.size, &out, &err) < 0);
	assert_non_null(strstr(err.message, "version 2"));
	bytes.data[16] = 1;
	bytes.data[20] = 2; /* a critical flag nobody knows */
	assert_true(byoh_superblock_parse(bytes.data, bytes.size, &out, &err) < 0);
	assert_int_equal(byoh_error_exit_code(&err), 3);
}

static void superblock_with_sizes_near_the_end_of_numbers_is_refused(void **state)
{
	static const uint64_t sizes[] = { 0, UINT64_MAX, (uint64_t)1 << 63, (uint64_t)1 << 57 };
	struct byoh_superblock in = { 0, 100, 200, 300 }, out;
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};

	(void)state;
	for (size_t field = 0; field < 3; field++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			bytes.size = 0;
			assert_int_equal(byoh_superblock_write(&in, &bytes, NULL), 0);
			put_u64(bytes.data + 24 + 8 * field, sizes[i]);
			assert_true(byoh_superblock_parse(bytes.data, bytes.size, &out, NULL) < 0);
		}
	}
}

static void signatures_survive_a_round_trip_and_no_byte_is_free(void **state)
{
	struct byoh_signature in[2] = {{ .key = {{1}}, .bytes = {2} }, { .key = {{3}}, .bytes = {4} }};
	struct byoh_signature out[BYOH_SIGNATURE_MAX];
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};
	size_t count;

	(void)state;
	assert_int_equal(byoh_signatures_write(in, 2, &bytes, NULL), 0);
	assert_int_equal(bytes.size, BYOH_SIGNATURES_SIZE);
	assert_int_equal(byoh_signatures_parse(bytes.data, bytes.size, out, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_memory_equal(in, out, sizeof(in));
	for (size_t i = 0; i < bytes.size; i++) {
		bytes.data[i] ^= 1;
		if (byoh_signatures_parse(bytes.data, bytes.size, out, &count, NULL) == 0)
			assert_true(memcmp(in, out, sizeof(in)) != 0);
		bytes.data[i] ^= 1;
	}
}

static void one_key_cannot_sign_twice(void **state)
{
	struct byoh_signature in[2] = {{ .key = {{1}}, .bytes = {2} }, { .key = {{1}}, .bytes = {4} }};
	struct byoh_signature out[BYOH_SIGNATURE_MAX];
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};
	size_t count;

	(void)state;
	assert_int_equal(byoh_signatures_write(in, 2, &bytes, NULL), 0);
	assert_true(byoh_signatures_parse(bytes.data, bytes.size, out, &count, NULL) < 0);
}

static const char manifest_text[] =
	"{\"format\": \"byoh-bundle/v1\", \"name\": \"n\", \"version\": \"1\", \"epoch\": 1, \"arch\": \"amd64\","
	" \"built\": 5, \"index\": {\"size\": 1, \"sha256\": "
	"\"0000000000000000000000000000000000000000000000000000000000000001\"},"
	" \"payload\": {\"size\": 2}, \"needs\": {\"space\": 3, \"inodes\": 4, \"window\": 1024},"
	" \"components\": [], \"images\": []%s}";

static int parse_manifest_with(const char *more, struct byoh_error *err)
{
	CLEANUP_MANIFEST struct byoh_manifest *manifest = NULL;
	CLEANUP_BUFFER struct byoh_buffer text = {0};

	*err = (struct byoh_error)BYOH_ERROR_INIT;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	assert_int_equal(byoh_buffer_printf(&text, NULL, manifest_text, more), 0);
#pragma GCC diagnostic pop
	return byoh_manifest_parse(text.data, text.size, &manifest, err);
}

static void manifest_refuses_what_it_does_not_know(void **state)
{
	struct byoh_error err;

	(void)state;
	assert_int_equal(parse_manifest_with("", &err), 0);
	assert_int_equal(parse_manifest_with(", \"x-note\": \"free\"", &err), 0);
	assert_true(parse_manifest_with(", \"mustObey\": true", &err) < 0);
	assert_non_null(strstr(err.message, "mustObey"));
	assert_int_equal(byoh_error_exit_code(&err), 3);
}

static void manifest_refuses_a_key_given_twice(void **state)
{
	struct byoh_error err;

	(void)state;
	assert_true(parse_manifest_with(", \"name\": \"other\"", &err) < 0);
	assert_non_null(strstr(err.message, "twice"));
	assert_int_equal(byoh_error_exit_code(&err), 3);
}

static void manifest_refuses_wrong_forms(void **state)
{
	static const char *const wrong[] = { ", \"sbom\": {\"sha256\": \"00\"}", ", \"sbom\": []",
					     ", \"executable\": {\"size\": -1, \"sha256\": \"00\"}",
					     ", \"kubernetes\": []" };
	struct byoh_error err;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(parse_manifest_with(wrong[i], &err) < 0);
}

/* A small good index: one frame, a directory with a file and a link in it. */
#define PAYLOAD 1000
static struct byoh_file good_files[] = {
	{ .path = "a", .target = "", .type = BYOH_FILE_DIRECTORY, .mode = 0755 },
	{ .path = "a/f", .target = "", .type = BYOH_FILE_REGULAR, .mode = 0644, .size = 10, .plain_offset = 512 },
	{ .path = "a/l", .target = "f", .type = BYOH_FILE_SYMLINK, .mode = 0777 },
};

struct index_case {
	struct byoh_index index;
	struct byoh_file files[3];
	struct byoh_frame frames[2];
	struct byoh_digest blocks[2];
};

static void set_up_case(struct index_case *c)
{
	memset(c, 0, sizeof(*c));
	memcpy(c->files, good_files, sizeof(good_files));
	c->frames[0] = (struct byoh_frame){ .window_log = 17, .stored_size = PAYLOAD, .plain_size = 4096 };
	c->index = (struct byoh_index){ .plain_size = 4096, .file_count = 3, .frame_count = 1,
					.block_count = 1, .files = c->files, .frames = c->frames,
					.blocks = c->blocks };
}

static int parse_case(const struct index_case *c, struct byoh_error *err)
{
	CLEANUP_INDEX struct byoh_index *index = NULL;
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};

	*err = (struct byoh_error)BYOH_ERROR_INIT;
	assert_int_equal(byoh_index_write(&c->index, &bytes, NULL), 0);
	return byoh_index_parse(bytes.data, bytes.size, PAYLOAD, &index, err);
}

static void index_survives_a_round_trip(void **state)
{
	CLEANUP_INDEX struct byoh_index *index = NULL;
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};
	struct index_case c;

	(void)state;
	set_up_case(&c);
	assert_int_equal(byoh_index_write(&c.index, &bytes, NULL), 0);
	assert_int_equal(byoh_index_parse(bytes.data, bytes.size, PAYLOAD, &index, NULL), 0);
	assert_int_equal(index->file_count, 3);
	assert_string_equal(index->files[2].target, "f");
	assert_int_equal(byoh_index_find(index, "a/f")->plain_offset, 512);
	assert_null(byoh_index_find(index, "a/g"));
}

/* Each of these would let a hostile bundle out of its folder, or make two readers disagree. */
static void index_refuses_hostile_paths(void **state)
{
	static const char *const paths[] = { "/a", "../a", "a/../b", "a//b", "a/./b", "", "a/", "a\nb", "b/c" };
	struct byoh_error err;
	struct index_case c;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		set_up_case(&c);
		c.files[1].path = paths[i];
		c.index.file_count = 2;
		assert_true(parse_case(&c, &err) < 0);
		assert_int_equal(byoh_error_exit_code(&err), 3);
	}
}

static void index_refuses_links_that_lead_out(void **state)
{
	static const char *const targets[] = { "/etc/passwd", "../../x", "../b/../../x", "" };
	struct byoh_error err;
	struct index_case c;

	(void)state;
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		set_up_case(&c);
		c.files[2].target = targets[i];
		assert_true(parse_case(&c, &err) < 0);
	}
	set_up_case(&c);
	c.files[2].target = "../a/f";
	assert_int_equal(parse_case(&c, &err), 0);
}

static void index_refuses_devices_and_setuid(void **state)
{
	struct byoh_error err;
	struct index_case c;

	(void)state;
	for (int type = 0; type < 9; type++) {
		set_up_case(&c);
		c.files[1].type = (enum byoh_file_type)type;
		assert_true(type == BYOH_FILE_REGULAR ? parse_case(&c, &err) == 0 : parse_case(&c, &err) < 0);
	}
	for (mode_t bit = 01000; bit <= 0100000; bit <<= 1) {
		set_up_case(&c);
		c.files[1].mode |= bit;
		assert_true(parse_case(&c, &err) < 0);
	}
}

static void index_refuses_overlaps_and_bytes_outside(void **state)
{
	struct byoh_error err;
	struct index_case c;

	(void)state;
	set_up_case(&c);
	c.files[2] = c.files[1];
	c.files[2].path = "a/g";
	c.files[2].plain_offset = 515;
	assert_true(parse_case(&c, &err) < 0);
	c.files[2].plain_offset = 522;
	assert_int_equal(parse_case(&c, &err), 0);
	c.files[2].plain_offset = 4090;
	assert_true(parse_case(&c, &err) < 0);
	c.files[2].plain_offset = UINT64_MAX - 3;
	assert_true(parse_case(&c, &err) < 0);
	c.files[2].plain_offset = 1024;
	c.files[2].size = (uint64_t)1 << 63;
	assert_true(parse_case(&c, &err) < 0);
}

static void index_refuses_frames_that_do_not_tile(void **state)
{
	struct byoh_error err;
	struct index_case c;

#define REFUSED(change)                           \
	do {                                      \
		set_up_case(&c);                  \
		change;                           \
		assert_true(parse_case(&c, &err) < 0); \
	} while (0)
	(void)state;
	REFUSED(c.frames[0].stored_size = PAYLOAD - 1);
	REFUSED(c.frames[0].stored_size = UINT64_MAX);
	REFUSED(c.frames[0].stored_offset = 1);
	REFUSED(c.frames[0].plain_size = 4095);
	REFUSED(c.frames[0].plain_offset = 1);
	REFUSED(c.frames[0].first_block = 1);
	REFUSED(c.frames[0].window_log = 28);
	REFUSED(c.frames[0].window_log = 0);
	REFUSED(c.frames[0].kind = (enum byoh_frame_kind)2);
	REFUSED(c.frames[0].kind = BYOH_FRAME_PREFIXED); /* without extents */
	REFUSED(c.frames[0].extent_count = 1);
	REFUSED(c.index.block_count = 2);
	REFUSED(c.index.frame_count = 0);
#undef REFUSED
}

static void index_refuses_paths_out_of_order_or_twice(void **state)
{
	struct byoh_error err;
	struct index_case c;

	(void)state;
	set_up_case(&c);
	c.files[2] = c.files[1];
	assert_true(parse_case(&c, &err) < 0);
	set_up_case(&c);
	c.files[1].path = "a/z";
	assert_true(parse_case(&c, &err) < 0);
}

static void index_cut_short_anywhere_is_refused(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer bytes = {0};
	struct index_case c;

	(void)state;
	set_up_case(&c);
	assert_int_equal(byoh_index_write(&c.index, &bytes, NULL), 0);
	for (size_t i = 0; i < bytes.size; i++) {
		struct byoh_index *index = NULL;

		assert_true(byoh_index_parse(bytes.data, i, PAYLOAD, &index, NULL) < 0);
	}
}

static void a_signature_holds_for_its_message_only(void **state)
{
	CLEANUP_PRIVATE_KEY struct byoh_private_key *key = NULL;
	struct byoh_digest id = {{7}};
	struct byoh_signature signature;

	(void)state;
	assert_int_equal(byoh_private_key_generate(&key, NULL), 0);
	assert_int_equal(byoh_trust_sign(key, &id, &signature, NULL), 0);
	assert_int_equal(byoh_trust_check(&signature, &id, NULL), 0);
	id.bytes[31] ^= 1;
	assert_true(byoh_trust_check(&signature, &id, NULL) < 0);
	id.bytes[31] ^= 1;
	signature.bytes[0] ^= 1;
	assert_true(byoh_trust_check(&signature, &id, NULL) < 0);
}

static void keys_survive_their_pem_form(void **state)
{
	CLEANUP_PRIVATE_KEY struct byoh_private_key *key = NULL;
	CLEANUP_BUFFER struct byoh_buffer pem = {0};
	struct byoh_public_key in, out;
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_private_key_generate(&key, NULL), 0);
	assert_int_equal(byoh_private_key_public(key, &in, NULL), 0);
	assert_int_equal(byoh_public_key_pem(&in, &pem, NULL), 0);
	assert_int_equal(byoh_public_key_parse(pem.data, pem.size, "k", &out, NULL), 0);
	assert_memory_equal(in.bytes, out.bytes, sizeof(in.bytes));
	assert_true(byoh_public_key_parse("nonsense", 8, "k.pem", &out, &err) < 0);
	assert_non_null(strstr(err.message, "k.pem"));
}

static void paths_below_a_root_are_judged(void **state)
{
	(void)state;
	assert_true(byoh_path_is_clean("usr/local/bin/kubelet"));
	assert_true(byoh_path_is_clean("a/..b/c...d"));
	assert_false(byoh_path_is_clean("a/.."));
	assert_false(byoh_path_is_clean("\xc3"));
	assert_false(byoh_path_is_clean("a\x7f"));
	assert_true(byoh_path_is_clean("\xc3\xa4"));
	assert_true(byoh_path_link_stays_inside("a/b/c", "../../x"));
	assert_false(byoh_path_link_stays_inside("a/b/c", "../../../x"));
	assert_false(byoh_path_link_stays_inside("c", ".."));
	assert_false(byoh_path_link_stays_inside("a/b/c", "d/../e")); /* d may be a link to the root */
	assert_true(byoh_path_link_stays_inside("a/b/c", "./../d/./e"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(superblock_survives_a_round_trip),
		cmocka_unit_test(superblock_accounts_for_every_byte),
		cmocka_unit_test(superblock_of_another_version_is_refused),
		cmocka_unit_test(superblock_with_sizes_near_the_end_of_numbers_is_refused),
		cmocka_unit_test(signatures_survive_a_round_trip_and_no_byte_is_free),
		cmocka_unit_test(one_key_cannot_sign_twice),
		cmocka_unit_test(manifest_refuses_what_it_does_not_know),
		cmocka_unit_test(manifest_refuses_a_key_given_twice),
		cmocka_unit_test(manifest_refuses_wrong_forms),
		cmocka_unit_test(index_survives_a_round_trip),
		cmocka_unit_test(index_refuses_hostile_paths),
		cmocka_unit_test(index_refuses_links_that_lead_out),
		cmocka_unit_test(index_refuses_devices_and_setuid),
		cmocka_unit_test(index_refuses_overlaps_and_bytes_outside),
		cmocka_unit_test(index_refuses_frames_that_do_not_tile),
		cmocka_unit_test(index_refuses_paths_out_of_order_or_twice),
		cmocka_unit_test(index_cut_short_anywhere_is_refused),
		cmocka_unit_test(a_signature_holds_for_its_message_only),
		cmocka_unit_test(keys_survive_their_pem_form),
		cmocka_unit_test(paths_below_a_root_are_judged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
