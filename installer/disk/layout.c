/* SPDX-License-Identifier: Apache-2.0 */
#include "installer/disk/layout.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "bundle/base/cleanup.h"
#include "installer/disk/disk-choice.h"

#define MIB (UINT64_C(1) << 20)
#define BIOS_MIB 1
#define ESP_MIB 512
#define SPARE_MIB 4096	   /* for the root of another release, some day */
#define ENDS_MIB 2	   /* both copies of the table */
#define ROOT_MIN_MIB 1024 /* the system alone is 800 MiB */

/* UEFI specification 5.3, Discoverable Partitions Specification; the first is GRUB's own. */
#define TYPE_BIOS "21686148-6449-6E6F-744E-656564454649"
#define TYPE_ESP "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
#define TYPE_ROOT "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"
#define TYPE_LINUX "0FC63DAF-8483-4772-8E79-3D69D8477DE4"

int byoh_layout_script(const struct byoh_device *disk, const struct byoh_iso *iso, struct byoh_buffer *ret,
		       struct byoh_error *err)
{
	uint64_t data = iso->data_mount ? (iso->data_size + MIB - 1) / MIB : 0;
	uint64_t taken = ENDS_MIB + BIOS_MIB + ESP_MIB + data + (disk->size >= BYOH_DISK_SMALL ? SPARE_MIB : 0);
	uint64_t total = disk->size / MIB;

	if (total < taken + ROOT_MIN_MIB)
		return byoh_fail(err, BYOH_ERROR_CONFIG, ENOSPC,
				 "/dev/%s has %llu MiB, and %llu are needed: %d for the loader, %llu for iso.data, %d for a second "
				 "root on disks of 16 GB and more, and at least %d for the system; make iso.data smaller or take a "
				 "larger disk", disk->name, (unsigned long long)total, (unsigned long long)taken + ROOT_MIN_MIB,
				 BIOS_MIB + ESP_MIB, (unsigned long long)data, SPARE_MIB, ROOT_MIN_MIB);
	TRY(byoh_buffer_printf(ret, err, "label: gpt\n"));
	TRY(byoh_buffer_printf(ret, err, "start=1MiB, size=%dMiB, type=" TYPE_BIOS ", name=\"" BYOH_LABEL_BIOS "\"\n", BIOS_MIB));
	TRY(byoh_buffer_printf(ret, err, "size=%dMiB, type=" TYPE_ESP ", name=\"" BYOH_LABEL_ESP "\"\n", ESP_MIB));
	TRY(byoh_buffer_printf(ret, err, "size=%lluMiB, type=" TYPE_ROOT ", name=\"" BYOH_LABEL_UNFINISHED "\"\n",
			       (unsigned long long)(total - taken)));
	if (data)
		TRY(byoh_buffer_printf(ret, err, "size=%lluMiB, type=" TYPE_LINUX ", name=\"" BYOH_LABEL_DATA "\"\n",
				       (unsigned long long)data));
	return 0;
}

int byoh_layout_partition(const char *disk, unsigned int number, struct byoh_buffer *ret, struct byoh_error *err)
{
	size_t length = strlen(disk);

	return byoh_buffer_printf(ret, err, "%s%s%u", disk, length && isdigit((unsigned char)disk[length - 1]) ? "p" : "",
				  number);
}

static void write_uuid(unsigned char bytes[16], char ret[40])
{
	size_t at = 0;

	bytes[6] = (bytes[6] & 0x0f) | 0x40; /* RFC 9562: version 4 */
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	for (size_t i = 0; i < 16; i++)
		at += (size_t)snprintf(ret + at, 40 - at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", bytes[i]);
}

int byoh_layout_make_ids(struct byoh_layout_ids *ret, struct byoh_error *err)
{
	unsigned char bytes[36];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		return byoh_fail_errno(err, "the kernel gives no random numbers");
	write_uuid(bytes, ret->root);
	write_uuid(bytes + 16, ret->data);
	snprintf(ret->esp, sizeof(ret->esp), "%02X%02X-%02X%02X", bytes[32], bytes[33], bytes[34], bytes[35]);
	return 0;
}

int byoh_layout_fstab(const struct byoh_layout_ids *ids, const struct byoh_iso *iso, struct byoh_buffer *ret,
		      struct byoh_error *err)
{
	TRY(byoh_buffer_printf(ret, err, "UUID=%s / ext4 defaults,noatime,errors=remount-ro 0 1\n", ids->root));
	/* Nothing of a running system needs it: a damaged one does not keep the node from starting. It has as
	 * long to show up as any other device, since nobody waits for it. */
	TRY(byoh_buffer_printf(ret, err, "UUID=%s /boot/efi vfat umask=0077,nofail 0 1\n", ids->esp));
	if (iso->data_mount)
		TRY(byoh_buffer_printf(ret, err, "UUID=%s %s ext4 defaults,noatime 0 2\n", ids->data, iso->data_mount));
	return 0;
}
