/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/iso9660.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/cursor.h"

#define DESCRIPTOR_FIRST 16   /* ECMA-119 6.2: behind the system area */
#define DESCRIPTORS_MAX 64    /* a boot image has four */
#define PRIMARY 1	      /* 8.4 */
#define TERMINATOR 255	      /* 8.3 */
#define ROOT_RECORD_AT 156    /* 8.4.18 */
#define RECORD_MIN 34	      /* 9.1 with a name of one byte */
#define FLAG_DIRECTORY 0x02   /* 9.1.6 */
#define FLAG_MULTI_EXTENT 0x80
#define DIRECTORY_MAX ((uint64_t)1 << 20) /* ours have a dozen names */
#define NAME_MAX_LENGTH 255

struct extent {
	uint64_t offset, size;
	unsigned int flags;
};

struct record {
	struct extent extent;
	char name[NAME_MAX_LENGTH + 1];
};

static int fail_image(struct byoh_error *err, const char *what)
{
	return byoh_fail(err, BYOH_ERROR_FORMAT, EBADMSG, "no ISO 9660 image, or a damaged one: %s", what);
}

/* 9.1: numbers stand there twice, little-endian first. */
static bool take_extent(struct byoh_cursor *cursor, const struct byoh_iso9660_reader *image, struct extent *ret)
{
	uint64_t block;

	byoh_cursor_take(cursor, 2); /* lengths, which the caller has used */
	block = byoh_cursor_u32(cursor);
	byoh_cursor_take(cursor, 4);
	ret->size = byoh_cursor_u32(cursor);
	byoh_cursor_take(cursor, 4 + 7);
	ret->flags = (unsigned int)byoh_cursor_little_endian(cursor, 1);
	byoh_cursor_take(cursor, 1 + 1 + 4);
	ret->offset = block * BYOH_ISO9660_SECTOR;
	return !cursor->failed && ret->offset <= image->size && ret->size <= image->size - ret->offset;
}

/* The Rock Ridge name, which may come in several parts; "" where there is none. */
static void read_rock_ridge(struct byoh_cursor cursor, char ret[NAME_MAX_LENGTH + 1])
{
	size_t have = 0;

	ret[0] = '\0';
	while (cursor.left >= 4) {
		const unsigned char *head = byoh_cursor_take(&cursor, 4);
		size_t length = head[2];
		const unsigned char *body;

		if (length < 4)
			return;
		body = byoh_cursor_take(&cursor, length - 4);
		if (!body || memcmp(head, "ST", 2) == 0)
			return;
		if (memcmp(head, "NM", 2) != 0 || length < 6 || have + length - 5 > NAME_MAX_LENGTH)
			continue;
		memcpy(ret + have, body + 1, length - 5);
		have += length - 5;
		ret[have] = '\0';
	}
}

/* "SITE.IMG;1" is site.img. */
static void read_plain_name(const unsigned char *name, size_t length, char ret[NAME_MAX_LENGTH + 1])
{
	const unsigned char *end = memchr(name, ';', length);

	snprintf(ret, NAME_MAX_LENGTH + 1, "%.*s", (int)(end ? (size_t)(end - name) : length), (const char *)name);
}

static bool read_record(const unsigned char *bytes, size_t length, const struct byoh_iso9660_reader *image,
			struct record *ret)
{
	struct byoh_cursor cursor = byoh_cursor_over(bytes, length);
	const unsigned char *name;
	size_t name_length;

	if (!take_extent(&cursor, image, &ret->extent))
		return false;
	name_length = (size_t)byoh_cursor_little_endian(&cursor, 1);
	name = byoh_cursor_take(&cursor, name_length);
	if (!name)
		return false;
	byoh_cursor_take(&cursor, name_length % 2 == 0 && cursor.left); /* 9.1.12 */
	read_rock_ridge(cursor, ret->name);
	if (!ret->name[0])
		read_plain_name(name, name_length, ret->name);
	return true;
}

