/* SPDX-License-Identifier: Apache-2.0 */
/* How a disk is divided: the script for sfdisk, the names of the partitions, fstab. Pure. */
#ifndef BYOH_INSTALLER_DISK_LAYOUT_H
#define BYOH_INSTALLER_DISK_LAYOUT_H

#include "installer/disk/devices.h"

#define BYOH_PART_ESP 2
#define BYOH_PART_ROOT 3
#define BYOH_PART_DATA 4

/* GPT: room for GRUB (BIOS), ESP, root, perhaps data; some of the disk stays free for a second root. BYOH_ERROR_CONFIG
 * where the disk has not room for all of it. */
BYOH_MUST_CHECK int byoh_layout_script(const struct byoh_device *disk, const struct byoh_iso *iso,
				       struct byoh_buffer *ret, struct byoh_error *err);
/* "/dev/sda" and 3: "/dev/sda3"; "/dev/nvme0n1" and 3: "/dev/nvme0n1p3". A name of /dev/disk has to be resolved before. */
BYOH_MUST_CHECK int byoh_layout_partition(const char *disk, unsigned int number, struct byoh_buffer *ret,
					  struct byoh_error *err);

struct byoh_layout_ids {
	char root[40], data[40]; /* UUIDs of the file systems */
	char esp[16];		 /* "ABCD-1234" */
};
BYOH_MUST_CHECK int byoh_layout_make_ids(struct byoh_layout_ids *ret, struct byoh_error *err);
BYOH_MUST_CHECK int byoh_layout_fstab(const struct byoh_layout_ids *ids, const struct byoh_iso *iso,
				      struct byoh_buffer *ret, struct byoh_error *err);

#endif
