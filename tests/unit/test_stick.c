/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a medium back, and what a medium takes. */
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "bundle/medium.h"
#include "bundle/read-back.h"
#include "tests/unit/bundle-fixture.h"

#define SIZE ((size_t)3 * BYOH_READ_BACK_CHUNK + 12345)
#define NONE UINT64_MAX

static struct byoh_error err;

/* A medium in memory, and how it fails. */
struct liar {
	const unsigned char *bytes;
	uint64_t size, wrong, dead;
	size_t at_most; /* a read gives no more */
	unsigned int interrupts;
};

static ssize_t lie(void *context, void *ret, size_t size, uint64_t offset)
{
	struct liar *liar = context;

	assert_int_equal((uintptr_t)ret % 4096, 0); /* what O_DIRECT asks for */
	assert_int_equal(offset % 4096, 0);
	if (liar->interrupts) {
		liar->interrupts--;
		errno = EINTR;
		return -1;
	}
	if (offset >= liar->size)
		return 0;
	if (size > liar->size - offset)
		size = (size_t)(liar->size - offset);
	if (size > liar->at_most)
		size = liar->at_most;
	if (offset <= liar->dead && liar->dead < offset + size) {
		size = (size_t)(liar->dead - offset);
		errno = EIO;
		if (!size)
			return -1;
	}
	memcpy(ret, liar->bytes + offset, size);
	if (offset <= liar->wrong && liar->wrong < offset + size)
		((unsigned char *)ret)[liar->wrong - offset] ^= 0x80;
	return (ssize_t)size;
}

static int read_back(struct liar *liar, const unsigned char *bytes, uint64_t *ret_offset)
{
	struct byoh_read_at medium = { lie, liar };
	CLEANUP_FD int fd = memfd_create("written", MFD_CLOEXEC);
	struct byoh_digest digest, expected;
	int r;

	err = (struct byoh_error)BYOH_ERROR_INIT;
	*ret_offset = NONE;
	assert_int_equal(byoh_write_all(fd, bytes, SIZE, NULL), 0);
	r = byoh_read_back(fd, &medium, SIZE, &digest, ret_offset, NULL, NULL, &err);
	assert_int_equal(byoh_digest_of(bytes, SIZE, &expected, NULL), 0);
	if (r == 0)
		assert_true(byoh_digest_equal(&digest, &expected));
	return r;
}

static void what_comes_back_is_what_was_written(void **state)
{
	CLEANUP_FREE unsigned char *bytes = malloc(SIZE);
	struct liar honest = { .bytes = bytes, .size = SIZE, .wrong = NONE, .dead = NONE, .at_most = SIZE };
	uint64_t offset;

	(void)state;
	fill_with_noise(bytes, SIZE, 5);
	assert_int_equal(read_back(&honest, bytes, &offset), 0);
	honest.at_most = 5000; /* no whole page: it is asked again from the page's beginning */
	honest.interrupts = 2;
	assert_int_equal(read_back(&honest, bytes, &offset), 0);
}

static void the_first_bad_byte_is_named(void **state)
{
	static const uint64_t places[] = { 0, 1, 4095, 4096, BYOH_READ_BACK_CHUNK - 1, BYOH_READ_BACK_CHUNK,
					   2 * BYOH_READ_BACK_CHUNK + 77, SIZE - 1 };
	static const size_t at_most[] = { SIZE, 4096, 6000 };
	CLEANUP_FREE unsigned char *bytes = malloc(SIZE);
	char expected[64];
	uint64_t offset;

	(void)state;
	fill_with_noise(bytes, SIZE, 6);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(at_most); k++) {
			struct liar wrong = { .bytes = bytes, .size = SIZE, .wrong = places[i], .dead = NONE,
					      .at_most = at_most[k] };
			struct liar dead = { .bytes = bytes, .size = SIZE, .wrong = NONE, .dead = places[i],
					     .at_most = at_most[k] };
			struct liar cut = { .bytes = bytes, .size = places[i], .wrong = NONE, .dead = NONE,
					    .at_most = at_most[k] };

			snprintf(expected, sizeof(expected), "at offset %llu;", (unsigned long long)places[i]);
			assert_int_equal(read_back(&wrong, bytes, &offset), -EIO);
			assert_int_equal(offset, places[i]);
			assert_non_null(strstr(err.message, "other bytes come back"));
			assert_non_null(strstr(err.message, expected));
			assert_int_equal(read_back(&dead, bytes, &offset), -EIO);
			assert_true(offset <= places[i] && offset + 4096 > places[i]);
			assert_non_null(strstr(err.message, places[i] % 4096 ? "at offset" : strerror(EIO)));
			assert_int_equal(read_back(&cut, bytes, &offset), -EIO);
			assert_int_equal(offset, places[i]);
			assert_non_null(strstr(err.message, "no more bytes"));
		}
	}
}

