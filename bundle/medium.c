/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of FAT: "Microsoft FAT Specification", 2005, sections 6 and 7; exFAT: "exFAT file system specification",
 * sections 7.7.3 and 7.4. sysfs: Documentation/ABI/stable/sysfs-block and testing/sysfs-bus-usb. */
#include "bundle/medium.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"

#define SECTOR 512 /* the unit of sysfs, whatever the device's own is */

static const struct {
	uint32_t magic;
	const char *name;
	bool fat_names;
	uint64_t file_max;
} file_systems[] = {
	{ 0x4d44, "vfat", true, BYOH_FAT_FILE_MAX },
	{ 0x2011bab0, "exfat", true, UINT64_MAX },
	{ 0xef53, "ext4", false, UINT64_MAX },
	{ 0x01021994, "tmpfs", false, UINT64_MAX },
	{ 0x65735546, "fuse", false, UINT64_MAX },
	{ 0x58465342, "xfs", false, UINT64_MAX },
	{ 0x9123683e, "btrfs", false, UINT64_MAX },
	{ 0x7366746e, "ntfs3", false, UINT64_MAX },
	{ 0x794c7630, "overlay", false, UINT64_MAX },
};

void byoh_medium_set_type(uint32_t magic, struct byoh_medium *ret)
{
	ret->file_max = UINT64_MAX;
	ret->fat_names = false;
	snprintf(ret->type, sizeof(ret->type), "%#x", magic);
	for (size_t i = 0; i < ARRAY_SIZE(file_systems); i++) {
		if (file_systems[i].magic != magic)
			continue;
		snprintf(ret->type, sizeof(ret->type), "%s", file_systems[i].name);
		ret->fat_names = file_systems[i].fat_names;
		ret->file_max = file_systems[i].file_max;
	}
}

/* The first line of folder/name without the spaces around it; "" where there is none. */
static bool read_attribute(const char *folder, const char *name, char *ret, size_t size)
{
	char path[BYOH_PATH_MAX], line[256] = "", *start = line, *end;
	CLEANUP_FILE FILE *file = NULL;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return false;
	file = fopen(path, "re");
	if (!file || !fgets(line, sizeof(line), file))
		return false;
	while (*start == ' ')
		start++;
	end = start + strcspn(start, "\n");
	while (end > start && end[-1] == ' ')
		end--;
	*end = '\0';
	if (strncmp(start, "0x", 2) == 0) /* a bus's number of the vendor, no name */
		return false;
	byoh_make_printable(start);
	snprintf(ret, size, "%s", start);
	return *ret != '\0';
}

static bool has_attribute(const char *folder, const char *name)
{
	char ignored[8];

	return read_attribute(folder, name, ignored, sizeof(ignored));
}

/* Up from the block device: the disk, what it hangs on, and no further than the USB device, since hubs and
 * controllers have serial numbers of their own. */
static void read_ancestors(char *folder, struct byoh_medium *ret)
{
	for (char *slash = strrchr(folder, '/'); slash && slash != folder; slash = strrchr(folder, '/')) {
		if (!*ret->vendor && !read_attribute(folder, "vendor", ret->vendor, sizeof(ret->vendor)))
			(void)read_attribute(folder, "manufacturer", ret->vendor, sizeof(ret->vendor));
		if (!*ret->model && !read_attribute(folder, "model", ret->model, sizeof(ret->model)))
			(void)read_attribute(folder, "product", ret->model, sizeof(ret->model));
		if (!*ret->serial)
			(void)read_attribute(folder, "serial", ret->serial, sizeof(ret->serial));
		if (*ret->serial || has_attribute(folder, "bDeviceClass"))
			return;
		*slash = '\0';
	}
}

void byoh_medium_look_at_device(const char *sysfs, dev_t number, struct byoh_medium *ret)
{
	char path[BYOH_PATH_MAX], sectors[32];
	CLEANUP_FREE char *folder = NULL;

	snprintf(path, sizeof(path), "%s/dev/block/%u:%u", sysfs, major(number), minor(number));
	folder = realpath(path, NULL);
	if (!folder)
		return;
	snprintf(ret->device, sizeof(ret->device), "%.63s", strrchr(folder, '/') + 1);
	if (read_attribute(folder, "size", sectors, sizeof(sectors)))
		ret->device_size = strtoull(sectors, NULL, 10) * SECTOR;
	read_ancestors(folder, ret);
}

int byoh_medium_look(int directory, struct byoh_medium *ret, struct byoh_error *err)
{
	struct stat st, root;
	struct statvfs room;
	struct statfs type;

	*ret = (struct byoh_medium){ 0 };
	if (fstat(directory, &st) < 0 || fstatvfs(directory, &room) < 0 || fstatfs(directory, &type) < 0)
		return byoh_fail_errno(err, "cannot look at it");
	byoh_medium_set_type((uint32_t)type.f_type, ret);
	ret->allocation = room.f_frsize ? room.f_frsize : 1;
	ret->size = (uint64_t)room.f_blocks * ret->allocation;
	ret->free = (uint64_t)room.f_bavail * ret->allocation;
	ret->is_root = stat("/", &root) == 0 && root.st_dev == st.st_dev;
	byoh_medium_look_at_device("/sys", st.st_dev, ret);
	return 0;
}

static bool is_device_name(const char *name)
{
	static const char *const taken[] = { "CON", "PRN", "AUX", "NUL" };
	size_t length = strcspn(name, ".");

	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		if (length == 3 && strncasecmp(name, taken[i], 3) == 0)
			return true;
	return length == 4 && (strncasecmp(name, "COM", 3) == 0 || strncasecmp(name, "LPT", 3) == 0) &&
	       name[3] >= '1' && name[3] <= '9';
}

int byoh_medium_check_name(const struct byoh_medium *medium, const char *name, struct byoh_error *err)
{
	const char *last = name + strlen(name) - 1;

	if (!*name || !byoh_path_is_clean(name))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s: no name for a stick: no text, or with control characters; rename it", name);
	if (!medium->fat_names)
		return 0;
	if (strpbrk(name, "\"*:<>?\\|") || *last == '.' || *last == ' ')
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL,
				 "%s: %s has no such name: none of \" * : < > ? \\ |, no dot or space at the end; "
				 "rename it", name, medium->type);
	if (is_device_name(name))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EINVAL, "%s: the name of a device on other systems; rename it",
				 name);
	return 0;
}

int byoh_medium_check_size(const struct byoh_medium *medium, const char *name, uint64_t size,
			   struct byoh_error *err)
{
	if (size <= medium->file_max)
		return 0;
	return byoh_fail(err, BYOH_ERROR_CONFIG, EFBIG,
			 "%s has %llu bytes, and %s takes files up to %llu (4 GiB - 1); cut it with "
			 "`byoh-bundle split`, or format the stick as exFAT",
			 name, (unsigned long long)size, medium->type, (unsigned long long)medium->file_max);
}
