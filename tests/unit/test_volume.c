/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes by their label, as udev leaves its findings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "installer/volume.h"
#include "tests/unit/root-fixture.h"

static struct byoh_error last_error;

static void add_device(const struct test_root *root, const char *number, const char *name, const char *label,
		       const char *type)
{
	char text[256], path[64];

	snprintf(path, sizeof(path), "/run/udev/data/b%s", number);
	snprintf(text, sizeof(text), "S:disk/by-label/%s\nE:ID_FS_LABEL=%s\nE:ID_FS_LABEL_ENC=%s\nE:ID_FS_TYPE=%s\n"
				     "E:ID_FS_USAGE=filesystem\nG:systemd\n", label, label, label, type);
	test_root_put(root, path, text, 0644);
	snprintf(path, sizeof(path), "/sys/dev/block/%s/uevent", number);
	snprintf(text, sizeof(text), "MAJOR=8\nMINOR=17\nDEVNAME=%s\nDEVTYPE=partition\n", name);
	test_root_put(root, path, text, 0644);
}

static void a_host_without_udev_has_none(void **state)
{
	const struct test_root *root = *state;
	struct byoh_volume volume;

	assert_int_equal(byoh_volume_find(root->fd, "BYOHCFG", &volume, &last_error), 0);
	assert_string_equal(volume.device, "");
}

static void the_one_of_that_label_is_found(void **state)
{
	const struct test_root *root = *state;
	struct byoh_volume volume;

	add_device(root, "8:1", "sda1", "root", "ext4");
	add_device(root, "8:17", "sdb1", "BYOHCFG", "vfat");
	add_device(root, "8:18", "sdb2", "BYOHCFG2", "vfat");
	test_root_put(root, "/run/udev/data/c10:200", "E:ID_FS_LABEL=BYOHCFG\n", 0644);
	test_root_put(root, "/run/udev/data/b8:33", "E:ID_FS_LABEL=BYOHCFG\nE:ID_FS_TYPE=vfat\n", 0644); /* gone */
	assert_int_equal(byoh_volume_find(root->fd, "BYOHCFG", &volume, &last_error), 0);
	assert_string_equal(volume.device, "/dev/sdb1");
	assert_string_equal(volume.type, "vfat");
	assert_int_equal(volume.number, makedev(8, 17));
}

static void two_of_them_are_refused_by_their_names(void **state)
{
	const struct test_root *root = *state;
	struct byoh_volume volume;

	add_device(root, "8:17", "sdb1", "BYOHCFG", "vfat");
	add_device(root, "8:33", "sdc1", "BYOHCFG", "iso9660");
	assert_int_equal(byoh_volume_find(root->fd, "BYOHCFG", &volume, &last_error), -EEXIST);
	assert_int_equal(byoh_error_exit_code(&last_error), 2);
	assert_non_null(strstr(last_error.message, "/dev/sdb1"));
	assert_non_null(strstr(last_error.message, "/dev/sdc1"));
	assert_non_null(strstr(last_error.message, "--config"));
}

static void a_file_system_that_sticks_do_not_use_is_not_tried(void **state)
{
	static const char *const types[] = { "xfs", "btrfs", "ntfs", "ext3", "squashfs", "" };
	const struct test_root *root = *state;
	struct byoh_volume volume;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		add_device(root, "8:17", "sdb1", "BYOHCFG", types[i]);
		assert_int_equal(byoh_volume_find(root->fd, "BYOHCFG", &volume, &last_error), -EMEDIUMTYPE);
		assert_int_equal(byoh_error_exit_code(&last_error), 2);
		assert_non_null(strstr(last_error.message, "/dev/sdb1"));
	}
}

static void what_is_no_such_device_is_not_mounted(void **state)
{
	const struct byoh_volume volume = { "/dev/null", "vfat", makedev(8, 17) };
	const struct test_root *root = *state;
	char folder[256];

	snprintf(folder, sizeof(folder), "%s/mount", root->path);
	assert_int_equal(byoh_volume_mount(&volume, folder, &last_error), -ENODEV);
	assert_int_equal(access(folder, F_OK), -1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, test_root_set_up, test_root_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_host_without_udev_has_none),
		TEST(the_one_of_that_label_is_found),
		TEST(two_of_them_are_refused_by_their_names),
		TEST(a_file_system_that_sticks_do_not_use_is_not_tried),
		TEST(what_is_no_such_device_is_not_mounted),
	};

	return cmocka_run_group_tests_name("volume", tests, NULL, NULL);
}