static void each_file_system_has_its_limits(void **state)
{
	static const struct {
		const char *name;
		bool fat;
	} names[] = { { "byoh-install.run", true }, { ".hidden", true }, { "K\xc3\xa4se.run", true }, { "console", true },
		      { "com10.run", true }, { "a b", true }, { "a:b", false }, { "what?", false }, { "x.", false },
		      { "x ", false }, { "con", false }, { "Con.run", false }, { "lpt1.bundle", false },
		      { "a\"b", false }, { "a\\b", false }, { "a|b", false } };
	struct byoh_medium fat = { 0 }, exfat = { 0 }, other = { 0 };

	(void)state;
	byoh_medium_set_type(0x4d44, &fat);
	byoh_medium_set_type(0x2011bab0, &exfat);
	byoh_medium_set_type(0xef53, &other);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(byoh_medium_check_name(&fat, names[i].name, &err) == 0, names[i].fat);
		assert_int_equal(byoh_medium_check_name(&exfat, names[i].name, &err) == 0, names[i].fat);
		assert_int_equal(byoh_medium_check_name(&other, names[i].name, &err), 0);
	}
	assert_true(byoh_medium_check_name(&other, "a\nb", &err) < 0);
	assert_true(byoh_medium_check_name(&other, "\xff", &err) < 0);
	assert_int_equal(byoh_medium_check_size(&fat, "x", BYOH_FAT_FILE_MAX, &err), 0);
	assert_true(byoh_medium_check_size(&fat, "x", BYOH_FAT_FILE_MAX + 1, &err) < 0);
	assert_int_equal(err.kind, BYOH_ERROR_CONFIG);
	assert_non_null(strstr(err.message, "byoh-bundle split"));
	assert_int_equal(byoh_medium_check_size(&exfat, "x", BYOH_FAT_FILE_MAX + 1, &err), 0);
	assert_string_equal(fat.type, "vfat");
	byoh_medium_set_type(0x1234, &other);
	assert_string_equal(other.type, "0x1234");
}

static void put(int root, const char *path, const char *text)
{
	char folder[256];

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	assert_int_equal(byoh_make_directories(root, folder, 0755, NULL), 0);
	assert_int_equal(byoh_write_file(root, path, text, strlen(text), 0644, NULL), 0);
}

static void sysfs_tells_the_stick(void **state)
{
#define USB "devices/pci0000:00/usb1/1-2"
#define DISK USB "/1-2:1.0/host6/target6:0:0/6:0:0:0"
	struct packer packer;
	struct byoh_medium medium = { 0 };
	CLEANUP_FREE char *folder = NULL;
	CLEANUP_FD int root = -1;

	(void)state;
	packer_start(&packer);
	folder = packer_path(&packer, "scratch");
	root = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(root, DISK "/block/sdb/sdb1/size", "62333952\n");
	put(root, DISK "/vendor", "SanDisk \n");
	put(root, DISK "/model", "Ultra\x1b[31m\n");
	put(root, USB "/bDeviceClass", "00\n");
	put(root, USB "/product", "never asked\n");
	put(root, USB "/serial", "4C530001\n");
	put(root, "devices/pci0000:00/usb1/serial", "0000:00:14.0\n");
	assert_int_equal(byoh_make_directories(root, "dev/block", 0755, NULL), 0);
	assert_int_equal(symlinkat("../../" DISK "/block/sdb/sdb1", root, "dev/block/8:17"), 0);
	byoh_medium_look_at_device(folder, makedev(8, 17), &medium);
	assert_string_equal(medium.device, "sdb1");
	assert_int_equal(medium.device_size, (uint64_t)62333952 * 512);
	assert_string_equal(medium.vendor, "SanDisk");
	assert_string_equal(medium.model, "Ultra?[31m");
	assert_string_equal(medium.serial, "4C530001");
	/* A stick without a number has none: that of the hub is not its own. */
	assert_int_equal(byoh_remove_file(root, USB "/serial", NULL), 0);
	medium = (struct byoh_medium){ 0 };
	byoh_medium_look_at_device(folder, makedev(8, 17), &medium);
	assert_string_equal(medium.serial, "");
	medium = (struct byoh_medium){ 0 };
	byoh_medium_look_at_device(folder, makedev(8, 99), &medium);
	assert_string_equal(medium.device, "");
	packer_end(&packer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_comes_back_is_what_was_written),
		cmocka_unit_test(the_first_bad_byte_is_named),
		cmocka_unit_test(each_file_system_has_its_limits),
		cmocka_unit_test(sysfs_tells_the_stick),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
