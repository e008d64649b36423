/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes by their label, as udev leaves its findings. */
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
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bundle/base/path.h"
#include "installer/volume.h"

struct fixture {
	char root[64];
	int fd;
};

static struct byoh_error last_error;

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	last_error = (struct byoh_error)BYOH_ERROR_INIT;
	strcpy(fixture->root, "/tmp/byoh-volume-XXXXXX");
	assert_non_null(mkdtemp(fixture->root));
	fixture->fd = open(fixture->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(fixture->fd >= 0);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(byoh_remove_tree(tmp, strrchr(fixture->root, '/') + 1, NULL), 0);
	close(tmp);
	close(fixture->fd);
	free(fixture);
	return 0;
}

static void put(const struct fixture *fixture, const char *folder, const char *name, const char *text)
{
	char path[128];

	assert_int_equal(byoh_make_directories(fixture->fd, folder, 0755, NULL), 0);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(byoh_write_file(fixture->fd, path, text, strlen(text), 0644, NULL), 0);
}

static void add_device(const struct fixture *fixture, const char *number, const char *name, const char *label,
		       const char *type)
{
	char text[256], path[64];

	snprintf(path, sizeof(path), "b%s", number);
	snprintf(text, sizeof(text), "S:disk/by-label/%s\nE:ID_FS_LABEL=%s\nE:ID_FS_LABEL_ENC=%s\nE:ID_FS_TYPE=%s\n"
				     "E:ID_FS_USAGE=filesystem\nG:systemd\n", label, label, label, type);
	put(fixture, "run/udev/data", path, text);
	snprintf(path, sizeof(path), "sys/dev/block/%s", number);
	snprintf(text, sizeof(text), "MAJOR=8\nMINOR=17\nDEVNAME=%s\nDEVTYPE=partition\n", name);
	put(fixture, path, "uevent", text);
}

static void a_host_without_udev_has_none(void **state)
{
	const struct fixture *fixture = *state;
	struct byoh_volume volume;

	assert_int_equal(byoh_volume_find(fixture->fd, "BYOHCFG", &volume, &last_error), 0);
	assert_string_equal(volume.device, "");
}

static void the_one_of_that_label_is_found(void **state)
{
	const struct fixture *fixture = *state;
	struct byoh_volume volume;

	add_device(fixture, "8:1", "sda1", "root", "ext4");
	add_device(fixture, "8:17", "sdb1", "BYOHCFG", "vfat");
	add_device(fixture, "8:18", "sdb2", "BYOHCFG2", "vfat");
	put(fixture, "run/udev/data", "c10:200", "E:ID_FS_LABEL=BYOHCFG\n");
	put(fixture, "run/udev/data", "b8:33", "E:ID_FS_LABEL=BYOHCFG\nE:ID_FS_TYPE=vfat\n"); /* gone */
	assert_int_equal(byoh_volume_find(fixture->fd, "BYOHCFG", &volume, &last_error), 0);
	assert_string_equal(volume.device, "/dev/sdb1");
	assert_string_equal(volume.type, "vfat");
	assert_int_equal(volume.number, makedev(8, 17));
}

static void two_of_them_are_refused_by_their_names(void **state)
{
	const struct fixture *fixture = *state;
	struct byoh_volume volume;

	add_device(fixture, "8:17", "sdb1", "BYOHCFG", "vfat");
	add_device(fixture, "8:33", "sdc1", "BYOHCFG", "iso9660");
	assert_int_equal(byoh_volume_find(fixture->fd, "BYOHCFG", &volume, &last_error), -EEXIST);
	assert_int_equal(byoh_error_exit_code(&last_error), 2);
	assert_non_null(strstr(last_error.message, "/dev/sdb1"));
	assert_non_null(strstr(last_error.message, "/dev/sdc1"));
	assert_non_null(strstr(last_error.message, "--config"));
}

static void a_file_system_that_sticks_do_not_use_is_not_tried(void **state)
{
	static const char *const types[] = { "xfs", "btrfs", "ntfs", "ext3", "squashfs", "" };
	const struct fixture *fixture = *state;
	struct byoh_volume volume;

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		add_device(fixture, "8:17", "sdb1", "BYOHCFG", types[i]);
		assert_int_equal(byoh_volume_find(fixture->fd, "BYOHCFG", &volume, &last_error), -EMEDIUMTYPE);
		assert_int_equal(byoh_error_exit_code(&last_error), 2);
		assert_non_null(strstr(last_error.message, "/dev/sdb1"));
	}
}

static void what_is_no_such_device_is_not_mounted(void **state)
{
	const struct byoh_volume volume = { "/dev/null", "vfat", makedev(8, 17) };
	const struct fixture *fixture = *state;
	char folder[128];

	snprintf(folder, sizeof(folder), "%s/mount", fixture->root);
	assert_int_equal(byoh_volume_mount(&volume, folder, &last_error), -ENODEV);
	assert_int_equal(access(folder, F_OK), -1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

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