static bool is_name(const char *name, const char *part, size_t length)
{
	return strlen(name) == length && strncasecmp(name, part, length) == 0;
}

/* Records do not cross sectors (6.8.1.1); a zero ends what is used of one. */
static int find_in(const struct byoh_iso9660_reader *image, const unsigned char *bytes, size_t size, const char *part,
		   size_t length, struct extent *ret, struct byoh_error *err)
{
	CLEANUP_FREE struct record *record = calloc(1, sizeof(*record));
	size_t at = 0;

	if (!record)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	while (at < size) {
		size_t sector_left = BYOH_ISO9660_SECTOR - at % BYOH_ISO9660_SECTOR, record_length = bytes[at];

		if (record_length == 0) {
			at += sector_left;
			continue;
		}
		if (record_length < RECORD_MIN || record_length > sector_left || record_length > size - at)
			return fail_image(err, "a folder's record is cut off");
		if (!read_record(bytes + at, record_length, image, record))
			return fail_image(err, "a file lies outside of it");
		at += record_length;
		if (!is_name(record->name, part, length))
			continue;
		*ret = record->extent;
		return 0;
	}
	return byoh_fail(err, BYOH_ERROR_FORMAT, ENOENT, "the image has no %.*s", (int)length, part);
}

static int enter(const struct byoh_iso9660_reader *image, const char *part, size_t length, struct extent *extent,
		 struct byoh_error *err)
{
	CLEANUP_FREE unsigned char *bytes = NULL;

	if (!(extent->flags & FLAG_DIRECTORY) || extent->size > DIRECTORY_MAX)
		return fail_image(err, "a folder of it is none");
	bytes = malloc(extent->size + 1);
	if (!bytes)
		return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
	TRY(image->read(image->context, bytes, extent->size, extent->offset, err));
	return find_in(image, bytes, (size_t)extent->size, part, length, extent, err);
}

static int find_root(const struct byoh_iso9660_reader *image, struct extent *ret, struct byoh_error *err)
{
	unsigned char sector[BYOH_ISO9660_SECTOR];

	for (uint64_t i = DESCRIPTOR_FIRST; i < DESCRIPTOR_FIRST + DESCRIPTORS_MAX; i++) {
		struct byoh_cursor cursor = byoh_cursor_over(sector + ROOT_RECORD_AT, RECORD_MIN);

		if ((i + 1) * sizeof(sector) > image->size)
			return fail_image(err, "it is too short");
		TRY(image->read(image->context, sector, sizeof(sector), i * sizeof(sector), err));
		if (memcmp(sector + 1, "CD001", 5) != 0)
			return fail_image(err, "it has no volume descriptor");
		if (sector[0] == TERMINATOR)
			break;
		if (sector[0] != PRIMARY)
			continue;
		if (sector[128] != (BYOH_ISO9660_SECTOR & 0xff) || sector[129] != BYOH_ISO9660_SECTOR >> 8)
			return fail_image(err, "its blocks are not of 2048 bytes");
		return take_extent(&cursor, image, ret) ? 0 : fail_image(err, "its root folder lies outside of it");
	}
	return fail_image(err, "it has no primary volume descriptor");
}

int byoh_iso9660_find(const struct byoh_iso9660_reader *image, const char *path, uint64_t *ret_offset, uint64_t *ret_size,
		      struct byoh_error *err)
{
	struct extent extent = { 0 };

	TRY(find_root(image, &extent, err));
	while (*path) {
		size_t length = strcspn(path, "/");

		TRY(enter(image, path, length, &extent, err));
		path += length + (path[length] == '/');
	}
	if (extent.flags & (FLAG_MULTI_EXTENT | FLAG_DIRECTORY))
		return fail_image(err, "the file lies in several pieces, or is a folder");
	*ret_offset = extent.offset;
	*ret_size = extent.size;
	return 0;
}
