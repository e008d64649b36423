/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a file lies in an ISO 9660 image (ECMA-119), without mounting it: so much of it as finds one path. Names as Rock
 * Ridge has them (NM of SUSP 1.12/RRIP 1.12), else the plain ones without their version, in any case. The image is not
 * trusted: every number in it is checked against its size.
 */
#ifndef BYOH_BUNDLE_ISO9660_H
#define BYOH_BUNDLE_ISO9660_H

#include <stdint.h>

#include "bundle/base/error.h"

#define BYOH_ISO9660_SECTOR 2048

/* Reads exactly size bytes, or fails. */
struct byoh_iso9660_reader {
	int (*read)(void *context, void *ret, uint64_t size, uint64_t offset, struct byoh_error *err);
	void *context;
	uint64_t size; /* of the image */
};

/* A path like "byoh/site.img"; bytes from *ret_offset on. -ENOENT (BYOH_ERROR_FORMAT) where there is none; another error
 * of that kind where this is no such image, or the file lies in several pieces. */
BYOH_MUST_CHECK int byoh_iso9660_find(const struct byoh_iso9660_reader *image, const char *path, uint64_t *ret_offset,
				      uint64_t *ret_size, struct byoh_error *err);

#endif
