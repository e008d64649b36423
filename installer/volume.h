/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The volume that carries a configuration, found by its label and looked at for a moment. udev has read the
 * labels and types already: what it found is used, so that no file system is tried that nobody named.
 */
#ifndef BYOH_INSTALLER_VOLUME_H
#define BYOH_INSTALLER_VOLUME_H

#include <sys/types.h>

#include "bundle/base/error.h"

#define BYOH_VOLUME_LABEL "BYOHCFG"
#define BYOH_VOLUME_MOUNT "/run/byoh-config"

struct byoh_volume {
	char device[128]; /* "/dev/sdb1"; "" where there is none of that label */
	char type[16];	  /* "vfat" */
	dev_t number;
};

/* Looks below /run/udev/data and /sys/dev/block of that root. Two volumes of the label are
 * BYOH_ERROR_CONFIG, and both are named; so is a type that is not mounted. */
BYOH_MUST_CHECK int byoh_volume_find(int root_fd, const char *label, struct byoh_volume *ret,
				     struct byoh_error *err);

/* Read-only, and nothing on a stranger's stick is a device or a program. Makes the folder. */
BYOH_MUST_CHECK int byoh_volume_mount(const struct byoh_volume *volume, const char *folder,
				      struct byoh_error *err);
/* Takes mount and folder away; also what a killed run left. */
void byoh_volume_unmount(const char *folder);

#endif
