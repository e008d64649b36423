/* SPDX-License-Identifier: Apache-2.0 */
/* A file's place in an ISO image, and the slot for a configuration. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bundle/base/cleanup.h"
#include "bundle/iso9660.h"
#include "bundle/site-slot.h"

#define SECTORS 64
#define ROOT 20
#define FOLDER 21
#define SLOT 30

static unsigned char image[SECTORS * BYOH_ISO9660_SECTOR];

static unsigned char *sector(unsigned int number)
{
	return image + (size_t)number * BYOH_ISO9660_SECTOR;
}

static void put_u32(unsigned char *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (unsigned char)(value >> (8 * i));
}

/* ECMA-119 9.1, with the Rock Ridge name where it is given; its length. */
static size_t put_record(unsigned char *at, const char *name, size_t name_length, const char *rock_ridge, uint32_t block,
			 uint32_t size, unsigned int flags)
{
	size_t length = 33 + name_length + (name_length % 2 == 0);

	put_u32(at + 2, block);
	put_u32(at + 10, size);
	at[25] = (unsigned char)flags;
	at[32] = (unsigned char)name_length;
	memcpy(at + 33, name, name_length);
	if (rock_ridge) {
		at[length] = 'N';
		at[length + 1] = 'M';
		at[length + 2] = (unsigned char)(5 + strlen(rock_ridge));
		at[length + 3] = 1;
		memcpy(at + length + 5, rock_ridge, strlen(rock_ridge));
		length += 5 + strlen(rock_ridge);
	}
	at[0] = (unsigned char)length;
	return length;
}

static int make_image(void **state)
{
	unsigned char *at;

	(void)state;
	memset(image, 0, sizeof(image));
	memcpy(sector(16), "\0CD001\1", 7); /* a boot record goes before */
	memcpy(sector(17), "\1CD001\1", 7);
	sector(17)[129] = BYOH_ISO9660_SECTOR >> 8;
	put_record(sector(17) + 156, "", 1, NULL, ROOT, BYOH_ISO9660_SECTOR, 2);
	memcpy(sector(18), "\377CD001\1", 7);
	at = sector(ROOT);
	at += put_record(at, "", 1, NULL, ROOT, BYOH_ISO9660_SECTOR, 2);
	at += put_record(at, "\1", 1, NULL, ROOT, BYOH_ISO9660_SECTOR, 2);
	at += put_record(at, "README.TXT;1", 12, NULL, 40, 5, 0);
	put_record(at, "BYOH", 4, "byoh", FOLDER, 2 * BYOH_ISO9660_SECTOR, 2);
	put_record(sector(FOLDER), "BIG.RUN;1", 9, "big.run", 41, 100, 0x80);
	put_record(sector(FOLDER + 1), "SITE.IMG;1", 10, "site.img", SLOT, 65536 / 4, 0); /* behind a sector's end */
	return 0;
}

static int read_image(void *context, void *ret, uint64_t size, uint64_t offset, struct byoh_error *err)
{
	(void)context;
	assert_true(offset <= sizeof(image) && size <= sizeof(image) - offset);
	(void)err;
	memcpy(ret, image + offset, size);
	return 0;
}

static int find(const char *path, uint64_t *ret_offset, uint64_t *ret_size, struct byoh_error *err)
{
	const struct byoh_iso9660_reader reader = { .read = read_image, .size = sizeof(image) };

	return byoh_iso9660_find(&reader, path, ret_offset, ret_size, err);
}

static void a_file_is_found(void **state)
{
	uint64_t offset = 0, size = 0;
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(find("byoh/site.img", &offset, &size, &err), 0);
	assert_int_equal(offset, SLOT * BYOH_ISO9660_SECTOR);
	assert_int_equal(size, 16384);
	assert_int_equal(find("readme.txt", &offset, &size, &err), 0); /* a plain name */
	assert_int_equal(size, 5);
}

static void refuse(const char *path, const char *expected)
{
	uint64_t offset, size;
	struct byoh_error err = BYOH_ERROR_INIT;

	assert_true(find(path, &offset, &size, &err) < 0);
	assert_int_equal(err.kind, BYOH_ERROR_FORMAT);
	if (!strstr(err.message, expected))
		fail_msg("\"%s\" is not in \"%s\"", expected, err.message);
}

