/* SPDX-License-Identifier: Apache-2.0 */
/* Block devices of a running system. sysfs is linked in circles, so nothing is walked but what is named. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bundle/base/cleanup.h"
#include "bundle/base/path.h"
#include "installer/disk/devices.h"
#include "installer/host-internal.h"

#define FACTS_MAX ((size_t)256 << 10)
#define TABLE_MAX ((size_t)16 << 20)
#define BLANK_SIZE ((size_t)1 << 20) /* looked at, at both ends of a disk */

struct reading {
	int root_fd;
	struct byoh_devices *devices;
	struct byoh_strings numbers; /* "8:1", as devices has them */
	const char *folder;	     /* of the disk whose partitions are read */
	const char *disk;
	size_t at; /* of the device whose slaves are read */
};

static int out_of_memory(struct byoh_error *err)
{
	return byoh_fail(err, BYOH_ERROR_SYSTEM, ENOMEM, "out of memory");
}

/* "" where there is none. */
static char *word_in(const struct reading *reading, const char *folder, const char *name)
{
	char path[BYOH_PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return byoh_host_word(reading->root_fd, path);
}

static uint64_t number_in(const struct reading *reading, const char *folder, const char *name)
{
	CLEANUP_FREE char *word = word_in(reading, folder, name);

	return word ? strtoull(word, NULL, 10) : 0;
}

/* Takes text; an empty one is none. */
static void keep(char **field, char *text)
{
	if (!text || !*text || *field)
		free(text);
	else
		*field = text;
}

/*
 * What udev found
 */

/* udev writes blanks and more of labels as \x20. */
static char *decoded(const char *text, size_t length)
{
	char *copy = strndup(text, length), *out = copy;

	for (const char *in = copy; in && *in; out++) {
		if (in[0] == '\\' && in[1] == 'x' && isxdigit((unsigned char)in[2]) && isxdigit((unsigned char)in[3])) {
			const char hex[] = { in[2], in[3], '\0' };

			*out = (char)strtoul(hex, NULL, 16);
			in += 4;
		} else {
			*out = *in++;
		}
	}
	if (copy)
		*out = '\0';
	return copy;
}

static void take_property(struct byoh_device *device, const char *key, size_t key_length, char *value)
{
	const struct {
		const char *key;
		char **field;
	} fields[] = {
		{ "ID_SERIAL_SHORT", &device->serial },	  { "ID_WWN_WITH_EXTENSION", &device->wwn },
		{ "ID_WWN", &device->wwn },		  { "ID_MODEL", &device->model },
		{ "ID_FS_TYPE", &device->fs_type },	  { "ID_FS_LABEL_ENC", &device->fs_label },
		{ "ID_FS_UUID_ENC", &device->fs_uuid },	  { "ID_PART_TABLE_TYPE", &device->table_type },
		{ "ID_PART_TABLE_UUID", &device->table_id }, { "ID_PART_ENTRY_NAME", &device->part_label },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (strlen(fields[i].key) != key_length || strncmp(fields[i].key, key, key_length) != 0)
			continue;
		/* A partition has its disk's serial and table among its properties; they are not its own. */
		if (device->kind == BYOH_DEVICE_PARTITION && fields[i].field != &device->fs_type &&
		    fields[i].field != &device->fs_label && fields[i].field != &device->fs_uuid &&
		    fields[i].field != &device->part_label)
			break;
		keep(fields[i].field, value);
		return;
	}
	free(value);
}

static int take_link(struct byoh_device *device, const char *link, size_t length, struct byoh_error *err)
{
	static const char by_id[] = "disk/by-id/", by_path[] = "disk/by-path/";
	CLEANUP_FREE char *text = strndup(link, length);

	if (!text)
		return out_of_memory(err);
	if (strncmp(text, by_id, strlen(by_id)) == 0)
		return byoh_device_add_text(&device->by_id, text + strlen(by_id), err);
	if (strncmp(text, by_path, strlen(by_path)) == 0)
		return byoh_device_add_text(&device->by_path, text + strlen(by_path), err);
	return 0;
}

static int read_udev(const struct reading *reading, struct byoh_device *device, const char *number,
		     struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char path[64];
	int r = 0;

	snprintf(path, sizeof(path), "/run/udev/data/b%.40s", number);
	if (byoh_host_read(reading->root_fd, path, FACTS_MAX, &text, NULL) < 0)
		return 0;
	for (const char *line = byoh_buffer_text(&text); *line && r == 0; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t length = strcspn(line, "\n");
		const char *equals = memchr(line, '=', length);

		if (strncmp(line, "S:", 2) == 0)
			r = take_link(device, line + 2, length - 2, err);
		else if (strncmp(line, "E:", 2) == 0 && equals)
			take_property(device, line + 2, (size_t)(equals - line) - 2,
				      decoded(equals + 1, length - (size_t)(equals - line) - 1));
	}
	return r;
}

/*
 * Disks
 */

static bool starts_with(const char *text, const char *start)
{
	return strncmp(text, start, strlen(start)) == 0;
}

static enum byoh_device_kind kind_of(const char *name)
{
	static const char *const disks[] = { "sd", "nvme", "vd", "mmcblk", "xvd", "hd", "pmem", "dasd" };

	/* The boot areas of an eMMC are disks of their own to the kernel. */
	if (starts_with(name, "mmcblk") && (strstr(name, "boot") || strstr(name, "rpmb")))
		return BYOH_DEVICE_OTHER;
	for (size_t i = 0; i < ARRAY_SIZE(disks); i++)
		if (starts_with(name, disks[i]))
			return BYOH_DEVICE_DISK;
	return BYOH_DEVICE_OTHER;
}

/* By the way that leads to it: a USB adapter may call its disk ATA. */
static enum byoh_transport transport_of(const char *name, const char *way)
{
	static const struct {
		const char *part;
		enum byoh_transport transport;
	} ways[] = {
		{ "/usb", BYOH_TRANSPORT_USB }, { "/nvme", BYOH_TRANSPORT_NVME }, { "/mmc", BYOH_TRANSPORT_MMC },
		{ "/ata", BYOH_TRANSPORT_SATA }, { "/host", BYOH_TRANSPORT_SCSI }, { "/virtio", BYOH_TRANSPORT_VIRTIO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (strstr(way, ways[i].part))
			return ways[i].transport;
	return starts_with(name, "nvme") ? BYOH_TRANSPORT_NVME : BYOH_TRANSPORT_ANY;
}

static bool is_zero(int fd, uint64_t offset, size_t size)
{
	CLEANUP_FREE unsigned char *bytes = malloc(size);

	if (!bytes || byoh_pread_all(fd, bytes, size, offset, NULL) < 0)
		return false;
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

/* What no known format claims may be somebody's data all the same. */
static bool is_blank(const struct reading *reading, const struct byoh_device *device)
{
	CLEANUP_FD int fd = -1;
	char path[300];
	struct stat st;
	size_t size = device->size < BLANK_SIZE ? (size_t)device->size : BLANK_SIZE;

	snprintf(path, sizeof(path), "/dev/%.255s", device->name);
	fd = byoh_host_open(reading->root_fd, path, O_RDONLY | O_NONBLOCK, NULL);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISBLK(st.st_mode))
		return false;
	return is_zero(fd, 0, size) && is_zero(fd, device->size - size, size);
}

static int read_number(struct reading *reading, const char *folder, struct byoh_error *err)
{
	CLEANUP_FREE char *number = word_in(reading, folder, "dev");

	if (!number)
		return out_of_memory(err);
	return byoh_device_add_text(&reading->numbers, number, err);
}

static int add_slave(void *context, const char *name, struct byoh_error *err)
{
	struct reading *reading = context;

	return byoh_device_add_text(&reading->devices->items[reading->at].slaves, name, err);
}

static int add_partition(void *context, const char *name, struct byoh_error *err)
{
	struct reading *reading = context;
	struct byoh_device *device;
	char folder[BYOH_PATH_MAX], mark[BYOH_PATH_MAX];
	int r;

	snprintf(folder, sizeof(folder), "%.2000s/%.255s", reading->folder, name);
	snprintf(mark, sizeof(mark), "%.2300s/partition", folder);
	if (!byoh_host_exists(reading->root_fd, mark))
		return 0;
	device = byoh_devices_add(reading->devices, name);
	if (!device)
		return out_of_memory(err);
	device->kind = BYOH_DEVICE_PARTITION;
	device->parent = strdup(reading->disk);
	if (!device->parent)
		return out_of_memory(err);
	device->part_number = number_in(reading, folder, "partition");
	device->size = number_in(reading, folder, "size") * 512;
	device->read_only = number_in(reading, folder, "ro");
	r = read_number(reading, folder, err);
	return r < 0 ? r : read_udev(reading, device, reading->numbers.items[reading->numbers.count - 1], err);
}

static void read_disk(const struct reading *reading, const char *folder, struct byoh_device *device)
{
	CLEANUP_BUFFER struct byoh_buffer way = { 0 };

	device->size = number_in(reading, folder, "size") * 512;
	device->read_only = number_in(reading, folder, "ro");
	device->removable = number_in(reading, folder, "removable");
	if (byoh_host_resolve(reading->root_fd, folder, &way, NULL) == 0)
		device->transport = transport_of(device->name, byoh_buffer_text(&way));
	/* Where udev has said nothing of it. */
	keep(&device->model, word_in(reading, folder, "device/model"));
	keep(&device->serial, word_in(reading, folder, "device/serial"));
	keep(&device->serial, word_in(reading, folder, "serial")); /* virtio */
	keep(&device->wwn, word_in(reading, folder, "wwid"));
	keep(&device->wwn, word_in(reading, folder, "device/wwid"));
	device->blank = device->kind == BYOH_DEVICE_DISK && device->size && is_blank(reading, device);
}

static int add_disk(void *context, const char *name, struct byoh_error *err)
{
	struct reading *reading = context;
	struct byoh_device *device;
	char link[BYOH_PATH_MAX], slaves[BYOH_PATH_MAX];
	CLEANUP_BUFFER struct byoh_buffer folder = { 0 };
	int r;

	snprintf(link, sizeof(link), "/sys/block/%.255s", name);
	if (byoh_host_resolve(reading->root_fd, link, &folder, NULL) < 0 ||
	    number_in(reading, folder.data, "hidden") || !number_in(reading, folder.data, "size"))
		return 0; /* one path of several, or an empty drive */
	device = byoh_devices_add(reading->devices, name);
	if (!device)
		return out_of_memory(err);
	reading->at = reading->devices->count - 1;
	device->kind = kind_of(name);
	r = read_number(reading, folder.data, err);
	if (r == 0)
		r = read_udev(reading, device, reading->numbers.items[reading->numbers.count - 1], err);
	if (r < 0)
		return r;
	read_disk(reading, folder.data, device);
	reading->folder = folder.data;
	reading->disk = name;
	snprintf(slaves, sizeof(slaves), "%.2000s/slaves", folder.data);
	r = byoh_each_name(reading->root_fd, slaves, add_slave, reading, err);
	return r < 0 ? r : byoh_each_name(reading->root_fd, folder.data, add_partition, reading, err);
}

/*
 * Mounts and swap
 */

/* As the kernel writes blanks in paths: \040. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (text[0] == '\\' && isdigit((unsigned char)text[1]) && isdigit((unsigned char)text[2]) &&
		    isdigit((unsigned char)text[3])) {
			*out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 + (text[3] - '0'));
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

/* By its number, or by the name of its source: btrfs shows a number of its own. */
static struct byoh_device *find_mounted(const struct reading *reading, const char *number, const char *source)
{
	const char *name = starts_with(source, "/dev/") ? strrchr(source, '/') + 1 : NULL;

	for (size_t i = 0; i < reading->devices->count; i++)
		if ((*number && strcmp(reading->numbers.items[i], number) == 0) ||
		    (name && strcmp(reading->devices->items[i].name, name) == 0))
			return &reading->devices->items[i];
	return NULL;
}

/* 36 35 98:0 /root /mount options [fields] - type source options: proc(5) */
static int take_mount(const struct reading *reading, char *line, struct byoh_error *err)
{
	char *fields[5], *rest = line, *separator = strstr(line, " - "), *source;
	struct byoh_device *device;

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		fields[i] = strsep(&rest, " ");
	if (!separator || !fields[4])
		return 0;
	source = separator + 3;
	strsep(&source, " ");
	source = source ? strsep(&source, " ") : NULL;
	unescape(fields[4]);
	device = find_mounted(reading, fields[2], source ? source : "");
	return device ? byoh_device_add_text(&device->mounts, fields[4], err) : 0;
}

static int read_mounts(const struct reading *reading, struct byoh_error *err)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char *rest, *line;
	int r = 0;

	if (byoh_host_read(reading->root_fd, "/proc/self/mountinfo", TABLE_MAX, &text, NULL) < 0)
		return 0;
	rest = text.data;
	while (r == 0 && rest && (line = strsep(&rest, "\n")))
		r = take_mount(reading, line, err);
	return r;
}

static void read_swaps(const struct reading *reading)
{
	CLEANUP_BUFFER struct byoh_buffer text = { 0 };
	char *rest, *line;

	if (byoh_host_read(reading->root_fd, "/proc/swaps", TABLE_MAX, &text, NULL) < 0)
		return;
	rest = text.data;
	while (rest && (line = strsep(&rest, "\n"))) {
		struct byoh_device *device;

		line[strcspn(line, " \t")] = '\0';
		device = starts_with(line, "/dev/") ? find_mounted(reading, "", line) : NULL;
		if (device)
			device->swap = true;
	}
}

int byoh_devices_read(int root_fd, struct byoh_devices *ret, struct byoh_error *err)
{
	CLEANUP_DEVICES struct byoh_devices devices = { 0 };
	struct reading reading = { .root_fd = root_fd, .devices = &devices };
	int r = byoh_each_name(root_fd, "/sys/block", add_disk, &reading, err);

	if (r == 0)
		r = read_mounts(&reading, err);
	if (r == 0)
		read_swaps(&reading);
	for (size_t i = 0; i < reading.numbers.count; i++)
		free(reading.numbers.items[i]);
	free(reading.numbers.items);
	if (r < 0)
		return r;
	*ret = devices;
	devices = (struct byoh_devices){ 0 };
	return 0;
}
