/* SPDX-License-Identifier: Apache-2.0 */
/* A mounted medium: its file system and what that takes, and the device as sysfs tells it. */
#ifndef BYOH_BUNDLE_MEDIUM_H
#define BYOH_BUNDLE_MEDIUM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bundle/base/error.h"

#define BYOH_FAT_FILE_MAX ((uint64_t)UINT32_MAX) /* 4 GiB - 1: FAT's sizes have 32 bits */

struct byoh_medium {
	char type[24];			    /* "vfat", "exfat", ... or its number */
	uint64_t size, free;		    /* of the file system, bytes */
	uint64_t allocation;		    /* a file takes whole ones of these */
	uint64_t file_max;		    /* UINT64_MAX: no limit that matters */
	bool fat_names;			    /* those of FAT and exFAT: no case, some characters and names are none */
	bool is_root;			    /* the file system of / */
	char device[64];		    /* "sdb1", or "" where there is none */
	uint64_t device_size;
	char vendor[64], model[64], serial[128];
};

BYOH_MUST_CHECK int byoh_medium_look(int directory, struct byoh_medium *ret, struct byoh_error *err);
/* The device's fields alone, of a sysfs that is mounted there; what it does not tell stays empty. */
void byoh_medium_look_at_device(const char *sysfs, dev_t number, struct byoh_medium *ret);
/* The limits by the file system's magic number (statfs(2)). */
void byoh_medium_set_type(uint32_t magic, struct byoh_medium *ret);

/* BYOH_ERROR_CONFIG with what to do instead. */
BYOH_MUST_CHECK int byoh_medium_check_name(const struct byoh_medium *medium, const char *name,
					   struct byoh_error *err);
BYOH_MUST_CHECK int byoh_medium_check_size(const struct byoh_medium *medium, const char *name, uint64_t size,
					   struct byoh_error *err);

#endif