static void what_is_not_there_is_said(void **state)
{
	uint64_t offset, size;

	(void)state;
	assert_int_equal(find("byoh/other", &offset, &size, NULL), -ENOENT);
	refuse("byoh/other", "has no other");
	refuse("byoh", "is a folder");
	refuse("readme.txt/x", "a folder of it is none");
	refuse("byoh/big.run", "in several pieces");
}

static void lies_are_refused(void **state)
{
	(void)state;
	put_u32(sector(FOLDER + 1) + 2, SECTORS); /* behind the end */
	refuse("byoh/site.img", "outside of it");
	make_image(NULL);
	sector(FOLDER + 1)[0] = 20;
	refuse("byoh/site.img", "cut off");
	make_image(NULL);
	sector(FOLDER + 1)[32] = 255; /* a name beyond its record */
	refuse("byoh/site.img", "outside of it");
	make_image(NULL);
	put_u32(sector(17) + 156 + 10, UINT32_MAX);
	refuse("byoh/site.img", "root folder");
	make_image(NULL);
	sector(17)[129] = 4;
	refuse("byoh/site.img", "2048");
	make_image(NULL);
	sector(17)[0] = 9;
	refuse("byoh/site.img", "no primary");
	make_image(NULL);
	sector(16)[1] = 'X';
	refuse("byoh/site.img", "no volume descriptor");
}

/*
 * The slot
 */

static void a_text_survives(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer slot = { 0 }, text = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_site_slot_write("kind: x\n", 8, &slot, &err), 0);
	assert_int_equal(slot.size, 65536);
	assert_memory_equal(slot.data, "BYOHCFG1 8 ", 11);
	assert_int_equal(slot.data[11 + 64], '\n');
	assert_int_equal(byoh_site_slot_read(slot.data, slot.size, &text, &err), 0);
	assert_string_equal(text.data, "kind: x\n");
}

static void an_empty_one_has_none(void **state)
{
	CLEANUP_BUFFER struct byoh_buffer slot = { 0 }, text = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	assert_int_equal(byoh_site_slot_write(NULL, 0, &slot, &err), 0);
	assert_int_equal(byoh_site_slot_read(slot.data, slot.size, &text, &err), 0);
	assert_int_equal(text.size, 0);
}

static void damage_is_noticed(void **state)
{
	static const size_t places[] = { 0, 8, 9, 12, 70, 75, 76, 80, 65535 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		CLEANUP_BUFFER struct byoh_buffer slot = { 0 }, text = { 0 };
		struct byoh_error err = BYOH_ERROR_INIT;

		assert_int_equal(byoh_site_slot_write("kind: x\n", 8, &slot, &err), 0);
		slot.data[places[i]] ^= 0x40;
		if (byoh_site_slot_read(slot.data, slot.size, &text, &err) >= 0)
			fail_msg("byte %zu", places[i]);
		assert_int_equal(err.kind, BYOH_ERROR_FORMAT);
		assert_int_equal(text.size, 0);
	}
}

static void too_much_is_refused(void **state)
{
	static char text[BYOH_SITE_SLOT_TEXT_MAX + 1];
	CLEANUP_BUFFER struct byoh_buffer slot = { 0 }, again = { 0 };
	struct byoh_error err = BYOH_ERROR_INIT;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_true(byoh_site_slot_write(text, sizeof(text), &slot, &err) < 0);
	assert_int_equal(err.kind, BYOH_ERROR_CONFIG);
	assert_int_equal(byoh_site_slot_write(text, sizeof(text) - 1, &slot, &err), 0);
	assert_int_equal(slot.size, 65536);
	assert_int_equal(byoh_site_slot_read(slot.data, slot.size, &again, &err), 0);
	assert_int_equal(again.size, sizeof(text) - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_file_is_found, make_image),
		cmocka_unit_test_setup(what_is_not_there_is_said, make_image),
		cmocka_unit_test_setup(lies_are_refused, make_image),
		cmocka_unit_test(a_text_survives),
		cmocka_unit_test(an_empty_one_has_none),
		cmocka_unit_test(damage_is_noticed),
		cmocka_unit_test(too_much_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
