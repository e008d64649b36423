/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "installer/host.h"

#define UDEV_DATA "/run/udev/data" /* one file a device, "b8:17" for block devices: systemd's sd-device */
#define FACTS_MAX ((size_t)64 << 10)

/* The kernel's drivers for file systems are no wall against a crafted one: no more of them than sticks use. */
static const struct file_system {
	const char *type;
	const char *options;
} file_systems[] = {
	{ "vfat", NULL },
	{ "exfat", NULL },
	{ "iso9660", NULL },
	{ "ext4", "noload" }, /* a journal would be replayed, which writes */
};

static const struct file_system *known_type(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(file_systems); i++)
		if (strcmp(file_systems[i].type, type) == 0)
			return &file_systems[i];
	return NULL;
}

/* The rest of the line that begins with key; "" where there is none, or it is too long. */
static void value_of(const char *text, const char *key, char *ret, size_t size)
{
	size_t key_length = strlen(key);

	ret[0] = '\0';
	for (const char *line = text; line; line = strchr(line, '\n')) {
		size_t length;

		line += *line == '\n';
		if (strncmp(line, key, key_length) != 0)
			continue;
		length = strcspn(line + key_length, "\n");
		if (length < size)
			snprintf(ret, size, "%.*s", (int)length, line + key_length);
		return;
	}
}

/* Not ours, or gone: ret->device stays empty. */
static void read_volume(int root_fd, const char *name, const char *label, struct byoh_volume *ret)
{
	CLEANUP_BUFFER struct byoh_buffer facts = {0}, event = {0};
	char path[64], word[128];
	unsigned int major_number, minor_number;

	*ret = (struct byoh_volume){0};
	if (sscanf(name, "b%u:%u", &major_number, &minor_number) != 2)
		return;
	snprintf(path, sizeof(path), UDEV_DATA "/b%u:%u", major_number, minor_number);
	if (byoh_host_read(root_fd, path, FACTS_MAX, &facts, NULL) < 0)
		return;
	value_of(byoh_buffer_text(&facts), "E:ID_FS_LABEL=", word, sizeof(word));
	if (strcmp(word, label) != 0)
		return;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/uevent", major_number, minor_number);
	if (byoh_host_read(root_fd, path, FACTS_MAX, &event, NULL) < 0)
		return;
	value_of(byoh_buffer_text(&event), "DEVNAME=", word, sizeof(word) - sizeof("/dev/"));
	if (!word[0])
		return;
	value_of(byoh_buffer_text(&facts), "E:ID_FS_TYPE=", ret->type, sizeof(ret->type));
	ret->number = makedev(major_number, minor_number);
	snprintf(ret->device, sizeof(ret->device), "/dev/%.120s", word);
}

int byoh_volume_find(int root_fd, const char *label, struct byoh_volume *ret, struct byoh_error *err)
{
	int fd = byoh_host_open(root_fd, UDEV_DATA, O_RDONLY | O_DIRECTORY, NULL);
	CLEANUP_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct byoh_volume volume;

	*ret = (struct byoh_volume){0};
	while (dir && (entry = readdir(dir))) {
		read_volume(root_fd, entry->d_name, label, &volume);
		if (!volume.device[0])
			continue;
		if (ret->device[0])
			return byoh_fail(err, BYOH_ERROR_CONFIG, EEXIST,
					 "two volumes are labelled %s, %s and %s; take one away, or name the "
					 "configuration with --config FILE", label, ret->device, volume.device);
		*ret = volume;
	}
	if (ret->device[0] && !known_type(ret->type))
		return byoh_fail(err, BYOH_ERROR_CONFIG, EMEDIUMTYPE,
				 "%s: a volume %s of type \"%s\" is not looked at; use vfat, exfat, iso9660 or "
				 "ext4, or name the configuration with --config FILE",
				 ret->device, label, ret->type);
	return 0;
}

int byoh_volume_mount(const struct byoh_volume *volume, const char *folder, struct byoh_error *err)
{
	const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
	const struct file_system *file_system = known_type(volume->type);
	struct stat st;
	int r;

	if (!file_system || stat(volume->device, &st) < 0 || !S_ISBLK(st.st_mode) ||
	    st.st_rdev != volume->number)
		return byoh_fail(err, BYOH_ERROR_CONFIG, ENODEV, "%s is not the volume that udev saw; pull it "
				 "out and put it in again", volume->device);
	byoh_volume_unmount(folder);
	if (mkdir(folder, 0700) < 0)
		return byoh_fail_errno(err, "cannot make %s", folder);
	if (mount(volume->device, folder, volume->type, flags, file_system->options) == 0)
		return 0;
	r = byoh_fail_errno(err, "cannot mount %s (%s)", volume->device, volume->type);
	rmdir(folder);
	return r;
}

void byoh_volume_unmount(const char *folder)
{
	umount2(folder, MNT_DETACH | UMOUNT_NOFOLLOW);
	rmdir(folder);
}
