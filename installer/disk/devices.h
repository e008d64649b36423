/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine's block devices, described as data: what a disk is chosen by. Read from a running system (sysfs, what udev
 * found, mounts, swaps) or from the JSON that `byoh-install boot inspect --json` prints, so that a choice can be tried
 * anywhere.
 */
#ifndef BYOH_INSTALLER_DISK_DEVICES_H
#define BYOH_INSTALLER_DISK_DEVICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bundle/base/buffer.h"
#include "bundle/base/error.h"
#include "installer/config-iso.h"
#include "installer/config-types.h"

#define BYOH_DEVICES_MAX 4096
#define BYOH_DEVICES_SIZE_MAX ((size_t)8 << 20) /* of a description */

/* Labels of our own partitions. The root has the first until all of an installation is done. */
#define BYOH_LABEL_UNFINISHED "byoh-unfinished"
#define BYOH_LABEL_ROOT "byoh-root"
#define BYOH_LABEL_BIOS "byoh-bios"
#define BYOH_LABEL_ESP "byoh-esp"
#define BYOH_LABEL_DATA "byoh-data"

enum byoh_device_kind {
	BYOH_DEVICE_OTHER, /* made by the kernel out of others or of memory, or no disk: loop, dm, md, zram, CD, floppy */
	BYOH_DEVICE_DISK,
	BYOH_DEVICE_PARTITION,
};

struct byoh_device {
	char *name; /* the kernel's: "sda", "sda1", "dm-0" */
	enum byoh_device_kind kind;
	char *parent;		    /* of a partition: its disk's name */
	struct byoh_strings slaves; /* names of the devices that it stands on */
	struct byoh_strings mounts; /* where it is mounted */
	bool swap;
	uint64_t size; /* bytes */
	bool read_only, removable;
	bool blank; /* a disk whose first and last bytes are all zero */
	char *fs_type, *fs_label, *fs_uuid; /* what lies on it as a whole; NULL: nothing known */
	char *table_type, *table_id;	    /* its partition table; NULL: none */
	char *part_label;		    /* of a partition */
	uint64_t part_number;
	char *model, *serial, *wwn; /* NULL: it has none */
	enum byoh_transport transport; /* BYOH_TRANSPORT_ANY: unknown */
	struct byoh_strings by_id, by_path; /* names in /dev/disk */
};

struct byoh_devices {
	size_t count;
	struct byoh_device *items;
};

void byoh_devices_release(struct byoh_devices *devices);
#define CLEANUP_DEVICES __attribute__((cleanup(byoh_devices_release)))

/* Below that root: /sys/block, /run/udev/data, /proc/self/mountinfo, /proc/swaps; first and last bytes of /dev/NAME. */
BYOH_MUST_CHECK int byoh_devices_read(int root_fd, struct byoh_devices *ret, struct byoh_error *err);
/* The description as JSON, and back. Pure. */
BYOH_MUST_CHECK int byoh_devices_json(const struct byoh_devices *devices, struct byoh_buffer *ret,
				      struct byoh_error *err);
BYOH_MUST_CHECK int byoh_devices_parse(const char *text, size_t size, const char *name, struct byoh_devices *ret,
				       struct byoh_error *err);

const struct byoh_device *byoh_devices_find(const struct byoh_devices *devices, const char *name);
/* A new one at the end, all zero; NULL without memory or beyond BYOH_DEVICES_MAX. Moves the others. */
struct byoh_device *byoh_devices_add(struct byoh_devices *devices, const char *name);
BYOH_MUST_CHECK int byoh_device_add_text(struct byoh_strings *strings, const char *text, struct byoh_error *err);

#endif
